// Command cluster breaks what a hospital's service stands on, one thing after another, while patients pay: a process of ours, the database, its
// standby, Redis. Afterwards every order is compared with the counterparts' books, and the ledger is reckoned anew. It prints how long nothing was
// to be had at most, fault by fault, as a patient sees it who tries again and again.
//
//	cluster [-for 25s] [-old BINARY] BINARY PLAY...
//
// The plays: postgres (three processes on a primary with a synchronous standby, and a Redis Cluster), galera (the same on three MariaDB servers that
// commit together), rolling (every process replaced under load, and not one request may fail), upgrade (an older version replaced by this one, and back).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tuoka/tuoka/configs"
)

// fault is one thing that goes wrong, and how it is set right some seconds later; nil: it needs nobody.
type fault struct {
	name   string
	strike func(ctx context.Context) error
	mend   func(ctx context.Context) error
}

type options struct {
	binary string
	old    string
	window time.Duration
}

func main() {
	var o options
	flag.DurationVar(&o.window, "for", 25*time.Second, "how long after each fault the next one comes")
	flag.StringVar(&o.old, "old", "", "an older version's program, for the play upgrade")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed := false
	for i, name := range flag.Args() {
		if i == 0 {
			o.binary = name
			continue
		}
		if err := play(ctx, os.Stdout, o, name); err != nil {
			fmt.Fprintf(os.Stderr, "cluster: %s: %v\n", name, err)
			failed = true
		}
	}
	if failed || flag.NArg() < 2 {
		os.Exit(1) //nolint:gocritic // the plays have ended their processes
	}
}

// play is one play from the empty folder to the books.
func play(ctx context.Context, out io.Writer, o options, name string) (err error) {
	s, err := newSite()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		s.close(err != nil)
		if err != nil {
			err = fmt.Errorf("%w\n(the logs are in %s)", err, s.dir)
		}
	}()
	p := &played{options: o, site: s, out: out}
	faults, err := p.open(ctx, name)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "## %s\n", name)
	return p.run(ctx, faults)
}

// played is a play under way.
type played struct {
	options
	site   *site
	out    io.Writer
	house  *house
	galera *galera
	level  string // of the counterparts' faults
	none   bool   // not one request may fail
}

// open starts the servers of a play and tells its faults.
func (p *played) open(ctx context.Context, name string) ([]fault, error) {
	redis, err := openRedis(ctx, p.site)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(p.site.dir, "tuoka.yaml")
	text, err := configs.FS.ReadFile("sandbox.yaml")
	if err != nil {
		return nil, err
	}
	text = append(text, fmt.Sprintf("\nredis:\n  addr: %s\ndrain: 1s\n", redis.addrs())...)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	p.level = "mild"
	first := p.binary
	if name == "upgrade" {
		if first = p.old; first == "" {
			return nil, errors.New("-old is missing")
		}
	}
	var dsns []string
	var base *postgres
	if name == "galera" {
		if p.galera, err = openGalera(ctx, p.site); err != nil {
			return nil, err
		}
		dsns = []string{p.galera.dsn(0), p.galera.dsn(1), p.galera.dsn(2)}
	} else {
		if base, err = openPostgres(ctx, p.site); err != nil {
			return nil, err
		}
		dsns = []string{base.dsn(), base.dsn(), base.dsn()}
	}
	h, err := openHouse(ctx, p.site, p.binary, config, dsns, []string{first, first, first})
	if err != nil {
		return nil, err
	}
	p.house = h
	switch name {
	case "postgres":
		return []fault{h.kill(0), base.crash(), redis.kill(), base.promote()}, nil
	case "galera":
		return []fault{h.kill(0), p.galera.kill(1), redis.kill(), p.galera.freeze(2)}, nil
	case "rolling":
		p.level, p.none = "none", true
		return []fault{h.replace(0, p.binary, "node 0 replaced"), h.replace(1, p.binary, "node 1 replaced"), h.replace(2, p.binary, "node 2 replaced")}, nil
	case "upgrade":
		return []fault{h.replace(0, p.binary, "node 0 upgraded"), h.replace(1, p.binary, "node 1 upgraded"), h.replace(2, p.binary, "node 2 upgraded"),
			h.replace(0, p.old, "node 0 taken back")}, nil
	}
	return nil, fmt.Errorf("no play is called %q", name)
}

// paid is what tuoka pay tells.
type paid struct {
	Orders     int `json:"orders"`
	Completed  int `json:"completed"`
	Closed     int `json:"closed"`
	Unwound    int `json:"unwound"`
	Review     int `json:"review"`
	Pending    int `json:"pending"`
	Refunds    int `json:"refunds"`
	Done       int `json:"refunds_done"`
	Refused    int `json:"refunds_refused"`
	Reviewed   int `json:"refunds_review"`
	Mismatches int `json:"mismatches"`
	P50MS      int `json:"p50_ms"`
	P99MS      int `json:"p99_ms"`
}

