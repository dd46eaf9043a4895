package gm

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// number gives n+add as 32 bytes.
func number(t testing.TB, n string, add int64) []byte {
	t.Helper()
	v := new(big.Int).SetBytes(unhex(t, n))
	return v.Add(v, big.NewInt(add)).FillBytes(make([]byte, 32))
}

func TestNewPrivateKey(t *testing.T) {
	t.Parallel()
	d := unhex(t, standardD)
	small := append(make([]byte, 4), bytes.Repeat([]byte{7}, 28)...)
	tests := []struct {
		name string
		raw  []byte
		ok   bool
	}{
		{"32 bytes", d, true},
		{"Java's 33 bytes", append([]byte{0}, d...), true},
		{"leading zeros", small, true},
		{"leading zeros dropped", small[4:], true},
		{"one", append(make([]byte, 31), 1), true},
		{"n-2", number(t, curveN, -2), true},
		{"n-1", number(t, curveN, -1), false},
		{"n", number(t, curveN, 0), false},
		{"all ones", bytes.Repeat([]byte{0xff}, 32), false},
		{"zero", make([]byte, 32), false},
		{"33 zeros", make([]byte, 33), false},
		{"33 bytes without a zero", append([]byte{1}, d...), false},
		{"34 bytes", append([]byte{0, 0}, d...), false},
		{"27 bytes", d[:27], false},
		{"one byte", []byte{1}, false},
		{"empty", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := NewPrivateKey(tt.raw)
			if tt.ok {
				if err != nil || new(big.Int).SetBytes(k.Reveal()).Cmp(new(big.Int).SetBytes(tt.raw)) != 0 {
					t.Fatalf("NewPrivateKey() = %v", err)
				}
				if err := CheckPair(k, k.Public()); err != nil {
					t.Errorf("CheckPair() = %v", err)
				}
				return
			}
			if !errors.Is(err, ErrInput) || k != nil {
				t.Errorf("NewPrivateKey() = %v, %v, want ErrInput", k, err)
			}
		})
	}
}

func TestNewPublicKey(t *testing.T) {
	t.Parallel()
	x, y := unhex(t, standardX), unhex(t, standardY)
	minusY := new(big.Int).Sub(new(big.Int).SetBytes(unhex(t, curveP)), new(big.Int).SetBytes(y)).FillBytes(make([]byte, 32))
	tests := []struct {
		name string
		raw  []byte
		ok   bool
	}{
		{"65 bytes", slices.Concat([]byte{4}, x, y), true},
		{"64 bytes", slices.Concat(x, y), true},
		{"the point's mirror", slices.Concat(x, minusY), true},
		{"off the curve", slices.Concat([]byte{4}, x, number(t, standardY, 1)), false},
		{"x and y exchanged", slices.Concat(y, x), false},
		{"infinity", make([]byte, 64), false},
		{"infinity with 04", append([]byte{4}, make([]byte, 64)...), false},
		{"x = p", slices.Concat(unhex(t, curveP), y), false},
		{"y >= p", slices.Concat(x, bytes.Repeat([]byte{0xff}, 32)), false},
		{"compressed", append([]byte{2 + y[31]&1}, x...), false},
		{"hybrid", slices.Concat([]byte{6 + y[31]&1}, x, y), false},
		{"66 bytes", slices.Concat([]byte{4}, x, y, []byte{0}), false},
		{"63 bytes", slices.Concat(x, y[:31]), false},
		{"empty", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewPublicKey(tt.raw)
			if tt.ok != (err == nil) || !tt.ok && (!errors.Is(err, ErrInput) || p != nil) {
				t.Errorf("NewPublicKey() = %v, %v", p, err)
			}
			if tt.ok && !bytes.HasSuffix(p.Bytes(), tt.raw) {
				t.Errorf("Bytes() = %x, want %x", p.Bytes(), tt.raw)
			}
		})
	}
}

// pemText writes one PEM block around the DER of v.
func pemText(t testing.TB, kind string, v any) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: derOf(t, v)}))
}

