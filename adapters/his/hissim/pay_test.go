package hissim

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// posting is a posting of both bills of sick, 19.17 + 162.80, of which 96.80 were never insured.
func posting(order string, bills []Bill) postRequest {
	at := time.Date(2026, 11, 23, 9, 40, 0, 0, clock.Shanghai)
	return postRequest{OrderNo: order, PatientID: "P1", TotalFen: 18197, Bills: []billClaim{{bills[0].No, 1917}, {bills[1].No, 16280}},
		Parts:  Parts{PooledFund: 5000, OtherFund: 100, Account: 2000, FamilyAccount: 17, HospitalBorne: 0, Cash: 1400, Uninsured: 9680},
		SetlID: "setl-1", VisitID: "mdtrt-1", SettledAt: &at, OutTradeNo: "T1", TransactionID: "42000", PaidAt: &at}
}

func TestLockLife(t *testing.T) {
	t.Parallel()
	s, now := hospital(t, Config{})
	_, bills := sick(t, s)
	c := &caller{sim: s, clock: now}
	lock := func(order string, nos ...string) string {
		return asJSON(t, acquireRequest{OrderNo: order, PatientID: "P1", BillNos: nos, TotalFen: 1917})
	}
	_, first := c.do(t, c.request("/his/v1/locks/acquire", lock("1", bills[0].No)))
	now.Advance(5 * time.Minute)
	_, again := c.do(t, c.request("/his/v1/locks/acquire", lock("1", bills[0].No)))
	if diff := cmp.Diff(first, again); diff != "" || first["code"] != "0" {
		t.Errorf("the same order again: %s", diff)
	}
	if _, err := s.PayAtWindow(bills[0].No); !errors.Is(err, ErrHeld) {
		t.Errorf("window pays a locked bill: %v", err)
	}
	if _, err := s.ChangeBill(bills[0].No, Order{Code: "W10231", Quantity: "1"}); !errors.Is(err, ErrHeld) {
		t.Errorf("doctor changes a locked bill: %v", err)
	}
	for _, tt := range []struct{ name, path, body, code string }{
		{"another order", "/his/v1/locks/acquire", lock("2", bills[0].No, bills[1].No), "LOCKED"},
		{"the number for another bill", "/his/v1/locks/acquire", lock("1", bills[1].No), "DUPLICATE"},
		{"an unknown bill", "/his/v1/locks/acquire", lock("3", "MZ0"), "NOT_FOUND"},
		{"a posting of another order", "/his/v1/postings/post", asJSON(t, posting("9", bills)), "LOCKED"},
		{"nothing to release", "/his/v1/locks/release", `{"order_no":"2"}`, "1"},
		{"release", "/his/v1/locks/release", `{"order_no":"1"}`, "0"},
		{"release again", "/his/v1/locks/release", `{"order_no":"1"}`, "1"},
		{"a spent number", "/his/v1/locks/acquire", lock("1", bills[0].No), "LOCK_EXPIRED"},
		{"free again", "/his/v1/locks/acquire", lock("2", bills[0].No, bills[1].No), "0"},
	} {
		if code := c.code(t, tt.path, tt.body); code != tt.code {
			t.Errorf("%s: code %s, want %s", tt.name, code, tt.code)
		}
	}
	now.Advance(15 * time.Minute)
	if code := c.code(t, "/his/v1/locks/acquire", lock("2", bills[0].No, bills[1].No)); code != "LOCK_EXPIRED" {
		t.Errorf("after a quarter of an hour: %s", code)
	}
	if code := c.code(t, "/his/v1/locks/acquire", lock("4", bills[0].No)); code != "0" {
		t.Errorf("a new order after the expiry: %s", code)
	}
	// the late release of an expired lock frees nothing of the order that came after it
	if code := c.code(t, "/his/v1/locks/release", `{"order_no":"2"}`); code != "1" {
		t.Errorf("late release: %s", code)
	}
	if _, err := s.PayAtWindow(bills[0].No); !errors.Is(err, ErrHeld) {
		t.Errorf("window after a late release: %v", err)
	}
	if err := s.Distort(Oddity{Op: "window", Kind: IgnoreLock}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PayAtWindow(bills[0].No); err != nil {
		t.Errorf("a window that ignores locks: %v", err)
	}
}

func TestLockChecksTotal(t *testing.T) {
	t.Parallel()
	s, now := hospital(t, Config{LockChecksTotal: true, PostNeedsLock: true})
	_, bills := sick(t, s)
	c := &caller{sim: s, clock: now}
	if code := c.code(t, "/his/v1/locks/acquire", asJSON(t, acquireRequest{"1", "P1", []string{bills[0].No}, 1918})); code != "BILL_CHANGED" {
		t.Errorf("lock with another total: %s", code)
	}
	if code := c.code(t, "/his/v1/postings/post", asJSON(t, posting("1", bills))); code != "LOCK_EXPIRED" {
		t.Errorf("posting without a lock: %s", code)
	}
}

func TestPost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(p *postRequest)
		code  string
	}{
		{"as it should be", func(*postRequest) {}, "0"},
		{"total one fen more", func(p *postRequest) { p.TotalFen++ }, "AMOUNT_WRONG"},
		{"parts one fen less", func(p *postRequest) { p.Parts.Cash-- }, "AMOUNT_WRONG"},
		{"bill one fen more", func(p *postRequest) { p.Bills[0].TotalFen++; p.TotalFen++; p.Parts.Cash++ }, "BILL_CHANGED"},
		{"a bill is missing", func(p *postRequest) { p.Bills = p.Bills[:1] }, "AMOUNT_WRONG"},
		{"another patient", func(p *postRequest) { p.PatientID = "P2" }, "NOT_FOUND"},
		{"all cash", func(p *postRequest) {
			p.Parts, p.SetlID, p.VisitID, p.SettledAt = Parts{Uninsured: 18197}, "", "", nil
		}, "0"},
		{"no cash", func(p *postRequest) {
			p.Parts, p.OutTradeNo, p.TransactionID, p.PaidAt = Parts{PooledFund: 18197}, "", "", nil
		}, "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, now := hospital(t, Config{})
			_, bills := sick(t, s)
			p := posting("7", bills)
			tt.spoil(&p)
			c := &caller{sim: s, clock: now}
			code := c.code(t, "/his/v1/postings/post", asJSON(t, p))
			done := len(s.Truth().Postings) == 1 && s.Truth().Posted == 18197
			if code != tt.code || done != (tt.code == "0") {
				t.Errorf("code %s, posted %t, want %s", code, done, tt.code)
			}
		})
	}
}

