package wechatpaysim

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

const (
	refundsPerOrder   = 50
	usualRefundDelay  = 5 * time.Minute // 零钱 takes about that long
	usualRefundGap    = time.Minute
	receivedByBalance = "支付用户零钱"
)

// refund is 申请退款. The answer says that it was accepted; what becomes of it shows later.
func (s *Sim) refund(r *http.Request, body []byte) (any, *refusal) {
	var in refundRequest
	if no := read(body, refundFields, &in); no != nil {
		return nil, no
	}
	if no := in.check(); no != nil {
		return nil, no
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	if old := s.books.refunds[in.OutRefundNo]; old != nil {
		if !reflect.DeepEqual(old.Request, in) {
			return nil, refuse(http.StatusBadRequest, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试")
		}
		return s.describeRefund(old, now), nil
	}
	o, no := s.refundable(in, now)
	if no != nil {
		return nil, no
	}
	done, underWay := s.books.givenBack(o, now)
	made := &refund{Request: in, ID: s.refundID(now), OutTradeNo: o.number(), CreatedAt: now,
		FeeBack: s.books.feeBack(o, done+underWay+in.Amount.Refund, now)}
	if sandbox.Injected(r.Context()) == sandbox.Refuse || made.cost() > s.books.available(now) {
		return nil, refuse(http.StatusForbidden, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
	}
	e := s.schedule(o, made, now)
	if err := s.commit(e); err != nil {
		return nil, systemError()
	}
	return s.describeRefund(made, now), nil
}

// refundable finds the order and checks the request against it and the refunds it had.
func (s *Sim) refundable(in refundRequest, now time.Time) (*order, *refusal) {
	number := in.OutTradeNo
	if in.TransactionID != "" {
		number = s.books.transactions[in.TransactionID]
	}
	o := s.books.orders[number]
	if o == nil || (in.OutTradeNo != "" && in.OutTradeNo != o.number()) {
		return nil, refuse(http.StatusNotFound, "RESOURCE_NOT_EXISTS", "订单不存在")
	}
	if !o.paid() {
		return nil, refuse(http.StatusBadRequest, "INVALID_REQUEST", "订单未支付，不能退款")
	}
	done, underWay := s.books.givenBack(o, now)
	switch {
	case in.Amount.Total != o.Request.Amount.Total:
		return nil, refuse(http.StatusBadRequest, "INVALID_REQUEST", "订单金额与原订单不一致，请核实后再试")
	case in.Amount.Refund > o.Request.Amount.Total-done-underWay:
		return nil, refuse(http.StatusBadRequest, "INVALID_REQUEST", "累计退款金额大于支付金额")
	case now.After(o.PaidAt.AddDate(1, 0, 0)):
		return nil, refuse(http.StatusForbidden, "RULE_LIMIT", "订单已超过可退款的最大期限")
	case len(o.Refunds) >= refundsPerOrder:
		return nil, refuse(http.StatusForbidden, "RULE_LIMIT", "订单退款次数已达上限")
	}
	if len(o.Refunds) > 0 {
		last := s.books.refunds[o.Refunds[len(o.Refunds)-1]]
		if now.Before(last.CreatedAt.Add(s.wait(s.cfg.RefundGap, usualRefundGap))) {
			return nil, refuse(http.StatusTooManyRequests, "FREQUENCY_LIMITED", "同一订单多次退款须间隔1分钟")
		}
	}
	return o, nil
}

// schedule puts a new refund on its way: into the order, to its end, and to the notice that tells of it.
func (s *Sim) schedule(o *order, made *refund, now time.Time) entry {
	changed := *o
	changed.Refunds = append(slices.Clip(o.Refunds), made.Request.OutRefundNo)
	e := entry{Orders: []*order{&changed}, Refunds: []*refund{made}}
	status := refundSuccess
	wish, left, ok := take(s.books.scripts.Refunds, made.Request.OutRefundNo)
	if ok {
		status = wish.Outcome
		wishes := s.books.scripts
		wishes.Refunds = left
		e.Scripts = &wishes
	}
	if status != refundProcessing {
		end := step{At: now.Add(s.wait(s.cfg.RefundDelay, usualRefundDelay)), Status: status}
		if wish.Late {
			end.At = midnight(now).AddDate(0, 0, 1).Add(billReady + time.Hour)
		}
		made.Steps = []step{end}
		e.Notices = s.refundNotices(o, made, end)
	}
	return e
}

// refundNotices is the notice of a refund's end; none when the merchant gave no notify_url.
func (s *Sim) refundNotices(o *order, r *refund, end step) []*notice {
	if r.Request.NotifyURL == "" {
		return nil
	}
	return []*notice{s.newNotice("REFUND."+end.Status, o.number(), r.Request.OutRefundNo, r.Request.NotifyURL, end.At)}
}

// ScriptRefunds decides how the next refunds end: PROCESSING (for ever), CLOSED or ABNORMAL, under that out_refund_no or, when it
// is empty, any.
func (s *Sim) ScriptRefunds(outRefundNo, outcome string, times int) error {
	return s.scriptRefunds(script{Key: outRefundNo, Outcome: outcome, Times: times})
}

// ScriptRefundsAfterBill is ScriptRefunds for refunds that end at eleven of the next day: the bill of theirs has them as PROCESSING.
func (s *Sim) ScriptRefundsAfterBill(outRefundNo, outcome string, times int) error {
	return s.scriptRefunds(script{Key: outRefundNo, Outcome: outcome, Late: true, Times: times})
}

func (s *Sim) scriptRefunds(wish script) error {
	if wish.Times < 1 || !slices.Contains([]string{refundProcessing, refundClosed, refundAbnormal, refundSuccess}, wish.Outcome) {
		return errors.New("wechatpaysim: a refund ends as PROCESSING, SUCCESS, CLOSED or ABNORMAL, at least once")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wishes := s.books.scripts
	wishes.Refunds = append(slices.Clone(wishes.Refunds), wish)
	return s.commit(entry{Scripts: &wishes})
}

// SettleRefund brings a refund that is PROCESSING or ABNORMAL to another state now, as a bank or WeChat's staff would.
func (s *Sim) SettleRefund(outRefundNo, status string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	old := s.books.refunds[outRefundNo]
	if old == nil {
		return errors.New("wechatpaysim: no such refund")
	}
	if was := old.at(now).Status; was == refundSuccess || was == refundClosed || was == status {
		return fmt.Errorf("wechatpaysim: refund is %s already", was)
	}
	if !slices.Contains([]string{refundSuccess, refundClosed, refundAbnormal}, status) {
		return errors.New("wechatpaysim: a refund settles as SUCCESS, CLOSED or ABNORMAL")
	}
	end := step{At: now, Status: status}
	changed := *old
	changed.Steps = nil
	for _, one := range old.Steps {
		if !one.At.After(now) {
			changed.Steps = append(changed.Steps, one)
		}
	}
	changed.Steps = append(changed.Steps, end)
	e := entry{Refunds: []*refund{&changed}, Notices: s.refundNotices(s.books.orders[old.OutTradeNo], &changed, end)}
	for _, id := range s.books.open { // the notice of an end that will not come
		if n := s.books.notices[id]; n.OutRefundNo == outRefundNo && n.CreatedAt.After(now) {
			dropped := *n
			dropped.GivenUp = true
			e.Notices = append(e.Notices, &dropped)
		}
	}
	return s.commit(e)
}

func (s *Sim) queryRefund(r *http.Request, _ []byte) (any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.books.refunds[r.PathValue("number")]
	if found == nil {
		return nil, refuse(http.StatusNotFound, "RESOURCE_NOT_EXISTS", "退款单不存在")
	}
	return s.describeRefund(found, s.cfg.Clock.Now()), nil
}

// refundAnswer is the answer of 申请退款 and 查询单笔退款.
type refundAnswer struct {
	RefundID            string        `json:"refund_id"`
	OutRefundNo         string        `json:"out_refund_no"`
	TransactionID       string        `json:"transaction_id"`
	OutTradeNo          string        `json:"out_trade_no"`
	Channel             string        `json:"channel"`
	UserReceivedAccount string        `json:"user_received_account"`
	SuccessTime         string        `json:"success_time,omitempty"`
	CreateTime          string        `json:"create_time"`
	Status              string        `json:"status"`
	FundsAccount        string        `json:"funds_account"`
	Amount              refundAmounts `json:"amount"`
	Promotion           []struct{}    `json:"promotion_detail"`
}

type refundAmounts struct {
	Total            money.Fen  `json:"total"`
	Refund           money.Fen  `json:"refund"`
	From             []struct{} `json:"from"`
	PayerTotal       money.Fen  `json:"payer_total"`
	PayerRefund      money.Fen  `json:"payer_refund"`
	SettlementRefund money.Fen  `json:"settlement_refund"`
	SettlementTotal  money.Fen  `json:"settlement_total"`
	DiscountRefund   money.Fen  `json:"discount_refund"`
	Currency         string     `json:"currency"`
}

func (s *Sim) describeRefund(r *refund, now time.Time) refundAnswer {
	total, back, last := r.Request.Amount.Total, r.Request.Amount.Refund, r.at(now)
	a := refundAnswer{RefundID: r.ID, OutRefundNo: r.Request.OutRefundNo, OutTradeNo: r.OutTradeNo,
		TransactionID: s.books.orders[r.OutTradeNo].TransactionID, Channel: "ORIGINAL", UserReceivedAccount: receivedByBalance,
		CreateTime: wireTime(r.CreatedAt), Status: last.Status, FundsAccount: "UNSETTLED", Promotion: []struct{}{},
		Amount: refundAmounts{Total: total, Refund: back, From: []struct{}{}, PayerTotal: total, PayerRefund: back,
			SettlementRefund: back, SettlementTotal: total, Currency: "CNY"}}
	if last.Status == refundSuccess {
		a.SuccessTime = wireTime(last.At)
	}
	return a
}

// refundID is a fresh 微信支付退款单号 of 29 digits.
func (s *Sim) refundID(now time.Time) string {
	for {
		id := fmt.Sprintf("5030%s%017d", now.In(clock.Shanghai).Format("20060102"), s.cfg.Source.ID()%1e17)
		if !s.books.refundIDs[id] {
			return id
		}
	}
}
