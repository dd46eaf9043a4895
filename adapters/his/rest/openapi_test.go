package rest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
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
	calls, walked := w.calls(t), map[string]bool{}
	steps := []struct {
		op    string
		scene func() error
	}{
		{"patients.find", nil}, {"bills.pending", nil}, {"bills.detail", nil}, {"posting.query", nil}, {"lock", nil}, {"bills.detail", nil},
		{"lock", func() error { w.plan.Script(sandbox.Script{Op: "lock", Fault: sandbox.Repeat}); return nil }},
		{"release", nil}, {"release", nil}, {"lock", nil}, {"post", nil}, {"post", nil}, {"posting.query", nil}, {"bills.pending", nil},
		{"bills.detail", nil},
		{"refund.query", nil}, {"refund.hold", nil}, {"refund.hold", nil}, {"refund.query", nil}, {"refund.drop", nil}, {"refund.hold", func() error {
			_, err := w.sim.HandOut(w.bills[0].No, w.bills[0].Lines[0].No, "14")
			return err
		}},
		{"refund.book", nil}, {"refund.book", nil}, {"refund.query", nil}, {"refund.hold", nil}, {"bills.detail", nil}, {"posting.query", nil}, {"statements.list", nil},
		{"posting.query", func() error { _, err := w.sim.VoidPosting("7"); return err }},
		{"statements.list", nil}, {"post", nil}, {"lock", nil},
	}
	for _, step := range steps {
		if step.scene != nil {
			if err := step.scene(); err != nil {
				t.Fatal(err)
			}
		}
		_ = calls[step.op]() // refusals are documented messages, too
		w.conform(t, doc, step.op)
		walked[w.wire.request.URL.Path] = true
	}
	conformInsurance(t, doc, walked)
	for _, path := range doc.Paths.InMatchingOrder() {
		if strings.HasPrefix(path, "/his/") && !walked[path] {
			t.Errorf("%s was not walked", path)
		}
	}
	w.conformRefunds(t, doc)
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

// conformRefunds walks what is refused of a refund, and one that is billed anew.
func (w *ward) conformRefunds(t *testing.T, doc *openapi3.T) {
	t.Helper()
	other := newWard(t, hissim.Config{})
	other.prepare(t, "refund.drop")
	calls := other.calls(t)
	_ = calls["refund.hold"]() // its tablets are kept for R2, but ten of 24
	other.conform(t, doc, "refund.hold")
	if _, err := other.sim.HandOut(other.bills[1].No, other.bills[1].Lines[0].No, ""); err == nil {
		t.Error("what is held was handed out")
	}
	third := other.refund("R3")
	third.Lines[0].Quantity, third.Lines[0].Amount, third.Total = decimal.NewFromInt(5), 399, 6999
	_ = other.client.HoldRefund(t.Context(), third)
	other.conform(t, doc, "refund.hold of what is held")
	_ = other.client.DropRefund(t.Context(), "7", "R1")
	other.conform(t, doc, "refund.drop of what is held")
	b := other.booking("R4")
	b.Lines[1].Kept = true // nobody gave up the test
	b.Rebill = b.Lines[1:]
	for range 2 {
		if err := calls["refund.drop"](); err != nil {
			t.Fatal(err)
		}
		other.conform(t, doc, "refund.drop")
	}
	if err := other.client.HoldRefund(t.Context(), b.RefundRequest); err != nil {
		t.Error(err)
	}
	other.conform(t, doc, "the hold of what is billed anew")
	for _, what := range []string{"a refund billed anew", "the same again"} {
		if out, err := other.client.BookRefund(t.Context(), b); err != nil || len(out.Rebilled) != 1 {
			t.Errorf("BookRefund of %s = %+v, %v", what, out, err)
		}
		other.conform(t, doc, what)
	}
	_ = other.client.DropRefund(t.Context(), "7", "R4")
	other.conform(t, doc, "refund.drop of what is booked")
}

// conformInsurance walks what a hospital with a line of its own to the insurer is asked, and what it refuses.
func conformInsurance(t *testing.T, doc *openapi3.T, walked map[string]bool) {
	t.Helper()
	paper := hissim.NewPaperInsurer(newClock())
	w := newWard(t, hissim.Config{Link: paper})
	link, err := w.client.Link(his.LinkConfig{Source: clock.NewSeeded(w.clock, 2, 1)})
	if err != nil {
		t.Fatal(err)
	}
	bills := []bill.Bill{*detailed(t, w, 0), *detailed(t, w, 1)}
	c := settlement.Claim{OrderNo: "7", BatchNo: "B1", Bills: bills, Total: 8517, UseAccount: true, Visit: settlement.Visit{VisitNo: "T1"},
		Person: settlement.Person{Token: sensitive.NewToken("AUTH360100202611230000000001")}}
	foresee := func() error {
		p, err := link.Presettle(t.Context(), c)
		if err == nil {
			c.Visit = p.Visit
		}
		return err
	}
	setlID := "none"
	settle := func() error {
		out, err := link.Settle(t.Context(), link.MsgID(), c)
		if err == nil {
			setlID = out.SetlID
		}
		return err
	}
	cancel := func() error { return link.Cancel(t.Context(), link.MsgID(), c.Visit, setlID) }
	query := func() error { _, err := link.InForce(t.Context(), c.Visit, setlID); return err }
	withdraw := func() error { return link.Withdraw(t.Context(), c) }
	reverse := func() error { return link.Reverse(t.Context(), link.MsgID(), c.Visit, "2207", link.MsgID()) }
	refused := func(call func() error) func() error {
		return func() error { paper.RefuseNext("不予受理"); return call() }
	}
	for i, step := range []struct {
		call func() error
		ok   bool
	}{{withdraw, true}, {refused(foresee), false}, {foresee, true}, {reverse, true}, {query, false}, {cancel, false}, {refused(settle), false}, {settle, true}, {settle, false},
		{foresee, false}, {withdraw, false}, {query, true}, {refused(cancel), false}, {cancel, true}, {cancel, false}, {query, true}, {withdraw, true}} {
		if err := step.call(); (err == nil) != step.ok {
			t.Errorf("step %d: %v", i, err)
		}
		w.conform(t, doc, "insurance")
		walked[w.wire.request.URL.Path] = true
	}
}

func detailed(t *testing.T, w *ward, i int) *bill.Bill {
	t.Helper()
	b, err := w.client.Detail(t.Context(), "P1", w.bills[i].No)
	if err != nil {
		t.Fatal(err)
	}
	return b
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
	if len(paths) != 19 {
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
