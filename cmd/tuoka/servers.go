package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// servers are open ports with their handlers.
type servers struct {
	all  []*http.Server
	busy sync.WaitGroup
}

// newServers opens every port and then serves.
func newServers(ctx context.Context, log *slog.Logger, handlers map[string]http.Handler) (*servers, error) {
	addrs := slices.Sorted(maps.Keys(handlers))
	open, err := listen(ctx, addrs...)
	if err != nil {
		return nil, err
	}
	run := &servers{}
	for i, addr := range addrs {
		server := &http.Server{Handler: handlers[addr], ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
			WriteTimeout: 3 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
		run.all = append(run.all, server)
		run.busy.Go(func() {
			if err := server.Serve(open[i]); !errors.Is(err, http.ErrServerClosed) {
				log.Error("listener ended", "addr", addr, "error", err)
			}
		})
	}
	return run, nil
}

// stop closes all ports at once and lets running requests end, for at most the given time.
func (s *servers) stop(most time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	errs := make([]error, len(s.all))
	var ending sync.WaitGroup
	for i, server := range s.all {
		ending.Go(func() {
			if err := server.Shutdown(ctx); err != nil {
				errs[i] = errors.Join(fmt.Errorf("requests were cut off after %v: %w", most, err), server.Close())
			}
		})
	}
	ending.Wait()
	s.busy.Wait()
	return errors.Join(errs...)
}
