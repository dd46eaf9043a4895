package mobile

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// fields are the members of an answer. Centres spell them in several ways (ownPayAmt and ownpayAmt, pay_ord_id behind relays), and write
// numbers as numbers or as texts.
type fields map[string]any

// spelling is what counts of a member's name.
func spelling(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// find gives a member under any spelling. Two spellings that say different things are an error: nobody can tell which is meant.
func (f fields) find(name string) (any, error) {
	var found any
	for n, v := range f {
		if spelling(n) != spelling(name) || blank(v) {
			continue
		}
		if found != nil && (plain(found) == "" || plain(found) != plain(v)) {
			return nil, ErrUnequal.Because(fmt.Errorf("%s stands twice and differs", name))
		}
		found = v
	}
	return found, nil
}

// text is a member's text, empty when it is not there.
func (f fields) text(name string) (string, error) {
	v, err := f.find(name)
	return plain(v), err
}

// yuan reads an amount in yuan; false when it is not there. Nothing is ever rounded.
func (f fields) yuan(name string) (money.Fen, bool, error) {
	s, err := f.text(name)
	if err != nil || s == "" {
		return 0, false, err
	}
	fen, err := money.ParseYuan(s)
	if err != nil {
		return 0, false, ErrUnreadable.Because(fmt.Errorf("%s is no amount", name))
	}
	return fen, true, nil
}

// object is a member that is an object, or the only one of an array, or either as JSON in a text; nil when it is not there, and when there are
// several, for nobody can tell which is meant.
func (f fields) object(name string) fields {
	v, err := f.find(name)
	if err != nil {
		return nil
	}
	if text, ok := v.(string); ok {
		v = parseAny(text)
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	m, _ := v.(map[string]any)
	return m
}

func parseAny(text string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// code reads a whole number.
func (f fields) code(name string) (int, error) {
	s, err := f.text(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, ErrUnreadable.Because(fmt.Errorf("%s is no number", name))
	}
	return n, nil
}

// moments are the forms in which centres write a time, all in China time.
var moments = []string{"2006-01-02 15:04:05", "20060102150405", "2006-01-02T15:04:05", "2006-01-02 15:04:05.000"}

// moment reads the first of these members that is a time, in one of the forms or in milliseconds; zero when none is: no money depends on it.
func (f fields) moment(names ...string) time.Time {
	for _, name := range names {
		s, _ := f.text(name)
		if t := readMoment(s); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func readMoment(s string) time.Time {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) == 13 {
		return time.UnixMilli(n).UTC()
	}
	for _, layout := range moments {
		if t, err := time.ParseInLocation(layout, s, clock.Shanghai); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// jsonOf is an answer as bytes, for the inbox.
func jsonOf(f fields) []byte {
	b, _ := json.Marshal(f) // it was JSON
	return b
}
