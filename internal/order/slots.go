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
	short map[string]bool      // the institutions whose work was passed over since a slot of theirs was given back
}

// full lists the institutions whose slots are all taken: their work is to be passed over.
func (s *slots) full() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, n := range s.taken {
		if n >= s.most {
			ids = append(ids, id)
			s.short[id] = true
		}
	}
	return ids
}

// take takes a slot for that piece of work; false when none is free, the work was begun, or it rests.
func (s *slots) take(institution, work string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[institution] >= s.most {
		s.short[institution] = true
		return false
	}
	if until, known := s.begun[work]; known && (until.IsZero() || now.Before(until)) {
		return false
	}
	s.taken[institution]++
	s.begun[work] = time.Time{}
	return true
}

// give gives the slot back, and reports whether other work was passed over for want of it. The work rests until that time, which may be zero.
func (s *slots) give(institution, work string, now, until time.Time) (wanted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[institution]--
	maps.DeleteFunc(s.begun, func(_ string, t time.Time) bool { return !t.IsZero() && !now.Before(t) })
	if until.IsZero() {
		delete(s.begun, work)
	} else {
		s.begun[work] = until
	}
	wanted = s.short[institution]
	delete(s.short, institution)
	return wanted
}