// run lets the faults strike while patients pay, and compares everything afterwards.
func (p *played) run(ctx context.Context, faults []fault) error {
	base := p.house.url(phonePort)
	one, err := newPhone(ctx, base)
	if err != nil {
		return err
	}
	probes := []*probe{{name: "read", try: one.read}, {name: "write", try: one.write}, {name: "sign in", try: func(ctx context.Context) error {
		_, err := one.signIn(ctx)
		return err
	}}}
	probing, stopProbes := context.WithCancel(ctx)
	defer stopProbes()
	var busy sync.WaitGroup
	for _, probe := range probes {
		busy.Go(func() { probe.run(probing, p.site) })
	}
	paying := make(chan error, 1)
	var result paid
	whole := p.window*time.Duration(len(faults)) + 15*time.Second
	go func() {
		text, err := p.site.run(ctx, "", p.binary, "pay", "--server", base, "--orders", "4000", "--for", whole.String(), "--concurrency", "8", "--faults", p.level,
			"--refunds", "0.2", "--seed", strconv.Itoa(os.Getpid()), "--json")
		for line := range strings.Lines(text) { // beside it there may be what differs
			if strings.HasPrefix(line, "{") {
				err = errors.Join(err, json.Unmarshal([]byte(line), &result))
			}
		}
		paying <- err
	}()
	if err := p.strikeAll(ctx, faults, probes, paying); err != nil {
		return err
	}
	stopProbes()
	busy.Wait()
	err = <-paying
	_, _ = fmt.Fprintf(p.out, "%d orders: %d completed, %d closed, %d unwound, %d in review, %d pending; %d refunds, %d done, %d refused, %d for people; median %d ms, 99 of 100 %d ms; mismatches %d\n",
		result.Orders, result.Completed, result.Closed, result.Unwound, result.Review, result.Pending, result.Refunds, result.Done, result.Refused, result.Reviewed, result.P50MS, result.P99MS, result.Mismatches)
	if err != nil {
		return err
	}
	switch {
	case result.Mismatches > 0 || result.Pending > 0 || result.Review > 0:
		return errors.New("the books differ, or somebody's payment is not over")
	case result.Done+result.Refused+result.Reviewed != result.Refunds || result.Reviewed*20 > result.Refunds: // an insurer that refuses to settle the rest leaves some to people
		return fmt.Errorf("%d refunds, %d done, %d refused, %d for people to judge: too many are not over", result.Refunds, result.Done, result.Refused, result.Reviewed)
	case result.Orders < 100 || result.Completed*10 < result.Orders*9:
		return errors.New("too few have paid for this to prove anything")
	}
	verified, err := p.site.run(ctx, "", p.binary, "ledger", "verify", "--sandbox", "--data", p.house.data(), "--dsn", p.house.nodes[0].dsn)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(p.out, verified[strings.LastIndex(verified, "\n")+1:])
	lost, err := p.lostCommits()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.out, "commits without an answer, in the logs: %d\n", lost)
	if p.galera != nil {
		n := p.galera.conflicts(ctx)
		_, _ = fmt.Fprintf(p.out, "transactions that the cluster gave up in favour of others: %d\n", n)
		if n == 0 {
			return errors.New("no two transactions met: nothing is proved of those that the cluster gives up")
		}
	}
	if n := p.house.failed.Load(); p.none {
		_, _ = fmt.Fprintf(p.out, "failed requests: %d\n", n)
		if n > 0 {
			var said []string
			p.house.said.Range(func(what, _ any) bool { said = append(said, fmt.Sprint(what)); return len(said) < 10 })
			return fmt.Errorf("%d requests failed:\n%s", n, strings.Join(said, "\n"))
		}
	}
	return nil
}

// lostCommits counts what our processes said of commits whose answer was lost.
func (p *played) lostCommits() (n int, err error) {
	logs, err := filepath.Glob(filepath.Join(p.site.dir, "node*.log"))
	for _, name := range logs {
		text, bad := os.ReadFile(name) // #nosec G304 -- in our own folder
		err = errors.Join(err, bad)
		n += strings.Count(string(text), "STORE_COMMIT")
	}
	return n, err
}

// strikeAll lets every fault strike in its window, and tells the longest outage in it.
func (p *played) strikeAll(ctx context.Context, faults []fault, probes []*probe, paying chan error) error {
	real := p.site.real
	if err := p.site.until(ctx, "somebody has paid", time.Minute, p.house.paid); err != nil {
		return err
	}
	for _, f := range faults {
		for _, probe := range probes {
			probe.outage(real.Now())
		}
		begun := real.Now()
		if err := f.strike(ctx); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if f.mend != nil {
			if err := real.Sleep(ctx, p.window/3); err != nil {
				return err
			}
			if err := f.mend(ctx); err != nil {
				return fmt.Errorf("%s, mended: %w", f.name, err)
			}
		}
		if err := real.Sleep(ctx, p.window-real.Now().Sub(begun)); err != nil {
			return err
		}
		select {
		case err := <-paying:
			return fmt.Errorf("nobody paid any more after: %s: %w", f.name, err)
		default:
		}
		var said []string
		for _, probe := range probes {
			said = append(said, fmt.Sprintf("%s %.1f s", probe.name, probe.outage(real.Now()).Seconds()))
		}
		_, _ = fmt.Fprintf(p.out, "%-36s longest outage: %s\n", f.name, strings.Join(said, ", "))
	}
	return nil
}
