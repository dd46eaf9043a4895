package order

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// jointly plays on the mixed route.
func jointly(play func(w *world) ID) func(w *world) ID {
	return func(w *world) ID { togetherHere(w); return play(w) }
}

// failing plays an order whose password is typed and whose settlement the centre then refuses.
func failing(keeps string, also func(w *world)) func(w *world) ID {
	return jointly(func(w *world) ID {
		w.centre.refuses, w.wechat.mixed.keeps = "结算金额与预结算不一致", keeps
		id := confirmed(w)
		w.mustPay(id)
		if also != nil {
			also(w)
		}
		return id
	})
}

func noCash(w *world) {
	w.addBill(testBill, 8000, 0)
	w.centre.ratio = 100
}

func TestOnePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	id := w.mustQuote(true, testBill)
	if o := w.order(id); o.State != Quoted || o.Split != (split.Split{PooledFund: 4000, Account: 1000, Cash: 3000, Uninsured: 2000}) {
		t.Fatalf("quote: %s %+v", o.State, o.Split)
	}
	o := w.mustConfirm(id)
	if o.State != Paying || o.Payable(w.clock.Now()) != ByBoth || o.MixedOrder().State != payment.MixedOpen || o.Settlement().State != settlement.Settling {
		t.Fatalf("after Confirm: %s, %s, mixed %+v", o.State, o.Payable(w.clock.Now()), o.MixedOrder())
	}
	in := w.wechat.built[o.MixedOrder().OutTradeNo]
	want := payment.MixedAmounts{Total: 10000, Gov: 4000, Self: 1000, Cash: 3000, Added: 2000, Wechat: 5000}
	if in.Amounts != want || in.SerialNo != o.Settlement().Upload.OrderNo || len(in.SerialNo) > 20 || in.PayOrderID != o.Settlement().Upload.PayOrdID ||
		in.OutTradeNo != o.Payment().OutTradeNo || in.Relative != nil || in.OrderType != "DIAG_PAY" {
		t.Errorf("WeChat is told %+v", in)
	}
	w.mustPay(id)
	w.settle(time.Minute)
	o = w.wantState(id, Completed, "")
	if f := w.factsOf(o); f != (facts{charged: 5000, inForce: 1, insured: 5000, posted: true}) {
		t.Errorf("facts = %+v", f)
	}
	p := w.his.postings[id.No()]
	if p.SetlID != o.Settlement().SetlID || p.SetlID == "" || p.MdtrtID == "" || p.TransactionID != o.Payment().TransactionID || p.SettledAt.IsZero() {
		t.Errorf("the HIS was told %+v", p)
	}
	w.auditEnd()
	w.tell(t, id)
	if e := w.store.history[id][1]; e.Verb != "presettle" || e.Number != o.Settlement().Upload.OrderNo {
		t.Errorf("the second event is %s %s, want the upload's number", e.Verb, e.Number)
	}
}

// TestCashierStaysShut: cash parameters never leave before WeChat has the mixed order.
func TestCashierStaysShut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.once("mixed", 1, loseBefore, loseBefore)
	id := w.mustQuote(true, testBill)
	o := w.mustConfirm(id)
	if o.Payment().State != payment.Open || o.MixedOrder().State != payment.MixedPreparing {
		t.Fatalf("payment %s, mixed %s", o.Payment().State, o.MixedOrder().State)
	}
	if _, err := w.service.Cashier(t.Context(), testAccount, id); !errors.Is(err, ErrState) {
		t.Errorf("Cashier: %v, want ErrState", err)
	}
	w.settle(time.Minute)
	if _, err := w.service.Cashier(t.Context(), testAccount, id); err != nil {
		t.Errorf("Cashier: %v", err)
	}
}

// TestPlaceOfThePatient: 6201 and the mixed order name the same place, the hospital's where nobody knows the patient's.
func TestPlaceOfThePatient(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"": "115.1,28.1", "115.9,28.6": "115.9,28.6"} {
		w := newWorld(t, 1)
		togetherHere(w)
		w.party.Location, w.people.auth.Location = "115.1,28.1", name
		id := confirmed(w)
		if told := w.centre.place; told != want {
			t.Errorf("patient at %q: 6201 says %q, want %q", name, told, want)
		}
		if in := w.wechat.built[w.order(id).MixedOrder().OutTradeNo]; in.Location != want {
			t.Errorf("patient at %q: the mixed order says %q, want %q", name, in.Location, want)
		}
	}
}

