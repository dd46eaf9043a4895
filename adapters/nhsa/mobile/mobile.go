// Package mobile speaks to the mobile-payment centre (医保移动支付中心, transactions 6201, 6202, 6203, 6301, 6401 and the notice 6302) for one
// hospital. It implements settlement.Centre.
//
// The official document is not public: the wire follows public implementations (nhsa-mobile-pay.md), and everything they leave open is a field
// of Config with the safe default. An answer counts only when its signature was verified; a failure answer has none and proves nothing.
package mobile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// What the centre says, or fails to say.
var (
	// ErrRefused is a failure answer to 6201 or 6202, or a verified FAIL of 6203; Msg is the centre's own text, cleaned.
	ErrRefused = fault.New(fault.Rejected, "CENTRE_REFUSED", "医保移动支付中心未通过")
	// ErrUnproved is a failure answer to a call that may move money or that asks how it stands: unsigned, it decides nothing.
	ErrUnproved = fault.New(fault.Unknown, "CENTRE_UNPROVED", "医保结果核实中")
	// ErrNoAnswer is a call without an answer: time-out, broken connection, a status other than 200.
	ErrNoAnswer = fault.New(fault.Unknown, "CENTRE_NO_ANSWER", "医保移动支付中心暂无应答，正在核实")
	// ErrUnreadable is an answer that cannot be read or decrypted, or that is about something else.
	ErrUnreadable = fault.New(fault.Unknown, "CENTRE_UNREADABLE", "医保移动支付中心返回内容有误，正在核实")
	// ErrUnverified is an answer whose signature is missing or wrong.
	ErrUnverified = fault.New(fault.Unknown, "CENTRE_UNVERIFIED", "医保移动支付中心返回内容有误，正在核实")
	// ErrUnequal is a verified answer whose amounts contradict each other or the claim.
	ErrUnequal = fault.New(fault.Unknown, "CENTRE_UNEQUAL", "医保移动支付中心返回金额不平，正在核实")
	// ErrNotSent is a call that never left.
	ErrNotSent = fault.New(fault.Unavailable, "CENTRE_UNREACHABLE", "医保移动支付中心暂时无法连接，请稍后再试")
	// ErrClaim is a claim that lacks what the centre demands. Nothing was sent, and nothing can be by insurance.
	ErrClaim = fault.New(fault.Rejected, "CLAIM_INCOMPLETE", "费用单缺少医保结算所需的信息，请到窗口办理")
	// ErrNotice is a 6302 that cannot be verified, opened or read.
	ErrNotice = fault.New(fault.Invalid, "NOTICE_INVALID", "通知验签失败")
)

// Persons finds what the centre wants to know of a patient beyond name and number, where the HIS does not tell: 1101 of the core platform.
type Persons interface {
	// Insured gives person number, insurance type and area, and the 电子凭证 token where the platform has one.
	Insured(ctx context.Context, p settlement.Person) (settlement.Visit, sensitive.Token, error)
}

// Config is one hospital's access to the centre. Required: Clock, Source, BaseURL, AppID, AppSecret, PrivateKey, PlatformKey, OrgCodg.
type Config struct {
	Clock   clock.Clock
	Source  *clock.Source
	BaseURL string
	Paths   map[string]string // by transaction; what is not named has the usual path
	Persons Persons           // nil: the HIS always tells

	AppID       string
	AppSecret   sensitive.Key
	PrivateKey  *gm.PrivateKey // ours
	PlatformKey *gm.PublicKey  // the centre's
	SM2UserID   string         // empty: the standard's default

	Version         string   // empty: 2.0.1
	Timestamp       string   // yyyyMMddHHmmss (empty) or millis
	LeafMode        LeafMode // empty: string
	VerifyLeafModes []LeafMode
	LowerCaseTypes  bool      // sm4 and sm2 for SM4 and SM2
	Transport       Transport // empty: sealed

	NotifyMode NotifyMode // empty: sealed
	NotifyFrom []netip.Prefix

	OrgCodg          string // 定点医药机构编号
	OrgID            string
	InsuCode         string // empty: the insured's area
	Location         string // longitude,latitude, where the patient tells none
	AccountUse       string // patient (empty), always, never
	MdtrtCertType    string // empty: 01
	PubHospRfomFlag  string // empty: 0
	HospApprFlag     string // of lines whose HIS tells none; empty: 1
	RefundCredential string // payAuthNo (empty) or ecToken
	RefundType       string // HI (empty) or ALL
	Required         []string
	Extra            map[string]map[string]string // by transaction: members to send besides

	AuthErrors   []string // parts of message that mean the authorisation
	SystemErrors []string // parts of message that mean a sick platform: the outcome is unknown
	Timeouts     Timeouts
}

// LeafMode is how numbers and truth values stand in what is signed.
type LeafMode string

// The leaf modes.
const (
	StringLeaves LeafMode = "string" // every leaf becomes a JSON string, as the Java family does
	RawLeaves    LeafMode = "raw"
)

// Transport is how a message travels.
type Transport string

// The transports. Wrapped is for a province whose front-end seals for us: the answer carries no signature of the centre, and is believed because
// the line to the front-end is trusted. It has to be chosen.
const (
	Sealed  Transport = "sealed"
	Wrapped Transport = "fsi_wrapped"
)

// NotifyMode is how 6302 arrives.
type NotifyMode string

