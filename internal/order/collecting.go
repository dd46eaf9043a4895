package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// leastTime is how long a patient must have to pay; with less, a new authorisation comes first (design.md §3, deadlines).
const leastTime = time.Minute

// begin leaves the quote that the patient confirmed: for the cash, or for the insurer alone where no cash is due.
func (r *run) begin(ctx context.Context) (turn, error) {
	if last := r.order.lastPayment(0); !last.IsZero() && !r.clock.Now().Before(last) { // the HIS has been slow to lock
		return r.abandon(ctx, NotPaid)
	}
	m, detail := Collect, ""
	if r.order.Split.Charge() == 0 && !r.joint() { // together with the insurance the patient types the password for nothing, too
		m, detail = Settle, "no cash"
	}
	if err := r.move(m, detail); err != nil {
		return turn{}, err
	}
	return r.turn(ctx)
}

// collect works on the cash leg: it opens the cash order and waits for the patient's money.
func (r *run) collect(ctx context.Context) (turn, error) {
	o, p := r.order, r.order.Payment()
	if p == nil {
		if o.CancelAsked {
			return r.abandon(ctx, ByPatient)
		}
		return r.openCash(ctx)
	}
	switch p.State {
	case payment.Preparing:
		if o.CancelAsked {
			return r.abandon(ctx, ByPatient)
		}
		if !r.clock.Now().Before(p.ExpiresAt) {
			return r.abandon(ctx, NotPaid)
		}
		return r.askCash(), nil // the identical stored bytes again: idempotent
	case payment.Open:
		return turn{call: r.lookForCash}, nil
	case payment.Refused:
		return r.abandon(ctx, CashRefused)
	case payment.Closed: // of a quote before this one
		return r.openCash(ctx)
	case payment.Closing:
		return r.abandon(ctx, NotPaid)
	default:
		r.review(CashMismatch)
		return r.turn(ctx)
	}
}

// openCash makes the cash order. Its request is exact from here on, and stored before it is sent.
func (r *run) openCash(ctx context.Context) (turn, error) {
	o := r.order
	expires, cause := r.payUntil()
	if expires.Sub(r.clock.Now()) < leastTime {
		return r.tooLate(ctx, cause)
	}
	account, err := r.payer(ctx)
	if err != nil {
		return turn{}, err
	}
	id := r.source.ID()
	outTradeNo := fmt.Sprintf("%d%s", id, r.source.Nonce(8)) // at most 27 of 32 characters; the nonce so that it cannot be guessed
	request, err := r.party.Gateway.BuildPrepay(payment.Prepay{OutTradeNo: outTradeNo, Description: r.party.Name + "-" + o.Kind().Text(),
		Attach: o.ID.No(), Total: o.Split.Charge(), OpenID: account.OpenID, ExpiresAt: expires})
	if err != nil { // nothing that WeChat would take can be made of it
		r.note(Event{Subject: "payment", Verb: "unbuildable", Detail: kindOf(err)})
		return r.abandon(ctx, CashRefused)
	}
	p := payment.New(payment.ID(id), len(o.Payments)+1, outTradeNo, o.Split.Charge(), request, expires)
	o.Payments = append(o.Payments, p)
	r.leg("payment", "prepare", "", string(p.State), p.OutTradeNo, o.Split, nil)
	return r.askCash(), nil
}

// askCash sends the cash order. That it is asked is stored before it leaves, so that after a crash nobody takes it for never sent.
func (r *run) askCash() turn {
	r.order.Payment().Sent()
	return turn{call: r.prepay}
}

// payUntil is the cash order's time_expire: before the HIS lock ends, before the HIS gives the slot or the amount back, before the authorisation
// ends, and within the pay window. It goes out in whole seconds, and is fixed here for good. The cause says why it may be too soon.
func (r *run) payUntil() (time.Time, Cause) {
	o := r.order
	until, cause := r.clock.Now().Add(r.config.PayWindow), NotPaid
	until = earlier(earlier(until, o.LockedUntil.Add(-hisMargin)), o.lastPayment(0))
	if s := o.Settlement(); s != nil && (s.State == settlement.Presettled || s.HandedOver) && !o.AuthUntil.IsZero() {
		if auth := o.AuthUntil.Add(-r.config.AuthMargin); auth.Before(until) {
			until, cause = auth, AuthTooOld
		}
	}
	return until.Truncate(time.Second), cause
}

// prepay sends the stored cash order, first or again.
func (r *run) prepay(ctx context.Context) again {
	p := r.order.Payment()
	first := p.Asked == 1
	prepayID, err := r.party.Gateway.Prepay(ctx, p.Request)
	switch {
	case err == nil:
		p.PrepayID = prepayID
		r.pay(payment.Prepared)
		r.restart()
		if r.joint() {
			return again{} // the mixed order follows at once; the cash order alone is never shown
		}
		return later(&job.Polling, "waits for the patient to pay")
	case fault.InMoneyStep(err) == fault.Unavailable:
		p.Unsent()
		return later(&job.Polling, "cash order: never left")
	case fault.InMoneyStep(err) == fault.Rejected && first && !errors.Is(err, payment.ErrOrderPaid) && !errors.Is(err, payment.ErrOrderClosed):
		r.pay(payment.Refuse)
		return again{}
	case fault.InMoneyStep(err) == fault.Rejected && r.joint(): // asked before: closing proves what became of it
		r.giveUp(CashRefused)
		return again{}
	case fault.InMoneyStep(err) == fault.Rejected: // asked before: only a verified query tells what became of it
		return r.lookForCash(ctx)
	default:
		return later(&job.Polling, "cash order: "+kindOf(err))
	}
}

