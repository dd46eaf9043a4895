package his

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
)

// What is wrong with a notice.
var (
	// ErrStranger is a notice that is not signed by the hospital, now, for our address.
	ErrStranger = fault.New(fault.Unauthenticated, "HIS_NOTICE_UNSIGNED", "通知验签失败")
	// ErrNotice is a notice of the hospital that cannot be read, or does not add up.
	ErrNotice = fault.New(fault.Invalid, "HIS_NOTICE_INVALID", "通知内容有误")
)

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
	PatientID   string           `json:"patient_id"`
	MergedID    string           `json:"merged_patient_id"`
	HappenedAt  moment           `json:"happened_at"` // evidence; it may lie days back
}

// ReadNotice reads what the hospital has proved to be its own: outside bytes all the same. Number is the order's, empty for a bill that no order knows; ID
// is the hospital's refund number for the kinds about one, so that its repeats are one, and empty for the others. Body is a refund.AskedByHIS for
// refund.KindAsked, a patient.Merged for patient.KindMerged, and what came for the other kinds. ErrNotice.
func ReadNotice(body []byte) (job.Notice, error) {
	n, err := readNotice(body)
	if err != nil {
		return job.Notice{}, ErrNotice.Because(err)
	}
	return n, nil
}

func readNotice(body []byte) (job.Notice, error) {
	var w wireNotice
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
	case refund.KindQuery:
		if !Number64(w.HISRefundNo) || w.OrderNo == "" {
			return job.Notice{}, errors.New("no his_refund_no or no order_no")
		}
		n.ID = w.HISRefundNo
		return n, nil
	case patient.KindMerged:
		if !Number64(w.PatientID) || !Number64(w.MergedID) || w.PatientID == w.MergedID {
			return job.Notice{}, errors.New("not two archives")
		}
		body, err := json.Marshal(patient.Merged{From: w.MergedID, To: w.PatientID})
		n.Number, n.Body = "", body
		return n, err
	case "bill_created", "bill_changed", "bill_void":
		if !Number64(w.BillNo) || (w.Kind == "bill_created" && !Number64(w.PatientID)) {
			return job.Notice{}, errors.New("no bill_no, or no patient_id of a new bill")
		}
		return n, nil
	case "posting_result", "settlement_result":
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
	if !Number64(w.HISRefundNo) || w.OrderNo == "" || w.Whole == nil || w.Note == nil {
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

// standingAnswer is the data of what refund_query is answered.
type standingAnswer struct {
	HISRefundNo  string     `json:"his_refund_no"`
	OrderNo      string     `json:"order_no"`
	State        string     `json:"state"`
	RefundNo     string     `json:"refund_no,omitempty"`
	TotalFen     *money.Fen `json:"total_fen,omitempty"`
	InsuranceFen *money.Fen `json:"insurance_fen,omitempty"`
	CashFen      *money.Fen `json:"cash_fen,omitempty"`
	Note         *bool      `json:"note,omitempty"`
	AskedAt      *string    `json:"asked_at,omitempty"`
	HeldAt       *string    `json:"held_at,omitempty"`
	InsuredAt    *string    `json:"insured_at,omitempty"`
	CashAt       *string    `json:"cash_at,omitempty"`
	DoneAt       *string    `json:"done_at,omitempty"`
	Cause        string     `json:"cause,omitempty"`
	CauseText    string     `json:"cause_text,omitempty"`
}

// WriteStanding writes what refund_query is answered, §5.
func WriteStanding(s refund.Standing) ([]byte, error) {
	a := standingAnswer{HISRefundNo: s.HISNo, OrderNo: s.OrderNo, State: string(s.Known), RefundNo: s.RefundNo, AskedAt: wireTime(s.AskedAt),
		HeldAt: wireTime(s.HeldAt), InsuredAt: wireTime(s.InsuredAt), CashAt: wireTime(s.CashAt), DoneAt: wireTime(s.DoneAt), Cause: s.Cause, CauseText: s.Said}
	if s.RefundNo != "" {
		a.TotalFen, a.Note = &s.Total, &s.Note
	}
	if s.Counted {
		a.InsuranceFen, a.CashFen = &s.Insurer, &s.Cash
	}
	return json.Marshal(struct {
		Code    string         `json:"code"`
		Message string         `json:"message"`
		Data    standingAnswer `json:"data"`
	}{Code: codeDone, Data: a})
}
