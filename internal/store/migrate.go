package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/tuoka/tuoka/internal/clock"
)

// Migrate brings the schema up to this program's version and tells how many steps that took. Each step is a transaction of its own, where the
// engine has that for schemas. Of several processes that start at once one migrates, and the others wait for it.
func (db *DB) Migrate(ctx context.Context) (_ int, err error) {
	p, end, err := db.patientSteps()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, end()) }()
	var done []*goose.MigrationResult
	err = db.alone(ctx, func() error {
		var err error
		done, err = p.Up(ctx)
		return err
	})
	if err != nil {
		return len(done), fmt.Errorf("migrate up: %w", err)
	}
	return len(done), nil
}

// MigrateDown undoes the newest step and tells its number; 0 when there was none.
func (db *DB) MigrateDown(ctx context.Context) (_ int64, err error) {
	p, end, err := db.patientSteps()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, end()) }()
	var undone int64
	err = db.alone(ctx, func() error {
		done, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		if err == nil {
			undone = done.Source.Version
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("migrate down: %w", err)
	}
	return undone, nil
}

// migrating is how long a process that migrates may be silent before another takes it for dead.
const migrating = 10 * time.Minute

// alone runs work while no other process migrates this database: a row that only one can insert, since no lock of an engine's own is known to all of
// them. A SQLite file has one process anyway.
func (db *DB) alone(ctx context.Context, work func() error) (err error) {
	if db.engine == sqliteEngine {
		return work()
	}
	real := clock.Real{}
	me := db.ids.Nonce(24)
	g := db.writer.WithContext(ctx)
	for {
		// Two that create it at once may both be told that it exists.
		made := g.Exec("CREATE TABLE IF NOT EXISTS goose_lock (id BIGINT PRIMARY KEY, owner VARCHAR(64) NOT NULL, until_us BIGINT NOT NULL)").Error
		now := real.Now()
		took := g.Exec("INSERT INTO goose_lock (id, owner, until_us) VALUES (1, ?, ?)", me, micros(now.Add(migrating))).Error
		if took == nil {
			break
		}
		if !duplicate(took) {
			return errors.Join(made, took)
		}
		if err := g.Exec("DELETE FROM goose_lock WHERE id = 1 AND until_us < ?", micros(now)).Error; err != nil {
			return err
		}
		if err := real.Sleep(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("another process migrates: %w", err)
		}
	}
	kept, done := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { // an index on a large table takes its time
		for real.Sleep(kept, migrating/10) == nil {
			g.Exec("UPDATE goose_lock SET until_us = ? WHERE id = 1 AND owner = ?", micros(real.Now().Add(migrating)), me)
		}
	})
	defer func() {
		done()
		keeping.Wait()
		err = errors.Join(err, db.writer.WithContext(context.WithoutCancel(ctx)).Exec("DELETE FROM goose_lock WHERE id = 1 AND owner = ?", me).Error)
	}()
	return work()
}

// SchemaVersion tells the newest step that was applied, and the newest that this program knows.
func (db *DB) SchemaVersion(ctx context.Context) (applied, known int64, err error) {
	pool, err := db.writer.DB()
	if err != nil {
		return 0, 0, err
	}
	p, err := db.steps(pool)
	if err != nil {
		return 0, 0, err
	}
	if applied, known, err = p.GetVersions(ctx); err != nil {
		return 0, 0, fmt.Errorf("schema version: %w", err)
	}
	return applied, known, nil
}

// patientSteps are the steps for a run of them: on a server, on connections of their own that wait for a statement as long as it takes. End closes
// those.
func (db *DB) patientSteps() (p *goose.Provider, end func() error, err error) {
	pool, err := db.writer.DB()
	end = func() error { return nil }
	if err == nil && db.engine != sqliteEngine {
		pool, err = db.target.pool(0)
		end = pool.Close
	}
	if err != nil {
		return nil, nil, err
	}
	if p, err = db.steps(pool); err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return p, end, nil
}

func (db *DB) steps(pool *sql.DB) (*goose.Provider, error) {
	dialect, folder, err := db.engine.steps()
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(dialect, pool, folder, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}
