package order

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

const (
	testAccount patient.AccountID = 7
	testPatient patient.ID        = 70
	hospitalID                    = "h1"
	testBill                      = "MZ1"
)

var start = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

// world is one hospital with its counterparts, a patient with a phone, and our process, all on one clock that only the test moves.
type world struct {
	t       *testing.T
	fake    *clock.Fake
	clock   worldClock
	source  *clock.Source
	store   *memory
	people  *people
	insurer *insurer
	centre  *centre
	wechat  *wechat
	his     *hospital
	party   *Party
	config  Config
	service *Service

	mishaps func(op, key string) mishap // the plan of what goes wrong; nil: nothing
	met     []string                    // what went wrong
	calls   map[string]int
	pending []lateOne
	log     []string

	outside bool               // the counterparts were put into a state that no deed of ours led to
	stall   func(point string) // what befalls the process there, besides being killed; nil: nothing
	points  []string           // every durable write and every outside call, twice
	killAt  int                // which of them is the process's last moment; 0: none
	kills   int
	process int // how often our process was started

	booksAlone bool // audits look at our own books alone

	failures []string // every call of the database
	failAt   int      // which of them fails; 0: none
	failed   string   // the one that failed, until somebody has heard of it
}

type lateOne struct {
	at time.Time
	do func()
}

// killed is the panic value of a process that ends in the middle.
type killed struct{}

var errKilled = errors.New("the process was killed")

// worldClock is the fake clock, whose passing lets late things happen.
type worldClock struct{ w *world }

func (c worldClock) Now() time.Time { return c.w.fake.Now() }

func (c worldClock) Sleep(ctx context.Context, d time.Duration) error {
	c.w.advance(d)
	return ctx.Err()
}

func (c worldClock) WithDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return c.w.fake.WithDeadline(ctx, d)
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, fake: clock.NewFake(start), calls: map[string]int{}}
	w.clock = worldClock{w}
	w.source = clock.NewSeeded(w.clock, 1, seed)
	w.store, w.insurer, w.centre, w.wechat, w.his = newMemory(w), newInsurer(w), newCentre(w), newWechat(w), newHospital(w)
	id, err := sensitive.ParseIDNumber("11010519491231002X")
	if err != nil {
		t.Fatal(err)
	}
	w.people = &people{account: patient.Account{ID: testAccount, Institution: hospitalID, OpenID: w.wechat.openID},
		patient:  patient.Patient{ID: testPatient, Account: testAccount, Institution: hospitalID, Name: sensitive.NewName("甲某"), IDNumber: id, HISPatient: "HP1"},
		consents: []patient.Consent{{Account: testAccount, Kind: patient.ConsentInsurance}}, bound: true,
		auth: &patient.PayAuth{ID: 5, Patient: testPatient, Number: sensitive.NewToken("auth"), UsableUntil: start.Add(24 * time.Hour)}}
	w.party = &Party{Institution: hospitalID, Name: "测试医院", Route: Core, NeedsAuth: true, Insurer: w.insurer, Gateway: w.wechat, Hospital: w.his, Desk: w.his, Bills: w.his, PerVisit: true}
	w.addBill(testBill, 8000, 2000)
	w.boot()
	return w
}

// boot starts our process, first or again. What is not stored is gone.
func (w *world) boot() {
	w.process++
	config := w.config
	config.Owner = fmt.Sprintf("node1/%d", w.process)
	db := flaky{w.store}
	w.service = New(db, db, db, flakyPeople{w.people, w}, []*Party{w.party}, w.clock, w.source, config)
}

// otherWorker is a second process that does what is due, while the first one hangs in a call.
func (w *world) otherWorker() {
	config := w.config
	config.Owner = "node2"
	mishaps := w.mishaps
	w.mishaps = nil
	defer func() { w.mishaps = mishaps }()
	s := New(w.store, w.store, w.store, w.people, []*Party{w.party}, w.clock, w.source, config)
	for range 50 {
		if worked, err := s.Step(context.Background()); err != nil || !worked {
			return
		}
	}
}

