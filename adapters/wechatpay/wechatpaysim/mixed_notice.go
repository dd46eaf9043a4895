package wechatpaysim

import (
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

const (
	eventMixed = "MEDICAL_INSURANCE.SUCCESS"
	mixedEnd   = 30 * time.Second // after that no notice of a mixed order is sent any more
)

// mixedWaits is an exponential schedule that ends with mixedEnd; WeChat publishes only the end.
var mixedWaits = [...]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second}

// mixedNotice is the notice of a paid mixed order. There is none of any other outcome.
func (s *Sim) mixedNotice(m *mixed, at time.Time) *notice {
	n := s.newNotice(eventMixed, m.number(), "", m.Request.CallbackURL, at)
	n.MixTradeNo = m.MixTradeNo
	return n
}

// schedule is how long WeChat Pay waits after each try of this notice.
func (n *notice) schedule() []time.Duration {
	if n.MixTradeNo != "" {
		return mixedWaits[:]
	}
	return waits[:]
}

// over reports whether the time of this notice has passed, as after WeChat itself stood still.
func (s *Sim) over(n *notice, now time.Time) bool {
	return n.MixTradeNo != "" && now.After(n.CreatedAt.Add(s.cfg.Pace.Wait(mixedEnd)+noticeTimeout))
}

// paidMixed is the content of MEDICAL_INSURANCE.SUCCESS: the entity as it stood when it was paid, without what goes to the insurer.
func (s *Sim) paidMixed(m *mixed, more money.Fen) mixedAnswer {
	a := mixedAnswer{MixTradeNo: m.MixTradeNo, Mix: mixSuccess, Self: selfSuccess, MedIns: insSuccess, PaidTime: wireTime(m.PaidAt),
		mixedRequest: m.Request}
	if more != 0 {
		a.mixedRequest = m.Request.priced(more)
	}
	a.Passthrough, a.Extends = "", ""
	if !m.Request.hasCash() {
		a.Self, a.WechatFee = selfNone, nil
	}
	if !m.Request.hasInsurer() {
		a.MedIns = insNone
		a.GovFee, a.SelfFee, a.OtherFee, a.CashFee = nil, nil, nil, nil
	}
	return a
}
