package order

import (
	"context"
	"fmt"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

// Leg is a part of an order that moves money.
type Leg string

// The legs.
const (
	CashLeg      Leg = "cash"      // WeChat collects the patient's part
	InsuranceLeg Leg = "insurance" // the insurer settles its part
)

// routes says in which order a route's legs move their money (design.md §3). Config.Routes adds to it. The mixed route is not here: its
// legs move together, judged by three states at once.
var routes = map[Route][]Leg{
	Core: {CashLeg, InsuranceLeg},
	HIS:  {CashLeg, InsuranceLeg},
}

// legsOf is the leg order of a route; false for a route that nobody has described.
func (s *Service) legsOf(route Route) ([]Leg, bool) {
	if legs, ok := s.config.Routes[route]; ok {
		return legs, true
	}
	legs, ok := routes[route]
	return legs, ok
}

// advance works on the first leg, in the route's order, whose money is still to come; after the last one the HIS is told. The order is
// paying while cash is to come, and settling while only the insurer's word is missing.
func (r *run) advance(ctx context.Context) (turn, error) {
	if s := r.order.Settlement(); s != nil && s.State == settlement.Settled && !s.AsForeseen() {
		r.unwind(AmountsMoved) // not what the patient agreed to
		return r.turn(ctx)
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
		if leg == CashLeg && cash {
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
	if s == nil {
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
