package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Purpose is what a data key is for; a key serves one purpose only. The column holds the text.
type Purpose string

const (
	// Sealing keys are SM4 keys for Seal and Open.
	Sealing Purpose = "seal"
	// Indexing keys are HMAC-SM3 keys for Index.
	Indexing Purpose = "index"
	// Signing keys are HMAC-SM3 keys for MAC.
	Signing Purpose = "mac"
)

// Purposes lists every purpose.
func Purposes() []Purpose { return []Purpose{Sealing, Indexing, Signing} }

// size is the length of a data key in bytes.
func (p Purpose) size() int {
	if p == Sealing {
		return 16
	}
	return 32
}

// DataKey is a data key as the database keeps it: wrapped. Rows are never changed but for Active, and never deleted: whoever deletes one
// deletes every value sealed with it.
type DataKey struct {
	ID        string  // purpose and version: "seal-1"
	Purpose   Purpose // unique together with Version
	Version   int     // 1, 2, 3 …
	Wrapped   []byte  // what Keys.Wrap gave
	MasterID  string  // which master key wrapped it
	Active    bool    // false: retired; it opens what it sealed, and no look-up asks for its indexes
	CreatedAt time.Time
}

// Store keeps the wrapped data keys.
type Store interface {
	// DataKeys gives all of them, retired ones too, in any order.
	DataKeys(ctx context.Context) ([]DataKey, error)
	// AddDataKey adds one. ErrKeyExists when there is one of that purpose and version.
	AddDataKey(ctx context.Context, key DataKey) error
}

// dataKey is an unwrapped data key.
type dataKey struct {
	id      string
	version uint32
	secret  []byte
	wrapped []byte
	active  bool
	created time.Time
}

func keyID(p Purpose, version uint32) string {
	return string(p) + "-" + strconv.FormatUint(uint64(version), 10)
}

// ring is one loaded set of data keys, by version, the oldest first. It is never changed; Refresh puts another in its place.
type ring map[Purpose][]dataKey

// current is the newest active key that every process has had time to hear of; where none is that old, the oldest active one, which
// the others began with as well.
func (r *ring) current(p Purpose, now time.Time) dataKey {
	active := r.active(p)
	for _, k := range slices.Backward(active) {
		if !k.created.Add(Spread).After(now) {
			return k
		}
	}
	if len(active) == 0 { // never: a ring without one is not put in place. Every use of the empty key is an error.
		return dataKey{}
	}
	return active[0]
}

func (r *ring) active(p Purpose) []dataKey {
	var out []dataKey
	for _, k := range (*r)[p] {
		if k.active {
			out = append(out, k)
		}
	}
	return out
}

func (r *ring) version(p Purpose, n uint32) (dataKey, bool) {
	for _, k := range (*r)[p] {
		if k.version == n {
			return k, true
		}
	}
	return dataKey{}, false
}

// next is the version after the newest.
func (r *ring) next(p Purpose) uint32 {
	if n := len((*r)[p]); n > 0 {
		return (*r)[p][n-1].version + 1
	}
	return 1
}

// Refresh reads the data keys again, so that keys added or retired elsewhere are known here. Every process calls it more often than
// Spread. On an error the keys loaded before stay in use; ErrDataKeys when one of those is gone from the store.
func (v *Vault) Refresh(ctx context.Context) error {
	v.loading.Lock()
	defer v.loading.Unlock()
	return v.load(ctx)
}

// Rotate adds the next version of a purpose's key. It comes into use after Spread; from then on Outdated tells which values to seal
// again, and MACs and indexes carry the new number. ErrKeyExists when another process rotated at the same moment. The old key stays
// active until its row in the store is set to inactive.
func (v *Vault) Rotate(ctx context.Context, p Purpose) error {
	v.loading.Lock()
	defer v.loading.Unlock()
	if !slices.Contains(Purposes(), p) {
		return fmt.Errorf("rotate %q: no such purpose: %w", p, ErrDataKeys)
	}
	if err := v.load(ctx); err != nil {
		return fmt.Errorf("rotate %s: %w", p, err)
	}
	if err := v.create(ctx, p, v.ring.Load().next(p)); err != nil {
		return fmt.Errorf("rotate %s: %w", p, err)
	}
	return v.load(ctx)
}

