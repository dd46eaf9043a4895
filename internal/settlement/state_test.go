package settlement

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

var states = []State{Presettling, Presettled, Declined, Dropped, Settling, Reversing, Resting, Settled, Refused, Reversed, Cancelling, Checking,
	Restoring, Cancelled, Withdrawing, Withdrawn, InReview}

var events = []Event{Foresee, Decline, Drop, Send, Unsent, Accept, Refuse, NoAnswer, Undone, GiveUp, Cancel, Gone, Withdraw, Prove, Disprove, Restore, Escalate}

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
	for _, from := range states {
		for _, on := range events {
			to, allowed := listed[string(from)+" "+string(on)]
			delete(listed, string(from)+" "+string(on))
			s := &Settlement{State: from, MsgID: "m", Refusal: "r", Settles: 1}
			before := *s
			err := s.Apply(on)
			if !allowed {
				if stays, _ := from.Next(on); stays != from {
					t.Errorf("%s on %s: next is %q", from, on, stays)
				}
				if !errors.Is(err, ErrMove) || *s != before {
					t.Errorf("%s on %s: %v, and the settlement is %+v", from, on, err, *s)
				}
				continue
			}
			if err != nil || s.State != to || !s.Changed() {
				t.Errorf("%s on %s = %s, %v, want %s", from, on, s.State, err, to)
			}
		}
	}
	for pair := range listed {
		t.Errorf("move %q has a state or an event that the lists of this test lack", pair)
	}
}

func TestEveryStateIsReachedAndLeft(t *testing.T) {
	t.Parallel()
	reached := map[State]bool{Presettling: true}
	for range states {
		for _, m := range moves {
			reached[m.to] = reached[m.to] || reached[m.from]
		}
	}
	for _, s := range states {
		leaves := slices.ContainsFunc(moves, func(m move) bool { return m.from == s })
		if !reached[s] {
			t.Errorf("%s is never reached", s)
		}
		late := s == Withdrawn || s == Refused || s == Cancelled // what is proved after all is never dropped; what was cancelled for a rest may come back
		if s.Final() == leaves != late {
			t.Errorf("%s: final %v, can be left %v", s, s.Final(), leaves)
		}
	}
}

func TestPictureOfTheMachine(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> presettling\n")
	for _, m := range moves {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", m.from, m.to, m.on)
	}
	for _, s := range states {
		if s.Final() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	golden(t, "machine.golden", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
