package order

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tuoka/tuoka/internal/job"
)

// lateSource marks a notice that we wrote ourselves: an answer that came after the claim was lost.
const lateSource = "late"

// mostUnread bounds how far into the inbox one step looks.
const mostUnread = 8192

// StepInbox handles one unread notice. It reports whether there was one that could be handled.
//
// A notice is a hint: it makes the order's own step ask the counterpart. It never moves money by itself, never leaves a review, and may
// be lost, doubled, reordered or late by days.
func (s *Service) StepInbox(ctx context.Context) (bool, error) {
	var faults error
	for tried, limit := 0, 16; ; limit *= 8 { // those that cannot be handled now must not keep the others waiting, however many they are
		unread, err := s.inbox.Unread(ctx, limit)
		if err != nil {
			return false, fmt.Errorf("inbox: %w", err)
		}
		for _, n := range unread[min(tried, len(unread)):] {
			handled, err := s.notified(ctx, n)
			if err != nil {
				faults = errors.Join(faults, fmt.Errorf("notice %d from %s: %w", n.ID, n.Source, err))
				continue
			}
			if handled {
				return true, errors.Join(faults, s.inbox.Mark(ctx, n.ID, s.clock.Now()))
			}
		}
		if tried = len(unread); tried < limit || limit >= mostUnread {
			return false, faults
		}
	}
}

func (s *Service) notified(ctx context.Context, n job.Stored) (bool, error) {
	if n.Source == lateSource {
		return s.learnLate(ctx, n)
	}
	_, institution, ok := strings.Cut(n.Source, "/")
	if !ok {
		return true, nil // not ours to understand; it stays in the inbox, marked
	}
	o, err := s.about(ctx, institution, n.Number)
	if errors.Is(err, ErrNotFound) {
		return true, nil // a number that is not ours: kept for reconciliation
	}
	if err != nil {
		return false, err
	}
	return s.seize(ctx, o.ID, nil)
}

// seize claims an order's job for a notice and runs its step at once; false while somebody else works on it, so that a notice is not
// taken for handled by a step that began before it. An order without a job is final or in review, where nothing happens by itself; only to a
// closed one money may have come after all.
func (s *Service) seize(ctx context.Context, id ID, learnt *Event) (bool, error) {
	j, found, err := s.queue.Find(ctx, JobKind, id.No())
	if err != nil {
		return false, err
	}
	if !found {
		o, err := s.store.Load(ctx, id)
		if err != nil || o.State != Closed {
			return err == nil, err
		}
		if err := s.store.Revive(ctx, id, s.clock.Now()); err != nil {
			return false, err
		}
		if j, found, err = s.queue.Find(ctx, JobKind, id.No()); err != nil || !found {
			return false, err // a worker was faster; the notice stays for a step that begins after it
		}
	}
	claim, err := s.take(ctx, j)
	if errors.Is(err, job.ErrBusy) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	o, err := s.store.Load(ctx, id)
	if err != nil {
		return false, err
	}
	if learnt != nil {
		o.Events = append(o.Events, *learnt)
	}
	_, err = s.drive(ctx, o, claim, "system")
	return err == nil, err
}

// about finds the order of a notice: WeChat names a cash order, a HIS names the order itself.
func (s *Service) about(ctx context.Context, institution, number string) (*Order, error) {
	id, err := s.store.ByNumber(ctx, institution, number)
	if errors.Is(err, ErrNotFound) {
		id, err = ParseID(number)
	}
	if err != nil {
		return nil, err
	}
	o, err := s.store.Load(ctx, id)
	if err == nil && o.Institution != institution {
		return nil, ErrNotFound
	}
	return o, err
}

// learnLate writes a late answer into the order's history, where the next step and people find it. What it claims is proved by the
// queries that the order makes anyway.
func (s *Service) learnLate(ctx context.Context, n job.Stored) (bool, error) {
	id, err := ParseID(n.Number)
	if err != nil {
		return true, nil //nolint:nilerr // not a number of ours: it stays in the inbox, marked
	}
	now := s.clock.Now()
	if err := s.store.Revive(ctx, id, now); err != nil {
		return false, err
	}
	return s.seize(ctx, id, &Event{At: now, Actor: "system", Subject: "order", Verb: "late_answer", Number: n.Notice.ID, Detail: "inbox"})
}
