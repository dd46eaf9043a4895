package order

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
)

// lateSource begins the source of a notice that we wrote ourselves: an answer that came after the claim was lost.
const lateSource = "late"

// fate is what became of a notice.
type fate int

const (
	unhandled fate = iota // somebody else works on its order, or something failed: later
	handled               // to be marked
	marked                // with what it led to
)

// done is handled, unless an error says otherwise.
func done(err error) (fate, error) {
	if err != nil {
		return unhandled, err
	}
	return handled, nil
}

func (s *Service) notified(ctx context.Context, n job.Stored) (fate, error) {
	source, institution, ok := strings.Cut(n.Source, "/")
	if source == lateSource {
		return s.learnLate(ctx, n)
	}
	if !ok {
		return handled, nil // not ours to understand; it stays in the inbox, marked
	}
	if n.Kind == patient.KindMerged {
		return s.merged(ctx, institution, n)
	}
	id, err := s.about(ctx, institution, n.Kind, n.Number)
	if errors.Is(err, ErrNotFound) {
		return handled, nil // a number that is not ours: kept for reconciliation
	}
	if err != nil {
		return unhandled, err
	}
	if n.Kind == refund.KindAsked {
		return s.askedByHIS(ctx, id, n)
	}
	return s.seize(ctx, id, n, nil)
}

// askedByHIS takes a refund that the window asks for; its own number makes repeats one. What cannot be made is said in the log, and why
// stays with the notice, for the HIS that asks.
func (s *Service) askedByHIS(ctx context.Context, id ID, n job.Stored) (fate, error) {
	o, err := s.store.Load(ctx, id)
	if err != nil {
		return unhandled, err
	}
	var in refund.AskedByHIS
	if err := json.Unmarshal(n.Body, &in); err != nil {
		return handled, fmt.Errorf("refund asked by the HIS: %w", err)
	}
	a := RefundAsk{By: refund.ByHIS, Actor: "his:" + o.Institution, Order: o.ID, Key: "his " + in.HISNo, Whole: in.Whole, KeptAgain: true, Note: in.Note,
		HISNo: in.HISNo, Reason: in.Reason, Total: in.Total}
	for _, l := range in.Lines {
		a.Wants = append(a.Wants, refund.Want{BillNo: l.BillNo, LineNo: l.LineNo, Quantity: l.Quantity})
	}
	_, _, err = s.AskRefund(ctx, a)
	switch {
	case err == nil:
		return handled, nil
	case errors.Is(err, job.ErrBusy), errors.Is(err, job.ErrLost), errors.Is(err, refund.ErrUnderWay):
		return unhandled, nil // later
	case errors.Is(err, ErrState) && !o.State.Final():
		return unhandled, nil // it may yet be booked
	case !decided(err):
		return unhandled, err // our database, or something that nobody has foreseen: the window's number must not be forgotten
	}
	return handled, fmt.Errorf("refund %s asked by the HIS for order %s: %w", in.HISNo, o.ID.No(), err)
}

// decided reports whether an error is a refusal that stands, however often the same is asked.
func decided(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Rejected, fault.Forbidden:
		return true
	}
	return false
}

// seize claims an order's job for a notice and runs its step at once; not while somebody else works on it, so that a notice is not
// taken for handled by a step that began before it. What the step writes first marks the notice. An order without a job is final or in review, where nothing happens by itself; only to a
// closed one money may have come after all.
func (s *Service) seize(ctx context.Context, id ID, n job.Stored, learnt *Event) (fate, error) {
	o, j, found, err := s.store.LoadForWork(ctx, id)
	if err != nil {
		return unhandled, err
	}
	if !found {
		if o.State != Closed {
			return handled, nil
		}
		if err := s.store.Revive(ctx, id, s.clock.Now()); err != nil {
			return unhandled, err
		}
		if o, j, found, err = s.store.LoadForWork(ctx, id); err != nil || !found {
			return unhandled, err // a worker was faster; the notice stays for a step that begins after it
		}
	}
	claim, err := s.want(j)
	if err != nil {
		return unhandled, nil //nolint:nilerr // somebody works on it
	}
	if learnt != nil {
		o.Events = append(o.Events, *learnt)
	}
	o.Notice = n.ID
	r, err := s.running(o, claim, "system")
	if err == nil {
		err = r.loop(ctx)
	}
	switch {
	case errors.Is(err, job.ErrBusy): // somebody was faster
		return unhandled, nil
	case err == nil && r.order.Notice == 0:
		return marked, nil
	}
	return done(err)
}

// about finds the order of a notice: WeChat and the centre name what they know of it, a HIS names the order itself, which must be of its own. A refund is
// asked for by the order's own number alone: under another its asker would hear that it is unknown.
func (s *Service) about(ctx context.Context, institution, kind, number string) (ID, error) {
	if kind != refund.KindAsked {
		if id, err := s.store.ByNumber(ctx, institution, number); !errors.Is(err, ErrNotFound) {
			return id, err
		}
	}
	id, err := ParseID(number)
	if err != nil {
		return 0, err
	}
	o, err := s.store.Load(ctx, id)
	if err == nil && o.Institution != institution {
		return 0, ErrNotFound
	}
	return id, err
}

// learnLate writes a late answer into the order's history, where the next step and people find it. What it claims is proved by the
// queries that the order makes anyway.
func (s *Service) learnLate(ctx context.Context, n job.Stored) (fate, error) {
	id, err := ParseID(n.Number)
	if err != nil {
		return handled, nil //nolint:nilerr // not a number of ours: it stays in the inbox, marked
	}
	if err := s.store.Revive(ctx, id, s.leaseEnd()); err != nil { // see heldAnew
		return unhandled, err
	}
	return s.seize(ctx, id, n, &Event{At: s.clock.Now(), Actor: "system", Subject: "order", Verb: "late_answer", Number: n.Notice.ID, Detail: "inbox"})
}
