package core

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/split"
)

// zipOf is a ZIP with these files, name and content by turns.
func zipOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// testBook has the settlements A and B, and the end of C, which was settled on another day.
func testBook(change func(*Profile)) *book {
	p := Profile{}
	if change != nil {
		change(&p)
	}
	_ = p.complete()
	b := newBook(p)
	at := time.Date(2025, 3, 3, 9, 0, 0, 0, clock.Shanghai)
	s := split.Split{PooledFund: 5000, Account: 3000, FamilyAccount: 500, HospitalBorne: 100, Cash: 1400}
	b.add(&own{setlID: "A", mdtrtID: "MA", personNo: "P", msgID: "GA", at: at, split: s}, true)
	b.add(&own{setlID: "B", mdtrtID: "MB", personNo: "P", at: at, split: s}, true)
	b.add(&own{setlID: "C", mdtrtID: "MC", personNo: "P", at: at, split: s, undone: true}, true)
	return b
}

// results are texts of a result, and what the rows become: number, total, fund, account, verdict, or the fault.
var results = []struct {
	name, text string
	profile    func(*Profile)
	want       []string
	fault      string
}{
	{name: "seven columns, all balanced but one", text: "P\tMA\tA\tG1\t0\t0\t对平\nP\tMB\tB\tnull\t2\t0\tnull\nP\tMC\tC\tG3\t0\t1\tnull\n",
		want: []string{"A G1 100.00 50.00 35.00 balanced", "B  100.00 50.00 35.00 ours_more", "C G3 100.00 50.00 35.00 balanced"}},
	{name: "no line end, BOM, CRLF, TABs at the end", text: "\ufeffP\tMA\tA\tG1\t3\t0\tx\t\r\nP\tMB\tB\tG2\t0\t0\tx\t\r\nP\tMC\tC\tG3\t0\t1\tx\t",
		want: []string{"A G1    differs", "B G2 100.00 50.00 35.00 balanced", "C G3 100.00 50.00 35.00 balanced"}},
	{name: "memo in GBK", text: "P\tMA\tA\tG1\t3\t0\t\xca\xa7\xb0\xdc\nP\tMB\tB\tG2\t0\t0\t\xca\xa7\nP\tMC\tC\tG3\t0\t1\t\xca\xa7\n",
		want: []string{"A G1    differs", "B G2 100.00 50.00 35.00 balanced", "C G3 100.00 50.00 35.00 balanced"}},
	{name: "amounts that differ; a refund's without a sign; amounts that are equal and called different",
		text: "P\tMA\tA\tG1\t3\t0\tx\t100.00\t49.99\t30.00\nP\tMB\tB\tG2\t3\t0\tx\t100.00\t50.00\t30.00\nP\tMC\tC\tG3\t0\t1\tx\t100\t50\t30\n",
		want: []string{"A G1 100.00 49.99 35.00 differs", "B G2    differs", "C G3 100.00 50.00 35.00 balanced"}},
	{name: "another visit", text: "P\tMX\tA\tG1\t3\t0\tx\nP\tMB\tB\tG2\t0\t0\tx\nP\tMC\tC\tG3\t0\t1\tx\n",
		want: []string{"A G1 100.00 50.00 35.00 differs", "B G2 100.00 50.00 35.00 balanced", "C G3 100.00 50.00 35.00 balanced"}},
	{name: "what only the centre has, with the account as the area states it",
		text:    "P\tMA\tA\tG1\t0\t0\tx\t100\t81\t30\t{}\nP\tMB\tB\tG2\t0\t0\tx\t100\t81\t30\t{}\nP\tMC\tC\tG3\t0\t1\tx\t-100\t-81\t-30\t\nP\tMD\tD\tG4\t1\t0\tx\t20\t15\t5\tnull\n",
		profile: func(p *Profile) { p.FundContainsAccount, p.HospitalPart = true, InsideFund },
		want: []string{"A G1 100.00 50.00 35.00 balanced", "B G2 100.00 50.00 35.00 balanced", "C G3 100.00 50.00 35.00 balanced",
			"D G4 20.00   centre_more"}},
	{name: "differences alone", text: "P\tMB\tB\tG2\t000102\t0\tx\n", profile: func(p *Profile) { p.Statement.ResultDifferences = true },
		want: []string{"B G2 100.00 50.00 35.00 ours_more", "A GA 100.00 50.00 35.00 balanced", "C  100.00 50.00 35.00 balanced"}},
	{name: "the flag first: a settlement of C that only the centre has, and its end balanced",
		text: "P\tMA\tA\tG1\t0\t0\tx\nP\tMB\tB\tG2\t0\t0\tx\nP\tMC\tC\tG3\t1\t0\tx\nP\tMC\tC\tG9\t0\t1\tx\n",
		want: []string{"A G1 100.00 50.00 35.00 balanced", "B G2 100.00 50.00 35.00 balanced", "C G3    centre_more", "C G9 100.00 50.00 35.00 balanced"}},
	{name: "empty", text: "", fault: "no difference"},
	{name: "an empty line within", text: "P\tMA\tA\tG1\t0\t0\tx\n\nP\tMB\tB\tG2\t0\t0\tx\n", fault: "row 2, column 1"},
	{name: "six columns", text: "P\tMA\tA\tG1\t0\t0\n", fault: "row 1, column 1"},
	{name: "columns that change", text: "P\tMA\tA\tG1\t0\t0\tx\nP\tMB\tB\tG2\t0\t0\tx\t1\t1\t1\n", fault: "row 2, column 1"},
	{name: "a header line", text: "psn_no\tmdtrt_id\tsetl_id\tmsgid\tstmt_rslt\trefd_setl_flag\tmemo\n", fault: "row 1, column 5"},
	{name: "a verdict nobody knows", text: "P\tMA\tA\tG1\t4\t0\tx\n", fault: "row 1, column 5"},
	{name: "a flag that is none", text: "P\tMA\tA\tG1\t0\t2\tx\n", fault: "row 1, column 6"},
	{name: "no setl_id", text: "P\tMA\tnull\tG1\t0\t0\tx\n", fault: "row 1, column 3"},
	{name: "a number with a blank", text: "P\tM A\tA\tG1\t0\t0\tx\n", fault: "row 1, column 2"},
	{name: "no amount", text: "P\tMA\tA\tG1\t0\t0\tx\t1.001\t0\t0\n", fault: "row 1, column 8"},
	{name: "one amount of three", text: "P\tMA\tA\tG1\t0\t0\tx\t1\tnull\tnull\n", fault: "row 1, column 9"},
	{name: "a negative settlement", text: "P\tMA\tA\tG1\t0\t0\tx\t-1\t0\t0\n", fault: "row 1, column 8"},
	{name: "signs that differ", text: "P\tMC\tC\tG1\t0\t1\tx\t-1\t1\t0\n", fault: "row 1, column 8"},
	{name: "more fund than total", text: "P\tMA\tA\tG1\t3\t0\tx\t1\t2\t0\n", fault: "row 1, column 8"},
	{name: "what we did not send", text: "P\tMX\tX\tG1\t0\t0\tx\n", fault: "row 1, column 3"},
	{name: "a row twice", text: "P\tMA\tA\tG1\t3\t0\tx\nP\tMA\tA\tG1\t0\t0\tx\n", fault: "row 2, column 3"},
	{name: "ours, and the centre's alone", text: "P\tMA\tA\tG1\t1\t0\tx\n", fault: "row 1, column 3"},
	{name: "one of ours is missing", text: "P\tMA\tA\tG1\t3\t0\tx\nP\tMB\tB\tG2\t0\t0\tx\n", fault: "row 3, column 3"},
	{name: "no difference", text: "P\tMA\tA\tG1\t0\t0\tx\nP\tMB\tB\tG2\t0\t0\tx\nP\tMC\tC\tG3\t0\t1\tx\n", fault: "no difference"},
	{name: "a long line", text: strings.Repeat("x", maxLine+1) + "\n", fault: "64 KB"},
}

