package miniprogramapi

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

func (s *orders) Renew(_ context.Context, a patient.AccountID, id order.ID) (*order.Order, error) {
	return s.change(id, a, s.renew)
}

func (s *orders) Joint(institution string) bool { return s.joint && institution == "h1" }

func (s *orders) PerVisit(institution string) bool { return institution == "h1" }

// together is an order whose legs move together: uploaded to the centre, and WeChat's order open.
func together(f *face, person string, uninsured, cash money.Fen) *order.Order {
	o := quotedOrder(f, person)
	o.Route, o.PayAuth, o.AuthUntil = order.Mixed, 5, f.clock.Now().Add(10*time.Minute)
	o.Split = split.Split{PooledFund: 1000, Account: 917 - cash, Cash: cash, Uninsured: uninsured}
	o.Settlement().Upload = settlement.Upload{OrderNo: "7", PayOrdID: "ORD360000PAYSECRET", PayToken: sensitive.NewToken("PAYTOKENSECRET"),
		ECToken: sensitive.NewToken("ECTOKENSECRET"), At: f.clock.Now()}
	return o
}

// paysTogether moves it to paying.
func paysTogether(o *order.Order, until time.Time) {
	m := payment.MixedOrder{OutTradeNo: "T9", SerialNo: "7", PayOrderID: "ORD360000PAYSECRET", PayAuthNo: sensitive.NewToken("AUTHSECRET"),
		Amounts: payment.MixedAmounts{Total: o.Total, Gov: 1000, Self: 500, Cash: o.Split.Cash, Added: o.Split.Uninsured, Wechat: o.Split.Charge()}}
	if o.Split.Charge() > 0 {
		pays(o, until)
	} else {
		m.OutTradeNo, o.State, o.ConfirmedAt = "T10", order.Paying, until.Add(-30*time.Minute)
		o.Version++
	}
	mixed := payment.NewMixed(11, 1, m, []byte("exact"), until)
	mixed.State, mixed.MixTradeNo = payment.MixedOpen, "MIX1"
	o.Mixed = append(o.Mixed, mixed)
	o.Settlement().State, o.Settlement().HandedOver = settlement.Settling, true
}

func (f *face) noSecrets(body string) {
	f.t.Helper()
	for _, secret := range []string{"PAYTOKENSECRET", "ECTOKENSECRET", "AUTHSECRET", "PAYSECRET"} {
		if strings.Contains(body, secret) {
			f.t.Errorf("the answer holds %s: %s", secret, body)
		}
	}
}

func TestBothLegsUnderOnePassword(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.orders.joint = true
	f.orders.quote = func(order.QuoteRequest) (*order.Order, error) { return together(f, id, 1200, 417), nil }
	f.orders.confirm = func(o *order.Order) error { paysTogether(o, f.clock.Now().Add(8*time.Minute)); return nil }
	body := f.want(f.quote(id, "quote-0001"), 201, "")
	if body["pay_way"] != "none" || !strings.Contains(body["state_text"].(string), "一次密码") {
		t.Errorf("order = %v", body)
	}
	w := f.confirm("confirm-0001", `{"version":3}`)
	body = f.want(w, 200, "")
	f.noSecrets(w.Body.String())
	if body["next_action"] != "pay" || body["pay_way"] != "both" || body["pay_until"] != "2026-11-23T02:08:00Z" || !strings.Contains(body["state_text"].(string), "10:08 前完成支付") {
		t.Errorf("order = %v", body)
	}
	want := []any{map[string]any{"out_trade_no": "T9", "mix_trade_no": "MIX1", "state": "open", "serial_no": "7"}}
	if diff := cmp.Diff(want, body["mixed"]); diff != "" {
		t.Error(diff)
	}
	if st := body["settlements"].([]any)[0].(map[string]any); st["order_no"] != "7" || st["state"] != "settling" {
		t.Errorf("settlement = %v", st)
	}
	f.orders.cashier.MixTradeNo = "MIX1"
	for _, query := range []string{"", "?medical_insurance=true"} {
		if body := f.want(f.do("GET", "/orders/"+orderNo+"/cashier"+query, ""), 200, ""); body["mixTradeNo"] != "MIX1" || body["package"] != "prepay_id=wx1" {
			t.Errorf("cashier = %v", body)
		}
	}
	f.want(f.do("GET", "/orders/"+orderNo+"/cashier?medical_insurance=false", ""), 409, "CLIENT_TOO_OLD")
	f.wantField(f.do("GET", "/orders/"+orderNo+"/cashier?medical_insurance=perhaps", ""), 400, "BAD_REQUEST", "medical_insurance")
	f.orders.cashier.MixTradeNo = "" // an order paid in cash alone
	if body := f.want(f.do("GET", "/orders/"+orderNo+"/cashier?medical_insurance=false", ""), 200, ""); body["mixTradeNo"] != nil {
		t.Errorf("cashier = %v", body)
	}
}

