package order

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

// TestWaitingPage: a page that always waits for news makes us look, but looks that bring none are no news, and use up nothing of the
// schedule: not the next look by ourselves, and not the time until a person must look.
func TestWaitingPage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, 1)
	id := confirmed(w)
	w.settle(time.Minute)
	before, queries := w.order(id), w.calls["query"]
	waits := *w.store.jobs[id.No()]
	for range 50 { // one look each: far more than a day's schedule has
		if err := w.store.Wake(ctx, JobKind, id.No(), w.fake.Now()); err != nil {
			t.Fatal(err)
		}
		if !w.step() || w.step() {
			t.Fatal("a woken order is looked at once")
		}
	}
	if got := w.calls["query"] - queries; got != 50 {
		t.Errorf("%d looks for 50 wakings", got)
	}
	if o := w.order(id); o.Version != before.Version {
		t.Errorf("50 looks without news made %d versions", o.Version-before.Version)
	}
	if got := w.store.jobs[id.No()]; got.Attempt != waits.Attempt || !got.RunAt.Equal(waits.RunAt) {
		t.Errorf("after 50 wakings look %d is due at %v, want %d at %v", got.Attempt, got.RunAt, waits.Attempt, waits.RunAt)
	}
	w.once("query", w.calls["query"]+1, loseBefore, loseAfter, unsent)
	for range 3 {
		if err := w.store.Wake(ctx, JobKind, id.No(), w.fake.Now()); err != nil {
			t.Fatal(err)
		}
		w.step()
	}
	w.wantState(id, Paying, "")
	w.mustPay(id)
	w.settle(2 * time.Minute) // without a notice: by the schedule
	w.wantState(id, Completed, "")
	w.auditEnd()
	w.tell(t, id)
}

// TestLostCancellationsEnd: an insurer that loses every 2208 is asked for days, at longer and longer pauses, and then a person must look.
func TestLostCancellationsEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		plan map[string]mishap
	}{
		{"5203 says that it stands", map[string]mishap{"settle": amounts, "cancel": loseBefore}},
		{"5203 is deaf, 2601 restores", map[string]mishap{"settle": amounts, "cancel": loseAfter, "in force": loseBefore}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.mishaps = func(op, _ string) mishap { return tt.plan[op] }
			id := paid(w)
			w.settle(tenDays)
			w.wantState(id, InReview, CancelUnproved)
			w.auditEnd()
			w.tell(t, id)
			if n := w.calls["cancel"]; n < 10 || n > 200 {
				t.Errorf("2208 was sent %d times", n)
			}
			if w.calls["refund"] != 0 {
				t.Error("cash was given back while the settlement may stand")
			}
		})
	}
}

// TestClosedRefundsEnd: a refund whose every number WeChat closes is not tried for ever.
func TestClosedRefundsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.mishaps = always("settle", refuse)
	for range 500 {
		w.wechat.cards = append(w.wechat.cards, payment.RefundClosed)
	}
	id := paid(w)
	w.settle(tenDays)
	w.wantState(id, InReview, TooLong)
	w.auditEnd()
	w.tell(t, id)
	if n := w.calls["refund"]; n < 10 || n > 200 {
		t.Errorf("%d refunds were asked for", n)
	}
}

// TestStoppedBeforeTheCall: a process that is stopped between intent and call, and wakes when its claim is over, sends nothing any more. By
// then somebody else asks what became of the call, and hears that there was none.
func TestStoppedBeforeTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := paid(w)
	stopped := false
	w.stall = func(point string) {
		if s := w.order(id).Settlement(); point == "save, after" && s.State == settlement.Settling && !stopped {
			stopped = true
			w.advance(2 * time.Minute)
			w.otherWorker()
		}
	}
	w.settle(tenDays)
	w.wantState(id, Completed, "")
	w.auditEnd()
	w.tell(t, id)
	if !stopped || w.calls["settle"] != 1 || w.calls["reverse 2207"] != 1 {
		t.Errorf("stopped: %v; %d calls to settle, %d reversals, want the other worker's alone", stopped, w.calls["settle"], w.calls["reverse 2207"])
	}
}

