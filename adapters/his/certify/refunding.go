package certify

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/split"
)

func refundChecks() []check {
	const group = "退费"
	return []check{
		{id: "refund-none", group: group, title: "未知的退费单号查询应答没有", clause: "§3.11；F7", refunds: true, needs: []string{"connect"},
			proves: "平台只凭医院系统的记录认定退费，不会把没有的当作已退。",
			advice: "没有该退费单号时应答 none，不带凭据。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("查询一个未用过的退费单号")
				return k.wantRefund(ctx, k.number(), k.number(), order.RefundNone, 0)
			}},
		{id: "refund-unposted", group: group, title: "未入账的订单不能退费", clause: "§3.8；F8", refunds: true, writes: true, needs: []string{"post"},
			proves: "没有收过的钱不会退出去。",
			advice: "退费申请先核对订单已入账、患者号与项目相符，否则应答 NOT_FOUND。",
			run: func(k *kit, ctx context.Context) outcome {
				r := k.part(k.main)
				r.OrderNo, r.RefundNo = k.number(), k.number()
				k.doing("为未入账的订单申请退费")
				return k.wantRefusal(ctx, r, bill.ErrNotFound)
			}},
		{id: "refund-hold", group: group, title: "退费申请成功，项目被保留", clause: "§3.8、§3.11", refunds: true, writes: true, needs: []string{"post-query", "refund-none"},
			proves: "同意退费之后、钱退回之前，药品不会发出，项目不会执行。",
			advice: "同意时记下退费单号与项目并保留，应答与请求一致；查询应答 held 与该记录。",
			run: func(k *kit, ctx context.Context) outcome {
				r := k.part(k.main)
				r.RefundNo = k.number()
				k.held = r
				k.doing("申请退一部分项目")
				if err := k.hold(ctx, r); err != nil {
					return failed("%s", said(err))
				}
				k.doing("查询退费结果")
				return k.wantRefund(ctx, r.OrderNo, r.RefundNo, order.RefundHeld, r.Total)
			}},
		{id: "refund-hold-twice", group: group, title: "同一退费申请重发得到原结果", clause: "§3.8；F7", refunds: true, writes: true, needs: []string{"refund-hold"},
			proves: "退费申请的应答丢失后可以放心重发。",
			advice: "退费单号与项目都相同时，应答已有的保留记录；不要因自己保留了这些项目而拒绝自己。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("同样的退费申请再发一次")
				if err := k.hold(ctx, k.held); err != nil {
					return failed("%s", said(err))
				}
				return passed("应答原来的保留记录")
			}},
		{id: "refund-kept", group: group, title: "被保留的项目不能再申请", clause: "§3.8；F8", refunds: true, writes: true, needs: []string{"refund-hold"},
			proves: "同一项目不会被两笔退费各退一次。",
			advice: "可退数量要减去其他退费单号保留的数量；不足时应答 NOT_REFUNDABLE（reason: other）。",
			run: func(k *kit, ctx context.Context) outcome {
				r := k.whole(k.main, money.Fen(0), nil)
				k.doing("以另一退费单号申请退全部项目")
				return k.wantRefusal(ctx, r, bill.ErrNotRefundable)
			}},
		{id: "refund-drop", group: group, title: "取消退费申请，重复取消无害", clause: "§3.9、§3.11", refunds: true, writes: true, needs: []string{"refund-hold"},
			proves: "退费不成时项目立即恢复可用。",
			advice: "取消后项目不再保留，退费单号记为 dropped；没有可取消的应答 1。",
			run: func(k *kit, ctx context.Context) outcome {
				for _, step := range []string{"取消退费申请", "再次取消"} {
					k.doing("%s", step)
					if err := k.client.DropRefund(ctx, k.held.OrderNo, k.held.RefundNo); err != nil {
						return failed("%s：%s", step, said(err))
					}
				}
				k.doing("查询退费结果")
				return k.wantRefund(ctx, k.held.OrderNo, k.held.RefundNo, order.RefundDropped, 0)
			}},
		{id: "refund-drop-final", group: group, title: "取消之后迟到的申请被拒绝", clause: "§3.9；F7", refunds: true, writes: true, needs: []string{"refund-drop"},
			proves: "被取消赶上的申请不会再把项目锁住。",
			advice: "取消后该退费单号作废；再次申请应答 DUPLICATE 与 dropped 状态。没有申请过的单号被取消，也同样作废。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("以已取消的退费单号再次申请")
				if o := k.wantRefusal(ctx, k.held, his.ErrHoldDropped); o.verdict == Failed {
					return o
				}
				late := k.part(k.main)
				late.RefundNo = k.number()
				k.doing("取消赶在申请之前")
				if err := k.client.DropRefund(ctx, late.OrderNo, late.RefundNo); err != nil {
					return failed("取消没有申请过的退费单号：%s", said(err))
				}
				k.doing("迟到的申请")
				return k.wantRefusal(ctx, late, his.ErrHoldDropped)
			}},
		{id: "refund-too-much", group: group, title: "超出剩余的退费被拒绝", clause: "§3.8；F8", refunds: true, writes: true, needs: []string{"refund-drop"},
			proves: "退的数量和金额都不会超过收的。",
			advice: "数量超出剩余时应答 NOT_FOUND；金额不是“退前金额减退后金额”时应答 AMOUNT_WRONG。",
			run: func(k *kit, ctx context.Context) outcome {
				r := k.part(k.main)
				r.RefundNo = k.number()
				r.Lines[0].Quantity = r.Lines[0].Quantity.Add(decimal.NewFromInt(100000))
				k.doing("数量超出剩余")
				if o := k.wantRefusal(ctx, r, bill.ErrNotFound); o.verdict == Failed {
					return o
				}
				r = k.part(k.main)
				r.RefundNo = k.number()
				r.Lines[0].Amount++
				r.Total++
				k.doing("金额多一分")
				return k.wantRefusal(ctx, r, his.ErrAmountWrong)
			}},
		{id: "refund-handed-out", group: group, title: "已发药、已执行的项目不能退", clause: "§3.8；F8", refunds: true, writes: true, needs: []string{"post-together", "post-closes", "refund-none"},
			proves: "药已取走、检查已做的不会退钱。",
			advice: "申请时核对发药、执行状态，应答 NOT_REFUNDABLE 与 reason（dispensed、executed），且什么也不保留。",
			run: func(k *kit, ctx context.Context) outcome {
				b := k.together
				line := b.bill.Lines[0]
				if _, o, ok := k.hands(ctx, Task{Do: HandOut, Bill: b.bill.No, Line: line.No}, "请药房发出一项已缴的药品，再申请退它，应被拒绝"); !ok {
					return o
				}
				r := order.RefundRequest{OrderNo: b.OrderNo, RefundNo: k.number(), HISPatient: k.patient, Whole: len(b.bill.Lines) == 1, Total: line.Total,
					Lines: []refund.Line{{BillNo: b.bill.No, LineNo: line.No, Quantity: line.Quantity, Amount: line.Total}}}
				k.doing("申请退已发出的项目")
				if o := k.wantRefusal(ctx, r, bill.ErrNotRefundable); o.verdict == Failed {
					return o
				}
				k.doing("查询退费结果")
				return k.wantRefund(ctx, r.OrderNo, r.RefundNo, order.RefundNone, 0)
			}},
		{id: "refund-book", group: group, title: "退费入账，记录与剩余金额一致", clause: "§3.10、§3.11", refunds: true, writes: true, needs: []string{"refund-too-much", "post-closes"},
			proves: "部分退费之后，医院账上剩下的金额与平台一致。",
			advice: "退费入账与项目扣减在一个事务内，落盘后应答；rest_parts 按请求记录，合计等于退前剩余减本次退费。",
			run:    (*kit).bookPart},
		{id: "refund-book-twice", group: group, title: "重复的退费入账应答 DUPLICATE 与原记录", clause: "§3.10；F2、F7", refunds: true, writes: true, needs: []string{"refund-book"},
			proves: "平台重发退费入账不会退两次。",
			advice: "以退费单号为唯一键；已入账时应答 DUPLICATE，data 为 booked 状态与原记录。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("同样的退费入账再发一次")
				again, err := k.client.BookRefund(ctx, k.back)
				switch {
				case err != nil:
					return failed("%s", said(err))
				case k.last.Code != duplicate:
					return failed("应答码是 %s，应为 %s", codeName(k.last.Code), codeName(duplicate))
				case again.BookingNo != k.backNo:
					return failed("退费流水号从 %s 变成了 %s：退了两次", k.backNo, again.BookingNo)
				}
				k.doing("查询退费结果")
				return k.wantRefund(ctx, k.back.OrderNo, k.back.RefundNo, order.RefundBooked, k.back.Total)
			}},
		{id: "refund-lost", group: group, title: "退费入账应答丢失后仍只退一次", clause: "§3.10、§3.11；F7", refunds: true, writes: true, needs: []string{"refund-book-twice"},
			proves: "钱已退回、应答丢失时，查询与重发得到唯一的结果。",
			advice: "处理不依赖连接是否还在：整体入账或整体不入账；查询按退费单号应答 booked 与完整记录。",
			run:    (*kit).refundLost},
		{id: "refund-exhausted", group: group, title: "全部退完之后不能再退，缴费记录仍在", clause: "§3.3、§3.7、§3.8；F8", refunds: true, writes: true, needs: []string{"refund-lost", "post-other", "post-closes"},
			proves: "退完的订单不会再退，原缴费凭据不被改写。",
			advice: "退完后申请应答 NOT_FOUND；单据仍为 paid，金额不变，退的内容写在 returned[]；缴费结果查询仍为 posted。",
			run:    (*kit).exhausted},
	}
}

