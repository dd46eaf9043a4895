package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/store/storetest"
)

// smallTable is how many rows a statement of every payment may read from end to end.
const smallTable = 10_000

// TestPlansOfLargeTables plays payments and refunds, end to end, on a database that tuoka fill has filled, and asks the engine how it finds the rows of
// every statement that was sent, the workers' looks among them. No table that is not small is read from end to end: neither with the values that were sent,
// nor, on PostgreSQL, in the plan that it keeps for any values.
func TestPlansOfLargeTables(t *testing.T) {
	data, dsn := storetest.Filled(t)
	sent := &sentStatements{}
	p := openPremisesOn(t, data, store.Config{DSN: dsn, Sent: sent.add})
	playEverything(t, p)
	p.close()
	if dsn == "" {
		dsn = data + "/tuoka.db"
	}
	pool, engine, err := store.Pool(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	pool.SetMaxOpenConns(1) // what is set for the connection holds for all
	var rows int64
	if err := pool.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM orders").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows <= smallTable {
		t.Fatalf("%d orders: no table is large", rows)
	}
	explained := 0
	for text, values := range sent.all {
		if !planned.MatchString(text) {
			continue
		}
		explained++
		for _, scan := range scansOf(t, pool, engine, text, values) {
			t.Errorf("%s: %s", scan, text)
		}
	}
	t.Logf("%s, %d orders: %d statements explained", engine, rows, explained)
	for what, text := range map[string]string{"due jobs": `FROM .?job.? WHERE due_us <= \S+ AND kind IN`, "backlog": `FROM job WHERE due_us <=`, "unread notices": `handled_us = 0`,
		"node lease": `UPDATE node_lease`, "waiting reader": `SELECT version FROM orders`, "an order by its number": `FROM payment WHERE institution`,
		"open cases": `FROM .?review_case.? WHERE open_marker = 1`, "a finished job": `INSERT INTO job_history`} {
		if !slices.ContainsFunc(sent.texts(), regexp.MustCompile(text).MatchString) {
			t.Errorf("nobody asked for %s", what)
		}
	}
}

// planned are statements that look for rows.
var planned = regexp.MustCompile(`(?s)^(SELECT|UPDATE|DELETE|INSERT INTO job_history)\b.*\b(FROM|WHERE)\b`)

// playEverything has patients do what they can, and lets the workers and the staff look.
func playEverything(t *testing.T, p *premises) {
	t.Helper()
	for i, hospital := range []string{"h1", "h2", "h1", "h2"} {
		one := p.patient(hospital, uint64(5+i))
		p.steps(one, one.payBill, one.giveBack)
		for _, path := range []string{"/orders", "/orders?limit=20", "/orders/live", "/orders/" + one.order.ID, "/orders/" + one.order.ID + "/receipt", "/consents", "/patients"} {
			if err := one.call(t.Context(), http.MethodGet, path, nil, nil); err != nil && !strings.Contains(err.Error(), "404") {
				t.Fatalf("%s: %v", path, err)
			}
		}
		if one.order.State != "completed" || len(one.order.Refunds) == 0 {
			t.Fatalf("order %s is %s, with %d refunds", one.order.ID, one.order.State, len(one.order.Refunds))
		}
		idle := p.patient(hospital, uint64(50+i))
		p.steps(idle, idle.seeBill, idle.quote)
		if err := idle.call(t.Context(), http.MethodPost, "/orders/"+idle.order.ID+"/cancel", nil, nil); err != nil {
			t.Fatal(err)
		}
		p.wait("the order is closed", func() bool { return p.look(idle).State == "closed" })
		staffLooks(t, p, one.order.ID)
	}
}

func staffLooks(t *testing.T, p *premises, no string) {
	t.Helper()
	id, err := order.ParseID(no)
	if err != nil {
		t.Fatal(err)
	}
	ctx, db := t.Context(), p.house.db
	lease, err := db.LeaseNode(ctx, "plans")
	if err != nil {
		t.Fatal(err)
	}
	for _, look := range []func() error{
		func() error { return db.RenewNode(ctx, lease) },
		func() error { return db.ReturnNode(ctx, lease) },
		func() error { _, _, err := db.Jobs().Backlog(ctx, clock.Real{}.Now()); return err },
		func() error { _, err := db.Orders().Cases(ctx, "h1", 50); return err },
		func() error { _, err := db.Orders().Cases(ctx, "", 50); return err },
		func() error { _, err := db.Orders().History(ctx, id); return err },
		func() error { _, err := db.Inbox().Unread(ctx, []string{"h1"}, 20); return err },
		func() error {
			_, err := db.Jobs().Due(ctx, []string{order.JobKind}, []string{"h1"}, clock.Real{}.Now(), 8)
			return err
		},
		func() error { _, err := db.WithVault(p.house.vault).Orders().Load(ctx, id); return err }, // as a process that has never seen it
	} {
		if err := look(); err != nil {
			t.Fatal(err)
		}
	}
}

// sentStatements are those that were sent, each with the values that it had last.
type sentStatements struct {
	mu  sync.Mutex
	all map[string][]any
}

func (s *sentStatements) add(text string, values ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string][]any{}
	}
	s.all[text] = slices.Clone(values)
}

