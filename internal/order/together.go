package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// typedRest is how long nothing is closed after WeChat has said that the password is typed.
const typedRest = 2 * time.Minute

// maxMixed is how many mixed orders one upload may have: the first, and one more after a refusal that may be a passing trouble.
const maxMixed = 2

// joint reports whether this order's legs move together: its route says so, and the insurer has not refused it.
func (r *run) joint() bool {
	return r.atOnce && r.order.AtCentre()
}

// together has WeChat collect the cash and the centre settle, under one password. What became of it WeChat's three states tell, read together;
// then each part proves it for itself: the cash by the cash order's own query, the settlement by 6301 (design.md §3).
func (r *run) together(ctx context.Context) (turn, error) {
	m := r.order.MixedOrder()
	if m == nil {
		return r.prepareMixed(ctx)
	}
	switch m.State {
	case payment.MixedPreparing: // loaded as asked: the answer is lost
		m.Sent()
		return turn{call: r.createAgain}, nil
	case payment.MixedOpen:
		return turn{call: r.lookMixed}, nil
	case payment.MixedSucceeded:
		return r.proveBoth(ctx)
	case payment.MixedFailed:
		return r.proveFailed(ctx)
	case payment.MixedRefused:
		return r.prepareMixed(ctx)
	default:
		r.review(MixedMismatch)
		return r.turn(ctx)
	}
}

// prepareMixed makes the cash order, where there is cash, and then the mixed order. After a refusal the former cash order is closed first.
func (r *run) prepareMixed(ctx context.Context) (turn, error) {
	o, p := r.order, r.order.Payment()
	switch {
	case o.CancelAsked:
		return r.abandon(ctx, ByPatient)
	case o.Split.Charge() == 0:
		return r.openMixed(ctx, "")
	case p == nil || p.State == payment.Closed:
		return r.openCash(ctx)
	case p.State == payment.Paid: // of an order that WeChat has refused: nobody can have been shown its cashier
		r.unwind(MixedRefused)
		return r.turn(ctx)
	case p.State == payment.Closing:
		return turn{call: r.closeCash}, nil
	case p.State != payment.Open:
		return r.collect(ctx)
	case r.usedByMixed(p):
		r.pay(payment.Close)
		return turn{call: r.closeCash}, nil
	case !r.clock.Now().Before(p.ExpiresAt):
		return r.abandon(ctx, NotPaid)
	}
	return r.openMixed(ctx, p.PrepayID)
}

// usedByMixed reports whether the cash order belongs to a mixed order that was refused: its number is burnt.
func (r *run) usedByMixed(p *payment.Payment) bool {
	m := r.order.MixedOrder()
	return m != nil && m.OutTradeNo == p.OutTradeNo
}

// openMixed makes the mixed order. Its request is exact from here on, and stored before it is sent; from now on WeChat may have the upload
// settled at any moment.
func (r *run) openMixed(ctx context.Context, prepayID string) (turn, error) {
	o, s := r.order, r.order.Settlement()
	id := payment.MixedID(r.source.ID())
	var outTradeNo string
	var expires time.Time
	if prepayID != "" {
		outTradeNo, expires = o.Payment().OutTradeNo, o.Payment().ExpiresAt
	} else {
		until, cause := r.payUntil()
		if until.Sub(r.clock.Now()) < leastTime {
			return r.tooLate(ctx, cause)
		}
		outTradeNo, expires = fmt.Sprintf("%d%s", id, r.source.Nonce(8)), until
	}
	in, err := r.mixedOrder(ctx, outTradeNo, prepayID)
	if err != nil {
		return turn{}, err
	}
	request, err := r.buildMixed(in, prepayID != "")
	if err != nil { // nothing that WeChat would take can be made of it
		r.note(Event{Subject: "mixed", Verb: "unbuildable", Number: s.Upload.OrderNo, Detail: kindOf(err)})
		return r.abandon(ctx, MixedRefused)
	}
	m := payment.NewMixed(id, len(o.Mixed)+1, in, request, expires)
	o.Mixed = append(o.Mixed, m)
	if s.State == settlement.Presettled {
		if err := r.settle("hand over", (*settlement.Settlement).HandOver); err != nil {
			return turn{}, err
		}
	}
	m.Sent()
	r.leg("mixed", "prepare", "", string(m.State), m.OutTradeNo, o.Split, nil)
	return turn{call: r.createMixed}, nil
}

