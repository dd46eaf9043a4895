package bank_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tuoka/tuoka/internal/recon"
)

// plain is a small mapping for what the examples do not show.
const plain = `
name: 某行
kind: csv
encoding: utf-8
delimiter: ";"
columns: {date: [日期, 记账日], time: 时间, in: 收入, out: 支出, balance: 余额, number: 流水号, party: 户名, remark: 摘要}
dates: ["2006-01-02"]
times: ["15:04:05"]
foot: [{match: '^合计;?.*?(?P<balance>-?[0-9,.]+)$', optional: true}]
only: {party: '^财付通$'}
number: '单号([0-9A-Z]+)'
`

const plainHead = "日期;时间;收入;支出;余额;流水号;户名;摘要\n"

func TestBadRows(t *testing.T) {
	t.Parallel()
	const good = "2026-11-23;10:00:00;1.00;;101.00;N1;财付通;单号A1\n"
	const secret = "张某某"
	for _, tt := range []struct{ name, file, want string }{
		{"nothing", "", "没有表头"},
		{"no header", good, "第 1 行「日期/记账日」：表头中没有这一列"},
		{"both alternatives of a column", strings.TrimSuffix(plainHead, "\n") + ";记账日\n" + good, "第 1 行「日期/记账日」：表头中有不止一列"},
		{"a column twice", strings.TrimSuffix(plainHead, "\n") + ";摘要\n" + good, "第 1 行「摘要」：表头中有不止一列"},
		{"amounts in both", plainHead + good + "2026-11-23;10:00:00;1.00;2.00;100.00;N2;" + secret + ";\n", "第 3 行「收入/支出」"},
		{"amounts in neither", plainHead + "2026-11-23;10:00:00;0.00;;100.00;N2;" + secret + ";\n", "第 2 行「收入/支出」"},
		{"three decimals", plainHead + "2026-11-23;10:00:00;1.005;;100.00;N2;" + secret + ";\n", "第 2 行「收入」：不是金额"},
		{"full-width digits", plainHead + "2026-11-23;10:00:00;１.00;;100.00;N2;" + secret + ";\n", "第 2 行「收入」：不是金额"},
		{"thousands in the wrong place", plainHead + "2026-11-23;10:00:00;12,34.00;;100.00;N2;" + secret + ";\n", "第 2 行「收入」：不是金额"},
		{"a name for an amount", plainHead + "2026-11-23;10:00:00;;" + secret + ";100.00;N2;x;\n", "第 2 行「支出」：不是金额"},
		{"too much", plainHead + "2026-11-23;10:00:00;99999999999.00;;100.00;N2;" + secret + ";\n", "第 2 行「收入」：金额超出范围"},
		{"a negative amount", plainHead + "2026-11-23;10:00:00;;-1.00;100.00;N2;" + secret + ";\n", "第 2 行「支出」：金额为负"},
		{"no balance", plainHead + "2026-11-23;10:00:00;1.00;;;N2;" + secret + ";\n", "第 2 行「余额」：不是金额"},
		{"a balance that does not follow", plainHead + good + "2026-11-23;10:00:01;;1.00;100.01;N2;" + secret + ";\n", "第 3 行「余额」：余额与上一笔不衔接"},
		{"another date", plainHead + "20261123;10:00:00;1.00;;101.00;N2;" + secret + ";\n", "第 2 行「日期」：不是日期"},
		{"a day that is none", plainHead + "2026-02-30;10:00:00;1.00;;101.00;N2;" + secret + ";\n", "第 2 行「日期」：不是日期"},
		{"another time", plainHead + "2026-11-23;25:00:00;1.00;;101.00;N2;" + secret + ";\n", "第 2 行「时间」：不是时间"},
		{"no number", plainHead + "2026-11-23;10:00:00;1.00;;101.00;;" + secret + ";\n", "第 2 行「流水号」：为空"},
		{"a name for a number", plainHead + "2026-11-23;10:00:00;1.00;;101.00;" + secret + ";;\n", "第 2 行「流水号」：不是流水号"},
		{"a number that a workbook spoiled", plainHead + "2026-11-23;10:00:00;1.00;;101.00;2.0261123E+19;" + secret + ";\n", "第 2 行「流水号」：号码在表格中按数值保存"},
		{"a number of WeChat's that is none", plainHead + "2026-11-23;10:00:00;1.00;;101.00;N2;财付通;单号" + strings.Repeat("7", 65) + "\n", "第 2 行「摘要」：微信单号有误"},
		{"a cell too many", plainHead + "2026-11-23;10:00:00;1.00;;101.00;N2;;;" + secret + "\n", "第 2 行：单元格多于表头"},
		{"a movement of a day that is not asked for", plainHead + "2026-11-22;10:00:00;1,00;;101.00;N0;" + secret + ";\n", "第 2 行「收入」：不是金额"},
		{"a movement after the sum", plainHead + good + "合计;;;;101.00\n" + good, "第 4 行：合计行之后还有明细"},
		{"another sum", plainHead + good + "合计;;;;101.01\n", "第 3 行「期末余额」：与明细不符"},
		{"a sum that is none", plainHead + good + "合计;;;;10,1.01\n", "第 3 行「期末余额」：不是金额"},
		{"a quote in a cell", plainHead + `2026-11-23;10:00:00;1.00;;101.00;N2;` + secret + `;a"b"` + "\n", "第 2 行：引号"},
		{"text behind a quote", plainHead + `2026-11-23;10:00:00;1.00;;101.00;N2;` + secret + `;"a"b` + "\n", "第 2 行：引号"},
		{"a quote that never ends", plainHead + good + `2026-11-23;10:00:00;1.00;;101.00;N2;"` + secret + "\n" + good, "第 3 行：引号"},
		{"a long line", plainHead + good + strings.Repeat("x", 70<<10) + "\n", "第 3 行：一行超过 64 KB"},
		{"another encoding", plainHead + "2026-11-23;10:00:00;1.00;;101.00;N2;\xd5\xc5;\n", "第 2 行：不是映射所写的编码"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := read(statements(t, plain, ""), day(t, "2026-11-23"), []byte(tt.file))
			saying(t, err, tt.want, secret)
		})
	}
}

