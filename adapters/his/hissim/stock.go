package hissim

import (
	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/money"
)

// itemKey names one item of the hospital's bills.
type itemKey struct{ bill, line string }

// stock is what there is of one item of a paid bill.
type stock struct {
	Line
	left decimal.Decimal // did not go back
	kept decimal.Decimal // of it, for refunds under way
	out  decimal.Decimal // of it, handed out or executed
}

// free is what may go back, or be handed out.
func (s *stock) free() decimal.Decimal { return s.left.Sub(s.kept).Sub(s.out) }

// worth is price × quantity. Price and quantity stood on a bill that was checked.
func (s *stock) worth(quantity decimal.Decimal) money.Fen {
	if !quantity.IsPositive() {
		return 0
	}
	total, err := lineTotal(s.Price, quantity.String())
	if err != nil {
		return 0
	}
	return total
}

// price is what a quantity of it is worth when it goes back: the difference between the line before and after, so that what stays is
// always price × quantity.
func (s *stock) price(quantity decimal.Decimal) money.Fen {
	return s.worth(s.left) - s.worth(s.left.Sub(quantity))
}

// stockOf is what there is of every item of a posting. What the given refund keeps, and what the window asked for by that number, does
// not count as kept.
func (s *state) stockOf(p Posting, refundNo, hisRefundNo string) map[itemKey]*stock {
	all := map[itemKey]*stock{}
	for _, no := range p.BillNos {
		for _, l := range s.bills[no].Lines {
			key := itemKey{no, l.No}
			all[key] = &stock{Line: l, left: RefundLine{Quantity: l.Quantity}.quantity(), out: s.handed[key]}
		}
	}
	taken := map[string]bool{hisRefundNo: true} // asked for by the window, and kept by the platform's refund
	for _, no := range s.refundsOf[p.OrderNo] {
		r := s.refunds[no]
		taken[r.HISRefundNo] = taken[r.HISRefundNo] || r.State == RefundHeld
		for _, l := range r.Lines {
			switch st := all[l.key()]; {
			case r.State == RefundBooked:
				st.left = st.left.Sub(l.quantity())
			case r.State == RefundHeld && no != refundNo:
				st.kept = st.kept.Add(l.quantity())
			}
		}
		for _, l := range r.Rebill {
			switch st := all[l.key()]; {
			case r.State == RefundBooked:
				st.left = decimal.Zero
			case r.State == RefundHeld && no != refundNo:
				st.kept = st.left // what is not handed out stays where it is, for nobody will have paid for it
			}
		}
	}
	for _, no := range s.asksOf[p.OrderNo] {
		if a := s.asks[no]; a.State == AskOpen && !taken[no] {
			for _, l := range a.Lines {
				all[l.key()].kept = all[l.key()].kept.Add(l.quantity())
			}
		}
	}
	return all
}

// keeps reports whether something of a posting is kept for a refund under way.
func (s *state) keeps(p Posting) bool {
	for _, st := range s.stockOf(p, "", "") {
		if st.kept.IsPositive() {
			return true
		}
	}
	return false
}
