// Package clock is the only place that asks the machine for time or chance. Everything else receives a Clock and a Source, so
// that a simulation can drive both.
package clock

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Shanghai is China time. The counterparts' zoneless times and every business day are in it; it has had no daylight saving since 1991.
var Shanghai = time.FixedZone("CST", 8*60*60)

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// Sleep waits for d or until the context ends, and then returns the context's error.
	Sleep(ctx context.Context, d time.Duration) error
	// WithDeadline derives a context that ends d from now.
	WithDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
}

// Day is the civil date in China at that moment, as midnight UTC, which is how business days are stored.
func Day(t time.Time) time.Time {
	y, m, d := t.In(Shanghai).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// Real is the machine's clock, in UTC and cut to microseconds, which every database keeps.
type Real struct{}

// Now is the present moment.
func (Real) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Sleep waits for d or until the context ends.
func (Real) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WithDeadline derives a context that ends d from now.
func (Real) WithDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// Fake is a clock that moves only when told, or when somebody sleeps on it. Safe for several goroutines.
type Fake struct {
	mu  sync.Mutex
	now time.Time
}

// NewFake starts a fake clock at that moment.
func NewFake(start time.Time) *Fake { return &Fake{now: start.UTC().Truncate(time.Microsecond)} }

// Now is the moment the clock stands at.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Advance moves the clock.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// Sleep moves the clock by d at once.
func (f *Fake) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.Advance(d)
	return nil
}

// WithDeadline derives a context that can be cancelled; on a fake clock, deadlines pass only by the one who drives it.
func (f *Fake) WithDeadline(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// Pace divides waiting times (polls, retries, settling times), so that a sandbox need not wait as long as the world does.
// The zero value and 1 are real time; production knows nothing else.
type Pace int64

// Wait is d at this pace.
func (p Pace) Wait(d time.Duration) time.Duration {
	if p <= 1 {
		return d
	}
	return d / time.Duration(p)
}

// Source makes ids, nonces and jitter. Safe for several goroutines.
type Source struct {
	clock Clock
	node  int64

	mu   sync.Mutex
	rand *rand.Rand // nil: the machine's own generator
	last int64      // milliseconds since epoch of the last id
	seq  int64
}

// Nodes is how many node numbers there are: 0 to Nodes-1.
const Nodes = 1024

// epoch is 2025-01-01 UTC in milliseconds; ids last until 2094.
const epoch = 1_735_689_600_000

// Epoch is the moment from which ids count.
func Epoch() time.Time { return time.UnixMilli(epoch).UTC() }

// OfNode is what the ids of a node have in common: id & mask == bits.
func OfNode(node int) (mask, bits int64) { return (Nodes - 1) << 12, (int64(node) & (Nodes - 1)) << 12 }

// NewSource makes the source of one node (0 ≤ node < Nodes); two living processes never share a number.
func NewSource(c Clock, node int) *Source { return &Source{clock: c, node: int64(node) & (Nodes - 1)} }

// NewSeeded makes a source whose every value follows from the seed and the clock.
func NewSeeded(c Clock, node int, seed uint64) *Source {
	s := NewSource(c, node)
	s.rand = rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)) //nolint:gosec // a simulation wants repeatable chance
	return s
}

// Use gives the source another node number.
func (s *Source) Use(node int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = int64(node) & (Nodes - 1)
}

// Restart makes the source what NewSeeded would have made it. Nobody may use it meanwhile.
func (s *Source) Restart(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.rand, s.last, s.seq = *rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), 0, 0 //nolint:gosec // a simulation wants repeatable chance
}

// FirstID is the least id that a source can make at that moment or later.
func FirstID(t time.Time) int64 { return max(0, t.UnixMilli()-epoch) << 22 }

// ID is a positive number, unique among the nodes, growing in time: 41 bits of milliseconds, 10 of node, 12 of sequence. Its
// decimal text has at most 19 characters and so fits WeChat's serial_no. A clock that steps back does not repeat an id.
func (s *Source) ID() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now().UnixMilli() - epoch
	if now > s.last {
		s.last, s.seq = now, 0
	} else if s.seq++; s.seq == 4096 {
		s.last, s.seq = s.last+1, 0
	}
	return s.last<<22 | s.node<<12 | s.seq
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Nonce is n random letters and digits. It is hard to guess but not a secret: tokens are made where crypto/rand is.
func (s *Source) Nonce(n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[s.intN(len(alphabet))]
	}
	return string(out)
}

// Spread is d moved by up to a fifth in either direction, so that many waiting at once do not come back at once.
func (s *Source) Spread(d time.Duration) time.Duration {
	if d < 5 {
		return d
	}
	return d - d/5 + time.Duration(s.intN(int(2*d/5)+1))
}

func (s *Source) intN(n int) int {
	if s.rand == nil {
		return rand.IntN(n) //nolint:gosec // see Nonce
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(n)
}
