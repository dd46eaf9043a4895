package wechatpaysim

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// The kinds of a mixed order (mix_pay_type).
const (
	cashOnly         = "CASH_ONLY"          // 纯自费
	insuranceOnly    = "INSURANCE_ONLY"     // 纯医保
	cashAndInsurance = "CASH_AND_INSURANCE" // 混合
)

// The numeric codes that end the Request-ID of a refusal, where one is known.
const (
	numberParameter      = 268435461 // a parameter is invalid: length, type, nesting, time zone
	numberOpenID         = 268510603
	numberInsurer        = 268510610 // the insurer refused
	numberExists         = 268512536
	numberCashLinkage    = 268529474 // fields or amounts that do not fit CASH_ONLY
	numberInsuredLinkage = 268529475 // … and the other two types
	numberCashEquation   = 268529476
	numberTotalEquation  = 268529477
	numberCrossEquation  = 268529481
	numberNotFound       = 268529515
	numberDigest         = 268545961
	numberName           = 268545962
	numberNoCredential   = 268545963
	numberNoKin          = 268545964
	numberPassthrough    = 268545967
	numberPayAuth        = 268547120
	numberTyped          = 268560650 // the password is typed: too late to close
)

// mixedRequest is the body of POST /v3/med-ins/orders. What was left out stays out, for the answers echo it.
type mixedRequest struct {
	MixPayType      string       `json:"mix_pay_type"`
	OrderType       string       `json:"order_type"`
	AppID           string       `json:"appid"`
	OpenID          string       `json:"openid"`
	Payer           *person      `json:"payer,omitempty"` // dropped once compared: neither kept nor echoed
	PayForRelatives *bool        `json:"pay_for_relatives,omitempty"`
	Relative        *person      `json:"relative,omitempty"` // as the payer
	OutTradeNo      string       `json:"out_trade_no"`
	SerialNo        string       `json:"serial_no"` // 医疗机构订单号
	PayOrderID      string       `json:"pay_order_id,omitempty"`
	PayAuthNo       string       `json:"pay_auth_no,omitempty"`
	GeoLocation     string       `json:"geo_location,omitempty"`
	CityID          string       `json:"city_id"`
	MedInstName     string       `json:"med_inst_name"`
	MedInstNo       string       `json:"med_inst_no"`
	InsCreateTime   string       `json:"med_ins_order_create_time,omitempty"`
	TotalFee        *money.Fen   `json:"total_fee,omitempty"`
	GovFee          *money.Fen   `json:"med_ins_gov_fee,omitempty"`
	SelfFee         *money.Fen   `json:"med_ins_self_fee,omitempty"` // 个账, which is insurance money
	OtherFee        *money.Fen   `json:"med_ins_other_fee,omitempty"`
	CashFee         *money.Fen   `json:"med_ins_cash_fee,omitempty"`
	WechatFee       *money.Fen   `json:"wechat_pay_cash_fee,omitempty"`
	Added           []cashAdd    `json:"cash_add_detail,omitempty"`
	Reduced         []cashReduce `json:"cash_reduce_detail,omitempty"`
	CallbackURL     string       `json:"callback_url"`
	PrepayID        string       `json:"prepay_id,omitempty"`
	Passthrough     string       `json:"passthrough_request_content,omitempty"`
	Extends         string       `json:"extends,omitempty"`
	Attach          string       `json:"attach,omitempty"`
	ChannelNo       string       `json:"channel_no,omitempty"`
	TestEnv         *bool        `json:"med_ins_test_env,omitempty"`
}

// person is a payer or a relative on the wire; name and digest are encrypted.
type person struct {
	Name     string `json:"name"`
	IDDigest string `json:"id_digest"`
	CardType string `json:"card_type"`
}

type cashAdd struct {
	Fee  *money.Fen `json:"cash_add_fee"`
	Type string     `json:"cash_add_type"`
}

type cashReduce struct {
	Fee  *money.Fen `json:"cash_reduce_fee"`
	Type string     `json:"cash_reduce_type"`
}

