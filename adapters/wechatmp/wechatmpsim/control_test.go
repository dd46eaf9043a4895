package wechatmpsim

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
)

func TestControl(t *testing.T) {
	t.Parallel()
	c := clock.NewFake(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC))
	plan, err := sandbox.NewPlan(c, "")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(cfg *Config) { cfg.Plan = plan })
	ctl := b.sim.Control()
	object, err := json.Marshal(ParseJump(jumpText))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		member                   string
	}{
		{"users", "GET", "/users", "", 200, ""},
		{"add", "POST", "/users", `{"id":"li","name":"李四","id_number":"` + childID + `","phone":"13900139000"}`, 200, "openids"},
		{"add badly", "POST", "/users", `{"id":"li"}`, 409, "error"},
		{"no JSON", "POST", "/users", `{`, 400, "error"},
		{"login", "POST", "/login", `{"user":"li","appid":"` + app1 + `"}`, 200, "code"},
		{"login of nobody", "POST", "/login", `{"user":"x","appid":"` + app1 + `"}`, 404, "error"},
		{"phone", "POST", "/phone-code", `{"user":"li","appid":"` + app1 + `"}`, 200, "code"},
		{"authorise, text", "POST", "/authorise", `{"user":"li","appid":"` + app1 + `","query":"p?` + jumpText + `"}`, 200, "authCode"},
		{"authorise, object", "POST", "/authorise", `{"user":"li","appid":"` + app1 + `","query":` + string(object) + `}`, 200, "authCode"},
		{"authorise wrongly", "POST", "/authorise", `{"user":"li","appid":"` + app1 + `","query":""}`, 409, "error"},
		{"authorise, number", "POST", "/authorise", `{"query":5}`, 400, "error"},
		{"drop tokens", "POST", "/drop-tokens", `{"appid":"` + app1 + `"}`, 200, ""},
		{"truth", "GET", "/truth", "", 200, "authorised"},
		{"set faults", "PUT", "/faults", `{"level":"mild","seed":9}`, 200, "level"},
		{"set no faults", "PUT", "/faults", `{"level":"wild"}`, 409, "error"},
		{"faults, no JSON", "PUT", "/faults", ``, 400, "error"},
		{"script", "POST", "/faults/script", `{"op":"stable_token","fault":"lose_before","times":1}`, 200, "op"},
		{"script, no JSON", "POST", "/faults/script", ``, 400, "error"},
		{"faults", "GET", "/faults", "", 200, "injected"},
	} {
		status, out := b.callOn(ctl, tt.method, tt.path, tt.body)
		if _, ok := out[tt.member]; status != tt.status || (tt.member != "" && !ok) {
			t.Errorf("%s: %d %v, want %d with %q", tt.name, status, out, tt.status, tt.member)
		}
	}
	_, out := b.callOn(ctl, "GET", "/faults", "")
	if out["level"] != "mild" || number(out["seed"]) != 9 {
		t.Errorf("faults %v", out)
	}
	bare := newBench(t).sim.Control()
	for _, call := range [][2]string{{"PUT", "/faults"}, {"POST", "/faults/script"}} {
		if status, _ := b.callOn(bare, call[0], call[1], `{}`); status != 409 {
			t.Errorf("%s without a plan: %d", call, status)
		}
	}
	if _, out := b.callOn(bare, "GET", "/faults", ""); out["level"] != "none" {
		t.Errorf("faults without a plan: %v", out)
	}
}

func TestCallsAreNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	open := b.sim.Users()[0].OpenIDs[app1]
	login := b.must(b.sim.Login("zhang", app1))
	phone := b.must(b.sim.PhoneCode("zhang", app1))
	for _, tt := range []struct {
		target, body string
		want         sandbox.Call
	}{
		{sessionURL(app1, secret1, login), "", sandbox.Call{Op: "jscode2session", Key: open}},
		{sessionURL(app1, secret1, "x"), "", sandbox.Call{Op: "jscode2session"}},
		{"/cgi-bin/stable_token", "", sandbox.Call{Op: "stable_token"}},
		{"/wxa/business/getuserphonenumber", `{"code":"` + phone + `"}`, sandbox.Call{Op: "getuserphonenumber", Key: open}},
		{"/api/mipuserquery/userQuery/1", `{"openid":"o1"}`, sandbox.Call{Op: "userQuery", Key: "o1", Refusable: true}},
	} {
		got := b.sim.name(httptest.NewRequest("POST", tt.target, nil), []byte(tt.body))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.target, diff)
		}
	}
}

// FuzzRequests sends any body to every interface: none panics and every answer is JSON.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{`{"code":"x"}`, `{"grant_type":"client_credential"}`, `{"qrcode":"a","openid":"b"}`, `[`, ``} {
		f.Add(seed, jumpText)
	}
	c := clock.NewFake(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC))
	sim, err := New(config(c))
	if err != nil {
		f.Fatal(err)
	}
	api, ctl := sim.Handler(), sim.Control()
	f.Fuzz(func(t *testing.T, body, jump string) {
		for _, target := range []string{"/cgi-bin/stable_token", "/wxa/business/getuserphonenumber?access_token=x", "/api/mipuserquery/userQuery/" + partner} {
			r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
			r.Header = http.Header{}
			h := signed(partner, partnerKey, c.Now())
			for i := 0; i < len(h); i += 2 {
				r.Header.Set(h[i], h[i+1])
			}
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			if w.Code != 200 || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %d %s", target, w.Code, w.Body)
			}
		}
		w := httptest.NewRecorder()
		ctl.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/authorise", strings.NewReader(body)))
		if w.Code == http.StatusOK {
			t.Error("an unknown user authorised")
		}
		ParseJump(jump)
	})
}
