package order

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// goldenTimelines holds what happens in every story, event by event with its time, and how often each counterpart was asked: who waits longer,
// asks once more or leaves a line of the history out changes it. Written anew by -update; look at the difference.
var goldenTimelines = filepath.Join("testdata", "timelines.golden")

// timelines are the stories' own, by name.
type timelines struct {
	mu   sync.Mutex
	told map[string]string
	want func() (map[string]string, error)
}

var histories = timelines{told: map[string]string{}, want: sync.OnceValues(readTimelines)}

func readTimelines() (map[string]string, error) {
	text, err := os.ReadFile(goldenTimelines)
	want := map[string]string{}
	for _, story := range strings.Split(string(text), "\n== ")[min(1, len(text)):] {
		name, lines, _ := strings.Cut(story, "\n")
		want[name] = strings.TrimSuffix(lines, "\n")
	}
	return want, err
}

// TestMain writes the timelines when all stories are told; of a run of some tests, only theirs.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if *update && code == 0 {
		if err := histories.write(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func (h *timelines) write() error {
	all := map[string]string{}
	if flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.skip").Value.String() != "" {
		old, err := h.want()
		if err != nil {
			return err
		}
		all = old
	}
	maps.Copy(all, h.told)
	var b strings.Builder
	b.WriteString("Every story of the tests, event by event. Written by go test -update.\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "\n== %s\n%s\n", name, all[name])
	}
	return os.WriteFile(goldenTimelines, []byte(b.String()), 0o600)
}

// tell compares an order's history with the golden timeline of the test, or of one case in it.
func (w *world) tell(t *testing.T, id ID, cases ...string) {
	t.Helper()
	name := strings.Join(append([]string{t.Name()}, cases...), "/")
	got := w.timeline(id)
	histories.mu.Lock()
	if _, twice := histories.told[name]; twice && flag.Lookup("test.count").Value.String() == "1" {
		t.Errorf("two stories are called %s", name)
	}
	histories.told[name] = got
	histories.mu.Unlock()
	if *update {
		return
	}
	want, err := histories.want()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[name], got); diff != "" {
		t.Errorf("timeline (-want +got), renew with -update:\n%s", diff)
	}
}

// timeline is an order's history without the numbers, and how often each counterpart was asked.
func (w *world) timeline(id ID) string {
	var calls []string
	for _, op := range slices.Sorted(maps.Keys(w.calls)) {
		calls = append(calls, fmt.Sprintf("%s %d", op, w.calls[op]))
	}
	b := &strings.Builder{}
	b.WriteString("asked: " + strings.Join(calls, ", "))
	at := time.Time{}
	for _, e := range w.store.history[id] {
		if !e.At.Equal(at) {
			at = e.At
			fmt.Fprintf(b, "\n%s", at.Sub(start).Round(time.Millisecond))
		}
		fmt.Fprintf(b, "; %s %s", e.Subject, e.Verb)
		if e.From != e.To {
			b.WriteString(" " + e.To)
		}
		if e.Detail != "" {
			b.WriteString(" " + e.Detail)
		}
		for _, l := range e.Posting {
			fmt.Fprintf(b, ", %s %s", l.Account, l.Amount)
		}
	}
	o := w.order(id)
	fmt.Fprintf(b, "\nends: %s %s; lock %s, post %s, stands %v", o.State, o.Cause, o.Lock, o.Post, o.Standing())
	for _, s := range o.Settlements {
		fmt.Fprintf(b, "; settlement %s, sent %d, restored %d, doubts %d", s.State, s.Settles, s.Restores, s.Doubts)
	}
	for _, p := range o.Payments {
		fmt.Fprintf(b, "; payment %s, sent %d, doubts %d, back %d/%d", p.State, p.Asked, p.Doubts, p.Back.Numbers, p.Back.Asked)
	}
	for _, m := range o.Mixed {
		fmt.Fprintf(b, "; mixed %s, sent %d, doubts %d", m.State, m.Asked, m.Doubts)
	}
	for _, f := range o.Refunds {
		fmt.Fprintf(b, "; refund %s, desk %s, cash %d/%d", f.State, f.Desk, f.Cash.Numbers, f.Cash.Asked)
	}
	return b.String()
}
