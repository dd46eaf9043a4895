package staff

import (
	"encoding/base32"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/sensitive"
)

const rfcKey = "12345678901234567890"

// TestRFC6238 is appendix B of RFC 6238 for SHA-1. Its codes have eight digits; six are their end.
func TestRFC6238(t *testing.T) {
	t.Parallel()
	for at, code := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924",
		2000000000: "69279037", 20000000000: "65353130"} {
		if got := codeAt([]byte(rfcKey), stepAt(time.Unix(at, 0))); got != code[2:] {
			t.Errorf("code at %d = %s, want %s", at, got, code[2:])
		}
	}
	for step, code := range map[int64]string{0: "755224", 1: "287082", 2: "359152", 9: "520489"} { // RFC 4226, appendix D
		if got := codeAt([]byte(rfcKey), step); got != code {
			t.Errorf("code of counter %d = %s, want %s", step, got, code)
		}
	}
}

func TestMatchingStep(t *testing.T) {
	t.Parallel()
	secret := sensitive.NewKey(base32.StdEncoding.EncodeToString([]byte(rfcKey)))
	now := time.Unix(1111111109, 0)
	middle := stepAt(now)
	for _, tt := range []struct {
		name string
		code string
		want int64
		ok   bool
	}{
		{"now", codeAt([]byte(rfcKey), middle), middle, true}, {"a step slow", codeAt([]byte(rfcKey), middle-1), middle - 1, true},
		{"a step fast", codeAt([]byte(rfcKey), middle+1), middle + 1, true}, {"two steps slow", codeAt([]byte(rfcKey), middle-2), 0, false},
		{"two steps fast", codeAt([]byte(rfcKey), middle+2), 0, false}, {"none", "", 0, false}, {"short", "08180", 0, false}, {"long", "0818040", 0, false},
		{"full width", "０８１８０４", 0, false},
	} {
		if step, ok, err := matchingStep(secret, tt.code, now); step != tt.want || ok != tt.ok || err != nil {
			t.Errorf("%s: %d, %v, %v, want %d, %v", tt.name, step, ok, err, tt.want, tt.ok)
		}
	}
	for _, bad := range []string{"", "not base 32"} {
		if _, _, err := matchingStep(sensitive.NewKey(bad), "081804", now); !errors.Is(err, errSecret) {
			t.Errorf("secret %q: %v", bad, err)
		}
	}
}

func TestEnrolment(t *testing.T) {
	t.Parallel()
	secret := newSecret()
	u, err := url.Parse(enrolment("wang", secret).Reveal())
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Tuoka:wang" || u.Query().Get("secret") != secret.Reveal() ||
		u.Query().Get("issuer") != "Tuoka" || u.Query().Get("digits") != "6" || u.Query().Get("period") != "30" || u.Query().Get("algorithm") != "SHA1" {
		t.Errorf("enrolment() = %s, %v", u, err)
	}
	if raw, err := base32Text().DecodeString(secret.Reveal()); err != nil || len(raw) != secretSize || secret.Equal(newSecret()) {
		t.Errorf("a secret of %d bytes, %v", len(raw), err)
	}
}
