package his

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/split"
)

// refundRequest is §3.8, and the head of §3.10.
type refundRequest struct {
	OrderNo     string     `json:"order_no"`
	RefundNo    string     `json:"refund_no"`
	HISRefundNo string     `json:"his_refund_no,omitempty"`
	PatientID   string     `json:"patient_id"`
	Whole       bool       `json:"whole"`
	Lines       []sentLine `json:"lines"`
	Rebill      []sentLine `json:"rebill,omitempty"`
	TotalFen    money.Fen  `json:"total_fen"` // of both
	Reason      string     `json:"reason,omitempty"`
}

type sentLine struct {
	BillNo   string    `json:"bill_no"`
	LineNo   string    `json:"line_no"`
	Quantity string    `json:"quantity"`
	TotalFen money.Fen `json:"total_fen"`
}

type bookRequest struct {
	refundRequest
	RestParts     split.Split `json:"rest_parts"` // its JSON is the interface's; a golden file holds it
	RestSetlID    string      `json:"rest_setl_id,omitempty"`
	RestVisitID   string      `json:"rest_mdtrt_id,omitempty"`
	RestSettledAt *string     `json:"rest_settled_at,omitempty"`
	OutRefundNo   string      `json:"out_refund_no,omitempty"`
	RefundID      string      `json:"refund_id,omitempty"`
	RefundedAt    *string     `json:"refunded_at"`
	Note          bool        `json:"note"`
	ByHand        bool        `json:"by_hand,omitempty"`
}

// refundKey is the request of §3.9 and §3.11.
type refundKey struct {
	OrderNo  string `json:"order_no"`
	RefundNo string `json:"refund_no"`
}

// The interface's bounds for a refund.
const (
	maxRefundLines = 2000
	longestReason  = 80 // characters
)

// sentLines writes items for the hospital. An error is our own bug: a quantity or an amount that cannot be written.
func sentLines(lines []refund.Line) ([]sentLine, money.Fen, error) {
	out := make([]sentLine, 0, len(lines))
	sum := money.Fen(0)
	for i, l := range lines {
		quantity := l.Quantity.String()
		if !plainFigure.MatchString(quantity) || l.Quantity.Sign() <= 0 || l.Amount < 0 || l.Amount > money.Max {
			return nil, 0, fmt.Errorf("line %d: quantity or amount", i+1)
		}
		var err error
		if sum, err = money.Add(sum, l.Amount); err != nil {
			return nil, 0, err
		}
		out = append(out, sentLine{BillNo: l.BillNo, LineNo: l.LineNo, Quantity: quantity, TotalFen: l.Amount})
	}
	return out, sum, nil
}

// parted tells what is given up from what nobody gave up, and which is to be billed anew.
func parted(lines []refund.Line) (given, kept []refund.Line) {
	for _, l := range lines {
		if l.Kept {
			kept = append(kept, l)
		} else {
			given = append(given, l)
		}
	}
	return given, kept
}

// refundOf writes the request of a hold, which is the head of a booking.
func refundOf(r order.RefundRequest) (refundRequest, error) {
	given, kept := parted(r.Lines)
	lines, sum, err := sentLines(given)
	if err != nil {
		return refundRequest{}, err
	}
	rebill, more, err := sentLines(kept)
	if err != nil {
		return refundRequest{}, fmt.Errorf("rebill: %w", err)
	}
	if len(lines) == 0 || len(lines) > maxRefundLines || len(rebill) > maxRefundLines || r.Total <= 0 || r.Total > money.Max ||
		sum != r.Total-more {
		return refundRequest{}, fmt.Errorf("%d lines sum to %s, %d to be billed anew to %s, the refund says %s", len(lines), sum, len(rebill),
			more, r.Total)
	}
	return refundRequest{OrderNo: r.OrderNo, RefundNo: r.RefundNo, HISRefundNo: r.HISNo, PatientID: r.HISPatient, Whole: r.Whole, Lines: lines,
		Rebill: rebill, TotalFen: r.Total, Reason: plain(r.Reason, longestReason)}, nil
}

