package soap

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tuoka/tuoka/adapters/his"
)

// Explain reads a sample answer of an operation as a client would, but for the signature, and tells of every value where it is from. Asked is what the
// request's members were, for what the vendor does not repeat; nil: nothing. What was read until an error is told with it.
func (m *Mapping) Explain(operation string, asked, body []byte) (e his.Explained, err error) {
	o, ok := m.Operations[operation]
	if !ok {
		return e, fmt.Errorf("the mapping has no operation %q", operation)
	}
	r := &reading{told: func(s his.Step) { e.Steps = append(e.Steps, s) }}
	if asked != nil {
		if r.asked, err = his.DecodeMembers(asked); err != nil {
			return e, fmt.Errorf("the request's members: %w", err)
		}
	}
	code, message, err := m.unsigned(&o, body)
	if err != nil {
		return e, err
	}
	e.Code = code
	e.Answer, err = o.answer(code, message, r)
	if message != nil {
		e.Unread = unread("", message, o.Answer.Data, []string{o.Answer.Code})
	}
	return e, err
}

// unsigned unpacks an answer whose signature nobody can check here.
func (m *Mapping) unsigned(o *Operation, body []byte) (code string, message *node, err error) {
	outer, err := m.Service.unpack(o.Function, body)
	if err != nil || m.Service.Sign == nil {
		if err != nil {
			return "", nil, err
		}
		code, _, err = single(outer, o.Answer.Code)
		return code, outer, err
	}
	s := m.Service.Sign
	text, ok, err := single(outer, cmp.Or(s.Answer, s.Body))
	if err == nil && ok {
		message, err = readTree(undeclared([]byte(text)))
	}
	if err != nil {
		return "", nil, err
	}
	if s.Code != "" {
		code, _, err = single(outer, s.Code)
		return code, message, err
	}
	if message == nil {
		return "", nil, errors.New("an answer without a message")
	}
	code, _, err = single(message, o.Answer.Code)
	return code, message, err
}

// unread lists the paths of elements that no field reads, each once.
func unread(at string, n *node, fields []Field, also []string) (paths []string) {
	known := map[string][]Field{}
	for _, path := range also {
		known[path] = nil
	}
	for i := range fields {
		f := &fields[i]
		for _, path := range append(slices.Clone(f.Join), f.Element) {
			known[path] = f.Each
		}
	}
	var walk func(at, below string, n *node)
	walk = func(at, below string, n *node) {
		for _, child := range n.children {
			here := child.name
			if below != "" {
				here = below + "/" + child.name
			}
			each, ok := known[here]
			switch {
			case ok && len(each) > 0:
				paths = append(paths, unread(at+child.name+"/", child, each, nil)...)
			case ok:
			case len(child.children) > 0:
				walk(at+child.name+"/", here, child)
			default:
				paths = append(paths, at+child.name)
			}
		}
	}
	walk(at, "", n)
	slices.Sort(paths)
	return slices.Compact(paths)
}
