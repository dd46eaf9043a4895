package miniprogramapi

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestUnambiguous(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `[]`, `1`, `null`, ` {"a":{"b":1},"c":[{"b":1},{"b":2}]} `, `{"a":1,"A":2}`, strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)} {
		if err := unambiguous([]byte(body)); err != nil {
			t.Errorf("%s: %v, want none", body, err)
		}
	}
	for _, body := range []string{``, `{`, `{"a"}`, `{"a":1,}`, `{"a":1,"a":1}`, `{"a":[{"b":1,"b":2}]}`, `{"\u0061":1,"a":2}`, `{} {}`, `{}x`, "\ufeff{}", "\"\xff\"",
		`{]`, `[}`, strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), strings.Repeat("[", 1<<19)} {
		if unambiguous([]byte(body)) == nil {
			t.Errorf("%.60s: no error, want one", body)
		}
	}
}

// FuzzUnambiguous: what is let through is one JSON document in UTF-8 that says the same when it is written again.
func FuzzUnambiguous(f *testing.F) {
	for _, seed := range []string{`{"patient_id":"1","bill_nos":["a"],"insurance":true}`, `{"a":1,"a":2}`, "\xff", `[[[[]]]]`, `{} 1`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if unambiguous(body) != nil {
			return
		}
		if !utf8.Valid(body) || !json.Valid(body) {
			t.Errorf("let %q through", body)
		}
	})
}
