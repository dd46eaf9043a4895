package bank_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/bank"
	"github.com/tuoka/tuoka/adapters/bank/banksim"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

// sent is what WeChat sent the bank.
type sent []banksim.Withdrawal

func (s sent) Withdrawals(from, to time.Time) (found []banksim.Withdrawal, err error) {
	for _, w := range s {
		if !w.At.Before(from) && w.At.Before(to) {
			found = append(found, w)
		}
	}
	return found, nil
}

const simAccount = "6225880000001234"

// world is three days of withdrawals at ten, eleven and half a minute to midnight, and a recharge at noon.
func world(t *testing.T) (*banksim.Sim, *clock.Fake, sent) {
	t.Helper()
	c := clock.NewFake(morning)
	var list sent
	first := time.Date(2026, 11, 22, 0, 0, 0, 0, clock.Shanghai)
	for d := range 3 {
		midnight := first.AddDate(0, 0, d)
		for i, at := range []time.Duration{10 * time.Hour, 11 * time.Hour, 24*time.Hour - 30*time.Second} {
			list = append(list, banksim.Withdrawal{Number: fmt.Sprintf("1000000000%s%010d", midnight.Format("20060102"), i+1), Amount: money.Fen(1_234_567 + i), At: midnight.Add(at)})
		}
		list = append(list, banksim.Withdrawal{Number: fmt.Sprintf("1000000001%s%010d", midnight.Format("20060102"), 1), Amount: 500_000, At: midnight.Add(12 * time.Hour), Recharge: true})
	}
	s, err := banksim.New(banksim.Config{Clock: c, Seed: 7, Account: simAccount, First: first, Opening: 100_000_000, Withdrawals: list})
	if err != nil {
		t.Fatal(err)
	}
	return s, c, list
}

// lines reads a day as the simulator writes it.
func simLines(t *testing.T, s *banksim.Sim, l banksim.Layout, d string) ([]recon.Line, error) {
	t.Helper()
	var file bytes.Buffer
	if err := s.Write(&file, day(t, d).Begin(), l); err != nil {
		t.Fatal(err)
	}
	return read(statements(t, exampleMapping(t, string(l)), simAccount), day(t, d), file.Bytes())
}

// ours is what recon compares of lines: kind, number and amount.
func ours(lines []recon.Line) (said []string) {
	for _, l := range lines {
		if l.Leg == recon.Account {
			said = append(said, fmt.Sprintf("%s %s %s", l.Kind, l.Numbers[recon.FlowNo], l.Amount))
		}
	}
	return said
}

