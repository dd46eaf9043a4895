package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/cache"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/vault"
)

// sessions keeps the sessions of the last minute in the cache, so that not every request of a phone asks the database whose it is. The database
// stays the truth: without the cache it is asked, and what the cache still holds of a session that has ended elsewhere is gone within a minute.
type sessions struct {
	patient.Store
	cache *cache.Cache
	vault *vault.Vault // signs what is kept: whoever can write to the cache must not become anybody by it
}

// keptSession is a session in the cache.
type keptSession struct {
	Session patient.Session `json:"session"`
	MAC     string          `json:"mac"`
}

// signed is what the MAC covers.
func signed(s patient.Session) []string {
	return []string{strconv.FormatInt(int64(s.Account), 10), s.Institution, strconv.FormatInt(s.CreatedAt.UnixMicro(), 10), strconv.FormatInt(s.ExpiresAt.UnixMicro(), 10)}
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
	var known keptSession
	value, ok, err := s.cache.Get(ctx, sessionKey(digest))
	if err == nil && ok && json.Unmarshal(value, &known) == nil && known.Session.TokenDigest == digest && known.Session.ExpiresAt.After(now) &&
		s.vault.CheckMAC(known.MAC, "session in the cache", digest, signed(known.Session)...) == nil {
		return known.Session, nil
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
	mac, err := s.vault.MAC("session in the cache", session.TokenDigest, signed(session)...)
	if err != nil {
		return
	}
	if value, err := json.Marshal(keptSession{session, mac}); err == nil {
		_ = s.cache.Set(ctx, sessionKey(session.TokenDigest), value, sessionKept)
	}
}
