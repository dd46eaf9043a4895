package refund

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/split"
)

func billOf(no string, lines ...bill.Line) bill.Bill {
	b := bill.Bill{No: no}
	for i, l := range lines {
		l.No = fmt.Sprint(i + 1)
		l.Total = bill.Amount(l.Quantity, l.Price)
		b.Lines = append(b.Lines, l)
		b.Total += l.Total
	}
	return b
}

func lineAt(quantity, price string) bill.Line {
	return bill.Line{Quantity: decimal.RequireFromString(quantity), Price: decimal.RequireFromString(price)}
}

// bills are two: 24 pills at 0.7988 and 0.3 of something, and one thing that no insurer sees.
func bills() []bill.Bill {
	uninsured := lineAt("1", "12")
	uninsured.Uninsured = true
	return []bill.Bill{billOf("A", lineAt("24", "0.7988"), lineAt("0.3", "1.15")), billOf("B", uninsured)}
}

func sumOf(lines []Line) money.Fen { return (&Refund{Lines: lines}).Total() }

func TestChoose(t *testing.T) {
	t.Parallel()
	quantity := decimal.RequireFromString
	for _, tt := range []struct {
		name  string
		wants []Want
		total money.Fen
		err   error
	}{
		{"a bill", []Want{{BillNo: "A", All: true}}, 1917 + 35, nil},
		{"an item", []Want{{BillNo: "A", LineNo: "1", All: true}}, 1917, nil},
		{"half of it", []Want{{BillNo: "A", LineNo: "1", Quantity: quantity("12")}}, 1917 - 959, nil}, // the rest is rounded half up
		{"two items", []Want{{BillNo: "A", LineNo: "2", All: true}, {BillNo: "B", LineNo: "1", All: true}}, 35 + 1200, nil},
		{"nothing named", nil, 0, nil},
		{"below zero", []Want{{BillNo: "A", LineNo: "1", Quantity: quantity("-1")}}, 0, ErrQuantity},
		{"zero", []Want{{BillNo: "A", LineNo: "1"}}, 0, ErrQuantity},
		{"too many", []Want{{BillNo: "A", LineNo: "1", Quantity: quantity("24.0001")}}, 0, ErrQuantity},
		{"five decimals", []Want{{BillNo: "A", LineNo: "1", Quantity: quantity("0.00001")}}, 0, ErrQuantity},
		{"one fen", []Want{{BillNo: "A", LineNo: "1", Quantity: quantity("0.0125")}}, 1, nil},
		{"worth nothing", []Want{{BillNo: "A", LineNo: "1", Quantity: quantity("0.0001")}}, 0, ErrQuantity},
		{"beyond reckoning", []Want{{BillNo: "A", LineNo: "1", Quantity: decimal.New(1, 9000)}}, 0, ErrQuantity},
		{"a bill by quantity", []Want{{BillNo: "A", Quantity: quantity("1")}}, 0, ErrQuantity},
		{"another's bill", []Want{{BillNo: "C", All: true}}, 0, ErrLine},
		{"no such item", []Want{{BillNo: "B", LineNo: "2", All: true}}, 0, ErrLine},
		{"twice", []Want{{BillNo: "A", All: true}, {BillNo: "A", LineNo: "2", All: true}}, 0, ErrLine},
	} {
		lines, err := Choose(bills(), tt.wants)
		if !errors.Is(err, tt.err) || sumOf(lines) != tt.total {
			t.Errorf("%s: %s, %v, want %s, %v", tt.name, sumOf(lines), err, tt.total, tt.err)
		}
	}
}

