// Package wechatpaysim is WeChat Pay APIv3 (微信支付) for one direct merchant, as far as a mini program needs it: JSAPI orders, mixed
// orders of medical insurance and cash (医保自费混合订单), refunds, notices and bills, on the true wire. It checks what it is sent as
// WeChat Pay does, keeps its books in a journal, and misbehaves by plan. What it knows of the wire it took from WeChat's pages, not
// from our client, with which it shares no code.
//
// Everything that WeChat Pay reckons by its own calendar (expiry, refund times, bills) follows Config.Clock; what two machines
// compare by their watches (timestamps of requests, answers and notices) follows Config.Stamp.
package wechatpaysim

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// Config is what WeChat Pay knows of the merchant, and how this simulator is driven.
type Config struct {
	MchID          string          // 商户号
	AppIDs         []string        // the appids bound to the merchant number
	APIv3Key       string          // 32 bytes; encrypts notices
	MerchantSerial string          // serial of the merchant's API certificate
	MerchantKey    *rsa.PublicKey  // of that certificate; checks requests and paySign
	KeyID          string          // 微信支付公钥ID, begins PUB_KEY_ID_
	Key            *rsa.PrivateKey // WeChat's; signs answers and notices

	Clock   clock.Clock
	Stamp   clock.Clock // compares and writes timestamps; nil: Clock
	Source  *clock.Source
	Journal string        // path of the journal; empty: memory only
	Plan    *sandbox.Plan // nil: no faults
	Notify  http.RoundTripper

	// KnownOpenID tells whether an openid exists; nil: every one does.
	KnownOpenID func(openid string) bool
	// Opening is the merchant's balance at the start.
	Opening money.Fen
	// RefundDelay is how long a refund is PROCESSING; 0: five minutes, negative: none.
	RefundDelay time.Duration
	// RefundGap is the least time between two refunds of one order; 0: one minute, negative: none.
	RefundGap time.Duration
	// Pace divides RefundDelay, RefundGap and the waits between notices.
	Pace clock.Pace
	// MedIns opens /v3/med-ins to the merchant; nil: the permission is missing.
	MedIns *MedIns
	// Centre settles the insurer's part of mixed orders; required with MedIns.
	Centre Centre
	// Credentials knows the e-credentials; nil: everybody is who the order says.
	Credentials Credentials
	// NeedsPassthrough refuses mixed orders whose passthrough_request_content does not repeat authorisation, order and place, as some
	// cities do.
	NeedsPassthrough bool
	// WithdrawAt is the time of day in China at which the whole available balance goes to the bank (自动提现); 0: never.
	WithdrawAt time.Duration
	// BillsAtOnce serves the current day's bill as it stands, for a sandbox that cannot wait until ten tomorrow.
	BillsAtOnce bool
}

// Sim is WeChat Pay. Its methods may be called by several goroutines.
type Sim struct {
	cfg     Config
	stamp   clock.Clock
	journal *sandbox.Journal
	door    http.RoundTripper // carries notices through the fault plan

	mu           sync.Mutex
	books        books
	nonces       map[string]seen
	downloads    map[string]download
	delivering   map[string]bool // notices that a Step has in hand
	settling     map[string]bool // mixed orders whose centre is being asked, by out_trade_no
	form         BillForm
	probes       int
	noncesPurged time.Time
}

