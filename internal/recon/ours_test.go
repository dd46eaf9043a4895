package recon

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

var noon = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)

// minute is so many minutes after noon.
func minute(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// anOrder was settled, paid and posted: 60.00 by the fund, 40.00 in cash.
func anOrder() (*order.Order, []order.Event) {
	s := split.Split{PooledFund: 6000, Cash: 4000}
	o := &order.Order{ID: 7, Institution: "h1", State: order.Completed, Total: 10000, Split: s, Post: order.PostDone,
		Posted:      order.Posted{PostingNo: "SF1", PostedAt: minute(2)},
		Settlements: []*settlement.Settlement{{State: settlement.Settled, SetlID: "S1", Total: 10000, Actual: s, SettledAt: minute(1), Visit: settlement.Visit{MdtrtID: "V1"}}},
		Payments:    []*payment.Payment{{OutTradeNo: "T1", Amount: 4000, TransactionID: "W1", PaidAt: minute(0)}}}
	return o, []order.Event{{Subject: "payment", Verb: "pay", Number: "W1", At: minute(0)}, {Subject: "settlement", Verb: "settled", To: "settled", Number: "S1", At: minute(1)},
		{Subject: "his", Verb: "posted", To: "posted", Number: "SF1", At: minute(3)}}
}

// shown is a line in short.
func shown(l *Line) string {
	return fmt.Sprintf("%s %s%s %s at %d: %s %s %s", l.Leg, l.Kind, l.Status, l.Amount, int(l.At.Sub(noon)/time.Minute),
		l.Numbers[OrderNo], l.Numbers[TransactionID]+l.Numbers[SetlID]+l.Numbers[PostingNo]+l.Numbers[BookingNo], l.Numbers[OutRefundNo])
}

func TestLinesOf(t *testing.T) {
	t.Parallel()
	whole := []string{"cash pay 40.00 at 0: 7 W1 ", "insurance pay 100.00 at 1: 7 S1 ", "posting pay 100.00 at 2: 7 S1SF1 "}
	for _, tt := range []struct {
		name   string
		change func(o *order.Order, history *[]order.Event)
		want   []string
	}{
		{"as it should be", func(*order.Order, *[]order.Event) {}, whole},
		{"people said that it is posted", func(o *order.Order, _ *[]order.Event) { o.Posted.PostedAt = time.Time{} },
			[]string{whole[0], whole[1], "posting pay 100.00 at 3: 7 S1SF1 "}},
		{"not posted yet", func(o *order.Order, h *[]order.Event) {
			o.State, o.Post, o.Posted, *h = order.BeingPosted, order.PostAsked, order.Posted{}, (*h)[:2]
		}, []string{whole[0], whole[1], "posting paydue 100.00 at 1: 7 S1 "}},
		{"opened and never paid", func(o *order.Order, h *[]order.Event) {
			o.State, o.Post, o.Posted, o.Settlements, *h = order.Closed, order.PostNone, order.Posted{}, nil, nil
			o.Payments[0].TransactionID, o.Payments[0].PaidAt = "", time.Time{}
		}, nil},
		{"a settlement that the patient paid alone, cancelled", func(o *order.Order, h *[]order.Event) {
			o.Settlements[0].State, o.Settlements[0].Actual = settlement.Cancelled, split.Split{Cash: 10000}
			*h = append(*h, order.Event{Subject: "settlement", Verb: "cancelled", To: "cancelled", Number: "S1", At: minute(9)})
		}, []string{whole[0], whole[1], "insurance reversal 100.00 at 9: 7 S1 ", whole[2]}},
		{"cancelled and reinstated", func(_ *order.Order, h *[]order.Event) {
			*h = append(*h, order.Event{Subject: "settlement", Verb: "cancelled", To: "cancelled", Number: "S1", At: minute(9)},
				order.Event{Subject: "settlement", Verb: "reinstated", To: "settled", Number: "S1", At: minute(10)})
		}, whole},
		{"a refund under way", func(o *order.Order, _ *[]order.Event) {
			o.Refunds = []*refund.Refund{{ID: 9, Cash: payment.MoneyBack{OutRefundNo: "R1", RefundID: "X1", Amount: 1500, AskedAt: minute(20)}}}
		}, append(whole[:3:3], "cash refundunder_way 15.00 at 20: 7 W1 R1")},
		{"a refund that nobody has acknowledged", func(o *order.Order, _ *[]order.Event) {
			o.Refunds = []*refund.Refund{{ID: 9, Cash: payment.MoneyBack{OutRefundNo: "R1", Amount: 1500, AskedAt: minute(20)}}}
		}, whole},
		{"a refund done and booked, after a number that WeChat ended", func(o *order.Order, h *[]order.Event) {
			o.Refunds = []*refund.Refund{{ID: 9, BookingNo: "TF1", DoneAt: minute(40), Lines: []refund.Line{{Amount: 1500}},
				Cash: payment.MoneyBack{OutRefundNo: "R2", RefundID: "X2", Amount: 1500, AskedAt: minute(25), ReturnedAt: minute(30)}}}
			cash := split.Split{Cash: 1500}
			*h = append(*h, order.Event{Subject: "refund", Verb: "cash", Number: "R1", At: minute(20), Split: cash},
				order.Event{Subject: "refund", Verb: "cash number dead", Number: "R1", At: minute(24), Split: cash, Detail: "X1"},
				order.Event{Subject: "refund", Verb: "cash number dead", Number: "R0", At: minute(24), Split: cash}, // WeChat never had it
				order.Event{Subject: "refund", Verb: "booked", Number: "TF1", At: minute(35)})
		}, []string{whole[0], "cash refundclosed 15.00 at 20: 7  R1", whole[1], whole[2], "cash refund 15.00 at 25: 7 W1 R2", "posting refund 15.00 at 35: 7 TF1 "}},
	} {
		o, history := anOrder()
		tt.change(o, &history)
		var got []string
		lines := LinesOf(o, history)
		for i := range lines {
			got = append(got, shown(&lines[i]))
			if lines[i].Source != Ledger || lines[i].Amount <= 0 {
				t.Errorf("%s: %+v", tt.name, lines[i])
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestClaimsOf: what the insurer settled and took back, each at its time.
func TestClaimsOf(t *testing.T) {
	t.Parallel()
	o, history := anOrder()
	history = append(history, order.Event{Subject: "settlement", Verb: "cancelled", To: "cancelled", Number: "S1", At: minute(9)})
	o.Settlements = append(o.Settlements, &settlement.Settlement{State: settlement.Refused}) // nothing of it was ever settled
	claims := ClaimsOf(o, history)
	if len(claims) != 2 || claims[0].Undone || !claims[0].At.Equal(minute(1)) || !claims[1].Undone || !claims[1].At.Equal(minute(9)) || claims[1].Settlement != o.Settlements[0] {
		t.Errorf("ClaimsOf() = %+v", claims)
	}
	var sum money.Fen
	for _, c := range claims {
		sum += c.Settlement.Actual.Total()
	}
	if sum != 20000 {
		t.Errorf("the claims are about %s", sum)
	}
}
