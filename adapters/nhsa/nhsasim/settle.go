package nhsasim

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// settleCall is 2206 and 2207 (§3.6): the same checks and the same arithmetic; 2207 alone compares the echo and leaves a settlement.
func (s *Sim) settleCall(c call) (reply, error) {
	final := c.infno == "2207"
	table := table2206
	if final {
		table = table2207
	}
	in, err := c.node("data", table)
	if err != nil {
		return reply{}, err
	}
	if s.barred[c.msgID] {
		return reply{}, refuse("该交易已冲正")
	}
	p, err := s.insured(c, in["psn_no"])
	if err != nil {
		return reply{}, err
	}
	v, err := s.visitOf(c, in["mdtrt_id"], p.PsnNo)
	if err != nil {
		return reply{}, err
	}
	if err := s.ownCredential(in, p, v.MdtrtID); err != nil {
		return reply{}, err
	}
	x, err := s.compute(c, in, p, v)
	if err != nil {
		return reply{}, err
	}
	if c.injected == sandbox.Refuse {
		return reply{}, refuse("该人员待遇已变更,不予结算")
	}
	if final {
		if err := s.checkEcho(in, x.Amounts); err != nil {
			return reply{}, err
		}
		if c.injected == sandbox.ChangeAmount { // it settles otherwise than it said; its books and its answer agree
			x.Amounts = x.Amounts.otherwise()
		}
		x.SetlID = s.newID()
		if err := s.record(entry{Kind: "settle", MsgID: c.msgID, Settle: x}); err != nil {
			return reply{}, err
		}
	}
	told := x.Amounts
	if c.injected == sandbox.ChangeAmount && !final {
		told = told.otherwise()
	}
	info := s.setlinfo(c, x, told)
	if final {
		info["setl_id"], info["setl_time"], info["clr_optins"], info["clr_way"] = x.SetlID, inChina(x.At), clearingOffice(v.Area), "1"
	}
	return reply{output: map[string]any{"setlinfo": info, "setldetail": s.setldetail(v, told, 1)}}, nil
}

// clearingOffice is the clr_optins of an area: the city's own code.
func clearingOffice(area string) string { return area[:4] + "99" }

// compute checks the batch and works out who pays.
func (s *Sim) compute(c call, in values, p *person, v *visit) (*settlement, error) {
	batch := in["chrg_bchno"]
	var total money.Fen
	for _, r := range v.Batches[batch] {
		total += r.Split.Total
	}
	switch {
	case v.MedType == "" || in["med_type"] != v.MedType:
		return nil, refuse("医疗类别[med_type]与就诊信息不符")
	case in["insutype"] != v.InsuType || p.insurance(v.InsuType, v.Area) == nil:
		return nil, refuse("险种类型[insutype]与就诊信息不符")
	case v.Settled[batch] != "":
		return nil, refuse("收费批次[%s]已结算,不能重复结算", batch)
	case len(v.Batches[batch]) == 0:
		return nil, refuse("收费批次[%s]没有费用明细", batch)
	case in.fen("medfee_sumamt") != total:
		return nil, refuse("医疗费总额[%s]与上传明细合计[%s]不符", in["medfee_sumamt"], total)
	case in["psn_setlway"] != "01":
		return nil, refuse("个人结算方式[psn_setlway]值域错误")
	case in["acct_used_flag"] != "0" && in["acct_used_flag"] != "1":
		return nil, refuse("个人账户使用标志[acct_used_flag]值域错误")
	}
	x, err := s.assess(v, p, v.MedType, v.Batches[batch], in["acct_used_flag"] == "1", c.now)
	if err != nil {
		return nil, err
	}
	x.MsgID, x.Batch, x.CertType = c.msgID, batch, in["mdtrt_cert_type"]
	if x.CertType == "01" {
		x.Token = in["mdtrt_cert_no"]
	}
	return x, nil
}

