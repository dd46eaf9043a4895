package clock

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 23, 15, 59, 59, 0, time.UTC)

func TestDay(t *testing.T) {
	if got, want := Day(start), time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("a second before midnight in China: Day = %v, want %v", got, want)
	}
	if got, want := Day(start.Add(time.Second)), time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("midnight in China: Day = %v, want %v", got, want)
	}
}

func TestRealSleepEndsWithContext(t *testing.T) {
	ctx, cancel := Real{}.WithDeadline(context.Background(), 0)
	defer cancel()
	if err := (Real{}).Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sleep = %v, want the context's error", err)
	}
	if err := (Real{}).Sleep(context.Background(), 0); err != nil {
		t.Errorf("Sleep(0) = %v", err)
	}
	if d := time.Since((Real{}).Now()); d < 0 || d > time.Minute {
		t.Errorf("Now is %v away from the machine's clock", d)
	}
}

func TestFake(t *testing.T) {
	f := NewFake(start)
	if err := f.Sleep(context.Background(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, want := f.Now(), start.Add(time.Minute); !got.Equal(want) {
		t.Errorf("Now = %v, want %v", got, want)
	}
	ctx, cancel := f.WithDeadline(context.Background(), time.Second)
	if ctx.Err() != nil {
		t.Error("the deadline passed by itself")
	}
	cancel()
	if err := f.Sleep(ctx, time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("Sleep on an ended context = %v", err)
	}
}

func TestPace(t *testing.T) {
	for p, want := range map[Pace]time.Duration{0: time.Minute, 1: time.Minute, 60: time.Second} {
		if got := p.Wait(time.Minute); got != want {
			t.Errorf("Pace(%d).Wait(1m) = %v, want %v", p, got, want)
		}
	}
}

func TestIDsAreUniqueAndFit(t *testing.T) {
	f := NewFake(start)
	a, b := NewSource(f, 1), NewSource(f, 2)
	seen := sync.Map{}
	var wg sync.WaitGroup
	for _, s := range []*Source{a, a, b, b} {
		wg.Go(func() {
			for range 10_000 { // more than a millisecond's sequence holds
				if _, dup := seen.LoadOrStore(s.ID(), true); dup {
					t.Error("an id came twice")
					return
				}
			}
		})
	}
	wg.Wait()
	before := a.ID()
	f.Advance(-time.Hour)
	if after := a.ID(); after <= before {
		t.Errorf("after the clock stepped back, id %d follows %d", after, before)
	}
	last := NewSource(NewFake(time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)), Nodes-1).ID()
	if n := len(strconv.FormatInt(last, 10)); n > 19 || last < 0 {
		t.Errorf("id %d has %d digits, want at most 19", last, n)
	}
}

func TestSeededSourceRepeats(t *testing.T) {
	a, b := NewSeeded(NewFake(start), 0, 7), NewSeeded(NewFake(start), 0, 7)
	for range 100 {
		if x, y := a.Nonce(32), b.Nonce(32); x != y {
			t.Fatalf("Nonce = %q and %q from one seed", x, y)
		}
		if x, y := a.Spread(time.Minute), b.Spread(time.Minute); x != y {
			t.Fatalf("Spread = %v and %v from one seed", x, y)
		}
	}
}

func TestSpreadStaysWithinAFifth(t *testing.T) {
	s := NewSource(NewFake(start), 0)
	for range 1000 {
		if d := s.Spread(10 * time.Second); d < 8*time.Second || d > 12*time.Second {
			t.Fatalf("Spread(10s) = %v", d)
		}
	}
	if d := s.Spread(3); d != 3 {
		t.Errorf("Spread(3ns) = %v", d)
	}
}

// TestOfNode: the ids of a node, and no others, have the node's bits, and those of the epoch are the smallest.
func TestOfNode(t *testing.T) {
	t.Parallel()
	for _, node := range []int{0, 1, 517, Nodes - 1} {
		mask, bits := OfNode(node)
		at := NewFake(Epoch().Add(time.Millisecond))
		for range 5000 {
			if id := NewSource(at, node).ID(); id&mask != bits || id <= 0 {
				t.Fatalf("id %d of node %d", id, node)
			}
			at.Advance(time.Second)
		}
		if id := NewSource(at, node^2).ID(); id&mask == bits {
			t.Errorf("id %d of another node is taken for one of node %d", id, node)
		}
	}
}
