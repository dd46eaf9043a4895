package gm

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
)

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	p, msg, sig := standardKey(t).Public(), []byte("message digest"), unhex(t, standardR+standardS)
	r, s, n, zero := sig[:32], sig[32:], unhex(t, curveN), make([]byte, 32)
	sPlusN := new(big.Int).Add(new(big.Int).SetBytes(s), new(big.Int).SetBytes(n))
	raw := map[string][]byte{
		"63 bytes": sig[:63], "65 bytes": append(slices.Clone(sig), 0), "empty": nil, "one byte": {1},
		"r = 0": slices.Concat(zero, s), "s = 0": slices.Concat(r, zero), "r = n": slices.Concat(n, s), "s = n": slices.Concat(r, n),
		"both zero": make([]byte, 64), "exchanged": slices.Concat(s, r), "DER": derOf(t, derSignature{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)}),
		"r + s = n": slices.Concat(r, new(big.Int).Sub(new(big.Int).SetBytes(n), new(big.Int).SetBytes(r)).FillBytes(make([]byte, 32))),
	}
	for name, bad := range raw {
		if VerifyRaw(p, msg, bad) {
			t.Errorf("VerifyRaw takes %s", name)
		}
	}
	bigR, bigS := new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)
	good := derOf(t, derSignature{bigR, bigS})
	if !VerifyDER(p, msg, good) {
		t.Fatal("the good DER signature is refused")
	}
	long := slices.Concat([]byte{0x30, 0x81, good[1]}, good[2:])
	der := map[string][]byte{
		"empty": nil, "raw": sig, "cut": good[:len(good)-1], "a byte behind": append(slices.Clone(good), 0), "long length form": long,
		"a third integer": derOf(t, struct{ R, S, T *big.Int }{bigR, bigS, big.NewInt(1)}), "s + n": derOf(t, derSignature{bigR, sPlusN}),
		"negative r": derOf(t, derSignature{new(big.Int).Neg(bigR), bigS}), "r = 0": derOf(t, derSignature{new(big.Int), bigS}),
		"octets": derOf(t, struct{ R, S []byte }{r, s}), "a set": slices.Concat([]byte{0x31}, good[1:]), "huge": bytes.Repeat(good, 1000),
	}
	for name, bad := range der {
		if VerifyDER(p, msg, bad) {
			t.Errorf("VerifyDER takes %s", name)
		}
	}
	if VerifyDER(p, msg, thirdInteger(t, msg)) {
		t.Error("VerifyDER takes a third integer within the length")
	}
	if VerifyRaw(p, nil, sig) || VerifyDER(p, nil, good) {
		t.Error("an empty message is verified")
	}
	if _, err := SignRaw(standardKey(t), nil); !errors.Is(err, ErrInput) {
		t.Errorf("SignRaw of nothing = %v, want ErrInput", err)
	}
}

