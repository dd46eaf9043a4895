package sensitive

import (
	"regexp"
	"strings"
	"unicode"
)

// maxText is how many characters of a counterpart's text are shown.
const maxText = 200

// numbers match identity numbers, phones, credentials and places in a counterpart's text: many digits in a row; more of them in groups, though
// not as many as a date and an hour have; a pair of coordinates.
var numbers = regexp.MustCompile(`[0-9A-Za-z*]*[0-9]{9,}[0-9A-Za-z*]*|[0-9](?:[- ]?[0-9]){10,}[Xx]?|-?[0-9]{1,3}\.[0-9]{3,} ?[,，] ?-?[0-9]{1,2}\.[0-9]{3,}`)

// Scrub makes a counterpart's text fit to be shown and logged: one line, at most 200 characters, without long numbers, coordinates, and the given
// texts, also where blanks stand between their characters.
func Scrub(s string, hide ...string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		case r >= '０' && r <= '９':
			return r - '０' + '0'
		}
		return r
	}, s)
	for _, h := range hide {
		if h != "" {
			s = spaced(h).ReplaceAllString(s, "***")
		}
	}
	s = strings.TrimSpace(numbers.ReplaceAllString(s, "***"))
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText])
	}
	return s
}

// spaced matches a text with or without blanks between its characters.
func spaced(text string) *regexp.Regexp {
	var parts []string
	for _, r := range text {
		parts = append(parts, regexp.QuoteMeta(string(r)))
	}
	return regexp.MustCompile(strings.Join(parts, " *"))
}
