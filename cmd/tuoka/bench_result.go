package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// benched is what bench prints. Times are in milliseconds unless said; CPU is of all cores together, for each payment.
type benched struct {
	Engine     string      `json:"engine"`
	Route      string      `json:"route"`
	Nodes      int         `json:"nodes"`
	Clients    int         `json:"clients,omitempty"`
	Rate       int         `json:"rate,omitempty"`
	Cores      int         `json:"cores"`
	Payments   int         `json:"payments"`
	DurationMS int64       `json:"duration_ms"`
	PerSecond  json.Number `json:"payments_per_s"`
	P50        json.Number `json:"p50_ms"` // of a payment, from the list of bills to the posted order
	P95        json.Number `json:"p95_ms"`
	P99        json.Number `json:"p99_ms"`
	OwnP50     json.Number `json:"own_p50_ms"` // of a request to our API, without the counterparts' time
	OwnP95     json.Number `json:"own_p95_ms"`
	OwnP99     json.Number `json:"own_p99_ms"`
	Commits    json.Number `json:"commits_per_payment"`
	Statements json.Number `json:"statements_per_payment"`
	CPU        json.Number `json:"cpu_ms_per_payment"` // ours, the database's and the simulators'; not the load's
	CPUOurs    json.Number `json:"cpu_ours_ms"`
	CPUData    json.Number `json:"cpu_database_ms"`
	CPUSims    json.Number `json:"cpu_simulators_ms"`
	CPULoad    json.Number `json:"cpu_load_ms"`
	KB         json.Number `json:"kb_per_payment"` // allocated by us
	Allocs     json.Number `json:"allocs_per_payment"`
	Backlog    int64       `json:"backlog_ms"` // how long the oldest job was due when the load ended
	Sync       json.Number `json:"disk_sync_ms"`
	BareRate   json.Number `json:"bare_commits_per_s"`
	Bound      json.Number `json:"bound_payments_per_s"` // by bare commits or by CPU, whichever is less
	BoundBy    string      `json:"bound_by"`
	OfBound    json.Number `json:"percent_of_bound"`
	Unfinished int         `json:"unfinished"`
	Mismatches int         `json:"mismatches"`
}

// tenth prints n thousandths as a decimal.
func tenth(thousandths int64) json.Number {
	return json.Number(fmt.Sprintf("%d.%02d", thousandths/1000, thousandths%1000/10))
}

func milli(d time.Duration) json.Number { return tenth(d.Microseconds()) }

func (b *bencher) result(played []*player, before, after spent, took time.Duration) *benched {
	n := int64(max(len(played), 1))
	per := func(count int64) json.Number { return tenth(count * 1000 / n) }
	cpu := func(d time.Duration) json.Number { return milli(d / time.Duration(n)) }
	times := make([]time.Duration, len(played))
	for i, p := range played {
		times[i] = p.took
	}
	slices.Sort(times)
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.own)
	r := &benched{Engine: b.engine, Route: b.route, Nodes: b.nodes, Rate: b.rate, Cores: runtime.NumCPU(), Payments: len(played), DurationMS: took.Milliseconds(),
		PerSecond: tenth(n * 1_000_000 / max(took.Milliseconds(), 1)),
		P50:       milli(part(times, 50)), P95: milli(part(times, 95)), P99: milli(part(times, 99)),
		OwnP50: milli(part(b.own, 50)), OwnP95: milli(part(b.own, 95)), OwnP99: milli(part(b.own, 99)),
		Commits: per(after.Commits - before.Commits), Statements: per(after.Statements - before.Statements),
		CPUOurs: cpu(after.ours - before.ours), CPUData: cpu(after.data - before.data), CPUSims: cpu(after.sims - before.sims),
		CPULoad: cpu(after.load - before.load), KB: per(int64((after.Bytes - before.Bytes) >> 10)),
		Allocs: per(int64(after.Allocs - before.Allocs))} //nolint:gosec // far below
	if b.rate == 0 {
		r.Clients = b.clients
	}
	r.CPU = cpu(after.ours - before.ours + after.data - before.data + after.sims - before.sims)
	return r
}

// part is the value below which so many of a hundred are.
func part(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}

func (r *benched) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	var b strings.Builder
	row := func(name string, value any) { fmt.Fprintf(&b, "  %-34s %12v\n", name, value) }
	fmt.Fprintf(&b, "%s, route %s, %d node(s), %d cores\n", r.Engine, r.Route, r.Nodes, r.Cores)
	row("payments", r.Payments)
	row("payments a second", r.PerSecond)
	row("one payment, median, ms", r.P50)
	row("95 of 100", r.P95)
	row("99 of 100", r.P99)
	row("our own time in a request, median", r.OwnP50)
	row("95 of 100", r.OwnP95)
	row("99 of 100", r.OwnP99)
	row("commits a payment", r.Commits)
	row("statements a payment", r.Statements)
	row("CPU a payment, ms", r.CPU)
	row("  ours", r.CPUOurs)
	row("  the database's", r.CPUData)
	row("  the simulators'", r.CPUSims)
	row("  the load's, beside them", r.CPULoad)
	row("allocated a payment, KB", r.KB)
	row("allocations a payment", r.Allocs)
	row("oldest job due at the end, ms", r.Backlog)
	row("disk sync, ms", r.Sync)
	row("bare commits a second", r.BareRate)
	row("bound, payments a second", string(r.Bound)+" ("+r.BoundBy+")")
	row("reached of it, percent", r.OfBound)
	row("not completed", r.Unfinished)
	row("mismatches", r.Mismatches)
	fmt.Fprintf(&b, "BenchmarkPayment/%s/%s/nodes=%d %d %d ns/op %s payments/s %s cpu-ms/op %s commits/op %s statements/op\n", r.Engine, r.Route, r.Nodes, r.Payments,
		r.DurationMS*1_000_000/int64(max(r.Payments, 1)), r.PerSecond, r.CPU, r.Commits, r.Statements)
	_, err := io.WriteString(out, b.String())
	return err
}
