package certify

import (
	"context"
	"errors"
	"slices"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/settlement"
)

// cover is what is insured of a bill, as a hospital with a line of its own presettles and settles it.
type cover struct {
	claim    settlement.Claim // its visit as the insurer knows it
	bill     *bill.Bill
	foreseen settlement.Presettlement
	settleNo string
	cancelNo string
	settled  settlement.Outcome
	undone   bool   // nothing of it stands
	refund   string // of what a refund leaves of an order: whose booking it belongs to
}

func insuranceChecks() []check {
	const group = "医保结算"
	list := []check{
		{id: "presettle", title: "预结算的各部分合计正确，不动钱、不占单据", clause: "§3.12", needs: []string{"detail", "release"},
			proves: "患者付款之前看到的基金、个账、现金就是医保给出的；看一看不会占住单据。",
			advice: "把医保的 2206 应答原样换成 parts 七项（整数分，uninsured_fen 为 0，合计等于 total_fen）；预结算不锁单、不改单据状态。",
			run:    (*kit).presettle},
		{id: "presettle-again", title: "同一结算单号可以再次预结算", clause: "§3.12", needs: []string{"presettle"},
			proves: "平台以此核实一张结算单没有结算；重复询问不动个人账户。",
			advice: "结算单号与项目都相同时，对已上传的明细再问一次医保（2206），原样应答；不要当作重复而拒绝。",
			run:    (*kit).presettleAgain},
		{id: "presettle-part", title: "漏项的预结算被拒绝", clause: "§3.12", needs: []string{"presettle"},
			proves: "医生改方或报文缺行时，不会只结算一部分医保项目。",
			advice: "未缴费的单据，结算单必须含它的全部医保项目，数量与金额相同，否则应答 BILL_CHANGED，不上传。",
			run:    (*kit).presettlePart},
		{id: "presettle-other", title: "他人的单据不能预结算", clause: "§3.12；F11", needs: []string{"presettle", "detail-other"},
			proves: "不会用一个人的医保结算另一个人的费用。",
			advice: "核对单据属于请求中的患者号，不属于时应答 NOT_FOUND。",
			run:    (*kit).presettleOther},
		{id: "settle", title: "结算成功，各部分合计正确", clause: "§3.13", needs: []string{"presettle"},
			proves: "得到的是医保的一笔结算：结算 ID、时间、各部分，合计等于总额。",
			advice: "先记下 settle_no，再向医保发 2207；应答中的 parts 是 2207 实际结算的金额，带 setl_id 与 settled_at。",
			run:    (*kit).settleFirst},
		{id: "settle-again", title: "同一结算号重发得到同一笔结算", clause: "§3.13；F2", needs: []string{"settle"},
			proves: "结算的应答丢失后重发，不会结算两次。",
			advice: "以 settle_no 为唯一键；已结算时原样应答那一笔，不再向医保发 2207。",
			run:    (*kit).settleAgain},
		{id: "settle-query", title: "结算可以查询，不存在的有明确应答", clause: "§3.16", needs: []string{"settle"},
			proves: "平台能核实一笔结算是否有效。",
			advice: "按 setl_id 查询，有效时应答 settled；拿不准的向医保查 5203；不存在时应答 NOT_FOUND。",
			run:    (*kit).settleQuery},
		{id: "presettle-settled", title: "已结算的结算单，预结算与撤回均应答 SETTLED", clause: "§3.12、§3.17", needs: []string{"settle"},
			proves: "平台以预结算的应答判断有没有结算：答错一次，就会多退或少收。",
			advice: "结算单已有有效的结算时，insurance/presettle 与 insurance/withdraw 均应答 SETTLED。",
			run:    (*kit).presettleSettled},
		{id: "settle-other", title: "已结算的单据不能再结算", clause: "§3.13；F2", needs: []string{"settle"},
			proves: "同一张单据不会有两笔有效的医保结算。",
			advice: "结算前检查结算单和它的每张单据都没有有效的结算，有则应答 SETTLED。",
			run:    (*kit).settleOther},
		{id: "post-settlement", title: "与本院结算不符的入账被拒绝", clause: "§3.6、§3.17；F10", needs: []string{"settle", "query-none"},
			proves: "医院账上的医保部分，就是医保结算的那一笔。",
			advice: "入账时核对 setl_id 是本订单有效的结算，parts 与它逐项相同，否则应答 AMOUNT_WRONG。",
			run:    (*kit).postSettlement},
		{id: "cancel-lost", title: "应答丢失的撤销冲正之后，结算仍有效", clause: "§3.14；F1", needs: []string{"settle-query"},
			proves: "撤销的应答丢失时，平台能把它冲正，回到确定的状态。",
			advice: "original 为 cancel 时，向医保冲正（2601）那次 2208，应答 settled；该 cancel_no 从此作废。",
			run:    (*kit).cancelLost},
		{id: "cancel", title: "撤销之后结算无效", clause: "§3.15、§3.16", needs: []string{"settle-query"},
			proves: "退费时医保部分能整笔撤回。",
			advice: "向医保发 2208，成功后应答 cancelled；查询也应答 cancelled。",
			run:    (*kit).cancelled},
		{id: "cancel-again", title: "同一撤销号重发得到同样的应答", clause: "§3.15；F2", needs: []string{"cancel"},
			proves: "撤销的应答丢失后可以放心重发。",
			advice: "以 cancel_no 为唯一键；已撤销时原样应答，不再向医保发 2208。",
			run:    (*kit).cancelAgain},
		{id: "settle-lost", title: "应答丢失的结算冲正之后，没有留下结算", clause: "§3.14；F1", needs: []string{"presettle-again", "presettle-settled", "cancel"},
			proves: "请求发出后连接断开，平台冲正；医保与医院账上都没有这一笔。",
			advice: "处理不依赖连接是否还在：先记下 settle_no，再问医保；冲正时按记下的报文号向医保发 2601，成功后才应答 not_settled。",
			run:    (*kit).settleLost},
		{id: "settle-spent", title: "冲正过的结算号不能再结算", clause: "§3.13、§3.14；F2", needs: []string{"settle-lost"},
			proves: "冲正之后迟到、重复的结算请求不起作用。",
			advice: "冲正后该 settle_no 作废；再次结算应答 INSURER_REFUSED。",
			run:    (*kit).settleSpent},
		{id: "reverse-unknown", title: "没有见过的结算号也能冲正，并从此作废", clause: "§3.14；F1", needs: []string{"settle-lost"},
			proves: "冲正赶在结算请求之前到达时，迟到的结算不起作用。",
			advice: "没有这个 settle_no 时记下它已作废，应答 0 与 not_settled；之后用它结算应答 INSURER_REFUSED。",
			run:    (*kit).reverseUnknown},
		{id: "withdraw", title: "撤回的结算单不能结算，重复撤回无害", clause: "§3.17", needs: []string{"cancel"},
			proves: "患者不付了，上传的明细从医保撤回，不会被后来的请求结算。",
			advice: "撤回即删除已上传的明细（2205），结算单作废；没有可撤回的应答 1。",
			run:    (*kit).withdrawTwice},
	}
	for i := range list {
		list[i].group, list[i].writes, list[i].insured = group, true, true
	}
	return list
}

