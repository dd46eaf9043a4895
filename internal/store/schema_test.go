package store

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/store/storetest"
	"github.com/tuoka/tuoka/migrations"
)

func suiteMigrations(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	applied, known, err := db.SchemaVersion(t.Context())
	if err != nil || applied != known || known < 10 {
		t.Fatalf("SchemaVersion() = %d of %d, %v", applied, known, err)
	}
	if n, err := db.Migrate(t.Context()); n != 0 || err != nil {
		t.Fatalf("Migrate() again = %d, %v", n, err)
	}
	before := objects(t, db)
	for want := known; want > 0; want-- {
		if got, err := db.MigrateDown(t.Context()); got != want || err != nil {
			t.Fatalf("MigrateDown() = %d, %v, want %d", got, err, want)
		}
	}
	if got, err := db.MigrateDown(t.Context()); got != 0 || err != nil {
		t.Fatalf("MigrateDown() of nothing = %d, %v", got, err)
	}
	if left := objects(t, db); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
	if n, err := db.Migrate(t.Context()); int64(n) != known || err != nil {
		t.Fatalf("Migrate() = %d, %v, want %d", n, err, known)
	}
	if after := objects(t, db); !slices.Equal(before, after) {
		t.Fatalf("the schema differs after down and up")
	}
}

// TestRacingStarters: of eight processes that start at once on an empty database one migrates, and all find it migrated.
func TestRacingStarters(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines()[1:] {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.Fresh(t, engine)
			var wg sync.WaitGroup
			var steps atomic.Int64
			for range 8 {
				db := openBare(t, dsn, Config{})
				wg.Go(func() {
					n, err := db.Migrate(t.Context())
					if err != nil {
						t.Errorf("Migrate() = %v", err)
					}
					steps.Add(int64(n))
					if applied, known, err := db.SchemaVersion(t.Context()); applied != known || err != nil {
						t.Errorf("SchemaVersion() = %d of %d, %v", applied, known, err)
					}
				})
			}
			wg.Wait()
			_, known, err := openBare(t, dsn, Config{}).SchemaVersion(t.Context())
			if err != nil || steps.Load() != known {
				t.Errorf("%d steps were made, of %d: %v", steps.Load(), known, err)
			}
		})
	}
}

// objects lists our tables and indexes with their definitions.
func objects(t testing.TB, db *DB) []string {
	t.Helper()
	var out []string
	for _, query := range map[engine][]string{
		sqliteEngine: {"SELECT COALESCE(sql, name) FROM sqlite_master WHERE name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'"},
		postgresEngine: {"SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'goose%'",
			"SELECT CAST(CAST(conrelid AS regclass) AS text) || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = CAST('public' AS regnamespace) AND conname NOT LIKE 'goose%'",
			"SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'"},
		mysqlEngine: {"SELECT CONCAT(table_name, ' ', index_name, ' ', column_name, ' ', non_unique) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'",
			"SELECT CONCAT(table_name, ' ', constraint_name, ' ', constraint_type) FROM information_schema.table_constraints WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'",
			"SELECT CONCAT(table_name, ' ', column_name, ' ', column_type, ' ', is_nullable) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'"},
	}[db.engine] {
		var found []string
		check(t, db.writer.WithContext(t.Context()).Raw(query).Scan(&found).Error)
		out = append(out, found...)
	}
	slices.Sort(out)
	return out
}

type column struct{ Name, Type string }

// tableColumns lists a table's columns, with the lengths of texts as VARCHAR(n).
func tableColumns(t testing.TB, db *DB, table string) []column {
	t.Helper()
	query := map[engine]string{
		sqliteEngine: "SELECT name, type FROM pragma_table_info(?)",
		postgresEngine: "SELECT column_name AS name, CASE WHEN data_type = 'character varying' THEN 'VARCHAR(' || character_maximum_length || ')' ELSE data_type END AS type " +
			"FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ?",
		mysqlEngine: "SELECT column_name AS name, UPPER(column_type) AS type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?",
	}[db.engine]
	var columns []column
	check(t, db.reader.WithContext(t.Context()).Raw(query, table).Scan(&columns).Error)
	return columns
}

