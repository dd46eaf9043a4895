package order

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
)

// mixedSide is WeChat Pay's mixed order (wechat-med-ins.md).
type mixedSide struct {
	orders  map[string]*mixedOrder // by out_trade_no
	refuse  []error                // what the next creations are refused for
	says    func(*payment.MixedStatus)
	keeps   string // what becomes of the cash when the settlement fails: "" charged and kept, "returned", "uncharged"
	typed   bool   // the password is typed, and nothing comes of it yet
	notices map[string]payment.RefundNotice
}

type mixedOrder struct {
	in             payment.MixedOrder
	body           []byte
	mixTradeNo     string
	mix, self, ins string
	paidAt         time.Time
	reason         string
}

func newMixedSide() mixedSide {
	return mixedSide{orders: map[string]*mixedOrder{}, notices: map[string]payment.RefundNotice{}}
}

func (c *wechat) BuildMixed(m payment.MixedOrder) ([]byte, error) {
	a := m.Amounts
	switch {
	case a.Check() != nil || m.SerialNo == "" || m.PayOrderID == "" || m.PayAuthNo.IsZero() || m.Payer.Name.IsZero() || m.Payer.IDNumber.IsZero():
		c.w.t.Errorf("mixed order %+v", m)
	case (a.Wechat > 0) != (m.PrepayID != ""):
		c.w.t.Errorf("%s of cash, prepay_id %q", a.Wechat, m.PrepayID)
	}
	if c.unbuildable {
		return nil, fault.New(fault.Invalid, "MIXED_INVALID", "")
	}
	c.built[m.OutTradeNo] = m
	return json.Marshal(m.OutTradeNo)
}

func (c *wechat) CreateMixed(_ context.Context, body []byte) (payment.MixedStatus, error) {
	var no string
	if err := json.Unmarshal(body, &no); err != nil {
		return payment.MixedStatus{}, err
	}
	in := c.built[no]
	return call(c.w, "mixed", in.SerialNo, func(m mishap) (payment.MixedStatus, error) {
		var reason error
		if len(c.mixed.refuse) > 0 {
			reason, c.mixed.refuse = c.mixed.refuse[0], c.mixed.refuse[1:]
		}
		if m == refuse {
			reason = payment.ErrMixedInsurer
		}
		switch old := c.mixed.orders[no]; {
		case old != nil:
			return payment.MixedStatus{Number: "268512536"}, payment.ErrMixedExists
		case reason != nil:
			return payment.MixedStatus{Number: "268510610"}, reason
		case in.PrepayID != "" && (c.orders[no] == nil || c.orders[no].total != in.Amounts.Wechat):
			c.w.t.Errorf("mixed order %s with another cash order", no)
		}
		for other, o := range c.mixed.orders {
			if o.in.SerialNo == in.SerialNo && (o.mix == payment.MixSuccess || (o.mix == payment.MixCreated && c.canPay(other))) {
				c.w.t.Errorf("two living mixed orders of %s", in.SerialNo)
			}
		}
		o := &mixedOrder{in: in, body: slices.Clone(body), mixTradeNo: fmt.Sprintf("MIX%d", len(c.mixed.orders)+1), mix: payment.MixCreated,
			self: payment.SelfCreated, ins: payment.InsCreated}
		if in.Amounts.Wechat == 0 {
			o.self = payment.SelfNone
		}
		c.mixed.orders[no] = o
		return c.statusOf(o, m), nil
	})
}

func (c *wechat) statusOf(o *mixedOrder, m mishap) payment.MixedStatus {
	s := payment.MixedStatus{MixTradeNo: o.mixTradeNo, OutTradeNo: o.in.OutTradeNo, SerialNo: o.in.SerialNo, PayOrderID: o.in.PayOrderID, Mix: o.mix,
		Self: o.self, MedIns: o.ins, Amounts: o.in.Amounts, OpenID: c.openID, PaidAt: o.paidAt, FailReason: o.reason}
	if m == amounts {
		s.Amounts.Gov, s.Amounts.Cash = s.Amounts.Gov+1, s.Amounts.Cash-1
	}
	if c.mixed.says != nil {
		c.mixed.says(&s)
	}
	return s
}

