package wechatmpsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sensitive"
)

const (
	app1, app2 = "wx0000000000000001", "wx0000000000000002"
	secret1    = "secret-of-one"
	partner    = "50012345"
	partnerKey = "partner-secret"
	zhangID    = "360102199003074517"
	childID    = "360102201501011236"
	jumpText   = "openType=getAuthCode&bizType=04107&cityCode=360100&channel=CH&orgChnlCrtfCodg=a/b+c==&orgCodg=H1&orgAppId=ORG"
)

func config(c clock.Clock) Config {
	return Config{Clock: c, Source: clock.NewSeeded(c, 1, 1),
		Apps:         []App{{app1, sensitive.NewKey(secret1)}, {app2, sensitive.NewKey("secret-of-two")}},
		Partners:     []Partner{{partner, sensitive.NewKey(partnerKey)}},
		Institutions: []Institution{{AppID: app1, CityCode: "360100", Channel: "CH", ChannelCert: "a/b+c==", Code: "H1", OrgAppID: "ORG"}}}
}

func zhang() User {
	return User{ID: "zhang", Name: "张三丰", IDNumber: zhangID, Phone: "13800138000", Longitude: "115.8", Latitude: "28.6",
		Relatives: []Relative{{FamilyID: "F1", Name: "张小宝", IDNumber: childID}}}
}

// bench is a simulator with one user, and the means to talk to it.
type bench struct {
	t     *testing.T
	clock *clock.Fake
	sim   *Sim
	api   http.Handler
}

func newBench(t *testing.T, edit ...func(*Config)) *bench {
	t.Helper()
	c := clock.NewFake(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC))
	cfg := config(c)
	for _, e := range edit {
		e(&cfg)
	}
	sim, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.AddUser(zhang()); err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, clock: c, sim: sim, api: sim.Handler()}
}

func (b *bench) call(method, target, body string, header ...string) (int, map[string]any) {
	b.t.Helper()
	return b.callOn(b.api, method, target, body, header...)
}

func (b *bench) callOn(h http.Handler, method, target, body string, header ...string) (int, map[string]any) {
	b.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var out map[string]any
	text := w.Body.String()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&out); err != nil && strings.HasPrefix(text, "{") {
		b.t.Fatalf("%s: %v", text, err)
	}
	return w.Code, out
}

func errcode(out map[string]any) int { return number(out["errcode"]) }

// number is a JSON number, 0 if there is none.
func number(v any) int {
	text, _ := v.(json.Number)
	n, _ := strconv.Atoi(text.String())
	return n
}

func (b *bench) must(value string, err error) string {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

func sessionURL(app, secret, code string) string {
	return "/sns/jscode2session?" + url.Values{"appid": {app}, "secret": {secret}, "js_code": {code},
		"grant_type": {"authorization_code"}}.Encode()
}

func TestSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	code := b.must(b.sim.Login("zhang", app1))
	for _, tt := range []struct {
		name, method, target string
		want                 int
	}{
		{"by POST", http.MethodPost, sessionURL(app1, secret1, code), 43001},
		{"no appid", http.MethodGet, sessionURL("", secret1, code), 41002},
		{"unknown appid", http.MethodGet, sessionURL("wx", secret1, code), 40013},
		{"no secret", http.MethodGet, sessionURL(app1, "", code), 41004},
		{"wrong secret", http.MethodGet, sessionURL(app1, "x", code), 40125},
		{"no grant type", http.MethodGet, "/sns/jscode2session?appid=" + app1 + "&secret=" + secret1 + "&js_code=" + code, 40002},
		{"no code", http.MethodGet, sessionURL(app1, secret1, ""), 41008},
		{"unknown code", http.MethodGet, sessionURL(app1, secret1, "x"), 40029},
		{"code of another app", http.MethodGet, sessionURL(app2, "secret-of-two", code), 40029},
		{"phone code", http.MethodGet, sessionURL(app1, secret1, b.must(b.sim.PhoneCode("zhang", app1))), 40029},
		{"right", http.MethodGet, sessionURL(app1, secret1, code), 0},
		{"used", http.MethodGet, sessionURL(app1, secret1, code), 40163},
	} {
		status, out := b.call(tt.method, tt.target, "")
		if status != 200 || errcode(out) != tt.want {
			t.Errorf("%s: %d %v, want errcode %d", tt.name, status, out, tt.want)
		}
		if tt.want == 0 && (out["openid"] != b.sim.Users()[0].OpenIDs[app1] || out["session_key"] == "") {
			t.Errorf("%s: %v", tt.name, out)
		}
	}
	late := b.must(b.sim.Login("zhang", app1))
	b.clock.Advance(5*time.Minute + time.Second)
	if _, out := b.call(http.MethodGet, sessionURL(app1, secret1, late), ""); errcode(out) != 40029 {
		t.Errorf("expired code: %v, want 40029", out)
	}
}

