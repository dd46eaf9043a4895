package wechatpay_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/recon"
)

// largeBill is a trade bill of so many payments, written while it is read.
type largeBill struct {
	rows, next int
	total, fee int64 // fen, thousandths of a fen
	page       []byte
}

// Read writes the next line when the last one was read.
func (b *largeBill) Read(p []byte) (int, error) {
	if len(b.page) == 0 && !b.write() {
		return 0, io.EOF
	}
	n := copy(p, b.page)
	b.page = b.page[n:]
	return n, nil
}

func (b *largeBill) write() bool {
	i := b.next
	b.next++
	yuan := func(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }
	five := func(milli int64) string { return fmt.Sprintf("%d.%05d", milli/100_000, milli%100_000) }
	switch {
	case i == 0:
		b.page = []byte("交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额," +
			"代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n")
	case i <= b.rows:
		total := int64(i%50_000 + 1)
		b.total, b.fee = b.total+total, b.fee+total*6
		b.page = fmt.Appendf(b.page[:0], "`2026-11-23 %02d:%02d:%02d,`wx0123456789abcdef,`1900000109,`0,`,`4200002745202611%012d,`2504%014dAb3dEf7H,"+
			"`oUpF8uMuAJO_M2pxb1Q9zNjWeS6o,`JSAPI,`SUCCESS,`CCB_DEBIT,`CNY,`%s,`0.00,`0,`0,`0.00,`0.00,`,`,`市第一人民医院-门诊缴费,`2504%014d,`%s,`0.60%%,`%s,`0.00,`\r\n",
			i/3600%24, i/60%60, i%60, i, i, yuan(total), i, five(total*6), yuan(total))
	case i == b.rows+1:
		b.page = fmt.Appendf(b.page[:0], "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n`%d,`%s,`0.00,`0.00,`%s,`%s,`0.00\r\n",
			b.rows, yuan(b.total), five(b.fee), yuan(b.total))
	default:
		return false
	}
	return true
}

// TestLargeBill: a bill is never in memory.
func TestLargeBill(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const rows = 100_000
	book, of := bookOf(t, "trade_all.csv", true)
	before, read := heap(), 0
	err := book.Read(of, &largeBill{rows: rows}, func(l recon.Line) error {
		if read++; read%(rows/2) == 0 {
			if now := heap(); now > before+4<<20 {
				t.Errorf("after %d rows %d KB are in use", read, (now-before)>>10)
			}
		}
		if l.Leg != recon.Cash || l.Numbers[recon.OrderNo] == "" {
			t.Fatalf("row %d = %+v", read, l)
		}
		return nil
	})
	if err != nil || read != rows {
		t.Errorf("%d rows, %v", read, err)
	}
}

// BenchmarkReadTradeBill reads a bill of 200,000 rows.
func BenchmarkReadTradeBill(b *testing.B) {
	const rows = 200_000
	file, err := io.ReadAll(&largeBill{rows: rows})
	if err != nil {
		b.Fatal(err)
	}
	book, of := bookOf(b, "trade_all.csv", false)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := book.Read(of, bytes.NewReader(file), func(recon.Line) error { n++; return nil }); err != nil || n != rows {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// fuzzBill reads any bytes as a bill: refused by kind, or every line is whole and stands where it says.
func fuzzBill(f *testing.F, prefix string) {
	for _, name := range bills {
		if strings.HasPrefix(name, prefix) {
			f.Add([]byte(goldenBill(f, name)), true)
		}
	}
	alone, of := bookOf(f, prefix, false)
	together, _ := bookOf(f, prefix, true)
	f.Fuzz(func(t *testing.T, file []byte, shared bool) {
		book := alone
		if shared {
			book = together
		}
		last := int64(0)
		lines, err := read(t, book, of, string(file))
		if err != nil && !strings.HasPrefix(err.Error(), recon.ErrForm.Error()) {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Place.Offset < last || l.Place.Offset+int64(l.Place.Length) > int64(len(file)) || file[l.Place.Offset] != '`' {
				t.Errorf("place %+v", l.Place)
			}
			last = l.Place.Offset + int64(l.Place.Length)
			if l.Amount < 0 || l.Source != of.Source || l.At.In(clock.Shanghai).Year() != 2026 || l.Numbers == (recon.Numbers{}) {
				t.Errorf("line = %+v", l)
			}
			for n, no := range l.Numbers {
				if len(no) > 64 || strings.ContainsAny(no, " \n`\x00") && recon.Number(n) == recon.OrderNo {
					t.Errorf("%s = %q", recon.Number(n), no)
				}
			}
		}
	})
}

// FuzzTradeBill reads anything as a trade bill.
func FuzzTradeBill(f *testing.F) { fuzzBill(f, "trade") }

// FuzzFundBill reads anything as a fund-flow bill.
func FuzzFundBill(f *testing.F) { fuzzBill(f, "fund") }
