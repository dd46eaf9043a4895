package hissim

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	t.Parallel()
	const path, body = "/his/v1/bills/pending", `{"patient_id":"P1"}`
	tests := []struct {
		name   string
		spoil  func(r *http.Request)
		status int
		code   string
	}{
		{"as it should be", func(*http.Request) {}, 200, "0"},
		{"another app", func(r *http.Request) { r.Header.Set("X-His-App", "other") }, 401, "APP"},
		{"no time", func(r *http.Request) { r.Header.Del("X-His-Timestamp") }, 401, "TIMESTAMP"},
		{"301 seconds old", func(r *http.Request) { r.Header.Set("X-His-Timestamp", stampAt(-301)) }, 401, "TIMESTAMP"},
		{"301 seconds ahead", func(r *http.Request) { r.Header.Set("X-His-Timestamp", stampAt(301)) }, 401, "TIMESTAMP"},
		{"300 seconds old", func(r *http.Request) { r.Header.Set("X-His-Timestamp", stampAt(-300)) }, 401, "SIGNATURE"},
		{"short nonce", func(r *http.Request) { r.Header.Set("X-His-Nonce", "short") }, 401, "NONCE"},
		{"another nonce", func(r *http.Request) { r.Header.Set("X-His-Nonce", "nonce-of-somebody-else") }, 401, "SIGNATURE"},
		{"another body", func(r *http.Request) { r.Body = http.NoBody }, 401, "SIGNATURE"},
		{"another method", func(r *http.Request) { r.Method = http.MethodPut }, 405, "INVALID"},
		{"another path", func(r *http.Request) { r.URL.Path = "/his/v1/refunds" }, 404, "INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, now := hospital(t, Config{})
			sick(t, s)
			c := &caller{sim: s, clock: now}
			r := c.request(path, body)
			tt.spoil(r)
			status, out := c.do(t, r)
			if status != tt.status || out["code"] != tt.code {
				t.Errorf("answer = %d %v, want %d %s", status, out, tt.status, tt.code)
			}
		})
	}
}

func stampAt(seconds int64) string { return strconv.FormatInt(newClock().Now().Unix()+seconds, 10) }

func TestGateReplay(t *testing.T) {
	t.Parallel()
	s, now := hospital(t, Config{})
	sick(t, s)
	c := &caller{sim: s, clock: now}
	r := c.request("/his/v1/bills/pending", `{"patient_id":"P1"}`)
	body := []byte(`{"patient_id":"P1"}`)
	for i, want := range []string{"0", "REPLAY", "REPLAY"} {
		again := httptest.NewRequest(http.MethodPost, r.URL.Path, bytes.NewReader(body))
		again.Header = r.Header.Clone()
		if _, out := c.do(t, again); out["code"] != want {
			t.Errorf("time %d: code %v, want %s", i+1, out["code"], want)
		}
		now.Advance(time.Minute)
	}
}

