package gm

import (
	"crypto/hmac"
	"fmt"
	"hash"
	"strings"

	"github.com/tjfoc/gmsm/sm3"
)

// shortestMACKey is the least that a MAC is made with: 128 bits. An empty setting would make one that anybody can make.
const shortestMACKey = 16

// SM3 is the digest of GB/T 32905.
func SM3(b []byte) [digestSize]byte {
	h := sm3.New()
	_, _ = h.Write(b) // a hash takes everything
	var out [digestSize]byte
	copy(out[:], h.Sum(nil))
	return out
}

// NewSM3 is SM3 for streams. It keeps the contract of hash.Hash, which the library's own Sum does not: that one hashes its argument.
func NewSM3() hash.Hash { return digest{sm3.New()} }

type digest struct{ hash.Hash }

// Sum appends the digest of what was written to b and leaves the state alone.
func (d digest) Sum(b []byte) []byte { return append(b, d.Hash.Sum(nil)...) }

// HMACSM3 is HMAC (GB/T 15852.2) over the parts one behind the other, 32 bytes. Where one part ends is not protected: callers with
// several fields put lengths or separators between them. Compare by hmac.Equal. ErrInput for a key of fewer than 16 bytes.
func HMACSM3(key []byte, parts ...[]byte) ([]byte, error) {
	if len(key) < shortestMACKey {
		return nil, fmt.Errorf("hmac key of %d bytes: %w", len(key), ErrInput)
	}
	h := hmac.New(NewSM3, key)
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	return h.Sum(nil), nil
}

// BlindIndex is what a sealed field is searched by: HMAC-SM3 over the field's name, a zero byte and the normalised text, 32 bytes.
// ErrInput for a short key, and for an empty name or text or a name with a zero byte in it: they would make different fields collide.
func BlindIndex(key []byte, field, normalized string) ([]byte, error) {
	if field == "" || normalized == "" || strings.ContainsRune(field, 0) {
		return nil, fmt.Errorf("blind index of %q: %w", field, ErrInput)
	}
	return HMACSM3(key, []byte(field), []byte{0}, []byte(normalized))
}
