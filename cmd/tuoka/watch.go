package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/refund"
)

// watch looks at every commit of an order while a seed plays, and says what must never be, at no moment: a move that no table has, a review that
// nobody but people may end and that ended, money that the ledger, the legs and the events tell differently, more back than was paid, a bill in
// the HIS's books for two orders.
type watch struct {
	orders   map[order.ID]*watched
	findings []string
}

type watched struct {
	version int64
	state   order.State
	refunds map[refund.ID]refund.State
	history []order.Event
	booked  []string // bills that the HIS has in its books for the order, and that stand
}

func newWatch() *watch { return &watch{orders: map[order.ID]*watched{}} }

// version is the newest one of an order that was committed.
func (w *watch) version(id order.ID) int64 {
	if seen := w.orders[id]; seen != nil {
		return seen.version
	}
	return 0
}

// committed takes what a commit made of an order, and the events it added.
func (w *watch) committed(o *order.Order, events []order.Event) {
	seen := w.orders[o.ID]
	if seen == nil {
		seen = &watched{state: order.Quoting, refunds: map[refund.ID]refund.State{}}
		w.orders[o.ID] = seen
	}
	seen.version, seen.booked = o.Version, nil
	if o.Post == order.PostDone && o.Live() {
		for _, no := range o.BillNos() {
			seen.booked = append(seen.booked, o.Institution+" "+no)
		}
	}
	for _, e := range events {
		e.Seq = len(seen.history) + 1 // as the store numbers them
		seen.history = append(seen.history, e)
	}
	find := func(format string, args ...any) {
		w.findings = append(w.findings, fmt.Sprintf("order %s %s, version %d: %s", o.ID.No(), o.State, o.Version, fmt.Sprintf(format, args...)))
	}
	seen.follow(o, events, find)
	for _, finding := range order.Verify(o, seen.history) {
		find("%s", finding)
	}
	bounds(o, find)
	for id, other := range w.orders {
		if id == o.ID {
			continue
		}
		for _, no := range seen.booked {
			if slices.Contains(other.booked, no) {
				find("bill %s is paid by order %s too", no, id.No())
			}
		}
	}
}

// follow takes the moves of the order and its refunds one by one.
func (s *watched) follow(o *order.Order, events []order.Event, find func(string, ...any)) {
	for i := range events {
		e := &events[i]
		switch {
		case e.Subject == "order" && e.From != "" && e.From != e.To:
			if next, err := order.State(e.From).Next(order.Move(e.Verb)); err != nil || string(next) != e.To || order.State(e.From) != s.state {
				find("%s leads from %s to %s, it was %s", e.Verb, e.From, e.To, s.state)
			}
			if s.state == order.InReview && !strings.HasPrefix(e.Actor, "staff:") {
				find("%s ends a review", e.Actor)
			}
			s.state = order.State(e.To)
		case e.Subject == "refund" && e.From != e.To && e.From == string(refund.InReview) && !strings.HasPrefix(e.Actor, "staff:"):
			find("%s ends the review of a refund", e.Actor)
		}
	}
	if s.state != o.State {
		find("no event tells how %s became %s", s.state, o.State)
		s.state = o.State
	}
	for _, f := range o.Refunds {
		was, known := s.refunds[f.ID]
		if known && was != f.State && was.Final() {
			find("refund %s was %s and is %s", f.ID.No(), was, f.State)
		}
		s.refunds[f.ID] = f.State
	}
}

// bounds compares what refunds take with what was paid, part by part.
func bounds(o *order.Order, find func(string, ...any)) {
	var insured, uninsured, cash, paid money.Fen
	for _, f := range o.Refunds {
		if f.State != refund.Refused {
			insured, uninsured = insured+f.Insured(), uninsured+f.Uninsured()
		}
		if f.Returned() {
			cash += f.Cash.Amount
		}
	}
	for _, p := range o.Payments {
		if !p.PaidAt.IsZero() {
			paid += p.Amount
		}
		if p.RefundReserved < 0 || p.RefundReserved > p.Amount {
			find("%s of the payment of %s are promised back", p.RefundReserved, p.Amount)
		}
	}
	if total := o.Total; insured != o.RefundInsured || uninsured != o.RefundUninsured || insured < 0 || uninsured < 0 || insured+uninsured > total {
		find("refunds take %s insured and %s uninsured of %s, reserved are %s and %s", insured, uninsured, total, o.RefundInsured, o.RefundUninsured)
	}
	if cash > paid {
		find("%s cash went back, %s were paid", cash, paid)
	}
}
