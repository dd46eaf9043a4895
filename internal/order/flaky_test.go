package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
)

var errDown = errors.New("the database is down")

// flaky is the store as the service sees it: one call, the world's failAt-th, fails and does nothing.
type flaky struct {
	*memory
}

func (w *world) fail(op string) error {
	if w.failures = append(w.failures, op); len(w.failures) == w.failAt {
		w.failed = op
		w.logf("%s fails", op)
		return fmt.Errorf("%s: %w", op, errDown)
	}
	return nil
}

func (f flaky) Create(ctx context.Context, o *Order, j job.New) (job.Claim, error) {
	if err := f.w.fail("create"); err != nil {
		return job.Claim{}, err
	}
	return f.memory.Create(ctx, o, j)
}

func (f flaky) Load(ctx context.Context, id ID) (*Order, error) {
	if err := f.w.fail("load"); err != nil {
		return nil, err
	}
	return f.memory.Load(ctx, id)
}

func (f flaky) LoadForWork(ctx context.Context, id ID) (*Order, job.Job, bool, error) {
	if err := f.w.fail("load for work"); err != nil {
		return nil, job.Job{}, false, err
	}
	return f.memory.LoadForWork(ctx, id)
}

func (f flaky) Save(ctx context.Context, o *Order, claim *job.Claim, next job.Next) error {
	if err := f.w.fail("save"); err != nil {
		return err
	}
	return f.memory.Save(ctx, o, claim, next)
}

func (f flaky) Revive(ctx context.Context, id ID, at time.Time) error {
	if err := f.w.fail("revive"); err != nil {
		return err
	}
	return f.memory.Revive(ctx, id, at)
}

func (f flaky) ByNumber(ctx context.Context, institution, outTradeNo string) (ID, error) {
	if err := f.w.fail("by number"); err != nil {
		return 0, err
	}
	return f.memory.ByNumber(ctx, institution, outTradeNo)
}

func (f flaky) LiveOf(ctx context.Context, account patient.AccountID) (ID, error) {
	if err := f.w.fail("live of"); err != nil {
		return 0, err
	}
	return f.memory.LiveOf(ctx, account)
}

func (f flaky) History(ctx context.Context, id ID) ([]Event, error) {
	if err := f.w.fail("history"); err != nil {
		return nil, err
	}
	return f.memory.History(ctx, id)
}

func (f flaky) VersionOf(ctx context.Context, id ID) (int64, error) {
	if err := f.w.fail("version of"); err != nil {
		return 0, err
	}
	return f.memory.VersionOf(ctx, id)
}

func (f flaky) OpenCase(ctx context.Context, id ID) (Case, error) {
	if err := f.w.fail("open case"); err != nil {
		return Case{}, err
	}
	return f.memory.OpenCase(ctx, id)
}

func (f flaky) Due(ctx context.Context, kinds, except []string, by time.Time, limit int) ([]job.Job, error) {
	if err := f.w.fail("due"); err != nil {
		return nil, err
	}
	return f.memory.Due(ctx, kinds, except, by, limit)
}

func (f flaky) Take(ctx context.Context, j job.Job, owner string, now, until time.Time) (job.Claim, error) {
	if err := f.w.fail("take"); err != nil {
		return job.Claim{}, err
	}
	return f.memory.Take(ctx, j, owner, now, until)
}

func (f flaky) Find(ctx context.Context, kind, ref string) (job.Job, bool, error) {
	if err := f.w.fail("find"); err != nil {
		return job.Job{}, false, err
	}
	return f.memory.Find(ctx, kind, ref)
}

func (f flaky) Give(ctx context.Context, c job.Claim, n job.Next) error {
	if err := f.w.fail("give"); err != nil {
		return err
	}
	return f.memory.Give(ctx, c, n)
}

func (f flaky) Wake(ctx context.Context, kind, ref string, now time.Time) error {
	if err := f.w.fail("wake"); err != nil {
		return err
	}
	return f.memory.Wake(ctx, kind, ref, now)
}

func (f flaky) Unread(ctx context.Context, except []string, limit int) ([]job.Stored, error) {
	if err := f.w.fail("unread"); err != nil {
		return nil, err
	}
	return f.memory.Unread(ctx, except, limit)
}

func (f flaky) Mark(ctx context.Context, id int64, at time.Time, refusal string) error {
	if err := f.w.fail("mark"); err != nil {
		return err
	}
	return f.memory.Mark(ctx, id, at, refusal)
}

// heard fails the test unless whoever asked was told that the database was down, if it was.
func (w *world) heard(what string, err error) {
	w.t.Helper()
	if w.failed != "" && !errors.Is(err, errDown) {
		w.t.Errorf("%s: %s failed, and the answer is %v\n%v", what, w.failed, err, w.log)
	}
	w.failed = ""
}

