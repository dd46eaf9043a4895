package main

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/vault"
)

// TestSessionsInTheCache: what the cache says of a session is believed for what we have put there ourselves, and for nothing else; one that has ended
// is no longer in it.
func TestSessionsInTheCache(t *testing.T) {
	p := makePremises(t, t.TempDir())
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
	forged := mine
	forged.Account++
	value, err := json.Marshal(keptSession{Session: forged, MAC: macIn(t, h, digest)})
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

// macIn reads the signature that the cache holds of a session.
func macIn(t *testing.T, h *house, digest string) string {
	t.Helper()
	value, ok, err := h.cache.Get(t.Context(), sessionKey(digest))
	var kept keptSession
	if err != nil || !ok || json.Unmarshal(value, &kept) != nil {
		t.Fatalf("the cache holds %q, %v, %v", value, ok, err)
	}
	return kept.MAC
}
