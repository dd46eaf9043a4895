package order

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

func TestQuoteRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, maxBills+1)
	for i := range many {
		many[i] = fmt.Sprint("MZ", i)
	}
	for _, tt := range []struct {
		name string
		set  func(w *world, q *QuoteRequest)
		want error
	}{
		{"unknown institution", func(_ *world, q *QuoteRequest) { q.Institution = "h9" }, ErrNotFound},
		{"no bills", func(_ *world, q *QuoteRequest) { q.BillNos = nil }, ErrNoBills},
		{"too many bills", func(_ *world, q *QuoteRequest) { q.BillNos = many }, ErrBillCount},
		{"one bill twice", func(_ *world, q *QuoteRequest) { q.BillNos = []string{testBill, testBill} }, ErrBillCount},
		{"bills of two visits", func(w *world, q *QuoteRequest) {
			w.addBill("MZ2", 100, 0)
			w.his.bills["MZ2"].Visit.No = "V2"
			q.BillNos = []string{testBill, "MZ2"}
		}, ErrBillCount},
		{"unknown bill", func(_ *world, q *QuoteRequest) { q.BillNos = []string{"MZ9"} }, bill.ErrNotFound},
		{"paid bill", func(w *world, _ *QuoteRequest) { w.his.payAtWindow(testBill) }, bill.ErrPaid},
		{"void bill", func(w *world, _ *QuoteRequest) { w.his.bills[testBill].State = bill.Void }, bill.ErrVoid},
		{"bill that does not add up", func(w *world, _ *QuoteRequest) { w.his.bills[testBill].Total++ }, bill.ErrUnreadable},
		{"the HIS does not answer", func(w *world, _ *QuoteRequest) { w.once("detail", 1, loseBefore) }, errLost},
		{"another account's patient", func(_ *world, q *QuoteRequest) { q.Account++ }, patient.ErrNotFound},
		{"a patient of another institution", func(w *world, _ *QuoteRequest) { w.people.patient.Institution = "h2" }, patient.ErrNotFound},
		{"no consent", func(w *world, _ *QuoteRequest) { w.people.consents = nil }, patient.ErrNoConsent},
		{"not bound", func(w *world, _ *QuoteRequest) { w.people.bound = false }, patient.ErrNotBound},
		{"no authorisation", func(w *world, _ *QuoteRequest) { w.people.auth = nil }, patient.ErrNotBound},
		{"authorisation about to end", func(w *world, _ *QuoteRequest) { w.people.auth.UsableUntil = start.Add(179 * time.Second) }, patient.ErrAuthExpired},
		{"the key is taken", func(w *world, q *QuoteRequest) { w.store.replays[q.Request.Key] = job.Replay{} }, job.ErrBusy},
		{"the bill is in a live order", func(w *world, _ *QuoteRequest) { w.store.live[hospitalID+"/"+testBill] = 1 }, ErrBillLive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			q := QuoteRequest{Account: testAccount, Institution: hospitalID, Patient: testPatient, BillNos: []string{testBill}, Insurance: true,
				Request: &job.Request{Key: job.Key{Account: 7, Key: "k"}}}
			tt.set(w, &q)
			if o, err := w.service.Quote(t.Context(), q); !errors.Is(err, tt.want) || o != nil {
				t.Errorf("Quote = %v, %v, want %v", o, err, tt.want)
			}
			if len(w.store.orders) != 0 || w.calls["presettle"]+w.calls["prepay"] != 0 {
				t.Error("a refused quote left something behind")
			}
		})
	}
}

// TestAuthorisationJustLongEnough: a minute to pay, beside the margin, is enough.
func TestAuthorisationJustLongEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.people.auth.UsableUntil = start.Add(180 * time.Second)
	if o, err := w.quote(true, testBill); err != nil || o.State != Quoted {
		t.Errorf("Quote = %+v, %v", o, err)
	}
}

func TestQuoteSurvivesUnreadablePeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.people.down = errOdd
	if _, err := w.quote(true, testBill); !errors.Is(err, errOdd) {
		t.Errorf("Quote = %v, want the store's error", err)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, 1)
	if _, err := w.service.Wait(ctx, testAccount, 9, 0, time.Second); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown order: %v", err)
	}
	id := confirmed(w)
	seen := w.order(id).Version
	if o, err := w.service.Wait(ctx, testAccount, id, seen-1, time.Minute); err != nil || o.Version != seen {
		t.Errorf("a newer version is there: %v, %v", o, err)
	}
	before := w.fake.Now()
	if _, err := w.service.Wait(ctx, testAccount, id, seen, 2*time.Second); err != nil || w.fake.Now().Sub(before) < 2*time.Second {
		t.Errorf("Wait returned after %v, %v", w.fake.Now().Sub(before), err)
	}
	if due := w.store.jobs[id.No()].due; due.After(before) {
		t.Errorf("a reader who waits for money makes us look at once: due %v, now %v", due, before)
	}
	w.later(w.fake.Now().Add(time.Second), func() { w.mustPay(id); w.step() })
	o, err := w.service.Wait(ctx, testAccount, id, seen, time.Hour)
	if err != nil || o.Version <= seen || w.fake.Now().Sub(before) > time.Minute {
		t.Errorf("Wait = version %d, %v, after %v", o.Version, err, w.fake.Now().Sub(before))
	}
	w.settle(time.Minute)
	gone, end := context.WithCancel(ctx)
	end()
	if o, err := w.service.Wait(gone, testAccount, id, 999, time.Hour); err != nil || o.State != Completed {
		t.Errorf("Wait for a completed order = %v, %v", o, err)
	}
	other := newWorld(t, 2)
	otherID := confirmed(other)
	if o, err := other.service.Wait(gone, testAccount, otherID, 999, time.Hour); err != nil || o.State != Paying {
		t.Errorf("Wait of a caller who has gone = %v, %v", o, err)
	}
}

func TestCashier(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, 1)
	id := confirmed(w)
	if c, err := w.service.Cashier(ctx, testAccount, id); err != nil || c.Package == "" {
		t.Errorf("Cashier = %+v, %v", c, err)
	}
	if _, err := w.service.Cashier(ctx, testAccount+1, id); !errors.Is(err, ErrNotFound) {
		t.Errorf("another account: %v", err)
	}
	w.advance(31 * time.Minute)
	if _, err := w.service.Cashier(ctx, testAccount, id); !errors.Is(err, ErrState) {
		t.Errorf("after the deadline: %v", err)
	}
}

func TestListLiveHistory(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, 1)
	if _, err := w.service.Live(ctx, testAccount); !errors.Is(err, ErrNotFound) {
		t.Errorf("Live without orders: %v", err)
	}
	w.addBill("MZ2", 100, 0)
	first, second := w.mustQuote(true, testBill), w.mustQuote(true, "MZ2")
	if o, err := w.service.Live(ctx, testAccount); err != nil || o.ID != second {
		t.Errorf("Live = %v, %v, want the newest", o, err)
	}
	if list, err := w.service.List(ctx, testAccount, second, 5); err != nil || len(list) != 1 || list[0].ID != first {
		t.Errorf("List = %v, %v", list, err)
	}
	if events, err := w.service.History(ctx, testAccount, first); err != nil || len(events) == 0 {
		t.Errorf("History = %v, %v", events, err)
	}
	if _, err := w.service.History(ctx, testAccount+1, first); !errors.Is(err, ErrNotFound) {
		t.Errorf("another account's history: %v", err)
	}
}

// TestStepTrouble: what our own database or configuration does wrong stops the step with an error, and moves nothing.
func TestStepTrouble(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, 1)
	id := confirmed(w)
	w.advance(time.Minute)
	busy := New(w.store, brokenQueue{memory: w.store, take: job.ErrBusy}, w.store, w.people, []*Party{w.party}, w.clock, w.source, Config{})
	if worked, err := busy.Step(ctx); worked || err != nil {
		t.Errorf("every job was taken by somebody else: %v, %v", worked, err)
	}
	for _, q := range []brokenQueue{{memory: w.store, due: errOdd}, {memory: w.store, take: errOdd}} {
		s := New(w.store, q, w.store, w.people, []*Party{w.party}, w.clock, w.source, Config{})
		if _, err := s.Step(ctx); !errors.Is(err, errOdd) {
			t.Errorf("Step = %v, want the queue's error", err)
		}
	}
	s := New(w.store, w.store, w.store, w.people, nil, w.clock, w.source, Config{})
	if _, err := s.Step(ctx); err == nil {
		t.Error("an order of an institution that is not configured was worked on")
	}
	w.store.jobs["x"] = &jobRow{Job: job.Job{ID: 99, Kind: JobKind, Ref: "x"}}
	w.store.jobs["77"] = &jobRow{Job: job.Job{ID: 98, Kind: JobKind, Ref: "77"}, due: time.Unix(1, 0)}
	for range 2 {
		if _, err := w.service.Step(ctx); !errors.Is(err, ErrNotFound) {
			t.Errorf("a job about nothing: %v", err)
		}
	}
	w.wantState(id, Paying, "")
}

