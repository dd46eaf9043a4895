package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/vault"
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
	db, err := store.Open(ctx, store.Config{DSN: dsn, Connections: cfg.Database.Connections, Log: slog.Default()}, clock.Real{}, clock.NewSource(clock.Real{}, 0))
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

// openDatabase opens the database, brings its schema up to date, and gives it its vault.
func openDatabase(ctx context.Context, cfg *config.Config, clk clock.Clock, source *clock.Source) (*store.DB, *vault.Vault, error) {
	return openStore(ctx, cfg, store.Config{Log: slog.Default()}, clk, source)
}

// openStore is openDatabase with somebody else, or nobody, to be told of statements.
func openStore(ctx context.Context, cfg *config.Config, told store.Config, clk clock.Clock, source *clock.Source) (_ *store.DB, _ *vault.Vault, err error) {
	if told.DSN, err = dsnOf(cfg); err != nil {
		return nil, nil, err
	}
	told.Connections = cfg.Database.Connections
	db, err := store.Open(ctx, told, clk, source)
	if err != nil {
		return nil, nil, fmt.Errorf("database: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if _, err := db.Migrate(ctx); err != nil {
		return nil, nil, fmt.Errorf("migrate: %w", err)
	}
	keys, err := vault.FileKeys(gm.PEM, cfg.Vault.MasterKeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("vault.master_key_file: %w", err)
	}
	v, err := vault.Open(ctx, keys, db, clk)
	if err != nil {
		return nil, nil, fmt.Errorf("vault: %w", err)
	}
	return db.WithVault(v), v, nil
}

// dsnOf is the database's address, from the file or from the file that it names.
func dsnOf(cfg *config.Config) (string, error) {
	if cfg.Database.DSNFile == "" {
		return cfg.Database.DSN, nil
	}
	secret, err := config.Secret("database.dsn_file", cfg.Database.DSNFile)
	return secret.Reveal(), err
}
