package order

import (
	"context"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
)

// TestSettlementMishaps walks every path of "Lost answers on core" in design.md §3 up to the settlement.
func TestSettlementMishaps(t *testing.T) {
	t.Parallel()
	both := func(more func(w *world), play func(*world) ID) func(*world) ID {
		return func(w *world) ID { more(w); return play(w) }
	}
	noCash := func(w *world) ID {
		w.addBill(testBill, 8000, 0)
		w.insurer.ratio = 100
		id := w.mustQuote(true, testBill)
		w.mustConfirm(id)
		return id
	}
	for _, s := range []story{
		{"2207 never left", with("settle", paid, unsent), Completed, ""},
		{"2207 never left, for ten minutes", with("settle", paid, unsent, unsent, unsent, unsent, unsent, unsent, unsent, unsent, unsent, unsent, unsent,
			unsent, unsent, unsent, unsent, unsent), Unwound, SettleUnproved},
		{"2207 never left, no cash", with("settle", noCash, unsent, unsent, unsent, unsent, unsent, unsent, unsent, unsent, unsent, unsent, unsent,
			unsent, unsent, unsent, unsent, unsent), Closed, SettleUnproved},
		{"2207 slow", with("settle", paid, slow), Completed, ""},
		{"2207 lost on the way: 2601 refused, 2206 accepted, once more", with("settle", paid, loseBefore), Completed, ""},
		{"2207 lost on the way back: 2601, once more", with("settle", paid, loseAfter), Completed, ""},
		{"2207 answered by an error without a kind", with("settle", paid, oddAfter), Completed, ""},
		{"2207 done only after we gave up", with("settle", paid, lateEffect), Completed, ""},
		{"2207 never left, then lost", with("settle", paid, unsent, unsent, loseAfter), Completed, ""},
		{"2207 lost twice", with("settle", paid, loseAfter, loseAfter), Unwound, SettleUnproved},
		{"2207 lost twice on the way", with("settle", paid, loseBefore, loseBefore), Unwound, SettleUnproved},
		{"2207 lost twice, no cash", with("settle", noCash, loseAfter, loseAfter), Closed, SettleUnproved},
		{"2207 lost, no cash", with("settle", noCash, loseAfter), Completed, ""},
		{"2207 refused", with("settle", paid, refuse), Unwound, SettleRefused},
		{"2207 refused, no cash", with("settle", noCash, refuse), Closed, SettleRefused},
		{"2207 lost, then refused", with("settle", paid, loseAfter, refuse), Unwound, SettleRefused},
		{"2601 lost", both(func(w *world) { w.once("reverse 2207", 1, loseAfter) }, with("settle", paid, loseAfter)), Completed, ""},
		{"2601 lost, repeated and refused: 2206 proves", both(func(w *world) {
			w.insurer.strict = true
			w.once("reverse 2207", 1, loseAfter)
		}, with("settle", paid, loseAfter)), Completed, ""},
		{"2601 never left, lost on the way, without a kind", both(func(w *world) { w.once("reverse 2207", 1, unsent, loseBefore, oddAfter) },
			with("settle", paid, loseAfter)), Completed, ""},
		{"2601 never answered", both(func(w *world) { w.mishaps = always("reverse 2207", loseBefore) }, with("settle", paid, loseAfter)), InReview, InsurerUnproved},
		{"2601 refused though it stands: 2206 refused", both(func(w *world) { w.once("reverse 2207", 1, refuse) }, with("settle", paid, loseAfter)),
			InReview, InsurerUnproved},
		{"2206 lost as a proof", both(func(w *world) { w.once("probe", 1, loseBefore, loseAfter) }, with("settle", paid, loseBefore)), Completed, ""},
		{"2206 never answered as a proof", both(func(w *world) { w.mishaps = always("probe", loseBefore) }, with("settle", paid, loseBefore)), InReview, InsurerUnproved},
		{"other amounts: 2208, cash back", with("settle", paid, amounts), Unwound, AmountsMoved},
		{"other amounts, no cash foreseen", with("settle", noCash, amounts), Unwound, AmountsMoved},
		{"the authorisation is gone when 2207 is due", func(w *world) ID {
			id := paid(w)
			w.people.auth = nil
			return id
		}, Unwound, SettleUnproved},
	} {
		s.run(t)
	}
}

