package banksim

import (
	"archive/zip"
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

const (
	xmlHead  = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	mainNS   = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
	officeNS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
	packNS   = "http://schemas.openxmlformats.org/package/2006/relationships"
	typeNS   = "http://schemas.openxmlformats.org/package/2006/content-types"
	officeCT = "application/vnd.openxmlformats-officedocument.spreadsheetml."
)

// parts are a workbook of one sheet without the sheet itself (ECMA-376 part 1, 12.3). Style 1 is a date.
var parts = []struct{ name, text string }{
	{"[Content_Types].xml", `<Types xmlns="` + typeNS + `"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
		`<Override PartName="/xl/workbook.xml" ContentType="` + officeCT + `sheet.main+xml"/>` +
		`<Override PartName="/xl/worksheets/sheet1.xml" ContentType="` + officeCT + `worksheet+xml"/>` +
		`<Override PartName="/xl/styles.xml" ContentType="` + officeCT + `styles+xml"/></Types>`},
	{"_rels/.rels", `<Relationships xmlns="` + packNS + `"><Relationship Id="rId1" Type="` + officeNS + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
	{"xl/workbook.xml", `<workbook xmlns="` + mainNS + `" xmlns:r="` + officeNS + `"><sheets><sheet name="账户明细" sheetId="1" r:id="rId1"/></sheets></workbook>`},
	{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="` + packNS + `"><Relationship Id="rId1" Type="` + officeNS + `/worksheet" Target="worksheets/sheet1.xml"/>` +
		`<Relationship Id="rId2" Type="` + officeNS + `/styles" Target="styles.xml"/></Relationships>`},
	{"xl/styles.xml", `<styleSheet xmlns="` + mainNS + `"><fonts count="1"><font/></fonts><fills count="1"><fill/></fills><borders count="1"><border/></borders>` +
		`<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>`},
}

// cell is a value of a sheet: text, or a number.
type cell struct {
	text   string
	number string
	style  int
}

func text(s string) cell { return cell{text: s} }

// number is an amount as a workbook keeps it, without zeros at its end.
func number(f money.Fen) cell {
	return cell{number: strings.TrimSuffix(strings.TrimRight(f.String(), "0"), ".")}
}

func count(n int) cell { return cell{number: strconv.Itoa(n)} }

// date is a day as a workbook counts it.
func date(day time.Time) cell {
	zero := time.Date(1899, 12, 30, 0, 0, 0, 0, day.Location())
	return cell{number: strconv.Itoa(int(day.Sub(zero) / (24 * time.Hour))), style: 1}
}

// sheet writes rows.
type sheet struct {
	w   *bufio.Writer
	row int
}

func (s *sheet) add(cells ...cell) {
	s.row++
	_, _ = fmt.Fprintf(s.w, `<row r="%d">`, s.row) // Flush tells
	for i, c := range cells {
		at := fmt.Sprintf("%c%d", 'A'+i, s.row)
		switch {
		case c.number != "":
			_, _ = fmt.Fprintf(s.w, `<c r="%s" s="%d"><v>%s</v></c>`, at, c.style, c.number)
		case c.text != "":
			_, _ = fmt.Fprintf(s.w, `<c r="%s" t="inlineStr"><is><t xml:space="preserve">`, at)
			_ = xml.EscapeText(s.w, []byte(c.text))
			_, _ = s.w.WriteString("</t></is></c>")
		}
	}
	_, _ = s.w.WriteString("</row>")
}

// workbook is the layout of 示例丙银行.
func (st *statement) workbook(to io.Writer) error {
	z := zip.NewWriter(to)
	for _, p := range parts {
		w, err := z.Create(p.name)
		if err == nil {
			_, err = io.WriteString(w, xmlHead+p.text)
		}
		if err != nil {
			return err
		}
	}
	part, err := z.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		return err
	}
	s := &sheet{w: bufio.NewWriter(part)}
	_, _ = s.w.WriteString(xmlHead + `<worksheet xmlns="` + mainNS + `"><sheetData>`)
	st.rows(s)
	_, _ = s.w.WriteString("</sheetData></worksheet>")
	if err := s.w.Flush(); err != nil {
		return err
	}
	return z.Close()
}

func (st *statement) rows(s *sheet) {
	s.add(text("账户明细"))
	s.add(text("账号"), text(masked(st.account)))
	s.add(text("期初余额"), number(st.opening))
	s.add(text("序号"), text("记账日"), text("流水号"), text("借贷"), text("发生额"), text("余额"), text("对方名称"), text("对方账号"), text("附言"))
	line := 0
	for _, e := range st.entries {
		if e.hidden {
			continue
		}
		line++
		p, side, size := parties[e.sort], "贷", e.amount
		if e.amount < 0 {
			side, size = "借", -e.amount
		}
		s.add(count(line), date(st.day), text(e.bankNo), text(side), number(size), number(e.balance), text(p.name), text(p.account),
			text(strings.TrimSpace(strings.Join(e.numbers, " ")+" "+p.remark)))
	}
	s.add(text("合计"), count(st.ins+st.outs), text("收入"), number(st.in), text("支出"), number(st.out), text("期末余额"), number(st.closing))
}
