package miniprogramapi

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/web"
)

func TestNewWantsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := New(nil, nil, nil, nil, nil, Config{}); err == nil {
		t.Error("New accepted nothing")
	}
}

func TestTextsAreReadableWithoutLogin(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	body := f.want(f.do("GET", "/institutions/h1", ""), 200, "")
	texts, _ := body["texts"].([]any)
	if len(texts) != 3 || body["name"] != "示范市人民医院" || body["insurance"] != true || body["family"] != true || body["medical_insurance_pay"] != false {
		t.Errorf("institution = %v", body)
	}
	f.orders.joint = true
	if body := f.want(f.do("GET", "/institutions/h1", ""), 200, ""); body["medical_insurance_pay"] != true || body["per_visit"] != true {
		t.Errorf("institution = %v", body)
	}
	if body := f.want(f.do("GET", "/institutions/h2", ""), 200, ""); body["medical_insurance_pay"] != false || body["family"] != false || body["per_visit"] != false {
		t.Errorf("institution without insurance = %v", body)
	}
	f.want(f.do("GET", "/institutions/nowhere", ""), 404, "INSTITUTION_NOT_FOUND")
	f.wantField(f.do("GET", "/institutions/a%20b", ""), 400, "BAD_REQUEST", "institution")
}

func TestEveryRouteButTwoWantsASession(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	id := regexp.MustCompile(`:\w+`)
	for name := range operationsOf(f.server.spec) {
		method, path, _ := strings.Cut(name, " ")
		if path == "/sessions" || path == "/institutions/:institution" {
			continue
		}
		w := f.do(method, id.ReplaceAllString(path, "1"), "")
		f.want(w, 401, "SESSION_INVALID")
		if w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
	}
	for _, authorization := range []string{"Bearer", "Bearer ", "Bearer guessed", "Basic token-1", "Bearer " + strings.Repeat("x", 300)} {
		f.want(f.do("GET", "/patients", "", "Authorization", authorization), 401, "SESSION_INVALID")
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.want(f.do("POST", "/sessions", `{"institution":"h1","code":"spent"}`), 401, "LOGIN_CODE_INVALID")
	f.want(f.do("POST", "/sessions", `{"institution":"h9","code":"code-1"}`), 404, "INSTITUTION_NOT_FOUND")
	f.login("code-1")
	f.want(f.do("GET", "/patients", ""), 200, "")
	f.clock.Advance(2 * time.Hour)
	f.want(f.do("GET", "/patients", ""), 401, "SESSION_INVALID")
	f.login("code-1")
	f.want(f.do("DELETE", "/sessions/current", ""), 204, "")
	f.want(f.do("GET", "/patients", ""), 401, "SESSION_INVALID")
}

func TestRequestsAreHeldToTheSpecification(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.login("code-1")
	key := []string{"Idempotency-Key", "key-00000001"}
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		field                    string
	}{
		{"unknown member", "POST", "/consents", `{"kind":"privacy","version":"1","amount_fen":1}`, nil, "amount_fen"},
		{"missing member", "POST", "/consents", `{"kind":"privacy"}`, nil, "version"},
		{"wrong type", "POST", "/consents", `{"kind":"privacy","version":1}`, nil, "version"},
		{"not of the list", "POST", "/consents", `{"kind":"marketing","version":"1"}`, nil, "kind"},
		{"null", "POST", "/consents", `{"kind":null,"version":"1"}`, nil, "kind"},
		{"no JSON", "POST", "/consents", `kind=privacy`, nil, ""},
		{"half a JSON", "POST", "/consents", `{"kind":`, nil, ""},
		{"an array", "POST", "/consents", `[]`, nil, ""},
		{"no body", "POST", "/consents", ``, nil, ""},
		{"a member twice", "POST", "/consents", `{"kind":"privacy","kind":"guardian","version":"1"}`, nil, "kind"},
		{"two documents", "POST", "/consents", `{"kind":"privacy","version":"1"}{}`, nil, ""},
		{"no UTF-8", "POST", "/orders", "{\"patient_id\":\"1\",\"bill_nos\":[\"\xff\"],\"insurance\":false}", key, ""},
		{"bottomless", "POST", "/consents", strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20), nil, ""},
		{"unreadable query", "GET", "/orders?limit=1;before=2", ``, nil, ""},
		{"another content type", "POST", "/consents", `{"kind":"privacy","version":"1"}`, []string{"Content-Type", "text/plain"}, ""},
		{"kind in the path", "DELETE", "/consents/all", ``, nil, "kind"},
		{"id is no number", "DELETE", "/patients/abc", ``, nil, "patient_id"},
		{"id begins with zero", "DELETE", "/patients/0123", ``, nil, "patient_id"},
		{"too long a name", "POST", "/patients", `{"relation":"self","name":"` + strings.Repeat("张", 51) + `","id_number":"360102198506151234"}`, nil, "name"},
		{"17 characters of id", "POST", "/patients", `{"relation":"self","name":"张三","id_number":"36010219850615"}`, nil, "id_number"},
		{"unknown query", "GET", "/orders?amount_fen=1", ``, nil, "amount_fen"},
		{"repeated query", "GET", "/orders?limit=1&limit=2", ``, nil, "limit"},
		{"query is no number", "GET", "/orders?limit=many", ``, nil, "limit"},
		{"query too large", "GET", "/orders?limit=101", ``, nil, "limit"},
		{"wait too long", "GET", "/orders/1?wait=26", ``, nil, "wait"},
		{"no key", "POST", "/orders", `{"patient_id":"1","bill_nos":["a"],"insurance":false}`, nil, "Idempotency-Key"},
		{"short key", "POST", "/orders", `{"patient_id":"1","bill_nos":["a"],"insurance":false}`, []string{"Idempotency-Key", "1"}, "Idempotency-Key"},
		{"amount from the client", "POST", "/orders", `{"patient_id":"1","bill_nos":["a"],"insurance":false,"total_fen":1}`, key, "total_fen"},
		{"bill number is a number", "POST", "/orders", `{"patient_id":"1","bill_nos":[1],"insurance":false}`, key, "bill_nos.0"},
		{"no bills", "POST", "/orders", `{"patient_id":"1","bill_nos":[],"insurance":false}`, key, "bill_nos"},
		{"a bill twice", "POST", "/orders", `{"patient_id":"1","bill_nos":["a","a"],"insurance":false}`, key, "bill_nos"},
		{"insurance is a text", "POST", "/orders", `{"patient_id":"1","bill_nos":["a"],"insurance":"yes"}`, key, "insurance"},
		{"confirm with an amount", "POST", "/orders/1/confirm", `{"charge_fen":1}`, key, "charge_fen"},
		{"confirm without a key", "POST", "/orders/1/confirm", ``, nil, "Idempotency-Key"},
	} {
		w := f.do(c.method, c.path, c.body, c.header...)
		f.wantField(w, 400, "BAD_REQUEST", c.field)
		if t.Failed() {
			t.Fatalf("case %q", c.name)
		}
	}
	f.want(f.do("POST", "/consents", `{"kind":"`+strings.Repeat("x", 1<<20)+`"}`), 413, "BODY_TOO_LARGE")
}

