package patient

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Store keeps accounts, sessions, patients, consents, bindings and authorisations. Names, numbers and tokens are sealed at rest. Methods
// that take a Record write it in the same transaction.
type Store interface {
	// Enter finds or makes the account of an openid at an institution and opens the session. Whose they are is known only here: the
	// store puts the account into s.Account and "account:<id>" into r.Actor.
	Enter(ctx context.Context, fresh Account, s Session, r audit.Record) (Account, error)
	// SessionOf finds a session that has not expired; ErrSession otherwise.
	SessionOf(ctx context.Context, digest string, now time.Time) (Session, error)
	// Leave ends a session.
	Leave(ctx context.Context, digest string) error
	// Account reads an account; ErrNotFound.
	Account(ctx context.Context, id AccountID) (Account, error)
	// SetPhone stores the account's verified phone number.
	SetPhone(ctx context.Context, id AccountID, p sensitive.Phone, r audit.Record) error

	// Add inserts a patient; ErrExists when the account has one with that identity number, ErrTooMany beyond limit.
	Add(ctx context.Context, p Patient, limit int, r audit.Record) error
	// Patient reads one patient of that account; ErrNotFound for another account's, too.
	Patient(ctx context.Context, account AccountID, id ID) (Patient, error)
	// PatientAndConsents is Patient with the account's standing consents.
	PatientAndConsents(ctx context.Context, account AccountID, id ID) (Patient, []Consent, error)
	// Patients lists an account's patients, oldest first.
	Patients(ctx context.Context, account AccountID) ([]Patient, error)
	// Remove hides a patient from the account; its orders stay.
	Remove(ctx context.Context, account AccountID, id ID, r audit.Record) error

	// Give stores a consent.
	Give(ctx context.Context, c Consent, r audit.Record) error
	// Withdraw ends the standing consents of that kind.
	Withdraw(ctx context.Context, account AccountID, kind ConsentKind, at time.Time, r audit.Record) error
	// Consents lists the standing consents.
	Consents(ctx context.Context, account AccountID) ([]Consent, error)

	// Bind stores a binding and its fresh authorisation.
	Bind(ctx context.Context, b Binding, a PayAuth, r audit.Record) error
	// BindingOf reads a binding; false when the patient has none.
	BindingOf(ctx context.Context, id ID) (Binding, bool, error)
	// PayAuth reads an authorisation of that patient; ErrNotBound when there is none.
	PayAuth(ctx context.Context, patient ID, id int64) (PayAuth, error)
	// NewestAuth is the patient's newest authorisation that no order has spent (one that was closed has not); ErrNotBound when there is none.
	NewestAuth(ctx context.Context, patient ID) (PayAuth, error)
}
