package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/order"
)

// balances: sums by institution, day in China and account; and every order is handed over once with its history.
func balances(t *testing.T, db *DB) {
	post := func(o *order.Order, claim *job.Claim) {
		o.Events = append(o.Events, order.Event{Actor: "system", Subject: "payment", Verb: "pay",
			Posting: ledger.Posting{{Account: ledger.WechatCash, Amount: 5}, {Account: ledger.Suspense, Amount: -5}}})
		save(t, db, o, claim, job.Hold(now(db).Add(time.Hour), 0))
	}
	o, claim := paying(t, db, "b1")
	first := now(db)
	post(o, claim)
	post(o, claim)
	advance(t, db, 24*time.Hour)
	second, other := paying(t, db, "b2")
	post(second, other)
	day := func(at time.Time) string { return at.UTC().Add(8 * time.Hour).Format(time.DateOnly) }
	want := []Balance{
		{hospital, day(first), ledger.Suspense, -10}, {hospital, day(first), ledger.WechatCash, 10},
		{hospital, day(now(db)), ledger.Suspense, -5}, {hospital, day(now(db)), ledger.WechatCash, 5},
	}
	if diff := cmp.Diff(want, must(db.Balances(t.Context(), "", first, now(db)))(t)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[2:], must(db.Balances(t.Context(), hospital, now(db), now(db)))(t)); diff != "" {
		t.Error(diff)
	}
	if got := must(db.Balances(t.Context(), "another", first, now(db)))(t); len(got) != 0 {
		t.Errorf("another institution has %v", got)
	}
	seen := map[order.ID]int{}
	check(t, db.Orders().Each(t.Context(), hospital, func(o *order.Order, history []order.Event) error {
		seen[o.ID] += len(history)
		return nil
	}, nil))
	if len(seen) != 2 || seen[o.ID] != len(must(db.Orders().History(t.Context(), o.ID))(t)) {
		t.Errorf("handed over: %v", seen)
	}
	check(t, db.Orders().Each(t.Context(), "another", func(o *order.Order, _ []order.Event) error {
		t.Errorf("another institution has order %s", o.ID.No())
		return nil
	}, nil))

	exec(t, db, "UPDATE orders SET receipt_no = 'another' WHERE id = ?", int64(o.ID))
	clear(seen)
	see := func(o *order.Order, _ []order.Event) error { seen[o.ID]++; return nil }
	wantErr(t, "an order changed in the database", db.Orders().Each(t.Context(), hospital, see, nil), ErrTampered)
	clear(seen)
	var broken []order.ID
	check(t, db.Orders().Each(t.Context(), hospital, see, func(id order.ID, err error) error {
		wantErr(t, "what is broken", err, ErrTampered)
		broken = append(broken, id)
		return nil
	}))
	if len(broken) != 1 || broken[0] != o.ID || len(seen) != 1 {
		t.Errorf("broken are %v, handed over %v", broken, seen)
	}
}

// votes: two positions, two people, one case; a rejection begins another.
func votes(t *testing.T, db *DB) {
	o, claim := paying(t, db, "b1")
	moveOrder(t, db, o, order.Escalate)
	o.Cause = order.HISMismatch
	save(t, db, o, claim, job.Hold(now(db).Add(time.Hour), 0))
	vote := func(person string, position order.Position, outcome order.Outcome) error {
		twin, fence := load(t, db, o.ID), *claim
		twin.Vote = &order.Vote{Person: person, Position: position, Verdict: order.Verdict{Outcome: outcome, Cash: "paid"}, Reason: "查过", At: now(db)}
		err := db.Orders().Save(t.Context(), twin, &fence, job.Hold(now(db).Add(time.Hour), 0))
		if err == nil {
			*claim = fence
		}
		return err
	}
	check(t, vote("staff:1", order.Maker, order.ToPost))
	c := must(db.Orders().OpenCase(t.Context(), o.ID))(t)
	want := []order.Vote{{Person: "staff:1", Position: order.Maker, Verdict: order.Verdict{Outcome: order.ToPost, Cash: "paid"}, Reason: "查过", At: now(db)}}
	if diff := cmp.Diff(want, c.Votes); diff != "" || c.Cause != order.HISMismatch || c.Order != o.ID || c.Institution != hospital {
		t.Errorf("case %+v %s", c, diff)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM audit_record WHERE action = 'review.vote' AND actor = 'staff:1' AND object = ? AND result = 'ok' AND detail = 'maker post cash=paid'",
		"order:"+o.ID.No()); n != 1 {
		t.Errorf("%d audit records of the vote", n)
	}
	wantErr(t, "the same person again", vote("staff:1", order.Checker, order.ToPost), order.ErrVoted)
	wantErr(t, "the same position again", vote("staff:2", order.Maker, order.ToPost), order.ErrVoted)
	check(t, vote("staff:2", order.Checker, order.ToReject))
	again := must(db.Orders().OpenCase(t.Context(), o.ID))(t)
	if again.ID == c.ID || len(again.Votes) != 0 || count(t, db, "SELECT COUNT(*) FROM review_case WHERE outcome = 'rejected'") != 1 {
		t.Errorf("after a rejection: %+v", again)
	}
	check(t, vote("staff:2", order.Maker, order.ToUnwind))
	if list := must(db.Orders().Cases(t.Context(), "", 10))(t); len(list) != 1 || len(list[0].Votes) != 1 {
		t.Errorf("cases %+v", list)
	}
	if list := must(db.Orders().Cases(t.Context(), "another", 10))(t); len(list) != 0 {
		t.Errorf("another institution's cases %+v", list)
	}
	twin := load(t, db, o.ID)
	moveOrder(t, db, twin, order.Unwind)
	save(t, db, twin, claim, job.Hold(now(db).Add(time.Hour), 0))
	_, err := db.Orders().OpenCase(t.Context(), o.ID)
	wantErr(t, "a case that is closed", err, order.ErrNoCase)
	twin.Vote = &order.Vote{Person: "staff:3", Position: order.Maker, Verdict: order.Verdict{Outcome: order.ToPost}}
	wantErr(t, "a vote on nothing", db.Orders().Save(t.Context(), twin, claim, job.Finish()), order.ErrNoCase)
	twin = load(t, db, o.ID)
	moveOrder(t, db, twin, order.Escalate)
	save(t, db, twin, claim, job.Hold(now(db).Add(time.Hour), 0))
	check(t, vote("staff:4", order.Maker, order.ToPost))
	exec(t, db, "UPDATE review_vote SET verdict = 'unwind', decision = 'unwind' WHERE person = 'staff:4'")
	_, err = db.Orders().OpenCase(t.Context(), o.ID)
	wantErr(t, "a vote changed in the database", err, ErrTampered)
}
