package wechatpaysim

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/sandbox"
)

func TestOnePasswordPaysBothParts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change map[string]any
		states string
		cash   string // trade_state
		asked  int
	}{
		{"both", nil, "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_SUCCESS", "SUCCESS", 1},
		{"insurance only", insured(), "MIX_PAY_SUCCESS NO_SELF_PAY MED_INS_PAY_SUCCESS", "ORDER_NOT_EXIST", 1},
		{"cash only", cash(), "MIX_PAY_SUCCESS SELF_PAY_SUCCESS NO_MED_INS_PAY", "SUCCESS", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, c := mixedWorld(t)
			mix, id := w.mixedOrder("ORDER001", tt.change)
			if err := w.sim.PayMixed(t.Context(), both(mix, id)); err != nil {
				t.Fatal(err)
			}
			got := w.mixed("ORDER001")
			if got.states() != tt.states || got.PaidTime != "2026-11-23T10:00:00+08:00" || w.state("ORDER001") != tt.cash {
				t.Errorf("order = %+v, cash %s", got, w.state("ORDER001"))
			}
			if len(c.asked) != tt.asked {
				t.Errorf("the centre was asked %v", c.asked)
			}
			if tt.name == "both" && c.asked[0] != testOrd+" "+testAuth+" "+testSerialNo+" "+testInst+" 9000 1000 0 8000" {
				t.Errorf("the centre was asked %v", c.asked)
			}
			if err := w.sim.PayMixed(t.Context(), both(mix, id)); !errors.Is(err, ErrOrderPaid) {
				t.Errorf("again: %v", err)
			}
			if truth := w.audit(); len(truth.Mixed) != 1 || (truth.PaidFen == 10000) != (tt.cash == "SUCCESS") {
				t.Errorf("truth = %+v", truth)
			}
		})
	}
}

func TestMixedCashierChecksWhatThePageGives(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change map[string]any
		spoil  func(p *PhoneMixed)
		want   error
	}{
		{"right", nil, func(*PhoneMixed) {}, nil},
		{"unknown number", nil, func(p *PhoneMixed) { p.MixTradeNo = "1" }, ErrMixTradeNo},
		{"no number", nil, func(p *PhoneMixed) { p.MixTradeNo = "" }, ErrMixTradeNo},
		{"another appid", nil, func(p *PhoneMixed) { p.AppID = "wxother" }, ErrMixTradeNo},
		{"another person", nil, func(p *PhoneMixed) { p.OpenID = "oOther" }, ErrOtherPayer},
		{"bare prepay_id", nil, func(p *PhoneMixed) { p.Package = strings.TrimPrefix(p.Package, "prepay_id=") }, ErrPaySign},
		{"no cash arguments", nil, func(p *PhoneMixed) { *p = both(p.MixTradeNo, "") }, ErrPaySign},
		{"MD5", nil, func(p *PhoneMixed) { p.SignType = "MD5" }, ErrPaySign},
		{"signature spoilt", nil, func(p *PhoneMixed) { p.NonceStr = "x" }, ErrPaySign},
		{"another order's prepay_id", nil, func(p *PhoneMixed) { *p = both(p.MixTradeNo, "wx1") }, ErrPrepayID},
		{"insurance only", insured(), func(*PhoneMixed) {}, nil},
		{"insurance only, another person", insured(), func(p *PhoneMixed) { p.OpenID = "oOther" }, ErrOtherPayer},
		{"insurance only, signType", insured(), func(p *PhoneMixed) { p.SignType = "RSA" }, ErrMixedParam},
		{"insurance only, timeStamp", insured(), func(p *PhoneMixed) { p.TimeStamp = "1795399200" }, ErrMixedParam},
		{"insurance only, nonceStr", insured(), func(p *PhoneMixed) { p.NonceStr = "n" }, ErrMixedParam},
		{"insurance only, package", insured(), func(p *PhoneMixed) { p.Package = "prepay_id=" }, ErrMixedParam},
		{"insurance only, paySign", insured(), func(p *PhoneMixed) { p.PaySign = "s" }, ErrMixedParam},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, c := mixedWorld(t)
			p := both(w.mixedOrder("ORDER001", tt.change))
			tt.spoil(&p)
			if err := w.sim.PayMixed(t.Context(), p); !errors.Is(err, tt.want) {
				t.Fatalf("PayMixed() = %v, want %v", err, tt.want)
			}
			want := map[bool]string{true: "MIX_PAY_SUCCESS", false: "MIX_PAY_CREATED"}[tt.want == nil]
			if got := w.mixed("ORDER001").Mix; got != want || (len(c.asked) == 1) != (tt.want == nil) {
				t.Errorf("state = %s, want %s; asked %v", got, want, c.asked)
			}
		})
	}
	w, _ := mixedWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.sim.PayMixed(ctx, PhoneMixed{}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	late := both(w.mixedOrder("ORDER001", insured()))
	w.clock.Advance(2 * time.Hour)
	if err := w.sim.PayMixed(t.Context(), late); !errors.Is(err, ErrExpired) {
		t.Errorf("insurance only after two hours: %v", err)
	}
	expiring := map[string]any{"time_expire": w.clock.Now().Add(5 * time.Minute).Format(time.RFC3339)}
	id, _ := w.prepay(orderBody("ORDER002", 10000, expiring))
	var e entity
	w.call("POST", mixedOrders, mixedBody("ORDER002", id, map[string]any{"serial_no": "2"})).into(t, &e)
	w.clock.Advance(5 * time.Minute)
	if err := w.sim.PayMixed(t.Context(), both(e.MixTradeNo, id)); !errors.Is(err, ErrExpired) {
		t.Errorf("after time_expire: %v", err)
	}
}

