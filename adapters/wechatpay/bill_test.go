package wechatpay_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestBillsOfTheSimulator(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.paid(order1)
	if _, err := w.Refund(ctx, w.refundBody("RF1")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.TradeBill(ctx, clock.Day(start.AddDate(0, 0, -1))); !errors.Is(err, wechatpay.ErrNoBill) {
		t.Errorf("the day before: %v", err)
	}
	w.clock.Advance(23*time.Hour + 30*time.Minute)
	if _, err := w.TradeBill(ctx, clock.Day(start)); !errors.Is(err, wechatpay.ErrBillNotReady) {
		t.Errorf("at half past nine: %v", err)
	}
	w.clock.Advance(time.Hour)
	file, err := w.TradeBill(ctx, clock.Day(start))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := wechatpay.ParseTradeBill(file)
	if err != nil || len(lines) != 2 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	truth := w.sim.Truth().Orders[0]
	want := []wechatpay.TradeLine{
		{At: start.UTC(), AppID: testApp, MchID: testMch, TransactionID: truth.TransactionID, OutTradeNo: order1,
			OpenID: sensitive.NewOpenID(testOpenID), State: "SUCCESS", Total: 12345, Fee: 74_000, Attach: "o1"},
		{At: start.UTC(), AppID: testApp, MchID: testMch, TransactionID: truth.TransactionID, OutTradeNo: order1,
			OpenID: sensitive.NewOpenID(testOpenID), State: "REFUND", RefundID: truth.Refunds[0].RefundID, OutRefundNo: "RF1",
			RefundState: "SUCCESS", Refund: 345, Fee: -2_000, Attach: "o1"}}
	if diff := cmp.Diff(want, lines, cmp.Comparer(sensitive.OpenID.Equal)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if file, err = w.FundFlowBill(ctx, clock.Day(start)); err != nil {
		t.Fatal(err)
	}
	flows, err := wechatpay.ParseFundFlowBill(file)
	if err != nil || len(flows) != 4 {
		t.Fatalf("%+v, %v", flows, err)
	}
	sum := money.Fen(100_000)
	for _, f := range flows {
		if sum += f.Amount; f.Balance != sum || f.FlowID == "" || f.Number == "" {
			t.Errorf("flow = %+v, want balance %v", f, sum)
		}
	}
	if sum != w.sim.Truth().BalanceFen {
		t.Errorf("balance = %v, want %v", sum, w.sim.Truth().BalanceFen)
	}
}

// offering answers with an offer of that address and hash, then with that file.
func offering(address, hashType, hash string, status int, file []byte) http.RoundTripper {
	return sandbox.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v3/bill/") {
			signed(w, time.Now(), 200, fmt.Sprintf(`{"hash_type":%q,"hash_value":%q,"download_url":%q}`, hashType, hash, address))
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write(file)
	}))
}

func TestBillFilesMustBeWhatWasPromised(t *testing.T) {
	t.Parallel()
	file := []byte("a bill")
	sum := sha1.Sum(file)
	hash := hex.EncodeToString(sum[:])
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(file)
	_ = z.Close()
	const there = "https://api.mch.weixin.qq.com/v3/billdownload/file?token=a%2Fb"
	tests := []struct {
		name string
		over http.RoundTripper
		ok   bool
	}{
		{"plain", offering(there, "SHA1", hash, 200, file), true},
		{"packed", offering(there, "SHA1", strings.ToUpper(hash), 200, packed.Bytes()), true},
		{"second domain", offering(strings.Replace(there, "api.", "api2.", 1), "SHA1", hash, 200, file), true},
		{"another host", offering("https://evil.example.com/x", "SHA1", hash, 200, file), false},
		{"plain http", offering(strings.Replace(there, "https", "http", 1), "SHA1", hash, 200, file), false},
		{"another hash kind", offering(there, "MD5", hash, 200, file), false},
		{"another file", offering(there, "SHA1", hash, 200, []byte("b bill")), false},
		{"cut pack", offering(there, "SHA1", hash, 200, packed.Bytes()[:15]), false},
		{"broken pack", offering(there, "SHA1", hash, 200, []byte{0x1f, 0x8b, 1}), false},
		{"202", offering(there, "SHA1", hash, 202, file), false},
		{"500", offering(there, "SHA1", hash, 500, file), false},
	}
	for _, tt := range tests {
		c := newClient(t, clock.NewFake(start), tt.over)
		got, err := c.TradeBill(t.Context(), clock.Day(start))
		if tt.ok && (err != nil || string(got) != string(file)) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		if !tt.ok && !errors.Is(err, payment.ErrUnknown) {
			t.Errorf("%s: %v, want unknown", tt.name, err)
		}
	}
}

