package bank

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Mapping says in YAML how a bank writes its statement (银行流水, 账户明细): docs/bank.zh-CN.md explains it by an example.
type Mapping struct {
	Name        string     `yaml:"name"`
	Kind        string     `yaml:"kind"`         // csv or xlsx
	Encoding    string     `yaml:"encoding"`     // csv: utf-8 or gb18030 (which contains GBK and GB2312)
	Delimiter   string     `yaml:"delimiter"`    // csv: one of , ; | and tab; empty: a comma
	Sheet       string     `yaml:"sheet"`        // xlsx: its name; empty: the first
	Skip        int        `yaml:"skip"`         // lines before the header
	NewestFirst bool       `yaml:"newest_first"` // the last movement stands at the top
	Negative    bool       `yaml:"negative"`     // 红字: a negative amount under in or out goes the other way
	Columns     Columns    `yaml:"columns"`
	Dates       []string   `yaml:"dates"` // layouts of the date, in Go's way; with a time of day where date and time share a column
	Times       []string   `yaml:"times"` // layouts of the time, where it has a column
	Directions  Directions `yaml:"directions"`
	Currencies  []string   `yaml:"currencies"` // what stands for yuan in the column of the currency; rows in any other are not of this account
	Head        []Note     `yaml:"head"`       // what the lines before the header say
	Foot        []Note     `yaml:"foot"`       // the lines after the last movement (合计)
	Only        Only       `yaml:"only"`       // which rows are WeChat's; all others are none of ours
	Number      string     `yaml:"number"`     // a pattern with one group: where WeChat's number (业务单号) stands in the remark

	dates, times []layout
	number       *regexp.Regexp
}

// Columns are the columns by the names that stand in the header.
type Columns struct {
	Date         Column `yaml:"date"`          // 交易日期
	Time         Column `yaml:"time"`          // 交易时间; optional
	Amount       Column `yaml:"amount"`        // 交易金额: with a sign, or with Direction
	Direction    Column `yaml:"direction"`     // 借贷标志; optional
	In           Column `yaml:"in"`            // 贷方发生额, 收入; with Out, instead of Amount
	Out          Column `yaml:"out"`           // 借方发生额, 支出
	Currency     Column `yaml:"currency"`      // 币种; optional
	Balance      Column `yaml:"balance"`       // 余额; optional: then each row must follow from the one before
	Number       Column `yaml:"number"`        // 交易流水号 of the bank
	Account      Column `yaml:"account"`       // 本方账号; optional
	Party        Column `yaml:"party"`         // 对方户名; optional
	PartyAccount Column `yaml:"party_account"` // 对方账号; optional
	Remark       Column `yaml:"remark"`        // 摘要, 附言; optional
}

// Column is the names that a column may have. In YAML a single name may stand without a list.
type Column []string

// UnmarshalYAML reads a name, or a list of them.
func (c *Column) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*c = Column{node.Value}
		return nil
	}
	return node.Decode((*[]string)(c))
}

// Directions are the words of the column that says which way the money went.
type Directions struct {
	In  []string `yaml:"in"`  // 贷, 收
	Out []string `yaml:"out"` // 借, 支
}

// Note is a line that is no movement. Its groups are held against the rows: (?P<in>…) and (?P<out>…) sums, (?P<in_count>…), (?P<out_count>…) and (?P<count>…)
// of movements, (?P<opening>…) and (?P<balance>…) balances before and after them, (?P<account>…) the account's number.
type Note struct {
	Match    string `yaml:"match"`    // the line, its cells joined by |
	Optional bool   `yaml:"optional"` // it need not be there

	pattern *regexp.Regexp
}

// Only are patterns by which WeChat's rows are known; of those given, a row must match every one.
type Only struct {
	Party        string `yaml:"party"`         // 对方户名
	PartyAccount string `yaml:"party_account"` // 对方账号
	Remark       string `yaml:"remark"`        // 摘要

	party, partyAccount, remark *regexp.Regexp
}

const (
	kindCSV  = "csv"
	kindXLSX = "xlsx"

	maxSkip = 100
)

