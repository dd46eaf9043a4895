package order

import (
	"context"
	"fmt"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
)

// ErrNoDesk is a hospital that gives back at the window alone.
var ErrNoDesk = fault.New(fault.Conflict, "REFUND_AT_WINDOW", "本院暂不支持线上退费，请到医院窗口办理")

// RefundAsk asks for an order, or a part of it, back.
type RefundAsk struct {
	By      refund.Asker
	Actor   string
	Account patient.AccountID // of the patient who asks; 0 for staff and HIS
	Order   ID
	Key     string // the same key again is the same refund
	Whole   bool   // all that is left
	Wants   []refund.Want
	// KeptAgain says that the asker knows: where the insurer takes back an order only as a whole, what he keeps is billed anew.
	KeptAgain bool
	Note      bool   // the window has handed the money back
	HISNo     string // the HIS's own number
	Reason    string
	Request   *job.Request // stored with the refund; nil: none
	Total     money.Fen    // what the asker reckons that the items are worth; 0: nothing is reckoned
}

// AskRefund takes a request for a refund: it reserves what is to go back, and works on it as far as it gets. An order that the HIS has not
// booked yet keeps the request, and the HIS is asked at once. Errors: ErrNotFound, ErrState, ErrNoDesk, the sentinels of package refund, job.ErrBusy.
func (s *Service) AskRefund(ctx context.Context, a RefundAsk) (*Order, *refund.Refund, error) {
	o, err := s.store.Load(ctx, a.Order)
	if err != nil {
		return nil, nil, fmt.Errorf("refund of order %s: %w", a.Order.No(), err)
	}
	if a.Account != 0 && o.Account != a.Account {
		return nil, nil, ErrNotFound
	}
	if f := o.refundBy(a.Key); f != nil {
		return o, f, nil
	}
	if _, err := s.planRefund(o, a); err != nil { // before anything is held up
		return nil, nil, err
	}
	var f *refund.Refund
	err = s.heldAnew(ctx, o, func(now *Order, claim job.Claim) (err error) {
		o = now
		if f = o.refundBy(a.Key); f != nil {
			return nil
		}
		if f, err = s.planRefund(o, a); err != nil {
			return err
		}
		o.Request = a.Request
		o.Refunds = append(o.Refunds, f)
		o.RefundInsured += f.Insured()
		o.RefundUninsured += f.Uninsured()
		claim.RunAt, claim.Attempt = s.clock.Now(), 0
		o.Events = append(o.Events, Event{At: f.AskedAt, Actor: a.Actor, Subject: "refund", Verb: "ask", To: string(f.State), Number: f.ID.No(),
			Detail: f.Total().String()})
		return s.drive(ctx, o, claim, a.Actor)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("refund: %w", err)
	}
	return o, f, nil
}

// Left are the bills as far as nothing of them was given back, or is about to be.
func (o *Order) Left() []bill.Bill {
	bills := make([]bill.Bill, 0, len(o.Bills))
	for i := range o.Bills {
		bills = append(bills, o.Bills[i].Bill)
	}
	return refund.Left(bills, o.Refunds)
}

// Refundable reports whether a refund may be asked for: the HIS has the order, or is about to, and something of it is left.
func (o *Order) Refundable() bool {
	return (o.State == Completed || o.State == BeingPosted) && len(o.Left()) > 0
}

// WholeOnly reports whether what is insured of the order goes back as a whole only, and what the patient keeps is billed anew.
func (s *Service) WholeOnly(o *Order) bool {
	legs, _ := s.legsOf(o.Route)
	return together(legs) && o.insured()
}

// refundBy is the refund that a request with this key has made.
func (o *Order) refundBy(key string) *refund.Refund {
	for _, f := range o.Refunds {
		if f.Key == key {
			return f
		}
	}
	return nil
}

// planRefund says what a request gives back, or why nothing.
func (s *Service) planRefund(o *Order, a RefundAsk) (*refund.Refund, error) {
	party, ok := s.parties[o.Institution]
	switch {
	case !ok || (o.State != Completed && o.State != BeingPosted):
		return nil, ErrState
	case party.Desk == nil:
		return nil, ErrNoDesk
	}
	left := o.Left()
	everything := refund.Everything(left)
	if len(everything) == 0 {
		return nil, refund.ErrNothing
	}
	lines := everything
	if !a.Whole {
		var err error
		if lines, err = refund.Choose(left, a.Wants); err != nil {
			return nil, err
		}
		if len(lines) == 0 {
			return nil, refund.ErrLine
		}
	}
	if worth := (&refund.Refund{Lines: lines}).Total(); a.Total != 0 && a.Total != worth {
		return nil, refund.ErrAmount.Because(fmt.Errorf("%s, it is %s here", a.Total, worth))
	}
	if err := refund.UnderWay(lines, o.Refunds); err != nil {
		return nil, err
	}
	s.markUninsured(o, everything)
	s.markUninsured(o, lines)
	f := &refund.Refund{ID: refund.ID(s.source.ID()), Seq: len(o.Refunds) + 1, State: refund.Asked, By: a.By, Actor: a.Actor, Key: a.Key, HISNo: a.HISNo,
		Reason: a.Reason, Note: a.Note, Lines: lines, AskedAt: s.clock.Now()}
	f.Whole = f.Total() == (&refund.Refund{Lines: everything}).Total()
	if s.WholeOnly(o) && f.Insured() > 0 && !f.Whole && !a.Note { // what the window handed back it has chosen itself
		if !a.KeptAgain {
			return nil, refund.ErrWholeOnly
		}
		f.Lines, f.Whole = refund.WithKept(everything, lines), true
		if err := refund.UnderWay(f.Lines, o.Refunds); err != nil {
			return nil, err
		}
	}
	f.Touch()
	return f, s.mayRefund(o, f)
}

// mayRefund refuses what WeChat or the insurer would refuse later.
func (s *Service) mayRefund(o *Order, f *refund.Refund) error {
	for _, e := range o.Refunds { // the window has undone a part of the settlement by itself: what stands at the insurer only the window knows
		if e.Note && e.State == refund.Done && e.Insured() > 0 && e.Rest.Total() > e.Rest.Uninsured && !f.Note && f.Insured() > 0 {
			return refund.ErrAtWindow
		}
	}
	p := o.Payment()
	if f.Note || p == nil || o.Standing().Charge() == 0 {
		return nil
	}
	numbers := p.Back.Numbers
	for _, earlier := range o.Refunds {
		numbers += earlier.Cash.Numbers
	}
	switch {
	case !s.clock.Now().Before(p.PaidAt.Add(refundYear)):
		return refund.ErrTooOld
	case numbers >= mostRefunds:
		return refund.ErrTooMany
	}
	return nil
}

// markUninsured takes all lines of an order for uninsured that the insurer never saw.
func (s *Service) markUninsured(o *Order, lines []refund.Line) {
	if o.insured() {
		return
	}
	for i := range lines {
		lines[i].Uninsured = true
	}
}
