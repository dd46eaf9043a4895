package wechatpaysim

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// Truth is what WeChat Pay knows, for those who audit the rest. All amounts are fen.
type Truth struct {
	MchID        string        `json:"mchid"`
	Orders       []OrderTruth  `json:"orders"` // by out_trade_no
	PaidFen      money.Fen     `json:"paid_fen"`
	RefundedFen  money.Fen     `json:"refunded_fen"`
	RefundingFen money.Fen     `json:"refunding_fen"`
	FeeFen       money.Fen     `json:"fee_fen"` // after what was given back
	NetFen       money.Fen     `json:"net_fen"` // paid − refunded − refunding: what the merchant may keep, before fees
	BalanceFen   money.Fen     `json:"balance_fen"`
	Mixed        []MixedTruth  `json:"mixed"`   // by out_trade_no
	Notices      []NoticeTruth `json:"notices"` // those not yet accepted, oldest first
}

// OrderTruth is one order.
type OrderTruth struct {
	OutTradeNo    string        `json:"out_trade_no"`
	TransactionID string        `json:"transaction_id,omitempty"`
	State         string        `json:"state"` // trade_state
	TotalFen      money.Fen     `json:"total_fen"`
	PaidFen       money.Fen     `json:"paid_fen"`
	RefundedFen   money.Fen     `json:"refunded_fen"`  // SUCCESS
	RefundingFen  money.Fen     `json:"refunding_fen"` // PROCESSING and ABNORMAL
	Refunds       []RefundTruth `json:"refunds"`       // in the order of acceptance
}

// RefundTruth is one refund.
type RefundTruth struct {
	OutRefundNo string    `json:"out_refund_no"`
	RefundID    string    `json:"refund_id"`
	Status      string    `json:"status"`
	RefundFen   money.Fen `json:"refund_fen"`
}

// NoticeTruth is one notice under way or given up.
type NoticeTruth struct {
	ID          string `json:"id"`
	Event       string `json:"event"`
	OutTradeNo  string `json:"out_trade_no"`
	OutRefundNo string `json:"out_refund_no,omitempty"`
	Tries       int    `json:"tries"`
	GivenUp     bool   `json:"given_up"`
}

// Truth reads the books as they stand now.
func (s *Sim) Truth() Truth {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	t := Truth{MchID: s.cfg.MchID, Orders: []OrderTruth{}, Mixed: []MixedTruth{}, Notices: []NoticeTruth{}, BalanceFen: s.books.available(now)}
	for _, key := range slices.Sorted(maps.Keys(s.books.orders)) {
		o := s.books.orders[key]
		one := OrderTruth{OutTradeNo: key, TransactionID: o.TransactionID, State: o.state(now), TotalFen: o.Request.Amount.Total,
			Refunds: []RefundTruth{}}
		if o.paid() {
			one.PaidFen = o.Request.Amount.Total
		}
		one.RefundedFen, one.RefundingFen = s.books.givenBack(o, now)
		t.FeeFen += o.Fee
		for _, number := range o.Refunds {
			r := s.books.refunds[number]
			status := r.at(now).Status
			if status != refundClosed {
				t.FeeFen -= r.FeeBack
			}
			one.Refunds = append(one.Refunds, RefundTruth{number, r.ID, status, r.Request.Amount.Refund})
		}
		t.PaidFen, t.RefundedFen, t.RefundingFen = t.PaidFen+one.PaidFen, t.RefundedFen+one.RefundedFen, t.RefundingFen+one.RefundingFen
		t.Orders = append(t.Orders, one)
	}
	for _, key := range slices.Sorted(maps.Keys(s.books.mixed)) {
		t.Mixed = append(t.Mixed, s.mixedTruth(s.books.mixed[key], now))
	}
	t.NetFen = t.PaidFen - t.RefundedFen - t.RefundingFen
	for _, n := range s.books.notices {
		if !n.Accepted {
			t.Notices = append(t.Notices, NoticeTruth{n.ID, n.Event, n.OutTradeNo, n.OutRefundNo, n.Tries, n.GivenUp})
		}
	}
	slices.SortFunc(t.Notices, func(a, b NoticeTruth) int { return cmp.Compare(a.ID, b.ID) })
	return t
}

