package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/vault"
)

// theatre is what the seeds of one thread share: keys, the database, which every seed finds empty, and what is written down.
type theatre struct {
	stage  stage
	config *config.Config
	route  string
	plant  string
	log    io.Writer // what happens, step by step; nil: nobody reads
	now    *turning
	source *clock.Source // of the database
	db     *store.DB
	vault  *vault.Vault
	broom  *sql.DB
	engine string    // of the broom
	tables []string  // what empties each
	due    *sql.Stmt // when the next job is
	unread *sql.Stmt // how many notices are
}

// turning is the clock of the seed that plays.
type turning struct{ clock.Clock }

// opening is when every seed begins: a morning on which the year's limits are half used.
var opening = time.Date(2026, 6, 15, 9, 0, 0, 0, clock.Shanghai)

// What a seed may take, in virtual time. Calm is when the faults end; after it, nothing that is due may be left undone for long.
const (
	seedLife    = 24 * time.Hour
	calm        = 40 * time.Minute
	backlogLife = 5 * time.Minute
)

// newTheatre makes the keys, those of RSA with so many bits, in a folder of its own, and opens the database: with an empty DSN in that folder, too.
func newTheatre(ctx context.Context, dir, dsn, route string, keyBits int) (*theatre, error) {
	t := &theatre{stage: stage{dir: dir, dsn: dsn, base: 1000, memory: true, keyBits: keyBits}, route: route, now: &turning{clock.NewFake(opening)}}
	t.source = clock.NewSeeded(t.now, clock.Nodes-2, 0)
	var err error
	if t.config, err = t.stage.sandboxConfig(""); err != nil {
		return nil, err
	}
	t.config.TimeScale = 1
	t.config.Stage = nil // nobody but those of the seed
	if route != "all" && !slices.ContainsFunc(t.config.Institutions, func(in config.Institution) bool { return in.Route == route }) {
		return nil, fmt.Errorf("--route %s: no hospital of the sandbox is on it", route)
	}
	if err := t.stage.claim(hospitalsOf(t.config)); err != nil {
		return nil, err
	}
	if t.db, t.vault, err = openDatabase(ctx, t.config, t.now, t.source); err != nil {
		return nil, errors.Join(err, t.stage.release())
	}
	if t.broom, t.engine, err = store.Pool(t.config.Database.DSN); err != nil {
		return nil, errors.Join(err, t.db.Close(), t.stage.release())
	}
	if t.due, err = t.broom.PrepareContext(ctx, "SELECT MIN(due_us) FROM job"); err == nil {
		t.unread, err = t.broom.PrepareContext(ctx, "SELECT COUNT(*) FROM inbox WHERE handled_us = 0")
	}
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func (t *theatre) close() error { return errors.Join(t.broom.Close(), t.db.Close(), t.stage.release()) }

// kept are the tables that a seed finds as they were: the schema's version and the keys.
var kept = []string{"goose_db_version", "goose_lock", "sqlite_sequence", "data_key"}

// brooms is how each engine lists its tables, and what is said before and after so many of them are emptied at once.
var brooms = map[string]struct{ list, begin, end string }{
	"sqlite":   {"SELECT name FROM sqlite_master WHERE type = 'table'", "BEGIN", "COMMIT"},
	"postgres": {"SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'", "BEGIN; SET LOCAL session_replication_role = replica", "COMMIT"},
	"mysql":    {"SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()", "SET foreign_key_checks = 0", "SET foreign_key_checks = 1"},
}

// sweep empties the database.
func (t *theatre) sweep(ctx context.Context) error {
	if t.tables == nil {
		if err := t.listTables(ctx); err != nil {
			return err
		}
	}
	t.db.Forget()
	how := brooms[t.engine]
	one, err := t.broom.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = one.Close() }()
	for _, statement := range slices.Concat(strings.Split(how.begin, "; "), t.tables, []string{how.end}) {
		if _, err := one.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (t *theatre) listTables(ctx context.Context) error {
	rows, err := t.broom.QueryContext(ctx, brooms[t.engine].list)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if !slices.Contains(kept, name) {
			t.tables = append(t.tables, "DELETE FROM "+name)
		}
	}
	return rows.Err()
}
