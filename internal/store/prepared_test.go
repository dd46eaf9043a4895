package store

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// TestPrepared: a statement is kept and used again; read within its own rows it does no harm; many make room for others; a changed schema is seen.
func TestPrepared(t *testing.T) {
	connector, err := preparedDSN(fileDSN(filepath.Join(t.TempDir(), "p.db"), time.Second, false))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	kept := func() (n int) {
		if err := conn.Raw(func(c any) error { n = len(c.(*preparedConn).kept); return nil }); err != nil { //nolint:forcetypeassert // ours
			t.Fatal(err)
		}
		return n
	}
	must := func(query string, args ...any) {
		if _, err := conn.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	must("CREATE TABLE t (a INTEGER)")
	before := kept()
	for i := range 10 {
		must("INSERT INTO t (a) VALUES (?)", i)
	}
	if kept() != before+1 {
		t.Errorf("%d statements are kept, of which %d are the insert's", kept(), kept()-before)
	}
	below := func(limit int, each func(a int)) {
		rows, err := conn.QueryContext(t.Context(), "SELECT a FROM t WHERE a < ? ORDER BY a", limit)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var a int
			if err := rows.Scan(&a); err != nil || a >= limit {
				t.Errorf("%d below %d, %v", a, limit, err)
			}
			each(a)
		}
		if err := rows.Err(); err != nil {
			t.Error(err)
		}
	}
	pairs := 0
	below(4, func(a int) { below(a, func(int) { pairs++ }) })
	if pairs != 6 {
		t.Errorf("%d pairs, want 6", pairs)
	}
	for i := range mostPrepared + 10 {
		must(fmt.Sprintf("UPDATE t SET a = a + %d WHERE a < 0", i))
	}
	if n := kept(); n > mostPrepared {
		t.Errorf("%d statements are kept", n)
	}
	must("INSERT INTO t (a) VALUES (?)", 10)
	must("ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 7")
	must("INSERT INTO t (a) VALUES (?)", 11)
	var sum int
	if err := conn.QueryRowContext(t.Context(), "SELECT SUM(b) FROM t").Scan(&sum); err != nil || sum != 12*7 {
		t.Errorf("sum %d, want %d; %v", sum, 12*7, err)
	}
	if _, err := conn.ExecContext(t.Context(), "SELECT nonsense FROM nowhere"); err == nil {
		t.Error("nonsense is prepared")
	}
}
