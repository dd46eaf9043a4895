package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/internal/store"
)

// broom empties a database between two plays, beside those who use it.
type broom struct {
	*sql.DB
	engine string
	tables []string // what empties each
}

func newBroom(dsn string) (*broom, error) {
	pool, engine, err := store.Pool(dsn)
	if err != nil {
		return nil, err
	}
	return &broom{DB: pool, engine: engine}, nil
}

// kept are the tables that the next play finds as they were: the schema's version and the keys.
var kept = []string{"goose_db_version", "goose_lock", "sqlite_sequence", "data_key"}

// brooms is how each engine lists its tables, and what is said before and after so many of them are emptied at once.
var brooms = map[string]struct{ list, begin, end string }{
	"sqlite":   {"SELECT name FROM sqlite_master WHERE type = 'table'", "BEGIN", "COMMIT"},
	"postgres": {"SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'", "BEGIN; SET LOCAL session_replication_role = replica", "COMMIT"},
	"mysql":    {"SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()", "SET foreign_key_checks = 0", "SET foreign_key_checks = 1"},
}

// sweep empties the database.
func (b *broom) sweep(ctx context.Context) error {
	if b.tables == nil {
		if err := b.listTables(ctx); err != nil {
			return err
		}
	}
	how := brooms[b.engine]
	one, err := b.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = one.Close() }()
	for _, statement := range slices.Concat(strings.Split(how.begin, "; "), b.tables, []string{how.end}) {
		if _, err := one.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (b *broom) listTables(ctx context.Context) error {
	rows, err := b.QueryContext(ctx, brooms[b.engine].list)
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
			b.tables = append(b.tables, "DELETE FROM "+name)
		}
	}
	return rows.Err()
}
