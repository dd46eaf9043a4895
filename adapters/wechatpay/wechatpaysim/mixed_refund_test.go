package wechatpaysim

import (
	"testing"
	"time"
)

// backBody is a right 医保退款通知 of the whole of mixedBody's insurance.
func backBody(change map[string]any) string {
	return changed(map[string]any{"med_refund_total_fee": 10000, "med_refund_gov_fee": 9000, "med_refund_self_fee": 1000,
		"med_refund_other_fee": 0, "refund_time": "2026-11-23T10:05:00+08:00", "out_refund_no": "R1"}, change)
}

func TestRefundNoticeChecks(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t)
	mix, err := w.payMixed("ORDER001", nil)
	if err != nil {
		t.Fatal(err)
	}
	unpaid, _ := w.mixedOrder("ORDER002", map[string]any{"serial_no": "2"})
	only, err := w.payMixed("ORDER003", with(cash(), map[string]any{"serial_no": "3"}))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		mix    string
		change map[string]any
		status int
		code   string
	}{
		{"no number", "", nil, 400, "PARAM_ERROR"},
		{"unknown number", "1318", nil, 404, "ORDER_NOT_EXIST"},
		{"a zero left out", mix, map[string]any{"med_refund_other_fee": nil}, 400, "PARAM_ERROR"},
		{"total left out", mix, map[string]any{"med_refund_total_fee": nil}, 400, "PARAM_ERROR"},
		{"negative", mix, map[string]any{"med_refund_gov_fee": -1}, 400, "PARAM_ERROR"},
		{"beyond reason", mix, map[string]any{"med_refund_gov_fee": int64(1) << 62}, 400, "PARAM_ERROR"},
		{"time in UTC", mix, map[string]any{"refund_time": "2026-11-23T02:05:00Z"}, 400, "PARAM_ERROR"},
		{"no time", mix, map[string]any{"refund_time": nil}, 400, "PARAM_ERROR"},
		{"no refund number", mix, map[string]any{"out_refund_no": nil}, 400, "PARAM_ERROR"},
		{"service provider's field", mix, map[string]any{"sub_mchid": "1"}, 400, "PARAM_ERROR"},
		{"sum wrong", mix, map[string]any{"med_refund_total_fee": 10001}, 403, "RULE_LIMIT"},
		{"the official page's own example", mix, map[string]any{"med_refund_total_fee": 45000, "med_refund_gov_fee": 45000,
			"med_refund_self_fee": 45000, "med_refund_other_fee": 45000}, 403, "RULE_LIMIT"},
		{"more than settled", mix, map[string]any{"med_refund_total_fee": 10001, "med_refund_gov_fee": 9001}, 403, "RULE_LIMIT"},
		{"shifted between the parts", mix, map[string]any{"med_refund_gov_fee": 8000, "med_refund_self_fee": 2000}, 403, "RULE_LIMIT"},
		{"cash only", only, nil, 403, "RULE_LIMIT"},
		{"never settled", unpaid, nil, 403, "RULE_LIMIT"},
	}
	for _, tt := range tests {
		if a := w.call("POST", mixedRefunds+tt.mix, backBody(tt.change)); a.status != tt.status || a.code != tt.code {
			t.Errorf("%s: %d %s %s, want %d %s", tt.name, a.status, a.code, a.body, tt.status, tt.code)
		}
	}
	if got := w.mixed("ORDER001").states(); got != "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_SUCCESS" {
		t.Errorf("states = %s", got)
	}
}

// TestRefundsMeet goes through the two refunds in either order.
func TestRefundsMeet(t *testing.T) {
	t.Parallel()
	insurer := func(w *world, mix string, change map[string]any) {
		w.t.Helper()
		if a := w.call("POST", mixedRefunds+mix, backBody(change)); a.status != 204 || len(a.body) != 0 {
			w.t.Errorf("notice: %d %s", a.status, a.body)
		}
	}
	w, _ := mixedWorld(t)
	mix, _ := w.payMixed("ORDER001", nil)
	w.expect("ORDER001", "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_SUCCESS")
	insurer(w, mix, map[string]any{"med_refund_total_fee": 1, "med_refund_gov_fee": 1, "med_refund_self_fee": 0})
	w.expect("ORDER001", "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_SUCCESS") // a part is not the whole
	insurer(w, mix, nil)
	insurer(w, mix, nil)
	w.expect("ORDER001", "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_REFUND")
	w.call("POST", refunds, refundBody("ORDER001", "R1", 4000, 10000, nil))
	w.clock.Advance(time.Hour)
	w.expect("ORDER001", "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_REFUND")
	w.call("POST", refunds, refundBody("ORDER001", "R2", 6000, 10000, nil))
	w.expect("ORDER001", "MIX_PAY_SUCCESS SELF_PAY_SUCCESS MED_INS_PAY_REFUND") // accepted is not done
	w.clock.Advance(time.Hour)
	w.expect("ORDER001", "MIX_PAY_REFUND SELF_PAY_REFUND MED_INS_PAY_REFUND")
	late := map[string]any{"med_refund_total_fee": 1000, "med_refund_gov_fee": 0, "out_refund_no": "R3"}
	if a := w.call("POST", mixedRefunds+mix, backBody(late)); a.status != 403 {
		t.Errorf("a notice under another number than the cash refund's: %d %s", a.status, a.body)
	}
	late["out_refund_no"] = "R2"
	insurer(w, mix, late) // the newest wins
	w.expect("ORDER001", "MIX_PAY_SUCCESS SELF_PAY_REFUND MED_INS_PAY_SUCCESS")

	w.mixedOrder("ORDER004", map[string]any{"serial_no": "4"}) // a serial of its own lives beside it
	only, _ := w.payMixed("ORDER002", with(insured(), map[string]any{"serial_no": "2"}))
	insurer(w, only, map[string]any{"out_refund_no": "F2"})
	w.expect("ORDER002", "MIX_PAY_REFUND NO_SELF_PAY MED_INS_PAY_REFUND")
	_, _ = w.payMixed("ORDER003", with(cash(), map[string]any{"serial_no": "3"}))
	w.call("POST", refunds, refundBody("ORDER003", "R3", 10000, 10000, nil))
	w.clock.Advance(time.Hour)
	w.expect("ORDER003", "MIX_PAY_REFUND SELF_PAY_REFUND NO_MED_INS_PAY")
	w.audit()
}

func (w *world) expect(number, states string) {
	w.t.Helper()
	if got := w.mixed(number).states(); got != states {
		w.t.Errorf("%s = %s, want %s", number, got, states)
	}
}
