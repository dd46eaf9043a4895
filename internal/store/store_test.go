package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/store/storetest"
	"github.com/tuoka/tuoka/internal/vault"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 123000, time.UTC)

// TestEngines: one suite for all.
func TestEngines(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			Suite(t, func(t *testing.T) *DB { return openAt(t, storetest.Fresh(t, engine)) })
		})
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	Suite(t, func(t *testing.T) *DB { return openAt(t, memory) })
}

// openAt opens and migrates a database, with a vault of its own master key.
func openAt(t testing.TB, dsn string) *DB {
	t.Helper()
	db := openBare(t, dsn, Config{})
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db.WithVault(openVault(t, db, gm.GenerateKey()))
}

func openBare(t testing.TB, dsn string, cfg Config) *DB {
	t.Helper()
	clk := clock.NewFake(start)
	sent := &statements{}
	portable := portable(t)
	cfg.DSN, cfg.Sent = dsn, func(statement string, _ ...any) { portable(statement); sent.add(statement) }
	db, err := Open(t.Context(), cfg, clk, clock.NewSource(clk, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sent.explain(t, db)
		if err := db.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return db
}

func openVault(t testing.TB, db *DB, master *gm.PrivateKey) *vault.Vault {
	t.Helper()
	keys, err := vault.EnvKeys(func(string) (string, bool) { return hex.EncodeToString(master.Reveal()), true }, gm.Hex, "MASTER")
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(t.Context(), keys, db, db.clock)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func keyNamed(id string) vault.DataKey {
	return vault.DataKey{ID: id, Purpose: vault.Sealing, Version: 9, Wrapped: []byte{1}, MasterID: "m", CreatedAt: start}
}

func TestDSN(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dsn, want string
		err       string
	}{
		{"/var/lib/tuoka.db", "/var/lib/tuoka.db", ""}, {"tuoka.db", "tuoka.db", ""}, {"file:tuoka.db", "tuoka.db", ""},
		{"file:///var/lib/tuoka.db", "/var/lib/tuoka.db", ""}, {":memory:", memory, ""}, {"file::memory:", memory, ""},
		{"", "", "no file"}, {"file:", "", "no file"}, {"tuoka.db?_txlock=deferred", "", "no parameters"}, {"a%2Fb", "", "no parameters"},
	} {
		got, err := parseDSN(c.dsn)
		if got.path != c.want || (c.err == "") != (err == nil) || (err != nil && (!errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), c.err))) {
			t.Errorf("parseDSN(%q) = %q, %v, want %q %s", c.dsn, got, err, c.want, c.err)
		}
	}
}

func FuzzDSN(f *testing.F) {
	for _, s := range []string{"file:a.db", "a?b", "postgres://", ":memory:", "file://x\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		path, err := parseFile(dsn)
		if (path == "") != (err != nil) || strings.ContainsAny(path, "?#%") {
			t.Errorf("parseDSN(%q) = %q, %v", dsn, path, err)
		}
	})
}

func TestOneProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tuoka.db")
	clk := clock.NewFake(start)
	first, err := Open(t.Context(), Config{DSN: path}, clk, clock.NewSource(clk, 1))
	check(t, err)
	_, err = Open(t.Context(), Config{DSN: "file:" + path}, clk, clock.NewSource(clk, 1))
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "process") {
		t.Fatalf("a second Open() = %v", err)
	}
	check(t, first.Close())
	again := openBare(t, path, Config{})
	check(t, again.Ping(t.Context()))
	info, err := os.Stat(path)
	if check(t, err); info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %o", info.Mode().Perm())
	}
	if _, err := Open(t.Context(), Config{DSN: filepath.Join(t.TempDir(), "no", "such", "folder.db")}, clk, nil); err == nil {
		t.Error("a file in a folder that is not there was opened")
	}
	broken := filepath.Join(t.TempDir(), "broken.db")
	check(t, os.WriteFile(broken, bytes.Repeat([]byte("no database "), 999), 0o600))
	if _, err := Open(t.Context(), Config{DSN: broken}, clk, nil); err == nil {
		t.Error("a file that is no database was opened")
	}
	if _, err := Open(t.Context(), Config{DSN: broken}, clk, nil); errors.Is(err, ErrInUse) {
		t.Error("the lock stayed after a failed Open")
	}
}

