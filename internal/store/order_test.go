package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

func suiteOrders(t *testing.T, open func(t *testing.T) *DB) {
	t.Run("one payment, in the order it happens", func(t *testing.T) { wholePayment(t, open(t)) })
	t.Run("bills read anew", func(t *testing.T) { requoted(t, open(t)) })
	t.Run("review", func(t *testing.T) { reviewed(t, open(t)) })
	t.Run("late payment of a closed order", func(t *testing.T) { latePayment(t, open(t)) })
	t.Run("lists and look-ups", func(t *testing.T) { lookUps(t, open(t)) })
	t.Run("several attempts", func(t *testing.T) { attempts(t, open(t)) })
	t.Run("given back", func(t *testing.T) { givenBack(t, open(t)) })
	t.Run("votes", func(t *testing.T) { votes(t, open(t)) })
	t.Run("balances", func(t *testing.T) { balances(t, open(t)) })
	t.Run("bounds of refunds", func(t *testing.T) { refundBounds(t, open(t)) })
	t.Run("both legs under one password", func(t *testing.T) { onePassword(t, open(t)) })
}

func wholePayment(t *testing.T, db *DB) {
	o := newOrder(db, "b1", "b2")
	claim := create(t, db, o)
	if o.Version != 1 || len(o.Events) != 0 || claim.Owner != worker || claim.Version != 1 {
		t.Fatalf("after Create: version %d, %d events, claim %+v", o.Version, len(o.Events), claim)
	}
	sameOrder(t, load(t, db, o.ID), o)

	s := quoted(t, db, o, &claim)
	if s.Version != 1 || s.Changed() || o.Version != 2 || claim.Version != 2 || !claim.LeaseUntil.Equal(now(db).Add(time.Minute)) {
		t.Fatalf("after the quote: settlement %d, order %d, claim %+v", s.Version, o.Version, claim)
	}
	sameOrder(t, load(t, db, o.ID), o)

	p := newPayment(db, o)
	o.ConfirmedAt, o.Lock, o.LockedUntil = now(db), order.Locked, now(db).Add(time.Hour)
	moveOrder(t, db, o, order.Collect)
	check(t, p.Apply(payment.Prepared))
	p.PrepayID = "SECRET-PREPAY"
	save(t, db, o, &claim, job.At(now(db).Add(2*time.Second), 1, "waits for the patient"))
	sameOrder(t, load(t, db, o.ID), o)
	wantErr(t, "a claim that was given back", db.Orders().Save(t.Context(), o, &claim, job.Finish()), job.ErrLost)

	advance(t, db, 2*time.Second)
	j, _, err := db.Jobs().Find(t.Context(), order.JobKind, o.ID.No())
	check(t, err)
	claim = take(t, db, j, worker, time.Minute)
	check(t, p.Apply(payment.Pay))
	p.TransactionID, p.PaidAt = "4200", now(db)
	o.Events = append(o.Events, order.Event{At: now(db), Actor: "system", Subject: "payment", Verb: "pay", Posting: p.Received(ledger.Suspense), Number: p.TransactionID})
	moveOrder(t, db, o, order.Settle)
	check(t, s.Apply(settlement.Send))
	s.MsgID, s.AskedUntil, s.Settles = "M1", now(db).Add(time.Minute), 1
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))

	check(t, s.Apply(settlement.Accept))
	s.SetlID, s.Actual, s.SettledAt, s.ClrOptins, s.ClrWay, s.ClrType = "S1", s.Foreseen, now(db), "1", "2", "3"
	o.Events = append(o.Events, order.Event{Actor: "system", Subject: "settlement", Verb: "settled", Split: s.Actual, Posting: s.Posting(ledger.Suspense)})
	moveOrder(t, db, o, order.PostTo)
	o.Post = order.PostAsked
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	moveOrder(t, db, o, order.Complete)
	o.Post, o.Posted = order.PostDone, order.Posted{PostingNo: "HIS1", ReceiptNo: "R1", Guide: []string{"SECRET-GUIDE 二楼药房"}, PostedAt: now(db)}
	save(t, db, o, &claim, job.Finish())
	sameOrder(t, load(t, db, o.ID), o)
	if _, found, _ := db.Jobs().Find(t.Context(), order.JobKind, o.ID.No()); found || claim.Owner != "" {
		t.Fatalf("the job is still there: %v, claim %+v", found, claim)
	}
	history(t, db, o.ID, p.Received(ledger.Suspense), s.Posting(ledger.Suspense))
}

