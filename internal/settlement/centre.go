package settlement

import (
	"context"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/split"
)

// ErrAuth is a refusal for the authorisation's sake: expired, used, or another person's. A new one is needed, and with it every number new.
var ErrAuth = fault.New(fault.Rejected, "INSURER_AUTH", "医保授权已失效，请重新授权")

// Centre is the insurance leg's counterpart where WeChat has the settlement made under the patient's password: the mobile-payment centre
// (医保移动支付中心) by nhsa-mobile-pay.md. Errors have kinds as Insurer's have. An answer counts only when its signature was verified; a
// failure answer carries none, so what it claims is never evidence for a state that moves money: only Query is.
type Centre interface {
	// Upload is 6201, after 1101 where nobody has told the person number. It moves no money; a refusal is Rejected (ErrAuth when a new
	// authorisation would help). Without its answer nothing can be queried or revoked, so a lost one needs a fresh OrderNo and BatchNo.
	Upload(ctx context.Context, c Claim) (Uploaded, error)
	// Foresee is 6202 under a fresh orgBizSer: who would pay what. It moves no money. ErrAuth and other refusals as Upload.
	Foresee(ctx context.Context, serial string, c Claim) (Stand, error)
	// Query is 6301: how the upload stands. Only a verified answer about this upload is returned; everything else is Unknown.
	Query(ctx context.Context, c Claim) (Stand, error)
	// Revoke is 6401. Its answer decides nothing, Query does.
	Revoke(ctx context.Context, c Claim) error
	// Refund is 6203 for the whole settlement; again with the same number it does nothing new. Nil is a verified SUCC, Rejected a verified
	// FAIL, Unknown everything else (EXP too): then Query tells.
	Refund(ctx context.Context, r GiveBack) error
}

// Upload names what was uploaded to the centre.
type Upload struct {
	OrderNo  string          // medOrgOrd, ours, at most 20 characters; WeChat's serial_no
	PayOrdID string          // 支付订单号, the centre's; empty until 6201 has answered
	PayToken sensitive.Token // opens Query and Revoke
	ECToken  sensitive.Token // 电子凭证 token, where 1101 gave one
	At       time.Time       // when 6201 was answered: WeChat's med_ins_order_create_time
}

// Uploaded is the answer of 6201.
type Uploaded struct {
	Visit    Visit // with what 1101 and 6201 told
	PayOrdID string
	PayToken sensitive.Token
	ECToken  sensitive.Token
}

// Figures are the centre's own amounts, exactly as read: WeChat compares them with what it is sent. Total = Fund + Account + Other + Cash.
type Figures struct {
	Total   money.Fen // feeSumamt
	Fund    money.Fen // fundPay
	Account money.Fen // psnAcctPay
	Other   money.Fen // othFeeAmt; 0 where the answer has none
	Cash    money.Fen // ownPayAmt
}

// Check returns split.ErrSplit unless every figure is ≥ 0 and they sum to the total.
func (f Figures) Check(total money.Fen) error {
	if f.Total != total {
		return split.ErrSplit.Because(fmt.Errorf("the centre counts %s, the bill %s", f.Total, total))
	}
	return split.Split{PooledFund: f.Fund, OtherFund: f.Other, Account: f.Account, Cash: f.Cash}.Check(total)
}

// Stand is the answer of 6202 and 6301.
type Stand struct {
	State     OrdStas
	OrderNo   string      // medOrgOrd as the centre knows it; empty when not told
	Told      bool        // Figures are in the answer
	Figures   Figures     //
	Split     split.Split // Foresee only: the same divided by funds, as the area's Profile reads it
	Balance   *money.Fen  // 个人账户余额, if told
	MdtrtID   string
	SetlID    string // 结算ID, where the answer has one
	SettledAt time.Time
	ClrOptins string
	ClrWay    string
	ClrType   string
	RevsToken sensitive.Token // 冲正授权
}

// GiveBack is one 6203.
type GiveBack struct {
	Claim      Claim
	Number     string    // appRefdSn, kept across repeats
	At         time.Time // appRefdTime, likewise
	Figures    Figures   // of the settlement
	OutTradeNo string    // WeChat's number, where cash was paid
}