func TestConsents(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.login("code-1")
	f.want(f.do("POST", "/consents", `{"kind":"privacy","version":"2020-01-01"}`), 409, "CONSENT_OUTDATED")
	f.want(f.do("POST", "/account/phone", `{"code":"phone-1"}`), 403, "CONSENT_REQUIRED")
	f.agree("privacy")
	body := f.want(f.do("GET", "/consents", ""), 200, "")
	first, _ := body["consents"].([]any)[0].(map[string]any)
	if first["current"] != true || first["given_version"] != patient.TextVersion {
		t.Errorf("consent = %v", first)
	}
	got := f.want(f.do("POST", "/account/phone", `{"code":"phone-1"}`), 200, "")
	if got["phone"] != "138****5678" {
		t.Errorf("phone = %v", got)
	}
	f.want(f.do("POST", "/account/phone", `{"code":"spent"}`), 400, "PHONE_INVALID")
	f.want(f.do("DELETE", "/consents/privacy", ""), 204, "")
	f.wantField(f.do("POST", "/account/phone", `{"code":"phone-1"}`), 403, "CONSENT_REQUIRED", "consents.privacy")
}

func TestPatients(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.login("code-1")
	self := `{"relation":"self","name":"` + adultName + `","id_number":"` + f.adultID + `","phone":"` + phoneText + `"}`
	f.wantField(f.do("POST", "/patients", self), 403, "CONSENT_REQUIRED", "consents.privacy")
	f.agree("privacy")
	f.want(f.do("POST", "/patients", self), 422, "HIS_PATIENT_NOT_FOUND")
	wrong := strings.Replace(self, f.adultID, f.adultID[:17]+string("0123456789X0"[strings.IndexByte("0123456789X", f.adultID[17])+1]), 1)
	f.wantField(f.do("POST", "/patients", wrong), 400, "ID_NUMBER_INVALID", "id_number")
	f.wantField(f.do("POST", "/patients", strings.Replace(self, adultName, "张3", 1)), 400, "NAME_INVALID", "name")

	f.archive(adultName, f.adultID, "P1", "P2")
	body := f.want(f.do("POST", "/patients", self), 409, "HIS_PATIENT_AMBIGUOUS")
	choices, _ := body["choices"].([]any)
	if second, _ := choices[1].(map[string]any); len(choices) != 2 || second["his_patient"] != "P2" || second["card_no"] != "****P2" {
		t.Fatalf("choices = %v", choices)
	}
	body = f.want(f.do("POST", "/patients", strings.TrimSuffix(self, "}")+`,"his_patient":"P2"}`), 201, "")
	if body["name"] != "张**" || body["id_number"] != sensitiveMask(f.adultID) || body["phone"] != "138****5678" {
		t.Errorf("patient = %v", body)
	}
	f.want(f.do("POST", "/patients", self), 409, "PATIENT_EXISTS")
	id, _ := body["id"].(string)
	list := f.want(f.do("GET", "/patients", ""), 200, "")
	if people, _ := list["patients"].([]any); len(people) != 1 {
		t.Errorf("patients = %v", list)
	}
	mine := f.token
	f.login("code-2")
	f.want(f.do("DELETE", "/patients/"+id, ""), 404, "PATIENT_NOT_FOUND")
	f.token = mine
	f.want(f.do("DELETE", "/patients/"+id, ""), 204, "")
	f.want(f.do("DELETE", "/patients/"+id, ""), 404, "PATIENT_NOT_FOUND")
	f.want(f.do("DELETE", "/patients/9223372036854775808", ""), 404, "PATIENT_NOT_FOUND")
	f.his.err = bill.ErrNoAnswer
	f.want(f.do("POST", "/patients", self), 202, "HIS_NO_ANSWER")
}

