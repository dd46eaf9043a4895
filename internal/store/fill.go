package store

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
)

// This file makes large tables, to measure on: finished orders of the database, copied many times with all that belongs to them. Each copy has ids,
// numbers and a time of its own, is sealed for its rows and signed, and cannot be told from an order that somebody has paid.

// ErrNoOriginal is a database without a finished order that could be copied.
var ErrNoOriginal = fault.New(fault.NotFound, "STORE_NO_ORIGINAL", "没有可复制的已完成订单")

// Fill says what a database is filled with.
type Fill struct {
	Orders int           // copies of finished orders; every tenth has a job that waits for years
	Jobs   int           // jobs of no order beside them: nine in ten finished, the others waiting
	Span   time.Duration // how far back they reach, evenly spread; ids begin in 2025, and so do they at the earliest
	Done   func(n int)   // told of so many more orders or jobs
}

const (
	fillOriginals = 128  // orders that are copied
	fillEach      = 10   // orders of a copied person
	fillWaiting   = 10   // one order or job of so many waits
	fillBatch     = 50   // orders, or persons, in a transaction
	fillJobs      = 2000 // jobs in a transaction
	fillWait      = 5 * 365 * 24 * time.Hour
	fillNotice    = time.Minute          // how long after the last move of an order a notice of it may have been handled
	fillStep      = 3 * time.Millisecond // at least between two orders: ids of one moment are one order's, those of the one before its person's
)

// filling is one run.
type filling struct {
	Fill
	db        *DB
	node      int // of the ids of orders; those of jobs are the next lower one's
	begin     time.Time
	end       time.Time
	originals []*original
	persons   [][]value // of person i, the values of the words of original i % len(originals)

	mu   sync.Mutex
	rows map[string]int64
}

// Fill fills the database, and tells how many rows of each table it wrote. Another run adds as much again; one that was broken off leaves whole orders.
// ErrNoOriginal.
func (db *DB) Fill(ctx context.Context, what Fill) (map[string]int64, error) {
	if db.vault == nil {
		return nil, ErrNoVault
	}
	end := db.clock.Now().Add(-time.Hour)
	f := &filling{Fill: what, db: db, begin: end.Add(-what.Span), end: end, rows: map[string]int64{}}
	if first := clock.Epoch().Add(time.Hour); f.begin.Before(first) {
		f.begin = first
	}
	for _, count := range []int{what.Orders, what.Jobs} {
		if count < 0 || (count > 0 && end.Sub(f.begin)/time.Duration(count) < fillStep) {
			return nil, fmt.Errorf("fill: %w", refuse("%d are too many for %v", count, end.Sub(f.begin)))
		}
	}
	if err := f.run(ctx); err != nil {
		return nil, fmt.Errorf("fill: %w", translated(err))
	}
	return maps.Clone(f.rows), nil
}

func (f *filling) run(ctx context.Context) error {
	if err := f.unusedNode(ctx); err != nil {
		return err
	}
	if f.Orders > 0 {
		if err := f.db.opened(ctx, func() error { return f.study(ctx) }); err != nil {
			return err
		}
		if len(f.originals) == 0 {
			return ErrNoOriginal
		}
		all := len(f.originals)
		f.persons = make([][]value, (max(f.Orders/fillEach, 1)+all-1)/all*all) // so that a person's orders are all of one original
		if err := f.inBatches(ctx, len(f.persons), fillBatch, f.copyPersons); err != nil {
			return fmt.Errorf("persons: %w", err)
		}
		if err := f.inBatches(ctx, f.Orders, fillBatch, f.copyOrders); err != nil {
			return fmt.Errorf("orders: %w", err)
		}
	}
	if err := f.inBatches(ctx, f.Jobs, fillJobs, f.makeJobs); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	return nil
}

// unusedNode finds a node number under which no earlier run has made ids. Processes lease theirs from the other end.
func (f *filling) unusedNode(ctx context.Context) error {
	for f.node = clock.Nodes - 3; f.node > clock.Nodes/2; f.node -= 2 {
		used := false
		for table, node := range map[string]int{"account": f.node, "job_history": f.node - 1} {
			mask, bits := clock.OfNode(node)
			var n int64
			if err := f.db.read(ctx).Raw("SELECT COUNT(*) FROM "+table+" WHERE (id & ?) = ?", mask, bits).Scan(&n).Error; err != nil {
				return err
			}
			used = used || n > 0
		}
		if !used {
			return nil
		}
	}
	return ErrNoNode
}

// study reads the newest finished orders. One that still has a job, for a refund, is not finished.
func (f *filling) study(ctx context.Context) error {
	f.originals = nil
	var ids []int64
	err := f.db.read(ctx).Raw("SELECT id FROM orders WHERE id < ? AND state IN ? ORDER BY id DESC LIMIT ?", int64(math.MaxInt64), finalStates(), fillOriginals).Scan(&ids).Error
	if err != nil {
		return err
	}
	for _, id := range ids {
		_, working, err := f.db.Jobs().Find(ctx, order.JobKind, order.ID(id).No())
		if err != nil {
			return err
		}
		if working {
			continue
		}
		o, err := f.db.original(ctx, id)
		if err != nil {
			return fmt.Errorf("order %d: %w", id, err)
		}
		f.originals = append(f.originals, o)
	}
	return nil
}

