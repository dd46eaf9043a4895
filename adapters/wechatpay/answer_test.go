package wechatpay_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/sandbox"
)

const secret = "secret-of-the-answer" // stands in every body and header; must stand in no error

// refused answers like WeChat Pay outside 2xx: unsigned.
func refused(status int, code, number string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Request-ID", "08ABCDEF-"+number)
		w.Header().Set("X-Secret", secret)
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"code":%q,"message":%q}`, code, secret)
	}
}

// calls are the five calls and what each makes of an answer.
func calls(c *wechatpay.Client, ctx context.Context) map[string]func() error {
	prepay, _ := c.BuildPrepay(anOrder(order1))
	refund, _ := c.BuildRefund(payment.RefundOrder{OutTradeNo: order1, OutRefundNo: "RF1", Refund: 1, Total: 1})
	return map[string]func() error{
		"prepay": func() error { _, err := c.Prepay(ctx, prepay); return err },
		"query":  func() error { _, err := c.Query(ctx, order1); return err },
		"close":  func() error { return c.Close(ctx, order1) },
		"refund": func() error { _, err := c.Refund(ctx, refund); return err },
		"rquery": func() error { _, err := c.QueryRefund(ctx, "RF1"); return err },
		"bill":   func() error { return c.TradeBills().Fetch(ctx, today, nil, keepNothing) },
	}
}

func TestErrorTable(t *testing.T) {
	t.Parallel()
	u, r := payment.ErrUnknown, payment.ErrRejected
	paid, closed, none, noRefund := payment.ErrOrderPaid, payment.ErrOrderClosed, payment.ErrOrderNotExist, payment.ErrRefundNotExist
	tests := []struct {
		status                                     int
		code, number                               string
		prepay, query, close, refund, rquery, bill error
	}{
		{400, "PARAM_ERROR", "1", r, u, r, r, u, r},
		{400, "INVALID_REQUEST", "268498688", r, u, r, r, u, r},
		{400, "APPID_MCHID_NOT_MATCH", "268445527", r, u, r, r, u, r},
		{400, "MCH_NOT_EXISTS", "1", r, u, r, r, u, r},
		{400, "ORDER_CLOSED", "1", closed, u, closed, r, u, r},
		{400, "ORDERCLOSED", "1", closed, u, closed, r, u, r},
		{400, "NO_STATEMENT_EXIST", "1", r, u, r, r, u, nil},
		{400, "STATEMENT_CREATING", "1", r, u, r, r, u, recon.ErrNotReady},
		{401, "SIGN_ERROR", "1", r, u, r, r, u, r},
		{403, "NO_AUTH", "1", r, u, r, r, u, r},
		{403, "OUT_TRADE_NO_USED", "1", paid, u, paid, r, u, r},
		{400, "ORDERPAID", "268449538", paid, u, paid, r, u, r},
		{403, "ORDER_PAID", "1", paid, u, paid, r, u, r},
		{400, "INVALID_REQUEST", "268560650", r, u, paid, r, u, r},
		{403, "NOT_ENOUGH", "1", r, u, r, payment.ErrNotEnough, u, r},
		{403, "RULE_LIMIT", "1", r, u, r, r, u, r},
		{403, "RULELIMIT", "1", r, u, r, r, u, r},
		{403, "TRADE_ERROR", "1", r, u, r, r, u, r},
		{403, "ACCOUNT_ERROR", "1", r, u, r, r, u, r},
		{403, "USER_ACCOUNT_ABNORMAL", "1", r, u, r, r, u, r},
		{404, "ORDER_NOT_EXIST", "268512771", r, none, none, r, u, r},
		{404, "ORDERNOTEXIST", "268512771", r, none, none, r, u, r},
		{404, "RESOURCE_NOT_EXISTS", "1", r, u, r, r, noRefund, r},
		{429, "RATELIMIT_EXCEEDED", "1", u, u, u, u, u, u},
		{429, "FREQUENCY_LIMITED", "1", u, u, u, u, u, u},
		{500, "SYSTEM_ERROR", "1", u, u, u, u, u, u},
		{500, "OPENID_MISMATCH", "1", u, u, u, u, u, u},
		{500, "PARAM_ERROR", "1", u, u, u, u, u, u},
		{502, "SERVICE_UNAVAILABLE", "1", u, u, u, u, u, u},
		{503, "SERVICE_UNAVAILABLE", "1", u, u, u, u, u, u},
		{400, "SOMETHING_NEW", "1", u, u, u, u, u, u},
		{400, "", "1", u, u, u, u, u, u},
		{400, secret, secret, u, u, u, u, u, u},
		{302, "PARAM_ERROR", "1", u, u, u, u, u, u},
	}
	for _, tt := range tests {
		c := newClient(t, clock.NewFake(start), sandbox.Transport(refused(tt.status, tt.code, tt.number)))
		want := map[string]error{"prepay": tt.prepay, "query": tt.query, "close": tt.close, "refund": tt.refund, "rquery": tt.rquery,
			"bill": tt.bill}
		for name, do := range calls(c, t.Context()) {
			err := do()
			if !errors.Is(err, want[name]) || err != nil && want[name] == nil {
				t.Errorf("%s: %d %s = %v, want %v", name, tt.status, tt.code, err, want[name])
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error tells WeChat's words: %v", name, err)
			}
			if err != nil && tt.number != secret && !strings.Contains(err.Error(), "number "+tt.number) {
				t.Errorf("%s: the error lacks the number: %v", name, err)
			}
		}
	}
}

// TestAnswersThatProveNothing: whatever is not a verified, complete answer about our thing is unknown.
func TestAnswersThatProveNothing(t *testing.T) {
	t.Parallel()
	order := `{"appid":"` + testApp + `","mchid":"` + testMch + `","out_trade_no":"` + order1 + `","trade_state":"NOTPAY","amount":{"total":1,"currency":"CNY"}}`
	with := func(old, new string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			signed(w, time.Now(), 200, strings.Replace(order, old, new, 1))
		}
	}
	stamped := func(d time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { signed(w, time.Now().Add(d), 200, order) }
	}
	spoiled := func(name, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			rec := httptest.NewRecorder()
			signed(rec, time.Now(), 200, order)
			rec.Header().Set(name, value)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			_, _ = io.WriteString(w, order)
		}
	}
	body := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { signed(w, time.Now(), status, text) }
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    error // of the query; nil: believed
	}{
		{"right", with("", ""), nil},
		{"a state we do not know", with("NOTPAY", "USERPAYING"), nil},
		{"298 seconds ahead", stamped(298 * time.Second), nil},
		{"240 seconds old", stamped(-240 * time.Second), nil},
		{"360 seconds ahead", stamped(360 * time.Second), payment.ErrUnknown},
		{"301 seconds old", stamped(-301 * time.Second), payment.ErrUnknown},
		{"unsigned", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, order) }, payment.ErrUnknown},
		{"no timestamp", spoiled("Wechatpay-Timestamp", ""), payment.ErrUnknown},
		{"no nonce", spoiled("Wechatpay-Nonce", ""), payment.ErrUnknown},
		{"another serial", spoiled("Wechatpay-Serial", "PUB_KEY_ID_other"), payment.ErrUnknown},
		{"signature probe", spoiled("Wechatpay-Signature", "WECHATPAY/SIGNTEST/abc"), payment.ErrUnknown},
		{"202", body(202, order), payment.ErrUnknown},
		{"204", body(204, ""), payment.ErrUnknown},
		{"not JSON", body(200, "<html>"), payment.ErrUnknown},
		{"empty object", body(200, "{}"), payment.ErrUnknown},
		{"null", body(200, "null"), payment.ErrUnknown},
		{"total as text", with(`"total":1`, `"total":"1"`), payment.ErrUnknown},
		{"negative total", with(`"total":1`, `"total":-1`), payment.ErrUnknown},
		{"another merchant", with(testMch, "1900000000"), payment.ErrUnknown},
		{"another appid", with(testApp, "wxother"), payment.ErrUnknown},
		{"another order", with(order1, "TK0"), payment.ErrUnknown},
		{"no state", with("NOTPAY", ""), payment.ErrUnknown},
		{"paid without number", with("NOTPAY", `SUCCESS","success_time":"2026-11-23T10:00:00+08:00`), payment.ErrUnknown},
		{"paid without time", with("NOTPAY", `SUCCESS","transaction_id":"4200`), payment.ErrUnknown},
		{"paid at an odd time", with("NOTPAY", `SUCCESS","transaction_id":"4200","success_time":"yesterday`), payment.ErrUnknown},
		{"too long", body(200, `{"x":"`+strings.Repeat("x", 1<<20)+`"}`), payment.ErrUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, clock.NewFake(start), sandbox.Transport(tt.handler))
			_, err := c.Query(t.Context(), order1)
			if !errors.Is(err, tt.want) {
				t.Errorf("Query() = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestEmptyAnswersOfOtherCalls(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"{}": "{}", "null": "null", "another number": `{"out_refund_no":"RF2","status":"SUCCESS"}`,
		"no status":               `{"out_refund_no":"RF1","amount":{"refund":1,"total":1}}`,
		"refund above total":      `{"out_refund_no":"RF1","status":"PROCESSING","amount":{"refund":2,"total":1}}`,
		"SUCCESS with empty time": `{"out_refund_no":"RF1","status":"SUCCESS","success_time":"","amount":{"refund":1,"total":1}}`} {
		c := newClient(t, clock.NewFake(start), sandbox.Transport(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			signed(w, time.Now(), 200, answer)
		})))
		for call, do := range calls(c, t.Context()) {
			if err := do(); !errors.Is(err, payment.ErrUnknown) {
				t.Errorf("%s of %s: %v, want unknown", call, name, err)
			}
		}
	}
	c := newClient(t, clock.NewFake(start), sandbox.Transport(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		signed(w, time.Now(), 200, `{"out_refund_no":"RF1","status":"PROCESSING","success_time":"","amount":{"refund":1,"total":1}}`)
	})))
	if got, err := c.QueryRefund(t.Context(), "RF1"); err != nil || got.State != payment.RefundProcessing {
		t.Errorf("PROCESSING with an empty time = %+v, %v", got, err)
	}
	for account, merchant := range map[string]bool{"支付用户零钱": false, "招商银行信用卡0403": false, "": false, "商户基本账户": true, "商户结算银行账户": true} {
		c := newClient(t, clock.NewFake(start), sandbox.Transport(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			signed(w, time.Now(), 200, `{"out_refund_no":"RF1","refund_id":"5","status":"SUCCESS","success_time":"2026-11-26T10:00:00+08:00","user_received_account":"`+account+
				`","amount":{"refund":1,"total":1}}`)
		})))
		if got, err := c.QueryRefund(t.Context(), "RF1"); err != nil || got.ToMerchant != merchant {
			t.Errorf("back to %q = %+v, %v", account, got, err)
		}
	}
}

