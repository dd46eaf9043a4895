package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

type benchFlags struct {
	engine   string
	dsn      string
	route    string
	nodes    int
	duration time.Duration
	clients  int
	rate     int
	payments int
	data     string
	profile  string
	base     int
	json     bool
}

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{Use: "bench", Short: "measure complete payments a second, and what one costs", Args: cobra.NoArgs,
		Long: `Starts a sandbox's simulators in one process and the service in others, makes patients ready (signed in, enrolled, authorised), and lets
them pay: bills, quote, confirmation, cashier, notice, posting. With --clients so many pay at once, one after the other (closed load); with --rate
so many begin every second whatever happens (open load). Afterwards every order is compared with the counterparts' books, and the engine
commits as often as it can, which with the CPU is the bound. On --data and --dsn of a former run, or of tuoka fill, the rows that are there stay, and
new patients come. Nothing else should run on the machine.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return bench(cmd.Context(), cmd.OutOrStdout(), f) }}
	cmd.Flags().StringVar(&f.engine, "engine", "sqlite", "sqlite, postgres or mysql; the servers want --dsn")
	cmd.Flags().StringVar(&f.dsn, "dsn", "", "a database of that engine: empty, or one whose rows were sealed with the keys of --data")
	cmd.Flags().StringVar(&f.route, "route", "core", "whose patients pay: core, mixed or all")
	cmd.Flags().IntVar(&f.nodes, "nodes", 1, "how many processes serve")
	cmd.Flags().DurationVar(&f.duration, "duration", time.Minute, "how long to measure")
	cmd.Flags().IntVar(&f.clients, "clients", 16, "how many patients pay at once")
	cmd.Flags().IntVar(&f.rate, "rate", 0, "how many payments begin every second, instead of --clients")
	cmd.Flags().IntVar(&f.payments, "payments", 0, "how many patients are made ready; by default enough for 120 payments a second, or for --rate")
	cmd.Flags().StringVar(&f.data, "data", "", "folder for the database and the sandbox; by default a temporary one")
	cmd.Flags().StringVar(&f.profile, "profile", "", "file for a CPU profile of the first process, over the measured time")
	cmd.Flags().IntVar(&f.base, "port-base", 18080, "first port; many after it are taken, too")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as one line of JSON")
	return cmd
}

// started is a process of the bench.
type started struct {
	*exec.Cmd
	log *os.File
}

func (b *bencher) start(ctx context.Context, name string, args ...string) (*started, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(b.data, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // in the bench's own folder
	if err != nil {
		return nil, err
	}
	p := &started{exec.CommandContext(ctx, program, args...), log} // #nosec G204 -- this very program
	p.Stdout, p.Stderr = log, log
	p.Cancel = func() error { return p.Process.Signal(os.Interrupt) }
	p.WaitDelay = 30 * time.Second
	return p, p.Start()
}

// bencher is one run.
type bencher struct {
	benchFlags
	client *phoneClient
	sims   *started
	served []*started
	ops    []string
	apis   []string
	own    []time.Duration
	mu     sync.Mutex
}

func bench(ctx context.Context, out io.Writer, f benchFlags) (err error) {
	if f.engine == "sqlite" {
		if f.nodes != 1 || f.dsn != "" {
			return errors.New("--engine sqlite is one process on a file of its own: no --nodes, no --dsn")
		}
	} else if f.dsn == "" {
		return fmt.Errorf("--engine %s wants --dsn", f.engine)
	}
	b := &bencher{benchFlags: f}
	if b.data == "" {
		if b.data, err = os.MkdirTemp("", "tuoka-bench"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(b.data) }() // a temporary folder
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer func() {
		stop()
		for _, p := range append(b.served, b.sims) {
			if p != nil {
				_ = p.Wait()
			}
		}
	}()
	r, err := b.run(ctx)
	if err != nil {
		return err
	}
	stop()
	for _, p := range b.served { // the database is to itself
		_ = p.Wait()
	}
	if err := b.bound(context.WithoutCancel(ctx), r); err != nil {
		return err
	}
	return r.print(out, f.json)
}

// open starts everything and waits until it answers.
func (b *bencher) open(ctx context.Context) (err error) {
	place := []string{"--data", b.data, "--port-base", strconv.Itoa(b.base)}
	if b.sims, err = b.start(ctx, "simulators", append([]string{"sandbox"}, place...)...); err != nil {
		return err
	}
	st := stage{base: b.base}
	b.client = newPhoneClient(st.url(phonePort))
	b.client.own = func(d time.Duration) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.own = append(b.own, d)
	}
	if err := b.client.findOut(ctx); err != nil {
		return err
	}
	for i := range b.nodes {
		listen := b.base
		if i > 0 {
			listen += 100 * i
		}
		args := append([]string{"serve", "--join", "--listen-base", strconv.Itoa(listen)}, place...)
		if b.dsn != "" {
			args = append(args, "--dsn", b.dsn)
		}
		p, err := b.start(ctx, fmt.Sprint("node", i), args...)
		if err != nil {
			return err
		}
		at := stage{base: listen}
		b.served, b.apis, b.ops = append(b.served, p), append(b.apis, at.url(apiPort)), append(b.ops, at.url(opsPort))
		if err := b.ready(ctx, at.url(opsPort)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bencher) ready(ctx context.Context, ops string) error {
	for range 300 {
		if err := b.ask(ctx, ops+"/readyz", nil); err == nil {
			return nil
		}
		if err := b.client.clock.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not get ready; see the logs in %s", ops, b.data)
}

// ask reads JSON from an address.
func (b *bencher) ask(ctx context.Context, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	res, err := b.client.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", address, res.StatusCode)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// spent is what everybody has used so far.
type spent struct {
	costs
	ours, data, sims, load time.Duration
}

func (b *bencher) spent(ctx context.Context) (s spent, err error) {
	for i, p := range b.served {
		var c costs
		if err := b.ask(ctx, b.ops[i]+"/costs", &c); err != nil {
			return s, err
		}
		s.Statements, s.Commits, s.Bytes, s.Allocs = s.Statements+c.Statements, s.Commits+c.Commits, s.Bytes+c.Bytes, s.Allocs+c.Allocs
		s.ours += cpuOf(strconv.Itoa(p.Process.Pid))
	}
	s.sims, s.load = cpuOf(strconv.Itoa(b.sims.Process.Pid)), cpuOf("self")
	if server := map[string]string{"postgres": "postgres", "mysql": "mariadbd"}[b.engine]; server != "" {
		s.data = cpuOfAll(server)
	}
	return s, nil
}

func (b *bencher) run(ctx context.Context) (*benched, error) {
	if err := b.open(ctx); err != nil {
		return nil, err
	}
	seconds := int(b.duration.Seconds())
	ready := b.payments
	switch {
	case ready > 0:
	case b.rate > 0:
		ready = b.rate*seconds + 2*b.rate
	default:
		ready = 120*seconds + 100
	}
	players, err := b.prepare(ctx, ready)
	if err != nil {
		return nil, err
	}
	books, err := b.client.readBooks(ctx)
	if err != nil {
		return nil, err
	}
	warm := min(len(players)/20, 100)
	b.closed(ctx, players[:warm], time.Minute)
	b.mu.Lock()
	b.own = nil
	b.mu.Unlock()
	before, err := b.spent(ctx)
	if err != nil {
		return nil, err
	}
	profiled := b.profiling(ctx, seconds)
	begun := b.client.clock.Now()
	var played []*player
	if b.rate > 0 {
		played = b.openLoad(ctx, players[warm:])
	} else {
		played = b.closed(ctx, players[warm:], b.duration)
	}
	took := b.client.clock.Now().Sub(begun)
	if err := <-profiled; err != nil {
		return nil, err
	}
	after, err := b.spent(ctx)
	if err != nil {
		return nil, err
	}
	r := b.result(played, before, after, took)
	var ops struct {
		Oldest int64 `json:"oldest_due_ms"`
	}
	if err := b.ask(ctx, b.ops[0]+"/readyz", &ops); err == nil {
		r.Backlog = ops.Oldest
	}
	all := append(slices.Clone(players[:warm]), played...)
	b.client.settleDown(ctx, all, time.Minute)
	end, err := b.client.readBooks(ctx)
	if err != nil {
		return nil, err
	}
	compared := compare(all, books, end)
	r.Mismatches, r.Unfinished = compared.Mismatches, len(all)-compared.Completed
	if r.Mismatches > 0 {
		return r, fmt.Errorf("the books differ: %s", strings.Join(compared.findings, "; "))
	}
	return r, nil
}

// profiling has the first process profiled for so long, where that is wanted.
func (b *bencher) profiling(ctx context.Context, seconds int) <-chan error {
	done := make(chan error, 1)
	if b.benchFlags.profile == "" {
		close(done)
		return done
	}
	go func() {
		done <- b.download(ctx, fmt.Sprintf("%s/profile?seconds=%d", b.ops[0], min(max(seconds, 1), 120)))
	}()
	return done
}

func (b *bencher) download(ctx context.Context, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	res, err := (&http.Client{}).Do(r) // it takes its time
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile: status %d", res.StatusCode)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(b.benchFlags.profile, text, 0o600)
}

// prepare makes patients ready to pay.
func (b *bencher) prepare(ctx context.Context, count int) ([]*player, error) {
	hospitals := b.client.about.on(b.route)
	if len(hospitals) == 0 {
		return nil, fmt.Errorf("--route %s: no hospital of the sandbox is on it", b.route)
	}
	roles, err := b.client.castAll(ctx, hospitals, count, 1, false)
	if err != nil {
		return nil, err
	}
	players := make([]*player, len(roles))
	var failed atomic.Pointer[error]
	forEach(8, len(roles), func(i int) {
		client := *b.client
		client.api = b.apis[i%len(b.apis)]
		p := &player{client: &client, role: roles[i], seed: mix(1, uint64(i))} //nolint:gosec // an index
		players[i] = p
		for _, step := range []func(context.Context) error{p.login, p.consent, p.enrol, p.authorise} {
			if err := p.persist(ctx, step); err != nil {
				err = fmt.Errorf("make %s ready: %w", p.role.User, err)
				failed.Store(&err)
				return
			}
		}
	})
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return players, nil
}

// forEach does a work for every index, some at a time.
func forEach(atOnce, count int, work func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
				work(int(i))
			}
		})
	}
	wg.Wait()
}

func (b *bencher) pay(ctx context.Context, p *player) {
	begun := b.client.clock.Now()
	p.trouble = p.payBill(ctx)
	p.took = b.client.clock.Now().Sub(begun)
}

// closed lets so many pay at once until the time is over or nobody is left, and gives those who paid.
func (b *bencher) closed(ctx context.Context, players []*player, most time.Duration) []*player {
	end := b.client.clock.Now().Add(most)
	var last atomic.Int64
	forEach(b.clients, len(players), func(i int) {
		if !b.client.clock.Now().After(end) {
			last.Add(1)
			b.pay(ctx, players[i])
		}
	})
	return players[:last.Load()] // in the order of their indexes, all of them before the end
}

// openLoad lets so many begin every second.
func (b *bencher) openLoad(ctx context.Context, players []*player) []*player {
	count := min(len(players), b.rate*int(b.duration.Seconds()))
	begun := b.client.clock.Now()
	var wg sync.WaitGroup
	for i, p := range players[:count] {
		due := begun.Add(time.Duration(i) * time.Second / time.Duration(b.rate))
		_ = b.client.clock.Sleep(ctx, due.Sub(b.client.clock.Now())) // a load that is stopped is over anyway
		wg.Go(func() { b.pay(ctx, p) })
	}
	wg.Wait()
	return players[:count]
}
