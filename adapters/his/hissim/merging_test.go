package hissim

import (
	"errors"
	"testing"
	"time"
)

// TestMergeArchives: what was begun with the old number ends with it; everything new has the new one.
func TestMergeArchives(t *testing.T) {
	t.Parallel()
	c, _, p := told(t, Config{TellsBills: true})
	old := c.sim.Patients()[0]
	kept, err := c.sim.AddPatient(Patient{ID: "P-NEW", Name: old.Name, IDNo: old.IDNo})
	if err != nil {
		t.Fatal(err)
	}
	other, err := c.sim.AddPatient(Patient{ID: "P-OTHER", Name: "柳无名", IDNo: "110102197701010013"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.sim.AddBill(old.ID, "", Order{Code: "W10231", Quantity: "2"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{{old.ID, other.ID}, {old.ID, old.ID}} {
		if _, err := c.sim.MergeArchives(pair[0], pair[1]); !errors.Is(err, ErrState) {
			t.Errorf("MergeArchives(%v) = %v", pair, err)
		}
	}
	if _, err := c.sim.MergeArchives("nobody", kept.ID); !errors.Is(err, ErrNoSuch) {
		t.Errorf("MergeArchives(nobody) = %v", err)
	}
	if _, err := c.sim.MergeArchives(old.ID, kept.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.sim.MergeArchives(kept.ID, old.ID); !errors.Is(err, ErrState) {
		t.Errorf("merging into what has ended: %v", err)
	}
	if _, err := c.sim.AddBill(old.ID, "", Order{Code: "W10231", Quantity: "2"}); !errors.Is(err, ErrNoSuch) {
		t.Errorf("AddBill for what has ended: %v", err)
	}
	if got, _ := c.sim.Bill(b.No); got.PatientID != kept.ID || len(c.sim.state.billsOf[old.ID]) != 0 || c.sim.state.remaining(old.ID) != kept.ID {
		t.Errorf("the bill is %s's", got.PatientID)
	}
	for c.sim.Step(t.Context()) {
		c.clock.Advance(time.Second)
	}
	p.bodies = p.bodies[2:] // of the bills that were there
	if len(p.bodies) != 2 || p.bodies[0]["kind"] != billCreated || p.bodies[0]["patient_id"] != old.ID || p.bodies[0]["bill_no"] != b.No ||
		p.bodies[1]["kind"] != patientMerged || p.bodies[1]["patient_id"] != kept.ID || p.bodies[1]["merged_patient_id"] != old.ID {
		t.Errorf("the platform heard %v", p.bodies)
	}
}
