// Package banksim is the bank of the sandbox: one account of the hospital, into which WeChat pays what is withdrawn from the merchant's account, and where card
// takings, salaries and suppliers pass as well. It writes a day's statement in three layouts, which are those of configs/bank and share nothing with the adapter
// that reads them.
//
// The account follows from a seed, from the withdrawals that it is told of, and from the oddities that were ordered, which survive a kill by a journal. Asked
// again, it says the same again.
package banksim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// Withdrawal is money that leaves WeChat's account for the bank's (提现), or comes from there (充值).
type Withdrawal struct {
	Number   string // 微信支付业务单号
	Amount   money.Fen
	At       time.Time
	Recharge bool // from the bank to WeChat
}

// Withdrawals tells the bank what WeChat has sent it. cmd wires it to whatever plays WeChat.
type Withdrawals interface {
	// Withdrawals lists those of from ≤ At < to; asked again, the same.
	Withdrawals(from, to time.Time) ([]Withdrawal, error)
}

// Layout is how a statement is written. Its name is that of a mapping in configs/bank.
type Layout string

// The layouts.
const (
	Signed     Layout = "csv-signed"      // UTF-8, one amount with its sign
	TwoColumns Layout = "csv-two-columns" // GB18030, 借方 and 贷方, balances, newest first, sums
	Workbook   Layout = "workbook"        // xlsx, 借贷 as a word, balances, sums
)

// Layouts lists them.
func Layouts() []Layout { return []Layout{Signed, TwoColumns, Workbook} }

// Oddity is what goes wrong with a day.
type Oddity string

// The oddities. All but the first are about WeChat's first credit of the day, where there is one.
const (
	Late        Oddity = "late"         // the statement comes a day later
	MissingRow  Oddity = "missing_row"  // booked, but its row is not in the statement; balances and sums have it
	WrongAmount Oddity = "wrong_amount" // booked with one yuan too much
	NoNumber    Oddity = "no_number"    // its remark does not name the withdrawal
	TwoInOne    Oddity = "two_in_one"   // booked together with the second credit, as one
)

var oddities = []Oddity{Late, MissingRow, WrongAmount, NoNumber, TwoInOne}

// Config is the account.
type Config struct {
	Clock       clock.Clock
	Seed        uint64
	Account     string    // 16 to 19 digits
	First       time.Time // a moment of the day on which it is opened
	Opening     money.Fen // with this balance
	Withdrawals Withdrawals
	Journal     string // a file for what was ordered; empty: kept in memory
}

// Sim is the bank. Safe for several goroutines.
type Sim struct {
	cfg     Config
	journal *sandbox.Journal

	mu      sync.Mutex
	ordered map[string][]Oddity // by day
}

// order is one line of the journal.
type order struct {
	Day      string   `json:"day"`
	Oddities []Oddity `json:"oddities"`
}

var accountForm = regexp.MustCompile(`^[0-9]{16,19}$`)

// New opens the account.
func New(cfg Config) (*Sim, error) {
	if cfg.Clock == nil || cfg.Withdrawals == nil || cfg.First.IsZero() || cfg.Opening < 0 || !accountForm.MatchString(cfg.Account) {
		return nil, errors.New("banksim: clock, withdrawals, first day, opening balance or account is missing or wrong")
	}
	s := &Sim{cfg: cfg, ordered: map[string][]Oddity{}}
	journal, err := sandbox.OpenJournal(cfg.Journal, func(line []byte) error {
		var o order
		if err := json.Unmarshal(line, &o); err != nil {
			return err
		}
		s.ordered[o.Day] = o.Oddities
		return nil
	})
	s.journal = journal
	return s, err
}

// Close closes the journal.
func (s *Sim) Close() error { return s.journal.Close() }

// Order says what is odd about the day of that moment, instead of what was ordered before.
func (s *Sim) Order(day time.Time, odd ...Oddity) error {
	for _, o := range odd {
		if !slices.Contains(oddities, o) {
			return fmt.Errorf("banksim: no oddity %q", o)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := order{Day: dayOf(day).Format(time.DateOnly), Oddities: odd}
	if err := s.journal.Append(o); err != nil {
		return err
	}
	s.ordered[o.Day] = odd
	return nil
}

func (s *Sim) odd(day time.Time, o Oddity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.ordered[day.Format(time.DateOnly)], o)
}

// dayOf is the midnight in China before a moment.
func dayOf(t time.Time) time.Time {
	y, m, d := t.In(clock.Shanghai).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, clock.Shanghai)
}

// Write writes the statement of the day of that moment, as far as it has come.
func (s *Sim) Write(w io.Writer, day time.Time, l Layout) error {
	st, err := s.statement(dayOf(day))
	if err != nil {
		return err
	}
	switch l {
	case Signed:
		return st.signed(w)
	case TwoColumns:
		return st.twoColumns(w)
	case Workbook:
		return st.workbook(w)
	}
	return fmt.Errorf("banksim: no layout %q", l)
}

// due is when the bank hands out a day's statement: eight o'clock on the next morning.
func (s *Sim) due(day time.Time) time.Time {
	days := 1
	if s.odd(day, Late) {
		days = 2
	}
	return day.AddDate(0, 0, days).Add(8 * time.Hour)
}

// FileName is the name of a day's statement in the folder: 流水_20261123.csv.
func FileName(day time.Time, l Layout) string {
	ending := ".csv"
	if l == Workbook {
		ending = ".xlsx"
	}
	return "流水_" + dayOf(day).Format("20060102") + ending
}

// Deliver puts the statements that are due and not there yet into the folder, and returns their names. A file is dated by the bank's clock.
func (s *Sim) Deliver(folder string, l Layout) (names []string, err error) {
	now := s.cfg.Clock.Now()
	for day := dayOf(s.cfg.First); day.Before(now); day = day.AddDate(0, 0, 1) {
		path := filepath.Join(folder, FileName(day, l))
		if _, err := os.Lstat(path); err == nil || now.Before(s.due(day)) {
			continue
		}
		if err := s.put(path, day, l, now); err != nil {
			return names, err
		}
		names = append(names, filepath.Base(path))
	}
	return names, nil
}

// put writes a file under another name first, so that no half of it is ever found.
func (s *Sim) put(path string, day time.Time, l Layout, now time.Time) error {
	var file bytes.Buffer
	if err := s.Write(&file, day, l); err != nil {
		return err
	}
	half := path + ".part"
	if err := os.WriteFile(half, file.Bytes(), 0o600); err != nil {
		return err
	}
	if err := os.Chtimes(half, now, now); err != nil {
		return err
	}
	return os.Rename(half, path)
}
