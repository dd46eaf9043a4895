package wechatpay

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/wechatpay-apiv3/wechatpay-go/core"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/payment"
)

// probeMark begins the signature of an answer that WeChat Pay signs wrongly on purpose (签名探测).
const probeMark = "WECHATPAY/SIGNTEST/"

// cannotClose is the numeric code of a close after the password was typed (wechat-med-ins.md): about to be paid.
const cannotClose = "268560650"

// doing names one call: what it is in a log, and what a known refusal of it means.
type doing struct {
	name    string
	refused func(code, number string) *fault.Error // nil: the code says nothing about this call
	// explained takes refused's place in calls about a mixed order, which have a table of their own; nil from it: decides nothing.
	explained func(status int, code, number, message string) *fault.Error
}

// known are the codes of a refusal that WeChat Pay is known to decide by, with underscores removed (wechat-pay.md §2.8). What is
// not here (and 429, and all of 5xx) decides nothing.
var known = map[string]bool{
	"PARAMERROR": true, "INVALIDREQUEST": true, "APPIDMCHIDNOTMATCH": true, "MCHNOTEXISTS": true, "ORDERCLOSED": true,
	"NOSTATEMENTEXIST": true, "STATEMENTCREATING": true, "SIGNERROR": true, "NOAUTH": true, "OUTTRADENOUSED": true,
	"ORDERPAID": true, "NOTENOUGH": true, "RULELIMIT": true, "TRADEERROR": true, "ACCOUNTERROR": true,
	"USERACCOUNTABNORMAL": true, "ORDERNOTEXIST": true, "RESOURCENOTEXISTS": true, "OPENIDMISMATCH": true,
}

// plain is a code as it is compared: without underscores.
func plain(code string) string { return strings.ReplaceAll(code, "_", "") }

func refusedPrepay(code, _ string) *fault.Error {
	switch code {
	case "ORDERPAID", "OUTTRADENOUSED":
		return payment.ErrOrderPaid
	case "ORDERCLOSED":
		return payment.ErrOrderClosed
	default:
		return payment.ErrRejected
	}
}

func refusedClose(code, number string) *fault.Error {
	switch {
	case code == "ORDERNOTEXIST":
		return payment.ErrOrderNotExist
	case number == cannotClose:
		return payment.ErrOrderPaid
	default:
		return refusedPrepay(code, number)
	}
}

func refusedQuery(code, _ string) *fault.Error {
	if code == "ORDERNOTEXIST" {
		return payment.ErrOrderNotExist
	}
	return nil
}

func refusedRefund(code, _ string) *fault.Error {
	if code == "NOTENOUGH" {
		return payment.ErrNotEnough
	}
	return payment.ErrRejected
}

func refusedRefundQuery(code, _ string) *fault.Error {
	if code == "RESOURCENOTEXISTS" {
		return payment.ErrRefundNotExist
	}
	return nil
}

// exchange runs one call under its own deadline and reads a verified answer of that status into out (nil: nothing to read). Every
// error is a sentinel of package payment with a cause of our own words.
func (c *Client) exchange(ctx context.Context, what doing, status int, out any,
	call func(context.Context) (*core.APIResult, error)) error {
	if ctx.Err() != nil {
		return payment.ErrNotSent.Because(fmt.Errorf("%s: given up before", what.name))
	}
	ctx, cancel := c.cfg.Clock.WithDeadline(ctx, c.timeout())
	defer cancel()
	ctx, sent := watched(ctx)
	result, err := call(ctx)
	if err != nil {
		return explain(what, result, err, sent)
	}
	if result.Response.StatusCode != status { // 202: accepted, not done
		return payment.ErrUnknown.Because(fmt.Errorf("%s: status %d", what.name, result.Response.StatusCode))
	}
	if out == nil {
		return nil
	}
	if core.UnMarshalResponse(result.Response, out) != nil {
		return unreadable(what.name, "not the JSON expected")
	}
	return nil
}

// unreadable is a verified answer that does not say what it should.
func unreadable(name, why string) error {
	return payment.ErrUnknown.Because(fmt.Errorf("%s: answer %s", name, why))
}

// explain gives an error of the SDK its kind. Only what surely never left is "not sent"; only a known code in a 4xx is a refusal.
func explain(what doing, result *core.APIResult, err error, sent *atomic.Bool) error {
	api, answered := errors.AsType[*core.APIError](err)
	switch {
	case answered:
		return refusal(what, api)
	case !sent.Load() || neverLeft(err):
		return payment.ErrNotSent.Because(fmt.Errorf("%s: not sent", what.name))
	case result != nil && result.Response != nil && result.Response.StatusCode >= 200 && result.Response.StatusCode < 300:
		why := "verification failed"
		if strings.HasPrefix(result.Response.Header.Get("Wechatpay-Signature"), probeMark) {
			why = "signature probe"
		}
		return payment.ErrUnknown.Because(fmt.Errorf("%s: status %d, %s, number %s", what.name, result.Response.StatusCode, why,
			numberOf(result.Response.Header)))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return payment.ErrUnknown.Because(fmt.Errorf("%s: no answer in time", what.name))
	default:
		return payment.ErrUnknown.Because(fmt.Errorf("%s: connection broken", what.name))
	}
}

func refusal(what doing, api *core.APIError) error {
	code, number := plain(api.Code), numberOf(api.Header)
	cause := fmt.Errorf("%s: status %d, code %s, number %s", what.name, api.StatusCode, printable(api.Code), number)
	if what.explained != nil {
		if meaning := what.explained(api.StatusCode, api.Code, number, api.Message); meaning != nil {
			return meaning.Because(cause)
		}
		return payment.ErrUnknown.Because(cause)
	}
	if api.StatusCode < 400 || api.StatusCode > 499 || api.StatusCode == http.StatusTooManyRequests || !known[code] {
		return payment.ErrUnknown.Because(cause)
	}
	if meaning := what.refused(code, number); meaning != nil {
		return meaning.Because(cause)
	}
	return payment.ErrUnknown.Because(cause)
}

// neverLeft reports whether the connection was never made, so that no byte of the request can have left.
func neverLeft(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// numberOf is the finer numeric code that ends WeChat's Request-ID, or "-".
func numberOf(h http.Header) string {
	id := h.Get("Request-Id")
	number := id[strings.LastIndex(id, "-")+1:]
	if number == "" || len(number) > 12 || strings.Trim(number, "0123456789") != "" {
		return "-"
	}
	return number
}

// printable is a code as it may stand in a log: it comes from outside, unsigned.
func printable(code string) string {
	if code == "" || len(code) > 64 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" {
		return "unreadable"
	}
	return code
}

// post sends stored bytes as they are.
func (c *Client) post(ctx context.Context, what doing, path string, status int, body []byte, out any) error {
	return c.exchange(ctx, what, status, out, func(ctx context.Context) (*core.APIResult, error) {
		return c.api.Post(ctx, apiBase+path, body)
	})
}

func (c *Client) get(ctx context.Context, what doing, path string, out any) error {
	return c.exchange(ctx, what, http.StatusOK, out, func(ctx context.Context) (*core.APIResult, error) {
		return c.api.Get(ctx, apiBase+path)
	})
}

// encode writes a request body. Its parts are strings and numbers, which always can be written.
func encode(v any) []byte {
	body, _ := json.Marshal(v)
	return body
}