// nameless is an insurer whose first 2207 is answered without a setl_id.
type nameless struct{ *insurer }

func (n nameless) Settle(ctx context.Context, msgID string, c settlement.Claim) (settlement.Outcome, error) {
	out, err := n.insurer.Settle(ctx, msgID, c)
	if n.w.calls["settle"] == 1 {
		out.SetlID = ""
	}
	return out, err
}

// TestSettledWithoutANumber: an answer that cannot be one is none; what it may have settled is reversed before the next.
func TestSettledWithoutANumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.party.Insurer = nameless{w.insurer}
	w.boot()
	id := paid(w)
	w.settle(tenDays)
	o := w.wantState(id, Completed, "")
	if w.calls["settle"] != 2 || w.calls["reverse 2207"] != 1 || o.Settlement().SetlID == "" {
		t.Errorf("%d settlements asked for, %d reversed, setl_id %q", w.calls["settle"], w.calls["reverse 2207"], o.Settlement().SetlID)
	}
	w.auditEnd()
	w.tell(t, id)
}

// taken is a HIS's line that has, of every bill, a settlement already which stands.
type taken struct{ *insurer }

func (l taken) Settle(context.Context, string, settlement.Claim) (settlement.Outcome, error) {
	l.w.calls["settle"]++
	return settlement.Outcome{}, errRefused.Because(settlement.ErrStands)
}

func (l taken) Withdraw(context.Context, settlement.Claim) error {
	return errRefused.Because(settlement.ErrStands)
}

// TestSettlementStands: who says that a settlement stands has not proved that there is none; nothing is given back or closed before people have looked.
func TestSettlementStands(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		play func(w *world) ID
	}{
		{"asked to settle", paid},
		{"asked to settle what a refund leaves", func(w *world) ID {
			link := w.party.Link
			w.party.Link = w.insurer
			w.boot()
			id := booked(w)
			w.party.Link = link
			w.boot()
			w.mustGive(id, item(exam))
			return id
		}},
		{"asked to withdraw", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			if _, err := w.service.Cancel(w.t.Context(), testAccount, id); err != nil {
				w.t.Fatal(err)
			}
			return id
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.party.Route, w.party.Link = HIS, taken{w.insurer}
			w.boot()
			id := tt.play(w)
			w.settle(time.Hour)
			o := w.order(id)
			cause, people := o.Cause, o.State == InReview
			if f := o.Refund(); f != nil {
				cause, people = Cause(f.Cause), f.State == refund.InReview
			}
			if !people || cause != InsurerUnproved || o.Settlement().State != settlement.InReview || (o.Payment() != nil && o.Payment().State != payment.Paid) {
				t.Errorf("order %s, cause %s, settlement %s, payment %+v; want people to look", o.State, cause, o.Settlement().State, o.Payment())
			}
		})
	}
}

// slowClock is a HIS's line whose clock is eight hours behind.
type slowClock struct{ *insurer }

func (l slowClock) Settle(ctx context.Context, msgID string, c settlement.Claim) (settlement.Outcome, error) {
	out, err := l.insurer.Settle(ctx, msgID, c)
	out.SettledAt = out.SettledAt.Add(-8 * time.Hour)
	return out, err
}

// TestSettledByASlowClock: how long the HIS may leave an order unbooked is measured by our clock; the HIS is told of what the insurer alone has paid.
func TestSettledByASlowClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.party.Route, w.party.Link, w.party.PostLimit = HIS, slowClock{w.insurer}, 30*time.Minute
	w.boot()
	w.addBill(testBill, 8000, 0)
	w.insurer.ratio = 100
	id := w.mustQuote(true, testBill)
	w.mustConfirm(id)
	w.settle(time.Hour)
	w.wantState(id, Completed, "")
}

