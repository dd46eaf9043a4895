package bank

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/tuoka/tuoka/internal/recon"
)

const (
	// maxUnzipped bounds a workbook unpacked: all of it is in memory, and nothing of it in a temporary file, for it names whoever paid. A hundred thousand
	// rows are about half of that.
	maxUnzipped = 128 << 20
	maxColumns  = 256
)

var (
	notWorkbook = &wrong{"不是 xlsx 文件（旧式 .xls 或加密的文件须另存为 xlsx），或解压后过大", "not an xlsx file, or too large when unpacked"}
	noSheet     = &wrong{"没有映射所写的工作表", "no such sheet"}
	badSheet    = &wrong{"工作表内容有误", "a sheet that is not well formed"}
	wideSheet   = &wrong{"超过 256 列", "more than 256 columns"}
)

// xlsxRows gives the rows of a sheet. Numbers are as the file keeps them, formulas are the values that were saved with them: nothing is evaluated.
type xlsxRows struct {
	rows   *excelize.Rows
	book   *excelize.File
	sheet  soundSheet
	number int
	cells  []string
}

// openWorkbook reads a workbook and finds its sheet; epoch is the day 0 of its dates. What excelize passes over in silence (rows after a break in the sheet,
// cells that point nowhere) is looked for first.
func openWorkbook(r io.Reader, sheet string) (x *xlsxRows, epoch time.Time, err error) {
	file, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, epoch, err
	}
	if len(file) > maxFile || !bytes.HasPrefix(file, []byte("PK\x03\x04")) { // what is encrypted is never tried
		return nil, epoch, refused(0, "", notWorkbook)
	}
	book, err := excelize.OpenReader(bytes.NewReader(file), excelize.Options{RawCellValue: true, UnzipSizeLimit: maxUnzipped, UnzipXMLSizeLimit: maxUnzipped})
	if err != nil {
		return nil, epoch, refused(0, "", notWorkbook)
	}
	name, part := sheetPart(book, sheet)
	if part == nil {
		return nil, epoch, refused(0, "", noSheet)
	}
	x = &xlsxRows{book: book}
	if err := x.sheet.check(part); err != nil {
		return nil, epoch, err
	}
	if x.rows, err = book.Rows(name); err != nil {
		return nil, epoch, refused(0, "", badSheet)
	}
	props, err := book.GetWorkbookProps()
	if err != nil {
		return nil, epoch, refused(0, "", notWorkbook)
	}
	if epoch = epoch1900; props.Date1904 != nil && *props.Date1904 {
		epoch = epoch1904
	}
	return x, epoch, nil
}

// sheetPart finds a sheet's name and its bytes; the first sheet where none is named.
func sheetPart(book *excelize.File, sheet string) (name string, part []byte) {
	load := func(name string) []byte {
		found, _ := book.Pkg.Load(name)
		text, _ := found.([]byte)
		return text
	}
	var links struct {
		Relationship []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		}
	}
	if book.WorkBook == nil || xml.Unmarshal(load("xl/_rels/workbook.xml.rels"), &links) != nil {
		return "", nil
	}
	for _, s := range book.WorkBook.Sheets.Sheet {
		if sheet != "" && s.Name != sheet {
			continue
		}
		for _, l := range links.Relationship {
			if l.ID == s.ID {
				target, whole := strings.CutPrefix(l.Target, "/")
				if !whole {
					target = path.Join("xl", target)
				}
				return s.Name, load(target)
			}
		}
		break
	}
	return "", nil
}

func (x *xlsxRows) next() (row, error) {
	if !x.rows.Next() {
		if x.rows.Error() != nil || x.number < x.sheet.last {
			return row{}, refused(x.number+1, "", badSheet)
		}
		return row{}, io.EOF
	}
	x.number++
	cells, err := x.rows.Columns(excelize.Options{RawCellValue: true})
	if err != nil || (x.book.SharedStrings != nil && x.sheet.shared >= len(x.book.SharedStrings.SI)) {
		return row{}, refused(x.number, "", badSheet)
	}
	x.cells = x.cells[:0]
	size := 0
	for _, c := range cells {
		size += len(c)
		x.cells = append(x.cells, strings.TrimSpace(c))
	}
	if size > maxLine {
		return row{}, refused(x.number, "", longLine)
	}
	number := x.number
	spoiled := func(column int) bool {
		_, found := slices.BinarySearch(x.sheet.spoiled, position(number, column+1))
		return found
	}
	return row{cells: x.cells, number: number, place: recon.Place{Offset: int64(number)}, spoiled: spoiled}, nil
}