func goldenBill(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("wechatpaysim/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTradeBillForm(t *testing.T) {
	t.Parallel()
	right := goldenBill(t, "trade_all.csv")
	cut := strings.SplitAfter(right, "\n")
	replaced := func(old, new string) string {
		if !strings.Contains(right, old) {
			t.Fatalf("no %q in the golden bill", old)
		}
		return strings.Replace(right, old, new, 1)
	}
	tests := []struct {
		name, file string
		ok         bool
	}{
		{"right", right, true},
		{"line feeds only, byte-order mark", "\xef\xbb\xbf" + strings.ReplaceAll(right, "\r", ""), true},
		{"comma inside a value", replaced("`门诊缴费", "`门诊,缴费"), true},
		{"count with a decimal", replaced("`5,`100.01", "`5.0,`100.01"), true},
		{"a row missing", strings.Join(append(append([]string{}, cut[:2]...), cut[3:]...), ""), false},
		{"another order amount", replaced("`100.00,`0.00,`\r\n", "`100.01,`0.00,`\r\n"), false},
		{"another fee", replaced("`0.60000", "`0.60001"), false},
		{"another refund", replaced("`33.33,`\r\n", "`33.34,`\r\n"), false},
		{"a column too few", replaced(",`CNY", ""), false},
		{"a needed column missing", replaced("订单金额,申请退款金额", "甲,申请退款金额"), false},
		{"a column twice", replaced("商户号,特约商户号", "商户号,商户号"), false},
		{"no backtick", replaced("`2026-11-23 10:00:00", "2026-11-23 10:00:00"), false},
		{"no time", replaced("`2026-11-23 10:00:00", "`soon"), false},
		{"three decimals", replaced("`100.00,`0.00,`\r\n", "`100.001,`0.00,`\r\n"), false},
		{"fee of six decimals", replaced("`0.60000", "`0.600001"), false},
		{"fee of letters", replaced("`0.60000", "`0.6e0"), false},
		{"no order number", replaced("`ORDER001,", "`0,"), false},
		{"refund without its own number", replaced("`R1,", "`0,"), false},
		{"summary without number", replaced("`5,`100.01", "`five,`100.01"), false},
		{"summary short", replaced("`5,`100.01,", "`100.01,"), false},
		{"summary amount odd", replaced("`0.40000,`100.01", "`0.40000,`x"), false},
		{"no summary", strings.Join(cut[:3], ""), false},
		{"empty", "", false},
		{"not UTF-8", right + "\xff", false},
		{"fund flow", goldenBill(t, "fund_flow.csv"), false},
		{"an unknown column, not needed", replaced("费率备注", "备注"), true},
	}
	for _, tt := range tests {
		lines, err := wechatpay.ParseTradeBill([]byte(tt.file))
		if (err == nil) != tt.ok || (tt.ok && len(lines) != 5) || (err != nil && !errors.Is(err, wechatpay.ErrBillForm)) {
			t.Errorf("%s: %d lines, %v", tt.name, len(lines), err)
		}
	}
}

func TestFundFlowForm(t *testing.T) {
	t.Parallel()
	right := goldenBill(t, "fund_flow.csv")
	tests := []struct {
		name, old, new string
		ok             bool
	}{
		{"right", "", "", true},
		{"full-width brackets", "收支金额(元),账户结余(元)", "收支金额（元）,账户结余（元）", true},
		{"count without decimal", "`9.0", "`9", true},
		{"another amount", "`收入,`100.00", "`收入,`100.01", false},
		{"another direction", "`收入,`100.00", "`支出,`100.00", false},
		{"odd direction", "`收入,`100.00", "`不计,`100.00", false},
		{"odd balance", "`110.00", "`x", false},
		{"odd sum", "`150.21", "`x", false},
		{"no summary", "资金流水总笔数", "总", false},
	}
	for _, tt := range tests {
		lines, err := wechatpay.ParseFundFlowBill([]byte(strings.Replace(right, tt.old, tt.new, 1)))
		if (err == nil) != tt.ok || (tt.ok && len(lines) != 9) {
			t.Errorf("%s: %d lines, %v", tt.name, len(lines), err)
		}
	}
}

func FuzzParseBills(f *testing.F) {
	for _, name := range []string{"trade_all.csv", "trade_success.csv", "trade_refund.csv", "fund_flow.csv"} {
		f.Add([]byte(goldenBill(f, name)))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if lines, err := wechatpay.ParseTradeBill(file); err == nil {
			for _, l := range lines {
				if l.OutTradeNo == "" || l.TransactionID == "" {
					t.Errorf("line = %+v", l)
				}
			}
		}
		if lines, err := wechatpay.ParseFundFlowBill(file); err == nil && len(lines) > bytes.Count(file, []byte("\n")) {
			t.Error("more lines than the file has")
		}
	})
}
