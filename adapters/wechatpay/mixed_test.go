package wechatpay_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func medIns() *wechatpay.MedIns {
	return &wechatpay.MedIns{CityID: "360100", InstName: "某某市第一医院", InstNo: "H36010000001", ChannelNo: "AAH01",
		CallbackURL: "https://pay.example.com/callbacks/wechatpay/h1"}
}

// mixedClient speaks the mixed order to that handler.
func mixedClient(t *testing.T, h http.HandlerFunc, change func(*wechatpay.MedIns)) *wechatpay.Client {
	t.Helper()
	cfg := config(clock.NewFake(start), sandbox.Transport(h))
	cfg.MedIns = medIns()
	if change != nil {
		change(cfg.MedIns)
	}
	c, err := wechatpay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func person(t *testing.T, name, number string) payment.MixedPerson {
	t.Helper()
	id, err := sensitive.ParseIDNumber(number)
	if err != nil {
		t.Fatal(err)
	}
	return payment.MixedPerson{Name: sensitive.NewName(name), IDNumber: id}
}

// aMixed is a mixed order of 200.00 yuan, of which WeChat charges 100.00.
func aMixed(t *testing.T) payment.MixedOrder {
	return payment.MixedOrder{OutTradeNo: order1, SerialNo: "250425114624004097", PayOrderID: "ORD3601002026112310000000001", PayAuthNo: sensitive.NewToken("AUTH3601002026112310000000001"),
		OrderType: "DIAG_PAY", OpenID: sensitive.NewOpenID(testOpenID), Payer: person(t, "张伟明", "360102198506120314"), Location: "115.892151,28.676493",
		UploadedAt: start.UTC(), PrepayID: "wx26112209460120ec7b0", Attach: "o1",
		Amounts: payment.MixedAmounts{Total: 20000, Gov: 9000, Self: 1000, Cash: 8000, Added: 2000, Wechat: 10000}}
}

// insuranceAlone is the same without anything to charge.
func insuranceAlone(t *testing.T) payment.MixedOrder {
	o := aMixed(t)
	o.PrepayID, o.Amounts = "", payment.MixedAmounts{Total: 10000, Gov: 9000, Self: 1000}
	return o
}

// decrypted opens a field as WeChat Pay does.
func decrypted(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := rsa.DecryptOAEP(sha1.New(), rand.Reader, wechatKey(), raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// opened is a body with its encrypted fields in plain text, for golden files.
func opened(t *testing.T, body []byte) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"payer", "relative"} {
		if p, ok := m[who].(map[string]any); ok {
			for _, field := range []string{"name", "id_digest"} {
				p[field] = "encrypted " + decrypted(t, p[field].(string)) //nolint:forcetypeassert // a test
			}
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func TestBuildMixed(t *testing.T) {
	t.Parallel()
	family := aMixed(t)
	relative := person(t, "刘淑珍", "360121198102270649")
	family.Relative = &relative
	for name, o := range map[string]payment.MixedOrder{"mixed.json": aMixed(t), "mixed-insurance.json": insuranceAlone(t), "mixed-family.json": family} {
		body, err := mixedClient(t, nil, nil).BuildMixed(o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden(t, name, opened(t, body))
	}
	body, err := mixedClient(t, nil, func(m *wechatpay.MedIns) { m.NoPassthrough, m.ChannelNo = true, "" }).BuildMixed(aMixed(t))
	if err != nil || strings.Contains(string(body), "passthrough") || strings.Contains(string(body), "channel_no") || strings.Contains(string(body), `""`) {
		t.Errorf("without passthrough: %v %s", err, body)
	}
}

// TestMixedFields: every field that a type demands is demanded, and every one that it forbids is refused (wechat-med-ins.md §b.1.1), lengths and
// equations too.
func TestMixedFields(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		alone  bool
		change func(*payment.MixedOrder)
		field  string
	}{
		"cash without prepay_id":       {false, func(o *payment.MixedOrder) { o.PrepayID = "" }, "prepay_id"},
		"cash without amount":          {false, func(o *payment.MixedOrder) { o.Amounts = payment.MixedAmounts{Total: 10000, Gov: 10000} }, "wechat_pay_cash_fee"},
		"prepay_id of insurance alone": {true, func(o *payment.MixedOrder) { o.PrepayID = "wx1" }, "wechat_pay_cash_fee"},
		"cash without pay_order_id":    {false, func(o *payment.MixedOrder) { o.PayOrderID = "" }, "pay_order_id"},
		"alone without pay_order_id":   {true, func(o *payment.MixedOrder) { o.PayOrderID = "" }, "pay_order_id"},
		"cash without pay_auth_no":     {false, func(o *payment.MixedOrder) { o.PayAuthNo = sensitive.Token{} }, "pay_auth_no"},
		"alone without pay_auth_no":    {true, func(o *payment.MixedOrder) { o.PayAuthNo = sensitive.Token{} }, "pay_auth_no"},
		"cash without location":        {false, func(o *payment.MixedOrder) { o.Location = "" }, "geo_location"},
		"alone without location":       {true, func(o *payment.MixedOrder) { o.Location = "" }, "geo_location"},
		"cash without create time":     {false, func(o *payment.MixedOrder) { o.UploadedAt = time.Time{} }, "med_ins_order_create_time"},
		"alone without create time":    {true, func(o *payment.MixedOrder) { o.UploadedAt = time.Time{} }, "med_ins_order_create_time"},
		"no payer":                     {false, func(o *payment.MixedOrder) { o.Payer = payment.MixedPerson{} }, "payer"},
		"no relative":                  {false, func(o *payment.MixedOrder) { o.Relative = &payment.MixedPerson{} }, "relative"},
		"no openid":                    {false, func(o *payment.MixedOrder) { o.OpenID = sensitive.OpenID{} }, "openid"},
		"short out_trade_no":           {false, func(o *payment.MixedOrder) { o.OutTradeNo = "T1" }, "out_trade_no"},
		"serial_no of 21":              {false, func(o *payment.MixedOrder) { o.SerialNo = strings.Repeat("1", 21) }, "serial_no"},
		"pay_order_id of 65":           {false, func(o *payment.MixedOrder) { o.PayOrderID = strings.Repeat("O", 65) }, "pay_order_id"},
		"pay_auth_no of 41":            {false, func(o *payment.MixedOrder) { o.PayAuthNo = sensitive.NewToken(strings.Repeat("A", 41)) }, "pay_auth_no"},
		"a place that is none":         {false, func(o *payment.MixedOrder) { o.Location = "here" }, "geo_location"},
		"order type":                   {false, func(o *payment.MixedOrder) { o.OrderType = "FUN_PAY" }, "order_type"},
		"a reduction":                  {true, func(o *payment.MixedOrder) { o.Amounts.Cash, o.Amounts.Reduced, o.Amounts.Total = 5, 5, 10005 }, "total_fee"},
		"nothing at all":               {true, func(o *payment.MixedOrder) { o.Amounts = payment.MixedAmounts{} }, "total_fee"},
	} {
		o := aMixed(t)
		if tt.alone {
			o = insuranceAlone(t)
		}
		tt.change(&o)
		_, err := mixedClient(t, nil, nil).BuildMixed(o)
		if f, ok := fault.Find(err); !ok || f.Kind != fault.Invalid || f.Field != tt.field {
			t.Errorf("%s: %v (field %v), want %s", name, err, f, tt.field)
		}
	}
	o := aMixed(t)
	o.Amounts.Total++
	if _, err := mixedClient(t, nil, nil).BuildMixed(o); !errors.Is(err, payment.ErrEquation) {
		t.Errorf("one fen too many: %v", err)
	}
	if _, err := newClient(t, clock.NewFake(start), sandbox.Transport(http.NotFoundHandler())).BuildMixed(aMixed(t)); !errors.Is(err, wechatpay.ErrRequest) {
		t.Errorf("a merchant without the mixed order: %v", err)
	}
}

func TestMedInsConfig(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*wechatpay.MedIns){
		"no city": func(m *wechatpay.MedIns) { m.CityID = "" }, "long city": func(m *wechatpay.MedIns) { m.CityID = "123456789" },
		"no institution": func(m *wechatpay.MedIns) { m.InstNo = "" }, "no name": func(m *wechatpay.MedIns) { m.InstName = "" },
		"long channel": func(m *wechatpay.MedIns) { m.ChannelNo = strings.Repeat("1", 33) },
		"http":         func(m *wechatpay.MedIns) { m.CallbackURL = "http://pay.example.com/x" },
		"query":        func(m *wechatpay.MedIns) { m.CallbackURL += "?a=1" },
		"test system":  func(m *wechatpay.MedIns) { m.TestEnv = true },
	} {
		cfg := config(clock.NewFake(start), sandbox.Transport(http.NotFoundHandler()))
		cfg.MedIns = medIns()
		change(cfg.MedIns)
		if _, err := wechatpay.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// entity is the order entity of an answer, as WeChat writes it.
func entity(change func(map[string]any)) string {
	m := map[string]any{"mix_trade_no": "MIX1", "mix_pay_status": "MIX_PAY_SUCCESS", "self_pay_status": "SELF_PAY_SUCCESS", "med_ins_pay_status": "MED_INS_PAY_SUCCESS",
		"paid_time": "2026-11-23T10:05:00+08:00", "appid": testApp, "openid": testOpenID, "out_trade_no": order1, "serial_no": "250425114624004097",
		"pay_order_id": "ORD1", "med_inst_no": "H36010000001", "total_fee": 20000, "med_ins_gov_fee": 9000, "med_ins_self_fee": 1000,
		"med_ins_other_fee": 0, "med_ins_cash_fee": 8000, "wechat_pay_cash_fee": 10000, "cash_add_detail": []any{map[string]any{"cash_add_fee": 2000,
			"cash_add_type": "OTHER_MEDICAL_EXPENSES"}}, "something_new": 1}
	if change != nil {
		change(m)
	}
	b, _ := json.Marshal(m)
	return string(b)
}

func TestMixedAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(map[string]any)
		want   error
	}{
		"as it should be": {nil, nil},
		"older time":      {func(m map[string]any) { m["paid_time"] = "20261123100500" }, nil},
		"insurance alone": {func(m map[string]any) {
			m["total_fee"] = 10000
			m["self_pay_status"] = "NO_SELF_PAY"
			m["med_ins_cash_fee"] = 0
			delete(m, "wechat_pay_cash_fee")
			delete(m, "cash_add_detail")
		}, nil},
		"an unpublished state":    {func(m map[string]any) { m["mix_pay_status"] = "MIX_PAY_USER_PAYING" }, nil},
		"a broken equation":       {func(m map[string]any) { m["med_ins_gov_fee"] = 9001 }, payment.ErrUnknown},
		"a negative amount":       {func(m map[string]any) { m["med_ins_self_fee"] = -1000; m["med_ins_gov_fee"] = 11000 }, payment.ErrUnknown},
		"another appid":           {func(m map[string]any) { m["appid"] = "wx9" }, payment.ErrUnknown},
		"another institution":     {func(m map[string]any) { m["med_inst_no"] = "H9" }, payment.ErrUnknown},
		"another order":           {func(m map[string]any) { m["out_trade_no"] = "other-order" }, payment.ErrUnknown},
		"another mix_trade_no":    {func(m map[string]any) { m["mix_trade_no"] = "MIX2" }, payment.ErrUnknown},
		"no total":                {func(m map[string]any) { delete(m, "total_fee") }, payment.ErrUnknown},
		"no state":                {func(m map[string]any) { delete(m, "mix_pay_status") }, payment.ErrUnknown},
		"a time that is none":     {func(m map[string]any) { m["paid_time"] = "soon" }, payment.ErrUnknown},
		"an amount with decimals": {func(m map[string]any) { m["total_fee"] = 20000.5 }, payment.ErrUnknown},
	} {
		asked := ""
		c := mixedClient(t, func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.Path
			signed(w, time.Now(), http.StatusOK, entity(tt.change))
		}, nil)
		s, err := c.QueryMixed(t.Context(), order1, "MIX1")
		if !errors.Is(err, tt.want) || asked != "/v3/med-ins/orders/mix-trade-no/MIX1" {
			t.Errorf("%s: %v from %s, want %v", name, err, asked, tt.want)
		}
		if tt.want == nil && (s.OutTradeNo != order1 || s.Amounts.Check() != nil || !s.PaidAt.Equal(time.Date(2026, 11, 23, 2, 5, 0, 0, time.UTC))) {
			t.Errorf("%s: %+v", name, s)
		}
	}
	c := mixedClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v3/med-ins/orders/out-trade-no/"+order1 {
			t.Errorf("asked %s", r.URL.Path)
		}
		signed(w, time.Now().Add(-time.Hour), http.StatusOK, entity(nil))
	}, nil)
	if _, err := c.QueryMixed(t.Context(), order1, ""); !errors.Is(err, payment.ErrUnknown) {
		t.Errorf("an answer signed an hour ago: %v", err)
	}
}

