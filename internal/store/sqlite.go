package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"
	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/tuoka/tuoka/internal/clock"
)

// memory is the DSN of a database without a file.
const memory = ":memory:"

// parseFile gives the path of a SQLite file, or memory. How SQLite is to behave is not for the DSN to say: a file with parameters is refused.
func parseFile(dsn string) (string, error) {
	path := strings.TrimPrefix(strings.TrimPrefix(dsn, "file:"), "//")
	switch {
	case path == memory:
		return memory, nil
	case strings.TrimSpace(path) == "":
		return "", ErrEngine.Because(errors.New("store: the DSN names no file"))
	case strings.ContainsAny(path, "?#%"):
		return "", ErrEngine.Because(errors.New("store: a SQLite file takes no parameters, and no ?, # or % in its name"))
	}
	return path, nil
}

// fileDSN is the driver's DSN: WAL, every commit synced (a power cut loses nothing that was acknowledged), foreign keys on. Writers begin
// immediately, so that none finds out half-way that it may not write; readers may not write at all.
func fileDSN(path string, busy time.Duration, readOnly bool) string {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout("+strconv.FormatInt(busy.Milliseconds(), 10)+")")
	q.Add("_pragma", "foreign_keys(1)")
	if path != memory {
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(FULL)")
	}
	if readOnly {
		q.Set("_query_only", "1")
	} else {
		q.Set("_txlock", "immediate")
	}
	return "file:" + path + "?" + q.Encode()
}

// connectFile opens one connection that writes and several that read. In memory there is only the one: a second would see a second database.
func (db *DB) connectFile(ctx context.Context, cfg Config, path string, log quiet) error {
	busy, readers := cfg.Busy, cfg.Readers
	if busy <= 0 {
		busy = 10 * time.Second
	}
	if readers <= 0 {
		readers = 4
	}
	if path != memory {
		// Created by us, so that nobody else may read it; SQLite gives its side files the same mode.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is the operator's
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	var err error
	if db.writer, err = openPool(ctx, fileDSN(path, busy, false), 1, log); err != nil {
		return err
	}
	if path == memory {
		db.reader = db.writer
		return nil
	}
	db.reader, err = openPool(ctx, fileDSN(path, busy, true), readers, log)
	return err
}

// openPool opens connections and checks that one answers. gorm prepares nothing itself: the connections do, see preparing.
func openPool(ctx context.Context, dsn string, size int, log logger.Interface) (*gorm.DB, error) {
	connector, err := preparedDSN(dsn)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	g, err := gorm.Open(sqliteDialect{pool}, &gorm.Config{
		SkipDefaultTransaction: true, DisableNestedTransaction: true, DisableAutomaticPing: true, QueryFields: true,
		TranslateError: true, Logger: log,
	})
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return g, nil
}

// sqliteDialect is gorm on modernc.org/sqlite (dependencies.md §5): pure Go, errors translated, deadlines obeyed by running statements.
type sqliteDialect struct{ pool *sql.DB }

// Name is the dialect's name.
func (d sqliteDialect) Name() string { return "sqlite" }

// Initialize registers the callbacks, without RETURNING, and the two clauses in which SQLite differs.
func (d sqliteDialect) Initialize(g *gorm.DB) error {
	g.ConnPool = d.pool
	callbacks.RegisterDefaultCallbacks(g, &callbacks.Config{LastInsertIDReversed: true})
	g.ClauseBuilders["FOR"] = func(clause.Clause, clause.Builder) {} // no row locks: writers are serialised by BEGIN IMMEDIATE
	g.ClauseBuilders["LIMIT"] = func(c clause.Clause, b clause.Builder) {
		l, ok := c.Expression.(clause.Limit)
		if !ok || (l.Limit == nil && l.Offset <= 0) {
			return
		}
		n := -1
		if l.Limit != nil {
			n = *l.Limit
		}
		_, _ = b.WriteString("LIMIT ")
		b.AddVar(b, n)
		if l.Offset > 0 {
			_, _ = b.WriteString(" OFFSET ")
			b.AddVar(b, l.Offset)
		}
	}
	return nil
}

// Migrator is gorm's generic one, unused: goose owns the schema.
func (d sqliteDialect) Migrator(g *gorm.DB) gorm.Migrator {
	return migrator.Migrator{Config: migrator.Config{DB: g, Dialector: d}}
}

// DataTypeOf is empty: goose owns the schema.
func (d sqliteDialect) DataTypeOf(*schema.Field) string { return "" }

// DefaultValueOf is NULL; no column of ours has a default.
func (d sqliteDialect) DefaultValueOf(*schema.Field) clause.Expression {
	return clause.Expr{SQL: "NULL"}
}

// BindVarTo writes a placeholder.
func (d sqliteDialect) BindVarTo(w clause.Writer, _ *gorm.Statement, _ any) { _ = w.WriteByte('?') }

// QuoteTo writes a name in backticks, part by part.
func (d sqliteDialect) QuoteTo(w clause.Writer, name string) {
	for i, part := range strings.Split(name, ".") {
		if i > 0 {
			_ = w.WriteByte('.')
		}
		_, _ = w.WriteString("`" + strings.ReplaceAll(part, "`", "``") + "`")
	}
}

// Explain gives a statement without its values: they are patient data.
func (d sqliteDialect) Explain(statement string, _ ...any) string { return statement }

// Translate names the errors that the program acts on.
func (d sqliteDialect) Translate(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() {
	case codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w: %w", gorm.ErrDuplicatedKey, err)
	case codes.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", gorm.ErrForeignKeyViolated, err)
	case codes.SQLITE_CONSTRAINT_CHECK:
		return fmt.Errorf("%w: %w", gorm.ErrCheckConstraintViolated, err)
	case codes.SQLITE_CONSTRAINT_NOTNULL:
		return fmt.Errorf("%w: %w", errNull, err)
	}
	if primary := e.Code() & 0xff; primary == codes.SQLITE_BUSY || primary == codes.SQLITE_LOCKED {
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	return err
}

// quiet is gorm's logger: it counts the statements and tells of slow ones, without values, and of nothing else. Errors are logged where they
// stop.
type quiet struct {
	log    *slog.Logger
	slow   time.Duration
	clock  clock.Clock
	counts *counts
}

// LogMode changes nothing.
func (q quiet) LogMode(logger.LogLevel) logger.Interface { return q }

// Info says nothing.
func (q quiet) Info(context.Context, string, ...any) {}

// Warn says nothing.
func (q quiet) Warn(context.Context, string, ...any) {}

// Error says nothing.
func (q quiet) Error(context.Context, string, ...any) {}

// ParamsFilter drops the values.
func (q quiet) ParamsFilter(_ context.Context, statement string, _ ...any) (string, []any) {
	return statement, nil
}

// Trace counts a statement, and logs a slow one.
func (q quiet) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), _ error) {
	q.counts.statements.Add(1)
	if q.log == nil {
		return
	}
	if cost := q.clock.Now().Sub(begin); cost >= q.slow {
		text, rows := statement()
		q.log.WarnContext(ctx, "slow statement", "sql", clip(text, 1000), "rows", rows, "cost_ms", cost.Milliseconds())
	}
}
