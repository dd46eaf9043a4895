package miniprogramapi

import (
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

// reason is why an order ended, and what the patient may do then.
type reason struct{ why, advice string }

// reasons are the patient's words for every cause.
var reasons = map[order.Cause]reason{
	order.ByPatient:       {"您已取消", "需要时可重新选择费用单缴费"},
	order.QuoteOld:        {"未在有效期内确认", "请重新发起缴费"},
	order.NotPaid:         {"未在有效期内支付", "请重新发起缴费"},
	order.InsurerSilent:   {"医保平台暂无应答", "请稍后重试，也可以选择自费缴费或到窗口结算"},
	order.HISSilent:       {"医院系统暂无应答", "请稍后再试"},
	order.HISMaintenance:  {"医院系统维护中", "请稍后再试或到窗口缴费"},
	order.PaidElsewhere:   {"费用已在其他渠道缴纳", "无需重复缴费"},
	order.BillVoid:        {"费用单已作废", "请咨询开单科室"},
	order.BillBusy:        {"费用单正在其他渠道缴费", "请稍后再试；在窗口缴过的无需再缴"},
	order.BillUnreadable:  {"医院返回的费用信息有误", "请到窗口处理"},
	order.AuthTooOld:      {"医保授权已过期", "请重新授权后再发起缴费"},
	order.CashRefused:     {"微信支付未受理", "请稍后再试"},
	order.SettleRefused:   {"医保未受理本次结算", "可改为自费缴费，或到窗口结算"},
	order.SettleUnproved:  {"医保结算没有成功", "请稍后重试，也可以选择自费缴费或到窗口结算"},
	order.AmountsMoved:    {"医保结算金额与预结算不一致", "请重新发起缴费并核对新的金额"},
	order.LatePayment:     {"订单关闭之后才收到付款", "需要缴费请重新发起"},
	order.CashMismatch:    {"微信支付的金额或单号与订单不符", ""},
	order.CashGone:        {"微信支付款项已在他处退回", ""},
	order.InsurerUnproved: {"医保结算结果暂时无法核实", ""},
	order.CancelRefused:   {"医保结算的撤销未被受理", ""},
	order.CancelUnproved:  {"医保结算的撤销结果暂时无法核实", ""},
	order.HISMismatch:     {"医院入账金额与订单不符", ""},
	order.RefundStuck:     {"微信退款异常", ""},
	order.TooLong:         {"超过时限仍没有结果", ""},

	order.AuthRefused:    {"医保授权已失效", "请重新授权后再发起缴费"},
	order.PayerRefused:   {"付款微信与绑定的医保电子凭证不一致", "请用本人的微信支付，也可以选择自费缴费或到窗口结算"},
	order.NoCredential:   {"当前微信没有激活医保电子凭证", "请先在微信里激活医保电子凭证，再重新发起缴费，也可以选择自费缴费"},
	order.NoKin:          {"没有绑定亲情账户", "请先在医保电子凭证里绑定这位亲属，再重新发起缴费，也可以选择自费缴费"},
	order.MixedRefused:   {"微信医保支付未受理", "请稍后再试，也可以选择自费缴费或到窗口缴费"},
	order.MixedFailed:    {"医保支付没有成功", "请稍后重试，也可以选择自费缴费或到窗口结算"},
	order.MixedMismatch:  {"微信医保订单的金额或单号与订单不符", ""},
	order.MixedGone:      {"微信医保订单的款项已在他处退回", ""},
	order.CentreMismatch: {"医保中心的金额或单号与订单不符", ""},
	order.CentrePeculiar: {"医保中心的订单状态异常", ""},
	order.SidesDiffer:    {"微信与医保中心的结果不一致", ""},
	order.NumberTaken:    {"对方给出的单号与另一笔订单重复", ""},

	order.NotRefundable:  {"药品已发放或项目已执行", "请先到相应科室办理退药、退检后再申请"},
	order.OrderUnwound:   {"订单已整单撤销，款项已原路退回", ""},
	order.RestRefused:    {"保留项目的医保结算未被受理", "可以申请整单退费，或到窗口办理"},
	order.RestUnsettled:  {"保留项目的医保结算没有成功，原结算未变", ""},
	order.WouldOwe:       {"退费后您需要补缴，须由工作人员处理", ""},
	order.BegunAtWindow:  {"该订单的医保部分已在医院窗口退过", "其余请继续到窗口办理"},
	order.GivenTwice:     {"微信与医院窗口都已退款", ""},
	order.PaymentTooOld:  {"支付已满一年，不能原路退回", ""},
	order.TooManyRefunds: {"该订单退费次数已达上限", ""},
	order.NoteOfInsured:  {"窗口已退的项目含医保费用", ""},
	order.DeskMismatch:   {"医院的退费入账与申请不符", ""},
}

// Why is a cause in words, for staff.
func Why(c order.Cause) string {
	if r, ok := reasons[c]; ok {
		return r.why
	}
	return "原因未登记"
}

// stateText is what the patient reads: how it stands, honestly, and what to do next. Unknown is never called failed.
func stateText(o *order.Order, now time.Time) string {
	switch o.State {
	case order.Quoting:
		return quotingText(o)
	case order.Quoted:
		return quotedText(o)
	case order.Paying:
		return payingText(o, now)
	case order.Settling:
		return settlingText(o)
	case order.BeingPosted:
		return "已支付，医院正在入账，请稍候。请勿重复支付"
	case order.Completed:
		return completedText(o)
	case order.Closing:
		if o.Renew && !o.CancelAsked {
			return "医保授权已失效，正在撤回原来的医保单，随后请重新授权，费用单为您保留。如果刚刚完成了支付，以实际支付结果为准，请勿重复支付"
		}
		return because(o, "，") + "正在关闭订单，请稍候。如果刚刚完成了支付，以实际支付结果为准，请勿重复支付"
	case order.Closed:
		return because(o, "，") + "订单已关闭，未扣款" + advised(o)
	case order.Unwinding:
		return unwindingText(o)
	case order.Unwound:
		return unwoundText(o)
	}
	return "正在人工核实" + because(o, "") + "，您的资金安全，请勿重复支付。核实后会更新结果；需要帮助请凭订单号 " + o.ID.No() + " 联系医院"
}

// because gives the reason with what joins it to the sentence; in a review it stands in brackets.
func because(o *order.Order, join string) string {
	r, ok := reasons[o.Cause]
	switch {
	case !ok:
		return ""
	case o.State == order.InReview:
		return "（" + r.why + "）"
	}
	return r.why + join
}

func advised(o *order.Order) string {
	if r := reasons[o.Cause]; r.advice != "" {
		return "。" + r.advice
	}
	return ""
}

func quotingText(o *order.Order) string {
	switch {
	case o.CancelAsked:
		return "正在关闭订单，请稍候"
	case wantsAuth(o):
		kept := "费用单已为您保留"
		if !o.QuotedUntil.IsZero() {
			kept += "到 " + clockTime(o.QuotedUntil)
		}
		return "医保授权已失效，请重新授权，" + kept + "，尚未扣款"
	case o.Lock != order.Unlocked: // it was confirmed once
		return "费用或报价有变化，正在重新计算金额，尚未扣款，请稍候"
	case o.Insured:
		return "正在向医保平台预结算，不会扣款，请稍候"
	}
	return "正在读取费用，请稍候"
}

func quotedText(o *order.Order) string {
	switch {
	case o.CancelAsked:
		return "正在关闭订单，请稍候"
	case !o.ConfirmedAt.IsZero():
		return "您已确认，正在与医院核对费用，尚未扣款，请稍候，请勿重复确认"
	}
	if o.Refusal != "" {
		return "医保未受理，可以改为全部自费支付 " + yuan(o.Split.Charge()) + "，或到窗口用医保结算。请核对后决定是否确认"
	}
	changed := ""
	if o.Lock != order.Unlocked {
		changed = "费用或报价有变化，尚未扣款。"
	}
	switch cash := o.Split.Charge() > 0; {
	case joint(o) && cash:
		return changed + "请核对金额，确认后在微信里输入一次密码，医保与微信支付同时完成"
	case joint(o):
		return changed + "请核对金额，确认后在微信里由医保支付，您无需支付现金"
	case cash:
		return changed + "请核对金额，确认后支付"
	}
	return changed + "请核对金额，确认后由医保结算，您无需支付现金"
}

func payingText(o *order.Order, now time.Time) string {
	by := "请"
	if until := payUntil(o); !until.IsZero() {
		by = "请在 " + clockTime(until) + " 前"
	}
	const paid = "。已经支付的，正在确认结果，请勿重复支付"
	switch o.Payable(now) {
	case order.ByCash:
		return by + "完成微信支付" + paid
	case order.ByBoth:
		return by + "完成支付，医保与微信支付只需输入一次密码" + paid
	case order.ByInsurance:
		return by + "完成医保支付，微信不扣款" + paid
	}
	if o.AtCentre() {
		return togetherText(o)
	}
	if p := o.Payment(); p == nil || p.State == payment.Preparing && !o.CancelAsked {
		return "正在准备微信支付，请稍候"
	}
	return "正在确认支付结果，请勿重复支付"
}

// togetherText is an order whose legs move together, while there is nothing for the patient to do.
func togetherText(o *order.Order) string {
	m, p := o.MixedOrder(), o.Payment()
	switch {
	case o.CancelAsked:
	case m == nil || m.State == payment.MixedPreparing || m.State == payment.MixedRefused:
		if p == nil || p.State != payment.Paid {
			return "正在准备医保与微信支付，请稍候"
		}
	case m.State == payment.MixedSucceeded:
		return "微信已确认支付，正在与医保平台核对结果，请稍候，请勿重复支付，也不要到窗口重复结算"
	case m.State == payment.MixedFailed:
		return "微信答复医保支付没有成功，正在与医保平台核实，已扣的款项会原路退回，请稍候，请勿重复支付"
	case m.State == payment.MixedOpen && !m.TypedAt.IsZero():
		return "您已输入密码，微信正在与医保平台确认结果，请稍候，请勿重复支付，也不要到窗口重复结算"
	}
	return "正在确认支付结果，请勿重复支付"
}

func settlingText(o *order.Order) string {
	paid := ""
	if p := o.Payment(); p != nil && p.State == payment.Paid {
		paid = "微信支付已收到，"
	}
	if st := o.Settlement(); st != nil {
		switch st.State {
		case settlement.Reversing, settlement.Resting:
			return paid + "医保平台还没有明确结果，正在核实，请勿重复支付，也不要到窗口重复结算"
		}
	}
	return paid + "正在进行医保结算，请稍候，请勿重复支付"
}

func completedText(o *order.Order) string {
	switch f := o.Refund(); {
	case f != nil:
		return refundText(o, f)
	case o.GivenBack():
		return "已全部退费"
	case o.Standing() != o.Split:
		return "已部分退费，其余缴费有效"
	}
	if len(o.Posted.Guide) > 0 {
		return "缴费完成，请按导诊提示取药、检查"
	}
	return "缴费完成"
}

func unwindingText(o *order.Order) string {
	if received(o) == 0 {
		return because(o, "，") + "正在撤销，请稍候，请勿重复缴费"
	}
	return because(o, "，") + "正在撤销，已支付的款项将原路退回，银行卡通常 1 至 3 个工作日到账，请勿重复支付"
}

// insuranceBack reports whether the insurer had settled and has taken it back.
func insuranceBack(o *order.Order) bool {
	st := o.Settlement()
	return st != nil && st.State == settlement.Cancelled
}

func unwoundText(o *order.Order) string {
	insurance := ""
	if insuranceBack(o) {
		insurance = "医保支付的部分已退回医保，"
	}
	if back := returned(o); back > 0 {
		return because(o, "，") + "订单已撤销，" + insurance + yuan(back) + " 已原路退回，银行卡通常 1 至 3 个工作日到账" + advised(o)
	}
	if insurance != "" {
		return because(o, "，") + "订单已撤销，" + insurance + "微信未扣款" + advised(o)
	}
	return because(o, "，") + "订单已撤销，未扣款" + advised(o)
}

// received is what WeChat took for the order and has not given back.
func received(o *order.Order) money.Fen {
	var sum money.Fen
	for _, p := range o.Payments {
		switch p.State {
		case payment.Paid, payment.Refunding, payment.InReview:
			sum += p.Amount
		}
	}
	return sum
}

func returned(o *order.Order) money.Fen {
	var sum money.Fen
	for _, p := range o.Payments {
		sum += refunded(o, p)
	}
	return sum
}

// clockTime is the hour and minute in China.
func clockTime(t time.Time) string { return t.In(clock.Shanghai).Format("15:04") }

func yuan(f money.Fen) string { return "¥" + f.String() }
