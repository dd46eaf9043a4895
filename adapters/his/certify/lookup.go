package certify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
)

type pending struct {
	PatientID string `json:"patient_id"`
}

type detail struct {
	PatientID string `json:"patient_id"`
	BillNo    string `json:"bill_no"`
}

// mostBills is how many bills of a list are looked at.
const mostBills = 8

func lookupChecks() []check {
	const group = "患者与费用查询"
	return []check{
		{id: "patient", group: group, title: "查到测试患者，且只有本人", clause: "§3.1；F11", needs: []string{"connect"},
			proves: "按姓名和证件号码返回的档案都是本人的，没有换卡、并档留下的他人档案。",
			advice: "按姓名与证件号码都相等查询；不要只取最近的一条，不要按卡号匹配；每份档案带院内患者号和建档时间。",
			run:    (*kit).findPatient},
		{id: "patient-none", group: group, title: "查无此人有明确应答", clause: "§3.1、§4；F9", needs: []string{"connect"},
			proves: "“没有”与“出错”分得清：没有是应答码 1，出错不是“成功而空”。",
			advice: "查无此人时应答码为 1；查询失败时应答 MAINTENANCE 或 HTTP 500，绝不应答 0 加空列表。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("一个不存在的人")
				return k.wantNone(ctx, findPatients, find{Name: nobody, IDType: "01", IDNo: strangers[0]})
			}},
		{id: "patient-name", group: group, title: "姓名不符时查无此人", clause: "§3.1；F11", needs: []string{"patient-none"},
			proves: "只凭证件号码得不到档案：姓名也要相等。",
			advice: "查询条件同时包含姓名与证件号码，姓名不等时应答 1（查无此人）。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("测试患者的证件号码，他人的姓名")
				in := k.findRequest()
				in.Name = nobody
				return k.wantNone(ctx, findPatients, in)
			}},
		{id: "amounts", group: group, title: "金额的单位与写法正确，明细合计等于单据", clause: "§1、§3.2、§3.3；F9、F10", needs: []string{"patient"},
			proves: "金额是整数分，不是元，不是百倍；每行金额 = 单价 × 数量（四舍五入到分），各行之和 = 单据总额。",
			advice: "接口中的金额一律为整数分（1917 即 19.17 元）；单价为元、至多四位小数的文本；行金额四舍五入到分，合计由行相加。对照文件（his_soap）中的单位用 yuan 或 fen 写明。",
			run:    (*kit).amounts},
		{id: "pending", group: group, title: "待缴费列表完整", clause: "§3.2；F9", needs: []string{"amounts"},
			proves: "列表没有缺行、没有重复、没有已缴的单据，合计等于各单之和。",
			advice: "列表一次给全，不分页；count 与 total_fen 由列表本身算出；只含待缴费的单据。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("查询待缴费列表")
				list, err := k.client.Pending(ctx, k.patient)
				if err != nil {
					return failed("%s", said(err))
				}
				return passed("%d 张待缴费单据，合计与各单相符", len(list))
			}},
		{id: "detail", group: group, title: "费用明细齐全：就诊、诊断、国家编码", clause: "§3.3", needs: []string{"pending"},
			proves: "医保登记（2201）、上传（2204、6201）所需的内容都在：就诊、科别、医师国家编码、诊断、医疗目录编码。",
			advice: "按 §3.3 的表逐项补齐；有医保项目时至少一条有效诊断；医师编码用国家医保医师代码，项目带国家医疗目录编码。",
			run:    (*kit).details},
		{id: "detail-none", group: group, title: "不存在的单据有明确应答", clause: "§3.3、§4；F9", needs: []string{"patient"},
			proves: "没有这张单据时，不会得到空单据或别的单据。",
			advice: "单据不存在时应答 NOT_FOUND。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("一个不存在的单据号")
				return k.wantCode(ctx, "bills/detail", detail{k.patient, "NONE" + k.number()}, notFound)
			}},
		{id: "detail-other", group: group, title: "他人的单据不可见", clause: "§3.3；F11", needs: []string{"patient"},
			proves: "知道单据号也看不到别人的费用与诊断。",
			advice: "查询明细时同时以患者号和单据号为条件；不属于该患者时应答 NOT_FOUND。",
			run: func(k *kit, ctx context.Context) outcome {
				other, o, ok := k.othersBill(ctx)
				if !ok {
					return o
				}
				k.doing("以测试患者的患者号查询他人的单据")
				return k.wantCode(ctx, "bills/detail", detail{k.patient, other}, notFound)
			}},
		{id: "pending-none", group: group, title: "不存在的患者号有明确应答", clause: "§3.2、§4；F9", needs: []string{"connect"},
			proves: "患者号不存在时，患者不会看到“无待缴费”的假象。",
			advice: "患者号不存在时应答 NOT_FOUND（或 1），绝不应答 0 加空列表。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("一个不存在的患者号")
				return k.wantCode(ctx, "bills/pending", pending{"NONE" + k.number()}, notFound, none)
			}},
		{id: "pending-empty", group: group, title: "没有待缴费时明说没有", clause: "§3.2、§4；F9", needs: []string{"connect"},
			proves: "“没有费用”是医院系统明说的，不是把出错当成空列表。",
			advice: "没有待缴费时应答码为 1；读不到数据库时应答 MAINTENANCE 或 HTTP 500。",
			run: func(k *kit, ctx context.Context) outcome {
				idle := k.Data.IdlePatient
				if idle == "" {
					var o outcome
					var ok bool
					if idle, o, ok = k.hands(ctx, Task{Do: OpenArchive}, "在 certify.idle_patient_id 中给出一个没有待缴费的患者号"); !ok {
						return o
					}
				}
				k.doing("没有待缴费的患者")
				return k.wantNone(ctx, "bills/pending", pending{idle})
			}},
		{id: "query-none", group: group, title: "未入账的订单查询应答未入账", clause: "§3.7；F1", needs: []string{"detail"},
			proves: "平台只在医院系统确认未入账时才重发，只在有凭据时才退款。",
			advice: "没有该订单号的入账时应答 not_posted，不带凭据。",
			run: func(k *kit, ctx context.Context) outcome {
				if len(k.pending) == 0 {
					return skipped("没有待缴费的单据")
				}
				k.doing("查询一个未用过的订单号")
				st, err := k.client.PostingOf(ctx, k.number(), k.pending[:1])
				switch {
				case err != nil:
					return failed("%s", said(err))
				case st.State != order.PostingNone:
					return failed("应答 %s，应为 not_posted", st.State)
				}
				return passed("应答 not_posted")
			}},
	}
}

