package main

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/store"
)

// storage is what a process writes to: others may go first around every commit, a process may be killed there, and all is watched.
func (s *scene) storage(db *store.DB) storage {
	return storage{watchedOrders{db.Orders(), s}, watchedJobs{db.Jobs(), s}, watchedInbox{db.Inbox(), s}}
}

// step is a commit.
func (s *scene) step(commit func() error) error {
	s.fate()
	err := commit()
	s.commits++
	s.fate()
	return err
}

type watchedOrders struct {
	order.Store
	scene *scene
}

// Create creates.
func (w watchedOrders) Create(ctx context.Context, o *order.Order, j job.New) (claim job.Claim, err error) {
	events := o.Events
	err = w.scene.step(func() error {
		if claim, err = w.Store.Create(ctx, o, j); err == nil {
			w.scene.watch.committed(o, events)
		}
		return err
	})
	return claim, err
}

// Save saves.
func (w watchedOrders) Save(ctx context.Context, o *order.Order, claim *job.Claim, next job.Next) error {
	events := o.Events
	return w.scene.step(func() error {
		err := w.Store.Save(ctx, o, claim, next)
		if err == nil {
			w.scene.watch.committed(o, events)
		}
		return err
	})
}

// Revive revives.
func (w watchedOrders) Revive(ctx context.Context, id order.ID, at time.Time) error {
	return w.scene.step(func() error { return w.Store.Revive(ctx, id, at) })
}

type watchedJobs struct {
	job.Queue
	scene *scene
}

// Take takes.
func (w watchedJobs) Take(ctx context.Context, j job.Job, owner string, now, until time.Time) (job.Claim, error) {
	w.scene.fate()
	return w.Queue.Take(ctx, j, owner, now, until)
}

// Give gives back.
func (w watchedJobs) Give(ctx context.Context, c job.Claim, n job.Next) error {
	return w.scene.step(func() error { return w.Queue.Give(ctx, c, n) })
}

// Wake wakes.
func (w watchedJobs) Wake(ctx context.Context, kind, ref string, now time.Time) error {
	return w.scene.step(func() error { return w.Queue.Wake(ctx, kind, ref, now) })
}

type watchedInbox struct {
	job.Inbox
	scene *scene
}

// Put puts.
func (w watchedInbox) Put(ctx context.Context, n job.Notice) (fresh bool, err error) {
	err = w.scene.step(func() error {
		fresh, err = w.Inbox.Put(ctx, n)
		return err
	})
	return fresh, err
}
