package wechatpay

import (
	"context"
	"crypto/md5" //nolint:gosec // the digest that WeChat demands
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
)

// The values of mix_pay_type. CASH_ONLY is never built: a bill without insurance is paid by a plain JSAPI order.
const (
	cashOnly         = "CASH_ONLY"
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

// mixedPerson is a person on the wire. The SDK encrypts what its tag names.
type mixedPerson struct {
	Name     string `json:"name" encryption:"EM_APIV3"`
	IDDigest string `json:"id_digest" encryption:"EM_APIV3"`
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

// linked says of a field whether an order has it, by type (§b.1.1).
type linked struct {
	field                   string
	insuranceOnly, withCash bool // demanded there; false: forbidden
	has                     func(o payment.MixedOrder) bool
}

// linkage are the fields that depend on the type. The bureau's order exists in both of ours; the four med_ins_*_fee are sent in both, zeros
// too; cash_add_detail is allowed in both.
var linkage = []linked{
	{"prepay_id", false, true, func(o payment.MixedOrder) bool { return o.PrepayID != "" }},
	{"wechat_pay_cash_fee", false, true, func(o payment.MixedOrder) bool { return o.Amounts.Wechat != 0 }},
	{"pay_order_id", true, true, func(o payment.MixedOrder) bool { return o.PayOrderID != "" }},
	{"pay_auth_no", true, true, func(o payment.MixedOrder) bool { return !o.PayAuthNo.IsZero() }},
	{"geo_location", true, true, func(o payment.MixedOrder) bool { return o.Location != "" }},
	{"med_ins_order_create_time", true, true, func(o payment.MixedOrder) bool { return !o.UploadedAt.IsZero() }},
}

// formed says of a field what it looks like (§b.1).
type formed struct {
	field string
	ok    func(o payment.MixedOrder) bool
}

// forms are the lengths and forms of the fields that come with the order; those of the hospital were checked at the start.
var forms = []formed{
	{"out_trade_no", func(o payment.MixedOrder) bool { return tradeNumber(o.OutTradeNo, 6, 32) }}, // as the cash order's
	{"serial_no", func(o payment.MixedOrder) bool { return tradeNumber(o.SerialNo, 1, 20) }},
	{"pay_order_id", func(o payment.MixedOrder) bool { return clean(o.PayOrderID, 64) }},
	{"pay_auth_no", func(o payment.MixedOrder) bool { return clean(o.PayAuthNo.Reveal(), 40) }},
	{"openid", func(o payment.MixedOrder) bool { return !o.OpenID.IsZero() && clean(o.OpenID.Reveal(), 128) }},
	{"geo_location", func(o payment.MixedOrder) bool { return located(o.Location) }},
	{"prepay_id", func(o payment.MixedOrder) bool { return clean(o.PrepayID, 64) }},
	{"attach", func(o payment.MixedOrder) bool { return clean(o.Attach, 128) }},
	{"order_type", func(o payment.MixedOrder) bool { return OrderType(o.OrderType) }},
	{"payer", func(o payment.MixedOrder) bool { return identified(&o.Payer) }},
	{"relative", func(o payment.MixedOrder) bool { return o.Relative == nil || identified(o.Relative) }},
}

// The enumerations that an order may choose from (§b.5). UNKNOWN_* is in none.
var (
	orderTypes = map[string]bool{"REG_PAY": true, "DIAG_PAY": true, "COVID_EXAM_PAY": true, "IN_HOSP_PAY": true, "PHARMACY_PAY": true,
		"INSURANCE_PAY": true, "INT_REG_PAY": true, "INT_RE_DIAG_PAY": true, "INT_RX_PAY": true, "COVID_ANTIGEN_PAY": true, "MED_PAY": true}
	cardTypes = map[string]bool{"ID_CARD": true, "HOUSEHOLD_REGISTRATION": true, "FOREIGNER_PASSPORT": true,
		"MAINLAND_TRAVEL_PERMIT_FOR_TW": true, "MAINLAND_TRAVEL_PERMIT_FOR_MO": true, "MAINLAND_TRAVEL_PERMIT_FOR_HK": true,
		"FOREIGN_PERMANENT_RESIDENT": true}
	addTypes = map[string]bool{"DEFAULT_ADD_TYPE": true, "FREIGHT": true, "OTHER_MEDICAL_EXPENSES": true}
)

// OrderType reports whether WeChat Pay knows that order_type.
func OrderType(s string) bool { return orderTypes[s] }

// BuildMixed makes the exact body of a mixed order. Names and digests are encrypted under WeChat Pay's public key, whose id the SDK sends as
// Wechatpay-Serial; so each call makes other bytes, and the first are to be kept. ErrRequest names the field that WeChat Pay would not bear;
// payment.ErrEquation is broken sums.
func (c *Client) BuildMixed(o payment.MixedOrder) ([]byte, error) {
	if err := c.hasMixed(); err != nil {
		return nil, err
	}
	mixPayType := insuranceOnly
	if o.PrepayID != "" || o.Amounts.Wechat != 0 {
		mixPayType = cashAndInsurance
	}
	if err := checkMixed(o, mixPayType); err != nil {
		return nil, err
	}
	body := c.mixedBody(o, mixPayType)
	keyID, err := c.api.EncryptRequest(context.Background(), &body)
	if err != nil || keyID != c.cfg.PublicKeyID { // its error is not passed on: the text may be about a person
		return nil, fault.New(fault.Internal, "WECHAT_ENCRYPT", "系统繁忙，请稍后再试")
	}
	return encode(body), nil
}

// mixedBody is the body with name and digest still open.
func (c *Client) mixedBody(o payment.MixedOrder, mixPayType string) mixedBody {
	m, yes := c.cfg.MedIns, true
	body := mixedBody{MixPayType: mixPayType, OrderType: o.OrderType, AppID: c.cfg.AppID, OpenID: o.OpenID.Reveal(), Payer: c.person(o.Payer),
		OutTradeNo: o.OutTradeNo, SerialNo: o.SerialNo, PayOrderID: o.PayOrderID, PayAuthNo: o.PayAuthNo.Reveal(), Location: o.Location,
		CityID: m.CityID, InstName: m.InstName, InstNo: m.InstNo, CreateTime: rfc3339(o.UploadedAt), Total: o.Amounts.Total, Gov: o.Amounts.Gov,
		Self: o.Amounts.Self, Other: o.Amounts.Other, Cash: o.Amounts.Cash, CallbackURL: m.CallbackURL, PrepayID: o.PrepayID, Attach: o.Attach,
		ChannelNo: m.ChannelNo}
	if mixPayType == cashAndInsurance {
		body.Wechat = &o.Amounts.Wechat
	}
	if o.Amounts.Added > 0 {
		body.Added = []addedFee{{o.Amounts.Added, m.AddType}}
	}
	if o.Relative != nil {
		relative := c.person(*o.Relative)
		body.ForRelative, body.Relative = &yes, &relative
	}
	if m.TestEnv {
		body.TestEnv = &yes
	}
	if !m.NoPassthrough { // at most 40 + 64 + 40 characters and three names: far below its 2048
		body.Passthrough = string(encode(passthrough{o.PayAuthNo.Reveal(), o.PayOrderID, o.Location}))
	}
	return body
}

// checkMixed proves that WeChat Pay would take the order.
func checkMixed(o payment.MixedOrder, mixPayType string) error {
	for _, l := range linkage {
		demanded := l.insuranceOnly
		if mixPayType == cashAndInsurance {
			demanded = l.withCash
		}
		if given := l.has(o); given != demanded {
			return named(l.field, "%s: demanded %v, given %v", mixPayType, demanded, given)
		}
	}
	for _, f := range forms {
		if !f.ok(o) {
			return named(f.field, "%s: not of its form", mixPayType)
		}
	}
	if err := o.Amounts.Check(); err != nil {
		return err
	}
	switch {
	case o.Amounts.Reduced != 0:
		return named("cash_reduce_detail", "%s: a reduction, which nobody of ours grants", mixPayType)
	case o.Amounts.Total < 1 || !ofType(mixPayType, o.Amounts):
		return named("total_fee", "%s: not the amounts of this type", mixPayType)
	}
	return nil
}

// located reports longitude,latitude as plain decimals, at most 40 characters together.
func located(s string) bool {
	longitude, latitude, ok := strings.Cut(s, ",")
	return ok && len(s) <= 40 && degrees(longitude, 180) && degrees(latitude, 90)
}

func degrees(s string, most int) bool {
	whole, part, dotted := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if strings.Trim(whole+part, "0123456789") != "" || (dotted && part == "") {
		return false
	}
	n, err := strconv.Atoi(whole)
	return err == nil && n <= most
}

// maxName is how many bytes of a name RSA-OAEP with SHA-1 bears under the shortest key.
const maxName = leastBits/8 - 42

// identified reports whether a person can be told to WeChat.
func identified(p *payment.MixedPerson) bool {
	name := p.Name.Reveal()
	return name != "" && len(name) <= maxName && utf8.ValidString(name) && !p.IDNumber.IsZero()
}

func (c *Client) person(p payment.MixedPerson) mixedPerson {
	return mixedPerson{p.Name.Reveal(), idDigest(p.IDNumber.Reveal()), c.cfg.MedIns.CardType}
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
