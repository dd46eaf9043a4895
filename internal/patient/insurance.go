package patient

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Coverage is how a patient stands with the insurer, as far as we know.
type Coverage struct {
	Bound       bool      // the national platform proved who the person is
	VerifiedAt  time.Time // zero unless bound
	UsableUntil time.Time // of the newest authorisation that no order has spent; zero when there is none
	Usable      bool      // that authorisation still lives
}

// Jump is where the page sends the patient to authorise. ErrNoConsent: the separate consent comes before the insurer is asked about
// anybody. ErrNoInsurance.
func (s *Service) Jump(ctx context.Context, who Caller) (Jump, error) {
	inst, err := s.insured(ctx, who)
	if err != nil {
		return Jump{}, err
	}
	j := inst.WeChat.Jump()
	if j.AppID == "" {
		return Jump{}, ErrNoInsurance
	}
	return j, nil
}

// insured is the caller's institution when it offers insurance and both consents stand.
func (s *Service) insured(ctx context.Context, who Caller) (Institution, error) {
	inst, err := s.Institution(who.Institution)
	if err != nil {
		return Institution{}, err
	}
	if !inst.Insurance {
		return Institution{}, ErrNoInsurance
	}
	return inst, s.Require(ctx, who, ConsentPrivacy, ConsentInsurance)
}

// Bind exchanges the authCode that came back from the jump, and stores the authorisation when the national platform saw exactly this
// patient. ErrNotFound, ErrNoConsent, ErrGuardian, ErrNoInsurance, ErrAuthCode, ErrIdentity, ErrNoFamilyAuth, ErrBusy.
func (s *Service) Bind(ctx context.Context, who Caller, id ID, authCode string) (Coverage, error) {
	const action = "insurance.bind"
	inst, err := s.insured(ctx, who)
	if err != nil {
		return Coverage{}, err
	}
	p, err := s.MayPay(ctx, who, id, true)
	if err != nil {
		return Coverage{}, err
	}
	account, err := s.store.Account(ctx, who.Account)
	if err != nil {
		return Coverage{}, fmt.Errorf("%s: %w", who.actor(), err)
	}
	asked := s.clock.Now() // the authorisation lives from before the question, to be safe
	seen, err := inst.WeChat.Identify(ctx, authCode, account.OpenID)
	if err != nil {
		return Coverage{}, s.refuse(ctx, who, action, objectOf(id), fmt.Errorf("identify for %s: %w", objectOf(id), err))
	}
	if refusal := compare(p, seen); refusal != nil {
		return Coverage{}, s.refuse(ctx, who, action, objectOf(id), refusal)
	}
	b := Binding{Patient: id, Institution: who.Institution, VerifiedAt: s.clock.Now()}
	a := PayAuth{ID: s.source.ID(), Patient: id, Institution: who.Institution, Number: seen.PayAuthNo, Location: seen.Location,
		UsableUntil: asked.Add(seen.UsableFor), CreatedAt: b.VerifiedAt}
	if err := s.store.Bind(ctx, b, a, s.record(who, action, objectOf(id))); err != nil {
		return Coverage{}, fmt.Errorf("bind %s: %w", objectOf(id), err)
	}
	return Coverage{Bound: true, VerifiedAt: b.VerifiedAt, UsableUntil: a.UsableUntil, Usable: a.UsableUntil.After(b.VerifiedAt)}, nil
}

// compare returns ErrIdentity unless the national platform saw the patient. A relative for whom the account's owner authorised by
// himself is the usual reason, and told so.
func compare(p Patient, seen Identity) error {
	if seen.PayAuthNo.IsZero() || seen.UsableFor <= 0 {
		return ErrAuthCode.Because(errors.New("an identity without an authorisation"))
	}
	if !seen.IDNumber.IsZero() && seen.IDNumber.Equal(p.IDNumber) && !seen.Name.IsZero() && seen.Name.Equal(p.Name) {
		return nil
	}
	if p.Relation != Self {
		return ErrIdentity.Saying("医保授权得到的不是该亲属本人的身份，不能用您本人的医保为亲属结算，可改为自费缴费")
	}
	return ErrIdentity
}

// Coverage tells whether a patient is bound and can pay by insurance now. It asks nobody outside. ErrNotFound.
func (s *Service) Coverage(ctx context.Context, who Caller, id ID) (Coverage, error) {
	if _, err := s.Patient(ctx, who, id); err != nil {
		return Coverage{}, err
	}
	b, bound, err := s.store.BindingOf(ctx, id)
	if err != nil {
		return Coverage{}, fmt.Errorf("binding of %s: %w", objectOf(id), err)
	}
	if !bound {
		return Coverage{}, nil
	}
	c := Coverage{Bound: true, VerifiedAt: b.VerifiedAt}
	a, err := s.store.NewestAuth(ctx, id)
	if errors.Is(err, ErrNotBound) {
		return c, nil
	}
	if err != nil {
		return Coverage{}, fmt.Errorf("authorisation of %s: %w", objectOf(id), err)
	}
	c.UsableUntil = a.UsableUntil
	c.Usable = a.UsableUntil.After(s.clock.Now())
	return c, nil
}
