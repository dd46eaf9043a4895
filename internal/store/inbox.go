package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/job"
)

// Inbox is where verified notices wait.
type Inbox struct{ db *DB }

var _ job.Inbox = Inbox{}

// Inbox gives the inbox.
func (db *DB) Inbox() Inbox { return Inbox{db} }

type inboxRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	Source      string `gorm:"size:64"`
	NoticeID    string `gorm:"size:128"`
	Kind        string `gorm:"size:64"`
	AboutNo     string `gorm:"size:64"`
	BodySealed  []byte
	ReceivedUS  int64
	HandledUS   int64
}

// TableName is the table's name.
func (inboxRow) TableName() string { return "inbox" }

// Put stores a notice; false when it was there already. The institution is what stands behind the slash of the source, as in wechatpay/h1;
// a source without one belongs to none.
func (b Inbox) Put(ctx context.Context, n job.Notice) (bool, error) {
	if b.db.vault == nil {
		return false, ErrNoVault
	}
	_, institution, _ := strings.Cut(n.Source, "/")
	row := inboxRow{ID: b.db.ids.ID(), Institution: institution, Source: n.Source, NoticeID: n.ID, Kind: n.Kind, AboutNo: n.Number, ReceivedUS: micros(n.ReceivedAt)}
	s := b.db.sealer(row.TableName(), row.ID)
	row.BodySealed = s.bytes("body_sealed", append([]byte{}, n.Body...))
	if s.err != nil {
		return false, fmt.Errorf("put notice of %s: %w", n.Source, s.err)
	}
	err := b.db.write(ctx, func(tx *gorm.DB) error { return insert(b.db, tx, row) })
	if duplicate(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("put notice of %s: %w", n.Source, err)
	}
	return true, nil
}

// Unread lists stored notices that nobody has marked, but for some institutions, oldest first.
func (b Inbox) Unread(ctx context.Context, except []string, limit int) ([]job.Stored, error) {
	var notices []job.Stored
	err := b.db.opened(ctx, func() error {
		rows, err := find[inboxRow](b.db, apartFrom(except, b.db.read(ctx).Where("handled_us = 0")).Order("received_us, id").Limit(max(limit, 0)))
		notices = make([]job.Stored, len(rows))
		for i, r := range rows {
			s := b.db.sealer(r.TableName(), r.ID)
			notices[i] = job.Stored{ID: r.ID, Notice: job.Notice{Source: r.Source, ID: r.NoticeID, Kind: r.Kind, Number: r.AboutNo,
				Body: s.open("body_sealed", r.BodySealed), ReceivedAt: moment(r.ReceivedUS)}}
			if s.err != nil {
				return s.err
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("unread notices: %w", err)
	}
	return notices, nil
}

// Mark notes that a notice was handled; the first time stays.
func (b Inbox) Mark(ctx context.Context, id int64, at time.Time) error {
	err := b.db.write(ctx, func(tx *gorm.DB) error { return markNotice(tx, id, at) })
	if err != nil {
		return fmt.Errorf("mark notice %d: %w", id, err)
	}
	return nil
}

func markNotice(tx *gorm.DB, id int64, at time.Time) error {
	_, err := change(tx, "UPDATE inbox SET handled_us = ? WHERE id = ? AND handled_us = 0", micros(at), id)
	return err
}
