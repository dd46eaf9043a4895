package mobile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// errJSON is text that is no JSON object, or holds more than one.
var errJSON = errors.New("not one JSON object")

// parseObject reads one JSON object; numbers keep their literals, so that 10.00 stays 10.00.
func parseObject(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil || m == nil {
		return nil, errJSON
	}
	if d.More() {
		return nil, errJSON
	}
	return m, nil
}

// unsigned are the members of an envelope that no signature covers (§2.1).
var unsigned = []string{"signData", "encData", "extra"}

// form is one way to write what is signed: leaves as strings or raw, empty objects kept (as the Java family does) or dropped.
type form struct {
	leaves    LeafMode
	keepEmpty bool
}

// signText is what is signed of an envelope with its plaintext data: name=value of every member that is not empty, in ASCII order, and the
// secret at the end (§2.1).
func signText(envelope map[string]any, secret string, f form) (string, error) {
	var parts []string
	for name, v := range envelope {
		if slices.Contains(unsigned, name) || blank(v) {
			continue
		}
		text, err := topLevel(v, f)
		if err != nil {
			return "", fmt.Errorf("member %s: %w", name, err)
		}
		parts = append(parts, name+"="+text)
	}
	slices.SortFunc(parts, func(a, b string) int { // by name: a name may be the beginning of another
		return strings.Compare(a[:strings.IndexByte(a, '=')], b[:strings.IndexByte(b, '=')])
	})
	return strings.Join(append(parts, "key="+secret), "&"), nil
}

func blank(v any) bool { return v == nil || v == "" }

// topLevel writes a member of the envelope: a text as it is, everything else as JSON.
func topLevel(v any, f form) (string, error) {
	switch x := v.(type) {
	case string:
		return x, nil
	case bool, json.Number:
		return fmt.Sprint(x), nil
	}
	var b bytes.Buffer
	if err := canonical(&b, tidy(v, f), f); err != nil {
		return "", err
	}
	return b.String(), nil
}

// tidy drops what is empty inside a value: null, "", empty arrays, and empty objects where the form drops them.
func tidy(v any, f form) any {
	switch x := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		for name, inner := range x {
			if inner = tidy(inner, f); !hollow(inner, f) {
				out[name] = inner
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(x))
		for _, inner := range x {
			if inner = tidy(inner, f); !hollow(inner, f) {
				out = append(out, inner)
			}
		}
		return out
	}
	return v
}

func hollow(v any, f form) bool {
	switch x := v.(type) {
	case map[string]any:
		return len(x) == 0 && !f.keepEmpty
	case []any:
		return len(x) == 0
	}
	return blank(v)
}

// canonical writes compact JSON: names in ASCII order at every depth, arrays as they stand, nothing escaped that need not be.
func canonical(b *bytes.Buffer, v any, f form) error {
	switch x := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(x))
		for name := range x {
			names = append(names, name)
		}
		slices.Sort(names)
		b.WriteByte('{')
		for i, name := range names {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := text(b, name); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := canonical(b, x[name], f); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	case []any:
		b.WriteByte('[')
		for i, inner := range x {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := canonical(b, inner, f); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case string:
		return text(b, x)
	case bool, json.Number:
		if f.leaves == StringLeaves {
			return text(b, fmt.Sprint(x))
		}
		fmt.Fprint(b, x)
		return nil
	}
	return fmt.Errorf("a %T cannot be signed", v)
}

// text writes a JSON string without the escapes for HTML.
func text(b *bytes.Buffer, s string) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the encoder's line feed
	return nil
}

// cleanText takes out of a text what serialisers write differently: control characters, and the two line separators.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || r == 0x2028 || r == 0x2029 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
