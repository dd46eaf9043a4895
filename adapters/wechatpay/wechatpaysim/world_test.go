package wechatpaysim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

const (
	testMch    = "1900000109"
	testApp    = "wx0123456789abcdef"
	testSerial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
	testKeyID  = "PUB_KEY_ID_0119000001092026112300000000000001"
	testV3     = "0123456789abcdefghijklmnopqrstuv"
	testOpenID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, clock.Shanghai)

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

// world is a simulator, its clock, and a merchant that signs by itself.
type world struct {
	t     *testing.T
	sim   *Sim
	clock *clock.Fake
	cfg   Config
	plan  *sandbox.Plan
	inbox []received // what the merchant's callback saw
	reply int        // what it answers
	mu    sync.Mutex
}

type received struct {
	url    string
	header http.Header
	body   []byte
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewFake(start), reply: http.StatusNoContent}
	source := clock.NewSeeded(w.clock, 7, 42)
	plan, err := sandbox.NewPlan(w.clock, "")
	if err != nil {
		t.Fatal(err)
	}
	w.plan = plan
	w.cfg = Config{MchID: testMch, AppIDs: []string{testApp}, APIv3Key: testV3, MerchantSerial: testSerial,
		MerchantKey: &merchantKey().PublicKey, KeyID: testKeyID, Key: wechatKey(), Clock: w.clock, Source: source, Plan: plan,
		Opening: 1000, Notify: sandbox.Transport(http.HandlerFunc(w.callback))}
	for _, c := range change {
		c(&w.cfg)
	}
	w.open()
	return w
}

// open starts the simulator, or starts it again as after a kill: nothing of the old one is closed or saved.
func (w *world) open() {
	w.t.Helper()
	sim, err := New(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sim = sim
	w.t.Cleanup(func() { _ = sim.Close() })
}

func (w *world) callback(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inbox = append(w.inbox, received{r.URL.String(), r.Header.Clone(), body})
	rw.WriteHeader(w.reply)
}

func (w *world) received() []received {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]received{}, w.inbox...)
}

func sign(key *rsa.PrivateKey, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n") + "\n"))
	raw, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// request is a signed request; tests spoil it where they want.
func (w *world) request(method, uri, body string) *http.Request {
	r := httptest.NewRequest(method, uri, strings.NewReader(body))
	nonce, stamp := w.cfg.Source.Nonce(32), strconv.FormatInt(w.clock.Now().Unix(), 10)
	r.Header.Set("Authorization", authorization(nonce, stamp, sign(merchantKey(), method, uri, stamp, nonce, body)))
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "test")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Wechatpay-Serial", testKeyID)
	return r
}

func authorization(nonce, stamp, signature string) string {
	return fmt.Sprintf(`WECHATPAY2-SHA256-RSA2048 mchid="%s",nonce_str="%s",timestamp="%s",serial_no="%s",signature="%s"`,
		testMch, nonce, stamp, testSerial, signature)
}

// answer is what came back; status 0 stands for a broken connection.
type answer struct {
	status int
	code   string
	number string // the end of Request-ID
	header http.Header
	body   []byte
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("answer %q: %v", a.body, err)
	}
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	response, err := sandbox.Transport(w.sim.Handler()).RoundTrip(r)
	if err != nil {
		return answer{}
	}
	body, _ := io.ReadAll(response.Body)
	a := answer{status: response.StatusCode, header: response.Header, body: body}
	id := response.Header.Get("Request-ID")
	a.number = id[strings.LastIndex(id, "-")+1:]
	var refused struct{ Code string }
	if a.status >= 300 && json.Unmarshal(body, &refused) == nil {
		a.code = refused.Code
	}
	if a.status < 300 && r.URL.Path != "/v3/billdownload/file" {
		h := a.header
		if h.Get("Wechatpay-Serial") != testKeyID || !verify(&wechatKey().PublicKey, h.Get("Wechatpay-Timestamp")+"\n"+
			h.Get("Wechatpay-Nonce")+"\n"+string(body)+"\n", h.Get("Wechatpay-Signature")) {
			w.t.Errorf("%s %s: answer %d is not signed by WeChat", r.Method, r.URL, a.status)
		}
	}
	return a
}

func (w *world) call(method, uri, body string) answer {
	w.t.Helper()
	return w.do(w.request(method, uri, body))
}

