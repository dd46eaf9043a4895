package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/internal/clock"
)

type simulateFlags struct {
	seeds   string
	route   string
	workers int
	keyBits int
	json    bool
	verbose bool
	dsn     string
	his     string
	plant   string // a bug to find, under the build tag plant
}

func simulateCommand() *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{Use: "simulate", Short: "play whole hospital days in virtual time, one per seed, with everything going wrong", Args: cobra.NoArgs,
		Long: `Plays the real engine, store, adapters and simulators in one process on a virtual clock. Every seed is a world of its own: a few patients on
their phones, who pay, cancel and ask for refunds; the window, which pays and asks too; two processes of ours with several workers, whose clocks
differ, which are killed or stand still in the middle of what they do; messages that are lost, doubled, late, overtaken, or answered from a
stale copy. After every commit the order's moves, its ledger, its bounds and its bills are checked. At the end every order must be over or in
review, every side's books must agree to the fen, and the ledger must add up. The same seed plays the same again, step by step. Exit code 1
when anything is violated.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return simulate(cmd.Context(), cmd.OutOrStdout(), f) }}
	cmd.Flags().StringVar(&f.seeds, "seeds", "1..100", "which seeds: A..B, or one")
	cmd.Flags().StringVar(&f.route, "route", "all", "whose patients pay: those of the hospitals on that route (core, mixed, his), or all")
	cmd.Flags().IntVar(&f.workers, "workers", runtime.NumCPU(), "how many seeds at once")
	cmd.Flags().StringVar(&f.dsn, "dsn", "", "an empty database of a server to play on, one seed at a time: postgres:// or mysql://; it is emptied for every seed")
	hisFlag(cmd, &f.his)
	cmd.Flags().IntVar(&f.keyBits, "rsa-bits", 1024, "length of the made-up RSA keys: short ones save time, 2048 is what WeChat Pay demands")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as one line of JSON")
	cmd.Flags().BoolVar(&f.verbose, "verbose", false, "print what happened, step by step")
	plantFlag(cmd, &f)
	return cmd
}

// simulated is what simulate prints.
type simulated struct {
	Seeds            int            `json:"seeds"`
	Violations       int            `json:"violations"`
	FirstFailingSeed uint64         `json:"first_failing_seed,omitempty"`
	SeedsPerSecond   json.Number    `json:"seeds_per_s"`
	Orders           int            `json:"orders"`
	Ends             map[string]int `json:"ends"` // orders by state at the end
	Refunds          int            `json:"refunds"`
	RefundsDone      int            `json:"refunds_done"`
	Faults           int            `json:"faults"`
	Kills            int            `json:"kills"`
	Steps            int            `json:"steps"`

	findings []string
}

func (t *simulated) add(seed uint64, p *playedSeed) {
	t.Seeds++
	t.Orders += p.result.Orders
	t.Ends["completed"] += p.result.Completed
	t.Ends["closed"] += p.result.Closed
	t.Ends["unwound"] += p.result.Unwound
	t.Ends["review"] += p.result.Review
	t.Refunds += p.result.Refunds
	t.RefundsDone += p.result.RefundsDone
	t.Faults += p.faults
	t.Kills += p.kills
	t.Steps += p.steps
	if len(p.findings) == 0 {
		return
	}
	t.Violations += len(p.findings)
	if t.FirstFailingSeed == 0 || seed < t.FirstFailingSeed {
		t.FirstFailingSeed = seed
	}
	for _, f := range p.findings {
		t.findings = append(t.findings, fmt.Sprintf("seed %d: %s", seed, f))
	}
}

// seedRange reads A..B or A.
func seedRange(text string) (first, last uint64, err error) {
	a, b, found := strings.Cut(text, "..")
	if !found {
		b = a
	}
	first, err1 := strconv.ParseUint(a, 10, 64)
	last, err2 := strconv.ParseUint(b, 10, 64)
	if err := errors.Join(err1, err2); err != nil || first == 0 || last < first {
		return 0, 0, fmt.Errorf("--seeds %q: want A..B with 1 ≤ A ≤ B", text)
	}
	return first, last, nil
}

func simulate(ctx context.Context, out io.Writer, f simulateFlags) (err error) {
	first, last, err := seedRange(f.seeds)
	if err != nil {
		return err
	}
	total := simulated{Ends: map[string]int{}}
	begun := clock.Real{}.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := first
	var faults []error
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // memory is plenty, and a seed leaves nothing behind
	if f.dsn != "" {
		f.workers = 1
	}
	for range max(f.workers, 1) {
		wg.Go(func() {
			failed := func(err error) {
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, err)
			}
			dir, err := os.MkdirTemp(shelf(), "tuoka-simulate")
			if err != nil {
				failed(err)
				return
			}
			defer func() { _ = os.RemoveAll(dir) }() // a folder of temporary files
			theatre, err := newTheatre(ctx, stage{dir: dir, dsn: f.dsn, his: f.his, keyBits: f.keyBits}, f.route)
			if err != nil {
				failed(err)
				return
			}
			defer func() { _ = theatre.close() }()
			theatre.plant = f.plant
			if f.verbose {
				theatre.log = out
			}
			for ctx.Err() == nil {
				mu.Lock()
				seed := next
				next++
				stop := seed > last || len(faults) > 0 || (f.plant != "" && total.Violations > 0)
				mu.Unlock()
				if stop {
					return
				}
				p, err := theatre.play(ctx, seed)
				mu.Lock()
				if err != nil {
					faults = append(faults, fmt.Errorf("seed %d: %w", seed, err))
				} else {
					total.add(seed, p)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(append(faults, ctx.Err())...); err != nil {
		return err
	}
	tenths := int64(total.Seeds) * 10_000 / max(clock.Real{}.Now().Sub(begun).Milliseconds(), 1)
	total.SeedsPerSecond = json.Number(fmt.Sprintf("%d.%d", tenths/10, tenths%10))
	return total.print(out, f)
}

// shelf is where files live in memory; empty where there is no such place.
func shelf() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func (t *simulated) print(out io.Writer, f simulateFlags) error {
	var err error
	if f.json {
		err = json.NewEncoder(out).Encode(t)
	} else {
		_, err = fmt.Fprintf(out, "%d seeds, %d orders %v, %d of %d refunds done, %d faults, %d kills, %d steps: %d violations; %s seeds/s\n", t.Seeds, t.Orders,
			t.Ends, t.RefundsDone, t.Refunds, t.Faults, t.Kills, t.Steps, t.Violations, t.SeedsPerSecond)
	}
	if err != nil || t.Violations == 0 {
		return err
	}
	for _, line := range t.findings[:min(len(t.findings), 20)] {
		_, _ = fmt.Fprintln(os.Stderr, line)
	}
	_, _ = fmt.Fprintf(os.Stderr, "again, step by step: tuoka simulate --route %s --seeds %d --verbose\n", f.route, t.FirstFailingSeed)
	return errSaid
}
