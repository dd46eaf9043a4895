package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// What WeChat Pay says no to a mixed order with (wechat-med-ins.md §g). Each is Rejected and holds for an order that was not asked before;
// Msg is for the patient. MixedStatus.Number keeps the number behind it.
var (
	// ErrMixedAuth: pay_auth_no is expired, used or somebody else's (268547120, 268545967).
	ErrMixedAuth = fault.New(fault.Rejected, "MIXED_AUTH", "医保授权已失效，请重新授权")
	// ErrMixedPayer: identity digest or name differ from the bound e-credential (268545961, 268545962).
	ErrMixedPayer = fault.New(fault.Rejected, "MIXED_PAYER", "姓名或证件号码与微信绑定的医保电子凭证不一致，请使用本人微信支付")
	// ErrMixedNoCredential: the WeChat account has no e-credential (268545963).
	ErrMixedNoCredential = fault.New(fault.Rejected, "MIXED_NO_CREDENTIAL", "当前微信未激活医保电子凭证，请先激活后再发起缴费")
	// ErrMixedKin: no such kinship (268545964).
	ErrMixedKin = fault.New(fault.Rejected, "MIXED_KIN", "未绑定亲情账户，请先在医保电子凭证中绑定亲属")
	// ErrMixedInsurer: the bureau refused (268510610); the real reason is in MixedStatus.FailReason, if anywhere.
	ErrMixedInsurer = fault.New(fault.Rejected, "MIXED_INSURER", "医保未受理本次支付")
	// ErrMixedExists: the number is taken (ALREADY_EXISTS, 268512536): to be queried.
	ErrMixedExists = fault.New(fault.Rejected, "MIXED_EXISTS", "订单已存在")
	// ErrMixedNotExist: a 404 of a query (NOT_FOUND, ORDER_NOT_EXIST, 268529515). It is not signed: the identical order may be sent again.
	ErrMixedNotExist = fault.New(fault.Rejected, "MIXED_NOT_EXIST", "订单不存在")
	// ErrMixedRefused: anything else that is ours to mend: a wrong request, a missing permission (268510603, 268510604, 268529474,
	// 268529475, 268529476, 268529477, 268529481, 268435461, SIGN_ERROR, NO_AUTH, REQUEST_BLOCKED).
	ErrMixedRefused = fault.New(fault.Rejected, "MIXED_REFUSED", "微信医保支付暂不可用，请到窗口缴费")
	// ErrMixedNoReverse: 268554200, 268554422: WeChat cannot take the order back; nothing of ours asks for that.
	ErrMixedNoReverse = fault.New(fault.Rejected, "MIXED_NO_REVERSE", "订单暂不能撤销")
)

// MixedGateway is WeChat Pay's mixed order (医保自费混合订单, /v3/med-ins, wechat-med-ins.md) for one merchant. Errors are the sentinels
// above, ErrUnknown (also 429, 5xx, 202, a rate limit, an answer that fails verification or breaks the equations) and ErrNotSent.
type MixedGateway interface {
	// BuildMixed makes the exact body of POST /v3/med-ins/orders, personal data encrypted under the key that the verifier reports. Stored, and
	// sent byte for byte. Invalid, with the field, for what WeChat refuses: forbidden or missing fields of the type, broken equations, lengths.
	BuildMixed(m MixedOrder) ([]byte, error)
	// CreateMixed sends that body. An answer means that the order exists, not that it is paid. On a refusal the status carries the number only.
	CreateMixed(ctx context.Context, body []byte) (MixedStatus, error)
	// QueryMixed asks by WeChat's number, or by ours when that is not known; only a verified answer is returned.
	QueryMixed(ctx context.Context, outTradeNo, mixTradeNo string) (MixedStatus, error)
	// MixedCashier signs what wx.requestMedicalInsurancePay needs; without a prepayID the five cash arguments are empty.
	MixedCashier(mixTradeNo, prepayID string) (Cashier, error)
	// BuildRefundNotice makes the exact body of POST /v3/med-ins/refunds/notify: all four amounts, zeros too.
	BuildRefundNotice(n RefundNotice) ([]byte, error)
	// NotifyRefund tells WeChat that the insurer's part is back; nil is a verified 204. Repeats do no harm.
	NotifyRefund(ctx context.Context, mixTradeNo string, body []byte) error
}

