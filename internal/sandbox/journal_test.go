package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func replayed(t *testing.T, path string) ([]string, *Journal) {
	t.Helper()
	var lines []string
	j, err := OpenJournal(path, func(line []byte) error {
		lines = append(lines, strings.TrimSuffix(string(line), "\n"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, j
}

func TestJournalReplaysWhatWasWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	lines, j := replayed(t, path)
	if len(lines) != 0 {
		t.Fatalf("a new journal replays %q", lines)
	}
	for i := range 3 {
		if err := j.Append(map[string]int{"n": i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	lines, j = replayed(t, path)
	if diff := cmp.Diff([]string{`{"n":0}`, `{"n":1}`, `{"n":2}`}, lines); diff != "" {
		t.Errorf("replay (-want +got):\n%s", diff)
	}
	if err := errors.Join(j.Append("more"), j.Close()); err != nil {
		t.Fatal(err)
	}
	if lines, _ = replayed(t, path); len(lines) != 4 || lines[3] != `"more"` {
		t.Errorf("after a restart: %q", lines)
	}
}

// TestJournalAfterAKill cuts the file at every byte: whole lines are replayed, a cut one is dropped, and what is written next is whole.
func TestJournalAfterAKill(t *testing.T) {
	t.Parallel()
	const whole = "{\"n\":1}\n{\"n\":22}\n{\"n\":333}\n"
	for cut := range len(whole) + 1 {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, []byte(whole[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		want := strings.SplitAfter(whole[:cut], "\n")
		want = want[:len(want)-1]
		lines, j := replayed(t, path)
		if len(lines) != len(want) {
			t.Errorf("cut at %d: %q replayed, want %q", cut, lines, want)
		}
		if err := errors.Join(j.Append("x"), j.Close()); err != nil {
			t.Fatal(err)
		}
		if after, _ := replayed(t, path); len(after) != len(want)+1 || after[len(want)] != `"x"` {
			t.Errorf("cut at %d, then written to: %q", cut, after)
		}
	}
}

func TestJournalWritesOverWhatFailed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	_, j := replayed(t, path)
	if err := j.Append("one"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.WriteAt([]byte(`"a line that was cut by a full d`), j.size); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Append("two"), j.Append("three"), j.Close()); err != nil {
		t.Fatal(err)
	}
	lines, _ := replayed(t, path)
	if diff := cmp.Diff([]string{`"one"`, `"two"`, `"three"`}, lines); diff != "" {
		t.Errorf("replay (-want +got):\n%s", diff)
	}
}

func TestJournalRefuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(path, []byte("1\n2\n3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	odd := errors.New("odd")
	if _, err := OpenJournal(path, func(line []byte) error {
		if line[0] == '2' {
			return odd
		}
		return nil
	}); !errors.Is(err, odd) || !strings.Contains(err.Error(), "byte 2") {
		t.Errorf("OpenJournal = %v, want the place and the reason", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "1\n2\n3\n" {
		t.Errorf("a journal that was refused is %q now", text)
	}
	if _, err := OpenJournal(t.TempDir(), nil); err == nil {
		t.Error("a folder was opened as a journal")
	}
	_, j := replayed(t, filepath.Join(t.TempDir(), "k"))
	if err := j.Append(func() {}); err == nil {
		t.Error("what cannot be written was accepted")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append("late"); err == nil {
		t.Error("a closed journal takes entries")
	}
}

func TestJournalInMemory(t *testing.T) {
	t.Parallel()
	j, err := OpenJournal("", nil)
	if err := errors.Join(err, j.Append("x"), j.Close()); err != nil {
		t.Error(err)
	}
}

func TestJournalTakesManyAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	_, j := replayed(t, path)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := j.Append(fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if lines, _ := replayed(t, path); len(lines) != 20 {
		t.Errorf("%d lines, want 20", len(lines))
	}
}

// FuzzJournal: whatever stands in the file, opening it ends, and replays whole lines only.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("{}\n{\"a\":1}\n{\"cut"))
	f.Add([]byte("\n\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var n int
		j, err := OpenJournal(path, func(line []byte) error {
			if n++; line[len(line)-1] != '\n' {
				t.Errorf("half a line: %q", line)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if want := strings.Count(string(text), "\n"); n != want {
			t.Errorf("%d lines, want %d", n, want)
		}
	})
}
