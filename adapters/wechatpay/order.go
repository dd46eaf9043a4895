package wechatpay

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// ErrRequest is a request that WeChat Pay would refuse in any case; Field names what is wrong. Nothing was sent.
var ErrRequest = fault.New(fault.Invalid, "WECHAT_REQUEST", "支付请求有误")

// prepayBody is the body of POST /v3/pay/transactions/jsapi (JSAPI下单, wechat-pay.md §2.3).
type prepayBody struct {
	AppID       string     `json:"appid"`
	MchID       string     `json:"mchid"`
	Description string     `json:"description"`
	OutTradeNo  string     `json:"out_trade_no"`
	TimeExpire  string     `json:"time_expire,omitempty"`
	Attach      string     `json:"attach,omitempty"`
	NotifyURL   string     `json:"notify_url"`
	Amount      payAmount  `json:"amount"`
	Payer       payerField `json:"payer"`
}

type payAmount struct {
	Total    money.Fen `json:"total"` // fen
	Currency string    `json:"currency"`
}

type payerField struct {
	OpenID string `json:"openid"`
}

// BuildPrepay makes the exact body of an order. ErrRequest names the field that WeChat Pay, or its bill file, would not bear.
func (c *Client) BuildPrepay(p payment.Prepay) ([]byte, error) {
	switch {
	case !tradeNumber(p.OutTradeNo, 6, 32):
		return nil, ErrRequest.At("out_trade_no")
	case p.Description == "" || !clean(p.Description, 127):
		return nil, ErrRequest.At("description")
	case !clean(p.Attach, 128):
		return nil, ErrRequest.At("attach")
	case p.Total < 1 || p.Total > money.Max:
		return nil, ErrRequest.At("amount.total")
	case p.OpenID.IsZero() || !clean(p.OpenID.Reveal(), 128):
		return nil, ErrRequest.At("payer.openid")
	}
	body := prepayBody{AppID: c.cfg.AppID, MchID: c.cfg.MchID, Description: p.Description, OutTradeNo: p.OutTradeNo, Attach: p.Attach,
		NotifyURL: c.cfg.PayNotifyURL, Amount: payAmount{p.Total, "CNY"}, Payer: payerField{p.OpenID.Reveal()}}
	if !p.ExpiresAt.IsZero() {
		body.TimeExpire = p.ExpiresAt.In(clock.Shanghai).Format(time.RFC3339)
	}
	return encode(body), nil
}

// tradeNumber reports whether s is a number of ours: letters, digits, hyphen and underscore.
func tradeNumber(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.IndexFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	}) < 0
}

// clean reports whether text has at most so many characters, none of four bytes (WeChat refuses them) and none that breaks a line
// of the bill file.
func clean(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && strings.IndexFunc(s, func(r rune) bool {
		return r > 0xFFFF || r < ' ' || r == 0x7F || strings.ContainsRune("`,\"'", r)
	}) < 0
}

// Prepay sends a body made by BuildPrepay as it is, and returns the prepay_id. Errors: ErrOrderPaid, ErrOrderClosed, ErrRejected,
// ErrNotSent, ErrUnknown of package payment. A refusal is unsigned: of a number asked before it is only a claim.
func (c *Client) Prepay(ctx context.Context, body []byte) (string, error) {
	var answer struct {
		PrepayID string `json:"prepay_id"`
	}
	what := doing{name: "prepay", refused: refusedPrepay}
	if err := c.post(ctx, what, "/v3/pay/transactions/jsapi", http.StatusOK, body, &answer); err != nil {
		return "", err
	}
	if answer.PrepayID == "" {
		return "", unreadable(what.name, "without prepay_id")
	}
	return answer.PrepayID, nil
}

// Cashier signs the arguments of wx.requestPayment (小程序调起支付): appId, timeStamp, nonceStr and package, each with a line feed.
func (c *Client) Cashier(prepayID string) (payment.Cashier, error) {
	if prepayID == "" {
		return payment.Cashier{}, ErrRequest.At("prepay_id")
	}
	p := payment.Cashier{AppID: c.cfg.AppID, TimeStamp: strconv.FormatInt(c.cfg.Clock.Now().Unix(), 10),
		NonceStr: c.cfg.Source.Nonce(32), Package: "prepay_id=" + prepayID, SignType: "RSA"}
	signed, err := c.api.Sign(context.Background(), p.AppID+"\n"+p.TimeStamp+"\n"+p.NonceStr+"\n"+p.Package+"\n")
	if err != nil {
		return payment.Cashier{}, fault.New(fault.Internal, "WECHAT_SIGN", "系统繁忙，请稍后再试")
	}
	p.PaySign = signed.Signature
	return p, nil
}

// transaction is an order in WeChat's answers and in the content of TRANSACTION.SUCCESS. What an unpaid order lacks is empty.
type transaction struct {
	AppID         string     `json:"appid"`
	MchID         string     `json:"mchid"`
	OutTradeNo    string     `json:"out_trade_no"`
	TransactionID string     `json:"transaction_id"`
	TradeState    string     `json:"trade_state"`
	SuccessTime   string     `json:"success_time"`
	Amount        payAmount  `json:"amount"`
	Payer         payerField `json:"payer"`
}

// Query asks by our number (查询订单). Errors: ErrOrderNotExist, ErrNotSent, ErrUnknown; an answer about another merchant, appid or
// order is ErrUnknown.
func (c *Client) Query(ctx context.Context, outTradeNo string) (payment.Transaction, error) {
	what := doing{name: "query", refused: refusedQuery}
	var t transaction
	path := "/v3/pay/transactions/out-trade-no/" + url.PathEscape(outTradeNo) + "?mchid=" + url.QueryEscape(c.cfg.MchID)
	if err := c.get(ctx, what, path, &t); err != nil {
		return payment.Transaction{}, err
	}
	if t.MchID != c.cfg.MchID || t.AppID != c.cfg.AppID || t.OutTradeNo != outTradeNo {
		return payment.Transaction{}, unreadable(what.name, "about another order")
	}
	out := payment.Transaction{OutTradeNo: t.OutTradeNo, TransactionID: t.TransactionID, State: payment.TradeState(t.TradeState),
		Total: t.Amount.Total, Currency: t.Amount.Currency}
	if t.Payer.OpenID != "" {
		out.OpenID = sensitive.NewOpenID(t.Payer.OpenID)
	}
	paid := out.State == payment.Success || out.State == payment.TradeRefunded
	switch {
	case out.State == "" || out.Total < 0 || out.Total > money.Max:
		return payment.Transaction{}, unreadable(what.name, "without state or with an impossible amount")
	case !paid:
		return out, nil
	}
	var err error
	if out.PaidAt, err = wireTime(t.SuccessTime); err != nil || out.TransactionID == "" {
		return payment.Transaction{}, unreadable(what.name, "paid, but without transaction_id or success_time")
	}
	return out, nil
}

// wireTime reads RFC 3339 into UTC.
func wireTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("not RFC 3339")
	}
	return t.UTC(), nil
}

// Close closes an unpaid order (关闭订单); nil is a verified 204. Errors: ErrOrderPaid (also when the password was typed already),
// ErrOrderClosed, ErrOrderNotExist, ErrRejected, ErrNotSent, ErrUnknown.
func (c *Client) Close(ctx context.Context, outTradeNo string) error {
	body := encode(struct {
		MchID string `json:"mchid"`
	}{c.cfg.MchID})
	path := "/v3/pay/transactions/out-trade-no/" + url.PathEscape(outTradeNo) + "/close"
	return c.post(ctx, doing{name: "close", refused: refusedClose}, path, http.StatusNoContent, body, nil)
}