// Control is for the sandbox page and tuoka pay: plain JSON without signatures or faults. An action answers {"ok":true}, or
// {"error":"…"} with the words a phone would show.
//
//	GET  /truth             Truth
//	POST /pay               PhonePay
//	POST /pay-mixed         PhoneMixed
//	POST /mixed/script      MixedStates
//	POST /mixed/typed       Typed
//	POST /mixed/cash        {"mode"}, a CashMode
//	POST /bank-refusals     {"out_trade_no","times"}
//	POST /refunds/script    {"out_refund_no","status","times","after_bill"}
//	POST /refunds/settle    {"out_refund_no","status"}
//	POST /deposits          {"fen"}
//	GET  /withdrawals       []Withdrawal
//	POST /bills/form        BillForm
//	POST /probes            {"times"}
//	GET  /faults            {"level","seed","injected"}
//	PUT  /faults            {"level","seed"}
//	POST /faults/script     {"op","key","fault","times"}
func (s *Sim) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /truth", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Truth()) })
	mux.HandleFunc("POST /pay", func(w http.ResponseWriter, r *http.Request) {
		act(w, r, func(in PhonePay) error { return s.Pay(r.Context(), in) })
	})
	mux.HandleFunc("GET /withdrawals", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Withdrawals()) })
	mux.HandleFunc("POST /bills/form", func(w http.ResponseWriter, r *http.Request) {
		act(w, r, func(in BillForm) error {
			s.SetBillForm(in)
			return nil
		})
	})
	type wish struct {
		OutTradeNo  string    `json:"out_trade_no"`
		OutRefundNo string    `json:"out_refund_no"`
		Status      string    `json:"status"`
		Times       int       `json:"times"`
		Fen         money.Fen `json:"fen"`
		AfterBill   bool      `json:"after_bill"`
	}
	for path, do := range map[string]func(wish) error{
		"/bank-refusals": func(in wish) error { return s.RefuseBank(in.OutTradeNo, in.Times) },
		"/refunds/script": func(in wish) error {
			return s.scriptRefunds(script{Key: in.OutRefundNo, Outcome: in.Status, Late: in.AfterBill, Times: in.Times})
		},
		"/refunds/settle": func(in wish) error { return s.SettleRefund(in.OutRefundNo, in.Status) },
		"/deposits":       func(in wish) error { return s.Deposit(in.Fen) },
		"/probes": func(in wish) error {
			s.Probe(in.Times)
			return nil
		},
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { act(w, r, do) })
	}
	s.controlMixed(mux)
	if s.cfg.Plan != nil {
		s.controlFaults(mux)
	}
	return mux
}

func (s *Sim) controlFaults(mux *http.ServeMux) {
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		level, seed := s.cfg.Plan.Level()
		writeJSON(w, http.StatusOK, map[string]any{"level": level, "seed": seed, "injected": s.cfg.Plan.Injected()})
	})
	type mixture struct {
		Level sandbox.Level `json:"level"`
		Seed  uint64        `json:"seed"`
	}
	mux.HandleFunc("PUT /faults", func(w http.ResponseWriter, r *http.Request) {
		act(w, r, func(in mixture) error { return s.cfg.Plan.SetLevel(in.Level, in.Seed) })
	})
	mux.HandleFunc("POST /faults/script", func(w http.ResponseWriter, r *http.Request) {
		act(w, r, func(in sandbox.Script) error {
			if in.Op == "" || in.Fault == "" {
				return errors.New("op and fault are required")
			}
			s.cfg.Plan.Script(in)
			return nil
		})
	})
}

// act reads the body, does it, and answers.
func act[T any](w http.ResponseWriter, r *http.Request, do func(T) error) {
	var in T
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	if err == nil {
		err = do(in)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}
