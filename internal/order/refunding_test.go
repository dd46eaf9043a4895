package order

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// Items of the big bill: two boxes of a drug and an examination that the insurer sees, and one thing that it does not.
const (
	drug     = "1"
	exam     = "2"
	diapers  = "3"
	bigTotal = money.Fen(12000)
)

// bigBill gives the patient a bill of which parts can go back.
func bigBill(w *world) {
	line := func(no string, quantity, price int64, uninsured bool) bill.Line {
		return bill.Line{No: no, Name: "项目" + no, CatalogueCode: "C" + no, HospitalCode: "H" + no, Quantity: decimal.New(quantity, 0), Price: yuan(price),
			Total: money.Fen(quantity * price), OccurredAt: start, Uninsured: uninsured}
	}
	w.his.bills[testBill] = &bill.Bill{No: testBill, HISPatient: "HP1", State: bill.Unpaid, Total: bigTotal, Created: start,
		Visit: bill.Visit{No: "V1", Begun: start, MedType: "11"},
		Lines: []bill.Line{line(drug, 2, 2000, false), line(exam, 1, 6000, false), line(diapers, 1, 2000, true)}}
}

// booked plays an ordinary order of the big bill to its end.
func booked(w *world) ID {
	bigBill(w)
	id := paid(w)
	w.settle(time.Minute)
	w.wantState(id, Completed, "")
	return id
}

// give asks for a refund; of everything without wants.
func (w *world) give(id ID, wants ...refund.Want) (*refund.Refund, error) {
	_, f, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByPatient, Actor: "account:7", Account: testAccount, Order: id,
		Key: fmt.Sprintf("key%d", len(w.order(id).Refunds)), Whole: len(wants) == 0, Wants: wants})
	return f, err
}

func (w *world) mustGive(id ID, wants ...refund.Want) *refund.Refund {
	w.t.Helper()
	f, err := w.give(id, wants...)
	if err != nil {
		w.t.Fatalf("AskRefund: %v", err)
	}
	return f
}

func item(no string) refund.Want { return refund.Want{BillNo: testBill, LineNo: no, All: true} }

func pieces(no string, quantity string) refund.Want {
	return refund.Want{BillNo: testBill, LineNo: no, Quantity: decimal.RequireFromString(quantity)}
}

// refundStory is one way that a refund goes, on an order that is completed.
type refundStory struct {
	name  string
	joint bool
	give  func(w *world, id ID)
	state refund.State // of the last refund
	cause Cause
	rest  split.Split // what stands of the order at the end
}

func (s refundStory) run(t *testing.T) {
	t.Run(s.name, func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		if s.joint {
			togetherHere(w)
		}
		id := booked(w)
		s.give(w, id)
		w.settle(tenDays)
		if t.Failed() {
			return
		}
		o := w.wantState(id, Completed, "")
		f := o.Refunds[len(o.Refunds)-1]
		if f.State != s.state || f.Cause != string(s.cause) || o.Standing() != s.rest {
			t.Errorf("refund is %s (%s), stands %+v; want %s (%s), %+v\n%s", f.State, f.Cause, o.Standing(), s.state, s.cause, s.rest, strings.Join(w.log, "\n"))
		}
		w.auditEnd()
		w.tell(t, id)
	})
}

// What the insurer of these tests makes of the big bill: half from the fund, ten yuan from the account.
var bigSplit = split.Split{PooledFund: 5000, Account: 1000, Cash: 4000, Uninsured: 2000}