func TestInsuranceAloneHasNoCashArguments(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	o := together(f, id, 0, 0)
	paysTogether(o, f.clock.Now().Add(8*time.Minute))
	f.orders.list[o.ID] = o
	body := f.want(f.do("GET", "/orders/"+orderNo, ""), 200, "")
	if body["next_action"] != "pay" || body["pay_way"] != "insurance" || body["pay_until"] != "2026-11-23T02:08:00Z" || len(body["payments"].([]any)) != 0 {
		t.Errorf("order = %v", body)
	}
	f.orders.cashier = payment.Cashier{MixTradeNo: "MIX1"}
	if diff := cmp.Diff(map[string]any{"mixTradeNo": "MIX1"}, f.want(f.do("GET", "/orders/"+orderNo+"/cashier", ""), 200, "")); diff != "" {
		t.Error(diff)
	}
	f.clock.Advance(8 * time.Minute)
	if body := f.want(f.do("GET", "/orders/"+orderNo, ""), 200, ""); body["next_action"] != "wait" || body["pay_way"] != "none" {
		t.Errorf("order after its time = %v", body)
	}
}

// TestAnOldWeChat: one without wx.requestMedicalInsurancePay is told before the insurer is asked anything; cash alone it may pay.
func TestAnOldWeChat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		joint, insurance bool
		says             string
		refused          bool
	}{
		{"too old", true, true, `,"medical_insurance":false`, true},
		{"cash alone", true, false, `,"medical_insurance":false`, false},
		{"legs one after the other", false, true, `,"medical_insurance":false`, false},
		{"new enough", true, true, `,"medical_insurance":true`, false},
		{"says nothing", true, true, ``, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, id := ordering(t)
			f.orders.joint = c.joint
			insurance := "false"
			if c.insurance {
				insurance = "true"
			}
			body := `{"patient_id":"` + id + `","bill_nos":["MZ1"],"insurance":` + insurance + c.says + `}`
			w := f.do("POST", "/orders", body, "Idempotency-Key", "quote-0001")
			if !c.refused {
				f.want(w, 201, "")
				return
			}
			f.want(w, 409, "CLIENT_TOO_OLD")
			if f.orders.quotes != 0 || len(f.replays.records) != 0 {
				t.Errorf("%d quotes, %d records, want none", f.orders.quotes, len(f.replays.records))
			}
			updated := strings.Replace(body, `"medical_insurance":false`, `"medical_insurance":true`, 1)
			f.want(f.do("POST", "/orders", updated, "Idempotency-Key", "quote-0001"), 201, "")
		})
	}
}

// TestAnAuthorisationIsRefusedWhileQuoting: the order is there and waits, which is an outcome.
func TestAnAuthorisationIsRefusedWhileQuoting(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.orders.quote = func(order.QuoteRequest) (*order.Order, error) {
		o := together(f, id, 1200, 417)
		o.State, o.Renew, o.Split, o.QuotedUntil = order.Quoting, true, split.Split{}, f.clock.Now().Add(15*time.Minute)
		return o, nil
	}
	first := f.quote(id, "quote-0001")
	body := f.want(first, 201, "")
	if body["next_action"] != "authorise" || body["quoted_until"] != "2026-11-23T02:15:00Z" || body["state_text"] != "医保授权已失效，请重新授权，费用单已为您保留到 10:15，尚未扣款" {
		t.Errorf("order = %v", body)
	}
	if again := f.quote(id, "quote-0001"); again.Body.String() != first.Body.String() {
		t.Errorf("again: %s", again.Body)
	}
	o := f.orders.list[251334985728512]
	o.CancelAsked = true
	if body := f.want(f.do("GET", "/orders/"+orderNo, ""), 200, ""); body["next_action"] != "wait" || body["quoted_until"] != nil {
		t.Errorf("order given up = %v", body)
	}
}

