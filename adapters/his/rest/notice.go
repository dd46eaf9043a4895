package rest

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/refund"
)

// Source is what job.Notice.Source says of these notices.
const Source = "his"

// forget is how much longer than a notice is believed its nonce is remembered: the clocks of our nodes may differ by a little.
const forget = time.Minute

// maxNotice is the largest notice that is looked at, in bytes; docs/his-interface.md §1.
const maxNotice = 256 << 10

// Open verifies a notice of the hospital and tells what it is about, as his.ReadNotice does; where that finds no ID, it is made of the nonce. A notice that was
// seen before opens again: the inbox must know it by its nonce. Errors: his.ErrStranger, his.ErrNotice.
func (c *Client) Open(header http.Header, body []byte) (job.Notice, error) {
	if len(body) > maxNotice {
		return job.Notice{}, his.ErrNotice.Because(errors.New("too long"))
	}
	if err := c.admit(header, body); err != nil {
		return job.Notice{}, his.ErrStranger.Because(err)
	}
	if err := isJSON(header.Get("Content-Type")); err != nil {
		return job.Notice{}, his.ErrNotice.Because(err)
	}
	n, err := his.ReadNotice(body)
	if err != nil {
		return job.Notice{}, err
	}
	if n.ID == "" {
		n.ID = "nonce " + header.Get("X-His-Nonce") // no number has a blank: what asks for money is never taken for one of these
	}
	seconds, _ := strconv.ParseInt(header.Get("X-His-Timestamp"), 10, 64) // admitted
	n.Source, n.ReceivedAt = Source, c.config.Clock.Now()
	n.Once = job.Nonce{Text: header.Get("X-His-Nonce"), Until: time.Unix(seconds, 0).Add(skew + forget)}
	return n, nil
}

// AdmitsCertificate reports whether a notice may come from whoever showed that certificate; from anybody, where none is asked for.
func (c *Client) AdmitsCertificate(der []byte) bool {
	digest := gm.SM3(der)
	return len(c.config.NoticeCerts) == 0 || (len(der) > 0 && slices.Contains(c.config.NoticeCerts, hex.EncodeToString(digest[:])))
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
	case !his.Number64(nonce) || len(nonce) < 16:
		return errors.New("the nonce is malformed")
	}
	given, err := hex.DecodeString(h.Get("X-His-Signature"))
	if err != nil || !c.byHIS(http.MethodPost+"\n"+c.config.CallbackPath+"\n"+stamp+"\n"+nonce+"\n", body, given) {
		return errors.New("wrong signature")
	}
	return nil
}

// byHIS reports whether the hospital signed that in the one way that is agreed with it.
func (c *Client) byHIS(head string, body, given []byte) bool {
	if c.config.NoticeKey != nil {
		return gm.VerifyRaw(c.config.NoticeKey, signedText(head, body), given)
	}
	want := c.mac(head, body)
	return len(want) > 0 && hmac.Equal(given, want)
}

// Acknowledge answers a notice: stored, or why not, without a word of what was in it. The hospital repeats what is not answered as stored.
func (c *Client) Acknowledge(w http.ResponseWriter, err error) {
	status, body := http.StatusOK, `{"code":"0","message":""}`
	if err != nil {
		status, body = http.StatusInternalServerError, `{"code":"INTERNAL","message":""}`
		switch kind := fault.KindOf(err); {
		case errors.Is(err, job.ErrReplay):
			status, body = http.StatusUnauthorized, `{"code":"REPLAY","message":""}`
		case kind == fault.Unauthenticated:
			status, body = http.StatusUnauthorized, `{"code":"INVALID","message":""}`
		case kind == fault.Invalid:
			status, body = http.StatusBadRequest, `{"code":"INVALID","message":""}`
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// Answer answers the hospital's question what became of a refund, signed in the way in which it asks, and bound to its nonce.
func (c *Client) Answer(w http.ResponseWriter, question job.Notice, s refund.Standing) {
	body, err := his.WriteStanding(s)
	if err != nil {
		c.Acknowledge(w, err)
		return
	}
	stamp, nonce := strconv.FormatInt(c.config.Clock.Now().Unix(), 10), question.Once.Text
	signature, err := c.byUs("200\n"+stamp+"\n"+nonce+"\n", body)
	if err != nil {
		c.Acknowledge(w, err)
		return
	}
	for name, value := range map[string]string{"Content-Type": "application/json; charset=utf-8", "X-His-App": c.config.App, "X-His-Timestamp": stamp,
		"X-His-Nonce": nonce, "X-His-Signature": hex.EncodeToString(signature)} {
		w.Header().Set(name, value)
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
}

// byUs signs an answer to the hospital in the one way that is agreed with it.
func (c *Client) byUs(head string, body []byte) ([]byte, error) {
	if c.config.AnswerKey != nil {
		return gm.SignRaw(c.config.AnswerKey, signedText(head, body))
	}
	return c.mac(head, body), nil
}
