package order

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// TestVerifyFinds: whatever is changed of a sound order's ledger, events or legs, by one fen, is found.
func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.mustGive(id, item(exam))
	w.settle(time.Hour)
	given := w.order(id)
	sound := w.store.history[id]
	if found := Verify(given, sound); len(found) > 0 {
		t.Fatalf("a sound order: %v", found)
	}
	posted := func(h []Event) (at []int) {
		for i := range h {
			if len(h[i].Posting) > 0 {
				at = append(at, i)
			}
		}
		return at
	}
	if n := len(posted(sound)); n < 7 { // paid, settled, booked; held, cancelled, settled anew, cash returned
		t.Fatalf("only %d events post", n)
	}
	for _, i := range posted(sound) {
		for name, spoil := range map[string]func(e *Event){
			"one fen between two accounts": func(e *Event) { e.Posting[0].Amount++; e.Posting[1].Amount-- },
			"one fen on one side":          func(e *Event) { e.Posting[0].Amount++ },
			"another account":              func(e *Event) { e.Posting[0].Account = ledger.WechatFee },
			"nothing posted":               func(e *Event) { e.Posting = nil },
			"the other way round":          func(e *Event) { e.Posting = e.Posting.Undo() },
			"posted twice":                 func(e *Event) { e.Posting = append(e.Posting, e.Posting...) },
		} {
			h := slices.Clone(sound)
			h[i].Posting = slices.Clone(h[i].Posting)
			spoil(&h[i])
			if len(Verify(given, h)) == 0 {
				t.Errorf("event %d %s %s, %s: nothing found", i+1, h[i].Subject, h[i].Verb, name)
			}
		}
		twice := append(slices.Clone(sound), sound[i])
		if len(Verify(given, twice)) == 0 {
			t.Errorf("event %d %s %s twice: nothing found", i+1, sound[i].Subject, sound[i].Verb)
		}
	}
	for i := range sound { // those that post nothing, too
		if len(Verify(given, slices.Delete(slices.Clone(sound), i, i+1))) == 0 {
			t.Errorf("event %d %s %s is gone: nothing found", i+1, sound[i].Subject, sound[i].Verb)
		}
	}
	for name, spoil := range map[string]func(o *Order){
		"a payment gone":               func(o *Order) { o.Payments = nil },
		"a settlement gone":            func(o *Order) { o.Settlements = o.Settlements[1:] },
		"the settlement of the rest":   func(o *Order) { o.Settlements = o.Settlements[:1] },
		"a refund gone":                func(o *Order) { o.Refunds = nil },
		"a mixed order from nowhere":   func(o *Order) { o.Mixed = []*payment.Mixed{{}} },
		"a payment of one fen more":    func(o *Order) { o.Payments[0].Amount++ },
		"a payment closed":             func(o *Order) { o.Payments[0].State = payment.Closed },
		"a settlement of one fen more": func(o *Order) { o.Settlement().Actual.PooledFund++ },
		"a refund of one fen more":     func(o *Order) { o.Refunds[0].Cash.Amount++ },
		"a refund's lines":             func(o *Order) { o.Refunds[0].Lines[0].Amount++ },
		"what stands":                  func(o *Order) { o.Refunds[0].Rest.Cash++; o.Refunds[0].Rest.PooledFund-- },
		"never booked":                 func(o *Order) { o.Post = PostNone },
	} {
		o := w.order(id)
		spoil(o)
		if len(Verify(o, sound)) == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
}

