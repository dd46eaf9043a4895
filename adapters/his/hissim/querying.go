package hissim

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/money"
)

// Standing is what the platform last said of a refund that the window asked for.
type Standing struct {
	State        string    `json:"state"` // unknown, asked, under_way, done, refused, in_review
	RefundNo     string    `json:"refund_no,omitempty"`
	TotalFen     money.Fen `json:"total_fen,omitempty"`
	InsuranceFen money.Fen `json:"insurance_fen,omitempty"`
	CashFen      money.Fen `json:"cash_fen,omitempty"`
	Cause        string    `json:"cause,omitempty"`
	CauseText    string    `json:"cause_text,omitempty"`
}

// final reports whether the platform will say nothing else.
func (p *Standing) final() bool { return p.State == "done" || p.State == "refused" }

// errStanding is an answer that proves nothing: not signed by the platform for this question, or of another refund.
var errStanding = errors.New("hissim: no answer to the question")

// question is the notice by which the window asks what became of a refund, after the platform has stored what it asked for. The caller holds the mutex
// and commits.
func (s *Sim) question(asked Notice, now time.Time) *Notice {
	return &Notice{No: s.number("TZ", now), Kind: refundQuery, HISRefundNo: asked.HISRefundNo, OrderNo: asked.OrderNo, MadeAt: now,
		Next: now.Add(s.config.Pace.Wait(waits[0]))}
}

// hear reads what a question was answered, and keeps it. It reports whether that is the last word.
func (s *Sim) hear(n Notice, nonce string, h http.Header, body []byte) (bool, error) {
	stamp := h.Get(headerTimestamp)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || s.config.Clock.Now().Sub(time.Unix(seconds, 0)).Abs() > window || h.Get(headerNonce) != nonce || h.Get(headerApp) != s.gate.app ||
		!s.byPlatform(stamp, nonce, h.Get(headerSignature), body) {
		return false, errStanding
	}
	var said struct {
		Code string `json:"code"`
		Data struct {
			HISRefundNo string `json:"his_refund_no"`
			OrderNo     string `json:"order_no"`
			Standing
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.Code != codeDone || said.Data.HISRefundNo != n.HISRefundNo || said.Data.OrderNo != n.OrderNo {
		return false, errStanding
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.state.asks[n.HISRefundNo]
	a.Platform = &said.Data.Standing
	return a.Platform.final(), s.commit(entry{Ask: &a})
}

// byPlatform reports whether an answer with status 200 is signed by the platform.
func (s *Sim) byPlatform(stamp, nonce, signature string, body []byte) bool {
	if s.config.AnswerKey == nil {
		return signature == s.gate.seal("200", "", stamp, nonce, body)
	}
	sig, err := hex.DecodeString(signature)
	return err == nil && gm.VerifyRaw(s.config.AnswerKey, signedLines("200", "", stamp, nonce, body), sig)
}