func TestRefunds(t *testing.T) {
	t.Parallel()
	whole := func(w *world, id ID) { w.mustGive(id) }
	lost := func(op string, list ...mishap) func(w *world, id ID) {
		return func(w *world, id ID) {
			w.once(op, w.calls[op]+1, list...)
			w.mustGive(id)
		}
	}
	part := func(wants ...refund.Want) func(w *world, id ID) {
		return func(w *world, id ID) { w.mustGive(id, wants...) }
	}
	partLost := func(op string, list ...mishap) func(w *world, id ID) {
		return func(w *world, id ID) {
			w.once(op, w.calls[op]+1, list...)
			w.mustGive(id, item(exam))
		}
	}
	nothing := split.Split{}
	withoutExam := split.Split{PooledFund: 2000, Account: 1000, Cash: 1000, Uninsured: 2000}
	for _, s := range []refundStory{
		{"the whole", false, whole, refund.Done, "", nothing},
		{"the whole, one password", true, whole, refund.Done, "", nothing},
		{"the whole, one password, cash first", true, func(w *world, id ID) { w.party.CashFirst = true; w.boot(); w.mustGive(id) }, refund.Done, "", nothing},
		{"what the insurer never saw", false, part(item(diapers)), refund.Done, "", split.Split{PooledFund: 5000, Account: 1000, Cash: 4000}},
		{"what the insurer never saw, one password", true, part(item(diapers)), refund.Done, "", split.Split{PooledFund: 5000, Account: 1000, Cash: 4000}},
		{"an insured item", false, part(item(exam)), refund.Done, "", withoutExam},
		{"one of two boxes", false, part(pieces(drug, "1")), refund.Done, "", split.Split{PooledFund: 4000, Account: 1000, Cash: 3000, Uninsured: 2000}},
		{"all that the insurer saw", false, part(item(drug), item(exam)), refund.Done, "", split.Split{Uninsured: 2000}},
		{"a bill is the whole", false, part(refund.Want{BillNo: testBill, All: true}), refund.Done, "", nothing},
		{"one box, the other, and the rest", false, func(w *world, id ID) {
			w.mustGive(id, pieces(drug, "1"))
			w.settle(time.Hour)
			w.mustGive(id, pieces(drug, "1"))
			w.settle(time.Hour)
			w.mustGive(id)
		}, refund.Done, "", nothing},
		{"two at once wait for each other", false, func(w *world, id ID) {
			w.wechat.cards = []payment.RefundState{payment.RefundProcessing}
			w.mustGive(id, item(diapers))
			w.mustGive(id, item(exam))
		}, refund.Done, "", split.Split{PooledFund: 2000, Account: 1000, Cash: 1000}},
		{"one password, an insured item: the whole, the rest billed anew", true, func(w *world, id ID) {
			if _, err := w.give(id, item(exam)); !errors.Is(err, refund.ErrWholeOnly) {
				w.t.Errorf("AskRefund: %v, want ErrWholeOnly", err)
			}
			_, f, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByStaff, Actor: "staff:3", Order: id, Key: "k", Wants: []refund.Want{item(exam)}, KeptAgain: true})
			if err != nil || !f.Whole || f.Total() != bigTotal || len(f.Kept()) != 2 {
				w.t.Errorf("AskRefund = %+v, %v", f, err)
			}
			w.settle(tenDays)
			if w.his.rebill != 1 {
				w.t.Errorf("%d bills were made anew", w.his.rebill)
			}
		}, refund.Done, "", nothing},

		{"the drug is handed out", false, func(w *world, id ID) { w.his.out = true; w.mustGive(id) }, refund.Refused, NotRefundable, bigSplit},
		{"the HIS does not answer at first", false, lost("hold", loseAfter, loseBefore, unsent), refund.Done, "", nothing},
		{"the HIS never answers", false, func(w *world, id ID) { w.mishaps = always("hold", loseBefore); w.mustGive(id) }, refund.Refused, HISSilent, bigSplit},
		{"2208 lost", false, lost("cancel", loseAfter), refund.Done, "", nothing},
		{"2208 lost before it arrived", false, lost("cancel", loseBefore), refund.Done, "", nothing},
		{"2208 refused: a later settlement stands, or it is cleared", false, lost("cancel", refuse), refund.InReview, CancelRefused, bigSplit},
		{"6203 lost", true, lost("give back", loseAfter), refund.Done, "", nothing},
		{"6203 refused", true, func(w *world, id ID) { w.mishaps = always("give back", refuse); w.mustGive(id) }, refund.InReview, CancelRefused, bigSplit},
		{"the cash refund lost", false, lost("refund", loseAfter), refund.Done, "", nothing},
		{"the cash refund lost before it arrived", false, lost("refund", loseBefore, oddAfter), refund.Done, "", nothing},
		{"a card: days later", false, func(w *world, id ID) {
			w.wechat.cards = []payment.RefundState{payment.RefundProcessing}
			w.mustGive(id)
		}, refund.Done, "", nothing},
		{"closed by WeChat: a new number", false, func(w *world, id ID) {
			w.wechat.cards = []payment.RefundState{payment.RefundClosed}
			w.mustGive(id)
		}, refund.Done, "", nothing},
		{"abnormal is not final, and a matter for people", false, func(w *world, id ID) {
			w.wechat.cards = []payment.RefundState{payment.RefundAbnormal}
			w.mustGive(id)
		}, refund.InReview, RefundStuck, bigSplit},
		{"an empty merchant account", false, func(w *world, id ID) { w.wechat.empty = 3; w.mustGive(id) }, refund.Done, "", nothing},
		{"the booking lost", false, lost("book", loseAfter), refund.Done, "", nothing},
		{"the booking refused for ever", false, func(w *world, id ID) { w.mishaps = always("book", refuse); w.mustGive(id) }, refund.InReview, DeskMismatch, bigSplit},
		{"booked, and then refused: the query tells", false, func(w *world, id ID) {
			w.his.onBook = func(*RefundStanding) {}
			w.once("book", w.calls["book"]+1, loseAfter, refuse)
			w.mustGive(id)
		}, refund.Done, "", nothing},
		{"booked with another total", false, func(w *world, id ID) {
			w.his.onBook = func(s *RefundStanding) { s.Total-- }
			w.once("book", w.calls["book"]+1, loseAfter, refuse)
			w.mustGive(id)
		}, refund.InReview, DeskMismatch, bigSplit},
		{"booked with another rest", false, func(w *world, id ID) {
			w.his.onBook = func(s *RefundStanding) { s.Rest.Cash++ }
			w.once("book", w.calls["book"]+1, loseAfter, refuse)
			w.mustGive(id)
		}, refund.InReview, DeskMismatch, bigSplit},
		{"the booking refused, and the query lost", false, func(w *world, id ID) {
			w.once("book", w.calls["book"]+1, refuse)
			w.once("refund of", w.calls["refund of"]+1, loseBefore)
			w.mustGive(id)
		}, refund.Done, "", nothing},
		{"the hold's answer is lost for good, and the drop as well", false, func(w *world, id ID) {
			w.mishaps = func(op, _ string) mishap {
				if op == "hold" || op == "drop" {
					return loseBefore
				}
				return fine
			}
			w.mustGive(id)
		}, refund.Refused, HISSilent, bigSplit},
		{"a year over while the HIS is asked", false, func(w *world, id ID) {
			w.advance(w.order(id).Payment().PaidAt.Add(refundYear).Sub(w.clock.Now()) - time.Minute)
			w.mishaps = func(op, _ string) mishap {
				if op == "hold" && w.calls[op] < 8 {
					return loseBefore
				}
				return fine
			}
			w.mustGive(id, item(diapers))
		}, refund.Refused, PaymentTooOld, bigSplit},
		{"the fiftieth number is the last", false, func(w *world, id ID) {
			w.mustGive(id, item(diapers))
			w.settle(time.Hour)
			o := w.order(id)
			o.Refunds[0].Cash.Numbers = 49
			w.store.legs[id] = legs{settlements: o.Settlements, payments: o.Payments, refunds: o.Refunds}
			w.wechat.cards = []payment.RefundState{payment.RefundClosed}
			w.mustGive(id)
		}, refund.InReview, TooManyRefunds, split.Split{PooledFund: 5000, Account: 1000, Cash: 4000}},
		{"settled anew with other amounts: the patient would owe", false, func(w *world, id ID) {
			w.mishaps = func(op, _ string) mishap {
				if op == "settle" {
					w.insurer.ratio, w.insurer.balance = 0, 0
				}
				return fine
			}
			w.mustGive(id, pieces(drug, "1"))
		}, refund.InReview, WouldOwe, bigSplit},
		{"the window has handed back a part of what was insured", false, func(w *world, id ID) {
			_, _, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByHIS, Actor: "his:h1", Order: id, Key: "n", Wants: []refund.Want{item(exam)},
				Note: true, HISNo: "T9"})
			if err != nil {
				w.t.Fatal(err)
			}
			w.outside = true
		}, refund.InReview, NoteOfInsured, bigSplit},
		{"the window has handed back what the insurer never saw", false, func(w *world, id ID) {
			_, _, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByHIS, Actor: "his:h1", Order: id, Key: "n", Wants: []refund.Want{item(diapers)},
				Note: true, HISNo: "T9"})
			if err != nil {
				w.t.Fatal(err)
			}
			w.outside = true
		}, refund.Done, "", split.Split{PooledFund: 5000, Account: 1000, Cash: 4000}},
		{"a part: an authorisation of just a minute serves", false, func(w *world, id ID) {
			w.people.auth.UsableUntil = w.clock.Now().Add(leastTime)
			if f := w.mustGive(id, item(exam)); f.WantsAuth() {
				w.t.Error("a minute is not enough")
			}
		}, refund.Done, "", withoutExam},
		{"a part: an authorisation of less than a minute does not", false, func(w *world, id ID) {
			w.people.auth.UsableUntil = w.clock.Now().Add(leastTime - 1)
			if f := w.mustGive(id, item(exam)); !f.WantsAuth() {
				w.t.Error("less than a minute is enough")
			}
			w.people.authorise(w.clock.Now().Add(time.Hour))
		}, refund.Done, "", withoutExam},
		{"a part: the patient cannot be read for a while", false, func(w *world, id ID) {
			w.people.down = errOdd
			w.later(w.clock.Now().Add(3*time.Minute), func() { w.people.down = nil })
			w.mustGive(id, item(exam))
		}, refund.Done, "", withoutExam},
		{"a part: the patient cannot be read after 2208", false, func(w *world, id ID) {
			w.mishaps = func(op, _ string) mishap {
				if op == "cancel" {
					w.people.down = errOdd
					w.later(w.clock.Now().Add(3*time.Minute), func() { w.people.down = nil })
				}
				return fine
			}
			w.mustGive(id, item(exam))
		}, refund.Done, "", withoutExam},
		{"a part: the patient cannot be read when 2207 is due", false, func(w *world, id ID) {
			w.mishaps = func(op, _ string) mishap {
				if op == "probe" {
					w.people.down = errOdd
					w.later(w.clock.Now().Add(3*time.Minute), func() { w.people.down = nil })
				}
				return fine
			}
			w.mustGive(id, item(exam))
		}, refund.Done, "", withoutExam},
		{"a part: the patient pays as much as before", false, func(w *world, id ID) {
			w.mishaps = func(op, _ string) mishap {
				if op == "cancel" {
					w.insurer.ratio, w.insurer.balance = 0, 0
				}
				return fine
			}
			w.mustGive(id, item(exam))
		}, refund.Done, "", split.Split{Cash: 4000, Uninsured: 2000}},
		{"a part: no authorisation is needed here", false, func(w *world, id ID) {
			w.party.NeedsAuth, w.people.auth.UsableUntil = false, w.clock.Now()
			w.boot()
			w.mustGive(id, item(exam))
		}, refund.Done, "", withoutExam},
		{"a part: the putting back is refused", false, func(w *world, id ID) {
			w.once("settle", w.calls["settle"]+1, refuse)
			w.once("reverse 2208", w.calls["reverse 2208"]+1, refuse)
			w.mustGive(id, item(exam))
		}, refund.InReview, RestUnsettled, bigSplit},
		{"a part: the putting back never answered", false, func(w *world, id ID) {
			w.mishaps = func(op, _ string) mishap {
				return map[string]mishap{"settle": refuse, "reverse 2208": loseBefore}[op]
			}
			w.mustGive(id, item(exam))
		}, refund.InReview, RestUnsettled, bigSplit},

		{"WeChat does not take the notice", true, func(w *world, id ID) { w.mishaps = always("notice", refuse); w.mustGive(id) }, refund.Done, "", nothing},

		{"a part: 2206 of the rest refused, nothing moves", false, partLost("presettle", refuse), refund.Refused, RestRefused, bigSplit},
		{"a part: 2206 of the rest lost", false, partLost("presettle", loseAfter, loseBefore), refund.Done, "", withoutExam},
		{"a part: the insurer silent", false, func(w *world, id ID) {
			w.mishaps = always("presettle", loseBefore)
			w.mustGive(id, item(exam))
		}, refund.Refused, InsurerSilent, bigSplit},
		{"a part: 2208 lost", false, partLost("cancel", loseAfter), refund.Done, "", withoutExam},
		{"a part: 2208 refused", false, partLost("cancel", refuse), refund.InReview, CancelRefused, bigSplit},
		{"a part: 2206 after 2208 lost", false, partLost("probe", loseAfter), refund.Done, "", withoutExam},
		{"a part: 2206 after 2208 refused, the former is put back", false, partLost("probe", refuse), refund.InReview, RestUnsettled, bigSplit},
		{"a part: 2207 refused, the former is put back", false, partLost("settle", refuse), refund.InReview, RestUnsettled, bigSplit},
		{"a part: 2207 lost, the former is put back", false, partLost("settle", loseAfter), refund.InReview, RestUnsettled, bigSplit},
		{"a part: the putting back lost", false, func(w *world, id ID) {
			w.once("settle", w.calls["settle"]+1, refuse)
			w.once("reverse 2208", w.calls["reverse 2208"]+1, loseAfter)
			w.mustGive(id, item(exam))
		}, refund.InReview, RestUnsettled, bigSplit},
		{"a part: the patient would owe more", false, func(w *world, id ID) {
			w.insurer.ratio, w.insurer.balance = 0, 0
			w.mustGive(id, pieces(drug, "1"))
		}, refund.InReview, WouldOwe, bigSplit},
		{"a part: the patient would owe more as long as the former stands, and does not after 2208", false, func(w *world, id ID) {
			w.insurer.ratio = 0
			w.mishaps = func(op, _ string) mishap {
				if op == "cancel" {
					w.insurer.ratio = 50
				}
				return fine
			}
			w.mustGive(id, item(exam))
		}, refund.Done, "", withoutExam},
		{"a part: the patient would owe more, and only 2206 after 2208 says so: nothing is settled", false, func(w *world, id ID) {
			settled := w.calls["settle"]
			w.mishaps = func(op, _ string) mishap {
				if op == "cancel" {
					w.insurer.ratio, w.insurer.balance = 0, 0
				}
				if op == "settle" && w.calls[op] > settled {
					w.t.Error("2207 went out")
				}
				return fine
			}
			w.mustGive(id, pieces(drug, "1"))
		}, refund.InReview, WouldOwe, bigSplit},
		{"two parts at once: the first leaves what the second gives back later", false, func(w *world, id ID) {
			w.people.auth.UsableUntil = w.clock.Now()
			w.mustGive(id, item(exam))
			w.mustGive(id, pieces(drug, "1"))
			w.people.authorise(w.clock.Now().Add(time.Hour))
		}, refund.Done, "", split.Split{PooledFund: 1000, Account: 1000, Uninsured: 2000}},
		{"a part: no authorisation in a day", false, func(w *world, id ID) {
			w.people.auth.UsableUntil = w.clock.Now()
			w.mustGive(id, item(exam))
		}, refund.Refused, AuthTooOld, bigSplit},
		{"a part: the patient authorises later", false, func(w *world, id ID) {
			w.people.auth.UsableUntil = w.clock.Now()
			w.mustGive(id, item(exam))
			w.settle(time.Hour)
			w.people.authorise(w.clock.Now().Add(time.Hour))
		}, refund.Done, "", withoutExam},
		{"a part: the patient authorises and says so", false, func(w *world, id ID) {
			w.people.auth.UsableUntil = w.clock.Now()
			w.mustGive(id, item(exam))
			if _, err := w.service.Renew(w.t.Context(), testAccount, id); !errors.Is(err, ErrAuthUsed) {
				w.t.Errorf("Renew without a new authorisation: %v, want ErrAuthUsed", err)
			}
			w.people.authorise(w.clock.Now().Add(time.Hour))
			o, err := w.service.Renew(w.t.Context(), testAccount, id)
			if err != nil || o.Refunds[0].WantsAuth() {
				w.t.Errorf("Renew: %v; the refund does not go on at once", err)
			}
			if _, err := w.service.Renew(w.t.Context(), testAccount, id); !errors.Is(err, ErrState) {
				w.t.Errorf("Renew once more: %v, want ErrState", err)
			}
		}, refund.Done, "", withoutExam},
		{"a part: one authorisation serves until the rest is settled", false, func(w *world, id ID) {
			w.people.held = func() int64 { return w.order(id).PayAuth }
			w.mustGive(id, item(exam))
			if !w.order(id).Refunds[0].WantsAuth() {
				w.t.Error("the rest is settled by an authorisation that is spent")
			}
			w.people.authorise(w.clock.Now().Add(time.Hour))
			w.once("presettle", w.calls["presettle"]+1, loseAfter)
			if _, err := w.service.Renew(w.t.Context(), testAccount, id); err != nil {
				w.t.Errorf("Renew: %v", err)
			}
		}, refund.Done, "", withoutExam},

		{"the window has handed everything back", false, func(w *world, id ID) {
			_, _, err := w.service.AskRefund(context.Background(), RefundAsk{By: refund.ByHIS, Actor: "his:h1", Order: id, Key: "n", Whole: true, Note: true, HISNo: "T9"})
			if err != nil {
				w.t.Fatal(err)
			}
			w.outside = true
		}, refund.Done, "", nothing},
	} {
		s.run(t)
	}
}

