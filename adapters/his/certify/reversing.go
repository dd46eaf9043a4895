package certify

import (
	"context"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
)

// postSettlement posts what is settled, but not as it is settled. A hospital that takes it has used the bill up.
func (k *kit) postSettlement(ctx context.Context) outcome {
	c := k.cover
	right := k.settledPosting(c)
	other, moved := right, right
	other.SetlID = "CERT" + k.number()
	for _, from := range []*money.Fen{&moved.Split.PooledFund, &moved.Split.OtherFund, &moved.Split.Account, &moved.Split.FamilyAccount} {
		if *from > 0 {
			*from--
			moved.Split.Cash++
			break
		}
	}
	k.charge(&moved)
	for _, wrong := range []struct {
		what string
		p    order.Posting
	}{{"另一个结算 ID", other}, {"一分钱从医保移到现金", moved}} {
		if wrong.p.Split == right.Split && wrong.p.SetlID == right.SetlID {
			continue // the insurer pays nothing
		}
		k.doing("入账：%s", wrong.what)
		if o := k.wantCode(ctx, "postings/post", his.PostMembers(wrong.p), amountWrong); o.verdict == Failed {
			k.cover = nil
			return failed("%s：%s", wrong.what, o.text)
		}
	}
	k.doing("查询缴费结果")
	st, err := k.client.PostingOf(ctx, c.claim.OrderNo, []string{c.bill.No})
	switch {
	case err != nil:
		return failed("%s", said(err))
	case st.State != order.PostingNone:
		k.cover = nil
		return failed("被拒绝的入账之后，查询应答 %s，应为 not_posted", st.State)
	}
	return passed("与结算不符的入账均被拒绝")
}

// standing is the settlement that the checks share, or a new one where it was used up.
func (k *kit) standing(ctx context.Context) (*cover, outcome, bool) {
	if k.cover != nil {
		return k.cover, outcome{}, true
	}
	b, o, ok := k.nextInsured(ctx)
	if !ok {
		return nil, o, false
	}
	k.cover, o, ok = k.settled(ctx, k.number(), b)
	return k.cover, o, ok
}

func (k *kit) cancelLost(ctx context.Context) outcome {
	c, o, ok := k.standing(ctx)
	if !ok {
		return o
	}
	number := k.link.MsgID()
	k.doing("撤销，请求发出后立即切断连接")
	if err := k.link.Cancel(cutting(ctx), number, c.claim.Visit, c.settled.SetlID); fault.KindOf(err) != fault.Unknown {
		return skipped("连接没有按预期断开：%v", err)
	}
	k.cover = nil // until it is known to stand
	k.doing("冲正丢失的撤销")
	if err := k.reverse(ctx, c, "2208", number); err != nil {
		return failed("冲正：%s", said(err))
	}
	k.doing("查询医保结算：应仍有效")
	stands, err := k.link.InForce(ctx, c.claim.Visit, c.settled.SetlID)
	switch {
	case err != nil:
		return failed("冲正之后查询：%s", said(err))
	case !stands:
		c.undone = true
		return failed("冲正之后，查询应答 cancelled，应为 settled")
	}
	k.doing("以冲正过的撤销号撤销")
	if o := k.declined(k.link.Cancel(ctx, number, c.claim.Visit, c.settled.SetlID), insurerRefused); o.verdict == Failed {
		return o
	}
	k.cover = c
	return passed("冲正之后结算仍有效，撤销号作废")
}

func (k *kit) cancelled(ctx context.Context) outcome {
	c, o, ok := k.standing(ctx)
	if !ok {
		return o
	}
	if err := k.undo(ctx, c); err != nil {
		return failed("%s", said(err))
	}
	k.doing("查询医保结算")
	stands, err := k.link.InForce(ctx, c.claim.Visit, c.settled.SetlID)
	switch {
	case err != nil:
		return failed("撤销之后查询：%s", said(err))
	case stands:
		c.undone = false
		return failed("撤销应答 cancelled，查询却应答 settled")
	}
	k.release(ctx, c.claim.OrderNo)
	k.bills = append(k.bills, c.bill)
	return passed("撤销之后查询应答 cancelled")
}

