package store

import (
	"context"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tuoka/tuoka/migrations"
)

// apart is what TiDB or OceanBase lack, or understand otherwise than the engines tested here (design.md §4.5), and what only one engine has.
var apart = regexp.MustCompile(`(?i)\b(SKIP\s+LOCKED|FOR\s+(NO\s+KEY\s+)?UPDATE|FOR\s+SHARE|LOCK\s+IN\s+SHARE\s+MODE|GET_LOCK|RELEASE_LOCK|pg_(try_)?advisory\w*|RETURNING|` +
	`ON\s+CONFLICT|ON\s+DUPLICATE\s+KEY|INSERT\s+(OR\s+)?IGNORE|INSERT\s+OR\s+REPLACE|REPLACE\s+INTO|LOCK\s+TABLES?|SAVEPOINT|LAST_INSERT_ID|nextval|` +
	`AUTO_INCREMENT|AUTOINCREMENT|SERIAL|TRIGGER|PROCEDURE|GENERATED|FULLTEXT|TEMPORARY|PARTITION)\b|::`)

// portable is told of every statement that the suite sends.
func portable(t testing.TB) func(string) {
	return func(statement string) {
		if word := apart.FindString(statement); word != "" {
			t.Errorf("%q is not known to every engine: %s", word, statement)
		}
	}
}

// TestSchemaIsPortable: what the migrations say, too.
func TestSchemaIsPortable(t *testing.T) {
	t.Parallel()
	if apart.FindString("SELECT 1 FROM job FOR UPDATE SKIP LOCKED") == "" || apart.FindString("UPDATE job SET note = 'updated' WHERE id = ?") != "" {
		t.Fatal("the words are not looked for")
	}
	for _, dialect := range []string{"sqlite", "postgres", "mysql"} {
		folder, err := migrations.Of(dialect)
		check(t, err)
		files, err := fs.Glob(folder, "*.sql")
		check(t, err)
		if len(files) < 18 {
			t.Fatalf("%s: %d migrations", dialect, len(files))
		}
		for _, name := range files {
			text, err := fs.ReadFile(folder, name)
			check(t, err)
			code := regexp.MustCompile(`--[^\n]*`).ReplaceAllString(string(text), "")
			if word := apart.FindString(code); word != "" {
				t.Errorf("%s/%s: %q is not known to every engine", dialect, name, word)
			}
			if partial := regexp.MustCompile(`(?is)CREATE\s+(UNIQUE\s+)?INDEX[^;]*\bWHERE\b`).FindString(code); partial != "" {
				t.Errorf("%s/%s: a partial index is not known to every engine: %s", dialect, name, partial)
			}
		}
	}
}

// statements are those that were sent, each once.
type statements struct {
	mu  sync.Mutex
	all map[string]bool
}

func (s *statements) add(statement string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]bool{}
	}
	s.all[statement] = true
}

// scanned are the tables that a statement may read from end to end: they stay small, or the statement is for people who look at everything.
var scanned = regexp.MustCompile(`^SCAN (data_key|node_lease|staff_account|s|l|CONSTANT ROW)\b|sqlite_|pragma_`)

// counted are statements of the tests themselves, which count and change what they like.
var counted = regexp.MustCompile(`^(SELECT (\(SELECT )?(COUNT|SUM|MIN|MAX|name|COALESCE\(sql)|UPDATE \w+ SET [^?]*( WHERE [^?]*)?$|DELETE FROM \w+( WHERE [^?]*)?$)|pragma_table_info|goose_`)

// explain asks SQLite how it finds the rows of everything that was sent: a statement that reads a whole table is cheap on the tests' and ruins a hospital's.
// The indexes are alike on all engines.
func (s *statements) explain(t testing.TB, db *DB) {
	if db.engine != sqliteEngine {
		return
	}
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for statement := range all {
		verb, _, _ := strings.Cut(statement, " ")
		if !slices.Contains([]string{"SELECT", "UPDATE", "DELETE"}, verb) || counted.MatchString(statement) {
			continue
		}
		var plan []struct{ Detail string }
		if err := db.reader.WithContext(context.Background()).Raw("EXPLAIN QUERY PLAN " + strings.ReplaceAll(statement, "?", "1")).Scan(&plan).Error; err != nil {
			continue // a table that a test has taken away
		}
		for _, p := range plan {
			if strings.HasPrefix(p.Detail, "SCAN ") && !strings.Contains(p.Detail, "USING") && !scanned.MatchString(p.Detail) {
				t.Errorf("%s: %s", p.Detail, statement)
			}
		}
	}
}
