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

	RefundReserved money.Fen // promised back in all, never above Amount
	Back           MoneyBack // the whole, where the order is unwound

	changed bool
}

// MoneyBack is money of a payment on its way back to the patient, under one number at a time.
type MoneyBack struct {
	OutRefundNo string // ours; empty: nothing is asked
	Amount      money.Fen
	Request     []byte // exact body of the refund call, sent first and again; sealed at rest
	RefundID    string // WeChat's, once it has acknowledged the number
	Asked       int    // how often the call was sent
	AskedAt     time.Time
	Numbers     int       // how many numbers were made, dead ones too
	Doubts      int       // verified answers in a row that contradict us
	ReturnedAt  time.Time // when the money was back; zero: it is not
}

// Returned reports whether the money is back with the patient.
func (m *MoneyBack) Returned() bool { return !m.ReturnedAt.IsZero() }

// Ask begins under a number of its own. The request is exact and is sent byte for byte, first and again.
func (m *MoneyBack) Ask(outRefundNo string, amount money.Fen, request []byte, at time.Time) {
	*m = MoneyBack{OutRefundNo: outRefundNo, Amount: amount, Request: request, AskedAt: at, Numbers: m.Numbers + 1}
}

// Dead notes that the number is dead and the money still here: only a new number can bring it back. The amount stays promised.
func (m *MoneyBack) Dead() { *m = MoneyBack{Amount: m.Amount, AskedAt: m.AskedAt, Numbers: m.Numbers} }

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

// Received is the patient's money arriving, as ledger lines against that account.
func (p *Payment) Received(counter ledger.Account) ledger.Posting {
	return ledger.Against(counter, ledger.Line{Account: ledger.WechatCash, Amount: p.Amount})
}

// Reserve promises money back; false when that would be more than was paid.
func (p *Payment) Reserve(amount money.Fen) bool {
	if amount <= 0 || p.RefundReserved > p.Amount-amount {
		return false
	}
	p.RefundReserved, p.changed = p.RefundReserved+amount, true
	return true
}

// Release takes a promise back of which nothing is under way any more.
func (p *Payment) Release(amount money.Fen) {
	p.RefundReserved, p.changed = p.RefundReserved-amount, true
}

// Sent counts a cash order going out.
func (p *Payment) Sent() { p.Asked, p.changed = p.Asked+1, true }

// Unsent takes a count back: the call never left.
func (p *Payment) Unsent() { p.Asked, p.changed = p.Asked-1, true }
