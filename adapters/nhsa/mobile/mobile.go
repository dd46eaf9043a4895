// Package mobile speaks to the mobile-payment centre (医保移动支付中心, transactions 6201, 6202, 6203, 6301, 6401 and the notice 6302) for one
// hospital. It implements settlement.Centre.
//
// The official document is not public: the wire follows public implementations (nhsa-mobile-pay.md), and everything they leave open is a field
// of Config with the safe default. An answer counts only when its signature was verified; a failure answer has none and proves nothing.
package mobile

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"
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
	// ErrSystem is a failure answer whose text is one of Config.SystemErrors, or which gives no reason, or an HTTP status for a code: whether
	// anything was done is not known.
	ErrSystem = fault.New(fault.Unknown, "CENTRE_SYSTEM_ERROR", "医保移动支付中心系统异常，正在核实")
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

// Config is one hospital's access to the centre. Required: Clock, Source, BaseURL, OrgCodg, and AppID, AppSecret, PrivateKey and PlatformKey
// unless nothing sealed is ever sent or read (Wrapped with TrustFrontEnd, PlainNotices).
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
	SM2UserID   string         // default (empty), appSecret, or the id itself

	Version         string     // empty: 2.0.1
	Timestamp       string     // yyyyMMddHHmmss (empty) or millis
	LeafMode        LeafMode   // empty: string
	VerifyLeafModes []LeafMode // nil: string, then raw
	LowerCaseTypes  bool       // sm4 and sm2 for SM4 and SM2

	Transport     Transport         // empty: sealed
	TrustFrontEnd bool              // with Wrapped: answers without a signature are read (see Wrapped)
	WrapperHead   map[string]string // with Wrapped: more members of its head, such as opter or infver

	NotifyMode NotifyMode     // empty: sealed
	NotifyFrom []netip.Prefix // networks that 6302 may come from; none: any, if it is sealed
	NotifyAck  Ack            // empty: success

	OrgCodg          string // 定点医药机构编号
	OrgID            string
	InsuCode         string                       // empty: the insured's area
	AccountUse       string                       // patient (empty), always, never
	MdtrtCertType    string                       // empty: 01
	PsnSetlway       string                       // empty: 01
	PubHospRfomFlag  string                       // empty: 0
	HospApprFlag     string                       // of lines whose HIS tells none; empty: 1
	RefundCredential string                       // payAuthNo (empty) or ecToken
	RefundType       string                       // HI (empty) or ALL
	Required         []string                     // more members that the head of 6201 may not lack, such as mdtrtId
	Waived           []string                     // members of the built-in list that this centre does not demand, such as caty
	Extra            map[string]map[string]string // by transaction: members to send besides; ours are never replaced

	AuthErrors   []string // parts of message that mean the authorisation, beside the built-in ones
	SystemErrors []string // parts of message that mean a sick platform, beside the built-in ones: the outcome is unknown
	Timeouts     Timeouts
	// EarlyStatements lets a day be asked for before it is over, as in a sandbox that cannot wait.
	EarlyStatements bool
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

// The transports. Wrapped is for a province whose front-end (前置机) seals for us: the general wrapper infno, msgid, input.data goes to it, and its
// output is read. An output that the centre sealed is verified; one without a signature is refused, unless TrustFrontEnd says that the line to
// the front-end is as good as a signature. Even then an unsigned answer to 6203 decides nothing: 6301 is asked.
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

// Ack is how a 6302 is answered.
type Ack string

// The answers to a 6302. The status tells the same in every one of them.
const (
	AckSuccess Ack = "success" // {"success":true,"message":"成功"}
	AckCode    Ack = "code"    // {"code":0,"message":"成功"}
	AckEmpty   Ack = "empty"   // the status alone
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

// usualAuthErrors are what centres are known to call an authorisation that no longer serves. "授权" alone would take a hospital without
// permission for a patient without authorisation.
var usualAuthErrors = []string{"授权码", "重新授权", "授权已失效", "授权已过期", "授权失效", "授权过期", "payAuthNo"}

// usualSystemErrors are what gateways between us and a centre say when they are sick or have lost their way: no insurer has refused anything.
var usualSystemErrors = []string{"系统繁忙", "系统异常", "系统错误", "服务异常", "服务不可用", "服务器", "网络", "超时", "请稍后", "Internal Server Error",
	"Bad Gateway", "Service Unavailable", "Gateway Time", "timeout", "timed out", "Exception"}

// standardUserID is the SM2 user id that takes effect even where callers pass the application's secret (§2.2).
const standardUserID = "1234567812345678"

// ecToken is the refund credential that 1101 gives (电子凭证 token).
const ecToken = "ecToken"

// Client is one hospital's connection. Safe for several goroutines.
type Client struct {
	cfg       Config
	transport http.RoundTripper
	sealer    sealer
	required  []string     // members that the head of 6201 may not lack
	form      atomic.Value // string
}

var _ settlement.Centre = (*Client)(nil)

// New checks the configuration and fills its defaults. It sends nothing.
func New(cfg Config, transport http.RoundTripper) (*Client, error) {
	cfg.fill()
	if err := cfg.check(transport); err != nil {
		return nil, fmt.Errorf("nhsa mobile: %w", err)
	}
	c := &Client{cfg: cfg, transport: transport, required: cfg.required()}
	if cfg.sealed() {
		key, err := deriveKey(cfg.AppID, cfg.AppSecret)
		if err != nil {
			return nil, fmt.Errorf("nhsa mobile: %w", err)
		}
		c.sealer = sealer{appID: cfg.AppID, secret: cfg.AppSecret, key: key, private: cfg.PrivateKey, platform: cfg.PlatformKey,
			userID: cfg.SM2UserID, leaves: cfg.LeafMode, verify: cfg.VerifyLeafModes}
	}
	return c, nil
}

// SignedAs tells in which form the centre had signed what was verified last: which leaves, and whether empty objects were kept. Empty before
// the first answer.
func (c *Client) SignedAs() string {
	form, _ := c.form.Load().(string)
	return form
}