var personFields = fields{"name": nil, "id_digest": nil, "card_type": nil}

// mixedFields are a direct merchant's: sub_appid, sub_mchid and sub_openid are a service provider's and refused.
var mixedFields = fields{
	"mix_pay_type": nil, "order_type": nil, "appid": nil, "openid": nil, "payer": personFields, "pay_for_relatives": nil,
	"relative": personFields, "out_trade_no": nil, "serial_no": nil, "pay_order_id": nil, "pay_auth_no": nil, "geo_location": nil,
	"city_id": nil, "med_inst_name": nil, "med_inst_no": nil, "med_ins_order_create_time": nil, "total_fee": nil,
	"med_ins_gov_fee": nil, "med_ins_self_fee": nil, "med_ins_other_fee": nil, "med_ins_cash_fee": nil, "wechat_pay_cash_fee": nil,
	"cash_add_detail":    {"cash_add_fee": nil, "cash_add_type": nil},
	"cash_reduce_detail": {"cash_reduce_fee": nil, "cash_reduce_type": nil},
	"callback_url":       nil, "prepay_id": nil, "passthrough_request_content": nil, "extends": nil, "attach": nil, "channel_no": nil,
	"med_ins_test_env": nil,
}

var (
	mixPayTypes = []string{cashOnly, insuranceOnly, cashAndInsurance}
	orderTypes  = []string{"REG_PAY", "DIAG_PAY", "COVID_EXAM_PAY", "IN_HOSP_PAY", "PHARMACY_PAY", "INSURANCE_PAY", "INT_REG_PAY",
		"INT_RE_DIAG_PAY", "INT_RX_PAY", "COVID_ANTIGEN_PAY", "MED_PAY"}
	cardTypes = []string{"ID_CARD", "HOUSEHOLD_REGISTRATION", "FOREIGNER_PASSPORT", "MAINLAND_TRAVEL_PERMIT_FOR_TW",
		"MAINLAND_TRAVEL_PERMIT_FOR_MO", "MAINLAND_TRAVEL_PERMIT_FOR_HK", "FOREIGN_PERMANENT_RESIDENT"}
	addTypes    = []string{"DEFAULT_ADD_TYPE", "FREIGHT", "OTHER_MEDICAL_EXPENSES"}
	reduceTypes = []string{"DEFAULT_REDUCE_TYPE", "HOSPITAL_REDUCE", "PHARMACY_DISCOUNT", "DISCOUNT", "PRE_PAYMENT", "DEPOSIT_DEDUCTION"}

	coordinates = regexp.MustCompile(`^-?\d{1,3}(\.\d+)?,-?\d{1,2}(\.\d+)?$`) // longitude,latitude
)

func badParameter(message string) *refusal { return paramError(message).numbered(numberParameter) }

func ruleLimit(number int, message string) *refusal {
	return refuse(http.StatusForbidden, "RULE_LIMIT", message).numbered(number)
}

// readMixed is read for /v3/med-ins, which also refuses empty text, empty lists and empty objects.
func readMixed(body []byte, known fields, into any) *refusal {
	if no := read(body, known, into); no != nil {
		return no.numbered(numberParameter)
	}
	var tree any
	if json.Unmarshal(body, &tree) != nil || hollow(tree) {
		return badParameter("字段不正确：不能为空")
	}
	return nil
}

// hollow reports whether something in the tree is empty.
func hollow(node any) bool {
	switch v := node.(type) {
	case string:
		return v == ""
	case []any:
		return len(v) == 0 || slices.ContainsFunc(v, hollow)
	case map[string]any:
		for _, value := range v {
			if hollow(value) {
				return true
			}
		}
		return len(v) == 0
	}
	return false
}

