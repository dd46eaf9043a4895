package fhir

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// linked is the ward's line to the insurer, and a claim of its bill.
func (w *ward) linked(t *testing.T) (*his.Link, settlement.Claim) {
	t.Helper()
	link, err := w.client.Link(his.LinkConfig{Source: clock.NewSeeded(w.clock, 1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.client.Detail(t.Context(), "P1", w.bill.No)
	if err != nil {
		t.Fatal(err)
	}
	return link, settlement.Claim{OrderNo: "7", BatchNo: "B1", Bills: []bill.Bill{*b}, Total: 1917, UseAccount: true,
		Person: settlement.Person{Token: sensitive.NewToken("AUTH-1")}}
}

// TestClaims: what is submitted, to the letter.
func TestClaims(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	link, c := w.linked(t)
	p, err := link.Presettle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	c.Visit = p.Visit
	said := func(path string, wants ...string) {
		t.Helper()
		if w.asked.URL.Path != path {
			t.Errorf("asked %s, want %s", w.asked.URL.Path, path)
		}
		for _, want := range wants {
			if !strings.Contains(w.sent, want) {
				t.Errorf("%s is not in %s", want, w.sent)
			}
		}
	}
	const insured = `"insurance":[{"coverage":{"display":"基本医疗保险","identifier":{"system":"http://nhsa.example/fhir/sid/pay-auth-no","value":"AUTH-1"}},` +
		`"focal":true,"sequence":1}]`
	said("/Claim/$submit", `"use":"predetermination"`, insured, `"total":{"currency":"CNY","value":19.17}`, `"net":{"currency":"CNY","value":19.17}`,
		`"quantity":{"value":24},"sequence":1`, `"related":[{"reference":{"system":"http://tuoka.example/fhir/sid/order-no","value":"7"}}]`)
	out, err := link.Settle(t.Context(), "S1", c)
	if err != nil || out.Split != p.Split || out.SettledAt != w.clock.Now().UTC() {
		t.Fatalf("Settle = %+v, %v; foreseen %+v", out, err, p)
	}
	said("/Claim/$submit", `"use":"claim"`, insured, `"identifier":[{"system":"http://tuoka.example/fhir/sid/settle-no","value":"S1"}]`,
		`"related":[{"claim":{"identifier":{"system":"http://tuoka.example/fhir/sid/claim-no","value":"B1"}}`)
	if err := link.Cancel(t.Context(), "C1", c.Visit, out.SetlID); err != nil {
		t.Fatal(err)
	}
	said("/Claim/$cancel", `"value":"C1"`, out.SetlID)
	if stands, err := link.InForce(t.Context(), c.Visit, out.SetlID); stands || err != nil {
		t.Errorf("InForce = %v, %v", stands, err)
	}
	said("/ClaimResponse/_search", "identifier=http%3A%2F%2Fnhsa.example%2Ffhir%2Fsid%2Fsetl-id%7C"+out.SetlID)
	c.Person.Token, c.UseAccount, c.BatchNo = sensitive.Token{}, false, "B2"
	if _, err := link.Presettle(t.Context(), c); err != nil || strings.Contains(w.sent, "pay-auth-no") ||
		!strings.Contains(w.sent, `use-account","valueBoolean":false`) {
		t.Errorf("without an authorisation: %v, sent %s", err, w.sent)
	}
}

func swapAll(old, fresh string) func(*http.Response, string) string {
	return func(_ *http.Response, body string) string {
		if !strings.Contains(body, old) {
			return "nothing to spoil: " + body
		}
		return strings.ReplaceAll(body, old, fresh)
	}
}

// TestClaimResponsesThatProveNothing spoils what is answered to claims: nothing is foreseen, settled, cancelled or undone by such an answer.
func TestClaimResponsesThatProveNothing(t *testing.T) {
	t.Parallel()
	foresee := func(t *testing.T, l *his.Link, c settlement.Claim) error {
		t.Helper()
		_, err := l.Presettle(t.Context(), c)
		return err
	}
	settle := func(t *testing.T, l *his.Link, c settlement.Claim) error {
		t.Helper()
		_, err := l.Settle(t.Context(), "S1", c)
		return err
	}
	stands := func(t *testing.T, l *his.Link, c settlement.Claim) error {
		t.Helper()
		_, err := l.InForce(t.Context(), c.Visit, "JSPAPER-000001")
		return err
	}
	reverse := func(t *testing.T, l *his.Link, c settlement.Claim) error {
		t.Helper()
		return l.Reverse(t.Context(), "R1", c.Visit, "2207", "S1")
	}
	cancel := func(t *testing.T, l *his.Link, c settlement.Claim) error {
		t.Helper()
		return l.Cancel(t.Context(), "C1", c.Visit, "JSPAPER-000001")
	}
	withdraw := func(t *testing.T, l *his.Link, c settlement.Claim) error {
		t.Helper()
		return l.Withdraw(t.Context(), c)
	}
	for name, tt := range map[string]struct {
		ask   func(t *testing.T, l *his.Link, c settlement.Claim) error
		spoil func(*http.Response, string) string
	}{
		"foreseen":                       {foresee, nil},
		"foreseen: waits":                {foresee, swap(`"outcome":"complete"`, `"outcome":"queued"`)},
		"foreseen: in part":              {foresee, swap(`"outcome":"complete"`, `"outcome":"partial"`)},
		"foreseen: no outcome":           {foresee, swap(`"outcome":"complete",`, "")},
		"foreseen: cancelled":            {foresee, swap(`"status":"active"`, `"status":"cancelled"`)},
		"foreseen: of another use":       {foresee, swap(`"predetermination"`, `"claim"`)},
		"foreseen: another claim":        {foresee, swapAll(`"value":"B1"`, `"value":"B2"`)},
		"foreseen: a part less":          {foresee, swap(`"url":"pooledFund"`, `"url":"pooled"`)},
		"foreseen: a part twice":         {foresee, swap(`"url":"otherFund"`, `"url":"pooledFund"`)},
		"foreseen: an uninsured part":    {foresee, swap(`"uninsured","valueMoney":{"currency":"CNY","value":0.00}`, `"uninsured","valueMoney":{"currency":"CNY","value":0.01}`)},
		"foreseen: another total":        {foresee, swapAll("19.17", "19.18")},
		"foreseen: another kind of sum":  {foresee, swap(`"submitted"`, `"benefit"`)},
		"foreseen: another currency":     {foresee, swap("CNY", "USD")},
		"foreseen: no visit":             {foresee, swap("insured-visit-no", "visit-no")},
		"foreseen: another resource":     {foresee, swap(`"resourceType":"ClaimResponse"`, `"resourceType":"Claim"`)},
		"settled":                        {settle, nil},
		"settled: foreseen alone":        {settle, swapAll(`"use":"claim"`, `"use":"predetermination"`)},
		"settled: waits":                 {settle, swap(`"outcome":"complete"`, `"outcome":"queued"`)},
		"settled: cancelled":             {settle, swap(`"status":"active"`, `"status":"cancelled"`)},
		"settled: another number":        {settle, swap(`"value":"S1"`, `"value":"S2"`)},
		"settled: without its number":    {settle, swap("setl-id", "setl")},
		"settled: without a zone":        {settle, swap("+08:00", "")},
		"stands":                         {stands, nil},
		"stands: draft":                  {stands, swap(`"status":"active"`, `"status":"draft"`)},
		"stands: in error":               {stands, swap(`"outcome":"complete"`, `"outcome":"error"`)},
		"stands: another visit":          {stands, swapIn("ClaimResponse", `insured-visit-no","value":"`, `insured-visit-no","value":"0`)},
		"stands: another number":         {stands, swapAll("JSPAPER-000001", "JSPAPER-000002")},
		"stands: another total":          {stands, swap(`"total":1,"type"`, `"total":2,"type"`)},
		"reversed":                       {reverse, nil},
		"reversed: settled":              {reverse, swap("not-settled", "settled")},
		"reversed: a word of nobody's":   {reverse, swap("not-settled", "undone")},
		"reversed: another number":       {reverse, swap(`"value":"R1"`, `"value":"R2"`)},
		"cancelled":                      {cancel, nil},
		"cancelled: stands":              {cancel, swap(`"valueCode":"cancelled"`, `"valueCode":"active"`)},
		"cancelled: another number":      {cancel, swapAll("JSPAPER-000001", "JSPAPER-000002")},
		"withdrawn: settled in the end":  {withdraw, swap(`"valueBoolean":true`, `"valueBoolean":"true"`)},
		"withdrawn: another claim":       {withdraw, swap(`"value":"B1"`, `"value":"B2"`)},
		"withdrawn: not whether it was":  {withdraw, swap(`"ended"`, `"done"`)},
		"withdrawn: by another resource": {withdraw, swap(`"Parameters"`, `"OperationOutcome"`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			link, c := w.linked(t)
			p, err := link.Presettle(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			c.Visit = p.Visit
			if !strings.HasPrefix(name, "foreseen") && !strings.HasPrefix(name, "withdrawn") {
				if err := settle(t, link, c); err != nil {
					t.Fatal(err)
				}
			}
			w.spoil = tt.spoil
			err = tt.ask(t, link, c)
			if strings.Contains(string(w.heard), "nothing to spoil") {
				t.Fatal(string(w.heard))
			}
			if tt.spoil == nil && err != nil || tt.spoil != nil && !errors.Is(err, bill.ErrUnreadable) {
				t.Errorf("%v; heard %s", err, w.heard)
			}
		})
	}
}

// TestInsurersWords: what the insurer says comes through, and a refusal without his words is one as well.
func TestInsurersWords(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	link, c := w.linked(t)
	for _, tt := range []struct {
		words string
		spoil func(*http.Response, string) string
		want  string
	}{
		{"该人员待遇已冻结", nil, "该人员待遇已冻结"},
		{"  ", nil, "医保未受理，原因未说明"},
		{"该人员待遇已冻结", swap(`"text":"该人员待遇已冻结"`, `"coding":[]`), ""}, // named twice
		{"该人员待遇已冻结", swap("INSURER_REFUSED", "SETTLED"), "该费用单已有医保结算"},
	} {
		w.paper.RefuseNext(tt.words)
		w.spoil = tt.spoil
		_, err := link.Presettle(t.Context(), c)
		f, ok := fault.Find(err)
		if !ok || errors.Is(err, his.ErrDeclined) != (tt.want != "") || errors.Is(err, settlement.ErrStands) != (tt.want == "该费用单已有医保结算") || (tt.want != "" && f.Msg != tt.want) {
			t.Errorf("%q: %v, want %q; heard %s", tt.words, err, tt.want, w.heard)
		}
	}
}

// TestNoLine: a server of a hospital without a line of its own takes no claims.
func TestNoLine(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	link, c := w.linked(t)
	var err error
	if w.sim, err = hissim.New(hissim.Config{Clock: w.clock, App: "tuoka", Secret: sensitive.NewKey(testToken)}); err != nil {
		t.Fatal(err)
	}
	if _, err := link.Presettle(t.Context(), c); !errors.Is(err, his.ErrRequest) {
		t.Errorf("Presettle = %v", err)
	}
	if _, err := link.InForce(t.Context(), settlement.Visit{VisitNo: "V1"}, "JS1"); !errors.Is(err, his.ErrRequest) {
		t.Errorf("InForce = %v", err)
	}
}

// TestSimulatorRefusesClaims: the simulator takes no Claim that its profile does not know.
func TestSimulatorRefusesClaims(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	link, c := w.linked(t)
	if _, err := link.Presettle(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	sent, head := w.sent, w.asked.Header
	for name, spoil := range map[string]func(*http.Response, string) string{
		"no use":                swap(`"predetermination"`, `"preauthorization"`),
		"no provider":           swap(`"provider":{"display":"云岭市人民医院"},`, ""),
		"no insurance":          swap(`"focal":true`, `"focal":false`),
		"an unknown element":    swap(`"use"`, `"colour":1,"use"`),
		"no order":              swap("order-no", "order"),
		"an item out of place":  swap(`"sequence":1}],"patient"`, `"sequence":2}],"patient"`),
		"an item of no bill":    swap("sid/bill-no", "sid/bill"),
		"one decimal":           swap(`"value":19.17`, `"value":19.2`),
		"another's patient":     swap("sid/patient-no", "sid/patient"),
		"a claim that is draft": swap(`"status":"active"`, `"status":"draft"`),
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://his.example/Claim/$submit", strings.NewReader(spoil(nil, sent)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = head.Clone()
		res, err := w.RoundTrip(r)
		if strings.HasPrefix(w.sent, "nothing to spoil") || err != nil || res.StatusCode != http.StatusBadRequest || !strings.Contains(string(w.heard), `"INVALID"`) {
			t.Errorf("%s: %v %s, %v; sent %s", name, res, w.heard, err, w.sent)
		}
	}
}

// TestLinks: a profile without one of the six is told which.
func TestLinks(t *testing.T) {
	t.Parallel()
	if err := example(t).Links(); err != nil {
		t.Errorf("the example: %v", err)
	}
	for _, name := range insuring {
		p := example(t)
		delete(p.Operations, name)
		if err := p.Links(); err == nil || err.Error() != "operations."+name+": is missing" {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
