package certify

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/split"
)

// booked is an order that stands in the hospital's books.
type booked struct {
	order.Posting
	bill   *bill.Bill
	posted order.Posted
	cover  *cover // its settlement by the hospital's own line; nil: there is none
}

func postingChecks() []check {
	const group = "入账"
	return []check{
		{id: "post-wrong", group: group, title: "金额不符的入账被拒绝", clause: "§3.6；F10", writes: true, needs: []string{"release", "query-none", "cancel"},
			proves: "单据金额或各部分之和不符时不入账，账不会记错。",
			advice: "逐单比较 total_fen（不等应答 BILL_CHANGED 或 AMOUNT_WRONG），parts 七项之和必须等于 total_fen（否则 AMOUNT_WRONG），不符时整体拒绝。",
			run:    (*kit).postWrong},
		{id: "post", group: group, title: "入账成功，记录与发送的一致", clause: "§3.6", writes: true, needs: []string{"post-wrong"},
			proves: "统筹、个账、现金等各部分在医院账上与平台一致，对账才能平。",
			advice: "落盘之后再应答；应答记录中的 total_fen、parts 七项、bill_nos 与请求一致，带入账流水号和时间。",
			run: func(k *kit, ctx context.Context) outcome {
				b, o, ok := k.locked(ctx)
				if !ok {
					return o
				}
				k.doing("入账")
				posted, err := k.client.Post(ctx, b.Posting)
				if err != nil {
					return failed("%s", said(err))
				}
				b.posted = posted
				k.main = b
				return passed("入账流水号 %s", posted.PostingNo)
			}},
		{id: "post-query", group: group, title: "已入账的订单查询得到同一记录", clause: "§3.7；F1", writes: true, needs: []string{"post"},
			proves: "入账应答丢失后，平台靠查询得知真相。",
			advice: "按订单号查入账，应答 posted 与入账时的完整记录。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("查询缴费结果")
				return k.standsInBooks(ctx, k.main)
			}},
		{id: "post-twice", group: group, title: "重复入账应答 DUPLICATE 与原记录", clause: "§3.6；F2", writes: true, needs: []string{"post-query"},
			proves: "平台重发入账不会记两笔，并能凭原记录确认成功。",
			advice: "以订单号为唯一键；已入账时不改任何数据，应答 DUPLICATE 并在 data 中给出原记录。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("同样的入账再发一次")
				if o := k.wantDuplicate(ctx, k.main, k.main.Posting); o.verdict == Failed {
					return o
				}
				k.doing("查询缴费结果")
				return k.standsInBooks(ctx, k.main)
			}},
		{id: "post-other", group: group, title: "同一订单号换了金额，账不变", clause: "§3.6；F2", writes: true, needs: []string{"post-twice"},
			proves: "已入账的记录不会被后来的请求改写。",
			advice: "订单号已入账时，无论重复的请求写什么，都不更新；应答 DUPLICATE 与原记录。",
			run: func(k *kit, ctx context.Context) outcome {
				other := k.main.Posting
				other.Split, other.SetlID, other.MdtrtID, other.SettledAt = split.AllCash(other.Total), "", "", time.Time{}
				if other.Split == k.main.Split {
					other.Split = split.Split{Cash: other.Total}
					other.SetlID, other.SettledAt = "CERT"+k.number(), k.Clock.Now()
				}
				k.doing("同一订单号，费用各部分不同")
				if o := k.wantDuplicate(ctx, k.main, other); o.verdict == Failed {
					return o
				}
				k.doing("查询缴费结果")
				return k.standsInBooks(ctx, k.main)
			}},
		{id: "post-closes", group: group, title: "入账后单据已缴，不能再付", clause: "§3.2、§3.3、§3.4、§3.6；F5", writes: true, needs: []string{"post-query"},
			proves: "已缴的单据从列表消失，别的订单不能再锁、再入账。",
			advice: "入账与单据置为已缴在同一事务内；已缴单据的锁单、入账应答 ALREADY_PAID。",
			run:    (*kit).postCloses},
		{id: "post-lost", group: group, title: "入账应答丢失后仍只有一笔账", clause: "§3.6、§3.7；F1", writes: true, needs: []string{"post-twice"},
			proves: "请求发出后连接断开，查询与重发能得到唯一、完整的结果。",
			advice: "处理不依赖连接是否还在：要么整体入账，要么整体不入账；客户端断开时不得只回滚一半。",
			run:    (*kit).postLost},
		{id: "post-together", group: group, title: "同时到达的两次入账只记一笔", clause: "§3.6；F2", writes: true, needs: []string{"post-twice"},
			proves: "多台前置机、多次重试并发时也不会重复入账。",
			advice: "订单号在数据库上建唯一约束，以插入成败判断，不要先查后写。",
			run:    (*kit).postTogether},
		{id: "maintenance", group: group, title: "日结维护时明说维护，之后可以入账", clause: "§4；F14", writes: true, needs: []string{"post"},
			proves: "维护窗口内患者的钱不丢：平台稍后以同一订单号重发。",
			advice: "不受理时应答 MAINTENANCE，且什么都没做；维护结束后同一订单号可以入账。",
			run:    (*kit).closing},
	}
}