// form finds what is wrong with the fields one by one.
func (m *mixedRequest) form() *refusal {
	for _, f := range []struct {
		name, value string
		least, most int
	}{
		{"openid", m.OpenID, 1, 128}, {"serial_no", m.SerialNo, 1, 20}, {"pay_order_id", m.PayOrderID, 0, 64},
		{"pay_auth_no", m.PayAuthNo, 0, 40}, {"geo_location", m.GeoLocation, 0, 40}, {"city_id", m.CityID, 1, 8},
		{"med_inst_name", m.MedInstName, 1, 128}, {"med_inst_no", m.MedInstNo, 1, 32}, {"prepay_id", m.PrepayID, 0, 64},
		{"passthrough_request_content", m.Passthrough, 0, 2048}, {"extends", m.Extends, 0, 2048}, {"attach", m.Attach, 0, 128},
		{"channel_no", m.ChannelNo, 0, 32},
	} {
		if !text(f.value, f.least, f.most) {
			return badParameter(f.name + "缺失或长度有误")
		}
	}
	switch {
	case !slices.Contains(mixPayTypes, m.MixPayType) || !slices.Contains(orderTypes, m.OrderType):
		return badParameter("mix_pay_type或order_type不是枚举值")
	case !number(m.OutTradeNo, 6, 64, orderNumberSigns):
		return badParameter("out_trade_no有误")
	case !notifyURL(m.CallbackURL, 256):
		return badParameter("callback_url须为https地址且不带参数，最长256")
	case m.GeoLocation != "" && !coordinates.MatchString(m.GeoLocation):
		return badParameter("geo_location格式为经度,纬度")
	case m.InsCreateTime != "" && !chinaTime(m.InsCreateTime):
		return badParameter("med_ins_order_create_time须为带+08:00的RFC3339时间")
	case !jsonObject(m.Passthrough) || !jsonObject(m.Extends):
		return badParameter("passthrough_request_content或extends不是JSON")
	case m.TotalFee == nil:
		return badParameter("缺少total_fee")
	case !m.feesInRange():
		return badParameter("金额为非负整数，单位为分")
	}
	return m.persons()
}

// persons checks who is named, and the kinds of additions and reductions.
func (m *mixedRequest) persons() *refusal {
	forRelative := m.PayForRelatives != nil && *m.PayForRelatives
	switch {
	case m.Payer == nil || !m.Payer.whole():
		return badParameter("payer缺失或有误")
	case forRelative && (m.Relative == nil || !m.Relative.whole()):
		return badParameter("relative缺失或有误")
	case !forRelative && m.Relative != nil:
		return badParameter("未代亲属支付时不能填写relative")
	case slices.ContainsFunc(m.Added, func(d cashAdd) bool { return !slices.Contains(addTypes, d.Type) }):
		return badParameter("cash_add_type不是枚举值")
	case slices.ContainsFunc(m.Reduced, func(d cashReduce) bool { return !slices.Contains(reduceTypes, d.Type) }):
		return badParameter("cash_reduce_type不是枚举值")
	}
	return nil
}

func (p *person) whole() bool {
	return p.Name != "" && p.IDDigest != "" && slices.Contains(cardTypes, p.CardType)
}

func (m *mixedRequest) feesInRange() bool {
	fees := []*money.Fen{m.TotalFee}
	for _, f := range []*money.Fen{m.GovFee, m.SelfFee, m.OtherFee, m.CashFee, m.WechatFee} {
		if f != nil {
			fees = append(fees, f)
		}
	}
	for _, d := range m.Added {
		fees = append(fees, d.Fee)
	}
	for _, d := range m.Reduced {
		fees = append(fees, d.Fee)
	}
	return !slices.ContainsFunc(fees, func(f *money.Fen) bool { return f == nil || *f < 0 || *f > money.Max })
}

// chinaTime reports whether s is RFC 3339 with +08:00: Z and other zones are refused.
func chinaTime(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil && strings.HasSuffix(s, "+08:00")
}

func jsonObject(s string) bool {
	var members map[string]json.RawMessage
	return s == "" || json.Unmarshal([]byte(s), &members) == nil
}

