package wechatpay_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
)

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

// insured turns the entity into one of insurance alone, as WeChat writes it: what is not charged is left out.
func insured(m map[string]any) {
	m["mix_pay_type"], m["self_pay_status"], m["total_fee"] = "INSURANCE_ONLY", "NO_SELF_PAY", 10000
	for _, name := range []string{"med_ins_cash_fee", "wechat_pay_cash_fee", "cash_add_detail"} {
		delete(m, name)
	}
}

func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

func without(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }

func TestMixedAnswers(t *testing.T) {
	t.Parallel()
	paid := payment.MixedStatus{MixTradeNo: "MIX1", OutTradeNo: order1, SerialNo: "250425114624004097", PayOrderID: "ORD1", Mix: payment.MixSuccess,
		Self: payment.SelfSuccess, MedIns: payment.InsSuccess, OpenID: sensitive.NewOpenID(testOpenID), PaidAt: start.Add(5 * time.Minute).UTC(),
		Amounts: payment.MixedAmounts{Total: 20000, Gov: 9000, Self: 1000, Cash: 8000, Added: 2000, Wechat: 10000}}
	for name, tt := range map[string]struct {
		change func(map[string]any)
		want   func(*payment.MixedStatus)
	}{
		"as it should be":   {nil, nil},
		"older time":        {set("paid_time", "20261123100500"), nil},
		"time without need": {func(m map[string]any) { m["mix_pay_status"], m["paid_time"] = "MIX_PAY_FAIL", "soon" }, func(s *payment.MixedStatus) { s.Mix, s.PaidAt = payment.MixFail, time.Time{} }},
		"empty time": {func(m map[string]any) { m["mix_pay_status"], m["paid_time"] = "MIX_PAY_CREATED", "" },
			func(s *payment.MixedStatus) { s.Mix, s.PaidAt = payment.MixCreated, time.Time{} }},
		"success that does not say when": {without("paid_time"), func(s *payment.MixedStatus) { s.PaidAt = time.Time{} }},
		"refunded":                       {set("mix_pay_status", "MIX_PAY_REFUND"), func(s *payment.MixedStatus) { s.Mix = payment.MixRefund }},
		"an unpublished state": {set("mix_pay_status", "MIX_PAY_USER_PAYING"),
			func(s *payment.MixedStatus) { s.Mix, s.PaidAt = "MIX_PAY_USER_PAYING", time.Time{} }},
		"unknown states": {func(m map[string]any) {
			m["mix_pay_status"], m["self_pay_status"], m["med_ins_pay_status"] = "UNKNOWN_MIX_PAY_STATUS", "UNKNOWN_SELF_PAY_STATUS", "UNKNOWN_MED_INS_PAY_STATUS"
		}, func(s *payment.MixedStatus) {
			s.Mix, s.Self, s.MedIns, s.PaidAt = "UNKNOWN_MIX_PAY_STATUS", "UNKNOWN_SELF_PAY_STATUS", "UNKNOWN_MED_INS_PAY_STATUS", time.Time{}
		}},
		"with its type":  {set("mix_pay_type", "CASH_AND_INSURANCE"), nil},
		"nulls":          {func(m map[string]any) { m["med_ins_other_fee"], m["cash_reduce_detail"], m["extends"] = nil, nil, nil }, nil},
		"without openid": {without("openid"), func(s *payment.MixedStatus) { s.OpenID = sensitive.OpenID{} }},
		"without appid":  {without("appid"), nil},
		"insurance alone": {insured, func(s *payment.MixedStatus) {
			s.Self, s.Amounts = payment.SelfNone, payment.MixedAmounts{Total: 10000, Gov: 9000, Self: 1000}
		}},
		"a reason": {func(m map[string]any) {
			m["mix_pay_status"], m["med_ins_fail_reason"] = "MIX_PAY_FAIL", "追溯码缺失"
		},
			func(s *payment.MixedStatus) {
				s.Mix, s.PaidAt, s.FailReason = payment.MixFail, time.Time{}, "追溯码缺失"
			}},
		"a very long reason": {func(m map[string]any) {
			m["mix_pay_status"], m["med_ins_fail_reason"] = "MIX_PAY_FAIL", strings.Repeat("码", 3000)
		}, func(s *payment.MixedStatus) {
			s.Mix, s.PaidAt, s.FailReason = payment.MixFail, time.Time{}, strings.Repeat("码", 2048)
		}},
		"reductions": {func(m map[string]any) {
			m["wechat_pay_cash_fee"], m["cash_reduce_detail"] = 9500, []any{map[string]any{"cash_reduce_fee": 200}, map[string]any{"cash_reduce_fee": 300}}
		}, func(s *payment.MixedStatus) { s.Amounts.Wechat, s.Amounts.Reduced = 9500, 500 }},
	} {
		want, asked := paid, ""
		if tt.want != nil {
			tt.want(&want)
		}
		c := mixedClient(t, func(w http.ResponseWriter, r *http.Request) {
			asked = r.RequestURI
			signed(w, time.Now(), http.StatusOK, entity(tt.change))
		}, nil)
		for mixTradeNo, path := range map[string]string{"MIX1": "mix-trade-no/MIX1", "": "out-trade-no/" + order1} {
			got, err := c.QueryMixed(t.Context(), order1, mixTradeNo)
			if diff := cmp.Diff(want, got, cmp.Comparer(sensitive.OpenID.Equal)); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
			}
			if asked != "/v3/med-ins/orders/"+path {
				t.Errorf("asked %s", asked)
			}
		}
	}
}