func TestGateForgetsOldNonces(t *testing.T) {
	t.Parallel()
	g := &gate{app: testApp, secret: []byte(testSecret), seen: map[string]time.Time{}}
	start := newClock().Now()
	for i := range 5000 {
		if err := g.once(strconv.Itoa(i), start.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.seen) > 4200 {
		t.Errorf("%d nonces are kept", len(g.seen))
	}
	if err := g.once("4999", start.Add(5000*time.Second)); !errors.Is(err, errReplay) {
		t.Errorf("a fresh nonce came twice: %v", err)
	}
}

type badRequest struct{ name, path, body string }

func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	tests := []badRequest{
		{"not JSON", "/his/v1/bills/pending", `P1`},
		{"unknown member", "/his/v1/bills/pending", `{"patient_id":"P1","page":1}`},
		{"two objects", "/his/v1/bills/pending", `{"patient_id":"P1"}{}`},
		{"no patient", "/his/v1/bills/pending", `{}`},
		{"no name", "/his/v1/patients/find", `{"id_type":"01","id_no":"360102198503123042"}`},
		{"another paper", "/his/v1/patients/find", `{"name":"冯晓棠","id_type":"02","id_no":"360102198503123042"}`},
		{"find: garbage", "/his/v1/patients/find", `[]`},
		{"no bill", "/his/v1/bills/detail", `{"patient_id":"P1"}`},
		{"detail: no patient", "/his/v1/bills/detail", `{"bill_no":"B"}`},
		{"detail: garbage", "/his/v1/bills/detail", ``},
		{"lock: number with blanks", "/his/v1/locks/acquire", `{"order_no":"1 2","patient_id":"P1","bill_nos":["B"],"total_fen":1}`},
		{"lock: no bills", "/his/v1/locks/acquire", `{"order_no":"12","patient_id":"P1","bill_nos":[],"total_fen":1}`},
		{"lock: a bill twice", "/his/v1/locks/acquire", `{"order_no":"12","patient_id":"P1","bill_nos":["B","B"],"total_fen":1}`},
		{"lock: an empty bill", "/his/v1/locks/acquire", `{"order_no":"12","patient_id":"P1","bill_nos":[""],"total_fen":1}`},
		{"lock: nothing to pay", "/his/v1/locks/acquire", `{"order_no":"12","patient_id":"P1","bill_nos":["B"],"total_fen":0}`},
		{"lock: yuan", "/his/v1/locks/acquire", `{"order_no":"12","patient_id":"P1","bill_nos":["B"],"total_fen":1.5}`},
		{"release: no number", "/his/v1/locks/release", `{"order_no":""}`},
		{"release: garbage", "/his/v1/locks/release", `"12"`},
		{"post: garbage", "/his/v1/postings/post", `{`},
		{"post: no bills", "/his/v1/postings/post", `{"order_no":"12"}`},
		{"post: negative part", "/his/v1/postings/post", `{"order_no":"12","patient_id":"P1","total_fen":1,"bills":[{"bill_no":"B","total_fen":1}],"parts":{"cash_fen":-1}}`},
		{"post: insured without settlement", "/his/v1/postings/post", `{"order_no":"12","patient_id":"P1","total_fen":1,"bills":[{"bill_no":"B","total_fen":1}],"parts":{"pooled_fund_fen":1}}`},
		{"post: cash without payment", "/his/v1/postings/post", `{"order_no":"12","patient_id":"P1","total_fen":1,"bills":[{"bill_no":"B","total_fen":1}],"parts":{"uninsured_fen":1}}`},
		{"post: long number", "/his/v1/postings/post", `{"order_no":"12","patient_id":"P1","total_fen":1,"bills":[{"bill_no":"B","total_fen":1}],"parts":{"pooled_fund_fen":1},"settled_at":"2026-11-23T09:30:00+08:00","setl_id":"0123456789012345678901234567890"}`},
		{"query: no bills", "/his/v1/postings/query", `{"order_no":"12"}`},
		{"query: garbage", "/his/v1/postings/query", `nil`},
	}
	malformed(t, tests)
}

// malformed sends what no hospital should take.
func malformed(t *testing.T, tests []badRequest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, now := hospital(t, Config{})
			c := &caller{sim: s, clock: now}
			if status, out := c.do(t, c.request(tt.path, tt.body)); status != 400 || out["code"] != "INVALID" {
				t.Errorf("answer = %d %v, want 400 INVALID", status, out)
			}
		})
	}
}

