package rest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/sensitive"
)

var update = flag.Bool("update", false, "renew the golden files")

// TestGolden holds the bytes of every message, both ways, and the signature of each request as another library makes it.
func TestGolden(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{RegistersVisits: true})
	calls := w.calls(t)
	for _, op := range []string{"patients.find", "bills.pending", "bills.detail", "lock", "post", "posting.query", "release", "refund.drop", "refund.hold",
		"refund.book", "refund.query", "statements.list"} {
		if err := calls[op](); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		r := w.wire.request
		var text bytes.Buffer
		fmt.Fprintf(&text, "%s %s\n", r.Method, r.URL.Path)
		for _, name := range []string{"Content-Type", "X-His-App", "X-His-Timestamp", "X-His-Nonce", "X-His-Signature"} {
			fmt.Fprintf(&text, "%s: %s\n", name, r.Header.Get(name))
		}
		fmt.Fprintf(&text, "\n%s\n\n%d\n%s\n", pretty(t, w.wire.sent), w.wire.status, pretty(t, w.wire.received))
		golden(t, op+".txt", text.Bytes())
		head := r.Method + "\n" + r.URL.Path + "\n" + r.Header.Get("X-His-Timestamp") + "\n" + r.Header.Get("X-His-Nonce") + "\n"
		if want := macOf(head, w.wire.sent); r.Header.Get("X-His-Signature") != want {
			t.Errorf("%s: signature %s, want %s", op, r.Header.Get("X-His-Signature"), want)
		}
	}
}

func pretty(t *testing.T, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// TestBasePath signs the path as the hospital sees it.
func TestBasePath(t *testing.T) {
	t.Parallel()
	w, f := forged(t, `{"code":"MAINTENANCE"}`)
	tap := &tap{next: f}
	c := config(w.clock)
	c.BaseURL = "https://his.example/front/"
	client, err := New(c, tap)
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Release(t.Context(), "7")
	r := tap.request
	head := "POST\n/front/his/v1/locks/release\n" + r.Header.Get("X-His-Timestamp") + "\n" + r.Header.Get("X-His-Nonce") + "\n"
	if r.URL.Path != "/front/his/v1/locks/release" || r.Header.Get("X-His-Signature") != macOf(head, tap.sent) {
		t.Errorf("path %s, signature %s", r.URL.Path, r.Header.Get("X-His-Signature"))
	}
}

// TestDealtBills reads what the hospital deals: every bill is checked, whole, and the same to the fen.
func TestDealtBills(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWard(t, hissim.Config{RegistersVisits: true})
		dealt, err := w.sim.Deal("P1", rapid.Uint64().Draw(rt, "seed"), 2)
		if err != nil {
			rt.Fatal(err)
		}
		for _, d := range dealt {
			b, err := w.client.Detail(t.Context(), "P1", d.No)
			if err != nil {
				rt.Fatal(err)
			}
			if b.Total != d.TotalFen || len(b.Lines) != len(d.Lines) || b.Visit.PersonNo == "" || b.Visit.InsurerVisitID == "" ||
				len(b.Visit.Diagnoses) != len(d.Diagnoses) || b.Visit.Caty == "" {
				rt.Errorf("Detail = %+v, the hospital has %+v", b, d)
			}
			for i, l := range b.Lines {
				if l.Uninsured != (d.Lines[i].Class == "N") || l.Total != d.Lines[i].TotalFen || l.Price.String() == "0" {
					rt.Errorf("line %+v, the hospital has %+v", l, d.Lines[i])
				}
			}
		}
	})
}

