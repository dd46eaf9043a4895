package certify

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// veil masks patient data in what is shown: what we know to be a person's, what stands in a member that holds such, and what looks like an identity
// number or a phone. Rather too much than too little.
type veil struct {
	mu    sync.Mutex
	known map[string]string // value: what is shown instead
}

func newVeil(name, id string) *veil {
	v := &veil{known: map[string]string{}}
	v.person(name, id)
	return v
}

func (v *veil) person(name, id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if name != "" {
		v.known[name] = sensitive.NewName(name).Masked()
	}
	if id == "" {
		return
	}
	for _, form := range []string{id, strings.ToLower(id), strings.ToUpper(id)} {
		v.known[form] = form[:min(3, len(form))] + "***"
	}
}

// secret is shown by none of its characters.
func (v *veil) secret(value string) {
	if value != "" {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.known[value] = "***"
	}
}

// learn takes note of the persons in an answer.
func (v *veil) learn(operation string, data []byte) {
	var out struct {
		Patients []struct {
			Name   string `json:"name"`
			IDNo   string `json:"id_no"`
			CardNo string `json:"card_no"`
		} `json:"patients"`
	}
	if operation != findPatients || json.Unmarshal(data, &out) != nil {
		return
	}
	for _, p := range out.Patients {
		v.person(p.Name, p.IDNo)
		if len(p.CardNo) > 4 {
			v.mu.Lock()
			v.known[p.CardNo] = "****" + p.CardNo[len(p.CardNo)-4:]
			v.mu.Unlock()
		}
	}
}

var (
	escapes = regexp.MustCompile(`\\u[0-9A-Fa-f]{4}`)
	// members that hold something of a person, in JSON and in XML, as vendors call them.
	ofPerson = `(?:id_?no|id_?card|id_?number|cert_?no|card_?no|card_?number|phone|mobile|tel(?:ephone)?|address|psn_?no|pay_?auth_?no|pat_?name|patient_?name|psn_?name|xm|sfzh|lxdh)`
	inJSON   = regexp.MustCompile(`(?i)("` + ofPerson + `"\s*:\s*")(?:[^"\\]|\\.)*"`)
	inXML    = regexp.MustCompile(`(?i)(<(?:\w+:)?` + ofPerson + `(?:\s[^>]*)?>)[^<]*<`)
	// names that are not masked yet, for they are not written in Chinese.
	nameInJSON = regexp.MustCompile(`(?i)("\w*name"\s*:\s*")(?:[^"\\*]|\\.)+"`)
	nameInXML  = regexp.MustCompile(`(?i)(<(?:\w+:)?\w*name(?:\s[^>]*)?>)[^<*]+<`)

	han     = regexp.MustCompile(`\p{Han}{2,}`)
	numbers = regexp.MustCompile(`[0-9]{8,}[0-9Xx]?`)
	words   = regexp.MustCompile(`[0-9A-Za-z]+`)
	coded   = regexp.MustCompile(`[A-Za-z0-9+/]{8,}={0,2}`)
	phone   = regexp.MustCompile(`^1[3-9][0-9]{9}$`)
)

// longest is how much of a message is shown, in characters.
const longest = 6000

// shown is a message's body in UTF-8, unescaped as far as a reader wants it, and masked by what its members are.
func (v *veil) shown(operation string, body []byte) string {
	if !utf8.Valid(body) {
		if out, err := simplifiedchinese.GB18030.NewDecoder().Bytes(body); err == nil {
			body = out
		}
	}
	text := strings.ToValidUTF8(string(body), "�")
	text = strings.ReplaceAll(text, "\ufeff", "[BOM]")
	if strings.HasPrefix(strings.TrimSpace(text), "<") {
		for range 3 {
			text = html.UnescapeString(text)
		}
	}
	text = escapes.ReplaceAllStringFunc(text, func(e string) string {
		n, err := strconv.ParseUint(e[2:], 16, 16)
		if err != nil || n < ' ' || !utf8.ValidRune(rune(n)) || n == '"' || n == '\\' {
			return e
		}
		return string(rune(n))
	})
	text = inJSON.ReplaceAllString(text, `${1}***"`)
	text = inXML.ReplaceAllString(text, `${1}***<`)
	if operation == findPatients { // every word and number of it may be a person's
		text = v.hide(text)
		text = han.ReplaceAllStringFunc(text, func(s string) string { return sensitive.NewName(s).Masked() })
		text = numbers.ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat("*", len(s)-2) + s[len(s)-2:] })
		text = nameInJSON.ReplaceAllString(text, `${1}***"`)
		text = nameInXML.ReplaceAllString(text, `${1}***<`)
	}
	text = v.hide(text)
	if pretty := new(bytes.Buffer); json.Indent(pretty, []byte(text), "", "  ") == nil {
		text = pretty.String()
	}
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "\n……（其余略）"
	}
	return text
}

// hide masks what is known, and what looks like an identity number or a phone.
func (v *veil) hide(text string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	values := make([]string, 0, len(v.known))
	for value := range v.known {
		values = append(values, value)
	}
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, value := range values {
		text = strings.ReplaceAll(text, value, v.known[value])
		text = strings.ReplaceAll(text, url.QueryEscape(value), v.known[value])
	}
	text = coded.ReplaceAllStringFunc(text, func(s string) string {
		plain, err := base64.StdEncoding.DecodeString(s)
		if err == nil && !utf8.Valid(plain) {
			plain, err = simplifiedchinese.GB18030.NewDecoder().Bytes(plain)
		}
		if err == nil && slices.ContainsFunc(values, func(value string) bool { return bytes.Contains(plain, []byte(value)) }) {
			return "***"
		}
		return s
	})
	return words.ReplaceAllStringFunc(text, func(s string) string {
		if len(s) == 18 {
			if _, err := sensitive.ParseIDNumber(s); err == nil {
				return s[:3] + "***"
			}
		}
		if phone.MatchString(s) {
			return s[:3] + "****" + s[7:]
		}
		return s
	})
}
