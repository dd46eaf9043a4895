package main

import (
	"sync"
	"testing"
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
		one := p.patient("h1", uint64(i)+1)
		p.steps(one, one.seeBill, one.quote)
		for one.order.NextAction != "pay" && !one.order.over() {
			if one.order.NextAction == "confirm" {
				if err := one.confirm(t.Context(), one.client.chance.Nonce(24)); err != nil {
					t.Fatal(err)
				}
			}
			p.look(one)
		}
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
