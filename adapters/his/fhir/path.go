package fhir

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/adapters/his"
)

// path is a small part of FHIRPath, which reads and writes: names, where(name='text'), where(name=%name), extension(%name), extension('url'), resolve()
// and ofType(Name). A name that starts with % is one of the profile's.
type path []step

type step struct {
	name  string
	where string // element below, with points between; empty: none
	is    string // what that one says, or the resource's type
	kind  kind
}

type kind int

const (
	member  kind = iota
	where        // those whose element below is so
	resolve      // what a reference refers to, within the answer
	ofType       // resources of a type
	whole        // %answer: the whole answer
)

var (
	stepForm = regexp.MustCompile(`^(?:([a-zA-Z]+)|where\(([a-zA-Z.]+)=(%[a-zA-Z]+|'[^']*')\)|extension\((%[a-zA-Z]+|'[^']*')\)|` +
		`(resolve)\(\)|ofType\(([A-Za-z]+)\)|(%answer))$`)
	stepsForm = regexp.MustCompile(`(?:[^.(]+\([^)]*\)|[^.(]+)(?:\.|$)`)
)

// lists are the elements of those we write of which FHIR has many. An identifier below the first level is a reference's: one.
var lists = []string{"identifier", "parameter", "extension", "participant", "input", "output", "allocation", "detail", "coding", "reason", "related", "insurance",
	"item"}

