package order

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// insurers are the accounts of what the insurer owes.
var insurers = []ledger.Account{ledger.PooledFund, ledger.OtherFund, ledger.PersonAccount, ledger.FamilyAccount, ledger.HospitalBorne}

// Verify reckons an order anew, from its events and from its legs, and says where the ledger differs. Nothing is what a sound order says.
func Verify(o *Order, history []Event) []string {
	v := verification{order: o, books: map[ledger.Account]money.Fen{}}
	v.whole(history)
	for i := range history {
		v.event(&history[i])
	}
	v.cash()
	v.insurance()
	v.revenue()
	return v.findings
}

// Balances are an order's ledger, by account.
func Balances(history []Event) map[ledger.Account]money.Fen {
	books := map[ledger.Account]money.Fen{}
	for i := range history {
		for _, l := range history[i].Posting {
			books[l.Account] += l.Amount
		}
	}
	return books
}

type verification struct {
	order    *Order
	books    map[ledger.Account]money.Fen
	findings []string
}

func (v *verification) find(format string, args ...any) {
	v.findings = append(v.findings, fmt.Sprintf(format, args...))
}

func (v *verification) sum(accounts ...ledger.Account) (sum money.Fen) {
	for _, a := range accounts {
		sum += v.books[a]
	}
	return sum
}

// whole looks for events and attempts that are gone: both are numbered, each attempt begins with an event, and the last move of the order and of
// each refund says where it stands.
func (v *verification) whole(history []Event) {
	o, begun, last := v.order, map[string]int{}, map[string]string{}
	for i := range history {
		e := &history[i]
		if e.Seq != i+1 {
			v.find("event %d is followed by event %d", i, e.Seq)
			break
		}
	}
	for i := range history {
		e := &history[i]
		if e.From == "" && e.To != "" {
			begun[e.Subject]++
		}
		switch {
		case e.From == e.To:
		case e.Subject == "order":
			last["order"] = e.To
		case e.Subject == "refund":
			last[e.Number] = e.To
		}
	}
	if stands := last["order"]; stands != "" && stands != string(o.State) {
		v.find("the order is %s, its last event says %s", o.State, stands)
	}
	for _, f := range o.Refunds {
		if stands := last[f.ID.No()]; stands != string(f.State) {
			v.find("refund %s is %s, its last event says %q", f.ID.No(), f.State, stands)
		}
	}
	attempts := map[string]int{"settlement": len(o.Settlements), "payment": len(o.Payments), "mixed": len(o.Mixed), "refund": len(o.Refunds)}
	for _, subject := range slices.Sorted(maps.Keys(attempts)) {
		if attempts[subject] != begun[subject] {
			v.find("%d of subject %s are there, the events have begun %d", attempts[subject], subject, begun[subject])
		}
	}
}

// event compares what an event posts with what it says happened.
func (v *verification) event(e *Event) {
	if err := e.Posting.Check(); err != nil {
		v.find("event %d %s %s: %v", e.Seq, e.Subject, e.Verb, err)
	}
	moved := map[ledger.Account]money.Fen{}
	for _, l := range e.Posting {
		moved[l.Account] += l.Amount
		v.books[l.Account] += l.Amount
	}
	cash, insured := moved[ledger.WechatCash], money.Fen(0)
	for _, a := range insurers {
		insured += moved[a]
	}
	wantCash, wantInsured := money.Fen(0), money.Fen(0)
	switch e.Subject + " " + e.Verb {
	case "payment pay":
		wantCash = e.Split.Cash
	case "payment return", "refund cash returned":
		wantCash = -e.Split.Cash
	case "settlement settled", "settlement reinstated":
		wantInsured = e.Split.Insured() - e.Split.Cash
	case "settlement cancelled":
		wantInsured = e.Split.Cash - e.Split.Insured()
	case "payment ruled paid", "payment ruled returned", "settlement ruled settled", "settlement ruled cancelled": // people say what was known, or not
		return
	}
	if cash != wantCash || insured != wantInsured {
		v.find("event %d %s %s moves %s at WeChat and %s at the insurer, it says %s and %s", e.Seq, e.Subject, e.Verb, cash, insured, wantCash, wantInsured)
	}
}

