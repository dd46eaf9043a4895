package plant

import (
	"fmt"

	"github.com/tuoka/tuoka/internal/recon"
)

// Scored is how well a run has found what was planted.
type Scored struct {
	Planted int
	Found   int // planted and found
	Right   int // found, and given its right kind
	Extra   int // found, and not planted
	Wrong   []string
}

// Recall is the share of planted differences that were found.
func (s *Scored) Recall() Share { return Share{s.Found, s.Planted} }

// Precision is the share of what was found that was planted.
func (s *Scored) Precision() Share { return Share{s.Found, s.Found + s.Extra} }

// Named is the share of what was found that has its right kind.
func (s *Scored) Named() Share { return Share{s.Right, s.Found} }

// Share is a part of a whole, exactly.
type Share struct{ Part, Whole int }

// All reports whether nothing is missing.
func (s Share) All() bool { return s.Part == s.Whole }

// String is a number of six decimals, cut and not rounded: only the whole is 1.
func (s Share) String() string {
	if s.All() {
		return "1"
	}
	return fmt.Sprintf("0.%06d", s.Part*1_000_000/s.Whole)
}

// MarshalJSON is that number.
func (s Share) MarshalJSON() ([]byte, error) { return []byte(s.String()), nil }

// Score holds what was found against the key.
func Score(key []Planted, found []recon.Difference) *Scored {
	s := &Scored{Planted: len(key)}
	open := map[string]*Planted{}
	for i := range key {
		open[key[i].at(key[i].Number)] = &key[i]
	}
	for i := range found {
		d := &found[i]
		p, at := planted(open, d)
		switch {
		case p == nil:
			s.Extra++
			s.Wrong = append(s.Wrong, fmt.Sprintf("found %s in %s that nobody planted: %+v %+v", d.Kind, d.Comparison, d.Left, d.Right))
			continue
		case p.Kind == d.Kind:
			s.Right++
		default:
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s in %s is called %s: %s", p.Kind, d.Comparison, d.Kind, p.Way))
		}
		s.Found++
		delete(open, at)
	}
	for _, p := range open {
		s.Wrong = append(s.Wrong, fmt.Sprintf("%s in %s was not found: %s, %s", p.Kind, p.Comparison, p.Way, p.Number))
	}
	return s
}

// at is where a difference is looked for.
func (p *Planted) at(number string) string { return p.Comparison + " " + string(p.Line) + " " + number }

func planted(open map[string]*Planted, d *recon.Difference) (*Planted, string) {
	for _, lines := range [][]recon.Line{d.Left, d.Right} {
		for i := range lines {
			for _, n := range append(own, recon.OrderNo) {
				at := (&Planted{Comparison: d.Comparison, Line: lines[i].Kind}).at(lines[i].Numbers[n])
				if p := open[at]; p != nil {
					return p, at
				}
			}
		}
	}
	return nil, ""
}
