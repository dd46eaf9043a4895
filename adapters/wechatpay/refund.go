package wechatpay

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
)

// refundBody is the body of POST /v3/refund/domestic/refunds (申请退款, wechat-pay.md §2.7).
type refundBody struct {
	OutTradeNo  string          `json:"out_trade_no"`
	OutRefundNo string          `json:"out_refund_no"`
	Reason      string          `json:"reason,omitempty"`
	NotifyURL   string          `json:"notify_url"`
	Amount      refundBodyMoney `json:"amount"`
}

type refundBodyMoney struct {
	Refund   money.Fen `json:"refund"` // fen
	Total    money.Fen `json:"total"`  // fen, of the order
	Currency string    `json:"currency"`
}

// BuildRefund makes the exact body of a refund. ErrRequest names the field that WeChat Pay would not bear.
func (c *Client) BuildRefund(r payment.RefundOrder) ([]byte, error) {
	switch {
	case !tradeNumber(r.OutTradeNo, 6, 32):
		return nil, ErrRequest.At("out_trade_no")
	case !tradeNumber(r.OutRefundNo, 1, 64):
		return nil, ErrRequest.At("out_refund_no")
	case len(r.Reason) > 80 || !clean(r.Reason, 80):
		return nil, ErrRequest.At("reason")
	case r.Refund < 1 || r.Refund > r.Total || r.Total > money.Max:
		return nil, ErrRequest.At("amount.refund")
	}
	return encode(refundBody{OutTradeNo: r.OutTradeNo, OutRefundNo: r.OutRefundNo, Reason: r.Reason, NotifyURL: c.cfg.RefundNotifyURL,
		Amount: refundBodyMoney{r.Refund, r.Total, "CNY"}}), nil
}

// refundAnswer is a refund in WeChat's answers. The SDK's struct fails on success_time "" and is not used.
type refundAnswer struct {
	RefundID    string `json:"refund_id"`
	OutRefundNo string `json:"out_refund_no"`
	OutTradeNo  string `json:"out_trade_no"`
	Status      string `json:"status"`
	SuccessTime string `json:"success_time"`
	Account     string `json:"user_received_account"`
	Amount      struct {
		Refund money.Fen `json:"refund"`
		Total  money.Fen `json:"total"`
	} `json:"amount"`
}

// Refund sends a body made by BuildRefund as it is. Errors: ErrNotEnough, ErrRejected, ErrNotSent, ErrUnknown; 429 is ErrUnknown. A
// refusal is unsigned and therefore only a claim: the caller queries before it believes that nothing was refunded.
func (c *Client) Refund(ctx context.Context, body []byte) (payment.RefundStatus, error) {
	var asked refundBody
	if json.Unmarshal(body, &asked) != nil || asked.OutRefundNo == "" {
		return payment.RefundStatus{}, ErrRequest.At("out_refund_no")
	}
	what := doing{name: "refund", refused: refusedRefund}
	var answer refundAnswer
	if err := c.post(ctx, what, "/v3/refund/domestic/refunds", http.StatusOK, body, &answer); err != nil {
		return payment.RefundStatus{}, err
	}
	return readRefund(what.name, answer, asked.OutRefundNo)
}

// QueryRefund asks by our number (查询单笔退款). Errors: ErrRefundNotExist, ErrNotSent, ErrUnknown.
func (c *Client) QueryRefund(ctx context.Context, outRefundNo string) (payment.RefundStatus, error) {
	what := doing{name: "refund query", refused: refusedRefundQuery}
	var answer refundAnswer
	if err := c.get(ctx, what, "/v3/refund/domestic/refunds/"+url.PathEscape(outRefundNo), &answer); err != nil {
		return payment.RefundStatus{}, err
	}
	return readRefund(what.name, answer, outRefundNo)
}

// atMerchant is how user_received_account begins where an abnormal refund went to the merchant's own account (wechat-pay.md §2.7). The words are
// unconfirmed; whatever else begins so is shown to a person as well.
const atMerchant = "商户"

func readRefund(name string, a refundAnswer, asked string) (payment.RefundStatus, error) {
	out := payment.RefundStatus{OutRefundNo: a.OutRefundNo, OutTradeNo: a.OutTradeNo, RefundID: a.RefundID,
		State: payment.RefundState(a.Status), Refund: a.Amount.Refund, Total: a.Amount.Total}
	switch {
	case a.OutRefundNo != asked:
		return payment.RefundStatus{}, unreadable(name, "about another refund")
	case a.Status == "" || out.Refund < 1 || out.Refund > out.Total || out.Total > money.Max:
		return payment.RefundStatus{}, unreadable(name, "without status or with an impossible amount")
	case out.State != payment.RefundSuccess:
		return out, nil
	}
	at, err := wireTime(a.SuccessTime)
	if err != nil {
		return payment.RefundStatus{}, unreadable(name, "SUCCESS without success_time")
	}
	out.SucceededAt, out.ToMerchant = at, strings.HasPrefix(a.Account, atMerchant)
	return out, nil
}
