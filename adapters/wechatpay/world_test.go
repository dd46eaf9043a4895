package wechatpay_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/adapters/wechatpay/wechatpaysim"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

const (
	testMch    = "1900000109"
	testApp    = "wx0123456789abcdef"
	testSerial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
	testKeyID  = "PUB_KEY_ID_0119000001092026112300000000000001"
	testV3     = "0123456789abcdefghijklmnopqrstuv"
	testOpenID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
	order1     = "TK20261123000001"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	start  = time.Date(2026, 11, 23, 10, 0, 0, 0, clock.Shanghai)
)

func makeKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

var (
	merchantKey = sync.OnceValue(makeKey)
	wechatKey   = sync.OnceValue(makeKey)
)

func privatePEM(key *rsa.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func publicPEM(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// config is a right configuration over that transport.
func config(c clock.Clock, over http.RoundTripper) wechatpay.Config {
	return wechatpay.Config{MchID: testMch, AppID: testApp, MerchantSerial: testSerial,
		MerchantKey: sensitive.NewKey(privatePEM(merchantKey())), PublicKeyID: testKeyID, PublicKey: publicPEM(&wechatKey().PublicKey),
		APIv3Key: sensitive.NewKey(testV3), PayNotifyURL: "https://pay.example.com/callbacks/wechatpay/h1",
		RefundNotifyURL: "https://pay.example.com/callbacks/wechatpay/h1", Clock: c, Source: clock.NewSeeded(c, 3, 7), Transport: over}
}

func newClient(t *testing.T, c clock.Clock, over http.RoundTripper) *wechatpay.Client {
	t.Helper()
	client, err := wechatpay.New(config(c, over))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// world is the client before the simulator: its calendar is fake, its watch is the machine's, as the SDK's is.
type world struct {
	*wechatpay.Client
	t     *testing.T
	sim   *wechatpaysim.Sim
	plan  *sandbox.Plan
	clock *clock.Fake

	mu    sync.Mutex
	inbox []*http.Request // notices, their bodies readable
}

func newWorld(t *testing.T, change ...func(*wechatpaysim.Config)) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewFake(start)}
	plan, err := sandbox.NewPlan(w.clock, "")
	if err != nil {
		t.Fatal(err)
	}
	w.plan = plan
	cfg := wechatpaysim.Config{MchID: testMch, AppIDs: []string{testApp}, APIv3Key: testV3,
		MerchantSerial: testSerial, MerchantKey: &merchantKey().PublicKey, KeyID: testKeyID, Key: wechatKey(), Clock: w.clock,
		Stamp: clock.Real{}, Source: clock.NewSource(w.clock, 5), Plan: plan, Opening: 100_000,
		Notify: sandbox.Transport(http.HandlerFunc(w.callback))}
	for _, c := range change {
		c(&cfg)
	}
	w.sim, err = wechatpaysim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Client = newClient(t, w.clock, sandbox.Transport(w.sim.Handler()))
	return w
}

func (w *world) callback(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	kept := r.Clone(context.Background())
	kept.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inbox = append(w.inbox, kept)
	rw.WriteHeader(http.StatusNoContent)
}

// notice delivers the next notice and returns it as it came.
func (w *world) notice() (http.Header, []byte) {
	w.t.Helper()
	if !w.sim.Step(w.t.Context()) {
		w.t.Fatal("no notice is due")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.inbox[len(w.inbox)-1]
	body, _ := io.ReadAll(last.Body)
	return last.Header, body
}

func anOrder(number string) payment.Prepay {
	return payment.Prepay{OutTradeNo: number, Description: "市一医院-门诊缴费 <A&B>", Attach: "o1", Total: 12345,
		OpenID: sensitive.NewOpenID(testOpenID), ExpiresAt: start.Add(30 * time.Minute).UTC()}
}

func (w *world) built(number string) []byte {
	w.t.Helper()
	body, err := w.BuildPrepay(anOrder(number))
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// tap is the payer tapping pay.
func (w *world) tap(c payment.Cashier) error {
	return w.sim.Pay(w.t.Context(), wechatpaysim.PhonePay{AppID: c.AppID, TimeStamp: c.TimeStamp, NonceStr: c.NonceStr,
		Package: c.Package, SignType: c.SignType, PaySign: c.PaySign, OpenID: testOpenID})
}

// paid makes an order and pays it.
func (w *world) paid(number string) {
	w.t.Helper()
	id, err := w.Prepay(w.t.Context(), w.built(number))
	if err != nil {
		w.t.Fatal(err)
	}
	cashier, err := w.Cashier(id)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.tap(cashier); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) refundBody(number string) []byte {
	w.t.Helper()
	body, err := w.BuildRefund(payment.RefundOrder{OutTradeNo: order1, OutRefundNo: number, Reason: "医院退费", Refund: 345, Total: 12345})
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// signed writes an answer as WeChat Pay does, stamped at that moment.
func signed(w http.ResponseWriter, at time.Time, status int, body string) {
	for k, v := range signature(at, []byte(body)) {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-ID", "08ABCDEF-268435456")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func signature(at time.Time, body []byte) http.Header {
	stamp, nonce := strconv.FormatInt(at.Unix(), 10), "nonce-of-this-answer"
	sum := sha256.Sum256([]byte(stamp + "\n" + nonce + "\n" + string(body) + "\n"))
	raw, err := rsa.SignPKCS1v15(nil, wechatKey(), crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return http.Header{"Wechatpay-Timestamp": {stamp}, "Wechatpay-Nonce": {nonce}, "Wechatpay-Serial": {testKeyID},
		"Wechatpay-Signature": {base64.StdEncoding.EncodeToString(raw)}}
}