func sensitiveMask(id string) string {
	n, _ := sensitive.ParseIDNumber(id)
	return n.Masked()
}

func TestChildNeedsGuardian(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.login("code-1")
	f.agree("privacy")
	id := withCheck(t, "36010220180601001")
	f.archive("张小苗", id, "C1")
	child := `{"relation":"child","name":"张小苗","id_number":"` + id + `"`
	f.wantField(f.do("POST", "/patients", child+"}"), 403, "GUARDIAN_CONSENT_REQUIRED", "guardian_consent")
	f.wantField(f.do("POST", "/patients", child+`,"guardian_consent":true}`), 403, "GUARDIAN_CONSENT_REQUIRED", "consents.guardian")
	f.agree("guardian")
	body := f.want(f.do("POST", "/patients", child+`,"guardian_consent":true}`), 201, "")
	if body["under_fourteen"] != true || body["phone"] != "" {
		t.Errorf("child = %v", body)
	}
}

func TestBills(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	id := f.addSelf()
	path := "/patients/" + id + "/bills"
	if body := f.want(f.do("GET", path, ""), 200, ""); len(body["bills"].([]any)) != 0 {
		t.Errorf("bills = %v", body)
	}
	f.bills.pending = []bill.Summary{{No: "MZ/1", State: bill.Unpaid, Total: 12830, Created: f.clock.Now(), Department: "心血管内科", Doctor: "王医生"}}
	body := f.want(f.do("GET", path, ""), 200, "")
	if first, _ := body["bills"].([]any)[0].(map[string]any); first["total_fen"] != 12830.0 || first["bill_no"] != "MZ/1" || f.bills.asked != "P1" {
		t.Errorf("bills = %v of %q", body, f.bills.asked)
	}
	first, _ := body["bills"].([]any)[0].(map[string]any)
	if _, ends := first["pay_by"]; first["kind"] != "outpatient" || first["kind_text"] != "门诊费用" || ends || first["visit_no"] != nil {
		t.Errorf("the kind of a plain bill: %v", first)
	}
	until := f.clock.Now().Add(time.Hour)
	f.bills.pending = []bill.Summary{{No: "GH1", State: bill.Unpaid, Total: 1200, Created: f.clock.Now(), Kind: bill.Registration, Visit: "V1", PayBy: until}}
	first, _ = f.want(f.do("GET", path, ""), 200, "")["bills"].([]any)[0].(map[string]any)
	if at, _ := first["pay_by"].(string); first["kind"] != "registration" || first["kind_text"] != "挂号费" || first["visit_no"] != "V1" || at != until.Format(time.RFC3339) {
		t.Errorf("a registration: %v", first)
	}
	f.bills.detail = aBill("MZ/1%2 号", 1917)
	body = f.want(f.do("GET", path+"/MZ%2F1%252%20%E5%8F%B7", ""), 200, "")
	if line, _ := body["lines"].([]any)[0].(map[string]any); line["price_yuan"] != "0.7988" || line["quantity"] != "24" || line["total_fen"] != 1917.0 {
		t.Errorf("bill = %v", body)
	}
	if f.bills.asked != "P1 MZ/1%2 号" {
		t.Errorf("asked for %q", f.bills.asked)
	}
	if strings.Contains(f.do("GET", path+"/MZ%2F1%252%20%E5%8F%B7", "").Body.String(), "I10") {
		t.Error("a diagnosis is shown")
	}
	f.want(f.do("GET", path+"/other", ""), 404, "BILL_NOT_FOUND")
	for err, want := range map[error]int{bill.ErrNoAnswer: 202, bill.ErrUnreadable: 202, bill.ErrMaintenance: 503} {
		f.bills.err = err
		for _, p := range []string{path, path + "/x"} {
			if w := f.do("GET", p, ""); w.Code != want || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), `"bills"`) {
				t.Errorf("%v: %d %s", err, w.Code, w.Body)
			}
		}
	}
	f.bills.err = nil
	f.want(f.do("GET", "/patients/9223372036854775808/bills", ""), 404, "PATIENT_NOT_FOUND")
	mine := f.token
	f.login("code-2")
	f.agree("privacy")
	f.want(f.do("GET", path, ""), 404, "PATIENT_NOT_FOUND")
	f.want(f.do("GET", path+"/MZ", ""), 404, "PATIENT_NOT_FOUND")
	f.token = mine
	f.want(f.do("DELETE", "/consents/privacy", ""), 204, "")
	f.want(f.do("GET", path, ""), 403, "CONSENT_REQUIRED")

	f.want(f.do("POST", "/sessions", `{"institution":"h2","code":"code-1"}`), 201, "")
}

