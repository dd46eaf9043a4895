package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/staff"
)

// morning is the books of a morning, as a database file: one ordinary order, one partly given back, one of a patient without insurance, one paid with
// one password; and two for people: a refund whose settlement the insurer does not cancel, and a payment of which WeChat tells another amount.
type morning struct {
	data     string
	patients []*player
	sound    []string // numbers of orders that are completed
	refund   string   // of the order whose refund is in review
	order    string   // of the order in review

	transaction string // its payment's number at WeChat
}

func playMorning(t *testing.T) *morning {
	t.Helper()
	p := openPremises(t, t.TempDir())
	m := &morning{data: p.data}
	pay := func(one *player) {
		t.Helper()
		p.steps(one, one.seeBill, one.quote)
		p.wait("paid", func() bool {
			switch p.look(one); one.order.NextAction {
			case "confirm":
				p.steps(one, func(ctx context.Context) error { return one.confirm(ctx, "confirm-"+one.order.ID) })
			case "pay":
				p.steps(one, one.cashier)
			}
			return one.order.State == "completed" || one.order.State == "review"
		})
		m.patients = append(m.patients, one)
	}
	back := func(one *player, body map[string]any) {
		t.Helper()
		p.steps(one, func(ctx context.Context) error { return one.askBack(ctx, "back-"+one.order.ID, body) })
		p.wait("given back", func() bool {
			if r := p.look(one).Refunds; len(r) > 0 && r[0].WaitsForAuthorisation { // to settle what is kept
				p.steps(one, one.authorise)
			}
			return one.order.over()
		})
	}
	must := func(one *player, state string) string {
		t.Helper()
		if one.order.State != state {
			t.Fatalf("order %s is %s %s, want %s", one.order.ID, one.order.State, one.order.Cause, state)
		}
		return one.order.ID
	}
	for i, institution := range []string{"h1", "h1", "h2"} {
		one := p.patient(institution, uint64(20+i))
		pay(one)
		m.sound = append(m.sound, must(one, "completed"))
		if i == 1 {
			var left refundable
			if err := one.call(t.Context(), http.MethodGet, "/orders/"+one.order.ID+"/refundable", nil, &left); err != nil {
				t.Fatal(err)
			}
			l := left.Lines[len(left.Lines)-1]
			back(one, map[string]any{"whole": false, "lines": []any{map[string]string{"bill_no": l.BillNo, "line_no": l.LineNo}}})
		}
	}

	stuck := p.insuredPatient("h1", 40)
	pay(stuck)
	m.refund = must(stuck, "completed")
	p.sims.nhsa.RefuseNext("2208", "", "该结算已清算，不能撤销")
	back(stuck, map[string]any{"whole": true, "reason": "不需要了"})
	if r := stuck.order.Refunds; len(r) != 1 || r[0].State != "in_review" {
		t.Fatalf("refunds %+v, want one in review", r)
	}

	odd := p.insuredPatient("h1", 60)
	p.sims.plans["h1/wechatpay"].Script(sandbox.Script{Op: "query", Fault: sandbox.ChangeAmount, Times: 50})
	pay(odd)
	m.order = must(odd, "review")
	for _, o := range p.sims.hospitals[0].pay.Truth().Orders {
		if o.OutTradeNo == odd.order.Payments[0].OutTradeNo {
			m.transaction = o.TransactionID
		}
	}
	p.close()
	return m
}

// insuredPatient is a patient of whose bill both the insurer and WeChat pay a part.
func (p *premises) insuredPatient(institution string, seed uint64) *player {
	p.t.Helper()
	for ; ; seed++ {
		if kind, balance, used := coverOf(mix(seed, 0)); kind == "employee" && balance == 0 && used == 30_000 {
			return p.patient(institution, seed)
		}
	}
}

// clerk is one of the staff, with a phone.
type clerk struct {
	d     *desk
	login string
	file  string // with the password
	uri   string // what the phone was given
	used  int    // codes of it
	phone *desk  // keeps count of its steps
}

const clerksPassword = "correct horse battery staple"

func (d *desk) hire(login string, flags ...string) *clerk {
	d.t.Helper()
	c := &clerk{d: d, login: login, file: d.file(login, clerksPassword), phone: &desk{t: d.t}}
	out := d.must(nil, append([]string{"add", "--login", login, "--name", "员工" + login, "--password-file", c.file}, flags...)...)
	c.uri = uriPattern.FindString(out)
	return c
}

