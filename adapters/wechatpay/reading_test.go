package wechatpay_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/recon"
)

var bills = []string{"trade_all.csv", "trade_success.csv", "trade_refund.csv", "trade_legacy.csv", "fund_basic.csv"}

// goldenBill is a bill written by the official column lists, not by the simulator.
func goldenBill(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "bills", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// books are both readers, of a merchant number that is ours alone or not.
func books(t testing.TB, shared bool) (trade, fund recon.Statements) {
	t.Helper()
	cfg := config(clock.NewFake(start), nil)
	cfg.SharedMerchant = shared
	c, err := wechatpay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c.TradeBills(), c.FundBills()
}

// bookOf is the reader of a golden bill, and the statement that it is.
func bookOf(t testing.TB, name string, shared bool) (recon.Statements, recon.Statement) {
	t.Helper()
	trade, fund := books(t, shared)
	if strings.HasPrefix(name, "fund") {
		return fund, recon.Statement{Source: recon.WechatFund, Day: today, Part: "BASIC"}
	}
	return trade, recon.Statement{Source: recon.WechatTrade, Day: today}
}

// told writes lines for the golden file.
func told(lines []recon.Line) string {
	var b strings.Builder
	for _, l := range lines {
		leg := l.Leg
		if leg == recon.Foreign {
			leg = "foreign"
		}
		fmt.Fprintf(&b, "%d+%d %s %s %s", l.Place.Offset, l.Place.Length, l.At.In(clock.Shanghai).Format("15:04:05"), leg, l.Kind)
		if l.Status != recon.Done {
			fmt.Fprintf(&b, " (%s)", l.Status)
		}
		fmt.Fprintf(&b, " %s", l.Amount)
		if l.Fee != 0 {
			fmt.Fprintf(&b, " fee %d", l.Fee)
		}
		for n, no := range l.Numbers {
			if no != "" {
				fmt.Fprintf(&b, " %s=%s", recon.Number(n), no)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestGoldenBills: what each official layout says, and that every place leads back to its row.
func TestGoldenBills(t *testing.T) {
	t.Parallel()
	for _, name := range bills {
		for _, shared := range []bool{false, true} {
			book, of := bookOf(t, name, shared)
			file := goldenBill(t, name)
			lines, err := read(t, book, of, file)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			suffix := ".txt"
			if shared {
				suffix = ".shared.txt"
			}
			golden(t, filepath.Join("bills", strings.TrimSuffix(name, ".csv")+suffix), []byte(told(lines)))
			for _, l := range lines {
				row := file[l.Place.Offset : l.Place.Offset+int64(l.Place.Length)]
				if row[0] != '`' || strings.ContainsAny(row, "\r\n") || !strings.Contains(row, l.Amount.String()) || l.Source != of.Source || l.Tells != 0 {
					t.Errorf("%s: %+v stands at %q", name, l, row)
				}
			}
		}
	}
}

func TestBillForms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, bill, old, new string
		ok                   bool
	}{
		{"line feeds only", "trade_all.csv", "\r", "", true},
		{"byte-order mark", "trade_all.csv", "交易时间", "\xef\xbb\xbf交易时间", true},
		{"no end of the last line", "trade_all.csv", "`142.33\r\n", "`142.33", true},
		{"empty lines at the end", "trade_all.csv", "`142.33\r\n", "`142.33\r\n\r\n\n", true},
		{"comma inside a value", "trade_all.csv", "`自助机缴费", "`自助,机,缴费", true},
		{"backtick inside a value", "trade_all.csv", "`自助机缴费", "`自助`机缴费", true},
		{"count with a decimal", "trade_all.csv", "`10,`243.96", "`10.0,`243.96", true},
		{"numbers empty instead of 0", "trade_all.csv", "`0,`0,`0.00,`0.00,`,`", "`,`,`0.00,`0.00,`,`", true},
		{"one decimal", "trade_all.csv", "`123.45,`0.00,`\r", "`123.450,`0,`\r", true},
		{"an unknown column, not needed", "trade_all.csv", "费率备注", "备注", true},
		{"a unit in brackets", "trade_all.csv", "订单金额,申请退款金额", "订单金额(元),申请退款金额（元）", true},
		{"more after the summary", "trade_all.csv", "`142.33\r\n", "`142.33\r\n`1\r\n", false},
		{"another order amount", "trade_all.csv", "`123.45,`0.00,`\r", "`123.46,`0.00,`\r", false},
		{"another settled amount", "trade_all.csv", "`95.00", "`95.01", false},
		{"another fee", "trade_all.csv", "`0.15300", "`0.15301", false},
		{"another refund", "trade_all.csv", "`0.00,`33.33,`\r", "`0.00,`33.34,`\r", false},
		{"a value too few", "trade_all.csv", ",`CNY", "", false},
		{"a value too many", "trade_all.csv", ",`CNY", ",`CNY,`CNY", false},
		{"a needed column missing", "trade_all.csv", "订单金额,申请退款金额", "甲,申请退款金额", false},
		{"a refund's column missing", "trade_all.csv", "退款状态", "状态", false},
		{"a sum missing", "trade_all.csv", "退款总金额", "总额", false},
		{"a column twice", "trade_all.csv", "商户号,特约商户号", "商户号,商户号", false},
		{"no backtick", "trade_all.csv", "`2026-11-23 09:12:45", "2026-11-23 09:12:45", false},
		{"no time", "trade_all.csv", "`2026-11-23 09:12:45", "`soon", false},
		{"the thirtieth of February", "trade_all.csv", "`2026-11-23 09:12:45", "`2026-02-30 09:12:45", false},
		{"the 25th hour", "trade_all.csv", "`2026-11-23 09:12:45", "`2026-11-23 25:12:45", false},
		{"letters in a time", "trade_all.csv", "`2026-11-23 09:12:45", "`2026-11-23 0x:12:45", false},
		{"a moment into the next day", "trade_all.csv", "`2026-11-23 23:59:59", "`2026-11-24 00:00:05", true},
		{"another day", "trade_all.csv", "`2026-11-23 09:12:45", "`2026-11-22 09:12:45", false},
		{"another merchant", "trade_all.csv", "1900000109", "1900000110", false},
		{"three decimals", "trade_all.csv", "`123.45,`0.00,`\r", "`123.451,`0.00,`\r", false},
		{"a negative payment", "trade_all.csv", "`123.45,`0.00,`\r", "`-123.45,`0.00,`\r", false},
		{"a payment with a refund's amount", "trade_all.csv", "`123.45,`0.00,`\r", "`123.45,`0.01,`\r", false},
		{"fee of six decimals", "trade_all.csv", "`0.74000", "`0.740001", false},
		{"fee of letters", "trade_all.csv", "`0.74000", "`0.7e0", false},
		{"no order number", "trade_all.csv", "`MZ2026112300017,", "`0,", false},
		{"a number with a blank", "trade_all.csv", "`MZ2026112300017,", "`MZ 2026112300017,", false},
		{"refund without its own number", "trade_all.csv", "`TK-0007,", "`0,", false},
		{"refund without WeChat's number", "trade_all.csv", "`50303802752026112359283746501,", "`0,", false},
		{"summary without number", "trade_all.csv", "`10,`243.96", "`ten,`243.96", false},
		{"summary short", "trade_all.csv", "`10,`243.96,", "`243.96,", false},
		{"summary amount odd", "trade_all.csv", "`0.64900", "`x", false},
		{"no backtick in the summary", "trade_all.csv", "`10,`243.96", "10,243.96", false},
		{"no summary", "trade_all.csv", "总交易单数", "总", false},
		{"not UTF-8", "trade_all.csv", "自助机", "\xd7\xd4", false},
		{"a line too long", "trade_all.csv", "自助机", strings.Repeat("x", 64<<10), false},
		{"a long line", "trade_all.csv", "自助机", strings.Repeat("x", 60<<10), true},
		{"full-width brackets", "fund_basic.csv", "收支金额(元),账户结余(元)", "收支金额（元）,账户结余（元）", true},
		{"count without decimal", "fund_basic.csv", "`14.0", "`14", true},
		{"another amount", "fund_basic.csv", "`收入,`123.45", "`收入,`123.46", false},
		{"another direction", "fund_basic.csv", "`收入,`123.45", "`支出,`123.45", false},
		{"odd direction", "fund_basic.csv", "`收入,`123.45", "`不计,`123.45", false},
		{"odd balance", "fund_basic.csv", "`1122.71", "`x", false},
		{"a balance that does not follow", "fund_basic.csv", "`1222.14", "`1222.15", false},
		{"odd sum", "fund_basic.csv", "`300.14", "`x", false},
		{"another count of income", "fund_basic.csv", "`6.0", "`7.0", false},
		{"half a flow", "fund_basic.csv", "`14.0", "`14.5", false},
		{"a flow without number", "fund_basic.csv", "`1101000012026112300000000", "`", false},
		{"a payment without number", "fund_basic.csv", "`4200002745202611239301846275", "`0", false},
		{"no summary of flows", "fund_basic.csv", "资金流水总笔数", "总", false},
		{"no balances", "fund_basic.csv", "账户结余", "结余", false},
	}
	for _, tt := range tests {
		book, of := bookOf(t, tt.bill, false)
		right := goldenBill(t, tt.bill)
		if !strings.Contains(right, tt.old) {
			t.Fatalf("%s: no %q in the golden bill", tt.name, tt.old)
		}
		count := 1
		if tt.old == "\r" {
			count = -1
		}
		want, _ := read(t, book, of, right)
		lines, err := read(t, book, of, strings.Replace(right, tt.old, tt.new, count))
		if (err == nil) != tt.ok || (tt.ok && len(lines) != len(want)) || (err != nil && !errors.Is(err, recon.ErrForm)) {
			t.Errorf("%s: %d lines, %v", tt.name, len(lines), err)
		}
	}
	for _, file := range []string{"", "\n", "交易时间", goldenBill(t, "fund_basic.csv"), "\xef\xbb\xbf"} {
		trade, _ := books(t, false)
		if _, err := read(t, trade, recon.Statement{Day: today}, file); !errors.Is(err, recon.ErrForm) {
			t.Errorf("%.20q: %v", file, err)
		}
	}
}

// TestReadingStops: what the caller and the disk say is passed on, and is no fault of the file.
func TestReadingStops(t *testing.T) {
	t.Parallel()
	for _, name := range bills {
		book, of := bookOf(t, name, false)
		file := goldenBill(t, name)
		enough := errors.New("enough")
		rows := 0
		err := book.Read(of, strings.NewReader(file), func(recon.Line) error {
			rows++
			return enough
		})
		if !errors.Is(err, enough) || rows != 1 {
			t.Errorf("%s: after %d rows %v", name, rows, err)
		}
		torn := errors.New("torn")
		err = book.Read(of, io.MultiReader(strings.NewReader(file[:len(file)/2]), tornFile{torn}), func(recon.Line) error { return nil })
		if !errors.Is(err, torn) || errors.Is(err, recon.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type tornFile struct{ err error }

func (b tornFile) Read([]byte) (int, error) { return 0, b.err }

// TestErrorsQuoteNothing: what a refusal says names line and column, and nothing of the file.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	book, of := bookOf(t, "trade_all.csv", false)
	file := strings.Replace(goldenBill(t, "trade_all.csv"), "`0.15300", "`0.153x1", 1)
	_, err := read(t, book, of, file)
	if err == nil || !strings.HasSuffix(err.Error(), "line 6, column 手续费: not an amount") {
		t.Errorf("error = %v", err)
	}
	in := bufio.NewScanner(strings.NewReader(file))
	for in.Scan() {
		for _, value := range strings.Split(in.Text(), ",`") {
			if len(value) > 9 && strings.Contains(fmt.Sprint(err), value) {
				t.Errorf("the error tells %q", value)
			}
		}
	}
}
