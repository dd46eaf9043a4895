package store

import (
	"fmt"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// checkOrder refuses an order that must not be stored. The database's CHECKs say the same, but not every engine has them on.
func checkOrder(o *order.Order) error {
	if o.ID <= 0 || o.Institution == "" || o.State == "" {
		return refuse("order %s: number, institution or state is missing", o.ID.No())
	}
	if err := checkBills(o); err != nil {
		return err
	}
	if err := checkParts(o.Split, o.Total, !quotedFor(o.State)); err != nil {
		return fmt.Errorf("order %s: %w", o.ID.No(), err)
	}
	open := 0
	for _, t := range o.Settlements {
		if t.Open() {
			open++
		}
		if err := checkSettlement(t); err != nil {
			return fmt.Errorf("settlement %d: %w", t.ID, err)
		}
	}
	if open > 1 {
		return refuse("order %s: %d settlements are open", o.ID.No(), open)
	}
	open = 0
	for _, p := range o.Payments {
		if !p.State.Final() {
			open++
		}
		if err := checkPayment(p); err != nil {
			return fmt.Errorf("payment %d: %w", p.ID, err)
		}
	}
	if open > 1 {
		return refuse("order %s: %d payments are open", o.ID.No(), open)
	}
	open = 0
	for _, m := range o.Mixed {
		if !m.State.Final() {
			open++
		}
		if err := checkMixed(m); err != nil {
			return fmt.Errorf("mixed order %d: %w", m.ID, err)
		}
	}
	if open > 1 {
		return refuse("order %s: %d mixed orders are open", o.ID.No(), open)
	}
	for _, f := range o.Refunds {
		if err := checkRefund(f); err != nil {
			return fmt.Errorf("refund %d: %w", f.ID, err)
		}
	}
	if err := checkReserved(o); err != nil {
		return err
	}
	return checkEvents(o.Events)
}

// quotedFor are the states that an order reaches only with a split.
func quotedFor(s order.State) bool {
	switch s {
	case order.Quoted, order.Paying, order.Settling, order.BeingPosted, order.Completed:
		return true
	}
	return false
}

func checkBills(o *order.Order) error {
	if len(o.Bills) == 0 {
		return refuse("order %s has no bills", o.ID.No())
	}
	seen := make(map[string]bool, len(o.Bills))
	var sum money.Fen
	for i := range o.Bills {
		b := &o.Bills[i].Bill
		if b.No == "" || seen[b.No] || b.Total <= 0 {
			return refuse("order %s: bill %d has no number of its own, or no amount", o.ID.No(), i+1)
		}
		seen[b.No] = true
		var err error
		if sum, err = money.Add(sum, b.Total); err != nil {
			return refuse("order %s: the bills are too much", o.ID.No())
		}
	}
	if sum != o.Total {
		return refuse("order %s: the bills sum to %s, the total is %s", o.ID.No(), sum, o.Total)
	}
	return nil
}

// checkParts accepts parts that sum to the total, and none at all where there may be none yet.
func checkParts(s split.Split, total money.Fen, mayBeNone bool) error {
	if mayBeNone && s == (split.Split{}) {
		return nil
	}
	if err := s.Check(total); err != nil {
		return ErrRow.Because(err)
	}
	return nil
}

func checkSettlement(t *settlement.Settlement) error {
	if t.ID <= 0 || t.Seq <= 0 || t.Total <= 0 || t.Settles < 0 || t.Restores < 0 {
		return refuse("number or total is missing")
	}
	if err := checkParts(t.Foreseen, t.Total, true); err != nil {
		return fmt.Errorf("foreseen: %w", err)
	}
	if err := checkParts(t.Actual, t.Total, true); err != nil {
		return fmt.Errorf("actual: %w", err)
	}
	return nil
}

func checkPayment(p *payment.Payment) error {
	if p.ID <= 0 || p.Seq <= 0 || p.OutTradeNo == "" || p.Amount <= 0 {
		return refuse("number or amount is missing")
	}
	if p.RefundReserved < 0 || p.RefundReserved > p.Amount {
		return refuse("%s of %s promised back", p.RefundReserved, p.Amount)
	}
	return nil
}

func checkMixed(m *payment.Mixed) error {
	if m.ID <= 0 || m.Seq <= 0 || m.OutTradeNo == "" || m.SerialNo == "" || m.PayOrderID == "" || len(m.Request) == 0 {
		return refuse("a number or the request is missing")
	}
	if err := m.Amounts.Check(); err != nil {
		return ErrRow.Because(err)
	}
	return nil
}

func checkEvents(events []order.Event) error {
	for i := range events {
		e := &events[i]
		if e.Actor == "" || e.Subject == "" || e.Verb == "" {
			return refuse("event %d says not who did what to what", i+1)
		}
		if e.Split != (split.Split{}) {
			if err := e.Split.Check(e.Split.Total()); err != nil {
				return ErrRow.Because(err)
			}
		}
		if err := e.Posting.Check(); err != nil {
			return fmt.Errorf("event %s %s: %w", e.Subject, e.Verb, err)
		}
	}
	return nil
}