// mixedOrder is what WeChat is told: the centre's figures as read, and what the insurer never saw as an addition to the cash.
func (r *run) mixedOrder(ctx context.Context, outTradeNo, prepayID string) (payment.MixedOrder, error) {
	o, s := r.order, r.order.Settlement()
	account, err := r.payer(ctx)
	if err != nil {
		return payment.MixedOrder{}, err
	}
	p, err := r.person(ctx)
	if err != nil {
		return payment.MixedOrder{}, err
	}
	auth, err := r.authorisation(ctx)
	if err != nil {
		return payment.MixedOrder{}, err
	}
	f := s.Figures
	in := payment.MixedOrder{OutTradeNo: outTradeNo, SerialNo: s.Upload.OrderNo, PayOrderID: s.Upload.PayOrdID, PayAuthNo: auth.Number,
		OrderType: o.Kind().OrderType(), OpenID: account.OpenID, Payer: payment.MixedPerson{Name: p.Name, IDNumber: p.IDNumber},
		Location: r.place(auth), UploadedAt: s.Upload.At, PrepayID: prepayID, Attach: o.ID.No(),
		Amounts: payment.MixedAmounts{Total: f.Total + o.Split.Uninsured, Gov: f.Fund, Self: f.Account, Other: f.Other, Cash: f.Cash,
			Added: o.Split.Uninsured, Wechat: f.Cash + o.Split.Uninsured}}
	if o.Kind() == bill.Outpatient && r.party.OrderType != "" {
		in.OrderType = r.party.OrderType
	}
	if auth.Family { // 亲情付: the one who authorised pays with the patient's insurance
		relative := in.Payer
		in.Relative, in.Payer = &relative, payment.MixedPerson{Name: auth.PayerName, IDNumber: auth.PayerID}
	}
	return in, nil
}

// buildMixed refuses amounts that are not what the patient agreed to, or not what the cash order collects.
func (r *run) buildMixed(in payment.MixedOrder, cash bool) ([]byte, error) {
	o, a := r.order, in.Amounts
	if a.Total != o.Total || a.Wechat != o.Split.Charge() || (cash && o.Payment().Amount != a.Wechat) {
		return nil, split.ErrSplit.Because(fmt.Errorf("mixed order of %s, %s by cash; agreed %s, %s", a.Total, a.Wechat, o.Total, o.Split.Charge()))
	}
	return r.party.Mixed.BuildMixed(in)
}

// createMixed sends the stored order: for the first time, or again after WeChat has said that it knows none. So a refusal is believed, and what
// may have been on its way all the same nobody can pay: its number was never shown.
func (r *run) createMixed(ctx context.Context) again {
	m := r.order.MixedOrder()
	status, err := r.party.Mixed.CreateMixed(ctx, m.Request)
	switch kind := fault.InMoneyStep(err); {
	case err == nil:
		return r.mixedStands(ctx, status)
	case kind == fault.Unavailable:
		m.Unsent()
		return later(&job.Polling, "mixed order: never left")
	case errors.Is(err, payment.ErrMixedExists):
		return r.lookMixed(ctx)
	case kind == fault.Rejected:
		return r.mixedRefused(err, status.Number)
	default:
		m.Lost(r.arrived())
		return later(&job.Polling, "mixed order: "+kindOf(err))
	}
}

// createAgain follows a lost answer: a query first, and the identical order again where WeChat knows none.
func (r *run) createAgain(ctx context.Context) again {
	m := r.order.MixedOrder()
	if m.Asked > 1 { // it left at least once before
		status, err := r.party.Mixed.QueryMixed(ctx, m.OutTradeNo, m.MixTradeNo)
		switch {
		case err == nil:
			return r.mixedStands(ctx, status)
		case !errors.Is(err, payment.ErrMixedNotExist):
			return later(&job.Polling, "query mixed order: "+kindOf(err))
		}
	}
	if r.order.CancelAsked || !r.clock.Now().Before(m.ExpiresAt) {
		r.giveUp(r.whyEnded())
		return again{}
	}
	return r.createMixed(ctx)
}

func (r *run) whyEnded() Cause {
	if r.order.CancelAsked {
		return ByPatient
	}
	return NotPaid
}