func derOf(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParsePrivateKey(t *testing.T) {
	t.Parallel()
	k := standardKey(t)
	d, good := k.Reveal(), algorithm{oidEC, oidSM2}
	p256 := asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	point := func(p *PublicKey) asn1.BitString { return asn1.BitString{Bytes: p.Bytes(), BitLength: 520} }
	inner := derOf(t, sec1{Version: 1, PrivateKey: d})
	wrapped := derOf(t, pkcs8{Algorithm: good, PrivateKey: inner})
	withPEM := pemText(t, pemPKCS8, pkcs8{Algorithm: good, PrivateKey: inner})
	b64 := base64.StdEncoding.EncodeToString
	tests := []struct {
		name, text string
		form       Form
		ok         bool
	}{
		{"hex", standardD, Hex, true},
		{"capital hex among blanks", " " + strings.ToUpper(standardD) + "\r\n", Hex, true},
		{"base64", b64(d) + "\n", Base64, true},
		{"base64 of 33 bytes", b64(append([]byte{0}, d...)), Base64, true},
		{"pkcs8 pem", withPEM, PEM, true},
		{"pkcs8 base64", b64(wrapped), DERBase64, true},
		{"pkcs8 hex", hex.EncodeToString(wrapped), DERHex, true},
		{"sec1", pemText(t, pemSEC1, sec1{1, d, oidSM2, asn1.BitString{}}), PEM, true},
		{"sec1 with its public key", pemText(t, pemSM2, sec1{1, d, oidSM2, point(k.Public())}), PEM, true},
		{"pkcs8 naming the curve twice", pemText(t, pemPKCS8, pkcs8{0, good, derOf(t, sec1{1, d, oidSM2, asn1.BitString{}})}), PEM, true},
		{"short octets", pemText(t, pemPKCS8, pkcs8{0, good, derOf(t, sec1{Version: 1, PrivateKey: d[2:]})}), PEM, true},

		{"empty hex", "", Hex, false},
		{"00", "00", Hex, false},
		{"odd hex", standardD[1:], Hex, false},
		{"not hex", strings.Repeat("g", 64), Hex, false},
		{"hex taken for base64", standardD, Base64, false},
		{"base64 taken for hex", b64(d), Hex, false},
		{"base64 on two lines", b64(d)[:20] + "\n" + b64(d)[20:], Base64, false},
		{"base64 without padding", strings.TrimRight(b64(d), "="), Base64, false},
		{"empty base64", "", Base64, false},
		{"empty der", "", DERBase64, false},
		{"empty pem", "", PEM, false},
		{"unknown form", standardD, "auto", false},
		{"no form", standardD, "", false},
		{"sec1 as der", b64(inner), DERBase64, false},
		{"der with a byte behind", b64(append(slices.Clone(wrapped), 0)), DERBase64, false},
		{"wrong algorithm", pemText(t, pemPKCS8, pkcs8{0, algorithm{p256, oidSM2}, inner}), PEM, false},
		{"wrong curve", pemText(t, pemPKCS8, pkcs8{0, algorithm{oidEC, p256}, inner}), PEM, false},
		{"wrong inner curve", pemText(t, pemPKCS8, pkcs8{0, good, derOf(t, sec1{1, d, p256, asn1.BitString{}})}), PEM, false},
		{"sec1 without a curve", pemText(t, pemSEC1, sec1{Version: 1, PrivateKey: d}), PEM, false},
		{"sec1 version 2", pemText(t, pemSEC1, sec1{2, d, oidSM2, asn1.BitString{}}), PEM, false},
		{"another's public key", pemText(t, pemSEC1, sec1{1, d, oidSM2, point(GenerateKey().Public())}), PEM, false},
		{"a broken public key", pemText(t, pemSEC1, sec1{1, d, oidSM2, asn1.BitString{Bytes: d, BitLength: 256}}), PEM, false},
		{"d = 0", pemText(t, pemSEC1, sec1{1, make([]byte, 32), oidSM2, asn1.BitString{}}), PEM, false},
		{"no inner sequence", pemText(t, pemPKCS8, pkcs8{0, good, d}), PEM, false},
		{"text behind the block", withPEM + "more", PEM, false},
		{"two keys", withPEM + withPEM, PEM, false},
		{"encrypted", string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: wrapped})), PEM, false},
		{"old encryption header", string(pem.EncodeToMemory(&pem.Block{Type: pemPKCS8, Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: wrapped})), PEM, false},
		{"a public key", pemText(t, pemSPKI, spki{good, point(k.Public())}), PEM, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParsePrivateKey(sensitive.NewKey(tt.text), tt.form)
			switch {
			case tt.ok && tt.name == "short octets":
				if err != nil || new(big.Int).SetBytes(got.Reveal()).Cmp(new(big.Int).SetBytes(d[2:])) != 0 {
					t.Errorf("ParsePrivateKey() = %v", err)
				}
			case tt.ok:
				if err != nil || !got.Equal(k) {
					t.Errorf("ParsePrivateKey() = %v", err)
				}
			case !errors.Is(err, ErrInput) || got != nil:
				t.Errorf("ParsePrivateKey() = %v, %v, want ErrInput", got, err)
			case len(tt.text) > 8 && strings.Contains(err.Error(), tt.text[:8]):
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

func TestParsePublicKey(t *testing.T) {
	t.Parallel()
	p := standardKey(t).Public()
	raw, good := p.Bytes(), algorithm{oidEC, oidSM2}
	bits := asn1.BitString{Bytes: raw, BitLength: 520}
	b64 := base64.StdEncoding.EncodeToString
	tests := []struct {
		name, text string
		form       Form
		ok         bool
	}{
		{"hex", hex.EncodeToString(raw), Hex, true},
		{"hex without 04", hex.EncodeToString(raw[1:]), Hex, true},
		{"base64", b64(raw), Base64, true},
		{"spki pem", pemText(t, pemSPKI, spki{good, bits}), PEM, true},
		{"spki base64", b64(derOf(t, spki{good, bits})), DERBase64, true},
		{"spki hex", hex.EncodeToString(derOf(t, spki{good, bits})), DERHex, true},

		{"empty", "", Hex, false},
		{"empty pem", "", PEM, false},
		{"unknown form", hex.EncodeToString(raw), "x", false},
		{"not der", b64(raw), DERBase64, false},
		{"a byte behind", b64(append(derOf(t, spki{good, bits}), 0)), DERBase64, false},
		{"wrong algorithm", pemText(t, pemSPKI, spki{algorithm{oidSM2, oidSM2}, bits}), PEM, false},
		{"wrong curve", pemText(t, pemSPKI, spki{algorithm{oidEC, oidEC}, bits}), PEM, false},
		{"64 bytes in the bit string", pemText(t, pemSPKI, spki{good, asn1.BitString{Bytes: raw[1:], BitLength: 512}}), PEM, false},
		{"519 bits", pemText(t, pemSPKI, spki{good, asn1.BitString{Bytes: raw, BitLength: 519}}), PEM, false},
		{"off the curve", pemText(t, pemSPKI, spki{good, asn1.BitString{Bytes: append([]byte{4}, make([]byte, 64)...), BitLength: 520}}), PEM, false},
		{"a certificate", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})), PEM, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParsePublicKey(tt.text, tt.form)
			if tt.ok && (err != nil || !got.Equal(p)) || !tt.ok && (!errors.Is(err, ErrInput) || got != nil) {
				t.Errorf("ParsePublicKey() = %v, %v, want ok = %v", got, err, tt.ok)
			}
		})
	}
}

