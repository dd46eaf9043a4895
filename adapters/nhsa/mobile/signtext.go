package mobile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
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

// String names the form: "string", "raw", "string, empty objects kept".
func (f form) String() string {
	if f.keepEmpty {
		return string(f.leaves) + ", empty objects kept"
	}
	return string(f.leaves)
}

// signText is what is signed of an envelope with its plaintext data: name=value of every member that is not empty, in ASCII order, and the
// secret at the end (§2.1).
func signText(envelope map[string]any, secret string, f form) (string, error) {
	parts := make([]string, 0, len(envelope)+1)
	for _, name := range slices.Sorted(maps.Keys(envelope)) {
		v := tidy(envelope[name], f)
		if slices.Contains(unsigned, name) || hollow(v, f) {
			continue
		}
		text, err := topLevel(v, f)
		if err != nil {
			return "", fmt.Errorf("member %s: %w", name, err)
		}
		parts = append(parts, name+"="+text)
	}
	return strings.Join(append(parts, "key="+secret), "&"), nil
}

func blank(v any) bool { return v == nil || v == "" }

// topLevel writes a tidied member of the envelope: a text as it is, everything else as JSON.
func topLevel(v any, f form) (string, error) {
	switch x := v.(type) {
	case string:
		return x, nil
	case bool, json.Number:
		return fmt.Sprint(x), nil
	}
	var b bytes.Buffer
	if err := canonical(&b, v, f); err != nil {
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
		b.WriteByte('{')
		for i, name := range slices.Sorted(maps.Keys(x)) {
			if i > 0 {
				b.WriteByte(',')
			}
			quote(b, name)
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
		quote(b, x)
		return nil
	case bool, json.Number:
		if f.leaves == StringLeaves {
			quote(b, fmt.Sprint(x))
		} else {
			fmt.Fprint(b, x)
		}
		return nil
	}
	return fmt.Errorf("a %T cannot be signed", v)
}

// escapes are the short forms of JSON; nothing else but the other control characters is ever escaped, not even what Go's encoder insists on.
var escapes = map[byte]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

// quote writes a JSON string.
func quote(b *bytes.Buffer, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c >= ' ' && c != '"' && c != '\\':
			b.WriteByte(c)
		case escapes[c] != "":
			b.WriteString(escapes[c])
		default:
			fmt.Fprintf(b, `\u%04x`, c)
		}
	}
	b.WriteByte('"')
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
