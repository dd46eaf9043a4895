package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/store"
)

// idle is how long the look-out that found nothing to do waits at most before it looks again; a wake-up ends the wait.
const idle = time.Second

// topic is what wakes the look-outs of all nodes.
const topic = "work"

// nudge tells the look-outs of all nodes to look now. It may be lost: they look by themselves soon enough.
func (h *house) nudge() { _ = h.cache.Wake(context.Background(), topic) }

// listen passes wake-ups on to the look-out of this process.
func (h *house) listen(ctx context.Context) {
	for range h.cache.Subscribe(ctx, topic) {
		h.rouse()
	}
}

// keep starts what every process does for itself, until the context ends: it keeps its node number, hears of new keys, and forgets old nonces.
func (h *house) keep(ctx context.Context) {
	h.finished.Go(func() {
		for h.clock.Sleep(ctx, time.Minute) == nil {
			h.complain(ctx, "keys", survive(func() error { return h.vault.Refresh(ctx) }))
			h.complain(ctx, "nonces", survive(func() error { return h.db.Inbox().Sweep(ctx) }))
		}
	})
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

// work starts the look-out. It ends with the context, and what it has begun at its next wait; house.close waits for that.
func (h *house) work(ctx context.Context) {
	h.finished.Go(func() { h.lookOut(ctx, h.orders.Look) })
	h.finished.Go(func() { h.listen(ctx) })
}

// lookOut looks for work until the context ends. Whoever finds some lets another look out in his stead while he does it, so that one looks at any time,
// and what is slow at one hospital keeps nobody from another's work: how much is done at once, the engine bounds hospital by hospital.
// When there is none the look-out rests until some is due, or a wake-up comes. After an error the rest is a full one that no wake-up ends, so that a
// broken database is not hammered.
func (h *house) lookOut(ctx context.Context, look func(ctx context.Context, idle time.Duration, found func()) (time.Duration, error)) {
	pause := max(clock.Pace(h.config.TimeScale).Wait(idle), 20*time.Millisecond)
	for ctx.Err() == nil {
		found := false
		rest := pause
		err := survive(func() (err error) {
			rest, err = look(ctx, pause, func() {
				found = true
				h.finished.Go(func() { h.lookOut(ctx, look) })
			})
			return err
		})
		h.complain(ctx, "orders", err)
		switch {
		case found:
			if rest == 0 {
				h.rouse()
			}
			return
		case err != nil:
			_ = h.clock.Sleep(ctx, idle)
		case rest > 0:
			h.rest(ctx, rest)
		}
	}
}

// rest waits that long, or until somebody wakes it.
func (h *house) rest(ctx context.Context, pause time.Duration) {
	over, cancel := h.clock.WithDeadline(ctx, pause)
	defer cancel()
	select {
	case <-h.wake:
	case <-over.Done():
	}
}

// rouse wakes the look-out of this process.
func (h *house) rouse() {
	select {
	case h.wake <- struct{}{}:
	default: // it is about to look
	}
}

// complain logs an error, the same one once a minute.
func (h *house) complain(ctx context.Context, who string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	h.said.Lock()
	defer h.said.Unlock()
	now := h.clock.Now()
	if last, ok := h.complaints[err.Error()]; ok && now.Sub(last) < time.Minute {
		return
	}
	maps.DeleteFunc(h.complaints, func(_ string, at time.Time) bool { return now.Sub(at) >= time.Minute })
	if h.complaints == nil {
		h.complaints = map[string]time.Time{}
	}
	h.complaints[err.Error()] = now
	h.log.ErrorContext(ctx, "step failed", "worker", who, "error", err)
}

// survive makes an error of a panic, so that one order nobody has foreseen does not stop all the others: what it had not stored is lost as in a
// crash, and its job rests until the lease is over. Only the runtime's own words are kept: any other value may hold what nobody should read.
func survive(step func() error) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("panic: %w\n%s", v, debug.Stack())
		default:
			err = fmt.Errorf("panic of a %T\n%s", v, debug.Stack())
		}
	}()
	return step()
}
