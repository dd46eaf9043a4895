package recon

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// This file is our own form of a book: a line of text for each line, its values set apart by tabs, under a header that names them. In it our ledger leaves the
// house, for a run on files.

// lineColumns are the header.
var lineColumns = slices.Concat([]string{"source", "leg", "kind", "status", "at", "amount_fen", "pooled_fund_fen", "other_fund_fen", "account_fen", "family_account_fen",
	"hospital_borne_fen", "cash_fen", "uninsured_fen", "tells", "fee_millifen"}, numberNames[:])

// LineWriter writes that form.
type LineWriter struct {
	w   *bufio.Writer
	row []byte
}

// NewLineWriter begins with the header. Close ends it, not the writer.
func NewLineWriter(w io.Writer) *LineWriter {
	lw := &LineWriter{w: bufio.NewWriterSize(w, 1<<16)}
	_, _ = lw.w.WriteString(strings.Join(lineColumns, "\t") + "\n") // the writer keeps its error for Close
	return lw
}

// Write adds a line.
func (w *LineWriter) Write(l *Line) error {
	b := w.row[:0]
	for _, s := range []string{string(l.Source), string(l.Leg), string(l.Kind), string(l.Status)} {
		b = append(append(b, s...), '\t')
	}
	b = l.At.UTC().AppendFormat(b, time.RFC3339Nano)
	s := &l.Split
	for _, n := range []int64{int64(l.Amount), int64(s.PooledFund), int64(s.OtherFund), int64(s.Account), int64(s.FamilyAccount), int64(s.HospitalBorne),
		int64(s.Cash), int64(s.Uninsured), int64(l.Tells), int64(l.Fee)} {
		b = strconv.AppendInt(append(b, '\t'), n, 10)
	}
	for _, no := range l.Numbers {
		b = append(append(b, '\t'), no...)
	}
	b = append(b, '\n')
	w.row = b
	_, err := w.w.Write(b)
	return err
}

// Close writes what is buffered.
func (w *LineWriter) Close() error { return w.w.Flush() }

// maxRow is the longest row of any file.
const maxRow = 64 << 10

// ReadLines reads that form row by row: of one book. The first row that is not one ends it with ErrForm.
func ReadLines(source Source, r io.Reader, do func(Line) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, maxRow), maxRow)
	in.Split(byLineFeed)
	var at int64
	for n := 1; in.Scan(); n++ {
		row := in.Text()
		if n == 1 {
			if row != strings.Join(lineColumns, "\t") {
				return ErrForm.Because(errors.New("not the header of our own form"))
			}
			at += int64(len(row)) + 1
			continue
		}
		l, err := parseLine(row)
		if err == nil && l.Source != source {
			err = errors.New("of another book")
		}
		if err != nil {
			return ErrForm.Because(fmt.Errorf("row %d: %w", n, err))
		}
		l.Place = Place{Offset: at, Length: int32(len(row))} //nolint:gosec // below maxRow
		at += int64(len(row)) + 1
		if err := do(l); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return ErrForm.Because(err)
	}
	return nil
}

// byLineFeed cuts rows at line feeds alone: a row that ends otherwise is none, and places stay true.
func byLineFeed(data []byte, atEOF bool) (advance int, row []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func parseLine(row string) (Line, error) {
	var values [15 + numbers]string
	for i := range values {
		value, rest, more := strings.Cut(row, "\t")
		if more != (i < len(values)-1) {
			return Line{}, errors.New("not as many values as the header")
		}
		values[i], row = value, rest
	}
	l := Line{Source: Source(values[0]), Leg: Leg(values[1]), Kind: Kind(values[2]), Status: Status(values[3])}
	if !slices.Contains(sources, l.Source) || !slices.Contains(legs, l.Leg) || !slices.Contains(kinds, l.Kind) || !slices.Contains(statuses, l.Status) {
		return Line{}, errors.New("a word that is none of its column's")
	}
	at, err := time.Parse(time.RFC3339Nano, values[4])
	if err != nil {
		return Line{}, errors.New("column at: not a time")
	}
	l.At = at.UTC()
	var tells, fee money.Fen
	amounts := values[5:15]
	for i, into := range [10]*money.Fen{&l.Amount, &l.Split.PooledFund, &l.Split.OtherFund, &l.Split.Account, &l.Split.FamilyAccount, &l.Split.HospitalBorne,
		&l.Split.Cash, &l.Split.Uninsured, &tells, &fee} {
		n, err := strconv.ParseInt(amounts[i], 10, 64)
		most := int64(money.Max)
		if into == &fee {
			most *= 1000
		}
		if err != nil || n > most || n < -most || (n < 0 && into != &fee) {
			return Line{}, fmt.Errorf("column %s: not an amount", lineColumns[5+i])
		}
		*into = money.Fen(n)
	}
	if tells > money.Fen(TellsAll) {
		return Line{}, errors.New("column tells: unknown parts")
	}
	l.Tells, l.Fee = Parts(tells), MilliFen(fee) //nolint:gosec // at most TellsAll
	for n := range l.Numbers {
		if l.Numbers[n] = values[15+n]; strings.ContainsRune(l.Numbers[n], '\r') {
			return Line{}, errors.New("a carriage return")
		}
	}
	return l, nil
}
