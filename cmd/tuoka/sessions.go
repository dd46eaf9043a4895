package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/cache"
	"github.com/tuoka/tuoka/internal/patient"
)

// sessions keeps the sessions of the last minute in the cache, so that not every request of a phone asks the database whose it is. The database
// stays the truth: without the cache it is asked, and what the cache still holds of a session that has ended elsewhere is gone within a minute.
type sessions struct {
	patient.Store
	cache *cache.Cache
}

// sessionKept is how long.
const sessionKept = time.Minute

func sessionKey(digest string) string { return "session:" + digest }

// Enter opens a session, with which the phone will come at once.
func (s sessions) Enter(ctx context.Context, fresh patient.Account, session patient.Session, r audit.Record) (patient.Account, error) {
	a, err := s.Store.Enter(ctx, fresh, session, r)
	if err == nil {
		session.Account = a.ID
		s.keep(ctx, session)
	}
	return a, err
}

// SessionOf finds a session.
func (s sessions) SessionOf(ctx context.Context, digest string, now time.Time) (patient.Session, error) {
	var known patient.Session
	value, ok, err := s.cache.Get(ctx, sessionKey(digest))
	if err == nil && ok && json.Unmarshal(value, &known) == nil && known.TokenDigest == digest && known.ExpiresAt.After(now) {
		return known, nil
	}
	found, err := s.Store.SessionOf(ctx, digest, now)
	if err == nil {
		s.keep(ctx, found)
	}
	return found, err
}

// Leave ends a session, here first.
func (s sessions) Leave(ctx context.Context, digest string) error {
	if err := s.Store.Leave(ctx, digest); err != nil {
		return err
	}
	_ = s.cache.Delete(ctx, sessionKey(digest)) // away: it forgets by itself
	return nil
}

// keep is a favour: it may fail. It holds numbers of ours and no person's data.
func (s sessions) keep(ctx context.Context, session patient.Session) {
	if value, err := json.Marshal(session); err == nil {
		_ = s.cache.Set(ctx, sessionKey(session.TokenDigest), value, sessionKept)
	}
}
