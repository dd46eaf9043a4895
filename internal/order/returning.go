package order

import (
	"context"
	"errors"
	"fmt"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/split"
)

// moneyBack is cash on its way back to the patient: the whole of a payment while an order unwinds, or what a refund gives back.
type moneyBack struct {
	*payment.MoneyBack
	of       *payment.Payment
	amount   money.Fen
	reason   string // what WeChat shows
	touch    func() // notes that something changed
	ask      func(number string, request []byte) error
	returned func()
	dead     func(number, accepted string) // that number is dead, the money is still here; WeChat's own number of it where it had accepted it
	stuck    func()                        // nobody but a person can help
}

// unwindCash is the whole of a payment whose order unwinds.
func (r *run) unwindCash(p *payment.Payment) moneyBack {
	return moneyBack{MoneyBack: &p.Back, of: p, amount: p.Amount, reason: "门诊缴费未完成，原路退回", touch: p.Touch,
		ask: func(number string, request []byte) error {
			from := p.State
			if err := p.AskBack(number, request, r.clock.Now()); err != nil {
				return err
			}
			r.leg("payment", "refund", string(from), string(p.State), number, split.Split{Cash: p.Amount}, nil)
			return nil
		},
		returned: func() { r.pay(payment.Return) },
		dead: func(number, accepted string) {
			r.payBy(payment.RefundDead, number, accepted)
		},
		stuck: func() { r.pay(payment.Escalate); r.review(RefundStuck) }}
}

// returnCash gives cash back under one number until that number is decided.
func (r *run) returnCash(_ context.Context, m moneyBack) (turn, error) {
	switch {
	case m.of.State != payment.Paid && m.of.State != payment.Refunding:
		r.review(RefundStuck)
		return turn{done: true}, nil
	case m.OutRefundNo == "" && !r.looked && m.of.RefundReserved == 0: // somebody else may have given it back by now
		return turn{call: r.stillPaid}, nil
	case m.OutRefundNo == "":
		number := fmt.Sprintf("R%d", r.source.ID())
		request, err := r.party.Gateway.BuildRefund(payment.RefundOrder{OutTradeNo: m.of.OutTradeNo, OutRefundNo: number, Reason: m.reason,
			Refund: m.amount, Total: m.of.Amount})
		if err != nil { // nothing that WeChat would take can be made of it
			r.note(Event{Subject: "payment", Verb: "unbuildable", Number: number, Detail: kindOf(err)})
			m.stuck()
			return turn{done: true}, nil
		}
		if err := m.ask(number, request); err != nil { // more than is here
			r.note(Event{Subject: "payment", Verb: "refund forbidden", Number: number, Detail: fmt.Sprint(err)})
			m.stuck()
			return turn{done: true}, nil
		}
		return turn{call: func(ctx context.Context) again { return r.refund(ctx, m) }}, nil
	case m.RefundID == "": // never acknowledged: the identical stored bytes again
		return turn{call: func(ctx context.Context) again { return r.refund(ctx, m) }}, nil
	}
	return turn{call: func(ctx context.Context) again { return r.lookForRefund(ctx, m) }}, nil
}

// stillPaid asks, before the first refund, whether the money is still here: a refund that is not ours is a matter for people.
func (r *run) stillPaid(ctx context.Context) again {
	finding, a := r.queryCash(ctx)
	switch {
	case a.schedule != nil:
		a.schedule = &job.Reversing
	case finding == payment.FoundPaid:
		r.looked = true
	case finding == payment.FoundOpen, finding == payment.FoundDead: // after it was paid
		return later(&job.Reversing, "cash order: "+string(finding)+" after it was paid")
	}
	return a
}

func (r *run) refund(ctx context.Context, m moneyBack) again {
	m.Asked++
	m.touch()
	status, err := r.party.Gateway.Refund(ctx, m.Request)
	switch {
	case err == nil:
		return r.refundStands(status, m)
	case errors.Is(err, payment.ErrNotEnough): // recharge, same number
		return later(&job.Reversing, "refund: merchant account too low")
	case fault.InMoneyStep(err) == fault.Rejected: // an unsigned refusal proves nothing of a refund: ask
		return r.lookForRefund(ctx, m)
	default:
		return later(&job.Reversing, "refund: "+kindOf(err))
	}
}

func (r *run) lookForRefund(ctx context.Context, m moneyBack) again {
	status, err := r.party.Gateway.QueryRefund(ctx, m.OutRefundNo)
	if err != nil {
		return later(m.pace(), "query refund: "+kindOf(err))
	}
	return r.refundStands(status, m)
}

// pace is how long a refund is asked about: one that WeChat has accepted may take days, one that nobody has acknowledged may not.
func (m moneyBack) pace() *job.Schedule {
	if m.RefundID != "" {
		return &job.Returning
	}
	return &job.Reversing
}

func (r *run) refundStands(status payment.RefundStatus, m moneyBack) again {
	before := *m.MoneyBack
	finding := m.Judge(status, m.of)
	if before.RefundID != m.RefundID || before.Doubts != m.Doubts || !before.ReturnedAt.Equal(m.ReturnedAt) {
		m.touch()
	}
	switch finding {
	case payment.FoundReturned:
		m.returned()
		return again{}
	case payment.FoundUnderWay:
		return later(&job.Returning, "refund under way")
	case payment.FoundNoRefund: // funds were missing for too long: a new number, after a pause
		number, accepted := m.OutRefundNo, m.RefundID
		m.Dead()
		m.dead(number, accepted)
		return later(&job.Reversing, "refund closed by WeChat")
	case payment.FoundUnlikely:
		return later(m.pace(), "refund: other amounts or numbers than ours")
	default: // abnormal, or contradicted again and again
		m.stuck()
		return again{}
	}
}