// TestRefundOfAnUninsuredOrder: without the insurer every item is the patient's own.
func TestRefundOfAnUninsuredOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bigBill(w)
	id := w.mustQuote(false, testBill)
	w.mustConfirm(id)
	w.mustPay(id)
	w.settle(time.Minute)
	w.mustGive(id, item(exam))
	w.settle(tenDays)
	o := w.wantState(id, Completed, "")
	if o.Standing() != (split.Split{Uninsured: 6000}) || o.Refunds[0].State != refund.Done || o.Refunds[0].CashDue() != 6000 {
		t.Errorf("stands %+v, refund %s of %s", o.Standing(), o.Refunds[0].State, o.Refunds[0].CashDue())
	}
	w.auditEnd()
	w.tell(t, id)
}

// TestRefundAsked: what cannot go back is refused before any call, and loses nothing.
func TestRefundAsked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		wants []refund.Want
		want  error
	}{
		{"negative", []refund.Want{pieces(drug, "-1")}, refund.ErrQuantity},
		{"zero", []refund.Want{pieces(drug, "0")}, refund.ErrQuantity},
		{"more than there is", []refund.Want{pieces(drug, "3")}, refund.ErrQuantity},
		{"too fine", []refund.Want{pieces(drug, "0.00001")}, refund.ErrQuantity},
		{"worth nothing", []refund.Want{pieces(drug, "0.0001")}, refund.ErrQuantity},
		{"huge", []refund.Want{pieces(drug, "1e9000")}, refund.ErrQuantity},
		{"a bill by pieces", []refund.Want{{BillNo: testBill, Quantity: decimal.New(1, 0)}}, refund.ErrQuantity},
		{"another bill's", []refund.Want{{BillNo: "MZ9", LineNo: drug, All: true}}, refund.ErrLine},
		{"no such item", []refund.Want{item("9")}, refund.ErrLine},
		{"twice", []refund.Want{item(drug), pieces(drug, "1")}, refund.ErrLine},
	} {
		w := newWorld(t, 1)
		id := booked(w)
		before := w.calls["hold"]
		if _, err := w.give(id, tt.wants...); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if o := w.order(id); w.calls["hold"] != before || len(o.Refunds) != 0 || len(w.store.jobs) != 0 {
			t.Errorf("%s: %d calls, %d refunds, %d jobs", tt.name, w.calls["hold"]-before, len(o.Refunds), len(w.store.jobs))
		}
	}
	w := newWorld(t, 1)
	id := booked(w)
	if _, _, err := w.service.AskRefund(t.Context(), RefundAsk{Account: 99, Order: id, Key: "k", Whole: true}); !errors.Is(err, ErrNotFound) {
		t.Errorf("another patient's order: %v, want ErrNotFound", err)
	}
	f := w.mustGive(id)
	_, again, err := w.service.AskRefund(t.Context(), RefundAsk{Account: testAccount, Order: id, Key: f.Key, Whole: true})
	if err != nil || again.ID != f.ID {
		t.Errorf("the same request again: %+v, %v", again, err)
	}
	if _, err := w.give(id); !errors.Is(err, refund.ErrNothing) {
		t.Errorf("everything once more: %v, want ErrNothing", err)
	}
	ask := func(id ID, change func(a *RefundAsk)) error {
		a := RefundAsk{By: refund.ByStaff, Actor: "staff:3", Order: id, Key: "staff", Wants: []refund.Want{item(diapers)}}
		change(&a)
		_, _, err := w.service.AskRefund(t.Context(), a)
		return err
	}
	for _, tt := range []struct {
		name   string
		change func(a *RefundAsk)
		want   error
	}{
		{"no such order", func(a *RefundAsk) { a.Order = 4711 }, ErrNotFound},
		{"nothing named", func(a *RefundAsk) { a.Wants = nil }, refund.ErrLine},
		{"one fen more than it is worth", func(a *RefundAsk) { a.Total = 2001 }, refund.ErrAmount},
		{"one fen less than it is worth", func(a *RefundAsk) { a.Total = 1999 }, refund.ErrAmount},
		{"what it is worth", func(a *RefundAsk) { a.Total = 2000 }, nil},
	} {
		w = newWorld(t, 1)
		if err := ask(booked(w), tt.change); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	w = newWorld(t, 1)
	id = confirmed(w)
	if err := ask(id, func(*RefundAsk) {}); !errors.Is(err, ErrState) || w.order(id).Refundable() {
		t.Errorf("an order that is being paid: %v, want ErrState", err)
	}
	w = newWorld(t, 1)
	togetherHere(w)
	id = booked(w)
	if !w.order(id).Refundable() || !w.service.WholeOnly(w.order(id)) {
		t.Error("an order of one password is not to be given back as a whole")
	}
	w.wechat.cards = []payment.RefundState{payment.RefundProcessing}
	w.mustGive(id, item(diapers))
	if err := ask(id, func(a *RefundAsk) { a.Wants, a.KeptAgain = []refund.Want{item(diapers)}, true }); !errors.Is(err, refund.ErrLine) {
		t.Errorf("what goes back already: %v, want ErrLine", err)
	}
	w = newWorld(t, 1)
	id = booked(w)
	if !w.order(id).Refundable() || w.service.WholeOnly(w.order(id)) {
		t.Error("an order of the core route goes back as a whole only")
	}
	w.mustGive(id)
	w.settle(tenDays)
	if w.order(id).Refundable() {
		t.Error("what is given back can be given back")
	}
	w.party.Desk = nil
	w.boot()
	if _, err := w.give(id); !errors.Is(err, ErrNoDesk) {
		t.Errorf("without a desk: %v, want ErrNoDesk", err)
	}
}

