package order

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

func TestRefusedByTheInsurer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.once("presettle", 1, refuse)
	id := w.mustQuote(true, testBill)
	o := w.wantState(id, Quoted, "")
	if o.Refusal != errRefused.Msg || o.Split != split.AllCash(10000) || o.Settlement().State != settlement.Declined {
		t.Errorf("refusal %q, split %+v", o.Refusal, o.Split)
	}
	w.mustConfirm(id)
	w.mustPay(id)
	w.settle(time.Minute)
	o = w.wantState(id, Completed, "")
	if f := w.factsOf(o); f.charged != 10000 || f.inForce != 0 {
		t.Errorf("facts = %+v", f)
	}
	if p := w.his.postings[id.No()]; p.SetlID != "" {
		t.Errorf("the HIS was told of settlement %s", p.SetlID)
	}
	w.auditEnd()
	w.tell(t, id)
}

func TestRefusalWithoutWords(t *testing.T) {
	t.Parallel()
	if got := wordsOf(rejected("")); got == "" {
		t.Error("a refusal without words leaves none: the quote would ask for ever")
	}
	if got := wordsOf(errOdd); got == "" {
		t.Error("no words for an error without a kind")
	}
}

func TestQuoteLosesAnswers(t *testing.T) {
	t.Parallel()
	for _, m := range []mishap{loseBefore, loseAfter, oddAfter, unsent, slow, lateEffect, amounts} {
		story{string(m), with("presettle", paid, m), Completed, ""}.run(t)
		story{string(m) + ", again and again", func(w *world) ID {
			w.mishaps = always("presettle", m)
			return w.mustQuote(true, testBill)
		}, Closed, map[bool]Cause{false: InsurerSilent, true: QuoteOld}[m == slow]}.run(t)
	}
	for _, s := range []story{
		{"cancelled while quoting", func(w *world) ID {
			w.once("presettle", 1, loseAfter, loseAfter)
			id := w.mustQuote(true, testBill)
			w.wantState(id, Quoting, "")
			mustCancel(w, id, Closed)
			return id
		}, Closed, ByPatient},
		{"the patient is gone from the account while quoting", func(w *world) ID {
			w.once("presettle", 1, loseAfter)
			id := w.mustQuote(true, testBill)
			w.people.down = errOdd
			return id
		}, Closed, InsurerSilent},
		{"the authorisation is gone while quoting", func(w *world) ID {
			w.once("presettle", 1, loseAfter)
			id := w.mustQuote(true, testBill)
			w.people.auth = nil
			return id
		}, Closed, InsurerSilent},
	} {
		s.run(t)
	}
}

// halfway is an insurer that registers the visit, and then loses its answer to the upload.
type halfway struct{ *insurer }

func (h halfway) Presettle(ctx context.Context, c settlement.Claim) (settlement.Presettlement, error) {
	if h.w.calls["presettle"] > 0 {
		return h.insurer.Presettle(ctx, c)
	}
	h.w.calls["presettle"]++
	c.Visit.MdtrtID = "M7"
	return settlement.Presettlement{Visit: c.Visit}, errLost
}

// TestVisitIsLearnt: how far a lost presettlement came is kept, and the next attempt goes on in the same visit, whose rows it withdraws first.
func TestVisitIsLearnt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.party.Insurer = halfway{w.insurer}
	w.boot()
	id := w.mustQuote(true, testBill)
	w.settle(time.Minute)
	o := w.wantState(id, Quoted, "")
	if n := len(o.Settlements); n != 2 || o.Settlements[0].Visit.MdtrtID != "M7" || o.Settlements[1].Visit.MdtrtID != "M7" {
		t.Errorf("%d attempts, the last in visit %q, want two in M7", n, o.Settlement().Visit.MdtrtID)
	}
}

// TestCashBillChanged: a bill that changes before it is paid in cash is quoted anew; there is no settlement to give up.
func TestCashBillChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.mustQuote(false, testBill)
	w.addBill(testBill, 6000, 500)
	w.mustConfirm(id)
	if o := w.wantState(id, Quoted, ""); !o.ConfirmedAt.IsZero() || len(o.Settlements) != 0 || o.Split != split.AllCash(w.his.bills[testBill].Total) {
		t.Errorf("confirmed at %v, %d settlements, %+v", o.ConfirmedAt, len(o.Settlements), o.Split)
	}
}

// TestOwnVisit: without a visit of the insurer's, the visit has a number of ours.
func TestOwnVisit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.mustQuote(true, testBill)
	if v := w.order(id).Settlement().Visit; v.VisitNo == "" || v.VisitNo == w.his.bills[testBill].Visit.No {
		t.Errorf("visit %+v", v)
	}
}

