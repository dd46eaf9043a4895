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
	Refusal     string `gorm:"size:300"`
}

// TableName is the table's name.
func (inboxRow) TableName() string { return "inbox" }

type nonceRow struct {
	Source      string `gorm:"size:64"`
	Nonce       string `gorm:"size:64"`
	Institution string `gorm:"size:64"`
	UntilUS     int64
}

// TableName is the table's name.
func (nonceRow) TableName() string { return "inbox_nonce" }

// Put stores a notice and spends its nonce, both or neither; false when the notice was there already. job.ErrReplay when the nonce was spent before. The
// institution is what stands behind the slash of the source, as in wechatpay/h1; a source without one belongs to none.
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
	err := b.db.write(ctx, func(tx *gorm.DB) error {
		if err := b.spend(tx, n.Source, n.Once); err != nil {
			return err
		}
		return insert(b.db, tx, row)
	})
	if duplicate(err) { // the nonce, or the notice under a new one: then that is spent alone
		return false, b.Spend(ctx, n.Source, n.Once)
	}
	if err != nil {
		return false, fmt.Errorf("put notice of %s: %w", n.Source, err)
	}
	return true, nil
}

// Spend spends a nonce alone; one without a text is none. job.ErrReplay when it was spent before.
func (b Inbox) Spend(ctx context.Context, source string, once job.Nonce) error {
	if once.Text == "" {
		return nil
	}
	err := b.db.write(ctx, func(tx *gorm.DB) error { return b.spend(tx, source, once) })
	if duplicate(err) {
		return job.ErrReplay.Because(fmt.Errorf("a nonce of %s", source))
	}
	if err != nil {
		return fmt.Errorf("spend a nonce of %s: %w", source, err)
	}
	return nil
}

func (b Inbox) spend(tx *gorm.DB, source string, once job.Nonce) error {
	if once.Text == "" {
		return nil
	}
	_, institution, _ := strings.Cut(source, "/")
	return insert(b.db, tx, nonceRow{Source: source, Nonce: once.Text, Institution: institution, UntilUS: micros(once.Until)})
}

// Sweep forgets the nonces whose messages nobody would believe any more.
func (b Inbox) Sweep(ctx context.Context) error {
	err := b.db.write(ctx, func(tx *gorm.DB) error {
		_, err := change(tx, "DELETE FROM inbox_nonce WHERE until_us < ?", micros(b.db.clock.Now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("sweep nonces: %w", err)
	}
	return nil
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

// Mark notes that a notice was handled, and why nothing came of it; the first time stays.
func (b Inbox) Mark(ctx context.Context, id int64, at time.Time, refusal string) error {
	err := b.db.write(ctx, func(tx *gorm.DB) error {
		_, err := change(tx, "UPDATE inbox SET handled_us = ?, refusal = ? WHERE id = ? AND handled_us = 0", micros(at), clip(refusal, 300), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark notice %d: %w", id, err)
	}
	return nil
}

func markNotice(tx *gorm.DB, id int64, at time.Time) error {
	_, err := change(tx, "UPDATE inbox SET handled_us = ? WHERE id = ? AND handled_us = 0", micros(at), id)
	return err
}
