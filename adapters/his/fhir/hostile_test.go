package fhir

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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
		{"no refund, and its entry", "refunds/query", 200, `{"resourceType":"Bundle","type":"searchset","total":0,"entry":[{"search":{"mode":"include"},` +
			`"resource":{"resourceType":"PaymentReconciliation"}}]}`, nil},
	} {
		_, err := p.answer(tt.operation, map[string]any{"order_no": "7", "refund_no": "8"}, tt.status, []byte(tt.body), nil)
		if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestLargeAnswers: an answer of ten thousands of references, or of payments, is read or refused in a moment.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	p, many := example(t), 10_000
	var lines, resources, bills strings.Builder
	for i := range many {
		fmt.Fprintf(&lines, "%s,", line(fmt.Sprint(i)))
		resources.WriteString(included(fmt.Sprint(i), fmt.Sprintf(`{"resourceType":"ChargeItem","id":"%d","encounter":{"reference":"%d"}}`, i, i)))
		no := fmt.Sprintf(`"identifier":{"system":"http://his.example/fhir/sid/bill-no","value":"%d"}`, i)
		fmt.Fprintf(&bills, `{"search":{"mode":"match"},"resource":{"resourceType":"Invoice","status":"balanced",%s}},`, no)
		fmt.Fprintf(&bills, `{"search":{"mode":"include"},"resource":{"resourceType":"PaymentNotice","status":"active","request":{%s}}},`, no)
	}
	found := `{"response":{"status":"200"},"resource":{"resourceType":"Bundle","type":"searchset","total":`
	for operation, body := range map[string]string{
		"bills/detail": detailed(strings.TrimSuffix(lines.String(), ","), resources.String()),
		"postings/query": `{"resourceType":"Bundle","type":"batch-response","entry":[` + found + `0}},` + found + fmt.Sprint(many) + `,"entry":[` +
			strings.TrimSuffix(bills.String(), ",") + `]}}]}`,
	} {
		began := time.Now()
		if _, err := p.answer(operation, map[string]any{"order_no": "7", "bill_nos": []any{"1"}}, http.StatusOK, []byte(body), nil); err == nil {
			t.Errorf("%s was believed", operation)
		}
		if took := time.Since(began); took > time.Minute { // it was five, and is a second or two
			t.Errorf("%s of %d KiB took %v", operation, len(body)>>10, took)
		}
	}
}

// TestTwoOfOneID: an answer with two lines of one id, which differ, is no bill; one that says the same line twice is.
func TestTwoOfOneID(t *testing.T) {
	t.Parallel()
	for name, differs := range map[string]bool{"the same": false, "another": true} {
		w := newWard(t)
		w.spoil = func(_ *http.Response, body string) string {
			document, err := decode([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range flat(document["entry"]) {
				if text, err := json.Marshal(entry); err == nil && strings.Contains(string(text), `"resourceType":"ChargeItem"`) {
					again, err := decode(text)
					if err != nil {
						t.Fatal(err)
					}
					if code, ok := one[map[string]any](below(again, "resource.code")); ok && differs {
						code["text"] = "另一种药"
					}
					document["entry"] = append(flat(document["entry"]), again)
				}
			}
			out, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		if _, err := w.client.Detail(t.Context(), "P1", w.bill.No); errors.Is(err, bill.ErrUnreadable) != differs {
			t.Errorf("%s: %v; heard %s", name, err, w.heard)
		}
	}
}
