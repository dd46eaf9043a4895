package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/store"
)

// This file is what a bench's figures are held against: the machine and the engine alone.

// cpuOf is the processor time of a process as Linux tells it; elsewhere it is not known.
func cpuOf(pid string) time.Duration {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat")) //nolint:gosec // of a process of ours
	_, rest, found := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if err != nil || !found || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // Linux counts hundredths for everybody
}

// cpuOfAll is that of all processes of a name.
func cpuOfAll(name string) (sum time.Duration) {
	folders, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is right
	for _, path := range folders {
		if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == name { //nolint:gosec // of /proc
			sum += cpuOf(filepath.Base(filepath.Dir(path)))
		}
	}
	return sum
}

// bareTime is how long the engine commits for the bound.
const bareTime = 5 * time.Second

// bound measures the disk and the engine alone, and says what they would allow.
func (b *bencher) bound(ctx context.Context, r *benched) error {
	sync, err := syncTime(b.data)
	if err != nil {
		return err
	}
	r.Sync = milli(sync)
	dsn := b.dsn
	if dsn == "" {
		dsn = filepath.Join(b.data, "tuoka.db")
	}
	pool, engine, err := store.Pool(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close() }()
	writers := 16
	if engine == "sqlite" {
		writers = 1
	}
	pool.SetMaxOpenConns(writers)
	pool.SetMaxIdleConns(writers)
	bare, err := bareCommits(ctx, pool, writers)
	if err != nil {
		return err
	}
	r.BareRate = tenth(bare * 1000)
	commits, cpu := thousandths(r.Commits), thousandths(r.CPU)+thousandths(r.CPULoad)
	byCommits, byCPU := quotient(bare, 1_000_000, commits), quotient(int64(r.Cores), 1_000_000_000, cpu)
	bound := byCommits
	r.BoundBy = "commits"
	if byCPU < byCommits {
		bound, r.BoundBy = byCPU, "cpu"
	}
	r.Bound = tenth(bound)
	r.OfBound = tenth(quotient(thousandths(r.PerSecond), 100_000, bound))
	return nil
}

// quotient is a × b / c, 0 for c = 0, in the range of these figures.
func quotient(a, b, c int64) int64 {
	if a <= 0 || c <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(a), uint64(b)) //nolint:gosec // positive
	q, _ := bits.Div64(high, low, uint64(c))
	return int64(q) //nolint:gosec // far below
}

// thousandths reads what tenth prints.
func thousandths(n json.Number) int64 {
	whole, part, _ := strings.Cut(string(n), ".")
	w, _ := strconv.ParseInt(whole, 10, 64)
	p, _ := strconv.ParseInt((part + "000")[:3], 10, 64)
	return w*1000 + p
}

// syncTime is the median of what it takes to have 4 KiB on the disk.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // a temporary file
	page := make([]byte, 4096)
	times := make([]time.Duration, 200)
	for i := range times {
		begun := clock.Real{}.Now()
		if _, err := f.WriteAt(page, int64(i)*4096); err != nil {
			return 0, errors.Join(err, f.Close())
		}
		if err := f.Sync(); err != nil {
			return 0, errors.Join(err, f.Close())
		}
		times[i] = clock.Real{}.Now().Sub(begun)
	}
	slices.Sort(times)
	return times[len(times)/2], f.Close()
}

// bareCommits is how many transactions of one small change the engine commits in a second.
func bareCommits(ctx context.Context, pool *sql.DB, writers int) (int64, error) {
	for _, statement := range []string{"DROP TABLE IF EXISTS bench", "CREATE TABLE bench (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)"} {
		if _, err := pool.ExecContext(ctx, statement); err != nil { // an earlier run on the database has left one
			return 0, err
		}
	}
	for i := range writers {
		if _, err := pool.ExecContext(ctx, fmt.Sprintf("INSERT INTO bench (id, n) VALUES (%d, 0)", i)); err != nil {
			return 0, err
		}
	}
	var count atomic.Int64
	var failed atomic.Pointer[error]
	end := clock.Real{}.Now().Add(bareTime)
	forEach(writers, writers, func(i int) {
		change := fmt.Sprintf("UPDATE bench SET n = n + 1 WHERE id = %d", i)
		for (clock.Real{}).Now().Before(end) {
			tx, err := pool.BeginTx(ctx, nil)
			if err == nil {
				_, err = tx.ExecContext(ctx, change)
				err = errors.Join(err, tx.Commit())
			}
			if err != nil {
				failed.Store(&err)
				return
			}
			count.Add(1)
		}
	})
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return count.Load() / int64(bareTime.Seconds()), nil
}
