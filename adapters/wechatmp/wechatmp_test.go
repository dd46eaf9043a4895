package wechatmp

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/wechatmp/wechatmpsim"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

var update = flag.Bool("update", false, "renew the golden files")

const (
	appID      = "wx0123456789abcdef"
	appSecret  = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	partnerID  = "50012345"
	partnerKey = "9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d"
	// certificate has the characters that a careless encoder would change.
	certificate = "BqK/2kXb+o0Jn4Zr/7VtqE9YwLh3sUcM5iPfDgA1xT6vRz8QeWjNySkC0mHuOBl2"
)

// world is a client, its simulator, and everything that went over the wire.
type world struct {
	clock  *clock.Fake
	plan   *sandbox.Plan
	sim    *wechatmpsim.Sim
	client *Client
	wire   *recorder
	openID string
}

// recorder is a RoundTripper that keeps every exchange.
type recorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	log  bytes.Buffer
	urls []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.urls = append(r.urls, req.URL.Path)
	fmt.Fprintf(&r.log, "%s %s\n", req.Method, req.URL)
	names := make([]string, 0, len(req.Header))
	for name := range req.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&r.log, "%s: %s\n", name, req.Header.Get(name))
	}
	fmt.Fprintf(&r.log, "\n%s\n", body)
	res, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	fmt.Fprintf(&r.log, "< %d %s\n%s\n", res.StatusCode, res.Header.Get("Content-Type"), answer)
	return res, nil
}

func insurance() Insurance {
	return Insurance{QueryURL: "https://insurance.test/api", PartnerID: partnerID, PartnerSecret: sensitive.NewKey(partnerKey),
		CityCode: "360100", Channel: "AAGtestchannel0000000001", ChannelCert: certificate, OrgCode: "H36010000001",
		OrgAppID: "1GTEST00000000000000000000000001"}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clock.NewFake(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC))
	plan, err := sandbox.NewPlan(c, "")
	if err != nil {
		t.Fatal(err)
	}
	in := insurance()
	sim, err := wechatmpsim.New(wechatmpsim.Config{Clock: c, Source: clock.NewSeeded(c, 1, 7), Plan: plan,
		Apps:     []wechatmpsim.App{{ID: appID, Secret: sensitive.NewKey(appSecret)}},
		Partners: []wechatmpsim.Partner{{ID: partnerID, Secret: sensitive.NewKey(partnerKey)}},
		Institutions: []wechatmpsim.Institution{{AppID: appID, CityCode: in.CityCode, Channel: in.Channel, ChannelCert: in.ChannelCert,
			Code: in.OrgCode, OrgAppID: in.OrgAppID}}})
	if err != nil {
		t.Fatal(err)
	}
	u, err := sim.AddUser(wechatmpsim.User{ID: "zhang", Name: "张三丰", IDNumber: "360102199003074517", Phone: "13800138000",
		Longitude: "115.892151", Latitude: "28.676493",
		Relatives: []wechatmpsim.Relative{{FamilyID: "F1", Name: "张无忌", IDNumber: "360102201501011236"}}})
	if err != nil {
		t.Fatal(err)
	}
	wire := &recorder{next: sandbox.Transport(sim.Handler())}
	client, err := New(Config{AppID: appID, AppSecret: sensitive.NewKey(appSecret), Transport: wire, Clock: c,
		Source: clock.NewSeeded(c, 2, 8), Insurance: in})
	if err != nil {
		t.Fatal(err)
	}
	return &world{clock: c, plan: plan, sim: sim, client: client, wire: wire, openID: u.OpenIDs[appID]}
}