// TestGoodRows: what is not refused.
func TestGoodRows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, want string }{
		{"a day without movements", plainHead + "\n;;;;\n", ""},
		{"no line break at the end, blanks around cells, cells left out", plainHead + " 2026-11-23 ;;\t1 ;　;101;N1;财付通",
			"2026-11-23 12:00:00 bank leg=\"account\" transfer            1.00 bank_no=N1 flow_no= at 59+38\n"},
		{"the same number twice in a remark", plainHead + "2026-11-23;;1;;101;N1;财付通;单号A1 单号A1\n",
			"2026-11-23 12:00:00 bank leg=\"account\" transfer            1.00 bank_no=N1 flow_no=A1 at 59+50\n"},
		{"two numbers in a remark", plainHead + "2026-11-23;;1;;101;N1;财付通;单号A1 单号A2\n",
			"2026-11-23 12:00:00 bank leg=\"account\" transfer            1.00 bank_no=N1 flow_no= at 59+50\n"},
		{"a remark that looks like the sum", plainHead + "2026-11-23;;1;;101;N1;合计;合计 101.00\n",
			"2026-11-23 12:00:00 bank leg=\"\" other               1.00 bank_no=N1 flow_no= at 59+43\n"},
		{"cells that a spreadsheet would compute", plainHead + "2026-11-23;;1;;101;N1;@财付通;\"=HYPERLINK(\"\"http://example.invalid\"\")\"\n2026-11-23;;;1;100;-N2;+1;-2\n",
			"2026-11-23 12:00:00 bank leg=\"\" other               1.00 bank_no=N1 flow_no= at 59+74\n" +
				"2026-11-23 12:00:00 bank leg=\"\" other               1.00 bank_no=-N2 flow_no= at 133+29\n"},
	} {
		lines, err := read(statements(t, plain, ""), day(t, "2026-11-23"), []byte(tt.file))
		if got := written(lines); err != nil || got != tt.want {
			t.Errorf("%s:\n%swant:\n%s%v", tt.name, got, tt.want, err)
		}
	}
}

