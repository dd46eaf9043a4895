package order

import (
	"context"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// plainly pays a bill that the insurer was to see and sees no more: by plain JSAPI, without a mixed order.
func plainly(w *world, id ID) {
	w.settle(2 * time.Minute)
	if o := w.order(id); o.State != Quoted || o.Split != split.AllCash(2000) {
		w.t.Fatalf("after the change: %s %+v", o.State, o.Split)
	}
	w.mustConfirm(id)
	if o := w.order(id); len(w.wechat.mixed.orders) != 0 || o.Payable(w.clock.Now()) != ByCash || o.Payment().Amount != 2000 {
		w.t.Errorf("%d mixed orders, payable %q", len(w.wechat.mixed.orders), o.Payable(w.clock.Now()))
	}
	w.mustPay(id)
}

// silent is a centre whose 6301 tells no amounts.
type silent struct{ *centre }

func (c silent) Query(ctx context.Context, in settlement.Claim) (settlement.Stand, error) {
	s, err := c.centre.Query(ctx, in)
	s.Told, s.Figures = false, settlement.Figures{}
	return s, err
}

// takesEffect lets every 6202 settle at the centre, and then goes wrong.
func takesEffect(w *world, then mishap) func(op, key string) mishap {
	return func(op, _ string) mishap {
		if op != "foresee" {
			return fine
		}
		for _, u := range w.centre.uploads {
			u.stas, u.figures = settlement.AllDone, settlement.Figures{Total: 8000, Fund: 4000, Account: 1000, Cash: 3000}
		}
		return then
	}
}

func TestTogetherGoesWrong(t *testing.T) {
	t.Parallel()
	for _, s := range []story{
		{"nothing insured is left at confirm", jointly(func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.addBill(testBill, 0, 2000)
			w.mustConfirm(id)
			plainly(w, id)
			return id
		}), Completed, ""},
		{"nothing insured is left after a refusal", jointly(with("upload", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.addBill(testBill, 0, 2000)
			w.mustConfirm(id)
			plainly(w, id)
			return id
		}, refuse)), Completed, ""},
		{"6202 lost after its effect, and the patient gives up", jointly(with("foresee", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			mustCancel(w, id, Closed)
			return id
		}, loseAfter)), Closed, ByPatient},
		{"6202 lost after its effect, and then silence", jointly(func(w *world) ID {
			w.mishaps = func(op, _ string) mishap {
				switch {
				case op == "foresee" && w.calls[op] == 1:
					return loseAfter
				case op == "foresee":
					return loseBefore
				}
				return fine
			}
			return w.mustQuote(true, testBill)
		}), Closed, InsurerSilent},
		{"6202 lost after its effect, refused when repeated: cash is offered", jointly(with("foresee", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.settle(5 * time.Minute)
			w.mustConfirm(id)
			w.mustPay(id)
			return id
		}, loseAfter, refuse)), Completed, ""},
		{"6202 refused and yet settled, and no amounts told: no cash is asked for", jointly(func(w *world) ID {
			w.outside, w.party.Centre = true, silent{w.centre}
			w.boot()
			w.mishaps = takesEffect(w, refuse)
			return w.mustQuote(true, testBill)
		}), InReview, CentrePeculiar},
		{"6301 tells no amounts: nothing is posted", jointly(func(w *world) ID {
			w.party.Centre = silent{w.centre}
			w.boot()
			return paid(w)
		}), InReview, SidesDiffer},
		{"the hospital joins the centre while an order of before is live", func(w *world) ID {
			id := confirmed(w)
			w.mustPay(id)
			insurer := w.party.Insurer
			togetherHere(w)
			w.party.Insurer = insurer
			w.boot()
			return id
		}, Completed, ""},
	} {
		s.run(t)
	}
}

// TestNoInsurerAnyMore: an order whose route nobody serves any more waits with an error, and breaks nothing.
func TestNoInsurerAnyMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := confirmed(w)
	w.mustPay(id)
	w.party.Insurer = nil
	w.boot()
	w.advance(time.Hour)
	if worked, err := w.service.Step(t.Context()); !worked || err == nil {
		t.Errorf("Step = %v, %v", worked, err)
	}
	w.wantState(id, Paying, "")
}

