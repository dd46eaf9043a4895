package wechatpay_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestOneOrderFromPrepayToRefund(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	body := w.built(order1)
	id, err := w.Prepay(ctx, body)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.Prepay(ctx, body); err != nil || again != id {
		t.Errorf("the same bytes again = %q, %v, want %q", again, err, id)
	}
	got, err := w.Query(ctx, order1)
	if err != nil {
		t.Fatal(err)
	}
	want := payment.Transaction{OutTradeNo: order1, State: payment.NotPay, Total: 12345, Currency: "CNY"}
	if diff := cmp.Diff(want, got, cmp.Comparer(sensitive.OpenID.Equal)); diff != "" {
		t.Errorf("unpaid (-want +got):\n%s", diff)
	}
	cashier, err := w.Cashier(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.tap(cashier); err != nil {
		t.Fatalf("the phone refuses the cashier's arguments: %v", err)
	}
	if got, err = w.Query(ctx, order1); err != nil {
		t.Fatal(err)
	}
	want = payment.Transaction{OutTradeNo: order1, TransactionID: got.TransactionID, State: payment.Success, Total: 12345, Currency: "CNY",
		OpenID: sensitive.NewOpenID(testOpenID), PaidAt: start.UTC()}
	if diff := cmp.Diff(want, got, cmp.Comparer(sensitive.OpenID.Equal)); diff != "" || got.TransactionID == "" {
		t.Errorf("paid (-want +got):\n%s", diff)
	}
	if err := w.Close(ctx, order1); !errors.Is(err, payment.ErrOrderPaid) {
		t.Errorf("close: %v", err)
	}
	if _, err := w.Prepay(ctx, body); !errors.Is(err, payment.ErrOrderPaid) {
		t.Errorf("prepay of a paid order: %v", err)
	}
	refund := w.refundBody("RF1")
	status, err := w.Refund(ctx, refund)
	if err != nil || status.State != payment.RefundProcessing || status.Refund != 345 || status.Total != 12345 || status.OutTradeNo != order1 {
		t.Errorf("refund = %+v, %v", status, err)
	}
	w.clock.Advance(time.Hour)
	status, err = w.Refund(ctx, refund)
	if err != nil || status.State != payment.RefundSuccess {
		t.Errorf("the same refund again = %+v, %v", status, err)
	}
	status, err = w.QueryRefund(ctx, "RF1")
	if err != nil || status.State != payment.RefundSuccess || !status.SucceededAt.Equal(start.Add(5*time.Minute)) {
		t.Errorf("refund query = %+v, %v", status, err)
	}
	if got, err = w.Query(ctx, order1); err != nil || got.State != payment.TradeRefunded || got.PaidAt.IsZero() {
		t.Errorf("after the refund = %+v, %v", got, err)
	}
	if truth := w.sim.Truth(); truth.PaidFen != 12345 || truth.RefundedFen != 345 {
		t.Errorf("truth = %+v", truth)
	}
}

func TestClosedAndMissing(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	if _, err := w.Query(ctx, order1); !errors.Is(err, payment.ErrOrderNotExist) {
		t.Errorf("query: %v", err)
	}
	if err := w.Close(ctx, order1); !errors.Is(err, payment.ErrOrderNotExist) {
		t.Errorf("close: %v", err)
	}
	if _, err := w.QueryRefund(ctx, "RF1"); !errors.Is(err, payment.ErrRefundNotExist) {
		t.Errorf("refund query: %v", err)
	}
	if _, err := w.Refund(ctx, w.refundBody("RF1")); !errors.Is(err, payment.ErrRejected) {
		t.Errorf("refund: %v", err)
	}
	body := w.built(order1)
	if _, err := w.Prepay(ctx, body); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(ctx, order1); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := w.Prepay(ctx, body); !errors.Is(err, payment.ErrOrderClosed) {
		t.Errorf("prepay of a closed order: %v", err)
	}
	if got, err := w.Query(ctx, order1); err != nil || got.State != payment.TradeClosed {
		t.Errorf("closed = %+v, %v", got, err)
	}
}

// TestLostAnswers loses messages on every call, before and after the effect: the answer is unknown, and the truth is what a query finds.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	ops := []struct {
		op   string
		do   func(w *world) error
		done func(w *world) bool
	}{
		{"jsapi", func(w *world) error { _, err := w.Prepay(w.t.Context(), w.built("TK20261123000002")); return err },
			func(w *world) bool { return len(w.sim.Truth().Orders) == 2 }},
		{"close", func(w *world) error { return w.Close(w.t.Context(), "TK20261123000003") },
			func(w *world) bool {
				got, err := w.Query(w.t.Context(), "TK20261123000003")
				return err == nil && got.State == payment.TradeClosed
			}},
		{"refund", func(w *world) error { _, err := w.Refund(w.t.Context(), w.refundBody("RF1")); return err },
			func(w *world) bool { _, err := w.QueryRefund(w.t.Context(), "RF1"); return err == nil }},
		{"query", func(w *world) error { _, err := w.Query(w.t.Context(), order1); return err }, nil},
		{"refund_query", func(w *world) error { _, err := w.QueryRefund(w.t.Context(), "RF0"); return err }, nil},
	}
	faults := map[sandbox.Fault]bool{sandbox.LoseBefore: false, sandbox.LoseAfter: true, sandbox.ErrorBefore: false,
		sandbox.ErrorAfter: true, sandbox.Garbage: true}
	for _, op := range ops {
		for f, done := range faults {
			t.Run(op.op+" "+string(f), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.paid(order1)
				if op.op == "close" {
					if _, err := w.Prepay(t.Context(), w.built("TK20261123000003")); err != nil {
						t.Fatal(err)
					}
				}
				w.plan.Script(sandbox.Script{Op: op.op, Fault: f})
				err := op.do(w)
				if !errors.Is(err, payment.ErrUnknown) || fault.KindOf(err) != fault.Unknown {
					t.Errorf("error = %v, want unknown", err)
				}
				if op.done != nil && op.done(w) != done {
					t.Errorf("done = %v, want %v", !done, done)
				}
				if op.done == nil {
					return
				}
				if err := op.do(w); err != nil || !op.done(w) { // the same bytes again
					t.Errorf("again: %v", err)
				}
			})
		}
	}
}

