// Package sensitive holds the values that must not be printed: names, identity numbers, phones, openids, tokens, keys.
//
// Each type wraps a pointer inside a struct and answers every verb, logger and encoder with a label, so that a value is safe by its
// type and not by care at each call. Reveal is called only where design.md §5 allows; make check compares its callers with a list.
package sensitive

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"
)

// label stands in for every hidden value.
const label = "[hidden]"

// hidden is the common body. The pointer keeps fmt from walking into the text when a verb bypasses Format.
type hidden struct{ text *string }

func hide(s string) hidden { return hidden{&s} }

// Reveal gives the plain text; empty for a zero value.
func (h hidden) Reveal() string {
	if h.text == nil {
		return ""
	}
	return *h.text
}

// IsZero reports whether there is no text.
func (h hidden) IsZero() bool { return h.text == nil || *h.text == "" }

func (h hidden) equal(o hidden) bool {
	return subtle.ConstantTimeCompare([]byte(h.Reveal()), []byte(o.Reveal())) == 1
}

// Format answers every verb with the label.
func (h hidden) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, label) }

// String is the label.
func (h hidden) String() string { return label }

// GoString is the label.
func (h hidden) GoString() string { return label }

// LogValue is the label.
func (h hidden) LogValue() slog.Value { return slog.StringValue(label) }

// MarshalText is the label; JSON, XML and YAML encoders use it.
func (h hidden) MarshalText() ([]byte, error) { return []byte(label), nil }

// MarshalJSON is the label as a JSON string.
func (h hidden) MarshalJSON() ([]byte, error) { return []byte(`"` + label + `"`), nil }

// GobEncode refuses: a value that cannot be read back must not look stored.
func (h hidden) GobEncode() ([]byte, error) { return nil, errors.New("sensitive: not to be encoded") }

// Name is a person's name (姓名).
type Name struct{ hidden }

// NewName wraps a name, trimmed.
func NewName(s string) Name { return Name{hide(strings.TrimSpace(s))} }

// Equal compares two names.
func (n Name) Equal(o Name) bool { return n.equal(o.hidden) }

// Masked shows the family name's first character: 张三丰 as 张**. One character shows nothing.
func (n Name) Masked() string {
	s := n.Reveal()
	count := utf8.RuneCountInString(s)
	if count < 2 || !utf8.ValidString(s) {
		return "*"
	}
	_, first := utf8.DecodeRuneInString(s)
	return s[:first] + strings.Repeat("*", min(count-1, 3))
}

// Phone is a mobile number (手机号), eleven digits on the mainland.
type Phone struct{ hidden }

// NewPhone wraps a phone number, trimmed.
func NewPhone(s string) Phone { return Phone{hide(strings.TrimSpace(s))} }

// Equal compares two phone numbers.
func (p Phone) Equal(o Phone) bool { return p.equal(o.hidden) }

// Masked shows 138****5678; anything but eleven digits shows nothing.
func (p Phone) Masked() string {
	s := p.Reveal()
	if len(s) != 11 || strings.Trim(s, "0123456789") != "" {
		return "****"
	}
	return s[:3] + "****" + s[7:]
}

// OpenID is a WeChat user's number under one appid. It has no masked form: nobody reads it.
type OpenID struct{ hidden }

// NewOpenID wraps an openid.
func NewOpenID(s string) OpenID { return OpenID{hide(s)} }

// Equal compares two openids.
func (o OpenID) Equal(p OpenID) bool { return o.equal(p.hidden) }

// Token is a short-lived credential: a session, an access token, an insurance authorisation (pay_auth_no).
type Token struct{ hidden }

// NewToken wraps a token.
func NewToken(s string) Token { return Token{hide(s)} }

// Equal compares two tokens.
func (t Token) Equal(o Token) bool { return t.equal(o.hidden) }

// Key is a long-lived secret: an APIv3 key, an AppSecret, a signing or data key, as text or raw bytes.
type Key struct{ hidden }

// NewKey wraps a key.
func NewKey(s string) Key { return Key{hide(s)} }

// Equal compares two keys.
func (k Key) Equal(o Key) bool { return k.equal(o.hidden) }

// IDNumber is a resident identity number (证件号码, GB 11643): 18 characters, the last a check digit 0–9 or X.
type IDNumber struct{ hidden }

// ErrIDNumber is returned for text that is not a resident identity number with a right check digit and a real birth date.
var ErrIDNumber = errors.New("sensitive: not an identity number")

// ParseIDNumber reads 18 characters with a right check digit, or 15 digits of the old form, which it lengthens (19 before the year,
// check digit behind). Full-width characters are folded, a small x is raised.
func ParseIDNumber(s string) (IDNumber, error) {
	s = strings.ToUpper(strings.Map(narrow, strings.TrimSpace(s)))
	if len(s) == 15 && digits(s) {
		s = s[:6] + "19" + s[6:]
		s += string(checkDigit(s))
	}
	if len(s) != 18 || !digits(s[:17]) || s[17] != checkDigit(s[:17]) {
		return IDNumber{}, ErrIDNumber
	}
	born, err := time.Parse("20060102", s[6:14])
	if err != nil || born.Year() < 1850 || s[0] == '0' {
		return IDNumber{}, ErrIDNumber
	}
	return IDNumber{hide(s)}, nil
}

func narrow(r rune) rune {
	if r >= '！' && r <= '～' { // full-width forms stand 0xFEE0 above ASCII
		return r - 0xFEE0
	}
	return r
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// checkDigit is ISO 7064 MOD 11-2 over 17 digits.
func checkDigit(s string) byte {
	sum := 0
	for i := range 17 {
		sum = (sum + int(s[i]-'0')) * 2 % 11
	}
	return "10X98765432"[sum]
}

// Equal compares two identity numbers.
func (n IDNumber) Equal(o IDNumber) bool { return n.equal(o.hidden) }

// Masked shows 360***********1234.
func (n IDNumber) Masked() string {
	s := n.Reveal()
	if len(s) != 18 {
		return strings.Repeat("*", 18)
	}
	return s[:3] + strings.Repeat("*", 11) + s[14:]
}

// Birth is the birth date, midnight UTC; zero for a zero value.
func (n IDNumber) Birth() time.Time {
	s := n.Reveal()
	if len(s) != 18 {
		return time.Time{}
	}
	born, _ := time.Parse("20060102", s[6:14]) // checked when parsed
	return born
}

// Female reports the sex that the 17th digit carries: even is female.
func (n IDNumber) Female() bool {
	s := n.Reveal()
	return len(s) == 18 && (s[16]-'0')%2 == 0
}