func (w *world) authCode(t *testing.T, extra string) string {
	t.Helper()
	code, err := w.sim.Authorise("zhang", appID, wechatmpsim.ParseJump(w.client.Jump().Path+extra))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func (w *world) loginCode(t *testing.T) string {
	t.Helper()
	code, err := w.sim.Login("zhang", appID)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func (w *world) phoneCode(t *testing.T) string {
	t.Helper()
	code, err := w.sim.PhoneCode("zhang", appID)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestWholeFlowOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	openID, err := w.client.Login(ctx, w.loginCode(t))
	if err != nil || openID.Reveal() != w.openID {
		t.Fatalf("Login() = %q, %v, want %q", openID.Reveal(), err, w.openID)
	}
	phone, err := w.client.Phone(ctx, w.phoneCode(t))
	if err != nil || phone.Reveal() != "13800138000" {
		t.Fatalf("Phone() = %q, %v", phone.Reveal(), err)
	}
	got, err := w.client.Identify(ctx, w.authCode(t, ""), openID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name.Reveal() != "张三丰" || got.IDNumber.Reveal() != "360102199003074517" || got.Location != "115.892151,28.676493" ||
		got.UsableFor != 10*time.Minute {
		t.Errorf("Identify() = %q %q %q %v", got.Name.Reveal(), got.IDNumber.Reveal(), got.Location, got.UsableFor)
	}
	number := got.PayAuthNo.Reveal()
	if !strings.HasPrefix(number, "AUTH") || len(number) > maxAuthNo {
		t.Errorf("pay_auth_no = %q", number)
	}
	id, until, ok := w.sim.Authorisation(number)
	if !ok || id != "360102199003074517" || !until.Equal(w.clock.Now().Add(10*time.Minute)) {
		t.Errorf("Authorisation() = %q %v %v", id, until, ok)
	}
	golden(t, "wire.golden", w.wire.log.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestJumpIsRaw(t *testing.T) {
	t.Parallel()
	in := insurance()
	in.SourceApp, in.EnvVersion = "hospital", "trial"
	c, err := New(Config{AppID: appID, AppSecret: sensitive.NewKey(appSecret), Transport: http.DefaultTransport, Clock: clock.Real{},
		Source: clock.NewSource(clock.Real{}, 0), Insurance: in})
	if err != nil {
		t.Fatal(err)
	}
	want := patient.Jump{AppID: "wxe183cd55df4b4369", EnvVersion: "trial", Path: "auth/pages/bindcard/auth/index?openType=getAuthCode" +
		"&bizType=04107&cityCode=360100&channel=AAGtestchannel0000000001&orgChnlCrtfCodg=" + certificate +
		"&orgCodg=H36010000001&orgAppId=1GTEST00000000000000000000000001&sourceapp=hospital"}
	if diff := cmp.Diff(want, c.Jump()); diff != "" {
		t.Errorf("Jump() (-want +got):\n%s", diff)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(*Config)
	}{
		{"no appid", func(c *Config) { c.AppID = "" }},
		{"no secret", func(c *Config) { c.AppSecret = sensitive.Key{} }},
		{"no transport", func(c *Config) { c.Transport = nil }},
		{"no clock", func(c *Config) { c.Clock = nil }},
		{"no source", func(c *Config) { c.Source = nil }},
		{"relative base", func(c *Config) { c.BaseURL = "api.test" }},
		{"base with query", func(c *Config) { c.BaseURL = "https://api.test/?a=b" }},
		{"base not a URL", func(c *Config) { c.BaseURL = "https://a b:x/" }},
		{"query URL with password", func(c *Config) { c.Insurance.QueryURL = "https://a:b@c/api" }},
		{"no partner", func(c *Config) { c.Insurance.PartnerID = "" }},
		{"partner with a slash", func(c *Config) { c.Insurance.PartnerID = "1/2" }},
		{"no partner secret", func(c *Config) { c.Insurance.PartnerSecret = sensitive.Key{} }},
		{"encoded certificate", func(c *Config) { c.Insurance.ChannelCert = "a%2Fb" }},
		{"certificate with an ampersand", func(c *Config) { c.Insurance.ChannelCert = "a&b" }},
		{"no channel", func(c *Config) { c.Insurance.Channel = "" }},
		{"institution without H", func(c *Config) { c.Insurance.OrgCode = "36010000001" }},
		{"unknown env", func(c *Config) { c.Insurance.EnvVersion = "develop" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{AppID: appID, AppSecret: sensitive.NewKey(appSecret), Transport: http.DefaultTransport, Clock: clock.Real{},
				Source: clock.NewSource(clock.Real{}, 0), Insurance: insurance()}
			tt.edit(&cfg)
			if _, err := New(cfg); err == nil || strings.Contains(err.Error(), appSecret) {
				t.Errorf("New() = %v, want an error without the secret", err)
			}
		})
	}
}

func TestNotConnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.client.cfg
	cfg.Insurance = Insurance{}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if c.Jump() != (patient.Jump{}) {
		t.Errorf("Jump() = %v, want zero", c.Jump())
	}
	if _, err := c.Identify(context.Background(), "x", sensitive.NewOpenID(w.openID)); !errors.Is(err, ErrSetup) {
		t.Errorf("Identify() = %v, want ErrSetup", err)
	}
}

// fixed answers every request with the same text.
type fixed struct {
	status int
	body   string
	err    error
}

func (f fixed) RoundTrip(*http.Request) (*http.Response, error) {
	if f.err != nil {
		return nil, f.err
	}
	return &http.Response{StatusCode: f.status, Header: http.Header{"Location": {"https://elsewhere.test/"}},
		Body: io.NopCloser(strings.NewReader(f.body))}, nil
}

func clientOn(t *testing.T, rt http.RoundTripper) *Client {
	t.Helper()
	c := clock.NewFake(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC))
	in := insurance()
	in.BusyCodes = []string{"7"}
	client, err := New(Config{AppID: appID, AppSecret: sensitive.NewKey(appSecret), Transport: rt, Clock: c,
		Source: clock.NewSeeded(c, 2, 8), Insurance: in})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestReturnCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code         int
		login, phone error
		kind         fault.Kind // of login
	}{
		{-1, patient.ErrBusy, patient.ErrBusy, fault.Unavailable},
		{40029, patient.ErrLoginCode, patient.ErrPhone, fault.Unauthenticated},
		{40163, patient.ErrLoginCode, patient.ErrPhone, fault.Unauthenticated},
		{40226, patient.ErrLoginBlocked, patient.ErrLoginBlocked, fault.Forbidden},
		{45011, ErrLimited, ErrLimited, fault.Limited},
		{40013, ErrSetup, ErrSetup, fault.Internal},
		{40125, ErrSetup, ErrSetup, fault.Internal},
		{40164, ErrSetup, ErrSetup, fault.Internal},
		{45009, ErrSetup, ErrSetup, fault.Internal},
		{48001, ErrSetup, ErrSetup, fault.Internal},
		{1400001, ErrSetup, ErrSetup, fault.Internal},
		{99999, patient.ErrBusy, patient.ErrBusy, fault.Unavailable},
	} {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			t.Parallel()
			body := fmt.Sprintf(`{"errcode":%d,"errmsg":"about %s"}`, tt.code, appSecret)
			_, login := clientOn(t, fixed{status: 200, body: body}).Login(context.Background(), "c")
			_, phone := readPhone([]byte(body), appID)
			if !errors.Is(login, tt.login) || fault.KindOf(login) != tt.kind || !errors.Is(phone, tt.phone) {
				t.Errorf("login %v (%v), phone %v; want %v (%v), %v", login, fault.KindOf(login), phone, tt.login, tt.kind, tt.phone)
			}
			if strings.Contains(login.Error()+phone.Error(), "about") {
				t.Errorf("errmsg came through: %v, %v", login, phone)
			}
		})
	}
}

