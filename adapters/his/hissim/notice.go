package hissim

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// The kinds of docs/his-interface.md §5.
const (
	refundAsked   = "refund_asked"
	billChanged   = "bill_changed"
	billVoid      = "bill_void"
	postingResult = "posting_result"
	billCreated   = "bill_created"
	patientMerged = "patient_merged"
	refundQuery   = "refund_query"

	settlementResult = "settlement_result"
)

// noticeTimeout is how long the hospital waits for the platform.
const noticeTimeout = 5 * time.Second

// noticeLife is how long after its first try a notice is repeated.
const noticeLife = 24 * time.Hour

// waits is how long the hospital waits after each try; after the last one again and again.
var waits = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// Notice is something that the hospital tells the platform, and how far that is.
type Notice struct {
	No          string    `json:"no"`
	Kind        string    `json:"kind"`
	HISRefundNo string    `json:"his_refund_no,omitempty"`
	OrderNo     string    `json:"order_no"`
	BillNo      string    `json:"bill_no,omitempty"`
	PatientID   string    `json:"patient_id,omitempty"`
	MergedID    string    `json:"merged_patient_id,omitempty"`
	MadeAt      time.Time `json:"made_at"`
	Next        time.Time `json:"next"` // when it is sent, or sent again
	Tries       int       `json:"tries"`
	Stored      bool      `json:"stored"`   // the platform has said so
	GivenUp     bool      `json:"given_up"` // nobody said so for a day
}

func (n *Notice) open() bool { return !n.Stored && !n.GivenUp }

type askedView struct {
	Kind        string       `json:"kind"`
	HISRefundNo string       `json:"his_refund_no"`
	OrderNo     string       `json:"order_no"`
	Whole       bool         `json:"whole"`
	Lines       []RefundLine `json:"lines"`
	TotalFen    money.Fen    `json:"total_fen"`
	Note        bool         `json:"note"`
	Reason      string       `json:"reason,omitempty"`
}

type happenedView struct {
	Kind        string `json:"kind"`
	OrderNo     string `json:"order_no,omitempty"`
	BillNo      string `json:"bill_no,omitempty"`
	HISRefundNo string `json:"his_refund_no,omitempty"`
	PatientID   string `json:"patient_id,omitempty"`
	MergedID    string `json:"merged_patient_id,omitempty"`
	HappenedAt  string `json:"happened_at,omitempty"`
}

// tell is a notice to be sent from now on; nil when there is nobody to tell, or no order that it would be about. The caller holds the mutex
// and commits.
func (s *Sim) tell(kind, order, bill, ask string, now time.Time) *Notice {
	if s.config.Notify == nil || order == "" {
		return nil
	}
	return &Notice{No: s.number("TZ", now), Kind: kind, HISRefundNo: ask, OrderNo: order, BillNo: bill, MadeAt: now, Next: now}
}

// Notices lists what the hospital told the platform, as it came.
func (s *Sim) Notices() []Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state.notices)
}

