package certify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/split"
)

func dayChecks() []check {
	const group = "对账"
	return []check{
		{id: "day", group: group, title: "当日的日对账文件条数与合计相符", clause: "§3.18；F13", needs: []string{"amounts"},
			proves: "对账的依据完整：没有缺行、重复、别日的记录，条数与合计由记录本身得出。",
			advice: "count、payment_fen、refund_fen 由当日全部记录算出；记录按入账（posted_at、booked_at）的北京时间归日；未过完的日子 closed 为 false。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("查询当日的清单")
				day, err := k.client.Day(ctx, k.Clock.Now())
				switch {
				case errors.Is(err, his.ErrNotOffered):
					return skipped("医院系统没有提供日对账文件（接口 1.3 版 §3.18）：对账时只能逐笔查询")
				case err != nil:
					return failed("%s", said(err))
				}
				return passed("%d 条：缴费 %s，退费 %s", len(day.Records), day.Payments, day.Refunds)
			}},
		{id: "day-pages", group: group, title: "日对账文件分页完整，末页之后明说没有", clause: "§3.18；F13", writes: true, needs: []string{"day", "post-twice"},
			proves: "记录多于一页时，逐页读到的与整份相同，没有缺页、重页。",
			advice: "按 at、再按流水号排序后分页，页码从 1 起；末页之后应答 1，data 中仍带全日的 count 与合计。",
			run:    (*kit).dayPages},
		{id: "day-empty", group: group, title: "没有记录的日子明说没有，未到的日子被拒绝", clause: "§3.18、§4；F9、F13", needs: []string{"day"},
			proves: "“当日没有”与“读不出来”分得清，早已过去的日子已经日结。",
			advice: "没有记录时应答 1，data 带 date、page、count 0、两个合计 0 与 closed，绝不应答 0 加空列表；过完且日结的日子 closed 为 true；未到的日子应答 HTTP 400 INVALID。",
			run:    (*kit).dayEmpty},
		{id: "day-ours", group: group, title: "日对账文件恰好是认证中的入账与退费，各一次", clause: "§3.18；F13", writes: true, needs: []string{"day", "post-other"},
			proves: "平台记的每一笔在医院账上有且只有一笔，金额、各部分、结算号与交易号一致；被拒绝、取消的不在其中。",
			advice: "清单从入账与退费入账的账表取，不从锁单、申请或单据取；退费的 parts 是退后剩余的各部分（rest_parts）。",
			run:    (*kit).dayOurs},
	}
}

// sentEntry is what was sent to be entered: a posting, or a refund.
type sentEntry struct {
	OrderNo     string      `json:"order_no"`
	RefundNo    string      `json:"refund_no"`
	TotalFen    money.Fen   `json:"total_fen"`
	Parts       split.Split `json:"parts"`
	RestParts   split.Split `json:"rest_parts"`
	SetlID      string      `json:"setl_id"`
	RestSetlID  string      `json:"rest_setl_id"`
	OutTradeNo  string      `json:"out_trade_no"`
	OutRefundNo string      `json:"out_refund_no"`
	Note        bool        `json:"note"`
}

// entered is what the hospital has of it, by its own word.
type entered struct {
	sentEntry
	stands  bool
	numbers []string // its own, each that it answered with
}

// books are what this run had entered.
type books struct {
	orders  map[string]bool     // every order number that was used
	entries map[string]*entered // by what and number
}

// key is the number of an entry, with what it is.
func (e *sentEntry) key() string {
	if e.RefundNo != "" {
		return "退费 " + e.RefundNo
	}
	return "订单 " + e.OrderNo
}

// note takes note of a message and its answer. What was not entered may be so later, so it is kept until the hospital says that something stands.
func (b *books) note(operation string, members []byte, a his.Answer) {
	var sent sentEntry
	if json.Unmarshal(members, &sent) != nil || sent.OrderNo == "" {
		return
	}
	b.orders[sent.OrderNo] = true
	if operation != "postings/post" && operation != "refunds/book" {
		return
	}
	e := b.entries[sent.key()]
	if e == nil {
		e = &entered{}
		b.entries[sent.key()] = e
	}
	number := numberOf(a)
	if a.Code == done || !e.stands && (number == "" || e.OrderNo == "") {
		e.sentEntry = sent
	}
	if number != "" {
		e.stands, e.numbers = true, append(e.numbers, number)
	}
}

// numberOf is the hospital's number of what stands, where an answer to a posting or booking says so.
func numberOf(a his.Answer) string {
	var out struct {
		PostingNo string `json:"posting_no"`
		BookingNo string `json:"booking_no"`
		Booking   struct {
			BookingNo string `json:"booking_no"`
		} `json:"booking"`
	}
	if (a.Code != done && a.Code != duplicate) || json.Unmarshal(a.Data, &out) != nil {
		return ""
	}
	return out.PostingNo + out.BookingNo + out.Booking.BookingNo
}

// differs says in what a record is not what was sent; empty: in nothing.
func (e *entered) differs(r *his.DayRecord) string {
	parts, setl := e.Parts, e.SetlID
	if r.Kind == his.DayRefund {
		parts, setl = e.RestParts, e.RestSetlID
	}
	switch {
	case r.Total != e.TotalFen:
		return fmt.Sprintf("金额是 %s，应为 %s", r.Total, e.TotalFen)
	case r.Split != parts:
		return "各部分与发送的不同"
	case !slices.Contains(e.numbers, r.Number):
		return fmt.Sprintf("流水号 %s 不是应答过的", r.Number)
	case r.SetlID != setl:
		return "结算号与发送的不同"
	case r.Kind == his.DayPayment && r.OutTradeNo != e.OutTradeNo, r.OutRefundNo != e.OutRefundNo:
		return "交易号与发送的不同"
	case r.Note != e.Note:
		return "note 与发送的不同"
	}
	return ""
}

