package main

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/tuoka/tuoka/internal/refund"
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
	group     string
	callbacks http.Handler
	dead      bool
}

// skewed is the clock of one process, a little fast or slow.
type skewed struct {
	*clock.Virtual
	by time.Duration
}

// Now is what the process takes for the time.
func (s *skewed) Now() time.Time { return s.Virtual.Now().Add(s.by) }

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
	fates   int                     // how often a process may still be struck in the middle of what it does
	struck  bool                    // one was, or a message came when nobody waited for it: an order that is given up for that is given up rightly
	door    *phoneClient            // to the simulators' own doors, without a network between
	faces   map[string]http.Handler // of the counterparts, by address
	answers map[string]answered     // to questions, by address
	watch   *watch
	commits int  // that may give a worker something to do
	wild    bool // messages linger, processes freeze
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
	s := &scene{theatre: t, config: t.config, db: t.db, seed: seed, virtual: clock.NewVirtual(opening, seed), watch: newWatch(), answers: map[string]answered{}}
	defer s.virtual.End()
	t.now.Clock = s.virtual
	t.source.Restart(seed)
	if err := t.sweep(ctx); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	source := clock.NewSeeded(s.virtual, clock.Nodes-1, seed)
	if s.sims, err = openSimulators(t.stage, s.config, world{clock: s.virtual, wire: s}, source); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.sims.close()) }()
	s.faces = s.sims.faces()
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
			roles, err := s.sims.cast(hospitals[(i+int(s.seed))%len(hospitals)], 1, mix(s.seed, uint64(i)), true) //nolint:gosec // small numbers
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
	skew := &skewed{s.virtual, time.Duration(s.virtual.Chance(3001)-1500) * time.Millisecond}
	h := &house{config: s.config, world: world{clock: skew, wire: s, keyBits: s.theatre.stage.keyBits}, db: s.db.WithVault(s.theatre.vault), bills: map[string]bill.Source{}, notices: map[string]callback.Source{},
		log: slog.New(slog.DiscardHandler), wake: make(chan struct{}, 1)}
	h.source = clock.NewSeeded(skew, s.started, mix(s.seed, uint64(s.started))) //nolint:gosec // a small number
	parties, institutions, err := h.counterparts()
	h.storage = s.storage(h.db)
	if err == nil {
		err = planted(s, h, parties)
	}
	if err == nil {
		err = h.furnish(parties, institutions, fmt.Sprintf("process %d", s.started))
	}
	if err != nil {
		s.faults = append(s.faults, err)
		return
	}
	p := &process{house: h, group: fmt.Sprintf("process %d", s.started),
		callbacks: callback.Handler(h.inbox, h.notices, hisDesk{h.orders}, callback.Gateway{}, func() {})}
	s.nodes[node] = p
	s.virtual.Go(p.group, "look-out", func() { s.lookOut(p) })
}

// farSight is how far a look-out sees ahead, and how long it rests at most: longer than in earnest, since every commit wakes it here.
const farSight = 30 * time.Second

// lookOut is house.lookOut in this world: whoever finds work lets another look out in his stead while he does it.
func (s *scene) lookOut(p *process) {
	for {
		found, seen := false, s.commits
		rest, err := p.house.orders.Look(context.Background(), farSight, func() {
			found = true
			s.virtual.Go(p.group, "look-out", func() { s.lookOut(p) })
		})
		if err != nil {
			s.note("%s: %v", p.group, err)
			if !errors.Is(err, job.ErrLost) && !errors.Is(err, job.ErrBusy) && !refusedToHIS(err) {
				s.faults = append(s.faults, fmt.Errorf("%s: %w", p.group, err))
			}
		}
		if found {
			if rest == 0 {
				s.commits++ // whoever rests looks again
			}
			return
		}
		_ = s.virtual.Rest(context.Background(), max(rest, time.Millisecond), func() bool { return s.commits != seen })
	}
}

