package gm

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"slices"
	"testing"

	emmcipher "github.com/emmansun/gmsm/cipher"
	emmsm2 "github.com/emmansun/gmsm/sm2"
	emmsm3 "github.com/emmansun/gmsm/sm3"
	emmsm4 "github.com/emmansun/gmsm/sm4"
	"github.com/emmansun/gmsm/smx509"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// The second implementation of every cipher: github.com/emmansun/gmsm, both ways. OpenSSL's files stand for the third.

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func emmKey(t *testing.T, k *PrivateKey) *emmsm2.PrivateKey {
	t.Helper()
	e, err := emmsm2.NewPrivateKey(k.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSignaturesAgree(t *testing.T) {
	t.Parallel()
	opts := emmsm2.DefaultSM2SignerOpts
	for i := range 40 {
		k, msg := GenerateKey(), random(1+i*7)
		e := emmKey(t, k)
		der, err := SignDER(k, msg)
		if err != nil {
			t.Fatal(err)
		}
		if !emmsm2.VerifyASN1WithSM2(&e.PublicKey, nil, msg, der) {
			t.Errorf("round %d: emmansun refuses our DER signature", i)
		}
		theirs, err := e.Sign(rand.Reader, msg, opts)
		if err != nil {
			t.Fatal(err)
		}
		if !VerifyDER(k.Public(), msg, theirs) {
			t.Errorf("round %d: we refuse emmansun's DER signature", i)
		}
		raw, err := SignRaw(k, msg)
		if err != nil || len(raw) != 64 {
			t.Fatalf("SignRaw gives %d bytes, %v", len(raw), err)
		}
		digest, err := emmsm2.CalculateSM2Hash(&e.PublicKey, msg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !emmsm2.Verify(&e.PublicKey, digest, new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
			t.Errorf("round %d: emmansun refuses our raw signature", i)
		}
		if !VerifyRaw(k.Public(), msg, raw) || VerifyRaw(k.Public(), append(msg, 0), raw) || VerifyRaw(standardKey(t).Public(), msg, raw) {
			t.Errorf("round %d: our own signature is judged wrongly", i)
		}
	}
}

func TestWrappingAgrees(t *testing.T) {
	t.Parallel()
	plainOf := func(order string) *emmsm2.EncrypterOpts {
		if order == "C1C2C3" {
			return emmsm2.NewPlainEncrypterOpts(emmsm2.MarshalUncompressed, emmsm2.C1C2C3)
		}
		return emmsm2.NewPlainEncrypterOpts(emmsm2.MarshalUncompressed, emmsm2.C1C3C2)
	}
	for i := range 30 {
		k, plain := GenerateKey(), random(16+i*5)
		e := emmKey(t, k)
		box, err := Wrap(k.Public(), plain)
		if err != nil || len(box) != len(plain)+97 {
			t.Fatalf("Wrap gives %d bytes, %v", len(box), err)
		}
		if got, err := e.Decrypt(nil, box, emmsm2.NewPlainDecrypterOpts(emmsm2.C1C3C2)); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("round %d: emmansun opens our box to %x, %v", i, got, err)
		}
		for name, open := range map[string]func(*PrivateKey, []byte) ([]byte, error){"C1C3C2": Unwrap, "C1C2C3": UnwrapC1C2C3} {
			theirs, err := emmsm2.Encrypt(rand.Reader, &e.PublicKey, plain, plainOf(name))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := open(k, theirs); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("round %d: we open emmansun's %s to %x, %v", i, name, got, err)
			}
		}
		theirs, err := emmsm2.EncryptASN1(rand.Reader, &e.PublicKey, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := UnwrapDER(k, theirs); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("round %d: we open emmansun's ASN.1 to %x, %v", i, got, err)
		}
	}
}

func TestDigestsAgree(t *testing.T) {
	t.Parallel()
	for n := range 300 {
		b, key := random(n), random(16+n%100)
		if got, want := SM3(b), emmsm3.Sum(b); got != want {
			t.Errorf("SM3 of %d bytes = %x, want %x", n, got, want)
		}
		ours, theirs := NewSM3(), emmsm3.New()
		for at := 0; at < n; at += 13 { // in pieces, with a look between them
			piece := b[at:min(at+13, n)]
			_, _ = ours.Write(piece)
			_, _ = theirs.Write(piece)
			if got, want := ours.Sum(key), theirs.Sum(key); !bytes.Equal(got, want) {
				t.Errorf("Sum after %d of %d bytes = %x, want %x", at, n, got, want)
			}
		}
		m := hmac.New(emmsm3.New, key)
		_, _ = m.Write(b)
		if got, err := HMACSM3(key, b[:n/2], b[n/2:]); err != nil || !hmac.Equal(got, m.Sum(nil)) {
			t.Errorf("HMAC of %d bytes = %x, %v", n, got, err)
		}
	}
}

func TestSM4Agrees(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		key, plain, aad := random(16), random(n), random(n%50)
		block, err := emmsm4.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		g, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		box, err := Seal(key, aad, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := g.Open(nil, box[:12], box[12:], aad); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: emmansun opens our box to %x, %v", n, got, err)
		}
		nonce := random(12)
		nonce[n%12] = 0xff // the library's own GCM goes wrong on these
		if n%3 == 0 {
			nonce = bytes.Repeat([]byte{0xff}, 12)
		}
		if got, err := Open(key, aad, g.Seal(slices.Clone(nonce), nonce, plain, aad)); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: we open emmansun's box to %x, %v", n, got, err)
		}
		if n == 0 {
			continue
		}
		ours, err := EncryptECB(key, plain)
		if err != nil {
			t.Fatal(err)
		}
		pad := 16 - n%16
		theirs := append(slices.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
		emmcipher.NewECBEncrypter(block).CryptBlocks(theirs, theirs)
		if !bytes.Equal(ours, theirs) {
			t.Errorf("ECB of %d bytes = %x, want %x", n, ours, theirs)
		}
		if got, err := DecryptECB(key, theirs); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("ECB of %d bytes opens to %x, %v", n, got, err)
		}
	}
}

