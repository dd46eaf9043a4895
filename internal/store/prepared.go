package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
)

// preparing opens SQLite connections that keep what they prepared. database/sql and gorm prepare a statement anew in every transaction, which
// costs more than to run it: the statements of ours are few, short, and the same all day.
type preparing struct{ driver.Connector }

// preparedDSN is a connector to that DSN.
func preparedDSN(dsn string) (driver.Connector, error) {
	c, err := sqlite.NewConnector(dsn)
	return preparing{c}, err
}

// sqliteConn is what a connection of the driver can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// Connect opens a connection.
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("store: the driver's connection is a %T, which lacks what a connection needs", c), c.Close())
	}
	return &preparedConn{sqliteConn: full, kept: map[string]*preparedStmt{}}, nil
}

// mostPrepared bounds the statements that a connection keeps. Beyond it all are given up: lists of different lengths make a few statements of
// one, never thousands.
const mostPrepared = 512

// preparedConn is a connection with its statements by their text. database/sql lets one goroutine at a time use it.
type preparedConn struct {
	sqliteConn
	kept map[string]*preparedStmt
}

type preparedStmt struct {
	driver.Stmt
	exec  driver.StmtExecContext
	query driver.StmtQueryContext
	open  bool // its rows are being read
}

// Unwrap is the driver's connection, for the driver.
func (c *preparedConn) Unwrap() driver.Conn { return c.sqliteConn }

// statement gives the kept statement of that text, which it prepares the first time; nil while its rows are being read.
func (c *preparedConn) statement(ctx context.Context, text string) (*preparedStmt, error) {
	if s, ok := c.kept[text]; ok {
		if s.open {
			return nil, nil
		}
		return s, nil
	}
	if len(c.kept) >= mostPrepared {
		if err := c.forget(); err != nil {
			return nil, err
		}
	}
	stmt, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s := &preparedStmt{Stmt: stmt}
	var runs, reads bool
	s.exec, runs = stmt.(driver.StmtExecContext)
	s.query, reads = stmt.(driver.StmtQueryContext)
	if !runs || !reads {
		return nil, errors.Join(fmt.Errorf("store: the driver's statement is a %T, which obeys no deadline", stmt), stmt.Close())
	}
	c.kept[text] = s
	return s, nil
}

// forget closes all statements but those whose rows are being read.
func (c *preparedConn) forget() error {
	var errs []error
	for text, s := range c.kept {
		if !s.open {
			delete(c.kept, text)
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// Close closes the statements and the connection.
func (c *preparedConn) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// ExecContext runs a statement.
func (c *preparedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, text, args)
	}
	return s.exec.ExecContext(ctx, args)
}

// QueryContext runs a statement that answers rows.
func (c *preparedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, text, args)
	}
	rows, err := s.query.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.open = true
	return preparedRows{rows, s}, nil
}

// preparedRows gives its statement free when it is closed.
type preparedRows struct {
	driver.Rows
	of *preparedStmt
}

// Close ends the reading.
func (r preparedRows) Close() error {
	r.of.open = false
	return r.Rows.Close()
}
