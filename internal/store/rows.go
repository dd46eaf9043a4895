package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/tuoka/tuoka/internal/job"
)

// This file is the only one that writes or reads whole rows, so that no row goes by unsigned, unchecked, or moved without its condition.

// macColumn is the column that signs a row, in the tables that have it.
const macColumn = "mac"

// insert adds rows: their texts are measured, and they are signed.
func insert[T any](db *DB, tx *gorm.DB, rows ...T) error {
	if len(rows) == 0 {
		return nil
	}
	for i := range rows {
		if err := db.ready(tx.Statement.Context, &rows[i]); err != nil {
			return err
		}
	}
	return tx.Create(&rows).Error
}

// mostValues bounds the values of a statement. SQLite takes 32766, the servers twice as many; beyond some thousands nothing gets faster.
const mostValues = 4096

// insertMany is insert for more rows than a statement takes. It goes by powers of two, so that the same statements recur.
func insertMany[T any](db *DB, tx *gorm.DB, rows []T) error {
	layout, err := db.layout(new(T))
	if err != nil {
		return err
	}
	size := 1
	for size*2*len(layout.DBNames) <= mostValues {
		size *= 2
	}
	for len(rows) > 0 {
		for size > len(rows) {
			size /= 2
		}
		if err := insert(db, tx, rows[:size]...); err != nil {
			return err
		}
		rows = rows[size:]
	}
	return nil
}

// move writes the named columns of a row, and its MAC, where the condition still holds. Anything but exactly one changed row is
// job.ErrLost. The condition names the version that was read, and the columns contain the next one.
func move[T any](db *DB, tx *gorm.DB, row *T, columns []string, where string, args ...any) error {
	if err := db.ready(tx.Statement.Context, row); err != nil {
		return err
	}
	layout, err := db.layout(row)
	if err != nil {
		return err
	}
	if layout.LookUpField(macColumn) != nil {
		columns = append(columns[:len(columns):len(columns)], macColumn)
	}
	return exactlyOne(tx.Select(columns).Where(where, args...).Updates(row))
}

// change is move for the few columns of a table without MACs. The statement's condition decides; how many rows it changed is returned.
func change(tx *gorm.DB, statement string, args ...any) (int64, error) {
	done := tx.Exec(statement, args...)
	return done.RowsAffected, done.Error
}

// exactlyOne is the guard of every move (design.md §4.5).
func exactlyOne(done *gorm.DB) error {
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected != 1 {
		return job.ErrLost
	}
	return nil
}

// find reads rows and checks their MACs.
func find[T any](db *DB, query *gorm.DB) ([]T, error) {
	var rows []T
	if err := query.Find(&rows).Error; err != nil {
		return nil, translated(err)
	}
	for i := range rows {
		if err := db.verify(query.Statement.Context, &rows[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// one is find for at most one row.
func one[T any](db *DB, query *gorm.DB) (row T, found bool, err error) {
	rows, err := find[T](db, query.Limit(1))
	if err != nil || len(rows) == 0 {
		return row, false, err
	}
	return rows[0], true, nil
}

func (db *DB) layout(row any) (*schema.Schema, error) {
	s, err := schema.Parse(row, db.schemas, db.naming)
	if err != nil {
		return nil, fmt.Errorf("layout of %T: %w", row, err)
	}
	return s, nil
}

// ready measures a row's texts, in characters as VARCHAR counts them (SQLite would take any length), and signs it.
func (db *DB) ready(ctx context.Context, row any) error {
	s, err := db.layout(row)
	if err != nil {
		return err
	}
	value := reflect.ValueOf(row).Elem()
	for _, f := range s.Fields {
		v, _ := f.ValueOf(ctx, value)
		text, ok := v.(string)
		if p, isPointer := v.(*string); isPointer && p != nil {
			text, ok = *p, true
		}
		if ok && f.Size > 0 && utf8.RuneCountInString(text) > f.Size {
			return refuse("%s.%s: longer than %d", s.Table, f.DBName, f.Size)
		}
	}
	signature := s.LookUpField(macColumn)
	if signature == nil {
		return nil
	}
	key, parts, err := signedParts(ctx, s, value)
	if err != nil {
		return err
	}
	mac, err := db.vault.MAC(s.Table, key, parts...)
	if err != nil {
		return fmt.Errorf("sign %s: %w", s.Table, err)
	}
	return signature.Set(ctx, value, mac)
}

// verify checks a row's MAC. ErrTampered; vault.ErrNoKey when its key is not known here.
func (db *DB) verify(ctx context.Context, row any) error {
	s, err := db.layout(row)
	if err != nil {
		return err
	}
	signature := s.LookUpField(macColumn)
	if signature == nil {
		return nil
	}
	if db.vault == nil {
		return ErrNoVault
	}
	value := reflect.ValueOf(row).Elem()
	key, parts, err := signedParts(ctx, s, value)
	if err != nil {
		return err
	}
	mac, _ := signature.ValueOf(ctx, value)
	if err := db.vault.CheckMAC(mac.(string), s.Table, key, parts...); err != nil { //nolint:forcetypeassert // every mac column is a string
		return tampered(err)
	}
	return nil
}

// signedParts is what a MAC covers: name and value of every column but the MAC. A column that is zero is left out with its name, so that a
// later migration can add columns without signing all rows anew.
func signedParts(ctx context.Context, s *schema.Schema, value reflect.Value) (key string, parts []string, err error) {
	for _, f := range s.Fields {
		v, zero := f.ValueOf(ctx, value)
		if f.DBName == macColumn || zero {
			continue
		}
		text, err := columnText(v)
		if err != nil {
			return "", nil, fmt.Errorf("%s.%s: %w", s.Table, f.DBName, err)
		}
		if f.PrimaryKey {
			key = text
		}
		parts = append(parts, f.DBName, text)
	}
	return key, parts, nil
}

// columnText is a column's value as the MAC sees it. A pointer that is not nil counts even when it points to zero.
func columnText(v any) (string, error) {
	switch x := v.(type) {
	case int64:
		return strconv.FormatInt(x, 10), nil
	case *int64:
		return strconv.FormatInt(*x, 10), nil
	case string:
		return x, nil
	case *string:
		return *x, nil
	case []byte:
		return string(x), nil
	case bool:
		return strconv.FormatBool(x), nil
	}
	return "", fmt.Errorf("a %T cannot be signed", v)
}

// tell has somebody told of every statement that is sent.
func tell(g *gorm.DB, sent func(statement string, values ...any)) error {
	report := func(tx *gorm.DB) {
		if text := tx.Statement.SQL.String(); text != "" {
			sent(text, tx.Statement.Vars...)
		}
	}
	on := g.Callback()
	const name = "tuoka:sent"
	return errors.Join(on.Create().After("gorm:create").Register(name, report), on.Query().After("gorm:query").Register(name, report),
		on.Update().After("gorm:update").Register(name, report), on.Delete().After("gorm:delete").Register(name, report),
		on.Row().After("gorm:row").Register(name, report), on.Raw().After("gorm:raw").Register(name, report))
}
