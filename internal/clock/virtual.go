package clock

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Virtual is a clock whose time passes only while everybody waits. Who lives in it are actors: coroutines of which exactly one runs at a time,
// until it sleeps, yields, awaits something or ends; who runs next follows from the seed alone. So a world of many processes is played in one,
// as fast as the machine can, and the same seed plays the same again.
//
// An actor must not block on anything that another actor has to do, but through this clock. A mutex may be held only where the clock is not
// called but for Now.
type Virtual struct {
	rand *rand.Rand

	mu      sync.Mutex // for Now and WithDeadline of goroutines that are no actors
	now     time.Time
	timers  []*timer // a heap would be larger than what it saves: there are few
	actors  []*actor
	running *actor
	frozen  map[string]time.Time // groups that get no turn until then
	steps   int
	panics  any
}

type actor struct {
	name  string
	group string
	turn  func() (struct{}, bool) // lets it run; false when it has ended
	give  func(struct{}) bool     // gives way
	ctx   context.Context         // wakes when it ends; nil before the first turn
	until time.Time               // zero: not by time
	done  func() bool             // what it awaits; nil: nothing
	dead  bool                    // is to end at its next turn
}

// killed is what an actor that is to end is thrown out of its work by.
type killed struct{}

type timer struct {
	at     time.Time
	cancel context.CancelFunc
}

var _ Clock = (*Virtual)(nil)

// NewVirtual starts a virtual world at that moment.
func NewVirtual(start time.Time, seed uint64) *Virtual {
	return &Virtual{now: start.UTC().Truncate(time.Microsecond), frozen: map[string]time.Time{},
		rand: rand.New(rand.NewPCG(seed, seed^0xd1b54a32d192ed03))} //nolint:gosec // a simulation wants repeatable chance
}

// Now is the moment the world has reached.
func (v *Virtual) Now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Group is whose turn it is.
func (v *Virtual) Group() string { return v.running.group }

// Steps is how many turns actors have had.
func (v *Virtual) Steps() int { return v.steps }

// Go makes an actor. Those of a group can be killed together.
func (v *Virtual) Go(group, name string, f func()) {
	a := &actor{name: name, group: group, until: v.Now()}
	v.actors = append(v.actors, a)
	a.turn, _ = iter.Pull(func(give func(struct{}) bool) {
		a.give = give
		defer func() {
			switch p := recover().(type) {
			case nil, killed:
			default:
				v.panics = fmt.Errorf("%s: panic: %v\n%s", a.name, p, stack())
			}
		}()
		if !a.dead {
			f()
		}
	})
}

func stack() []byte {
	b := make([]byte, 16<<10)
	return b[:runtime.Stack(b, false)]
}

// Kill ends all actors of a group where they stand, as a killed process ends: none of them returns from what it waits for.
func (v *Virtual) Kill(group string) {
	for _, a := range v.actors {
		if a.group == group {
			a.dead = true
		}
	}
	if v.running != nil && v.running.dead {
		panic(killed{})
	}
}

// Freeze stops a group for that long, as a machine that is suspended: for its actors no time passes, and afterwards the clock has jumped.
func (v *Virtual) Freeze(group string, d time.Duration) { v.frozen[group] = v.Now().Add(d) }

// park lets the others go on. It returns when it is this actor's turn again, and not at all when it was killed.
func (v *Virtual) park(ctx context.Context, until time.Time, done func() bool) {
	a := v.running
	if a == nil {
		panic("clock: somebody waits who is no actor of this virtual world")
	}
	if a.dead { // it waits on its way out
		panic(killed{})
	}
	a.ctx, a.until, a.done = ctx, until, done
	if !a.give(struct{}{}) || a.dead {
		panic(killed{})
	}
}

// Yield lets others go first, or not, by chance.
func (v *Virtual) Yield() { v.park(context.Background(), v.now, nil) }

// Sleep waits until d later, or the context ends.
func (v *Virtual) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v.park(ctx, v.Now().Add(max(d, 0)), nil)
	return ctx.Err()
}

