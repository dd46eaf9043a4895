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
	"github.com/tuoka/tuoka/internal/sensitive"
)

// wechat is WeChat Pay: cash orders and refunds by our numbers (wechat-pay.md §2).
type wechat struct {
	described string // what the newest cash order is for

	w       *world
	orders  map[string]*cashOrder
	refunds map[string]*cashRefund
	cards   []payment.RefundState // what the next refunds do: PROCESSING is decided an hour later; empty: SUCCESS at once
	empty   int                   // so many refunds meet an empty merchant account
	lies    func(*payment.Transaction)
	openID  sensitive.OpenID

	mixed       mixedSide
	built       map[string]payment.MixedOrder // by out_trade_no: what the encrypted bodies hold
	unbuildable bool
}

type cashOrder struct {
	body     []byte
	total    money.Fen
	expires  time.Time
	state    payment.TradeState
	paidAt   time.Time
	number   string
	refunded money.Fen
}

type cashRefund struct {
	body       []byte
	outTradeNo string
	number     string
	amount     money.Fen
	state      payment.RefundState
	at         time.Time
	until      time.Time // PROCESSING becomes SUCCESS then
	merchants  bool      // SUCCESS gave it to the merchant's own account
}

func newWechat(w *world) *wechat {
	return &wechat{w: w, orders: map[string]*cashOrder{}, refunds: map[string]*cashRefund{}, mixed: newMixedSide(),
		built: map[string]payment.MixedOrder{}, openID: sensitive.NewOpenID("o-payer")}
}

func (c *wechat) BuildPrepay(p payment.Prepay) ([]byte, error) {
	if p.Total < 1 || p.OpenID.IsZero() || len(p.OutTradeNo) > 32 || p.Description == "" {
		return nil, fault.New(fault.Invalid, "PREPAY_INVALID", "")
	}
	c.described = p.Description
	return json.Marshal(struct {
		No      string
		Total   money.Fen
		Expires time.Time
		Attach  string
	}{p.OutTradeNo, p.Total, p.ExpiresAt, p.Attach})
}

