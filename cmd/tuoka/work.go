package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
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
	h.finished.Go(func() { h.repeat(ctx, "keys", h.refreshKeys()) })
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
