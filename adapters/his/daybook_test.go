package his_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/split"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	today  = recon.DayOf(time.Date(2026, 11, 23, 9, 30, 0, 0, clock.Shanghai))
)

// keptFile is a day's list as it is kept.
func keptFile(t testing.TB) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", "day.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return string(file)
}

// fetched is what Fetch has kept.
func fetched(t testing.TB, book recon.Statements, day recon.Day) (of recon.Statement, file string, err error) {
	t.Helper()
	err = book.Fetch(t.Context(), day, nil, func(s recon.Statement, write func(io.Writer) error) error {
		var b bytes.Buffer
		of = s
		defer func() { file = b.String() }()
		return write(&b)
	})
	return of, file, err
}

func readDay(book recon.Statements, of recon.Statement, file string) (lines []recon.Line, err error) {
	err = book.Read(of, strings.NewReader(file), func(l recon.Line) error {
		lines = append(lines, l)
		return nil
	})
	return lines, err
}

// TestDaybookIsAlike: whichever way a hospital speaks, the same day gives the same bytes.
func TestDaybookIsAlike(t *testing.T) {
	t.Parallel()
	for i, s := range speakers {
		w := newWard(t, s.open, false)
		if of, file, err := fetched(t, w.Statements(), today); err != nil || !of.Nothing || of.Final || file != "" {
			t.Errorf("%s: before anything: %+v %q, %v", s.name, of, file, err)
		}
		w.post("7")
		w.book("R1")
		for _, closed := range []bool{false, true} {
			if closed {
				w.clock.Advance(24 * time.Hour)
			}
			of, file, err := fetched(t, w.Statements(), today)
			if want := (recon.Statement{Source: recon.HIS, Day: today, Name: "医院日账_2026-11-23.jsonl", Final: closed}); err != nil || of != want {
				t.Errorf("%s: %+v, %v, want %+v", s.name, of, err, want)
			}
			if !closed {
				file = strings.Replace(file, `"closed":false`, `"closed":true`, 1)
			}
			if *update && i == 0 {
				w.must(os.WriteFile(filepath.Join("testdata", "day.jsonl"), []byte(file), 0o600))
			}
			if diff := cmp.Diff(keptFile(t), file); diff != "" {
				t.Errorf("%s (-want +got):\n%s", s.name, diff)
			}
		}
	}
}