// refusals says what a refused mixed order is given up for; what is not here is ours to mend.
var refusals = []struct {
	is  error
	why Cause
}{
	{payment.ErrMixedAuth, AuthRefused},
	{payment.ErrMixedPayer, PayerRefused},
	{payment.ErrMixedNoCredential, NoCredential},
	{payment.ErrMixedKin, NoKin},
	{payment.ErrMixedInsurer, SettleRefused},
}

// mixedRefused gives the order up, everything proved dead, unless another try or a new authorisation may help. A refused number is burnt; what
// was uploaded stays valid.
func (r *run) mixedRefused(err error, number string) again {
	m := r.order.MixedOrder()
	from := m.State
	_ = m.Apply(payment.MixedRefuse) // preparing has this move
	m.Refused = number
	r.note(Event{Subject: "mixed", Verb: "refused", From: string(from), To: string(m.State), Number: m.OutTradeNo, Detail: number})
	why := MixedRefused
	for _, row := range refusals {
		if errors.Is(err, row.is) {
			why = row.why
		}
	}
	switch {
	case why == AuthRefused:
		r.giveUpForAuth(why)
		return again{}
	case why == SettleRefused && r.mixedSoFar() < maxMixed && !r.clock.Now().Before(m.AwayUntil): // none sent before is on its way
		return again{} // perhaps a passing trouble of the bureau: a new out_trade_no, the same serial_no
	}
	r.giveUp(why)
	return again{}
}

// mixedSoFar counts the mixed orders of the current upload.
func (r *run) mixedSoFar() int {
	n := 0
	for _, m := range r.order.Mixed {
		if m.SerialNo == r.order.Settlement().Upload.OrderNo {
			n++
		}
	}
	return n
}

// lookMixed asks WeChat how the mixed order stands.
func (r *run) lookMixed(ctx context.Context) again {
	m := r.order.MixedOrder()
	status, err := r.party.Mixed.QueryMixed(ctx, m.OutTradeNo, m.MixTradeNo)
	if err != nil { // also a 404: it is not signed
		return later(&job.Polling, "query mixed order: "+kindOf(err))
	}
	return r.mixedStands(ctx, status)
}

// mixedStands notes what a verified answer says of the mixed order. An order that is still open waits, until its time is over.
func (r *run) mixedStands(ctx context.Context, status payment.MixedStatus) again {
	m := r.order.MixedOrder()
	finding, a := r.judgeMixed(ctx, status)
	switch finding {
	case payment.MixedFoundOpen, payment.MixedFoundUnknown:
	default:
		return a
	}
	now := r.clock.Now()
	a = later(&job.Polling, "waits for the patient to pay")
	switch {
	case r.order.State != Paying: // closing: what follows is not decided here
		return a
	case r.cashTaken(): // the password was typed
		a.note = "cash is taken; waits for WeChat's verdict"
		return a
	case now.Before(m.TypedAt.Add(r.config.Pace.Wait(typedRest))):
		a.note = "the password is typed; waits for WeChat's verdict"
		return a
	case r.order.CancelAsked || !now.Before(m.ExpiresAt):
		r.giveUp(r.whyEnded())
		return again{keep: !m.TypedAt.IsZero()} // round and round with typed, by one schedule
	}
	if wait, ok := job.Polling.Wait(r.attempt, r.config.Pace); !ok || now.Add(wait).After(m.ExpiresAt) {
		a.schedule, a.rest = &job.Schedule{Name: "expiry", Waits: []time.Duration{0}, Limit: 24 * time.Hour}, m.ExpiresAt
	}
	return a
}

// judgeMixed reads the three states together and moves the mixed order.
func (r *run) judgeMixed(ctx context.Context, status payment.MixedStatus) (payment.MixedFinding, again) {
	m := r.order.MixedOrder()
	account, err := r.payer(ctx)
	if err != nil {
		return "", later(&job.Polling, "payer unreadable")
	}
	finding := m.Judge(status, account.OpenID)
	switch finding {
	case payment.MixedFoundOpen, payment.MixedFoundUnknown:
		if m.State == payment.MixedPreparing {
			r.mix(payment.MixedCreate, m.MixTradeNo)
			r.restart()
		}
	case payment.MixedFoundPaid:
		r.mix(payment.MixedSucceed, m.MixTradeNo)
	case payment.MixedFoundFailed, payment.MixedFoundIncident:
		r.mix(payment.MixedFail, m.MixTradeNo)
	case payment.MixedFoundReturned:
		r.mix(payment.MixedEscalate, m.MixTradeNo)
		r.review(MixedGone)
	case payment.MixedFoundUnbearable:
		r.mix(payment.MixedEscalate, m.MixTradeNo)
		r.review(MixedMismatch)
	case payment.MixedFoundUnlikely:
		return finding, later(&job.Polling, "mixed order: other amounts, numbers or states than can be")
	}
	return finding, again{}
}

