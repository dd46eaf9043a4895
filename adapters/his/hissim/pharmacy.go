package hissim

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// HandOut is how much of an item is handed out (已发药) or executed (已执行).
type HandOut struct {
	BillNo   string          `json:"bill_no"`
	LineNo   string          `json:"line_no"`
	Quantity decimal.Decimal `json:"quantity"`
}

// HandOut hands out an item of a paid bill, or executes it: the given quantity, or without one all that is neither handed out nor kept for
// a refund. ErrHeld when that is less.
func (s *Sim) HandOut(billNo, lineNo, quantity string) (HandOut, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.item(billNo, lineNo)
	if err != nil {
		return HandOut{}, err
	}
	q, err := quantityOf(quantity, st.free())
	switch {
	case err != nil:
		return HandOut{}, err
	case s.state.bills[billNo].State != Paid || !st.left.IsPositive():
		return HandOut{}, fmt.Errorf("item %s is not paid, or went back: %w", lineNo, ErrState)
	case q.IsPositive() && !q.GreaterThan(st.free()):
	case st.kept.IsPositive():
		return HandOut{}, fmt.Errorf("item %s: %s are to go back: %w", lineNo, st.kept, ErrHeld)
	default:
		return HandOut{}, fmt.Errorf("item %s: %s are there: %w", lineNo, st.free(), ErrState)
	}
	h := HandOut{BillNo: billNo, LineNo: lineNo, Quantity: st.out.Add(q)}
	return h, s.commit(entry{Handed: []HandOut{h}})
}

// TakeBack takes what was handed out back into the pharmacy (退药), or withdraws an execution (退检): the given quantity, or all of it.
func (s *Sim) TakeBack(billNo, lineNo, quantity string) (HandOut, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.item(billNo, lineNo)
	if err != nil {
		return HandOut{}, err
	}
	q, err := quantityOf(quantity, st.out)
	if err != nil {
		return HandOut{}, err
	}
	if !q.IsPositive() || q.GreaterThan(st.out) {
		return HandOut{}, fmt.Errorf("item %s: %s are handed out: %w", lineNo, st.out, ErrState)
	}
	h := HandOut{BillNo: billNo, LineNo: lineNo, Quantity: st.out.Sub(q)}
	return h, s.commit(entry{Handed: []HandOut{h}})
}

// item is what there is of one item, whoever paid it. The caller holds the mutex.
func (s *Sim) item(billNo, lineNo string) (*stock, error) {
	b := s.state.bills[billNo]
	p := Posting{BillNos: []string{billNo}} // of no order: nothing of it went back, nothing is kept
	if b.PaidWhere == atPlatform {
		p = s.state.postings[b.PaidBy]
	}
	st, ok := s.state.stockOf(p, "", "")[itemKey{billNo, lineNo}]
	if !ok {
		return nil, fmt.Errorf("item %q of bill %q: %w", lineNo, billNo, ErrNoSuch)
	}
	return st, nil
}

// quantityOf reads a quantity; without one it is all.
func quantityOf(text string, all decimal.Decimal) (decimal.Decimal, error) {
	if text == "" {
		return all, nil
	}
	if !plainQuantity.MatchString(text) {
		return decimal.Zero, fmt.Errorf("quantity %q: %w", text, ErrBadBill)
	}
	return RefundLine{Quantity: text}.quantity(), nil
}
