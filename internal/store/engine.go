package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/tuoka/tuoka/migrations"
)

// engine is a kind of database.
type engine string

// The engines. OceanBase and TiDB speak MySQL, openGauss and KingbaseES speak PostgreSQL.
const (
	sqliteEngine   engine = "sqlite"
	postgresEngine engine = "postgres"
	mysqlEngine    engine = "mysql"
)

// target is what a DSN names: a file, or a server.
type target struct {
	engine   engine
	path     string // SQLite: of the file, or memory
	postgres *pgx.ConnConfig
	mysql    *mysql.Config
}

// connectTime is how long a server may take to accept a connection.
const connectTime = 5 * time.Second

// String names the place without a password.
func (t target) String() string {
	switch t.engine {
	case postgresEngine:
		return fmt.Sprintf("PostgreSQL %s at %s", t.postgres.Database, t.postgres.Host)
	case mysqlEngine:
		return fmt.Sprintf("MySQL %s at %s", t.mysql.DBName, t.mysql.Addr)
	}
	return t.path
}

// parseDSN reads a DSN. Its scheme chooses the engine; without one it is the path of a SQLite file. No error of it tells a password.
func parseDSN(dsn string) (target, error) {
	scheme, _, found := strings.Cut(dsn, "://")
	switch strings.ToLower(scheme) {
	case "postgres", "postgresql":
		if found {
			return parsePostgres(dsn)
		}
	case "mysql", "mariadb":
		if found {
			return parseMySQL(dsn)
		}
	}
	if found && scheme != "file" {
		return target{}, ErrEngine.Because(fmt.Errorf("store: no database is called %q; give a SQLite file, postgres:// or mysql://", scheme))
	}
	path, err := parseFile(dsn)
	return target{engine: sqliteEngine, path: path}, err
}

func parsePostgres(dsn string) (target, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil { // pgx leaves the password out
		return target{}, ErrEngine.Because(fmt.Errorf("store: %w", err))
	}
	if c.Database == "" {
		return target{}, ErrEngine.Because(errors.New("store: the DSN names no database: postgres://user:<password>@host:5432/database"))
	}
	c.RuntimeParams["application_name"] = "tuoka"
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = connectTime
	}
	return target{engine: postgresEngine, postgres: c}, nil
}

// parseMySQL reads mysql://user:<password>@host:3306/database?tls=true, or …@/database?socket=/path.
func parseMySQL(dsn string) (target, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return target{}, ErrEngine.Because(errors.New("store: the DSN is no mysql://user:<password>@host:3306/database"))
	}
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.DBName = strings.TrimPrefix(u.Path, "/")
	c.Net, c.Addr = "tcp", u.Host
	for name, values := range u.Query() {
		switch name {
		case "socket":
			c.Net, c.Addr = "unix", values[0]
		case "tls":
			c.TLSConfig = values[0]
		default:
			return target{}, ErrEngine.Because(fmt.Errorf("store: a mysql DSN takes socket and tls, not %q", name))
		}
	}
	if c.DBName == "" || c.Addr == "" {
		return target{}, ErrEngine.Because(errors.New("store: the DSN names no database or host: mysql://user:<password>@host:3306/database"))
	}
	if c.Net == "tcp" && u.Port() == "" {
		c.Addr = u.Hostname() + ":3306"
	}
	c.Timeout = connectTime
	c.Collation = "utf8mb4_bin"
	c.ClientFoundRows = true // an update counts the rows that its condition finds, as the other engines do
	c.RejectReadOnly = true  // after a switch-over the old primary is left
	c.Params = map[string]string{"sql_mode": "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"}
	return target{engine: mysqlEngine, mysql: c}, nil
}

// Pool opens a database beside the store, as somebody with the DSN in hand: for simulations and tests.
func Pool(dsn string) (*sql.DB, string, error) {
	t, err := parseDSN(dsn)
	if err != nil {
		return nil, "", err
	}
	if t.engine != sqliteEngine {
		pool, err := t.pool(0)
		return pool, string(t.engine), err
	}
	pool, err := sql.Open("sqlite", "file:"+t.path+"?_pragma=busy_timeout(10000)")
	return pool, string(t.engine), err
}

