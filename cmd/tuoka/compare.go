package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// compare holds every order against the counterparts' books. What differs is a finding; so is money at a counterpart that no order of ours
// knows of, and an order that was given up although it met lost, late or doubled messages only.
func compare(players []*player, before, after *books) *result {
	r := &result{Orders: len(players), Causes: map[string]int{}}
	known := ours{trades: map[string]bool{}, visits: map[string]bool{}, orders: map[string]bool{}}
	var took []time.Duration
	for _, p := range players {
		r.take(p, after, &known)
		took = append(took, p.took)
	}
	r.strangers(&known, before, after)
	slices.Sort(took)
	r.P50MS, r.P99MS = took[len(took)/2].Milliseconds(), took[min(len(took)-1, len(took)*99/100)].Milliseconds()
	r.Mismatches = len(r.findings)
	return r
}

// ours are the numbers that our orders know.
type ours struct{ trades, visits, orders map[string]bool }

// held is what the counterparts hold for one order.
type held struct {
	wechat          money.Fen
	inForce         []insurerBook
	posted          []hisBook
	back            []hisRefund
	payable, locked bool // a cash order that can still be paid; bills that the HIS still keeps for the order
	trades, refunds []string
	visits          []string
	uploads         []string    // our numbers at the centre
	mixed           []mixedBook // WeChat's records of our mixed orders, in the order they were made
}

func (r *result) take(p *player, after *books, known *ours) {
	o := &p.order
	if o.ID == "" || !o.over() {
		r.Pending++
		r.findings = append(r.findings, fmt.Sprintf("player %s: order %q is %q: %v", p.role.User, o.ID, o.State, p.trouble))
		return
	}
	h := holdings(o, after)
	known.orders[o.ID] = true
	for _, t := range h.trades {
		known.trades[t] = true
	}
	for _, v := range h.visits {
		known.visits[v] = true
	}
	r.WechatNetFen += h.wechat
	for _, s := range h.inForce {
		r.InsurerNetFen += s.FundFen + s.AccountFen + s.FamilyFen
	}
	for _, posted := range h.posted {
		r.HISPostedFen += posted.TotalFen
	}
	switch o.State {
	case "completed":
		r.Completed++
		r.TotalFen += o.TotalFen
		r.FundFen += o.Split.Pooled + o.Split.Other
		r.AccountFen += o.Split.Account + o.Split.Family
		r.CashFen += o.ChargeFen
		if r.given(o, h) {
			r.completed(o, h)
		}
		r.asAgreed(p)
		r.ofKind(p, h)
		return
	case "closed":
		r.Closed++
		r.nothing(o, h)
	case "unwound":
		r.Unwound++
		r.nothing(o, h)
	case "review":
		r.Review++
		r.reviewed(o, h)
	}
	r.Causes[o.State+": "+o.Cause]++
	r.deserved(p, h, after.faults)
}

func holdings(o *orderView, b *books) held {
	var h held
	for _, p := range o.Payments {
		w := b.wechat[p.OutTradeNo]
		h.wechat += w.net()
		h.payable = h.payable || w.State == "NOTPAY"
		h.trades = append(h.trades, p.OutTradeNo)
		for _, refund := range w.Refunds {
			h.refunds = append(h.refunds, refund.OutRefundNo)
		}
	}
	for _, m := range o.Mixed {
		h.trades = append(h.trades, m.OutTradeNo)
		book := b.mixed[m.OutTradeNo]
		h.mixed = append(h.mixed, book)
		open := b.uploads[book.PayOrderID].OrdStas <= 1 && book.Mix == "MIX_PAY_CREATED"
		h.payable = h.payable || (open && (book.CashFen == 0 || b.wechat[m.OutTradeNo].State == "NOTPAY"))
	}
	for _, s := range o.Settlements {
		h.visits = append(h.visits, s.VisitNo)
		if s.OrderNo != "" {
			h.uploads = append(h.uploads, s.OrderNo)
		}
	}
	for _, s := range b.insurer {
		if s.State == "in_force" && slices.Contains(h.visits, s.VisitNo) {
			h.inForce = append(h.inForce, s)
		}
	}
	for _, p := range b.his {
		if p.OrderNo == o.ID && p.State == "posted" {
			h.posted = append(h.posted, p)
		}
	}
	h.back = b.refunds[o.ID]
	h.locked = slices.ContainsFunc(b.locks, func(l hisLock) bool { return l.OrderNo == o.ID && l.Live })
	return h
}

func (r *result) find(o *orderView, format string, args ...any) {
	r.findings = append(r.findings, fmt.Sprintf("order %s %s %s: ", o.ID, o.State, o.Cause)+fmt.Sprintf(format, args...))
}

