package nhsasim

import (
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// cancelSettlement is 2208 (§3.7): the person's latest settlement first, not after clearing, once.
func (s *Sim) cancelSettlement(c call) (reply, error) {
	in, err := c.node("data", table2208)
	if err != nil {
		return reply{}, err
	}
	p, err := s.insured(c, in["psn_no"])
	if err != nil {
		return reply{}, err
	}
	v, err := s.visitOf(c, in["mdtrt_id"], p.PsnNo)
	if err != nil {
		return reply{}, err
	}
	x := s.settlements[in["setl_id"]]
	if x == nil || x.MdtrtID != v.MdtrtID {
		return reply{}, refuse("未查询到结算信息[%s]", in["setl_id"])
	}
	if s.barred[c.msgID] {
		return reply{}, refuse("该交易已冲正")
	}
	if err := s.cancellable(x); err != nil {
		return reply{}, err
	}
	k := &cancel{SetlID: s.newID(), Of: x.SetlID, MsgID: c.msgID, At: c.now}
	if row := p.insurance(v.InsuType, v.Area); row != nil {
		k.Balance = row.Balance + x.Amounts.Account
	}
	if err := s.record(entry{Kind: "cancel", MsgID: c.msgID, Cancel: k}); err != nil {
		return reply{}, err
	}
	return reply{output: map[string]any{"setlinfo": s.mirror(x, k), "setldetail": s.setldetail(v, x.Amounts, -1)}}, nil
}

func (s *Sim) cancellable(x *settlement) error {
	if x.PayOrdID != "" {
		return refuse("该结算由移动支付中心办理,请通过移动支付退费")
	}
	switch x.State {
	case cancelled:
		return refuse("该结算已撤销,不能重复撤销")
	case reversed:
		return refuse("该结算已冲正,不能撤销")
	}
	if s.cleared(x) {
		return refuse("该结算已清算,不能撤销")
	}
	if s.oddities.AnyOrderCancel {
		return nil
	}
	mine := s.visits[x.MdtrtID]
	for _, later := range s.order[x.Seq:] {
		v := s.visits[later.MdtrtID]
		if later.State == inForce && v.PsnNo == mine.PsnNo && v.InsuType == mine.InsuType && later.Year == x.Year {
			return refuse("该人员存在后续结算,请先撤销最近一次结算")
		}
	}
	return nil
}

func (s *Sim) cleared(x *settlement) bool {
	return !s.oddities.CancelAfterClearing && !x.At.After(s.clearedTo)
}

// mirror is setlinfo of 2208: the same fields negated, the balance after the refund (E9).
func (s *Sim) mirror(x *settlement, k *cancel) map[string]any {
	v := s.visits[x.MdtrtID]
	told := x.Amounts.negative()
	told.Balance = k.Balance
	info := s.wireAmounts(told)
	info["mdtrt_id"], info["setl_id"], info["setl_time"] = x.MdtrtID, k.SetlID, inChina(k.At)
	info["clr_optins"], info["clr_way"], info["clr_type"], info["medins_setl_id"] = clearingOffice(v.Area), "1", "11", k.MsgID
	if s.oddities.PdnCashPay {
		info["pdn_cash_pay"] = info["psn_cash_pay"]
		delete(info, "psn_cash_pay")
	}
	if s.oddities.NullsIn2208 {
		info["psn_part_amt"], info["hosp_part_amt"], info["acct_mulaid_pay"] = nil, nil, nil
	}
	return info
}

// reverseCall is 2601 (§4.1). Done again it answers 0 again.
func (s *Sim) reverseCall(c call) (reply, error) {
	in, err := c.node("data", table2601)
	if err != nil {
		return reply{}, err
	}
	p, err := s.insured(c, in["psn_no"])
	if err != nil {
		return reply{}, err
	}
	infno, original := in["oinfno"], in["omsgid"]
	if infno != "2207" && infno != "2208" {
		return reply{}, refuse("交易[%s]不支持冲正", infno)
	}
	done, err := s.reversible(c, p, infno, original)
	if err != nil || done {
		return reply{}, err
	}
	return reply{}, s.record(entry{Kind: "reverse", MsgID: c.msgID, Infno: infno, Original: original})
}

// reversible finds the original and says whether there is anything left to do.
func (s *Sim) reversible(c call, p *person, infno, original string) (done bool, err error) {
	x, k := s.byMsgID[original], s.cancels[original]
	if infno == "2208" && k != nil {
		x = s.settlements[k.Of]
	}
	if x == nil || (infno == "2208" && k == nil) {
		if s.oddities.MissingOriginalIsDone {
			return s.barred[original], nil
		}
		return false, refuse("未找到原交易")
	}
	v := s.visits[x.MdtrtID]
	switch {
	case v.PsnNo != p.PsnNo || v.Institution != c.institution:
		return false, refuse("冲正交易与原交易信息不一致")
	case x.PayOrdID != "":
		return false, refuse("该结算由移动支付中心办理,请通过移动支付退费")
	case infno == "2207" && x.State == reversed, infno == "2208" && k.Undone:
		return true, nil
	case infno == "2207" && x.State == cancelled:
		return false, refuse("原交易已撤销,不能冲正")
	case s.cleared(x):
		return false, refuse("原交易已清算,不能冲正")
	case infno == "2208":
		return false, s.restorable(x, v, p)
	}
	return false, nil
}

// restorable tells whether a cancelled settlement can be put back in force as it was.
func (s *Sim) restorable(x *settlement, v *visit, p *person) error {
	row := p.insurance(v.InsuType, v.Area)
	switch {
	case x.State != cancelled || v.Settled[x.Batch] != "":
		return refuse("该收费批次已重新结算,不能冲正")
	case len(v.Batches[x.Batch]) == 0:
		return refuse("原费用明细已撤销,不能冲正")
	case row == nil || row.Balance < x.Amounts.Account || p.Family < x.Amounts.Family:
		return refuse("个人账户余额不足,不能冲正")
	}
	return nil
}

// querySettlement is 5203 (§4.2), by the number of a settlement or of its reversing record.
func (s *Sim) querySettlement(c call) (reply, error) {
	in, err := c.node("data", table5203)
	if err != nil {
		return reply{}, err
	}
	if _, err := s.insured(c, in["psn_no"]); err != nil {
		return reply{}, err
	}
	x, k := s.settlements[in["setl_id"]], s.cancelIDs[in["setl_id"]]
	if k != nil {
		x = s.settlements[k.Of]
	}
	if x == nil || x.State == reversed || (k != nil && k.Undone) {
		return reply{}, refuse("未查询到结算信息")
	}
	v := s.visits[x.MdtrtID]
	if v.PsnNo != in["psn_no"] || v.Institution != c.institution || (in["mdtrt_id"] != "" && in["mdtrt_id"] != x.MdtrtID) {
		return reply{}, refuse("未查询到结算信息")
	}
	info, sign := s.mirrorOf(c, x, k)
	day := x.At.In(clock.Shanghai).Format(date)
	inst := s.institutions[v.Institution]
	for name, f := range map[string]any{"refd_setl_flag": flag(x.State == cancelled), "fixmedins_code": v.Institution, "fixmedins_name": inst.Name,
		"hosp_lv": string(inst.Level), "insu_optins": v.Area, "flxempe_flag": "0", "nwb_flag": "0", "pay_loc": "1", "begndate": day, "enddate": day,
		"psn_pay": money.InYuan(x.Amounts.Person), "cash_payamt": money.InYuan(x.Amounts.Cash), "year": day[:4], "dise_codg": orNull(v.DiseaseCode),
		"dise_name": nil, "invono": nil, "opter_id": nil, "opter_name": nil, "opt_time": inChina(x.At)} {
		info[name] = f
	}
	return reply{output: map[string]any{"setlinfo": info, "setldetail": s.setldetail(v, x.Amounts, sign)}}, nil
}

// mirrorOf is setlinfo of 5203: the settlement, or its reversing record when that was asked for.
func (s *Sim) mirrorOf(c call, x *settlement, k *cancel) (info map[string]any, sign money.Fen) {
	if k != nil {
		return s.mirror(x, k), -1
	}
	info = s.setlinfo(c, x, x.Amounts)
	info["setl_id"], info["setl_time"], info["clr_optins"], info["clr_way"] = x.SetlID, inChina(x.At), clearingOffice(s.visits[x.MdtrtID].Area), "1"
	return info, 1
}

// Clear marks every settlement made up to that moment as cleared (已清算): no 2208 and no 2601 any more.
func (s *Sim) Clear(upTo time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record(entry{Kind: "clear", Cleared: &upTo})
}