// MixedAmounts are the amounts of a mixed order, in fen (wechat-med-ins.md §c).
type MixedAmounts struct {
	Total   money.Fen `json:"total_fen"`           // T, total_fee
	Gov     money.Fen `json:"med_ins_gov_fen"`     // G, fundPay
	Self    money.Fen `json:"med_ins_self_fen"`    // S, psnAcctPay
	Other   money.Fen `json:"med_ins_other_fen"`   // O, othFeeAmt
	Cash    money.Fen `json:"med_ins_cash_fen"`    // C, ownPayAmt
	Added   money.Fen `json:"cash_add_fen"`        // A: what the insurer never saw
	Reduced money.Fen `json:"cash_reduce_fen"`     // R
	Wechat  money.Fen `json:"wechat_pay_cash_fen"` // W
}

// ErrEquation is amounts that break an equation of the mixed order.
var ErrEquation = fault.New(fault.Invalid, "MIXED_AMOUNTS", "医保支付金额不平，暂不能缴费，请联系医院")

// Check returns ErrEquation unless no amount is negative and T = G + S + O + W + R, T = G + S + O + C + A, W = C + A − R.
func (a MixedAmounts) Check() error {
	for _, f := range []money.Fen{a.Total, a.Gov, a.Self, a.Other, a.Cash, a.Added, a.Reduced, a.Wechat} {
		if f < 0 || f > money.Max {
			return ErrEquation.Because(fmt.Errorf("an amount is %s", f))
		}
	}
	switch insured := a.Gov + a.Self + a.Other; {
	case a.Total != insured+a.Wechat+a.Reduced:
		return ErrEquation.Because(fmt.Errorf("total %s is not %s + %s + %s", a.Total, insured, a.Wechat, a.Reduced))
	case a.Total != insured+a.Cash+a.Added:
		return ErrEquation.Because(fmt.Errorf("total %s is not %s + %s + %s", a.Total, insured, a.Cash, a.Added))
	case a.Wechat != a.Cash+a.Added-a.Reduced:
		return ErrEquation.Because(fmt.Errorf("cash %s is not %s + %s - %s", a.Wechat, a.Cash, a.Added, a.Reduced))
	}
	return nil
}

// MixedPerson is a payer or a relative towards WeChat: name and identity number travel encrypted.
type MixedPerson struct {
	Name     sensitive.Name
	IDNumber sensitive.IDNumber
}

// MixedOrder is one mixed order to be made. Without a PrepayID it is INSURANCE_ONLY, with one CASH_AND_INSURANCE.
type MixedOrder struct {
	OutTradeNo string // the cash order's, where there is one
	SerialNo   string // medOrgOrd of 6201, at most 20
	PayOrderID string // payOrdId of 6201, at most 64
	PayAuthNo  sensitive.Token
	OrderType  string // DIAG_PAY, REG_PAY …
	OpenID     sensitive.OpenID
	Payer      MixedPerson
	Relative   *MixedPerson // the patient, where somebody else pays with the patient's insurance (亲情付)
	Location   string       // longitude,latitude
	UploadedAt time.Time    // med_ins_order_create_time
	Amounts    MixedAmounts
	PrepayID   string
	Attach     string
}

// The three states of a mixed order (wechat-med-ins.md §d.1). Any other value is an alarm, never success and never failure.
const (
	MixCreated  = "MIX_PAY_CREATED"
	MixSuccess  = "MIX_PAY_SUCCESS"
	MixFail     = "MIX_PAY_FAIL"
	MixRefund   = "MIX_PAY_REFUND"
	SelfCreated = "SELF_PAY_CREATED"
	SelfSuccess = "SELF_PAY_SUCCESS"
	SelfRefund  = "SELF_PAY_REFUND"
	SelfFail    = "SELF_PAY_FAIL"
	SelfNone    = "NO_SELF_PAY"
	InsCreated  = "MED_INS_PAY_CREATED"
	InsSuccess  = "MED_INS_PAY_SUCCESS"
	InsRefund   = "MED_INS_PAY_REFUND"
	InsFail     = "MED_INS_PAY_FAIL"
	InsNone     = "NO_MED_INS_PAY"
)

// MixedStatus is a verified answer about a mixed order. The adapter has compared appid and merchant and checked the equations; the domain
// compares the rest.
type MixedStatus struct {
	MixTradeNo string
	OutTradeNo string
	SerialNo   string
	PayOrderID string
	Mix        string // mix_pay_status
	Self       string // self_pay_status
	MedIns     string // med_ins_pay_status
	Amounts    MixedAmounts
	OpenID     sensitive.OpenID // empty when the answer has none
	PaidAt     time.Time        // zero unless paid
	FailReason string           // med_ins_fail_reason, for staff
	Number     string           // of a refusal: the digits at the end of Request-ID, or "-"
}

// RefundNotice tells WeChat what the insurer took back, in fen.
type RefundNotice struct {
	MixTradeNo  string
	OutRefundNo string // the cash refund's, where there was one
	Gov         money.Fen
	Self        money.Fen
	Other       money.Fen
	RefundedAt  time.Time
}