func TestScriptedRefusals(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.plan.Script(sandbox.Script{Op: "jsapi", Fault: sandbox.Refuse}, sandbox.Script{Op: "refund", Fault: sandbox.Refuse},
		sandbox.Script{Op: "query", Fault: sandbox.ChangeAmount})
	if _, err := w.Prepay(ctx, w.built(order1)); !errors.Is(err, payment.ErrRejected) {
		t.Errorf("prepay: %v", err)
	}
	w.paid(order1)
	if _, err := w.Refund(ctx, w.refundBody("RF1")); !errors.Is(err, payment.ErrNotEnough) {
		t.Errorf("refund: %v", err)
	}
	if got, err := w.Query(ctx, order1); err != nil || got.Total != 12346 {
		t.Errorf("query = %+v, %v, want the other amount told as it is", got, err)
	}
	w.sim.Probe(1)
	_, err := w.Query(ctx, order1)
	if !errors.Is(err, payment.ErrUnknown) || !strings.Contains(err.Error(), "signature probe") {
		t.Errorf("probe: %v", err)
	}
	if _, err := w.Query(ctx, order1); err != nil {
		t.Errorf("after the probe: %v", err)
	}
}

// TestBytesOnTheWire keeps every request as it left, but for what is fresh each time.
func TestBytesOnTheWire(t *testing.T) {
	t.Parallel()
	var wire strings.Builder
	var sent [][]byte
	over := sandbox.Transport(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, body)
		fmt.Fprintf(&wire, "%s %s\nHost: %s\nContent-Type: %s\nWechatpay-Serial: %s\n%s\n\n", r.Method, r.RequestURI, r.Host,
			r.Header.Get("Content-Type"), r.Header.Get("Wechatpay-Serial"), body)
		signed(rw, time.Now(), 200, `{"prepay_id":"wx1"}`)
	}))
	c := newClient(t, clock.NewFake(start), over)
	ctx := t.Context()
	body, err := c.BuildPrepay(anOrder("TK-2026_1123"))
	if err != nil {
		t.Fatal(err)
	}
	refund, err := c.BuildRefund(payment.RefundOrder{OutTradeNo: order1, OutRefundNo: "RF1", Reason: "医院退费", Refund: 345, Total: 12345})
	if err != nil {
		t.Fatal(err)
	}
	spaced := append([]byte(" <&> "), body...) // whatever was stored is sent
	_, _ = c.Prepay(ctx, body)
	_, _ = c.Prepay(ctx, spaced)
	_, _ = c.Refund(ctx, refund)
	_, _ = c.Query(ctx, "TK|*1_-")
	_ = c.Close(ctx, order1)
	_, _ = c.QueryRefund(ctx, "RF@1")
	_ = c.TradeBills().Fetch(ctx, today, nil, keepNothing)
	_ = c.FundBills().Fetch(ctx, today, nil, keepNothing)
	golden(t, "requests.txt", []byte(wire.String()))
	if string(sent[0]) != string(body) || string(sent[1]) != string(spaced) || string(sent[2]) != string(refund) {
		t.Error("stored bytes were changed on their way")
	}
}

func TestBaseURLAndRedirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := httptest.NewServer(http.StripPrefix("/wxpay", w.sim.Handler()))
	defer server.Close()
	cfg := config(w.clock, nil)
	cfg.BaseURL = server.URL + "/wxpay/"
	c, err := wechatpay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Prepay(t.Context(), w.built(order1)); err != nil {
		t.Errorf("prepay over HTTP: %v", err)
	}
	if _, err := c.Query(t.Context(), "T|*1_-234"); !errors.Is(err, payment.ErrOrderNotExist) {
		t.Errorf("an escaped number over HTTP: %v", err)
	}
	server.Close()
	_, err = c.Prepay(t.Context(), w.built(order1))
	if !errors.Is(err, payment.ErrNotSent) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("connection refused: %v", err)
	}
	hits := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer elsewhere.Close()
	cfg.BaseURL = elsewhere.URL
	if c, err = wechatpay.New(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Prepay(t.Context(), w.built(order1)); !errors.Is(err, payment.ErrUnknown) || hits != 1 {
		t.Errorf("redirect: %v after %d requests", err, hits)
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := new(big.Int).SetString(testSerial, 16)
	certificate := func(key *rsa.PrivateKey) string {
		template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: testMch}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	tests := []struct {
		name   string
		change func(c *wechatpay.Config)
		want   string // in the error; empty: accepted
	}{
		{"right", func(*wechatpay.Config) {}, ""},
		{"with certificate", func(c *wechatpay.Config) { c.MerchantCertificate = certificate(merchantKey()) }, ""},
		{"certificate instead of serial", func(c *wechatpay.Config) {
			c.MerchantSerial, c.MerchantCertificate = "", certificate(merchantKey())
		}, ""},
		{"both APIv3 keys", func(c *wechatpay.Config) { c.OldAPIv3Key = c.APIv3Key }, ""},
		{"neither serial nor certificate", func(c *wechatpay.Config) { c.MerchantSerial = "" }, "MerchantSerial or"},
		{"another key's certificate", func(c *wechatpay.Config) { c.MerchantCertificate = certificate(wechatKey()) }, "does not belong"},
		{"another serial", func(c *wechatpay.Config) {
			c.MerchantSerial, c.MerchantCertificate = "AA", certificate(merchantKey())
		}, "not that of"},
		{"certificate no PEM", func(c *wechatpay.Config) { c.MerchantCertificate = "x" }, "not PEM"},
		{"certificate no certificate", func(c *wechatpay.Config) { c.MerchantCertificate = publicPEM(&wechatKey().PublicKey) }, "not a certificate"},
		{"no merchant", func(c *wechatpay.Config) { c.MchID = "" }, "MchID"},
		{"no clock", func(c *wechatpay.Config) { c.Clock = nil }, "Clock"},
		{"platform certificate's serial as key id", func(c *wechatpay.Config) { c.PublicKeyID = testSerial }, "PUB_KEY_ID_"},
		{"APIv3 key of 31", func(c *wechatpay.Config) { c.APIv3Key = sensitive.NewKey(testV3[1:]) }, "32 bytes"},
		{"APIv3 key of 16", func(c *wechatpay.Config) { c.APIv3Key = sensitive.NewKey(testV3[16:]) }, "32 bytes"},
		{"old APIv3 key of 24", func(c *wechatpay.Config) { c.OldAPIv3Key = sensitive.NewKey(testV3[8:]) }, "32 bytes"},
		{"http notice", func(c *wechatpay.Config) { c.PayNotifyURL = "http://pay.example.com/" }, "https"},
		{"notice with query", func(c *wechatpay.Config) { c.RefundNotifyURL += "?a=1" }, "https"},
		{"no merchant key", func(c *wechatpay.Config) { c.MerchantKey = sensitive.Key{} }, "PKCS"},
		{"weak merchant key", func(c *wechatpay.Config) { c.MerchantKey = sensitive.NewKey(privatePEM(weak)) }, "2048"},
		{"weak public key", func(c *wechatpay.Config) { c.PublicKey = publicPEM(&weak.PublicKey) }, "2048"},
		{"certificate as public key", func(c *wechatpay.Config) { c.PublicKey = certificate(wechatKey()) }, "PublicKey"},
		{"own key as WeChat's", func(c *wechatpay.Config) { c.PublicKey = publicPEM(&merchantKey().PublicKey) }, "merchant's own"},
		{"base without host", func(c *wechatpay.Config) { c.BaseURL = "localhost" }, "BaseURL"},
		{"base with query", func(c *wechatpay.Config) { c.BaseURL = "http://h/?q" + "=1" }, "BaseURL"},
	}
	for _, tt := range tests {
		cfg := config(clock.NewFake(start), nil)
		tt.change(&cfg)
		_, err := wechatpay.New(cfg)
		if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestBuildRefusesWhatWeChatWould(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for field, spoil := range map[string][]func(p *payment.Prepay){
		"out_trade_no": {func(p *payment.Prepay) { p.OutTradeNo = "12345" }, func(p *payment.Prepay) { p.OutTradeNo = strings.Repeat("1", 33) },
			func(p *payment.Prepay) { p.OutTradeNo = "TK 123" }},
		"description": {func(p *payment.Prepay) { p.Description = "" }, func(p *payment.Prepay) { p.Description = strings.Repeat("诊", 128) },
			func(p *payment.Prepay) { p.Description = "😀" }, func(p *payment.Prepay) { p.Description = "a`b" },
			func(p *payment.Prepay) { p.Description = "\xff" }},
		"attach":       {func(p *payment.Prepay) { p.Attach = "a\nb" }, func(p *payment.Prepay) { p.Attach = strings.Repeat("a", 129) }},
		"amount.total": {func(p *payment.Prepay) { p.Total = 0 }, func(p *payment.Prepay) { p.Total = -1 }, func(p *payment.Prepay) { p.Total = 1 << 60 }},
		"payer.openid": {func(p *payment.Prepay) { p.OpenID = sensitive.OpenID{} }},
	} {
		for i, one := range spoil {
			p := anOrder(order1)
			one(&p)
			_, err := w.BuildPrepay(p)
			wrong, ok := errors.AsType[*fault.Error](err)
			if !ok || wrong.Field != field || wrong.Kind != fault.Invalid {
				t.Errorf("%s %d: %v", field, i, err)
			}
		}
	}
	for field, r := range map[string]payment.RefundOrder{
		"out_trade_no":  {OutTradeNo: "1", OutRefundNo: "R", Refund: 1, Total: 1},
		"out_refund_no": {OutTradeNo: order1, OutRefundNo: "", Refund: 1, Total: 1},
		"reason":        {OutTradeNo: order1, OutRefundNo: "R", Refund: 1, Total: 1, Reason: strings.Repeat("退", 27)},
		"amount.refund": {OutTradeNo: order1, OutRefundNo: "R", Refund: 2, Total: 1},
	} {
		_, err := w.BuildRefund(r)
		if wrong, ok := errors.AsType[*fault.Error](err); !ok || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := w.Cashier(""); !errors.Is(err, wechatpay.ErrRequest) {
		t.Errorf("cashier of nothing: %v", err)
	}
	if _, err := w.Refund(t.Context(), []byte("{}")); !errors.Is(err, wechatpay.ErrRequest) {
		t.Errorf("refund of nothing: %v", err)
	}
	p := anOrder(order1)
	p.ExpiresAt = time.Time{}
	if body, err := w.BuildPrepay(p); err != nil || strings.Contains(string(body), "time_expire") {
		t.Errorf("without expiry: %s, %v", body, err)
	}
}