// Rest waits until done says yes, which another actor brings about, or d later, or until the context ends.
func (v *Virtual) Rest(ctx context.Context, d time.Duration, done func() bool) error {
	if err := ctx.Err(); err != nil || done() {
		return err
	}
	v.park(ctx, v.Now().Add(max(d, 0)), done)
	return ctx.Err()
}

// Await waits until done says yes, which another actor brings about, or the context ends.
func (v *Virtual) Await(ctx context.Context, done func() bool) error {
	if !done() {
		v.park(ctx, time.Time{}, done)
	}
	if done() {
		return nil
	}
	return ctx.Err()
}

// Alongside runs f beside the caller, who waits until it is done or the context ends; then f goes on alone. In a virtual world f is an actor.
func Alongside(ctx context.Context, c Clock, f func()) error {
	if v, ok := c.(*Virtual); ok {
		done := false
		v.Go(v.running.group, v.running.name+"'s", func() {
			f()
			done = true
		})
		return v.Await(ctx, func() bool { return done })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WithDeadline derives a context that ends d from now. It says that it was cancelled.
func (v *Virtual) WithDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	t := &timer{v.now.Add(d), cancel}
	v.timers = append(v.timers, t)
	return ctx, func() {
		cancel()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.timers = slices.DeleteFunc(v.timers, func(one *timer) bool { return one == t })
	}
}

// Chance is a number below n that follows from the seed.
func (v *Virtual) Chance(n int) int { return v.rand.IntN(n) }

// errStuck is a world in which everybody waits and nothing will come.
var errStuck = errors.New("clock: everybody waits for something that nobody brings about")

// Run plays the world until over says so, between two turns, or until that moment. An error is a panic of an actor, or a world at a standstill.
func (v *Virtual) Run(end time.Time, over func() bool) error {
	for !over() {
		next, ready := v.ready()
		switch {
		case len(ready) > 0:
			v.let(ready[v.rand.IntN(len(ready))])
			if v.panics != nil {
				return fmt.Errorf("%v", v.panics)
			}
		case next.IsZero():
			return fmt.Errorf("%w: %s", errStuck, strings.Join(v.Waiting(), ", "))
		case next.After(end):
			v.reach(end)
			return nil
		default:
			v.reach(next)
		}
	}
	return nil
}

// End kills everybody, so that no goroutine is left.
func (v *Virtual) End() {
	for len(v.actors) > 0 {
		a := v.actors[0]
		a.dead = true
		v.let(a)
	}
}

// Waiting names the actors that are there.
func (v *Virtual) Waiting() []string {
	names := make([]string, len(v.actors))
	for i, a := range v.actors {
		names[i] = a.name
	}
	return names
}

func (v *Virtual) let(a *actor) {
	v.running = a
	v.steps++
	_, lives := a.turn()
	v.running = nil
	if !lives {
		v.actors = slices.DeleteFunc(v.actors, func(b *actor) bool { return a == b })
	}
}

// ready lists who may run now, and tells when the next one may by time alone.
func (v *Virtual) ready() (next time.Time, ready []*actor) {
	for _, a := range v.actors {
		if thaw := v.frozen[a.group]; thaw.After(v.now) && !a.dead {
			if next.IsZero() || thaw.Before(next) {
				next = thaw
			}
			continue
		}
		switch {
		case a.dead, a.ctx != nil && a.ctx.Err() != nil, a.done != nil && a.done(), !a.until.IsZero() && !a.until.After(v.now):
			ready = append(ready, a)
		case !a.until.IsZero() && (next.IsZero() || a.until.Before(next)):
			next = a.until
		}
	}
	if len(ready) > 0 {
		return next, ready
	}
	for _, t := range v.timers {
		if next.IsZero() || t.at.Before(next) {
			next = t.at
		}
	}
	return next, nil
}

// reach moves the time on and ends the contexts whose time has come.
func (v *Virtual) reach(t time.Time) {
	v.mu.Lock()
	v.now = t
	var due []context.CancelFunc
	v.timers = slices.DeleteFunc(v.timers, func(one *timer) bool {
		if one.at.After(t) {
			return false
		}
		due = append(due, one.cancel)
		return true
	})
	v.mu.Unlock()
	for _, cancel := range due {
		cancel()
	}
}
