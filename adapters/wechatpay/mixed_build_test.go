package wechatpay_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

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
	body, err = mixedClient(t, nil, func(m *wechatpay.MedIns) {
		m.TestEnv, m.AllowTestEnv, m.CardType, m.AddType = true, true, "HOUSEHOLD_REGISTRATION", "DEFAULT_ADD_TYPE"
	}).BuildMixed(aMixed(t))
	for _, want := range []string{`"med_ins_test_env":true`, `"card_type":"HOUSEHOLD_REGISTRATION"`, `"cash_add_type":"DEFAULT_ADD_TYPE"`} {
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("the bureau's test system: %v %s", err, body)
		}
	}
}

// always are the fields of every mixed order of ours.
var always = []string{"appid", "attach", "callback_url", "channel_no", "city_id", "geo_location", "med_ins_cash_fee", "med_ins_gov_fee",
	"med_ins_order_create_time", "med_ins_other_fee", "med_ins_self_fee", "med_inst_name", "med_inst_no", "mix_pay_type", "openid",
	"order_type", "out_trade_no", "passthrough_request_content", "pay_auth_no", "pay_order_id", "payer", "serial_no", "total_fee"}

// TestMixedFieldsByType: which fields go out, by type (wechat-med-ins.md §b.1.1). Required zeros are there, and nothing is null or empty.
func TestMixedFieldsByType(t *testing.T) {
	t.Parallel()
	zeros := insuranceAlone(t)
	zeros.Amounts = payment.MixedAmounts{Total: 1, Other: 1}
	ownPay := aMixed(t)
	ownPay.Amounts = payment.MixedAmounts{Total: 8000, Cash: 8000, Wechat: 8000}
	for name, tt := range map[string]struct {
		order payment.MixedOrder
		kind  string
		more  []string
	}{
		"insurance only":           {insuranceAlone(t), "INSURANCE_ONLY", nil},
		"insurance only, one fen":  {zeros, "INSURANCE_ONLY", nil},
		"cash and insurance":       {aMixed(t), "CASH_AND_INSURANCE", []string{"cash_add_detail", "prepay_id", "wechat_pay_cash_fee"}},
		"presettled, all own cash": {ownPay, "CASH_AND_INSURANCE", []string{"prepay_id", "wechat_pay_cash_fee"}},
	} {
		body, err := mixedClient(t, nil, nil).BuildMixed(tt.order)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		want := slices.Sorted(slices.Values(append(slices.Clone(always), tt.more...)))
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" || got["mix_pay_type"] != tt.kind {
			t.Errorf("%s: %v (-want +got):\n%s", name, got["mix_pay_type"], diff)
		}
		if strings.Contains(string(body), "null") || strings.Contains(string(body), `:""`) {
			t.Errorf("%s: something is empty: %s", name, body)
		}
	}
}

// TestMixedLinkage takes and gives every field that hangs on the type, in both types.
func TestMixedLinkage(t *testing.T) {
	t.Parallel()
	type change = func(*payment.MixedOrder)
	toPay := func(o *payment.MixedOrder) { o.Amounts = aMixed(t).Amounts }
	notToPay := func(o *payment.MixedOrder) { o.Amounts = insuranceAlone(t).Amounts }
	for field, row := range map[string]struct {
		alone, withCash change // what makes it wrong there
		says            []string
	}{
		"prepay_id": {func(o *payment.MixedOrder) { o.PrepayID = "wx1" }, func(o *payment.MixedOrder) { o.PrepayID = "" },
			[]string{"wechat_pay_cash_fee", "prepay_id"}},
		"wechat_pay_cash_fee": {toPay, notToPay, []string{"prepay_id", "wechat_pay_cash_fee"}},
		"pay_order_id": {func(o *payment.MixedOrder) { o.PayOrderID = "" }, func(o *payment.MixedOrder) { o.PayOrderID = "" },
			[]string{"pay_order_id", "pay_order_id"}},
		"pay_auth_no": {func(o *payment.MixedOrder) { o.PayAuthNo = sensitive.Token{} },
			func(o *payment.MixedOrder) { o.PayAuthNo = sensitive.NewToken("") }, []string{"pay_auth_no", "pay_auth_no"}},
		"geo_location": {func(o *payment.MixedOrder) { o.Location = "" }, func(o *payment.MixedOrder) { o.Location = "" },
			[]string{"geo_location", "geo_location"}},
		"med_ins_order_create_time": {func(o *payment.MixedOrder) { o.UploadedAt = time.Time{} },
			func(o *payment.MixedOrder) { o.UploadedAt = time.Time{} }, []string{"med_ins_order_create_time", "med_ins_order_create_time"}},
	} {
		for i, o := range []payment.MixedOrder{insuranceAlone(t), aMixed(t)} {
			[]change{row.alone, row.withCash}[i](&o)
			refusedAt(t, field, o, row.says[i])
		}
	}
}

