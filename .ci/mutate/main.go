// Command mutate breaks the money core on purpose, one small change at a time, and asks the unit tests whether they notice. It prints the changes
// that no test noticed, and fails when fewer than nine in ten were. docs/mutation.md says how to read its output.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// packages are the mutated ones, those where an error moves money.
var packages = []string{"money", "split", "ledger", "settlement", "payment", "order", "refund"}

// last judges what a package's own tests let through: order drives all the others, and their rules are tried there in whole stories.
const last = "order"

const (
	bound = 90 // per cent that must be killed
	least = 20 // mutants per package, however small it is
)

type options struct {
	mutants int
	seed    uint64
	match   string
}

func main() {
	var o options
	flag.IntVar(&o.mutants, "mutants", 400, "how many to try, over all packages; 0: all there are")
	flag.Uint64Var(&o.seed, "seed", 1, "which sample")
	flag.StringVar(&o.match, "match", "", "try only those whose line matches this expression, and all of them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	passed, err := mutate(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

// mutate is the whole check. It reports whether enough was killed.
func mutate(ctx context.Context, o options, out io.Writer) (bool, error) {
	began := clock.Real{}.Now()
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	only, err := regexp.Compile(o.match)
	if err != nil {
		return false, err
	}
	explained, err := readExplained(filepath.Join("docs", "mutation.md"))
	if err != nil {
		return false, err
	}
	rooms, err := load(ctx, packages)
	if err != nil {
		return false, err
	}
	known := map[string]bool{}
	for _, r := range rooms {
		for _, m := range r.mutants {
			known[m.key()] = true
		}
	}
	var sample []*mutant
	if o.match != "" {
		sample = matching(rooms, only)
	} else {
		sample = draw(rooms, o.mutants, o.seed)
	}
	j, err := newJudge(ctx, dir, o.seed, rooms, sample)
	if err != nil {
		return false, err
	}
	if err := judgeAll(ctx, j, sample); err != nil {
		return false, err
	}
	survivors(out, sample, explained)
	for key := range explained {
		if !known[key] {
			_, _ = fmt.Fprintf(out, "docs/mutation.md explains what is not there any more: %s\n", key)
		}
	}
	percent := table(out, rooms, sample, explained)
	_, _ = fmt.Fprintf(out, "seed %d, %s\n", o.seed, clock.Real{}.Now().Sub(began).Round(time.Second))
	return percent >= bound, nil
}

// judgeAll tries the sample, as many at once as there are cores.
func judgeAll(ctx context.Context, j *judge, sample []*mutant) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		done  int
	)
	queue := make(chan *mutant)
	for n := range runtime.NumCPU() {
		wg.Go(func() {
			for m := range queue {
				v, err := j.judge(ctx, n, m)
				mu.Lock()
				m.verdict = v
				if err != nil && first == nil {
					first = err
				}
				done++
				if v == survived || done%50 == 0 {
					_, _ = fmt.Fprintf(os.Stderr, "%4d of %d: %s: %s\n", done, len(sample), m, v)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range sample {
		queue <- m
	}
	close(queue)
	wg.Wait()
	return first
}
