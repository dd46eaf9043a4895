package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/store/storetest"
)

var (
	updateCrash = flag.Bool("update-crash", false, "write testdata/crash.tsv anew; look at the difference before committing")
	crashRoutes = flag.String("crash-routes", "core,mixed", "the routes of TestCrashMatrix")
	crashEngine = flag.String("crash-engine", "sqlite", "the database of TestCrashMatrix: "+strings.Join(storetest.Engines(), ", "))
)

// crashTable names, for every point of every journey, the state in which the order ends when the process dies there.
const crashTable = "testdata/crash.tsv"

// crashLane is a place to play cases in, one after the other: simulators of its own, and a database that every case finds empty.
type crashLane struct {
	t        *testing.T
	stage    stage
	sims     *simulators
	door     *phoneClient
	template string // SQLite: the file that each case gets a copy of
	broom    *broom // a server: what empties the lane's database
	cases    int
}

func openCrashLane(t *testing.T, base int) *crashLane {
	t.Helper()
	l := &crashLane{t: t, stage: stage{dir: t.TempDir(), base: base, memory: true}}
	if *crashEngine != "sqlite" {
		l.stage.dsn = storetest.Fresh(t, *crashEngine)
	}
	cfg, err := l.stage.sandboxConfig("")
	if err != nil {
		t.Fatal(err)
	}
	cfg.TimeScale, cfg.Stage = crashScale, nil
	if err := l.stage.claim(hospitalsOf(cfg)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.stage.release() })
	if l.template, err = crashTemplate(t.Context(), l.stage); err != nil {
		t.Fatal(err)
	}
	if l.stage.dsn != "" {
		if l.broom, err = newBroom(l.stage.dsn); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.broom.Close() })
	}
	if l.sims, err = openSimulators(l.stage, cfg, earth(), counterpartsSource()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.sims.close() })
	run, err := newServers(t.Context(), newLog(os.Stderr, "error"), l.sims.faces()) // nobody sends notices: what happens when is for the service alone to say
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.stop(time.Second) })
	l.door = newPhoneClient(l.stage.url(phonePort))
	if err := l.door.findOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// database gives a case its database, as empty as the template.
func (l *crashLane) database(name string) (dsn string, err error) {
	if l.broom != nil {
		return l.stage.dsn, l.broom.sweep(l.t.Context())
	}
	empty, err := os.ReadFile(l.template)
	if err == nil {
		dsn = name + ".db"
		err = os.WriteFile(dsn, empty, 0o600)
	}
	return dsn, err
}

// play plays a journey on a patient and a database of its own, killed at that point, and gives how it ends.
func (l *crashLane) play(route, journey, kill string) (end crashEnd, killed bool, err error) {
	l.cases++
	roles, err := l.sims.cast(l.door.about.on(route)[0], 1, crashSeed, false)
	if err != nil {
		return end, false, err
	}
	name := filepath.Join(l.stage.dir, "cases", strconv.Itoa(l.cases))
	db, err := l.database(name)
	if err != nil {
		return end, false, err
	}
	p := crashPlay{Dir: l.stage.dir, Base: l.stage.base, DB: db, Memo: name + ".memo", Role: roles[0], Journey: journey, Kill: kill}
	before, err := l.door.readBooks(l.t.Context())
	if err != nil {
		return end, false, err
	}
	end, err = l.process(p)
	if errors.Is(err, errKilled) {
		killed = true
		p.Kill, p.Late = "", time.Minute
		end, err = l.process(p)
	}
	if err != nil {
		return end, killed, err
	}
	after, err := l.door.readBooks(l.t.Context())
	if err != nil {
		return end, killed, err
	}
	one := &player{client: l.door, role: roles[0], order: end.Order, agreed: end.Order, excused: true}
	end.Findings = append(end.Findings, compare([]*player{one}, before, after).findings...)
	return end, killed, nil
}

// crashSeed casts a patient whose bill has a part for everybody.
const crashSeed = 3

var errKilled = errors.New("killed")

