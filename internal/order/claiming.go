package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
)

// This file is how a worker, a request or a notice gets an order to itself.

// take claims a job, but never one that this very process is still working on: after the process was stopped for a while, or the machine's
// clock has jumped, a lease is over although its holder lives.
func (s *Service) take(ctx context.Context, j job.Job) (job.Claim, error) {
	if _, working := s.working.Load(j.ID); working || !s.mayClaim() {
		return job.Claim{}, job.ErrBusy
	}
	return s.claim(ctx, j)
}

// claim takes a job for a call that follows. Whoever takes over after a crash is not too early for what is asked now; who asks remembers when the
// job's own time is.
func (s *Service) claim(ctx context.Context, j job.Job) (job.Claim, error) {
	now, own := s.clock.Now(), j.RunAt
	if own.After(now) {
		j.RunAt = now
	}
	c, err := s.queue.Take(ctx, j, s.config.Owner, now, s.leaseEnd())
	c.RunAt = own
	return c, err
}

// mayClaim reports whether the clock can be trusted to judge whose lease is over.
func (s *Service) mayClaim() bool { return s.config.MayClaim == nil || s.config.MayClaim() }

// want is take for whoever writes something at once: the write takes the claim.
func (s *Service) want(j job.Job) (job.Claim, error) {
	now := s.clock.Now()
	if _, working := s.working.Load(j.ID); working || !j.Free(now) || !s.mayClaim() {
		return job.Claim{}, job.ErrBusy
	}
	return job.Want(j, s.config.Owner, now, s.leaseEnd()), nil
}

// leaseEnd is when a claim taken now ends: a call may begin at once.
func (s *Service) leaseEnd() time.Time {
	return s.clock.Now().Add(s.config.CallLimit + s.config.Pace.Wait(leaseMargin))
}

// asked is until when nobody repeats what is sent now.
func (s *Service) asked() time.Time { return s.leaseEnd() }

// held lets act work on an order of the account that nobody else works on. Its claim is only wanted: where somebody was faster after all, act
// comes once more with the order as it then stands. An order whose job is done is ErrState.
func (s *Service) held(ctx context.Context, account patient.AccountID, id ID, act func(*Order, job.Claim) error) error {
	for tries := 0; ; tries++ {
		err := s.once(ctx, account, id, act)
		if !errors.Is(err, job.ErrBusy) || tries >= 30 {
			return err
		}
		if err := s.clock.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// errNoJob is an order whose job is done.
var errNoJob = errors.New("the order has no job")

func (s *Service) once(ctx context.Context, account patient.AccountID, id ID, act func(*Order, job.Claim) error) error {
	o, j, found, err := s.store.LoadForWork(ctx, id)
	switch {
	case err != nil:
		return fmt.Errorf("order %s: %w", id.No(), err)
	case o.Account != account:
		return ErrNotFound
	case !found:
		return ErrState.Because(errNoJob)
	}
	claim, err := s.want(j)
	if err != nil {
		return fmt.Errorf("order %s: %w", id.No(), err)
	}
	return act(o, claim)
}

// heldAnew is held for an order whose job may be done. A new one is not due before we have had the time to take it: a worker that found it first
// would see nothing to do and finish it.
func (s *Service) heldAnew(ctx context.Context, o *Order, act func(*Order, job.Claim) error) error {
	for tries := 0; ; tries++ {
		if err := s.store.Revive(ctx, o.ID, s.leaseEnd()); err != nil {
			return fmt.Errorf("order %s: %w", o.ID.No(), err)
		}
		err := s.held(ctx, o.Account, o.ID, act)
		switch {
		case !errors.Is(err, errNoJob):
			return err
		case tries >= 3: // each time somebody has just finished the former one: the order's state is not to blame, and nothing is decided
			return fmt.Errorf("order %s: %w", o.ID.No(), job.ErrBusy)
		}
	}
}
