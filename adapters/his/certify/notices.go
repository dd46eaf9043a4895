package certify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/refund"
)

// Notices is what reads and acknowledges the hospital's notices, as the service does.
type Notices interface {
	Open(header http.Header, body []byte) (job.Notice, error)
	Acknowledge(w http.ResponseWriter, err error)
}

// Listener takes the hospital's notices. The first try of each is answered with 500, so that it must come again.
type Listener struct {
	reads Notices
	own   string // the path at which they arrive

	mu  sync.Mutex
	got []arrival
}

// arrival is one try of a notice.
type arrival struct {
	notice job.Notice
	nonce  string
	err    error
	header http.Header
	body   []byte
	seen   bool
}

// NewListener takes notices at that path.
func NewListener(reads Notices, path string) *Listener { return &Listener{reads: reads, own: path} }

// largestNotice is docs/his-interface.md §1.
const largestNotice = 256 << 10

var errFirst = errors.New("certify: the first try is not acknowledged")

func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestNotice))
	if err != nil || r.Method != http.MethodPost || r.URL.EscapedPath() != l.own {
		http.NotFound(w, r)
		return
	}
	a := arrival{header: r.Header.Clone(), body: body, nonce: r.Header.Get("X-His-Nonce")}
	a.notice, a.err = l.reads.Open(r.Header, body)
	l.mu.Lock()
	known := slices.ContainsFunc(l.got, func(g arrival) bool {
		return g.err == nil && g.notice.Kind == a.notice.Kind && g.notice.Number == a.notice.Number
	})
	l.got = append(l.got, a)
	l.mu.Unlock()
	if a.err == nil && !known {
		l.reads.Acknowledge(w, errFirst)
		return
	}
	l.reads.Acknowledge(w, a.err)
}

// next is the first arrival that nobody has looked at: a refund of that order asked for at the window, or a notice that cannot be read. What does not even
// say that it is the hospital's anybody may have sent: it counts when there is nothing else.
func (l *Listener) next(number string, last bool) (arrival, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.got {
		if a := &l.got[i]; !a.seen && ((a.err != nil && (last || a.header.Get("X-His-App") != "")) || (a.err == nil && a.notice.Number == number && a.notice.Kind == refund.KindAsked)) {
			a.seen = true
			return *a, true
		}
	}
	return arrival{}, false
}

func noticeChecks() []check {
	const group = "医院通知"
	return []check{
		{id: "notice", group: group, title: "窗口退费的通知送达，签名正确，内容相符", clause: "§2、§5；F8", refunds: true, writes: true, needs: []string{"post-lost"},
			proves: "窗口发起的退费平台能收到并相信。",
			advice: "向约定的地址 POST，按 §2 以同一密钥签名（路径为该地址的路径，nonce 每次新取），members 按 §5，金额为整数分且合计相符。",
			run:    (*kit).notified},
		{id: "notice-again", group: group, title: "没有确认的通知会重发", clause: "§5", refunds: true, writes: true, needs: []string{"notice"},
			proves: "平台一时不可用时，窗口的退费不会丢。",
			advice: "应答不是 HTTP 200 且 code 为 0 时，1、5、15、60 分钟后重发，再后每小时，直到 24 小时；每次用新的 nonce、时间和签名，his_refund_no 不变。",
			run: func(k *kit, ctx context.Context) outcome {
				a, ok := k.arrived(ctx, k.lost.OrderNo)
				switch {
				case !ok:
					return failed("第一次应答 500 之后，%s 内没有重发", k.Data.NoticeWindow)
				case a.err != nil:
					return failed("重发的通知%s", said(a.err))
				case a.notice.ID != k.notice.notice.ID:
					return failed("重发的通知 his_refund_no 变了：会被当作另一笔退费")
				case a.nonce == k.notice.nonce:
					return failed("重发的通知用了同一个 nonce：会被当作重放")
				}
				return passed("没有确认的通知已重发，确认后结束")
			}},
	}
}

func (k *kit) notified(ctx context.Context) outcome {
	if k.Notices == nil {
		return skipped("没有给出 --listen：认证工具不知道在哪里等医院的通知")
	}
	if _, o, ok := k.hands(ctx, Task{Do: AskRefund, Order: k.lost.OrderNo}, "请收费员在窗口为认证的订单申请退费"); !ok {
		return o
	}
	a, ok := k.arrived(ctx, k.lost.OrderNo)
	switch {
	case !ok:
		return failed("%s 内没有通知到达", k.Data.NoticeWindow)
	case a.err != nil:
		return failed("通知%s", said(a.err))
	}
	k.notice = a
	return k.wantAsk(a.notice)
}

// wantAsk demands what the order's items are worth of a notice that asks for some of them back: the platform refuses anything else.
func (k *kit) wantAsk(n job.Notice) outcome {
	var asked refund.AskedByHIS
	if err := json.Unmarshal(n.Body, &asked); err != nil {
		return failed("通知无法读取")
	}
	if asked.Whole { // which items that are, the platform knows
		if asked.Total != k.lost.Total {
			return failed("通知说是全部（whole），金额却是 %s，订单是 %s", asked.Total, k.lost.Total)
		}
		return passed("通知已到达，签名与内容正确")
	}
	var wants []refund.Want
	for _, l := range asked.Lines {
		wants = append(wants, refund.Want{BillNo: l.BillNo, LineNo: l.LineNo, Quantity: l.Quantity})
	}
	lines, err := refund.Choose(refund.Left([]bill.Bill{*k.lost.bill}, nil), wants)
	if err != nil {
		return failed("通知中的项目不是该订单可退的项目，或数量超出")
	}
	for i, l := range lines {
		if asked.Lines[i].Amount != l.Amount {
			return failed("通知中第 %d 项的金额是 %s，按订单应为 %s", i+1, asked.Lines[i].Amount, l.Amount)
		}
	}
	return passed("通知已到达，签名与内容正确")
}

// arrived waits for a notice that asks for a refund of an order, and notes it.
func (k *kit) arrived(ctx context.Context, number string) (arrival, bool) {
	until := k.Clock.Now().Add(k.Data.NoticeWindow)
	for {
		last := k.Clock.Now().After(until)
		if a, ok := k.Notices.next(number, last); ok {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.record = append(k.record, Exchange{Step: "医院的通知", Operation: "notice",
				Request: k.veil.hide("POST " + k.Notices.own + "\n" + heads(a.header) + "\n" + k.veil.shown("notice", a.body)), Answer: "（由认证工具应答）"})
			return a, true
		}
		if last || k.Clock.Sleep(ctx, 500*time.Millisecond) != nil {
			return arrival{}, false
		}
	}
}

func speedChecks() []check {
	return []check{{id: "speed", group: "时限", title: "各操作在时限之内应答", clause: "§3；F12", needs: []string{"connect"},
		proves: "查询 5 秒、入账 10 秒之内应答；更慢的平台一律当作结果未知，患者要等更久。",
		advice: "查清慢在何处（数据库、前置机、网闸）；只要有一次超过时限，高峰时就会经常超过。",
		run: func(k *kit, _ context.Context) outcome {
			slow := ""
			for _, t := range k.timed() {
				if t.Max > t.Deadline {
					return failed("%s 最慢 %s，时限 %s", t.Operation, t.Max.Round(time.Millisecond), t.Deadline)
				}
				if t.Max > t.Deadline/2 {
					slow += t.Operation + " "
				}
			}
			if slow != "" {
				k.warning = "超过时限的一半，高峰时可能不够：" + slow
			}
			return passed("全部操作均在时限之内")
		}}}
}
