package order

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// byHand is a review of a refund that WeChat or the insurer cannot end, and how two people do.
type byHand struct {
	name    string
	give    func(w *world, id ID)
	why     Cause
	outside func(w *world, id ID)
	forbid  []string // what the machine does not take
	verdict string
	rest    split.Split
	till    string
}

func noBody(*world, ID) {}

// abnormal has the card refuse what goes back.
func abnormal(wants ...refund.Want) func(w *world, id ID) {
	return func(w *world, id ID) {
		w.wechat.cards = []payment.RefundState{payment.RefundAbnormal}
		w.mustGive(id, wants...)
	}
}

func fetched(w *world, id ID) {
	w.fetchBack(w.wechat.refunds[w.order(id).Refunds[0].Cash.OutRefundNo])
}

// givenElsewhere has somebody else give the whole payment back while the HIS thinks.
func givenElsewhere(wants ...refund.Want) func(w *world, id ID) {
	return func(w *world, id ID) {
		w.outside = true
		w.once("hold", w.calls["hold"]+1, unsent)
		w.mustGive(id, wants...)
		c := w.wechat.orders[w.order(id).Payment().OutTradeNo]
		c.state, c.refunded = payment.TradeRefunded, c.total
	}
}

// noted has the window hand back an insured item by itself.
func noted(w *world, id ID) {
	w.outside = true
	_, _, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByHIS, Actor: "his:h1", Order: id, Key: "n", Wants: []refund.Want{item(exam)}, Note: true,
		HISNo: "T9"})
	if err != nil {
		w.t.Fatal(err)
	}
}

var withoutDiapers = split.Split{PooledFund: 5000, Account: 1000, Cash: 4000}

var handEndings = []byHand{
	{"the year is over in the middle", func(w *world, id ID) {
		w.advance(w.order(id).Payment().PaidAt.Add(refundYear).Sub(w.clock.Now()) - time.Minute)
		w.wechat.cards = []payment.RefundState{payment.RefundClosed}
		w.mustGive(id, item(diapers))
	}, PaymentTooOld, noBody, []string{"done", "resume till=19.99", "resume till=20", "resume till=-20.00", "done till=x", "resume cash=paid"}, "resume till=20.00", withoutDiapers, "20.00"},
	{"the year is over in the middle, and the HIS has booked by hand", func(w *world, id ID) {
		w.advance(w.order(id).Payment().PaidAt.Add(refundYear).Sub(w.clock.Now()) - time.Minute)
		w.wechat.cards = []payment.RefundState{payment.RefundClosed}
		w.mustGive(id, item(diapers))
	}, PaymentTooOld, func(w *world, id ID) { w.his.booked[w.order(id).Refunds[0].ID.No()] = 2000 }, nil, "done till=20.00", withoutDiapers, "20.00"},
	{"abnormal", abnormal(item(diapers)), RefundStuck, fetched, []string{"resume till=20.00", "done cash=closed till=20.00", "done cash=paid"},
		"resume cash=paid till=20.00", withoutDiapers, "20.00"},
	{"abnormal, all of it", abnormal(), RefundStuck, fetched, []string{"resume cash=paid till=120.00", "refuse"}, "resume cash=paid till=60.00", split.Split{}, "60.00"},
	{"the patient owes", func(w *world, id ID) {
		w.mishaps = func(op, _ string) mishap {
			if op == "settle" {
				w.insurer.ratio, w.insurer.balance = 0, 0
			}
			return fine
		}
		w.mustGive(id, pieces(drug, "1"))
	}, WouldOwe, noBody, []string{"resume till=40.00", "done"}, "resume till=-40.00", split.Split{Cash: 8000, Uninsured: 2000}, "-40.00"},
	{"given back by somebody else, all of it", givenElsewhere(), CashGone, noBody, []string{"resume", "resume cash=returned", "resume cash=closed"},
		"resume cash=returned till=0.00", split.Split{}, "0.00"},
	{"given back by somebody else, too much", givenElsewhere(item(diapers)), CashGone, noBody, []string{"resume cash=returned", "resume cash=returned till=20.00"},
		"resume cash=returned till=-40.00", withoutDiapers, "-40.00"},
	{"an insured item given back by the window", noted, NoteOfInsured, noBody,
		[]string{"done", "resume till=60.00", "resume rest=pooled_fund", "resume rest=pooled_fund:20", "resume rest=pooled_fund:20.00,pooled_fund:1.00", "resume rest=cash:10.00",
			"resume rest=pooled_fund:40.00,account:0.01", "resume rest=account:-1.00"},
		"resume rest=pooled_fund:20.00,account:10.00", split.Split{PooledFund: 2000, Account: 1000, Cash: 1000, Uninsured: 2000}, "0.00"},
}

