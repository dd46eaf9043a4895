package nhsasim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// pushFor lets the time pass by seconds and pushes what is due.
func (b *centreBench) pushFor(d time.Duration) (when []time.Duration) {
	b.t.Helper()
	start := b.clock.Now()
	for end := start.Add(d); ; b.clock.Advance(time.Second) {
		for b.sim.StepCentre(b.t.Context()) {
			when = append(when, b.clock.Now().Sub(start))
		}
		if !b.clock.Now().Before(end) {
			return when
		}
	}
}

// TestNotices: how often 6302 comes and when, by mode and by what the hospital answers.
func TestNotices(t *testing.T) {
	t.Parallel()
	s := time.Second
	refusing := func(int) (int, string) { return http.StatusInternalServerError, "" }
	for name, tc := range map[string]struct {
		mode   string
		answer func(int) (int, string)
		want   []time.Duration
	}{
		"usual":            {"", nil, []time.Duration{s}},
		"once":             {"once", nil, []time.Duration{s}},
		"before":           {"before", nil, []time.Duration{0}},
		"after":            {"after", nil, []time.Duration{300 * s}},
		"twice":            {"twice", nil, []time.Duration{s, s}},
		"never":            {"never", nil, nil},
		"not taken":        {"before", refusing, []time.Duration{0, 5 * s, 35 * s, 335 * s}},
		"no words":         {"before", func(int) (int, string) { return http.StatusOK, "" }, []time.Duration{0, 5 * s, 35 * s, 335 * s}},
		"not successful":   {"before", func(int) (int, string) { return http.StatusOK, `{"success":false}` }, []time.Duration{0, 5 * s, 35 * s, 335 * s}},
		"taken the second": {"before", func(n int) (int, string) { return http.StatusOK, fmt.Sprintf(`{"success":%v}`, n > 1) }, []time.Duration{0, 5 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newCentreBench(t, "")
			b.answer = tc.answer
			if tc.mode != "" {
				if err := b.sim.SetPushes(tc.mode); err != nil {
					t.Fatal(err)
				}
			}
			b.paid("M1")
			if diff := cmp.Diff(tc.want, b.pushFor(20*time.Minute)); diff != "" {
				t.Errorf("pushes (-want +got):\n%s", diff)
			}
			if len(b.pushed) != len(tc.want) {
				t.Errorf("%d came, want %d", len(b.pushed), len(tc.want))
			}
		})
	}
	if err := newCentreBench(t, "").sim.SetPushes("often"); err == nil {
		t.Error("SetPushes(often) gave no error")
	}
}

// TestNoticeContent: 6302 says what 6301 says, sealed or plain, as it was when the money moved.
func TestNoticeContent(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.paid("M1")
	want := b.done("6301", b.in6301(o)).data
	b.done("6203", b.in6203(o, "R1", "HI", "259.40", "0.00", "200.00", "59.40")) // before the notice comes
	b.sim.TellStas(StasScript{OrdStas: 2})                                       // a script of 6301 is not the notice's
	b.pushFor(time.Second)
	if len(b.pushed) != 1 {
		t.Fatalf("%d notices", len(b.pushed))
	}
	got, err := b.hand.open(b.pushed[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("6302 (-6301 +6302):\n%s", diff)
	}
	if bytes.Contains(b.pushed[0], []byte(o.id)) || got["ordStas"] != "6" {
		t.Errorf("the sealed notice is open, or says %v", got["ordStas"])
	}

	p := newCentreBench(t, "") // the clinic takes it plain, and says nothing but 200
	p.code, p.hand = clinic, hand{appID: clinicApp, secret: clinicSecret, own: clinicPair(), centre: clinicPair().Public()}
	p.answer = func(int) (int, string) { return http.StatusOK, "" }
	o = p.putUp("M1")
	pre := p.done("6202", p.in6202(o))
	if why := p.sim.SettleMixed(o.id, o.auth, o.no, clinic, yuanOf(pre, "fundPay"), yuanOf(pre, "psnAcctPay"), 0, yuanOf(pre, "ownPayAmt")); why != "" {
		t.Fatal(why)
	}
	var plain map[string]any
	if when := p.pushFor(time.Hour); len(when) != 1 || json.Unmarshal(p.pushed[0], &plain) != nil || plain["payOrdId"] != o.id || plain["ordStas"] != "6" {
		t.Errorf("plain notice %s, pushes %v", p.pushed, when)
	}
}

// yuanOf reads an amount of an answer.
func yuanOf(s said, name string) money.Fen { return values{"a": s.str(name)}.fen("a") }

// TestNoticeSurvives: a notice that was not taken before a kill comes after it; one that was taken does not.
func TestNoticeSurvives(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nhsa.journal")
	b := newCentreBench(t, path)
	b.answer = func(n int) (int, string) { return http.StatusOK, fmt.Sprintf(`{"success":%v}`, n != 1) }
	b.paid("M1")
	b.pushFor(time.Second)
	b.reopen(path)
	b.pushFor(time.Hour)
	b.reopen(path)
	b.pushFor(time.Hour)
	if len(b.pushed) != 2 {
		t.Errorf("%d notices, want one not taken and one taken", len(b.pushed))
	}
}

// TestNoticeFaults: the plan loses, doubles and changes the message to the hospital.
func TestNoticeFaults(t *testing.T) {
	t.Parallel()
	for fault, want := range map[sandbox.Fault]int{sandbox.LoseBefore: 1, sandbox.LoseAfter: 2, sandbox.ErrorAfter: 2, sandbox.Repeat: 2, sandbox.Garbage: 1,
		sandbox.ChangeAmount: 1} {
		b := newCentreBench(t, "")
		b.paid("M1")
		b.centrePlan.Script(sandbox.Script{Op: "6302", Key: "M1", Fault: fault})
		b.pushFor(time.Hour)
		if len(b.pushed) != want || len(b.centrePlan.Injected()) != 1 {
			t.Errorf("%s: %d notices, want %d", fault, len(b.pushed), want)
			continue
		}
		got, err := b.hand.open(b.pushed[0])
		if err != nil {
			t.Fatal(err)
		}
		if changed := got["fundPay"] != "59.40"; changed != (fault == sandbox.ChangeAmount) {
			t.Errorf("%s: the notice tells fundPay %v", fault, got["fundPay"])
		}
	}
}
