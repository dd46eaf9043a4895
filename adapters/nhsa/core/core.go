// Package core speaks to the insurer's core platform (国家医保信息平台 定点医药机构接口规范, the 1xxx, 2xxx, 3xxx, 5xxx and 9xxx
// transactions) through the province's gateway. It implements settlement.Insurer, and Statements is the insurer's book for package recon.
//
// Strict in what it sends, liberal in what it reads; every difference between areas is in a Profile. The wire is in wire.go, with the
// version of the document at its head; where platforms depart from it, adapters/nhsa/README.md says so.
package core

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// What the platform says, or fails to say.
var (
	// ErrRefused is a parsed answer with an infcode that is not 0; Msg is the platform's own text, cleaned.
	ErrRefused = fault.New(fault.Rejected, "INSURER_REFUSED", "医保平台未通过")
	// ErrSystem is such an answer whose text is one of Profile.SystemErrors: whether anything was done is not known.
	ErrSystem = fault.New(fault.Unknown, "INSURER_SYSTEM_ERROR", "医保平台系统异常，正在核实")
	// ErrNoAnswer is a call without an answer: time-out, broken connection, a status other than 200.
	ErrNoAnswer = fault.New(fault.Unknown, "INSURER_NO_ANSWER", "医保平台暂无应答，正在核实")
	// ErrUnreadable is an answer that cannot be read, or that is about something else.
	ErrUnreadable = fault.New(fault.Unknown, "INSURER_UNREADABLE", "医保平台返回内容有误，正在核实")
	// ErrUnequal is a success whose amounts contradict each other or the claim (E1–E6).
	ErrUnequal = fault.New(fault.Unknown, "INSURER_UNEQUAL", "医保平台返回金额不平，正在核实")
	// ErrNotSent is a call that never left: no connection, or the caller's time was over.
	ErrNotSent = fault.New(fault.Unavailable, "INSURER_UNREACHABLE", "医保平台暂时无法连接，请稍后再试")
	// ErrClaim is a claim that lacks what the platform demands. Nothing was sent, and nothing can be by insurance.
	ErrClaim = fault.New(fault.Rejected, "CLAIM_INCOMPLETE", "费用单缺少医保结算所需的信息，请到窗口办理")
	// ErrNoCover is a person without an insurance in force.
	ErrNoCover = fault.New(fault.Rejected, "INSURER_NO_COVER", "未查询到有效的参保信息")
	// ErrPerson is a credential that belongs to somebody else than the patient.
	ErrPerson = fault.New(fault.Rejected, "INSURER_PERSON_MISMATCH", "医保返回的人员与就诊人不一致")
	// ErrCredential is a person whose authorisation has run out, or who has none that this area takes.
	ErrCredential = fault.New(fault.Rejected, "INSURER_CREDENTIAL_EXPIRED", "医保授权已过期，请重新授权")
)

// URLStyle is how the gateway wants to be addressed (§1.4).
type URLStyle string

// The styles.
const (
	OneURL   URLStyle = "one"      // one URL, dispatched by infno
	Appended URLStyle = "appended" // the URL and the transaction number
	Services URLStyle = "services" // one /fsi/api/ path per service
)

// Timeouts bound the calls. Zero means the default.
type Timeouts struct {
	Query  time.Duration // 1101, 5203: 20 s
	Upload time.Duration // 2201 to 2206: 30 s
	Settle time.Duration // 2207, 2208, 2601: 60 s
	Files  time.Duration // 3201, 3202, 9101, 9102: 120 s
}

// Config is one institution's access. Optional: Infver, RecerSysCode, OpterType, DeviceNo, SignNo, Timeouts.
type Config struct {
	Clock          clock.Clock
	Source         *clock.Source // of this node; its ids make the msgids
	BaseURL        string        // the gateway, without the service's path
	URLStyle       URLStyle
	PaasID         string
	Secret         sensitive.Key
	FixmedinsCode  string // 定点医药机构编号, 12 characters
	FixmedinsName  string
	MdtrtareaAdmvs string // 就医地医保区划, 6 digits
	RecerSysCode   string // receiving system; empty: YBXT
	Infver         string // empty: V1.0
	OpterType      string // empty: 3, mobile terminal
	Opter          string
	OpterName      string
	DeviceNo       string
	SignNo         string // 签到流水号, where the area wants one
	Timeouts       Timeouts
	Profile        Profile
}

// Client is one institution's connection. Safe for several goroutines.
type Client struct {
	cfg       Config
	transport http.RoundTripper
}

var _ settlement.Insurer = (*Client)(nil)

// New checks the configuration and fills its defaults. It sends nothing.
func New(cfg Config, transport http.RoundTripper) (*Client, error) {
	defaults(&cfg.RecerSysCode, "YBXT")
	defaults(&cfg.Infver, "V1.0")
	defaults(&cfg.OpterType, "3")
	defaults(&cfg.Timeouts.Query, 20*time.Second)
	defaults(&cfg.Timeouts.Upload, 30*time.Second)
	defaults(&cfg.Timeouts.Settle, 60*time.Second)
	defaults(&cfg.Timeouts.Files, 120*time.Second)
	cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	var faults []error
	if cfg.Clock == nil || cfg.Source == nil || transport == nil {
		faults = append(faults, errors.New("clock, source and transport are required"))
	}
	if u, err := url.Parse(cfg.BaseURL); err != nil || u.Host == "" {
		faults = append(faults, errors.New("base URL is not absolute"))
	}
	if cfg.URLStyle != OneURL && cfg.URLStyle != Appended && cfg.URLStyle != Services {
		faults = append(faults, fmt.Errorf("URL style %q: one, appended, services", cfg.URLStyle))
	}
	if cfg.PaasID == "" || cfg.Secret.IsZero() {
		faults = append(faults, errors.New("paasid and secret are required"))
	}
	for _, f := range []struct {
		name, value string
		low, high   int
	}{{"institution code", cfg.FixmedinsCode, codeLength, codeLength}, {"institution name", cfg.FixmedinsName, 1, 200}, {"area", cfg.MdtrtareaAdmvs, 6, 6},
		{"operator", cfg.Opter, 1, 30}, {"operator name", cfg.OpterName, 1, 50}, {"receiving system", cfg.RecerSysCode, 1, 10},
		{"interface version", cfg.Infver, 1, 6}, {"operator type", cfg.OpterType, 1, 3}, {"device number", cfg.DeviceNo, 0, 100}, {"sign-in number", cfg.SignNo, 0, 30}} {
		if size := utf8.RuneCountInString(f.value); size < f.low || size > f.high {
			faults = append(faults, fmt.Errorf("%s has %d characters, not %d to %d", f.name, size, f.low, f.high))
		}
	}
	if err := cfg.Profile.complete(); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("nhsa core: %w", errors.Join(faults...))
	}
	return &Client{cfg: cfg, transport: transport}, nil
}

func defaults[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// SettleWait is Profile.SettleWait.
func (c *Client) SettleWait() time.Duration { return c.cfg.Profile.SettleWait }
