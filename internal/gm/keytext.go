package gm

import (
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// Form says how a key is written. It is configured and never guessed: some texts are good in two forms and mean different keys.
type Form string

const (
	// Hex is the scalar (28 to 33 bytes) or the point (64 or 65 bytes) in hexadecimal.
	Hex Form = "hex"
	// Base64 is the same bytes in standard base64 on one line.
	Base64 Form = "base64"
	// PEM is PKCS#8 or SEC 1 for a private key, SPKI for a public key. Encrypted keys are not read.
	PEM Form = "pem"
	// DERBase64 is PKCS#8 for a private key, SPKI for a public key, in standard base64 on one line.
	DERBase64 Form = "der-base64"
	// DERHex is the same in hexadecimal.
	DERHex Form = "der-hex"
)

// PEM block types. OpenSSL 3 writes a traditional SM2 key as "SM2 PRIVATE KEY", others as "EC PRIVATE KEY"; the body is SEC 1 in both.
const (
	pemPKCS8 = "PRIVATE KEY"
	pemSEC1  = "EC PRIVATE KEY"
	pemSM2   = "SM2 PRIVATE KEY"
	pemSPKI  = "PUBLIC KEY"
)

// The two object identifiers of an SM2 key: id-ecPublicKey (RFC 5480) and the curve (GB/T 33560). Never assigned.
var (
	oidEC  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSM2 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}
)

type algorithm struct {
	Algorithm asn1.ObjectIdentifier
	Curve     asn1.ObjectIdentifier
}

func (a algorithm) isSM2() bool { return a.Algorithm.Equal(oidEC) && a.Curve.Equal(oidSM2) }

// pkcs8 is PrivateKeyInfo (RFC 5208 §5); attributes behind the key are skipped.
type pkcs8 struct {
	Version    int
	Algorithm  algorithm
	PrivateKey []byte // sec1
}

// sec1 is ECPrivateKey (RFC 5915 §3).
type sec1 struct {
	Version    int
	PrivateKey []byte
	Curve      asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	PublicKey  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

// spki is SubjectPublicKeyInfo (RFC 5480 §2).
type spki struct {
	Algorithm algorithm
	PublicKey asn1.BitString
}

// ParsePrivateKey reads a private key written in that form; blanks around the text are dropped. ErrInput when it is not one, when it
// belongs to another curve, or when a public key stored with it is not its own. No error quotes the text.
func ParsePrivateKey(text sensitive.Key, form Form) (*PrivateKey, error) {
	k, err := parsePrivateKey(strings.TrimSpace(text.Reveal()), form)
	if err != nil {
		return nil, fmt.Errorf("read private key as %s: %w", form, err)
	}
	return k, nil
}

func parsePrivateKey(text string, form Form) (*PrivateKey, error) {
	if form == PEM {
		der, kind, err := pemBody(text, pemPKCS8, pemSEC1, pemSM2)
		if err != nil {
			return nil, err
		}
		if kind == pemPKCS8 {
			return parsePKCS8(der)
		}
		return parseSEC1(der, true)
	}
	raw, err := decode(text, form)
	if err != nil {
		return nil, err
	}
	if form == DERBase64 || form == DERHex {
		return parsePKCS8(raw)
	}
	return NewPrivateKey(raw)
}

// ParsePublicKey reads a public key written in that form; blanks around the text are dropped. ErrInput when it is not one or belongs
// to another curve.
func ParsePublicKey(text string, form Form) (*PublicKey, error) {
	k, err := parsePublicKey(strings.TrimSpace(text), form)
	if err != nil {
		return nil, fmt.Errorf("read public key as %s: %w", form, err)
	}
	return k, nil
}

func parsePublicKey(text string, form Form) (*PublicKey, error) {
	if form == PEM {
		der, _, err := pemBody(text, pemSPKI)
		if err != nil {
			return nil, err
		}
		return parseSPKI(der)
	}
	raw, err := decode(text, form)
	if err != nil {
		return nil, err
	}
	if form == DERBase64 || form == DERHex {
		return parseSPKI(raw)
	}
	return NewPublicKey(raw)
}

func decode(text string, form Form) ([]byte, error) {
	switch form {
	case Hex, DERHex:
		if raw, err := hex.DecodeString(text); err == nil {
			return raw, nil
		}
	case Base64, DERBase64:
		if strings.ContainsAny(text, "\r\n") { // the decoder would skip them
			return nil, ErrInput
		}
		if raw, err := base64.StdEncoding.Strict().DecodeString(text); err == nil {
			return raw, nil
		}
	}
	return nil, ErrInput
}

// pemBody gives the body of the text's one key block and its type. Blocks that only repeat the curve's name, which OpenSSL likes to
// write first, are skipped.
func pemBody(text string, kinds ...string) (der []byte, kind string, err error) {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, "", ErrInput
		}
		if strings.HasSuffix(block.Type, " PARAMETERS") {
			continue
		}
		for _, k := range kinds {
			if block.Type == k && len(block.Headers) == 0 && strings.TrimSpace(string(rest)) == "" {
				return block.Bytes, k, nil
			}
		}
		return nil, "", fmt.Errorf("pem block %.40q: %w", block.Type, ErrInput)
	}
}

