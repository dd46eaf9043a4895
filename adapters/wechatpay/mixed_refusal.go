package wechatpay

import (
	"net/http"
	"strings"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/payment"
)

// mixedRefusals says what a 4xx about a mixed order means (wechat-med-ins.md §g.1, §g.2): by the digits at the end of Request-ID, which are finer
// and win, or by the code, underscores removed. What stands here with nil is known, and decides nothing about the order; nor does what is not here.
var mixedRefusals = map[string]*fault.Error{
	"268529515": payment.ErrMixedNotExist,
	"268512536": payment.ErrMixedExists,
	"268510603": payment.ErrMixedRefused,      // openid of another appid
	"268510604": payment.ErrMixedRefused,      // sub_appid, sub_openid: not sent by a direct merchant
	"268545961": payment.ErrMixedPayer,        // digest
	"268545962": payment.ErrMixedPayer,        // name
	"268545963": payment.ErrMixedNoCredential, // 医保电子凭证
	"268545964": payment.ErrMixedKin,          // 亲情付
	"268547120": payment.ErrMixedAuth,         // pay_auth_no
	"268545967": payment.ErrMixedAuth,         // the bureau knows no such authorisation
	"268510610": payment.ErrMixedInsurer,
	"268529477": payment.ErrMixedRefused, // total
	"268529476": payment.ErrMixedRefused, // cash
	"268529481": payment.ErrMixedRefused, // crossed, or a wrong unit
	"268529474": payment.ErrMixedRefused, // a field that the type forbids
	"268529475": payment.ErrMixedRefused, // a field that the type demands
	"268554200": payment.ErrMixedNoReverse,
	"268554422": payment.ErrMixedNoReverse,
	cannotClose: nil,                     // the password is typed: there is an order, and only a query tells what becomes of it
	"268435461": payment.ErrMixedRefused, // length, type, nesting, time zone

	"PARAMERROR":        payment.ErrMixedRefused,
	"INVALIDREQUEST":    payment.ErrMixedRefused, // any rule of state or identity: no number, no telling the patient which
	"ALREADYEXISTS":     payment.ErrMixedExists,
	"SIGNERROR":         payment.ErrMixedRefused,
	"NOAUTH":            payment.ErrMixedRefused,
	"REQUESTBLOCKED":    payment.ErrMixedRefused,
	"RULELIMIT":         payment.ErrMixedRefused, // unless it is about the rate
	"NOTFOUND":          payment.ErrMixedNotExist,
	"ORDERNOTEXIST":     payment.ErrMixedNotExist,
	"RATELIMITEXCEEDED": nil,
	"FREQUENCYLIMITED":  nil,
}

// rateWords mark a RULE_LIMIT that is about the rate, not about the order.
var rateWords = []string{"too many requests", "rate limit", "频率", "频繁", "限频", "过快"}

// refusedMixed gives a refusal its meaning; nil: it decides nothing. WeChat's words are looked at and never kept.
func refusedMixed(status int, code, number, message string) *fault.Error {
	code = plain(code)
	if status < 400 || status > 499 || status == http.StatusTooManyRequests || (code == "RULELIMIT" && aboutRate(message)) {
		return nil
	}
	if meaning, known := mixedRefusals[number]; known {
		return meaning
	}
	return mixedRefusals[code]
}

// refusedMixedQuery lets one refusal through: that there is no such order.
func refusedMixedQuery(status int, code, number, message string) *fault.Error {
	if refusedMixed(status, code, number, message) == payment.ErrMixedNotExist {
		return payment.ErrMixedNotExist
	}
	return nil
}

func aboutRate(message string) bool {
	message = strings.ToLower(message)
	for _, w := range rateWords {
		if strings.Contains(message, w) {
			return true
		}
	}
	return false
}
