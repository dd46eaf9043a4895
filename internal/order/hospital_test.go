package order

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/split"
)

// hospital is the HIS: bills, locks, postings, and a window where people pay, too.
type hospital struct {
	w        *world
	bills    map[string]*bill.Bill
	locks    map[string]*hisLock // by order number
	postings map[string]Posting
	paidBy   map[string]string // bill number: an order number, or "window"
	lockFor  time.Duration
	refusal  error     // what the next lock answers
	wrong    money.Fen // added to what PostingOf says was booked
	onQuery  func(*PostingStatus)
	onPost   func() // something that happens just before a posting arrives
	guide    []string

	held   map[string]bool      // by refund number
	booked map[string]money.Fen // likewise
	rests  map[string]split.Split
	onBook func(*RefundStanding) // what RefundOf makes of a booking
	out    bool                  // the drugs are handed out
	repeat string                // the one number of all its records

	booking RefundBooking // the newest that it was told
	rebill  int
}

type hisLock struct {
	bills []string
	until time.Time
}

func newHospital(w *world) *hospital {
	return &hospital{w: w, bills: map[string]*bill.Bill{}, locks: map[string]*hisLock{}, postings: map[string]Posting{}, paidBy: map[string]string{},
		held: map[string]bool{}, booked: map[string]money.Fen{}, rests: map[string]split.Split{}, lockFor: 40 * time.Minute, guide: []string{"一楼西药房"}}
}

func (h *hospital) Pending(context.Context, string) ([]bill.Summary, error) { return nil, nil }

func (h *hospital) Detail(_ context.Context, hisPatient, no string) (*bill.Bill, error) {
	return call(h.w, "detail", no, func(m mishap) (*bill.Bill, error) {
		b := h.bills[no]
		if b == nil || b.HISPatient != hisPatient {
			return nil, bill.ErrNotFound
		}
		c := *b
		c.Lines = slices.Clone(b.Lines)
		if h.paidBy[no] != "" {
			c.State = bill.Paid
		}
		return &c, nil
	})
}

func (h *hospital) lockOf(no string) (string, bool) {
	for order, l := range h.locks {
		if slices.Contains(l.bills, no) && h.w.clock.Now().Before(l.until) {
			return order, true
		}
	}
	return "", false
}

func (h *hospital) Lock(_ context.Context, l LockRequest) (time.Time, error) {
	return call(h.w, "lock", l.OrderNo, func(m mishap) (time.Time, error) {
		if err := h.refusal; err != nil {
			h.refusal = nil
			return time.Time{}, err
		}
		for _, no := range l.Bills {
			holder, locked := h.lockOf(no)
			switch {
			case h.bills[no].State == bill.Void:
				return time.Time{}, bill.ErrVoid
			case h.paidBy[no] != "":
				return time.Time{}, bill.ErrPaid
			case m == refuse || (locked && holder != l.OrderNo):
				return time.Time{}, bill.ErrLocked
			}
		}
		if own := h.locks[l.OrderNo]; own != nil && h.w.clock.Now().Before(own.until) {
			return own.until, nil
		}
		h.locks[l.OrderNo] = &hisLock{bills: slices.Clone(l.Bills), until: h.w.clock.Now().Add(h.lockFor)}
		return h.locks[l.OrderNo].until, nil
	})
}

func (h *hospital) Release(_ context.Context, orderNo string) error {
	_, err := call(h.w, "release", orderNo, func(m mishap) (struct{}, error) {
		if m == refuse {
			return struct{}{}, bill.ErrUnreadable
		}
		delete(h.locks, orderNo)
		return struct{}{}, nil
	})
	return err
}

// payAtWindow is another channel taking the bill. It reports whether the HIS let it.
func (h *hospital) payAtWindow(no string) bool {
	if _, locked := h.lockOf(no); locked || h.paidBy[no] != "" {
		return false
	}
	h.paidBy[no] = "window"
	return true
}

func (h *hospital) Post(_ context.Context, p Posting) (Posted, error) {
	return call(h.w, "post", p.OrderNo, func(m mishap) (Posted, error) {
		if h.onPost != nil {
			h.onPost()
			h.onPost = nil
		}
		if old, done := h.postings[p.OrderNo]; done {
			if old.Total != p.Total {
				h.w.t.Errorf("posting %s came with another total", p.OrderNo)
			}
			return h.posted(p.OrderNo), nil
		}
		if p.Split.Charge() > 0 && (p.OutTradeNo == "" || p.TransactionID == "" || p.PaidAt.IsZero()) { // docs/his-interface.md
			return Posted{}, fault.New(fault.Rejected, "HIS_REFUSED", "缺微信支付单号")
		}
		if m == refuse {
			return Posted{}, fault.New(fault.Rejected, "HIS_REFUSED", "医院拒绝入账")
		}
		for _, b := range p.Bills {
			switch {
			case h.paidBy[b.No] != "":
				return Posted{}, bill.ErrPaid
			case h.bills[b.No].State == bill.Void:
				return Posted{}, bill.ErrVoid
			}
		}
		for _, b := range p.Bills {
			h.paidBy[b.No] = p.OrderNo
		}
		h.postings[p.OrderNo] = p
		delete(h.locks, p.OrderNo)
		return h.posted(p.OrderNo), nil
	})
}

