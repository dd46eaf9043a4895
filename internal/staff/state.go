package staff

import (
	"fmt"

	"github.com/tuoka/tuoka/internal/fault"
)

// State is whether an account may be used.
type State string

// The states. None is final: people come back.
const (
	Active   State = "active"   // 正常
	Locked   State = "locked"   // 已锁定, until LockedUntil
	Disabled State = "disabled" // 已停用
)

// Event is what happens to an account.
type Event string

// The events.
const (
	Lock    Event = "lock"    // too many failures
	Unlock  Event = "unlock"  // the time of the lock is over
	Disable Event = "disable" // by an administrator
	Enable  Event = "enable"  // by an administrator; ends a lock too
)

type move struct {
	from State
	on   Event
	to   State
}

// moves is the whole machine, as rows of from, on, to; what is not listed is forbidden.
var moves = []move{
	{Active, Lock, Locked},
	{Active, Disable, Disabled},
	{Locked, Unlock, Active},
	{Locked, Enable, Active},
	{Locked, Disable, Disabled},
	{Disabled, Enable, Active},
}

// ErrMove is an event that the state does not allow.
var ErrMove = fault.New(fault.Conflict, "STAFF_STATE", "账号当前状态不需要该操作，请用 tuoka staff list 核对")

// Next is the state after the event; ErrMove when there is no such move.
func (s State) Next(e Event) (State, error) {
	for _, m := range moves {
		if m.from == s && m.on == e {
			return m.to, nil
		}
	}
	return s, ErrMove.Because(fmt.Errorf("no move from %s on %s", s, e))
}
