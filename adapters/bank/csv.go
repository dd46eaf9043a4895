package bank

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tuoka/tuoka/internal/recon"
)

// row is one row of a file: its cells without the blanks around them, and where it stands. The cells are good until the next row is asked for.
type row struct {
	cells   []string
	number  int            // from 1, as people count: of its first line, or of the sheet's row
	place   recon.Place    // in a csv
	spoiled func(int) bool // in a workbook: whether a cell's number was kept as a quantity that lost its last digits; nil: none
}

// rows gives row after row, and io.EOF.
type rows interface {
	next() (row, error)
}

// maxLine is the longest row that is read, in bytes.
const maxLine = 64 << 10

var (
	longLine  = &wrong{"一行超过 64 KB", "longer than 64 KB"}
	badQuotes = &wrong{"引号不成对，或引号不在单元格的首尾", "quotes that do not enclose a cell"}
	badText   = &wrong{"不是映射所写的编码", "not in the encoding of the mapping"}
)

// csvRows cuts a csv (RFC 4180) into rows. A cell may be in quotes, and then hold line breaks, delimiters and doubled quotes; whatever it begins with, it is data.
// Lines are cut before they are decoded, so that places are those of the file: no byte of a character of GB18030 but the character itself is a line break or a
// quote, though it may be a delimiter.
type csvRows struct {
	r      *bufio.Reader
	comma  byte
	gb     *encoding.Decoder // nil: UTF-8
	offset int64
	line   int
	raw    []byte
	cells  []string
}

// The byte order marks.
var (
	bomUTF8 = []byte("\xef\xbb\xbf")
	bomGB   = []byte("\x84\x31\x95\x33")
)

func newCSVRows(r io.Reader, comma byte, gb18030 bool) *csvRows {
	c := &csvRows{r: bufio.NewReaderSize(r, 32<<10), comma: comma}
	bom := bomUTF8
	if gb18030 {
		c.gb, bom = simplifiedchinese.GB18030.NewDecoder(), bomGB
	}
	if front, _ := c.r.Peek(len(bom)); bytes.Equal(front, bom) {
		n, _ := c.r.Discard(len(bom)) // they are in the buffer
		c.offset = int64(n)
	}
	return c
}

func (c *csvRows) next() (row, error) {
	at := row{number: c.line + 1, place: recon.Place{Offset: c.offset}}
	if err := c.read(at.number); err != nil {
		return row{}, err
	}
	at.place.Length = int32(len(c.raw)) //nolint:gosec // at most maxLine
	c.offset += int64(len(c.raw))
	text, what := c.decode(bytes.TrimRight(c.raw, "\r\n"))
	if what == nil {
		what = c.cut(text)
	}
	if what != nil {
		return row{}, refused(at.number, "", what)
	}
	at.cells = c.cells
	return at, nil
}

// read brings the bytes of one row: a line, and the following ones while a quote is open.
func (c *csvRows) read(number int) error {
	c.raw = c.raw[:0]
	for open := false; ; {
		part, err := c.r.ReadSlice('\n')
		if len(c.raw)+len(part) > maxLine {
			return refused(number, "", longLine)
		}
		c.raw = append(c.raw, part...)
		open = open != (bytes.Count(part, []byte{'"'})%2 == 1)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			if len(c.raw) == 0 {
				return io.EOF
			}
			c.line++
			return nil // an open quote is found by cut
		case err != nil:
			return err
		}
		c.line++
		if !open {
			return nil
		}
	}
}

// decode turns a row into UTF-8. What does not belong to the encoding is refused, as is the character that stands for it.
func (c *csvRows) decode(raw []byte) (string, *wrong) {
	if c.gb != nil {
		text, err := c.gb.Bytes(raw)
		if err != nil || bytes.ContainsRune(text, utf8.RuneError) {
			return "", badText
		}
		return string(text), nil
	}
	if !utf8.Valid(raw) {
		return "", badText
	}
	return string(raw), nil
}

// cut cuts a row into cells.
func (c *csvRows) cut(text string) *wrong {
	c.cells = c.cells[:0]
	for {
		var cell string
		if quoted, ok := strings.CutPrefix(text, `"`); ok {
			end := closing(quoted)
			if end < 0 {
				return badQuotes
			}
			cell, text = strings.ReplaceAll(quoted[:end], `""`, `"`), quoted[end+1:]
			if text != "" && text[0] != c.comma {
				return badQuotes
			}
		} else {
			end := strings.IndexByte(text, c.comma)
			if end < 0 {
				end = len(text)
			}
			cell, text = text[:end], text[end:]
			if strings.Contains(cell, `"`) {
				return badQuotes
			}
		}
		c.cells = append(c.cells, strings.TrimSpace(cell))
		if text == "" {
			return nil
		}
		text = text[1:]
	}
}

// closing is where the quote is that ends a cell; -1 where none does.
func closing(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if i+1 == len(s) || s[i+1] != '"' {
			return i
		}
		i++
	}
	return -1
}