func TestFamilyPays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	payer, err := sensitive.ParseIDNumber("360102198506120314")
	if err != nil {
		t.Fatal(err)
	}
	w.people.auth.Family, w.people.auth.PayerName, w.people.auth.PayerID = true, sensitive.NewName("乙某"), payer
	id := confirmed(w)
	in := w.wechat.built[w.order(id).MixedOrder().OutTradeNo]
	if in.Relative == nil || !in.Relative.IDNumber.Equal(w.people.patient.IDNumber) || !in.Payer.IDNumber.Equal(payer) || !in.Payer.Name.Equal(w.people.auth.PayerName) {
		t.Errorf("payer and relative: %+v", in)
	}
	w.mustPay(id)
	w.settle(time.Minute)
	w.wantState(id, Completed, "")
}

func TestTogetherStories(t *testing.T) {
	t.Parallel()
	for _, s := range []story{
		{"insurance alone", jointly(func(w *world) ID {
			noCash(w)
			id := confirmed(w)
			if o := w.order(id); o.Payable(w.clock.Now()) != ByInsurance || len(o.Payments) != 0 {
				w.t.Errorf("%s with %d payments", o.Payable(w.clock.Now()), len(o.Payments))
			}
			w.mustPay(id)
			return id
		}), Completed, ""},
		{"cash alone: plain JSAPI", jointly(func(w *world) ID {
			id := w.mustQuote(false, testBill)
			w.mustConfirm(id)
			if len(w.wechat.mixed.orders) != 0 || w.order(id).Payable(w.clock.Now()) != ByCash {
				w.t.Error("a mixed order of a bill that no insurer sees")
			}
			w.mustPay(id)
			return id
		}), Completed, ""},
		{"refused by the centre at 6201: cash is offered, by plain JSAPI", jointly(with("upload", func(w *world) ID {
			id := confirmed(w)
			w.mustPay(id)
			return id
		}, refuse)), Completed, ""},
		{"refused by the centre at 6202: revoked, and cash is offered", jointly(with("foresee", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			o := w.order(id)
			if o.Refusal == "" || o.Settlement().State != settlement.Withdrawn {
				w.t.Errorf("refusal %q, settlement %s", o.Refusal, o.Settlement().State)
			}
			w.mustConfirm(id)
			w.mustPay(id)
			return id
		}, refuse)), Completed, ""},
		{"nobody confirms: revoked", jointly(func(w *world) ID { return w.mustQuote(true, testBill) }), Closed, QuoteOld},
		{"nobody pays: closed, revoked", jointly(confirmed), Closed, NotPaid},
		{"nobody pays, insurance alone: revoked", jointly(func(w *world) ID { noCash(w); return confirmed(w) }), Closed, NotPaid},
		{"cancelled at the cashier", jointly(func(w *world) ID {
			id := confirmed(w)
			mustCancel(w, id, Closed)
			return id
		}), Closed, ByPatient},
		{"6201 lost: new numbers", jointly(with("upload", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.settle(5 * time.Minute)
			if n := len(w.order(id).Settlements); n != 2 {
				w.t.Errorf("%d uploads, want 2", n)
			}
			w.mustConfirm(id)
			w.mustPay(id)
			return id
		}, loseAfter)), Completed, ""},
		{"6201 lost as often as the institution allows", jointly(func(w *world) ID {
			w.party.UploadTries = 0 // two
			w.mishaps = always("upload", loseBefore)
			return w.mustQuote(true, testBill)
		}), Closed, InsurerSilent},
		{"6202 lost: 6301, and 6202 again", jointly(with("foresee", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.settle(5 * time.Minute)
			w.mustConfirm(id)
			w.mustPay(id)
			return id
		}, loseAfter, loseBefore)), Completed, ""},
		{"6202 does not add up", jointly(with("foresee", func(w *world) ID {
			id := w.mustQuote(true, testBill)
			w.settle(time.Minute)
			w.mustConfirm(id)
			w.mustPay(id)
			return id
		}, amounts)), Completed, ""},
		{"a centre that settles by 6202 alone: everything goes back", jointly(func(w *world) ID {
			w.centre.byOrder = true
			w.once("foresee", 1, loseAfter)
			return w.mustQuote(true, testBill)
		}), Unwound, SettleUnproved},
		{"consent is withdrawn before 6201 goes out again", jointly(func(w *world) ID {
			w.once("upload", 1, unsent)
			id := w.mustQuote(true, testBill)
			w.people.consents = nil
			return id
		}), Closed, ByPatient},
		{"the patient cannot be read while 6201 is due", jointly(func(w *world) ID {
			w.once("upload", 1, unsent)
			id := w.mustQuote(true, testBill)
			w.people.down = errOdd
			return id
		}), Closed, InsurerSilent},
		{"the authorisation cannot be read at 6301", jointly(func(w *world) ID {
			id := confirmed(w)
			w.mustPay(id)
			auth := w.people.auth
			w.people.auth = nil
			w.later(w.clock.Now().Add(5*time.Minute), func() { w.people.auth = auth })
			return id
		}), Completed, ""},
		{"14 at the centre, cash taken", jointly(func(w *world) ID {
			w.centre.says = func(settlement.OrdStas) settlement.OrdStas { return settlement.Exceptional }
			return paid(w)
		}), InReview, SidesDiffer},
		{"14 at the centre, given up at the cashier", jointly(func(w *world) ID {
			id := confirmed(w)
			w.centre.says = func(settlement.OrdStas) settlement.OrdStas { return settlement.Exceptional }
			mustCancel(w, id, InReview)
			return id
		}), InReview, ""},
		{"14 at the centre, once it is to be revoked", jointly(func(w *world) ID {
			id := confirmed(w)
			asked := 0
			w.centre.says = func(s settlement.OrdStas) settlement.OrdStas {
				if asked++; asked == 1 {
					return s
				}
				return settlement.Exceptional
			}
			mustCancel(w, id, InReview)
			return id
		}), InReview, CentrePeculiar},
		{"a code that nobody knows, given up at the cashier", jointly(func(w *world) ID {
			id := confirmed(w)
			asked := 0
			w.centre.says = func(s settlement.OrdStas) settlement.OrdStas {
				if asked++; asked < 4 {
					return 99
				}
				return s
			}
			mustCancel(w, id, Closing)
			return id
		}), Closed, ByPatient},
		{"WeChat calls it failed after it was closed", jointly(func(w *world) ID {
			id := confirmed(w)
			mustCancel(w, id, Closed)
			m := w.wechat.mixed.orders[w.order(id).MixedOrder().OutTradeNo]
			m.mix, m.ins = payment.MixFail, payment.InsFail
			w.notify("late", w.order(id).MixedOrder().OutTradeNo)
			return id
		}), Closed, ByPatient},
		{"the cash order lost, and refused when it is sent again", jointly(with("prepay", confirmed, loseAfter, refuse)), Closed, CashRefused},
		{"create lost, arrived", jointly(with("mixed", func(w *world) ID {
			id := confirmed(w)
			w.settle(time.Minute)
			w.mustPay(id)
			return id
		}, loseAfter)), Completed, ""},
		{"create never left", jointly(with("mixed", func(w *world) ID {
			id := confirmed(w)
			w.settle(time.Minute)
			w.mustPay(id)
			return id
		}, unsent)), Completed, ""},
		{"create cannot be built", jointly(func(w *world) ID {
			w.wechat.unbuildable = true
			return confirmed(w)
		}), Closed, MixedRefused},
		{"the centre refuses at the password, cash kept", failing("", nil), Unwound, SettleRefused},
		{"the centre refuses at the password, cash returned by WeChat itself", failing("returned", nil), InReview, CashGone},
		{"the centre refuses at the password, cash never charged", failing("uncharged", nil), Closed, SettleRefused},
		{"the centre refuses at the password, insurance alone", jointly(func(w *world) ID {
			noCash(w)
			w.centre.refuses = "黑名单"
			id := confirmed(w)
			w.mustPay(id)
			return id
		}), Closed, SettleRefused},
		{"the window pays before posting: 6203, cash, notice", jointly(func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			return paid(w)
		}), Unwound, PaidElsewhere},
		{"6203 lost", jointly(func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			w.once("give back", 1, loseAfter)
			return paid(w)
		}), Unwound, PaidElsewhere},
		{"6203 lost before it arrived", jointly(func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			w.once("give back", 1, loseBefore, unsent)
			return paid(w)
		}), Unwound, PaidElsewhere},
		{"6203 refused", jointly(func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			w.mishaps = always("give back", refuse)
			return paid(w)
		}), InReview, CancelRefused},
		{"WeChat does not take the notice", jointly(func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			w.mishaps = always("notice", refuse)
			return paid(w)
		}), Unwound, PaidElsewhere},
		{"other amounts at the centre, told again and again", jointly(func(w *world) ID {
			w.mishaps = always("centre", amounts)
			return paid(w)
		}), InReview, CentreMismatch},
		{"other amounts at WeChat, told again and again", jointly(func(w *world) ID {
			w.mishaps = always("mixed query", amounts)
			return paid(w)
		}), InReview, MixedMismatch},
		{"only 6 counts here, and 6 comes", jointly(func(w *world) ID {
			w.party.SettledBy = []settlement.OrdStas{settlement.AllDone}
			asked := 0
			w.centre.says = func(s settlement.OrdStas) settlement.OrdStas {
				if asked++; s == settlement.AllDone && asked < 5 {
					return settlement.HospitalSettled
				}
				return s
			}
			return paid(w)
		}), Completed, ""},
	} {
		s.run(t)
	}
}