func TestPostOnce(t *testing.T) {
	t.Parallel()
	s, now := hospital(t, Config{})
	_, bills := sick(t, s)
	c := &caller{sim: s, clock: now}
	_, first := c.do(t, c.request("/his/v1/postings/post", asJSON(t, posting("7", bills))))
	now.Advance(time.Minute)
	changed := posting("7", bills)
	changed.TotalFen++
	_, again := c.do(t, c.request("/his/v1/postings/post", asJSON(t, changed)))
	if again["code"] != "DUPLICATE" || !cmp.Equal(first["data"], again["data"]) {
		t.Errorf("again = %v, want the record that stands: %v", again, first)
	}
	guide := first["data"].(map[string]any)["guide"].([]any)
	if want := []any{"请到门诊楼一楼西药房 3 号窗口取药", "糖化血红蛋白测定：请到门诊楼二楼检验窗口检验科", "其他费用：请到门诊楼一楼西药房 3 号窗口",
		"电子票据可在云岭市人民医院自助机或小程序内查看"}; !cmp.Equal(guide, want) {
		t.Errorf("guide: %s", cmp.Diff(want, guide))
	}
	_, paid := c.do(t, c.request("/his/v1/postings/post", asJSON(t, posting("8", bills))))
	if data := paid["data"].(map[string]any); paid["code"] != "ALREADY_PAID" || data["where"] != "platform" || data["order_no"] != "7" {
		t.Errorf("another order = %v, want ALREADY_PAID by order 7", paid)
	}
	if code := c.code(t, "/his/v1/bills/pending", `{"patient_id":"P1"}`); code != "1" {
		t.Errorf("pending after posting: %s", code)
	}
	if _, err := s.VoidPosting("7"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.VoidPosting("7"); !errors.Is(err, ErrState) {
		t.Errorf("voided twice: %v", err)
	}
	if code := c.code(t, "/his/v1/postings/post", asJSON(t, posting("7", bills))); code != "BILL_VOID" {
		t.Errorf("posting after it was voided: %s", code)
	}
	if s.Truth().Posted != 0 {
		t.Errorf("posted = %s after the posting was voided", s.Truth().Posted)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		scene func(s *Sim, c *caller, bills []Bill) error
		want  string
	}{
		{"nothing", func(*Sim, *caller, []Bill) error { return nil }, "not_posted"},
		{"posted", func(_ *Sim, c *caller, b []Bill) error {
			c.code(t, "/his/v1/postings/post", asJSON(t, posting("7", b)))
			return nil
		}, "posted"},
		{"posting voided", func(s *Sim, c *caller, b []Bill) error {
			c.code(t, "/his/v1/postings/post", asJSON(t, posting("7", b)))
			_, err := s.VoidPosting("7")
			return err
		}, "void"},
		{"window", func(s *Sim, _ *caller, b []Bill) error { _, err := s.PayAtWindow(b[1].No); return err }, "paid_elsewhere"},
		{"withdrawn", func(s *Sim, _ *caller, b []Bill) error { _, err := s.VoidBill(b[1].No); return err }, "void"},
		{"window and withdrawn", func(s *Sim, _ *caller, b []Bill) error {
			_, err := s.PayAtWindow(b[1].No)
			_, other := s.VoidBill(b[0].No)
			return errors.Join(err, other)
		}, "paid_elsewhere"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, now := hospital(t, Config{})
			_, bills := sick(t, s)
			c := &caller{sim: s, clock: now}
			if err := tt.scene(s, c, bills); err != nil {
				t.Fatal(err)
			}
			_, out := c.do(t, c.request("/his/v1/postings/query", asJSON(t, queryRequest{"7", []string{bills[0].No, bills[1].No}})))
			if state := out["data"].(map[string]any)["state"]; state != tt.want {
				t.Errorf("state %v, want %s", state, tt.want)
			}
			if code := c.code(t, "/his/v1/postings/query", `{"order_no":"70","bill_nos":["MZ0"]}`); code != "NOT_FOUND" {
				t.Errorf("query with an unknown bill: %s", code)
			}
		})
	}
}