// always plans the same mishap for every call of an operation.
func always(op string, m mishap) func(op, key string) mishap {
	return func(o, _ string) mishap {
		if o == op {
			return m
		}
		return fine
	}
}

func TestLostSettlementRests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.once("settle", 1, loseBefore)
	id := paid(w)
	w.settle(30 * time.Second)
	asked := w.order(id).Settlement()
	if asked.State != settlement.Reversing || asked.LostMsgID == "" {
		t.Fatalf("settlement is %s", asked.State)
	}
	for w.calls["reverse 2207"] == 0 && !t.Failed() {
		if w.fake.Now().After(asked.AskedUntil) {
			t.Fatal("nobody reverses")
		}
		w.settle(time.Second)
	}
	if now := w.fake.Now(); now.Before(asked.AskedUntil) {
		t.Errorf("2601 went out at %v, the lost 2207 rests until %v", now, asked.AskedUntil)
	}
	rest := w.order(id).Settlement()
	if rest.State != settlement.Resting {
		t.Fatalf("after a refused 2601 the settlement is %s", rest.State)
	}
	w.settle(100 * time.Second)
	if w.calls["probe"] != 0 {
		t.Error("2206 was believed before SettleWait had passed")
	}
	w.settle(time.Minute)
	w.wantState(id, Completed, "")
}

func TestPostingMishaps(t *testing.T) {
	t.Parallel()
	for _, m := range []mishap{loseBefore, loseAfter, oddAfter, unsent, slow, lateEffect, refuse} {
		story{"post " + string(m), with("post", paid, m), Completed, ""}.run(t)
		story{"post lost, query " + string(m), func(w *world) ID {
			w.once("posting of", 1, m)
			return with("post", paid, loseAfter)(w)
		}, Completed, ""}.run(t)
	}
	for _, s := range []story{
		{"the window took it meanwhile", func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			return paid(w)
		}, Unwound, PaidElsewhere},
		{"void meanwhile", func(w *world) ID {
			w.his.onPost = func() { w.his.bills[testBill].State = bill.Void }
			return paid(w)
		}, Unwound, BillVoid},
		{"the window took it, cash alone", func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			id := w.mustQuote(false, testBill)
			w.mustConfirm(id)
			w.mustPay(id)
			return id
		}, Unwound, PaidElsewhere},
		{"booked with another total", func(w *world) ID {
			w.his.wrong = 1
			return with("post", paid, loseAfter)(w)
		}, InReview, HISMismatch},
		{"booked with another split", func(w *world) ID {
			w.his.onQuery = func(s *PostingStatus) { s.Split.Cash, s.Split.Account = s.Split.Cash-1, s.Split.Account+1 }
			return with("post", paid, loseAfter)(w)
		}, InReview, HISMismatch},
		{"the HIS is deaf for seven days", func(w *world) ID {
			w.mishaps = always("post", unsent)
			return paid(w)
		}, InReview, TooLong},
		{"the HIS is deaf beyond the institution's limit", func(w *world) ID {
			w.party.PostLimit = 30 * time.Minute
			w.mishaps = always("post", loseBefore)
			return paid(w)
		}, Unwound, HISSilent},
		{"the last posting before the limit arrives late", func(w *world) ID {
			w.party.PostLimit = time.Minute
			w.once("post", 1, lateEffect, lateEffect)
			return paid(w)
		}, Completed, ""},
		{"no limit passes while the HIS does not say that it is not booked", func(w *world) ID {
			w.party.PostLimit = time.Minute
			w.once("posting of", 1, loseBefore, refuse, loseBefore)
			w.once("post", 1, loseAfter)
			return paid(w)
		}, Completed, ""},
		{"a limit without insurance", func(w *world) ID {
			w.party.PostLimit, w.party.Insurer = 10*time.Minute, nil
			w.mishaps = always("post", refuse)
			return paid(w)
		}, Unwound, HISSilent},
	} {
		s.run(t)
	}
}
