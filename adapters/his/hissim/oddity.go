package hissim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Kind is a bad habit seen in hospitals' answers (F9, F10, F11, F13 of the reference). The work behind the answer is done rightly.
type Kind string

// The habits. Those in the upper half are signed as sent, so that only a strict reader finds them.
const (
	GBK          Kind = "gbk"           // GBK bytes in a document that says UTF-8
	BOM          Kind = "bom"           // a byte order mark before the document
	Exponent     Kind = "exponent"      // the first amount as "0E+2"
	Grouped      Kind = "grouped"       // the first amount as "1,234.50"
	FullWidth    Kind = "full_width"    // the first amount in full-width digits
	Negative     Kind = "negative"      // every amount below zero
	Yuan         Kind = "yuan"          // every amount in yuan with two decimals
	Hundredfold  Kind = "hundredfold"   // every amount a hundred times too large, sums intact
	LineSum      Kind = "line_sum"      // one line total a fen too high
	WrongPerson  Kind = "wrong_person"  // another person's archive
	EmptySuccess Kind = "empty_success" // done, and nothing in it
	NullData     Kind = "null_data"     // done, data null
	ShortPage    Kind = "short_page"    // the last row is missing, the count is not
	TwiceListed  Kind = "twice_listed"  // the last row comes twice
	TwiceNamed   Kind = "twice_named"   // a member comes twice, with different values
	UnknownCode  Kind = "unknown_code"  // a code that no document knows
	CutShort     Kind = "cut_short"     // the document ends in the middle

	HTML         Kind = "html"          // a page instead of an answer, status 200, not signed
	Unsigned     Kind = "unsigned"      // no signature
	Forged       Kind = "forged"        // a signature that does not fit
	Stale        Kind = "stale"         // signed an hour ago
	OtherRequest Kind = "other_request" // rightly signed, for another request

	IgnoreLock Kind = "ignore_lock" // for op "window": the window takes a bill that the platform holds

	// Of op "statements.list": what happens to a day's list (F13).
	PageMissing Kind = "page_missing" // a page is said to be beyond the end, the count is right
	DayEmpty    Kind = "day_empty"    // done, a day without records
	CountWrong  Kind = "count_wrong"  // one record more than there are
	NextDay     Kind = "next_day"     // each day's last record stands in the next day's list, at midnight
)

// dayKinds are the habits of a day's list, whatever the hospital speaks.
func dayKinds() []Kind { return []Kind{PageMissing, DayEmpty, CountWrong, NextDay} }

// answerKinds are the habits of an answer; IgnoreLock is one of the window, dayKinds are of what is answered.
func answerKinds() []Kind {
	return []Kind{GBK, BOM, Exponent, Grouped, FullWidth, Negative, Yuan, Hundredfold, LineSum, WrongPerson, EmptySuccess, NullData,
		ShortPage, TwiceListed, TwiceNamed, UnknownCode, CutShort, HTML, Unsigned, Forged, Stale, OtherRequest}
}

// Oddity orders a habit for the next answers of an operation.
type Oddity struct {
	Op    string `json:"op"`            // as in fault plans; "window" for IgnoreLock, "statements.list" for those of a day's list
	Key   string `json:"key,omitempty"` // empty: whatever the call is about
	Kind  Kind   `json:"kind"`
	Times int    `json:"times"` // at least once
}

// ErrOddity is a habit that this hospital does not have.
var ErrOddity = errors.New("hissim: no such oddity")

// Distort orders oddities; they are used up in the order given, and do not survive a restart.
func (s *Sim) Distort(list ...Oddity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range list {
		day := slices.Contains(dayKinds(), o.Kind)
		if (o.Kind == IgnoreLock) != (o.Op == "window") || (day && o.Op != opDay) || (o.Kind != IgnoreLock && !day && !slices.Contains(answerKinds(), o.Kind)) {
			return fmt.Errorf("op %q, kind %q: %w", o.Op, o.Kind, ErrOddity)
		}
		o.Times = max(o.Times, 1)
		s.oddities = append(s.oddities, o)
	}
	return nil
}