// TestRefundsEndByHand: where no counterpart can end a refund, two people can: what they say must be what the books say is due, and afterwards every account is right.
func TestRefundsEndByHand(t *testing.T) {
	t.Parallel()
	for _, tt := range handEndings {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			id := booked(w)
			tt.give(w, id)
			w.settle(tenDays)
			if f := w.order(id).Refund(); f == nil || f.State != refund.InReview || f.Cause != string(tt.why) {
				t.Fatalf("refund %+v, want it in review for %s\n%s", f, tt.why, strings.Join(w.log, "\n"))
			}
			for _, no := range tt.forbid {
				w.forbids(id, no)
			}
			tt.outside(w, id)
			w.agree(id, tt.verdict)
			w.settle(tenDays)
			o := w.wantState(id, Completed, "")
			if f := o.Refunds[0]; f.State != refund.Done || o.Standing() != tt.rest || f.Till.String() != tt.till {
				t.Errorf("refund is %s (%s), the till gave %s, stands %+v\n%s", f.State, f.Cause, f.Till, o.Standing(), strings.Join(w.log, "\n"))
			}
			w.auditEnd()
			w.audit()
			w.tell(t, id)
		})
	}
}

// TestLaterRefundAfterTheTill: what the till has settled stands apart; the rest goes back as ever.
func TestLaterRefundAfterTheTill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	abnormal(item(diapers))(w, id)
	w.settle(tenDays)
	fetched(w, id)
	w.agree(id, "resume cash=paid till=20.00")
	w.settle(time.Hour)
	w.mustGive(id)
	w.settle(tenDays)
	o := w.wantState(id, Completed, "")
	if o.Refunds[1].State != refund.Done || !o.GivenBack() || w.factsOf(o).charged != 2000 { // what the till paid is still here
		t.Errorf("refund %s (%s), %+v stand, %s are at WeChat", o.Refunds[1].State, o.Refunds[1].Cause, o.Standing(), w.factsOf(o).charged)
	}
	w.audit()
}

// TestGivenUpAfterADeadNumber: what was promised under numbers that are dead is promised no more.
func TestGivenUpAfterADeadNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.advance(w.order(id).Payment().PaidAt.Add(refundYear).Sub(w.clock.Now()) - time.Minute)
	w.wechat.cards = []payment.RefundState{payment.RefundClosed}
	w.mustGive(id, item(diapers))
	w.settle(tenDays)
	w.agree(id, "refuse")
	w.settle(tenDays)
	o := w.wantState(id, Completed, "")
	if p := o.Payment(); o.Refunds[0].State != refund.Refused || p.RefundReserved != 0 {
		t.Errorf("refund %s, %s of the payment are promised still", o.Refunds[0].State, p.RefundReserved)
	}
	w.auditEnd()
	w.audit()
}

// TestTillIsForRefunds: an order's own review knows neither.
func TestTillIsForRefunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.his.wrong = 1
	w.mishaps = always("post", loseAfter)
	id := paid(w)
	w.settle(tenDays)
	w.wantState(id, InReview, HISMismatch)
	w.forbids(id, "unwind till=60.00")
	w.forbids(id, "unwind rest=account:1.00")
}

