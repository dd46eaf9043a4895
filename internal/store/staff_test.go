package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/staff"
)

func newStaff(db *DB, login string) staff.Person {
	return staff.Person{ID: staff.ID(db.ids.ID()), Institution: hospital, Login: login, Name: sensitive.NewName("SECRET-STAFF-NAME"),
		Roles: []staff.Role{staff.Finance, staff.Window}, PasswordHash: sensitive.NewKey("SECRET-STAFF-HASH"), PasswordOnce: true,
		TOTPSecret: sensitive.NewKey("SECRET-STAFF-TOTP"), TOTPUsed: 5, State: staff.Locked, FailedSignIns: 2, LockedUntil: now(db).Add(time.Minute),
		CreatedAt: now(db)}
}

// hired adds a person and gives what is read back.
func hired(t testing.TB, db *DB, login string) staff.Person {
	t.Helper()
	check(t, db.Staff().Add(t.Context(), newStaff(db, login), someone(db)))
	return must(db.Staff().ByLogin(t.Context(), login))(t)
}

func sameStaff(t testing.TB, got, want staff.Person) {
	t.Helper()
	if diff := cmp.Diff(want, got, plain(), cmp.Comparer(sensitive.Key.Equal)); diff != "" {
		t.Fatalf("the person differs (-stored +loaded):\n%s", diff)
	}
}

func suiteStaff(t *testing.T, open func(t *testing.T) *DB) {
	t.Run("people", func(t *testing.T) { staffPeople(t, open(t)) })
	t.Run("refused", func(t *testing.T) { staffRefused(t, open(t)) })
	t.Run("tampering", func(t *testing.T) { staffTampering(t, open(t)) })
	t.Run("one version, many at once", func(t *testing.T) {
		db := open(t)
		p := hired(t, db, "wang")
		oneWins(t, atOnce(8, func(n int) error {
			mine := p
			mine.TOTPUsed = int64(100 + n)
			return db.Staff().Save(t.Context(), mine, someone(db))
		}), staff.ErrMoved)
		if n := count(t, db, "SELECT COUNT(*) FROM audit_record"); n != 2 {
			t.Errorf("%d records, want one of the hiring and one of the winner", n)
		}
	})
	t.Run("one code, two at once", func(t *testing.T) { staffOneCode(t, open(t)) })
}