// TestJournal kills the hospital after every step: what it answered is still true.
func TestJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "his.journal")
	now := newClock()
	open := func() *Sim {
		s, err := New(Config{Clock: now, App: testApp, Secret: secret(), Journal: path})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	_, bills := sick(t, s)
	third, err := s.Deal("P1", 11, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{sim: s, clock: now}
	steps := []func(){
		func() {},
		func() {
			c.code(t, "/his/v1/locks/acquire", asJSON(t, acquireRequest{"7", "P1", []string{bills[0].No, bills[1].No}, 18197}))
		},
		func() { c.code(t, "/his/v1/postings/post", asJSON(t, posting("7", bills))) },
		func() {
			c.code(t, "/his/v1/locks/acquire", asJSON(t, acquireRequest{"8", "P1", []string{third[0].No}, third[0].TotalFen}))
		},
		func() { c.code(t, "/his/v1/locks/release", `{"order_no":"8"}`) },
		func() {
			if _, err := c.sim.PayAtWindow(third[0].No); err != nil {
				t.Error(err)
			}
		},
		func() {
			if _, err := c.sim.VoidPosting("7"); err != nil {
				t.Error(err)
			}
		},
	}
	for i, step := range steps {
		step()
		before := asJSON(t, c.sim.Truth())
		number := c.sim.state.seq
		c.sim = open() // the old one is not closed: it was killed
		if after := asJSON(t, c.sim.Truth()); after != before || c.sim.state.seq != number {
			t.Errorf("after step %d the journal gives another hospital: %s", i, cmp.Diff(before, after))
		}
		_, out := c.do(t, c.request("/his/v1/bills/detail", `{"patient_id":"P1","bill_no":"`+bills[0].No+`"}`))
		if out["code"] != "0" {
			t.Errorf("after step %d the bill is lost: %v", i, out)
		}
	}
	if _, err := New(Config{Clock: now, App: testApp, Secret: secret(), Journal: t.TempDir()}); err == nil {
		t.Error("a folder was opened as a journal")
	}
}

// TestBrokenJournal makes the disk fail: nothing is answered as done.
func TestBrokenJournal(t *testing.T) {
	t.Parallel()
	now := newClock()
	s, err := New(Config{Clock: now, App: testApp, Secret: secret(), Journal: filepath.Join(t.TempDir(), "j")})
	if err != nil {
		t.Fatal(err)
	}
	_, bills := sick(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c := &caller{sim: s, clock: now}
	for path, body := range map[string]string{
		"/his/v1/locks/acquire": asJSON(t, acquireRequest{"7", "P1", []string{bills[0].No}, 1917}),
		"/his/v1/postings/post": asJSON(t, posting("7", bills)),
	} {
		if status, out := c.do(t, c.request(path, body)); status != 500 || out["code"] != "INTERNAL" {
			t.Errorf("%s on a broken disk = %d %v", path, status, out)
		}
	}
	if truth := s.Truth(); len(truth.Postings)+len(truth.Locks) != 0 {
		t.Errorf("truth = %+v, want nothing", truth)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s, now := hospital(t, Config{})
	_, bills := sick(t, s)
	c := &caller{sim: s, clock: now}
	lock := func(order string) string {
		return c.code(t, "/his/v1/locks/acquire", asJSON(t, acquireRequest{order, "P1", []string{bills[0].No}, 1917}))
	}
	s.config.Plan.Script(sandbox.Script{Op: "lock", Fault: sandbox.Refuse, Times: 2}, sandbox.Script{Op: "post", Key: "7", Fault: sandbox.Refuse},
		sandbox.Script{Op: "bills.detail", Key: bills[0].No, Fault: sandbox.ChangeAmount})
	if even, odd := lock("12"), lock("13"); even != "LOCKED" || odd != "MAINTENANCE" {
		t.Errorf("whims: %s, %s", even, odd)
	}
	if code := c.code(t, "/his/v1/postings/post", asJSON(t, posting("7", bills))); code != "MAINTENANCE" {
		t.Errorf("refused posting: %s", code)
	}
	detail := `{"patient_id":"P1","bill_no":"` + bills[0].No + `"}`
	for _, want := range []float64{1918, 1917} {
		_, out := c.do(t, c.request("/his/v1/bills/detail", detail))
		if got := out["data"].(map[string]any)["bill"].(map[string]any)["total_fen"]; got != want {
			t.Errorf("total %v, want %v", got, want)
		}
	}
	var keys []string
	for _, in := range s.config.Plan.Injected() {
		keys = append(keys, in.Op+" "+in.Key)
	}
	if want := []string{"lock 12", "lock 13", "post 7", "bills.detail " + bills[0].No}; !cmp.Equal(keys, want) {
		t.Errorf("injected: %s", cmp.Diff(want, keys))
	}
}

func TestRepeatedMessageHasOneEffect(t *testing.T) {
	t.Parallel()
	s, now := hospital(t, Config{})
	_, bills := sick(t, s)
	c := &caller{sim: s, clock: now}
	s.config.Plan.Script(sandbox.Script{Op: "post", Fault: sandbox.Repeat})
	if code := c.code(t, "/his/v1/postings/post", asJSON(t, posting("7", bills))); code != "0" {
		t.Errorf("code %s", code)
	}
	if n := len(s.Truth().Postings); n != 1 {
		t.Errorf("%d postings", n)
	}
}