// The notify modes. A plain notice is taken from NotifyFrom alone, and is a hint like every other.
const (
	SealedNotices NotifyMode = "sealed"
	PlainNotices  NotifyMode = "plain"
)

// Timeouts bound the calls. Zero means the default.
type Timeouts struct {
	Query  time.Duration // 6301: 20 s
	Upload time.Duration // 6201, 6202, 6401: 30 s
	Refund time.Duration // 6203: 60 s
}

// usualPaths are those of §1.1.
var usualPaths = map[string]string{
	"6201": "/org/local/api/hos/uldFeeInfo",
	"6202": "/org/local/api/hos/pay_order",
	"6203": "/org/local/api/hos/refund_Order",
	"6301": "/org/local/api/hos/query_order_info",
	"6401": "/org/local/api/hos/revoke_order",
}

// usualAuthErrors are what centres are known to call an authorisation that no longer serves.
var usualAuthErrors = []string{"授权", "payAuthNo", "ecToken"}

// Client is one hospital's connection. Safe for several goroutines.
type Client struct {
	cfg       Config
	transport http.RoundTripper
	sealer    sealer
}

var _ settlement.Centre = (*Client)(nil)

// New checks the configuration and fills its defaults. It sends nothing.
func New(cfg Config, transport http.RoundTripper) (*Client, error) {
	cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	paths := maps.Clone(usualPaths)
	maps.Copy(paths, cfg.Paths)
	cfg.Paths = paths
	for _, d := range []struct {
		p *string
		v string
	}{
		{&cfg.SM2UserID, "1234567812345678"}, {&cfg.Version, "2.0.1"}, {&cfg.Timestamp, "yyyyMMddHHmmss"}, {(*string)(&cfg.LeafMode), string(StringLeaves)},
		{(*string)(&cfg.Transport), string(Sealed)}, {(*string)(&cfg.NotifyMode), string(SealedNotices)}, {&cfg.AccountUse, "patient"},
		{&cfg.MdtrtCertType, "01"}, {&cfg.PubHospRfomFlag, "0"}, {&cfg.HospApprFlag, "1"}, {&cfg.RefundCredential, "payAuthNo"}, {&cfg.RefundType, "HI"},
	} {
		defaults(d.p, d.v)
	}
	defaults(&cfg.Timeouts.Query, 20*time.Second)
	defaults(&cfg.Timeouts.Upload, 30*time.Second)
	defaults(&cfg.Timeouts.Refund, 60*time.Second)
	if len(cfg.VerifyLeafModes) == 0 {
		cfg.VerifyLeafModes = []LeafMode{StringLeaves, RawLeaves}
	}
	cfg.AuthErrors = append(slices.Clone(usualAuthErrors), cfg.AuthErrors...)
	if err := cfg.check(transport); err != nil {
		return nil, fmt.Errorf("nhsa mobile: %w", err)
	}
	key, err := deriveKey(cfg.AppID, cfg.AppSecret)
	if err != nil {
		return nil, fmt.Errorf("nhsa mobile: %w", err)
	}
	return &Client{cfg: cfg, transport: transport, sealer: sealer{appID: cfg.AppID, secret: cfg.AppSecret, key: key, private: cfg.PrivateKey,
		platform: cfg.PlatformKey, userID: cfg.SM2UserID, leaves: cfg.LeafMode, verify: cfg.VerifyLeafModes}}, nil
}

func (cfg *Config) check(transport http.RoundTripper) error {
	var faults []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	u, err := url.Parse(cfg.BaseURL)
	add(cfg.Clock == nil || cfg.Source == nil || transport == nil, "clock, source and transport are required")
	add(err != nil || u.Host == "", "base URL is not absolute")
	add(len(cfg.AppID) < 16, "app id has fewer than 16 characters")
	add(cfg.AppSecret.IsZero(), "app secret is required")
	add(cfg.PrivateKey == nil || cfg.PlatformKey == nil, "both SM2 keys are required")
	add(cfg.PrivateKey != nil && cfg.PlatformKey != nil && cfg.PrivateKey.Public().Equal(cfg.PlatformKey), "the platform's key is our own")
	add(cfg.OrgCodg == "" || len(cfg.OrgCodg) > 30, "institution code is required")
	for _, c := range []struct {
		name, value string
		of          []string
	}{
		{"timestamp format", cfg.Timestamp, []string{"yyyyMMddHHmmss", "millis"}}, {"leaf mode", string(cfg.LeafMode), []string{"string", "raw"}},
		{"transport", string(cfg.Transport), []string{"sealed", "fsi_wrapped"}}, {"notify mode", string(cfg.NotifyMode), []string{"sealed", "plain"}},
		{"account use", cfg.AccountUse, []string{"patient", "always", "never"}}, {"refund type", cfg.RefundType, []string{"HI", "ALL"}},
		{"refund credential", cfg.RefundCredential, []string{"payAuthNo", "ecToken"}},
	} {
		add(!slices.Contains(c.of, c.value), "%s %q: %s", c.name, c.value, strings.Join(c.of, ", "))
	}
	for _, m := range cfg.VerifyLeafModes {
		add(m != StringLeaves && m != RawLeaves, "leaf mode %q: string, raw", m)
	}
	add(cfg.NotifyMode == PlainNotices && len(cfg.NotifyFrom) == 0, "plain notices need the networks they may come from")
	return errors.Join(faults...)
}

func defaults[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