// TestNotice: WeChat hears exactly what the insurer took back, zeros too, under the number of the cash refund.
func TestNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
	id := paid(w)
	w.settle(tenDays)
	o := w.wantState(id, Unwound, PaidElsewhere)
	n := w.wechat.mixed.notices[o.MixedOrder().MixTradeNo]
	if n.OutRefundNo != o.Payment().Back.OutRefundNo || n.Gov != 4000 || n.Self != 1000 || n.Other != 0 || n.RefundedAt.IsZero() {
		t.Errorf("notice = %+v", n)
	}
	if o.MixedOrder().State != payment.MixedTold {
		t.Errorf("mixed order is %s", o.MixedOrder().State)
	}
}

// TestPasswordTyped: what cannot be closed is not closed, and only WeChat's verdict ends it.
func TestPasswordTyped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		refuses string
		state   State
		cause   Cause
	}{
		{"and it succeeds", "", Completed, ""},
		{"and it fails", "余额不足", Unwound, SettleRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			togetherHere(w)
			w.centre.refuses, w.wechat.mixed.typed = tt.refuses, true
			id := confirmed(w)
			w.mustPay(id)
			no := w.order(id).MixedOrder().OutTradeNo
			mustCancel(w, id, Paying)
			if o := w.order(id); !o.CancelAsked || o.MixedOrder().TypedAt.IsZero() {
				t.Errorf("cancel asked %v, typed %v", o.CancelAsked, o.MixedOrder().TypedAt)
			}
			w.settle(time.Hour) // longer than the time to pay
			if o := w.order(id); o.State != Paying && o.State != Closing {
				t.Errorf("order is %s", o.State)
			}
			w.wechat.mixed.typed = false
			w.wechat.orders[no].expires = w.clock.Now().Add(time.Minute)
			w.wechat.finish(no)
			w.settle(tenDays)
			w.wantState(id, tt.state, tt.cause)
			w.auditEnd()
			w.tell(t, id)
		})
	}
}

