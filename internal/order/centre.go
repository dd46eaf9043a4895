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

// queryCentre is 6301: the only evidence of how an upload stands. It notes what a verified answer proves for the settlement as it is now; what
// follows for the order the caller decides by the standing, which is empty when there is no trustworthy answer.
func (r *run) queryCentre(ctx context.Context) (settlement.Standing, again) {
	s := r.order.Settlement()
	claim, err := r.claimOf(ctx)
	if err != nil {
		return "", later(&job.Polling, "claim unreadable")
	}
	t, err := r.party.Centre.Query(ctx, claim)
	if err != nil {
		return "", later(&job.Polling, "query centre: "+kindOf(err))
	}
	bearable := s.Saw(t)
	if !s.Same(t) {
		if !bearable {
			r.settlementInReview(CentreMismatch)()
			return "", again{}
		}
		return "", later(&job.Polling, "centre: other amounts or numbers than ours")
	}
	standing := t.State.Standing()
	r.prove(standing, t)
	return standing, again{}
}

// prove moves the settlement by what 6301 proves, where its state has a move for it.
func (r *run) prove(standing settlement.Standing, t settlement.Stand) {
	s := r.order.Settlement()
	from := s.State
	asked := from == settlement.Checking // 6203 was sent
	switch {
	case standing == settlement.StandsPaid && r.proves(t.State) && !asked && t.Told: // amounts that are not told cannot be equal
		if s.Proved(t, r.clock.Now()) == nil {
			r.leg("settlement", "settled", string(from), string(s.State), s.SetlID, s.Actual, s.Posting(r.against()))
		}
	case standing == settlement.StandsRevoked && from == settlement.Withdrawing:
		_ = r.settle("withdrawn", settleOn(settlement.Gone)) // withdrawing has this move
	case asked && (standing == settlement.StandsReturned || standing == settlement.StandsRevoked || t.State == settlement.InsuranceRevoked):
		_ = s.Apply(settlement.Gone) // checking has this move
		r.insuranceGone(from)
	case !asked && (standing == settlement.StandsReturned || standing == settlement.StandsRevoked || standing == settlement.StandsFailed):
		if _, err := from.Next(settlement.Disprove); err == nil {
			_ = r.settle("not settled", settleOn(settlement.Disprove))
		}
	}
}

// proves reports whether a code counts as settled here (Party.SettledBy).
func (r *run) proves(code settlement.OrdStas) bool {
	for _, c := range r.party.SettledBy {
		if c == code {
			return true
		}
	}
	return len(r.party.SettledBy) == 0
}

// revoke is 6301, 6401 where that says "uploaded, not settled", and 6301 after it: nobody revokes what is being settled, and what is proved is
// what 6301 says. An upload that was never handed to WeChat cannot be settled by anybody; after a while it is left as it is, unless the centre
// last told something else of it. One that was handed over must be proved dead.
func (r *run) revoke(ctx context.Context) again {
	s := r.order.Settlement()
	standing, a := r.queryCentre(ctx)
	if standing == settlement.StandsOpen && s.State == settlement.Withdrawing {
		claim, err := r.claimOf(ctx)
		if err == nil {
			err = r.party.Centre.Revoke(ctx, claim)
		}
		if standing, a = r.queryCentre(ctx); a.schedule == nil && err != nil {
			a = later(&job.Polling, "revoke upload: "+kindOf(err))
		}
	}
	switch {
	case r.order.State == InReview || s.State != settlement.Withdrawing: // something was proved
		return again{}
	case standing == settlement.StandsPeculiar && s.HandedOver:
		r.settlementInReview(CentrePeculiar)()
		return again{}
	}
	if a.schedule == nil {
		a = later(&job.Polling, "centre: "+string(standing))
	}
	switch {
	case s.HandedOver:
	case s.OrdStas.Standing() == settlement.StandsOpen:
		a.schedule, a.over = &job.Tidying, func() { _ = r.settle("orphaned", settleOn(settlement.Gone)) }
	default:
		a.over = r.settlementInReview(CentrePeculiar)
	}
	return a
}

// dropUpload finds out whether an upload that WeChat has in hand may be revoked. Nobody touches one that is being settled.
func (r *run) dropUpload(ctx context.Context) again {
	s := r.order.Settlement()
	standing, a := r.queryCentre(ctx)
	switch {
	case standing == "" || s.State != settlement.Settling: // no answer, or something was proved
		return a
	case standing == settlement.StandsOpen:
		_ = r.settle("withdraw", settleOn(settlement.Withdraw)) // settling has this move
		return again{}
	case standing == settlement.StandsPeculiar, standing == settlement.StandsCashBack:
		r.settlementInReview(CentrePeculiar)()
		return again{}
	}
	return later(&job.Polling, "centre: "+string(standing))
}

