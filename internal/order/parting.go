package order

import (
	"cmp"
	"context"
	"errors"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// part proves both legs dead that were to move together, after the cash order is closed: 6301, in {0, 1} 6401, 6301 = 12, and WeChat's word
// that it was not paid. False: nothing is left to prove. WeChat has no call that closes a mixed order.
func (r *run) part(ctx context.Context) (turn, bool, error) {
	m, s := r.order.MixedOrder(), r.order.Settlement()
	switch s.State {
	case settlement.Settling:
		return turn{call: r.dropUpload}, true, nil
	case settlement.Withdrawing:
		return turn{call: r.revoke}, true, nil
	case settlement.Settled:
		switch {
		case m == nil || m.State.Final():
			return turn{}, false, nil // it goes back
		case m.State == payment.MixedSucceeded: // the patient was faster
			t, err := r.resume(ctx, "paid after all")
			return t, true, err
		}
		return turn{call: r.lookMixed}, true, nil
	}
	if m == nil || m.State.Final() {
		return turn{}, false, nil
	}
	switch m.State {
	case payment.MixedSucceeded, payment.MixedInReview:
		r.review(SidesDiffer)
		t, err := r.turn(ctx)
		return t, true, err
	}
	return turn{call: r.killMixed}, true, nil
}

// killMixed takes WeChat's last word on a mixed order of which no part can be paid any more. That it knows none is as good.
func (r *run) killMixed(ctx context.Context) again {
	m := r.order.MixedOrder()
	status, err := r.party.Mixed.QueryMixed(ctx, m.OutTradeNo, m.MixTradeNo)
	if errors.Is(err, payment.ErrMixedNotExist) && m.State == payment.MixedPreparing {
		r.mix(payment.MixedKill, m.OutTradeNo)
		return again{}
	}
	if err != nil {
		return later(&job.Polling, "query mixed order: "+kindOf(err))
	}
	finding, a := r.judgeMixed(ctx, status)
	switch finding {
	case payment.MixedFoundOpen:
		r.mix(payment.MixedKill, m.MixTradeNo)
		return again{}
	case payment.MixedFoundUnknown:
		return later(&job.Polling, "mixed order: a state that is not published")
	}
	return a
}

// resume leads a closing order back to the payment that was under way after all.
func (r *run) resume(ctx context.Context, detail string) (turn, error) {
	r.order.CancelAsked, r.order.Renew = false, false
	if err := r.move(Resume, detail); err != nil {
		return turn{}, err
	}
	return r.turn(ctx)
}

// typed notes that the cash order cannot be closed because the password is typed: the payment goes on, and only WeChat's verdict ends it. A
// patient who wanted to give up still does, should nothing come of the password.
func (r *run) typed() again {
	r.order.MixedOrder().Typed(r.clock.Now())
	r.order.Renew = false
	_ = r.move(Resume, "password typed") // closing has this move
	return later(&job.Polling, "the password is typed; waits for WeChat's verdict")
}

// tell lets WeChat know that the insurer's part is back; without it WeChat goes on showing it as paid. It moves no money.
func (r *run) tell(cashNumber string) (turn, bool, error) {
	m, s := r.order.MixedOrder(), r.order.Settlement()
	switch {
	case m == nil:
		return turn{}, false, nil
	case m.State == payment.MixedTelling:
		return turn{call: r.tellRefund}, true, nil
	case m.State != payment.MixedSucceeded || s.State != settlement.Cancelled:
		return turn{}, false, nil
	}
	number := cmp.Or(cashNumber, s.RefundNo)
	notice, err := r.party.Mixed.BuildRefundNotice(payment.RefundNotice{MixTradeNo: m.MixTradeNo, OutRefundNo: number, Gov: m.Amounts.Gov,
		Self: m.Amounts.Self, Other: m.Amounts.Other, RefundedAt: s.RefundAt})
	if err != nil { // nothing that WeChat would take can be made of it
		r.note(Event{Subject: "mixed", Verb: "unbuildable", Number: number, Detail: kindOf(err)})
		notice = nil
	}
	from := m.State
	if err := m.AskNotice(notice, r.clock.Now()); err != nil {
		return turn{}, false, err
	}
	r.leg("mixed", "refund notice", string(from), string(m.State), number, split.Split{}, nil)
	return turn{call: r.tellRefund}, true, nil
}

// refusedNotices is how often a notice that WeChat refuses is repeated.
const refusedNotices = 5

// tellRefund sends the stored notice. A refusal is WeChat's display left wrong, not money: it is noted for reconciliation.
func (r *run) tellRefund(ctx context.Context) again {
	m := r.order.MixedOrder()
	if len(m.Notice) == 0 {
		r.mix(payment.MixedSilent, m.MixTradeNo)
		return again{}
	}
	err := r.party.Mixed.NotifyRefund(ctx, m.MixTradeNo, m.Notice)
	if err == nil {
		r.mix(payment.MixedHeard, m.MixTradeNo)
		return again{}
	}
	a := later(&job.Reversing, "refund notice: "+kindOf(err))
	a.over = func() { r.mix(payment.MixedSilent, m.MixTradeNo) }
	if fault.InMoneyStep(err) == fault.Rejected && r.attempt >= refusedNotices { // it will not change its mind, and the HIS waits for the booking
		a.over()
		return again{}
	}
	return a
}

// lookLate looks at every part of an order that was closed: the cash, WeChat's verdict, the centre. A verified late payment is never dropped,
// and what one part tells decides nothing while another may still move.
func (r *run) lookLate(ctx context.Context) again {
	p, s, m := r.order.Payment(), r.order.Settlement(), r.order.MixedOrder()
	if p != nil && p.State != payment.Paid {
		if _, a := r.queryCash(ctx); a.schedule != nil || r.order.State != Closed {
			return a
		}
	}
	failed := false
	if m != nil && m.State != payment.MixedSucceeded {
		status, err := r.party.Mixed.QueryMixed(ctx, m.OutTradeNo, m.MixTradeNo)
		switch {
		case errors.Is(err, payment.ErrMixedNotExist): // not signed, and yet 6301 tells
		case err != nil:
			return later(&job.Polling, "query mixed order: "+kindOf(err))
		case status.Mix == payment.MixSuccess:
			if _, a := r.judgeMixed(ctx, status); a.schedule != nil || r.order.State != Closed {
				return a
			}
		case status.Mix != payment.MixFail && r.cashTaken():
			return later(&job.Polling, "cash is taken; waits for WeChat's verdict")
		default:
			failed = status.Mix == payment.MixFail
		}
	}
	if s == nil || s.Upload.PayOrdID == "" || s.State == settlement.Settled {
		r.looked = true
		return again{}
	}
	standing, a := r.queryCentre(ctx)
	if a.schedule != nil || r.order.State != Closed {
		return a
	}
	succeeded := m != nil && m.State == payment.MixedSucceeded
	switch {
	case s.State == settlement.Settled && failed && r.cashTaken():
		r.differ()
	case s.State == settlement.Settled:
		r.looked = true
	case standing == settlement.StandsMoving, standing == settlement.StandsUnknowable, standing == settlement.StandsPaid,
		standing == settlement.StandsOpen && succeeded:
		return later(&job.Polling, "money came late, the centre: "+string(standing))
	case succeeded:
		r.differ()
	case standing == settlement.StandsPeculiar && r.cashTaken():
		r.review(CentrePeculiar)
	default:
		r.looked = true
	}
	return again{}
}
