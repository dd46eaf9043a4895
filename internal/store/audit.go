package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/audit"
)

// Audit keeps the audit records.
type Audit struct{ db *DB }

var _ audit.Log = Audit{}

// Audit gives the audit log.
func (db *DB) Audit() Audit { return Audit{db} }

type auditRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	AtUS        int64
	Actor       string `gorm:"size:64"`
	Action      string `gorm:"size:64"`
	Object      string `gorm:"size:128"`
	Result      string `gorm:"size:64"`
	RequestID   string `gorm:"size:64"`
	Detail      string `gorm:"size:1000"`
	MAC         string `gorm:"size:80"`
}

// TableName is the table's name.
func (auditRow) TableName() string { return "audit_record" }

// Record keeps one act. An act whose record cannot be written must fail.
func (a Audit) Record(ctx context.Context, r audit.Record) error {
	err := a.db.write(ctx, func(tx *gorm.DB) error { return a.db.record(tx, r) })
	if err != nil {
		return fmt.Errorf("audit %s: %w", r.Action, err)
	}
	return nil
}

// record keeps an act in the transaction of the act.
func (db *DB) record(tx *gorm.DB, r audit.Record) error {
	if r.Actor == "" || r.Action == "" {
		return refuse("an audit record needs actor and action")
	}
	at := r.At
	if at.IsZero() {
		at = db.clock.Now()
	}
	return insert(db, tx, auditRow{ID: db.ids.ID(), Institution: r.Institution, AtUS: micros(at), Actor: r.Actor, Action: r.Action,
		Object: r.Object, Result: r.Result, RequestID: r.RequestID, Detail: clip(r.Detail, 1000)})
}