// locked takes the next bill, locks it for a new order, and writes its posting.
func (k *kit) locked(ctx context.Context) (*booked, outcome, bool) {
	b, o, ok := k.nextBill(ctx)
	if !ok {
		return nil, o, false
	}
	no := k.number()
	k.doing("锁定单据 %s", b.No)
	if _, err := k.acquire(ctx, no, b); err != nil {
		return nil, failed("%s", said(err)), false
	}
	return k.paid(ctx, no, b)
}

// paid is an order whose money is there. A hospital with a line of its own has settled what is insured of it.
func (k *kit) paid(ctx context.Context, no string, b *bill.Bill) (*booked, outcome, bool) {
	if !k.Insured || b.Insured() == 0 {
		return &booked{Posting: k.posting(no, b), bill: b}, outcome{}, true
	}
	c, o, ok := k.settled(ctx, no, b)
	if !ok {
		return nil, o, false
	}
	return &booked{Posting: k.settledPosting(c), bill: b, cover: c}, o, true
}

// posting is a paid order of one bill: of what is insured the funds pay half, the account a tenth, the patient the rest.
func (k *kit) posting(no string, b *bill.Bill) order.Posting {
	insured := b.Insured()
	fund, account := insured/2, insured/10
	now := k.Clock.Now().Truncate(time.Second)
	p := order.Posting{OrderNo: no, HISPatient: k.patient, Bills: []order.PostedBill{{No: b.No, Total: b.Total}}, Total: b.Total,
		Split: split.Split{PooledFund: fund, Account: account, Cash: insured - fund - account, Uninsured: b.Total - insured}}
	if insured > 0 {
		p.SetlID, p.MdtrtID, p.SettledAt = "CERT"+no, b.Visit.InsurerVisitID, now
	}
	k.charge(&p)
	return p
}

// charge has the patient pay his part of a posting by WeChat.
func (k *kit) charge(p *order.Posting) {
	p.OutTradeNo, p.TransactionID, p.PaidAt = "", "", time.Time{}
	if p.Split.Charge() > 0 {
		p.OutTradeNo, p.TransactionID, p.PaidAt = "CERT"+p.OrderNo, "42000"+p.OrderNo, k.Clock.Now().Truncate(time.Second)
	}
}

// record is what is compared of a posting's record.
type record struct {
	PostingNo string      `json:"posting_no"`
	TotalFen  money.Fen   `json:"total_fen"`
	Parts     split.Split `json:"parts"`
}

// wantDuplicate posts a number that is posted already and demands the record that stands.
func (k *kit) wantDuplicate(ctx context.Context, b *booked, sent order.Posting) outcome {
	a, err := k.ask(ctx, "postings/post", his.PostMembers(sent))
	if o, ok := want(a, err, duplicate); !ok {
		return o
	}
	var r record
	if json.Unmarshal(a.Data, &r) != nil || r != (record{b.posted.PostingNo, b.Total, b.Split}) {
		return failed("DUPLICATE 没有带入账时的原记录（流水号、总额、各部分）")
	}
	return passed("应答 DUPLICATE 与原记录")
}

