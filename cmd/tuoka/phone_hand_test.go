package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
)

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
	h.keep("lost")
	ctx, cancel := clock.Real{}.WithDeadline(context.WithoutCancel(h.tab), 5*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.getElementById('screen').innerText`))
	h.t.Fatalf("%s: %s: %v; the phone shows:\n%s", h.name, what, err, text)
}

func sel(test string) chromedp.CSS { return chromedp.CSS(`[data-test="` + test + `"]`) }

// tap presses what carries that name, once it can be pressed.
func (h *hand) tap(test string) {
	h.t.Helper()
	h.do("find "+test, chromedp.WaitVisible(sel(test)), chromedp.WaitEnabled(sel(test)), chromedp.ScrollIntoView(sel(test)))
	h.until("reach "+test, `(() => {
		const e = document.querySelector('`+string(sel(test))+`'), r = e?.getBoundingClientRect();
		const still = !document.getAnimations().some((a) => a.playState === 'running' && a.effect.target.contains(e));
		return still && e?.contains(document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2));
	})()`) // nothing lies over it, and it does not move: on a rising sheet the tap would meet what stands below
	h.do("tap "+test, chromedp.Click(sel(test)))
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

// shot checks that the page fits, and keeps a picture when TUOKA_SHOTS names a folder.
func (h *hand) shot(name string) {
	h.t.Helper()
	h.fits(name)
	h.keep(name)
}

func (h *hand) keep(name string) {
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

// fits fails the test when something is wider than the phone, or an amount breaks over two lines.
func (h *hand) fits(where string) {
	h.t.Helper()
	ctx, cancel := clock.Real{}.WithDeadline(context.WithoutCancel(h.tab), 10*time.Second)
	defer cancel()
	wrong, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(() => {
		const wide = ['content', 'foot', 'sheets', 'screen'].filter((id) => {
			const e = document.getElementById(id);
			return e.scrollWidth > e.clientWidth;
		});
		const right = document.getElementById('screen').getBoundingClientRect().right;
		const out = [...document.querySelectorAll('#screen .amount, #screen .line-amount, #screen .split-amount')]
			.filter((e) => e.getBoundingClientRect().right > right || e.getBoundingClientRect().height > 2 * parseFloat(getComputedStyle(e).fontSize)).map((e) => e.textContent);
		return [...wide, ...out].join(' ');
	})()`))
	if err != nil || wrong != "" {
		h.t.Errorf("%s: %s: does not fit: %s %v", h.name, where, wrong, err)
	}
}

// enter goes from the choice of a person to the bills, agreeing to what is asked on the way.
func (h *hand) enter(role string) {
	h.t.Helper()
	h.see("role-" + role)
	h.shot("roles")
	h.tap("role-" + role)
	h.see("login")
	h.shot("welcome")
	h.tap("login")
	for before := ""; ; {
		h.until("go on from "+before, `location.hash !== '`+before+`' && location.hash.slice(1) === document.getElementById('screen').dataset.path && document.querySelector('[data-test="agree"], [data-test="add-patient"], [data-test="bill"], [data-test="empty"]')`)
		before = h.eval(`location.hash`)
		h.shot("enter")
		switch {
		case h.has("agree"):
			h.tap("agree")
		case h.has("add-patient"):
			h.tap("add-patient")
		default:
			return
		}
	}
}

// visit chooses another hospital than the first.
func (h *hand) visit(institution string) {
	h.t.Helper()
	h.tap("hospital-" + institution)
	h.until("be at "+institution, `document.querySelector('[data-test="hospital-`+institution+`"]')?.dataset.chosen === 'true'`)
}

// quote goes from the bills to the amounts; an insured person authorises on the way.
func (h *hand) quote(insured bool) {
	h.t.Helper()
	h.tap("bill")
	h.pay(insured)
}

// tapKind opens the bill with that badge.
func (h *hand) tapKind(text string) {
	h.t.Helper()
	const badges = `[...document.querySelectorAll('[data-test="bill"] [data-test="kind"]')]`
	h.until("find "+text, badges+`.some((e) => e.textContent === '`+text+`')`)
	h.eval(badges + `.find((e) => e.textContent === '` + text + `').closest('button').click(); ''`)
}

