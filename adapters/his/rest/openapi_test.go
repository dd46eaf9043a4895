package rest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// document reads docs/his-openapi.yaml and checks that it is one.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../../../docs/his-openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// conform checks the last exchange against the document, both ways.
func (w *ward) conform(t *testing.T, doc *openapi3.T, what string) {
	t.Helper()
	item := doc.Paths.Find(w.wire.request.URL.Path)
	if item == nil || item.Post == nil {
		t.Fatalf("%s: %s is not documented", what, w.wire.request.URL.Path)
	}
	answer := item.Post.Responses.Status(w.wire.status)
	if answer == nil {
		answer = item.Post.Responses.Default()
	}
	for side, m := range map[string]struct {
		content openapi3.Content
		body    []byte
	}{
		"request": {item.Post.RequestBody.Value.Content, w.wire.sent},
		"answer":  {answer.Value.Content, w.wire.received},
	} {
		var v any
		if err := json.Unmarshal(m.body, &v); err != nil {
			t.Fatal(err)
		}
		if err := m.content.Get("application/json").Schema.Value.VisitJSON(v); err != nil {
			t.Errorf("%s: the %s is not as documented: %v", what, side, err)
		}
	}
}

// TestDocument holds client, simulator and document together: every message of a payment, and of what can go wrong with it.
func TestDocument(t *testing.T) {
	t.Parallel()
	doc := document(t)
	w := newWard(t, hissim.Config{RegistersVisits: true})
	calls := w.calls(t)
	steps := []struct {
		op    string
		scene func() error
	}{
		{"patients.find", nil}, {"bills.pending", nil}, {"bills.detail", nil}, {"posting.query", nil}, {"lock", nil}, {"bills.detail", nil},
		{"lock", func() error { w.plan.Script(sandbox.Script{Op: "lock", Fault: sandbox.Repeat}); return nil }},
		{"release", nil}, {"release", nil}, {"lock", nil}, {"post", nil}, {"post", nil}, {"posting.query", nil}, {"bills.pending", nil},
		{"bills.detail", nil},
		{"posting.query", func() error { _, err := w.sim.VoidPosting("7"); return err }},
		{"post", nil}, {"lock", nil},
	}
	for _, step := range steps {
		if step.scene != nil {
			if err := step.scene(); err != nil {
				t.Fatal(err)
			}
		}
		_ = calls[step.op]() // refusals are documented messages, too
		w.conform(t, doc, step.op)
	}
	other := newWard(t, hissim.Config{})
	if _, err := other.sim.PayAtWindow(other.bills[0].No); err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"lock", "post", "posting.query"} {
		_ = other.calls(t)[op]()
		other.conform(t, doc, op+" of what the window took")
	}
	_, _ = other.client.Pending(t.Context(), "")
	other.conformAnswer(t, doc)
}

// conformAnswer checks the last answer alone: the request was meant to be wrong.
func (w *ward) conformAnswer(t *testing.T, doc *openapi3.T) {
	t.Helper()
	var v any
	if err := json.Unmarshal(w.wire.received, &v); err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Responses["NotDecided"].Value.Content.Get("application/json").Schema.Value
	if err := schema.VisitJSON(v); err != nil || w.wire.status != 400 {
		t.Errorf("status %d: %v", w.wire.status, err)
	}
}

// TestPaper names every operation and every code of the formal description in the prose, and the other way round for the paths.
func TestPaper(t *testing.T) {
	t.Parallel()
	doc := document(t)
	text, err := os.ReadFile("../../../docs/his-interface.md")
	if err != nil {
		t.Fatal(err)
	}
	paths := doc.Paths.InMatchingOrder()
	if len(paths) != 12 {
		t.Errorf("%d operations", len(paths))
	}
	for _, path := range paths {
		if !strings.Contains(string(text), "`"+path+"`") {
			t.Errorf("%s is not in the prose", path)
		}
		schema := doc.Paths.Find(path).Post.Responses.Status(200).Value.Content.Get("application/json").Schema.Value
		for _, code := range schema.Properties["code"].Value.Enum {
			if name, ok := code.(string); !ok || !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("code %v of %s is not in the prose", code, path)
			}
		}
	}
	for name, schema := range doc.Components.Schemas {
		for member := range schema.Value.Properties {
			if !strings.Contains(string(text), "`"+member+"`") && !strings.Contains(string(text), "`"+member+"[]`") {
				t.Errorf("%s.%s is not in the prose", name, member)
			}
		}
	}
}
