package bank_test

import (
	"strings"
	"testing"

	"github.com/tuoka/tuoka/adapters/bank"
	"github.com/tuoka/tuoka/internal/clock"
)

// TestMappingFaults: everything that is wrong is told at once.
func TestMappingFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing said", "{}", []string{"name: is missing", "kind: is csv or xlsx", "columns.date: is missing", "columns.number: is missing",
			"columns: have amount, or in and out", "dates: is missing", "only: is missing"}},
		{"a csv with all that can be wrong", `
kind: csv
encoding: latin-1
encodng: gb18030
delimiter: "::"
sheet: one
skip: 1000
negative: true
columns:
  date: ["", 交易日期]
  time: 交易时间
  amount: 金额
  in: 收入
  balance: 金额
  number: {a: b}
  account: " 账号"
  colour: red
dates: ["2006-01-02 15:04:05", yesterday, "2006年"]
times: ["03:04"]
currencies: [CNY]
head: [{match: "合计"}]
foot: [{match: "^(?P<sum>.*)"}, {match: "^("}]
only: {party: "[", remark: 微信}
number: '单号([0-9]+)(x)?'
`, []string{"encodng not found", "encoding: is utf-8 or gb18030", `delimiter: is one of`, "sheet: is for xlsx", "skip: is from 0 to 100", `columns.date: "" is empty`,
			`"金额" is the column of amount already`, "colour not found", "cannot unmarshal !!map", `columns.account: " 账号"`, "columns: have amount, or in and out",
			"negative: is for columns", "dates[0]", "dates[1]", "dates[2]", "times[0]", "currencies: go with columns.currency", "head[0].match: begins with ^",
			"foot[0].match: a group is one of", "foot[1].match: error parsing", "only.party: error parsing", "only.party: goes with columns.party",
			"only.remark: goes with columns.remark", "number: has one group, not 2", "number: goes with columns.remark"}},
		{"an xlsx with a csv's keys, and directions that mean both", `
name: 某行
kind: xlsx
encoding: utf-8
columns: {date: 日期, amount: 金额, direction: 借贷, number: 流水号, party: 户名}
dates: ["02/01/2006", "01/02/2006"]
directions: {in: [贷], out: [借, 贷]}
head: [{match: "^x"}]
only: {party: 财付通}
`, []string{"encoding, delimiter: are for csv", `"02/01/2006" and "01/02/2006" read the same text differently`, `directions: "贷" stands for both`,
			"head: there are no lines before the header"}},
		{"directions without their column", `
name: 某行
kind: csv
encoding: utf-8
columns: {date: 日期, in: 收, out: 支, direction: 借贷, number: 流水号, party: 户名, time: 时间}
dates: ["2006-01-02"]
only: {party: 财付通}
`, []string{"columns.direction: goes with amount", "directions: in and out go with columns.direction", "times: go with columns.time"}},
		{"two documents", exampleMapping(t, "workbook") + "\n---\nname: 另一个\n", []string{"a second document"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := bank.ParseMapping([]byte(tt.text))
			if err == nil {
				t.Fatal("nothing is wrong")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not reported in:\n%v", want, err)
				}
			}
		})
	}
	if _, err := bank.ParseMapping([]byte("name: [")); err == nil {
		t.Error("what is no YAML was read")
	}
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	m := parse(t, exampleMapping(t, "csv-signed"))
	good := bank.Config{Mapping: m, Folder: "drop", Name: "流水_{date}*.csv", DateLayout: "2006-01-02", Account: "6200****4321", Clock: clock.Real{}}
	if _, err := bank.New(good); err != nil {
		t.Fatal(err)
	}
	if _, err := bank.New(bank.Config{}); err == nil {
		t.Error("nothing said, and nothing wrong")
	} else {
		for _, want := range []string{"folder: ", "name: ", "mapping: ", "clock: "} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not reported in %v", want, err)
			}
		}
	}
	for name, change := range map[string]func(*bank.Config){
		"a name that leaves the folder":    func(c *bank.Config) { c.Name = "../{date}.csv" },
		"a name in a folder below":         func(c *bank.Config) { c.Name = "a/{date}.csv" },
		"a hidden name":                    func(c *bank.Config) { c.Name = ".{date}.csv" },
		"a name without a day":             func(c *bank.Config) { c.Name = "流水.csv" },
		"a name with two stars":            func(c *bank.Config) { c.Name = "*{date}*.csv" },
		"a day with a separator":           func(c *bank.Config) { c.DateLayout = "2006/01/02" },
		"a day with a time":                func(c *bank.Config) { c.DateLayout = "20060102150405" },
		"an account that hides all":        func(c *bank.Config) { c.Account = "****************" },
		"an account that is none":          func(c *bank.Config) { c.Account = "中国" },
		"no account, and the file tells":   func(c *bank.Config) { c.Account = "" },
		"an account that no file can tell": func(c *bank.Config) { c.Mapping = parse(t, plain) },
	} {
		c := good
		change(&c)
		if _, err := bank.New(c); err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
}
