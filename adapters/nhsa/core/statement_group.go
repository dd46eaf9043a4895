package core

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/recon"
)

// groupFetch is one group on its way.
type groupFetch struct {
	*Statements
	day    recon.Day
	group  Group
	tally  *tally
	claims recon.Claims
	keep   recon.Keeper
	proved []row           // of those that 5203 was asked for
	given  map[rowKey]bool // what only the centre has, in the files of the groups before
}

func (f *groupFetch) run(ctx context.Context) error {
	if err := f.askSilent(ctx); err != nil {
		return err
	}
	answer, v, err := f.total(ctx)
	if err != nil {
		return err
	}
	if v == balanced {
		if err := f.evidence("3201", "json", answer); err != nil {
			return err
		}
		return f.lines(v, func(w *lineWriter) error {
			return f.each(ctx, func(o *own, c counting) error {
				if c == counted {
					return w.row(o.row(balanced))
				}
				return w.row(o.row(uncounted))
			})
		})
	}
	ours, err := f.book(ctx)
	if err != nil {
		return err
	}
	list := f.c.uploadFile(ours.rows)
	result, err := f.c.compareRows(ctx, f.day, f.group, f.tally, list)
	if err != nil {
		return err
	}
	order, err := ours.layout(result)
	if err != nil {
		return err
	}
	if err := f.evidence("3201", "json", answer); err != nil {
		return err
	}
	if err := f.evidence("upload", "txt", list); err != nil {
		return err
	}
	if err := f.keep(f.statement("result", "txt", true), result.copyTo); err != nil {
		return err
	}
	if err := f.lines(v, func(w *lineWriter) error { return ours.read(result, order, w.row) }); err != nil {
		return err
	}
	for _, key := range ours.foreign {
		f.given[key] = true
	}
	return nil
}

// book is what we have of the group, and what its result may name besides: ours of another insurance at the same agency.
func (f *groupFetch) book(ctx context.Context) (*book, error) {
	b := newBook(f.c.cfg.Profile)
	maps.Copy(b.other, f.given)
	err := f.each(ctx, func(o *own, c counting) error { b.add(o, c == counted); return nil })
	if err != nil {
		return nil, err
	}
	return b, f.claims(ctx, func(claim recon.Claim) error {
		g, ours, err := f.groupOf(&claim)
		if err == nil && ours && g != f.group && g.ClrType == f.group.ClrType && g.ClrOptins == f.group.ClrOptins {
			b.other[rowKey{claim.Settlement.SetlID, claim.Undone}] = true
		}
		return err
	})
}

// each hands over the group's claims, but for those that 5203 is asked for. A ledger that says other things than when it was summed is ErrMoved.
func (f *groupFetch) each(ctx context.Context, do func(*own, counting) error) error {
	again := tally{}
	err := f.claims(ctx, func(claim recon.Claim) error {
		g, ours, err := f.groupOf(&claim)
		if err != nil || !ours || g != f.group {
			return err
		}
		if err := f.add(&again, f.day, &claim); err != nil {
			return err
		}
		c := f.countOf(f.day, &claim)
		if c == unseen {
			return nil
		}
		return do(ownOf(&claim), c)
	})
	if err == nil && (again.sums != f.tally.sums || again.count != f.tally.count || len(again.silent) != len(f.tally.silent)) {
		err = ErrMoved
	}
	return err
}

// askSilent proves by 5203 what the agreement keeps out of the sums: settled on another day, undone on this one. What is in force there after all,
// or unknown, is not confirmed.
func (f *groupFetch) askSilent(ctx context.Context) error {
	for _, o := range f.tally.silent {
		on, err := f.c.InForce(ctx, o.visit, o.setlID)
		switch {
		case err != nil && fault.KindOf(err) != fault.Rejected:
			return err
		case err != nil || on:
			f.proved = append(f.proved, o.row(oursMore))
		default:
			f.proved = append(f.proved, o.row(asked))
		}
	}
	return nil
}

// total is 3201: its answer as it was, and its verdict.
func (f *groupFetch) total(ctx context.Context) ([]byte, verdict, error) {
	t, date := f.tally, f.day.String()
	in := totalInput{Insurance: f.group.Insurance, ClrType: f.group.ClrType, Agency: f.group.ClrOptins, Begin: date, End: date, Total: inYuan(t.total),
		Fund: inYuan(t.fund), Account: inYuan(t.account), Count: strconv.Itoa(t.count)}
	in.Refunds, in.RefundsCap = f.c.cfg.Profile.Statement.refundFlag()
	if err := check(in); err != nil {
		return nil, "", fmt.Errorf("3201: %w", err)
	}
	m := f.c.file("3201", "data", in)
	answer, err := f.c.exchange(ctx, m, maxAnswer)
	var out totalOutput
	if err == nil {
		_, err = f.c.understand(m, answer, &out)
	}
	if err != nil {
		return nil, "", fmt.Errorf("3201: %w", f.c.notReady(err))
	}
	switch i := out.Info; {
	case i == nil:
		err = ErrUnreadable.Because(errors.New("no stmtinfo"))
	case i.Agency != "" && string(i.Agency) != f.group.ClrOptins:
		err = ErrUnreadable.Because(errors.New("the answer is about another agency"))
	case verdicts[string(i.Verdict)] == "":
		err = ErrUnreadable.Because(errors.New("no stmt_rslt that is known"))
	default:
		return answer, verdicts[string(i.Verdict)], nil
	}
	return nil, "", fmt.Errorf("3201: %w", err)
}

// refundFlag is refd_setl_flag by either of its names.
func (p *StatementProfile) refundFlag() (lower, upper *string) {
	value := "1"
	if p.Refunds == CountSettled {
		value = "0"
	}
	switch p.RefundFlag {
	case FlagAbsent:
		return nil, nil
	case FlagUpper:
		return nil, &value
	}
	return &value, nil
}

// statement names one of the group's files. part is empty for the one that is read.
func (f *groupFetch) statement(part, ext string, attached bool) recon.Statement {
	of := recon.Statement{Source: recon.Insurer, Day: f.day, Part: f.group.String(), Attached: attached}
	if part != "" {
		of.Part += "." + part
	}
	of.Name = "insurer-" + f.day.String() + "-" + of.Part + "." + ext
	return of
}

// evidence keeps bytes as they were.
func (f *groupFetch) evidence(part, ext string, content []byte) error {
	return f.keep(f.statement(part, ext, true), func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(content))
		return err
	})
}

// lines keeps the file that is read.
func (f *groupFetch) lines(v verdict, rows func(*lineWriter) error) error {
	return f.keep(f.statement("", "tsv", false), func(to io.Writer) error {
		w := &lineWriter{w: bufio.NewWriter(to)}
		w.head(f.day, f.group, v, f.tally)
		if err := rows(w); err != nil {
			return err
		}
		for _, r := range f.proved {
			if err := w.row(r); err != nil {
				return err
			}
		}
		return w.end()
	})
}

// notReady is a refusal that means: not yet.
func (c *Client) notReady(err error) error {
	e, ok := fault.Find(err)
	if ok && errors.Is(err, ErrRefused) {
		for _, text := range c.cfg.Profile.Statement.NotReady {
			if strings.Contains(e.Msg, text) {
				return recon.ErrNotReady.Because(err)
			}
		}
	}
	return err
}