// cash compares what WeChat holds by the ledger with what the payments and refunds say.
func (v *verification) cash() {
	var least, most money.Fen
	for _, p := range v.order.Payments {
		switch p.State {
		case payment.Paid, payment.Refunding:
			least, most = least+p.Amount, most+p.Amount
		case payment.InReview: // the very question
			most += p.Amount
		}
	}
	for _, f := range v.order.Refunds {
		if f.Returned() {
			least, most = least-f.Cash.Amount, most-f.Cash.Amount
		}
	}
	if got := v.books[ledger.WechatCash]; got < least || got > most || (got != least && got != most) {
		v.find("the ledger holds %s at WeChat, the payments %s", got, most)
	}
}

// insurance compares what the insurer owes by the ledger with what stands.
func (v *verification) insurance() {
	sure, perhaps := money.Fen(0), money.Fen(0)
	for _, s := range v.order.Settlements {
		owed := s.Actual.Insured() - s.Actual.Cash
		switch s.State {
		case settlement.Settled, settlement.Cancelling, settlement.Checking:
			sure += owed
		case settlement.Restoring, settlement.InReview: // put back, or the very question
			perhaps += owed
		}
	}
	if got := v.sum(insurers...); got != sure && got != sure+perhaps {
		v.find("the insurer owes %s by the ledger, %s by the settlements", got, sure+perhaps)
	}
}

// revenue compares the rest: what the HIS has booked is revenue less what refunds took, and nothing hangs in between when nothing is under way.
func (v *verification) revenue() {
	o := v.order
	var want, noted money.Fen
	byHand := parts{} // what people gave back beside WeChat and the insurer, who do not know
	under := false
	if o.Post == PostDone {
		want = -o.Total
	}
	for _, f := range o.Refunds {
		if !f.HeldAt.IsZero() && f.State != refund.Refused {
			want += f.Total()
		}
		if f.Note && f.State == refund.Done {
			noted -= f.Total()
			byHand = byHand.plus(f.Before, 1).plus(f.Rest, -1)
		}
		noted -= f.Till
		byHand[ledger.WechatCash] += f.Till
		under = under || !f.State.Final()
	}
	if got := v.books[ledger.Revenue]; got != want {
		v.find("revenue is %s by the ledger, %s by bookings and refunds", got, want)
	}
	if due := v.books[ledger.RefundsDue]; due != 0 && !under {
		v.find("%s are still to go back, and no refund is under way", due)
	}
	switch suspense := v.books[ledger.Suspense]; {
	case o.Post == PostDone && suspense != noted:
		v.find("%s are in suspense of an order that the HIS has booked", suspense)
	case o.State == Unwound && (suspense != 0 || v.books[ledger.WechatCash] != 0 || v.sum(insurers...) != 0):
		v.find("an order that was undone holds %v", v.open())
	case o.State == Closed && suspense != 0:
		v.find("a closed order holds %v", v.open())
	}
	if o.State == Completed && !under {
		want := byHand.plus(o.Standing(), 1)
		for _, account := range append([]ledger.Account{ledger.WechatCash}, insurers...) {
			if got := v.books[account]; got != want[account] {
				v.find("%s is %s by the ledger, %s of the order stand", account, got, want[account])
			}
		}
	}
}

// parts are amounts by account.
type parts map[ledger.Account]money.Fen

// plus adds a split so many times.
func (p parts) plus(s split.Split, times money.Fen) parts {
	for account, amount := range map[ledger.Account]money.Fen{ledger.WechatCash: s.Charge(), ledger.PooledFund: s.PooledFund, ledger.OtherFund: s.OtherFund,
		ledger.PersonAccount: s.Account, ledger.FamilyAccount: s.FamilyAccount, ledger.HospitalBorne: s.HospitalBorne} {
		p[account] += amount * times
	}
	return p
}

// open are the accounts that are not at nothing.
func (v *verification) open() []string {
	var list []string
	for _, a := range slices.Sorted(maps.Keys(v.books)) {
		if v.books[a] != 0 {
			list = append(list, fmt.Sprintf("%s %s", a, v.books[a]))
		}
	}
	return list
}
