package banksim

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

type told struct {
	list []Withdrawal
	err  error
}

func (t told) Withdrawals(from, to time.Time) (found []Withdrawal, err error) {
	for _, w := range t.list {
		if !w.At.Before(from) && w.At.Before(to) {
			found = append(found, w)
		}
	}
	return found, t.err
}

var ninth = time.Date(2026, 11, 9, 12, 0, 0, 0, clock.Shanghai)

func account(journal string, list ...Withdrawal) Config {
	return Config{Clock: clock.NewFake(ninth.AddDate(0, 0, 9)), Seed: 1, Account: "6225880000001234", First: ninth, Opening: 10_000_000, Withdrawals: told{list: list}, Journal: journal}
}

func opened(t *testing.T, c Config) *Sim {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBooks: a day begins with what the one before left, sums are those of its entries, and salaries are paid on the tenth.
func TestBooks(t *testing.T) {
	t.Parallel()
	s, balance := opened(t, account("", Withdrawal{Number: "W000000001", Amount: 12_345, At: ninth})), money.Fen(10_000_000)
	paid := 0
	for d := range 5 {
		st, err := s.statement(dayOf(ninth).AddDate(0, 0, d))
		if err != nil {
			t.Fatal(err)
		}
		if st.opening != balance || st.opening+st.in-st.out != st.closing || st.ins+st.outs != len(st.entries) {
			t.Errorf("day %d: %d + %d - %d, want %d from %d on", d, st.opening, st.in, st.out, st.closing, balance)
		}
		for _, e := range st.entries {
			if balance += e.amount; e.balance != balance || !dayOf(e.at).Equal(st.day) {
				t.Errorf("day %d: %+v, want balance %d", d, e, balance)
			}
			if e.sort == salaries {
				paid++
			}
		}
	}
	if paid != 1 {
		t.Errorf("salaries were paid %d times", paid)
	}
}

// TestUntilNow: a statement of today ends now.
func TestUntilNow(t *testing.T) {
	t.Parallel()
	c := account("", Withdrawal{Number: "W000000001", Amount: 12_345, At: ninth})
	c.Clock = clock.NewFake(ninth.Add(30 * time.Second))
	st, err := opened(t, c).statement(dayOf(ninth))
	if err != nil || len(st.entries) == 0 || st.entries[len(st.entries)-1].at.After(c.Clock.Now()) {
		t.Errorf("%v, %v", st, err)
	}
}

func TestOrdersSurvive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bank.journal")
	s := opened(t, account(path))
	if err := errors.Join(s.Order(ninth, Late), s.Order(ninth.AddDate(0, 0, 1), NoNumber), s.Order(ninth, MissingRow, TwoInOne), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.Order(ninth, "robbed"); err == nil {
		t.Error("an oddity that is none was ordered")
	}
	again := opened(t, account(path))
	if day := dayOf(ninth); again.odd(day, Late) || !again.odd(day, MissingRow) || !again.odd(day, TwoInOne) || !again.odd(day.AddDate(0, 0, 1), NoNumber) {
		t.Errorf("after a restart: %v", again.ordered)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestRefused: what no bank books.
func TestRefused(t *testing.T) {
	t.Parallel()
	good := Withdrawal{Number: "W000000001", Amount: 1, At: ninth}
	for name, list := range map[string][]Withdrawal{
		"no number":        {{Amount: 1, At: ninth}},
		"one number twice": {good, good},
		"nothing":          {{Number: good.Number, At: ninth}},
		"too much":         {{Number: good.Number, Amount: money.Max + 1, At: ninth}},
	} {
		if err := opened(t, account("", list...)).Write(&bytes.Buffer{}, ninth, Signed); err == nil {
			t.Errorf("%s was booked", name)
		}
	}
	c := account("")
	c.Withdrawals = told{err: errors.New("down")}
	if _, err := opened(t, c).Deliver(t.TempDir(), Signed); err == nil {
		t.Error("a day was written without knowing its withdrawals")
	}
	if err := opened(t, account("")).Write(&bytes.Buffer{}, ninth, "stone"); err == nil {
		t.Error("a layout that is none was written")
	}
	for name, change := range map[string]func(*Config){
		"no clock": func(c *Config) { c.Clock = nil }, "no withdrawals": func(c *Config) { c.Withdrawals = nil }, "no first day": func(c *Config) { c.First = time.Time{} },
		"a debt": func(c *Config) { c.Opening = -1 }, "no account": func(c *Config) { c.Account = "1" },
	} {
		c := account("")
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: an account was opened", name)
		}
	}
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	for f, want := range map[money.Fen][2]string{0: {"0.00", "0"}, 5: {"0.05", "0.05"}, 10_000: {"100.00", "100"}, 100_050: {"1,000.50", "1000.5"},
		-99_999: {"-999.99", "-999.99"}, -100_000: {"-1,000.00", "-1000"}, 123_456_789: {"1,234,567.89", "1234567.89"}} {
		if g, n := grouped(f), number(f).number; g != want[0] || n != want[1] {
			t.Errorf("%d: %s and %s, want %v", f, g, n, want)
		}
	}
}

// TestSame: asked again, or after a restart, the bank writes the same bytes; another seed is another bank.
func TestSame(t *testing.T) {
	t.Parallel()
	write := func(seed uint64, l Layout) string {
		c := account("", Withdrawal{Number: "W000000001", Amount: 12_345, At: ninth})
		c.Seed = seed
		var b strings.Builder
		if err := opened(t, c).Write(&b, ninth, l); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, l := range Layouts() {
		if first, again, other := write(1, l), write(1, l), write(2, l); first != again || first == other {
			t.Errorf("%s does not follow from the seed", l)
		}
	}
}
