package bank_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/bank"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/recon"
)

var morning = time.Date(2026, 11, 24, 9, 0, 0, 0, clock.Shanghai)

// drop is a folder, and an account that looks into it.
func drop(t *testing.T, name string) (string, *clock.Fake, *bank.Statements) {
	t.Helper()
	folder, c := t.TempDir(), clock.NewFake(morning)
	s, err := bank.New(bank.Config{Mapping: parse(t, plain), Folder: folder, Name: name, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	return folder, c, s
}

func put(t *testing.T, path, text string, at time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// fetch returns what was kept: of each file, what was said and what was written.
func fetch(t *testing.T, s *bank.Statements, d string) (kept []string, err error) {
	t.Helper()
	err = s.Fetch(t.Context(), day(t, d), nil, func(st recon.Statement, write func(io.Writer) error) error {
		var b bytes.Buffer
		err := write(&b)
		if err == nil {
			kept = append(kept, fmt.Sprintf("%s %s %q %s final=%t: %s", st.Source, st.Day, st.Part, st.Name, st.Final, b.String()))
		}
		return err
	})
	return kept, err
}

func TestFetch(t *testing.T) {
	t.Parallel()
	folder, c, s := drop(t, "流水_{date}*.csv")
	if _, err := fetch(t, s, "2026-11-23"); !errors.Is(err, recon.ErrNotReady) {
		t.Errorf("an empty folder: %v, want ErrNotReady", err)
	}
	put(t, filepath.Join(folder, "流水_20261123.csv"), "one", morning.Add(-time.Hour))
	put(t, filepath.Join(folder, "流水_20261123_2.csv"), "two", morning.Add(-24*time.Hour))
	for _, other := range []string{"流水_20261122.csv", "流水_20261123.csv.part", "旧流水_20261123.csv", "流水_20261123.xlsx", "流水_20261123.1.csv"} {
		put(t, filepath.Join(folder, other), "other", morning.Add(-time.Hour))
	}
	want := []string{`bank 2026-11-23 "" 流水_20261123.csv final=true: one`, `bank 2026-11-23 "_2" 流水_20261123_2.csv final=false: two`}
	got, err := fetch(t, s, "2026-11-23")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	put(t, filepath.Join(folder, "流水_20261123_3.csv"), "three", morning.Add(-29*time.Second))
	if got, err := fetch(t, s, "2026-11-23"); !errors.Is(err, recon.ErrNotReady) || got != nil {
		t.Errorf("a file changed 29 s ago: %v, %v, want ErrNotReady, and none of the others taken", got, err)
	}
	c.Advance(time.Second)
	if got, err := fetch(t, s, "2026-11-23"); err != nil || len(got) != 3 {
		t.Errorf("30 s ago: %v, %v", got, err)
	}
	if err := os.Chtimes(filepath.Join(folder, "流水_20261123_3.csv"), morning.AddDate(1, 0, 0), morning.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, s, "2026-11-23"); !errors.Is(err, recon.ErrNotReady) {
		t.Errorf("a file from the future: %v, want ErrNotReady", err)
	}
}

func TestFetchWithoutFolder(t *testing.T) {
	t.Parallel()
	folder, _, s := drop(t, "{date}.csv")
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, s, "2026-11-23"); !errors.Is(err, bank.ErrFolder) {
		t.Errorf("err = %v, want ErrFolder", err)
	}
}

// TestOnlyFiles: links, folders and pipes with the right name are refused, wherever they lead.
func TestOnlyFiles(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(path, folder string) error{
		"a link to a file outside":   func(path, _ string) error { return os.Symlink("/etc/passwd", path) },
		"a link upwards":             func(path, _ string) error { return os.Symlink("../../etc/passwd", path) },
		"a link to a file beside it": func(path, _ string) error { return os.Symlink("other.txt", path) },
		"a link to nothing":          func(path, _ string) error { return os.Symlink("nothing", path) },
		"a folder":                   func(path, _ string) error { return os.Mkdir(path, 0o700) },
		"a pipe":                     func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		"a file of more than 64 MB": func(path, _ string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 64<<20+1), os.Chtimes(path, morning, morning.Add(-time.Hour)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, _, s := drop(t, "{date}.csv")
			put(t, filepath.Join(folder, "other.txt"), "other", morning.Add(-time.Hour))
			if err := make(filepath.Join(folder, "20261123.csv"), folder); err != nil {
				t.Fatal(err)
			}
			got, err := fetch(t, s, "2026-11-23")
			saying(t, err, "20261123.csv", "")
			if got != nil {
				t.Errorf("%v was taken", got)
			}
		})
	}
}

func TestManyFiles(t *testing.T) {
	t.Parallel()
	folder, _, s := drop(t, "{date}*.csv")
	for i := range 101 {
		put(t, filepath.Join(folder, fmt.Sprintf("20261123_%d.csv", i)), "x", morning.Add(-time.Hour))
	}
	_, err := fetch(t, s, "2026-11-23")
	saying(t, err, "同一天的文件过多", "")
}

// TestChangesWhileRead: what is put in a file's place, or grows, between the look and the last byte is not taken.
func TestChangesWhileRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, path string){
		"another file in its place": func(t *testing.T, path string) {
			put(t, path+".new", "other", morning.Add(-time.Hour))
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		},
		"a link in its place": func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)); err != nil {
				t.Fatal(err)
			}
		},
		"gone":   func(t *testing.T, path string) { _ = os.Remove(path) },
		"longer": func(t *testing.T, path string) { put(t, path, "longer", morning.Add(-time.Hour)) },
		"dated":  func(t *testing.T, path string) { put(t, path, "b", morning) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, _, s := drop(t, "{date}*.csv")
			put(t, filepath.Join(folder, "20261123a.csv"), "a", morning.Add(-time.Hour))
			second := filepath.Join(folder, "20261123b.csv")
			put(t, second, "b", morning.Add(-time.Hour))
			var kept []string
			err := s.Fetch(t.Context(), day(t, "2026-11-23"), nil, func(st recon.Statement, write func(io.Writer) error) error {
				if st.Part == "a" {
					change(t, second)
				}
				kept = append(kept, st.Part)
				return write(io.Discard)
			})
			if !errors.Is(err, recon.ErrNotReady) || len(kept) != 1 {
				t.Errorf("%v, %v, want the first alone and ErrNotReady", kept, err)
			}
		})
	}
	t.Run("while it is copied", func(t *testing.T) {
		t.Parallel()
		folder, _, s := drop(t, "{date}.csv")
		path := filepath.Join(folder, "20261123.csv")
		put(t, path, "a", morning.Add(-time.Hour))
		err := s.Fetch(t.Context(), day(t, "2026-11-23"), nil, func(_ recon.Statement, write func(io.Writer) error) error {
			put(t, path, "ab", morning.Add(-time.Hour))
			return write(io.Discard)
		})
		if !errors.Is(err, recon.ErrNotReady) {
			t.Errorf("err = %v, want ErrNotReady", err)
		}
	})
}

func TestFetchEnds(t *testing.T) {
	t.Parallel()
	folder, _, s := drop(t, "{date}.csv")
	put(t, filepath.Join(folder, "20261123.csv"), "a", morning.Add(-time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Fetch(ctx, day(t, "2026-11-23"), nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want the context's", err)
	}
	if err := s.Fetch(t.Context(), day(t, "2026-11-23"), nil, func(recon.Statement, func(io.Writer) error) error { return errStop }); !errors.Is(err, errStop) {
		t.Errorf("err = %v, want the keeper's", err)
	}
}
