package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/configs"
	"github.com/tuoka/tuoka/internal/clock"
)

// status asks and gives the answer's status; 0 when nobody answers.
func status(t *testing.T, address string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// TestServeOnly: a process that does one thing alone opens no other port, and one that is told to stop says so before it does.
func TestServeOnly(t *testing.T) {
	text, err := configs.FS.ReadFile("sandbox.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, append(bytes.TrimSpace(text), "\ndrain: 1s\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	base := freeBase(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready, told := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serve(ctx, told, serveFlags{config: path, sandbox: true, only: []string{"api"}, data: t.TempDir(), base: base, json: true})
		_ = told.CloseWithError(err)
		ended <- err
	}()
	var at map[string]string
	if err := json.NewDecoder(ready).Decode(&at); err != nil {
		t.Fatal(err)
	}
	if api, callback, ops := status(t, at["api"]+"/api/v1/institutions/h1"), status(t, at["callback"]), status(t, at["ops"]+"/readyz"); api != 200 || callback != 0 || ops != 200 {
		t.Errorf("api %d, callback %d, ready %d", api, callback, ops)
	}
	stop()
	for range 50 {
		if status(t, at["ops"]+"/readyz") != http.StatusOK {
			break
		}
		_ = clock.Real{}.Sleep(t.Context(), 10*time.Millisecond)
	}
	if api, ops := status(t, at["api"]+"/api/v1/institutions/h1"), status(t, at["ops"]+"/readyz"); api != 200 || ops != http.StatusServiceUnavailable {
		t.Errorf("while it drains: api %d, ready %d", api, ops)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	err = serve(t.Context(), io.Discard, serveFlags{sandbox: true, only: []string{"api", "sleep"}, data: t.TempDir(), base: base})
	if err == nil || !strings.Contains(err.Error(), "--only sleep") {
		t.Errorf("serve = %v", err)
	}
}
