package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// rule does what two people say, as far as the machines allow it. On an error the order may be half moved and is thrown away.
func (r *run) rule(ctx context.Context, v Verdict) error {
	history, err := r.store.History(ctx, r.order.ID)
	if err != nil {
		return err
	}
	books := Balances(history)
	if err := errors.Join(r.ruleInsurance(v, books), r.ruleCash(v, books), r.ruleMixed(v)); err != nil {
		return err
	}
	if r.order.State == Completed {
		return r.ruleRefund(v, Balances(slices.Concat(history, r.order.Events)))
	}
	if v.Till != "" || v.Rest != "" {
		return wrong("till、rest 只用于退费的核实")
	}
	return r.ruleOrder(v)
}

// wrong is a verdict that the machines do not allow; whoever votes reads why.
func wrong(format string, args ...any) error {
	return ErrVerdict.Saying(ErrVerdict.Msg + "：" + fmt.Sprintf(format, args...))
}

// ruleInsurance moves a settlement that is in review to what people have found out. What the books hold of it decides what is posted.
func (r *run) ruleInsurance(v Verdict, books map[ledger.Account]money.Fen) error {
	s := r.order.Settlement()
	if f := r.order.Refund(); v.Insurance == "settled" && s != nil && s.State == settlement.Cancelled && f != nil && f.State == refund.InReview &&
		f.InsuredAt.IsZero() && f.Insured() > 0 && r.restInsured(f) > 0 { // people have had it put back in force, since the rest could not be settled
		from := s.State
		if err := errors.Join(s.Apply(settlement.Restore), s.Apply(settlement.Accept)); err != nil {
			return err
		}
		s.SetlID = cmp.Or(v.SetlID, s.SetlID)
		r.leg("settlement", "ruled settled", string(from), string(s.State), s.SetlID, s.Actual, s.Posting(r.against()))
		return nil
	}
	if s == nil || s.State != settlement.InReview {
		if v.Insurance != "" || v.SetlID != "" {
			return wrong("医保结算不在核实中，不应说明它的结果")
		}
		return nil
	}
	var owed money.Fen
	for _, a := range insurers {
		owed += books[a]
	}
	var p ledger.Posting
	from, event := s.State, settlement.Accept
	switch {
	case v.Insurance == "settled" && s.SetlID == "" && v.SetlID == "":
		return wrong("医保已结算的，须给出结算ID")
	case v.Insurance == "settled":
		if s.SetlID == "" {
			s.SetlID, s.SettledAt = v.SetlID, r.clock.Now()
		}
		if s.Actual == (split.Split{}) {
			s.Actual = s.Foreseen
		}
		if owed == 0 {
			p = s.Posting(r.against())
		}
	case v.Insurance == "cancelled":
		if event = settlement.Gone; owed != 0 {
			p = s.Posting(r.against()).Undo()
		}
		if f := r.order.Refund(); f != nil && f.Anew == s.ID && f.InsuredAt.IsZero() { // what a refund prepared, and undid: the order's is the former one
			event = settlement.GiveUp
		}
	case v.Insurance == "not_settled" && owed == 0 && s.SetlID == "": // what was settled once is cancelled
		event = settlement.GiveUp
	default:
		return wrong("医保结算待核实，须说明查到的结果：settled 已结算、cancelled 已撤销，或账上没有医保应收时 not_settled 未结算；不能是 %q", v.Insurance)
	}
	if err := s.Apply(event); err != nil {
		return err
	}
	r.leg("settlement", "ruled "+v.Insurance, string(from), string(s.State), s.SetlID, s.Actual, p)
	return nil
}

func (r *run) ruleCash(v Verdict, books map[ledger.Account]money.Fen) error {
	c := r.order.Payment()
	if c == nil || c.State != payment.InReview {
		f := r.order.Refund()
		number := r.order.State == Completed && f != nil && f.Cash.OutRefundNo != "" && !f.Returned()
		switch {
		case v.Cash == "" && v.TransactionID == "":
		case number && v.TransactionID == "" && v.Cash == "paid" && v.Till != "": // see ruleTill
		case number && v.TransactionID == "" && v.Cash == "returned": // of the refund's own number
			f.Cash.ReturnedAt = r.clock.Now()
			r.partCash(f, c, f.Cash.Amount).returned()
		default:
			return wrong("微信支付不在核实中，不应说明它的结果")
		}
		return nil
	}
	here := books[ledger.WechatCash] != 0
	var p ledger.Posting
	from, event := c.State, payment.Pay
	switch {
	case v.Cash == "paid" && c.TransactionID == "" && v.TransactionID == "":
		return wrong("微信已支付的，须给出微信支付单号")
	case v.TransactionID != "" && (v.Cash != "paid" || (c.TransactionID != "" && c.TransactionID != v.TransactionID)):
		return wrong("微信支付单号 %s 与已知的不符", v.TransactionID)
	case v.Cash == "paid" && !here:
		p, c.PaidAt = c.Received(r.against()), r.clock.Now()
	case v.Cash == "paid":
	case v.Cash == "closed" && !here:
		event = payment.Dead
	case v.Cash == "returned":
		if event = payment.Return; here {
			p = c.Received(r.against()).Undo()
		}
	default:
		return wrong("微信支付待核实，须说明查到的结果：paid 已支付、returned 已退回，或账上没有收款时 closed 未支付；不能是 %q", v.Cash)
	}
	if err := c.Apply(event); err != nil {
		return err
	}
	c.TransactionID = cmp.Or(c.TransactionID, v.TransactionID)
	r.leg("payment", "ruled "+v.Cash, string(from), string(c.State), c.OutTradeNo, split.Split{Cash: c.Amount}, p)
	return nil
}

