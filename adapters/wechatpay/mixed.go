package wechatpay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wechatpay-apiv3/wechatpay-go/core"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// MedIns is what WeChat and the local bureau gave for the mixed order (医保移动支付). All of it is the hospital's; none is a secret.
type MedIns struct {
	CityID      string // Tencent's own code
	InstName    string
	InstNo      string // 定点医药机构编号
	ChannelNo   string // where one was issued
	CallbackURL string // https, without query; may be the payment's own

	NoPassthrough bool   // leave passthrough_request_content out
	CardType      string // empty: ID_CARD
	AddType       string // of what the insurer never saw; empty: OTHER_MEDICAL_EXPENSES
	TestEnv       bool   // the bureau's test system
	AllowTestEnv  bool   // outside production only
}

var _ payment.MixedGateway = (*Client)(nil)

// check refuses what WeChat Pay would.
func (m *MedIns) check() error {
	u, err := url.Parse(m.CallbackURL)
	switch {
	case m.CityID == "" || len(m.CityID) > 8:
		return errors.New("MedIns.CityID is required, at most 8 characters")
	case m.InstNo == "" || len(m.InstNo) > 32:
		return errors.New("MedIns.InstNo is required, at most 32 characters")
	case m.InstName == "" || utf8.RuneCountInString(m.InstName) > 128:
		return errors.New("MedIns.InstName is required, at most 128 characters")
	case len(m.ChannelNo) > 32:
		return errors.New("MedIns.ChannelNo has more than 32 characters")
	case err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || len(m.CallbackURL) > 256:
		return errors.New("MedIns.CallbackURL must be https, without query, at most 256 characters")
	case m.TestEnv && !m.AllowTestEnv:
		return errors.New("MedIns.TestEnv: the bureau's test system takes real cash; not in production")
	}
	if m.CardType == "" {
		m.CardType = "ID_CARD"
	}
	if m.AddType == "" {
		m.AddType = "OTHER_MEDICAL_EXPENSES"
	}
	return nil
}

// mixedAnswer is the order entity of every answer and of MEDICAL_INSURANCE.SUCCESS (wechat-med-ins.md §b.1.2). What a type does not have is absent.
type mixedAnswer struct {
	MixTradeNo string     `json:"mix_trade_no"`
	MixStatus  string     `json:"mix_pay_status"`
	SelfStatus string     `json:"self_pay_status"`
	InsStatus  string     `json:"med_ins_pay_status"`
	PaidTime   string     `json:"paid_time"`
	FailReason string     `json:"med_ins_fail_reason"`
	AppID      string     `json:"appid"`
	OpenID     string     `json:"openid"`
	OutTradeNo string     `json:"out_trade_no"`
	SerialNo   string     `json:"serial_no"`
	PayOrderID string     `json:"pay_order_id"`
	InstNo     string     `json:"med_inst_no"`
	Total      *money.Fen `json:"total_fee"`
	Gov        money.Fen  `json:"med_ins_gov_fee"`
	Self       money.Fen  `json:"med_ins_self_fee"`
	Other      money.Fen  `json:"med_ins_other_fee"`
	Cash       money.Fen  `json:"med_ins_cash_fee"`
	Wechat     money.Fen  `json:"wechat_pay_cash_fee"` // INSURANCE_ONLY leaves it out: nothing is charged
	Added      []struct {
		Fee money.Fen `json:"cash_add_fee"`
	} `json:"cash_add_detail"`
	Reduced []struct {
		Fee money.Fen `json:"cash_reduce_fee"`
	} `json:"cash_reduce_detail"`
}

// status reads a verified entity, and refuses one that is not ours or breaks the equations.
func (c *Client) mixedStatus(a mixedAnswer, name string) (payment.MixedStatus, error) {
	s := payment.MixedStatus{MixTradeNo: a.MixTradeNo, OutTradeNo: a.OutTradeNo, SerialNo: a.SerialNo, PayOrderID: a.PayOrderID, Mix: a.MixStatus,
		Self: a.SelfStatus, MedIns: a.InsStatus, FailReason: a.FailReason,
		Amounts: payment.MixedAmounts{Gov: a.Gov, Self: a.Self, Other: a.Other, Cash: a.Cash, Wechat: a.Wechat}}
	for _, d := range a.Added {
		s.Amounts.Added += d.Fee
	}
	for _, d := range a.Reduced {
		s.Amounts.Reduced += d.Fee
	}
	switch {
	case a.AppID != "" && !strings.EqualFold(a.AppID, c.cfg.AppID), a.InstNo != "" && a.InstNo != c.cfg.MedIns.InstNo:
		return payment.MixedStatus{}, unreadable(name, "about another appid or institution")
	case a.MixTradeNo == "" || a.OutTradeNo == "" || a.MixStatus == "" || a.Total == nil:
		return payment.MixedStatus{}, unreadable(name, "without number, state or total")
	}
	s.Amounts.Total = *a.Total
	if err := s.Amounts.Check(); err != nil {
		return payment.MixedStatus{}, unreadable(name, "whose amounts break an equation")
	}
	if a.OpenID != "" {
		s.OpenID = sensitive.NewOpenID(a.OpenID)
	}
	if a.PaidTime != "" {
		at, err := paidTime(a.PaidTime)
		if err != nil {
			return payment.MixedStatus{}, unreadable(name, "with a paid_time that is no time")
		}
		s.PaidAt = at
	}
	return s, nil
}

