package payment

import (
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
)

// MixedID names one mixed order of ours.
type MixedID int64

// Mixed is one attempt to have WeChat collect the cash and trigger the settlement under one password. An order may make several, at most
// one of them open; each has an out_trade_no of its own, all of one upload share its serial_no.
type Mixed struct {
	ID      MixedID
	Seq     int
	State   MixedState
	Version int64

	OutTradeNo string // ours, made once; the cash order's, where there is one
	SerialNo   string // medOrgOrd of the upload
	PayOrderID string // payOrdId of the upload
	Amounts    MixedAmounts
	Request    []byte // exact body of the create call, sent first and again; sealed at rest
	ExpiresAt  time.Time
	MixTradeNo string    // WeChat's
	Asked      int       // how often the create call was sent
	AwayUntil  time.Time // a create call without an answer may still arrive before then
	Doubts     int       // verified answers in a row that contradict us
	TypedAt    time.Time // when WeChat said that the password is typed, and so nothing can be closed; zero: it did not
	Refused    string    // the number behind WeChat's refusal (Request-ID)
	FailReason string    // med_ins_fail_reason, for staff; may hold personal data: sealed at rest
	PaidAt     time.Time

	Notice    []byte // exact body of the refund notice; sealed at rest
	NoticedAt time.Time

	changed bool
}

// NewMixed opens an attempt whose request is already exact.
func NewMixed(id MixedID, seq int, o MixedOrder, request []byte, expiresAt time.Time) *Mixed {
	return &Mixed{ID: id, Seq: seq, State: MixedPreparing, OutTradeNo: o.OutTradeNo, SerialNo: o.SerialNo, PayOrderID: o.PayOrderID,
		Amounts: o.Amounts, Request: request, ExpiresAt: expiresAt, changed: true}
}

// Changed reports whether there is something to store.
func (m *Mixed) Changed() bool { return m.changed }

// Stored is called by the store when the row is written: the version it now has.
func (m *Mixed) Stored(version int64) { m.Version, m.changed = version, false }

// Touch notes that fields other than the state changed.
func (m *Mixed) Touch() { m.changed = true }

// Sent counts a create call going out.
func (m *Mixed) Sent() { m.Asked, m.changed = m.Asked+1, true }

// Lost notes that a create call has no answer; arrived is when it can arrive no more.
func (m *Mixed) Lost(arrived time.Time) { m.AwayUntil, m.changed = arrived, true }

// Unsent takes a count back: the call never left.
func (m *Mixed) Unsent() { m.Asked, m.changed = m.Asked-1, true }

// Typed notes that the password was typed: until it is known what came of it, nothing can be closed.
func (m *Mixed) Typed(at time.Time) { m.TypedAt, m.changed = at, true }

// AskNotice moves the attempt to telling: WeChat is to hear that the insurer's part is back. The notice is exact and repeated as it is.
func (m *Mixed) AskNotice(notice []byte, at time.Time) error {
	if err := m.Apply(MixedTell); err != nil {
		return err
	}
	m.Notice, m.NoticedAt = notice, at
	return nil
}

// MixedState is where a mixed order stands.
type MixedState string

// The states.
const (
	MixedPreparing MixedState = "preparing" // 下单中: the create call is asked
	MixedOpen      MixedState = "open"      // 待支付: mix_trade_no is held, the patient may pay
	MixedSucceeded MixedState = "succeeded" // 支付成功: WeChat says that both parts are done
	MixedFailed    MixedState = "failed"    // 支付失败: what was taken all the same, the parts themselves tell
	MixedRefused   MixedState = "refused"   // 下单被拒
	MixedDead      MixedState = "dead"      // 已失效: cash closed and upload revoked, nothing can be paid
	MixedTelling   MixedState = "telling"   // 医保退款通知中
	MixedTold      MixedState = "told"      // 已退款并通知微信
	MixedUntold    MixedState = "untold"    // 已退款，微信未受理通知: its display is wrong, no money is
	MixedInReview  MixedState = "in_review" // 人工核实中
)

// Final reports whether WeChat holds nothing and nothing is asked any more.
func (s MixedState) Final() bool {
	switch s {
	case MixedFailed, MixedRefused, MixedDead, MixedTold, MixedUntold:
		return true
	}
	return false
}

// MixedEvent is what happens to a mixed order.
type MixedEvent string

// The events.
const (
	MixedCreate   MixedEvent = "create"   // WeChat gave a mix_trade_no
	MixedRefuse   MixedEvent = "refuse"   // WeChat took no order
	MixedSucceed  MixedEvent = "succeed"  // a verified answer says success
	MixedFail     MixedEvent = "fail"     // a verified answer says failure
	MixedKill     MixedEvent = "kill"     // both parts are proved dead
	MixedTell     MixedEvent = "tell"     // the refund notice goes out
	MixedHeard    MixedEvent = "heard"    // WeChat accepted it
	MixedSilent   MixedEvent = "silent"   // it did not, for too long
	MixedEscalate MixedEvent = "escalate" // nobody but a person can tell
)

type mixedMove struct {
	from MixedState
	on   MixedEvent
	to   MixedState
}

// mixedMoves is the whole machine, as rows of from, on, to; what is not listed is forbidden.
var mixedMoves = []mixedMove{
	{MixedPreparing, MixedCreate, MixedOpen},
	{MixedPreparing, MixedRefuse, MixedRefused},
	{MixedPreparing, MixedSucceed, MixedSucceeded},
	{MixedPreparing, MixedFail, MixedFailed},
	{MixedPreparing, MixedKill, MixedDead},
	{MixedOpen, MixedSucceed, MixedSucceeded},
	{MixedOpen, MixedFail, MixedFailed},
	{MixedOpen, MixedKill, MixedDead},
	{MixedDead, MixedSucceed, MixedSucceeded}, // late, verified: never dropped
	{MixedRefused, MixedSucceed, MixedSucceeded},
	{MixedFailed, MixedSucceed, MixedSucceeded},
	{MixedSucceeded, MixedTell, MixedTelling},
	{MixedTelling, MixedHeard, MixedTold},
	{MixedTelling, MixedSilent, MixedUntold},
	{MixedPreparing, MixedEscalate, MixedInReview},
	{MixedOpen, MixedEscalate, MixedInReview},
	{MixedSucceeded, MixedEscalate, MixedInReview},
	{MixedInReview, MixedSucceed, MixedSucceeded}, // by two votes, as all that follow
	{MixedInReview, MixedFail, MixedFailed},
	{MixedInReview, MixedKill, MixedDead},
}

// ErrMixedMove is an event that the state does not allow: a bug, or a message that came too late.
var ErrMixedMove = fault.New(fault.Conflict, "MIXED_STATE", "医保支付状态不允许该操作")

// Next is the state after the event; ErrMixedMove when there is no such move.
func (s MixedState) Next(e MixedEvent) (MixedState, error) {
	for _, m := range mixedMoves {
		if m.from == s && m.on == e {
			return m.to, nil
		}
	}
	return s, ErrMixedMove.Because(fmt.Errorf("no move from %s on %s", s, e))
}

// Apply moves the attempt.
func (m *Mixed) Apply(e MixedEvent) error {
	to, err := m.State.Next(e)
	if err != nil {
		return err
	}
	m.State, m.changed = to, true
	return nil
}

// HasCash reports whether WeChat is to charge anything.
func (m *Mixed) HasCash() bool { return m.Amounts.Wechat > 0 }

// Insured is what the insurer's parts of the order sum to.
func (a MixedAmounts) Insured() money.Fen { return a.Gov + a.Self + a.Other }
