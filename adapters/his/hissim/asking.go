package hissim

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/money"
)

// ErrNobody is a hospital that has nobody to tell: no platform was configured.
var ErrNobody = errors.New("hissim: no platform to notify")

// AskState is where a refund that the window asked for stands.
type AskState string

// The states of what was asked. Whether the platform has taken it up, its hold says.
const (
	AskOpen      AskState = "asked"     // 已申请
	AskWithdrawn AskState = "withdrawn" // 已撤回
	AskBooked    AskState = "booked"    // the platform's refund is in the books
)

// Ask is a refund that the window asks the platform for (窗口退费), or, with Note, one whose money it handed back itself. Its items are
// kept until the platform's refund is booked, or it is withdrawn.
type Ask struct {
	HISRefundNo string       `json:"his_refund_no"`
	OrderNo     string       `json:"order_no"`
	Whole       bool         `json:"whole"`
	Lines       []RefundLine `json:"lines"`
	TotalFen    money.Fen    `json:"total_fen"`
	Note        bool         `json:"note"`
	Reason      string       `json:"reason,omitempty"`
	State       AskState     `json:"state"`
	AskedAt     time.Time    `json:"asked_at"`
	Platform    *Standing    `json:"platform,omitempty"` // what the platform last said of it
}

// AskRefund asks the platform for a refund of an order's items; without lines, of everything that is left. The amounts are the hospital's to say.
// ErrState for what went back or was handed out, ErrHeld for what a refund under way keeps, ErrNobody without a platform.
func (s *Sim) AskRefund(order string, a Ask) (Ask, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.state.postings[order]
	switch {
	case s.config.Notify == nil:
		return Ask{}, ErrNobody
	case !ok:
		return Ask{}, fmt.Errorf("posting of %q: %w", order, ErrNoSuch)
	case p.State != posted:
		return Ask{}, fmt.Errorf("posting of %s is %s: %w", order, p.State, ErrState)
	}
	all := s.state.stockOf(p, "", "")
	if a.Lines = slices.Clone(a.Lines); len(a.Lines) == 0 {
		a.Lines = s.everything(p, all)
	}
	if err := a.weigh(all); err != nil {
		return Ask{}, err
	}
	if err := checkLines(a.Lines); err != nil || utf8.RuneCountInString(a.Reason) > 80 {
		return Ask{}, errors.Join(ErrBadBill, err)
	}
	now := s.config.Clock.Now()
	a.HISRefundNo, a.OrderNo, a.State, a.AskedAt = s.number("CT", now), order, AskOpen, now
	return a, s.commit(entry{Ask: &a, Notice: s.tell(refundAsked, order, "", a.HISRefundNo, now)})
}

// everything is what is left of a posting, in the order of its bills.
func (s *Sim) everything(p Posting, all map[itemKey]*stock) []RefundLine {
	var lines []RefundLine
	for _, no := range p.BillNos {
		for _, l := range s.state.bills[no].Lines {
			if st := all[itemKey{no, l.No}]; st.worth(st.left) > 0 {
				lines = append(lines, RefundLine{BillNo: no, LineNo: l.No, Quantity: st.left.String()})
			}
		}
	}
	return lines
}

// weigh sets the amounts of what is asked for, and whether it is everything.
func (a *Ask) weigh(all map[itemKey]*stock) error {
	a.TotalFen, a.Whole = 0, true
	for i := range a.Lines {
		l := &a.Lines[i]
		st, ok := all[l.key()]
		if !ok {
			return fmt.Errorf("item %q: %w", l.LineNo, ErrNoSuch)
		}
		q, err := quantityOf(l.Quantity, st.left)
		switch {
		case err != nil:
			return err
		case q.GreaterThan(st.left.Sub(st.kept)) && st.kept.IsPositive():
			return fmt.Errorf("item %s is to go back already: %w", l.LineNo, ErrHeld)
		case !q.IsPositive() || q.GreaterThan(st.free()):
			return fmt.Errorf("item %s: %s are there: %w", l.LineNo, st.free(), ErrState)
		}
		l.Quantity, l.TotalFen = q.String(), st.price(q)
		st.left = st.left.Sub(q)
		a.TotalFen += l.TotalFen
	}
	for _, st := range all {
		a.Whole = a.Whole && st.worth(st.left) == 0
	}
	if len(a.Lines) == 0 || a.TotalFen == 0 {
		return fmt.Errorf("nothing is left: %w", ErrState)
	}
	return nil
}

// WithdrawAsk takes back what the window asked for. ErrHeld when the platform has taken it up.
func (s *Sim) WithdrawAsk(no string) (Ask, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.state.asks[no]
	switch {
	case !ok:
		return Ask{}, fmt.Errorf("refund %q: %w", no, ErrNoSuch)
	case a.State != AskOpen:
		return Ask{}, fmt.Errorf("refund %s is %s: %w", no, a.State, ErrState)
	}
	for _, refund := range s.state.refundsOf[a.OrderNo] {
		if r := s.state.refunds[refund]; r.HISRefundNo == no && r.State == RefundHeld {
			return Ask{}, fmt.Errorf("refund %s: %w", no, ErrHeld)
		}
	}
	a.State = AskWithdrawn
	return a, s.commit(entry{Ask: &a})
}

// unasked refuses a refund that names another one of the window's than it is. The caller holds the mutex.
func (s *Sim) unasked(in refundRequest) *reply {
	a, ok := s.state.asks[in.HISRefundNo]
	if in.HISRefundNo == "" || (ok && a.State == AskOpen && a.OrderNo == in.OrderNo && sameLines(a.Lines, in.Lines)) {
		return nil
	}
	return &reply{code: codeNotFound, message: "窗口没有该退费申请"}
}
