package hissim

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// What the hospital's own people are told.
var (
	// ErrNoSuch is a patient, bill, item or posting that does not exist.
	ErrNoSuch = errors.New("hissim: no such patient, bill, item or posting")
	// ErrState is a bill, item or posting whose state does not allow it.
	ErrState = errors.New("hissim: its state does not allow this")
	// ErrHeld is a bill or an item that the platform holds at this moment.
	ErrHeld = errors.New("hissim: the platform holds this bill or item")
	// ErrBadBill is a bill or person that no hospital could have.
	ErrBadBill = errors.New("hissim: malformed")
)

// AddPatient opens an archive, numbered by the hospital unless a number is given. The same person may get several.
func (s *Sim) AddPatient(p Patient) (Patient, error) {
	if _, err := sensitive.ParseIDNumber(p.IDNo); err != nil || strings.TrimSpace(p.Name) == "" || len(p.ID) > 64 {
		return Patient{}, fmt.Errorf("patient: %w", ErrBadBill)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Clock.Now()
	if p.ID == "" {
		p.ID = s.number("P", now)
	}
	if old, known := s.state.patients[p.ID]; known {
		if old.Name != p.Name || old.IDNo != p.IDNo {
			return Patient{}, fmt.Errorf("archive %s is another person's: %w", p.ID, ErrState)
		}
		return old, nil // the same sandbox started again
	}
	if p.CardNo == "" {
		p.CardNo = s.number("K", now)
	}
	if p.CreatedAt.IsZero() {
		p.CreatedAt = now
	}
	return p, s.commit(entry{Patient: &p})
}

// AddBill writes a bill of the given items for a patient's new visit to the doctor with that code (empty: the first doctor).
func (s *Sim) AddBill(patientID, doctorCode string, orders ...Order) (Bill, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.state.patients[patientID]
	if !ok || p.MergedInto != "" {
		return Bill{}, fmt.Errorf("patient %q: %w", patientID, ErrNoSuch)
	}
	doctor := doctors()[0]
	for _, d := range doctors() {
		if d.Code == doctorCode {
			doctor = d
		}
	}
	now := s.config.Clock.Now()
	b := Bill{No: s.number("MZ", now), PatientID: p.ID, State: Unpaid, CreatedAt: now, VisitNo: s.number("GH", now),
		VisitTime: now.Add(-20 * time.Minute).Truncate(time.Second), MedType: "11", Dept: s.depts[doctor.dept], Doctor: doctor,
		Complaint: "就诊"}
	s.insure(&b, p)
	for _, c := range diagnosisCodes() {
		if c.dept == doctor.dept {
			b.Diagnoses = append(b.Diagnoses, Diagnosis{Type: "1", Seq: 1, Code: c.code, Name: c.name, Dept: b.Dept.Name,
				Doctor: doctor, At: b.VisitTime.Add(5 * time.Minute), Valid: true})
			break
		}
	}
	if err := s.fill(&b, orders); err != nil {
		return Bill{}, err
	}
	e := entry{Bills: []Bill{b}}
	if s.config.Notify != nil && s.config.TellsBills {
		e.Notice = &Notice{No: s.number("TZ", now), Kind: billCreated, BillNo: b.No, PatientID: b.PatientID, MadeAt: now, Next: now}
	}
	return b, s.commit(e)
}

func (s *Sim) fill(b *Bill, orders []Order) error {
	b.Lines, b.TotalFen = nil, 0
	for _, o := range orders {
		it, err := s.itemOf(o)
		if err != nil {
			return err
		}
		if err := s.addLine(b, it, o.Quantity); err != nil {
			return fmt.Errorf("item %s: %w: %w", o.Code, ErrBadBill, err)
		}
	}
	return b.check()
}

// unpaid finds a bill that the window or the doctor may touch. The caller holds the mutex.
func (s *Sim) unpaid(billNo string) (Bill, error) {
	b, ok := s.state.billAt(billNo, s.config.Clock.Now())
	if !ok {
		return Bill{}, fmt.Errorf("bill %q: %w", billNo, ErrNoSuch)
	}
	if b.State != Unpaid {
		return Bill{}, fmt.Errorf("bill %s is %s: %w", billNo, b.State, ErrState)
	}
	if l, held := s.state.holder(billNo, "", s.config.Clock.Now()); held && !s.broken(WindowTakes) && s.take("window", billNo, IgnoreLock) == nil {
		return Bill{}, fmt.Errorf("bill %s until %s: %w", billNo, wireTime(l.ExpiresAt), ErrHeld)
	}
	return b, nil
}

// PayAtWindow takes a bill's money at the window (窗口缴费). ErrHeld while the platform holds the bill.
func (s *Sim) PayAtWindow(billNo string) (WindowPayment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.unpaid(billNo)
	if err != nil {
		return WindowPayment{}, err
	}
	now := s.config.Clock.Now()
	w := WindowPayment{SerialNo: s.number("CK", now), BillNo: billNo, TotalFen: b.TotalFen, PaidAt: now}
	b.State, b.PaidWhere, b.PaidBy, b.PaidAt = Paid, atWindow, w.SerialNo, now
	return w, s.commit(entry{Bills: []Bill{b}, Window: &w})
}

// VoidBill withdraws an unpaid bill (作废). ErrHeld while the platform holds it.
func (s *Sim) VoidBill(billNo string) (Bill, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.unpaid(billNo)
	if err != nil {
		return Bill{}, err
	}
	b.State = Void
	return b, s.commit(entry{Bills: []Bill{b}, Notice: s.tell(billVoid, s.state.held[billNo], billNo, "", s.config.Clock.Now())})
}

// ChangeBill replaces the items of an unpaid bill. ErrHeld while the platform holds it.
func (s *Sim) ChangeBill(billNo string, orders ...Order) (Bill, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.unpaid(billNo)
	if err != nil {
		return Bill{}, err
	}
	if err := s.fill(&b, orders); err != nil {
		return Bill{}, err
	}
	return b, s.commit(entry{Bills: []Bill{b}, Notice: s.tell(billChanged, s.state.held[billNo], billNo, "", s.config.Clock.Now())})
}

// VoidPosting undoes a posting in the hospital's books (冲销): its bills become void, and the order's query says so.
func (s *Sim) VoidPosting(order string) (Posting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.state.postings[order]
	switch {
	case !ok:
		return Posting{}, fmt.Errorf("posting of %q: %w", order, ErrNoSuch)
	case p.State != posted:
		return Posting{}, fmt.Errorf("posting of %s is %s: %w", order, p.State, ErrState)
	case s.state.keeps(p):
		return Posting{}, fmt.Errorf("posting of %s has a refund under way: %w", order, ErrHeld)
	}
	p.State, p.VoidedAt = voided, s.config.Clock.Now()
	e := entry{Posting: &p, Notice: s.tell(postingResult, order, "", "", p.VoidedAt)}
	for _, no := range p.BillNos {
		b := s.state.bills[no]
		b.State = Void
		e.Bills = append(e.Bills, b)
	}
	return p, s.commit(e)
}