// TestWholeBills spoils one thing of a good detail answer at a time.
func TestWholeBills(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	no := w.bills[1].No
	if _, err := w.client.Detail(t.Context(), "P1", no); err != nil {
		t.Fatal(err)
	}
	good := string(w.wire.received)
	fake, f := forged(t, good)
	for name, change := range map[string][2]string{
		"another bill":               {`"bill_no":"` + no + `"`, `"bill_no":"MZ9"`},
		"state":                      {`"state":"unpaid"`, `"state":"refunded"`},
		"no total":                   {`"total_fen":16280`, `"total":16280`},
		"total one more":             {`"total_fen":16280`, `"total_fen":16281`},
		"line one more":              {`"total_fen":6600`, `"total_fen":6601`},
		"line without a total":       {`"total_fen":6600`, `"total":6600`},
		"line count":                 {`"line_count":2`, `"line_count":3`},
		"price":                      {`"price":"66.00"`, `"price":"66.01"`},
		"price as a number":          {`"price":"66.00"`, `"price":66.00`},
		"huge exponent":              {`"quantity":"1"`, `"quantity":"1e999999999"`},
		"quantity":                   {`"quantity":"1"`, `"quantity":"0"`},
		"class":                      {`"class":"N"`, `"class":"A"`},
		"class that is none":         {`"class":"N"`, `"class":"D"`},
		"insured unknown":            {`"insured":false`, `"assured":false`},
		"no national code":           {`"med_list_codg":"002503010010000-250301001"`, `"med_list_codg":""`},
		"line number twice":          {no + "002", no + "001"},
		"line without a number":      {`"line_no":"` + no + `001"`, `"line_no":""`},
		"approval":                   {`"hosp_appr_flag":"0"`, `"hosp_appr_flag":"3"`},
		"line without a time":        {`"occurred_at"`, `"occurred"`},
		"ordering doctor":            {`"dept":{"code":"0303","name":"内分泌科门诊","caty":"A03.07"},"doctor":{"code":"D360102000211","name":"顾怀民"},"exec_dept"`, `"exec_dept"`},
		"visit number":               {`"visit_no":"GH20261123000004"`, `"visit_no":""`},
		"visit time":                 {`"began_at"`, `"begun"`},
		"caty":                       {`"caty":"A03.07"`, `"caty":""`},
		"medical type":               {`"med_type":"11"`, `"med_type":"1100000"`},
		"no diagnosis that is valid": {`"valid":true`, `"valid":false`},
		"diagnosis without a code":   {`"code":"E11.900"`, `"code":""`},
		"no lines":                   {`"lines":[`, `"rows":[`},
		"no date":                    {`"created_at"`, `"made_at"`},
		"visit of nobody":            {`"insutype":"310"`, `"mdtrt_id":"M1"`},
		"no bill":                    {`"bill":{`, `"bills":{`},
		"kind that is none":          {`"bill":{`, `"bill":{"kind":"loan",`},
		"deposit with insured lines": {`"bill":{`, `"bill":{"kind":"deposit",`},
		"end without a zone":         {`"bill":{`, `"bill":{"pay_by":"2026-11-23 10:00:00",`},
	} {
		spoiled := strings.ReplaceAll(good, change[0], change[1])
		if spoiled == good {
			t.Errorf("%s: nothing to spoil in %s", name, good)
			continue
		}
		f.body = spoiled
		b, err := fake.client.Detail(t.Context(), "P1", no)
		if b != nil {
			t.Errorf("%s: a bill was read", name)
		}
		want(t, name, err, bill.ErrUnreadable)
	}
}

// TestKindsOnTheWire: a bill without a word of its kind is of outpatient fees, and a medical type that the hospital leaves out is the kind's.
func TestKindsOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	no := w.bills[1].No
	plain, err := w.client.Detail(t.Context(), "P1", no)
	if err != nil {
		t.Fatal(err)
	}
	good := string(w.wire.received)
	fake, f := forged(t, "")
	without := func(more string) string {
		return strings.Replace(strings.Replace(good, `"med_type":"11",`, "", 1), `"bill":{`, `"bill":{`+more, 1)
	}
	for name, tt := range map[string]struct {
		body    string
		kind    bill.Kind
		medType string
		payBy   time.Time
	}{
		"outpatient, said":           {strings.Replace(good, `"bill":{`, `"bill":{"kind":"outpatient",`, 1), bill.Outpatient, "11", time.Time{}},
		"no kind, no medical type":   {without(""), bill.Outpatient, "11", time.Time{}},
		"a registration's type":      {without(`"kind":"registration","pay_by":"2026-11-23T10:00:00+08:00",`), bill.Registration, "12", time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)},
		"a registration of its own":  {strings.Replace(good, `"bill":{`, `"bill":{"kind":"registration",`, 1), bill.Registration, "11", time.Time{}},
		"a medical type that is not": {strings.Replace(good, `"med_type":"11"`, `"med_type":""`, 1), bill.Outpatient, "11", time.Time{}},
	} {
		f.body = tt.body
		b, err := fake.client.Detail(t.Context(), "P1", no)
		if err != nil || b.Kind != tt.kind || b.Visit.MedType != tt.medType || !b.PayBy.Equal(tt.payBy) {
			t.Errorf("%s: %+v, %v", name, b, err)
			continue
		}
		if same := tt.kind == bill.Outpatient; same != cmp.Equal(plain, b) {
			t.Errorf("%s: equal to the plain bill: %v", name, !same)
		}
	}
	if _, err := w.sim.DealKind("P1", hissim.Registration, 1); err != nil {
		t.Fatal(err)
	}
	list, err := w.client.Pending(t.Context(), "P1")
	if err != nil || list[0].Kind != bill.Registration || !list[0].PayBy.Equal(w.clock.Now().Add(30*time.Minute)) || list[0].Visit == "" ||
		list[1].Kind != bill.Outpatient || !list[1].PayBy.IsZero() {
		t.Errorf("Pending = %+v, %v", list, err)
	}
}

