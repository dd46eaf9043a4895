package bank

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

// What can be wrong with a row or a file.
var (
	noHeader     = &wrong{"没有表头", "no header"}
	noColumn     = &wrong{"表头中没有这一列", "a column that the header does not have"}
	twoColumns   = &wrong{"表头中有不止一列符合", "more than one column of the header"}
	missing      = &wrong{"为空", "empty"}
	manyCells    = &wrong{"单元格多于表头", "more cells than the header has"}
	twoAmounts   = &wrong{"收入和支出须有且只有一个金额", "an amount both in and out, or neither"}
	nothingMoved = &wrong{"金额为零", "an amount of nothing"}
	negative     = &wrong{"金额为负（红字须在映射中写明 negative）", "a negative amount, which the mapping does not know"}
	noDirection  = &wrong{"不是映射所写的借贷标志", "neither of the directions"}
	otherBalance = &wrong{"余额与上一笔不衔接，可能缺少或多出明细", "a balance that does not follow from the row before"}
	otherAccount = &wrong{"不是本机构的账号", "another account"}
	badReference = &wrong{"微信单号有误", "what should be WeChat's number is not one"}
	afterFoot    = &wrong{"合计行之后还有明细", "a movement after the last line"}
	noNote       = &wrong{"缺少映射所写的说明行或合计行，文件可能不完整", "a line of head or foot is missing"}
	otherSum     = &wrong{"与明细不符", "does not agree with the rows"}
	otherClosing = &wrong{"期初余额、收入、支出与期末余额不符", "opening balance, sums and closing balance do not agree"}
)

// refused says of a file what is wrong with it and where: in Chinese for people, in English in the log. Row 0 and an empty column are none.
func refused(row int, column string, what *wrong) error {
	zh, en := "银行对账单", "bank statement: "
	if row > 0 {
		zh, en = zh+fmt.Sprintf("第 %d 行", row), en+fmt.Sprintf("row %d, ", row)
	}
	if column != "" {
		zh, en = zh+"「"+column+"」", en+"column "+column+", "
	}
	return recon.ErrForm.Saying(zh + "：" + what.zh + "。整份文件未采用").Because(errors.New(en + what.en))
}

// refusedWhole is refused for what is said of the whole file.
func refusedWhole(subject string, what *wrong) error {
	return recon.ErrForm.Saying("银行对账单" + subject + "：" + what.zh + "。整份文件未采用").Because(errors.New("bank statement: " + subject + ": " + what.en))
}

// reader reads one file.
type reader struct {
	m       *Mapping
	account string
	day     recon.Day
	dates   dates
	give    func(recon.Line) error

	width   int            // of the header
	columns map[string]int // by key of the mapping
	names   map[string]string
	met     map[*Note]bool
	claims  []claim
	footed  bool

	in, out           money.Fen
	inCount, outCount int
	first, last       movement // as they stand in the file
}

// movement is what a row says of the account.
type movement struct {
	row     int
	when    moment
	credit  bool      // it stands on the side of what came in, as a correction (红字) of what came in does
	amount  money.Fen // positive: in
	balance money.Fen // after it
}

// claim is what a note says of the rows.
type claim struct {
	row         int
	group, text string
}

// Read reads a statement row by row and gives its lines of that day. Rows of other days are read as strictly, and count in sums and balances, but are no lines.
// Errors: recon.ErrForm, which says in Chinese what is wrong in which row and column, never what stands there; and those of r and of row.
func (s *Statements) Read(of recon.Statement, r io.Reader, row func(recon.Line) error) error {
	m := s.cfg.Mapping
	rd := &reader{m: m, account: s.cfg.Account, day: of.Day, give: row, met: map[*Note]bool{},
		dates: dates{dates: m.dates, times: m.times, serials: m.Kind == kindXLSX}}
	var from rows
	if m.Kind == kindXLSX {
		x, epoch, err := openWorkbook(r, m.Sheet)
		if err != nil {
			return err
		}
		from, rd.dates.epoch = x, epoch
	} else {
		from = newCSVRows(r, m.comma(), encodings[m.Encoding])
	}
	for n := 0; ; n++ {
		one, err := from.next()
		if errors.Is(err, io.EOF) {
			return rd.end()
		}
		if err == nil {
			err = rd.take(n, one)
		}
		if err != nil {
			return err
		}
	}
}

