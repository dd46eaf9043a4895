package miniprogramapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// memory is a patient.Store in maps.
type memory struct {
	mu       sync.Mutex
	accounts map[patient.AccountID]patient.Account
	sessions map[string]patient.Session
	patients []patient.Patient
	hidden   map[patient.ID]bool
	consents []patient.Consent
	bindings map[patient.ID]patient.Binding
	auths    []patient.PayAuth
	records  []audit.Record
	broken   map[string]error // by method
}

func newMemory() *memory {
	return &memory{accounts: map[patient.AccountID]patient.Account{}, sessions: map[string]patient.Session{}, hidden: map[patient.ID]bool{}, bindings: map[patient.ID]patient.Binding{}, broken: map[string]error{}}
}

func (m *memory) enter(method string) (func(), error) {
	m.mu.Lock()
	return m.mu.Unlock, m.broken[method]
}

func (m *memory) Enter(_ context.Context, fresh patient.Account, s patient.Session, r audit.Record) (patient.Account, error) {
	done, err := m.enter("Enter")
	defer done()
	if err != nil {
		return patient.Account{}, err
	}
	for _, a := range m.accounts {
		if a.Institution == fresh.Institution && a.OpenID.Equal(fresh.OpenID) {
			fresh = a
		}
	}
	m.accounts[fresh.ID] = fresh
	s.Account, r.Actor = fresh.ID, "account:"+strconv.FormatInt(int64(fresh.ID), 10)
	m.sessions[s.TokenDigest] = s
	m.records = append(m.records, r)
	return fresh, nil
}

func (m *memory) SessionOf(_ context.Context, digest string, now time.Time) (patient.Session, error) {
	done, err := m.enter("SessionOf")
	defer done()
	if err != nil {
		return patient.Session{}, err
	}
	s, ok := m.sessions[digest]
	if !ok || !s.ExpiresAt.After(now) {
		return patient.Session{}, patient.ErrSession
	}
	return s, nil
}

func (m *memory) Leave(_ context.Context, digest string) error {
	done, err := m.enter("Leave")
	defer done()
	delete(m.sessions, digest)
	return err
}

func (m *memory) Account(_ context.Context, id patient.AccountID) (patient.Account, error) {
	done, err := m.enter("Account")
	defer done()
	a, ok := m.accounts[id]
	if err == nil && !ok {
		err = patient.ErrNotFound
	}
	return a, err
}

func (m *memory) SetPhone(_ context.Context, id patient.AccountID, p sensitive.Phone, r audit.Record) error {
	done, err := m.enter("SetPhone")
	defer done()
	if err != nil {
		return err
	}
	a := m.accounts[id]
	a.Phone = p
	m.accounts[id] = a
	m.records = append(m.records, r)
	return nil
}

func (m *memory) Add(_ context.Context, p patient.Patient, limit int, r audit.Record) error {
	done, err := m.enter("Add")
	defer done()
	if err != nil {
		return err
	}
	if len(m.of(p.Account)) >= limit {
		return patient.ErrTooMany
	}
	m.patients = append(m.patients, p)
	m.records = append(m.records, r)
	return nil
}

func (m *memory) of(account patient.AccountID) []patient.Patient {
	var out []patient.Patient
	for _, p := range m.patients {
		if p.Account == account && !m.hidden[p.ID] {
			out = append(out, p)
		}
	}
	return out
}

func (m *memory) Patient(_ context.Context, account patient.AccountID, id patient.ID) (patient.Patient, error) {
	done, err := m.enter("Patient")
	defer done()
	if err != nil {
		return patient.Patient{}, err
	}
	for _, p := range m.of(account) {
		if p.ID == id {
			return p, nil
		}
	}
	return patient.Patient{}, patient.ErrNotFound
}

func (m *memory) PatientAndConsents(ctx context.Context, account patient.AccountID, id patient.ID) (patient.Patient, []patient.Consent, error) {
	p, err := m.Patient(ctx, account, id)
	if err != nil {
		return p, nil, err
	}
	standing, err := m.Consents(ctx, account)
	return p, standing, err
}

func (m *memory) Patients(_ context.Context, account patient.AccountID) ([]patient.Patient, error) {
	done, err := m.enter("Patients")
	defer done()
	return m.of(account), err
}

func (m *memory) Remove(_ context.Context, account patient.AccountID, id patient.ID, r audit.Record) error {
	done, err := m.enter("Remove")
	defer done()
	if err != nil {
		return err
	}
	for _, p := range m.of(account) {
		if p.ID == id {
			m.hidden[id] = true
			m.records = append(m.records, r)
			return nil
		}
	}
	return patient.ErrNotFound
}

