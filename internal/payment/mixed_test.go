package payment

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
)

var mixedStates = []MixedState{MixedPreparing, MixedOpen, MixedSucceeded, MixedFailed, MixedRefused, MixedDead, MixedTelling, MixedTold, MixedUntold, MixedInReview}

var mixedEvents = []MixedEvent{MixedCreate, MixedRefuse, MixedSucceed, MixedFail, MixedKill, MixedTell, MixedHeard, MixedSilent, MixedEscalate}

// official is the mixed example of wechat-med-ins.md §c.
var official = MixedAmounts{Total: 202000, Gov: 100000, Self: 45000, Other: 5000, Cash: 50000, Added: 2000, Reduced: 10000, Wechat: 42000}

func newTestMixed(a MixedAmounts) *Mixed {
	m := NewMixed(1, 1, MixedOrder{OutTradeNo: "T1", SerialNo: "S1", PayOrderID: "ORD1", Amounts: a}, []byte("{}"), now)
	m.Stored(1)
	return m
}

func TestEveryMixedStateAndEvent(t *testing.T) {
	t.Parallel()
	listed := map[string]MixedState{}
	for _, m := range mixedMoves {
		pair := string(m.from) + " " + string(m.on)
		if _, twice := listed[pair]; twice {
			t.Errorf("%s stands twice", pair)
		}
		listed[pair] = m.to
	}
	for _, from := range mixedStates {
		for _, on := range mixedEvents {
			to, allowed := listed[string(from)+" "+string(on)]
			delete(listed, string(from)+" "+string(on))
			m := newTestMixed(official)
			m.State = from
			err := m.Apply(on)
			if next, _ := from.Next(on); next != m.State {
				t.Errorf("%s on %s: next is %q, and it is %s", from, on, next, m.State)
			}
			if !allowed && (!errors.Is(err, ErrMixedMove) || m.State != from || m.Changed()) {
				t.Errorf("%s on %s: %v, and it is %s", from, on, err, m.State)
			}
			if allowed && (err != nil || m.State != to || !m.Changed()) {
				t.Errorf("%s on %s = %s, %v, want %s", from, on, m.State, err, to)
			}
		}
	}
	for pair := range listed {
		t.Errorf("move %q has a state or an event that the lists of this test lack", pair)
	}
}

func TestEveryMixedStateIsReachedAndLeft(t *testing.T) {
	t.Parallel()
	reached := map[MixedState]bool{MixedPreparing: true}
	for range mixedStates {
		for _, m := range mixedMoves {
			reached[m.to] = reached[m.to] || reached[m.from]
		}
	}
	late := []MixedState{MixedDead, MixedRefused, MixedFailed} // final, and yet a verified success is never dropped
	for _, s := range mixedStates {
		leaves := slices.ContainsFunc(mixedMoves, func(m mixedMove) bool { return m.from == s })
		if !reached[s] {
			t.Errorf("%s is never reached", s)
		}
		if s.Final() == leaves && !slices.Contains(late, s) {
			t.Errorf("%s: final %v, can be left %v", s, s.Final(), leaves)
		}
	}
	for _, m := range mixedMoves {
		if slices.Contains(late, m.from) && m.on != MixedSucceed {
			t.Errorf("%s can be left by %s", m.from, m.on)
		}
	}
}

