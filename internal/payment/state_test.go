package payment

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

var states = []State{Preparing, Open, Paid, Closing, Closed, Refused, Refunding, Returned, InReview}

var events = []Event{Prepared, Refuse, Pay, Close, Dead, Refund, Return, RefundDead, Escalate}

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
			p := &Payment{State: from, OutTradeNo: "t1"}
			before := *p
			err := p.Apply(on)
			if !allowed {
				if stays, _ := from.Next(on); stays != from {
					t.Errorf("%s on %s: next is %q", from, on, stays)
				}
				if !errors.Is(err, ErrMove) || !reflect.DeepEqual(*p, before) {
					t.Errorf("%s on %s: %v, and the payment is %+v", from, on, err, *p)
				}
				continue
			}
			if err != nil || p.State != to || !p.Changed() {
				t.Errorf("%s on %s = %s, %v, want %s", from, on, p.State, err, to)
			}
		}
	}
	for pair := range listed {
		t.Errorf("move %q has a state or an event that the lists of this test lack", pair)
	}
}

func TestEveryStateIsReachedAndLeft(t *testing.T) {
	t.Parallel()
	reached := map[State]bool{Preparing: true}
	for range states {
		for _, m := range moves {
			reached[m.to] = reached[m.to] || reached[m.from]
		}
	}
	late := []State{Closed, Refused} // final, and yet a verified late payment is never dropped
	for _, s := range states {
		leaves := slices.ContainsFunc(moves, func(m move) bool { return m.from == s })
		if !reached[s] {
			t.Errorf("%s is never reached", s)
		}
		if s.Final() == leaves && !slices.Contains(late, s) {
			t.Errorf("%s: final %v, can be left %v", s, s.Final(), leaves)
		}
	}
	for _, m := range moves {
		if slices.Contains(late, m.from) && m.on != Pay {
			t.Errorf("%s can be left by %s", m.from, m.on)
		}
	}
}

func TestPictureOfTheMachine(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> preparing\n")
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
