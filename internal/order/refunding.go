package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// WeChat's rules for refunds of one payment (wechat-pay.md §2.7).
const (
	refundYear  = 365 * 24 * time.Hour
	refundPause = time.Minute
	mostRefunds = 50
)

// refunding works on the oldest refund that is not at its end: the HIS keeps the items back, the insurer takes his part back, the cash goes
// back, WeChat and the HIS are told. Each step has its own stored state, since any can fail alone.
func (r *run) refunding(ctx context.Context) (turn, error) {
	f := r.order.Refund()
	switch {
	case f == nil || f.State == refund.InReview:
		return turn{done: true}, nil
	case f.Dropping:
		return turn{call: r.dropRefund}, nil
	case f.State == refund.Asked:
		return r.askDesk(ctx, f)
	}
	if s := r.order.Settlement(); f.Untouched() && (f.Insured() == 0 || s == nil || s.State == settlement.Settled) { // its turn may have come too late
		switch err := r.mayRefund(r.order, f); {
		case errors.Is(err, refund.ErrTooOld):
			r.giveUpRefund(f, PaymentTooOld)
			return r.turn(ctx)
		case errors.Is(err, refund.ErrTooMany):
			r.giveUpRefund(f, TooManyRefunds)
			return r.turn(ctx)
		case errors.Is(err, refund.ErrAtWindow):
			r.giveUpRefund(f, BegunAtWindow)
			return r.turn(ctx)
		case r.atOnce && !f.Note && f.Insured() > 0 && r.restInsured(f) > 0: // it was all that was left; an earlier one was not made after all
			r.giveUpRefund(f, RestRefused)
			return r.turn(ctx)
		}
	}
	for _, step := range r.refundSteps() {
		t, waits, err := step(ctx, f)
		if waits || err != nil {
			return t, err
		}
		if f.State == refund.InReview || f.Dropping {
			return r.turn(ctx)
		}
	}
	return r.finishRefund(ctx, f)
}

// refundStep is a part of a refund; false: nothing is left to do in it.
type refundStep func(ctx context.Context, f *refund.Refund) (turn, bool, error)

func (r *run) refundSteps() []refundStep {
	if r.atOnce && r.party.CashFirst {
		return []refundStep{r.refundCash, r.refundInsurance, r.tellWechat, r.bookRefund}
	}
	return []refundStep{r.refundInsurance, r.refundCash, r.tellWechat, r.bookRefund}
}

// askDesk has the HIS agree. What the window has handed back already it has agreed to by itself.
func (r *run) askDesk(ctx context.Context, f *refund.Refund) (turn, error) {
	if whole := f.Total() == r.order.Standing().Total(); whole != f.Whole { // an earlier refund was not made after all
		f.Whole = whole
		f.Touch()
	}
	if f.Note {
		r.heldRefund(f)
		return r.turn(ctx)
	}
	if f.Desk != refund.DeskAsked {
		f.Desk = refund.DeskAsked
		f.Touch()
	}
	return turn{call: r.holdRefund}, nil
}

func (r *run) refundRequest(f *refund.Refund) RefundRequest {
	o := r.order
	return RefundRequest{OrderNo: o.ID.No(), RefundNo: f.ID.No(), HISNo: f.HISNo, HISPatient: o.HISPatient, Whole: f.Whole, Lines: f.Lines,
		Total: f.Total(), Reason: f.Reason}
}

// holdRefund is idempotent by our number, so what got lost is asked again; a refusal holds nothing.
func (r *run) holdRefund(ctx context.Context) again {
	f := r.order.Refund()
	err := r.party.Desk.HoldRefund(ctx, r.refundRequest(f))
	switch kind := fault.InMoneyStep(err); {
	case err == nil:
		f.Desk = refund.DeskHeld
		r.heldRefund(f)
		return again{}
	case errors.Is(err, bill.ErrMaintenance), kind == fault.Unavailable, kind == fault.Unknown:
		a := later(&job.Polling, "hold refund: "+kindOf(err))
		a.over = func() { r.giveUpRefund(f, HISSilent) }
		return a
	}
	f.Desk = refund.DeskDropped
	r.refuseRefund(f, NotRefundable)
	return again{}
}

// heldRefund notes that the refund is agreed: what was revenue is owed to the patient and the insurer.
func (r *run) heldRefund(f *refund.Refund) {
	f.HeldAt, f.Before = r.clock.Now(), r.order.Standing()
	if f.Insured() == 0 || r.restInsured(f) == 0 {
		f.Rest = r.plainRest(f)
	}
	r.refundMoves(f, refund.Hold, ledger.Against(ledger.RefundsDue, ledger.Line{Account: ledger.Revenue, Amount: f.Total()}))
}

