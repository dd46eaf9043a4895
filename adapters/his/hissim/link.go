package hissim

import (
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// Link is the hospital's own line to the insurer (医保接口). What it cannot get an answer to is an error; what the insurer refuses is a LinkRefusal.
type Link interface {
	// Number makes the number of a call that may move money.
	Number() string
	// Presettle registers the visit unless it was before, uploads the lines anew and asks who pays.
	Presettle(c LinkClaim) (LinkAnswer, error)
	// Repeat asks who pays for what was uploaded.
	Repeat(c LinkClaim) (LinkAnswer, error)
	Settle(number string, c LinkClaim) (LinkAnswer, error)
	// Reverse undoes the settlement, or the cancellation, that was asked under the original number.
	Reverse(number string, v LinkVisit, original string, cancellation bool) error
	Cancel(number string, v LinkVisit, setlID string) error
	InForce(v LinkVisit, setlID string) (bool, error)
	Withdraw(c LinkClaim) error
}

// LinkRefusal is what the insurer refuses, in his words.
type LinkRefusal string

// Error is the insurer's words.
func (r LinkRefusal) Error() string { return string(r) }

// LinkVisit is what the insurer calls the visit.
type LinkVisit struct {
	VisitNo      string `json:"visit_no"` // the hospital's own number of it
	MdtrtID      string `json:"mdtrt_id"`
	PsnNo        string `json:"psn_no"`
	Insutype     string `json:"insutype"`
	CoverageArea string `json:"insuplc_admdvs"`
}

// LinkEcho is what a settlement repeats of what was foreseen, in fen.
type LinkEcho struct {
	FullySelfPaid money.Fen `json:"fulamt_ownpay_amt"`
	OverLimit     money.Fen `json:"overlmt_selfpay"`
	FirstSelfPaid money.Fen `json:"preselfpay_amt"`
	InScope       money.Fen `json:"inscp_scp_amt"`
}

// LinkClaim is what the insurer is asked about. Bills hold the lines asked for alone.
type LinkClaim struct {
	Name, IDNo string
	PayAuthNo  string // empty: none, or one that has run out
	Visit      LinkVisit
	BatchNo    string
	Bills      []Bill
	TotalFen   money.Fen
	UseAccount bool
	Echo       LinkEcho
}

// LinkAnswer is who pays, and where it was settled, the settlement.
type LinkAnswer struct {
	Visit      LinkVisit
	Parts      Parts
	Echo       LinkEcho
	BalanceFen *money.Fen
	SetlID     string
	SettledAt  time.Time
	ClrOptins  string
	ClrWay     string
	ClrType    string
}