// thirdInteger is a signature so short (one in 256) that another integer stays within the longest length.
func thirdInteger(t *testing.T, msg []byte) []byte {
	t.Helper()
	for range 100_000 {
		r, s, err := sign(standardKey(t), userID, msg, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if der := derOf(t, struct{ R, S, T *big.Int }{r, s, big.NewInt(1)}); len(der) <= longestDER {
			return der
		}
	}
	t.Fatal("no short signature found")
	return nil
}

func TestUnwrapRefuses(t *testing.T) {
	t.Parallel()
	k := standardKey(t)
	plain := []byte("0123456789abcdef")
	box, err := Wrap(k.Public(), plain)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name string, got []byte, err error) {
		t.Helper()
		if got != nil || !errors.Is(err, ErrInput) || err.Error() != "sm2 unwrap: "+ErrInput.Error() {
			t.Errorf("%s = %x, %v, want the one ErrInput", name, got, err)
		}
	}
	for n := range box { // 0, 1, 64, 96, 97, 112 and all between
		got, err := Unwrap(k, box[:n])
		refused(fmt.Sprintf("Unwrap of %d bytes", n), got, err)
		got, err = UnwrapC1C2C3(k, box[:n])
		refused(fmt.Sprintf("UnwrapC1C2C3 of %d bytes", n), got, err)
	}
	for i := range box {
		for bit := range 8 {
			bad := slices.Clone(box)
			bad[i] ^= 1 << bit
			if i > 64 && bit != 0 {
				continue // one bit of each byte behind the point; decryption takes half a millisecond
			}
			got, err := Unwrap(k, bad)
			refused(fmt.Sprintf("Unwrap with bit %d of byte %d changed", bit, i), got, err)
		}
	}
	x, y, c3, c2 := new(big.Int).SetBytes(box[1:33]), new(big.Int).SetBytes(box[33:65]), box[65:97], box[97:]
	infinity := slices.Concat([]byte{4}, make([]byte, 64), c3, c2)
	xIsP := slices.Concat([]byte{4}, unhex(t, curveP), box[33:])
	for name, bad := range map[string][]byte{"infinity": infinity, "x = p": xIsP, "without 04": box[1:], "another's": nil, "C1C2C3": slices.Concat(box[:65], c2, c3)} {
		if name == "another's" {
			if bad, err = Wrap(GenerateKey().Public(), plain); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Unwrap(k, bad)
		refused("Unwrap of "+name, got, err)
	}
	if got, err := UnwrapDER(k, derOf(t, derWrap{x, y, c3, c2})); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("UnwrapDER = %x, %v", got, err)
	}
	good := derOf(t, derWrap{x, y, c3, c2})
	for name, bad := range map[string][]byte{
		"empty": nil, "a byte behind": append(slices.Clone(good), 0), "cut": good[:40], "raw": box,
		"short C3": derOf(t, derWrap{x, y, c3[1:], c2}), "short C2": derOf(t, derWrap{x, y, c3, c2[1:]}), "no C2": derOf(t, derWrap{x, y, c3, nil}),
		"off the curve": derOf(t, derWrap{x, new(big.Int).Add(y, big.NewInt(1)), c3, c2}), "negative": derOf(t, derWrap{new(big.Int).Neg(x), y, c3, c2}),
		"huge x": derOf(t, derWrap{new(big.Int).Lsh(x, 4000), y, c3, c2}), "zero": derOf(t, derWrap{new(big.Int), new(big.Int), c3, c2}),
		"a number only": derOf(t, asn1.RawValue{Tag: asn1.TagInteger, Bytes: []byte{1}}),
	} {
		got, err := UnwrapDER(k, bad)
		refused("UnwrapDER of "+name, got, err)
	}
	for n := range 16 {
		if _, err := Wrap(k.Public(), make([]byte, n)); !errors.Is(err, ErrInput) {
			t.Errorf("Wrap of %d bytes = %v, want ErrInput", n, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	key, aad, plain := random(16), []byte("patient\x00id_number\x0017"), []byte("a sealed text")
	box, err := Seal(key, aad, plain)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 28 {
		if _, err := Open(key, aad, box[:n]); !errors.Is(err, ErrInput) {
			t.Errorf("Open of %d bytes = %v, want ErrInput", n, err)
		}
	}
	flip := func(what string, b []byte, open func([]byte) ([]byte, error)) {
		t.Helper()
		for i := range len(b) * 8 {
			bad := slices.Clone(b)
			bad[i/8] ^= 1 << (i % 8)
			if got, err := open(bad); got != nil || !errors.Is(err, ErrAuthentication) {
				t.Errorf("bit %d of the %s changed: %x, %v, want ErrAuthentication", i, what, got, err)
			}
		}
	}
	flip("box", box, func(b []byte) ([]byte, error) { return Open(key, aad, b) })
	flip("aad", aad, func(b []byte) ([]byte, error) { return Open(key, b, box) })
	flip("key", key, func(b []byte) ([]byte, error) { return Open(b, aad, box) })
	for _, n := range []int{0, 1, 15, 17, 24, 32} {
		_, e1 := Seal(make([]byte, n), aad, plain)
		_, e2 := Open(make([]byte, n), aad, box)
		_, e3 := EncryptECB(make([]byte, n), plain)
		_, e4 := DecryptECB(make([]byte, n), make([]byte, 16))
		for i, err := range []error{e1, e2, e3, e4} {
			if !errors.Is(err, ErrInput) {
				t.Errorf("call %d with a key of %d bytes = %v, want ErrInput", i+1, n, err)
			}
		}
	}
	empty, err := Seal(key, nil, nil)
	if err != nil || len(empty) != 28 {
		t.Fatalf("Seal of nothing gives %d bytes, %v, want 28", len(empty), err)
	}
	if got, err := Open(key, nil, empty); err != nil || len(got) != 0 {
		t.Errorf("Open of it = %x, %v", got, err)
	}
	again, err := Seal(key, aad, plain)
	if err != nil || bytes.Equal(again, box) {
		t.Errorf("sealed twice gives the same box, %v", err)
	}
}

func TestECBRefuses(t *testing.T) {
	t.Parallel()
	key := random(16)
	if _, err := EncryptECB(key, nil); !errors.Is(err, ErrInput) {
		t.Errorf("EncryptECB of nothing = %v, want ErrInput", err)
	}
	// block encrypts one block of ours without padding, so that the padding can be anything.
	block := func(plain []byte) []byte {
		t.Helper()
		box, err := EncryptECB(key, plain)
		if err != nil {
			t.Fatal(err)
		}
		return box[:len(box)-16]
	}
	pad := func(text string, tail ...byte) []byte { return block(append([]byte(text), tail...)) }
	tests := map[string][]byte{
		"empty": nil, "one byte": {1}, "15 bytes": make([]byte, 15), "17 bytes": make([]byte, 17),
		"padding 0": pad("fifteen letters", 0), "padding 17": pad("fifteen letters", 17), "padding 255": pad("fifteen letters", 255),
		"wrong padding byte": pad("thirteen lett", 3, 2, 3), "nothing but padding": pad("", bytes.Repeat([]byte{16}, 16)...),
	}
	var first error
	for name, box := range tests {
		got, err := DecryptECB(key, box)
		if got != nil || !errors.Is(err, ErrInput) {
			t.Errorf("%s = %x, %v, want ErrInput", name, got, err)
		}
		if first == nil {
			first = err
		}
		if err != nil && err.Error() != first.Error() {
			t.Errorf("%s can be told apart: %v", name, err)
		}
	}
	if got, err := DecryptECB(key, pad("thirteen lett", 3, 3, 3)); err != nil || string(got) != "thirteen lett" {
		t.Errorf("a good block = %q, %v", got, err)
	}
}

// TestECBKeepsToItself: the library's own mode wrote its padding behind the caller's slice.
func TestECBKeepsToItself(t *testing.T) {
	t.Parallel()
	key, buf := random(16), bytes.Repeat([]byte{0xaa}, 32)
	box, err := EncryptECB(key, buf[:10])
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.Clone(box)
	if _, err := DecryptECB(key, box); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf, bytes.Repeat([]byte{0xaa}, 32)) || !bytes.Equal(box, kept) {
		t.Error("the caller's bytes were changed")
	}
}

func TestBlindIndex(t *testing.T) {
	t.Parallel()
	key, other := random(32), random(32)
	base, err := BlindIndex(key, "phone", "13800000000")
	if err != nil || len(base) != 32 {
		t.Fatalf("BlindIndex = %x, %v", base, err)
	}
	want, err := HMACSM3(key, []byte("phone\x0013800000000"))
	if err != nil || !hmac.Equal(base, want) {
		t.Errorf("BlindIndex = %x, want %x", base, want)
	}
	for _, tt := range []struct {
		name, field, text string
		key               []byte
	}{
		{"another text", "phone", "13800000001", key}, {"another field", "phon", "e13800000000", key}, {"another key", "phone", "13800000000", other},
	} {
		if got, err := BlindIndex(tt.key, tt.field, tt.text); err != nil || hmac.Equal(got, base) {
			t.Errorf("%s has the same index, %v", tt.name, err)
		}
	}
	for _, tt := range []struct {
		name, field, text string
		key               []byte
	}{
		{"short key", "f", "t", key[:15]}, {"no key", "f", "t", nil}, {"no field", "", "t", key}, {"no text", "f", "", key}, {"zero byte in the field", "f\x00g", "t", key},
	} {
		if got, err := BlindIndex(tt.key, tt.field, tt.text); got != nil || !errors.Is(err, ErrInput) {
			t.Errorf("%s = %x, %v, want ErrInput", tt.name, got, err)
		}
	}
}

// TestGoroutines runs everything from eight goroutines on the same keys; under -race it proves that nothing is shared. Shared cipher
// objects fail it without -race as well, in one box out of four.
func TestGoroutines(t *testing.T) {
	t.Parallel()
	k, sealKey, macKey, aad := standardKey(t), random(16), random(32), []byte("place")
	p := k.Public()
	round := func(msg []byte) error {
		box, err := Seal(sealKey, aad, msg)
		if err != nil {
			return err
		}
		if got, err := Open(sealKey, aad, box); err != nil || !bytes.Equal(got, msg) {
			return fmt.Errorf("gcm: %w", err)
		}
		if box, err = EncryptECB(sealKey, msg); err != nil {
			return err
		}
		if got, err := DecryptECB(sealKey, box); err != nil || !bytes.Equal(got, msg) {
			return fmt.Errorf("ecb: %w", err)
		}
		a, err := HMACSM3(macKey, msg)
		if err != nil {
			return err
		}
		if b, err := HMACSM3(macKey, msg); err != nil || !hmac.Equal(a, b) {
			return fmt.Errorf("hmac: %w", err)
		}
		return nil
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				if err := round(bytes.Repeat([]byte{byte(g), byte(i)}, 1+i)); err != nil {
					t.Errorf("goroutine %d: %v", g, err)
				}
			}
			for range 3 {
				if err := CheckPair(k, p); err != nil {
					t.Errorf("goroutine %d: %v", g, err)
				}
			}
		})
	}
	wg.Wait()
}