// TestAuthorisationRenewed: an expired authorisation is renewed without losing the order, wherever it is found out.
func TestAuthorisationRenewed(t *testing.T) {
	t.Parallel()
	pay := func(w *world, id ID) {
		w.people.authorise(w.clock.Now().Add(time.Hour))
		if _, err := w.service.Renew(context.Background(), testAccount, id); err != nil {
			w.t.Fatalf("Renew: %v", err)
		}
		w.settle(10 * time.Minute)
		if o := w.order(id); o.State != Quoted {
			w.t.Fatalf("after Renew: %s (%s)", o.State, o.Cause)
		}
		w.mustConfirm(id)
		w.mustPay(id)
	}
	for _, tt := range []struct {
		name string
		play func(w *world) ID
	}{
		{"at 6201", func(w *world) ID {
			w.centre.auths["auth"] = "another upload"
			return w.mustQuote(true, testBill)
		}},
		{"at 6202", func(w *world) ID {
			w.mishaps = func(op, _ string) mishap {
				if op == "foresee" && w.calls[op] == 1 {
					w.centre.auths["auth"] = "another upload"
				}
				return fine
			}
			return w.mustQuote(true, testBill)
		}},
		{"at WeChat, the cash order open", func(w *world) ID {
			w.wechat.mixed.refuse = []error{payment.ErrMixedAuth}
			id := confirmed(w)
			if o := w.order(id); o.Payment().State != payment.Closed || o.Lock == Released {
				w.t.Errorf("payment %s, lock %s", o.Payment().State, o.Lock)
			}
			return id
		}},
		{"at WeChat, insurance alone", func(w *world) ID {
			noCash(w)
			w.wechat.mixed.refuse = []error{payment.ErrMixedAuth}
			return confirmed(w)
		}},
		{"too late to confirm", func(w *world) ID {
			w.people.auth.UsableUntil = start.Add(5 * time.Minute)
			id := w.mustQuote(true, testBill)
			w.advance(4 * time.Minute)
			if _, err := w.service.Confirm(context.Background(), Confirmation{Account: testAccount, Order: id}); !errors.Is(err, patient.ErrAuthExpired) {
				w.t.Errorf("Confirm: %v, want ErrAuthExpired", err)
			}
			return id
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			togetherHere(w)
			id := tt.play(w)
			w.settle(5 * time.Minute)
			if o := w.order(id); !(o.State == Quoting && o.Renew) && o.State != Quoted {
				t.Fatalf("order is %s (%s)\n%v", o.State, o.Cause, w.log)
			}
			if _, err := w.service.Renew(t.Context(), testAccount, id); !errors.Is(err, ErrAuthUsed) {
				t.Errorf("Renew without a new authorisation: %v, want ErrAuthUsed", err)
			}
			pay(w, id)
			w.settle(tenDays)
			o := w.wantState(id, Completed, "")
			numbers := map[string]bool{}
			for _, s := range o.Settlements {
				if numbers[s.Upload.OrderNo] || numbers[s.BatchNo] {
					t.Errorf("numbers used twice")
				}
				numbers[s.Upload.OrderNo], numbers[s.BatchNo] = true, true
			}
			w.auditEnd()
			w.tell(t, id)
		})
	}
	t.Run("nobody authorises anew", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		togetherHere(w)
		w.wechat.mixed.refuse = []error{payment.ErrMixedAuth}
		id := confirmed(w)
		w.settle(tenDays)
		w.wantState(id, Closed, AuthTooOld)
		w.auditEnd()
		w.tell(t, id)
	})
	t.Run("the patient gives up instead", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		togetherHere(w)
		w.wechat.mixed.refuse = []error{payment.ErrMixedAuth}
		w.once("centre", 1, loseBefore)
		id := confirmed(w)
		if _, err := w.service.Cancel(t.Context(), testAccount, id); err != nil {
			t.Errorf("Cancel: %v", err)
		}
		w.settle(tenDays)
		w.wantState(id, Closed, "")
		w.auditEnd()
		w.tell(t, id)
	})
}

