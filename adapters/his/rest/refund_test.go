package rest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/split"
)

// refund gives up ten of the 24 tablets (7.99) and the test (66.00) of order 7.
func (w *ward) refund(no string) order.RefundRequest {
	return order.RefundRequest{OrderNo: "7", RefundNo: no, HISPatient: "P1", Lines: []refund.Line{
		{BillNo: w.bills[0].No, LineNo: w.bills[0].Lines[0].No, Quantity: decimal.NewFromInt(10), Amount: 799},
		{BillNo: w.bills[1].No, LineNo: w.bills[1].Lines[0].No, Quantity: decimal.NewFromInt(1), Amount: 6600}},
		Total: 7399, Reason: "医生改方"}
}

// booking is that refund with the money back: the insurer settled the 14 tablets anew, the tin was never its business.
func (w *ward) booking(no string) order.RefundBooking {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, clock.Shanghai)
	return order.RefundBooking{RefundRequest: w.refund(no), Rest: split.Split{PooledFund: 1000, Account: 118, Uninsured: 9680},
		RestSetlID: "setl-2", RestMdtrtID: "mdtrt-1", RestSettled: at, OutRefundNo: "TK1", RefundID: "50000", RefundedAt: at.Add(time.Minute)}
}

// everything gives up all of order 7.
func (w *ward) everything(no string) order.RefundBooking {
	b := w.booking(no)
	b.Whole, b.Total, b.Rest, b.RestSetlID, b.RestMdtrtID, b.RestSettled = true, 18197, split.Split{}, "", "", time.Time{}
	b.Lines[0].Quantity, b.Lines[0].Amount = decimal.NewFromInt(24), 1917
	b.Lines = append(b.Lines, refund.Line{BillNo: w.bills[1].No, LineNo: w.bills[1].Lines[1].No, Quantity: decimal.NewFromInt(1), Amount: 9680,
		Uninsured: true})
	return b
}

// soldWard is a ward whose order 7 is posted.
func soldWard(t testing.TB, c hissim.Config) *ward {
	t.Helper()
	w := newWard(t, c)
	if err := w.calls(t)["post"](); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *ward) standing(t testing.TB, no string, want order.RefundState, total money.Fen) order.RefundStanding {
	t.Helper()
	st, err := w.client.RefundOf(t.Context(), "7", no)
	if err != nil || st.State != want || st.Total != total {
		t.Errorf("RefundOf = %+v, %v, want %s of %s", st, err, want, total)
	}
	return st
}

// TestRefundStory is a refund of a part, and one of all the rest.
func TestRefundStory(t *testing.T) {
	t.Parallel()
	w := soldWard(t, hissim.Config{})
	w.standing(t, "R1", order.RefundNone, 0)
	for range 2 {
		want(t, "HoldRefund", w.client.HoldRefund(t.Context(), w.refund("R1")), nil)
	}
	w.standing(t, "R1", order.RefundHeld, 7399)
	booked, err := w.client.BookRefund(t.Context(), w.booking("R1"))
	if err != nil || booked.BookingNo == "" || booked.BookedAt.IsZero() || len(booked.Rebilled) != 0 {
		t.Fatalf("BookRefund = %+v, %v", booked, err)
	}
	if st := w.standing(t, "R1", order.RefundBooked, 7399); st.Booked.BookingNo != booked.BookingNo || st.Rest != w.booking("R1").Rest {
		t.Errorf("RefundOf = %+v, want %+v", st, booked)
	}
	if b, err := w.client.Detail(t.Context(), "P1", w.bills[0].No); err != nil || b.State != bill.Paid || b.Total != 1917 {
		t.Errorf("Detail of a bill of which something went back = %+v, %v", b, err)
	}
	if st, err := w.client.PostingOf(t.Context(), "7", w.nos()); err != nil || st.State != order.PostingDone || st.Total != 18197 {
		t.Errorf("PostingOf = %+v, %v, want it as it was posted", st, err)
	}
	if _, err := w.client.Post(t.Context(), w.posting("7")); err != nil {
		t.Errorf("Post again: %v", err)
	}
	rest := w.everything("R2")
	rest.Lines[0].Quantity, rest.Lines[0].Amount = decimal.RequireFromString("14"), 1118
	rest.Lines, rest.Total = []refund.Line{rest.Lines[2], rest.Lines[0]}, 10798
	want(t, "HoldRefund of the rest", w.client.HoldRefund(t.Context(), rest.RefundRequest), nil)
	_, err = w.client.BookRefund(t.Context(), rest)
	want(t, "BookRefund of the rest", err, nil)
	w.standing(t, "R2", order.RefundBooked, 10798)
	if truth := w.sim.Truth(); truth.Posted != 18197 || truth.Net != 0 {
		t.Errorf("the hospital's books: %s posted, %s left", truth.Posted, truth.Net)
	}
	want(t, "HoldRefund of nothing left", w.client.HoldRefund(t.Context(), w.refund("R3")), bill.ErrNotFound)
}

