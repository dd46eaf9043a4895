package order

import (
	"fmt"
)

// State is where an order stands, as the column holds it.
type State string

// The states, and what the patient reads.
const (
	Quoting     State = "quoting"   // 预结算中
	Quoted      State = "quoted"    // 待确认
	Paying      State = "paying"    // 支付中
	Settling    State = "settling"  // 医保结算中
	BeingPosted State = "posting"   // 已支付·医院入账中
	Completed   State = "completed" // 已完成
	Closing     State = "closing"   // 关闭中
	Closed      State = "closed"    // 已关闭
	Unwinding   State = "unwinding" // 撤销中·退款原路返回
	Unwound     State = "unwound"   // 已撤销
	InReview    State = "review"    // 人工核实中
)

// Final reports whether nothing more happens by itself. A review waits for people and is not final.
func (s State) Final() bool { return s == Completed || s == Closed || s == Unwound }

// Move is what happens to an order.
type Move string

// The moves' names.
const (
	Quote    Move = "quote"    // who pays what is known
	Requote  Move = "requote"  // bills changed, or the quote is too old
	Collect  Move = "collect"  // the cash leg begins
	Settle   Move = "settle"   // the insurance leg's settlement begins
	PostTo   Move = "post"     // all money is there; the HIS is told
	Complete Move = "complete" // the HIS has booked it
	Abandon  Move = "abandon"  // to be closed: nothing was taken
	Shut     Move = "shut"     // every counterpart proved dead
	Resume   Move = "resume"   // cannot be closed: the password was typed
	Unwind   Move = "unwind"   // money was taken and must go back
	Undone   Move = "undone"   // everything is back
	Escalate Move = "escalate" // nobody but a person can tell
)

type row struct {
	from State
	on   Move
	to   State
}

// moves is the whole machine (design.md §3), as rows of from, on, to; what is not listed is forbidden.
var moves = []row{
	{Quoting, Quote, Quoted},
	{Quoting, Abandon, Closing},
	{Quoted, Collect, Paying},
	{Quoted, Settle, Settling},
	{Quoted, Requote, Quoting},
	{Quoted, Abandon, Closing},
	{Paying, Settle, Settling},
	{Paying, PostTo, BeingPosted},
	{Paying, Abandon, Closing},
	{Paying, Unwind, Unwinding},
	{Paying, Escalate, InReview},
	{Closing, Shut, Closed},
	{Closing, Resume, Paying},
	{Closing, Requote, Quoting}, // everything proved dead; the patient authorises anew
	{Closing, Unwind, Unwinding},
	{Closing, Escalate, InReview},
	{Closed, Unwind, Unwinding}, // a verified late payment: never dropped, never back to paid
	{Settling, PostTo, BeingPosted},
	{Settling, Unwind, Unwinding},
	{Settling, Abandon, Closing},
	{Settling, Escalate, InReview},
	{BeingPosted, Complete, Completed},
	{BeingPosted, Unwind, Unwinding},
	{BeingPosted, Escalate, InReview},
	{Unwinding, Undone, Unwound},
	{Unwinding, Escalate, InReview},
	{InReview, PostTo, BeingPosted}, // by two people, as all that follow
	{InReview, Settle, Settling},
	{InReview, Unwind, Unwinding},
	{InReview, Shut, Closed},
	{InReview, Complete, Completed},
}

// Next is the state after the move; ErrState when there is no such move.
func (s State) Next(m Move) (State, error) {
	for _, r := range moves {
		if r.from == s && r.on == m {
			return r.to, nil
		}
	}
	return s, ErrState.Because(fmt.Errorf("no move from %s on %s", s, m))
}

// Cause is why an order is closed, unwound or reviewed: a fixed list, so that staff and tests can count them.
type Cause string

