package order

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/split"
)

// agree lets two people say the same.
func (w *world) agree(id ID, verdict string) {
	w.t.Helper()
	v, err := ParseVerdict(verdict)
	if err != nil {
		w.t.Fatalf("ParseVerdict(%q): %v", verdict, err)
	}
	for i, person := range []string{"staff:1", "staff:2"} {
		_, applied, err := w.service.Vote(w.t.Context(), person, id, v, "核实")
		if err != nil || applied != (i == 1) {
			w.t.Fatalf("%s votes %q: applied %v, %v\n%s", person, verdict, applied, err, strings.Join(w.log, "\n"))
		}
	}
}

// TestReviewEnds: every kind of review has a way out, by two people, and the books are right afterwards.
func TestReviewEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		play    func(w *world) ID
		why     Cause
		outside func(w *world, id ID) // what people do at the counterpart
		verdict string
		state   State
	}{
		{"other amounts in the HIS's books, put right there", func(w *world) ID {
			w.his.wrong = 1
			w.mishaps = always("post", loseAfter)
			return paid(w)
		}, HISMismatch, func(w *world, _ ID) { w.his.wrong = 0; w.mishaps = nil }, "post", Completed},
		{"booked under a number that we did not hear", func(w *world) ID {
			w.his.wrong = 1
			w.mishaps = always("post", loseAfter)
			return paid(w)
		}, HISMismatch, func(w *world, _ ID) { w.his.wrong = 0 }, "complete posting_no=P9", Completed},
		{"2208 refused, done at the window", func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			w.mishaps = always("cancel", refuse)
			return paid(w)
		}, CancelRefused, func(w *world, id ID) {
			w.insurer.stand(w.insurer.bySetl[w.order(id).Settlement().SetlID], false)
			w.mishaps = nil
		}, "unwind insurance=cancelled", Unwound},
		{"2208 refused, to be tried again", func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			w.mishaps = always("cancel", refuse)
			return paid(w)
		}, CancelRefused, func(w *world, _ ID) { w.mishaps = nil }, "unwind insurance=settled", Unwound},
		{"a refund that WeChat calls abnormal, given back by hand", func(w *world) ID {
			w.mishaps = always("settle", refuse)
			w.wechat.cards = []payment.RefundState{payment.RefundAbnormal}
			return paid(w)
		}, RefundStuck, func(w *world, _ ID) {}, "close cash=returned", Closed},
		{"WeChat told other amounts, and does so no more", func(w *world) ID {
			id := confirmed(w)
			w.mustPay(id)
			w.wechat.lies = func(t *payment.Transaction) { t.Total++ }
			return id
		}, CashMismatch, func(w *world, id ID) {
			w.wechat.lies = nil
			for _, no := range []string{"settle cash=paid", "unwind cash=returned transaction_id=420001"} { // the HIS wants to know under which number
				v, err := ParseVerdict(no)
				if err != nil {
					w.t.Fatal(err)
				}
				if _, _, err := w.service.Vote(w.t.Context(), "staff:1", id, v, ""); !errors.Is(err, ErrVerdict) {
					w.t.Errorf("%q: %v, want ErrVerdict", no, err)
				}
			}
		}, "settle cash=paid transaction_id=420001", Completed},
		{"cash given back by somebody else", func(w *world) ID {
			id := confirmed(w)
			w.mustPay(id)
			w.outside = true
			c := w.wechat.orders[w.order(id).Payment().OutTradeNo]
			c.state, c.refunded = payment.TradeRefunded, c.total
			return id
		}, CashGone, func(*world, ID) {}, "unwind cash=returned", Unwound},
		{"6203 refused, done by the bureau", jointly(func(w *world) ID {
			w.his.onPost = func() { w.his.paidBy[testBill] = "window" }
			w.mishaps = always("give back", refuse)
			return paid(w)
		}), CancelRefused, func(w *world, id ID) {
			w.mishaps = nil
			for _, u := range w.centre.uploads {
				u.stas = 11
			}
		}, "unwind insurance=cancelled", Unwound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			id := tt.play(w)
			w.settle(tenDays)
			w.wantState(id, InReview, tt.why)
			tt.outside(w, id)
			w.agree(id, tt.verdict)
			w.settle(tenDays)
			w.wantState(id, tt.state, "")
			if _, err := w.store.OpenCase(t.Context(), id); !errors.Is(err, ErrNoCase) {
				t.Errorf("the case is still open: %v", err)
			}
			if tt.state == Unwound || tt.state == Completed {
				w.auditBooks(w.order(id), func(format string, args ...any) { t.Errorf(format, args...) })
			}
			w.tell(t, id)
		})
	}
}