func (k *kit) cancelAgain(ctx context.Context) outcome {
	c := k.cover
	k.doing("同一撤销号再次撤销")
	if err := k.link.Cancel(ctx, c.cancelNo, c.claim.Visit, c.settled.SetlID); err != nil {
		return failed("%s", said(err))
	}
	return passed("应答同样的结果")
}

// fresh is a claim that is foreseen and not settled.
func (k *kit) fresh(ctx context.Context) (*cover, outcome, bool) {
	b, o, ok := k.nextInsured(ctx)
	if !ok {
		return nil, o, false
	}
	c, err := k.foresee(ctx, k.number(), b)
	if err != nil {
		return nil, failed("医保预结算：%s", said(err)), false
	}
	return c, o, true
}

// nothing demands that nothing of a claim is settled. Its bill may then be used again.
func (k *kit) nothing(ctx context.Context, c *cover) outcome {
	k.doing("再次预结算：应答 0 证明没有结算")
	if err := k.foreseeAgain(ctx, c); err != nil {
		return failed("冲正之后再次预结算：%s", said(err))
	}
	c.undone = true
	k.bills = append(k.bills, c.bill)
	return passed("没有留下结算")
}

// late has a settlement under a number that is spent come now, and demands that it does nothing.
func (k *kit) late(ctx context.Context, c *cover) outcome {
	k.doing("以冲正过的结算号结算")
	if o := k.declined(k.settle(ctx, c), insurerRefused); o.verdict == Failed {
		return failed("冲正过的结算号：%s", o.text)
	}
	return k.nothing(ctx, c)
}

func (k *kit) settleLost(ctx context.Context) outcome {
	c, o, ok := k.fresh(ctx)
	if !ok {
		return o
	}
	k.doing("医保结算，请求发出后立即切断连接")
	if err := k.settle(cutting(ctx), c); fault.KindOf(err) != fault.Unknown {
		return skipped("连接没有按预期断开：%v", err)
	}
	k.doing("冲正丢失的结算")
	if err := k.reverse(ctx, c, "2207", c.settleNo); err != nil {
		return failed("冲正：%s", said(err))
	}
	return k.nothing(ctx, c)
}

func (k *kit) settleSpent(ctx context.Context) outcome {
	c, o, ok := k.fresh(ctx)
	if !ok {
		return o
	}
	k.doing("医保结算")
	if err := k.settle(ctx, c); err != nil {
		return failed("医保结算：%s", said(err))
	}
	k.doing("冲正")
	if err := k.reverse(ctx, c, "2207", c.settleNo); err != nil {
		return failed("冲正：%s", said(err))
	}
	return k.late(ctx, c)
}

func (k *kit) reverseUnknown(ctx context.Context) outcome {
	c, o, ok := k.fresh(ctx)
	if !ok {
		return o
	}
	k.doing("冲正一个没有用过的结算号")
	if err := k.link.Reverse(ctx, k.link.MsgID(), c.claim.Visit, "2207", c.settleNo); err != nil {
		return failed("%s", said(err))
	}
	return k.late(ctx, c)
}

func (k *kit) withdrawTwice(ctx context.Context) outcome {
	c, o, ok := k.fresh(ctx)
	if !ok {
		return o
	}
	for _, step := range []string{"撤回", "再次撤回"} {
		k.doing("%s", step)
		if err := k.link.Withdraw(ctx, c.claim); err != nil {
			return failed("%s：%s", step, said(err))
		}
	}
	k.doing("结算已撤回的结算单")
	if o := k.declined(k.settle(ctx, c), notFound, insurerRefused); o.verdict == Failed {
		return failed("已撤回的结算单：%s", o.text)
	}
	c.undone = true
	k.bills = append(k.bills, c.bill)
	return passed("撤回之后不能结算")
}
