package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/callback"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/store"
)

// playedSeed is what came of a seed.
type playedSeed struct {
	result   *result
	faults   int
	kills    int
	steps    int
	findings []string
}

// process is one running program of ours: a house that can be killed.
type process struct {
	*house
	group string
	dead  bool
}

// scene is the world of one seed.
type scene struct {
	theatre *theatre
	virtual *clock.Virtual
	seed    uint64
	config  *config.Config
	db      *store.DB
	sims    *simulators
	nodes   [2]*process
	started int // processes so far
	kills   int
	door    *phoneClient // to the simulators' own doors, without a network between
	actors  []*visitor
	faults  []error // what must not happen and ends the seed
}

func (s *scene) note(format string, args ...any) {
	if s.theatre.log != nil {
		_, _ = fmt.Fprintf(s.theatre.log, "%s %s\n", s.virtual.Now().In(clock.Shanghai).Format("15:04:05.000"), fmt.Sprintf(format, args...))
	}
}

// play plays one seed to its end.
func (t *theatre) play(ctx context.Context, seed uint64) (_ *playedSeed, err error) {
	ctx = context.WithoutCancel(ctx) // a seed is short, and its world knows no way to stop half-way
	s := &scene{theatre: t, config: t.config, db: t.db, seed: seed, virtual: clock.NewVirtual(opening, seed)}
	defer s.virtual.End()
	t.now.Clock = s.virtual
	t.source.Restart(seed)
	if err := t.sweep(ctx); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	source := clock.NewSeeded(s.virtual, clock.Nodes-1, seed)
	if s.sims, err = openSimulators(t.stage, s.config, world{s.virtual, s}, source); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.sims.close()) }()
	s.door = &phoneClient{base: "http://" + t.stage.addr(phonePort), clock: s.virtual, chance: source, about: s.sims.about(),
		http: &http.Client{Transport: sandbox.Direct(s.sims.phone())}}
	if err := s.cast(ctx); err != nil {
		return nil, err
	}
	before, err := s.door.readBooks(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		return &playedSeed{result: &result{}, steps: s.virtual.Steps(), kills: s.kills, findings: []string{err.Error()}}, nil
	}
	return s.judge(ctx, before)
}

// cast makes the patients of the seed, logs them in and binds them, before anything goes wrong.
func (s *scene) cast(ctx context.Context) error {
	hospitals := s.door.about.on(s.theatre.route)
	count := 3 + s.virtual.Chance(2)
	var faults error
	s.virtual.Go("cast", "cast", func() {
		s.start(0)
		s.start(1)
		for i := range count {
			roles, err := s.sims.cast(hospitals[(i+int(s.seed))%len(hospitals)], 1, mix(s.seed, uint64(i))) //nolint:gosec // small numbers
			if err != nil {
				faults = errors.Join(faults, err)
				return
			}
			v := &visitor{scene: s, player: &player{client: s.door, role: roles[0], seed: mix(s.seed, uint64(1000+i))}}
			if err := v.arrive(ctx); err != nil {
				faults = errors.Join(faults, fmt.Errorf("%s arrives: %w", roles[0].User, err))
				return
			}
			s.actors = append(s.actors, v)
		}
	})
	done := func() bool { return !slices.Contains(s.virtual.Waiting(), "cast") }
	if err := s.virtual.Run(opening.Add(time.Hour), done); err != nil {
		return err
	}
	return errors.Join(append(s.faults, faults)...)
}

// start starts a process of ours on the database as it is.
func (s *scene) start(node int) {
	s.started++
	h := &house{config: s.config, world: world{s.virtual, s}, db: s.db, bills: map[string]bill.Source{}, notices: map[string]callback.Source{},
		log: slog.New(slog.DiscardHandler), wake: make(chan struct{}, 1)}
	h.source = clock.NewSeeded(s.virtual, s.started, mix(s.seed, uint64(s.started))) //nolint:gosec // a small number
	parties, institutions, err := h.counterparts()
	for _, p := range parties {
		err = errors.Join(err, planted(s.theatre.plant, p))
	}
	if err == nil {
		h.storage = storage{yielding{s.db.Orders(), s.virtual}, queue{s.db.Jobs(), s.virtual}, s.db.Inbox()}
		err = h.furnish(parties, institutions, fmt.Sprintf("process %d", s.started))
	}
	if err != nil {
		s.faults = append(s.faults, err)
		return
	}
	p := &process{house: h, group: fmt.Sprintf("process %d", s.started)}
	s.nodes[node] = p
	for i := range 2 {
		s.virtual.Go(p.group, fmt.Sprintf("worker %d", i), func() { s.work(p, h.orders.Step) })
	}
	s.virtual.Go(p.group, "inbox", func() { s.work(p, h.orders.StepInbox) })
}