// TestRenewRefuses: an order that is neither quoted nor waits keeps its authorisation.
func TestRenewRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(o *Order)
		want   error
	}{
		{"quoted", func(*Order) {}, nil},
		{"confirmed, and not locked yet", func(o *Order) { o.ConfirmedAt = start }, ErrState},
		{"paying", func(o *Order) { o.State = Paying }, ErrState},
		{"quoting, and nobody wants a new one", func(o *Order) { o.State = Quoting }, ErrState},
		{"given up", func(o *Order) { o.CancelAsked = true }, ErrState},
		{"not insured", func(o *Order) { o.Insured = false }, ErrState},
		{"never authorised", func(o *Order) { o.PayAuth = 0 }, ErrState},
	} {
		w := newWorld(t, 1)
		togetherHere(w)
		id := w.mustQuote(true, testBill)
		tt.change(w.store.orders[id])
		had := w.order(id).PayAuth
		w.people.authorise(w.clock.Now().Add(time.Hour))
		if _, err := w.service.Renew(t.Context(), testAccount, id); !errors.Is(err, tt.want) || (w.order(id).PayAuth == had) != (tt.want != nil) {
			t.Errorf("%s: %v, authorisation %d, was %d, want %v", tt.name, err, w.order(id).PayAuth, had, tt.want)
		}
	}
	w := newWorld(t, 1)
	togetherHere(w)
	id := w.mustQuote(true, testBill)
	w.people.authorise(w.clock.Now().Add(leastTime))
	had := w.order(id).PayAuth
	if _, err := w.service.Renew(t.Context(), testAccount, id); !errors.Is(err, patient.ErrAuthExpired) || w.order(id).PayAuth != had {
		t.Errorf("one that ends too soon: %v, authorisation %d, was %d", err, w.order(id).PayAuth, had)
	}
}

