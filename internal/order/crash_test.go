package order

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
)

// phone is a patient who wants the bill paid, whatever the page says: asks again after an error, confirms what is quoted, pays when the
// cashier opens, and gives up when the plan says so.
type phone struct {
	insurance bool
	cancelAt  State         // gives up when the order stands there; "" never
	delay     time.Duration // thinks so long before each act
	noticed   bool          // WeChat's notice follows the payment, twice
	orders    int           // how many orders at most, when one ends unpaid
	id        ID
	since     time.Time
	seen      State
	gaveUp    bool
	renewals  int  // how often the patient has authorised anew
	leftOpen  bool // gives up at the open cashier, and types the password all the same

	gives [][]refund.Want // what is asked back of a completed order, one after the other; an empty one is the whole
	given int
}

// act does the next thing on the page, if there is one.
func (p *phone) act(w *world) bool {
	ctx := context.Background()
	if p.id == 0 {
		if p.orders == 0 {
			return false
		}
		err := w.try(func() error {
			o, err := w.quote(p.insurance, testBill)
			if err == nil {
				p.id = o.ID
			}
			return err
		})
		if errors.Is(err, errKilled) || errors.Is(err, ErrBillLive) || errors.Is(err, job.ErrLost) {
			if id, err := w.store.LiveOf(ctx, testAccount); err == nil { // the page resumes the live order
				p.id = id
			}
		} else if errors.Is(err, bill.ErrPaid) {
			p.orders = 0
		} else if err != nil {
			w.advance(time.Second)
		}
		w.audit()
		return true
	}
	o := w.order(p.id)
	if o.State != p.seen {
		p.seen, p.since = o.State, w.fake.Now()
		w.later(p.since.Add(p.delay), func() {}) // the clock stops here, too
	}
	if w.fake.Now().Before(p.since.Add(p.delay)) {
		return false
	}
	if !p.gaveUp && p.cancelAt == o.State {
		err := w.try(func() error { _, err := w.service.Cancel(ctx, testAccount, p.id); return err })
		p.gaveUp = err == nil || !(errors.Is(err, errKilled) || errors.Is(err, job.ErrBusy) || errors.Is(err, job.ErrLost))
		w.audit()
		return p.gaveUp
	}
	if m := o.MixedOrder(); p.leftOpen && p.gaveUp && m != nil && m.MixTradeNo != "" {
		return w.wechat.payMixed(m.OutTradeNo)
	}
	if p.leftOpen && p.gaveUp && o.Payment() != nil && o.Payment().PrepayID != "" && w.wechat.pay(o.Payment().OutTradeNo) {
		return true
	}
	switch {
	case o.State == Quoting && o.Renew && !p.gaveUp:
		if p.renewals++; p.renewals > 3 {
			return false
		}
		w.people.authorise(w.fake.Now().Add(24 * time.Hour))
		err := w.try(func() error { _, err := w.service.Renew(ctx, testAccount, p.id); return err })
		w.audit()
		return err == nil || errors.Is(err, errKilled)
	case o.State == Quoted && o.ConfirmedAt.IsZero() && w.fake.Now().Before(o.QuotedUntil) && !p.gaveUp:
		err := w.try(func() error {
			_, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: p.id})
			return err
		})
		w.audit()
		return err == nil || errors.Is(err, errKilled) // a page without an answer sends it again
	case o.State == Paying && !p.gaveUp:
		if !w.pay(p.id) {
			return false
		}
		if p.noticed {
			number := ""
			if m := o.MixedOrder(); m != nil {
				number = m.OutTradeNo
				w.notify("e3", o.Settlement().Upload.PayOrdID)
			} else {
				number = o.Payment().OutTradeNo
			}
			w.notify("e1", number)
			w.notify("e2", number)
		}
		return true
	case o.State == Completed && p.given < len(p.gives):
		return p.ask(w, o)
	case (o.State == Closed || o.State == Unwound) && p.orders > 1:
		p.orders, p.id, p.gaveUp = p.orders-1, 0, false
		return true
	}
	return false
}

