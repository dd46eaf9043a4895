package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// Fault is one way to misbehave.
type Fault string

// The faults. Before and after are meant as before and after the effect.
const (
	LoseBefore   Fault = "lose_before"   // the connection breaks, nothing was done
	LoseAfter    Fault = "lose_after"    // done, the answer is lost
	ErrorBefore  Fault = "error_before"  // 5xx, nothing was done
	ErrorAfter   Fault = "error_after"   // 5xx, but done
	Garbage      Fault = "garbage"       // done, the answer is unreadable
	Slow         Fault = "slow"          // done and answered, a little late
	LateAnswer   Fault = "late_answer"   // done, answered when nobody listens any more
	LateEffect   Fault = "late_effect"   // done only when the caller has given up
	Repeat       Fault = "repeat"        // the request arrives twice
	Refuse       Fault = "refuse"        // the simulator refuses for a business reason of its own; see Injected
	ChangeAmount Fault = "change_amount" // the simulator answers with another amount; see Injected
)

// OnlyTransport reports whether the fault is merely a lost, late or doubled message: an order that met no other is completed.
func (f Fault) OnlyTransport() bool { return f != Refuse && f != ChangeAmount }

// Level is a mixture of faults.
type Level string

// The levels. Mild loses, delays and doubles; harsh also refuses and changes amounts, and does all of it oftener.
const (
	None  Level = "none"
	Mild  Level = "mild"
	Harsh Level = "harsh"
)

// perMille is how many of a thousand calls meet the fault.
var perMille = map[Level][]struct {
	fault Fault
	n     uint32
}{
	None: nil,
	Mild: {{LoseBefore, 8}, {LoseAfter, 8}, {ErrorBefore, 4}, {ErrorAfter, 4}, {Slow, 15}, {LateAnswer, 2}, {LateEffect, 2},
		{Repeat, 8}, {Refuse, 2}},
	Harsh: {{LoseBefore, 20}, {LoseAfter, 25}, {ErrorBefore, 10}, {ErrorAfter, 15}, {Garbage, 10}, {Slow, 20}, {LateAnswer, 8},
		{LateEffect, 8}, {Repeat, 20}, {Refuse, 10}, {ChangeAmount, 6}},
}

// usualMost is how often one operation on one thing may be disturbed, so that faults end and everything else can be judged.
const usualMost = 3

// Call names a request for the plan: which operation, about which thing. The simulator reads both from the request.
type Call struct {
	Op  string // the operation, in the counterpart's words: "2207", "refund"
	Key string // the number that names the thing: an out_trade_no, a visit number
	// Refusable and Priced tell whether the simulator has an answer for Refuse and ChangeAmount here; else they do not happen.
	Refusable, Priced bool
	// Most is how often this operation on this thing may be disturbed by a level; 0: three times. Scripts know no bound.
	Most int
}

// Injection is a fault that happened.
type Injection struct {
	At    time.Time `json:"at"`
	Op    string    `json:"op"`
	Key   string    `json:"key"`
	Fault Fault     `json:"fault"`
}

// Script orders a fault for the next calls of an operation.
type Script struct {
	Op    string `json:"op"`
	Key   string `json:"key,omitempty"` // empty: whatever the call is about
	Fault Fault  `json:"fault"`
	Times int    `json:"times"`
}

// Plan decides which calls of one counterpart go wrong: by script first, then by level and seed. The same seed, operation, key
// and count give the same decision, whatever else happens at the same time. Its state survives a kill by its own journal.
type Plan struct {
	clock   clock.Clock
	journal *Journal

	mu       sync.Mutex
	level    Level
	seed     uint64
	scripts  []Script
	counts   map[string]uint32 // calls so far, by operation and key
	met      map[string]int    // faults so far, by operation and key
	injected []Injection
}

// planEntry is one line of the plan's journal.
type planEntry struct {
	Level    *Level     `json:"level,omitempty"`
	Seed     uint64     `json:"seed,omitempty"`
	Injected *Injection `json:"injected,omitempty"`
}

