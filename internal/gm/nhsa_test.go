package gm

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// vector is one entry of testdata/nhsa-vectors.json; an entry fills the members it needs.
type vector struct {
	ID               string `json:"id"`
	AppID            string `json:"app_id"`
	AppSecret        string `json:"app_secret"`
	SM4Key           string `json:"expected_sm4_key_ascii"`
	SM4KeyHex        string `json:"expected_sm4_key_hex"`
	SM4Plain         string `json:"sm4_plaintext"`
	EncData          string `json:"expected_enc_data"`
	SignData         string `json:"published_sign_data_base64"`
	MessageUTF8      string `json:"message_utf8"`
	MessageASCII     string `json:"message_ascii"`
	PrivateHex       string `json:"private_key_hex"`
	PublicHex        string `json:"public_key_hex"`
	PublicXHex       string `json:"public_key_x_hex"`
	PublicYHex       string `json:"public_key_y_hex"`
	SignatureHex     string `json:"signature_rs_hex"`
	RHex             string `json:"signature_r_hex"`
	SHex             string `json:"signature_s_hex"`
	PrivateBase64    string `json:"private_key_base64"`
	PublicBase64     string `json:"public_key_base64"`
	KeyHex           string `json:"key_hex"`
	PlainHex         string `json:"plaintext_hex"`
	CipherHex        string `json:"expected_ciphertext_hex"`
	DigestHex        string `json:"expected_digest_hex"`
	NormalisedMD5Hex string `json:"expected_md5_hex"`
}

// TestPublishedVectors checks every published vector of the insurer's envelope that is this package's business.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/nhsa-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []vector `json:"vectors"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*testing.T, vector){
		"sm4-key-derivation":                    derivesSM4Key,
		"envelope-spec-example":                 encryptsEnvelope,
		"envelope-edge-cases-raw-leaves":        encryptsEnvelope,
		"sm2-openssl-signature-default-user-id": verifiesSignature,
		"sm2-key-format-33-byte-private-key-a":  readsJavaPair,
		"sm2-key-format-33-byte-private-key-b":  readsJavaPair,
		"gbt-32918-sm2-signature":               verifiesSignature,
		"gbt-32907-sm4-block":                   encryptsBlock,
		"gbt-32905-sm3":                         digests,
	}
	for _, v := range file.Vectors {
		if v.NormalisedMD5Hex != "" { // WeChat's MD5: not ours
			continue
		}
		test, ok := tests[v.ID]
		if !ok {
			t.Errorf("vector %s has no test", v.ID)
			continue
		}
		delete(tests, v.ID)
		t.Run(v.ID, func(t *testing.T) { test(t, v) })
	}
	for id := range tests {
		t.Errorf("vector %s is missing from the file", id)
	}
}

// deriveSM4Key is the centre's rule: the first 16 characters of the upper-case hex of SM4-ECB over the secret under the appId.
func deriveSM4Key(t *testing.T, v vector) []byte {
	t.Helper()
	box, err := EncryptECB([]byte(v.AppID[:16]), []byte(v.AppSecret))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.ToUpper(hex.EncodeToString(box))[:16])
}

func derivesSM4Key(t *testing.T, v vector) {
	if got := deriveSM4Key(t, v); string(got) != v.SM4Key || hex.EncodeToString(got) != v.SM4KeyHex {
		t.Errorf("key = %q, want %q", got, v.SM4Key)
	}
}

func encryptsEnvelope(t *testing.T, v vector) {
	key := deriveSM4Key(t, v)
	box, err := EncryptECB(key, []byte(v.SM4Plain))
	if got := strings.ToUpper(hex.EncodeToString(box)); err != nil || got != v.EncData {
		t.Errorf("encData = %s, %v, want %s", got, err, v.EncData)
	}
	plain, err := DecryptECB(key, unhex(t, v.EncData))
	if err != nil || string(plain) != v.SM4Plain {
		t.Errorf("plain = %s, %v, want %s", plain, err, v.SM4Plain)
	}
	if v.SignData != "" {
		if sig, err := base64.StdEncoding.DecodeString(v.SignData); err != nil || len(sig) != 64 {
			t.Errorf("signData has %d bytes, %v, want 64", len(sig), err)
		}
	}
}

func verifiesSignature(t *testing.T, v vector) {
	k, err := ParsePrivateKey(sensitive.NewKey(v.PrivateHex), Hex)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePublicKey(v.PublicHex+v.PublicXHex+v.PublicYHex, Hex)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Equal(k.Public()) {
		t.Error("the keys are not a pair")
	}
	msg, sig := []byte(v.MessageUTF8+v.MessageASCII), unhex(t, v.SignatureHex+v.RHex+v.SHex)
	if !VerifyRaw(p, msg, sig) {
		t.Error("the signature is refused")
	}
	for i := range sig {
		bad := bytes.Clone(sig)
		bad[i] ^= 1
		if VerifyRaw(p, msg, bad) {
			t.Errorf("accepted with byte %d changed", i)
		}
	}
}

func readsJavaPair(t *testing.T, v vector) {
	k, err := ParsePrivateKey(sensitive.NewKey(v.PrivateBase64), Base64)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePublicKey(v.PublicBase64, Base64)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckPair(k, p); err != nil {
		t.Errorf("CheckPair = %v", err)
	}
	if len(k.Reveal()) != 32 {
		t.Errorf("the scalar has %d bytes, want 32", len(k.Reveal()))
	}
}

func encryptsBlock(t *testing.T, v vector) {
	box, err := EncryptECB(unhex(t, v.KeyHex), unhex(t, v.PlainHex))
	if err != nil || !bytes.Equal(box[:16], unhex(t, v.CipherHex)) {
		t.Errorf("block = %x, %v, want %s", box, err, v.CipherHex)
	}
}

func digests(t *testing.T, v vector) {
	if got := SM3([]byte(v.MessageASCII)); hex.EncodeToString(got[:]) != v.DigestHex {
		t.Errorf("SM3 = %x, want %s", got, v.DigestHex)
	}
}
