package wechatpaysim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/sandbox"
)

func TestMixedOrderChecksFields(t *testing.T) {
	t.Parallel()
	detail := func(name string, fee any, kind string) map[string]any {
		return map[string]any{"cash_" + name + "_detail": []any{map[string]any{"cash_" + name + "_fee": fee, "cash_" + name + "_type": kind}}}
	}
	one := func(k string, v any) map[string]any { return map[string]any{k: v} }
	tests := []struct {
		name   string
		change map[string]any
		code   string // empty: accepted
		number string
	}{
		{"both parts", nil, "", "0"},
		{"insurance only", insured(), "", "0"},
		{"insurance only, cash named as zero", with(insured(), one("wechat_pay_cash_fee", 0)), "", "0"},
		{"insurance only, all zero", with(insured(), one("med_ins_gov_fee", 0), one("med_ins_self_fee", 0), one("total_fee", 0)), "", "0"},
		{"insurance only, share covered by a prepayment", with(insured(), one("med_ins_cash_fee", 3000), one("total_fee", 13000),
			detail("reduce", 3000, "PRE_PAYMENT")), "", "0"},
		{"cash only", cash(), "", "0"},
		{"cash only, insurance named as zero", with(cash(), one("med_ins_gov_fee", 0)), "", "0"},
		{"all own pay after presettlement", map[string]any{"med_ins_gov_fee": 0, "med_ins_self_fee": 0, "total_fee": 10000}, "", "0"},
		{"reduction", with(one("total_fee", 21000), one("med_ins_cash_fee", 9000), detail("reduce", 1000, "HOSPITAL_REDUCE")), "", "0"},
		{"test environment, extension", map[string]any{"med_ins_test_env": false, "extends": "{}", "pay_for_relatives": false}, "", "0"},

		{"no type", one("mix_pay_type", nil), "PARAM_ERROR", "268435461"},
		{"unknown type", one("mix_pay_type", "UNKNOWN_MIX_PAY_TYPE"), "PARAM_ERROR", "268435461"},
		{"unknown order type", one("order_type", "RegPay"), "PARAM_ERROR", "268435461"},
		{"service provider's field", one("sub_mchid", "1900000109"), "PARAM_ERROR", "268435461"},
		{"transaction_id", one("transaction_id", "4200"), "PARAM_ERROR", "268435461"},
		{"empty text", one("attach", ""), "PARAM_ERROR", "268435461"},
		{"empty list", one("cash_reduce_detail", []any{}), "PARAM_ERROR", "268435461"},
		{"empty object", one("relative", map[string]any{}), "PARAM_ERROR", "268435461"},
		{"no payer", one("payer", nil), "PARAM_ERROR", "268435461"},
		{"payer without a card type", one("payer", map[string]any{"name": encrypted("a"), "id_digest": encrypted("b")}), "PARAM_ERROR", "268435461"},
		{"payer in plain text", one("payer", map[string]any{"name": "张伟明", "id_digest": IDDigest("360102198506120314"),
			"card_type": "ID_CARD"}), "PARAM_ERROR", "268435461"},
		{"digest without MD5", one("payer", personOf("张伟明", "360102198506120314")), "PARAM_ERROR", "268435461"},
		{"digest in upper hex", one("payer", personOf("张伟明", strings.ToUpper(IDDigest("360102198506120314")))), "PARAM_ERROR", "268435461"},
		{"relative missing", one("pay_for_relatives", true), "PARAM_ERROR", "268435461"},
		{"relative without saying so", one("relative", payerOf()), "PARAM_ERROR", "268435461"},
		{"no number", one("out_trade_no", nil), "PARAM_ERROR", "268435461"},
		{"no serial", one("serial_no", nil), "PARAM_ERROR", "268435461"},
		{"serial of 21", one("serial_no", strings.Repeat("1", 21)), "PARAM_ERROR", "268435461"},
		{"authorisation of 41", one("pay_auth_no", strings.Repeat("1", 41)), "PARAM_ERROR", "268435461"},
		{"place without latitude", one("geo_location", "115.892151"), "PARAM_ERROR", "268435461"},
		{"no city", one("city_id", nil), "PARAM_ERROR", "268435461"},
		{"no institution's name", one("med_inst_name", nil), "PARAM_ERROR", "268435461"},
		{"time in UTC", one("med_ins_order_create_time", "2026-11-23T02:00:00Z"), "PARAM_ERROR", "268435461"},
		{"time in another zone", one("med_ins_order_create_time", "2026-11-23T11:00:00+09:00"), "PARAM_ERROR", "268435461"},
		{"time without zone", one("med_ins_order_create_time", "2026-11-23T10:00:00"), "PARAM_ERROR", "268435461"},
		{"http callback", one("callback_url", "http://pay.example.com/n"), "PARAM_ERROR", "268435461"},
		{"callback with a query", one("callback_url", "https://pay.example.com/n?a=1"), "PARAM_ERROR", "268435461"},
		{"no total", one("total_fee", nil), "PARAM_ERROR", "268435461"},
		{"amount as text", one("total_fee", "20000"), "PARAM_ERROR", "268435461"},
		{"a fraction of a fen", one("total_fee", 20000.5), "PARAM_ERROR", "268435461"},
		{"negative", one("med_ins_other_fee", -1), "PARAM_ERROR", "268435461"},
		{"beyond reason", one("total_fee", int64(1)<<60), "PARAM_ERROR", "268435461"},
		{"addition without amount", map[string]any{"cash_add_detail": []any{map[string]any{"cash_add_type": "FREIGHT"}}}, "PARAM_ERROR", "268435461"},
		{"unknown addition", detail("add", 2000, "UNKNOWN_ADD_TYPE"), "PARAM_ERROR", "268435461"},
		{"unknown reduction", detail("reduce", 2000, "GIFT"), "PARAM_ERROR", "268435461"},
		{"passthrough no JSON", one("passthrough_request_content", "payAuthNo"), "PARAM_ERROR", "268435461"},
		{"passthrough too long", one("passthrough_request_content", `{"a":"`+strings.Repeat("a", 2048)+`"}`), "PARAM_ERROR", "268435461"},
		{"another appid", one("appid", "wxother"), "PARAM_ERROR", "268435461"},
		{"unknown openid", one("openid", "oNobody"), "PARAM_ERROR", "268510603"},

		{"both parts without the insurer's order", one("pay_order_id", nil), "RULE_LIMIT", "268529475"},
		{"both parts without authorisation", one("pay_auth_no", nil), "RULE_LIMIT", "268529475"},
		{"both parts without place", one("geo_location", nil), "RULE_LIMIT", "268529475"},
		{"both parts without the insurer's time", one("med_ins_order_create_time", nil), "RULE_LIMIT", "268529475"},
		{"both parts, one amount left out", one("med_ins_other_fee", nil), "RULE_LIMIT", "268529475"},
		{"both parts without prepay_id", one("prepay_id", nil), "RULE_LIMIT", "268529475"},
		{"both parts without cash", map[string]any{"wechat_pay_cash_fee": 0, "med_ins_cash_fee": 0, "total_fee": 10000, "cash_add_detail": nil},
			"RULE_LIMIT", "268529475"},
		{"both parts without insurance", map[string]any{"med_ins_gov_fee": 0, "med_ins_self_fee": 0, "med_ins_cash_fee": 0, "total_fee": 10000,
			"cash_add_detail": cash()["cash_add_detail"]}, "RULE_LIMIT", "268529475"},
		{"insurance only with prepay_id", with(insured(), one("prepay_id", "wx1")), "RULE_LIMIT", "268529475"},
		{"insurance only with cash", with(insured(), one("wechat_pay_cash_fee", 1)), "RULE_LIMIT", "268529475"},
		{"cash only with the insurer's order", with(cash(), one("pay_order_id", testOrd)), "RULE_LIMIT", "268529474"},
		{"cash only with authorisation", with(cash(), one("pay_auth_no", testAuth)), "RULE_LIMIT", "268529474"},
		{"cash only with insurance", with(cash(), one("med_ins_gov_fee", 1)), "RULE_LIMIT", "268529474"},
		{"cash only without prepay_id", with(cash(), one("prepay_id", nil)), "RULE_LIMIT", "268529474"},

		{"total one fen short", one("total_fee", 19999), "RULE_LIMIT", "268529477"},
		{"pooled fund one fen more", one("med_ins_gov_fee", 9001), "RULE_LIMIT", "268529477"},
		{"cash one fen more", one("wechat_pay_cash_fee", 10001), "RULE_LIMIT", "268529476"},
		{"own pay one fen less", one("med_ins_cash_fee", 7999), "RULE_LIMIT", "268529481"},
		{"addition left out", one("cash_add_detail", nil), "RULE_LIMIT", "268529481"},
		{"cash only, nothing carries the charge", with(cash(), one("cash_add_detail", nil)), "RULE_LIMIT", "268529481"},

		{"another institution", one("med_inst_no", "H36010000001"), "INVALID_REQUEST", "268435856"},
		{"another city", one("city_id", "360400"), "INVALID_REQUEST", "268435856"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _ := mixedWorld(t, func(c *Config) { c.KnownOpenID = func(o string) bool { return o == testOpenID } })
			id := ""
			if tt.change["mix_pay_type"] != "INSURANCE_ONLY" {
				id, _ = w.prepay(orderBody("ORDER001", 10000, nil))
			}
			a := w.call("POST", mixedOrders, mixedBody("ORDER001", id, tt.change))
			if a.code != tt.code || a.number != tt.number || (a.status == 200) != (tt.code == "") {
				t.Errorf("answer = %d %s %s %s, want %s %s", a.status, a.code, a.number, a.body, tt.code, tt.number)
			}
			want := map[string]int{"": 200, "PARAM_ERROR": 400, "INVALID_REQUEST": 400, "RULE_LIMIT": 403}[tt.code]
			if a.status != want {
				t.Errorf("status = %d, want %d", a.status, want)
			}
			if got := len(w.sim.Truth().Mixed); got != map[bool]int{true: 1, false: 0}[tt.code == ""] {
				t.Errorf("%d mixed orders in the books", got)
			}
		})
	}
}

