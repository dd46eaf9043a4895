package nhsasim

import (
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/money"
)

// TestSettleMixedRefuses: what WeChat asks must be the very upload, as it was foreseen.
func TestSettleMixedRefuses(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	saved := b.putUp("M0")
	if why := b.settleN1(saved); why != reasonAuth && why != reasonUnforesee {
		t.Errorf("SettleMixed before 6202: %q", why)
	}
	o := b.putUp("M1")
	b.done("6202", b.in6202(o))
	type amounts struct{ gov, self, other, cash money.Fen }
	right := amounts{5940, 20000, 0, 26060}
	ask := func(id, auth, no, inst string, a amounts) string {
		return b.sim.SettleMixed(id, auth, no, inst, a.gov, a.self, a.other, a.cash)
	}
	for name, tt := range map[string]struct{ got, want string }{
		"unknown number":      {ask("ORD", o.auth, o.no, hospital, right), reasonUnknown},
		"another serial_no":   {ask(o.id, o.auth, "M0", hospital, right), reasonUnknown},
		"another institution": {ask(o.id, o.auth, o.no, clinic, right), reasonUnknown},
		"another authorised":  {ask(o.id, "AUTH-2", o.no, hospital, right), reasonAuth},
		"none authorised":     {ask(o.id, "", o.no, hospital, right), reasonAuth},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}
	if got := b.stas(o); got != "1" {
		t.Errorf("ordStas after strangers' questions = %s, want 1", got)
	}
	if why := ask(o.id, o.auth, o.no, hospital, right); why != "" {
		t.Fatal(why)
	}
	if why := ask(o.id, o.auth, o.no, hospital, right); why != "" {
		t.Errorf("the same question again: %q", why)
	}
	if why := ask(o.id, o.auth, o.no, hospital, amounts{5940, 20000, 1, 26059}); why != reasonSettled {
		t.Errorf("another question about a settled one: %q", why)
	}
	if truth := b.sim.Truth(); truth.Net.Count != 1 {
		t.Errorf("%d settlements", truth.Net.Count)
	}
	if code, ok := b.sim.CentreStand(o.id); code != 6 || !ok {
		t.Errorf("CentreStand = %d, %v", code, ok)
	}
	if _, ok := b.sim.CentreStand("ORD"); ok {
		t.Error("CentreStand of nothing is ok")
	}
	b.done("6203", b.in6203(o, "R1", "HI", "259.40", "0.00", "200.00", "59.40"))
	if why := ask(o.id, o.auth, o.no, hospital, right); why != reasonGivenBack {
		t.Errorf("of what was given back: %q", why)
	}
	b.authorise("AUTH-2", "P1", time.Minute)
	for i, a := range []amounts{{5941, 20000, 0, 26059}, {5940, 19999, 0, 26061}, {5940, 20000, 1, 26059}, {5940, 20000, 0, 26061}, {}} {
		auth := fmt.Sprintf("AUTH-M%d", i)
		b.authorise(auth, "P1", time.Minute)
		o := b.putUpFor(order{no: fmt.Sprintf("N%d", i), batch: fmt.Sprintf("C%d", i), auth: auth, psnNo: "P1"})
		b.done("6202", b.in6202(o))
		if why := ask(o.id, o.auth, o.no, hospital, a); why != reasonOther {
			t.Errorf("amounts %+v: %q", a, why)
		}
		if why := ask(o.id, o.auth, o.no, hospital, right); why != reasonFailed {
			t.Errorf("the right amounts after a failure: %q", why)
		}
	}
	auth := "AUTH-LAST"
	b.authorise(auth, "P1", time.Minute)
	last := b.putUpFor(order{no: "N9", batch: "C9", auth: auth, psnNo: "P1"})
	b.done("6202", b.in6202(last))
	b.sim.RefuseSettle("other", "x")
	b.sim.RefuseSettle(last.id, "参保人处于住院状态")
	if why := b.settleN1(last); why != "参保人处于住院状态" || b.stas(last) != "15" {
		t.Errorf("an ordered refusal: %q", why)
	}
}

// TestEveryCode: a script makes 6301 tell any code, for as many answers as it says, and changes nothing.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	b.done("6202", b.in6202(o))
	for code := range 26 {
		b.sim.TellStas(StasScript{PayOrdID: "other", OrdStas: 99}, StasScript{PayOrdID: o.id, OrdStas: code, Times: 2}, StasScript{OrdStas: 14})
		got := []string{b.stas(o), b.stas(o), b.stas(o), b.stas(o)}
		if diff := cmp.Diff([]string{fmt.Sprint(code), fmt.Sprint(code), "14", "1"}, got); diff != "" {
			t.Errorf("code %d (-want +got):\n%s", code, diff)
		}
	}
	if why := b.settleN1(o); why != "" {
		t.Errorf("SettleMixed: %s", why)
	}
}

// everything lets a comparison see unexported fields.
var everything = cmp.Exporter(func(reflect.Type) bool { return true })