// suiteSchema compares every row struct with its table: the same columns, the same lengths, and every column may be moved or never is.
func suiteSchema(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	length := regexp.MustCompile(`^VARCHAR\((\d+)\)$`)
	for _, c := range []struct {
		row   any
		moves []string
		fixed []string // columns that no move changes
	}{
		{&orderRow{}, orderMoves(), []string{"id", "institution", "account_id", "patient_id", "created_us", macColumn}},
		{&settlementRow{}, settlementMoves(), []string{"id", "institution", "order_id", "seq", "anew", macColumn}},
		{&paymentRow{}, paymentMoves(), []string{"id", "institution", "order_id", "seq", "out_trade_no", "amount_fen", macColumn}},
		{&mixedRow{}, mixedMoves(), []string{"id", "institution", "order_id", "seq", "out_trade_no", "serial_no", "pay_order_id", "total_fen", "gov_fen", "self_fen",
			"other_fen", "cash_fen", "added_fen", "reduced_fen", "wechat_fen", "expires_us", macColumn}},
		{&refundRow{}, refundMoves(), []string{"id", "institution", "order_id", "seq", "asker", "actor", "request_key", "his_refund_no", "note",
			"insured_fen", "uninsured_fen", "asked_us", macColumn}},
		{&fileRow{}, fileMoves(), []string{"id", "institution", "source", "day", "part", "name", "hash", "size_bytes", "is_empty", "attached", "actor", "kept_us", macColumn}},
		{&staffRow{}, staffMoves(), []string{"id", "institution", "login", "created_us", macColumn}},
		{&billRow{}, nil, nil}, {&eventRow{}, nil, nil}, {&lineRow{}, nil, nil}, {&caseRow{}, nil, nil}, {&voteRow{}, nil, nil}, {&jobRow{}, nil, nil},
		{&finishedJobRow{}, nil, nil}, {&inboxRow{}, nil, nil}, {&nonceRow{}, nil, nil}, {&replayRow{}, nil, nil}, {&auditRow{}, nil, nil}, {&accountRow{}, nil, nil},
		{&sessionRow{}, nil, nil}, {&patientRow{}, nil, nil}, {&consentRow{}, nil, nil}, {&bindingRow{}, nil, nil}, {&payAuthRow{}, nil, nil},
		{&dataKeyRow{}, nil, nil}, {&nodeRow{}, nil, nil}, {&pieceRow{}, nil, nil}, {&runRow{}, nil, nil}, {&evidenceRow{}, nil, nil},
	} {
		s, err := db.layout(c.row)
		check(t, err)
		columns := tableColumns(t, db, s.Table)
		var inTable, inRow []string
		for _, column := range columns {
			inTable = append(inTable, column.Name)
			f := s.FieldsByDBName[column.Name]
			if m := length.FindStringSubmatch(column.Type); f != nil && m != nil && m[1] != order.ID(f.Size).No() {
				t.Errorf("%s.%s is %s, the row says %d", s.Table, column.Name, column.Type, f.Size)
			}
		}
		inRow = slices.Clone(s.DBNames)
		slices.Sort(inRow)
		slices.Sort(inTable)
		if !slices.Equal(inRow, inTable) {
			t.Errorf("%s: columns %v, row %v", s.Table, inTable, inRow)
		}
		if all := slices.Sorted(slices.Values(slices.Concat(c.moves, c.fixed))); c.moves != nil && !slices.Equal(all, inRow) {
			t.Errorf("%s: moved or fixed %v, row %v", s.Table, all, inRow)
		}
		if s.Table != "data_key" && s.Table != "node_lease" && !slices.Contains(inTable, "institution") {
			t.Errorf("%s has no institution", s.Table)
		}
	}
}

// The sources keep to what every engine has, and rows are written in one place only.
func TestSources(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	check(t, err)
	folder, err := migrations.Of("sqlite")
	check(t, err)
	forbidden := regexp.MustCompile(`(?i)\bRETURNING\b|SKIP LOCKED|FOR UPDATE|ON CONFLICT|ON DUPLICATE|GET_LOCK|ADVISORY|CREATE TRIGGER|JSON_|AUTOINCREMENT|\bWHERE\b[^;]*CREATE UNIQUE|REPLACE INTO|INSERT OR`)
	comment := regexp.MustCompile(`(?m)(//|--).*$`)
	text := map[string]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		check(t, err)
		text[name] = comment.ReplaceAllString(strings.ReplaceAll(string(b), "autoIncrement:false", ""), "")
	}
	steps, err := filepath.Glob("../../migrations/sqlite/*.sql")
	check(t, err)
	for _, name := range steps {
		b, err := os.ReadFile(name)
		check(t, err)
		text[filepath.Base(name)] = comment.ReplaceAllString(string(b), "")
		if f, err := folder.Open(filepath.Base(name)); err != nil || f.Close() != nil {
			t.Errorf("%s is not embedded", name)
		}
	}
	if len(text) < 20 {
		t.Fatalf("only %d sources", len(text))
	}
	unchecked := regexp.MustCompile(`\.(Updates?|UpdateColumns?|Save|Delete|Create)\(`)
	for name, source := range text {
		if found := forbidden.FindString(source); found != "" {
			t.Errorf("%s: %s is not for every engine", name, found)
		}
		if strings.HasSuffix(name, ".go") && name != "rows.go" {
			if found := unchecked.FindString(source); found != "" {
				t.Errorf("%s: %s belongs into rows.go", name, found)
			}
		}
	}
}
