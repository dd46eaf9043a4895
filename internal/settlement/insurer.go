package settlement

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/split"
)

// ErrStands is why a counterpart refuses what has, or of which a bill has, a settlement already that stands. It proves the contrary of "not settled".
var ErrStands = fault.New(fault.Rejected, "SETTLEMENT_STANDS", "该费用单已有医保结算")

// Insurer is the insurance leg's counterpart: the core platform by nhsa-core.md, or a HIS with a link of its own. Each error has a kind
// (design.md §4.3): Unavailable when nothing was sent, Rejected when the counterpart said no (Msg carries its words), Unknown for
// everything that is not a trustworthy answer.
type Insurer interface {
	// MsgID makes the number of a call that may move money (发送方报文ID, 30 characters). It is stored before it is used, and used once.
	MsgID() string
	// Presettle registers the visit unless the HIS did, uploads visit and lines and asks for the split: 1101 (when the person number is
	// not known), 2201, 2203A, 2204, 2206. It moves no money. With a visit that was uploaded before (Claim.Visit filled) the rows still
	// unsettled are withdrawn first, whatever that answers. On an error the result's Visit still tells how far it came.
	Presettle(ctx context.Context, c Claim) (Presettlement, error)
	// Repeat asks 2206 once more on the batch as it stands. Accepted proves that the batch is not settled.
	Repeat(ctx context.Context, c Claim) (Presettlement, error)
	// Settle is 2207 under msgID. The answer's split is checked (E1–E5); an answer that does not add up is Unknown. ErrStands is no proof that nothing
	// is settled.
	Settle(ctx context.Context, msgID string, c Claim) (Outcome, error)
	// Reverse is 2601 under msgID for the lost call original ("2207" or "2208") whose message was originalMsgID.
	Reverse(ctx context.Context, msgID string, visit Visit, original, originalMsgID string) error
	// Cancel is 2208 under msgID.
	Cancel(ctx context.Context, msgID string, visit Visit, setlID string) error
	// InForce asks 5203 whether the settlement stands (true) or is cancelled (false).
	InForce(ctx context.Context, visit Visit, setlID string) (bool, error)
	// Withdraw removes the unsettled rows and, if we registered it, the visit: 2205, 2202. No money; a refusal is final and
	// harmless, but for ErrStands.
	Withdraw(ctx context.Context, c Claim) error
	// SettleWait is how long a refused 2601 must rest before Repeat is believed (Profile.SettleWait).
	SettleWait() time.Duration
}

// Person is the patient towards the insurer. The credential is Token while it lives, or the identity number, as the area's Profile says.
type Person struct {
	Name        sensitive.Name
	IDNumber    sensitive.IDNumber
	Token       sensitive.Token // 医保电子凭证 token or pay_auth_no; may be empty where the ID card serves
	UsableUntil time.Time
}

// Visit is what the insurer calls the visit. PersonNo and MdtrtID come from the HIS or from 1101 and 2201.
type Visit struct {
	PersonNo      string `json:"psn_no,omitempty"`
	MdtrtID       string `json:"mdtrt_id,omitempty"`
	InsuranceType string `json:"insutype,omitempty"`
	CoverageArea  string `json:"insuplc,omitempty"`
	VisitNo       string `json:"ipt_otp_no"`     // 门诊号; ours (at most 30 characters), or the HIS's when it registered the visit
	Ours          bool   `json:"ours,omitempty"` // we sent the 2201, so 2202 is ours to send
}

// Claim is everything the insurer needs to know for one settlement. Only the bills' insured lines are sent; where the insurer numbers lines within the
// visit, the adapter makes numbers of the batch, for the lines of a former settlement may still stand.
type Claim struct {
	OrderNo    string // which a HIS with a link of its own wants to know
	Person     Person
	Visit      Visit
	BatchNo    string // chrg_bchno, at most 30 characters, ours
	Bills      []bill.Bill
	Total      money.Fen // medfee_sumamt: the sum of the insured lines
	UseAccount bool      // acct_used_flag
	Echo       Echo      // from Presettle; for Settle
	Upload     Upload    // at the mobile-payment centre only
	Location   string    // longitude,latitude of the patient, where known; the centre wants it
}

// Echo are the four amounts of 2206 that 2207 must repeat.
type Echo struct {
	FullySelfPaid money.Fen `json:"fulamt_ownpay_amt"` // 全自费
	OverLimit     money.Fen `json:"overlmt_selfpay"`   // 超限价自费
	FirstSelfPaid money.Fen `json:"preselfpay_amt"`    // 先行自付
	InScope       money.Fen `json:"inscp_scp_amt"`     // 符合政策范围
}

// Presettlement is the answer of 2206 and what led to it.
type Presettlement struct {
	Visit   Visit
	Split   split.Split // Uninsured is 0; the parts sum to Claim.Total
	Echo    Echo
	Balance *money.Fen // 个人账户余额 after this settlement, if told
}

// Outcome is the answer of 2207.
type Outcome struct {
	SetlID    string // 结算ID
	Split     split.Split
	SettledAt time.Time
	ClrOptins string // clearing agency, way and type: for reconciliation
	ClrWay    string
	ClrType   string
}
