package recon

import (
	"context"
	"hash"
	"io"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/order"
)

// ErrRunning is a day that somebody else has just reconciled.
var ErrRunning = fault.New(fault.Conflict, "RECON_RUNNING", "该日正在对账，请稍后查看结果")

// StatementID names a stored file.
type StatementID int64

// NewHash is the hash of statements and of what runs find: SM3.
func NewHash() hash.Hash { return gm.NewSM3() }

// Stored is a statement that was kept.
type Stored struct {
	Statement
	ID          StatementID
	Institution string
	Hash        string // SM3 of its bytes
	Size        int64
	Actor       string // who brought it: "system", "staff:3"
	KeptAt      time.Time
	Fresh       bool // these bytes were not here before
}

// Record is what is kept of a run. With the files it names it can be done again, and finds the same.
type Record struct {
	ID          int64
	Institution string
	Day         Day
	Seq         int // 1 for the day's first run
	BeganAt     time.Time
	EndedAt     time.Time
	Files       []StatementID // as the places in the evidence count them, from 1; 0 is our ledger
	Outcome     Outcome
	Proof       Proof
	Digest      string // SM3 of what was found
}

// Proof is how well a run finds what was planted in a copy of its books.
type Proof struct {
	Planted int `json:"planted"`
	Found   int `json:"found"`
	Named   int `json:"named"` // by the right kind
	Extra   int `json:"extra"` // found, and not planted

	Wrong []string `json:"wrong,omitempty"` // what went wrong, in words; not kept
}

// Whole reports whether everything that was planted was found under its name, and nothing else.
func (p Proof) Whole() bool { return p.Found == p.Planted && p.Named == p.Planted && p.Extra == 0 }

// Store keeps statements and runs.
type Store interface {
	// Keep stores a file that write writes. The same bytes for the same book, day and part are the same file: nothing is added.
	Keep(ctx context.Context, institution, actor string, s Statement, write func(w io.Writer) error) (Stored, error)
	// Statements lists the files of a day: of each book and part the one that was seen last.
	Statements(ctx context.Context, institution string, day Day) ([]Stored, error)
	// Statement is one file, whatever came after it.
	Statement(ctx context.Context, id StatementID) (Stored, error)
	// Open reads a file's bytes from an offset on.
	Open(ctx context.Context, id StatementID, from int64) (io.ReadCloser, error)
	// Moved hands over every order that was made before the end of a day and to which something happened from its beginning until so much later, with its
	// history; counted generously at both ends, for clocks differ.
	Moved(ctx context.Context, institution string, day Day, late time.Duration, do func(o *order.Order, history []order.Event) error) error
	// Begin makes the id of a run, under which its evidence is kept pile by pile; End stores what the run found, as the day's next. A run that was broken off
	// leaves evidence of an id that no run has. ErrRunning.
	Begin(institution string) (id int64, keep func(ctx context.Context, e Evidence) error)
	End(ctx context.Context, id int64, r Record) (Record, error)
	// Runs lists the runs of a day, the last one first. Their differences are not among what is read.
	Runs(ctx context.Context, institution string, day Day) ([]Record, error)
	// Evidence reads one pile of a run's evidence; nothing when that pile is empty.
	Evidence(ctx context.Context, run int64, comparison string, key, pile int) ([]byte, error)
}
