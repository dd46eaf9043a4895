package order

import (
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

// TestCancellationMishaps walks the paths of a lost 2208.
func TestCancellationMishaps(t *testing.T) {
	t.Parallel()
	type plan map[string][]mishap
	refused5 := []mishap{refuse, refuse, refuse, refuse, refuse, refuse}
	lost5 := []mishap{loseBefore, loseBefore, loseBefore, loseBefore, loseBefore, loseBefore}
	for _, tt := range []struct {
		name  string
		plan  plan
		state State
		cause Cause
	}{
		{"never left", plan{"cancel": {unsent}}, Unwound, AmountsMoved},
		{"lost on the way: 5203 says it stands, anew", plan{"cancel": {loseBefore}}, Unwound, AmountsMoved},
		{"lost on the way back: 5203 says it is gone", plan{"cancel": {loseAfter}}, Unwound, AmountsMoved},
		{"done only after we gave up", plan{"cancel": {lateEffect}}, Unwound, AmountsMoved},
		{"an error without a kind", plan{"cancel": {oddAfter}}, Unwound, AmountsMoved},
		{"5203 never left", plan{"cancel": {loseAfter}, "in force": {unsent}}, Unwound, AmountsMoved},
		{"5203 lost: 2601 restores, anew", plan{"cancel": {loseAfter}, "in force": {loseBefore}}, Unwound, AmountsMoved},
		{"5203 refused: 2601 restores, anew", plan{"cancel": {loseAfter}, "in force": {refuse}}, Unwound, AmountsMoved},
		{"5203 lost, 2601 lost", plan{"cancel": {loseAfter}, "in force": {loseBefore}, "reverse 2208": {loseAfter}}, Unwound, AmountsMoved},
		{"5203 lost, 2601 refused: 5203 again", plan{"cancel": {loseBefore}, "in force": {loseBefore}}, Unwound, AmountsMoved},
		{"5203 and 2601 fail again and again", plan{"cancel": {loseAfter}, "in force": lost5, "reverse 2208": refused5}, InReview, CancelUnproved},
		{"refused", plan{"cancel": {refuse}}, InReview, CancelRefused},
		{"the second one is lost, too", plan{"cancel": {loseBefore, loseAfter}}, Unwound, AmountsMoved},
	} {
		story{tt.name, func(w *world) ID {
			for op, list := range tt.plan {
				w.once(op, 1, list...)
			}
			w.once("settle", 1, amounts)
			return paid(w)
		}, tt.state, tt.cause}.run(t)
	}
	story{"2601 on the 2208 is never answered", func(w *world) ID {
		w.mishaps = func(op, _ string) mishap {
			if op == "in force" || op == "reverse 2208" {
				return loseBefore
			}
			return fine
		}
		w.once("settle", 1, amounts)
		w.once("cancel", 1, loseAfter)
		return paid(w)
	}, InReview, CancelUnproved}.run(t)
}

// TestLostCancellationRests: 5203 is asked when the lost 2208 can no longer arrive, and each round of failures waits longer.
func TestLostCancellationRests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.once("settle", 1, amounts)
	w.once("cancel", 1, loseBefore)
	var asked []time.Time
	w.mishaps = func(earlier func(op, key string) mishap) func(op, key string) mishap {
		return func(op, key string) mishap {
			switch op {
			case "in force":
				asked = append(asked, w.fake.Now())
				return loseBefore
			case "reverse 2208":
				return refuse
			}
			return earlier(op, key)
		}
	}(w.mishaps)
	id := paid(w)
	w.settle(30 * time.Second)
	rests := w.order(id).Settlement()
	if rests.State != settlement.Checking {
		t.Fatalf("settlement is %s", rests.State)
	}
	w.settle(time.Hour)
	w.wantState(id, InReview, CancelUnproved)
	if len(asked) != 5 || asked[0].Before(rests.AskedUntil) {
		t.Fatalf("asked at %v, the lost 2208 rests until %v", asked, rests.AskedUntil)
	}
	for i := 2; i < len(asked); i++ {
		if asked[i].Sub(asked[i-1]) < 2*asked[i-1].Sub(asked[i-2]) {
			t.Errorf("round %d waits %v after %v", i+1, asked[i].Sub(asked[i-1]), asked[i-1].Sub(asked[i-2]))
		}
	}
}

// saysAfterPaid lets WeChat contradict itself: some queries after the money was here say that it is not.
func (w *world) saysAfterPaid(state payment.TradeState, times int) func(*payment.Transaction) {
	return func(t *payment.Transaction) {
		if w.calls["settle"] > 0 && times > 0 {
			times--
			t.State, t.TransactionID, t.PaidAt = state, "", time.Time{}
		}
	}
}

