package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

type consentRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	AccountID   int64
	Kind        string `gorm:"size:32"`
	TextVersion string `gorm:"size:32"`
	Digest      string `gorm:"size:128"`
	Standing    *int64
	GivenUS     int64
	WithdrawnUS int64
}

// TableName is the table's name.
func (consentRow) TableName() string { return "consent" }

// Give stores a consent. One to the same version that stands already is left as it was given first; the act is recorded all the same.
func (p Patients) Give(ctx context.Context, c patient.Consent, r audit.Record) error {
	row := consentRow{ID: p.db.ids.ID(), Institution: c.Institution, AccountID: int64(c.Account), Kind: string(c.Kind), TextVersion: c.Version,
		Digest: c.Digest, Standing: mark(true), GivenUS: micros(c.GivenAt)}
	err := p.db.write(ctx, func(tx *gorm.DB) error {
		if err := insert(p.db, tx, row); err != nil {
			return err
		}
		return p.db.record(tx, r)
	})
	if duplicate(err) {
		err = p.db.write(ctx, func(tx *gorm.DB) error { return p.db.record(tx, r) })
	}
	if err != nil {
		return fmt.Errorf("give consent %s: %w", c.Kind, err)
	}
	return nil
}

// Withdraw ends the standing consents of that kind.
func (p Patients) Withdraw(ctx context.Context, account patient.AccountID, kind patient.ConsentKind, at time.Time, r audit.Record) error {
	err := p.db.write(ctx, func(tx *gorm.DB) error {
		_, err := change(tx, "UPDATE consent SET standing = NULL, withdrawn_us = ? WHERE account_id = ? AND kind = ? AND standing = 1",
			micros(at), int64(account), string(kind))
		if err != nil {
			return err
		}
		return p.db.record(tx, r)
	})
	if err != nil {
		return fmt.Errorf("withdraw consent %s: %w", kind, err)
	}
	return nil
}

// Consents lists the standing consents, oldest first.
func (p Patients) Consents(ctx context.Context, account patient.AccountID) ([]patient.Consent, error) {
	rows, err := find[consentRow](p.db, p.db.read(ctx).Where("account_id = ? AND standing = 1", int64(account)).Order("given_us, id"))
	if err != nil {
		return nil, fmt.Errorf("consents of account %d: %w", account, err)
	}
	consents := make([]patient.Consent, len(rows))
	for i, r := range rows {
		consents[i] = r.consent()
	}
	return consents, nil
}

func (r *consentRow) consent() patient.Consent {
	return patient.Consent{Account: patient.AccountID(r.AccountID), Institution: r.Institution, Kind: patient.ConsentKind(r.Kind), Version: r.TextVersion,
		Digest: r.Digest, GivenAt: moment(r.GivenUS)}
}

type bindingRow struct {
	PatientID   int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	Version     int64
	VerifiedUS  int64
}

// TableName is the table's name.
func (bindingRow) TableName() string { return "binding" }

type payAuthRow struct {
	ID             int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution    string `gorm:"size:64"`
	PatientID      int64
	NumberSealed   []byte
	LocationSealed []byte
	UsableUS       int64
	CreatedUS      int64

	Family          bool
	PayerNameSealed []byte
	PayerIDSealed   []byte
}

// TableName is the table's name.
func (payAuthRow) TableName() string { return "pay_auth" }

// Bind stores a binding, new or renewed, and its fresh authorisation.
func (p Patients) Bind(ctx context.Context, b patient.Binding, a patient.PayAuth, r audit.Record) error {
	if p.db.vault == nil {
		return ErrNoVault
	}
	row := payAuthRow{ID: a.ID, Institution: a.Institution, PatientID: int64(a.Patient), UsableUS: micros(a.UsableUntil), CreatedUS: micros(a.CreatedAt),
		Family: a.Family}
	s := p.db.sealer(row.TableName(), row.ID)
	row.NumberSealed = s.secret("number_sealed", a.Number)
	row.LocationSealed = s.text("location_sealed", a.Location)
	row.PayerNameSealed = s.secret("payer_name_sealed", a.PayerName)
	row.PayerIDSealed = s.secret("payer_id_sealed", a.PayerID)
	err := s.err
	switch {
	case err != nil:
	case b.Patient != a.Patient || row.NumberSealed == nil:
		err = refuse("binding and authorisation are not one patient's, or there is no number")
	case a.Family != (row.PayerNameSealed != nil) || a.Family != (row.PayerIDSealed != nil):
		err = refuse("another payer belongs to an authorisation for a relative, and to no other")
	}
	if err == nil {
		err = p.db.write(ctx, func(tx *gorm.DB) error {
			n, err := change(tx, "UPDATE binding SET verified_us = ?, version = version + 1 WHERE patient_id = ?", micros(b.VerifiedAt), int64(b.Patient))
			if err == nil && n == 0 {
				err = insert(p.db, tx, bindingRow{PatientID: int64(b.Patient), Institution: b.Institution, Version: 1, VerifiedUS: micros(b.VerifiedAt)})
			}
			if err != nil {
				return err
			}
			if err := insert(p.db, tx, row); err != nil {
				return err
			}
			return p.db.record(tx, r)
		})
	}
	if err != nil {
		return fmt.Errorf("bind patient %d: %w", b.Patient, err)
	}
	return nil
}