// plainRest is what stands afterwards where the insurer settles nothing anew.
func (r *run) plainRest(f *refund.Refund) split.Split {
	if f.Insured() > 0 { // all that was insured goes back
		return split.Split{Uninsured: f.Before.Uninsured - f.Uninsured()}
	}
	rest := f.Before
	rest.Uninsured -= f.Uninsured()
	return rest
}

// restInsured is what the insurer would be left with.
func (r *run) restInsured(f *refund.Refund) money.Fen {
	return f.Before.Total() - f.Before.Uninsured - f.Insured()
}

// refundMoves moves a refund and notes it.
func (r *run) refundMoves(f *refund.Refund, e refund.Event, p ledger.Posting) {
	from := f.State
	if err := f.Apply(e); err != nil {
		r.leg("refund", "ignored "+string(e), string(from), string(from), f.ID.No(), split.Split{}, nil)
		return
	}
	r.note(Event{Subject: "refund", Verb: string(e), From: string(from), To: string(f.State), Number: f.ID.No(), Detail: f.Cause, Posting: p})
}

// giveUpRefund ends a refund of which nothing has moved; the HIS is told, as far as it may hold anything.
func (r *run) giveUpRefund(f *refund.Refund, c Cause) {
	s := r.order.Settlement()
	if (f.Insured() > 0 && s != nil && s.State != settlement.Settled) || f.Cash.OutRefundNo != "" || f.ByHand() { // something has moved
		r.review(c)
		return
	}
	f.Cause = string(c)
	f.Touch()
	if f.Desk == refund.DeskAsked || f.Desk == refund.DeskHeld {
		f.Dropping = true
		return
	}
	r.refuseRefund(f, c)
}

func (r *run) refuseRefund(f *refund.Refund, c Cause) {
	var p ledger.Posting
	if !f.HeldAt.IsZero() {
		p = ledger.Against(ledger.Revenue, ledger.Line{Account: ledger.RefundsDue, Amount: f.Total()})
	}
	f.Cause, f.Dropping, f.AuthSince, f.DoneAt = string(c), false, time.Time{}, r.clock.Now()
	if f.Cash.Amount > 0 { // promised under numbers that are all dead
		r.order.Payment().Release(f.Cash.Amount)
	}
	r.order.RefundInsured -= f.Insured()
	r.order.RefundUninsured -= f.Uninsured()
	r.refundMoves(f, refund.Refuse, p)
}

// dropRefund ends the HIS's hold. It moves no money; after a while it is left to the hospital's own people.
func (r *run) dropRefund(ctx context.Context) again {
	f := r.order.Refund()
	dropped := func() {
		f.Desk = refund.DeskDropped
		r.refuseRefund(f, Cause(f.Cause))
	}
	if err := r.party.Desk.DropRefund(ctx, r.order.ID.No(), f.ID.No()); err != nil {
		a := later(&job.Tidying, "drop refund: "+kindOf(err))
		a.over = dropped
		return a
	}
	dropped()
	return again{}
}

// reviewRefund hands a refund to people. The legs stay as they are.
func (r *run) reviewRefund(c Cause) {
	f := r.order.Refund()
	if f == nil || f.State == refund.InReview {
		return
	}
	f.Cause = string(c)
	r.refundMoves(f, refund.Escalate, nil)
}

// refundInsurance has the insurer take back what he has paid, and where something insured is left, settle that anew.
func (r *run) refundInsurance(ctx context.Context, f *refund.Refund) (turn, bool, error) {
	if !f.InsuredAt.IsZero() || f.Insured() == 0 {
		return turn{}, false, nil
	}
	if f.Note {
		if !f.RestKnown() {
			r.review(NoteOfInsured) // what the insurer made of it nobody has told
		}
		return turn{}, false, nil
	}
	if r.restInsured(f) > 0 {
		return r.resettle(ctx, f)
	}
	if s := r.order.Settlement(); s != nil && !s.State.Final() {
		return r.undoInsurance(ctx, s)
	}
	f.InsuredAt = r.clock.Now()
	f.Touch()
	return turn{}, false, nil
}

