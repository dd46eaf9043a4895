package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Patients keeps accounts, sessions, patients, consents, bindings and authorisations.
type Patients struct{ db *DB }

var _ patient.Store = Patients{}

// Patients gives the patient store.
func (db *DB) Patients() Patients { return Patients{db} }

type accountRow struct {
	ID           int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution  string `gorm:"size:64"`
	OpenidIndex  string `gorm:"size:64"`
	OpenidSealed []byte
	PhoneSealed  []byte
	Patients     int64 // those that are not hidden
	Version      int64
	CreatedUS    int64
}

// TableName is the table's name.
func (accountRow) TableName() string { return "account" }

type sessionRow struct {
	TokenDigest string `gorm:"primaryKey;size:64"`
	Institution string `gorm:"size:64"`
	AccountID   int64
	CreatedUS   int64
	ExpiresUS   int64
}

// TableName is the table's name.
func (sessionRow) TableName() string { return "session" }

// openidField names the blind index of openids.
const openidField = "account.openid"

// Enter finds or makes the account of an openid at an institution, opens the session for it, and names it as the record's actor.
func (p Patients) Enter(ctx context.Context, fresh patient.Account, s patient.Session, r audit.Record) (patient.Account, error) {
	var account patient.Account
	err := p.db.opened(ctx, func() error {
		err := p.enter(ctx, fresh, s, r, &account)
		if duplicate(err) { // another login of the same user was faster: it is found now
			err = p.enter(ctx, fresh, s, r, &account)
		}
		return err
	})
	if err != nil {
		return patient.Account{}, fmt.Errorf("enter: %w", err)
	}
	return account, nil
}

func (p Patients) enter(ctx context.Context, fresh patient.Account, s patient.Session, r audit.Record, account *patient.Account) error {
	candidates, err := p.db.vault.IndexesText(openidField, fresh.OpenID)
	if err != nil {
		return err
	}
	return p.db.write(ctx, func(tx *gorm.DB) error {
		row, found, err := one[accountRow](p.db, tx.Where("institution = ? AND openid_index IN ?", fresh.Institution, candidates))
		if err != nil {
			return err
		}
		if !found {
			if row, err = p.accountRowOf(fresh); err != nil {
				return err
			}
			if err := insert(p.db, tx, row); err != nil {
				return err
			}
		}
		if *account, err = p.accountOf(row); err != nil {
			return err
		}
		if !account.OpenID.Equal(fresh.OpenID) {
			return ErrTampered.Because(fmt.Errorf("account %d is another openid's", row.ID))
		}
		session := sessionRow{TokenDigest: s.TokenDigest, Institution: fresh.Institution, AccountID: row.ID, CreatedUS: micros(s.CreatedAt),
			ExpiresUS: micros(s.ExpiresAt)}
		if err := insert(p.db, tx, session); err != nil {
			return err
		}
		r.Actor = "account:" + strconv.FormatInt(row.ID, 10)
		return p.db.record(tx, r)
	})
}

func (p Patients) accountRowOf(a patient.Account) (accountRow, error) {
	index, err := p.db.vault.IndexText(openidField, a.OpenID)
	if err != nil {
		return accountRow{}, err
	}
	row := accountRow{ID: int64(a.ID), Institution: a.Institution, OpenidIndex: index, Version: 1, CreatedUS: micros(a.CreatedAt)}
	s := p.db.sealer(row.TableName(), row.ID)
	row.OpenidSealed = s.secret("openid_sealed", a.OpenID)
	row.PhoneSealed = s.secret("phone_sealed", a.Phone)
	return row, s.err
}

func (p Patients) accountOf(row accountRow) (patient.Account, error) {
	s := p.db.sealer(row.TableName(), row.ID)
	a := patient.Account{ID: patient.AccountID(row.ID), Institution: row.Institution,
		OpenID: sensitive.NewOpenID(s.openText("openid_sealed", row.OpenidSealed)), CreatedAt: moment(row.CreatedUS)}
	if row.PhoneSealed != nil {
		a.Phone = sensitive.NewPhone(s.openText("phone_sealed", row.PhoneSealed))
	}
	return a, s.err
}

// SessionOf finds a session that has not expired; patient.ErrSession otherwise.
func (p Patients) SessionOf(ctx context.Context, digest string, now time.Time) (patient.Session, error) {
	row, found, err := one[sessionRow](p.db, p.db.read(ctx).Where("token_digest = ? AND expires_us > ?", digest, micros(now)))
	if err != nil {
		return patient.Session{}, fmt.Errorf("session: %w", err)
	}
	if !found {
		return patient.Session{}, patient.ErrSession
	}
	return patient.Session{TokenDigest: row.TokenDigest, Account: patient.AccountID(row.AccountID), Institution: row.Institution,
		CreatedAt: moment(row.CreatedUS), ExpiresAt: moment(row.ExpiresUS)}, nil
}

// Leave ends a session.
func (p Patients) Leave(ctx context.Context, digest string) error {
	err := p.db.write(ctx, func(tx *gorm.DB) error {
		_, err := change(tx, "DELETE FROM session WHERE token_digest = ?", digest)
		return err
	})
	if err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}

// Account reads an account; patient.ErrNotFound.
func (p Patients) Account(ctx context.Context, id patient.AccountID) (patient.Account, error) {
	var a patient.Account
	err := p.db.opened(ctx, func() error {
		row, found, err := one[accountRow](p.db, p.db.read(ctx).Where("id = ?", int64(id)))
		if err != nil {
			return err
		}
		if !found {
			return patient.ErrNotFound
		}
		a, err = p.accountOf(row)
		return err
	})
	if err != nil {
		return patient.Account{}, fmt.Errorf("account %d: %w", id, err)
	}
	return a, nil
}

// SetPhone stores the account's verified phone number. patient.ErrNotFound.
func (p Patients) SetPhone(ctx context.Context, id patient.AccountID, phone sensitive.Phone, r audit.Record) error {
	if p.db.vault == nil {
		return ErrNoVault
	}
	s := p.db.sealer(accountRow{}.TableName(), int64(id))
	sealed := s.secret("phone_sealed", phone)
	err := s.err
	if err == nil {
		err = p.db.write(ctx, func(tx *gorm.DB) error {
			n, err := change(tx, "UPDATE account SET phone_sealed = ?, version = version + 1 WHERE id = ?", sealed, int64(id))
			if err != nil {
				return err
			}
			if n != 1 {
				return patient.ErrNotFound
			}
			return p.db.record(tx, r)
		})
	}
	if err != nil {
		return fmt.Errorf("set phone of account %d: %w", id, err)
	}
	return nil
}