// mix moves the current mixed order and notes it. The money it moved the legs note.
func (r *run) mix(e payment.MixedEvent, number string) {
	m := r.order.MixedOrder()
	from := m.State
	verb := string(e)
	if err := m.Apply(e); err != nil {
		verb = "ignored " + verb
	}
	r.leg("mixed", verb, string(from), string(m.State), number, split.Split{}, nil)
}

// proveBoth follows WeChat's success: nothing is posted before the cash order and the centre say so themselves.
func (r *run) proveBoth(ctx context.Context) (turn, error) {
	p, s := r.order.Payment(), r.order.Settlement()
	switch {
	case p != nil && p.State.Final(), p != nil && p.State == payment.InReview, s.State != settlement.Settling && s.State != settlement.Settled:
		r.review(SidesDiffer)
		return r.turn(ctx)
	case p != nil && p.State != payment.Paid:
		return turn{call: func(ctx context.Context) again {
			finding, a := r.queryCash(ctx)
			if finding == payment.FoundOpen {
				a = later(&job.Polling, "WeChat says paid, the cash order not yet")
			}
			return a
		}}, nil
	case s.State == settlement.Settled:
		if err := r.move(PostTo, "all money is here"); err != nil {
			return turn{}, err
		}
		return r.turn(ctx)
	}
	return turn{call: func(ctx context.Context) again {
		standing, a := r.queryCentre(ctx)
		switch {
		case standing == "" || s.State == settlement.Settled || r.order.State == InReview:
			return a
		case standing == settlement.StandsOpen, standing == settlement.StandsMoving, standing == settlement.StandsPaid, standing == settlement.StandsUnknowable:
			a = later(&job.Polling, "WeChat says paid, the centre: "+string(standing))
			a.over = r.settlementInReview(SidesDiffer)
			return a
		}
		r.differ()
		return again{}
	}}, nil
}

// differ hands an order to people of which WeChat and the centre say different things.
func (r *run) differ() {
	_ = r.settle("escalate", settleOn(settlement.Escalate)) // a final state keeps its word
	r.review(SidesDiffer)
}

// proveFailed follows WeChat's failure: cash that was taken goes back once the centre proves that nothing is settled; cash that was not is
// closed.
func (r *run) proveFailed(ctx context.Context) (turn, error) {
	p, s := r.order.Payment(), r.order.Settlement()
	why := MixedFailed
	if r.order.MixedOrder().FailReason != "" {
		why = SettleRefused
	}
	switch {
	case p != nil && p.State == payment.InReview:
		r.review(CashMismatch)
		return r.turn(ctx)
	case p == nil || p.State.Final():
		return r.abandon(ctx, why)
	case p.State != payment.Paid:
		return turn{call: func(ctx context.Context) again {
			finding, a := r.queryCash(ctx)
			if finding == payment.FoundOpen {
				r.giveUp(why)
			}
			return a
		}}, nil
	case s.State != settlement.Settling:
		r.unwind(why)
		return r.turn(ctx)
	}
	return turn{call: func(ctx context.Context) again {
		standing, a := r.queryCentre(ctx)
		switch {
		case standing == "" || r.order.State == InReview:
			return a
		case standing == settlement.StandsOpen, s.State == settlement.Refused:
			r.unwind(why) // the upload is revoked on the way
			return again{}
		case standing == settlement.StandsMoving, standing == settlement.StandsUnknowable:
			a = later(&job.Polling, "WeChat says failed, the centre: "+string(standing))
			a.over = r.settlementInReview(SidesDiffer)
			return a
		case standing == settlement.StandsPeculiar:
			r.settlementInReview(CentrePeculiar)()
			return again{}
		}
		r.differ()
		return again{}
	}}, nil
}

// tooLate gives up an order that the patient has no time left to pay; where it is the authorisation that ends, a new one saves it.
func (r *run) tooLate(ctx context.Context, why Cause) (turn, error) {
	if why == AuthTooOld && r.joint() {
		r.giveUpForAuth(why)
		return r.turn(ctx)
	}
	return r.abandon(ctx, why)
}
