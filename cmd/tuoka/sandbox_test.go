package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/store/storetest"
)

// playing runs pay against a sandbox and reads its line of JSON.
func playing(t *testing.T, phone string, f payFlags) result {
	t.Helper()
	f.server, f.concurrency, f.json, f.patience = phone, 8, true, time.Minute
	f.route, f.refunds = cmp.Or(f.route, "core"), cmp.Or(f.refunds, "0")
	var out, said bytes.Buffer
	err := pay(t.Context(), &out, &said, f)
	var r result
	if bad := json.Unmarshal(out.Bytes(), &r); bad != nil {
		t.Errorf("pay: %v, printed %q", err, out.String()) // not fatal: it may run beside the test
		return r
	}
	if err != nil {
		t.Errorf("pay --faults %s --seed %d: %v: %s%s", f.faults, f.seed, err, out.String(), said.String())
	}
	return r
}

// TestPay plays patients against a sandbox in this process and holds every order against the counterparts' books.
func TestPay(t *testing.T) {
	phone, _ := openSandbox(t)
	if r := playing(t, phone, payFlags{orders: 24, seed: 1, faults: "none", reconcile: true}); r.Reconciled < 120 || r.Completed != 24 || r.WechatNetFen != r.CashFen || r.HISPostedFen != r.TotalFen {
		t.Errorf("without faults: %+v", r)
	}
	if r := playing(t, phone, payFlags{orders: 30, seed: 2, faults: "mild"}); r.Completed < 27 || r.Review != 0 {
		t.Errorf("mild faults: %+v", r)
	}
	if r := playing(t, phone, payFlags{orders: 40, seed: 3, faults: "harsh"}); r.Review > 1 {
		t.Errorf("harsh faults: %+v", r)
	}
	if r := playing(t, phone, payFlags{orders: 24, seed: 5, faults: "none", route: "all", refunds: "0.5"}); r.RefundsDone == 0 || r.RefundsDone != r.Refunds {
		t.Errorf("refunds without faults: %+v", r)
	}
	if r := playing(t, phone, payFlags{orders: 30, seed: 6, faults: "harsh", route: "all", refunds: "0.5"}); r.RefundsDone == 0 {
		t.Errorf("refunds with harsh faults: %+v", r)
	}
}

// TestPayOnServers plays them with harsh faults on each database server.
func TestPayOnServers(t *testing.T) {
	for _, engine := range storetest.Engines()[1:] {
		t.Run(engine, func(t *testing.T) {
			phone, _ := openSandboxOn(t, storetest.Fresh(t, engine))
			if r := playing(t, phone, payFlags{orders: 40, seed: 6, faults: "harsh", route: "all", refunds: "0.5", reconcile: true}); r.Reconciled < 200 || r.RefundsDone == 0 || r.Review > 1 {
				t.Errorf("harsh faults: %+v", r)
			}
		})
	}
}

// TestPayRidesOverAKill kills the server, simulators included, in the middle of harsh faults, and starts it again.
func TestPayRidesOverAKill(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "tuoka")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	base, data := freeBase(t), t.TempDir()
	server := startServer(t, binary, data, base)
	played := make(chan result, 1)
	go func() {
		played <- playing(t, stage{base: base}.url(phonePort), payFlags{orders: 60, seed: 4, faults: "harsh", reconcile: true})
	}()
	if err := (clock.Real{}).Sleep(t.Context(), 4*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	server = startServer(t, binary, data, base)
	if r := <-played; r.Orders != 60 || r.Reconciled < 200 || r.Review > 2 {
		t.Errorf("after a kill: %+v", r)
	}
	polled := longPoll(t, stage{base: base}.url(phonePort))
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server stopped with %v", err)
	}
	if err := <-polled; err != nil {
		t.Errorf("a long poll was cut off: %v", err)
	}
}

