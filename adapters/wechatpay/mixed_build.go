package wechatpay

import (
	"crypto/md5" //nolint:gosec // the digest that WeChat demands
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/wechatpay-apiv3/wechatpay-go/utils"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
)

// The types of a mixed order that are ours. CASH_ONLY is not: a bill without insurance is paid by a plain JSAPI order.
const (
	insuranceOnly    = "INSURANCE_ONLY"
	cashAndInsurance = "CASH_AND_INSURANCE"
)

// mixedBody is the body of POST /v3/med-ins/orders (医保自费混合收款下单, §b.1). What is not sent is left out, never empty.
type mixedBody struct {
	MixPayType  string       `json:"mix_pay_type"`
	OrderType   string       `json:"order_type"`
	AppID       string       `json:"appid"`
	OpenID      string       `json:"openid"`
	Payer       mixedPerson  `json:"payer"`
	ForRelative *bool        `json:"pay_for_relatives,omitempty"`
	Relative    *mixedPerson `json:"relative,omitempty"`
	OutTradeNo  string       `json:"out_trade_no"`
	SerialNo    string       `json:"serial_no"`
	PayOrderID  string       `json:"pay_order_id"`
	PayAuthNo   string       `json:"pay_auth_no"`
	Location    string       `json:"geo_location"`
	CityID      string       `json:"city_id"`
	InstName    string       `json:"med_inst_name"`
	InstNo      string       `json:"med_inst_no"`
	CreateTime  string       `json:"med_ins_order_create_time"`
	Total       money.Fen    `json:"total_fee"`
	Gov         money.Fen    `json:"med_ins_gov_fee"`
	Self        money.Fen    `json:"med_ins_self_fee"`
	Other       money.Fen    `json:"med_ins_other_fee"`
	Cash        money.Fen    `json:"med_ins_cash_fee"`
	Wechat      *money.Fen   `json:"wechat_pay_cash_fee,omitempty"` // CASH_AND_INSURANCE only (X2)
	Added       []addedFee   `json:"cash_add_detail,omitempty"`
	CallbackURL string       `json:"callback_url"`
	PrepayID    string       `json:"prepay_id,omitempty"` // CASH_AND_INSURANCE only
	Passthrough string       `json:"passthrough_request_content,omitempty"`
	Attach      string       `json:"attach,omitempty"`
	ChannelNo   string       `json:"channel_no,omitempty"`
	TestEnv     *bool        `json:"med_ins_test_env,omitempty"`
}

// mixedPerson holds name and digest encrypted.
type mixedPerson struct {
	Name     string `json:"name"`
	IDDigest string `json:"id_digest"`
	CardType string `json:"card_type"`
}

type addedFee struct {
	Fee  money.Fen `json:"cash_add_fee"`
	Type string    `json:"cash_add_type"`
}

// passthrough is what the bureau gets in passthrough_request_content.
type passthrough struct {
	PayAuthNo string `json:"payAuthNo"`
	PayOrdID  string `json:"payOrdId"`
	Location  string `json:"setlLatlnt"`
}

// presence says of a field whether an order has it, by type (§b.1.1).
type presence struct {
	field                   string
	insuranceOnly, withCash bool // required there; false: forbidden
	has                     func(o payment.MixedOrder) bool
}

// presences are the fields that depend on the type. The bureau's order exists in both.
var presences = []presence{
	{"prepay_id", false, true, func(o payment.MixedOrder) bool { return o.PrepayID != "" }},
	{"wechat_pay_cash_fee", false, true, func(o payment.MixedOrder) bool { return o.Amounts.Wechat > 0 }},
	{"pay_order_id", true, true, func(o payment.MixedOrder) bool { return o.PayOrderID != "" }},
	{"pay_auth_no", true, true, func(o payment.MixedOrder) bool { return !o.PayAuthNo.IsZero() }},
	{"geo_location", true, true, func(o payment.MixedOrder) bool { return o.Location != "" }},
	{"med_ins_order_create_time", true, true, func(o payment.MixedOrder) bool { return !o.UploadedAt.IsZero() }},
}

