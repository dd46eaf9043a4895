package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/store"
)

// What a payment may cost the database. Whoever adds to it finds room elsewhere.
const (
	mostStatements = 60
	mostCommits    = 12
)

// TestCostOfAPayment: what a payment asks of the database, from the list of bills to the posting, with a cashier who pays at once and a patient whose
// phone looks once after it. Everything is counted: the order, its job, the inbox, the idempotency records, the ledger, the audit. Nobody looks idly.
func TestCostOfAPayment(t *testing.T) {
	p := makePremises(t, t.TempDir(), store.Config{}, config.Redis{})
	one := p.patient("h1", 5)
	if !one.insured() {
		t.Fatal("a patient without insurance costs less")
	}
	step := func(what string, do func(ctx context.Context) error) store.Counts {
		t.Helper()
		before := p.house.db.Counts()
		if err := do(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		after := p.house.db.Counts()
		n := store.Counts{Statements: after.Statements - before.Statements, Commits: after.Commits - before.Commits}
		t.Logf("%-20s %3d statements %3d commits", what, n.Statements, n.Commits)
		return n
	}
	notice := func(ctx context.Context) error { // WeChat tells, which wakes the look-out: it looks until nothing is left
		p.sims.hospitals[0].pay.Step(ctx)
		for found := true; found; {
			found = false
			if _, err := p.house.orders.Look(ctx, idle, func() { found = true }); err != nil {
				return err
			}
		}
		return nil
	}
	total := store.Counts{}
	for _, s := range []struct {
		what string
		do   func(ctx context.Context) error
	}{
		{"see the bill", one.seeBill},
		{"quote", one.quote},
		{"confirm", func(ctx context.Context) error { return one.confirm(ctx, "a-key-of-a-confirmation") }},
		{"cashier", one.cashier},
		{"notice", notice},
		{"look", func(ctx context.Context) error {
			return one.call(ctx, http.MethodGet, "/orders/"+one.order.ID, nil, &one.order)
		}},
	} {
		n := step(s.what, s.do)
		total.Statements += n.Statements
		total.Commits += n.Commits
	}
	if one.order.State != "completed" {
		t.Fatalf("the order is %s: %s", one.order.State, one.order.Cause)
	}
	t.Logf("a payment: %d statements, %d commits", total.Statements, total.Commits)
	if total.Statements > mostStatements || total.Commits > mostCommits {
		t.Errorf("more than the %d statements and %d commits that a payment may cost: read once what is needed twice, and write together what belongs together",
			mostStatements, mostCommits)
	}
}
