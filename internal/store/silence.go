package store

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// answerTime is how long a server may say nothing to a statement, unless Config.Silent says otherwise: reports over whole tables need longer, and
// migrations have no limit. One that waits for a lock of somebody who stands still may as well fail.
const answerTime = 15 * time.Second

// keepAlive finds out in 14 s that a host is gone whose connection nobody uses. The host of a statement under way has answerTime.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 3 * time.Second, Count: 3}

// dial connects to a server.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive}
	return d.DialContext(ctx, network, addr)
}

// errNoWord is a server that says nothing.
var errNoWord = errors.New("store: the database server does not answer")

// impatient is a connection that is closed when the other side says or takes nothing for so long: pgx has no such limit. An earlier deadline of the
// driver's own counts as ever.
type impatient struct {
	net.Conn
	most time.Duration

	mu   sync.Mutex
	read time.Time // the driver's deadlines; zero: none
	sent time.Time // of writing
}

// Read reads.
func (c *impatient) Read(b []byte) (int, error) {
	if err := c.hurry(c.Conn.SetReadDeadline, &c.read); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	return n, c.judged(err, &c.read)
}

// Write writes.
func (c *impatient) Write(b []byte) (int, error) {
	if err := c.hurry(c.Conn.SetWriteDeadline, &c.sent); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	return n, c.judged(err, &c.sent)
}

// hurry sets our deadline, or the driver's where it is earlier.
func (c *impatient) hurry(set func(time.Time) error, driver *time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := clock.Real{}.Now().Add(c.most)
	if !driver.IsZero() && driver.Before(until) {
		until = *driver
	}
	return set(until)
}

// judged closes the connection when it was our deadline: what is answered later belongs to no statement.
func (c *impatient) judged(err error, driver *time.Time) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !driver.IsZero() && !driver.After(clock.Real{}.Now()) {
		return err
	}
	return errors.Join(errNoWord, c.Close())
}

// SetDeadline sets the driver's deadlines.
func (c *impatient) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the driver's deadline of reading.
func (c *impatient) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline sets the driver's deadline of writing.
func (c *impatient) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = t
	return c.Conn.SetWriteDeadline(t)
}
