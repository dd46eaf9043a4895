package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// patience is how long a story on the phone may take, and glance how long a page may take to show something.
const (
	patience = 3 * time.Minute
	glance   = 30 * time.Second
)

// policy is the content security policy that the page must live under, and be sent with.
const policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// chromium finds a browser. Without one the test is skipped, unless REQUIRE_SERVERS says that it must run.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const why = "no Chromium on this machine (Debian: apt-get install chromium)"
	if os.Getenv("REQUIRE_SERVERS") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

// freeBase finds enough free ports in a row for the built-in sandbox. Another program may still be faster; the start then says so.
func freeBase(t *testing.T) int {
	t.Helper()
	for base := 10000 + os.Getpid()%20000; base < 32000; base += ports(2) { // below the ports that the machine gives to outgoing connections
		if open, err := listen(t.Context(), stage{base: base}.addrs()...); err == nil {
			for _, l := range open {
				_ = l.Close()
			}
			return base
		}
	}
	t.Fatal("no free ports in a row")
	return 0
}

func (s stage) addrs() []string {
	var all []string
	for port := range ports(2) {
		all = append(all, s.addr(port))
	}
	return all
}

// road is the network between the phone and the house: it counts Idempotency-Keys, and loses answers when told to.
type road struct {
	mu   sync.Mutex
	lose map[string]int // by method and last word of the path: how many more answers get lost
	keys map[string]int // requests by Idempotency-Key
}

var (
	errLost   = errors.New("the answer is lost")
	errPolicy = errors.New("the page comes without the strict policy")
)

func (r *road) answer(a *http.Response) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := a.Request.Header.Get("Idempotency-Key"); key != "" {
		r.keys[key]++
	}
	call := a.Request.Method + " " + path.Base(a.Request.URL.Path)
	if r.lose[call] > 0 {
		r.lose[call]--
		return errLost
	}
	if a.Request.URL.Path == "/" && a.Header.Get("Content-Security-Policy") != policy {
		return errPolicy
	}
	return nil
}

// most is how often the most repeated request came.
func (r *road) most() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Max(append(slices.Collect(maps.Values(r.keys)), 0))
}

func (r *road) loseNext(call string, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lose[call] = times
}

// openSandbox serves a sandbox of its own and gives the address of its phone page, and the road to it.
func openSandbox(t *testing.T) (string, *road) {
	t.Helper()
	return openSandboxOn(t, "")
}

// openSandboxOn is openSandbox with a database elsewhere.
func openSandboxOn(t *testing.T, dsn string) (string, *road) {
	t.Helper()
	base := freeBase(t)
	ctx, stop := context.WithCancel(context.Background())
	ready, told := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serve(ctx, told, serveFlags{sandbox: true, data: t.TempDir(), dsn: dsn, base: base, json: true})
		_ = told.CloseWithError(fmt.Errorf("the sandbox ended: %w", err))
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the sandbox ended with %v", err)
		}
	})
	var at struct {
		Phone string `json:"phone"`
	}
	if err := json.NewDecoder(ready).Decode(&at); err != nil {
		t.Fatal(err)
	}
	phone, err := url.Parse(at.Phone)
	if err != nil {
		t.Fatal(err)
	}
	way := &road{lose: map[string]int{}, keys: map[string]int{}}
	server := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(phone) }, ModifyResponse: way.answer,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }})
	t.Cleanup(server.Close)
	return server.URL, way
}

// openBrowser starts a browser with a profile of its own.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	program := chromium(t)
	allocator, done := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("lang", "zh-CN"))...)
	t.Cleanup(done)
	browser, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(closeBrowser)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return browser
}

