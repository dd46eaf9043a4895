package store

import (
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
)

// TestRememberedIsSealed: what is remembered holds no order in the clear, nor the versions before it.
func TestRememberedIsSealed(t *testing.T) {
	t.Parallel()
	db := openAt(t, filepath.Join(t.TempDir(), "tuoka.db"))
	var clear []weak.Pointer[order.Order]
	id := func() order.ID {
		o := newOrder(db, "b1")
		claim := create(t, db, o)
		clear = append(clear, weak.Make(o))
		for range 5 {
			again, err := db.Orders().Load(t.Context(), o.ID)
			check(t, err)
			again.Events = append(again.Events, order.Event{Actor: "system", Subject: "order", Verb: "look"})
			save(t, db, again, &claim, job.Hold(now(db).Add(time.Minute), 0))
			clear = append(clear, weak.Make(again))
		}
		return o.ID
	}()
	for range 3 {
		runtime.GC()
	}
	for i, p := range clear {
		if p.Value() != nil {
			t.Errorf("version %d is still held in the clear", i+1)
		}
	}
	if db.recent.of(int64(id)) == nil {
		t.Error("nothing is remembered")
	}
}

// TestTheSameVersionByAnotherWay: a database that has lost a commit, as an asynchronous standby may, comes to the same version again with something
// else in it.
func TestTheSameVersionByAnotherWay(t *testing.T) {
	t.Parallel()
	db := openAt(t, filepath.Join(t.TempDir(), "tuoka.db"))
	o := newOrder(db, "b1")
	claim := create(t, db, o)
	first, second := load(t, db, o.ID), load(t, db, o.ID)
	write := func(o *order.Order, words string) {
		t.Helper()
		o.Refusal = words
		held := claim
		save(t, db, o, &held, job.Stay())
	}
	write(first, "FIRST")
	ghost := db.recent.of(int64(o.ID))
	exec(t, db, "UPDATE orders SET version = 1 WHERE id = ?", int64(o.ID))
	write(second, "SECOND")
	db.recent.keep(ghost) // as the process has it that wrote before
	for range 2 {
		now, err := db.Orders().Load(t.Context(), o.ID)
		check(t, err)
		worked, _, _, err := db.Orders().LoadForWork(t.Context(), o.ID)
		check(t, err)
		if now.Refusal != "SECOND" || worked.Refusal != "SECOND" {
			t.Errorf("loaded %q and %q", now.Refusal, worked.Refusal)
		}
		db.recent.keep(ghost)
	}
}