// ask asks for the next refund, under the same key until there is an answer.
func (p *phone) ask(w *world, o *Order) bool {
	wants := p.gives[p.given]
	err := w.try(func() error {
		_, _, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByPatient, Actor: "account:7", Account: testAccount, Order: o.ID,
			Key: fmt.Sprint("give ", p.given), Whole: len(wants) == 0, Wants: wants, KeptAgain: true})
		return err
	})
	w.audit()
	switch {
	case err == nil, errors.Is(err, refund.ErrNothing), errors.Is(err, refund.ErrLine), errors.Is(err, refund.ErrQuantity):
		p.given++
	case errors.Is(err, job.ErrBusy):
		w.advance(time.Second)
	case errors.Is(err, refund.ErrUnderWay):
		if o.Refund().State == refund.InReview {
			p.given++
		}
		return false
	case !errors.Is(err, errKilled) && !errors.Is(err, job.ErrLost):
		w.t.Errorf("AskRefund: %v", err)
	}
	return true
}

// live lets phone and process work until nothing more happens.
func (w *world) live(p *phone) {
	w.t.Helper()
	end := w.fake.Now().Add(tenDays)
	for range 3000 {
		if w.t.Failed() {
			return
		}
		if p.act(w) || w.step() {
			continue
		}
		next, ok := w.nextDue()
		if !ok {
			return
		}
		if next.After(end) {
			break
		}
		w.advance(max(next.Sub(w.fake.Now()), time.Millisecond))
	}
	w.t.Errorf("the work does not end\n%v", w.log)
}

// matrix is a story that is run once for every place at which the process may be killed.
type matrix struct {
	name  string
	set   func(w *world)
	phone phone
	want  State
	lost  string // how the refunds may end instead, where the kill loses the 2207 of a rest: the former settlement is reinstated, and a person looks
}

var matrices = []matrix{
	{"core", func(*world) {}, phone{insurance: true, orders: 1}, Completed, ""},
	{"core, with notices", func(*world) {}, phone{insurance: true, orders: 1, noticed: true}, Completed, ""},
	{"core, no cash", func(w *world) { w.addBill(testBill, 8000, 0); w.insurer.ratio = 100 }, phone{insurance: true, orders: 1}, Completed, ""},
	{"cash alone", func(*world) {}, phone{orders: 1}, Completed, ""},
	{"refused by the insurer, then cash", func(w *world) { w.once("presettle", 1, refuse, refuse, refuse) }, phone{insurance: true, orders: 1}, Completed, ""},
	{"insurance first", settleFirst, phone{insurance: true, orders: 1}, Completed, ""},
	{"bill changed at confirm", func(w *world) {
		w.mishaps = func(op, _ string) mishap {
			if op == "lock" && w.his.bills[testBill].Total == 10000 {
				w.addBill(testBill, 6000, 500)
			}
			return fine
		}
	}, phone{insurance: true, orders: 1}, Completed, ""},
	{"cancelled at the cashier", func(*world) {}, phone{insurance: true, orders: 1, cancelAt: Paying, delay: 5 * time.Second}, Closed, ""},
	{"cancelled at the quote", func(*world) {}, phone{insurance: true, orders: 1, cancelAt: Quoted}, Closed, ""},
	{"cancelled at the cashier, insurance first", settleFirst, phone{insurance: true, orders: 1, cancelAt: Paying, delay: 5 * time.Second}, Unwound, ""},
	{"settlement refused", func(w *world) { w.mishaps = always("settle", refuse) }, phone{insurance: true, orders: 1}, Unwound, ""},
	{"other amounts", func(w *world) { w.mishaps = always("settle", amounts) }, phone{insurance: true, orders: 1}, Unwound, ""},
	{"paid at the window before posting", func(w *world) { w.his.onPost = func() { w.his.paidBy[testBill] = "window" } }, phone{insurance: true, orders: 1}, Unwound, ""},
	{"refund under way", func(w *world) {
		w.mishaps = always("settle", refuse)
		w.wechat.cards = []payment.RefundState{payment.RefundClosed, payment.RefundProcessing}
	}, phone{insurance: true, orders: 1}, Unwound, ""},
	{"one password", togetherHere, phone{insurance: true, orders: 1}, Completed, ""},
	{"one password, with notices", togetherHere, phone{insurance: true, orders: 1, noticed: true}, Completed, ""},
	{"one password, insurance alone", func(w *world) { togetherHere(w); noCash(w) }, phone{insurance: true, orders: 1}, Completed, ""},
	{"one password, cancelled at the cashier", togetherHere, phone{insurance: true, orders: 1, cancelAt: Paying, delay: 5 * time.Second}, Closed, ""},
	{"one password, cancelled at the quote", togetherHere, phone{insurance: true, orders: 1, cancelAt: Quoted}, Closed, ""},
	{"one password, the centre refuses", func(w *world) { togetherHere(w); w.centre.refuses = "结算失败" }, phone{insurance: true, orders: 1}, Unwound, ""},
	{"one password, another number", func(w *world) { togetherHere(w); w.wechat.mixed.refuse = []error{payment.ErrMixedInsurer} },
		phone{insurance: true, orders: 1}, Completed, ""},
	{"one password, authorised anew", func(w *world) { togetherHere(w); w.wechat.mixed.refuse = []error{payment.ErrMixedAuth} },
		phone{insurance: true, orders: 1}, Completed, ""},
	{"one password, refused by the centre, then cash", func(w *world) { togetherHere(w); w.mishaps = always("foresee", refuse) },
		phone{insurance: true, orders: 1}, Completed, ""},
	{"one password, paid at the window before posting", func(w *world) {
		togetherHere(w)
		w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
	}, phone{insurance: true, orders: 1}, Unwound, ""},
	{"given back", bigBill, phone{insurance: true, orders: 1, gives: [][]refund.Want{{}}}, Completed, ""},
	{"given back in parts", bigBill, phone{insurance: true, orders: 1, gives: [][]refund.Want{{pieces(drug, "1")}, {item(diapers)}}}, Completed,
		"in_review 20.00 rest_unsettled, asked 20.00 , "},
	{"given back in part, the rest refused", func(w *world) {
		bigBill(w)
		w.mishaps = func(op, _ string) mishap {
			if op == "settle" && len(w.insurer.cancels) > 0 {
				return refuse
			}
			return fine
		}
	}, phone{insurance: true, orders: 1, gives: [][]refund.Want{{item(exam)}}}, Completed, ""},
	{"given back, one password", func(w *world) { togetherHere(w); bigBill(w) }, phone{insurance: true, orders: 1, gives: [][]refund.Want{{}}}, Completed, ""},
	{"given back in part, one password", func(w *world) { togetherHere(w); bigBill(w) },
		phone{insurance: true, orders: 1, gives: [][]refund.Want{{item(diapers)}, {item(exam)}}}, Completed, ""},
	{"given back, refused by the HIS", func(w *world) { bigBill(w); w.his.out = true }, phone{insurance: true, orders: 1, gives: [][]refund.Want{{}}}, Completed, ""},
	{"posting deaf at first", func(w *world) { w.once("post", 1, loseAfter, unsent) }, phone{insurance: true, orders: 1}, Completed, ""},
}