func TestCashOfAMixedOrderIsNotPaidAlone(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t)
	_, id := w.mixedOrder("ORDER001", nil)
	if err := w.sim.Pay(t.Context(), phone(id)); !errors.Is(err, ErrPrepayID) {
		t.Errorf("Pay() = %v", err)
	}
	if got := w.state("ORDER001"); got != "NOTPAY" {
		t.Errorf("state = %s", got)
	}
}

func TestBankRefusesAMixedOrder(t *testing.T) {
	t.Parallel()
	w, c := mixedWorld(t)
	mix, id := w.mixedOrder("ORDER001", nil)
	_ = w.sim.RefuseBank("", 1)
	if err := w.sim.PayMixed(t.Context(), both(mix, id)); !errors.Is(err, ErrBank) || len(c.asked) != 0 {
		t.Errorf("PayMixed() = %v, asked %v", err, c.asked)
	}
	w.expect("ORDER001", "MIX_PAY_CREATED SELF_PAY_CREATED MED_INS_PAY_CREATED")
	if err := w.sim.PayMixed(t.Context(), both(mix, id)); err != nil {
		t.Errorf("again: %v", err)
	}
	_ = w.sim.RefuseBank("", 1)
	if _, err := w.payMixed("ORDER002", with(insured(), map[string]any{"serial_no": "2"})); err != nil {
		t.Errorf("without cash no bank is asked: %v", err)
	}
}