// TestPhone pays on the phone page, in a real browser at the width of a phone, against a sandbox in this process: the stories that a
// patient lives through. The persons are those of configs/sandbox.yaml; a story begins where the one before left its person.
func TestPhone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a browser's stories take more than a minute")
	}
	browser := openBrowser(t)
	phoneURL, way := openSandbox(t)
	story := func(name string, f func(h *hand)) {
		t.Run(name, func(t *testing.T) { f(takePhone(t, browser, phoneURL, name, 390, 844)) })
	}
	story("mixed", func(h *hand) {
		h.enter("zhang")
		h.quote(true)
		total, charge := h.fen("order-total"), h.fen("charge")
		if charge == 0 || charge == total {
			h.t.Fatalf("WeChat is to pay %d of %d fen, want a part", charge, total)
		}
		h.tap("confirm")
		h.password()
		h.fine(total, charge)
	})
	story("insurance-only", func(h *hand) {
		h.enter("li")
		h.quote(true)
		total := h.fen("order-total")
		if charge := h.fen("charge"); charge != 0 {
			h.t.Fatalf("WeChat is to pay %d fen, want nothing", charge)
		}
		h.tap("confirm")
		h.fine(total, 0)
	})
	story("cash-only", func(h *hand) {
		h.enter("wang")
		h.quote(false)
		total := h.fen("order-total")
		h.tap("confirm")
		h.password()
		h.fine(total, total)
	})
	story("insurer refuses", func(h *hand) {
		h.enter("chen")
		h.misbehave("nhsa", "2206", sandbox.Refuse)
		h.quote(true)
		if reason := h.see("refusal"); reason == "" {
			h.t.Error("the refusal has no reason")
		}
		if h.eval(`String(document.querySelector('[data-test="confirm"]').disabled)`) != "true" {
			h.t.Error("cash can be confirmed without having been agreed to")
		}
		total := h.fen("charge")
		h.tap("accept-cash")
		h.tap("confirm")
		h.password()
		h.fine(total, total)
	})
	story("answers lost", func(h *hand) {
		h.enter("liu")
		h.misbehave("wechatpay", "jsapi", sandbox.LoseAfter)
		h.misbehave("wechatpay", "notice", sandbox.LoseBefore)
		h.misbehave("nhsa", "2207", sandbox.LoseAfter)
		h.misbehave("his", "post", sandbox.Refuse)
		h.misbehave("his", "post", sandbox.LoseAfter)
		h.misbehave("nhsa", "2206", sandbox.LateAnswer)
		way.loseNext("POST orders", 1)
		way.loseNext("POST confirm", 1)
		h.quote(true)
		total, charge := h.fen("order-total"), h.fen("charge")
		h.tap("confirm")
		h.password()
		h.see("moving")
		h.shot("moving")
		h.fine(total, charge)
		if n := h.eval(`String(document.querySelectorAll('[data-test="record"]').length)`); n != "1" || way.most() < 2 {
			h.t.Errorf("%s orders, the most repeated request came %d times, want one order in spite of repetition", n, way.most())
		}
	})
	story("reload and bank", func(h *hand) {
		h.enter("wang")
		h.quote(false)
		total := h.fen("order-total")
		h.tap("confirm")
		h.see("cashier-pay")
		h.do("reload", chromedp.Reload())
		h.see("pay")
		h.eval(`location.hash = '#/home'; ''`)
		h.see("live")
		h.shot("live")
		h.tap("live")
		h.sandboxDoor("/h1/wechatpay/bank-refusals", map[string]any{"out_trade_no": "", "times": 1})
		h.tap("pay")
		h.password()
		h.until("the bank's words", `document.querySelector('.password-hint.bad')?.textContent.includes('银行')`)
		h.shot("bank")
		for _, digit := range "135790" {
			h.tap("key-" + string(digit))
		}
		h.fine(total, total)
	})
	story("given up", func(h *hand) {
		h.enter("zhang")
		h.quote(true)
		h.tap("cancel")
		h.see("yes")
		h.shot("dialog")
		h.tap("yes")
		if text := h.over("没有缴费"); !strings.Contains(text, "未扣款") {
			h.t.Errorf("the end of a cancelled order says %q", text)
		}
		h.tap("anew")
		h.see("pay-bill")
	})
	story("registration", func(h *hand) {
		h.enter("zhang")
		h.see("kind")
		if left := h.see("pay-by"); !strings.HasSuffix(left, "后释放号源") {
			h.t.Errorf("the slot's time is told as %q", left)
		}
		h.shot("kinds")
		h.tapKind("挂号费")
		h.pay(true)
		total, charge := h.fen("order-total"), h.fen("charge")
		h.tap("confirm")
		if charge > 0 {
			h.password()
		}
		h.fine(total, charge)
	})
	story("deposit", func(h *hand) {
		h.enter("chen")
		h.tapKind("住院预交金")
		h.see("bill-total")
		if !h.has("banner-info") || h.has("way-insurance") {
			h.t.Error("a deposit can be paid by insurance, or nothing says that it cannot")
		}
		h.pay(false)
		total := h.fen("order-total")
		h.tap("confirm")
		h.password()
		h.fine(total, total)
	})
	story("bills of a visit", func(h *hand) {
		h.visit("h2")
		h.enter("wang")
		total := h.fen("visit-total")
		h.shot("visit")
		h.tap("pay-visit")
		h.see("bill-count")
		if sum := h.fen("bill-total"); sum != total {
			h.t.Errorf("the bills of the visit are %d fen, the list says %d", sum, total)
		}
		h.pay(false)
		h.tap("confirm")
		h.password()
		h.fine(total, total)
	})
	story("paid at the window", func(h *hand) {
		h.enter("zhang")
		h.tap("bill")
		h.see("pay-bill")
		no := h.billInView()
		h.pay(true)
		h.sandboxDoor("/h1/his/bills/"+no+"/window-pay", nil)
		h.tap("confirm")
		if text := h.over("没有缴费"); !strings.Contains(text, "其他渠道") {
			h.t.Errorf("the end says %q and not where the bill was paid", text)
		}
		h.tap("home")
		h.see("empty")
		h.shot("empty")
	})
	story("insurer changes its mind", func(h *hand) {
		h.enter("li")
		h.quote(true)
		h.misbehave("nhsa", "2207", sandbox.Refuse)
		h.tap("confirm")
		h.over("没有缴费")
	})
	story("consent withdrawn", func(h *hand) {
		h.enter("li")
		h.eval(`location.hash = '#/consents'; ''`)
		h.tap("withdraw-insurance")
		h.tap("yes")
		h.until("the consent gone", `document.querySelector('[data-test="consent-insurance"]') && !document.querySelector('[data-test="withdraw-insurance"]')`)
		h.shot("consents")
		h.eval(`location.hash = '#/home'; ''`)
		h.tap("bill")
		h.tap("pay-bill")
		h.until("ask for the consent", `document.querySelector('[data-test="authorise"], [data-test="remedy"]')`)
		if h.has("authorise") {
			h.tap("authorise")
		}
		h.see("remedy")
		h.shot("needed")
		h.tap("remedy")
		h.see("agree")
		h.tap("agree")
		h.until("go on where it was", `document.querySelector('[data-test="authorise"], [data-test="confirm"]')`)
	})
	story("no network", func(h *hand) {
		h.enter("wang")
		way.loseNext("GET bills", 1000) // the browser itself tries some connections again
		h.tap("refresh")
		h.until("that it connects again", `document.querySelector('#notice').textContent.includes('重新连接')`)
		h.shot("notice")
		h.see("problem")
		h.shot("problem")
		way.loseNext("GET bills", 0)
		h.tap("retry")
		h.until("the bills", `document.querySelector('[data-test="bill"], [data-test="empty"]')`)
	})
	story("forty lines", func(h *hand) {
		h.enter("wang")
		h.tap("drawer-open")
		h.see("new-long-bill")
		h.keep("drawer")
		h.tap("new-long-bill")
		h.eval(`document.querySelector('.drawer-close').click(); ''`)
		h.tap("bill")
		h.until("forty lines", `document.querySelectorAll('.line').length === 40`)
		h.shot("bill")
	})
	story("one password", func(h *hand) {
		h.visit("h2")
		h.enter("zhang")
		h.quote(true)
		total, charge := h.fen("order-total"), h.fen("charge")
		if charge == 0 || charge == total {
			h.t.Fatalf("WeChat is to pay %d of %d fen, want a part", charge, total)
		}
		h.tap("confirm")
		h.see("med-cashier-pay")
		if insurer, cash := h.fen("med-insurance"), h.fen("med-cash"); cash != charge || insurer+cash != total {
			h.t.Errorf("the cashier says %d by insurance and %d by WeChat, want %d of %d", insurer, cash, charge, total)
		}
		h.passwordAt("med-cashier-pay")
		h.fine(total, charge)
	})
	story("one password, insurance alone", func(h *hand) {
		h.visit("h2")
		h.enter("li")
		h.quote(true)
		total := h.fen("order-total")
		if charge := h.fen("charge"); charge != 0 {
			h.t.Fatalf("WeChat is to pay %d fen, want nothing", charge)
		}
		h.tap("confirm")
		h.passwordAt("med-cashier-pay")
		h.fine(total, 0)
	})
	story("authorised anew", func(h *hand) {
		h.visit("h2")
		h.enter("chen")
		h.sandboxDoor("/nhsa/refuse", map[string]any{"infno": "6201", "key": "", "text": "授权已过期，请重新授权"})
		h.tap("bill")
		h.tap("pay-bill")
		h.tap("authorise")
		h.tap("nhsa-agree")
		h.see("renew")
		h.shot("renew")
		order := h.eval(`location.hash`)
		h.tap("authorise-again")
		h.tap("nhsa-agree")
		h.see("confirm")
		h.shot("split")
		if now := h.eval(`location.hash`); now != order {
			h.t.Errorf("the order is %s after a new authorisation, was %s", now, order)
		}
		total, charge := h.fen("order-total"), h.fen("charge")
		h.tap("confirm")
		h.passwordAt("med-cashier-pay")
		h.fine(total, charge)
	})
	story("one password, insurer refuses", func(h *hand) {
		h.visit("h2")
		h.enter("zhang")
		h.quote(true)
		h.sandboxDoor("/h2/wechatpay/mixed/cash", map[string]any{"mode": "kept"})
		h.sandboxDoor("/nhsa/centre/refuse", map[string]any{"pay_ord_id": "", "text": "个人账户余额与预结算时不一致"})
		h.tap("confirm")
		h.see("med-cashier-pay")
		h.tap("med-cashier-pay")
		h.see("key-1")
		for _, digit := range "864201" {
			h.tap("key-" + string(digit))
		}
		h.until("the insurer's words", `document.querySelector('.password-hint.bad')?.textContent.includes('医保结算失败')`)
		h.eval(`document.querySelector('[data-test="cashier-close"]').click(); ''`)
		h.over("已退回")
		if back := h.fen("refunded"); back == 0 {
			h.t.Error("the cash that WeChat took did not come back")
		}
	})
	story("given back", func(h *hand) {
		h.bought("zhang", "", true)
		total := h.fen("order-total")
		h.tap("ask-refund")
		h.see("refund-send")
		h.shot("refund")
		h.tap("refund-send")
		h.see("yes")
		h.shot("refund-dialog")
		h.tap("yes")
		h.ends("已全部退费")
		h.shot("given-back")
		if back := h.fen("refund-total"); back != total {
			h.t.Errorf("%d fen went back, want %d", back, total)
		}
		if h.has("ask-refund") {
			h.t.Error("what is given back can be given back again")
		}
		h.eval(`location.hash = '#/records'; ''`)
		if state := h.see("record-state"); state != "已全部退费" {
			h.t.Errorf("the record says %q", state)
		}
	})
	story("given back in part, answers lost", func(h *hand) {
		h.bought("zhang", "", true)
		order := h.eval(`location.hash`)
		h.misbehave("nhsa", "2208", sandbox.LoseAfter)
		h.misbehave("wechatpay", "refund", sandbox.LoseAfter)
		h.misbehave("his", "refund.book", sandbox.LoseAfter)
		way.loseNext("POST refunds", 1)
		h.tap("ask-refund")
		h.tap("refund-part")
		h.tap("refund-line-0")
		h.shot("refund-part")
		h.tap("refund-send")
		h.tap("yes")
		h.until("that it waits for an authorisation or goes on", `document.querySelector('[data-test="authorise-again"], [data-test="refund"]')`)
		h.see("authorise-again")
		h.shot("refund-authorise")
		h.tap("authorise-again")
		h.tap("nhsa-agree")
		h.until("the refund on its way", `document.querySelector('[data-test="refund"]')`)
		h.shot("refunding")
		h.ends("已部分退费")
		h.shot("part-given-back")
		if n := h.eval(`String(document.querySelectorAll('[data-test="refund"]').length)`); n != "1" || h.eval(`location.hash`) != order {
			h.t.Errorf("%s refunds, want one in spite of repetition", n)
		}
	})
	story("given back, handed out", func(h *hand) {
		h.bought("wang", "", false)
		h.press("hand-out")
		h.until("that it is handed out", `document.querySelector('[data-test="said"]').textContent.includes('药已发出')`)
		h.tap("ask-refund")
		h.tap("refund-send")
		h.tap("yes")
		h.until("the refusal", `document.querySelector('[data-test="refund"][data-state="refused"]')`)
		h.shot("refused")
		if text := h.see("refund-text"); !strings.Contains(text, "未予退费") {
			h.t.Errorf("the refusal says %q", text)
		}
	})
	story("given back at the window", func(h *hand) {
		h.bought("wang", "", false)
		h.press("window-gave")
		h.ends("已全部退费")
		h.shot("window-gave-back")
		if text := h.see("refund-text"); !strings.Contains(text, "窗口") {
			h.t.Errorf("the refund says %q", text)
		}
	})
	story("one password, given back in part", func(h *hand) {
		h.bought("zhang", "h2", true)
		h.tap("ask-refund")
		h.tap("refund-part")
		h.tap("refund-line-0")
		h.see("kept-again")
		h.shot("refund-kept")
		if h.eval(`String(document.querySelector('[data-test="refund-send"]').disabled)`) != "true" {
			h.t.Error("the whole can go back without consent")
		}
		h.tap("kept-again")
		h.tap("refund-send")
		h.tap("yes")
		h.ends("已全部退费")
		h.shot("given-back")
		h.eval(`location.hash = '#/home'; ''`)
		h.see("bill")
		h.shot("billed-anew")
	})
	t.Run("desk", func(t *testing.T) {
		h := takePhone(t, browser, phoneURL, "desk", 1280, 800)
		h.enter("zhang")
		h.tap("new-large-bill")
		h.until("the new bill", `document.querySelector('[data-test="bill"]')`)
		h.tap("fault-2207-change_amount")
		h.quote(true)
		total := h.fen("order-total")
		if total != 123456789 {
			t.Errorf("the bill is %d fen", total)
		}
		h.tap("confirm")
		h.password()
		h.until("the money going back", `document.querySelector('[data-test="moving"][data-state="unwinding"], [data-test="result"]')`)
		h.shot("unwinding")
		h.over("已退回")
		if back := h.fen("refunded"); back == 0 {
			t.Error("nothing came back")
		}
		h.until("the fault in the list", `document.querySelector('[data-test="injected"]').textContent.includes('2207')`)
		h.shot("faults")
		h.tap("anew")
		h.see("bill-total")
		h.tap("void-bill")
		h.until("the void bill", `document.querySelector('[data-test="said"]').textContent.includes('作废')`)
		h.tap("pay-bill")
		h.tap("authorise") // the first one has settled, if only to be undone
		h.tap("nhsa-agree")
		h.until("that it is void", `document.querySelector('[data-test="problem"][data-code="BILL_VOID"]')`)
		h.shot("void")
	})
	story("wrong patient", func(h *hand) {
		h.enter("li")
		h.tap("tab-me")
		h.see("more-patients")
		h.shot("me")
		h.tap("more-patients")
		h.fill("field-name", "李小明")
		h.fill("field-id_number", "360103201803200481")
		h.fill("field-phone", "")
		h.tap("add-patient")
		h.until("the API's words about the number", `document.querySelector('#id_number-error')?.textContent.includes('身份证')`)
		h.shot("wrong")
	})
}
