package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/money"
)

// TestSharedBills: a window clerk and a patient want the same bill. Whoever is first, it is paid once: the other is refused, or has every fen back, and the HIS
// books one payment. On every route, whatever the HIS speaks.
func TestSharedBills(t *testing.T) {
	t.Parallel()
	for _, his := range []string{"rest", "soap", "fhir"} {
		t.Run(his, func(t *testing.T) {
			t.Parallel()
			p := openPremisesSpeaking(t, his)
			for i, h := range p.sims.hospitals {
				d := till{premises: p, hospital: h, seed: uint64(100 * (i + 1)), cause: "bill_paid_elsewhere"}
				if h.config.Link != nil { // there the HIS refuses to settle
					d.cause = "insurer_refused"
				}
				t.Run(h.config.ID, func(t *testing.T) {
					t.Parallel()
					t.Run("the window before the patient has agreed", d.beforeConsent)
					t.Run("the window while the patient is at the cashier", d.atTheCashier)
					t.Run("the window between the payment and the booking", d.beforeBooking)
					t.Run("the window after the phone", d.afterwards)
				})
			}
		})
	}
}

// till is the window of a hospital.
type till struct {
	*premises
	hospital *hospital
	seed     uint64
	cause    string // of an order that the window has overtaken when it was paid
}

// patientWhoPays has a quote for an insured bill with something to pay by WeChat.
func (d *till) patientWhoPays(t *testing.T) *player {
	t.Helper()
	for {
		d.seed++
		one := d.patient(d.hospital.config.ID, d.seed)
		d.steps(one, one.seeBill, one.quote)
		d.wait("the quote", func() bool { return d.look(one).NextAction != "wait" })
		if one.order.ChargeFen > 0 && one.order.ChargeFen < one.order.TotalFen {
			return one
		}
	}
}

func (d *till) agrees(t *testing.T, one *player) {
	t.Helper()
	if err := one.confirm(t.Context(), one.client.chance.Nonce(24)); err != nil {
		t.Fatal(err)
	}
	d.wait("the cashier", func() bool { return d.look(one).NextAction == "pay" })
}

// takes has the window take the money, even of a locked bill where the clerk breaks the lock.
func (d *till) takes(t *testing.T, one *player, breaks bool) error {
	t.Helper()
	bill := one.role.Bills[0]
	if breaks {
		if err := d.hospital.his.Distort(hissim.Oddity{Op: "window", Key: bill, Kind: hissim.IgnoreLock, Times: 1}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := d.hospital.his.PayAtWindow(bill)
	return err
}

// ends waits for the order's end and compares everybody's books: paid once, told once.
func (d *till) ends(t *testing.T, one *player, state, cause string, byWindow bool) {
	t.Helper()
	d.wait("the order's end", func() bool { return d.look(one).over() })
	o := &one.order
	if o.State != state || (cause != "" && o.Cause != cause) {
		t.Errorf("order %s is %s (%s), want %s (%s)", o.ID, o.State, o.Cause, state, cause)
	}
	books := must(t, func(ctx context.Context) (*books, error) { return one.client.readBooks(ctx) })
	h := holdings(o, books)
	var window money.Fen
	for _, w := range d.hospital.his.Truth().Window {
		if w.BillNo == one.role.Bills[0] {
			window += w.TotalFen
		}
	}
	var posted money.Fen
	for _, b := range h.posted {
		posted += b.TotalFen
	}
	want := [4]string{"0.00", fmt.Sprint(o.TotalFen), fmt.Sprint(o.ChargeFen), "1"}
	if byWindow {
		want = [4]string{fmt.Sprint(o.TotalFen), "0.00", "0.00", "0"}
	}
	if got := [4]string{fmt.Sprint(window), fmt.Sprint(posted), fmt.Sprint(h.wechat), fmt.Sprint(len(h.inForce))}; got != want {
		t.Errorf("order %s: the window took, the HIS has booked, WeChat and the insurer hold %v, want %v", o.ID, got, want)
	}
	if h.payable || h.locked {
		t.Errorf("order %s: payable %v, locked %v", o.ID, h.payable, h.locked)
	}
}

func must[T any](t *testing.T, do func(ctx context.Context) (T, error)) T {
	t.Helper()
	v, err := do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (d *till) beforeConsent(t *testing.T) {
	one := d.patientWhoPays(t)
	if err := d.takes(t, one, false); err != nil {
		t.Fatal(err)
	}
	_ = one.confirm(t.Context(), one.client.chance.Nonce(24)) // refused or not, nothing is taken
	d.ends(t, one, "closed", "bill_paid_elsewhere", true)
}

func (d *till) atTheCashier(t *testing.T) {
	one := d.patientWhoPays(t)
	d.agrees(t, one)
	if err := d.takes(t, one, false); !errors.Is(err, hissim.ErrHeld) {
		t.Fatalf("the window takes a locked bill: %v", err)
	}
	if err := d.takes(t, one, true); err != nil {
		t.Fatal(err)
	}
	if err := one.cashier(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.ends(t, one, "unwound", d.cause, true)
}

// beforeBooking: the HIS does not answer when the money is there, and takes the bill at the window meanwhile.
func (d *till) beforeBooking(t *testing.T) {
	one := d.patientWhoPays(t)
	d.agrees(t, one)
	addr := d.stage.addr(hisPort(d.place()))
	open := make(chan struct{})
	d.mu.Lock()
	d.shut[addr] = open
	d.mu.Unlock()
	if err := one.cashier(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.wait("the HIS is asked to book it", func() bool { return d.waiting(addr) > 0 })
	if err := d.takes(t, one, true); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	delete(d.shut, addr)
	d.mu.Unlock()
	close(open)
	d.ends(t, one, "unwound", d.cause, true)
}

func (d *till) afterwards(t *testing.T) {
	one := d.patientWhoPays(t)
	d.agrees(t, one)
	if err := one.cashier(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.wait("the order is booked", func() bool { return d.look(one).over() })
	if err := d.takes(t, one, true); !errors.Is(err, hissim.ErrState) {
		t.Errorf("the window takes a paid bill: %v", err)
	}
	d.ends(t, one, "completed", "", false)
}

// place is the hospital's among all.
func (d *till) place() int {
	for i, h := range d.sims.hospitals {
		if h == d.hospital {
			return i
		}
	}
	return -1
}
