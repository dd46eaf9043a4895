package recon

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tuoka/tuoka/internal/money"
)

// Match is what belongs together, or what does not. Lines of one side alone have nothing on the other.
type Match struct {
	Comparison *Comparison
	Key        int // which of its keys; -1: none found it
	Pile       int // of that key
	Left       []Line
	Right      []Line
	Defects    Defect
	Extra      bool // the other book, or the same, has a line for its number already
}

// Equal reports whether both books have it and say the same.
func (m *Match) Equal() bool { return len(m.Left) > 0 && len(m.Right) > 0 && m.Defects == 0 }

// Result takes what a comparison finds, one after the other, in an order that depends on the lines alone and not on where they stood. The lines are the
// caller's only until he returns.
type Result func(*Match) error

// Comparer holds two books against each other. Lines are added first, of both sides in any order, and compared once.
type Comparer struct {
	comparison *Comparison
	left       side
	right      side
	workers    int
}

// side is one book's lines by the first of the keys that they have and that has not been tried; the last spill is of those without any.
type side []*spill

// NewComparer begins a comparison; dir (empty: the system's) takes its temporary files. Close ends it.
func NewComparer(c *Comparison, dir string) *Comparer {
	both := make([]*spill, 2*(len(c.Keys)+1))
	for i := range both {
		both[i] = &spill{dir: dir}
	}
	return &Comparer{comparison: c, left: both[:len(c.Keys)+1], right: both[len(c.Keys)+1:], workers: max(1, runtime.GOMAXPROCS(0))}
}

// Close gives the temporary files back.
func (c *Comparer) Close() {
	for _, s := range slices.Concat(c.left, c.right) {
		s.close()
	}
}

// AddLeft takes a line of the left book. Not for several goroutines at once.
func (c *Comparer) AddLeft(l *Line) error {
	if c.comparison.Expand == nil {
		return c.left.add(c.comparison, 0, l)
	}
	for _, one := range c.comparison.Expand(*l) {
		if err := c.left.add(c.comparison, 0, &one); err != nil {
			return err
		}
	}
	return nil
}

// AddRight takes a line of the right book. Not for several goroutines at once.
func (c *Comparer) AddRight(l *Line) error { return c.right.add(c.comparison, 0, l) }

// add keeps a line under the first key from the k-th on that it has.
func (s side) add(c *Comparison, k int, l *Line) error {
	for ; k < len(c.Keys); k++ {
		if no := l.Numbers[c.Keys[k].Number]; no != "" && slices.Contains(c.Keys[k].Kinds, l.Kind) {
			return s[k].add(pileOf(l.Kind, no), l)
		}
	}
	return s[k].add(0, l)
}

