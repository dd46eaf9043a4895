package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/vault"
)

var _ vault.Store = (*DB)(nil)

type dataKeyRow struct {
	ID        string `gorm:"primaryKey;size:32"`
	Purpose   string `gorm:"size:16"`
	Version   int64
	Wrapped   []byte
	MasterID  string `gorm:"size:128"`
	Active    bool
	CreatedUS int64
}

// TableName is the table's name.
func (dataKeyRow) TableName() string { return "data_key" }

// DataKeys gives all wrapped data keys, retired ones too.
func (db *DB) DataKeys(ctx context.Context) ([]vault.DataKey, error) {
	rows, err := find[dataKeyRow](db, db.read(ctx).Order("purpose, version"))
	if err != nil {
		return nil, fmt.Errorf("read data keys: %w", err)
	}
	keys := make([]vault.DataKey, len(rows))
	for i, r := range rows {
		keys[i] = vault.DataKey{ID: r.ID, Purpose: vault.Purpose(r.Purpose), Version: int(r.Version), Wrapped: r.Wrapped,
			MasterID: r.MasterID, Active: r.Active, CreatedAt: moment(r.CreatedUS)}
	}
	return keys, nil
}

// AddDataKey adds a wrapped data key. vault.ErrKeyExists when there is one of that purpose and version.
func (db *DB) AddDataKey(ctx context.Context, k vault.DataKey) error {
	row := dataKeyRow{ID: k.ID, Purpose: string(k.Purpose), Version: int64(k.Version), Wrapped: k.Wrapped, MasterID: k.MasterID,
		Active: k.Active, CreatedUS: micros(k.CreatedAt)}
	err := db.writer.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return insert(db, tx, row) })
	if duplicate(err) {
		return fmt.Errorf("add data key %s: %w", k.ID, vault.ErrKeyExists)
	}
	if err != nil {
		return fmt.Errorf("add data key %s: %w", k.ID, translated(err))
	}
	return nil
}