func TestMixedOrderBodies(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t)
	for name, body := range map[string]string{"null": `{"attach":null}`, "nothing": `{}`, "array": `[]`, "text": `hello`, "two": `{}{}`} {
		if a := w.call("POST", mixedOrders, body); a.code != "PARAM_ERROR" || a.number != "268435461" {
			t.Errorf("%s: %d %s %s", name, a.status, a.code, a.number)
		}
	}
	id, _ := w.prepay(orderBody("ORDER001", 10000, nil))
	r := w.request("POST", mixedOrders, mixedBody("ORDER001", id, nil))
	r.Header.Del("Wechatpay-Serial")
	if a := w.do(r); a.code != "PARAM_ERROR" {
		t.Errorf("without Wechatpay-Serial: %d %s", a.status, a.code)
	}
	r = w.request("POST", mixedOrders, mixedBody("ORDER001", id, nil))
	r.Header.Set("Wechatpay-Serial", "PUB_KEY_ID_0")
	if a := w.do(r); a.code != "PARAM_ERROR" {
		t.Errorf("another Wechatpay-Serial: %d %s", a.status, a.code)
	}
	r = w.request("POST", mixedOrders, mixedBody("ORDER001", id, nil))
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), testMch, "1900000000", 1))
	if a := w.do(r); a.code != "SIGN_ERROR" {
		t.Errorf("another merchant: %d %s", a.status, a.code)
	}
}

func TestMixedNeedsThePermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ method, uri, body string }{{"POST", mixedOrders, mixedBody("ORDER001", "wx1", nil)},
		{"GET", mixedOrders + "/out-trade-no/ORDER001", ""}, {"GET", mixedOrders + "/mix-trade-no/1", ""}, {"POST", mixedRefunds + "1", backBody(nil)}} {
		if a := w.call(c.method, c.uri, c.body); a.status != 403 || a.code != "REQUEST_BLOCKED" {
			t.Errorf("%s %s: %d %s", c.method, c.uri, a.status, a.code)
		}
	}
	for name, spoil := range map[string]func(c *Config){
		"no centre":      func(c *Config) { c.Centre = nil },
		"no institution": func(c *Config) { c.MedIns = &MedIns{CityID: testCity} },
		"no city":        func(c *Config) { c.MedIns = &MedIns{MedInstNo: testInst} },
		"odd cash":       func(c *Config) { c.MedIns = &MedIns{MedInstNo: testInst, CityID: testCity, Cash: "lost"} },
	} {
		w, _ := mixedWorld(t)
		spoil(&w.cfg)
		if _, err := New(w.cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestMixedAnswerEchoes: the answer is the request without the persons, and three states; the journal never sees the persons.
func TestMixedAnswerEchoes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	w, _ := mixedWorld(t, func(c *Config) { c.Journal = path })
	id, _ := w.prepay(orderBody("ORDER001", 10000, nil))
	payer := payerOf()
	body := mixedBody("ORDER001", id, map[string]any{"payer": payer, "med_ins_test_env": false})
	a := w.call("POST", mixedOrders, body)
	var got, want map[string]any
	a.into(t, &got)
	if err := json.Unmarshal([]byte(body), &want); err != nil {
		t.Fatal(err)
	}
	delete(want, "payer")
	no, _ := got["mix_trade_no"].(string)
	if len(no) != 30 {
		t.Errorf("mix_trade_no = %q", no)
	}
	want["mix_trade_no"], want["mix_pay_status"] = no, "MIX_PAY_CREATED"
	want["self_pay_status"], want["med_ins_pay_status"] = "SELF_PAY_CREATED", "MED_INS_PAY_CREATED"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	for _, uri := range []string{"/out-trade-no/ORDER001", "/mix-trade-no/" + no} {
		var again map[string]any
		w.call("GET", mixedOrders+uri, "").into(t, &again)
		if diff := cmp.Diff(want, again); diff != "" {
			t.Errorf("%s (-want +got):\n%s", uri, diff)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"张伟明", payer["name"].(string), IDDigest("360102198506120314"), "id_digest"} {
		if strings.Contains(string(kept), secret) {
			t.Errorf("the journal holds %.20s", secret)
		}
	}
	for _, uri := range []string{"/out-trade-no/ORDER002", "/mix-trade-no/1318"} {
		if a := w.call("GET", mixedOrders+uri, ""); a.status != 404 || a.code != "ORDER_NOT_EXIST" || a.number != "268529515" {
			t.Errorf("%s: %d %s %s", uri, a.status, a.code, a.number)
		}
	}
}

func TestMixedNumberIsUsedOnce(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t)
	_, id := w.mixedOrder("ORDER001", nil)
	for name, change := range map[string]map[string]any{"the same": nil, "another serial": {"serial_no": "2"}, "broken amounts": {"total_fee": 1}} {
		if a := w.call("POST", mixedOrders, mixedBody("ORDER001", id, change)); a.status != 400 || a.code != "ALREADY_EXISTS" || a.number != "268512536" {
			t.Errorf("%s: %d %s %s", name, a.status, a.code, a.number)
		}
	}
	if got := len(w.sim.Truth().Mixed); got != 1 {
		t.Errorf("%d mixed orders", got)
	}
}

func TestMixedOrderNeedsItsCashOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(w *world) (prepayID string)
	}{
		{"unknown prepay_id", func(w *world) string { w.prepay(orderBody("ORDER001", 10000, nil)); return "wx1" }},
		{"no cash order", func(*world) string { return "wx1" }},
		{"another order's prepay_id", func(w *world) string {
			w.prepay(orderBody("ORDER001", 10000, nil))
			id, _ := w.prepay(orderBody("ORDER002", 10000, nil))
			return id
		}},
		{"another payer", func(w *world) string {
			id, _ := w.prepay(orderBody("ORDER001", 10000, map[string]any{"payer": map[string]any{"openid": "oOther"}}))
			return id
		}},
		{"another amount", func(w *world) string { id, _ := w.prepay(orderBody("ORDER001", 9999, nil)); return id }},
		{"closed", func(w *world) string {
			id, _ := w.prepay(orderBody("ORDER001", 10000, nil))
			w.close("ORDER001")
			return id
		}},
		{"past time_expire", func(w *world) string {
			id, _ := w.prepay(orderBody("ORDER001", 10000, map[string]any{"time_expire": start.Add(time.Minute).Format(time.RFC3339)}))
			w.clock.Advance(time.Minute)
			return id
		}},
		{"prepay_id older than two hours", func(w *world) string {
			id, _ := w.prepay(orderBody("ORDER001", 10000, nil))
			w.clock.Advance(2 * time.Hour)
			return id
		}},
		{"paid for itself", func(w *world) string {
			id, _ := w.prepay(orderBody("ORDER001", 10000, nil))
			_ = w.sim.Pay(w.t.Context(), phone(id))
			return id
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _ := mixedWorld(t)
			a := w.call("POST", mixedOrders, mixedBody("ORDER001", tt.do(w), nil))
			if a.status != 400 || a.code != "INVALID_REQUEST" {
				t.Errorf("answer = %d %s %s", a.status, a.code, a.body)
			}
		})
	}
	w, _ := mixedWorld(t)
	w.prepay(orderBody("ORDER001", 10000, nil))
	if a := w.call("POST", mixedOrders, mixedBody("ORDER001", "", insured())); a.code != "RULE_LIMIT" || a.number != "268529475" {
		t.Errorf("insurance only beside a cash order: %d %s %s", a.status, a.code, a.number)
	}
}