func TestRefundMishaps(t *testing.T) {
	t.Parallel()
	var lost []mishap
	for range 90 {
		lost = append(lost, loseBefore)
	}
	for _, tt := range []struct {
		name  string
		set   func(w *world)
		state State
		cause Cause
	}{
		{"accepted, back after an hour", func(w *world) { w.wechat.cards = []payment.RefundState{payment.RefundProcessing} }, Unwound, SettleRefused},
		{"accepted, and some polls are lost", func(w *world) {
			w.wechat.cards = []payment.RefundState{payment.RefundProcessing}
			w.once("query refund", 1, loseBefore, unsent, oddAfter, slow)
		}, Unwound, SettleRefused},
		{"accepted, and then other amounts again and again", func(w *world) {
			w.wechat.cards = []payment.RefundState{payment.RefundProcessing}
			w.once("query refund", 1, amounts, amounts, amounts, amounts)
		}, InReview, RefundStuck},
		{"accepted, and then other amounts three times", func(w *world) {
			w.wechat.cards = []payment.RefundState{payment.RefundProcessing}
			w.once("query refund", 1, amounts, amounts, amounts)
		}, Unwound, SettleRefused},
		{"lost on the way", func(w *world) { w.once("refund", 1, loseBefore) }, Unwound, SettleRefused},
		{"lost on the way back", func(w *world) { w.once("refund", 1, loseAfter) }, Unwound, SettleRefused},
		{"never left", func(w *world) { w.once("refund", 1, unsent) }, Unwound, SettleRefused},
		{"done only after we gave up", func(w *world) { w.once("refund", 1, lateEffect) }, Unwound, SettleRefused},
		{"an unsigned refusal proves nothing", func(w *world) { w.once("refund", 1, refuse) }, Unwound, SettleRefused},
		{"lost on the way back, then an unsigned refusal: a query tells", func(w *world) { w.once("refund", 1, loseAfter, refuse) }, Unwound, SettleRefused},
		{"lost on the way back, then unsigned refusals of everything", func(w *world) {
			w.once("refund", 1, loseAfter, refuse, refuse)
			w.once("query refund", 1, refuse, refuse)
		}, Unwound, SettleRefused},
		{"never acknowledged for three days", func(w *world) { w.once("refund", 1, lost...) }, InReview, TooLong},
		{"the merchant account is empty for a while", func(w *world) { w.wechat.empty = 4 }, Unwound, SettleRefused},
		{"closed by WeChat: a new number", func(w *world) { w.wechat.cards = []payment.RefundState{payment.RefundClosed} }, Unwound, SettleRefused},
		{"abnormal", func(w *world) { w.wechat.cards = []payment.RefundState{payment.RefundAbnormal} }, InReview, RefundStuck},
		{"an unknown state, again and again", func(w *world) { w.wechat.cards = []payment.RefundState{"FROZEN"} }, InReview, RefundStuck},
		{"other amounts once", func(w *world) { w.once("refund", 1, amounts) }, Unwound, SettleRefused},
		{"not paid, says WeChat for a while", func(w *world) { w.wechat.lies = w.saysAfterPaid(payment.NotPay, 3) }, Unwound, SettleRefused},
		{"closed, says WeChat for a while", func(w *world) { w.wechat.lies = w.saysAfterPaid(payment.TradeClosed, 3) }, Unwound, SettleRefused},
		{"nobody answers whether the money is still here", func(w *world) {
			w.mishaps = func(op, _ string) mishap {
				if op == "query" && w.calls["settle"] > 0 && w.calls[op] < 8 {
					return loseBefore
				}
				return fine
			}
		}, Unwound, SettleRefused},
		{"cannot be built", func(w *world) {
			w.party.Gateway = unbuildable{w.wechat, false, true}
			w.boot()
		}, InReview, RefundStuck},
	} {
		story{tt.name, func(w *world) ID {
			tt.set(w)
			w.once("settle", 1, refuse)
			return paid(w)
		}, tt.state, tt.cause}.run(t)
	}
}

// TestAcceptedRefundOutlivesLostPolls: a card takes days; one lost answer among many must not hand the order to people (design.md §4.9).
func TestAcceptedRefundOutlivesLostPolls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.wechat.cards = []payment.RefundState{payment.RefundProcessing}
	w.once("settle", 1, refuse)
	id := paid(w)
	w.settle(30 * time.Second)
	for _, r := range w.wechat.refunds {
		r.until = r.at.Add(6 * 24 * time.Hour)
	}
	w.settle(5 * 24 * time.Hour)
	w.wantState(id, Unwinding, SettleRefused)
	if w.calls["refund"] != 1 {
		t.Errorf("an accepted refund was sent %d times", w.calls["refund"])
	}
	w.once("query refund", w.calls["query refund"]+1, loseBefore, loseAfter)
	w.settle(2 * 24 * time.Hour)
	w.wantState(id, Unwound, SettleRefused)
	w.auditEnd()
	w.tell(t, id)
}

func TestTidyingMishaps(t *testing.T) {
	t.Parallel()
	for _, m := range []mishap{loseBefore, loseAfter, oddAfter, unsent, refuse} {
		story{"withdraw " + string(m), with("withdraw", confirmed, m), Closed, NotPaid}.run(t)
		story{"withdraw always " + string(m), func(w *world) ID {
			w.mishaps = always("withdraw", m)
			return confirmed(w)
		}, Closed, NotPaid}.run(t)
		story{"release " + string(m), with("release", confirmed, m), Closed, NotPaid}.run(t)
		story{"release always " + string(m), func(w *world) ID {
			w.his.lockFor = 3 * time.Hour
			w.mishaps = always("release", m)
			return confirmed(w)
		}, Closed, NotPaid}.run(t)
		story{"release never, and the lock ends by itself " + string(m), func(w *world) ID {
			w.mishaps = always("release", m)
			return confirmed(w)
		}, Closed, NotPaid}.run(t)
	}
}