func yuan(fen int64) decimal.Decimal { return decimal.New(fen, -2) }

// addBill puts a bill of one insured and one uninsured line into the HIS; an amount of nothing leaves its line out.
func (w *world) addBill(no string, insured, uninsured int64) {
	b := &bill.Bill{No: no, HISPatient: "HP1", State: bill.Unpaid, Total: money.Fen(insured + uninsured), Created: start,
		Visit: bill.Visit{No: "V1", Begun: start, MedType: "11"}}
	if insured > 0 {
		b.Lines = append(b.Lines, bill.Line{No: "1", Name: "头孢", CatalogueCode: "XJ01", HospitalCode: "Y1", Quantity: decimal.New(1, 0),
			Price: yuan(insured), Total: money.Fen(insured), OccurredAt: start})
	}
	if uninsured > 0 {
		b.Lines = append(b.Lines, bill.Line{No: "2", Uninsured: true, Name: "纸尿裤", HospitalCode: "Y2", Quantity: decimal.New(1, 0),
			Price: yuan(uninsured), Total: money.Fen(uninsured), OccurredAt: start})
	}
	w.his.bills[no] = b
}

func (w *world) logf(format string, args ...any) {
	w.log = append(w.log, w.fake.Now().Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
}

func (w *world) mishapOf(op, key string) mishap {
	if w.mishaps == nil {
		return fine
	}
	return w.mishaps(op, key)
}

// once plans mishaps of one operation, one after the other, from its n-th call on.
func (w *world) once(op string, n int, list ...mishap) {
	earlier := w.mishaps
	w.mishaps = func(o, key string) mishap {
		if i := w.calls[op] - n; o == op && i >= 0 && i < len(list) {
			return list[i]
		}
		if earlier != nil {
			return earlier(o, key)
		}
		return fine
	}
}

// point is a moment at which the process may be killed.
func (w *world) point(name string) {
	w.points = append(w.points, name)
	if w.stall != nil {
		w.stall(name)
	}
	if len(w.points) == w.killAt {
		w.logf("killed at %s", name)
		panic(killed{})
	}
}

func (w *world) later(at time.Time, do func()) { w.pending = append(w.pending, lateOne{at, do}) }

// advance moves the clock, and lets everything happen on the way that was to come late.
func (w *world) advance(d time.Duration) {
	end := w.fake.Now().Add(d)
	for {
		sort.SliceStable(w.pending, func(i, k int) bool { return w.pending[i].at.Before(w.pending[k].at) })
		if len(w.pending) == 0 || w.pending[0].at.After(end) {
			break
		}
		next := w.pending[0]
		w.pending = w.pending[1:]
		if gap := next.at.Sub(w.fake.Now()); gap > 0 {
			w.fake.Advance(gap)
		}
		next.do()
	}
	if gap := end.Sub(w.fake.Now()); gap > 0 {
		w.fake.Advance(gap)
	}
}

// try runs a part of our process that may be killed in the middle, and starts it again then.
func (w *world) try(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(killed); !ok {
				panic(v)
			}
			err = errKilled
			w.kills++
			w.boot()
		}
	}()
	return do()
}

// quote asks for an order of the bills.
func (w *world) quote(insurance bool, nos ...string) (*Order, error) {
	return w.service.Quote(context.Background(), QuoteRequest{Account: testAccount, Institution: hospitalID, Patient: testPatient, BillNos: nos,
		Insurance: insurance, UseAccount: true, Request: &job.Request{Key: job.Key{Account: 7, Route: "POST /api/v1/orders", Key: fmt.Sprint(len(w.store.replays))}}})
}

func (w *world) mustQuote(insurance bool, nos ...string) ID {
	w.t.Helper()
	o, err := w.quote(insurance, nos...)
	if err != nil {
		w.t.Fatalf("Quote: %v", err)
	}
	return o.ID
}

