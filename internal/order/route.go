package order

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

// Leg is a part of an order that moves money.
type Leg string

// The legs.
const (
	CashLeg      Leg = "cash"      // WeChat collects the patient's part
	InsuranceLeg Leg = "insurance" // the insurer settles its part
	BothLegs     Leg = "both"      // WeChat collects the cash and has the insurer settle, under one password
)

// routes says in which order a route's legs move their money (design.md §3). Config.Routes adds to it.
var routes = map[Route][]Leg{
	Core:  {CashLeg, InsuranceLeg},
	Mixed: {BothLegs},
	HIS:   {CashLeg, InsuranceLeg},
}

// together reports whether a route's legs move at once.
func together(legs []Leg) bool { return slices.Contains(legs, BothLegs) }

// Together reports whether both legs of that route move at once, under one password.
func (r Route) Together() bool { return together(routes[r]) }

// legsOf is the leg order of a route; false for a route that nobody has described.
func (s *Service) legsOf(route Route) ([]Leg, bool) {
	if legs, ok := s.config.Routes[route]; ok {
		return legs, true
	}
	legs, ok := routes[route]
	return legs, ok
}

// insures reports whether an order that an institution begins now may be paid by insurance.
func (s *Service) insures(p *Party) bool {
	legs, _ := s.legsOf(p.Route)
	return p.insurer(p.Route) != nil || together(legs)
}

// insurer is who settles the insurance leg of an order on that route, which need not be the one on which orders begin now; nil: nobody.
func (p *Party) insurer(route Route) settlement.Insurer {
	if route == HIS {
		return p.Link
	}
	return p.Insurer
}

// needsAuth reports whether the insurer of an order on that route wants a living authorisation; the mobile-payment centre always does.
func (s *Service) needsAuth(p *Party, route Route) bool {
	if route == HIS {
		return p.LinkAuth
	}
	legs, _ := s.legsOf(route)
	return p.NeedsAuth || together(legs)
}

// Joint reports whether an institution's route moves both legs together: its patients then need wx.requestMedicalInsurancePay.
func (s *Service) Joint(institution string) bool {
	party, ok := s.parties[institution]
	if !ok {
		return false
	}
	legs, _ := s.legsOf(party.Route)
	return together(legs)
}

// advance works on the first leg, in the route's order, whose money is still to come; after the last one the HIS is told. The order is
// paying while cash is to come, and settling while only the insurer's word is missing.
func (r *run) advance(ctx context.Context) (turn, error) {
	if s := r.order.Settlement(); s != nil && s.State == settlement.Settled && !s.AsForeseen() {
		r.unwind(AmountsMoved) // not what the patient agreed to
		return r.turn(ctx)
	}
	if r.joint() {
		return r.together(ctx)
	}
	cash, insurance := r.cashDue(), r.insuranceDue()
	switch {
	case !cash && !insurance:
		if err := r.move(PostTo, "all money is here"); err != nil {
			return turn{}, err
		}
		return r.turn(ctx)
	case !cash && r.order.State == Paying:
		if err := r.move(Settle, "cash received"); err != nil {
			return turn{}, err
		}
	}
	legs, _ := r.legsOf(r.order.Route)
	for _, leg := range legs {
		if leg != InsuranceLeg && cash { // without insurance there is only the cash of both
			return r.collect(ctx)
		}
		if leg == InsuranceLeg && insurance {
			return r.settling(ctx)
		}
	}
	return turn{}, fmt.Errorf("route %q has no leg for what is due", r.order.Route)
}

// cashDue reports whether the patient has still to pay.
func (r *run) cashDue() bool {
	p := r.order.Payment()
	return r.order.Split.Charge() > 0 && (p == nil || p.State != payment.Paid)
}

// insuranceDue reports whether the insurer was asked to pay and has not settled.
func (r *run) insuranceDue() bool {
	s := r.order.Settlement()
	if s == nil || r.order.Refusal != "" || !r.order.insured() {
		return false
	}
	switch s.State {
	case settlement.Settled, settlement.Declined, settlement.Dropped:
		return false
	}
	return true
}

// insuranceHeld reports whether the insurer may hold a settlement that must be undone before anything else is given back.
func (r *run) insuranceHeld() bool {
	s := r.order.Settlement()
	if s == nil || s.State.Final() {
		return false
	}
	switch s.State {
	case settlement.Presettling, settlement.Presettled, settlement.Withdrawing:
		return false
	}
	return true
}

// cashTaken reports whether the patient's money is with us.
func (r *run) cashTaken() bool {
	p := r.order.Payment()
	return p != nil && p.State == payment.Paid
}

// AtCentre reports whether the order's insurance part was uploaded to the mobile-payment centre, and not refused there.
func (o *Order) AtCentre() bool {
	s := o.Settlement()
	return s != nil && s.Upload.OrderNo != "" && o.Refusal == "" && o.insured()
}

// insured reports whether the quote has a part that the insurer is asked about: bills may change until nothing of them is insured.
func (o *Order) insured() bool { return o.Split.Uninsured < o.Total }

// Way is how a patient can pay at a moment.
type Way string

// The ways.
const (
	NoWay       Way = ""          // nothing is to be paid, or not yet, or no more
	ByCash      Way = "cash"      // wx.requestPayment
	ByBoth      Way = "both"      // wx.requestMedicalInsurancePay with the cash arguments
	ByInsurance Way = "insurance" // wx.requestMedicalInsurancePay without them
)

// Payable is how the patient can pay now; the zero time asks regardless of deadlines. Where both legs move together, the cashier is not opened
// before WeChat has the mixed order.
func (o *Order) Payable(now time.Time) Way {
	p, m := o.Payment(), o.MixedOrder()
	open := func(until time.Time) bool { return until.IsZero() || now.Before(until) }
	switch {
	case o.State != Paying || o.CancelAsked:
		return NoWay
	case o.AtCentre() && m == nil:
		return NoWay
	case o.AtCentre() && m.State == payment.MixedOpen && !m.HasCash() && open(m.ExpiresAt):
		return ByInsurance
	case p == nil || p.State != payment.Open || !open(p.ExpiresAt):
		return NoWay
	case !o.AtCentre():
		return ByCash
	case m.State == payment.MixedOpen && m.OutTradeNo == p.OutTradeNo:
		return ByBoth
	}
	return NoWay
}
