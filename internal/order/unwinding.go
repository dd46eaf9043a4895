package order

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/refund"
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
		return r.returnCash(ctx, r.unwindCash(p))
	}
	var number string
	if p := r.order.Payment(); p != nil {
		number = p.Back.OutRefundNo
	}
	if t, ok, err := r.tell(number); ok || err != nil {
		return t, err
	}
	if t, ok, err := r.tidy(); ok || err != nil {
		return t, err
	}
	r.refuseAsked()
	if err := r.move(Undone, string(r.order.Cause)); err != nil {
		return turn{}, err
	}
	return turn{done: true}, nil
}

// refuseAsked ends the refunds that were asked for before the HIS had booked the order: everything is back anyway.
func (r *run) refuseAsked() {
	for _, f := range r.order.Refunds {
		if f.State == refund.Asked {
			r.refuseRefund(f, OrderUnwound)
		}
	}
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
		ask := func(s *settlement.Settlement) error { return s.AskCancel(r.insurer.MsgID(), r.asked()) }
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
		if r.clock.Now().Before(s.AskedUntil) {
			return turn{until: s.AskedUntil, note: "a lost reversal rests"}, true, nil
		}
		s.Restore(r.insurer.MsgID(), r.asked())
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
	r.leg("settlement", "cancelled", string(from), string(s.State), s.SetlID, s.Actual, s.Posting(r.against()).Undo())
}

func (r *run) cancel(ctx context.Context) again {
	s := r.order.Settlement()
	from := s.State
	err := r.insurer.Cancel(ctx, s.MsgID, s.Visit, s.SetlID)
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

// restoreLost follows a 2601 on a 2208 that has no answer.
func (r *run) restoreLost(s *settlement.Settlement, note string, c Cause) again {
	s.RestoreLost(r.arrived())
	a := later(&job.Reversing, note)
	a.rest, a.over = s.AskedUntil, r.settlementInReview(c)
	return a
}

// arrived is when a call that was given up now has arrived, or never will.
func (r *run) arrived() time.Time { return r.clock.Now().Add(r.config.Pace.Wait(leaseMargin)) }

// checkCancel asks 5203 how the settlement stands.
func (r *run) checkCancel(ctx context.Context) again {
	s := r.order.Settlement()
	from := s.State
	inForce, err := r.insurer.InForce(ctx, s.Visit, s.SetlID)
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
	err := r.insurer.Reverse(ctx, s.MsgID, s.Visit, "2208", s.LostMsgID)
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
		return r.restoreLost(s, "restore: "+kindOf(err), CancelUnproved)
	}
}