// TestRuleTill: the till's word counts only where the insurer's part is back and nothing else can give the cash back.
func TestRuleTill(t *testing.T) {
	t.Parallel()
	due := map[ledger.Account]money.Fen{ledger.RefundsDue: -2000}
	for _, tt := range []struct {
		name   string
		change func(f *refund.Refund, s *settlement.Settlement)
		ok     bool
	}{
		{"uninsured", func(f *refund.Refund, _ *settlement.Settlement) { f.Lines[0].Uninsured = true }, true},
		{"insured, and the insurer has it still", func(*refund.Refund, *settlement.Settlement) {}, false},
		{"insured, and cancelled", func(_ *refund.Refund, s *settlement.Settlement) { s.State = settlement.Cancelled }, true},
		{"insured, and settled anew", func(f *refund.Refund, _ *settlement.Settlement) {
			f.InsuredAt, f.Before.PooledFund, f.Rest.PooledFund = start, 1000, 1000
		}, true},
		{"a part insured, and cancelled, and nothing settled anew", func(f *refund.Refund, s *settlement.Settlement) {
			s.State, f.Before.PooledFund, f.Rest.PooledFund = settlement.Cancelled, 1000, 1000
		}, false},
		{"a note", func(f *refund.Refund, _ *settlement.Settlement) { f.Note, f.Lines[0].Uninsured = true, true }, false},
		{"nobody knows who bears the rest", func(f *refund.Refund, _ *settlement.Settlement) { f.Before.Cash, f.Lines[0].Uninsured = 3000, true }, false},
	} {
		r, o := ruling(t, &settlement.Settlement{State: settlement.Settled}, nil, nil)
		f := &refund.Refund{ID: 9, State: refund.InReview, HeldAt: start, Lines: []refund.Line{{Amount: 2000}}, Before: split.Split{Cash: 2000}}
		o.State, o.Refunds = Completed, []*refund.Refund{f}
		tt.change(f, o.Settlements[0])
		err := r.ruleTill(f, Verdict{Till: "20.00"}, due)
		if (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrVerdict)) || (f.Till == 2000) != tt.ok {
			t.Errorf("%s: %v, the till gave %s", tt.name, err, f.Till)
		}
	}
	for name, change := range map[string]func(f *refund.Refund){"open": func(*refund.Refund) {}, "settled by the till": func(f *refund.Refund) { f.TillAt = start },
		"back": func(f *refund.Refund) { f.Cash.OutRefundNo, f.Cash.ReturnedAt = "R1", start }} {
		r, o := ruling(t, nil, nil, nil)
		f := &refund.Refund{ID: 9, State: refund.InReview, HeldAt: start, Lines: []refund.Line{{Amount: 2000, Uninsured: true}}, Before: split.Split{Cash: 2000}}
		o.State, o.Refunds = Completed, []*refund.Refund{f}
		change(f)
		if err := r.ruleTill(f, Verdict{Till: "0.00"}, nil); (err == nil) != (name == "open") {
			t.Errorf("%s, and nothing is due: %v", name, err)
		}
	}
}

// TestGivenUpWhileCancelled: however little was insured, a refund of which the insurer's part is in the middle is not refused.
func TestGivenUpWhileCancelled(t *testing.T) {
	t.Parallel()
	for state, want := range map[settlement.State]refund.State{settlement.Cancelled: refund.InReview, settlement.Settled: refund.Refused} {
		r, o := ruling(t, &settlement.Settlement{State: state}, nil, nil)
		f := &refund.Refund{ID: 9, State: refund.Held, HeldAt: start, Lines: []refund.Line{{Amount: 1}}}
		o.State, o.Refunds, o.RefundInsured = Completed, []*refund.Refund{f}, 1
		if r.giveUpRefund(f, RestRefused); f.State != want {
			t.Errorf("the settlement is %s: the refund is %s, want %s", state, f.State, want)
		}
	}
}

// TestPromised: a refund's cash is promised of the payment, once, whatever numbers it takes; more than is here is asked of nobody.
func TestPromised(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.wechat.cards = []payment.RefundState{payment.RefundClosed}
	w.mustGive(id, item(diapers))
	w.settle(tenDays)
	o := w.order(id)
	if f := o.Refunds[0]; f.State != refund.Done || f.Cash.Numbers != 2 || o.Payment().RefundReserved != 2000 || !f.ToldAt.IsZero() {
		t.Errorf("refund %s under %d numbers, %s promised, WeChat told %v", f.State, f.Cash.Numbers, o.Payment().RefundReserved, f.ToldAt)
	}
	o.Payments[0].RefundReserved = 5000 // by whatever bug
	w.store.legs[id] = legs{settlements: o.Settlements, payments: o.Payments, refunds: o.Refunds}
	asked := w.calls["refund"]
	w.mustGive(id)
	w.settle(tenDays)
	if f := w.order(id).Refunds[1]; f.State != refund.InReview || f.Cause != string(RefundStuck) || w.calls["refund"] != asked {
		t.Errorf("refund %s (%s), WeChat was asked %d times", f.State, f.Cause, w.calls["refund"]-asked)
	}
}

// TestNobodyIsTold: on the core route there is no mixed order of which WeChat must hear.
func TestNobodyIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.mustGive(id)
	w.settle(tenDays)
	if f := w.order(id).Refunds[0]; f.State != refund.Done || !f.ToldAt.IsZero() {
		t.Errorf("refund %s, WeChat told %v", f.State, f.ToldAt)
	}
}