// refusedAt builds the order and wants that field named.
func refusedAt(t *testing.T, name string, o payment.MixedOrder, field string) {
	t.Helper()
	_, err := mixedClient(t, nil, nil).BuildMixed(o)
	if f, ok := fault.Find(err); !ok || f.Kind != fault.Invalid || f.Field != field {
		t.Errorf("%s: %v (field %q), want %s", name, err, f.Field, field)
	}
	if err != nil && (strings.Contains(err.Error(), "张伟明") || strings.Contains(err.Error(), "AUTH36")) {
		t.Errorf("%s: the error tells who it is about: %v", name, err)
	}
}

// TestMixedForms: lengths and forms, one by one (wechat-med-ins.md §b.1).
func TestMixedForms(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		field  string
		change func(*payment.MixedOrder)
	}{
		"out_trade_no of 5":            {"out_trade_no", func(o *payment.MixedOrder) { o.OutTradeNo = "TK123" }},
		"out_trade_no of 33":           {"out_trade_no", func(o *payment.MixedOrder) { o.OutTradeNo = strings.Repeat("1", 33) }},
		"no serial_no":                 {"serial_no", func(o *payment.MixedOrder) { o.SerialNo = "" }},
		"serial_no of 21":              {"serial_no", func(o *payment.MixedOrder) { o.SerialNo = strings.Repeat("1", 21) }},
		"pay_order_id of 65":           {"pay_order_id", func(o *payment.MixedOrder) { o.PayOrderID = strings.Repeat("O", 65) }},
		"pay_auth_no of 41":            {"pay_auth_no", func(o *payment.MixedOrder) { o.PayAuthNo = sensitive.NewToken(strings.Repeat("A", 41)) }},
		"no openid":                    {"openid", func(o *payment.MixedOrder) { o.OpenID = sensitive.OpenID{} }},
		"openid of 129":                {"openid", func(o *payment.MixedOrder) { o.OpenID = sensitive.NewOpenID(strings.Repeat("o", 129)) }},
		"prepay_id of 65":              {"prepay_id", func(o *payment.MixedOrder) { o.PrepayID = strings.Repeat("w", 65) }},
		"attach of 129":                {"attach", func(o *payment.MixedOrder) { o.Attach = strings.Repeat("a", 129) }},
		"attach with a line break":     {"attach", func(o *payment.MixedOrder) { o.Attach = "a\nb" }},
		"no order_type":                {"order_type", func(o *payment.MixedOrder) { o.OrderType = "" }},
		"an unpublished order_type":    {"order_type", func(o *payment.MixedOrder) { o.OrderType = "UNKNOWN_ORDER_TYPE" }},
		"a place that is none":         {"geo_location", func(o *payment.MixedOrder) { o.Location = "here" }},
		"latitude first":               {"geo_location", func(o *payment.MixedOrder) { o.Location = "28.676493,115.892151" }},
		"a place without decimals":     {"geo_location", func(o *payment.MixedOrder) { o.Location = "115.,28.6" }},
		"a place of half":              {"geo_location", func(o *payment.MixedOrder) { o.Location = "115.892151," }},
		"a place of 41":                {"geo_location", func(o *payment.MixedOrder) { o.Location = "115.8921510000000000,28.67649300000000000" }},
		"a place on another planet":    {"geo_location", func(o *payment.MixedOrder) { o.Location = "--115,28.6" }},
		"no payer":                     {"payer", func(o *payment.MixedOrder) { o.Payer = payment.MixedPerson{} }},
		"payer without name":           {"payer", func(o *payment.MixedOrder) { o.Payer.Name = sensitive.Name{} }},
		"a name that cannot be sealed": {"payer", func(o *payment.MixedOrder) { o.Payer.Name = sensitive.NewName(strings.Repeat("张", 72)) }},
		"relative without number":      {"relative", func(o *payment.MixedOrder) { o.Relative = &payment.MixedPerson{Name: o.Payer.Name} }},
		"a reduction": {"cash_reduce_detail", func(o *payment.MixedOrder) {
			o.Amounts.Reduced, o.Amounts.Wechat = 5, o.Amounts.Wechat-5
		}},
		"the bureau settled nothing": {"total_fee", func(o *payment.MixedOrder) {
			o.Amounts = payment.MixedAmounts{Total: 2000, Added: 2000, Wechat: 2000}
		}},
	} {
		o := aMixed(t)
		tt.change(&o)
		refusedAt(t, name, o, tt.field)
	}
	nothing := insuranceAlone(t)
	nothing.Amounts = payment.MixedAmounts{}
	refusedAt(t, "nothing at all", nothing, "total_fee")
	if _, err := mixedClient(t, nil, nil).BuildMixed(func() payment.MixedOrder {
		o := aMixed(t)
		o.Payer.Name, o.Location = sensitive.NewName(strings.Repeat("张", 71)), "-115,-28.6"
		return o
	}()); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

