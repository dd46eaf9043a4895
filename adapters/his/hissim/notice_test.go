package hissim

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/sandbox"
)

const testNotify = "https://pay.example/front/callbacks/his/h1"

// platform takes notices and answers as it is told.
type platform struct {
	t      testing.TB
	answer string // empty: stored
	status int    // zero: 200
	nonces map[string]bool
	bodies []map[string]any
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Error(err)
	}
	h := r.Header
	head := "POST\n/front/callbacks/his/h1\n" + h.Get("X-His-Timestamp") + "\n" + h.Get("X-His-Nonce") + "\n"
	if h.Get("X-His-Signature") != (&caller{}).sign(head, body) || h.Get("X-His-App") != testApp || p.nonces[h.Get("X-His-Nonce")] {
		p.t.Errorf("notice %s is not signed as the document says, or its nonce was used before", body)
	}
	p.nonces[h.Get("X-His-Nonce")] = true
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		p.t.Error(err)
	}
	p.bodies = append(p.bodies, v)
	answer, status := p.answer, p.status
	if answer == "" {
		answer = `{"code":"0","message":""}`
	}
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// told is a hospital whose order 7 is posted, and the platform that it tells.
func told(t testing.TB, c Config) (*caller, []Bill, *platform) {
	t.Helper()
	p := &platform{t: t, nonces: map[string]bool{}}
	c.Notify, c.NotifyURL = sandbox.Transport(p), testNotify
	out, bills := bought(t, c)
	return out, bills, p
}

// TestNoticeSchedule repeats what nobody stores after 1, 5, 15 and 60 minutes, then hourly until a day is over.
func TestNoticeSchedule(t *testing.T) {
	t.Parallel()
	c, _, p := told(t, Config{})
	p.answer = `{"code":"1","message":""}`
	if _, err := c.sim.AskRefund("7", Ask{}); err != nil {
		t.Fatal(err)
	}
	start := c.clock.Now()
	var at []time.Duration
	for c.clock.Now().Before(start.Add(30 * time.Hour)) {
		if c.sim.Step(t.Context()) {
			at = append(at, c.clock.Now().Sub(start))
		}
		c.clock.Advance(time.Minute)
	}
	want := []time.Duration{0, time.Minute, 6 * time.Minute, 21 * time.Minute}
	for d := 81 * time.Minute; d <= 24*time.Hour; d += time.Hour {
		want = append(want, d)
	}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Errorf("tries: %s", diff)
	}
	if n := c.sim.Notices(); len(n) != 1 || !n[0].GivenUp || n[0].Stored || n[0].Tries != len(want) {
		t.Errorf("Notices = %+v", n)
	}
}

// TestNoticeAnswers: only 200 and code 0 mean stored.
func TestNoticeAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		answer string
		stored bool
	}{
		{200, `{"code":"0","message":""}`, true},
		{200, `{"code":"1","message":""}`, false},
		{200, `<html>`, false},
		{204, `{"code":"0"}`, false},
		{400, `{"code":"INVALID"}`, false},
		{500, `{"code":"0"}`, false},
	} {
		c, _, p := told(t, Config{})
		p.status, p.answer = tt.status, tt.answer
		if _, err := c.sim.AskRefund("7", Ask{}); err != nil {
			t.Fatal(err)
		}
		if !c.sim.Step(t.Context()) || c.sim.Notices()[0].Stored != tt.stored {
			t.Errorf("answer %d %s: %+v", tt.status, tt.answer, c.sim.Notices())
		}
	}
}

// TestNoticeFaults loses, doubles and changes notices on their way.
func TestNoticeFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault  sandbox.Fault
		heard  int
		stored bool
		total  float64
	}{
		{sandbox.LoseBefore, 0, false, 0},
		{sandbox.LoseAfter, 1, false, 18197},
		{sandbox.ErrorAfter, 1, false, 18197},
		{sandbox.Repeat, 2, true, 18197},
		{sandbox.ChangeAmount, 1, true, 18198},
	} {
		t.Run(string(tt.fault), func(t *testing.T) {
			t.Parallel()
			c, _, p := told(t, Config{})
			c.sim.config.Plan.Script(sandbox.Script{Op: "notice", Key: "7", Fault: tt.fault})
			if _, err := c.sim.AskRefund("7", Ask{}); err != nil {
				t.Fatal(err)
			}
			if !c.sim.Step(t.Context()) || c.sim.Notices()[0].Stored != tt.stored || len(p.bodies) != tt.heard {
				t.Errorf("heard %d times: %+v", len(p.bodies), c.sim.Notices())
			}
			if len(p.bodies) > 0 && p.bodies[0]["total_fen"] != tt.total {
				t.Errorf("heard %v", p.bodies)
			}
			c.clock.Advance(time.Minute)
			if again := c.sim.Step(t.Context()); again == tt.stored || (again && p.bodies[len(p.bodies)-1]["total_fen"] != 18197.0) {
				t.Errorf("sent again: %t, heard %v", again, p.bodies)
			}
		})
	}
}

