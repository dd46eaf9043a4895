package wechatpaysim

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// unseal checks a notice's signature and opens it.
func (w *world) unseal(r received) (envelope, []byte) {
	w.t.Helper()
	if !verify(&wechatKey().PublicKey, r.header.Get("Wechatpay-Timestamp")+"\n"+r.header.Get("Wechatpay-Nonce")+"\n"+
		string(r.body)+"\n", r.header.Get("Wechatpay-Signature")) {
		w.t.Error("notice is not signed by WeChat")
	}
	var e envelope
	if err := json.Unmarshal(r.body, &e); err != nil {
		w.t.Fatal(err)
	}
	block, _ := aes.NewCipher([]byte(testV3))
	gcm, _ := cipher.NewGCM(block)
	sealed, _ := base64.StdEncoding.DecodeString(e.Resource.Ciphertext)
	plain, err := gcm.Open(nil, []byte(e.Resource.Nonce), sealed, []byte(e.Resource.AssociatedData))
	if err != nil {
		w.t.Fatal(err)
	}
	return e, plain
}

func TestNoticesTellOfPaymentAndRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	w.paid("ORDER001", 1000)
	w.call("POST", refunds, refundBody("ORDER001", "R1", 10, 1000, nil))
	if !w.sim.Step(ctx) || w.sim.Step(ctx) {
		t.Fatal("want one notice now")
	}
	e, plain := w.unseal(w.received()[0])
	var paid transaction
	if err := json.Unmarshal(plain, &paid); err != nil {
		t.Fatal(err)
	}
	if e.EventType != "TRANSACTION.SUCCESS" || e.ResourceType != "encrypt-resource" || e.Resource.OriginalType != "transaction" ||
		paid.OutTradeNo != "ORDER001" || paid.TradeState != "SUCCESS" || paid.Amount.Total != 1000 {
		t.Errorf("notice = %+v %s", e, plain)
	}
	if got := w.received()[0].url; got != "https://pay.example.com/callbacks/wechatpay/h1" {
		t.Errorf("url = %s", got)
	}
	w.clock.Advance(5 * time.Minute)
	w.sim.Step(ctx)
	e, plain = w.unseal(w.received()[1])
	var back refundNotice
	if err := json.Unmarshal(plain, &back); err != nil {
		t.Fatal(err)
	}
	if e.EventType != "REFUND.SUCCESS" || e.Resource.OriginalType != "refund" || back.OutRefundNo != "R1" ||
		back.RefundStatus != "SUCCESS" || back.SuccessTime != "2026-11-23T10:05:00+08:00" || back.Amount.Refund != 10 {
		t.Errorf("notice = %+v %s", e, plain)
	}
	if truth := w.sim.Truth(); len(truth.Notices) != 0 {
		t.Errorf("open notices = %+v", truth.Notices)
	}
}

func TestNoticesComeAgainBySchedule(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 204, 201, 302, 401, 500} {
		w := newWorld(t)
		w.reply = status
		w.paid("ORDER001", 1000)
		began := w.clock.Now()
		tries := 0
		for w.clock.Now().Sub(began) < 48*time.Hour {
			for w.sim.Step(context.Background()) {
				tries++
			}
			w.clock.Advance(5 * time.Second)
		}
		want := 16
		if status == 200 || status == 204 {
			want = 1
		}
		if tries != want {
			t.Errorf("status %d: %d tries, want %d", status, tries, want)
		}
		if open := w.sim.Truth().Notices; want == 16 && (len(open) != 1 || !open[0].GivenUp) {
			t.Errorf("status %d: notices = %+v", status, open)
		}
	}
	var sum time.Duration
	for _, d := range waits {
		sum += d
	}
	if sum != 24*time.Hour+4*time.Minute {
		t.Errorf("schedule lasts %v, want 24h4m", sum)
	}
}

func TestNoticesSurviveAKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Journal = filepath.Join(t.TempDir(), "journal") })
	w.reply = 500
	w.paid("ORDER001", 1000)
	w.sim.Step(context.Background())
	w.open()
	if w.sim.Step(context.Background()) {
		t.Error("came again at once")
	}
	w.clock.Advance(15 * time.Second)
	w.reply = 204
	if !w.sim.Step(context.Background()) || w.sim.Step(context.Background()) {
		t.Error("want the second try, once")
	}
	first, _ := w.unseal(w.received()[0])
	second, _ := w.unseal(w.received()[1])
	if first.ID != second.ID || w.received()[0].header.Get("Wechatpay-Nonce") == w.received()[1].header.Get("Wechatpay-Nonce") {
		t.Error("want the same envelope id under a fresh signature")
	}
	w.open()
	w.clock.Advance(time.Hour)
	if w.sim.Step(context.Background()) {
		t.Error("an accepted notice came again")
	}
}

func TestNoticesGoWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault sandbox.Fault
		came  int // messages that the first step brings to the merchant
		again bool
	}{
		{sandbox.LoseBefore, 0, true},
		{sandbox.LoseAfter, 1, true},
		{sandbox.ErrorBefore, 0, true},
		{sandbox.ErrorAfter, 1, true},
		{sandbox.Repeat, 2, false},
		{sandbox.Slow, 1, false},
		{sandbox.ChangeAmount, 1, false},
	}
	for _, tt := range tests {
		w := newWorld(t)
		w.paid("ORDER001", 1000)
		w.plan.Script(sandbox.Script{Op: "notice", Key: "ORDER001", Fault: tt.fault})
		w.sim.Step(context.Background())
		if got := len(w.received()); got != tt.came {
			t.Errorf("%s: %d messages, want %d", tt.fault, got, tt.came)
		}
		if open := len(w.sim.Truth().Notices) == 1; open != tt.again {
			t.Errorf("%s: comes again = %v, want %v", tt.fault, open, tt.again)
		}
		if tt.fault == sandbox.ChangeAmount {
			if _, plain := w.unseal(w.received()[0]); !strings.Contains(string(plain), `"total":1001`) {
				t.Errorf("content = %s", plain)
			}
		}
	}
	w := newWorld(t)
	w.paid("ORDER001", 1000)
	w.call("POST", refunds, refundBody("ORDER001", "R1", 10, 1000, nil))
	w.sim.Step(context.Background())
	w.clock.Advance(time.Hour)
	w.plan.Script(sandbox.Script{Op: "notice", Key: "R1", Fault: sandbox.ChangeAmount})
	w.sim.Step(context.Background())
	if _, plain := w.unseal(w.received()[1]); !strings.Contains(string(plain), `"refund":11`) {
		t.Errorf("content = %s", plain)
	}
}

func TestNoticesNeedSomebodyToNotify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Notify, c.Plan = nil, nil })
	w.paid("ORDER001", 1000)
	if w.sim.Step(context.Background()) {
		t.Error("delivered to nobody")
	}
	w = newWorld(t, func(c *Config) {
		c.Plan = nil
		c.Notify = sandbox.Transport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	})
	w.paid("ORDER001", 1000)
	ctx, cancel := context.WithCancel(context.Background())
	if !w.sim.Step(ctx) || len(w.sim.Truth().Notices) != 1 {
		t.Error("want one failed try")
	}
	cancel()
	if w.sim.Step(ctx) {
		t.Error("worked after the end")
	}
}
