package order

import (
	"context"
	"errors"
	"fmt"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// unwinding gives everything back: the insurance first, and the cash only once the insurer proved not settled or undone.
func (r *run) unwinding(ctx context.Context) (turn, error) {
	if s := r.order.Settlement(); s != nil && !s.State.Final() {
		if t, ok, err := r.undoInsurance(ctx, s); ok || err != nil {
			return t, err
		}
	}
	if p := r.order.Payment(); p != nil && !p.State.Final() {
		return r.returnCash(ctx, p)
	}
	if t, ok, err := r.tell(); ok || err != nil {
		return t, err
	}
	if t, ok, err := r.tidy(); ok || err != nil {
		return t, err
	}
	if err := r.move(Undone, string(r.order.Cause)); err != nil {
		return turn{}, err
	}
	return turn{done: true}, nil
}

// undoInsurance cancels a settlement by 2208. A lost 2208 is looked up by 5203; without an answer 2601 on the 2208 puts the settlement
// back in force, and 2208 begins anew: round and round by one schedule, and when that is over a person must look.
func (r *run) undoInsurance(ctx context.Context, s *settlement.Settlement) (turn, bool, error) {
	if r.atOnce {
		return r.undoAtCentre(ctx, s)
	}
	switch s.State {
	case settlement.Presettled, settlement.Presettling, settlement.Withdrawing:
		return r.tidy()
	case settlement.Settled:
		ask := func(s *settlement.Settlement) error { return s.AskCancel(r.party.Insurer.MsgID(), r.asked()) }
		if err := r.settle("cancel", ask); err != nil {
			return turn{}, false, err
		}
		return turn{call: r.cancel}, true, nil
	case settlement.Cancelling: // loaded as asked: its answer is lost
		if err := r.settle("cancel lost", (*settlement.Settlement).Lose); err != nil {
			return turn{}, false, err
		}
		return r.undoInsurance(ctx, s)
	case settlement.Checking:
		if r.clock.Now().Before(s.AskedUntil) {
			return turn{until: s.AskedUntil, note: "a lost cancellation rests"}, true, nil
		}
		return turn{call: r.checkCancel}, true, nil
	case settlement.Restoring:
		s.Message(r.party.Insurer.MsgID())
		return turn{call: r.restore}, true, nil
	case settlement.InReview:
		r.review(CancelRefused)
	default: // settling, reversing, resting: nobody may unwind before that is known
		r.review(InsurerUnproved)
	}
	t, err := r.turn(ctx)
	return t, true, err
}

// insuranceGone notes the proof that the settlement is cancelled.
func (r *run) insuranceGone(from settlement.State) {
	s := r.order.Settlement()
	r.leg("settlement", "cancelled", string(from), string(s.State), s.SetlID, s.Actual, s.Posting().Undo())
}

func (r *run) cancel(ctx context.Context) again {
	s := r.order.Settlement()
	from := s.State
	err := r.party.Insurer.Cancel(ctx, s.MsgID, s.Visit, s.SetlID)
	if moved := s.CancelAnswered(err); moved != nil {
		return later(&job.Reversing, "settlement state")
	}
	if s.State == settlement.Cancelled {
		r.insuranceGone(from)
		return again{}
	}
	r.leg("settlement", "cancel "+kindOf(err), string(from), string(s.State), s.MsgID, split.Split{}, nil)
	switch s.State {
	case settlement.InReview:
		r.review(CancelRefused)
		return again{}
	case settlement.Settled:
		return later(&job.Reversing, "cancel: never left")
	default:
		a := later(&job.Reversing, "cancel: "+kindOf(err))
		a.rest, a.over = s.AskedUntil, r.settlementInReview(CancelUnproved)
		return a
	}
}

// checkCancel asks 5203 how the settlement stands.
func (r *run) checkCancel(ctx context.Context) again {
	s := r.order.Settlement()
	from := s.State
	inForce, err := r.party.Insurer.InForce(ctx, s.Visit, s.SetlID)
	switch {
	case err == nil && !inForce:
		_ = s.Apply(settlement.Gone) // checking has this move
		r.insuranceGone(from)
		return again{}
	case err == nil:
		_ = r.settle("still in force", settleOn(settlement.Accept))
		return again{keep: true}
	case fault.InMoneyStep(err) == fault.Unavailable:
		return later(&job.Reversing, "query settlement: never left")
	default: // no answer: the cancellation itself is reversed
		_ = r.settle("restore", settleOn(settlement.NoAnswer))
		return again{keep: true}
	}
}

// restore is 2601 on the lost 2208: answered, the settlement is in force again.
func (r *run) restore(ctx context.Context) again {
	s := r.order.Settlement()
	err := r.party.Insurer.Reverse(ctx, s.MsgID, s.Visit, "2208", s.LostMsgID)
	switch {
	case err == nil:
		_ = r.settle("restored", settleOn(settlement.Accept))
		return again{keep: true}
	case fault.InMoneyStep(err) == fault.Rejected: // perhaps the 2208 never arrived: ask again how it stands
		_ = r.settle("restore refused", (*settlement.Settlement).RestoreRefused)
		if s.State == settlement.InReview {
			r.review(CancelUnproved)
			return again{}
		}
		r.attempt = max(r.attempt, s.Restores) // each round waits longer
		return later(&job.Reversing, "restore refused")
	default:
		a := later(&job.Reversing, "restore: "+kindOf(err))
		a.over = r.settlementInReview(CancelUnproved)
		return a
	}
}

// returnCash refunds the whole payment by one number until that number is decided.
func (r *run) returnCash(ctx context.Context, p *payment.Payment) (turn, error) {
	switch p.State {
	case payment.Paid:
		if !r.looked && p.OutRefundNo == "" { // somebody else may have given it back by now
			return turn{call: r.stillPaid}, nil
		}
		number := fmt.Sprintf("R%d", r.source.ID())
		request, err := r.party.Gateway.BuildRefund(payment.RefundOrder{OutTradeNo: p.OutTradeNo, OutRefundNo: number,
			Reason: "门诊缴费未完成，原路退回", Refund: p.Amount, Total: p.Amount})
		if err != nil { // nothing that WeChat would take can be made of it
			r.note(Event{Subject: "payment", Verb: "unbuildable", Number: number, Detail: kindOf(err)})
			r.review(RefundStuck)
			return r.turn(ctx)
		}
		from := p.State
		if err := p.AskRefund(number, request); err != nil {
			return turn{}, err
		}
		r.leg("payment", "refund", string(from), string(p.State), number, split.Split{Cash: p.Amount}, nil)
		return turn{call: r.refund}, nil
	case payment.Refunding:
		if p.RefundID == "" { // never acknowledged: the identical stored bytes again
			return turn{call: r.refund}, nil
		}
		return turn{call: r.lookForRefund}, nil
	default:
		r.review(RefundStuck)
		return r.turn(ctx)
	}
}

// stillPaid asks, before the first refund, whether the money is still here: a refund that is not ours is a matter for people.
func (r *run) stillPaid(ctx context.Context) again {
	finding, a := r.queryCash(ctx)
	switch {
	case a.schedule != nil:
		a.schedule = &job.Reversing
	case finding == payment.FoundPaid:
		r.looked = true
	case r.order.State != InReview: // open or dead, after it was paid
		return later(&job.Reversing, "cash order: "+string(finding)+" after it was paid")
	}
	return a
}

func (r *run) refund(ctx context.Context) again {
	p := r.order.Payment()
	p.RefundAsked++
	p.Touch()
	status, err := r.party.Gateway.Refund(ctx, p.RefundRequest)
	switch {
	case err == nil:
		return r.refundStands(status)
	case errors.Is(err, payment.ErrNotEnough): // recharge, same number
		return later(&job.Reversing, "refund: merchant account too low")
	case fault.InMoneyStep(err) == fault.Rejected: // an unsigned refusal proves nothing of a refund: ask
		return r.lookForRefund(ctx)
	default:
		return later(&job.Reversing, "refund: "+kindOf(err))
	}
}

func (r *run) lookForRefund(ctx context.Context) again {
	p := r.order.Payment()
	status, err := r.party.Gateway.QueryRefund(ctx, p.OutRefundNo)
	if err != nil {
		return later(refundPace(p), "query refund: "+kindOf(err))
	}
	return r.refundStands(status)
}

// refundPace is how long a refund is asked about: one that WeChat has accepted may take days, one that nobody has acknowledged may not.
func refundPace(p *payment.Payment) *job.Schedule {
	if p.RefundID != "" {
		return &job.Returning
	}
	return &job.Reversing
}

func (r *run) refundStands(status payment.RefundStatus) again {
	p := r.order.Payment()
	switch p.JudgeRefund(status) {
	case payment.FoundReturned:
		r.pay(payment.Return)
		return again{}
	case payment.FoundUnderWay:
		return later(&job.Returning, "refund under way")
	case payment.FoundNoRefund: // funds were missing for too long: a new number, after a pause
		r.pay(payment.RefundDead)
		return later(&job.Reversing, "refund closed by WeChat")
	case payment.FoundUnlikely:
		return later(refundPace(p), "refund: other amounts or numbers than ours")
	default: // abnormal, or contradicted again and again
		r.pay(payment.Escalate)
		r.review(RefundStuck)
		return again{}
	}
}
