package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

type patientRow struct {
	ID              int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution     string `gorm:"size:64"`
	AccountID       int64
	Relation        string `gorm:"size:16"`
	NameSealed      []byte
	IDNumberSealed  []byte
	IDIndex         string `gorm:"size:64"`
	PhoneSealed     []byte
	HISPatient      string `gorm:"size:64"`
	GuardianConsent bool
	Live            *int64
	CreatedUS       int64
	HiddenUS        int64
}

// TableName is the table's name.
func (patientRow) TableName() string { return "patient" }

// idNumberField names the blind index of identity numbers.
const idNumberField = "patient.id_number"

// Add inserts a patient. patient.ErrExists when the account has one with that identity number, patient.ErrTooMany beyond limit,
// patient.ErrNotFound without the account.
func (p Patients) Add(ctx context.Context, fresh patient.Patient, limit int, r audit.Record) error {
	row, candidates, err := p.patientRowOf(fresh)
	if err == nil {
		err = p.db.write(ctx, func(tx *gorm.DB) error {
			var same int64
			err := tx.Raw("SELECT COUNT(*) FROM patient WHERE account_id = ? AND id_index IN ? AND live = 1", row.AccountID, candidates).Scan(&same).Error
			if err != nil {
				return err
			}
			if same > 0 {
				return patient.ErrExists
			}
			n, err := change(tx, "UPDATE account SET patients = patients + 1, version = version + 1 WHERE id = ? AND patients < ?", row.AccountID, limit)
			if err != nil {
				return err
			}
			if n != 1 {
				return p.whyNot(tx, row.AccountID)
			}
			if err := insert(p.db, tx, row); err != nil {
				return instead(err, patient.ErrExists)
			}
			return p.db.record(tx, r)
		})
	}
	if err != nil {
		return fmt.Errorf("add patient: %w", err)
	}
	return nil
}

// whyNot tells why an account's count did not take another patient.
func (p Patients) whyNot(tx *gorm.DB, account int64) error {
	_, found, err := one[accountRow](p.db, tx.Where("id = ?", account))
	switch {
	case err != nil:
		return err
	case found:
		return patient.ErrTooMany
	}
	return patient.ErrNotFound
}

// patientRowOf maps a patient, and gives the indexes under which another row may have the same identity number.
func (p Patients) patientRowOf(a patient.Patient) (row patientRow, candidates []string, err error) {
	if p.db.vault == nil {
		return row, nil, ErrNoVault
	}
	if a.Name.IsZero() || a.IDNumber.IsZero() {
		return row, nil, refuse("a patient has a name and an identity number")
	}
	if candidates, err = p.db.vault.IndexesText(idNumberField, a.IDNumber); err != nil {
		return row, nil, err
	}
	index, err := p.db.vault.IndexText(idNumberField, a.IDNumber)
	if err != nil {
		return row, nil, err
	}
	row = patientRow{ID: int64(a.ID), Institution: a.Institution, AccountID: int64(a.Account), Relation: string(a.Relation), IDIndex: index,
		HISPatient: a.HISPatient, GuardianConsent: a.GuardianConsent, Live: mark(true), CreatedUS: micros(a.CreatedAt)}
	s := p.db.sealer(row.TableName(), row.ID)
	row.NameSealed = s.secret("name_sealed", a.Name)
	row.IDNumberSealed = s.secret("id_number_sealed", a.IDNumber)
	row.PhoneSealed = s.secret("phone_sealed", a.Phone)
	return row, candidates, s.err
}

func (p Patients) patientOf(row patientRow) (patient.Patient, error) {
	s := p.db.sealer(row.TableName(), row.ID)
	a := patient.Patient{ID: patient.ID(row.ID), Account: patient.AccountID(row.AccountID), Institution: row.Institution,
		Relation: patient.Relation(row.Relation), Name: sensitive.NewName(s.openText("name_sealed", row.NameSealed)),
		HISPatient: row.HISPatient, GuardianConsent: row.GuardianConsent, CreatedAt: moment(row.CreatedUS)}
	number := s.openText("id_number_sealed", row.IDNumberSealed)
	if row.PhoneSealed != nil {
		a.Phone = sensitive.NewPhone(s.openText("phone_sealed", row.PhoneSealed))
	}
	if s.err != nil {
		return patient.Patient{}, s.err
	}
	var err error
	if a.IDNumber, err = sensitive.ParseIDNumber(number); err != nil {
		return patient.Patient{}, ErrTampered.Because(errors.New("the sealed text is no identity number"))
	}
	return a, nil
}