// claim is what is insured of a bill, for an order, under a number of its own.
func (k *kit) claim(no string, b *bill.Bill) settlement.Claim {
	return settlement.Claim{OrderNo: no, BatchNo: "CERT" + k.number(), Bills: []bill.Bill{*b}, Total: b.Insured(), UseAccount: true, Visit: settlement.Visit{VisitNo: b.Visit.No},
		Person: settlement.Person{Name: k.Data.Name, IDNumber: k.Data.ID, Token: k.Data.PayAuth}}
}

// foresee presettles what is insured of a bill, for an order.
func (k *kit) foresee(ctx context.Context, no string, b *bill.Bill) (*cover, error) {
	c := &cover{claim: k.claim(no, b), bill: b, settleNo: k.link.MsgID(), cancelNo: k.link.MsgID()}
	k.doing("预结算单据 %s", b.No)
	return c, k.foreseeAgain(ctx, c)
}

// foreseeAgain presettles the claim as it is. That it is accepted proves that nothing of it is settled.
func (k *kit) foreseeAgain(ctx context.Context, c *cover) error {
	p, err := k.link.Presettle(ctx, c.claim)
	if err == nil {
		c.claim.Visit, c.foreseen = p.Visit, p
	}
	return err
}

// settle has a claim settled; the same cover again repeats its number.
func (k *kit) settle(ctx context.Context, c *cover) error {
	if !slices.Contains(k.covers, c) { // before it is asked: it may stand, whatever is answered
		k.covers = append(k.covers, c)
	}
	c.undone = false
	out, err := k.link.Settle(ctx, c.settleNo, c.claim)
	if err == nil {
		c.settled = out
	}
	return err
}

