package soap

import (
	"bytes"
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
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

const testSecret = "a-secret-of-the-front-office-0001"

// example is the mapping that the guide explains.
func example(t testing.TB) *Mapping {
	t.Helper()
	text, err := configs.FS.ReadFile("his-soap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ward is the vendor's hospital with a patient and a bill, and what goes over the wire.
type ward struct {
	sim    *hissim.Sim
	clock  *clock.Fake
	paper  *hissim.PaperInsurer // behind the hospital's line, where it has one
	client *Client
	bill   hissim.Bill
	spoil  func(status int, body string) (int, string) // of the next answers; nil: as it is
	sent   string
	heard  []byte
}

// RoundTrip is the wire. What is spoiled is in UTF-8, for its reader.
func (w *ward) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.sent = string(body)
	r.Body = io.NopCloser(strings.NewReader(w.sent))
	res, err := sandbox.Direct(w.sim.SOAPHandler()).RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if w.heard, err = io.ReadAll(res.Body); err != nil || w.spoil == nil {
		res.Body = io.NopCloser(bytes.NewReader(w.heard))
		return res, err
	}
	text, err := decoded(w.heard, "GBK")
	if err != nil {
		return nil, err
	}
	status, spoiled := w.spoil(res.StatusCode, string(text))
	again, err := encoded([]byte(spoiled), "GBK")
	if err != nil {
		again = []byte(spoiled) // bytes that are no text
	}
	res.StatusCode, res.Body = status, io.NopCloser(strings.NewReader(string(again)))
	return res, nil
}

func newWard(t testing.TB) *ward {
	t.Helper()
	return openWard(t, false)
}

// openWard opens a hospital; a linked one has a line of its own to the insurer.
func openWard(t testing.TB, linked bool) *ward {
	t.Helper()
	w := &ward{clock: clock.NewFake(time.Date(2026, 11, 23, 9, 30, 0, 0, clock.Shanghai))}
	var err error
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := hissim.Config{Clock: w.clock, App: "tuoka", Secret: sensitive.NewKey(testSecret)}
	if linked {
		w.paper = hissim.NewPaperInsurer(w.clock)
		cfg.Link = w.paper
	}
	w.sim, err = hissim.New(cfg)
	must(err)
	_, err = w.sim.AddPatient(hissim.Patient{ID: "P1", Name: "冯晓棠", IDNo: "360102198503123042"})
	must(err)
	w.bill, err = w.sim.AddBill("P1", "D360102000211", hissim.Order{Code: "W10231", Quantity: "24"})
	must(err)
	w.client, err = New(Config{Config: his.Config{Clock: w.clock}, BaseURL: "https://his.example/", Mapping: example(t), User: "tuoka",
		Secret: sensitive.NewKey(testSecret), Source: clock.NewSeeded(w.clock, 1, 1)}, w)
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

// TestAnswersThatProveNothing spoils an answer in every way that is not worth believing: never an empty list, never a zero.
func TestAnswersThatProveNothing(t *testing.T) {
	t.Parallel()
	swap := func(old, fresh string) func(int, string) (int, string) {
		return func(status int, body string) (int, string) {
			if !strings.Contains(body, old) {
				return status, "nothing to spoil: " + body
			}
			return status, strings.Replace(body, old, fresh, 1)
		}
	}
	for name, spoil := range map[string]func(int, string) (int, string){
		"an amount, after signing": swap("19.17", "19.16"),
		"another signature":        swap("SIGN&gt;", "SIGN&gt;0"),
		"no signature":             swap("SIGN&gt;", "SIGNED&gt;"),
		"a page":                   func(int, string) (int, string) { return 200, "<html><body>登录</body></html>" },
		"nothing":                  func(int, string) (int, string) { return 200, "" },
		"cut":                      func(_ int, b string) (int, string) { return 200, b[:len(b)/2] },
		"another charset":          func(_ int, b string) (int, string) { return 200, strings.Replace(b, "19.17", "\xff\xfe\x80", 1) },
		"a document type":          func(_ int, b string) (int, string) { return 200, `<!DOCTYPE a [<!ENTITY x "y">]>` + b },
		"an entity":                swap("19.17", "&amp;x;"),
		"something behind it":      func(_ int, b string) (int, string) { return 200, b + "<more/>" },
		"another call's":           swap("getMZFeeListResult>", "getMZPatientResult>"),
		"no SOAP":                  swap("<soap:Body>", "<soap:Bodies>"),
		"another code":             swap("RETURN_CODE&gt;0&lt;", "RETURN_CODE&gt;4711&lt;"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			w.spoil = spoil
			if err := w.pending(t); !errors.Is(err, bill.ErrUnreadable) {
				t.Errorf("Pending = %v, want ErrUnreadable", err)
			}
		})
	}
	w := newWard(t)
	w.spoil = func(int, string) (int, string) { return 500, "<soap:Fault/>" }
	if err := w.pending(t); !errors.Is(err, bill.ErrNoAnswer) {
		t.Errorf("a SOAP fault: %v, want ErrNoAnswer", err)
	}
	w.spoil = nil
	if err := w.pending(t); err != nil {
		t.Errorf("an answer as it is: %v", err)
	}
}

// TestOldAnswers: an answer is of now, and of this request.
func TestOldAnswers(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	kept := ""
	w.spoil = func(status int, b string) (int, string) { kept = b; return status, b }
	if err := w.pending(t); err != nil {
		t.Fatal(err)
	}
	w.spoil = func(status int, _ string) (int, string) { return status, kept }
	if err := w.pending(t); !errors.Is(err, bill.ErrUnreadable) {
		t.Errorf("the answer of another request: %v", err)
	}
	w.spoil = func(status int, b string) (int, string) { w.clock.Advance(6 * time.Minute); return status, b }
	if err := w.pending(t); !errors.Is(err, bill.ErrUnreadable) {
		t.Errorf("an answer of six minutes ago: %v", err)
	}
}

// TestRequestIsTheVendors: what is sent, to the letter.
func TestRequestIsTheVendors(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	_, err := w.client.Lock(t.Context(), order.LockRequest{OrderNo: "7", HISPatient: "P1", Bills: []string{w.bill.No}, Total: 1917})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<?xml version="1.0" encoding="GBK"?>`, `<lockMZFee xmlns="http://his.example/mz/"><reqXml>`, "FUN_CODE&gt;lockMZFee&lt;",
		"&lt;USER_ID&gt;tuoka&lt;", "&lt;TIME&gt;20261123093", "totalAmt&amp;gt;19.17&amp;lt;", "item&amp;gt;" + w.bill.No + "&amp;lt;", "orderNo&amp;gt;7&amp;lt;"} {
		if !strings.Contains(w.sent, want) {
			t.Errorf("%q is not in %s", want, w.sent)
		}
	}
}

// TestCDATAAndBare: a message in a CDATA section, and one without SOAP, read back as they were.
func TestCDATAAndBare(t *testing.T) {
	t.Parallel()
	message := &node{name: "request"}
	message.add("params/name").text = "a]]>b<c>&d"
	for _, s := range []Service{{SOAP: "1.1", Call: "call", Parameter: "p", Result: "p", Namespace: "n", CDATA: true, Charset: "UTF-8"},
		{SOAP: "1.2", Call: "call", Parameter: "p", Result: "p", Namespace: "n", Charset: "GB18030"}, {Charset: "GBK"}} {
		s.Result = "call/p"
		b, err := s.envelope("call", message)
		if err != nil {
			t.Fatal(err)
		}
		back, err := s.unpack("call", b)
		if err != nil || back.String() != message.String() {
			t.Errorf("%+v: %v, %v", s, back, err)
		}
	}
	if _, err := (&Service{Charset: "GBK"}).envelope("x", &node{name: "a", text: "\U0001F600"}); err != nil {
		t.Errorf("GB18030 has every character: %v", err)
	}
}

// TestLegible: what a charset lacks is left out of a reason.
func TestLegible(t *testing.T) {
	t.Parallel()
	for charset, want := range map[string]string{"UTF-8": "a繁開😀㛃·", "GB18030": "a繁開😀㛃·", "GBK": "a繁開·", "GB2312": "a繁·"} {
		if got := legible("a繁開😀㛃·", charset); got != want {
			t.Errorf("%s: %s, want %s", charset, got, want)
		}
	}
}

// TestMappingFaults: every fault of a mapping is told, with its place.
func TestMappingFaults(t *testing.T) {
	t.Parallel()
	text, err := configs.FS.ReadFile("his-soap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, fresh, want string }{
		{"charset: GBK", "charset: BIG5", "service.charset"},
		{`soap: "1.1"`, `soap: "1.3"`, "service.soap"},
		{"kind: sm3", "kind: crc", "service.sign.kind"},
		{"kind: sm3", "kind: hmac-sm3", "service.sign.key"},
		{"  locks/release:", "  locks/free:", "operations.locks/release: is missing"},
		{"as: number", "as: integer", "is one of"},
		{"{ member: total_fen, element: totalAmt, as: yuan }", "{ member: total_fen, element: \"total Amt\", as: yuan }", "not a path of elements"},
		{"{ member: patient_id, element: patientId }", "{ element: patientId }", "member: is missing"},
		{`"98": MAINTENANCE`, `"98": MAINTENANCE, "0": "1"`, "mapping"},
		{"parameter: reqXml", "parametr: reqXml", "parametr"},
		{`"300301": NOT_FOUND`, `"300301": NOTFOUND`, `no code "NOTFOUND"`},
		{"    code: RETURN_CODE\n", "", "answer.code"},
		{"{ member: total_fen, element: totalAmt, as: yuan }", "{ member: total_fen, element: totalAmt, as: number }", "an amount in fen"},
		{"      - { member: total_fen, element: totalAmt, as: yuan }\n    answer", "      - { member: total_fen, element: totalAmt }\n    answer", "an amount in fen"},
		{"{ member: total_fen, element: totalAmt, as: yuan }", "{ member: total_fen, element: totalAmt, as: yuan, values: { \"\": \"1\" } }", "an amount in fen"},
		{"- { member: receipt_no, element: receiptNo }", "- { member: posting_no, element: receiptNo }", "posting_no stands there twice"},
		{"layout: \"20060102150405\"", "layout: \"\"", "service.sign.layout"},
	} {
		spoiled := strings.Replace(string(text), tt.old, tt.fresh, 1)
		if spoiled == string(text) {
			t.Errorf("%q: nothing to spoil", tt.old)
		}
		if _, err := ParseMapping([]byte(spoiled)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q in it", tt.fresh, err, tt.want)
		}
	}
}

// TestMeaning: what a vendor's text means, strictly.
func TestMeaning(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ as, raw, want string }{
		{"yuan", "19.17", "1917"}, {"yuan", "0", "0"}, {"yuan", "1.5", "150"}, {"yuan", "19.170", ""}, {"yuan", "1,234.50", ""}, {"yuan", "-5", ""},
		{"yuan", "0E+2", ""}, {"yuan", "１２", ""}, {"yuan", ".5", ""}, {"yuan", "", ""}, {"fen", "1917", "1917"}, {"fen", "19.17", ""}, {"fen", "01", ""},
		{"number", "12", "12"}, {"number", "+1", ""}, {"flag", "1", "true"}, {"flag", "0", "false"}, {"flag", "Y", ""}, {"text", "a", "a"},
	} {
		f := Field{As: tt.as}
		got, err := f.meant(tt.raw)
		if (err == nil) != (tt.want != "") || (err == nil && fmt.Sprint(got) != tt.want) {
			t.Errorf("%s %q = %v, %v, want %q", tt.as, tt.raw, got, err, tt.want)
		}
	}
	at := Field{As: "time", Layout: "2006-01-02 15:04:05"}
	if got, err := at.meant("2026-11-23 09:30:00"); got != "2026-11-23T09:30:00+08:00" || err != nil {
		t.Errorf("time = %v, %v", got, err)
	}
	if _, err := at.meant("23/11/2026"); err == nil {
		t.Error("another layout was read")
	}
}

// TestComputed: members that a vendor does not send: counted, summed, joined, asked, fixed, or by default.
func TestComputed(t *testing.T) {
	t.Parallel()
	root, err := readTree([]byte(`<r><f><id>1</id><dept>A</dept><amt>1.50</amt></f><f><id>2</id><dept>B</dept><amt>2.50</amt></f><empty/><blank>
</blank></r>`))
	if err != nil {
		t.Fatal(err)
	}
	fixed, zero := "unpaid", "0"
	fields := []Field{{Member: "total_fen", Sum: "bills/total_fen"}, {Member: "count", Count: "bills"}, {Member: "patient_id", Asked: "patient_id"},
		{Member: "bills", Element: "f", Each: []Field{{Member: "bill_no", Join: []string{"id", "dept"}, Between: "|"}, {Member: "total_fen", Element: "amt", As: "yuan"},
			{Member: "state", Const: &fixed}, {Member: "seq", Element: "seq", As: "number", Default: &zero}}},
		{Member: "nothing", Element: "empty"}, {Member: "never", Const: &fixed, When: "empty"}, {Member: "nor", Const: &fixed, When: "blank"}}
	r := &reading{asked: map[string]any{"patient_id": "P1"}}
	object, err := r.object("", root, fields)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(object), "map[bills:[map[bill_no:1|A seq:0 state:unpaid total_fen:150] map[bill_no:2|B seq:0 state:unpaid total_fen:250]] count:2 patient_id:P1 total_fen:400]"; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	to := &node{name: "q"}
	if err := writeFields(to, []Field{{Member: "bill_no", Element: "id", Part: 1, Between: "|"}, {Member: "bill_no", Element: "dept", Part: 2, Between: "|"},
		{Member: "none", Element: "none", Always: true}}, map[string]any{"bill_no": "1|A"}); err != nil || to.String() != "<q><id>1</id><dept>A</dept><none/></q>" {
		t.Errorf("wrote %s, %v", to, err)
	}
	twice, err := readTree([]byte(`<r><a>1</a><a>2</a></r>`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.object("", twice, []Field{{Member: "a", Element: "a"}}); err == nil {
		t.Error("one of two values was taken")
	}
}

// TestExplain: every value tells where it is from, what nobody reads is told, and where reading ends, what is wrong.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	if err := w.pending(t); err != nil {
		t.Fatal(err)
	}
	m := example(t)
	e, err := m.Explain("bills/pending", nil, w.heard)
	if err != nil || e.Code != "0" || !slices.Contains(e.Unread, "billsList/item/dept/caty") || slices.Contains(e.Unread, "totalAmt") {
		t.Errorf("Explain = %+v, %v", e, err)
	}
	if i := slices.IndexFunc(e.Steps, func(s his.Step) bool { return s.Member == "bills[0]/total_fen" }); i < 0 || e.Steps[i].Raw != "19.17" || e.Steps[i].Value != "1917" {
		t.Errorf("steps: %+v", e.Steps)
	}
	if !strings.Contains(e.JSON(), `"total_fen": 1917`) {
		t.Errorf("in the interface's words: %s", e.JSON())
	}
	text, err := decoded(w.heard, "GBK")
	if err != nil {
		t.Fatal(err)
	}
	odd, err := encoded([]byte(strings.ReplaceAll(string(text), "19.17", "1,917")), "GBK")
	if err != nil {
		t.Fatal(err)
	}
	if e, err = m.Explain("bills/pending", nil, odd); err == nil || !strings.Contains(err.Error(), "total_fen") || e.Steps[len(e.Steps)-1].Raw != "1,917" {
		t.Errorf("Explain = %+v, %v", e.Steps, err)
	}
	if _, err := m.Explain("bills/unknown", nil, odd); err == nil {
		t.Error("an operation that there is not was explained")
	}
}

// claim asks the hospital who pays the ward's bill.
func (w *ward) claim(t testing.TB) (settlement.Presettlement, error) {
	t.Helper()
	link, err := w.client.Link(his.LinkConfig{Source: clock.NewSeeded(w.clock, 2, 1)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.client.Detail(t.Context(), "P1", w.bill.No)
	if err != nil {
		t.Fatal(err)
	}
	return link.Presettle(t.Context(), settlement.Claim{OrderNo: "7", BatchNo: "B1", Total: b.Total, UseAccount: true, Bills: []bill.Bill{*b}})
}

// TestExplainInsurance: who pays is told part by part, and a refusal in the insurer's own words.
func TestExplainInsurance(t *testing.T) {
	t.Parallel()
	w, m := openWard(t, true), example(t)
	foreseen, err := w.claim(t)
	if err != nil || foreseen.Split.PooledFund != 1341 || foreseen.Split.Account != 191 || foreseen.Split.Cash != 385 {
		t.Fatalf("Presettle = %+v, %v", foreseen, err)
	}
	e, err := m.Explain("insurance/presettle", nil, w.heard)
	if err != nil || e.Code != "0" || len(e.Unread) > 0 {
		t.Errorf("Explain = %+v, %v", e, err)
	}
	for member, want := range map[string]his.Step{
		"parts/pooled_fund_fen": {Element: "parts/pooledFundAmt", Raw: "13.41", Value: "1341"},
		"balance_fen":           {Element: "balanceAmt", Raw: "998.09", Value: "99809"},
		"setl_id":               {Element: "setlId"}, // not settled yet
	} {
		want.Member = member
		if !slices.Contains(e.Steps, want) {
			t.Errorf("no step %+v in %+v", want, e.Steps)
		}
	}
	const words = "该人员待遇已冻结"
	w.paper.RefuseNext(words)
	if f, ok := fault.Find(func() error { _, err := w.claim(t); return err }()); !ok || f.Msg != words {
		t.Errorf("a refusal is told as %v, want %q", f, words)
	}
	e, err = m.Explain("insurance/presettle", nil, w.heard)
	if err != nil || e.Code != "300603" || e.Answer.Code != "INSURER_REFUSED" || string(e.Answer.Data) != `{"reason":"`+words+`"}` {
		t.Errorf("Explain = %+v, %s, %v", e, e.Answer.Data, err)
	}
}

// TestNoLine: a hospital that has no line to the insurer does not know what is asked, and moves nothing.
func TestNoLine(t *testing.T) {
	t.Parallel()
	if _, err := newWard(t).claim(t); !errors.Is(err, his.ErrRequest) {
		t.Errorf("Presettle = %v, want ErrRequest", err)
	}
}

// TestLinks: route his needs all six operations, and everything that lacks is told.
func TestLinks(t *testing.T) {
	t.Parallel()
	m := example(t)
	if err := m.Links(); err != nil {
		t.Error(err)
	}
	for _, name := range insurance {
		lame := example(t)
		delete(lame.Operations, name)
		if err := errors.Join(lame.check(), lame.Links()); err == nil || err.Error() != "operations."+name+": is missing" {
			t.Errorf("without %s: %v", name, err)
		}
		delete(m.Operations, name)
	}
	if err := m.Links(); err == nil || strings.Count(err.Error(), "is missing") != len(insurance) {
		t.Errorf("without all: %v", err)
	}
}

// FuzzAnswer reads outside bytes as an answer: no panic, no endless growth, and nothing believed that is not signed.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"", "<a/>", `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, strings.Repeat("<a>", 30), "\xef\xbb\xbf<a/>",
		`<soap:Envelope xmlns:soap="x"><soap:Body><getMZFeeListResponse><getMZFeeListResult>&lt;ROOT/&gt;</getMZFeeListResult></getMZFeeListResponse></soap:Body></soap:Envelope>`} {
		f.Add(seed)
	}
	w := newWard(f)
	f.Fuzz(func(t *testing.T, body string) {
		w.spoil = func(int, string) (int, string) { return 200, body }
		if err := w.pending(t); err == nil {
			t.Errorf("believed: %q", body)
		}
	})
}