// failing is a transport that fails.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// breaking is an answer that breaks off.
type breaking struct{}

func (breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	body := io.NopCloser(io.MultiReader(strings.NewReader(`{"prepay`), errReader{}))
	return &http.Response{StatusCode: 200, Header: signature(time.Now(), nil), Body: body, Request: r}, nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestNetworkFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		over http.RoundTripper
		want fault.Kind
	}{
		{"connection refused", failing{&net.OpError{Op: "dial", Err: errors.New(secret)}}, fault.Unavailable},
		{"proxy refused", failing{&net.OpError{Op: "proxyconnect", Err: errors.New(secret)}}, fault.Unavailable},
		{"no such host", failing{&net.DNSError{Err: secret}}, fault.Unavailable},
		{"certificate of another", failing{&tls.CertificateVerificationError{Err: errors.New(secret)}}, fault.Unavailable},
		{"read broken", failing{&net.OpError{Op: "read", Err: errors.New(secret)}}, fault.Unknown},
		{"write broken", failing{&net.OpError{Op: "write", Err: errors.New(secret)}}, fault.Unknown},
		{"EOF", failing{io.EOF}, fault.Unknown},
		{"time-out", failing{context.DeadlineExceeded}, fault.Unknown},
		{"cut answer", breaking{}, fault.Unknown},
	}
	for _, tt := range tests {
		c := newClient(t, clock.NewFake(start), tt.over)
		for name, do := range calls(c, t.Context()) {
			err := do()
			if fault.KindOf(err) != tt.want {
				t.Errorf("%s of %s: %v, want %v", name, tt.name, err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "http")) {
				t.Errorf("%s of %s: the error tells too much: %v", name, tt.name, err)
			}
		}
	}
	c := newClient(t, clock.NewFake(start), failing{io.EOF})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range calls(c, gone) {
		if err := do(); !errors.Is(err, payment.ErrNotSent) {
			t.Errorf("%s after the caller left: %v", name, err)
		}
	}
}

// TestTimeout uses the real clock: a server that never answers.
func TestTimeout(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer server.Close()
	defer close(stop)
	cfg := config(clock.Real{}, nil)
	cfg.BaseURL, cfg.Timeout = server.URL, 50*time.Millisecond
	c, err := wechatpay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := c.BuildPrepay(anOrder(order1))
	if _, err := c.Prepay(t.Context(), body); !errors.Is(err, payment.ErrUnknown) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("Prepay() = %v, want unknown", err)
	}
}
