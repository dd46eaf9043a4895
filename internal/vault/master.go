package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Keys wraps data keys under a master key. The master is in a file, in the environment, or never leaves an external service (密码机,
// KMS); the vault sees it in none of these.
type Keys interface {
	// Wrap encrypts a data key of 16 to 100 bytes and names the master key that it used, at most 64 characters.
	Wrap(ctx context.Context, dataKey []byte) (wrapped []byte, masterID string, err error)
	// Unwrap gives it back. ErrMasterKey when there is no such master here, or the bytes were not wrapped by it.
	Unwrap(ctx context.Context, masterID string, wrapped []byte) ([]byte, error)
}

// MasterKeys is the Keys of one or more SM2 keys held in this process. The first wraps, the others unwrap what they wrapped before. It
// prints as a label.
type MasterKeys struct {
	current *gm.PrivateKey
	all     map[string]*gm.PrivateKey // by fingerprint of the public key
}

// wrapFormat is the first byte of what MasterKeys wraps: format, HMAC-SM3 (32 bytes) over the rest, gm.Wrap's output. The HMAC is there
// because whoever knows the public key can wrap, and a data key of his choosing must not come in through the database.
const (
	wrapFormat = 1
	wrapMAC    = 32
)

// maxKeyFile is the most that is read of a key file, in bytes.
const maxKeyFile = 16 << 10

// FileKeys reads the master key, and older ones that still unwrap, from files of that form. ErrMasterKey for a file that is missing, is
// no regular file, may be read by group or others, or holds no key.
func FileKeys(form gm.Form, current string, older ...string) (*MasterKeys, error) {
	return masterKeys(form, readKeyFile, current, older)
}

// EnvKeys reads them from environment variables; lookup is os.LookupEnv. ErrMasterKey for one that is not set or holds no key.
func EnvKeys(lookup func(string) (string, bool), form gm.Form, current string, older ...string) (*MasterKeys, error) {
	read := func(name string) (sensitive.Key, error) {
		text, ok := lookup(name)
		if !ok {
			return sensitive.Key{}, fmt.Errorf("environment variable %s is not set: %w", name, ErrMasterKey)
		}
		return sensitive.NewKey(text), nil
	}
	return masterKeys(form, read, current, older)
}

func masterKeys(form gm.Form, read func(string) (sensitive.Key, error), current string, older []string) (*MasterKeys, error) {
	m := &MasterKeys{all: map[string]*gm.PrivateKey{}}
	for _, name := range append([]string{current}, older...) {
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		k, err := gm.ParsePrivateKey(text, form)
		if err != nil {
			return nil, fmt.Errorf("master key %s: %w", name, ErrMasterKey.Because(err))
		}
		if err := gm.CheckPair(k, k.Public()); err != nil {
			return nil, fmt.Errorf("master key %s: %w", name, ErrMasterKey.Because(err))
		}
		if m.current == nil {
			m.current = k
		}
		m.all[k.Public().Fingerprint()] = k
	}
	return m, nil
}

func readKeyFile(path string) (sensitive.Key, error) {
	refuse := func(why string) (sensitive.Key, error) {
		return sensitive.Key{}, fmt.Errorf("master key file %s %s: %w", path, why, ErrMasterKey)
	}
	f, err := os.Open(path) //nolint:gosec // the path is the operator's own setting
	if err != nil {
		return sensitive.Key{}, fmt.Errorf("master key file: %w", ErrMasterKey.Because(err))
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return sensitive.Key{}, fmt.Errorf("master key file: %w", ErrMasterKey.Because(err))
	}
	if !info.Mode().IsRegular() {
		return refuse("is not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return refuse(fmt.Sprintf("has mode %04o and may be used by group or others; make it 0600", mode))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return sensitive.Key{}, fmt.Errorf("master key file: %w", ErrMasterKey.Because(err))
	}
	if len(text) > maxKeyFile {
		return refuse("is too long for a key")
	}
	return sensitive.NewKey(string(text)), nil
}

// Wrap encrypts by the current master key.
func (m *MasterKeys) Wrap(_ context.Context, dataKey []byte) ([]byte, string, error) {
	box, err := gm.Wrap(m.current.Public(), dataKey)
	if err != nil {
		return nil, "", err
	}
	mac, err := boxMAC(m.current, box)
	if err != nil {
		return nil, "", err
	}
	return append(append([]byte{wrapFormat}, mac...), box...), m.current.Public().Fingerprint(), nil
}

// Unwrap decrypts by the master key of that name. The HMAC is checked first: SM2 decryption sees only what we wrapped ourselves.
func (m *MasterKeys) Unwrap(_ context.Context, masterID string, wrapped []byte) ([]byte, error) {
	k, ok := m.all[masterID]
	if !ok {
		return nil, fmt.Errorf("it was wrapped by master key %s, the configured one is %s: %w", masterID, m.ID(), ErrMasterKey)
	}
	if len(wrapped) < 1+wrapMAC || wrapped[0] != wrapFormat {
		return nil, fmt.Errorf("not a wrapped key: %w", ErrMasterKey)
	}
	box := wrapped[1+wrapMAC:]
	mac, err := boxMAC(k, box)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(mac, wrapped[1:1+wrapMAC]) {
		return nil, fmt.Errorf("not wrapped by master key %s: %w", masterID, ErrMasterKey)
	}
	plain, err := gm.Unwrap(k, box)
	if err != nil {
		return nil, fmt.Errorf("master key %s: %w", masterID, ErrMasterKey.Because(err))
	}
	return plain, nil
}

// boxMAC is under a key of its own, made from the private key.
func boxMAC(k *gm.PrivateKey, box []byte) ([]byte, error) {
	key, err := gm.HMACSM3(k.Reveal(), []byte("tuoka wrapped data key"))
	if err != nil {
		return nil, err
	}
	return gm.HMACSM3(key, box)
}

// ID names the master key that wraps: the fingerprint of its public key.
func (m *MasterKeys) ID() string { return m.current.Public().Fingerprint() }

// Format answers every verb with a label.
func (m *MasterKeys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[master keys]") }

// LogValue is a label.
func (m *MasterKeys) LogValue() slog.Value { return slog.StringValue("[master keys]") }

// NewMasterKeyFile writes a fresh master key as PEM to a file that must not exist yet, mode 0600, and gives its ID. Keep a copy where
// the database's backups are not: without it, nothing that is sealed can ever be read.
func NewMasterKeyFile(path string) (id string, err error) {
	k := gm.GenerateKey()
	text, err := k.PEM()
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the path is the operator's own setting
	if err != nil {
		return "", fmt.Errorf("new master key file: %w", ErrMasterKey.Because(err))
	}
	_, err = io.Copy(f, bytes.NewReader(text))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		_ = os.Remove(path) // half a key is none
		return "", fmt.Errorf("new master key file: %w", ErrMasterKey.Because(err))
	}
	return k.Public().Fingerprint(), nil
}