// load reads, unwraps and completes the ring. When two processes start on an empty store, one of them finds the other's key there.
func (v *Vault) load(ctx context.Context) error {
	for range 3 {
		stored, err := v.store.DataKeys(ctx)
		if err != nil {
			return fmt.Errorf("read data keys: %w", err)
		}
		r, err := v.unwrap(ctx, stored)
		if err != nil {
			return err
		}
		if err := r.keeps(v.ring.Load()); err != nil {
			return err
		}
		complete := true
		for _, p := range Purposes() {
			if len(r.active(p)) > 0 {
				continue
			}
			complete = false
			if err := v.create(ctx, p, r.next(p)); err != nil && !errors.Is(err, ErrKeyExists) {
				return err
			}
		}
		if complete {
			v.ring.Store(r)
			return nil
		}
	}
	return fmt.Errorf("a data key that was added is not there: %w", ErrDataKeys)
}

// keeps refuses a ring that lost a key of the one in use: an answer from a broken or foreign store must not start a second history.
func (r *ring) keeps(old *ring) error {
	if old == nil {
		return nil
	}
	for p, keys := range *old {
		for _, k := range keys {
			if now, ok := r.version(p, k.version); !ok || !bytes.Equal(now.secret, k.secret) {
				return fmt.Errorf("data key %s is gone or another: %w", k.id, ErrDataKeys)
			}
		}
	}
	return nil
}

// unwrap makes a ring of the stored keys. Purposes of a newer release are skipped; keys unwrapped before are not unwrapped again.
func (v *Vault) unwrap(ctx context.Context, stored []DataKey) (*ring, error) {
	r := ring{}
	old := v.ring.Load()
	for _, s := range stored {
		if !slices.Contains(Purposes(), s.Purpose) {
			continue
		}
		if s.Version < 1 || s.Version >= math.MaxInt32 {
			return nil, fmt.Errorf("data key %s of version %d: %w", s.Purpose, s.Version, ErrDataKeys)
		}
		version := uint32(s.Version)
		k := dataKey{id: keyID(s.Purpose, version), version: version, wrapped: s.Wrapped, active: s.Active, created: s.CreatedAt}
		if _, twice := r.version(s.Purpose, version); twice {
			return nil, fmt.Errorf("data key %s stands twice: %w", k.id, ErrDataKeys)
		}
		var known dataKey
		if old != nil {
			known, _ = old.version(s.Purpose, version)
		}
		if known.secret != nil && bytes.Equal(known.wrapped, s.Wrapped) {
			k.secret = known.secret
		} else {
			plain, err := v.keys.Unwrap(ctx, s.MasterID, s.Wrapped)
			if err != nil {
				return nil, fmt.Errorf("unwrap data key %s: %w", k.id, err)
			}
			if k.secret, err = unlabel(s.Purpose, k.id, plain); err != nil {
				return nil, err
			}
		}
		r[s.Purpose] = append(r[s.Purpose], k)
	}
	for _, keys := range r {
		slices.SortFunc(keys, func(a, b dataKey) int { return cmp.Compare(a.version, b.version) })
	}
	return &r, nil
}

// create makes a data key and stores it wrapped.
func (v *Vault) create(ctx context.Context, p Purpose, version uint32) error {
	secret := make([]byte, p.size())
	_, _ = rand.Read(secret) // never fails
	id := keyID(p, version)
	wrapped, master, err := v.keys.Wrap(ctx, append(label(id), secret...))
	if err != nil {
		return fmt.Errorf("wrap data key %s: %w", id, err)
	}
	k := DataKey{ID: id, Purpose: p, Version: int(version), Wrapped: wrapped, MasterID: master, Active: true, CreatedAt: v.clock.Now()}
	if err := v.store.AddDataKey(ctx, k); err != nil {
		return fmt.Errorf("add data key %s: %w", id, err)
	}
	return nil
}

// label goes under the wrapping with the key, so that a wrapped key copied into another row of the table is noticed.
func label(id string) []byte { return join("tuoka data key", id) }

func unlabel(p Purpose, id string, plain []byte) ([]byte, error) {
	secret, found := bytes.CutPrefix(plain, label(id))
	if !found || len(secret) != p.size() {
		return nil, fmt.Errorf("data key %s is wrapped as another: %w", id, ErrDataKeys)
	}
	return bytes.Clone(secret), nil
}