// TestVerifyRules: each rule by itself, on the smallest order that breaks it.
func TestVerifyRules(t *testing.T) {
	t.Parallel()
	event := func(what string, amounts split.Split, lines ...ledger.Line) Event {
		subject, verb, _ := strings.Cut(what, " ")
		return Event{Seq: 1, Subject: subject, Verb: verb, Split: amounts, Posting: lines}
	}
	line := func(a ledger.Account, amount money.Fen) ledger.Line { return ledger.Line{Account: a, Amount: amount} }
	pay := event("payment pay", split.Split{Cash: 50}, line(ledger.WechatCash, 50), line(ledger.Suspense, -50))
	back := event("payment return", split.Split{Cash: 50}, line(ledger.WechatCash, -50), line(ledger.Suspense, 50))
	insured := split.Split{PooledFund: 30, OtherFund: 4, Account: 3, FamilyAccount: 2, HospitalBorne: 1, Cash: 10, Uninsured: 7}
	owes := []ledger.Line{line(ledger.PooledFund, 30), line(ledger.OtherFund, 4), line(ledger.PersonAccount, 3), line(ledger.FamilyAccount, 2),
		line(ledger.HospitalBorne, 1), line(ledger.Suspense, -40)}
	settled := event("settlement settled", insured, owes...)
	cancelled := event("settlement cancelled", insured, ledger.Posting(owes).Undo()...)
	booked := event("his posted", split.Split{}, line(ledger.Suspense, 50), line(ledger.Revenue, -50))
	paidBy := func(s payment.State) []*payment.Payment { return []*payment.Payment{{State: s, Amount: 50}} }
	of := func(s settlement.State) []*settlement.Settlement {
		return []*settlement.Settlement{{State: s, Actual: insured}}
	}
	cash := split.Split{Uninsured: 50}
	completed := func(refunds ...*refund.Refund) *Order {
		return &Order{State: Completed, Post: PostDone, Total: 50, Split: cash, Payments: paidBy(payment.Paid), Refunds: refunds}
	}
	item := []refund.Line{{Amount: 20, Uninsured: true}}
	hold := event("refund hold", split.Split{}, line(ledger.Revenue, 20), line(ledger.RefundsDue, -20))
	returned := event("refund cash returned", split.Split{Cash: 20}, line(ledger.RefundsDue, 20), line(ledger.WechatCash, -20))
	noted := event("refund finish", split.Split{}, line(ledger.RefundsDue, 20), line(ledger.Suspense, -20))
	given := &refund.Refund{State: refund.Done, Lines: item, HeldAt: start, Rest: split.Split{Uninsured: 30}, Cash: payment.MoneyBack{Amount: 20, ReturnedAt: start}}
	atWindow := &refund.Refund{State: refund.Done, Lines: item, HeldAt: start, Note: true, Before: cash, Rest: split.Split{Uninsured: 30}}
	tilled := event("refund till", split.Split{}, line(ledger.RefundsDue, 20), line(ledger.Suspense, -20))
	atTill := &refund.Refund{State: refund.Done, Lines: item, HeldAt: start, Before: cash, Rest: split.Split{Uninsured: 30}, Till: 20, TillAt: start}
	atTillYet := &refund.Refund{State: refund.Held, Lines: item, HeldAt: start, Before: cash, Rest: split.Split{Uninsured: 30}, Till: 20, TillAt: start}
	for _, tt := range []struct {
		name   string
		order  *Order
		events []Event
		want   string // how the findings begin; empty: none
	}{
		{"nothing happened", &Order{State: Quoting}, nil, ""},
		{"paid", &Order{State: Paying, Payments: paidBy(payment.Paid)}, []Event{pay}, ""},
		{"paid, and the books say nothing", &Order{State: Paying, Payments: paidBy(payment.Paid)}, nil, "the ledger holds 0.00 at WeChat, the payments 0.50"},
		{"paid, and the books say the opposite", &Order{State: Paying, Payments: paidBy(payment.Paid)}, []Event{event("payment ruled returned", split.Split{},
			line(ledger.WechatCash, -50), line(ledger.Suspense, 50))}, "the ledger holds -0.50 at WeChat, the payments 0.50"},
		{"on its way back", &Order{State: Unwinding, Payments: paidBy(payment.Refunding)}, []Event{pay}, ""},
		{"given back", &Order{State: Unwound, Payments: paidBy(payment.Returned)}, []Event{pay, back}, ""},
		{"in review, with the money", &Order{State: InReview, Payments: paidBy(payment.InReview)}, []Event{pay}, ""},
		{"in review, without it", &Order{State: InReview, Payments: paidBy(payment.InReview)}, nil, ""},
		{"in review, with a part of it", &Order{State: InReview, Payments: paidBy(payment.InReview)}, []Event{event("payment ruled paid", split.Split{},
			line(ledger.WechatCash, 20), line(ledger.Suspense, -20))}, "the ledger holds 0.20 at WeChat, the payments 0.50"},
		{"in review, with more than it", &Order{State: InReview, Payments: paidBy(payment.InReview)}, []Event{event("payment ruled paid", split.Split{},
			line(ledger.WechatCash, 51), line(ledger.Suspense, -51))}, "the ledger holds 0.51 at WeChat, the payments 0.50"},
		{"in review, and less than nothing", &Order{State: InReview, Payments: paidBy(payment.InReview)}, []Event{event("payment ruled returned", split.Split{},
			line(ledger.WechatCash, -1), line(ledger.Suspense, 1))}, "the ledger holds -0.01 at WeChat, the payments 0.50"},
		{"a posting of one side", &Order{State: Paying}, []Event{event("settlement ruled settled", split.Split{}, line(ledger.Suspense, 1))}, "event 1 settlement ruled settled"},
		{"another amount than it says", &Order{State: Paying, Payments: paidBy(payment.Paid)}, []Event{event("payment pay", split.Split{Cash: 49}, line(ledger.WechatCash, 50),
			line(ledger.Suspense, -50))}, "event 1 payment pay moves 0.50 at WeChat and 0.00 at the insurer, it says 0.49 and 0.00"},
		{"an event that moves nothing, and posts", &Order{State: Paying, Payments: paidBy(payment.Paid)}, []Event{event("payment close", split.Split{}, line(ledger.WechatCash, 50),
			line(ledger.Suspense, -50))}, "event 1 payment close moves 0.50 at WeChat"},
		{"settled", &Order{State: Settling, Settlements: of(settlement.Settled)}, []Event{settled}, ""},
		{"being cancelled", &Order{State: Unwinding, Settlements: of(settlement.Cancelling)}, []Event{settled}, ""},
		{"perhaps cancelled", &Order{State: Unwinding, Settlements: of(settlement.Checking)}, []Event{settled}, ""},
		{"being put back, out of the books", &Order{State: Unwinding, Settlements: of(settlement.Restoring)}, []Event{settled, cancelled}, ""},
		{"being put back, in the books", &Order{State: Unwinding, Settlements: of(settlement.Restoring)}, []Event{settled}, ""},
		{"in review, in the books", &Order{State: InReview, Settlements: of(settlement.InReview)}, []Event{settled}, ""},
		{"cancelled", &Order{State: Unwinding, Settlements: of(settlement.Cancelled)}, []Event{settled, cancelled}, ""},
		{"cancelled, and in the books", &Order{State: Unwinding, Settlements: of(settlement.Cancelled)}, []Event{settled}, "the insurer owes 0.40 by the ledger, 0.00 by the settlements"},
		{"settled, and not in the books", &Order{State: Settling, Settlements: of(settlement.Settled)}, nil, "the insurer owes 0.00 by the ledger, 0.40 by the settlements"},
		{"one that stands, one in question, both in the books", &Order{State: InReview, Settlements: append(of(settlement.Settled), of(settlement.InReview)...)},
			[]Event{settled, settled}, ""},
		{"one that stands, one in question, one in the books", &Order{State: InReview, Settlements: append(of(settlement.Settled), of(settlement.InReview)...)},
			[]Event{settled}, ""},
		{"one that stands, one in question, none in the books", &Order{State: InReview, Settlements: append(of(settlement.Settled), of(settlement.InReview)...)},
			nil, "the insurer owes 0.00 by the ledger, 0.80 by the settlements"},
		{"completed", completed(), []Event{pay, booked}, ""},
		{"completed, and not booked", completed(), []Event{pay}, "revenue is 0.00 by the ledger, -0.50 by bookings and refunds; -0.50 are in suspense of an order that the HIS has booked"},
		{"completed, and another split stands", func() *Order { o := completed(); o.Split = split.Split{PooledFund: 1, Uninsured: 49}; return o }(), []Event{pay, booked},
			"pooled_fund is 0.00 by the ledger, 0.01 of the order stand; wechat_cash is 0.50 by the ledger, 0.49 of the order stand"},
		{"held", completed(&refund.Refund{State: refund.Held, Lines: item, HeldAt: start}), []Event{pay, booked, hold}, ""},
		{"asked, and held in the books", completed(&refund.Refund{State: refund.Asked, Lines: item}), []Event{pay, booked, hold}, "revenue is -0.30 by the ledger, -0.50 by bookings and refunds"},
		{"refused, and held in the books", completed(&refund.Refund{State: refund.Refused, Lines: item, HeldAt: start}), []Event{pay, booked, hold},
			"revenue is -0.30 by the ledger, -0.50 by bookings and refunds; -0.20 are still to go back"},
		{"given back in part", completed(given), []Event{pay, booked, hold, returned}, ""},
		{"given back in part, and the cash not", completed(given), []Event{pay, booked, hold},
			"the ledger holds 0.50 at WeChat, the payments 0.30; -0.20 are still to go back, and no refund is under way; wechat_cash is 0.50 by the ledger, 0.30 of the order stand"},
		{"given back by the window", completed(atWindow), []Event{pay, booked, hold, noted}, ""},
		{"given back by the window, and not noted", completed(atWindow), []Event{pay, booked, hold}, "-0.20 are still to go back, and no refund is under way; 0.00 are in suspense"},
		{"given back by the window, another part than stands", func() *Order {
			o := completed(atWindow)
			o.Refunds = append(o.Refunds, &refund.Refund{State: refund.Done, Rest: split.Split{PooledFund: 1, Uninsured: 29}})
			return o
		}(), []Event{pay, booked, hold, noted}, "pooled_fund is 0.00 by the ledger, 0.01 of the order stand; wechat_cash is 0.50 by the ledger, 0.49 of the order stand"},
		{"given back by the till in the end", completed(atTill), []Event{pay, booked, hold, tilled}, ""},
		{"given back by the till, and not in the books", completed(atTill), []Event{pay, booked, hold}, "-0.20 are still to go back, and no refund is under way; 0.00 are in suspense"},
		{"the till is under way", completed(atTillYet), []Event{pay, booked, hold, tilled}, ""},
		{"undone, and money is here", &Order{State: Unwound}, []Event{pay}, "the ledger holds 0.50 at WeChat, the payments 0.00; an order that was undone holds [suspense -0.50 wechat_cash 0.50]"},
		{"undone, and the insurer owes", &Order{State: Unwound}, []Event{event("settlement settled", split.Split{PooledFund: 5}, line(ledger.PooledFund, 5), line(ledger.Revenue, -5))},
			"the insurer owes 0.05 by the ledger, 0.00 by the settlements; revenue is -0.05 by the ledger, 0.00 by bookings and refunds; an order that was undone holds [pooled_fund 0.05 revenue -0.05]"},
		{"undone, and something hangs", &Order{State: Unwound}, []Event{event("payment ruled paid", split.Split{}, line(ledger.WechatFee, 5), line(ledger.Suspense, -5))},
			"an order that was undone holds [suspense -0.05 wechat_fee 0.05]"},
		{"undone, with cash beside suspense", &Order{State: Unwound}, []Event{event("payment pay", split.Split{Cash: 5}, line(ledger.WechatCash, 5), line(ledger.WechatFee, -5))},
			"the ledger holds 0.05 at WeChat, the payments 0.00; an order that was undone holds [wechat_cash 0.05 wechat_fee -0.05]"},
		{"closed, and something hangs", &Order{State: Closed}, []Event{event("payment ruled paid", split.Split{}, line(ledger.WechatFee, 5), line(ledger.Suspense, -5))},
			"a closed order holds [suspense -0.05 wechat_fee 0.05]"},
		{"closed", &Order{State: Closed}, []Event{pay, back}, ""},
		{"closed, cash given back, and something hangs", &Order{State: Closed}, []Event{pay, back, event("payment ruled paid", split.Split{},
			line(ledger.WechatFee, 5), line(ledger.Suspense, -5))}, "a closed order holds [suspense -0.05 wechat_fee 0.05]"},
	} {
		found := Verify(tt.order, begun(tt.order, tt.events))
		want := strings.Split(tt.want, "; ")
		if tt.want == "" {
			want = nil
		}
		slices.Sort(found)
		slices.Sort(want)
		equal := len(found) == len(want)
		for i := range min(len(found), len(want)) {
			equal = equal && strings.HasPrefix(found[i], want[i])
		}
		if !equal {
			t.Errorf("%s: found %q, want %q", tt.name, found, want)
		}
	}
	if got, want := Balances([]Event{pay, back, pay}), (map[ledger.Account]money.Fen{ledger.WechatCash: 50, ledger.Suspense: -50}); !maps.Equal(got, want) {
		t.Errorf("Balances = %v, want %v", got, want)
	}
}

// begun adds the events that say how the order's attempts began, and numbers all.
func begun(o *Order, events []Event) []Event {
	all := slices.Clone(events)
	for range o.Settlements {
		all = append(all, Event{Subject: "settlement", Verb: "presettle", To: "presettling"})
	}
	for range o.Payments {
		all = append(all, Event{Subject: "payment", Verb: "prepare", To: "preparing"})
	}
	for _, f := range o.Refunds {
		all = append(all, Event{Subject: "refund", Verb: "ask", To: string(f.State), Number: f.ID.No()})
	}
	for i := range all {
		all[i].Seq = i + 1
	}
	return all
}