func (c *wechat) Prepay(_ context.Context, body []byte) (string, error) {
	var in struct {
		No      string
		Total   money.Fen
		Expires time.Time
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	return call(c.w, "prepay", in.No, func(m mishap) (string, error) {
		if m == refuse {
			return "", payment.ErrRejected
		}
		o := c.orders[in.No]
		switch {
		case o == nil && !c.w.clock.Now().Before(in.Expires):
			return "", payment.ErrRejected
		case o == nil:
			c.orders[in.No] = &cashOrder{body: slices.Clone(body), total: in.Total, expires: in.Expires, state: payment.NotPay}
		case string(o.body) != string(body):
			c.w.t.Errorf("cash order %s came with other parameters", in.No)
			return "", payment.ErrRejected
		case o.state == payment.TradeClosed:
			return "", payment.ErrOrderClosed
		case o.state != payment.NotPay:
			return "", payment.ErrOrderPaid
		}
		return fmt.Sprintf("wx%s%d", in.No, c.w.calls["prepay"]), nil
	})
}

func (c *wechat) Cashier(prepayID string) (payment.Cashier, error) {
	return payment.Cashier{Package: "prepay_id=" + prepayID}, nil
}

// pay is the patient typing the password. It reports whether WeChat took the money.
func (c *wechat) pay(outTradeNo string) bool {
	o := c.orders[outTradeNo]
	if o == nil || o.state != payment.NotPay || !c.w.clock.Now().Before(o.expires) {
		return false
	}
	o.state, o.paidAt, o.number = payment.Success, c.w.clock.Now(), fmt.Sprintf("42000%d", len(c.orders))
	c.w.logf("paid %s %s", outTradeNo, o.total)
	return true
}

func (c *wechat) Query(_ context.Context, outTradeNo string) (payment.Transaction, error) {
	return call(c.w, "query", outTradeNo, func(m mishap) (payment.Transaction, error) {
		o := c.orders[outTradeNo]
		if o == nil || m == refuse {
			return payment.Transaction{}, payment.ErrOrderNotExist
		}
		t := payment.Transaction{OutTradeNo: outTradeNo, TransactionID: o.number, State: o.state, Total: o.total, Currency: "CNY", PaidAt: o.paidAt}
		if o.number != "" {
			t.OpenID = c.openID
		}
		if m == amounts {
			t.Total++
		}
		if c.lies != nil {
			c.lies(&t)
		}
		return t, nil
	})
}

func (c *wechat) Close(_ context.Context, outTradeNo string) error {
	_, err := call(c.w, "close", outTradeNo, func(m mishap) (struct{}, error) {
		switch o := c.orders[outTradeNo]; {
		case m == refuse:
			return struct{}{}, payment.ErrRejected
		case c.mixed.typed && c.mixed.orders[outTradeNo] != nil && o.state == payment.NotPay:
			return struct{}{}, payment.ErrOrderPaid // 268560650
		case o == nil:
			return struct{}{}, payment.ErrOrderNotExist
		case o.state == payment.NotPay || o.state == payment.TradeClosed:
			o.state = payment.TradeClosed
			return struct{}{}, nil
		}
		return struct{}{}, payment.ErrOrderPaid
	})
	return err
}

func (c *wechat) BuildRefund(r payment.RefundOrder) ([]byte, error) { return json.Marshal(r) }

func (c *wechat) Refund(_ context.Context, body []byte) (payment.RefundStatus, error) {
	var in payment.RefundOrder
	if err := json.Unmarshal(body, &in); err != nil {
		return payment.RefundStatus{}, err
	}
	return call(c.w, "refund", in.OutTradeNo, func(m mishap) (payment.RefundStatus, error) {
		o, r := c.orders[in.OutTradeNo], c.refunds[in.OutRefundNo]
		switch {
		case m == refuse:
			return payment.RefundStatus{}, payment.ErrRejected
		case r != nil && string(r.body) != string(body):
			c.w.t.Errorf("refund %s came with other parameters", in.OutRefundNo)
			return payment.RefundStatus{}, payment.ErrRejected
		case r != nil:
			return c.status(in.OutRefundNo), nil
		case o == nil || o.number == "" || in.Total != o.total || o.refunded+in.Refund > o.total:
			c.w.t.Errorf("refund %s of %s is more than was paid", in.OutRefundNo, in.Refund)
			return payment.RefundStatus{}, payment.ErrRejected
		case c.empty > 0:
			c.empty--
			return payment.RefundStatus{}, payment.ErrNotEnough
		}
		r = &cashRefund{body: slices.Clone(body), outTradeNo: in.OutTradeNo, amount: in.Refund, number: fmt.Sprintf("5000%d", len(c.refunds)+1),
			state: payment.RefundSuccess, at: c.w.clock.Now()}
		if len(c.cards) > 0 {
			r.state, c.cards = c.cards[0], c.cards[1:]
		}
		if r.state == payment.RefundProcessing {
			r.until = c.w.clock.Now().Add(time.Hour)
		}
		c.refunds[in.OutRefundNo], o.state = r, payment.TradeRefunded
		if r.state != payment.RefundClosed {
			o.refunded += in.Refund
		}
		s := c.status(in.OutRefundNo)
		if m == amounts {
			s.Refund++
		}
		return s, nil
	})
}

func (c *wechat) status(outRefundNo string) payment.RefundStatus {
	r := c.refunds[outRefundNo]
	if r.state == payment.RefundProcessing && !c.w.clock.Now().Before(r.until) {
		r.state, r.at = payment.RefundSuccess, r.until
	}
	s := payment.RefundStatus{OutRefundNo: outRefundNo, OutTradeNo: r.outTradeNo, RefundID: r.number, State: r.state, ToMerchant: r.merchants, Refund: r.amount,
		Total: c.orders[r.outTradeNo].total}
	if r.state == payment.RefundSuccess {
		s.SucceededAt = r.at
	}
	return s
}

func (c *wechat) QueryRefund(_ context.Context, outRefundNo string) (payment.RefundStatus, error) {
	return call(c.w, "query refund", outRefundNo, func(m mishap) (payment.RefundStatus, error) {
		if c.refunds[outRefundNo] == nil || m == refuse {
			return payment.RefundStatus{}, payment.ErrRefundNotExist
		}
		s := c.status(outRefundNo)
		if m == amounts {
			s.Refund++
		}
		return s, nil
	})
}
