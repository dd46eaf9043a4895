package wechatpay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/core"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
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

// check fills in what may be left empty and refuses what WeChat Pay would.
func (m *MedIns) check(appID string) error {
	if m.CardType == "" {
		m.CardType = "ID_CARD"
	}
	if m.AddType == "" {
		m.AddType = "OTHER_MEDICAL_EXPENSES"
	}
	u, err := url.Parse(m.CallbackURL)
	switch {
	case appID != strings.ToLower(appID):
		return errors.New("AppID must be in lower case for the mixed order")
	case !tradeNumber(m.CityID, 1, 8):
		return errors.New("MedIns.CityID is required, at most 8 letters and digits")
	case !tradeNumber(m.InstNo, 1, 32):
		return errors.New("MedIns.InstNo is required, at most 32 letters and digits")
	case m.InstName == "" || !clean(m.InstName, 128):
		return errors.New("MedIns.InstName is required, at most 128 characters, no quotes and commas")
	case !clean(m.ChannelNo, 32):
		return errors.New("MedIns.ChannelNo has more than 32 characters, or such as WeChat Pay refuses")
	case err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsAny(m.CallbackURL, "?#") || len(m.CallbackURL) > 256:
		return errors.New("MedIns.CallbackURL must be https, without query, at most 256 characters")
	case !cardTypes[m.CardType]:
		return errors.New("MedIns.CardType is not a card_type of the mixed order")
	case !addTypes[m.AddType]:
		return errors.New("MedIns.AddType is not a cash_add_type of the mixed order")
	case m.TestEnv && !m.AllowTestEnv:
		return errors.New("MedIns.TestEnv: the bureau's test system takes real cash; not in production")
	}
	return nil
}

// hasMixed is ErrRequest where the hospital has no mixed order.
func (c *Client) hasMixed() error {
	if c.cfg.MedIns == nil {
		return ErrRequest.At("med_ins")
	}
	return nil
}

// CreateMixed sends a body made by BuildMixed as it is (医保自费混合收款下单). Errors: those of payment.MixedGateway, and ErrRequest. A
// refusal is unsigned: of a number asked before it is only a claim.
func (c *Client) CreateMixed(ctx context.Context, body []byte) (payment.MixedStatus, error) {
	if err := c.hasMixed(); err != nil {
		return payment.MixedStatus{}, err
	}
	var asked struct {
		OutTradeNo string `json:"out_trade_no"`
	}
	if json.Unmarshal(body, &asked) != nil || asked.OutTradeNo == "" {
		return payment.MixedStatus{}, ErrRequest.At("out_trade_no")
	}
	return c.mixed(ctx, doing{name: "mixed order", explained: refusedMixed}, asked.OutTradeNo, "",
		func(ctx context.Context) (*core.APIResult, error) {
			return c.api.Post(ctx, apiBase+"/v3/med-ins/orders", body)
		})
}

// QueryMixed asks by WeChat's number, or by ours where that is not known. Errors: ErrMixedNotExist, ErrNotSent, ErrUnknown, and ErrRequest; any
// other refusal says nothing of the order, and an answer about another one is ErrUnknown.
func (c *Client) QueryMixed(ctx context.Context, outTradeNo, mixTradeNo string) (payment.MixedStatus, error) {
	if err := c.hasMixed(); err != nil {
		return payment.MixedStatus{}, err
	}
	if outTradeNo == "" {
		return payment.MixedStatus{}, ErrRequest.At("out_trade_no")
	}
	path := "/v3/med-ins/orders/out-trade-no/" + url.PathEscape(outTradeNo)
	if mixTradeNo != "" {
		path = "/v3/med-ins/orders/mix-trade-no/" + url.PathEscape(mixTradeNo)
	}
	return c.mixed(ctx, doing{name: "mixed query", explained: refusedMixedQuery}, outTradeNo, mixTradeNo,
		func(ctx context.Context) (*core.APIResult, error) { return c.api.Get(ctx, apiBase+path) })
}

