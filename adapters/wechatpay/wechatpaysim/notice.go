package wechatpaysim

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

const (
	eventPaid     = "TRANSACTION.SUCCESS"
	noticeTimeout = 5 * time.Second // the merchant has to answer within
)

// waits is how long WeChat Pay waits after each try (重复通知频率): 15 further tries in 24 h 4 min.
var waits = [...]time.Duration{15 * time.Second, 15 * time.Second, 30 * time.Second, 3 * time.Minute, 10 * time.Minute,
	20 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute, 60 * time.Minute, 3 * time.Hour, 3 * time.Hour,
	3 * time.Hour, 6 * time.Hour, 6 * time.Hour}

// newNotice is a notice to be sent from that moment on. The caller commits it.
func (s *Sim) newNotice(event, outTradeNo, outRefundNo, url string, at time.Time) *notice {
	return &notice{ID: fmt.Sprintf("EV-%020d", s.cfg.Source.ID()), Event: event, OutTradeNo: outTradeNo, OutRefundNo: outRefundNo,
		URL: url, CreatedAt: at, Next: at}
}

// Step brings a mixed order whose outcome is due to its end, withdraws what the day's hour has come for, or delivers the notice that has been due longest, once,
// and reports whether there was something to do. A notice that is not answered by 200 or 204 comes again by WeChat's schedule, divided by the
// pace, with a fresh signature.
func (s *Sim) Step(ctx context.Context) (worked bool) {
	if ctx.Err() != nil {
		return false
	}
	if s.finishTyped() || s.withdraw() {
		return true
	}
	if s.cfg.Notify == nil {
		return false
	}
	n := s.due()
	if n == nil {
		return false
	}
	late := s.over(n, s.cfg.Clock.Now())
	accepted := !late && s.deliver(ctx, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.delivering, n.ID)
	if current := s.books.notices[n.ID]; !current.open() {
		return true
	}
	tried := *n
	if !late {
		tried.Tries++
	}
	switch {
	case accepted:
		tried.Accepted = true
	case late || tried.Tries > len(n.schedule()):
		tried.GivenUp = true
	default:
		tried.Next = s.cfg.Clock.Now().Add(s.cfg.Pace.Wait(n.schedule()[tried.Tries-1]))
	}
	return s.commit(entry{Notices: []*notice{&tried}}) == nil // a try that cannot be noted is made again, as true notices are
}

func (s *Sim) due() *notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	var first *notice
	for _, id := range s.books.open {
		n := s.books.notices[id]
		if n.Next.After(now) || s.delivering[id] || (first != nil && !n.Next.Before(first.Next)) {
			continue
		}
		first = n
	}
	if first != nil {
		s.delivering[first.ID] = true
	}
	return first
}

// deliver sends one notice through the fault plan and reports whether the merchant took it.
func (s *Sim) deliver(ctx context.Context, n *notice) bool {
	ctx, cancel := s.cfg.Clock.WithDeadline(ctx, noticeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://wechatpay/"+n.ID, http.NoBody)
	if err != nil {
		return false
	}
	answer, err := s.door.RoundTrip(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusNoContent
}

// noticeDoor is the way out for notices: an inner handler makes and sends the notice that the path names, and the fault plan
// stands before it, so that what is lost, late or doubled is the message to the merchant.
func (s *Sim) noticeDoor() http.RoundTripper {
	send := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, err := s.send(r.Context(), strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			status = http.StatusBadGateway
		}
		w.WriteHeader(status)
	}))
	if s.cfg.Plan != nil {
		send = s.cfg.Plan.Wrap(func(r *http.Request, _ []byte) sandbox.Call {
			s.mu.Lock()
			defer s.mu.Unlock()
			n := s.books.notices[strings.TrimPrefix(r.URL.Path, "/")]
			key := n.OutTradeNo
			if n.OutRefundNo != "" {
				key = n.OutRefundNo
			}
			if n.MixTradeNo != "" {
				return sandbox.Call{Op: "mixed_notice", Key: key, Priced: true}
			}
			return sandbox.Call{Op: "notice", Key: key, Priced: true}
		}, send)
	}
	return sandbox.TransportAt(s.cfg.Clock, send)
}

