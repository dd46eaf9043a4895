package rest

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/refund"
)

// Source is what job.Notice.Source says of these notices.
const Source = "his"

// What is wrong with a notice.
var (
	// ErrStranger is a notice that is not signed by the hospital, now, for our address.
	ErrStranger = fault.New(fault.Unauthenticated, "HIS_NOTICE_UNSIGNED", "通知验签失败")
	// ErrNotice is a notice of the hospital that cannot be read, or does not add up.
	ErrNotice = fault.New(fault.Invalid, "HIS_NOTICE_INVALID", "通知内容有误")
)

// maxNotice is the largest notice that is looked at, in bytes; docs/his-interface.md §1.
const maxNotice = 256 << 10

// wireNotice is §5.
type wireNotice struct {
	Kind        string           `json:"kind"`
	HISRefundNo string           `json:"his_refund_no"`
	OrderNo     string           `json:"order_no"`
	BillNo      string           `json:"bill_no"`
	Whole       *bool            `json:"whole"`
	Lines       []wireRefundLine `json:"lines"`
	TotalFen    amount           `json:"total_fen"`
	Note        *bool            `json:"note"`
	Reason      string           `json:"reason"`
}

// Open verifies a notice of the hospital and tells what it is about: Number is the order's, empty for a bill that no order knows; ID is the
// hospital's refund number, so that its repeats are one, or else the nonce. Body is a refund.AskedByHIS for refund.KindAsked, and what came for
// the other kinds. A notice that was seen before opens again, so the inbox must know it by its ID. Errors: ErrStranger, ErrNotice.
func (c *Client) Open(header http.Header, body []byte) (job.Notice, error) {
	if len(body) > maxNotice {
		return job.Notice{}, ErrNotice.Because(errors.New("too long"))
	}
	if err := c.admit(header, body); err != nil {
		return job.Notice{}, ErrStranger.Because(err)
	}
	n, err := readNotice(header.Get("Content-Type"), body)
	if err != nil {
		return job.Notice{}, ErrNotice.Because(err)
	}
	if n.ID == "" {
		n.ID = header.Get("X-His-Nonce")
	}
	n.Source, n.ReceivedAt = Source, c.config.Clock.Now()
	return n, nil
}

// admit believes a notice that is signed by the hospital, now, for our address.
func (c *Client) admit(h http.Header, body []byte) error {
	stamp, nonce := h.Get("X-His-Timestamp"), h.Get("X-His-Nonce")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	switch {
	case c.config.CallbackPath == "":
		return errors.New("no notices are expected")
	case h.Get("X-His-App") != c.config.App:
		return errors.New("another app")
	case err != nil || c.config.Clock.Now().Sub(time.Unix(seconds, 0)).Abs() > skew:
		return errors.New("the time stamp is absent or out of the window")
	case !number64(nonce) || len(nonce) < 16:
		return errors.New("the nonce is malformed")
	}
	given, err := hex.DecodeString(h.Get("X-His-Signature"))
	want := c.mac(http.MethodPost+"\n"+c.config.CallbackPath+"\n"+stamp+"\n"+nonce+"\n", body)
	if err != nil || len(want) == 0 || !hmac.Equal(given, want) {
		return errors.New("wrong signature")
	}
	return nil
}

// readNotice reads what the hospital signed: outside bytes all the same.
func readNotice(contentType string, body []byte) (job.Notice, error) {
	var w wireNotice
	if err := isJSON(contentType); err != nil {
		return job.Notice{}, err
	}
	if !utf8.Valid(body) {
		return job.Notice{}, errors.New("not in UTF-8")
	}
	if err := distinct(body); err != nil {
		return job.Notice{}, err
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return job.Notice{}, err
	}
	if w.OrderNo != "" && !orderForm(w.OrderNo) {
		return job.Notice{}, errors.New("order_no is malformed")
	}
	n := job.Notice{Kind: w.Kind, Number: w.OrderNo, Body: body}
	switch w.Kind {
	case refund.KindAsked:
		asked, err := w.asked()
		if err != nil {
			return job.Notice{}, err
		}
		n.ID = asked.HISNo
		n.Body, err = json.Marshal(asked)
		return n, err
	case "bill_changed", "bill_void":
		if !number64(w.BillNo) {
			return job.Notice{}, errors.New("no bill_no")
		}
		return n, nil
	case "posting_result":
		if w.OrderNo == "" {
			return job.Notice{}, errors.New("no order_no")
		}
		return n, nil
	default:
		return job.Notice{}, errors.New("the kind is not documented")
	}
}

// asked turns the wire's refund into ours. It must be whole and add up, for money will be given back on it.
func (w *wireNotice) asked() (refund.AskedByHIS, error) {
	if !number64(w.HISRefundNo) || w.OrderNo == "" || w.Whole == nil || w.Note == nil {
		return refund.AskedByHIS{}, errors.New("his_refund_no, order_no, whole or note is missing")
	}
	lines, err := domain(w.Lines, nil, w.TotalFen)
	if err != nil {
		return refund.AskedByHIS{}, err
	}
	return refund.AskedByHIS{HISNo: w.HISRefundNo, OrderNo: w.OrderNo, Whole: *w.Whole, Lines: lines, Total: w.TotalFen.fen, Note: *w.Note,
		Reason: plain(w.Reason, longestReason)}, nil
}

// orderForm is the form of our order numbers.
func orderForm(s string) bool {
	return len(s) <= 32 && strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-") == ""
}

// Acknowledge answers a notice: stored, or why not, without a word of what was in it. The hospital repeats what is not answered as stored.
func (c *Client) Acknowledge(w http.ResponseWriter, err error) {
	status, body := http.StatusOK, `{"code":"0","message":""}`
	if err != nil {
		status, body = http.StatusInternalServerError, `{"code":"INTERNAL","message":""}`
		switch fault.KindOf(err) {
		case fault.Unauthenticated:
			status, body = http.StatusUnauthorized, `{"code":"INVALID","message":""}`
		case fault.Invalid:
			status, body = http.StatusBadRequest, `{"code":"INVALID","message":""}`
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
