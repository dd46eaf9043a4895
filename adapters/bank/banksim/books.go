package banksim

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// sort is why money moved.
type sort int

const (
	withdrawal sort = iota // 微信提现
	recharge               // 微信充值
	cards                  // 窗口刷卡
	salaries               // 代发工资
	supplier               // 货款
)

// entry is one movement of the account.
type entry struct {
	at      time.Time
	key     string // orders those of one moment
	sort    sort
	amount  money.Fen // positive: in
	numbers []string  // WeChat's, as far as the remark names them
	bankNo  string
	balance money.Fen // after it
	hidden  bool      // booked, and left out of the statement
}

// statement is a day of the account.
type statement struct {
	account          string
	day              time.Time
	opening, closing money.Fen
	entries          []entry // in the order of time
	in, out          money.Fen
	ins, outs        int
}

// latest is how long a withdrawal is under way at most.
const latest = 20 * time.Minute

// statement adds the account up from its first day to the end of that day, or to this moment.
func (s *Sim) statement(day time.Time) (*statement, error) {
	st := &statement{account: s.cfg.Account, day: day, opening: s.cfg.Opening}
	now, balance := s.cfg.Clock.Now(), s.cfg.Opening
	for d := dayOf(s.cfg.First); !d.After(day); d = d.AddDate(0, 0, 1) {
		entries, err := s.book(d)
		if err != nil {
			return nil, err
		}
		st.opening, st.entries = balance, st.entries[:0]
		for _, e := range entries {
			if e.at.After(now) {
				break
			}
			balance += e.amount
			e.balance = balance
			st.entries = append(st.entries, e)
		}
	}
	st.closing = balance
	for i := range st.entries {
		if e := &st.entries[i]; e.amount > 0 {
			st.in, st.ins = st.in+e.amount, st.ins+1
		} else {
			st.out, st.outs = st.out-e.amount, st.outs+1
		}
	}
	return st, nil
}

// book is what happens on a day, with what was ordered for it.
func (s *Sim) book(day time.Time) ([]entry, error) {
	entries, err := s.fromWeChat(day)
	if err != nil {
		return nil, err
	}
	sortEntries(entries)
	entries = s.spoil(day, entries)
	entries = append(entries, s.others(day)...)
	sortEntries(entries)
	for i := range entries {
		entries[i].bankNo = fmt.Sprintf("T%s%06d", day.Format("20060102"), i+1)
	}
	return entries, nil
}

func sortEntries(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.key, b.key)) })
}

var numberForm = regexp.MustCompile(`^[0-9A-Za-z]{10,64}$`)

// fromWeChat are the withdrawals that arrive on the day, and the recharges that leave; what comes without a number, or with another's, is not booked by any bank.
func (s *Sim) fromWeChat(day time.Time) (entries []entry, err error) {
	list, err := s.cfg.Withdrawals.Withdrawals(day.Add(-latest), day.AddDate(0, 0, 1))
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, w := range list {
		if !numberForm.MatchString(w.Number) || seen[w.Number] || w.Amount <= 0 || w.Amount > money.Max {
			return nil, fmt.Errorf("banksim: a withdrawal without a number of its own, or an amount")
		}
		seen[w.Number] = true
		e := entry{at: w.At.In(day.Location()), key: w.Number, sort: recharge, amount: -w.Amount}
		if !w.Recharge {
			e.at = e.at.Add(time.Duration(s.draw(w.Number, 60, int(latest/time.Second))) * time.Second)
			e.sort, e.amount, e.numbers = withdrawal, w.Amount, []string{w.Number}
		}
		if dayOf(e.at).Equal(day) {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// spoil does to WeChat's credits of a day what was ordered.
func (s *Sim) spoil(day time.Time, entries []entry) []entry {
	is := func(e entry) bool { return e.sort == withdrawal }
	first := slices.IndexFunc(entries, is)
	if first < 0 {
		return entries
	}
	e := &entries[first]
	if next := slices.IndexFunc(entries[first+1:], is); next >= 0 && s.odd(day, TwoInOne) {
		other := entries[first+1+next]
		e.at, e.amount, e.numbers = other.at, e.amount+other.amount, append(e.numbers, other.numbers...)
		entries = slices.Delete(entries, first+1+next, first+2+next)
	}
	if s.odd(day, WrongAmount) {
		e.amount += 100
	}
	if s.odd(day, NoNumber) {
		e.numbers = nil
	}
	e.hidden = s.odd(day, MissingRow)
	return entries
}

// others are drawn: what the terminals at the windows took, a supplier now and then, and salaries on the tenth.
func (s *Sim) others(day time.Time) (entries []entry) {
	date := day.Format(time.DateOnly)
	add := func(what string, i int, kind sort, amount int) {
		key := fmt.Sprintf("%s %s %d", date, what, i)
		at := day.Add(time.Duration(s.draw(key+" at", 8*3600, 18*3600)) * time.Second)
		entries = append(entries, entry{at: at, key: key, sort: kind, amount: money.Fen(amount)})
	}
	for i := range s.draw(date+" cards", 3, 8) {
		add("card", i, cards, s.draw(fmt.Sprintf("%s card %d", date, i), 1_000, 300_000))
	}
	for i := range s.draw(date+" suppliers", 0, 2) {
		add("supplier", i, supplier, -s.draw(fmt.Sprintf("%s supplier %d", date, i), 10_000, 100_000))
	}
	if day.Day() == 10 {
		add("salaries", 0, salaries, -s.draw(date+" salaries", 1_000_000, 2_000_000))
	}
	return entries
}

// draw is a number from low to high that follows from the seed and the name.
func (s *Sim) draw(name string, low, high int) int {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d|%s", s.cfg.Seed, name) // a hash takes everything
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd // FNV alone is too even in its low digits
	x ^= x >> 33
	return low + int(x%uint64(high-low+1)) //nolint:gosec // high is not below low
}