// mixed runs one call about a mixed order and reads what is said of it. Without an answer to be believed the status holds the refusal's number.
func (c *Client) mixed(ctx context.Context, what doing, outTradeNo, mixTradeNo string,
	call func(context.Context) (*core.APIResult, error)) (payment.MixedStatus, error) {
	var number string
	explained := what.explained
	what.explained = func(status int, code, digits, message string) *fault.Error {
		number = digits
		return explained(status, code, digits, message)
	}
	var a mixedAnswer
	if err := c.exchange(ctx, what, http.StatusOK, &a, call); err != nil {
		return payment.MixedStatus{Number: number}, err
	}
	if a.OutTradeNo != outTradeNo || (mixTradeNo != "" && a.MixTradeNo != mixTradeNo) {
		return payment.MixedStatus{}, unreadable(what.name, "about another order")
	}
	return c.mixedStatus(a, what.name)
}

// MixedCashier signs the arguments of wx.requestMedicalInsurancePay (§a.5): with cash those of the cash order, without it none.
func (c *Client) MixedCashier(mixTradeNo, prepayID string) (payment.Cashier, error) {
	if err := c.hasMixed(); err != nil {
		return payment.Cashier{}, err
	}
	if mixTradeNo == "" {
		return payment.Cashier{}, ErrRequest.At("mix_trade_no")
	}
	if prepayID == "" {
		return payment.Cashier{MixTradeNo: mixTradeNo}, nil
	}
	p, err := c.Cashier(prepayID)
	if err != nil {
		return payment.Cashier{}, err
	}
	p.MixTradeNo = mixTradeNo
	return p, nil
}

// refundNoticeBody is the body of POST /v3/med-ins/refunds/notify (医保退款通知, §b.4). A zero is sent as zero.
type refundNoticeBody struct {
	Total       money.Fen `json:"med_refund_total_fee"` // fen, as all of them
	Gov         money.Fen `json:"med_refund_gov_fee"`
	Self        money.Fen `json:"med_refund_self_fee"`
	Other       money.Fen `json:"med_refund_other_fee"`
	RefundTime  string    `json:"refund_time"`
	OutRefundNo string    `json:"out_refund_no"`
}

// BuildRefundNotice makes the exact body of the notice that the insurer's part is back; the total is its parts' sum (§c.7). ErrRequest names
// the field that WeChat Pay would not bear.
func (c *Client) BuildRefundNotice(n payment.RefundNotice) ([]byte, error) {
	if err := c.hasMixed(); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		field string
		fee   money.Fen
	}{{"med_refund_gov_fee", n.Gov}, {"med_refund_self_fee", n.Self}, {"med_refund_other_fee", n.Other}} {
		if part.fee < 0 || part.fee > money.Max {
			return nil, ErrRequest.At(part.field)
		}
	}
	total := n.Gov + n.Self + n.Other
	switch {
	case n.MixTradeNo == "":
		return nil, ErrRequest.At("mix_trade_no")
	case !tradeNumber(n.OutRefundNo, 1, 64):
		return nil, ErrRequest.At("out_refund_no")
	case total > money.Max:
		return nil, ErrRequest.At("med_refund_total_fee")
	case n.RefundedAt.IsZero():
		return nil, ErrRequest.At("refund_time")
	}
	return encode(refundNoticeBody{Total: total, Gov: n.Gov, Self: n.Self, Other: n.Other, RefundTime: rfc3339(n.RefundedAt),
		OutRefundNo: n.OutRefundNo}), nil
}

// NotifyRefund sends a body made by BuildRefundNotice as it is; nil is a verified 204. Errors: those of payment.MixedGateway, and ErrRequest.
func (c *Client) NotifyRefund(ctx context.Context, mixTradeNo string, body []byte) error {
	if err := c.hasMixed(); err != nil {
		return err
	}
	if mixTradeNo == "" {
		return ErrRequest.At("mix_trade_no")
	}
	path := "/v3/med-ins/refunds/notify?mix_trade_no=" + url.QueryEscape(mixTradeNo)
	return c.post(ctx, doing{name: "refund notice", explained: refusedMixed}, path, http.StatusNoContent, body, nil)
}

// rfc3339 is a time as /v3/med-ins takes it: with +08:00, never Z.
func rfc3339(t time.Time) string { return t.In(clock.Shanghai).Format(time.RFC3339) }

// named is a field at fault, with what is wrong in words of ours.
func named(field, format string, args ...any) error {
	return ErrRequest.At(field).Because(fmt.Errorf(format, args...))
}
