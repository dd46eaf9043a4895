package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/store/storetest"
)

// tunnel leads to a database server. In the dark nothing comes through, and nobody is told.
type tunnel struct {
	network, to string
	in          net.Listener
	busy        sync.WaitGroup

	mu   sync.Mutex
	dark bool
	open map[*passage]bool
}

// passage is one connection through a tunnel. What was in the dark once stays there: bytes are missing.
type passage struct {
	ends [2]net.Conn
	dark bool
}

// tunnelTo digs a tunnel to a database and gives the DSN of its mouth.
func tunnelTo(t *testing.T, dsn string) (*tunnel, string) {
	t.Helper()
	u := must(url.Parse(dsn))(t)
	d := &tunnel{network: "unix", open: map[*passage]bool{}}
	mouth := url.URL{Scheme: u.Scheme, User: u.User, Path: u.Path}
	switch q := u.Query(); {
	case u.Host != "":
		d.network, d.to = "tcp", u.Host
	case u.Scheme == "mysql":
		d.to = q.Get("socket")
	default:
		d.to = q.Get("host") + "/.s.PGSQL.5432"
	}
	if u.Scheme == "postgres" {
		mouth.RawQuery = "sslmode=disable"
	}
	d.in = must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	mouth.Host = d.in.Addr().String()
	d.busy.Go(d.accept)
	t.Cleanup(func() {
		_ = d.in.Close()
		d.mu.Lock()
		for p := range d.open {
			p.close()
		}
		d.mu.Unlock()
		d.busy.Wait()
	})
	return d, mouth.String()
}

func (d *tunnel) accept() {
	for {
		here, err := d.in.Accept()
		if err != nil {
			return
		}
		there, err := new(net.Dialer).DialContext(context.Background(), d.network, d.to)
		if err != nil {
			_ = here.Close()
			continue
		}
		d.mu.Lock()
		p := &passage{ends: [2]net.Conn{here, there}, dark: d.dark}
		d.open[p] = true
		d.mu.Unlock()
		for i := range p.ends {
			d.busy.Go(func() { d.carry(p, p.ends[i], p.ends[1-i]) })
		}
	}
}

func (d *tunnel) carry(p *passage, from, to net.Conn) {
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !p.dark { // a host that is gone does not say so
			p.close()
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		d.mu.Lock()
		dark := p.dark
		d.mu.Unlock()
		if dark {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func (p *passage) close() {
	for _, end := range p.ends {
		_ = end.Close()
	}
}

// turn makes it dark, or light for connections that are new. With the light the server sees that the others are gone, and undoes what they had begun.
func (d *tunnel) turn(dark bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dark = dark
	for p := range d.open {
		p.dark = p.dark || dark
		if p.dark && !dark {
			_ = p.ends[1].Close()
		}
	}
}

// TestServerFallsSilent: a statement that nobody answers ends, and leaves nothing behind; a commit that nobody answers is unknown; and when the
// server is there again, so are we. A statement of a migration takes as long as it takes.
func TestServerFallsSilent(t *testing.T) {
	t.Parallel()
	const silent = 2 * time.Second
	for _, engine := range storetest.Engines()[1:] {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			way, dsn := tunnelTo(t, storetest.Fresh(t, engine))
			db := openBare(t, dsn, Config{Silent: silent, Connections: 2})
			must(db.Migrate(t.Context()))(t)
			db = db.WithVault(openVault(t, db, gm.GenerateKey()))
			o := newOrder(db, "b1")
			create(t, db, o)
			note := func(tx *gorm.DB) error {
				return tx.Exec("UPDATE job SET note = ? WHERE ref = ?", "written", o.ID.No()).Error
			}
			notes := func() int64 { return count(t, db, "SELECT COUNT(*) FROM job WHERE note = ?", "written") }
			lasts := func(do func() error) (time.Duration, error) {
				begun := clock.Real{}.Now()
				err := do()
				way.turn(false)
				return clock.Real{}.Now().Sub(begun), err
			}
			for _, step := range []struct {
				name string
				do   func() error
				is   bool // ErrCommit
			}{
				{"a statement", func() error {
					return db.write(t.Context(), func(tx *gorm.DB) error { way.turn(true); return note(tx) })
				}, false},
				{"a commit", func() error {
					return db.write(t.Context(), func(tx *gorm.DB) error { defer way.turn(true); return note(tx) })
				}, true},
				{"a reading", func() error { way.turn(true); return db.Ping(t.Context()) }, false},
			} {
				check(t, db.Ping(t.Context())) // there is a connection
				took, err := lasts(step.do)
				if took < silent/2 || took > 10*silent {
					t.Errorf("%s into silence took %v", step.name, took)
				}
				if err == nil || errors.Is(err, ErrCommit) != step.is || (fault.KindOf(err) == fault.Unknown) != step.is {
					t.Errorf("%s into silence: %v", step.name, err)
				}
				if n := notes(); n != 0 {
					t.Errorf("%s into silence was done %d times", step.name, n)
				}
			}
			check(t, db.write(t.Context(), note))
			if n := notes(); n != 1 {
				t.Errorf("afterwards written %d times, want once", n)
			}

			sleep := fmt.Sprintf(map[string]string{"postgres": "SELECT pg_sleep(%d)", "mysql": "SELECT SLEEP(%d)"}[engine], silent/time.Second+1)
			if err := db.read(t.Context()).Exec(sleep).Error; err == nil {
				t.Error("a statement may take longer than a server may be silent")
			}
			patient := must(db.target.pool(0))(t)
			defer func() { _ = patient.Close() }()
			must(patient.ExecContext(t.Context(), sleep))(t)
		})
	}
}
