package order

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// unproved plays a part refund up to the review in which the former settlement is cancelled and nobody knows of the 2207 of the rest.
func unproved(w *world) ID {
	id := booked(w)
	w.once("settle", w.calls["settle"]+1, loseBefore)
	w.once("reverse 2207", w.calls["reverse 2207"]+1, refuse)
	w.once("probe", w.calls["probe"]+2, refuse) // the first is the 2206 after the 2208
	w.mustGive(id, item(exam))
	w.settle(time.Hour)
	o := w.order(id)
	if f := o.Refunds[0]; f.State != refund.InReview || o.Settlements[0].State != settlement.Cancelled {
		w.t.Fatalf("refund %s (%s), settlement %s\n%s", f.State, f.Cause, o.Settlements[0].State, strings.Join(w.log, "\n"))
	}
	return id
}

// forbids wants a verdict refused at once, with the reason in words.
func (w *world) forbids(id ID, verdict string) {
	w.t.Helper()
	v, err := ParseVerdict(verdict)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, _, err = w.service.Vote(w.t.Context(), "staff:1", id, v, "查明"); !errors.Is(err, ErrVerdict) {
		w.t.Errorf("%s: %v, want ErrVerdict", verdict, err)
	}
}

// TestNotRefusedAfter2208: a refund whose 2208 is done must not end refused, "nothing has moved".
func TestNotRefusedAfter2208(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(w *world){
		"no authorisation in a day": func(w *world) { w.people.auth.UsableUntil = w.clock.Now() },
		"2206 refused":              func(w *world) { w.once("presettle", w.calls["presettle"]+1, refuse) },
		"the insurer silent":        func(w *world) { w.mishaps = always("presettle", loseBefore) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			id := unproved(w)
			play(w)
			w.agree(id, "resume insurance=not_settled")
			w.settle(tenDays)
			o := w.order(id)
			if f := o.Refunds[0]; f.State != refund.InReview {
				t.Errorf("the refund is %s (%s), the order stands as %+v; the insurer pays %+v, the cash is %s; verify: %v", f.State, f.Cause, o.Standing(), w.factsOf(o).insured, w.factsOf(o).charged, Verify(o, w.store.history[id]))
			}
		})
	}
}

// TestNotDoneByChance: RefundsDue is nothing in the middle when what the insurer paid happens to be what goes back; done it is not.
func TestNotDoneByChance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := unproved(w)
	w.forbids(id, "done insurance=not_settled")
}

// TestNoteOfAPart, one password: the window gave one item back; the patient keeps the others and has paid for them.
func TestNoteOfAPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	id := booked(w)
	w.outside = true
	w.asks("n1", refund.AskedByHIS{HISNo: "T1", OrderNo: id.No(), Total: 6000, Note: true,
		Lines: []refund.Line{{BillNo: testBill, LineNo: exam, Quantity: decimal.New(1, 0), Amount: 6000}}})
	w.settle(time.Hour)
	o := w.order(id)
	f := o.Refunds[0]
	if f.State != refund.InReview || f.Cause != string(NoteOfInsured) || w.his.rebill != 0 || o.GivenBack() {
		t.Errorf("the window handed 60.00 back, the refund is %s (%s), billed anew %d; given back whole: %v", f.State, f.Cause, w.his.rebill, o.GivenBack())
	}
}

// TestNoteIsNotRuledDone, core: the review of a note of an insured part, ended as the command offers.
func TestNoteIsNotRuledDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.outside = true
	_, _, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByHIS, Actor: "his:h1", Order: id, Key: "n", Wants: []refund.Want{item(exam)}, Note: true, HISNo: "T9"})
	if err != nil {
		t.Fatal(err)
	}
	w.settle(time.Hour)
	if f := w.order(id).Refunds[0]; f.State != refund.InReview || f.Cause != string(NoteOfInsured) {
		t.Fatalf("refund %s %s", f.State, f.Cause)
	}
	w.forbids(id, "done") // who bears what is left nobody knows
}

// TestReinstateNumber: 2208 lost, its 2601 refused, 5203 says cancelled; then the 2207 of the rest is refused: the 2601 that reinstates must
// name the 2208, not the 2601.
func TestReinstateNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.once("cancel", w.calls["cancel"]+1, loseAfter)
	w.once("in force", w.calls["in force"]+1, loseBefore)
	w.once("reverse 2208", w.calls["reverse 2208"]+1, refuse)
	w.once("settle", w.calls["settle"]+1, refuse)
	w.mustGive(id, item(exam))
	w.settle(tenDays)
	o := w.order(id)
	if s := o.Settlements[0]; s.State != settlement.Settled {
		t.Errorf("the former settlement is %s and not put back, the insurer pays %s\n%s", s.State, w.factsOf(o).insured, strings.Join(w.log, "\n"))
	}
}

// restored is a HIS's line after the HIS was restored from a backup: it does not know the 2208 that it has passed on, and calls that number spent.
type restored struct{ *insurer }

func (l restored) Reverse(ctx context.Context, msgID string, v settlement.Visit, original, of string) error {
	if original == "2208" {
		l.w.calls["reverse 2208"]++
		return nil
	}
	return l.insurer.Reverse(ctx, msgID, v, original, of)
}

// TestReinstatedIsInForce: what a HIS has reversed need not be what was cancelled; the former settlement is called in force again only when it is.
func TestReinstatedIsInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.party.Route, w.party.Link = HIS, restored{w.insurer}
	w.boot()
	id := booked(w)
	w.once("settle", w.calls["settle"]+1, refuse)
	w.mustGive(id, item(exam))
	w.settle(tenDays)
	o := w.order(id)
	if s := o.Settlements[0]; s.State != settlement.InReview || w.calls["reverse 2208"] == 0 || o.Refunds[0].State != refund.InReview {
		t.Errorf("refund %s (%s); the settlement is cancelled at the insurer, here it is %s, and he owes %s", o.Refunds[0].State, o.Refunds[0].Cause, s.State,
			Balances(w.store.history[id])[ledger.PooledFund])
	}
}