func TestInsurerRefusesAtTheCashier(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mode    CashMode
		states  string
		cash    string
		paid    int64
		back    int64
		notices int
	}{
		{"", "MIX_PAY_FAIL SELF_PAY_SUCCESS MED_INS_PAY_FAIL", "SUCCESS", 10000, 0, 1},
		{CashKept, "MIX_PAY_FAIL SELF_PAY_SUCCESS MED_INS_PAY_FAIL", "SUCCESS", 10000, 0, 1},
		{CashReturned, "MIX_PAY_FAIL SELF_PAY_REFUND MED_INS_PAY_FAIL", "REFUND", 10000, 10000, 1},
		{CashUncharged, "MIX_PAY_FAIL SELF_PAY_FAIL MED_INS_PAY_FAIL", "NOTPAY", 0, 0, 0},
	}
	for _, tt := range tests {
		for _, how := range []string{"configured", "set", "with its configuration against it"} {
			t.Run(string(tt.mode)+" "+how, func(t *testing.T) {
				t.Parallel()
				w, c := mixedWorld(t, func(cfg *Config) {
					cfg.MedIns = &MedIns{MedInstNo: testInst, CityID: testCity}
					if how == "configured" {
						cfg.MedIns.Cash = tt.mode
					}
				})
				if how != "configured" {
					if err := w.sim.SetMixedCash(tt.mode); err != nil {
						t.Fatal(err)
					}
				}
				c.reason = "预结算金额不一致"
				mix, err := w.payMixed("ORDER001", nil)
				if !errors.Is(err, ErrInsurer) {
					t.Fatalf("PayMixed() = %v", err)
				}
				got := w.mixed("ORDER001")
				if got.states() != tt.states || got.FailReason != "预结算金额不一致" || got.PaidTime != "" || w.state("ORDER001") != tt.cash {
					t.Errorf("order = %+v, cash %s", got, w.state("ORDER001"))
				}
				truth := w.audit()
				if int64(truth.PaidFen) != tt.paid || int64(truth.RefundedFen) != tt.back || len(truth.Notices) != tt.notices {
					t.Errorf("truth = %+v", truth)
				}
				for w.sim.Step(t.Context()) {
				}
				for _, n := range w.received() {
					if e, _ := w.unseal(n); e.EventType != "TRANSACTION.SUCCESS" {
						t.Errorf("a failure was notified: %+v", e)
					}
				}
				p := both(mix, w.sim.books.mixed["ORDER001"].Request.PrepayID)
				if err := w.sim.PayMixed(t.Context(), p); !errors.Is(err, ErrMixedFailed) {
					t.Errorf("again: %v", err)
				}
			})
		}
	}
}

func TestKeptCashIsRefundedByTheMerchant(t *testing.T) {
	t.Parallel()
	w, c := mixedWorld(t)
	c.reason = "拒付"
	_, _ = w.payMixed("ORDER001", nil)
	if a := w.call("POST", refunds, refundBody("ORDER001", "R1", 10000, 10000, nil)); a.status != 200 {
		t.Fatalf("refund: %d %s", a.status, a.body)
	}
	w.clock.Advance(time.Hour)
	w.expect("ORDER001", "MIX_PAY_FAIL SELF_PAY_REFUND MED_INS_PAY_FAIL")
	_ = w.sim.SetMixedCash(CashReturned)
	_, _ = w.payMixed("ORDER002", map[string]any{"serial_no": "2"})
	if a := w.call("POST", refunds, refundBody("ORDER002", "R2", 10000, 10000, nil)); a.code != "INVALID_REQUEST" {
		t.Errorf("refund of what WeChat returned: %d %s", a.status, a.code)
	}
	_ = w.sim.SetMixedCash(CashUncharged)
	_, _ = w.payMixed("ORDER003", map[string]any{"serial_no": "3"})
	if a := w.close("ORDER003"); a.status != 204 {
		t.Errorf("close of what was never charged: %d %s", a.status, a.body)
	}
	w.audit()
}

func TestTypedPasswordHoldsTheOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		script Typed
		states string
		end    func(w *world) // what ends it
	}{
		{"by attempts, to success", Typed{Closes: 2}, "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_SUCCESS", func(w *world) { w.close("ORDER001") }},
		{"by time, to success", Typed{OutTradeNo: "ORDER001", Seconds: 30}, "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_SUCCESS",
			func(w *world) { w.clock.Advance(30 * time.Second) }},
		{"whichever comes first", Typed{Closes: 9, Seconds: 30}, "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_SUCCESS",
			func(w *world) { w.clock.Advance(30 * time.Second) }},
		{"to failure", Typed{Seconds: 30, Refused: "医保系统超时"}, "MIX_PAY_FAIL SELF_PAY_SUCCESS MED_INS_PAY_FAIL",
			func(w *world) { w.clock.Advance(30 * time.Second) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, c := mixedWorld(t, func(cfg *Config) { cfg.Journal = filepath.Join(t.TempDir(), "journal") })
			if err := w.sim.ScriptTyped(tt.script); err != nil {
				t.Fatal(err)
			}
			w.open()
			mix, id := w.mixedOrder("ORDER001", nil)
			if err := w.sim.PayMixed(t.Context(), both(mix, id)); err != nil {
				t.Fatal(err)
			}
			w.open() // a kill in between loses nothing
			if err := w.sim.PayMixed(t.Context(), both(mix, id)); !errors.Is(err, ErrMixedTyped) {
				t.Errorf("a second password: %v", err)
			}
			if a := w.close("ORDER001"); a.status != 400 || a.code != "INVALID_REQUEST" || a.number != "268560650" {
				t.Errorf("close: %d %s %s", a.status, a.code, a.number)
			}
			if w.sim.Step(t.Context()) || len(c.asked) != 0 {
				t.Error("ended too early")
			}
			w.expect("ORDER001", "MIX_PAY_CREATED SELF_PAY_CREATED MED_INS_PAY_CREATED")
			if got := w.state("ORDER001"); got != "NOTPAY" {
				t.Errorf("cash = %s", got)
			}
			tt.end(w)
			if a := w.close("ORDER001"); a.number != "268560650" {
				t.Errorf("close before the outcome: %d %s", a.status, a.number)
			}
			if !w.sim.Step(t.Context()) {
				t.Error("does not end by itself")
			}
			w.expect("ORDER001", tt.states)
			if a := w.close("ORDER001"); a.code != "ORDERPAID" {
				t.Errorf("close after the outcome: %d %s", a.status, a.code)
			}
			w.audit()
		})
	}
	w, _ := mixedWorld(t, func(c *Config) { c.Notify = nil })
	_ = w.sim.ScriptTyped(Typed{Seconds: 1})
	_, _ = w.payMixed("ORDER001", insured())
	w.clock.Advance(24 * time.Hour)
	w.expect("ORDER001", "MIX_PAY_CREATED NO_SELF_PAY MED_INS_PAY_CREATED") // what is typed is not abandoned
	if !w.sim.Step(t.Context()) {
		t.Error("without anybody to notify it does not end")
	}
	w.expect("ORDER001", "MIX_PAY_SUCCESS NO_SELF_PAY MED_INS_PAY_SUCCESS")
}

// TestNothingHappensWhileTheCentreSettles: between the password and the answer nobody can pay, close or finish the order, and the books
// can be read.
func TestNothingHappensWhileTheCentreSettles(t *testing.T) {
	t.Parallel()
	w, c := mixedWorld(t)
	mix, id := w.mixedOrder("ORDER001", nil)
	c.during = func() {
		if a := w.close("ORDER001"); a.number != "268560650" {
			t.Errorf("close: %d %s", a.status, a.number)
		}
		if err := w.sim.PayMixed(t.Context(), both(mix, id)); !errors.Is(err, ErrMixedTyped) {
			t.Errorf("pay: %v", err)
		}
		if w.sim.Step(t.Context()) {
			t.Error("finished twice")
		}
		w.expect("ORDER001", "MIX_PAY_CREATED SELF_PAY_CREATED MED_INS_PAY_CREATED")
	}
	if err := w.sim.PayMixed(t.Context(), both(mix, id)); err != nil || len(c.asked) != 1 {
		t.Errorf("PayMixed() = %v, asked %v", err, c.asked)
	}
	if truth := w.audit(); truth.PaidFen != 10000 {
		t.Errorf("paid %v", truth.PaidFen)
	}
}

// TestKillBetweenPasswordAndOutcome: the password is in the journal before the centre is asked, and Step ends what a kill cut.
func TestKillBetweenPasswordAndOutcome(t *testing.T) {
	t.Parallel()
	w, c := mixedWorld(t, func(cfg *Config) { cfg.Journal = filepath.Join(t.TempDir(), "journal") })
	mix, id := w.mixedOrder("ORDER001", nil)
	c.during = func() { _ = w.sim.Close() } // the disk takes no outcome any more
	if err := w.sim.PayMixed(t.Context(), both(mix, id)); err == nil {
		t.Fatal("answered without a journal")
	}
	c.during = nil
	w.open()
	if a := w.close("ORDER001"); a.number != "268560650" {
		t.Errorf("close: %d %s", a.status, a.number)
	}
	if !w.sim.Step(t.Context()) {
		t.Fatal("nobody ends it")
	}
	w.expect("ORDER001", "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_SUCCESS")
	if len(c.asked) != 2 || c.asked[0] != c.asked[1] {
		t.Errorf("asked %v", c.asked)
	}
	before := w.audit()
	w.open()
	if diff := cmp.Diff(before, w.audit()); diff != "" {
		t.Errorf("after a replay (-before +after):\n%s", diff)
	}
}