// pay goes from a bill to the amounts.
func (h *hand) pay(insured bool) {
	h.t.Helper()
	h.see("bill-total")
	h.shot("bill")
	h.tap("pay-bill")
	if insured {
		h.until("ask for an authorisation or not", `document.querySelector('[data-test="authorise"], [data-test="confirm"]')`)
	}
	if h.has("authorise") {
		h.shot("authorise")
		h.tap("authorise")
		h.see("nhsa-agree")
		h.shot("nhsa")
		h.tap("nhsa-agree")
		h.until("wait for the amounts", `document.querySelector('[data-test="waiting"], [data-test="confirm"]')`)
		h.shot("asking")
	}
	h.see("confirm")
	h.shot("split")
}

// password pays at WeChat's cashier.
func (h *hand) password() {
	h.t.Helper()
	h.passwordAt("cashier-pay")
}

// passwordAt pays at the cashier whose button carries that name.
func (h *hand) passwordAt(cashier string) {
	h.t.Helper()
	h.see(cashier)
	h.shot("cashier")
	h.tap(cashier)
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
	h.tap("receipt-pdf")
	h.until("the download", `document.querySelector('#toasts').textContent.includes('已下载')`)
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

// sandboxDoor asks the sandbox's own door for something: a fault of a counterpart, a bill, a payment at the window.
func (h *hand) sandboxDoor(path string, body any) []byte {
	h.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := http.Post(h.url+"/sandbox"+path, "application/json", bytes.NewReader(text))
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	told, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= http.StatusBadRequest {
		h.t.Fatalf("POST %s: %d %s %v", path, answer.StatusCode, told, err)
	}
	return told
}

// misbehave scripts a fault for the next call of that kind.
func (h *hand) misbehave(party, op string, fault sandbox.Fault) {
	h.t.Helper()
	if party == "wechatpay" || party == "his" { // each hospital has its own
		party = "h1/" + party
	}
	h.sandboxDoor("/"+party+"/faults/script", sandbox.Script{Op: op, Fault: fault, Times: 1})
}

// billInView is the number of the bill on the page.
func (h *hand) billInView() string {
	h.t.Helper()
	return strings.TrimPrefix(strings.Split(h.eval(`location.hash`), "?")[0], "#/bill/")
}

// over waits for the end of an order that was not paid, and reads what the page says.
func (h *hand) over(want string) string {
	h.t.Helper()
	if state := h.see("result-state"); state != want {
		h.t.Errorf("%s: the result says %q, want %q", h.name, state, want)
	}
	h.shot("over")
	return h.see("state-text")
}

// bought lets a person get a new bill and pay it, at the first hospital or at the one named; the order is in view then.
func (h *hand) bought(role, institution string, insured bool) {
	h.t.Helper()
	if institution != "" {
		h.visit(institution)
	}
	h.enter(role)
	var bill struct {
		No string `json:"bill_no"`
	}
	answer := h.sandboxDoor("/"+cmp.Or(institution, "h1")+"/his/bills", map[string]any{
		"patient_id": h.eval(`JSON.parse(sessionStorage.getItem('tuoka.role')).his_patient`),
		"items":      []map[string]string{{"code": "W10231", "quantity": "2"}, {"code": "C60007", "quantity": "1"}}})
	if err := json.Unmarshal(answer, &bill); err != nil {
		h.t.Fatal(err)
	}
	h.eval(`location.hash = '#/bill/` + bill.No + `'; ''`)
	h.pay(insured)
	charge := h.fen("charge")
	h.tap("confirm")
	switch {
	case institution != "":
		h.passwordAt("med-cashier-pay")
	case charge > 0:
		h.password()
	}
	if state := h.see("result-state"); state != "缴费完成" {
		h.t.Fatalf("%s: the result says %q", h.name, state)
	}
}

// press presses a button of the board beside the phone, which a narrow screen hides.
func (h *hand) press(test string) {
	h.t.Helper()
	h.until("find "+test, `document.querySelector('[data-test="`+test+`"]:enabled')`)
	h.eval(`document.querySelector('[data-test="` + test + `"]').click(); ''`)
}

// ends waits until the page says so of the order.
func (h *hand) ends(want string) {
	h.t.Helper()
	h.until("that it is "+want, `document.querySelector('[data-test="result-state"]')?.textContent === '`+want+`'`)
}