// bookingOf writes the request of a booking. What is left must hold together before a hospital hears of it.
func bookingOf(b order.RefundBooking) (bookRequest, error) {
	head, err := refundOf(b.RefundRequest)
	if err != nil {
		return bookRequest{}, err
	}
	rest := b.Rest.Total()
	if err := b.Rest.Check(rest); err != nil {
		return bookRequest{}, err
	}
	_, kept := parted(b.Lines)
	switch {
	case !sameLines(kept, b.Rebill):
		return bookRequest{}, errors.New("other items are to be billed anew than nobody gave up")
	case b.Whole && rest != 0:
		return bookRequest{}, errors.New("everything is back, and something is left")
	case rest > b.Rest.Uninsured && (b.RestSetlID == "" || b.RestSettled.IsZero()):
		return bookRequest{}, errors.New("an insured rest without its settlement")
	case b.RefundedAt.IsZero() || (b.OutRefundNo == "") != (b.RefundID == "") || ((b.Note || b.ByHand) && b.OutRefundNo != "") || (b.Note && b.ByHand):
		return bookRequest{}, errors.New("not when or by what the money went back")
	}
	return bookRequest{refundRequest: head, RestParts: b.Rest, RestSetlID: b.RestSetlID, RestVisitID: b.RestMdtrtID,
		RestSettledAt: wireTime(b.RestSettled), OutRefundNo: b.OutRefundNo, RefundID: b.RefundID, RefundedAt: wireTime(b.RefundedAt),
		Note: b.Note, ByHand: b.ByHand}, nil
}

// wireRefundLine is an item as the hospital writes it.
type wireRefundLine struct {
	BillNo   string `json:"bill_no"`
	LineNo   string `json:"line_no"`
	Quantity figure `json:"quantity"`
	TotalFen amount `json:"total_fen"`
}

// items turns the wire's items into ours: at most 2000, none twice, each with a quantity above zero.
func items(lines []wireRefundLine, kept bool) ([]refund.Line, error) {
	if len(lines) > maxRefundLines {
		return nil, errors.New("too many items")
	}
	out := make([]refund.Line, 0, len(lines))
	seen := make(map[[2]string]bool, len(lines))
	for i, l := range lines {
		key := [2]string{l.BillNo, l.LineNo}
		if !Number64(l.BillNo) || !Number64(l.LineNo) || len(l.LineNo) > 30 || seen[key] || l.Quantity.Sign() <= 0 || !l.TotalFen.present {
			return nil, fmt.Errorf("item %d has no number of its own, no quantity or no amount", i+1)
		}
		seen[key] = true
		out = append(out, refund.Line{BillNo: l.BillNo, LineNo: l.LineNo, Quantity: l.Quantity.Decimal, Amount: l.TotalFen.fen, Kept: kept})
	}
	return out, nil
}

// domain turns what went back into ours, what nobody gave up behind the rest. It must add up, and something must be given up.
func domain(lines, rebill []wireRefundLine, total amount) ([]refund.Line, error) {
	if len(lines) == 0 || !total.present || total.fen <= 0 {
		return nil, errors.New("a refund without items or without a total")
	}
	given, err := items(lines, false)
	if err != nil {
		return nil, err
	}
	kept, err := items(rebill, true)
	if err != nil {
		return nil, fmt.Errorf("rebill: %w", err)
	}
	all, sum := slices.Concat(given, kept), money.Fen(0)
	for _, l := range all {
		if sum, err = money.Add(sum, l.Amount); err != nil {
			return nil, err
		}
	}
	if sum != total.fen {
		return nil, fmt.Errorf("the items sum to %s, said to be %s", sum, total.fen)
	}
	return all, nil
}

// sameLines compares two lists of items in any order, quantities by value.
func sameLines(a, b []refund.Line) bool {
	sorted := func(list []refund.Line) []refund.Line {
		return slices.SortedFunc(slices.Values(list), func(x, y refund.Line) int {
			return strings.Compare(fmt.Sprint(x.BillNo, " ", x.LineNo, " ", x.Kept), fmt.Sprint(y.BillNo, " ", y.LineNo, " ", y.Kept))
		})
	}
	return slices.EqualFunc(sorted(a), sorted(b), func(x, y refund.Line) bool {
		return x.BillNo == y.BillNo && x.LineNo == y.LineNo && x.Kept == y.Kept && x.Amount == y.Amount && x.Quantity.Equal(y.Quantity)
	})
}

// wireHold is what the hospital keeps under a refund number, §3.8.
type wireHold struct {
	OrderNo  string           `json:"order_no"`
	RefundNo string           `json:"refund_no"`
	Lines    []wireRefundLine `json:"lines"`
	Rebill   []wireRefundLine `json:"rebill"`
	TotalFen amount           `json:"total_fen"`
	HeldAt   moment           `json:"held_at"`
}

