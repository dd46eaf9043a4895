// Package refund is giving an order, or a part of it, back after the HIS has booked it. It says what may be asked for and how far it is; when to
// ask whom, and what follows for the order's legs, the order decides.
package refund

import (
	"strconv"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/money"
)

// ID names a refund. Its decimal text is the refund number that the HIS sees.
type ID int64

// No is the refund number.
func (id ID) No() string { return strconv.FormatInt(int64(id), 10) }

// Line is one item that goes back, or a part of its quantity.
type Line struct {
	BillNo    string
	LineNo    string
	Quantity  decimal.Decimal // of what goes back, above zero
	Amount    money.Fen       // of what goes back
	Uninsured bool            // the insurer never saw it
}