// given counts an order's refunds and compares them with the HIS's. It reports whether every one has an end, so that what stands can be compared.
func (r *result) given(o *orderView, h held) bool {
	done, over := 0, true
	for _, f := range o.Refunds {
		r.Refunds++
		switch f.State {
		case "done":
			r.RefundsDone++
			r.RefundedFen += f.TotalFen
			done++
			if !slices.ContainsFunc(h.back, func(b hisRefund) bool { return b.RefundNo == f.ID && b.TotalFen == f.TotalFen }) {
				r.find(o, "refund %s of %s is done, the HIS has booked %+v", f.ID, f.TotalFen, h.back)
			}
		case "refused":
			r.RefundsNot++
		default:
			r.RefundsReview++
			over = false
		}
	}
	if over && done != len(h.back) {
		r.find(o, "%d refunds are done, the HIS has booked %d", done, len(h.back))
	}
	return over
}

// undeserved: without faults every refund is made.
func (r *result) undeserved(level sandbox.Level) {
	if level == sandbox.None && r.RefundsDone != r.Refunds {
		r.findings = append(r.findings, fmt.Sprintf("without faults %d of %d refunds were made", r.RefundsDone, r.Refunds))
		r.Mismatches = len(r.findings)
	}
}

// completed: every side has exactly what our order says, less what the HIS has booked as given back.
func (r *result) completed(o *orderView, h held) {
	stands := o.Split
	if n := len(h.back); n > 0 {
		stands = h.back[n-1].Rest
	}
	if charge := stands.Cash + stands.Uninsured; h.wechat != charge {
		r.find(o, "WeChat holds %s, of the patient's cash %s stand", h.wechat, charge)
	}
	insured := stands.total() - stands.Uninsured
	switch {
	case insured == 0 && len(h.inForce) != 0:
		r.find(o, "the insurer has %d settlements of an order without insurance", len(h.inForce))
	case insured != 0 && len(h.inForce) != 1:
		r.find(o, "the insurer has %d settlements in force", len(h.inForce))
	case insured != 0:
		i := h.inForce[0]
		if i.TotalFen != insured || i.FundFen != stands.Pooled+stands.Other || i.AccountFen != stands.Account || i.FamilyFen != stands.Family ||
			i.CashFen != stands.Cash || i.HospitalFen != stands.Hospital {
			r.find(o, "the insurer settled %+v, we hold %+v", i, stands)
		}
	}
	if n := len(h.mixed); n > 0 {
		want := "MIX_PAY_SUCCESS"
		if stands.total() == 0 {
			want = "MIX_PAY_REFUND"
		}
		if h.mixed[n-1].Mix != want {
			r.find(o, "WeChat's mixed order is %s, want %s", h.mixed[n-1].Mix, want)
		}
	}
	r.posted(o, h)
	r.over(o, h)
}

// posted: the HIS has booked the order as it was paid, once.
func (r *result) posted(o *orderView, h held) {
	var want hisBook
	if len(h.posted) == 1 {
		want = hisBook{OrderNo: o.ID, TotalFen: o.TotalFen, Parts: o.Split, State: "posted"}
		if len(h.back) == 0 && len(h.inForce) == 1 {
			want.SetlID = h.inForce[0].SetlID
		}
		for _, s := range o.Settlements { // the first that stood; what a refund left insured was settled later
			if stood := s.State == "settled" || s.State == "cancelled"; len(h.back) > 0 && stood && s.SetlID != "" && want.SetlID == "" {
				want.SetlID = s.SetlID
			}
		}
		for _, p := range o.Payments {
			if p.State == "paid" {
				want.OutTradeNo = p.OutTradeNo
			}
		}
	}
	if len(h.posted) != 1 || h.posted[0] != want {
		r.find(o, "the HIS has booked %+v, the bill is %s: %+v", h.posted, o.TotalFen, want)
	}
}

// asAgreed: what was taken is what the patient saw and agreed to, and of nobody whom the patient left out.
func (r *result) asAgreed(p *player) {
	o := &p.order
	if o.TotalFen != p.agreed.TotalFen || o.ChargeFen != p.agreed.ChargeFen || o.Split != p.agreed.Split {
		r.find(o, "%s: %+v, the patient agreed to %s: %+v", o.TotalFen, o.Split, p.agreed.TotalFen, p.agreed.Split)
	}
	if !p.useAccount() && o.Split.Account+o.Split.Family != 0 {
		r.find(o, "%s was taken from an account that was to be left alone", o.Split.Account+o.Split.Family)
	}
}

// ofKind: a deposit is the patient's own money alone, and WeChat knows what every other bill is for.
func (r *result) ofKind(p *player, h held) {
	o := &p.order
	if p.role.Kind == hissim.Deposit && o.Split.Uninsured != o.TotalFen {
		r.find(o, "a deposit, of which others than the patient pay: %+v", o.Split)
	}
	want := "DIAG_PAY"
	if p.role.Kind == hissim.Registration {
		want = "REG_PAY"
	}
	for _, m := range h.mixed { // one that never came to WeChat has no name there
		if m.OutTradeNo != "" && m.OrderType != want {
			r.find(o, "WeChat's mixed order is a %s, want %s", m.OrderType, want)
		}
	}
}

