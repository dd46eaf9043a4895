package main

import (
	"slices"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// played is one patient whose order was completed, and the counterparts' books as they should be.
func played() (*player, *books) {
	s := parts{Pooled: 4000, Account: 1000, Cash: 3000, Uninsured: 2000}
	o := orderView{ID: "1", State: "completed", TotalFen: 10000, ChargeFen: 5000, Split: s}
	o.Payments = []paymentView{{"T1", "paid", 5000}}
	o.Settlements = []settlementView{{VisitNo: "V1", SetlID: "S1", State: "settled"}}
	return &player{order: o, agreed: o, seed: 1}, &books{wechat: map[string]wechatBook{"T1": {OutTradeNo: "T1", State: "SUCCESS", PaidFen: 5000}},
		insurer: []insurerBook{{SetlID: "S1", VisitNo: "V1", TotalFen: 8000, FundFen: 4000, AccountFen: 1000, CashFen: 3000, State: "in_force"}},
		his:     []hisBook{{OrderNo: "1", TotalFen: 10000, Parts: s, SetlID: "S1", OutTradeNo: "T1", State: "posted"}},
		locks:   []hisLock{{OrderNo: "1"}}}
}

// giveBack turns it into one whose uninsured item was given back.
func giveBack(p *player, b *books) {
	p.order.Refunds = []refundView{{ID: "7", State: "done", TotalFen: 2000, CashFen: 2000}}
	b.refunds = map[string][]hisRefund{"1": {{RefundNo: "7", OrderNo: "1", State: "booked", TotalFen: 2000, Rest: parts{Pooled: 4000, Account: 1000, Cash: 3000}}}}
	b.wechat["T1"] = wechatBook{OutTradeNo: "T1", State: "REFUND", PaidFen: 5000, RefundedFen: 2000}
}

// unwind turns it into one that was given up and gave everything back, after the insurer refused.
func unwind(p *player, b *books) {
	p.order.State, p.order.Cause = "unwound", "insurer_refused"
	p.order.Payments[0].State, p.order.Settlements[0].State = "refunded", "refused"
	b.wechat["T1"] = wechatBook{OutTradeNo: "T1", State: "REFUND", PaidFen: 5000, RefundedFen: 5000}
	b.insurer, b.his = nil, nil
	b.faults = []sandbox.Injection{{Key: "V1", Fault: sandbox.Refuse}}
}

// together turns it into one that WeChat has as a registration's mixed order.
func together(p *player, b *books) {
	p.order.Mixed = []mixedView{{OutTradeNo: "M1", State: "succeeded"}}
	b.mixed = map[string]mixedBook{"M1": {OutTradeNo: "M1", Mix: "MIX_PAY_SUCCESS", OrderType: "REG_PAY"}}
	b.uploads = map[string]uploadBook{"": {OrdStas: 6}}
}

// lapse turns it into a registration that was given up at a time, seen from when the HIS gave the slot back.
func lapse(p *player, b *books, at time.Duration) {
	unwind(p, b)
	b.faults = nil
	p.role.Kind, p.role.PayBy = hissim.Registration, time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
	p.order.Cause, p.order.UpdatedAt = "bill_void", p.role.PayBy.Add(at)
}

// TestCompareFindsEveryDifference: books that agree are no finding, and whatever one side says differently is one.
func TestCompareFindsEveryDifference(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		lie  func(p *player, b *books)
		want int // findings
	}{
		{"all as it should be", func(*player, *books) {}, 0},
		{"WeChat took a fen more", func(_ *player, b *books) { w := b.wechat["T1"]; w.PaidFen++; b.wechat["T1"] = w }, 1},
		{"WeChat gave some back", func(_ *player, b *books) { w := b.wechat["T1"]; w.RefundedFen = 1; b.wechat["T1"] = w }, 1},
		{"WeChat is giving some back", func(_ *player, b *books) { w := b.wechat["T1"]; w.RefundingFen = 1; b.wechat["T1"] = w }, 1},
		{"WeChat took another order's money", func(_ *player, b *books) { b.wechat["T2"] = wechatBook{OutTradeNo: "T2", State: "SUCCESS", PaidFen: 1} }, 1},
		{"a second order can still be paid", func(p *player, b *books) {
			again := p.order.Payments[0]
			again.OutTradeNo, again.State = "T2", "closed"
			p.order.Payments = append(p.order.Payments, again)
			b.wechat["T2"] = wechatBook{OutTradeNo: "T2", State: "NOTPAY"}
		}, 1},
		{"a part was given back", func(p *player, b *books) { giveBack(p, b) }, 0},
		{"the HIS has not booked a refund", func(p *player, b *books) {
			giveBack(p, b)
			b.refunds = nil
			b.wechat["T1"] = wechatBook{OutTradeNo: "T1", PaidFen: 5000}
		}, 2},
		{"the HIS has booked a refund that we do not know", func(p *player, b *books) { giveBack(p, b); p.order.Refunds = nil }, 1},
		{"the HIS has booked another amount", func(p *player, b *books) { giveBack(p, b); b.refunds["1"][0].TotalFen++ }, 1},
		{"WeChat gave less back than was due", func(p *player, b *books) {
			giveBack(p, b)
			b.wechat["T1"] = wechatBook{OutTradeNo: "T1", PaidFen: 5000, RefundedFen: 1999}
		}, 1},
		{"a refund waits for people", func(p *player, b *books) { giveBack(p, b); p.order.Refunds[0].State, b.refunds = "in_review", nil }, 0},
		{"the insurer settled nothing", func(_ *player, b *books) { b.insurer[0].State = "cancelled" }, 2},
		{"the insurer settled twice", func(_ *player, b *books) { b.insurer = append(b.insurer, b.insurer[0]) }, 2},
		{"the insurer settled for somebody unknown", func(_ *player, b *books) {
			b.insurer = append(b.insurer, insurerBook{SetlID: "S2", VisitNo: "V2", State: "in_force"})
		}, 1},
		{"the fund pays other than we say", func(_ *player, b *books) { b.insurer[0].FundFen-- }, 1},
		{"the account pays other than we say", func(_ *player, b *books) { b.insurer[0].AccountFen-- }, 1},
		{"the insurer's total is another", func(_ *player, b *books) { b.insurer[0].TotalFen-- }, 1},
		{"the HIS has booked nothing", func(_ *player, b *books) { b.his = nil }, 1},
		{"the HIS has booked it twice", func(_ *player, b *books) { b.his = append(b.his, b.his[0]) }, 1},
		{"the HIS has booked another total", func(_ *player, b *books) { b.his[0].TotalFen-- }, 1},
		{"the HIS was told other parts", func(_ *player, b *books) { b.his[0].Parts.Pooled--; b.his[0].Parts.Account++ }, 1},
		{"the HIS was told another settlement", func(_ *player, b *books) { b.his[0].SetlID = "S9" }, 1},
		{"the HIS was told another payment", func(_ *player, b *books) { b.his[0].OutTradeNo = "" }, 1},
		{"the HIS has booked somebody unknown", func(_ *player, b *books) { b.his = append(b.his, hisBook{OrderNo: "2", State: "posted"}) }, 1},
		{"the HIS keeps the bills locked", func(_ *player, b *books) { b.locks[0].Live = true }, 1},
		{"the patient agreed to less", func(p *player, _ *books) { p.agreed.ChargeFen-- }, 1},
		{"the patient agreed to other parts", func(p *player, _ *books) { p.agreed.Split.Account-- }, 1},
		{"the patient wanted the account left alone", func(p *player, _ *books) { p.seed = 8 }, 1},
		{"given up, all is back", unwind, 0},
		{"given up, a fen is kept", func(p *player, b *books) { unwind(p, b); w := b.wechat["T1"]; w.RefundedFen--; b.wechat["T1"] = w }, 1},
		{"given up, a fen too much is back", func(p *player, b *books) { unwind(p, b); w := b.wechat["T1"]; w.RefundedFen++; b.wechat["T1"] = w }, 1},
		{"given up, the insurer has it", func(p *player, b *books) { was := b.insurer; unwind(p, b); b.insurer = was }, 1},
		{"given up, the HIS has booked it", func(p *player, b *books) { was := b.his; unwind(p, b); b.his = was }, 1},
		{"given up, can still be paid", func(p *player, b *books) { unwind(p, b); b.wechat["T1"] = wechatBook{State: "NOTPAY"} }, 1},
		{"given up, bills locked", func(p *player, b *books) { unwind(p, b); b.locks[0].Live = true }, 1},
		{"given up for lost messages alone", func(p *player, b *books) { unwind(p, b); b.faults[0].Fault = sandbox.LoseAfter }, 1},
		{"given up for somebody else's refusal", func(p *player, b *books) { unwind(p, b); b.faults[0].Key = "V2" }, 1},
		{"in review, cash still held", func(p *player, b *books) {
			unwind(p, b)
			p.order.State, p.order.Cause, p.order.Payments[0].State = "review", "insurer_cancel", "paid"
			b.wechat["T1"] = wechatBook{State: "SUCCESS", PaidFen: 5000}
		}, 0},
		{"in review, cash gone", func(p *player, b *books) {
			unwind(p, b)
			p.order.State, p.order.Cause, p.order.Payments[0].State = "review", "insurer_cancel", "paid"
		}, 1},
		{"in review for the cash, settled all the same", func(p *player, b *books) {
			was := b.insurer
			unwind(p, b)
			p.order.State, p.order.Cause, b.insurer = "review", "wechat_amounts", was
		}, 1},
		{"a registration under WeChat's name for it", func(p *player, b *books) { together(p, b); p.role.Kind = hissim.Registration }, 0},
		{"a registration as an outpatient order", func(p *player, b *books) {
			together(p, b)
			p.role.Kind = hissim.Registration
			b.mixed["M1"] = mixedBook{OutTradeNo: "M1", Mix: "MIX_PAY_SUCCESS", OrderType: "DIAG_PAY"}
		}, 1},
		{"an outpatient order as a registration", together, 1},
		{"a mixed order before it that never came to WeChat", func(p *player, b *books) {
			together(p, b)
			p.role.Kind = hissim.Registration
			p.order.Mixed = append([]mixedView{{OutTradeNo: "M0", State: "dead"}}, p.order.Mixed...)
		}, 0},
		{"a deposit that the insurer pays a part of", func(p *player, _ *books) { p.role.Kind = hissim.Deposit }, 1},
		{"a slot that was gone", func(p *player, b *books) { lapse(p, b, -lastMinutes+time.Second) }, 0},
		{"a slot that was held for longer", func(p *player, b *books) { lapse(p, b, -lastMinutes) }, 1},
		{"something else than the slot", func(p *player, b *books) { lapse(p, b, 0); p.order.Cause = "his_no_answer" }, 1},
		{"still under way", func(p *player, _ *books) { p.order.State = "settling" }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, after := played()
			tt.lie(p, after)
			r := compare([]*player{p}, &books{}, after)
			if r.Mismatches != tt.want {
				t.Errorf("%d findings, want %d: %v", r.Mismatches, tt.want, r.findings)
			}
		})
	}
}

// TestCompareIsAboutThisRun: what stood in the books before the patients came is nobody's finding.
func TestCompareIsAboutThisRun(t *testing.T) {
	t.Parallel()
	p, after := played()
	stranger := insurerBook{SetlID: "S0", VisitNo: "V0", State: "in_force"}
	after.insurer = append(after.insurer, stranger)
	after.wechat["T0"] = wechatBook{OutTradeNo: "T0", PaidFen: 7}
	after.his = append(after.his, hisBook{OrderNo: "0", State: "posted"})
	before := &books{insurer: []insurerBook{stranger}, wechat: map[string]wechatBook{"T0": {OutTradeNo: "T0", PaidFen: 7}}, his: slices.Clone(after.his[1:])}
	if r := compare([]*player{p}, before, after); r.Mismatches != 0 {
		t.Errorf("findings: %v", r.findings)
	}
}