// TestStaleWhole: what was all that is left when asked is not when an earlier refund is refused.
func TestStaleWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.once("hold", w.calls["hold"]+1, unsent, unsent, refuse)
	w.mustGive(id, item(diapers))
	f := w.mustGive(id)
	w.settle(tenDays)
	o := w.order(id)
	if o.Refunds[0].State != refund.Refused {
		t.Fatalf("the first refund is %s", o.Refunds[0].State)
	}
	if g := o.Refunds[1]; g.State != refund.Done || g.Whole || o.Standing() != (split.Split{Uninsured: 2000}) {
		t.Errorf("refund %s of %s was told to the HIS as the whole, %+v stand; the HIS's bill is paid by %q", f.ID.No(), g.Total(), o.Standing(), w.his.paidBy[testBill])
	}
}

// TestClosedWithRefund: an order that people close keeps no refund open.
func TestClosedWithRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bigBill(w)
	w.mishaps = func(op, _ string) mishap {
		if op == "post" || op == "posting of" {
			return loseBefore
		}
		return fine
	}
	id := paid(w)
	w.settle(time.Hour)
	w.mustGive(id)
	w.mishaps = nil
	w.his.paidBy[testBill] = "window"
	w.wechat.cards = []payment.RefundState{payment.RefundAbnormal}
	w.settle(tenDays)
	w.wantState(id, InReview, RefundStuck)
	w.agree(id, "close cash=returned")
	w.settle(tenDays)
	o := w.wantState(id, Closed, "")
	if f := o.Refund(); f != nil {
		t.Errorf("the order is %s, its refund %s for ever", o.State, f.State)
	}
}

// TestNotRefusedAfterTheRestIsSettled: the former is cancelled, the rest is settled: refused would leave in the books what does not stand.
func TestNotRefusedAfterTheRestIsSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.once("settle", w.calls["settle"]+1, loseAfter)
	w.once("reverse 2207", w.calls["reverse 2207"]+1, refuse)
	w.mustGive(id, item(exam))
	w.settle(time.Hour)
	o := w.order(id)
	if f := o.Refunds[0]; f.State != refund.InReview {
		t.Fatalf("refund %s (%s)", f.State, f.Cause)
	}
	w.forbids(id, "refuse insurance=settled setl_id=S2")
}

// TestSettledOnceIsNotUnsettled: the 2601 that reinstates is refused; people find that nothing stands, and must say
// so: it was settled once, and is cancelled. Not settled would be a dead end.
func TestSettledOnceIsNotUnsettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.once("settle", w.calls["settle"]+1, refuse)
	w.once("reverse 2208", w.calls["reverse 2208"]+1, refuse)
	w.mustGive(id, item(exam))
	w.settle(time.Hour)
	o := w.order(id)
	if f := o.Refund(); f == nil || f.State != refund.InReview || o.Settlements[0].State != settlement.InReview {
		t.Fatalf("refund %+v, settlement %s", f, o.Settlements[0].State)
	}
	w.forbids(id, "resume insurance=not_settled") // cancelled it must be called
}

// TestStaleWholeNote: the window notes all that is left while another refund is under way, which is not made after all: what that one would have
// taken still stands.
func TestStaleWholeNote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.outside = true
	w.once("cancel", w.calls["cancel"]+1, refuse)
	w.mustGive(id, item(exam))
	_, _, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByHIS, Actor: "his:h1", Order: id, Key: "n", Whole: true, Note: true, HISNo: "T9"})
	if err != nil {
		t.Fatal(err)
	}
	w.settle(time.Hour)
	w.agree(id, "refuse insurance=settled")
	w.settle(time.Hour)
	if o := w.order(id); o.Refunds[0].State != refund.Refused || o.GivenBack() {
		t.Errorf("%s of %s were noted, and the order counts as given back: its bill is free, the exam of 60.00 stands nowhere", o.Refunds[1].Total(), bigTotal)
	}
}

// TestTooOldBefore2208: when a queued refund's turn comes after the year, the insurer's part is taken back although the cash can no more.
func TestTooOldBefore2208(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.advance(w.order(id).Payment().PaidAt.Add(refundYear - time.Hour).Sub(w.clock.Now()))
	w.mishaps = always("hold", loseBefore)
	w.mustGive(id)
	w.settle(3 * time.Hour)
	w.mishaps = nil
	w.settle(tenDays)
	o := w.order(id)
	if f := o.Refunds[0]; f.State != refund.Refused || f.Cause != string(PaymentTooOld) || o.Settlements[0].State != settlement.Settled {
		t.Errorf("refund %s (%s), settlement %s, want it refused before anything has moved", f.State, f.Cause, o.Settlements[0].State)
	}
}

// TestWindowAsksAnotherAmount: what the window reckons and what we do must be the same.
func TestWindowAsksAnotherAmount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.asks("n", refund.AskedByHIS{HISNo: "T1", OrderNo: id.No(), Total: 2001,
		Lines: []refund.Line{{BillNo: testBill, LineNo: diapers, Quantity: decimal.New(1, 0), Amount: 2000}}})
	if _, err := w.service.StepInbox(t.Context()); !errors.Is(err, refund.ErrAmount) || len(w.order(id).Refunds) != 0 {
		t.Errorf("another amount: %v, %d refunds", err, len(w.order(id).Refunds))
	}
}
