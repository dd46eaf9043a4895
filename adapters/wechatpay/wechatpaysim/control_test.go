package wechatpaysim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/sandbox"
)

func (w *world) control(method, path, body string) (int, string) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.sim.Control().ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	b, _ := io.ReadAll(rec.Result().Body)
	return rec.Code, compact(b)
}

func TestControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, _ := w.prepay(orderBody("ORDER001", 1000, nil))
	p, _ := json.Marshal(phone(id))
	p2 := strings.Replace(string(p), testOpenID, "oOther", 1)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/pay", p2, 400, ErrOtherPayer.Error()},
		{"POST", "/bank-refusals", `{"out_trade_no":"ORDER001","times":1}`, 200, `{"ok":true}`},
		{"POST", "/pay", string(p), 400, `{"error":"` + ErrBank.Error() + `"}`},
		{"POST", "/pay", string(p), 200, `{"ok":true}`},
		{"POST", "/pay", string(p), 400, ErrOrderPaid.Error()},
		{"POST", "/pay", `{"unknown":1}`, 400, "error"},
		{"POST", "/refunds/script", `{"out_refund_no":"R1","status":"ABNORMAL","times":1}`, 200, `{"ok":true}`},
		{"POST", "/refunds/settle", `{"out_refund_no":"R1","status":"SUCCESS"}`, 400, "no such refund"},
		{"POST", "/deposits", `{"fen":100}`, 200, `{"ok":true}`},
		{"POST", "/probes", `{"times":0}`, 200, `{"ok":true}`},
		{"GET", "/truth", "", 200, `"out_trade_no":"ORDER001"`},
		{"GET", "/faults", "", 200, `{"injected":[],"level":"none","seed":0}`},
		{"PUT", "/faults", `{"level":"mild","seed":7}`, 200, `{"ok":true}`},
		{"PUT", "/faults", `{"level":"none","seed":7}`, 200, `{"ok":true}`},
		{"PUT", "/faults", `{"level":"odd"}`, 400, "error"},
		{"POST", "/faults/script", `{"op":"refund","key":"R1","fault":"refuse","times":1}`, 200, `{"ok":true}`},
		{"POST", "/faults/script", `{}`, 400, "error"},
	} {
		status, body := w.control(tt.method, tt.path, tt.body)
		if status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s %s = %d %s, want %d %s", tt.method, tt.path, tt.body, status, body, tt.status, tt.want)
		}
	}
	if a := w.call("POST", refunds, refundBody("ORDER001", "R1", 1, 1000, nil)); a.code != "NOT_ENOUGH" {
		t.Errorf("scripted: %d %s", a.status, a.code)
	}
	if _, body := w.control("GET", "/faults", ""); !strings.Contains(body, `"op":"refund","key":"R1","fault":"refuse"`) {
		t.Errorf("faults = %s", body)
	}
	if _, body := w.control("GET", "/truth", ""); !strings.Contains(body, `"paid_fen":1000`) || !strings.Contains(body, `"fee_fen":6`) {
		t.Errorf("truth = %s", body)
	}
}

func TestJournalFailsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Journal = filepath.Join(t.TempDir(), "journal") })
	id, _ := w.prepay(orderBody("ORDER001", 1000, nil))
	w.paid("ORDER002", 1000)
	_ = w.sim.Close() // a disk that takes nothing any more
	if _, a := w.prepay(orderBody("ORDER003", 1000, nil)); a.status != 500 || a.code != "SYSTEM_ERROR" {
		t.Errorf("prepay: %d %s", a.status, a.code)
	}
	if a := w.close("ORDER001"); a.status != 500 {
		t.Errorf("close: %d", a.status)
	}
	if a := w.call("POST", refunds, refundBody("ORDER002", "R1", 1, 1000, nil)); a.status != 500 {
		t.Errorf("refund: %d", a.status)
	}
	if err := w.sim.Pay(t.Context(), phone(id)); err == nil {
		t.Error("pay: done without a journal")
	}
	w.open()
	truth := w.audit()
	if len(truth.Orders) != 2 || truth.PaidFen != 1000 || truth.RefundingFen != 0 {
		t.Errorf("truth = %+v", truth)
	}
}

