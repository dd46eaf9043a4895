package order

import (
	"fmt"
	"strings"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/split"
)

// facts is how an order stands with everybody outside.
type facts struct {
	charged  money.Fen // net of refunds
	refunded money.Fen
	payable  bool // a cash order could still be paid
	inForce  int
	insured  money.Fen // what the settlements in force take over
	posted   bool
	refunds  string // how each of them ended; of the end alone
}

func (w *world) factsOf(o *Order) facts {
	var f facts
	for _, p := range o.Payments {
		if c := w.wechat.orders[p.OutTradeNo]; c != nil {
			if c.number != "" {
				f.charged += c.total - c.refunded
				f.refunded += c.refunded
			}
			f.payable = f.payable || (c.state == payment.NotPay && w.fake.Now().Before(c.expires))
		}
	}
	for _, s := range o.Settlements {
		if b := w.insurer.batches[s.BatchNo]; b != nil && b.standing != nil {
			f.inForce++
			f.insured += b.standing.split.Total() - b.standing.split.Cash
		}
	}
	for _, x := range o.Mixed {
		f.payable = f.payable || w.wechat.canPay(x.OutTradeNo)
	}
	n, insured := w.insuredAt(o)
	f.inForce, f.insured = f.inForce+n, f.insured+insured
	_, f.posted = w.his.postings[o.ID.No()]
	return f
}

// audit holds after every step: no fen is made or lost, and nothing is given back in the wrong order.
func (w *world) audit() {
	w.t.Helper()
	if w.booksAlone {
		w.auditAlone()
		return
	}
	for _, id := range w.store.ids() {
		o := w.order(id)
		f := w.factsOf(o)
		fail := func(format string, args ...any) {
			w.t.Helper()
			w.t.Errorf("order %s in %s (%s): %s\n%s", o.ID.No(), o.State, o.Cause, fmt.Sprintf(format, args...), strings.Join(w.log, "\n"))
		}
		var sum int64
		for _, amount := range w.store.books[id] {
			sum += amount
		}
		if sum != 0 {
			fail("the ledger sums to %d", sum)
		}
		if found := Verify(o, w.store.history[id]); len(found) > 0 {
			fail("verify: %v", found)
		}
		switch {
		case f.inForce > 1:
			fail("%d settlements stand", f.inForce)
		case f.charged < 0 || f.charged > o.Total:
			fail("the patient was charged %s of %s", f.charged, o.Total)
		case f.refunded > 0 && f.inForce > 0 && !w.outside && len(o.Refunds) == 0:
			fail("cash was given back while the settlement stands")
		case f.refunded > 0 && f.posted && len(o.Refunds) == 0:
			fail("cash of a posted order was given back")
		case f.posted && o.Refund() == nil && f.charged+f.insured != o.Standing().Total()+atWindow(o):
			fail("%s stand, received %s and %s", o.Standing().Total(), f.charged, f.insured)
		}
		switch o.State {
		case Completed:
			if !f.posted {
				fail("the HIS has not booked it")
			}
			w.auditRefunds(o, f, fail)
			if o.Refund() == nil {
				w.auditBooks(o, fail)
			}
		case Closed, Unwound:
			if f.inForce > 0 || f.posted || f.payable || (f.charged != 0 && o.State == Unwound) {
				fail("is over, but %+v", f)
			}
			if f.charged == 0 {
				w.auditBooks(o, fail)
			}
		}
		if w.t.Failed() {
			return
		}
	}
}