// odd is the next oddity for an answer, if one is ordered.
func (s *Sim) odd(op, key string) *Oddity {
	if o := s.config.Defect.always(op); o != nil {
		return o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(op, key, "")
}

// take uses up one oddity; an empty kind takes any of an answer's. The caller holds the mutex.
func (s *Sim) take(op, key string, kind Kind) *Oddity {
	for i := range s.oddities {
		o := &s.oddities[i]
		if o.Op != op || (o.Key != "" && o.Key != key) || (kind != "" && o.Kind != kind) || (kind == "" && slices.Contains(dayKinds(), o.Kind)) {
			continue
		}
		taken := *o
		if o.Times--; o.Times == 0 {
			s.oddities = slices.Delete(s.oddities, i, i+1)
		}
		return &taken
	}
	return nil
}

// distort changes the document before it is signed.
func (o *Oddity) distort(body []byte) []byte {
	switch o.Kind {
	case GBK:
		out, err := simplifiedchinese.GBK.NewEncoder().Bytes(body)
		if err != nil {
			return body
		}
		return out
	case BOM:
		return append([]byte("\xef\xbb\xbf"), body...)
	case CutShort:
		return body[:len(body)*2/3]
	case EmptySuccess:
		return []byte(`{"code":"0","message":"成功","data":{"count":0,"total_fen":0,"patients":[],"bills":[]}}`)
	case NullData:
		return []byte(`{"code":"0","message":"成功","data":null}`)
	case UnknownCode:
		return []byte(`{"code":"-1","message":"系统异常：空引用"}`)
	case TwiceNamed:
		return bytes.Replace(body, []byte(`"code":"0"`), []byte(`"code":"0","Code":"1"`), 1)
	default:
		return o.rewrite(body)
	}
}

// rewrite changes the decoded document.
func (o *Oddity) rewrite(body []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		return body
	}
	first := true
	walk(doc, func(m map[string]any, key string) {
		n, isNumber := m[key].(json.Number)
		if isNumber && strings.HasSuffix(key, "_fen") {
			m[key] = o.amount(n, first)
			first = false
		}
		if o.Kind == WrongPerson {
			swapPerson(m, key)
		}
		if rows, ok := m[key].([]any); ok && len(rows) > 0 {
			switch {
			case o.Kind == ShortPage && key != "diagnoses":
				m[key] = rows[:len(rows)-1]
			case o.Kind == TwiceListed && key != "diagnoses":
				m[key] = append(rows, rows[len(rows)-1])
				for _, count := range []string{"count", "line_count"} {
					if _, ok := m[count]; ok {
						m[count] = len(rows) + 1
					}
				}
			}
		}
	})
	out, err := marshal(doc)
	if err != nil {
		return body
	}
	return out
}

func swapPerson(m map[string]any, key string) {
	switch key {
	case "patient_id":
		m[key] = "P19990101000001"
	case "name":
		if _, person := m["id_no"]; person {
			m[key] = "柳无名"
		}
	case "id_no":
		m[key] = "110102197701010013"
	}
}

// amount is one amount as this hospital would write it.
func (o *Oddity) amount(n json.Number, first bool) any {
	text := n.String()
	switch {
	case o.Kind == Negative && text != "0":
		return json.Number("-" + text)
	case o.Kind == Yuan:
		padded := fmt.Sprintf("%03s", text)
		return json.Number(padded[:len(padded)-2] + "." + padded[len(padded)-2:])
	case o.Kind == Hundredfold && text != "0":
		return json.Number(text + "00")
	case !first:
		return n
	case o.Kind == Exponent:
		return "0E+2"
	case o.Kind == Grouped:
		return "1,234.50"
	case o.Kind == FullWidth:
		return "１２３４"
	case o.Kind == LineSum:
		if v, err := n.Int64(); err == nil {
			return v + 1
		}
	}
	return n
}

// walk visits every member of every object, parents before children, members in alphabetical order.
func walk(v any, visit func(m map[string]any, key string)) {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			visit(v, k)
			walk(v[k], visit)
		}
	case []any:
		for _, e := range v {
			walk(e, visit)
		}
	}
}

// afterSigning spoils the signature, or replaces the answer by a page.
func (o *Oddity) afterSigning(g *gate, h http.Header, status int, body []byte, now time.Time) []byte {
	switch o.Kind {
	case HTML:
		for _, name := range []string{headerApp, headerTimestamp, headerNonce, headerSignature} {
			h.Del(name)
		}
		h.Set("Content-Type", "text/html; charset=gb2312")
		return []byte("<html><head><title>提示</title></head><body>会话已超时，请重新登录</body></html>")
	case Unsigned:
		h.Del(headerSignature)
	case Forged:
		h.Set(headerSignature, strings.Repeat("0", 64))
	case Stale:
		g.stamp(h, status, h.Get(headerNonce), body, now.Add(-time.Hour))
	case OtherRequest:
		g.stamp(h, status, "AnotherRequestsNonce01", body, now)
	}
	return body
}