// pool is one of connections to a server, which may say nothing for so long; zero: for ever.
func (t target) pool(silent time.Duration) (*sql.DB, error) {
	if t.engine == postgresEngine {
		c := t.postgres.Copy()
		c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil || silent <= 0 {
				return conn, err
			}
			return &impatient{Conn: conn, most: silent}, nil
		}
		return stdlib.OpenDB(*c), nil // statements are prepared once for each connection
	}
	c := t.mysql.Clone()
	c.DialFunc, c.ReadTimeout, c.WriteTimeout = dial, silent, silent
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// serverPool opens connections to a database server.
func (db *DB) serverPool(ctx context.Context, cfg Config, t target, log quiet) (*gorm.DB, error) {
	silent := cfg.Silent
	if silent <= 0 {
		silent = answerTime
	}
	if t.engine == mysqlEngine {
		if err := causal(ctx, t.mysql); err != nil {
			return nil, err
		}
	}
	pool, err := t.pool(silent)
	if err != nil {
		return nil, err
	}
	var dialect gorm.Dialector = mysqlDialect{gormmysql.Dialector{Config: &gormmysql.Config{Conn: pool, SkipInitializeWithVersion: true}}}
	if t.engine == postgresEngine {
		dialect = postgresDialect{postgres.Dialector{Config: &postgres.Config{Conn: pool}}}
	}
	size := cfg.Connections
	if size <= 0 {
		size = 16
	}
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxLifetime(30 * time.Minute) // so that a server that was moved is found again
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	g, err := gorm.Open(dialect, &gorm.Config{
		SkipDefaultTransaction: true, DisableNestedTransaction: true, DisableAutomaticPing: true, QueryFields: true,
		TranslateError: true, Logger: log, PrepareStmt: t.engine == mysqlEngine,
	})
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return g, nil
}

// causal has every connection to a Galera cluster read what any of its servers has committed before: a patient's next request may come to another
// process, on another server.
func causal(ctx context.Context, cfg *mysql.Config) (err error) {
	asking := cfg.Clone()
	asking.ReadTimeout = answerTime
	connector, err := mysql.NewConnector(asking)
	if err != nil {
		return err
	}
	pool := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, pool.Close()) }()
	var name, value string
	err = pool.QueryRowContext(ctx, "SHOW VARIABLES LIKE 'wsrep_on'").Scan(&name, &value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if strings.EqualFold(value, "ON") {
		cfg.Params["wsrep_sync_wait"] = "7" // for reading, changing and adding
	}
	return err
}

// postgresDialect is gorm's, with the errors that the program acts on.
type postgresDialect struct{ postgres.Dialector }

// Translate names them.
func (d postgresDialect) Translate(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch e.Code {
	case "23505":
		return fmt.Errorf("%w: %w", gorm.ErrDuplicatedKey, err)
	case "23503":
		return fmt.Errorf("%w: %w", gorm.ErrForeignKeyViolated, err)
	case "23514":
		return fmt.Errorf("%w: %w", gorm.ErrCheckConstraintViolated, err)
	case "23502":
		return fmt.Errorf("%w: %w", errNull, err)
	case "40001", "40P01": // serialisation, deadlock
		return fmt.Errorf("%w: %w", errConflict, err)
	case "55P03": // a lock was not to be had in time
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	return err
}

// Explain gives a statement without its values: they are patient data.
func (d postgresDialect) Explain(statement string, _ ...any) string { return statement }

// mysqlDialect is gorm's, with the errors that the program acts on.
type mysqlDialect struct{ gormmysql.Dialector }

// Translate names them.
func (d mysqlDialect) Translate(err error) error {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return err
	}
	switch e.Number {
	case 1062, 1586:
		return fmt.Errorf("%w: %w", gorm.ErrDuplicatedKey, err)
	case 1216, 1217, 1451, 1452:
		return fmt.Errorf("%w: %w", gorm.ErrForeignKeyViolated, err)
	case 3819, 4025:
		return fmt.Errorf("%w: %w", gorm.ErrCheckConstraintViolated, err)
	case 1048, 1364:
		return fmt.Errorf("%w: %w", errNull, err)
	case 1213, 1020: // deadlock, also a certification that failed in a Galera cluster; the record has changed since the snapshot
		return fmt.Errorf("%w: %w", errConflict, err)
	case 1205: // a lock was not to be had in time
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	return err
}

// Explain gives a statement without its values: they are patient data.
func (d mysqlDialect) Explain(statement string, _ ...any) string { return statement }

// away recognises a server that was not reached, or that takes nobody now. Before the commit that is as good as a server that never heard of it.
func away(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		class := e.Code[:min(2, len(e.Code))]
		return class == "08" || class == "57" && e.Code != "57014" || e.Code == "53300" || e.Code == "25006" // 25006: it has become a standby
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		// Too many connections, not in the cluster, shutting down, killed, read only.
		return slices.Contains([]uint16{1040, 1047, 1053, 1927, 1290, 1836}, e.Number)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return !errors.Is(err, context.DeadlineExceeded)
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.ErrUnexpectedEOF)
}

// steps are the engine's migrations.
func (e engine) steps() (goose.Dialect, fs.FS, error) {
	dialect := map[engine]goose.Dialect{sqliteEngine: goose.DialectSQLite3, postgresEngine: goose.DialectPostgres, mysqlEngine: goose.DialectMySQL}[e]
	folder, err := migrations.Of(string(e))
	return dialect, folder, err
}
