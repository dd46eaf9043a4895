// Package storetest gives tests an empty database of each engine. The servers are those that .ci/servers starts.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Engines are what Fresh knows: each by the scheme of its DSN.
func Engines() []string { return []string{"sqlite", "postgres", "mysql"} }

// servers tells where each server's address is, and what people call it.
var servers = map[string]struct{ variable, name string }{
	"postgres": {"TUOKA_TEST_POSTGRES", "PostgreSQL"},
	"mysql":    {"TUOKA_TEST_MYSQL", "MariaDB"},
}

// Filled says where a database is that tuoka fill has filled: the folder of its sandbox, and its DSN, empty for the file there. Without one, named by
// TUOKA_FILLED_DATA and TUOKA_FILLED_DSN, the test is skipped; .ci/large makes one.
func Filled(t testing.TB) (data, dsn string) {
	t.Helper()
	data, dsn = os.Getenv("TUOKA_FILLED_DATA"), os.Getenv("TUOKA_FILLED_DSN")
	if data == "" {
		t.Skip("no database is filled: run make large")
	}
	return data, dsn
}

var made atomic.Int64

// Fresh gives the DSN of an empty database that ends with the test. Without a server the test is skipped, and says so; with REQUIRE_SERVERS=1 it
// fails.
func Fresh(t testing.TB, engine string) string {
	t.Helper()
	if engine == "sqlite" {
		return filepath.Join(t.TempDir(), "tuoka.db")
	}
	server, known := servers[engine]
	if !known {
		t.Fatalf("no engine is called %q", engine)
	}
	admin := os.Getenv(server.variable)
	switch {
	case admin == "" && os.Getenv("REQUIRE_SERVERS") == "1":
		t.Fatalf("%s is not tested: %s is not set, see .ci/servers", server.name, server.variable)
	case admin == "":
		t.Skipf("%s is not tested: run make test, or .ci/servers with go test", server.name)
	}
	at, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("%s: %v", server.variable, err)
	}
	pool, err := open(engine, at)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("t%d_%d", os.Getpid(), made.Add(1))
	if _, err := pool.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("%s: %v", server.name, err)
	}
	t.Cleanup(func() {
		drop := []string{"DROP DATABASE", name}
		if engine == "postgres" {
			drop = append(drop, "WITH (FORCE)") // whoever was killed may still be connected
		}
		if _, err := pool.ExecContext(context.Background(), strings.Join(drop, " ")); err != nil {
			t.Errorf("%v: %v", drop, err)
		}
		_ = pool.Close()
	})
	own := *at
	own.Path = "/" + name
	return own.String()
}

func open(engine string, at *url.URL) (*sql.DB, error) {
	if engine == "postgres" {
		return sql.Open("pgx", at.String())
	}
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.DBName = at.User.Username(), "unix", at.Query().Get("socket"), strings.TrimPrefix(at.Path, "/")
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
