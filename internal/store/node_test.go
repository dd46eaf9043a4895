package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/job"
)

func suiteNodes(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	taken := map[int]bool{}
	leases := make([]NodeLease, 8)
	for i, err := range atOnce(len(leases), func(i int) (err error) {
		leases[i], err = db.LeaseNode(t.Context(), fmt.Sprint("process ", i))
		return err
	}) {
		check(t, err)
		if taken[leases[i].Node] || leases[i].Node >= len(leases) {
			t.Fatalf("leases = %v", leases)
		}
		taken[leases[i].Node] = true
	}
	lease := func(owner string, want int) NodeLease {
		t.Helper()
		l, err := db.LeaseNode(t.Context(), owner)
		if err != nil || l.Node != want {
			t.Fatalf("LeaseNode() = %v, %v, want %d", l, err, want)
		}
		return l
	}
	first := leases[0]
	check(t, db.ReturnNode(t.Context(), first))
	lease("at once", 8)
	advance(t, db, nodeRest)
	lease("after a rest", first.Node)
	wantErr(t, "renew what another has", db.RenewNode(t.Context(), first), job.ErrLost)
	advance(t, db, nodeLife-nodeRest-time.Second)
	var living NodeLease
	for _, l := range leases[1:] {
		if living == (NodeLease{}) || l.Node > living.Node {
			living = l
		}
	}
	check(t, db.RenewNode(t.Context(), living))
	advance(t, db, 2*time.Second)
	late := leases[1]
	if late == living {
		late = leases[2]
	}
	check(t, db.RenewNode(t.Context(), late)) // over, but nobody has taken it
	if l, err := db.LeaseNode(t.Context(), "of the dead"); err != nil || l.Node == living.Node || l.Node == late.Node || l.Node >= 8 {
		t.Fatalf("LeaseNode() = %v, %v", l, err)
	}
	for n := range clock.Nodes {
		_ = insert(db, db.writer.WithContext(t.Context()), nodeRow{Node: int64(n), Owner: "x", Version: 1, UntilUS: micros(now(db).Add(time.Hour))})
	}
	exec(t, db, "UPDATE node_lease SET until_us = ?", micros(now(db).Add(time.Hour)))
	if _, err := db.LeaseNode(t.Context(), "one too many"); !errors.Is(err, ErrNoNode) {
		t.Fatalf("LeaseNode() = %v, want ErrNoNode", err)
	}
	skew, err := db.Skew(t.Context())
	check(t, err)
	if away := time.Until(now(db)); db.engine != sqliteEngine && (skew-away).Abs() > time.Minute {
		t.Errorf("Skew() = %s, the fake clock is %s ahead", skew, away)
	}
}
