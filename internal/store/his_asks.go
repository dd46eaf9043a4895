package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
)

// HISBooks finds what a HIS asked for.
type HISBooks struct{ db *DB }

var _ order.HISBooks = HISBooks{}

// HISBooks gives the books of what a HIS asked for.
func (db *DB) HISBooks() HISBooks { return HISBooks{db} }

// ByHISRefund finds the order of a refund by the HIS's own number. order.ErrNotFound.
func (b HISBooks) ByHISRefund(ctx context.Context, institution, no string) (order.ID, error) {
	return Orders(b).number(ctx, "SELECT order_id FROM refund WHERE institution = ? AND his_refund_no = ?", institution, no)
}

// Told reports whether a notice about that number is in the inbox, whether it was handled, and why nothing came of it.
func (b HISBooks) Told(ctx context.Context, source, id, number string) (found, handled bool, refusal string, err error) {
	var rows []struct {
		HandledUS int64
		Refusal   string
	}
	err = b.db.read(ctx).Raw("SELECT handled_us, refusal FROM inbox WHERE source = ? AND notice_id = ? AND about_no = ?", source, id, number).Scan(&rows).Error
	if err != nil {
		return false, false, "", fmt.Errorf("find notice of %s: %w", source, translated(err))
	}
	if len(rows) == 0 {
		return false, false, "", nil
	}
	return true, rows[0].HandledUS != 0, rows[0].Refusal, nil
}

var _ patient.Archives = Patients{}

// OfArchive lists the patients with an archive, of every account that has not hidden them.
func (p Patients) OfArchive(ctx context.Context, institution, hisPatient string) ([]patient.Patient, error) {
	found, err := p.patients(ctx, func(tx *gorm.DB) *gorm.DB {
		return tx.Where("institution = ? AND his_patient = ? AND live = 1", institution, hisPatient).Order("id")
	})
	if err != nil {
		return nil, fmt.Errorf("patients of an archive: %w", err)
	}
	return found, nil
}

// Rearchive gives a patient another archive, if he still has the first.
func (p Patients) Rearchive(ctx context.Context, id patient.ID, from, to string, r audit.Record) error {
	err := p.db.write(ctx, func(tx *gorm.DB) error {
		n, err := change(tx, "UPDATE patient SET his_patient = ? WHERE id = ? AND his_patient = ? AND live = 1", to, int64(id), from)
		if err != nil || n == 0 { // somebody was faster, or the patient is hidden
			return err
		}
		return p.db.record(tx, r)
	})
	if err != nil {
		return fmt.Errorf("rearchive patient %d: %w", id, err)
	}
	return nil
}