// part is a refund of half of the dearest line of an order's bill, of an insured one where the hospital settles by itself; of all of it where half would be
// nothing.
func (k *kit) part(b *booked) order.RefundRequest {
	var dearest bill.Line
	for _, l := range b.bill.Lines {
		if l.Total > dearest.Total && !(b.cover != nil && l.Uninsured) {
			dearest = l
		}
	}
	half := dearest.Quantity.Div(decimal.NewFromInt(2)).Floor()
	if !half.IsPositive() {
		half = dearest.Quantity
	}
	amount := dearest.Total - bill.Amount(dearest.Quantity.Sub(half), dearest.Price)
	return order.RefundRequest{OrderNo: b.OrderNo, HISPatient: k.patient, Whole: amount == b.Total, Total: amount, Reason: "接口认证",
		Lines: []refund.Line{{BillNo: b.bill.No, LineNo: dearest.No, Quantity: half, Amount: amount}}}
}

// whole is a refund of what is left of an order once that amount and these lines went back.
func (k *kit) whole(b *booked, gone money.Fen, back []refund.Line) order.RefundRequest {
	r := order.RefundRequest{OrderNo: b.OrderNo, RefundNo: k.number(), HISPatient: k.patient, Whole: true, Total: b.Total - gone, Reason: "接口认证"}
	for _, l := range b.bill.Lines {
		left := refund.Line{BillNo: b.bill.No, LineNo: l.No, Quantity: l.Quantity, Amount: l.Total}
		for _, g := range back {
			if g.LineNo == l.No {
				left.Quantity, left.Amount = left.Quantity.Sub(g.Quantity), left.Amount-g.Amount
			}
		}
		if left.Quantity.IsPositive() {
			r.Lines = append(r.Lines, left)
		}
	}
	return r
}

