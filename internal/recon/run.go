package recon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tuoka/tuoka/internal/money"
)

// Feed gives the lines of one book for one run, in any order, by calling do for each. An error of do ends it.
type Feed func(ctx context.Context, do func(*Line) error) error

// Total is how much of a book's lines of one kind there is, and how much of it is matched.
type Total struct {
	Source  Source    `json:"source"`
	Leg     Leg       `json:"leg"`
	Kind    Kind      `json:"kind"`
	Lines   int       `json:"lines"`
	Amount  money.Fen `json:"amount_fen"`
	Matched int       `json:"matched"` // in the comparison that accounts for the line, equal or not
	Alone   int       `json:"alone"`   // without a counterpart in it: in a difference
	Apart   int       `json:"apart"`   // in no comparison: the other book is missing, or it is nobody's
}

// Evidence is which lines belong together, for one pile of one key of a comparison: a line of text for each match, sorted. See Match.proof.
type Evidence struct {
	Comparison string
	Key        int
	Pile       int
	Text       []byte
}

// Run is one pass over a day's books.
type Run struct {
	Day       Day
	Tolerance time.Duration // how near to midnight a line may stand in the neighbouring day's book
	Dir       string        // for temporary files; empty: the system's
	Books     map[Source]Feed
	Keep      func(Evidence) error // nil: evidence is not kept
	Look      func(*Match)         // is shown every match; may be nil
}

// Outcome is what a run has found. It depends on the books alone, not on the order of their rows.
type Outcome struct {
	Totals      []Total
	Lines       int // of all books
	Matched     int // of them, those that have a match in the comparison that accounts for them, equal or not
	Differences []Difference
}

// errLost is a line that was read and is in no match, no difference, and not apart: a bug, never to be shown as a result.
var errLost = errors.New("recon: lines were lost between reading and comparing")

// Do compares every pair of books that are both there, and accounts for every line. Errors: of the books; ErrTooDifferent.
func (r *Run) Do(ctx context.Context) (*Outcome, error) {
	var comparers []*Comparer
	for _, c := range Comparisons() {
		if r.Books[c.Left] != nil && r.Books[c.Right] != nil {
			comparers = append(comparers, NewComparer(&c, r.Dir))
		}
	}
	defer func() {
		for _, c := range comparers {
			c.Close()
		}
	}()
	out := &Outcome{}
	if err := r.feed(ctx, comparers, out); err != nil {
		return nil, err
	}
	judge := NewJudge(r.Day, r.Tolerance)
	for _, c := range comparers {
		if err := r.compare(ctx, c, judge, out); err != nil {
			return nil, fmt.Errorf("compare %s: %w", c.comparison.Name, err)
		}
	}
	for _, t := range out.Totals {
		if t.Matched+t.Alone+t.Apart != t.Lines {
			return nil, fmt.Errorf("%w: %s %s %s: %d, of which %d matched, %d alone, %d apart", errLost, t.Source, t.Leg, t.Kind, t.Lines, t.Matched, t.Alone, t.Apart)
		}
	}
	out.Differences = judge.Differences()
	return out, nil
}