// TestRefundAskedBesideAWorker: between the job's making and its taking, a worker looks for work.
func TestRefundAskedBesideAWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	looked := 0
	w.store.revived = func() {
		looked++
		if _, err := w.service.Step(t.Context()); err != nil {
			t.Error(err)
		}
	}
	w.mustGive(id)
	w.store.revived = nil
	w.settle(tenDays)
	if o := w.wantState(id, Completed, ""); looked == 0 || o.Refunds[0].State != refund.Done {
		t.Errorf("refund is %s, a worker looked %d times", o.Refunds[0].State, looked)
	}
	w.auditEnd()
	w.tell(t, id)
}

// TestRefundAskedInARush: where others finish the job again and again before we have it, nothing is decided: the request may come again.
func TestRefundAskedInARush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.store.revived = func() { delete(w.store.jobs, id.No()) }
	if _, err := w.give(id); !errors.Is(err, job.ErrBusy) || errors.Is(err, ErrState) {
		t.Errorf("in a rush: %v, want ErrBusy", err)
	}
	w.store.revived = nil
	w.mustGive(id)
	w.settle(tenDays)
	if o := w.wantState(id, Completed, ""); len(o.Refunds) != 1 || o.Refunds[0].State != refund.Done {
		t.Errorf("refunds %+v", o.Refunds)
	}
	w.auditEnd()
}

