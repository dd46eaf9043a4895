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

var each = flag.Int("planted", 60, "how often every way to plant a difference is gone")

const tolerance = 10 * time.Minute

// books are the lines of a day, by book.
type books map[recon.Source][]recon.Line

func (b books) add(p *plant.Pair) {
	for _, lines := range [][]recon.Line{p.Left, p.Right} {
		for _, l := range lines {
			if p.Comparison == "arrival" && l.Source == recon.WechatTrade {
				continue // stands in the trade bill already
			}
			b[l.Source] = append(b[l.Source], l)
		}
	}
}

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
func planted(seed uint64, times int) (books, []plant.Planted) {
	world, gardener := plant.World{Day: today, Seed: seed}, plant.New(today, tolerance, seed)
	b, key, next := books{}, []plant.Planted(nil), 0
	for _, c := range recon.Comparisons() {
		for _, way := range plant.Ways(c.Name) {
			for range times {
				var chosen []plant.Pair
				for len(chosen) < plant.Needs(way) {
					pairs := world.Order(next)
					next++
					pairs = withArrivals(pairs)
					i := slices.IndexFunc(pairs, func(p plant.Pair) bool { return p.Comparison == c.Name && plant.Fits(way, &p) })
					if i >= 0 {
						chosen = append(chosen, pairs[i])
						pairs = slices.Delete(pairs, i, i+1)
						if c.Name == "cash" { // what its account shows follows from what its bill shows
							pairs = slices.DeleteFunc(pairs, func(p plant.Pair) bool {
								return p.Comparison == "arrival" && p.Left[0].Numbers == chosen[len(chosen)-1].Right[0].Numbers
							})
						}
					}
					for i := range pairs {
						b.add(&pairs[i])
					}
					if next > 100*times*1000 {
						return b, key
					}
					if c.Name == "bank" {
						break
					}
				}
				if len(chosen) < plant.Needs(way) {
					break
				}
				changed, put := gardener.Plant(way, chosen)
				for i := range changed {
					b.add(&changed[i])
					if c.Name == "cash" {
						for j := range changed[i].Right {
							for _, p := range plant.Arrival(&changed[i].Right[j]) {
								b.add(&p)
							}
						}
					}
				}
				key = append(key, put...)
			}
		}
	}
	return b, key
}

func withArrivals(pairs []plant.Pair) []plant.Pair {
	for _, p := range slices.Clone(pairs) {
		if p.Comparison == "cash" {
			pairs = append(pairs, plant.Arrival(&p.Right[0])...)
		}
	}
	return pairs
}

// TestPlantedDifferencesAreFound: every one, nothing else, and by its right name.
func TestPlantedDifferencesAreFound(t *testing.T) {
	t.Parallel()
	b, key := planted(1, *each)
	matched, found := reconcile(t, b, t.TempDir())
	s := plant.Score(key, found)
	t.Logf("%d planted, %d matched, %d found: recall %s, precision %s, named %s", len(key), matched, len(found), s.Recall(), s.Precision(), s.Named())
	if !s.Recall().All() || !s.Precision().All() || !s.Named().All() {
		for _, miss := range s.Wrong[:min(20, len(s.Wrong))] {
			t.Error(miss)
		}
	}
}

// TestAnotherOrderOfTheRowsChangesNothing, nor does a pair more.
func TestAnotherOrderOfTheRowsChangesNothing(t *testing.T) {
	t.Parallel()
	b, _ := planted(2, 10)
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
