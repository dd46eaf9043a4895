package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/store"
)

// idle is how long a worker that found nothing to do waits before it looks again; a wake-up ends the wait.
const idle = time.Second

// topic is what wakes the workers of all nodes.
const topic = "work"

// nudge tells the workers of all nodes to look now. It may be lost: they look by themselves soon enough.
func (h *house) nudge() { _ = h.cache.Wake(context.Background(), topic) }

// listen passes wake-ups on to a worker of this process.
func (h *house) listen(ctx context.Context) {
	for range h.cache.Subscribe(ctx, topic) {
		select {
		case h.wake <- struct{}{}:
		default: // one is about to look
		}
	}
}

// keep starts what every process does for itself, until the context ends: it keeps its node number, and hears of new keys.
func (h *house) keep(ctx context.Context) {
	h.finished.Go(func() { h.repeat(ctx, "keys", h.refreshKeys()) })
	h.finished.Go(func() {
		for h.clock.Sleep(ctx, nodeRenewal) == nil {
			h.keepNode(ctx)
		}
	})
}

// nodeRenewal is how often a node number is leased anew, and the clock compared with the database's.
const nodeRenewal = 15 * time.Second

// mostAstray is how far the clock may be off before the process claims nothing any more (design.md §4.10).
const mostAstray = 2 * time.Second

// keepNode leases the node number anew. One that another process has taken meanwhile, because this one or the database stood still for long, is
// given up for another.
func (h *house) keepNode(ctx context.Context) {
	err := h.db.RenewNode(ctx, h.node)
	if errors.Is(err, job.ErrLost) {
		var fresh store.NodeLease
		if fresh, err = h.db.LeaseNode(ctx, fmt.Sprintf("%d/%s", os.Getpid(), h.source.Nonce(6))); err == nil {
			h.log.WarnContext(ctx, "node number taken by another process", "lost", h.node.Node, "now", fresh.Node)
			h.node = fresh
			h.source.Use(fresh.Node)
		}
	}
	if err := errors.Join(err, h.compareClocks(ctx)); err != nil && ctx.Err() == nil {
		h.log.ErrorContext(ctx, "node number not renewed, or clocks not compared", "node", h.node.Node, "error", err)
	}
	if errors.Is(err, store.ErrNoNode) { // it makes numbers that another makes, too
		h.astray.Store(true)
	}
}

// errAstray is a clock by which nobody may judge whose lease is over.
var errAstray = errors.New("the machine's clock is more than two seconds off the database's: set it right (NTP) and start again")

// compareClocks notes whether the clock is near enough to the database's. One that cannot be compared keeps the last word.
func (h *house) compareClocks(ctx context.Context) error {
	skew, err := h.db.Skew(ctx)
	if err != nil {
		return err
	}
	if astray := skew.Abs() > mostAstray; h.astray.Swap(astray) != astray {
		h.log.WarnContext(ctx, "clock compared with the database's", "ahead_ms", skew.Milliseconds(), "claims", !astray)
	}
	return nil
}

// work starts the workers. They stop between two steps when the context ends; house.close waits for them.
func (h *house) work(ctx context.Context) {
	count := h.config.Workers
	if count == 0 {
		count = 4
	}
	for range count {
		h.finished.Go(func() { h.repeat(ctx, "order", h.orders.Step) })
	}
	h.finished.Go(func() { h.repeat(ctx, "inbox", h.orders.StepInbox) })
	h.finished.Go(func() { h.listen(ctx) })
}

// repeat runs a step until the context ends: at once again after work, after a pause otherwise. After an error the pause is a full one
// that no wake-up ends, so that a broken database is not hammered, and the same error is said once a minute.
func (h *house) repeat(ctx context.Context, name string, step func(context.Context) (bool, error)) {
	pause := max(clock.Pace(h.config.TimeScale).Wait(idle), 20*time.Millisecond)
	said, at := "", time.Time{}
	for ctx.Err() == nil {
		worked, err := survive(ctx, step)
		if err != nil && ctx.Err() == nil {
			if now := h.clock.Now(); err.Error() != said || now.Sub(at) >= time.Minute {
				said, at = err.Error(), now
				h.log.ErrorContext(ctx, "step failed", "worker", name, "error", err)
			}
			_ = h.clock.Sleep(ctx, idle)
			continue
		}
		if worked {
			continue
		}
		rest, cancel := h.clock.WithDeadline(ctx, pause)
		select {
		case <-h.wake:
		case <-rest.Done():
		}
		cancel()
	}
}

// survive makes an error of a panic, so that one order nobody has foreseen does not stop all the others: what it had not stored is lost as in a
// crash, and its job rests until the lease is over. Only the runtime's own words are kept: any other value may hold what nobody should read.
func survive(ctx context.Context, step func(context.Context) (bool, error)) (worked bool, err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("panic: %w\n%s", v, debug.Stack())
		default:
			err = fmt.Errorf("panic of a %T\n%s", v, debug.Stack())
		}
	}()
	return step(ctx)
}

// refreshKeys lets the vault hear of keys that another process made.
func (h *house) refreshKeys() func(context.Context) (bool, error) {
	next := h.clock.Now().Add(time.Minute)
	return func(ctx context.Context) (bool, error) {
		if h.clock.Now().Before(next) {
			return false, nil
		}
		next = h.clock.Now().Add(time.Minute)
		return false, h.vault.Refresh(ctx)
	}
}
