package gm

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/tjfoc/gmsm/sm4"
)

// The standards' own examples, and one of ours that two other implementations agree on.

const (
	standardD = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"
	standardX = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
	standardY = "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
	standardK = "59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21"
	standardR = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
	standardS = "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"

	curveN = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"
	curveP = "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func standardKey(t testing.TB) *PrivateKey {
	t.Helper()
	k, err := NewPrivateKey(unhex(t, standardD))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// fixedK makes the library draw the standard's k: it reads 40 bytes b and takes (b mod (n−1)) + 1.
func fixedK(t testing.TB) *bytes.Reader {
	t.Helper()
	k := new(big.Int).SetBytes(unhex(t, standardK))
	return bytes.NewReader(k.Sub(k, big.NewInt(1)).FillBytes(make([]byte, 40)))
}

func TestSM3Standard(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"abc":                      "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
		strings.Repeat("abcd", 16): "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
	} {
		if got := SM3([]byte(in)); hex.EncodeToString(got[:]) != want {
			t.Errorf("SM3(%q) = %x, want %s", in, got, want)
		}
		h := NewSM3()
		for _, b := range []byte(in) {
			_, _ = h.Write([]byte{b})
			_ = h.Sum([]byte("a prefix must not be hashed"))
		}
		if got, want := h.Sum([]byte("ab")), "6162"+want; hex.EncodeToString(got) != want {
			t.Errorf("Sum(ab) of %q = %x, want %s", in, got, want)
		}
	}
}

func TestHMACSM3Known(t *testing.T) {
	t.Parallel()
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i + 1)
	}
	want := unhex(t, "44809d3ff5336f44071be1917887380730ae145f940a53819279801784c65e17")
	for _, parts := range [][][]byte{{[]byte("abc")}, {[]byte("a"), nil, []byte("bc")}} {
		if got, err := HMACSM3(key, parts...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("HMACSM3(%q) = %x, %v, want %x", parts, got, err, want)
		}
	}
}

// TestSM4Standard is GB/T 32907 appendix A: one block, and a million times the same block.
func TestSM4Standard(t *testing.T) {
	t.Parallel()
	key := unhex(t, "0123456789abcdeffedcba9876543210")
	box, err := EncryptECB(key, key)
	if err != nil {
		t.Fatal(err)
	}
	if want := unhex(t, "681edf34d206965e86b3e94f536e4246"); !bytes.Equal(box[:16], want) {
		t.Errorf("first block = %x, want %x", box[:16], want)
	}
	block, err := sm4.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	text := slices.Clone(key)
	for range 1_000_000 {
		block.Encrypt(text, text)
	}
	if want := unhex(t, "595298c7c6fd271f0402f804c33d3f66"); !bytes.Equal(text, want) {
		t.Errorf("after a million rounds = %x, want %x", text, want)
	}
}

// TestGCMStandard is RFC 8998 appendix A.1.
func TestGCMStandard(t *testing.T) {
	t.Parallel()
	key := unhex(t, "0123456789abcdeffedcba9876543210")
	nonce := unhex(t, "00001234567800000000abcd")
	aad := unhex(t, "feedfacedeadbeeffeedfacedeadbeefabaddad2")
	var text []byte
	for _, b := range unhex(t, "aabbccddeeffeeaa") {
		text = append(text, bytes.Repeat([]byte{b}, 8)...)
	}
	sealed := unhex(t, "17f399f08c67d5ee19d0dc9969c4bb7d 5fd46fd3756489069157b282bb200735 d82710ca5c22f0ccfa7cbf93d496ac15 "+
		"a56834cbcf98c397b4024a2691233b8d 83de3541e4c2b58177e065a9bf7b62ec")
	got, err := Open(key, aad, slices.Concat(nonce, sealed))
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("Open = %x, %v, want %x", got, err, text)
	}
	g, err := aead(key)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Seal(nil, nonce, text, aad); !bytes.Equal(got, sealed) {
		t.Errorf("sealed = %x, want %x", got, sealed)
	}
}

// TestSM2Standard is GB/T 32918.5: the key, the signature and the ciphertext of its annexes, with its k.
func TestSM2Standard(t *testing.T) {
	t.Parallel()
	k := standardKey(t)
	if got, want := k.Public().Bytes(), unhex(t, "04"+standardX+standardY); !bytes.Equal(got, want) {
		t.Fatalf("public key = %x, want %x", got, want)
	}
	msg, sig := []byte("message digest"), unhex(t, standardR+standardS)
	r, s, err := sign(k, userID, msg, fixedK(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))); !bytes.Equal(got, sig) {
		t.Errorf("signature = %x, want %x", got, sig)
	}
	if !VerifyRaw(k.Public(), msg, sig) {
		t.Error("the standard's signature is refused")
	}
	if VerifyRaw(k.Public(), []byte("message digesT"), sig) {
		t.Error("another message is accepted")
	}
	der, err := asn1.Marshal(derSignature{r, s})
	if err != nil {
		t.Fatal(err)
	}
	if !VerifyDER(k.Public(), msg, der) {
		t.Error("the standard's signature as DER is refused")
	}
}

func TestSM2EncryptionStandard(t *testing.T) {
	t.Parallel()
	k, plain := standardKey(t), []byte("encryption standard")
	c1 := unhex(t, "04 04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73 e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0")
	c3 := unhex(t, "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766")
	c2 := unhex(t, "21886ca989ca9c7d58087307ca93092d651efa")
	got, err := wrap(k.Public(), plain, fixedK(t))
	if want := slices.Concat(c1, c3, c2); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("wrap = %x, %v, want %x", got, err, want)
	}
	der, err := asn1.Marshal(derWrap{new(big.Int).SetBytes(c1[1:33]), new(big.Int).SetBytes(c1[33:]), c3, c2})
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"C1C3C2": func() ([]byte, error) { return Unwrap(k, slices.Concat(c1, c3, c2)) },
		"C1C2C3": func() ([]byte, error) { return UnwrapC1C2C3(k, slices.Concat(c1, c2, c3)) },
		"ASN.1":  func() ([]byte, error) { return UnwrapDER(k, der) },
	} {
		if got, err := open(); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s = %q, %v, want %q", name, got, err, plain)
		}
	}
}
