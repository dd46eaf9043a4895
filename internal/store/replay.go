package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/job"
)

// Replays keeps the idempotency records of our own API.
type Replays struct{ db *DB }

var _ job.Replays = Replays{}

// Replays gives the idempotency records.
func (db *DB) Replays() Replays { return Replays{db} }

type replayRow struct {
	ID           int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution  string `gorm:"size:64"`
	AccountID    int64
	Route        string `gorm:"size:128"`
	IdemKey      string `gorm:"size:128"`
	BodyDigest   string `gorm:"size:128"`
	Ref          string `gorm:"size:64"`
	Status       int64  // 0 while the request runs
	AnswerSealed []byte
	CreatedUS    int64
}

// TableName is the table's name.
func (replayRow) TableName() string { return "idempotency" }

// FindReplay reads a record; false when there is none. Its answer is nil while the request runs.
func (p Replays) FindReplay(ctx context.Context, k job.Key) (job.Replay, bool, error) {
	var replay job.Replay
	var found bool
	err := p.db.opened(ctx, func() error {
		row, there, err := one[replayRow](p.db, byKey(p.db.read(ctx), k))
		s := p.db.sealer(row.TableName(), row.ID)
		found, replay = there, job.Replay{Record: row.ID, BodyDigest: row.BodyDigest, Ref: row.Ref, Status: int(row.Status),
			Answer: s.open("answer_sealed", row.AnswerSealed), CreatedAt: moment(row.CreatedUS)}
		if err != nil {
			return err
		}
		return s.err
	})
	if err != nil {
		return job.Replay{}, false, fmt.Errorf("find replay: %w", err)
	}
	return replay, found, nil
}

// KeepAnswer adds the final answer to the request's record, and makes the record where there is none. False when somebody was first.
func (p Replays) KeepAnswer(ctx context.Context, institution string, r job.Request, ref string, status int, answer []byte) (kept bool, err error) {
	if status <= 0 {
		return false, fmt.Errorf("keep answer: %w", refuse("status %d", status))
	}
	if p.db.vault == nil {
		return false, ErrNoVault
	}
	row := p.db.replayRowOf(institution, r, ref)
	s := p.db.sealer(row.TableName(), row.ID)
	row.Status, row.AnswerSealed = int64(status), s.bytes("answer_sealed", append([]byte{}, answer...))
	if s.err != nil {
		return false, fmt.Errorf("keep answer: %w", s.err)
	}
	err = p.db.write(ctx, func(tx *gorm.DB) error {
		if r.Record == 0 {
			kept = true
			return insert(p.db, tx, row)
		}
		n, err := change(tx, "UPDATE idempotency SET status = ?, answer_sealed = ? WHERE id = ? AND status = 0", status, row.AnswerSealed, row.ID)
		kept = n == 1
		return err
	})
	if duplicate(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("keep answer: %w", err)
	}
	return kept, nil
}

func byKey(tx *gorm.DB, k job.Key) *gorm.DB {
	return tx.Where("account_id = ? AND route = ? AND idem_key = ?", k.Account, k.Route, k.Key)
}

// addRequest inserts the record of a running request. job.ErrBusy when the key is there already.
func (w *writing) addRequest(tx *gorm.DB) error {
	if w.o.Request == nil {
		return nil
	}
	w.request = w.db.replayRowOf(w.o.Institution, *w.o.Request, w.o.ID.No())
	return instead(insert(w.db, tx, w.request), job.ErrBusy)
}

// replayRowOf is a request's record, without an answer.
func (db *DB) replayRowOf(institution string, r job.Request, ref string) replayRow {
	if r.At.IsZero() {
		r.At = db.clock.Now()
	}
	if r.Record == 0 {
		r.Record = db.ids.ID()
	}
	return replayRow{ID: r.Record, Institution: institution, AccountID: r.Key.Account, Route: r.Key.Route, IdemKey: r.Key.Key,
		BodyDigest: r.BodyDigest, Ref: ref, CreatedUS: micros(r.At)}
}
