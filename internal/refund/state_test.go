package refund

import (
	"errors"
	"slices"
	"testing"
)

var (
	states = []State{Asked, Held, Done, Refused, InReview}
	events = []Event{Hold, Refuse, Finish, Escalate}
)

func TestEveryStateAndEvent(t *testing.T) {
	t.Parallel()
	listed := map[string]State{}
	for _, m := range moves {
		pair := string(m.from) + " " + string(m.on)
		if _, twice := listed[pair]; twice {
			t.Errorf("%s stands twice", pair)
		}
		listed[pair] = m.to
	}
	reached := map[State]bool{Asked: true}
	for _, from := range states {
		for _, on := range events {
			to, allowed := listed[string(from)+" "+string(on)]
			delete(listed, string(from)+" "+string(on))
			f := &Refund{State: from}
			err := f.Apply(on)
			next, _ := from.Next(on)
			switch {
			case next != f.State:
				t.Errorf("%s on %s: next is %q, and the refund is %s", from, on, next, f.State)
			case !allowed && (!errors.Is(err, ErrMove) || f.State != from || f.Changed()):
				t.Errorf("%s on %s: %v, and the refund is %s", from, on, err, f.State)
			case allowed && (err != nil || f.State != to || !f.Changed()):
				t.Errorf("%s on %s = %s, %v, want %s", from, on, f.State, err, to)
			}
			reached[to] = reached[to] || allowed
		}
	}
	for pair := range listed {
		t.Errorf("move %q has a state or an event that the lists of this test lack", pair)
	}
	for _, s := range states {
		leaves := slices.ContainsFunc(moves, func(m move) bool { return m.from == s })
		if !reached[s] || s.Final() == leaves {
			t.Errorf("%s: reached %v, final %v, can be left %v", s, reached[s], s.Final(), leaves)
		}
	}
}
