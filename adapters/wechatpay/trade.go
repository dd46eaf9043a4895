package wechatpay

import (
	"math"
	"strings"

	"github.com/tuoka/tuoka/internal/recon"
)

// tradeColumns is where the columns of a trade bill stand (wechat-pay.md §3.3): -1 where the layout has none. Its types differ in what they have, and old
// merchants may get an older layout: columns are found by name.
type tradeColumns struct {
	at          int // 交易时间; 退款申请时间 where it is there, for the other is then that of the payment
	mchID       int // 商户号
	transaction int // 微信订单号
	outTradeNo  int // 商户订单号
	refundID    int // 微信退款单号: it makes a row a refund, 交易状态 does not
	outRefundNo int // 商户退款单号
	refundState int // 退款状态: as it was when the bill was made; never updated
	attach      int // 商户数据包
	total       int // 订单金额; 总金额 in the old layout
	refund      int // 申请退款金额; 退款金额 in the old layout
	fee         int // 手续费, five decimals; negative when given back
}

// tradeSums are the sums of a trade bill's summary, for each column that a layout has.
var tradeSums = [...]struct {
	column string
	sums   []string // what its sum is called, by layout
	places int
}{
	{"订单金额", []string{"订单总金额"}, 2},
	{"应结订单金额", []string{"应结订单总金额"}, 2},
	{"总金额", []string{"总交易额"}, 2},
	{"申请退款金额", []string{"申请退款总金额"}, 2},
	{"退款金额", []string{"退款总金额", "总退款金额"}, 2},
	{"充值券退款金额", []string{"充值券退款总金额"}, 2},
	{"企业红包退款金额", []string{"总企业红包退款金额"}, 2},
	{"手续费", []string{"手续费总金额"}, 5},
}

// trades reads one trade bill.
type trades struct {
	*sheet
	mchID   string
	shared  bool
	columns tradeColumns
	sums    [len(tradeSums)]struct {
		column int
		total  int64
	}
	numbers numbers
}

// readTrades reads a trade bill and holds it to its own summary.
func readTrades(s *sheet, mchID string, shared bool, row func(recon.Line) error) error {
	t := trades{sheet: s, mchID: mchID, shared: shared}
	if err := t.header(); err != nil {
		return err
	}
	if err := t.layout(); err != nil {
		return err
	}
	for {
		more, err := t.row()
		switch {
		case err != nil:
			return err
		case !more:
			return t.end()
		}
		l, err := t.read()
		if err != nil {
			return err
		}
		if err := row(l); err != nil {
			return err
		}
	}
}

// layout finds the columns.
func (t *trades) layout() error {
	missing := ""
	need := func(names ...string) int {
		at := t.column(names...)
		if at < 0 && missing == "" {
			missing = names[0]
		}
		return at
	}
	total, refund := "订单金额", "申请退款金额"
	if t.column(total) < 0 && t.column("总金额") >= 0 {
		total, refund = "总金额", "退款金额"
	}
	c := &t.columns
	*c = tradeColumns{at: need("退款申请时间", "交易时间"), mchID: need("商户号"), transaction: need("微信订单号"), outTradeNo: need("商户订单号"),
		refundID: -1, outRefundNo: -1, refundState: -1, attach: need("商户数据包"), total: need(total), refund: -1, fee: need("手续费")}
	if strings.Contains(strings.Join(t.names, ","), "退款") { // a bill of payments alone (SUCCESS) has none of them
		c.refundID, c.outRefundNo, c.refundState, c.refund = need("微信退款单号"), need("商户退款单号"), need("退款状态"), need(refund)
	}
	for i := range tradeSums {
		t.sums[i].column = t.column(tradeSums[i].column)
	}
	if missing != "" {
		return t.bad(missing, "missing")
	}
	return nil
}

