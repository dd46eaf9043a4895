package order

import (
	"context"
	"errors"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// settling has the insurer settle. A lost 2207 is reversed by 2601 until that is answered, then sent once afresh; what 2601 refuses is
// proved by 2206 on the same batch (design.md §3, "Lost answers on core").
func (r *run) settling(ctx context.Context) (turn, error) {
	s := r.order.Settlement()
	if s == nil {
		return turn{}, errors.New("settling without a settlement")
	}
	switch s.State {
	case settlement.Presettled:
		return r.sendSettle(s, (*settlement.Settlement).Send)
	case settlement.Settling: // loaded as asked: the lease is over, the answer is lost
		r.restart()
		if err := r.settle("lost", (*settlement.Settlement).Lose); err != nil {
			return turn{}, err
		}
		return r.settling(ctx)
	case settlement.Reversing:
		if r.clock.Now().Before(s.AskedUntil) {
			return turn{until: s.AskedUntil, note: "a lost settlement rests"}, nil
		}
		s.Message(r.insurer.MsgID())
		return turn{call: r.reverse}, nil
	case settlement.Resting:
		if r.clock.Now().Before(s.AskedUntil) {
			return turn{until: s.AskedUntil, note: "a refused reversal rests"}, nil
		}
		return turn{call: r.probe}, nil
	case settlement.Refused:
		r.notSettled(SettleRefused)
	case settlement.Reversed:
		r.notSettled(SettleUnproved)
	default:
		r.review(InsurerUnproved)
	}
	return r.turn(ctx)
}

// notSettled gives back the cash, or closes where none was taken.
func (r *run) notSettled(c Cause) {
	if r.cashTaken() {
		r.unwind(c)
		return
	}
	r.giveUp(c)
}

// against is the account that holds the other side of what the insurer owes: until the HIS has booked the order, or while a refund moves it.
func (r *run) against() ledger.Account {
	if r.order.State == Completed {
		return ledger.RefundsDue
	}
	return ledger.Suspense
}

// settle moves the current settlement and notes it.
func (r *run) settle(verb string, move func(*settlement.Settlement) error) error {
	return r.settleThe(r.order.Settlement(), verb, move)
}

func (r *run) settleThe(s *settlement.Settlement, verb string, move func(*settlement.Settlement) error) error {
	from := s.State
	if err := move(s); err != nil {
		return err
	}
	r.leg("settlement", verb, string(from), string(s.State), s.MsgID, split.Split{}, nil)
	return nil
}

// settleOn is the move of a plain event.
func settleOn(e settlement.Event) func(*settlement.Settlement) error {
	return func(s *settlement.Settlement) error { return s.Apply(e) }
}

// sendSettle is 2207.
func (r *run) sendSettle(s *settlement.Settlement, send func(*settlement.Settlement, string, time.Time) error) (turn, error) {
	ask := func(s *settlement.Settlement) error { return send(s, r.insurer.MsgID(), r.asked()) }
	if err := r.settleThe(s, "settle", ask); err != nil {
		return turn{}, err
	}
	return turn{call: func(ctx context.Context) again {
		claim, err := r.claimOf(ctx)
		if err != nil { // nothing was sent
			err = fault.New(fault.Unavailable, "CLAIM_UNREADABLE", "系统繁忙，请稍后再试").Because(err)
		}
		var out settlement.Outcome
		if err == nil {
			if out, err = r.insurer.Settle(ctx, s.MsgID, claim); err == nil {
				err = checkOutcome(out, s)
			}
		}
		return r.settleAnswered(out, err)
	}}, nil
}

// checkOutcome distrusts an answer that cannot be one: then nothing is known.
func checkOutcome(out settlement.Outcome, s *settlement.Settlement) error {
	if err := out.Split.Check(s.Total); err != nil {
		return fault.New(fault.Unknown, "INSURER_UNREADABLE", "医保结算结果核实中").Because(err)
	}
	if out.SetlID == "" || out.SettledAt.IsZero() {
		return fault.New(fault.Unknown, "INSURER_UNREADABLE", "医保结算结果核实中").Because(errors.New("no setl_id or time"))
	}
	return nil
}

func (r *run) settleAnswered(out settlement.Outcome, err error) again {
	s := r.order.Settlement()
	if errors.Is(err, settlement.ErrStands) { // ours, or one that somebody else has made: people look
		s.Refusal = wordsOf(err)
		r.settlementInReview(InsurerUnproved)()
		return again{}
	}
	from := s.State
	if moved := s.Answered(out, err); moved != nil {
		return later(&job.Reversing, "settlement state")
	}
	switch s.State {
	case settlement.Settled:
		r.leg("settlement", "settled", string(from), string(s.State), s.SetlID, s.Actual, s.Posting(r.against()))
		return again{}
	case settlement.Presettled: // it never left
		r.leg("settlement", "unsent", string(from), string(s.State), s.MsgID, split.Split{}, nil)
		a := later(&job.Settling, "settle: never left")
		a.over = func() {
			_ = r.settleThe(s, "given up", settleOn(settlement.GiveUp)) // presettled has this move
		}
		return a
	case settlement.Refused:
		r.leg("settlement", "refused", string(from), string(s.State), s.MsgID, split.Split{}, nil)
		return again{}
	default:
		r.leg("settlement", "lost", string(from), string(s.State), s.MsgID, split.Split{}, nil)
		r.restart() // of the reversal that follows
		a := later(&job.Reversing, "settle: "+kindOf(err))
		a.rest = s.AskedUntil
		return a
	}
}

// reverse is 2601 on the lost 2207.
func (r *run) reverse(ctx context.Context) again {
	s := r.order.Settlement()
	err := r.insurer.Reverse(ctx, s.MsgID, s.Visit, "2207", s.LostMsgID)
	switch {
	case err == nil:
		_ = r.settle("reversed", (*settlement.Settlement).NotSettled) // reversing has both moves
		return again{}
	case fault.InMoneyStep(err) == fault.Rejected:
		until := r.clock.Now().Add(r.config.Pace.Wait(r.insurer.SettleWait()))
		_ = r.settle("reversal refused", func(s *settlement.Settlement) error { return s.Rest(until) })
		return again{}
	default:
		a := later(&job.Reversing, "reverse: "+kindOf(err))
		a.over = r.settlementInReview(InsurerUnproved)
		return a
	}
}

// probe is 2206 on the same batch: accepted, it proves that the batch is not settled.
func (r *run) probe(ctx context.Context) again {
	claim, err := r.claimOf(ctx)
	if err == nil {
		_, err = r.insurer.Repeat(ctx, claim)
	}
	switch {
	case err == nil:
		_ = r.settle("proved not settled", (*settlement.Settlement).NotSettled) // resting has both moves
		return again{}
	case fault.InMoneyStep(err) == fault.Rejected:
		r.settlementInReview(InsurerUnproved)()
		return again{}
	default:
		a := later(&job.Reversing, "probe: "+kindOf(err))
		a.over = r.settlementInReview(InsurerUnproved)
		return a
	}
}

func (r *run) settlementInReview(c Cause) func() {
	return func() {
		_ = r.settle("escalate", settleOn(settlement.Escalate))
		r.review(c)
	}
}