// TestMixedAnswersThatProveNothing: not ours, incomplete, or with amounts that cannot be. Nothing of them is told.
func TestMixedAnswersThatProveNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"a broken equation":          set("med_ins_gov_fee", 9001),
		"an amount left out":         without("med_ins_self_fee"),
		"a detail left out":          without("cash_add_detail"),
		"charge left out":            without("wechat_pay_cash_fee"),
		"a negative amount":          func(m map[string]any) { m["med_ins_self_fee"], m["med_ins_gov_fee"] = -1000, 11000 },
		"details that cancel out":    set("cash_add_detail", []any{map[string]any{"cash_add_fee": 3000}, map[string]any{"cash_add_fee": -1000}}),
		"a detail beyond all bounds": set("cash_add_detail", []any{map[string]any{"cash_add_fee": int64(9e18)}, map[string]any{"cash_add_fee": int64(9e18)}}),
		"another appid":              set("appid", "wx9"),
		"another institution":        set("med_inst_no", "H9"),
		"another order":              set("out_trade_no", "other-order"),
		"no out_trade_no":            without("out_trade_no"),
		"another mix_trade_no":       set("mix_trade_no", "MIX2"),
		"no mix_trade_no":            without("mix_trade_no"),
		"no total":                   without("total_fee"),
		"no state":                   without("mix_pay_status"),
		"a time that is none":        set("paid_time", "soon"),
		"an amount with decimals":    set("total_fee", 20000.5),
		"an amount as text":          set("total_fee", "20000"),
		"insurance alone, charged":   set("mix_pay_type", "INSURANCE_ONLY"),
		"cash alone, insured":        set("mix_pay_type", "CASH_ONLY"),
		"an unknown type":            set("mix_pay_type", "UNKNOWN_MIX_PAY_TYPE"),
		"mixed, nothing charged":     func(m map[string]any) { insured(m); m["mix_pay_type"] = "CASH_AND_INSURANCE" },
		"mixed, nothing settled": func(m map[string]any) {
			for _, name := range []string{"med_ins_gov_fee", "med_ins_self_fee", "med_ins_cash_fee"} {
				delete(m, name)
			}
			m["mix_pay_type"], m["total_fee"], m["wechat_pay_cash_fee"] = "CASH_AND_INSURANCE", 2000, 2000
		},
	} {
		c := mixedClient(t, func(w http.ResponseWriter, _ *http.Request) { signed(w, time.Now(), http.StatusOK, entity(change)) }, nil)
		s, err := c.QueryMixed(t.Context(), order1, "MIX1")
		if !errors.Is(err, payment.ErrUnknown) || s != (payment.MixedStatus{}) {
			t.Errorf("query, %s: %+v, %v", name, s, err)
		}
	}
	stated := map[string]http.HandlerFunc{
		"signed an hour ago": func(w http.ResponseWriter, _ *http.Request) {
			signed(w, time.Now().Add(-time.Hour), http.StatusOK, entity(nil))
		},
		"unsigned": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(entity(nil))) },
		"202":      func(w http.ResponseWriter, _ *http.Request) { signed(w, time.Now(), http.StatusAccepted, entity(nil)) },
		"204":      func(w http.ResponseWriter, _ *http.Request) { signed(w, time.Now(), http.StatusNoContent, "") },
		"null":     func(w http.ResponseWriter, _ *http.Request) { signed(w, time.Now(), http.StatusOK, "null") },
		"another order": func(w http.ResponseWriter, _ *http.Request) {
			signed(w, time.Now(), http.StatusOK, entity(set("out_trade_no", "TK0")))
		},
	}
	for name, handler := range stated {
		c := mixedClient(t, handler, nil)
		body, err := c.BuildMixed(aMixed(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateMixed(t.Context(), body); !errors.Is(err, payment.ErrUnknown) {
			t.Errorf("create, %s: %v", name, err)
		}
		if _, err := c.QueryMixed(t.Context(), order1, ""); !errors.Is(err, payment.ErrUnknown) {
			t.Errorf("query, %s: %v", name, err)
		}
	}
}

// TestCashOnlyAnswer: an order that is not of our making, whose insurance amounts are left out, is read with zeros.
func TestCashOnlyAnswer(t *testing.T) {
	t.Parallel()
	c := mixedClient(t, func(w http.ResponseWriter, _ *http.Request) {
		signed(w, time.Now(), http.StatusOK, `{"mix_trade_no":"MIX1","mix_pay_status":"MIX_PAY_CREATED","out_trade_no":"`+order1+`","mix_pay_type":"CASH_ONLY",`+
			`"total_fee":5000,"wechat_pay_cash_fee":5000,"cash_add_detail":[{"cash_add_fee":5000}]}`)
	}, nil)
	got, err := c.QueryMixed(t.Context(), order1, "")
	if want := (payment.MixedAmounts{Total: 5000, Added: 5000, Wechat: 5000}); err != nil || got.Amounts != want {
		t.Errorf("QueryMixed() = %+v, %v", got, err)
	}
}

// FuzzMixedAnswer gives signed answers of any form: what is believed is ours and adds up, everything else is unknown.
func FuzzMixedAnswer(f *testing.F) {
	f.Add(entity(nil), "MIX1")
	f.Add(entity(insured), "")
	f.Add("null", "")
	f.Add(`{"cash_add_detail":[{}],"total_fee":0}`, "MIX1")
	answer := ""
	c := mixedClient(f, func(w http.ResponseWriter, _ *http.Request) { signed(w, time.Now(), http.StatusOK, answer) }, nil)
	f.Fuzz(func(t *testing.T, body, mixTradeNo string) {
		answer = body
		s, err := c.QueryMixed(t.Context(), order1, mixTradeNo)
		switch {
		case err != nil && !errors.Is(err, payment.ErrUnknown):
			t.Errorf("%q: %v", body, err)
		case err == nil && (s.OutTradeNo != order1 || s.MixTradeNo == "" || s.Mix == "" || s.Amounts.Check() != nil):
			t.Errorf("%q was believed: %+v", body, s)
		case err == nil && !s.PaidAt.IsZero() && s.Mix != payment.MixSuccess && s.Mix != payment.MixRefund:
			t.Errorf("%q is paid: %+v", body, s)
		}
	})
}
