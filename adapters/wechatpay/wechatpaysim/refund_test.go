package wechatpaysim

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

func TestRefundRules(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(w *world)
		body   string
		status int
		code   string
	}{
		{"whole", nil, refundBody("ORDER001", "R1", 1000, 1000, nil), 200, ""},
		{"part", nil, refundBody("ORDER001", "R1", 1, 1000, nil), 200, ""},
		{"every sign of a number", nil, refundBody("ORDER001", "R_-|*@", 1, 1000, nil), 200, ""},
		{"available funds", nil, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"funds_account": "AVAILABLE"}), 200, ""},
		{"one fen too much", nil, refundBody("ORDER001", "R1", 1001, 1000, nil), 400, "INVALID_REQUEST"},
		{"other total", nil, refundBody("ORDER001", "R1", 1, 999, nil), 400, "INVALID_REQUEST"},
		{"nothing", nil, refundBody("ORDER001", "R1", 0, 1000, nil), 400, "PARAM_ERROR"},
		{"no order", nil, refundBody("ORDER009", "R1", 1, 1000, nil), 404, "RESOURCE_NOT_EXISTS"},
		{"no order number", nil, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"out_trade_no": nil}), 400, "PARAM_ERROR"},
		{"unknown transaction", nil, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"transaction_id": "4200"}), 404, "RESOURCE_NOT_EXISTS"},
		{"long transaction", nil, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"transaction_id": strings.Repeat("4", 33)}), 400, "PARAM_ERROR"},
		{"no refund number", nil, refundBody("ORDER001", "", 1, 1000, nil), 400, "PARAM_ERROR"},
		{"number of 65", nil, refundBody("ORDER001", strings.Repeat("R", 65), 1, 1000, nil), 400, "PARAM_ERROR"},
		{"long reason", nil, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"reason": strings.Repeat("x", 81)}), 400, "PARAM_ERROR"},
		{"http notify", nil, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"notify_url": "http://x"}), 400, "PARAM_ERROR"},
		{"other account", nil, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"funds_account": "MINE"}), 400, "PARAM_ERROR"},
		{"dollars", nil, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"amount": map[string]any{"refund": 1, "total": 1000, "currency": "USD"}}), 400, "PARAM_ERROR"},
		{"unknown field", nil, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"appid": testApp}), 400, "PARAM_ERROR"},
		{"not paid", func(w *world) { w.prepay(orderBody("ORDER002", 1000, nil)) }, refundBody("ORDER002", "R1", 1, 1000, nil), 400, "INVALID_REQUEST"},
		{"after a year", func(w *world) { w.clock.Advance(366 * 24 * time.Hour) }, refundBody("ORDER001", "R1", 1, 1000, nil), 403, "RULE_LIMIT"},
		{"second within the minute", func(w *world) {
			w.call("POST", refunds, refundBody("ORDER001", "R0", 1, 1000, nil))
			w.clock.Advance(59 * time.Second)
		}, refundBody("ORDER001", "R1", 1, 1000, nil), 429, "FREQUENCY_LIMITED"},
		{"second after a minute", func(w *world) {
			w.call("POST", refunds, refundBody("ORDER001", "R0", 1, 1000, nil))
			w.clock.Advance(time.Minute)
		}, refundBody("ORDER001", "R1", 999, 1000, nil), 200, ""},
		{"second beyond the sum", func(w *world) {
			w.call("POST", refunds, refundBody("ORDER001", "R0", 1, 1000, nil))
			w.clock.Advance(time.Minute)
		}, refundBody("ORDER001", "R1", 1000, 1000, nil), 400, "INVALID_REQUEST"},
		{"same number, other amount", func(w *world) {
			w.call("POST", refunds, refundBody("ORDER001", "R1", 1, 1000, nil))
		}, refundBody("ORDER001", "R1", 2, 1000, nil), 400, "INVALID_REQUEST"},
		{"same again", func(w *world) {
			w.call("POST", refunds, refundBody("ORDER001", "R1", 1, 1000, nil))
		}, refundBody("ORDER001", "R1", 1, 1000, nil), 200, ""},
		{"fifty-first", func(w *world) {
			for i := range 50 {
				w.clock.Advance(time.Minute)
				w.call("POST", refunds, refundBody("ORDER001", fmt.Sprintf("P%d", i), 1, 1000, nil))
			}
			w.clock.Advance(time.Minute)
		}, refundBody("ORDER001", "R1", 1, 1000, nil), 403, "RULE_LIMIT"},
		{"scripted refusal", func(w *world) {
			w.plan.Script(sandbox.Script{Op: "refund", Key: "R1", Fault: sandbox.Refuse})
		}, refundBody("ORDER001", "R1", 1, 1000, nil), 403, "NOT_ENOUGH"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.paid("ORDER001", 1000)
			if tt.before != nil {
				tt.before(w)
			}
			if a := w.call("POST", refunds, tt.body); a.status != tt.status || a.code != tt.code {
				t.Errorf("answer = %d %s %s, want %d %s", a.status, a.code, a.body, tt.status, tt.code)
			}
			w.audit()
		})
	}
}

func TestRefundLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.paid("ORDER001", 10000)
	var a refundAnswer
	w.call("POST", refunds, refundBody("ORDER001", "R1", 4000, 10000, nil)).into(t, &a)
	if a.Status != "PROCESSING" || a.SuccessTime != "" || len(a.RefundID) != 29 || a.Amount.Refund != 4000 || a.Amount.Total != 10000 {
		t.Errorf("accepted = %+v", a)
	}
	if got := w.state("ORDER001"); got != "REFUND" {
		t.Errorf("order = %s", got)
	}
	want := OrderTruth{OutTradeNo: "ORDER001", TransactionID: a.TransactionID, State: "REFUND", TotalFen: 10000, PaidFen: 10000,
		RefundingFen: 4000, Refunds: []RefundTruth{{"R1", a.RefundID, "PROCESSING", 4000}}}
	if diff := cmp.Diff(want, w.audit().Orders[0]); diff != "" {
		t.Errorf("truth (-want +got):\n%s", diff)
	}
	w.clock.Advance(5 * time.Minute)
	w.call("GET", refunds+"/R1", "").into(t, &a)
	if a.Status != "SUCCESS" || a.SuccessTime != "2026-11-23T10:05:00+08:00" {
		t.Errorf("after five minutes = %+v", a)
	}
	truth := w.audit()
	if truth.RefundedFen != 4000 || truth.NetFen != 6000 || truth.FeeFen != 36 || truth.BalanceFen != 1000+6000-36 {
		t.Errorf("truth = %+v", truth)
	}
	if a := w.call("GET", refunds+"/R2", ""); a.status != 404 || a.code != "RESOURCE_NOT_EXISTS" {
		t.Errorf("unknown refund: %d %s", a.status, a.code)
	}
}

func TestRefundByTransactionID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.paid("ORDER001", 1000)
	tid := w.sim.Truth().Orders[0].TransactionID
	if a := w.call("POST", refunds, refundBody("ORDER001", "R1", 1, 1000, map[string]any{"transaction_id": tid, "out_trade_no": nil})); a.status != 200 {
		t.Errorf("by transaction_id: %d %s", a.status, a.body)
	}
	if a := w.call("POST", refunds, refundBody("ORDER002", "R2", 1, 1000, map[string]any{"transaction_id": tid})); a.status != 404 {
		t.Errorf("numbers of two orders: %d %s", a.status, a.body)
	}
}

func TestNotEnoughThenDeposit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Opening, c.RefundGap = 0, -1 })
	w.paid("ORDER001", 1000)                                              // 994 left after the fee
	w.call("POST", refunds, refundBody("ORDER001", "R1", 995, 1000, nil)) // 995 − 5 of the fee
	w.paid("ORDER002", 100)
	w.clock.Advance(time.Minute)
	spend := refundBody("ORDER002", "R2", 100, 100, nil)
	if a := w.call("POST", refunds, spend); a.status != 200 {
		t.Fatalf("R2: %d %s", a.status, a.body)
	}
	rest := refundBody("ORDER001", "R3", 5, 1000, nil)
	if a := w.call("POST", refunds, rest); a.status != 200 { // 4 left, 5 − 1 of the fee
		t.Fatalf("R3: %d %s", a.status, a.body)
	}
	if got := w.audit().BalanceFen; got != 0 {
		t.Errorf("balance = %v", got)
	}
	w = newWorld(t, func(c *Config) { c.Opening = 0 })
	w.paid("ORDER001", 1000)
	w.sim.books.balance -= 900 // the merchant withdrew
	w.cfg.Opening -= 900
	w.sim.cfg.Opening -= 900
	body := refundBody("ORDER001", "R1", 1000, 1000, nil)
	if a := w.call("POST", refunds, body); a.status != 403 || a.code != "NOT_ENOUGH" {
		t.Fatalf("without money: %d %s", a.status, a.code)
	}
	if err := w.sim.Deposit(0); err == nil {
		t.Error("a deposit of nothing: accepted")
	}
	if err := w.sim.Deposit(900); err != nil {
		t.Fatal(err)
	}
	if a := w.call("POST", refunds, body); a.status != 200 {
		t.Errorf("same number after the deposit: %d %s", a.status, a.body)
	}
}

