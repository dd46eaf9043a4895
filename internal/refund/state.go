package refund

import (
	"fmt"

	"github.com/tuoka/tuoka/internal/fault"
)

// State is where a refund stands, as the column holds it.
type State string

// The states.
const (
	Asked    State = "asked"     // 已受理: the HIS is asked
	Held     State = "held"      // 退费中: the HIS has agreed, the money goes back
	Done     State = "done"      // 已退费
	Refused  State = "refused"   // 未予退费: nothing has moved
	InReview State = "in_review" // 人工核实中
)

// Final reports whether nothing more happens.
func (s State) Final() bool { return s == Done || s == Refused }

// Event is what happens to a refund.
type Event string

// The events.
const (
	Hold     Event = "hold"     // the HIS keeps the items back
	Refuse   Event = "refuse"   // it will not be made
	Finish   Event = "finish"   // every fen is back and the HIS has booked it
	Escalate Event = "escalate" // nobody but a person can tell
)

type move struct {
	from State
	on   Event
	to   State
}

// moves is the whole machine, as rows of from, on, to; what is not listed is forbidden.
var moves = []move{
	{Asked, Hold, Held},
	{Asked, Refuse, Refused},
	{Asked, Escalate, InReview},
	{Held, Finish, Done},
	{Held, Refuse, Refused}, // as long as nothing has moved
	{Held, Escalate, InReview},
	{InReview, Hold, Held}, // by two people, as all that follow
	{InReview, Finish, Done},
	{InReview, Refuse, Refused},
}

// ErrMove is an event that the state does not allow: a bug, or a message that came too late.
var ErrMove = fault.New(fault.Conflict, "REFUND_STATE", "退费状态不允许该操作")

// Next is the state after the event; ErrMove when there is no such move.
func (s State) Next(e Event) (State, error) {
	for _, m := range moves {
		if m.from == s && m.on == e {
			return m.to, nil
		}
	}
	return s, ErrMove.Because(fmt.Errorf("no move from %s on %s", s, e))
}

// Apply moves the refund.
func (f *Refund) Apply(e Event) error {
	to, err := f.State.Next(e)
	if err != nil {
		return err
	}
	f.State, f.changed = to, true
	return nil
}
