// Package payment is the cash leg of an order: order, query, close and give back money at WeChat Pay. It decides what one answer of
// WeChat means for one payment; when to ask, and what follows for the order, the order decides.
package payment

import (
	"time"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
)

// ID names one payment attempt.
type ID int64

// Payment is one attempt to collect the patient's part. An order has many, at most one of them open.
type Payment struct {
	ID      ID
	Seq     int
	State   State
	Version int64

	OutTradeNo string // ours, made once
	Amount     money.Fen
	Request    []byte // exact body of the order call, sent first and again; sealed at rest
	ExpiresAt  time.Time
	PrepayID   string
	Asked      int // how often the order call was sent
	Doubts     int // verified answers in a row that contradict us

	TransactionID string
	PaidAt        time.Time

	OutRefundNo    string
	RefundRequest  []byte // exact body of the refund call; sealed at rest
	RefundID       string
	RefundReserved money.Fen // promised back, never above Amount
	RefundAsked    int
	RefundedAt     time.Time

	changed bool
}

// New opens an attempt whose request is already exact.
func New(id ID, seq int, outTradeNo string, amount money.Fen, request []byte, expiresAt time.Time) *Payment {
	return &Payment{ID: id, Seq: seq, State: Preparing, OutTradeNo: outTradeNo, Amount: amount, Request: request, ExpiresAt: expiresAt, changed: true}
}

// Changed reports whether there is something to store.
func (p *Payment) Changed() bool { return p.changed }

// Stored is called by the store when the row is written: the version it now has.
func (p *Payment) Stored(version int64) { p.Version, p.changed = version, false }

// Touch notes that fields other than the state changed.
func (p *Payment) Touch() { p.changed = true }

// Received is the patient's money arriving, as ledger lines.
func (p *Payment) Received() ledger.Posting {
	return ledger.Against(ledger.Suspense, ledger.Line{Account: ledger.WechatCash, Amount: p.Amount})
}

// Sent counts a cash order going out.
func (p *Payment) Sent() { p.Asked, p.changed = p.Asked+1, true }

// Unsent takes a count back: the call never left.
func (p *Payment) Unsent() { p.Asked, p.changed = p.Asked-1, true }