func parsePKCS8(der []byte) (*PrivateKey, error) {
	var v pkcs8
	if rest, err := asn1.Unmarshal(der, &v); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("pkcs8: %w", ErrInput)
	}
	if !v.Algorithm.isSM2() {
		return nil, fmt.Errorf("pkcs8 key of another algorithm or curve: %w", ErrInput)
	}
	return parseSEC1(v.PrivateKey, false)
}

// parseSEC1 reads an ECPrivateKey. Standing alone it must name the curve; inside PKCS#8, where the curve is already known, it may.
func parseSEC1(der []byte, alone bool) (*PrivateKey, error) {
	var v sec1
	if rest, err := asn1.Unmarshal(der, &v); err != nil || len(rest) != 0 || v.Version != 1 {
		return nil, fmt.Errorf("sec1: %w", ErrInput)
	}
	if (alone || len(v.Curve) != 0) && !v.Curve.Equal(oidSM2) {
		return nil, fmt.Errorf("sec1 key of another curve: %w", ErrInput)
	}
	k, err := NewPrivateKey(v.PrivateKey)
	if err != nil {
		return nil, err
	}
	if v.PublicKey.BitLength == 0 {
		return k, nil
	}
	if p, err := NewPublicKey(v.PublicKey.RightAlign()); err != nil || !p.Equal(k.Public()) {
		return nil, fmt.Errorf("sec1 key with another's public key: %w", ErrInput)
	}
	return k, nil
}

func parseSPKI(der []byte) (*PublicKey, error) {
	var v spki
	if rest, err := asn1.Unmarshal(der, &v); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("spki: %w", ErrInput)
	}
	if !v.Algorithm.isSM2() {
		return nil, fmt.Errorf("spki key of another algorithm or curve: %w", ErrInput)
	}
	if v.PublicKey.BitLength != 8*pointSize {
		return nil, fmt.Errorf("spki point of %d bits: %w", v.PublicKey.BitLength, ErrInput)
	}
	return NewPublicKey(v.PublicKey.Bytes)
}

// PEM writes the key as PKCS#8, unencrypted; OpenSSL reads it. ErrInput for a zero key.
func (k *PrivateKey) PEM() ([]byte, error) {
	if !k.usable() {
		return nil, ErrInput
	}
	point := asn1.BitString{Bytes: k.Public().Bytes(), BitLength: 8 * pointSize}
	inner, err := asn1.Marshal(sec1{Version: 1, PrivateKey: k.Reveal(), PublicKey: point})
	if err != nil {
		return nil, err
	}
	der, err := asn1.Marshal(pkcs8{Algorithm: algorithm{oidEC, oidSM2}, PrivateKey: inner})
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPKCS8, Bytes: der}), nil
}

// PEM writes the key as SPKI; OpenSSL reads it. ErrInput for a zero key.
func (p *PublicKey) PEM() ([]byte, error) {
	if !p.usable() {
		return nil, ErrInput
	}
	point := asn1.BitString{Bytes: p.Bytes(), BitLength: 8 * pointSize}
	der, err := asn1.Marshal(spki{Algorithm: algorithm{oidEC, oidSM2}, PublicKey: point})
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemSPKI, Bytes: der}), nil
}
