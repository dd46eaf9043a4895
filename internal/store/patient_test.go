package store

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// plain compares hidden values by what they hide; both print as a label.
func plain() cmp.Options {
	return cmp.Options{cmp.Comparer(sensitive.Name.Equal), cmp.Comparer(sensitive.IDNumber.Equal), cmp.Comparer(sensitive.Phone.Equal),
		cmp.Comparer(sensitive.OpenID.Equal), cmp.Comparer(sensitive.Token.Equal)}
}

// readPatient reads a patient in both ways, which must say the same.
func readPatient(t testing.TB, db *DB, account patient.AccountID, id patient.ID) (patient.Patient, error) {
	t.Helper()
	p, err := db.Patients().Patient(t.Context(), account, id)
	with, consents, again := db.Patients().PatientAndConsents(t.Context(), account, id)
	if err != nil || again != nil {
		if !errors.Is(again, patient.ErrNotFound) && !errors.Is(again, ErrTampered) {
			t.Errorf("PatientAndConsents() = %v, Patient() = %v", again, err)
		}
		return p, err
	}
	if diff := cmp.Diff(p, with, plain()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(must(db.Patients().Consents(t.Context(), account))(t), consents, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	return p, err
}

func suitePatients(t *testing.T, open func(t *testing.T) *DB) {
	t.Run("accounts and sessions", func(t *testing.T) { accounts(t, open(t)) })
	t.Run("patients", func(t *testing.T) { people(t, open(t)) })
	t.Run("consents", func(t *testing.T) { consents(t, open(t)) })
	t.Run("bindings", func(t *testing.T) { bindings(t, open(t)) })
	t.Run("archives", func(t *testing.T) { archives(t, open(t)) })
	t.Run("limit under many at once", func(t *testing.T) {
		db := open(t)
		account := enter(t, db, "o-many").ID
		var wg sync.WaitGroup
		var mu sync.Mutex
		added := 0
		for n := range 8 {
			p := newPatient(t, db, account, n)
			wg.Go(func() {
				err := db.Patients().Add(t.Context(), p, 3, someone(db))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					added++
				} else if !errors.Is(err, patient.ErrTooMany) {
					t.Errorf("Add() = %v", err)
				}
			})
		}
		wg.Wait()
		if added != 3 || count(t, db, "SELECT COUNT(*) FROM patient") != 3 {
			t.Fatalf("%d added, the limit is 3", added)
		}
	})
}

func accounts(t *testing.T, db *DB) {
	store := db.Patients()
	a := enter(t, db, "o-1")
	if again := enter(t, db, "o-1"); again.ID != a.ID {
		t.Fatalf("account %d on the second login, %d on the first", again.ID, a.ID)
	}
	if b := enter(t, db, "O-1"); b.ID == a.ID {
		t.Fatal("openids that differ by case are two users")
	}
	if n := count(t, db, "SELECT COUNT(*) FROM audit_record WHERE actor = ?", "account:"+order.ID(a.ID).No()); n != 2 {
		t.Fatalf("%d records name the account that was found, want 2", n)
	}
	check(t, store.SetPhone(t.Context(), a.ID, sensitive.NewPhone("13800138000"), someone(db)))
	got := must(store.Account(t.Context(), a.ID))(t)
	a.Phone = sensitive.NewPhone("13800138000")
	if diff := cmp.Diff(a, got, plain()); diff != "" {
		t.Fatal(diff)
	}
	wantErr(t, "phone of nobody", store.SetPhone(t.Context(), 1, a.Phone, someone(db)), patient.ErrNotFound)
	_, err := store.Account(t.Context(), 1)
	wantErr(t, "account of nobody", err, patient.ErrNotFound)

	s := patient.Session{TokenDigest: "d", Account: a.ID, Institution: hospital, CreatedAt: now(db), ExpiresAt: now(db).Add(time.Minute)}
	must(store.Enter(t.Context(), patient.Account{ID: 5, Institution: hospital, OpenID: sensitive.NewOpenID("o-1")}, s, someone(db)))(t)
	if diff := cmp.Diff(s, must(store.SessionOf(t.Context(), "d", now(db)))(t)); diff != "" {
		t.Fatal(diff)
	}
	_, err = store.SessionOf(t.Context(), "d", now(db).Add(time.Minute))
	wantErr(t, "a session that is over", err, patient.ErrSession)
	check(t, store.Leave(t.Context(), "d"))
	_, err = store.SessionOf(t.Context(), "d", now(db))
	wantErr(t, "a session that was left", err, patient.ErrSession)
	_, err = store.Enter(t.Context(), patient.Account{ID: 6, Institution: hospital}, s, someone(db))
	if err == nil {
		t.Fatal("an account without an openid was made")
	}
	before := count(t, db, "SELECT COUNT(*) FROM account")
	_, err = store.Enter(t.Context(), patient.Account{ID: 9, Institution: hospital, OpenID: sensitive.NewOpenID("o-9")}, s, audit.Record{})
	wantErr(t, "an act without a record", err, ErrRow)
	if count(t, db, "SELECT COUNT(*) FROM account") != before {
		t.Fatal("the act stayed without its record")
	}
}

func people(t *testing.T, db *DB) {
	store := db.Patients()
	account, other := enter(t, db, "o-1").ID, enter(t, db, "o-2").ID
	first, second := newPatient(t, db, account, 1), newPatient(t, db, account, 2)
	second.Phone, second.GuardianConsent = sensitive.Phone{}, false
	check(t, store.Add(t.Context(), first, 2, someone(db)))
	twin := newPatient(t, db, account, 1)
	wantErr(t, "the same number again", store.Add(t.Context(), twin, 5, someone(db)), patient.ErrExists)
	check(t, store.Add(t.Context(), newPatient(t, db, other, 1), 2, someone(db))) // another account may
	check(t, store.Add(t.Context(), second, 2, someone(db)))
	wantErr(t, "a third of two", store.Add(t.Context(), newPatient(t, db, account, 3), 2, someone(db)), patient.ErrTooMany)
	wantErr(t, "nobody's patient", store.Add(t.Context(), newPatient(t, db, 1, 3), 2, someone(db)), patient.ErrNotFound)
	wantErr(t, "a patient without a name", store.Add(t.Context(), patient.Patient{Account: account, IDNumber: idNumber(t, 4)}, 9, someone(db)), ErrRow)
	if diff := cmp.Diff([]patient.Patient{first, second}, must(store.Patients(t.Context(), account))(t), plain()); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(first, must(readPatient(t, db, account, first.ID))(t), plain()); diff != "" {
		t.Fatal(diff)
	}
	_, err := readPatient(t, db, other, first.ID)
	wantErr(t, "another account's patient", err, patient.ErrNotFound)

	// Hidden, but an order is under way: who drives it still needs the person.
	o := newOrder(db, "b1")
	o.Account, o.Patient = account, first.ID
	claim := create(t, db, o)
	check(t, store.Remove(t.Context(), account, first.ID, someone(db)))
	wantErr(t, "remove twice", store.Remove(t.Context(), account, first.ID, someone(db)), patient.ErrNotFound)
	if left := must(store.Patients(t.Context(), account))(t); len(left) != 1 || left[0].ID != second.ID {
		t.Fatalf("%d patients left", len(left))
	}
	must(readPatient(t, db, account, first.ID))(t)
	moveOrder(t, db, o, order.Abandon)
	moveOrder(t, db, o, order.Shut)
	save(t, db, o, &claim, job.Finish())
	_, err = readPatient(t, db, account, first.ID)
	wantErr(t, "a hidden patient", err, patient.ErrNotFound)
	check(t, store.Add(t.Context(), twin, 2, someone(db))) // may come back
	exec(t, db, "UPDATE patient SET name_sealed = (SELECT o.id_number_sealed FROM patient o WHERE o.id = patient.id) WHERE id = ?", int64(twin.ID))
	_, err = readPatient(t, db, account, twin.ID)
	wantErr(t, "a value moved to another column", err, ErrTampered)
}

func consents(t *testing.T, db *DB) {
	store := db.Patients()
	account := enter(t, db, "o-1").ID
	c := patient.Consent{Account: account, Institution: hospital, Kind: patient.ConsentInsurance, Version: "1", Digest: "d", GivenAt: now(db)}
	check(t, store.Give(t.Context(), c, someone(db)))
	again := c
	again.GivenAt = now(db).Add(time.Hour)
	check(t, store.Give(t.Context(), again, someone(db)))
	privacy := c
	privacy.Kind, privacy.GivenAt = patient.ConsentPrivacy, now(db).Add(time.Minute)
	check(t, store.Give(t.Context(), privacy, someone(db)))
	if diff := cmp.Diff([]patient.Consent{c, privacy}, must(store.Consents(t.Context(), account))(t)); diff != "" {
		t.Fatal(diff)
	}
	check(t, store.Withdraw(t.Context(), account, patient.ConsentInsurance, now(db), someone(db)))
	check(t, store.Withdraw(t.Context(), account, patient.ConsentInsurance, now(db), someone(db)))
	check(t, store.Give(t.Context(), again, someone(db)))
	if diff := cmp.Diff([]patient.Consent{privacy, again}, must(store.Consents(t.Context(), account))(t)); diff != "" {
		t.Fatal(diff)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM audit_record WHERE action = 'test.act'"); n != 7 {
		t.Fatalf("%d acts recorded, want 7", n)
	}
	person := newPatient(t, db, account, 1)
	check(t, store.Add(t.Context(), person, 2, someone(db)))
	must(readPatient(t, db, account, person.ID))(t) // with two consents
	wantErr(t, "a record without an actor", db.Audit().Record(t.Context(), audit.Record{Action: "x"}), ErrRow)
	check(t, db.Audit().Record(t.Context(), audit.Record{Actor: "staff:1", Action: "x"}))
	c.Account = 1
	wantErr(t, "consent of nobody", store.Give(t.Context(), c, someone(db)), ErrRow)
}

func bindings(t *testing.T, db *DB) {
	store := db.Patients()
	account := enter(t, db, "o-1").ID
	p := newPatient(t, db, account, 1)
	check(t, store.Add(t.Context(), p, 5, someone(db)))
	if _, found, err := store.BindingOf(t.Context(), p.ID); found || err != nil {
		t.Fatalf("BindingOf() = %v, %v before there is one", found, err)
	}
	_, err := store.NewestAuth(t.Context(), p.ID)
	wantErr(t, "no authorisation", err, patient.ErrNotBound)
	auth := func(after time.Duration) patient.PayAuth {
		return patient.PayAuth{ID: db.ids.ID(), Patient: p.ID, Institution: hospital, Number: sensitive.NewToken("SECRET-PAY-AUTH"),
			Location: "115.85,28.68 SECRET-LOCATION", UsableUntil: now(db).Add(time.Hour), CreatedAt: now(db).Add(after)}
	}
	old, newer := auth(0), auth(time.Minute)
	newer.Location = ""
	newer.Family, newer.PayerName, newer.PayerID = true, p.Name, p.IDNumber
	check(t, store.Bind(t.Context(), patient.Binding{Patient: p.ID, Institution: hospital, VerifiedAt: now(db)}, old, someone(db)))
	renewed := patient.Binding{Patient: p.ID, Institution: hospital, VerifiedAt: now(db).Add(time.Minute)}
	check(t, store.Bind(t.Context(), renewed, newer, someone(db)))
	got, found, err := store.BindingOf(t.Context(), p.ID)
	if diff := cmp.Diff(renewed, got); diff != "" || !found || err != nil {
		t.Fatalf("BindingOf(): %v, %v %s", found, err, diff)
	}
	if diff := cmp.Diff(newer, must(store.NewestAuth(t.Context(), p.ID))(t), plain()); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(old, must(store.PayAuth(t.Context(), p.ID, old.ID))(t), plain()); diff != "" {
		t.Fatal(diff)
	}
	_, err = store.PayAuth(t.Context(), 1, old.ID)
	wantErr(t, "another patient's authorisation", err, patient.ErrNotBound)
	holding := func(bill string, auth patient.PayAuth) *order.Order {
		o := newOrder(db, bill)
		o.Account, o.Patient, o.PayAuth, o.AuthUntil = account, p.ID, auth.ID, auth.UsableUntil
		create(t, db, o)
		return o
	}
	o := holding("auth-1", newer)
	_, err = store.NewestAuth(t.Context(), p.ID) // the older one may be what the order began with
	wantErr(t, "an order went on with a newer one", err, patient.ErrNotBound)
	holding("auth-2", old)
	_, err = store.NewestAuth(t.Context(), p.ID)
	wantErr(t, "every authorisation is spent", err, patient.ErrNotBound)
	for state, want := range map[order.State]error{order.Completed: patient.ErrNotBound, order.Unwound: patient.ErrNotBound, order.Closed: nil} {
		exec(t, db, "UPDATE orders SET state = ?, uninsured_fen = total_fen WHERE id = ?", string(state), int64(o.ID))
		if _, err := store.NewestAuth(t.Context(), p.ID); !errors.Is(err, want) {
			t.Errorf("after an order that is %s: %v, want %v", state, err, want)
		}
	}
	exec(t, db, "UPDATE orders SET state = ?, uninsured_fen = total_fen WHERE id = ?", string(order.Closed), int64(o.ID)) // for the tampering below
	for name, edit := range map[string]func(*patient.PayAuth){
		"a relative's without the payer":  func(a *patient.PayAuth) { a.Family = true },
		"a relative's without his number": func(a *patient.PayAuth) { a.Family, a.PayerName = true, p.Name },
		"one's own with another payer":    func(a *patient.PayAuth) { a.PayerName, a.PayerID = p.Name, p.IDNumber },
	} {
		bad := auth(0)
		edit(&bad)
		wantErr(t, name, store.Bind(t.Context(), renewed, bad, someone(db)), ErrRow)
	}
	sealedPayer(t, db, newer.ID, old.ID)
	stray := auth(0)
	stray.Patient = 1
	wantErr(t, "binding and authorisation of two", store.Bind(t.Context(), renewed, stray, someone(db)), ErrRow)
	wantErr(t, "a binding of nobody", store.Bind(t.Context(), patient.Binding{Patient: 1}, stray, someone(db)), ErrRow)
	exec(t, db, "UPDATE pay_auth SET number_sealed = (SELECT o.number_sealed FROM pay_auth o WHERE o.id = ?) WHERE id = ?", old.ID, newer.ID)
	_, err = store.NewestAuth(t.Context(), p.ID)
	wantErr(t, "a number moved from another row", err, ErrTampered)
}

// sealedPayer changes the payer of a family authorisation behind our back, and puts it right again.
func sealedPayer(t *testing.T, db *DB, family, own int64) {
	t.Helper()
	read := func(id int64) error {
		_, err := db.Patients().payAuth(t.Context(), func(tx *gorm.DB) *gorm.DB { return tx.Where("id = ?", id) })
		return err
	}
	if n := count(t, db, "SELECT COUNT(*) FROM pay_auth WHERE family AND payer_name_sealed IS NOT NULL AND payer_id_sealed IS NOT NULL"); n != 1 {
		t.Fatalf("%d authorisations name a payer, want 1", n)
	}
	for _, c := range []struct {
		name, set string
		id        int64
	}{
		{"no name", "payer_name_sealed = NULL", family},
		{"no number", "payer_id_sealed = NULL", family},
		{"name for number", "payer_id_sealed = payer_name_sealed", family},
		{"made one's own", "family = FALSE", family},
		{"made a relative's", "family = TRUE", own},
	} {
		kept, found, err := one[payAuthRow](db, db.read(t.Context()).Where("id = ?", c.id))
		if !found || err != nil {
			t.Fatalf("authorisation %d: %v, %v", c.id, found, err)
		}
		exec(t, db, "UPDATE pay_auth SET "+c.set+" WHERE id = ?", c.id)
		wantErr(t, c.name, read(c.id), ErrTampered)
		exec(t, db, "UPDATE pay_auth SET family = ?, payer_name_sealed = ?, payer_id_sealed = ? WHERE id = ?", kept.Family, kept.PayerNameSealed,
			kept.PayerIDSealed, c.id)
		check(t, read(c.id))
	}
}

// archives: the patients of an archive are found in their institution alone, and follow it once, with an audit record.
func archives(t *testing.T, db *DB) {
	store := db.Patients()
	var all []patient.Patient
	for n, openID := range []string{"o-a1", "o-a2", "o-a3"} {
		p := newPatient(t, db, enter(t, db, openID).ID, n+1)
		p.HISPatient = "A1"
		if n == 2 {
			p.Institution = "elsewhere"
		}
		check(t, store.Add(t.Context(), p, 5, someone(db)))
		all = append(all, p)
	}
	hidden := newPatient(t, db, all[0].Account, 9)
	hidden.HISPatient = "A1"
	check(t, store.Add(t.Context(), hidden, 5, someone(db)))
	check(t, store.Remove(t.Context(), all[0].Account, hidden.ID, someone(db)))
	if diff := cmp.Diff(all[:2], must(store.OfArchive(t.Context(), hospital, "A1"))(t), plain()); diff != "" {
		t.Fatal(diff)
	}
	records := count(t, db, "SELECT COUNT(*) FROM audit_record")
	check(t, store.Rearchive(t.Context(), all[0].ID, "A1", "A2", someone(db)))
	check(t, store.Rearchive(t.Context(), all[0].ID, "A1", "A3", someone(db))) // late: he has another by now
	check(t, store.Rearchive(t.Context(), hidden.ID, "A1", "A2", someone(db)))
	if n := count(t, db, "SELECT COUNT(*) FROM audit_record"); n != records+1 {
		t.Errorf("%d records more, want one", n-records)
	}
	if p := must(readPatient(t, db, all[0].Account, all[0].ID))(t); p.HISPatient != "A2" {
		t.Errorf("the archive is %s", p.HISPatient)
	}
	if left := must(store.OfArchive(t.Context(), hospital, "A1"))(t); len(left) != 1 || left[0].ID != all[1].ID {
		t.Errorf("%d patients left", len(left))
	}
}
