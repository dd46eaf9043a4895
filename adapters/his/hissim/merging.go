package hissim

import "fmt"

// MergeArchives ends an archive in another of the same person (档案合并): its bills, postings and refunds go on under the one that remains, and the platform
// is told. What the platform began with the old number it may end with it; for anything new that number is unknown. ErrState for another
// person's archive, or one that has ended.
func (s *Sim) MergeArchives(from, to string) (Patient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.state.patients[from]
	kept, there := s.state.patients[to]
	switch {
	case !known || !there:
		return Patient{}, fmt.Errorf("archive %q or %q: %w", from, to, ErrNoSuch)
	case from == to || old.MergedInto != "" || kept.MergedInto != "" || old.Name != kept.Name || old.IDNo != kept.IDNo:
		return Patient{}, fmt.Errorf("archive %s into %s: %w", from, to, ErrState)
	}
	old.MergedInto = to
	now := s.config.Clock.Now()
	e := entry{Patient: &old}
	for _, no := range s.state.billsOf[from] {
		b := s.state.bills[no]
		b.PatientID = to
		e.Bills = append(e.Bills, b)
	}
	if s.config.Notify != nil {
		e.Notice = &Notice{No: s.number("TZ", now), Kind: patientMerged, PatientID: to, MergedID: from, MadeAt: now, Next: now}
	}
	return kept, s.commit(e)
}

// remaining is the archive that goes on with what was begun under that number.
func (s *state) remaining(id string) string {
	for s.patients[id].MergedInto != "" { // no archive ends in one that has ended, or ends twice
		id = s.patients[id].MergedInto
	}
	return id
}