func TestRefundsEndOtherwise(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, outcome := range []string{refundClosed, refundAbnormal, refundProcessing} {
		order, number := fmt.Sprintf("ORDER00%d", i), fmt.Sprintf("R%d", i)
		w.paid(order, 1000)
		if err := w.sim.ScriptRefunds(number, outcome, 1); err != nil {
			t.Fatal(err)
		}
		w.call("POST", refunds, refundBody(order, number, 1000, 1000, nil))
	}
	w.clock.Advance(time.Hour)
	if a, b, c := w.refundStatus("R0"), w.refundStatus("R1"), w.refundStatus("R2"); a != "CLOSED" || b != "ABNORMAL" || c != "PROCESSING" {
		t.Errorf("states = %s %s %s", a, b, c)
	}
	truth := w.audit()
	if truth.RefundingFen != 2000 || truth.RefundedFen != 0 || truth.NetFen != 1000 {
		t.Errorf("truth = %+v", truth)
	}
	if a := w.call("POST", refunds, refundBody("ORDER000", "R0b", 1000, 1000, nil)); a.status != 200 {
		t.Errorf("a new number after CLOSED: %d %s", a.status, a.body)
	}
	for _, settle := range []struct {
		number, status string
		ok             bool
	}{{"R1", refundSuccess, true}, {"R1", refundClosed, false}, {"R2", refundProcessing, false}, {"R2", "ODD", false},
		{"R2", refundClosed, true}, {"R9", refundSuccess, false}} {
		if err := w.sim.SettleRefund(settle.number, settle.status); (err == nil) != settle.ok {
			t.Errorf("settle %s %s: %v", settle.number, settle.status, err)
		}
	}
	if err := w.sim.ScriptRefunds("", "ODD", 1); err == nil {
		t.Error("odd outcome: accepted")
	}
	w.audit()
	if a, b := w.refundStatus("R1"), w.refundStatus("R2"); a != "SUCCESS" || b != "CLOSED" {
		t.Errorf("settled = %s %s", a, b)
	}
}

func TestSettlingEarlyDropsTheOtherNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.paid("ORDER001", 1000)
	w.call("POST", refunds, refundBody("ORDER001", "R1", 10, 1000, nil))
	if err := w.sim.SettleRefund("R1", refundAbnormal); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Hour)
	if got := w.refundStatus("R1"); got != "ABNORMAL" {
		t.Errorf("status = %s", got)
	}
	for w.sim.Step(context.Background()) {
	}
	var events []string
	for _, one := range w.received() {
		e, _ := w.unseal(one)
		events = append(events, e.EventType)
	}
	if diff := cmp.Diff([]string{"TRANSACTION.SUCCESS", "REFUND.ABNORMAL"}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestPaceAndNoWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Pace = 60 })
	w.paid("ORDER001", 1000)
	w.call("POST", refunds, refundBody("ORDER001", "R1", 10, 1000, nil))
	w.clock.Advance(5 * time.Second)
	if got := w.refundStatus("R1"); got != "SUCCESS" {
		t.Errorf("at pace 60 after 5 s: %s", got)
	}
	w = newWorld(t, func(c *Config) { c.RefundDelay, c.RefundGap = -1, -1 })
	w.paid("ORDER001", 1000)
	for i := range 3 {
		if a := w.call("POST", refunds, refundBody("ORDER001", fmt.Sprintf("R%d", i), 10, 1000, nil)); !strings.Contains(string(a.body), `"SUCCESS"`) {
			t.Errorf("refund %d: %s", i, a.body)
		}
	}
	w.audit()
}

func TestShare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := money.Fen(rapid.Int64Range(1, int64(money.Max)).Draw(t, "total"))
		part := money.Fen(rapid.Int64Range(0, int64(total)).Draw(t, "part"))
		f := fee(total)
		got := share(f, part, total)
		if got < 0 || got > f || (part == total && got != f) || (part == 0 && got != 0) {
			t.Fatalf("share(%d, %d, %d) = %d", f, part, total, got)
		}
		if total < 1_000_000_000 && got != f*part/total {
			t.Fatalf("share(%d, %d, %d) = %d, want %d", f, part, total, got, f*part/total)
		}
	})
}

// TestBooksAlwaysAddUp plays at random, kills the simulator between moves, and audits after each.
func TestBooksAlwaysAddUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	games := 0
	rapid.Check(t, func(r *rapid.T) {
		games++
		w := newWorld(t, func(c *Config) { c.Journal = filepath.Join(dir, fmt.Sprintf("j%d", games)) })
		w.paid("ORDER000", 777)
		for move := range rapid.IntRange(1, 25).Draw(r, "moves") {
			order := fmt.Sprintf("ORDER%03d", rapid.IntRange(0, 3).Draw(r, "order"))
			number := fmt.Sprintf("R%d", rapid.IntRange(0, 9).Draw(r, "refund"))
			switch rapid.IntRange(0, 6).Draw(r, "kind") {
			case 0, 1:
				if id, _ := w.prepay(orderBody(order, 777, nil)); id != "" {
					_ = w.sim.Pay(context.Background(), phone(id))
				}
			case 2, 3:
				w.call("POST", refunds, refundBody(order, number, rapid.Int64Range(1, 777).Draw(r, "fen"), 777, nil))
			case 4:
				_ = w.sim.SettleRefund(number, rapid.SampledFrom([]string{refundSuccess, refundClosed, refundAbnormal}).Draw(r, "status"))
			case 5:
				w.clock.Advance(time.Duration(rapid.IntRange(1, 600).Draw(r, "seconds")) * time.Second)
			case 6:
				before := w.sim.Truth()
				_ = w.sim.Close()
				w.open()
				if diff := cmp.Diff(before, w.sim.Truth()); diff != "" {
					r.Fatalf("move %d: after a kill (-before +after):\n%s", move, diff)
				}
			}
			w.audit()
			if w.t.Failed() {
				r.Fatal("audit")
			}
		}
	})
}