// TestRefundAskedTwiceAtOnce: the same request, made and finished while the first is about to take the order, is one refund; and the order is let
// go of at once.
func TestRefundAskedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	ask := func() *refund.Refund {
		_, f, err := w.service.AskRefund(t.Context(), RefundAsk{By: refund.ByPatient, Actor: "account:7", Account: testAccount, Order: id, Key: "k",
			Wants: []refund.Want{item(diapers)}})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	var other *refund.Refund
	w.store.revived = func() {
		w.store.revived = nil
		other = ask()
	}
	f := ask()
	if o := w.order(id); other == nil || f.ID != other.ID || len(o.Refunds) != 1 || o.Refunds[0].State != refund.Done {
		t.Errorf("%+v and %+v, %d refunds", f, other, len(o.Refunds))
	}
	if row := w.store.jobs[id.No()]; row == nil || row.owner != "" {
		t.Errorf("the order is still held: %+v", row)
	}
	w.settle(time.Hour)
	w.auditEnd()
}

// TestRefundWhilePosting: an order that the HIS has not booked keeps the request, and the HIS is asked at once.
func TestRefundWhilePosting(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		then func(w *world)
		want State
	}{
		{"it was booked", func(*world) {}, Completed},
		{"the window was first", func(w *world) { w.his.paidBy[testBill] = "window" }, Unwound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			bigBill(w)
			w.mishaps = func(op, _ string) mishap {
				if op == "post" || op == "posting of" {
					return loseBefore
				}
				return fine
			}
			id := paid(w)
			w.settle(time.Hour)
			w.wantState(id, BeingPosted, "")
			asked := w.calls["posting of"]
			f := w.mustGive(id)
			if f.State != refund.Asked || w.calls["posting of"] == asked {
				t.Errorf("refund %s, the HIS was asked %d times", f.State, w.calls["posting of"]-asked)
			}
			w.mishaps = nil
			tt.then(w)
			w.settle(tenDays)
			o := w.wantState(id, tt.want, "")
			if got, want := o.Refunds[0].State, map[State]refund.State{Completed: refund.Done, Unwound: refund.Refused}[tt.want]; got != want {
				t.Errorf("refund is %s, want %s", got, want)
			}
			w.auditEnd()
			w.tell(t, id)
		})
	}
}

