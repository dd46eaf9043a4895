package store

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// completed is an order that the HIS has booked, its job held.
func completed(t *testing.T, db *DB, bill string) (*order.Order, *job.Claim) {
	t.Helper()
	o, claim := paying(t, db, bill)
	s, p := o.Settlement(), o.Payment()
	p.Back = payment.MoneyBack{}
	check(t, p.Apply(payment.Pay))
	p.PaidAt = now(db)
	check(t, s.Apply(settlement.Accept))
	s.Actual, s.SettledAt = s.Foreseen, now(db)
	for _, m := range []order.Move{order.Settle, order.PostTo, order.Complete} {
		moveOrder(t, db, o, m)
	}
	save(t, db, o, claim, job.Hold(now(db).Add(time.Minute), 0))
	return o, claim
}

// giveBack adds a refund of so much of the insured and the uninsured.
func giveBack(db *DB, o *order.Order, insured, uninsured money.Fen) *refund.Refund {
	f := &refund.Refund{ID: refund.ID(db.ids.ID()), Seq: len(o.Refunds) + 1, State: refund.Asked, By: refund.ByPatient, Actor: "account:1",
		Key: "k" + o.ID.No() + string(rune('a'+len(o.Refunds))), Reason: "SECRET-WHY 退药", AskedAt: now(db)}
	for i, l := range []refund.Line{{Amount: insured}, {Amount: uninsured, Uninsured: true}} {
		if l.Amount != 0 {
			l.BillNo, l.LineNo, l.Quantity = "b1", string(rune('1'+i)), decimal.RequireFromString("0.5")
			f.Lines = append(f.Lines, l)
		}
	}
	o.Refunds = append(o.Refunds, f)
	o.RefundInsured += insured
	o.RefundUninsured += uninsured
	return f
}

func givenBack(t *testing.T, db *DB) {
	o, claim := completed(t, db, "b1")
	insured, uninsured := o.Total-o.Split.Uninsured, o.Split.Uninsured
	f := giveBack(db, o, insured-1, 0)
	save(t, db, o, claim, job.Hold(now(db).Add(time.Minute), 0))
	if f.Version != 1 || f.Changed() {
		t.Errorf("stored refund: version %d, changed %v", f.Version, f.Changed())
	}
	sameOrder(t, load(t, db, o.ID), o)

	check(t, f.Apply(refund.Hold))
	rest := settlement.NewOfRest(settlement.ID(db.ids.ID()), 2, o.Settlement().Visit, "B-rest"+o.ID.No(), 1, true)
	check(t, rest.Foresee(settlement.Presettlement{Split: split.Split{Cash: 1}}))
	o.Settlements = append(o.Settlements, rest)
	f.HISNo, f.Before, f.Rest, f.Desk, f.Anew, f.Foreseen, f.Dropping, f.AuthSince = "", o.Split, split.Split{Cash: 1, Uninsured: uninsured}, refund.DeskHeld, rest.ID, true, true, now(db)
	f.HeldAt, f.InsuredAt, f.CashAt, f.ToldAt, f.DoneAt = now(db), now(db), now(db), now(db), now(db)
	f.Cash = payment.MoneyBack{OutRefundNo: "RF" + o.ID.No(), Amount: 7, Request: []byte("SECRET-CASH"), RefundID: "5001", Asked: 2, AskedAt: now(db), Numbers: 3,
		Doubts: 1, ReturnedAt: now(db)}
	f.TillAt, f.Till = now(db), -3
	f.BookingNo, f.Rebilled, f.Cause = "T"+o.ID.No(), []string{"N1", "N2"}, "would_owe"
	save(t, db, o, claim, job.Hold(now(db).Add(time.Minute), 0))
	sameOrder(t, load(t, db, o.ID), o)
	if o.Settlement() == rest {
		t.Error("a presettlement of the rest is current")
	}

	check(t, f.Apply(refund.Escalate))
	save(t, db, o, claim, job.Hold(now(db).Add(time.Minute), 0))
	if n := count(t, db, "SELECT COUNT(*) FROM review_case WHERE open_marker = 1 AND cause = 'would_owe'"); n != 1 {
		t.Errorf("%d open cases", n)
	}
	check(t, f.Apply(refund.Finish))
	f.Rest = split.Split{Uninsured: uninsured + 1}
	save(t, db, o, claim, job.Hold(now(db).Add(time.Minute), 0))
	if n := count(t, db, "SELECT COUNT(*) FROM review_case WHERE open_marker = 1"); n != 0 {
		t.Errorf("%d open cases after it has ended", n)
	}

	last := giveBack(db, o, 1, uninsured)
	check(t, last.Apply(refund.Hold))
	check(t, last.Apply(refund.Finish))
	save(t, db, o, claim, job.Finish())
	sameOrder(t, load(t, db, o.ID), o)
	if !o.GivenBack() {
		t.Fatal("nothing is left, and the order is not given back")
	}
	again := newOrder(db, "b1")
	create(t, db, again) // the bill is free

	exec(t, db, "UPDATE refund SET cash_fen = cash_fen + 1 WHERE seq = 1")
	_, err := db.Orders().Load(t.Context(), o.ID)
	wantErr(t, "an amount changed in the database", err, ErrTampered)
}