// insist asks until the database is up again and any worker that was in the way has gone; what it gives up with is a failure.
func (w *world) insist(what string, ask func(context.Context) error, fine ...error) {
	w.t.Helper()
	for range 5 {
		err := ask(w.t.Context())
		w.heard(what, err)
		if err == nil || slices.ContainsFunc(fine, func(f error) bool { return errors.Is(err, f) }) {
			return
		}
		w.settle(3 * time.Minute) // until the lease of the one that failed is over
		if w.t.Failed() {
			return
		}
	}
	w.t.Errorf("%s: does not come to an end", what)
}

// flakyPlays are days with a database that fails once. Each comes to the end that it has with one that does not.
var flakyPlays = []struct {
	name string
	play func(w *world) ID
	end  State
}{
	{"a payment, watched and with notices", func(w *world) ID {
		id := flakyQuote(w)
		w.insist("confirm", func(ctx context.Context) error {
			_, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: id})
			return err
		}, ErrConfirmed, ErrState)
		w.settle(5 * time.Second)
		w.insist("cashier", func(ctx context.Context) error { _, err := w.service.Cashier(ctx, testAccount, id); return err })
		w.wechat.pay(w.order(id).Payment().OutTradeNo)
		w.insist("wait", func(ctx context.Context) error {
			_, err := w.service.Wait(ctx, testAccount, id, w.order(id).Version, time.Second)
			return err
		})
		w.notify("e1", w.order(id).Payment().OutTradeNo)
		w.settle(time.Hour)
		w.insist("history", func(ctx context.Context) error { _, err := w.service.History(ctx, testAccount, id); return err })
		return id
	}, Completed},
	{"given up, and a notice afterwards", func(w *world) ID {
		id := flakyQuote(w)
		w.insist("live", func(ctx context.Context) error { _, err := w.service.Live(ctx, testAccount); return err })
		w.insist("cancel", func(ctx context.Context) error { _, err := w.service.Cancel(ctx, testAccount, id); return err }, ErrState)
		w.insist("cancel once more", func(ctx context.Context) error { _, err := w.service.Cancel(ctx, testAccount, id); return err }, ErrState)
		w.settle(time.Hour)
		w.notify("e1", id.No())
		w.settle(time.Hour)
		return id
	}, Closed},
	{"cancelled while it is being closed", func(w *world) ID {
		id := flakyQuote(w)
		w.insist("confirm", func(ctx context.Context) error {
			_, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: id})
			return err
		}, ErrConfirmed, ErrState)
		w.settle(5 * time.Second)
		w.once("close", w.calls["close"]+1, loseBefore, loseBefore)
		for range 2 {
			w.insist("cancel", func(ctx context.Context) error { _, err := w.service.Cancel(ctx, testAccount, id); return err }, ErrState)
		}
		w.settle(time.Hour)
		return id
	}, Closed},
	{"a case, looked at and voted on", func(w *world) ID {
		w.his.wrong = 1
		w.once("post", 1, loseAfter)
		id := flakyQuote(w)
		w.insist("confirm", func(ctx context.Context) error {
			_, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: id})
			return err
		}, ErrConfirmed, ErrState)
		w.settle(5 * time.Second)
		w.wechat.pay(w.order(id).Payment().OutTradeNo)
		w.settle(time.Hour)
		w.his.wrong = 0
		w.insist("evidence", func(ctx context.Context) error {
			o, history, c, err := w.service.Evidence(ctx, id)
			if err == nil && (o.State != InReview || len(history) == 0 || c.Order != id || c.Cause != HISMismatch) {
				w.t.Errorf("Evidence = %s, %d events, %+v", o.State, len(history), c)
			}
			return err
		})
		for _, person := range []string{"staff:1", "staff:2"} {
			w.insist("vote", func(ctx context.Context) error {
				_, _, err := w.service.Vote(ctx, person, id, Verdict{Outcome: ToPost}, "核实")
				return err
			}, ErrVoted)
		}
		w.settle(time.Hour)
		return id
	}, Completed},
	{"refunds, asked for by the patient and the window", func(w *world) ID {
		bigBill(w)
		id := flakyQuote(w)
		w.insist("confirm", func(ctx context.Context) error {
			_, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: id})
			return err
		}, ErrConfirmed, ErrState)
		w.settle(5 * time.Second)
		w.wechat.pay(w.order(id).Payment().OutTradeNo)
		w.settle(time.Hour)
		w.insist("refund", func(ctx context.Context) error {
			_, _, err := w.service.AskRefund(ctx, RefundAsk{By: refund.ByPatient, Actor: "account:7", Account: testAccount, Order: id, Key: "k", Wants: []refund.Want{item(diapers)}})
			return err
		})
		w.settle(time.Hour)
		w.asks("n1", refund.AskedByHIS{HISNo: "T1", OrderNo: id.No(), Whole: true, Total: bigTotal - 2000})
		w.settle(time.Hour)
		if o := w.order(id); len(o.Refunds) != 2 || o.Refunds[0].State != refund.Done || o.Refunds[1].State != refund.Done {
			w.t.Errorf("%d refunds\n%v", len(o.Refunds), w.log)
		}
		return id
	}, Completed},
	{"one password, with a new authorisation", func(w *world) ID {
		togetherHere(w)
		id := flakyQuote(w)
		w.people.authorise(w.clock.Now().Add(24 * time.Hour))
		w.insist("renew", func(ctx context.Context) error { _, err := w.service.Renew(ctx, testAccount, id); return err }, ErrAuthUsed)
		w.settle(5 * time.Second)
		w.insist("confirm", func(ctx context.Context) error {
			_, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: id})
			return err
		}, ErrConfirmed, ErrState)
		w.settle(5 * time.Second)
		if m := w.order(id).MixedOrder(); m == nil || m.State != payment.MixedOpen || !w.wechat.payMixed(m.OutTradeNo) {
			w.t.Errorf("mixed order %+v\n%v", m, w.log)
		} else if in := w.wechat.built[m.OutTradeNo]; in.OpenID.IsZero() {
			w.t.Error("the mixed order names no payer")
		}
		w.settle(time.Hour)
		return id
	}, Completed},
}

