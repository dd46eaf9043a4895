package staff

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238's default, and the only one that every phone's app knows; HMAC needs no collision resistance
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// The second factor is RFC 6238 as phones' apps know it: HMAC-SHA-1, 30 seconds, 6 digits.
const (
	period     = 30 * time.Second
	digits     = 6
	drift      = 1  // steps that a phone's clock may be off, either way
	secretSize = 20 // bytes, as RFC 4226 recommends
	issuer     = "Tuoka"
)

var errSecret = errors.New("staff: not a Base32 secret")

func base32Text() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }

func newSecret() sensitive.Key {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails
	return sensitive.NewKey(base32Text().EncodeToString(b))
}

// stepAt is the number of the step that a moment is in.
func stepAt(t time.Time) int64 { return t.Unix() / int64(period/time.Second) }

// codeAt is a step's code (RFC 4226 §5.3), of six digits.
func codeAt(key []byte, step int64) string {
	sum := hmac.New(sha1.New, key)
	_ = binary.Write(sum, binary.BigEndian, step) // a hash takes everything
	h := sum.Sum(nil)
	at := h[len(h)-1] & 0x0f
	n := binary.BigEndian.Uint32(h[at:at+4]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, n%1_000_000)
}

// matchingStep is the newest step near now whose code this is. Every step is tried, whichever matches.
func matchingStep(secret sensitive.Key, code string, now time.Time) (step int64, ok bool, err error) {
	key, err := base32Text().DecodeString(secret.Reveal())
	if err != nil || len(key) == 0 {
		return 0, false, errSecret
	}
	middle := stepAt(now)
	for s := middle - drift; s <= middle+drift; s++ {
		if subtle.ConstantTimeCompare([]byte(codeAt(key, s)), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok, nil
}

// enrolment is the otpauth URI that an app on the phone reads, usually as a QR code. It holds the secret.
func enrolment(login string, secret sensitive.Key) sensitive.Key {
	q := url.Values{"secret": {secret.Reveal()}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {fmt.Sprint(digits)},
		"period": {fmt.Sprint(int64(period / time.Second))}}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + login, RawQuery: q.Encode()}
	return sensitive.NewKey(u.String())
}
