package miniprogramapi

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
)

func (s *orders) AskRefund(_ context.Context, a order.RefundAsk) (*order.Order, *refund.Refund, error) {
	shared, err := s.Get(context.Background(), a.Account, a.Order)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := *s.list[shared.ID] // as a store gives it: nobody else has it
	o := &copied
	for _, f := range o.Refunds {
		if f.Key == a.Key {
			return o, f, nil
		}
	}
	s.gives++
	if err := s.give(a, o); err != nil {
		return nil, nil, err
	}
	s.list[o.ID] = o
	return o, o.Refunds[len(o.Refunds)-1], nil
}

func (s *orders) WholeOnly(*order.Order) bool { return s.joint }

// bookedOrder is an order that the HIS has booked, of two bills' worth.
func bookedOrder(t *testing.T) (*face, *order.Order) {
	t.Helper()
	f, id := ordering(t)
	f.want(f.quote(id, "quote-0001"), 201, "")
	o := f.orders.list[251334985728512]
	pays(o, f.clock.Now().Add(30*time.Minute))
	o.State, o.Payment().State, o.Payment().TransactionID, o.Payment().PaidAt = order.Completed, payment.Paid, "4200", f.clock.Now()
	o.Settlement().State, o.Settlement().SetlID, o.Settlement().Actual = settlement.Settled, "S1", o.Settlement().Foreseen
	f.orders.give = func(a order.RefundAsk, o *order.Order) error {
		lines := refund.Everything(o.Left())
		if !a.Whole {
			var err error
			if lines, err = refund.Choose(o.Left(), a.Wants); err != nil {
				return err
			}
		}
		r := &refund.Refund{ID: 77, Seq: len(o.Refunds) + 1, State: refund.Asked, By: a.By, Actor: a.Actor, Key: a.Key, Reason: a.Reason, Lines: lines,
			Whole: a.Whole, AskedAt: f.clock.Now()}
		o.Refunds = append(o.Refunds, r)
		o.Version++
		return nil
	}
	return f, o
}

func (f *face) giveBack(key, body string) map[string]any {
	f.t.Helper()
	return f.want(f.do("POST", "/orders/"+orderNo+"/refunds", body, "Idempotency-Key", key), 201, "")
}

func TestRefundIsAsked(t *testing.T) {
	t.Parallel()
	f, o := bookedOrder(t)
	left := f.want(f.do("GET", "/orders/"+orderNo+"/refundable", ""), 200, "")
	lines := left["lines"].([]any)
	first := lines[0].(map[string]any)
	if len(lines) != len(o.Bills[0].Bill.Lines) || first["quantity"] == "" || first["amount_fen"].(float64) <= 0 || left["whole_only"] != false {
		t.Fatalf("refundable = %v", left)
	}
	body := f.giveBack("refund-0001", `{"whole":false,"lines":[{"bill_no":"`+first["bill_no"].(string)+`","line_no":"`+first["line_no"].(string)+`"}],"reason":"退药"}`)
	views := body["refunds"].([]any)
	r := views[0].(map[string]any)
	if len(views) != 1 || r["state"] != "asked" || r["by"] != "patient" || r["total_fen"] != first["amount_fen"] || r["lines"].([]any)[0].(map[string]any)["name"] != first["name"] ||
		!strings.Contains(body["state_text"].(string), "退费已受理") {
		t.Errorf("order = %v", body)
	}
	if left := f.want(f.do("GET", "/orders/"+orderNo+"/refundable", ""), 200, ""); len(left["lines"].([]any)) != len(lines)-1 {
		t.Errorf("what is asked back is still offered: %v", left)
	}
	again := f.do("POST", "/orders/"+orderNo+"/refunds", `{"whole":false,"lines":[{"bill_no":"`+first["bill_no"].(string)+`","line_no":"`+first["line_no"].(string)+`"}],"reason":"退药"}`, "Idempotency-Key", "refund-0001")
	if f.want(again, 201, ""); f.orders.gives != 1 {
		t.Errorf("%d refunds of one request", f.orders.gives)
	}
	f.want(f.do("POST", "/orders/"+orderNo+"/refunds", `{"whole":true}`, "Idempotency-Key", "refund-0001"), 422, "IDEMPOTENCY_KEY_REUSED")
}

