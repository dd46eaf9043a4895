package wechatpaysim

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

const (
	mixedOrders  = "/v3/med-ins/orders"
	mixedRefunds = "/v3/med-ins/refunds/notify?mix_trade_no="
	testInst     = "H36010000002"
	testCity     = "360100"
	testAuth     = "AUTH3601002026112310000000001"
	testOrd      = "ORD3601002026112310000000001"
	testPlace    = "115.892151,28.676493"
	testSerialNo = "250425114624004097"
)

// centre answers as the test wants and remembers what it was asked.
type centre struct {
	mu     sync.Mutex
	reason string
	asked  []string
	during func() // runs while WeChat waits for the answer
}

func (c *centre) SettleMixed(payOrderID, payAuthNo, serialNo, medInstNo string, gov, self, other, cash money.Fen) string {
	c.mu.Lock()
	c.asked = append(c.asked, fmt.Sprint(payOrderID, " ", payAuthNo, " ", serialNo, " ", medInstNo, " ", int64(gov), int64(self), int64(other), int64(cash)))
	reason, during := c.reason, c.during
	c.mu.Unlock()
	if during != nil {
		during()
	}
	return reason
}

// people are two accounts: the payer's, with one relative, and one without an e-credential.
type people struct{ until time.Time }

func (people) Credential(openID string) (name, idNumber string, ok bool) {
	return "张伟明", "360102198506120314", openID == testOpenID
}

func (people) Kin(openID, digest, name string) bool {
	return openID == testOpenID && name == "刘淑珍" && digest == IDDigest("360121198102270649")
}

func (p people) Authorisation(payAuthNo string) (string, time.Time, bool) {
	switch payAuthNo {
	case testAuth:
		return testOpenID, p.until, true
	case "AUTHOFSOMEBODYELSE":
		return "oSomebodyElse", p.until, true
	}
	return "", time.Time{}, false
}

// mixedWorld is a world with medical insurance.
func mixedWorld(t *testing.T, change ...func(*Config)) (*world, *centre) {
	t.Helper()
	c := &centre{}
	w := newWorld(t, append([]func(*Config){func(cfg *Config) {
		cfg.MedIns = &MedIns{MedInstNo: testInst, CityID: testCity}
		cfg.Centre = c
	}}, change...)...)
	return w, c
}

func withPeople(cfg *Config) {
	cfg.Credentials = people{until: start.Add(10 * time.Minute)}
	cfg.NeedsPassthrough = true
}

func encrypted(plain string) string {
	raw, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, &wechatKey().PublicKey, []byte(plain), nil)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func personOf(name, digest string) map[string]any {
	return map[string]any{"name": encrypted(name), "id_digest": encrypted(digest), "card_type": "ID_CARD"}
}

func payerOf() map[string]any { return personOf("张伟明", IDDigest("360102198506120314")) }

// mixedBody is a right order of both parts: T 20000 = G 9000 + S 1000 + C 8000 + A 2000, W 10000.
func mixedBody(number, prepayID string, change map[string]any) string {
	m := map[string]any{"mix_pay_type": "CASH_AND_INSURANCE", "order_type": "DIAG_PAY", "appid": testApp, "openid": testOpenID,
		"payer": payerOf(), "out_trade_no": number, "serial_no": testSerialNo, "pay_order_id": testOrd, "pay_auth_no": testAuth,
		"geo_location": testPlace, "city_id": testCity, "med_inst_name": "南昌示范妇幼保健院", "med_inst_no": testInst,
		"med_ins_order_create_time": "2026-11-23T09:59:00+08:00", "total_fee": 20000, "med_ins_gov_fee": 9000, "med_ins_self_fee": 1000,
		"med_ins_other_fee": 0, "med_ins_cash_fee": 8000, "wechat_pay_cash_fee": 10000,
		"cash_add_detail": []any{map[string]any{"cash_add_fee": 2000, "cash_add_type": "OTHER_MEDICAL_EXPENSES"}},
		"callback_url":    "https://pay.example.com/callbacks/wechatpay/h2", "prepay_id": prepayID, "attach": "o1", "channel_no": "TUOKA",
		"passthrough_request_content": `{"payAuthNo":"` + testAuth + `","payOrdId":"` + testOrd + `","setlLatlnt":"` + testPlace + `"}`}
	return changed(m, change)
}

