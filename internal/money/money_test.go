package money

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParseYuan(t *testing.T) {
	tests := []struct {
		name, in string
		want     Fen
		err      error
	}{
		{"whole", "12", 1200, nil},
		{"one decimal", "12.3", 1230, nil},
		{"two decimals", "12.34", 1234, nil},
		{"trailing zeros beyond the fen", "12.3400", 1234, nil},
		{"negative", "-59.40", -5940, nil},
		{"minus nothing", "-0.00", 0, nil},
		{"leading zeros", "007.50", 750, nil},
		{"largest", "10000000000", Max, nil},
		{"third decimal", "1.234", 0, ErrFormat},
		{"no whole part", ".5", 0, ErrFormat},
		{"no decimals behind the point", "5.", 0, ErrFormat},
		{"exponent", "1e3", 0, ErrFormat},
		{"zero with exponent", "0E+2", 0, ErrFormat},
		{"thousands mark", "1,234.50", 0, ErrFormat},
		{"full-width digits", "１２", 0, ErrFormat},
		{"blank", " 1", 0, ErrFormat},
		{"plus", "+1", 0, ErrFormat},
		{"two minus signs", "--1", 0, ErrFormat},
		{"minus alone", "-", 0, ErrFormat},
		{"empty", "", 0, ErrFormat},
		{"not a number", "NaN", 0, ErrFormat},
		{"one fen too many", "10000000000.01", 0, ErrRange},
		{"beyond int64", "99999999999999999999", 0, ErrRange},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseYuan(tt.in)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("ParseYuan(%q) = %d, %v, want %d, %v", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestFormatThenParseIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Fen(rapid.Int64Range(-int64(Max), int64(Max)).Draw(t, "fen"))
		got, err := ParseYuan(f.String())
		if err != nil || got != f {
			t.Fatalf("ParseYuan(%q) = %d, %v, want %d", f.String(), got, err, f)
		}
	})
}

func TestString(t *testing.T) {
	for f, want := range map[Fen]string{0: "0.00", 5: "0.05", -5: "-0.05", 1917: "19.17", math.MinInt64: "-92233720368547758.08"} {
		if got := f.String(); got != want {
			t.Errorf("Fen(%d).String() = %q, want %q", int64(f), got, want)
		}
	}
}

func TestAdd(t *testing.T) {
	for _, tt := range []struct {
		name    string
		amounts []Fen
		want    Fen
		err     error
	}{
		{"nothing", nil, 0, nil},
		{"some", []Fen{1, 2, -3, 4}, 4, nil},
		{"up to the largest", []Fen{math.MaxInt64 - 1, 1}, math.MaxInt64, nil},
		{"one beyond", []Fen{math.MaxInt64, 1}, 0, ErrRange},
		{"down to the smallest", []Fen{math.MinInt64 + 1, -1}, math.MinInt64, nil},
		{"one below", []Fen{math.MinInt64, -1}, 0, ErrRange},
	} {
		if got, err := Add(tt.amounts...); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: Add = %d, %v, want %d, %v", tt.name, int64(got), err, int64(tt.want), tt.err)
		}
	}
}

func TestYuanJSON(t *testing.T) {
	tests := []struct {
		name, in string
		want     Yuan
		err      error
	}{
		{"number", `12.30`, InYuan(1230), nil},
		{"string", `"12.30"`, InYuan(1230), nil},
		{"zero is present", `0`, InYuan(0), nil},
		{"null", `null`, Yuan{}, nil},
		{"empty string", `""`, Yuan{}, nil},
		{"third decimal", `1.005`, Yuan{}, ErrFormat},
		{"exponent", `1e2`, Yuan{}, ErrFormat},
		{"word", `"abc"`, Yuan{}, ErrFormat},
		{"object", `{}`, Yuan{}, ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got Yuan
			err := json.Unmarshal([]byte(tt.in), &got)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Unmarshal(%s) = %+v, %v, want %+v, %v", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
	for _, none := range []string{`null`, `""`} {
		y := InYuan(5)
		if err := y.UnmarshalJSON([]byte(none)); err != nil || y != (Yuan{}) {
			t.Errorf("%s over an amount: %+v, %v", none, y, err)
		}
	}
	if err := new(Yuan).UnmarshalJSON([]byte(`"broken`)); !errors.Is(err, ErrFormat) {
		t.Errorf("broken string: err = %v, want ErrFormat", err)
	}
	b, err := json.Marshal([]Yuan{InYuan(-5), {}})
	if string(b) != `[-0.05,null]` || err != nil {
		t.Errorf("Marshal = %s, %v", b, err)
	}
}

func FuzzParseYuan(f *testing.F) {
	for _, s := range []string{"12.30", "-0.05", "0E+2", "1,234.50", "１２", "", "-", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseYuan(s)
		if err != nil {
			return
		}
		again, err := ParseYuan(got.String())
		if err != nil || again != got {
			t.Errorf("ParseYuan(%q) = %d, but its text reads as %d, %v", s, got, again, err)
		}
	})
}