// refundCash gives the cash difference back.
func (r *run) refundCash(ctx context.Context, f *refund.Refund) (turn, bool, error) {
	p, due := r.order.Payment(), f.CashDue()
	switch {
	case f.ByHand() && f.Cash.OutRefundNo != "" && !f.Returned():
		m := r.partCash(f, p, due)
		return turn{call: func(ctx context.Context) again { return r.lookAfterTill(ctx, f, m) }}, true, nil
	case f.Note || f.Returned() || f.ByHand() || due == 0:
		return turn{}, false, nil
	case due < 0:
		r.review(WouldOwe)
		return turn{}, false, nil
	case p == nil:
		return turn{}, false, errors.New("cash to give back, and no payment")
	}
	if f.Cash.OutRefundNo == "" {
		last, numbers := r.lastRefund(p)
		switch rested := last.Add(r.config.Pace.Wait(refundPause)); {
		case !r.clock.Now().Before(p.PaidAt.Add(refundYear)):
			r.review(PaymentTooOld)
			return turn{}, false, nil
		case numbers >= mostRefunds:
			r.review(TooManyRefunds)
			return turn{}, false, nil
		case !last.IsZero() && r.clock.Now().Before(rested):
			return turn{until: rested, note: "a minute between two refunds of one payment"}, true, nil
		}
	}
	t, err := r.returnCash(ctx, r.partCash(f, p, due))
	return t, true, err
}

// lookAfterTill asks WeChat about a number that people have called dead: what it has given back all the same is noted, and people look again.
func (r *run) lookAfterTill(ctx context.Context, f *refund.Refund, m moneyBack) again {
	dead := func() {
		number, accepted := f.Cash.OutRefundNo, f.Cash.RefundID
		f.Cash.Dead()
		m.dead(number, accepted)
	}
	status, err := r.party.Gateway.QueryRefund(ctx, f.Cash.OutRefundNo)
	if err != nil {
		a := later(m.pace(), "query refund: "+kindOf(err))
		if errors.Is(err, payment.ErrRefundNotExist) { // as people say, and WeChat for days; no answer at all says nothing
			a.over = dead
		}
		return a
	}
	finding := f.Cash.Judge(status, m.of)
	f.Touch()
	switch finding {
	case payment.FoundReturned:
		m.returned()
		r.review(GivenTwice)
	case payment.FoundUnderWay, payment.FoundUnlikely, payment.FoundAbnormal: // not final: the merchant's desk may yet send it to the patient
		return later(&job.Returning, "refund called dead: "+string(finding))
	case payment.FoundUnbearable:
		m.stuck()
	default: // closed, or in the merchant's own account
		dead()
	}
	return again{}
}

// lastRefund is when money of that payment was last asked back, and under how many numbers in all.
func (r *run) lastRefund(p *payment.Payment) (last time.Time, numbers int) {
	last, numbers = p.Back.AskedAt, p.Back.Numbers
	for _, f := range r.order.Refunds {
		numbers += f.Cash.Numbers
		if f.Cash.AskedAt.After(last) {
			last = f.Cash.AskedAt
		}
	}
	return last, numbers
}

// partCash is the cash that a refund gives back.
func (r *run) partCash(f *refund.Refund, p *payment.Payment, due money.Fen) moneyBack {
	amounts := split.Split{Cash: due}
	return moneyBack{MoneyBack: &f.Cash, of: p, amount: due, reason: "门诊退费", touch: f.Touch,
		ask: func(number string, request []byte) error {
			switch promised := f.Cash.Amount; {
			case promised == due: // a later number stands for the same promise
			case promised != 0 || !p.Reserve(due):
				return fmt.Errorf("%s would go back, %s are promised and %s of %s reserved", due, promised, p.RefundReserved, p.Amount)
			}
			f.Cash.Ask(number, due, request, r.clock.Now())
			f.Touch()
			r.leg("refund", "cash", string(p.State), string(p.State), number, amounts, nil)
			return nil
		},
		returned: func() {
			f.CashAt = f.Cash.ReturnedAt
			f.Touch()
			r.leg("refund", "cash returned", string(f.State), string(f.State), f.Cash.RefundID, amounts,
				ledger.Against(ledger.RefundsDue, ledger.Line{Account: ledger.WechatCash, Amount: -due}))
		},
		dead: func(number, accepted string) {
			f.Touch()
			r.note(Event{Subject: "refund", Verb: "cash number dead", From: string(f.State), To: string(f.State), Number: number, Split: amounts, Detail: accepted})
		},
		stuck: func() { r.review(RefundStuck) }}
}

