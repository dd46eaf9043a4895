package wechatpay

import (
	"bytes"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

// flowColumns is where the columns of a fund-flow bill stand (wechat-pay.md §3.5).
type flowColumns struct {
	at        int // 记账时间
	business  int // 微信支付业务单号: of the payment, the refund, the withdrawal
	flowID    int // 资金流水单号
	name      int // 业务名称
	kind      int // 业务类型
	direction int // 收支类型
	amount    int // 收支金额(元)
	balance   int // 账户结余(元), after it
	voucher   int // 业务凭证号: the merchant's number of it; special characters escaped
}

// flowKinds is what 业务类型 and 收支类型 together are. What is not here moved the account otherwise.
var flowKinds = []struct {
	kind string
	in   bool
	is   recon.Kind
}{
	{"交易", true, recon.Pay},
	{"退款", false, recon.Refund},
	{"退款", true, recon.RefundBack}, // 退款关闭返还
	{"扣除交易手续费", false, recon.Fee},
	{"退款返还手续费", true, recon.FeeBack},
	{"退回交易手续费", true, recon.FeeBack}, // as some bills call it
	{"提现", false, recon.Transfer},
	{"充值", true, recon.TransferIn},
}

var refundWord = []byte("退款")

// flows reads one fund-flow bill.
type flows struct {
	*sheet
	shared  bool
	columns flowColumns
	balance money.Fen
	in, out int64
	ins     int64
	numbers numbers
}

// readFlows reads a fund-flow bill and holds it to its own summary and balances.
func readFlows(s *sheet, shared bool, row func(recon.Line) error) error {
	f := flows{sheet: s, shared: shared}
	if err := f.header(); err != nil {
		return err
	}
	for _, c := range []struct {
		at   *int
		name string
	}{{&f.columns.at, "记账时间"}, {&f.columns.business, "微信支付业务单号"}, {&f.columns.flowID, "资金流水单号"}, {&f.columns.name, "业务名称"},
		{&f.columns.kind, "业务类型"}, {&f.columns.direction, "收支类型"}, {&f.columns.amount, "收支金额"}, {&f.columns.balance, "账户结余"},
		{&f.columns.voucher, "业务凭证号"}} {
		if *c.at = f.column(c.name); *c.at < 0 {
			return f.bad(c.name, "missing")
		}
	}
	for {
		more, err := f.row()
		switch {
		case err != nil:
			return err
		case !more:
			return f.end()
		}
		l, err := f.read()
		if err != nil {
			return err
		}
		if err := row(l); err != nil {
			return err
		}
	}
}

// read turns the row that was read last into a line.
func (f *flows) read() (l recon.Line, err error) {
	c, cells := &f.columns, f.cells
	l = recon.Line{Source: recon.WechatFund, Leg: recon.Account, Kind: recon.Other, Place: f.place}
	if l.At, err = f.at("记账时间", cells[c.at]); err != nil {
		return l, err
	}
	if l.Amount, err = f.amount("收支金额", cells[c.amount]); err != nil {
		return l, err
	}
	in, err := f.move(l.Amount)
	if err != nil {
		return l, err
	}
	if !numeric(cells[c.flowID]) {
		return l, f.bad("资金流水单号", "missing")
	}
	for i := range flowKinds {
		if k := &flowKinds[i]; k.in == in && string(cells[c.kind]) == k.kind {
			l.Kind = k.is
		}
	}
	if l.Kind != recon.Other && !numeric(cells[c.business]) {
		return l, f.bad("微信支付业务单号", "missing")
	}
	f.number(&l)
	return l, nil
}

// move reads which way the money went, and whether what the account holds follows from what it held. The first row gives what it held in the morning.
func (f *flows) move(amount money.Fen) (in bool, err error) {
	c, cells := &f.columns, f.cells
	balance, ok := decimal(cells[c.balance], 2)
	if !ok {
		return false, f.bad("账户结余", "not an amount")
	}
	change := amount
	switch string(cells[c.direction]) {
	case "收入":
		in = true
		f.ins++
		err = f.sum("收支金额", &f.in, int64(amount))
	case "支出":
		change = -amount
		err = f.sum("收支金额", &f.out, int64(amount))
	default:
		return false, f.bad("收支类型", "neither 收入 nor 支出")
	}
	if err != nil {
		return false, err
	}
	if f.rows > 1 && money.Fen(balance) != f.balance+change {
		return false, f.bad("账户结余", "does not follow from the row before")
	}
	f.balance = money.Fen(balance)
	return in, nil
}

// number gives the line its numbers: a trade's flow those of the trade, a transfer's the one that the bank is told. With a merchant number that others use,
// too, what has none of our numbers is theirs.
func (f *flows) number(l *recon.Line) {
	c, cells := &f.columns, f.cells
	theirs, ours, can := recon.RefundID, recon.OutRefundNo, refundNumber
	switch l.Kind {
	case recon.Transfer, recon.TransferIn:
		f.numbers.add(recon.FlowNo, cells[c.business])
		f.numbers.into(l)
		return
	case recon.Other:
		f.numbers.add(recon.FlowNo, cells[c.flowID])
		f.numbers.into(l)
		return
	case recon.Pay:
		theirs, ours, can = recon.TransactionID, recon.OutTradeNo, paymentNumber
	case recon.Fee:
		if !bytes.Contains(cells[c.name], refundWord) { // 退款关闭扣回手续费 is of a refund
			theirs, ours, can = recon.TransactionID, recon.OutTradeNo, paymentNumber
		}
	}
	l.Leg = recon.Cash
	f.numbers.add(theirs, cells[c.business])
	f.numbers.add(recon.FlowNo, cells[c.flowID])
	if voucher := cells[c.voucher]; numeric(voucher) {
		f.numbers.add(ours, voucher)
	}
	if f.shared && !can(cells[c.voucher]) {
		l.Leg = recon.Foreign
	}
	f.numbers.into(l)
}

// end holds the rows to the summary.
func (f *flows) end() error {
	sums, err := f.summary("资金流水总笔数")
	if err != nil {
		return err
	}
	for _, s := range []struct {
		name   string
		want   int64
		places int
	}{{"资金流水总笔数", f.rows, 0}, {"收入笔数", f.ins, 0}, {"收入金额", f.in, 2}, {"支出笔数", f.rows - f.ins, 0}, {"支出金额", f.out, 2}} {
		if err := f.summed(sums, s.want, s.places, s.name); err != nil {
			return err
		}
	}
	return nil
}
