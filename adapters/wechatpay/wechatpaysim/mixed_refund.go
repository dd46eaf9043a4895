package wechatpaysim

import (
	"net/http"

	"github.com/tuoka/tuoka/internal/money"
)

// insurerBack is the body of POST /v3/med-ins/refunds/notify (医保退款通知): insurance money only, zeros sent as zeros.
type insurerBack struct {
	Total       money.Fen `json:"med_refund_total_fee"`
	Gov         money.Fen `json:"med_refund_gov_fee"`
	Self        money.Fen `json:"med_refund_self_fee"`
	Other       money.Fen `json:"med_refund_other_fee"`
	RefundTime  string    `json:"refund_time"`
	OutRefundNo string    `json:"out_refund_no"`
}

var insurerBackFields = fields{"med_refund_total_fee": nil, "med_refund_gov_fee": nil, "med_refund_self_fee": nil,
	"med_refund_other_fee": nil, "refund_time": nil, "out_refund_no": nil}

// mixedRefunded is 医保退款通知: the merchant tells what the insurer gave back. The newest replaces the others; only the whole of the
// insurer's money makes the part refunded.
func (s *Sim) mixedRefunded(r *http.Request, body []byte) (any, *refusal) {
	if no := s.permitted(); no != nil {
		return nil, no
	}
	in, no := readInsurerBack(body)
	if no != nil {
		return nil, no
	}
	mixTradeNo := r.URL.Query().Get("mix_trade_no")
	if !text(mixTradeNo, 1, 32) {
		return nil, badParameter("mix_trade_no缺失或过长")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.books.mixed[s.books.mixTrades[mixTradeNo]]
	if m == nil {
		return nil, mixedNotExist()
	}
	a := m.Request.amounts()
	switch {
	case !m.Request.hasInsurer():
		return nil, refuse(http.StatusForbidden, "RULE_LIMIT", "该订单没有医保部分")
	case m.PaidAt.IsZero():
		return nil, refuse(http.StatusForbidden, "RULE_LIMIT", "该订单医保部分未结算")
	case in.Total != in.Gov+in.Self+in.Other:
		return nil, refuse(http.StatusForbidden, "RULE_LIMIT", "医保退款总金额与各项之和不等")
	case !m.refundedUnder(in.OutRefundNo, s.books.refunds):
		return nil, refuse(http.StatusForbidden, "RULE_LIMIT", "out_refund_no须与自费部分退款单号一致")
	case in.Gov > a.gov || in.Self > a.self || in.Other > a.other:
		return nil, refuse(http.StatusForbidden, "RULE_LIMIT", "医保退款金额大于医保结算金额")
	}
	changed := *m
	changed.Back = in
	if err := s.commit(entry{Mixed: []*mixed{&changed}}); err != nil {
		return nil, systemError()
	}
	return nil, nil
}

// refundedUnder reports whether that is a number under which cash of the order was given back, or none was.
func (m *mixed) refundedUnder(number string, refunds map[string]*refund) bool {
	if r := refunds[number]; r != nil {
		return r.OutTradeNo == m.Request.OutTradeNo
	}
	for _, r := range refunds {
		if r.OutTradeNo == m.Request.OutTradeNo {
			return false
		}
	}
	return true
}

// readInsurerBack reads a notice, all four amounts of which must be there.
func readInsurerBack(body []byte) (*insurerBack, *refusal) {
	var sent struct {
		Total       *money.Fen `json:"med_refund_total_fee"`
		Gov         *money.Fen `json:"med_refund_gov_fee"`
		Self        *money.Fen `json:"med_refund_self_fee"`
		Other       *money.Fen `json:"med_refund_other_fee"`
		RefundTime  string     `json:"refund_time"`
		OutRefundNo string     `json:"out_refund_no"`
	}
	if no := readMixed(body, insurerBackFields, &sent); no != nil {
		return nil, no
	}
	for _, f := range []*money.Fen{sent.Total, sent.Gov, sent.Self, sent.Other} {
		if f == nil || *f < 0 || *f > money.Max {
			return nil, badParameter("医保退款的四项金额须全部填写，为非负整数，单位为分")
		}
	}
	switch {
	case !chinaTime(sent.RefundTime):
		return nil, badParameter("refund_time须为带+08:00的RFC3339时间")
	case !number(sent.OutRefundNo, 1, 64, refundNumberSigns):
		return nil, badParameter("out_refund_no为1至64个字符，只能是数字、大小写字母_-|*@")
	}
	return &insurerBack{*sent.Total, *sent.Gov, *sent.Self, *sent.Other, sent.RefundTime, sent.OutRefundNo}, nil
}
