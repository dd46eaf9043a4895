package staff

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// SignIn tells who somebody is, by login, password and the present code of the phone. ErrSignIn, or ErrOnce after a right but one-time
// password; both have been recorded with what was wrong.
func (s *Service) SignIn(ctx context.Context, login string, password sensitive.Key, code string) (Person, error) {
	p, err := s.prove(ctx, attempt{action: "staff.sign_in", login: login, password: password, code: code})
	if err != nil {
		return Person{}, fmt.Errorf("sign in: %w", err)
	}
	return p, nil
}

// ChangePassword signs somebody in and sets the password that he chose. ErrSignIn, ErrPassword.
func (s *Service) ChangePassword(ctx context.Context, login string, password sensitive.Key, code string, fresh sensitive.Key) (Person, error) {
	a := attempt{action: "staff.change_password", login: login, password: password, code: code}
	chosen := Person{Login: tidy(login)}
	if fresh.IsZero() || fresh.Equal(password) {
		return Person{}, ErrPassword.Saying("新密码不能为空，也不能与原密码相同").At("password")
	}
	if _, err := s.setPassword(ctx, &chosen, fresh); err != nil {
		return Person{}, err
	}
	a.fresh = chosen.PasswordHash
	p, err := s.prove(ctx, a)
	if err != nil {
		return Person{}, fmt.Errorf("change password: %w", err)
	}
	return p, nil
}

// attempt is what somebody offers to be let in.
type attempt struct {
	action   string
	login    string
	password sensitive.Key
	code     string
	fresh    sensitive.Key // the hash that takes the place of the one that was proved; zero: none does

	proved  sensitive.Key // the hash that password was measured against last
	right   bool          // and whether it matched
	renewed sensitive.Key // password, hashed by today's parameters
}

func tidy(login string) string { return strings.ToLower(strings.TrimSpace(login)) }

// prove measures an attempt and saves what follows from it, before anybody hears of it: an answer that is not counted tells nothing.
func (s *Service) prove(ctx context.Context, a attempt) (Person, error) {
	a.login, a.code = tidy(a.login), strings.TrimSpace(a.code)
	var person Person
	err := s.persist(func() error {
		p, err := s.store.ByLogin(ctx, a.login)
		unknown := errors.Is(err, ErrNotFound)
		if unknown {
			p = s.decoy
		} else if err != nil {
			return err
		}
		if err := s.measure(ctx, &a, p); err != nil {
			return err
		}
		now := s.clock.Now()
		step, matched, err := matchingStep(p.TOTPSecret, a.code, now)
		if err != nil {
			return fmt.Errorf("%s: %w", p.ID.Actor(), err)
		}
		if unknown {
			if err := s.log.Record(ctx, s.record("system", a.action, Person{}, ErrSignIn, "no such login")); err != nil {
				return err
			}
			return ErrSignIn
		}
		refusal, why := s.judge(&p, a, step, matched, now)
		if err := s.store.Save(ctx, p, s.record(p.ID.Actor(), a.action, p, refusal, why)); err != nil {
			return err
		}
		if refusal != nil {
			return refusal
		}
		person = p
		person.Version++
		return nil
	})
	if errors.Is(err, ErrMoved) { // too many at once: only an account that exists moves, and nobody is told that it does
		if err := s.log.Record(ctx, s.record("system", a.action, Person{}, ErrSignIn, "too many at once")); err != nil {
			return Person{}, err
		}
		return Person{}, ErrSignIn
	}
	return person, err
}

// measure derives the password by the person's parameters, once for each hash that the row has while the attempt lasts; a password that is
// right by older parameters is hashed by today's.
func (s *Service) measure(ctx context.Context, a *attempt, p Person) error {
	if !a.proved.IsZero() && a.proved.Equal(p.PasswordHash) {
		return nil
	}
	d, err := parseDigest(p.PasswordHash)
	if err != nil {
		return fmt.Errorf("%s: %w", p.ID.Actor(), err)
	}
	return s.slot(ctx, func() {
		a.proved, a.right, a.renewed = p.PasswordHash, s.derive.matches(d, a.password), sensitive.Key{}
		if a.right && d.params != s.config.Params {
			a.renewed = s.derive.digest(s.config.Params, a.password)
		}
	})
}

// judge decides about an attempt and changes the person accordingly. What was wrong is for the record alone.
func (s *Service) judge(p *Person, a attempt, step int64, matched bool, now time.Time) (refusal *fault.Error, why string) {
	if p.State == Locked && !now.Before(p.LockedUntil) {
		_ = p.apply(Unlock) // the table has this move
	}
	switch {
	case p.State == Disabled:
		return ErrSignIn, "disabled"
	case p.State == Locked:
		return ErrSignIn, "locked"
	case !a.right:
		return ErrSignIn, s.fail(p, now, "password")
	case !matched:
		return ErrSignIn, s.fail(p, now, "code")
	case step <= p.TOTPUsed:
		return ErrSignIn, s.fail(p, now, "code used before")
	}
	p.FailedSignIns, p.TOTPUsed = 0, step
	switch {
	case !a.fresh.IsZero():
		p.PasswordHash, p.PasswordOnce = a.fresh, false
	case p.PasswordOnce:
		return ErrOnce, "one-time password"
	case !a.renewed.IsZero():
		p.PasswordHash = a.renewed
	}
	return nil, ""
}

// fail counts a failure, and locks the account after too many.
func (s *Service) fail(p *Person, now time.Time, why string) string {
	p.FailedSignIns++
	if p.FailedSignIns < s.config.Failures {
		return why
	}
	_ = p.apply(Lock) // the table has this move: the account is active
	p.LockedUntil = now.Add(s.config.LockFor)
	return why + ", and locked"
}