// nobody is a name that no archive has.
const nobody = "查无此人测试"

// wantCode sends a message and demands one of these codes.
func (k *kit) wantCode(ctx context.Context, operation string, in any, codes ...string) outcome {
	a, err := k.ask(ctx, operation, in)
	if o, ok := want(a, err, codes...); !ok {
		return o
	}
	return passed("应答码 %s", codeName(a.Code))
}

// wantNone demands "done, there is nothing", and nothing with it.
func (k *kit) wantNone(ctx context.Context, operation string, in any) outcome {
	a, err := k.ask(ctx, operation, in)
	if o, ok := want(a, err, none); !ok {
		return o
	}
	var out struct {
		Patients []json.RawMessage `json:"patients"`
		Bills    []json.RawMessage `json:"bills"`
	}
	if len(a.Data) > 0 && (json.Unmarshal(a.Data, &out) != nil || len(out.Patients)+len(out.Bills) > 0) {
		return failed("应答码说没有数据，却带着数据")
	}
	return passed("应答码 %s", codeName(a.Code))
}

func (k *kit) findPatient(ctx context.Context) outcome {
	k.doing("查询测试患者")
	found, err := k.client.FindPatient(ctx, k.Data.Name, k.Data.ID)
	switch {
	case err != nil:
		return failed("%s", said(err))
	case len(found) == 0:
		return failed("查无此人：请确认 certify.name 与 certify.id_number 是医院测试库中的患者")
	}
	k.patient = found[0].HISPatient
	if want := k.Data.Patient; want != "" {
		if !slices.ContainsFunc(found, func(r patient.HISRecord) bool { return r.HISPatient == want }) {
			return failed("本人的档案中没有患者号 %s", want)
		}
		k.patient = want
	}
	return passed("%d 份档案，均为本人；用 %s", len(found), k.patient)
}

// othersBill is a bill of another patient.
func (k *kit) othersBill(ctx context.Context) (no string, o outcome, ok bool) {
	if k.Data.OtherBill != "" {
		return k.Data.OtherBill, o, true
	}
	const byHand = "在 certify.other_bill 中给出另一名测试患者的一张待缴费单据号"
	patient, o, ok := k.hands(ctx, Task{Do: OpenArchive}, byHand)
	if !ok {
		return "", o, false
	}
	return k.hands(ctx, Task{Do: WriteBill, Patient: patient}, byHand)
}

// rawBill is a bill whose amounts are looked at as they stand.
type rawBill struct {
	BillNo   string      `json:"bill_no"`
	TotalFen json.Number `json:"total_fen"`
	Lines    []struct {
		Quantity json.Number `json:"quantity"`
		Price    json.Number `json:"price"`
		TotalFen json.Number `json:"total_fen"`
	} `json:"lines"`
}

