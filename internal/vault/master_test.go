package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/gm"
)

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
	return path
}

func TestFileKeys(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), gm.GenerateKey()
	text, err := k.PEM()
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, text string, mode os.FileMode) string {
		return write(t, filepath.Join(dir, name), text, mode)
	}
	tests := []struct {
		name, path string
		form       gm.Form
		says       string // empty: it works
	}{
		{"pem", file("pem", string(text), 0o600), gm.PEM, ""},
		{"hex", file("hex", masterText(k)+"\n", 0o400), gm.Hex, ""},
		{"read by the group", file("group", masterText(k), 0o640), gm.Hex, "0600"},
		{"read by others", file("others", masterText(k), 0o604), gm.Hex, "0600"},
		{"written by others", file("written", masterText(k), 0o602), gm.Hex, "0600"},
		{"missing", filepath.Join(dir, "missing"), gm.Hex, "no such file"},
		{"no path", "", gm.Hex, "no such file"},
		{"a folder", dir, gm.Hex, "not a regular file"},
		{"empty", file("empty", "", 0o600), gm.Hex, "malformed"},
		{"another form", file("form", masterText(k), 0o600), gm.PEM, "malformed"},
		{"too long", file("long", strings.Repeat("a", maxKeyFile+2), 0o600), gm.Hex, "too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := FileKeys(tt.form, tt.path)
			if tt.says == "" {
				if err != nil || m.ID() != k.Public().Fingerprint() {
					t.Errorf("FileKeys() = %v", err)
				}
				return
			}
			if m != nil || !errors.Is(err, ErrMasterKey) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("FileKeys() = %v, want ErrMasterKey with %q", err, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), masterText(k)[:8]) {
				t.Error("the error shows the key")
			}
		})
	}
}

func TestEnvKeys(t *testing.T) {
	t.Parallel()
	k := gm.GenerateKey()
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"GOOD": masterText(k), "EMPTY": "", "BAD": "zz"}[name]
		return v, ok
	}
	if m, err := EnvKeys(lookup, gm.Hex, "GOOD"); err != nil || m.ID() != k.Public().Fingerprint() {
		t.Errorf("EnvKeys(GOOD) = %v", err)
	}
	for _, names := range [][]string{{"EMPTY"}, {"BAD"}, {"ABSENT"}, {"GOOD", "ABSENT"}} {
		if m, err := EnvKeys(lookup, gm.Hex, names[0], names[1:]...); m != nil || !errors.Is(err, ErrMasterKey) || !strings.Contains(err.Error(), names[len(names)-1]) {
			t.Errorf("EnvKeys(%v) = %v, want ErrMasterKey naming the variable", names, err)
		}
	}
}

func TestMasterKeysUnwrap(t *testing.T) {
	t.Parallel()
	a, b := gm.GenerateKey(), gm.GenerateKey()
	m, plain := masterOf(t, a), []byte("0123456789abcdef0123456789abcdef")
	wrapped, id, err := m.Wrap(t.Context(), plain)
	if err != nil || id != m.ID() {
		t.Fatalf("Wrap() by %s, %v, want %s", id, err, m.ID())
	}
	if got, err := m.Unwrap(t.Context(), id, wrapped); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("Unwrap() = %x, %v", got, err)
	}
	if got, err := masterOf(t, b, a).Unwrap(t.Context(), id, wrapped); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("Unwrap() by an older key = %x, %v", got, err)
	}
	both := masterOf(t, a, b)
	if got, err := both.Unwrap(t.Context(), b.Public().Fingerprint(), wrapped); got != nil || !errors.Is(err, ErrMasterKey) {
		t.Errorf("Unwrap() under the other's name = %x, %v, want ErrMasterKey", got, err)
	}
	for i := range wrapped {
		bad := bytes.Clone(wrapped)
		bad[i] ^= 0x10
		if got, err := m.Unwrap(t.Context(), id, bad); got != nil || !errors.Is(err, ErrMasterKey) {
			t.Errorf("byte %d changed: %x, %v, want ErrMasterKey", i, got, err)
		}
	}
	for n := range 1 + wrapMAC + 4 {
		if got, err := m.Unwrap(t.Context(), id, wrapped[:n]); got != nil || !errors.Is(err, ErrMasterKey) {
			t.Errorf("%d bytes: %x, %v, want ErrMasterKey", n, got, err)
		}
	}
	// An HMAC of ours over what is no SM2 ciphertext.
	mac, err := boxMAC(a, []byte("nonsense"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Unwrap(t.Context(), id, append(append([]byte{wrapFormat}, mac...), "nonsense"...)); got != nil || !errors.Is(err, ErrMasterKey) {
		t.Errorf("nonsense under a good mac = %x, %v, want ErrMasterKey", got, err)
	}
	if _, _, err := m.Wrap(t.Context(), make([]byte, 15)); !errors.Is(err, gm.ErrInput) {
		t.Errorf("Wrap() of 15 bytes = %v, want gm.ErrInput", err)
	}
}

func TestNewMasterKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.pem")
	id, err := NewMasterKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := FileKeys(gm.PEM, path)
	if err != nil || m.ID() != id {
		t.Errorf("FileKeys() = %v, want key %s", err, id)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMasterKeyFile(path); !errors.Is(err, ErrMasterKey) || !errors.Is(err, os.ErrExist) {
		t.Errorf("over an existing file = %v, want ErrMasterKey, os.ErrExist", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the existing key was changed, %v", err)
	}
}
