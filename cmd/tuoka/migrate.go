package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/store"
)

func migrate(ctx context.Context, out io.Writer, path string, down bool) (err error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return err
	}
	cfg, err := config.Parse(text)
	if err != nil {
		return err
	}
	dsn, err := dsnOf(cfg)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{DSN: dsn}, clock.Real{}, clock.NewSource(clock.Real{}, cfg.Node))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if down {
		version, err := db.MigrateDown(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "migration %d taken back\n", version)
		return err
	}
	applied, err := db.Migrate(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d migrations applied\n", applied)
	return err
}

// dsnOf is the database's address, from the file or from the file that it names.
func dsnOf(cfg *config.Config) (string, error) {
	if cfg.Database.DSNFile == "" {
		return cfg.Database.DSN, nil
	}
	secret, err := config.Secret("database.dsn_file", cfg.Database.DSNFile)
	return secret.Reveal(), err
}
