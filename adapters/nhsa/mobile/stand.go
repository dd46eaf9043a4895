package mobile

import (
	"errors"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// tokenOf is nothing for an empty text.
func tokenOf(text string) sensitive.Token {
	if text == "" {
		return sensitive.Token{}
	}
	return sensitive.NewToken(text)
}

// standOf reads the answer of 6202 and 6301, which must be about this upload.
func standOf(out fields, claim settlement.Claim) (settlement.Stand, error) {
	id, err1 := out.text("payOrdId")
	orderNo, err2 := out.text("medOrgOrd")
	code, err3 := out.code("ordStas")
	if err := errors.Join(err1, err2, err3); err != nil {
		return settlement.Stand{}, err
	}
	if id == "" || id != claim.Upload.PayOrdID {
		return settlement.Stand{}, ErrUnreadable.Because(errors.New("the answer is about another payOrdId"))
	}
	s := settlement.Stand{State: settlement.OrdStas(code), OrderNo: orderNo}
	if err := readFigures(out, claim.Total, &s); err != nil {
		return settlement.Stand{}, err
	}
	revs, err := out.text("revsToken")
	if err != nil {
		return settlement.Stand{}, err
	}
	extension := out.object("extData")
	s.RevsToken, s.SettledAt = tokenOf(revs), out.moment("hiChrgTime", "traceTime")
	s.MdtrtID, _ = out.text("mdtrtId")
	if s.MdtrtID == "" {
		s.MdtrtID, _ = extension.text("mdtrtId")
	}
	if balance, told, err := extension.object("preSetl").yuan("balc"); err == nil && told {
		s.Balance = &balance
	}
	info := extension.object("setlinfo")
	s.SetlID, _ = info.text("setlId")
	s.ClrOptins, _ = info.text("clrOptins")
	s.ClrWay, _ = info.text("clrWay")
	s.ClrType, _ = info.text("clrType")
	if s.MdtrtID == "" {
		s.MdtrtID, _ = info.text("mdtrtId")
	}
	if at := info.moment("setltime"); !at.IsZero() {
		s.SettledAt = at
	}
	return s, nil
}

// readFigures reads the amounts where there are any. States 0 to 2 may have none, or the total alone, or nothing but zeros. A part that is left
// out is nothing only where the others already make up the total; otherwise nobody can tell what it is.
func readFigures(out fields, total money.Fen, s *settlement.Stand) error {
	var f settlement.Figures
	told, parts := map[string]bool{}, money.Fen(0)
	for _, m := range []struct {
		name string
		p    *money.Fen
	}{{"feeSumamt", &f.Total}, {"fundPay", &f.Fund}, {"psnAcctPay", &f.Account}, {"ownPayAmt", &f.Cash}, {"othFeeAmt", &f.Other}} {
		fen, there, err := out.yuan(m.name)
		if err != nil {
			return err
		}
		*m.p, told[m.name] = fen, there
		if there && m.name != "feeSumamt" {
			if parts, err = money.Add(parts, fen); err != nil {
				return ErrUnequal.Because(err)
			}
		}
	}
	complete := told["fundPay"] && told["psnAcctPay"] && told["ownPayAmt"]
	some := told["fundPay"] || told["psnAcctPay"] || told["ownPayAmt"] || told["othFeeAmt"]
	switch {
	case f == (settlement.Figures{}):
		return nil
	case told["feeSumamt"] && !some && f.Total == total:
		return nil
	case !told["feeSumamt"] || (!complete && parts != f.Total):
		return ErrUnreadable.Because(errors.New("some amounts are missing"))
	}
	s.Told, s.Figures = true, f
	return nil
}

// otherFunds are the funds of preSetl besides the pooled one.
var otherFunds = []string{"cvlserv_pay", "hifes_pay", "hifmi_pay", "hifob_pay", "maf_pay", "hifdm_pay", "oth_pay"}

// splitOf divides the figures further where extData.preSetl allows it and agrees; a detail that contradicts the figures is left aside, for the
// figures are what is settled and what WeChat compares. fundPay is the sum of the funds, so the pooled one is what the others leave, whatever
// fund_pay_sumamt contains in the area. hospPartAmt stands beside the sum and is no part of it.
func splitOf(out fields, f settlement.Figures) split.Split {
	s := split.Split{PooledFund: f.Fund, OtherFund: f.Other, Account: f.Account, Cash: f.Cash}
	detail := out.object("extData").object("preSetl")
	if others, ok := othersOf(detail, f); ok {
		s.PooledFund, s.OtherFund = f.Fund-others, others+f.Other
	}
	family, told, err := out.yuan("acctMulaidPay")
	if !told && err == nil {
		family, told, err = detail.yuan("acct_mulaid_pay")
	}
	own, ownTold, bad := out.yuan("selfAcctPay")
	if told && err == nil && bad == nil && family >= 0 && family <= f.Account && (!ownTold || own+family == f.Account) {
		s.Account, s.FamilyAccount = f.Account-family, family
	}
	return s
}

// othersOf sums the named funds of a detail that agrees with the figures wherever both speak.
func othersOf(detail fields, f settlement.Figures) (others money.Fen, ok bool) {
	for _, name := range otherFunds {
		fen, _, err := detail.yuan(name)
		if err != nil || fen < 0 {
			return 0, false
		}
		others += fen
	}
	for name, agrees := range map[string]func(money.Fen) bool{
		"medfee_sumamt":   func(v money.Fen) bool { return v == f.Total },
		"psn_cash_pay":    func(v money.Fen) bool { return v == f.Cash },
		"fund_pay_sumamt": func(v money.Fen) bool { return v == f.Fund || v == f.Fund+f.Account },
		"hifp_pay":        func(v money.Fen) bool { return v+others == f.Fund },
	} {
		if v, told, err := detail.yuan(name); err != nil || (told && !agrees(v)) {
			return 0, false
		}
	}
	return others, others <= f.Fund
}
