package recon_test

import (
	"context"
	"flag"
	"runtime"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/recon/plant"
)

var orders = flag.Int("orders", 20_000, "of the day that BenchmarkRun reconciles")

// BenchmarkRun compares a day of made-up orders: what it takes besides reading files and storing what was found.
func BenchmarkRun(b *testing.B) {
	world := plant.World{Day: today, Seed: 7}
	feed := func(source recon.Source) recon.Feed {
		return func(_ context.Context, do func(*recon.Line) error) error {
			_, err := world.Grow(*orders, 0, tolerance, func(l *recon.Line) error {
				if l.Source != source {
					return nil
				}
				return do(l)
			})
			return err
		}
	}
	run := recon.Run{Day: today, Tolerance: tolerance, Dir: b.TempDir(), Books: map[recon.Source]recon.Feed{}, Keep: func(recon.Evidence) error { return nil }}
	for _, source := range recon.Sources()[:5] {
		run.Books[source] = feed(source)
	}
	peak := uint64(0)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse+m.StackInuse)
			}
		}
	}()
	for b.Loop() {
		out, err := run.Do(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if len(out.Differences) != 0 || out.Matched != out.Lines {
			b.Fatalf("%d differences, %d of %d lines matched", len(out.Differences), out.Matched, out.Lines)
		}
		b.ReportMetric(float64(out.Lines), "lines")
	}
	close(done)
	b.ReportMetric(float64(peak>>20), "peak-MB")
}
