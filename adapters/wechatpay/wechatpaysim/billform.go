package wechatpaysim

import (
	"strconv"
	"strings"

	"github.com/tuoka/tuoka/internal/money"
)

// BillForm is how bills are written. Its zero value is what WeChat's pages say; the rest is met all the same.
type BillForm struct {
	Legacy    bool `json:"legacy"`     // ALL trade bills in the layout of old merchants
	FullWidth bool `json:"full_width"` // brackets in the fund flow's header
	BOM       bool `json:"bom"`        // a byte-order mark before the file
	LF        bool `json:"lf"`         // lines end by a line feed alone
}

// SetBillForm has bills written so from now on.
func (s *Sim) SetBillForm(form BillForm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.form = form
}

// write brings a file's text into its form.
func (f BillForm) write(text string) []byte {
	if f.LF {
		text = strings.ReplaceAll(text, newLine, "\n")
	}
	if f.BOM {
		text = "\ufeff" + text
	}
	return []byte(text)
}

const allColumns = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类," +
	"应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率," +
	"订单金额,申请退款金额,费率备注"

const refundColumns = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类," +
	"应结订单金额,代金券金额,退款申请时间,退款成功时间,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称," +
	"商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"

const successColumns = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类," +
	"应结订单金额,代金券金额,商品名称,商户数据包,手续费,费率,订单金额,费率备注"

// legacyColumns are those of the old layout, and what the present one calls them where that differs.
const legacyColumns = "交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类," +
	"总金额,企业红包金额,微信退款单号,商户退款单号,退款金额,企业红包退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率"

var legacyNames = map[string]string{"子商户号": "特约商户号", "总金额": "订单金额", "企业红包金额": "代金券金额", "企业红包退款金额": "充值券退款金额"}

const flowColumns = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号"

// line puts a backtick before every value.
func line(values ...string) string { return "`" + strings.Join(values, ",`") + newLine }

const newLine = "\r\n"

// plainText is free text as it may stand in a line. How WeChat Pay itself escapes such characters is not known.
func plainText(s string) string {
	return strings.NewReplacer("\r", " ", "\n", " ", "`", " ").Replace(s)
}

// sum adds a column of yuan over the rows.
func sum(rows []row, column string) money.Fen {
	var total money.Fen
	for _, r := range rows {
		f, _ := money.ParseYuan(r.values[column]) // written by payRow and refundRow
		total += f
	}
	return total
}

func tradeFile(kind string, rows []row, form BillForm) []byte {
	columns := map[string]string{"ALL": allColumns, "SUCCESS": successColumns, "REFUND": refundColumns}[kind]
	if form.Legacy && kind == "ALL" {
		kind, columns = "legacy", legacyColumns
	}
	names := strings.Split(columns, ",")
	var b strings.Builder
	b.WriteString(columns + newLine)
	for _, r := range rows {
		values := make([]string, len(names))
		for i, name := range names {
			if now, renamed := legacyNames[name]; renamed {
				name = now
			}
			values[i] = r.values[name]
		}
		b.WriteString(line(values...))
	}
	count, settled, fees, ordered := strconv.Itoa(len(rows)), sum(rows, "应结订单金额").String(), fee5(sum(rows, "手续费")),
		sum(rows, "订单金额").String()
	back := sum(rows, "退款金额").String()
	switch kind {
	case "SUCCESS":
		b.WriteString("总交易单数,应结订单总金额,手续费总金额,订单总金额" + newLine + line(count, settled, fees, ordered))
	case "legacy":
		b.WriteString("总交易单数,总交易额,总退款金额,总企业红包退款金额,手续费总金额" + newLine + line(count, ordered, back, "0.00", fees))
	default:
		b.WriteString("总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额" + newLine)
		b.WriteString(line(count, settled, back, "0.00", fees, ordered, sum(rows, "申请退款金额").String()))
	}
	return form.write(b.String())
}
