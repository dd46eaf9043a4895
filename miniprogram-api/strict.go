package miniprogramapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// maxDepth is how deep a body may nest; no schema of ours needs more than three.
const maxDepth = 16

// unambiguous refuses a body that two readers may read differently: bytes that are no UTF-8 (which encoding/json replaces), a member
// named twice (of which it takes the last), more than one document, or a bottomless one. What is no JSON at all is the specification's
// to refuse.
func unambiguous(body []byte) error {
	if !utf8.Valid(body) {
		return bad("请求内容须为 UTF-8 编码的 JSON", "body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := onceNamed(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("请求内容有误，应为一个 JSON", "more than one document")
	}
	return nil
}

// onceNamed reads one value to its end.
func onceNamed(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return bad("请求内容有误，应为 JSON", "not JSON")
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return bad("请求内容嵌套过深", "nested too deep")
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			token, err := d.Token()
			member, ok := token.(string)
			if err != nil || !ok {
				return bad("请求内容有误，应为 JSON", "not JSON")
			}
			if seen[member] {
				return bad(name(shortened(member))+"重复", "a member is named twice").At(shortened(member))
			}
			seen[member] = true
		}
		if err := onceNamed(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil { // the closing bracket
		return bad("请求内容有误，应为 JSON", "not JSON")
	}
	return nil
}