// The causes.
const (
	ByPatient       Cause = "patient_cancelled"   // 患者取消
	QuoteOld        Cause = "quote_expired"       // 未在有效期内确认
	NotPaid         Cause = "not_paid"            // 未在有效期内支付
	InsurerSilent   Cause = "insurer_no_answer"   // 医保平台无应答
	HISSilent       Cause = "his_no_answer"       // 医院系统无应答
	HISMaintenance  Cause = "his_maintenance"     // 医院系统维护中
	PaidElsewhere   Cause = "bill_paid_elsewhere" // 费用单已在其他渠道缴费
	BillVoid        Cause = "bill_void"           // 费用单已作废
	BillBusy        Cause = "bill_locked"         // 费用单正在其他渠道缴费
	BillUnreadable  Cause = "bill_unreadable"     // 费用单信息有误
	AuthTooOld      Cause = "auth_expired"        // 医保授权已过期
	CashRefused     Cause = "wechat_refused"      // 微信支付未受理
	SettleRefused   Cause = "insurer_refused"     // 医保结算被拒
	SettleUnproved  Cause = "insurer_not_settled" // 医保结算未成功
	AmountsMoved    Cause = "insurer_amounts"     // 医保结算金额与预结算不一致
	LatePayment     Cause = "late_payment"        // 订单关闭后到账
	CashMismatch    Cause = "wechat_amounts"      // review: 微信支付金额或单号不符
	CashGone        Cause = "wechat_refunded"     // review: 微信支付已被他处退款
	InsurerUnproved Cause = "insurer_unproved"    // review: 医保结算结果无法核实
	CancelRefused   Cause = "insurer_cancel"      // review: 医保结算撤销被拒
	CancelUnproved  Cause = "insurer_cancel_lost" // review: 医保结算撤销结果无法核实
	HISMismatch     Cause = "his_amounts"         // review: 医院入账金额不符
	RefundStuck     Cause = "wechat_refund"       // review: 微信退款异常
	TooLong         Cause = "too_long"            // review: 超过时限仍无结果
	NumberTaken     Cause = "number_taken"        // review: 对方给出的单号已属于另一笔订单

	AuthRefused    Cause = "auth_refused"        // 医保授权已失效
	PayerRefused   Cause = "payer_mismatch"      // 付款人与医保电子凭证不一致
	NoCredential   Cause = "no_credential"       // #nosec G101 -- 未激活医保电子凭证; a cause, no secret
	NoKin          Cause = "no_kinship"          // 未绑定亲情账户
	MixedRefused   Cause = "wechat_med_refused"  // 微信医保支付未受理
	MixedFailed    Cause = "wechat_med_failed"   // 微信医保支付未成功
	MixedMismatch  Cause = "wechat_med_amounts"  // review: 微信医保订单金额或单号不符
	MixedGone      Cause = "wechat_med_refunded" // review: 微信医保订单已在他处退款
	CentreMismatch Cause = "centre_amounts"      // review: 医保中心金额或单号不符
	CentrePeculiar Cause = "centre_exception"    // review: 医保中心订单异常
	SidesDiffer    Cause = "wechat_centre"       // review: 微信与医保中心结果不一致

	// Why a refund is refused, or reviewed.
	NotRefundable  Cause = "his_not_refundable" // 药品已发放或项目已执行
	OrderUnwound   Cause = "order_unwound"      // 订单已整单撤销
	RestRefused    Cause = "rest_refused"       // 剩余费用医保未受理
	RestUnsettled  Cause = "rest_unsettled"     // review: 剩余费用医保结算未成功，原结算已恢复
	WouldOwe       Cause = "would_owe"          // review: 退费后患者应付金额增加
	BegunAtWindow  Cause = "begun_at_window"    // 医保部分已在窗口退过
	GivenTwice     Cause = "given_twice"        // review: 微信与窗口都已退款
	PaymentTooOld  Cause = "payment_too_old"    // review: 支付已满一年
	TooManyRefunds Cause = "too_many_refunds"   // review: 微信退款次数已达上限
	NoteOfInsured  Cause = "note_of_insured"    // review: 窗口已退含医保的部分项目
	DeskMismatch   Cause = "his_refund_amounts" // review: 医院退费入账不符
)
