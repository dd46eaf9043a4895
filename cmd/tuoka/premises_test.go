package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/callback"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/store"
)

// premises are a house with its counterparts in this process, on a database file, without a port. They live in the machine's time.
type premises struct {
	t     *testing.T
	data  string
	stage stage
	house *house
	sims  *simulators
	api   http.Handler
	notes http.Handler // our callback face
	stop  context.CancelFunc

	mu    sync.Mutex
	calls map[string]int // what we asked the counterparts: by path, of the insurer by infno

	shut map[string]chan struct{} // addresses that do not answer until the channel is closed
	held map[string]int           // how many wait there
}

// openPremises makes and starts everything in that folder: workers, too.
func openPremises(t *testing.T, data string) *premises {
	t.Helper()
	return openPremisesOn(t, data, store.Config{})
}

// openPremisesOn is openPremises on a database elsewhere than in the folder, or with somebody who is told of statements.
func openPremisesOn(t *testing.T, data string, at store.Config) *premises {
	t.Helper()
	p := makePremises(t, data, at, config.Redis{})
	p.work()
	return p
}

// openPremisesSpeaking is openPremises with hospitals whose HIS speaks so.
func openPremisesSpeaking(t *testing.T, his string) *premises {
	t.Helper()
	data := t.TempDir()
	p := makePremisesOf(t, stage{dir: data, base: 8080, his: his}, store.Config{}, config.Redis{})
	p.work()
	return p
}

// work starts everybody who works.
func (p *premises) work() {
	p.t.Helper()
	working, stop := context.WithCancel(context.Background())
	p.stop = stop
	var err error
	if p.api, err = p.house.api(working.Done()); err != nil {
		p.t.Fatal(err)
	}
	p.house.work(working)
	p.sims.repeat(working, p.sims.nhsa.StepCentre)
	for _, one := range p.sims.hospitals {
		p.sims.repeat(working, one.pay.Step)
		p.sims.repeat(working, one.his.Step)
	}
}

// makePremises makes everything, but nobody works. Without a DSN the database is in the folder, without an address the Redis is embedded.
func makePremises(t *testing.T, data string, db store.Config, redis config.Redis) *premises {
	t.Helper()
	return makePremisesOf(t, stage{dir: data, base: 8080, dsn: db.DSN}, db, redis)
}