func TestMixedJournalFailsClosed(t *testing.T) {
	t.Parallel()
	w, c := mixedWorld(t, func(cfg *Config) { cfg.Journal = filepath.Join(t.TempDir(), "journal") })
	mix, id := w.mixedOrder("ORDER001", nil)
	next, _ := w.prepay(orderBody("ORDER002", 10000, nil))
	done, err := w.payMixed("ORDER003", map[string]any{"serial_no": "3"})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.sim.ScriptMixed(MixedStates{Mix: "MIX_PAY_FAIL", Times: 1})
	_ = w.sim.Close()
	if a := w.call("POST", mixedOrders, mixedBody("ORDER002", next, map[string]any{"serial_no": "2"})); a.status != 500 {
		t.Errorf("create: %d", a.status)
	}
	if a := w.call("POST", mixedRefunds+done, backBody(nil)); a.status != 500 {
		t.Errorf("refund notice: %d", a.status)
	}
	if a := w.call("GET", mixedOrders+"/out-trade-no/ORDER001", ""); a.status != 500 {
		t.Errorf("scripted query: %d", a.status)
	}
	if err := w.sim.PayMixed(t.Context(), both(mix, id)); err == nil || len(c.asked) != 1 {
		t.Errorf("pay: %v, asked %v", err, c.asked)
	}
	w.open()
	if truth := w.audit(); len(truth.Mixed) != 2 || truth.PaidFen != 10000 {
		t.Errorf("truth = %+v", truth)
	}
}

func TestPlanRefusesAtTheCashier(t *testing.T) {
	t.Parallel()
	w, c := mixedWorld(t)
	w.plan.Script(sandbox.Script{Op: "cashier", Key: "ORDER001", Fault: sandbox.Refuse})
	if _, err := w.payMixed("ORDER001", nil); !errors.Is(err, ErrInsurer) || len(c.asked) != 0 {
		t.Errorf("PayMixed() = %v, asked %v", err, c.asked)
	}
	if got := w.plan.Injected(); len(got) != 1 || got[0].Op != "cashier" || got[0].Key != "ORDER001" || got[0].Fault != sandbox.Refuse {
		t.Errorf("injected %+v", got)
	}
	w.plan.Script(sandbox.Script{Op: "cashier", Key: "ORDER002", Fault: sandbox.LoseAfter}) // no message of ours: it disturbs nothing
	if _, err := w.payMixed("ORDER002", map[string]any{"serial_no": "2"}); err != nil {
		t.Error(err)
	}
	none, _ := mixedWorld(t, func(cfg *Config) { cfg.Plan = nil })
	if _, err := none.payMixed("ORDER001", nil); err != nil {
		t.Error(err)
	}
}

// TestLevelsAtTheCashier: harsh refuses a few of a thousand, each recorded, the cash in every one of the three ways; mild refuses none.
func TestLevelsAtTheCashier(t *testing.T) {
	t.Parallel()
	for level, share := range map[sandbox.Level]int{sandbox.Mild: 0, sandbox.Harsh: cashierRefusals} {
		w, _ := mixedWorld(t)
		if err := w.plan.SetLevel(level, 11); err != nil {
			t.Fatal(err)
		}
		const orders = 10_000
		refused, modes := 0, map[CashMode]int{}
		for i := range orders {
			if no, mode := w.sim.refusedByPlan(fmt.Sprintf("ORDER%05d", i)); no {
				refused++
				modes[mode]++
			}
		}
		want := orders * share / 1000
		if refused < want/2 || refused > want*3/2 {
			t.Errorf("%s: %d of %d refused, want about %d", level, refused, orders, want)
		}
		if level == sandbox.Harsh && len(modes) != 3 {
			t.Errorf("cash = %v", modes)
		}
		met := w.plan.Injected()
		if len(met) != refused {
			t.Errorf("%s: %d injections, %d refusals", level, len(met), refused)
		}
		for _, in := range met {
			if in.Op != "cashier" || in.Fault != sandbox.Refuse {
				t.Errorf("%s: %+v", level, in)
			}
		}
	}
}
