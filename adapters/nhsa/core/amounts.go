package core

import (
	"errors"
	"fmt"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// amounts are a settlement's figures, read from setlinfo and freed of the area's habits.
type amounts struct {
	split split.Split
	echo  settlement.Echo
}

// normalise reads setlinfo by the Profile and proves the equations E1 to E6 of nhsa-core.md §5 and that it is about total. Every
// contradiction is ErrUnequal, whose kind is Unknown: money may have moved.
func (p *Profile) normalise(out settleOutput, total money.Fen) (amounts, error) {
	i := out.Info
	if i == nil {
		return amounts{}, ErrUnreadable.Because(errors.New("no setlinfo"))
	}
	for name, y := range map[string]money.Yuan{"medfee_sumamt": i.Total, "fulamt_ownpay_amt": i.FullySelf, "overlmt_selfpay": i.OverLimit,
		"preselfpay_amt": i.FirstSelf, "inscp_scp_amt": i.InScope, "hifp_pay": i.Pooled, "fund_pay_sumamt": i.Fund, "acct_pay": i.Account,
		"psn_cash_pay": i.cash()} {
		if !y.Present {
			return amounts{}, ErrUnreadable.Because(fmt.Errorf("setlinfo without %s", name))
		}
	}
	s := split.Split{PooledFund: i.Pooled.Fen, OtherFund: i.CivilServant.Fen + i.Enterprise.Fen + i.Serious.Fen + i.LargeAmount.Fen + i.Assistance.Fen +
		i.Disabled.Fen + i.OtherFund.Fen, Account: i.Account.Fen, FamilyAccount: i.Family.Fen, HospitalBorne: i.Hospital.Fen, Cash: i.cash().Fen}
	if p.FamilyAccount == InsideAccount {
		s.Account -= s.FamilyAccount
	}
	e := settlement.Echo{FullySelfPaid: i.FullySelf.Fen, OverLimit: i.OverLimit.Fen, FirstSelfPaid: i.FirstSelf.Fen, InScope: i.InScope.Fen}
	for _, part := range []money.Yuan{i.CivilServant, i.Enterprise, i.Serious, i.LargeAmount, i.Assistance, i.Disabled, i.OtherFund, i.FullySelf,
		i.OverLimit, i.FirstSelf, i.InScope} {
		if part.Fen < 0 {
			return amounts{}, unequal("a part is %s", part.Fen)
		}
	}
	if i.Total.Fen != total {
		return amounts{}, unequal("medfee_sumamt is %s, the claim %s", i.Total.Fen, total)
	}
	if err := s.Check(total); err != nil { // E2 with E3
		return amounts{}, ErrUnequal.Because(err)
	}
	if err := p.equations(out, s, e); err != nil {
		return amounts{}, err
	}
	return amounts{split: s, echo: e}, nil
}

// equations are E1 and E3 to E6. s is checked: its parts are not negative and sum to the total.
func (p *Profile) equations(out settleOutput, s split.Split, e settlement.Echo) error {
	i := out.Info
	if sum := e.FullySelfPaid + e.OverLimit + e.FirstSelfPaid + e.InScope; sum != i.Total.Fen {
		return unequal("E1: the buckets sum to %s of %s", sum, i.Total.Fen)
	}
	burden := s.Account + s.FamilyAccount + s.Cash
	if i.Person.Present && i.Person.Fen != burden && !(p.FundContainsAccount && i.Person.Fen == burden-i.Account.Fen) {
		return unequal("E3: psn_part_amt is %s, its parts %s", i.Person.Fen, burden)
	}
	fund, listed := p.stated(s).fund, i.Fund.Fen+i.Account.Fen+i.Hospital.Fen
	if p.FundContainsAccount {
		listed -= i.Account.Fen
	}
	if p.HospitalPart == InsideFund {
		listed -= i.Hospital.Fen
	}
	if i.Fund.Fen != fund {
		return unequal("E4: fund_pay_sumamt is %s, its parts %s", i.Fund.Fen, fund)
	}
	if len(out.Detail) > 0 {
		sum := money.Fen(0)
		for _, d := range out.Detail {
			var err error
			if sum, err = money.Add(sum, d.Amount.Fen); err != nil {
				return ErrUnequal.Because(err)
			}
		}
		if sum != listed {
			return unequal("E5: setldetail sums to %s, not %s", sum, listed)
		}
	}
	if i.Deductible.Fen < 0 || i.Deductible.Fen > e.InScope {
		return unequal("E6: a deductible of %s of %s in scope", i.Deductible.Fen, e.InScope)
	}
	return nil
}

// sums are a settlement's amounts as the area states them.
type sums struct{ total, fund, account, cash money.Fen }

// stated is normalise the other way round: what the area's centre says of a split.
func (p *Profile) stated(s split.Split) sums {
	a := sums{total: s.Insured(), fund: s.Fund(), account: s.Account, cash: s.Cash}
	if p.FamilyAccount == InsideAccount {
		a.account += s.FamilyAccount
	}
	if p.FundContainsAccount { // the account as this area states it
		a.fund += a.account
	}
	if p.HospitalPart == InsideFund {
		a.fund += s.HospitalBorne
	}
	return a
}

// parts frees a statement's row of the area's habits: what all funds paid, and what all accounts paid. What a row does not state apart, the part of
// the hospital inside the fund and the family's account beside the person's own, is taken as it is in ours; of a settlement that we do not have, a
// sum in which it hides is not told. False when the row contradicts itself.
func (p *Profile) parts(a sums, ours *split.Split) (fund, account money.Yuan, ok bool) {
	fund, account = money.InYuan(a.fund), money.InYuan(a.account)
	if p.FundContainsAccount {
		fund.Fen -= a.account
	}
	if p.HospitalPart == InsideFund {
		if ours == nil {
			fund = money.Yuan{}
		} else {
			fund.Fen -= ours.HospitalBorne
		}
	}
	if p.FamilyAccount == Apart {
		if ours == nil {
			account = money.Yuan{}
		} else {
			account.Fen += ours.FamilyAccount
		}
	}
	return fund, account, fund.Fen >= 0 && account.Fen >= 0 && fund.Fen <= a.total
}

func unequal(format string, args ...any) error {
	return ErrUnequal.Because(fmt.Errorf(format, args...))
}

// cash is the cash field by either of its spellings.
func (i *setlinfo) cash() money.Yuan {
	if i.Cash.Present {
		return i.Cash
	}
	return i.CashMisspelt
}
