// Package split says who pays a bill: funds, accounts, hospital, patient. It is arithmetic only.
package split

import (
	"fmt"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
)

// ErrSplit is a split whose parts are negative or do not sum to the total.
var ErrSplit = fault.New(fault.Invalid, "SPLIT_UNEQUAL", "费用分割金额不平，暂不能缴费，请联系医院")

// Split divides a bill's total. Every part is ≥ 0 fen and their sum is the total (design.md §2); regional differences are
// settled by the adapter before a Split exists.
type Split struct {
	PooledFund    money.Fen `json:"pooled_fund_fen"`    // 统筹基金支付
	OtherFund     money.Fen `json:"other_fund_fen"`     // 其他基金支付: 公务员、大病、补充、大额、救助、其他
	Account       money.Fen `json:"account_fen"`        // 个人账户支付
	FamilyAccount money.Fen `json:"family_account_fen"` // 个人账户共济支付
	HospitalBorne money.Fen `json:"hospital_borne_fen"` // 医院负担
	Cash          money.Fen `json:"cash_fen"`           // 个人现金支付, after the insurer's settlement
	Uninsured     money.Fen `json:"uninsured_fen"`      // items never sent to the insurer
}

// AllCash is the split of a bill that no insurer sees.
func AllCash(total money.Fen) Split { return Split{Uninsured: total} }

func (s Split) parts() [7]money.Fen {
	return [7]money.Fen{s.PooledFund, s.OtherFund, s.Account, s.FamilyAccount, s.HospitalBorne, s.Cash, s.Uninsured}
}

// Check returns ErrSplit unless every part is ≥ 0 and all sum to total.
func (s Split) Check(total money.Fen) error {
	parts := s.parts()
	for _, p := range parts {
		if p < 0 {
			return ErrSplit.Because(fmt.Errorf("a part is %s", p))
		}
	}
	sum, err := money.Add(parts[:]...)
	if err != nil || sum != total {
		return ErrSplit.Because(fmt.Errorf("the parts sum to %s, the total is %s", sum, total))
	}
	return nil
}

// Total is the sum of all parts. Only a checked split may be asked.
func (s Split) Total() money.Fen {
	var sum money.Fen
	for _, p := range s.parts() {
		sum += p
	}
	return sum
}

// Fund is what all funds pay together (基金支付总额).
func (s Split) Fund() money.Fen { return s.PooledFund + s.OtherFund }

// Charge is what the patient pays by WeChat: Cash + Uninsured.
func (s Split) Charge() money.Fen { return s.Cash + s.Uninsured }

// Insured is the part of the total that the insurer settles, medfee_sumamt.
func (s Split) Insured() money.Fen { return s.Total() - s.Uninsured }