// encodings are those of a csv; true: GB18030.
var encodings = map[string]bool{"utf-8": false, "gb18030": true}

// groups are what a note can claim.
var groups = []string{"in", "out", "in_count", "out_count", "count", "opening", "balance", "account"}

// ParseMapping reads a mapping and checks it; every fault is reported, with its place.
func ParseMapping(text []byte) (*Mapping, error) {
	m := &Mapping{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	var f faults
	if err := d.Decode(m); err != nil {
		if _, ok := errors.AsType[*yaml.TypeError](err); !ok {
			return nil, fmt.Errorf("mapping: %w", err)
		}
		f.add("mapping", "%w", err) // unknown keys and wrong kinds of value; the rest was read
	} else if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		f.add("mapping", "a second document follows")
	}
	m.check(&f)
	return m, errors.Join(f...)
}

// faults collects what is wrong.
type faults []error

func (f *faults) add(at, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: "+format, append([]any{at}, args...)...))
}

// pattern compiles a regular expression; nil for none, or for one that is not.
func (f *faults) pattern(at, text string) *regexp.Regexp {
	if text == "" {
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		f.add(at, "%w", err)
	}
	return re
}

func (m *Mapping) check(f *faults) {
	if m.Name == "" {
		f.add("name", "is missing")
	}
	m.checkKind(f)
	if m.Skip < 0 || m.Skip > maxSkip {
		f.add("skip", "is from 0 to %d", maxSkip)
	}
	m.checkColumns(f)
	m.checkAmount(f)
	m.checkLayouts(f)
	m.checkNotes(f, "head", m.Head)
	m.checkNotes(f, "foot", m.Foot)
	if m.Skip == 0 && len(m.Head) > 0 {
		f.add("head", "there are no lines before the header: skip is 0")
	}
	m.checkOnly(f)
}

func (m *Mapping) checkKind(f *faults) {
	switch m.Kind {
	case kindCSV:
		if _, ok := encodings[m.Encoding]; !ok {
			f.add("encoding", "is utf-8 or gb18030, not %q", m.Encoding)
		}
		if !slices.Contains([]string{"", ",", ";", "|", "\t"}, m.Delimiter) {
			f.add("delimiter", "is one of , ; | and tab, not %q", m.Delimiter)
		}
		if m.Sheet != "" {
			f.add("sheet", "is for xlsx")
		}
	case kindXLSX:
		if m.Encoding != "" || m.Delimiter != "" {
			f.add("encoding, delimiter", "are for csv")
		}
	default:
		f.add("kind", "is csv or xlsx, not %q", m.Kind)
	}
}

// comma is what stands between the cells of a csv.
func (m *Mapping) comma() byte {
	if m.Delimiter == "" {
		return ','
	}
	return m.Delimiter[0]
}

// named is a column with its place in the mapping.
type named struct {
	key   string
	names Column
}

func (c *Columns) all() []named {
	return []named{{"date", c.Date}, {"time", c.Time}, {"amount", c.Amount}, {"direction", c.Direction}, {"in", c.In}, {"out", c.Out}, {"currency", c.Currency},
		{"balance", c.Balance}, {"number", c.Number}, {"account", c.Account}, {"party", c.Party}, {"party_account", c.PartyAccount}, {"remark", c.Remark}}
}

func (m *Mapping) checkColumns(f *faults) {
	seen := map[string]string{}
	for _, c := range m.Columns.all() {
		at := "columns." + c.key
		if len(c.names) == 0 && (c.key == "date" || c.key == "number") {
			f.add(at, "is missing")
		}
		for _, name := range c.names {
			switch other, twice := seen[name]; {
			case strings.TrimSpace(name) != name || name == "":
				f.add(at, "%q is empty, or has blanks around it", name)
			case twice:
				f.add(at, "%q is the column of %s already", name, other)
			}
			seen[name] = c.key
		}
	}
	if (len(m.Columns.Currency) == 0) != (len(m.Currencies) == 0) {
		f.add("currencies", "go with columns.currency")
	}
}

