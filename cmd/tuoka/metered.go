package main

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// costs are what a process has used since it began, for a bench that asks twice.
type costs struct {
	Statements int64  `json:"statements"`
	Commits    int64  `json:"commits"`
	Bytes      uint64 `json:"bytes"` // allocated
	Allocs     uint64 `json:"allocs"`
}

func (h *house) costs() costs {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	n := h.db.Counts()
	return costs{Statements: n.Statements, Commits: n.Commits, Bytes: m.TotalAlloc, Allocs: m.Mallocs}
}

// profile writes a CPU profile of so many seconds, two minutes at most.
func (h *house) profile(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || seconds < 1 || seconds > 120 {
		http.Error(w, "seconds: 1 to 120", http.StatusBadRequest)
		return
	}
	if err := pprof.StartCPUProfile(w); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	_ = h.clock.Sleep(r.Context(), time.Duration(seconds)*time.Second) // cut short, it is a shorter one
	pprof.StopCPUProfile()
}

// meterKey is where a request's context keeps the time that counterparts took.
type meterKey struct{}

// metered adds up, for each request of ours, how long its calls to counterparts take.
type metered struct{ next http.RoundTripper }

// RoundTrip sends the request on.
func (m metered) RoundTrip(r *http.Request) (*http.Response, error) {
	away, ok := r.Context().Value(meterKey{}).(*atomic.Int64)
	if !ok {
		return m.next.RoundTrip(r)
	}
	begun := clock.Real{}.Now()
	res, err := m.next.RoundTrip(r)
	away.Add(int64(clock.Real{}.Now().Sub(begun)))
	return res, err
}

// tellTime makes every answer say in Server-Timing how long we took ourselves, and how long the counterparts did. A sandbox tells that; a hospital's
// patients need not know.
func tellTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &timedWriter{ResponseWriter: w, begun: clock.Real{}.Now(), away: &atomic.Int64{}}
		next.ServeHTTP(t, r.WithContext(context.WithValue(r.Context(), meterKey{}, t.away)))
	})
}

type timedWriter struct {
	http.ResponseWriter
	begun time.Time
	away  *atomic.Int64
	told  bool
}

// WriteHeader tells the time first.
func (t *timedWriter) WriteHeader(status int) {
	if !t.told {
		t.told = true
		away := time.Duration(t.away.Load())
		own := clock.Real{}.Now().Sub(t.begun) - away
		t.Header().Set("Server-Timing", fmt.Sprintf("own;dur=%d.%03d, away;dur=%d.%03d", own.Milliseconds(), own.Microseconds()%1000,
			away.Milliseconds(), away.Microseconds()%1000))
	}
	t.ResponseWriter.WriteHeader(status)
}

// Write writes.
func (t *timedWriter) Write(b []byte) (int, error) {
	if !t.told {
		t.WriteHeader(http.StatusOK)
	}
	return t.ResponseWriter.Write(b)
}

// Unwrap is the writer behind.
func (t *timedWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }
