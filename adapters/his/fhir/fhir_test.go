package fhir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/configs"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/split"
)

const testToken = "a-token-of-the-front-office-0001"

func profileText(t testing.TB) string {
	t.Helper()
	text, err := configs.FS.ReadFile("his-fhir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func example(t testing.TB) *Profile {
	t.Helper()
	p, err := ParseProfile([]byte(profileText(t)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ward is the FHIR server with a patient and a bill, and what goes over the wire.
type ward struct {
	sim    *hissim.Sim
	clock  *clock.Fake
	client *Client
	bill   hissim.Bill
	spoil  func(res *http.Response, body string) string // of the next answers; nil: as it is
	asked  *http.Request
	sent   string
	heard  []byte
	paper  *hissim.PaperInsurer
}

func (w *ward) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.asked, w.sent = r, string(body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	res, err := sandbox.Direct(w.sim.FHIRHandler()).RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if w.heard, err = io.ReadAll(res.Body); err == nil && w.spoil != nil {
		w.heard = []byte(w.spoil(res, string(w.heard)))
	}
	res.Body = io.NopCloser(bytes.NewReader(w.heard))
	return res, err
}

func newWard(t testing.TB) *ward {
	t.Helper()
	w := &ward{clock: clock.NewFake(time.Date(2026, 11, 23, 9, 30, 0, 0, clock.Shanghai))}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.paper = hissim.NewPaperInsurer(w.clock)
	w.sim, err = hissim.New(hissim.Config{Clock: w.clock, Source: clock.NewSeeded(w.clock, 2, 1), App: "tuoka", Secret: sensitive.NewKey(testToken), Link: w.paper})
	must(err)
	_, err = w.sim.AddPatient(hissim.Patient{ID: "P1", Name: "冯晓棠", IDNo: "360102198503123042"})
	must(err)
	w.bill, err = w.sim.AddBill("P1", "D360102000211", hissim.Order{Code: "W10231", Quantity: "24"})
	must(err)
	w.client, err = New(Config{Config: his.Config{Clock: w.clock}, BaseURL: "https://his.example/", Profile: example(t), Token: sensitive.NewKey(testToken)}, w)
	must(err)
	return w
}

func (w *ward) pending(t testing.TB) error {
	list, err := w.client.Pending(t.Context(), "P1")
	if err == nil && len(list) == 0 {
		return errors.New("an empty list from a hospital that has bills")
	}
	return err
}

func swap(old, fresh string) func(*http.Response, string) string {
	return func(_ *http.Response, body string) string {
		if !strings.Contains(body, old) {
			return "nothing to spoil: " + body
		}
		return strings.Replace(body, old, fresh, 1)
	}
}

// TestAnswersThatProveNothing spoils an answer in every way that is not worth believing: never an empty list, never a zero.
func TestAnswersThatProveNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*http.Response, string) string{
		"one decimal":           swap("19.17", "19.1"),
		"three decimals":        swap("19.17", "19.170"),
		"an exponent":           swap("19.17", "1.917e1"),
		"an amount as text":     swap("19.17", `"19.17"`),
		"below zero":            swap("19.17", "-19.17"),
		"another currency":      swap("CNY", "USD"),
		"no currency":           swap(`"currency":"CNY",`, ""),
		"a page of several":     swap(`"total":1,"type":"searchset"}}]`, `"total":1,"link":[{"relation":"next","url":"x"}],"type":"searchset"}}]`),
		"another total":         swap(`}],"resourceType":"Bundle","total":1`, `}],"resourceType":"Bundle","total":2`),
		"no total":              swap(`}],"resourceType":"Bundle","total":1,`, `}],"resourceType":"Bundle",`),
		"another's bill":        swap(`"value":"P1"`, `"value":"P2"`),
		"another system":        swap("sid/bill-no", "sid/bill"),
		"a state that is none":  swap(`"issued"`, `"draft"`),
		"two totals":            swap(`"totalGross":`, `"totalGross":{"value":1.00,"currency":"CNY"},"totalgross":`),
		"a time without a zone": swap("+08:00", ""),
		"half a batch":          swap(`"status":"200 OK"`, `"status":"500"`),
		"cut":                   func(_ *http.Response, b string) string { return b[:len(b)/2] },
		"nothing":               func(*http.Response, string) string { return "" },
		"not UTF-8":             swap("19.17", "\xff"),
		"another version": func(res *http.Response, b string) string {
			res.Header.Set("Content-Type", "application/fhir+json; fhirVersion=4.0")
			return b
		},
		"plain JSON": func(res *http.Response, b string) string {
			res.Header.Set("Content-Type", "application/json")
			return b
		},
		"a page": func(res *http.Response, _ string) string {
			res.Header.Set("Content-Type", "text/html")
			return "<html/>"
		},
		"another Bundle": func(*http.Response, string) string {
			return `{"resourceType":"Bundle","type":"searchset","total":0}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			w.spoil = spoil
			if err := w.pending(t); !errors.Is(err, bill.ErrUnreadable) {
				t.Errorf("Pending = %v, want ErrUnreadable; heard %s", err, w.heard)
			}
		})
	}
	w := newWard(t)
	if err := w.pending(t); err != nil {
		t.Errorf("an answer as it is: %v", err)
	}
}

// TestDetail: a bill is whole, and all of it is one patient's.
func TestDetail(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	for name, spoil := range map[string]func(*http.Response, string) string{
		"a line that is not there":     swap(`"id":"`+w.bill.Lines[0].No+`"`, `"id":"another"`),
		"a visit that is not there":    swapIn("ChargeItem", `"Encounter/`, `"Encounter/another-`),
		"a line of another patient":    swapIn("ChargeItem", `"value":"P1"`, `"value":"P2"`),
		"a visit of another patient":   swapIn("Encounter", `"value":"P1"`, `"value":"P2"`),
		"a diagnosis of another's":     swapIn("Condition", `"value":"P1"`, `"value":"P2"`),
		"a line less":                  swap(`"lineItem":[`, `"lineItem":[{"chargeItemCodeableConcept":{}},`),
		"a class that there is not":    swap(`"valueCode":"A"`, `"valueCode":"X"`),
		"a quantity with an exponent":  swap(`"value":24`, `"value":2.4e1`),
		"something that was not asked": swap(`"mode":"include"`, `"mode":"outcome"`),
	} {
		fresh := newWard(t)
		fresh.spoil = func(res *http.Response, body string) string {
			return strings.ReplaceAll(spoil(res, body), "https://his.example/fhir/ChargeItem/"+w.bill.Lines[0].No, "https://his.example/fhir/x")
		}
		if _, err := fresh.client.Detail(t.Context(), "P1", w.bill.No); !errors.Is(err, bill.ErrUnreadable) {
			t.Errorf("%s: %v, want ErrUnreadable; heard %s", name, err, fresh.heard)
		}
	}
	if b, err := w.client.Detail(t.Context(), "P1", w.bill.No); err != nil || b.Total != 1917 || len(b.Lines) != 1 || len(b.Visit.Diagnoses) == 0 {
		t.Errorf("Detail = %+v, %v", b, err)
	}
}

// swapIn spoils the first resource of a type.
func swapIn(kind, old, fresh string) func(*http.Response, string) string {
	return func(_ *http.Response, body string) string {
		parts := strings.Split(body, `{"fullUrl"`)
		for i, p := range parts {
			if strings.Contains(p, `"resourceType":"`+kind+`"`) && strings.Contains(p, old) {
				parts[i] = strings.Replace(p, old, fresh, 1)
				return strings.Join(parts, `{"fullUrl"`)
			}
		}
		return "nothing to spoil: " + body
	}
}

// TestRefusalsThatProveNothing: a refusal is one with the interface's code; anything else with a bad status is no answer.
func TestRefusalsThatProveNothing(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	outcome := func(status int, system, code string) func(*http.Response, string) string {
		return func(res *http.Response, _ string) string {
			res.StatusCode = status
			return fmt.Sprintf(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"conflict","details":{"coding":[{"system":%q,"code":%q}]}}]}`,
				system, code)
		}
	}
	ours := example(t).Names["code"]
	for _, tt := range []struct {
		name  string
		spoil func(*http.Response, string) string
		want  error
	}{
		{"a refusal", outcome(409, ours, "LOCKED"), bill.ErrLocked},
		{"maintenance", outcome(503, ours, "MAINTENANCE"), bill.ErrMaintenance},
		{"malformed", outcome(400, ours, "INVALID"), his.ErrRequest},
		{"another's code", outcome(409, "http://another.example/codes", "LOCKED"), bill.ErrNoAnswer},
		{"a code that there is not", outcome(409, ours, "BUSY"), bill.ErrNoAnswer},
		{"done, but no", outcome(500, ours, "0"), bill.ErrNoAnswer},
		{"a redirection", outcome(302, ours, "LOCKED"), bill.ErrNoAnswer},
		{"one of another operation", outcome(409, ours, "NOT_REFUNDABLE"), bill.ErrUnreadable},
		{"a refusal that is said to be none", outcome(200, ours, "LOCKED"), bill.ErrUnreadable},
	} {
		w.spoil = tt.spoil
		_, err := w.client.Lock(t.Context(), order.LockRequest{OrderNo: "7", HISPatient: "P1", Bills: []string{w.bill.No}, Total: 1917})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestRequest: what is sent, to the letter; no number of a person stands in an address.
func TestRequest(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	p := order.Posting{OrderNo: "7", HISPatient: "P1", Bills: []order.PostedBill{{No: w.bill.No, Total: 1917}}, Total: 1917,
		Split: split.AllCash(1917), OutTradeNo: "T1",
		TransactionID: "42", PaidAt: w.clock.Now()}
	if _, err := w.client.Post(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	h := w.asked.Header
	if got, want := h.Get("If-None-Exist"), "identifier=http%3A%2F%2Ftuoka.example%2Ffhir%2Fsid%2Forder-no%7C7"; got != want {
		t.Errorf("If-None-Exist: %s, want %s", got, want)
	}
	if h.Get("Authorization") != "Bearer "+testToken || h.Get("Content-Type") != "application/fhir+json; fhirVersion=5.0" ||
		w.asked.URL.Path != "/PaymentReconciliation" {
		t.Errorf("asked %s with %v", w.asked.URL, h)
	}
	for _, want := range []string{`"amount":{"currency":"CNY","value":19.17}`, `"date":"2026-11-23"`,
		`"paymentIdentifier":{"system":"http://pay.weixin.example/fhir/sid/transaction-id","value":"42"}`,
		`{"url":"uninsured","valueMoney":{"currency":"CNY","value":19.17}}`, `{"url":"account","valueMoney":{"currency":"CNY","value":0.00}}`} {
		if !strings.Contains(w.sent, want) {
			t.Errorf("%s is not in %s", want, w.sent)
		}
	}
	id, err := sensitive.ParseIDNumber("360102198503123042")
	if err != nil {
		t.Fatal(err)
	}
	found, err := w.client.FindPatient(t.Context(), sensitive.NewName("冯晓棠"), id)
	if err != nil || len(found) != 1 || w.asked.URL.String() != "https://his.example/Patient/_search" || !strings.Contains(w.sent, "360102198503123042") {
		t.Errorf("FindPatient = %v, %v; asked %s", found, err, w.asked.URL)
	}
}

// TestStranger: without the token nobody is answered, and that is no answer.
func TestStranger(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	config := Config{Config: his.Config{Clock: w.clock}, BaseURL: "https://his.example", Profile: example(t), Token: sensitive.NewKey("another-token-of-nobody")}
	c, err := New(config, w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pending(t.Context(), "P1"); !errors.Is(err, bill.ErrNoAnswer) {
		t.Errorf("a stranger: %v", err)
	}
	config.Token = sensitive.NewKey("short")
	if _, err := New(config, w); err == nil {
		t.Error("a short token was taken")
	}
}

// TestProfileFaults: every fault of a profile is told, with its place.
func TestProfileFaults(t *testing.T) {
	t.Parallel()
	text := profileText(t)
	for _, tt := range []struct{ old, fresh, want string }{
		{"version: R5", "version: R3", "version: is R5 or R4"},
		{"  bill: http://his", "  bill: his", "names.bill"},
		{"  bill: http://his.example/fhir/sid/bill-no\n", "", "%bill is not among the names"},
		{"  locks/release: {", "  locks/free: {", "operations.locks/release: is missing"},
		{"create: lock,", "create: lok,", `no shape "lok"`},
		{", once: \"identifier=%order|{order_no}\" }\n  locks", " }\n  locks", "operations.locks/acquire"},
		{"path: name.text", "path: name..text", "is not a path"},
		{"path: name.text", "path: name.matches('x')", "is not a path"},
		{"as: flag", "as: bool", "is one of"},
		{"in: answer", "in: reply", "is request, answer or empty"},
		{"  paid: #", "  debts: #", "shapes.paid: is missing"},
		{"type: Patient", "typo: Patient", "typo"},
		{"{ path: intent, const: order }", "{ path: intent }", "is a member or a constant"},
		{`"Task?identifier`, `"task?identifier`, "is not a search"},
		{"with: estimate, answered: response", "with: estimate, answered: reply", `operations.insurance/presettle: there is no shape "reply"`},
		{"call: Claim/$reverse, with: reverse", "create: reverse, once: x", "operations.insurance/reverse: is a call"},
		{"], answered: response }", "] }", "operations.insurance/query: is one search, with the shape"},
		{"with: release }", "with: release, answered: release }", "operations.locks/release.answered: is for insurance/* alone"},
		{`  insurance/withdraw: { call: Claim/$withdraw, with: withdraw }`, "", "shapes.withdraw: nothing reads such a shape"},
		{`const: "1", as: number, in: request`, `const: "1", as: number`, "a constant of an answer is a text"},
		{`const: "true", as: flag`, `const: "yes", as: flag`, "a constant flag is true or false"},
		{"  closing: #", "  shutting: #", "shapes.closing: is missing"},
		{"  statements/list:", "  statements/sum:", "shapes.closing: nothing reads such a shape"},
		{`      - "Task?identifier=%businessDay|{date}"` + "\n", "", "operations.statements/list: is two searches"},
		{"type: ClaimResponse", `type: ""`, "shapes.response: has no type"},
		{"path: totalGross, as: money", "path: totalGross.value, as: number", "an amount in fen"},
		{"{ member: card_no, path", "{ member: patient_id, path", "patient_id stands there twice"},
		{"{ member: lines, path: item, each", `{ member: lines, path: ".", each`, "such a path is for reading"},
		{"{ member: lines, path: item, each", "{ member: lines, path: item.detail, each", "such a path is for reading"},
		{"{ member: use_account, path: extension(%useAccount)", "{ member: use_account, path: insurance.resolve()", "such a path is for reading"},
	} {
		spoiled := strings.Replace(text, tt.old, tt.fresh, 1)
		if spoiled == text {
			t.Errorf("%q: nothing to spoil", tt.old)
		}
		if _, err := ParseProfile([]byte(spoiled)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q in it", tt.fresh, err, tt.want)
		}
	}
}

// TestPaths: what is written at a path is read there, and conditions tell entries of a list apart.
func TestPaths(t *testing.T) {
	t.Parallel()
	names := map[string]string{"a": "urn:a", "b": "urn:b"}
	object := map[string]any{}
	a := &answer{document: object, known: map[string]map[string]any{}}
	for i, text := range []string{"identifier.where(system=%a).value", "identifier.where(system=%b).value", "for.identifier.where(system=%a).value",
		"extension(%a).extension('x').valueString",
		"input.where(type.text='total').valueString", "code.coding.where(system=%a).code", "status", "reason.concept.text"} {
		p, err := parsePath(text, names)
		if err == nil {
			err = p.put(object, fmt.Sprint(i))
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, err := p.get(a, object); err != nil || !slices.Equal(got, []any{any(fmt.Sprint(i))}) {
			t.Errorf("%s = %v, %v", text, got, err)
		}
	}
	const want = `{"code":{"coding":[{"code":"5","system":"urn:a"}]},` +
		`"extension":[{"extension":[{"url":"x","valueString":"3"}],"url":"urn:a"}],"for":{"identifier":{"system":"urn:a",` +
		`"value":"2"}},"identifier":[{"system":"urn:a","value":"0"},{"system":"urn:b","value":"1"}],"input":[{"type":{"text":"total"},"valueString":"4"}],` +
		`"reason":[{"concept":` +
		`{"text":"7"}}],"status":"6"}`
	if text, err := json.Marshal(object); err != nil || string(text) != want {
		t.Errorf("wrote %s, %v", text, err)
	}
	for _, text := range []string{"", ".", "a..b", "a.", "where(x='1'", "%nobody", "extension(%nobody).value", "a b"} {
		if p, err := parsePath(text, names); err == nil && len(p) > 0 {
			t.Errorf("%q is taken for a path", text)
		}
	}
}

// TestExplain: every value tells where it is from, what nobody reads is told, and where reading ends, what is wrong.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	if err := w.pending(t); err != nil {
		t.Fatal(err)
	}
	p := example(t)
	e, err := p.Explain("bills/pending", []byte(`{"patient_id":"P1"}`), bytes.Replace(w.heard, []byte(`"totalGross"`), []byte(`"totalNet":{},"totalGross"`), 1))
	i := slices.IndexFunc(e.Steps, func(s his.Step) bool { return s.Member == "bills[0]/total_fen" })
	if err != nil || i < 0 || e.Steps[i].Value != "1917" || !strings.Contains(e.Steps[i].Raw, "19.17") ||
		e.Steps[i].Element != "totalGross" || !slices.Equal(e.Unread, []string{"Invoice.totalNet"}) {
		t.Errorf("Explain = %+v, %v", e, err)
	}
	if !strings.Contains(e.JSON(), `"total_fen": 1917`) {
		t.Errorf("in the interface's words: %s", e.JSON())
	}
	e, err = p.Explain("bills/pending", []byte(`{"patient_id":"P1"}`), bytes.Replace(w.heard, []byte("19.17"), []byte("1917"), 1))
	if err == nil || !strings.Contains(err.Error(), "total_fen") || e.Steps[len(e.Steps)-1].Err == nil {
		t.Errorf("an amount in fen: %v", err)
	}
	if _, err := p.Explain("bills/unknown", nil, w.heard); err == nil {
		t.Error("an operation that there is not was explained")
	}
}

// TestSimulatorRefuses: the simulator takes nothing that its profile does not know.
func TestSimulatorRefuses(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	lock := func() {
		_, _ = w.client.Lock(t.Context(), order.LockRequest{OrderNo: "9", HISPatient: "P1", Bills: []string{w.bill.No}, Total: 1917})
	}
	lock()
	sent, head := w.sent, w.asked.Header
	for name, change := range map[string]func(h http.Header, body string) string{
		"not conditional":    func(h http.Header, b string) string { h.Del("If-None-Exist"); return b },
		"of another number":  func(h http.Header, b string) string { h.Set("If-None-Exist", "identifier=x%7C9"); return b },
		"an unknown element": func(_ http.Header, b string) string { return strings.Replace(b, `"intent"`, `"colour":1,"intent"`, 1) },
		"R4's reason in R5": func(_ http.Header, b string) string {
			return strings.Replace(b, `"intent"`, `"reasonCode":{"text":"x"},"intent"`, 1)
		},
		"one decimal":       func(_ http.Header, b string) string { return strings.Replace(b, "19.17", "19.2", 1) },
		"another currency":  func(_ http.Header, b string) string { return strings.Replace(b, "CNY", "USD", 1) },
		"without an author": func(_ http.Header, b string) string { return strings.Replace(b, "authoredOn", "lastModified", 1) },
		"not what it is of": func(_ http.Header, b string) string { return strings.Replace(b, `"code":"lock"`, `"code":"look"`, 1) },
		"in another version": func(h http.Header, b string) string {
			h.Set("Content-Type", "application/fhir+json; fhirVersion=4.0")
			return b
		},
		"a list that goes on":  func(_ http.Header, b string) string { return b + "{}" },
		"of another's patient": func(_ http.Header, b string) string { return strings.Replace(b, "sid/patient-no", "sid/patient", 1) },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://his.example/Task", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = head.Clone()
		body := change(r.Header, sent)
		r.Body = io.NopCloser(strings.NewReader(body))
		res, err := w.RoundTrip(r)
		if err != nil || res.StatusCode != http.StatusBadRequest || !strings.Contains(string(w.heard), `"INVALID"`) {
			t.Errorf("%s: %v %s, %v", name, res, w.heard, err)
		}
	}
}

// said is a server that always says the same.
type said string

func (s said) RoundTrip(*http.Request) (*http.Response, error) {
	h := http.Header{"Content-Type": {"application/fhir+json; fhirVersion=5.0"}}
	return &http.Response{StatusCode: http.StatusOK, Header: h, Body: io.NopCloser(strings.NewReader(string(s)))}, nil
}

// FuzzAnswer reads outside bytes as an answer: no panic, no endless growth, and an empty list only where a search says that it found nothing.
func FuzzAnswer(f *testing.F) {
	w := newWard(f)
	for _, seed := range []string{"", "{}", `{"resourceType":"Bundle"}`, strings.Repeat(`{"entry":`, 40), `{"resourceType":"OperationOutcome","issue":[{}]}`,
		`{"resourceType":"Bundle","type":"searchset","total":1,"entry":[{"resource":{"resourceType":"Invoice","lineItem":[{}]},"search":{"mode":"match"}}]}`,
		`{"resourceType":"Bundle","type":"batch-response","entry":[{"resource":{"resourceType":"Bundle","type":"searchset","total":1},"response":{"status":"200"}},` +
			`{"resource":{"resourceType":"Bundle","type":"searchset","total":0},"response":{"status":"200"}}]}`} { // short ones: Go makes new finds shorter byte by byte
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		client, err := New(w.client.config, said(body))
		if err != nil {
			t.Fatal(err)
		}
		list, err := client.Pending(t.Context(), "P1")
		if err == nil && len(list) == 0 && !strings.Contains(body, `0`) {
			t.Errorf("nothing to pay: %q", body)
		}
		for _, b := range list {
			if b.Total <= 0 || b.No == "" || b.HISPatient != "P1" {
				t.Errorf("believed %+v of %q", b, body)
			}
		}
		if _, err := client.Detail(t.Context(), "P1", w.bill.No); err == nil && !strings.Contains(body, "lineItem") {
			t.Errorf("a bill of %q", body)
		}
	})
}
