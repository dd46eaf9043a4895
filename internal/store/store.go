// Package store keeps every row and speaks all SQL. It implements the Store interfaces of the domain packages, the job queue, the inbox,
// the idempotency records, the staff, the audit log and the vault's data keys (design.md §4, §5, §10).
//
// What it promises: a move is a conditional update that must change exactly one row; what belongs together is one transaction; a
// column that holds patient data is sealed for its row; a row that money depends on carries a MAC, written with every change and
// checked with every reading. Rows are unexported and mapped by hand; gorm gives queries and transactions, nothing else.
//
// Times are BIGINT microseconds since 1970 in UTC, 0 for none. Every engine stores and compares such a number alike, whereas their time
// types differ in precision, in zone and in what the driver makes of them; a fencing deadline must not depend on that.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/vault"
)

// Config says where the database is. All but DSN may be left zero.
type Config struct {
	// DSN is postgres://user:<password>@host:5432/database, mysql://user:<password>@host:3306/database, a path, "file:" and a path, or ":memory:" for a
	// database that ends with the process.
	DSN string
	// Connections is how many connections to a server are kept; 16 when zero.
	Connections int
	// Silent is how long a server may say nothing to a statement before its connection is given up; 15 s when zero. Migrations may take longer.
	Silent time.Duration
	// Busy is how long a writer waits for the file; 10 s when zero.
	Busy time.Duration
	// Readers is how many connections read beside the one that writes; 4 when zero.
	Readers int
	// Log is told of statements slower than Slow (200 ms when zero), never of their values. Nil tells nobody.
	Log  *slog.Logger
	Slow time.Duration
	// Sent is told every statement with its values: sealed where they are patient data, but numbers and ids of orders all the same. It is for tests.
	// Nil tells nobody.
	Sent func(statement string, values ...any)
}

// DB is an open database. It may be used by several goroutines at once. Without a vault it can migrate and keep data keys; everything
// else answers ErrNoVault.
type DB struct {
	target  target
	engine  engine
	writer  *gorm.DB // SQLite: one connection, since it has one writer
	reader  *gorm.DB // the same handle as writer, but for a SQLite file
	clock   clock.Clock
	ids     *clock.Source
	vault   *vault.Vault
	lock    *os.File
	schemas *sync.Map // how row structs are laid out, by type
	naming  schema.Namer
	counts  *counts
	recent  *recent
}

// Counts is what was asked of a database since it was opened, all handles of WithVault together. BEGIN and COMMIT are no statements; a commit is
// the end of a transaction that wrote.
type Counts struct{ Statements, Commits int64 }

type counts struct{ statements, commits atomic.Int64 }

// Counts tells what was asked of the database.
func (db *DB) Counts() Counts {
	return Counts{Statements: db.counts.statements.Load(), Commits: db.counts.commits.Load()}
}

// Open opens the database and, for a file, takes the lock that keeps a second process out (ErrInUse). It does not migrate.
func Open(ctx context.Context, cfg Config, clk clock.Clock, ids *clock.Source) (*DB, error) {
	t, err := parseDSN(cfg.DSN)
	if err != nil {
		return nil, err
	}
	db := &DB{target: t, engine: t.engine, clock: clk, ids: ids, schemas: &sync.Map{}, naming: schema.NamingStrategy{}, counts: &counts{}, recent: &recent{}}
	if t.engine == sqliteEngine && t.path != memory {
		if db.lock, err = LockFile(t.path); err != nil {
			return nil, fmt.Errorf("open %s: %w", t, err)
		}
	}
	if err := db.connect(ctx, cfg, t); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", t, err), db.Close())
	}
	return db, nil
}

func (db *DB) connect(ctx context.Context, cfg Config, t target) (err error) {
	log := quiet{log: cfg.Log, slow: cfg.Slow, clock: db.clock, counts: db.counts}
	if log.slow <= 0 {
		log.slow = 200 * time.Millisecond
	}
	if t.engine == sqliteEngine {
		err = db.connectFile(ctx, cfg, t.path, log)
	} else {
		db.writer, err = db.serverPool(ctx, cfg, t, log)
		db.reader = db.writer
	}
	if err != nil || cfg.Sent == nil {
		return err
	}
	if db.reader != db.writer {
		err = tell(db.reader, cfg.Sent)
	}
	return errors.Join(err, tell(db.writer, cfg.Sent))
}

