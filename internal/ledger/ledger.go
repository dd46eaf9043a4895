// Package ledger is double entry behind every fen: each event that moves money posts lines that sum to nothing, in the event's own transaction.
package ledger

import (
	"fmt"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
)

// ErrUnequal is a posting whose lines do not sum to nothing: a bug, never to be stored.
var ErrUnequal = fault.New(fault.Internal, "LEDGER_UNEQUAL", "系统繁忙，请稍后再试")

// Account is where money stands. Debits are positive.
type Account string

// The accounts.
const (
	WechatCash    Account = "wechat_cash"    // 微信支付待结算款: patients' cash at WeChat
	PooledFund    Account = "pooled_fund"    // 应收统筹基金
	OtherFund     Account = "other_fund"     // 应收其他基金
	PersonAccount Account = "person_account" // 应收个人账户
	FamilyAccount Account = "family_account" // 应收共济账户
	HospitalBorne Account = "hospital_borne" // 医院负担
	Revenue       Account = "revenue"        // 医疗收入
	RefundsDue    Account = "refunds_due"    // 应退款: agreed to go back, not yet back on every side
	WechatFee     Account = "wechat_fee"     // 微信支付手续费
	Suspense      Account = "suspense"       // 暂收款: received, not yet posted to the HIS; or handed back by the window, not yet matched
)

// Accounts lists them all, as a trial balance shows them.
func Accounts() []Account {
	return []Account{WechatCash, PooledFund, OtherFund, PersonAccount, FamilyAccount, HospitalBorne, Revenue, RefundsDue, WechatFee, Suspense}
}

// Line is one side of a posting; debits positive, credits negative, in fen.
type Line struct {
	Account Account
	Amount  money.Fen
}

// Posting are the lines of one event.
type Posting []Line

// Check returns ErrUnequal unless the lines sum to nothing and none is zero.
func (p Posting) Check() error {
	var sum money.Fen
	for _, l := range p {
		var err error
		if sum, err = money.Add(sum, l.Amount); err != nil || l.Amount == 0 || l.Account == "" {
			return ErrUnequal.Because(fmt.Errorf("line %s %s", l.Account, l.Amount))
		}
	}
	if sum != 0 {
		return ErrUnequal.Because(fmt.Errorf("the lines sum to %s", sum))
	}
	return nil
}

// Against sets lines off against one account and drops those of nothing.
func Against(counter Account, lines ...Line) Posting {
	var p Posting
	var sum money.Fen
	for _, l := range lines {
		if l.Amount != 0 {
			p = append(p, l)
			sum += l.Amount
		}
	}
	if sum != 0 {
		p = append(p, Line{counter, -sum})
	}
	return p
}

// Undo is the same posting with every sign turned.
func (p Posting) Undo() Posting {
	undone := make(Posting, len(p))
	for i, l := range p {
		undone[i] = Line{l.Account, -l.Amount}
	}
	return undone
}
