package wechatpaysim

import (
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// flowRows is what moved on the merchant's basic account on the day, with the balance after each move.
func (s *Sim) flowRows(day, made time.Time) []row {
	rows := s.allFlows(made)
	sortRows(rows)
	balance := s.cfg.Opening
	var today []row
	for _, r := range rows {
		balance += r.amount
		r.values["账户结余(元)"] = balance.String()
		if on(day, r.at) {
			today = append(today, r)
		}
	}
	return today
}

// allFlows derives every move up to that moment from the books.
func (s *Sim) allFlows(until time.Time) []row {
	var rows []row
	add := func(at time.Time, digit, number, name, kind string, amount money.Fen, voucher string) {
		if amount != 0 && !at.After(until) {
			rows = append(rows, flow(at, digit, number, name, kind, amount, voucher))
		}
	}
	for _, o := range s.books.orders {
		if o.paid() {
			add(o.PaidAt, "1", o.TransactionID, "交易", "交易", o.Request.Amount.Total, o.number())
			add(o.PaidAt, "2", o.TransactionID, "扣除交易手续费", "扣除交易手续费", -o.Fee, o.number())
		}
	}
	for _, r := range s.books.refunds {
		number := r.Request.OutRefundNo
		add(r.CreatedAt, "3", r.ID, "退款", "退款", -r.Request.Amount.Refund, number)
		add(r.CreatedAt, "4", r.ID, "退款返还手续费", "退款返还手续费", r.FeeBack, number)
		for _, one := range r.Steps {
			if one.Status == refundClosed {
				add(one.At, "5", r.ID, "退款关闭返还", "退款", r.Request.Amount.Refund, number)
				add(one.At, "6", r.ID, "退款关闭扣回手续费", "扣除交易手续费", -r.FeeBack, number)
			}
		}
	}
	for _, d := range s.books.deposits {
		add(d.At, "7", d.ID, "充值", "充值", d.Amount, d.ID)
	}
	for _, w := range s.books.withdrawals {
		if w.Amount > 0 && !w.At.After(until) {
			one := flow(w.At, "8", w.ID, "提现", "提现", -w.Amount, "")
			one.values["备注"] = "自动提现，手续费0.00元"
			rows = append(rows, one)
		}
	}
	return rows
}

func flow(at time.Time, digit, number, name, kind string, amount money.Fen, voucher string) row {
	direction, size := "收入", amount
	if amount < 0 {
		direction, size = "支出", -amount
	}
	return row{at: at, order: number + digit, amount: amount, values: map[string]string{"记账时间": billTime(at), "微信支付业务单号": number,
		"资金流水单号": digit + number, "业务名称": name, "业务类型": kind, "收支类型": direction, "收支金额(元)": size.String(),
		"资金变更提交申请人": "system", "业务凭证号": voucher}}
}

func flowFile(rows []row, form BillForm) []byte {
	names := strings.Split(flowColumns, ",")
	var b strings.Builder
	if form.FullWidth {
		b.WriteString(strings.NewReplacer("(", "（", ")", "）").Replace(flowColumns) + newLine)
	} else {
		b.WriteString(flowColumns + newLine)
	}
	var in, out money.Fen
	var ins, outs int
	for _, r := range rows {
		values := make([]string, len(names))
		for i, name := range names {
			values[i] = r.values[name]
		}
		b.WriteString(line(values...))
		if r.amount > 0 {
			in, ins = in+r.amount, ins+1
		} else {
			out, outs = out-r.amount, outs+1
		}
	}
	b.WriteString("资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额" + newLine)
	b.WriteString(line(decimal(len(rows)), decimal(ins), in.String(), decimal(outs), out.String()))
	return form.write(b.String())
}

// decimal is how this bill's summary writes counts: "20.0".
func decimal(n int) string { return strconv.Itoa(n) + ".0" }