// Patient reads one patient of that account; patient.ErrNotFound for another account's, too. One that the account has hidden is still found
// while an order of theirs is unfinished: whoever settles, reverses or refunds it needs the person.
func (p Patients) Patient(ctx context.Context, account patient.AccountID, id patient.ID) (patient.Patient, error) {
	found, err := p.patients(ctx, func(tx *gorm.DB) *gorm.DB {
		return tx.Where(`id = ? AND account_id = ? AND (live = 1 OR EXISTS
			(SELECT 1 FROM orders o WHERE o.patient_id = patient.id AND o.state NOT IN ?))`, int64(id), int64(account), finalStates())
	})
	if err != nil {
		return patient.Patient{}, fmt.Errorf("patient %d: %w", id, err)
	}
	if len(found) == 0 {
		return patient.Patient{}, patient.ErrNotFound
	}
	return found[0], nil
}

// PatientAndConsents is Patient with the account's standing consents, in one reading.
func (p Patients) PatientAndConsents(ctx context.Context, account patient.AccountID, id patient.ID) (patient.Patient, []patient.Consent, error) {
	var who patient.Patient
	var standing []patient.Consent
	err := p.db.opened(ctx, func() error {
		var rows []struct {
			Patient patientRow  `gorm:"embedded"`
			Consent *consentRow `gorm:"embedded;embeddedPrefix:consent_"`
		}
		err := p.db.read(ctx).Table("patient").Select(`patient.*, c.account_id AS consent_account_id, c.institution AS consent_institution, c.kind AS consent_kind,
				c.text_version AS consent_text_version, c.digest AS consent_digest, c.given_us AS consent_given_us`).
			Joins("LEFT JOIN consent c ON c.account_id = patient.account_id AND c.standing = 1").
			Where(`patient.id = ? AND patient.account_id = ? AND (patient.live = 1 OR EXISTS
				(SELECT 1 FROM orders o WHERE o.patient_id = patient.id AND o.state NOT IN ?))`, int64(id), int64(account), finalStates()).
			Order("c.given_us, c.id").Scan(&rows).Error
		if err != nil {
			return translated(err)
		}
		if len(rows) == 0 {
			return patient.ErrNotFound
		}
		standing = nil
		for _, r := range rows {
			if r.Consent != nil && r.Consent.Kind != "" {
				standing = append(standing, r.Consent.consent())
			}
		}
		who, err = p.patientOf(rows[0].Patient)
		return err
	})
	if err != nil {
		return patient.Patient{}, nil, fmt.Errorf("patient %d: %w", id, err)
	}
	return who, standing, nil
}

// Patients lists an account's patients, oldest first.
func (p Patients) Patients(ctx context.Context, account patient.AccountID) ([]patient.Patient, error) {
	found, err := p.patients(ctx, func(tx *gorm.DB) *gorm.DB {
		return tx.Where("account_id = ? AND live = 1", int64(account)).Order("created_us, id")
	})
	if err != nil {
		return nil, fmt.Errorf("patients of account %d: %w", account, err)
	}
	return found, nil
}

func (p Patients) patients(ctx context.Context, which func(tx *gorm.DB) *gorm.DB) ([]patient.Patient, error) {
	var found []patient.Patient
	err := p.db.opened(ctx, func() error {
		rows, err := find[patientRow](p.db, which(p.db.read(ctx)))
		if err != nil {
			return err
		}
		found = make([]patient.Patient, len(rows))
		for i, r := range rows {
			if found[i], err = p.patientOf(r); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// Remove hides a patient from the account; its orders stay. patient.ErrNotFound.
func (p Patients) Remove(ctx context.Context, account patient.AccountID, id patient.ID, r audit.Record) error {
	err := p.db.write(ctx, func(tx *gorm.DB) error {
		n, err := change(tx, "UPDATE patient SET live = NULL, hidden_us = ? WHERE id = ? AND account_id = ? AND live = 1",
			micros(p.db.clock.Now()), int64(id), int64(account))
		if err != nil {
			return err
		}
		if n != 1 {
			return patient.ErrNotFound
		}
		if _, err := change(tx, "UPDATE account SET patients = patients - 1, version = version + 1 WHERE id = ?", int64(account)); err != nil {
			return err
		}
		return p.db.record(tx, r)
	})
	if err != nil {
		return fmt.Errorf("remove patient %d: %w", id, err)
	}
	return nil
}
