package order

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/payment"
)

func TestDeadlineOfTheCashOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  func(w *world)
		want time.Duration
	}{
		{"pay window", func(*world) {}, 30 * time.Minute},
		{"HIS lock", func(w *world) { w.his.lockFor = 11 * time.Minute }, 10 * time.Minute},
		{"authorisation", func(w *world) { w.people.auth.UsableUntil = start.Add(10 * time.Minute) }, 8 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			tt.set(w)
			id := confirmed(w)
			if got := w.order(id).Payment().ExpiresAt.Sub(start); got != tt.want {
				t.Errorf("expires after %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCancelRefuses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, 1)
	if _, err := w.service.Cancel(ctx, testAccount, 99); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown order: %v", err)
	}
	id := paid(w)
	w.once("settle", 1, loseBefore)
	w.settle(20 * time.Second)
	w.wantState(id, Settling, "")
	if _, err := w.service.Cancel(ctx, testAccount, id); !errors.Is(err, ErrState) {
		t.Errorf("cancel while settling: %v, want ErrState", err)
	}
	w.settle(tenDays)
	w.wantState(id, Completed, "")
	if _, err := w.service.Cancel(ctx, testAccount, id); !errors.Is(err, ErrState) {
		t.Errorf("cancel of a completed order: %v, want ErrState", err)
	}
	held := newWorld(t, 2)
	heldID := confirmed(held)
	row := held.store.jobs[heldID.No()]
	row.owner, row.due = "node9", held.fake.Now().Add(time.Hour)
	if _, err := held.service.Cancel(ctx, testAccount, heldID); !errors.Is(err, job.ErrBusy) {
		t.Errorf("cancel of an order that another worker holds: %v, want ErrBusy", err)
	}
	gone, end := context.WithCancel(ctx)
	end()
	if _, err := held.service.Confirm(gone, Confirmation{Account: testAccount, Order: heldID}); !errors.Is(err, context.Canceled) {
		t.Errorf("confirm by a caller who has gone: %v", err)
	}
}

func TestCancelTwiceAndLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.once("close", 0, loseBefore, loseBefore)
	id := confirmed(w)
	w.once("close", 1, loseBefore)
	mustCancel(w, id, Closing)
	mustCancel(w, id, Closing)
	w.settle(tenDays)
	w.wantState(id, Closed, ByPatient)
	w.auditEnd()
	w.tell(t, id)
}

func TestCancelRacesThePayment(t *testing.T) {
	t.Parallel()
	for _, s := range []story{
		{"paid before we look: it goes on", func(w *world) ID {
			id := confirmed(w)
			if !w.wechat.pay(w.order(id).Payment().OutTradeNo) {
				w.t.Error("cannot pay")
			}
			mustCancel(w, id, Completed)
			return id
		}, Completed, ""},
		{"paid between our look and the closing: it goes back", func(w *world) ID {
			id := confirmed(w)
			no := w.order(id).Payment().OutTradeNo
			n := w.calls["query"]
			w.mishaps = func(op, _ string) mishap {
				if op == "query" && w.calls[op] == n+2 {
					w.wechat.pay(no)
				}
				return fine
			}
			mustCancel(w, id, Unwound)
			return id
		}, Unwound, ByPatient},
		{"paid between the query and the close: it goes back", func(w *world) ID {
			id := confirmed(w)
			no := w.order(id).Payment().OutTradeNo
			w.mishaps = func(op, _ string) mishap {
				if op == "close" {
					w.wechat.pay(no)
				}
				return fine
			}
			mustCancel(w, id, Closing)
			return id
		}, Unwound, ByPatient},
		{"found paid: too late", func(w *world) ID {
			id := confirmed(w)
			w.mustPay(id)
			w.once("settle", 1, slow)
			w.store.jobs[id.No()].due = w.fake.Now()
			w.killAt = len(w.points) + 6 // 2207 was on its way
			w.step()
			w.advance(2 * time.Minute)
			if _, err := w.service.Cancel(context.Background(), testAccount, id); !errors.Is(err, ErrState) {
				w.t.Errorf("cancel of a paid order: %v, want ErrState", err)
			}
			return id
		}, Completed, ""},
	} {
		s.run(t)
	}
}

func TestCashOrderMishaps(t *testing.T) {
	t.Parallel()
	for _, m := range []mishap{loseBefore, loseAfter, oddAfter, unsent, slow} {
		story{"prepay " + string(m), with("prepay", paid, m), Completed, ""}.run(t)
	}
	for _, m := range []mishap{loseBefore, loseAfter, oddAfter, unsent, slow, lateEffect, refuse, amounts} {
		story{"query " + string(m), with("query", paid, m, m), Completed, ""}.run(t)
		story{"nobody pays, close " + string(m), with("close", confirmed, m), Closed, NotPaid}.run(t)
	}
	for _, s := range []story{
		{"prepay late effect, the patient waits", with("prepay", func(w *world) ID {
			id := confirmed(w)
			w.settle(2 * time.Minute)
			w.mustPay(id)
			return id
		}, lateEffect), Completed, ""},
		{"refused at once", with("prepay", confirmed, refuse), Closed, CashRefused},
		{"lost, then refused: a query tells", with("prepay", func(w *world) ID {
			id := confirmed(w)
			w.settle(time.Minute)
			w.mustPay(id)
			return id
		}, loseAfter, refuse), Completed, ""},
		{"never left at all", func(w *world) ID {
			w.mishaps = func(op, _ string) mishap {
				if op == "prepay" {
					return unsent
				}
				return fine
			}
			return confirmed(w)
		}, Closed, NotPaid},
		{"cancelled before the cash order is answered", with("prepay", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.mustConfirm(id)
			if got := w.order(id).Payment(); got.State != payment.Preparing || got.Asked != 1 {
				w.t.Errorf("payment %s, asked %d times", got.State, got.Asked)
			}
			mustCancel(w, id, Closed)
			return id
		}, loseBefore), Closed, ByPatient},
		{"closed by WeChat itself", func(w *world) ID {
			id := confirmed(w)
			w.wechat.orders[w.order(id).Payment().OutTradeNo].state = payment.TradeClosed
			return id
		}, Closed, NotPaid},
		{"never proved dead", func(w *world) ID {
			w.mishaps = func(op, _ string) mishap {
				if op == "close" {
					return refuse
				}
				return fine
			}
			return confirmed(w)
		}, InReview, TooLong},
		{"closing, and the cash order cannot be asked about", func(w *world) ID {
			w.mishaps = func(op, _ string) mishap {
				if op == "prepay" {
					return loseBefore
				}
				return fine
			}
			return confirmed(w)
		}, InReview, TooLong},
		{"paid, and refunded by somebody else", func(w *world) ID {
			id := confirmed(w)
			w.mustPay(id)
			w.wechat.orders[w.order(id).Payment().OutTradeNo].state = payment.TradeRefunded
			return id
		}, InReview, CashGone},
		{"other amounts, again and again", func(w *world) ID {
			w.wechat.lies = func(t *payment.Transaction) { t.Total++ }
			return paid(w)
		}, InReview, CashMismatch},
		{"another payer, again and again, while closing", func(w *world) ID {
			id := confirmed(w)
			w.once("close", w.calls["close"], loseBefore, loseBefore, loseBefore, loseBefore, loseBefore, loseBefore, loseBefore, loseBefore)
			mustCancel(w, id, Closing)
			w.wechat.lies = func(t *payment.Transaction) { t.Currency = "HKD" }
			return id
		}, InReview, CashMismatch},
		{"what cannot be built is not sent", func(w *world) ID {
			w.party.Gateway = unbuildable{w.wechat, true, false}
			w.boot()
			return confirmed(w)
		}, Closed, CashRefused},
	} {
		s.run(t)
	}
}

