package order

import (
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/split"
)

// ofKind makes the world's bill one of a kind, which the HIS holds for so long; zero: without an end.
func (w *world) ofKind(no string, kind bill.Kind, holds time.Duration) {
	b := w.his.bills[no]
	b.Kind, b.Visit.MedType = kind, kind.MedType()
	if holds > 0 {
		b.PayBy = w.fake.Now().Add(holds)
	}
}

// TestRegistrationPaid: a registration fee goes the way of every bill on either route, under WeChat's name for it; what the institution calls its
// outpatient orders is not for it.
func TestRegistrationPaid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		here  func(w *world)
		kind  bill.Kind
		wants string // order_type of the mixed order; empty: there is none
	}{
		{"core", func(*world) {}, bill.Registration, ""},
		{"mixed", togetherHere, bill.Registration, "REG_PAY"},
		{"mixed, where outpatient orders have another type", func(w *world) { togetherHere(w); w.party.OrderType = "MED_PAY" }, bill.Registration, "REG_PAY"},
		{"mixed, that other type", func(w *world) { togetherHere(w); w.party.OrderType = "MED_PAY" }, bill.Outpatient, "MED_PAY"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			tt.here(w)
			w.ofKind(testBill, tt.kind, 30*time.Minute)
			id := confirmed(w)
			o := w.order(id)
			if o.Kind() != tt.kind || !o.Insured {
				t.Errorf("kind %s, insured %v", o.Kind(), o.Insured)
			}
			if want := "测试医院-" + tt.kind.Text(); w.wechat.described != want {
				t.Errorf("the payer reads %q, want %q", w.wechat.described, want)
			}
			if m := o.MixedOrder(); (m != nil) != (tt.wants != "") || (m != nil && w.wechat.built[m.OutTradeNo].OrderType != tt.wants) {
				t.Errorf("mixed order %+v, want order_type %q", m, tt.wants)
			}
			w.mustPay(id)
			w.settle(time.Minute)
			o = w.wantState(id, Completed, "")
			if f := w.factsOf(o); f.inForce != 1 || !f.posted {
				t.Errorf("facts = %+v", f)
			}
			w.auditEnd()
			w.tell(t, id)
		})
	}
}

// TestDepositIsCash: no insurer hears of a deposit, however insured the patient is.
func TestDepositIsCash(t *testing.T) {
	t.Parallel()
	for name, here := range map[string]func(w *world){"core": func(*world) {}, "mixed": togetherHere} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			here(w)
			w.addBill(testBill, 0, 200000)
			w.ofKind(testBill, bill.Deposit, 0)
			id := confirmed(w)
			o := w.order(id)
			if o.Insured || o.UseAccount || o.PayAuth != 0 || !o.AuthUntil.IsZero() || o.Split != split.AllCash(200000) || len(o.Settlements) != 0 || o.Payable(w.fake.Now()) != ByCash {
				t.Errorf("insured %v, authorisation %d, split %+v, pay %q", o.Insured, o.PayAuth, o.Split, o.Payable(w.fake.Now()))
			}
			if w.calls["presettle"]+w.calls["upload"] != 0 || len(w.wechat.mixed.orders) != 0 {
				t.Errorf("somebody was asked: %v", w.calls)
			}
			if want := "测试医院-住院预交金"; w.wechat.described != want {
				t.Errorf("the payer reads %q, want %q", w.wechat.described, want)
			}
			w.mustPay(id)
			w.settle(time.Minute)
			o = w.wantState(id, Completed, "")
			if f := w.factsOf(o); f.charged != 200000 || f.inForce != 0 || !f.posted {
				t.Errorf("facts = %+v", f)
			}
			w.auditEnd()
		})
	}
}

