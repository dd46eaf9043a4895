package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/nhsa/core"
	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/recon/plant"
)

func reconcileCommand() *cobra.Command {
	f := serveFlags{base: 8080}
	cmd := &cobra.Command{Use: "reconcile", Short: "hold the day's books against each other (对账)", Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	officeFlags(cmd, &f)
	cmd.AddCommand(reconcileRun(&f), reconcileStatus(&f), reconcileShow(&f), reconcileGenerate())
	return cmd
}

// anyDay is the business day of generated files.
const anyDay = "2026-11-23"

func reconcileGenerate() *cobra.Command {
	var orders, differences int
	var seed uint64
	var day, out string
	cmd := &cobra.Command{Use: "generate", Short: "make a day's files of every book, with differences planted in them and a key that says which (生成对账样例)", Args: noWords,
		Long: `Makes the files of a hospital's day of made-up orders: our ledger, the HIS's list, what the insurer said, WeChat Pay's trade bill and its fund flow, each in
its true form, with so many differences of every kind spread over them, and key.json that names them all. The same seed makes the same files.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "out"); err != nil {
				return err
			}
			d, err := recon.ParseDay(day)
			if err != nil {
				return inChinese(err)
			}
			if orders < 1 || differences < 0 {
				return errors.New("--orders must be at least 1, --differences not below 0")
			}
			files, err := plant.NewFiles(out, d)
			if err != nil {
				return err
			}
			key, err := plant.World{Day: d, Seed: seed}.Grow(orders, differences, generatedTolerance, files.Add)
			if err = errors.Join(err, files.Close(key)); err != nil {
				return inChinese(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d orders, %d differences to be found: %s\n", orders, len(key), out)
			return err
		}}
	cmd.Flags().IntVar(&orders, "orders", 10_000, "how many orders (订单数)")
	cmd.Flags().IntVar(&differences, "differences", 0, "how many differences (差异数)")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "which day of all possible ones (种子)")
	cmd.Flags().StringVar(&day, "day", anyDay, "business day (业务日)")
	cmd.Flags().StringVar(&out, "out", "", "folder, made where it is missing (输出目录)")
	return cmd
}

// generatedTolerance is how near to midnight a planted matter of time stands.
const generatedTolerance = 10 * time.Minute

func reconcileRun(f *serveFlags) *cobra.Command {
	var files, day, institution string
	var asJSON bool
	cmd := &cobra.Command{Use: "run", Short: "compare the books of a day (执行对账)", Args: noWords,
		Long: `With --files the books are files of a folder as tuoka reconcile generate makes them; with --config, --sandbox or --dsn beside it they are kept in that
database, sealed, and the run with its evidence; without, nothing is kept.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "files"); err != nil {
				return err
			}
			d, err := recon.ParseDay(day)
			if err != nil {
				return inChinese(err)
			}
			r := filesRun{dir: files, day: d, institution: institution}
			begun := clock.Real{}.Now()
			if f.config == "" && !f.sandbox && f.dsn == "" {
				err = r.alone(cmd.Context())
			} else {
				err = withOffice(cmd.Context(), *f, func(o *office) error { return r.kept(cmd.Context(), o) })
			}
			if errors.Is(err, recon.ErrForm) { // where, and what is wrong there: never the row itself
				return told{recon.ErrForm.Msg + "（" + recon.ErrForm.Code + "）：" + err.Error(), err}
			}
			if err != nil {
				return inChinese(err)
			}
			return r.print(cmd.OutOrStdout(), clock.Real{}.Now().Sub(begun), asJSON)
		}}
	cmd.Flags().StringVar(&files, "files", "", "folder of the day's files (对账文件目录)")
	cmd.Flags().StringVar(&day, "day", anyDay, "business day (业务日)")
	cmd.Flags().StringVar(&institution, "institution", "h1", "whose day (机构)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one line of JSON")
	return cmd
}

// filesRun is a run on the files of a folder.
type filesRun struct {
	dir         string
	day         recon.Day
	institution string
	outcome     recon.Outcome
	proof       recon.Proof // of the run itself
	seq         int         // of the run, where it is kept
}

// alone compares the files and keeps nothing.
func (r *filesRun) alone(ctx context.Context) error {
	run := recon.Run{Day: r.day, Tolerance: generatedTolerance, Books: map[recon.Source]recon.Feed{}}
	for i, b := range fileBooks() {
		name := filepath.Join(r.dir, b.name)
		if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
			continue
		}
		run.Books[b.source] = func(_ context.Context, do func(*recon.Line) error) error {
			file, err := os.Open(name) //nolint:gosec // the folder is the caller's
			if err != nil {
				return err
			}
			err = b.read(recon.Statement{Source: b.source, Day: r.day, Name: b.name}, file, func(l recon.Line) error {
				l.Place.File = int32(i) //nolint:gosec // a handful
				return do(&l)
			})
			return errors.Join(err, file.Close())
		}
	}
	sampler := plant.NewSampler(sampled)
	run.Look = sampler.Take
	out, err := run.Do(ctx)
	if err != nil {
		return err
	}
	r.outcome = *out
	r.proof, err = sampler.Prove(ctx, r.day, generatedTolerance, 1, "")
	return err
}

// sampled is how many pairs of each comparison a run plants differences in, to prove itself.
const sampled = 500

