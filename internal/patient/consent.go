package patient

import (
	"context"
	"errors"
	"fmt"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// Agreement is one text of an institution and whether the account stands by it.
type Agreement struct {
	Text  Text
	Given *Consent // the standing consent, perhaps to an older version; nil: never given, or withdrawn
}

// Current reports whether the consent stands for exactly this wording.
func (a Agreement) Current() bool { return a.Given != nil && a.Given.agreesTo(a.Text) }

func (c Consent) agreesTo(t Text) bool {
	return c.Kind == t.Kind && c.Version == t.Version && c.Digest == t.Digest && c.WithdrawnAt == nil
}

func (i Institution) text(kind ConsentKind) (Text, bool) {
	for _, t := range i.Texts {
		if t.Kind == kind {
			return t, true
		}
	}
	return Text{}, false
}

// Agreements lists the institution's texts with what the account has agreed to.
func (s *Service) Agreements(ctx context.Context, who Caller) ([]Agreement, error) {
	inst, err := s.Institution(who.Institution)
	if err != nil {
		return nil, err
	}
	standing, err := s.store.Consents(ctx, who.Account)
	if err != nil {
		return nil, fmt.Errorf("consents of %s: %w", who.actor(), err)
	}
	return inst.agreements(standing), nil
}

// agreements are the institution's texts with what stands of an account's consents.
func (i Institution) agreements(standing []Consent) []Agreement {
	agreements := make([]Agreement, 0, len(i.Texts))
	for _, t := range i.Texts {
		a := Agreement{Text: t}
		for k := range standing {
			c := standing[k]
			if c.Kind != t.Kind || c.WithdrawnAt != nil || a.Current() {
				continue
			}
			if a.Given == nil || c.agreesTo(t) || c.GivenAt.After(a.Given.GivenAt) {
				a.Given = &c
			}
		}
		agreements = append(agreements, a)
	}
	return agreements
}

// Agree stores the account's consent to a text. The version says what the person has read: ErrTextVersion when it is not the one in
// force, ErrConsentKind. Given again, it changes nothing.
func (s *Service) Agree(ctx context.Context, who Caller, kind ConsentKind, version string) (Agreement, error) {
	agreements, err := s.Agreements(ctx, who)
	if err != nil {
		return Agreement{}, err
	}
	for _, a := range agreements {
		if a.Text.Kind != kind {
			continue
		}
		if a.Text.Version != version {
			return Agreement{}, ErrTextVersion.At("version")
		}
		if a.Current() {
			return a, nil
		}
		c := Consent{Account: who.Account, Institution: who.Institution, Kind: kind, Version: version, Digest: a.Text.Digest, GivenAt: s.clock.Now()}
		r := s.record(who, "consent.give", "consent:"+string(kind))
		r.Detail = "version " + version + " digest " + c.Digest
		if err := s.store.Give(ctx, c, r); err != nil {
			return Agreement{}, fmt.Errorf("give consent %s: %w", kind, err)
		}
		a.Given = &c
		return a, nil
	}
	return Agreement{}, ErrConsentKind
}

// Withdraw ends a consent from now on. It stops new payments; refunds ask for no consent and go on. ErrConsentKind.
func (s *Service) Withdraw(ctx context.Context, who Caller, kind ConsentKind) error {
	inst, err := s.Institution(who.Institution)
	if err != nil {
		return err
	}
	if _, ok := inst.text(kind); !ok {
		return ErrConsentKind
	}
	if err := s.store.Withdraw(ctx, who.Account, kind, s.clock.Now(), s.record(who, "consent.withdraw", "consent:"+string(kind))); err != nil {
		return fmt.Errorf("withdraw consent %s: %w", kind, err)
	}
	return nil
}

// Require returns ErrNoConsent, naming the text, unless the account stands by the wording in force of each kind.
func (s *Service) Require(ctx context.Context, who Caller, kinds ...ConsentKind) error {
	agreements, err := s.Agreements(ctx, who)
	if err != nil {
		return err
	}
	return required(agreements, kinds...)
}

func required(agreements []Agreement, kinds ...ConsentKind) error {
	current := make(map[ConsentKind]bool, len(agreements))
	titles := make(map[ConsentKind]string, len(agreements))
	for _, a := range agreements {
		current[a.Text.Kind], titles[a.Text.Kind] = a.Current(), a.Text.Title
	}
	for _, kind := range kinds {
		if !current[kind] {
			return ErrNoConsent.Saying("请先阅读并同意《" + titles[kind] + "》").At("consents." + string(kind))
		}
	}
	return nil
}

// MayPay gives the account's patient when new payments for him may begin: the privacy consent stands, with insured the separate one
// for the insurer, and the guardian's while the patient is under 14. ErrNotFound, ErrNoConsent, ErrGuardian.
func (s *Service) MayPay(ctx context.Context, who Caller, id ID, insured bool) (Patient, error) {
	inst, err := s.Institution(who.Institution)
	if err != nil {
		return Patient{}, err
	}
	p, standing, err := s.store.PatientAndConsents(ctx, who.Account, id)
	if err != nil {
		return Patient{}, fmt.Errorf("patient %d of %s: %w", id, who.actor(), err)
	}
	agreements := inst.agreements(standing)
	kinds := []ConsentKind{ConsentPrivacy}
	if insured {
		kinds = append(kinds, ConsentInsurance)
	}
	if err := required(agreements, kinds...); err != nil {
		return Patient{}, err
	}
	return p, s.guarded(agreements, p.IDNumber, p.GuardianConsent)
}

// guarded returns ErrGuardian for a person under 14 unless the guardian said yes to this child and stands by the text.
func (s *Service) guarded(agreements []Agreement, id sensitive.IDNumber, given bool) error {
	if !s.underFourteen(id) {
		return nil
	}
	if !given {
		return ErrGuardian.At("guardian_consent")
	}
	err := required(agreements, ConsentGuardian)
	if errors.Is(err, ErrNoConsent) {
		return ErrGuardian.At("consents." + string(ConsentGuardian))
	}
	return err
}