// signs are the flags by which the clerk is known. A phone's code opens once; after two the phone gets another secret.
func (c *clerk) signs() []string {
	c.d.t.Helper()
	if c.used++; c.used > 2 {
		c.uri, c.used, c.phone.step = uriPattern.FindString(c.d.must(nil, "reset-totp", "--login", c.login)), 1, 0
	}
	return []string{"--login", c.login, "--password-file", c.file, "--code", c.phone.code(c.uri)}
}

// vote is a vote of that clerk.
func (c *clerk) vote(number string, flags ...string) (string, error) {
	c.d.t.Helper()
	return c.d.tuoka(nil, "review", append(append([]string{"vote", number, "--reason", "在商户平台查过"}, c.signs()...), flags...)...)
}

// TestReview is the life of two cases, on a database that a morning has left: people find them, read the evidence, and end them by two.
func TestReview(t *testing.T) {
	t.Parallel()
	m := playMorning(t)
	d := &desk{t: t, data: m.data}
	list := func() string {
		t.Helper()
		out, err := d.tuoka(nil, "review", "list")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := list(); !contains(out, m.refund, m.order, "insurer_cancel", "wechat_amounts", "h1") || strings.Count(out, "\n") != 3 || strings.Contains(out, m.sound[0]) {
		t.Errorf("review list printed\n%s", out)
	}
	if out, err := d.tuoka(nil, "review", "list", "--institution", "h2"); err != nil || !strings.Contains(out, "没有待核实") {
		t.Errorf("review list of another hospital: %v\n%s", err, out)
	}
	shown := ""
	for number, evidence := range map[string][]string{
		m.refund: {"insurer_cancel", "结算ID", "微信支付", "商户单号", "退费", "in_review", "cancel", "rejected", "order", "create", "posted"},
		m.order:  {"wechat_amounts", "微信支付", "in_review", "商户单号", "presettle", "escalate"},
	} {
		out, err := d.tuoka(nil, "review", "show", number)
		if err != nil || !contains(out, append(evidence, number)...) {
			t.Errorf("review show %s: %v\n%s", number, err, out)
		}
		shown += out
	}
	if _, err := d.tuoka(nil, "review", "show", "1"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("review show of no order: %v", err)
	}

	wang, li, zhao, sun := d.hire("wang", "--role", "finance"), d.hire("li.si", "--role", "finance", "--institution", "h1"), d.hire("zhao", "--role", "window"),
		d.hire("sun", "--role", "finance", "--institution", "h2")
	stands := func(number string, votes int) {
		t.Helper()
		out, err := d.tuoka(nil, "review", "show", number)
		if err != nil || strings.Count(out, "已投") != votes {
			t.Errorf("%d votes stand, want %d: %v\n%s", strings.Count(out, "已投"), votes, err, out)
		}
	}
	refused := func(what string, want *fault.Error, words string, c *clerk, number string, flags ...string) {
		t.Helper()
		_, err := c.vote(number, flags...)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), words) || !regexp.MustCompile(`\p{Han}{4}`).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %s with %q", what, err, want.Code, words)
		}
	}

	// Who may not, and what may not be.
	paid := []string{"--cash", "paid", "--transaction-id", m.transaction}
	refused("the window", errMayNot, "财务", zhao, m.refund, "--outcome", "resume")
	refused("another hospital's finance", errMayNot, "该机构", sun, m.refund, "--outcome", "resume")
	refused("an outcome of an order", order.ErrVerdict, "不是退费的结论", wang, m.refund, "--outcome", "close", "--insurance", "settled")
	refused("a leg in review, left out", order.ErrVerdict, "settled 已结算", wang, m.refund, "--outcome", "resume")
	refused("a leg that is not in review", order.ErrVerdict, "微信支付不在核实中", wang, m.refund, "--outcome", "resume", "--insurance", "settled", "--cash", "paid")
	refused("no outcome at all", order.ErrVerdict, "不是订单的结论", wang, m.order, append(paid, "--outcome", "forget")...)
	refused("money that is not there", order.ErrVerdict, "没有收齐", wang, m.order, append(paid, "--outcome", "post")...)
	refused("closing over a payment", order.ErrVerdict, "不能关闭", wang, m.order, append(paid, "--outcome", "close")...)
	refused("rejecting nothing", order.ErrVerdict, "没有经办意见", wang, m.order, "--outcome", "reject")
	refused("an order without a case", order.ErrNoCase, "没有待核实", wang, m.sound[0], "--outcome", "post")
	stands(m.refund, 0)
	stands(m.order, 0)

	// The refund: the insurer's window has put it right, so it goes on.
	resume := []string{"--outcome", "resume", "--insurance", "settled"}
	out, err := wang.vote(m.refund, resume...)
	if err != nil || !strings.Contains(out, "等待另一位") {
		t.Fatalf("the maker's vote: %v, %s", err, out)
	}
	stands(m.refund, 1)
	if out := list(); !contains(out, m.refund, wang.actor()+"：resume insurance=settled") {
		t.Errorf("review list after the maker's vote\n%s", out)
	}
	refused("the same person again", order.ErrVoted, "另一位", wang, m.refund, resume...)
	refused("the same person rejecting", order.ErrVoted, "另一位", wang, m.refund, "--outcome", "reject")
	refused("another opinion", order.ErrDiffers, "reject", li, m.refund, "--outcome", "refuse", "--insurance", "settled")
	stands(m.refund, 1)
	if out, err = li.vote(m.refund, resume...); err != nil || !strings.Contains(out, "复核一致") {
		t.Fatalf("the checker's vote: %v, %s", err, out)
	}
	if out := list(); strings.Contains(out, m.refund) || !strings.Contains(out, m.order) {
		t.Errorf("review list after the checker's vote\n%s", out)
	}
	refused("a case that has ended", order.ErrNoCase, "没有待核实", li, m.refund, resume...)

	// The order: one says one thing, the checker sends it back, and then the other makes and the first checks.
	refused("a payment without its number", order.ErrVerdict, "微信支付单号", wang, m.order, "--outcome", "settle", "--cash", "paid")
	settle := append(paid, "--outcome", "settle")
	if _, err = wang.vote(m.order, append(paid, "--outcome", "unwind")...); err != nil {
		t.Fatal(err)
	}
	if out, err = li.vote(m.order, "--outcome", "reject"); err != nil || !strings.Contains(out, "已退回") {
		t.Fatalf("rejecting: %v, %s", err, out)
	}
	stands(m.order, 0)
	for _, c := range []*clerk{li, wang} {
		if _, err = c.vote(m.order, settle...); err != nil {
			t.Fatalf("%s: %v", c.login, err)
		}
	}
	if out := list(); !strings.Contains(out, "没有待核实") {
		t.Errorf("review list at the end\n%s", out)
	}
	m.private(t, shown+d.said.String())
	m.audited(t, d, wang, li)
	m.served(t)
}