func (m *memory) Give(_ context.Context, c patient.Consent, r audit.Record) error {
	done, err := m.enter("Give")
	defer done()
	if err != nil {
		return err
	}
	m.consents = append(m.consents, c)
	m.records = append(m.records, r)
	return nil
}

func (m *memory) Withdraw(_ context.Context, account patient.AccountID, kind patient.ConsentKind, at time.Time, r audit.Record) error {
	done, err := m.enter("Withdraw")
	defer done()
	if err != nil {
		return err
	}
	for i := range m.consents {
		if c := &m.consents[i]; c.Account == account && c.Kind == kind && c.WithdrawnAt == nil {
			c.WithdrawnAt = &at
		}
	}
	m.records = append(m.records, r)
	return nil
}

func (m *memory) Consents(_ context.Context, account patient.AccountID) ([]patient.Consent, error) {
	done, err := m.enter("Consents")
	defer done()
	var out []patient.Consent
	for _, c := range m.consents {
		if c.Account == account && c.WithdrawnAt == nil {
			out = append(out, c)
		}
	}
	return out, err
}

func (m *memory) Bind(_ context.Context, b patient.Binding, a patient.PayAuth, r audit.Record) error {
	done, err := m.enter("Bind")
	defer done()
	if err != nil {
		return err
	}
	m.bindings[b.Patient] = b
	m.auths = append(m.auths, a)
	m.records = append(m.records, r)
	return nil
}

func (m *memory) BindingOf(_ context.Context, id patient.ID) (patient.Binding, bool, error) {
	done, err := m.enter("BindingOf")
	defer done()
	b, ok := m.bindings[id]
	return b, ok, err
}

func (m *memory) PayAuth(_ context.Context, person patient.ID, id int64) (patient.PayAuth, error) {
	for _, a := range m.auths {
		if a.Patient == person && a.ID == id {
			return a, nil
		}
	}
	return patient.PayAuth{}, patient.ErrNotBound
}

func (m *memory) NewestAuth(_ context.Context, person patient.ID) (patient.PayAuth, error) {
	done, err := m.enter("NewestAuth")
	defer done()
	if err != nil {
		return patient.PayAuth{}, err
	}
	for i := len(m.auths) - 1; i >= 0; i-- {
		if m.auths[i].Patient == person {
			return m.auths[i], nil
		}
	}
	return patient.PayAuth{}, patient.ErrNotBound
}

// Record makes the memory an audit.Log, too.
func (m *memory) Record(_ context.Context, r audit.Record) error {
	done, err := m.enter("Record")
	defer done()
	if err == nil {
		m.records = append(m.records, r)
	}
	return err
}

// phone is a WeChat whose one-time codes the test lays down.
type phone struct {
	login     map[string]string // code → openid
	phones    map[string]string
	people    map[string]patient.Identity // authCode → who
	asked     int                         // how often the insurer's side was asked
	jump      patient.Jump
	wantsOpen string
}

func (w *phone) Login(_ context.Context, code string) (sensitive.OpenID, error) {
	id, ok := w.login[code]
	if !ok {
		return sensitive.OpenID{}, patient.ErrLoginCode
	}
	return sensitive.NewOpenID(id), nil
}

func (w *phone) Phone(_ context.Context, code string) (sensitive.Phone, error) {
	p, ok := w.phones[code]
	if !ok {
		return sensitive.Phone{}, patient.ErrPhone
	}
	return sensitive.NewPhone(p), nil
}

func (w *phone) Jump() patient.Jump { return w.jump }

func (w *phone) Identify(_ context.Context, code string, openID sensitive.OpenID) (patient.Identity, error) {
	w.asked++
	w.wantsOpen = openID.Reveal()
	i, ok := w.people[code]
	if !ok {
		return patient.Identity{}, patient.ErrAuthCode
	}
	delete(w.people, code)
	return i, nil
}

// archives is an Authority.
type archives struct {
	records []patient.HISRecord
	err     error
	asked   int
}

func (a *archives) FindPatient(context.Context, sensitive.Name, sensitive.IDNumber) ([]patient.HISRecord, error) {
	a.asked++
	return a.records, a.err
}

// counter makes tokens that a test can foresee.
type counter struct {
	n   int
	err error
}

func (c *counter) NewToken() (sensitive.Token, string, error) {
	c.n++
	t := sensitive.NewToken("token-" + strconv.Itoa(c.n))
	return t, c.Digest(t), c.err
}

func (c *counter) Digest(t sensitive.Token) string {
	sum := sha256.Sum256([]byte(t.Reveal()))
	return hex.EncodeToString(sum[:])
}

var errDatabase = errors.New("database is gone")
