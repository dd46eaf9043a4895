package wechatpaysim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/money"
)

// prepayRequest is the body of POST /v3/pay/transactions/jsapi. Parts that this simulator only compares stay as they came.
type prepayRequest struct {
	AppID         string          `json:"appid"`
	MchID         string          `json:"mchid"`
	Description   string          `json:"description"`
	OutTradeNo    string          `json:"out_trade_no"`
	TimeExpire    string          `json:"time_expire,omitempty"`
	Attach        string          `json:"attach,omitempty"`
	NotifyURL     string          `json:"notify_url"`
	GoodsTag      string          `json:"goods_tag,omitempty"`
	LimitPay      json.RawMessage `json:"limit_pay,omitempty"`
	SupportFapiao bool            `json:"support_fapiao,omitempty"`
	Amount        orderAmount     `json:"amount"`
	Payer         payer           `json:"payer"`
	Detail        json.RawMessage `json:"detail,omitempty"`
	SceneInfo     json.RawMessage `json:"scene_info,omitempty"`
	SettleInfo    json.RawMessage `json:"settle_info,omitempty"`
}

type orderAmount struct {
	Total    money.Fen `json:"total"`
	Currency string    `json:"currency,omitempty"`
}

type payer struct {
	OpenID string `json:"openid"`
}

// refundRequest is the body of POST /v3/refund/domestic/refunds.
type refundRequest struct {
	TransactionID string          `json:"transaction_id,omitempty"`
	OutTradeNo    string          `json:"out_trade_no,omitempty"`
	OutRefundNo   string          `json:"out_refund_no"`
	Reason        string          `json:"reason,omitempty"`
	NotifyURL     string          `json:"notify_url,omitempty"`
	FundsAccount  string          `json:"funds_account,omitempty"`
	Amount        refundAmount    `json:"amount"`
	GoodsDetail   json.RawMessage `json:"goods_detail,omitempty"`
}

type refundAmount struct {
	Refund   money.Fen       `json:"refund"`
	Total    money.Fen       `json:"total"`
	Currency string          `json:"currency"`
	From     json.RawMessage `json:"from,omitempty"`
}

// fields names what an object may hold; a nil value is a leaf. Everything else is refused, as WeChat Pay does.
type fields map[string]fields

var prepayFields = fields{
	"appid": nil, "mchid": nil, "description": nil, "out_trade_no": nil, "time_expire": nil, "attach": nil, "notify_url": nil,
	"goods_tag": nil, "limit_pay": nil, "support_fapiao": nil,
	"amount": {"total": nil, "currency": nil},
	"payer":  {"openid": nil},
	"detail": {"cost_price": nil, "invoice_id": nil, "goods_detail": {"merchant_goods_id": nil, "wechatpay_goods_id": nil,
		"goods_name": nil, "quantity": nil, "unit_price": nil}},
	"scene_info": {"payer_client_ip": nil, "device_id": nil, "store_info": {"id": nil, "name": nil, "area_code": nil,
		"address": nil}},
	"settle_info": {"profit_sharing": nil},
}

var closeFields = fields{"mchid": nil}

var refundFields = fields{
	"transaction_id": nil, "out_trade_no": nil, "out_refund_no": nil, "reason": nil, "notify_url": nil, "funds_account": nil,
	"amount": {"refund": nil, "total": nil, "currency": nil, "from": {"account": nil, "amount": nil}},
	"goods_detail": {"merchant_goods_id": nil, "wechatpay_goods_id": nil, "goods_name": nil, "unit_price": nil,
		"refund_amount": nil, "refund_quantity": nil},
}