// TestConfiguredAway: an order whose insurer or institution is not configured any more is left as it is, and whoever asks is told.
func TestConfiguredAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		joint bool
		play  func(w *world) ID
		away  func(w *world)
		ask   func(w *world, id ID) error
	}{
		{"cancel", false, confirmed, func(w *world) { w.party.Insurer = nil },
			func(w *world, id ID) error { _, err := w.service.Cancel(w.t.Context(), testAccount, id); return err }},
		{"cancel at the centre", true, confirmed, func(w *world) { w.party.Centre = nil },
			func(w *world, id ID) error { _, err := w.service.Cancel(w.t.Context(), testAccount, id); return err }},
		{"a notice", false, confirmed, func(w *world) { w.party.Insurer = nil }, func(w *world, id ID) error {
			w.notify("e1", w.order(id).Payment().OutTradeNo)
			_, err := w.service.StepInbox(w.t.Context())
			return err
		}},
		{"renew", true, func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.people.authorise(w.clock.Now().Add(time.Hour))
			return id
		}, func(w *world) { w.party.Centre = nil },
			func(w *world, id ID) error { _, err := w.service.Renew(w.t.Context(), testAccount, id); return err }},
		{"vote, the institution gone", false, func(w *world) ID {
			w.his.wrong = 1
			w.mishaps = always("post", loseAfter)
			id := paid(w)
			w.settle(tenDays)
			return id
		}, func(w *world) { w.party.Institution = "h9" }, func(w *world, id ID) error {
			_, _, err := w.service.Vote(w.t.Context(), "staff:1", id, Verdict{Outcome: ToUnwind}, "")
			return err
		}},
		{"refund, the institution gone", false, booked, func(w *world) { w.party.Institution = "h9" },
			func(w *world, id ID) error { _, err := w.give(id); return err }},
	} {
		w := newWorld(t, 1)
		if tt.joint {
			togetherHere(w)
		}
		id := tt.play(w)
		before := w.order(id)
		tt.away(w)
		w.boot()
		if err := tt.ask(w, id); err == nil {
			t.Errorf("%s: nobody is told", tt.name)
		}
		if o := w.order(id); o.State != before.State || o.Version != before.Version {
			t.Errorf("%s: the order is %s in version %d, was %s in %d", tt.name, o.State, o.Version, before.State, before.Version)
		}
	}
}

// TestRevokedOnlyWhenOpen: nobody revokes what is being settled.
func TestRevokedOnlyWhenOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	noCash(w)
	w.outside = true
	confirmed(w)
	moving, sent := false, 0
	w.centre.says = func(s settlement.OrdStas) settlement.OrdStas {
		if moving {
			return settlement.CentreSettling
		}
		return s
	}
	w.mishaps = func(op, _ string) mishap {
		if op != "revoke" {
			return fine
		}
		if moving {
			sent++
		}
		moving = true
		return loseBefore
	}
	w.settle(3 * time.Hour)
	if !moving || sent > 0 {
		t.Errorf("6401 sent %v, and %d times while 6301 said 2", moving, sent)
	}
}

