package certify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
)

type acquire struct {
	OrderNo   string    `json:"order_no"`
	PatientID string    `json:"patient_id"`
	BillNos   []string  `json:"bill_nos"`
	TotalFen  money.Fen `json:"total_fen"`
}

type orderKey struct {
	OrderNo string `json:"order_no"`
}

// locking is the bill that the lock checks share, and the orders that want it.
type locking struct {
	bill          *bill.Bill
	first, second string
	until         time.Time
}

func lockChecks() []check {
	const group = "锁单"
	return []check{
		{id: "lock", group: group, title: "锁单成功，期限合理", clause: "§3.4", writes: true, needs: []string{"detail"},
			proves: "锁单应答的单据与总额就是请求的，期限在将来、不超过 24 小时。",
			advice: "应答本订单号、单据号与当前总额；expires_at 为锁单时刻加锁定时长（通常 15 分钟），带时区，不超过 24 小时。",
			run:    (*kit).lock},
		{id: "lock-again", group: group, title: "同一订单重复锁单不延长期限", clause: "§3.4", writes: true, needs: []string{"lock"},
			proves: "应答丢失后可以放心重发：得到的还是原来那把锁。",
			advice: "以订单号为键：已有有效锁单时原样应答，不更新到期时间。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("同一订单号再次锁单")
				until, err := k.acquire(ctx, k.locking.first, k.locking.bill)
				switch {
				case err != nil:
					return failed("%s", said(err))
				case !until.Equal(k.locking.until):
					return failed("到期时间从 %s 变成了 %s", china(k.locking.until), china(until))
				}
				return passed("到期时间未变")
			}},
		{id: "lock-excludes", group: group, title: "被锁定的单据不能再被其他订单锁定", clause: "§3.4", writes: true, needs: []string{"lock"},
			proves: "同一张单据不会同时被两个订单收费。",
			advice: "锁单时在一个事务内检查并写入（唯一键：单据号）；他单持有时应答 LOCKED。",
			run: func(k *kit, ctx context.Context) outcome {
				k.locking.second = k.number()
				k.doing("另一订单锁同一单据")
				o := k.wantLock(ctx, k.locking.second, k.locking.bill, locked)
				if o.verdict == Failed {
					k.release(ctx, k.locking.second)
				}
				return o
			}},
		{id: "lock-reuse", group: group, title: "锁过单的订单号不能再锁别的单据", clause: "§3.4", writes: true, needs: []string{"lock-again"},
			proves: "一个订单号只代表一次缴费，不会张冠李戴。",
			advice: "订单号已有锁单而单据不同时应答 DUPLICATE 与原锁单，不锁新的单据。",
			run: func(k *kit, ctx context.Context) outcome {
				b, o, ok := k.nextBill(ctx)
				if !ok {
					return o
				}
				k.bills = append(k.bills, b)
				k.doing("同一订单号锁另一张单据")
				return k.wantLock(ctx, k.locking.first, b, duplicate)
			}},
		{id: "lock-other", group: group, title: "他人的单据不能锁定", clause: "§3.4；F11", writes: true, needs: []string{"detail-other"},
			proves: "不会替别人的单据收费。",
			advice: "锁单时核对单据属于请求中的患者号，不属于时应答 NOT_FOUND。",
			run: func(k *kit, ctx context.Context) outcome {
				other, o, ok := k.othersBill(ctx)
				if !ok {
					return o
				}
				no := k.number()
				k.doing("以测试患者的患者号锁他人的单据")
				o = k.wantLock(ctx, no, &bill.Bill{No: other, Total: 1}, notFound)
				if o.verdict == Failed {
					k.release(ctx, no)
				}
				return o
			}},
		{id: "release", group: group, title: "解锁后其他订单可以锁定，重复解锁无害", clause: "§3.5", writes: true, needs: []string{"lock-excludes", "lock-again"},
			proves: "患者放弃支付后，单据立刻可以在窗口或另一订单缴费。",
			advice: "解锁即删除该订单的锁；没有锁可解时应答 1。",
			run:    (*kit).releaseTwice},
		{id: "release-late", group: group, title: "迟到的解锁不释放他人的锁", clause: "§3.5", writes: true, needs: []string{"release"},
			proves: "网络中迟到、重复的解锁不会放开别的订单正在支付的单据。",
			advice: "解锁以订单号为条件，不要只按单据号删除锁。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("第一个订单迟到的解锁")
				if o := k.wantCode(ctx, "locks/release", orderKey{k.locking.first}, done, none); o.verdict == Failed {
					return o
				}
				third := k.number()
				k.doing("第三个订单锁同一单据：仍应被第二个订单锁定")
				o := k.wantLock(ctx, third, k.locking.bill, locked)
				if o.verdict == Failed {
					k.release(ctx, third)
				}
				k.release(ctx, k.locking.second)
				return o
			}},
		{id: "release-spent", group: group, title: "已解锁的订单号不能再锁", clause: "§3.4", writes: true, needs: []string{"release-late"},
			proves: "一个订单号只有一次生命，迟到的锁单请求不会锁住已放弃的单据。",
			advice: "保留已解锁、已过期的订单号；再次锁单时应答 LOCK_EXPIRED。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("第一个订单再次锁单")
				o := k.wantLock(ctx, k.locking.first, k.locking.bill, lockExpired)
				if o.verdict == Failed {
					k.release(ctx, k.locking.first)
				}
				k.bills = append(k.bills, k.locking.bill)
				return o
			}},
		{id: "lock-expires", group: group, title: "锁单到期自行失效", clause: "§3.4", writes: true, needs: []string{"release"},
			proves: "患者不付款离开，到期后单据自动可以在别处缴费。",
			advice: "判断锁是否有效时比较到期时间，不依赖定时清理；过期的订单号再锁应答 LOCK_EXPIRED。",
			run:    (*kit).expiry},
		{id: "changed", group: group, title: "列表之后变更的单据不会按旧金额支付", clause: "§3.4；F4", writes: true, needs: []string{"release"},
			proves: "医生改方后，平台或医院系统会发现金额已变，患者重新确认。",
			advice: "锁单时比较 total_fen，不等时应答 BILL_CHANGED；不比较的，应答当前总额，明细给出变更后的内容。",
			run:    (*kit).changed},
		{id: "void", group: group, title: "作废的单据不能锁定", clause: "§3.4、§3.7；F4", writes: true, needs: []string{"release", "query-none"},
			proves: "列表之后被作废的单据不再收费，查询时说明它已作废，平台据此退款。",
			advice: "锁单应答 BILL_VOID；缴费结果查询应答 void，并在 void_bill_nos 中列出。",
			run:    (*kit).void},
		{id: "window", group: group, title: "窗口已缴的单据不能锁定", clause: "§3.4、§3.6、§3.7；F5", writes: true, needs: []string{"release", "query-none"},
			proves: "窗口与手机不会重复收费；查询说明在哪里缴的，平台据此退款。",
			advice: "锁单和入账应答 ALREADY_PAID；缴费结果查询应答 paid_elsewhere，并在 paid[] 中给出单据号与缴费地点 window。",
			run:    (*kit).windowPaid},
		{id: "window-locked", group: group, title: "锁定期间窗口不能收费", clause: "§3.4；F5", writes: true, needs: []string{"release"},
			proves: "患者正在手机上付款时，窗口收费员会被提示，不会重复收费。",
			advice: "窗口收费、改方、作废前检查该单据是否被有效锁定。",
			run:    (*kit).windowLocked},
	}
}

