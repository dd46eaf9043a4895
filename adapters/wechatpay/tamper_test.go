package wechatpay_test

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

// sums are what no byte may change: how many lines, and how much they come to.
type sums struct {
	lines        int
	amount       money.Fen
	pays, backs  money.Fen
	fee          recon.MilliFen
	nothingElses bool
}

func sumOf(lines []recon.Line) sums {
	s := sums{lines: len(lines)}
	for _, l := range lines {
		s.amount += l.Amount
		s.fee += l.Fee
		if l.Source == recon.WechatTrade {
			switch l.Kind {
			case recon.Pay:
				s.pays += l.Amount
			case recon.Refund:
				s.backs += l.Amount
			default:
				s.nothingElses = true
			}
		}
	}
	return s
}

// TestEveryByte: whichever byte of a bill is another one, the file is refused, or as many lines come to the same money. That no byte is another one, the hash
// of the signed offer says.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	for _, name := range bills {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			book, of := bookOf(t, name, false)
			right := goldenBill(t, name)
			lines, err := read(t, book, of, right)
			if err != nil {
				t.Fatal(err)
			}
			want, spoilt := sumOf(lines), []byte(right)
			for i := range spoilt {
				for _, b := range []byte{spoilt[i] ^ 1, "9`,\n-. \x80"[i%8]} {
					was := spoilt[i]
					if was == b {
						continue
					}
					spoilt[i] = b
					lines, err := read(t, book, of, string(spoilt))
					spoilt[i] = was
					if err != nil && !errors.Is(err, recon.ErrForm) {
						t.Fatalf("byte %d as %q: %v", i, b, err)
					}
					if got := sumOf(lines); err == nil && got != want {
						t.Errorf("byte %d as %q reads as %+v, want %+v", i, b, got, want)
					}
				}
			}
		})
	}
}

// TestTheHashSeesEveryByte: the file that came is held to the signed hash, whatever it is that changed.
func TestTheHashSeesEveryByte(t *testing.T) {
	t.Parallel()
	const there = "https://api.mch.weixin.qq.com/v3/billdownload/file?token=a"
	right := goldenBill(t, "trade_all.csv")
	sum := sha1.Sum([]byte(right))
	for _, at := range []int{0, 1, len(right) / 3, len(right) / 2, len(right) - 1} {
		spoilt := []byte(right)
		spoilt[at] ^= 1
		c := newClient(t, clock.NewFake(start), offering(there, "SHA1", hex.EncodeToString(sum[:]), 200, spoilt))
		if err := c.TradeBills().Fetch(t.Context(), today, nil, new(shelf).keep); !errors.Is(err, recon.ErrForm) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

// table is a bill cut into values, to be put together otherwise.
type table struct {
	end     string
	head    []string
	rows    [][]string
	summary string
}

func tableOf(bill string) table {
	c := table{end: "\n"}
	if strings.Contains(bill, "\r\n") {
		c.end = "\r\n"
	}
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(bill, "\xef\xbb\xbf"), c.end), c.end)
	c.head = strings.Split(lines[0], ",")
	for _, l := range lines[1 : len(lines)-2] {
		c.rows = append(c.rows, strings.Split(l[1:], ",`"))
	}
	c.summary = strings.Join(lines[len(lines)-2:], c.end)
	return c
}

func (c table) String() string {
	lines := []string{strings.Join(c.head, ",")}
	for _, r := range c.rows {
		lines = append(lines, "`"+strings.Join(r, ",`"))
	}
	return strings.Join(append(lines, c.summary), c.end) + c.end
}

// columns makes every row and the header anew.
func (c table) columns(change func([]string, string) []string) table {
	c.head = change(slices.Clone(c.head), "新列")
	rows := make([][]string, len(c.rows))
	for i, r := range c.rows {
		rows[i] = change(slices.Clone(r), "x")
	}
	c.rows = rows
	return c
}

func unplaced(lines []recon.Line) []recon.Line {
	lines = slices.Clone(lines)
	for i := range lines {
		lines[i].Place = recon.Place{}
	}
	return lines
}

// TestRowsAndColumns: a row less, twice, or in another's place is refused where the money or the balance tells; columns are found wherever they stand.
func TestRowsAndColumns(t *testing.T) {
	t.Parallel()
	for _, name := range bills {
		book, of := bookOf(t, name, false)
		right := tableOf(goldenBill(t, name))
		lines, err := read(t, book, of, right.String())
		if err != nil {
			t.Fatal(err)
		}
		refused := func(what string, c table) {
			if _, err := read(t, book, of, c.String()); !errors.Is(err, recon.ErrForm) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		same := func(what string, c table) {
			got, err := read(t, book, of, c.String())
			if diff := cmp.Diff(unplaced(lines), unplaced(got), cmp.AllowUnexported(recon.Day{})); diff != "" || err != nil {
				t.Errorf("%s, %s: %v\n%s", name, what, err, diff)
			}
		}
		for i := range right.rows {
			less, twice := right, right
			less.rows = slices.Delete(slices.Clone(right.rows), i, i+1)
			twice.rows = slices.Insert(slices.Clone(right.rows), i, right.rows[i])
			refused(fmt.Sprintf("without row %d", i), less)
			refused(fmt.Sprintf("row %d twice", i), twice)
		}
		for i := range right.head {
			same(fmt.Sprintf("a column more before %d", i), right.columns(func(r []string, one string) []string { return slices.Insert(r, i, one) }))
			headOnly, rowsOnly := right, right.columns(func(r []string, one string) []string { return slices.Insert(r, i, one) })
			headOnly.head = rowsOnly.head
			rowsOnly.head = right.head
			refused(fmt.Sprintf("a name more before %d", i), headOnly)
			refused(fmt.Sprintf("a value more before %d", i), rowsOnly)
			for j := range i {
				same(fmt.Sprintf("columns %d and %d swapped", i, j), right.columns(func(r []string, _ string) []string {
					r[i], r[j] = r[j], r[i]
					return r
				}))
			}
		}
	}
}