// work is a worker's life. One that found nothing to do looks again after a pause, longer when it is quiet.
func (s *scene) work(p *process, step func(context.Context) (bool, error)) {
	pause := idle
	for {
		worked, err := step(context.Background())
		if err != nil {
			s.note("%s: %v", p.group, err)
			if !errors.Is(err, job.ErrLost) && !errors.Is(err, job.ErrBusy) {
				s.faults = append(s.faults, fmt.Errorf("%s: %w", p.group, err))
			}
		}
		if worked {
			pause = idle
			continue
		}
		_ = s.virtual.Sleep(context.Background(), pause)
		pause = min(pause*2, 20*time.Second)
	}
}

// errDown is a request that no process of ours answers.
var errDown = errors.New("simulation: the process is down")

// ask lets a process of ours do something, and hears of it unless the process dies meanwhile.
func (s *scene) ask(ctx context.Context, name string, f func(ctx context.Context, h *house) error) error {
	p := s.nodes[s.virtual.Chance(len(s.nodes))]
	if p == nil || p.dead {
		_ = s.virtual.Sleep(ctx, 200*time.Millisecond)
		return errDown
	}
	var err error
	done := false
	s.virtual.Go(p.group, name, func() {
		err = f(ctx, p.house)
		done = true
	})
	if gone := s.virtual.Await(ctx, func() bool { return done || p.dead }); gone != nil {
		return gone
	}
	if !done {
		return errDown
	}
	return err
}

// RoundTrip is the network between everybody: messages take their time and overtake each other, and who is down does not answer. What else goes
// wrong on the way is the simulators' plans' to say.
func (s *scene) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
	}
	if err := s.virtual.Sleep(ctx, s.latency()); err != nil {
		return nil, err
	}
	handler, group := s.handler(r.URL.Host)
	if handler == nil {
		return nil, sandbox.ErrBroken
	}
	in := r.Clone(ctx)
	in.Body = io.NopCloser(bytes.NewReader(body))
	var res *http.Response
	var err error
	done := false
	s.note("-> %s %s", r.Method, r.URL.Path)
	p := s.processOf(group)
	s.virtual.Go(group, r.URL.Path, func() {
		res, err = sandbox.Direct(handler).RoundTrip(in) //nolint:bodyclose // the caller's
		done = true
	})
	if gone := s.virtual.Await(ctx, func() bool { return done || (p != nil && p.dead) }); gone != nil {
		return nil, gone
	}
	if !done {
		return nil, sandbox.ErrBroken
	}
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusBadRequest && s.theatre.log != nil {
		said, _ := io.ReadAll(res.Body)
		s.note("<- %s %d %s", r.URL.Path, res.StatusCode, said)
		res.Body = io.NopCloser(bytes.NewReader(said))
	}
	if err := s.virtual.Sleep(ctx, s.latency()); err != nil {
		return nil, err
	}
	res.Request = r
	return res, nil
}

func (s *scene) latency() time.Duration {
	return time.Duration(1+s.virtual.Chance(40)) * time.Millisecond
}

func (s *scene) processOf(group string) *process {
	for _, p := range s.nodes {
		if p != nil && p.group == group {
			return p
		}
	}
	return nil
}

// handler is who listens at an address.
func (s *scene) handler(addr string) (http.Handler, string) {
	st := s.theatre.stage
	switch addr {
	case st.addr(wechatMPPort):
		return s.sims.mp.Handler(), "counterparts"
	case st.addr(insurerPort):
		return s.sims.nhsa.Handler(), "counterparts"
	case st.addr(centrePort):
		return s.sims.nhsa.CentreHandler(), "counterparts"
	case st.addr(callbackPort):
		p := s.nodes[s.virtual.Chance(len(s.nodes))]
		if p == nil || p.dead {
			return nil, ""
		}
		return callback.Handler(p.inbox, p.notices, nil, func() {}), p.group
	}
	for i, h := range s.sims.hospitals {
		switch addr {
		case st.addr(wechatPayPort(i)):
			return h.pay.Handler(), "counterparts"
		case st.addr(hisPort(i)):
			return h.his.Handler(), "counterparts"
		}
	}
	return nil, ""
}

