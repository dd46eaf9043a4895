package gm

import (
	"crypto/rand"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/tjfoc/gmsm/sm2"
)

const (
	digestSize = 32

	// shortestWrap is the least that is wrapped, an SM4 key. The library never returns from encrypting nothing, and with a few
	// bytes its key stream may be all zero.
	shortestWrap = 16

	wrapOverhead = pointSize + digestSize
)

// Wrap encrypts a key of at least 16 bytes by SM2: 04||C1||C3||C2, 97 bytes longer than the key. ErrInput for a zero key or less.
func Wrap(p *PublicKey, key []byte) ([]byte, error) { return wrap(p, key, rand.Reader) }

func wrap(p *PublicKey, key []byte, random io.Reader) ([]byte, error) {
	if !p.usable() || len(key) < shortestWrap {
		return nil, fmt.Errorf("sm2 wrap %d bytes: %w", len(key), ErrInput)
	}
	return sm2.Encrypt(p.key, key, random, sm2.C1C3C2)
}

// Unwrap opens 04||C1||C3||C2 with at least 16 bytes inside. Use it on what we wrapped ourselves, or on input whose signature was
// checked before: it is not constant in time. ErrInput for every failure, and then no plaintext.
func Unwrap(k *PrivateKey, box []byte) ([]byte, error) {
	if !k.usable() || len(box) < wrapOverhead+shortestWrap || box[0] != uncompressed {
		return nil, fmt.Errorf("sm2 unwrap: %w", ErrInput)
	}
	x, y := new(big.Int).SetBytes(box[1:1+scalarSize]), new(big.Int).SetBytes(box[1+scalarSize:pointSize])
	if !onCurve(x, y) {
		return nil, fmt.Errorf("sm2 unwrap: %w", ErrInput)
	}
	plain, err := sm2.Decrypt(k.key, box, sm2.C1C3C2)
	if err != nil { // plain then holds what was not authenticated
		return nil, fmt.Errorf("sm2 unwrap: %w", ErrInput)
	}
	return plain, nil
}

// UnwrapC1C2C3 is Unwrap for the older order 04||C1||C2||C3, which BouncyCastle writes unless told otherwise. The contract with the
// counterpart says which it is; the bytes do not.
func UnwrapC1C2C3(k *PrivateKey, box []byte) ([]byte, error) {
	if len(box) < wrapOverhead {
		return nil, fmt.Errorf("sm2 unwrap: %w", ErrInput)
	}
	last := len(box) - digestSize
	return Unwrap(k, slices.Concat(box[:pointSize], box[last:], box[pointSize:last]))
}

// derWrap is SM2Cipher (GM/T 0009 §7.2): the order is x, y, C3, C2.
type derWrap struct {
	X, Y *big.Int
	C3   []byte
	C2   []byte
}

// UnwrapDER is Unwrap for the ASN.1 form, which OpenSSL writes.
func UnwrapDER(k *PrivateKey, box []byte) ([]byte, error) {
	var v derWrap
	rest, err := asn1.Unmarshal(box, &v)
	if err != nil || len(rest) != 0 || len(v.C3) != digestSize || !onCurve(v.X, v.Y) {
		return nil, fmt.Errorf("sm2 unwrap: %w", ErrInput)
	}
	point := make([]byte, pointSize)
	point[0] = uncompressed
	v.X.FillBytes(point[1 : 1+scalarSize])
	v.Y.FillBytes(point[1+scalarSize:])
	return Unwrap(k, slices.Concat(point, v.C3, v.C2))
}
