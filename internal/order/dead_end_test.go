package order

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// aMinuteBeforeTheYear lets the year that WeChat gives back within be over in a minute.
func aMinuteBeforeTheYear(w *world, id ID) {
	w.advance(w.order(id).Payment().PaidAt.Add(refundYear).Sub(w.clock.Now()) - time.Minute)
}

// wantDone wants a refund done, and every side's books right.
func (w *world) wantDone(id ID, nth int) {
	w.t.Helper()
	w.settle(tenDays)
	o := w.wantState(id, Completed, "")
	if f := o.Refunds[nth]; f.State != refund.Done {
		w.t.Errorf("the refund is %s (%s), the settlement %s\n%s", f.State, f.Cause, o.Settlement().State, strings.Join(w.log, "\n"))
	}
	w.audit()
	w.auditEnd()
}

// TestYearIsOverWhile2208IsLost: the year ends while the insurer's part is on its way; it comes to its end, and the till settles the cash.
func TestYearIsOverWhile2208IsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	aMinuteBeforeTheYear(w, id)
	w.once("cancel", w.calls["cancel"]+1, loseAfter)
	w.mustGive(id)
	w.settle(tenDays)
	w.agree(id, "resume till=60.00")
	w.wantDone(id, 0)
}

// TestYearIsOverAfter2208OfAPart: nor does it keep the rest from being settled anew.
func TestYearIsOverAfter2208OfAPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.people.auth.UsableUntil = start.Add(400 * 24 * time.Hour)
	id := unproved(w)
	w.advance(refundYear)
	w.agree(id, "resume insurance=not_settled")
	w.settle(tenDays)
	due := w.order(id).Refunds[0].CashDue().String()
	w.agree(id, "resume till="+due)
	w.wantDone(id, 0)
}

// TestAfterARuledNote: where the window has undone a part of the settlement by itself, only the window knows what stands there: what is insured is
// for the window to give back, what is not goes on as ever.
func TestAfterARuledNote(t *testing.T) {
	t.Parallel()
	for name, joint := range map[string]bool{"core": false, "one password": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			if joint {
				togetherHere(w)
			}
			id := booked(w)
			noted(w, id)
			w.mustGive(id) // behind it
			w.settle(time.Hour)
			w.agree(id, "resume rest=pooled_fund:20.00,account:10.00")
			w.settle(tenDays)
			if f := w.order(id).Refunds[1]; f.State != refund.Refused || f.Cause != string(BegunAtWindow) {
				t.Errorf("what waited behind the note is %s (%s)", f.State, f.Cause)
			}
			if _, err := w.give(id); !errors.Is(err, refund.ErrAtWindow) {
				t.Errorf("all that is left: %v, want ErrAtWindow", err)
			}
			w.mustGive(id, item(diapers))
			w.wantDone(id, 2)
		})
	}
}

// TestCashFirst: where the cash goes back before the insurer is asked, the till settles the cash alone, and the insurer's part follows.
func TestCashFirst(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		play, outside func(w *world, id ID)
		verdict       string
	}{
		{"abnormal", abnormal(), fetched, "resume cash=paid till=60.00"},
		{"given back by somebody else", givenElsewhere(), noBody, "resume cash=returned till=0.00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			togetherHere(w)
			w.party.CashFirst = true
			id := booked(w)
			tt.play(w, id)
			w.settle(tenDays)
			tt.outside(w, id)
			w.forbids(id, strings.Replace(tt.verdict, "resume", "done", 1)) // the insurer has his part still
			w.forbids(id, strings.Replace(tt.verdict, "till=", "till=-", 1))
			w.agree(id, tt.verdict)
			w.wantDone(id, 0)
			if s := w.order(id).Settlement(); s.State != settlement.Cancelled {
				t.Errorf("the settlement is %s", s.State)
			}
		})
	}
}

// TestNotRefusedAfterReturned: what WeChat has given back is not refused in the same breath.
func TestNotRefusedAfterReturned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	givenElsewhere(item(diapers))(w, id)
	w.settle(tenDays)
	w.forbids(id, "refuse cash=returned")
}

// TestBehindARefusedNote, one password: what was all that is left when it was asked for is not when the note before it is refused.
func TestBehindARefusedNote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	id := booked(w)
	noted(w, id)
	w.settle(time.Hour)
	w.mustGive(id)
	w.settle(time.Hour)
	w.agree(id, "refuse")
	w.settle(tenDays)
	if f := w.order(id).Refunds[1]; f.State != refund.Refused || f.Cause != string(RestRefused) {
		t.Errorf("refund %s (%s)", f.State, f.Cause)
	}
	w.audit()
}