// TestClosedOnlyWhenNotPaid: only NOTPAY, then close, then 204 means unpaid (design.md §3); without an answer nothing is closed.
func TestClosedOnlyWhenNotPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := confirmed(w)
	n := w.calls["query"]
	w.once("query", n+2, loseBefore, unsent, oddAfter) // the first one leads to closing
	mustCancel(w, id, Closing)
	for w.calls["query"] < n+5 && !t.Failed() {
		if w.calls["close"] != 0 {
			t.Fatalf("closed after %d queries, of which none was answered", w.calls["query"]-n-1)
		}
		w.settle(time.Second)
	}
	w.settle(time.Hour)
	w.wantState(id, Closed, ByPatient)
	w.auditEnd()
	w.tell(t, id)
}

// unbuildable is WeChat where a request cannot be made.
type unbuildable struct {
	*wechat
	order, refund bool
}

func (u unbuildable) BuildPrepay(p payment.Prepay) ([]byte, error) {
	if u.order {
		return nil, errOdd
	}
	return u.wechat.BuildPrepay(p)
}

func (u unbuildable) BuildRefund(r payment.RefundOrder) ([]byte, error) {
	if u.refund {
		return nil, errOdd
	}
	return u.wechat.BuildRefund(r)
}

func TestPayerUnreadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := confirmed(w)
	w.mustPay(id)
	w.people.down = errOdd
	w.settle(30 * time.Second)
	w.wantState(id, Paying, "")
	w.people.down = nil
	w.settle(time.Hour)
	w.wantState(id, Completed, "")
}
