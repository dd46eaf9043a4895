package core

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/split"
)

// The file that is read, one per group, in a form of ours: UTF-8, columns by TAB, lines ended LF, amounts in yuan.
//
//	tuoka-insurer 1 day insutype clr_type clr_optins verdict count medfee fund account cash      sums as they were sent
//	setl_id mdtrt_id msgid time medfee fund account refund verdict                               one line per settlement or its end
//	end rows sum                                                                                 sum of medfee, refunds negative
//
// Sums of the first line are as the area states them; amounts of the others are freed of its habits and never negative. An amount that nobody
// told is empty, and so is a time. There is no psn_no in it.
const (
	formName    = "tuoka-insurer"
	formVersion = "1"
	endMark     = "end"
	rowColumns  = 9
)

// maxLine is the longest line of a statement that is read.
const maxLine = 64 << 10

// badRow refuses a file. The row's own text is not told: it may be about a patient.
func badRow(row, column int, why string) error {
	return recon.ErrForm.Because(fmt.Errorf("row %d, column %d: %s", row, column, why))
}

func badFile(format string, args ...any) error {
	return recon.ErrForm.Because(fmt.Errorf(format, args...))
}

// eachLine hands over the lines of a file, without their ends, with their number and the place of their first byte.
func eachLine(r io.Reader, do func(n int, offset int64, line string) error) error {
	in := bufio.NewReaderSize(r, maxLine)
	offset := int64(0)
	for n := 1; ; n++ {
		raw, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return badRow(n, 1, "a line of more than 64 KB")
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case len(raw) == 0:
			return nil
		}
		line := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
		if err := do(n, offset, line); err != nil {
			return err
		}
		offset += int64(len(raw))
	}
}

// row is a line of our form.
type row struct {
	setlID, mdtrtID, msgID string
	at                     time.Time  // zero: not told
	total, fund, account   money.Yuan // not present: not told
	undone                 bool
	verdict                verdict
}

// lineWriter writes our form.
type lineWriter struct {
	w    *bufio.Writer
	rows int
	sum  money.Fen
}

func (w *lineWriter) head(day recon.Day, g Group, v verdict, t *tally) {
	w.line(formName, formVersion, day.String(), g.Insurance, g.ClrType, g.ClrOptins, string(v), strconv.Itoa(t.count), t.total.String(),
		t.fund.String(), t.account.String(), t.cash.String())
}

func (w *lineWriter) row(r row) error {
	flag, at, signed := "0", "", r.total.Fen
	if r.undone {
		flag, signed = "1", -signed
	}
	if !r.at.IsZero() {
		at = inChina(r.at)
	}
	var err error
	if w.sum, err = money.Add(w.sum, signed); err != nil {
		return badFile("the rows' sum is out of range")
	}
	w.rows++
	w.line(r.setlID, r.mdtrtID, r.msgID, at, told(r.total), told(r.fund), told(r.account), flag, string(r.verdict))
	return nil
}

func (w *lineWriter) end() error {
	w.line(endMark, strconv.Itoa(w.rows), w.sum.String())
	return w.w.Flush()
}

func (w *lineWriter) line(columns ...string) {
	_, _ = w.w.WriteString(strings.Join(columns, "\t") + "\n") // Flush says whether it went wrong
}

func told(y money.Yuan) string {
	if !y.Present {
		return ""
	}
	return y.Fen.String()
}

// lineReader reads our form.
type lineReader struct {
	day  recon.Day
	row  func(recon.Line) error
	rows int
	sum  money.Fen
	over bool
}

// Read gives what the insurer said of each settlement. A settlement of ours has its own time, which is the centre's; what only the centre has is
// told without one and stands at the day's noon. Of what only we have there is no line.
//
// A row whose amounts nobody told has the amount 0 and tells no parts: it is there, and it is equal to nothing. That is so of what only the centre
// has where its file has seven columns, and of what it calls different without showing in what.
func (s *Statements) Read(of recon.Statement, r io.Reader, row func(recon.Line) error) error {
	if of.Nothing || of.Attached {
		return badFile("a statement without lines")
	}
	in := lineReader{day: of.Day, row: row}
	last := 0
	err := eachLine(r, func(n int, offset int64, line string) error {
		last = n
		columns := strings.Split(line, "\t")
		switch {
		case in.over:
			return badRow(n, 1, "something after the end")
		case n == 1:
			return in.head(columns)
		case columns[0] == endMark && len(columns) == 3:
			return in.end(n, columns)
		}
		return in.line(n, columns, recon.Place{Offset: offset, Length: int32(len(line))}) //nolint:gosec // at most 64 KB
	})
	if err == nil && !in.over {
		err = badRow(last+1, 1, "no end")
	}
	return err
}