// settled presettles and settles what is insured of a bill.
func (k *kit) settled(ctx context.Context, no string, b *bill.Bill) (*cover, outcome, bool) {
	return k.settledFor(ctx, no, "", b)
}

// settledFor does the same with what a refund leaves of a bill.
func (k *kit) settledFor(ctx context.Context, no, refundNo string, b *bill.Bill) (*cover, outcome, bool) {
	c, err := k.foresee(ctx, no, b)
	if err != nil {
		return nil, failed("医保预结算：%s", said(err)), false
	}
	c.refund = refundNo
	k.doing("医保结算")
	if err := k.settle(ctx, c); err != nil {
		return nil, failed("医保结算：%s", said(err)), false
	}
	return c, outcome{}, true
}

// undo cancels a settlement.
func (k *kit) undo(ctx context.Context, c *cover) error {
	k.doing("撤销医保结算")
	err := k.link.Cancel(ctx, c.cancelNo, c.claim.Visit, c.settled.SetlID)
	c.undone = c.undone || err == nil
	return err
}

// reverse has what was asked under a number undone, and asks again under new numbers until that is answered.
func (k *kit) reverse(ctx context.Context, c *cover, original, number string) error {
	return k.sure(ctx, func() (bool, error) {
		err := k.link.Reverse(ctx, k.link.MsgID(), c.claim.Visit, original, number)
		return err == nil, err
	})
}

// unsettle takes back what may stand at the insurer though it is not in the hospital's books, the last settlement first, as insurers want it.
func (k *kit) unsettle(ctx context.Context) {
	for _, c := range slices.Backward(k.covers) {
		if c.undone {
			continue
		}
		booked, err := k.inBooks(ctx, c)
		switch {
		case err != nil || booked: // its settlement belongs to it
		case c.settled.SetlID != "":
			_ = k.undo(ctx, c) // what the hospital does not hear, its test platform keeps
		default:
			_ = k.link.Reverse(ctx, k.link.MsgID(), c.claim.Visit, "2207", c.settleNo)
		}
	}
}

// inBooks reports whether the hospital has booked that by which a cover was settled: its order, or the refund that left it.
func (k *kit) inBooks(ctx context.Context, c *cover) (bool, error) {
	if c.refund != "" {
		st, err := k.client.RefundOf(ctx, c.claim.OrderNo, c.refund)
		return st.State == order.RefundBooked, err
	}
	st, err := k.client.PostingOf(ctx, c.claim.OrderNo, []string{c.bill.No})
	return st.State == order.PostingDone, err
}

// settledPosting is a paid order of one bill as the hospital's own line settled it.
func (k *kit) settledPosting(c *cover) order.Posting {
	p := k.posting(c.claim.OrderNo, c.bill)
	p.Split, p.SetlID, p.MdtrtID, p.SettledAt = c.settled.Split, c.settled.SetlID, c.claim.Visit.MdtrtID, c.settled.SettledAt
	p.Split.Uninsured = c.bill.Total - c.claim.Total
	k.charge(&p)
	return p
}

// nextInsured is the next bill that has something for the insurer.
func (k *kit) nextInsured(ctx context.Context) (*bill.Bill, outcome, bool) {
	if i := slices.IndexFunc(k.bills, func(b *bill.Bill) bool { return b.Insured() > 0 }); i > 0 {
		k.bills[0], k.bills[i] = k.bills[i], k.bills[0]
	}
	b, o, ok := k.nextBill(ctx)
	if ok && b.Insured() == 0 {
		k.bills = append(k.bills, b)
		return nil, skipped("没有可用的医保单据：在 certify.bills 中给出一张有医保项目的待缴费单据"), false
	}
	return b, o, ok
}

// declined demands that what was just asked was refused with one of these codes.
func (k *kit) declined(err error, codes ...string) outcome {
	switch {
	case err == nil:
		return failed("被受理了，应答码应为 %s", codeNames(codes))
	case !errors.Is(err, his.ErrDeclined):
		return failed("%s", said(err))
	case !slices.Contains(codes, k.last.Code):
		return failed("应答码是 %s，应为 %s", codeName(k.last.Code), codeNames(codes))
	}
	return passed("应答码 %s", codeName(k.last.Code))
}