// TestBookAlone books what was never held, and what the window paid back.
func TestBookAlone(t *testing.T) {
	t.Parallel()
	w := soldWard(t, hissim.Config{})
	_, err := w.client.BookRefund(t.Context(), w.booking("R1"))
	want(t, "BookRefund without a hold", err, nil)
	w = soldWard(t, hissim.Config{})
	note := w.everything("R1")
	note.Note, note.OutRefundNo, note.RefundID = true, "", ""
	_, err = w.client.BookRefund(t.Context(), note)
	want(t, "BookRefund of the window's money", err, nil)
	if truth := w.sim.Truth(); truth.Net != 0 || !truth.Refunds[0].Note {
		t.Errorf("the hospital's books: %+v", truth)
	}
}

// TestBilledAnew: the insurer took back the settlement as a whole, so that everything goes back of which only ten tablets were given up. The
// other fourteen were handed out already, which is no reason against it.
func TestBilledAnew(t *testing.T) {
	t.Parallel()
	w := soldWard(t, hissim.Config{})
	if _, err := w.sim.HandOut(w.bills[0].No, w.bills[0].Lines[0].No, "14"); err != nil {
		t.Fatal(err)
	}
	b := w.everything("R1")
	rest := b.Lines[0]
	b.Lines[0].Quantity, b.Lines[0].Amount = decimal.NewFromInt(10), 799
	rest.Quantity, rest.Amount, rest.Kept = decimal.NewFromInt(14), 1118, true
	b.Lines[1].Kept, b.Lines[2].Kept = true, true
	b.Lines = []refund.Line{b.Lines[0], rest, b.Lines[1], b.Lines[2]}
	b.Rebill = b.Lines[1:]
	for range 2 {
		want(t, "HoldRefund", w.client.HoldRefund(t.Context(), b.RefundRequest), nil)
	}
	w.standing(t, "R1", order.RefundHeld, 18197)
	if _, err := w.sim.HandOut(w.bills[1].No, w.bills[1].Lines[0].No, ""); !errors.Is(err, hissim.ErrHeld) {
		t.Errorf("HandOut of what will not be paid: %v", err)
	}
	for range 2 {
		booked, err := w.client.BookRefund(t.Context(), b)
		if err != nil || len(booked.Rebilled) != 2 {
			t.Fatalf("BookRefund = %+v, %v", booked, err)
		}
	}
	w.standing(t, "R1", order.RefundBooked, 18197)
	list, err := w.client.Pending(t.Context(), "P1")
	if err != nil || len(list) != 2 || list[0].Total+list[1].Total != 18197-799 {
		t.Errorf("Pending = %+v, %v, want what was kept", list, err)
	}
	for _, s := range list {
		if again, err := w.client.Detail(t.Context(), "P1", s.No); err != nil || again.Check() != nil {
			t.Errorf("Detail of what is billed anew = %+v, %v", again, err)
		}
	}
	if truth := w.sim.Truth(); truth.Net != 0 {
		t.Errorf("the hospital's books: %s left", truth.Net)
	}
}

