package wechatpay

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// ErrBillForm is a bill that is not what WeChat Pay writes: the whole file is refused, never a row of it skipped.
var ErrBillForm = fault.New(fault.Invalid, "WECHAT_BILL_FORM", "微信账单格式有误")

// MilliFen is an amount in thousandths of a fen: fees (手续费) have five decimals of a yuan.
type MilliFen int64

// TradeLine is one row of the trade bill: a payment, or a refund when RefundID is there.
type TradeLine struct {
	At            time.Time // paid, or refund accepted
	AppID, MchID  string
	TransactionID string
	OutTradeNo    string
	OpenID        sensitive.OpenID
	State         string // 交易状态
	RefundID      string
	OutRefundNo   string
	RefundState   string    // as it was when the bill was made; never updated
	Total         money.Fen // 订单金额
	Refund        money.Fen // 申请退款金额
	Fee           MilliFen  // 手续费; negative when given back
	Attach        string    // 商户数据包
}

// FlowLine is one row of the fund-flow bill.
type FlowLine struct {
	At      time.Time
	Number  string    // 微信支付业务单号
	FlowID  string    // 资金流水单号
	Name    string    // 业务名称
	Kind    string    // 业务类型
	Amount  money.Fen // 收支金额; negative for 支出
	Balance money.Fen // 账户结余 after it
	Voucher string    // 业务凭证号
}

// sheet is a bill cut into rows; columns are found by their names, for old merchants may have another layout.
type sheet struct {
	columns map[string]int
	rows    [][]string
	summary map[string]string
}

// readSheet cuts the file: a header, rows whose every value has a backtick before it, a header of the summary, the summary. The
// summary's header begins with last.
func readSheet(file []byte, last string) (sheet, error) {
	if !utf8.Valid(file) {
		return sheet{}, errors.New("not UTF-8")
	}
	text := strings.TrimRight(string(bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))), "\r\n")
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	n := len(lines)
	if n < 3 || !strings.HasPrefix(lines[n-2], last) {
		return sheet{}, errors.New("no summary")
	}
	s := sheet{columns: map[string]int{}, summary: map[string]string{}}
	names := strings.Split(lines[0], ",")
	for i, name := range names {
		name = strings.TrimSuffix(strings.TrimSuffix(name, "（元）"), "(元)")
		if _, twice := s.columns[name]; twice {
			return sheet{}, errors.New("a column twice")
		}
		s.columns[name] = i
	}
	for i, l := range lines[1 : n-2] {
		row, ok := values(l, len(names))
		if !ok {
			return sheet{}, fmt.Errorf("line %d has not as many values as the header", i+2)
		}
		s.rows = append(s.rows, row)
	}
	sums := strings.Split(lines[n-2], ",")
	row, ok := values(lines[n-1], len(sums))
	if !ok {
		return sheet{}, errors.New("the summary has not as many values as its header")
	}
	for i, name := range sums {
		s.summary[strings.TrimSuffix(strings.TrimSuffix(name, "（元）"), "(元)")] = row[i]
	}
	return s, nil
}

// values cuts a line at comma and backtick, which leaves commas inside a value alone.
func values(l string, count int) ([]string, bool) {
	rest, ok := strings.CutPrefix(l, "`")
	if !ok {
		return nil, false
	}
	row := strings.Split(rest, ",`")
	return row, len(row) == count
}

// reader reads cells and keeps the first error.
type reader struct {
	sheet sheet
	row   int
	err   error
}

func (r *reader) fail(name string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("row %d, column %s: %w", r.row+1, name, err)
	}
}

func (r *reader) text(name string) string {
	i, ok := r.sheet.columns[name]
	if !ok {
		r.fail(name, errors.New("missing"))
		return ""
	}
	return r.sheet.rows[r.row][i]
}

// number is a number that 0 stands for the absence of.
func (r *reader) number(name string) string {
	if s := r.text(name); s != "0" {
		return s
	}
	return ""
}

func (r *reader) fen(name string) money.Fen {
	f, err := money.ParseYuan(r.text(name))
	if err != nil {
		r.fail(name, err)
	}
	return f
}

func (r *reader) at(name string) time.Time {
	t, err := time.ParseInLocation(time.DateTime, r.text(name), clock.Shanghai)
	if err != nil {
		r.fail(name, errors.New("not a time"))
	}
	return t.UTC()
}

func (r *reader) milliFen(name string) MilliFen {
	m, err := parseMilliFen(r.text(name))
	if err != nil {
		r.fail(name, err)
	}
	return m
}

