package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// books are the counterparts' truth, as far as it is compared. All amounts in fen.
type books struct {
	wechat  map[string]wechatBook // by out_trade_no
	mixed   map[string]mixedBook  // by out_trade_no
	insurer []insurerBook
	uploads map[string]uploadBook // by pay_ord_id
	his     []hisBook
	refunds map[string][]hisRefund // booked ones by order, in the order of booking
	locks   []hisLock
	faults  []sandbox.Injection
}

type wechatBook struct {
	OutTradeNo   string    `json:"out_trade_no"`
	State        string    `json:"state"`
	PaidFen      money.Fen `json:"paid_fen"`
	RefundedFen  money.Fen `json:"refunded_fen"`
	RefundingFen money.Fen `json:"refunding_fen"`
	Refunds      []struct {
		OutRefundNo string `json:"out_refund_no"`
	} `json:"refunds"`
}

func (b wechatBook) net() money.Fen { return b.PaidFen - b.RefundedFen - b.RefundingFen }

// mixedBook is WeChat's record of a mixed order.
type mixedBook struct {
	OutTradeNo string    `json:"out_trade_no"`
	PayOrderID string    `json:"pay_order_id"`
	OrderType  string    `json:"order_type"`
	Mix        string    `json:"mix"`
	CashFen    money.Fen `json:"cash_fen"`
}

// uploadBook is the mobile-payment centre's record of an upload.
type uploadBook struct {
	PayOrdID string `json:"pay_ord_id"`
	OrdStas  int    `json:"ord_stas"`
}

type insurerBook struct {
	SetlID      string    `json:"setl_id"`
	VisitNo     string    `json:"ipt_otp_no"`
	TotalFen    money.Fen `json:"medfee_fen"`
	FundFen     money.Fen `json:"fund_fen"`
	AccountFen  money.Fen `json:"account_fen"`
	FamilyFen   money.Fen `json:"family_fen"`
	CashFen     money.Fen `json:"cash_fen"`
	HospitalFen money.Fen `json:"hospital_fen"`
	State       string    `json:"state"`
}

type hisBook struct {
	OrderNo    string    `json:"order_no"`
	TotalFen   money.Fen `json:"total_fen"`
	Parts      parts     `json:"parts"`
	SetlID     string    `json:"setl_id"`
	OutTradeNo string    `json:"out_trade_no"`
	State      string    `json:"state"`
}

// hisRefund is a refund in the HIS's books. Rest is what stands of the order since.
type hisRefund struct {
	RefundNo string    `json:"refund_no"`
	OrderNo  string    `json:"order_no"`
	State    string    `json:"state"`
	TotalFen money.Fen `json:"total_fen"`
	Rest     parts     `json:"rest_parts"`
	BookedAt time.Time `json:"booked_at"`
}

type hisLock struct {
	OrderNo string `json:"order_no"`
	Live    bool   `json:"live"`
}

// readBooks asks every simulator.
func (c *phoneClient) readBooks(ctx context.Context) (*books, error) {
	b := &books{wechat: map[string]wechatBook{}, mixed: map[string]mixedBook{}, uploads: map[string]uploadBook{}, refunds: map[string][]hisRefund{}}
	var insurer struct {
		Settlements []insurerBook `json:"settlements"`
		Uploads     []uploadBook  `json:"uploads"`
	}
	if err := c.sandbox(ctx, http.MethodGet, "/nhsa/truth", nil, &insurer); err != nil {
		return nil, err
	}
	b.insurer = insurer.Settlements
	for _, u := range insurer.Uploads {
		b.uploads[u.PayOrdID] = u
	}
	counterparts := []string{"nhsa", "centre", "wechatmp"}
	for _, h := range c.about.Hospitals {
		counterparts = append(counterparts, h.Institution+"/wechatpay", h.Institution+"/his")
		if err := c.readHospital(ctx, h.Institution, b); err != nil {
			return nil, err
		}
	}
	for _, name := range counterparts {
		var f struct {
			Injected []sandbox.Injection `json:"injected"`
		}
		if err := c.sandbox(ctx, http.MethodGet, "/"+name+"/faults", nil, &f); err != nil {
			return nil, err
		}
		b.faults = append(b.faults, f.Injected...)
	}
	return b, nil
}

// readHospital asks the simulators that one hospital has alone.
func (c *phoneClient) readHospital(ctx context.Context, id string, b *books) error {
	var pay struct {
		Orders []wechatBook `json:"orders"`
		Mixed  []mixedBook  `json:"mixed"`
	}
	var his struct {
		Postings []hisBook   `json:"postings"`
		Locks    []hisLock   `json:"locks"`
		Refunds  []hisRefund `json:"refunds"`
	}
	for name, into := range map[string]any{"wechatpay": &pay, "his": &his} {
		if err := c.sandbox(ctx, http.MethodGet, "/"+id+"/"+name+"/truth", nil, into); err != nil {
			return err
		}
	}
	for _, o := range pay.Orders {
		b.wechat[o.OutTradeNo] = o
	}
	for _, m := range pay.Mixed {
		b.mixed[m.OutTradeNo] = m
	}
	b.his, b.locks = append(b.his, his.Postings...), append(b.locks, his.Locks...)
	slices.SortFunc(his.Refunds, func(x, y hisRefund) int { return x.BookedAt.Compare(y.BookedAt) })
	for _, r := range his.Refunds {
		if r.State == "booked" {
			b.refunds[r.OrderNo] = append(b.refunds[r.OrderNo], r)
		}
	}
	return nil
}

// settleDown waits for the orders that are still under way when the last patient has gone.
func (c *phoneClient) settleDown(ctx context.Context, players []*player, patience time.Duration) {
	end := c.clock.Now().Add(patience)
	for c.clock.Now().Before(end) && ctx.Err() == nil {
		open := 0
		for _, p := range players {
			if p.order.ID == "" || p.order.over() {
				continue
			}
			p.order.Version = 0 // any version is news
			if err := p.look(ctx); err != nil || !p.order.over() {
				open++
			}
		}
		if open == 0 {
			return
		}
		_ = c.clock.Sleep(ctx, 500*time.Millisecond)
	}
}
