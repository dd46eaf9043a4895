package fhir

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/tuoka/tuoka/adapters/his"
)

// Explain reads a sample answer of an operation as a client would, and tells of every value where it is from. Asked is what the request's members were; nil:
// nothing. An OperationOutcome is taken for a refusal, anything else for what was entered or found. What was read until an error is told with it.
func (p *Profile) Explain(operation string, asked, body []byte) (e his.Explained, err error) {
	if _, ok := p.Operations[operation]; !ok {
		return e, fmt.Errorf("the profile has no operation %q", operation)
	}
	members := map[string]any{}
	if asked != nil {
		if members, err = decode(asked); err != nil {
			return e, fmt.Errorf("the request's members: %w", err)
		}
	}
	document, err := decode(body)
	if err != nil {
		return e, err
	}
	status := http.StatusCreated
	if e.Code, _ = document["resourceType"].(string); e.Code == p.Shapes["refusal"].Type {
		status = http.StatusUnprocessableEntity
	}
	e.Answer, err = p.answer(operation, members, status, body, func(s his.Step) { e.Steps = append(e.Steps, s) })
	e.Unread = p.unread(document)
	return e, err
}

// unread are the elements of resources, and of what they contain, whose names are in none of the profile's paths.
func (p *Profile) unread(document map[string]any) []string {
	names := map[string]bool{"resourceType": true, "id": true, "meta": true}
	var learn func(fields []Field)
	learn = func(fields []Field) {
		for i := range fields {
			for _, s := range fields[i].path {
				names[s.name] = true
			}
			learn(fields[i].Each)
		}
	}
	for _, s := range p.Shapes {
		learn(s.Fields)
	}
	var found []string
	var walk func(object map[string]any)
	walk = func(object map[string]any) {
		kind, _ := object["resourceType"].(string)
		for name := range object {
			if kind != "Bundle" && !names[name] {
				found = append(found, kind+"."+name)
			}
		}
		for _, resource := range below(object, "entry.resource") {
			if o, ok := resource.(map[string]any); ok {
				walk(o)
			}
		}
	}
	walk(document)
	slices.Sort(found)
	return slices.Compact(found)
}
