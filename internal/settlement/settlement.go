// Package settlement is the insurance leg of an order: presettle, settle, query, cancel, reverse. It decides what one answer of the
// insurer means for one settlement; when to ask, and what follows for the order, the order decides.
package settlement

import (
	"strconv"
	"time"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/split"
)

// ID names one settlement attempt.
type ID int64

// No is its decimal text, at most 19 digits: the order number that the mobile-payment centre and WeChat see (medOrgOrd, serial_no).
func (id ID) No() string { return strconv.FormatInt(int64(id), 10) }

// Settlement is one attempt to have the insurer pay its part. An order has many, at most one of them open.
type Settlement struct {
	ID      ID
	Seq     int // 1 for the order's first attempt
	State   State
	Version int64

	Visit      Visit
	BatchNo    string
	Total      money.Fen // medfee_sumamt: the insured lines
	UseAccount bool
	Echo       Echo
	Foreseen   split.Split // by 2206
	Balance    *money.Fen

	MsgID      string    // of the call asked last: 2207, 2208 or their 2601
	LostMsgID  string    // of the 2207 or 2208 whose answer is lost
	Settles    int       // how many 2207 were sent; at the centre: 6201
	Restores   int       // how many rounds of query and 2601 a lost 2208 has had
	AskedUntil time.Time // nobody asks, reverses or repeats before this moment

	SetlID    string
	Actual    split.Split // by 2207; counts from settled on
	SettledAt time.Time
	ClrOptins string
	ClrWay    string
	ClrType   string
	Refusal   string // the insurer's words, may hold personal data: sealed at rest

	Upload     Upload          // at the mobile-payment centre; the tokens are sealed at rest
	Serial     string          // orgBizSer of the 6202 asked last
	Figures    Figures         // of 6202, exactly as read
	OrdStas    OrdStas         // as told last
	RefundNo   string          // appRefdSn, kept across repeats
	RefundAt   time.Time       // appRefdTime, likewise
	RevsToken  sensitive.Token // 冲正授权, sealed at rest
	HandedOver bool            // WeChat may have it settled at any moment
	Doubts     int             // verified answers in a row that contradict us

	Anew bool // of what a refund leaves insured

	changed bool
}

// New opens an attempt. Its numbers are made before anything is sent.
func New(id ID, seq int, visit Visit, batchNo string, total money.Fen, useAccount bool) *Settlement {
	return &Settlement{ID: id, Seq: seq, State: Presettling, Visit: visit, BatchNo: batchNo, Total: total, UseAccount: useAccount, changed: true}
}

// Changed reports whether there is something to store.
func (s *Settlement) Changed() bool { return s.changed }

// Stored is called by the store when the row is written: the version it now has.
func (s *Settlement) Stored(version int64) { s.Version, s.changed = version, false }

// NewOfRest opens the attempt to settle what a refund leaves insured.
func NewOfRest(id ID, seq int, visit Visit, batchNo string, total money.Fen, useAccount bool) *Settlement {
	s := New(id, seq, visit, batchNo, total, useAccount)
	s.Anew = true
	return s
}

// Stood reports whether the insurer was asked to settle it and has not said no: it stands, stood, or may stand.
func (s *Settlement) Stood() bool {
	switch s.State {
	case Settling, Reversing, Resting, Settled, Cancelling, Checking, Restoring, Cancelled, InReview:
		return true
	}
	return false
}

// Open reports whether the insurer may owe something, or is asked whether he does. Of what a refund prepares, nothing is owed before it is settled.
func (s *Settlement) Open() bool { return !s.State.Final() && (!s.Anew || s.Stood()) }

// Posting is the insurer's debt as ledger lines against an account; nothing for amounts of nothing.
func (s *Settlement) Posting(against ledger.Account) ledger.Posting {
	a := s.Actual
	return ledger.Against(against, ledger.Line{Account: ledger.PooledFund, Amount: a.PooledFund},
		ledger.Line{Account: ledger.OtherFund, Amount: a.OtherFund}, ledger.Line{Account: ledger.PersonAccount, Amount: a.Account},
		ledger.Line{Account: ledger.FamilyAccount, Amount: a.FamilyAccount}, ledger.Line{Account: ledger.HospitalBorne, Amount: a.HospitalBorne})
}
