package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tuoka/tuoka/internal/clock"
)

// patience is how long a story on the phone may take, and glance how long a page may take to show something.
const (
	patience = 3 * time.Minute
	glance   = 30 * time.Second
)

// policy is the strictest content security policy that the page must live under.
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

// freeBase finds eight free ports in a row. Another program may still be faster; the start then says so.
func freeBase(t *testing.T) int {
	t.Helper()
	for base := 20000 + os.Getpid()%20000; base < 60000; base += 8 {
		if open, err := listen(t.Context(), stage{base: base}.addrs()...); err == nil {
			for _, l := range open {
				_ = l.Close()
			}
			return base
		}
	}
	t.Fatal("no eight free ports")
	return 0
}

func (s stage) addrs() []string {
	var all []string
	for port := apiPort; port <= hisPort; port++ {
		all = append(all, s.addr(port))
	}
	return all
}

// openSandbox serves a sandbox of its own and gives the address of its phone page, under the strict policy.
func openSandbox(t *testing.T) string {
	t.Helper()
	base := freeBase(t)
	ctx, stop := context.WithCancel(context.Background())
	ready, told := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serve(ctx, told, serveFlags{sandbox: true, data: t.TempDir(), base: base, json: true})
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
	strict := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(phone) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Content-Security-Policy", policy)
			return nil
		}})
	t.Cleanup(strict.Close)
	return strict.URL
}

// openBrowser starts a browser with a profile of its own.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	path := chromium(t)
	allocator, done := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("lang", "zh-CN"))...)
	t.Cleanup(done)
	browser, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(closeBrowser)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return browser
}

// hand holds the phone: it taps, types and reads as a person would, and fails the test when the page does not answer.
type hand struct {
	t    *testing.T
	tab  context.Context
	url  string
	name string
	seen int
}

// takePhone opens the page in a new tab of that size. What the page says on the console in anger fails the test.
func takePhone(t *testing.T, browser context.Context, phoneURL, name string, width, height int64) *hand {
	t.Helper()
	tab, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	tab, cancel := clock.Real{}.WithDeadline(tab, patience)
	t.Cleanup(cancel)
	messages := chromedp.Console(tab)
	h := &hand{t: t, tab: tab, url: phoneURL, name: name}
	h.do("open", chromedp.EmulateViewport(width, height), chromedp.Navigate(phoneURL))
	read := make(chan struct{})
	go func() {
		defer close(read)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || (m.Type == "error" && m.Source != "network") { // a 4xx is an answer, not an accident
				t.Errorf("%s: the console says: %s", name, m)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-read })
	return h
}

func (h *hand) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	h.t.Helper()
	ctx, cancel := clock.Real{}.WithDeadline(h.tab, glance)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		h.lost(what, err)
	}
}