// TestRefundReviewEnds: a refund that people looked at goes on, ends, or is not made.
func TestRefundReviewEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		give    func(w *world, id ID)
		outside func(w *world, id ID)
		verdict string
		state   refund.State
		rest    split.Split
	}{
		{"2208 refused, allowed now", func(w *world, id ID) { w.once("cancel", w.calls["cancel"]+1, refuse); w.mustGive(id) },
			func(*world, ID) {}, "resume insurance=settled", refund.Done, split.Split{}},
		{"2208 refused for good", func(w *world, id ID) { w.once("cancel", w.calls["cancel"]+1, refuse); w.mustGive(id) },
			func(*world, ID) {}, "refuse insurance=settled", refund.Refused, bigSplit},
		{"the rest could be settled after all", func(w *world, id ID) { w.once("settle", w.calls["settle"]+1, refuse); w.mustGive(id, item(exam)) },
			func(w *world, _ ID) { w.people.authorise(w.clock.Now().Add(time.Hour)) }, "resume", refund.Done, split.Split{PooledFund: 2000, Account: 1000, Cash: 1000, Uninsured: 2000}},
		{"the patient would owe more: not made", func(w *world, id ID) {
			w.insurer.ratio, w.insurer.balance = 0, 0
			w.mustGive(id, pieces(drug, "1"))
		}, func(*world, ID) {}, "refuse", refund.Refused, bigSplit},
		{"abnormal, then mended at the merchant's desk", func(w *world, id ID) {
			w.wechat.cards = []payment.RefundState{payment.RefundAbnormal}
			w.mustGive(id)
		}, func(w *world, id ID) {
			r := w.wechat.refunds[w.order(id).Refunds[0].Cash.OutRefundNo]
			r.state = payment.RefundSuccess
		}, "resume", refund.Done, split.Split{}},
		{"the booking was entered by hand", func(w *world, id ID) { w.mishaps = always("book", refuse); w.mustGive(id) },
			func(w *world, id ID) { w.his.booked[w.order(id).Refunds[0].ID.No()] = bigTotal }, "done", refund.Done, split.Split{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			id := booked(w)
			tt.give(w, id)
			w.settle(tenDays)
			if f := w.order(id).Refund(); f == nil || f.State != refund.InReview {
				t.Fatalf("refund %+v\n%s", f, strings.Join(w.log, "\n"))
			}
			tt.outside(w, id)
			w.agree(id, tt.verdict)
			w.settle(tenDays)
			o := w.wantState(id, Completed, "")
			if f := o.Refunds[0]; f.State != tt.state || o.Standing() != tt.rest {
				t.Errorf("refund is %s (%s), stands %+v\n%s", f.State, f.Cause, o.Standing(), strings.Join(w.log, "\n"))
			}
			w.auditEnd()
			w.tell(t, id)
		})
	}
}

// TestVotes: two different people, the same word, and nothing that the machine does not allow.
func TestVotes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.his.wrong = 1
	w.mishaps = always("post", loseAfter)
	id := paid(w)
	vote := func(person, verdict string, want error) bool {
		t.Helper()
		v, err := ParseVerdict(verdict)
		if err != nil {
			t.Fatal(err)
		}
		_, applied, err := w.service.Vote(t.Context(), person, id, v, "核实")
		if !errors.Is(err, want) {
			t.Errorf("%s votes %q: %v, want %v", person, verdict, err, want)
		}
		return applied
	}
	vote("staff:1", "post", ErrNoCase)
	w.settle(tenDays)
	w.wantState(id, InReview, HISMismatch)
	for _, no := range []string{"settle", "close", "post cash=paid", "post insurance=settled", "complete", "resume", "refuse", "done", "reject", "unwind mixed=dead"} {
		vote("staff:1", no, ErrVerdict)
	}
	vote("staff:1", "unwind", nil)
	vote("staff:1", "unwind", ErrVoted)
	vote("staff:2", "post", ErrDiffers)
	if vote("staff:2", "reject", nil) {
		t.Error("a rejection was applied")
	}
	w.wantState(id, InReview, HISMismatch)
	if c, err := w.store.OpenCase(t.Context(), id); err != nil || len(c.Votes) != 0 {
		t.Errorf("after a rejection: %+v, %v", c, err)
	}
	vote("staff:2", "post", nil) // another case: who was checker may be maker
	w.settle(time.Hour)
	w.wantState(id, InReview, HISMismatch) // one vote moves nothing
	w.his.wrong, w.mishaps = 0, nil
	if !vote("staff:1", "post", nil) {
		t.Error("two votes were not applied")
	}
	w.settle(time.Hour)
	w.wantState(id, Completed, "")
	if _, _, err := w.service.Vote(t.Context(), "staff:1", 12345, Verdict{Outcome: ToPost}, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such order: %v", err)
	}
}

func TestParseVerdict(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"post", "unwind insurance=cancelled cash=paid transaction_id=4200", "close insurance=not_settled setl_id=S1 cash=closed mixed=dead", "complete posting_no=P1"} {
		if v, err := ParseVerdict(good); err != nil || v.String() != good {
			t.Errorf("ParseVerdict(%q) = %q, %v", good, v, err)
		}
	}
	for _, bad := range []string{"", " ", "post  cash=paid", "post cash", "post cash=", "post cash=paid cash=paid", "post cash=paid insurance=settled", "post colour=red"} {
		if v, err := ParseVerdict(bad); !errors.Is(err, ErrVerdict) {
			t.Errorf("ParseVerdict(%q) = %q, %v", bad, v, err)
		}
	}
}