func TestRefundRefusals(t *testing.T) {
	t.Parallel()
	dispense := func(w *ward) error { _, err := w.sim.HandOut(w.bills[0].No, w.bills[0].Lines[0].No, ""); return err }
	execute := func(w *ward) error { _, err := w.sim.HandOut(w.bills[1].No, w.bills[1].Lines[0].No, ""); return err }
	tests := []struct {
		name  string
		scene func(w *ward) error
		want  *fault.Error
		says  string
	}{
		{"handed out", dispense, bill.ErrNotRefundable, "退药"},
		{"executed", execute, bill.ErrNotRefundable, "退检"},
		{"both", func(w *ward) error { return errors.Join(dispense(w), execute(w)) }, bill.ErrNotRefundable, bill.ErrNotRefundable.Msg},
		{"held for another refund", func(w *ward) error { return w.client.HoldRefund(t.Context(), w.everything("R0").RefundRequest) },
			bill.ErrNotRefundable, "暂不能退费"},
		{"undone", func(w *ward) error { _, err := w.sim.VoidPosting("7"); return err }, bill.ErrVoid, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := soldWard(t, hissim.Config{})
			if err := tt.scene(w); err != nil {
				t.Fatal(err)
			}
			_, booked := w.client.BookRefund(t.Context(), w.booking("R1"))
			for what, err := range map[string]error{"HoldRefund": w.client.HoldRefund(t.Context(), w.refund("R1")), "BookRefund": booked} {
				want(t, what, err, tt.want)
				if f, ok := fault.Find(err); !ok || !strings.Contains(f.Msg, tt.says) {
					t.Errorf("%s says %v, want %s", what, err, tt.says)
				}
			}
			w.standing(t, "R1", order.RefundNone, 0)
		})
	}
	w := newWard(t, hissim.Config{})
	want(t, "HoldRefund of what is not posted", w.client.HoldRefund(t.Context(), w.refund("R1")), bill.ErrNotFound)
	w = soldWard(t, hissim.Config{})
	less := w.refund("R1")
	less.Lines[0].Amount, less.Total = 798, 7398
	want(t, "HoldRefund of another amount", w.client.HoldRefund(t.Context(), less), his.ErrAmountWrong)
	b := w.booking("R1")
	b.Rest.Account++
	_, err := w.client.BookRefund(t.Context(), b)
	want(t, "BookRefund with another rest", err, his.ErrAmountWrong)
}

// TestUsedNumbers: a number that is spent, holds other items or is booked is no new hold, whatever is asked.
func TestUsedNumbers(t *testing.T) {
	t.Parallel()
	w := soldWard(t, hissim.Config{})
	want(t, "DropRefund of nothing", w.client.DropRefund(t.Context(), "7", "R0"), nil)
	want(t, "HoldRefund that comes late", w.client.HoldRefund(t.Context(), w.refund("R0")), his.ErrHoldDropped)
	w.standing(t, "R0", order.RefundDropped, 0)
	want(t, "HoldRefund", w.client.HoldRefund(t.Context(), w.refund("R1")), nil)
	other := w.refund("R1")
	other.Lines, other.Total = other.Lines[:1], 799
	want(t, "HoldRefund of other items", w.client.HoldRefund(t.Context(), other), his.ErrRequest)
	b := w.booking("R1")
	b.Lines, b.Total, b.Rest.HospitalBorne = b.Lines[:1], 799, 6600
	_, err := w.client.BookRefund(t.Context(), b)
	want(t, "BookRefund of other items", err, his.ErrRequest)
	want(t, "DropRefund", w.client.DropRefund(t.Context(), "7", "R1"), nil)
	want(t, "DropRefund again", w.client.DropRefund(t.Context(), "7", "R1"), nil)
	want(t, "HoldRefund", w.client.HoldRefund(t.Context(), w.refund("R2")), nil)
	_, err = w.client.BookRefund(t.Context(), w.booking("R2"))
	want(t, "BookRefund", err, nil)
	want(t, "HoldRefund of what is booked", w.client.HoldRefund(t.Context(), w.refund("R2")), bill.ErrNoAnswer)
	want(t, "DropRefund of what is booked", w.client.DropRefund(t.Context(), "7", "R2"), his.ErrRequest)
	want(t, "DropRefund of another order's", w.client.DropRefund(t.Context(), "8", "R2"), his.ErrRequest)
	b = w.booking("R2")
	b.Rest.PooledFund, b.Rest.Account = b.Rest.PooledFund-1, b.Rest.Account+1
	_, err = w.client.BookRefund(t.Context(), b)
	want(t, "BookRefund with a fen moved", err, bill.ErrUnreadable)
	if truth := w.sim.Truth(); truth.Refunded != 7399 {
		t.Errorf("the hospital booked %s", truth.Refunded)
	}
}

