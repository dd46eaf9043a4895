package payment

import (
	"slices"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// MixedFinding is what a verified answer about a mixed order means: the three states read together (wechat-med-ins.md §d.3), never the
// first alone.
type MixedFinding string

// The findings.
const (
	MixedFoundOpen       MixedFinding = "open"       // not final: may be paid any moment
	MixedFoundPaid       MixedFinding = "paid"       // both parts are done, says WeChat
	MixedFoundFailed     MixedFinding = "failed"     // failed; what each part holds is to be proved
	MixedFoundIncident   MixedFinding = "incident"   // failed, and yet the insurer's part is said to be done
	MixedFoundReturned   MixedFinding = "returned"   // a part or all of it was refunded, and not by us
	MixedFoundUnknown    MixedFinding = "unknown"    // a state that is not published: neither success nor failure, and not final
	MixedFoundUnlikely   MixedFinding = "unlikely"   // other numbers or amounts, or states that cannot stand together
	MixedFoundUnbearable MixedFinding = "unbearable" // the same, said again and again: a person must look
)

var (
	mixStates  = []string{MixCreated, MixSuccess, MixFail, MixRefund}
	selfStates = []string{SelfCreated, SelfSuccess, SelfRefund, SelfFail, SelfNone}
	insStates  = []string{InsCreated, InsSuccess, InsRefund, InsFail, InsNone}
)

// Judge compares a verified answer with what was ordered and reads its three states. It keeps WeChat's number, the time of payment and the
// insurer's words; it moves nothing.
func (m *Mixed) Judge(s MixedStatus, payer sensitive.OpenID) MixedFinding {
	switch {
	case s.OutTradeNo != m.OutTradeNo || s.MixTradeNo == "" || (m.MixTradeNo != "" && s.MixTradeNo != m.MixTradeNo):
		return m.doubt()
	case s.SerialNo != m.SerialNo || s.PayOrderID != m.PayOrderID || s.Amounts != m.Amounts:
		return m.doubt()
	case !s.OpenID.IsZero() && !s.OpenID.Equal(payer):
		return m.doubt()
	}
	f := m.read(s)
	if f == MixedFoundUnlikely {
		return m.doubt()
	}
	if m.Doubts != 0 || m.MixTradeNo != s.MixTradeNo || (s.FailReason != "" && m.FailReason != s.FailReason) {
		m.Doubts, m.MixTradeNo, m.changed = 0, s.MixTradeNo, true
	}
	if s.FailReason != "" {
		m.FailReason = s.FailReason
	}
	if f == MixedFoundPaid {
		m.PaidAt, m.changed = s.PaidAt, true
	}
	return f
}

// read is the table of wechat-med-ins.md §d.3. A part that the order does not have says so in every state, and only such a part does.
func (m *Mixed) read(s MixedStatus) MixedFinding {
	if !slices.Contains(mixStates, s.Mix) || !slices.Contains(selfStates, s.Self) || !slices.Contains(insStates, s.MedIns) {
		return MixedFoundUnknown
	}
	if (s.Self == SelfNone) == m.HasCash() || s.MedIns == InsNone {
		return MixedFoundUnlikely
	}
	cashDone := s.Self == SelfSuccess || s.Self == SelfNone
	switch {
	case s.Mix == MixCreated:
		return MixedFoundOpen
	case s.Mix == MixRefund:
		return MixedFoundReturned
	case s.Mix == MixFail && s.MedIns == InsSuccess:
		return MixedFoundIncident
	case s.Mix == MixFail:
		return MixedFoundFailed
	case cashDone && s.MedIns == InsSuccess && !s.PaidAt.IsZero():
		return MixedFoundPaid
	case (s.Self == SelfRefund || cashDone) && s.MedIns == InsRefund, s.Self == SelfRefund && s.MedIns == InsSuccess:
		return MixedFoundReturned
	}
	return MixedFoundUnlikely // success of which a part is not done
}

func (m *Mixed) doubt() MixedFinding {
	m.Doubts++
	m.changed = true
	if m.Doubts >= maxDoubts {
		return MixedFoundUnbearable
	}
	return MixedFoundUnlikely
}
