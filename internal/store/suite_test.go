package store

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// Suite is what every engine must pass. open gives a fresh, migrated database with a vault, on a fake clock.
func Suite(t *testing.T, open func(t *testing.T) *DB) {
	t.Helper()
	for _, part := range []struct {
		name string
		run  func(t *testing.T, open func(t *testing.T) *DB)
	}{
		{"jobs", suiteJobs}, {"inbox", suiteInbox}, {"replays", suiteReplays}, {"orders", suiteOrders}, {"order races", suiteRaces},
		{"order guards", suiteGuards}, {"tampering", suiteTampering}, {"patients", suitePatients}, {"staff", suiteStaff}, {"migrations", suiteMigrations},
		{"nodes", suiteNodes}, {"statements", suiteStatements}, {"runs", suiteRuns}, {"moved", suiteMoved}, {"rows fit the schema", suiteSchema}, {"broken", suiteBroken},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(t, open)
		})
	}
}

const (
	hospital = "h1"
	worker   = "worker-1"
)

func now(db *DB) time.Time { return db.clock.Now() }

func advance(t testing.TB, db *DB, d time.Duration) {
	t.Helper()
	fake, ok := db.clock.(*clock.Fake)
	if !ok {
		t.Fatal("the suite wants a fake clock")
	}
	fake.Advance(d)
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

// newBill is a bill of two lines, the second not for the insurer.
func newBill(db *DB, no string, insured, uninsured money.Fen) order.Bill {
	line := func(n string, fen money.Fen, without bool) bill.Line {
		return bill.Line{No: n, Uninsured: without, Category: "西药费", Name: "SECRET-DRUG 阿莫西林胶囊", CatalogueCode: "XJ01CAA040", HospitalCode: "Y" + n,
			Quantity: decimal.NewFromInt(1), Price: decimal.New(int64(fen), -2), Total: fen, OccurredAt: now(db)}
	}
	b := bill.Bill{No: no, HISPatient: "P1", State: bill.Unpaid, Total: insured + uninsured, Created: now(db),
		Visit: bill.Visit{No: "V1", Begun: now(db), DepartmentName: "SECRET-DEPARTMENT", Diagnoses: []bill.Diagnosis{{Type: "1", Order: 1,
			Code: "J06.900", Name: "SECRET-DIAGNOSIS", Time: now(db)}}},
		Lines: []bill.Line{line("1", insured, false), line("2", uninsured, true)}}
	return order.Bill{Bill: b, Digest: "digest of " + no}
}

// newOrder is an order in quoting, not yet stored.
func newOrder(db *DB, nos ...string) *order.Order {
	o := &order.Order{ID: order.ID(db.ids.ID()), Institution: hospital, Account: 7, Patient: 8, HISPatient: "P1", Route: order.Core,
		State: order.Quoting, CreatedAt: now(db), Insured: true, UseAccount: true, PayAuth: 99, AuthUntil: now(db).Add(time.Hour)}
	for _, no := range nos {
		o.Bills = append(o.Bills, newBill(db, no, 10000, 2000))
		o.Total += 12000
	}
	o.Events = []order.Event{{At: now(db), Actor: "account:7", Subject: "order", Verb: "create", To: string(order.Quoting)}}
	return o
}

func jobOf(db *DB, o *order.Order) job.New {
	return job.New{Kind: order.JobKind, Ref: o.ID.No(), RunAt: now(db), Owner: worker, LeaseUntil: now(db).Add(time.Minute)}
}

func keyOf(o *order.Order) job.Key {
	return job.Key{Account: int64(o.Account), Route: "POST /api/v1/orders", Key: "key of " + o.ID.No()}
}

// asked gives an order a request of its own, under gives it one with that key.
func asked(o *order.Order) *order.Order { return under(o, keyOf(o)) }

func under(o *order.Order, k job.Key) *order.Order {
	o.Request = &job.Request{Key: k, BodyDigest: "d"}
	return o
}

// create stores an order and gives the claim it was born with.
func create(t testing.TB, db *DB, o *order.Order) job.Claim {
	t.Helper()
	claim, err := db.Orders().Create(t.Context(), asked(o), jobOf(db, o))
	check(t, err)
	return claim
}

// quoted moves a stored order through its quote, with one settlement.
func quoted(t testing.TB, db *DB, o *order.Order, claim *job.Claim) *settlement.Settlement {
	t.Helper()
	insured := o.InsuredTotal()
	s := settlement.New(settlement.ID(db.ids.ID()), len(o.Settlements)+1, settlement.Visit{PersonNo: "SECRET-PERSON-NO", MdtrtID: "M1",
		InsuranceType: "310", CoverageArea: "360100", VisitNo: "T1", Ours: true}, "B"+strconv.FormatInt(db.ids.ID(), 10), insured, true)
	check(t, s.Apply(settlement.Foresee))
	s.Foreseen = split.Split{PooledFund: 5000, Account: 1000, Cash: insured - 6000}
	s.Echo = settlement.Echo{FullySelfPaid: 1, OverLimit: 2, FirstSelfPaid: 3, InScope: insured - 6}
	balance := money.Fen(0)
	s.Balance = &balance
	o.Settlements = append(o.Settlements, s)
	o.Split = s.Foreseen
	o.Split.Uninsured = o.Total - insured
	moveOrder(t, db, o, order.Quote)
	o.QuotedUntil = now(db).Add(15 * time.Minute)
	save(t, db, o, claim, job.Hold(now(db).Add(time.Minute), 0))
	return s
}

func moveOrder(t testing.TB, db *DB, o *order.Order, m order.Move) {
	t.Helper()
	from := o.State
	to, err := from.Next(m)
	check(t, err)
	o.State = to
	o.Events = append(o.Events, order.Event{At: now(db), Actor: "system", Subject: "order", Verb: string(m), From: string(from), To: string(to), Split: o.Split})
}

func save(t testing.TB, db *DB, o *order.Order, claim *job.Claim, next job.Next) {
	t.Helper()
	check(t, db.Orders().Save(t.Context(), o, claim, next))
}

// newPayment opens a cash attempt on an order.
func newPayment(db *DB, o *order.Order) *payment.Payment {
	id := payment.ID(db.ids.ID())
	p := payment.New(id, len(o.Payments)+1, "T"+strconv.FormatInt(int64(id), 10), o.Split.Charge(), []byte(`{"openid":"SECRET-OPENID"}`), now(db).Add(time.Hour))
	o.Payments = append(o.Payments, p)
	return p
}

// load reads an order, and once more as a process reads it that has never seen it: what is remembered must be what is stored.
func load(t testing.TB, db *DB, id order.ID) *order.Order {
	t.Helper()
	o, err := db.Orders().Load(t.Context(), id)
	check(t, err)
	stored, err := db.WithVault(db.vault).Orders().Load(t.Context(), id)
	check(t, err)
	sameOrder(t, o, stored)
	for _, known := range []*DB{db, db.WithVault(db.vault)} {
		worked, j, found, err := known.Orders().LoadForWork(t.Context(), id)
		check(t, err)
		sameOrder(t, worked, stored)
		want, there, err := db.Jobs().Find(t.Context(), order.JobKind, id.No())
		check(t, err)
		if diff := cmp.Diff(want, j); found != there || (found && diff != "") {
			t.Fatalf("the job read with the order: %v, want %v\n%s", found, there, diff)
		}
	}
	return o
}

// sameOrder compares what was stored with what is loaded.
func sameOrder(t testing.TB, got, want *order.Order) {
	t.Helper()
	opts := cmp.Options{cmp.AllowUnexported(settlement.Settlement{}, payment.Payment{}, payment.Mixed{}),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".changed" }, cmp.Ignore()),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Events" }, cmp.Ignore()), cmp.AllowUnexported(order.Order{}),
		cmp.Comparer(func(a, b decimal.Decimal) bool { return a.Equal(b) })}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Fatalf("loaded order differs (-stored +loaded):\n%s", diff)
	}
}

