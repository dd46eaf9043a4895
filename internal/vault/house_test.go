package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
)

// memory is a Store with the database's own guard: unique (purpose, version).
type memory struct {
	mu   sync.Mutex
	rows []DataKey
	fail error
}

func (m *memory) DataKeys(context.Context) ([]DataKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.rows), m.fail
}

func (m *memory) AddDataKey(_ context.Context, k DataKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range m.rows {
		if row.Purpose == k.Purpose && row.Version == k.Version {
			return fmt.Errorf("insert %s: %w", k.ID, ErrKeyExists)
		}
	}
	m.rows = append(m.rows, k)
	return nil
}

// edit changes the rows behind the vault's back.
func (m *memory) edit(change func([]DataKey) []DataKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = change(m.rows)
}

func retire(m *memory, id string) {
	m.edit(func(rows []DataKey) []DataKey {
		for i := range rows {
			if rows[i].ID == id {
				rows[i].Active = false
			}
		}
		return rows
	})
}

func masterText(k *gm.PrivateKey) string { return hex.EncodeToString(k.Reveal()) }

func masterOf(t testing.TB, keys ...*gm.PrivateKey) *MasterKeys {
	t.Helper()
	vars := map[string]string{}
	var names []string
	for i, k := range keys {
		names = append(names, fmt.Sprintf("KEY%d", i))
		vars[names[i]] = masterText(k)
	}
	m, err := EnvKeys(func(name string) (string, bool) { v, ok := vars[name]; return v, ok }, gm.Hex, names[0], names[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// house is a vault with everything it stands on.
type house struct {
	*Vault
	master *gm.PrivateKey
	store  *memory
	clock  *clock.Fake
}

func newHouse(t testing.TB) house {
	t.Helper()
	h := house{master: gm.GenerateKey(), store: &memory{}, clock: clock.NewFake(time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC))}
	h.Vault = h.again(t)
	return h
}

// again opens another vault on the same store, as a second process does.
func (h house) again(t testing.TB) *Vault {
	t.Helper()
	v, err := Open(t.Context(), masterOf(t, h.master), h.store, h.clock)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func place() Place { return Place{"patient", "name", "17"} }

// TestNothingLeaks prints a vault and its master keys by every verb, both slog handlers and JSON.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	master := masterOf(t, h.master)
	nested := struct {
		Vault  *Vault
		hidden *Vault
		Keys   Keys
		any    any
	}{h.Vault, h.Vault, master, master}
	var out strings.Builder
	for _, thing := range []any{h.Vault, master, nested, &nested, []any{h.Vault, master}} {
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flag := range []string{"", "+", "#"} {
				fmt.Fprintf(&out, "%"+flag+string(verb)+"\n", thing)
			}
		}
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(handler).Info("m", "thing", thing)
		}
		text, err := json.Marshal(thing)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	got := strings.ToLower(out.String())
	secrets := [][]byte{h.master.Reveal()}
	for _, keys := range *h.ring.Load() {
		for _, k := range keys {
			secrets = append(secrets, k.secret)
		}
	}
	if len(secrets) != 4 {
		t.Fatalf("%d secrets, want 4", len(secrets))
	}
	for _, s := range secrets {
		for _, text := range []string{string(s), hex.EncodeToString(s), fmt.Sprint(s), fmt.Sprintf("%#v", s), base64.StdEncoding.EncodeToString(s)} {
			if strings.Contains(got, strings.ToLower(text)) {
				t.Error("a key leaks")
			}
		}
	}
	if !strings.Contains(got, "[vault]") || !strings.Contains(got, "[master keys]") {
		t.Error("the labels are missing")
	}
}

func TestGoroutines(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first, err := h.Seal(place(), []byte("the first"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			at := Place{"patient", "name", fmt.Sprint(g)}
			for i := range 100 {
				plain := bytes.Repeat([]byte{byte(g)}, i)
				box, err := h.Seal(at, plain)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := h.Vault.Open(at, box); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("goroutine %d: Open() = %x, %v", g, got, err)
				}
				if got, err := h.Vault.Open(place(), first); err != nil || string(got) != "the first" {
					t.Errorf("goroutine %d: Open() = %q, %v", g, got, err)
				}
				mac, err := h.MAC("order", at.Row, string(plain))
				if err != nil || h.CheckMAC(mac, "order", at.Row, string(plain)) != nil {
					t.Errorf("goroutine %d: mac: %v", g, err)
				}
				if i%25 == 0 {
					if err := h.Refresh(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Go(func() {
		for range 3 {
			for _, p := range Purposes() {
				if err := h.Rotate(t.Context(), p); err != nil {
					t.Error(err)
				}
			}
			h.clock.Advance(2 * Spread)
		}
	})
	wg.Wait()
	if box, err := h.Seal(place(), nil); err != nil || binary.BigEndian.Uint32(box[1:]) != 4 {
		t.Errorf("the key in use is not the fourth: %x, %v", box, err)
	}
}
