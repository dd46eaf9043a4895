package order

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
)

// registry answers what it is told to.
type registry struct {
	answers []error
	heard   []string
}

func (r *registry) Merge(_ context.Context, institution string, m patient.Merged) error {
	r.heard = append(r.heard, institution+" "+m.From+">"+m.To)
	err := r.answers[0]
	r.answers = r.answers[1:]
	return err
}

// TestMergedNotice: a merger is handled again until the HIS has answered; a refusal stands, and is kept with the notice.
func TestMergedNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := &registry{answers: []error{bill.ErrNoAnswer, bill.ErrMaintenance, patient.ErrManyRecords, nil}}
	w.service.config.Archives = r
	for id, body := range map[string]string{"1": `{"from":"P1","to":"P2"}`, "2": `{"from":"P1"}`} {
		if _, err := w.store.Put(t.Context(), job.Notice{Source: "his/" + hospitalID, ID: id, Kind: patient.KindMerged, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	var said []error
	for range 8 {
		if _, err := w.service.StepInbox(t.Context()); err != nil {
			said = append(said, err)
		}
		w.advance(time.Hour)
	}
	if len(r.heard) != 3 || r.heard[0] != hospitalID+" P1>P2" || !errors.Is(errors.Join(said...), patient.ErrManyRecords) {
		t.Errorf("heard %v, said %v", r.heard, said)
	}
	for _, n := range w.store.notices {
		if want := map[string]string{"1": "HIS_PATIENT_AMBIGUOUS", "2": "MERGE_UNREADABLE"}[n.Notice.ID]; !n.marked || len(n.refusal) <= len(want) || n.refusal[:len(want)] != want {
			t.Errorf("notice %s: marked %v, %q", n.Notice.ID, n.marked, n.refusal)
		}
	}
}
