package order

import (
	"maps"
	"sync"
	"time"
)

// slots bound how much of one institution's work this process does at once, so that what its counterparts are slow at holds up nobody else's.
type slots struct {
	most int

	mu    sync.Mutex
	taken map[string]int       // by institution
	begun map[string]time.Time // what is worked on, and, with a time, what rests until then
}

// full lists the institutions whose slots are all taken.
func (s *slots) full() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, n := range s.taken {
		if n >= s.most {
			ids = append(ids, id)
		}
	}
	return ids
}

// take takes a slot for that piece of work; false when none is free, the work was begun, or it rests.
func (s *slots) take(institution, work string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until, known := s.begun[work]; s.taken[institution] >= s.most || (known && (until.IsZero() || now.Before(until))) {
		return false
	}
	s.taken[institution]++
	s.begun[work] = time.Time{}
	return true
}

// give gives the slot back. The work rests until that time, which may be zero.
func (s *slots) give(institution, work string, now, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[institution]--
	maps.DeleteFunc(s.begun, func(_ string, t time.Time) bool { return !t.IsZero() && !now.Before(t) })
	if until.IsZero() {
		delete(s.begun, work)
	} else {
		s.begun[work] = until
	}
}
