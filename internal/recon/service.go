package recon

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/settlement"
)

// Errors of a day.
var (
	// ErrInstitution is a hospital that is not reconciled here.
	ErrInstitution = fault.New(fault.NotFound, "RECON_INSTITUTION", "没有这家机构，或该机构未启用对账")
)

// Party is one institution and the books that are held against our ledger.
type Party struct {
	Institution string
	Tolerance   time.Duration // how near to midnight a line may stand in the neighbouring day's book; 10 minutes when zero
	Books       map[Source]Statements
}

// Prover looks at a run's matches, and afterwards shows what the run would have found.
type Prover interface {
	Take(m *Match)
	Prove(ctx context.Context, day Day, tolerance time.Duration, seed uint64, dir string) (Proof, error)
}

// Config is what a service may be told.
type Config struct {
	Dir    string                                                               // for temporary files; empty: the system's
	Late   time.Duration                                                        // how long after the end of a day its last orders may still be recorded; 7 days when zero
	Prover func() Prover                                                        // a new one for every run
	Person func(ctx context.Context, o *order.Order) (settlement.Person, error) // whose order it is, for an insurer who asks by order; nil: nobody asks so
}

// Service reconciles days.
type Service struct {
	store   Store
	clock   clock.Clock
	parties map[string]*Party
	config  Config
}

// New is a service for these institutions.
func New(store Store, clk clock.Clock, parties []*Party, config Config) *Service {
	s := &Service{store: store, clock: clk, parties: map[string]*Party{}, config: config}
	if s.config.Late <= 0 {
		s.config.Late = 7 * 24 * time.Hour
	}
	for _, p := range parties {
		if p.Tolerance <= 0 {
			p.Tolerance = 10 * time.Minute
		}
		s.parties[p.Institution] = p
	}
	return s
}

// Collected says how a book of a day stands after it was asked for.
type Collected struct {
	Source Source
	Files  []Stored
	Err    error // why there is none, or not all: ErrNotReady, ErrForm, or the adapter's own
}

// Collect asks every counterpart for its book of a day, and keeps what comes. One that fails keeps none of the others from being asked.
func (s *Service) Collect(ctx context.Context, institution string, day Day, actor string) ([]Collected, error) {
	p := s.parties[institution]
	if p == nil {
		return nil, ErrInstitution.Because(fmt.Errorf("institution %.40q", institution))
	}
	var out []Collected
	for _, source := range sources {
		if p.Books[source] == nil {
			continue
		}
		c := Collected{Source: source}
		c.Err = p.Books[source].Fetch(ctx, day, s.claims(institution, day), func(of Statement, write func(w io.Writer) error) error {
			kept, err := s.store.Keep(ctx, institution, actor, of, write)
			if err == nil {
				c.Files = append(c.Files, kept)
			}
			return err
		})
		out = append(out, c)
	}
	return out, nil
}

// claims are what the ledger has of the insurer on that day.
func (s *Service) claims(institution string, day Day) Claims {
	return func(ctx context.Context, do func(Claim) error) error {
		return s.moved(ctx, institution, day, func(o *order.Order, history []order.Event) error {
			for _, c := range ClaimsOf(o, history) {
				if DayOf(c.At) != day {
					continue
				}
				var err error
				if s.config.Person != nil {
					if c.Person, err = s.config.Person(ctx, o); err != nil {
						return err
					}
				}
				if err = do(c); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// moved are the orders that may have a line on that day: what happened on it may be recorded days later.
func (s *Service) moved(ctx context.Context, institution string, day Day, do func(o *order.Order, history []order.Event) error) error {
	return s.store.Moved(ctx, institution, day, s.config.Late, do)
}

// Ledger is our own book of a day.
func (s *Service) Ledger(institution string, day Day) Feed {
	return func(ctx context.Context, do func(*Line) error) error {
		return s.moved(ctx, institution, day, func(o *order.Order, history []order.Event) error {
			lines := LinesOf(o, history)
			for i := range lines {
				if DayOf(lines[i].At) != day {
					continue
				}
				if err := do(&lines[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// Reconcile compares the books of a day that are kept, and keeps what it finds. Books that are missing are in no comparison. Our ledger is read as it stands now,
// unless the institution's comes as a file.
func (s *Service) Reconcile(ctx context.Context, institution string, day Day) (Record, error) {
	p, r := s.parties[institution], Record{Institution: institution, Day: day, BeganAt: s.clock.Now()}
	if p == nil {
		return r, ErrInstitution.Because(fmt.Errorf("institution %.40q", institution))
	}
	files, err := s.store.Statements(ctx, institution, day)
	if err != nil {
		return r, err
	}
	run := Run{Day: day, Tolerance: p.Tolerance, Dir: s.config.Dir, Books: map[Source]Feed{}}
	if p.Books[Ledger] == nil {
		run.Books[Ledger] = s.Ledger(institution, day)
	}
	of := map[Source][]numbered{}
	for _, f := range files {
		if !f.Attached {
			r.Files = append(r.Files, f.ID)
			of[f.Source] = append(of[f.Source], numbered{f, int32(len(r.Files))}) //nolint:gosec // a day has few files
		}
	}
	for source, those := range of {
		if book := p.Books[source]; book != nil {
			run.Books[source] = s.book(book, those)
		}
	}
	id, keep := s.store.Begin(institution)
	run.Keep = func(e Evidence) error { return keep(ctx, e) }
	var prover Prover
	if s.config.Prover != nil {
		prover = s.config.Prover()
		run.Look = prover.Take
	}
	out, err := run.Do(ctx)
	if err != nil {
		return r, fmt.Errorf("reconcile %s of %s: %w", day, institution, err)
	}
	r.Outcome, r.Digest = *out, out.Digest()
	if prover != nil {
		if r.Proof, err = prover.Prove(ctx, day, p.Tolerance, uint64(day.Begin().Unix()), s.config.Dir); err != nil { //nolint:gosec // a seed
			return r, err
		}
	}
	r.EndedAt = s.clock.Now()
	return s.store.End(ctx, id, r)
}

// numbered is a file and its number among those of a run.
type numbered struct {
	Stored
	number int32
}

// book reads the files of one source, one after the other.
func (s *Service) book(book Statements, files []numbered) Feed {
	return func(ctx context.Context, do func(*Line) error) error {
		for _, f := range files {
			if f.Nothing {
				continue
			}
			r, err := s.store.Open(ctx, f.ID, 0)
			if err != nil {
				return err
			}
			err = book.Read(f.Statement, r, func(l Line) error {
				l.Place.File = f.number
				return do(&l)
			})
			if err = errors.Join(err, r.Close()); err != nil {
				return fmt.Errorf("statement %s: %w", f.Name, err)
			}
		}
		return nil
	}
}

// Digest is the SM3 of what a run has found, whatever the order of the rows.
func (o *Outcome) Digest() string {
	sum := NewHash()
	for _, t := range o.Totals {
		_, _ = fmt.Fprintf(sum, "%s %s %s %d %d %d\n", t.Source, t.Leg, t.Kind, t.Lines, t.Amount, t.Matched) // a hash takes everything
	}
	for i := range o.Differences {
		d := &o.Differences[i]
		var nos []string
		for _, l := range d.lines() {
			nos = append(nos, string(l.Source), string(l.Kind), l.Amount.String(), strings.Join(l.Numbers[:], ","))
		}
		_, _ = fmt.Fprintf(sum, "%s %s %s %s %s\n", d.Comparison, d.Kind, d.Was, d.Amount, strings.Join(nos, " "))
	}
	return hex.EncodeToString(sum.Sum(nil))
}