// refusedToHIS is a refund of which the window asked for more than the phone had left by then: it is said in the log, and nothing else happens.
// Another fault beside it is one.
func refusedToHIS(err error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok { // they were joined
		return !slices.ContainsFunc(several.Unwrap(), func(one error) bool { return !refusedToHIS(one) })
	}
	return errors.Is(err, refund.ErrNothing) || errors.Is(err, refund.ErrAmount) || errors.Is(err, refund.ErrLine) || errors.Is(err, refund.ErrQuantity)
}

// errDown is a request that no process of ours answers.
var errDown = errors.New("simulation: the process is down")

// phonePatience is how long a phone waits for an answer.
const phonePatience = 40 * time.Second

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
	if _ = s.virtual.Rest(ctx, phonePatience, func() bool { return done || p.dead }); !done {
		return errDown
	}
	return err
}

// run lets everybody act until all is over.
func (s *scene) run(ctx context.Context) error {
	level := []sandbox.Level{sandbox.Mild, sandbox.Harsh, sandbox.Harsh}[s.virtual.Chance(3)]
	if err := s.door.setFaults(ctx, level, s.seed); err != nil {
		return err
	}
	s.wild, s.fates = true, s.virtual.Chance(7)
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
	over := func() bool {
		return len(s.faults)+len(s.watch.findings) > 0 || (!s.virtual.Now().Before(quiet) && s.allOver())
	}
	if err := s.virtual.Run(quiet, func() bool { return len(s.faults)+len(s.watch.findings) > 0 || s.allOver() }); err != nil {
		return err
	}
	if err := s.door.setFaults(ctx, sandbox.None, s.seed); err != nil {
		return err
	}
	s.wild = false
	s.note("the faults end")
	quiet = s.virtual.Now()
	caughtUp := func() bool { // a process that stood still as the faults ended may yet have to come round
		if !over() {
			return false
		}
		_, oldest, err := s.db.Jobs().Backlog(ctx, s.virtual.Now())
		return err != nil || oldest <= time.Minute
	}
	if err := s.virtual.Run(quiet.Add(backlogLife), caughtUp); err != nil {
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

// strike kills processes of ours now and then.
func (s *scene) strike(ctx context.Context) {
	for range s.virtual.Chance(4) {
		_ = s.virtual.Sleep(ctx, time.Duration(1+s.virtual.Chance(180_000))*time.Millisecond)
		if node := s.virtual.Chance(len(s.nodes)); !s.nodes[node].dead {
			s.kill(node)
		}
	}
}

// kill kills a process and has it started again a little later.
func (s *scene) kill(node int) {
	p := s.nodes[node]
	s.note("%s is killed", p.group)
	p.dead = true
	s.kills++
	s.virtual.Go("fate", "restart", func() {
		_ = s.virtual.Sleep(context.Background(), time.Duration(1+s.virtual.Chance(20_000))*time.Millisecond)
		s.start(node)
	})
	s.virtual.Kill(p.group) // who is of it goes no further than here
}

// fate lets others go first, and strikes the process that runs, now and then: it dies there, or stands still for longer than its claims may.
func (s *scene) fate() {
	node := slices.IndexFunc(s.nodes[:], func(p *process) bool { return p != nil && p.group == s.virtual.Group() })
	if s.wild && s.fates > 0 && node >= 0 && s.virtual.Chance(60) == 0 {
		s.fates--
		s.struck = true
		if s.virtual.Chance(3) == 0 {
			s.kill(node)
		}
		s.note("%s stands still", s.nodes[node].group)
		s.virtual.Freeze(s.nodes[node].group, time.Duration(1+s.virtual.Chance(150_000))*time.Millisecond)
	}
	s.virtual.Yield()
}

func (s *scene) allOver() bool {
	return !slices.ContainsFunc(s.actors, func(v *visitor) bool { return !v.gone })
}

// judge compares all books, and reckons the ledger anew.
func (s *scene) judge(ctx context.Context, before *books) (*playedSeed, error) {
	if len(s.watch.findings) > 0 { // where the seed stopped
		return &playedSeed{result: &result{}, steps: s.virtual.Steps(), kills: s.kills, findings: s.watch.findings}, nil
	}
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
		v.excused = v.excused || s.struck
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
	}, nil)
	return p, err
}
