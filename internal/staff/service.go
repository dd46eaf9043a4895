package staff

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Config are the service's limits. The zero value is production's.
type Config struct {
	Params   Params        // of passwords from now on; older hashes are accepted, and renewed at sign-in
	Failures int           // that lock an account; default 5
	LockFor  time.Duration // default 15 min
	AtOnce   int           // derivations at the same time, each of which takes Params.MemoryKiB; default 2
}

// Service keeps the people and tells whether somebody is one of them. It may be used by several goroutines at once.
type Service struct {
	store  Store
	log    audit.Log
	clock  clock.Clock
	source *clock.Source
	config Config
	derive kdf
	slots  chan struct{}
	decoy  Person // whom a sign-in without an account is measured against
}

// New makes the service. The log takes what no Store method records: attempts under a login that nobody has.
func New(store Store, log audit.Log, clk clock.Clock, source *clock.Source, config Config) *Service {
	if config.Params == (Params{}) {
		config.Params = standard
	}
	if config.Failures <= 0 {
		config.Failures = 5
	}
	if config.LockFor <= 0 {
		config.LockFor = 15 * time.Minute
	}
	if config.AtOnce <= 0 {
		config.AtOnce = 2
	}
	return &Service{store: store, log: log, clock: clk, source: source, config: config, derive: argon2.IDKey,
		slots: make(chan struct{}, config.AtOnce), decoy: decoy(config.Params)}
}

// decoy is nobody: his password and his codes are unknown to all, and checking them costs what anybody's cost.
func decoy(p Params) Person {
	return Person{PasswordHash: digest{params: p, salt: make([]byte, saltSize), hash: make([]byte, hashSize)}.encoded(), TOTPSecret: newSecret(), State: Active}
}

// Newcomer is what Add is told of a person.
type Newcomer struct {
	Institution string // "": all
	Login       string
	Name        sensitive.Name
	Roles       []Role
	Password    sensitive.Key // zero: one is made, for its first use
}

// Credentials are shown once, to whoever made them. What did not change is zero.
type Credentials struct {
	Password  sensitive.Key // for its first use
	Enrolment sensitive.Key // otpauth URI for the app on the phone
}

var loginPattern = regexp.MustCompile(`^[a-z][a-z0-9._-]{2,31}$`)

// Add makes a person with a second factor. ErrLogin, ErrName, ErrRoles, ErrPassword, ErrExists.
func (s *Service) Add(ctx context.Context, actor string, n Newcomer) (Person, Credentials, error) {
	words := make([]string, len(n.Roles))
	for i, r := range n.Roles {
		words[i] = string(r)
	}
	roles, err := ParseRoles(words...)
	switch {
	case err != nil:
	case !loginPattern.MatchString(n.Login):
		err = ErrLogin.At("login")
	case n.Name.IsZero():
		err = ErrName.At("name")
	}
	if err != nil {
		return Person{}, Credentials{}, err
	}
	p := Person{ID: ID(s.source.ID()), Institution: n.Institution, Login: n.Login, Name: n.Name, Roles: roles, TOTPSecret: newSecret(), State: Active,
		CreatedAt: s.clock.Now()}
	shown, err := s.setPassword(ctx, &p, n.Password)
	if err != nil {
		return Person{}, Credentials{}, err
	}
	if err := s.store.Add(ctx, p, s.record(actor, "staff.add", p, nil, "")); err != nil {
		return Person{}, Credentials{}, fmt.Errorf("add staff: %w", err)
	}
	return p, Credentials{Password: shown, Enrolment: enrolment(p.Login, p.TOTPSecret)}, nil
}

// List gives everybody, by login.
func (s *Service) List(ctx context.Context) ([]Person, error) {
	people, err := s.store.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list staff: %w", err)
	}
	return people, nil
}

// Disable shuts an account, locked or not. ErrNotFound, ErrMove.
func (s *Service) Disable(ctx context.Context, actor, login string) error {
	return s.change(ctx, actor, "staff.disable", login, func(p *Person) error { return p.apply(Disable) })
}

// Enable opens an account that was disabled or is locked; failures are forgotten. ErrNotFound, ErrMove.
func (s *Service) Enable(ctx context.Context, actor, login string) error {
	return s.change(ctx, actor, "staff.enable", login, func(p *Person) error { return p.apply(Enable) })
}

// ResetPassword sets another password: the given one, or one that we make for its first use. ErrNotFound, ErrPassword.
func (s *Service) ResetPassword(ctx context.Context, actor, login string, password sensitive.Key) (Credentials, error) {
	fresh := Person{Login: tidy(login)}
	shown, err := s.setPassword(ctx, &fresh, password)
	if err == nil {
		err = s.change(ctx, actor, "staff.reset_password", login, func(p *Person) error {
			p.PasswordHash, p.PasswordOnce = fresh.PasswordHash, fresh.PasswordOnce
			return nil
		})
	}
	return Credentials{Password: shown}, err
}

// ResetSecondFactor gives another secret to the person's phone; the old one's codes open nothing any more. ErrNotFound.
func (s *Service) ResetSecondFactor(ctx context.Context, actor, login string) (Credentials, error) {
	secret := newSecret()
	err := s.change(ctx, actor, "staff.reset_totp", login, func(p *Person) error {
		p.TOTPSecret, p.TOTPUsed = secret, 0
		return nil
	})
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{Enrolment: enrolment(tidy(login), secret)}, nil
}

// tries is how often a change is tried against others who are faster.
const tries = 10

// change saves what an administrator does to a person.
func (s *Service) change(ctx context.Context, actor, action, login string, do func(*Person) error) error {
	err := s.persist(func() error {
		p, err := s.store.ByLogin(ctx, tidy(login))
		if err != nil {
			return err
		}
		if err := do(&p); err != nil {
			return err
		}
		return s.store.Save(ctx, p, s.record(actor, action, p, nil, ""))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	return nil
}

// persist runs a read, a decision and a save again while others have moved the row in between.
func (s *Service) persist(once func() error) (err error) {
	for range tries {
		if err = once(); !errors.Is(err, ErrMoved) {
			return err
		}
	}
	return err
}

// setPassword checks and hashes a password, or makes one and gives it to be shown.
func (s *Service) setPassword(ctx context.Context, p *Person, password sensitive.Key) (shown sensitive.Key, err error) {
	p.PasswordOnce = password.IsZero()
	if p.PasswordOnce {
		password = newPassword()
		shown = password
	} else if err := checkPassword(p.Login, password); err != nil {
		return sensitive.Key{}, err
	}
	err = s.slot(ctx, func() { p.PasswordHash = s.derive.digest(s.config.Params, password) })
	return shown, err
}

// slot waits until one of the few derivations may run.
func (s *Service) slot(ctx context.Context, work func()) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.slots }()
	work()
	return nil
}

// apply moves an account. Whatever opens or shuts it forgets the failures.
func (p *Person) apply(e Event) error {
	to, err := p.State.Next(e)
	if err != nil {
		return err
	}
	p.State, p.FailedSignIns = to, 0
	return nil
}

// record is one act about a person.
func (s *Service) record(actor, action string, p Person, refusal *fault.Error, detail string) audit.Record {
	r := audit.Record{At: s.clock.Now(), Institution: p.Institution, Actor: actor, Action: action, Object: "staff", Result: "ok", Detail: detail}
	if p.ID != 0 {
		r.Object = p.ID.Actor()
	}
	if refusal != nil {
		r.Result = refusal.Code
	}
	return r
}