// paidTime reads RFC 3339, and the older yyyyMMddHHmmss in China time (X5).
func paidTime(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	t, err := time.ParseInLocation("20060102150405", text, clock.Shanghai)
	return t.UTC(), err
}

// CreateMixed sends a body made by BuildMixed as it is.
func (c *Client) CreateMixed(ctx context.Context, body []byte) (payment.MixedStatus, error) {
	if c.cfg.MedIns == nil {
		return payment.MixedStatus{}, ErrRequest.At("med_ins")
	}
	return c.mixed(ctx, doing{name: "mixed order"}, func(ctx context.Context) (*core.APIResult, error) {
		return c.api.Post(ctx, apiBase+"/v3/med-ins/orders", body)
	})
}

// QueryMixed asks by WeChat's number, or by ours where that is not known.
func (c *Client) QueryMixed(ctx context.Context, outTradeNo, mixTradeNo string) (payment.MixedStatus, error) {
	if c.cfg.MedIns == nil {
		return payment.MixedStatus{}, ErrRequest.At("med_ins")
	}
	path := "/v3/med-ins/orders/out-trade-no/" + url.PathEscape(outTradeNo)
	if mixTradeNo != "" {
		path = "/v3/med-ins/orders/mix-trade-no/" + url.PathEscape(mixTradeNo)
	}
	what := doing{name: "mixed query"}
	s, err := c.mixed(ctx, what, func(ctx context.Context) (*core.APIResult, error) { return c.api.Get(ctx, apiBase+path) })
	switch {
	case err != nil && errors.Is(err, payment.ErrMixedNotExist):
		return s, err
	case err != nil && fault.KindOf(err) == fault.Rejected: // a query that is refused says nothing of the order
		return s, payment.ErrUnknown.Because(err)
	case err != nil:
		return s, err
	case s.OutTradeNo != outTradeNo || (mixTradeNo != "" && s.MixTradeNo != mixTradeNo):
		return payment.MixedStatus{}, unreadable(what.name, "about another order")
	}
	return s, nil
}

// mixed runs one call about a mixed order and reads the entity.
func (c *Client) mixed(ctx context.Context, what doing, call func(context.Context) (*core.APIResult, error)) (payment.MixedStatus, error) {
	var number string
	what.refused = nil
	what.explained = func(status int, code, digits, message string) *fault.Error {
		number = digits
		return refusedMixed(status, code, digits, message)
	}
	var a mixedAnswer
	if err := c.exchange(ctx, what, http.StatusOK, &a, call); err != nil {
		return payment.MixedStatus{Number: number}, err
	}
	return c.mixedStatus(a, what.name)
}

// MixedCashier signs the arguments of wx.requestMedicalInsurancePay (a.5): with cash those of the cash order, without it none.
func (c *Client) MixedCashier(mixTradeNo, prepayID string) (payment.Cashier, error) {
	if mixTradeNo == "" {
		return payment.Cashier{}, ErrRequest.At("mix_trade_no")
	}
	if prepayID == "" {
		return payment.Cashier{MixTradeNo: mixTradeNo}, nil
	}
	p, err := c.Cashier(prepayID)
	p.MixTradeNo = mixTradeNo
	return p, err
}

// refundNoticeBody is the body of POST /v3/med-ins/refunds/notify (医保退款通知, §b.4). A zero is sent as zero.
type refundNoticeBody struct {
	Total       money.Fen `json:"med_refund_total_fee"`
	Gov         money.Fen `json:"med_refund_gov_fee"`
	Self        money.Fen `json:"med_refund_self_fee"`
	Other       money.Fen `json:"med_refund_other_fee"`
	RefundTime  string    `json:"refund_time"`
	OutRefundNo string    `json:"out_refund_no"`
}

