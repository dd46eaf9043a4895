package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/store"
)

// fillSpan is how far back the copies reach.
const fillSpan = 2 * 365 * 24 * time.Hour

type fillFlags struct {
	serveFlags
	orders int
	jobs   int
}

func fillCommand() *cobra.Command {
	f := fillFlags{serveFlags: serveFlags{join: true}}
	cmd := &cobra.Command{Use: "fill", Short: "copy the finished orders of a sandbox's database until its tables are large", Args: cobra.NoArgs,
		Long: `Copies finished orders of a sandbox's database, with everything that belongs to them, over the last two years, to measure on tables of a hospital's
size. The originals are made before, with tuoka pay or tuoka bench on the same --data and --dsn; the newest 128 are copied, refunds with
them. Every copy has its own ids and numbers, is sealed and signed, and belongs to a copied person, who has about ten of them; every tenth has a job that
waits for years. With SQLite stop the service first.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fill(cmd.Context(), cmd.OutOrStdout(), os.Stderr, f)
		}}
	stageFlags(cmd, &f.serveFlags)
	cmd.Flags().IntVar(&f.orders, "orders", 0, "how many copies")
	cmd.Flags().IntVar(&f.jobs, "jobs", 0, "how many jobs of no order beside them: nine in ten finished, the others waiting")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as one line of JSON")
	return cmd
}

// filled is what fill prints.
type filled struct {
	Orders     int              `json:"orders"`
	Jobs       int              `json:"jobs"`
	Rows       map[string]int64 `json:"rows"` // written, by table
	All        int64            `json:"all"`
	DurationMS int64            `json:"duration_ms"`
}

func fill(ctx context.Context, out, progress io.Writer, f fillFlags) (err error) {
	if f.orders < 0 || f.jobs < 0 || f.orders+f.jobs == 0 {
		return errors.New("say how many: --orders, --jobs, or both")
	}
	spareCollector()
	cfg, _, err := f.load()
	if err != nil {
		return err
	}
	now := clock.Real{}
	db, _, err := openStore(ctx, cfg, store.Config{Silent: longReports}, now, clock.NewSource(now, 0)) // whose ids nobody uses: copies have ids of their own time
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	bar := progressbar.NewOptions(f.orders+f.jobs, progressbar.OptionSetWriter(progress), progressbar.OptionSetDescription("orders and jobs"),
		progressbar.OptionShowCount(), progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionOnCompletion(func() { _, _ = fmt.Fprintln(progress) }), progressbar.OptionSetVisibility(!f.json && term.IsTerminal(int(os.Stderr.Fd()))))
	begun := now.Now()
	rows, err := db.Fill(ctx, store.Fill{Orders: f.orders, Jobs: f.jobs, Span: fillSpan, Done: func(n int) { _ = bar.Add(n) }})
	if errors.Is(err, store.ErrNoOriginal) {
		return fmt.Errorf("%w: no finished order to copy; make some first: tuoka serve --sandbox, then tuoka pay --orders 200 --refunds 0.2", err)
	}
	if err != nil {
		return err
	}
	if err := db.Analyze(ctx); err != nil {
		return err
	}
	r := filled{Orders: f.orders, Jobs: f.jobs, Rows: rows, DurationMS: now.Now().Sub(begun).Milliseconds()}
	for _, n := range rows {
		r.All += n
	}
	return r.print(out, f.json)
}

func (r *filled) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	tables := make([]string, 0, len(r.Rows))
	for table := range r.Rows {
		tables = append(tables, table)
	}
	slices.SortFunc(tables, func(a, b string) int { return int(r.Rows[b] - r.Rows[a]) })
	for _, table := range tables {
		_, _ = fmt.Fprintf(w, "%s\t%d\t\n", table, r.Rows[table])
	}
	_, _ = fmt.Fprintf(w, "rows\t%d\t\n", r.All)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "in %s\n", time.Duration(r.DurationMS)*time.Millisecond)
	return err
}