// without is what is left of a bill once these lines went back.
func without(b *bill.Bill, gone []refund.Line) *bill.Bill {
	left := *b
	left.Lines, left.Total = nil, 0
	for _, l := range b.Lines {
		for _, g := range gone {
			if g.LineNo == l.No {
				l.Quantity, l.Total = l.Quantity.Sub(g.Quantity), l.Total-g.Amount
			}
		}
		if l.Quantity.IsPositive() {
			left.Lines, left.Total = append(left.Lines, l), left.Total+l.Total
		}
	}
	return &left
}

// rest is who paid what a refund leaves of an order: what was never insured stays so, the funds have the rest. A hospital with a line of its own has cancelled
// what was settled, and settled the rest anew.
func (k *kit) rest(ctx context.Context, b *booked, r order.RefundRequest) (split.Split, outcome, bool) {
	left := without(b.bill, r.Lines)
	insured := left.Insured()
	if b.cover == nil || insured == b.cover.claim.Total {
		paid := split.Split{PooledFund: insured, Uninsured: left.Total - insured}
		if b.cover != nil {
			paid = b.cover.settled.Split
			paid.Uninsured = left.Total - insured
		}
		return paid, outcome{}, true
	}
	if err := k.undo(ctx, b.cover); err != nil {
		return split.Split{}, failed("撤销原医保结算：%s", said(err)), false
	}
	if insured == 0 {
		return split.AllCash(left.Total), outcome{}, true
	}
	anew, o, ok := k.settledFor(ctx, b.OrderNo, r.RefundNo, left)
	if !ok {
		return split.Split{}, o, false
	}
	b.cover = anew
	paid := anew.settled.Split
	paid.Uninsured = left.Total - insured
	return paid, o, true
}

