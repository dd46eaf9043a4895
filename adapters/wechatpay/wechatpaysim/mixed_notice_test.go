package wechatpaysim

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// mixedNotices are the contents of the mixed orders' notices that came.
func (w *world) mixedNotices() []map[string]any {
	w.t.Helper()
	var all []map[string]any
	for _, r := range w.received() {
		e, plain := w.unseal(r)
		if e.EventType != "MEDICAL_INSURANCE.SUCCESS" {
			continue
		}
		if e.Resource.AssociatedData != "" || strings.Contains(string(r.body), "original_type") || e.ResourceType != "encrypt-resource" {
			w.t.Errorf("envelope = %s", r.body)
		}
		var content map[string]any
		if err := json.Unmarshal(plain, &content); err != nil {
			w.t.Fatal(err)
		}
		content["url"] = r.url
		all = append(all, content)
	}
	return all
}

func TestTwoNoticesTellOfAMixedOrder(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t)
	mix, err := w.payMixed("ORDER001", map[string]any{"extends": "{}"})
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for w.sim.Step(t.Context()) {
		steps++
	}
	if steps != 2 {
		t.Errorf("%d notices, want the cash order's and the mixed order's", steps)
	}
	var want map[string]any
	if err := json.Unmarshal([]byte(mixedBody("ORDER001", w.sim.books.mixed["ORDER001"].Request.PrepayID, nil)), &want); err != nil {
		t.Fatal(err)
	}
	delete(want, "payer")
	delete(want, "passthrough_request_content")
	for k, v := range map[string]any{"mix_trade_no": mix, "mix_pay_status": "MIX_PAY_SUCCESS", "self_pay_status": "SELF_PAY_SUCCESS",
		"med_ins_pay_status": "MED_INS_PAY_SUCCESS", "paid_time": "2026-11-23T10:00:00+08:00", "url": "https://pay.example.com/callbacks/wechatpay/h2"} {
		want[k] = v
	}
	if diff := cmp.Diff([]map[string]any{want}, w.mixedNotices()); diff != "" {
		t.Errorf("notice (-want +got):\n%s", diff)
	}
	if truth := w.sim.Truth(); !truth.Mixed[0].Notified || len(truth.Notices) != 0 {
		t.Errorf("truth = %+v", truth)
	}
}

func TestMixedNoticeLeavesOutThePartThatIsNotThere(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change map[string]any
		absent string
		states []any
	}{
		"insurance only": {with(insured(), map[string]any{"wechat_pay_cash_fee": 0}), "wechat_pay_cash_fee", []any{"NO_SELF_PAY", "MED_INS_PAY_SUCCESS"}},
		"cash only":      {with(cash(), map[string]any{"med_ins_gov_fee": 0}), "med_ins_gov_fee", []any{"SELF_PAY_SUCCESS", "NO_MED_INS_PAY"}},
	} {
		w, _ := mixedWorld(t)
		if _, err := w.payMixed("ORDER001", tt.change); err != nil {
			t.Fatal(err)
		}
		for w.sim.Step(t.Context()) {
		}
		got := w.mixedNotices()
		if len(got) != 1 {
			t.Fatalf("%s: %d notices", name, len(got))
		}
		if _, there := got[0][tt.absent]; there || !cmp.Equal([]any{got[0]["self_pay_status"], got[0]["med_ins_pay_status"]}, tt.states) {
			t.Errorf("%s: %v", name, got[0])
		}
	}
}

func TestMixedNoticeEndsAfterThirtySeconds(t *testing.T) {
	t.Parallel()
	for pace, end := range map[int64]time.Duration{1: 30 * time.Second, 10: 3 * time.Second} {
		w, _ := mixedWorld(t, func(c *Config) { c.Pace = clockPace(pace) })
		w.reply = 500
		if _, err := w.payMixed("ORDER001", insured()); err != nil {
			t.Fatal(err)
		}
		began, last := w.clock.Now(), w.clock.Now()
		for w.clock.Now().Sub(began) < 48*time.Hour/time.Duration(pace*100) {
			for w.sim.Step(t.Context()) {
				last = w.clock.Now()
			}
			w.clock.Advance(50 * time.Millisecond)
		}
		if got := len(w.mixedNotices()); got != 6 || last.Sub(began) > end+100*time.Millisecond || last.Sub(began) < end {
			t.Errorf("pace %d: %d tries, the last after %v", pace, got, last.Sub(began))
		}
		if truth := w.sim.Truth(); truth.Mixed[0].Notified || len(truth.Notices) != 1 || !truth.Notices[0].GivenUp {
			t.Errorf("truth = %+v", truth)
		}
	}
}

func TestMixedNoticeIsLostWithTime(t *testing.T) {
	t.Parallel()
	w, _ := mixedWorld(t, func(c *Config) { c.Journal = filepath.Join(t.TempDir(), "journal") })
	w.reply = 500
	if _, err := w.payMixed("ORDER001", insured()); err != nil {
		t.Fatal(err)
	}
	w.sim.Step(t.Context())
	w.clock.Advance(time.Hour)
	w.reply = 204
	w.open() // WeChat itself stood still: nothing is made up for
	for w.sim.Step(t.Context()) {
	}
	if got := len(w.mixedNotices()); got != 1 {
		t.Errorf("%d messages, want the first alone", got)
	}
	if truth := w.sim.Truth(); truth.Mixed[0].Notified || !truth.Notices[0].GivenUp || truth.Notices[0].Tries != 1 {
		t.Errorf("truth = %+v", truth)
	}
	w.expect("ORDER001", "MIX_PAY_SUCCESS NO_SELF_PAY MED_INS_PAY_SUCCESS")
}

func TestMixedNoticesGoWrong(t *testing.T) {
	t.Parallel()
	for fault, came := range map[sandbox.Fault]int{sandbox.LoseBefore: 0, sandbox.LoseAfter: 1, sandbox.Repeat: 2, sandbox.ChangeAmount: 1} {
		w, _ := mixedWorld(t)
		_, _ = w.payMixed("ORDER001", insured())
		w.plan.Script(sandbox.Script{Op: "mixed_notice", Key: "ORDER001", Fault: fault})
		w.sim.Step(t.Context())
		got := w.mixedNotices()
		if len(got) != came {
			t.Errorf("%s: %d messages, want %d", fault, len(got), came)
		}
		if fault == sandbox.ChangeAmount && (got[0]["total_fee"] != 10001.0 || got[0]["med_ins_gov_fee"] != 9001.0) {
			t.Errorf("another amount: %v", got[0])
		}
	}
}
