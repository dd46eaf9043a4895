package wechatpaysim

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

func TestRequestsMustBeAuthentic(t *testing.T) {
	t.Parallel()
	const uri = "/v3/pay/transactions/out-trade-no/T%7C%2A1_-234?mchid=" + testMch
	resign := func(w *world, r *http.Request, nonce, stamp string) {
		r.Header.Set("Authorization", authorization(nonce, stamp, sign(merchantKey(), "GET", uri, stamp, nonce, "")))
	}
	at := func(w *world, d time.Duration) string { return strconv.FormatInt(w.clock.Now().Add(d).Unix(), 10) }
	long := strings.Repeat("n", 32)
	tests := []struct {
		name   string
		spoil  func(w *world, r *http.Request)
		status int
		code   string
	}{
		{"right, with an escaped number", func(*world, *http.Request) {}, 404, "ORDER_NOT_EXIST"},
		{"299 seconds old", func(w *world, r *http.Request) { resign(w, r, long, at(w, -299*time.Second)) }, 404, "ORDER_NOT_EXIST"},
		{"301 seconds old", func(w *world, r *http.Request) { resign(w, r, long, at(w, -301*time.Second)) }, 401, "SIGN_ERROR"},
		{"301 seconds ahead", func(w *world, r *http.Request) { resign(w, r, long, at(w, 301*time.Second)) }, 401, "SIGN_ERROR"},
		{"timestamp no number", func(w *world, r *http.Request) { resign(w, r, long, "soon") }, 401, "SIGN_ERROR"},
		{"short nonce", func(w *world, r *http.Request) { resign(w, r, "n", at(w, 0)) }, 401, "SIGN_ERROR"},
		{"no authorization", func(_ *world, r *http.Request) { r.Header.Del("Authorization") }, 401, "SIGN_ERROR"},
		{"another scheme", func(_ *world, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "RSA2048", "SM3", 1))
		}, 401, "SIGN_ERROR"},
		{"a part twice", func(_ *world, r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")+`,mchid="`+testMch+`"`)
		}, 401, "SIGN_ERROR"},
		{"a part missing", func(_ *world, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), `mchid="`+testMch+`",`, "", 1))
		}, 401, "SIGN_ERROR"},
		{"another merchant", func(_ *world, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), testMch, "1900000000", 1))
		}, 401, "SIGN_ERROR"},
		{"another certificate", func(_ *world, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), testSerial, strings.Repeat("A", 40), 1))
		}, 401, "SIGN_ERROR"},
		{"another path than was signed", func(_ *world, r *http.Request) { r.URL.RawQuery += "&x=1" }, 401, "SIGN_ERROR"},
		{"signature not base64", func(w *world, r *http.Request) {
			r.Header.Set("Authorization", authorization(long, at(w, 0), "%%%"))
		}, 401, "SIGN_ERROR"},
		{"another public key asked for", func(_ *world, r *http.Request) { r.Header.Set("Wechatpay-Serial", "ABC") }, 400, "PARAM_ERROR"},
		{"no public key asked for", func(_ *world, r *http.Request) { r.Header.Del("Wechatpay-Serial") }, 404, "ORDER_NOT_EXIST"},
		{"no user agent", func(_ *world, r *http.Request) { r.Header.Set("User-Agent", "") }, 400, "PARAM_ERROR"},
		{"no such path", func(_ *world, r *http.Request) { r.URL.Path, r.URL.RawPath = "/v3/else", "" }, 404, "RESOURCE_NOT_EXISTS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.request("GET", uri, "")
			tt.spoil(w, r)
			if a := w.do(r); a.status != tt.status || a.code != tt.code {
				t.Errorf("answer = %d %s, want %d %s", a.status, a.code, tt.status, tt.code)
			}
		})
	}
}

func TestBodiesMustBeJSONAndSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.request("POST", jsapi, orderBody("ORDER001", 100, nil))
	r.Header.Set("Content-Type", "text/xml")
	if a := w.do(r); a.status != 415 {
		t.Errorf("xml: %d", a.status)
	}
	r = w.request("POST", jsapi, orderBody("ORDER001", 100, nil))
	other := w.request("POST", jsapi, orderBody("ORDER001", 1, nil))
	other.Header = r.Header
	if a := w.do(other); a.code != "SIGN_ERROR" {
		t.Errorf("changed body: %d %s", a.status, a.code)
	}
	if a := w.call("POST", jsapi, `{"description":"`+strings.Repeat("x", maxBody)+`"}`); a.status != 400 {
		t.Errorf("long body: %d", a.status)
	}
}

func TestNonceMayBeUsedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const uri = "/v3/pay/transactions/out-trade-no/ORDER001?mchid=" + testMch
	nonce, stamp := strings.Repeat("n", 32), strconv.FormatInt(w.clock.Now().Unix(), 10)
	ask := func(method, uri, body string) answer {
		r := w.request(method, uri, body)
		r.Header.Set("Authorization", authorization(nonce, stamp, sign(merchantKey(), method, uri, stamp, nonce, body)))
		return w.do(r)
	}
	if a := ask("GET", uri, ""); a.status != 404 {
		t.Fatalf("first: %d %s", a.status, a.code)
	}
	if a := ask("GET", uri, ""); a.status != 404 {
		t.Errorf("the same message doubled by the network: %d %s, want it let through", a.status, a.code)
	}
	if a := ask("POST", jsapi, orderBody("ORDER001", 1, nil)); a.code != "SIGN_ERROR" {
		t.Errorf("nonce on another request: %d %s", a.status, a.code)
	}
	w.clock.Advance(time.Hour)
	stamp = strconv.FormatInt(w.clock.Now().Unix(), 10)
	if a := ask("POST", jsapi, orderBody("ORDER001", 1, nil)); a.status != 200 {
		t.Errorf("nonce long forgotten: %d %s", a.status, a.code)
	}
}

func TestProbeIsAWrongSignature(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sim.Probe(1)
	h := w.sim.signature([]byte("body"))
	if !strings.HasPrefix(h.Get("Wechatpay-Signature"), "WECHATPAY/SIGNTEST/") {
		t.Errorf("signature = %s", h.Get("Wechatpay-Signature"))
	}
	if h = w.sim.signature([]byte("body")); strings.HasPrefix(h.Get("Wechatpay-Signature"), "WECHATPAY/SIGNTEST/") {
		t.Error("the second signature is a probe too")
	}
}

func TestStampIsAClockOfItsOwn(t *testing.T) {
	t.Parallel()
	stamp := clock.NewFake(start.Add(1000 * time.Hour))
	w := newWorld(t, func(c *Config) { c.Stamp = stamp })
	if got, want := w.sim.signature(nil).Get("Wechatpay-Timestamp"), strconv.FormatInt(stamp.Now().Unix(), 10); got != want {
		t.Errorf("timestamp = %s, want %s", got, want)
	}
	if a := w.call("GET", "/v3/pay/transactions/out-trade-no/ORDER001?mchid="+testMch, ""); a.code != "SIGN_ERROR" {
		t.Errorf("a request stamped by the other clock: %d %s", a.status, a.code)
	}
}

func TestNewChecksKeys(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Config){
		"no merchant":      func(c *Config) { c.MchID = "" },
		"short APIv3 key":  func(c *Config) { c.APIv3Key = "short" },
		"no serial":        func(c *Config) { c.MerchantSerial = "" },
		"certificate id":   func(c *Config) { c.KeyID = testSerial },
		"no clock":         func(c *Config) { c.Clock = nil },
		"negative opening": func(c *Config) { c.Opening = -1 },
		"journal a folder": func(c *Config) { c.Journal = "/" },
	} {
		w := newWorld(t)
		spoil(&w.cfg)
		if _, err := New(w.cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