// Step sends the notice that has been due longest, once, and reports whether there was one. What is not answered as stored comes again after
// 1, 5, 15 and 60 minutes, then hourly for a day, divided by the pace, each time with a fresh nonce and signature.
func (s *Sim) Step(ctx context.Context) (worked bool) {
	if ctx.Err() != nil || !s.sending.TryLock() {
		return false
	}
	defer s.sending.Unlock()
	n, ok := s.due()
	if !ok {
		return false
	}
	stored := s.deliver(ctx, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Tries++
	n.Stored = stored || s.broken(NoticeOnce)
	n.Next = s.config.Clock.Now().Add(s.config.Pace.Wait(waits[min(n.Tries, len(waits))-1]))
	n.GivenUp = !stored && n.Next.Sub(n.MadeAt) > s.config.Pace.Wait(noticeLife)
	e := entry{Notice: &n}
	if stored && n.Kind == refundAsked && s.config.Asks {
		e.Question = s.question(n, s.config.Clock.Now())
	}
	return s.commit(e) == nil // a try that cannot be noted is made again
}

func (s *Sim) due() (Notice, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first Notice
	for _, n := range s.state.notices {
		if n.open() && !n.Next.After(s.config.Clock.Now()) && (first.No == "" || n.Next.Before(first.Next)) {
			first = n
		}
	}
	return first, first.No != ""
}

// deliver sends one notice through the fault plan and reports whether the platform says that it is stored.
func (s *Sim) deliver(ctx context.Context, n Notice) bool {
	ctx, cancel := s.config.Clock.WithDeadline(ctx, noticeTimeout)
	defer cancel()
	send := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.send(r.Context(), n) {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	if s.config.Plan != nil {
		send = s.config.Plan.Wrap(func(*http.Request, []byte) sandbox.Call {
			if n.Kind == refundQuery {
				return sandbox.Call{Op: "notice.query", Key: n.OrderNo}
			}
			return sandbox.Call{Op: "notice", Key: n.OrderNo, Priced: n.Kind == refundAsked}
		}, send)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://platform/", http.NoBody)
	if err != nil {
		return false
	}
	answer, err := sandbox.TransportAt(s.config.Clock, send).RoundTrip(r)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
}

func (s *Sim) send(ctx context.Context, n Notice) bool {
	body, err := marshal(s.content(ctx, n))
	if err != nil {
		return false
	}
	odd := s.odd("notice", n.OrderNo)
	if odd != nil {
		body = odd.distort(body)
	}
	ctx, cancel := s.config.Clock.WithDeadline(ctx, noticeTimeout) // the fault plan lets its calls outlive their callers
	defer cancel()
	h := http.Header{}
	h.Set("Content-Type", "application/json; charset=utf-8")
	s.seal(h, body)
	if s.broken(NoticeUnsigned) {
		h.Set(headerSignature, strings.Repeat("0", 64))
	}
	if odd != nil {
		body = odd.afterSigning(s.gate, h, http.StatusOK, body, s.config.Clock.Now())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.NotifyURL, bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header = h
	answer, err := s.config.Notify.RoundTrip(r)
	if err != nil {
		return false
	}
	said, err := io.ReadAll(io.LimitReader(answer.Body, maxRequest))
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK {
		return false
	}
	if n.Kind == refundQuery {
		last, err := s.hear(n, h.Get(headerNonce), answer.Header, said)
		return err == nil && last
	}
	var stored envelope
	return json.Unmarshal(said, &stored) == nil && stored.Code == codeDone
}

// seal signs a notice as its sender, docs/his-interface.md §2.
func (s *Sim) seal(h http.Header, body []byte) {
	stamp, nonce := strconv.FormatInt(s.config.Clock.Now().Unix(), 10), s.config.Source.Nonce(32)
	if s.broken(NoticeSameNonce) {
		nonce = "TheSameNonceEveryTime01"
	}
	h.Set(headerApp, s.gate.app)
	h.Set(headerTimestamp, stamp)
	h.Set(headerNonce, nonce)
	h.Set(headerSignature, s.gate.seal(http.MethodPost, s.notifyPath, stamp, nonce, body))
	if s.config.NoticeKey == nil {
		return
	}
	h.Del(headerSignature)
	if sig, err := gm.SignRaw(s.config.NoticeKey, signedLines(http.MethodPost, s.notifyPath, stamp, nonce, body)); err == nil {
		h.Set(headerSignature, hex.EncodeToString(sig))
	}
}

// content is what a notice says.
func (s *Sim) content(ctx context.Context, n Notice) any {
	if n.Kind != refundAsked {
		v := happenedView{Kind: n.Kind, OrderNo: n.OrderNo, BillNo: n.BillNo, HISRefundNo: n.HISRefundNo, PatientID: n.PatientID, MergedID: n.MergedID}
		if n.Kind != refundQuery {
			v.HappenedAt = wireTime(n.MadeAt)
		}
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.state.asks[n.HISRefundNo]
	v := askedView{Kind: n.Kind, HISRefundNo: a.HISRefundNo, OrderNo: a.OrderNo, Whole: a.Whole, Lines: a.Lines, TotalFen: a.TotalFen,
		Note: a.Note, Reason: a.Reason}
	if sandbox.Injected(ctx) == sandbox.ChangeAmount {
		v.TotalFen++ // the books stay right; the lines no longer add up
	}
	return v
}

// pathOf is the path of the platform's address as it is sent, for the signature.
func pathOf(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || !strings.HasPrefix(u.EscapedPath(), "/") || u.RawQuery != "" {
		return "", false
	}
	return u.EscapedPath(), true
}
