package wechatpaysim

import (
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// The trade states (trade_state) that JSAPI knows.
const (
	stateNotPaid  = "NOTPAY"  // 未支付
	statePaid     = "SUCCESS" // 支付成功
	stateRefunded = "REFUND"  // 转入退款: a refund was accepted; says nothing of its result
	stateClosed   = "CLOSED"  // 已关闭
)

// The states of a refund (status).
const (
	refundProcessing = "PROCESSING" // 退款处理中
	refundSuccess    = "SUCCESS"    // 退款成功
	refundClosed     = "CLOSED"     // 退款关闭
	refundAbnormal   = "ABNORMAL"   // 退款异常
)

// orderLife is how long an unpaid order lives; prepayLife how long one prepay_id does.
const (
	orderLife  = 7 * 24 * time.Hour
	prepayLife = 2 * time.Hour
)

// order is one JSAPI order.
type order struct {
	Request       prepayRequest `json:"request"`
	Prepays       []prepay      `json:"prepays"`
	CreatedAt     time.Time     `json:"created_at"`
	ExpiresAt     time.Time     `json:"expires_at,omitzero"` // 支付截止时间; zero: none
	TransactionID string        `json:"transaction_id,omitempty"`
	PaidAt        time.Time     `json:"paid_at,omitzero"`
	Fee           money.Fen     `json:"fee,omitempty"` // 手续费
	ClosedAt      time.Time     `json:"closed_at,omitzero"`
	Refunds       []string      `json:"refunds,omitempty"` // out_refund_no, in the order of acceptance
}

// prepay is one prepay_id and its end.
type prepay struct {
	ID    string    `json:"id"`
	Until time.Time `json:"until"`
}

// number is the merchant's number of the order.
func (o *order) number() string { return o.Request.OutTradeNo }

func (o *order) paid() bool { return !o.PaidAt.IsZero() }

// state is the order's state at that moment. An unpaid order closes itself after seven days, or at its time_expire if that is later.
func (o *order) state(now time.Time) string {
	end := o.CreatedAt.Add(orderLife)
	if o.ExpiresAt.After(end) {
		end = o.ExpiresAt
	}
	switch {
	case o.paid() && len(o.Refunds) > 0:
		return stateRefunded
	case o.paid():
		return statePaid
	case !o.ClosedAt.IsZero() || !now.Before(end):
		return stateClosed
	default:
		return stateNotPaid
	}
}

// expired reports whether the last moment to pay has passed.
func (o *order) expired(now time.Time) bool { return !o.ExpiresAt.IsZero() && !now.Before(o.ExpiresAt) }

// income is what the order adds to the merchant's balance.
func (o *order) income() money.Fen {
	if !o.paid() {
		return 0
	}
	return o.Request.Amount.Total - o.Fee
}

// refund is one refund that was accepted.
type refund struct {
	Request    refundRequest `json:"request"`
	ID         string        `json:"id"`
	OutTradeNo string        `json:"out_trade_no"`
	CreatedAt  time.Time     `json:"created_at"`
	FeeBack    money.Fen     `json:"fee_back,omitempty"` // 手续费 given back with it
	Steps      []step        `json:"steps"`              // in the order of time; PROCESSING before the first
}

// step is a refund's state from a moment on. It may lie in the future.
type step struct {
	At     time.Time `json:"at"`
	Status string    `json:"status"`
}

// at is the last step taken by that moment; PROCESSING from the start when there is none.
func (r *refund) at(now time.Time) step {
	last := step{At: r.CreatedAt, Status: refundProcessing}
	for _, one := range r.Steps {
		if !one.At.After(now) {
			last = one
		}
	}
	return last
}

// cost is what the refund takes from the merchant's balance while it is not closed.
func (r *refund) cost() money.Fen { return r.Request.Amount.Refund - r.FeeBack }

// closes reports whether one of the steps closes the refund.
func (r *refund) closes() bool {
	return slices.ContainsFunc(r.Steps, func(one step) bool { return one.Status == refundClosed })
}

// notice is one message to the merchant (通知) and how far its delivery is.
type notice struct {
	ID          string    `json:"id"`
	Event       string    `json:"event"` // TRANSACTION.SUCCESS, REFUND.SUCCESS, …
	OutTradeNo  string    `json:"out_trade_no"`
	OutRefundNo string    `json:"out_refund_no,omitempty"`
	MixTradeNo  string    `json:"mix_trade_no,omitempty"` // of a mixed order's notice
	URL         string    `json:"url"`
	CreatedAt   time.Time `json:"created_at"`
	Tries       int       `json:"tries,omitempty"`
	Next        time.Time `json:"next"`               // the next try
	Accepted    bool      `json:"accepted,omitempty"` // answered 200 or 204
	GivenUp     bool      `json:"given_up,omitempty"` // tried as often as WeChat Pay does
}

func (n *notice) open() bool { return !n.Accepted && !n.GivenUp }

// deposit is money that the merchant put into the account (充值).
type deposit struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Amount money.Fen `json:"amount"`
}

