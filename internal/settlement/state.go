package settlement

import (
	"fmt"

	"github.com/tuoka/tuoka/internal/fault"
)

// State is where a settlement stands.
type State string

// The states.
const (
	Presettling State = "presettling" // 预结算中: registration, upload and 2206 are asked
	Presettled  State = "presettled"  // 已预结算
	Declined    State = "declined"    // 预结算被拒
	Dropped     State = "dropped"     // 预结算无应答，作废; rows it may have left are withdrawn by the next attempt
	Settling    State = "settling"    // 结算中: 2207 is asked; at the centre: WeChat may have it settled at any moment
	Reversing   State = "reversing"   // 冲正中: 2601 on the lost 2207
	Resting     State = "resting"     // 冲正被拒，待复核: 2206 on the same batch, after SettleWait
	Settled     State = "settled"     // 已结算
	Refused     State = "refused"     // 结算被拒
	Reversed    State = "reversed"    // 已冲正: proved not settled, and not tried again
	Cancelling  State = "cancelling"  // 撤销中: 2208 or 6203 is asked
	Checking    State = "checking"    // 撤销待核实: 5203 after the lost 2208, 6301 after the lost 6203
	Restoring   State = "restoring"   // 撤销冲正中: 2601 on the lost 2208
	Cancelled   State = "cancelled"   // 已撤销
	Withdrawing State = "withdrawing" // 撤回中: 2205 and 2202, or 6401, are asked
	Withdrawn   State = "withdrawn"   // 已撤回
	InReview    State = "in_review"   // 人工核实中
)

// Final reports whether the insurer owes nothing and nothing is asked any more.
func (s State) Final() bool {
	switch s {
	case Declined, Dropped, Refused, Reversed, Cancelled, Withdrawn:
		return true
	}
	return false
}

// Event is what happens to a settlement.
type Event string

// The events.
const (
	Foresee  Event = "foresee"   // 2206 answered
	Decline  Event = "decline"   // the presettlement was refused
	Drop     Event = "drop"      // the presettlement had no answer; a new attempt takes new numbers
	Send     Event = "send"      // 2207 goes out
	Unsent   Event = "unsent"    // it never left
	Accept   Event = "accept"    // the settlement stands
	Refuse   Event = "refuse"    // the insurer said no
	NoAnswer Event = "no_answer" // sent, nothing trustworthy came back
	Undone   Event = "undone"    // the insurer proved that nothing stands; another try follows
	GiveUp   Event = "give_up"   // the same, and no other try follows
	Cancel   Event = "cancel"    // 2208 goes out
	Gone     Event = "gone"      // the settlement is proved cancelled
	Withdraw Event = "withdraw"  // 2205 and 2202 go out
	Prove    Event = "prove"     // the centre says that it is settled
	Disprove Event = "disprove"  // the centre says that it is not settled, and never will be
	Restore  Event = "restore"   // what was cancelled is to be put in force again by 2601 on its 2208
	Escalate Event = "escalate"  // nobody but a person can tell
)

type move struct {
	from State
	on   Event
	to   State
}

// moves is the whole machine, as rows of from, on, to; what is not listed is forbidden.
var moves = []move{
	{Presettling, Foresee, Presettled},
	{Presettling, Decline, Declined},
	{Presettling, Drop, Dropped},
	{Presettled, Drop, Dropped},
	{Presettled, Send, Settling},
	{Presettled, Withdraw, Withdrawing},
	{Presettled, GiveUp, Reversed},       // never sent, given up while the cash is taken
	{Presettling, Withdraw, Withdrawing}, // uploaded to the centre, and not foreseen
	{Settling, Withdraw, Withdrawing},    // handed over to WeChat and proved not settled
	{Withdrawing, Gone, Withdrawn},
	{Withdrawing, Escalate, InReview},
	{Presettling, Prove, Settled}, // a centre that settles by 6202 alone
	{Presettling, Disprove, Refused},
	{Presettling, Escalate, InReview},
	{Settling, Prove, Settled},
	{Settling, Disprove, Refused},
	{Settling, Escalate, InReview},
	{Withdrawing, Prove, Settled},    // it was settled before it could be revoked
	{Withdrawing, Disprove, Refused}, // the centre has given it up by itself
	{Withdrawn, Prove, Settled},      // late, verified: never dropped
	{Refused, Prove, Settled},        // likewise
	{Settling, Unsent, Presettled},
	{Settling, Accept, Settled},
	{Settling, Refuse, Refused},
	{Settling, NoAnswer, Reversing},
	{Reversing, Undone, Presettled},
	{Reversing, GiveUp, Reversed},
	{Reversing, Refuse, Resting},
	{Resting, Undone, Presettled},
	{Resting, GiveUp, Reversed},
	{Resting, Escalate, InReview},
	{Reversing, Escalate, InReview},
	{Settled, Cancel, Cancelling},
	{Settled, Escalate, InReview},
	{Cancelling, Unsent, Settled},
	{Cancelling, Gone, Cancelled},
	{Cancelling, Refuse, InReview},
	{Cancelling, NoAnswer, Checking},
	{Checking, Gone, Cancelled},
	{Checking, Accept, Settled},
	{Checking, NoAnswer, Restoring},
	{Checking, Escalate, InReview},
	{Cancelled, Restore, Restoring}, // the rest of a refund could not be settled
	{Restoring, Accept, Settled},
	{Restoring, Refuse, Checking},
	{Restoring, Escalate, InReview},
	{InReview, Accept, Settled},
	{InReview, Gone, Cancelled},
	{InReview, GiveUp, Reversed},
}

// ErrMove is an event that the state does not allow: a bug, or a message that came too late.
var ErrMove = fault.New(fault.Conflict, "SETTLEMENT_STATE", "医保结算状态不允许该操作")

// Next is the state after the event; ErrMove when there is no such move.
func (s State) Next(e Event) (State, error) {
	for _, m := range moves {
		if m.from == s && m.on == e {
			return m.to, nil
		}
	}
	return s, ErrMove.Because(fmt.Errorf("no move from %s on %s", s, e))
}

// Apply moves the settlement.
func (s *Settlement) Apply(e Event) error {
	to, err := s.State.Next(e)
	if err != nil {
		return err
	}
	s.State, s.changed = to, true
	return nil
}
