package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/store"
)

func claimed(t *testing.T, dir string) stage {
	t.Helper()
	st := stage{dir: dir, base: 8080}
	if err := st.claim([]string{"h1", "h2", "h3"}); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestKeysSurviveAKill: a process that was killed while it made keys leaves nothing that the next one takes for a key.
func TestKeysSurviveAKill(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"master.pem.new", "h1_app_secret.new", "h1_merchant.pem.new", "h1_merchant_public.pem.new"} {
		if err := os.WriteFile(filepath.Join(dir, "keys", name), []byte("-----BEGIN PRI"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	st := claimed(t, dir)
	before := map[string]string{}
	entries, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		secret, err := config.Secret(e.Name(), st.key(e.Name()))
		if err != nil || strings.HasSuffix(e.Name(), ".new") {
			t.Errorf("%s: %v", e.Name(), err)
		}
		before[e.Name()] = secret.Reveal()
	}
	if len(before) != 47 {
		t.Errorf("%d key files, want 47: %v", len(before), entries)
	}
	if err := st.release(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(st.key("h1_merchant_public.pem")); err != nil { // killed between the two halves of a pair
		t.Fatal(err)
	}
	st = claimed(t, dir)
	for name, was := range before {
		if secret, err := config.Secret(name, st.key(name)); err != nil || secret.Reveal() != was {
			t.Errorf("%s is another after a restart: %v", name, err)
		}
	}
	if err := st.release(); err != nil {
		t.Fatal(err)
	}
}

// TestOneProcessAFolder: keys and journals have one writer.
func TestOneProcessAFolder(t *testing.T) {
	dir := t.TempDir()
	st := claimed(t, dir)
	other := stage{dir: dir, base: 9080}
	if err := other.claim([]string{"h1", "h2"}); err == nil || !strings.Contains(err.Error(), store.ErrInUse.Code) {
		t.Errorf("a second claim: %v, want %s", err, store.ErrInUse.Code)
	}
	if err := st.release(); err != nil {
		t.Fatal(err)
	}
	if err := other.claim([]string{"h1", "h2"}); err != nil {
		t.Errorf("after the first has left: %v", err)
	}
	if err := other.release(); err != nil {
		t.Fatal(err)
	}
}

func openStage(t *testing.T, st stage) *simulators {
	t.Helper()
	cfg, err := st.sandboxConfig("")
	if err != nil {
		t.Fatal(err)
	}
	sims, err := openSimulators(st, cfg, earth(), counterpartsSource())
	if err != nil {
		t.Fatal(err)
	}
	return sims
}

// TestSeatAfterAKill: people of whom only some counterparts knew are completed, and nobody is there twice.
func TestSeatAfterAKill(t *testing.T) {
	st := claimed(t, t.TempDir())
	sims := openStage(t, st)
	people, bills := sims.hospitals[1].his.Patients(), len(sims.hospitals[1].his.Truth().Bills)
	if err := sims.close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"wechatmp", "nhsa"} { // as if these had not heard of anybody yet
		if err := os.Remove(st.journal(name)); err != nil {
			t.Fatal(err)
		}
	}
	sims = openStage(t, st)
	if again := sims.hospitals[1].his.Patients(); !slices.Equal(again, people) {
		t.Errorf("the HIS has %d patients, want the same %d", len(again), len(people))
	}
	if n := len(sims.hospitals[1].his.Truth().Bills); n != bills {
		t.Errorf("%d bills, want %d", n, bills)
	}
	if len(sims.mp.Users()) != len(sims.persons()) {
		t.Errorf("%d users, want %d", len(sims.mp.Users()), len(sims.persons()))
	}
	for _, p := range sims.persons() {
		if cover, insured := insurances[p.Insurance]; insured {
			if own, _, err := sims.nhsa.Balance("3601"+p.IDNumber[6:]+p.Key, cover.InsuType); err != nil || int64(own) != p.BalanceFen {
				t.Errorf("%s: balance %v, %v", p.Key, own, err)
			}
		}
	}
	if err := sims.close(); err != nil {
		t.Fatal(err)
	}
}

// TestCastsAtTheSameTime get different people.
func TestCastsAtTheSameTime(t *testing.T) {
	sims := openStage(t, claimed(t, t.TempDir()))
	var all [4][]role
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			var err error
			if all[i], err = sims.cast([]string{"h1", "h2"}[i%2], 20, 7, true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, r := range slices.Concat(all[:]...) {
		if seen[r.IDNumber] || seen[r.User] {
			t.Errorf("%s was given twice", r.User)
		}
		seen[r.IDNumber], seen[r.User] = true, true
	}
	if err := sims.close(); err != nil {
		t.Fatal(err)
	}
}