// TestLateSuccess: a success that WeChat tells after the order was closed is never dropped.
func TestLateSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	id := confirmed(w)
	mustCancel(w, id, Closed)
	o := w.order(id)
	no, m := o.MixedOrder().OutTradeNo, w.wechat.mixed.orders[o.MixedOrder().OutTradeNo]
	w.centre.uploads[m.in.PayOrderID].stas = settlement.Foreseen
	w.wechat.orders[no].state = payment.NotPay
	w.wechat.finish(no)
	w.notify("late", no)
	w.settle(tenDays)
	w.wantState(id, Unwound, LatePayment)
	w.auditEnd()
	w.tell(t, id)
}

// TestNoCallbackAtAll: polling alone ends every order.
func TestNoCallbackAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	id := paid(w)
	w.settle(time.Hour)
	w.wantState(id, Completed, "")
	if len(w.store.notices) != 0 {
		t.Error("there were notices")
	}
}

// TestThreeStates: every combination of WeChat's three states, for an order with cash and for one without, and where it ends when the centre
// says what goes with it (wechat-med-ins.md §d.3). The table is testdata/three-states.golden.
func TestThreeStates(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	for _, cash := range []bool{true, false} {
		for _, mix := range []string{payment.MixCreated, payment.MixSuccess, payment.MixFail, payment.MixRefund, "MIX_PAY_USER_PAYING", "UNKNOWN_MIX_PAY_STATUS"} {
			for _, self := range []string{payment.SelfCreated, payment.SelfSuccess, payment.SelfRefund, payment.SelfFail, payment.SelfNone, "UNKNOWN_SELF_PAY_STATUS"} {
				for _, ins := range []string{payment.InsCreated, payment.InsSuccess, payment.InsRefund, payment.InsFail, payment.InsNone, "UNKNOWN_MED_INS_PAY_STATUS"} {
					o := threeStates(t, cash, mix, self, ins)
					fmt.Fprintf(&table, "%-14s %-22s %-23s %-26s -> %s %s\n", map[bool]string{true: "with cash", false: "insurance only"}[cash], mix, self, ins,
						o.State, o.Cause)
				}
			}
		}
	}
	golden(t, "three-states.golden", table.String())
}

