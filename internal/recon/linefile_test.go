package recon

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/split"
)

// someLines are of one book, as a file's are.
func someLines() []Line {
	full := Line{Source: Ledger, Leg: Posting, Kind: Pay, Status: Due, At: time.Date(2026, 11, 23, 1, 2, 3, 456000, time.UTC), Amount: 12345, Tells: TellsAll, Fee: -7,
		Split: split.Split{PooledFund: 1, OtherFund: 2, Account: 3, FamilyAccount: 4, HospitalBorne: 5, Cash: 6, Uninsured: 7}}
	for n := range full.Numbers {
		full.Numbers[n] = "no" + Number(n).String()
	}
	bare := Line{Source: Ledger, Leg: Account, Kind: Transfer, At: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
	foreign := bare
	foreign.Leg, foreign.Numbers[BankNo] = Foreign, "b1"
	return []Line{full, bare, foreign}
}

// TestLineFile: what is written is read again, each line with the place at which it stands.
func TestLineFile(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w := NewLineWriter(&file)
	for _, l := range someLines() {
		if err := w.Write(&l); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text := file.String()
	var got []Line
	err := ReadLines(Ledger, strings.NewReader(text), func(l Line) error {
		row := text[l.Place.Offset : l.Place.Offset+int64(l.Place.Length)]
		if again, err := parseLine(row); err != nil || again.Numbers != l.Numbers {
			t.Errorf("at %d: %q", l.Place.Offset, row)
		}
		l.Place = Place{}
		got = append(got, l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(someLines(), got); diff != "" {
		t.Errorf("read again (-written +read):\n%s", diff)
	}
	rows := strings.SplitAfter(text, "\n")
	for _, tt := range []struct{ name, text string }{
		{"no header", rows[1]},
		{"another column", strings.Replace(text, "leg", "arm", 1)},
		{"a value less", rows[0] + strings.Replace(rows[1], "\t", "", 1)},
		{"a value more", rows[0] + strings.TrimSuffix(rows[1], "\n") + "\t\n"},
		{"an unknown book", rows[0] + strings.Replace(rows[1], "ledger", "lodger", 1)},
		{"a fraction", rows[0] + strings.Replace(rows[1], "12345", "123.45", 1)},
		{"below nothing", rows[0] + strings.Replace(rows[1], "12345", "-1", 1)},
		{"another book's", rows[0] + strings.Replace(rows[1], "ledger", "his", 1)},
		{"more than money can be", rows[0] + strings.Replace(rows[1], "12345", "1000000000001", 1)},
		{"a fee of no size", rows[0] + strings.Replace(rows[1], "\t-7\t", "\t-9223372036854775808\t", 1)},
		{"lines of another system", rows[0] + strings.Replace(rows[1], "\n", "\r\n", 1)},
		{"no time", rows[0] + strings.Replace(rows[1], "2026-11-23T01", "2026-11-23 01", 1)},
		{"too long", rows[0] + strings.Repeat("x", maxRow+1) + "\n"},
	} {
		if err := ReadLines(Ledger, strings.NewReader(tt.text), func(Line) error { return nil }); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v, want ErrForm", tt.name, err)
		}
	}
}

// TestEncodedLine: a line that waits on disk comes back as it was, and one that was cut does not.
func TestEncodedLine(t *testing.T) {
	t.Parallel()
	for _, want := range someLines() {
		want.Place = Place{File: 3, Offset: 1 << 40, Length: 99}
		b := appendLine(nil, &want)
		got, rest, err := cutLine(string(b) + "next")
		if err != nil || rest != "next" {
			t.Fatalf("cutLine() left %q, %v", rest, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
		for i := range b {
			if _, _, err := cutLine(string(b[:i])); err == nil {
				t.Errorf("cut after %d of %d bytes: read", i, len(b))
			}
		}
	}
	odd := Line{Source: "nobody's"}
	if _, _, err := cutLine(string(appendLine(nil, &odd))); err == nil {
		t.Error("a line of an unknown book was read back")
	}
}

func FuzzReadLines(f *testing.F) {
	var file bytes.Buffer
	w := NewLineWriter(&file)
	for _, l := range someLines() {
		_ = w.Write(&l)
	}
	_ = w.Close()
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		err := ReadLines(Ledger, bytes.NewReader(b), func(l Line) error {
			if l.Amount < 0 || l.Place.Offset+int64(l.Place.Length) > int64(len(b)) {
				t.Errorf("line %+v", l)
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrForm) {
			t.Errorf("error %v", err)
		}
	})
}
