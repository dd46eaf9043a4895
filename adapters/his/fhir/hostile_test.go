package fhir

import (
	"errors"
	"testing"

	"github.com/tuoka/tuoka/internal/bill"
)

const (
	coding = `{"system":"http://tuoka.example/fhir/cs/refusal"}`
)

// line is a reference of an Invoice's, and included a resource that an answer contains besides.
func line(to string) string { return `{"chargeItemReference":{"reference":"` + to + `"}}` }

func included(url, resource string) string {
	return `,{"search":{"mode":"include"},"fullUrl":"` + url + `","resource":` + resource + `}`
}

// detailed is an answer of bills/detail with these lines and these resources.
func detailed(lines, more string) string {
	return `{"resourceType":"Bundle","type":"searchset","total":1,"entry":[{"search":{"mode":"match"},"resource":{"resourceType":"Invoice","id":"i","lineItem":[` +
		lines + `]}}` + more + `]}`
}

// TestOddAnswers: what no server should answer, and perhaps one does, is no answer; it breaks nothing.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	p := example(t)
	for _, tt := range []struct {
		name, operation string
		status          int
		body            string
		want            error // nil: any but a fault
	}{
		{"two codings without a code", "bills/detail", 404, `{"resourceType":"OperationOutcome","issue":[{"details":{"coding":[` + coding + `,` + coding + `]}}]}`, bill.ErrNoAnswer},
		{"ids that are objects", "bills/detail", 200,
			detailed(line("a")+","+line("b"), included("a", `{"resourceType":"ChargeItem","id":{}}`)+included("b", `{"resourceType":"ChargeItem","id":{}}`)), nil},
		{"types that are objects", "bills/detail", 200,
			detailed(line("a")+","+line("b"), included("a", `{"resourceType":{},"id":"1"}`)+included("b", `{"resourceType":{},"id":"2"}`)), nil},
	} {
		_, err := p.answer(tt.operation, map[string]any{"order_no": "7", "refund_no": "8"}, tt.status, []byte(tt.body), nil)
		if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