func (in *lineReader) head(columns []string) error {
	if len(columns) != 12 || columns[0] != formName || columns[1] != formVersion {
		return badRow(1, 1, "another form or version")
	}
	if columns[2] != in.day.String() {
		return badRow(1, 3, "another day")
	}
	if v := verdict(columns[6]); v != balanced && v != centreMore && v != oursMore && v != differs {
		return badRow(1, 7, "no verdict")
	}
	if _, err := strconv.ParseUint(columns[7], 10, 31); err != nil {
		return badRow(1, 8, "no count")
	}
	for i, text := range columns[8:] {
		if _, err := money.ParseYuan(text); err != nil {
			return badRow(1, 9+i, "no amount")
		}
	}
	return nil
}

func (in *lineReader) end(n int, columns []string) error {
	if columns[1] != strconv.Itoa(in.rows) || columns[2] != in.sum.String() {
		return badRow(n, 2, "another number of rows, or another sum")
	}
	in.over = true
	return nil
}

func (in *lineReader) line(n int, columns []string, place recon.Place) error {
	r, err := readRow(n, columns)
	if err != nil {
		return err
	}
	l := recon.Line{Source: recon.Insurer, Leg: recon.Insurance, Kind: recon.Pay, At: r.at, Amount: r.total.Fen,
		Split: split.Split{PooledFund: r.fund.Fen, Account: r.account.Fen}, Place: place}
	signed := l.Amount
	if r.undone {
		l.Kind, signed = recon.Reversal, -signed
	}
	if in.sum, err = money.Add(in.sum, signed); err != nil {
		return badRow(n, 5, "the sum is out of range")
	}
	in.rows++
	if r.verdict == oursMore {
		return nil
	}
	if r.fund.Present {
		l.Tells |= recon.TellsFund
	}
	if r.account.Present {
		l.Tells |= recon.TellsAccount
	}
	if l.At.IsZero() {
		l.At = in.day.Begin().Add(12 * time.Hour).UTC()
	}
	l.Numbers[recon.SetlID], l.Numbers[recon.MdtrtID], l.Numbers[recon.MsgID] = r.setlID, r.mdtrtID, r.msgID
	return in.row(l)
}

func readRow(n int, columns []string) (row, error) {
	if len(columns) != rowColumns {
		return row{}, badRow(n, 1, "not nine columns")
	}
	r := row{setlID: columns[0], mdtrtID: columns[1], msgID: columns[2], undone: columns[7] == "1", verdict: verdict(columns[8])}
	for i, text := range columns[:3] {
		if text != "" && !isNumber(text) {
			return row{}, badRow(n, 1+i, "no number")
		}
	}
	if r.setlID == "" {
		return row{}, badRow(n, 1, "no setl_id")
	}
	if columns[3] != "" {
		at, err := time.ParseInLocation(dateTime, columns[3], clock.Shanghai)
		if err != nil {
			return row{}, badRow(n, 4, "no time")
		}
		r.at = at.UTC()
	}
	for i, y := range []*money.Yuan{&r.total, &r.fund, &r.account} {
		if columns[4+i] == "" {
			continue
		}
		fen, err := money.ParseYuan(columns[4+i])
		if err != nil || fen < 0 {
			return row{}, badRow(n, 5+i, "no amount")
		}
		*y = money.InYuan(fen)
	}
	if columns[7] != "0" && columns[7] != "1" {
		return row{}, badRow(n, 8, "neither 0 nor 1")
	}
	switch r.verdict {
	case balanced, centreMore, oursMore, differs, uncounted, asked:
		return r, nil
	}
	return row{}, badRow(n, 9, "no verdict")
}

// isNumber reports whether a text can be one of the insurer's numbers: printable, without blanks, not longer than the widest field for one.
func isNumber(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
