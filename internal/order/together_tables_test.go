package order

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

// TestReadingRules: the rows of wechat-med-ins.md §d.3, by hand.
func TestReadingRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mix, self, ins string
		cash           bool
		want           State
	}{
		{payment.MixSuccess, payment.SelfSuccess, payment.InsSuccess, true, Completed},
		{payment.MixSuccess, payment.SelfNone, payment.InsSuccess, false, Completed},
		{payment.MixSuccess, payment.SelfSuccess, payment.InsNone, true, InReview}, // no such order is ours
		{payment.MixCreated, payment.SelfCreated, payment.InsCreated, true, Closed},
		{payment.MixFail, payment.SelfSuccess, payment.InsFail, true, Unwound}, // the cash goes back
		{payment.MixFail, payment.SelfFail, payment.InsFail, true, Closed},
		{payment.MixFail, payment.SelfCreated, payment.InsFail, true, Closed},
		{payment.MixFail, payment.SelfNone, payment.InsFail, false, Closed},
		{payment.MixFail, payment.SelfFail, payment.InsSuccess, true, Unwound},     // the incident: 6301, then 6203
		{payment.MixFail, payment.SelfNone, payment.InsSuccess, false, Unwound},    // likewise
		{payment.MixFail, payment.SelfSuccess, payment.InsSuccess, true, InReview}, // both parts are there: design.md §3
		{payment.MixSuccess, payment.SelfRefund, payment.InsSuccess, true, InReview},
		{payment.MixSuccess, payment.SelfSuccess, payment.InsRefund, true, InReview},
		{"UNKNOWN_MIX_PAY_STATUS", payment.SelfCreated, payment.InsCreated, true, InReview},
		{payment.MixSuccess, "UNKNOWN_SELF_PAY_STATUS", payment.InsSuccess, true, InReview},
		{payment.MixSuccess, payment.SelfSuccess, "UNKNOWN_MED_INS_PAY_STATUS", true, InReview},
	} {
		if o := threeStates(t, tt.cash, tt.mix, tt.self, tt.ins); o.State != tt.want {
			t.Errorf("%s %s %s ends in %s (%s), want %s", tt.mix, tt.self, tt.ins, o.State, o.Cause, tt.want)
		}
	}
}

// situations are the moments at which 6301 decides.
var situations = []struct {
	name string
	play func(w *world) ID
}{
	{"6202 lost", func(w *world) ID {
		w.once("foresee", 1, loseBefore)
		return w.mustQuote(true, testBill)
	}},
	{"WeChat says paid", func(w *world) ID {
		id := confirmed(w)
		w.mustPay(id)
		return id
	}},
	{"WeChat says failed, cash kept", func(w *world) ID {
		w.centre.refuses = "结算失败"
		id := confirmed(w)
		w.mustPay(id)
		return id
	}},
	{"nobody pays", confirmed},
	{"6203 lost", func(w *world) ID {
		w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
		says := w.centre.says
		w.centre.says = nil
		w.mishaps = func(op, _ string) mishap {
			if op == "give back" && w.calls[op] == 1 {
				w.centre.says = says // from here on
				return loseAfter
			}
			return fine
		}
		return paid(w)
	}},
}

// TestEveryOrdStas: each code 0 to 25, told by 6301 from the first time it is asked, at every moment at which it decides. The table is
// testdata/ordstas.golden.
func TestEveryOrdStas(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	for _, s := range situations {
		for code := range settlement.OrdStas(26) {
			w := newWorld(t, 1)
			togetherHere(w)
			w.outside = true
			w.centre.says = func(settlement.OrdStas) settlement.OrdStas { return code }
			id := s.play(w)
			w.settle(tenDays)
			o := w.order(id)
			if !o.State.Final() && o.State != InReview {
				t.Errorf("%s, %d ends in %s\n%s", s.name, code, o.State, strings.Join(w.log, "\n"))
			}
			fmt.Fprintf(&table, "%-30s %2d %-10s -> %s %s\n", s.name, code, code.Standing(), o.State, o.Cause)
			if code > settlement.CashAtRisk && o.State == Completed {
				t.Errorf("%s: code %d, whose meaning nobody knows, ends in %s", s.name, code, o.State)
			}
		}
	}
	golden(t, "ordstas.golden", table.String())
}

// TestRefusedByWeChat: where each refusal of the mixed order ends (wechat-med-ins.md §g); the adapter's own table maps every number of §g to
// one of these.
func TestRefusedByWeChat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err   error
		times int
		state State
		cause Cause
	}{
		{payment.ErrMixedAuth, 1, Closed, AuthTooOld}, // nobody authorises anew; TestAuthorisationRenewed tells the rest
		{payment.ErrMixedPayer, 1, Closed, PayerRefused},
		{payment.ErrMixedNoCredential, 1, Closed, NoCredential},
		{payment.ErrMixedKin, 1, Closed, NoKin},
		{payment.ErrMixedInsurer, 1, Closed, NotPaid}, // another out_trade_no helped, and then nobody paid
		{payment.ErrMixedInsurer, 2, Closed, SettleRefused},
		{payment.ErrMixedNotExist, 1, Closed, MixedRefused},
		{payment.ErrMixedRefused, 1, Closed, MixedRefused},
		{payment.ErrMixedNoReverse, 1, Closed, MixedRefused},
		{payment.ErrMixedExists, 1, Closed, NotPaid}, // asked; WeChat knew none; sent again
		{payment.ErrUnknown, 3, Closed, NotPaid},
		{payment.ErrNotSent, 3, Closed, NotPaid},
	} {
		for _, cash := range []bool{true, false} {
			w := newWorld(t, 1)
			togetherHere(w)
			if !cash {
				noCash(w)
			}
			for range tt.times {
				w.wechat.mixed.refuse = append(w.wechat.mixed.refuse, tt.err)
			}
			id := confirmed(w)
			w.settle(tenDays)
			o := w.wantState(id, tt.state, tt.cause)
			if m := o.Mixed[0]; m.State == payment.MixedRefused && m.Refused == "" {
				t.Errorf("%v: the number behind the refusal is not kept", tt.err)
			}
			w.auditEnd()
			w.tell(t, id, fmt.Sprintf("%v, %d times, cash %v", tt.err, tt.times, cash))
		}
	}
}

// TestAnotherNumber: after a refusal that may pass, the same upload is tried under a new out_trade_no, the former cash order closed.
func TestAnotherNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.wechat.mixed.refuse = []error{payment.ErrMixedInsurer}
	id := confirmed(w)
	o := w.order(id)
	if len(o.Mixed) != 2 || o.Mixed[0].SerialNo != o.Mixed[1].SerialNo || o.Mixed[0].OutTradeNo == o.Mixed[1].OutTradeNo || len(o.Settlements) != 1 ||
		o.Payments[0].State != payment.Closed || o.Payments[1].OutTradeNo != o.Mixed[1].OutTradeNo {
		t.Fatalf("mixed %+v, payments %+v", o.Mixed, o.Payments)
	}
	w.mustPay(id)
	w.settle(tenDays)
	w.wantState(id, Completed, "")
	w.auditEnd()
	w.tell(t, id)
}
