package refund

import (
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
)

// What a request for a refund may be told.
var (
	ErrNothing   = fault.New(fault.Conflict, "REFUND_NOTHING_LEFT", "该订单已没有可退的项目")
	ErrLine      = fault.New(fault.Invalid, "REFUND_LINE_UNKNOWN", "所选项目不在该订单的可退项目中，请刷新后重新选择")
	ErrQuantity  = fault.New(fault.Invalid, "REFUND_QUANTITY", "退费数量须大于零，且不超过可退数量")
	ErrAmount    = fault.New(fault.Invalid, "REFUND_AMOUNT", "退费金额与所选项目不符")
	ErrUnderWay  = fault.New(fault.Conflict, "REFUND_UNDER_WAY", "所选项目的另一部分正在退费，请等它完成后再申请")
	ErrWholeOnly = fault.New(fault.Conflict, "REFUND_WHOLE_ONLY", "医保只能整单退回：所选项目含医保费用，须整单退费，保留的项目需重新缴费")
	ErrTooOld    = fault.New(fault.Conflict, "REFUND_TOO_OLD", "支付已满一年，不能原路退回，请到医院窗口办理")
	ErrAtWindow  = fault.New(fault.Conflict, "REFUND_BEGUN_AT_WINDOW", "该订单的医保部分已在医院窗口退过，其余请继续到窗口办理")
	ErrTooMany   = fault.New(fault.Conflict, "REFUND_TOO_MANY", "该订单退费次数已达上限，请到医院窗口办理")
)

// Want is what a request names: an item, all that is left of it or a quantity, or without LineNo all that is left of a bill.
type Want struct {
	BillNo   string
	LineNo   string
	All      bool
	Quantity decimal.Decimal // unless All
}

// Left are the bills as far as nothing of them was given back, or is about to be: quantities and totals of what is left, without the lines and
// bills of which nothing is. A refused refund took nothing.
func Left(bills []bill.Bill, refunds []*Refund) []bill.Bill {
	type key struct{ bill, line string }
	gone := map[key]decimal.Decimal{}
	for _, f := range refunds {
		if f.State == Refused {
			continue
		}
		for _, l := range f.Lines {
			gone[key{l.BillNo, l.LineNo}] = gone[key{l.BillNo, l.LineNo}].Add(l.Quantity)
		}
	}
	var left []bill.Bill
	for _, b := range bills {
		var lines []bill.Line
		var total money.Fen
		for _, l := range b.Lines {
			if took, some := gone[key{b.No, l.No}]; some {
				l.Quantity = l.Quantity.Sub(took)
				l.Total = bill.Amount(l.Quantity, l.Price)
			}
			if l.Total > 0 { // nothing of it, or nothing of worth, is left otherwise
				lines = append(lines, l)
				total += l.Total
			}
		}
		if len(lines) > 0 {
			b.Lines, b.Total = lines, total
			left = append(left, b)
		}
	}
	return left
}

// Everything are the lines of a refund of all that is left.
func Everything(left []bill.Bill) []Line {
	var lines []Line
	for _, b := range left {
		for _, l := range b.Lines {
			lines = append(lines, lineOf(b.No, l, l.Quantity))
		}
	}
	return lines
}

// Choose are the lines of a refund of what was named. Errors: ErrLine for what is not of these bills, or named twice; ErrQuantity for a quantity
// below zero, above what is left, or worth nothing.
func Choose(left []bill.Bill, wants []Want) ([]Line, error) {
	var lines []Line
	for _, w := range wants {
		found := false
		for _, b := range left {
			for _, l := range b.Lines {
				if b.No != w.BillNo || (w.LineNo != "" && l.No != w.LineNo) {
					continue
				}
				found = true
				line, err := w.of(b.No, l)
				if err != nil {
					return nil, err
				}
				lines = append(lines, line)
			}
		}
		if !found {
			return nil, ErrLine.Because(fmt.Errorf("bill %q line %q", w.BillNo, w.LineNo))
		}
	}
	seen := map[[2]string]bool{}
	for _, l := range lines {
		at := [2]string{l.BillNo, l.LineNo}
		if seen[at] {
			return nil, ErrLine.Because(fmt.Errorf("bill %q line %q is named twice", l.BillNo, l.LineNo))
		}
		seen[at] = true
	}
	return lines, nil
}

// of is the part of a line that is wanted.
func (w Want) of(billNo string, l bill.Line) (Line, error) {
	quantity := l.Quantity
	if !w.All {
		quantity = w.Quantity
	}
	if !bill.Countable(quantity) || quantity.GreaterThan(l.Quantity) || (w.LineNo == "" && !w.All) {
		return Line{}, ErrQuantity.Because(fmt.Errorf("line %s: not a part of what is left", l.No))
	}
	line := lineOf(billNo, l, quantity)
	if line.Amount <= 0 {
		return Line{}, ErrQuantity.Because(fmt.Errorf("line %s: worth nothing", l.No))
	}
	return line, nil
}

// UnderWay returns ErrUnderWay where another refund that is not at its end takes a part of one of these lines: what the rest of it is worth, to the
// fen, depends on what becomes of that.
func UnderWay(lines []Line, refunds []*Refund) error {
	for _, f := range refunds {
		if f.State.Final() {
			continue
		}
		for _, taken := range f.Lines {
			for _, l := range lines {
				if l.BillNo == taken.BillNo && l.LineNo == taken.LineNo {
					return ErrUnderWay.Because(fmt.Errorf("line %s in refund %s", l.LineNo, f.ID.No()))
				}
			}
		}
	}
	return nil
}

// lineOf is a part of a line. What it is worth is what the line is worth less without it, so that parts never sum to more than the line.
func lineOf(billNo string, l bill.Line, quantity decimal.Decimal) Line {
	return Line{BillNo: billNo, LineNo: l.No, Quantity: quantity, Uninsured: l.Uninsured,
		Amount: l.Total - bill.Amount(l.Quantity.Sub(quantity), l.Price)}
}

// WithKept is a refund of everything of which only these lines were given up: the others are kept, and billed anew.
func WithKept(everything, given []Line) []Line {
	var lines []Line
	for _, l := range everything {
		rest := l
		for _, g := range given {
			if g.BillNo == l.BillNo && g.LineNo == l.LineNo {
				lines = append(lines, g)
				rest.Quantity, rest.Amount = rest.Quantity.Sub(g.Quantity), rest.Amount-g.Amount
			}
		}
		if rest.Quantity.Sign() > 0 && rest.Amount > 0 {
			rest.Kept = true
			lines = append(lines, rest)
		}
	}
	return lines
}
