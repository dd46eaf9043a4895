package patient

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// Coverage is how a patient stands with the insurer, as far as we know.
type Coverage struct {
	Bound       bool           // the national platform proved who the person is, or who pays for the person
	VerifiedAt  time.Time      // zero unless bound
	UsableUntil time.Time      // of the newest authorisation that no order has spent; zero when there is none
	Usable      bool           // that authorisation still lives
	Family      bool           // 亲情付: somebody else gave it for the patient
	Payer       sensitive.Name // that person
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
// patient, or let the account's owner authorise for this relative (亲情付). The location, longitude,latitude as the phone knows it, serves
// where the platform tells none; empty: not told. ErrNotFound, ErrNoConsent, ErrGuardian, ErrNoInsurance, ErrAuthCode, ErrIdentity,
// ErrNoFamilyAuth, ErrLocation, ErrBusy.
func (s *Service) Bind(ctx context.Context, who Caller, id ID, authCode, location string) (Coverage, error) {
	const action = "insurance.bind"
	inst, err := s.insured(ctx, who)
	if err != nil {
		return Coverage{}, err
	}
	p, err := s.MayPay(ctx, who, id, true)
	if err != nil {
		return Coverage{}, err
	}
	if location != "" && !located(location) {
		return Coverage{}, ErrLocation
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
	if seen.Family {
		err = s.compareFamily(ctx, who, inst, p, seen)
	} else {
		err = compare(p, seen)
	}
	if err != nil {
		return Coverage{}, s.refuse(ctx, who, action, objectOf(id), err)
	}
	if !located(seen.Location) {
		seen.Location = location
	}
	b := Binding{Patient: id, Institution: who.Institution, VerifiedAt: s.clock.Now()}
	a := PayAuth{ID: s.source.ID(), Patient: id, Institution: who.Institution, Number: seen.PayAuthNo, Location: seen.Location,
		UsableUntil: asked.Add(seen.UsableFor), CreatedAt: b.VerifiedAt}
	if seen.Family {
		a.Family, a.PayerName, a.PayerID = true, seen.Name, seen.IDNumber
	}
	if err := s.store.Bind(ctx, b, a, s.record(who, action, objectOf(id))); err != nil {
		return Coverage{}, fmt.Errorf("bind %s: %w", objectOf(id), err)
	}
	return s.covered(b, a), nil
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

// compareFamily judges an authorisation for a relative: the platform names the one who authorised, and only says that it was for a relative.
// The patient is bound all the same: whether the two are kin, WeChat checks when the mixed order is made. Where the account's owner is a
// patient himself, nobody but he may have authorised.
func (s *Service) compareFamily(ctx context.Context, who Caller, inst Institution, p Patient, seen Identity) error {
	switch {
	case !inst.Family:
		return ErrNoFamilyAuth
	case seen.PayAuthNo.IsZero() || seen.UsableFor <= 0 || seen.IDNumber.IsZero() || seen.Name.IsZero():
		return ErrAuthCode.Because(errors.New("an authorisation for a relative without the one who gave it"))
	case p.Relation == Self || seen.IDNumber.Equal(p.IDNumber):
		return ErrIdentity.Saying("本次授权是为亲属付款，请选择相应的亲属作为就诊人，或重新为本人授权")
	}
	people, err := s.store.Patients(ctx, who.Account)
	if err != nil {
		return fmt.Errorf("patients of %s: %w", who.actor(), err)
	}
	for _, own := range people {
		if own.Relation == Self && (!own.IDNumber.Equal(seen.IDNumber) || !own.Name.Equal(seen.Name)) {
			return ErrIdentity.Saying("授权人不是本微信账号的实名本人，不能用于亲情付")
		}
	}
	return nil
}

// located reports longitude,latitude as plain decimals of degrees, at most 19 characters each.
func located(s string) bool {
	longitude, latitude, ok := strings.Cut(s, ",")
	return ok && degrees(longitude, 180) && degrees(latitude, 90)
}

func degrees(s string, most int) bool {
	whole, part, dotted := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	n, err := strconv.Atoi(whole)
	return err == nil && len(s) <= 19 && strings.Trim(whole+part, "0123456789") == "" && (part != "" || !dotted) &&
		(n < most || (n == most && strings.Trim(part, "0") == ""))
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
	a, err := s.store.NewestAuth(ctx, id)
	if errors.Is(err, ErrNotBound) {
		return Coverage{Bound: true, VerifiedAt: b.VerifiedAt}, nil
	}
	if err != nil {
		return Coverage{}, fmt.Errorf("authorisation of %s: %w", objectOf(id), err)
	}
	return s.covered(b, a), nil
}

func (s *Service) covered(b Binding, a PayAuth) Coverage {
	return Coverage{Bound: true, VerifiedAt: b.VerifiedAt, UsableUntil: a.UsableUntil, Usable: a.UsableUntil.After(s.clock.Now()),
		Family: a.Family, Payer: a.PayerName}
}
