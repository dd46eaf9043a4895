package mobile

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// sealer signs and encrypts what we send, and opens and verifies what comes. The zero value seals and opens nothing.
type sealer struct {
	appID    string
	secret   sensitive.Key
	key      sensitive.Key // SM4, derived
	private  *gm.PrivateKey
	platform *gm.PublicKey
	userID   string
	leaves   LeafMode
	verify   []LeafMode
}

// deriveKey makes the SM4 key: the first 16 characters of the upper-case hex of the secret's own ciphertext under the application's id, taken
// as ASCII (§3). It has 64 bits and never changes: an interoperability layer, not protection (design.md §5).
func deriveKey(appID string, secret sensitive.Key) (sensitive.Key, error) {
	if len(appID) < 16 {
		return sensitive.Key{}, errors.New("app id has fewer than 16 characters")
	}
	box, err := gm.EncryptECB([]byte(appID[:16]), []byte(secret.Reveal()))
	if err != nil {
		return sensitive.Key{}, errors.New("the cipher's key cannot be derived")
	}
	return sensitive.NewKey(strings.ToUpper(hex.EncodeToString(box))[:16]), nil
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
	box, err := gm.EncryptECB([]byte(s.key.Reveal()), plain.Bytes())
	if err != nil {
		return nil, err
	}
	out := maps.Clone(envelope)
	delete(out, "data")
	out["encData"], out["signData"] = strings.ToUpper(hex.EncodeToString(box)), base64.StdEncoding.EncodeToString(sig)
	return out, nil
}

// open decrypts an envelope and verifies its signature over everything as it came, in the forms that are tried. It tells which form the centre
// had signed. What cannot be verified is not returned, and what is returned is what was verified: the members are read from the same tree.
func (s *sealer) open(envelope map[string]any) (data map[string]any, signed form, err error) {
	encrypted, _ := envelope["encData"].(string)
	signature, _ := envelope["signData"].(string)
	if encrypted == "" || signature == "" {
		return nil, form{}, ErrUnverified.Because(errors.New("without encData or signData"))
	}
	if id := plain(envelope["appId"]); id != "" && id != s.appID { // older gateways leave it out
		return nil, form{}, ErrUnverified.Because(errors.New("of another appId"))
	}
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return nil, form{}, ErrUnverified.Because(errors.New("signData is not Base64"))
	}
	if data, err = s.decrypt(encrypted); err != nil {
		return nil, form{}, err
	}
	whole := maps.Clone(envelope)
	whole["data"] = data
	var tried []string
	for _, leaves := range s.verify {
		for _, keepEmpty := range []bool{false, true} {
			f := form{leaves, keepEmpty}
			text, err := signText(whole, s.secret.Reveal(), f)
			if err != nil {
				return nil, form{}, ErrUnreadable.Because(err)
			}
			if slices.Contains(tried, text) {
				continue
			}
			if gm.VerifyRawAs(s.platform, s.userID, []byte(text), sig) {
				return data, f, nil
			}
			tried = append(tried, text)
		}
	}
	return nil, form{}, ErrUnverified.Because(errors.New("signature wrong in every form tried"))
}

// decrypt opens encData. What it gives is not verified yet.
func (s *sealer) decrypt(encrypted string) (map[string]any, error) {
	box, err := hex.DecodeString(encrypted)
	if err != nil {
		return nil, ErrUnreadable.Because(errors.New("encData is not hex"))
	}
	text, err := gm.DecryptECB([]byte(s.key.Reveal()), box)
	if err != nil {
		return nil, ErrUnreadable.Because(errors.New("encData does not decrypt"))
	}
	data, err := parseObject(text)
	if err != nil {
		return nil, ErrUnreadable.Because(errors.New("encData is not a JSON object"))
	}
	return data, nil
}
