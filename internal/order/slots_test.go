package order

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/refund"
)

func TestSlots(t *testing.T) {
	t.Parallel()
	s := slots{most: 2, taken: map[string]int{}, begun: map[string]time.Time{}, short: map[string]bool{}}
	now := start
	take := func(institution, work string, want bool) {
		t.Helper()
		if got := s.take(institution, work, now); got != want {
			t.Errorf("take(%s, %s) = %v, want %v", institution, work, got, want)
		}
	}
	take("a", "1", true)
	take("a", "1", false) // it is being worked on
	take("a", "2", true)
	take("a", "3", false)
	take("b", "4", true)
	if full := s.full(); len(full) != 1 || full[0] != "a" {
		t.Errorf("full() = %v, want a", full)
	}
	if !s.give("a", "1", now, time.Time{}) {
		t.Error("a slot was given back that nobody wants, although work was passed over")
	}
	take("a", "1", true)
	if s.give("a", "2", now, now.Add(time.Second)) {
		t.Error("a slot is wanted, although no work was passed over")
	}
	take("a", "2", false) // it rests
	take("a", "3", true)
	s.give("a", "3", now, now.Add(time.Hour))
	now = now.Add(time.Second)
	take("a", "2", true)
	s.give("a", "2", now, time.Time{})
	now = now.Add(time.Hour)
	s.give("a", "1", now, time.Time{})
	if len(s.begun) != 1 || s.taken["a"] != 0 {
		t.Errorf("left: %v, %v", s.begun, s.taken)
	}
}

// TestLook: orders that are due and notices take turns; a look without work tells when the next order is due.
func TestLook(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, 1)
	id := paid(w)
	rest, err := w.service.Look(ctx, 100*time.Second, func() { t.Error("found something") })
	if due := w.store.jobs[id.No()].due.Sub(w.fake.Now()); err != nil || due <= 0 || due >= 100*time.Second || rest != due {
		t.Errorf("Look = %v, %v, want a rest of %v", rest, err, due)
	}
	if rest, err := w.service.Look(ctx, time.Millisecond, func() {}); err != nil || rest != time.Millisecond {
		t.Errorf("Look = %v, %v, want a rest of 1 ms", rest, err)
	}
	for i := range 50 {
		w.notify(fmt.Sprint("flood ", i), "no number of ours")
	}
	w.advance(time.Hour)
	found := 0
	for range 2 {
		if rest, err := w.service.Look(ctx, time.Second, func() { found++ }); err != nil || rest != time.Second {
			t.Fatalf("Look = %v, %v", rest, err)
		}
	}
	if found != 2 || w.calls["query"] == 0 {
		t.Errorf("two looks among 50 notices found %d pieces of work; the order was asked about %d times", found, w.calls["query"])
	}
}

// TestLookHandsOnOnce: whatever becomes of what it found, a look lets one other look, and does nothing else afterwards.
func TestLookHandsOnOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := paid(w)
	for _, e := range []string{"e1", "e2", "e3"} {
		w.notify(e, w.order(id).Payment().OutTradeNo)
	}
	w.advance(time.Hour)
	s := New(w.store, brokenQueue{memory: w.store, take: job.ErrBusy}, w.store, w.people, []*Party{w.party}, w.clock, w.source, Config{})
	for i := range 4 { // three notices and the order
		found := 0
		if rest, err := s.Look(t.Context(), time.Second, func() { found++ }); err != nil || rest != time.Second || found != 1 {
			t.Errorf("look %d: %v, %v, handed on %d times, want once", i+1, rest, err, found)
		}
	}
	found := 0
	if rest, err := s.Look(t.Context(), time.Second, func() { found++ }); err != nil || rest == 0 || found != 0 {
		t.Errorf("everything rests: %v, %v, handed on %d times", rest, err, found)
	}
}

// away is a store whose database is away once.
type away struct {
	*memory
	err error
}

func (a *away) Save(ctx context.Context, o *Order, c *job.Claim, n job.Next) error {
	if err := a.err; err != nil {
		a.err = nil
		return err
	}
	return a.memory.Save(ctx, o, c, n)
}

