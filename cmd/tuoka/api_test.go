package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/cache"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/web"
)

// TestLimit counts callers, and not the gateway before them; nobody makes himself another caller.
func TestLimit(t *testing.T) {
	shared, err := cache.Open(t.Context(), cache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shared.Close() }()
	open := func(proxies ...string) http.Handler {
		h := &house{config: &config.Config{Listen: config.Listen{TrustedProxies: proxies}, Limits: config.Limits{LoginPerMinute: 6}}, cache: shared,
			world: earth(), log: slog.New(slog.DiscardHandler)}
		h.source = clock.NewSource(h.clock, 0)
		e, err := web.New(web.Config{Clock: h.clock, Source: h.source, Log: h.log, TrustedProxies: h.config.Listen.TrustedProxies})
		if err != nil {
			t.Fatal(err)
		}
		e.Use(h.limit)
		e.POST("/api/v1/sessions", func(c *gin.Context) { c.Status(http.StatusNoContent) })
		return e
	}
	logins := func(h http.Handler, peer string, from func(i int) string) int {
		refused := 0
		for i := range 10 {
			r := httptest.NewRequest(http.MethodPost, "/api/v1/sessions", http.NoBody)
			r.RemoteAddr = peer + ":4000"
			r.Header.Set("X-Forwarded-For", from(i))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			switch {
			case w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") != "" && strings.Contains(w.Body.String(), "TOO_MANY_REQUESTS"):
				refused++
			case w.Code != http.StatusNoContent:
				t.Errorf("answer %d: %s", w.Code, w.Body)
			}
		}
		return refused
	}
	ten := []string{"1.1.1.0", "1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5", "1.1.1.6", "1.1.1.7", "1.1.1.8", "1.1.1.9"}
	if n := logins(open(), "10.0.0.1", func(i int) string { return ten[i] }); n != 5 {
		t.Errorf("%d of 10 refused, want 5: a header is not believed", n)
	}
	behind := open("10.0.0.0/24")
	if n := logins(behind, "10.0.0.2", func(i int) string { return ten[i] }); n != 0 {
		t.Errorf("%d of 10 callers behind the gateway refused, want none", n)
	}
	if n := logins(behind, "10.0.0.2", func(i int) string { return ten[i] + ", 2.2.2.2" }); n != 5 {
		t.Errorf("%d of 10 refused, want 5: what stands before the gateway's own entry is the caller's invention", n)
	}
	if n := logins(behind, "10.0.1.1", func(i int) string { return ten[i] }); n != 5 {
		t.Errorf("%d of 10 refused, want 5: that peer is no gateway", n)
	}
	if err := shared.Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	open().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/sessions", http.NoBody))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "LOGIN_UNAVAILABLE") {
		t.Errorf("sign-in without a cache: %d %s", w.Code, w.Body)
	}
}

// TestBrokenStepsAreNotHammered: an error ends the haste, whoever wakes the worker, and is said once a minute.
func TestBrokenStepsAreNotHammered(t *testing.T) {
	var log strings.Builder
	fake := clock.NewFake(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC))
	h := &house{config: &config.Config{TimeScale: 60}, world: world{clock: fake}, log: newLog(&log, "info"), wake: make(chan struct{})}
	close(h.wake) // it never stops waking
	begun, steps := fake.Now(), 0
	ctx, stop := context.WithCancel(t.Context())
	h.lookOut(ctx, func(context.Context, time.Duration, func()) (time.Duration, error) {
		if steps++; steps == 122 {
			stop()
		}
		return 0, errors.New("the disk is full")
	})
	if cost := fake.Now().Sub(begun); cost != 121*time.Second {
		t.Errorf("122 broken steps took %v, want a second between each two", cost)
	}
	if n := strings.Count(log.String(), "the disk is full"); n != 3 {
		t.Errorf("said %d times in two minutes, want 3", n)
	}
}