func (s *Sim) send(ctx context.Context, id string) (status int, err error) {
	var more money.Fen
	if sandbox.Injected(ctx) == sandbox.ChangeAmount {
		more = 1
	}
	url, body, err := s.envelope(id, more)
	if err != nil {
		return 0, err
	}
	ctx, cancel := s.cfg.Clock.WithDeadline(ctx, noticeTimeout) // the fault plan lets its calls outlive their callers
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header = s.signature(body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "*/*")
	request.Header.Set("User-Agent", "Mozilla/4.0")
	answer, err := s.cfg.Notify.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxBody))
	_ = answer.Body.Close()
	return answer.StatusCode, err
}

// envelope is a notice on the wire.
type envelope struct {
	ID           string   `json:"id"`
	CreateTime   string   `json:"create_time"`
	ResourceType string   `json:"resource_type"`
	EventType    string   `json:"event_type"`
	Summary      string   `json:"summary,omitempty"`
	Resource     resource `json:"resource"`
}

type resource struct {
	OriginalType   string `json:"original_type,omitempty"`
	Algorithm      string `json:"algorithm"`
	Ciphertext     string `json:"ciphertext"`
	AssociatedData string `json:"associated_data"`
	Nonce          string `json:"nonce"`
}

// refundNotice is the content of REFUND.*: its status is named refund_status, unlike the answer's.
type refundNotice struct {
	MchID               string              `json:"mchid"`
	OutTradeNo          string              `json:"out_trade_no"`
	TransactionID       string              `json:"transaction_id"`
	OutRefundNo         string              `json:"out_refund_no"`
	RefundID            string              `json:"refund_id"`
	RefundStatus        string              `json:"refund_status"`
	SuccessTime         string              `json:"success_time,omitempty"`
	UserReceivedAccount string              `json:"user_received_account"`
	Amount              refundNoticeAmounts `json:"amount"`
}

type refundNoticeAmounts struct {
	Total       money.Fen `json:"total"`
	Refund      money.Fen `json:"refund"`
	PayerTotal  money.Fen `json:"payer_total"`
	PayerRefund money.Fen `json:"payer_refund"`
}

// envelope makes the body of a notice from the books as they stood when it arose.
func (s *Sim) envelope(id string, more money.Fen) (url string, body []byte, err error) {
	s.mu.Lock()
	n := s.books.notices[id]
	o := s.books.orders[n.OutTradeNo]
	var content any
	var kind, summary string
	switch {
	case n.MixTradeNo != "": // its envelope has neither type nor summary nor associated data
		content = s.paidMixed(s.books.mixed[n.OutTradeNo], more)
	case n.OutRefundNo != "":
		kind, summary = "refund", "退款结果通知"
		content = s.describeRefundNotice(s.books.refunds[n.OutRefundNo], o, n.CreatedAt, more)
	default:
		kind, summary = "transaction", "支付成功"
		content = s.describe(o, statePaid, int64(more))
	}
	s.mu.Unlock()
	plain, err := json.Marshal(content)
	if err != nil {
		return "", nil, err
	}
	nonce := s.cfg.Source.Nonce(12)
	sealed, err := seal(s.cfg.APIv3Key, nonce, kind, plain)
	if err != nil {
		return "", nil, err
	}
	body, err = json.Marshal(envelope{ID: n.ID, CreateTime: wireTime(n.CreatedAt), ResourceType: "encrypt-resource",
		EventType: n.Event, Summary: summary, Resource: resource{OriginalType: kind, Algorithm: "AEAD_AES_256_GCM",
			Ciphertext: sealed, AssociatedData: kind, Nonce: nonce}})
	return n.URL, body, err
}

func (s *Sim) describeRefundNotice(r *refund, o *order, at time.Time, more money.Fen) refundNotice {
	end := r.at(at)
	total, back := r.Request.Amount.Total, r.Request.Amount.Refund+more
	out := refundNotice{MchID: s.cfg.MchID, OutTradeNo: r.OutTradeNo, TransactionID: o.TransactionID,
		OutRefundNo: r.Request.OutRefundNo, RefundID: r.ID, RefundStatus: end.Status, UserReceivedAccount: receivedByBalance,
		Amount: refundNoticeAmounts{Total: total, Refund: back, PayerTotal: total, PayerRefund: back}}
	if end.Status == refundSuccess {
		out.SuccessTime = wireTime(end.At)
	}
	return out
}

// seal is AEAD_AES_256_GCM under the APIv3 key, in base64.
func seal(key, nonce, associated string, plain []byte) (string, error) {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(nonce), plain, []byte(associated))), nil
}