func TestPragmas(t *testing.T) {
	t.Parallel()
	db := openBare(t, filepath.Join(t.TempDir(), "tuoka.db"), Config{Busy: 3 * time.Second})
	for _, g := range []*gorm.DB{db.writer, db.reader} {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "3000"} {
			var got string
			check(t, g.WithContext(t.Context()).Raw("PRAGMA "+pragma).Scan(&got).Error)
			if got != want {
				t.Errorf("PRAGMA %s = %s, want %s", pragma, got, want)
			}
		}
	}
	if err := db.reader.WithContext(t.Context()).Exec("CREATE TABLE x (y INTEGER)").Error; err == nil {
		t.Error("a reader wrote")
	}
}

// A running statement obeys its deadline (dependencies.md, trap 3), on either pool, and the connection is good afterwards.
func TestDeadline(t *testing.T) {
	t.Parallel()
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
	for _, dsn := range []string{filepath.Join(t.TempDir(), "tuoka.db"), memory} {
		db := openAt(t, dsn)
		for _, g := range []*gorm.DB{db.writer, db.reader} {
			ctx, cancel := clock.Real{}.WithDeadline(t.Context(), 150*time.Millisecond)
			defer cancel()
			began := clock.Real{}.Now()
			var n int64
			err := g.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return tx.Raw(endless).Scan(&n).Error })
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want the deadline", dsn, err)
			}
			if cost := (clock.Real{}).Now().Sub(began); cost > 20*time.Second {
				t.Errorf("%s: interrupted after %s", dsn, cost)
			}
		}
		if n := count(t, db, "SELECT COUNT(*) FROM orders"); n != 0 {
			t.Errorf("%s: %d orders", dsn, n)
		}
		create(t, db, newOrder(db, "b1"))
	}
}

// Nothing that is sealed can be read in the file, its log, or the lock beside it.
func TestNoPlaintext(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db := openAt(t, filepath.Join(folder, "tuoka.db"))
	o := newOrder(db, "b1")
	claim := create(t, db, o)
	quoted(t, db, o, &claim)
	p := newPayment(db, o)
	moveOrder(t, db, o, order.Collect)
	p.PrepayID, p.Back.Request, o.Refusal, o.Settlement().Refusal = "SECRET-PREPAY", []byte("SECRET-REFUND"), "SECRET-REFUSAL", "SECRET-REFUSAL"
	o.Posted.Guide = []string{"SECRET-GUIDE"}
	_ = o.Settlement().Apply("send")
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	account := enter(t, db, "SECRET-OPENID-IN-ACCOUNT")
	person := newPatient(t, db, account.ID, 7)
	check(t, db.Patients().Add(t.Context(), person, 5, someone(db)))
	bindings(t, db)
	hired(t, db, "wang")
	suiteInbox(t, func(*testing.T) *DB { return db })
	record, _, err := db.Replays().FindReplay(t.Context(), keyOf(o))
	check(t, err)
	must(db.Replays().KeepAnswer(t.Context(), hospital, job.Request{Key: keyOf(o), Record: record.Record}, "", 200, []byte("SECRET-ANSWER")))(t)
	check(t, db.Close())
	const number = "36010019900307007" // of idNumber(7)
	forbidden := []string{"SECRET", "张三丰", "13800138000", "115.85", number, "J06.900", "阿莫西林"}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	check(t, err)
	size := 0
	for _, name := range files {
		content, err := os.ReadFile(name)
		check(t, err)
		size += len(content)
		for _, text := range forbidden {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s contains %q", filepath.Base(name), text)
			}
		}
		if filepath.Base(name) == "tuoka.db" && !bytes.Contains(content, []byte("digest of b1")) {
			t.Errorf("the scan does not see what is not sealed")
		}
	}
	if size < 100_000 {
		t.Errorf("only %d bytes were scanned", size)
	}
}

