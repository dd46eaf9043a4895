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
		found, replay = there, job.Replay{BodyDigest: row.BodyDigest, Ref: row.Ref, Status: int(row.Status),
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

// PutReplay inserts a record without an answer; false when one is there already.
func (p Replays) PutReplay(ctx context.Context, k job.Key, r job.Replay) (bool, error) {
	err := p.db.write(ctx, func(tx *gorm.DB) error {
		account, _, err := one[accountRow](p.db, tx.Where("id = ?", k.Account))
		if err != nil {
			return err
		}
		return p.db.addReplay(tx, account.Institution, k, r)
	})
	if duplicate(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("put replay: %w", err)
	}
	return true, nil
}

// KeepAnswer adds the final answer; the first one stays.
func (p Replays) KeepAnswer(ctx context.Context, k job.Key, status int, answer []byte) error {
	if status <= 0 {
		return fmt.Errorf("keep answer: %w", refuse("status %d", status))
	}
	err := p.db.write(ctx, func(tx *gorm.DB) error {
		row, found, err := one[replayRow](p.db, byKey(tx, k))
		if err != nil || !found || row.Status != 0 {
			return err
		}
		s := p.db.sealer(row.TableName(), row.ID)
		sealed := s.bytes("answer_sealed", append([]byte{}, answer...))
		if s.err != nil {
			return s.err
		}
		_, err = change(tx, "UPDATE idempotency SET status = ?, answer_sealed = ? WHERE id = ? AND status = 0", status, sealed, row.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

// DropReplay removes a record without an answer.
func (p Replays) DropReplay(ctx context.Context, k job.Key) error {
	err := p.db.write(ctx, func(tx *gorm.DB) error {
		_, err := change(tx, "DELETE FROM idempotency WHERE account_id = ? AND route = ? AND idem_key = ? AND status = 0", k.Account, k.Route, k.Key)
		return err
	})
	if err != nil {
		return fmt.Errorf("drop replay: %w", err)
	}
	return nil
}

func byKey(tx *gorm.DB, k job.Key) *gorm.DB {
	return tx.Where("account_id = ? AND route = ? AND idem_key = ?", k.Account, k.Route, k.Key)
}

// addReplay inserts a running request.
func (db *DB) addReplay(tx *gorm.DB, institution string, k job.Key, r job.Replay) error {
	created := r.CreatedAt
	if created.IsZero() {
		created = db.clock.Now()
	}
	return insert(db, tx, replayRow{ID: db.ids.ID(), Institution: institution, AccountID: k.Account, Route: k.Route, IdemKey: k.Key,
		BodyDigest: r.BodyDigest, Ref: r.Ref, CreatedUS: micros(created)})
}