func TestKillReplay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	w := newWorld(t, func(c *Config) { c.Journal = path })
	body := orderBody("ORDER001", 1000, map[string]any{"detail": map[string]any{"invoice_id": "<1>"}, "limit_pay": []string{}})
	first, _ := w.prepay(body)
	_ = w.sim.RefuseBank("ORDER001", 2)
	_ = w.sim.Pay(t.Context(), phone(first))
	_ = w.sim.ScriptRefunds("", refundAbnormal, 1)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.WriteString(`{"orders":[{"request":{"out_trade`) // a kill in mid-write
	_ = file.Close()
	w.open()
	if again, a := w.prepay("  " + body); again != first {
		t.Errorf("the same order after a kill: %d %s %q, want %q", a.status, a.code, again, first)
	}
	if err := w.sim.Pay(t.Context(), phone(first)); err != ErrBank { //nolint:errorlint // the very sentinel
		t.Errorf("second refusal: %v", err)
	}
	if err := w.sim.Pay(t.Context(), phone(first)); err != nil {
		t.Errorf("third: %v", err)
	}
	w.call("POST", refunds, refundBody("ORDER001", "R1", 1, 1000, nil))
	w.open()
	w.clock.Advance(usualRefundDelay)
	if got := w.refundStatus("R1"); got != "ABNORMAL" {
		t.Errorf("status = %s", got)
	}
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(w.cfg); err == nil {
		t.Error("a journal of nonsense: accepted")
	}
}

func TestCallNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.paid("ORDER001", 1000)
	tid := w.sim.Truth().Orders[0].TransactionID
	for _, tt := range []struct {
		uri, body string
		want      sandbox.Call
	}{
		{jsapi, `{"out_trade_no":"ORDER001"}`, sandbox.Call{Op: "jsapi", Key: "ORDER001", Refusable: true}},
		{jsapi, `nonsense`, sandbox.Call{Op: "jsapi", Refusable: true}},
		{"/v3/pay/transactions/out-trade-no/ORDER001", "", sandbox.Call{Op: "query", Key: "ORDER001", Priced: true}},
		{"/v3/pay/transactions/id/" + tid, "", sandbox.Call{Op: "query", Key: "ORDER001", Priced: true}},
		{"/v3/pay/transactions/out-trade-no/ORDER001/close", "", sandbox.Call{Op: "close", Key: "ORDER001"}},
		{refunds, `{"out_refund_no":"R1"}`, sandbox.Call{Op: "refund", Key: "R1", Refusable: true}},
		{refunds + "/R1", "", sandbox.Call{Op: "refund_query", Key: "R1"}},
		{"/v3/bill/tradebill?bill_date=2026-11-23", "", sandbox.Call{Op: "tradebill", Key: "2026-11-23"}},
		{"/v3/billdownload/file?token=x", "", sandbox.Call{Op: "download"}},
	} {
		if got := w.sim.call(httptest.NewRequest("GET", tt.uri, nil), []byte(tt.body)); got != tt.want {
			t.Errorf("call(%s) = %+v, want %+v", tt.uri, got, tt.want)
		}
	}
}

// TestParallelCalls lets many merchants' threads, phones and notices run at once; the race detector and the audit watch.
func TestParallelCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.RefundGap = -1 })
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			order := fmt.Sprintf("ORDER%03d", i/2) // two at each order
			if id, _ := w.prepay(orderBody(order, 1000, nil)); id != "" {
				_ = w.sim.Pay(t.Context(), phone(id))
			}
			w.call("POST", refunds, refundBody(order, fmt.Sprintf("R%d", i), 600, 1000, nil))
			w.sim.Step(t.Context())
		}()
	}
	for range 8 {
		<-done
	}
	if truth := w.audit(); truth.PaidFen != 4000 || truth.RefundingFen > 4*600 {
		t.Errorf("truth = %+v", truth)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(orderBody("ORDER001", 100, nil)))
	f.Add([]byte(refundBody("ORDER001", "R1", 1, 100, nil)))
	f.Add([]byte(`{"amount":{"total":null}}`))
	f.Add([]byte(`{"detail":[[[{"cost_price":1e9}]]]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var p prepayRequest
		if no := read(body, prepayFields, &p); no == nil {
			if p.check(nil, start) == nil && (p.Amount.Total < 1 || p.OutTradeNo == "" || p.Payer.OpenID == "") {
				t.Errorf("accepted %+v", p)
			}
			var again prepayRequest // what the journal keeps compares equal
			kept, err := json.Marshal(p)
			if err != nil || json.Unmarshal(kept, &again) != nil {
				t.Fatalf("cannot be kept: %s", kept)
			}
			if fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", p) {
				t.Errorf("kept as %+v, was %+v", again, p)
			}
		}
		var r refundRequest
		if no := read(body, refundFields, &r); no == nil && r.check() == nil && r.Amount.Refund < 1 {
			t.Errorf("accepted %+v", r)
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	f.Add(authorization("n", "1", "s"))
	f.Add(scheme + " ,,,")
	f.Fuzz(func(t *testing.T, header string) {
		c, ok := parseAuthorization(header)
		if ok && (c.mchID == "" || c.nonce == "" || c.serial == "" || c.signature == "" || c.timestamp == "") {
			t.Errorf("accepted %q", header)
		}
	})
}
