package store

import (
	"io/fs"
	"regexp"
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
		if len(files) < 17 {
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
