package patient

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/fault"
)

// KindMerged is the kind of a notice of the HIS whose body is a Merged.
const KindMerged = "patient_merged"

// Merged is an archive of the HIS that ended in another of the same person (档案合并).
type Merged struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// errMerged is a body that is none: a bug, since the adapter wrote it.
var errMerged = fault.New(fault.Invalid, "MERGE_UNREADABLE", "档案合并通知有误")

// ReadMerged reads the body of a notice.
func ReadMerged(body []byte) (Merged, error) {
	var m Merged
	if err := json.Unmarshal(body, &m); err != nil || m.From == "" || m.To == "" || m.From == m.To {
		return Merged{}, errMerged
	}
	return m, nil
}

// Archives keeps which archive a patient has.
type Archives interface {
	// OfArchive lists the patients with an archive, of every account that has not hidden them.
	OfArchive(ctx context.Context, institution, hisPatient string) ([]Patient, error)
	// Rearchive gives a patient another archive, if he still has the first.
	Rearchive(ctx context.Context, id ID, from, to string, r audit.Record) error
}

// Merge lets the patients of an archive that ended have the one that remains, each once the HIS itself has shown it under exactly his name and number: a
// notice alone gives nobody another's bills. Where the HIS has merged on meanwhile, its only archive of the person is taken. What it does not show is
// refused, and audited. An answer that the HIS does not give is the error, as package bill says it: the notice is handled again, and finds those whose
// turn was not yet.
func (s *Service) Merge(ctx context.Context, institution string, m Merged) error {
	inst, err := s.Institution(institution)
	if err != nil {
		return err
	}
	people, err := s.config.Archives.OfArchive(ctx, institution, m.From)
	if err != nil {
		return fmt.Errorf("patients of a merged archive: %w", err)
	}
	var refusal error
	for _, p := range people {
		found, err := inst.Authority.FindPatient(ctx, p.Name, p.IDNumber)
		if err != nil {
			return fmt.Errorf("find the archive of %s: %w", objectOf(p.ID), err)
		}
		r := audit.Record{At: s.clock.Now(), Institution: institution, Actor: "his:" + institution, Action: "patient.merge", Object: objectOf(p.ID), Result: "ok"}
		to, err := remaining(own(found, p.Name, p.IDNumber), m)
		if err != nil {
			refusal = err
			if f, ok := fault.Find(err); ok {
				r.Result = f.Code
			}
			if err := s.config.Log.Record(ctx, r); err != nil {
				return err
			}
			continue
		}
		if err := s.config.Archives.Rearchive(ctx, p.ID, m.From, to, r); err != nil {
			return fmt.Errorf("another archive for %s: %w", objectOf(p.ID), err)
		}
	}
	return refusal
}

// remaining is the archive that a person has after the merger, of those that the HIS shows now.
func remaining(shown []HISRecord, m Merged) (string, error) {
	for _, r := range shown {
		if r.HISPatient == m.To {
			return m.To, nil
		}
	}
	switch {
	case len(shown) == 0:
		return "", ErrNoRecord
	case len(shown) == 1 && shown[0].HISPatient != m.From: // merged on meanwhile
		return shown[0].HISPatient, nil
	}
	return "", ErrManyRecords
}
