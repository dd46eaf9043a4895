package nhsasim

import (
	"encoding/json"
	"fmt"

	"github.com/tuoka/tuoka/internal/money"
)

// uploadRows is 2204 (§3.4): all rows or none. Rows of several calls with one chrg_bchno make one batch.
func (s *Sim) uploadRows(c call) (reply, error) {
	rows, err := c.nodes("feedetail", table2204)
	if err != nil {
		return reply{}, err
	}
	if len(rows) > rowsPerCall {
		return reply{}, refuse("单次上传费用明细不能超过%d条", rowsPerCall)
	}
	if _, err := s.insured(c, rows[0]["psn_no"]); err != nil {
		return reply{}, err
	}
	v, err := s.visitOf(c, rows[0]["mdtrt_id"], rows[0]["psn_no"])
	if err != nil {
		return reply{}, err
	}
	batch := rows[0]["chrg_bchno"]
	switch {
	case v.MedType == "":
		return reply{}, refuse("请先上传门诊就诊信息")
	case batch == allBatches:
		return reply{}, refuse("收费批次号[chrg_bchno]不能为0000")
	case v.Settled[batch] != "":
		return reply{}, refuse("收费批次[%s]已结算,不能上传费用明细", batch)
	case s.taken[numberOf(c.institution, "chrgBchno", batch)]:
		return reply{}, refuse("收费批次[%s]已用于移动支付", batch)
	}
	kept, answers := make([]feeRow, 0, len(rows)), make([]any, 0, len(rows))
	taken := map[string]bool{}
	for i, r := range rows {
		if err := rowFits(r, rows[0], v, taken); err != nil {
			return reply{}, refuse("第%d行%s", i+1, err)
		}
		taken[r["feedetl_sn"]] = true
		row, answer := s.splitRow(r)
		kept, answers = append(kept, row), append(answers, answer)
	}
	if old := v.Batches[batch]; len(old) > 0 && old[0].Disease != rows[0]["dise_codg"] {
		return reply{}, refuse("同一收费批次病种编码必须一致")
	}
	if err := s.record(entry{Kind: "rows", MsgID: c.msgID, MdtrtID: v.MdtrtID, Batch: batch, Rows: kept}); err != nil {
		return reply{}, err
	}
	return reply{output: map[string]any{"result": answers}}, nil
}

// rowFits checks what the field table cannot: one visit, one batch, one disease, numbers used once, price × quantity.
func rowFits(r, first values, v *visit, taken map[string]bool) error {
	switch {
	case r["mdtrt_id"] != first["mdtrt_id"] || r["psn_no"] != first["psn_no"] || r["chrg_bchno"] != first["chrg_bchno"]:
		return refuse("就诊ID、人员编号或收费批次号不一致")
	case r["dise_codg"] != first["dise_codg"]:
		return refuse("同一收费批次病种编码必须一致")
	case v.DiseaseCode != "" && r["dise_codg"] != v.DiseaseCode:
		return refuse("病种编码与就诊信息不符")
	case v.Lines[r["feedetl_sn"]] || taken[r["feedetl_sn"]]:
		return refuse("费用明细流水号[%s]重复", r["feedetl_sn"])
	case r["rx_circ_flag"] != "0" && r["rx_circ_flag"] != "1":
		return refuse("外购处方标志[rx_circ_flag]值域错误")
	case r["rx_circ_flag"] == "1" && r["rxno"] == "":
		return refuse("外购处方的处方号[rxno]不能为空")
	case r["hosp_appr_flag"] != "0" && r["hosp_appr_flag"] != "1" && r["hosp_appr_flag"] != "2":
		return refuse("医院审批标志[hosp_appr_flag]值域错误")
	case r.fen("det_item_fee_sumamt") < 0 || !r.decimal("cnt").IsPositive() || r.decimal("pric").IsNegative():
		return refuse("金额、数量或单价不能为负数")
	case inFen(r.decimal("cnt").Mul(r.decimal("pric"))) != r.fen("det_item_fee_sumamt"):
		return refuse("明细项目费用总额与数量、单价不符")
	}
	return nil
}

// splitRow divides a row and words the answer (node result).
func (s *Sim) splitRow(r values) (feeRow, map[string]any) {
	item := s.items[r["med_list_codg"]]
	b, prop := splitLine(item, r["hosp_appr_flag"], r.fen("det_item_fee_sumamt"), r.decimal("cnt"))
	class, kind, ceiling := item.Class, item.Kind, item.Ceiling
	if class == "" {
		class = "03"
	}
	if kind == "" {
		kind = "14"
	}
	if ceiling == "" {
		ceiling = "999999"
	}
	answer := map[string]any{"feedetl_sn": r["feedetl_sn"], "det_item_fee_sumamt": money.InYuan(b.Total), "cnt": json.Number(r.decimal("cnt").String()),
		"pric": json.Number(r.decimal("pric").String()), "pric_uplmt_amt": json.Number(ceiling), "selfpay_prop": proportion(prop),
		"fulamt_ownpay_amt": money.InYuan(b.FullySelfPaid), "overlmt_amt": money.InYuan(b.OverLimit), "preselfpay_amt": money.InYuan(b.FirstSelfPaid),
		"inscp_scp_amt": money.InYuan(b.InScope), "chrgitm_lv": class, "med_chrgitm_type": kind, "bas_medn_flag": "0", "hi_nego_drug_flag": "0",
		"chld_medc_flag": "0", "list_sp_item_flag": "0", "lmt_used_flag": "0", "drt_reim_flag": "0", "memo": nil}
	return feeRow{No: r["feedetl_sn"], Disease: r["dise_codg"], Split: b}, answer
}

// proportion is basis points as the wire's N5,4.
func proportion(basisPoints int64) json.Number {
	return json.Number(fmt.Sprintf("%d.%04d", basisPoints/10000, basisPoints%10000))
}

// withdrawRows is 2205 (§3.5).
func (s *Sim) withdrawRows(c call) (reply, error) {
	in, err := c.node("data", table2205)
	if err != nil {
		return reply{}, err
	}
	if _, err := s.insured(c, in["psn_no"]); err != nil {
		return reply{}, err
	}
	v, err := s.visitOf(c, in["mdtrt_id"], in["psn_no"])
	if err != nil {
		return reply{}, err
	}
	batch := in["chrg_bchno"]
	switch {
	case v.Settled[batch] != "":
		return reply{}, refuse("收费批次[%s]已结算,请先撤销结算", batch)
	case batch != allBatches && len(v.Batches[batch]) == 0:
		return reply{}, refuse("无可撤销的费用明细")
	}
	return reply{}, s.record(entry{Kind: "rows_void", MsgID: c.msgID, MdtrtID: v.MdtrtID, Batch: batch})
}