// New opens the journal and brings the books to where they stood. It fails on keys with which WeChat Pay could not work.
func New(cfg Config) (*Sim, error) {
	if err := check(cfg); err != nil {
		return nil, fmt.Errorf("wechatpaysim: %w", err)
	}
	s := &Sim{cfg: cfg, stamp: cfg.Stamp, books: newBooks(cfg.Opening), nonces: map[string]seen{},
		downloads: map[string]download{}, delivering: map[string]bool{}, settling: map[string]bool{}}
	if s.stamp == nil {
		s.stamp = cfg.Clock
	}
	journal, err := sandbox.OpenJournal(cfg.Journal, func(line []byte) error {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		s.books.apply(e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("wechatpaysim: %w", err)
	}
	s.journal = journal
	s.door = s.noticeDoor()
	return s, nil
}

func check(cfg Config) error {
	switch {
	case cfg.MchID == "" || len(cfg.AppIDs) == 0:
		return errors.New("merchant number and appids are required")
	case len(cfg.APIv3Key) != 32:
		return errors.New("the APIv3 key must have 32 bytes")
	case cfg.MerchantSerial == "" || cfg.MerchantKey == nil:
		return errors.New("the merchant's certificate is required")
	case !strings.HasPrefix(cfg.KeyID, "PUB_KEY_ID_") || cfg.Key == nil:
		return errors.New("WeChat's key and its id (PUB_KEY_ID_…) are required")
	case cfg.Clock == nil || cfg.Source == nil:
		return errors.New("clock and source are required")
	case cfg.Opening < 0:
		return errors.New("the opening balance is negative")
	case cfg.WithdrawAt < 0 || cfg.WithdrawAt >= 24*time.Hour:
		return errors.New("the time of the withdrawal is not within a day")
	}
	return cfg.MedIns.check(cfg.Centre)
}

// Close closes the journal.
func (s *Sim) Close() error { return s.journal.Close() }

// wait is a configured waiting time: 0 stands for usual, less for none; the pace divides it.
func (s *Sim) wait(configured, usual time.Duration) time.Duration {
	switch {
	case configured < 0:
		return 0
	case configured == 0:
		configured = usual
	}
	return s.cfg.Pace.Wait(configured)
}

// commit writes an effect to the journal and then to the books. The caller holds the lock and has checked everything.
func (s *Sim) commit(e entry) error {
	if err := s.journal.Append(e); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	s.books.apply(e)
	return nil
}

// Handler is the API as WeChat Pay serves it, behind the fault plan.
func (s *Sim) Handler() http.Handler {
	api := s.api()
	if s.cfg.Plan == nil {
		return api
	}
	return s.cfg.Plan.Wrap(s.call, api)
}

func (s *Sim) api() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /v3/pay/transactions/jsapi", s.signed(s.prepay))
	mux.Handle("GET /v3/pay/transactions/out-trade-no/{number}", s.signed(s.queryByNumber))
	mux.Handle("GET /v3/pay/transactions/id/{id}", s.signed(s.queryByID))
	mux.Handle("POST /v3/pay/transactions/out-trade-no/{number}/close", s.signed(s.closeOrder))
	mux.Handle("POST /v3/refund/domestic/refunds", s.signed(s.refund))
	mux.Handle("GET /v3/refund/domestic/refunds/{number}", s.signed(s.queryRefund))
	mux.Handle("POST /v3/med-ins/orders", s.signed(s.createMixed))
	mux.Handle("GET /v3/med-ins/orders/out-trade-no/{number}", s.signed(s.queryMixedByNumber))
	mux.Handle("GET /v3/med-ins/orders/mix-trade-no/{number}", s.signed(s.queryMixedByTradeNo))
	mux.Handle("POST /v3/med-ins/refunds/notify", s.signed(s.mixedRefunded))
	mux.Handle("GET /v3/bill/tradebill", s.signed(s.tradeBill))
	mux.Handle("GET /v3/bill/fundflowbill", s.signed(s.fundFlowBill))
	mux.Handle("GET /v3/billdownload/file", http.HandlerFunc(s.download))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.writeRefusal(w, refuse(http.StatusNotFound, "RESOURCE_NOT_EXISTS", "请求的资源不存在"))
	})
	return mux
}

// call names a request for the fault plan: by out_trade_no what concerns an order, by out_refund_no what concerns a refund.
func (s *Sim) call(r *http.Request, body []byte) sandbox.Call {
	const orders, ids, refunds = "/v3/pay/transactions/out-trade-no/", "/v3/pay/transactions/id/", "/v3/refund/domestic/refunds/"
	var in struct {
		OutTradeNo  string `json:"out_trade_no"`
		OutRefundNo string `json:"out_refund_no"`
	}
	_ = json.Unmarshal(body, &in) // a body that cannot be read has no number; the handler refuses it
	path := r.URL.Path
	switch {
	case path == "/v3/pay/transactions/jsapi":
		return sandbox.Call{Op: "jsapi", Key: in.OutTradeNo, Refusable: true}
	case strings.HasPrefix(path, orders) && strings.HasSuffix(path, "/close"):
		return sandbox.Call{Op: "close", Key: strings.TrimSuffix(strings.TrimPrefix(path, orders), "/close")}
	case strings.HasPrefix(path, orders):
		return sandbox.Call{Op: "query", Key: strings.TrimPrefix(path, orders), Priced: true}
	case strings.HasPrefix(path, ids):
		return sandbox.Call{Op: "query", Key: s.numberOf(strings.TrimPrefix(path, ids)), Priced: true}
	case path+"/" == refunds:
		return sandbox.Call{Op: "refund", Key: in.OutRefundNo, Refusable: true}
	case strings.HasPrefix(path, refunds):
		return sandbox.Call{Op: "refund_query", Key: strings.TrimPrefix(path, refunds)}
	case strings.HasPrefix(path, "/v3/med-ins/"):
		return s.callMixed(path, in.OutTradeNo, r.URL.Query())
	case path == "/v3/billdownload/file":
		return sandbox.Call{Op: "download"}
	default:
		return sandbox.Call{Op: path[strings.LastIndex(path, "/")+1:], Key: r.URL.Query().Get("bill_date")}
	}
}

// numberOf is the out_trade_no of a transaction id, empty when there is none.
func (s *Sim) numberOf(transactionID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.books.transactions[transactionID]
}