// TestCentreKilled replays the journal of a centre that was never closed.
func TestCentreKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nhsa.journal")
	b := newCentreBench(t, path)
	settled := b.paid("M1")
	for i, no := range []string{"M2", "M3", "M4", "M5", "M6"} {
		b.authorise(fmt.Sprintf("A%d", i), "P2", time.Hour)
		o := b.putUpFor(order{no: no, batch: "B-" + no, auth: fmt.Sprintf("A%d", i), psnNo: "P2"}, line{drugC, "50.00"})
		if i == 0 {
			continue // saved
		}
		b.done("6202", b.in6202(o))
		switch i {
		case 2:
			b.done("6401", b.in6301(o))
		case 3:
			b.sim.RefuseSettle("", "黑名单")
			b.sim.SettleMixed(o.id, o.auth, o.no, hospital, 0, 0, 0, 5000)
		case 4:
			if why := b.sim.SettleMixed(o.id, o.auth, o.no, hospital, 0, 0, 0, 5000); why != "" {
				t.Fatal(why)
			}
			b.done("6203", b.in6203(o, "R1", "CASH", "20.00", "20.00", "0.00", "0.00"))
			b.done("6203", b.in6203(o, "R2", "HI", "0.00", "0.00", "0.00", "0.00"))
		}
	}
	b.clock.Advance(time.Second)
	b.sim.StepCentre(t.Context())
	before, old := b.sim.Truth(), b.sim
	if _, err := journalTail(path, `{"kind":"mixed_set`); err != nil {
		t.Fatal(err)
	}
	b.reopen(path)
	if diff := cmp.Diff(before, b.sim.Truth()); diff != "" {
		t.Errorf("truth after the restart (-before +after):\n%s", diff)
	}
	for name, pair := range map[string][2]any{"uploads": {old.uploads, b.sim.uploads}, "numbers": {old.taken, b.sim.taken}, "refunds": {old.refunds, b.sim.refunds},
		"notices": {old.notices, b.sim.notices}, "authorisations": {old.spent, b.sim.spent}, "counters": {old.years, b.sim.years}} {
		if diff := cmp.Diff(pair[0], pair[1], everything); diff != "" {
			t.Errorf("%s after the restart (-before +after):\n%s", name, diff)
		}
	}
	codes := map[int]int{}
	for _, u := range before.Uploads {
		codes[u.OrdStas]++
	}
	if diff := cmp.Diff(map[int]int{6: 1, 0: 1, 1: 1, 12: 1, 15: 1, 11: 1}, codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	if why := b.settleN1(settled); why != "" {
		t.Errorf("WeChat asking again after the restart: %q", why)
	}
	b.denied("an old number", "6201", b.in6201(order{no: "M1", batch: "B-Z", auth: "A0", psnNo: "P2"}, line{drugC, "50.00"}), "重复")
	wantMembers(t, b.done("6203", b.in6203(settled, "R9", "HI", "259.40", "0.00", "200.00", "59.40")).data, map[string]string{"refStatus": "SUCC"})
}

// A centre whose disk fails promises nothing, and settles nothing.
func TestCentreDiskFails(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, filepath.Join(t.TempDir(), "nhsa.journal"))
	paid := b.paid("M1")
	b.authorise("AUTH-2", "P1", time.Minute)
	o := b.putUpFor(order{no: "M2", batch: "B-M2", auth: "AUTH-2", psnNo: "P1"})
	b.done("6202", b.in6202(o))
	if err := b.sim.Close(); err != nil {
		t.Fatal(err)
	}
	before := b.sim.Truth()
	b.authorise("AUTH-3", "P1", time.Minute)
	for number, in := range map[string]node{"6201": b.in6201(order{no: "M3", batch: "B-M3", auth: "AUTH-3", psnNo: "P1"}, bill520...), "6202": b.in6202(o),
		"6401": b.in6301(o), "6203": b.in6203(paid, "R1", "HI", "259.40", "0.00", "200.00", "59.40")} {
		if s, err := b.ask(number, in); err != nil || s.status != http.StatusInternalServerError {
			t.Errorf("%s: %d %s, %v", number, s.status, s.raw, err)
		}
	}
	if why := b.sim.SettleMixed(o.id, o.auth, o.no, hospital, 22440, 0, 0, 29560); why != reasonBroken {
		t.Errorf("SettleMixed: %q", why)
	}
	if why := b.sim.SettleMixed(o.id, o.auth, o.no, hospital, 1, 0, 0, 0); why != reasonBroken {
		t.Errorf("SettleMixed of wrong amounts: %q", why)
	}
	b.clock.Advance(time.Minute)
	if b.sim.StepCentre(t.Context()) {
		t.Error("a push that cannot be noted counts as work")
	}
	if diff := cmp.Diff(before, b.sim.Truth()); diff != "" {
		t.Errorf("truth (-before +after):\n%s", diff)
	}
}