func TestBillsAtConfirm(t *testing.T) {
	t.Parallel()
	at := func(change func(w *world)) func(*world) ID {
		return func(w *world) ID {
			id := w.mustQuote(true, testBill)
			change(w)
			w.mustConfirm(id)
			return id
		}
	}
	for _, s := range []story{
		{"paid at the window", at(func(w *world) { w.his.payAtWindow(testBill) }), Closed, PaidElsewhere},
		{"void", at(func(w *world) { w.his.bills[testBill].State = bill.Void }), Closed, BillVoid},
		{"locked by the window", at(func(w *world) {
			w.his.locks["window"] = &hisLock{bills: []string{testBill}, until: w.fake.Now().Add(time.Hour)}
		}), Closed, BillBusy},
		{"maintenance", at(func(w *world) { w.his.refusal = bill.ErrMaintenance }), Closed, HISMaintenance},
		{"unknown to the HIS", at(func(w *world) { w.his.refusal = bill.ErrNotFound }), Closed, BillVoid},
		{"unreadable for good", at(func(w *world) { w.his.bills[testBill].Lines[0].Total-- }), Closed, BillUnreadable},
		{"an unknown state", at(func(w *world) { w.his.bills[testBill].State = "frozen" }), Closed, BillUnreadable},
		{"any other no of the hospital", at(func(w *world) { w.his.refusal = fault.New(fault.Conflict, "HIS_NO", "不在缴费时段") }), Closed, BillBusy},
		{"a no that passes", at(func(w *world) { w.his.refusal = bill.ErrUnreadable }), Closed, NotPaid},
		{"changed, says the hospital, and nothing is", at(func(w *world) { w.his.refusal = bill.ErrChanged }), Closed, NotPaid},
		{"no answer for good", at(func(w *world) { w.mishaps = always("lock", loseBefore) }), Closed, HISSilent},
		{"the lock's answer is lost once", with("lock", paid, loseAfter), Completed, ""},
		{"the lock was never sent", with("lock", paid, unsent), Completed, ""},
		{"the second look is lost", with("detail", paid, loseBefore), Completed, ""},
		{"cancelled while the lock is asked", func(w *world) ID {
			w.once("lock", 1, loseAfter)
			id := w.mustQuote(true, testBill)
			w.mustConfirm(id)
			mustCancel(w, id, Closed)
			return id
		}, Closed, ByPatient},
	} {
		if s.name == "the second look is lost" {
			s.play = func(w *world) ID { w.once("detail", 2, loseBefore); return paid(w) }
		}
		s.run(t)
	}
}

func TestBillChangedAtConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.mustQuote(true, testBill)
	w.addBill(testBill, 6000, 0)
	o := w.mustConfirm(id)
	if o.State != Quoted || !o.ConfirmedAt.IsZero() || o.Total != 6000 || o.Split.PooledFund != 3000 {
		t.Fatalf("after Confirm: %s, total %s, %+v", o.State, o.Total, o.Split)
	}
	if len(o.Settlements) != 2 || o.Settlements[0].State != settlement.Dropped || o.Settlements[1].Visit.MdtrtID != o.Settlements[0].Visit.MdtrtID {
		t.Errorf("the second presettlement is not of the same visit: %+v", o.Settlements)
	}
	w.mustConfirm(id)
	w.mustPay(id)
	w.settle(time.Minute)
	w.wantState(id, Completed, "")
	w.auditEnd()
	w.tell(t, id)
}

// TestHospitalComparesTotals: a hospital that finds the change itself refuses the lock; the patient is asked anew.
func TestHospitalComparesTotals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.mustQuote(true, testBill)
	w.addBill(testBill, 6000, 0)
	w.his.refusal = bill.ErrChanged
	if o := w.mustConfirm(id); o.State != Quoted || !o.ConfirmedAt.IsZero() || o.Total != 6000 {
		t.Fatalf("after Confirm: %s, total %s", o.State, o.Total)
	}
	w.mustConfirm(id)
	w.mustPay(id)
	w.settle(time.Minute)
	w.wantState(id, Completed, "")
	w.auditEnd()
	w.tell(t, id)
}

// TestConfirmOfAnotherVersion charges nothing that the patient has not seen.
func TestConfirmOfAnotherVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.mustQuote(true, testBill)
	o := w.wantState(id, Quoted, "")
	if _, err := w.service.Confirm(t.Context(), Confirmation{Account: testAccount, Order: id, Seen: o.Version + 1}); !errors.Is(err, ErrChanged) {
		t.Errorf("Confirm of another version: %v, want ErrChanged", err)
	}
	if o, err := w.service.Confirm(t.Context(), Confirmation{Account: testAccount, Order: id, Seen: o.Version}); err != nil || o.State != Paying {
		t.Errorf("Confirm of this version: %v", err)
	}
}

func TestBillChangedThenCancelledWhileQuoting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.once("presettle", 2, loseAfter)
	id := w.mustQuote(true, testBill)
	w.addBill(testBill, 6000, 0)
	w.mustConfirm(id)
	w.wantState(id, Quoting, "")
	mustCancel(w, id, Closed)
	if len(w.his.locks) != 0 {
		t.Error("the lock was not given back")
	}
	w.auditEnd()
	w.tell(t, id)
}