// soundSheet is what was learned of a sheet before its rows are read.
type soundSheet struct {
	last    int      // its last row
	shared  int      // the highest text of the workbook's list that a cell points at; -1: none
	spoiled []uint64 // cells with whole numbers of more digits than a workbook knows, by position
	column  int      // while it is checked: of the last cell
}

func position(row, column int) uint64 { return uint64(row)<<16 | uint64(column) } //nolint:gosec // both are positive and bounded

var errSheet = errors.New("a sheet that is not well formed")

// check reads the sheet's bytes to their end: every row stands once below its data, every cell once in its row, both in order, and each is of a kind that is known.
func (s *soundSheet) check(part []byte) error {
	*s = soundSheet{shared: -1}
	d := xml.NewDecoder(bytes.NewReader(part))
	var open []string
	data := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && data == 1 {
			return nil
		}
		if err != nil {
			return refused(s.last, "", badSheet)
		}
		switch t := token.(type) {
		case xml.StartElement:
			within := ""
			if len(open) > 0 {
				within = open[len(open)-1]
			}
			switch t.Name.Local {
			case "sheetData":
				data++
			case "row":
				err = s.row(within, t.Attr)
			case "c":
				if within != "row" {
					return refused(s.last, "", badSheet)
				}
				if err = s.cell(d, t); err == nil {
					continue // to its end
				}
			}
			if err != nil || data > 1 {
				return s.refuse(err)
			}
			open = append(open, t.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1] // the decoder has matched them
		}
	}
}

var errWide = errors.New("more than 256 columns")

func (s *soundSheet) refuse(err error) error {
	if errors.Is(err, errWide) {
		return refused(s.last, "", wideSheet)
	}
	return refused(s.last, "", badSheet)
}

func (s *soundSheet) row(within string, attrs []xml.Attr) error {
	number := s.last + 1
	if text := attribute(attrs, "r"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil {
			return err
		}
	}
	if within != "sheetData" || number <= s.last || number > excelize.TotalRows {
		return errSheet
	}
	s.last, s.column = number, 0
	return nil
}

// wireCell is a cell of a sheet (ECMA-376 part 1, 18.3.1.4). Its members are of the kinds that excelize reads them as, for it passes over what it cannot read.
type wireCell struct {
	Type    string `xml:"t,attr"`
	Style   int    `xml:"s,attr"`
	Formula *struct {
		Shared int `xml:"si,attr"`
	} `xml:"f"`
	Values []string   `xml:"v"`
	Inline []struct{} `xml:"is"`
}

var cellTypes = []string{"", "n", "s", "str", "inlineStr", "b", "e", "d"}

func (s *soundSheet) cell(d *xml.Decoder, start xml.StartElement) error {
	column := s.column + 1
	if text := attribute(start.Attr, "r"); text != "" {
		c, r, err := excelize.CellNameToCoordinates(text)
		if err != nil || r != s.last || c <= s.column {
			return errSheet
		}
		column = c
	}
	if column > maxColumns {
		return errWide
	}
	s.column = column
	var c wireCell
	if err := d.DecodeElement(&c, &start); err != nil {
		return fmt.Errorf("cell: %w", err)
	}
	if !slices.Contains(cellTypes, c.Type) || len(c.Values) > 1 || len(c.Inline) > 1 {
		return errSheet
	}
	if len(c.Values) == 0 {
		return nil
	}
	value := strings.TrimSpace(c.Values[0])
	switch c.Type {
	case "s":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return errSheet
		}
		s.shared = max(s.shared, n)
	case "", "n":
		if len(value) > excelDigits && strings.Trim(value, "0123456789") == "" {
			s.spoiled = append(s.spoiled, position(s.last, column))
		}
	}
	return nil
}

// attribute is an attribute's text; empty where there is none.
func attribute(attrs []xml.Attr, name string) string {
	for _, a := range attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
