package core

// NHSA medical-institution interface specification (定点医药机构接口规范) as publicly reconstructed: field tables of V1.24-era
// implementations, sections 6.1.1.1 (1101), 6.2.3.1–6.2.3.4 (2201–2204), 2205–2208, 2601, 5203; infver V1.0. The local platform's document
// decides; its version belongs into Profile.Document. C30 is characters, N16,2 yuan with two decimals, D and DT China time.
//
// The tag `c` is the length in characters; `c:"30,must"` may not be empty. check in claim.go enforces it before anything is sent.

import (
	"encoding/json"

	"github.com/tuoka/tuoka/internal/money"
)

// request is the head of every call (§1.1) around one input.
type request struct {
	Infno         string `json:"infno"`           // 交易编号
	MsgID         string `json:"msgid"`           // 发送方报文ID
	TreatmentArea string `json:"mdtrtarea_admvs"` // 就医地医保区划
	CoverageArea  string `json:"insuplc_admdvs"`  // 参保地医保区划, as soon as a person number is in the input
	Receiver      string `json:"recer_sys_code"`  // 接收方系统代码
	DeviceNo      string `json:"dev_no"`          // 设备编号
	DeviceSafe    string `json:"dev_safe_info"`   // 设备安全信息
	CAInfo        string `json:"cainfo"`          // 数字签名信息
	SignType      string `json:"signtype"`        // 签名类型
	Version       string `json:"infver"`          // 接口版本号
	OperatorType  string `json:"opter_type"`      // 经办人类别: 3 移动终端
	Operator      string `json:"opter"`           // 经办人
	OperatorName  string `json:"opter_name"`      // 经办人姓名
	Time          string `json:"inf_time"`        // 交易时间, DT
	Institution   string `json:"fixmedins_code"`  // 定点医药机构编号
	Name          string `json:"fixmedins_name"`  // 定点医药机构名称
	SignNo        string `json:"sign_no"`         // 交易签到流水号
	Input         any    `json:"input"`           // 交易输入
}

// reply is the head of every answer (§1.2). Everything but infcode may be missing.
type reply struct {
	Infcode     json.RawMessage `json:"infcode"`      // 交易状态码: 0 success; number or string
	RefMsgID    loose           `json:"inf_refmsgid"` // 接收方报文ID
	RespondTime loose           `json:"respond_time"` // yyyyMMddHHmmssSSS
	ErrMsg      loose           `json:"err_msg"`      // 错误信息; not always empty on success
	Output      json.RawMessage `json:"output"`       // object, its text, null or absent
}

// loose is a text that platforms also send as a number or as null.
type loose string

// UnmarshalJSON takes a string as it is, null as nothing, and anything else by its JSON text.
func (l *loose) UnmarshalJSON(b []byte) error {
	*l = ""
	switch {
	case len(b) == 0 || string(b) == "null":
		return nil
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(l))
	}
	*l = loose(b)
	return nil
}

// personInput is node data of 1101 (人员信息获取).
type personInput struct {
	CertType    string `json:"mdtrt_cert_type" c:"3,must"` // 就诊凭证类型: 01 电子凭证, 02 身份证
	CertNo      string `json:"mdtrt_cert_no" c:"50,must"`  // 就诊凭证编号
	CardSN      string `json:"card_sn" c:"32"`             // 卡识别码, only for 03
	Begin       string `json:"begntime" c:"19"`            // 开始时间, only for historical cover
	PsnCertType string `json:"psn_cert_type" c:"6"`        // 人员证件类型: 01 居民身份证
	IDNumber    string `json:"certno" c:"50"`              // 证件号码
	Name        string `json:"psn_name" c:"50"`            // 人员姓名
}

// personOutput is the output of 1101.
type personOutput struct {
	Base struct {
		PersonNo loose `json:"psn_no"`   // 人员编号
		IDNumber loose `json:"certno"`   // 证件号码
		Name     loose `json:"psn_name"` // 人员姓名

		Extension      json.RawMessage `json:"expContent"` // an object, or JSON in a text
		ExtensionSnake json.RawMessage `json:"exp_content"`
	} `json:"baseinfo"`
	Insurances []insuranceRow `json:"insuinfo"`
}