// Two processes and a rotation: a reader that has not heard of a new data key asks for it, once.
func TestUnknownKey(t *testing.T) {
	t.Parallel()
	db := openBare(t, filepath.Join(t.TempDir(), "tuoka.db"), Config{})
	must(db.Migrate(t.Context()))(t)
	master := gm.GenerateKey()
	writer, reader := db.WithVault(openVault(t, db, master)), db.WithVault(openVault(t, db, master))
	for _, p := range vault.Purposes() {
		check(t, writer.vault.Rotate(t.Context(), p))
	}
	advance(t, db, 2*vault.Spread)
	o := newOrder(db, "b1")
	claim := create(t, writer, o)
	quoted(t, writer, o, &claim)
	sameOrder(t, load(t, reader, o.ID), o)
	if n := count(t, db, "SELECT COUNT(*) FROM orders WHERE mac LIKE '2:%'"); n != 1 {
		t.Fatal("the new key was not used")
	}
	if err := db.AddDataKey(t.Context(), vault.DataKey{ID: "twin", Purpose: vault.Sealing, Version: 2, Wrapped: []byte{1}}); !errors.Is(err, vault.ErrKeyExists) {
		t.Fatalf("AddDataKey(again) = %v", err)
	}
	stranger := db.WithVault(openAt(t, memory).vault)
	if _, err := stranger.Orders().Load(t.Context(), o.ID); err == nil {
		t.Fatal("another installation's vault read the order")
	}
}

func TestSlowStatements(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	db := openBare(t, memory, Config{Log: slog.New(slog.NewJSONHandler(&out, nil)), Slow: time.Nanosecond})
	log := quiet{log: slog.New(slog.NewJSONHandler(&out, nil)), slow: time.Millisecond, clock: db.clock, counts: &counts{}}
	told := func() (string, int64) { return sqliteDialect{}.Explain("SELECT ?", "SECRET"), 1 }
	log.Trace(t.Context(), now(db), told, nil)
	if out.Len() != 0 {
		t.Fatalf("a quick statement was told: %s", out.String())
	}
	log.Trace(t.Context(), now(db).Add(-time.Second), told, nil)
	text, values := log.ParamsFilter(t.Context(), "SELECT ?", "SECRET")
	log.LogMode(4).Info(t.Context(), "SECRET")
	log.Warn(t.Context(), "SECRET")
	log.Error(t.Context(), "SECRET")
	if got := out.String(); !strings.Contains(got, `"cost_ms":1000`) || !strings.Contains(got, "SELECT ?") || strings.Contains(got, "SECRET") || values != nil || text != "SELECT ?" {
		t.Fatalf("told %s", got)
	}
	quiet{counts: &counts{}}.Trace(t.Context(), now(db), func() (string, int64) { t.Error("asked for a statement that nobody logs"); return "", 0 }, nil)
}

// A commit without an answer is unknown, never failed; a file that somebody else holds is unavailable, and nothing was written.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tuoka.db")
	db := openBare(t, path, Config{Busy: 20 * time.Millisecond})
	must(db.Migrate(t.Context()))(t)
	db = db.WithVault(openVault(t, db, gm.GenerateKey()))
	ctx, cancel := context.WithCancel(t.Context())
	err := db.write(ctx, func(*gorm.DB) error {
		cancel()
		return nil
	})
	if !errors.Is(err, ErrCommit) || !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Unknown {
		t.Errorf("a commit that was cut off: %v", err)
	}
	other, err := openPool(t.Context(), fileDSN(path, time.Second, false), 1, quiet{counts: &counts{}})
	check(t, err)
	o := newOrder(db, "b1")
	check(t, other.WithContext(t.Context()).Transaction(func(*gorm.DB) error {
		_, err := db.Orders().Create(t.Context(), asked(o), jobOf(db, o))
		if !errors.Is(err, ErrBusy) || fault.KindOf(err) != fault.Unavailable || o.Version != 0 {
			t.Errorf("while another process writes: %v", err)
		}
		return nil
	}))
	check(t, closePool(other))
	create(t, db, o)
}

func BenchmarkSave(b *testing.B) {
	db := openAt(b, filepath.Join(b.TempDir(), "tuoka.db"))
	o := newOrder(db, "b1")
	claim := create(b, db, o)
	quoted(b, db, o, &claim)
	newPayment(db, o)
	moveOrder(b, db, o, order.Collect)
	for b.Loop() {
		o.Payment().Touch()
		o.Events = append(o.Events, order.Event{Actor: "system", Subject: "payment", Verb: "look"})
		save(b, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	}
}

func BenchmarkLoad(b *testing.B) {
	db := openAt(b, filepath.Join(b.TempDir(), "tuoka.db"))
	o := newOrder(db, "b1")
	claim := create(b, db, o)
	quoted(b, db, o, &claim)
	for b.Loop() {
		load(b, db, o.ID)
	}
}