// TestKeyFormsAgree writes and reads keys in every form with emmansun's reader and writer on the other side.
func TestKeyFormsAgree(t *testing.T) {
	t.Parallel()
	for range 20 {
		k := GenerateKey()
		e := emmKey(t, k)
		text, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		if got, err := smx509.ParsePKCS8PrivateKey(block.Bytes); err != nil || !e.Equal(got) {
			t.Errorf("emmansun reads our PKCS#8 as another key: %v", err)
		}
		if text, err = k.Public().PEM(); err != nil {
			t.Fatal(err)
		}
		block, _ = pem.Decode(text)
		if got, err := smx509.ParsePKIXPublicKey(block.Bytes); err != nil || !e.PublicKey.Equal(got) {
			t.Errorf("emmansun reads our SPKI as another key: %v", err)
		}
		private8, err8 := smx509.MarshalPKCS8PrivateKey(e)
		private1, err1 := smx509.MarshalSM2PrivateKey(e)
		public, errP := smx509.MarshalPKIXPublicKey(&e.PublicKey)
		if err8 != nil || err1 != nil || errP != nil {
			t.Fatal(err8, err1, errP)
		}
		for _, b := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: private8}, {Type: "EC PRIVATE KEY", Bytes: private1}} {
			if got, err := ParsePrivateKey(sensitive.NewKey(string(pem.EncodeToMemory(b))), PEM); err != nil || !got.Equal(k) {
				t.Errorf("we read emmansun's %s as another key: %v", b.Type, err)
			}
		}
		if got, err := ParsePublicKey(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), PEM); err != nil || !got.Equal(k.Public()) {
			t.Errorf("we read emmansun's SPKI as another key: %v", err)
		}
	}
}

// TestOpenSSL reads what OpenSSL 3.0 wrote: see testdata/README.md.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	p, err := ParsePublicKey(read("openssl-spki.pem"), PEM)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"openssl-pkcs8.pem", "openssl-sec1.pem", "openssl-sec1-with-parameters.pem"} {
		k, err := ParsePrivateKey(sensitive.NewKey(read(name)), PEM)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := CheckPair(k, p); err != nil {
			t.Errorf("%s: CheckPair = %v", name, err)
		}
		if got, err := UnwrapDER(k, unhex(t, read("openssl-ciphertext.hex"))); err != nil || string(got) != "sixteen byte key" {
			t.Errorf("%s opens the ciphertext to %q, %v", name, got, err)
		}
	}
	if !VerifyDER(p, []byte("高平市人民医院"), unhex(t, read("openssl-signature.hex"))) {
		t.Error("OpenSSL's signature is refused")
	}
	for _, name := range []string{"p256-pkcs8.pem", "p256-sec1.pem"} {
		if _, err := ParsePrivateKey(sensitive.NewKey(read(name)), PEM); err == nil {
			t.Errorf("%s is taken for an SM2 key", name)
		}
	}
	if _, err := ParsePublicKey(read("p256-spki.pem"), PEM); err == nil {
		t.Error("p256-spki.pem is taken for an SM2 key")
	}
}

// TestOtherUserID: a signature holds under its own user id alone.
func TestOtherUserID(t *testing.T) {
	t.Parallel()
	k := GenerateKey()
	msg := []byte("用户标识")
	sig, err := SignRawAs(k, "4117E877F5FA0A01", msg)
	if err != nil {
		t.Fatal(err)
	}
	if !VerifyRawAs(k.Public(), "4117E877F5FA0A01", msg, sig) || VerifyRaw(k.Public(), msg, sig) || VerifyRawAs(k.Public(), "", msg, sig) {
		t.Error("the user id does not count")
	}
	if _, err := SignRawAs(k, "", msg); !errors.Is(err, ErrInput) {
		t.Errorf("no user id: %v", err)
	}
}
