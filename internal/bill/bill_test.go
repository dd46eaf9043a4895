package bill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
)

func good() *Bill {
	at := time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	line := func(no, price, quantity string, total money.Fen, uninsured bool) Line {
		return Line{No: no, Uninsured: uninsured, Name: "头孢", CatalogueCode: "XJ01", HospitalCode: "Y" + no, Price: decimal.RequireFromString(price),
			Quantity: decimal.RequireFromString(quantity), Total: total, OccurredAt: at}
	}
	return &Bill{No: "MZ1", HISPatient: "HP1", State: Unpaid, Total: 1917 + 1500 + 1, Created: at, Visit: Visit{No: "V1"},
		Lines: []Line{line("1", "0.7988", "24", 1917, false), line("2", "7.5", "2", 1500, true), line("3", "0.005", "1", 1, false)}}
}

func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(b *Bill)
	}{
		{"as it is: half a fen goes up", func(*Bill) {}},
		{"an item for nothing", func(b *Bill) { b.Lines[2].Price, b.Lines[2].Total = decimal.Zero, 0; b.Total-- }},
		{"zeros behind the last place", func(b *Bill) {
			b.Lines[1].Quantity, b.Lines[1].Price = decimal.RequireFromString("2.000000"), decimal.RequireFromString("7.50000000")
		}},
		{"six places of price, four of quantity", func(b *Bill) {
			b.Lines[1].Quantity, b.Lines[1].Price = decimal.RequireFromString("2.0001"), decimal.RequireFromString("7.500001")
		}},
		{"uninsured without a national code", func(b *Bill) { b.Lines[1].CatalogueCode = "" }},
		{"a number of 64 characters", func(b *Bill) { b.No = strings.Repeat("9", 64) }},
		{"a paid bill is still readable", func(b *Bill) { b.State = Paid }},
	} {
		b := good()
		tt.change(b)
		if err := b.Check(); err != nil {
			t.Errorf("%s: Check = %v", tt.name, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(b *Bill)
	}{
		{"no number", func(b *Bill) { b.No = "" }},
		{"number too long", func(b *Bill) { b.No = strings.Repeat("9", 65) }},
		{"number with a blank", func(b *Bill) { b.No = " MZ1" }},
		{"no patient", func(b *Bill) { b.HISPatient = "" }},
		{"no visit", func(b *Bill) { b.Visit.No = "" }},
		{"no lines", func(b *Bill) { b.Lines, b.Total = nil, 0 }},
		{"too many lines", func(b *Bill) { b.Lines = make([]Line, 2001) }},
		{"line without a number", func(b *Bill) { b.Lines[1].No = "" }},
		{"two lines of one number", func(b *Bill) { b.Lines[1].No = "1" }},
		{"no name", func(b *Bill) { b.Lines[0].Name = "" }},
		{"no hospital code", func(b *Bill) { b.Lines[0].HospitalCode = "" }},
		{"insured without a national code", func(b *Bill) { b.Lines[0].CatalogueCode = "" }},
		{"F9: quantity of nothing", func(b *Bill) { b.Lines[1].Quantity, b.Lines[1].Total = decimal.Zero, 0; b.Total -= 1500 }},
		{"F9: negative quantity and price", func(b *Bill) {
			b.Lines[1].Quantity, b.Lines[1].Price = b.Lines[1].Quantity.Neg(), b.Lines[1].Price.Neg()
		}},
		{"F9: negative amount", func(b *Bill) { b.Lines[1].Total = -1500; b.Total -= 3000 }},
		{"F9: a refund inside the bill", func(b *Bill) {
			b.Lines[1].Price, b.Lines[1].Total = b.Lines[1].Price.Neg(), -1500
			b.Total -= 3000
		}},
		{"F9: a total of nothing", func(b *Bill) {
			for i := range b.Lines {
				b.Lines[i].Price, b.Lines[i].Total = decimal.Zero, 0
			}
			b.Total = 0
		}},
		{"F10: total one fen more", func(b *Bill) { b.Total++ }},
		{"F10: total one fen less", func(b *Bill) { b.Total-- }},
		{"F10: total in yuan", func(b *Bill) { b.Total /= 100 }},
		{"F10: line total in yuan", func(b *Bill) { b.Lines[1].Total = 15; b.Total -= 1485 }},
		{"F10: all amounts in tens of fen", func(b *Bill) {
			b.Total *= 10
			for i := range b.Lines {
				b.Lines[i].Total *= 10
			}
		}},
		{"half a fen cut off", func(b *Bill) { b.Lines[2].Total = 0; b.Total-- }},
		{"0.7988 × 24 rounded up", func(b *Bill) { b.Lines[0].Total = 1918; b.Total++ }},
		{"0.7988 × 24 by a rounded price", func(b *Bill) { b.Lines[0].Total = 1920; b.Total += 3 }},
		{"fifth place of quantity", func(b *Bill) { b.Lines[1].Quantity = decimal.RequireFromString("2.00001") }},
		{"seventh place of price", func(b *Bill) { b.Lines[1].Price = decimal.RequireFromString("7.5000001") }},
		{"a price that would fill the memory", func(b *Bill) { b.Lines[1].Price = decimal.New(1, 1_000_000_000) }},
		{"a quantity that would fill the memory", func(b *Bill) { b.Lines[1].Quantity = decimal.New(1, -1_000_000_000) }},
		{"one line too large", func(b *Bill) {
			b.Lines[1].Quantity, b.Lines[1].Price, b.Lines[1].Total = decimal.New(1, 0), decimal.New(int64(money.Max)+1, -2), money.Max+1
		}},
		{"together too large", func(b *Bill) {
			for i := range b.Lines {
				b.Lines[i].Quantity, b.Lines[i].Price, b.Lines[i].Total = decimal.New(1, 0), decimal.New(int64(money.Max), -2), money.Max
			}
			b.Total = 3 * money.Max
		}},
	} {
		b := good()
		tt.change(b)
		if err := b.Check(); !errors.Is(err, ErrUnreadable) || fault.KindOf(err) != fault.Unknown {
			t.Errorf("%s: Check = %v, want ErrUnreadable", tt.name, err)
		}
	}
}

func TestPriceTimesQuantityHalfUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		price, quantity string
		want            money.Fen
	}{
		{"0.7988", "24", 1917}, // 19.1712
		{"0.005", "1", 1},
		{"0.0049", "1", 0},
		{"1.115", "1", 112}, // a float64 says 1.11
		{"1.005", "1", 101}, // a float64 says 1.00
		{"33.333333", "0.3", 1000},
		{"0.000001", "0.0001", 0},
		{"1234.56", "0.0001", 12},
	} {
		l := good().Lines[0]
		l.Price, l.Quantity = decimal.RequireFromString(tt.price), decimal.RequireFromString(tt.quantity)
		for total := max(tt.want-2, 0); total <= tt.want+2; total++ {
			l.Total = total
			if err := l.check(); (err == nil) != (total == tt.want) {
				t.Errorf("%s × %s = %s: %v, want %s", tt.price, tt.quantity, total, err, tt.want)
			}
		}
	}
}

