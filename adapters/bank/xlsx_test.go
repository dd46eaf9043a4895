package bank_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

const sheetMapping = `
name: 某行
kind: xlsx
columns: {date: 日期, time: 时间, amount: 金额, number: 流水号, party: 户名}
dates: ["2006-01-02"]
times: ["15:04:05"]
only: {party: '^财付通$'}
`

// workbook packs a sheet, and whatever else is given, into a workbook.
func workbook(t testing.TB, sheet, shared string, more ...string) []byte {
	t.Helper()
	const main = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`
	const office = `http://schemas.openxmlformats.org/officeDocument/2006/relationships`
	parts := []string{"xl/workbook.xml", `<workbook ` + main + ` xmlns:r="` + office + `"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + office +
			`/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
		"_rels/.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + office +
			`/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`,
		"xl/worksheets/sheet1.xml", sheet}
	if shared != "" {
		parts = append(parts, "xl/sharedStrings.xml", shared)
	}
	parts = append(parts, more...)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		if err == nil {
			_, err = w.Write([]byte(parts[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// liar is a workbook whose sheet is said to be small, and is not when it is unpacked.
func liar(t *testing.T) []byte {
	t.Helper()
	var packed, b bytes.Buffer
	d, err := flate.NewWriter(&packed, flate.BestCompression)
	if err == nil {
		_, err = d.Write([]byte(inSheet(sheetHead) + strings.Repeat(" ", 130<<20)))
	}
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(&b)
	w, err := z.CreateRaw(&zip.FileHeader{Name: "xl/worksheets/sheet1.xml", Method: zip.Deflate, CompressedSize64: uint64(packed.Len()), UncompressedSize64: 100})
	if err == nil {
		_, err = w.Write(packed.Bytes())
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func inSheet(rows string) string {
	return `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>` + rows + `</sheetData></worksheet>`
}

// inline is a row of texts and numbers: a number begins with #.
func inline(row int, cells ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<row r="%d">`, row)
	for i, c := range cells {
		if number, ok := strings.CutPrefix(c, "#"); ok {
			fmt.Fprintf(&b, `<c r="%c%d"><v>%s</v></c>`, 'A'+i, row, number)
		} else if c != "" {
			fmt.Fprintf(&b, `<c r="%c%d" t="inlineStr"><is><t>%s</t></is></c>`, 'A'+i, row, c)
		}
	}
	return b.String() + "</row>"
}

var sheetHead = inline(1, "日期", "时间", "金额", "流水号", "户名")

func TestWorkbookRows(t *testing.T) {
	t.Parallel()
	const want = "2026-11-23 %s bank leg=\"account\" %-11s %12s bank_no=%s flow_no= at %d+0\n"
	for _, tt := range []struct{ name, rows, want string }{
		{"a serial with a time", inline(2, "#46349.5", "", "#1", "N1", "财付通"), fmt.Sprintf(want, "12:00:00", "transfer", "1.00", "N1", 2)},
		{"the last second of a day", inline(2, "#46349.999988425926", "", "#1", "N1", "财付通"), fmt.Sprintf(want, "23:59:59", "transfer", "1.00", "N1", 2)},
		{"a serial time", inline(2, "#46349", "#0.39583333333333331", "#1", "N1", "财付通"), fmt.Sprintf(want, "09:30:00", "transfer", "1.00", "N1", 2)},
		{"texts", inline(2, "2026-11-23", "09:30:00", "-1,000.50", "N1", "财付通"), fmt.Sprintf(want, "09:30:00", "transfer_in", "1000.50", "N1", 2)},
		{"a saved formula is its value", `<row r="2"><c r="A2"><f>TODAY()</f><v>46349</v></c><c r="C2"><f>1+1</f><v>7</v></c><c r="D2" t="str"><f>"N"&amp;1</f><v>N1</v></c>` +
			`<c r="E2" t="inlineStr"><is><t>财付通</t></is></c></row>`, fmt.Sprintf(want, "12:00:00", "transfer", "7.00", "N1", 2)},
		{"what a workbook makes of decimals", inline(2, "#46349", "", "#33.299999999999997", "N1", "财付通") + inline(3, "#46349", "", "#-1.2000000000000001E2", "N2", "财付通"),
			fmt.Sprintf(want, "12:00:00", "transfer", "33.30", "N1", 2) + fmt.Sprintf(want, "12:00:00", "transfer_in", "120.00", "N2", 3)},
		{"rows and cells without their places", `<row><c><v>46349</v></c><c/><c><v>2</v></c><c><v>77</v></c><c t="inlineStr"><is><t>财付通</t></is></c></row>`,
			fmt.Sprintf(want, "12:00:00", "transfer", "2.00", "77", 2)},
		{"a gap", inline(9, "#46349", "", "#1", "N1", "财付通"), fmt.Sprintf(want, "12:00:00", "transfer", "1.00", "N1", 9)},
		{"other days", inline(2, "#46348", "", "#1", "N1", "财付通") + inline(3, "#46350", "", "#1", "N1", "财付通"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lines, err := read(statements(t, sheetMapping, ""), day(t, "2026-11-23"), workbook(t, inSheet(sheetHead+tt.rows), ""))
			if got := written(lines); err != nil || got != tt.want {
				t.Errorf("%swant:\n%s%v", got, tt.want, err)
			}
		})
	}
	t.Run("the other count of days", func(t *testing.T) {
		t.Parallel()
		file := workbook(t, inSheet(sheetHead+inline(2, "#44887", "", "#1", "N1", "财付通")), "", "xl/workbook.xml",
			`<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">`+
				`<workbookPr date1904="1"/><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>`)
		lines, err := read(statements(t, sheetMapping, ""), day(t, "2026-11-23"), file)
		if err != nil || len(lines) != 1 {
			t.Errorf("%v, %v", lines, err)
		}
	})
}

// TestBadWorkbooks: nothing is passed over in silence.
func TestBadWorkbooks(t *testing.T) {
	t.Parallel()
	good := inline(2, "#46349", "", "#1", "N1", "财付通")
	shared := `<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>户名</t></si></sst>`
	example, err := os.ReadFile("testdata/workbook.xlsx")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "不是 xlsx 文件"},
		{"an old workbook, or one with a password", []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 2000)), "不是 xlsx 文件"},
		{"cut", example[:len(example)-100], "不是 xlsx 文件"},
		{"a bomb", workbook(t, inSheet(sheetHead)+strings.Repeat(" ", 130<<20), ""), "不是 xlsx 文件"},
		{"a bomb that says it is none", liar(t), "不是 xlsx 文件"},
		{"broken in the middle", workbook(t, strings.Replace(inSheet(sheetHead+good+inline(3, "x")), `<row r="3">`, `<row r="3"`, 1), ""), "工作表内容有误"},
		{"ends in the middle", workbook(t, `<worksheet><sheetData>`+sheetHead+good, ""), "工作表内容有误"},
		{"two blocks of rows", workbook(t, `<worksheet><sheetData>`+sheetHead+`</sheetData><sheetData>`+good+`</sheetData></worksheet>`, ""), "工作表内容有误"},
		{"no block of rows", workbook(t, `<worksheet/>`, ""), "工作表内容有误"},
		{"rows out of order", workbook(t, inSheet(sheetHead+inline(3, "x")+good), ""), "工作表内容有误"},
		{"a row in a row", workbook(t, inSheet(`<row r="1"><row r="2"/></row>`), ""), "工作表内容有误"},
		{"cells out of order", workbook(t, inSheet(`<row r="1"><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>`), ""), "工作表内容有误"},
		{"a cell of another row", workbook(t, inSheet(`<row r="1"><c r="B2"><v>1</v></c></row>`), ""), "工作表内容有误"},
		{"a cell outside rows", workbook(t, inSheet(`<c r="A1"/>`), ""), "工作表内容有误"},
		{"two values in a cell", workbook(t, inSheet(`<row r="1"><c r="A1"><v>1</v><v>2</v></c></row>`), ""), "工作表内容有误"},
		{"a kind of cell that is none", workbook(t, inSheet(`<row r="1"><c r="A1" t="x"><v>1</v></c></row>`), ""), "工作表内容有误"},
		{"a style that is none", workbook(t, inSheet(`<row r="1"><c r="A1" s="x"><v>1</v></c></row>`), ""), "工作表内容有误"},
		{"a formula that cannot be read", workbook(t, inSheet(`<row r="1"><c r="A1"><f si="x"/><v>1</v></c></row>`), ""), "工作表内容有误"},
		{"a row beyond the last", workbook(t, inSheet(`<row r="1048577"/>`), ""), "工作表内容有误"},
		{"a cell that points nowhere", workbook(t, inSheet(sheetHead+`<row r="2"><c r="E2" t="s"><v>1</v></c></row>`), shared), "工作表内容有误"},
		{"a cell that points backwards", workbook(t, inSheet(sheetHead+`<row r="2"><c r="E2" t="s"><v>-1</v></c></row>`), shared), "工作表内容有误"},
		{"a list of texts that is none", workbook(t, inSheet(sheetHead), `<sst><si>`), "工作表内容有误"},
		{"too wide", workbook(t, inSheet(`<row r="1"><c r="XFD1"><v>1</v></c></row>`), ""), "超过 256 列"},
		{"a long row", workbook(t, inSheet(inline(1, strings.Repeat("x", 33_000), strings.Repeat("x", 33_000))), ""), "第 1 行：一行超过 64 KB"},
		{"a number kept as a quantity", workbook(t, inSheet(sheetHead+inline(2, "#46349", "", "#1", "#20261123000000001", "财付通")), ""), "第 2 行「流水号」：号码在表格中按数值保存"},
		{"a number kept with an exponent", workbook(t, inSheet(sheetHead+inline(2, "#46349", "", "#1", "#2.0261123000000001E+19", "财付通")), ""), "第 2 行「流水号」：号码在表格中按数值保存"},
		{"an error for an amount", workbook(t, inSheet(sheetHead+`<row r="2"><c r="A2"><v>46349</v></c><c r="C2" t="e"><v>#REF!</v></c></row>`), ""), "第 2 行「金额」：不是金额"},
		{"a fraction of a fen", workbook(t, inSheet(sheetHead+inline(2, "#46349", "", "#1.005", "N1", "财付通")), ""), "第 2 行「金额」：不是金额"},
		{"a small number for a date", workbook(t, inSheet(sheetHead+inline(2, "#46", "", "#1", "N1", "财付通")), ""), "第 2 行「日期」：不是日期"},
		{"a number for a time", workbook(t, inSheet(sheetHead+inline(2, "#46349", "#1.5", "#1", "N1", "财付通")), ""), "第 2 行「时间」：不是时间"},
		{"no sheet", workbook(t, inSheet(sheetHead), "", "xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"/>`), "没有映射所写的工作表"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := read(statements(t, sheetMapping, ""), day(t, "2026-11-23"), tt.file)
			saying(t, err, tt.want, "")
		})
	}
	_, err = read(statements(t, strings.Replace(exampleMapping(t, "workbook"), "账户明细", "别的表", 1), "6225880000001234"), day(t, "2026-11-23"), example)
	saying(t, err, "没有映射所写的工作表", "")
}