func TestSimulator(t *testing.T) {
	t.Parallel()
	const (
		one, two, late = "transfer 100000000020261123%010d %s", "transfer_in  5000.00", "transfer 100000000020261122%010d %s"
	)
	first, second := fmt.Sprintf(one, 1, "12345.67"), fmt.Sprintf(one, 2, "12345.68")
	night := fmt.Sprintf(late, 3, "12345.69") // sent on the day before, half a minute before midnight
	for _, tt := range []struct {
		odd   banksim.Oddity
		want  []string
		found map[banksim.Layout]string // by the file itself
	}{
		{"", []string{night, first, second, two}, nil},
		{banksim.Late, []string{night, first, second, two}, nil},
		{banksim.MissingRow, []string{first, second, two}, map[banksim.Layout]string{banksim.TwoColumns: "「收入笔数」：与明细不符", banksim.Workbook: "「期初余额」：与明细不符"}},
		{banksim.WrongAmount, []string{strings.Replace(night, "12345.69", "12346.69", 1), first, second, two}, nil},
		{banksim.NoNumber, []string{"transfer  12345.69", first, second, two}, nil},
		{banksim.TwoInOne, []string{"transfer  24691.36", second, two}, nil},
	} {
		for _, l := range banksim.Layouts() {
			t.Run(fmt.Sprintf("%s %s", tt.odd, l), func(t *testing.T) {
				t.Parallel()
				s, _, _ := world(t)
				if tt.odd != "" {
					if err := s.Order(morning.AddDate(0, 0, -1), tt.odd); err != nil {
						t.Fatal(err)
					}
				}
				lines, err := simLines(t, s, l, "2026-11-23")
				if found := tt.found[l]; found != "" {
					saying(t, err, found, "")
					return
				}
				got := ours(lines)
				if l == banksim.TwoColumns { // newest first
					for i, j := 0, len(got)-1; i < j; i, j = i+1, j-1 {
						got[i], got[j] = got[j], got[i]
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
					t.Errorf("%v, -want +got:\n%s", err, diff)
				}
				if len(lines) < len(got)+3 {
					t.Errorf("%d lines: the windows took nothing", len(lines))
				}
			})
		}
	}
}

// TestLayoutsAgree: the three layouts say the same of a day, the time of day apart.
func TestLayoutsAgree(t *testing.T) {
	t.Parallel()
	s, _, _ := world(t)
	said := map[banksim.Layout]map[string]recon.Line{}
	for _, l := range banksim.Layouts() {
		lines, err := simLines(t, s, l, "2026-11-23")
		if err != nil {
			t.Fatal(err)
		}
		said[l] = map[string]recon.Line{}
		for _, one := range lines {
			one.Place = recon.Place{}
			if l == banksim.Workbook {
				if one.At != day(t, "2026-11-23").Begin().Add(12*time.Hour).UTC() {
					t.Errorf("%s: at %s, want noon", one.Numbers[recon.BankNo], one.At)
				}
				one.At = said[banksim.Signed][one.Numbers[recon.BankNo]].At
			}
			said[l][one.Numbers[recon.BankNo]] = one
		}
	}
	for _, l := range []banksim.Layout{banksim.TwoColumns, banksim.Workbook} {
		if diff := cmp.Diff(said[banksim.Signed], said[l], cmp.Comparer(func(a, b recon.Day) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", l, diff)
		}
	}
}

// TestFolder: the bank puts its files into the folder, a late one a day later, and the adapter takes them when they have settled.
func TestFolder(t *testing.T) {
	t.Parallel()
	for _, l := range banksim.Layouts() {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			sim, c, _ := world(t)
			if err := sim.Order(day(t, "2026-11-23").Begin(), banksim.Late); err != nil {
				t.Fatal(err)
			}
			s, err := bank.New(bank.Config{Mapping: parse(t, exampleMapping(t, string(l))), Folder: folder, Name: "流水_{date}*" + filepath.Ext(banksim.FileName(morning, l)),
				Account: simAccount, Clock: c})
			if err != nil {
				t.Fatal(err)
			}
			step := func(wait time.Duration, want ...string) {
				t.Helper()
				c.Advance(wait)
				if got, err := sim.Deliver(folder, l); err != nil || !cmp.Equal(want, got) {
					t.Errorf("delivered %v, %v, want %v", got, err, want)
				}
			}
			fetched := func(d string, want error) {
				t.Helper()
				n := 0
				err := s.Fetch(t.Context(), day(t, d), nil, func(st recon.Statement, write func(io.Writer) error) error {
					var b bytes.Buffer
					if err := write(&b); err != nil {
						return err
					}
					return s.Read(st, &b, func(line recon.Line) error {
						if line.Leg == recon.Account {
							n++
						}
						return nil
					})
				})
				if !errors.Is(err, want) || (err == nil) != (n > 0) {
					t.Errorf("%s: %d lines, %v, want %v", d, n, err, want)
				}
			}
			step(0, banksim.FileName(day(t, "2026-11-22").Begin(), l))
			fetched("2026-11-22", recon.ErrNotReady)
			step(30 * time.Second)
			fetched("2026-11-22", nil)
			fetched("2026-11-23", recon.ErrNotReady)
			step(24*time.Hour, banksim.FileName(day(t, "2026-11-23").Begin(), l), banksim.FileName(day(t, "2026-11-24").Begin(), l))
			c.Advance(time.Minute)
			fetched("2026-11-23", nil)
			fetched("2026-11-24", nil)
		})
	}
}