// over: nothing can be paid any more, and the bills are free.
func (r *result) over(o *orderView, h held) {
	if h.payable {
		r.find(o, "WeChat would still take money for it")
	}
	if h.locked {
		r.find(o, "the HIS still keeps its bills locked")
	}
}

// nothing: no side holds anything.
func (r *result) nothing(o *orderView, h held) {
	r.over(o, h)
	for i, m := range h.mixed {
		if m.Mix == "MIX_PAY_SUCCESS" {
			r.find(o, "WeChat still shows mixed order %s as paid", o.Mixed[i].OutTradeNo)
		}
	}
	if h.wechat != 0 || len(h.inForce) != 0 || len(h.posted) != 0 {
		r.find(o, "WeChat holds %s, the insurer %d settlements, the HIS %d postings", h.wechat, len(h.inForce), len(h.posted))
	}
}

// excused are the causes of a review whose very question is what that side holds.
var excused = map[string][]string{
	"wechat":  {"wechat_amounts", "wechat_refunded", "wechat_refund", "too_long", "wechat_med_amounts", "wechat_med_refunded", "wechat_centre"},
	"insurer": {"insurer_unproved", "insurer_cancel_lost", "too_long", "centre_amounts", "centre_exception", "wechat_centre", "wechat_med_amounts"},
	"his":     {"his_amounts", "too_long"},
}

// reviewed: each leg stands as it says, but for the one that the case is about.
func (r *result) reviewed(o *orderView, h held) {
	if !slices.Contains(excused["wechat"], o.Cause) {
		var want money.Fen
		for _, p := range o.Payments {
			if p.State == "paid" {
				want += p.AmountFen
			}
		}
		if h.wechat != want {
			r.find(o, "WeChat holds %s, our legs say %s", h.wechat, want)
		}
	}
	if !slices.Contains(excused["insurer"], o.Cause) {
		want := 0
		for _, s := range o.Settlements {
			if s.State == "settled" || (s.State == "in_review" && o.Cause == "insurer_cancel") {
				want++
			}
		}
		if len(h.inForce) != want {
			r.find(o, "the insurer has %d settlements in force, our legs say %d", len(h.inForce), want)
		}
	}
	if !slices.Contains(excused["his"], o.Cause) && len(h.posted) != 0 {
		r.find(o, "the HIS has booked it")
	}
}

// deserved: an order whose faults were only lost, late or doubled messages must have been completed.
func (r *result) deserved(p *player, h held, faults []sandbox.Injection) {
	if p.excused {
		return
	}
	o := &p.order
	if p.slotGone() {
		return
	}
	numbers := slices.Concat([]string{o.ID, p.role.PsnNo}, h.trades, h.refunds, h.visits, h.uploads, p.role.Bills)
	for _, f := range faults {
		if !f.Fault.OnlyTransport() && f.Key != "" && slices.Contains(numbers, f.Key) {
			return
		}
	}
	r.find(o, "it met lost, late or doubled messages only, and yet it is not completed")
}

// lastMinutes is how much earlier than the HIS gives a slot back nobody can begin to pay for it any more.
const lastMinutes = 2 * time.Minute

// slotGone reports whether the faults have held the patient up for longer than the HIS holds the slot.
func (p *player) slotGone() bool {
	late := !p.role.PayBy.IsZero() && p.order.UpdatedAt.After(p.role.PayBy.Add(-lastMinutes))
	return late && slices.Contains([]string{"bill_void", "not_paid", "quote_expired"}, p.order.Cause)
}

// strangers are effects at a counterpart since the beginning that no order of ours knows of.
func (r *result) strangers(known *ours, before, after *books) {
	for no, w := range after.wechat {
		if _, old := before.wechat[no]; !old && !known.trades[no] && w.PaidFen != 0 && r.Pending == 0 {
			r.findings = append(r.findings, "WeChat has a paid order that we do not know: "+no)
		}
	}
	old := map[string]bool{}
	for _, s := range before.insurer {
		old[s.SetlID] = true
	}
	for _, s := range after.insurer {
		if !old[s.SetlID] && !known.visits[s.VisitNo] && s.State == "in_force" && r.Pending == 0 {
			r.findings = append(r.findings, "the insurer has a settlement that we do not know: "+s.SetlID)
		}
	}
	for _, p := range before.his {
		old[p.OrderNo] = true
	}
	for _, p := range after.his {
		if !old[p.OrderNo] && !known.orders[p.OrderNo] && p.State == "posted" && r.Pending == 0 {
			r.findings = append(r.findings, "the HIS has a posting that we do not know: "+p.OrderNo)
		}
	}
}
