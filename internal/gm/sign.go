package gm

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"

	"github.com/tjfoc/gmsm/sm2"
)

// userID is the default identity of GM/T 0009 §10, which every counterpart uses.
const userID = "1234567812345678"

// longestDER is a signature with two 33-byte integers.
const longestDER = 72

// SignRaw signs the message itself, not a digest of it (SM2 with SM3, default user id): r||s, 64 bytes. ErrInput for a zero key or an
// empty message.
func SignRaw(k *PrivateKey, msg []byte) ([]byte, error) { return SignRawAs(k, userID, msg) }

// SignRawAs is SignRaw under another user id than the default, for a counterpart that wants one. ErrInput for an empty id, too.
func SignRawAs(k *PrivateKey, id string, msg []byte) ([]byte, error) {
	r, s, err := sign(k, id, msg, rand.Reader)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 2*scalarSize)
	r.FillBytes(out[:scalarSize]) // big.Int alone would drop leading zeros
	s.FillBytes(out[scalarSize:])
	return out, nil
}

// SignDER is SignRaw written as ASN.1 SEQUENCE{r, s}.
func SignDER(k *PrivateKey, msg []byte) ([]byte, error) {
	r, s, err := sign(k, userID, msg, rand.Reader)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(derSignature{r, s})
}

type derSignature struct{ R, S *big.Int }

func sign(k *PrivateKey, id string, msg []byte, random io.Reader) (r, s *big.Int, err error) {
	if !k.usable() || id == "" || len(msg) == 0 {
		return nil, nil, fmt.Errorf("sm2 sign without key or message: %w", ErrInput)
	}
	return sm2.Sm2Sign(k.key, msg, []byte(id), random)
}

// VerifyRaw reports whether sig is r||s (64 bytes) by that key over the message. It costs a millisecond: check size, time stamp and
// rate first. False for a zero key or an empty message.
func VerifyRaw(p *PublicKey, msg, sig []byte) bool { return VerifyRawAs(p, userID, msg, sig) }

// VerifyRawAs is VerifyRaw under another user id than the default.
func VerifyRawAs(p *PublicKey, id string, msg, sig []byte) bool {
	if len(sig) != 2*scalarSize {
		return false
	}
	return verify(p, id, msg, new(big.Int).SetBytes(sig[:scalarSize]), new(big.Int).SetBytes(sig[scalarSize:]))
}

// VerifyDER is VerifyRaw for ASN.1 SEQUENCE{r, s} in its one canonical encoding; anything behind or inside it makes it false.
func VerifyDER(p *PublicKey, msg, sig []byte) bool {
	if len(sig) > longestDER {
		return false
	}
	var v derSignature
	if rest, err := asn1.Unmarshal(sig, &v); err != nil || len(rest) != 0 {
		return false
	}
	if canonical, err := asn1.Marshal(v); err != nil || !bytes.Equal(canonical, sig) {
		return false
	}
	return verify(p, userID, msg, v.R, v.S)
}

func verify(p *PublicKey, id string, msg []byte, r, s *big.Int) bool {
	return p.usable() && id != "" && len(msg) != 0 && sm2.Sm2Verify(p.key, msg, []byte(id), r, s)
}

// CheckPair signs and verifies one message and wraps and unwraps one key with a configured pair, so that two keys of different pairs,
// or an empty setting, stop the start and not the first payment. ErrAuthentication when they do not belong together.
func CheckPair(k *PrivateKey, p *PublicKey) error {
	msg := []byte("tuoka start-up test of a key pair")
	sig, err := SignRaw(k, msg)
	if err != nil {
		return err
	}
	if !VerifyRaw(p, msg, sig) {
		return fmt.Errorf("key pair: signature: %w", ErrAuthentication)
	}
	box, err := Wrap(p, msg)
	if err != nil {
		return err
	}
	if plain, err := Unwrap(k, box); err != nil || !bytes.Equal(plain, msg) {
		return fmt.Errorf("key pair: wrapping: %w", ErrAuthentication)
	}
	return nil
}
