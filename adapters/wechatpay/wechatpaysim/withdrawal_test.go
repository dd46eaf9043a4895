package wechatpaysim

import (
	"bytes"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// withdrawing is a simulator that withdraws at five in the afternoon.
func withdrawing(t *testing.T) *world {
	journal := filepath.Join(t.TempDir(), "journal")
	return newWorld(t, func(c *Config) {
		c.WithdrawAt, c.Journal, c.Notify = 17*time.Hour, journal, nil
	})
}

func TestWithdrawalOnceADay(t *testing.T) {
	t.Parallel()
	w := withdrawing(t)
	w.paid("ORDER001", 10000) // at ten; fee 60
	var got []money.Fen
	for range 4 * 24 {
		for w.sim.Step(t.Context()) {
		}
		if len(w.sim.Withdrawals()) > len(got) {
			last := w.sim.Withdrawals()[len(got)]
			if at := last.At.In(clock.Shanghai); at.Hour() != 17 || len(last.Number) != 24 {
				t.Errorf("withdrawal = %+v", last)
			}
			got = append(got, last.Fen)
		}
		if w.clock.Now().In(clock.Shanghai).Format("02 15") == "24 20" {
			_ = w.sim.Deposit(700) // after the day's hour: tomorrow's
		}
		w.clock.Advance(time.Hour)
		if w.clock.Now().Hour() == 10 { // killed, and started again
			w.open()
		}
	}
	if len(got) != 2 || got[0] != 1000+10000-60 || got[1] != 700 || w.sim.Truth().BalanceFen != 0 {
		t.Errorf("withdrawals = %v, balance %s", got, w.sim.Truth().BalanceFen)
	}
	a := w.call("POST", refunds, refundBody("ORDER001", "R1", 100, 10000, nil))
	if a.code != "NOT_ENOUGH" {
		t.Errorf("a refund of what the bank has: %d %s", a.status, a.code)
	}
	answer := httptest.NewRecorder()
	w.sim.Control().ServeHTTP(answer, httptest.NewRequest("GET", "/withdrawals", nil))
	if body := answer.Body.String(); strings.Count(body, `"number":"1000202611`) != 2 || !strings.Contains(body, `"fen":10940`) {
		t.Errorf("GET /withdrawals = %s", body)
	}
	file, _ := w.bill("/v3/bill/fundflowbill?bill_date=2026-11-23")
	golden(t, "fund_flow_withdrawal.csv", file)
	if file, code := w.bill("/v3/bill/fundflowbill?bill_date=2026-11-24"); code != "" || strings.Contains(string(file), "提现") {
		t.Errorf("a day with nothing to withdraw: %s %s", code, file)
	}
}

func TestNoWithdrawalByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.Advance(48 * time.Hour)
	if w.sim.Step(t.Context()); len(w.sim.Withdrawals()) != 0 {
		t.Error("withdrawn without being told")
	}
	for _, at := range []time.Duration{-time.Hour, 24 * time.Hour} {
		cfg := w.cfg
		if cfg.WithdrawAt = at; check(cfg) == nil {
			t.Errorf("a withdrawal at %s", at)
		}
	}
}

func TestBillForms(t *testing.T) {
	t.Parallel()
	w := busyDay(t)
	form := func(body string) {
		answer := httptest.NewRecorder()
		w.sim.Control().ServeHTTP(answer, httptest.NewRequest("POST", "/bills/form", strings.NewReader(body)))
		if answer.Code != 200 {
			t.Fatalf("form %s: %d", body, answer.Code)
		}
	}
	form(`{"legacy":true}`)
	file, _ := w.bill("/v3/bill/tradebill?bill_date=2026-11-23")
	golden(t, "trade_all_legacy.csv", file)
	form(`{"full_width":true,"bom":true,"lf":true}`)
	file, _ = w.bill("/v3/bill/fundflowbill?bill_date=2026-11-23")
	golden(t, "fund_flow_odd.csv", file)
	if !bytes.HasPrefix(file, []byte("\xef\xbb\xbf")) || bytes.Contains(file, []byte("\r")) {
		t.Errorf("no byte-order mark, or a carriage return: %q", file)
	}
}

func TestRefundsThatEndAfterTheBill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.paid("ORDER001", 10000)
	answer := httptest.NewRecorder()
	w.sim.Control().ServeHTTP(answer, httptest.NewRequest("POST", "/refunds/script",
		strings.NewReader(`{"out_refund_no":"R1","status":"CLOSED","times":1,"after_bill":true}`)))
	w.call("POST", refunds, refundBody("ORDER001", "R1", 100, 10000, nil))
	for _, want := range []string{refundProcessing, refundClosed} {
		w.clock.Advance(24*time.Hour + 30*time.Minute) // half past ten, eleven
		if got := w.sim.Truth().Orders[0].Refunds[0].Status; got != want {
			t.Errorf("status = %s, want %s", got, want)
		}
	}
	for day, want := range map[string]string{"23": "`PROCESSING,", "24": "退款关闭返还"} {
		uri := map[string]string{"23": "/v3/bill/tradebill", "24": "/v3/bill/fundflowbill"}[day]
		if file, code := w.bill(uri + "?bill_date=2026-11-" + day); code != "" || !strings.Contains(string(file), want) {
			t.Errorf("the %s: %s %s", day, code, file)
		}
	}
}
