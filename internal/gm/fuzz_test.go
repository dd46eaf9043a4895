package gm

import (
	"bytes"
	"errors"
	"math/big"
	"os"
	"slices"
	"testing"

	"github.com/tuoka/tuoka/internal/sensitive"
)

func forms() []Form { return []Form{Hex, Base64, PEM, DERBase64, DERHex} }

func seedKeyFiles(f *testing.F) {
	f.Helper()
	for _, name := range []string{"openssl-pkcs8.pem", "openssl-sec1-with-parameters.pem", "openssl-spki.pem", "p256-pkcs8.pem", "p256-spki.pem"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range []string{"", "00", standardD, standardX + standardY, "04" + standardX + standardY,
		"AKyhfvPbT+tIJHJkZSDILrw7t+FOG1U58UcupYYTzCOj", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"} {
		f.Add(text)
	}
}

// FuzzParsePrivateKey: whatever is read is a working key that survives being written.
func FuzzParsePrivateKey(f *testing.F) {
	seedKeyFiles(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range forms() {
			k, err := ParsePrivateKey(sensitive.NewKey(text), form)
			if err != nil {
				if k != nil || !errors.Is(err, ErrInput) {
					t.Errorf("%s = %v, %v, want ErrInput", form, k, err)
				}
				continue
			}
			if p := k.Public(); !onCurve(p.key.X, p.key.Y) {
				t.Errorf("%s reads a key whose public half is off the curve", form)
			}
			out, err := k.PEM()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParsePrivateKey(sensitive.NewKey(string(out)), PEM); err != nil || !again.Equal(k) {
				t.Errorf("%s: written and read again: %v", form, err)
			}
		}
	})
}

// FuzzParsePublicKey: whatever is read is a point on the curve that survives being written.
func FuzzParsePublicKey(f *testing.F) {
	seedKeyFiles(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range forms() {
			p, err := ParsePublicKey(text, form)
			if err != nil {
				if p != nil || !errors.Is(err, ErrInput) {
					t.Errorf("%s = %v, %v, want ErrInput", form, p, err)
				}
				continue
			}
			if !onCurve(p.key.X, p.key.Y) {
				t.Errorf("%s reads a point off the curve", form)
			}
			out, err := p.PEM()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParsePublicKey(string(out), PEM); err != nil || !again.Equal(p) {
				t.Errorf("%s: written and read again: %v", form, err)
			}
		}
	})
}

// FuzzUnwrap: nothing but the seeds' own boxes opens, in any of the three forms.
func FuzzUnwrap(f *testing.F) {
	k := standardKey(f)
	plain := bytes.Repeat([]byte("key "), 8)
	box, err := Wrap(k.Public(), plain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box)
	f.Add(box[:112])
	f.Add(slices.Concat(box[:65], box[97:], box[65:97]))
	f.Add([]byte{4})
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	f.Fuzz(func(t *testing.T, box []byte) {
		for name, open := range map[string]func(*PrivateKey, []byte) ([]byte, error){"C1C3C2": Unwrap, "C1C2C3": UnwrapC1C2C3, "ASN.1": UnwrapDER} {
			got, err := open(k, box)
			if err == nil && len(got) < shortestWrap || err != nil && (got != nil || !errors.Is(err, ErrInput)) {
				t.Errorf("%s = %x, %v", name, got, err)
			}
		}
	})
}

// FuzzVerifyDER: a signature that is accepted is the one canonical encoding of r and s, and good as r||s as well.
func FuzzVerifyDER(f *testing.F) {
	k, msg := standardKey(f), []byte("message digest")
	// The standard's: a signature made here would be another in each of the fuzzer's processes.
	sig := derOf(f, derSignature{new(big.Int).SetBytes(unhex(f, standardR)), new(big.Int).SetBytes(unhex(f, standardS))})
	f.Add(sig)
	f.Add(append(slices.Clone(sig), 0))
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if VerifyDER(k.Public(), msg, b) && !bytes.Equal(b, sig) {
			t.Errorf("accepted: %x", b)
		}
		if VerifyRaw(k.Public(), msg, b) && !bytes.Equal(b, unhex(t, standardR+standardS)) {
			t.Errorf("accepted raw: %x", b)
		}
	})
}

// FuzzDecryptECB: what opens closes to the same bytes.
func FuzzDecryptECB(f *testing.F) {
	key := []byte("863B5F40C70B71EA")
	box, err := EncryptECB(key, []byte(`{"appId":"1"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box)
	f.Add(box[:8])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, box []byte) {
		plain, err := DecryptECB(key, box)
		if err != nil {
			if plain != nil || !errors.Is(err, ErrInput) {
				t.Errorf("DecryptECB = %x, %v, want ErrInput", plain, err)
			}
			return
		}
		if again, err := EncryptECB(key, plain); err != nil || !bytes.Equal(again, box) {
			t.Errorf("%x closes to %x, %v", box, again, err)
		}
	})
}

// FuzzOpen: nothing opens but what was sealed.
func FuzzOpen(f *testing.F) {
	key, aad := []byte("0123456789abcdef"), []byte("place")
	g, err := aead(key)
	if err != nil {
		f.Fatal(err)
	}
	nonce := []byte("twelve bytes") // fixed: the fuzzer's processes must agree on the one good box
	box := g.Seal(slices.Clone(nonce), nonce, []byte("text"), aad)
	f.Add(box, aad)
	f.Add(box[:27], aad)
	f.Add(box[:28], []byte(nil))
	f.Fuzz(func(t *testing.T, b, a []byte) {
		plain, err := Open(key, a, b)
		switch {
		case err == nil && !(bytes.Equal(b, box) && bytes.Equal(a, aad)):
			t.Errorf("opened to %q", plain)
		case err != nil && (plain != nil || !errors.Is(err, ErrInput) && !errors.Is(err, ErrAuthentication)):
			t.Errorf("Open = %x, %v", plain, err)
		}
	})
}