// run lets everybody act until all is over.
func (s *scene) run(ctx context.Context) error {
	level := []sandbox.Level{sandbox.Mild, sandbox.Harsh, sandbox.Harsh}[s.virtual.Chance(3)]
	if err := s.door.setFaults(ctx, level, s.seed); err != nil {
		return err
	}
	s.note("faults %s", level)
	s.counterparts()
	for _, v := range s.actors {
		s.virtual.Go("phones", "phone "+v.role.User, func() { v.live(ctx) })
		if s.virtual.Chance(6) == 0 {
			s.virtual.Go("window", "window", func() { v.window(ctx) })
		}
	}
	s.virtual.Go("fate", "fate", func() { s.strike(ctx) })
	begun := s.virtual.Now()
	quiet := begun.Add(calm)
	over := func() bool { return len(s.faults) > 0 || (!s.virtual.Now().Before(quiet) && s.allOver()) }
	if err := s.virtual.Run(quiet, func() bool { return len(s.faults) > 0 || s.allOver() }); err != nil {
		return err
	}
	if err := s.door.setFaults(ctx, sandbox.None, s.seed); err != nil {
		return err
	}
	s.note("the faults end")
	quiet = s.virtual.Now()
	if err := s.virtual.Run(quiet.Add(backlogLife), over); err != nil {
		return err
	}
	due, oldest, err := s.db.Jobs().Backlog(ctx, s.virtual.Now())
	if err != nil {
		return err
	}
	if oldest > time.Minute {
		s.faults = append(s.faults, fmt.Errorf("%d jobs are due, the oldest for %s", due, oldest))
	}
	if err := s.virtual.Run(begun.Add(seedLife), over); err != nil {
		return err
	}
	return errors.Join(s.faults...)
}

// counterparts lets the simulators do what nobody asks them for.
func (s *scene) counterparts() {
	repeat := func(name string, step func(context.Context) bool) {
		s.virtual.Go("counterparts", name, func() {
			pause := time.Second
			for {
				if step(context.Background()) {
					pause = time.Second
					continue
				}
				_ = s.virtual.Sleep(context.Background(), pause)
				pause = min(pause*3/2, 15*time.Second)
			}
		})
	}
	repeat("centre", s.sims.nhsa.StepCentre)
	for _, h := range s.sims.hospitals {
		repeat("wechat pay", h.pay.Step)
		repeat("his", h.his.Step)
	}
}

// strike kills processes of ours now and then and starts them again.
func (s *scene) strike(ctx context.Context) {
	for range s.virtual.Chance(4) {
		_ = s.virtual.Sleep(ctx, time.Duration(1+s.virtual.Chance(180_000))*time.Millisecond)
		node := s.virtual.Chance(len(s.nodes))
		p := s.nodes[node]
		s.note("%s is killed", p.group)
		p.dead = true
		s.kills++
		s.virtual.Kill(p.group)
		_ = s.virtual.Sleep(ctx, time.Duration(1+s.virtual.Chance(20_000))*time.Millisecond)
		s.start(node)
	}
}

func (s *scene) allOver() bool {
	return !slices.ContainsFunc(s.actors, func(v *visitor) bool { return !v.gone })
}

// judge compares all books, and reckons the ledger anew.
func (s *scene) judge(ctx context.Context, before *books) (*playedSeed, error) {
	after, err := s.door.readBooks(ctx)
	if err != nil {
		return nil, err
	}
	var players []*player
	for _, v := range s.actors {
		if v.id == 0 {
			continue
		}
		o, err := s.db.Orders().Load(ctx, v.id)
		if err != nil {
			return nil, err
		}
		v.order = viewOf(o)
		players = append(players, v.player)
	}
	p := &playedSeed{result: &result{}, faults: len(after.faults), kills: s.kills, steps: s.virtual.Steps()}
	if len(players) > 0 {
		p.result = compare(players, before, after)
		p.findings = p.result.findings
	}
	err = s.db.Orders().Each(ctx, "", func(o *order.Order, history []order.Event) error {
		for _, finding := range order.Verify(o, history) {
			p.findings = append(p.findings, fmt.Sprintf("order %s %s: ledger: %s", o.ID.No(), o.State, finding))
		}
		return nil
	})
	return p, err
}

// yielding lets others go first around every commit, and so lets a process be killed there.
type yielding struct {
	order.Store
	virtual *clock.Virtual
}

// Create creates.
func (y yielding) Create(ctx context.Context, o *order.Order, j job.New, key job.Key, rec job.Replay) (job.Claim, error) {
	y.virtual.Yield()
	defer y.virtual.Yield()
	return y.Store.Create(ctx, o, j, key, rec)
}

// Save saves.
func (y yielding) Save(ctx context.Context, o *order.Order, claim *job.Claim, next job.Next) error {
	y.virtual.Yield()
	defer y.virtual.Yield()
	return y.Store.Save(ctx, o, claim, next)
}

type queue struct {
	job.Queue
	virtual *clock.Virtual
}

// Take takes.
func (q queue) Take(ctx context.Context, j job.Job, owner string, now, until time.Time) (job.Claim, error) {
	q.virtual.Yield()
	return q.Queue.Take(ctx, j, owner, now, until)
}
