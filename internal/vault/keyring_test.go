package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/gm"
)

func versionOf(t *testing.T, v *Vault) uint32 {
	t.Helper()
	box, err := v.Seal(place(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.Uint32(box[1:keyed])
}

func TestFirstStart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	type row struct {
		ID      string
		Purpose Purpose
		Version int
		Master  string
		Active  bool
		At      time.Time
	}
	var got []row
	for _, k := range h.store.rows {
		got = append(got, row{k.ID, k.Purpose, k.Version, k.MasterID, k.Active, k.CreatedAt})
	}
	id := h.master.Public().Fingerprint()
	want := []row{{"seal-1", Sealing, 1, id, true, h.clock.Now()}, {"index-1", Indexing, 1, id, true, h.clock.Now()}, {"mac-1", Signing, 1, id, true, h.clock.Now()}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the first keys (-want +got):\n%s", diff)
	}
	h.again(t)
	if len(h.store.rows) != 3 {
		t.Errorf("a second start leaves %d keys, want 3", len(h.store.rows))
	}
}

// TestStartTogether: processes that start on an empty store at the same moment end with the same keys.
func TestStartTogether(t *testing.T) {
	t.Parallel()
	h := house{master: gm.GenerateKey(), store: &memory{}, clock: newHouse(t).clock}
	vaults := make([]*Vault, 6)
	var wg sync.WaitGroup
	for i := range vaults {
		keys := masterOf(t, h.master)
		wg.Go(func() {
			v, err := Open(t.Context(), keys, h.store, h.clock)
			if err != nil {
				t.Error(err)
			}
			vaults[i] = v
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if len(h.store.rows) != 3 {
		t.Errorf("%d keys, want 3", len(h.store.rows))
	}
	for i, v := range vaults {
		box, err := v.Seal(place(), []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vaults[(i+1)%len(vaults)].Open(place(), box); err != nil {
			t.Errorf("process %d cannot read process %d: %v", (i+1)%len(vaults), i, err)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	second := h.again(t)
	old, err := h.Seal(place(), []byte("张三丰"))
	if err != nil {
		t.Fatal(err)
	}
	oldIndex, err := h.Index("f", "x")
	if err != nil {
		t.Fatal(err)
	}
	oldMAC, err := h.MAC("order", "1", "paid")
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(24 * time.Hour)
	for _, p := range Purposes() {
		if err := h.Rotate(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if got := versionOf(t, h.Vault); got != 1 {
		t.Errorf("a key is in use the moment it is made: version %d", got)
	}
	if h.Outdated(old) {
		t.Error("values are outdated before the new key is in use")
	}
	h.clock.Advance(Spread - time.Second)
	if err := second.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(time.Second)
	if got := versionOf(t, h.Vault); got != 2 {
		t.Errorf("version %d in use after the spread, want 2", got)
	}
	box, err := h.Seal(place(), []byte("李四"))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]*Vault{"the one that rotated": h.Vault, "the one that heard of it": second, "a later one": h.again(t)} {
		for want, b := range map[string][]byte{"张三丰": old, "李四": box} {
			if got, err := v.Open(place(), b); err != nil || string(got) != want {
				t.Errorf("%s opens %q, %v, want %q", name, got, err, want)
			}
		}
		if !v.Outdated(old) || v.Outdated(box) || !v.Outdated(nil) || !v.Outdated([]byte("no box at all")) {
			t.Errorf("%s is wrong about what is outdated", name)
		}
		if err := v.CheckMAC(oldMAC, "order", "1", "paid"); err != nil {
			t.Errorf("%s refuses the old mac: %v", name, err)
		}
		newIndex, err := v.Index("f", "x")
		if err != nil || !strings.HasPrefix(newIndex, "2:") {
			t.Errorf("%s has index %q, %v, want one of version 2", name, newIndex, err)
		}
		if got, err := v.Indexes("f", "x"); err != nil || !slices.Equal(got, []string{newIndex, oldIndex}) {
			t.Errorf("%s looks for %q, %v, want new and old", name, got, err)
		}
	}
	// Retired, the old keys still open and check, but are not searched by.
	for _, id := range []string{"seal-1", "index-1", "mac-1"} {
		retire(h.store, id)
	}
	if err := h.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Vault.Open(place(), old); err != nil || string(got) != "张三丰" {
		t.Errorf("a retired key opens %q, %v", got, err)
	}
	if err := h.CheckMAC(oldMAC, "order", "1", "paid"); err != nil {
		t.Errorf("a retired key's mac: %v", err)
	}
	if got, err := h.Indexes("f", "x"); err != nil || len(got) != 1 {
		t.Errorf("Indexes() = %q, %v, want one", got, err)
	}
	// With every key of a purpose retired, a new version begins.
	retire(h.store, "seal-2")
	if err := h.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := versionOf(t, h.Vault); got != 3 {
		t.Errorf("version %d after retiring all, want 3", got)
	}
	if err := h.Rotate(t.Context(), "other"); !errors.Is(err, ErrDataKeys) {
		t.Errorf("Rotate(other) = %v, want ErrDataKeys", err)
	}
}

// TestNotHeardOfYet: a value of a key that was not loaded is ErrNoKey until Refresh.
func TestNotHeardOfYet(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	second := h.again(t)
	for _, p := range Purposes() {
		if err := h.Rotate(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	h.clock.Advance(Spread)
	box, err := h.Seal(place(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	mac, err := h.MAC("order", "1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Open(place(), box); !errors.Is(err, ErrNoKey) {
		t.Errorf("Open() = %v, want ErrNoKey", err)
	}
	if err := second.CheckMAC(mac, "order", "1"); !errors.Is(err, ErrNoKey) {
		t.Errorf("CheckMAC() = %v, want ErrNoKey", err)
	}
	if err := second.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Open(place(), box); err != nil {
		t.Errorf("Open() = %v", err)
	}
	if err := second.CheckMAC(mac, "order", "1"); err != nil {
		t.Errorf("CheckMAC() = %v", err)
	}
}

func TestMasterKeyReplaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	box, err := h.Seal(place(), []byte("张三丰"))
	if err != nil {
		t.Fatal(err)
	}
	fresh := gm.GenerateKey()
	_, err = Open(t.Context(), masterOf(t, fresh), h.store, h.clock)
	if !errors.Is(err, ErrMasterKey) || !strings.Contains(err.Error(), h.master.Public().Fingerprint()) || !strings.Contains(err.Error(), fresh.Public().Fingerprint()) {
		t.Errorf("Open() with a wrong master = %v, want ErrMasterKey naming both keys", err)
	}
	v, err := Open(t.Context(), masterOf(t, fresh, h.master), h.store, h.clock)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Open(place(), box); err != nil || string(got) != "张三丰" {
		t.Errorf("Open() = %q, %v", got, err)
	}
	if err := v.Rotate(t.Context(), Sealing); err != nil {
		t.Fatal(err)
	}
	if last := h.store.rows[len(h.store.rows)-1]; last.MasterID != fresh.Public().Fingerprint() {
		t.Errorf("the new data key is wrapped by %s, want the new master", last.MasterID)
	}
}

// TestForgedDataKeys: what a hand in the database can do to the table of data keys stops the start.
func TestForgedDataKeys(t *testing.T) {
	t.Parallel()
	attacker := gm.GenerateKey()
	tests := []struct {
		name string
		edit func(t *testing.T, h house, rows []DataKey) []DataKey
		want error
	}{
		{"wrapped key exchanged", func(_ *testing.T, _ house, r []DataKey) []DataKey {
			r[1].Wrapped, r[2].Wrapped = r[2].Wrapped, r[1].Wrapped
			return r
		}, ErrDataKeys},
		{"raised to another version", func(_ *testing.T, _ house, r []DataKey) []DataKey { r[0].Version = 7; return r }, ErrDataKeys},
		{"wrapped with the public key alone", func(t *testing.T, h house, r []DataKey) []DataKey {
			box, err := gm.Wrap(h.master.Public(), append(label("seal-1"), make([]byte, 16)...))
			if err != nil {
				t.Fatal(err)
			}
			r[0].Wrapped = append(append([]byte{wrapFormat}, make([]byte, wrapMAC)...), box...)
			return r
		}, ErrMasterKey},
		{"wrapped by another master", func(t *testing.T, _ house, r []DataKey) []DataKey {
			wrapped, id, err := (&MasterKeys{current: attacker}).Wrap(t.Context(), make([]byte, 32))
			if err != nil {
				t.Fatal(err)
			}
			r[0].Wrapped, r[0].MasterID = wrapped, id
			return r
		}, ErrMasterKey},
		{"of another length", func(t *testing.T, h house, r []DataKey) []DataKey {
			wrapped, _, err := masterOf(t, h.master).Wrap(t.Context(), append(label("mac-1"), make([]byte, 16)...))
			if err != nil {
				t.Fatal(err)
			}
			r[2].Wrapped = wrapped
			return r
		}, ErrDataKeys},
		{"emptied", func(_ *testing.T, _ house, r []DataKey) []DataKey { r[0].Wrapped = nil; return r }, ErrMasterKey},
		{"one bit", func(_ *testing.T, _ house, r []DataKey) []DataKey {
			r[0].Wrapped = slices.Clone(r[0].Wrapped)
			r[0].Wrapped[len(r[0].Wrapped)-1] ^= 1
			return r
		}, ErrMasterKey},
		{"doubled", func(_ *testing.T, _ house, r []DataKey) []DataKey { return append(r, r[0]) }, ErrDataKeys},
		{"version 0", func(_ *testing.T, _ house, r []DataKey) []DataKey { r[0].Version = 0; return r }, ErrDataKeys},
		{"version beyond reason", func(_ *testing.T, _ house, r []DataKey) []DataKey { r[0].Version = 1 << 33; return r }, ErrDataKeys},
		{"a purpose of a newer release", func(_ *testing.T, _ house, r []DataKey) []DataKey {
			return append(r, DataKey{Purpose: "later", Version: 1})
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.store.edit(func(r []DataKey) []DataKey { return tt.edit(t, h, r) })
			if _, err := Open(t.Context(), masterOf(t, h.master), h.store, h.clock); !errors.Is(err, tt.want) {
				t.Errorf("Open() = %v, want %v", err, tt.want)
			}
		})
	}
}

// TestRefreshKeepsWhatWorks: a store that fails or has lost its rows does not take the keys in use away.
func TestRefreshKeepsWhatWorks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	box, err := h.Seal(place(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	works := func() {
		t.Helper()
		if _, err := h.Vault.Open(place(), box); err != nil {
			t.Errorf("Open() = %v", err)
		}
	}
	broken := errors.New("connection refused")
	h.store.fail = broken
	if err := h.Refresh(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Refresh() = %v, want the store's error", err)
	}
	if err := h.Rotate(t.Context(), Sealing); !errors.Is(err, broken) {
		t.Errorf("Rotate() = %v, want the store's error", err)
	}
	h.store.fail = nil
	works()
	h.store.edit(func([]DataKey) []DataKey { return nil })
	if err := h.Refresh(t.Context()); !errors.Is(err, ErrDataKeys) {
		t.Errorf("Refresh() on an emptied store = %v, want ErrDataKeys", err)
	}
	if len(h.store.rows) != 0 {
		t.Error("a second history was begun on an emptied store")
	}
	works()
}

// deaf is a Store that accepts keys and forgets them, or refuses them.
type deaf struct{ refuse error }

func (deaf) DataKeys(context.Context) ([]DataKey, error) { return nil, nil }
func (d deaf) AddDataKey(context.Context, DataKey) error { return d.refuse }

// mute is a Keys that cannot wrap.
type mute struct{ err error }

func (m mute) Wrap(context.Context, []byte) ([]byte, string, error)   { return nil, "", m.err }
func (m mute) Unwrap(context.Context, string, []byte) ([]byte, error) { return nil, m.err }

func TestStartFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	full := errors.New("disk full")
	tests := []struct {
		name  string
		keys  Keys
		store Store
		want  error
	}{
		{"keys are forgotten", masterOf(t, h.master), deaf{}, ErrDataKeys},
		{"keys are always there and never seen", masterOf(t, h.master), deaf{ErrKeyExists}, ErrDataKeys},
		{"keys are refused", masterOf(t, h.master), deaf{full}, full},
		{"nothing wraps", mute{full}, &memory{}, full},
		{"nothing unwraps", mute{full}, h.store, full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if v, err := Open(t.Context(), tt.keys, tt.store, h.clock); v != nil || !errors.Is(err, tt.want) {
				t.Errorf("Open() = %v, %v, want %v", v, err, tt.want)
			}
		})
	}
}

// TestRotatedElsewhere: the version that Rotate wanted was taken between its look and its insert.
func TestRotatedElsewhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	late := &lateStore{memory: h.store}
	v, err := Open(t.Context(), masterOf(t, h.master), late, h.clock)
	if err != nil {
		t.Fatal(err)
	}
	late.before = func() {
		if err := h.Rotate(t.Context(), Sealing); err != nil {
			t.Error(err)
		}
	}
	if err := v.Rotate(t.Context(), Sealing); !errors.Is(err, ErrKeyExists) {
		t.Errorf("Rotate() = %v, want ErrKeyExists", err)
	}
	if len(h.store.rows) != 4 {
		t.Errorf("%d keys, want 4", len(h.store.rows))
	}
}

type lateStore struct {
	*memory
	before func()
}

func (l *lateStore) AddDataKey(ctx context.Context, k DataKey) error {
	if l.before != nil {
		l.before()
	}
	return l.memory.AddDataKey(ctx, k)
}