// TestCashReturnedByWechat: cash that WeChat has given back by itself, once we had seen it, is a matter for people and not refunded again.
func TestCashReturnedByWechat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		play func(w *world) (ID, *bool)
	}{
		{"seen while closing", func(w *world) (ID, *bool) {
			id, moving := confirmed(w), false
			no := w.order(id).MixedOrder().OutTradeNo
			c := w.wechat.orders[no]
			c.state, c.paidAt, c.number = payment.Success, w.clock.Now(), "42000"
			w.wechat.mixed.orders[no].self = payment.SelfSuccess
			mustCancel(w, id, Paying)
			m := w.wechat.mixed.orders[no]
			m.mix, m.ins, m.reason = payment.MixFail, payment.InsFail, "refused"
			w.centre.uploads[m.in.PayOrderID].stas = settlement.SettleFailed
			return id, &moving
		}},
		{"while the centre moves", func(w *world) (ID, *bool) {
			moving := true
			w.centre.refuses = "refused"
			w.centre.says = func(s settlement.OrdStas) settlement.OrdStas {
				if moving {
					return settlement.CentreSettling
				}
				return s
			}
			id := confirmed(w)
			w.mustPay(id)
			w.settle(10 * time.Minute)
			return id, &moving
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			togetherHere(w)
			id, moving := tt.play(w)
			o := w.order(id)
			if o.Payment().State != payment.Paid {
				t.Fatalf("payment %s", o.Payment().State)
			}
			w.outside, *moving = true, false
			c := w.wechat.orders[o.MixedOrder().OutTradeNo]
			c.state, c.refunded = payment.TradeRefunded, c.total
			w.wechat.mixed.orders[o.MixedOrder().OutTradeNo].self = payment.SelfRefund
			w.settle(tenDays)
			w.wantState(id, InReview, CashGone)
			if w.calls["refund"] > 0 {
				t.Errorf("%d refunds asked for", w.calls["refund"])
			}
			w.tell(t, id)
		})
	}
}

// TestPasswordTypedForEver: an order that can neither be closed nor is decided is shown to a person after a day.
func TestPasswordTypedForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.wechat.mixed.typed = true
	id := confirmed(w)
	w.mustPay(id)
	mustCancel(w, id, Paying)
	w.settle(tenDays)
	w.wantState(id, InReview, TooLong)
	if w.calls["close"] > 100 {
		t.Errorf("%d closes", w.calls["close"])
	}
	w.tell(t, id)
}

// TestNothingCameOfThePassword: a patient who gave up does not have to wait until the order expires.
func TestNothingCameOfThePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.wechat.mixed.typed = true
	id := confirmed(w)
	w.mustPay(id)
	mustCancel(w, id, Paying)
	w.settle(10 * time.Minute)
	w.wechat.mixed.typed = false
	w.settle(15 * time.Minute)
	w.wantState(id, Closed, ByPatient)
	w.tell(t, id)
}

// TestLatePaymentOfBoth: both parts of a closed order turn out paid. Whatever question stays without an answer at first, everything goes back or a
// person is shown it; nothing goes back on one side alone.
func TestLatePaymentOfBoth(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"", "query", "mixed query", "centre"} {
		t.Run("lost: "+lost, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			togetherHere(w)
			id := confirmed(w)
			w.settle(tenDays)
			o := w.wantState(id, Closed, NotPaid)
			w.outside = true
			no := o.MixedOrder().OutTradeNo
			m, c := w.wechat.mixed.orders[no], w.wechat.orders[no]
			u := w.centre.uploads[m.in.PayOrderID]
			m.mix, m.self, m.ins, m.paidAt = payment.MixSuccess, payment.SelfSuccess, payment.InsSuccess, w.clock.Now()
			c.state, c.paidAt, c.number = payment.Success, w.clock.Now(), "42000"
			u.stas, u.at = settlement.AllDone, w.clock.Now()
			if lost != "" {
				w.once(lost, w.calls[lost]+1, loseBefore)
			}
			w.notify("late", no)
			w.settleLate(id)
			o = w.wantState(id, Unwound, LatePayment)
			if n, fen := w.insuredAt(o); n != 0 || c.refunded != c.total {
				t.Errorf("the centre holds %s, cash refunded %s of %s", fen, c.refunded, c.total)
			}
			w.tell(t, id)
		})
	}
}

// TestLateCashAndNoVerdict: cash that came late stays while the centre has settled and WeChat calls the whole failed: a person must look.
func TestLateCashAndNoVerdict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		mix   string
		stas  settlement.OrdStas
		state State
		cause Cause
	}{
		{"WeChat says failed, the centre has settled", payment.MixFail, settlement.AllDone, InReview, SidesDiffer},
		{"WeChat says failed, the centre has not settled", payment.MixFail, settlement.SettleFailed, Unwound, LatePayment},
		{"WeChat says failed, the centre is peculiar", payment.MixFail, settlement.Exceptional, InReview, CentrePeculiar},
		{"WeChat has no verdict", payment.MixCreated, settlement.SettleFailed, InReview, TooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			togetherHere(w)
			id := confirmed(w)
			w.settle(tenDays)
			o := w.wantState(id, Closed, NotPaid)
			w.outside = true
			no := o.MixedOrder().OutTradeNo
			m, c := w.wechat.mixed.orders[no], w.wechat.orders[no]
			u := w.centre.uploads[m.in.PayOrderID]
			m.mix, m.self, m.ins = tt.mix, payment.SelfSuccess, payment.InsFail
			c.state, c.paidAt, c.number = payment.Success, w.clock.Now(), "42000"
			u.stas, u.at = tt.stas, w.clock.Now()
			w.notify("late", no)
			w.settleLate(id)
			w.wantState(id, tt.state, tt.cause)
			w.tell(t, id)
		})
	}
}

