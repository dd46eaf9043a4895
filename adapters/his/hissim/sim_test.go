package hissim

import (
	"bytes"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

const (
	testApp    = "tuoka"
	testSecret = "a-secret-of-the-front-office-0001"
)

func secret() sensitive.Key { return sensitive.NewKey(testSecret) }

func newClock() *clock.Fake {
	return clock.NewFake(time.Date(2026, 11, 23, 9, 30, 0, 0, clock.Shanghai))
}

// hospital opens one with a plan that can be scripted.
func hospital(t testing.TB, c Config) (*Sim, *clock.Fake) {
	t.Helper()
	now := newClock()
	plan, err := sandbox.NewPlan(now, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Clock, c.App, c.Secret, c.Plan, c.Source = now, testApp, secret(), plan, clock.NewSeeded(now, 1, 1)
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, now
}

// caller signs by the document alone, with another library's SM3.
type caller struct {
	sim   *Sim
	clock *clock.Fake
	count int
}

func (c *caller) sign(head string, body []byte) string {
	digest := sm3.Sum(body)
	mac := hmac.New(sm3.New, []byte(testSecret))
	_, _ = mac.Write([]byte(head + hex.EncodeToString(digest[:]) + "\n"))
	return hex.EncodeToString(mac.Sum(nil))
}

func (c *caller) request(path, body string) *http.Request {
	c.count++
	stamp, nonce := strconv.FormatInt(c.clock.Now().Unix(), 10), "nonce-0000000000-"+strconv.Itoa(c.count)
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader([]byte(body)))
	r.Header.Set("X-His-App", testApp)
	r.Header.Set("X-His-Timestamp", stamp)
	r.Header.Set("X-His-Nonce", nonce)
	r.Header.Set("X-His-Signature", c.sign("POST\n"+path+"\n"+stamp+"\n"+nonce+"\n", []byte(body)))
	return r
}

// do sends a request and checks the answer's signature.
func (c *caller) do(t testing.TB, r *http.Request) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	c.sim.Handler().ServeHTTP(w, r)
	h := w.Header()
	want := c.sign(strconv.Itoa(w.Code)+"\n"+h.Get("X-His-Timestamp")+"\n"+r.Header.Get("X-His-Nonce")+"\n", w.Body.Bytes())
	if h.Get("X-His-Signature") != want {
		t.Fatalf("answer %d %s is not signed as the document says", w.Code, w.Body)
	}
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("answer %s: %v", w.Body, err)
	}
	return w.Code, out
}

func (c *caller) code(t testing.TB, path, body string) string {
	t.Helper()
	_, out := c.do(t, c.request(path, body))
	code, _ := out["code"].(string)
	return code
}

// sick opens an archive and two bills: 19.17 of drugs and 66.00 of laboratory, and one with an item that no insurer pays.
func sick(t testing.TB, s *Sim) (Patient, []Bill) {
	t.Helper()
	p, err := s.AddPatient(Patient{ID: "P1", Name: "冯晓棠", IDNo: "360102198503123042", PsnNo: "36010000000000000001", Insutype: "310",
		CoverageArea: "360100"})
	if err != nil {
		t.Fatal(err)
	}
	one, err := s.AddBill("P1", "D360102000211", Order{Code: "W10231", Quantity: "24"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.AddBill("P1", "D360102000211", Order{Code: "L40011", Quantity: "1"}, Order{Code: "S80011", Quantity: "1"})
	if err != nil {
		t.Fatal(err)
	}
	return p, []Bill{one, two}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"no app":       {Secret: secret()},
		"short secret": {App: testApp, Secret: sensitive.NewKey("short")},
		"no folder":    {App: testApp, Secret: secret(), Journal: filepath.Join(t.TempDir(), "no", "such", "his.journal")},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("New with %s succeeded", name)
		}
	}
}

func TestLookups(t *testing.T) {
	t.Parallel()
	s, now := hospital(t, Config{RegistersVisits: true})
	_, bills := sick(t, s)
	now.Advance(time.Hour)
	if _, err := s.AddPatient(Patient{ID: "P2", Name: "冯晓棠", IDNo: "360102198503123042"}); err != nil {
		t.Fatal(err)
	}
	c := &caller{sim: s, clock: now}
	_, out := c.do(t, c.request("/his/v1/patients/find", `{"name":"冯晓棠","id_type":"01","id_no":"360102198503123042"}`))
	data := out["data"].(map[string]any)
	first := data["patients"].([]any)[0].(map[string]any)
	if data["count"] != 2.0 || first["patient_id"] != "P2" || first["created_at"] != "2026-11-23T10:30:00+08:00" {
		t.Errorf("find = %v, want the newer archive first", data)
	}
	for _, tt := range []struct{ name, path, body, code string }{
		{"another name", "/his/v1/patients/find", `{"name":"冯小棠","id_type":"01","id_no":"360102198503123042"}`, "1"},
		{"no bills", "/his/v1/bills/pending", `{"patient_id":"P2"}`, "1"},
		{"no archive", "/his/v1/bills/pending", `{"patient_id":"P3"}`, "NOT_FOUND"},
		{"another's bill", "/his/v1/bills/detail", `{"patient_id":"P2","bill_no":"` + bills[0].No + `"}`, "NOT_FOUND"},
		{"no bill", "/his/v1/bills/detail", `{"patient_id":"P1","bill_no":"MZ0"}`, "NOT_FOUND"},
	} {
		if code := c.code(t, tt.path, tt.body); code != tt.code {
			t.Errorf("%s: code %s, want %s", tt.name, code, tt.code)
		}
	}
	_, out = c.do(t, c.request("/his/v1/bills/pending", `{"patient_id":"P1"}`))
	data = out["data"].(map[string]any)
	if data["count"] != 2.0 || data["total_fen"] != float64(bills[0].TotalFen+bills[1].TotalFen) ||
		data["bills"].([]any)[0].(map[string]any)["bill_no"] != bills[1].No {
		t.Errorf("pending = %v, want both, the newer first", data)
	}
	_, out = c.do(t, c.request("/his/v1/bills/detail", `{"patient_id":"P1","bill_no":"`+bills[0].No+`"}`))
	visit := out["data"].(map[string]any)["bill"].(map[string]any)["visit"].(map[string]any)
	if visit["psn_no"] != "36010000000000000001" || visit["mdtrt_id"] == nil || visit["insutype"] != "310" {
		t.Errorf("visit = %v, want the hospital's own registration", visit)
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
