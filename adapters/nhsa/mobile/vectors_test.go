package mobile

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// TestVectors: every published vector of the envelope (testdata/nhsa-vectors.json). The plain algorithms are tested in internal/gm, WeChat's digest
// in adapters/wechatpay.
func TestVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/nhsa-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			ID        string          `json:"id"`
			AppID     string          `json:"app_id"`
			AppSecret string          `json:"app_secret"`
			Key       string          `json:"expected_sm4_key_ascii"`
			Envelope  json.RawMessage `json:"envelope"`
			SignText  string          `json:"expected_sign_text"`
			Plain     string          `json:"sm4_plaintext"`
			EncData   string          `json:"expected_enc_data"`
			SignData  string          `json:"published_sign_data_base64"`
			UserID    string          `json:"user_id"`
			Message   string          `json:"message_utf8"`
			Public    string          `json:"public_key_hex"`
			Signature string          `json:"signature_rs_hex"`
			Private64 string          `json:"private_key_base64"`
			Public64  string          `json:"public_key_base64"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, v := range file.Vectors {
		if v.Key != "" {
			tested++
			if key, err := deriveKey(v.AppID, sensitive.NewKey(v.AppSecret)); err != nil || key.Reveal() != v.Key {
				t.Errorf("%s: key %q, %v", v.ID, key.Reveal(), err)
			}
		}
		if v.SignText != "" {
			tested++
			f := form{leaves: StringLeaves}
			if strings.Contains(v.ID, "raw") {
				f.leaves = RawLeaves
			}
			envelope, err := parseObject(v.Envelope)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := signText(envelope, v.AppSecret, f); err != nil || got != v.SignText {
				t.Errorf("%s: sign text\n%s, %v, want\n%s", v.ID, got, err, v.SignText)
			}
			key, _ := deriveKey(v.AppID, sensitive.NewKey(v.AppSecret))
			s := sealer{secret: sensitive.NewKey(v.AppSecret), key: key, private: hospitalKey(), userID: "1234567812345678", leaves: f.leaves}
			sealed, err := s.seal(envelope)
			if err != nil || sealed["encData"] != v.EncData {
				t.Errorf("%s: encData %v, %v", v.ID, sealed["encData"], err)
			}
			if sig, err := base64.StdEncoding.DecodeString(sealed["signData"].(string)); err != nil || len(sig) != 64 || !gm.VerifyRaw(hospitalKey().Public(), []byte(v.SignText), sig) {
				t.Errorf("%s: our signature does not hold", v.ID)
			}
			if _, ok := sealed["data"]; ok {
				t.Errorf("%s: data travels in the open", v.ID)
			}
		}
		if v.SignData != "" {
			tested++
			if sig, err := base64.StdEncoding.DecodeString(v.SignData); err != nil || len(sig) != 64 {
				t.Errorf("%s: a published signature of %d bytes", v.ID, len(sig))
			}
		}
		if v.Signature != "" && v.UserID != "" {
			tested++
			raw, _ := hex.DecodeString(v.Public)
			public, err := gm.NewPublicKey(raw)
			sig, _ := hex.DecodeString(v.Signature)
			if err != nil || !gm.VerifyRawAs(public, v.UserID, []byte(v.Message), sig) || gm.VerifyRawAs(public, "another", []byte(v.Message), sig) {
				t.Errorf("%s: %v", v.ID, err)
			}
		}
		if v.Private64 != "" {
			tested++
			private, err1 := gm.ParsePrivateKey(sensitive.NewKey(v.Private64), gm.Base64)
			public, err2 := gm.ParsePublicKey(v.Public64, gm.Base64)
			if err1 != nil || err2 != nil || gm.CheckPair(private, public) != nil {
				t.Errorf("%s: %v %v", v.ID, err1, err2)
			}
		}
	}
	if tested != 7 {
		t.Errorf("%d vectors tested, want 7", tested)
	}
}

// TestForms: what a signature covers, form by form.
func TestForms(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		envelope string
		f        form
		want     string
	}{
		"ASCII order, not alphabetical":  {`{"data":{"diseinfoList":"1","diseName":"2","medType":"3","medOrgOrd":"4","medfeeSumamt":"5"}}`, form{leaves: StringLeaves}, `data={"diseName":"2","diseinfoList":"1","medOrgOrd":"4","medType":"3","medfeeSumamt":"5"}&key=k`},
		"a name that begins another":     {`{"a":"1","ab":"2","a0":"3"}`, form{leaves: StringLeaves}, `a=1&a0=3&ab=2&key=k`},
		"leaves become texts":            {`{"data":{"n":10.00,"t":true,"s":"x"}}`, form{leaves: StringLeaves}, `data={"n":"10.00","s":"x","t":"true"}&key=k`},
		"leaves stay":                    {`{"data":{"n":10.00,"t":true}}`, form{leaves: RawLeaves}, `data={"n":10.00,"t":true}&key=k`},
		"outermost leaves are bare":      {`{"code":0,"success":true,"timestamp":1700000000000}`, form{leaves: StringLeaves}, `code=0&success=true&timestamp=1700000000000&key=k`},
		"nothing is escaped for HTML":    {`{"data":{"s":"<a href=\"/x\">&</a>高"}}`, form{leaves: StringLeaves}, `data={"s":"<a href=\"/x\">&</a>高"}&key=k`},
		"empty objects kept":             {`{"data":{"e":{},"s":"x"}}`, form{leaves: StringLeaves, keepEmpty: true}, `data={"e":{},"s":"x"}&key=k`},
		"empty objects dropped":          {`{"data":{"e":{"f":[]},"s":"x"}}`, form{leaves: StringLeaves}, `data={"s":"x"}&key=k`},
		"empty leaves dropped in arrays": {`{"data":{"l":["",null,"x",[]]}}`, form{leaves: StringLeaves}, `data={"l":["x"]}&key=k`},
		"line separators as they are":    {"{\"data\":{\"s\":\"a\u2028b\u007f\"}}", form{leaves: StringLeaves}, "data={\"s\":\"a\u2028b\u007f\"}&key=k"},
		"control characters escaped":     {`{"data":{"s":"a\u0001\n\u0008"}}`, form{leaves: StringLeaves}, `data={"s":"a\u0001\n\b"}&key=k`},
		"nothing left of the data":       {`{"a":"1","data":{"e":{},"n":null}}`, form{leaves: StringLeaves}, `a=1&key=k`},
		"unsigned members":               {`{"a":"1","extra":{"x":"y"},"signData":"s","encData":"e"}`, form{leaves: StringLeaves}, `a=1&key=k`},
	} {
		envelope, err := parseObject([]byte(tt.envelope))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := signText(envelope, "k", tt.f); err != nil || got != tt.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, tt.want)
		}
	}
}