func TestOneLivingMixedOrderPerSerial(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		first map[string]any
		then  func(w *world, c *centre, mix, prepay string)
		free  bool
	}{
		{"payable", nil, func(*world, *centre, string, string) {}, false},
		{"insurance only, payable", insured(), func(*world, *centre, string, string) {}, false},
		{"paid", nil, func(w *world, _ *centre, mix, id string) { _ = w.sim.PayMixed(w.t.Context(), both(mix, id)) }, false},
		{"typed", nil, func(w *world, _ *centre, mix, id string) {
			_ = w.sim.ScriptTyped(Typed{Seconds: 60})
			_ = w.sim.PayMixed(w.t.Context(), both(mix, id))
		}, false},
		{"failed", nil, func(w *world, c *centre, mix, id string) {
			c.reason = "拒付"
			_ = w.sim.PayMixed(w.t.Context(), both(mix, id))
		}, true},
		{"cash order closed", nil, func(w *world, _ *centre, _, _ string) { w.close("ORDER001") }, true},
		{"prepay_id too old", nil, func(w *world, _ *centre, _, _ string) { w.clock.Advance(2 * time.Hour) }, true},
		{"insurance only, too old", insured(), func(w *world, _ *centre, _, _ string) { w.clock.Advance(2 * time.Hour) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, c := mixedWorld(t)
			mix, id := w.mixedOrder("ORDER001", tt.first)
			tt.then(w, c, mix, id)
			next, _ := w.prepay(orderBody("ORDER002", 10000, nil))
			a := w.call("POST", mixedOrders, mixedBody("ORDER002", next, nil))
			if free := a.status == 200; free != tt.free || (!free && a.code != "INVALID_REQUEST") {
				t.Errorf("second order: %d %s %s, want free = %v", a.status, a.code, a.body, tt.free)
			}
			if a := w.call("POST", mixedOrders, mixedBody("ORDER003", "", with(insured(), map[string]any{"serial_no": "other"}))); a.status != 200 {
				t.Errorf("another serial: %d %s", a.status, a.body)
			}
		})
	}
}

