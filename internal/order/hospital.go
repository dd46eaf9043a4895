package order

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/split"
)

// Hospital is the HIS as the order needs it. Errors are those of package bill; each has a kind (design.md §4.3).
type Hospital interface {
	// Lock keeps the bills from being paid at the window until the answer's time. Idempotent by order number: again, it prolongs nothing
	// and answers the same. bill.ErrPaid, ErrVoid, ErrLocked, ErrMaintenance are refusals.
	Lock(ctx context.Context, l LockRequest) (until time.Time, err error)
	// Release gives the bills back. Idempotent; nothing to release is a success.
	Release(ctx context.Context, orderNo string) error
	// Post tells the HIS that the bills are paid (缴费确认). Idempotent by order number: a repeat with equal amounts answers the record.
	// bill.ErrPaid and bill.ErrVoid say that somebody else was first, to be proved by PostingOf.
	Post(ctx context.Context, p Posting) (Posted, error)
	// PostingOf asks by our order number: the only cure for an unknown Post.
	PostingOf(ctx context.Context, orderNo string, bills []string) (PostingStatus, error)
}

// LockRequest names what is to be kept.
type LockRequest struct {
	OrderNo    string
	HISPatient string
	Bills      []string
	Total      money.Fen
}

// Posting is what the HIS is told of a paid order.
type Posting struct {
	OrderNo       string // ours, at most 20 digits
	HISPatient    string
	Bills         []PostedBill
	Total         money.Fen
	Split         split.Split
	SetlID        string // 结算ID; empty without insurance
	MdtrtID       string
	SettledAt     time.Time // zero without insurance
	OutTradeNo    string    // empty without cash
	TransactionID string
	PaidAt        time.Time // zero without cash
}

// PostedBill is one bill of a posting.
type PostedBill struct {
	No    string
	Total money.Fen
}

// Posted is the HIS's answer.
type Posted struct {
	PostingNo string    `json:"posting_no"` // HIS payment number
	ReceiptNo string    `json:"receipt_no"` // 收据号
	Guide     []string  `json:"guide"`      // 导诊: where to fetch drugs, where the examination is
	PostedAt  time.Time `json:"posted_at"`
}

// PostingState is what the HIS says of our order number.
type PostingState string

// The posting states.
const (
	PostingDone      PostingState = "posted"         // booked under our number
	PostingNone      PostingState = "not_posted"     // not booked, may be sent
	PostingElsewhere PostingState = "paid_elsewhere" // 已在其他渠道缴费
	PostingVoid      PostingState = "void"           // 费用单已作废
)

// PostingStatus answers PostingOf. Total and Split are what the HIS booked, for comparison.
type PostingStatus struct {
	State  PostingState
	Posted Posted
	Total  money.Fen
	Split  split.Split
}

// RefundDesk is the HIS where something of a posted order goes back. Errors are those of package bill; each has a kind (design.md §4.3).
type RefundDesk interface {
	// HoldRefund asks whether these items may go back, and keeps them from being handed out meanwhile (退费申请). Idempotent by refund number.
	// bill.ErrNotRefundable, bill.ErrNotFound and bill.ErrMaintenance are refusals; each means that this call held nothing.
	HoldRefund(ctx context.Context, r RefundRequest) error
	// DropRefund ends the hold of a refund that will not be made. Idempotent; nothing to drop is a success.
	DropRefund(ctx context.Context, orderNo, refundNo string) error
	// BookRefund tells the HIS that the money is back (退费确认). Idempotent by refund number: a repeat answers the record.
	BookRefund(ctx context.Context, b RefundBooking) (BookedRefund, error)
	// RefundOf asks by our refund number: the only cure for an unknown HoldRefund or BookRefund.
	RefundOf(ctx context.Context, orderNo, refundNo string) (RefundStanding, error)
}

// RefundRequest names what is to go back.
type RefundRequest struct {
	OrderNo    string
	RefundNo   string // ours
	HISNo      string // the HIS's own number, where the HIS has asked; else empty
	HISPatient string
	Whole      bool // everything that is left of the order
	Lines      []refund.Line
	Total      money.Fen // their sum
	Reason     string    // short; no personal data
}

// RefundBooking is what the HIS is told of a refund whose money is back.
type RefundBooking struct {
	RefundRequest
	Rest        split.Split // what is left of the order, by part; nothing where all is back
	RestSetlID  string      // the settlement that stands for the rest now; empty without
	RestMdtrtID string
	RestSettled time.Time // zero without
	OutRefundNo string    // WeChat's refund of the cash; empty without
	RefundID    string
	RefundedAt  time.Time     // when the last of the money was back
	Rebill      []refund.Line // items that went back although nobody gave them up, because the insurer takes back a settlement as a whole: to be billed anew
	Note        bool          // the HIS had handed the money back itself; ours is a note of it
	ByHand      bool          // people have settled the cash beside WeChat
}

// BookedRefund is the HIS's record of a refund.
type BookedRefund struct {
	BookingNo string    `json:"booking_no"` // 退费流水号
	BookedAt  time.Time `json:"booked_at"`
	Rebilled  []string  `json:"rebilled,omitempty"` // new bills of what was to be billed anew
}

// RefundState is what the HIS says of our refund number.
type RefundState string

// The refund states.
const (
	RefundNone    RefundState = "none"    // unknown here
	RefundHeld    RefundState = "held"    // agreed, items kept back
	RefundDropped RefundState = "dropped" // the hold was ended
	RefundBooked  RefundState = "booked"  // in the books
)

// RefundStanding answers RefundOf. Total and Rest are what the HIS booked, for comparison.
type RefundStanding struct {
	State  RefundState
	Booked BookedRefund
	Total  money.Fen
	Rest   split.Split
}