// TestCrashMatrix kills the process at every durable write and every outside call, before and after its effect, and starts it again.
func TestCrashMatrix(t *testing.T) {
	t.Parallel()
	for _, m := range matrices {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			play := func(t *testing.T, killAt int) (*world, *phone) {
				w := newWorld(t, 1)
				m.set(w)
				w.killAt = killAt
				p := m.phone
				w.live(&p)
				return w, &p
			}
			whole, _ := play(t, 0)
			if len(whole.points) < 12 {
				t.Fatalf("only %d places to be killed at", len(whole.points))
			}
			want := whole.end()
			for k := 1; k <= len(whole.points); k++ {
				t.Run(fmt.Sprintf("%d %s", k, whole.points[k-1]), func(t *testing.T) {
					w, p := play(t, k)
					if w.kills != 1 {
						t.Fatalf("the process was killed %d times, want once", w.kills)
					}
					w.wantState(p.id, m.want, "")
					w.auditEnd()
					if got := w.end(); got != want && (m.lost == "" || got.refunds != m.lost) {
						t.Errorf("the end is %+v, without the kill %+v\n%v", got, want, w.log)
					}
				})
			}
		})
	}
}

// end is what everybody outside holds of all orders together.
func (w *world) end() facts {
	var sum facts
	for _, id := range w.store.ids() {
		f := w.factsOf(w.order(id))
		sum.charged += f.charged
		sum.insured += f.insured
		sum.inForce += f.inForce
		sum.posted = sum.posted || f.posted
		sum.payable = sum.payable || f.payable
		for _, x := range w.order(id).Refunds {
			sum.refunds += fmt.Sprintf("%s %s %s, ", x.State, x.Total(), x.Cause)
		}
	}
	return sum
}