func count(t testing.TB, db *DB, query string, args ...any) int64 {
	t.Helper()
	var n int64
	check(t, db.reader.WithContext(t.Context()).Raw(query, args...).Scan(&n).Error)
	return n
}

func exec(t testing.TB, db *DB, statement string, args ...any) {
	t.Helper()
	done := db.writer.WithContext(t.Context()).Exec(statement, args...)
	check(t, done.Error)
	db.Forget()
	if done.RowsAffected == 0 {
		t.Fatalf("%s changed nothing", statement)
	}
}

func someone(db *DB) audit.Record {
	return audit.Record{At: now(db), Institution: hospital, Actor: "account:7", Action: "test.act", Object: "test", Result: "ok"}
}

// enter makes an account.
func enter(t testing.TB, db *DB, openID string) patient.Account {
	t.Helper()
	fresh := patient.Account{ID: patient.AccountID(db.ids.ID()), Institution: hospital, OpenID: sensitive.NewOpenID(openID), CreatedAt: now(db)}
	s := patient.Session{TokenDigest: fmt.Sprintf("%064d", fresh.ID), Institution: hospital, CreatedAt: now(db), ExpiresAt: now(db).Add(time.Hour)}
	a, err := db.Patients().Enter(t.Context(), fresh, s, someone(db))
	check(t, err)
	return a
}

// idNumber is a made-up identity number with a right check digit, the n-th of its kind.
func idNumber(t testing.TB, n int) sensitive.IDNumber {
	t.Helper()
	first := fmt.Sprintf("36010019900307%03d", n)
	sum := 0
	for i := range 17 {
		sum = (sum + int(first[i]-'0')) * 2 % 11
	}
	id, err := sensitive.ParseIDNumber(first + string("10X98765432"[sum]))
	check(t, err)
	return id
}

func newPatient(t testing.TB, db *DB, account patient.AccountID, n int) patient.Patient {
	t.Helper()
	return patient.Patient{ID: patient.ID(db.ids.ID()), Account: account, Institution: hospital, Relation: patient.Self,
		Name: sensitive.NewName("SECRET-NAME 张三丰"), IDNumber: idNumber(t, n), Phone: sensitive.NewPhone("13800138000"), HISPatient: "P1",
		GuardianConsent: true, CreatedAt: now(db)}
}