// brokenQueue is a queue whose database fails.
type brokenQueue struct {
	*memory
	due, take error
}

func (q brokenQueue) Due(ctx context.Context, kinds, except []string, by time.Time, limit int) ([]job.Job, error) {
	if q.due != nil {
		return nil, q.due
	}
	return q.memory.Due(ctx, kinds, except, by, limit)
}

func (q brokenQueue) Take(ctx context.Context, j job.Job, owner string, now, until time.Time) (job.Claim, error) {
	if q.take != nil {
		return job.Claim{}, q.take
	}
	return q.memory.Take(ctx, j, owner, now, until)
}

func TestOutcomeIsDistrusted(t *testing.T) {
	t.Parallel()
	s := settlement.New(1, 1, settlement.Visit{}, "B1", 100, true)
	good := settlement.Outcome{SetlID: "S1", Split: split.Split{PooledFund: 60, Cash: 40}, SettledAt: start}
	for _, tt := range []struct {
		name   string
		change func(*settlement.Outcome)
		ok     bool
	}{
		{"as it should be", func(*settlement.Outcome) {}, true},
		{"does not add up", func(o *settlement.Outcome) { o.Split.Cash++ }, false},
		{"a negative part", func(o *settlement.Outcome) { o.Split.Cash, o.Split.PooledFund = -1, 101 }, false},
		{"no setl_id", func(o *settlement.Outcome) { o.SetlID = "" }, false},
		{"no time", func(o *settlement.Outcome) { o.SettledAt = time.Time{} }, false},
	} {
		out := good
		tt.change(&out)
		err := checkOutcome(out, s)
		if (err == nil) != tt.ok || (err != nil && kindOf(err) != "unknown") {
			t.Errorf("%s: checkOutcome = %v", tt.name, err)
		}
	}
}

// TestOddStates: an order that stands where the engine cannot have brought it goes to people, or stops with an error; it moves no money.
func TestOddStates(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(o *Order)
		cause  Cause
	}{
		{"unwinding with an open cash order", func(o *Order) { o.State = Unwinding }, RefundStuck},
		{"unwinding a settlement that nobody knows about", func(o *Order) {
			o.State, o.Settlement().State = Unwinding, settlement.Reversing
		}, InsurerUnproved},
		{"unwinding a settlement that people look at", func(o *Order) {
			o.State, o.Settlement().State = Unwinding, settlement.InReview
		}, CancelRefused},
		{"closing with a refund", func(o *Order) { o.State, o.Payment().State = Closing, payment.Refunding }, CashMismatch},
		{"paying with a refund", func(o *Order) { o.Payment().State = payment.Refunding }, CashMismatch},
		{"settling a settlement that people look at", func(o *Order) {
			o.State, o.Payment().State, o.Settlement().State = Settling, payment.Paid, settlement.InReview
		}, InsurerUnproved},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			id := confirmed(w)
			o := w.order(id)
			tt.change(o)
			w.store.orders[id].State = o.State
			w.store.legs[id] = legs{settlements: o.Settlements, payments: o.Payments}
			w.advance(time.Minute)
			if worked, err := w.service.Step(t.Context()); !worked || err != nil {
				t.Fatalf("Step = %v, %v", worked, err)
			}
			w.wantState(id, InReview, tt.cause)
			if w.calls["refund"]+w.calls["settle"]+w.calls["cancel"] != 0 {
				t.Error("money was moved")
			}
		})
	}
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	c := Config{}.withDefaults()
	if c.Owner == "" || c.CallLimit != time.Minute || c.QuoteLife != 15*time.Minute || c.PayWindow != 30*time.Minute || c.AuthMargin != 2*time.Minute {
		t.Errorf("defaults = %+v", c)
	}
	c = Config{Owner: "o", CallLimit: time.Second, QuoteLife: time.Second, PayWindow: time.Second, AuthMargin: time.Second}.withDefaults()
	if c.Owner != "o" || c.CallLimit != time.Second || c.QuoteLife != time.Second || c.PayWindow != time.Second || c.AuthMargin != time.Second {
		t.Errorf("own values are overwritten: %+v", c)
	}
}
