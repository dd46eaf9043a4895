package wechatpay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

const (
	// maxLine is the longest line of a bill; a row has about 350 bytes.
	maxLine = 64 << 10
	// dayMargin is by how much a row may lie beyond its day: when the booking took a moment longer than the deed. Beyond that it is another day's file.
	dayMargin = time.Hour
)

// sheet reads a bill line by line: a header, rows whose every value has a backtick before it, a header of the summary, the summary (wechat-pay.md §3.3, §3.4).
// Nothing of a line outlives the next one.
type sheet struct {
	in       *bufio.Reader
	offset   int64 // of the next line
	number   int   // of the last line, from 1
	place    recon.Place
	line     []byte
	names    []string
	cells    [][]byte
	rows     int64
	from, to time.Time // rows lie between
	date     [len(time.DateOnly)]byte
	midnight time.Time // of date
}

func newSheet(r io.Reader, day recon.Day) *sheet {
	return &sheet{in: bufio.NewReaderSize(r, maxLine), from: day.Begin().Add(-dayMargin), to: day.End().Add(dayMargin)}
}

// bad refuses the file because of the line that was read last. Why is our own words, never the line's.
func (s *sheet) bad(column, why string) error {
	if column != "" {
		column = ", column " + column
	}
	return recon.ErrForm.Because(fmt.Errorf("line %d%s: %s", s.number, column, why))
}

// next reads a line, without its end; io.EOF after the last.
func (s *sheet) next() error {
	line, err := s.in.ReadSlice('\n')
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		if errors.Is(err, bufio.ErrBufferFull) {
			s.number++
			return s.bad("", "longer than any line")
		}
		return err
	}
	begin := s.offset
	s.offset += int64(len(line))
	s.number++
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
	s.line, s.place = line, recon.Place{Offset: begin, Length: int32(len(line))} //nolint:gosec // at most maxLine
	if !utf8.Valid(line) {
		return s.bad("", "not UTF-8")
	}
	return nil
}

// within is next where the file must go on.
func (s *sheet) within() error {
	err := s.next()
	if errors.Is(err, io.EOF) {
		s.number++
		return s.bad("", "the file ends before its summary")
	}
	return err
}

// header reads the names of the columns.
func (s *sheet) header() error {
	if err := s.within(); err != nil {
		return err
	}
	names, err := s.columns(bytes.TrimPrefix(s.line, []byte("\xef\xbb\xbf")))
	s.names = names
	return err
}

// columns cuts a line of names. A unit in brackets, half or full width, is no part of a name.
func (s *sheet) columns(line []byte) ([]string, error) {
	names := strings.Split(string(line), ",")
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		if at := strings.IndexAny(name, "(（"); at > 0 {
			name = name[:at]
		}
		if seen[name] {
			return nil, s.bad("", "a column stands there twice")
		}
		seen[name], names[i] = true, name
	}
	return names, nil
}

// column is where the column of one of these names stands; -1 for nowhere.
func (s *sheet) column(names ...string) int {
	for _, wanted := range names {
		for i, name := range s.names {
			if name == wanted {
				return i
			}
		}
	}
	return -1
}

// row reads the next row into cells. The line that is not one, the summary's header, ends them.
func (s *sheet) row() (more bool, err error) {
	if err := s.within(); err != nil {
		return false, err
	}
	if len(s.line) == 0 || s.line[0] != '`' {
		return false, nil
	}
	if s.values(); len(s.cells) != len(s.names) {
		return false, s.bad("", "not as many values as the header has names")
	}
	s.rows++
	return true, nil
}

// values cuts a line at comma and backtick, which leaves commas inside a value alone.
func (s *sheet) values() {
	line := s.line
	s.cells = s.cells[:0]
	begin := 1 // after the first backtick
	for i := begin; ; i++ {
		at := bytes.IndexByte(line[i:], '`')
		if at < 0 {
			break
		}
		if i += at; line[i-1] == ',' && i > begin {
			s.cells = append(s.cells, line[begin:i-1])
			begin = i + 1
		}
	}
	s.cells = append(s.cells, line[begin:])
}

// summary reads the end of the file, of whose summary the header is the line that was read last. Its first name says of what it is.
func (s *sheet) summary(first string) (map[string][]byte, error) {
	names, err := s.columns(s.line)
	switch {
	case err != nil:
		return nil, err
	case names[0] != first:
		return nil, s.bad("", "neither a row nor the summary")
	}
	if err := s.within(); err != nil {
		return nil, err
	}
	if len(s.line) == 0 || s.line[0] != '`' {
		return nil, s.bad("", "no summary")
	}
	if s.values(); len(s.cells) != len(names) {
		return nil, s.bad("", "not as many values as the summary's header has names")
	}
	sums := make(map[string][]byte, len(names))
	for i, name := range names {
		sums[name] = bytes.Clone(s.cells[i])
	}
	summed := s.number
	for {
		err := s.next()
		switch {
		case errors.Is(err, io.EOF):
			s.number = summed
			return sums, nil
		case err != nil:
			return nil, err
		case len(s.line) > 0:
			return nil, s.bad("", "the file goes on after its summary")
		}
	}
}

