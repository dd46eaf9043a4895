package staff

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

var states = []State{Active, Locked, Disabled}

var events = []Event{Lock, Unlock, Disable, Enable}

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
	reached := map[State]bool{Active: true}
	for _, from := range states {
		left := false
		for _, on := range events {
			to, allowed := listed[string(from)+" "+string(on)]
			delete(listed, string(from)+" "+string(on))
			p := Person{State: from, FailedSignIns: 3}
			err := p.apply(on)
			if !allowed {
				if !errors.Is(err, ErrMove) || p.State != from || p.FailedSignIns != 3 {
					t.Errorf("%s on %s: %v, and the account is %s", from, on, err, p.State)
				}
				continue
			}
			left, reached[to] = true, true
			if err != nil || p.State != to || p.FailedSignIns != 0 {
				t.Errorf("%s on %s = %s, %v, want %s", from, on, p.State, err, to)
			}
		}
		if !left {
			t.Errorf("%s cannot be left", from)
		}
	}
	for _, s := range states {
		if !reached[s] {
			t.Errorf("%s is never reached", s)
		}
	}
	for pair := range listed {
		t.Errorf("move %q has a state or an event that the lists of this test lack", pair)
	}
}

func TestPictureOfTheMachine(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> active\n")
	for _, m := range moves {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", m.from, m.to, m.on)
	}
	const path = "testdata/machine.golden"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
