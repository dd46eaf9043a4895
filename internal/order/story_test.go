package order

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/split"
)

// tenDays is longer than any schedule.
const tenDays = 10 * 24 * time.Hour

// story is one way that an order goes, from the bills to the end.
type story struct {
	name  string
	play  func(w *world) ID
	state State
	cause Cause
}

func (s story) run(t *testing.T) {
	t.Run(s.name, func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		id := s.play(w)
		if t.Failed() {
			return
		}
		w.settle(tenDays)
		w.wantState(id, s.state, s.cause)
		w.auditEnd()
		w.tell(t, id)
	})
}

// paid plays an ordinary order up to the patient's payment; what goes wrong is planned before.
func paid(w *world) ID {
	id := w.mustQuote(true, testBill)
	w.settle(30 * time.Second)
	w.mustConfirm(id)
	w.settle(20 * time.Second)
	w.mustPay(id)
	return id
}

// confirmed plays an ordinary order up to the open cashier.
func confirmed(w *world) ID {
	id := w.mustQuote(true, testBill)
	w.mustConfirm(id)
	w.settle(time.Second)
	return id
}

// with plans mishaps of one operation before a play.
func with(op string, play func(*world) ID, list ...mishap) func(*world) ID {
	return func(w *world) ID {
		w.once(op, 1, list...)
		return play(w)
	}
}

func TestEverythingIsPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := paid(w)
	w.settle(time.Minute)
	o := w.wantState(id, Completed, "")
	want := split.Split{PooledFund: 4000, Account: 1000, Cash: 3000, Uninsured: 2000}
	if o.Split != want {
		t.Errorf("split = %+v, want %+v", o.Split, want)
	}
	if f := w.factsOf(o); f != (facts{charged: 5000, inForce: 1, insured: 5000, posted: true}) {
		t.Errorf("facts = %+v", f)
	}
	p := w.his.postings[id.No()]
	if p.SetlID != o.Settlement().SetlID || p.MdtrtID == "" || p.TransactionID != o.Payment().TransactionID || p.PaidAt.IsZero() || p.SettledAt.IsZero() ||
		p.Total != 10000 || p.Split != want || len(p.Bills) != 1 || p.Bills[0] != (PostedBill{testBill, 10000}) {
		t.Errorf("the HIS was told %+v", p)
	}
	if o.Posted.ReceiptNo == "" || len(o.Posted.Guide) == 0 || o.Lock != Released || o.Post != PostDone {
		t.Errorf("posted = %+v, lock %s, post %s", o.Posted, o.Lock, o.Post)
	}
	if _, err := w.quote(true, testBill); !errors.Is(err, bill.ErrPaid) {
		t.Errorf("another order of a paid bill: %v, want ErrPaid", err)
	}
	w.auditEnd()
	w.tell(t, id)
	events, err := w.service.History(t.Context(), testAccount, id)
	if err != nil {
		t.Fatal(err)
	}
	at := State("")
	for i, e := range events {
		if e.Seq != i+1 || e.Actor == "" {
			t.Errorf("event %d = %+v", i+1, e)
		}
		if e.Subject == "order" && e.Verb != "confirm" {
			if State(e.From) != at {
				t.Errorf("event %d leaves %s, the order was %s", e.Seq, e.From, at)
			}
			at = State(e.To)
		}
	}
}

func TestStoriesWithoutMishap(t *testing.T) {
	t.Parallel()
	for _, s := range []story{
		{"no cash: settled at once", func(w *world) ID {
			w.addBill(testBill, 8000, 0)
			w.insurer.ratio = 100
			id := w.mustQuote(true, testBill)
			if o := w.mustConfirm(id); o.State != Completed || len(o.Payments) != 0 {
				w.t.Errorf("after Confirm: %s with %d payments", o.State, len(o.Payments))
			}
			return id
		}, Completed, ""},
		{"cash alone: not insured", func(w *world) ID {
			id := w.mustQuote(false, testBill)
			w.mustConfirm(id)
			w.mustPay(id)
			w.settle(time.Minute)
			if p := w.his.postings[id.No()]; p.SetlID != "" || !p.SettledAt.IsZero() || p.Split != split.AllCash(10000) {
				w.t.Errorf("the HIS was told %+v", p)
			}
			return id
		}, Completed, ""},
		{"cash alone: nothing that the insurer would see", func(w *world) ID {
			w.addBill(testBill, 0, 900)
			return paid(w)
		}, Completed, ""},
		{"cash alone: no insurer here", func(w *world) ID {
			w.party.Insurer = nil
			return paid(w)
		}, Completed, ""},
		{"two bills of one visit", func(w *world) ID {
			w.addBill("MZ2", 500, 0)
			id := w.mustQuote(true, "MZ2", testBill)
			w.mustConfirm(id)
			w.mustPay(id)
			return id
		}, Completed, ""},
		{"the HIS registered the visit", func(w *world) ID {
			v := &w.his.bills[testBill].Visit
			v.InsurerVisitID, v.PersonNo, v.InsuranceType = "MHIS", "3601", "310"
			id := paid(w)
			if got := w.order(id).Settlement().Visit; got.MdtrtID != "MHIS" || got.Ours || got.VisitNo != v.No {
				w.t.Errorf("visit = %+v", got)
			}
			return id
		}, Completed, ""},
		{"the HIS knows the person number", func(w *world) ID {
			w.his.bills[testBill].Visit.PersonNo = "3601"
			return paid(w)
		}, Completed, ""},
		{"the ID card serves: no authorisation", func(w *world) ID {
			w.party.NeedsAuth, w.people.auth = false, nil
			return paid(w)
		}, Completed, ""},
		{"nobody confirms", func(w *world) ID { return w.mustQuote(true, testBill) }, Closed, QuoteOld},
		{"nobody pays", confirmed, Closed, NotPaid},
		{"cancelled before confirming", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			mustCancel(w, id, Closed)
			return id
		}, Closed, ByPatient},
		{"cancelled at the cashier", func(w *world) ID {
			id := confirmed(w)
			mustCancel(w, id, Closed)
			if w.pay(id) {
				w.t.Error("the cashier of a cancelled order opens")
			}
			return id
		}, Closed, ByPatient},
	} {
		s.run(t)
	}
}

func mustCancel(w *world, id ID, want State) {
	w.t.Helper()
	o, err := w.service.Cancel(context.Background(), testAccount, id)
	if err != nil || o.State != want {
		w.t.Errorf("Cancel: %v, order %+v, want %s", err, o, want)
	}
}