// NewPlan opens the plan of one counterpart; an empty path keeps nothing.
func NewPlan(c clock.Clock, path string) (*Plan, error) {
	p := &Plan{clock: c, level: None, counts: map[string]uint32{}, met: map[string]int{}}
	journal, err := OpenJournal(path, func(line []byte) error {
		var e planEntry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Level != nil {
			p.level, p.seed = *e.Level, e.Seed
		}
		if e.Injected != nil {
			p.injected = append(p.injected, *e.Injected)
			p.met[e.Injected.Op+"|"+e.Injected.Key]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.journal = journal
	return p, nil
}

// SetLevel chooses the mixture from now on.
func (p *Plan) SetLevel(level Level, seed uint64) error {
	if _, ok := perMille[level]; !ok {
		return fmt.Errorf("no fault level %q: none, mild, harsh", level)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.level, p.seed = level, seed
	return p.journal.Append(planEntry{Level: &level, Seed: seed})
}

// Level is the mixture in force and its seed.
func (p *Plan) Level() (Level, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.level, p.seed
}

// Script orders faults; they are used up in the order given. Scripts do not survive a restart.
func (p *Plan) Script(s ...Script) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range s {
		one.Times = max(one.Times, 1)
		p.scripts = append(p.scripts, one)
	}
}

// Injected lists the faults that happened, oldest first.
func (p *Plan) Injected() []Injection {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Injection{}, p.injected...)
}

func (p *Plan) decide(call Call) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := call.Op + "|" + call.Key
	p.counts[id]++
	fault := p.scripted(call)
	most := call.Most
	if most == 0 {
		most = usualMost
	}
	if fault == "" && p.met[id] < most {
		fault = p.drawn(id)
	}
	if (fault == Refuse && !call.Refusable) || (fault == ChangeAmount && !call.Priced) {
		fault = ""
	}
	if fault != "" {
		p.met[id]++
		in := Injection{At: p.clock.Now(), Op: call.Op, Key: call.Key, Fault: fault}
		p.injected = append(p.injected, in)
		_ = p.journal.Append(planEntry{Injected: &in}) // a lost note of a fault disturbs no effect
	}
	return fault
}

func (p *Plan) scripted(call Call) Fault {
	for i := range p.scripts {
		s := &p.scripts[i]
		if s.Op == call.Op && (s.Key == "" || s.Key == call.Key) {
			fault := s.Fault
			if s.Times--; s.Times == 0 {
				p.scripts = append(p.scripts[:i], p.scripts[i+1:]...)
			}
			return fault
		}
	}
	return ""
}

func (p *Plan) drawn(id string) Fault {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d|%s|%d", p.seed, id, p.counts[id])
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd // FNV alone is too even in its low digits
	x ^= x >> 33
	draw := uint32(x % 1000)
	for _, f := range perMille[p.level] {
		if draw < f.n {
			return f.fault
		}
		draw -= f.n
	}
	return ""
}

type injectedKey struct{}

// Injected tells a simulator's handler that this call is to be refused, or answered with another amount; else it is empty.
func Injected(ctx context.Context) Fault {
	f, _ := ctx.Value(injectedKey{}).(Fault)
	return f
}

// maxBody is the largest request a simulator reads.
const maxBody = 4 << 20

// Wrap puts the plan in front of a simulator. Name reads the call from the request; the body is given to it and to the handler alike.
func (p *Plan) Wrap(name func(r *http.Request, body []byte) Call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "body too large or cut", http.StatusBadRequest)
			return
		}
		run := func(ctx context.Context) *answer {
			again := r.Clone(ctx)
			again.Body = io.NopCloser(bytes.NewReader(body))
			a := newAnswer()
			next.ServeHTTP(a, again)
			return a
		}
		p.misbehave(w, r, p.decide(name(r, body)), run)
	})
}

func (p *Plan) misbehave(w http.ResponseWriter, r *http.Request, fault Fault, run func(context.Context) *answer) {
	ctx := context.WithoutCancel(r.Context())
	switch fault {
	case LoseBefore:
		panic(http.ErrAbortHandler)
	case LoseAfter:
		run(ctx)
		panic(http.ErrAbortHandler)
	case ErrorBefore:
		http.Error(w, "<html>502 Bad Gateway</html>", http.StatusBadGateway)
	case ErrorAfter:
		run(ctx)
		http.Error(w, "<html>504 Gateway Time-out</html>", http.StatusGatewayTimeout)
	case Garbage:
		run(ctx)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body>系统维护中 \xff\xfe")
	case Slow:
		_ = p.clock.Sleep(r.Context(), 300*time.Millisecond)
		run(ctx).send(w)
	case LateAnswer:
		run(ctx)
		p.untilGone(r)
		panic(http.ErrAbortHandler)
	case LateEffect:
		p.untilGone(r)
		run(ctx)
		panic(http.ErrAbortHandler)
	case Repeat:
		a := run(ctx)
		run(ctx)
		a.send(w)
	default:
		run(context.WithValue(ctx, injectedKey{}, fault)).send(w)
	}
}

// untilGone waits until the caller has given up, or for as long as any caller may wait. In virtual time nobody gives up: there the
// connection breaks afterwards.
func (p *Plan) untilGone(r *http.Request) { _ = p.clock.Sleep(r.Context(), 2*time.Minute) }

// answer keeps a handler's answer back until the plan has decided what becomes of it.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{header: http.Header{}} }

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

func (a *answer) send(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	a.WriteHeader(http.StatusOK)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}
