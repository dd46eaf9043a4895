package hissim

import (
	"fmt"
	"time"
)

// slotLife is how long the hospital holds a slot (号源) for a registration that is not paid.
const slotLife = 30 * time.Minute

// fees is the price list of what is no doctor's order: the consultation that a registration is for, by the doctor's rank, what the hospital asks
// besides, and the deposit of an inpatient.
func fees() (consultations []item, service, deposit item) {
	return []item{
			{national: "001102000010000-110200001", own: "G10001", name: "普通门诊诊查费", unit: "次", category: "02", class: "A", price: "12.00", approval: "0"},
			{national: "001102000020000-110200002", own: "G10002", name: "主任医师门诊诊查费", unit: "次", category: "02", class: "B", price: "35.00", approval: "0"}},
		item{own: "G10009", name: "预约挂号服务费", unit: "次", category: "13", class: "N", price: "2.00", approval: "0"},
		item{own: "Z90001", name: "住院预交金", unit: "份", category: "14", class: "N", price: "500.00", approval: "0"}
}

// DealKind gives a patient one bill of that kind, likewise by a seed: a registration for today's slot, a deposit for the ward, or (no kind) what
// Deal deals.
func (s *Sim) DealKind(patientID, kind string, seed uint64) (Bill, error) {
	if kind == "" {
		bills, err := s.Deal(patientID, seed, 1)
		if err != nil {
			return Bill{}, err
		}
		return bills[0], nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.state.patients[patientID]
	if !ok {
		return Bill{}, fmt.Errorf("patient %q: %w", patientID, ErrNoSuch)
	}
	now, d := s.config.Clock.Now(), &dice{x: seed}
	var b Bill
	var err error
	switch kind {
	case Registration:
		b, err = s.register(p, d, now)
	case Deposit:
		b, err = s.admit(p, d, now)
	default:
		err = fmt.Errorf("kind %q: %w", kind, ErrBadBill)
	}
	if err != nil {
		return Bill{}, err
	}
	return b, s.commit(entry{Bills: []Bill{b}})
}

// register makes the bill of a registration (挂号). What ails the patient nobody has found out yet: the diagnosis is what the insurer takes for that.
func (s *Sim) register(p Patient, d *dice, now time.Time) (Bill, error) {
	b := s.visit(p, d, now)
	b.Kind, b.MedType, b.Complaint = Registration, "12", "挂号"
	b.VisitTime, b.PayBy = now.Truncate(time.Second), now.Add(slotLife).Truncate(time.Second)
	b.Diagnoses = []Diagnosis{{Type: "1", Seq: 1, Code: "Z00.001", Name: "健康查体", Dept: b.Dept.Name, Doctor: b.Doctor, At: b.VisitTime, Valid: true}}
	consultations, service, _ := fees()
	chosen := []item{consultations[d.n(len(consultations))]}
	if d.n(2) == 0 {
		chosen = append(chosen, service)
	}
	err := s.charge(&b, chosen, "1")
	return b, err
}

// admit makes the bill of a deposit (住院预交金).
func (s *Sim) admit(p Patient, d *dice, now time.Time) (Bill, error) {
	b := s.visit(p, d, now)
	b.Kind, b.MedType, b.Complaint, b.VisitNo = Deposit, "", "入院", s.number("ZY", now)
	b.PsnNo, b.VisitID, b.Insutype, b.CoverageArea = "", "", "", ""
	_, _, deposit := fees()
	err := s.charge(&b, []item{deposit}, fmt.Sprint(2*(1+d.n(3))))
	for i := range b.Lines {
		b.Lines[i].CategoryName = deposit.name
	}
	return b, err
}

// charge puts fees on the bill, as of now.
func (s *Sim) charge(b *Bill, fees []item, quantity string) error {
	for _, it := range fees {
		it.exec = b.Dept.Code
		if err := s.addLine(b, it, quantity); err != nil {
			return err
		}
	}
	for i := range b.Lines {
		b.Lines[i].OccurredAt = b.VisitTime
	}
	return nil
}

// DealVisit gives a patient n bills of one visit (就诊), likewise by a seed.
func (s *Sim) DealVisit(patientID string, seed uint64, n int) ([]Bill, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.state.patients[patientID]
	if !ok {
		return nil, fmt.Errorf("patient %q: %w", patientID, ErrNoSuch)
	}
	d := &dice{x: seed}
	b, err := s.deal(s.visit(p, d, s.config.Clock.Now()), d)
	if err != nil {
		return nil, err
	}
	bills := []Bill{b}
	for len(bills) < n {
		next := b
		next.No, next.Diagnoses, next.Lines, next.TotalFen = s.number("MZ", b.CreatedAt), nil, nil, 0
		if next, err = s.deal(next, d); err != nil {
			return nil, err
		}
		next.Diagnoses = b.Diagnoses // the visit's
		bills = append(bills, next)
	}
	return bills, s.commit(entry{Bills: bills})
}
