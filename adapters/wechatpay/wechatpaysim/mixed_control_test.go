package wechatpaysim

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
)

func clockPace(n int64) clock.Pace { return clock.Pace(n) }

func TestMixedScriptsForceStates(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t, func(c *Config) { c.Journal = filepath.Join(t.TempDir(), "journal") })
	w.mixedOrder("ORDER001", nil)
	w.mixedOrder("ORDER002", map[string]any{"serial_no": "2"})
	for _, s := range []MixedStates{
		{OutTradeNo: "ORDER001", Mix: "MIX_PAY_FAIL", Self: "SELF_PAY_SUCCESS", MedIns: "MED_INS_PAY_FAIL", Times: 2},
		{OutTradeNo: "ORDER001", Mix: "MIX_PAY_SUCCESS", Self: "SELF_PAY_SUCCESS", MedIns: "MED_INS_PAY_SUCCESS", Times: 1},
		{Mix: "MIX_PAY_USER_PAYING", Times: 1},
	} {
		if err := w.sim.ScriptMixed(s); err != nil {
			t.Fatal(err)
		}
	}
	w.open()
	const open = "MIX_PAY_CREATED SELF_PAY_CREATED MED_INS_PAY_CREATED"
	for i, want := range []string{"MIX_PAY_FAIL SELF_PAY_SUCCESS MED_INS_PAY_FAIL", "MIX_PAY_FAIL SELF_PAY_SUCCESS MED_INS_PAY_FAIL",
		"MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_SUCCESS", "MIX_PAY_USER_PAYING SELF_PAY_CREATED MED_INS_PAY_CREATED", open} {
		got := w.mixed("ORDER001")
		if got.states() != want {
			t.Errorf("query %d = %s, want %s", i+1, got.states(), want)
		}
		if (got.PaidTime != "") != (got.Mix == "MIX_PAY_SUCCESS") || (got.FailReason != "") != (got.MedIns == "MED_INS_PAY_FAIL") {
			t.Errorf("query %d = %+v", i+1, got)
		}
	}
	w.expect("ORDER002", open)
	if truth := w.sim.Truth(); truth.Mixed[0].Mix != "MIX_PAY_CREATED" {
		t.Errorf("truth = %+v", truth.Mixed)
	}
	for _, s := range []MixedStates{{Mix: "MIX_PAY_FAIL"}, {Times: 1}} {
		if err := w.sim.ScriptMixed(s); err == nil {
			t.Errorf("%+v: accepted", s)
		}
	}
	for _, s := range []Typed{{}, {Closes: -1, Seconds: 2}, {Seconds: -1}} {
		if err := w.sim.ScriptTyped(s); err == nil {
			t.Errorf("%+v: accepted", s)
		}
	}
}

func TestMixedControl(t *testing.T) {
	t.Parallel()
	w, c := mixedWorld(t)
	mix, id := w.mixedOrder("ORDER001", nil)
	p, err := json.Marshal(both(mix, id))
	if err != nil {
		t.Fatal(err)
	}
	c.reason = "拒付"
	for _, tt := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/pay-mixed", strings.Replace(string(p), testOpenID, "oOther", 1), 400, ErrOtherPayer.Error()},
		{"/pay-mixed", `{"unknown":1}`, 400, "error"},
		{"/mixed/cash", `{"mode":"lost"}`, 400, "error"},
		{"/mixed/cash", `{"mode":"returned"}`, 200, `{"ok":true}`},
		{"/mixed/script", `{"out_trade_no":"ORDER009","mix":"MIX_PAY_FAIL","times":1}`, 200, `{"ok":true}`},
		{"/mixed/script", `{}`, 400, "error"},
		{"/mixed/typed", `{"out_trade_no":"ORDER009","closes":1,"seconds":9,"refused":"x"}`, 200, `{"ok":true}`},
		{"/mixed/typed", `{}`, 400, "error"},
		{"/pay-mixed", string(p), 400, "拒付"},
	} {
		if status, body := w.control("POST", tt.path, tt.body); status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s = %d %s, want %d %s", tt.path, tt.body, status, body, tt.status, tt.want)
		}
	}
	_, truth := w.control("GET", "/truth", "")
	want := `"mixed":[{"out_trade_no":"ORDER001","mix_trade_no":"` + mix + `","serial_no":"` + testSerialNo + `","pay_order_id":"` + testOrd +
		`","order_type":"DIAG_PAY","mix":"MIX_PAY_FAIL","self":"SELF_PAY_REFUND","med_ins":"MED_INS_PAY_FAIL","total_fen":20000,"insured_fen":10000,"cash_fen":10000,"notified":false}]`
	if !strings.Contains(truth, want) {
		t.Errorf("truth = %s, want %s", truth, want)
	}
}

func TestMixedCallNames(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t)
	mix, _ := w.mixedOrder("ORDER001", nil)
	for _, tt := range []struct {
		uri, body string
		want      sandbox.Call
	}{
		{mixedOrders, `{"out_trade_no":"ORDER001"}`, sandbox.Call{Op: "mixed", Key: "ORDER001", Refusable: true}},
		{mixedOrders + "/out-trade-no/ORDER001", "", sandbox.Call{Op: "mixed_query", Key: "ORDER001", Priced: true}},
		{mixedOrders + "/mix-trade-no/" + mix, "", sandbox.Call{Op: "mixed_query", Key: "ORDER001", Priced: true}},
		{mixedRefunds + mix, backBody(nil), sandbox.Call{Op: "mixed_refund", Key: "ORDER001"}},
	} {
		if got := w.sim.call(httptest.NewRequest("GET", tt.uri, nil), []byte(tt.body)); got != tt.want {
			t.Errorf("call(%s) = %+v, want %+v", tt.uri, got, tt.want)
		}
	}
}

