package his

import (
	"bytes"
	"encoding/json"
	"strings"
)

// This file is how a carrier that translates handles the interface's members: objects as encoding/json gives them, with numbers as they stand.

// DecodeMembers reads a JSON document so.
func DecodeMembers(text []byte) (any, error) {
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err := d.Decode(&value)
	return value, err
}

// LookUp is the member at a path: "parts/cash_fen"; "." is the value itself. Nil: nothing stands there.
func LookUp(value any, path string) any {
	if path == "." {
		return value
	}
	for name := range strings.SplitSeq(path, "/") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	return value
}

// Put sets the member at a path.
func Put(object map[string]any, path string, value any) {
	names := strings.Split(path, "/")
	for _, name := range names[:len(names)-1] {
		below, ok := object[name].(map[string]any)
		if !ok {
			below = map[string]any{}
			object[name] = below
		}
		object = below
	}
	object[names[len(names)-1]] = value
}