func TestAbandonedMixedOrderFailsLate(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t)
	const created, failed = "MIX_PAY_CREATED SELF_PAY_CREATED MED_INS_PAY_CREATED", "MIX_PAY_FAIL SELF_PAY_FAIL MED_INS_PAY_FAIL"
	mix, id := w.mixedOrder("ORDER001", nil)
	w.mixedOrder("ORDER002", with(insured(), map[string]any{"serial_no": "2"}))
	w.close("ORDER001")
	w.clock.Advance(2*time.Hour - time.Second)
	if got := w.mixed("ORDER001").states(); got != created {
		t.Errorf("closed, before the end: %s", got)
	}
	if err := w.sim.PayMixed(t.Context(), both(mix, id)); err != ErrOrderClosed { //nolint:errorlint // the very sentinel
		t.Errorf("pay: %v", err)
	}
	w.clock.Advance(time.Second)
	if got := w.mixed("ORDER001"); got.states() != failed || got.FailReason != "" || got.PaidTime != "" {
		t.Errorf("closed, two hours later: %+v", got)
	}
	if err := w.sim.PayMixed(t.Context(), both(mix, id)); err != ErrMixedFailed { //nolint:errorlint // the very sentinel
		t.Errorf("pay after the end: %v", err)
	}
	if got := w.mixed("ORDER002").states(); got != "MIX_PAY_CREATED NO_SELF_PAY MED_INS_PAY_CREATED" {
		t.Errorf("insurance only: %s", got)
	}
	w.clock.Advance(2 * time.Hour)
	if got := w.mixed("ORDER002").states(); got != "MIX_PAY_FAIL NO_SELF_PAY MED_INS_PAY_FAIL" {
		t.Errorf("insurance only, later: %s", got)
	}
	paced, _ := mixedWorld(t, func(c *Config) { c.Pace = 60 })
	paced.mixedOrder("ORDER001", nil)
	paced.close("ORDER001")
	paced.clock.Advance(2 * time.Minute)
	if got := paced.mixed("ORDER001").states(); got != failed {
		t.Errorf("paced: %s", got)
	}
	at, _ := mixedWorld(t, func(c *Config) { c.MedIns = &MedIns{MedInstNo: testInst, CityID: testCity, GiveUp: -1} })
	at.mixedOrder("ORDER001", cash())
	at.close("ORDER001")
	if got := at.mixed("ORDER001").states(); got != "MIX_PAY_FAIL SELF_PAY_FAIL NO_MED_INS_PAY" {
		t.Errorf("at once: %s", got)
	}
}

