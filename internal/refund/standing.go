package refund

import (
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// KindQuery is the kind of a HIS's question what became of a refund that it asked for: Number is the order's, ID the HIS's number of the refund.
const KindQuery = "refund_query"

// Known is how far a refund is that the HIS asked for, as it is told.
type Known string

// What the HIS may be told.
const (
	NotKnown      Known = "unknown"   // 未收到: it may be asked for
	KnownAsked    Known = "asked"     // 已收到
	KnownUnderWay Known = "under_way" // 退费中
	KnownDone     Known = "done"      // 已退费
	KnownRefused  Known = "refused"   // 未予退费: nothing has moved
	KnownInReview Known = "in_review" // 人工核实中
)

// Standing is what became of a refund that the HIS asked for.
type Standing struct {
	HISNo   string
	OrderNo string
	Known   Known

	RefundNo string    // ours; empty until there is one
	Total    money.Fen // of the items
	Note     bool
	Counted  bool      // Insurance and Cash are known: the refund is done
	Insurer  money.Fen // what the insurer took back of it; below zero: what he bears more than before
	Cash     money.Fen // what the patient got back of it

	AskedAt   time.Time // zero: not yet, as all that follow
	HeldAt    time.Time
	InsuredAt time.Time
	CashAt    time.Time
	DoneAt    time.Time

	Cause string // why it was refused, or is reviewed: a code
	Said  string // the same in words
}

// Standing tells the HIS what became of a refund.
func (f *Refund) Standing(orderNo string) Standing {
	known := map[State]Known{Asked: KnownAsked, Held: KnownUnderWay, Done: KnownDone, Refused: KnownRefused, InReview: KnownInReview}[f.State]
	s := Standing{HISNo: f.HISNo, OrderNo: orderNo, Known: known, RefundNo: f.ID.No(), Total: f.Total(), Note: f.Note, AskedAt: f.AskedAt, HeldAt: f.HeldAt,
		InsuredAt: f.InsuredAt, CashAt: f.CashAt, DoneAt: f.DoneAt}
	if f.State == Refused || f.State == InReview {
		s.Cause = f.Cause
	}
	if f.State == Done && f.RestKnown() {
		s.Counted, s.Cash, s.Insurer = true, f.CashDue(), f.Total()-f.CashDue()
	}
	return s
}