// TestUnequalRefund is our own bug: nothing is sent.
func TestUnequalRefund(t *testing.T) {
	t.Parallel()
	w := soldWard(t, hissim.Config{})
	for name, spoil := range map[string]func(b *order.RefundBooking){
		"a total one fen more":     func(b *order.RefundBooking) { b.Total++ },
		"no items":                 func(b *order.RefundBooking) { b.Lines, b.Total = nil, 0 },
		"a negative amount":        func(b *order.RefundBooking) { b.Lines[0].Amount, b.Total = -1, 6599 },
		"no quantity":              func(b *order.RefundBooking) { b.Lines[0].Quantity = decimal.Zero },
		"a fifth decimal":          func(b *order.RefundBooking) { b.Lines[0].Quantity = decimal.RequireFromString("0.00001") },
		"an endless sum":           func(b *order.RefundBooking) { b.Lines[0].Amount = 1 << 62 },
		"a negative rest":          func(b *order.RefundBooking) { b.Rest.Cash = -1 },
		"all is back, but a rest":  func(b *order.RefundBooking) { b.Whole = true },
		"a rest settled by nobody": func(b *order.RefundBooking) { b.RestSetlID = "" },
		"no time":                  func(b *order.RefundBooking) { b.RefundedAt = time.Time{} },
		"half a WeChat refund":     func(b *order.RefundBooking) { b.RefundID = "" },
		"a note of our own refund": func(b *order.RefundBooking) { b.Note = true },
		"rebill of what is given":  func(b *order.RefundBooking) { b.Rebill = b.Lines[1:] },
		"rebill of nothing kept":   func(b *order.RefundBooking) { b.Lines[1].Kept = true },
		"rebill of no quantity":    func(b *order.RefundBooking) { b.Lines[1].Kept, b.Lines[1].Quantity = true, decimal.Zero },
		"nothing given up":         func(b *order.RefundBooking) { b.Lines[0].Kept, b.Lines[1].Kept = true, true },
	} {
		b := w.booking("R1")
		spoil(&b)
		w.wire.request = nil
		_, err := w.client.BookRefund(t.Context(), b)
		want(t, "BookRefund with "+name, err, his.ErrRequest)
		if w.wire.request != nil {
			t.Errorf("%s: an unequal refund was sent", name)
		}
	}
	bad := w.refund("R1")
	bad.Total--
	want(t, "HoldRefund", w.client.HoldRefund(t.Context(), bad), his.ErrRequest)
}

// TestLostRefunds loses, delays and doubles the messages of a refund: the answer is Unknown, the query tells the truth, and the same message
// again ends with one effect.
func TestLostRefunds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault sandbox.Fault
		want  *fault.Error
		done  bool
	}{
		{sandbox.LoseBefore, bill.ErrNoAnswer, false},
		{sandbox.LoseAfter, bill.ErrNoAnswer, true},
		{sandbox.ErrorBefore, bill.ErrNoAnswer, false},
		{sandbox.ErrorAfter, bill.ErrNoAnswer, true},
		{sandbox.Garbage, bill.ErrUnreadable, true},
		{sandbox.Slow, nil, true},
		{sandbox.Repeat, nil, true},
		{sandbox.LateAnswer, bill.ErrNoAnswer, true},
		{sandbox.LateEffect, bill.ErrNoAnswer, true},
		{sandbox.ChangeAmount, bill.ErrUnreadable, true},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault), func(t *testing.T) {
			t.Parallel()
			w := soldWard(t, hissim.Config{})
			w.plan.Script(sandbox.Script{Op: "refund.hold", Key: "R1", Fault: tt.fault}, sandbox.Script{Op: "refund.book", Key: "R1", Fault: tt.fault},
				sandbox.Script{Op: "refund.drop", Fault: tt.fault})
			want(t, "HoldRefund", w.client.HoldRefund(t.Context(), w.refund("R1")), tt.want)
			if held := w.sim.Truth().Refunds; (len(held) == 1) != tt.done {
				t.Errorf("the hospital holds %+v", held)
			}
			want(t, "HoldRefund again", w.client.HoldRefund(t.Context(), w.refund("R1")), nil)
			w.standing(t, "R1", order.RefundHeld, 7399)

			_, err := w.client.BookRefund(t.Context(), w.booking("R1"))
			want(t, "BookRefund", err, tt.want)
			if tt.done {
				w.standing(t, "R1", order.RefundBooked, 7399)
			} else {
				w.standing(t, "R1", order.RefundHeld, 7399)
			}
			_, err = w.client.BookRefund(t.Context(), w.booking("R1"))
			want(t, "BookRefund again", err, nil)

			if tt.fault != sandbox.ChangeAmount {
				want(t, "DropRefund", w.client.DropRefund(t.Context(), "7", "R2"), tt.want)
			}
			want(t, "DropRefund again", w.client.DropRefund(t.Context(), "7", "R2"), nil)
			w.standing(t, "R2", order.RefundDropped, 0)
			if truth := w.sim.Truth(); truth.Refunded != 7399 || truth.Net != 10798 {
				t.Errorf("the hospital's books: %s refunded, %s left", truth.Refunded, truth.Net)
			}
		})
	}
}