// hold asks for a refund as the platform does.
func (k *kit) hold(ctx context.Context, r order.RefundRequest) error {
	k.holds = append(k.holds, r)
	return k.client.HoldRefund(ctx, r)
}

// wantRefund demands that the hospital says this of a refund.
func (k *kit) wantRefund(ctx context.Context, orderNo, refundNo string, state order.RefundState, total money.Fen) outcome {
	st, err := k.client.RefundOf(ctx, orderNo, refundNo)
	switch {
	case err != nil:
		return failed("%s", said(err))
	case st.State != state:
		return failed("退费结果查询应答 %s，应为 %s", st.State, state)
	case st.Total != total:
		return failed("退费结果查询的金额是 %s，应为 %s", st.Total, total)
	}
	return passed("查询应答 %s", state)
}

// wantRefusal asks for a hold and demands that it is refused so. What is held against that is dropped.
func (k *kit) wantRefusal(ctx context.Context, r order.RefundRequest, refusal *fault.Error) outcome {
	err := k.hold(ctx, r)
	switch {
	case err == nil:
		k.doing("收尾：取消")
		_ = k.client.DropRefund(ctx, r.OrderNo, r.RefundNo) // the report says that it was held
		return failed("退费申请被同意了，应被拒绝")
	case !errors.Is(err, refusal):
		return failed("%s", said(err))
	}
	return passed("申请被拒绝：%s", codeName(k.last.Code))
}

// booking is a refund whose money is back.
func (k *kit) booking(b *booked, r order.RefundRequest, left split.Split) order.RefundBooking {
	now := k.Clock.Now().Truncate(time.Second)
	out := order.RefundBooking{RefundRequest: r, Rest: left, RefundedAt: now}
	if left.Insured() > 0 {
		out.RestSetlID, out.RestMdtrtID, out.RestSettled = "CERT"+r.RefundNo, b.MdtrtID, now
	}
	if c := b.cover; c != nil && left.Insured() > 0 {
		out.RestSetlID, out.RestMdtrtID, out.RestSettled = c.settled.SetlID, c.claim.Visit.MdtrtID, c.settled.SettledAt
	}
	if b.Split.Charge() > left.Charge() {
		out.OutRefundNo, out.RefundID = "CERT"+r.RefundNo, "50000"+r.RefundNo
	}
	return out
}

// latest makes the order that is given back the one that was settled last: an insurer takes a person's settlements back from the last one on.
func (k *kit) latest(ctx context.Context) (o outcome, ok bool) {
	standing := slices.DeleteFunc(slices.Clone(k.covers), func(c *cover) bool { return c.undone })
	if k.main.cover == nil || k.main.cover == standing[len(standing)-1] {
		return o, true
	}
	b, o, ok := k.locked(ctx)
	if !ok {
		return o, false
	}
	k.doing("入账")
	posted, err := k.client.Post(ctx, b.Posting)
	if err != nil {
		return failed("%s", said(err)), false
	}
	b.posted = posted
	k.main = b
	return o, true
}