// with merges changes.
func with(parts ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, p := range parts {
		for k, v := range p {
			out[k] = v
		}
	}
	return out
}

// The changes that make the other two types of it.
func insured() map[string]any {
	return map[string]any{"mix_pay_type": "INSURANCE_ONLY", "prepay_id": nil, "wechat_pay_cash_fee": nil, "cash_add_detail": nil,
		"med_ins_cash_fee": 0, "total_fee": 10000}
}

func cash() map[string]any {
	return map[string]any{"mix_pay_type": "CASH_ONLY", "pay_order_id": nil, "pay_auth_no": nil, "geo_location": nil,
		"med_ins_order_create_time": nil, "passthrough_request_content": nil, "med_ins_gov_fee": nil, "med_ins_self_fee": nil,
		"med_ins_other_fee": nil, "med_ins_cash_fee": nil, "total_fee": 10000,
		"cash_add_detail": []any{map[string]any{"cash_add_fee": 10000, "cash_add_type": "DEFAULT_ADD_TYPE"}}}
}

// entity is the answer of the calls about mixed orders, as a merchant reads it.
type entity struct {
	MixTradeNo string `json:"mix_trade_no"`
	Mix        string `json:"mix_pay_status"`
	Self       string `json:"self_pay_status"`
	MedIns     string `json:"med_ins_pay_status"`
	PaidTime   string `json:"paid_time"`
	FailReason string `json:"med_ins_fail_reason"`
	Total      int64  `json:"total_fee"`
	Gov        int64  `json:"med_ins_gov_fee"`
	Wechat     int64  `json:"wechat_pay_cash_fee"`
}

func (e entity) states() string { return e.Mix + " " + e.Self + " " + e.MedIns }

// mixedOrder makes a cash order, where the type has one, and the mixed order, and returns its number and the prepay_id.
func (w *world) mixedOrder(number string, change map[string]any) (mixTradeNo, prepayID string) {
	w.t.Helper()
	if change["mix_pay_type"] != "INSURANCE_ONLY" {
		var a answer
		if prepayID, a = w.prepay(orderBody(number, 10000, nil)); prepayID == "" {
			w.t.Fatalf("prepay %s: %d %s", number, a.status, a.body)
		}
	}
	a := w.call("POST", mixedOrders, mixedBody(number, prepayID, change))
	if a.status != 200 {
		w.t.Fatalf("mixed order %s: %d %s %s", number, a.status, a.number, a.body)
	}
	var e entity
	a.into(w.t, &e)
	return e.MixTradeNo, prepayID
}

func (w *world) mixed(number string) entity {
	w.t.Helper()
	a := w.call("GET", mixedOrders+"/out-trade-no/"+number, "")
	var e entity
	if a.status != 200 {
		w.t.Fatalf("query %s: %d %s", number, a.status, a.body)
	}
	a.into(w.t, &e)
	return e
}

// both is what the page gives to wx.requestMedicalInsurancePay.
func both(mixTradeNo, prepayID string) PhoneMixed {
	if prepayID == "" {
		return PhoneMixed{PhonePay: PhonePay{AppID: testApp, OpenID: testOpenID}, MixTradeNo: mixTradeNo}
	}
	return PhoneMixed{PhonePay: phone(prepayID), MixTradeNo: mixTradeNo}
}

func (w *world) payMixed(number string, change map[string]any) (mixTradeNo string, err error) {
	w.t.Helper()
	mix, prepay := w.mixedOrder(number, change)
	return mix, w.sim.PayMixed(context.Background(), both(mix, prepay))
}
