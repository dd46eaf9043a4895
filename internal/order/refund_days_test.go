package order

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
)

var refundDays = flag.Int("refund-days", 450, "how many seeds TestRefundDays plays")

// TestRefundDays plays orders of which up to six refunds are asked, also by the window that has handed the money back, while calls go wrong and the
// process dies; what ends in review, two people rule truthfully. The books are audited all the time, and no refund may hang.
func TestRefundDays(t *testing.T) {
	t.Parallel()
	for seed := range *refundDays {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			d := &refundDay{world: newWorld(t, uint64(seed)), dice: dice(seed)}
			d.open()
			if d.order(d.id).State == Completed {
				d.trouble()
				d.asksOften()
				d.ruled()
			}
		})
	}
}

// refundDay is one order with its refunds.
type refundDay struct {
	*world
	dice  dice
	joint bool
	id    ID
}

// open draws the route, what the insurer bears, and how long authorisations live, and plays an order to its end.
func (d *refundDay) open() {
	w := d.world
	if d.joint = d.dice.roll(3, "joint") == 0; d.joint {
		togetherHere(w)
		w.party.CashFirst = d.dice.roll(3, "cash first") == 0
	}
	w.insurer.ratio, w.insurer.balance = int64(d.dice.roll(101, "ratio")), money.Fen(d.dice.roll(12000, "balance"))
	w.insurer.strict = d.dice.roll(2, "strict") == 0
	w.centre.ratio, w.centre.balance = w.insurer.ratio, w.insurer.balance
	w.people.auth.UsableUntil = start.Add(400 * 24 * time.Hour)
	if d.dice.roll(3, "short authorisations") == 0 {
		w.people.auth.UsableUntil = start.Add(time.Duration(20+d.dice.roll(400, "first")) * time.Minute)
		for i := range 10 {
			w.later(start.Add(time.Duration(d.dice.roll(40*24*60, fmt.Sprint("again ", i)))*time.Minute), func() {
				w.people.authorise(w.clock.Now().Add(time.Duration(5+d.dice.roll(60, fmt.Sprint("for ", i))) * time.Minute))
			})
		}
	}
	d.id = d.oddlyBooked()
}

// oddlyBooked is an order of a bill with odd prices and quantities, where such a bill can be paid; else of the big one.
func (d *refundDay) oddlyBooked() ID {
	if d.dice.roll(3, "odd") == 0 {
		return booked(d.world)
	}
	prices := []string{"0.335", "0.0049", "7.777777", "33.333333", "0.000001", "12.5", "1.115"}
	quantities := []string{"3", "0.3", "2.0001", "24", "1", "0.0001", "7.5"}
	b := &bill.Bill{No: testBill, HISPatient: "HP1", State: bill.Unpaid, Created: start, Visit: bill.Visit{No: "V1", Begun: start, MedType: "11"}}
	for i := range 3 {
		l := bill.Line{No: fmt.Sprint(i + 1), Name: "项目", CatalogueCode: "C", HospitalCode: "H", OccurredAt: start,
			Uninsured: i == 2 && d.dice.roll(4, "uninsured") > 0,
			Quantity:  decimal.RequireFromString(quantities[d.dice.roll(len(quantities), fmt.Sprint("quantity ", i))]),
			Price:     decimal.RequireFromString(prices[d.dice.roll(len(prices), fmt.Sprint("price ", i))])}
		l.Total = bill.Amount(l.Quantity, l.Price)
		b.Lines = append(b.Lines, l)
		b.Total += l.Total
	}
	if b.Total == 0 || b.Check() != nil {
		return booked(d.world)
	}
	d.his.bills[testBill] = b
	o, err := d.quote(true, testBill)
	if err != nil {
		return booked(d.world)
	}
	d.mustConfirm(o.ID)
	d.pay(o.ID)
	d.settle(time.Hour)
	return o.ID
}

// trouble lets a quarter of all calls go wrong, at most four times each; refunds of cards end in every way, and the process may die once.
func (d *refundDay) trouble() {
	met := map[string]int{}
	kinds := []mishap{loseBefore, loseAfter, oddAfter, unsent, slow, lateEffect, takenOver, refuse, refuse}
	d.mishaps = func(op, key string) mishap {
		roll := d.dice.roll(1000, fmt.Sprintf("%s %s %d", op, key, d.calls[op]))
		if op == "query" || roll >= 250 || met[op+key] >= 4 {
			return fine
		}
		met[op+key]++
		return kinds[roll%len(kinds)]
	}
	ends := []payment.RefundState{payment.RefundSuccess, payment.RefundSuccess, payment.RefundProcessing, payment.RefundClosed, payment.RefundAbnormal}
	for i := range 4 {
		d.wechat.cards = append(d.wechat.cards, ends[d.dice.roll(len(ends), fmt.Sprint("card ", i))])
	}
	if d.dice.roll(4, "kill") == 0 {
		d.points, d.killAt = nil, 1+d.dice.roll(150, "kill at")
	}
}