// aBill is one bill of a drug at 0.7988 × 24, and with more to pay a second line that the insurer never sees.
func aBill(no string, total money.Fen) *bill.Bill {
	at := time.Date(2026, 11, 23, 1, 30, 0, 0, time.UTC)
	b := &bill.Bill{No: no, HISPatient: "P1", State: bill.Unpaid, Total: 1917, Created: at,
		Visit: bill.Visit{No: "V1", Begun: at, DepartmentName: "心血管内科", DoctorName: "王医生", Diagnoses: []bill.Diagnosis{{Code: "I10", Name: "高血压"}}},
		Lines: []bill.Line{{No: "1", Category: "西药费", Name: "氨氯地平片", Spec: "5mg×7", Unit: "片", CatalogueCode: "XC08", HospitalCode: "D1",
			Quantity: decimal.NewFromInt(24), Price: decimal.RequireFromString("0.7988"), Total: 1917}}}
	if rest := total - 1917; rest > 0 {
		b.Lines = append(b.Lines, bill.Line{No: "2", Uninsured: true, Category: "其他", Name: "病历本", HospitalCode: "Z1", Quantity: decimal.NewFromInt(1),
			Price: decimal.New(int64(rest), -2), Total: rest})
		b.Total = total
	}
	return b
}

// TestRoutesAreTheSpecification changes the specification and expects the routes to refuse it.
func TestRoutesAreTheSpecification(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*openapi3.T){
		"an operation without a route": func(s *openapi3.T) { s.Paths.Set("/extra", &openapi3.PathItem{Get: openapi3.NewOperation()}) },
		"a route without an operation": func(s *openapi3.T) { s.Paths.Delete("/orders/live") },
	} {
		f := newFace(t)
		spoil(f.server.spec)
		if err := f.server.Routes(gin.New()); err == nil {
			t.Errorf("%s: Routes accepted it", name)
		}
	}
}

func TestDocsStandOnlyOutsideProduction(t *testing.T) {
	t.Parallel()
	get := func(f *face, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		f.engine.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	on, off := newFace(t, func(c *Config) { c.Docs = true }), newFace(t)
	for _, path := range []string{"/docs/", "/docs/openapi.yaml", "/docs/swagger-ui-bundle.js"} {
		if r := get(on, path); r.Code != 200 {
			t.Errorf("%s: %d", path, r.Code)
		}
		if r := get(off, path); r.Code != 404 {
			t.Errorf("%s without docs: %d", path, r.Code)
		}
	}
}

// TestCodesAreListed compares the codes that the sentinels of the packages behind this face carry with the list in the specification.
func TestCodesAreListed(t *testing.T) {
	t.Parallel()
	made := regexp.MustCompile(`fault\.New\(fault\.(\w+), "([A-Z_]+)"`)
	description := string(document)
	unseen := []string{"CALLER_GONE", "MERGE_UNREADABLE", "NOTICE_REPLAYED"} // nobody is left, or a hospital's system, to read them
	for _, pattern := range []string{"*.go", "../internal/patient/*.go", "../internal/bill/*.go", "../internal/order/order.go", "../internal/job/*.go",
		"../internal/web/*.go", "../internal/split/*.go", "../adapters/wechatmp/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range made.FindAllStringSubmatch(string(text), -1) {
				if m[1] != "Internal" && !slices.Contains(unseen, m[2]) && !strings.Contains(description, m[2]) {
					t.Errorf("%s: code %s is not in the list of openapi.yaml", name, m[2])
				}
			}
		}
	}
	if !strings.Contains(description, web.ErrInternal.Code) {
		t.Error("INTERNAL is not listed")
	}
}