// standsInBooks asks by the order number, and compares what stands there with what was sent and answered.
func (k *kit) standsInBooks(ctx context.Context, b *booked) outcome {
	st, err := k.client.PostingOf(ctx, b.OrderNo, []string{b.bill.No})
	switch {
	case err != nil:
		return failed("%s", said(err))
	case st.State != order.PostingDone:
		return failed("查询应答 %s，应为 posted", st.State)
	case st.Posted.PostingNo != b.posted.PostingNo:
		return failed("查询得到的入账流水号是 %s，入账时是 %s：记了两笔账", st.Posted.PostingNo, b.posted.PostingNo)
	case st.Split != b.Split || st.Total != b.Total:
		return failed("查询得到的金额与入账时不同")
	}
	return passed("查询应答 posted，记录一致")
}

func (k *kit) postWrong(ctx context.Context) outcome {
	b, o, ok := k.nextBill(ctx)
	if !ok {
		return o
	}
	right, o, ok := k.paid(ctx, k.number(), b)
	if !ok {
		return o
	}
	p := right.Posting
	wrong := p
	wrong.Bills = []order.PostedBill{{No: b.No, Total: b.Total + 1}}
	wrong.Total++
	wrong.Split.Uninsured++
	k.charge(&wrong)
	k.doing("单据金额多一分")
	if o := k.wantCode(ctx, "postings/post", his.PostMembers(wrong), billChanged, amountWrong); o.verdict == Failed {
		return o
	}
	wrong = p
	for _, part := range []*money.Fen{&wrong.Split.Uninsured, &wrong.Split.Cash, &wrong.Split.Account, &wrong.Split.PooledFund} {
		if *part > 0 {
			*part--
			break
		}
	}
	k.doing("各部分之和少一分")
	if o := k.wantCode(ctx, "postings/post", his.PostMembers(wrong), amountWrong); o.verdict == Failed {
		return o
	}
	k.doing("查询缴费结果")
	st, err := k.client.PostingOf(ctx, p.OrderNo, []string{b.No})
	switch {
	case err != nil:
		return failed("%s", said(err))
	case st.State != order.PostingNone:
		return failed("被拒绝的入账之后，查询应答 %s，应为 not_posted", st.State)
	}
	if right.cover != nil {
		if err := k.undo(ctx, right.cover); err != nil {
			return failed("撤销未入账的医保结算：%s", said(err))
		}
	}
	k.bills = append(k.bills, b)
	return passed("金额不符的入账均被拒绝，账上没有记录")
}

func (k *kit) postCloses(ctx context.Context) outcome {
	b := k.main.bill
	k.doing("查询待缴费列表")
	a, err := k.ask(ctx, "bills/pending", pending{k.patient})
	if o, ok := want(a, err, done, none); !ok {
		return o
	}
	var list struct {
		Bills []rawBill `json:"bills"`
	}
	if a.Code == done && json.Unmarshal(a.Data, &list) != nil {
		return failed("待缴费列表无法读取")
	}
	if slices.ContainsFunc(list.Bills, func(s rawBill) bool { return s.BillNo == b.No }) {
		return failed("已入账的单据 %s 还在待缴费列表中", b.No)
	}
	k.doing("查询已缴单据的明细")
	now, err := k.client.Detail(ctx, k.patient, b.No)
	if err != nil {
		return failed("%s", said(err))
	}
	if now.State != bill.Paid || now.Total != b.Total {
		return failed("已缴单据的状态是 %s、总额是 %s", now.State, now.Total)
	}
	no := k.number()
	k.doing("另一订单锁已缴的单据")
	if o := k.wantLock(ctx, no, b, alreadyPaid); o.verdict == Failed {
		k.release(ctx, no)
		return o
	}
	k.doing("另一订单为已缴的单据入账")
	return k.wantCode(ctx, "postings/post", his.PostMembers(k.posting(no, b)), alreadyPaid)
}

// sure asks until the hospital says something for certain, or ten seconds have passed: it may still be at work on what was sent.
func (k *kit) sure(ctx context.Context, asked func() (settled bool, err error)) error {
	for try := 0; ; try++ {
		settled, err := asked()
		if (err == nil && settled) || try == 10 {
			return err
		}
		if k.Clock.Sleep(ctx, time.Second) != nil {
			return err
		}
	}
}

