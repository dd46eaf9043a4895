package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/staff"
)

// dayFlags name a day of a hospital.
type dayFlags struct{ day, institution string }

func (f *dayFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.day, "day", recon.DayOf(clock.Real{}.Now()).Add(-1).String(), "business day; yesterday (业务日)")
	cmd.Flags().StringVar(&f.institution, "institution", "", "whose day (机构)")
}

// look opens the database and looks at a day.
func (f *dayFlags) look(cmd *cobra.Command, at *serveFlags, work func(ctx context.Context, o *office, day recon.Day) error) error {
	if err := needed(cmd, "institution"); err != nil {
		return err
	}
	day, err := recon.ParseDay(f.day)
	if err != nil {
		return inChinese(err)
	}
	return withOffice(cmd.Context(), *at, func(o *office) error { return work(cmd.Context(), o, day) })
}

func reconcileStatus(at *serveFlags) *cobra.Command {
	var f dayFlags
	cmd := &cobra.Command{Use: "status", Short: "which books of a day are here, and what its runs found (对账进度)", Args: noWords, RunE: func(cmd *cobra.Command, _ []string) error {
		return f.look(cmd, at, func(ctx context.Context, o *office, day recon.Day) error {
			files, err := o.db.Statements().Statements(ctx, f.institution, day)
			if err != nil {
				return err
			}
			runs, err := o.db.Statements().Runs(ctx, f.institution, day)
			if err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), files, runs)
		})
	}}
	f.add(cmd)
	return cmd
}

func printStatus(out io.Writer, files []recon.Stored, runs []recon.Record) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "账\t文件\t字节\t取得\t摘要（SM3）\t状态")
	for _, s := range files {
		state := "可能还会变"
		switch {
		case s.Attached:
			state = "附件"
		case s.Nothing:
			state = "当日无业务"
		case s.Final:
			state = "不再变化"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%.16s\t%s\n", s.Source, s.Name, s.Size, local(s.KeptAt), s.Hash, state)
	}
	_, _ = fmt.Fprintln(w, "\n对账\t行\t已核对\t自检\t误报\t用时\t结果摘要")
	for _, r := range runs {
		_, _ = fmt.Fprintf(w, "第 %d 次\t%d\t%d\t%d/%d\t%d\t%s\t%.16s\n", r.Seq, r.Outcome.Lines, r.Outcome.Matched, r.Proof.Named, r.Proof.Planted, r.Proof.Extra,
			r.EndedAt.Sub(r.BeganAt), r.Digest)
	}
	if len(files) == 0 && len(runs) == 0 {
		_, _ = fmt.Fprintln(w, "当日还没有对账单，也没有对过账")
	}
	return w.Flush()
}

func reconcileShow(at *serveFlags) *cobra.Command {
	var f dayFlags
	var who identity
	var reason string
	cmd := &cobra.Command{Use: "show NUMBER", Short: "what a day's last run matched by a number, with the rows as their books have them (核对依据)", Args: cobra.ExactArgs(1),
		Long: `NUMBER is one by which books know the same thing: 微信支付订单号, 微信退款单号, 结算ID, HIS 入账流水号 … The rows are shown as their counterparts wrote them, and may hold
personal data: finance staff and auditors sign in and say why, and each look is in the audit records.`,
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := needed(cmd, "reason"); err != nil {
				return err
			}
			return f.look(cmd, at, func(ctx context.Context, o *office, day recon.Day) error {
				if err := who.ask(cmd); err != nil {
					return err
				}
				person, err := o.fromTerminal(cmd, who)
				if err != nil {
					return err
				}
				if err = mayLook(person, f.institution); err == nil {
					err = o.showMatch(ctx, cmd.OutOrStdout(), f.institution, day, words[0], func() error {
						return o.looked(ctx, person, f.institution, day, words[0], "ok", reason)
					})
				} else {
					err = errors.Join(err, o.looked(ctx, person, f.institution, day, words[0], codeOf(err), reason))
				}
				return err
			})
		}}
	f.add(cmd)
	who.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, without personal data (事由)")
	return cmd
}

// mayLook lets those of the finance staff and the auditors who work for that hospital.
func mayLook(p staff.Person, institution string) error {
	if !slices.Contains(p.Roles, staff.Auditor) {
		return mayVote(p, institution)
	}
	if p.Institution != "" && p.Institution != institution {
		return errMayNot
	}
	return nil
}

// looked records a look.
func (o *office) looked(ctx context.Context, p staff.Person, institution string, day recon.Day, number, result, reason string) error {
	return o.db.Audit().Record(ctx, audit.Record{Institution: institution, Actor: p.ID.Actor(), Action: "statement.show", Object: "day:" + day.String(), Result: result,
		Detail: number + " " + reason})
}

// showMatch prints the rows, once the look is recorded.
func (o *office) showMatch(ctx context.Context, out io.Writer, institution string, day recon.Day, number string, record func() error) error {
	runs, err := o.db.Statements().Runs(ctx, institution, day)
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		return recon.ErrNoEvidence
	}
	s := recon.New(o.db.Statements(), clock.Real{}, nil, recon.Config{})
	shown, err := s.Show(ctx, runs[0], number)
	if err != nil {
		return err
	}
	if err := record(); err != nil {
		return err
	}
	for _, m := range shown {
		_, _ = fmt.Fprintf(out, "%s，按%s核对：\n", m.Text, m.Key)
		for _, side := range [][]recon.RawLine{m.Left, m.Right} {
			for _, l := range side {
				if l.File == nil {
					_, _ = fmt.Fprintf(out, "  %s：订单及其时间线，见 tuoka review show\n", l.Source)
					continue
				}
				_, _ = fmt.Fprintf(out, "  %s 第 %d 字节（SM3 %.16s）：%s\n", l.File.Name, l.Offset, l.File.Hash, l.Text)
			}
		}
	}
	return nil
}
