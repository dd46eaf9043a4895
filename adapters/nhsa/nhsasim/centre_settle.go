package nhsasim

import "github.com/tuoka/tuoka/internal/money"

// mixedSums are the parts of a mixed order that WeChat wants settled, in fen.
type mixedSums struct {
	Gov   money.Fen `json:"gov"`
	Self  money.Fen `json:"self"`
	Other money.Fen `json:"other"`
	Cash  money.Fen `json:"cash"`
}

// The refusals of SettleMixed, as med_ins_fail_reason quotes them.
const (
	reasonUnknown   = "支付订单不存在或与医疗机构订单号、机构编码不符"
	reasonAuth      = "授权码与支付订单不符"
	reasonSettled   = "支付订单已结算"
	reasonRevoked   = "支付订单已撤销"
	reasonGivenBack = "支付订单已退费"
	reasonFailed    = "支付订单结算已失败"
	reasonUnforesee = "支付订单未完成支付下单"
	reasonMoved     = "结算金额与预结算金额不一致,请重新下单"
	reasonOther     = "上送金额与预结算金额不一致"
	reasonBroken    = "医保结算系统异常"
)

// SettleMixed is WeChat having an upload settled under the patient's password. The answer is why not, in the words of med_ins_fail_reason;
// empty: it is settled, and 6302 will say so. Asked again with the same numbers and amounts, as WeChat does when it lost the answer, it does
// nothing and answers the same. That the authorisation has run out since 6202 does not matter.
func (s *Sim) SettleMixed(payOrderID, payAuthNo, serialNo, medInstNo string, gov, self, other, cash money.Fen) (reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[payOrderID]
	asked := mixedSums{gov, self, other, cash}
	switch {
	case u == nil || u.OrderNo != serialNo || u.Institution != medInstNo:
		return reasonUnknown
	case u.Auth != payAuthNo || payAuthNo == "":
		return reasonAuth
	case u.Stas == stasAllDone && *u.Asked == asked:
		return ""
	case u.Stas == stasFailed && *u.Asked == asked:
		return u.Reason
	case u.Stas != stasForeseen:
		return closedTo(u.Stas)
	}
	x, reason := s.settleNow(u, asked)
	if reason == "" {
		return s.keepSettlement(u, x, asked)
	}
	if s.record(entry{Kind: "mixed_failed", PayOrdID: u.PayOrdID, Asked: &asked, Reason: reason}) != nil {
		return reasonBroken // nothing was settled, and the upload stands where it stood
	}
	return reason
}

// closedTo says why an upload with that code is not settled.
func closedTo(code int) string {
	switch code {
	case stasSaved:
		return reasonUnforesee
	case stasRevoked:
		return reasonRevoked
	case stasFailed:
		return reasonFailed
	case stasAllDone:
		return reasonSettled
	}
	return reasonGivenBack
}

// settleNow works out who pays by what holds now: what another visit has used since 6202 makes the amounts differ, and then nothing is settled.
func (s *Sim) settleNow(u *upload, asked mixedSums) (*settlement, string) {
	if text, ordered := s.scripts.refusal(u.PayOrdID); ordered {
		return nil, text
	}
	x, err := s.assess(s.visits[u.MdtrtID], s.persons[u.PsnNo], u.MedType, u.Rows, u.Foreseen.UseAccount, s.clock.Now())
	if err != nil {
		return nil, err.Error()
	}
	now := s.figures(x.Amounts)
	switch {
	case x.Amounts.payers() != u.Foreseen.Amounts.payers():
		return nil, reasonMoved
	case now != centreFigures{asked.Gov, asked.Self, asked.Other, asked.Cash}:
		return nil, reasonOther
	}
	return x, ""
}

// payers are the parts of amounts by who pays them. Two accounts may change places and leave the figures that WeChat repeats as they were.
func (a amounts) payers() [7]money.Fen {
	return [...]money.Fen{a.Pooled, a.Civil, a.Other, a.Account, a.Family, a.Hospital, a.Cash}
}

// keepSettlement makes it true, together with the notice that tells it.
func (s *Sim) keepSettlement(u *upload, x *settlement, asked mixedSums) string {
	x.SetlID, x.MsgID, x.Batch, x.CertType, x.PayOrdID = s.newID(), u.PayOrdID, u.Batch, "01", u.PayOrdID
	e := entry{Kind: "mixed_settled", PayOrdID: u.PayOrdID, Settle: x, Asked: &asked, RevsToken: s.source.Nonce(32), Notice: s.newNotice(u)}
	if s.record(e) != nil {
		return reasonBroken
	}
	return ""
}

// CentreStand is the true code of an upload (ordStas), whatever is told; false when there is none.
func (s *Sim) CentreStand(payOrderID string) (ordStas int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.uploads[payOrderID]; u != nil {
		return u.Stas, true
	}
	return 0, false
}