// Compare pairs the lines off, key by key, and hands over every match and every line that has none.
func (c *Comparer) Compare(ctx context.Context, result Result) error {
	for k := range c.comparison.Keys {
		err := c.pass(ctx, k, func(m *Match) error {
			if m.Key >= 0 {
				return result(m)
			}
			for i := range m.Left {
				if err := c.left.add(c.comparison, k+1, &m.Left[i]); err != nil {
					return err
				}
			}
			for i := range m.Right {
				if err := c.right.add(c.comparison, k+1, &m.Right[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		c.left[k].close()
		c.right[k].close()
	}
	return c.rest(result)
}

// rest hands over, one by one, the lines for which no key is left.
func (c *Comparer) rest(result Result) error {
	err := c.left[len(c.comparison.Keys)].each(0, func(l Line) error {
		return result(&Match{Comparison: c.comparison, Key: -1, Left: []Line{l}})
	})
	if err != nil {
		return err
	}
	return c.right[len(c.comparison.Keys)].each(0, func(l Line) error {
		return result(&Match{Comparison: c.comparison, Key: -1, Right: []Line{l}})
	})
}

// pass compares by one key, pile by pile: workers compare, and what they find is handed over in the order of the piles.
func (c *Comparer) pass(ctx context.Context, k int, result Result) error {
	group, ctx := errgroup.WithContext(ctx)
	found := make([]chan []Match, piles)
	for i := range found {
		found[i] = make(chan []Match, 1)
	}
	ahead := make(chan struct{}, c.workers) // piles in memory
	group.Go(func() error {
		for i := range found {
			select {
			case ahead <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			group.Go(func() error {
				matches, err := c.pile(k, i)
				found[i] <- matches
				return err
			})
		}
		return nil
	})
	group.Go(func() error {
		for i := range found {
			select {
			case matches := <-found[i]:
				for j := range matches {
					matches[j].Pile = i
					if err := result(&matches[j]); err != nil {
						return err
					}
				}
				<-ahead
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

// pile compares what has numbers of one pile.
func (c *Comparer) pile(k, n int) ([]Match, error) {
	ls, err := c.left[k].pile(n)
	if err != nil {
		return nil, err
	}
	rs, err := c.right[k].pile(n)
	if err != nil {
		return nil, err
	}
	var out []Match
	c.sort(k, ls)
	c.sort(k, rs)
	number := c.comparison.Keys[k].Number
	for len(ls) > 0 || len(rs) > 0 {
		first := ls
		if len(ls) == 0 || len(rs) > 0 && byNumber(&rs[0], &ls[0], number) < 0 {
			first = rs
		}
		i, j := sharing(ls, &first[0], number), sharing(rs, &first[0], number)
		out = c.group(out, k, ls[:i:i], rs[:j:j])
		ls, rs = ls[i:], rs[j:]
	}
	return out, nil
}

// sharing counts the lines at the front that are of that kind and have that number.
func sharing(lines []Line, first *Line, number Number) int {
	i := 0
	for i < len(lines) && byNumber(&lines[i], first, number) == 0 {
		i++
	}
	return i
}

func byNumber(a, b *Line, number Number) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Numbers[number], b.Numbers[number]))
}

// sort puts lines into an order of what they say, whatever the order in which their book has them.
func (c *Comparer) sort(k int, lines []Line) {
	number := c.comparison.Keys[k].Number
	slices.SortFunc(lines, func(a, b Line) int {
		if d := byNumber(&a, &b, number); d != 0 {
			return d
		}
		return byContent(&a, &b)
	})
}

func byContent(a, b *Line) int {
	if d := cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Amount, b.Amount)); d != 0 {
		return d
	}
	for n := range a.Numbers {
		if d := strings.Compare(a.Numbers[n], b.Numbers[n]); d != 0 {
			return d
		}
	}
	x, y := &a.Split, &b.Split
	return cmp.Or(strings.Compare(string(a.Status), string(b.Status)), cmp.Compare(a.Tells, b.Tells), cmp.Compare(x.PooledFund, y.PooledFund),
		cmp.Compare(x.OtherFund, y.OtherFund), cmp.Compare(x.Account, y.Account), cmp.Compare(x.FamilyAccount, y.FamilyAccount),
		cmp.Compare(x.HospitalBorne, y.HospitalBorne), cmp.Compare(x.Cash, y.Cash), cmp.Compare(x.Uninsured, y.Uninsured), cmp.Compare(a.Fee, b.Fee),
		cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Offset, b.Place.Offset)) // what they say comes first: equal ones alone by where they stand
}

// group matches the lines of both sides that share a number.
func (c *Comparer) group(out []Match, k int, ls, rs []Line) []Match {
	if len(ls) == 0 || len(rs) == 0 {
		return c.alone(out, -1, ls, rs, false)
	}
	if len(ls) == 1 && len(rs) == 1 {
		return append(out, Match{Comparison: c.comparison, Key: k, Left: ls, Right: rs, Defects: c.comparison.defects(&ls[0], &rs[0])})
	}
	if (len(ls) == 1 || len(rs) == 1) && c.together(ls, rs) { // in one sum here, in several there
		return append(out, Match{Comparison: c.comparison, Key: k, Left: ls, Right: rs})
	}
	ls, rs = slices.Clone(ls), slices.Clone(rs)
	pair := func(bearable func(Defect) bool) {
		for i := 0; i < len(ls); i++ {
			j := slices.IndexFunc(rs, func(r Line) bool { return bearable(c.comparison.defects(&ls[i], &r)) })
			if j < 0 {
				continue
			}
			out = append(out, Match{Comparison: c.comparison, Key: k, Left: []Line{ls[i]}, Right: []Line{rs[j]},
				Defects: c.comparison.defects(&ls[i], &rs[j])})
			ls, rs = slices.Delete(ls, i, i+1), slices.Delete(rs, j, j+1)
			i--
		}
	}
	pair(func(d Defect) bool { return d == 0 })
	pair(func(d Defect) bool { return d&OtherAmount == 0 })
	pair(func(Defect) bool { return true })
	return c.alone(out, k, ls, rs, true)
}

// together reports whether the lines of both sides come to the same: in sum, part by part, with no number or status that contradicts. A line of nothing adds nothing
// to a sum, and is not part of one.
func (c *Comparer) together(ls, rs []Line) bool {
	for i := range ls {
		for j := range rs {
			if c.comparison.defects(&ls[i], &rs[j])&(OtherNumber|OtherStatus) != 0 {
				return false
			}
		}
	}
	left, ok1 := summed(ls)
	right, ok2 := summed(rs)
	return ok1 && ok2 && left.Amount == right.Amount && !c.comparison.otherParts(&left, &right)
}

// summed is what lines come to; false when one of them is of nothing, or the sum is beyond what money can be. It tells the parts that all of them tell.
func summed(lines []Line) (sum Line, ok bool) {
	sum.Tells = TellsAll
	for i := range lines {
		l := &lines[i]
		var err error
		if sum.Amount, err = money.Add(sum.Amount, l.Amount); err != nil || l.Amount == 0 {
			return sum, false
		}
		sum.Tells &= l.Tells
		s, a := &sum.Split, &l.Split
		s.PooledFund, s.OtherFund, s.Account, s.FamilyAccount = s.PooledFund+a.PooledFund, s.OtherFund+a.OtherFund, s.Account+a.Account, s.FamilyAccount+a.FamilyAccount
		s.HospitalBorne, s.Cash, s.Uninsured = s.HospitalBorne+a.HospitalBorne, s.Cash+a.Cash, s.Uninsured+a.Uninsured
	}
	return sum, true
}

// alone hands over lines that have nothing on the other side, one by one.
func (c *Comparer) alone(out []Match, k int, ls, rs []Line, extra bool) []Match {
	for i := range ls {
		out = append(out, Match{Comparison: c.comparison, Key: k, Left: ls[i : i+1 : i+1], Extra: extra})
	}
	for j := range rs {
		out = append(out, Match{Comparison: c.comparison, Key: k, Right: rs[j : j+1 : j+1], Extra: extra})
	}
	return out
}
