package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestAway: a server that takes nobody is told from a statement that it refuses.
func TestAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want error
	}{
		{&pgconn.PgError{Code: "57P01"}, ErrAway}, // it shuts down
		{&pgconn.PgError{Code: "57P03"}, ErrAway}, // it starts
		{&pgconn.PgError{Code: "08006"}, ErrAway},
		{&pgconn.PgError{Code: "53300"}, ErrAway}, // too many connections
		{&pgconn.PgError{Code: "25006"}, ErrAway}, // it became a standby
		{&pgconn.PgError{Code: "57014"}, nil},     // the statement was cancelled
		{&pgconn.PgError{Code: "42601"}, nil},     // a bug
		{&pgconn.PgError{}, nil},
		{&mysql.MySQLError{Number: 1047}, ErrAway}, // not in its cluster
		{&mysql.MySQLError{Number: 1053}, ErrAway},
		{&mysql.MySQLError{Number: 1064}, nil},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, ErrAway},
		{&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, ErrAway}, // a host that says nothing
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), ErrAway},
		{driver.ErrBadConn, ErrAway},
		{mysql.ErrInvalidConn, ErrAway},
		{context.DeadlineExceeded, nil},
		{context.Canceled, nil},
		{ErrCommit.Because(driver.ErrBadConn), ErrCommit},
	} {
		got := translated(fmt.Errorf("query: %w", tt.err))
		if !errors.Is(got, tt.err) || (tt.want != nil && !errors.Is(got, tt.want)) || (tt.want == nil && errors.Is(got, ErrAway)) {
			t.Errorf("translated(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}
