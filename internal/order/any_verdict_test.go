package order

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
)

var anyVerdicts = flag.Int("any-verdicts", 200, "how many seeds TestAnyVerdict plays")

// TestAnyVerdict plays the days of TestRefundDays, and two people say whatever the machine takes, true or not: no word of theirs may unbalance the
// books, promise more of a payment than there is, or leave a refund of which nothing may be said.
func TestAnyVerdict(t *testing.T) {
	t.Parallel()
	for seed := range *anyVerdicts {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			d := &refundDay{world: newWorld(t, uint64(seed)), dice: dice(seed)}
			d.booksAlone = true // what is outside follows no lie
			d.open()
			if d.order(d.id).State != Completed {
				return
			}
			d.trouble()
			if d.order(d.id).Payment() != nil && d.dice.roll(4, "year") == 0 {
				d.advance(refundYear - time.Duration(d.dice.roll(7200, "minutes before"))*time.Second)
			}
			d.asksOften()
			d.saidAnything()
		})
	}
}

// auditAlone is the audit of our own books.
func (w *world) auditAlone() {
	w.t.Helper()
	for _, id := range w.store.ids() {
		o := w.order(id)
		found := Verify(o, w.store.history[id])
		var promised money.Fen
		for _, f := range o.Refunds {
			if f.State != refund.Refused {
				promised += f.Cash.Amount
			}
		}
		if p := o.Payment(); p != nil && (p.RefundReserved < 0 || p.RefundReserved > p.Amount || promised != p.RefundReserved) {
			found = append(found, fmt.Sprintf("%s of %s are reserved, the refunds promise %s", p.RefundReserved, p.Amount, promised))
		}
		if len(found) > 0 {
			w.t.Fatalf("order %s: %v\n%s", id.No(), found, strings.Join(w.log, "\n"))
		}
	}
}

// sayable are verdicts on the open refund: every outcome with everything that may be said of the legs, and the amounts that may be due.
func (w *world) sayable(id ID) []Verdict {
	o := w.order(id)
	f, tills := o.Refund(), map[string]bool{"": true, "0.00": true}
	due := money.Fen(-w.store.books[id][ledger.RefundsDue])
	for _, amount := range []money.Fen{due, f.CashDue(), f.CashDue() - due, due - f.CashDue(), -f.CashDue(), -due} {
		tills[amount.String()] = true
	}
	if p := o.Payment(); p != nil {
		tills[(due-p.Amount).String()], tills[(f.CashDue()-p.Amount).String()] = true, true
	}
	rests := []string{""}
	if f.Note && !f.RestKnown() {
		left := f.Before.Total() - f.Total() - (f.Before.Uninsured - f.Uninsured())
		rests = append(rests, "cash:"+left.String(), "pooled_fund:"+((left+1)/2).String())
	}
	var list []Verdict
	for _, outcome := range []Outcome{ToResume, ToFinish, ToRefuse} {
		for _, insurance := range []string{"", "settled", "cancelled", "not_settled"} {
			for _, cash := range []string{"", "paid", "returned", "closed"} {
				for till := range tills {
					for _, rest := range rests {
						v := Verdict{Outcome: outcome, Insurance: insurance, Cash: cash, Till: till, Rest: rest}
						list = append(list, v)
						if s := o.Settlement(); insurance == "settled" && s != nil && s.SetlID == "" {
							v.SetlID = "S-" + fmt.Sprint(s.ID)
							list = append(list, v)
						}
					}
				}
			}
		}
	}
	return list
}

// saidAnything lets days pass, and two people rule what is in review.
func (d *refundDay) saidAnything() {
	for round := range 14 {
		for range 40 {
			d.settle(6 * time.Hour)
		}
		f := d.order(d.id).Refund()
		if f == nil {
			return
		}
		if f.State != refund.InReview {
			d.t.Fatalf("refund %s hangs in %s\n%s", f.ID.No(), f.State, strings.Join(d.log, "\n"))
		}
		if r := d.wechat.refunds[f.Cash.OutRefundNo]; r != nil && (r.state == payment.RefundAbnormal || r.state == payment.RefundProcessing) {
			switch d.dice.roll(5, fmt.Sprint("desk ", round)) {
			case 0:
				d.fetchBack(r)
			case 1:
				r.state, r.at = payment.RefundSuccess, d.clock.Now()
			case 2:
				r.state = payment.RefundClosed
				d.wechat.orders[r.outTradeNo].refunded -= r.amount
			case 3:
				r.state, r.until = payment.RefundProcessing, d.clock.Now().Add(time.Duration(d.dice.roll(480, fmt.Sprint("hours ", round)))*time.Hour)
			}
		}
		var taken []Verdict
		killAt := d.killAt
		d.killAt = 0
		for _, v := range d.sayable(d.id) {
			_, _, err := d.service.Vote(context.Background(), "staff:1", d.id, v, "查明")
			if errors.Is(err, ErrVerdict) {
				continue
			}
			if err == nil {
				taken = append(taken, v)
				_, _, err = d.service.Vote(context.Background(), "staff:2", d.id, Verdict{Outcome: ToReject}, "再查")
			}
			if err != nil {
				d.t.Fatalf("%s: %v", v, err)
			}
		}
		if len(taken) == 0 {
			d.t.Fatalf("nothing may be said of refund %s (%s)\n%s", f.ID.No(), f.Cause, strings.Join(d.log, "\n"))
		}
		slices.SortFunc(taken, func(a, b Verdict) int { return strings.Compare(a.String(), b.String()) })
		v := taken[d.dice.roll(len(taken), fmt.Sprint("verdict ", round))]
		d.logf("they say %s on %s", v, f.Cause)
		if v.Outcome == ToFinish { // so much at least is true
			d.his.booked[f.ID.No()] = f.Total()
		}
		for _, person := range []string{"staff:1", "staff:2"} {
			if _, _, err := d.service.Vote(context.Background(), person, d.id, v, "查明"); err != nil {
				d.t.Fatalf("%s: %v", v, err)
			}
		}
		d.killAt = killAt
		d.audit()
	}
}