// insuranceRow is one row of insuinfo (参保信息). One person may have several at once.
type insuranceRow struct {
	Type    loose `json:"insutype"`       // 险种类型
	State   loose `json:"psn_insu_stas"`  // 参保状态: 1 正常
	Paused  loose `json:"paus_insu_date"` // 暂停参保日期, D
	Area    loose `json:"insuplc_admdvs"` // 参保地医保区划
	PsnType loose `json:"psn_type"`       // 人员类别
}

// visitInput is node data of 2201 (门诊挂号).
type visitInput struct {
	PersonNo   string `json:"psn_no" c:"30,must"`         // 人员编号
	Insurance  string `json:"insutype" c:"6,must"`        // 险种类型
	Begin      string `json:"begntime" c:"19,must"`       // 挂号时间, DT
	CertType   string `json:"mdtrt_cert_type" c:"3,must"` // 就诊凭证类型
	CertNo     string `json:"mdtrt_cert_no" c:"50,must"`  // 就诊凭证编号
	VisitNo    string `json:"ipt_otp_no" c:"30,must"`     // 住院/门诊号, unique inside the hospital
	DoctorCode string `json:"atddr_no" c:"30,must"`       // 医师编码, national
	DoctorName string `json:"dr_name" c:"50,must"`        // 医师姓名
	DeptCode   string `json:"dept_code" c:"30,must"`      // 科室编码
	DeptName   string `json:"dept_name" c:"100,must"`     // 科室名称
	Caty       string `json:"caty" c:"6,must"`            // 科别
}

// visitOutput is the output of 2201.
type visitOutput struct {
	Data struct {
		MdtrtID  loose `json:"mdtrt_id"`   // 就诊ID
		PersonNo loose `json:"psn_no"`     // 人员编号
		VisitNo  loose `json:"ipt_otp_no"` // 住院/门诊号
	} `json:"data"`
}

// visitRef is node data of 2202 (门诊挂号撤销).
type visitRef struct {
	PersonNo string `json:"psn_no" c:"30,must"`
	MdtrtID  string `json:"mdtrt_id" c:"30,must"`
	VisitNo  string `json:"ipt_otp_no" c:"30,must"`
}

// visitInfo is node mdtrtinfo of 2203A (门诊就诊信息上传).
type visitInfo struct {
	MdtrtID     string `json:"mdtrt_id" c:"30,must"`    // 就诊ID
	PersonNo    string `json:"psn_no" c:"30,must"`      // 人员编号
	MedType     string `json:"med_type" c:"6,must"`     // 医疗类别
	Begin       string `json:"begntime" c:"19,must"`    // 开始时间, DT
	Condition   string `json:"main_cond_dscr" c:"1000"` // 主要病情描述
	DiseaseCode string `json:"dise_codg" c:"30"`        // 病种编码
	DiseaseName string `json:"dise_name" c:"500"`       // 病种名称
}

// diagnosis is one row of node diseinfo of 2203A.
type diagnosis struct {
	Type       string `json:"diag_type" c:"3,must"`      // 诊断类别: 1 西医, 2 中医主病, 3 中医主证
	Order      int    `json:"diag_srt_no"`               // 诊断排序号
	Code       string `json:"diag_code" c:"20,must"`     // 诊断代码
	Name       string `json:"diag_name" c:"100,must"`    // 诊断名称
	Dept       string `json:"diag_dept" c:"50,must"`     // 诊断科室
	DoctorCode string `json:"dise_dor_no" c:"30,must"`   // 诊断医师编码
	DoctorName string `json:"dise_dor_name" c:"50,must"` // 诊断医师姓名
	Time       string `json:"diag_time" c:"19,must"`     // 诊断时间, DT
	Valid      string `json:"vali_flag" c:"3,must"`      // 有效标志: 1
}