// amounts looks at the figures of the list and of its bills before anybody strict does, to say what is wrong with them.
func (k *kit) amounts(ctx context.Context) outcome {
	k.doing("查询待缴费列表")
	a, err := k.ask(ctx, "bills/pending", pending{k.patient})
	if o, ok := want(a, err, done, none); !ok {
		return o
	}
	var list struct {
		TotalFen json.Number `json:"total_fen"`
		Bills    []rawBill   `json:"bills"`
	}
	if a.Code == done && json.Unmarshal(a.Data, &list) != nil {
		return failed("列表的金额不是数字（如全角数字、千分位、文本）")
	}
	if len(list.Bills) == 0 {
		no, o, ok := k.hands(ctx, Task{Do: WriteBill, Patient: k.patient}, "为测试患者开一张待缴费的单据")
		if !ok {
			return o
		}
		list.Bills = []rawBill{{BillNo: no}}
	}
	for i := range list.Bills {
		k.pending = append(k.pending, list.Bills[i].BillNo)
		if t := list.Bills[i].TotalFen; t != "" && !fen(t) {
			return failed("列表中的金额 %s 不是整数分", t)
		}
	}
	for _, no := range k.pending[:min(len(k.pending), mostBills)] {
		k.doing("查询单据 %s 的明细", no)
		a, err := k.ask(ctx, "bills/detail", detail{k.patient, no})
		if o, ok := want(a, err, done); !ok {
			return o
		}
		var out struct {
			Bill rawBill `json:"bill"`
		}
		if json.Unmarshal(a.Data, &out) != nil {
			return failed("单据 %s 的金额不是数字（如全角数字、千分位、文本）", no)
		}
		if fault := out.Bill.wrong(); fault != "" {
			return failed("单据 %s：%s", no, fault)
		}
	}
	return passed("%d 张单据的金额均为整数分，行与单据相符", min(len(k.pending), mostBills))
}

func fen(n json.Number) bool {
	return n != "" && len(n) < 15 && strings.Trim(string(n), "0123456789") == ""
}

// wrong says what is wrong with a bill's figures; empty: nothing.
func (b *rawBill) wrong() string {
	sum := money.Fen(0)
	for i, l := range b.Lines {
		if !fen(l.TotalFen) {
			return fmt.Sprintf("第 %d 行的金额 %s 不是整数分", i+1, l.TotalFen)
		}
		total, _ := l.TotalFen.Int64() // digits
		quantity, err1 := decimal.NewFromString(string(l.Quantity))
		price, err2 := decimal.NewFromString(string(l.Price))
		if err1 != nil || err2 != nil || !bill.Countable(quantity) || price.IsNegative() || price.Exponent() < -6 || price.Exponent() > 9 {
			return fmt.Sprintf("第 %d 行的单价或数量不是至多四位小数的数", i+1)
		}
		switch want := bill.Amount(quantity, price); {
		case want == money.Fen(total):
		case want*100 == money.Fen(total):
			return fmt.Sprintf("第 %d 行的金额恰为单价 × 数量的一百倍：单位重复换算", i+1)
		case money.Fen(total)*100 == want:
			return fmt.Sprintf("第 %d 行的金额恰为单价 × 数量的百分之一：元当作了分", i+1)
		default:
			return fmt.Sprintf("第 %d 行的金额是 %s，单价 × 数量是 %s", i+1, money.Fen(total), want)
		}
		sum += money.Fen(total)
	}
	if !fen(b.TotalFen) {
		return fmt.Sprintf("总额 %s 不是整数分", b.TotalFen)
	}
	if total, _ := b.TotalFen.Int64(); money.Fen(total) != sum {
		return fmt.Sprintf("总额是 %s，各行之和是 %s", money.Fen(total), sum)
	}
	return ""
}

// details reads every bill strictly, and keeps those that may be used up.
func (k *kit) details(ctx context.Context) outcome {
	for _, no := range k.pending[:min(len(k.pending), mostBills)] {
		k.doing("查询单据 %s 的明细", no)
		b, err := k.client.Detail(ctx, k.patient, no)
		if err != nil {
			return failed("单据 %s：%s", no, said(err))
		}
		if b.State != bill.Unpaid {
			return failed("单据 %s 在待缴费列表中，明细却不是待缴费", no)
		}
	}
	for _, no := range k.Data.Bills {
		if !slices.Contains(k.pending, no) {
			return failed("certify.bills 中的单据 %s 不在测试患者的待缴费列表中", no)
		}
		k.doing("查询可用于认证的单据 %s", no)
		b, err := k.client.Detail(ctx, k.patient, no)
		if err != nil {
			return failed("单据 %s：%s", no, said(err))
		}
		k.bills = append(k.bills, b)
	}
	return passed("%d 张单据的明细齐全", min(len(k.pending), mostBills))
}

// nextBill is an unpaid bill that may be used up, read anew.
func (k *kit) nextBill(ctx context.Context) (b *bill.Bill, o outcome, ok bool) {
	if len(k.bills) > 0 {
		b, k.bills = k.bills[0], k.bills[1:]
		return b, o, true
	}
	no, o, ok := k.hands(ctx, Task{Do: WriteBill, Patient: k.patient}, "在 certify.bills 中再给出一张测试患者的待缴费单据（认证会锁定、入账、退费）")
	if !ok {
		return nil, o, false
	}
	k.doing("查询新开的单据 %s", no)
	b, err := k.client.Detail(ctx, k.patient, no)
	if err != nil {
		return nil, failed("%s", said(err)), false
	}
	return b, o, true
}