// TestRefundsMayWait: WeChat's rules of a year, fifty numbers, and a minute between two.
func TestRefundsMayWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.mustGive(id, item(diapers))
	first := w.order(id).Refunds[0].Cash.AskedAt
	w.mustGive(id, item(exam))
	w.settle(time.Hour)
	if gap := w.order(id).Refunds[1].Cash.AskedAt.Sub(first); gap < time.Minute {
		t.Errorf("%s between two refunds of one payment", gap)
	}
	o := w.order(id)
	o.Payments[0].Back.Numbers = 48
	w.store.legs[id] = legs{settlements: o.Settlements, payments: o.Payments, refunds: o.Refunds}
	if _, err := w.give(id); !errors.Is(err, refund.ErrTooMany) {
		t.Errorf("the 51st: %v, want ErrTooMany", err)
	}
	o.Payments[0].Back.Numbers = 0
	w.advance(366 * 24 * time.Hour)
	if _, err := w.give(id); !errors.Is(err, refund.ErrTooOld) {
		t.Errorf("after a year: %v, want ErrTooOld", err)
	}
}

// TestNoticeNumber: WeChat hears of the insurer's part under the number of the cash that went back with it, or with an earlier part of the order;
// a notice that it refuses again and again keeps nobody waiting.
func TestNoticeNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.centre.ratio = 100 // the only cash is what the insurer never saw
	id := booked(w)
	w.mustGive(id, item(diapers))
	w.settle(time.Hour)
	w.mustGive(id)
	w.settle(tenDays)
	o := w.wantState(id, Completed, "")
	number := o.Refunds[0].Cash.OutRefundNo
	if n := w.wechat.mixed.notices["MIX1"]; !o.GivenBack() || number == "" || o.Refunds[1].Cash.OutRefundNo != "" || n.OutRefundNo != number {
		t.Errorf("the notice says %+v, the cash went back under %q and %q", n, number, o.Refunds[1].Cash.OutRefundNo)
	}

	w = newWorld(t, 1)
	togetherHere(w)
	id = booked(w)
	w.mishaps = always("notice", refuse)
	w.mustGive(id)
	w.settle(time.Hour)
	if o := w.order(id); o.Refunds[0].State != refund.Done || w.calls["notice"] > refusedNotices+1 {
		t.Errorf("after an hour the refund is %s, and WeChat was told %d times", o.Refunds[0].State, w.calls["notice"])
	}
}

