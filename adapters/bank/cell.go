package bank

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// wrong is what can be wrong with a cell, for people and for logs. It never has the cell's text: a row that has slipped by a column may hold anybody's name there.
type wrong struct{ zh, en string }

var (
	notAmount     = &wrong{"不是金额，应为 1,234.50 的形式（半角数字，最多两位小数，单位元）", "not an amount in yuan with at most two decimals"}
	hugeAmount    = &wrong{"金额超出范围", "an amount out of range"}
	notDate       = &wrong{"不是日期，或与映射中的 dates 不符", "not a date in any of the layouts"}
	notTime       = &wrong{"不是时间，或与映射中的 times 不符", "not a time in any of the layouts"}
	notNumber     = &wrong{"不是流水号（应为 1 至 64 位字母、数字或 - _ .）", "not a number of 1 to 64 letters, digits, dots or dashes"}
	spoiledNumber = &wrong{"号码在表格中按数值保存，末尾数字已丢失，应按文本保存", "a number kept as a quantity, whose last digits are lost"}
)

// plainAmount is 1234.5 or 1,234.50. Full-width digits are none, and nothing stands around it.
var plainAmount = regexp.MustCompile(`^-?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)(\.[0-9]{1,2})?$`)

// amountOf reads an amount in yuan. A plus sign may stand before it.
func amountOf(text string) (money.Fen, *wrong) {
	text = strings.TrimPrefix(text, "+")
	if !plainAmount.MatchString(text) {
		return 0, notAmount
	}
	f, err := money.ParseYuan(strings.ReplaceAll(text, ",", ""))
	if err != nil {
		return 0, hugeAmount
	}
	return f, nil
}

// excelDigits is how many digits of a number a workbook knows. What it writes of 33.3 is 33.299999999999997.
const excelDigits = 15

var excelNumber = regexp.MustCompile(`^-?[0-9]{1,20}(\.[0-9]{1,25})?(E[+-]?[0-9]{1,2})?$`)

// excelText is a number of a workbook as the workbook shows it: with the digits that it knows, and without an exponent. Other text is left alone.
func excelText(text string) string {
	if !excelNumber.MatchString(text) {
		return text
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return text
	}
	if surplus := d.NumDigits() - excelDigits; surplus > 0 {
		d = d.Round(-d.Exponent() - int32(surplus)) //nolint:gosec // at most 45 digits
	}
	return d.String()
}

// layout is how a date or a time is written, in Go's way.
type layout struct {
	text        string
	date, clock bool // what it has
}

// probe has a day, a month and an hour that cannot be taken for one another.
var probe = time.Date(2026, 11, 23, 13, 14, 15, 0, clock.Shanghai)

// layoutOf reports what a layout has; false when a moment written by it is not read back.
func layoutOf(text string) (layout, bool) {
	t, err := time.ParseInLocation(text, probe.Format(text), clock.Shanghai)
	if err != nil {
		return layout{}, false
	}
	y, m, d := t.Date()
	l := layout{text: text, date: y == 2026 && m == 11 && d == 23, clock: t.Hour() == 13 && t.Minute() == 14}
	return l, (l.date || (y <= 1 && m == 1 && d == 1)) && (l.clock || (t.Hour() == 0 && t.Minute() == 0))
}

// contradiction finds two layouts that read a text differently: the days of 02/01 and 01/02.
func contradiction(layouts []layout) (a, b string, found bool) {
	ambiguous := time.Date(2003, 4, 5, 6, 7, 8, 0, clock.Shanghai)
	for _, one := range layouts {
		text := ambiguous.Format(one.text)
		want, _ := time.ParseInLocation(one.text, text, clock.Shanghai) // written by it
		for _, other := range layouts {
			if got, err := time.ParseInLocation(other.text, text, clock.Shanghai); err == nil && !got.Equal(want) {
				return one.text, other.text, true
			}
		}
	}
	return "", "", false
}

// serial is a moment as a workbook counts it: days since its first, and a part of a day.
var serial = regexp.MustCompile(`^([0-9]{1,5})(\.[0-9]{1,25})?$`)