// lookForCash asks WeChat whether the patient has paid.
func (r *run) lookForCash(ctx context.Context) again {
	finding, a := r.queryCash(ctx)
	o, p := r.order, r.order.Payment()
	switch finding {
	case payment.FoundOpen:
	case payment.FoundDead:
		r.giveUp(NotPaid)
		return a
	default:
		return a
	}
	switch {
	case o.CancelAsked:
		r.giveUp(ByPatient)
		return again{}
	case !r.clock.Now().Before(p.ExpiresAt):
		r.giveUp(NotPaid)
		return again{}
	}
	a = later(&job.Polling, "waits for the patient to pay")
	if wait, ok := job.Polling.Wait(r.attempt, r.config.Pace); !ok || r.clock.Now().Add(wait).After(p.ExpiresAt) {
		a.schedule, a.rest = &job.Schedule{Name: "expiry", Waits: []time.Duration{0}, Limit: 24 * time.Hour}, p.ExpiresAt
	}
	return a
}

// queryCash asks for the current payment and notes what a verified answer proves.
func (r *run) queryCash(ctx context.Context) (payment.Finding, again) {
	p := r.order.Payment()
	account, err := r.payer(ctx)
	if err != nil {
		return "", later(&job.Polling, "payer unreadable")
	}
	t, err := r.party.Gateway.Query(ctx, p.OutTradeNo)
	if err != nil { // also a 404: it is not signed
		return "", later(&job.Polling, "query cash order: "+kindOf(err))
	}
	finding := p.Judge(t, account.OpenID)
	switch finding {
	case payment.FoundPaid:
		r.paid()
	case payment.FoundDead:
		r.pay(payment.Dead)
	case payment.FoundGone:
		r.paid()
		r.pay(payment.Escalate)
		r.review(CashGone)
	case payment.FoundUnbearable:
		r.pay(payment.Escalate)
		r.review(CashMismatch)
	case payment.FoundUnlikely:
		return finding, later(&job.Polling, "cash order: other amounts or numbers than ours")
	}
	return finding, again{}
}

// paid notes the patient's money, once.
func (r *run) paid() {
	if !r.cashTaken() {
		r.pay(payment.Pay)
	}
}

// pay moves the current payment and notes it, with the money it moved.
func (r *run) pay(e payment.Event) { r.payBy(e, r.order.Payment().OutTradeNo, "") }

// payBy does so for an event that is about another number than the cash order's, with what is to be known beside it.
func (r *run) payBy(e payment.Event, number, detail string) {
	p := r.order.Payment()
	from := p.State
	if err := p.Apply(e); err != nil {
		r.leg("payment", "ignored "+string(e), string(from), string(from), p.OutTradeNo, split.Split{}, nil)
		return
	}
	amounts := split.Split{Cash: p.Amount}
	switch e {
	case payment.Pay:
		r.leg("payment", string(e), string(from), string(p.State), p.TransactionID, amounts, p.Received(r.against()))
	case payment.Return:
		r.leg("payment", string(e), string(from), string(p.State), p.Back.RefundID, amounts, p.Received(r.against()).Undo())
	default:
		r.note(Event{Subject: "payment", Verb: string(e), From: string(from), To: string(p.State), Number: number, Split: amounts, Detail: detail})
	}
}

// closing proves that no counterpart will take money any more, and gives everything back that was only reserved.
func (r *run) closing(ctx context.Context) (turn, error) {
	p := r.order.Payment()
	if p != nil && !p.State.Final() {
		switch p.State {
		case payment.Paid:
			if m := r.order.MixedOrder(); m != nil && !m.State.Final() {
				return r.resume(ctx, "paid after all") // what became of both parts is WeChat's to say
			}
			r.unwind(r.order.Cause)
			return r.turn(ctx)
		case payment.Preparing, payment.Open:
			if p.State == payment.Preparing && p.Asked == 0 { // it never left
				r.pay(payment.Dead)
				return r.turn(ctx)
			}
			r.pay(payment.Close)
			return turn{call: r.closeCash}, nil
		case payment.Closing:
			return turn{call: r.closeCash}, nil
		default:
			r.review(CashMismatch)
			return r.turn(ctx)
		}
	}
	if s := r.order.Settlement(); s != nil && s.State == settlement.InReview {
		r.review(r.order.Cause)
		return r.turn(ctx)
	}
	if r.order.AtCentre() {
		if t, ok, err := r.part(ctx); ok || err != nil {
			return t, err
		}
	}
	if r.insuranceHeld() { // settled, and nothing was collected: it goes back
		r.unwind(r.order.Cause)
		return r.turn(ctx)
	}
	if t, ok, err := r.tidy(); ok || err != nil {
		return t, err
	}
	if r.order.Renew {
		r.order.Cause = ""
		r.requote("authorisation ended")
		r.needAuth()
		return r.turn(ctx)
	}
	if err := r.move(Shut, string(r.order.Cause)); err != nil {
		return turn{}, err
	}
	return turn{done: true}, nil
}