// process runs the service until the journey is over, or until it kills itself.
func (l *crashLane) process(p crashPlay) (end crashEnd, err error) {
	text, err := json.Marshal(p)
	if err != nil {
		return end, err
	}
	cmd := exec.CommandContext(l.t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+string(text))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return end, errKilled
	}
	if err != nil {
		return end, fmt.Errorf("%w: %s", err, said.String())
	}
	return end, json.Unmarshal(out.Bytes(), &end)
}

// crashTask is one case: a journey on a route, killed at a point.
type crashTask struct{ route, journey, point string }

// TestCrashMatrix kills the service after every durable write and every outside call of every journey, on the routes asked for, and wants the
// table's end and every side's books equal.
func TestCrashMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of processes")
	}
	lanes := make([]*crashLane, 6)
	for i := range lanes {
		lanes[i] = openCrashLane(t, freeBase(t))
	}
	want := map[crashTask]string{}
	if !*updateCrash {
		want = readCrashTable(t)
	}
	var tasks []crashTask
	routes := strings.Split(*crashRoutes, ",")
	for _, route := range routes {
		for _, journey := range crashJourneys {
			end, _, err := lanes[0].play(route, journey, "")
			if err != nil || len(end.Findings) > 0 {
				t.Fatalf("%s, %s: %v %v", route, journey, end.Findings, err)
			}
			for _, point := range end.Points {
				tasks = append(tasks, crashTask{route, journey, point})
			}
			tasks = append(tasks, crashTask{route, journey, ""})
		}
	}
	var mu sync.Mutex
	got := map[crashTask]string{}
	var wg sync.WaitGroup
	next := 0
	for _, l := range lanes {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(tasks) {
					return
				}
				k := tasks[i]
				end, killed, err := l.play(k.route, k.journey, k.point)
				switch {
				case err != nil:
					t.Errorf("%s, %s, killed %s: %v", k.route, k.journey, k.point, err)
				case killed != (k.point != ""):
					t.Errorf("%s, %s: the point %q was not reached", k.route, k.journey, k.point)
				case len(end.Findings) > 0:
					t.Errorf("%s, %s, killed %s: %s", k.route, k.journey, k.point, strings.Join(end.Findings, "; "))
				}
				mu.Lock()
				got[k] = endOf(end.Order)
				if w, ok := want[k]; ok && w != got[k] || killed != (k.point != "") {
					t.Logf("%s, %s, killed %s: %s\n%s", k.route, k.journey, k.point, got[k], strings.Join(end.History, "\n"))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d points on %s", len(tasks)-len(routes)*len(crashJourneys), *crashEngine)
	if *updateCrash {
		var b strings.Builder
		b.WriteString("route\tjourney\tkilled\tends\n")
		for _, k := range tasks {
			fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", k.route, k.journey, k.point, got[k])
		}
		if err := os.WriteFile(crashTable, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, k := range tasks {
		if w, ok := want[k]; !ok {
			t.Errorf("%s, %s, killed %s: the table has no such point; it ends %s", k.route, k.journey, k.point, got[k])
		} else if got[k] != w {
			t.Errorf("%s, %s, killed %s: ends %s, the table says %s", k.route, k.journey, k.point, got[k], w)
		}
		delete(want, k)
	}
	for k := range want {
		if !slices.Contains(crashJourneys, k.journey) || !slices.Contains(routes, k.route) {
			continue
		}
		t.Errorf("%s, %s, killed %s: the table has a point that nothing passes", k.route, k.journey, k.point)
	}
}

// endOf is how an order ended.
func endOf(o orderView) string {
	words := []string{o.State}
	if o.Cause != "" {
		words[0] += " (" + o.Cause + ")"
	}
	for _, f := range o.Refunds {
		words = append(words, "refund "+f.State)
	}
	return strings.Join(words, ", ")
}

func readCrashTable(t *testing.T) map[crashTask]string {
	t.Helper()
	text, err := os.ReadFile(crashTable)
	if err != nil {
		t.Fatal(err)
	}
	table := map[crashTask]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		cells := strings.Split(line, "\t")
		if len(cells) != 4 {
			t.Fatalf("%s: %q", crashTable, line)
		}
		table[crashTask{cells[0], cells[1], cells[2]}] = cells[3]
	}
	return table
}