// TestRefundIsTold: accepted, insurance returned, cash returned, each with its time.
func TestRefundIsTold(t *testing.T) {
	t.Parallel()
	f, o := bookedOrder(t)
	f.giveBack("refund-0001", `{"whole":true}`)
	o = f.orders.list[o.ID]
	r := o.Refunds[0]
	tell := func(want ...string) map[string]any {
		t.Helper()
		body := f.want(f.do("GET", "/orders/"+orderNo, ""), 200, "")
		view := body["refunds"].([]any)[0].(map[string]any)
		for _, part := range want {
			if !strings.Contains(view["state_text"].(string), part) {
				t.Errorf("%s: %q, want %q in it", r.State, view["state_text"], part)
			}
		}
		return view
	}
	if v := tell("等待医院审核"); v["cash_fen"] != nil {
		t.Errorf("cash is told before the HIS has agreed: %v", v)
	}
	r.State, r.HeldAt, r.Before, r.Whole = refund.Held, f.clock.Now(), o.Split, true
	if v := tell("退费办理中"); v["cash_fen"] != float64(o.Split.Charge()) || v["insurance_fen"] != float64(o.Total-o.Split.Charge()) {
		t.Errorf("refund = %v", v)
	}
	r.InsuredAt = f.clock.Now()
	if v := tell("医保已于 11月23日 10:00 退回"); v["insurance_at"] == nil || v["cash_at"] != nil {
		t.Errorf("refund = %v", v)
	}
	r.Cash = payment.MoneyBack{OutRefundNo: "R1", Amount: o.Split.Charge()}
	tell("正在原路退回", "1 至 3 个工作日")
	r.Cash.ReturnedAt, r.CashAt = f.clock.Now(), f.clock.Now()
	tell("现金已于")
	r.State, r.DoneAt = refund.Done, f.clock.Now()
	if v := tell("退费完成", "医保部分已退回", "已原路退回"); v["done_at"] == nil {
		t.Errorf("refund = %v", v)
	}
	body := f.want(f.do("GET", "/orders/"+orderNo, ""), 200, "")
	if body["refundable"] != false || body["state_text"] != "已全部退费" || body["payments"].([]any)[0].(map[string]any)["refunded_fen"] != float64(o.Split.Charge()) {
		t.Errorf("order = %v", body)
	}
	for cause, c := range map[order.Cause]struct {
		state refund.State
		want  string
	}{order.NotRefundable: {refund.Refused, "先到相应科室"}, order.RefundStuck: {refund.InReview, "人工核实"}} {
		r.State, r.Cause = c.state, string(cause)
		tell(c.want)
	}
	r.State, r.AuthSince, r.Cause, r.InsuredAt, r.Cash = refund.Held, f.clock.Now(), "", time.Time{}, payment.MoneyBack{}
	if v := tell("重新完成医保授权"); v["waits_for_authorisation"] != true {
		t.Errorf("refund = %v", v)
	}
	r.State, r.AuthSince, r.Note = refund.Done, time.Time{}, true
	tell("窗口退还")
	r.Note, r.TillAt = false, f.clock.Now()
	tell("现金已由医院窗口办理")
	r.State = refund.Held
	tell("现金由医院窗口办理")
	r.State, r.TillAt, r.Lines[0].Kept = refund.Done, time.Time{}, true
	tell("重新开单")
	o.State = order.BeingPosted
	r.State = refund.Asked
	tell("入账后办理")
}

func TestRefundIsRefused(t *testing.T) {
	t.Parallel()
	f, o := bookedOrder(t)
	post := func(key, body string, status int, code string) {
		t.Helper()
		f.want(f.do("POST", "/orders/"+orderNo+"/refunds", body, "Idempotency-Key", key), status, code)
	}
	post("refund-0001", `{"whole":false}`, 400, "REFUND_LINE_UNKNOWN")
	post("refund-0002", `{"whole":true,"lines":[{"bill_no":"MZ1"}]}`, 400, "REFUND_LINE_UNKNOWN")
	post("refund-0003", `{"whole":false,"lines":[{"bill_no":"MZ9"}]}`, 400, "REFUND_LINE_UNKNOWN")
	post("refund-0004", `{"whole":false,"lines":[{"bill_no":"`+o.Bills[0].Bill.No+`","line_no":"1","quantity":"-1"}]}`, 400, "BAD_REQUEST")
	post("refund-0005", `{"whole":false,"lines":[{"bill_no":"`+o.Bills[0].Bill.No+`","line_no":"`+o.Bills[0].Bill.Lines[0].No+`","quantity":"999999"}]}`, 400, "REFUND_QUANTITY")
	f.orders.give = func(order.RefundAsk, *order.Order) error { return refund.ErrWholeOnly }
	post("refund-0006", `{"whole":false,"lines":[{"bill_no":"`+o.Bills[0].Bill.No+`"}]}`, 409, "REFUND_WHOLE_ONLY")
	o.State = order.Paying
	f.want(f.do("GET", "/orders/"+orderNo+"/refundable", ""), 409, "ORDER_STATE")
	if o.Refundable() {
		t.Error("an order that is not paid is refundable")
	}
}

// TestRefundOnceAmongMany: however many requests there are with one key, there is one refund, and everybody gets its bytes or may come again.
func TestRefundOnceAmongMany(t *testing.T) {
	t.Parallel()
	f, _ := bookedOrder(t)
	var mu sync.Mutex
	bodies := map[string]int{}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			w := f.do("POST", "/orders/"+orderNo+"/refunds", `{"whole":true}`, "Idempotency-Key", "refund-0001")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case w.Code == 201:
				bodies[w.Body.String()]++
			case w.Code != 409 || w.Header().Get("Retry-After") == "":
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if len(bodies) != 1 || f.orders.gives != 1 {
		t.Errorf("%d different answers, %d refunds", len(bodies), f.orders.gives)
	}
}

// TestStandingOrder: what is partly given back says so.
func TestStandingOrder(t *testing.T) {
	t.Parallel()
	f, o := bookedOrder(t)
	rest := o.Split
	rest.Cash--
	o.Refunds = []*refund.Refund{{ID: 7, Seq: 1, State: refund.Done, By: refund.ByHIS, Before: o.Split, Rest: rest, HeldAt: f.clock.Now(), AskedAt: f.clock.Now(),
		Lines: []refund.Line{{BillNo: o.Bills[0].Bill.No, LineNo: o.Bills[0].Bill.Lines[0].No, Quantity: decimal.New(1, 0), Amount: 1}}}}
	if body := f.want(f.do("GET", "/orders/"+orderNo, ""), 200, ""); !strings.Contains(body["state_text"].(string), "已部分退费") {
		t.Errorf("order = %v", body["state_text"])
	}
}
