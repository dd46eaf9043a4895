package banksim

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tuoka/tuoka/internal/money"
)

// party is who stands at the other end.
type party struct{ name, account, remark string }

var parties = map[sort]party{
	withdrawal: {"财付通支付科技有限公司", "243300133", "微信提现"},
	recharge:   {"财付通支付科技有限公司", "243300133", "微信商户充值"},
	cards:      {"示例收单机构", "9900000000000007", "窗口刷卡, POS"},
	salaries:   {"示例医院工资户", "9900000000000010", "代发工资"},
	supplier:   {"示例药品供应商", "9900000000000021", "=货款\"第一批\""},
}

// record writes a line of a csv: quotes where they must be, and two for one.
func record(w *bufio.Writer, cells ...string) {
	for i, c := range cells {
		if i > 0 {
			_ = w.WriteByte(',') // Flush tells
		}
		if strings.ContainsAny(c, ",\"\r\n") {
			c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
		_, _ = w.WriteString(c)
	}
	_, _ = w.WriteString("\r\n")
}

// grouped is 1,234.50.
func grouped(f money.Fen) string {
	text := f.String()
	first := len(text) - len(strings.TrimPrefix(text, "-")) // digit
	for i := len(text) - len(".00") - 3; i > first; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// masked hides the middle of an account.
func masked(account string) string { return account[:4] + "****" + account[len(account)-4:] }

// reference is how a remark names withdrawals: each after the word for it.
func reference(word string, numbers []string) string {
	named := make([]string, len(numbers))
	for i, n := range numbers {
		named[i] = word + n
	}
	return strings.Join(named, "、")
}

// signed is the layout of 示例甲银行.
func (st *statement) signed(to io.Writer) error {
	w := bufio.NewWriter(to)
	_, _ = w.WriteString("\ufeff")
	record(w, "交易时间", "交易流水号", "本方账号", "交易金额", "币种", "对方户名", "对方账号", "摘要")
	for _, e := range st.entries {
		p := parties[e.sort]
		if !e.hidden {
			record(w, e.at.Format(time.DateTime), e.bankNo, masked(st.account), grouped(e.amount), "CNY", p.name, p.account,
				strings.TrimSpace(p.remark+" "+reference("提现单号:", e.numbers)))
		}
	}
	return w.Flush()
}

// twoColumns is the layout of 示例乙银行.
func (st *statement) twoColumns(to io.Writer) error {
	encoder := simplifiedchinese.GB18030.NewEncoder().Writer(to)
	w := bufio.NewWriter(encoder)
	date := st.day.Format("20060102")
	record(w, "账户明细查询结果")
	record(w, "账号：", st.account[:6]+strings.Repeat("*", len(st.account)-10)+st.account[len(st.account)-4:], "户名：", "示例医院")
	record(w, "起止日期：", date, date)
	record(w, "币种：人民币")
	record(w, "交易日期", "交易时间", "交易流水号", "借方发生额", "贷方发生额", "账户余额", "对方户名", "摘要")
	for _, e := range slices.Backward(st.entries) {
		if e.hidden {
			continue
		}
		p, in, out := parties[e.sort], "", grouped(-e.amount)
		if e.amount > 0 {
			in, out = grouped(e.amount), ""
		}
		record(w, date, e.at.Format(time.TimeOnly), e.bankNo, out, in, grouped(e.balance), p.name, p.remark+reference("业务单号", e.numbers))
	}
	record(w, "借方合计", strconv.Itoa(st.outs), "笔", grouped(st.out))
	record(w, "贷方合计", strconv.Itoa(st.ins), "笔", grouped(st.in))
	if err := w.Flush(); err != nil {
		return fmt.Errorf("banksim: %w", err)
	}
	return nil
}