// record checks that a hold is one, of this refund, and adds up.
func (w *wireHold) record(k refundKey) ([]refund.Line, error) {
	if w.OrderNo != k.OrderNo || w.RefundNo != k.RefundNo || w.HeldAt.IsZero() {
		return nil, errors.New("the hold is another refund's, or has no date")
	}
	return domain(w.Lines, w.Rebill, w.TotalFen)
}

// wireBooking is the hospital's record of a refund, §3.10.
type wireBooking struct {
	BookingNo string           `json:"booking_no"` // 退费流水号
	OrderNo   string           `json:"order_no"`
	RefundNo  string           `json:"refund_no"`
	Lines     []wireRefundLine `json:"lines"`
	Rebill    []wireRefundLine `json:"rebill"`
	TotalFen  amount           `json:"total_fen"`
	RestParts wireParts        `json:"rest_parts"`
	BookedAt  moment           `json:"booked_at"`
	Rebilled  []string         `json:"rebilled_bill_nos"`
}

// booking is a record that was checked.
type booking struct {
	order.BookedRefund
	lines []refund.Line
	total money.Fen
	rest  split.Split
}

// record checks that a record is one, of this refund, and adds up.
func (w *wireBooking) record(k refundKey) (booking, error) {
	lines, err := domain(w.Lines, w.Rebill, w.TotalFen)
	rest, whole := w.RestParts.split()
	switch {
	case w.OrderNo != k.OrderNo || w.RefundNo != k.RefundNo:
		return booking{}, errors.New("the record is another refund's")
	case !Number64(w.BookingNo) || w.BookedAt.IsZero():
		return booking{}, errors.New("the record has no number or no date")
	case err != nil:
		return booking{}, err
	case !whole || rest.Check(rest.Total()) != nil:
		return booking{}, errors.New("the record does not say what is left")
	}
	for i, no := range w.Rebilled {
		if !Number64(no) || slices.Contains(w.Rebilled[:i], no) {
			return booking{}, errors.New("a new bill has no number of its own")
		}
	}
	return booking{order.BookedRefund{BookingNo: w.BookingNo, BookedAt: w.BookedAt.Time, Rebilled: w.Rebilled}, lines, w.TotalFen.fen, rest}, nil
}

// equals reports whether the record is what we sent.
func (b *booking) equals(sent order.RefundBooking) bool {
	return sameLines(b.lines, sent.Lines) && b.total == sent.Total && b.rest == sent.Rest && (len(b.Rebilled) > 0) == (len(sent.Rebill) > 0)
}

// wireStanding is §3.11, and the data of DUPLICATE.
type wireStanding struct {
	OrderNo  string       `json:"order_no"`
	RefundNo string       `json:"refund_no"`
	State    string       `json:"state"`
	Hold     *wireHold    `json:"hold"`
	Booking  *wireBooking `json:"booking"`
}

// standing is what the hospital says of a refund number, with its evidence checked.
type standing struct {
	state   order.RefundState
	booking // of a hold, its items and total alone
}

// read checks that a standing is this refund's, and that its state comes with its evidence and no other.
func (w *wireStanding) read(k refundKey) (standing, error) {
	s := standing{state: order.RefundState(w.State)}
	var err error
	switch {
	case w.OrderNo != k.OrderNo || w.RefundNo != k.RefundNo:
		return standing{}, errors.New("the standing is another refund's")
	case s.state == order.RefundHeld && w.Hold != nil && w.Booking == nil:
		s.lines, err = w.Hold.record(k)
		s.total = w.Hold.TotalFen.fen
	case s.state == order.RefundBooked && w.Booking != nil && w.Hold == nil:
		s.booking, err = w.Booking.record(k)
	case (s.state == order.RefundNone || s.state == order.RefundDropped) && w.Hold == nil && w.Booking == nil:
	default:
		return standing{}, fmt.Errorf("state %s without its evidence, or with another's", short(strings.ToUpper(w.State)))
	}
	if err != nil {
		return standing{}, err
	}
	return s, nil
}

// stuck is the data of NOT_REFUNDABLE.
type stuck struct {
	Lines []struct {
		Reason string `json:"reason"` // dispensed 已发药, executed 已执行, other
	} `json:"lines"`
}
