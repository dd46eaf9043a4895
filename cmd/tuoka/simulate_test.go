package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/split"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/store/storetest"
)

var simulatedSeeds = flag.Int("simulated", seedsInTest, "how many seeds TestSimulate plays")

func TestSimulate(t *testing.T) { playSeeds(t, *simulatedSeeds, "", "") }

// TestSimulateSOAP plays the first seeds with hospitals behind a vendor's WebService.
func TestSimulateSOAP(t *testing.T) { playSeeds(t, max(*simulatedSeeds/20, 10), "", "soap") }

// TestSimulateFHIR plays the first seeds with hospitals that are FHIR servers.
func TestSimulateFHIR(t *testing.T) { playSeeds(t, max(*simulatedSeeds/20, 10), "", "fhir") }

// TestSimulateOnServers plays the first seeds once more on each database server.
func TestSimulateOnServers(t *testing.T) {
	for _, engine := range storetest.Engines()[1:] {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			playSeeds(t, max(*simulatedSeeds/20, 10), storetest.Fresh(t, engine), "")
		})
	}
}

// playSeeds plays so many seeds and looks at what they report.
func playSeeds(t *testing.T, seeds int, dsn, his string) {
	t.Helper()
	var out bytes.Buffer
	err := simulate(t.Context(), &out, simulateFlags{seeds: fmt.Sprintf("1..%d", seeds), route: "all", workers: 2, keyBits: 1024, json: true, dsn: dsn, his: his})
	if err != nil {
		t.Fatalf("simulate: %v, printed %s", err, out.String())
	}
	var r simulated
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Seeds != seeds || r.Violations != 0 || r.Orders < 3*r.Seeds || r.Faults < r.Seeds || r.Kills == 0 || r.RefundsDone == 0 ||
		r.Ends["completed"] == 0 || r.Ends["completed"] == r.Orders {
		t.Errorf("the seeds played %+v", r)
	}
	t.Log(out.String())
}

// TestSimulateRepeats plays a seed twice, other seeds between, and wants the same, step by step.
func TestSimulateRepeats(t *testing.T) {
	theatre, err := newTheatre(t.Context(), stage{dir: t.TempDir(), keyBits: 1024}, "all")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theatre.close() }()
	seen := map[uint64]string{}
	for _, seed := range []uint64{3, 4, 3, 5, 4} {
		var log bytes.Buffer
		theatre.log = &log
		if _, err := theatre.play(t.Context(), seed); err != nil {
			t.Fatal(err)
		}
		before, again := seen[seed]
		if again && before != log.String() {
			t.Errorf("seed %d plays differently the second time:\n%s\nthen\n%s", seed, before, log.String())
		}
		if log.Len() == 0 || !strings.Contains(log.String(), "the faults end") {
			t.Errorf("seed %d says little:\n%s", seed, log.String())
		}
		seen[seed] = log.String()
	}
	var keys int
	if err := theatre.broom.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM data_key").Scan(&keys); err != nil || keys == 0 {
		t.Errorf("%d keys are left after so many seeds, %v", keys, err)
	}
	if seen[3] == seen[4] {
		t.Error("two seeds play alike")
	}
}

// TestSimulateReadsTheLedger: the reading that ends every seed notices a ledger line that is gone. What the comparison of books finds, the tests of
// books.go and the planted bugs tell.
func TestSimulateReadsTheLedger(t *testing.T) {
	theatre, err := newTheatre(t.Context(), stage{dir: t.TempDir(), keyBits: 1024}, "core")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theatre.close() }()
	completed := 0
	for seed := uint64(1); completed == 0; seed++ {
		p, err := theatre.play(t.Context(), seed)
		if err != nil || len(p.findings) > 0 {
			t.Fatalf("seed %d: %v %v", seed, p.findings, err)
		}
		completed = p.result.Completed
	}
	// The database still holds the last seed: a ledger line is lost behind everybody's back.
	if _, err := theatre.broom.ExecContext(t.Context(), "DELETE FROM ledger_line WHERE id = (SELECT MIN(id) FROM ledger_line)"); err != nil {
		t.Fatal(err)
	}
	err = theatre.db.Orders().Each(t.Context(), "", func(*order.Order, []order.Event) error { return nil }, nil)
	if !errors.Is(err, store.ErrTampered) && !errors.Is(err, store.ErrRow) {
		t.Errorf("a lost ledger line is not noticed: %v", err)
	}
}

func TestSeedRange(t *testing.T) {
	for text, want := range map[string][2]uint64{"1..20": {1, 20}, "7": {7, 7}, "7..7": {7, 7}} {
		if first, last, err := seedRange(text); err != nil || first != want[0] || last != want[1] {
			t.Errorf("%s: %d..%d, %v", text, first, last, err)
		}
	}
	for _, text := range []string{"", "0", "2..1", "a..b", "1..", "-1", "1..2..3"} {
		if _, _, err := seedRange(text); err == nil {
			t.Errorf("%q is taken for seeds", text)
		}
	}
	if err := simulate(t.Context(), nil, simulateFlags{seeds: "1", route: "city", workers: 1, keyBits: 1024}); err == nil || !strings.Contains(err.Error(), "city") {
		t.Errorf("a route that nobody is on: %v", err)
	}
}

func TestViewOf(t *testing.T) {
	o := &order.Order{ID: 7, State: order.Completed, Split: split.Split{PooledFund: 1, OtherFund: 2, Account: 3, FamilyAccount: 4, HospitalBorne: 5, Cash: 6, Uninsured: 7}}
	if v := viewOf(o); v.ID != "7" || v.TotalFen != 28 || v.ChargeFen != 13 || v.Split.total() != 28 {
		t.Errorf("the view is %+v", v)
	}
}