// TestOtherNotices: what the window does to bills of an order of the platform, and to its posting.
func TestOtherNotices(t *testing.T) {
	t.Parallel()
	c, _, p := told(t, Config{Pace: 60})
	b, err := c.sim.AddBill("P1", "", Order{Code: "W10231", Quantity: "7"})
	if err != nil {
		t.Fatal(err)
	}
	change := func() {
		t.Helper()
		if _, err := c.sim.ChangeBill(b.No, Order{Code: "W10231", Quantity: "14"}); err != nil {
			t.Fatal(err)
		}
	}
	change()
	if c.sim.Step(t.Context()) {
		t.Error("a bill that no order knows was told of")
	}
	if code := c.code(t, "/his/v1/locks/acquire", asJSON(t, acquireRequest{"8", "P1", []string{b.No}, 1118})); code != "0" {
		t.Fatal(code)
	}
	if code := c.code(t, "/his/v1/locks/release", `{"order_no":"8"}`); code != "0" {
		t.Fatal(code)
	}
	change()
	if _, err := c.sim.VoidBill(b.No); err != nil {
		t.Fatal(err)
	}
	if _, err := c.sim.VoidPosting("7"); err != nil {
		t.Fatal(err)
	}
	for c.sim.Step(t.Context()) {
		c.clock.Advance(time.Second)
	}
	want := []map[string]any{{"kind": "bill_changed", "order_no": "8", "bill_no": b.No}, {"kind": "bill_void", "order_no": "8", "bill_no": b.No},
		{"kind": "posting_result", "order_no": "7"}}
	for _, body := range p.bodies {
		if at, ok := body["happened_at"].(string); !ok || at == "" {
			t.Errorf("%v does not say when", body)
		}
		delete(body, "happened_at")
	}
	if diff := cmp.Diff(want, p.bodies); diff != "" {
		t.Errorf("the platform heard %s", diff)
	}
}

// TestNoticesSurvive kills the hospital between two tries.
func TestNoticesSurvive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "his.journal")
	c, bills, p := told(t, Config{Journal: path})
	p.status = http.StatusServiceUnavailable
	if _, err := c.sim.AskRefund("7", Ask{Lines: []RefundLine{tin(bills)}, Note: true}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if !c.sim.Step(t.Context()) {
			t.Fatalf("try %d was not made", i+1)
		}
		before, notices := asJSON(t, c.sim.Truth()), asJSON(t, c.sim.Notices())
		again, err := New(c.sim.config)
		if err != nil {
			t.Fatal(err)
		}
		c.sim = again // the old one is not closed: it was killed
		if after := asJSON(t, c.sim.Truth()) + asJSON(t, c.sim.Notices()); after != before+notices {
			t.Errorf("after try %d the journal gives another hospital: %s", i+1, cmp.Diff(before+notices, after))
		}
		c.clock.Advance(15 * time.Minute)
	}
	if err := c.sim.Close(); err != nil {
		t.Fatal(err)
	}
	c.clock.Advance(time.Hour)
	if c.sim.Step(t.Context()) {
		t.Error("a try that could not be noted counts as done")
	}
}

func TestNoticesNeedAnAddress(t *testing.T) {
	t.Parallel()
	s, _ := hospital(t, Config{})
	for _, url := range []string{"", "pay.example/callbacks", "https://pay.example", "https://pay.example/callbacks?x=1", "https://pay.example/%zz"} {
		c := s.config
		c.Notify, c.NotifyURL = http.DefaultTransport, url
		if _, err := New(c); err == nil {
			t.Errorf("New with address %q succeeded", url)
		}
	}
	c := s.config
	c.Notify, c.NotifyURL, c.Source = http.DefaultTransport, testNotify, nil
	if _, err := New(c); err == nil {
		t.Error("New without a source of nonces succeeded")
	}
}