func TestOtherAccount(t *testing.T) {
	t.Parallel()
	for _, e := range examples {
		file, err := os.ReadFile("testdata/" + e.file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = read(statements(t, exampleMapping(t, e.mapping), "6200000000000000"), day(t, "2026-11-23"), file)
		saying(t, err, "不是本机构的账号", "")
	}
}

// TestNotesMustBeThere: a file that was cut before its sums, or whose sums are of other rows.
func TestNotesMustBeThere(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("testdata/csv-two-columns.csv")
	if err != nil {
		t.Fatal(err)
	}
	text, err := simplifiedchinese.GB18030.NewDecoder().String(string(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, now, want string }{
		{"a sum by another name", "贷方合计,4", "贷方总计,4", "合计行之后还有明细"},
		{"cut off", text[strings.Index(text, "借方合计"):], "", "缺少映射所写的说明行或合计行"},
		{"no account", "账号：", "户号：", "缺少映射所写的说明行或合计行"},
		{"another count", "借方合计,2", "借方合计,3", "「支出笔数」：与明细不符"},
		{"another sum", `"3,234.00"`, `"3,234.01"`, "「收入合计」：与明细不符"},
	} {
		changed, err := simplifiedchinese.GB18030.NewEncoder().String(strings.Replace(text, tt.old, tt.now, 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = read(statements(t, exampleMapping(t, "csv-two-columns"), "6217********8888"), day(t, "2026-11-23"), []byte(changed))
		saying(t, err, tt.want, "")
	}
}

var errStop = errors.New("stop")

// TestErrorsOfOthers: those of the caller and of what is read come back as they are.
func TestErrorsOfOthers(t *testing.T) {
	t.Parallel()
	s, of := statements(t, plain, ""), recon.Statement{Day: day(t, "2026-11-23")}
	file := plainHead + "2026-11-23;;1;;101;N1;财付通;\n"
	if err := s.Read(of, strings.NewReader(file), func(recon.Line) error { return errStop }); !errors.Is(err, errStop) {
		t.Errorf("err = %v, want the caller's", err)
	}
	if err := s.Read(of, io.MultiReader(strings.NewReader(file), failing{}), func(recon.Line) error { return nil }); !errors.Is(err, errStop) {
		t.Errorf("err = %v, want the reader's", err)
	}
	if err := statements(t, exampleMapping(t, "workbook"), "6225880000001234").Read(of, failing{}, nil); !errors.Is(err, errStop) {
		t.Errorf("err = %v, want the reader's", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errStop }

// long writes a file of many rows while it is read.
type long struct {
	rows, n int
	buf     bytes.Buffer
}

func (l *long) Read(p []byte) (int, error) {
	if l.buf.Len() == 0 {
		switch {
		case l.n == 0:
			l.buf.WriteString(plainHead)
		case l.n > l.rows:
			return 0, io.EOF
		default:
			fmt.Fprintf(&l.buf, "2026-11-23;10:00:00;1.00;;%d.00;N%d;财付通;微信提现 单号W%d\n", l.n, l.n, l.n)
		}
		l.n++
	}
	return l.buf.Read(p)
}

// TestLongFileStreams: a hundred thousand rows are never in memory together.
func TestLongFileStreams(t *testing.T) { // not parallel: it looks at the heap
	const rows = 100_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, n := heap(), uint64(0), 0
	err := statements(t, plain, "").Read(recon.Statement{Day: day(t, "2026-11-23")}, &long{rows: rows}, func(l recon.Line) error {
		if n++; n%20_000 == 0 {
			most = max(most, heap())
		}
		return nil
	})
	if err != nil || n != rows {
		t.Fatalf("%d lines, %v", n, err)
	}
	if most > before+2<<20 {
		t.Errorf("%d KB in memory", (most-before)>>10)
	}
}