// tellWechat lets WeChat know that the insurer's part is back, where it had both parts in hand.
func (r *run) tellWechat(_ context.Context, f *refund.Refund) (turn, bool, error) {
	if f.InsuredAt.IsZero() || r.order.MixedOrder() == nil || r.order.Settlement().State != settlement.Cancelled {
		return turn{}, false, nil
	}
	t, waits, err := r.tell(r.cashNumber(f))
	if !waits && err == nil && f.ToldAt.IsZero() {
		f.ToldAt = r.clock.Now()
		f.Touch()
	}
	return t, waits, err
}

// cashNumber is the number that WeChat wants to hear of when the insurer's part is back: the refund's own, or that of an earlier one that gave
// cash of the same payment back (医保退款通知: "the cash refund's number if there was one").
func (r *run) cashNumber(f *refund.Refund) string {
	number := ""
	for _, one := range r.order.Refunds {
		number = cmp.Or(one.Cash.OutRefundNo, number)
		if one == f {
			break
		}
	}
	return number
}

// bookRefund tells the HIS that the money is back, until it has heard.
func (r *run) bookRefund(_ context.Context, f *refund.Refund) (turn, bool, error) {
	if f.Desk == refund.DeskBooked {
		return turn{}, false, nil
	}
	if f.Desk != refund.DeskBooking {
		f.Desk = refund.DeskBooking
		f.Touch()
	}
	return turn{call: r.askBooking}, true, nil
}

func (r *run) refundBooking(f *refund.Refund) RefundBooking {
	b := RefundBooking{RefundRequest: r.refundRequest(f), Rest: f.Rest, Rebill: f.Kept(), Note: f.Note, ByHand: f.ByHand(), RefundedAt: f.HeldAt}
	switch {
	case f.Returned() && f.Cash.RefundID == "": // people's word
		b.ByHand = true
	case f.Returned() && f.Till == 0: // nothing beside WeChat, or the till has taken in again what it gave
		b.ByHand = false
		b.OutRefundNo, b.RefundID = f.Cash.OutRefundNo, f.Cash.RefundID
	}
	for _, at := range []time.Time{f.InsuredAt, f.CashAt, f.TillAt} {
		if at.After(b.RefundedAt) {
			b.RefundedAt = at
		}
	}
	if s := r.order.Settlement(); s != nil && s.State == settlement.Settled {
		b.RestSetlID, b.RestMdtrtID, b.RestSettled = s.SetlID, s.Visit.MdtrtID, s.SettledAt
	}
	return b
}

// askBooking is idempotent by our number; whatever a refusal says, a query proves it.
func (r *run) askBooking(ctx context.Context) again {
	f := r.order.Refund()
	booked, err := r.party.Desk.BookRefund(ctx, r.refundBooking(f))
	kind := fault.InMoneyStep(err)
	if err != nil && kind != fault.Unavailable && kind != fault.Unknown {
		standing, failed := r.party.Desk.RefundOf(ctx, r.order.ID.No(), f.ID.No())
		switch {
		case failed != nil:
			return r.bookLater("query refund: " + kindOf(failed))
		case standing.State == RefundBooked && (standing.Total != f.Total() || standing.Rest != f.Rest):
			r.review(DeskMismatch)
			return again{}
		case standing.State != RefundBooked:
			return r.bookLater("book refund: " + kindOf(err))
		}
		booked = standing.Booked
	} else if err != nil {
		return r.bookLater("book refund: " + kindOf(err))
	}
	f.Desk, f.BookingNo, f.Rebilled = refund.DeskBooked, booked.BookingNo, booked.Rebilled
	f.Touch()
	r.leg("refund", "booked", string(f.State), string(f.State), booked.BookingNo, f.Rest, nil)
	return again{}
}

func (r *run) bookLater(note string) again {
	a := later(&job.Posting, note)
	a.over = func() { r.review(DeskMismatch) }
	return a
}

// finishRefund ends a refund: every fen is back on every side.
func (r *run) finishRefund(ctx context.Context, f *refund.Refund) (turn, error) {
	r.endRefund(f)
	return r.turn(ctx)
}

func (r *run) endRefund(f *refund.Refund) {
	f.DoneAt = r.clock.Now()
	var p ledger.Posting
	if f.Note { // the window's till paid; it is matched with the hospital's own books
		p = ledger.Against(ledger.Suspense, ledger.Line{Account: ledger.RefundsDue, Amount: f.Total()})
	}
	r.refundMoves(f, refund.Finish, p)
}