// acquire locks a bill as the platform does.
func (k *kit) acquire(ctx context.Context, no string, b *bill.Bill) (time.Time, error) {
	k.locks = append(k.locks, no)
	return k.client.Lock(ctx, order.LockRequest{OrderNo: no, HISPatient: k.patient, Bills: []string{b.No}, Total: b.Total})
}

// wantLock asks for a lock and demands one of these codes.
func (k *kit) wantLock(ctx context.Context, no string, b *bill.Bill, codes ...string) outcome {
	k.locks = append(k.locks, no)
	return k.wantCode(ctx, "locks/acquire", acquire{OrderNo: no, PatientID: k.patient, BillNos: []string{b.No}, TotalFen: b.Total}, codes...)
}

// release gives a lock back, whatever comes of it.
func (k *kit) release(ctx context.Context, no string) {
	k.doing("收尾：解锁")
	_ = k.client.Release(ctx, no) // the lock ends by itself where it is not heard
}

func (k *kit) lock(ctx context.Context) outcome {
	b, o, ok := k.nextBill(ctx)
	if !ok {
		return o
	}
	k.locking.bill, k.locking.first = b, k.number()
	k.doing("锁定单据 %s", b.No)
	until, err := k.acquire(ctx, k.locking.first, b)
	if err != nil {
		return failed("%s", said(err))
	}
	var out struct {
		TotalFen money.Fen `json:"total_fen"`
	}
	if json.Unmarshal(k.last.Data, &out) != nil || out.TotalFen != b.Total {
		return failed("锁单应答的总额是 %s，单据是 %s", out.TotalFen, b.Total)
	}
	k.locking.until = until
	return passed("锁定到 %s", china(until))
}