// assess works out who pays rows of a visit now, by the same rules and counters whichever door they came through.
func (s *Sim) assess(v *visit, p *person, medType string, rows []feeRow, useAccount bool, now time.Time) (*settlement, error) {
	var sum buckets
	for _, r := range rows {
		sum.add(r.Split)
	}
	row, inst, today := p.insurance(v.InsuType, v.Area), s.institutions[v.Institution], inShanghai(now)
	if v.Void {
		return nil, refuse("该就诊已撤销挂号")
	}
	benefit := benefitOf(medType)
	var r rule
	found := row != nil
	if found {
		r, found = ruleFor(v.Area, v.InsuType, groupOf(row.PsnType), benefit, today.Format(date))
	}
	if !found {
		return nil, refuse("该人员本次就诊未享受医保待遇")
	}
	y := s.year(p.PsnNo, v.InsuType, today.Year())
	c := claim{rule: r, level: inst.Level, civil: row.CivilServant, signed: p.Signed, useAccount: useAccount, buckets: sum,
		hospitalBears: int64(s.oddities.HospitalBears),
		before: counters{Deductible: y.Deductible[benefit], AtLevel: y.AtLevel[inst.Level], FundPaid: y.FundPaid[benefit],
			Balance: row.Balance, Family: p.Family}}
	return &settlement{MdtrtID: v.MdtrtID, MedType: medType, Benefit: benefit, Level: inst.Level, At: now, Year: today.Year(), Amounts: c.settle()}, nil
}

// checkEcho compares the four amounts that 2207 repeats with what is computed now.
func (s *Sim) checkEcho(in values, a amounts) error {
	if s.oddities.EchoUnchecked {
		return nil
	}
	for name, want := range map[string]money.Fen{"fulamt_ownpay_amt": a.FullySelfPaid, "overlmt_selfpay": a.OverLimit,
		"preselfpay_amt": a.FirstSelfPaid, "inscp_scp_amt": a.InScope} {
		if in.fen(name) != want {
			return refuse("预结算返回金额与结算入参不符[%s]", name)
		}
	}
	return nil
}

// otherwise moves one fen between payers so that every equation of §5 still holds: only a comparison finds it.
func (a amounts) otherwise() amounts {
	switch {
	case a.Pooled > 0:
		a.Pooled, a.Fund, a.Person, a.Cash = a.Pooled-1, a.Fund-1, a.Person+1, a.Cash+1
	case a.Account > 0:
		a.Account, a.Cash, a.Balance = a.Account-1, a.Cash+1, a.Balance+1
	case a.Cash > 0:
		a.Other, a.Fund, a.Person, a.Cash = a.Other+1, a.Fund+1, a.Person-1, a.Cash-1
	case a.Civil > 0:
		a.Civil, a.Other = a.Civil-1, a.Other+1
	case a.Family > 0:
		a.Family, a.Cash = a.Family-1, a.Cash+1
	}
	return a
}

// setlinfo words a settlement's amounts in the form of this area; told are the amounts to say.
func (s *Sim) setlinfo(c call, x *settlement, told amounts) map[string]any {
	v := s.visits[x.MdtrtID]
	p := s.persons[v.PsnNo]
	info := s.wireAmounts(told)
	for k, f := range personFields(p, c) {
		info[k] = f
	}
	row := p.insurance(v.InsuType, v.Area)
	if row != nil {
		info["psn_type"], info["cvlserv_flag"] = row.PsnType, flag(row.CivilServant)
	}
	info["mdtrt_id"], info["setl_id"], info["setl_time"], info["medins_setl_id"] = x.MdtrtID, nil, nil, x.MsgID
	info["insutype"], info["mdtrt_cert_type"], info["med_type"] = v.InsuType, x.CertType, x.MedType
	info["clr_optins"], info["clr_way"], info["clr_type"] = nil, nil, "11"
	return info
}

// habits are fund_pay_sumamt and acct_pay as this area states them.
func (s *Sim) habits(a amounts) (fund, account money.Fen) {
	fund, account = a.Fund, a.Account
	if s.oddities.FamilyInsideAccount {
		account += a.Family
	}
	if s.oddities.FundContainsAccount {
		fund += account
	}
	if s.oddities.HospitalInsideFund {
		fund += a.Hospital
	}
	return fund, account
}

// wireAmounts are the money fields of setlinfo, with the oddities of the area.
func (s *Sim) wireAmounts(a amounts) map[string]any {
	fund, account := s.habits(a)
	out := map[string]any{"pool_prop_selfpay": proportion(a.Ratio)}
	for name, f := range map[string]money.Fen{"medfee_sumamt": a.Total, "fulamt_ownpay_amt": a.FullySelfPaid, "overlmt_selfpay": a.OverLimit,
		"preselfpay_amt": a.FirstSelfPaid, "inscp_scp_amt": a.InScope, "act_pay_dedc": a.Deductible, "hifp_pay": a.Pooled, "cvlserv_pay": a.Civil,
		"hifes_pay": 0, "hifmi_pay": 0, "hifob_pay": 0, "maf_pay": 0, "hifdm_pay": 0, "oth_pay": a.Other, "fund_pay_sumamt": fund,
		"psn_part_amt": a.Person, "acct_pay": account, "psn_cash_pay": a.Cash, "hosp_part_amt": a.Hospital, "balc": a.Balance, "acct_mulaid_pay": a.Family} {
		out[name] = money.InYuan(f)
	}
	return out
}