// TestReviewSignIn: nobody votes who is not known by password and phone, and guessing ends.
func TestReviewSignIn(t *testing.T) {
	t.Parallel()
	m := playMorning(t)
	d := &desk{t: t, data: m.data}
	wang := d.hire("wang", "--role", "finance")
	vote := func(flags ...string) error {
		_, err := d.tuoka(nil, "review", append([]string{"vote", m.order, "--outcome", "settle", "--cash", "paid", "--transaction-id", m.transaction, "--reason", "查过"}, flags...)...)
		return err
	}
	right := wang.signs()
	code := right[len(right)-1]
	other := string('0'+(code[0]-'0'+1)%10) + code[1:]
	for _, tt := range []struct {
		name  string
		flags []string
	}{
		{"a stranger", []string{"--login", "nobody", "--password-file", wang.file, "--code", code}},
		{"a wrong password", []string{"--login", "wang", "--password-file", d.file("wrong", "wrong horse battery staple"), "--code", code}},
		{"a wrong code", []string{"--login", "wang", "--password-file", wang.file, "--code", other}},
		{"no code", []string{"--login", "wang", "--password-file", wang.file, "--code", " "}},
	} {
		if err := vote(tt.flags...); !errors.Is(err, staff.ErrSignIn) {
			t.Errorf("%s: %v, want %s", tt.name, err, staff.ErrSignIn.Code)
		}
	}
	if err := vote("--login", "wang", "--password-file", wang.file); !errors.Is(err, errNoTerminal) {
		t.Errorf("without a terminal for the code: %v", err)
	}
	for range 3 {
		if err := vote("--login", "wang", "--password-file", d.file("wrong", "wrong horse battery staple"), "--code", code); !errors.Is(err, staff.ErrSignIn) {
			t.Errorf("a wrong password: %v", err)
		}
	}
	if err := vote(right...); !errors.Is(err, staff.ErrSignIn) { // all is right, and the account is locked
		t.Errorf("a locked account: %v, want %s", err, staff.ErrSignIn.Code)
	}
	d.must(nil, "disable", "--login", "wang")
	if err := vote(wang.signs()...); !errors.Is(err, staff.ErrSignIn) {
		t.Errorf("a shut account: %v, want %s", err, staff.ErrSignIn.Code)
	}
	if n := count(t, m.data, "SELECT COUNT(*) FROM review_vote"); n != 0 {
		t.Errorf("%d votes of nobody", n)
	}
	d.must(nil, "enable", "--login", "wang")
	wang.used = 2 // the phone gets another secret
	if err := vote(wang.signs()...); err != nil {
		t.Errorf("with everything right: %v", err)
	}
}

