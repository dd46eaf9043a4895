package order

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

var (
	everySettlement = []settlement.State{settlement.Presettling, settlement.Presettled, settlement.Declined, settlement.Dropped, settlement.Settling,
		settlement.Reversing, settlement.Resting, settlement.Settled, settlement.Refused, settlement.Reversed, settlement.Cancelling, settlement.Checking,
		settlement.Restoring, settlement.Cancelled, settlement.Withdrawing, settlement.Withdrawn, settlement.InReview}
	everyPayment = []payment.State{"", payment.Preparing, payment.Open, payment.Paid, payment.Closing, payment.Closed, payment.Refused, payment.Refunding,
		payment.Returned, payment.InReview}
	// Beside a mixed order the states of the cash that differ from another, and of the mixed order likewise, are enough.
	someCash   = []payment.State{"", payment.Open, payment.Paid, payment.Closing, payment.Closed, payment.InReview}
	everyMixed = []payment.MixedState{"", payment.MixedPreparing, payment.MixedOpen, payment.MixedSucceeded, payment.MixedFailed, payment.MixedRefused,
		payment.MixedDead, payment.MixedTelling, payment.MixedInReview}
)

// standing is where an order and its legs are put; an empty state is a leg that there is not.
type standing struct {
	order   State
	cash    payment.State
	mixed   payment.MixedState
	insurer settlement.State
}

// decide does one step on an order that stands so, with counterparts to whom nothing gets through, and says who was asked and what was done.
func decide(t *testing.T, joint bool, at standing) string {
	w := newWorld(t, 1)
	if joint {
		togetherHere(w)
	}
	id := confirmed(w)
	o := w.order(id)
	o.Settlements[0].State, o.Settlements[0].Actual = at.insurer, o.Settlements[0].Foreseen
	rows := legs{settlements: o.Settlements}
	if at.cash != "" {
		o.Payments[0].State = at.cash
		rows.payments = o.Payments
	}
	if at.mixed != "" {
		o.Mixed[0].State = at.mixed
		rows.mixed = o.Mixed
	}
	w.store.legs[id], w.store.orders[id].State = rows, at.order
	w.store.jobs[id.No()].due = w.clock.Now()
	before := maps.Clone(w.calls)
	w.mishaps = func(string, string) mishap { return unsent }
	_, err := w.service.Step(t.Context())
	var text []string
	for _, op := range slices.Sorted(maps.Keys(w.calls)) {
		if w.calls[op] > before[op] {
			text = append(text, op)
		}
	}
	if err != nil {
		text = append(text, "an error")
	}
	is := standing{order: w.order(id).State, insurer: w.order(id).Settlements[0].State}
	if p := w.order(id).Payment(); p != nil {
		is.cash = p.State
	}
	if n := len(w.order(id).Mixed); n > 0 {
		is.mixed = w.order(id).Mixed[n-1].State
	}
	for _, s := range [][3]string{{"order", string(at.order), string(is.order)}, {"insurer", string(at.insurer), string(is.insurer)},
		{"cash", string(at.cash), string(is.cash)}, {"mixed", string(at.mixed), string(is.mixed)}} {
		if s[1] != s[2] {
			text = append(text, s[0]+" "+s[2])
		}
	}
	if c := w.order(id).Cause; c != "" {
		text = append(text, string(c))
	}
	if row := w.store.jobs[id.No()]; row == nil {
		text = append(text, "done")
	} else if wait := row.due.Sub(w.clock.Now()); len(text) == 0 {
		text = append(text, fmt.Sprintf("waits %s: %s", wait, row.Note))
	}
	return strings.Join(text, ", ")
}

// TestDecisions: what one step does, wherever an order and its legs stand, also where the engine cannot have brought them. Golden: a line says for
// an order and its cash which states of the insurance lead to what.
func TestDecisions(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	rows := func(joint bool, orders []State, cash []payment.State, mixed []payment.MixedState) {
		for _, state := range orders {
			for _, m := range mixed {
				for _, p := range cash {
					leads := map[string][]string{}
					var first []string
					for _, s := range everySettlement {
						to := decide(t, joint, standing{state, p, m, s})
						if leads[to] == nil {
							first = append(first, to)
						}
						leads[to] = append(leads[to], string(s))
					}
					fmt.Fprintf(&b, "%s, cash %s, mixed %s\n", state, p, m)
					for _, to := range first {
						fmt.Fprintf(&b, "    %s: %s\n", strings.Join(leads[to], " "), to)
					}
				}
			}
		}
	}
	b.WriteString("core\n")
	rows(false, []State{Paying, Settling, BeingPosted, Closing, Closed, Unwinding}, everyPayment, []payment.MixedState{""})
	b.WriteString("mixed\n")
	rows(true, []State{Paying, Closing, Closed, Unwinding}, someCash, everyMixed)
	golden(t, "decisions.golden", b.String())
}