// TestRuleRest: who bears what a note left insured, to the fen.
func TestRuleRest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		words string
		note  bool
		rest  split.Split
		want  split.Split // empty: not taken
	}{
		{"account:40.00", true, split.Split{}, split.Split{Account: 4000, Uninsured: 1500}},
		{"account:39.99", true, split.Split{}, split.Split{Account: 3999, Cash: 1, Uninsured: 1500}},
		{"account:40.01", true, split.Split{}, split.Split{}},
		{"account:0.01,hospital_borne:39.98", true, split.Split{}, split.Split{Account: 1, HospitalBorne: 3998, Cash: 1, Uninsured: 1500}},
		{"family_account:1.00,other_fund:2.00,pooled_fund:3.00", true, split.Split{}, split.Split{FamilyAccount: 100, OtherFund: 200, PooledFund: 300, Cash: 3400, Uninsured: 1500}},
		{"account:0.00", true, split.Split{}, split.Split{}},
		{"account:-0.01", true, split.Split{}, split.Split{}},
		{"account:1", true, split.Split{}, split.Split{}},
		{"account:1.00", false, split.Split{}, split.Split{}},
		{"account:1.00", true, split.Split{Cash: 4000, Uninsured: 1500}, split.Split{}},
	} {
		r, _ := ruling(t, nil, nil, nil)
		f := &refund.Refund{Note: tt.note, Before: split.Split{PooledFund: 6000, Uninsured: 2000}, Rest: tt.rest, Lines: []refund.Line{{Amount: 2000}, {Amount: 500, Uninsured: true}}}
		err := r.ruleRest(f, tt.words)
		if taken := tt.want != (split.Split{}); (err == nil) != taken || (taken && f.Rest != tt.want) || (err != nil && !errors.Is(err, ErrVerdict)) {
			t.Errorf("%s of %+v: %v, %+v", tt.words, tt.rest, err, f.Rest)
		}
	}
}

// TestOldNote: that the window has handed money back is noted, however old the payment is.
func TestOldNote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.outside = true
	w.advance(2 * refundYear)
	_, _, err := w.service.AskRefund(t.Context(), RefundAsk{By: refund.ByHIS, Actor: "his:h1", Order: id, Key: "n", Whole: true, Note: true, HISNo: "T9"})
	w.settle(time.Hour)
	if o := w.order(id); err != nil || o.Refunds[0].State != refund.Done || !o.GivenBack() {
		t.Errorf("%v, refunds %+v", err, o.Refunds)
	}
	w.auditEnd()
}

// TestQuietCounterparts: an answer that does not come contradicts nothing, however often; and nobody is asked without a pause.
func TestQuietCounterparts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.wechat.cards = []payment.RefundState{payment.RefundProcessing}
	w.once("query refund", w.calls["query refund"]+1, loseBefore, loseBefore, loseAfter, loseAfter, loseBefore, loseBefore)
	w.once("book", w.calls["book"]+1, loseAfter, refuse, refuse, refuse)
	w.once("refund of", w.calls["refund of"]+1, loseBefore, loseBefore)
	w.mustGive(id, item(diapers))
	w.settle(tenDays)
	o := w.order(id)
	f := o.Refunds[0]
	if f.State != refund.Done || f.CashAt.IsZero() || !f.CashAt.Equal(f.Cash.ReturnedAt) || !w.his.booking.RefundedAt.Equal(f.CashAt) {
		t.Errorf("refund %s (%s), cash back %s of %s, the HIS was told %s", f.State, f.Cause, f.CashAt, f.Cash.ReturnedAt, w.his.booking.RefundedAt)
	}
	if n := w.calls["book"]; n > 6 {
		t.Errorf("the HIS was told %d times", n)
	}
	w.auditEnd()
}

// TestNoCashLeftAfterAYear: WeChat's year does not matter where no cash is to go back any more.
func TestNoCashLeftAfterAYear(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.insurer.ratio = 100
	id := booked(w)
	w.mustGive(id, item(diapers))
	w.settle(time.Hour)
	if s := w.order(id).Standing(); s.Charge() != 0 {
		t.Fatalf("%+v stand", s)
	}
	w.advance(2 * refundYear)
	w.mustGive(id)
	w.wantDone(id, 1)
}

// TestNobodyIsAskedForEver: a HIS that refuses a booking and does not say why is asked with pauses.
func TestNobodyIsAskedForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.mishaps = func(op, _ string) mishap {
		switch op {
		case "book":
			return refuse
		case "refund of":
			return loseBefore
		}
		return fine
	}
	w.mustGive(id, item(diapers))
	w.settle(time.Hour)
	if f := w.order(id).Refunds[0]; f.State != refund.Held || w.calls["book"] > 20 {
		t.Errorf("refund %s, the HIS was told %d times in an hour", f.State, w.calls["book"])
	}
}