// take takes the n-th row: a line before the header, the header, a note, or a movement.
func (rd *reader) take(n int, r row) error {
	switch blank := strings.Join(r.cells, "") == ""; {
	case n < rd.m.Skip:
		_, err := rd.note(rd.m.Head, r)
		return err
	case n == rd.m.Skip:
		return rd.header(r)
	case blank:
		return nil
	}
	noted, err := rd.note(rd.m.Foot, r)
	if err != nil || noted {
		rd.footed = noted
		return err
	}
	if rd.footed {
		return refused(r.number, "", afterFoot)
	}
	return rd.move(r)
}

// note recognises a line that is no movement, and keeps what it claims.
func (rd *reader) note(notes []Note, r row) (bool, error) {
	if len(notes) == 0 {
		return false, nil
	}
	text := strings.TrimRight(strings.Join(r.cells, "|"), "|")
	found := false
	for i := range notes {
		n := &notes[i]
		groups := n.pattern.FindStringSubmatch(text)
		if groups == nil {
			continue
		}
		found, rd.met[n] = true, true
		for g, name := range n.pattern.SubexpNames() {
			switch {
			case name == "account" && !sameAccount(rd.account, groups[g]):
				return true, refused(r.number, "", otherAccount)
			case name != "" && name != "account":
				rd.claims = append(rd.claims, claim{r.number, name, groups[g]})
			}
		}
	}
	return found, nil
}

// header finds the columns: of the names that each may have, one stands there, once.
func (rd *reader) header(r row) error {
	rd.columns, rd.names, rd.width = map[string]int{}, map[string]string{}, len(r.cells)
	for _, c := range rd.m.Columns.all() {
		for i, cell := range r.cells {
			if cell == "" || !slices.Contains(c.names, cell) {
				continue
			}
			if _, twice := rd.columns[c.key]; twice {
				return refused(r.number, strings.Join(c.names, "/"), twoColumns)
			}
			rd.columns[c.key], rd.names[c.key] = i, cell
		}
		if _, there := rd.columns[c.key]; !there && len(c.names) > 0 {
			return refused(r.number, strings.Join(c.names, "/"), noColumn)
		}
	}
	return nil
}

// has reports whether the mapping names a column.
func (rd *reader) has(key string) bool { _, ok := rd.columns[key]; return ok }

// cell is a row's text under a column; empty where there is none.
func (rd *reader) cell(r row, key string) string {
	if i, ok := rd.columns[key]; ok && i < len(r.cells) {
		return r.cells[i]
	}
	return ""
}

// wrong refuses a row for what stands under a column.
func (rd *reader) wrong(r row, key string, what *wrong) error {
	return refused(r.number, rd.names[key], what)
}

// move reads a movement, holds it against the one before, and gives its line where it is of the day.
func (rd *reader) move(r row) error {
	for i := rd.width; i < len(r.cells); i++ {
		if r.cells[i] != "" {
			return refused(r.number, "", manyCells)
		}
	}
	if other, err := rd.otherCurrency(r); err != nil || other {
		return err
	}
	if rd.has("account") && !sameAccount(rd.account, rd.cell(r, "account")) {
		return rd.wrong(r, "account", otherAccount)
	}
	m := movement{row: r.number}
	var err error
	if m.when, err = rd.when(r); err != nil {
		return err
	}
	if err := rd.amounts(r, &m); err != nil {
		return err
	}
	if err := rd.count(r, &m); err != nil {
		return err
	}
	l, err := rd.line(r, &m)
	if err != nil || recon.DayOf(l.At) != rd.day {
		return err
	}
	return rd.give(l)
}

func (rd *reader) otherCurrency(r row) (bool, error) {
	if !rd.has("currency") {
		return false, nil
	}
	text := rd.cell(r, "currency")
	if text == "" {
		return false, rd.wrong(r, "currency", missing)
	}
	return !slices.Contains(rd.m.Currencies, text), nil
}

func (rd *reader) when(r row) (moment, error) {
	when, what := rd.dates.date(rd.cell(r, "date"))
	if what != nil {
		return when, rd.wrong(r, "date", what)
	}
	if when, what = rd.dates.time(when, rd.cell(r, "time")); what != nil {
		return when, rd.wrong(r, "time", what)
	}
	return when, nil
}
