// Package order is one checkout: its bills, both legs, the posting to the HIS. It alone sees both legs, and drives them by the rules of
// design.md §3 and §4: intent, call, result; unknown is never failed.
package order

import (
	"slices"
	"strconv"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// What a caller may be told.
var (
	ErrNotFound  = fault.New(fault.NotFound, "ORDER_NOT_FOUND", "没有找到该订单")
	ErrBillLive  = fault.New(fault.Conflict, "BILL_IN_ORDER", "该费用单已有缴费订单，请继续原订单")
	ErrState     = fault.New(fault.Conflict, "ORDER_STATE", "订单当前状态不允许该操作")
	ErrConfirmed = fault.New(fault.Conflict, "ORDER_CONFIRMED", "订单已确认，请勿重复提交")
	ErrChanged   = fault.New(fault.Conflict, "ORDER_CHANGED", "金额已更新，请重新核对后确认")
	ErrExpired   = fault.New(fault.Conflict, "QUOTE_EXPIRED", "预结算结果已过期，请重新发起")
	ErrNoBills   = fault.New(fault.Invalid, "BILLS_MISSING", "请选择要缴费的费用单")
	ErrRoute     = fault.New(fault.Internal, "ROUTE_UNKNOWN", "系统繁忙，请稍后再试")
	ErrBillCount = fault.New(fault.Invalid, "BILLS_TOO_MANY", "一次只能缴纳同一次就诊的费用单")
	ErrOneBill   = fault.New(fault.Invalid, "BILLS_ONE_EACH", "本院的费用单须逐张缴费，请一次选择一张")
	ErrKinds     = fault.New(fault.Invalid, "BILL_KINDS_MIXED", "挂号费、门诊费用和住院预交金不能一起缴费，请分别缴费")
	ErrAuthUsed  = fault.New(fault.Conflict, "AUTH_USED", "请先重新完成医保授权")
)

// ID names an order. Its decimal text, at most 19 digits, is the order number that the HIS and WeChat see.
type ID int64

// No is the order number.
func (id ID) No() string { return strconv.FormatInt(int64(id), 10) }

// ParseID reads an order number.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || strconv.FormatInt(n, 10) != s {
		return 0, ErrNotFound
	}
	return ID(n), nil
}

// JobKind is the kind of an order's one job; its Ref is the order number.
const JobKind = "order"

// Route says which counterparts serve an order and in which sequence (design.md §3).
type Route string

// The routes.
const (
	Core  Route = "core"  // 医保核心平台: cash first by the presettled amount, then 2207
	Mixed Route = "mixed" // 医保移动支付中心 and WeChat's mixed order under one password
	HIS   Route = "his"   // the HIS presettles and settles by its own link
)

// Order is one checkout in full: what is stored, loaded and moved as a whole.
type Order struct {
	ID          ID
	Institution string
	Account     patient.AccountID
	Patient     patient.ID
	HISPatient  string
	Route       Route
	State       State
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time

	Bills []Bill
	Total money.Fen
	Split split.Split // foreseen until settled, then actual

	// The quote.
	Insured     bool  // the patient wants the insurer to be asked
	PayAuth     int64 // patient.PayAuth.ID; 0 without
	AuthUntil   time.Time
	UseAccount  bool
	QuotedUntil time.Time
	Renew       bool   // the insurer or WeChat wants a new authorisation; until QuotedUntil the order waits for it
	Refusal     string // the insurer's words when it refused; sealed at rest
	ConfirmedAt time.Time
	CancelAsked bool

	// The HIS lock and posting.
	Lock        LockState
	LockedUntil time.Time
	Post        PostState
	PostReady   bool // proved not booked: Post may be sent
	Posted      Posted

	Cause Cause // why it is being closed, unwound or reviewed

	Settlements []*settlement.Settlement // in order of Seq; only the last may be open
	Payments    []*payment.Payment
	Mixed       []*payment.Mixed // both legs under one password, where the route has them move together

	Refunds         []*refund.Refund // in order of Seq; worked on one after the other
	RefundInsured   money.Fen        // reserved by refunds that are not refused: of what the insurer saw
	RefundUninsured money.Fen        // and of what it never saw; never above what there was

	Events []Event // new ones, not yet stored; the store empties it
	Vote   *Vote   // likewise

	Request *job.Request // of our API, that this order is moved for: its record is stored with the next write
	Notice  int64        // likewise: the stored notice that is handled with the next write

	changed bool // something changed that no event tells
}

