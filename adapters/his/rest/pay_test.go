package rest

import (
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/split"
)

func TestCashOnly(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	p := w.posting("7")
	p.Split, p.SetlID, p.MdtrtID, p.SettledAt = split.AllCash(p.Total), "", "", time.Time{}
	if _, err := w.client.Post(t.Context(), p); err != nil {
		t.Errorf("Post of a cash order: %v", err)
	}
}

func TestElsewhere(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		scene    func(w *ward) error
		lock     *fault.Error
		post     *fault.Error
		standing order.PostingState
	}{
		{"paid at the window", func(w *ward) error { _, err := w.sim.PayAtWindow(w.bills[0].No); return err }, bill.ErrPaid, bill.ErrPaid,
			order.PostingElsewhere},
		{"withdrawn", func(w *ward) error { _, err := w.sim.VoidBill(w.bills[0].No); return err }, bill.ErrVoid, bill.ErrVoid,
			order.PostingVoid},
		{"changed", func(w *ward) error {
			_, err := w.sim.ChangeBill(w.bills[0].No, hissim.Order{Code: "W10231", Quantity: "14"})
			return err
		}, nil, bill.ErrChanged, order.PostingNone},
		{"nothing happened", func(*ward) error { return nil }, nil, nil, order.PostingNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, hissim.Config{})
			if err := tt.scene(w); err != nil {
				t.Fatal(err)
			}
			_, err := w.lock(t, "7")
			want(t, "Lock", err, tt.lock)
			st, err := w.client.PostingOf(t.Context(), "7", w.nos())
			if err != nil || st.State != tt.standing {
				t.Errorf("PostingOf = %+v, %v, want %s", st, err, tt.standing)
			}
			_, err = w.client.Post(t.Context(), w.posting("7"))
			want(t, "Post", err, tt.post)
		})
	}
}

func TestVoidedPosting(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	if _, err := w.client.Post(t.Context(), w.posting("7")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sim.VoidPosting("7"); err != nil {
		t.Fatal(err)
	}
	st, err := w.client.PostingOf(t.Context(), "7", w.nos())
	if err != nil || st.State != order.PostingVoid || st.Total != 18197 {
		t.Errorf("PostingOf = %+v, %v, want void with its record", st, err)
	}
}

func TestAnotherOrderPaid(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	if _, err := w.client.Post(t.Context(), w.posting("7")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Post(t.Context(), w.posting("8")); !errors.Is(err, bill.ErrPaid) {
		t.Errorf("Post of another order: %v", err)
	}
	st, err := w.client.PostingOf(t.Context(), "8", w.nos())
	if err != nil || st.State != order.PostingElsewhere {
		t.Errorf("PostingOf = %+v, %v", st, err)
	}
}

func TestLockOnceAndAgain(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	first, err := w.lock(t, "7")
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(10 * time.Minute)
	again, err := w.lock(t, "7")
	if err != nil || !again.Equal(first) {
		t.Errorf("Lock again = %v, %v, want %v", again, err, first)
	}
	_, err = w.lock(t, "8")
	want(t, "Lock of another order", err, bill.ErrLocked)
	w.clock.Advance(6 * time.Minute)
	_, err = w.lock(t, "7")
	want(t, "Lock after its time", err, his.ErrLockExpired)
	if err := w.client.Release(t.Context(), "never"); err != nil {
		t.Errorf("Release of nothing: %v", err)
	}
	if _, err := w.lock(t, "8"); err != nil {
		t.Errorf("Lock after another's time: %v", err)
	}
	w2 := newWard(t, hissim.Config{LockChecksTotal: true})
	_, err = w2.client.Lock(t.Context(), order.LockRequest{OrderNo: "7", HISPatient: "P1", Bills: w2.nos(), Total: 1})
	want(t, "Lock by a hospital that compares", err, bill.ErrChanged)
}

func TestPostNeedsLock(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{PostNeedsLock: true})
	_, err := w.client.Post(t.Context(), w.posting("7"))
	want(t, "Post without a lock", err, his.ErrLockExpired)
	if _, err := w.lock(t, "7"); err != nil {
		t.Fatal(err)
	}
	_, err = w.client.Post(t.Context(), w.posting("7"))
	want(t, "Post with its lock", err, nil)
}

// TestDuplicate posts twice: the same amounts are a success with the first record, others are for a person to see.
func TestDuplicate(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	first, err := w.client.Post(t.Context(), w.posting("7"))
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Hour)
	again, err := w.client.Post(t.Context(), w.posting("7"))
	if err != nil || again.PostingNo != first.PostingNo || !again.PostedAt.Equal(first.PostedAt) {
		t.Errorf("Post again = %+v, %v, want %+v", again, err, first)
	}
	other := w.posting("7")
	other.Split.Cash, other.Split.Account = other.Split.Cash+1, other.Split.Account-1
	_, err = w.client.Post(t.Context(), other)
	want(t, "Post with a fen moved", err, bill.ErrUnreadable)
	if got := w.sim.Truth().Posted; got != 18197 {
		t.Errorf("the hospital booked %s", got)
	}
}

// TestUnequalPosting is our own bug: nothing is sent.
func TestUnequalPosting(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	p := w.posting("7")
	p.Split.Cash++
	w.wire.request = nil
	_, err := w.client.Post(t.Context(), p)
	want(t, "Post", err, his.ErrRequest)
	if w.wire.request != nil {
		t.Error("an unequal posting was sent")
	}
}