func history(t *testing.T, db *DB, id order.ID, postings ...ledger.Posting) {
	t.Helper()
	var verbs []string
	var got []ledger.Posting
	for i, e := range must(db.Orders().History(t.Context(), id))(t) {
		if e.Seq != i+1 || e.At.IsZero() || e.Actor == "" {
			t.Errorf("event %d: %+v", i+1, e)
		}
		verbs = append(verbs, e.Verb)
		if e.Posting != nil {
			got = append(got, e.Posting)
		}
	}
	if diff := cmp.Diff([]string{"create", "quote", "collect", "pay", "settle", "settled", "post", "complete"}, verbs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(postings, got); diff != "" {
		t.Error(diff)
	}
	if sum := count(t, db, "SELECT SUM(amount_fen) FROM ledger_line"); sum != 0 {
		t.Errorf("the ledger sums to %d", sum)
	}
	// The bills stay taken after completion.
	again := newOrder(db, "b2")
	_, err := db.Orders().Create(t.Context(), asked(again), jobOf(db, again))
	wantErr(t, "a bill of a completed order", err, order.ErrBillLive)
}

func requoted(t *testing.T, db *DB) {
	o := newOrder(db, "b1", "b2")
	claim := create(t, db, o)
	o.Bills = []order.Bill{newBill(db, "b2", 500, 1), newBill(db, "b3", 300, 0x20)}
	o.Bills[0].Digest = "another"
	o.Total = 501 + 332
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	sameOrder(t, load(t, db, o.ID), o)
	o.Bills[1].Digest, o.Bills[1].Bill.Lines[0].Name = "same amounts, another drug", "SECRET-DRUG 2"
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	sameOrder(t, load(t, db, o.ID), o)
	free := newOrder(db, "b1")
	create(t, db, free)
	o.Bills = append(o.Bills, newBill(db, "b1", 10000, 2000))
	o.Total += 12000
	wantErr(t, "a bill of another order", db.Orders().Save(t.Context(), o, &claim, job.Finish()), order.ErrBillLive)
	if n := count(t, db, "SELECT COUNT(*) FROM order_bill WHERE order_id = ? AND live = 1", int64(o.ID)); n != 2 {
		t.Fatalf("%d live bills after the refusal, want 2", n)
	}
}

func reviewed(t *testing.T, db *DB) {
	o := newOrder(db, "b1")
	claim := create(t, db, o)
	quoted(t, db, o, &claim)
	newPayment(db, o)
	moveOrder(t, db, o, order.Collect)
	hold := func() job.Next { return job.Hold(now(db).Add(time.Minute), 0) }
	save(t, db, o, &claim, hold())
	open := func() int64 {
		return count(t, db, "SELECT COUNT(*) FROM review_case WHERE order_id = ? AND open_marker = 1", int64(o.ID))
	}
	for round := range 2 {
		moveOrder(t, db, o, order.Escalate)
		o.Cause = order.CashMismatch
		save(t, db, o, &claim, hold())
		save(t, db, o, &claim, hold()) // once more in review: the same case
		if n := open(); n != 1 || count(t, db, "SELECT COUNT(*) FROM review_case WHERE cause = ?", string(order.CashMismatch)) != int64(round+1) {
			t.Fatalf("round %d: %d open cases", round, n)
		}
		moveOrder(t, db, o, order.Unwind)
		save(t, db, o, &claim, hold())
		if n := open(); n != 0 {
			t.Fatalf("round %d: %d open cases after review", round, n)
		}
	}
	id := count(t, db, "SELECT MAX(id) FROM review_case WHERE outcome = ?", string(order.Unwinding))
	vote := func(person, position string) error {
		return db.writer.WithContext(t.Context()).Exec(`INSERT INTO review_vote (id, institution, case_id, person, position, decision, reason, at_us, mac)
			VALUES (?, ?, ?, ?, ?, 'unwind', '', 1, '')`, db.ids.ID(), hospital, id, person, position).Error
	}
	check(t, vote("staff:1", "maker"))
	if !duplicate(vote("staff:1", "checker")) || !duplicate(vote("staff:2", "maker")) {
		t.Fatal("one person in two positions, or two in one")
	}
	check(t, vote("staff:2", "checker"))
}

func latePayment(t *testing.T, db *DB) {
	o := newOrder(db, "b1")
	claim := create(t, db, o)
	quoted(t, db, o, &claim)
	p := newPayment(db, o)
	moveOrder(t, db, o, order.Collect)
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	check(t, p.Apply(payment.Dead))
	check(t, o.Settlement().Apply(settlement.Drop))
	moveOrder(t, db, o, order.Abandon)
	moveOrder(t, db, o, order.Shut)
	o.Cause = order.NotPaid
	save(t, db, o, &claim, job.Finish())

	other := newOrder(db, "b1") // the bill is free again
	create(t, db, other)
	check(t, db.Orders().Revive(t.Context(), o.ID, now(db)))
	check(t, db.Orders().Revive(t.Context(), o.ID, now(db).Add(time.Hour))) // there is one: nothing happens
	if got := due(t, db, 9, order.JobKind); got != o.ID.No() {
		t.Fatalf("Due() = %q, want the revived order", got)
	}
	wantErr(t, "revive nothing", db.Orders().Revive(t.Context(), 1, now(db)), order.ErrNotFound)
	j, _, err := db.Jobs().Find(t.Context(), order.JobKind, o.ID.No())
	check(t, err)
	claim = take(t, db, j, worker, time.Minute)
	o = load(t, db, o.ID)
	check(t, o.Payment().Apply(payment.Pay))
	moveOrder(t, db, o, order.Unwind)
	save(t, db, o, &claim, job.At(now(db), 0, ""))
	if n := count(t, db, "SELECT COUNT(*) FROM order_bill WHERE bill_no = 'b1' AND live = 1 AND order_id = ?", int64(other.ID)); n != 1 {
		t.Fatal("the late payment took the bill from the order that came after it")
	}
	sameOrder(t, load(t, db, o.ID), o)
}

func lookUps(t *testing.T, db *DB) {
	store := db.Orders()
	var all []*order.Order
	for n := range 5 {
		o := newOrder(db, fmt.Sprintf("b%d", n))
		claim := create(t, db, o)
		quoted(t, db, o, &claim)
		if n == 4 { // the newest is closed
			check(t, o.Settlement().Apply(settlement.Drop))
			moveOrder(t, db, o, order.Abandon)
			moveOrder(t, db, o, order.Shut)
			save(t, db, o, &claim, job.Finish())
		}
		all = append(all, o)
	}
	got := must(store.List(t.Context(), 7, 0, 3))(t)
	if len(got) != 3 {
		t.Fatalf("List() = %d orders", len(got))
	}
	for i, o := range got {
		sameOrder(t, o, all[4-i])
	}
	got = must(store.List(t.Context(), 7, got[2].ID, 1000))(t)
	if len(got) != 2 || got[1].ID != all[0].ID {
		t.Fatalf("List(before) = %d orders", len(got))
	}
	if got = must(store.List(t.Context(), 8, 0, 3))(t); len(got) != 0 {
		t.Fatal("another account's orders")
	}
	if got = must(store.List(t.Context(), 7, 0, 0))(t); len(got) != 0 {
		t.Fatal("a page without room")
	}
	if id := must(store.LiveOf(t.Context(), 7))(t); id != all[3].ID {
		t.Fatalf("LiveOf() = %d, want the newest that is open", id)
	}
	_, err := store.LiveOf(t.Context(), 8)
	wantErr(t, "no live order", err, order.ErrNotFound)
	if v := must(store.VersionOf(t.Context(), all[3].ID))(t); v != all[3].Version {
		t.Fatalf("VersionOf() = %d", v)
	}
	_, err = store.VersionOf(t.Context(), 1)
	wantErr(t, "version of nothing", err, order.ErrNotFound)
	_, err = store.Load(t.Context(), 1)
	wantErr(t, "load nothing", err, order.ErrNotFound)
	o := all[3]
	p := newPayment(db, o)
	moveOrder(t, db, o, order.Collect)
	j, _, err := db.Jobs().Find(t.Context(), order.JobKind, o.ID.No())
	check(t, err)
	advance(t, db, time.Hour)
	claim := take(t, db, j, worker, time.Minute)
	save(t, db, o, &claim, job.At(now(db), 0, ""))
	if id := must(store.ByNumber(t.Context(), hospital, p.OutTradeNo))(t); id != o.ID {
		t.Fatalf("ByNumber() = %d", id)
	}
	_, err = store.ByNumber(t.Context(), "h2", p.OutTradeNo)
	wantErr(t, "another institution's number", err, order.ErrNotFound)
	if events := must(store.History(t.Context(), 1))(t); len(events) != 0 {
		t.Fatal("history of nothing")
	}
}

// attempts opens a second attempt of each leg in the commit that closes the first.
func attempts(t *testing.T, db *DB) {
	o := newOrder(db, "b1")
	claim := create(t, db, o)
	hold := func() job.Next { return job.Hold(now(db).Add(time.Minute), 0) }
	first := quoted(t, db, o, &claim)
	moveOrder(t, db, o, order.Collect)
	p := newPayment(db, o)
	save(t, db, o, &claim, hold())
	check(t, first.Apply(settlement.Drop))
	first.Refusal = "SECRET-REFUSAL"
	check(t, p.Apply(payment.Refuse))
	o.Settlements = append(o.Settlements, settlement.New(settlement.ID(db.ids.ID()), 2, settlement.Visit{VisitNo: "T2"}, "B2", first.Total, false))
	newPayment(db, o)
	save(t, db, o, &claim, hold())
	sameOrder(t, load(t, db, o.ID), o)
	if first.Version != 2 || o.Settlement().Version != 1 || p.Version != 2 || o.Payment().Version != 1 {
		t.Fatalf("versions %d %d %d %d", first.Version, o.Settlement().Version, p.Version, o.Payment().Version)
	}
	save(t, db, o, &claim, hold())
	if first.Version != 2 || p.Version != 2 {
		t.Fatal("an attempt moved that had not changed")
	}
}
