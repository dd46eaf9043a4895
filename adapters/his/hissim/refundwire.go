package hissim

import (
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/money"
)

// The reasons of NOT_REFUNDABLE.
const (
	dispensed = "dispensed" // 已发药
	executed  = "executed"  // 已执行
	otherwise = "other"     // kept for another refund
)

// maxRefundLines is how many items one refund may name.
const maxRefundLines = 2000

// refundRequest is §3.8, and the head of §3.10.
type refundRequest struct {
	OrderNo     string       `json:"order_no"`
	RefundNo    string       `json:"refund_no"`
	HISRefundNo string       `json:"his_refund_no,omitempty"`
	PatientID   string       `json:"patient_id"`
	Whole       bool         `json:"whole"`
	Lines       []RefundLine `json:"lines"`
	Rebill      []RefundLine `json:"rebill,omitempty"`
	TotalFen    money.Fen    `json:"total_fen"` // of both
	Reason      string       `json:"reason,omitempty"`
}

type refundBookRequest struct {
	refundRequest
	RestParts     Parts      `json:"rest_parts"`
	RestSetlID    string     `json:"rest_setl_id,omitempty"`
	RestVisitID   string     `json:"rest_mdtrt_id,omitempty"`
	RestSettledAt *time.Time `json:"rest_settled_at,omitempty"`
	OutRefundNo   string     `json:"out_refund_no,omitempty"`
	RefundID      string     `json:"refund_id,omitempty"`
	RefundedAt    *time.Time `json:"refunded_at"`
	Note          bool       `json:"note"`
	ByHand        bool       `json:"by_hand,omitempty"`
}

// refundKey is the request of §3.9 and §3.11.
type refundKey struct {
	OrderNo  string `json:"order_no"`
	RefundNo string `json:"refund_no"`
}

type holdView struct {
	OrderNo  string       `json:"order_no"`
	RefundNo string       `json:"refund_no"`
	Lines    []RefundLine `json:"lines"`
	Rebill   []RefundLine `json:"rebill,omitempty"`
	TotalFen money.Fen    `json:"total_fen"`
	HeldAt   string       `json:"held_at"`
}

type dropAnswer struct {
	OrderNo  string `json:"order_no"`
	RefundNo string `json:"refund_no"`
	Dropped  bool   `json:"dropped"`
}

type bookingView struct {
	BookingNo string       `json:"booking_no"`
	OrderNo   string       `json:"order_no"`
	RefundNo  string       `json:"refund_no"`
	Lines     []RefundLine `json:"lines"`
	Rebill    []RefundLine `json:"rebill,omitempty"`
	TotalFen  money.Fen    `json:"total_fen"`
	RestParts Parts        `json:"rest_parts"`
	BookedAt  string       `json:"booked_at"`
	Rebilled  []string     `json:"rebilled_bill_nos,omitempty"`

	restSetlID, outRefundNo string // a FHIR server shows everything of an entry
	note                    bool
}

// standingView is §3.11, and the data of DUPLICATE.
type standingView struct {
	OrderNo  string       `json:"order_no"`
	RefundNo string       `json:"refund_no"`
	State    string       `json:"state"` // none, held, dropped, booked
	Hold     *holdView    `json:"hold,omitempty"`
	Booking  *bookingView `json:"booking,omitempty"`
}

type stuckView struct {
	Lines []stuckLine `json:"lines"`
}

type stuckLine struct {
	BillNo string `json:"bill_no"`
	LineNo string `json:"line_no"`
	Reason string `json:"reason"`
}

// returnedView is what a paid bill says of an item that went back.
type returnedView struct {
	LineNo   string    `json:"line_no"`
	Quantity string    `json:"quantity"`
	TotalFen money.Fen `json:"total_fen"`
	RefundNo string    `json:"refund_no"`
	BookedAt string    `json:"booked_at"`
}

func viewHold(r Refund) *holdView {
	return &holdView{OrderNo: r.OrderNo, RefundNo: r.RefundNo, Lines: r.Lines, Rebill: r.Rebill, TotalFen: r.TotalFen,
		HeldAt: wireTime(r.HeldAt)}
}

