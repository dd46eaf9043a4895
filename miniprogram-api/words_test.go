package miniprogramapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// constants reads the text constants of one type from a source file, so that a new one cannot be forgotten here.
func constants(t *testing.T, file, typeName string) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		name, ok := spec.Type.(*ast.Ident)
		text, isText := spec.Values[0].(*ast.BasicLit)
		if ok && isText && name.Name == typeName {
			v, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("no constants of type %s in %s", typeName, file)
	}
	return values
}

// TestTheSpecificationKnowsEveryState compares the enumerations with the machines.
func TestTheSpecificationKnowsEveryState(t *testing.T) {
	t.Parallel()
	for _, s := range constants(t, "../internal/order/state.go", "State") {
		if !OrderState(s).Valid() {
			t.Errorf("order state %q is not in openapi.yaml", s)
		}
	}
	for _, s := range constants(t, "../internal/payment/state.go", "State") {
		if !PaymentState(s).Valid() {
			t.Errorf("payment state %q is not in openapi.yaml", s)
		}
	}
	for _, s := range constants(t, "../internal/settlement/state.go", "State") {
		if !SettlementState(s).Valid() {
			t.Errorf("settlement state %q is not in openapi.yaml", s)
		}
	}
	for _, s := range constants(t, "../internal/payment/mixed_state.go", "MixedState") {
		if !MixedState(s).Valid() {
			t.Errorf("state %q of a mixed order is not in openapi.yaml", s)
		}
	}
	for _, w := range constants(t, "../internal/order/route.go", "Way") {
		if w != "" && !PayWay(w).Valid() {
			t.Errorf("way %q to pay is not in openapi.yaml", w)
		}
	}
}

// TestEveryStateAndCauseHasWords says something true in every state under every cause.
func TestEveryStateAndCauseHasWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	states := constants(t, "../internal/order/state.go", "State")
	causes := constants(t, "../internal/order/state.go", "Cause")
	for _, c := range causes {
		if _, ok := reasons[order.Cause(c)]; !ok {
			t.Errorf("cause %q has no words", c)
		}
	}
	if len(causes) != len(reasons) {
		t.Errorf("%d reasons for %d causes", len(reasons), len(causes))
	}
	final := map[order.State]bool{order.Quoted: true, order.Completed: true, order.Closed: true, order.Unwound: true, order.Quoting: true}
	for _, s := range states {
		for _, c := range append(causes, "") {
			waits := &order.Order{ID: 7, State: order.State(s), Cause: order.Cause(c), Renew: true, QuotedUntil: now}
			if text := stateText(waits, now); (nextAction(waits, now) == NextActionAuthorise) != (waits.State == order.Quoting) || strings.Contains(text, "失败") {
				t.Errorf("%s waits for an authorisation: %s, %q", s, nextAction(waits, now), text)
			}
			o := &order.Order{ID: 7, State: order.State(s), Cause: order.Cause(c)}
			text := stateText(o, now)
			if text == "" || strings.Contains(text, "失败") || strings.HasPrefix(text, "，") {
				t.Errorf("%s, %s: %q", s, c, text)
			}
			if !final[o.State] && o.State != order.Paying && !strings.Contains(text, "请勿重复") {
				t.Errorf("%s, %s does not warn of paying twice: %q", s, c, text)
			}
			if c != "" && (o.State == order.Closed || o.State == order.Unwinding || o.State == order.InReview) && !strings.Contains(text, reasons[o.Cause].why) {
				t.Errorf("%s does not tell %s: %q", s, c, text)
			}
			if nextAction(o, now) == NextActionConfirm != (o.State == order.Quoted) {
				t.Errorf("%s offers %s", s, nextAction(o, now))
			}
		}
	}
}

