package split

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/money"
)

var full = Split{PooledFund: 1, OtherFund: 2, Account: 4, FamilyAccount: 8, HospitalBorne: 16, Cash: 32, Uninsured: 64}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		split Split
		total money.Fen
		ok    bool
	}{
		{"every part counts once", full, 127, true},
		{"nothing", Split{}, 0, true},
		{"cash alone", AllCash(1230), 1230, true},
		{"one fen short", full, 128, false},
		{"one fen too much", full, 126, false},
		{"negative pooled fund", Split{PooledFund: -1, Cash: 2}, 1, false},
		{"negative other fund", Split{OtherFund: -1, Cash: 2}, 1, false},
		{"negative account", Split{Account: -1, Cash: 2}, 1, false},
		{"negative family account", Split{FamilyAccount: -1, Cash: 2}, 1, false},
		{"negative hospital part", Split{HospitalBorne: -1, Cash: 2}, 1, false},
		{"negative cash", Split{Cash: -1, Account: 2}, 1, false},
		{"negative uninsured", Split{Uninsured: -1, Cash: 2}, 1, false},
		{"beyond the range", Split{Cash: math.MaxInt64, Uninsured: 1}, math.MinInt64, false},
		{"beyond the range, total of nothing", Split{Cash: math.MaxInt64, Account: math.MaxInt64, Uninsured: 2}, 0, false},
	} {
		err := tt.split.Check(tt.total)
		if (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrSplit)) {
			t.Errorf("%s: Check(%s) = %v", tt.name, tt.total, err)
		}
	}
}

func TestSums(t *testing.T) {
	t.Parallel()
	got := []money.Fen{full.Total(), full.Fund(), full.Charge(), full.Insured()}
	if diff := cmp.Diff([]money.Fen{127, 3, 96, 63}, got); diff != "" {
		t.Errorf("total, fund, charge, insured (-want +got):\n%s", diff)
	}
}

func TestCheckedSplitsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.Map(rapid.Int64Range(0, int64(money.Max)), func(n int64) money.Fen { return money.Fen(n) })
		s := Split{part.Draw(t, "a"), part.Draw(t, "b"), part.Draw(t, "c"), part.Draw(t, "d"), part.Draw(t, "e"), part.Draw(t, "f"), part.Draw(t, "g")}
		if err := s.Check(s.Total()); err != nil {
			t.Fatalf("Check = %v", err)
		}
		if s.Fund()+s.Account+s.FamilyAccount+s.HospitalBorne+s.Charge() != s.Total() || s.Insured()+s.Uninsured != s.Total() {
			t.Fatalf("%+v: the sums disagree", s)
		}
		if off := money.Fen(rapid.Int64Range(1, 99).Draw(t, "off")); s.Check(s.Total()+off) == nil || s.Check(s.Total()-off) == nil {
			t.Fatalf("%s off, and accepted", off)
		}
	})
}

func TestJSONKeepsEveryPart(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var again Split
	if err := json.Unmarshal(text, &again); err != nil || again != full {
		t.Errorf("%s reads as %+v, %v", text, again, err)
	}
}