func (s *sentStatements) texts() []string {
	var list []string
	for text := range s.all {
		list = append(list, text)
	}
	return list
}

// scansOf tells which large tables a statement would read from end to end.
func scansOf(t *testing.T, pool *sql.DB, engine, text string, values []any) []string {
	t.Helper()
	switch engine {
	case "postgres":
		return append(postgresScans(t, pool, "EXPLAIN (FORMAT JSON) "+text, values...), genericScans(t, pool, text, len(values))...)
	case "mysql":
		var plan any
		if err := json.Unmarshal([]byte(planOf(t, pool, "EXPLAIN FORMAT=JSON "+text, values...)), &plan); err != nil {
			t.Fatal(err)
		}
		return largeAmong(t, pool, text, mysqlScans(plan))
	}
	return fileScans(t, pool, text, values)
}

// planOf is what an engine answers, line under line.
func planOf(t *testing.T, pool *sql.DB, question string, values ...any) string {
	t.Helper()
	var lines []string
	rows, err := pool.QueryContext(t.Context(), question, values...)
	if err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return strings.Join(lines, "\n")
}

// genericScans asks for the plan that PostgreSQL keeps for a prepared statement, whatever its values.
func genericScans(t *testing.T, pool *sql.DB, text string, values int) []string {
	t.Helper()
	for _, statement := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE asked AS " + text} {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	defer func() { _, _ = pool.ExecContext(context.WithoutCancel(t.Context()), "DEALLOCATE asked") }()
	question := "EXPLAIN (FORMAT JSON) EXECUTE asked"
	if values > 0 {
		question += "(" + strings.TrimSuffix(strings.Repeat("NULL,", values), ",") + ")"
	}
	scans := postgresScans(t, pool, question)
	for i := range scans {
		scans[i] = "for any values " + scans[i]
	}
	return scans
}

// postgresPlan is a node of a plan, with those below it.
type postgresPlan struct {
	Node  string         `json:"Node Type"`
	Table string         `json:"Relation Name"`
	Index string         `json:"Index Name"`
	Cond  string         `json:"Index Cond"`
	Rows  float64        `json:"Plan Rows"`
	Plans []postgresPlan `json:"Plans"`
}

func postgresScans(t *testing.T, pool *sql.DB, question string, values ...any) []string {
	t.Helper()
	var plans []struct{ Plan postgresPlan }
	if err := json.Unmarshal([]byte(planOf(t, pool, question, values...)), &plans); err != nil {
		t.Fatal(err)
	}
	var scans []string
	var walk func(p postgresPlan)
	walk = func(p postgresPlan) {
		if p.Table != "" && (p.Node == "Seq Scan" || (strings.HasPrefix(p.Node, "Index") && p.Cond == "")) {
			var rows float64
			if err := pool.QueryRowContext(t.Context(), "SELECT reltuples FROM pg_class WHERE relname = '"+p.Table+"' AND relkind = 'r'").Scan(&rows); err != nil {
				t.Fatal(err)
			}
			if rows > smallTable {
				scans = append(scans, fmt.Sprintf("%s of %s (%.0f rows)", p.Node, p.Table, rows))
			}
		}
		for _, below := range p.Plans {
			walk(below)
		}
	}
	for _, p := range plans {
		walk(p.Plan)
	}
	return scans
}

// mysqlScans gives the tables that a plan reads from end to end, wherever they stand in it: by themselves or by a whole index. How many rows are read
// it does not tell where there is a LIMIT.
func mysqlScans(plan any) (scans []string) {
	switch x := plan.(type) {
	case map[string]any:
		access, _ := x["access_type"].(string)
		if table, ok := x["table_name"].(string); ok && (access == "ALL" || access == "index") {
			scans = append(scans, table)
		}
		for _, below := range x {
			scans = append(scans, mysqlScans(below)...)
		}
	case []any:
		for _, below := range x {
			scans = append(scans, mysqlScans(below)...)
		}
	}
	return scans
}

// largeAmong are those tables that are not small. A plan calls them as the statement does.
func largeAmong(t *testing.T, pool *sql.DB, text string, names []string) (large []string) {
	t.Helper()
	for _, name := range names {
		if strings.HasPrefix(name, "<") { // what another part of the statement has found
			continue
		}
		if table := regexp.MustCompile(`(?i)\b(?:FROM|JOIN)\s+(\w+)\s+(?:AS\s+)?` + name + `\b`).FindStringSubmatch(text); table != nil {
			name = table[1]
		}
		var n int64
		if err := pool.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM `"+name+"`").Scan(&n); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if n > smallTable {
			large = append(large, fmt.Sprintf("scan of %s (%d rows)", name, n))
		}
	}
	return large
}

// fileScans reads SQLite's plan: SEARCH is by an index, SCAN from end to end.
func fileScans(t *testing.T, pool *sql.DB, text string, values []any) []string {
	t.Helper()
	rows, err := pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, values...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		if name, scan := strings.CutPrefix(detail, "SCAN "); scan && name != "CONSTANT ROW" {
			name, _, _ = strings.Cut(name, " ")
			names = append(names, name)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return largeAmong(t, pool, text, names)
}