// TestAskSurvivesTheDatabase: a refund that the window asks for is not forgotten because the database was away, or did not tell, at that moment.
func TestAskSurvivesTheDatabase(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Unavailable, fault.Unknown, fault.Internal, fault.Limited} {
		w := newWorld(t, 1)
		id := booked(w)
		w.asks("n1", refund.AskedByHIS{HISNo: "T1", OrderNo: id.No(), Total: 2000,
			Lines: []refund.Line{{BillNo: testBill, LineNo: diapers, Quantity: decimal.New(1, 0), Amount: 2000}}})
		s := New(&away{w.store, fault.New(kind, "STORE", "")}, w.store, w.store, w.people, []*Party{w.party}, w.clock, w.source, Config{})
		if worked, err := s.StepInbox(t.Context()); worked || err == nil {
			t.Errorf("%s: StepInbox = %v, %v", kind, worked, err)
		}
		if _, err := s.StepInbox(t.Context()); err != nil || len(w.order(id).Refunds) != 1 {
			t.Errorf("%s: when the database is back: %d refunds, %v", kind, len(w.order(id).Refunds), err)
		}
	}
}

// TestNoticeRests: a notice that begins something and cannot be handled is not found again at once, and others are.
func TestNoticeRests(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, 1)
	id := paid(w)
	w.notify("e1", w.order(id).Payment().OutTradeNo)
	s := New(w.store, brokenQueue{memory: w.store, take: job.ErrBusy}, w.store, w.people, []*Party{w.party}, w.clock, w.source, Config{})
	found := 0
	look := func() {
		t.Helper()
		if rest, err := s.Look(ctx, time.Second, func() { found++ }); err != nil || rest == 0 {
			t.Errorf("Look = %v, %v", rest, err)
		}
	}
	look()
	look()
	if found != 1 {
		t.Errorf("begun %d times, want once", found)
	}
	w.fake.Advance(2 * time.Second)
	look()
	look()
	if found != 2 {
		t.Errorf("begun %d times, want twice", found)
	}
}

// TestFullInstitution: what an institution with no free slot has to do is not even read.
func TestFullInstitution(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := paid(w)
	w.notify("e1", w.order(id).Payment().OutTradeNo)
	w.advance(time.Hour)
	for i := range w.service.config.Slots {
		if !w.service.slots.take(hospitalID, fmt.Sprint(i), w.fake.Now()) {
			t.Fatal("no slot")
		}
	}
	queue := seen{memory: w.store}
	w.service.queue, w.service.inbox = &queue, &queue
	for range 2 {
		if rest, err := w.service.Look(t.Context(), time.Second, func() { t.Error("found something") }); err != nil || rest == 0 {
			t.Errorf("Look = %v, %v", rest, err)
		}
	}
	if queue.rows != 0 {
		t.Errorf("%d rows were read", queue.rows)
	}
	if !w.service.slots.give(hospitalID, "0", w.fake.Now(), time.Time{}) {
		t.Error("the slot is not wanted")
	}
	found := 0
	if rest, err := w.service.Look(t.Context(), time.Second, func() {
		found++
		w.service.slots.full() // somebody else looks meanwhile
	}); rest != 0 || found != 1 || errors.Is(err, job.ErrBusy) {
		t.Errorf("with one free slot, and another look meanwhile: Look = %v, %v, found %d", rest, err, found)
	}
	if rest, err := w.service.Look(t.Context(), time.Second, func() {}); rest != time.Second || err != nil {
		t.Errorf("with one free slot: Look = %v, %v", rest, err)
	}
}

// seen counts what is read.
type seen struct {
	*memory
	rows int
}

func (s *seen) Due(ctx context.Context, kinds, except []string, by time.Time, limit int) ([]job.Job, error) {
	jobs, err := s.memory.Due(ctx, kinds, except, by, limit)
	s.rows += len(jobs)
	return jobs, err
}

func (s *seen) Unread(ctx context.Context, except []string, limit int) ([]job.Stored, error) {
	notices, err := s.memory.Unread(ctx, except, limit)
	s.rows += len(notices)
	return notices, err
}