func TestFaultsOfMixedOrders(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t)
	w.plan.Script(sandbox.Script{Op: "mixed", Key: "ORDER001", Fault: sandbox.LoseAfter},
		sandbox.Script{Op: "mixed", Key: "ORDER002", Fault: sandbox.Refuse},
		sandbox.Script{Op: "mixed", Key: "ORDER003", Fault: sandbox.Repeat},
		sandbox.Script{Op: "mixed_query", Key: "ORDER001", Fault: sandbox.ChangeAmount, Times: 2},
		sandbox.Script{Op: "mixed_query", Key: "ORDER002", Fault: sandbox.ChangeAmount})
	id, _ := w.prepay(orderBody("ORDER001", 10000, nil))
	if a := w.call("POST", mixedOrders, mixedBody("ORDER001", id, nil)); a.status != 0 || len(w.sim.Truth().Mixed) != 1 {
		t.Errorf("lost: %d", a.status)
	}
	if a := w.call("POST", mixedOrders, mixedBody("ORDER001", id, nil)); a.code != "ALREADY_EXISTS" {
		t.Errorf("again: %d %s", a.status, a.code)
	}
	mix := w.sim.Truth().Mixed[0].MixTradeNo
	for _, uri := range []string{"/out-trade-no/ORDER001", "/mix-trade-no/" + mix} {
		var got mixedRequest
		w.call("GET", mixedOrders+uri, "").into(t, &got)
		if *got.TotalFee != 20001 || *got.GovFee != 9001 || got.balanced() != nil {
			t.Errorf("%s: another amount = %+v", uri, got.amounts())
		}
	}
	id, _ = w.prepay(orderBody("ORDER002", 10000, nil))
	body := mixedBody("ORDER002", id, with(cash(), map[string]any{"serial_no": "2"}))
	if a := w.call("POST", mixedOrders, body); a.status != 400 || a.code != "INVALID_REQUEST" || a.number != "268510610" {
		t.Errorf("refused: %d %s %s", a.status, a.code, a.number)
	}
	if a := w.call("POST", mixedOrders, body); a.status != 200 {
		t.Errorf("after a refusal: %d %s", a.status, a.body)
	}
	var got mixedRequest
	w.call("GET", mixedOrders+"/out-trade-no/ORDER002", "").into(t, &got)
	if *got.TotalFee != 10001 || *got.WechatFee != 10001 || got.balanced() != nil {
		t.Errorf("cash only, another amount = %+v", got.amounts())
	}
	id, _ = w.prepay(orderBody("ORDER003", 10000, nil))
	if a := w.call("POST", mixedOrders, mixedBody("ORDER003", id, map[string]any{"serial_no": "3"})); a.status != 200 {
		t.Errorf("doubled: %d %s", a.status, a.code)
	}
	if truth := w.sim.Truth(); len(truth.Mixed) != 3 || truth.Mixed[0].TotalFen != 20000 {
		t.Errorf("truth = %+v", truth.Mixed)
	}
}

func FuzzReadMixed(f *testing.F) {
	f.Add([]byte(mixedBody("ORDER001", "wx1", nil)))
	f.Add([]byte(mixedBody("ORDER001", "", insured())))
	f.Add([]byte(mixedBody("ORDER001", "wx1", cash())))
	f.Add([]byte(`{"cash_add_detail":[[{"cash_add_fee":1e9}]]}`))
	f.Add([]byte(backBody(nil)))
	f.Fuzz(func(t *testing.T, body []byte) {
		var m mixedRequest
		if readMixed(body, mixedFields, &m) == nil && m.form() == nil && m.linked() == nil && m.balanced() == nil {
			a := m.amounts()
			insured := a.gov + a.self + a.other
			if a.total != insured+a.wechat+a.reduced || a.total != insured+a.cash+a.added || a.wechat != a.cash+a.added-a.reduced {
				t.Errorf("accepted %+v", a)
			}
			if changed := m.priced(1); changed.balanced() != nil || *changed.TotalFee != a.total+1 || m.amounts() != a {
				t.Errorf("another amount: %+v", changed.amounts())
			}
		}
		if back, no := readInsurerBack(body); no == nil && (back.Gov < 0 || back.OutRefundNo == "") {
			t.Errorf("accepted %+v", back)
		}
	})
}
