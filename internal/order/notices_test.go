package order

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/payment"
)

func TestLatePayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := confirmed(w)
	mustCancel(w, id, Closed)
	next := w.mustQuote(true, testBill) // the bill is in another order by now
	no := w.order(id).Payment().OutTradeNo
	w.notify("e0", no) // a notice that proves nothing: the order is closed at WeChat
	w.settle(time.Minute)
	w.wantState(id, Closed, ByPatient)
	c := w.wechat.orders[no]
	c.state, c.number, c.paidAt = payment.Success, "4200099", w.fake.Now()
	w.once("query", w.calls["query"]+1, loseBefore, loseBefore)
	w.notify("e1", no)
	w.notify("e1", no)
	w.notify("e2", no)
	w.mustConfirm(next)
	w.settle(30 * time.Second)
	w.mustPay(next)
	w.settle(time.Hour)
	o := w.wantState(id, Unwound, LatePayment)
	if o.Payment().State != payment.Returned || c.refunded != c.total {
		t.Errorf("payment %s, refunded %s", o.Payment().State, c.refunded)
	}
	w.wantState(next, Completed, "")
	if holder := w.store.live[hospitalID+"/"+testBill]; holder != next {
		t.Errorf("the bill belongs to order %d, want %d", holder, next)
	}
	w.auditEnd()
	w.tell(t, id)
}

func TestLateNoticeNobodyCanExplain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		lie   func(w *world, c *cashOrder)
		cause Cause
	}{
		{"refunded by somebody else", func(_ *world, c *cashOrder) { c.state, c.number, c.paidAt = payment.TradeRefunded, "42", start }, CashGone},
		{"other amounts for good", func(w *world, _ *cashOrder) { w.wechat.lies = func(t *payment.Transaction) { t.Total++ } }, CashMismatch},
		{"WeChat never answers", func(w *world, _ *cashOrder) { w.mishaps = always("query", loseBefore) }, TooLong},
	} {
		story{tt.name, func(w *world) ID {
			id := confirmed(w)
			mustCancel(w, id, Closed)
			no := w.order(id).Payment().OutTradeNo
			tt.lie(w, w.wechat.orders[no])
			w.notify("e1", no)
			return id
		}, InReview, tt.cause}.run(t)
	}
	story{"WeChat took the order it refused", func(w *world) ID {
		w.once("prepay", 1, refuse)
		id := confirmed(w)
		w.wantState(id, Closed, CashRefused)
		p := w.order(id).Payment()
		w.wechat.orders[p.OutTradeNo] = &cashOrder{body: p.Request, total: p.Amount, expires: p.ExpiresAt, state: payment.Success, number: "42", paidAt: start}
		w.notify("e1", p.OutTradeNo)
		return id
	}, Unwound, LatePayment}.run(t)
	story{"a notice of another institution", func(w *world) ID {
		id := confirmed(w)
		mustCancel(w, id, Closed)
		n := w.calls["query"]
		if _, err := w.store.Put(context.Background(), job.Notice{Source: "his/h2", ID: "x", Number: id.No()}); err != nil {
			w.t.Error(err)
		}
		w.settle(time.Hour)
		if w.calls["query"] != n {
			w.t.Error("another institution's notice woke the order")
		}
		return id
	}, Closed, ByPatient}.run(t)
	story{"a notice about a closed order without cash", func(w *world) ID {
		id := w.mustQuote(true, testBill)
		mustCancel(w, id, Closed)
		w.notify("e1", id.No())
		return id
	}, Closed, ByPatient}.run(t)
}

