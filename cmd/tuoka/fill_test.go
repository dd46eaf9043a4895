package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/store/storetest"
)

// fillOrders is how many copies the test makes: of each original and of each person several.
const fillOrders = 200

// TestFill: copies of finished orders are orders as the program writes them: each loads, verifies and adds up, has numbers and a patient of its own, and
// is noticed when somebody changes it; what each says of another row or number is said of its own.
func TestFill(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dsn, at := storetest.Fresh(t, engine), fillFlags{serveFlags: serveFlags{join: true, data: t.TempDir(), base: 8080}}
			if engine != "sqlite" {
				at.dsn = dsn
			}
			p := openPremisesOn(t, at.data, store.Config{DSN: at.dsn})
			real := payForCopies(t, p)
			p.close()
			at.orders, at.jobs, at.json = fillOrders, 100, true
			rows := filledRows(t, at)
			if rows["orders"] != fillOrders || rows["job"] != fillOrders/10+10 || rows["job_history"] < fillOrders+90 || rows["refund"] == 0 || rows["mixed_order"] == 0 ||
				rows["audit_record"] < 2*fillOrders || rows["session"] != fillOrders || rows["account"] < fillOrders/10 {
				t.Errorf("rows %v", rows)
			}
			filledRows(t, at) // again: ids and numbers are others
			checkCopies(t, at, real, 2*fillOrders+len(real))
		})
	}
}

// payForCopies has three patients pay, on both routes and one with a refund, and gives the orders.
func payForCopies(t *testing.T, p *premises) (real []order.ID) {
	t.Helper()
	for i, hospital := range []string{"h1", "h2", "h1"} {
		one := p.patient(hospital, uint64(5+i))
		p.steps(one, one.payBill)
		if i == 2 {
			p.steps(one, one.giveBack)
		}
		if one.order.State != "completed" {
			t.Fatalf("order %s is %s: %s", one.order.ID, one.order.State, one.order.Cause)
		}
		id, err := order.ParseID(one.order.ID)
		if err != nil {
			t.Fatal(err)
		}
		p.wait("the job is done", func() bool {
			_, found, err := p.house.db.Jobs().Find(t.Context(), order.JobKind, one.order.ID)
			return err == nil && !found
		})
		real = append(real, id)
	}
	return real
}

func filledRows(t *testing.T, at fillFlags) map[string]int64 {
	t.Helper()
	var out bytes.Buffer
	if err := fill(t.Context(), &out, io.Discard, at); err != nil {
		t.Fatal(err)
	}
	var r filled
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r.Rows
}

// checkCopies reads everything back.
func checkCopies(t *testing.T, at fillFlags, real []order.ID, want int) {
	t.Helper()
	cfg, _, err := at.load()
	if err != nil {
		t.Fatal(err)
	}
	db, _, err := openDatabase(t.Context(), cfg, clock.Real{}, clock.NewSource(clock.Real{}, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	orders, refunds, persons := 0, 0, map[patient.AccountID]int{}
	var copied *order.Order
	err = db.Orders().Each(t.Context(), "", func(o *order.Order, history []order.Event) error {
		orders++
		for _, finding := range order.Verify(o, history) {
			t.Errorf("order %s: %s", o.ID.No(), finding)
		}
		refunds += len(o.Refunds)
		persons[o.Account]++
		if slices.Contains(real, o.ID) {
			return nil
		}
		checkCopy(t, db, o, history, real)
		if len(o.Payments) > 0 {
			copied = o
		}
		return nil
	}, nil)
	if err != nil || orders != want || refunds < fillOrders/len(real) {
		t.Fatalf("%d orders and %d refunds, want %d: %v", orders, refunds, want, err)
	}
	for account, n := range persons {
		if n > 2*10*len(real) {
			t.Errorf("account %d has %d orders", account, n)
		}
	}
	tamper(t, at, db, copied)
}

// checkCopy: nothing in a copy speaks of an original.
func checkCopy(t *testing.T, db *store.DB, o *order.Order, history []order.Event, real []order.ID) {
	t.Helper()
	who, err := db.Patients().Patient(t.Context(), o.Account, o.Patient)
	if err != nil || who.CreatedAt.After(o.CreatedAt) {
		t.Errorf("order %s: its patient: %v", o.ID.No(), err)
	}
	told, err := json.Marshal([]any{o.Bills, o.Payments, o.Mixed, o.Settlements, o.Refunds, history})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range real {
		if bytes.Contains(told, []byte(id.No())) {
			t.Errorf("order %s speaks of its original", o.ID.No())
		}
	}
	for _, p := range o.Payments {
		if !strings.Contains(string(p.Request), p.OutTradeNo) {
			t.Errorf("order %s: the request of payment %s is not its own", o.ID.No(), p.OutTradeNo)
		}
	}
	if found, err := db.Orders().ByNumber(t.Context(), o.Institution, numberOf(o)); err != nil || found != o.ID {
		t.Errorf("order %s is not found by its number: %v", o.ID.No(), err)
	}
}

func numberOf(o *order.Order) string {
	if m := o.MixedOrder(); m != nil {
		return m.OutTradeNo
	}
	return o.Payments[0].OutTradeNo
}

// tamper changes a copy behind the program's back.
func tamper(t *testing.T, at fillFlags, db *store.DB, o *order.Order) {
	t.Helper()
	dsn := at.dsn
	if dsn == "" {
		dsn = at.data + "/tuoka.db"
	}
	pool, _, err := store.Pool(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	if _, err := pool.ExecContext(context.WithoutCancel(t.Context()), "UPDATE payment SET amount_fen = amount_fen + 1 WHERE order_id = "+o.ID.No()); err != nil {
		t.Fatal(err)
	}
	db.Forget()
	if _, err := db.Orders().Load(t.Context(), o.ID); err == nil || !strings.Contains(err.Error(), "payment") {
		t.Errorf("a changed copy loads: %v", err)
	}
}
