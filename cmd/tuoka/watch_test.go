package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
)

// TestWatch: whatever must never be is found in the commit that brings it about.
func TestWatch(t *testing.T) {
	bookedOrder := func(id order.ID, billNo string) *order.Order {
		return &order.Order{ID: id, Institution: "h1", State: order.Completed, Post: order.PostDone, Total: 100, Bills: []order.Bill{{Bill: bill.Bill{No: billNo, Total: 100}}}}
	}
	move := func(from order.State, m order.Move, to order.State, actor string) order.Event {
		return order.Event{Subject: "order", Verb: string(m), From: string(from), To: string(to), Actor: actor}
	}
	line := func(amount int64, uninsured bool) refund.Line {
		return refund.Line{BillNo: "B1", LineNo: "1", Amount: 1, Uninsured: uninsured && amount > 0}
	}
	for _, tt := range []struct {
		name string
		play func(w *watch)
		want string // in a finding; empty: nothing is found
	}{
		{"a quote", func(w *watch) {
			w.committed(&order.Order{ID: 1, State: order.Quoted}, []order.Event{move(order.Quoting, order.Quote, order.Quoted, "system")})
		}, ""},
		{"a move that no table has", func(w *watch) {
			w.committed(&order.Order{ID: 1, State: order.Completed}, []order.Event{move(order.Quoting, order.Complete, order.Completed, "system")})
		}, "complete leads from quoting"},
		{"a state that no event tells of", func(w *watch) { w.committed(&order.Order{ID: 1, State: order.Paying}, nil) }, "no event tells"},
		{"a move from where it was not", func(w *watch) {
			w.committed(&order.Order{ID: 1, State: order.BeingPosted}, []order.Event{move(order.Settling, order.PostTo, order.BeingPosted, "system")})
		}, "it was quoting"},
		{"a machine ends a review", func(w *watch) {
			w.orders[1] = &watched{state: order.InReview, refunds: map[refund.ID]refund.State{}}
			w.committed(&order.Order{ID: 1, State: order.Closed}, []order.Event{move(order.InReview, order.Shut, order.Closed, "system")})
		}, "system ends a review"},
		{"people end a review", func(w *watch) {
			w.orders[1] = &watched{state: order.InReview, refunds: map[refund.ID]refund.State{}}
			w.committed(&order.Order{ID: 1, State: order.Closed}, []order.Event{move(order.InReview, order.Shut, order.Closed, "staff:3")})
		}, ""},
		{"a machine ends the review of a refund", func(w *watch) {
			w.committed(&order.Order{ID: 1, State: order.Quoting}, []order.Event{{Subject: "refund", From: string(refund.InReview), To: string(refund.Held), Actor: "system"}})
		}, "ends the review of a refund"},
		{"a refund that was over", func(w *watch) {
			f := &refund.Refund{ID: 5, State: refund.Refused}
			w.committed(&order.Order{ID: 1, State: order.Quoting, Refunds: []*refund.Refund{f}}, nil)
			f.State = refund.Asked
			w.committed(&order.Order{ID: 1, State: order.Quoting, Refunds: []*refund.Refund{f}}, nil)
		}, "refund 5 was refused and is asked"},
		{"more reserved than refunds take", func(w *watch) {
			w.committed(&order.Order{ID: 1, State: order.Quoting, Total: 10, RefundInsured: 2,
				Refunds: []*refund.Refund{{ID: 5, State: refund.Asked, Lines: []refund.Line{line(1, false)}}}}, nil)
		}, "reserved are 0.02"},
		{"more back than the order", func(w *watch) {
			w.committed(&order.Order{ID: 1, State: order.Quoting, Total: 1, RefundInsured: 1, RefundUninsured: 1,
				Refunds: []*refund.Refund{{ID: 5, State: refund.Asked, Lines: []refund.Line{line(1, false), line(1, true)}}}}, nil)
		}, "refunds take"},
		{"more promised than paid", func(w *watch) {
			w.committed(&order.Order{ID: 1, State: order.Quoting, Payments: []*payment.Payment{{Amount: 1, RefundReserved: 2}}}, nil)
		}, "promised back"},
		{"more cash back than paid", func(w *watch) {
			back := payment.MoneyBack{Amount: 2, OutRefundNo: "R1", RefundID: "5", ReturnedAt: time.Unix(1, 0)}
			w.committed(&order.Order{ID: 1, State: order.Quoting, Refunds: []*refund.Refund{{ID: 5, State: refund.Refused, Cash: back}}}, nil)
		}, "cash went back"},
		{"a ledger that does not tell what happened", func(w *watch) {
			w.committed(&order.Order{ID: 1, State: order.Quoting}, []order.Event{{Subject: "payment", Verb: "pay",
				Posting: ledger.Against(ledger.Suspense, ledger.Line{Account: ledger.WechatCash, Amount: 7})}})
		}, "0.07"},
		{"a bill in two orders", func(w *watch) {
			w.committed(bookedOrder(1, "B1"), nil)
			w.findings = nil
			w.committed(bookedOrder(2, "B1"), nil)
		}, "bill h1 B1 is paid by order 1 too"},
		{"two bills in two orders", func(w *watch) {
			w.committed(bookedOrder(1, "B1"), nil)
			w.committed(bookedOrder(2, "B2"), nil)
		}, "no event tells"}, // and nothing else, see below
	} {
		w := newWatch()
		tt.play(w)
		found := strings.Join(w.findings, "\n")
		if (tt.want == "") != (found == "") || !strings.Contains(found, tt.want) {
			t.Errorf("%s: found %q, want %q", tt.name, found, tt.want)
		}
		if strings.Contains(found, "is paid by") != strings.Contains(tt.want, "is paid by") {
			t.Errorf("%s: found %q", tt.name, found)
		}
	}
}