func (k *kit) bookPart(ctx context.Context) outcome {
	if o, ok := k.latest(ctx); !ok {
		return o
	}
	r := k.part(k.main)
	r.RefundNo = k.number()
	k.doing("申请退一部分项目")
	if err := k.hold(ctx, r); err != nil {
		return failed("%s", said(err))
	}
	left, o, ok := k.rest(ctx, k.main, r)
	if !ok {
		return o
	}
	k.back = k.booking(k.main, r, left)
	k.doing("退费入账")
	done, err := k.client.BookRefund(ctx, k.back)
	if err != nil {
		return failed("%s", said(err))
	}
	k.backNo = done.BookingNo
	k.doing("查询退费结果")
	st, err := k.client.RefundOf(ctx, r.OrderNo, r.RefundNo)
	switch {
	case err != nil:
		return failed("%s", said(err))
	case st.State != order.RefundBooked || st.Total != r.Total || st.Rest != left || st.Booked.BookingNo != done.BookingNo:
		return failed("查询得到的退费记录与入账时不同")
	}
	return passed("退费流水号 %s，剩余 %s", done.BookingNo, left.Total())
}

func (k *kit) refundLost(ctx context.Context) outcome {
	if k.back.Whole {
		return skipped("测试单据只有一项且数量为一，已经退完：请给出有两项以上的单据")
	}
	r := k.whole(k.main, k.back.Total, k.back.Lines)
	before := booked{Posting: k.main.Posting}
	before.Split = k.back.Rest
	k.doing("申请退剩余的全部项目")
	if err := k.hold(ctx, r); err != nil {
		return failed("%s", said(err))
	}
	if c := k.main.cover; c != nil && !c.undone {
		if err := k.undo(ctx, c); err != nil {
			return failed("撤销医保结算：%s", said(err))
		}
	}
	b := k.booking(&before, r, split.Split{})
	if b.OutRefundNo == "" {
		b.RefundedAt = k.Clock.Now().Truncate(time.Second)
	}
	k.doing("退费入账，请求发出后立即切断连接")
	if _, err := k.client.BookRefund(cutting(ctx), b); fault.KindOf(err) != fault.Unknown {
		return skipped("连接没有按预期断开：%v", err)
	}
	k.doing("以退费单号查询")
	var st order.RefundStanding
	err := k.sure(ctx, func() (bool, error) {
		var err error
		st, err = k.client.RefundOf(ctx, r.OrderNo, r.RefundNo)
		return st.State == order.RefundBooked, err
	})
	switch {
	case err != nil:
		return failed("断线之后查询退费结果：%s", said(err))
	case st.State != order.RefundBooked && st.State != order.RefundHeld:
		return failed("断线之后查询应答 %s，应为 booked 或 held", st.State)
	}
	k.doing("重发")
	again, err := k.client.BookRefund(ctx, b)
	switch {
	case err != nil:
		return failed("断线之后重发退费入账：%s", said(err))
	case st.State == order.RefundBooked && again.BookingNo != st.Booked.BookingNo:
		return failed("退费流水号从 %s 变成了 %s：退了两次", st.Booked.BookingNo, again.BookingNo)
	}
	k.doing("查询退费结果")
	return k.wantRefund(ctx, r.OrderNo, r.RefundNo, order.RefundBooked, r.Total)
}

func (k *kit) exhausted(ctx context.Context) outcome {
	r := k.part(k.main)
	r.RefundNo = k.number()
	k.doing("全部退完之后再次申请")
	if o := k.wantRefusal(ctx, r, bill.ErrNotFound); o.verdict == Failed {
		return o
	}
	k.doing("查询缴费结果")
	if o := k.standsInBooks(ctx, k.main); o.verdict == Failed {
		return o
	}
	k.doing("查询单据明细")
	a, err := k.ask(ctx, "bills/detail", detail{k.patient, k.main.bill.No})
	if o, ok := want(a, err, done); !ok {
		return o
	}
	var out struct {
		Bill struct {
			State    bill.State `json:"state"`
			TotalFen money.Fen  `json:"total_fen"`
		} `json:"bill"`
	}
	if json.Unmarshal(a.Data, &out) != nil || out.Bill.State != bill.Paid || out.Bill.TotalFen != k.main.Total {
		return failed("退完之后单据的状态是 %s、总额是 %s，应仍为 paid、%s", out.Bill.State, out.Bill.TotalFen, k.main.Total)
	}
	return passed("不能再退，缴费记录与单据未变")
}