func TestBlockedUserAndPace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	risky := zhang()
	risky.ID, risky.Blocked = "risky", true
	if _, err := b.sim.AddUser(risky); err != nil {
		t.Fatal(err)
	}
	if _, out := b.call(http.MethodGet, sessionURL(app1, secret1, b.must(b.sim.Login("risky", app1))), ""); errcode(out) != 40226 {
		t.Errorf("blocked user: %v, want 40226", out)
	}
	for i := range perMinute + 1 {
		_, out := b.call(http.MethodGet, sessionURL(app1, secret1, b.must(b.sim.Login("zhang", app1))), "")
		if want := map[bool]int{true: 45011}[i == perMinute]; errcode(out) != want {
			t.Fatalf("login %d: %v, want errcode %d", i+1, out, want)
		}
	}
	b.clock.Advance(time.Minute)
	if _, out := b.call(http.MethodGet, sessionURL(app1, secret1, b.must(b.sim.Login("zhang", app1))), ""); errcode(out) != 0 {
		t.Errorf("a minute later: %v", out)
	}
}

func (b *bench) token(force bool) (string, int) {
	b.t.Helper()
	body := fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q,"force_refresh":%t}`, app1, secret1, force)
	_, out := b.call(http.MethodPost, "/cgi-bin/stable_token", body)
	value, _ := out["access_token"].(string)
	if value == "" {
		return fmt.Sprint(errcode(out)), 0
	}
	return value, number(out["expires_in"])
}

func TestStableToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for body, want := range map[string]int{
		`x`: 47001, `{"grant_type":"other"}`: 40002, `{"grant_type":"client_credential"}`: 41002,
		`{"grant_type":"client_credential","appid":"` + app1 + `","secret":"x"}`: 40125,
	} {
		if _, out := b.call(http.MethodPost, "/cgi-bin/stable_token", body); errcode(out) != want {
			t.Errorf("%s: %v, want %d", body, out, want)
		}
	}
	if _, out := b.call(http.MethodGet, "/cgi-bin/stable_token", ""); errcode(out) != 43002 {
		t.Errorf("GET: %v, want 43002", out)
	}
	first, life := b.token(false)
	if life != 7200 {
		t.Errorf("first token lives %d s", life)
	}
	b.clock.Advance(tokenLife - tokenOverlap)
	if same, left := b.token(false); same != first || left != 300 {
		t.Errorf("five minutes before the end: same %t, %d s left; want the same one, 300", same == first, left)
	}
	b.clock.Advance(time.Second)
	second, _ := b.token(false)
	if second == first {
		t.Error("within the last five minutes there is no new token")
	}
	for name, tok := range map[string]string{"old": first, "new": second} {
		if got := b.phone(tok, "x"); got != 40029 {
			t.Errorf("%s token in the overlap: errcode %d, want 40029", name, got)
		}
	}
	b.clock.Advance(tokenOverlap)
	if got := b.phone(first, "x"); got != 42001 {
		t.Errorf("old token after its end: errcode %d, want 42001", got)
	}
	third, _ := b.token(true)
	if got := b.phone(second, "x"); got != 40001 || third == second {
		t.Errorf("token before a forced refresh: errcode %d, want 40001", got)
	}
	if again, _ := b.token(true); again != third {
		t.Error("forced twice within 30 s: refreshed")
	}
	for range forcePerDay - 1 {
		b.clock.Advance(forceApart)
		if value, life := b.token(true); life == 0 {
			t.Fatalf("forced refresh refused: %s", value)
		}
	}
	b.clock.Advance(forceApart)
	if value, _ := b.token(true); value != "45009" {
		t.Errorf("forced refresh 21: %s, want 45009", value)
	}
	if err := b.sim.DropTokens(app1); err != nil {
		t.Fatal(err)
	}
	if err := b.sim.DropTokens("wx"); !errors.Is(err, ErrNoApp) {
		t.Errorf("DropTokens() of an unknown app = %v", err)
	}
}

func (b *bench) phone(token, code string) int {
	b.t.Helper()
	_, out := b.call(http.MethodPost, "/wxa/business/getuserphonenumber?access_token="+token, `{"code":"`+code+`"}`)
	return errcode(out)
}

func TestPhoneNumber(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tok, _ := b.token(false)
	code := b.must(b.sim.PhoneCode("zhang", app1))
	for _, tt := range []struct {
		name, token, code string
		want              int
	}{
		{"no token", "", code, 41001},
		{"unknown token", "x", code, 40001},
		{"no code", tok, "", 41008},
		{"login code", tok, b.must(b.sim.Login("zhang", app1)), 40029},
		{"right", tok, code, 0},
		{"used", tok, code, 40163},
	} {
		if got := b.phone(tt.token, tt.code); got != tt.want {
			t.Errorf("%s: errcode %d, want %d", tt.name, got, tt.want)
		}
	}
	if _, out := b.call(http.MethodPost, "/wxa/business/getuserphonenumber?access_token="+tok, `x`); errcode(out) != 47001 {
		t.Errorf("no JSON: %v, want 47001", out)
	}
	for i := range perMinute {
		want := 0
		if i == perMinute-1 {
			want = 45011
		}
		if got := b.phone(tok, b.must(b.sim.PhoneCode("zhang", app1))); got != want {
			t.Fatalf("call %d: errcode %d, want %d", i+2, got, want)
		}
	}
	silent := zhang()
	silent.ID, silent.Phone = "silent", ""
	if _, err := b.sim.AddUser(silent); err != nil {
		t.Fatal(err)
	}
	if _, err := b.sim.PhoneCode("silent", app1); !errors.Is(err, ErrNoPhone) {
		t.Errorf("PhoneCode() = %v, want ErrNoPhone", err)
	}
}

func TestAddUserRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, edit := range map[string]func(*User){
		"no id":             func(u *User) { u.ID = "" },
		"no name":           func(u *User) { u.Name = " " },
		"wrong check digit": func(u *User) { u.IDNumber = "360102199003074511" },
		"short phone":       func(u *User) { u.Phone = "1380013800" },
		"relative, no id":   func(u *User) { u.Relatives = []Relative{{Name: "张小宝", IDNumber: childID}} },
		"relative, no name": func(u *User) { u.Relatives = []Relative{{FamilyID: "F", Name: " ", IDNumber: childID}} },
		"relative, number":  func(u *User) { u.Relatives = []Relative{{FamilyID: "F", Name: "张小宝", IDNumber: "1"}} },
		"relative, himself": func(u *User) { u.Relatives = []Relative{{FamilyID: "F", Name: "张三丰", IDNumber: zhangID}} },
		"relatives, one id": func(u *User) { u.Relatives = append(u.Relatives, u.Relatives[0]) },
		"another's openid":  func(u *User) { u.ID, u.OpenIDs = "li", map[string]string{app2: b.sim.Users()[0].OpenIDs[app2]} },
	} {
		u := zhang()
		edit(&u)
		if _, err := b.sim.AddUser(u); !errors.Is(err, ErrBadUser) {
			t.Errorf("%s: %v, want ErrBadUser", name, err)
		}
	}
	before := b.sim.Users()[0].OpenIDs
	u := zhang()
	u.Name = "张君宝"
	u.OpenIDs = map[string]string{app1: "oOther"}
	got, err := b.sim.AddUser(u)
	if diff := cmp.Diff(before, got.OpenIDs); err != nil || diff != "" || got.Name != "张君宝" {
		t.Errorf("added again: %v, %q, openids (-want +got):\n%s", err, got.Name, diff)
	}
}

func TestJournalSurvivesAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "wechatmp.jsonl")
	b := newBench(t, func(c *Config) { c.Journal = path })
	spent := b.must(b.sim.Login("zhang", app1))
	b.call(http.MethodGet, sessionURL(app1, secret1, spent), "")
	fresh := b.must(b.sim.Login("zhang", app1))
	tok, _ := b.token(true)
	open := b.sim.Users()[0].OpenIDs[app1]
	_, out := b.query(b.must(b.sim.Authorise("zhang", app1, ParseJump(jumpText))), open, signed(partner, partnerKey, b.clock.Now())...)
	payAuth, _ := out["pay_auth_no"].(string)

	// The first one is not closed: it was killed.
	cfg := config(b.clock)
	cfg.Journal = path
	again, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.sim.Users(), again.Users()); diff != "" {
		t.Errorf("users (-before +after):\n%s", diff)
	}
	if again.Truth() != b.sim.Truth() {
		t.Errorf("truth %v, before %v", again.Truth(), b.sim.Truth())
	}
	if id, _, ok := again.Authorisation(payAuth); !ok || id != zhangID {
		t.Errorf("authorisation lost: %q %v", id, ok)
	}
	b.sim, b.api = again, again.Handler()
	for code, want := range map[string]int{spent: 40163, fresh: 0} {
		if _, out := b.call(http.MethodGet, sessionURL(app1, secret1, code), ""); errcode(out) != want {
			t.Errorf("code after the kill: %v, want %d", out, want)
		}
	}
	if same, _ := b.token(false); same != tok {
		t.Error("the token changed")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, out := b.call(http.MethodGet, sessionURL(app1, secret1, "x"), ""); errcode(out) != 40029 {
		t.Errorf("reading needs no journal: %v", out)
	}
	if _, err := again.Login("zhang", app1); err == nil {
		t.Error("a code was given out though it could not be written")
	}
	if _, out := b.call(http.MethodPost, "/cgi-bin/stable_token",
		`{"grant_type":"client_credential","appid":"`+app1+`","secret":"`+secret1+`","force_refresh":false}`); out["access_token"] != tok {
		t.Errorf("the old token needs no journal: %v", out)
	}
	b.clock.Advance(2 * time.Hour)
	if got, _ := b.token(false); got != "-1" {
		t.Errorf("a token that cannot be written: %s, want -1", got)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Config){
		"no clock":            func(c *Config) { c.Clock = nil },
		"app without secret":  func(c *Config) { c.Apps[0].Secret = sensitive.Key{} },
		"partner without id":  func(c *Config) { c.Partners[0].ID = "" },
		"institution, no app": func(c *Config) { c.Institutions[0].AppID = "wx" },
		"institution, no H":   func(c *Config) { c.Institutions[0].Code = "1" },
		"institution twice":   func(c *Config) { c.Institutions = append(c.Institutions, c.Institutions[0]) },
		"app twice":           func(c *Config) { c.Apps = append(c.Apps, c.Apps[0]) },
		"journal is a folder": func(c *Config) { c.Journal = t.TempDir() },
	} {
		cfg := config(clock.Real{})
		edit(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDeadCodesAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range crowd {
		b.must(b.sim.Login("zhang", app1))
	}
	b.clock.Advance(codeLife + time.Second)
	b.must(b.sim.Login("zhang", app1))
	if n := len(b.sim.codes); n != 1 {
		t.Errorf("%d codes kept, want 1", n)
	}
}

func TestAppAddedLater(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	b := newBench(t, func(c *Config) { c.Journal, c.Apps, c.Institutions = path, c.Apps[1:], nil })
	b.must(b.sim.Login("zhang", "")) // the only app
	cfg := config(b.clock)
	cfg.Journal = path
	sim, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.must(sim.Login("zhang", app1))
	if sim.Users()[0].OpenIDs[app1] == "" || sim.Users()[0].OpenIDs[app2] != b.sim.Users()[0].OpenIDs[app2] {
		t.Errorf("openids %v", sim.Users()[0].OpenIDs)
	}
}
