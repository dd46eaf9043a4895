package ledger

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/money"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		posting Posting
		ok      bool
	}{
		{"nothing", nil, true},
		{"two lines", Posting{{WechatCash, 5}, {Suspense, -5}}, true},
		{"three lines", Posting{{PooledFund, 3}, {PersonAccount, 2}, {Suspense, -5}}, true},
		{"one fen missing", Posting{{WechatCash, 5}, {Suspense, -4}}, false},
		{"one side", Posting{{WechatCash, 5}}, false},
		{"a line of nothing", Posting{{WechatCash, 0}}, false},
		{"no account", Posting{{"", 5}, {Suspense, -5}}, false},
		{"beyond the range", Posting{{WechatCash, math.MaxInt64}, {PooledFund, 1}, {Suspense, math.MinInt64}}, false},
	} {
		if err := tt.posting.Check(); (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrUnequal)) {
			t.Errorf("%s: Check = %v", tt.name, err)
		}
	}
}

// TestAccounts: a trial balance shows each account once.
func TestAccounts(t *testing.T) {
	t.Parallel()
	all := Accounts()
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 10 || len(Accounts()) != 10 {
		t.Errorf("%d accounts, %d of them different, want 10", len(Accounts()), n)
	}
}

func TestAgainst(t *testing.T) {
	t.Parallel()
	got := Against(Suspense, Line{PooledFund, 60}, Line{OtherFund, 0}, Line{PersonAccount, 40})
	want := Posting{{PooledFund, 60}, {PersonAccount, 40}, {Suspense, -100}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Against (-want +got):\n%s", diff)
	}
	if got := Against(Suspense, Line{PooledFund, 0}); len(got) != 0 {
		t.Errorf("Against nothing = %v", got)
	}
	if got := Against(Suspense, Line{PooledFund, 5}, Line{OtherFund, -5}); len(got) != 2 {
		t.Errorf("lines that cancel out = %v", got)
	}
}

func TestEveryPostingAndItsUndoSumToNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		accounts := []Account{WechatCash, PooledFund, OtherFund, PersonAccount, FamilyAccount, HospitalBorne, Revenue}
		var lines []Line
		for _, a := range accounts {
			lines = append(lines, Line{a, money.Fen(rapid.Int64Range(0, int64(money.Max)).Draw(t, string(a)))})
		}
		p := Against(Suspense, lines...)
		undone := p.Undo()
		if err := errors.Join(p.Check(), undone.Check()); err != nil {
			t.Fatal(err)
		}
		books := map[Account]money.Fen{}
		for _, l := range append(append(Posting{}, p...), undone...) {
			books[l.Account] += l.Amount
		}
		for account, left := range books {
			if left != 0 {
				t.Fatalf("after undoing, %s stands at %s", account, left)
			}
		}
	})
}
