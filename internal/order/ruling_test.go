package order

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// The legs of these tests: eighty yuan that the insurer saw, half from the fund, and twenty that it did not.
var ruledSplit = split.Split{PooledFund: 4000, Account: 1000, Cash: 3000, Uninsured: 2000}

// ruling is a run on an order in review whose legs stand as told.
func ruling(t *testing.T, s *settlement.Settlement, p *payment.Payment, m *payment.Mixed) (*run, *Order) {
	w := newWorld(t, 1)
	o := &Order{ID: 12, Institution: hospitalID, Route: Core, State: InReview, Total: 10000, Split: ruledSplit}
	if s != nil {
		o.Settlements = []*settlement.Settlement{s}
	}
	if p != nil {
		o.Payments = []*payment.Payment{p}
	}
	if m != nil {
		o.Mixed = []*payment.Mixed{m}
	}
	return &run{Service: w.service, order: o, party: w.party, actor: "staff:2"}, o
}

// told is what the order's new events say and post.
func told(o *Order) string {
	var all []string
	for _, e := range o.Events {
		text := strings.TrimSpace(fmt.Sprintf("%s %s %s>%s %s", e.Subject, e.Verb, e.From, e.To, e.Number))
		for _, l := range e.Posting {
			text += fmt.Sprintf(", %s %s", l.Account, l.Amount)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func TestRuleInsurance(t *testing.T) {
	t.Parallel()
	foreseen, actual := split.Split{PooledFund: 4000, Account: 1000, Cash: 3000}, split.Split{PooledFund: 3000, Account: 1000, Cash: 4000}
	owed := map[ledger.Account]money.Fen{ledger.PooledFund: 3000, ledger.PersonAccount: 1000}
	for _, tt := range []struct {
		name    string
		state   settlement.State
		setlID  string
		actual  split.Split
		books   map[ledger.Account]money.Fen
		verdict Verdict
		want    string // told; empty: ErrVerdict
	}{
		{"settled under no number", settlement.InReview, "", split.Split{}, nil, Verdict{Insurance: "settled"}, ""},
		{"settled, as people found out", settlement.InReview, "", split.Split{}, nil, Verdict{Insurance: "settled", SetlID: "S2"},
			"settlement ruled settled in_review>settled S2, pooled_fund 40.00, person_account 10.00, suspense -50.00"},
		{"settled, as the insurer had said", settlement.InReview, "S1", actual, nil, Verdict{Insurance: "settled", SetlID: "S2"},
			"settlement ruled settled in_review>settled S1, pooled_fund 30.00, person_account 10.00, suspense -40.00"},
		{"settled, and in the books already", settlement.InReview, "S1", actual, owed, Verdict{Insurance: "settled"}, "settlement ruled settled in_review>settled S1"},
		{"cancelled, and in the books", settlement.InReview, "S1", actual, owed, Verdict{Insurance: "cancelled"},
			"settlement ruled cancelled in_review>cancelled S1, pooled_fund -30.00, person_account -10.00, suspense 40.00"},
		{"cancelled, and never in the books", settlement.InReview, "S1", actual, nil, Verdict{Insurance: "cancelled"},
			"settlement ruled cancelled in_review>cancelled S1"},
		{"never settled", settlement.InReview, "", split.Split{}, nil, Verdict{Insurance: "not_settled"}, "settlement ruled not_settled in_review>reversed"},
		{"never settled, against the books", settlement.InReview, "S1", actual, owed, Verdict{Insurance: "not_settled"}, ""},
		{"nobody says", settlement.InReview, "", split.Split{}, nil, Verdict{}, ""},
		{"a word that nobody knows", settlement.InReview, "", split.Split{}, nil, Verdict{Insurance: "perhaps", SetlID: "S2"}, ""},
		{"not in review, and nothing said", settlement.Settled, "S1", actual, owed, Verdict{}, "-"},
		{"not in review", settlement.Settled, "S1", actual, owed, Verdict{Insurance: "settled"}, ""},
		{"a number, and not in review", settlement.Settled, "S1", actual, owed, Verdict{SetlID: "S2"}, ""},
	} {
		r, o := ruling(t, &settlement.Settlement{State: tt.state, Total: 8000, SetlID: tt.setlID, Foreseen: foreseen, Actual: tt.actual}, nil, nil)
		err := r.ruleInsurance(tt.verdict, tt.books)
		if got := told(o); errors.Is(err, ErrVerdict) != (tt.want == "") || got != strings.Trim(tt.want, "-") {
			t.Errorf("%s: %v, %q, want %q", tt.name, err, got, tt.want)
		}
		s := o.Settlements[0]
		if s.State == settlement.Settled && s.State != tt.state && (s.Actual == (split.Split{}) || s.SettledAt.IsZero() != (tt.setlID != "")) {
			t.Errorf("%s: settled %+v at %v", tt.name, s.Actual, s.SettledAt)
		}
	}
	r, o := ruling(t, nil, nil, nil)
	if err := errors.Join(r.ruleInsurance(Verdict{}, nil), r.ruleCash(Verdict{}, nil), r.ruleMixed(Verdict{})); err != nil || len(o.Events) != 0 {
		t.Errorf("an order without legs: %v, %s", err, told(o))
	}
	for _, v := range []Verdict{{Insurance: "settled"}, {SetlID: "S1"}} {
		if err := r.ruleInsurance(v, nil); !errors.Is(err, ErrVerdict) {
			t.Errorf("%q without an insurance leg: %v", v, err)
		}
	}
}

func TestRuleCash(t *testing.T) {
	t.Parallel()
	here := map[ledger.Account]money.Fen{ledger.WechatCash: 5000}
	for _, tt := range []struct {
		name  string
		state payment.State
		books map[ledger.Account]money.Fen
		cash  string
		want  string // told; empty: ErrVerdict
	}{
		{"paid, and nobody had noticed", payment.InReview, nil, "paid", "payment ruled paid in_review>paid T1, wechat_cash 50.00, suspense -50.00"},
		{"paid, and in the books", payment.InReview, here, "paid", "payment ruled paid in_review>paid T1"},
		{"never paid", payment.InReview, nil, "closed", "payment ruled closed in_review>closed T1"},
		{"never paid, against the books", payment.InReview, here, "closed", ""},
		{"given back, and in the books", payment.InReview, here, "returned", "payment ruled returned in_review>refunded T1, wechat_cash -50.00, suspense 50.00"},
		{"given back, and never in the books", payment.InReview, nil, "returned", "payment ruled returned in_review>refunded T1"},
		{"nobody says", payment.InReview, nil, "", ""},
		{"a word that nobody knows", payment.InReview, here, "perhaps", ""},
		{"not in review, and nothing said", payment.Paid, here, "", "-"},
		{"not in review", payment.Paid, here, "paid", ""},
	} {
		r, o := ruling(t, nil, &payment.Payment{State: tt.state, OutTradeNo: "T1", Amount: 5000}, nil)
		v := Verdict{Cash: tt.cash}
		if tt.cash == "paid" {
			v.TransactionID = "4200"
		}
		err := r.ruleCash(v, tt.books)
		if got := told(o); errors.Is(err, ErrVerdict) != (tt.want == "") || got != strings.Trim(tt.want, "-") {
			t.Errorf("%s: %v, %q, want %q", tt.name, err, got, tt.want)
		}
		if p := o.Payments[0]; !p.PaidAt.IsZero() != (tt.cash == "paid" && tt.books == nil) {
			t.Errorf("%s: paid at %v", tt.name, p.PaidAt)
		}
		if len(o.Events) > 0 && o.Events[0].Split != (split.Split{Cash: 5000}) {
			t.Errorf("%s: the event says %+v", tt.name, o.Events[0].Split)
		}
	}
}

func TestRuleMixed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state payment.MixedState
		mixed string
		want  string // told; empty: ErrVerdict
	}{
		{payment.MixedInReview, "succeeded", "mixed succeed in_review>succeeded W1"},
		{payment.MixedInReview, "failed", "mixed fail in_review>failed W1"},
		{payment.MixedInReview, "dead", "mixed kill in_review>dead W1"},
		{payment.MixedInReview, "", ""},
		{payment.MixedInReview, "perhaps", ""},
		{payment.MixedOpen, "", "-"},
		{payment.MixedOpen, "dead", ""},
	} {
		r, o := ruling(t, &settlement.Settlement{State: settlement.Settling, Upload: settlement.Upload{OrderNo: "U1"}}, nil,
			&payment.Mixed{State: tt.state, SerialNo: "U1", MixTradeNo: "W1"})
		err := r.ruleMixed(Verdict{Mixed: tt.mixed})
		if got := told(o); errors.Is(err, ErrVerdict) != (tt.want == "") || got != strings.Trim(tt.want, "-") {
			t.Errorf("%s in %s: %v, %q, want %q", tt.mixed, tt.state, err, got, tt.want)
		}
	}
}

// TestRuleOrder: two people can do nothing that the legs do not bear out.
func TestRuleOrder(t *testing.T) {
	t.Parallel()
	leg := func(state settlement.State, moved money.Fen) *settlement.Settlement {
		s := &settlement.Settlement{State: state, Foreseen: split.Split{PooledFund: 4000, Account: 1000, Cash: 3000}}
		s.Actual = s.Foreseen
		s.Actual.PooledFund, s.Actual.Cash = s.Actual.PooledFund-moved, s.Actual.Cash+moved
		return s
	}
	cash := func(state payment.State) *payment.Payment { return &payment.Payment{State: state, Amount: 5000} }
	for _, tt := range []struct {
		name string
		s    *settlement.Settlement
		p    *payment.Payment
		can  string // the outcomes that are possible; complete needs a number
	}{
		{"all money is here", leg(settlement.Settled, 0), cash(payment.Paid), "post complete unwind"},
		{"settled with other amounts", leg(settlement.Settled, 1), cash(payment.Paid), "unwind"},
		{"settled, no cash", leg(settlement.Settled, 0), cash(payment.Closed), "unwind"},
		{"settled, no cash order", leg(settlement.Settled, 0), nil, "unwind"},
		{"cash, and foreseen", leg(settlement.Presettled, 0), cash(payment.Paid), "settle unwind"},
		{"foreseen, and no cash", leg(settlement.Presettled, 0), cash(payment.Closed), "unwind"},
		{"cash, and in review", leg(settlement.InReview, 0), cash(payment.Paid), "unwind"},
		{"nothing anywhere", leg(settlement.Reversed, 0), cash(payment.Closed), "unwind close"},
		{"cash given back, insurance cancelled", leg(settlement.Cancelled, 0), cash(payment.Returned), "unwind close"},
		{"insurance cancelled, the cash order open", leg(settlement.Cancelled, 0), cash(payment.Open), "unwind"},
		{"no legs", nil, nil, "unwind close"},
	} {
		for _, outcome := range []Outcome{ToPost, ToComplete, ToSettle, ToUnwind, ToClose, ToResume} {
			r, o := ruling(t, tt.s, tt.p, nil)
			o.Cause = SidesDiffer
			err := r.ruleOrder(Verdict{Outcome: outcome, PostingNo: map[Outcome]string{ToComplete: "P9"}[outcome]})
			can := strings.Contains(" "+tt.can+" ", " "+string(outcome)+" ")
			want := map[Outcome]State{ToPost: BeingPosted, ToComplete: Completed, ToSettle: Settling, ToUnwind: Unwinding, ToClose: Closed}[outcome]
			switch {
			case can && (err != nil || o.State != want):
				t.Errorf("%s, %s: %v, order %s", tt.name, outcome, err, o.State)
			case !can && (!errors.Is(err, ErrVerdict) || o.State != InReview):
				t.Errorf("%s, %s: %v, order %s, want ErrVerdict", tt.name, outcome, err, o.State)
			}
			if kept := o.Cause != ""; can && kept != (outcome != ToPost && outcome != ToComplete) {
				t.Errorf("%s, %s: cause %q", tt.name, outcome, o.Cause)
			}
		}
	}
	r, o := ruling(t, leg(settlement.Refused, 0), cash(payment.Paid), nil)
	o.Refusal = "不在待遇期"
	o.Split = split.AllCash(10000)
	if err := r.ruleOrder(Verdict{Outcome: ToComplete}); !errors.Is(err, ErrVerdict) {
		t.Errorf("completed under no number: %v", err)
	}
	if err := r.ruleOrder(Verdict{Outcome: ToComplete, PostingNo: "P9"}); err != nil || o.Posted.PostingNo != "P9" || o.Posted.PostedAt.IsZero() || o.Post != PostDone {
		t.Errorf("what the patient pays alone: %v, %+v", err, o.Posted)
	}
	r, o = ruling(t, leg(settlement.Presettled, 0), cash(payment.Paid), nil)
	r.atOnce = true
	if err := r.ruleOrder(Verdict{Outcome: ToSettle}); !errors.Is(err, ErrVerdict) || o.State != InReview {
		t.Errorf("both legs under one password, to be settled alone: %v, %s", err, o.State)
	}
}

// TestRuleRefund: nor with a refund.
func TestRuleRefund(t *testing.T) {
	t.Parallel()
	due := map[ledger.Account]money.Fen{ledger.RefundsDue: -2000}
	for _, tt := range []struct {
		name    string
		state   refund.State
		change  func(f *refund.Refund, s *settlement.Settlement)
		outcome Outcome
		books   map[ledger.Account]money.Fen
		want    refund.State // empty: ErrVerdict
		told    string
	}{
		{"goes on", refund.InReview, nil, ToResume, due, refund.Held, "refund hold in_review>held 9"},
		{"not made, the hold is ended", refund.InReview, nil, ToRefuse, due, refund.Held, "refund hold in_review>held 9"},
		{"not made, the HIS holds nothing", refund.InReview, func(f *refund.Refund, _ *settlement.Settlement) { f.Desk = refund.DeskDropped }, ToRefuse, due, refund.Refused,
			"refund hold in_review>held 9; refund refuse held>refused 9, refunds_due 20.00, revenue -20.00"},
		{"the insurer has moved", refund.InReview, func(f *refund.Refund, _ *settlement.Settlement) { f.InsuredAt = start }, ToRefuse, due, "", ""},
		{"the cash has moved", refund.InReview, func(f *refund.Refund, _ *settlement.Settlement) { f.Cash.OutRefundNo = "R1" }, ToRefuse, due, "", ""},
		{"the HIS has booked", refund.InReview, func(f *refund.Refund, _ *settlement.Settlement) { f.Desk = refund.DeskBooked }, ToRefuse, due, "", ""},
		{"the settlement is cancelled", refund.InReview, func(_ *refund.Refund, s *settlement.Settlement) { s.State = settlement.Cancelled }, ToRefuse, due, "", ""},
		{"the settlement is cancelled, and the refund none of it", refund.InReview, func(f *refund.Refund, s *settlement.Settlement) {
			s.State, f.Lines[0].Uninsured = settlement.Cancelled, true
		}, ToRefuse, due, refund.Held, "refund hold in_review>held 9"},
		{"not all is back", refund.InReview, nil, ToFinish, due, "", ""},
		{"who bears what is left nobody knows", refund.InReview, func(f *refund.Refund, _ *settlement.Settlement) { f.Before.Cash = 5000 }, ToFinish, nil, "", ""},
		{"all is back", refund.InReview, nil, ToFinish, nil, refund.Done, "refund finish in_review>done 9"},
		{"the window's own", refund.InReview, func(f *refund.Refund, _ *settlement.Settlement) { f.Note = true }, ToFinish, due, refund.Done,
			"refund finish in_review>done 9, refunds_due 20.00, suspense -20.00"},
		{"the till has paid", refund.InReview, func(f *refund.Refund, _ *settlement.Settlement) { f.TillAt = start }, ToRefuse, nil, "", ""},
		{"the booking is asked", refund.InReview, func(f *refund.Refund, _ *settlement.Settlement) { f.Desk = refund.DeskBooking }, ToRefuse, due, "", ""},
		{"an order's outcome", refund.InReview, nil, ToPost, due, "", ""},
	} {
		r, o := ruling(t, &settlement.Settlement{State: settlement.Settled}, nil, nil)
		f := &refund.Refund{ID: 9, State: tt.state, Desk: refund.DeskHeld, HeldAt: start, Cause: string(CancelRefused), Lines: []refund.Line{{Amount: 2000}},
			Before: split.Split{Cash: 2000}}
		o.State, o.Refunds, o.RefundInsured = Completed, []*refund.Refund{f}, 2000
		if tt.change != nil {
			tt.change(f, o.Settlements[0])
		}
		err := r.ruleRefund(Verdict{Outcome: tt.outcome}, tt.books)
		if errors.Is(err, ErrVerdict) != (tt.want == "") || (tt.want != "" && f.State != tt.want) || told(o) != tt.told {
			t.Errorf("%s: %v, refund %s, %q, want %s, %q", tt.name, err, f.State, told(o), tt.want, tt.told)
		}
		if f.State == refund.Done && f.DoneAt.IsZero() || (f.State == refund.Held && f.Dropping != (tt.outcome == ToRefuse)) || (err == nil && tt.outcome == ToResume) != (f.Cause == "") {
			t.Errorf("%s: done at %v, dropping %v, cause %q", tt.name, f.DoneAt, f.Dropping, f.Cause)
		}
	}
	for _, state := range []refund.State{refund.Held, refund.Done} {
		r, o := ruling(t, nil, nil, nil)
		o.Refunds = []*refund.Refund{{State: state}}
		if err := r.ruleRefund(Verdict{Outcome: ToResume}, nil); !errors.Is(err, ErrNoCase) {
			t.Errorf("a refund that is %s: %v, want ErrNoCase", state, err)
		}
	}
	for state, kept := range map[settlement.State]bool{settlement.Presettled: true, settlement.Reversed: false} {
		r, o := ruling(t, &settlement.Settlement{ID: 5, State: state, Anew: true}, nil, nil)
		f := &refund.Refund{State: refund.InReview, HeldAt: start, Anew: 5, Foreseen: true}
		o.Refunds = []*refund.Refund{f}
		if err := r.ruleRefund(Verdict{Outcome: ToResume}, nil); err != nil || (f.Anew == 5) != kept || f.Foreseen != kept {
			t.Errorf("the rest is %s: %v, anew %d, foreseen %v", state, err, f.Anew, f.Foreseen)
		}
	}
}