// TestParts: whatever parts are given back, one after the other, they sum to the bills, and what is left is always quantity × price.
func TestParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		price := decimal.New(rapid.Int64Range(1, 99999).Draw(t, "price"), -int32(rapid.IntRange(0, 4).Draw(t, "places")))
		quantity := decimal.New(rapid.Int64Range(1, 50000).Draw(t, "quantity"), -int32(rapid.IntRange(0, 4).Draw(t, "decimals")))
		whole := []bill.Bill{billOf("A", bill.Line{Quantity: quantity, Price: price})}
		var refunds []*Refund
		var given money.Fen
		for range rapid.IntRange(1, 6).Draw(t, "parts") {
			left := Left(whole, refunds)
			if len(left) == 0 {
				break
			}
			l := left[0].Lines[0]
			if l.Total != bill.Amount(l.Quantity, l.Price) || left[0].Total != l.Total {
				t.Fatalf("left %s × %s = %s", l.Quantity, l.Price, l.Total)
			}
			part := l.Quantity.Mul(decimal.New(rapid.Int64Range(1, 10).Draw(t, "tenths"), -1)).Truncate(4)
			lines, err := Choose(left, []Want{{BillNo: "A", LineNo: "1", Quantity: part}})
			if errors.Is(err, ErrQuantity) {
				continue // worth nothing
			}
			if err != nil {
				t.Fatal(err)
			}
			state := Done
			if rapid.IntRange(0, 3).Draw(t, "refused") == 0 {
				state = Refused
			}
			refunds = append(refunds, &Refund{State: state, Lines: lines})
			if state == Done {
				given += sumOf(lines)
			}
		}
		left := Left(whole, refunds)
		if rest := sumOf(Everything(left)); given+rest > whole[0].Total || (len(left) > 0 && given+rest != whole[0].Total) {
			t.Fatalf("given %s, left %s of %s", given, rest, whole[0].Total)
		}
	})
}

// TestLeftOfALine: a line of which nothing is left, or nothing of worth, is not to be had again; the others of its bill are.
func TestLeftOfALine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		gone Line
		want string
	}{
		{"nothing gone", Line{BillNo: "B", LineNo: "9", Quantity: decimal.New(1, 0)}, "A 1 24 19.17; A 2 0.3 0.35; B 1 1 12.00"},
		{"half a line", Line{BillNo: "A", LineNo: "1", Quantity: decimal.New(12, 0)}, "A 1 12 9.59; A 2 0.3 0.35; B 1 1 12.00"},
		{"a line", Line{BillNo: "A", LineNo: "2", Quantity: decimal.New(3, -1)}, "A 1 24 19.17; B 1 1 12.00"},
		{"a line but for what is worth nothing", Line{BillNo: "A", LineNo: "1", Quantity: decimal.RequireFromString("23.999")}, "A 2 0.3 0.35; B 1 1 12.00"},
		{"a line but for one fen", Line{BillNo: "A", LineNo: "1", Quantity: decimal.RequireFromString("23.99")}, "A 1 0.01 0.01; A 2 0.3 0.35; B 1 1 12.00"},
		{"a bill", Line{BillNo: "B", LineNo: "1", Quantity: decimal.New(1, 0)}, "A 1 24 19.17; A 2 0.3 0.35"},
	} {
		var got []string
		for _, b := range Left(bills(), []*Refund{{State: Done, Lines: []Line{tt.gone}}}) {
			for _, l := range b.Lines {
				got = append(got, fmt.Sprintf("%s %s %s %s", b.No, l.No, l.Quantity, l.Total))
			}
		}
		if text := strings.Join(got, "; "); text != tt.want {
			t.Errorf("%s: left %s, want %s", tt.name, text, tt.want)
		}
	}
	odd := bills() // the insurer's own total of a line counts, whatever quantity and price say
	odd[0].Lines[0].Total = 1918
	if left := Left(odd, nil); left[0].Lines[0].Total != 1918 {
		t.Errorf("an untouched line is worth %s, want 19.18", left[0].Lines[0].Total)
	}
}

// TestKeptIsWorthSomething: what is left of a line that is worth nothing is not billed anew.
func TestKeptIsWorthSomething(t *testing.T) {
	t.Parallel()
	line := func(quantity string, amount money.Fen) Line {
		return Line{BillNo: "A", LineNo: "1", Quantity: decimal.RequireFromString(quantity), Amount: amount}
	}
	for _, tt := range []struct {
		given Line
		kept  int
	}{{line("2", 10), 0}, {line("1", 10), 0}, {line("2", 9), 0}, {line("1", 9), 1}} {
		f := Refund{Lines: WithKept([]Line{line("2", 10)}, []Line{tt.given})}
		if len(f.Kept()) != tt.kept || len(f.Lines) != 1+tt.kept {
			t.Errorf("of 2 for 10 fen, %s for %s given: kept %v", tt.given.Quantity, tt.given.Amount, f.Kept())
		}
	}
}