func TestNoAnswerIsBusyAndKeepsSecrets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		rt   http.RoundTripper
	}{
		{"broken connection", fixed{err: sandbox.ErrBroken}},
		{"deadline", fixed{err: context.DeadlineExceeded}},
		{"bad gateway", fixed{status: 502, body: "<html>"}},
		{"redirect", fixed{status: 302}},
		{"html", fixed{status: 200, body: "<html>" + appSecret}},
		{"empty", fixed{status: 200}},
		{"empty object", fixed{status: 200, body: "{}"}},
		{"wrong types", fixed{status: 200, body: `{"errcode":"` + appSecret + `","openid":5,"code":{}}`}},
		{"too large", fixed{status: 200, body: `{"openid":"` + strings.Repeat("x", maxAnswer) + `"}`}},
		{"openid too long", fixed{status: 200, body: `{"openid":"` + strings.Repeat("x", 129) + `","access_token":"t","expires_in":-1}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			c := clientOn(t, tt.rt)
			_, login := c.Login(ctx, "code-in-the-url")
			_, phone := c.Phone(ctx, "code-in-the-url")
			_, identity := c.Identify(ctx, "auth-code", sensitive.NewOpenID("o-secret"))
			for call, err := range map[string]error{"Login": login, "Phone": phone, "Identify": identity} {
				if !errors.Is(err, patient.ErrBusy) || fault.KindOf(err) != fault.Unavailable {
					t.Errorf("%s() = %v, want ErrBusy", call, err)
					continue
				}
				for e := err; e != nil; e = errors.Unwrap(e) {
					text := fmt.Sprintf("%v %+v %#v", e, e, e)
					for _, secret := range []string{appSecret, partnerKey, "code-in-the-url", "auth-code", "o-secret", "secret=", "api.weixin"} {
						if strings.Contains(text, secret) {
							t.Errorf("%s(): %q shows %q", call, text, secret)
						}
					}
				}
			}
		})
	}
}

func TestEmptyCodesAreNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	long := strings.Repeat("x", maxCode+1)
	for _, code := range []string{"", long} {
		if _, err := w.client.Login(ctx, code); !errors.Is(err, patient.ErrLoginCode) {
			t.Errorf("Login() = %v", err)
		}
		if _, err := w.client.Phone(ctx, code); !errors.Is(err, patient.ErrPhone) {
			t.Errorf("Phone() = %v", err)
		}
		if _, err := w.client.Identify(ctx, code, sensitive.NewOpenID("o")); !errors.Is(err, patient.ErrAuthCode) {
			t.Errorf("Identify() = %v", err)
		}
	}
	if _, err := w.client.Identify(ctx, "x", sensitive.OpenID{}); !errors.Is(err, patient.ErrAuthCode) {
		t.Errorf("Identify() without openid = %v", err)
	}
	if len(w.wire.urls) != 0 {
		t.Errorf("sent %v", w.wire.urls)
	}
}

// sequence answers with each text in turn, the last one for ever.
type sequence struct {
	mu      sync.Mutex
	answers []string
	asked   []string
}

func (s *sequence) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	answer := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return fixed{status: 200, body: answer}.RoundTrip(r)
}

func TestBusyLoginIsAskedOnceMore(t *testing.T) {
	t.Parallel()
	s := &sequence{answers: []string{`{"errcode":-1}`, `{"openid":"o1"}`}}
	got, err := clientOn(t, s).Login(context.Background(), "c")
	if err != nil || got.Reveal() != "o1" || len(s.asked) != 2 {
		t.Errorf("Login() = %q, %v after %d calls", got.Reveal(), err, len(s.asked))
	}
	s = &sequence{answers: []string{`{"errcode":-1}`}}
	if _, err = clientOn(t, s).Login(context.Background(), "c"); !errors.Is(err, patient.ErrBusy) || len(s.asked) != 2 {
		t.Errorf("Login() = %v after %d calls, want ErrBusy after 2", err, len(s.asked))
	}
}

const phoneOK = `{"errcode":0,"phone_info":{"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":"86","watermark":{"appid":"` +
	appID + `"}}}`

func TestReadPhone(t *testing.T) {
	t.Parallel()
	mark := `,"watermark":{"appid":"` + appID + `"}}}`
	for _, tt := range []struct {
		name, answer, want string
		err                error
	}{
		{"mainland", phoneOK, "13800138000", nil},
		{"abroad", `{"phone_info":{"phoneNumber":"85212345678","purePhoneNumber":"12345678","countryCode":"852"` + mark, "85212345678", nil},
		{"other appid", `{"phone_info":{"phoneNumber":"13800138000","countryCode":"86","watermark":{"appid":"wx"}}}`, "", patient.ErrPhone},
		{"letters", `{"phone_info":{"phoneNumber":"1380013800x"` + mark, "", patient.ErrBusy},
		{"nothing", `{"phone_info":{"countryCode":"86"` + mark, "", patient.ErrBusy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := readPhone([]byte(tt.answer), appID)
			if got.Reveal() != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("readPhone() = %q, %v, want %q, %v", got.Reveal(), err, tt.want, tt.err)
			}
		})
	}
}