// TestWholeLists spoils one thing of a good list at a time.
func TestWholeLists(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	if _, err := w.client.Pending(t.Context(), "P1"); err != nil {
		t.Fatal(err)
	}
	bills := string(w.wire.received)
	if err := w.find(t); err != nil {
		t.Fatal(err)
	}
	people := string(w.wire.received)
	fake, f := forged(t, "")
	for name, change := range map[string][2]string{
		"another person":  {`"patient_id":"P1"`, `"patient_id":"P2"`},
		"paid":            {`"state":"unpaid"`, `"state":"paid"`},
		"total":           {`"total_fen":18197`, `"total_fen":18196`},
		"no total":        {`"total_fen":18197`, `"sum":18197`},
		"nothing to pay":  {`"total_fen":1917`, `"total_fen":0`},
		"the same number": {w.bills[0].No, w.bills[1].No},
		"a blank":         {`"bill_no":"MZ`, `"bill_no":"M Z`},
		"no date":         {`"created_at"`, `"at"`},
		"a kind":          {`"bill_no":"MZ`, `"kind":"loan","bill_no":"MZ`},
		"a visit":         {`"visit_no":"GH`, `"visit_no":"G H`},
	} {
		f.body = strings.ReplaceAll(bills, change[0], change[1])
		if f.body == bills {
			t.Errorf("%s: nothing to spoil in %s", name, bills)
		}
		_, err := fake.client.Pending(t.Context(), "P1")
		want(t, "Pending: "+name, err, bill.ErrUnreadable)
	}
	for name, change := range map[string][2]string{
		"another name":    {testName, "冯小棠"},
		"another number":  {testID, "360102196009072180"},
		"half a number":   {testID, "360102"},
		"no archive":      {`"patient_id":"P1"`, `"patient_id":""`},
		"count":           {`"count":1`, `"count":2`},
		"no date":         {`"created_at"`, `"at"`},
		"nobody, but one": {`"patients":[`, `"people":[`},
	} {
		f.body = strings.ReplaceAll(people, change[0], change[1])
		if f.body == people {
			t.Errorf("%s: nothing to spoil in %s", name, people)
		}
		records, err := fake.client.FindPatient(t.Context(), sensitive.NewName(testName), idNumber(t, testID))
		if len(records) != 0 {
			t.Errorf("%s: %v", name, records)
		}
		want(t, "FindPatient: "+name, err, bill.ErrUnreadable)
	}
}

// TestOldNumber finds a person whose archive still carries the identity number of fifteen digits.
func TestOldNumber(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	if err := w.find(t); err != nil {
		t.Fatal(err)
	}
	fake, f := forged(t, strings.ReplaceAll(string(w.wire.received), testID, "360102850312304"))
	if err := fake.find(t); err != nil {
		t.Errorf("FindPatient with an old number: %v", err)
	}
	f.body = strings.ReplaceAll(f.body, "360102850312304", "360102850312305")
	want(t, "FindPatient with another old number", fake.find(t), bill.ErrUnreadable)
}