func TestInsured(t *testing.T) {
	t.Parallel()
	if got := good().Insured(); got != 1918 {
		t.Errorf("Insured() = %s, want 19.18", got)
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	a, err := good().Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := good().Canonical(); !bytes.Equal(a, b) {
		t.Error("equal bills have other bytes")
	}
	for i, change := range []func(b *Bill){
		func(b *Bill) { b.Total++ }, func(b *Bill) { b.State = Paid }, func(b *Bill) { b.Lines[0].Name = "x" },
		func(b *Bill) { b.Lines = b.Lines[:2] }, func(b *Bill) { b.Visit.MedType = "14" },
	} {
		b := good()
		change(b)
		if text, _ := b.Canonical(); bytes.Equal(a, text) {
			t.Errorf("change %d does not show", i)
		}
	}
}

func TestRandomBillsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := good()
		b.Lines, b.Total = nil, 0
		for i := range rapid.IntRange(1, 20).Draw(t, "lines") {
			l := good().Lines[0]
			l.No = fmt.Sprint(i)
			l.Quantity = decimal.New(rapid.Int64Range(1, 1_000_000).Draw(t, "quantity"), -4)
			l.Price = decimal.New(rapid.Int64Range(1_000_000, 1_000_000_000).Draw(t, "price"), -6)
			l.Total = money.Fen(l.Quantity.Mul(l.Price).Mul(decimal.New(100, 0)).Add(decimal.New(5, -1)).Floor().IntPart())
			b.Lines = append(b.Lines, l)
			b.Total += l.Total
		}
		if b.Total > 0 && b.Check() != nil {
			t.Fatalf("Check = %v", b.Check())
		}
		b.Lines[rapid.IntRange(0, len(b.Lines)-1).Draw(t, "which")].Total++
		b.Total++
		if b.Check() == nil {
			t.Fatal("a fen too much was accepted")
		}
	})
}

// FuzzBill reads bills as a HIS might write them: whatever comes, Check ends, and what it accepts adds up.
func FuzzBill(f *testing.F) {
	text, err := good().Canonical()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"no":"1","lines":[{"no":"1","quantity":"1e1000000000","price":1e-1000000000}]}`))
	f.Add([]byte(`{"no":"1","lines":[{"no":"1","quantity":0E+2,"price":"-1"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var b Bill
		if json.Unmarshal(text, &b) != nil || b.Check() != nil {
			return
		}
		var sum money.Fen
		for _, l := range b.Lines {
			if l.Total < 0 {
				t.Errorf("line of %s accepted", l.Total)
			}
			sum += l.Total
		}
		if sum != b.Total || b.Total <= 0 || b.Insured() > b.Total {
			t.Errorf("total %s, lines %s, insured %s", b.Total, sum, b.Insured())
		}
	})
}