// giveBack is 6203 for the whole settlement, always under the same number.
func (r *run) giveBack(ctx context.Context) again {
	s := r.order.Settlement()
	from := s.State
	back := settlement.GiveBack{Number: s.RefundNo, At: s.RefundAt, Figures: s.Figures}
	if p := r.order.Payment(); p != nil {
		back.OutTradeNo = p.OutTradeNo
	}
	claim, err := r.claimOf(ctx)
	if err != nil { // nothing was sent
		err = fault.New(fault.Unavailable, "CLAIM_UNREADABLE", "系统繁忙，请稍后再试").Because(err)
	} else {
		back.Claim = claim
		err = r.party.Centre.Refund(ctx, back)
	}
	if moved := s.GaveBack(err); moved != nil {
		return later(&job.Reversing, "settlement state")
	}
	if s.State == settlement.Cancelled {
		r.insuranceGone(from)
		return again{}
	}
	r.leg("settlement", "refund "+kindOf(err), string(from), string(s.State), s.RefundNo, split.Split{}, nil)
	if s.State == settlement.Settled {
		return later(&job.Reversing, "refund at the centre: never left")
	}
	if fault.InMoneyStep(err) == fault.Rejected { // a verified no; the centre's own record decides
		return r.checkGiveBack(ctx, true)
	}
	a := later(&job.Reversing, "refund at the centre: "+kindOf(err))
	a.rest, a.over = s.AskedUntil, r.settlementInReview(CancelUnproved)
	return a
}

// checkGiveBack asks 6301 what became of a 6203. Still settled: the same 6203 again, unless the centre has refused it.
func (r *run) checkGiveBack(ctx context.Context, refused bool) again {
	s := r.order.Settlement()
	standing, a := r.queryCentre(ctx)
	if s.State != settlement.Checking {
		return again{}
	}
	switch standing {
	case settlement.StandsPaid, settlement.StandsCashBack:
		if refused {
			r.settlementInReview(CancelRefused)()
			return again{}
		}
		_ = r.settle("still settled", settleOn(settlement.Accept)) // checking has this move
		return again{keep: true}
	case settlement.StandsPeculiar, settlement.StandsFailed:
		r.settlementInReview(CentrePeculiar)()
		return again{}
	}
	if a.schedule == nil {
		a = later(&job.Reversing, "centre: "+string(standing))
	}
	a.schedule, a.over = &job.Reversing, r.settlementInReview(CancelUnproved)
	return a
}

// undoAtCentre gives a settlement at the centre back, or proves that there is none.
func (r *run) undoAtCentre(ctx context.Context, s *settlement.Settlement) (turn, bool, error) {
	switch s.State {
	case settlement.Presettling, settlement.Presettled:
		return r.tidy()
	case settlement.Settling:
		return turn{call: r.dropUpload}, true, nil
	case settlement.Withdrawing:
		return turn{call: r.revoke}, true, nil
	case settlement.Settled:
		if r.sidesDiffer() {
			r.review(SidesDiffer)
			t, err := r.turn(ctx)
			return t, true, err
		}
		ask := func(s *settlement.Settlement) error {
			return s.AskGiveBack(fmt.Sprintf("F%d", r.source.ID()), r.clock.Now(), r.asked())
		}
		if err := r.settle("refund", ask); err != nil {
			return turn{}, false, err
		}
		return turn{call: r.giveBack}, true, nil
	case settlement.Cancelling: // loaded as asked: its answer is lost
		if err := r.settle("refund lost", (*settlement.Settlement).Lose); err != nil {
			return turn{}, false, err
		}
		return r.undoAtCentre(ctx, s)
	case settlement.Checking:
		if r.clock.Now().Before(s.AskedUntil) {
			return turn{until: s.AskedUntil, note: "a lost refund rests"}, true, nil
		}
		return turn{call: func(ctx context.Context) again { return r.checkGiveBack(ctx, false) }}, true, nil
	case settlement.InReview:
		r.review(CancelRefused)
		t, err := r.turn(ctx)
		return t, true, err
	}
	return turn{}, false, errors.New("undoing a settlement in " + string(s.State))
}

// sidesDiffer reports whether WeChat calls the order failed although it took the cash and the centre has settled: then a person must look
// (design.md §3).
func (r *run) sidesDiffer() bool {
	m := r.order.MixedOrder()
	return m != nil && m.State == payment.MixedFailed && r.cashTaken()
}