// feeRow is one row of node feedetail of 2204 (门诊费用明细信息上传).
type feeRow struct {
	No           string      `json:"feedetl_sn" c:"30,must"`        // 费用明细流水号, unique within the visit
	MdtrtID      string      `json:"mdtrt_id" c:"30,must"`          // 就诊ID
	PersonNo     string      `json:"psn_no" c:"30,must"`            // 人员编号
	Batch        string      `json:"chrg_bchno" c:"30,must"`        // 收费批次号
	DiseaseCode  string      `json:"dise_codg" c:"30"`              // 病种编码, the same in all rows of a batch
	RxNo         string      `json:"rxno" c:"30"`                   // 处方号
	External     string      `json:"rx_circ_flag" c:"3,must"`       // 外购处方标志
	Occurred     string      `json:"fee_ocur_time" c:"19,must"`     // 费用发生时间, DT
	Catalogue    string      `json:"med_list_codg" c:"50,must"`     // 医疗目录编码
	HospitalCode string      `json:"medins_list_codg" c:"150,must"` // 医药机构目录编码
	Total        money.Yuan  `json:"det_item_fee_sumamt"`           // 明细项目费用总额, yuan
	Quantity     json.Number `json:"cnt"`                           // 数量, N16,4
	Price        json.Number `json:"pric"`                          // 单价, yuan, N16,6
	Dose         string      `json:"sin_dos_dscr" c:"200"`          // 单次剂量描述
	Frequency    string      `json:"used_frqu_dscr" c:"200"`        // 使用频次描述
	Days         json.Number `json:"prd_days,omitempty"`            // 周期天数, N4,2
	Route        string      `json:"medc_way_dscr" c:"200"`         // 用药途径描述
	DeptCode     string      `json:"bilg_dept_codg" c:"30,must"`    // 开单科室编码
	DeptName     string      `json:"bilg_dept_name" c:"100,must"`   // 开单科室名称
	DoctorCode   string      `json:"bilg_dr_codg" c:"30,must"`      // 开单医生编码, national
	DoctorName   string      `json:"bilg_dr_name" c:"50,must"`      // 开单医师姓名
	ExecDeptCode string      `json:"acord_dept_codg" c:"30"`        // 受单科室编码
	ExecDeptName string      `json:"acord_dept_name" c:"100"`       // 受单科室名称
	ExecDrCode   string      `json:"orders_dr_code" c:"30"`         // 受单医生编码
	ExecDrName   string      `json:"orders_dr_name" c:"50"`         // 受单医生姓名
	Approval     string      `json:"hosp_appr_flag" c:"3,must"`     // 医院审批标志; meaning is local
}

// rowOutput is the output of 2204: how each row was split. Only the echo is of use; the batch is split by 2206.
type rowOutput struct {
	Result []struct {
		No    loose      `json:"feedetl_sn"`
		Total money.Yuan `json:"det_item_fee_sumamt"` // yuan
	} `json:"result"`
}

// batchRef is node data of 2205 (门诊费用明细信息撤销). Batch 0000 is every unsettled row of the visit.
type batchRef struct {
	MdtrtID  string `json:"mdtrt_id" c:"30,must"`
	Batch    string `json:"chrg_bchno" c:"30,must"`
	PersonNo string `json:"psn_no" c:"30,must"`
}

// settleInput is node data of 2206 and 2207 (门诊预结算, 门诊结算). The last five members belong to 2207 alone and are nil in 2206.
type settleInput struct {
	PersonNo   string      `json:"psn_no" c:"30,must"`         // 人员编号
	CertType   string      `json:"mdtrt_cert_type" c:"3,must"` // 就诊凭证类型
	CertNo     string      `json:"mdtrt_cert_no" c:"50,must"`  // 就诊凭证编号
	MedType    string      `json:"med_type" c:"6,must"`        // 医疗类别
	Total      money.Yuan  `json:"medfee_sumamt"`              // 医疗费总额, yuan; the batch
	SettleWay  string      `json:"psn_setlway" c:"6,must"`     // 个人结算方式: 01 按项目
	MdtrtID    string      `json:"mdtrt_id" c:"30,must"`       // 就诊ID
	Batch      string      `json:"chrg_bchno" c:"30,must"`     // 收费批次号
	UseAccount string      `json:"acct_used_flag" c:"1,must"`  // 个人账户使用标志
	Insurance  string      `json:"insutype" c:"6,must"`        // 险种类型
	ExpContent string      `json:"expContent,omitempty" c:"4000"`
	ExpSnake   string      `json:"exp_content,omitempty" c:"4000"`
	Invoice    *string     `json:"invono,omitempty"`            // 发票号
	FullySelf  *money.Yuan `json:"fulamt_ownpay_amt,omitempty"` // 全自费金额, yuan, from 2206
	OverLimit  *money.Yuan `json:"overlmt_selfpay,omitempty"`   // 超限价自费费用, yuan, from 2206
	FirstSelf  *money.Yuan `json:"preselfpay_amt,omitempty"`    // 先行自付金额, yuan, from 2206
	InScope    *money.Yuan `json:"inscp_scp_amt,omitempty"`     // 符合政策范围金额, yuan, from 2206
}