// parsePath reads a path with the profile's names.
func parsePath(text string, names map[string]string) (path, error) {
	var p path
	if text == "." {
		return p, nil
	}
	parts := stepsForm.FindAllString(text, -1)
	if strings.Join(parts, "") != text || text == "" || strings.HasSuffix(text, ".") {
		return nil, fmt.Errorf("%q is not a path", text)
	}
	value := func(text string) (string, error) {
		if name, ok := strings.CutPrefix(text, "%"); ok {
			if names[name] == "" {
				return "", fmt.Errorf("%%%s is not among the names", name)
			}
			return names[name], nil
		}
		return strings.Trim(text, "'"), nil
	}
	for _, part := range parts {
		m := stepForm.FindStringSubmatch(strings.TrimSuffix(part, "."))
		var err error
		switch {
		case m == nil:
			return nil, fmt.Errorf("%q is not a path: %q", text, part)
		case m[1] != "":
			p = append(p, step{name: m[1]})
		case m[2] != "":
			s := step{kind: where, where: m[2]}
			s.is, err = value(m[3])
			p = append(p, s)
		case m[4] != "":
			s := step{kind: where, where: "url"}
			s.is, err = value(m[4])
			p = append(p, step{name: "extension"}, s)
		case m[5] != "":
			p = append(p, step{kind: resolve})
		case m[6] != "":
			p = append(p, step{kind: ofType, is: m[6]})
		default:
			p = append(p, step{kind: whole})
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// flat is a value as a collection, as FHIRPath has it.
func flat(value any) []any {
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{value}
}

// below are the elements with that name, and points between, below a value.
func below(value any, names string) []any {
	found := []any{value}
	for name := range strings.SplitSeq(names, ".") {
		var next []any
		for _, v := range found {
			if object, ok := v.(map[string]any); ok {
				next = append(next, flat(object[name])...)
			}
		}
		found = next
	}
	return found
}

// get is everything at a path below a value.
func (p path) get(a *answer, value any) ([]any, error) {
	found := []any{value}
	for _, s := range p {
		var next []any
		seen := map[string]bool{} // of what is referred to
		for _, v := range found {
			switch s.kind {
			case member:
				next = append(next, below(v, s.name)...)
			case where:
				if slices.ContainsFunc(below(v, s.where), func(e any) bool { return e == any(s.is) }) {
					next = append(next, v)
				}
			case resolve:
				to, err := a.resolve(v)
				if err != nil {
					return nil, err
				}
				if name := named(to); name == "" || !seen[name] {
					next, seen[name] = append(next, to), true
				}
			case ofType:
				if object, ok := v.(map[string]any); ok && object["resourceType"] == s.is {
					next = append(next, v)
				}
			case whole:
				next = append(next, a.document)
			}
		}
		found = next
	}
	return found, nil
}

// named is what a reference calls a resource: two of one name are one. Empty: it has none.
func named(resource map[string]any) string {
	kind, _ := resource["resourceType"].(string)
	id, _ := resource["id"].(string)
	if id == "" {
		return ""
	}
	return kind + "/" + id
}

// put sets what stands at a path below an object.
func (p path) put(object map[string]any, value any) error {
	for i, s := range p {
		if s.kind == where {
			continue // seen from the name before it
		}
		if s.kind != member {
			return errors.New("such a path is for reading")
		}
		last := i == len(p)-1
		var cond *step
		if !last && p[i+1].kind == where {
			cond, last = &p[i+1], i+1 == len(p)-1
		}
		many := slices.Contains(lists, s.name) && (s.name != "identifier" || i == 0)
		if last && cond == nil {
			if many {
				value = append(flat(object[s.name]), value)
			}
			object[s.name] = value
			return nil
		}
		next, err := s.down(object, many, cond)
		if err != nil {
			return err
		}
		if last {
			entry, ok := value.(map[string]any)
			if !ok {
				return errors.New("a list's entry is no object")
			}
			for k, v := range entry {
				next[k] = v
			}
			return nil
		}
		object = next
	}
	return errors.New("an empty path")
}

// down is the object below one, made where it is missing. Of a list it is the one that fits the condition; without a condition, the only one.
func (s step) down(object map[string]any, many bool, cond *step) (map[string]any, error) {
	for _, v := range flat(object[s.name]) {
		e, ok := v.(map[string]any)
		if ok && (cond == nil || slices.Contains(below(e, cond.where), any(cond.is))) {
			return e, nil
		}
	}
	fresh := map[string]any{}
	switch {
	case many:
		object[s.name] = append(flat(object[s.name]), fresh)
	case object[s.name] == nil:
		object[s.name] = fresh
	default: // one object, whose condition is still to be met
		e, ok := object[s.name].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s is no object", s.name)
		}
		fresh = e
	}
	if cond != nil {
		inner := path{}
		for name := range strings.SplitSeq(cond.where, ".") {
			inner = append(inner, step{name: name})
		}
		return fresh, inner.put(fresh, cond.is)
	}
	return fresh, nil
}

// answer is a document that the hospital sent, and its resources by what a reference may call them.
type answer struct {
	document map[string]any
	known    map[string]map[string]any // nil: several that are not the same
}

// index collects the resources of a document, those of Bundles within it, too.
func (a *answer) index(value any) {
	for _, entry := range below(value, "entry") {
		resource, ok := one[map[string]any](below(entry, "resource"))
		if !ok {
			continue
		}
		url, _ := one[string](below(entry, "fullUrl"))
		for _, name := range []string{url, named(resource)} {
			if other, ok := a.known[name]; ok && !reflect.DeepEqual(other, resource) {
				a.known[name] = nil
			} else if name != "" {
				a.known[name] = resource
			}
		}
		a.index(resource)
	}
}

// resolve finds what a reference refers to. What is not in the answer is an error: the answer is not whole. So is what stands there twice, and differently:
// which of the two is meant, nobody knows.
func (a *answer) resolve(reference any) (map[string]any, error) {
	text, ok := one[string](below(reference, "reference"))
	if found := a.known[text]; ok && found != nil {
		return found, nil
	}
	return nil, errors.New("a reference to what the answer does not contain, or not once")
}

// one is the only value of a collection, when it is of that type.
func one[T any](values []any) (T, bool) {
	var none T
	if len(values) != 1 {
		return none, false
	}
	v, ok := values[0].(T)
	return v, ok
}

// decode reads a JSON document with its numbers as they stand.
func decode(text []byte) (map[string]any, error) {
	value, err := his.DecodeMembers(text)
	document, ok := value.(map[string]any)
	if err != nil || !ok {
		return nil, errors.New("not a JSON object")
	}
	return document, nil
}
