package store

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/recon"
)

type runRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	Day         string `gorm:"size:10"`
	Seq         int64
	BeganUS     int64
	EndedUS     int64
	Files       string `gorm:"size:8000"`
	LineCount   int64
	Matched     int64
	Differences int64
	Planted     int64
	Found       int64
	Named       int64
	Extra       int64
	Digest      string `gorm:"size:80"`
	Totals      string `gorm:"size:8000"`
	MAC         string `gorm:"size:80"`
}

// TableName is the table's name.
func (runRow) TableName() string { return "recon_run" }

type evidenceRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	RunID       int64
	Comparison  string `gorm:"size:16"`
	KeyNo       int64
	Pile        int64
	Body        []byte
	MAC         string `gorm:"size:80"`
}

// TableName is the table's name.
func (evidenceRow) TableName() string { return "recon_evidence" }

// Begin makes the id under which a run's evidence is kept, pile by pile, before the run is there. What a run that was broken off has left belongs to no run.
func (s Statements) Begin(institution string) (id int64, keep func(ctx context.Context, e recon.Evidence) error) {
	id = s.db.ids.ID()
	return id, func(ctx context.Context, e recon.Evidence) error {
		var packed bytes.Buffer
		packer, _ := flate.NewWriter(&packed, flate.BestSpeed) // a level that it knows
		_, err := packer.Write(e.Text)
		if err = errors.Join(err, packer.Close()); err != nil {
			return err
		}
		row := evidenceRow{ID: s.db.ids.ID(), Institution: institution, RunID: id, Comparison: e.Comparison, KeyNo: int64(e.Key), Pile: int64(e.Pile), Body: packed.Bytes()}
		if err := s.db.write(ctx, func(tx *gorm.DB) error { return insert(s.db, tx, row) }); err != nil {
			return fmt.Errorf("evidence of %s: %w", e.Comparison, err)
		}
		return nil
	}
}

// End stores what a run found, as the day's next. recon.ErrRunning when another run of the day ended at the same moment.
func (s Statements) End(ctx context.Context, id int64, r recon.Record) (recon.Record, error) {
	totals, err := json.Marshal(r.Outcome.Totals)
	if err != nil {
		return r, err
	}
	files := make([]string, len(r.Files))
	for i, f := range r.Files {
		files[i] = strconv.FormatInt(int64(f), 10)
	}
	row := runRow{ID: id, Institution: r.Institution, Day: r.Day.String(), BeganUS: micros(r.BeganAt), EndedUS: micros(r.EndedAt), Files: strings.Join(files, " "),
		LineCount: int64(r.Outcome.Lines), Matched: int64(r.Outcome.Matched), Differences: int64(len(r.Outcome.Differences)), Planted: int64(r.Proof.Planted),
		Found: int64(r.Proof.Found), Named: int64(r.Proof.Named), Extra: int64(r.Proof.Extra), Digest: r.Digest, Totals: string(totals)}
	err = s.db.write(ctx, func(tx *gorm.DB) error {
		if err := tx.Raw("SELECT COALESCE(MAX(seq), 0) + 1 FROM recon_run WHERE institution = ? AND day = ?", row.Institution, row.Day).Scan(&row.Seq).Error; err != nil {
			return err
		}
		return instead(insert(s.db, tx, row), recon.ErrRunning)
	})
	if err != nil {
		return r, fmt.Errorf("run of %s: %w", r.Day, err)
	}
	r.Seq = int(row.Seq)
	return r, nil
}

// Runs lists the runs of a day, the last one first. Their differences are cases, not kept here.
func (s Statements) Runs(ctx context.Context, institution string, day recon.Day) ([]recon.Record, error) {
	rows, err := find[runRow](s.db, s.db.read(ctx).Where("institution = ? AND day = ?", institution, day.String()).Order("seq DESC"))
	if err != nil {
		return nil, fmt.Errorf("runs of %s: %w", day, err)
	}
	out := make([]recon.Record, len(rows))
	for i, r := range rows {
		if out[i], err = r.record(day); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *runRow) record(day recon.Day) (recon.Record, error) {
	out := recon.Record{ID: r.ID, Institution: r.Institution, Day: day, Seq: int(r.Seq), BeganAt: moment(r.BeganUS), EndedAt: moment(r.EndedUS), Digest: r.Digest,
		Outcome: recon.Outcome{Lines: int(r.LineCount), Matched: int(r.Matched)},
		Proof:   recon.Proof{Planted: int(r.Planted), Found: int(r.Found), Named: int(r.Named), Extra: int(r.Extra)}}
	for _, f := range strings.Fields(r.Files) {
		id, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return out, ErrTampered.Because(fmt.Errorf("files of run %d", r.ID))
		}
		out.Files = append(out.Files, recon.StatementID(id))
	}
	if err := json.Unmarshal([]byte(r.Totals), &out.Outcome.Totals); err != nil {
		return out, ErrTampered.Because(fmt.Errorf("totals of run %d", r.ID))
	}
	return out, nil
}

// Evidence reads one pile of a run's evidence; nothing when that pile is empty.
func (s Statements) Evidence(ctx context.Context, run int64, comparison string, key, pile int) ([]byte, error) {
	row, found, err := one[evidenceRow](s.db, s.db.read(ctx).Where("run_id = ? AND comparison = ? AND key_no = ? AND pile = ?", run, comparison, key, pile))
	if err != nil || !found {
		return nil, err
	}
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(row.Body)))
	if err != nil {
		return nil, ErrTampered.Because(err)
	}
	return text, nil
}

// clockMargin is how far a counterpart's clock may be from ours: what happened on its day may be recorded on the one before.
const clockMargin = time.Hour

// Moved hands over every order that was made before the end of a day and to which something happened from its beginning until so much later, with its history,
// by number.
func (s Statements) Moved(ctx context.Context, institution string, day recon.Day, late time.Duration, do func(o *order.Order, history []order.Event) error) error {
	moved := map[int64]bool{}
	made := clock.FirstID(day.End().Add(clockMargin))
	for from, end := day.Begin().Add(-clockMargin), day.End().Add(late+clockMargin); from.Before(end); from = from.Add(time.Hour) {
		var ids []int64
		err := s.db.read(ctx).Raw("SELECT DISTINCT order_id FROM order_event WHERE institution = ? AND at_us >= ? AND at_us < ? AND order_id < ?", institution,
			micros(from), micros(earlier(from.Add(time.Hour), end)), made).Scan(&ids).Error
		if err != nil {
			return fmt.Errorf("orders moved: %w", translated(err))
		}
		for _, id := range ids {
			moved[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(moved)) {
		o, history, err := s.db.Orders().whole(ctx, order.ID(id))
		if err != nil {
			return err
		}
		if err := do(o, history); err != nil {
			return err
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