// read decodes a body that holds one object with known fields only, without null and without characters of four bytes.
func read(body []byte, known fields, into any) *refusal {
	if !utf8.Valid(body) {
		return paramError("请求体不是UTF-8编码")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return paramError("请求体不是JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return paramError("请求体不是JSON")
	}
	if _, object := tree.(map[string]any); !object {
		return paramError("请求体不是JSON对象")
	}
	if no := inspect(tree, known); no != nil {
		return no
	}
	if err := json.Unmarshal(canonical(body), into); err != nil {
		return paramError("参数类型错误")
	}
	return nil
}

// canonical writes valid JSON the way the journal does, so that parts kept as they came compare equal after a restart.
func canonical(body []byte) []byte {
	var compact, escaped bytes.Buffer
	_ = json.Compact(&compact, body) // was decoded before
	json.HTMLEscape(&escaped, compact.Bytes())
	return escaped.Bytes()
}

// inspect walks the tree beside the names that are allowed in it.
func inspect(node any, known fields) *refusal {
	switch v := node.(type) {
	case nil:
		return paramError("参数值不能为null")
	case string:
		if strings.IndexFunc(v, func(r rune) bool { return r > 0xFFFF }) >= 0 {
			return paramError("不支持四字节的UTF-8字符")
		}
	case []any:
		for _, one := range v {
			if no := inspect(one, known); no != nil {
				return no
			}
		}
	case map[string]any:
		for name, value := range v {
			inner, ok := known[name]
			if !ok {
				return paramError("存在未定义的参数")
			}
			if no := inspect(value, inner); no != nil {
				return no
			}
		}
	}
	return nil
}

const (
	orderNumberSigns  = "_-|*"
	refundNumberSigns = "_-|*@"
)

// number reports whether s is a merchant's number: letters, digits and these signs only, of a length from least to most.
func number(s string, least, most int, signs string) bool {
	if len(s) < least || len(s) > most {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte(signs, c) < 0 {
			return false
		}
	}
	return true
}

// text reports whether s has from least to most characters.
func text(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return n >= least && n <= most
}

// notifyURL reports whether WeChat Pay would call there: https, a host, no query, no fragment, no user.
func notifyURL(s string, most int) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= most && u.Scheme == "https" && u.Host != "" && u.RawQuery == "" && !u.ForceQuery &&
		u.Fragment == "" && u.User == nil
}

// check finds what is wrong with the request in itself.
func (p prepayRequest) check(known func(openid string) bool, now time.Time) *refusal {
	switch {
	case !text(p.Description, 1, 127):
		return paramError("description长度为1至127个字符")
	case !number(p.OutTradeNo, 6, 32, orderNumberSigns):
		return paramError("out_trade_no为6至32个字符，只能是数字、大小写字母_-|*")
	case !text(p.Attach, 0, 128) || !text(p.GoodsTag, 0, 32):
		return paramError("attach或goods_tag过长")
	case !notifyURL(p.NotifyURL, 255):
		return paramError("notify_url须为https地址且不带参数，最长255")
	case p.Amount.Total < 1 || p.Amount.Total > money.Max:
		return paramError("amount.total须大于0")
	case p.Amount.Currency != "" && p.Amount.Currency != "CNY":
		return paramError("amount.currency只支持CNY")
	case !text(p.Payer.OpenID, 1, 128):
		return paramError("无效的openid").numbered(268501013)
	case known != nil && !known(p.Payer.OpenID):
		return refuse(500, "OPENID_MISMATCH", "openid和appid不匹配")
	}
	if p.TimeExpire == "" {
		return nil
	}
	end, err := time.Parse(time.RFC3339, p.TimeExpire)
	if err != nil || !end.After(now) || end.After(now.AddDate(0, 0, 90)) {
		return paramError("time_expire格式有误，或不在当前时间之后的90天内")
	}
	return nil
}

// check finds what is wrong with the request in itself.
func (r refundRequest) check() *refusal {
	switch {
	case r.TransactionID == "" && r.OutTradeNo == "":
		return paramError("transaction_id和out_trade_no须填写一个")
	case len(r.TransactionID) > 32 || len(r.OutTradeNo) > 32:
		return paramError("transaction_id或out_trade_no过长")
	case !number(r.OutRefundNo, 1, 64, refundNumberSigns):
		return paramError("out_refund_no为1至64个字符，只能是数字、大小写字母_-|*@")
	case !text(r.Reason, 0, 80):
		return paramError("reason最长80个字符")
	case r.NotifyURL != "" && !notifyURL(r.NotifyURL, 256):
		return paramError("notify_url须为https地址且不带参数，最长256")
	case r.FundsAccount != "" && r.FundsAccount != "AVAILABLE":
		return paramError("funds_account只支持AVAILABLE")
	case r.Amount.Refund < 1 || r.Amount.Total < 1:
		return paramError("amount.refund和amount.total须大于0")
	case r.Amount.Currency != "CNY":
		return paramError("amount.currency只支持CNY")
	}
	return nil
}