func TestMalformedRefunds(t *testing.T) {
	t.Parallel()
	const oneLine = `{"bill_no":"B","line_no":"L","quantity":"1","total_fen":1}`
	hold := func(lines string) string {
		return `{"order_no":"7","refund_no":"R1","patient_id":"P1","lines":[` + lines + `],"total_fen":1}`
	}
	booking := func(members string) string {
		return strings.Replace(hold(oneLine), `{`, `{"refunded_at":"2026-11-23T09:30:00+08:00",`+members+`,`, 1)
	}
	malformed(t, []badRequest{
		{"hold: garbage", "/his/v1/refunds/hold", `{`},
		{"hold: no refund number", "/his/v1/refunds/hold", `{"order_no":"7","patient_id":"P1","lines":[` + oneLine + `],"total_fen":1}`},
		{"hold: no patient", "/his/v1/refunds/hold", `{"order_no":"7","refund_no":"R1","lines":[` + oneLine + `],"total_fen":1}`},
		{"hold: no lines", "/his/v1/refunds/hold", `{"order_no":"7","refund_no":"R1","patient_id":"P1","lines":[],"total_fen":1}`},
		{"hold: nothing", "/his/v1/refunds/hold", `{"order_no":"7","refund_no":"R1","patient_id":"P1","lines":[` + oneLine + `],"total_fen":0}`},
		{"hold: a line twice", "/his/v1/refunds/hold", hold(oneLine + "," + oneLine)},
		{"hold: no bill", "/his/v1/refunds/hold", hold(`{"line_no":"L","quantity":"1","total_fen":1}`)},
		{"hold: no line", "/his/v1/refunds/hold", hold(`{"bill_no":"B","quantity":"1","total_fen":1}`)},
		{"hold: a negative amount", "/his/v1/refunds/hold", hold(`{"bill_no":"B","line_no":"L","quantity":"1","total_fen":-1}`)},
		{"hold: a negative quantity", "/his/v1/refunds/hold", hold(`{"bill_no":"B","line_no":"L","quantity":"-1","total_fen":1}`)},
		{"hold: no quantity", "/his/v1/refunds/hold", hold(`{"bill_no":"B","line_no":"L","quantity":"0.0","total_fen":1}`)},
		{"hold: an exponent", "/his/v1/refunds/hold", hold(`{"bill_no":"B","line_no":"L","quantity":"1e1","total_fen":1}`)},
		{"hold: too many lines", "/his/v1/refunds/hold", hold(oneLine + strings.Repeat(`,{"bill_no":"B","line_no":"L"}`, 2000))},
		{"hold: a long story", "/his/v1/refunds/hold", strings.Replace(hold(oneLine), `{`, `{"reason":"`+strings.Repeat("退", 81)+`",`, 1)},
		{"book: garbage", "/his/v1/refunds/book", `{}{}`},
		{"book: no refund number", "/his/v1/refunds/book", `{"order_no":"7"}`},
		{"book: not a word of time", "/his/v1/refunds/book", hold(oneLine)},
		{"book: one number of two", "/his/v1/refunds/book", booking(`"refund_id":"5"`)},
		{"book: a long number", "/his/v1/refunds/book", booking(`"refund_id":"012345678901234567890123456789012","out_refund_no":"1"`)},
		{"book: a negative part", "/his/v1/refunds/book", booking(`"rest_parts":{"cash_fen":-1}`)},
		{"book: an insured rest without settlement", "/his/v1/refunds/book", booking(`"rest_parts":{"pooled_fund_fen":1}`)},
		{"book: rebill of nothing", "/his/v1/refunds/book", booking(`"rebill":[{}]`)},
		{"drop: garbage", "/his/v1/refunds/drop", `0`},
		{"drop: no number", "/his/v1/refunds/drop", `{"order_no":"7"}`},
		{"refund query: garbage", "/his/v1/refunds/query", `0`},
		{"refund query: no order", "/his/v1/refunds/query", `{"refund_no":"R1"}`},
	})
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	s, now := hospital(t, Config{})
	c := &caller{sim: s, clock: now}
	body := `{"patient_id":"` + string(bytes.Repeat([]byte("P"), maxRequest)) + `"}`
	if status, out := c.do(t, c.request("/his/v1/bills/pending", body)); status != 413 || out["code"] != "INVALID" {
		t.Errorf("answer = %d %v, want 413 INVALID", status, out)
	}
}

// FuzzRequests sends outside bytes to every operation, rightly signed: never a panic, always a signed answer with a code, and no
// effect without a well-formed request.
func FuzzRequests(f *testing.F) {
	f.Add(uint8(0), []byte(`{"name":"冯晓棠","id_type":"01","id_no":"360102198503123042"}`))
	f.Add(uint8(3), []byte(`{"order_no":"1","patient_id":"P1","bill_nos":["MZ20261123000003"],"total_fen":1917}`))
	f.Add(uint8(5), []byte(`{"order_no":"12","patient_id":"P1","total_fen":1,"bills":[{"bill_no":"B","total_fen":1}],"parts":{"cash_fen":-1}}`))
	f.Add(uint8(6), []byte(`{"order_no":"12","bill_nos":["\ud800"]}`))
	f.Add(uint8(7), []byte(`{"order_no":"7","refund_no":"R1","patient_id":"P1","whole":false,"lines":[{"bill_no":"MZ20261123000003","line_no":"MZ20261123000003001","quantity":"10","total_fen":799}],"total_fen":799}`))
	f.Add(uint8(9), []byte(`{"order_no":"7","refund_no":"R2","patient_id":"P1","whole":true,"lines":[{"bill_no":"B","line_no":"L","quantity":"1e9","total_fen":1}],"total_fen":1,"rest_parts":{},"note":true,"refunded_at":"2026-11-23T09:30:00+08:00"}`))
	paths := []string{"/his/v1/patients/find", "/his/v1/bills/pending", "/his/v1/bills/detail", "/his/v1/locks/acquire",
		"/his/v1/locks/release", "/his/v1/postings/post", "/his/v1/postings/query", "/his/v1/refunds/hold", "/his/v1/refunds/drop",
		"/his/v1/refunds/book", "/his/v1/refunds/query"}
	s, now := hospital(f, Config{})
	_, bills := sick(f, s)
	if code := (&caller{sim: s, clock: now}).code(f, "/his/v1/postings/post", asJSON(f, posting("7", bills))); code != "0" {
		f.Fatal(code)
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		c := &caller{sim: s, clock: now}
		s.gate.seen = map[string]time.Time{}
		status, out := c.do(t, c.request(paths[int(which)%len(paths)], string(body)))
		if code, ok := out["code"].(string); !ok || code == "" || (status != 200 && status != 400 && status != 413) {
			t.Errorf("answer = %d %v", status, out)
		}
	})
}
