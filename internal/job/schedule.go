package job

import (
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// Schedule says how long to wait before each repetition, and for how long in all.
type Schedule struct {
	Name  string
	Waits []time.Duration // the last one repeats
	Limit time.Duration   // after that much waiting it is over
}

// The schedules, all of them (design.md §4.9; engine-and-tests.md B).
var (
	// Polling asks a counterpart how a thing stands.
	Polling = Schedule{"polling", []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, time.Hour}, 24 * time.Hour}
	// Quoting repeats a presettlement that had no answer, while the patient watches.
	Quoting = Schedule{"quoting", []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute}, 10 * time.Minute}
	// Locking repeats the lock and the second look at the bills, while the patient watches.
	Locking = Schedule{"locking", []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second}, 5 * time.Minute}
	// Settling repeats a settlement that never left.
	Settling = Schedule{"settling", []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}, 10 * time.Minute}
	// Reversing repeats reversals, cancellations and refunds that had no answer.
	Reversing = Schedule{"reversing", []time.Duration{time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}, 72 * time.Hour}
	// Returning polls a refund that WeChat works on: cards take one to three working days.
	Returning = Schedule{"returning", []time.Duration{5 * time.Second, time.Minute, time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute,
		30 * time.Minute, time.Hour}, 7 * 24 * time.Hour}
	// Posting repeats what the HIS must hear.
	Posting = Schedule{"posting", []time.Duration{0, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}, 7 * 24 * time.Hour}
	// Tidying repeats what moves no money and expires by itself: rows withdrawn, a lock released.
	Tidying = Schedule{"tidying", []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 5 * time.Minute}, 30 * time.Minute}
)

// Wait is the pause before repetition number attempt (0 for the first), at that pace; false when the schedule is over.
func (s Schedule) Wait(attempt int, pace clock.Pace) (time.Duration, bool) {
	var passed time.Duration
	for i := 0; ; i++ {
		wait := s.Waits[min(i, len(s.Waits)-1)]
		if i == attempt {
			return pace.Wait(wait), passed+wait <= s.Limit
		}
		passed += wait
		if passed > s.Limit {
			return 0, false
		}
	}
}