func TestZeroKeys(t *testing.T) {
	t.Parallel()
	k := standardKey(t)
	sig, err := SignRaw(k, []byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	box, err := Wrap(k.Public(), make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	for _, z := range []*PrivateKey{nil, {}} {
		_, e1 := SignRaw(z, []byte("m"))
		_, e2 := SignDER(z, []byte("m"))
		_, e3 := Unwrap(z, box)
		_, e4 := z.PEM()
		e5 := CheckPair(z, k.Public())
		for i, err := range []error{e1, e2, e3, e4, e5} {
			if !errors.Is(err, ErrInput) {
				t.Errorf("call %d with a zero private key = %v, want ErrInput", i+1, err)
			}
		}
		if z.Public() != nil || z.Reveal() != nil || z.Equal(z) || z.Equal(k) || k.Equal(z) {
			t.Error("a zero private key has a value")
		}
	}
	for _, z := range []*PublicKey{nil, {}} {
		_, e1 := Wrap(z, make([]byte, 16))
		_, e2 := z.PEM()
		if !errors.Is(e1, ErrInput) || !errors.Is(e2, ErrInput) || !errors.Is(CheckPair(k, z), ErrAuthentication) {
			t.Error("a zero public key is used")
		}
		if VerifyRaw(z, []byte("m"), sig) || z.Bytes() != nil || z.Fingerprint() != "" || z.Equal(z) || z.Equal(k.Public()) {
			t.Error("a zero public key has a value")
		}
	}
}

func TestCheckPair(t *testing.T) {
	t.Parallel()
	a, b := GenerateKey(), GenerateKey()
	if err := CheckPair(a, a.Public()); err != nil {
		t.Errorf("CheckPair(a, a) = %v", err)
	}
	if err := CheckPair(a, b.Public()); !errors.Is(err, ErrAuthentication) {
		t.Errorf("CheckPair(a, b) = %v, want ErrAuthentication", err)
	}
	if a.Equal(b) || a.Public().Equal(b.Public()) || a.Public().Fingerprint() == b.Public().Fingerprint() {
		t.Error("two keys are equal")
	}
	if got := standardKey(t).Public().Fingerprint(); len(got) != 16 || got != standardKey(t).Public().Fingerprint() {
		t.Errorf("Fingerprint() = %q, want 16 lasting digits", got)
	}
}

// TestPrivateKeyDoesNotLeak prints a key by every verb, both slog handlers and JSON.
func TestPrivateKeyDoesNotLeak(t *testing.T) {
	t.Parallel()
	k := standardKey(t)
	nested := struct {
		Shown  *PrivateKey
		hidden *PrivateKey
		Value  any
		body   PrivateKey
	}{k, k, *k, *k}
	var out strings.Builder
	for _, thing := range []any{k, *k, nested, &nested, []any{k}, map[string]any{"k": k}} {
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flag := range []string{"", "+", "#"} {
				fmt.Fprintf(&out, "%"+flag+string(verb)+"\n", thing)
			}
		}
		for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(h).Info("m", "key", thing)
		}
		text, err := json.Marshal(thing)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	got := strings.ToLower(out.String())
	for _, secret := range []string{standardD, new(big.Int).SetBytes(k.Reveal()).String(), standardD[48:], fmt.Sprint(k.Reveal()), k.key.D.Text(8)} {
		if strings.Contains(got, secret) {
			t.Errorf("the key leaks as %s", secret)
		}
	}
	if !strings.Contains(got, hiddenLabel) {
		t.Error("nothing was printed")
	}
}