func (r *run) ruleMixed(v Verdict) error {
	m := r.order.MixedOrder()
	if m == nil || m.State != payment.MixedInReview {
		if v.Mixed != "" {
			return wrong("微信医保订单不在核实中，不应说明它的结果")
		}
		return nil
	}
	event, ok := map[string]payment.MixedEvent{"succeeded": payment.MixedSucceed, "failed": payment.MixedFail, "dead": payment.MixedKill}[v.Mixed]
	if !ok {
		return wrong("微信医保订单待核实，须说明查到的结果：succeeded 成功、failed 失败、dead 未支付；不能是 %q", v.Mixed)
	}
	r.mix(event, m.MixTradeNo)
	return nil
}

// ruleOrder moves an order out of review. Nothing is posted or closed that the legs do not bear out.
func (r *run) ruleOrder(v Verdict) error {
	o := r.order
	paid := !r.cashDue() && !r.insuranceDue() && (!o.insured() || o.Settlement().AsForeseen())
	over := (o.Payment() == nil || o.Payment().State.Final()) && (o.Settlement() == nil || o.Settlement().State.Final())
	switch v.Outcome {
	case ToPost, ToComplete:
		if !paid {
			return wrong("款项没有收齐，不能入账或完成")
		}
		o.Cause = ""
		if v.Outcome == ToPost {
			return r.move(PostTo, v.String())
		}
		if v.PostingNo == "" {
			return wrong("医院已入账的，须给出入账流水号")
		}
		r.complete(Posted{PostingNo: v.PostingNo, PostedAt: r.clock.Now()})
		return nil
	case ToSettle:
		if s := o.Settlement(); r.atOnce || s == nil || s.State != settlement.Presettled || r.cashDue() {
			return wrong("没有待结算的医保部分，或微信款项未到，不能医保结算")
		}
		return r.move(Settle, v.String())
	case ToUnwind:
		return r.move(Unwind, v.String())
	case ToClose:
		if !over {
			return wrong("医保或微信支付还没有了结，不能关闭")
		}
		r.refuseAsked()
		return r.move(Shut, v.String())
	}
	return wrong("%q 不是订单的结论，应为 post、settle、unwind、close 或 complete", v.Outcome)
}

// ruleRefund moves a refund out of review.
func (r *run) ruleRefund(v Verdict, books map[ledger.Account]money.Fen) error {
	f := r.order.Refund()
	if f == nil || f.State != refund.InReview {
		return ErrNoCase
	}
	if v.Rest != "" {
		if err := r.ruleRest(f, v.Rest); err != nil {
			return err
		}
	}
	if v.Till != "" {
		before := f.Till
		if err := r.ruleTill(f, v, books); err != nil {
			return err
		}
		books[ledger.RefundsDue] += f.Till - before
	}
	anew := r.order.anewOf(f)
	if due := -books[ledger.RefundsDue] - r.insuredDue(f); (f.Returned() || f.ByHand()) && due != 0 && v.Outcome != ToRefuse {
		return wrong("现金还差 %s（负数为多退），须说明窗口结清的金额 till", due)
	}
	switch v.Outcome {
	case ToResume:
		back := f.Insured() == 0 || !f.InsuredAt.IsZero() || r.atOnce // the cash comes next
		if p := r.order.Payment(); p != nil && p.State.Final() && !f.ByHand() && !f.Note && back && f.CashDue() != 0 {
			return wrong("微信支付已全部退回，不能再从微信退款：还差 %s，须说明窗口退给患者（负数为收回）的金额 till", -books[ledger.RefundsDue])
		}
		if f.HeldAt.IsZero() {
			return wrong("医院还没有同意该退费，只能改为不退")
		}
		if anew != nil && anew.State.Final() {
			f.Anew, f.Foreseen = 0, false // the rest is prepared anew
		}
		f.Cause = ""
		r.refundMoves(f, refund.Hold, nil)
		return nil
	case ToRefuse:
		s := r.order.Settlement()
		insurance := !f.InsuredAt.IsZero() || (anew != nil && anew.Stood()) || (f.Insured() > 0 && s != nil && s.State != settlement.Settled)
		if insurance || v.Cash == "returned" || f.Cash.OutRefundNo != "" || f.ByHand() || f.Desk == refund.DeskBooking || f.Desk == refund.DeskBooked {
			return wrong("已有款项退回，不能改为不退")
		}
		r.refundMoves(f, refund.Hold, nil)
		r.giveUpRefund(f, Cause(f.Cause))
		return nil
	case ToFinish:
		if !f.RestKnown() {
			return wrong("退费后剩余 %s 由谁承担还不知道，不能算完成", f.Before.Total()-f.Total())
		}
		if due := -books[ledger.RefundsDue]; due != 0 && !f.Note {
			return wrong("还有 %s 没有退回（负数为多退），不能算完成；窗口已结清的，请给出 till", due)
		}
		if !f.Note && r.insuredDue(f) != 0 {
			return wrong("医保部分还没有退回，不能算完成")
		}
		if f.ByHand() && f.Cash.OutRefundNo != "" && !f.Returned() { // WeChat is asked about it once more
			f.Desk, f.Cause = refund.DeskBooked, ""
			f.Touch()
			r.refundMoves(f, refund.Hold, nil)
			return nil
		}
		r.endRefund(f)
		return nil
	}
	return wrong("%q 不是退费的结论，应为 resume、done 或 refuse", v.Outcome)
}