// auditBooks compares a final order's ledger with its split.
func (w *world) auditBooks(o *Order, fail func(string, ...any)) {
	want := map[ledger.Account]int64{}
	if o.State == Completed {
		add := func(s split.Split, times int64) {
			for account, amount := range map[ledger.Account]money.Fen{ledger.WechatCash: s.Charge(), ledger.PooledFund: s.PooledFund, ledger.OtherFund: s.OtherFund,
				ledger.PersonAccount: s.Account, ledger.FamilyAccount: s.FamilyAccount, ledger.HospitalBorne: s.HospitalBorne} {
				want[account] += int64(amount) * times
			}
		}
		s := o.Standing()
		add(s, 1)
		want[ledger.Revenue] = -int64(s.Total())
		for _, f := range o.Refunds { // what the window gave back is matched with its own books, and still here
			if f.Note && f.State == refund.Done {
				add(f.Before, 1)
				add(f.Rest, -1)
				want[ledger.Suspense] -= int64(f.Total())
			}
			want[ledger.WechatCash] += int64(f.Till)
			want[ledger.Suspense] -= int64(f.Till)
		}
	}
	for _, account := range []ledger.Account{ledger.WechatCash, ledger.PooledFund, ledger.OtherFund, ledger.PersonAccount, ledger.FamilyAccount,
		ledger.HospitalBorne, ledger.Revenue, ledger.RefundsDue, ledger.Suspense} {
		if got := w.store.books[o.ID][account]; got != want[account] {
			fail("ledger %s is %d, want %d", account, got, want[account])
		}
	}
}

// atWindow is what the window and the till have given back, of which the other sides know nothing.
func atWindow(o *Order) (sum money.Fen) {
	for _, f := range o.Refunds {
		if f.Note && f.State == refund.Done {
			sum += f.Total()
		}
		sum += f.Till
	}
	return sum
}

// auditRefunds compares what a completed order has given back with everybody outside.
func (w *world) auditRefunds(o *Order, f facts, fail func(string, ...any)) {
	var reserved, done money.Fen
	for _, x := range o.Refunds {
		if x.State != refund.Refused {
			reserved += x.Total()
		}
		switch {
		case x.State != refund.Done || x.Note:
		case x.Returned():
			done += x.Cash.Amount
		case !x.ByHand():
			done += x.CashDue()
		}
		held := w.his.held[x.ID.No()]
		switch {
		case x.State == refund.Done && w.his.booked[x.ID.No()] != x.Total():
			fail("the HIS has booked %s of refund %s", w.his.booked[x.ID.No()], x.Total())
		case x.State == refund.Refused && held && len(w.met) == 0:
			fail("a refund is refused, and the HIS holds it")
		case x.State.Final() && (x.Dropping || x.WantsAuth()):
			fail("a refund is %s, and still to be dropped or authorised", x.State)
		}
	}
	switch {
	case reserved != o.RefundInsured+o.RefundUninsured:
		fail("%s and %s are reserved, the refunds say %s", o.RefundInsured, o.RefundUninsured, reserved)
	case reserved > o.Total:
		fail("%s of %s are promised back", reserved, o.Total)
	case o.Refund() == nil && f.refunded != done && o.Payment().State != payment.Returned: // there somebody else gave the whole back
		fail("WeChat gave back %s, the refunds say %s", f.refunded, done)
	}
}

// auditEnd holds when nothing is left to be done: every order is final or with people, and no counterpart holds anything of a dead one.
func (w *world) auditEnd() {
	w.t.Helper()
	for _, id := range w.store.ids() {
		o := w.order(id)
		f := w.factsOf(o)
		switch {
		case o.State == InReview:
			if !knownCause(o.Cause) {
				w.t.Errorf("order %s is in review for %q, which is no cause", id.No(), o.Cause)
			}
		case o.Refund() != nil && o.Refund().State != refund.InReview:
			w.t.Errorf("a refund of order %s is still %s\n%s", id.No(), o.Refund().State, strings.Join(w.log, "\n"))
		case !o.State.Final():
			w.t.Errorf("order %s is still %s\n%s", id.No(), o.State, strings.Join(w.log, "\n"))
		case o.State != Completed && (f.charged != 0 || f.payable):
			w.t.Errorf("order %s is %s, but %+v\n%s", id.No(), o.State, f, strings.Join(w.log, "\n"))
		}
		if o.State.Final() {
			if _, job := w.store.jobs[id.No()]; job {
				w.t.Errorf("order %s is %s and has a job", id.No(), o.State)
			}
			if l := w.his.locks[id.No()]; l != nil && w.fake.Now().Before(l.until) && len(w.met) == 0 {
				w.t.Errorf("order %s is %s and keeps the bills locked", id.No(), o.State)
			}
		}
	}
}

func knownCause(c Cause) bool {
	for _, known := range causes {
		if c == known {
			return true
		}
	}
	return false
}
