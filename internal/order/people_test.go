package order

import (
	"context"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// people is the little of patient.Store that an order reads.
type people struct {
	patient.Store // nil: everything else is not to be called

	account  patient.Account
	patient  patient.Patient
	consents []patient.Consent
	bound    bool
	auth     *patient.PayAuth
	spent    []patient.PayAuth // those before it
	held     func() int64      // the newest that an order has spent; nil: nothing is spent
	down     error             // what every look-up answers, if not nil
}

func (p *people) Account(_ context.Context, id patient.AccountID) (patient.Account, error) {
	if p.down != nil || id != p.account.ID {
		return patient.Account{}, orElseErr(p.down, patient.ErrNotFound)
	}
	return p.account, nil
}

func (p *people) Patient(_ context.Context, account patient.AccountID, id patient.ID) (patient.Patient, error) {
	if p.down != nil || account != p.account.ID || id != p.patient.ID {
		return patient.Patient{}, orElseErr(p.down, patient.ErrNotFound)
	}
	return p.patient, nil
}

func (p *people) Consents(context.Context, patient.AccountID) ([]patient.Consent, error) {
	return p.consents, p.down
}

func (p *people) BindingOf(context.Context, patient.ID) (patient.Binding, bool, error) {
	return patient.Binding{Patient: p.patient.ID}, p.bound, p.down
}

func (p *people) PayAuth(_ context.Context, _ patient.ID, id int64) (patient.PayAuth, error) {
	if p.auth != nil && p.auth.ID == id {
		return *p.auth, nil
	}
	for _, a := range p.spent {
		if a.ID == id {
			return a, nil
		}
	}
	return patient.PayAuth{}, patient.ErrNotBound
}

// authorise gives the patient a new authorisation.
func (p *people) authorise(until time.Time) {
	next := *p.auth
	p.spent = append(p.spent, next)
	next.ID++
	next.Number, next.UsableUntil = sensitive.NewToken(fmt.Sprintf("auth%d", next.ID)), until
	p.auth = &next
}

func (p *people) NewestAuth(context.Context, patient.ID) (patient.PayAuth, error) {
	if p.auth == nil || !p.bound || (p.held != nil && p.auth.ID <= p.held()) {
		return patient.PayAuth{}, patient.ErrNotBound
	}
	return *p.auth, nil
}

func orElseErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
