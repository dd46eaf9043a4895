package mobile

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// sealer signs and encrypts what we send, and opens and verifies what comes.
type sealer struct {
	appID    string
	secret   sensitive.Key
	key      []byte // SM4, derived
	private  *gm.PrivateKey
	platform *gm.PublicKey
	userID   string
	leaves   LeafMode
	verify   []LeafMode
}

// deriveKey makes the SM4 key: the first 16 characters of the upper-case hex of the secret's own ciphertext under the application's id, taken
// as ASCII (§3). It has 64 bits and never changes: an interoperability layer, not protection (design.md §5).
func deriveKey(appID string, secret sensitive.Key) ([]byte, error) {
	if len(appID) < 16 {
		return nil, errors.New("app id has fewer than 16 characters")
	}
	box, err := gm.EncryptECB([]byte(appID[:16]), []byte(secret.Reveal()))
	if err != nil {
		return nil, errors.New("the cipher's key cannot be derived")
	}
	return []byte(strings.ToUpper(hex.EncodeToString(box))[:16]), nil
}

// seal signs an envelope with its plaintext data, and replaces the data by its ciphertext: the very bytes that were signed.
func (s *sealer) seal(envelope map[string]any) (map[string]any, error) {
	f := form{leaves: s.leaves}
	signed, err := signText(envelope, s.secret.Reveal(), f)
	if err != nil {
		return nil, err
	}
	sig, err := gm.SignRawAs(s.private, s.userID, []byte(signed))
	if err != nil {
		return nil, err
	}
	var plain bytes.Buffer
	if err := canonical(&plain, tidy(envelope["data"], f), f); err != nil {
		return nil, err
	}
	box, err := gm.EncryptECB(s.key, plain.Bytes())
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(envelope)+1)
	for name, v := range envelope {
		if name != "data" {
			out[name] = v
		}
	}
	out["encData"], out["signData"] = strings.ToUpper(hex.EncodeToString(box)), base64.StdEncoding.EncodeToString(sig)
	return out, nil
}

// open decrypts an envelope and verifies its signature over everything as it came, in the forms that are tried. It tells which leaves the
// centre had signed. What cannot be verified is not returned.
func (s *sealer) open(envelope map[string]any) (data map[string]any, leaves LeafMode, err error) {
	encrypted, _ := envelope["encData"].(string)
	signature, _ := envelope["signData"].(string)
	if encrypted == "" || signature == "" {
		return nil, "", ErrUnverified.Because(errors.New("without encData or signData"))
	}
	box, err := hex.DecodeString(encrypted)
	if err != nil {
		return nil, "", ErrUnreadable.Because(errors.New("encData is not hex"))
	}
	plain, err := gm.DecryptECB(s.key, box)
	if err != nil {
		return nil, "", ErrUnreadable.Because(errors.New("encData does not decrypt"))
	}
	if data, err = parseObject(plain); err != nil {
		return nil, "", ErrUnreadable.Because(errors.New("encData is not a JSON object"))
	}
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return nil, "", ErrUnverified.Because(errors.New("signData is not Base64"))
	}
	whole := make(map[string]any, len(envelope)+1)
	for name, v := range envelope {
		whole[name] = v
	}
	whole["data"] = data
	tried := ""
	for _, leaves := range s.verify {
		for _, keepEmpty := range []bool{false, true} {
			signed, err := signText(whole, s.secret.Reveal(), form{leaves, keepEmpty})
			if err != nil {
				return nil, "", ErrUnreadable.Because(err)
			}
			if signed == tried {
				continue
			}
			tried = signed
			if gm.VerifyRawAs(s.platform, s.userID, []byte(signed), sig) {
				return data, leaves, nil
			}
		}
	}
	return nil, "", ErrUnverified.Because(errors.New("signature wrong in every form tried"))
}
