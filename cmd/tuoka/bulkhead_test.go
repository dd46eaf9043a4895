package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/store/storetest"
)

// TestBulkhead: WeChat Pay does not answer for one hospital, whose orders all want to ask it; patients of the other hospital pay meanwhile, from
// the bill to the posted order, and not one call of the first has ended by then. Counted, not timed: nobody waits for a slot of another.
func TestBulkhead(t *testing.T) {
	t.Parallel()
	p := openPremises(t, t.TempDir())
	dead := p.stage.addr(wechatPayPort(0))
	slots := p.house.config.Workers
	var stuck []*player
	for i := range 3 * slots {
		one := p.prepared("h1", uint64(i)+1)
		if one.order.NextAction == "pay" { // a few have nothing to pay by themselves
			stuck = append(stuck, one)
		}
	}
	if len(stuck) < 2*slots {
		t.Fatalf("only %d patients have to pay", len(stuck))
	}
	open := make(chan struct{})
	p.mu.Lock()
	p.shut[dead] = open
	p.mu.Unlock()
	var end sync.Once
	release := func() { end.Do(func() { close(open) }) }
	defer release()
	for _, one := range stuck { // the cashier gives what was prepared; WeChat's own side works
		if err := one.cashier(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.wait("every slot of the hospital is taken", func() bool { return p.waiting(dead) >= slots })
	for i := range 4 {
		one := p.patient("h2", uint64(i)+1)
		if err := one.payBill(t.Context()); err != nil || one.order.State != "completed" {
			t.Errorf("a patient of the other hospital: %s (%s), %v", one.order.State, one.order.Cause, err)
		}
	}
	if n := p.waiting(dead); n != slots {
		t.Errorf("%d calls of the first hospital wait, want all %d of its slots", n, slots)
	}
	p.mu.Lock()
	delete(p.shut, dead)
	p.mu.Unlock()
	release()
	for _, one := range stuck {
		p.wait("an order of the first hospital ends", func() bool { return p.look(one).over() })
		if one.order.State != "completed" {
			t.Errorf("order %s of the first hospital: %s (%s)", one.order.ID, one.order.State, one.order.Cause)
		}
	}
}

// prepared is a patient whose order waits for the password.
func (p *premises) prepared(institution string, seed uint64) *player {
	p.t.Helper()
	one := p.patient(institution, seed)
	p.steps(one, one.seeBill, one.quote)
	for one.order.NextAction != "pay" && !one.order.over() {
		if one.order.NextAction == "confirm" {
			if err := one.confirm(p.t.Context(), one.client.chance.Nonce(24)); err != nil {
				p.t.Fatal(err)
			}
		}
		p.look(one)
	}
	return one
}

// TestLockedRow: a row of one hospital's work is locked by somebody who is gone, and a server's locks outlive him for long; who pays at another
// hospital does not wait for it. Nothing of ours gives up waiting meanwhile.
func TestLockedRow(t *testing.T) {
	for _, engine := range storetest.Engines()[1:] { // a SQLite file has one writer
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.Fresh(t, engine)
			p := openPremisesOn(t, t.TempDir(), store.Config{DSN: dsn, Silent: time.Hour})
			stuck := p.prepared("h1", 5)
			pool, _, err := store.Pool(dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = pool.Close() }()
			gone, err := pool.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = gone.Rollback() }()
			if _, err := gone.ExecContext(t.Context(), "UPDATE job SET note = 'held' WHERE kind = 'order' AND ref = '"+stuck.order.ID+"'"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			for i := range 3 {
				one := p.patient("h2", uint64(7+i))
				if err := one.payBill(ctx); err != nil || one.order.State != "completed" {
					t.Fatalf("a patient of the other hospital: %s, %v", one.order.State, err)
				}
			}
			if err := gone.Rollback(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestLookOutStaysOne: notices that cannot be handled, for days perhaps, do not make the look-outs more. It runs alone, for it counts goroutines.
func TestLookOutStaysOne(t *testing.T) {
	p := openPremises(t, t.TempDir())
	stuck := p.prepared("h1", 5)
	for i := range 2 { // the window asks for the money of an order that is not paid
		body, err := json.Marshal(refund.AskedByHIS{HISNo: fmt.Sprint("T", i), OrderNo: stuck.order.ID, Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.house.inbox.Put(t.Context(), job.Notice{Source: "his/h1", ID: fmt.Sprint("T", i), Kind: refund.KindAsked, Number: stuck.order.ID, Body: body,
			ReceivedAt: p.house.clock.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 8 {
		one := p.patient("h2", uint64(i)+1)
		if err := one.payBill(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.wait("one look-out", func() bool {
		stacks := make([]byte, 4<<20)
		return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), ".(*house).lookOut(") == 1
	})
}
