package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
)

var errPaid = fault.New(fault.Conflict, "BILL_PAID", "该费用单已缴费")

// face is an engine with a fake clock, and what it logs.
type face struct {
	t     *testing.T
	clock *clock.Fake
	*gin.Engine
	log *lines
}

// lines is a log that several goroutines may write.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

func newFace(t *testing.T, edit ...func(*Config)) *face {
	t.Helper()
	c := clock.NewFake(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC))
	log := &lines{}
	cfg := Config{Clock: c, Source: clock.NewSeeded(c, 1, 1), Log: slog.New(slog.NewJSONHandler(log, nil))}
	for _, e := range edit {
		e(&cfg)
	}
	engine, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &face{t: t, clock: c, Engine: engine, log: log}
}

func (f *face) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// returning is a route that returns just this.
func (f *face) returning(result any, err error) *httptest.ResponseRecorder {
	f.t.Helper()
	f.GET("/x", Reply(func(*gin.Context) (any, error) { return result, err }))
	return f.do(http.MethodGet, "/x", "", requestIDHeader, "r-1")
}

func TestEveryKindHasAnAnswer(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]struct {
		status int
		again  string
	}{
		fault.Internal: {500, ""}, fault.Invalid: {400, ""}, fault.Unauthenticated: {401, ""}, fault.Forbidden: {403, ""},
		fault.NotFound: {404, ""}, fault.Conflict: {409, ""}, fault.Limited: {429, "10"}, fault.Unavailable: {503, "5"},
		fault.Pending: {202, "2"}, fault.Rejected: {422, ""}, fault.Unknown: {202, "2"},
	}
	for _, k := range fault.Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			cause := errors.New("cause for the log")
			w := newFace(t).returning(nil, fmt.Errorf("outside: %w", fault.New(k, "CODE", "说明").At("bill").Because(cause)))
			expect, ok := want[k]
			if !ok {
				t.Fatalf("no answer is written down for %v", k)
			}
			wantProblem := Problem{Type: "about:blank", Title: http.StatusText(expect.status), Status: expect.status, Code: "CODE",
				Detail: "说明", Field: "bill", RequestID: "r-1"}
			if k == fault.Internal {
				wantProblem.Code, wantProblem.Detail, wantProblem.Field = "INTERNAL", "系统繁忙，请稍后再试", ""
			}
			var got Problem
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantProblem, got); diff != "" || w.Code != expect.status {
				t.Errorf("status %d, want %d; problem (-want +got):\n%s", w.Code, expect.status, diff)
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/problem+json; charset=utf-8" {
				t.Errorf("content type %q", ct)
			}
			if got := w.Header().Get("Retry-After"); got != expect.again {
				t.Errorf("Retry-After %q, want %q", got, expect.again)
			}
			if strings.Contains(w.Body.String(), "cause") || strings.Contains(w.Body.String(), "outside") {
				t.Errorf("the cause was shown: %s", w.Body)
			}
		})
	}
	if len(answers) != len(fault.Kinds()) || answerTo(fault.Kind(200)).status != 500 {
		t.Errorf("%d answers for %d kinds", len(answers), len(fault.Kinds()))
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		result      any
		err         error
		status      int
		contentType string
		body        string // a beginning of it
	}{
		{"value", map[string]any{"a": "<b>"}, nil, 200, "application/json; charset=utf-8", `{"a":"<b>"}`},
		{"nothing", nil, nil, 204, "", ""},
		{"created", Answer{Status: 201, Body: []int{1}}, nil, 201, "application/json; charset=utf-8", "[1]"},
		{"accepted, no body", Answer{Status: 202}, nil, 202, "", ""},
		{"rendered", Rendered{Status: 200, ContentType: "text/csv", Body: []byte("a,b\n")}, nil, 200, "text/csv", "a,b\n"},
		{"not to be encoded", make(chan int), nil, 500, "application/problem+json; charset=utf-8", `{"type":"about:blank"`},
		{"no kind", nil, errors.New("bug"), 500, "application/problem+json; charset=utf-8", `{"type":"about:blank"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newFace(t).returning(tt.result, tt.err)
			if w.Code != tt.status || w.Header().Get("Content-Type") != tt.contentType || !strings.HasPrefix(w.Body.String(), tt.body) ||
				(tt.body == "") != (w.Body.Len() == 0) {
				t.Errorf("%d %q %s, want %d %q %s", w.Code, w.Header().Get("Content-Type"), w.Body, tt.status, tt.contentType, tt.body)
			}
		})
	}
}

func TestRenderedAgainIsTheSame(t *testing.T) {
	t.Parallel()
	kept := Render(nil, errPaid, "first")
	w := newFace(t).returning(kept, nil)
	if w.Code != 409 || w.Body.String() != string(kept.Body) || !strings.Contains(w.Body.String(), `"request_id":"first"`) {
		t.Errorf("%d %s, want %s", w.Code, w.Body, kept.Body)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	if w := newFace(t).returning(nil, RetryAfter(errPaid, 1500*time.Millisecond)); w.Code != 409 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d, Retry-After %q, want 409, 2", w.Code, w.Header().Get("Retry-After"))
	}
	if got := RetryAfter(errPaid, 0); !errors.Is(got, errPaid) {
		t.Errorf("RetryAfter(0) = %v", got)
	}
	if got := RetryAfter(nil, time.Second); got != nil {
		t.Errorf("RetryAfter(nil) = %v", got)
	}
	if got := RetryAfter(errPaid, time.Second); !errors.Is(got, errPaid) || fault.KindOf(got) != fault.Conflict || got.Error() != errPaid.Error() {
		t.Errorf("RetryAfter() = %v", got)
	}
}

func TestHandlerThatWritesItself(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.GET("/file", Reply(func(c *gin.Context) (any, error) {
		c.Data(http.StatusOK, "application/pdf", []byte("%PDF"))
		return nil, nil
	}))
	f.GET("/half", Reply(func(c *gin.Context) (any, error) {
		c.Data(http.StatusOK, "text/plain", []byte("half"))
		return nil, errors.New("the rest is missing")
	}))
	if w := f.do(http.MethodGet, "/file", ""); w.Code != 200 || w.Body.String() != "%PDF" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := f.do(http.MethodGet, "/half", ""); w.Body.String() != "half" || !strings.Contains(f.log.text(), "the rest is missing") {
		t.Errorf("%q, log %s", w.Body, f.log.text())
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.HEAD("/x", Reply(func(*gin.Context) (any, error) { return "long", nil }))
	if w := f.do(http.MethodHead, "/x", ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("%d with %d bytes", w.Code, w.Body.Len())
	}
}

func TestNobodyServesThis(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.POST("/x", Reply(func(*gin.Context) (any, error) { return nil, nil }))
	for _, tt := range []struct {
		method, path, code, allow string
		status                    int
	}{
		{http.MethodGet, "/nothing", "ROUTE_NOT_FOUND", "", 404},
		{http.MethodPost, "/x/", "ROUTE_NOT_FOUND", "", 404}, // no redirect: it would lose the body
		{http.MethodPost, "/X", "ROUTE_NOT_FOUND", "", 404},
		{http.MethodGet, "/x", "METHOD_NOT_ALLOWED", "POST", 405},
	} {
		w := f.do(tt.method, tt.path, "")
		if w.Code != tt.status || !strings.Contains(w.Body.String(), `"code":"`+tt.code+`"`) || w.Header().Get("Allow") != tt.allow ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s %s: %d %s, Allow %q", tt.method, tt.path, w.Code, w.Body, w.Header().Get("Allow"))
		}
	}
}

func TestCallerGone(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.GET("/x", Reply(func(c *gin.Context) (any, error) { return nil, fmt.Errorf("load: %w", c.Request.Context().Err()) }))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil).WithContext(ctx))
	if w.Code != 503 || !strings.Contains(f.log.text(), "CALLER_GONE") || strings.Contains(f.log.text(), "ERROR") {
		t.Errorf("%d, log %s", w.Code, f.log.text())
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	c := clock.Real{}
	whole := Config{Clock: c, Source: clock.NewSource(c, 0), Log: slog.New(slog.DiscardHandler)}
	for name, edit := range map[string]func(*Config){
		"no clock":  func(c *Config) { c.Clock = nil },
		"no source": func(c *Config) { c.Source = nil },
		"no log":    func(c *Config) { c.Log = nil },
		"bad proxy": func(c *Config) { c.TrustedProxies = []string{"everyone"} },
	} {
		cfg := whole
		edit(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
