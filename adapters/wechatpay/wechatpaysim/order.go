package wechatpaysim

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// prepay is JSAPI下单. The same request again gives a usable prepay_id; a changed one, or a number that is paid or closed, is refused.
func (s *Sim) prepay(r *http.Request, body []byte) (any, *refusal) {
	var in prepayRequest
	if no := read(body, prepayFields, &in); no != nil {
		return nil, no
	}
	now := s.cfg.Clock.Now()
	if no := s.ours(in.MchID, in.AppID); no != nil {
		return nil, no
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.books.orders[in.OutTradeNo]
	created := now
	if old != nil {
		created = old.CreatedAt // time_expire was in the future then; whether it still is, again judges
	}
	if no := in.check(s.cfg.KnownOpenID, created); no != nil {
		return nil, no
	}
	if sandbox.Injected(r.Context()) == sandbox.Refuse {
		return nil, refuse(http.StatusForbidden, "RULE_LIMIT", "业务规则限制，请稍后再试")
	}
	next := &order{Request: in, CreatedAt: now}
	if old != nil {
		if no := again(old, in, now); no != nil {
			return nil, no
		}
		if last := old.Prepays[len(old.Prepays)-1]; now.Before(last.Until) {
			return prepayAnswer{last.ID}, nil
		}
		copied := *old
		next = &copied
	} else if in.TimeExpire != "" {
		next.ExpiresAt = expiry(in.TimeExpire, now)
	}
	id := s.prepayID(now)
	next.Prepays = append(slices.Clip(next.Prepays), prepay{ID: id, Until: now.Add(prepayLife)})
	if err := s.commit(entry{Orders: []*order{next}}); err != nil {
		return nil, systemError()
	}
	return prepayAnswer{id}, nil
}

type prepayAnswer struct {
	PrepayID string `json:"prepay_id"`
}

// ours checks that the numbers in a body belong to the one who signed it.
func (s *Sim) ours(mchID, appID string) *refusal {
	switch {
	case mchID != s.cfg.MchID:
		return refuse(http.StatusBadRequest, "MCH_NOT_EXISTS", "商户号不存在，或与签名的商户号不一致")
	case !slices.Contains(s.cfg.AppIDs, appID):
		return refuse(http.StatusBadRequest, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配").numbered(268445527)
	}
	return nil
}

// again judges a number that was used before.
func again(old *order, in prepayRequest, now time.Time) *refusal {
	same := reflect.DeepEqual(old.Request, in)
	switch state := old.state(now); {
	case old.paid() && !same:
		return refuse(http.StatusForbidden, "OUT_TRADE_NO_USED", "商户订单号重复").numbered(268498689)
	case old.paid():
		return refuse(http.StatusBadRequest, "ORDERPAID", "该订单已支付").numbered(268449538)
	case state == stateClosed:
		return refuse(http.StatusBadRequest, "ORDER_CLOSED", "订单已关闭，请使用新的订单号")
	case !same:
		return refuse(http.StatusBadRequest, "INVALID_REQUEST", "201 商户订单号重复").numbered(268498688)
	case old.expired(now):
		return refuse(http.StatusBadRequest, "INVALID_REQUEST", "订单已过期，请使用新的订单号").numbered(268447914)
	}
	return nil
}

// expiry is the time_expire that counts: at least a minute ahead.
func expiry(text string, now time.Time) time.Time {
	end, _ := time.Parse(time.RFC3339, text) // checked by prepayRequest.check
	if least := now.Add(time.Minute); end.Before(least) {
		return least
	}
	return end.UTC()
}

// prepayID is a fresh prepay_id: wx, the moment, and twenty hex digits.
func (s *Sim) prepayID(now time.Time) string {
	return fmt.Sprintf("wx%s%s", now.In(clock.Shanghai).Format("20060102150405"), hex.EncodeToString([]byte(s.cfg.Source.Nonce(10))))
}

// transaction is the answer of a query, and the content of TRANSACTION.SUCCESS.
type transaction struct {
	AppID          string            `json:"appid"`
	MchID          string            `json:"mchid"`
	OutTradeNo     string            `json:"out_trade_no"`
	TransactionID  string            `json:"transaction_id,omitempty"`
	TradeType      string            `json:"trade_type,omitempty"`
	TradeState     string            `json:"trade_state"`
	TradeStateDesc string            `json:"trade_state_desc"`
	BankType       string            `json:"bank_type,omitempty"`
	Attach         string            `json:"attach,omitempty"`
	SuccessTime    string            `json:"success_time,omitempty"`
	Payer          *payer            `json:"payer,omitempty"`
	Amount         transactionAmount `json:"amount"`
	Promotion      []struct{}        `json:"promotion_detail"`
}

type transactionAmount struct {
	Total         int64  `json:"total"`
	PayerTotal    *int64 `json:"payer_total,omitempty"`
	Currency      string `json:"currency"`
	PayerCurrency string `json:"payer_currency,omitempty"`
}

func stateText(state string) string {
	switch state {
	case statePaid:
		return "支付成功"
	case stateRefunded:
		return "订单发生过退款，退款详情请查询退款单"
	case stateClosed:
		return "订单已关闭"
	default:
		return "订单未支付"
	}
}

// describe is the order as WeChat Pay tells it at that moment; more is added to its amount, and is zero unless a fault wants it.
func (s *Sim) describe(o *order, state string, more int64) transaction {
	total := int64(o.Request.Amount.Total) + more
	t := transaction{AppID: o.Request.AppID, MchID: s.cfg.MchID, OutTradeNo: o.number(), TradeState: state,
		TradeStateDesc: stateText(state), Attach: o.Request.Attach, Amount: transactionAmount{Total: total, Currency: "CNY"},
		Promotion: []struct{}{}}
	if o.paid() {
		t.TransactionID, t.TradeType, t.BankType, t.SuccessTime = o.TransactionID, "JSAPI", "OTHERS", wireTime(o.PaidAt)
		t.Payer = &payer{OpenID: o.Request.Payer.OpenID}
		t.Amount.PayerTotal, t.Amount.PayerCurrency = &total, "CNY"
	}
	return t
}

// wireTime is RFC 3339 with seconds, in China time.
func wireTime(t time.Time) string { return t.In(clock.Shanghai).Format(time.RFC3339) }

func (s *Sim) queryByNumber(r *http.Request, _ []byte) (any, *refusal) {
	return s.query(r, r.PathValue("number"))
}

func (s *Sim) queryByID(r *http.Request, _ []byte) (any, *refusal) {
	return s.query(r, s.numberOf(r.PathValue("id")))
}

func (s *Sim) query(r *http.Request, number string) (any, *refusal) {
	if r.URL.Query().Get("mchid") != s.cfg.MchID {
		return nil, paramError("mchid有误")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.books.orders[number]
	if o == nil {
		return nil, orderNotExist()
	}
	var more int64
	if sandbox.Injected(r.Context()) == sandbox.ChangeAmount {
		more = 1
	}
	return s.describe(o, o.state(s.cfg.Clock.Now()), more), nil
}

func orderNotExist() *refusal {
	return refuse(http.StatusNotFound, "ORDER_NOT_EXIST", "订单不存在").numbered(268512771)
}

// closeOrder is 关闭订单: re-entrant, for unpaid orders only.
func (s *Sim) closeOrder(r *http.Request, body []byte) (any, *refusal) {
	var in struct {
		MchID string `json:"mchid"`
	}
	if no := read(body, closeFields, &in); no != nil {
		return nil, no
	}
	if in.MchID != s.cfg.MchID {
		return nil, paramError("mchid有误")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	o := s.books.orders[r.PathValue("number")]
	switch {
	case o == nil:
		return nil, orderNotExist()
	case o.paid():
		return nil, refuse(http.StatusBadRequest, "ORDERPAID", "该订单已支付").numbered(268449538)
	case o.state(now) == stateClosed:
		return nil, nil
	}
	if no := s.holdsTyped(o.number()); no != nil {
		return nil, no
	}
	closed := *o
	closed.ClosedAt = now
	if err := s.commit(entry{Orders: []*order{&closed}}); err != nil {
		return nil, systemError()
	}
	return nil, nil
}