// TestConsentWithdrawnWhileQuoting: the insurer is not asked again.
func TestConsentWithdrawnWhileQuoting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.once("presettle", 1, loseBefore)
	id := w.mustQuote(true, testBill)
	w.wantState(id, Quoting, "")
	w.people.consents = nil
	w.settle(time.Minute)
	w.wantState(id, Closed, ByPatient)
	if w.calls["presettle"] > 1 {
		t.Errorf("the insurer was asked %d times", w.calls["presettle"])
	}
}

// TestKilledWhileLocking: whoever takes over does not wait for the time at which the quote would have ended.
func TestKilledWhileLocking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := w.mustQuote(true, testBill)
	w.killAt = len(w.points) + 2 // the intent of the lock is stored, and the process is gone
	if err := w.try(func() error {
		_, err := w.service.Confirm(t.Context(), Confirmation{Account: testAccount, Order: id})
		return err
	}); !errors.Is(err, errKilled) {
		t.Fatalf("Confirm: %v, want a kill", err)
	}
	w.once("lock", w.calls["lock"]+1, loseBefore)
	w.advance(2 * time.Minute) // the lease is over
	w.settle(time.Minute)
	w.advance(10 * time.Second)
	w.settle(time.Minute)
	w.wantState(id, Paying, "")
}

func TestConfirmedQuoteGrewOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.addBill(testBill, 8000, 0)
	w.insurer.ratio = 100
	id := w.mustQuote(true, testBill)
	w.killAt = len(w.points) + 2 // the intent of the lock is stored, and the process is gone
	if err := w.try(func() error {
		_, err := w.service.Confirm(t.Context(), Confirmation{Account: testAccount, Order: id})
		return err
	}); !errors.Is(err, errKilled) {
		t.Fatalf("Confirm: %v, want a kill", err)
	}
	w.advance(3 * time.Hour)
	w.settle(time.Minute)
	if o := w.wantState(id, Quoted, ""); !o.ConfirmedAt.IsZero() || w.calls["settle"] != 0 {
		t.Errorf("an old consent was used: confirmed %v, settled %d times", o.ConfirmedAt, w.calls["settle"])
	}
	w.mustConfirm(id)
	w.settle(time.Minute)
	w.wantState(id, Completed, "")
	w.auditEnd()
	w.tell(t, id)
}

func TestConfirmRefuses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, 1)
	id := w.mustQuote(true, testBill)
	if _, err := w.service.Confirm(ctx, Confirmation{Account: testAccount + 1, Order: id}); !errors.Is(err, ErrNotFound) {
		t.Errorf("another account: %v, want ErrNotFound", err)
	}
	if _, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: id + 1, Seen: 0}); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown order: %v, want ErrNotFound", err)
	}
	w.people.auth.UsableUntil = start.Add(2 * time.Minute)
	short := newWorld(t, 2)
	short.people.auth.UsableUntil = start.Add(10 * time.Minute)
	shortID := short.mustQuote(true, testBill)
	short.advance(8 * time.Minute)
	if _, err := short.service.Confirm(ctx, Confirmation{Account: testAccount, Order: shortID}); !errors.Is(err, patient.ErrAuthExpired) {
		t.Errorf("less than a minute of the authorisation left: %v, want ErrAuthExpired", err)
	}
	w.mustConfirm(id)
	if _, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: id}); !errors.Is(err, ErrConfirmed) {
		t.Errorf("second confirm: %v, want ErrConfirmed", err)
	}
	w.mustPay(id)
	w.settle(time.Minute)
	w.wantState(id, Completed, "")
	if _, err := w.service.Confirm(ctx, Confirmation{Account: testAccount, Order: id}); !errors.Is(err, ErrState) {
		t.Errorf("confirm of a completed order: %v, want ErrState", err)
	}
	old := newWorld(t, 3)
	oldID := old.mustQuote(true, testBill)
	old.advance(15 * time.Minute)
	if _, err := old.service.Confirm(ctx, Confirmation{Account: testAccount, Order: oldID}); !errors.Is(err, ErrExpired) {
		t.Errorf("old quote: %v, want ErrExpired", err)
	}
	quoting := newWorld(t, 4)
	quoting.once("presettle", 1, loseAfter)
	quotingID := quoting.mustQuote(true, testBill)
	if _, err := quoting.service.Confirm(ctx, Confirmation{Account: testAccount, Order: quotingID}); !errors.Is(err, ErrState) {
		t.Errorf("confirm while quoting: %v, want ErrState", err)
	}
	quoting.settle(time.Minute)
	quoting.wantState(quotingID, Quoted, "")
}

func TestAuthorisationTooOldAtTheCashier(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.people.auth.UsableUntil = start.Add(5 * time.Minute)
	w.once("lock", 1, slow, slow)
	id := w.mustQuote(true, testBill)
	w.advance(100 * time.Second)
	w.mustConfirm(id) // the HIS takes 50 s: less than a minute is left
	w.settle(tenDays)
	w.wantState(id, Closed, AuthTooOld)
	w.auditEnd()
	w.tell(t, id)
}