// Bill is one bill of an order: the copy that was quoted.
type Bill struct {
	Bill   bill.Bill
	Digest string // SM3 over the bill as read
}

// LockState is how the HIS lock stands.
type LockState string

// The lock states.
const (
	Unlocked  LockState = ""         // never asked
	LockAsked LockState = "asked"    // asked, perhaps held
	Locked    LockState = "held"     // 已锁单
	Released  LockState = "released" // given back, or proved expired
)

// PostState is how the posting to the HIS stands.
type PostState string

// The posting states.
const (
	PostNone  PostState = ""
	PostAsked PostState = "asked"  // sent; only a query tells
	PostDone  PostState = "posted" // 已入账
)

// Settlement is the current attempt of the insurance leg, nil before the first. What a refund prepares for the rest becomes current once the
// insurer is asked to settle it, and ceases to be when he did not.
func (o *Order) Settlement() *settlement.Settlement {
	for _, s := range slices.Backward(o.Settlements) {
		if !s.Anew || s.Stood() {
			return s
		}
	}
	return nil
}

// Refund is the refund that is worked on, or that people look at: the oldest that is not at its end. Nil without one.
func (o *Order) Refund() *refund.Refund {
	for _, f := range o.Refunds {
		if !f.State.Final() {
			return f
		}
	}
	return nil
}

// Standing is what stands of the order by part, after the refunds that were made.
func (o *Order) Standing() split.Split {
	standing := o.Split
	for _, f := range o.Refunds {
		if f.State == refund.Done {
			standing = f.Rest
		}
	}
	return standing
}

// GivenBack reports whether nothing of a completed order is left: its bills may be in another order again.
func (o *Order) GivenBack() bool {
	return o.State == Completed && o.Split != (split.Split{}) && o.Standing() == (split.Split{})
}

// Live reports whether the order still holds its bills: no other order may be made of them. Marks once given up are never taken again
// (Store.Save).
func (o *Order) Live() bool { return o.State != Closed && o.State != Unwound && !o.GivenBack() }

// Payment is the current attempt of the cash leg, nil before the first.
func (o *Order) Payment() *payment.Payment {
	if len(o.Payments) == 0 {
		return nil
	}
	return o.Payments[len(o.Payments)-1]
}

// MixedOrder is the current attempt to move both legs under one password, nil before the first of the current upload.
func (o *Order) MixedOrder() *payment.Mixed {
	s := o.Settlement()
	if len(o.Mixed) == 0 || s == nil {
		return nil
	}
	if m := o.Mixed[len(o.Mixed)-1]; m.SerialNo == s.Upload.OrderNo {
		return m
	}
	return nil
}

// BillNos lists the HIS's numbers of the bills.
func (o *Order) BillNos() []string {
	nos := make([]string, len(o.Bills))
	for i := range o.Bills {
		nos[i] = o.Bills[i].Bill.No
	}
	return nos
}

// InsuredTotal is the sum of the lines that go to the insurer.
func (o *Order) InsuredTotal() money.Fen {
	var sum money.Fen
	for i := range o.Bills {
		sum += o.Bills[i].Bill.Insured()
	}
	return sum
}

// Event is one line of an order's history: every move of the order and its legs, with who caused it and the amounts by part.
type Event struct {
	Seq     int // 1, 2, 3 … within the order; the store numbers them
	At      time.Time
	Actor   string // "account:12", "system", "staff:3"
	Subject string // "order", "settlement", "payment", "mixed", "his"
	Verb    string // what happened
	From    string
	To      string
	Number  string      // the number the event is about: msgid, out_trade_no, setl_id …
	Split   split.Split // amounts by part, where the event has amounts
	Detail  string      // a code or a short fact; no personal data
	Posting ledger.Posting
}
