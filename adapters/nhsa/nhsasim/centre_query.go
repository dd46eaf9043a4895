package nhsasim

import (
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// queryUpload is 6301 (医保订单结算结果查询).
func (s *Sim) queryUpload(c centreCall) (map[string]any, error) {
	u, err := s.ownUpload(c)
	if err != nil {
		return nil, err
	}
	return s.result(u, s.toldStas(u), c.injected == sandbox.ChangeAmount), nil
}

// result is the answer of 6301 and the content of 6302 (§4.4, §4.6).
func (s *Sim) result(u *upload, code int, changed bool) map[string]any {
	x := s.settlements[u.SetlID]
	out := s.standing(u, code, inChina(u.At))
	s.placeVisit(out, u.MdtrtID)
	if a, known := u.amounts(x); known && (!s.oddities.Centre.AmountsLate || code > 2) {
		if changed {
			a = a.otherwise()
		}
		s.tellFigures(out, a)
		cash := "ownPayAmt"
		if s.oddities.Centre.OwnpayAmt {
			cash = "ownpayAmt"
		}
		out[cash] = s.centreYuan(a.Cash)
		if s.oddities.Centre.OtherUntold {
			delete(out, "othFeeAmt")
		}
	}
	if x != nil {
		s.tellSettlement(out, u, x, changed)
	}
	return out
}

// amounts are what was settled, or else what was foreseen.
func (u *upload) amounts(x *settlement) (amounts, bool) {
	switch {
	case x != nil:
		return x.Amounts, true
	case u.Foreseen != nil:
		return u.Foreseen.Amounts, true
	}
	return amounts{}, false
}

// tellSettlement adds what there is once the insurer's part is settled, setlinfo and setldetail in the centre's spelling.
func (s *Sim) tellSettlement(out map[string]any, u *upload, x *settlement, changed bool) {
	v, a := s.visits[u.MdtrtID], x.Amounts
	if changed {
		a = a.otherwise()
	}
	out["callType"], out["setlType"], out["revsToken"], out["traceTime"] = "02", "HI", u.RevsToken, inChina(x.At)
	if a.Cash > 0 {
		out["setlType"] = "ALL"
	}
	out["hiChrgTime"], out["hiDocSn"], out["hiRgstSn"] = x.At.In(clock.Shanghai).Format(compact), x.SetlID, u.MdtrtID
	out["orgCode"], out["orgName"] = u.Institution, s.institutions[u.Institution].Name
	extension, _ := out["extData"].(map[string]any)
	if extension == nil {
		extension = map[string]any{}
	}
	extension["setlinfo"] = []any{map[string]any{"setlId": x.SetlID, "mdtrtId": u.MdtrtID, "psnNo": u.PsnNo, "medinsSetlId": u.OrderNo,
		"setltime": inChina(x.At), "medType": u.MedType, "clrOptins": clearingOffice(v.Area), "clrWay": "1", "clrType": "11",
		"medfeeSumamt": s.centreYuan(a.Total), "hifpPay": s.centreYuan(a.Pooled), "cvlservPay": s.centreYuan(a.Civil), "othPay": s.centreYuan(a.Other),
		"fundPaySumamt": s.centreYuan(a.Fund), "acctPay": s.centreYuan(a.Account), "acctMulaidPay": s.centreYuan(a.Family),
		"psnCashPay": s.centreYuan(a.Cash), "hospPartAmt": s.centreYuan(a.Hospital), "balc": s.centreYuan(a.Balance)}}
	detail := []any{}
	for _, one := range s.setldetail(v, a, 1) {
		row, _ := one.(map[string]any)
		detail = append(detail, map[string]any{"fundpaytype": row["fund_pay_type"], "fundpaytypename": row["fund_pay_type_name"],
			"inscpscpamt": s.centreAmount(row["inscp_scp_amt"]), "crtpayblmtamt": s.centreAmount(row["crt_payb_lmt_amt"]),
			"fundpayamt": s.centreAmount(row["fund_payamt"]), "setlprocinfo": row["setl_proc_info"]})
	}
	if len(detail) > 0 {
		extension["setldetail"] = detail
	}
	out["extData"] = extension
}

func (s *Sim) centreAmount(v any) any {
	y, _ := v.(money.Yuan) // the core platform's setldetail holds no other amounts
	return s.centreYuan(y.Fen)
}
