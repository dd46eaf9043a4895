package job

import (
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

func TestScheduleWait(t *testing.T) {
	t.Parallel()
	s := Schedule{Name: "s", Waits: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, Limit: 15 * time.Second}
	for _, tt := range []struct {
		attempt int
		pace    clock.Pace
		want    time.Duration
		ok      bool
	}{
		{0, 1, time.Second, true},
		{1, 1, 2 * time.Second, true},
		{2, 1, 4 * time.Second, true},
		{3, 1, 4 * time.Second, true}, // the last wait repeats; 11 s have passed then
		{4, 1, 4 * time.Second, true}, // 15 s: just within
		{5, 1, 0, false},
		{1000, 1, 0, false},
		{2, 4, time.Second, true}, // the pace divides the wait, and never the limit
		{5, 4, 0, false},
	} {
		got, ok := s.Wait(tt.attempt, tt.pace)
		if ok != tt.ok || (ok && got != tt.want) {
			t.Errorf("Wait(%d, %d) = %v, %v, want %v, %v", tt.attempt, tt.pace, got, ok, tt.want, tt.ok)
		}
	}
}

// TestSchedulesEnd compares the table with design.md §4.9: the first waits, how often, and for how long in all.
func TestSchedulesEnd(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		schedule    Schedule
		first, last time.Duration
		limit       time.Duration
	}{
		{Polling, 2 * time.Second, time.Hour, day},
		{Quoting, 2 * time.Second, time.Minute, 10 * time.Minute},
		{Locking, time.Second, 30 * time.Second, 5 * time.Minute},
		{Settling, 2 * time.Second, time.Minute, 10 * time.Minute},
		{Reversing, time.Second, time.Hour, 3 * day},
		{Returning, 5 * time.Second, time.Hour, 7 * day},
		{Posting, 0, time.Hour, 7 * day},
		{Tidying, time.Second, 5 * time.Minute, 30 * time.Minute},
	} {
		t.Run(tt.schedule.Name, func(t *testing.T) {
			t.Parallel()
			var passed, previous time.Duration
			attempt := 0
			for ; ; attempt++ {
				wait, ok := tt.schedule.Wait(attempt, 1)
				if !ok {
					break
				}
				if attempt == 0 && wait != tt.first {
					t.Errorf("the first wait is %v, want %v", wait, tt.first)
				}
				if wait < previous {
					t.Errorf("wait %d is %v, shorter than the one before", attempt, wait)
				}
				passed, previous = passed+wait, wait
			}
			if previous != tt.last || passed > tt.limit || passed+tt.last <= tt.limit {
				t.Errorf("the last wait is %v after %v in all, want %v and nearly %v", previous, passed, tt.last, tt.limit)
			}
			if _, ok := tt.schedule.Wait(attempt+1, 1); ok {
				t.Error("a schedule that was over goes on")
			}
		})
	}
}

func TestPollingIsTheDesigned(t *testing.T) {
	t.Parallel()
	want := []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute,
		5 * time.Minute, 10 * time.Minute, 15 * time.Minute, time.Hour, time.Hour}
	for i, w := range want {
		if got, ok := Polling.Wait(i, 1); got != w || !ok {
			t.Errorf("poll %d after %v, %v, want %v", i+1, got, ok, w)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	at := time.Unix(100, 0)
	if n := Finish(); !n.Done {
		t.Errorf("Finish = %+v", n)
	}
	if n := Stay(); n != (Next{Stay: true}) {
		t.Errorf("Stay = %+v", n)
	}
	if n := Hold(at, 3); n.Done || !n.Hold.Equal(at) || n.Attempt != 3 {
		t.Errorf("Hold = %+v", n)
	}
	if n := At(at, 2, "why"); n.Done || !n.Hold.IsZero() || !n.RunAt.Equal(at) || n.Attempt != 2 || n.Note != "why" {
		t.Errorf("At = %+v", n)
	}
}
