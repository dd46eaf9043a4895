package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// playing runs pay against a sandbox and reads its line of JSON.
func playing(t *testing.T, phone string, f payFlags) result {
	t.Helper()
	f.server, f.concurrency, f.route, f.json, f.patience = phone, 8, "core", true, time.Minute
	var out bytes.Buffer
	err := pay(t.Context(), &out, io.Discard, f)
	var r result
	if bad := json.Unmarshal(out.Bytes(), &r); bad != nil {
		t.Fatalf("pay: %v, printed %q", err, out.String())
	}
	if err != nil {
		t.Errorf("pay --faults %s --seed %d: %v: %s", f.faults, f.seed, err, out.String())
	}
	return r
}

// TestPay plays patients against a sandbox in this process and holds every order against the counterparts' books.
func TestPay(t *testing.T) {
	phone, _ := openSandbox(t)
	if r := playing(t, phone, payFlags{orders: 24, seed: 1, faults: "none"}); r.Completed != 24 || r.WechatNetFen != r.CashFen || r.HISPostedFen != r.TotalFen {
		t.Errorf("without faults: %+v", r)
	}
	if r := playing(t, phone, payFlags{orders: 30, seed: 2, faults: "mild"}); r.Completed < 27 || r.Review != 0 {
		t.Errorf("mild faults: %+v", r)
	}
	if r := playing(t, phone, payFlags{orders: 40, seed: 3, faults: "harsh"}); r.Review > 1 {
		t.Errorf("harsh faults: %+v", r)
	}
}

// TestPayRidesOverAKill kills the server, simulators included, in the middle of harsh faults, and starts it again.
func TestPayRidesOverAKill(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "tuoka")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	base, data := freeBase(t), t.TempDir()
	server := startServer(t, binary, data, base)
	played := make(chan result, 1)
	go func() {
		played <- playing(t, stage{base: base}.url(phonePort), payFlags{orders: 60, seed: 4, faults: "harsh"})
	}()
	if err := (clock.Real{}).Sleep(t.Context(), 4*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	server = startServer(t, binary, data, base)
	if r := <-played; r.Orders != 60 || r.Review > 2 {
		t.Errorf("after a kill: %+v", r)
	}
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server stopped with %v", err)
	}
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
		{"production as sandbox", serveFlags{config: production, sandbox: true, data: dir, base: 8080}, []string{"mode: sandbox"}},
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
}

// TestPortInUse is one clear error.
func TestPortInUse(t *testing.T) {
	base := freeBase(t)
	taken, err := listen(t.Context(), stage{base: base}.addr(hisPort))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken[0].Close() }()
	err = serve(t.Context(), io.Discard, serveFlags{sandbox: true, data: t.TempDir(), base: base})
	if err == nil || !strings.Contains(err.Error(), "--port-base") {
		t.Errorf("serve = %v, want advice about --port-base", err)
	}
}