func (m *Mapping) checkAmount(f *faults) {
	c := &m.Columns
	amount, in, out, direction := len(c.Amount) > 0, len(c.In) > 0, len(c.Out) > 0, len(c.Direction) > 0
	if in != out || amount == in {
		f.add("columns", "have amount, or in and out")
	}
	if direction && !amount {
		f.add("columns.direction", "goes with amount")
	}
	if direction != (len(m.Directions.In) > 0 && len(m.Directions.Out) > 0) {
		f.add("directions", "in and out go with columns.direction")
	}
	for _, word := range m.Directions.In {
		if slices.Contains(m.Directions.Out, word) {
			f.add("directions", "%q stands for both", word)
		}
	}
	if m.Negative && amount && !direction {
		f.add("negative", "is for columns whose amounts have no sign of their own")
	}
}

func (m *Mapping) checkLayouts(f *faults) {
	if len(m.Dates) == 0 {
		f.add("dates", "is missing")
	}
	for i, text := range m.Dates {
		at := fmt.Sprintf("dates[%d]", i)
		l, ok := layoutOf(text)
		switch {
		case !ok || !l.date:
			f.add(at, "%q is not a layout of a date such as 2006-01-02", text)
		case l.clock && len(m.Columns.Time) > 0:
			f.add(at, "%q has the time, which has a column of its own", text)
		default:
			m.dates = append(m.dates, l)
		}
	}
	for i, text := range m.Times {
		l, ok := layoutOf(text)
		if !ok || l.date || !l.clock {
			f.add(fmt.Sprintf("times[%d]", i), "%q is not a layout of a time such as 15:04:05", text)
			continue
		}
		m.times = append(m.times, l)
	}
	if (len(m.Columns.Time) == 0) != (len(m.Times) == 0) {
		f.add("times", "go with columns.time")
	}
	for _, list := range []struct {
		at      string
		layouts []layout
	}{{"dates", m.dates}, {"times", m.times}} {
		if a, b, ok := contradiction(list.layouts); ok {
			f.add(list.at, "%q and %q read the same text differently", a, b)
		}
	}
}

func (m *Mapping) checkNotes(f *faults, key string, notes []Note) {
	for i := range notes {
		n, at := &notes[i], fmt.Sprintf("%s[%d].match", key, i)
		if !strings.HasPrefix(n.Match, "^") {
			f.add(at, "begins with ^, so that no movement is taken for a note")
		}
		if n.pattern = f.pattern(at, n.Match); n.pattern == nil {
			continue
		}
		for _, group := range n.pattern.SubexpNames()[1:] {
			if group != "" && !slices.Contains(groups, group) {
				f.add(at, "a group is one of %s, not %q", strings.Join(groups, ", "), group)
			}
		}
	}
}

// tellsAccount reports whether the file says of which account it is.
func (m *Mapping) tellsAccount() bool {
	tells := func(n Note) bool { return n.pattern.SubexpIndex("account") > 0 }
	return len(m.Columns.Account) > 0 || slices.ContainsFunc(m.Head, tells) || slices.ContainsFunc(m.Foot, tells)
}

func (m *Mapping) checkOnly(f *faults) {
	o := &m.Only
	o.party, o.partyAccount, o.remark = f.pattern("only.party", o.Party), f.pattern("only.party_account", o.PartyAccount), f.pattern("only.remark", o.Remark)
	if o.Party == "" && o.PartyAccount == "" && o.Remark == "" {
		f.add("only", "is missing: party, party_account or remark")
	}
	m.number = f.pattern("number", m.Number)
	if m.number != nil && m.number.NumSubexp() != 1 {
		f.add("number", "has one group, not %d", m.number.NumSubexp())
	}
	for _, need := range []struct {
		at, pattern, key string
		column           Column
	}{{"only.party", o.Party, "party", m.Columns.Party}, {"only.party_account", o.PartyAccount, "party_account", m.Columns.PartyAccount},
		{"only.remark", o.Remark, "remark", m.Columns.Remark}, {"number", m.Number, "remark", m.Columns.Remark}} {
		if need.pattern != "" && len(need.column) == 0 {
			f.add(need.at, "goes with columns.%s", need.key)
		}
	}
}
