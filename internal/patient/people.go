package patient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// NewPatient is a person to be added, as the page was filled in and read by ReadPatient.
type NewPatient struct {
	Relation        Relation
	Name            sensitive.Name
	IDNumber        sensitive.IDNumber
	Phone           sensitive.Phone // may be empty: then the account's own
	HISPatient      string          // which archive, when the HIS has several
	GuardianConsent bool
}

// ReadPatient reads what was typed. ErrRelation, ErrName, ErrIDNumber (check digit, birth date), ErrPhone (11 digits; may be empty).
func ReadPatient(relation Relation, name, idNumber, phone string) (NewPatient, error) {
	switch relation {
	case Self, Child, Parent, Spouse, Other:
	default:
		return NewPatient{}, ErrRelation.At("relation")
	}
	name, ok := properName(name)
	if !ok {
		return NewPatient{}, ErrName.At("name")
	}
	id, err := sensitive.ParseIDNumber(idNumber)
	if err != nil {
		return NewPatient{}, ErrIDNumber.At("id_number")
	}
	phone = strings.TrimSpace(phone)
	if phone != "" && (len(phone) != 11 || phone[0] != '1' || phone[1] < '3' || strings.Trim(phone, "0123456789") != "") {
		return NewPatient{}, ErrPhone.At("phone")
	}
	return NewPatient{Relation: relation, Name: sensitive.NewName(name), IDNumber: id, Phone: sensitive.NewPhone(phone)}, nil
}

// properName trims a name and writes its middle dot as identity cards do (U+00B7). False for text that is no name.
func properName(s string) (string, bool) {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune("•‧∙・．･", r) {
			return '·'
		}
		return r
	}, strings.TrimSpace(s))
	if n := utf8.RuneCountInString(s); !utf8.ValidString(s) || n < 2 || n > 50 {
		return "", false
	}
	for _, r := range s {
		if !unicode.IsLetter(r) && !strings.ContainsRune("·. '-", r) {
			return "", false
		}
	}
	return s, true
}

// ManyRecordsError is ErrManyRecords with the archives to choose from.
type ManyRecordsError struct{ Choices []HISRecord }

// Error is the text for logs; it names nobody.
func (e *ManyRecordsError) Error() string {
	return fmt.Sprintf("%d archives: %v", len(e.Choices), ErrManyRecords)
}

// Unwrap is ErrManyRecords.
func (e *ManyRecordsError) Unwrap() error { return ErrManyRecords }

// Add makes a person a patient of the account, after the HIS has shown an archive of exactly that name and number. ErrNoConsent,
// ErrGuardian, ErrExists, ErrTooMany, ErrNoRecord, *ManyRecordsError, ErrPhone; no answer of the HIS as package bill says it.
func (s *Service) Add(ctx context.Context, who Caller, n NewPatient) (Patient, error) {
	const action = "patient.add"
	inst, err := s.Institution(who.Institution)
	if err != nil {
		return Patient{}, err
	}
	agreements, err := s.Agreements(ctx, who)
	if err == nil {
		err = required(agreements, ConsentPrivacy)
	}
	if err != nil {
		return Patient{}, err
	}
	if n.IDNumber.IsZero() || n.IDNumber.Birth().After(clock.Day(s.clock.Now())) {
		return Patient{}, ErrIDNumber.At("id_number")
	}
	if err := s.guarded(agreements, n.IDNumber, n.GuardianConsent); err != nil {
		return Patient{}, err
	}
	if err := s.fresh(ctx, who, n); err != nil {
		return Patient{}, err
	}
	phone, err := s.phoneFor(ctx, who, n)
	if err != nil {
		return Patient{}, err
	}
	record, err := archive(ctx, inst.Authority, n)
	if err != nil {
		if errors.Is(err, ErrNoRecord) {
			return Patient{}, s.refuse(ctx, who, action, "patient", err)
		}
		return Patient{}, err
	}
	p := Patient{ID: ID(s.source.ID()), Account: who.Account, Institution: who.Institution, Relation: n.Relation, Name: n.Name,
		IDNumber: n.IDNumber, Phone: phone, HISPatient: record.HISPatient, GuardianConsent: n.GuardianConsent, CreatedAt: s.clock.Now()}
	if err := s.store.Add(ctx, p, s.config.MaxPatients, s.record(who, action, objectOf(p.ID))); err != nil {
		return Patient{}, fmt.Errorf("add a patient: %w", err)
	}
	return p, nil
}

