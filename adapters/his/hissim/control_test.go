package hissim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// press does one call of the control face.
func press(t *testing.T, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	out, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(out)
}

func TestControl(t *testing.T) {
	t.Parallel()
	s, _ := hospital(t, Config{})
	h := s.Control()
	steps := []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"a patient", "POST", "/patients", `{"patient_id":"P1","name":"冯晓棠","id_no":"360102198503123042"}`, 200, `"card_no":"K`},
		{"the same again", "POST", "/patients", `{"patient_id":"P1","name":"冯晓棠","id_no":"360102198503123042"}`, 200, `"P1"`},
		{"a wrong check digit", "POST", "/patients", `{"name":"冯晓棠","id_no":"360102198503123043"}`, 422, "malformed"},
		{"not JSON", "POST", "/patients", `{`, 400, "malformed"},
		{"an unknown member", "POST", "/patients", `{"nick":"x"}`, 400, "malformed"},
		{"two after it", "POST", "/patients", `{} {}`, 400, "malformed"},
		{"a bill", "POST", "/bills", `{"patient_id":"P1","items":[{"code":"W10231","quantity":"24"}]}`, 200, `"total_fen":1917`},
		{"dealt bills", "POST", "/bills", `{"patient_id":"P1","seed":7,"count":2}`, 200, `"bill_no":"MZ20261123000006"`},
		{"too many", "POST", "/bills", `{"patient_id":"P1","seed":7,"count":101}`, 422, "malformed"},
		{"nobody's bill", "POST", "/bills", `{"patient_id":"P9","seed":7,"count":1}`, 404, "no such"},
		{"an unknown item", "POST", "/bills", `{"patient_id":"P1","items":[{"code":"nil","quantity":"1"}]}`, 422, "price list"},
		{"see it", "GET", "/bills/MZ20261123000002", "", 200, `"unit":"片"`},
		{"see nothing", "GET", "/bills/MZ0", "", 404, "no such"},
		{"change it", "POST", "/bills/MZ20261123000002/change", `{"items":[{"code":"W10231","quantity":"14"}]}`, 200, `"total_fen":1118`},
		{"void it", "POST", "/bills/MZ20261123000002/void", "", 200, `"state":"void"`},
		{"pay what is void", "POST", "/bills/MZ20261123000002/window-pay", "", 409, "state"},
		{"pay another", "POST", "/bills/MZ20261123000004/window-pay", "", 200, `"serial_no":"CK`},
		{"no posting to void", "POST", "/postings/77/void", "", 404, "no such"},
		{"an oddity", "POST", "/oddities", `{"op":"bills.pending","kind":"gbk","times":1}`, 200, "gbk"},
		{"no oddity", "POST", "/oddities", `{"op":"bills.pending","kind":"purple"}`, 422, "oddity"},
		{"a habit of the window elsewhere", "POST", "/oddities", `{"op":"lock","kind":"ignore_lock"}`, 422, "oddity"},
		{"a level", "PUT", "/faults", `{"level":"mild","seed":3}`, 200, "mild"},
		{"no level", "PUT", "/faults", `{"level":"wild"}`, 422, "wild"},
		{"a script", "POST", "/faults/script", `{"op":"post","fault":"lose_after","times":1}`, 200, "lose_after"},
		{"the faults", "GET", "/faults", "", 200, `{"level":"mild","seed":3,"injected":[]}`},
		{"all archives", "GET", "/patients", "", 200, `"冯晓棠"`},
	}
	for _, step := range steps {
		status, body := press(t, h, step.method, step.path, step.body)
		if status != step.status || !strings.Contains(body, step.says) {
			t.Errorf("%s: %s %s = %d %s, want %d with %s", step.name, step.method, step.path, status, body, step.status, step.says)
		}
	}
	_, body := press(t, h, "GET", "/truth", "")
	var truth Truth
	if err := json.Unmarshal([]byte(body), &truth); err != nil {
		t.Fatal(err)
	}
	if len(truth.Bills) != 3 || len(truth.Window) != 1 || truth.AtWindow != truth.Window[0].TotalFen || truth.AtWindow == 0 {
		t.Errorf("truth = %+v", truth)
	}
}

func TestControlWithoutFaults(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Clock: newClock(), App: testApp, Secret: secret()})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := press(t, s.Control(), "GET", "/faults", ""); status != 200 || !strings.Contains(body, `"level":"none"`) {
		t.Errorf("GET /faults = %d %s", status, body)
	}
	if status, _ := press(t, s.Control(), "PUT", "/faults", `{"level":"mild"}`); status == 200 {
		t.Error("a hospital without a plan took a level")
	}
}
