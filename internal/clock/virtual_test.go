package clock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var morning = time.Date(2026, 6, 15, 1, 0, 0, 0, time.UTC)

// diary plays three actors who sleep, await and yield, and writes down what they did when.
func diary(seed uint64) string {
	v := NewVirtual(morning, seed)
	defer v.End()
	var lines []string
	note := func(text string) { lines = append(lines, v.Now().Format("15:04:05 ")+text) }
	bread := false
	over := 0
	v.Go("house", "baker", func() {
		_ = v.Sleep(context.Background(), 3*time.Second)
		bread = true
		note("baked")
		over++
	})
	v.Go("house", "guest", func() {
		ctx, cancel := v.WithDeadline(context.Background(), time.Minute)
		defer cancel()
		err := v.Await(ctx, func() bool { return bread })
		note(fmt.Sprintf("eats %v", err))
		over++
	})
	v.Go("house", "walker", func() {
		for range 3 {
			v.Yield()
			note(fmt.Sprint("walks ", v.Chance(100)))
		}
		over++
	})
	if err := v.Run(morning.Add(time.Hour), func() bool { return over == 3 }); err != nil {
		return err.Error()
	}
	return strings.Join(lines, "\n")
}

func TestVirtualRepeats(t *testing.T) {
	first := diary(1)
	if !strings.Contains(first, "01:00:03 baked") || !strings.Contains(first, "01:00:03 eats <nil>") || strings.Count(first, "01:00:00 walks") != 3 {
		t.Errorf("the day was:\n%s", first)
	}
	differs := false
	for seed := range uint64(20) {
		if again := diary(seed); again != diary(seed) {
			t.Fatalf("seed %d: one day and another:\n%s", seed, again)
		} else if again != first {
			differs = true
		}
	}
	if !differs {
		t.Error("every seed plays the same")
	}
}

func TestVirtualDeadline(t *testing.T) {
	v := NewVirtual(morning, 1)
	defer v.End()
	var slept, waited error
	var at time.Time
	over := false
	v.Go("", "sleeper", func() {
		ctx, cancel := v.WithDeadline(context.Background(), 10*time.Second)
		defer cancel()
		slept = v.Sleep(ctx, time.Hour)
		at = v.Now()
		waited = v.Await(ctx, func() bool { return false })
		over = true
	})
	if err := v.Run(morning.Add(time.Hour), func() bool { return over }); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(slept, context.Canceled) || !errors.Is(waited, context.Canceled) || !at.Equal(morning.Add(10*time.Second)) {
		t.Errorf("Sleep %v until %s, Await %v", slept, at, waited)
	}
	if len(v.timers) != 0 {
		t.Errorf("%d timers are left", len(v.timers))
	}
}

func TestVirtualKill(t *testing.T) {
	v := NewVirtual(morning, 1)
	defer v.End()
	var did []string
	work := func(name string) func() {
		return func() {
			defer func() { did = append(did, name+" ends") }()
			_ = v.Sleep(context.Background(), time.Minute)
			did = append(did, name+" works")
		}
	}
	v.Go("a", "a1", work("a1"))
	v.Go("a", "a2", func() { v.Kill("a") })
	v.Go("b", "b1", work("b1"))
	if err := v.Run(morning.Add(time.Hour), func() bool { return len(v.Waiting()) == 0 }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(did)
	if got := strings.Join(did, ", "); got != "a1 ends, b1 ends, b1 works" && got != "b1 ends, b1 works" {
		t.Errorf("they did: %s", got)
	}
}

func TestVirtualSaysWhatIsWrong(t *testing.T) {
	v := NewVirtual(morning, 1)
	v.Go("", "forlorn", func() { _ = v.Await(context.Background(), func() bool { return false }) })
	if err := v.Run(morning.Add(time.Hour), func() bool { return false }); !errors.Is(err, errStuck) || !strings.Contains(err.Error(), "forlorn") {
		t.Errorf("a standstill: %v", err)
	}
	v.End()
	v = NewVirtual(morning, 1)
	v.Go("", "clumsy", func() { panic("broke it") })
	if err := v.Run(morning.Add(time.Hour), func() bool { return false }); err == nil || !strings.Contains(err.Error(), "clumsy: panic: broke it") {
		t.Errorf("a panic: %v", err)
	}
	v.End()
	v = NewVirtual(morning, 1)
	v.Go("", "late", func() { _ = v.Sleep(context.Background(), 2*time.Hour) })
	if err := v.Run(morning.Add(time.Hour), func() bool { return false }); err != nil || !v.Now().Equal(morning.Add(time.Hour)) {
		t.Errorf("the end: %v at %s", err, v.Now())
	}
	v.End()
	if left := v.Waiting(); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	defer func() {
		if recover() == nil {
			t.Error("somebody waits who is no actor")
		}
	}()
	v.Yield()
}

func TestVirtualFreeze(t *testing.T) {
	v := NewVirtual(morning, 1)
	defer v.End()
	var lines []string
	note := func(text string) { lines = append(lines, v.Now().Format("15:04:05 ")+text+" of "+v.Group()) }
	over := 0
	v.Go("a", "a1", func() {
		v.Freeze("a", time.Minute) // from its next wait on
		_ = v.Sleep(context.Background(), time.Second)
		note("wakes")
		over++
	})
	v.Go("b", "b1", func() {
		_ = v.Sleep(context.Background(), time.Second)
		note("wakes")
		over++
	})
	if err := v.Run(morning.Add(time.Hour), func() bool { return over == 2 }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(lines, ", "); got != "01:00:01 wakes of b, 01:01:00 wakes of a" {
		t.Errorf("they did: %s", got)
	}
}

func TestVirtualRest(t *testing.T) {
	v := NewVirtual(morning, 1)
	defer v.End()
	news := false
	var times []string
	over := false
	v.Go("", "sleeper", func() {
		for _, d := range []time.Duration{time.Minute, time.Hour, time.Hour} {
			_ = v.Rest(context.Background(), d, func() bool { return news })
			times = append(times, v.Now().Format("15:04:05"))
		}
		ctx, cancel := v.WithDeadline(context.Background(), time.Second)
		defer cancel()
		news = false
		if err := v.Rest(ctx, time.Hour, func() bool { return news }); !errors.Is(err, context.Canceled) {
			t.Errorf("Rest beyond the deadline: %v", err)
		}
		over = true
	})
	v.Go("", "postman", func() {
		_ = v.Sleep(context.Background(), 5*time.Minute)
		news = true
	})
	if err := v.Run(morning.Add(24*time.Hour), func() bool { return over }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(times, " "); got != "01:01:00 01:05:00 01:05:00" {
		t.Errorf("it rested until %s", got)
	}
}
