package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
)

// What somebody who votes may be told.
var (
	ErrNoCase  = fault.New(fault.NotFound, "REVIEW_NONE", "该订单没有待核实的事项")
	ErrVoted   = fault.New(fault.Conflict, "REVIEW_VOTED", "同一人不能既经办又复核，请由另一位复核")
	ErrDiffers = fault.New(fault.Conflict, "REVIEW_DIFFERS", "与经办人的意见不一致；不同意请用 reject 退回，由经办人重新提出")
	ErrVerdict = fault.New(fault.Invalid, "REVIEW_VERDICT", "核实意见有误")
	// ErrNumberTaken is a number that another order of the hospital has; the store's unique keys say so.
	ErrNumberTaken = fault.New(fault.Conflict, "NUMBER_TAKEN", "该单号已属于另一笔订单，请核实")
)

// Position is a person's part in a case; each is held by another person (design.md §4.8).
type Position string

// The positions.
const (
	Maker   Position = "maker"   // 经办
	Checker Position = "checker" // 复核
)

// Case is an order, or a refund of it, that nobody but people can judge.
type Case struct {
	ID          int64
	Institution string
	Order       ID
	Cause       Cause
	OpenedAt    time.Time
	Votes       []Vote
}

// Vote is one person's word on a case.
type Vote struct {
	Person   string // "staff:12"
	Position Position
	Verdict  Verdict
	Reason   string
	At       time.Time
}

// Outcome is what becomes of what people looked at.
type Outcome string

// The outcomes. The first five are an order's, the next three a refund's.
const (
	ToPost     Outcome = "post"     // all money is here: the HIS is told
	ToSettle   Outcome = "settle"   // the insurer is asked to settle
	ToUnwind   Outcome = "unwind"   // everything goes back
	ToClose    Outcome = "close"    // nothing was taken
	ToComplete Outcome = "complete" // the HIS has booked it
	ToResume   Outcome = "resume"   // the refund goes on
	ToFinish   Outcome = "done"     // everything is back on every side
	ToRefuse   Outcome = "refuse"   // nothing has moved, and nothing will
	ToReject   Outcome = "reject"   // the checker does not agree; another maker begins anew
)

// Verdict says how a case ends, and how each leg stands that is in review itself: what people have found out at the counterpart.
type Verdict struct {
	Outcome       Outcome
	Insurance     string // settled, cancelled, not_settled
	SetlID        string // 结算ID, where the insurer had not told it
	Cash          string // paid, closed, returned
	TransactionID string // 微信支付单号, where WeChat had not told it: the HIS books no cash without
	Mixed         string // succeeded, failed, dead
	PostingNo     string // 入账流水号, to complete
	Till          string // yuan: what the window's till has handed out of a refund that WeChat cannot give back; below zero: taken in
	Rest          string // who bears what a noted refund left insured: "pooled_fund:10.00,account:5.00"; what nobody is named for is the patient's
}

// parts are the fields beside the outcome, by the names under which they are stored.
func (v *Verdict) parts() []part {
	return []part{{"insurance", &v.Insurance}, {"setl_id", &v.SetlID}, {"cash", &v.Cash}, {"transaction_id", &v.TransactionID}, {"mixed", &v.Mixed},
		{"posting_no", &v.PostingNo}, {"till", &v.Till}, {"rest", &v.Rest}}
}

type part struct {
	name  string
	value *string
}

// String is the verdict in one line, as it is stored and compared.
func (v Verdict) String() string {
	words := []string{string(v.Outcome)}
	for _, p := range v.parts() {
		if *p.value != "" {
			words = append(words, p.name+"="+*p.value)
		}
	}
	return strings.Join(words, " ")
}

// ParseVerdict reads what String writes. ErrVerdict.
func ParseVerdict(s string) (Verdict, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return Verdict{}, ErrVerdict
	}
	v := Verdict{Outcome: Outcome(words[0])}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		i := slices.IndexFunc(v.parts(), func(p part) bool { return p.name == name })
		if i < 0 || *v.parts()[i].value != "" || value == "" {
			return Verdict{}, ErrVerdict.Because(fmt.Errorf("%q", w))
		}
		*v.parts()[i].value = value
	}
	if v.String() != s {
		return Verdict{}, ErrVerdict.Because(errors.New("not in one line"))
	}
	return v, nil
}

// Vote takes a person's word on the open case of an order. The first is the maker's and only stands; the second, another person's, must say the
// same, and then the machine does it. Applied tells whether it was the second. Errors: ErrNotFound, ErrNoCase, ErrVoted, ErrDiffers, ErrVerdict.
func (s *Service) Vote(ctx context.Context, person string, id ID, v Verdict, reason string) (o *Order, applied bool, err error) {
	if o, err = s.store.Load(ctx, id); err != nil {
		return nil, false, fmt.Errorf("vote on order %s: %w", id.No(), err)
	}
	if _, err := s.store.OpenCase(ctx, id); err != nil {
		return nil, false, fmt.Errorf("vote on order %s: %w", id.No(), err)
	}
	err = s.heldAnew(ctx, o, func(now *Order, claim job.Claim) (err error) {
		o = now
		applied, err = s.vote(ctx, o, claim, person, v, reason)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("vote: %w", err)
	}
	return o, applied, nil
}

func (s *Service) vote(ctx context.Context, o *Order, claim job.Claim, person string, v Verdict, reason string) (applied bool, err error) {
	c, err := s.store.OpenCase(ctx, o.ID) // the claim's job was read before it: a vote in between has moved that
	if err != nil {
		return false, err
	}
	r, err := s.holding(o, claim, person)
	if err != nil {
		return false, err
	}
	vote := Vote{Person: person, Position: Maker, Verdict: v, Reason: reason, At: s.clock.Now()}
	if len(c.Votes) > 0 {
		vote.Position = Checker
	}
	if err := r.mayVote(ctx, c, vote); err != nil {
		return false, err
	}
	o.Vote = &vote
	r.note(Event{Subject: "review", Verb: string(vote.Position), Number: fmt.Sprint(c.ID), Detail: v.String()})
	applied = vote.Position == Checker && v.Outcome != ToReject
	if applied {
		if err := r.rule(ctx, v); err != nil {
			return false, err
		}
	}
	next := job.Finish()
	if applied { // a worker does what follows: whoever votes may know no counterpart
		next = job.At(s.clock.Now(), 0, "ruled by two people")
	}
	return applied, r.commit(context.WithoutCancel(ctx), next)
}

// mayVote refuses a vote that cannot stand. What the machine would not do is refused to the maker already.
func (r *run) mayVote(ctx context.Context, c Case, vote Vote) error {
	for _, earlier := range c.Votes {
		switch {
		case earlier.Person == vote.Person:
			return ErrVoted
		case earlier.Verdict != vote.Verdict && vote.Verdict.Outcome != ToReject:
			return ErrDiffers
		}
	}
	if vote.Verdict.Outcome == ToReject {
		if vote.Position == Maker {
			return wrong("还没有经办意见，不能退回")
		}
		return nil
	}
	try, err := r.store.Load(ctx, r.order.ID)
	if err != nil {
		return err
	}
	rehearsal := *r
	rehearsal.order = try
	return rehearsal.rule(ctx, vote.Verdict)
}