// threeStates plays one combination: cash order and centre hold what WeChat says of them.
func threeStates(t *testing.T, cash bool, mix, self, ins string) *Order {
	t.Helper()
	w := newWorld(t, 1)
	togetherHere(w)
	if !cash {
		noCash(w)
	}
	id := confirmed(w)
	no := w.order(id).MixedOrder().OutTradeNo
	m := w.wechat.mixed.orders[no]
	u, c := w.centre.uploads[m.in.PayOrderID], w.wechat.orders[no]
	m.mix, m.self, m.ins, w.outside = mix, self, ins, true
	switch mix {
	case payment.MixSuccess, payment.MixRefund:
		m.paidAt = w.clock.Now()
	}
	switch ins {
	case payment.InsSuccess:
		u.stas = settlement.AllDone
	case payment.InsRefund:
		u.stas = settlement.InsuranceRefunded
	case payment.InsFail:
		u.stas, m.reason = settlement.SettleFailed, "结算失败"
	}
	if c != nil && (self == payment.SelfSuccess || self == payment.SelfRefund) {
		c.state, c.paidAt, c.number = payment.Success, w.clock.Now(), "42000"
		if self == payment.SelfRefund {
			c.state, c.refunded = payment.TradeRefunded, c.total
		}
	}
	w.settle(tenDays)
	o := w.order(id)
	if !o.State.Final() && o.State != InReview {
		t.Errorf("%s %s %s ends in %s\n%s", mix, self, ins, o.State, strings.Join(w.log, "\n"))
	}
	return o
}

// TestGivenUpBeforeItExists: a mixed order whose creation was lost is not made after the patient has given up.
func TestGivenUpBeforeItExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.once("mixed", 1, loseBefore)
	id := w.mustQuote(true, testBill)
	w.mustConfirm(id)
	if _, err := w.service.Cancel(t.Context(), testAccount, id); err != nil {
		t.Fatal(err)
	}
	w.settle(time.Hour)
	w.wantState(id, Closed, ByPatient)
	if w.calls["mixed"] != 1 {
		t.Errorf("the mixed order was asked for %d times", w.calls["mixed"])
	}
	w.auditEnd()
}

// TestLostRefundRests: a 6203 without an answer may still arrive; a notice does not have us ask too early.
func TestLostRefundRests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
	w.once("give back", 1, loseBefore)
	id := paid(w)
	for w.calls["give back"] == 0 {
		if at, ok := w.nextDue(); ok {
			w.advance(at.Sub(w.clock.Now()))
		}
		w.step()
	}
	asked, until := w.calls["centre"], w.order(id).Settlement().AskedUntil
	for i := range 3 {
		w.notify(fmt.Sprint("n", i), w.order(id).MixedOrder().OutTradeNo)
		w.step()
	}
	if w.calls["centre"] != asked || !w.clock.Now().Before(until) {
		t.Errorf("6301 was asked %d times while the 6203 may still be on its way, until %s", w.calls["centre"]-asked, until)
	}
	w.settle(tenDays)
	w.wantState(id, Unwound, PaidElsewhere)
}

// TestReviewedMixed: what WeChat contradicts again and again is in review itself, for people to say.
func TestReviewedMixed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		play func(w *world)
		want Cause
	}{
		{func(w *world) { w.mishaps = always("mixed query", amounts) }, MixedMismatch},
		{func(w *world) {
			w.mishaps = func(op, _ string) mishap {
				for _, m := range w.wechat.mixed.orders {
					if op == "mixed query" && m.mix == payment.MixSuccess {
						m.mix, m.self = payment.MixRefund, payment.SelfRefund
					}
				}
				return fine
			}
			w.outside = true
		}, MixedGone},
	} {
		w := newWorld(t, 1)
		togetherHere(w)
		tt.play(w)
		id := paid(w)
		w.settle(tenDays)
		o := w.wantState(id, InReview, tt.want)
		if m := o.MixedOrder(); m.State != payment.MixedInReview {
			t.Errorf("%s: the mixed order is %s", tt.want, m.State)
		}
	}
}

// TestLostCreateIsAway: as long as a create without an answer may still arrive, a refusal gets no new number: there would be two orders to pay.
func TestLostCreateIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.once("mixed", 1, loseBefore, refuse)
	id := w.mustQuote(true, testBill)
	w.mustConfirm(id)
	w.settle(time.Hour)
	w.wantState(id, Closed, SettleRefused)
	if n := len(w.order(id).Mixed); n != 1 || w.calls["mixed"] != 2 {
		t.Errorf("%d mixed orders, asked for %d times", n, w.calls["mixed"])
	}
	w.auditEnd()
}

