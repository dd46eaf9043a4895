package order

import (
	"context"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// notes has the window hand something back by itself.
func (w *world) notes(id ID, wants ...refund.Want) {
	w.t.Helper()
	w.outside = true
	if _, _, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByHIS, Actor: "his:h1", Order: id, Key: "n", Wants: wants, Note: true, HISNo: "T9"}); err != nil {
		w.t.Fatal(err)
	}
}

// TestUninsuredNoteKeepsNothingBack: the window has handed back what the insurer never saw: nothing of the settlement is the window's alone.
func TestUninsuredNoteKeepsNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.notes(id, item(diapers))
	w.settle(time.Hour)
	w.mustGive(id, item(exam))
	w.wantDone(id, 1)
}

// givesTwice: people call a number dead, the till pays, and WeChat gives it back by then.
func (w *world) givesTwice(id ID, till string, wants ...refund.Want) {
	w.t.Helper()
	abnormal(wants...)(w, id)
	w.settle(tenDays)
	r := w.wechat.refunds[w.order(id).Refunds[0].Cash.OutRefundNo]
	r.state, r.at = payment.RefundSuccess, w.clock.Now()
	w.agree(id, "resume cash=paid till="+till)
	w.settle(tenDays)
	if f := w.order(id).Refund(); f == nil || f.Cause != string(GivenTwice) {
		w.t.Fatalf("refund %+v", f)
	}
}

// TestGivenTwiceIsNotResumed: without a word on the till.
func TestGivenTwiceIsNotResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.givesTwice(id, "20.00", item(diapers))
	w.forbids(id, "resume")
}

// TestGivenTwiceDoneByHand: the till's second word counts as what it says, not as the sum.
func TestGivenTwiceDoneByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.givesTwice(id, "20.00", item(diapers))
	w.his.booked[w.order(id).Refunds[0].ID.No()] = 2000
	w.agree(id, "done till=-20.00")
	w.wantDone(id, 0)
}

// TestGivenTwiceCashFirst: till and WeChat together happen to be what is due on all sides; the insurer has his part still.
func TestGivenTwiceCashFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.party.CashFirst = true
	id := booked(w)
	w.givesTwice(id, "60.00")
	w.forbids(id, "done")
	w.forbids(id, "done till=-60.00")
	w.agree(id, "resume till=-60.00")
	w.wantDone(id, 0)
}

// TestReturnedAfterTheTill: WeChat works for weeks on a number that people have called dead; then it is back.
func TestReturnedAfterTheTill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	abnormal(item(diapers))(w, id)
	w.settle(tenDays)
	r := w.wechat.refunds[w.order(id).Refunds[0].Cash.OutRefundNo]
	r.state, r.until = payment.RefundProcessing, w.clock.Now().Add(20*24*time.Hour)
	w.agree(id, "resume cash=paid till=20.00")
	w.settle(tenDays)
	if f := w.order(id).Refund(); f == nil || f.Cause != string(TooLong) {
		t.Fatalf("refund %+v", f)
	}
	w.advance(20 * 24 * time.Hour)
	w.forbids(id, "resume cash=returned")
	w.agree(id, "resume cash=returned till=-20.00")
	w.wantDone(id, 0)
}

// TestDoneIsLookedAfter: that the HIS has booked by hand says nothing of WeChat's number.
func TestDoneIsLookedAfter(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]payment.RefundState{"given all the same": payment.RefundSuccess, "dead": payment.RefundClosed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			id := booked(w)
			abnormal(item(diapers))(w, id)
			w.settle(tenDays)
			f := w.order(id).Refunds[0]
			r := w.wechat.refunds[f.Cash.OutRefundNo]
			if r.state, r.at = state, w.clock.Now(); state == payment.RefundClosed {
				w.wechat.orders[r.outTradeNo].refunded -= r.amount
			}
			w.his.booked[f.ID.No()] = 2000
			w.agree(id, "done cash=paid till=20.00")
			w.settle(tenDays)
			if state == payment.RefundSuccess {
				if f := w.order(id).Refunds[0]; f.Cause != string(GivenTwice) {
					t.Fatalf("refund %s (%s)", f.State, f.Cause)
				}
				w.agree(id, "resume till=-20.00")
			}
			w.wantDone(id, 0)
			if n := w.calls["book"]; n != 0 {
				t.Errorf("the HIS was told %d times", n)
			}
		})
	}
}

// TestNextOfAReturnedPayment: somebody gave the whole payment back, the till took the rest in; the next refund is the till's, and has an end from
// wherever it stops.
func TestNextOfAReturnedPayment(t *testing.T) {
	t.Parallel()
	returned := func(w *world) ID {
		w.people.auth.UsableUntil = start.Add(400 * 24 * time.Hour)
		id := booked(w)
		givenElsewhere(item(diapers))(w, id)
		w.settle(tenDays)
		w.agree(id, "resume cash=returned till=-40.00")
		w.settle(tenDays)
		return id
	}
	t.Run("core, 2208 refused once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		id := returned(w)
		w.once("cancel", w.calls["cancel"]+1, refuse)
		w.mustGive(id, item(exam))
		w.settle(time.Hour)
		w.agree(id, "resume insurance=settled")
		w.settle(tenDays)
		w.agree(id, "resume till="+w.order(id).Refunds[1].CashDue().String())
		w.wantDone(id, 1)
	})
	t.Run("core, nobody knows of the 2207 of the rest", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		id := returned(w)
		w.once("settle", w.calls["settle"]+1, loseBefore)
		w.once("reverse 2207", w.calls["reverse 2207"]+1, refuse)
		w.once("probe", w.calls["probe"]+2, refuse)
		w.mustGive(id, item(exam))
		w.settle(time.Hour)
		w.agree(id, "resume insurance=not_settled")
		w.settle(tenDays)
		w.agree(id, "resume till="+w.order(id).Refunds[1].CashDue().String())
		w.wantDone(id, 1)
	})
	t.Run("cash first", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		togetherHere(w)
		w.party.CashFirst = true
		id := returned(w)
		w.mustGive(id)
		w.settle(tenDays)
		w.agree(id, "resume till=40.00")
		w.wantDone(id, 1)
	})
}