func (k *kit) releaseTwice(ctx context.Context) outcome {
	k.doing("解锁")
	if o := k.wantCode(ctx, "locks/release", orderKey{k.locking.first}, done); o.verdict == Failed {
		return o
	}
	k.doing("再次解锁")
	if o := k.wantCode(ctx, "locks/release", orderKey{k.locking.first}, done, none); o.verdict == Failed {
		return o
	}
	k.doing("另一订单锁同一单据")
	o := k.wantLock(ctx, k.locking.second, k.locking.bill, done)
	if o.verdict == Failed {
		return failed("解锁之后，另一订单仍不能锁定：%s", o.text)
	}
	return passed("解锁后另一订单锁定成功")
}

// clocksApart is how far the hospital's clock may be off ours, as the check of the clocks allows: by that much later it lets a lock end.
const clocksApart = time.Minute

func (k *kit) expiry(ctx context.Context) outcome {
	b, o, ok := k.nextBill(ctx)
	if !ok {
		return o
	}
	first, second := k.number(), k.number()
	k.doing("锁定单据 %s", b.No)
	until, err := k.acquire(ctx, first, b)
	if err != nil {
		return failed("%s", said(err))
	}
	defer func() { k.bills = append(k.bills, b) }()
	if left := until.Sub(k.Clock.Now()); left > k.Data.Wait {
		k.release(ctx, first)
		return skipped("锁单还有 %s 到期，certify.wait 只允许等 %s：把它设得更长，或请医院把测试环境的锁单时长改短", left.Round(time.Second), k.Data.Wait)
	}
	if err := k.Clock.Sleep(ctx, until.Sub(k.Clock.Now())+2*time.Second); err != nil {
		return skipped("等待被中止")
	}
	k.doing("到期之后，另一订单锁同一单据")
	k.locks = append(k.locks, second)
	ended := k.Clock.Now()
	for {
		o = k.wantCode(ctx, "locks/acquire", acquire{OrderNo: second, PatientID: k.patient, BillNos: []string{b.No}, TotalFen: b.Total}, done)
		late := k.Clock.Now().Sub(ended)
		if o.verdict != Failed || k.last.Code != locked || late > clocksApart || k.Clock.Sleep(ctx, 5*time.Second) != nil {
			break
		}
		k.warning = fmt.Sprintf("按平台的时钟，到期 %d 秒之后仍被锁定：医院系统的时钟慢，或靠定时清理释放", int(late.Seconds())+2)
	}
	if o.verdict == Failed {
		k.release(ctx, first)
		return failed("到期之后仍不能锁定：%s", o.text)
	}
	k.release(ctx, second)
	k.doing("到期的订单号再次锁单")
	if o := k.wantLock(ctx, first, b, lockExpired); o.verdict == Failed {
		k.release(ctx, first)
		return o
	}
	return passed("到期后单据可被其他订单锁定，到期的订单号不能再用")
}

func (k *kit) changed(ctx context.Context) outcome {
	b, o, ok := k.nextBill(ctx)
	if !ok {
		return o
	}
	if _, o, ok := k.hands(ctx, Task{Do: ChangeBill, Bill: b.No}, "请医生在列表之后变更测试单据，再观察锁单应答 BILL_CHANGED 或新的总额"); !ok {
		k.bills = append(k.bills, b)
		return o
	}
	no := k.number()
	k.locks = append(k.locks, no)
	k.doing("以变更前的金额锁定单据 %s", b.No)
	a, err := k.ask(ctx, "locks/acquire", acquire{OrderNo: no, PatientID: k.patient, BillNos: []string{b.No}, TotalFen: b.Total})
	if o, ok := want(a, err, done, billChanged); !ok {
		return o
	}
	k.doing("再查明细")
	now, err := k.client.Detail(ctx, k.patient, b.No)
	if err != nil {
		return failed("%s", said(err))
	}
	k.release(ctx, no)
	k.bills = append(k.bills, now)
	if now.Total == b.Total {
		return failed("单据已变更，明细却还是原来的总额 %s", b.Total)
	}
	var out struct {
		TotalFen money.Fen `json:"total_fen"`
	}
	if a.Code == done && (json.Unmarshal(a.Data, &out) != nil || out.TotalFen != now.Total) {
		return failed("锁单应答的总额是 %s，单据现在是 %s", out.TotalFen, now.Total)
	}
	return passed("锁单应答 %s，明细为变更后的总额", codeName(a.Code))
}