func (m *mixedRequest) hasCash() bool    { return m.MixPayType != insuranceOnly }
func (m *mixedRequest) hasInsurer() bool { return m.MixPayType != cashOnly }

// linked finds fields that the type requires and that are missing, or forbids and that are there.
func (m *mixedRequest) linked() *refusal {
	wrong := numberInsuredLinkage
	if m.MixPayType == cashOnly {
		wrong = numberCashLinkage
	}
	for _, value := range []string{m.PayOrderID, m.PayAuthNo, m.GeoLocation, m.InsCreateTime} {
		if (value != "") != m.hasInsurer() {
			return ruleLimit(wrong, "pay_order_id、pay_auth_no、geo_location或med_ins_order_create_time与mix_pay_type不符")
		}
	}
	if m.hasInsurer() && (m.GovFee == nil || m.SelfFee == nil || m.OtherFee == nil || m.CashFee == nil) {
		return ruleLimit(wrong, "医保各项金额须全部填写")
	}
	if m.hasCash() != (m.PrepayID != "") {
		return ruleLimit(wrong, "prepay_id与mix_pay_type不符")
	}
	a := m.amounts()
	insured := a.gov + a.self + a.other + a.cash
	switch {
	case m.hasCash() != (a.wechat > 0):
		return ruleLimit(wrong, "wechat_pay_cash_fee与mix_pay_type不符")
	case m.MixPayType == cashOnly && insured != 0:
		return ruleLimit(wrong, "纯自费订单不能有医保金额")
	case m.MixPayType == cashAndInsurance && insured == 0:
		return ruleLimit(wrong, "混合订单的医保金额合计须大于0")
	}
	return nil
}

// mixedAmounts are the letters of the equations: G, S, O, C, W, A, R, T.
type mixedAmounts struct{ gov, self, other, cash, wechat, added, reduced, total money.Fen }

func (m *mixedRequest) amounts() mixedAmounts {
	sent := func(f *money.Fen) money.Fen {
		if f == nil {
			return 0
		}
		return *f
	}
	a := mixedAmounts{gov: sent(m.GovFee), self: sent(m.SelfFee), other: sent(m.OtherFee), cash: sent(m.CashFee),
		wechat: sent(m.WechatFee), total: sent(m.TotalFee)}
	for _, d := range m.Added {
		a.added += sent(d.Fee)
	}
	for _, d := range m.Reduced {
		a.reduced += sent(d.Fee)
	}
	return a
}

// balanced checks T = G+S+O+W+R, T = G+S+O+C+A and W = C+A−R. Of three dependent equations one alone cannot break: the two that do
// tell which amount is at fault.
func (m *mixedRequest) balanced() *refusal {
	a := m.amounts()
	insured := a.gov + a.self + a.other
	total, cross := a.total == insured+a.wechat+a.reduced, a.total == insured+a.cash+a.added
	switch {
	case total && cross:
		return nil
	case total:
		return ruleLimit(numberCrossEquation, "订单总金额与医保结算后自费金额、现金补充金额不平")
	case cross:
		return ruleLimit(numberCashEquation, "微信支付现金金额与医保结算后自费金额、现金补充和减免金额不平")
	default:
		return ruleLimit(numberTotalEquation, "订单总金额与各项金额之和不等")
	}
}

// priced is the request with one fen more, every equation kept: only a comparison with what was ordered finds it.
func (m *mixedRequest) priced(more money.Fen) mixedRequest {
	out := *m
	plus := func(f *money.Fen) *money.Fen {
		sum := *f + more
		return &sum
	}
	out.TotalFee = plus(m.TotalFee)
	if m.hasInsurer() {
		out.GovFee = plus(m.GovFee)
		return out
	}
	out.WechatFee, out.Added = plus(m.WechatFee), slices.Clone(m.Added)
	out.Added[0].Fee = plus(m.Added[0].Fee) // W > 0 and no insurance: without an addition it would not balance
	return out
}
