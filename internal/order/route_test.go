package order

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// city is a fourth route, known to this file alone: the insurance is settled before the patient pays.
const city Route = "city"

// settleFirst puts the hospital on the fourth route.
func settleFirst(w *world) {
	w.party.Route = city
	w.config.Routes = map[Route][]Leg{city: {InsuranceLeg, CashLeg}}
	w.boot()
}

func TestFourthRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	settleFirst(w)
	id := w.mustQuote(true, testBill)
	o := w.mustConfirm(id)
	if o.State != Paying || o.Settlement().State != settlement.Settled || o.Payment().State != payment.Open {
		t.Fatalf("after Confirm: %s, settlement %s, payment %+v", o.State, o.Settlement().State, o.Payment())
	}
	w.mustPay(id)
	w.settle(time.Minute)
	o = w.wantState(id, Completed, "")
	if f := w.factsOf(o); f != (facts{charged: 5000, inForce: 1, insured: 5000, posted: true}) {
		t.Errorf("facts = %+v", f)
	}
	if !o.Settlement().SettledAt.Before(o.Payment().PaidAt) && !o.Settlement().SettledAt.Equal(o.Payment().PaidAt) {
		t.Error("the cash came first")
	}
	w.auditEnd()
	w.tell(t, id)
}

func TestFourthRouteGoesBack(t *testing.T) {
	t.Parallel()
	first := func(play func(w *world) ID) func(w *world) ID {
		return func(w *world) ID { settleFirst(w); return play(w) }
	}
	for _, s := range []story{
		{"nobody pays: the settlement is cancelled", first(confirmed), Unwound, NotPaid},
		{"cancelled at the cashier", first(func(w *world) ID {
			id := confirmed(w)
			mustCancel(w, id, Unwound)
			return id
		}), Unwound, ByPatient},
		{"cancelled while the settlement is lost", first(func(w *world) ID {
			w.once("settle", 1, loseAfter)
			id := w.mustQuote(true, testBill)
			w.mustConfirm(id)
			mustCancel(w, id, Paying)
			mustCancel(w, id, Paying)
			return id
		}), Unwound, ByPatient},
		{"refused: nothing was taken", first(with("settle", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.mustConfirm(id)
			return id
		}, refuse)), Closed, SettleRefused},
		{"other amounts: no cash is asked", first(with("settle", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.mustConfirm(id)
			if len(w.wechat.orders) != 0 {
				w.t.Error("cash was asked for")
			}
			return id
		}, amounts)), Unwound, AmountsMoved},
		{"WeChat refuses: the settlement is cancelled", first(with("prepay", confirmed, refuse)), Unwound, CashRefused},
		{"2207 lost once", first(with("settle", func(w *world) ID {
			id := confirmed(w)
			w.settle(10 * time.Minute)
			w.mustPay(id)
			return id
		}, loseAfter)), Completed, ""},
		{"paid elsewhere at posting", first(func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			return paid(w)
		}), Unwound, PaidElsewhere},
		{"no cash", first(func(w *world) ID {
			w.addBill(testBill, 8000, 0)
			w.insurer.ratio = 100
			id := w.mustQuote(true, testBill)
			w.mustConfirm(id)
			return id
		}), Completed, ""},
		{"cash alone", first(func(w *world) ID {
			id := w.mustQuote(false, testBill)
			w.mustConfirm(id)
			w.mustPay(id)
			return id
		}), Completed, ""},
		{"too little time left after the settlement", first(func(w *world) ID {
			w.his.lockFor = 3 * time.Minute
			w.once("settle", 1, loseAfter)
			w.once("lock", 1, slow)
			id := w.mustQuote(true, testBill)
			w.mustConfirm(id)
			return id
		}), Unwound, NotPaid},
	} {
		s.run(t)
	}
}

// line is a HIS's own to the same insurer, and counts what it settles.
type line struct {
	*insurer
	settled int
}

func (l *line) Settle(ctx context.Context, msgID string, c settlement.Claim) (settlement.Outcome, error) {
	l.settled++
	return l.insurer.Settle(ctx, msgID, c)
}

// TestRouteHIS: an order of a hospital that settles by itself asks the HIS's line; one that began on another route goes on where it began.
func TestRouteHIS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	old := w.mustQuote(true, testBill)
	w.mustConfirm(old)
	w.addBill("MZ2", 8000, 2000)
	platform, his := &line{insurer: w.insurer}, &line{insurer: w.insurer}
	w.party.Route, w.party.Insurer, w.party.Link = HIS, platform, his
	w.boot()
	id := w.mustQuote(true, "MZ2")
	w.mustConfirm(id)
	for i, one := range []ID{id, old} {
		w.mustPay(one)
		w.settle(time.Minute)
		w.wantState(one, Completed, "")
		if his.settled != 1 || platform.settled != i {
			t.Errorf("%d settlements by the line, %d by the platform", his.settled, platform.settled)
		}
	}
	if w.order(id).Route != HIS {
		t.Errorf("route %s", w.order(id).Route)
	}
	w.auditEnd()
}

