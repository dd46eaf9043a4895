package store

import (
	"context"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// suiteBroken asks a database that is gone, one without a vault, and one whose caller has left: every method says so, and none succeeds.
func suiteBroken(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	for name, err := range sealedCalls(t.Context(), t, db.WithVault(nil), newOrder(db, "b1")) {
		wantErr(t, name+" without a vault", err, ErrNoVault)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range sealedCalls(gone, t, db, newOrder(db, "b1")) {
		wantErr(t, name+" when the caller has left", err, context.Canceled)
	}
	check(t, db.Close())
	for name, err := range sealedCalls(t.Context(), t, db, newOrder(db, "b1")) {
		if err == nil || fault.InMoneyStep(err) != fault.Unknown {
			t.Errorf("%s on a closed database: %v", name, err)
		}
	}
	for name, err := range plainCalls(t.Context(), db) {
		if err == nil {
			t.Errorf("%s on a closed database succeeded", name)
		}
	}
	if db.AddDataKey(t.Context(), keyNamed("seal-9")) == nil {
		t.Error("AddDataKey on a closed database succeeded")
	}
	if err := (Audit{db}).Record(t.Context(), audit.Record{}); err == nil {
		t.Error("Record on a closed database succeeded")
	}
}

// sealedCalls are those that need the vault.
func sealedCalls(ctx context.Context, t *testing.T, db *DB, o *order.Order) map[string]error {
	t.Helper()
	errs := map[string]error{}
	set := func(name string, err error) { errs[name] = err }
	orders, jobs := db.Orders(), db.Jobs()
	claim := job.Claim{Job: job.Job{ID: 1, Kind: order.JobKind, Ref: o.ID.No(), Version: 1}, Owner: worker}
	_, err := orders.Create(ctx, asked(o), jobOf(db, o))
	set("Create", err)
	set("Save", orders.Save(ctx, o, &claim, job.Finish()))
	_, err = orders.Load(ctx, 1)
	set("Load", err)
	_, err = orders.List(ctx, 1, 0, 9)
	set("List", err)
	_, err = orders.History(ctx, 1)
	set("History", err)
	set("Revive", orders.Revive(ctx, 1, now(db)))
	set("Give a job", jobs.Give(ctx, claim, job.At(now(db), 0, "")))
	set("Wake", jobs.Wake(ctx, "order", "1", now(db)))
	_, err = jobs.Take(ctx, claim.Job, worker, now(db), now(db).Add(time.Minute))
	set("Take", err)
	_, err = db.Inbox().Put(ctx, job.Notice{Source: "his/h1", ID: "1", ReceivedAt: now(db)})
	set("Put", err)
	set("Spend", db.Inbox().Spend(ctx, "his/h1", job.Nonce{Text: "n"}))
	set("Sweep", db.Inbox().Sweep(ctx))
	_, err = db.Inbox().Unread(ctx, nil, 9)
	set("Unread", err)
	set("Mark", db.Inbox().Mark(ctx, 1, now(db), ""))
	_, _, err = db.Replays().FindReplay(ctx, keyOf(o))
	set("FindReplay", err)
	_, err = db.Replays().KeepAnswer(ctx, hospital, job.Request{Key: keyOf(o)}, "", 200, nil)
	set("KeepAnswer", err)
	set("Record", db.Audit().Record(ctx, someone(db)))
	set("Add staff", db.Staff().Add(ctx, newStaff(db, "wang"), someone(db)))
	set("Save staff", db.Staff().Save(ctx, newStaff(db, "wang"), someone(db)))
	_, err = db.Staff().ByLogin(ctx, "wang")
	set("ByLogin", err)
	_, err = db.Staff().List(ctx)
	set("List staff", err)
	peopleCalls(ctx, t, db, set)
	return errs
}

// plainCalls are those that open nothing.
func plainCalls(ctx context.Context, db *DB) map[string]error {
	errs := map[string]error{"Ping": db.Ping(ctx)}
	_, errs["Due"] = db.Jobs().Due(ctx, []string{"order"}, nil, now(db), 9)
	_, _, errs["Find"] = db.Jobs().Find(ctx, "order", "1")
	_, _, errs["Backlog"] = db.Jobs().Backlog(ctx, now(db))
	_, errs["LiveOf"] = db.Orders().LiveOf(ctx, 1)
	_, errs["SessionOf"] = db.Patients().SessionOf(ctx, "d", now(db))
	_, errs["Consents"] = db.Patients().Consents(ctx, 1)
	_, _, errs["BindingOf"] = db.Patients().BindingOf(ctx, 1)
	_, errs["DataKeys"] = db.DataKeys(ctx)
	_, errs["Migrate"] = db.Migrate(ctx)
	_, errs["MigrateDown"] = db.MigrateDown(ctx)
	_, _, errs["SchemaVersion"] = db.SchemaVersion(ctx)
	return errs
}

func peopleCalls(ctx context.Context, t *testing.T, db *DB, set func(string, error)) {
	t.Helper()
	people := db.Patients()
	_, err := people.Enter(ctx, patient.Account{ID: 1, OpenID: sensitive.NewOpenID("o")}, patient.Session{TokenDigest: "d"}, someone(db))
	set("Enter", err)
	set("Leave", people.Leave(ctx, "d"))
	_, err = people.Account(ctx, 1)
	set("Account", err)
	set("SetPhone", people.SetPhone(ctx, 1, sensitive.NewPhone("13800138000"), someone(db)))
	set("Add", people.Add(ctx, newPatient(t, db, 1, 1), 9, someone(db)))
	_, err = people.Patient(ctx, 1, 1)
	set("Patient", err)
	_, err = people.Patients(ctx, 1)
	set("Patients", err)
	set("Remove", people.Remove(ctx, 1, 1, someone(db)))
	set("Give", people.Give(ctx, patient.Consent{}, someone(db)))
	set("Withdraw", people.Withdraw(ctx, 1, patient.ConsentPrivacy, now(db), someone(db)))
	set("Bind", people.Bind(ctx, patient.Binding{}, patient.PayAuth{Number: sensitive.NewToken("t")}, someone(db)))
	_, err = people.NewestAuth(ctx, 1)
	set("NewestAuth", err)
}
