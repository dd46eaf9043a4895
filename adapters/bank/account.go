package bank

import (
	"slices"
	"strconv"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

// amount reads the amount under a column; an empty cell is nothing where it may be.
func (rd *reader) amount(r row, key string, optional bool) (money.Fen, error) {
	text := rd.cell(r, key)
	if text == "" && optional {
		return 0, nil
	}
	f, what := rd.fen(text)
	if what != nil {
		return 0, rd.wrong(r, key, what)
	}
	return f, nil
}

func (rd *reader) fen(text string) (money.Fen, *wrong) {
	if rd.m.Kind == kindXLSX {
		text = excelText(text)
	}
	return amountOf(text)
}

// amounts reads what a row moved, from one column or two.
func (rd *reader) amounts(r row, m *movement) error {
	if !rd.has("amount") {
		return rd.apart(r, m)
	}
	f, err := rd.amount(r, "amount", false)
	switch {
	case err != nil:
		return err
	case f == 0:
		return rd.wrong(r, "amount", nothingMoved)
	case !rd.has("direction"):
		m.amount, m.credit = f, f > 0
		return nil
	case f < 0 && !rd.m.Negative:
		return rd.wrong(r, "amount", negative)
	}
	switch word := rd.cell(r, "direction"); {
	case slices.Contains(rd.m.Directions.In, word):
		m.amount, m.credit = f, true
	case slices.Contains(rd.m.Directions.Out, word):
		m.amount = -f
	default:
		return rd.wrong(r, "direction", noDirection)
	}
	return nil
}

// apart is amounts for two columns, of which one has an amount and the other nothing, or zero.
func (rd *reader) apart(r row, m *movement) error {
	in, err := rd.amount(r, "in", true)
	if err != nil {
		return err
	}
	out, err := rd.amount(r, "out", true)
	key := "in"
	if in == 0 {
		key = "out"
	}
	switch {
	case err != nil:
		return err
	case (in == 0) == (out == 0):
		return refused(r.number, rd.names["in"]+"/"+rd.names["out"], twoAmounts)
	case in+out < 0 && !rd.m.Negative:
		return rd.wrong(r, key, negative)
	}
	m.amount, m.credit = in-out, in != 0
	return nil
}

// count adds a movement to the sums of its side, and checks that its balance follows from the row before.
func (rd *reader) count(r row, m *movement) error {
	sum, n, size := &rd.out, &rd.outCount, -m.amount
	if m.credit {
		sum, n, size = &rd.in, &rd.inCount, m.amount
	}
	var err error
	if *sum, err = money.Add(*sum, size); err != nil {
		return refused(r.number, "", hugeAmount)
	}
	*n++
	if rd.has("balance") {
		if m.balance, err = rd.amount(r, "balance", false); err != nil {
			return err
		}
		before, after := &rd.last, m
		if rd.m.NewestFirst {
			before, after = m, &rd.last
		}
		if rd.last.row > 0 && before.balance+after.amount != after.balance {
			return rd.wrong(r, "balance", otherBalance)
		}
	}
	if rd.first.row == 0 {
		rd.first = *m
	}
	rd.last = *m
	return nil
}

// line is a movement as recon compares it. What is not WeChat's stands there to be counted, with the bank's number alone.
func (rd *reader) line(r row, m *movement) (recon.Line, error) {
	l := recon.Line{Source: recon.Bank, Leg: recon.Foreign, Kind: recon.Other, At: m.when.at().UTC(), Amount: m.amount, Place: r.place}
	if m.amount < 0 {
		l.Amount = -m.amount
	}
	number, what := rd.number(r, "number", rd.cell(r, "number"))
	if what != nil {
		return l, rd.wrong(r, "number", what)
	}
	l.Numbers[recon.BankNo] = number
	if !rd.ofWeChat(r) {
		return l, nil
	}
	l.Leg, l.Kind = recon.Account, recon.TransferIn
	if m.amount > 0 {
		l.Kind = recon.Transfer
	}
	if l.Numbers[recon.FlowNo], what = rd.reference(r); what != nil {
		return l, rd.wrong(r, "remark", what)
	}
	return l, nil
}

// number checks a number that stands under a column.
func (rd *reader) number(r row, key, text string) (string, *wrong) {
	if text == "" {
		return "", missing
	}
	return numberOf(text, r.spoiled != nil && r.spoiled(rd.columns[key]))
}

// ofWeChat reports whether a row matches every pattern that the mapping gives.
func (rd *reader) ofWeChat(r row) bool {
	o := &rd.m.Only
	return (o.party == nil || o.party.MatchString(rd.cell(r, "party"))) &&
		(o.partyAccount == nil || o.partyAccount.MatchString(rd.cell(r, "party_account"))) &&
		(o.remark == nil || o.remark.MatchString(rd.cell(r, "remark")))
}

// reference is WeChat's number in the remark; empty where there is none, and where there are several: one credit for several withdrawals is one line, and no
// number of theirs is its own.
func (rd *reader) reference(r row) (string, *wrong) {
	if rd.m.number == nil {
		return "", nil
	}
	found := ""
	for _, groups := range rd.m.number.FindAllStringSubmatch(rd.cell(r, "remark"), -1) {
		number, what := rd.number(r, "remark", groups[1])
		switch {
		case what != nil:
			return "", badReference
		case found != "" && found != number:
			return "", nil
		}
		found = number
	}
	return found, nil
}

// end holds the notes against the rows, when all were read.
func (rd *reader) end() error {
	if rd.columns == nil {
		return refused(0, "", noHeader)
	}
	for _, notes := range [][]Note{rd.m.Head, rd.m.Foot} {
		for i := range notes {
			if !notes[i].Optional && !rd.met[&notes[i]] {
				return refused(0, "", noNote)
			}
		}
	}
	edges := map[string]money.Fen{}
	for _, c := range rd.claims {
		var err error
		switch c.group {
		case "in_count", "out_count", "count":
			err = rd.checkCount(c)
		default:
			err = rd.checkSum(c, edges)
		}
		if err != nil {
			return err
		}
	}
	opening, told := edges["opening"]
	closing, told2 := edges["balance"]
	if told && told2 && opening+rd.in-rd.out != closing {
		return refused(0, "", otherClosing)
	}
	return nil
}

// claimed are the claims' names for people.
var claimed = map[string]string{"in": "收入合计", "out": "支出合计", "in_count": "收入笔数", "out_count": "支出笔数", "count": "笔数", "opening": "期初余额",
	"balance": "期末余额"}

func (rd *reader) checkCount(c claim) error {
	want := map[string]int{"in_count": rd.inCount, "out_count": rd.outCount, "count": rd.inCount + rd.outCount}[c.group]
	if n, err := strconv.Atoi(c.text); err != nil || n != want {
		return refused(c.row, claimed[c.group], otherSum)
	}
	return nil
}

// checkSum checks a claimed amount, and notes balances in edges.
func (rd *reader) checkSum(c claim, edges map[string]money.Fen) error {
	f, what := rd.fen(c.text)
	if what != nil {
		return refused(c.row, claimed[c.group], what)
	}
	var want money.Fen
	switch c.group {
	case "in":
		want = rd.in
	case "out":
		if want = rd.out; f == -want { // some write what went out with a sign
			return nil
		}
	default:
		edges[c.group] = f
		if !rd.has("balance") || rd.first.row == 0 {
			return nil
		}
		oldest, newest := &rd.first, &rd.last
		if rd.m.NewestFirst {
			oldest, newest = newest, oldest
		}
		if want = newest.balance; c.group == "opening" {
			want = oldest.balance - oldest.amount
		}
	}
	if f != want {
		return refused(c.row, claimed[c.group], otherSum)
	}
	return nil
}
