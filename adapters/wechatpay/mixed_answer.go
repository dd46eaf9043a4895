package wechatpay

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// mixedAnswer is the order entity of every answer and of MEDICAL_INSURANCE.SUCCESS (wechat-med-ins.md §b.1.2), as far as we look at it. What a type
// does not have is absent.
type mixedAnswer struct {
	MixTradeNo string     `json:"mix_trade_no"`
	MixStatus  string     `json:"mix_pay_status"`
	SelfStatus string     `json:"self_pay_status"`
	InsStatus  string     `json:"med_ins_pay_status"`
	MixPayType string     `json:"mix_pay_type"`
	PaidTime   string     `json:"paid_time"`
	FailReason string     `json:"med_ins_fail_reason"`
	AppID      string     `json:"appid"`
	OpenID     string     `json:"openid"`
	OutTradeNo string     `json:"out_trade_no"`
	SerialNo   string     `json:"serial_no"`
	PayOrderID string     `json:"pay_order_id"`
	InstNo     string     `json:"med_inst_no"`
	Total      *money.Fen `json:"total_fee"` // fen, as all of them
	Gov        money.Fen  `json:"med_ins_gov_fee"`
	Self       money.Fen  `json:"med_ins_self_fee"`
	Other      money.Fen  `json:"med_ins_other_fee"`
	Cash       money.Fen  `json:"med_ins_cash_fee"`
	Wechat     money.Fen  `json:"wechat_pay_cash_fee"`
	Added      []struct {
		Fee money.Fen `json:"cash_add_fee"`
	} `json:"cash_add_detail"`
	Reduced []struct {
		Fee money.Fen `json:"cash_reduce_fee"`
	} `json:"cash_reduce_detail"`
}

const (
	maxMixTradeNo = 64   // WeChat says 32; what our row can hold
	maxFailReason = 2048 // characters; its length is not published
)

// mixedStatus reads a verified entity. Not ours, without what decides, or with amounts that cannot be: ErrUnknown. A state is told as it is,
// whether we know it or not.
func (c *Client) mixedStatus(a mixedAnswer, name string) (payment.MixedStatus, error) {
	amounts, ok := a.amounts()
	switch {
	case a.AppID != "" && a.AppID != c.cfg.AppID, a.InstNo != "" && a.InstNo != c.cfg.MedIns.InstNo:
		return payment.MixedStatus{}, unreadable(name, "about another appid or institution")
	case a.MixTradeNo == "" || len(a.MixTradeNo) > maxMixTradeNo || a.OutTradeNo == "" || a.MixStatus == "":
		return payment.MixedStatus{}, unreadable(name, "without number or state")
	case !ok:
		return payment.MixedStatus{}, unreadable(name, "without total, or with amounts that break an equation")
	}
	s := payment.MixedStatus{MixTradeNo: a.MixTradeNo, OutTradeNo: a.OutTradeNo, SerialNo: a.SerialNo, PayOrderID: a.PayOrderID, Mix: a.MixStatus,
		Self: a.SelfStatus, MedIns: a.InsStatus, Amounts: amounts, FailReason: shortened(a.FailReason, maxFailReason)}
	if a.OpenID != "" {
		s.OpenID = sensitive.NewOpenID(a.OpenID)
	}
	if paid := s.Mix == payment.MixSuccess || s.Mix == payment.MixRefund; !paid || a.PaidTime == "" {
		return s, nil // a success that does not say when is for the domain to doubt
	}
	var err error
	if s.PaidAt, err = paidTime(a.PaidTime); err != nil {
		return payment.MixedStatus{}, unreadable(name, "with a paid_time that is no time")
	}
	return s, nil
}

// amounts reads the amounts and checks them by the equations and by the type. One that is absent is zero: INSURANCE_ONLY leaves out what it
// does not charge, CASH_ONLY what nobody insured, and wherever an absent amount was not zero an equation breaks. Only the total must be there.
func (a *mixedAnswer) amounts() (payment.MixedAmounts, bool) {
	out := payment.MixedAmounts{Gov: a.Gov, Self: a.Self, Other: a.Other, Cash: a.Cash, Wechat: a.Wechat}
	if a.Total == nil {
		return out, false
	}
	out.Total = *a.Total
	for _, d := range a.Added {
		if out.Added += d.Fee; d.Fee < 0 || out.Added > money.Max || d.Fee > money.Max {
			return out, false
		}
	}
	for _, d := range a.Reduced {
		if out.Reduced += d.Fee; d.Fee < 0 || out.Reduced > money.Max || d.Fee > money.Max {
			return out, false
		}
	}
	return out, out.Check() == nil && (a.MixPayType == "" || ofType(a.MixPayType, out))
}

// ofType reports whether the amounts are such as an order of that type has (wechat-med-ins.md §c, 4–6). No amounts are of a type that is not
// published.
func ofType(mixPayType string, a payment.MixedAmounts) bool {
	before := a.Insured() + a.Cash // what the bureau settled
	switch mixPayType {
	case cashOnly:
		return before == 0 && a.Wechat > 0
	case insuranceOnly:
		return a.Wechat == 0
	case cashAndInsurance:
		return before > 0 && a.Wechat > 0
	}
	return false
}

// paidTime reads RFC 3339, and the older yyyyMMddHHmmss in China time (X5), into UTC.
func paidTime(text string) (time.Time, error) {
	if t, err := wireTime(text); err == nil {
		return t, nil
	}
	t, err := time.ParseInLocation("20060102150405", text, clock.Shanghai)
	if err != nil {
		return time.Time{}, fmt.Errorf("neither RFC 3339 nor yyyyMMddHHmmss")
	}
	return t.UTC(), nil
}

// shortened is the beginning of a text that comes from outside.
func shortened(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most])
}