// TestGivenTwice: the till has paid what people took for stuck, and WeChat had given it back all the same. That is seen, and taken in again.
func TestGivenTwice(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]time.Duration{"before the vote": 0, "days after it": 3 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			id := booked(w)
			abnormal(item(diapers))(w, id)
			w.settle(tenDays)
			r := w.wechat.refunds[w.order(id).Refunds[0].Cash.OutRefundNo]
			r.state, r.at = payment.RefundProcessing, w.clock.Now()
			if r.until = w.clock.Now().Add(at); at == 0 {
				r.state = payment.RefundSuccess
			}
			w.agree(id, "resume cash=paid till=20.00")
			w.settle(tenDays)
			f := w.order(id).Refunds[0]
			if f.State != refund.InReview || f.Cause != string(GivenTwice) {
				t.Fatalf("refund %s (%s)\n%s", f.State, f.Cause, strings.Join(w.log, "\n"))
			}
			w.forbids(id, "done")
			w.forbids(id, "resume till=20.00")
			w.agree(id, "resume till=-20.00")
			w.wantDone(id, 0)
			if f := w.order(id).Refunds[0]; f.Till != 0 || !f.Returned() {
				t.Errorf("the till has given %s, WeChat %v", f.Till, f.Returned())
			}
		})
	}
}

// TestHISNumberTaken: a refund under a number that another one has is not taken, and is nobody else's matter.
func TestHISNumberTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.store.others = []string{"his T9"}
	w.mishaps = always("hold", loseBefore)
	w.mustGive(id, item(drug), item(exam))
	w.settle(time.Minute)
	_, _, err := w.service.AskRefund(t.Context(), RefundAsk{By: refund.ByHIS, Actor: "his:h1", Order: id, Key: "his T9", Wants: []refund.Want{item(diapers)}, HISNo: "T9"})
	w.mishaps = nil
	if o := w.order(id); !errors.Is(err, ErrNumberTaken) || len(o.Refunds) != 1 {
		t.Errorf("%v, %d refunds", err, len(o.Refunds))
	}
	w.wantDone(id, 0)
}

// TestRefundNumberTaken: WeChat has given back under a number of its own that another refund has; people say so.
func TestRefundNumberTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.store.others = []string{"refund 50001"}
	w.mustGive(id, item(diapers))
	w.settle(tenDays)
	w.forbids(id, "done")
	w.forbids(id, "refuse")
	w.agree(id, "resume cash=returned")
	w.wantDone(id, 0)
	if !w.his.booking.ByHand || w.his.booking.OutRefundNo != "" {
		t.Errorf("the HIS was told %+v", w.his.booking)
	}
}

// TestNoteWherePaymentIsReturned: a note needs no till.
func TestNoteWherePaymentIsReturned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	givenElsewhere(item(diapers))(w, id)
	w.settle(tenDays)
	w.agree(id, "resume cash=returned till=-40.00")
	w.settle(tenDays)
	noted(w, id)
	w.settle(tenDays)
	w.agree(id, "resume rest=pooled_fund:20.00,account:10.00")
	w.wantDone(id, 1)
}

// TestAPartGivenElsewhere: somebody gave a part of the payment back at the merchant's desk: exactly this refund. Later ones go on as ever.
func TestAPartGivenElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.outside = true
	w.once("hold", w.calls["hold"]+1, unsent)
	w.mustGive(id, item(diapers))
	c := w.wechat.orders[w.order(id).Payment().OutTradeNo]
	c.state = payment.TradeRefunded
	w.settle(tenDays)
	w.agree(id, "resume cash=paid till=20.00")
	w.settle(tenDays)
	if p := w.order(id).Payment(); p.RefundReserved != 2000 {
		t.Errorf("%s of the payment are promised", p.RefundReserved)
	}
	w.mustGive(id)
	w.wantDone(id, 1)
	if o := w.order(id); o.Standing() != (split.Split{}) {
		t.Errorf("%+v stand", o.Standing())
	}
}

// TestNotResumedBeforeTheDesk: a refund to which the HIS has not agreed cannot go on as if it had.
func TestNotResumedBeforeTheDesk(t *testing.T) {
	t.Parallel()
	r, o := ruling(t, &settlement.Settlement{State: settlement.Settled}, nil, nil)
	f := &refund.Refund{ID: 9, State: refund.InReview, Desk: refund.DeskAsked, Lines: []refund.Line{{Amount: 2000}}}
	o.State, o.Refunds, o.RefundInsured = Completed, []*refund.Refund{f}, 2000
	if err := r.ruleRefund(Verdict{Outcome: ToResume}, nil); !errors.Is(err, ErrVerdict) {
		t.Errorf("resumed: %v", err)
	}
	if err := r.ruleRefund(Verdict{Outcome: ToRefuse}, nil); err != nil || !f.Dropping {
		t.Errorf("not made: %v, %+v", err, f)
	}
}
