package nhsasim

import (
	"fmt"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// The codes of ordStas (§5) that this centre comes to by itself; a StasScript tells every other one.
const (
	stasSaved         = 0
	stasForeseen      = 1
	stasInsurancePaid = 4
	stasAllDone       = 6
	stasAllBack       = 7
	stasInsuranceBack = 8
	stasCashBack      = 9
	stasCashPartBack  = 10
	stasMixedBack     = 11 // 医保全部退款、自费部分退款
	stasRevoked       = 12
	stasFailed        = 15
)

// foresee is 6202 (支付下单): who would pay what by the counters as they stand. The first one that succeeds uses the authorisation up; the same
// order may be asked again under a fresh orgBizSer.
func (s *Sim) foresee(c centreCall) (map[string]any, error) {
	in, err := readCentre(table6202, c.data)
	if err != nil {
		return nil, err
	}
	u, err := s.uploadOf(c, in)
	if err != nil {
		return nil, err
	}
	p := s.persons[u.PsnNo]
	if err := s.foreseeable(c, u, in, p); err != nil {
		return nil, err
	}
	f := &foreseen{Serial: in["orgBizSer"], Auth: in["payAuthNo"], UseAccount: in["acctUsedFlag"] == "1"}
	if in["acctUsedFlag"] == "" {
		f.UseAccount = u.UseAccount
	}
	x, err := s.assess(s.visits[u.MdtrtID], p, u.MedType, u.Rows, f.UseAccount, c.now)
	if err != nil {
		return nil, err
	}
	if c.injected == sandbox.Refuse {
		return nil, refuse("该人员待遇已变更,不予结算")
	}
	f.Amounts = x.Amounts
	if err := s.record(entry{Kind: "foreseen", PayOrdID: u.PayOrdID, Foreseen: f}); err != nil {
		return nil, err
	}
	told := f.Amounts
	if c.injected == sandbox.ChangeAmount {
		told = told.otherwise()
	}
	out := s.standing(u, u.Stas, inChina(c.now))
	s.tellFigures(out, told)
	out["ownPayAmt"], out["deposit"] = s.centreYuan(told.Cash), s.centreYuan(0)
	out["extData"] = map[string]any{"preSetl": s.preSetl(u, told)}
	return s.placeVisit(out, u.MdtrtID), nil
}

// foreseeable checks a 6202 against its upload.
func (s *Sim) foreseeable(c centreCall, u *upload, in values, p *person) error {
	switch {
	case in["payToken"] != u.PayToken:
		return refuse("支付令牌[payToken]无效")
	case in["orgCodg"] != c.app.OrgCodg:
		return refuse("机构编码[orgCodg]与应用不符")
	case in["chrgBchno"] != u.Batch || in["mdtrtId"] != u.MdtrtID || in["feeType"] != "01":
		return refuse("收费批次号、就诊ID或费用类别与费用明细上传不一致")
	case in["acctUsedFlag"] != "" && in["acctUsedFlag"] != "0" && in["acctUsedFlag"] != "1":
		return refuse("[acctUsedFlag]值域错误")
	case in["deposit"] != "" && in.fen("deposit") != 0:
		return refuse("门诊费用不能使用预交金[deposit]")
	case (u.Auth != "" && in["payAuthNo"] != u.Auth) || (u.Auth == "" && businessToken(in["payAuthNo"]) != u.ECToken):
		return refuse("授权码[payAuthNo]与费用明细上传不一致,请重新授权")
	case s.taken[numberOf(c.app.OrgCodg, "orgBizSer", in["orgBizSer"])]:
		return refuse("机构业务流水号[orgBizSer]重复")
	case u.Stas != stasSaved && u.Stas != stasForeseen:
		return refuse("支付订单状态[%d]不允许支付下单", u.Stas)
	}
	return s.authorised(in["payAuthNo"], p, c.now, u.PayOrdID)
}

// centreFigures are the four amounts that the centre tells and WeChat repeats; they sum to the total.
type centreFigures struct{ fund, account, other, cash money.Fen }

// figures reads amounts as this centre tells them. The part that the hospital bears has no place in the sum of its own (§12.16): it stands in
// othFeeAmt, where the other funds stand too if they are split off.
func (s *Sim) figures(a amounts) centreFigures {
	f := centreFigures{fund: a.Fund, account: a.Account + a.Family, other: a.Hospital, cash: a.Cash}
	if s.oddities.Centre.OtherSplitOff {
		f.fund, f.other = a.Pooled, a.Hospital+a.Civil+a.Other
	}
	return f
}

func (s *Sim) centreYuan(f money.Fen) any {
	if s.oddities.Centre.Numbers {
		return money.InYuan(f)
	}
	return f.String()
}

// standing says which upload it is and where it stands.
func (s *Sim) standing(u *upload, code int, at string) map[string]any {
	out := map[string]any{"payOrdId": u.PayOrdID, "medOrgOrd": u.OrderNo, "traceTime": at, "ordStas": fmt.Sprint(code)}
	if s.oddities.Centre.Numbers {
		out["ordStas"] = code
	}
	return out
}

// tellFigures adds the amounts that 6202, 6301 and 6302 have in common; the cash field's spelling is the caller's.
func (s *Sim) tellFigures(out map[string]any, a amounts) {
	f := s.figures(a)
	for name, v := range map[string]money.Fen{"feeSumamt": a.Total, "fundPay": f.fund, "psnAcctPay": f.account, "othFeeAmt": f.other,
		"hospPartAmt": a.Hospital, "acctMulaidPay": a.Family, "selfAcctPay": a.Account} {
		out[name] = s.centreYuan(v)
	}
}

// preSetl is the whole presettlement, in the words of 2206.
func (s *Sim) preSetl(u *upload, a amounts) map[string]any {
	v := s.visits[u.MdtrtID]
	p := s.persons[u.PsnNo]
	out := map[string]any{"psn_no": p.PsnNo, "psn_name": p.Name, "psn_cert_type": "01", "certno": p.IDNumber, "insutype": v.InsuType,
		"med_type": u.MedType, "mdtrt_id": u.MdtrtID, "mdtrt_cert_type": "01", "medins_setl_id": u.OrderNo, "clr_type": "11"}
	if row := p.insurance(v.InsuType, v.Area); row != nil {
		out["psn_type"], out["cvlserv_flag"] = row.PsnType, flag(row.CivilServant)
	}
	for name, amount := range s.wireAmounts(a) {
		if y, ok := amount.(money.Yuan); ok {
			out[name] = s.centreYuan(y.Fen)
		}
	}
	out["pool_prop_selfpay"] = string(proportion(a.Ratio))
	return out
}
