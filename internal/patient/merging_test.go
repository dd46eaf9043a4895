package patient

import (
	"context"
	"errors"
	"testing"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/bill"
)

func (m *memory) OfArchive(_ context.Context, institution, hisPatient string) ([]Patient, error) {
	done, err := m.enter("OfArchive")
	defer done()
	var out []Patient
	for _, p := range m.patients {
		if p.Institution == institution && p.HISPatient == hisPatient && !m.hidden[p.ID] {
			out = append(out, p)
		}
	}
	return out, err
}

func (m *memory) Rearchive(_ context.Context, id ID, from, to string, r audit.Record) error {
	done, err := m.enter("Rearchive")
	defer done()
	if err != nil {
		return err
	}
	for i := range m.patients {
		if p := &m.patients[i]; p.ID == id && p.HISPatient == from {
			p.HISPatient = to
			m.records = append(m.records, r)
		}
	}
	return nil
}

// TestMerge: a patient follows the HIS to another archive only where the HIS shows it as his.
func TestMerge(t *testing.T) {
	t.Parallel()
	noStore := errors.New("no database")
	for _, tt := range []struct {
		name   string
		notice Merged
		shown  []string // what the HIS shows of the person now
		others bool     // all of it somebody else's
		silent error
		broken string
		want   string // the archive afterwards
		err    error
		result string // of the audit's last record; empty: none more
	}{
		{name: "the one that remains", notice: Merged{"P1", "P2"}, shown: []string{"P2"}, want: "P2", result: "ok"},
		{name: "the old one is still shown beside it", notice: Merged{"P1", "P2"}, shown: []string{"P1", "P2"}, want: "P2", result: "ok"},
		{name: "merged on before we heard of it", notice: Merged{"P1", "P2"}, shown: []string{"P3"}, want: "P3", result: "ok"},
		{name: "merged on, and there are more", notice: Merged{"P1", "P2"}, shown: []string{"P3", "P4"}, want: "P1", err: ErrManyRecords, result: "HIS_PATIENT_AMBIGUOUS"},
		{name: "the HIS knows of no merger", notice: Merged{"P1", "P2"}, shown: []string{"P1"}, want: "P1", err: ErrManyRecords, result: "HIS_PATIENT_AMBIGUOUS"},
		{name: "another person's archive", notice: Merged{"P1", "P2"}, shown: []string{"P2"}, others: true, want: "P1", err: ErrNoRecord, result: "HIS_PATIENT_NOT_FOUND"},
		{name: "an archive that nobody has", notice: Merged{"P8", "P9"}, shown: []string{"P9"}, want: "P1"},
		{name: "the HIS is silent", notice: Merged{"P1", "P2"}, silent: bill.ErrNoAnswer, want: "P1", err: bill.ErrNoAnswer},
		{name: "our database is away", notice: Merged{"P1", "P2"}, shown: []string{"P2"}, broken: "Rearchive", want: "P1", err: noStore},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.config.Archives = h.store
			p := h.addSelf(t)
			h.his.records, h.his.err = nil, tt.silent
			name, id := p.Name.Reveal(), h.adultID
			if tt.others {
				name = motherName
			}
			h.archive(t, name, id, tt.shown...)
			h.store.broken[tt.broken] = noStore
			before := len(h.store.records)
			for range 2 { // the notice comes again
				err := h.Merge(t.Context(), "h1", tt.notice)
				if got := h.store.patients[0].HISPatient; got != tt.want {
					t.Errorf("the archive is %s, want %s", got, tt.want)
				}
				if tt.err != nil || err != nil {
					wantErr(t, err, tt.err)
				}
			}
			records := h.store.records[before:]
			switch {
			case tt.result == "" && len(records) != 0, tt.result == "ok" && len(records) != 1:
				t.Errorf("records = %+v", records)
			case tt.result != "":
				if r := h.last(t); r.Result != tt.result || r.Action != "patient.merge" || r.Actor != "his:h1" || r.Object != objectOf(p.ID) || r.Institution != "h1" {
					t.Errorf("record = %+v", r)
				}
			}
		})
	}
	for _, body := range []string{``, `{}`, `{"from":"P1"}`, `{"from":"P1","to":"P1"}`} {
		if _, err := ReadMerged([]byte(body)); !errors.Is(err, errMerged) {
			t.Errorf("ReadMerged(%s) = %v", body, err)
		}
	}
}
