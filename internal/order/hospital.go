package order

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/money"
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