// TestOwnClaimIsNotTakenOver: when the clock jumps while a call is under way, the process does not take its own claim for a dead worker's.
func TestOwnClaimIsNotTakenOver(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, 1)
	id := paid(w)
	jumped := false
	w.mishaps = func(op, _ string) mishap {
		if op == "settle" && !jumped {
			jumped = true
			w.advance(10 * time.Minute)
			if worked, err := w.service.Step(ctx); worked || err != nil {
				t.Errorf("another goroutine works on the same order: %v, %v", worked, err)
			}
			if _, err := w.service.Cancel(ctx, testAccount, id); err == nil {
				t.Error("the order was cancelled in the middle of its settlement")
			}
			w.notify("e1", w.order(id).Payment().OutTradeNo)
			if worked, err := w.service.StepInbox(ctx); worked || err != nil {
				t.Errorf("a notice was handled in the middle of a step: %v, %v", worked, err)
			}
		}
		return fine
	}
	w.settle(tenDays)
	w.wantState(id, Completed, "")
	w.auditEnd()
	w.tell(t, id)
	if !jumped || w.calls["settle"] != 1 || w.calls["reverse 2207"] != 0 {
		t.Errorf("jumped: %v; %d calls to settle, %d reversals, want 1, 0", jumped, w.calls["settle"], w.calls["reverse 2207"])
	}
}

// TestNoticesThatCannotBeHandled: however many they are, those behind them are handled.
func TestNoticesThatCannotBeHandled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := paid(w)
	broken := w.order(id).ID + 1
	w.store.orders[broken] = &Order{ID: broken, Institution: hospitalID, State: Paying, Account: testAccount}
	for i := range 300 {
		w.notify(fmt.Sprint("broken ", i), broken.No())
	}
	w.store.jobs[broken.No()] = &jobRow{Job: job.Job{ID: 4711, Kind: JobKind, Ref: broken.No(), Version: 1}, owner: "node2", due: start.Add(tenDays)}
	w.notify("good", w.order(id).Payment().OutTradeNo)
	if worked, err := w.service.StepInbox(t.Context()); !worked || err != nil {
		t.Fatalf("StepInbox = %v, %v, want the last notice handled", worked, err)
	}
	w.wantState(id, Completed, "")
}

// TestNoticeWhileClosing: a notice that finds its order without a job looks once more whether money came, if the order is closed.
func TestNoticeWhileClosing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := confirmed(w)
	if _, err := w.service.Cancel(t.Context(), testAccount, id); err != nil {
		t.Fatal(err)
	}
	w.wantState(id, Closed, ByPatient)
	if _, found, _ := w.store.Find(t.Context(), JobKind, id.No()); found {
		t.Fatal("a closed order has a job")
	}
	queries := w.calls["query"]
	became, err := w.service.seize(t.Context(), id, job.Stored{}, nil)
	if became == unhandled || err != nil || w.calls["query"] != queries+1 {
		t.Errorf("seize = %v, %v after %d queries, want one", became, err, w.calls["query"]-queries)
	}
	w.wantState(id, Closed, ByPatient)
	w.auditEnd()
	w.tell(t, id)
}

// TestAccountIsLeftAlone: the personal account pays only when the patient says so.
func TestAccountIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	o, err := w.service.Quote(t.Context(), QuoteRequest{Account: testAccount, Institution: hospitalID, Patient: testPatient, BillNos: []string{testBill},
		Insurance: true, Request: &job.Request{Key: job.Key{Key: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	w.mustConfirm(o.ID)
	w.mustPay(o.ID)
	w.settle(time.Minute)
	if o := w.wantState(o.ID, Completed, ""); o.Split.Account != 0 || o.Split.Cash != 4000 {
		t.Errorf("split = %+v", o.Split)
	}
}

// TestTooLateIsLost: the error of a call that came too late is that of a lost claim.
func TestTooLateIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := confirmed(w)
	r := &run{Service: w.service, order: w.order(id), claim: job.Claim{LeaseUntil: w.fake.Now().Add(leaseMargin / 2)}}
	if _, err := r.callLimit(); fault.KindOf(err) != fault.Conflict {
		t.Errorf("callLimit = %v, want a lost claim", err)
	}
	r.claim.LeaseUntil = w.fake.Now().Add(leaseMargin/2 + time.Second)
	if got, err := r.callLimit(); got != time.Second || err != nil {
		t.Errorf("callLimit = %v, %v, want what is left", got, err)
	}
	r.claim.LeaseUntil = w.service.leaseEnd()
	if got, err := r.callLimit(); got != time.Minute || err != nil {
		t.Errorf("callLimit = %v, %v, want the whole minute", got, err)
	}
}
