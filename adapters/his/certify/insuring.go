package certify

import (
	"context"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
)

// short is a bill of which an insured item is left out, or where it has but one, half of that.
func short(b *bill.Bill) (*bill.Bill, bool) {
	var insured []bill.Line
	for _, l := range b.Lines {
		if !l.Uninsured && l.Total > 0 {
			insured = append(insured, l)
		}
	}
	l := insured[0]
	gone := refund.Line{LineNo: l.No, Quantity: l.Quantity, Amount: l.Total}
	if len(insured) == 1 {
		gone.Quantity = l.Quantity.Div(decimal.NewFromInt(2)).Floor()
		gone.Amount = l.Total - bill.Amount(l.Quantity.Sub(gone.Quantity), l.Price)
	}
	part := without(b, []refund.Line{gone})
	return part, gone.Amount > 0 && part.Insured() > 0
}

func (k *kit) presettle(ctx context.Context) outcome {
	b, o, ok := k.nextInsured(ctx)
	if !ok {
		return o
	}
	c, err := k.foresee(ctx, k.number(), b)
	if err != nil {
		return failed("%s", said(err))
	}
	k.doing("查询单据 %s：应仍为待缴费", b.No)
	now, err := k.client.Detail(ctx, k.patient, b.No)
	switch {
	case err != nil:
		return failed("%s", said(err))
	case now.State != bill.Unpaid || now.Total != b.Total:
		return failed("预结算之后，单据的状态是 %s、总额是 %s", now.State, now.Total)
	}
	other := k.number()
	k.doing("另一订单锁同一单据：预结算不占单据")
	if o := k.wantLock(ctx, other, b, done); o.verdict == Failed {
		return failed("预结算之后，另一订单不能锁定：%s", o.text)
	}
	k.release(ctx, other)
	k.cover = c
	s := c.foreseen.Split
	return passed("总额 %s：基金 %s，个人账户 %s，现金 %s", c.claim.Total, s.Fund(), s.Account+s.FamilyAccount, s.Cash)
}

func (k *kit) presettleAgain(ctx context.Context) outcome {
	before := k.cover.foreseen
	k.doing("同一结算单号再次预结算")
	if err := k.foreseeAgain(ctx, k.cover); err != nil {
		return failed("%s", said(err))
	}
	now := k.cover.foreseen
	switch {
	case now.Split != before.Split || now.Visit.VisitNo != before.Visit.VisitNo:
		return failed("两次预结算的就诊号或各部分不同")
	case now.Balance != nil && before.Balance != nil && *now.Balance != *before.Balance:
		return failed("两次预结算之间，个人账户余额从 %s 变成了 %s：预结算动了钱", *before.Balance, *now.Balance)
	}
	return passed("各部分与余额未变")
}

func (k *kit) presettlePart(ctx context.Context) outcome {
	part, ok := short(k.cover.bill)
	if !ok {
		return skipped("没有合适的单据：需要有两个医保项目，或一个数量大于一的")
	}
	c := k.claim(k.number(), part)
	k.doing("预结算时漏掉一个医保项目")
	_, err := k.link.Presettle(ctx, c)
	o := k.declined(err, billChanged)
	if err == nil {
		k.doing("收尾：撤回")
		_ = k.link.Withdraw(ctx, c) // the report says that it was taken
	}
	return o
}

func (k *kit) presettleOther(ctx context.Context) outcome {
	other, o, ok := k.othersBill(ctx)
	if !ok {
		return o
	}
	one := decimal.NewFromInt(1)
	c := k.claim(k.number(), &bill.Bill{No: other, HISPatient: k.patient, Total: 1, Lines: []bill.Line{{No: "1", Quantity: one, Total: 1}}})
	k.doing("以测试患者的患者号预结算他人的单据")
	_, err := k.link.Presettle(ctx, c)
	o = k.declined(err, notFound)
	if err == nil {
		k.doing("收尾：撤回")
		_ = k.link.Withdraw(ctx, c) // the report says that it was taken
	}
	return o
}

func (k *kit) settleFirst(ctx context.Context) outcome {
	c := k.cover
	k.doing("锁定单据 %s", c.bill.No)
	if _, err := k.acquire(ctx, c.claim.OrderNo, c.bill); err != nil {
		return failed("%s", said(err))
	}
	k.doing("医保结算")
	if err := k.settle(ctx, c); err != nil {
		return failed("%s", said(err))
	}
	if c.settled.Split != c.foreseen.Split {
		k.warning = "结算的各部分与预结算不同：平台会撤销这笔结算，请患者重新确认"
	}
	return passed("结算 ID %s", c.settled.SetlID)
}

func (k *kit) settleAgain(ctx context.Context) outcome {
	first := k.cover.settled
	k.doing("同一结算号再次结算")
	if err := k.settle(ctx, k.cover); err != nil {
		return failed("%s", said(err))
	}
	again := k.cover.settled
	k.cover.settled = first
	switch {
	case again.SetlID != first.SetlID:
		return failed("结算 ID 从 %s 变成了 %s：结算了两次", first.SetlID, again.SetlID)
	case again.Split != first.Split:
		return failed("同一笔结算，各部分却不同")
	}
	return passed("得到同一笔结算")
}

func (k *kit) settleQuery(ctx context.Context) outcome {
	k.doing("查询医保结算")
	stands, err := k.link.InForce(ctx, k.cover.claim.Visit, k.cover.settled.SetlID)
	switch {
	case err != nil:
		return failed("%s", said(err))
	case !stands:
		return failed("查询应答 cancelled，应为 settled")
	}
	k.doing("查询一个不存在的结算 ID")
	_, err = k.link.InForce(ctx, k.cover.claim.Visit, "NONE"+k.number())
	return k.declined(err, notFound)
}

func (k *kit) presettleSettled(ctx context.Context) outcome {
	k.doing("已结算的结算单再次预结算")
	_, err := k.link.Presettle(ctx, k.cover.claim)
	if o := k.declined(err, alreadySettled); o.verdict == Failed {
		return o
	}
	k.doing("撤回已结算的结算单")
	return k.declined(k.link.Withdraw(ctx, k.cover.claim), alreadySettled)
}

func (k *kit) settleOther(ctx context.Context) outcome {
	again := *k.cover
	again.settleNo, again.cancelNo, again.settled = k.link.MsgID(), k.link.MsgID(), settlement.Outcome{}
	k.doing("同一结算单，另一结算号")
	if o := k.settledTwice(ctx, &again); o.verdict == Failed {
		return o
	}
	k.doing("同一单据，另一结算单")
	other, err := k.foresee(ctx, k.cover.claim.OrderNo, k.cover.bill)
	if err != nil { // it may be refused already
		return k.declined(err, alreadySettled)
	}
	k.doing("同一单据，另一结算单结算")
	o := k.settledTwice(ctx, other)
	k.doing("收尾：撤回")
	_ = k.link.Withdraw(ctx, other.claim) // what is not settled
	return o
}

// settledTwice demands that a claim is not settled, since its bill is.
func (k *kit) settledTwice(ctx context.Context, c *cover) outcome {
	err := k.settle(ctx, c)
	o := k.declined(err, alreadySettled)
	if err == nil {
		_ = k.undo(ctx, c) // the report says that it was settled
	}
	c.undone = c.undone || o.verdict == Passed
	return o
}