func viewBooking(r Refund) *bookingView {
	return &bookingView{BookingNo: r.BookingNo, OrderNo: r.OrderNo, RefundNo: r.RefundNo, Lines: r.Lines, Rebill: r.Rebill,
		TotalFen: r.TotalFen, RestParts: r.RestParts, BookedAt: wireTime(r.BookedAt), Rebilled: r.Rebilled,
		restSetlID: r.RestSetlID, outRefundNo: r.OutRefundNo, note: r.Note}
}

func viewStanding(r Refund) standingView {
	v := standingView{OrderNo: r.OrderNo, RefundNo: r.RefundNo, State: string(r.State)}
	switch r.State {
	case RefundHeld:
		v.Hold = viewHold(r)
	case RefundBooked:
		v.Booking = viewBooking(r)
	case RefundDropped:
	}
	return v
}

func (k refundKey) check() error {
	if !orderNo.MatchString(k.OrderNo) || !orderNo.MatchString(k.RefundNo) {
		return fmt.Errorf("%w: order_no or refund_no", errRequest)
	}
	return nil
}

func (in *refundRequest) check() error {
	if err := (refundKey{in.OrderNo, in.RefundNo}).check(); err != nil {
		return err
	}
	if err := text("patient_id", in.PatientID, 64); err != nil {
		return err
	}
	if len(in.HISRefundNo) > 64 || utf8.RuneCountInString(in.Reason) > 80 {
		return fmt.Errorf("%w: his_refund_no or reason is too long", errRequest)
	}
	if len(in.Lines) == 0 || in.TotalFen <= 0 || in.TotalFen > money.Max {
		return fmt.Errorf("%w: no lines or no total", errRequest)
	}
	if err := checkLines(in.Lines); err != nil {
		return err
	}
	return checkLines(in.Rebill)
}

// plainQuantity is how a quantity is written, docs/his-interface.md §1.
var plainQuantity = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})(\.[0-9]{1,4})?$`)

func checkLines(lines []RefundLine) error {
	if len(lines) > maxRefundLines {
		return fmt.Errorf("%w: more than %d lines", errRequest, maxRefundLines)
	}
	seen := map[itemKey]bool{}
	for _, l := range lines {
		if err := text("bill_no", l.BillNo, 64); err != nil {
			return err
		}
		if err := text("line_no", l.LineNo, 30); err != nil {
			return err
		}
		if seen[l.key()] {
			return fmt.Errorf("%w: a line is named twice", errRequest)
		}
		seen[l.key()] = true
		if !plainQuantity.MatchString(l.Quantity) || !l.quantity().IsPositive() || l.TotalFen < 0 || l.TotalFen > money.Max {
			return fmt.Errorf("%w: quantity or total_fen of a line", errRequest)
		}
	}
	return nil
}

// check refuses a booking that is not well formed: an insured rest goes with the settlement that stands for it, what was refunded by WeChat
// with both its numbers.
func (in *refundBookRequest) check() error {
	if err := in.refundRequest.check(); err != nil {
		return err
	}
	for _, f := range in.RestParts.list() {
		if f < 0 || f > money.Max {
			return fmt.Errorf("%w: rest_parts", errRequest)
		}
	}
	rest, err := money.Add(in.RestParts.list()...)
	if err != nil {
		return fmt.Errorf("%w: rest_parts", errRequest)
	}
	if insured := rest > in.RestParts.Uninsured; insured && (in.RestSetlID == "" || in.RestSettledAt == nil) {
		return fmt.Errorf("%w: rest_setl_id and rest_settled_at go with an insured rest", errRequest)
	}
	if in.RefundedAt == nil || (in.OutRefundNo == "") != (in.RefundID == "") || ((in.Note || in.ByHand) && in.OutRefundNo != "") || (in.Note && in.ByHand) {
		return fmt.Errorf("%w: refunded_at, one of out_refund_no and refund_id, or a note or by_hand with them", errRequest)
	}
	if len(in.RestSetlID) > 30 || len(in.RestVisitID) > 30 || len(in.OutRefundNo) > 64 || len(in.RefundID) > 32 {
		return fmt.Errorf("%w: a number is too long", errRequest)
	}
	return nil
}
