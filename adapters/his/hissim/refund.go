package hissim

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/money"
)

// RefundLine is one item that goes back, or a part of its quantity.
type RefundLine struct {
	BillNo   string    `json:"bill_no"`
	LineNo   string    `json:"line_no"`
	Quantity string    `json:"quantity"`
	TotalFen money.Fen `json:"total_fen"`
}

func (l RefundLine) key() itemKey { return itemKey{l.BillNo, l.LineNo} }

// quantity is the line's, which was checked when it came in.
func (l RefundLine) quantity() decimal.Decimal {
	q, err := decimal.NewFromString(l.Quantity)
	if err != nil {
		return decimal.Zero
	}
	return q
}

// RefundState is where a refund stands.
type RefundState string

// The states of a refund.
const (
	RefundHeld    RefundState = "held"    // agreed, items kept back
	RefundDropped RefundState = "dropped" // the number is spent, nothing is kept
	RefundBooked  RefundState = "booked"  // in the books
)

// Refund is something of a posting that goes back (退费), by the platform's number.
type Refund struct {
	RefundNo    string       `json:"refund_no"`
	OrderNo     string       `json:"order_no"`
	HISRefundNo string       `json:"his_refund_no,omitempty"`
	State       RefundState  `json:"state"`
	Lines       []RefundLine `json:"lines,omitempty"`  // what is given up
	Rebill      []RefundLine `json:"rebill,omitempty"` // what nobody gave up, to be billed anew
	TotalFen    money.Fen    `json:"total_fen"`        // of both
	Reason      string       `json:"reason,omitempty"`
	HeldAt      time.Time    `json:"held_at,omitzero"`

	BookingNo     string     `json:"booking_no,omitempty"`
	RestParts     Parts      `json:"rest_parts"` // the members from here on are the booking's
	RestSetlID    string     `json:"rest_setl_id,omitempty"`
	RestVisitID   string     `json:"rest_mdtrt_id,omitempty"`
	RestSettledAt *time.Time `json:"rest_settled_at,omitempty"`
	OutRefundNo   string     `json:"out_refund_no,omitempty"`
	RefundID      string     `json:"refund_id,omitempty"`
	RefundedAt    *time.Time `json:"refunded_at,omitempty"`
	Rebilled      []string   `json:"rebilled_bill_nos,omitempty"`
	Note          bool       `json:"note"`
	ByHand        bool       `json:"by_hand,omitempty"`
	BookedAt      time.Time  `json:"booked_at,omitzero"`
}

// booked are the refunds of an order that are in the books, as they came.
func (s *state) booked(order string) iter.Seq[Refund] {
	return func(yield func(Refund) bool) {
		for _, no := range s.refundsOf[order] {
			if r := s.refunds[no]; r.State == RefundBooked && !yield(r) {
				return
			}
		}
	}
}

// returned is what went back of a paid bill.
func (s *state) returned(b Bill) []returnedView {
	if b.PaidWhere != atPlatform {
		return nil
	}
	var out []returnedView
	for r := range s.booked(b.PaidBy) {
		for _, l := range slices.Concat(r.Lines, r.Rebill) {
			if l.BillNo == b.No {
				out = append(out, returnedView{LineNo: l.LineNo, Quantity: l.Quantity, TotalFen: l.TotalFen, RefundNo: r.RefundNo,
					BookedAt: wireTime(r.BookedAt)})
			}
		}
	}
	return out
}

// sameLines compares two lists of items in any order, quantities by value.
func sameLines(a, b []RefundLine) bool {
	sorted := func(list []RefundLine) []RefundLine {
		return slices.SortedFunc(slices.Values(list), func(x, y RefundLine) int {
			return strings.Compare(x.BillNo+" "+x.LineNo, y.BillNo+" "+y.LineNo) // numbers hold no blanks
		})
	}
	return slices.EqualFunc(sorted(a), sorted(b), func(x, y RefundLine) bool {
		return x.key() == y.key() && x.TotalFen == y.TotalFen && x.quantity().Equal(y.quantity())
	})
}

func sumLines(lines []RefundLine) money.Fen {
	var sum money.Fen
	for _, l := range lines {
		sum += l.TotalFen
	}
	return sum
}