// BindingOf reads a binding; false when the patient has none.
func (p Patients) BindingOf(ctx context.Context, id patient.ID) (patient.Binding, bool, error) {
	row, found, err := one[bindingRow](p.db, p.db.read(ctx).Where("patient_id = ?", int64(id)))
	if err != nil || !found {
		return patient.Binding{}, false, err
	}
	return patient.Binding{Patient: patient.ID(row.PatientID), Institution: row.Institution, VerifiedAt: moment(row.VerifiedUS)}, true, nil
}

// PayAuth reads an authorisation of that patient; patient.ErrNotBound when there is none.
func (p Patients) PayAuth(ctx context.Context, of patient.ID, id int64) (patient.PayAuth, error) {
	return p.payAuth(ctx, func(tx *gorm.DB) *gorm.DB { return tx.Where("patient_id = ? AND id = ?", int64(of), id) })
}

// NewestAuth is the patient's newest authorisation that is not spent; patient.ErrNotBound when there is none. One authorisation serves one
// order: only an order that was closed, and so has settled nothing, leaves it to the next. An order knows the last one it went on with; those
// before it are spent, too.
func (p Patients) NewestAuth(ctx context.Context, of patient.ID) (patient.PayAuth, error) {
	return p.payAuth(ctx, func(tx *gorm.DB) *gorm.DB {
		return tx.Where("patient_id = ? AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.patient_id = pay_auth.patient_id AND o.pay_auth_id >= pay_auth.id AND o.state <> ?)",
			int64(of), string(order.Closed)).Order("created_us DESC, id DESC")
	})
}

func (p Patients) payAuth(ctx context.Context, which func(tx *gorm.DB) *gorm.DB) (patient.PayAuth, error) {
	var a patient.PayAuth
	err := p.db.opened(ctx, func() error {
		row, found, err := one[payAuthRow](p.db, which(p.db.read(ctx)))
		if err != nil {
			return err
		}
		if !found {
			return patient.ErrNotBound
		}
		s := p.db.sealer(row.TableName(), row.ID)
		a = patient.PayAuth{ID: row.ID, Patient: patient.ID(row.PatientID), Institution: row.Institution,
			Number:   sensitive.NewToken(s.openText("number_sealed", row.NumberSealed)),
			Location: s.openText("location_sealed", row.LocationSealed), UsableUntil: moment(row.UsableUS), CreatedAt: moment(row.CreatedUS),
			Family: row.Family}
		a.PayerName, a.PayerID = openPayer(s, row)
		return s.err
	})
	if err != nil {
		return patient.PayAuth{}, fmt.Errorf("authorisation: %w", err)
	}
	return a, nil
}

// openPayer opens who pays for the patient: both values on an authorisation for a relative, neither on one's own.
func openPayer(s *sealer, row payAuthRow) (sensitive.Name, sensitive.IDNumber) {
	if row.Family != (row.PayerNameSealed != nil) || row.Family != (row.PayerIDSealed != nil) {
		s.keep(ErrTampered.Because(errors.New("pay_auth.family and the payer do not agree")))
	}
	if !row.Family {
		return sensitive.Name{}, sensitive.IDNumber{}
	}
	name, number := s.openText("payer_name_sealed", row.PayerNameSealed), s.openText("payer_id_sealed", row.PayerIDSealed)
	id, err := sensitive.ParseIDNumber(number)
	if err != nil {
		s.keep(ErrTampered.Because(errors.New("the sealed text is no identity number")))
	}
	return sensitive.NewName(name), id
}