// parseMilliFen reads yuan with up to five decimals exactly.
func parseMilliFen(s string) (MilliFen, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, frac, _ := strings.Cut(digits, ".")
	if whole == "" || len(frac) > 5 || strings.Trim(whole+frac, "0123456789") != "" {
		return 0, errors.New("not an amount with at most five decimals")
	}
	n, err := strconv.ParseInt(whole+frac+"00000"[len(frac):], 10, 64)
	if err != nil || n > int64(money.Max)*1000 {
		return 0, money.ErrRange
	}
	if negative {
		n = -n
	}
	return MilliFen(n), nil
}

// ParseTradeBill reads a trade bill of type ALL and checks it against its own summary: rows, order amounts, refunds and fees.
func ParseTradeBill(file []byte) ([]TradeLine, error) {
	s, err := readSheet(file, "总交易单数")
	if err != nil {
		return nil, ErrBillForm.Because(err)
	}
	r := reader{sheet: s}
	lines := make([]TradeLine, 0, len(s.rows))
	var total, refund money.Fen
	var fees MilliFen
	for r.row = range s.rows {
		l := TradeLine{At: r.at("交易时间"), AppID: r.text("公众账号ID"), MchID: r.text("商户号"), TransactionID: r.number("微信订单号"),
			OutTradeNo: r.number("商户订单号"), OpenID: sensitive.NewOpenID(r.text("用户标识")), State: r.text("交易状态"),
			RefundID: r.number("微信退款单号"), OutRefundNo: r.number("商户退款单号"), RefundState: r.text("退款状态"),
			Total: r.fen("订单金额"), Refund: r.fen("申请退款金额"), Fee: r.milliFen("手续费"), Attach: r.text("商户数据包")}
		if r.err == nil && (l.TransactionID == "" || l.OutTradeNo == "" || (l.RefundID == "") != (l.OutRefundNo == "")) {
			r.fail("微信订单号", errors.New("a number is missing"))
		}
		if total, err = money.Add(total, l.Total); err == nil {
			refund, err = money.Add(refund, l.Refund)
		}
		if err != nil {
			r.fail("订单金额", err)
		}
		fees += l.Fee
		lines = append(lines, l)
	}
	if r.err == nil {
		r.err = s.checkTrade(total, refund, fees)
	}
	if r.err != nil {
		return nil, ErrBillForm.Because(r.err)
	}
	return lines, nil
}

func (s sheet) checkTrade(total, refund money.Fen, fees MilliFen) error {
	sumTotal, err1 := money.ParseYuan(s.summary["订单总金额"])
	sumRefund, err2 := money.ParseYuan(s.summary["申请退款总金额"])
	sumFees, err3 := parseMilliFen(s.summary["手续费总金额"])
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	if s.count("总交易单数") != len(s.rows) || sumTotal != total || sumRefund != refund || sumFees != fees {
		return errors.New("the rows do not sum to the summary")
	}
	return nil
}

// count is a number of rows in the summary, "20" or "20.0"; -1 when it is neither.
func (s sheet) count(name string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(s.summary[name], ".0"))
	if err != nil {
		return -1
	}
	return n
}

// ParseFundFlowBill reads a fund-flow bill and checks it against its own summary: rows, income and spending.
func ParseFundFlowBill(file []byte) ([]FlowLine, error) {
	s, err := readSheet(file, "资金流水总笔数")
	if err != nil {
		return nil, ErrBillForm.Because(err)
	}
	r := reader{sheet: s}
	lines := make([]FlowLine, 0, len(s.rows))
	var in, out money.Fen
	for r.row = range s.rows {
		l := FlowLine{At: r.at("记账时间"), Number: r.number("微信支付业务单号"), FlowID: r.text("资金流水单号"), Name: r.text("业务名称"),
			Kind: r.text("业务类型"), Amount: r.fen("收支金额"), Balance: r.fen("账户结余"), Voucher: r.text("业务凭证号")}
		switch r.text("收支类型") {
		case "收入":
			in, err = money.Add(in, l.Amount)
		case "支出":
			out, err = money.Add(out, l.Amount)
			l.Amount = -l.Amount
		default:
			err = errors.New("neither 收入 nor 支出")
		}
		if err != nil {
			r.fail("收支类型", err)
		}
		lines = append(lines, l)
	}
	if r.err == nil {
		r.err = s.checkFlow(in, out)
	}
	if r.err != nil {
		return nil, ErrBillForm.Because(r.err)
	}
	return lines, nil
}

func (s sheet) checkFlow(in, out money.Fen) error {
	sumIn, err1 := money.ParseYuan(s.summary["收入金额"])
	sumOut, err2 := money.ParseYuan(s.summary["支出金额"])
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	if s.count("资金流水总笔数") != len(s.rows) || sumIn != in || sumOut != out {
		return errors.New("the rows do not sum to the summary")
	}
	return nil
}