// TestMixedRefusals: every number and every code of wechat-med-ins.md §g, what we take it for, and what is kept of it.
func TestMixedRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status       int
		code, number string
		message      string
		want         error
		queried      error // what the same means of a query
	}{
		{404, "ORDER_NOT_EXIST", "268529515", "", payment.ErrMixedNotExist, payment.ErrMixedNotExist},
		{400, "ALREADY_EXISTS", "268512536", "", payment.ErrMixedExists, payment.ErrUnknown},
		{400, "PARAM_ERROR", "268510603", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{400, "PARAM_ERROR", "268510604", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268545961", "", payment.ErrMixedPayer, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268545962", "", payment.ErrMixedPayer, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268545963", "", payment.ErrMixedNoCredential, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268545964", "", payment.ErrMixedKin, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268547120", "", payment.ErrMixedAuth, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268545967", "", payment.ErrMixedAuth, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268510610", "", payment.ErrMixedInsurer, payment.ErrUnknown},
		{403, "RULE_LIMIT", "268529477", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "RULE_LIMIT", "268529476", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "RULE_LIMIT", "268529481", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "RULE_LIMIT", "268529474", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "RULE_LIMIT", "268529475", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268554200", "", payment.ErrMixedNoReverse, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268554422", "", payment.ErrMixedNoReverse, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268560650", "", payment.ErrOrderPaid, payment.ErrUnknown},
		{400, "PARAM_ERROR", "268435461", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{400, "PARAM_ERROR", "", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "", "", payment.ErrMixedPayer, payment.ErrUnknown},
		{400, "ALREADY_EXISTS", "", "", payment.ErrMixedExists, payment.ErrUnknown},
		{401, "SIGN_ERROR", "", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "NO_AUTH", "", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "REQUEST_BLOCKED", "", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "RULE_LIMIT", "", "金额有误", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "RULE_LIMIT", "", "too many requests", payment.ErrUnknown, payment.ErrUnknown},
		{404, "NOT_FOUND", "", "", payment.ErrMixedNotExist, payment.ErrMixedNotExist},
		{404, "ORDER_NOT_EXIST", "", "", payment.ErrMixedNotExist, payment.ErrMixedNotExist},
		{429, "RATELIMIT_EXCEEDED", "", "", payment.ErrUnknown, payment.ErrUnknown},
		{500, "SYSTEM_ERROR", "", "", payment.ErrUnknown, payment.ErrUnknown},
		{502, "SERVICE_UNAVAILABLE", "", "", payment.ErrUnknown, payment.ErrUnknown},
		{503, "SERVICE_UNAVAILABLE", "", "", payment.ErrUnknown, payment.ErrUnknown},
		{202, "", "", "", payment.ErrUnknown, payment.ErrUnknown},
		{400, "BRAND_NEW", "", "", payment.ErrUnknown, payment.ErrUnknown},
		{400, "BRAND_NEW", "268999999", "", payment.ErrUnknown, payment.ErrUnknown},
	} {
		c := mixedClient(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Wechatpay-Serial") != testKeyID {
				t.Errorf("Wechatpay-Serial %q", r.Header.Get("Wechatpay-Serial"))
			}
			w.Header().Set("Request-ID", "08F9C2A10610A60318E0F2F1AD0120B42328B5A503-"+tt.number)
			w.WriteHeader(tt.status)
			_, _ = fmt.Fprintf(w, `{"code":%q,"message":%q}`, tt.code, tt.message+" 张伟明 360102198506120314")
		}, nil)
		body, err := c.BuildMixed(aMixed(t))
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.CreateMixed(t.Context(), body)
		if !errors.Is(err, tt.want) {
			t.Errorf("%d %s %s: %v, want %v", tt.status, tt.code, tt.number, err, tt.want)
		}
		if tt.number != "" && s.Number != tt.number {
			t.Errorf("%s %s: kept %q", tt.code, tt.number, s.Number)
		}
		if strings.Contains(err.Error(), "张伟明") || strings.Contains(err.Error(), "3601021985") {
			t.Errorf("the error tells who it is about: %v", err)
		}
		if _, err := c.QueryMixed(t.Context(), order1, ""); !errors.Is(err, tt.queried) {
			t.Errorf("query, %d %s %s: %v, want %v", tt.status, tt.code, tt.number, err, tt.queried)
		}
	}
}

func TestMixedCashier(t *testing.T) {
	t.Parallel()
	c := mixedClient(t, nil, nil)
	with, err := c.MixedCashier("MIX1", "wx1")
	if err != nil || with.MixTradeNo != "MIX1" || with.Package != "prepay_id=wx1" || with.PaySign == "" || with.SignType != "RSA" || with.AppID != testApp {
		t.Errorf("with cash: %v %+v", err, with)
	}
	alone, err := c.MixedCashier("MIX1", "")
	if diff := cmp.Diff(payment.Cashier{MixTradeNo: "MIX1"}, alone); err != nil || diff != "" {
		t.Errorf("insurance alone: %v %s", err, diff)
	}
	if _, err := c.MixedCashier("", "wx1"); !errors.Is(err, wechatpay.ErrRequest) {
		t.Errorf("without a number: %v", err)
	}
}

func TestRefundNotice(t *testing.T) {
	t.Parallel()
	status := http.StatusNoContent
	c := mixedClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		want := `{"med_refund_total_fee":10000,"med_refund_gov_fee":9000,"med_refund_self_fee":1000,"med_refund_other_fee":0,"refund_time":"2026-11-23T10:00:00+08:00","out_refund_no":"R1"}`
		if r.URL.RequestURI() != "/v3/med-ins/refunds/notify?mix_trade_no=MIX1" || string(body) != want {
			t.Errorf("%s %s", r.URL.RequestURI(), body)
		}
		signed(w, time.Now(), status, "")
	}, nil)
	n := payment.RefundNotice{MixTradeNo: "MIX1", OutRefundNo: "R1", Gov: 9000, Self: 1000, RefundedAt: start.UTC()}
	body, err := c.BuildRefundNotice(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.NotifyRefund(t.Context(), "MIX1", body); err != nil {
		t.Errorf("NotifyRefund: %v", err)
	}
	status = http.StatusOK
	if err := c.NotifyRefund(t.Context(), "MIX1", body); !errors.Is(err, payment.ErrUnknown) {
		t.Errorf("another status than 204: %v", err)
	}
	for field, change := range map[string]func(*payment.RefundNotice){
		"mix_trade_no":         func(n *payment.RefundNotice) { n.MixTradeNo = "" },
		"out_refund_no":        func(n *payment.RefundNotice) { n.OutRefundNo = "" },
		"med_refund_total_fee": func(n *payment.RefundNotice) { n.Gov = -1 },
		"refund_time":          func(n *payment.RefundNotice) { n.RefundedAt = time.Time{} },
	} {
		bad := n
		change(&bad)
		_, err := c.BuildRefundNotice(bad)
		if f, ok := fault.Find(err); !ok || f.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestMixedNever: nothing is sent when the call cannot leave, and that is not unknown.
func TestMixedNever(t *testing.T) {
	t.Parallel()
	c := newClient(t, clock.NewFake(start), sandbox.Transport(http.NotFoundHandler()))
	if _, err := c.CreateMixed(t.Context(), []byte("{}")); !errors.Is(err, wechatpay.ErrRequest) {
		t.Errorf("CreateMixed: %v", err)
	}
	if _, err := c.QueryMixed(t.Context(), order1, ""); !errors.Is(err, wechatpay.ErrRequest) {
		t.Errorf("QueryMixed: %v", err)
	}
}
