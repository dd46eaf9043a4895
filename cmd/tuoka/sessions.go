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
// stays the truth: without the cache it is asked. Whoever leaves has left on every node at once, by a mark in the cache; where the cache is away or
// loses the mark, within a minute.
type sessions struct {
	patient.Store
	cache *cache.Cache
	vault *vault.Vault // signs what is kept: whoever can write to the cache must not become anybody by it
}

// keptSession is a session in the cache.
type keptSession struct {
	Session patient.Session `json:"session"`
	Until   time.Time       `json:"until"` // a minute after the database was asked, however late this was written
	MAC     string          `json:"mac"`
}

// signed is what the MAC covers.
func (k keptSession) signed() []string {
	s := k.Session
	return []string{strconv.FormatInt(int64(s.Account), 10), s.Institution, strconv.FormatInt(s.CreatedAt.UnixMicro(), 10),
		strconv.FormatInt(s.ExpiresAt.UnixMicro(), 10), strconv.FormatInt(k.Until.UnixMicro(), 10)}
}

// sessionKept is how long a session is kept. The mark of one who has left stays longer than any entry of what was read before, by the clock of
// another node, too.
const (
	sessionKept = time.Minute
	leftKept    = 2 * sessionKept
)

// left is the mark: no session, so the database is asked.
var left = []byte("left")

func sessionKey(digest string) string { return "session:" + digest }

// Enter opens a session, with which the phone will come at once.
func (s sessions) Enter(ctx context.Context, fresh patient.Account, session patient.Session, r audit.Record) (patient.Account, error) {
	a, err := s.Store.Enter(ctx, fresh, session, r)
	if err == nil {
		session.Account = a.ID
		s.keep(ctx, session, session.CreatedAt)
	}
	return a, err
}

// SessionOf finds a session.
func (s sessions) SessionOf(ctx context.Context, digest string, now time.Time) (patient.Session, error) {
	var known keptSession
	value, ok, err := s.cache.Get(ctx, sessionKey(digest))
	if err == nil && ok && json.Unmarshal(value, &known) == nil && known.Session.TokenDigest == digest && known.Session.ExpiresAt.After(now) &&
		known.Until.After(now) && s.vault.CheckMAC(known.MAC, "session in the cache", digest, known.signed()...) == nil {
		return known.Session, nil
	}
	found, err := s.Store.SessionOf(ctx, digest, now)
	if err == nil {
		s.keep(ctx, found, now)
	}
	return found, err
}

// Leave ends a session. The mark comes first: who reads the session from the database before it ends there can no longer keep it.
func (s sessions) Leave(ctx context.Context, digest string) error {
	_ = s.cache.Set(ctx, sessionKey(digest), left, leftKept) // away: what it holds ends within a minute
	return s.Store.Leave(ctx, digest)
}

// keep is a favour: it may fail. It holds numbers of ours and no person's data, and takes nobody's mark away. Read is when the database was asked.
func (s sessions) keep(ctx context.Context, session patient.Session, read time.Time) {
	kept := keptSession{Session: session, Until: read.Add(sessionKept)}
	var err error
	if kept.MAC, err = s.vault.MAC("session in the cache", session.TokenDigest, kept.signed()...); err != nil {
		return
	}
	if value, err := json.Marshal(kept); err == nil {
		_, _ = s.cache.Add(ctx, sessionKey(session.TokenDigest), value, sessionKept)
	}
}
