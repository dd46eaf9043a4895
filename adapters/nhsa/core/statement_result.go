package core

import (
	"errors"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/split"
)

// resultRow is one row of the result file (§4.4), by column.
type resultRow struct {
	mdtrtID, setlID, msgID string
	verdict                verdict
	undone                 bool
	told                   bool // the amounts are there
	sums
}

// The columns of the result file, from 0: psn_no, mdtrt_id, setl_id, msgid, stmt_rslt and refd_setl_flag in either order, memo, and perhaps
// medfee_sumamt, fund_pay_sumamt, acct_pay, and perhaps exp_content.
const (
	colVisit   = 1
	colSetl    = 2
	colMsg     = 3
	colFifth   = 4
	colSixth   = 5
	colAmounts = 7
)

// eachResult reads the result in that order of columns.
func (r *resultFile) eachResult(columns int, order ResultOrder, do func(n int, r *resultRow) error) error {
	in, err := r.open()
	if err != nil {
		return err
	}
	blank := 0 // an empty line, which only the last may be
	err = eachLine(in, func(n int, _ int64, line string) error {
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		switch {
		case blank > 0:
			return badRow(blank, 1, "an empty line")
		case line == "":
			blank = n
			return nil
		}
		cols := strings.Split(line, "\t")
		if width := widthOf(cols); columns == 0 {
			columns = width
		} else if width != columns {
			return badRow(n, 1, "not as many columns as there should be")
		}
		row, err := readResult(n, cols, columns, order)
		if err != nil {
			return err
		}
		return do(n, row)
	})
	return errors.Join(err, in.Close())
}

// widthOf counts the columns, but for an empty one that a TAB at the end makes: 7, 10 or 11, else 0. Ten with a TAB at the end and eleven whose
// last is empty are the same.
func widthOf(cols []string) int {
	switch n := len(cols); {
	case n == 7, n == 10, n == 11:
		return n
	case (n == 8 || n == 12) && cols[n-1] == "":
		return n - 1
	}
	return -1
}

func readResult(n int, cols []string, width int, order ResultOrder) (*resultRow, error) {
	if width < 0 {
		return nil, badRow(n, 1, "not 7, 10 or 11 columns")
	}
	for i, text := range cols {
		if text == "null" {
			cols[i] = ""
		}
	}
	r := &resultRow{mdtrtID: cols[colVisit], setlID: cols[colSetl], msgID: cols[colMsg]}
	for _, i := range []int{colVisit, colSetl, colMsg} {
		if cols[i] != "" && !isNumber(cols[i]) {
			return nil, badRow(n, i+1, "no number")
		}
	}
	if r.setlID == "" {
		return nil, badRow(n, colSetl+1, "no setl_id")
	}
	said, flag := colFifth, colSixth
	if order == FlagFirst {
		said, flag = colSixth, colFifth
	}
	if r.verdict = verdicts[cols[said]]; r.verdict == "" {
		return nil, badRow(n, said+1, "no stmt_rslt that is known")
	}
	if cols[flag] != "0" && cols[flag] != "1" {
		return nil, badRow(n, flag+1, "neither 0 nor 1")
	}
	r.undone = cols[flag] == "1"
	if width >= 10 {
		return r, r.amounts(n, cols[colAmounts:colAmounts+3])
	}
	return r, nil
}

// amounts are told all or none. Those of a refund are negative; some products turn them round.
func (r *resultRow) amounts(n int, cols []string) error {
	if cols[0] == "" && cols[1] == "" && cols[2] == "" {
		return nil
	}
	var fen [3]money.Fen
	up, down := false, false
	for i, text := range cols {
		var err error
		if fen[i], err = money.ParseYuan(text); err != nil {
			return badRow(n, colAmounts+1+i, "no amount")
		}
		up, down = up || fen[i] > 0, down || fen[i] < 0
		if down {
			fen[i] = -fen[i]
		}
	}
	if up && down || down && !r.undone {
		return badRow(n, colAmounts+1, "a sign that cannot be")
	}
	r.told, r.total, r.fund, r.account = true, fen[0], fen[1], fen[2]
	return nil
}

// rowKey is how a row of the result names one of ours.
type rowKey struct {
	setlID string
	undone bool
}

// book is what we have of a group, for a result to be read against.
type book struct {
	profile  Profile
	rows     []*own            // as uploaded
	hidden   []*own            // by agreement counted by nobody
	byKey    map[rowKey][]*own // of rows
	byVisit  map[string][]*own // of the undone ones of rows, by mdtrt_id
	bySetlID map[string][]*own // of hidden
	other    map[rowKey]bool   // told in another group's file, or to be: 3202 does not say which insurance it compares
	foreign  []rowKey          // what only the centre has, as read last
	run      int
}

func newBook(p Profile) *book {
	return &book{profile: p, byKey: map[rowKey][]*own{}, byVisit: map[string][]*own{}, bySetlID: map[string][]*own{}, other: map[rowKey]bool{}}
}