func TestAuthorisedAnew(t *testing.T) {
	t.Parallel()
	soon := func(o *order.Order, f *face) { o.AuthUntil = f.clock.Now().Add(10 * time.Minute) }
	for _, c := range []struct {
		name   string
		before func(*order.Order, *face)
		renew  func(*order.Order, *face) error
		status int
		code   string
		state  string
		next   string
	}{
		{"and quoted", nil, func(o *order.Order, f *face) error {
			*o = *together(f, idText(int64(o.Patient)), 1200, 417)
			return nil
		}, 200, "", "quoted", "confirm"},
		{"and still asked", nil, func(o *order.Order, f *face) error { o.Renew = false; soon(o, f); return nil }, 202, "", "quoting", "wait"},
		{"and refused again", nil, func(o *order.Order, f *face) error { soon(o, f); return nil }, 200, "", "quoting", "authorise"},
		{"without a new one", nil, func(*order.Order, *face) error { return order.ErrAuthUsed }, 409, "AUTH_USED", "", ""},
		{"too late", nil, func(*order.Order, *face) error { return patient.ErrAuthExpired }, 409, "AUTH_EXPIRED", "", ""},
		{"never bound", nil, func(*order.Order, *face) error { return patient.ErrNotBound }, 409, "INSURANCE_NOT_BOUND", "", ""},
		{"while it is worked on", nil, func(*order.Order, *face) error { return job.ErrBusy }, 409, "ORDER_BUSY", "", ""},
		{"twice, asked", func(o *order.Order, f *face) { o.Renew = false; soon(o, f) },
			func(*order.Order, *face) error { return order.ErrState }, 202, "", "quoting", "wait"},
		{"twice, quoted", func(o *order.Order, f *face) { o.State, o.Renew = order.Quoted, false; soon(o, f) },
			func(*order.Order, *face) error { return order.ErrAuthUsed }, 200, "", "quoted", "confirm"},
		{"quoted by one that has ended", func(o *order.Order, f *face) { o.State, o.Renew, o.AuthUntil = order.Quoted, false, f.clock.Now() },
			func(*order.Order, *face) error { return order.ErrAuthUsed }, 409, "AUTH_USED", "", ""},
		{"while paying", func(o *order.Order, f *face) {
			*o = *together(f, idText(int64(o.Patient)), 1200, 417)
			paysTogether(o, f.clock.Now().Add(8*time.Minute))
		}, func(*order.Order, *face) error { return order.ErrState }, 409, "ORDER_STATE", "", ""},
		{"after it was given up", func(o *order.Order, _ *face) { o.CancelAsked = true },
			func(*order.Order, *face) error { return order.ErrState }, 409, "ORDER_STATE", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, id := ordering(t)
			o := together(f, id, 1200, 417)
			o.State, o.Renew, o.Split = order.Quoting, true, split.Split{}
			if c.before != nil {
				c.before(o, f)
			}
			f.orders.list[o.ID] = o
			f.orders.renew = func(o *order.Order) error { return c.renew(o, f) }
			w := f.do("POST", "/orders/"+orderNo+"/authorisation", "")
			body := f.want(w, c.status, c.code)
			if c.code == "" && (body["state"] != c.state || body["next_action"] != c.next) {
				t.Errorf("order = %v", body)
			}
			if (c.status == 202 || c.code == "ORDER_BUSY") && w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

func TestAuthorisingWantsTheConsent(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	o := together(f, id, 1200, 417)
	o.State, o.Renew = order.Quoting, true
	f.orders.list[o.ID] = o
	f.orders.renew = func(*order.Order) error { t.Error("renewed without consent"); return nil }
	f.want(f.do("DELETE", "/consents/insurance", ""), 204, "")
	f.wantField(f.do("POST", "/orders/"+orderNo+"/authorisation", ""), 403, "CONSENT_REQUIRED", "consents.insurance")
	f.login("code-2")
	f.want(f.do("POST", "/orders/"+orderNo+"/authorisation", ""), 404, "ORDER_NOT_FOUND")
}

func TestReceiptOfAMixedOrder(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	o := together(f, id, 0, 0)
	paysTogether(o, f.clock.Now().Add(8*time.Minute))
	refused := *o.Mixed[0]
	refused.State, refused.MixTradeNo, refused.OutTradeNo = payment.MixedRefused, "", "T8"
	m := o.Mixed[0]
	m.State, m.PaidAt = payment.MixedSucceeded, time.Date(2026, 11, 23, 2, 5, 6, 0, time.UTC)
	o.Mixed = []*payment.Mixed{&refused, m}
	st := o.Settlement()
	st.State, st.SetlID, st.SettledAt = settlement.Settled, "360100SETL0001", m.PaidAt
	o.State, o.Posted = order.Completed, order.Posted{PostingNo: "HISPAY0001", ReceiptNo: "SJ1", PostedAt: m.PaidAt}
	f.orders.list[o.ID] = o
	w := f.do("GET", "/orders/"+orderNo+"/receipt", "")
	body := f.want(w, 200, "")
	f.noSecrets(w.Body.String())
	want := []any{map[string]any{"out_trade_no": "T10", "mix_trade_no": "MIX1", "paid_at": "2026-11-23T02:05:06Z"}}
	if diff := cmp.Diff(want, body["mixed"]); diff != "" || len(body["payments"].([]any)) != 0 {
		t.Errorf("%s\n%v", diff, body)
	}
	text := extracted(t, f.do("GET", "/orders/"+orderNo+"/receipt.pdf", "").Body.Bytes())
	f.noSecrets(text)
	for _, s := range []string{"微信医保订单号", "MIX1", "T10", "2026-11-23 10:05:06", "360100SETL0001", "¥0.00"} {
		if !strings.Contains(text, s) {
			t.Errorf("the receipt does not show %q:\n%s", s, text)
		}
	}
}

// TestTogetherText walks a mixed order from the upload to its end: what is said, offered and shown as steps.
func TestTogetherText(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	now := f.clock.Now()
	paying := func(change func(o *order.Order, p *payment.Payment, m *payment.Mixed)) *order.Order {
		o := together(f, id, 1200, 417)
		paysTogether(o, now.Add(10*time.Minute))
		if change != nil {
			change(o, o.Payment(), o.Mixed[0])
		}
		return o
	}
	quoted := func(change func(*order.Order)) *order.Order { o := together(f, id, 1200, 417); change(o); return o }
	const first, waits, doing, post = "quote:done confirm:done ", "quote:done confirm:doing 医保与微信支付:waiting post:waiting", "医保与微信支付:doing ", "post:waiting"
	for _, c := range []struct {
		name  string
		order *order.Order
		want  string
		way   PayWay
		steps string
	}{
		{"before the upload", quoted(func(o *order.Order) { o.State, o.Settlements, o.Split = order.Quoting, nil, split.Split{} }),
			"正在向医保平台预结算，不会扣款，请稍候", PayWayNone, "quote:doing confirm:waiting 医保与微信支付:waiting post:waiting"},
		{"quoted", quoted(func(*order.Order) {}), "请核对金额，确认后在微信里输入一次密码，医保与微信支付同时完成", PayWayNone, waits},
		{"quoted, insurance pays all", together(f, id, 0, 0), "请核对金额，确认后在微信里由医保支付，您无需支付现金", PayWayNone,
			"quote:done confirm:doing 医保支付:waiting post:waiting"},
		{"quoted, refused by the centre", quoted(func(o *order.Order) { o.Refusal, o.Split = "不在参保地", split.AllCash(3117) }),
			"医保未受理，可以改为全部自费支付 ¥31.17，或到窗口用医保结算。请核对后决定是否确认", PayWayNone, "quote:done confirm:doing 微信支付:waiting post:waiting"},
		{"cash order open, no mixed order", paying(func(o *order.Order, _ *payment.Payment, _ *payment.Mixed) { o.Mixed = nil }),
			"正在准备医保与微信支付，请稍候", PayWayNone, first + doing + post},
		{"its answer lost", paying(func(_ *order.Order, _ *payment.Payment, m *payment.Mixed) { m.State = payment.MixedPreparing }),
			"正在准备医保与微信支付，请稍候", PayWayNone, first + doing + post},
		{"to be paid", paying(nil), "请在 10:10 前完成支付，医保与微信支付只需输入一次密码。已经支付的，正在确认结果，请勿重复支付", PayWayBoth, first + doing + post},
		{"given up", paying(func(o *order.Order, _ *payment.Payment, _ *payment.Mixed) { o.CancelAsked = true }),
			"正在确认支付结果，请勿重复支付", PayWayNone, first + doing + post},
		{"password typed", paying(func(_ *order.Order, p *payment.Payment, m *payment.Mixed) { p.State = payment.Closing; m.Typed(now) }),
			"您已输入密码，微信正在与医保平台确认结果，请稍候，请勿重复支付，也不要到窗口重复结算", PayWayNone, first + doing + post},
		{"cash taken, no verdict", paying(func(_ *order.Order, p *payment.Payment, _ *payment.Mixed) { p.State = payment.Paid }),
			"正在确认支付结果，请勿重复支付", PayWayNone, first + doing + post},
		{"cash taken for a refused order", paying(func(_ *order.Order, p *payment.Payment, m *payment.Mixed) {
			p.State, m.State = payment.Paid, payment.MixedRefused
		}), "正在确认支付结果，请勿重复支付", PayWayNone, first + doing + post},
		{"WeChat says paid", paying(func(_ *order.Order, p *payment.Payment, m *payment.Mixed) {
			p.State, m.State = payment.Paid, payment.MixedSucceeded
		}), "微信已确认支付，正在与医保平台核对结果，请稍候，请勿重复支付，也不要到窗口重复结算", PayWayNone, first + doing + post},
		{"WeChat says not paid", paying(func(_ *order.Order, p *payment.Payment, m *payment.Mixed) {
			p.State, m.State = payment.Paid, payment.MixedFailed
		}), "微信答复医保支付没有成功，正在与医保平台核实，已扣的款项会原路退回，请稍候，请勿重复支付", PayWayNone, first + doing + post},
		{"the authorisation ended", paying(func(o *order.Order, _ *payment.Payment, _ *payment.Mixed) { o.State, o.Renew = order.Closing, true }),
			"医保授权已失效，正在撤回原来的医保单，随后请重新授权，费用单为您保留。如果刚刚完成了支付，以实际支付结果为准，请勿重复支付", PayWayNone, first + "医保与微信支付:stopped " + post},
		{"settling by two people", paying(func(o *order.Order, _ *payment.Payment, _ *payment.Mixed) { o.State = order.Settling }),
			"正在进行医保结算，请稍候，请勿重复支付", PayWayNone, first + doing + post},
		{"settled, not booked, given back", paying(func(o *order.Order, p *payment.Payment, m *payment.Mixed) {
			o.State, o.Cause, o.Settlement().State, o.Settlement().SetlID = order.Unwound, order.BillVoid, settlement.Cancelled, "S1"
			p.State, p.TransactionID, p.RefundReserved, m.State = payment.Returned, "4200", 1617, payment.MixedTold
		}), "费用单已作废，订单已撤销，医保支付的部分已退回医保，¥16.17 已原路退回，银行卡通常 1 至 3 个工作日到账。请咨询开单科室", PayWayNone, first + "医保与微信支付:done post:stopped"},
	} {
		var steps []string
		for _, s := range progress(c.order) {
			name := string(s.Step)
			if s.Step == StepStepPay {
				name = s.Text
			}
			steps = append(steps, name+":"+string(s.Status))
		}
		if got := strings.Join(steps, " "); got != c.steps {
			t.Errorf("%s: steps %s, want %s", c.name, got, c.steps)
		}
		if got := stateText(c.order, now); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got := payWay(c.order, now); got != c.way {
			t.Errorf("%s: pay way %s, want %s", c.name, got, c.way)
		}
	}
	alone := together(f, id, 0, 0)
	paysTogether(alone, now.Add(10*time.Minute))
	if got, want := stateText(alone, now), "请在 10:10 前完成医保支付，微信不扣款。已经支付的，正在确认结果，请勿重复支付"; got != want {
		t.Errorf("insurance alone: %q, want %q", got, want)
	}
	alone.State, alone.Cause, alone.Settlement().State = order.Unwound, order.BillVoid, settlement.Cancelled
	if got := stateText(alone, now); !strings.Contains(got, "医保支付的部分已退回医保，微信未扣款") {
		t.Errorf("insurance alone, given back: %q", got)
	}
}
