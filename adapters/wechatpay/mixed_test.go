package wechatpay_test

import (
	stdcmp "cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
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

func medIns() *wechatpay.MedIns {
	return &wechatpay.MedIns{CityID: "360100", InstName: "某某市第一医院", InstNo: "H36010000001", ChannelNo: "AAH01",
		CallbackURL: "https://pay.example.com/callbacks/wechatpay/h1"}
}

// mixedClient speaks the mixed order to that handler.
func mixedClient(t testing.TB, h http.HandlerFunc, change func(*wechatpay.MedIns)) *wechatpay.Client {
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
		{400, "INVALID_REQUEST", "268560650", "", payment.ErrUnknown, payment.ErrUnknown},
		{400, "PARAM_ERROR", "268435461", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{400, "PARAM_ERROR", "", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{400, "INVALID_REQUEST", "268999999", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{400, "ALREADY_EXISTS", "", "", payment.ErrMixedExists, payment.ErrUnknown},
		{401, "SIGN_ERROR", "", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "NO_AUTH", "", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "REQUEST_BLOCKED", "", "", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "RULE_LIMIT", "", "金额有误", payment.ErrMixedRefused, payment.ErrUnknown},
		{403, "RULE_LIMIT", "", "Too many requests", payment.ErrUnknown, payment.ErrUnknown},
		{403, "RULELIMIT", "", "请求频率超限", payment.ErrUnknown, payment.ErrUnknown},
		{403, "RULE_LIMIT", "", "操作过于频繁，请稍后再试", payment.ErrUnknown, payment.ErrUnknown},
		{403, "RATELIMIT_EXCEEDED", "", "", payment.ErrUnknown, payment.ErrUnknown},
		{403, "FREQUENCY_LIMITED", "", "", payment.ErrUnknown, payment.ErrUnknown},
		{400, "SOMETHING_NEW", "268547120", "", payment.ErrMixedAuth, payment.ErrUnknown}, // the number wins
		{403, "RULE_LIMIT", "268512536", "", payment.ErrMixedExists, payment.ErrUnknown},
		{404, "NOT_FOUND", "", "", payment.ErrMixedNotExist, payment.ErrMixedNotExist},
		{404, "ORDER_NOT_EXIST", "", "", payment.ErrMixedNotExist, payment.ErrMixedNotExist},
		{429, "RATELIMIT_EXCEEDED", "", "", payment.ErrUnknown, payment.ErrUnknown},
		{429, "RULE_LIMIT", "268529477", "", payment.ErrUnknown, payment.ErrUnknown},
		{500, "SYSTEM_ERROR", "268547120", "", payment.ErrUnknown, payment.ErrUnknown},
		{302, "PARAM_ERROR", "268435461", "", payment.ErrUnknown, payment.ErrUnknown},
		{404, "", "", "", payment.ErrUnknown, payment.ErrUnknown}, // a gateway's own
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
		if want := stdcmp.Or(tt.number, "-"); tt.status != http.StatusAccepted && s != (payment.MixedStatus{Number: want}) {
			t.Errorf("%d %s %s: kept %+v, want the number alone", tt.status, tt.code, tt.number, s)
		}
		if strings.Contains(err.Error(), "张伟明") || strings.Contains(err.Error(), "3601021985") {
			t.Errorf("the error tells who it is about: %v", err)
		}
		if _, err := c.QueryMixed(t.Context(), order1, ""); !errors.Is(err, tt.queried) || (!errors.Is(tt.want, tt.queried) && errors.Is(err, tt.want)) {
			t.Errorf("query, %d %s %s: %v, want %v and nothing else", tt.status, tt.code, tt.number, err, tt.queried)
		}
		if err := c.NotifyRefund(t.Context(), "MIX1", []byte("{}")); !errors.Is(err, tt.want) {
			t.Errorf("refund notice, %d %s %s: %v, want %v", tt.status, tt.code, tt.number, err, tt.want)
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
		"med_refund_gov_fee":   func(n *payment.RefundNotice) { n.Gov = -1 },
		"med_refund_self_fee":  func(n *payment.RefundNotice) { n.Self = money.Max + 1 },
		"med_refund_other_fee": func(n *payment.RefundNotice) { n.Other = math.MinInt64 },
		"med_refund_total_fee": func(n *payment.RefundNotice) { n.Gov, n.Self = money.Max, 1 },
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

// TestMixedOnABrokenWire: what never left is told apart from what may have arrived.
func TestMixedOnABrokenWire(t *testing.T) {
	t.Parallel()
	for want, cause := range map[error]error{payment.ErrNotSent: &net.OpError{Op: "dial", Err: errors.New("张伟明")}, payment.ErrUnknown: io.EOF} {
		cfg := config(clock.NewFake(start), failing{cause})
		cfg.MedIns = medIns()
		c, err := wechatpay.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, created := c.CreateMixed(t.Context(), []byte(`{"out_trade_no":"`+order1+`"}`))
		_, queried := c.QueryMixed(t.Context(), order1, "")
		for _, err := range []error{created, queried, c.NotifyRefund(t.Context(), "MIX1", []byte("{}"))} {
			if !errors.Is(err, want) || strings.Contains(err.Error(), "张伟明") {
				t.Errorf("%v: %v, want %v", cause, err, want)
			}
		}
	}
}

// TestMixedNever: a hospital without the mixed order, and calls about nothing, send nothing.
func TestMixedNever(t *testing.T) {
	t.Parallel()
	over := func(http.ResponseWriter, *http.Request) { t.Error("something was sent") }
	c := newClient(t, clock.NewFake(start), sandbox.Transport(http.HandlerFunc(over)))
	with := mixedClient(t, over, nil)
	body, err := with.BuildMixed(aMixed(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"BuildMixed":          func() error { _, err := c.BuildMixed(aMixed(t)); return err },
		"CreateMixed":         func() error { _, err := c.CreateMixed(t.Context(), body); return err },
		"QueryMixed":          func() error { _, err := c.QueryMixed(t.Context(), order1, ""); return err },
		"MixedCashier":        func() error { _, err := c.MixedCashier("MIX1", "wx1"); return err },
		"BuildRefundNotice":   func() error { _, err := c.BuildRefundNotice(payment.RefundNotice{}); return err },
		"NotifyRefund":        func() error { return c.NotifyRefund(t.Context(), "MIX1", []byte("{}")) },
		"query of nothing":    func() error { _, err := with.QueryMixed(t.Context(), "", "MIX1"); return err },
		"notice of nothing":   func() error { return with.NotifyRefund(t.Context(), "", []byte("{}")) },
		"creation of nothing": func() error { _, err := with.CreateMixed(t.Context(), []byte("{}")); return err },
	} {
		if err := do(); !errors.Is(err, wechatpay.ErrRequest) || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
