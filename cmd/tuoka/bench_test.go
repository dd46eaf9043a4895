package main

import (
	"encoding/json"
	"testing"
)

// TestBenchFigures: the decimals of a bench are whole numbers underneath, and come back as they went.
func TestBenchFigures(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]json.Number{0: "0.00", 7: "0.00", 10: "0.01", 1_230: "1.23", 67_020: "67.02", 5_845_000: "5845.00"} {
		if got := tenth(n); got != want || thousandths(got) != n/10*10 {
			t.Errorf("%d is printed %s and read %d", n, got, thousandths(got))
		}
	}
	for _, c := range []struct{ a, b, c, want int64 }{{5845, 1_000_000, 12_540, 466_108}, {2, 1_000_000_000, 26_460, 75_585}, {1, 1, 0, 0}, {0, 5, 5, 0},
		{10_000_000_000, 1_000_000_000, 10_000_000_000, 1_000_000_000}} {
		if got := quotient(c.a, c.b, c.c); got != c.want {
			t.Errorf("%d × %d / %d = %d, want %d", c.a, c.b, c.c, got, c.want)
		}
	}
}
