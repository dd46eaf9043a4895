package wechatpaysim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// What the WeChat client shows a payer instead of taking the money.
var (
	ErrPaySign     = errors.New("支付验证签名失败")
	ErrPrepayID    = errors.New("预支付订单无效或已过期，请重新下单")
	ErrOtherPayer  = errors.New("下单账号与支付账号不一致，请使用下单的微信账号支付")
	ErrOrderPaid   = errors.New("该订单已支付，请勿重复支付")
	ErrOrderClosed = errors.New("订单已关闭，无法支付")
	ErrExpired     = errors.New("订单已超过支付时限")
	ErrBank        = errors.New("银行拒绝了本次支付，请更换支付方式")
)

// PhonePay is what a mini program gives to wx.requestPayment, with the appid it runs under and the openid of the person who taps.
type PhonePay struct {
	AppID     string `json:"appId"`
	TimeStamp string `json:"timeStamp"`
	NonceStr  string `json:"nonceStr"`
	Package   string `json:"package"`
	SignType  string `json:"signType"`
	PaySign   string `json:"paySign"`
	OpenID    string `json:"openid"`
}

// Pay is the payer typing the password: it checks as WeChat's client and cashier do, takes the money, and sets the notice going.
// Its errors are this package's; the order then stays as it was.
func (s *Sim) Pay(ctx context.Context, p PhonePay) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id, err := s.checkPhone(p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	o := s.books.orders[s.books.prepays[id]]
	if err := payable(o, id, p, now); err != nil {
		return err
	}
	if s.books.mixed[o.number()] != nil { // what WeChat's cashier says to the cash part of a mixed order is not known; never take it alone
		return ErrPrepayID
	}
	if _, left, refused := take(s.books.scripts.Bank, o.number()); refused {
		wishes := s.books.scripts
		wishes.Bank = left
		if err := s.commit(entry{Scripts: &wishes}); err != nil {
			return err
		}
		return ErrBank
	}
	paid, told := s.charge(o, now)
	return s.commit(entry{Orders: []*order{paid}, Notices: []*notice{told}})
}

// charge is the payment of an order, and its notice.
func (s *Sim) charge(o *order, now time.Time) (*order, *notice) {
	paid := *o
	paid.PaidAt, paid.Fee, paid.TransactionID = now, fee(o.Request.Amount.Total), s.transactionID(now)
	return &paid, s.newNotice(eventPaid, paid.number(), "", paid.Request.NotifyURL, now)
}

// checkPhone checks the arguments and their signature, and returns the prepay_id.
func (s *Sim) checkPhone(p PhonePay) (string, error) {
	id, ok := strings.CutPrefix(p.Package, "prepay_id=")
	if !ok || p.SignType != "RSA" || !slices.Contains(s.cfg.AppIDs, p.AppID) ||
		!number(p.TimeStamp, 1, 32, "") || !text(p.NonceStr, 1, 32) {
		return "", ErrPaySign
	}
	if !verify(s.cfg.MerchantKey, p.AppID+"\n"+p.TimeStamp+"\n"+p.NonceStr+"\n"+p.Package+"\n", p.PaySign) {
		return "", ErrPaySign
	}
	return id, nil
}

func payable(o *order, id string, p PhonePay, now time.Time) error {
	if o == nil || o.Request.AppID != p.AppID {
		return ErrPrepayID
	}
	at := slices.IndexFunc(o.Prepays, func(one prepay) bool { return one.ID == id })
	switch {
	case o.paid():
		return ErrOrderPaid
	case o.state(now) == stateClosed:
		return ErrOrderClosed
	case o.expired(now):
		return ErrExpired
	case !now.Before(o.Prepays[at].Until):
		return ErrPrepayID
	case o.Request.Payer.OpenID != p.OpenID:
		return ErrOtherPayer
	}
	return nil
}

// RefuseBank makes the payer's bank refuse the next payments of an order (empty: of any). The orders stay NOTPAY.
func (s *Sim) RefuseBank(outTradeNo string, times int) error {
	if times < 1 {
		return errors.New("wechatpaysim: refuse at least once")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wishes := s.books.scripts
	wishes.Bank = append(slices.Clone(wishes.Bank), script{Key: outTradeNo, Times: times})
	return s.commit(entry{Scripts: &wishes})
}

// Deposit is the merchant putting money into the account (充值), after NOT_ENOUGH.
func (s *Sim) Deposit(amount money.Fen) error {
	if amount < 1 || amount > money.Max {
		return errors.New("wechatpaysim: a deposit is at least one fen")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commit(entry{Deposits: []deposit{{ID: fmt.Sprintf("1%019d", s.cfg.Source.ID()), At: s.cfg.Clock.Now(), Amount: amount}}})
}

// fee is WeChat's 0.6 percent (费率), rounded to the fen.
func fee(total money.Fen) money.Fen { return (total*6 + 500) / 1000 }

// feeBack is what WeChat gives back of the fee with the refund by which the refunds of an order reach that sum.
func (b *books) feeBack(o *order, refunded money.Fen, now time.Time) money.Fen {
	back := share(o.Fee, refunded, o.Request.Amount.Total)
	for _, number := range o.Refunds {
		if r := b.refunds[number]; r.at(now).Status != refundClosed {
			back -= r.FeeBack
		}
	}
	return max(back, 0)
}

// share is fee × part ÷ total, rounded down. Fees stay below ten million yuan and totals below money.Max, so it fits.
func share(fee, part, total money.Fen) money.Fen {
	whole, rest := fee/total, fee%total
	return whole*part + mulDiv(rest, part, total)
}

// mulDiv is a × b ÷ c without overflow for 0 ≤ a, b ≤ c ≤ money.Max.
func mulDiv(a, b, c money.Fen) money.Fen {
	var quotient, rest money.Fen
	for bit := 40; bit >= 0; bit-- { // money.Max is below 2^40
		quotient, rest = quotient*2, rest*2
		if b>>bit&1 == 1 {
			rest += a
		}
		quotient, rest = quotient+rest/c, rest%c
	}
	return quotient
}

// transactionID is a fresh 微信支付订单号 of 28 digits.
func (s *Sim) transactionID(now time.Time) string {
	for {
		id := fmt.Sprintf("4200001%s%013d", now.In(clock.Shanghai).Format("20060102"), s.cfg.Source.ID()%1e13)
		if _, used := s.books.transactions[id]; !used {
			return id
		}
	}
}
