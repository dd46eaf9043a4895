package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/settlement"
)

func suiteRaces(t *testing.T, open func(t *testing.T) *DB) {
	t.Run("a stale claim writes nothing", func(t *testing.T) { staleClaim(t, open(t)) })
	t.Run("a row that moved writes nothing", func(t *testing.T) { movedRow(t, open(t)) })
	t.Run("two orders of one bill", func(t *testing.T) {
		db := open(t)
		results := atOnce(8, func(int) error {
			o := newOrder(db, "b1")
			_, err := db.Orders().Create(t.Context(), asked(o), jobOf(db, o))
			return err
		})
		oneWins(t, results, order.ErrBillLive)
		if n := count(t, db, "SELECT (SELECT COUNT(*) FROM orders) + (SELECT COUNT(*) FROM job) + (SELECT COUNT(*) FROM idempotency)"); n != 3 {
			t.Fatalf("%d rows, want one order, one job, one key", n)
		}
	})
	t.Run("two requests under one key", func(t *testing.T) {
		db := open(t)
		results := atOnce(8, func(n int) error {
			o := newOrder(db, fmt.Sprintf("b%d", n))
			_, err := db.Orders().Create(t.Context(), under(o, job.Key{Account: 7, Route: "r", Key: "k"}), jobOf(db, o))
			return err
		})
		oneWins(t, results, job.ErrBusy)
		replay, found, err := db.Replays().FindReplay(t.Context(), job.Key{Account: 7, Route: "r", Key: "k"})
		if id, parseErr := order.ParseID(replay.Ref); !found || err != nil || parseErr != nil || count(t, db, "SELECT COUNT(*) FROM orders WHERE id = ?", int64(id)) != 1 {
			t.Fatalf("the key names %q: %v, %v", replay.Ref, found, err)
		}
	})
	t.Run("rows taken crosswise", func(t *testing.T) { crosswise(t, open(t)) })
	t.Run("many orders at once", func(t *testing.T) {
		db := open(t)
		for _, err := range atOnce(8, func(n int) error { return fiftySaves(t, db, n) }) {
			check(t, err)
		}
		if n := count(t, db, "SELECT COUNT(*) FROM order_event"); n != 8*51 {
			t.Fatalf("%d events, want %d", n, 8*51)
		}
	})
}

// crosswise: transactions that take the same rows in another order are in each other's way for good, until the engine gives one up. That one is done
// again, and nobody hears of it.
func crosswise(t *testing.T, db *DB) {
	refs := []string{"1", "2"}
	for _, ref := range refs {
		check(t, db.write(t.Context(), func(tx *gorm.DB) error {
			_, err := db.addJob(tx, hospital, job.New{Kind: "test", Ref: ref, RunAt: now(db)})
			return err
		}))
	}
	const rounds = 20
	for _, err := range atOnce(2, func(n int) error {
		for range rounds {
			err := db.write(t.Context(), func(tx *gorm.DB) error {
				for i := range refs {
					if _, err := change(tx, "UPDATE job SET attempt = attempt + 1 WHERE kind = 'test' AND ref = ?", refs[(i+n)%2]); err != nil {
						return err
					}
					_ = clock.Real{}.Sleep(t.Context(), time.Millisecond)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		check(t, err)
	}
	if n := count(t, db, "SELECT SUM(attempt) FROM job WHERE kind = 'test'"); n != 2*2*rounds {
		t.Fatalf("%d changes, want %d", n, 2*2*rounds)
	}
}

func fiftySaves(t *testing.T, db *DB, n int) error {
	o := newOrder(db, fmt.Sprintf("b%d", n))
	claim, err := db.Orders().Create(t.Context(), asked(o), jobOf(db, o))
	for range 50 {
		if err != nil {
			return err
		}
		o.Events = append(o.Events, order.Event{Actor: "system", Subject: "order", Verb: "look"})
		if err = db.Orders().Save(t.Context(), o, &claim, job.Hold(now(db).Add(time.Minute), 0)); err != nil {
			return err
		}
		if _, err = db.Orders().Load(t.Context(), o.ID); err != nil {
			return err
		}
	}
	if o.Version != 51 || claim.Version != 51 {
		return fmt.Errorf("order %d, claim %d after 50 saves", o.Version, claim.Version)
	}
	return nil
}

func atOnce(n int, work func(int) error) []error {
	results := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { results[i] = work(i) })
	}
	wg.Wait()
	return results
}

func oneWins(t *testing.T, results []error, others error) {
	t.Helper()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, others) {
			t.Errorf("a loser got %v, want %v", err, others)
		}
	}
	if won != 1 {
		t.Fatalf("%d won", won)
	}
}

func staleClaim(t *testing.T, db *DB) {
	o := newOrder(db, "b1")
	stale := create(t, db, o)
	advance(t, db, 2*time.Minute)
	j, _, err := db.Jobs().Find(t.Context(), order.JobKind, o.ID.No())
	check(t, err)
	fresh := take(t, db, j, "worker-2", time.Minute)
	mine := load(t, db, o.ID)
	for _, next := range []job.Next{job.Finish(), job.Stay(), job.Hold(now(db).Add(time.Hour), 0), job.At(now(db), 0, "")} {
		late := stale
		o.Events = []order.Event{{Actor: "system", Subject: "order", Verb: "late"}}
		newPayment(db, mustQuote(o))
		wantErr(t, "save with a stale claim", db.Orders().Save(t.Context(), o, &late, next), job.ErrLost)
		if diff := cmp.Diff(stale, late); diff != "" || len(o.Events) != 1 || o.Version != mine.Version || o.Payment().Version != 0 {
			t.Fatalf("a lost save touched its arguments: %s", diff)
		}
		o.Payments = nil
	}
	if n := count(t, db, "SELECT (SELECT COUNT(*) FROM payment) + (SELECT COUNT(*) FROM order_event WHERE verb = 'late')"); n != 0 {
		t.Fatalf("%d rows were written", n)
	}
	sameOrder(t, load(t, db, o.ID), mine)
	save(t, db, mine, &fresh, job.Finish())
}

// mustQuote gives an order a split without more, so that it has something to pay.
func mustQuote(o *order.Order) *order.Order {
	o.Split.Uninsured = o.Total
	return o
}

func movedRow(t *testing.T, db *DB) {
	o := newOrder(db, "b1")
	claim := create(t, db, o)
	s := quoted(t, db, o, &claim)
	hold := job.Hold(now(db).Add(time.Hour), 0)
	twin := load(t, db, o.ID)
	save(t, db, o, &claim, hold)
	was := claim
	wantErr(t, "an order that moved", db.Orders().Save(t.Context(), twin, &claim, hold), job.ErrLost)
	twin = load(t, db, o.ID)
	s.Settles, s.MsgID = 1, "M9"
	check(t, s.Apply(settlement.Send))
	save(t, db, o, &claim, hold)
	twin.Version = o.Version
	check(t, twin.Settlement().Apply(settlement.Withdraw))
	was.Version = claim.Version
	wantErr(t, "an attempt that moved", db.Orders().Save(t.Context(), twin, &was, hold), job.ErrLost)
	sameOrder(t, load(t, db, o.ID), o)
	if claim.Version != was.Version {
		t.Fatal("a lost save moved the claim")
	}
}
