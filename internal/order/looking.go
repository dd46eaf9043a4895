package order

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/job"
)

// This file is how a process finds work: notices in the inbox, and orders that are due.

// mostUnread bounds how far into the inbox one look goes.
const mostUnread = 8192

// Look finds one piece of work and does it: a notice, or a due order. Found is called once, when it has one, before the database or anybody outside may
// keep it waiting: somebody else may look then. Rest is how long it is until the next look is worth it, idle at most: zero when other work was passed over
// for want of the slot that this one had.
func (s *Service) Look(ctx context.Context, idle time.Duration, found func()) (rest time.Duration, err error) {
	l := look{Service: s, idle: idle, found: found, next: s.clock.Now().Add(idle)}
	halves := []func(context.Context) (bool, error){l.inboxes, l.due}
	if s.looks.Add(1)%2 == 0 { // a flood of notices does not keep orders waiting
		halves[0], halves[1] = halves[1], halves[0]
	}
	for _, half := range halves {
		worked, one := half(ctx)
		err = errors.Join(err, one)
		switch {
		case l.wanted:
			return 0, err
		case worked, l.began: // done, somebody else's, or to be done later
			return idle, err
		}
	}
	return min(max(l.next.Sub(s.clock.Now()), 0), idle), err
}

// Step claims one due order and works on it until it waits. It reports whether there was one.
func (s *Service) Step(ctx context.Context) (bool, error) {
	return (&look{Service: s, found: func() {}}).due(ctx)
}

// StepInbox handles one unread notice. It reports whether there was one that could be handled.
func (s *Service) StepInbox(ctx context.Context) (bool, error) {
	return (&look{Service: s, found: func() {}}).inboxes(ctx)
}

// look is one look for work.
type look struct {
	*Service
	idle   time.Duration
	found  func()
	began  bool      // found was called
	wanted bool      // the slot that it had is wanted
	next   time.Time // when an order will be due
}

// begin begins a piece of work, and lets others look.
func (l *look) begin() {
	l.began = true
	l.found()
}

func (l *look) due(ctx context.Context) (bool, error) {
	if !l.mayClaim() {
		return false, nil
	}
	now := l.clock.Now()
	due, err := l.queue.Due(ctx, []string{JobKind}, l.slots.full(), now.Add(l.idle), 8)
	if err != nil {
		return false, fmt.Errorf("due orders: %w", err)
	}
	for _, j := range due {
		if j.DueAt.After(now) {
			if j.DueAt.Before(l.next) {
				l.next = j.DueAt
			}
			break
		}
		worked, err := l.dueOrder(ctx, j)
		if worked || err != nil || l.handsOn() {
			return worked, err
		}
	}
	return false, nil
}

// handsOn reports whether somebody else looks on by now. A step that is called alone goes on itself.
func (l *look) handsOn() bool { return l.began && l.idle > 0 }

// dueOrder takes an order and works on it. One that is not to be had rests for a while.
func (l *look) dueOrder(ctx context.Context, j job.Job) (bool, error) {
	if !l.slots.take(j.Institution, j.Ref, l.clock.Now()) {
		return false, nil
	}
	rest := l.idle
	defer func() { l.giveSlot(j.Institution, j.Ref, rest) }()
	l.begin()
	claim, err := l.take(ctx, j)
	if errors.Is(err, job.ErrBusy) { // another worker was faster
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take order job %s: %w", j.Ref, err)
	}
	rest = 0
	return true, l.work(context.WithoutCancel(ctx), claim, "system") // what is taken is brought to its next wait
}

// giveSlot gives a slot back; its work rests for so long.
func (l *look) giveSlot(institution, work string, rest time.Duration) {
	now, until := l.clock.Now(), time.Time{}
	if rest > 0 {
		until = now.Add(rest)
	}
	l.wanted = l.slots.give(institution, work, now, until)
}

// inboxes handles one notice of all inboxes.
//
// A notice is a hint: it makes the order's own step ask the counterpart. It never moves money by itself, never leaves a review, and may
// be lost, doubled, reordered or late by days.
func (l *look) inboxes(ctx context.Context) (bool, error) {
	if !l.mayClaim() {
		return false, nil
	}
	var faults error
	full := l.slots.full()
	for tried, limit := 0, 16; ; limit *= 8 { // those that cannot be handled now must not keep the others waiting, however many they are
		unread, err := l.inbox.Unread(ctx, full, limit)
		if err != nil {
			return false, fmt.Errorf("inbox: %w", err)
		}
		for _, n := range unread[min(tried, len(unread)):] {
			worked, err := l.notice(ctx, n)
			if faults = errors.Join(faults, err); worked || l.handsOn() {
				return worked, faults
			}
		}
		if tried = len(unread); tried < limit || limit >= mostUnread {
			return false, faults
		}
	}
}

// afterError is how many times longer than one that must wait a notice rests that an error met.
const afterError = 30

// notice handles one. One that could not be handled rests for a while.
func (l *look) notice(ctx context.Context, n job.Stored) (worked bool, err error) {
	_, institution, _ := strings.Cut(n.Source, "/")
	name := fmt.Sprint("notice ", n.ID)
	if !l.slots.take(institution, name, l.clock.Now()) {
		return false, nil
	}
	defer func() {
		switch {
		case worked:
			l.giveSlot(institution, name, 0)
		case err != nil:
			l.giveSlot(institution, name, afterError*l.idle)
		default:
			l.giveSlot(institution, name, l.idle)
		}
	}()
	l.begin()
	fate, err := l.notified(ctx, n)
	refusal := ""
	if err != nil {
		refusal = refusalOf(err)
		err = fmt.Errorf("notice %d from %s: %w", n.ID, n.Source, err)
	}
	if fate == handled {
		err = errors.Join(err, l.inbox.Mark(ctx, n.ID, l.clock.Now(), refusal))
	}
	return fate != unhandled, err
}
