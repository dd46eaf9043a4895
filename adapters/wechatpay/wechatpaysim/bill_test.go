package wechatpaysim

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// bill asks for a bill and fetches it; code is WeChat's refusal.
func (w *world) bill(uri string) (file []byte, code string) {
	w.t.Helper()
	a := w.call("GET", uri, "")
	if a.status != 200 {
		return nil, a.code
	}
	var offer billAnswer
	a.into(w.t, &offer)
	path, ok := strings.CutPrefix(offer.DownloadURL, "https://api.mch.weixin.qq.com")
	if !ok || offer.HashType != "SHA1" {
		w.t.Fatalf("offer = %+v", offer)
	}
	r := w.request("GET", path, "")
	r.Header.Del("Wechatpay-Serial")
	got := w.do(r)
	if got.status != 200 || got.header.Get("Wechatpay-Signature") != "" {
		w.t.Fatalf("download: %d %v", got.status, got.header)
	}
	file = got.body
	if strings.Contains(uri, "GZIP") {
		z, err := gzip.NewReader(bytes.NewReader(file))
		if err != nil {
			w.t.Fatal(err)
		}
		if file, err = io.ReadAll(z); err != nil {
			w.t.Fatal(err)
		}
	}
	if sum := sha1.Sum(file); hex.EncodeToString(sum[:]) != offer.HashValue {
		w.t.Errorf("hash = %s, want %x", offer.HashValue, sum)
	}
	return file, ""
}

// busyDay has two payments and three refunds, one of which closes the next day, and an unpaid order.
func busyDay(t *testing.T) *world {
	w := newWorld(t)
	w.paid("ORDER001", 10000)
	w.clock.Advance(time.Minute)
	w.paid("ORDER002", 1)
	w.prepay(orderBody("ORDER003", 500, nil))
	w.call("POST", refunds, refundBody("ORDER001", "R1", 3333, 10000, nil))
	w.clock.Advance(10 * time.Minute)
	w.call("POST", refunds, refundBody("ORDER002", "R2", 1, 1, nil))
	_ = w.sim.ScriptRefunds("R3", refundProcessing, 1)
	w.call("POST", refunds, refundBody("ORDER001", "R3", 100, 10000, nil))
	_ = w.sim.Deposit(5000)
	w.clock.Advance(24 * time.Hour)
	_ = w.sim.SettleRefund("R3", refundClosed)
	return w
}

func TestBillsAreAsWeChatWritesThem(t *testing.T) {
	t.Parallel()
	w := busyDay(t)
	for _, tt := range []struct {
		name, uri string
		later     time.Duration
	}{
		{"trade_all.csv", "/v3/bill/tradebill?bill_date=2026-11-23&bill_type=ALL&tar_type=GZIP", 0},
		{"trade_success.csv", "/v3/bill/tradebill?bill_date=2026-11-23&bill_type=SUCCESS", 0},
		{"trade_refund.csv", "/v3/bill/tradebill?bill_date=2026-11-23&bill_type=REFUND", 0},
		{"fund_flow.csv", "/v3/bill/fundflowbill?bill_date=2026-11-23&tar_type=GZIP", 0},
		{"fund_flow_24.csv", "/v3/bill/fundflowbill?bill_date=2026-11-24&account_type=BASIC", 24 * time.Hour},
	} {
		w.clock.Advance(tt.later)
		file, code := w.bill(tt.uri)
		if code != "" {
			t.Errorf("%s: %s", tt.name, code)
			continue
		}
		golden(t, tt.name, file)
	}
	all, _ := w.bill("/v3/bill/tradebill?bill_date=2026-11-23")
	lines := strings.Split(strings.TrimSuffix(string(all), "\r\n"), "\r\n")
	if n := strings.Count(lines[0], ","); n != 26 || len(lines) != 1+5+2 {
		t.Errorf("%d commas, %d lines", n, len(lines))
	}
}

func TestBillsHaveTheirTime(t *testing.T) {
	t.Parallel()
	w := busyDay(t) // it is 10:11 on the 24th
	tests := []struct{ name, uri, code string }{
		{"today", "/v3/bill/tradebill?bill_date=2026-11-24", "PARAM_ERROR"},
		{"tomorrow", "/v3/bill/tradebill?bill_date=2026-11-25", "PARAM_ERROR"},
		{"a day without trade", "/v3/bill/tradebill?bill_date=2026-11-22", "NO_STATEMENT_EXIST"},
		{"last year", "/v3/bill/tradebill?bill_date=2025-11-23", "PARAM_ERROR"},
		{"no date", "/v3/bill/tradebill", "PARAM_ERROR"},
		{"odd kind", "/v3/bill/tradebill?bill_date=2026-11-23&bill_type=ODD", "PARAM_ERROR"},
		{"odd packing", "/v3/bill/tradebill?bill_date=2026-11-23&tar_type=ZIP", "PARAM_ERROR"},
		{"odd account", "/v3/bill/fundflowbill?bill_date=2026-11-23&account_type=MINE", "PARAM_ERROR"},
		{"unused account", "/v3/bill/fundflowbill?bill_date=2026-11-23&account_type=FEES", "NO_STATEMENT_EXIST"},
		{"no flow date", "/v3/bill/fundflowbill", "PARAM_ERROR"},
	}
	for _, tt := range tests {
		if _, code := w.bill(tt.uri); code != tt.code {
			t.Errorf("%s: %s, want %s", tt.name, code, tt.code)
		}
	}
	w.clock.Advance(-time.Hour) // 9:11
	if _, code := w.bill("/v3/bill/tradebill?bill_date=2026-11-23"); code != "STATEMENT_CREATING" {
		t.Errorf("at nine: %s", code)
	}
	w = newWorld(t, func(c *Config) { c.BillsAtOnce = true })
	w.paid("ORDER001", 10)
	if _, code := w.bill("/v3/bill/tradebill?bill_date=2026-11-23"); code != "" {
		t.Errorf("at once: %s", code)
	}
	a := w.call("GET", "/v3/bill/tradebill?bill_date=2026-11-23", "")
	var offer billAnswer
	a.into(t, &offer)
	path := strings.TrimPrefix(offer.DownloadURL, "https://api.mch.weixin.qq.com")
	w.clock.Advance(5 * time.Minute)
	if a := w.call("GET", path, ""); a.code != "PARAM_ERROR" {
		t.Errorf("after five minutes: %d %s", a.status, a.code)
	}
	r := w.request("GET", path, "")
	r.Header.Del("Authorization")
	if a := w.do(r); a.code != "SIGN_ERROR" {
		t.Errorf("unsigned: %d %s", a.status, a.code)
	}
}

func TestBillDayIsBeijing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.Advance(14*time.Hour - time.Microsecond) // 23:59:59.999999
	w.paid("ORDER001", 10)
	w.clock.Advance(time.Microsecond)
	w.paid("ORDER002", 10)
	w.clock.Advance(48 * time.Hour)
	for day, order := range map[string]string{"2026-11-23": "ORDER001", "2026-11-24": "ORDER002"} {
		file, code := w.bill("/v3/bill/tradebill?bill_date=" + day)
		if code != "" || !strings.Contains(string(file), order) || strings.Count(string(file), "ORDER00") != 1 {
			t.Errorf("%s: %s\n%s", day, code, file)
		}
	}
	_ = w.sim.Step(context.Background())
}