// withdrawal is one day's 自动提现. On a day on which there was nothing to withdraw it is of nothing.
type withdrawal struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Amount money.Fen `json:"amount,omitempty"`
}

// script is a wish for the next events about a number; an empty key means any.
type script struct {
	Key     string `json:"key,omitempty"`
	Outcome string `json:"outcome,omitempty"` // of a refund: CLOSED, ABNORMAL, PROCESSING
	Late    bool   `json:"late,omitempty"`    // the refund ends when the day's bill was made
	Times   int    `json:"times"`
}

// scripts are the wishes not yet used up.
type scripts struct {
	Bank    []script      `json:"bank,omitempty"`    // the customer's bank refuses to pay
	Refunds []script      `json:"refunds,omitempty"` // how refunds end
	States  []MixedStates `json:"states,omitempty"`  // what queries of mixed orders answer
	Typed   []Typed       `json:"typed,omitempty"`   // mixed orders that stay between password and outcome
	Cash    CashMode      `json:"cash,omitempty"`    // of mixed orders that the insurer refuses; stands until changed
}

// take uses up one wish about the key and returns what is left; ok tells whether there was one.
func take(list []script, key string) (found script, left []script, ok bool) {
	left = slices.Clone(list)
	for i := range left {
		if left[i].Key != "" && left[i].Key != key {
			continue
		}
		found = left[i]
		if left[i].Times--; left[i].Times <= 0 {
			left = slices.Delete(left, i, i+1)
		}
		return found, left, true
	}
	return script{}, left, false
}

// entry is one effect: a line of the journal. What it names replaces what the books held under the same number.
type entry struct {
	Orders   []*order  `json:"orders,omitempty"`
	Refunds  []*refund `json:"refunds,omitempty"`
	Mixed    []*mixed  `json:"mixed,omitempty"`
	Notices  []*notice `json:"notices,omitempty"`
	Deposits []deposit `json:"deposits,omitempty"`
	Scripts  *scripts  `json:"scripts,omitempty"`

	Withdrawals []withdrawal `json:"withdrawals,omitempty"`
}

// books is all that WeChat Pay remembers. What it holds is replaced, never changed in place.
type books struct {
	orders       map[string]*order // by out_trade_no
	transactions map[string]string // transaction_id to out_trade_no
	prepays      map[string]string // prepay_id to out_trade_no
	refunds      map[string]*refund
	refundIDs    map[string]bool
	notices      map[string]*notice
	open         []string // notices not yet done, oldest first
	deposits     []deposit
	withdrawals  []withdrawal
	scripts      scripts

	mixed     map[string]*mixed   // by out_trade_no
	mixTrades map[string]string   // mix_trade_no to out_trade_no
	serials   map[string][]string // serial_no to out_trade_no, in the order of creation
	payAuths  map[string]string   // pay_auth_no to the pay_order_id that used it first
	typed     []string            // out_trade_no of mixed orders between password and outcome
	notified  map[string]bool     // mix_trade_no whose notice was accepted

	balance money.Fen          // all refunds counted as spent
	closing map[string]*refund // those that give the money back at a step
}