func (h *hospital) posted(orderNo string) Posted {
	return Posted{PostingNo: cmp.Or(h.repeat, "P"+orderNo), ReceiptNo: "R" + orderNo, Guide: h.guide, PostedAt: h.w.clock.Now()}
}

func (h *hospital) PostingOf(_ context.Context, orderNo string, bills []string) (PostingStatus, error) {
	return call(h.w, "posting of", orderNo, func(m mishap) (PostingStatus, error) {
		if m == refuse {
			return PostingStatus{}, bill.ErrUnreadable
		}
		if p, done := h.postings[orderNo]; done {
			total := p.Total + h.wrong
			if m == amounts {
				total++
			}
			status := PostingStatus{State: PostingDone, Posted: h.posted(orderNo), Total: total, Split: p.Split}
			if h.onQuery != nil {
				h.onQuery(&status)
			}
			return status, nil
		}
		for _, no := range bills {
			switch {
			case h.paidBy[no] != "":
				return PostingStatus{State: PostingElsewhere}, nil
			case h.bills[no].State == bill.Void:
				return PostingStatus{State: PostingVoid}, nil
			}
		}
		return PostingStatus{State: PostingNone}, nil
	})
}

func (h *hospital) HoldRefund(_ context.Context, r RefundRequest) error {
	_, err := call(h.w, "hold", r.RefundNo, func(m mishap) (struct{}, error) {
		p, posted := h.postings[r.OrderNo]
		var taken, sum money.Fen
		for no, total := range h.booked {
			if no != r.RefundNo {
				taken += total
			}
		}
		for _, l := range r.Lines {
			sum += l.Amount
		}
		switch {
		case h.held[r.RefundNo]:
			return struct{}{}, nil
		case !posted || r.Total != sum || r.Total <= 0 || taken+r.Total > p.Total:
			h.w.t.Errorf("hold of %s, lines %s, %s of %s given back before", r.Total, sum, taken, p.Total)
			return struct{}{}, bill.ErrNotFound
		case h.out || m == refuse:
			return struct{}{}, bill.ErrNotRefundable
		}
		h.held[r.RefundNo] = true
		return struct{}{}, nil
	})
	return err
}

func (h *hospital) DropRefund(_ context.Context, _, refundNo string) error {
	_, err := call(h.w, "drop", refundNo, func(m mishap) (struct{}, error) {
		delete(h.held, refundNo)
		return struct{}{}, nil
	})
	return err
}

func (h *hospital) BookRefund(_ context.Context, b RefundBooking) (BookedRefund, error) {
	return call(h.w, "book", b.RefundNo, func(m mishap) (BookedRefund, error) {
		if _, done := h.booked[b.RefundNo]; !done {
			if m == refuse {
				return BookedRefund{}, fault.New(fault.Rejected, "HIS_REFUSED", "医院拒绝退费入账")
			}
			var taken money.Fen
			for _, total := range h.booked {
				taken += total
			}
			if left := h.postings[b.OrderNo].Total - taken - b.Total; b.Rest.Check(left) != nil {
				h.w.t.Errorf("booking of %s leaves %+v, want %s", b.Total, b.Rest, left)
			}
			if b.Rest.Insured() > 0 && b.RestSetlID == "" {
				h.w.t.Error("something insured stands without a settlement")
			}
			if b.Whole { // what the bills hold may be paid anew
				for no, by := range h.paidBy {
					if by == b.OrderNo {
						delete(h.paidBy, no)
					}
				}
			}
			h.booked[b.RefundNo], h.rests[b.RefundNo], h.booking = b.Total, b.Rest, b
			if len(b.Rebill) > 0 {
				h.rebill++
			}
		} else if m == refuse {
			return BookedRefund{}, fault.New(fault.Conflict, "HIS_BOOKED", "已退费")
		}
		out := BookedRefund{BookingNo: cmp.Or(h.repeat, "T"+b.RefundNo), BookedAt: h.w.clock.Now()}
		if len(b.Rebill) > 0 {
			out.Rebilled = []string{"N" + b.OrderNo}
		}
		return out, nil
	})
}

func (h *hospital) RefundOf(_ context.Context, _, refundNo string) (RefundStanding, error) {
	return call(h.w, "refund of", refundNo, func(m mishap) (RefundStanding, error) {
		s := RefundStanding{State: RefundNone}
		if h.held[refundNo] {
			s.State = RefundHeld
		}
		if total, done := h.booked[refundNo]; done && h.onBook != nil {
			s = RefundStanding{State: RefundBooked, Booked: BookedRefund{BookingNo: "T" + refundNo}, Total: total, Rest: h.rests[refundNo]}
			h.onBook(&s)
		}
		return s, nil
	})
}
