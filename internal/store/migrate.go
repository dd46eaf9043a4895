package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/tuoka/tuoka/migrations"
)

// Migrate brings the schema up to this program's version and tells how many steps that took. Each step is a transaction of its own.
func (db *DB) Migrate(ctx context.Context) (int, error) {
	p, err := db.steps()
	if err != nil {
		return 0, err
	}
	done, err := p.Up(ctx)
	if err != nil {
		return len(done), fmt.Errorf("migrate up: %w", err)
	}
	return len(done), nil
}

// MigrateDown undoes the newest step and tells its number; 0 when there was none.
func (db *DB) MigrateDown(ctx context.Context) (int64, error) {
	p, err := db.steps()
	if err != nil {
		return 0, err
	}
	done, err := p.Down(ctx)
	if errors.Is(err, goose.ErrNoNextVersion) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("migrate down: %w", err)
	}
	return done.Source.Version, nil
}

// SchemaVersion tells the newest step that was applied, and the newest that this program knows.
func (db *DB) SchemaVersion(ctx context.Context) (applied, known int64, err error) {
	p, err := db.steps()
	if err != nil {
		return 0, 0, err
	}
	if applied, known, err = p.GetVersions(ctx); err != nil {
		return 0, 0, fmt.Errorf("schema version: %w", err)
	}
	return applied, known, nil
}

func (db *DB) steps() (*goose.Provider, error) {
	pool, err := db.writer.DB()
	if err != nil {
		return nil, err
	}
	folder, err := migrations.SQLite()
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, pool, folder, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}