func TestResults(t *testing.T) {
	t.Parallel()
	for _, tc := range results {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := testBook(tc.profile)
			result, err := openResult(zipOf(t, "result.txt", tc.text))
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			order, err := b.layout(result)
			if err == nil {
				err = b.read(result, order, func(r row) error {
					got = append(got, strings.Join([]string{r.setlID, r.msgID, told(r.total), told(r.fund), told(r.account), string(r.verdict)}, " "))
					return nil
				})
			}
			if tc.fault != "" {
				if !errors.Is(err, recon.ErrForm) || !strings.Contains(err.Error(), tc.fault) || strings.Contains(err.Error(), "P\t") {
					t.Errorf("read = %v, want %s", err, tc.fault)
				}
				return
			}
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("read = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

// TestArchives: what is not one file in a ZIP is refused from outside, and what is larger than it says from within.
func TestArchives(t *testing.T) {
	t.Parallel()
	good := zipOf(t, "result.txt", strings.Repeat("P\tMA\tA\tG1\t3\t0\tx\n", 10))
	broken := bytes.Clone(good)
	broken[40] ^= 0xff
	locked := bytes.Clone(good)
	locked[bytes.Index(locked, []byte("PK\x01\x02"))+8] |= 1
	for name, content := range map[string][]byte{"nothing": nil, "text": []byte("result"), "empty": zipOf(t), "two": zipOf(t, "a", "", "b", ""),
		"folder": zipOf(t, "a/", ""), "path": zipOf(t, "a/b", ""), "up": zipOf(t, "..", ""), "drive": zipOf(t, `c:b`, ""), "locked": locked, "cut": good[:len(good)-5]} {
		if _, err := openResult(content); !errors.Is(err, recon.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	result, err := openResult(broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.copyTo(&bytes.Buffer{}); !errors.Is(err, recon.ErrForm) {
		t.Errorf("a broken archive: %v", err)
	}
	more := &bounded{nopCloser{strings.NewReader(strings.Repeat("x", 100))}, 99}
	if _, err := more.Read(make([]byte, 200)); !errors.Is(err, recon.ErrForm) {
		t.Errorf("larger than it may be: %v", err)
	}
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Close() error { return nil }

// TestDownloads: the content decides what an answer to 9102 is.
func TestDownloads(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want error
	}{
		"a file":        {string(zipOf(t, "result.txt", "x")), nil},
		"a refusal":     {`{"infcode":-1,"err_msg":"文件不存在"}`, ErrRefused},
		"with blanks":   {"\ufeff \n{\"infcode\":\"-1\",\"err_msg\":\"文件不存在\"}", ErrUnreadable},
		"a success":     {`{"infcode":0,"output":{}}`, ErrUnreadable},
		"broken JSON":   {`{"infcode":`, ErrUnreadable},
		"something":     {"<html>", recon.ErrForm},
		"nothing":       {"", recon.ErrForm},
		"system errors": {`{"infcode":-1,"err_msg":"系统异常"}`, ErrSystem},
	} {
		c := client(t, answer(200, tc.body), nil)
		if _, err := c.download(t.Context(), fileRef{No: "fsi/plc/1", Name: "r.zip"}); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	for name, body := range map[string]string{
		"no stmtinfo": `{"infcode":0,"output":{}}`, "no verdict": `{"infcode":0,"output":{"stmtinfo":{"stmt_rslt":null}}}`,
		"a verdict nobody knows": `{"infcode":0,"output":{"stmtinfo":{"stmt_rslt":"9"}}}`,
		"another agency":         `{"infcode":0,"output":{"stmtinfo":{"setl_optins":"110000","stmt_rslt":"0"}}}`,
	} {
		c := client(t, answer(200, body), func(c *Config) { c.Profile.Statement.Groups = []Group{{"310", "11", "360199"}} })
		day := testDay.Add(-1)
		err := c.Statements().Fetch(t.Context(), day, nothing, (&shelf{}).keep)
		if !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := client(t, answer(200, `{"infcode":"0","output":{"stmtinfo":{"stmt_rslt":0}}}`), func(c *Config) { c.Profile.Statement.Groups = []Group{{"310", "11", "360199"}} })
	if err := c.Statements().Fetch(t.Context(), testDay.Add(-1), nothing, (&shelf{}).keep); err != nil {
		t.Errorf("a verdict as a number: %v", err)
	}
}

// nothing is a ledger without claims.
func nothing(context.Context, func(recon.Claim) error) error { return nil }

// TestOwnLines: our own form is read strictly.
func TestOwnLines(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile("testdata/statement.tsv")
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, answer(200, ""), nil)
	read := func(text string) error {
		return c.Statements().Read(recon.Statement{Source: recon.Insurer, Day: testDay}, strings.NewReader(text), func(recon.Line) error { return nil })
	}
	if err := read(string(good)); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n")
	for name, text := range map[string]string{
		"nothing": "", "without an end": strings.Join(lines[:len(lines)-2], ""), "a row less": lines[0] + strings.Join(lines[2:], ""),
		"more after the end": string(good) + "x\n", "another version": strings.Replace(string(good), "insurer\t1", "insurer\t2", 1),
		"another day":       strings.Replace(string(good), "2025-03-03\t310", "2025-03-02\t310", 1),
		"no verdict":        strings.Replace(string(good), "differs\t5", "fine\t5", 1),
		"no count":          strings.Replace(string(good), "differs\t5", "differs\t-5", 1),
		"no sum":            strings.Replace(string(good), "1560.00", "1560.000001", 1),
		"another amount":    strings.Replace(string(good), "520.00", "520.01", 1),
		"a negative amount": strings.Replace(string(good), "\t520.00\t", "\t-520.00\t", 1),
		"no time":           strings.Replace(string(good), "2025-03-03 09:00:00", "2025-03-03T09:00:00", 1),
		"no flag":           strings.Replace(string(good), "\t0\tbalanced", "\t\tbalanced", 1),
		"no row's verdict":  strings.Replace(string(good), "\t0\tbalanced", "\t0\tfine", 1),
		"no number":         strings.Replace(string(good), "22120759296036865\t", "\t", 1),
		"a broken number":   strings.Replace(string(good), "22120759296036865\t", "2212 0759\t", 1),
		"eight columns":     strings.Replace(string(good), "\tbalanced", "", 1),
		"a long line":       lines[0] + strings.Repeat("x", maxLine+1),
	} {
		if text == string(good) {
			t.Errorf("%s: nothing was spoilt", name)
		}
		if err := read(text); !errors.Is(err, recon.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("full")
	err = c.Statements().Read(recon.Statement{Source: recon.Insurer, Day: testDay}, bytes.NewReader(good), func(recon.Line) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("Read = %v, want what the reader of the rows says", err)
	}
}

// FuzzResult reads arbitrary bytes as a result: nothing panics, every fault is ErrForm, and what is read is our book and what only the centre has.
func FuzzResult(f *testing.F) {
	for _, tc := range results {
		f.Add([]byte(tc.text), tc.profile != nil)
	}
	f.Fuzz(func(t *testing.T, text []byte, alone bool) {
		b := testBook(func(p *Profile) { p.Statement.ResultDifferences = alone })
		result, err := openResult(zipOf(t, "result.txt", string(text)))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := &lineWriter{w: bufio.NewWriter(&out)}
		w.head(testDay, Group{"310", "11", "360199"}, differs, &tally{})
		order, err := b.layout(result)
		ours := 0
		if err == nil {
			err = b.read(result, order, func(r row) error {
				if r.verdict != centreMore {
					ours++
				}
				return w.row(r)
			})
		}
		if err != nil {
			if !errors.Is(err, recon.ErrForm) {
				t.Fatalf("read = %v", err)
			}
			return
		}
		if ours != 3 {
			t.Errorf("%d rows of ours, want 3", ours)
		}
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
		err = new(Statements).Read(recon.Statement{Day: testDay}, &out, func(l recon.Line) error {
			if l.Amount < 0 || l.Split.Fund() < 0 || l.Split.Account < 0 || l.Numbers[recon.SetlID] == "" {
				t.Errorf("line %+v", l)
			}
			return nil
		})
		if err != nil {
			t.Errorf("what was written is not read: %v", err)
		}
	})
}

// FuzzOwnLines reads arbitrary bytes as our own form.
func FuzzOwnLines(f *testing.F) {
	good, err := os.ReadFile("testdata/statement.tsv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("tuoka-insurer\t1\t2025-03-03\t310\t11\t360199\tbalanced\t0\t0.00\t0.00\t0.00\t0.00\nend\t0\t0.00\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		err := new(Statements).Read(recon.Statement{Day: testDay}, bytes.NewReader(text), func(l recon.Line) error {
			if l.Amount < 0 || l.Split.Fund() < 0 || l.Split.Account < 0 || l.Numbers[recon.SetlID] == "" || l.Place.Offset+int64(l.Place.Length) > int64(len(text)) {
				t.Errorf("line %+v", l)
			}
			return nil
		})
		if err != nil && !errors.Is(err, recon.ErrForm) {
			t.Errorf("Read = %v", err)
		}
	})
}