func (c *wechat) QueryMixed(_ context.Context, outTradeNo, mixTradeNo string) (payment.MixedStatus, error) {
	return call(c.w, "mixed query", outTradeNo, func(m mishap) (payment.MixedStatus, error) {
		o := c.mixed.orders[outTradeNo]
		if o == nil || m == refuse {
			return payment.MixedStatus{}, payment.ErrMixedNotExist
		}
		if mixTradeNo != "" && mixTradeNo != o.mixTradeNo {
			c.w.t.Errorf("mixed order %s is %s, not %s", outTradeNo, o.mixTradeNo, mixTradeNo)
		}
		return c.statusOf(o, m), nil
	})
}

func (c *wechat) MixedCashier(mixTradeNo, prepayID string) (payment.Cashier, error) {
	p := payment.Cashier{MixTradeNo: mixTradeNo}
	if prepayID != "" {
		p.Package = "prepay_id=" + prepayID
	}
	return p, nil
}

func (c *wechat) BuildRefundNotice(n payment.RefundNotice) ([]byte, error) { return json.Marshal(n) }

func (c *wechat) NotifyRefund(_ context.Context, mixTradeNo string, body []byte) error {
	var n payment.RefundNotice
	if err := json.Unmarshal(body, &n); err != nil {
		return err
	}
	_, err := call(c.w, "notice", mixTradeNo, func(m mishap) (struct{}, error) {
		if m == refuse {
			return struct{}{}, payment.ErrMixedRefused
		}
		c.mixed.notices[mixTradeNo] = n
		return struct{}{}, nil
	})
	return err
}

// canPay reports whether the patient could still pay a mixed order.
func (c *wechat) canPay(outTradeNo string) bool {
	o := c.mixed.orders[outTradeNo]
	if o == nil || o.mix != payment.MixCreated {
		return false
	}
	u := c.w.centre.uploads[o.in.PayOrderID]
	if u == nil || u.stas > 1 {
		return false
	}
	cash := c.orders[outTradeNo]
	return cash == nil || (cash.state == payment.NotPay && c.w.clock.Now().Before(cash.expires))
}

// payMixed is the patient typing the one password. It reports whether WeChat took it.
func (c *wechat) payMixed(outTradeNo string) bool {
	if !c.canPay(outTradeNo) {
		return false
	}
	c.w.logf("password for %s", outTradeNo)
	if c.mixed.typed {
		return true
	}
	c.finish(outTradeNo)
	return true
}

// finish is what comes of the password: the cash is charged, the centre settles.
func (c *wechat) finish(outTradeNo string) {
	o, cash := c.mixed.orders[outTradeNo], c.orders[outTradeNo]
	now := c.w.clock.Now()
	reason := c.w.centre.settle(o.in.PayOrderID)
	if cash != nil && (reason == "" || c.mixed.keeps != "uncharged") {
		cash.state, cash.paidAt, cash.number = payment.Success, now, fmt.Sprintf("42000%d", len(c.orders))
		o.self = payment.SelfSuccess
	}
	if reason == "" {
		o.mix, o.ins, o.paidAt = payment.MixSuccess, payment.InsSuccess, now
		return
	}
	o.mix, o.ins, o.reason = payment.MixFail, payment.InsFail, reason
	switch {
	case cash == nil:
	case c.mixed.keeps == "returned":
		cash.state, cash.refunded, o.self = payment.TradeRefunded, cash.total, payment.SelfRefund
	case c.mixed.keeps == "uncharged":
		o.self = payment.SelfFail
	}
}

// insuredAt is what the centre holds for an order's uploads.
func (w *world) insuredAt(o *Order) (inForce int, insured money.Fen) {
	for _, s := range o.Settlements {
		if held, yes := w.centre.inForce(s.Upload.PayOrdID); yes {
			inForce++
			insured += held
		}
	}
	return inForce, insured
}
