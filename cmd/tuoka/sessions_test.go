package main

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/vault"
)

// TestSessionsInTheCache: what the cache says of a session is believed for what we have put there ourselves, and for nothing else; one that has ended
// is no longer in it.
func TestSessionsInTheCache(t *testing.T) {
	p := makePremises(t, t.TempDir(), store.Config{}, config.Redis{})
	one := p.patient("h1", 5)
	h := p.house
	s := sessions{h.db.Patients(), h.cache, h.vault}
	digest := vault.HashToken(sensitive.NewToken(one.token))
	now := clock.Real{}.Now()
	asked := func() int64 { return h.db.Counts().Statements }
	before := asked()
	mine, err := s.SessionOf(t.Context(), digest, now)
	if err != nil || asked() != before {
		t.Fatalf("SessionOf() = %v, %v after %d statements", mine, err, asked()-before)
	}
	if _, err := s.SessionOf(t.Context(), digest, mine.ExpiresAt.Add(time.Second)); !errors.Is(err, patient.ErrSession) {
		t.Errorf("after its end: %v", err)
	}
	forged := keptIn(t, h, digest)
	forged.Session.Account++
	value, err := json.Marshal(forged)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cache.Set(context.Background(), sessionKey(digest), value, time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, err := s.SessionOf(t.Context(), digest, now); err != nil || got.Account != mine.Account {
		t.Errorf("a forged entry gives account %d, %v", got.Account, err)
	}
	if err := s.Leave(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SessionOf(t.Context(), digest, now); !errors.Is(err, patient.ErrSession) {
		t.Errorf("after signing out: %v", err)
	}
}

// keptIn reads what the cache holds of a session.
func keptIn(t *testing.T, h *house, digest string) keptSession {
	t.Helper()
	value, ok, err := h.cache.Get(t.Context(), sessionKey(digest))
	var kept keptSession
	if err != nil || !ok || json.Unmarshal(value, &kept) != nil {
		t.Fatalf("the cache holds %q, %v, %v", value, ok, err)
	}
	return kept
}

// slowSessions are sessions in the database, after whose reading something happens.
type slowSessions struct {
	patient.Store
	then func()
}

// SessionOf finds a session.
func (s slowSessions) SessionOf(ctx context.Context, digest string, now time.Time) (patient.Session, error) {
	found, err := s.Store.SessionOf(ctx, digest, now)
	s.then()
	return found, err
}

// TestLeavingHoldsEverywhere: who has left is nobody on every node, also where another node was just reading the session, and where the phone was
// gone before the answer.
func TestLeavingHoldsEverywhere(t *testing.T) {
	p := makePremises(t, t.TempDir(), store.Config{}, config.Redis{})
	h := p.house
	here := sessions{h.db.Patients(), h.cache, h.vault}
	now := clock.Real{}.Now()
	people := h.people // of this node
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, leave := range map[string]struct {
		ctx    context.Context
		cached bool // when the other node reads
	}{
		"kept on the other node":        {t.Context(), true},
		"while the other node reads":    {t.Context(), false},
		"the phone is gone, kept":       {gone, true},
		"the phone is gone, being read": {gone, false},
	} {
		t.Run(name, func(t *testing.T) {
			token := sensitive.NewToken(p.patient("h1", 5).token)
			digest := vault.HashToken(token)
			leaving := func() {
				if err := people.Logout(leave.ctx, patient.Caller{Institution: "h1"}, token); err != nil {
					t.Error(err)
				}
			}
			there := sessions{slowSessions{h.db.Patients(), leaving}, h.cache, h.vault}
			if !leave.cached {
				if err := h.cache.Set(t.Context(), sessionKey(digest), []byte("spoilt"), time.Millisecond); err != nil {
					t.Fatal(err)
				}
				p.wait("forgotten", func() bool { _, ok, err := h.cache.Get(t.Context(), sessionKey(digest)); return !ok && err == nil })
			}
			if _, err := there.SessionOf(t.Context(), digest, now); err != nil {
				t.Fatal(err)
			}
			if leave.cached {
				leaving()
			}
			for _, node := range []sessions{here, there} {
				if _, err := node.SessionOf(t.Context(), digest, now); !errors.Is(err, patient.ErrSession) {
					t.Errorf("after leaving: %v", err)
				}
			}
		})
	}
}

// TestKeptNoLongerThanAMinute: what the database said a minute ago is asked again, even where the cache still holds it, or was told only now.
func TestKeptNoLongerThanAMinute(t *testing.T) {
	p := makePremises(t, t.TempDir(), store.Config{}, config.Redis{})
	h := p.house
	s := sessions{h.db.Patients(), h.cache, h.vault}
	digest := vault.HashToken(sensitive.NewToken(p.patient("h1", 5).token))
	kept := keptIn(t, h, digest)
	if life := kept.Until.Sub(kept.Session.CreatedAt); life != sessionKept {
		t.Errorf("kept for %v, want %v", life, sessionKept)
	}
	if err := h.db.Patients().Leave(t.Context(), digest); err != nil { // by a node that the cache is away from
		t.Fatal(err)
	}
	if _, err := s.SessionOf(t.Context(), digest, kept.Until.Add(-time.Microsecond)); err != nil {
		t.Errorf("within the minute: %v", err)
	}
	if _, err := s.SessionOf(t.Context(), digest, kept.Until); !errors.Is(err, patient.ErrSession) {
		t.Errorf("after the minute: %v", err)
	}
	longer := kept
	longer.Until = longer.Until.Add(time.Hour)
	value, err := json.Marshal(longer)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cache.Set(t.Context(), sessionKey(digest), value, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SessionOf(t.Context(), digest, kept.Until); !errors.Is(err, patient.ErrSession) {
		t.Errorf("an entry that somebody made live longer: %v", err)
	}
}