func TestStateText(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	cash := func(s payment.State) []*payment.Payment {
		return []*payment.Payment{{State: s, Amount: 1234, RefundReserved: 1234, ExpiresAt: now.Add(10 * time.Minute)}}
	}
	insured := func(s settlement.State) []*settlement.Settlement { return []*settlement.Settlement{{State: s}} }
	for _, c := range []struct {
		name  string
		order order.Order
		at    time.Time
		want  string
		next  NextAction
	}{
		{"asks the insurer", order.Order{State: order.Quoting, Insured: true}, now, "正在向医保平台预结算，不会扣款，请稍候", NextActionWait},
		{"reads bills", order.Order{State: order.Quoting}, now, "正在读取费用，请稍候", NextActionWait},
		{"a bill changed", order.Order{State: order.Quoting, Lock: order.LockAsked}, now, "费用或报价有变化，正在重新计算金额，尚未扣款，请稍候", NextActionWait},
		{"quoted again", order.Order{State: order.Quoted, Lock: order.LockAsked, Split: split.AllCash(1)}, now, "费用或报价有变化，尚未扣款。请核对金额，确认后支付", NextActionConfirm},
		{"nothing to pay", order.Order{State: order.Quoted, Split: split.Split{PooledFund: 1}}, now, "请核对金额，确认后由医保结算，您无需支付现金", NextActionConfirm},
		{"refused, cash offered", order.Order{State: order.Quoted, Refusal: "不在参保地", Split: split.AllCash(1234)}, now, "医保未受理，可以改为全部自费支付 ¥12.34，或到窗口用医保结算。请核对后决定是否确认", NextActionConfirm},
		{"confirmed, being locked", order.Order{State: order.Quoted, ConfirmedAt: now, Lock: order.LockAsked, Split: split.AllCash(1)}, now, "您已确认，正在与医院核对费用，尚未扣款，请稍候，请勿重复确认", NextActionWait},
		{"given up while quoted", order.Order{State: order.Quoted, CancelAsked: true, Split: split.AllCash(1)}, now, "正在关闭订单，请稍候", NextActionWait},
		{"being prepared", order.Order{State: order.Paying, Payments: cash(payment.Preparing)}, now, "正在准备微信支付，请稍候", NextActionWait},
		{"no payment yet", order.Order{State: order.Paying}, now, "正在准备微信支付，请稍候", NextActionWait},
		{"to be paid", order.Order{State: order.Paying, Payments: cash(payment.Open)}, now, "请在 10:10 前完成微信支付。已经支付的，正在确认结果，请勿重复支付", NextActionPay},
		{"its time is over", order.Order{State: order.Paying, Payments: cash(payment.Open)}, now.Add(10 * time.Minute), "正在确认支付结果，请勿重复支付", NextActionWait},
		{"given up while the cashier is open", order.Order{State: order.Paying, CancelAsked: true, Payments: cash(payment.Open)}, now, "正在确认支付结果，请勿重复支付", NextActionWait},
		{"paid, mixed not known", order.Order{State: order.Paying, Payments: cash(payment.Paid)}, now, "正在确认支付结果，请勿重复支付", NextActionWait},
		{"settling after cash", order.Order{State: order.Settling, Payments: cash(payment.Paid), Settlements: insured(settlement.Settling)}, now, "微信支付已收到，正在进行医保结算，请稍候，请勿重复支付", NextActionWait},
		{"settling unknown", order.Order{State: order.Settling, Settlements: insured(settlement.Reversing)}, now, "医保平台还没有明确结果，正在核实，请勿重复支付，也不要到窗口重复结算", NextActionWait},
		{"done", order.Order{State: order.Completed}, now, "缴费完成", NextActionNone},
		{"done with guide", order.Order{State: order.Completed, Posted: order.Posted{Guide: []string{"药房"}}}, now, "缴费完成，请按导诊提示取药、检查", NextActionNone},
		{"closed by the patient", order.Order{State: order.Closed, Cause: order.ByPatient}, now, "您已取消，订单已关闭，未扣款。需要时可重新选择费用单缴费", NextActionNone},
		{"paid at the window", order.Order{State: order.Unwinding, Cause: order.PaidElsewhere, Payments: cash(payment.Refunding)}, now, "费用已在其他渠道缴纳，正在撤销，已支付的款项将原路退回，银行卡通常 1 至 3 个工作日到账，请勿重复支付", NextActionWait},
		{"undoing insurance only", order.Order{State: order.Unwinding, Cause: order.BillVoid}, now, "费用单已作废，正在撤销，请稍候，请勿重复缴费", NextActionWait},
		{"money is back", order.Order{State: order.Unwound, Cause: order.AmountsMoved, Payments: cash(payment.Returned)}, now, "医保结算金额与预结算不一致，订单已撤销，¥12.34 已原路退回，银行卡通常 1 至 3 个工作日到账。请重新发起缴费并核对新的金额", NextActionNone},
		{"nothing was taken", order.Order{State: order.Unwound, Cause: order.SettleRefused}, now, "医保未受理本次结算，订单已撤销，未扣款。可改为自费缴费，或到窗口结算", NextActionNone},
		{"people look", order.Order{ID: 7, State: order.InReview, Cause: order.TooLong}, now, "正在人工核实（超过时限仍没有结果），您的资金安全，请勿重复支付。核实后会更新结果；需要帮助请凭订单号 7 联系医院", NextActionNone},
	} {
		if got := stateText(&c.order, c.at); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got := nextAction(&c.order, c.at); got != c.next {
			t.Errorf("%s: next %s, want %s", c.name, got, c.next)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	line := func(o *order.Order) string {
		var b strings.Builder
		for _, s := range progress(o) {
			b.WriteString(string(s.Step) + ":" + string(s.Status) + " ")
		}
		return strings.TrimSpace(b.String())
	}
	with := func(change func(*order.Order)) *order.Order { o := completedOrder(f, id); change(o); return o }
	got := map[string]string{}
	for name, o := range map[string]*order.Order{
		"quoting":           with(func(o *order.Order) { o.State, o.Split, o.Payments = order.Quoting, split.Split{}, nil }),
		"quoted":            quotedOrder(f, id),
		"paying":            with(func(o *order.Order) { o.State = order.Paying }),
		"settling":          with(func(o *order.Order) { o.State = order.Settling }),
		"posting":           with(func(o *order.Order) { o.State = order.BeingPosted }),
		"completed":         completedOrder(f, id),
		"no cash":           with(func(o *order.Order) { o.Split, o.Payments = split.Split{PooledFund: 1}, nil }),
		"no insurance":      with(func(o *order.Order) { o.Insured = false }),
		"closed unquoted":   with(func(o *order.Order) { o.State, o.Split, o.Payments = order.Closed, split.Split{}, nil }),
		"closed unsaid":     with(func(o *order.Order) { o.State, o.ConfirmedAt = order.Closed, time.Time{} }),
		"closed unpaid":     with(func(o *order.Order) { o.State, o.Payment().TransactionID = order.Closed, "" }),
		"unwound unsettled": with(func(o *order.Order) { o.State, o.Settlement().SetlID = order.Unwound, "" }),
		"unwinding unbooked": with(func(o *order.Order) {
			o.State = order.Unwinding
		}),
	} {
		got[name] = line(o)
	}
	want := map[string]string{
		"quoting":            "quote:doing confirm:waiting pay:waiting settle:waiting post:waiting",
		"quoted":             "quote:done confirm:doing pay:waiting settle:waiting post:waiting",
		"paying":             "quote:done confirm:done pay:doing settle:waiting post:waiting",
		"settling":           "quote:done confirm:done pay:done settle:doing post:waiting",
		"posting":            "quote:done confirm:done pay:done settle:done post:doing",
		"completed":          "quote:done confirm:done pay:done settle:done post:done",
		"no cash":            "quote:done confirm:done settle:done post:done",
		"no insurance":       "quote:done confirm:done pay:done post:done",
		"closed unquoted":    "quote:stopped confirm:waiting settle:waiting post:waiting",
		"closed unsaid":      "quote:done confirm:stopped pay:waiting settle:waiting post:waiting",
		"closed unpaid":      "quote:done confirm:done pay:stopped settle:waiting post:waiting",
		"unwound unsettled":  "quote:done confirm:done pay:done settle:stopped post:waiting",
		"unwinding unbooked": "quote:done confirm:done pay:done settle:done post:stopped",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzAddPatient sends any body: it is refused or taken, and never breaks the server or comes back.
func FuzzAddPatient(f *testing.F) {
	f.Add(`{"relation":"self","name":"张建国","id_number":"360102198506151234"}`)
	f.Add(`{"relation":"self","name":"张建国","id_number":"36010219850615123X","phone":"13812345678","his_patient":"P1","guardian_consent":true}`)
	f.Add(`[1,2,{"a":null}]`)
	f.Add(`{"relation":"self","relation":{}}`)
	face := newFace(f)
	face.login("code-1")
	face.agree("privacy", "guardian")
	f.Fuzz(func(t *testing.T, body string) {
		face.t = t
		face.log.Reset()
		w := face.do("POST", "/patients", body)
		if w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
