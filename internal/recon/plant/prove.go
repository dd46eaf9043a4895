package plant

import (
	"context"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/recon"
)

// Sampler keeps some of a run's matches, to plant in.
type Sampler struct {
	most  int
	pairs map[string][]Pair
}

// NewSampler keeps at most so many pairs of each comparison.
func NewSampler(most int) *Sampler { return &Sampler{most: most, pairs: map[string][]Pair{}} }

// Take looks at a match of a run.
func (s *Sampler) Take(m *recon.Match) {
	if m.Equal() && len(m.Left) == 1 && len(m.Right) == 1 && len(s.pairs[m.Comparison.Name]) < s.most {
		s.pairs[m.Comparison.Name] = append(s.pairs[m.Comparison.Name], Pair{m.Comparison.Name, recon.Owned(m.Left), recon.Owned(m.Right)})
	}
}

// Prove plants differences in a copy of what was kept, and compares it as the run did: every third pair stays as it is, and must give no difference.
func (s *Sampler) Prove(ctx context.Context, day recon.Day, tolerance time.Duration, seed uint64, dir string) (recon.Proof, error) {
	g := New(day, tolerance, seed)
	judge := recon.NewJudge(day, tolerance)
	var key []Planted
	for _, c := range recon.Comparisons() {
		pairs, put := g.sow(c.Name, s.pairs[c.Name])
		key = append(key, put...)
		if err := compare(ctx, &c, pairs, judge, dir); err != nil {
			return recon.Proof{}, fmt.Errorf("prove %s: %w", c.Name, err)
		}
	}
	score := Score(key, judge.Differences())
	return recon.Proof{Planted: score.Planted, Found: score.Found, Named: score.Right, Extra: score.Extra, Wrong: score.Wrong}, nil
}

// sow goes the comparison's ways one after the other, each with the next pairs that it fits, and leaves a pair as it is after every two.
func (g *Gardener) sow(comparison string, pairs []Pair) (changed []Pair, key []Planted) {
	names := Ways(comparison)
	for turn, way := 0, 0; len(pairs) > 0; turn++ {
		if name := names[way%len(names)]; turn%3 < 2 {
			way++
			if n := Needs(name); len(pairs) >= n && Fits(name, pairs[:n]...) {
				sown, put := g.Plant(name, pairs[:n])
				changed, key, pairs = append(changed, sown...), append(key, put...), pairs[n:]
				continue
			}
		}
		changed, pairs = append(changed, pairs[0]), pairs[1:]
	}
	return changed, key
}

func compare(ctx context.Context, c *recon.Comparison, pairs []Pair, judge *recon.Judge, dir string) error {
	cmp := recon.NewComparer(c, dir)
	defer cmp.Close()
	for i := range pairs {
		for j := range pairs[i].Left {
			if err := cmp.AddLeft(&pairs[i].Left[j]); err != nil {
				return err
			}
		}
		for j := range pairs[i].Right {
			if err := cmp.AddRight(&pairs[i].Right[j]); err != nil {
				return err
			}
		}
	}
	return cmp.Compare(ctx, judge.Take)
}