// BuildMixed makes the exact body of a mixed order. Name and digest are encrypted under WeChat Pay's public key, whose id the SDK sends as
// Wechatpay-Serial. ErrRequest names the field that WeChat Pay would not bear; payment.ErrEquation broken sums.
func (c *Client) BuildMixed(o payment.MixedOrder) ([]byte, error) {
	m := c.cfg.MedIns
	if m == nil {
		return nil, ErrRequest.At("med_ins")
	}
	if err := checkMixed(o); err != nil {
		return nil, err
	}
	payer, err := c.encrypted("payer", o.Payer)
	if err != nil {
		return nil, err
	}
	body := mixedBody{MixPayType: insuranceOnly, OrderType: o.OrderType, AppID: c.cfg.AppID, OpenID: o.OpenID.Reveal(), Payer: payer,
		OutTradeNo: o.OutTradeNo, SerialNo: o.SerialNo, PayOrderID: o.PayOrderID, PayAuthNo: o.PayAuthNo.Reveal(), Location: o.Location,
		CityID: m.CityID, InstName: m.InstName, InstNo: m.InstNo, CreateTime: rfc3339(o.UploadedAt), Total: o.Amounts.Total, Gov: o.Amounts.Gov,
		Self: o.Amounts.Self, Other: o.Amounts.Other, Cash: o.Amounts.Cash, CallbackURL: m.CallbackURL, Attach: o.Attach, ChannelNo: m.ChannelNo}
	if o.PrepayID != "" {
		body.MixPayType, body.PrepayID, body.Wechat = cashAndInsurance, o.PrepayID, &o.Amounts.Wechat
	}
	if o.Amounts.Added > 0 {
		body.Added = []addedFee{{o.Amounts.Added, m.AddType}}
	}
	yes := true
	if o.Relative != nil {
		relative, err := c.encrypted("relative", *o.Relative)
		if err != nil {
			return nil, err
		}
		body.ForRelative, body.Relative = &yes, &relative
	}
	if m.TestEnv {
		body.TestEnv = &yes
	}
	if !m.NoPassthrough {
		body.Passthrough = string(encode(passthrough{o.PayAuthNo.Reveal(), o.PayOrderID, o.Location}))
	}
	return encode(body), nil
}

// checkMixed proves that WeChat Pay would take the order.
func checkMixed(o payment.MixedOrder) error {
	withCash := o.PrepayID != "" || o.Amounts.Wechat > 0
	for _, p := range presences {
		required := p.insuranceOnly
		if withCash {
			required = p.withCash
		}
		if p.has(o) != required {
			return named(p.field, "required %v, given %v", required, p.has(o))
		}
	}
	for _, t := range []struct {
		field, value string
		ok           bool
	}{
		{"out_trade_no", o.OutTradeNo, tradeNumber(o.OutTradeNo, 6, 32)}, {"serial_no", o.SerialNo, tradeNumber(o.SerialNo, 1, 20)},
		{"pay_order_id", o.PayOrderID, len(o.PayOrderID) <= 64 && clean(o.PayOrderID, 64)},
		{"pay_auth_no", "", len(o.PayAuthNo.Reveal()) <= 40}, {"openid", "", !o.OpenID.IsZero() && clean(o.OpenID.Reveal(), 128)},
		{"geo_location", o.Location, located(o.Location)}, {"attach", o.Attach, clean(o.Attach, 128)}, {"prepay_id", o.PrepayID, clean(o.PrepayID, 64)},
		{"order_type", o.OrderType, orderTypes[o.OrderType]},
	} {
		if !t.ok {
			return named(t.field, "not of its form")
		}
	}
	a := o.Amounts
	if err := a.Check(); err != nil {
		return err
	}
	if a.Total < 1 || (withCash && a.Gov+a.Self+a.Other+a.Cash < 1) || a.Reduced != 0 {
		return named("total_fee", "no amount, or a reduction that nobody grants")
	}
	return nil
}

// orderTypes are the values of order_type (§b.5).
var orderTypes = map[string]bool{"REG_PAY": true, "DIAG_PAY": true, "IN_HOSP_PAY": true, "PHARMACY_PAY": true, "INT_REG_PAY": true,
	"INT_RE_DIAG_PAY": true, "INT_RX_PAY": true, "MED_PAY": true}

// located reports longitude,latitude as plain decimals, at most 40 characters together.
func located(s string) bool {
	longitude, latitude, ok := strings.Cut(s, ",")
	return ok && len(s) <= 40 && decimal(longitude) && decimal(latitude)
}

func decimal(s string) bool {
	whole, part, dotted := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	return whole != "" && len(whole) <= 3 && strings.Trim(whole+part, "0123456789") == "" && (!dotted || part != "")
}

func (c *Client) encrypted(field string, p payment.MixedPerson) (mixedPerson, error) {
	name := p.Name.Reveal()
	if name == "" || utf8.RuneCountInString(name) > 60 || p.IDNumber.IsZero() {
		return mixedPerson{}, named(field, "name or identity number is missing")
	}
	sealedName, err1 := utils.EncryptOAEPWithPublicKey(name, c.public)
	sealedDigest, err2 := utils.EncryptOAEPWithPublicKey(idDigest(p.IDNumber.Reveal()), c.public)
	if err1 != nil || err2 != nil {
		return mixedPerson{}, named(field, "cannot be encrypted")
	}
	return mixedPerson{sealedName, sealedDigest, c.cfg.MedIns.CardType}, nil
}

// idDigest is 身份ID摘要: letters upper-cased, fifteen digits extended to eighteen, MD5 in lower-case hex.
func idDigest(number string) string {
	number = strings.ToUpper(strings.TrimSpace(number))
	if len(number) == 15 {
		number = extended(number)
	}
	sum := md5.Sum([]byte(number)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// extended makes an eighteen-digit number of one of fifteen: the century, and the check digit of GB 11643.
func extended(number string) string {
	number = number[:6] + "19" + number[6:]
	weights := []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(number[i]-'0')
	}
	return number + string("10X98765432"[sum%11])
}