func (w *world) mustConfirm(id ID) *Order {
	w.t.Helper()
	o, err := w.service.Confirm(context.Background(), Confirmation{Account: testAccount, Order: id})
	if err != nil {
		w.t.Fatalf("Confirm: %v", err)
	}
	return o
}

func (w *world) order(id ID) *Order {
	w.t.Helper()
	o, err := w.store.Load(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// step does one piece of work that is due. False when there is none.
func (w *world) step() bool {
	w.t.Helper()
	for _, work := range []func(context.Context) (bool, error){w.service.StepInbox, w.service.Step} {
		var worked bool
		err := w.try(func() (err error) {
			worked, err = work(context.Background())
			return err
		})
		w.heard("step", err)
		if err != nil && !errors.Is(err, job.ErrLost) && !errors.Is(err, errKilled) && !errors.Is(err, job.ErrBusy) && !errors.Is(err, errDown) {
			w.t.Errorf("step: %v", err)
			return false
		}
		w.audit()
		if worked || err != nil {
			return true
		}
	}
	return false
}

// settle does what is due and moves the clock to what comes next, until nothing comes within the time given.
func (w *world) settle(within time.Duration) {
	w.t.Helper()
	end := w.fake.Now().Add(within)
	for range 5000 {
		if w.t.Failed() {
			return
		}
		if w.step() {
			continue
		}
		next, ok := w.nextDue()
		if !ok || next.After(end) {
			w.advance(end.Sub(w.fake.Now()))
			if !w.step() {
				return
			}
			continue
		}
		w.advance(max(next.Sub(w.fake.Now()), time.Millisecond))
	}
	w.t.Error("the work does not end")
}

func (w *world) nextDue() (time.Time, bool) {
	var next time.Time
	for _, r := range w.store.jobs {
		if next.IsZero() || r.due.Before(next) {
			next = r.due
		}
	}
	for _, p := range w.pending {
		if next.IsZero() || p.at.Before(next) {
			next = p.at
		}
	}
	return next, !next.IsZero()
}

// pay types the password when the cashier can be opened.
func (w *world) pay(id ID) bool {
	c, err := w.service.Cashier(context.Background(), testAccount, id)
	if err != nil {
		return false
	}
	o := w.order(id)
	if c.MixTradeNo == "" {
		if w.wechat.mixed.orders[o.Payment().OutTradeNo] != nil {
			w.t.Error("the cash of a mixed order is shown alone")
		}
		return w.wechat.pay(o.Payment().OutTradeNo)
	}
	m := o.MixedOrder()
	if c.MixTradeNo != m.MixTradeNo || (c.Package != "") != m.HasCash() {
		w.t.Errorf("cashier %+v of %+v", c, m)
	}
	return w.wechat.payMixed(m.OutTradeNo)
}

func (w *world) mustPay(id ID) {
	w.t.Helper()
	if !w.pay(id) {
		w.t.Fatalf("the patient cannot pay: order is %s", w.order(id).State)
	}
}

// notify lets WeChat's notice about a cash order arrive.
func (w *world) notify(envelope, number string) {
	_, err := w.store.Put(context.Background(), job.Notice{Source: "wechatpay/" + hospitalID, ID: envelope, Kind: "TRANSACTION.SUCCESS", Number: number,
		ReceivedAt: w.fake.Now()})
	if err != nil {
		w.t.Error(err)
	}
}

// wantState fails unless the order stands there, for that cause ("" for any).
func (w *world) wantState(id ID, state State, cause Cause) *Order {
	w.t.Helper()
	o := w.order(id)
	if o.State != state || (cause != "" && o.Cause != cause) {
		w.t.Errorf("order is %s (%s), want %s (%s)\n%s", o.State, o.Cause, state, cause, strings.Join(w.log, "\n"))
	}
	return o
}

// rejected is a refusal with its kind and words, for tables.
func rejected(msg string) error { return fault.New(fault.Rejected, "REJECTED", msg) }