// TestGivenBackBillIsFree: what was wholly given back may be paid in another order.
func TestGivenBackBillIsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.mustGive(id)
	w.settle(tenDays)
	if !w.order(id).GivenBack() {
		t.Fatal("the order is not given back")
	}
	again := w.mustQuote(false, testBill)
	if again == id || w.order(again).State != Quoted {
		t.Errorf("another order of the bill: %s", w.order(again).State)
	}
	if s := w.order(id).Settlement(); s.State != settlement.Cancelled {
		t.Errorf("settlement is %s", s.State)
	}
}

// asks lets the HIS's notice of a refund arrive.
func (w *world) asks(envelope string, in refund.AskedByHIS) {
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.store.Put(context.Background(), job.Notice{Source: "his/" + hospitalID, ID: envelope, Kind: refund.KindAsked, Number: in.OrderNo, Body: body, ReceivedAt: w.fake.Now()})
	if err != nil {
		w.t.Error(err)
	}
}

// TestWindowAsksTooEarly: what the window asks for before we have heard that the HIS has booked the order waits for that.
func TestWindowAsksTooEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	bigBill(w)
	id := confirmed(w)
	w.asks("n1", refund.AskedByHIS{HISNo: "T1", OrderNo: id.No(), Total: 2000,
		Lines: []refund.Line{{BillNo: testBill, LineNo: diapers, Quantity: decimal.New(1, 0), Amount: 2000}}})
	w.settle(10 * time.Second)
	if unread, err := w.store.Unread(t.Context(), nil, 9); len(unread) != 1 || err != nil {
		t.Errorf("%d notices wait, %v", len(unread), err)
	}
	w.mustPay(id)
	w.settle(time.Hour)
	if o := w.wantState(id, Completed, ""); len(o.Refunds) != 1 || o.Refunds[0].State != refund.Done {
		t.Errorf("refunds %+v", o.Refunds)
	}
}