// lost ends the test with what the phone showed.
func (h *hand) lost(what string, err error) {
	h.t.Helper()
	h.shot("lost")
	ctx, cancel := clock.Real{}.WithDeadline(context.WithoutCancel(h.tab), 5*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.getElementById('screen').innerText`))
	h.t.Fatalf("%s: %s: %v; the phone shows:\n%s", h.name, what, err, text)
}

func sel(test string) chromedp.CSS { return chromedp.CSS(`[data-test="` + test + `"]`) }

// tap presses what carries that name, once it can be pressed.
func (h *hand) tap(test string) {
	h.t.Helper()
	h.do("tap "+test, chromedp.WaitVisible(sel(test)), chromedp.WaitEnabled(sel(test)), chromedp.Click(sel(test)))
}

// see waits until what carries that name is there, and reads it.
func (h *hand) see(test string) string {
	h.t.Helper()
	h.do("see "+test, chromedp.WaitVisible(sel(test)))
	ctx, cancel := clock.Real{}.WithDeadline(h.tab, glance)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text(sel(test)))
	if err != nil {
		h.lost("read "+test, err)
	}
	return strings.TrimSpace(text)
}

// until waits for a condition of the page.
func (h *hand) until(what, expression string) {
	h.t.Helper()
	ctx, cancel := clock.Real{}.WithDeadline(h.tab, glance+5*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingTimeout(glance))); err != nil {
		h.lost(what, err)
	}
}

func (h *hand) eval(expression string) string {
	h.t.Helper()
	ctx, cancel := clock.Real{}.WithDeadline(h.tab, glance)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		h.lost(expression, err)
	}
	return text
}

func (h *hand) has(test string) bool {
	return h.eval(`String(Boolean(document.querySelector('[data-test="`+test+`"]')))`) == "true"
}

// fill replaces the text of a field.
func (h *hand) fill(test, text string) {
	h.t.Helper()
	h.do("fill "+test, chromedp.WaitVisible(sel(test)), chromedp.Clear(sel(test)), chromedp.SendKeys(sel(test), text))
}

// shot keeps a picture when TUOKA_SHOTS names a folder.
func (h *hand) shot(name string) {
	dir := os.Getenv("TUOKA_SHOTS")
	if dir == "" {
		return
	}
	h.seen++
	ctx, cancel := clock.Real{}.WithDeadline(context.WithoutCancel(h.tab), 10*time.Second)
	defer cancel()
	_, _ = chromedp.Run(ctx, chromedp.Evaluate[string](`new Promise((done) => setTimeout(() => done(''), 350))`, chromedp.EvalAwaitPromise))
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%02d-%s.png", h.name, h.seen, name)), picture, 0o600)
	}
	if err != nil {
		h.t.Logf("no picture of %s: %v", name, err)
	}
}

// enter goes from the choice of a person to the bills.
func (h *hand) enter(role string, insured bool) {
	h.t.Helper()
	h.see("role-" + role)
	h.shot("roles")
	h.tap("role-" + role)
	h.see("login")
	h.shot("welcome")
	h.tap("login")
	h.until("read the privacy text", `location.hash.startsWith('#/consent/privacy') && document.querySelector('[data-test="agree"]')`)
	h.shot("privacy")
	h.tap("agree")
	if insured {
		h.until("read the insurance text", `location.hash.startsWith('#/consent/insurance') && document.querySelector('[data-test="agree"]')`)
		h.shot("insurance")
		h.tap("agree")
	}
	h.see("add-patient")
	h.shot("patient")
	h.tap("add-patient")
	h.see("bill")
	h.shot("home")
}

// quote goes from the bills to the amounts; an insured person authorises on the way.
func (h *hand) quote(insured bool) {
	h.t.Helper()
	h.tap("bill")
	h.see("bill-total")
	h.shot("bill")
	h.tap("pay-bill")
	if insured {
		h.see("authorise")
		h.shot("authorise")
		h.tap("authorise")
		h.see("nhsa-agree")
		h.shot("nhsa")
		h.tap("nhsa-agree")
	}
	h.see("confirm")
	h.shot("split")
}

// password pays at WeChat's cashier.
func (h *hand) password() {
	h.t.Helper()
	h.see("cashier-pay")
	h.shot("cashier")
	h.tap("cashier-pay")
	h.see("key-1")
	for _, digit := range "86420" {
		h.tap("key-" + string(digit))
	}
	h.shot("password")
	h.tap("key-1")
}

var digits = regexp.MustCompile(`[^0-9]`)

// fen reads an amount of the page; every amount has two decimals.
func (h *hand) fen(test string) int64 {
	h.t.Helper()
	text := strings.Join(strings.Fields(h.see(test)), "")
	if !regexp.MustCompile(`^¥?(\d{1,3})(,\d{3})*\.\d\d$`).MatchString(text) {
		h.t.Fatalf("%s: %s shows %q, want an amount", h.name, test, text)
	}
	n, err := strconv.ParseInt(digits.ReplaceAllString(text, ""), 10, 64)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// fine checks the result page of a paid order.
func (h *hand) fine(total, wechat int64) {
	h.t.Helper()
	if state := h.see("result-state"); state != "缴费完成" {
		h.t.Errorf("%s: the result says %q, want 缴费完成", h.name, state)
	}
	h.shot("result")
	insurer := int64(0)
	if h.has("paid-insurer") {
		insurer = h.fen("paid-insurer")
	}
	paid := int64(0)
	if h.has("paid-wechat") {
		paid = h.fen("paid-wechat")
	}
	if paid != wechat || paid+insurer != total {
		h.t.Errorf("%s: WeChat %d and the insurer %d fen, want %d and together %d", h.name, paid, insurer, wechat, total)
	}
	if guide := h.see("guide"); !strings.Contains(guide, "请到") {
		h.t.Errorf("%s: the guide says %q and sends nobody anywhere", h.name, guide)
	}
	number := h.see("receipt-no")
	h.tap("receipt")
	paper := h.see("receipt-paper")
	h.shot("receipt")
	for _, want := range []string{"缴费凭证 · 非发票", number} {
		if !strings.Contains(paper, want) {
			h.t.Errorf("%s: the receipt lacks %q:\n%s", h.name, want, paper)
		}
	}
	head := h.eval(`fetch('/api/v1/orders/' + location.hash.split('/')[2] + '/receipt.pdf', {headers: {Authorization: 'Bearer ' + JSON.parse(sessionStorage.getItem('tuoka.token'))}})
		.then((r) => r.text()).then((text) => text.slice(0, 5))`)
	if head != "%PDF-" {
		h.t.Errorf("%s: the PDF begins with %q", h.name, head)
	}
	h.eval(`location.hash = '#/records'; ''`)
	if h.see("record"); h.eval(`document.querySelector('[data-test="record"]').dataset.state`) != "completed" {
		h.t.Errorf("%s: the newest record is not completed", h.name)
	}
	h.shot("records")
}

// order is what the sandbox's door does for the test: one fault of a counterpart, a bill.
func post(t *testing.T, at string, body any) map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(at, "application/json", bytes.NewReader(text)) //nolint:gosec // our own sandbox
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= http.StatusBadRequest {
		t.Fatalf("POST %s: %d", at, answer.StatusCode)
	}
	var out map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil && !strings.Contains(err.Error(), "cannot unmarshal array") {
		t.Fatal(err)
	}
	return out
}

// TestPhone pays on the phone page, in a real browser at the width of a phone, against the sandbox in this process: the stories that a
// patient lives through.
func TestPhone(t *testing.T) {
	browser := openBrowser(t)
	phoneURL := openSandbox(t)
	story := func(name string, f func(t *testing.T, h *hand)) {
		t.Run(name, func(t *testing.T) { f(t, takePhone(t, browser, phoneURL, name, 390, 844)) })
	}
	story("mixed", func(t *testing.T, h *hand) {
		h.enter("zhang", true)
		h.quote(true)
		total, charge := h.fen("order-total"), h.fen("charge")
		h.tap("confirm")
		h.password()
		h.fine(total, charge)
	})
}