// kept keeps the files in the database and reconciles the day from there.
func (r *filesRun) kept(ctx context.Context, o *office) error {
	books := map[recon.Source]recon.Statements{}
	for _, b := range fileBooks() {
		books[b.source] = folder{r.dir, b}
	}
	s := recon.New(o.db.Statements(), clock.Real{}, []*recon.Party{{Institution: r.institution, Tolerance: generatedTolerance, Books: books}},
		recon.Config{Prover: func() recon.Prover { return plant.NewSampler(sampled) }})
	collected, err := s.Collect(ctx, r.institution, r.day, "system")
	if err != nil {
		return err
	}
	for _, c := range collected {
		if c.Err != nil && !errors.Is(c.Err, recon.ErrNotReady) {
			return fmt.Errorf("%s: %w", c.Source, c.Err)
		}
	}
	record, err := s.Reconcile(ctx, r.institution, r.day)
	r.outcome, r.proof, r.seq = record.Outcome, record.Proof, record.Seq
	return err
}

// fileBook is a book that may lie in a folder.
type fileBook struct {
	source recon.Source
	name   string
	read   func(of recon.Statement, r io.Reader, row func(recon.Line) error) error
}

// fileBooks are the books of a generated day.
func fileBooks() []fileBook {
	trades := func(of recon.Statement, r io.Reader, row func(recon.Line) error) error {
		return wechatpay.ReadTrades(of, plant.MchID, r, row)
	}
	return []fileBook{
		{recon.Ledger, plant.LedgerFile, func(_ recon.Statement, r io.Reader, row func(recon.Line) error) error {
			return recon.ReadLines(recon.Ledger, r, row)
		}},
		{recon.WechatTrade, plant.TradeFile, trades},
		{recon.WechatFund, plant.FundFile, wechatpay.ReadFlows},
		{recon.Insurer, plant.InsurerFile, new(core.Statements).Read},
		{recon.HIS, plant.HISFile, new(his.Client).Statements().Read},
	}
}

// folder is such a book as a counterpart's.
type folder struct {
	dir string
	fileBook
}

var _ recon.Statements = folder{}

// Fetch brings the file, where there is one.
func (f folder) Fetch(_ context.Context, day recon.Day, _ recon.Claims, keep recon.Keeper) error {
	file, err := os.Open(filepath.Join(f.dir, f.name))
	if errors.Is(err, os.ErrNotExist) {
		return recon.ErrNotReady
	}
	if err != nil {
		return err
	}
	err = keep(recon.Statement{Source: f.source, Day: day, Name: f.name, Final: true}, func(w io.Writer) error {
		_, err := io.Copy(w, file)
		return err
	})
	return errors.Join(err, file.Close())
}

// Read reads it.
func (f folder) Read(of recon.Statement, r io.Reader, row func(recon.Line) error) error {
	return f.read(of, r, row)
}

// reconciled is what a run on files prints. Recall, precision and named are of the differences that the folder's key names; where there is no key, of those that the
// run has planted in a copy.
type reconciled struct {
	Lines       int            `json:"lines"`
	Matched     int            `json:"matched"`
	Differences int            `json:"differences"`
	Recall      plant.Share    `json:"recall"`
	Precision   plant.Share    `json:"precision"`
	Named       plant.Share    `json:"named"`
	DurationMS  int64          `json:"duration_ms"`
	PeakMB      int64          `json:"peak_mb"`
	Kinds       map[string]int `json:"kinds"`
	Proof       recon.Proof    `json:"proof"`
	Run         int            `json:"run,omitempty"`
	Digest      string         `json:"digest"`
	wrong       []string
}

func (r *filesRun) print(out io.Writer, took time.Duration, asJSON bool) error {
	found := r.outcome.Differences
	said := reconciled{Lines: r.outcome.Lines, Matched: r.outcome.Matched, Differences: len(found), DurationMS: took.Milliseconds(), PeakMB: peakMB(), Kinds: map[string]int{},
		Proof: r.proof, Run: r.seq, Digest: r.outcome.Digest()}
	for i := range found {
		said.Kinds[string(found[i].Kind)]++
	}
	key, err := plant.ReadKey(r.dir)
	switch {
	case err == nil:
		score := plant.Score(key, found)
		said.Recall, said.Precision, said.Named, said.wrong = score.Recall(), score.Precision(), score.Named(), score.Wrong
	case errors.Is(err, os.ErrNotExist):
		p := r.proof
		said.Recall, said.Precision, said.Named = plant.Share{Part: p.Found, Whole: p.Planted}, plant.Share{Part: p.Found, Whole: p.Found + p.Extra}, plant.Share{Part: p.Named, Whole: p.Found}
	default:
		return err
	}
	if asJSON {
		return json.NewEncoder(out).Encode(said)
	}
	return r.table(out, &said)
}

// table prints the result for people.
func (r *filesRun) table(out io.Writer, said *reconciled) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "账\t业务\t类别\t笔数\t金额\t已核对\t")
	for _, t := range r.outcome.Totals {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t\n", t.Source, t.Leg, t.Kind, t.Lines, t.Amount, t.Matched)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\n%d 行，已核对 %d 行，差异 %d 项；自检 %d 项找回 %d 项，名称正确 %d 项，误报 %d 项；用时 %s，内存峰值 %d MB\n", said.Lines, said.Matched, said.Differences,
		said.Proof.Planted, said.Proof.Found, said.Proof.Named, said.Proof.Extra, time.Duration(said.DurationMS)*time.Millisecond, said.PeakMB)
	for _, m := range recon.Meanings() {
		if n := said.Kinds[string(m.Kind)]; n > 0 {
			_, _ = fmt.Fprintf(out, "  %s %d：%s。%s。\n", m.Name, n, m.Means, m.Action)
		}
	}
	for _, wrong := range append(said.wrong[:min(len(said.wrong), 20)], r.proof.Wrong[:min(len(r.proof.Wrong), 20)]...) {
		_, _ = fmt.Fprintln(out, wrong)
	}
	return nil
}

// peakMB is the most memory that the process has had, as the system counts it; 0 where it does not say.
func peakMB() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb >> 10
		}
	}
	return 0
}