// TestMixedEquations moves every amount by a fen, up and down.
func TestMixedEquations(t *testing.T) {
	t.Parallel()
	amounts := map[string]func(*payment.MixedAmounts) *money.Fen{
		"total": func(a *payment.MixedAmounts) *money.Fen { return &a.Total }, "gov": func(a *payment.MixedAmounts) *money.Fen { return &a.Gov },
		"self": func(a *payment.MixedAmounts) *money.Fen { return &a.Self }, "other": func(a *payment.MixedAmounts) *money.Fen { return &a.Other },
		"cash": func(a *payment.MixedAmounts) *money.Fen { return &a.Cash }, "added": func(a *payment.MixedAmounts) *money.Fen { return &a.Added },
		"wechat": func(a *payment.MixedAmounts) *money.Fen { return &a.Wechat }}
	for name, one := range amounts {
		for _, by := range []money.Fen{1, -1, money.Max} {
			o := aMixed(t)
			*one(&o.Amounts) += by
			if _, err := mixedClient(t, nil, nil).BuildMixed(o); !errors.Is(err, payment.ErrEquation) {
				t.Errorf("%s by %d: %v", name, by, err)
			}
		}
	}
}

// TestMixedBytes: what was built is sent as it is, under the key's id that it was encrypted for, and never twice the same.
func TestMixedBytes(t *testing.T) {
	t.Parallel()
	var sent []byte
	c := mixedClient(t, func(w http.ResponseWriter, r *http.Request) {
		sent, _ = io.ReadAll(r.Body)
		if r.Method+" "+r.RequestURI != "POST /v3/med-ins/orders" || r.Header.Get("Wechatpay-Serial") != testKeyID {
			t.Errorf("%s %s under %s", r.Method, r.RequestURI, r.Header.Get("Wechatpay-Serial"))
		}
		signed(w, time.Now(), http.StatusOK, entity(nil))
	}, nil)
	body, err := c.BuildMixed(aMixed(t))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.BuildMixed(aMixed(t)); err != nil || string(again) == string(body) {
		t.Errorf("built twice, the ciphers are equal: %v", err)
	}
	for _, stored := range [][]byte{body, append([]byte(" \n"), body...)} {
		if s, err := c.CreateMixed(t.Context(), stored); err != nil || s.MixTradeNo != "MIX1" || string(sent) != string(stored) {
			t.Errorf("sent %s: %+v, %v", sent, s, err)
		}
	}
	for _, broken := range []string{"", "{}", "[]", `{"out_trade_no":""}`} {
		if _, err := c.CreateMixed(t.Context(), []byte(broken)); !errors.Is(err, wechatpay.ErrRequest) {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

func TestMedInsConfig(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*wechatpay.MedIns){
		"no city": func(m *wechatpay.MedIns) { m.CityID = "" }, "long city": func(m *wechatpay.MedIns) { m.CityID = "123456789" },
		"no institution": func(m *wechatpay.MedIns) { m.InstNo = "" }, "no name": func(m *wechatpay.MedIns) { m.InstName = "" },
		"long channel":      func(m *wechatpay.MedIns) { m.ChannelNo = strings.Repeat("1", 33) },
		"city with a space": func(m *wechatpay.MedIns) { m.CityID = "36 100" },
		"long institution":  func(m *wechatpay.MedIns) { m.InstNo = strings.Repeat("1", 33) },
		"long name":         func(m *wechatpay.MedIns) { m.InstName = strings.Repeat("院", 129) },
		"name with emoji":   func(m *wechatpay.MedIns) { m.InstName = "医院😀" },
		"no callback":       func(m *wechatpay.MedIns) { m.CallbackURL = "" },
		"empty query":       func(m *wechatpay.MedIns) { m.CallbackURL += "?" },
		"fragment":          func(m *wechatpay.MedIns) { m.CallbackURL += "#a" },
		"long callback":     func(m *wechatpay.MedIns) { m.CallbackURL += strings.Repeat("a", 256) },
		"card type":         func(m *wechatpay.MedIns) { m.CardType = "UNKNOWN_USER_CARD_TYPE" },
		"add type":          func(m *wechatpay.MedIns) { m.AddType = "UNKNOWN_CASH_ADD_TYPE" },
		"http":              func(m *wechatpay.MedIns) { m.CallbackURL = "http://pay.example.com/x" },
		"query":             func(m *wechatpay.MedIns) { m.CallbackURL += "?a=1" },
		"test system":       func(m *wechatpay.MedIns) { m.TestEnv = true },
	} {
		cfg := config(clock.NewFake(start), sandbox.Transport(http.NotFoundHandler()))
		cfg.MedIns = medIns()
		change(cfg.MedIns)
		if _, err := wechatpay.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	cfg := config(clock.NewFake(start), sandbox.Transport(http.NotFoundHandler()))
	cfg.AppID, cfg.MedIns = strings.ToUpper(testApp), medIns()
	if _, err := wechatpay.New(cfg); err == nil {
		t.Error("an appid in upper case: accepted")
	}
	cfg.MedIns = nil
	if _, err := wechatpay.New(cfg); err != nil {
		t.Errorf("without the mixed order: %v", err)
	}
}