// fresh refuses early what the store would refuse, before the HIS is asked about anybody.
func (s *Service) fresh(ctx context.Context, who Caller, n NewPatient) error {
	known, err := s.store.Patients(ctx, who.Account)
	if err != nil {
		return fmt.Errorf("patients of %s: %w", who.actor(), err)
	}
	for _, p := range known {
		if p.IDNumber.Equal(n.IDNumber) {
			return ErrExists
		}
		if p.Relation == Self && n.Relation == Self {
			return ErrExists.Saying("您已添加本人，请选择与就诊人的关系").At("relation")
		}
	}
	if len(known) >= s.config.MaxPatients {
		return ErrTooMany
	}
	return nil
}

// phoneFor is the number typed, or the account's own. A child needs none.
func (s *Service) phoneFor(ctx context.Context, who Caller, n NewPatient) (sensitive.Phone, error) {
	if !n.Phone.IsZero() {
		return n.Phone, nil
	}
	account, err := s.store.Account(ctx, who.Account)
	if err != nil {
		return sensitive.Phone{}, fmt.Errorf("%s: %w", who.actor(), err)
	}
	if account.Phone.IsZero() && n.Relation != Child {
		return sensitive.Phone{}, ErrPhone.At("phone")
	}
	return account.Phone, nil
}

// archive finds the person's one archive, or the chosen one of several. The adapter has compared name and number; so do we (F11).
func archive(ctx context.Context, hospital Authority, n NewPatient) (HISRecord, error) {
	found, err := hospital.FindPatient(ctx, n.Name, n.IDNumber)
	if err != nil {
		return HISRecord{}, fmt.Errorf("find the patient's archive: %w", err)
	}
	theirs := own(found, n.Name, n.IDNumber)
	if len(theirs) == 0 {
		return HISRecord{}, ErrNoRecord
	}
	for _, r := range theirs {
		if r.HISPatient == n.HISPatient || (n.HISPatient == "" && len(theirs) == 1) {
			return r, nil
		}
	}
	return HISRecord{}, &ManyRecordsError{Choices: theirs}
}

// own are the records of exactly that name and number.
func own(found []HISRecord, name sensitive.Name, id sensitive.IDNumber) []HISRecord {
	theirs := make([]HISRecord, 0, len(found))
	for _, r := range found {
		if r.Name.Equal(name) && r.IDNumber.Equal(id) && r.HISPatient != "" {
			theirs = append(theirs, r)
		}
	}
	return theirs
}

// underFourteen reports whether the person has not had the fourteenth birthday in China.
func (s *Service) underFourteen(id sensitive.IDNumber) bool {
	return clock.Day(s.clock.Now()).Before(id.Birth().AddDate(14, 0, 0))
}

// UnderFourteen reports whether the patient needs the guardian's consent today.
func (s *Service) UnderFourteen(p Patient) bool { return s.underFourteen(p.IDNumber) }

// Patient reads a patient of the account. ErrNotFound for another account's, too.
func (s *Service) Patient(ctx context.Context, who Caller, id ID) (Patient, error) {
	p, err := s.store.Patient(ctx, who.Account, id)
	if err != nil {
		return Patient{}, fmt.Errorf("%s: %w", objectOf(id), err)
	}
	return p, nil
}

// Patients lists the account's patients, oldest first.
func (s *Service) Patients(ctx context.Context, who Caller) ([]Patient, error) {
	people, err := s.store.Patients(ctx, who.Account)
	if err != nil {
		return nil, fmt.Errorf("patients of %s: %w", who.actor(), err)
	}
	return people, nil
}

// Remove hides a patient from the account; the orders and their refunds stay. ErrNotFound.
func (s *Service) Remove(ctx context.Context, who Caller, id ID) error {
	if err := s.store.Remove(ctx, who.Account, id, s.record(who, "patient.remove", objectOf(id))); err != nil {
		return fmt.Errorf("remove %s: %w", objectOf(id), err)
	}
	return nil
}

// SetPhone stores the phone number behind the phone button's code as the account's. ErrNoConsent, ErrPhone, ErrBusy.
func (s *Service) SetPhone(ctx context.Context, who Caller, code string) (sensitive.Phone, error) {
	inst, err := s.Institution(who.Institution)
	if err != nil {
		return sensitive.Phone{}, err
	}
	if err := s.Require(ctx, who, ConsentPrivacy); err != nil {
		return sensitive.Phone{}, err
	}
	phone, err := inst.WeChat.Phone(ctx, code)
	if err != nil {
		return sensitive.Phone{}, fmt.Errorf("exchange the phone code: %w", err)
	}
	if err := s.store.SetPhone(ctx, who.Account, phone, s.record(who, "account.phone", who.actor())); err != nil {
		return sensitive.Phone{}, fmt.Errorf("store the phone number: %w", err)
	}
	return phone, nil
}