// orderBody is a right order; change replaces or (with nil) removes members.
func orderBody(number string, total int64, change map[string]any) string {
	m := map[string]any{"appid": testApp, "mchid": testMch, "description": "门诊缴费", "out_trade_no": number,
		"attach": "a1", "notify_url": "https://pay.example.com/callbacks/wechatpay/h1",
		"amount": map[string]any{"total": total, "currency": "CNY"}, "payer": map[string]any{"openid": testOpenID}}
	return changed(m, change)
}

func refundBody(order, number string, refund, total int64, change map[string]any) string {
	m := map[string]any{"out_trade_no": order, "out_refund_no": number, "reason": "退号",
		"notify_url": "https://pay.example.com/callbacks/wechatpay/h1", "amount": map[string]any{"refund": refund, "total": total,
			"currency": "CNY"}}
	return changed(m, change)
}

func changed(m, change map[string]any) string {
	for k, v := range change {
		if v == nil {
			delete(m, k)
			continue
		}
		m[k] = v
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

const (
	jsapi   = "/v3/pay/transactions/jsapi"
	refunds = "/v3/refund/domestic/refunds"
)

func (w *world) prepay(body string) (string, answer) {
	w.t.Helper()
	a := w.call("POST", jsapi, body)
	var out struct {
		PrepayID string `json:"prepay_id"`
	}
	if a.status == 200 {
		a.into(w.t, &out)
	}
	return out.PrepayID, a
}

// phone is what the mini program gives to wx.requestPayment for that prepay_id.
func phone(prepayID string) PhonePay {
	p := PhonePay{AppID: testApp, TimeStamp: "1795399200", NonceStr: "5K8264ILTKCH16CQ2502SI8ZNMTM67VS", Package: "prepay_id=" + prepayID,
		SignType: "RSA", OpenID: testOpenID}
	p.PaySign = sign(merchantKey(), p.AppID, p.TimeStamp, p.NonceStr, p.Package)
	return p
}

// paid makes an order and pays it.
func (w *world) paid(number string, total int64) {
	w.t.Helper()
	id, a := w.prepay(orderBody(number, total, nil))
	if id == "" {
		w.t.Fatalf("prepay %s: %d %s", number, a.status, a.body)
	}
	if err := w.sim.Pay(context.Background(), phone(id)); err != nil {
		w.t.Fatalf("pay %s: %v", number, err)
	}
}

func (w *world) state(number string) string {
	w.t.Helper()
	a := w.call("GET", "/v3/pay/transactions/out-trade-no/"+number+"?mchid="+testMch, "")
	var out struct {
		TradeState string `json:"trade_state"`
	}
	if a.status != 200 {
		return a.code
	}
	a.into(w.t, &out)
	return out.TradeState
}

func (w *world) close(number string) answer {
	w.t.Helper()
	return w.call("POST", "/v3/pay/transactions/out-trade-no/"+number+"/close", `{"mchid":"`+testMch+`"}`)
}

func (w *world) refundStatus(number string) string {
	w.t.Helper()
	a := w.call("GET", refunds+"/"+number, "")
	if a.status != 200 {
		return a.code
	}
	var out refundAnswer
	a.into(w.t, &out)
	return out.Status
}

// audit checks that the truth adds up.
func (w *world) audit() Truth {
	w.t.Helper()
	truth := w.sim.Truth()
	var net money.Fen
	for _, o := range truth.Orders {
		if o.RefundedFen+o.RefundingFen > o.PaidFen {
			w.t.Errorf("order %s: gave back %v + %v of %v", o.OutTradeNo, o.RefundedFen, o.RefundingFen, o.PaidFen)
		}
		net += o.PaidFen - o.RefundedFen - o.RefundingFen
	}
	if truth.NetFen != net {
		w.t.Errorf("net = %v, want %v", truth.NetFen, net)
	}
	if truth.FeeFen < 0 {
		w.t.Errorf("fees = %v", truth.FeeFen)
	}
	w.sim.mu.Lock()
	defer w.sim.mu.Unlock()
	now := w.clock.Now()
	balance := w.cfg.Opening
	for _, f := range w.sim.allFlows(now) {
		balance += f.amount
	}
	if balance != truth.BalanceFen || balance < 0 {
		w.t.Errorf("flows sum to %v, balance is %v", balance, truth.BalanceFen)
	}
	return truth
}

func compact(b []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return string(b)
	}
	return out.String()
}
