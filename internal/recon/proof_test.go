package recon_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/recon/plant"
)

var each = flag.Int("planted", 20, "how often every way to plant a difference is gone")

const tolerance = 10 * time.Minute

// books are the lines of a day, by book.
type books map[recon.Source][]recon.Line

func (b books) clone() books {
	c := books{}
	for source, lines := range b {
		c[source] = slices.Clone(lines)
	}
	return c
}

// reconcile runs every comparison and counts the matches.
func reconcile(t testing.TB, b books, dir string) (matched int, differences []recon.Difference) {
	t.Helper()
	judge := recon.NewJudge(today, tolerance)
	for _, c := range recon.Comparisons() {
		n, err := compare(t.Context(), &c, b, dir, judge)
		if err != nil {
			t.Fatal(err)
		}
		matched += n
	}
	return matched, judge.Differences()
}

func compare(ctx context.Context, c *recon.Comparison, b books, dir string, judge *recon.Judge) (matched int, err error) {
	cmp := recon.NewComparer(c, dir)
	defer cmp.Close()
	for _, l := range b[c.Left] {
		if l.Leg == c.Leg {
			if err := cmp.AddLeft(&l); err != nil {
				return 0, err
			}
		}
	}
	for _, l := range b[c.Right] {
		if l.Leg == c.Leg {
			if err := cmp.AddRight(&l); err != nil {
				return 0, err
			}
		}
	}
	err = cmp.Compare(ctx, func(m *recon.Match) error {
		if m.Equal() {
			matched++
		}
		return judge.Take(m)
	})
	return matched, err
}

var today, _ = recon.ParseDay("2026-11-23")

// planted makes a day into which every way of planting is gone so many times, and the key.
func planted(t testing.TB, seed uint64, times int) (books, []plant.Planted) {
	t.Helper()
	ways := 0
	for _, c := range recon.Comparisons()[:4] {
		ways += len(plant.Ways(c.Name))
	}
	b := books{}
	key, err := plant.World{Day: today, Seed: seed}.Grow(ways*times*40, ways*times, tolerance, func(l *recon.Line) error {
		b[l.Source] = append(b[l.Source], *l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, key
}

// TestPlantedDifferencesAreFound: every one, nothing else, and by its right name.
func TestPlantedDifferencesAreFound(t *testing.T) {
	t.Parallel()
	b, key := planted(t, 1, *each)
	matched, found := reconcile(t, b, t.TempDir())
	s := plant.Score(key, found)
	t.Logf("%d planted, %d matched, %d found: recall %s, precision %s, named %s", len(key), matched, len(found), s.Recall(), s.Precision(), s.Named())
	if !s.Recall().All() || !s.Precision().All() || !s.Named().All() {
		for _, miss := range s.Wrong[:min(20, len(s.Wrong))] {
			t.Error(miss)
		}
	}
}

// TestAnotherOrderOfTheRowsChangesNothing: a book is the same whatever row comes first.
func TestAnotherOrderOfTheRowsChangesNothing(t *testing.T) {
	t.Parallel()
	b, _ := planted(t, 2, 10)
	want := told(reconcile(t, b, t.TempDir()))
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		shuffled := b.clone()
		for _, lines := range shuffled {
			r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		}
		if got := told(reconcile(t, shuffled, t.TempDir())); got != want {
			t.Fatalf("shuffled rows give %s, want %s", got, want)
		}
	}
}

func told(matched int, found []recon.Difference) string {
	s := fmt.Sprintf("%d matched", matched)
	for _, d := range found {
		s += fmt.Sprintf("\n%s %s %s %s", d.Comparison, d.Kind, d.Amount, d.Number(recon.TransactionID, recon.SetlID, recon.PostingNo, recon.OrderNo))
	}
	return s
}

// TestProof: a run that plants in a copy of what it has compared finds all of it again; one whose judge is blind does not.
func TestProof(t *testing.T) {
	t.Parallel()
	b, _ := planted(t, 3, 20)
	sampler := plant.NewSampler(200)
	run := recon.Run{Day: today, Tolerance: tolerance, Dir: t.TempDir(), Books: map[recon.Source]recon.Feed{}, Look: sampler.Take}
	for source, lines := range b {
		run.Books[source] = func(_ context.Context, do func(*recon.Line) error) error {
			for i := range lines {
				if err := do(&lines[i]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if _, err := run.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	proof, err := sampler.Prove(t.Context(), today, tolerance, 5, t.TempDir())
	if err != nil || !proof.Whole() || proof.Planted < 200 {
		t.Errorf("Prove() = %+v, %v", proof, err)
	}
	proof, err = sampler.Prove(t.Context(), today.Add(1), tolerance, 5, t.TempDir()) // for whom these lines are of another day
	if err != nil || proof.Whole() {
		t.Errorf("Prove() of another day = %+v, %v", proof, err)
	}
}
