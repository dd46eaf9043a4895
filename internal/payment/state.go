package payment

import (
	"fmt"

	"github.com/tuoka/tuoka/internal/fault"
)

// State is where a payment stands.
type State string

// The states.
const (
	Preparing State = "preparing" // 下单中: the order call is asked
	Open      State = "open"      // 待支付: prepay_id is held, the patient may pay
	Paid      State = "paid"      // 已支付
	Closing   State = "closing"   // 关单中
	Closed    State = "closed"    // 已关单
	Refused   State = "refused"   // 下单被拒
	Refunding State = "refunding" // 退款中
	Returned  State = "refunded"  // 已退款
	InReview  State = "in_review" // 人工核实中
)

// Final reports whether no money is held and nothing is asked any more.
func (s State) Final() bool {
	switch s {
	case Closed, Refused, Returned:
		return true
	}
	return false
}

// Event is what happens to a payment.
type Event string

// The events.
const (
	Prepared   Event = "prepared"    // WeChat gave a prepay_id
	Refuse     Event = "refuse"      // WeChat took no order
	Pay        Event = "pay"         // a verified answer says paid
	Close      Event = "close"       // to be closed
	Dead       Event = "dead"        // a verified answer says that it can never be paid
	Refund     Event = "refund"      // the refund goes out
	Return     Event = "return"      // the money is back with the patient
	RefundDead Event = "refund_dead" // the refund's number is dead, the money is still here
	Escalate   Event = "escalate"    // nobody but a person can tell
)

type move struct {
	from State
	on   Event
	to   State
}

// moves is the whole machine, as rows of from, on, to; what is not listed is forbidden.
var moves = []move{
	{Preparing, Prepared, Open},
	{Preparing, Refuse, Refused},
	{Preparing, Pay, Paid},
	{Preparing, Close, Closing},
	{Preparing, Dead, Closed},
	{Open, Pay, Paid},
	{Open, Close, Closing},
	{Open, Dead, Closed},
	{Closing, Pay, Paid},
	{Closing, Dead, Closed},
	{Closed, Pay, Paid}, // late, verified: never dropped
	{Refused, Pay, Paid},
	{Paid, Refund, Refunding},
	{Refunding, Return, Returned},
	{Refunding, RefundDead, Paid},
	{Preparing, Escalate, InReview},
	{Open, Escalate, InReview},
	{Closing, Escalate, InReview},
	{Paid, Escalate, InReview},
	{Refunding, Escalate, InReview},
	{InReview, Pay, Paid},
	{InReview, Dead, Closed},
	{InReview, Return, Returned},
}

// ErrMove is an event that the state does not allow: a bug, or a message that came too late.
var ErrMove = fault.New(fault.Conflict, "PAYMENT_STATE", "支付状态不允许该操作")

// Next is the state after the event; ErrMove when there is no such move.
func (s State) Next(e Event) (State, error) {
	for _, m := range moves {
		if m.from == s && m.on == e {
			return m.to, nil
		}
	}
	return s, ErrMove.Because(fmt.Errorf("no move from %s on %s", s, e))
}

// Apply moves the payment.
func (p *Payment) Apply(e Event) error {
	to, err := p.State.Next(e)
	if err != nil {
		return err
	}
	p.State, p.changed = to, true
	return nil
}
