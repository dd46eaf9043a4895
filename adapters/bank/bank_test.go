package bank_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/bank"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/recon"
)

var update = flag.Bool("update", false, "renew the golden files")

// examples are the three mappings, and the accounts of their files.
var examples = []struct{ mapping, file, account string }{
	{"csv-signed", "csv-signed.csv", "6200880012344321"},
	{"csv-two-columns", "csv-two-columns.csv", "6217********8888"},
	{"workbook", "workbook.xlsx", "622588******1234"},
}

func day(t testing.TB, s string) recon.Day {
	t.Helper()
	d, err := recon.ParseDay(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func exampleMapping(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../configs/bank/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t testing.TB, text string) *bank.Mapping {
	t.Helper()
	m, err := bank.ParseMapping([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// statements reads by a mapping; nothing is fetched.
func statements(t testing.TB, mapping, account string) *bank.Statements {
	t.Helper()
	s, err := bank.New(bank.Config{Mapping: parse(t, mapping), Folder: t.TempDir(), Name: "{date}.csv", Account: account, Clock: clock.Real{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(s *bank.Statements, d recon.Day, file []byte) (lines []recon.Line, err error) {
	err = s.Read(recon.Statement{Source: recon.Bank, Day: d}, bytes.NewReader(file), func(l recon.Line) error {
		lines = append(lines, l)
		return nil
	})
	return lines, err
}

// written is what a line says, and the bytes at its place where the file is text.
func written(lines []recon.Line) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s %s leg=%q %-11s %12s bank_no=%s flow_no=%s at %d+%d\n", l.At.In(clock.Shanghai).Format(time.DateTime), l.Source, l.Leg, l.Kind,
			l.Amount, l.Numbers[recon.BankNo], l.Numbers[recon.FlowNo], l.Place.Offset, l.Place.Length)
	}
	return b.String()
}

func TestExamples(t *testing.T) {
	t.Parallel()
	for _, e := range examples {
		t.Run(e.mapping, func(t *testing.T) {
			t.Parallel()
			file, err := os.ReadFile(filepath.Join("testdata", e.file))
			if err != nil {
				t.Fatal(err)
			}
			lines, err := read(statements(t, exampleMapping(t, e.mapping), e.account), day(t, "2026-11-23"), file)
			if err != nil {
				t.Fatal(err)
			}
			got, golden := written(lines), filepath.Join("testdata", e.mapping+".lines.txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("lines:\n%swant:\n%s%v", got, want, err)
			}
		})
	}
}

// TestPlaces: the bytes at a line's place are its row, in the file's own encoding.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, e := range examples[:2] {
		file, err := os.ReadFile(filepath.Join("testdata", e.file))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := read(statements(t, exampleMapping(t, e.mapping), e.account), day(t, "2026-11-23"), file)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			row := file[l.Place.Offset : l.Place.Offset+int64(l.Place.Length)]
			if !bytes.Contains(row, []byte(l.Numbers[recon.BankNo])) || !bytes.HasSuffix(row, []byte("\r\n")) || bytes.Contains(row, []byte("交易流水号")) {
				t.Errorf("%s: at the place of %s stands %q", e.mapping, l.Numbers[recon.BankNo], row)
			}
		}
	}
}

// saying checks that an error is ErrForm, tells people this, and nobody what stands in the cell.
func saying(t *testing.T, err error, want, secret string) {
	t.Helper()
	f, _ := fault.Find(err)
	switch {
	case !errors.Is(err, recon.ErrForm):
		t.Errorf("err = %v, want ErrForm", err)
	case !strings.Contains(f.Msg, want):
		t.Errorf("message %q, want %q in it", f.Msg, want)
	case secret != "" && strings.Contains(f.Msg+err.Error(), secret):
		t.Errorf("%q is in the error: %q, %v", secret, f.Msg, err)
	}
}