// TestRestOfAnotherRoute: whether the rest of a refund wants an authorisation is for the insurer to say with whom the order began, not for the one with
// whom orders begin now.
func TestRestOfAnotherRoute(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		from, to Route
		waits    bool
	}{
		{"began at the platform, which wants one", Core, HIS, true},
		{"began at a HIS that wants none", HIS, Core, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.party.Route, w.party.Link = tt.from, w.insurer
			w.boot()
			id := booked(w)
			w.people.auth.UsableUntil = w.clock.Now()
			w.party.Route = tt.to
			w.boot()
			w.mustGive(id, item(exam))
			w.settle(time.Minute)
			if f := w.order(id).Refunds[0]; f.WantsAuth() != tt.waits || (!tt.waits && f.InsuredAt.IsZero()) {
				t.Errorf("refund %s (%s) waits for an authorisation: %v", f.State, f.Cause, f.WantsAuth())
			}
		})
	}
}

func TestUnknownRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.party.Route = Mixed
	if _, err := w.quote(true, testBill); !errors.Is(err, ErrRoute) {
		t.Errorf("Quote on a route without legs: %v, want ErrRoute", err)
	}
	w.config.Routes = map[Route][]Leg{city: {CashLeg}}
	w.party.Route = city
	w.boot()
	id := w.mustQuote(true, testBill)
	w.mustConfirm(id)
	w.mustPay(id)
	w.advance(time.Minute)
	if _, err := w.service.Step(t.Context()); err == nil {
		t.Error("a route without an insurance leg settles an insured order")
	}
	if o := w.order(id); o.State == Completed || o.State.Final() {
		t.Errorf("order is %s", o.State)
	}
}

// TestPayable: the cashier opens only for what can be paid at that moment.
func TestPayable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		joint  bool
		change func(o *Order)
		want   Way
	}{
		{"cash", false, func(*Order) {}, ByCash},
		{"both", true, func(*Order) {}, ByBoth},
		{"insurance alone", true, func(o *Order) { o.Payments, o.Mixed[0].Amounts.Wechat = nil, 0 }, ByInsurance},
		{"insurance alone, too late", true, func(o *Order) {
			o.Payments, o.Mixed[0].Amounts.Wechat, o.Mixed[0].ExpiresAt = nil, 0, start
		}, NoWay},
		{"insurance alone, at any time", true, func(o *Order) {
			o.Payments, o.Mixed[0].Amounts.Wechat, o.Mixed[0].ExpiresAt = nil, 0, time.Time{}
		}, ByInsurance},
		{"insurance alone, not open", true, func(o *Order) {
			o.Payments, o.Mixed[0].Amounts.Wechat, o.Mixed[0].State = nil, 0, payment.MixedPreparing
		}, NoWay},
		{"being quoted", false, func(o *Order) { o.State = Quoted }, NoWay},
		{"settling", false, func(o *Order) { o.State = Settling }, NoWay},
		{"given up", false, func(o *Order) { o.CancelAsked = true }, NoWay},
		{"no cash order", false, func(o *Order) { o.Payments = nil }, NoWay},
		{"paid", false, func(o *Order) { o.Payments[0].State = payment.Paid }, NoWay},
		{"too late", false, func(o *Order) { o.Payments[0].ExpiresAt = start }, NoWay},
		{"the last moment", false, func(o *Order) { o.Payments[0].ExpiresAt = start.Add(1) }, ByCash},
		{"at any time", false, func(o *Order) { o.Payments[0].ExpiresAt = time.Time{} }, ByCash},
		{"no mixed order yet", true, func(o *Order) { o.Mixed = nil }, NoWay},
		{"the mixed order is not open", true, func(o *Order) { o.Mixed[0].State = payment.MixedPreparing }, NoWay},
		{"a mixed order of another cash order", true, func(o *Order) { o.Mixed[0].OutTradeNo = "T9" }, NoWay},
		{"a mixed order of another upload", true, func(o *Order) { o.Mixed[0].SerialNo = "9" }, NoWay},
		{"the insurer has refused", true, func(o *Order) { o.Refusal = "不在待遇期" }, ByCash},
		{"nothing is insured", true, func(o *Order) { o.Split = split.AllCash(o.Total) }, ByCash},
	} {
		w := newWorld(t, 1)
		if tt.joint {
			togetherHere(w)
		}
		o := w.order(confirmed(w))
		tt.change(o)
		if got := o.Payable(start); got != tt.want {
			t.Errorf("%s: payable %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestJoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	if w.service.Joint(w.party.Institution) {
		t.Error("the legs of the core route move together")
	}
	togetherHere(w)
	if !w.service.Joint(w.party.Institution) || w.service.Joint("elsewhere") {
		t.Error("Joint is not what the routes say")
	}
}