// asksOften asks for six refunds, one beside the other or after it.
func (d *refundDay) asksOften() {
	wants := [][]refund.Want{nil, {item(drug)}, {item(exam)}, {item(diapers)}, {pieces(drug, "0.5")}, {pieces(drug, "1"), item(diapers)},
		{pieces(exam, "0.25")}, {pieces(diapers, "0.3333")}, {pieces(drug, "0.0001")}, {pieces(exam, "0.1")}, {pieces(drug, "0.2"), pieces(exam, "0.1")}}
	for i := range 6 {
		ask := RefundAsk{By: refund.ByPatient, Actor: "account:7", Account: testAccount, Order: d.id, Key: fmt.Sprint("k", i), KeptAgain: true}
		ask.Wants = wants[d.dice.roll(len(wants), fmt.Sprint("want ", i))]
		ask.Whole = len(ask.Wants) == 0
		if d.dice.roll(5, fmt.Sprint("note ", i)) == 0 {
			ask.Note, ask.By, ask.Account = true, refund.ByHIS, 0
			d.outside = true
		}
		err := d.try(func() error {
			_, _, err := d.service.AskRefund(context.Background(), ask)
			return err
		})
		d.logf("ask %d, %v, note %v: %v", i, ask.Wants, ask.Note, err)
		if d.dice.roll(3, fmt.Sprint("wait ", i)) > 0 {
			d.settle(time.Duration(1+d.dice.roll(7200, fmt.Sprint("pause ", i))) * time.Second)
		}
	}
}

// ruled lets days pass, and two people rule what is in review, until nothing is, or twelve rounds are over.
func (d *refundDay) ruled() {
	for round := range 12 {
		for range 40 {
			d.settle(6 * time.Hour)
		}
		f := d.order(d.id).Refund()
		if f == nil || d.t.Failed() {
			return
		}
		if f.State != refund.InReview {
			d.t.Errorf("refund %s hangs in %s", f.ID.No(), f.State)
			return
		}
		v := d.verdict(f, round)
		for _, r := range d.wechat.refunds { // mended at the merchant's desk
			switch {
			case r.state != payment.RefundAbnormal:
			case v.Till == "":
				r.state, r.at = payment.RefundSuccess, d.clock.Now()
			case r == d.wechat.refunds[f.Cash.OutRefundNo]:
				d.fetchBack(r)
			}
		}
		for _, person := range []string{"staff:1", "staff:2"} {
			err := d.try(func() error {
				_, _, err := d.service.Vote(context.Background(), person, d.id, v, "查明")
				return err
			})
			d.logf("%s votes %s on %s: %v", person, v, f.Cause, err)
			if err != nil {
				break
			}
		}
		d.audit()
	}
	d.settle(tenDays)
}

// fetchBack has the merchant take an abnormal refund's money back: WeChat will not give it to the patient any more.
func (w *world) fetchBack(r *cashRefund) {
	w.wechat.orders[r.outTradeNo].refunded -= r.amount
	r.state, r.at, r.merchants = payment.RefundSuccess, w.clock.Now(), true
}

// verdict says the truth of the legs, and draws the outcome.
func (d *refundDay) verdict(f *refund.Refund, round int) Verdict {
	v := Verdict{Outcome: []Outcome{ToResume, ToResume, ToRefuse, ToFinish}[d.dice.roll(4, fmt.Sprint("verdict ", round))]}
	if f.Note {
		v.Outcome = ToRefuse
		if left := f.Before.Total() - f.Total() - (f.Before.Uninsured - f.Uninsured()); f.Cause == string(NoteOfInsured) && left > 0 && d.dice.roll(3, fmt.Sprint("rest ", round)) > 0 {
			v.Outcome, v.Rest = ToResume, "pooled_fund:"+((left+1)/2).String()
		}
	}
	o := d.order(d.id)
	if r := d.wechat.refunds[f.Cash.OutRefundNo]; r != nil && r.state == payment.RefundAbnormal && d.dice.roll(2, fmt.Sprint("till ", round)) == 0 {
		v = Verdict{Outcome: ToResume, Till: f.CashDue().String(), Cash: "paid"} // the window pays instead
	}
	if s := o.Settlement(); s != nil && s.State == settlement.InReview {
		var owed int64
		for _, a := range insurers {
			owed += d.store.books[d.id][a]
		}
		stands := false
		if d.joint {
			n, _ := d.insuredAt(o)
			stands = n > 0
		} else if b := d.insurer.batches[s.BatchNo]; b != nil && b.standing != nil {
			stands = true
			if s.SetlID == "" {
				v.SetlID = b.standing.setlID
			}
		}
		switch {
		case stands:
			v.Insurance = "settled"
		case owed != 0 || s.SetlID != "":
			v.Insurance = "cancelled"
		default:
			v.Insurance = "not_settled"
		}
	}
	if p := o.Payment(); p != nil && p.State == payment.InReview {
		v.Cash = "paid"
	}
	return v
}