func contains(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// actor is how the records name the clerk.
func (c *clerk) actor() string {
	c.d.t.Helper()
	for line := range strings.Lines(c.d.must(nil, "list")) {
		if f := strings.Fields(line); len(f) > 0 && f[0] == c.login {
			return f[len(f)-1]
		}
	}
	c.d.t.Fatalf("%s is not on the list", c.login)
	return ""
}

// private looks for patients' data in what was printed.
func (m *morning) private(t *testing.T, text string) {
	t.Helper()
	for _, one := range m.patients {
		for what, secret := range map[string]string{"name": one.role.Name, "identity number": one.role.IDNumber, "phone": one.role.Phone, "openid": one.role.OpenID,
			"person number": one.role.IDNumber[6:14]} {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("the %s of %s was printed, or is not known", what, one.role.User)
			}
		}
	}
}

// audited: every vote stands in the audit records, and every one that was refused to somebody who was known.
func (m *morning) audited(t *testing.T, d *desk, wang, li *clerk) {
	t.Helper()
	for query, want := range map[string]int{
		"actor = '" + wang.actor() + "' AND result = 'ok' AND object = 'order:" + m.refund + "' AND detail = 'maker resume insurance=settled'": 1,
		"actor = '" + li.actor() + "' AND result = 'ok' AND object = 'order:" + m.refund + "' AND detail = 'checker resume insurance=settled'": 1,
		"result = 'ok' AND object = 'order:" + m.order + "'":         4, // unwind, reject, settle, settle
		"result = 'REVIEW_VOTED' AND actor = '" + wang.actor() + "'": 2,
		"result = 'REVIEW_ROLE'":                                     2,
		"result = 'REVIEW_VERDICT'":                                  8,
		"result = 'REVIEW_DIFFERS'":                                  1,
		"result = 'REVIEW_NONE'":                                     2,
	} {
		if n := count(t, m.data, "SELECT COUNT(*) FROM audit_record WHERE action = 'review.vote' AND "+query); n != want {
			t.Errorf("%s: %d records, want %d", query, n, want)
		}
	}
	if n := count(t, m.data, "SELECT COUNT(*) FROM review_vote"); n != 6 {
		t.Errorf("%d votes are stored, want 6", n)
	}
}

// served starts the service again: it does what people have decided, and the books are sound.
func (m *morning) served(t *testing.T) {
	t.Helper()
	p := openPremises(t, m.data)
	p.wait("decided", func() bool {
		return count(t, m.data, "SELECT COUNT(*) FROM orders WHERE state = 'completed'") == len(m.patients) && count(t, m.data, "SELECT COUNT(*) FROM refund WHERE state = 'done'") == 2
	})
	p.close()
	d := &desk{t: t, data: m.data}
	if out, err := d.tuoka(nil, "ledger", "verify"); err != nil || !strings.Contains(out, "5 个订单，0 处差异") {
		t.Errorf("ledger verify: %v\n%s", err, out)
	}
}

// copied is the folder once more, to be spoilt.
func (m *morning) copied(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(m.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, m.data))
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}
