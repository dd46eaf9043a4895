package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// verdict is what the tests made of a mutant.
type verdict string

const (
	byOwn    verdict = "killed by its own package"
	byLast   verdict = "killed by " + last
	tooLong  verdict = "killed: it did not end"
	survived verdict = "survived"
	broken   verdict = "does not build"
)

// waits is how long a test program may take by the wall's clock. Nothing here waits by it; so long only because the machine may be busy.
const waits = 5 * time.Minute

// judge runs tests.
type judge struct {
	dir    string
	root   string
	suites map[string]suite
}

// suite is one package's tests, with all mutants of the sample inside.
type suite struct {
	bin   string
	flags []string
	parts []part // the quick tests, then the slow ones
}

// part is some of a package's tests, and the processor time that they take unchanged.
type part struct {
	choose []string
	cpu    time.Duration
}

var timed = regexp.MustCompile(`(?m)--- PASS: (\w+)\S* \(([0-9.]+)s\)`)

// newJudge builds the tests and tries every package unchanged first: tests that fail by themselves would kill everything.
func newJudge(ctx context.Context, dir string, seed uint64, rooms []*room, sample []*mutant) (*judge, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	overlay, err := writeSchemas(dir, root, rooms, sample)
	if err != nil {
		return nil, err
	}
	j := &judge{dir: dir, root: root, suites: map[string]suite{}}
	for _, p := range packages {
		s := suite{bin: filepath.Join(dir, p+".test")}
		if s.flags, err = flags(ctx, p, seed); err != nil {
			return nil, err
		}
		if err := build(ctx, p, s.bin, overlay); err != nil {
			return nil, err
		}
		out, _, err := j.unchanged(ctx, p, s, "-test.v")
		if err != nil {
			return nil, err
		}
		for _, choose := range parts(out) {
			_, cpu, err := j.unchanged(ctx, p, s, choose...)
			if err != nil {
				return nil, err
			}
			s.parts = append(s.parts, part{choose, cpu})
		}
		j.suites[p] = s
	}
	return j, nil
}

// unchanged runs tests without any mutant, and measures them.
func (j *judge) unchanged(ctx context.Context, p string, s suite, more ...string) (string, time.Duration, error) {
	cmd := j.command(ctx, p, s.bin, slices.Concat(s.flags, more), waits)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", 0, fmt.Errorf("%s fails without any mutant: %w\n%s", p, err, out)
	}
	return string(out), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// flags make chance repeatable where a package's tests draw cases, and keep them from looking for the smallest: one is enough.
func flags(ctx context.Context, p string, seed uint64) ([]string, error) {
	flags := []string{"-test.failfast", "-test.timeout=" + waits.String()}
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.TestImports}}{{.XTestImports}}", "./internal/"+p).Output() // #nosec G204 -- names of ours
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", p, err)
	}
	if strings.Contains(string(out), "pgregory.net/rapid") {
		flags = append(flags, "-rapid.nofailfile", "-rapid.shrinktime=0s", "-rapid.seed="+strconv.FormatUint(seed, 10))
	}
	return flags, nil
}

// parts divides the tests by what they took, cases included: slow is what takes more than a tenth of all.
func parts(out string) [][]string {
	var all time.Duration
	took := map[string]time.Duration{}
	for _, m := range timed.FindAllStringSubmatch(out, -1) {
		d, err := time.ParseDuration(m[2] + "s")
		if err == nil {
			took[m[1]] += d
			all += d
		}
	}
	var slow []string
	for name, d := range took {
		if d > all/10 && d > time.Second/10 {
			slow = append(slow, name)
		}
	}
	if len(slow) == 0 || len(slow) == len(took) {
		return [][]string{nil}
	}
	slices.Sort(slow)
	names := "^(" + strings.Join(slow, "|") + ")$"
	return [][]string{{"-test.skip=" + names}, {"-test.run=" + names}}
}

// judge tries a mutant: its own package's tests, then the last judge's. Several may be tried at once, each in its lane.
func (j *judge) judge(ctx context.Context, lane int, m *mutant) (verdict, error) {
	for _, p := range slices.Compact([]string{m.room.name, last}) {
		s := j.suites[p]
		if m.number == 0 {
			bin, err := j.alone(ctx, lane, m, p)
			if ctx.Err() != nil {
				return broken, ctx.Err()
			}
			if err != nil {
				_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", m, err)
				return broken, nil
			}
			s.bin = bin
		}
		for _, some := range s.parts { // most mutants do not live to see the slow tests
			v := j.run(ctx, p, s, some, m)
			if ctx.Err() != nil {
				return broken, ctx.Err()
			}
			if v == byOwn && p != m.room.name {
				v = byLast
			}
			if v != survived {
				return v, nil
			}
		}
	}
	return survived, nil
}

// alone builds a package's tests with this mutant and no other.
func (j *judge) alone(ctx context.Context, lane int, m *mutant, p string) (string, error) {
	dir := filepath.Join(j.dir, "lane"+strconv.Itoa(lane))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	changed := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(changed, m.mutated(), 0o600); err != nil {
		return "", err
	}
	overlay, err := writeOverlay(dir, map[string]string{filepath.Join(j.root, m.file.path): changed})
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "mutant.test")
	return bin, build(ctx, p, bin, overlay)
}

func build(ctx context.Context, p, bin, overlay string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", bin, "./internal/"+p) // #nosec G204 -- names of ours
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", p, err, bytes.TrimSpace(out))
	}
	return nil
}

// run counts as not ending what takes three times the time of the unchanged tests, in the processor's time, so that a busy machine kills nobody. A
// mutant that waits for ever uses none: there the wall's clock helps, late.
func (j *judge) run(ctx context.Context, p string, s suite, some part, m *mutant) verdict {
	began := clock.Real{}.Now()
	cmd := j.command(ctx, p, s.bin, slices.Concat(s.flags, some.choose), 3*some.cpu+time.Second)
	cmd.Env = append(cmd.Env, variable+"="+strconv.Itoa(m.number))
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return survived
	case errors.As(err, &exit) && !exit.Exited(), clock.Real{}.Now().Sub(began) >= waits:
		return tooLong
	}
	return byOwn
}

// command runs a test program where go test would, within bounds of time and memory: a loop that fills a slice must not take the machine along.
func (j *judge) command(ctx context.Context, p, bin string, flags []string, cpu time.Duration) *exec.Cmd {
	bounds := fmt.Sprintf(`ulimit -v %d -t %d; exec "$0" "$@"`, 8<<20, int(cpu.Seconds())+1)
	cmd := exec.CommandContext(ctx, "bash", slices.Concat([]string{"-c", bounds, bin}, flags)...) // #nosec G204 -- our own tests
	cmd.Dir = filepath.Join(j.root, "internal", p)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400") // a lane is a core
	return cmd
}
