package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/staff"
)

// Staff keeps the hospital's own people.
type Staff struct{ db *DB }

var _ staff.Store = Staff{}

// Staff gives the staff store.
func (db *DB) Staff() Staff { return Staff{db} }

type staffRow struct {
	ID             int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution    string `gorm:"size:64"`
	Login          string `gorm:"size:32"`
	NameSealed     []byte
	Roles          string `gorm:"size:64"`
	PasswordSealed []byte
	PasswordOnce   bool
	TOTPSealed     []byte `gorm:"column:totp_sealed"`
	TOTPUsed       int64  `gorm:"column:totp_used"`
	State          string `gorm:"size:16"`
	Failures       int64
	LockedUS       int64
	Version        int64
	CreatedUS      int64
	MAC            string `gorm:"size:80"`
}

// TableName is the table's name.
func (staffRow) TableName() string { return "staff" }

// staffMoves are the columns that Save writes; who somebody is stays.
func staffMoves() []string {
	return []string{"name_sealed", "roles", "password_sealed", "password_once", "totp_sealed", "totp_used", "state", "failures", "locked_us", "version"}
}

// Add inserts a person. staff.ErrExists when the login is taken.
func (s Staff) Add(ctx context.Context, p staff.Person, r audit.Record) error {
	row, err := s.rowOf(p)
	if err == nil {
		row.Version = 1
		err = s.db.write(ctx, func(tx *gorm.DB) error {
			if err := insert(s.db, tx, row); err != nil {
				return instead(err, staff.ErrExists)
			}
			return s.db.record(tx, r)
		})
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", p.ID.Actor(), err)
	}
	return nil
}

// Save writes a person who was read at p.Version. staff.ErrMoved when the row has moved since.
func (s Staff) Save(ctx context.Context, p staff.Person, r audit.Record) error {
	row, err := s.rowOf(p)
	if err == nil {
		row.Version++
		err = s.db.write(ctx, func(tx *gorm.DB) error {
			err := move(s.db, tx, &row, staffMoves(), "id = ? AND version = ?", row.ID, p.Version)
			if errors.Is(err, job.ErrLost) {
				return staff.ErrMoved
			}
			if err != nil {
				return err
			}
			return s.db.record(tx, r)
		})
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", p.ID.Actor(), err)
	}
	return nil
}

// ByLogin reads a person; staff.ErrNotFound.
func (s Staff) ByLogin(ctx context.Context, login string) (staff.Person, error) {
	found, err := s.people(ctx, func(tx *gorm.DB) *gorm.DB { return tx.Where("login = ?", login) })
	if err != nil {
		return staff.Person{}, fmt.Errorf("staff by login: %w", err)
	}
	if len(found) == 0 {
		return staff.Person{}, staff.ErrNotFound
	}
	return found[0], nil
}

// List reads everybody, by login.
func (s Staff) List(ctx context.Context) ([]staff.Person, error) {
	found, err := s.people(ctx, func(tx *gorm.DB) *gorm.DB { return tx.Order("login") })
	if err != nil {
		return nil, fmt.Errorf("list staff: %w", err)
	}
	return found, nil
}

func (s Staff) people(ctx context.Context, which func(tx *gorm.DB) *gorm.DB) ([]staff.Person, error) {
	var found []staff.Person
	err := s.db.opened(ctx, func() error {
		rows, err := find[staffRow](s.db, which(s.db.read(ctx)))
		if err != nil {
			return err
		}
		found = make([]staff.Person, len(rows))
		for i, r := range rows {
			if found[i], err = s.personOf(r); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

func (s Staff) rowOf(p staff.Person) (staffRow, error) {
	if s.db.vault == nil {
		return staffRow{}, ErrNoVault
	}
	if p.Login == "" || p.Name.IsZero() || p.PasswordHash.IsZero() || p.TOTPSecret.IsZero() {
		return staffRow{}, refuse("a member of staff has a login, a name, a password and a second factor")
	}
	words := make([]string, len(p.Roles))
	for i, r := range p.Roles {
		words[i] = string(r)
	}
	row := staffRow{ID: int64(p.ID), Institution: p.Institution, Login: p.Login, Roles: strings.Join(words, ","), PasswordOnce: p.PasswordOnce,
		TOTPUsed: p.TOTPUsed, State: string(p.State), Failures: int64(p.FailedSignIns), LockedUS: micros(p.LockedUntil), Version: p.Version,
		CreatedUS: micros(p.CreatedAt)}
	seal := s.db.sealer(row.TableName(), row.ID)
	row.NameSealed = seal.secret("name_sealed", p.Name)
	row.PasswordSealed = seal.secret("password_sealed", p.PasswordHash)
	row.TOTPSealed = seal.secret("totp_sealed", p.TOTPSecret)
	return row, seal.err
}

func (s Staff) personOf(row staffRow) (staff.Person, error) {
	roles, err := staff.ParseRoles(strings.Split(row.Roles, ",")...)
	if err != nil {
		return staff.Person{}, ErrTampered.Because(fmt.Errorf("staff %d: roles that are none", row.ID))
	}
	open := s.db.sealer(row.TableName(), row.ID)
	p := staff.Person{ID: staff.ID(row.ID), Institution: row.Institution, Login: row.Login,
		Name: sensitive.NewName(open.openText("name_sealed", row.NameSealed)), Roles: roles,
		PasswordHash: sensitive.NewKey(open.openText("password_sealed", row.PasswordSealed)), PasswordOnce: row.PasswordOnce,
		TOTPSecret: sensitive.NewKey(open.openText("totp_sealed", row.TOTPSealed)), TOTPUsed: row.TOTPUsed, State: staff.State(row.State),
		FailedSignIns: int(row.Failures), LockedUntil: moment(row.LockedUS), Version: row.Version, CreatedAt: moment(row.CreatedUS)}
	return p, open.err
}