// TestDaybookLines: what reconciliation sees of a payment and of a refund.
func TestDaybookLines(t *testing.T) {
	t.Parallel()
	w := newWard(t, speakers[0].open, false)
	w.post("7")
	w.book("R1")
	list, err := w.Day(t.Context(), w.clock.Now())
	w.must(err)
	of, file, err := fetched(t, w.Statements(), today)
	w.must(err)
	lines, err := readDay(w.Statements(), of, file)
	w.must(err)
	pay := recon.Line{Source: recon.HIS, Leg: recon.Posting, Kind: recon.Pay, At: list.Records[0].At, Amount: 18197, Tells: recon.TellsAll,
		Split: split.Split{PooledFund: 5000, OtherFund: 100, Account: 2000, FamilyAccount: 17, Cash: 1400, Uninsured: 9680}}
	pay.Numbers[recon.OrderNo], pay.Numbers[recon.PostingNo], pay.Numbers[recon.SetlID], pay.Numbers[recon.OutTradeNo] = "7", list.Records[0].Number, "setl-1", "T1"
	back := recon.Line{Source: recon.HIS, Leg: recon.Posting, Kind: recon.Refund, At: list.Records[1].At, Amount: 7399, Tells: recon.TellsAll,
		Split: split.Split{PooledFund: 1000, Account: 118, Uninsured: 9680}}
	back.Numbers[recon.OrderNo], back.Numbers[recon.RefundNo], back.Numbers[recon.BookingNo] = "7", "R1", list.Records[1].Number
	back.Numbers[recon.SetlID], back.Numbers[recon.OutRefundNo] = "setl-2", "TK1"
	for i := range lines {
		row := file[lines[i].Place.Offset : lines[i].Place.Offset+int64(lines[i].Place.Length)]
		if row[0] != '{' || row[len(row)-1] != '}' || !strings.Contains(row, list.Records[i].Number) {
			t.Errorf("line %d stands at %q", i, row)
		}
		lines[i].Place = recon.Place{}
	}
	if diff := cmp.Diff([]recon.Line{pay, back}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// counter is a hospital that answers always the same.
type counter struct {
	answer his.Answer
	err    error
}

// Carry answers.
func (c counter) Carry(context.Context, string, []byte) (his.Answer, error) { return c.answer, c.err }

func TestDaybookFaults(t *testing.T) {
	t.Parallel()
	const none = `{"date":"2026-11-23","page":1,"count":0,"payment_fen":0,"refund_fen":0,"closed":false}`
	for name, tt := range map[string]struct {
		counter
		want error
	}{
		"not offered, by REST":  {counter{err: bill.ErrNoAnswer.Because(fmt.Errorf("404: %w", his.ErrNotOffered))}, his.ErrNoDayList},
		"not offered, by SOAP":  {counter{err: his.ErrRequest.Because(his.ErrNotOffered)}, his.ErrNoDayList},
		"no answer":             {counter{err: bill.ErrNoAnswer}, bill.ErrNoAnswer},
		"unreachable":           {counter{err: his.ErrUnreachable}, his.ErrUnreachable},
		"nonsense":              {counter{err: errors.New("not signed")}, bill.ErrUnreadable},
		"maintenance":           {counter{answer: his.Answer{Code: "MAINTENANCE"}}, bill.ErrMaintenance},
		"another day":           {counter{answer: his.Answer{Code: "1", Data: []byte(strings.Replace(none, "-23", "-22", 1))}}, recon.ErrForm},
		"sums of nothing":       {counter{answer: his.Answer{Code: "1", Data: []byte(strings.Replace(none, `"payment_fen":0`, `"payment_fen":5`, 1))}}, recon.ErrForm},
		"records that are not":  {counter{answer: his.Answer{Code: "0", Data: []byte(strings.Replace(none, `"count":0`, `"count":1`, 1))}}, recon.ErrForm},
		"of no day":             {counter{answer: his.Answer{Code: "1"}}, recon.ErrForm},
		"closed before its end": {counter{answer: his.Answer{Code: "1", Data: []byte(strings.Replace(none, "false", "true", 1))}}, recon.ErrForm},
	} {
		c, err := his.New(his.Config{Clock: clock.NewFake(today.Begin())}, tt.counter)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := fetched(t, c.Statements(), today); !errors.Is(err, tt.want) || errors.Is(tt.want, recon.ErrForm) != errors.Is(err, recon.ErrForm) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if said, ok := fault.Find(his.ErrNoDayList.Because(his.ErrNotOffered)); !ok || said.Msg != "医院未提供日账" {
		t.Errorf("a hospital without the list is called %+v", said)
	}
	c, err := his.New(his.Config{Clock: clock.NewFake(today.Begin())}, counter{answer: his.Answer{Code: "1", Data: []byte(none)}})
	if err != nil {
		t.Fatal(err)
	}
	of, file, err := fetched(t, c.Statements(), today)
	if lines, again := readDay(c.Statements(), of, file); err != nil || again != nil || len(lines) > 0 || !of.Nothing {
		t.Errorf("nothing: %+v, %v, %v", of, err, again)
	}
}

// TestDaybookOddities: a hospital whose list does not add up is refused, and its record of another day.
func TestDaybookOddities(t *testing.T) {
	t.Parallel()
	w := newWard(t, speakers[0].open, false)
	w.post("7")
	w.book("R1")
	for _, kind := range []hissim.Kind{hissim.PageMissing, hissim.CountWrong} {
		w.must(w.sim.Distort(hissim.Oddity{Op: "statements.list", Kind: kind, Times: 2}))
		if _, _, err := fetched(t, w.Statements(), today); !errors.Is(err, recon.ErrForm) {
			t.Errorf("%s: %v", kind, err)
		}
		_, _, _ = fetched(t, w.Statements(), today) // takes what is left
	}
}

// book is a reader of days.
func book(t testing.TB) recon.Statements {
	t.Helper()
	c, err := his.New(his.Config{Clock: clock.NewFake(today.Begin())}, counter{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Statements()
}

func sumOf(lines []recon.Line) (sum [2]money.Fen) {
	for _, l := range lines {
		if l.Kind == recon.Refund {
			sum[1] += l.Amount
		} else {
			sum[0] += l.Amount
		}
	}
	return sum
}

// TestDaybookForm: a kept list is read as it was written, or not at all.
func TestDaybookForm(t *testing.T) {
	t.Parallel()
	days, of := book(t), recon.Statement{Source: recon.HIS, Day: today, Final: true}
	right := keptFile(t)
	lines, err := readDay(days, of, right)
	if err != nil || len(lines) != 2 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	want := sumOf(lines)
	refused := func(name, file string) {
		if _, err := readDay(days, of, file); !errors.Is(err, recon.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	spoilt := []byte(right)
	for i, was := range spoilt {
		for _, b := range []byte{was ^ 1, was ^ 0x20, was ^ 0x80, '\n', '"', '0', '}'} {
			if b == was {
				continue
			}
			spoilt[i] = b
			if got, err := readDay(days, of, string(spoilt)); err != nil && !errors.Is(err, recon.ErrForm) || err == nil && (len(got) != 2 || sumOf(got) != want) {
				t.Errorf("byte %d as %q: %v, %v", i, b, got, err)
			}
		}
		spoilt[i] = was
	}
	rows := strings.SplitAfter(right, "\n")[:3]
	for i := range rows {
		refused(fmt.Sprintf("without line %d", i), strings.Join(slices.Delete(slices.Clone(rows), i, i+1), ""))
		refused(fmt.Sprintf("line %d twice", i), strings.Join(slices.Insert(slices.Clone(rows), i, rows[i]), ""))
		refused(fmt.Sprintf("line %d first", i), strings.Join([]string{rows[i], rows[(i+2)%3], rows[(i+1)%3]}, ""))
		refused(fmt.Sprintf("a member more in line %d", i), strings.Replace(right, rows[i], strings.Replace(rows[i], "}\n", `,"more":1}`+"\n", 1), 1))
		refused(fmt.Sprintf("line %d with blanks", i), strings.Replace(right, rows[i], strings.Replace(rows[i], ",", ", ", 1), 1))
	}
	refused("members swapped", strings.Replace(right, `"kind":"payment","order_no":"7"`, `"order_no":"7","kind":"payment"`, 1))
	refused("a part off", strings.Replace(right, `"cash_fen":1400`, `"cash_fen":1401`, 1))
	refused("no last line feed", strings.TrimSuffix(right, "\n"))
	refused("empty", "")
	refused("a line too long", `{"kind":"`+strings.Repeat("x", 64<<10)+"\n"+right)
	refused("another day", strings.ReplaceAll(right, "2026-11-23", "2026-11-22"))
	stop := errors.New("enough")
	if err := days.Read(of, strings.NewReader(right), func(recon.Line) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("told to stop: %v", err)
	}
}

// FuzzDaybook reads anything as a kept list: what is taken is, line by line, what would be written.
func FuzzDaybook(f *testing.F) {
	right := keptFile(f)
	f.Add([]byte(right))
	f.Add([]byte(right[strings.LastIndex(right, "{\"date\""):]))
	days, of := book(f), recon.Statement{Source: recon.HIS, Day: today}
	f.Fuzz(func(t *testing.T, file []byte) {
		lines, err := readDay(days, of, string(file))
		if err != nil {
			if !errors.Is(err, recon.ErrForm) {
				t.Fatal(err)
			}
			return
		}
		var sum [2]money.Fen
		length := int64(0)
		for _, l := range lines {
			if l.Place.Offset != length || recon.DayOf(l.At) != today || l.Numbers[recon.OrderNo] == "" || l.Amount <= 0 {
				t.Errorf("line = %+v", l)
			}
			length += int64(l.Place.Length) + 1
		}
		sum = sumOf(lines)
		end := fmt.Sprintf(`{"date":"2026-11-23","count":%d,"payment_fen":%d,"refund_fen":%d,"closed":`, len(lines), sum[0], sum[1])
		if rest := string(file[length:]); rest != end+"true}\n" && rest != end+"false}\n" {
			t.Errorf("the last line is %q, want %q", rest, end)
		}
	})
}