// touched is a bill of the test patient that the configuration names, or one to which hands do something.
func (k *kit) touched(ctx context.Context, given string, do Doing, byHand string) (b *bill.Bill, o outcome, ok bool) {
	if given != "" {
		k.doing("查询单据 %s", given)
		b, err := k.client.Detail(ctx, k.patient, given)
		if err != nil {
			return nil, failed("%s", said(err)), false
		}
		return b, o, true
	}
	if b, o, ok = k.nextBill(ctx); !ok {
		return nil, o, false
	}
	if _, o, ok = k.hands(ctx, Task{Do: do, Bill: b.No}, byHand); !ok {
		k.bills = append(k.bills, b)
	}
	return b, o, ok
}

func (k *kit) void(ctx context.Context) outcome {
	b, o, ok := k.touched(ctx, k.Data.Void, VoidBill, "在 certify.void_bill 中给出测试患者的一张已作废的单据")
	if !ok {
		return o
	}
	no := k.number()
	k.doing("锁定已作废的单据 %s", b.No)
	if o := k.wantLock(ctx, no, b, billVoid); o.verdict == Failed {
		k.release(ctx, no)
		return o
	}
	return k.wantState(ctx, b, order.PostingVoid)
}

func (k *kit) windowPaid(ctx context.Context) outcome {
	b, o, ok := k.touched(ctx, k.Data.WindowPaid, PayAtWindow, "在 certify.window_paid_bill 中给出测试患者的一张窗口已缴的单据")
	if !ok {
		return o
	}
	no := k.number()
	k.doing("锁定窗口已缴的单据 %s", b.No)
	if o := k.wantLock(ctx, no, b, alreadyPaid); o.verdict == Failed {
		k.release(ctx, no)
		return o
	}
	k.doing("为窗口已缴的单据入账")
	if o := k.wantCode(ctx, "postings/post", his.PostMembers(k.posting(no, b)), alreadyPaid); o.verdict == Failed {
		return o
	}
	return k.wantState(ctx, b, order.PostingElsewhere)
}

// wantState asks what became of a number that was never posted, whose bill went another way.
func (k *kit) wantState(ctx context.Context, b *bill.Bill, state order.PostingState) outcome {
	k.doing("以一个未用过的订单号查询缴费结果")
	st, err := k.client.PostingOf(ctx, k.number(), []string{b.No})
	switch {
	case err != nil:
		return failed("%s", said(err))
	case st.State != state:
		return failed("缴费结果查询应答 %s，应为 %s", st.State, state)
	}
	return passed("不能锁定，查询应答 %s", state)
}

func (k *kit) windowLocked(ctx context.Context) outcome {
	b, o, ok := k.nextBill(ctx)
	if !ok {
		return o
	}
	no := k.number()
	k.doing("锁定单据 %s", b.No)
	if _, err := k.acquire(ctx, no, b); err != nil {
		return failed("%s", said(err))
	}
	const byHand = "锁定一张测试单据后，请收费员在窗口收它的费，应被系统提示并拒绝"
	if k.Hands == nil {
		k.release(ctx, no)
		k.bills = append(k.bills, b)
		return skipped("需要人工配合：%s", byHand)
	}
	_, err := k.Hands.Do(ctx, Task{Do: PayAtWindow, Bill: b.No})
	k.release(ctx, no)
	switch {
	case errors.Is(err, ErrRefused):
		k.bills = append(k.bills, b)
		return passed("窗口收费被拒绝")
	case errors.Is(err, ErrNobody):
		k.bills = append(k.bills, b)
		return skipped("需要人工配合：%s", byHand)
	case err != nil:
		return skipped("未能布置场景：%v", err)
	}
	return failed("%s", fmt.Sprintf("单据 %s 被订单锁定，窗口仍收了费", b.No))
}
