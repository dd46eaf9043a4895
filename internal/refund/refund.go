// Package refund is giving an order, or a part of it, back after the HIS has booked it. It says what may be asked for and how far it is; when to
// ask whom, and what follows for the order's legs, the order decides.
package refund

import (
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// ID names a refund. Its decimal text is the refund number that the HIS sees.
type ID int64

// No is the refund number.
func (id ID) No() string { return strconv.FormatInt(int64(id), 10) }

// Asker is who wanted the refund.
type Asker string

// The askers.
const (
	ByPatient Asker = "patient"
	ByStaff   Asker = "staff"
	ByHIS     Asker = "his"
)

// Line is one item that goes back, or a part of its quantity.
type Line struct {
	BillNo    string          `json:"bill_no"`
	LineNo    string          `json:"line_no"`
	Quantity  decimal.Decimal `json:"quantity"`   // of what goes back, above zero
	Amount    money.Fen       `json:"amount_fen"` // of what goes back
	Uninsured bool            `json:"uninsured,omitempty"`
	Kept      bool            `json:"kept,omitempty"` // nobody gave it up: it goes back because the insurer takes back a settlement as a whole
}

// Desk is how the refund stands at the HIS (退费).
type Desk string

// The states at the desk.
const (
	DeskNone    Desk = ""        // never asked
	DeskAsked   Desk = "asked"   // the hold is asked, perhaps given
	DeskHeld    Desk = "held"    // the items are kept back
	DeskBooking Desk = "booking" // the booking is asked
	DeskBooked  Desk = "booked"  // 已入账
	DeskDropped Desk = "dropped" // the hold was ended, or never was
)

// Refund is one giving back. An order may have many, worked on one after the other.
type Refund struct {
	ID      ID
	Seq     int
	State   State
	Version int64

	By      Asker
	Actor   string // "account:12", "staff:3", "his:h1"
	Key     string // the request's own key: the same request again is the same refund
	HISNo   string // the HIS's own number, where it asked
	Reason  string // short; no personal data
	Note    bool   // the window has handed the money back: only the books move
	Whole   bool   // all that was left of the order
	Lines   []Line
	AskedAt time.Time

	Before split.Split // what stood of the order, by part
	Rest   split.Split // what stands afterwards; known once the insurer has said what remains insured

	Desk      Desk
	HeldAt    time.Time
	InsuredAt time.Time         // when the insurer had taken its part back, or settled the rest
	CashAt    time.Time         // when the cash was back
	TillAt    time.Time         // when two people said that what was still to go back is settled beside WeChat; zero: it is not
	Till      money.Fen         // what the till handed out for it; below zero: what it took in
	ToldAt    time.Time         // when WeChat had heard of the insurer's part
	DoneAt    time.Time         //
	Cash      payment.MoneyBack // the cash on its way back
	Anew      settlement.ID     // the settlement of what remains insured; 0 without
	Foreseen  bool              // its 2206 was repeated after the former settlement was cancelled
	AuthSince time.Time         // since when what remains insured waits for the patient's authorisation; zero: it does not
	Dropping  bool              // it will not be made, and the HIS is still to hear of it
	BookingNo string            // 退费流水号
	Rebilled  []string          // the HIS's new bills of what was kept
	Cause     string            // why it was refused, or is reviewed

	changed bool
}

// Changed reports whether there is something to store.
func (f *Refund) Changed() bool { return f.changed }

// Stored is called by the store when the row is written: the version it now has.
func (f *Refund) Stored(version int64) { f.Version, f.changed = version, false }

// Touch notes that fields other than the state changed.
func (f *Refund) Touch() { f.changed = true }

// Total is what goes back of the bills.
func (f *Refund) Total() money.Fen { return sum(f.Lines, func(Line) bool { return true }) }

// Uninsured is the part of Total that the insurer never saw.
func (f *Refund) Uninsured() money.Fen { return sum(f.Lines, func(l Line) bool { return l.Uninsured }) }

// Insured is the part of Total that the insurer saw.
func (f *Refund) Insured() money.Fen { return f.Total() - f.Uninsured() }

// Kept are the lines that nobody gave up.
func (f *Refund) Kept() []Line {
	var kept []Line
	for _, l := range f.Lines {
		if l.Kept {
			kept = append(kept, l)
		}
	}
	return kept
}

// WantsAuth reports whether the refund waits for the patient's authorisation.
func (f *Refund) WantsAuth() bool { return !f.AuthSince.IsZero() }

// Counted reports whether it is known what stands afterwards, and so what goes back in cash.
func (f *Refund) Counted() bool {
	return !f.HeldAt.IsZero() && (f.Insured() == 0 || !f.InsuredAt.IsZero() || f.Rest != (split.Split{}) || f.Whole)
}

// RestKnown reports whether all that was not given back has somebody who bears it.
func (f *Refund) RestKnown() bool { return f.Rest.Total() == f.Before.Total()-f.Total() }

// Returned reports whether the cash is back by a refund of ours.
func (f *Refund) Returned() bool { return f.Cash.Returned() }

// ByHand reports whether people have settled the cash beside WeChat.
func (f *Refund) ByHand() bool { return !f.TillAt.IsZero() }

// Untouched reports whether nothing of it has moved on any side but the HIS's hold.
func (f *Refund) Untouched() bool {
	return f.InsuredAt.IsZero() && f.Anew == 0 && f.Cash.Numbers == 0 && !f.ByHand() && f.Desk != DeskBooking && f.Desk != DeskBooked
}

// CashDue is what the patient gets back in cash, once Rest is known. Below zero the patient would owe more than before.
func (f *Refund) CashDue() money.Fen { return f.Before.Charge() - f.Rest.Charge() }

func sum(lines []Line, counts func(Line) bool) money.Fen {
	var total money.Fen
	for _, l := range lines {
		if counts(l) {
			total += l.Amount
		}
	}
	return total
}
