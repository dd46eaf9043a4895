package soap

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what vendors sign with; not our protection
	"encoding/hex"
	"encoding/xml"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// skew is how far an answer's time may be off our clock.
const skew = 5 * time.Minute

// around puts a message, as text, into the elements that are signed.
func (s *Sign) around(message *node, function, user string, now time.Time, nonce string) *node {
	outer := &node{name: s.Root}
	for _, e := range []struct{ element, text string }{{s.Function, function}, {s.User, user}, {s.Time, now.In(clock.Shanghai).Format(s.Layout)},
		{s.Nonce, nonce}, {s.Body, message.String()}} {
		if e.element != "" {
			outer.add(e.element).text = e.text
		}
	}
	return outer
}

// signature signs the elements that have a text, sorted by name, but for the signature's own.
func (s *Sign) signature(outer *node, secret sensitive.Key) (string, error) {
	var pairs []string
	for _, e := range outer.children {
		if len(e.children) > 0 {
			return "", errors.New("an element among the signed ones is no text")
		}
		if text, ok := e.value(); ok && e.name != s.Sign {
			pairs = append(pairs, e.name+"="+text)
		}
	}
	slices.Sort(pairs)
	text := strings.Join(pairs, "&")
	if s.Kind == "hmac-sm3" {
		sum, err := gm.HMACSM3([]byte(secret.Reveal()), []byte(text))
		return strings.ToUpper(hex.EncodeToString(sum)), err
	}
	text += "&" + s.Key + "=" + secret.Reveal()
	if s.Kind == "md5" {
		sum := md5.Sum([]byte(text)) //nolint:gosec // the vendor's
		return strings.ToUpper(hex.EncodeToString(sum[:])), nil
	}
	sum := gm.SM3([]byte(text))
	return strings.ToUpper(hex.EncodeToString(sum[:])), nil
}

// inside believes an answer that is signed, of now, and of the request with this nonce, and gives its code and message.
func (s *Sign) inside(outer *node, secret sensitive.Key, now time.Time, nonce string, o *Operation) (string, *node, error) {
	given, _, err := single(outer, s.Sign)
	if err != nil {
		return "", nil, err
	}
	want, err := s.signature(outer, secret)
	if err != nil || !hmac.Equal([]byte(want), []byte(strings.ToUpper(given))) {
		return "", nil, errors.New("a wrong signature")
	}
	if s.Nonce != "" {
		if repeated, _, err := single(outer, s.Nonce); err != nil || repeated != nonce {
			return "", nil, errors.New("the answer of another request")
		}
	}
	if s.Time != "" {
		stamp, _, _ := single(outer, s.Time)
		at, err := time.ParseInLocation(s.Layout, stamp, clock.Shanghai)
		if err != nil || now.Sub(at).Abs() > skew {
			return "", nil, errors.New("the answer's time is out of the window")
		}
	}
	text, ok, err := single(outer, cmp.Or(s.Answer, s.Body))
	if err != nil {
		return "", nil, err
	}
	var message *node
	if ok {
		if message, err = readTree(undeclared([]byte(text))); err != nil {
			return "", nil, err
		}
	}
	if s.Code != "" {
		code, _, err := single(outer, s.Code)
		return code, message, err
	}
	if message == nil {
		return "", nil, errors.New("an answer without a message")
	}
	code, _, err := single(message, o.Answer.Code)
	return code, message, err
}

func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	return b.String()
}

// Unsign takes the signature off a request of this vendor, for those who try whether a hospital wants one.
func (s *Service) Unsign(body []byte) []byte {
	if s.Sign == nil {
		return body
	}
	name := regexp.QuoteMeta(s.Sign.Sign)
	return regexp.MustCompile(`(<|&lt;)`+name+`(>|&gt;)[^<&]*(<|&lt;)/`+name+`(>|&gt;)`).ReplaceAll(body, nil)
}