// insuredDue is what the insurer has still to take back of a refund whose cash is settled.
func (r *run) insuredDue(f *refund.Refund) money.Fen {
	if s := r.order.Settlement(); f.Insured() > 0 && f.InsuredAt.IsZero() && s != nil && s.State == settlement.Settled {
		return s.Actual.Insured() - s.Actual.Cash
	}
	return 0
}

// ruleTill takes people's word that the till has settled the cash of a refund that WeChat cannot give back: too old, too often, stuck, returned by
// somebody else; or where the patient owes more than before. The insurer's part must be back by then, and the amount is what the books say is due.
func (r *run) ruleTill(f *refund.Refund, v Verdict, books map[ledger.Account]money.Fen) error {
	amount, err := money.ParseYuan(v.Till)
	s, due := r.order.Settlement(), -books[ledger.RefundsDue]
	final := r.order.Payment() != nil && r.order.Payment().State.Final()
	insuredLater := r.atOnce && (f.Cash.Numbers > 0 || v.Cash != "" || final) && f.Insured() > 0 && f.InsuredAt.IsZero() && s != nil && s.State == settlement.Settled
	if insuredLater { // cash first: what the insurer has still to take back is not the till's
		due -= r.insuredDue(f)
	}
	number := f.Cash.OutRefundNo != "" && !f.Returned()
	switch {
	case err != nil || amount.String() != v.Till:
		return wrong("窗口退款金额 %q 应以元为单位、带两位小数，如 60.00；收回的为负数", v.Till)
	case f.Note || !f.RestKnown() || (due == 0 && (f.ByHand() || f.Returned())):
		return wrong("该退费的现金不由窗口代退")
	case !insuredLater && f.Insured() > 0 && f.InsuredAt.IsZero() && (r.restInsured(f) > 0 || s == nil || s.State != settlement.Cancelled):
		return wrong("医保部分还没有退回，窗口不能先退现金")
	case amount != due:
		return wrong("账上还差 %s，窗口退的却是 %s", due, amount)
	case number && v.Cash != "paid":
		return wrong("微信退款单 %s 还没有了结：在商户平台查实款项仍在、不会再退的，请说明 cash=paid", f.Cash.OutRefundNo)
	}
	if p := r.order.Payment(); p != nil && amount > 0 && f.Cash.Amount == 0 && p.Reserve(amount) { // what the till gave WeChat gives to nobody
		f.Cash.Amount = amount
	}
	f.Till, f.TillAt = f.Till+amount, r.clock.Now()
	f.Touch()
	r.note(Event{Subject: "refund", Verb: "till", From: string(f.State), To: string(f.State), Number: f.ID.No(), Detail: amount.String(),
		Posting: ledger.Against(ledger.Suspense, ledger.Line{Account: ledger.RefundsDue, Amount: amount})})
	return nil
}

// ruleRest takes people's word for who bears what a refund that the window made by itself left insured.
func (r *run) ruleRest(f *refund.Refund, words string) error {
	if !f.Note || f.RestKnown() {
		return wrong("该退费后由谁承担已经清楚，不应再说明 rest")
	}
	rest := split.Split{Uninsured: f.Before.Uninsured - f.Uninsured()}
	bearers := map[string]*money.Fen{"cash": &rest.Cash, "pooled_fund": &rest.PooledFund, "other_fund": &rest.OtherFund, "account": &rest.Account,
		"family_account": &rest.FamilyAccount, "hospital_borne": &rest.HospitalBorne}
	for _, w := range strings.Split(words, ",") {
		name, value, _ := strings.Cut(w, ":")
		amount, err := money.ParseYuan(value)
		if bearers[name] == nil || *bearers[name] != 0 || err != nil || amount <= 0 || amount.String() != value {
			return wrong("%q 不是承担者和金额，例如 pooled_fund:10.00", w)
		}
		*bearers[name] = amount
	}
	named := rest.Cash
	if rest.Cash += f.Before.Total() - f.Total() - rest.Total(); rest.Cash < 0 || (named != 0 && named != rest.Cash) {
		return wrong("各方承担之和须不多于退费后剩余的医保费用 %s；写明 cash 时须恰好等于", r.restInsured(f))
	}
	f.Rest = rest
	f.Touch()
	return nil
}