// settleOutput is the output of 2206, 2207, 2208 and 5203.
type settleOutput struct {
	Info   *setlinfo   `json:"setlinfo"`
	Detail []setlfunds `json:"setldetail"`
}

// setlinfo is the settlement (结算信息). Amounts in yuan; null and absent are told from 0.00 by Yuan.Present.
type setlinfo struct {
	MdtrtID      loose      `json:"mdtrt_id"`          // 就诊ID
	SetlID       loose      `json:"setl_id"`           // 结算ID; null in 2206
	PersonNo     loose      `json:"psn_no"`            // 人员编号
	SettledAt    loose      `json:"setl_time"`         // 结算时间, DT; null in 2206
	Total        money.Yuan `json:"medfee_sumamt"`     // 医疗费总额
	FullySelf    money.Yuan `json:"fulamt_ownpay_amt"` // 全自费金额
	OverLimit    money.Yuan `json:"overlmt_selfpay"`   // 超限价自费费用
	FirstSelf    money.Yuan `json:"preselfpay_amt"`    // 先行自付金额
	InScope      money.Yuan `json:"inscp_scp_amt"`     // 符合政策范围金额
	Deductible   money.Yuan `json:"act_pay_dedc"`      // 实际支付起付线
	Pooled       money.Yuan `json:"hifp_pay"`          // 基本医疗保险统筹基金支出
	CivilServant money.Yuan `json:"cvlserv_pay"`       // 公务员医疗补助资金支出
	Enterprise   money.Yuan `json:"hifes_pay"`         // 企业补充医疗保险基金支出
	Serious      money.Yuan `json:"hifmi_pay"`         // 居民大病保险资金支出
	LargeAmount  money.Yuan `json:"hifob_pay"`         // 职工大额医疗费用补助基金支出
	Assistance   money.Yuan `json:"maf_pay"`           // 医疗救助基金支出
	Disabled     money.Yuan `json:"hifdm_pay"`         // 伤残人员医疗保障基金支出
	OtherFund    money.Yuan `json:"oth_pay"`           // 其他支出
	Fund         money.Yuan `json:"fund_pay_sumamt"`   // 基金支付总额
	Person       money.Yuan `json:"psn_part_amt"`      // 个人负担总金额
	Account      money.Yuan `json:"acct_pay"`          // 个人账户支出
	Cash         money.Yuan `json:"psn_cash_pay"`      // 个人现金支出
	CashMisspelt money.Yuan `json:"pdn_cash_pay"`      // the same in the table of 2208
	Hospital     money.Yuan `json:"hosp_part_amt"`     // 医院负担金额
	Balance      money.Yuan `json:"balc"`              // 余额, afterwards
	Family       money.Yuan `json:"acct_mulaid_pay"`   // 个人账户共济支付金额
	MsgID        loose      `json:"medins_setl_id"`    // 医药机构结算ID: the sender's msgid
	ClrOptins    loose      `json:"clr_optins"`        // 清算经办机构
	ClrWay       loose      `json:"clr_way"`           // 清算方式
	ClrType      loose      `json:"clr_type"`          // 清算类别
	Refunded     loose      `json:"refd_setl_flag"`    // 退费结算标志: 5203 only
}

// setlfunds is one row of setldetail (结算基金分项信息): every payer, the personal account and the hospital included.
type setlfunds struct {
	Kind   loose      `json:"fund_pay_type"` // 基金支付类型
	Amount money.Yuan `json:"fund_payamt"`   // 基金支付金额, yuan
}

// cancelInput is node data of 2208 (门诊结算撤销).
type cancelInput struct {
	SetlID   string `json:"setl_id" c:"30,must"`
	MdtrtID  string `json:"mdtrt_id" c:"30,must"`
	PersonNo string `json:"psn_no" c:"30,must"`
}

// reverseInput is node data of 2601 (冲正交易).
type reverseInput struct {
	PersonNo string `json:"psn_no" c:"30,must"`
	MsgID    string `json:"omsgid" c:"30,must"` // 原发送方报文ID
	Infno    string `json:"oinfno" c:"4,must"`  // 原交易编号
}

// queryInput is node data of 5203 (结算信息查询).
type queryInput struct {
	PersonNo string `json:"psn_no" c:"30,must"`
	SetlID   string `json:"setl_id" c:"30,must"`
	MdtrtID  string `json:"mdtrt_id" c:"30,must"`
}