// refundBounds: more than there was is refused in Go, and by the UPDATE itself.
func refundBounds(t *testing.T, db *DB) {
	o, claim := completed(t, db, "b1")
	insured, uninsured := o.Total-o.Split.Uninsured, o.Split.Uninsured
	for _, c := range []struct {
		name  string
		spoil func(o *order.Order)
	}{
		{"one fen too many of the insured", func(o *order.Order) { giveBack(db, o, insured+1, 0) }},
		{"one fen too many of the uninsured", func(o *order.Order) { giveBack(db, o, 0, uninsured+1) }},
		{"less than nothing", func(o *order.Order) { giveBack(db, o, 1, 0).Lines[0].Amount = -1; o.RefundInsured = -1 }},
		{"reserved without a refund", func(o *order.Order) { o.RefundInsured = 1 }},
		{"two refunds of the same", func(o *order.Order) { giveBack(db, o, insured, 0); giveBack(db, o, 1, 0) }},
		{"by nobody", func(o *order.Order) { giveBack(db, o, 1, 0).Actor = "" }},
		{"of nothing", func(o *order.Order) { giveBack(db, o, 0, 0) }},
	} {
		twin, fence := load(t, db, o.ID), *claim
		c.spoil(twin)
		wantErr(t, c.name, db.Orders().Save(t.Context(), twin, &fence, job.Finish()), ErrRow)
	}
	for _, over := range [][2]money.Fen{{insured + 1, 0}, {0, uninsured + 1}, {-1, 0}, {0, -1}} {
		twin := load(t, db, o.ID)
		giveBack(db, twin, 1, 0)
		w := must(db.writing(twin))(t)
		twin.RefundInsured, twin.RefundUninsured = over[0], over[1]
		w.order.RefundInsuredFen, w.order.RefundUninsuredFen = int64(over[0]), int64(over[1])
		err := db.write(t.Context(), func(tx *gorm.DB) error { return w.moveOrder(tx, job.Claim{}, false) })
		wantErr(t, "past the checks in Go", err, job.ErrLost)
	}
	sameOrder(t, load(t, db, o.ID), o)
	f := giveBack(db, o, 1, 0)
	save(t, db, o, claim, job.Hold(now(db).Add(time.Minute), 0))
	twin := load(t, db, o.ID)
	giveBack(db, twin, 1, 0).Key = f.Key
	fence := *claim
	wantErr(t, "the same request twice", db.Orders().Save(t.Context(), twin, &fence, job.Finish()), ErrDuplicate)
}
