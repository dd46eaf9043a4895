package order

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// TestConfirmsNothingThatCameMeanwhile: a confirmation that names no version means what stood when it came. While it waits for whoever works on the
// order, the insurer is asked anew, and says otherwise: the patient has not seen that.
func TestConfirmsNothingThatCameMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.mustQuote(true, testBill)
	ctx := context.Background()
	j, _, err := w.store.Find(ctx, JobKind, id.No())
	if err != nil {
		t.Fatal(err)
	}
	claim, err := w.store.Take(ctx, j, "another", w.clock.Now(), w.clock.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	w.later(w.clock.Now().Add(50*time.Millisecond), func() {
		if err := w.store.Give(ctx, claim, job.At(j.RunAt, 0, "")); err != nil {
			t.Error(err)
		}
		w.insurer.ratio -= 10
		w.people.auth = &patient.PayAuth{ID: 6, Patient: testPatient, Number: sensitive.NewToken("auth2"), UsableUntil: start.Add(24 * time.Hour)}
		if _, err := w.service.Renew(ctx, testAccount, id); err != nil {
			t.Error(err)
		}
	})
	if _, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: id}); !errors.Is(err, ErrChanged) {
		t.Errorf("Confirm = %v, want ErrChanged", err)
	}
	w.wantState(id, Quoted, "")
}

// TestClaimsNothingByAWrongClock: a process that must not claim starts nothing, neither by itself nor for a request.
func TestClaimsNothingByAWrongClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.mustQuote(true, testBill)
	config := w.config
	config.MayClaim = func() bool { return false }
	astray := New(w.store, w.store, w.store, w.people, []*Party{w.party}, w.clock, w.source, config)
	w.advance(time.Hour)
	calls := len(w.log)
	if worked, err := astray.Step(context.Background()); worked || err != nil {
		t.Errorf("Step = %v, %v", worked, err)
	}
	if worked, err := astray.StepInbox(context.Background()); worked || err != nil {
		t.Errorf("StepInbox = %v, %v", worked, err)
	}
	if _, err := astray.Cancel(context.Background(), testAccount, id); !errors.Is(err, job.ErrBusy) {
		t.Errorf("Cancel = %v, want ErrBusy", err)
	}
	if len(w.log) != calls {
		t.Errorf("something was done: %v", w.log[calls:])
	}
}