func flakyQuote(w *world) (id ID) {
	w.insist("quote", func(context.Context) error {
		o, err := w.quote(true, testBill)
		if err == nil {
			id = o.ID
		}
		return err
	}, ErrBillLive)
	if id == 0 {
		var err error
		if id, err = w.store.LiveOf(w.t.Context(), testAccount); err != nil {
			w.t.Fatal(err)
		}
	}
	w.settle(5 * time.Second)
	return id
}

// TestRestWhenPeopleFail: that the authorisations cannot be read does not mean that there is none: the patient is asked for nothing.
func TestRestWhenPeopleFail(t *testing.T) {
	t.Parallel()
	play := func(failAt int) *world {
		w := newWorld(t, 1)
		id := booked(w)
		w.failures, w.failAt = nil, failAt
		_, _ = w.give(id, item(exam))
		if f := w.order(id).Refund(); f != nil && f.WantsAuth() {
			t.Errorf("the patient is asked for an authorisation\n%s", strings.Join(w.log, "\n"))
		}
		return w
	}
	at := slices.Index(play(0).failures, "newest auth")
	if at < 0 {
		t.Fatal("nobody asks for the authorisations")
	}
	if log := strings.Join(play(at+1).log, "\n"); !strings.Contains(log, "newest auth fails") {
		t.Errorf("they did not fail\n%s", log)
	}
}

// TestDatabaseFailsOnce: whichever call of the database fails, whoever asked is told, and everything goes on afterwards.
func TestDatabaseFailsOnce(t *testing.T) {
	t.Parallel()
	for _, p := range flakyPlays {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			sound := newWorld(t, 1)
			sound.wantState(p.play(sound), p.end, "")
			for at := 1; at <= len(sound.failures) && !t.Failed(); at++ {
				w := newWorld(t, 1)
				w.failAt = at
				id := p.play(w)
				w.settle(tenDays)
				if t.Failed() {
					return
				}
				w.wantState(id, p.end, "")
				w.auditEnd()
			}
		})
	}
}

// flakyPeople fails likewise. Who asks is not told where the order can wait.
type flakyPeople struct {
	*people
	w *world
}

func (w *world) failPeople(op string) error {
	if w.failures = append(w.failures, op); len(w.failures) == w.failAt {
		w.logf("%s fails", op)
		return fmt.Errorf("%s: %w", op, errDown)
	}
	return nil
}

func (f flakyPeople) Account(ctx context.Context, id patient.AccountID) (patient.Account, error) {
	if err := f.w.failPeople("account"); err != nil {
		return patient.Account{}, err
	}
	return f.people.Account(ctx, id)
}

func (f flakyPeople) Patient(ctx context.Context, account patient.AccountID, id patient.ID) (patient.Patient, error) {
	if err := f.w.failPeople("patient"); err != nil {
		return patient.Patient{}, err
	}
	return f.people.Patient(ctx, account, id)
}

func (f flakyPeople) Consents(ctx context.Context, account patient.AccountID) ([]patient.Consent, error) {
	if err := f.w.failPeople("consents"); err != nil {
		return nil, err
	}
	return f.people.Consents(ctx, account)
}

func (f flakyPeople) BindingOf(ctx context.Context, id patient.ID) (patient.Binding, bool, error) {
	if err := f.w.failPeople("binding"); err != nil {
		return patient.Binding{}, false, err
	}
	return f.people.BindingOf(ctx, id)
}

func (f flakyPeople) PayAuth(ctx context.Context, of patient.ID, id int64) (patient.PayAuth, error) {
	if err := f.w.failPeople("pay auth"); err != nil {
		return patient.PayAuth{}, err
	}
	return f.people.PayAuth(ctx, of, id)
}

func (f flakyPeople) NewestAuth(ctx context.Context, id patient.ID) (patient.PayAuth, error) {
	if err := f.w.failPeople("newest auth"); err != nil {
		return patient.PayAuth{}, err
	}
	return f.people.NewestAuth(ctx, id)
}
