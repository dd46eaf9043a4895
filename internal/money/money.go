// Package money holds amounts: Fen, the integer we calculate with, and Yuan, the decimal text of the insurer's wire.
//
// No float64 ever holds money. A sum that leaves the range of int64 is an error, never a wrap.
package money

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Fen is an amount in fen (分), one hundredth of a yuan. The zero value is nothing.
type Fen int64

// Max bounds every amount that comes from outside: ten billion yuan, far above any bill and far below overflow.
const Max Fen = 1_000_000_000_000

var (
	// ErrFormat is returned for text that is not an amount with at most two decimals.
	ErrFormat = errors.New("money: not an amount in yuan with at most two decimals")
	// ErrRange is returned when an amount or a sum is larger than the type can hold or than Max allows.
	ErrRange = errors.New("money: amount out of range")
)

// String writes the amount in yuan with two decimals, "-0.05" for minus five fen.
func (f Fen) String() string {
	sign, u := "", uint64(f) //nolint:gosec // a negative amount is turned below, the smallest one included
	if f < 0 {
		sign, u = "-", -u
	}
	return fmt.Sprintf("%s%d.%02d", sign, u/100, u%100)
}

// Add sums amounts; ErrRange on overflow.
func Add(amounts ...Fen) (Fen, error) {
	var sum Fen
	for _, a := range amounts {
		if (a > 0 && sum > math.MaxInt64-a) || (a < 0 && sum < math.MinInt64-a) {
			return 0, ErrRange
		}
		sum += a
	}
	return sum, nil
}

// ParseYuan reads decimal yuan such as "12", "12.3" or "-12.30" exactly. More than two decimals are accepted only when the
// rest is zeros ("12.3000", as platforms that format all numbers alike send it). Exponents, thousands marks, blanks,
// full-width digits, a plus sign, a bare point: ErrFormat. Beyond ±Max: ErrRange.
func ParseYuan(s string) (Fen, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, frac, point := strings.Cut(digits, ".")
	if whole == "" || (point && frac == "") || !allDigits(whole) || !allDigits(frac) {
		return 0, ErrFormat
	}
	if len(frac) > 2 {
		if strings.Trim(frac[2:], "0") != "" {
			return 0, ErrFormat
		}
		frac = frac[:2]
	}
	frac += "00"[len(frac):]
	n, err := strconv.ParseInt(whole+frac, 10, 64)
	if err != nil || Fen(n) > Max {
		return 0, ErrRange
	}
	if negative {
		n = -n
	}
	return Fen(n), nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Yuan is an amount as the insurer's wire carries it: a JSON number or string in yuan. Null and an absent member leave it zero
// with Present false, so that a caller can tell "0.00" from nothing.
type Yuan struct {
	Fen     Fen
	Present bool
}

// InYuan wraps an amount for sending.
func InYuan(f Fen) Yuan { return Yuan{Fen: f, Present: true} }

// UnmarshalJSON reads 12.30, "12.30", "" and null; the last two are not present. ErrFormat and ErrRange as ParseYuan.
func (y *Yuan) UnmarshalJSON(b []byte) error {
	text := string(b)
	if text == "null" {
		*y = Yuan{}
		return nil
	}
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(b, &text); err != nil {
			return ErrFormat
		}
		if text == "" {
			*y = Yuan{}
			return nil
		}
	}
	f, err := ParseYuan(text)
	if err != nil {
		return err
	}
	*y = InYuan(f)
	return nil
}

// MarshalJSON writes a JSON number with two decimals; an amount that is not present is null.
func (y Yuan) MarshalJSON() ([]byte, error) {
	if !y.Present {
		return []byte("null"), nil
	}
	return []byte(y.Fen.String()), nil
}