func TestUnderWay(t *testing.T) {
	t.Parallel()
	if err := UnderWay([]Line{{BillNo: "A", LineNo: "2"}}, []*Refund{{State: Asked, Lines: []Line{{BillNo: "A", LineNo: "1"}}}}); err != nil {
		t.Errorf("another item of the same bill: %v", err)
	}
	half, err := Choose(bills(), []Want{{BillNo: "A", LineNo: "1", Quantity: decimal.New(12, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	for state, want := range map[State]error{Asked: ErrUnderWay, Held: ErrUnderWay, InReview: ErrUnderWay, Done: nil, Refused: nil} {
		open := []*Refund{{State: state, Lines: half}}
		if err := UnderWay(Everything(Left(bills(), open)), open); !errors.Is(err, want) {
			t.Errorf("beside one that is %s: %v, want %v", state, err, want)
		}
		if err := UnderWay([]Line{{BillNo: "B", LineNo: "1"}}, open); err != nil {
			t.Errorf("another item beside one that is %s: %v", state, err)
		}
	}
}

// TestKept: the insurer takes back everything; what nobody gave up is marked, and the sum is the whole.
func TestKept(t *testing.T) {
	t.Parallel()
	given, err := Choose(bills(), []Want{{BillNo: "A", LineNo: "1", Quantity: decimal.New(12, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	f := &Refund{Lines: WithKept(Everything(bills()), given)}
	want := []Line{
		{BillNo: "A", LineNo: "1", Quantity: decimal.New(12, 0), Amount: 959, Kept: true},
		{BillNo: "A", LineNo: "2", Quantity: decimal.New(3, -1), Amount: 35, Kept: true},
		{BillNo: "B", LineNo: "1", Quantity: decimal.New(1, 0), Amount: 1200, Uninsured: true, Kept: true},
	}
	if diff := cmp.Diff(want, f.Kept(), cmp.Comparer(decimal.Decimal.Equal)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if f.Total() != 1917+35+1200 || f.Uninsured() != 1200 || f.Insured() != 1917+35 {
		t.Errorf("total %s, insured %s, uninsured %s", f.Total(), f.Insured(), f.Uninsured())
	}
}

func TestCounted(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	insured, uninsured := []Line{{Amount: 5}}, []Line{{Amount: 5, Uninsured: true}}
	for name, tt := range map[string]struct {
		f    Refund
		want bool
	}{
		"asked":                         {Refund{Lines: uninsured}, false},
		"uninsured":                     {Refund{Lines: uninsured, HeldAt: at}, true},
		"insured, the rest not counted": {Refund{Lines: insured, HeldAt: at}, false},
		"insured, taken back":           {Refund{Lines: insured, HeldAt: at, InsuredAt: at}, true},
		"the whole":                     {Refund{Lines: insured, HeldAt: at, Whole: true}, true},
	} {
		if got := tt.f.Counted(); got != tt.want {
			t.Errorf("%s: Counted() = %v", name, got)
		}
	}
	f := Refund{Before: split.Split{PooledFund: 3, Cash: 5, Uninsured: 2}, Rest: split.Split{PooledFund: 1, Cash: 1}, Cash: payment.MoneyBack{ReturnedAt: at}}
	if f.CashDue() != 6 || !f.Returned() {
		t.Errorf("cash due %s, returned %v", f.CashDue(), f.Returned())
	}
	for _, since := range []time.Time{{}, at} {
		if f := (Refund{AuthSince: since}); f.WantsAuth() != since.Equal(at) {
			t.Errorf("since %v: wants an authorisation: %v", since, f.WantsAuth())
		}
	}
	f.Stored(3)
	if f.Changed() || f.Version != 3 {
		t.Errorf("stored: %+v", f)
	}
	if f.Touch(); !f.Changed() || ID(12).No() != "12" {
		t.Error("a touched refund is not changed")
	}
}