// read turns the row that was read last into a line.
func (t *trades) read() (recon.Line, error) {
	c, cells := &t.columns, t.cells
	l := recon.Line{Source: recon.WechatTrade, Leg: recon.Cash, Kind: recon.Pay, Place: t.place}
	if string(cells[c.mchID]) != t.mchID {
		return l, t.bad("商户号", "another merchant's")
	}
	if err := t.count(); err != nil {
		return l, err
	}
	var err error
	if l.At, err = t.at("交易时间", cells[c.at]); err != nil {
		return l, err
	}
	fee, ok := decimal(cells[c.fee], 5)
	if !ok {
		return l, t.bad("手续费", "not an amount of at most five decimals")
	}
	l.Fee = recon.MilliFen(fee)
	if !numeric(cells[c.transaction]) || !numeric(cells[c.outTradeNo]) {
		return l, t.bad("微信订单号", "a number is missing")
	}
	t.numbers.add(recon.TransactionID, cells[c.transaction])
	t.numbers.add(recon.OutTradeNo, cells[c.outTradeNo])
	if err := t.amounts(&l); err != nil {
		return l, err
	}
	switch own := orderNumber(cells[c.attach]); {
	case own:
		t.numbers.add(recon.OrderNo, cells[c.attach])
	case t.shared && !paymentNumber(cells[c.outTradeNo]):
		l.Leg = recon.Foreign
	}
	t.numbers.into(&l)
	return l, nil
}

// amounts reads whether the row is a payment or a refund, of how much, and how far the refund is.
func (t *trades) amounts(l *recon.Line) (err error) {
	c, cells := &t.columns, t.cells
	if c.refundID < 0 || absent(cells[c.refundID]) {
		if c.refundID >= 0 {
			back, err := t.amount("申请退款金额", cells[c.refund])
			switch {
			case err != nil:
				return err
			case back != 0 || !absent(cells[c.outRefundNo]):
				return t.bad("微信退款单号", "a refund without its number")
			}
		}
		l.Amount, err = t.amount("订单金额", cells[c.total])
		return err
	}
	if !numeric(cells[c.refundID]) || !numeric(cells[c.outRefundNo]) {
		return t.bad("微信退款单号", "a number is missing")
	}
	t.numbers.add(recon.RefundID, cells[c.refundID])
	t.numbers.add(recon.OutRefundNo, cells[c.outRefundNo])
	l.Kind, l.Status = recon.Refund, refundStatus(cells[c.refundState])
	l.Amount, err = t.amount("申请退款金额", cells[c.refund])
	return err
}

// refundStatus is what 退款状态 means. A word that is not known is no news of the refund.
func refundStatus(b []byte) recon.Status {
	switch string(b) {
	case "SUCCESS":
		return recon.Done
	case "CLOSED": // 退款关闭
		return recon.Closed
	case "ABNORMAL", "CHANGE": // 退款异常, and as older bills say it
		return recon.Failed
	default: // PROCESSING 退款处理中
		return recon.UnderWay
	}
}

// count adds the row to the sums.
func (t *trades) count() error {
	for i := range t.sums {
		sum := &t.sums[i]
		if sum.column < 0 {
			continue
		}
		of := &tradeSums[i]
		n, ok := decimal(t.cells[sum.column], of.places)
		if !ok {
			return t.bad(of.column, "not an amount")
		}
		if err := t.sum(of.column, &sum.total, n); err != nil {
			return err
		}
	}
	return nil
}

// end holds the rows to the summary.
func (t *trades) end() error {
	sums, err := t.summary("总交易单数")
	if err != nil {
		return err
	}
	if err := t.summed(sums, t.rows, 0, "总交易单数"); err != nil {
		return err
	}
	for i := range t.sums {
		if t.sums[i].column < 0 {
			continue
		}
		if err := t.summed(sums, t.sums[i].total, tradeSums[i].places, tradeSums[i].sums...); err != nil {
			return err
		}
	}
	return nil
}

// The numbers that package order makes begin with one of clock.Source's, which has had this many digits since a day after its epoch.
const leastDigits, mostDigits = 15, 19

// made reports whether that is a number of clock.Source.
func made(b []byte) bool {
	if len(b) < leastDigits || len(b) > mostDigits || b[0] == '0' {
		return false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + uint64(c-'0')
	}
	return n <= math.MaxInt64
}

// orderNumber reports whether 商户数据包 is an order number of ours, as every prepayment of ours has it.
func orderNumber(attach []byte) bool { return made(attach) }

// paymentNumber reports whether a 商户订单号 can be ours: a number, and eight letters or digits that cannot be guessed.
func paymentNumber(b []byte) bool {
	const nonce = 8
	if len(b) <= nonce || !made(b[:len(b)-nonce]) {
		return false
	}
	for _, c := range b[len(b)-nonce:] {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// refundNumber reports whether a 商户退款单号 can be ours.
func refundNumber(b []byte) bool { return len(b) > 0 && b[0] == 'R' && made(b[1:]) }
