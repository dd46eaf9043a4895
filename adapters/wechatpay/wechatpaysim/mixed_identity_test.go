package wechatpaysim

import (
	"testing"
	"time"
)

func TestIDDigest(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"44030019000101123X": "09eb26e839ff3a2e3980352ae45ef09e",
		"44030019000101123x": "09eb26e839ff3a2e3980352ae45ef09e",
	} {
		if got := IDDigest(id); got != want {
			t.Errorf("IDDigest(%s) = %s, want %s", id, got, want)
		}
	}
	if IDDigest("130503670401001") != IDDigest("130503196704010016") {
		t.Error("fifteen digits are not extended")
	}
}

func TestMixedOrderChecksThePayer(t *testing.T) {
	t.Parallel()
	kin := map[string]any{"pay_for_relatives": true, "relative": personOf("刘淑珍", IDDigest("360121198102270649"))}
	pass := func(text any) map[string]any { return map[string]any{"passthrough_request_content": text} }
	tests := []struct {
		name   string
		change map[string]any
		number string
	}{
		{"the payer's own", nil, "0"},
		{"for a relative", kin, "0"},
		{"cash only needs no authorisation", cash(), "0"},
		{"another digest", map[string]any{"payer": personOf("张伟明", IDDigest("360103195203200483"))}, "268545961"},
		{"another name", map[string]any{"payer": personOf("李秀英", IDDigest("360102198506120314"))}, "268545962"},
		{"cash only, another name", with(cash(), map[string]any{"payer": personOf("李秀英", IDDigest("360102198506120314"))}), "268545962"},
		{"no e-credential", map[string]any{"openid": "oWithout"}, "268545963"},
		{"no kin", with(kin, map[string]any{"relative": personOf("王小雨", IDDigest("360104199609050264"))}), "268545964"},
		{"unknown authorisation", with(map[string]any{"pay_auth_no": "AUTHNONE"}, pass(`{"payAuthNo":"AUTHNONE","payOrdId":"`+testOrd+
			`","setlLatlnt":"`+testPlace+`"}`)), "268547120"},
		{"somebody else's authorisation", with(map[string]any{"pay_auth_no": "AUTHOFSOMEBODYELSE"}, pass(`{"payAuthNo":"AUTHOFSOMEBODYELSE","payOrdId":"`+
			testOrd+`","setlLatlnt":"`+testPlace+`"}`)), "268547120"},
		{"nothing passed through", pass(nil), "268545967"},
		{"no place passed through", pass(`{"payAuthNo":"` + testAuth + `","payOrdId":"` + testOrd + `"}`), "268545967"},
		{"another order passed through", pass(`{"payAuthNo":"` + testAuth + `","payOrdId":"ORD2","setlLatlnt":"` + testPlace + `"}`), "268545967"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _ := mixedWorld(t, withPeople)
			id, _ := w.prepay(orderBody("ORDER001", 10000, nil))
			a := w.call("POST", mixedOrders, mixedBody("ORDER001", id, tt.change))
			if a.number != tt.number || (a.status == 200) != (tt.number == "0") || (a.status != 200 && a.code != "INVALID_REQUEST") {
				t.Errorf("answer = %d %s %s, want %s", a.status, a.code, a.number, tt.number)
			}
		})
	}
}

func TestAuthorisationEndsAndIsUsedUp(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t, withPeople)
	w.mixedOrder("ORDER001", nil)
	w.close("ORDER001")
	other := map[string]any{"pay_order_id": "ORD2", "serial_no": "2", "passthrough_request_content": `{"payAuthNo":"` + testAuth +
		`","payOrdId":"ORD2","setlLatlnt":"` + testPlace + `"}`}
	id, _ := w.prepay(orderBody("ORDER002", 10000, nil))
	if a := w.call("POST", mixedOrders, mixedBody("ORDER002", id, other)); a.number != "268547120" {
		t.Errorf("for another order of the insurer: %d %s", a.status, a.number)
	}
	if a := w.call("POST", mixedOrders, mixedBody("ORDER002", id, nil)); a.status != 200 {
		t.Errorf("for the same again: %d %s", a.status, a.body)
	}
	w.close("ORDER002")
	w.clock.Advance(10 * time.Minute)
	id, _ = w.prepay(orderBody("ORDER003", 10000, nil))
	if a := w.call("POST", mixedOrders, mixedBody("ORDER003", id, nil)); a.number != "268547120" {
		t.Errorf("expired: %d %s", a.status, a.number)
	}
}
