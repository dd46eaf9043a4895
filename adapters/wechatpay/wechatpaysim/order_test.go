package wechatpaysim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
)

func TestPrepayChecksFields(t *testing.T) {
	t.Parallel()
	amount := func(total any) map[string]any {
		return map[string]any{"amount": map[string]any{"total": total, "currency": "CNY"}}
	}
	tests := []struct {
		name   string
		change map[string]any
		status int
		code   string
	}{
		{"right", nil, 200, ""},
		{"every part", map[string]any{"goods_tag": "G", "limit_pay": []string{"no_credit"}, "support_fapiao": true,
			"detail":      map[string]any{"cost_price": 1, "goods_detail": []any{map[string]any{"merchant_goods_id": "1", "quantity": 1, "unit_price": 1}}},
			"scene_info":  map[string]any{"payer_client_ip": "1.2.3.4", "store_info": map[string]any{"id": "1"}},
			"settle_info": map[string]any{"profit_sharing": false}}, 200, ""},
		{"no description", map[string]any{"description": nil}, 400, "PARAM_ERROR"},
		{"128 characters", map[string]any{"description": strings.Repeat("诊", 128)}, 400, "PARAM_ERROR"},
		{"127 characters", map[string]any{"description": strings.Repeat("诊", 127)}, 200, ""},
		{"emoji", map[string]any{"description": "门诊😀"}, 400, "PARAM_ERROR"},
		{"rare Han of four bytes", map[string]any{"attach": "𠮷"}, 400, "PARAM_ERROR"},
		{"long attach", map[string]any{"attach": strings.Repeat("a", 129)}, 400, "PARAM_ERROR"},
		{"number of five", map[string]any{"out_trade_no": "12345"}, 400, "PARAM_ERROR"},
		{"number of thirty-three", map[string]any{"out_trade_no": strings.Repeat("1", 33)}, 400, "PARAM_ERROR"},
		{"number with a dot", map[string]any{"out_trade_no": "1234.6"}, 400, "PARAM_ERROR"},
		{"http notify", map[string]any{"notify_url": "http://pay.example.com/n"}, 400, "PARAM_ERROR"},
		{"notify with query", map[string]any{"notify_url": "https://pay.example.com/n?a=1"}, 400, "PARAM_ERROR"},
		{"nothing to pay", amount(0), 400, "PARAM_ERROR"},
		{"negative", amount(-1), 400, "PARAM_ERROR"},
		{"a fraction of a fen", amount(1.5), 400, "PARAM_ERROR"},
		{"amount as text", amount("100"), 400, "PARAM_ERROR"},
		{"amount beyond reason", amount(int64(1) << 60), 400, "PARAM_ERROR"},
		{"dollars", map[string]any{"amount": map[string]any{"total": 100, "currency": "USD"}}, 400, "PARAM_ERROR"},
		{"no payer", map[string]any{"payer": nil}, 400, "PARAM_ERROR"},
		{"unknown payer", map[string]any{"payer": map[string]any{"openid": "oNobody"}}, 500, "OPENID_MISMATCH"},
		{"unknown field", map[string]any{"sub_mchid": "1"}, 400, "PARAM_ERROR"},
		{"unknown inner field", map[string]any{"payer": map[string]any{"openid": testOpenID, "name": "x"}}, 400, "PARAM_ERROR"},
		{"a name in other case", map[string]any{"Attach": "x"}, 400, "PARAM_ERROR"},
		{"another merchant", map[string]any{"mchid": "1900000000"}, 400, "MCH_NOT_EXISTS"},
		{"another appid", map[string]any{"appid": "wxother"}, 400, "APPID_MCHID_NOT_MATCH"},
		{"expiry without zone", map[string]any{"time_expire": "2026-11-23T12:00:00"}, 400, "PARAM_ERROR"},
		{"expiry in the past", map[string]any{"time_expire": "2026-11-23T09:59:59+08:00"}, 400, "PARAM_ERROR"},
		{"expiry in 91 days", map[string]any{"time_expire": "2027-02-22T10:00:01+08:00"}, 400, "PARAM_ERROR"},
		{"expiry in half an hour", map[string]any{"time_expire": "2026-11-23T10:30:00+08:00"}, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *Config) { c.KnownOpenID = func(o string) bool { return o == testOpenID } })
			id, a := w.prepay(orderBody("ORDER001", 100, tt.change))
			if a.status != tt.status || a.code != tt.code || (id != "") != (tt.status == 200) {
				t.Errorf("answer = %d %s %s, want %d %s", a.status, a.code, a.body, tt.status, tt.code)
			}
		})
	}
	for name, body := range map[string]string{"null": `{"attach":null}`, "array": `[]`, "text": `hello`, "two": `{}{}`,
		"not UTF-8": "{\"attach\":\"\xff\"}"} {
		w := newWorld(t)
		if a := w.call("POST", jsapi, body); a.code != "PARAM_ERROR" {
			t.Errorf("%s: %d %s", name, a.status, a.code)
		}
	}
}

func TestOneNumberOneOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := orderBody("ORDER001", 100, map[string]any{"time_expire": "2026-11-23T18:00:00+08:00",
		"scene_info": map[string]any{"device_id": "<&>"}})
	first, _ := w.prepay(body)
	if !strings.HasPrefix(first, "wx20261123100000") || len(first) != 36 {
		t.Errorf("prepay_id = %q", first)
	}
	if again, _ := w.prepay(body); again != first {
		t.Errorf("again = %q, want %q", again, first)
	}
	if _, a := w.prepay(orderBody("ORDER001", 101, nil)); a.status != 400 || a.code != "INVALID_REQUEST" || a.number != "268498688" {
		t.Errorf("changed: %d %s %s", a.status, a.code, a.number)
	}
	w.clock.Advance(2 * time.Hour)
	if err := w.sim.Pay(context.Background(), phone(first)); !errors.Is(err, ErrPrepayID) {
		t.Errorf("pay by an old prepay_id: %v", err)
	}
	second, _ := w.prepay(body)
	if second == "" || second == first {
		t.Fatalf("after two hours: %q", second)
	}
	if err := w.sim.Pay(context.Background(), phone(second)); err != nil {
		t.Fatal(err)
	}
	if _, a := w.prepay(body); a.code != "ORDERPAID" {
		t.Errorf("paid, same: %d %s", a.status, a.code)
	}
	if _, a := w.prepay(orderBody("ORDER001", 101, nil)); a.status != 403 || a.code != "OUT_TRADE_NO_USED" {
		t.Errorf("paid, changed: %d %s", a.status, a.code)
	}
	if a := w.close("ORDER001"); a.code != "ORDERPAID" {
		t.Errorf("close paid: %d %s", a.status, a.code)
	}
	w.audit()
}

func TestCloseIsReentrantAndFinal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.close("ORDER001"); a.status != 404 || a.code != "ORDER_NOT_EXIST" {
		t.Errorf("close nothing: %d %s", a.status, a.code)
	}
	id, _ := w.prepay(orderBody("ORDER001", 100, nil))
	for range 2 {
		if a := w.close("ORDER001"); a.status != 204 || len(a.body) != 0 {
			t.Errorf("close: %d %s", a.status, a.body)
		}
	}
	if err := w.sim.Pay(context.Background(), phone(id)); !errors.Is(err, ErrOrderClosed) {
		t.Errorf("pay closed: %v", err)
	}
	if _, a := w.prepay(orderBody("ORDER001", 100, nil)); a.code != "ORDER_CLOSED" {
		t.Errorf("order closed: %d %s", a.status, a.code)
	}
	if got := w.state("ORDER001"); got != "CLOSED" {
		t.Errorf("state = %s", got)
	}
	path := "/v3/pay/transactions/out-trade-no/ORDER001/close"
	if a := w.call("POST", path, `{"mchid":"1"}`); a.code != "PARAM_ERROR" {
		t.Errorf("close for another merchant: %d %s", a.status, a.code)
	}
	if a := w.call("POST", path, `{}x`); a.code != "PARAM_ERROR" {
		t.Errorf("close with a broken body: %d %s", a.status, a.code)
	}
}