// longPoll quotes a bill for a new person and waits for the order's next version; what becomes of the waiting is sent.
func longPoll(t *testing.T, phone string) <-chan error {
	t.Helper()
	c := newPhoneClient(phone)
	if err := c.findOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	roles, err := c.cast(t.Context(), "h1", 1, 5, false)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{client: c, role: roles[0], seed: 1}
	for _, step := range []func(context.Context) error{p.login, p.consent, p.enrol, p.authorise, p.quote} {
		if err := p.persist(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
	ended, sent := make(chan error, 1), make(chan struct{})
	go func() {
		close(sent)
		a, err := c.once(context.Background(), http.MethodGet, fmt.Sprintf("/api/v1/orders/%s?wait=25&version=%d", p.order.ID, p.order.Version), p.token, "", nil)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", a.status, a.body)
		}
		ended <- err
	}()
	<-sent
	if err := (clock.Real{}).Sleep(t.Context(), 500*time.Millisecond); err != nil { // until it is there
		t.Fatal(err)
	}
	return ended
}

// startServer runs the binary until it says where it is.
func startServer(t *testing.T, binary, data string, base int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary, "serve", "--sandbox", "--json", "--data", data, "--port-base", strconv.Itoa(base))
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var at map[string]string
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		t.Fatalf("the server did not come up: %v: %s", err, log.String())
	}
	for _, key := range []string{"api", "phone", "ops"} {
		if !strings.HasPrefix(at[key], "http://") {
			t.Errorf("%s is at %q", key, at[key])
		}
	}
	return cmd
}

// TestServeRefuses lists every fault before anything is opened.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	production := write("production.yaml", "mode: production\ntime_scale: 60\nsandbox:\n  persons: []\nvault:\n  master_key_file: "+filepath.Join(dir, "none")+"\n")
	open := write("open_secret", "0123456789abcdef")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		flags serveFlags
		want  []string
	}{
		{"no configuration", serveFlags{}, []string{"--config is missing"}},
		{"missing file", serveFlags{config: filepath.Join(dir, "absent.yaml")}, []string{"absent.yaml"}},
		{"unknown key", serveFlags{config: write("unknown.yaml", "mode: production\ncolour: red\n")}, []string{"colour"}},
		{"production with sandbox settings", serveFlags{config: production},
			[]string{"time_scale: is not allowed", "sandbox: is not allowed", "listen.api", "database.dsn", "institutions", "vault.master_key_file: the file cannot be read"}},
		{"production as sandbox", serveFlags{config: production, sandbox: true, data: filepath.Join(dir, "data"), base: 8080},
			[]string{"mode: sandbox", "time_scale: is not allowed", "listen.api"}},
		{"everything at once", serveFlags{config: write("all.yaml", "mode: production\ntime_scale: 60\ncolour: red\nlog:\n  level: loud\ninstitutions:\n"+
			"  - id: h1\n    nhsa_core:\n      shape: round\n      fixmedins_code: H1\n    his_rest:\n      secret_file: "+open+"\n")},
			[]string{"colour: is not a key", "institutions[0].nhsa_core.shape: is not a key", "time_scale: is not allowed", "log.level", "listen.api", "fixmedins_code",
				"his_rest.secret_file: " + open + " can be read by others"}},
		{"ports out of range", serveFlags{sandbox: true, data: dir, base: 70000}, []string{"--port-base"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := serve(ctx, io.Discard, tt.flags)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("serve = %v, want %q in it", err, want)
				}
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !os.IsNotExist(err) {
		t.Errorf("a refused sandbox has left files: %v", err)
	}
}

// TestPortInUse is one clear error.
func TestPortInUse(t *testing.T) {
	base := freeBase(t)
	taken, err := listen(t.Context(), stage{base: base}.addr(hisPort(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken[0].Close() }()
	err = serve(t.Context(), io.Discard, serveFlags{sandbox: true, data: t.TempDir(), base: base})
	if err == nil || !strings.Contains(err.Error(), "--port-base") {
		t.Errorf("serve = %v, want advice about --port-base", err)
	}
}