// summed refuses a file of which one of the summary's values of these names is not that number, or none is there.
func (s *sheet) summed(sums map[string][]byte, want int64, places int, names ...string) error {
	for _, name := range names {
		if value, ok := sums[name]; ok {
			if got, ok := decimal(value, places); !ok || got != want {
				return s.bad(name, "the rows do not add up to it")
			}
			return nil
		}
	}
	return s.bad(names[0], "missing")
}

// at reads a moment of the day in China. Almost all rows are of one date, which is read once.
func (s *sheet) at(column string, b []byte) (time.Time, error) {
	if len(b) != len(time.DateTime) || b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, s.bad(column, "not a time")
	}
	if date := b[:len(s.date)]; !bytes.Equal(date, s.date[:]) {
		day, err := time.ParseInLocation(time.DateOnly, string(date), clock.Shanghai)
		if err != nil {
			return time.Time{}, s.bad(column, "not a time")
		}
		copy(s.date[:], date)
		s.midnight = day.UTC()
	}
	hour, minute, second := two(b[11:]), two(b[14:]), two(b[17:])
	if hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, s.bad(column, "not a time")
	}
	t := s.midnight.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
	if t.Before(s.from) || !t.Before(s.to) {
		return time.Time{}, s.bad(column, "of another day")
	}
	return t, nil
}

// two reads two digits; what is none is more than any time has.
func two(b []byte) int {
	tens, ones := b[0]-'0', b[1]-'0'
	if tens > 9 || ones > 9 {
		return math.MaxInt8
	}
	return int(tens)*10 + int(ones)
}

// decimal reads a plain decimal number exactly, in units of its last place: "1.5" with two places is 150. Further places must be zeros. It is never more than
// money.Max.
func decimal(b []byte, places int) (n int64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	limit := int64(money.Max) / 100
	for range places {
		limit *= 10
	}
	point, left := -1, places
	for i, c := range b {
		digit := int64(c) - '0'
		switch {
		case c == '.' && point < 0 && i > 0:
			point = i
		case digit < 0 || digit > 9:
			return 0, false
		case point >= 0 && left == 0:
			if digit != 0 {
				return 0, false
			}
		default:
			if point >= 0 {
				left--
			}
			if n = n*10 + digit; n > limit {
				return 0, false
			}
		}
	}
	if len(b) == 0 || point == len(b)-1 {
		return 0, false
	}
	for range left {
		if n *= 10; n > limit {
			return 0, false
		}
	}
	if negative {
		n = -n
	}
	return n, true
}

// amount reads yuan into fen; a negative one is not an amount.
func (s *sheet) amount(column string, b []byte) (money.Fen, error) {
	n, ok := decimal(b, 2)
	if !ok || n < 0 {
		return 0, s.bad(column, "not an amount")
	}
	return money.Fen(n), nil
}

// sum adds an amount to a total.
func (s *sheet) sum(column string, total *int64, n int64) error {
	sum, err := money.Add(money.Fen(*total), money.Fen(n))
	if err != nil {
		return s.bad(column, "the sum is too large")
	}
	*total = int64(sum)
	return nil
}

// absent is how bills write that there is no number.
func absent(b []byte) bool { return len(b) == 0 || len(b) == 1 && b[0] == '0' }

// numeric reports whether that can be a number of a transaction, a refund or a flow: printable, without blanks.
func numeric(b []byte) bool {
	if absent(b) || len(b) > 64 {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// numbers gathers the numbers of a line, which then share one string.
type numbers struct {
	text []byte
	cuts [5]struct {
		number     recon.Number
		begin, end int
	}
	count int
}

func (n *numbers) add(number recon.Number, b []byte) {
	begin := len(n.text)
	n.text = append(n.text, b...)
	cut := &n.cuts[n.count]
	cut.number, cut.begin, cut.end = number, begin, len(n.text)
	n.count++
}

// into gives the line its numbers and forgets them.
func (n *numbers) into(l *recon.Line) {
	text := string(n.text)
	for _, cut := range n.cuts[:n.count] {
		l.Numbers[cut.number] = text[cut.begin:cut.end]
	}
	n.text, n.count = n.text[:0], 0
}
