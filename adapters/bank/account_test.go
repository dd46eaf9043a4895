package bank_test

import (
	"strings"
	"testing"
)

// worded is a mapping whose amounts have their direction in words, and whose first and last lines tell balances.
const worded = `
name: 某行
kind: csv
encoding: utf-8
skip: 1
negative: true
columns: {date: 日期, amount: 金额, direction: 借贷, number: 流水号, account: 账号, party: 户名, remark: 摘要, currency: 币种}
dates: ["2006-01-02", "2006/1/2 15:04:05"]
directions: {in: [贷, 收], out: [借]}
currencies: [CNY]
head: [{match: '^期初(?P<opening>[^|]*)'}]
foot: [{match: '^期末(?P<balance>[^|]*)\|收(?P<in>[^|]*)\|支(?P<out>[^|]*)\|共(?P<count>[^|]*)'}]
only: {party: '^财付通$', remark: '^提现'}
`

const wordedFile = `期初100.00
日期,金额,借贷,流水号,账号,户名,摘要,币种
2026-11-23,10.00,贷,N1,6200 **** 1234,财付通,提现,CNY
2026-11-23,-10.00,收,N2,6200**1234,财付通,提现冲正,CNY
2026/11/23 07:08:09,3.00,借,N3,****1234,财付通,其他,CNY
2026-11-23,不读,借,,,,,USD
2026-11-23,-1.00,借,N4,6200000000001234,某人,提现,CNY
期末98.00,收0.00,支-2.00,共4
`

func TestWorded(t *testing.T) {
	t.Parallel()
	s := statements(t, worded, "6200******1234")
	d := day(t, "2026-11-23")
	_, err := read(s, d, []byte(strings.Replace(wordedFile, ",****1234", ",*****234", 1)))
	saying(t, err, "第 5 行「账号」：不是本机构的账号", "") // three digits say too little
	lines, err := read(s, d, []byte(wordedFile))
	const want = "2026-11-23 12:00:00 bank leg=\"account\" transfer           10.00 bank_no=N1 flow_no= at 72+60\n" +
		"2026-11-23 12:00:00 bank leg=\"account\" transfer_in        10.00 bank_no=N2 flow_no= at 132+63\n" +
		"2026-11-23 07:08:09 bank leg=\"\" other               3.00 bank_no=N3 flow_no= at 195+62\n" +
		"2026-11-23 12:00:00 bank leg=\"\" other               1.00 bank_no=N4 flow_no= at 287+59\n"
	if got := written(lines); err != nil || got != want {
		t.Errorf("%swant:\n%s%v", got, want, err)
	}
}

func TestWordedRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, old, now, mapping, want string }{
		{"a direction that is none", ",借,N3", ",从,N3", "", "第 5 行「借贷」：不是映射所写的借贷标志"},
		{"nothing moved", ",3.00,借", ",0.00,借", "", "第 5 行「金额」：金额为零"},
		{"a correction where there are none", "", "", "negative: true", "第 4 行「金额」：金额为负"},
		{"no currency", "其他,CNY", "其他,", "", "第 5 行「币种」：为空"},
		{"another opening balance", "期初100", "期初101", "", "期初余额、收入、支出与期末余额不符"},
		{"another count", "共4", "共5", "", "第 8 行「笔数」：与明细不符"},
		{"a count that is none", "共4", "共四", "", "第 8 行「笔数」：与明细不符"},
		{"another sum of what went out", "支-2.00", "支2.01", "", "第 8 行「支出合计」：与明细不符"},
		{"an opening balance that is none", "期初100", "期初一百", "", "第 1 行「期初余额」：不是金额"},
	} {
		_, err := read(statements(t, strings.Replace(worded, tt.mapping, "", 1), "6200******1234"), day(t, "2026-11-23"), []byte(strings.Replace(wordedFile, tt.old, tt.now, 1)))
		t.Run(tt.name, func(t *testing.T) { saying(t, err, tt.want, "") })
	}
}
