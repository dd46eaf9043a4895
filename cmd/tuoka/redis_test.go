package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/store"
)

// TestWithoutRedis: Redis goes away in the middle of a payment. Who is signed in pays, and every side's books are as they should be; nobody signs in.
// When it is back, and empty, everybody is served again without a restart of ours.
func TestWithoutRedis(t *testing.T) {
	redis := miniredis.RunT(t)
	p := makePremises(t, t.TempDir(), store.Config{}, config.Redis{Addr: redis.Addr()})
	p.work()
	for _, institution := range []string{"h1", "h2"} {
		t.Run(institution, func(t *testing.T) {
			one := p.patient(institution, 5)
			before, err := one.client.readBooks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p.steps(one, one.seeBill, one.quote)
			redis.Close()
			p.steps(one, one.payBill)
			one.agreed = one.order
			if one.order.State != "completed" {
				t.Errorf("without Redis the order ends %s", one.order.State)
			}
			signIn := p.signIn(institution)
			var problem struct {
				Code   string `json:"code"`
				Detail string `json:"detail"`
			}
			if err := json.Unmarshal(signIn.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			if signIn.Code != http.StatusServiceUnavailable || problem.Code != "LOGIN_UNAVAILABLE" || problem.Detail != "系统繁忙，请稍后再登录" ||
				signIn.Header().Get("Retry-After") == "" {
				t.Errorf("signing in without Redis: %d, Retry-After %q, %s", signIn.Code, signIn.Header().Get("Retry-After"), signIn.Body)
			}
			redis.FlushAll()
			if err := redis.Restart(); err != nil {
				t.Fatal(err)
			}
			back := clock.Real{}.Now()
			p.wait("signing in again", func() bool { return p.signIn(institution).Code != http.StatusServiceUnavailable })
			if took := (clock.Real{}).Now().Sub(back); took > 30*time.Second {
				t.Errorf("signing in again took %v", took)
			}
			p.look(one) // by the database, and into the cache anew
			if len(redis.Keys()) == 0 {
				t.Error("nothing is kept or counted again")
			}
			after, err := one.client.readBooks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r := compare([]*player{one}, before, after); len(r.findings) > 0 {
				t.Errorf("the books differ: %v", r.findings)
			}
		})
	}
}

// signIn signs in with a code that WeChat does not know.
func (p *premises) signIn(institution string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/sessions", strings.NewReader(`{"institution":"`+institution+`","code":"a-code-of-nobody"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	p.api.ServeHTTP(w, r)
	return w
}