// BuildRefundNotice makes the exact body of the notice that the insurer's part is back.
func (c *Client) BuildRefundNotice(n payment.RefundNotice) ([]byte, error) {
	total, err := money.Add(n.Gov, n.Self, n.Other)
	switch {
	case n.MixTradeNo == "":
		return nil, ErrRequest.At("mix_trade_no")
	case !tradeNumber(n.OutRefundNo, 1, 64):
		return nil, ErrRequest.At("out_refund_no")
	case err != nil || n.Gov < 0 || n.Self < 0 || n.Other < 0 || total > money.Max:
		return nil, ErrRequest.At("med_refund_total_fee")
	case n.RefundedAt.IsZero():
		return nil, ErrRequest.At("refund_time")
	}
	return encode(refundNoticeBody{Total: total, Gov: n.Gov, Self: n.Self, Other: n.Other, RefundTime: rfc3339(n.RefundedAt),
		OutRefundNo: n.OutRefundNo}), nil
}

// NotifyRefund sends a body made by BuildRefundNotice; nil is a verified 204.
func (c *Client) NotifyRefund(ctx context.Context, mixTradeNo string, body []byte) error {
	what := doing{name: "refund notice", explained: refusedMixed}
	return c.exchange(ctx, what, http.StatusNoContent, nil, func(ctx context.Context) (*core.APIResult, error) {
		return c.api.Post(ctx, apiBase+"/v3/med-ins/refunds/notify?mix_trade_no="+url.QueryEscape(mixTradeNo), body)
	})
}

// rfc3339 is a time as /v3/med-ins takes it: with +08:00, never Z.
func rfc3339(t time.Time) string { return t.In(clock.Shanghai).Format(time.RFC3339) }

// byNumber says what the digits at the end of Request-ID mean (wechat-med-ins.md §g.2). They are finer than the code and win over it.
var byNumber = map[string]*fault.Error{
	"268529515": payment.ErrMixedNotExist,
	"268512536": payment.ErrMixedExists,
	"268510603": payment.ErrMixedRefused,
	"268510604": payment.ErrMixedRefused,
	"268545961": payment.ErrMixedPayer,
	"268545962": payment.ErrMixedPayer,
	"268545963": payment.ErrMixedNoCredential,
	"268545964": payment.ErrMixedKin,
	"268547120": payment.ErrMixedAuth,
	"268545967": payment.ErrMixedAuth,
	"268510610": payment.ErrMixedInsurer,
	"268529477": payment.ErrMixedRefused,
	"268529476": payment.ErrMixedRefused,
	"268529481": payment.ErrMixedRefused,
	"268529474": payment.ErrMixedRefused,
	"268529475": payment.ErrMixedRefused,
	"268554200": payment.ErrMixedNoReverse,
	"268554422": payment.ErrMixedNoReverse,
	"268560650": payment.ErrOrderPaid, // the password is typed
	"268435461": payment.ErrMixedRefused,
}

// byCode says what an error code means where there is no known number (§g.1), with underscores removed. INVALID_REQUEST without a number may be
// any rule of identity or state.
var byCode = map[string]*fault.Error{
	"PARAMERROR":     payment.ErrMixedRefused,
	"INVALIDREQUEST": payment.ErrMixedPayer,
	"ALREADYEXISTS":  payment.ErrMixedExists,
	"SIGNERROR":      payment.ErrMixedRefused,
	"NOAUTH":         payment.ErrMixedRefused,
	"REQUESTBLOCKED": payment.ErrMixedRefused,
	"RULELIMIT":      payment.ErrMixedRefused,
	"NOTFOUND":       payment.ErrMixedNotExist,
	"ORDERNOTEXIST":  payment.ErrMixedNotExist,
}

// rateWords mark a RULE_LIMIT that is about the rate, not the order: nothing is decided.
var rateWords = []string{"too many requests", "频率", "频繁", "限频"}

// refusedMixed gives a 4xx about a mixed order its meaning; nil: it decides nothing.
func refusedMixed(status int, code, number, message string) *fault.Error {
	if status < 400 || status > 499 || status == http.StatusTooManyRequests {
		return nil
	}
	if plain(code) == "RULELIMIT" {
		for _, w := range rateWords {
			if strings.Contains(strings.ToLower(message), w) {
				return nil
			}
		}
	}
	if e, ok := byNumber[number]; ok {
		return e
	}
	return byCode[plain(code)]
}

// named is a field at fault, for BuildMixed.
func named(field, format string, args ...any) error {
	return ErrRequest.At(field).Because(fmt.Errorf(format, args...))
}