func TestExpiryIsTheLastMomentToPay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := orderBody("ORDER001", 100, map[string]any{"time_expire": start.Add(10 * time.Second).Format(time.RFC3339)})
	id, _ := w.prepay(body)
	w.clock.Advance(59 * time.Second) // ten seconds were raised to a minute
	if err := w.sim.Pay(context.Background(), PhonePay{}); !errors.Is(err, ErrPaySign) {
		t.Errorf("empty: %v", err)
	}
	if _, a := w.prepay(body); a.status != 200 {
		t.Errorf("again before expiry: %d %s", a.status, a.code)
	}
	w.clock.Advance(time.Second)
	if err := w.sim.Pay(context.Background(), phone(id)); !errors.Is(err, ErrExpired) {
		t.Errorf("pay expired: %v", err)
	}
	if _, a := w.prepay(body); a.code != "INVALID_REQUEST" || a.number != "268447914" {
		t.Errorf("again after expiry: %d %s %s", a.status, a.code, a.number)
	}
	if got := w.state("ORDER001"); got != "NOTPAY" {
		t.Errorf("state = %s, want NOTPAY until closed", got)
	}
	w.clock.Advance(7 * 24 * time.Hour)
	if got := w.state("ORDER001"); got != "CLOSED" {
		t.Errorf("state after a week = %s", got)
	}
	w.prepay(orderBody("ORDER002", 100, map[string]any{"time_expire": w.clock.Now().In(clock.Shanghai).AddDate(0, 0, 30).Format(time.RFC3339)}))
	w.clock.Advance(29 * 24 * time.Hour)
	if got := w.state("ORDER002"); got != "NOTPAY" {
		t.Errorf("state of a month's order = %s", got)
	}
}

func TestPhoneChecksWhatThePageGives(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(p *PhonePay)
		want  error
	}{
		{"right", func(*PhonePay) {}, nil},
		{"bare prepay_id", func(p *PhonePay) { p.Package = strings.TrimPrefix(p.Package, "prepay_id=") }, ErrPaySign},
		{"MD5", func(p *PhonePay) { p.SignType = "MD5" }, ErrPaySign},
		{"other nonce than signed", func(p *PhonePay) { p.NonceStr = "x" }, ErrPaySign},
		{"other time than signed", func(p *PhonePay) { p.TimeStamp = "1" }, ErrPaySign},
		{"time not digits", func(p *PhonePay) { p.TimeStamp = "soon" }, ErrPaySign},
		{"other appid", func(p *PhonePay) { p.AppID = "wxother" }, ErrPaySign},
		{"signature not base64", func(p *PhonePay) { p.PaySign = "*" }, ErrPaySign},
		{"other person", func(p *PhonePay) { p.OpenID = "oSomebodyElse" }, ErrOtherPayer},
		{"unknown prepay_id", func(p *PhonePay) { *p = phone("wx0000") }, ErrPrepayID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id, _ := w.prepay(orderBody("ORDER001", 100, nil))
			p := phone(id)
			tt.spoil(&p)
			if err := w.sim.Pay(context.Background(), p); !errors.Is(err, tt.want) {
				t.Fatalf("Pay() = %v, want %v", err, tt.want)
			}
			want := map[bool]string{true: "SUCCESS", false: "NOTPAY"}[tt.want == nil]
			if got := w.state("ORDER001"); got != want {
				t.Errorf("state = %s, want %s", got, want)
			}
			w.audit()
		})
	}
	w := newWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.sim.Pay(ctx, PhonePay{}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestBankMayRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, _ := w.prepay(orderBody("ORDER001", 100, nil))
	other, _ := w.prepay(orderBody("ORDER002", 100, nil))
	if err := w.sim.RefuseBank("ORDER001", 2); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.RefuseBank("", 0); err == nil {
		t.Error("no times: accepted")
	}
	ctx := context.Background()
	if err := w.sim.Pay(ctx, phone(other)); err != nil {
		t.Errorf("the other order: %v", err)
	}
	for range 2 {
		if err := w.sim.Pay(ctx, phone(id)); !errors.Is(err, ErrBank) {
			t.Errorf("Pay() = %v, want ErrBank", err)
		}
	}
	if got := w.state("ORDER001"); got != "NOTPAY" {
		t.Errorf("state = %s", got)
	}
	if err := w.sim.Pay(ctx, phone(id)); err != nil {
		t.Errorf("third: %v", err)
	}
	if err := w.sim.Pay(ctx, phone(id)); !errors.Is(err, ErrOrderPaid) {
		t.Errorf("fourth: %v", err)
	}
}

func TestQueryTellsThePaidOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.paid("ORDER001", 12345)
	var t1, t2 transaction
	w.call("GET", "/v3/pay/transactions/out-trade-no/ORDER001?mchid="+testMch, "").into(t, &t1)
	if t1.TradeState != "SUCCESS" || t1.Amount.Total != 12345 || *t1.Amount.PayerTotal != 12345 || t1.Payer.OpenID != testOpenID ||
		t1.SuccessTime != "2026-11-23T10:00:00+08:00" || len(t1.TransactionID) != 28 || t1.Attach != "a1" || t1.TradeType != "JSAPI" {
		t.Errorf("query = %+v", t1)
	}
	w.call("GET", "/v3/pay/transactions/id/"+t1.TransactionID+"?mchid="+testMch, "").into(t, &t2)
	if t2.OutTradeNo != "ORDER001" {
		t.Errorf("query by id = %+v", t2)
	}
	if a := w.call("GET", "/v3/pay/transactions/id/4200?mchid="+testMch, ""); a.status != 404 || a.number != "268512771" {
		t.Errorf("unknown id: %d %s", a.status, a.number)
	}
	if a := w.call("GET", "/v3/pay/transactions/out-trade-no/ORDER001", ""); a.code != "PARAM_ERROR" {
		t.Errorf("without mchid: %d %s", a.status, a.code)
	}
}

func TestFaultsOfOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plan.Script(sandbox.Script{Op: "jsapi", Key: "ORDER001", Fault: sandbox.LoseAfter},
		sandbox.Script{Op: "jsapi", Key: "ORDER001", Fault: sandbox.Repeat},
		sandbox.Script{Op: "jsapi", Key: "ORDER002", Fault: sandbox.Refuse},
		sandbox.Script{Op: "query", Key: "ORDER001", Fault: sandbox.ChangeAmount})
	if _, a := w.prepay(orderBody("ORDER001", 100, nil)); a.status != 0 {
		t.Errorf("lost: %d", a.status)
	}
	if got := len(w.sim.Truth().Orders); got != 1 {
		t.Fatalf("%d orders, want the lost one", got)
	}
	id, a := w.prepay(orderBody("ORDER001", 100, nil))
	if a.status != 200 || len(w.sim.Truth().Orders) != 1 {
		t.Errorf("repeated: %d", a.status)
	}
	if _, a := w.prepay(orderBody("ORDER002", 100, nil)); a.status != 403 || a.code != "RULE_LIMIT" {
		t.Errorf("refused: %d %s", a.status, a.code)
	}
	var changed transaction
	w.call("GET", "/v3/pay/transactions/out-trade-no/ORDER001?mchid="+testMch, "").into(t, &changed)
	if changed.Amount.Total != 101 {
		t.Errorf("total = %d, want 101", changed.Amount.Total)
	}
	if err := w.sim.Pay(context.Background(), phone(id)); err != nil {
		t.Fatal(err)
	}
	if truth := w.audit(); truth.PaidFen != 100 {
		t.Errorf("paid %v, want the truth untouched", truth.PaidFen)
	}
	w.plan.Script(sandbox.Script{Op: "query", Key: "ORDER001", Fault: sandbox.LoseBefore})
	tid := w.sim.Truth().Orders[0].TransactionID
	if a := w.call("GET", "/v3/pay/transactions/id/"+tid+"?mchid="+testMch, ""); a.status != 0 {
		t.Errorf("query by id is known by the order's number: %d", a.status)
	}
}