// inBatches does a work for all of so many, some at a time, on all processors. It ends at the first error.
func (f *filling) inBatches(ctx context.Context, count, size int, work func(ctx context.Context, from, to int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 2 * runtime.NumCPU() { // half of them wait for the database
		wg.Go(func() {
			for ctx.Err() == nil {
				to := int(next.Add(int64(size)))
				from := to - size
				if from >= count {
					return
				}
				if err := work(ctx, from, min(to, count)); err != nil {
					stop(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// moment is when the i-th of so many happened.
func (f *filling) moment(i, of int) time.Time {
	return f.begin.Add(time.Duration(i) * (f.end.Sub(f.begin) / time.Duration(of)))
}

// ids makes the ids of one moment.
func ids(node int, at time.Time) *clock.Source { return clock.NewSource(clock.NewFake(at), node) }

func (f *filling) copyPersons(ctx context.Context, from, to int) error {
	b := &batch{}
	for i := from; i < to; i++ {
		o := f.originals[i%len(f.originals)]
		at := f.moment(min(i, f.Orders-1), f.Orders)
		if i >= f.Orders { // more originals than orders
			at = f.end.Add(time.Duration(i) * fillStep)
		}
		c := &copying{db: f.db, shift: micros(at) - o.bornPerson}
		if err := c.name(o.words[:o.personal], ids(f.node, at.Add(-time.Millisecond))); err != nil {
			return err
		}
		f.persons[i] = c.values
		if err := c.person(ctx, o, b); err != nil {
			return err
		}
	}
	return f.write(ctx, b, 0)
}

func (f *filling) copyOrders(ctx context.Context, from, to int) error {
	b := &batch{}
	for i := from; i < to; i++ {
		person := i % len(f.persons)
		o := f.originals[person%len(f.originals)]
		at := f.moment(i, f.Orders)
		made := ids(f.node, at)
		c := &copying{db: f.db, shift: micros(at) - o.bornOrder, values: f.persons[person][:o.personal:o.personal]}
		if err := c.name(o.words[o.personal:], made); err != nil {
			return err
		}
		if err := c.order(ctx, o, b); err != nil {
			return err
		}
		if i%fillWaiting == 0 {
			r := b.orders[len(b.orders)-1]
			b.jobs = append(b.jobs, waitingJob(made.ID(), r.Institution, order.ID(r.ID).No(), at))
		}
	}
	return f.write(ctx, b, to-from)
}

// waitingJob is one that nobody will claim for years.
func waitingJob(id int64, institution, ref string, at time.Time) jobRow {
	due := micros(at.Add(fillWait))
	return jobRow{ID: id, Institution: institution, Kind: order.JobKind, Ref: ref, RunUS: due, DueUS: due, Version: 1, CreatedUS: micros(at)}
}

func (f *filling) makeJobs(ctx context.Context, from, to int) error {
	b := &batch{}
	for i := from; i < to; i++ {
		at := f.moment(i, f.Jobs)
		made := ids(f.node-1, at)
		id, ref := made.ID(), order.ID(made.ID()).No()
		if i%fillWaiting == 0 {
			b.jobs = append(b.jobs, waitingJob(id, "fill", ref, at))
			continue
		}
		b.finished = append(b.finished, finishedJobRow{ID: id, Institution: "fill", Kind: order.JobKind, Ref: ref, Version: 4, Owner: "fill",
			CreatedUS: micros(at), FinishedUS: micros(at.Add(time.Second))})
	}
	return f.write(ctx, b, to-from)
}

// write writes a batch in one transaction, and counts.
func (f *filling) write(ctx context.Context, b *batch, done int) error {
	var rows map[string]int64
	err := f.db.write(ctx, func(tx *gorm.DB) error {
		rows = map[string]int64{}
		return b.write(f.db, tx, rows)
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for table, n := range rows {
		f.rows[table] += n
	}
	if f.Done != nil && done > 0 {
		f.Done(done)
	}
	return nil
}

// Analyze lets a server count its rows anew for its plans, as it does by itself after a while. A SQLite file has no such statistics here.
func (db *DB) Analyze(ctx context.Context) error {
	statement := map[engine]string{postgresEngine: "VACUUM (ANALYZE)", mysqlEngine: "ANALYZE TABLE account, patient, consent, binding, pay_auth, session, orders, " +
		"order_bill, settlement, payment, mixed_order, refund, order_event, ledger_line, review_case, review_vote, job, job_history, inbox, inbox_nonce, idempotency, audit_record"}[db.engine]
	if statement == "" {
		return nil
	}
	if err := db.writer.WithContext(ctx).Exec(statement).Error; err != nil {
		return fmt.Errorf("analyze: %w", translated(err))
	}
	return nil
}
