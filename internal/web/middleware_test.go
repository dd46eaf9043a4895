package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.GET("/id", Reply(func(c *gin.Context) (any, error) { return RequestID(c.Request.Context()), nil }))
	for name, tt := range map[string]struct {
		sent string
		kept bool
	}{
		"none":          {"", false},
		"plain":         {"Abc-019", true},
		"64 characters": {strings.Repeat("a", 64), true},
		"65 characters": {strings.Repeat("a", 65), false},
		"line feed":     {"a\nb", false},
		"underscore":    {"a_b", false},
		"Chinese":       {"编号", false},
		"space":         {"a b", false},
	} {
		w := f.do(http.MethodGet, "/id", "", requestIDHeader, tt.sent)
		var id string
		if err := json.Unmarshal(w.Body.Bytes(), &id); err != nil {
			t.Fatal(err)
		}
		if (id == tt.sent) != tt.kept || !harmless(id) || w.Header().Get(requestIDHeader) != id {
			t.Errorf("%s: sent %q, used %q, answered %q", name, tt.sent, id, w.Header().Get(requestIDHeader))
		}
	}
	if RequestID(context.Background()) != "" {
		t.Error("an id outside of a request")
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.POST("/bills/:id", Reply(func(c *gin.Context) (any, error) {
		if _, err := io.ReadAll(c.Request.Body); err != nil {
			return nil, err
		}
		f.clock.Advance(42 * time.Millisecond)
		return nil, fmt.Errorf("bill of %v: %w", sensitive.NewName("张三丰"), errPaid)
	}))
	f.do(http.MethodPost, "/bills/SECRET-NO?name=SECRET-QUERY", `{"x":"SECRET-BODY"}`, requestIDHeader, "r-9", "Authorization", "SECRET-TOKEN")
	f.do("BREW", "/SECRET-PATH", "")
	out := strings.Split(strings.TrimSpace(f.log.text()), "\n")
	if len(out) != 2 || strings.Contains(f.log.text(), "SECRET") || strings.Contains(f.log.text(), "张") {
		t.Fatalf("log:\n%s", f.log.text())
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out[0]), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	cost := got["cost_ms"]
	delete(got, "cost_ms")
	delete(got, "status")
	want := map[string]any{"level": "INFO", "msg": "request", "method": "POST", "route": "/bills/:id", "request_id": "r-9",
		"kind": "conflict", "code": "BILL_PAID", "error": "bill of [hidden]: conflict BILL_PAID"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	if fmt.Sprint(cost) != "42" || !strings.Contains(out[0], `"status":409`) {
		t.Errorf("line %s, want cost 42 and status 409", out[0])
	}
	if !strings.Contains(out[1], `"method":"OTHER"`) || !strings.Contains(out[1], `"status":404`) {
		t.Errorf("line %s", out[1])
	}
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	for err, level := range map[error]string{
		errors.New("bug"): "ERROR", fault.New(fault.Unknown, "U", ""): "WARN", fault.New(fault.Unavailable, "A", ""): "WARN",
		fault.New(fault.Rejected, "R", ""): "INFO",
	} {
		f := newFace(t)
		f.returning(nil, err)
		if !strings.Contains(f.log.text(), `"level":"`+level+`"`) {
			t.Errorf("%v: %s, want %s", err, f.log.text(), level)
		}
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	for name, thrown := range map[string]any{"text": "SECRET-STATE", "error": errors.New("SECRET-STATE"), "other": struct{ Name string }{"张三丰"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFace(t)
			f.GET("/x", Reply(func(*gin.Context) (any, error) { panic(thrown) }))
			w := f.do(http.MethodGet, "/x", "", requestIDHeader, "r-1")
			want := `{"type":"about:blank","title":"Internal Server Error","status":500,"code":"INTERNAL","detail":"系统繁忙，请稍后再试","request_id":"r-1"}` + "\n"
			if w.Code != 500 || w.Body.String() != want {
				t.Errorf("%d %s, want %s", w.Code, w.Body, want)
			}
			log := f.log.text()
			if !strings.Contains(log, `"msg":"panic"`) || !strings.Contains(log, "web_test.go") || !strings.Contains(log, `"status":500`) ||
				strings.Contains(log, "张") {
				t.Errorf("log %s", log)
			}
		})
	}
}

func TestPanicAfterAPartOfTheAnswer(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.GET("/half", Reply(func(c *gin.Context) (any, error) {
		c.Data(http.StatusOK, "text/plain", []byte("half"))
		panic("late")
	}))
	f.GET("/abort", Reply(func(*gin.Context) (any, error) { panic(http.ErrAbortHandler) }))
	for _, path := range []string{"/half", "/abort"} {
		thrown := func() (v any) {
			defer func() { v = recover() }()
			f.do(http.MethodGet, path, "")
			return nil
		}()
		if thrown != http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
			t.Errorf("%s: threw %v, want http.ErrAbortHandler", path, thrown)
		}
		if !strings.Contains(f.log.text(), `"route":"`+path+`"`) {
			t.Errorf("%s is not in the access log: %s", path, f.log.text())
		}
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	f := newFace(t, func(c *Config) { c.MaxBody = 10 })
	reached := 0
	f.POST("/x", Reply(func(c *gin.Context) (any, error) {
		reached++
		b, err := io.ReadAll(c.Request.Body)
		if err != nil {
			return nil, ErrBadRequest.Because(err) // as a handler does whose decoder stops
		}
		return string(b), nil
	}))
	for _, tt := range []struct {
		name, body string
		chunked    bool
		status     int
		reaches    bool
	}{
		{"at the limit", "0123456789", false, 200, true},
		{"declared too large", "0123456789a", false, 413, false},
		{"undeclared, at the limit", "0123456789", true, 200, true},
		{"undeclared, too large", "0123456789a", true, 413, true},
	} {
		r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader(tt.body))
		if tt.chunked {
			r.ContentLength = -1
		}
		w, before := httptest.NewRecorder(), reached
		f.ServeHTTP(w, r)
		if w.Code != tt.status || (reached > before) != tt.reaches {
			t.Errorf("%s: %d %s, handler reached %t", tt.name, w.Code, w.Body, reached > before)
		}
		if tt.status == 413 && !strings.Contains(w.Body.String(), `"code":"BODY_TOO_LARGE"`) {
			t.Errorf("%s: %s", tt.name, w.Body)
		}
	}
	big := newFace(t)
	big.POST("/x", Reply(func(*gin.Context) (any, error) { return nil, nil }))
	for size, want := range map[int]int{1 << 20: 204, 1<<20 + 1: 413} {
		if w := big.do(http.MethodPost, "/x", strings.Repeat("x", size)); w.Code != want {
			t.Errorf("%d bytes without a setting: %d, want %d", size, w.Code, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.GET("/own", Reply(func(c *gin.Context) (any, error) {
		c.Header("Cache-Control", "public, max-age=60")
		return 1, nil
	}))
	for _, path := range []string{"/nothing", "/own"} {
		h := f.do(http.MethodGet, path, "").Header()
		want := map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"X-Frame-Options": "DENY", "Content-Security-Policy": strictestCSP, "Strict-Transport-Security": "max-age=31536000",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}
		if path == "/own" {
			want["Cache-Control"] = "public, max-age=60"
		}
		for name, value := range want {
			if h.Get(name) != value {
				t.Errorf("%s: %s = %q, want %q", path, name, h.Get(name), value)
			}
		}
	}
	own := newFace(t, func(c *Config) { c.CSP = "default-src 'self'" })
	if got := own.do(http.MethodGet, "/", "").Header().Get("Content-Security-Policy"); got != "default-src 'self'" {
		t.Errorf("CSP %q", got)
	}
}

func TestProxiesAreNotTrusted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		proxies []string
		want    string
	}{
		"by default":     {nil, "192.0.2.1"},
		"named proxy":    {[]string{"192.0.2.0/24"}, "203.0.113.7"},
		"another, named": {[]string{"198.51.100.1"}, "192.0.2.1"},
	} {
		f := newFace(t, func(c *Config) { c.TrustedProxies = tt.proxies })
		f.GET("/ip", Reply(func(c *gin.Context) (any, error) { return c.ClientIP(), nil }))
		w := f.do(http.MethodGet, "/ip", "", "X-Forwarded-For", "203.0.113.7", "X-Real-Ip", "203.0.113.8", "X-Appengine-Remote-Addr", "203.0.113.9",
			"CF-Connecting-IP", "203.0.113.10")
		if got := strings.TrimSpace(w.Body.String()); got != `"`+tt.want+`"` {
			t.Errorf("%s: client %s, want %s", name, got, tt.want)
		}
	}
}

func FuzzRequestID(f *testing.F) {
	f.Add("a-b")
	f.Add("a\r\nSet-Cookie: x")
	f.Fuzz(func(t *testing.T, id string) {
		if !harmless(id) {
			return
		}
		if len(id) > 64 || strings.Trim(id, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("%q is not harmless", id)
		}
	})
}