func newBooks(opening money.Fen) books {
	return books{orders: map[string]*order{}, transactions: map[string]string{}, prepays: map[string]string{},
		refunds: map[string]*refund{}, refundIDs: map[string]bool{}, notices: map[string]*notice{}, balance: opening,
		closing: map[string]*refund{}, mixed: map[string]*mixed{}, mixTrades: map[string]string{}, serials: map[string][]string{},
		payAuths: map[string]string{}, notified: map[string]bool{}}
}

func (b *books) apply(e entry) {
	for _, o := range e.Orders {
		if old := b.orders[o.number()]; old != nil {
			b.balance -= old.income()
		}
		b.balance += o.income()
		b.orders[o.number()] = o
		if o.TransactionID != "" {
			b.transactions[o.TransactionID] = o.number()
		}
		for _, p := range o.Prepays {
			b.prepays[p.ID] = o.number()
		}
	}
	for _, r := range e.Refunds {
		b.applyRefund(r)
	}
	for _, m := range e.Mixed {
		b.applyMixed(m)
	}
	for _, n := range e.Notices {
		if n.MixTradeNo != "" && n.Accepted {
			b.notified[n.MixTradeNo] = true
		}
		if _, known := b.notices[n.ID]; !known {
			b.open = append(b.open, n.ID)
		}
		b.notices[n.ID] = n
		if !n.open() {
			b.open = slices.DeleteFunc(b.open, func(id string) bool { return id == n.ID })
		}
	}
	for _, d := range e.Deposits {
		b.balance += d.Amount
		b.deposits = append(b.deposits, d)
	}
	for _, w := range e.Withdrawals {
		b.balance -= w.Amount
		b.withdrawals = append(b.withdrawals, w)
	}
	if e.Scripts != nil {
		b.scripts = *e.Scripts
	}
}

func (b *books) applyMixed(m *mixed) {
	number, in := m.number(), &m.Request
	if b.mixed[number] == nil {
		b.mixTrades[m.MixTradeNo] = number
		b.serials[in.SerialNo] = append(b.serials[in.SerialNo], number)
		if in.PayAuthNo != "" && b.payAuths[in.PayAuthNo] == "" {
			b.payAuths[in.PayAuthNo] = in.PayOrderID
		}
	}
	b.mixed[number] = m
	b.typed = slices.DeleteFunc(b.typed, func(one string) bool { return one == number })
	if m.Typed != nil {
		b.typed = append(b.typed, number)
	}
}

func (b *books) applyRefund(r *refund) {
	number := r.Request.OutRefundNo
	if old := b.refunds[number]; old != nil {
		b.balance += old.cost()
	}
	b.balance -= r.cost()
	b.refunds[number] = r
	b.refundIDs[r.ID] = true
	delete(b.closing, number)
	if r.closes() {
		b.closing[number] = r
	}
}

// available is the merchant's balance at that moment.
func (b *books) available(now time.Time) money.Fen {
	sum := b.balance
	for _, r := range b.closing {
		if r.at(now).Status == refundClosed {
			sum += r.cost()
		}
	}
	return sum
}

// givenBack sums the refunds of an order at that moment: done is SUCCESS, under way is PROCESSING and ABNORMAL.
func (b *books) givenBack(o *order, now time.Time) (done, underWay money.Fen) {
	for _, number := range o.Refunds {
		r := b.refunds[number]
		switch r.at(now).Status {
		case refundSuccess:
			done += r.Request.Amount.Refund
		case refundProcessing, refundAbnormal:
			underWay += r.Request.Amount.Refund
		}
	}
	return done, underWay
}