// settleLate works on an order that looks closed although its job still runs.
func (w *world) settleLate(id ID) {
	w.t.Helper()
	for range 1000 {
		inbox, _ := w.service.StepInbox(w.t.Context())
		worked, _ := w.service.Step(w.t.Context())
		if inbox || worked {
			continue
		}
		next, ok := w.nextDue()
		if !ok {
			return
		}
		w.advance(max(next.Sub(w.fake.Now()), time.Millisecond))
	}
	w.t.Errorf("the work on %s does not end", id.No())
}

// TestLateSuccessWhileTheCentreMoves: WeChat's late success waits for the centre.
func TestLateSuccessWhileTheCentreMoves(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ends  settlement.OrdStas
		state State
		cause Cause
	}{
		{settlement.AllDone, Unwound, LatePayment},
		{settlement.SettleFailed, InReview, SidesDiffer},
		{settlement.CentreSettling, InReview, TooLong},
	} {
		w := newWorld(t, 1)
		togetherHere(w)
		noCash(w)
		id := confirmed(w)
		w.settle(tenDays)
		o := w.wantState(id, Closed, NotPaid)
		w.outside = true
		m := w.wechat.mixed.orders[o.MixedOrder().OutTradeNo]
		u := w.centre.uploads[m.in.PayOrderID]
		m.mix, m.ins, m.paidAt, u.stas = payment.MixSuccess, payment.InsSuccess, w.clock.Now(), settlement.CentreSettling
		w.later(w.clock.Now().Add(time.Hour), func() { u.stas, u.at = tt.ends, w.clock.Now() })
		w.notify("late", o.MixedOrder().OutTradeNo)
		w.settleLate(id)
		w.wantState(id, tt.state, tt.cause)
		w.tell(t, id, string(tt.ends.Standing()))
	}
}

// TestLateNoticeOfTheCentre: what 6202 alone has settled, and nobody could see, is found when the centre tells of it.
func TestLateNoticeOfTheCentre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.outside, w.centre.byOrder = true, true
	w.mishaps = func(op, _ string) mishap {
		switch op {
		case "foresee":
			return loseAfter
		case "centre", "revoke":
			return loseBefore
		}
		return fine
	}
	id := w.mustQuote(true, testBill)
	w.settleLate(id)
	o := w.wantState(id, Closed, InsurerSilent)
	w.mishaps = nil
	w.notify("6302", o.Settlement().Upload.PayOrdID)
	w.settleLate(id)
	o = w.wantState(id, Unwound, LatePayment)
	if n, fen := w.insuredAt(o); n != 0 {
		t.Errorf("the centre holds %s", fen)
	}
}

// TestLateSettlementAlone: the centre has settled after all, without cash: it goes back.
func TestLateSettlementAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	id := confirmed(w)
	w.settle(tenDays)
	o := w.wantState(id, Closed, NotPaid)
	w.outside = true
	u := w.centre.uploads[o.Settlement().Upload.PayOrdID]
	u.stas, u.at = settlement.AllDone, w.clock.Now()
	asked := w.calls["centre"]
	w.notify("late", o.MixedOrder().OutTradeNo)
	w.settleLate(id)
	o = w.wantState(id, Unwound, LatePayment)
	if n, fen := w.insuredAt(o); n != 0 || w.calls["centre"] > asked+8 {
		t.Errorf("the centre holds %s, asked %d times", fen, w.calls["centre"]-asked)
	}
}