// setldetail lists the payers (E5): every fund, the personal account, and the part that the hospital bears.
func (s *Sim) setldetail(v *visit, a amounts, sign money.Fen) []any {
	pooledType, pooledName := "310100", "职工基本医疗保险统筹基金"
	if v.InsuType == "390" {
		pooledType, pooledName = "390100", "城乡居民基本医疗保险基金"
	}
	account := a.Account
	if s.oddities.FamilyInsideAccount {
		account += a.Family
	}
	rows := []any{}
	add := func(kind, name string, amount money.Fen, process string) {
		if amount == 0 {
			return
		}
		rows = append(rows, map[string]any{"fund_pay_type": kind, "fund_pay_type_name": name, "inscp_scp_amt": money.InYuan(sign * a.InScope),
			"crt_payb_lmt_amt": money.InYuan(a.LimitLeft), "fund_payamt": money.InYuan(sign * amount), "setl_proc_info": process})
	}
	add(pooledType, pooledName, a.Pooled, fmt.Sprintf("起付线%s,比例%s", a.Deductible, proportion(a.Ratio)))
	add("320100", "公务员医疗补助资金", a.Civil, "")
	add("999997", "其他基金", a.Other, "")
	add("310200", "个人账户", account, "")
	add("999996", "医院垫付", a.Hospital, "")
	return rows
}

// negative mirrors amounts for a cancellation (E9). The balance and the ratio are not amounts of the settlement and keep their sign.
func (a amounts) negative() amounts {
	b := a
	for _, f := range []*money.Fen{&b.Total, &b.FullySelfPaid, &b.OverLimit, &b.FirstSelfPaid, &b.InScope, &b.Deductible, &b.Pooled, &b.Civil, &b.Other,
		&b.Fund, &b.Person, &b.Account, &b.Family, &b.Cash, &b.Hospital} {
		*f = -*f
	}
	return b
}

// key names a call for the fault plan: the hospital's visit number where the visit is ours, else the insurer's; never a certificate. Of a
// statement it is the day, of a file its name.
func (s *Sim) key(infno string, input map[string]json.RawMessage) string {
	var in struct {
		CertType string `json:"mdtrt_cert_type"`
		CertNo   string `json:"mdtrt_cert_no"`
		CardSN   string `json:"card_sn"`
		VisitNo  string `json:"ipt_otp_no"`
		MdtrtID  string `json:"mdtrt_id"`
		SetlID   string `json:"setl_id"`
		OMsgID   string `json:"omsgid"`
		Day      string `json:"stmt_begndate"`
		File     string `json:"filename"`
	}
	node := input["data"]
	switch infno {
	case "9101":
		node = input["fsUploadIn"]
	case "9102":
		node = input["fsDownloadIn"]
	case "2203A":
		node = input["mdtrtinfo"]
	case "2204":
		var rows []json.RawMessage
		if json.Unmarshal(input["feedetail"], &rows) == nil && len(rows) > 0 {
			node = rows[0]
		}
	}
	_ = json.Unmarshal(node, &in) // a malformed node is refused later; its call has no name
	mdtrtID := in.MdtrtID
	switch infno {
	case "1101":
		if p, err := s.credential(in.CertType, in.CertNo, in.CardSN); err == nil {
			return p.PsnNo
		}
		return ""
	case "2201":
		return in.VisitNo
	case "3201", "3202":
		return in.Day
	case "9101", "9102":
		return in.File
	case "2601":
		switch x, c := s.byMsgID[in.OMsgID], s.cancels[in.OMsgID]; {
		case x != nil:
			mdtrtID = x.MdtrtID
		case c != nil:
			mdtrtID = s.settlements[c.Of].MdtrtID
		default:
			return in.OMsgID
		}
	case "5203":
		if x := s.settlements[in.SetlID]; x != nil {
			mdtrtID = x.MdtrtID
		}
	}
	if v := s.visits[mdtrtID]; v != nil && !v.FromHIS {
		return v.VisitNo
	}
	return mdtrtID
}