// dayOurs reads the days of this run, and holds what is of its orders against what it had entered.
func (k *kit) dayOurs(ctx context.Context) outcome {
	var records []his.DayRecord
	for at := k.began; ; at = at.AddDate(0, 0, 1) {
		k.doing("查询 %s 的清单", at.In(clock.Shanghai).Format(time.DateOnly))
		day, err := k.client.Day(ctx, at)
		if err != nil {
			return failed("%s", said(err))
		}
		records = append(records, day.Records...)
		if !day.Date.AddDate(0, 0, 1).Before(k.Clock.Now()) {
			break
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := map[string]bool{}
	for i := range records {
		r := &records[i]
		if !k.books.orders[r.OrderNo] {
			continue // somebody else tries the same hospital
		}
		key := (&sentEntry{OrderNo: r.OrderNo, RefundNo: r.RefundNo}).key()
		e := k.books.entries[key]
		switch {
		case e == nil || !e.stands || e.OrderNo != r.OrderNo:
			return failed("清单中有 %s，它从未入账", key)
		case seen[key]:
			return failed("清单中 %s 出现两次", key)
		}
		if text := e.differs(r); text != "" {
			return failed("清单中 %s：%s", key, text)
		}
		seen[key] = true
	}
	for key, e := range k.books.entries {
		if e.stands && !seen[key] {
			return failed("清单中没有 %s，它已入账", key)
		}
	}
	return passed("%d 笔，各一次，与发送的一致", len(seen))
}

type dayPage struct {
	Date     string `json:"date"`
	Page     int    `json:"page"`
	PageSize int    `json:"page_size"`
}

// dayPages reads today's list in about five pages, and the page beyond the end.
func (k *kit) dayPages(ctx context.Context) outcome {
	for range 3 {
		k.doing("查询当日的清单")
		whole, err := k.client.Day(ctx, k.Clock.Now())
		if err != nil {
			return failed("%s", said(err))
		}
		if n := len(whole.Records); n < 3 {
			return skipped("当日只有 %d 条记录：不足以分页，请在有入账之后认证", n)
		}
		o, changed := k.inPages(ctx, whole)
		if !changed {
			return o
		}
	}
	return skipped("认证期间清单一直在变化：请在没有其他人测试时重跑")
}

func (k *kit) inPages(ctx context.Context, whole his.Day) (o outcome, changed bool) {
	count := len(whole.Records)
	size := min(1000, max(2, (count+4)/5))
	last := (count + size - 1) / size
	read := 0
	for page := 1; page <= last+1; page++ {
		k.doing("每页 %d 条，第 %d 页", size, page)
		a, err := k.ask(ctx, "statements/list", dayPage{whole.Date.Format(time.DateOnly), page, size})
		code := done
		if page > last {
			code = none
		}
		if o, ok := want(a, err, code); !ok {
			return o, false
		}
		var out struct {
			Count   int `json:"count"`
			Records []struct {
				PostingNo string `json:"posting_no"`
				BookingNo string `json:"booking_no"`
			} `json:"records"`
		}
		switch {
		case json.Unmarshal(a.Data, &out) != nil:
			return failed("第 %d 页无法读取", page), false
		case out.Count != count:
			return o, true
		case len(out.Records) != min(size, count-read):
			return failed("第 %d 页有 %d 条，应为 %d 条", page, len(out.Records), min(size, count-read)), false
		}
		for _, r := range out.Records {
			if whole.Records[read].Number != r.PostingNo+r.BookingNo {
				return failed("第 %d 页的流水号 %s 不在它的位置：缺页、重页，或没有按时间、流水号排序", page, r.PostingNo+r.BookingNo), false
			}
			read++
		}
	}
	return passed("%d 条分为 %d 页，与整份相同", count, last), false
}

// dayEmpty asks for a day on which the platform had no orders yet, and for one that has not begun.
func (k *kit) dayEmpty(ctx context.Context) outcome {
	long := k.Clock.Now().AddDate(-10, 0, 0)
	k.doing("查询十年前的一天")
	day, err := k.client.Day(ctx, long)
	switch {
	case err != nil:
		return failed("%s", said(err))
	case len(day.Records) > 0:
		return failed("%s 的清单有 %d 条记录，那时还没有平台的订单", day.Date.Format(time.DateOnly), len(day.Records))
	case !day.Closed:
		return failed("%s 早已过去，closed 却为 false：平台会一直等它日结", day.Date.Format(time.DateOnly))
	}
	k.doing("查询还没有到的一天")
	a, err := k.ask(ctx, "statements/list", dayPage{k.Clock.Now().In(clock.Shanghai).AddDate(0, 0, 2).Format(time.DateOnly), 1, 100})
	switch {
	case err == nil:
		return failed("未到的日子应答码是 %s，应为 HTTP 400 INVALID", codeName(a.Code))
	case !errors.Is(err, his.ErrRequest):
		return failed("未到的日子：%s", said(err))
	}
	return passed("没有记录的日子应答码 1，已日结；未到的日子被拒绝")
}