func staffPeople(t *testing.T, db *DB) {
	want := newStaff(db, "wang")
	check(t, db.Staff().Add(t.Context(), want, someone(db)))
	want.Version = 1
	got := must(db.Staff().ByLogin(t.Context(), "wang"))(t)
	sameStaff(t, got, want)
	_, err := db.Staff().ByLogin(t.Context(), "Wang")
	wantErr(t, "a login in capitals", err, staff.ErrNotFound)
	got.Name, got.Roles, got.PasswordHash, got.TOTPSecret = sensitive.NewName("SECRET-2"), []staff.Role{staff.Auditor}, sensitive.NewKey("h"), sensitive.NewKey("s")
	got.PasswordOnce, got.TOTPUsed, got.State, got.FailedSignIns, got.LockedUntil = false, 6, staff.Active, 0, time.Time{}
	check(t, db.Staff().Save(t.Context(), got, someone(db)))
	wantErr(t, "a person who moved", db.Staff().Save(t.Context(), got, someone(db)), staff.ErrMoved)
	got.Version++
	sameStaff(t, must(db.Staff().ByLogin(t.Context(), "wang"))(t), got)
	all := newStaff(db, "li.4")
	all.Institution = ""
	check(t, db.Staff().Add(t.Context(), all, someone(db)))
	all.Version = 1
	people := must(db.Staff().List(t.Context()))(t)
	if len(people) != 2 {
		t.Fatalf("%d people", len(people))
	}
	sameStaff(t, people[0], all)
	sameStaff(t, people[1], got)
	if n := count(t, db, "SELECT COUNT(*) FROM audit_record"); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

func staffRefused(t *testing.T, db *DB) {
	p := hired(t, db, "wang")
	wantErr(t, "a login taken", db.Staff().Add(t.Context(), newStaff(db, "wang"), someone(db)), staff.ErrExists)
	for name, edit := range map[string]func(*staff.Person){
		"no login": func(p *staff.Person) { p.Login = "" }, "no name": func(p *staff.Person) { p.Name = sensitive.Name{} },
		"no password": func(p *staff.Person) { p.PasswordHash = sensitive.Key{} }, "no second factor": func(p *staff.Person) { p.TOTPSecret = sensitive.Key{} },
		"a negative step": func(p *staff.Person) { p.TOTPUsed = -1 }, "negative failures": func(p *staff.Person) { p.FailedSignIns = -1 },
		"a long state": func(p *staff.Person) { p.State = "12345678901234567" },
	} {
		bad := p
		edit(&bad)
		wantErr(t, name, db.Staff().Save(t.Context(), bad, someone(db)), ErrRow)
	}
	wantErr(t, "an act without a record", db.Staff().Save(t.Context(), p, audit.Record{}), ErrRow)
	wantErr(t, "a person without a record", db.Staff().Add(t.Context(), newStaff(db, "li.4"), audit.Record{}), ErrRow)
	sameStaff(t, must(db.Staff().ByLogin(t.Context(), "wang"))(t), p)
	if people := must(db.Staff().List(t.Context()))(t); len(people) != 1 {
		t.Errorf("%d people", len(people))
	}
}

// staffTampering: nobody gives himself a role, another's password, or a lock that is over.
func staffTampering(t *testing.T, db *DB) {
	p := hired(t, db, "wang")
	other := hired(t, db, "li.4")
	id := fmt.Sprint(int64(p.ID))
	for _, set := range []string{
		"roles = 'admin'", "roles = ''", "state = 'active'", "institution = ''", "login = 'zhao'", "failures = 0", "locked_us = 0", "totp_used = 0",
		"password_once = FALSE", "version = version + 1", "mac = ''",
		"password_sealed = (SELECT o.password_sealed FROM staff o WHERE o.login = 'li.4')",
		"totp_sealed = (SELECT o.totp_sealed FROM staff o WHERE o.login = 'li.4')", "totp_sealed = password_sealed",
		"mac = (SELECT o.mac FROM staff o WHERE o.login = 'li.4')",
	} {
		kept, _, err := one[staffRow](db, db.read(t.Context()).Where("id = ?", int64(p.ID)))
		check(t, err)
		exec(t, db, "UPDATE staff SET "+set+" WHERE id = "+id)
		_, err = db.Staff().List(t.Context())
		wantErr(t, set, err, ErrTampered)
		if fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: kind %s", set, fault.KindOf(err))
		}
		exec(t, db, "DELETE FROM staff WHERE id = "+id)
		check(t, db.write(t.Context(), func(tx *gorm.DB) error { return insert(db, tx, kept) }))
	}
	// Signed, and still nobody's roles: an older program, or a bug.
	row := must(db.Staff().rowOf(other))(t)
	row.Roles, row.Version = "root", 2
	check(t, db.write(t.Context(), func(tx *gorm.DB) error {
		return move(db, tx, &row, staffMoves(), "id = ?", row.ID)
	}))
	_, err := db.Staff().ByLogin(t.Context(), "li.4")
	wantErr(t, "roles that are none", err, ErrTampered)
}

// staffOneCode signs two in with one code at the same time, through the service.
func staffOneCode(t *testing.T, db *DB) {
	s := staff.New(db.Staff(), db.Audit(), db.clock, db.ids, staff.Config{Params: staff.Params{MemoryKiB: 16, Passes: 1, Lanes: 1}})
	word := sensitive.NewKey("correct horse battery")
	_, _, err := s.Add(t.Context(), "system", staff.Newcomer{Login: "wang", Name: sensitive.NewName("王"), Roles: []staff.Role{staff.Finance}, Password: word})
	check(t, err)
	p := must(db.Staff().ByLogin(t.Context(), "wang"))(t)
	p.TOTPSecret = sensitive.NewKey("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") // RFC 6238's
	check(t, db.Staff().Save(t.Context(), p, someone(db)))
	advance(t, db, time.Unix(2000000000, 0).Sub(now(db)))
	for range 2 { // the vector's moment, and the same code again later
		var wg sync.WaitGroup
		var errs [2]error
		for i := range errs {
			wg.Go(func() { _, errs[i] = s.SignIn(t.Context(), "wang", word, "279037") })
		}
		wg.Wait()
		if first := count(t, db, "SELECT COUNT(*) FROM audit_record WHERE action = 'staff.sign_in' AND result = 'ok'"); first != 1 {
			t.Fatalf("%d signed in with one code: %v", first, errs)
		}
		if !errors.Is(errors.Join(errs[:]...), staff.ErrSignIn) {
			t.Fatalf("two with one code: %v", errs)
		}
	}
}
