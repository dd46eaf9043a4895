package core

// The wire of reconciliation: 3201, 3202 (section 6.3.2.2 of the interface specification), 9101 and 9102, as in wire.go. Sums are yuan as text, "0"
// for nothing, because some platforms refuse an empty sum and some an unquoted one.

import (
	"encoding/json"

	"github.com/tuoka/tuoka/internal/money"
)

// totalInput is node data of 3201 (医药机构费用结算对总账).
type totalInput struct {
	Insurance  string  `json:"insutype" c:"6,must"`       // 险种类型
	ClrType    string  `json:"clr_type" c:"6,must"`       // 清算类别
	Agency     string  `json:"setl_optins" c:"6,must"`    // 结算经办机构: clr_optins of 2207, exactly
	Begin      string  `json:"stmt_begndate" c:"10,must"` // 对账开始日期, D
	End        string  `json:"stmt_enddate" c:"10,must"`  // 对账结束日期, D
	Total      string  `json:"medfee_sumamt" c:"19"`      // 医疗费总额
	Fund       string  `json:"fund_pay_sumamt" c:"19"`    // 基金支付总额
	Account    string  `json:"acct_pay" c:"19"`           // 个人账户支付金额
	Count      string  `json:"fixmedins_setl_cnt" c:"10"` // 定点医药机构结算笔数
	Refunds    *string `json:"refd_setl_flag,omitempty"`  // 退费结算标志: 1 refunds are counted, 0 they are not
	RefundsCap *string `json:"REFD_SETL_FLAG,omitempty"`  // the same as one product spells it
}

// totalOutput is the output of 3201.
type totalOutput struct {
	Info *struct {
		Agency  loose `json:"setl_optins"`    // 结算经办机构
		Verdict loose `json:"stmt_rslt"`      // 对账结果, §6.7
		Words   loose `json:"stmt_rslt_dscr"` // 对账结果说明
	} `json:"stmtinfo"`
}

// detailInput is node data of 3202 (医药机构费用结算对明细账): cash here, account in 3201.
type detailInput struct {
	Agency     string  `json:"setl_optins" c:"6,must"`    // 结算经办机构
	FileNo     string  `json:"file_qury_no" c:"200,must"` // 文件查询号, from 9101; C30, and longer in the field
	Begin      string  `json:"stmt_begndate" c:"10,must"` // 对账开始日期, D
	End        string  `json:"stmt_enddate" c:"10,must"`  // 对账结束日期, D
	Total      string  `json:"medfee_sumamt" c:"19"`      // 医疗费总额
	Fund       string  `json:"fund_pay_sumamt" c:"19"`    // 基金支付总额
	Cash       string  `json:"cash_payamt" c:"19"`        // 现金支付金额
	Count      string  `json:"fixmedins_setl_cnt" c:"10"` // 定点医药机构结算笔数
	ClrType    string  `json:"clr_type" c:"6,must"`       // 清算类别
	Refunds    *string `json:"refd_setl_flag,omitempty"`  // as in 3201
	RefundsCap *string `json:"REFD_SETL_FLAG,omitempty"`
}

// detailOutput is the output of 3202: where the result lies.
type detailOutput struct {
	File fileRef `json:"fileinfo"`
}

// fileRef names a file of the platform; the output of 9101 is one without a node.
type fileRef struct {
	No   loose `json:"file_qury_no"` // 文件查询号
	Name loose `json:"filename"`     // 文件名称
	End  loose `json:"dld_endtime"`  // 下载截止时间, DT
}

// uploadInput is node fsUploadIn of 9101 (文件上传).
type uploadInput struct {
	In          fileBytes `json:"in"`                         // 文件数据
	Name        string    `json:"filename" c:"200,must"`      // 文件名
	Institution string    `json:"fixmedins_code" c:"30,must"` // 定点医药机构编号
}

// downloadInput is node fsDownloadIn of 9102 (文件下载).
type downloadInput struct {
	FileNo      string `json:"file_qury_no" c:"200,must"`  // 文件查询号
	Name        string `json:"filename" c:"200,must"`      // 文件名
	Institution string `json:"fixmedins_code" c:"30,must"` // plc, or 定点医药机构编号
}

// institutionOfFiles is the fixmedins_code under which platforms keep their own files.
const institutionOfFiles = "plc"

// fileBytes are a file in JSON.
type fileBytes struct {
	content []byte
	array   bool // Java's signed bytes; else base64
}

// MarshalJSON writes base64, or an array of numbers from -128 to 127.
func (f fileBytes) MarshalJSON() ([]byte, error) {
	if !f.array {
		return json.Marshal(f.content)
	}
	signed := make([]int8, len(f.content))
	for i, b := range f.content {
		signed[i] = int8(b) //nolint:gosec // Java's bytes have a sign
	}
	return json.Marshal(signed)
}

// inYuan is a sum as 3201 and 3202 take it.
func inYuan(f money.Fen) string {
	if f == 0 {
		return "0"
	}
	return f.String()
}

// verdict is stmt_rslt (对账结果), freed of its two forms.
type verdict string

// The verdicts, §6.7, and what we say of rows that the centre does not list.
const (
	balanced   verdict = "balanced"    // 对平
	centreMore verdict = "centre_more" // 中心多
	oursMore   verdict = "ours_more"   // 医药机构多
	differs    verdict = "differs"     // 数据不一致
	uncounted  verdict = "uncounted"   // undone, and by agreement counted by nobody
	asked      verdict = "asked"       // undone, and 5203 says so
)

// verdicts are the values of stmt_rslt: the older form, and the newer one of six digits.
var verdicts = map[string]verdict{
	"0": balanced, "1": centreMore, "2": oursMore, "3": differs,
	"000000": balanced, "000101": centreMore, "000102": oursMore, "000103": differs,
}
