package payment

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// What WeChat Pay may say beyond yes. The adapter compares codes with underscores removed (wechat-pay.md §2.8).
var (
	// ErrOrderPaid is ORDERPAID or OUT_TRADE_NO_USED: to be confirmed by a query.
	ErrOrderPaid = fault.New(fault.Rejected, "WECHAT_ORDER_PAID", "订单已支付")
	// ErrOrderClosed is a closed order: it can be neither paid nor closed again; to be confirmed by a query.
	ErrOrderClosed = fault.New(fault.Rejected, "WECHAT_ORDER_CLOSED", "订单已关闭")
	// ErrOrderNotExist is a 404 of a query or close. It is not signed, so it proves nothing of a number that was asked once.
	ErrOrderNotExist = fault.New(fault.Rejected, "WECHAT_ORDER_NOT_EXIST", "订单不存在")
	// ErrRefundNotExist is a 404 of a refund query, as little of a proof.
	ErrRefundNotExist = fault.New(fault.Rejected, "WECHAT_REFUND_NOT_EXIST", "退款单不存在")
	// ErrNotEnough is a merchant account without money for the refund: recharge, same number.
	ErrNotEnough = fault.New(fault.Rejected, "WECHAT_NOT_ENOUGH", "商户余额不足，退款稍后自动重试")
	// ErrRejected is any other known refusal; its Msg is for the patient, WeChat's own words stay in the log.
	ErrRejected = fault.New(fault.Rejected, "WECHAT_REJECTED", "微信支付未受理，请稍后再试")
	// ErrUnknown is no trustworthy answer: time-out, broken connection, 5xx, 429, unreadable or unsigned.
	ErrUnknown = fault.New(fault.Unknown, "WECHAT_NO_ANSWER", "微信支付暂无应答，正在确认结果，请勿重复支付")
	// ErrNotSent is a call that never left: nothing happened.
	ErrNotSent = fault.New(fault.Unavailable, "WECHAT_UNREACHABLE", "暂时无法连接微信支付，请稍后再试")
	// ErrNotice is a callback whose signature, cipher or form is wrong.
	ErrNotice = fault.New(fault.Invalid, "NOTICE_INVALID", "通知验签失败")
)

// Gateway is WeChat Pay for one merchant and appid. Errors are this package's sentinels.
type Gateway interface {
	// BuildPrepay makes the exact body of POST /v3/pay/transactions/jsapi. It is stored with the payment and sent byte for byte, first
	// and again. Errors: Invalid for an amount below one fen or text WeChat refuses.
	BuildPrepay(p Prepay) ([]byte, error)
	// Prepay sends that body and returns the prepay_id (2 hours of life). The same body again gives a usable prepay_id while unpaid.
	Prepay(ctx context.Context, body []byte) (prepayID string, err error)
	// Cashier signs what wx.requestPayment needs.
	Cashier(prepayID string) (Cashier, error)
	// Query asks by our number; only a verified answer is returned.
	Query(ctx context.Context, outTradeNo string) (Transaction, error)
	// Close closes an unpaid order; nil is a verified 204. ErrOrderPaid when it was paid meanwhile.
	Close(ctx context.Context, outTradeNo string) error
	// BuildRefund makes the exact body of POST /v3/refund/domestic/refunds.
	BuildRefund(r RefundOrder) ([]byte, error)
	// Refund sends that body. A verified answer means accepted; only RefundSuccess means the money is back.
	Refund(ctx context.Context, body []byte) (RefundStatus, error)
	// QueryRefund asks by our number; only a verified answer is returned.
	QueryRefund(ctx context.Context, outRefundNo string) (RefundStatus, error)
}

// Prepay is one JSAPI order.
type Prepay struct {
	OutTradeNo  string // 6–32 letters and digits
	Description string // what the payer sees; never a disease, a department or a name
	Attach      string // ours, comes back in query, notice and bill
	Total       money.Fen
	OpenID      sensitive.OpenID
	ExpiresAt   time.Time // time_expire
}

// Cashier are the arguments of wx.requestPayment, or with a MixTradeNo those of wx.requestMedicalInsurancePay.
type Cashier struct {
	MixTradeNo string `json:"mixTradeNo,omitempty"` // not signed
	AppID      string `json:"appId"`
	TimeStamp  string `json:"timeStamp"`
	NonceStr   string `json:"nonceStr"`
	Package    string `json:"package"`
	SignType   string `json:"signType"`
	PaySign    string `json:"paySign"`
}

// TradeState is WeChat's trade_state. A value not listed is not final and raises an alarm.
type TradeState string

// The trade states (wechat-pay.md §2.2).
const (
	NotPay        TradeState = "NOTPAY"  // 未支付
	Success       TradeState = "SUCCESS" // 支付成功
	TradeRefunded TradeState = "REFUND"  // 转入退款: paid, and at least one refund was accepted
	TradeClosed   TradeState = "CLOSED"  // 已关闭
)

// Transaction is a verified answer about a cash order. The adapter has compared mchid and appid; the domain compares the rest.
type Transaction struct {
	OutTradeNo    string
	TransactionID string
	State         TradeState
	Total         money.Fen
	Currency      string
	OpenID        sensitive.OpenID // empty when the answer has none
	PaidAt        time.Time        // zero unless paid
}

// RefundOrder is one refund of a cash order.
type RefundOrder struct {
	OutTradeNo  string
	OutRefundNo string // at most 64
	Reason      string // at most 80 bytes; no personal data
	Refund      money.Fen
	Total       money.Fen // of the cash order
}

// RefundState is WeChat's status of a refund.
type RefundState string

// The refund states (wechat-pay.md §2.7). Abnormal is not final; Closed is final for this number.
const (
	RefundProcessing RefundState = "PROCESSING"
	RefundSuccess    RefundState = "SUCCESS"
	RefundClosed     RefundState = "CLOSED"
	RefundAbnormal   RefundState = "ABNORMAL"
)

// RefundStatus is a verified answer about a refund.
type RefundStatus struct {
	OutRefundNo string
	OutTradeNo  string
	RefundID    string
	State       RefundState
	Refund      money.Fen
	Total       money.Fen
	SucceededAt time.Time // zero unless RefundSuccess
	ToMerchant  bool      // RefundSuccess, and yet not to the patient: the money is with the merchant again
}

// Notice is what a verified callback of WeChat Pay tells. It is a hint: the step that handles it queries.
//
// The adapter's Open(header http.Header, body []byte) (job.Notice, error) fills job.Notice with Source "wechatpay", ID (the envelope's),
// Kind (event_type), Number (out_trade_no, or out_refund_no's order), Body (the decrypted resource as JSON).
type Notice = job.Notice
