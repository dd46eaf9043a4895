package store

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// ticking is a clock that moves a little with every look at it, so that what must rest has rested soon. Whoever sleeps only lets others go first.
type ticking struct{ us atomic.Int64 }

func newTicking() *ticking {
	c := &ticking{}
	c.us.Store(start.UnixMicro())
	return c
}

func (c *ticking) Now() time.Time { return time.UnixMicro(c.us.Add(20)).UTC() }

func (c *ticking) advance(d time.Duration) { c.us.Add(d.Microseconds()) }

func (c *ticking) Sleep(ctx context.Context, _ time.Duration) error {
	return clock.Real{}.Sleep(ctx, 4*time.Millisecond)
}

func (c *ticking) WithDeadline(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// farSide are the counterparts of refunds: WeChat, the insurer, the centre and the HIS's desk. They count every call and keep books of their own.
type farSide struct {
	t     *testing.T
	clock clock.Clock
	desk  func(nth int) error // what the desk says to an order's n-th question; nil: it agrees

	mu     sync.Mutex
	calls  int
	seq    int
	paid   map[string]money.Fen            // by out_trade_no
	back   map[string]money.Fen            // likewise
	cash   map[string]payment.RefundStatus // by out_refund_no
	force  map[string]map[string]money.Fen // what the insurer settled and did not cancel: by visit, by setl_id
	heldBy map[string]map[string]error     // what the desk has said: by order, by refund
	asked  map[string]int                  // questions at the desk, by order
	booked map[string]order.RefundStanding // by refund
	given  map[string]settlement.GiveBack  // at the centre, by number
}

func newFarSide(t *testing.T, c clock.Clock, desk func(nth int) error) *farSide {
	return &farSide{t: t, clock: c, desk: desk, paid: map[string]money.Fen{}, back: map[string]money.Fen{}, cash: map[string]payment.RefundStatus{},
		force: map[string]map[string]money.Fen{}, heldBy: map[string]map[string]error{}, asked: map[string]int{}, booked: map[string]order.RefundStanding{},
		given: map[string]settlement.GiveBack{}}
}

// called counts a call. What it gives is to be called at the end of it.
func (f *farSide) called() func() {
	f.mu.Lock()
	f.calls++
	return f.mu.Unlock
}

func (f *farSide) counted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// number makes numbers that nobody has used.
func (f *farSide) number(kind string) string {
	f.seq++
	return fmt.Sprintf("%s%d", kind, f.seq)
}

// halves is how the insurer of these tests divides: half from the fund, an odd fen is the patient's.
func halves(insured money.Fen) split.Split {
	return split.Split{PooledFund: insured / 2, Cash: insured - insured/2}
}

// wechatSide is WeChat Pay, both the cash and the mixed orders.
type wechatSide struct {
	payment.Gateway
	payment.MixedGateway
	f *farSide
}

func (w wechatSide) Query(_ context.Context, outTradeNo string) (payment.Transaction, error) {
	defer w.f.called()()
	state := payment.Success
	if w.f.back[outTradeNo] > 0 {
		state = payment.TradeRefunded
	}
	return payment.Transaction{OutTradeNo: outTradeNo, State: state, Total: w.f.paid[outTradeNo], Currency: "CNY", TransactionID: "42" + outTradeNo,
		PaidAt: start}, nil
}

func (w wechatSide) BuildRefund(r payment.RefundOrder) ([]byte, error) { return json.Marshal(r) }

func (w wechatSide) Refund(_ context.Context, body []byte) (payment.RefundStatus, error) {
	defer w.f.called()()
	var in payment.RefundOrder
	if err := json.Unmarshal(body, &in); err != nil {
		return payment.RefundStatus{}, err
	}
	if status, again := w.f.cash[in.OutRefundNo]; again {
		return status, nil
	}
	if w.f.back[in.OutTradeNo] += in.Refund; w.f.back[in.OutTradeNo] > w.f.paid[in.OutTradeNo] || in.Refund <= 0 || in.Total != w.f.paid[in.OutTradeNo] {
		w.f.t.Errorf("WeChat is to give %s back, %s in all, of %s", in.Refund, w.f.back[in.OutTradeNo], w.f.paid[in.OutTradeNo])
	}
	status := payment.RefundStatus{OutRefundNo: in.OutRefundNo, OutTradeNo: in.OutTradeNo, RefundID: w.f.number("50"), State: payment.RefundSuccess,
		Refund: in.Refund, Total: in.Total, SucceededAt: w.f.clock.Now()}
	w.f.cash[in.OutRefundNo] = status
	return status, nil
}

func (w wechatSide) QueryRefund(_ context.Context, outRefundNo string) (payment.RefundStatus, error) {
	defer w.f.called()()
	status, found := w.f.cash[outRefundNo]
	if !found {
		return payment.RefundStatus{}, payment.ErrRefundNotExist
	}
	return status, nil
}

func (w wechatSide) BuildRefundNotice(n payment.RefundNotice) ([]byte, error) { return json.Marshal(n) }

func (w wechatSide) NotifyRefund(context.Context, string, []byte) error {
	defer w.f.called()()
	return nil
}

// insurerSide is the insurer's core platform.
type insurerSide struct {
	settlement.Insurer
	f *farSide
}

func (i insurerSide) MsgID() string {
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	return i.f.number("M")
}

func (i insurerSide) Presettle(_ context.Context, c settlement.Claim) (settlement.Presettlement, error) {
	defer i.f.called()()
	return settlement.Presettlement{Visit: c.Visit, Split: halves(c.Total), Echo: settlement.Echo{InScope: c.Total}}, nil
}

func (i insurerSide) Repeat(ctx context.Context, c settlement.Claim) (settlement.Presettlement, error) {
	return i.Presettle(ctx, c)
}

func (i insurerSide) Settle(_ context.Context, _ string, c settlement.Claim) (settlement.Outcome, error) {
	defer i.f.called()()
	force := i.f.force[c.Visit.VisitNo]
	if len(force) > 0 {
		i.f.t.Errorf("visit %s is settled beside %v", c.Visit.VisitNo, force)
	}
	id := i.f.number("S")
	force[id] = c.Total
	return settlement.Outcome{SetlID: id, Split: halves(c.Total), SettledAt: i.f.clock.Now()}, nil
}

func (i insurerSide) Cancel(_ context.Context, _ string, v settlement.Visit, setlID string) error {
	defer i.f.called()()
	if _, stands := i.f.force[v.VisitNo][setlID]; !stands {
		i.f.t.Errorf("settlement %s of visit %s is cancelled and does not stand", setlID, v.VisitNo)
	}
	delete(i.f.force[v.VisitNo], setlID)
	return nil
}

func (i insurerSide) SettleWait() time.Duration { return 0 }

// centreSide is the mobile-payment centre, which gives back a settlement as a whole.
type centreSide struct {
	settlement.Centre
	f *farSide
}

func (c centreSide) Refund(_ context.Context, g settlement.GiveBack) error {
	defer c.f.called()()
	visit := g.Claim.Visit.VisitNo
	if _, again := c.f.given[g.Number]; !again && len(c.f.force[visit]) != 1 {
		c.f.t.Errorf("visit %s is given back, %v stand", visit, c.f.force[visit])
	}
	c.f.given[g.Number] = g
	c.f.force[visit] = map[string]money.Fen{}
	return nil
}

// deskSide is the HIS's refund desk. Once it has said something of a refund, it says the same again.
type deskSide struct{ f *farSide }

func (d deskSide) HoldRefund(_ context.Context, r order.RefundRequest) error {
	defer d.f.called()()
	said := d.f.heldBy[r.OrderNo]
	if said == nil {
		said = map[string]error{}
		d.f.heldBy[r.OrderNo] = said
	}
	answer, again := said[r.RefundNo]
	if !again {
		d.f.asked[r.OrderNo]++
		if d.f.desk != nil {
			answer = d.f.desk(d.f.asked[r.OrderNo])
		}
		said[r.RefundNo] = answer
	}
	return answer
}

func (d deskSide) DropRefund(context.Context, string, string) error {
	defer d.f.called()()
	return nil
}

func (d deskSide) BookRefund(_ context.Context, b order.RefundBooking) (order.BookedRefund, error) {
	defer d.f.called()()
	standing, again := d.f.booked[b.RefundNo]
	if !again {
		standing = order.RefundStanding{State: order.RefundBooked, Booked: order.BookedRefund{BookingNo: "T" + b.RefundNo, BookedAt: d.f.clock.Now()},
			Total: b.Total, Rest: b.Rest}
		for i := range b.Rebill {
			standing.Booked.Rebilled = append(standing.Booked.Rebilled, fmt.Sprintf("N%s-%d", b.RefundNo, i+1))
		}
		d.f.booked[b.RefundNo] = standing
	}
	return standing.Booked, nil
}

func (d deskSide) RefundOf(_ context.Context, _, refundNo string) (order.RefundStanding, error) {
	defer d.f.called()()
	return d.f.booked[refundNo], nil
}

// someone is the only patient of these tests. Whoever else is asked for is a bug of the test.
type onlyPatient struct{ patient.Store }

func (onlyPatient) Account(_ context.Context, id patient.AccountID) (patient.Account, error) {
	return patient.Account{ID: id}, nil
}

func (onlyPatient) Patient(_ context.Context, account patient.AccountID, id patient.ID) (patient.Patient, error) {
	return patient.Patient{ID: id, Account: account}, nil
}

// What a desk may say to every order's n-th question.
var errSilent = fault.New(fault.Unavailable, "DESK_SILENT", "医院系统繁忙，请稍后再试")

func deskIsSilent(int) error { return errSilent }

func deskRefusesSome(nth int) error {
	if nth%3 == 1 {
		return bill.ErrNotRefundable
	}
	return nil
}