// TestPayBy: nobody pays later than a minute before the HIS gives the slot back, and nobody begins who has no time left.
func TestPayBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.ofKind(testBill, bill.Registration, 12*time.Minute+500*time.Millisecond)
	id := w.mustQuote(true, testBill)
	if o := w.order(id); o.QuotedUntil.Sub(start) != 10*time.Minute+500*time.Millisecond {
		t.Errorf("the quote may be confirmed for %v", o.QuotedUntil.Sub(start))
	}
	w.mustConfirm(id)
	if got := w.order(id).Payment().ExpiresAt.Sub(start); got != 11*time.Minute {
		t.Errorf("expires after %v, want 11m", got)
	}

	w = newWorld(t, 1)
	w.addBill("MZ2", 0, 100)
	w.ofKind(testBill, bill.Registration, 20*time.Minute)
	w.ofKind("MZ2", bill.Registration, 9*time.Minute)
	if o := w.order(w.mustQuote(true, testBill, "MZ2")); o.QuotedUntil.Sub(start) != 7*time.Minute {
		t.Errorf("of two bills the sooner end counts, not %v", o.QuotedUntil.Sub(start))
	}

	for left, want := range map[time.Duration]error{2 * time.Minute: nil, 2*time.Minute - time.Second: bill.ErrOver, -time.Hour: bill.ErrOver} {
		w := newWorld(t, 1)
		w.his.bills[testBill].Kind, w.his.bills[testBill].PayBy = bill.Registration, start.Add(left)
		if _, err := w.quote(true, testBill); !errors.Is(err, want) {
			t.Errorf("%v before the end: %v, want %v", left, err, want)
		}
	}

	w = newWorld(t, 1)
	w.ofKind(testBill, bill.Registration, 10*time.Minute)
	id = w.mustQuote(true, testBill)
	w.settle(time.Hour)
	w.wantState(id, Closed, QuoteOld)
	w.auditEnd()
}

// TestSlowLock: a HIS that locks only when there is no time left to pay has the order given up, also where no cash is due.
func TestSlowLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.addBill(testBill, 8000, 0)
	w.insurer.ratio = 100
	w.ofKind(testBill, bill.Registration, 3*time.Minute)
	id := w.mustQuote(true, testBill)
	if charge := w.order(id).Split.Charge(); charge != 0 {
		t.Fatalf("%s of cash", charge)
	}
	w.mishaps = always("lock", loseBefore)
	w.mustConfirm(id)
	w.advance(2*time.Minute + time.Second)
	w.mishaps = nil
	w.settle(time.Hour)
	o := w.wantState(id, Closed, "")
	if f := w.factsOf(o); f.inForce != 0 {
		t.Errorf("facts = %+v", f)
	}
	w.auditEnd()
}

func TestKindsAreNotMixed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.addBill("MZ2", 1000, 0)
	w.ofKind("MZ2", bill.Registration, 0)
	if _, err := w.quote(true, testBill, "MZ2"); !errors.Is(err, ErrKinds) {
		t.Errorf("Quote of two kinds: %v, want ErrKinds", err)
	}
	if len(w.store.orders) != 0 {
		t.Error("an order was made of them")
	}
	w.ofKind("MZ2", bill.Outpatient, 0)
	id := w.mustQuote(true, testBill, "MZ2")
	w.ofKind("MZ2", bill.Registration, 0) // while the patient reads the amounts
	w.mustConfirm(id)
	w.settle(tenDays)
	w.wantState(id, Closed, BillUnreadable)
	w.auditEnd()
}

func TestOrdersPerBill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.addBill("MZ2", 1000, 0)
	w.party.PerVisit = false
	if w.service.PerVisit(hospitalID) || w.service.PerVisit("h9") {
		t.Error("PerVisit where bills are paid one by one, or of a stranger")
	}
	if _, err := w.quote(true, testBill, "MZ2"); !errors.Is(err, ErrOneBill) || w.calls["detail"] != 0 {
		t.Errorf("Quote of two bills: %v, want ErrOneBill before anybody is asked", err)
	}
	w.mustQuote(true, testBill)
	w.mustQuote(true, "MZ2")
	w.party.PerVisit = true
	if !w.service.PerVisit(hospitalID) {
		t.Error("PerVisit = false")
	}
	w.addBill("MZ3", 1000, 0)
	w.addBill("MZ4", 1000, 0)
	w.his.bills["MZ4"].Visit.No = "V2"
	if _, err := w.quote(true, "MZ3", "MZ4"); !errors.Is(err, ErrBillCount) {
		t.Errorf("Quote of two visits: %v, want ErrBillCount", err)
	}
}