// closeCash: only NOTPAY, then close, then 204, or CLOSED, means unpaid.
func (r *run) closeCash(ctx context.Context) again {
	p := r.order.Payment()
	if p.PrepayID == "" { // its answer was lost: the identical order again, so that there is something to close
		prepayID, err := r.party.Gateway.Prepay(ctx, p.Request)
		if err == nil {
			p.PrepayID = prepayID // never shown to the patient
			p.Touch()
		} else if k := fault.InMoneyStep(err); k != fault.Rejected {
			return later(&job.Polling, "close cash order: "+kindOf(err))
		}
	}
	finding, a := r.queryCash(ctx)
	if finding != payment.FoundOpen {
		return a
	}
	err := r.party.Gateway.Close(ctx, p.OutTradeNo)
	if m := r.order.MixedOrder(); errors.Is(err, payment.ErrOrderPaid) && m != nil && !m.State.Final() && r.order.State == Closing {
		return r.typed()
	}
	if err != nil {
		return later(&job.Polling, "close cash order: "+kindOf(err))
	}
	r.pay(payment.Dead)
	return again{}
}

// tidy withdraws what was uploaded and releases the lock. Neither moves money, and both expire by themselves: after a while it stops trying.
func (r *run) tidy() (turn, bool, error) {
	o := r.order
	if s := o.Settlement(); s != nil {
		switch s.State {
		case settlement.Presettling:
			if s.Upload.PayOrdID != "" {
				if err := r.settle("withdraw", settleOn(settlement.Withdraw)); err != nil {
					return turn{}, false, err
				}
				return turn{call: r.revoke}, true, nil
			}
			if err := r.dropPresettlement(); err != nil {
				return turn{}, false, err
			}
		case settlement.Presettled:
			from := s.State
			if err := s.Apply(settlement.Withdraw); err != nil {
				return turn{}, false, err
			}
			r.leg("settlement", "withdraw", string(from), string(s.State), s.BatchNo, split.Split{}, nil)
			return turn{call: r.withdrawal()}, true, nil
		case settlement.Withdrawing:
			return turn{call: r.withdrawal()}, true, nil
		}
	}
	if o.Renew { // the bills stay locked for the new authorisation
		return turn{}, false, nil
	}
	if o.Lock == LockAsked || o.Lock == Locked {
		return turn{call: r.release}, true, nil
	}
	return turn{}, false, nil
}

// withdrawal is how what was uploaded is taken back: at the centre by 6401, else by 2205 and 2202.
func (r *run) withdrawal() func(context.Context) again {
	if r.atOnce {
		return r.revoke
	}
	return r.withdraw
}

func (r *run) withdraw(ctx context.Context) again {
	gone := func(verb string) {
		s := r.order.Settlement()
		from := s.State
		_ = s.Apply(settlement.Gone) // withdrawing has this move
		r.leg("settlement", verb, string(from), string(s.State), s.BatchNo, split.Split{}, nil)
	}
	claim, err := r.claimOf(ctx)
	if err == nil {
		err = r.insurer.Withdraw(ctx, claim)
	}
	switch {
	case errors.Is(err, settlement.ErrStands):
		r.settlementInReview(InsurerUnproved)()
		return again{}
	case err == nil, fault.InMoneyStep(err) == fault.Rejected:
		gone("withdrawn")
		return again{}
	}
	a := later(&job.Tidying, "withdraw fees: "+kindOf(err))
	a.over = func() { gone("orphaned") }
	return a
}

func (r *run) release(ctx context.Context) again {
	o := r.order
	released := func(verb string) {
		r.note(Event{Subject: "his", Verb: verb, From: string(o.Lock), To: string(Released), Number: o.ID.No()})
		o.Lock = Released
	}
	err := r.party.Hospital.Release(ctx, o.ID.No())
	if err == nil {
		released("released")
		return again{}
	}
	if o.Lock == Locked && r.clock.Now().After(o.LockedUntil) {
		released("lock expired")
		return again{}
	}
	a := later(&job.Tidying, "release lock: "+kindOf(err))
	a.over = func() { released("lock left to expire") }
	return a
}

// closed is entered again when a notice says that money came after all. A verified late payment goes back; it never revives the order.
// Nothing is decided before each part was looked at.
func (r *run) closed(ctx context.Context) (turn, error) {
	p, s := r.order.Payment(), r.order.Settlement()
	switch {
	case !r.looked && (p != nil || (s != nil && s.Upload.PayOrdID != "")):
		return turn{call: r.lookLate}, nil
	case p != nil && p.State == payment.Paid, s != nil && s.State == settlement.Settled:
		r.looked = false
		r.unwind(LatePayment)
		return r.turn(ctx)
	}
	return turn{done: true}, nil
}
