// Package wechatmp speaks for one institution's mini program with the WeChat server API (code2Session, stable token, phone number)
// and with the authorisation service of the national insurance mini program (userQuery). It implements patient.WeChat.
//
// Facts: reference wechat-pay.md §4 and wechat-med-ins.md a.2–a.4. No call here moves money. A lost answer costs at most a one-time
// code, of which the phone makes a new one for nothing; so no answer is patient.ErrBusy (Unavailable), not Unknown.
package wechatmp

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Faults beside those of package patient.
var (
	// ErrLimited is WeChat's limit per user (45011).
	ErrLimited = fault.New(fault.Limited, "WECHAT_LIMITED", "操作太频繁，请稍后再试")
	// ErrSetup is an account, a secret, a permission or a quota that is wrong: an alarm for the operator, not the patient's affair.
	ErrSetup = fault.New(fault.Internal, "WECHAT_SETUP", "系统繁忙，请稍后再试")
)

// Config is one mini program's account.
type Config struct {
	AppID     string
	AppSecret sensitive.Key
	Transport http.RoundTripper
	Clock     clock.Clock
	Source    *clock.Source

	BaseURL   string        // of the server API; empty: WeChat's own
	Timeout   time.Duration // of one call; zero: 5 s
	Insurance Insurance     // zero: Identify is refused, Jump is empty
}

// Insurance is what the jump to the national insurance mini program and the exchange of its authCode need. Everything is issued
// by the local insurer and by Tencent when the hospital is connected.
type Insurance struct {
	QueryURL      string // base of userQuery, ends in /api; the production host is told to the hospital and is not published
	PartnerID     string
	PartnerSecret sensitive.Key
	BusyCodes     []string // codes of userQuery that mean "not now"; none are published

	TargetAppID string // empty: the national mini program
	TargetPath  string // empty: its authorisation page
	EnvVersion  string // release or trial; empty: release
	CityCode    string // cityCode
	Channel     string // channel 渠道号
	ChannelCert string // orgChnlCrtfCodg 机构渠道认证编码; goes out raw, slashes and all
	OrgCode     string // orgCodg 定点机构编码, begins with H
	OrgAppID    string // orgAppId 机构应用ID
	SourceApp   string // sourceapp, where the city wants it

	UsableFor time.Duration // life of a pay_auth_no; zero: 10 minutes
}

// What WeChat and the national mini program are called when the configuration says nothing else.
const (
	wechatURL      = "https://api.weixin.qq.com"
	nationalAppID  = "wxe183cd55df4b4369"
	nationalPath   = "auth/pages/bindcard/auth/index"
	defaultTimeout = 5 * time.Second
	defaultLife    = 10 * time.Minute
)

// Client is one mini program. Safe for several goroutines.
type Client struct {
	cfg      Config
	http     *http.Client
	base     string
	queryURL string // with the partner id; empty: not connected
	jump     patient.Jump

	mu     sync.Mutex
	token  accessToken
	asking *asking
}

var _ patient.WeChat = (*Client)(nil)

// New checks the configuration and makes the client. It calls nobody.
func New(cfg Config) (*Client, error) {
	if cfg.AppID == "" || cfg.AppSecret.IsZero() {
		return nil, errors.New("wechatmp: appid and secret are required")
	}
	if cfg.Transport == nil || cfg.Clock == nil || cfg.Source == nil {
		return nil, errors.New("wechatmp: transport, clock and source are required")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Insurance.UsableFor <= 0 {
		cfg.Insurance.UsableFor = defaultLife
	}
	base, err := baseURL(orElse(cfg.BaseURL, wechatURL))
	if err != nil {
		return nil, fmt.Errorf("wechatmp: base URL: %w", err)
	}
	c := &Client{cfg: cfg, base: base, http: &http.Client{
		Transport: cfg.Transport,
		// A redirect would carry the secret of the query to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if cfg.Insurance.QueryURL == "" {
		return c, nil
	}
	return c, c.connect(cfg.Insurance)
}

// connect prepares the insurance side.
func (c *Client) connect(in Insurance) error {
	base, err := baseURL(in.QueryURL)
	if err != nil {
		return fmt.Errorf("wechatmp: user query URL: %w", err)
	}
	if in.PartnerID == "" || in.PartnerID != url.PathEscape(in.PartnerID) || in.PartnerSecret.IsZero() {
		return errors.New("wechatmp: partner id and secret are required")
	}
	c.queryURL = base + "/mipuserquery/userQuery/" + in.PartnerID
	query, err := jumpQuery(in)
	if err != nil {
		return err
	}
	env := orElse(in.EnvVersion, "release")
	if env != "release" && env != "trial" {
		return fmt.Errorf("wechatmp: env version %q is neither release nor trial", env)
	}
	c.jump = patient.Jump{
		AppID:      orElse(in.TargetAppID, nationalAppID),
		Path:       orElse(in.TargetPath, nationalPath) + "?" + query,
		EnvVersion: env,
	}
	return nil
}

// jumpQuery joins the parameters without any encoding: the target page decodes nothing and refuses %2F (a.3).
func jumpQuery(in Insurance) (string, error) {
	if !strings.HasPrefix(in.OrgCode, "H") {
		return "", errors.New("wechatmp: the institution code begins with H")
	}
	pairs := make([]string, 0, 8)
	for _, p := range []struct {
		name, value string
		optional    bool
	}{
		{name: "openType", value: "getAuthCode"},
		{name: "bizType", value: "04107"}, // 线上核验业务类型
		{name: "cityCode", value: in.CityCode},
		{name: "channel", value: in.Channel},
		{name: "orgChnlCrtfCodg", value: in.ChannelCert},
		{name: "orgCodg", value: in.OrgCode},
		{name: "orgAppId", value: in.OrgAppID},
		{name: "sourceapp", value: in.SourceApp, optional: true},
	} {
		if p.value == "" && p.optional {
			continue
		}
		if p.value == "" || strings.ContainsFunc(p.value, spoilsQuery) {
			return "", fmt.Errorf("wechatmp: %s is empty, encoded, or has a character that ends a query value", p.name)
		}
		pairs = append(pairs, p.name+"="+p.value)
	}
	return strings.Join(pairs, "&"), nil
}

func spoilsQuery(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("&?#%", r) }

func baseURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("wants scheme, host and path only")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func orElse(value, standard string) string {
	if value == "" {
		return standard
	}
	return value
}

// Jump is where the page sends the patient to authorise; zero when the institution is not connected.
func (c *Client) Jump() patient.Jump { return c.jump }