func TestPictureOfTheMixedMachine(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> preparing\n")
	for _, m := range mixedMoves {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", m.from, m.to, m.on)
	}
	for _, s := range mixedStates {
		if s.Final() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	golden(t, "mixed.golden", b.String())
}

// TestEquations: the worked examples of wechat-med-ins.md §c, and each of them with one fen wrong anywhere.
func TestEquations(t *testing.T) {
	t.Parallel()
	for _, a := range []MixedAmounts{
		official,
		{Total: 8000, Cash: 8000, Wechat: 8000}, // all own pay after presettlement
		{Total: 148000, Gov: 100000, Self: 45000, Cash: 3000, Reduced: 3000},          // share covered by a prepayment
		{Total: 10000, Gov: 9000, Self: 1000},                                         // insurance only
		{Total: 5000, Added: 5000, Wechat: 5000},                                      // cash only
		{Total: 20000, Gov: 9000, Self: 1000, Cash: 8000, Added: 2000, Wechat: 10000}, // ours
	} {
		if err := a.Check(); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
		for i := range 8 {
			b := a
			fields := []*money.Fen{&b.Total, &b.Gov, &b.Self, &b.Other, &b.Cash, &b.Added, &b.Reduced, &b.Wechat}
			*fields[i]++
			if err := b.Check(); !errors.Is(err, ErrEquation) {
				t.Errorf("%+v: %v, want ErrEquation", b, err)
			}
			*fields[i] = -1
			if err := b.Check(); !errors.Is(err, ErrEquation) {
				t.Errorf("%+v: %v, want ErrEquation", b, err)
			}
		}
	}
	if official.Insured() != 150000 {
		t.Errorf("insured = %s", official.Insured())
	}
}

// TestAmountsInRange: a sum that adds up is not enough.
func TestAmountsInRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		a    MixedAmounts
		ok   bool
	}{
		{"the largest", MixedAmounts{Total: money.Max, Gov: money.Max}, true},
		{"one fen beyond", MixedAmounts{Total: money.Max + 1, Gov: money.Max + 1}, false},
		{"below nothing, and it adds up", MixedAmounts{Total: 10, Gov: 11, Self: -1}, false},
		{"a negative total", MixedAmounts{Total: -10, Gov: -10}, false},
		{"the cash and its parts differ alike", MixedAmounts{Total: 10, Cash: 10, Wechat: 10, Added: 1}, false},
		{"nothing", MixedAmounts{}, true},
	} {
		if err := tt.a.Check(); (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrEquation)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestThreeStatesTogether is the table of wechat-med-ins.md §d.3, row by row, of an order with cash and of one without.
func TestThreeStatesTogether(t *testing.T) {
	t.Parallel()
	alone := MixedAmounts{Total: 150000, Gov: 100000, Self: 45000, Other: 5000}
	for _, tt := range []struct {
		amounts           MixedAmounts
		mix, self, medIns string
		want              MixedFinding
	}{
		{official, MixCreated, SelfCreated, InsCreated, MixedFoundOpen},
		{official, MixCreated, SelfSuccess, InsCreated, MixedFoundOpen},
		{alone, MixCreated, SelfNone, InsCreated, MixedFoundOpen},
		{official, MixSuccess, SelfSuccess, InsSuccess, MixedFoundPaid},
		{alone, MixSuccess, SelfNone, InsSuccess, MixedFoundPaid},
		{official, MixSuccess, SelfCreated, InsSuccess, MixedFoundUnlikely},
		{official, MixSuccess, SelfSuccess, InsCreated, MixedFoundUnlikely},
		{official, MixSuccess, SelfFail, InsRefund, MixedFoundUnlikely},
		{official, MixSuccess, SelfRefund, InsFail, MixedFoundUnlikely},
		{official, MixFail, SelfFail, InsFail, MixedFoundFailed},
		{official, MixFail, SelfSuccess, InsFail, MixedFoundFailed},
		{alone, MixFail, SelfNone, InsFail, MixedFoundFailed},
		{official, MixFail, SelfSuccess, InsSuccess, MixedFoundIncident},
		{official, MixRefund, SelfRefund, InsRefund, MixedFoundReturned},
		{official, MixRefund, SelfSuccess, InsSuccess, MixedFoundReturned},
		{official, MixSuccess, SelfRefund, InsRefund, MixedFoundReturned},
		{official, MixSuccess, SelfRefund, InsSuccess, MixedFoundReturned},
		{official, MixSuccess, SelfSuccess, InsRefund, MixedFoundReturned},
		{alone, MixSuccess, SelfNone, InsRefund, MixedFoundReturned},
		{alone, MixCreated, SelfCreated, InsCreated, MixedFoundUnlikely},
		{official, MixCreated, SelfNone, InsCreated, MixedFoundUnlikely},
		{official, MixCreated, SelfCreated, InsNone, MixedFoundUnlikely},
		{official, "MIX", SelfCreated, InsCreated, MixedFoundUnknown},
		{official, MixCreated, "SELF", InsCreated, MixedFoundUnknown},
		{official, MixCreated, SelfCreated, "INS", MixedFoundUnknown},
	} {
		m := newTestMixed(tt.amounts)
		m.MixTradeNo, m.FailReason = "MIX1", "before"
		s := MixedStatus{MixTradeNo: "MIX1", OutTradeNo: "T1", SerialNo: "S1", PayOrderID: "ORD1", Mix: tt.mix, Self: tt.self, MedIns: tt.medIns,
			Amounts: tt.amounts, PaidAt: now}
		if got := m.Judge(s, payer); got != tt.want || m.PaidAt.IsZero() == (tt.want == MixedFoundPaid) || m.FailReason != "before" {
			t.Errorf("%s, %s, %s: %s, paid at %v, want %s", tt.mix, tt.self, tt.medIns, got, m.PaidAt, tt.want)
		}
		if news := tt.want == MixedFoundPaid || tt.want == MixedFoundUnlikely; m.Changed() != news {
			t.Errorf("%s, %s, %s: changed %v", tt.mix, tt.self, tt.medIns, m.Changed())
		}
	}
}

// TestMixedIsMarked: what a verified answer changes is stored, each by itself.
func TestMixedIsMarked(t *testing.T) {
	t.Parallel()
	open := MixedStatus{MixTradeNo: "MIX1", OutTradeNo: "T1", SerialNo: "S1", PayOrderID: "ORD1", Mix: MixCreated, Self: SelfCreated, MedIns: InsCreated, Amounts: official}
	for name, change := range map[string]func(m *Mixed, s *MixedStatus){
		"WeChat's number": func(m *Mixed, _ *MixedStatus) { m.MixTradeNo = "" },
		"no doubts":       func(m *Mixed, _ *MixedStatus) { m.Doubts = 1 },
		"a reason":        func(_ *Mixed, s *MixedStatus) { s.FailReason = "余额不足" },
		"another reason":  func(m *Mixed, s *MixedStatus) { m.FailReason, s.FailReason = "未知", "余额不足" },
	} {
		m, s := newTestMixed(official), open
		m.MixTradeNo = "MIX1"
		if change(m, &s); m.Judge(s, payer) != MixedFoundOpen || !m.Changed() || m.Doubts != 0 || m.MixTradeNo != "MIX1" || m.FailReason != s.FailReason {
			t.Errorf("%s: %+v", name, m)
		}
	}
	m, s := newTestMixed(official), open
	m.MixTradeNo, m.FailReason, s.FailReason = "MIX1", "余额不足", "余额不足"
	if m.Judge(s, payer); m.Changed() {
		t.Error("the same reason again is taken for news")
	}
	for name, act := range map[string]func(m *Mixed){"Sent": (*Mixed).Sent, "Unsent": (*Mixed).Unsent, "Lost": func(m *Mixed) { m.Lost(now) }} {
		m := newTestMixed(official)
		if act(m); !m.Changed() || (name == "Lost") != m.AwayUntil.Equal(now) {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if m := NewMixed(1, 1, MixedOrder{}, nil, now); !m.Changed() {
		t.Error("a new mixed order is not to be stored")
	}
	if m := newTestMixed(MixedAmounts{Wechat: 1}); !m.HasCash() {
		t.Error("one fen is no cash")
	}
}

// TestJudgeMixed: what is not this very order raises a doubt, and too many in a row are for a person.
func TestJudgeMixed(t *testing.T) {
	t.Parallel()
	payer := sensitive.NewOpenID("o-payer")
	good := MixedStatus{MixTradeNo: "MIX1", OutTradeNo: "T1", SerialNo: "S1", PayOrderID: "ORD1", Mix: MixSuccess, Self: SelfSuccess, MedIns: InsSuccess,
		Amounts: official, OpenID: payer, PaidAt: now}
	for name, change := range map[string]func(*MixedStatus){
		"out_trade_no":         func(s *MixedStatus) { s.OutTradeNo = "T2" },
		"no mix_trade_no":      func(s *MixedStatus) { s.MixTradeNo = "" },
		"another mix_trade_no": func(s *MixedStatus) { s.MixTradeNo = "MIX2" },
		"serial_no":            func(s *MixedStatus) { s.SerialNo = "S2" },
		"pay_order_id":         func(s *MixedStatus) { s.PayOrderID = "ORD2" },
		"amounts":              func(s *MixedStatus) { s.Amounts.Gov, s.Amounts.Self = s.Amounts.Gov-1, s.Amounts.Self+1 },
		"payer":                func(s *MixedStatus) { s.OpenID = sensitive.NewOpenID("o-other") },
		"no time":              func(s *MixedStatus) { s.PaidAt = time.Time{} },
		"no cash in a mixed":   func(s *MixedStatus) { s.Self = SelfNone },
		"no insurance":         func(s *MixedStatus) { s.MedIns = InsNone },
		"cash not done":        func(s *MixedStatus) { s.Self = SelfCreated },
	} {
		m := newTestMixed(official)
		m.MixTradeNo = "MIX1"
		s := good
		change(&s)
		for i := 1; i < 4; i++ { // the fourth in a row is too much
			if f := m.Judge(s, payer); f != MixedFoundUnlikely || m.Doubts != i || !m.Changed() {
				t.Errorf("%s: %s, %d doubts", name, f, m.Doubts)
			}
		}
		if f := m.Judge(s, payer); f != MixedFoundUnbearable {
			t.Errorf("%s, again and again: %s", name, f)
		}
		if f := m.Judge(good, payer); f != MixedFoundPaid || m.Doubts != 0 {
			t.Errorf("%s, then right: %s, %d doubts", name, f, m.Doubts)
		}
	}
	m := newTestMixed(official)
	if f := m.Judge(good, payer); f != MixedFoundPaid || m.MixTradeNo != "MIX1" || !m.PaidAt.Equal(now) || !m.Changed() {
		t.Errorf("Judge = %s, %+v", f, m)
	}
	failed := good
	failed.Mix, failed.MedIns, failed.FailReason = MixFail, InsFail, "余额不足"
	m = newTestMixed(official)
	if f := m.Judge(failed, payer); f != MixedFoundFailed || m.FailReason != "余额不足" {
		t.Errorf("Judge = %s, %+v", f, m)
	}
	odd := good
	odd.Mix = "MIX_PAY_REVERSED"
	if f := m.Judge(odd, payer); f != MixedFoundUnknown || m.Doubts != 0 {
		t.Errorf("an unpublished state: %s, %d doubts", f, m.Doubts)
	}
}

func TestMixedCountsAndNotice(t *testing.T) {
	t.Parallel()
	m := newTestMixed(MixedAmounts{Total: 10, Gov: 10})
	if m.HasCash() || m.Changed() {
		t.Errorf("fresh: %+v", m)
	}
	m.Sent()
	m.Sent()
	m.Unsent()
	if m.Asked != 1 || !m.Changed() {
		t.Errorf("asked %d", m.Asked)
	}
	m.Stored(2)
	if m.Typed(now); !m.TypedAt.Equal(now) || !m.Changed() {
		t.Errorf("typed: %+v", m)
	}
	if err := m.AskNotice([]byte("n"), now); !errors.Is(err, ErrMixedMove) || m.Notice != nil {
		t.Errorf("a notice before success: %v", err)
	}
	m.State = MixedSucceeded
	if err := m.AskNotice([]byte("n"), now); err != nil || m.State != MixedTelling || string(m.Notice) != "n" || !m.NoticedAt.Equal(now) {
		t.Errorf("AskNotice: %v, %+v", err, m)
	}
	m.Stored(3)
	if m.Touch(); !m.Changed() {
		t.Error("Touch")
	}
}