// The day before a workbook's day 1, which is 1900-01-01 for one that believes in 1900-02-29; and its day 0 in the other count.
var (
	epoch1900 = time.Date(1899, 12, 30, 0, 0, 0, 0, clock.Shanghai)
	epoch1904 = time.Date(1904, 1, 1, 0, 0, 0, 0, clock.Shanghai)
)

// serialOf reads days and the second of the day, to the nearest.
func serialOf(text string) (days, seconds int, ok bool) {
	m := serial.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, false
	}
	days, _ = strconv.Atoi(m[1]) // five digits
	part, err := decimal.NewFromString("0" + m[2])
	if err != nil {
		return 0, 0, false
	}
	const day = 24 * 60 * 60
	seconds = int(part.Mul(decimal.NewFromInt(day)).Round(0).IntPart())
	return days + seconds/day, seconds % day, true
}

// moment is a date with or without a time of day.
type moment struct {
	date    time.Time // its midnight in China
	seconds int       // since then
	clock   bool      // seconds are said
}

// at is the moment; noon where no time was said.
func (m moment) at() time.Time {
	if !m.clock {
		return m.date.Add(12 * time.Hour)
	}
	return m.date.Add(time.Duration(m.seconds) * time.Second)
}

// dates reads the cells of a date and a time.
type dates struct {
	dates, times []layout
	serials      bool      // numbers of a workbook are dates too
	epoch        time.Time // their day 0
}

func secondOfDay(t time.Time) int {
	h, m, s := t.Clock()
	return h*3600 + m*60 + s
}

func midnight(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, clock.Shanghai)
}

// date reads a date, with the time where the layout has it.
func (d *dates) date(text string) (moment, *wrong) {
	for _, l := range d.dates {
		if t, err := time.ParseInLocation(l.text, text, clock.Shanghai); err == nil {
			t = t.In(clock.Shanghai)
			return moment{midnight(t), secondOfDay(t), l.clock}, nil
		}
	}
	if days, seconds, ok := serialOf(text); d.serials && ok && days > 10_000 { // 1927: less is an amount, or a number of the row
		return moment{d.epoch.AddDate(0, 0, days), seconds, seconds > 0}, nil
	}
	return moment{}, notDate
}

// time adds the time of day; an empty cell says none.
func (d *dates) time(m moment, text string) (moment, *wrong) {
	if text == "" {
		return m, nil
	}
	for _, l := range d.times {
		if t, err := time.ParseInLocation(l.text, text, clock.Shanghai); err == nil {
			return moment{m.date, secondOfDay(t), true}, nil
		}
	}
	if days, seconds, ok := serialOf(text); d.serials && ok && days == 0 {
		return moment{m.date, seconds, true}, nil
	}
	return moment{}, notTime
}

var (
	plainNumber = regexp.MustCompile(`^[0-9A-Za-z._-]{1,64}$`)
	exponential = regexp.MustCompile(`^[0-9](\.[0-9]+E\+?|E\+)[0-9]+$`)
)

// numberOf checks a number. spoiled: a workbook kept it as a quantity that it does not know to the last digit.
func numberOf(text string, spoiled bool) (string, *wrong) {
	switch {
	case spoiled || exponential.MatchString(text):
		return "", spoiledNumber
	case !plainNumber.MatchString(text):
		return "", notNumber
	}
	return text, nil
}

// sameAccount compares two numbers of an account, of which either may hide digits behind *, as many as there are or not. Four digits at least must be seen to
// be equal.
func sameAccount(a, b string) bool {
	a, b = strings.ReplaceAll(a, " ", ""), strings.ReplaceAll(b, " ", "")
	if !strings.Contains(a+b, "*") {
		return a == b && len(a) >= 4
	}
	front, clash := alike(len(a), len(b), func(i int) (byte, byte) { return a[i], b[i] })
	back, clash2 := alike(len(a), len(b), func(i int) (byte, byte) { return a[len(a)-1-i], b[len(b)-1-i] })
	return !clash && !clash2 && front+back >= 4
}

// alike counts equal digits from one end up to the first that is hidden, and reports digits that are not equal.
func alike(a, b int, at func(int) (byte, byte)) (equal int, clash bool) {
	for i := range min(a, b) {
		x, y := at(i)
		switch {
		case x == '*' || y == '*':
			return equal, false
		case x != y:
			return equal, true
		}
		equal++
	}
	return equal, a != b // one is hidden nowhere, and longer
}