// TestParallelMixed lets phones, merchants and notices meet at the same orders; each is settled and charged at most once.
func TestParallelMixed(t *testing.T) {
	t.Parallel()
	w, c := mixedWorld(t)
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			number := fmt.Sprintf("ORDER%03d", i/2)
			id, _ := w.prepay(orderBody(number, 10000, nil))
			w.call("POST", mixedOrders, mixedBody(number, id, map[string]any{"serial_no": number, "payer": payerOf()}))
			for _, m := range w.sim.Truth().Mixed {
				if m.OutTradeNo == number {
					_ = w.sim.PayMixed(t.Context(), both(m.MixTradeNo, id))
				}
			}
			w.close(number)
			w.sim.Step(t.Context())
		}()
	}
	for range 8 {
		<-done
	}
	truth := w.audit()
	paid := 0
	for _, m := range truth.Mixed {
		if m.Mix == "MIX_PAY_SUCCESS" {
			paid++
		}
	}
	if len(truth.Mixed) != 4 || len(c.asked) != paid || int(truth.PaidFen) != paid*10000 {
		t.Errorf("%d asked, %d paid, truth = %+v", len(c.asked), paid, truth)
	}
}

// TestMixedBooksAlwaysAddUp plays a few orders of two serials at random, kills included: the three states agree with the cash order, a
// replay changes nothing, and no serial is settled twice.
func TestMixedBooksAlwaysAddUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	games := 0
	rapid.Check(t, func(r *rapid.T) {
		games++
		w, c := mixedWorld(t, func(cfg *Config) { cfg.Journal = filepath.Join(dir, fmt.Sprintf("m%d", games)) })
		for move := range rapid.IntRange(1, 20).Draw(r, "moves") {
			n := rapid.IntRange(0, 3).Draw(r, "order")
			number := fmt.Sprintf("ORDER%03d", n)
			switch rapid.IntRange(0, 8).Draw(r, "kind") {
			case 0, 1:
				id, _ := w.prepay(orderBody(number, 10000, nil))
				w.call("POST", mixedOrders, mixedBody(number, id, with(rapid.SampledFrom([]map[string]any{nil, nil, cash()}).Draw(r, "type"),
					map[string]any{"serial_no": fmt.Sprint("serial", n%2)})))
			case 2, 3:
				if m := w.sim.books.mixed[number]; m != nil {
					_ = w.sim.PayMixed(t.Context(), both(m.MixTradeNo, m.Request.PrepayID))
				}
			case 4:
				c.reason = rapid.SampledFrom([]string{"", "", "拒付"}).Draw(r, "reason")
				_ = w.sim.SetMixedCash(rapid.SampledFrom([]CashMode{"", CashReturned, CashUncharged}).Draw(r, "cash"))
				_ = w.sim.ScriptTyped(Typed{OutTradeNo: number, Closes: rapid.IntRange(0, 2).Draw(r, "closes"), Seconds: 30})
			case 5:
				w.close(number)
			case 6:
				w.clock.Advance(time.Duration(rapid.IntRange(1, 7200).Draw(r, "seconds")) * time.Second)
				for w.sim.Step(t.Context()) {
				}
			case 7:
				w.call("POST", refunds, refundBody(number, "R"+number, 10000, 10000, nil))
				if m := w.sim.books.mixed[number]; m != nil {
					w.call("POST", mixedRefunds+m.MixTradeNo, backBody(nil))
				}
			case 8:
				before := w.sim.Truth()
				_ = w.sim.Close()
				w.open()
				if diff := cmp.Diff(before, w.sim.Truth()); diff != "" {
					r.Fatalf("move %d: after a kill (-before +after):\n%s", move, diff)
				}
			}
			w.auditMixed()
			if w.t.Failed() {
				r.Fatal("audit")
			}
		}
	})
}

// auditMixed checks every mixed order against its cash order and its serial.
func (w *world) auditMixed() {
	w.t.Helper()
	truth := w.audit()
	cash := map[string]OrderTruth{}
	for _, o := range truth.Orders {
		cash[o.OutTradeNo] = o
	}
	settled := map[string]int{}
	for _, m := range truth.Mixed {
		o := cash[m.OutTradeNo]
		if m.Mix == mixSuccess || m.Mix == mixRefund {
			settled[m.SerialNo]++
			if o.PaidFen != m.CashFen {
				w.t.Errorf("%+v: cash = %+v", m, o)
			}
		}
		want := map[bool]string{true: selfSuccess, false: map[string]string{mixCreated: selfCreated, mixFail: selfFail}[m.Mix]}[o.PaidFen > 0]
		if o.RefundedFen == o.TotalFen {
			want = selfRefund
		}
		if m.Self != want || (m.Mix == mixCreated && o.PaidFen != 0) {
			w.t.Errorf("%+v: want %s, cash = %+v", m, want, o)
		}
	}
	for serial, n := range settled {
		if n > 1 {
			w.t.Errorf("%s was settled %d times", serial, n)
		}
	}
}