// TestWindowAsksForTheOtherHalf: what is in the middle of another refund waits for its end.
func TestWindowAsksForTheOtherHalf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.people.auth.UsableUntil = w.clock.Now()
	w.mustGive(id, pieces(drug, "1"))
	if f := w.order(id).Refund(); !f.WantsAuth() || f.Counted() || f.Rest != (split.Split{}) {
		t.Errorf("nobody knows who bears the rest, and the refund says %+v", f)
	}
	w.asks("n1", refund.AskedByHIS{HISNo: "T1", OrderNo: id.No(), Total: 2000,
		Lines: []refund.Line{{BillNo: testBill, LineNo: drug, Quantity: decimal.New(1, 0), Amount: 2000}}})
	w.settle(time.Hour)
	if unread, err := w.store.Unread(t.Context(), nil, 9); len(unread) != 1 || err != nil || len(w.order(id).Refunds) != 1 {
		t.Errorf("%d notices wait, %v", len(unread), err)
	}
	w.people.authorise(w.clock.Now().Add(3 * time.Hour))
	w.settle(10 * time.Hour)
	o := w.order(id)
	if len(o.Refunds) != 2 || o.Refunds[0].State != refund.Done || o.Refunds[1].State != refund.Done || o.Settlements[2].Seq != 3 {
		t.Errorf("refunds %+v", o.Refunds)
	}
	w.auditEnd()
}

// TestWindowAsks: a refund that the window asks for is made once, however often it is told; what does not add up is not made.
func TestWindowAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	ask := refund.AskedByHIS{HISNo: "T1", OrderNo: id.No(), Total: 2000,
		Lines: []refund.Line{{BillNo: testBill, LineNo: diapers, Quantity: decimal.New(1, 0), Amount: 2000}}}
	w.asks("n1", ask)
	w.asks("n2", ask)
	w.settle(time.Hour)
	o := w.wantState(id, Completed, "")
	if len(o.Refunds) != 1 || o.Refunds[0].State != refund.Done || o.Refunds[0].By != refund.ByHIS || o.Refunds[0].HISNo != "T1" || o.Refunds[0].Actor != "his:h1" {
		t.Fatalf("refunds %+v", o.Refunds)
	}
	if unread, err := w.store.Unread(t.Context(), nil, 9); len(unread) != 0 || err != nil {
		t.Errorf("%d notices are unread, %v", len(unread), err)
	}
	w.addBill("MZ8", 100, 0)
	closed := w.mustQuote(false, "MZ8")
	if _, err := w.service.Cancel(t.Context(), testAccount, closed); err != nil {
		t.Fatal(err)
	}
	w.settle(time.Hour)
	w.wantState(closed, Closed, ByPatient)
	for name, spoil := range map[string]func(a *refund.AskedByHIS){
		"another amount": func(a *refund.AskedByHIS) { a.Total++ },
		"another item": func(a *refund.AskedByHIS) {
			a.Lines = []refund.Line{{BillNo: testBill, LineNo: "9", Quantity: decimal.New(1, 0)}}
		},
		"gone already":    func(*refund.AskedByHIS) {},
		"never paid":      func(a *refund.AskedByHIS) { a.OrderNo = closed.No() },
		"another's order": func(a *refund.AskedByHIS) { a.OrderNo = "12345" },
		"not by its own number": func(a *refund.AskedByHIS) { // it could not be asked about by that one
			a.OrderNo, a.Total = o.Payment().OutTradeNo, 6000
			a.Lines = []refund.Line{{BillNo: testBill, LineNo: exam, Quantity: decimal.New(1, 0), Amount: 6000}}
		},
	} {
		a := ask
		a.HISNo = "T-" + name
		spoil(&a)
		w.asks(name, a)
		if _, err := w.service.StepInbox(t.Context()); (err == nil) != (name == "another's order" || name == "not by its own number") {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(w.order(id).Refunds); n != 1 {
			t.Errorf("%s: %d refunds", name, n)
		}
	}
	if _, err := w.store.Put(t.Context(), job.Notice{Source: "his/" + hospitalID, ID: "x", Kind: refund.KindAsked, Number: id.No(), Body: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	if handled, err := w.service.StepInbox(t.Context()); !handled || err == nil {
		t.Errorf("an unreadable notice: %v, %v", handled, err)
	}
	other := newWorld(t, 1) // one password: what the window keeps is billed anew, it knows that
	togetherHere(other)
	joint := booked(other)
	other.asks("n1", refund.AskedByHIS{HISNo: "T1", OrderNo: joint.No(), Total: 6000,
		Lines: []refund.Line{{BillNo: testBill, LineNo: exam, Quantity: decimal.New(1, 0), Amount: 6000}}})
	other.settle(tenDays)
	if o := other.order(joint); len(o.Refunds) != 1 || o.Refunds[0].State != refund.Done || !o.Refunds[0].Whole || len(o.Refunds[0].Kept()) != 2 {
		t.Errorf("refunds %+v", o.Refunds)
	}
	w.settle(time.Hour)
	w.auditEnd()
	w.tell(t, id)
}