// TestNoteLeavesTheRestToThePatient: the window has cancelled the whole settlement; what is left the patient bears alone.
func TestNoteLeavesTheRestToThePatient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.notes(id, item(exam))
	w.settle(time.Hour)
	w.forbids(id, "resume rest=cash:39.99")
	w.agree(id, "resume rest=cash:40.00")
	w.wantDone(id, 0)
	if s := w.order(id).Standing(); s != (split.Split{Cash: 4000, Uninsured: 2000}) {
		t.Errorf("%+v stand", s)
	}
}

// TestRestNeverSettled: after 2208 the patient never authorises again; the insurer's people put the former settlement back in force.
func TestRestNeverSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := unproved(w)
	w.people.auth.UsableUntil = w.clock.Now()
	w.agree(id, "resume insurance=not_settled")
	w.settle(tenDays)
	w.outside = true
	former := w.insurer.bySetl[w.order(id).Settlements[0].SetlID]
	w.insurer.stand(former, true)
	w.agree(id, "refuse insurance=settled")
	w.settle(tenDays)
	if f := w.order(id).Refunds[0]; f.State != refund.Refused {
		t.Errorf("refund %s (%s)", f.State, f.Cause)
	}
	w.auditEnd()
}

// TestGivenTwiceIsBookedAsWechats: what the till has taken in again went back by WeChat's refund.
func TestGivenTwiceIsBookedAsWechats(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.givesTwice(id, "20.00", item(diapers))
	w.agree(id, "resume till=-20.00")
	w.wantDone(id, 0)
	if w.his.booking.ByHand || w.his.booking.RefundID == "" {
		t.Errorf("the HIS was told %+v", w.his.booking)
	}
}

// TestAbnormalIsNotDead: ABNORMAL is not final (wechat-pay.md §2.7): the merchant's desk may send it to the patient's card an hour after the look.
func TestAbnormalIsNotDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	abnormal(item(diapers))(w, id)
	w.settle(tenDays)
	r := w.wechat.refunds[w.order(id).Refunds[0].Cash.OutRefundNo]
	w.later(w.clock.Now().Add(time.Hour), func() { r.state, r.at = payment.RefundSuccess, w.clock.Now() })
	w.outside = true
	w.agree(id, "resume cash=paid till=20.00")
	w.settle(time.Minute)
	if f := w.order(id).Refunds[0]; f.State == refund.Done {
		t.Errorf("done, and WeChat has yet to end refund %s of %s", r.number, r.amount)
	}
	w.settle(tenDays)
	if f := w.order(id).Refunds[0]; f.Cause != string(GivenTwice) {
		t.Errorf("refund %s (%s)", f.State, f.Cause)
	}
}

// TestBackAtTheMerchant: a refund that ended in the merchant's own account has given the patient nothing, whatever WeChat calls it.
func TestBackAtTheMerchant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	abnormal(item(diapers))(w, id)
	w.settle(tenDays)
	fetched(w, id)
	w.agree(id, "resume")
	w.settle(tenDays)
	if f := w.order(id).Refunds[0]; f.State != refund.InReview || f.Cause != string(RefundStuck) || f.Returned() {
		t.Errorf("refund %s (%s), returned %v", f.State, f.Cause, f.Returned())
	}
	w.agree(id, "resume cash=paid till=20.00")
	w.wantDone(id, 0)
}

// TestRestCancelledAtTheDesk: the 2207 of the rest had arrived, and people have it cancelled. It was never the order's: what is put back in force
// later is the former settlement.
func TestRestCancelledAtTheDesk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := unproved(w)
	w.once("settle", w.calls["settle"]+1, refuse)
	w.agree(id, "resume insurance=cancelled")
	w.settle(tenDays)
	o := w.order(id)
	if f := o.Refunds[0]; f.Cause != string(RestUnsettled) || o.Settlement() != o.Settlements[0] || o.Settlement().State != settlement.Settled {
		t.Errorf("refund %s (%s), the order's settlement is %d in %s", f.State, f.Cause, o.Settlement().Seq, o.Settlement().State)
	}
	w.agree(id, "refuse")
	w.settle(tenDays)
	w.audit()
	w.auditEnd()
}

// TestSilenceIsNotDeath: a number that people call dead is dead when WeChat says so, too: not when it says nothing, or what cannot be.
func TestSilenceIsNotDeath(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says mishap
		why  Cause
	}{"nothing": {loseBefore, TooLong}, "other amounts": {amounts, RefundStuck}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			id := booked(w)
			abnormal(item(diapers))(w, id)
			w.settle(tenDays)
			number := w.order(id).Refunds[0].Cash.OutRefundNo
			w.mishaps = always("query refund", tt.says)
			w.agree(id, "resume cash=paid till=20.00")
			w.settle(tenDays)
			if f := w.order(id).Refunds[0]; f.State != refund.InReview || f.Cause != string(tt.why) || f.Cash.OutRefundNo != number {
				t.Errorf("refund %s (%s), its number %q", f.State, f.Cause, f.Cash.OutRefundNo)
			}
			w.mishaps = nil
			fetched(w, id)
			w.agree(id, "resume")
			w.wantDone(id, 0)
		})
	}
}