func (k *kit) postLost(ctx context.Context) outcome {
	b, o, ok := k.locked(ctx)
	if !ok {
		return o
	}
	k.doing("入账，请求发出后立即切断连接")
	if _, err := k.client.Post(cutting(ctx), b.Posting); fault.KindOf(err) != fault.Unknown {
		return skipped("连接没有按预期断开：%v", err)
	}
	k.doing("以订单号查询")
	var st order.PostingStatus
	err := k.sure(ctx, func() (bool, error) {
		var err error
		st, err = k.client.PostingOf(ctx, b.OrderNo, []string{b.bill.No})
		return st.State == order.PostingDone, err
	})
	switch {
	case err != nil:
		return failed("断线之后查询缴费结果：%s", said(err))
	case st.State == order.PostingDone:
		b.posted = st.Posted
	case st.State != order.PostingNone:
		return failed("断线之后查询应答 %s，应为 posted 或 not_posted", st.State)
	default:
		k.doing("断线的请求没有入账，重发")
		if b.posted, err = k.client.Post(ctx, b.Posting); err != nil {
			return failed("断线的请求没有入账，重发：%s", said(err))
		}
	}
	k.doing("再发一次")
	if o := k.wantDuplicate(ctx, b, b.Posting); o.verdict == Failed {
		return o
	}
	k.doing("查询缴费结果")
	if o := k.standsInBooks(ctx, b); o.verdict == Failed {
		return o
	}
	k.lost = b
	if st.State == order.PostingNone {
		return passed("断线的请求整体未入账，重发后只有一笔账")
	}
	return passed("应答丢失，查询得知已入账，重发应答 DUPLICATE，只有一笔账")
}

func (k *kit) postTogether(ctx context.Context) outcome {
	b, o, ok := k.locked(ctx)
	if !ok {
		return o
	}
	k.doing("同一入账同时发两次")
	var answers [2]his.Answer
	var errs [2]error
	var both sync.WaitGroup
	for i := range answers {
		both.Go(func() { answers[i], errs[i] = k.ask(ctx, "postings/post", his.PostMembers(b.Posting)) })
	}
	both.Wait()
	var numbers []string
	for i := range answers {
		if o, ok := want(answers[i], errs[i], done, duplicate); !ok {
			return o
		}
		var r record
		if json.Unmarshal(answers[i].Data, &r) != nil || r.PostingNo == "" {
			return failed("应答没有带入账记录")
		}
		numbers = append(numbers, r.PostingNo)
	}
	if numbers[0] != numbers[1] {
		return failed("同时发出的两次入账得到两个流水号 %s 与 %s：记了两笔账", numbers[0], numbers[1])
	}
	b.posted.PostingNo = numbers[0]
	k.together = b
	k.doing("查询缴费结果")
	return k.standsInBooks(ctx, b)
}

func (k *kit) closing(ctx context.Context) outcome {
	const byHand = "在日结或维护窗口内重跑认证，观察入账应答 MAINTENANCE"
	if k.Hands == nil {
		return skipped("需要人工配合：%s", byHand)
	}
	b, o, ok := k.locked(ctx)
	if !ok {
		return o
	}
	if _, o, ok := k.hands(ctx, Task{Do: Maintenance}, byHand); !ok {
		k.release(ctx, b.OrderNo)
		if b.cover == nil || k.undo(ctx, b.cover) == nil {
			k.bills = append(k.bills, b.bill)
		}
		return o
	}
	k.doing("维护中入账")
	_, err := k.client.Post(ctx, b.Posting)
	if !errors.Is(err, bill.ErrMaintenance) {
		if err == nil {
			return failed("入账成功了，应为 MAINTENANCE")
		}
		return failed("应为 MAINTENANCE：%s", said(err))
	}
	k.doing("查询缴费结果")
	if st, err := k.client.PostingOf(ctx, b.OrderNo, []string{b.bill.No}); err != nil || st.State != order.PostingNone {
		return failed("维护中被拒的入账，查询应答 %s，应为 not_posted（%v）", st.State, err)
	}
	k.doing("维护结束后入账")
	if b.posted, err = k.client.Post(ctx, b.Posting); err != nil {
		return failed("维护结束后：%s", said(err))
	}
	return passed("维护中应答 MAINTENANCE，之后入账成功")
}
