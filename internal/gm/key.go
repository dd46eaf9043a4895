package gm

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/big"

	"github.com/tjfoc/gmsm/sm2"
)

const (
	scalarSize = 32
	pointSize  = 1 + 2*scalarSize // 04||X||Y

	// shortestScalar refuses settings that were cut off. Java's BigInteger drops leading zero bytes, so a good scalar may be
	// shorter than 32 bytes, but one of fewer than 28 comes up once in 2^32 keys.
	shortestScalar = 28

	// uncompressed is the first byte of a point given by both coordinates (SEC 1 §2.3.3).
	uncompressed = 4

	hiddenLabel = "[hidden]"
)

// PrivateKey is an SM2 private key with 1 ≤ d < n−1. It prints as a label; the zero value and nil sign and unwrap nothing.
type PrivateKey struct{ key *sm2.PrivateKey }

// PublicKey is a point on the SM2 curve. The zero value and nil verify and wrap nothing.
type PublicKey struct{ key *sm2.PublicKey }

// NewPrivateKey takes the scalar, big endian: 32 bytes, 33 with a leading zero (Java's BigInteger, half of the keys in the field), or
// down to 28 where leading zeros were dropped. ErrInput otherwise, and for 0 and anything from n−1 up.
func NewPrivateKey(raw []byte) (*PrivateKey, error) {
	if len(raw) == scalarSize+1 && raw[0] == 0 {
		raw = raw[1:]
	}
	if len(raw) < shortestScalar || len(raw) > scalarSize {
		return nil, fmt.Errorf("sm2 private key of %d bytes: %w", len(raw), ErrInput)
	}
	d, c := new(big.Int).SetBytes(raw), sm2.P256Sm2()
	if d.Sign() == 0 || d.Cmp(new(big.Int).Sub(c.Params().N, big.NewInt(1))) >= 0 {
		return nil, fmt.Errorf("sm2 private key out of range: %w", ErrInput)
	}
	k := &sm2.PrivateKey{D: d}
	k.Curve = c
	k.X, k.Y = c.ScalarBaseMult(d.FillBytes(make([]byte, scalarSize)))
	return &PrivateKey{k}, nil
}

// NewPublicKey takes a point as X||Y (64 bytes) or 04||X||Y (65 bytes). ErrInput for anything else, the compressed forms included, and
// for a point that is not on the curve.
func NewPublicKey(raw []byte) (*PublicKey, error) {
	if len(raw) == pointSize && raw[0] == uncompressed {
		raw = raw[1:]
	}
	if len(raw) != pointSize-1 {
		return nil, fmt.Errorf("sm2 public key of %d bytes: %w", len(raw), ErrInput)
	}
	x, y := new(big.Int).SetBytes(raw[:scalarSize]), new(big.Int).SetBytes(raw[scalarSize:])
	if !onCurve(x, y) {
		return nil, fmt.Errorf("sm2 public key off the curve: %w", ErrInput)
	}
	return &PublicKey{&sm2.PublicKey{Curve: sm2.P256Sm2(), X: x, Y: y}}, nil
}

// onCurve says whether a point from outside may be calculated with. The library itself does not ask, and points off the curve, fed to
// its decryption, give away the private key piece by piece (section 2, hazard 2).
func onCurve(x, y *big.Int) bool {
	c := sm2.P256Sm2()
	p := c.Params().P
	return x.Sign() > 0 && y.Sign() > 0 && x.Cmp(p) < 0 && y.Cmp(p) < 0 && c.IsOnCurve(x, y)
}

// GenerateKey makes a new private key.
func GenerateKey() *PrivateKey {
	raw := make([]byte, scalarSize)
	for {
		_, _ = rand.Read(raw) // never fails: it ends the process when the machine has no randomness
		if k, err := NewPrivateKey(raw); err == nil {
			return k // all but one in 2^32 draws
		}
	}
}

// Public is the key's other half.
func (k *PrivateKey) Public() *PublicKey {
	if !k.usable() {
		return nil
	}
	return &PublicKey{&k.key.PublicKey}
}

// Reveal gives the scalar, 32 bytes; nil for a zero key.
func (k *PrivateKey) Reveal() []byte {
	if !k.usable() {
		return nil
	}
	return k.key.D.FillBytes(make([]byte, scalarSize))
}

// Equal compares two private keys without telling by time where they differ. Zero keys equal nothing.
func (k *PrivateKey) Equal(o *PrivateKey) bool {
	return k.usable() && o.usable() && subtle.ConstantTimeCompare(k.Reveal(), o.Reveal()) == 1
}

func (k *PrivateKey) usable() bool { return k != nil && k.key != nil }

// Format answers every verb with a label.
func (PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenLabel) }

// LogValue is a label.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue(hiddenLabel) }

// MarshalText is a label; JSON, XML and YAML encoders use it.
func (PrivateKey) MarshalText() ([]byte, error) { return []byte(hiddenLabel), nil }

// Bytes gives the point as 04||X||Y, 65 bytes; nil for a zero key.
func (p *PublicKey) Bytes() []byte {
	if !p.usable() {
		return nil
	}
	out := make([]byte, pointSize)
	out[0] = uncompressed
	p.key.X.FillBytes(out[1 : 1+scalarSize])
	p.key.Y.FillBytes(out[1+scalarSize:])
	return out
}

// Fingerprint names the key in logs and columns: 16 hex digits of the SM3 of Bytes, empty for a zero key.
func (p *PublicKey) Fingerprint() string {
	if !p.usable() {
		return ""
	}
	sum := SM3(p.Bytes())
	return hex.EncodeToString(sum[:8])
}

// Equal compares two public keys. Zero keys equal nothing.
func (p *PublicKey) Equal(o *PublicKey) bool {
	return p.usable() && o.usable() && p.key.X.Cmp(o.key.X) == 0 && p.key.Y.Cmp(o.key.Y) == 0
}

func (p *PublicKey) usable() bool { return p != nil && p.key != nil }