func TestNotices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.notify("early", "no such number")
	w.notify("of nobody", "12345")
	if _, err := w.store.Put(t.Context(), job.Notice{Source: "elsewhere", ID: "x", Number: "1"}); err != nil {
		t.Fatal(err)
	}
	id := confirmed(w)
	no := w.order(id).Payment().OutTradeNo
	w.settle(10 * time.Minute) // polls are far apart by now
	w.wechat.pay(no)
	w.notify("e1", no)
	w.notify("e1", no)
	w.notify("e2", no)
	if _, err := w.store.Put(t.Context(), job.Notice{Source: "his/" + hospitalID, ID: "h1", Kind: "posting", Number: id.No()}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Put(t.Context(), job.Notice{Source: "his/h2", ID: "h2", Kind: "posting", Number: id.No()}); err != nil {
		t.Fatal(err)
	}
	w.settle(time.Second)
	w.wantState(id, Completed, "")
	w.notify("e3", no)
	w.settle(time.Hour)
	w.wantState(id, Completed, "")
	if unread, _ := w.store.Unread(t.Context(), nil, 99); len(unread) != 0 {
		t.Errorf("%d notices are unread", len(unread))
	}
	w.auditEnd()
	w.tell(t, id)
}

func TestNoticeNeverLeavesReview(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.once("settle", 1, amounts)
	w.once("cancel", 1, refuse)
	id := paid(w)
	w.settle(time.Hour)
	before := w.wantState(id, InReview, CancelRefused)
	w.notify("e1", before.Payment().OutTradeNo)
	w.settle(tenDays)
	if after := w.wantState(id, InReview, CancelRefused); after.Version != before.Version {
		t.Errorf("a notice changed an order in review: version %d, was %d", after.Version, before.Version)
	}
	w.auditEnd()
	w.tell(t, id)
}

// TestFaultyNoticeKeepsNobodyWaiting: a notice that cannot be handled stays, the others are handled.
func TestFaultyNoticeKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := confirmed(w)
	no := w.order(id).Payment().OutTradeNo
	if _, err := w.store.Put(t.Context(), job.Notice{Source: lateSource, ID: "bad", Number: "77"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Put(t.Context(), job.Notice{Source: lateSource, ID: "worse", Number: "no order"}); err != nil {
		t.Fatal(err)
	}
	w.wechat.pay(no)
	w.notify("e1", no)
	for range 3 {
		if _, err := w.service.StepInbox(t.Context()); err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("StepInbox: %v", err)
		}
	}
	unread, _ := w.store.Unread(t.Context(), nil, 9)
	if len(unread) != 1 || unread[0].Notice.ID != "bad" {
		t.Errorf("unread = %+v", unread)
	}
}

// TestLateAnswerIsKept: an answer that comes when another worker has the order is evidence, never dropped.
func TestLateAnswerIsKept(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"presettle", "lock", "prepay", "settle", "post"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.once(op, 1, takenOver)
			var id ID
			if o, err := w.quote(true, testBill); err == nil {
				id = o.ID
			} else if id = w.store.ids()[0]; !errors.Is(err, job.ErrLost) {
				t.Fatalf("Quote: %v", err)
			}
			w.settle(time.Minute)
			if _, err := w.service.Confirm(t.Context(), Confirmation{Account: testAccount, Order: id}); err != nil && !errors.Is(err, job.ErrLost) {
				t.Fatalf("Confirm: %v", err)
			}
			w.settle(3 * time.Minute)
			w.mustPay(id)
			w.settle(time.Hour)
			w.wantState(id, Completed, "")
			kept := false
			for _, e := range w.store.history[id] {
				kept = kept || e.Verb == "late_answer"
			}
			if !kept {
				t.Error("the late answer is not in the history")
			}
			w.auditEnd()
			w.tell(t, id)
		})
	}
}

func TestOrderWithoutLegs(t *testing.T) {
	t.Parallel()
	if o := (&Order{}); o.Settlement() != nil || o.Payment() != nil {
		t.Error("an empty order has legs")
	}
	if _, err := ParseID("007"); !errors.Is(err, ErrNotFound) {
		t.Errorf("ParseID(007) = %v", err)
	}
	if id, err := ParseID("42"); id != 42 || err != nil {
		t.Errorf("ParseID(42) = %d, %v", id, err)
	}
}