func (b *book) add(o *own, counted bool) {
	if !counted {
		b.hidden = append(b.hidden, o)
		b.bySetlID[o.setlID] = append(b.bySetlID[o.setlID], o)
		return
	}
	b.rows = append(b.rows, o)
	key := rowKey{o.setlID, o.undone}
	b.byKey[key] = append(b.byKey[key], o)
	if o.undone {
		b.byVisit[o.mdtrtID] = append(b.byVisit[o.mdtrtID], o)
	}
}

// layout is the first order of columns in which nothing in the result contradicts anything. Where none is, the fault of the first is told.
func (b *book) layout(result *resultFile) (ResultOrder, error) {
	var first error
	for _, order := range b.profile.Statement.orders() {
		err := b.read(result, order, func(row) error { return nil })
		if err == nil {
			return order, nil
		}
		if !errors.Is(err, recon.ErrForm) {
			return "", err
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

// read gives the result's rows, and then what it does not list: nothing of ours may be missing, unless it lists differences alone, and then what is
// missing is balanced. What the agreement keeps out of the sums, and what is not listed either, both books leave out. A result without a difference
// contradicts the 3201 that it was asked for.
func (b *book) read(result *resultFile, order ResultOrder, give func(row) error) error {
	b.run++
	b.foreign = b.foreign[:0]
	p, last, differences := &b.profile.Statement, 0, 0
	err := result.eachResult(p.ResultColumns, order, func(n int, r *resultRow) error {
		last = n
		if r.verdict == centreMore && b.other[rowKey{r.setlID, r.undone}] {
			return nil
		}
		if r.verdict != balanced {
			differences++
		}
		out, err := b.place(n, r)
		if err != nil {
			return err
		}
		return give(out)
	})
	switch {
	case err != nil:
		return err
	case differences == 0:
		return badFile("3201 is not balanced, and 3202 has %d rows and no difference", last)
	}
	for _, o := range b.rows {
		switch {
		case o.run == b.run:
			continue
		case !p.ResultDifferences:
			return badRow(last+1, colSetl+1, "a row of ours is missing")
		}
		if err := give(o.row(balanced)); err != nil {
			return err
		}
	}
	for _, o := range b.hidden {
		if slices.ContainsFunc(b.bySetlID[o.setlID], func(twin *own) bool { return twin.run == b.run }) {
			continue
		}
		if err := give(o.row(uncounted)); err != nil {
			return err
		}
	}
	return nil
}

// find is our row that the result's is about, and takes it. A refund may come under the number of the cancelling record: then its visit names it,
// when that has one refund alone.
func (b *book) find(r *resultRow) *own {
	for _, o := range b.byKey[rowKey{r.setlID, r.undone}] {
		if o.run != b.run {
			o.run = b.run
			return o
		}
	}
	if of := b.byVisit[r.mdtrtID]; r.undone && len(of) == 1 && of[0].run != b.run && len(b.byKey[rowKey{r.setlID, false}]) == 0 {
		of[0].run = b.run
		return of[0]
	}
	return nil
}

// place turns a row of the result into one of ours.
func (b *book) place(n int, r *resultRow) (row, error) {
	if r.verdict == centreMore {
		return b.theirs(n, r)
	}
	o := b.find(r)
	if o == nil {
		return row{}, badRow(n, colSetl+1, "a row that we did not send, or a second one")
	}
	out := o.row(r.verdict)
	if r.msgID != "" {
		out.msgID = r.msgID
	}
	if r.verdict == oursMore {
		return out, nil
	}
	if r.mdtrtID != "" {
		out.mdtrtID = r.mdtrtID
	}
	if r.told {
		fund, account, ok := b.profile.parts(r.sums, &o.split)
		if !ok {
			return row{}, badRow(n, colAmounts+1, "amounts that contradict each other")
		}
		out.total, out.fund, out.account = money.InYuan(r.total), fund, account
	}
	shown := out.mdtrtID != o.mdtrtID || r.told && (out.total != money.InYuan(o.split.Insured()) || out.fund.Fen != o.split.Fund() ||
		out.account.Fen != o.split.Account+o.split.FamilyAccount)
	if r.verdict == differs && !shown { // it differs, and nobody tells in what
		out.total, out.fund, out.account = money.Yuan{}, money.Yuan{}, money.Yuan{}
	}
	return out, nil
}

// theirs is a row that only the centre has. One of ours that was kept out of the sums by agreement has its own time.
func (b *book) theirs(n int, r *resultRow) (row, error) {
	if len(b.byKey[rowKey{r.setlID, r.undone}]) > 0 {
		return row{}, badRow(n, colSetl+1, "only the centre has it, and we sent it")
	}
	out := row{setlID: r.setlID, mdtrtID: r.mdtrtID, msgID: r.msgID, undone: r.undone, verdict: centreMore}
	b.foreign = append(b.foreign, rowKey{r.setlID, r.undone})
	var ours *split.Split
	for _, o := range b.bySetlID[r.setlID] {
		o.run = b.run
		if o.undone == r.undone {
			ours, out.at = &o.split, o.at
		}
	}
	if r.told {
		fund, account, ok := b.profile.parts(r.sums, ours)
		if !ok {
			return row{}, badRow(n, colAmounts+1, "amounts that contradict each other")
		}
		out.total, out.fund, out.account = money.InYuan(r.total), fund, account
	}
	return out, nil
}