// feed reads every book once, all side by side, into the comparisons that it takes part in.
func (r *Run) feed(ctx context.Context, comparers []*Comparer, out *Outcome) error {
	totals := make([]map[Total]*Total, len(sources))
	group, ctx := errgroup.WithContext(ctx)
	for i, source := range sources {
		book := r.Books[source]
		if book == nil {
			continue
		}
		totals[i] = map[Total]*Total{}
		group.Go(func() error {
			err := book(ctx, func(l *Line) error {
				return deal(comparers, l, count(totals[i], l))
			})
			if err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, of := range totals {
		for _, t := range of {
			out.Totals = append(out.Totals, *t)
			out.Lines += t.Lines
		}
	}
	slices.SortFunc(out.Totals, func(a, b Total) int {
		return cmp.Or(cmp.Compare(slices.Index(sources, a.Source), slices.Index(sources, b.Source)), cmp.Compare(slices.Index(legs, a.Leg), slices.Index(legs, b.Leg)),
			cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)))
	})
	return nil
}

func count(totals map[Total]*Total, l *Line) *Total {
	key := Total{Source: l.Source, Leg: l.Leg, Kind: l.Kind}
	t := totals[key]
	if t == nil {
		t = &Total{Source: l.Source, Leg: l.Leg, Kind: l.Kind}
		totals[key] = t
	}
	t.Lines++
	t.Amount += l.Amount
	return t
}

// deal gives a line to the comparisons that it takes part in. A book is on one side of each, so that no two of them touch the same side.
// One that none of them accounts for is apart.
func deal(comparers []*Comparer, l *Line, t *Total) error {
	apart := 1
	for _, c := range comparers {
		var err error
		switch {
		case l.Leg != c.comparison.Leg:
			continue
		case l.Source == c.comparison.Left:
			err = c.AddLeft(l)
		case l.Source == c.comparison.Right:
			err = c.AddRight(l)
		default:
			continue
		}
		if err != nil {
			return err
		}
		if c.comparison.accounts(l.Source) {
			apart = 0
		}
	}
	t.Apart += apart
	return nil
}

// accounts reports whether this comparison, and no other of the line's, counts a book's lines: each is counted once. A trade, which arrivals takes apart, is counted
// beside our ledger.
func (c *Comparison) accounts(source Source) bool { return source == c.Right || c.Expand == nil }

func (r *Run) compare(ctx context.Context, c *Comparer, judge *Judge, out *Outcome) error {
	var pile Evidence
	flush := func() error {
		if r.Keep == nil || len(pile.Text) == 0 {
			return nil
		}
		return r.Keep(pile)
	}
	err := c.Compare(ctx, func(m *Match) error {
		matched := m.Key >= 0 && !m.Extra
		out.account(m, matched)
		if matched {
			if m.Key != pile.Key || m.Pile != pile.Pile || pile.Comparison == "" {
				if err := flush(); err != nil {
					return err
				}
				pile = Evidence{Comparison: c.comparison.Name, Key: m.Key, Pile: m.Pile}
			}
			pile.Text = m.proof(pile.Text)
		}
		if r.Look != nil {
			r.Look(m)
		}
		return judge.Take(m)
	})
	if err != nil {
		return err
	}
	return flush()
}

// account counts the lines of a match, or one that is alone.
func (o *Outcome) account(m *Match, matched bool) {
	for _, lines := range [][]Line{m.Left, m.Right} {
		for i := range lines {
			l := &lines[i]
			if !m.Comparison.accounts(l.Source) {
				continue
			}
			at := slices.IndexFunc(o.Totals, func(t Total) bool { return t.Source == l.Source && t.Leg == l.Leg && t.Kind == l.Kind })
			if matched {
				o.Totals[at].Matched++
				o.Matched++
			} else {
				o.Totals[at].Alone++
			}
		}
	}
}

// proof adds a line that says which lines belong together: the kind and number by which they were found, then where each stands as file:offset+length, those of
// the left book before the bar.
func (m *Match) proof(b []byte) []byte {
	first := m.Left[0]
	b = append(b, first.Kind...)
	b = append(b, ' ')
	b = append(b, first.Numbers[m.Comparison.Keys[m.Key].Number]...)
	for _, l := range m.Left {
		b = l.Place.append(append(b, ' '))
	}
	b = append(b, " |"...)
	for _, l := range m.Right {
		b = l.Place.append(append(b, ' '))
	}
	return append(b, '\n')
}

func (p Place) append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(p.File), 10)
	b = strconv.AppendInt(append(b, ':'), p.Offset, 10)
	return strconv.AppendInt(append(b, '+'), int64(p.Length), 10)
}