// TestQuietWechat: an answer that does not come contradicts nothing, however often.
func TestQuietWechat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	id := confirmed(w)
	w.once("mixed query", w.calls["mixed query"]+1, loseBefore, loseBefore, loseAfter, loseBefore, loseBefore, loseAfter)
	w.mustPay(id)
	w.settle(tenDays)
	w.wantState(id, Completed, "")
}

// TestMixedOrderNamesItsPayer: WeChat hears of no mixed order without a payer.
func TestMixedOrderNamesItsPayer(t *testing.T) {
	t.Parallel()
	play := func(failAt int) *world {
		w := newWorld(t, 1)
		togetherHere(w)
		noCash(w)
		id := w.mustQuote(true, testBill)
		w.settle(5 * time.Second)
		w.failures, w.failAt = nil, failAt
		_, err := w.service.Confirm(t.Context(), Confirmation{Account: testAccount, Order: id})
		w.heard("confirm", err)
		w.failAt = 0
		w.settle(5 * time.Minute)
		if o := w.order(id); o.State == Quoted && err != nil {
			return w // not confirmed
		} else if o.State != Paying || o.MixedOrder() == nil || o.MixedOrder().State != payment.MixedOpen {
			t.Errorf("order %s (%s)\n%s", o.State, o.Cause, strings.Join(w.log, "\n"))
		}
		for no, in := range w.wechat.built {
			if in.OpenID.IsZero() || in.Payer.Name.IsZero() {
				t.Errorf("%s names no payer\n%s", no, strings.Join(w.log, "\n"))
			}
		}
		return w
	}
	sound := play(0)
	if len(sound.wechat.built) == 0 {
		t.Fatal("no mixed order was built")
	}
	for at := range sound.failures {
		play(at + 1)
	}
}

// TestTooLateForNoCash: a HIS that keeps the bills for a moment only leaves no time to type a password, also where there is no cash to pay.
func TestTooLateForNoCash(t *testing.T) {
	t.Parallel()
	for keeps, want := range map[time.Duration]int{time.Minute + leastTime - time.Second: 0, time.Minute + leastTime + time.Second: 1} {
		w := newWorld(t, 1)
		togetherHere(w)
		noCash(w)
		w.his.lockFor = keeps
		id := w.mustQuote(true, testBill)
		w.settle(5 * time.Second)
		w.mustConfirm(id)
		if w.calls["mixed"] != want {
			t.Errorf("kept for %s: %d mixed orders, want %d; the order is %s", keeps, w.calls["mixed"], want, w.order(id).State)
		}
	}
}

// TestPatientWasFaster: who has typed the password and then gives up has paid; the order goes on as if nothing had been said.
func TestPatientWasFaster(t *testing.T) {
	t.Parallel()
	for name, joint := range map[string]bool{"one password": true, "core": false} {
		w := newWorld(t, 1)
		if joint {
			togetherHere(w)
		}
		id := confirmed(w)
		w.pay(id)
		_, _ = w.service.Cancel(t.Context(), testAccount, id)
		w.settle(tenDays)
		o := w.order(id)
		if joint && (o.State != Completed || o.Renew || o.Cause != "") {
			t.Errorf("%s: order %s (%s), renew %v", name, o.State, o.Cause, o.Renew)
		}
		w.auditEnd()
	}
}

// TestAuthorisationEndsBeforeTheSecondUpload: an upload whose answer is lost is not repeated under an authorisation that leaves no time to pay.
func TestAuthorisationEndsBeforeTheSecondUpload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	togetherHere(w)
	w.people.auth.UsableUntil = w.clock.Now().Add(w.service.config.AuthMargin + leastTime + 5*time.Second)
	w.once("upload", 1, loseBefore)
	id := w.mustQuote(true, testBill)
	w.settle(5 * time.Minute)
	if o := w.order(id); o.State != Quoting || !o.Renew || w.calls["upload"] != 1 {
		t.Errorf("order %s (%s), renew %v, %d uploads", o.State, o.Cause, o.Renew, w.calls["upload"])
	}
}