func makePremisesOf(t *testing.T, st stage, db store.Config, redis config.Redis) *premises {
	t.Helper()
	p := &premises{t: t, data: st.dir, stage: st, calls: map[string]int{}, shut: map[string]chan struct{}{}, held: map[string]int{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := p.stage.sandboxConfig("")
	must(err)
	cfg.CallTimeout, cfg.CallLimit = time.Minute, 2*time.Minute // a slow machine is no lost answer
	must(p.stage.claim(hospitalsOf(cfg)))
	at := world{clock: clock.Real{}, wire: p}
	h := &house{config: cfg, world: at, log: slog.New(slog.DiscardHandler), bills: map[string]bill.Source{}, notices: map[string]callback.Source{},
		wake: make(chan struct{}, 1)}
	h.source = clock.NewSource(h.clock, 0)
	parties, institutions, err := h.counterparts()
	must(err)
	h.db, h.vault, err = openStore(t.Context(), cfg, db, h.clock, h.source)
	must(err)
	h.storage = storage{h.db.Orders(), h.db.Jobs(), h.db.Inbox()}
	h.cache, err = openCache(t.Context(), redis)
	must(err)
	must(h.furnish(parties, institutions, "premises"))
	p.house = h
	p.sims, err = openSimulators(p.stage, cfg, at, counterpartsSource())
	must(err)
	p.stop = func() {}
	p.api, err = h.api(nil)
	must(err)
	p.notes = callback.Handler(h.inbox, h.notices, hisDesk{h.orders}, callback.Gateway{}, h.nudge)
	t.Cleanup(p.close)
	return p
}

// close ends everything, so that a command finds the database free. Again it does nothing.
func (p *premises) close() {
	if p.stop == nil {
		return
	}
	p.stop()
	p.stop = nil
	for _, end := range []func() error{p.sims.close, p.house.close, p.stage.release} {
		if err := end(); err != nil {
			p.t.Errorf("close: %v", err)
		}
	}
}

// RoundTrip is the wire between us and the counterparts, both ways.
func (p *premises) RoundTrip(r *http.Request) (*http.Response, error) {
	name, handler := r.URL.Path, p.handler(r.URL.Host)
	if handler == nil {
		return nil, sandbox.ErrBroken
	}
	if r.URL.Host == p.stage.addr(insurerPort) && r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var in struct {
			Infno string `json:"infno"`
		}
		if json.Unmarshal(body, &in) == nil && in.Infno != "" {
			name = in.Infno
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	p.mu.Lock()
	p.calls[name]++
	shut := p.shut[r.URL.Host]
	p.mu.Unlock()
	if shut != nil {
		if err := p.hold(r, shut); err != nil {
			return nil, err
		}
	}
	return sandbox.Direct(handler).RoundTrip(r)
}

// hold lets a request wait at an address that is shut.
func (p *premises) hold(r *http.Request, shut chan struct{}) error {
	count := func(n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.held[r.URL.Host] += n
	}
	count(1)
	defer count(-1)
	select {
	case <-shut:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

// waiting is how many requests wait at an address that is shut.
func (p *premises) waiting(addr string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[addr]
}

func (p *premises) handler(addr string) http.Handler {
	switch addr {
	case p.stage.addr(callbackPort):
		return p.notes
	case p.stage.addr(wechatMPPort):
		return p.sims.mp.Handler()
	case p.stage.addr(insurerPort):
		return p.sims.nhsa.Handler()
	case p.stage.addr(centrePort):
		return p.sims.nhsa.CentreHandler()
	}
	for i, h := range p.sims.hospitals {
		switch addr {
		case p.stage.addr(wechatPayPort(i)):
			return h.pay.Handler()
		case p.stage.addr(hisPort(i)):
			return h.face()
		}
	}
	return nil
}

// called is how often the counterparts were asked something whose name ends so.
func (p *premises) called(suffix string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, times := range p.calls {
		if strings.HasSuffix(name, suffix) {
			n += times
		}
	}
	return n
}

// patient is a new person with one bill at a hospital, signed in, enrolled and, where insured, authorised.
func (p *premises) patient(institution string, seed uint64) *player {
	p.t.Helper()
	door := p.sims.phone()
	front := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			p.api.ServeHTTP(w, r)
			return
		}
		door.ServeHTTP(w, r)
	})
	c := &phoneClient{base: "http://phone", clock: clock.Real{}, chance: clock.NewSource(clock.Real{}, clock.Nodes-2), about: p.sims.about(),
		http: &http.Client{Transport: sandbox.Direct(front)}}
	roles, err := p.sims.cast(institution, 1, seed, false)
	if err != nil {
		p.t.Fatal(err)
	}
	one := &player{client: c, role: roles[0], seed: 1}
	p.steps(one, one.login, one.consent, one.enrol, one.authorise)
	return one
}

// steps takes steps that a patient may have to take again.
func (p *premises) steps(one *player, steps ...func(context.Context) error) {
	p.t.Helper()
	for _, step := range steps {
		if err := one.persist(p.t.Context(), step); err != nil {
			p.t.Fatal(err)
		}
	}
}

// wait lets the workers do their work until something holds.
func (p *premises) wait(what string, holds func() bool) {
	p.t.Helper()
	for end := (clock.Real{}).Now().Add(time.Minute); !holds(); {
		if (clock.Real{}).Now().After(end) {
			p.t.Fatalf("in a minute not: %s", what)
		}
		_ = clock.Real{}.Sleep(p.t.Context(), 50*time.Millisecond)
	}
}

// look gives the order as the patient sees it.
func (p *premises) look(one *player) *orderView {
	p.t.Helper()
	if err := one.call(p.t.Context(), http.MethodGet, "/orders/"+one.order.ID, nil, &one.order); err != nil {
		p.t.Fatal(err)
	}
	return &one.order
}

// count asks the database beside the service, as somebody with the file in hand.
func count(t *testing.T, data, query string, args ...any) int {
	t.Helper()
	db := openFile(t, data)
	defer func() { _ = db.Close() }()
	var n int
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func openFile(t *testing.T, data string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "tuoka.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}
