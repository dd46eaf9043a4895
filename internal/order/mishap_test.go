package order

import (
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
)

// What a counterpart's adapter may say; each has a kind, save the last, which no adapter should ever return.
var (
	errLost    = fault.New(fault.Unknown, "LOST", "核实中")
	errUnsent  = fault.New(fault.Unavailable, "UNSENT", "稍后再试")
	errRefused = fault.New(fault.Rejected, "REFUSED", "医保拒付：不在待遇期")
	errOdd     = errors.New("an error without a kind")
)

// mishap is one way in which a call goes wrong.
type mishap string

// The mishaps.
const (
	fine       mishap = ""
	loseBefore mishap = "lose before"
	loseAfter  mishap = "lose after"
	oddAfter   mishap = "odd after"   // done, answered by an error without a kind
	unsent     mishap = "unsent"      // Unavailable
	slow       mishap = "slow"        // most of the time limit passes
	lateEffect mishap = "late effect" // done only when the caller has given up
	takenOver  mishap = "taken over"  // done, but the answer comes when another worker has the order
	refuse     mishap = "refuse"
	amounts    mishap = "amounts"
)

// call is one outside call: it may be a place to be killed at, and may go wrong as the world's plan says.
func call[T any](w *world, op, key string, effect func(mishap) (T, error)) (T, error) {
	var none T
	w.calls[op]++
	w.point(op + ", before")
	m := w.mishapOf(op, key)
	if m != fine {
		w.met = append(w.met, fmt.Sprintf("%s: %s", op, m))
		w.logf("mishap at %s: %s", op, m)
	}
	switch m {
	case loseBefore:
		w.advance(3 * time.Second)
		return none, errLost
	case unsent:
		return none, errUnsent
	case loseAfter:
		_, _ = effect(fine)
		w.point(op + ", after")
		return none, errLost
	case oddAfter:
		_, _ = effect(fine)
		return none, errOdd
	case slow:
		w.advance(50 * time.Second)
	case lateEffect:
		w.advance(time.Minute)
		w.later(w.clock.Now().Add(time.Duration(1+w.calls[op]%25)*time.Second), func() { _, _ = effect(fine) })
		return none, errLost
	case takenOver:
		v, err := effect(fine)
		w.advance(2 * time.Minute)
		w.otherWorker()
		return v, err
	}
	v, err := effect(m)
	w.point(op + ", after")
	return v, err
}
