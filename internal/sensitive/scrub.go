package sensitive

import (
	"regexp"
	"strings"
	"unicode"
)

// maxText is how many characters of a counterpart's text are shown.
const maxText = 200

// longNumber matches identity numbers, phones and credentials in a counterpart's text.
var longNumber = regexp.MustCompile(`[0-9A-Za-z*]*[0-9]{9,}[0-9A-Za-z*]*`)

// Scrub makes a counterpart's text fit to be shown and logged: one line, without the given texts and any long number, at most 200 characters.
func Scrub(s string, hide ...string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	for _, h := range hide {
		if h != "" {
			s = strings.ReplaceAll(s, h, "***")
		}
	}
	s = strings.TrimSpace(longNumber.ReplaceAllString(s, "***"))
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText])
	}
	return s
}
