package wechatpaysim

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// MixedStates forces the three states in the answers of the next queries about an order (empty: any), whatever is true; an empty state
// stays as it is. States that are not published are allowed: WeChat may know more than it tells.
type MixedStates struct {
	OutTradeNo string `json:"out_trade_no,omitempty"`
	Mix        string `json:"mix,omitempty"`
	Self       string `json:"self,omitempty"`
	MedIns     string `json:"med_ins,omitempty"`
	Times      int    `json:"times"`
}

// Typed holds the next mixed order that is paid (empty: any) between the password and the outcome. Closing its cash order is refused
// meanwhile. It ends after that many attempts to close, or that many seconds (which the pace does not divide), whichever comes first;
// Step then brings it to success, or to failure when Refused says why.
type Typed struct {
	OutTradeNo string `json:"out_trade_no,omitempty"`
	Closes     int    `json:"closes,omitempty"`
	Seconds    int    `json:"seconds,omitempty"`
	Refused    string `json:"refused,omitempty"`
}

func (t Typed) begin(now time.Time) *typed {
	out := &typed{Counted: t.Closes > 0, Closes: t.Closes, Refused: t.Refused}
	if t.Seconds > 0 {
		out.Until = now.Add(time.Duration(t.Seconds) * time.Second)
	}
	return out
}

func takeStates(list []MixedStates, outTradeNo string) (found MixedStates, left []MixedStates, ok bool) {
	left = slices.Clone(list)
	at := slices.IndexFunc(left, func(w MixedStates) bool { return w.OutTradeNo == "" || w.OutTradeNo == outTradeNo })
	if at < 0 {
		return MixedStates{}, left, false
	}
	found = left[at]
	if left[at].Times--; left[at].Times <= 0 {
		left = slices.Delete(left, at, at+1)
	}
	return found, left, true
}

func takeTyped(list []Typed, outTradeNo string) (found Typed, left []Typed, ok bool) {
	left = slices.Clone(list)
	at := slices.IndexFunc(left, func(w Typed) bool { return w.OutTradeNo == "" || w.OutTradeNo == outTradeNo })
	if at < 0 {
		return Typed{}, left, false
	}
	found = left[at]
	return found, slices.Delete(left, at, at+1), true
}

// force puts a script's states into an answer, with what belongs to them.
func (a *mixedAnswer) force(wish MixedStates, now time.Time) {
	for place, state := range map[*string]string{&a.Mix: wish.Mix, &a.Self: wish.Self, &a.MedIns: wish.MedIns} {
		if state != "" {
			*place = state
		}
	}
	paid := a.Mix == mixSuccess || a.Mix == mixRefund
	switch {
	case paid && a.PaidTime == "":
		a.PaidTime = wireTime(now)
	case !paid:
		a.PaidTime = ""
	}
	switch {
	case a.MedIns == insFail && a.FailReason == "":
		a.FailReason = "医保结算失败"
	case a.MedIns != insFail:
		a.FailReason = ""
	}
}

// ScriptMixed orders states for coming queries; they are used up in the order given.
func (s *Sim) ScriptMixed(w MixedStates) error {
	if w.Times < 1 || w.Mix+w.Self+w.MedIns == "" {
		return errors.New("wechatpaysim: force at least one state, at least once")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wishes := s.books.scripts
	wishes.States = append(slices.Clone(wishes.States), w)
	return s.commit(entry{Scripts: &wishes})
}

// ScriptTyped orders a time between password and outcome.
func (s *Sim) ScriptTyped(w Typed) error {
	if w.Closes < 0 || w.Seconds < 0 || w.Closes+w.Seconds == 0 {
		return errors.New("wechatpaysim: what is typed ends after closes or seconds")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wishes := s.books.scripts
	wishes.Typed = append(slices.Clone(wishes.Typed), w)
	return s.commit(entry{Scripts: &wishes})
}

// SetMixedCash decides what becomes of the cash when the insurer refuses, from now on; empty: as configured or drawn.
func (s *Sim) SetMixedCash(mode CashMode) error {
	if mode != "" && !mode.known() {
		return errors.New("wechatpaysim: cash is kept, returned or uncharged")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wishes := s.books.scripts
	wishes.Cash = mode
	return s.commit(entry{Scripts: &wishes})
}

// MixedTruth is one mixed order.
type MixedTruth struct {
	OutTradeNo string    `json:"out_trade_no"`
	MixTradeNo string    `json:"mix_trade_no"`
	SerialNo   string    `json:"serial_no"`
	PayOrderID string    `json:"pay_order_id,omitempty"`
	OrderType  string    `json:"order_type"` // REG_PAY, DIAG_PAY …
	Mix        string    `json:"mix"`
	Self       string    `json:"self"`
	MedIns     string    `json:"med_ins"`
	TotalFen   money.Fen `json:"total_fen"`
	InsuredFen money.Fen `json:"insured_fen"` // pooled fund, account and other funds
	CashFen    money.Fen `json:"cash_fen"`    // what WeChat charges
	Notified   bool      `json:"notified"`    // the merchant has accepted MEDICAL_INSURANCE.SUCCESS
}

// mixedTruth reads one order as it stands now. The caller holds the lock.
func (s *Sim) mixedTruth(m *mixed, now time.Time) MixedTruth {
	mix, self, ins := s.mixedState(m, now)
	a := m.Request.amounts()
	return MixedTruth{OutTradeNo: m.number(), MixTradeNo: m.MixTradeNo, SerialNo: m.Request.SerialNo, PayOrderID: m.Request.PayOrderID, OrderType: m.Request.OrderType,
		Mix: mix, Self: self, MedIns: ins, TotalFen: a.total, InsuredFen: m.Request.insured(), CashFen: a.wechat,
		Notified: s.books.notified[m.MixTradeNo]}
}

func (s *Sim) controlMixed(mux *http.ServeMux) {
	mux.HandleFunc("POST /pay-mixed", func(w http.ResponseWriter, r *http.Request) {
		act(w, r, func(in PhoneMixed) error { return s.PayMixed(r.Context(), in) })
	})
	mux.HandleFunc("POST /mixed/script", func(w http.ResponseWriter, r *http.Request) { act(w, r, s.ScriptMixed) })
	mux.HandleFunc("POST /mixed/typed", func(w http.ResponseWriter, r *http.Request) { act(w, r, s.ScriptTyped) })
	mux.HandleFunc("POST /mixed/cash", func(w http.ResponseWriter, r *http.Request) {
		act(w, r, func(in struct {
			Mode CashMode `json:"mode"`
		}) error {
			return s.SetMixedCash(in.Mode)
		})
	})
}
