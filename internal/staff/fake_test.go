package staff

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// memory is a Store, and a log, that forgets.
type memory struct {
	mu      sync.Mutex
	people  map[string]Person
	records []audit.Record
	fault   error // of every method
	moving  bool  // somebody else is always faster
}

func (m *memory) Add(_ context.Context, p Person, r audit.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.people[p.Login]; taken {
		return ErrExists
	}
	p.Version = 1
	m.people[p.Login] = p
	m.records = append(m.records, r)
	return m.fault
}

func (m *memory) ByLogin(_ context.Context, login string) (Person, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, found := m.people[login]
	if !found {
		return Person{}, errors.Join(m.fault, ErrNotFound)
	}
	return p, m.fault
}

func (m *memory) List(context.Context) ([]Person, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.people), func(a, b Person) int { return strings.Compare(a.Login, b.Login) }), m.fault
}

func (m *memory) Save(_ context.Context, p Person, r audit.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.people[p.Login].Version != p.Version || m.moving {
		return ErrMoved
	}
	p.Version++
	m.people[p.Login] = p
	m.records = append(m.records, r)
	return m.fault
}

func (m *memory) Record(_ context.Context, r audit.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, r)
	return m.fault
}

// last is the newest record.
func (m *memory) last(t *testing.T) audit.Record {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.records) == 0 {
		t.Fatal("nothing was recorded")
	}
	return m.records[len(m.records)-1]
}

var (
	start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	small = Params{MemoryKiB: 16, Passes: 1, Lanes: 1}
)

// hall is a service with its store, its clock and a count of derivations.
type hall struct {
	*Service
	memory *memory
	clock  *clock.Fake
	hashes atomic.Int64
}

func open(t *testing.T) *hall {
	t.Helper()
	h := &hall{memory: &memory{people: map[string]Person{}}, clock: clock.NewFake(start)}
	h.Service = New(h.memory, h.memory, h.clock, clock.NewSource(h.clock, 1), Config{Params: small})
	h.derive = func(password, salt []byte, passes, memoryKiB uint32, lanes uint8, size uint32) []byte {
		h.hashes.Add(1)
		return argon2.IDKey(password, salt, passes, memoryKiB, lanes, size)
	}
	return h
}

const password = "SECRET-correct horse battery"

// wang is a person of finance with that password.
func (h *hall) wang(t *testing.T) Person {
	t.Helper()
	p, shown, err := h.Add(t.Context(), "system", Newcomer{Institution: "h1", Login: "wang", Name: sensitive.NewName("SECRET-王小明"), Roles: []Role{Finance},
		Password: sensitive.NewKey(password)})
	if err != nil || !shown.Password.IsZero() {
		t.Fatalf("Add() = %v, shown %v", err, shown.Password)
	}
	return p
}

// code is what the person's phone shows now, or so many steps later.
func (h *hall) code(t *testing.T, login string, steps int64) string {
	t.Helper()
	p, err := h.memory.ByLogin(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base32Text().DecodeString(p.TOTPSecret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return codeAt(key, stepAt(h.clock.Now())+steps)
}

func (h *hall) signIn(t *testing.T, word, code string) error {
	t.Helper()
	_, err := h.SignIn(t.Context(), "wang", sensitive.NewKey(word), code)
	return err
}

func want(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