// WithVault is the same database with a vault, which was opened on it. Each handle remembers orders for itself.
func (db *DB) WithVault(v *vault.Vault) *DB {
	with := *db
	with.vault, with.recent = v, &recent{}
	return &with
}

// Close closes all connections and gives the lock back, for every handle of WithVault. Closing again does nothing.
func (db *DB) Close() error {
	var errs []error
	if db.reader != nil && db.reader != db.writer {
		errs = append(errs, closePool(db.reader))
	}
	if db.writer != nil {
		errs = append(errs, closePool(db.writer))
	}
	if db.lock != nil {
		if err := db.lock.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func closePool(g *gorm.DB) error {
	pool, err := g.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}

// Ping asks the database whether it answers, for the readiness page.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return translated(db.reader.WithContext(ctx).Raw("SELECT 1").Scan(&one).Error)
}

// mostTries bounds how often a transaction is begun that the engine gives up in favour of another.
const mostTries = 8

// write runs work in one transaction, and once more where the engine gave it up in favour of another: work must bear that. An error of work leaves
// nothing behind. ErrCommit when the commit itself had no clear answer.
func (db *DB) write(ctx context.Context, work func(tx *gorm.DB) error) error {
	if db.vault == nil {
		return ErrNoVault
	}
	for try := 1; ; try++ {
		err := db.tryWrite(ctx, work)
		if !errors.Is(err, errConflict) || try == mostTries {
			return translated(err)
		}
		if err := (clock.Real{}).Sleep(ctx, db.ids.Spread(time.Duration(try*try)*5*time.Millisecond)); err != nil {
			return err
		}
	}
}

func (db *DB) tryWrite(ctx context.Context, work func(tx *gorm.DB) error) error {
	committing := false
	err := db.writer.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := work(tx); err != nil {
			return err
		}
		committing = true
		db.counts.commits.Add(1)
		return nil
	})
	if err != nil && committing && !errors.Is(err, errConflict) {
		return ErrCommit.Because(err)
	}
	return err
}

// snapshot runs reads in one transaction, so that rows of one order are of one moment.
func (db *DB) snapshot(ctx context.Context, read func(tx *gorm.DB) error) error {
	if db.vault == nil {
		return ErrNoVault
	}
	how := &sql.TxOptions{}
	if db.engine != sqliteEngine { // whose readers see one moment anyway
		how = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	return translated(db.reader.WithContext(ctx).Transaction(read, how))
}

// read is a single statement outside a transaction.
func (db *DB) read(ctx context.Context) *gorm.DB { return db.reader.WithContext(ctx) }

// opened runs a reading that verifies rows and opens sealed values. Where it meets a data key that another process has made since, the
// vault is refreshed and the reading run once more. It is called outside transactions.
func (db *DB) opened(ctx context.Context, reading func() error) error {
	if db.vault == nil {
		return ErrNoVault
	}
	err := reading()
	if errors.Is(err, vault.ErrNoKey) {
		if err := db.vault.Refresh(ctx); err != nil {
			return fmt.Errorf("refresh data keys: %w", err)
		}
		err = reading()
	}
	return err
}

// micros is a moment as the columns hold it: 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment reads such a column, in UTC.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// mark is the value of a column that is 1 while something lives, and NULL afterwards, so that a unique key counts the living only.
func mark(living bool) *int64 {
	if !living {
		return nil
	}
	one := int64(1)
	return &one
}

// orNull is the value of a column with an outside number: NULL while there is none, so that a unique key does not count it.
func orNull(number string) *string {
	if number == "" {
		return nil
	}
	return &number
}

func orEmpty(number *string) string {
	if number == nil {
		return ""
	}
	return *number
}
