package payment

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
)

var (
	now   = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	payer = sensitive.NewOpenID("o-1")
)

func fresh() *Payment {
	p := New(1, 1, "t1", 5000, []byte("{}"), now.Add(time.Hour))
	p.Stored(1)
	return p
}

func paidAnswer() Transaction {
	return Transaction{OutTradeNo: "t1", TransactionID: "4200", State: Success, Total: 5000, Currency: "CNY", OpenID: payer, PaidAt: now}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Payment, *Transaction)
		want   Finding
	}{
		{"paid", func(*Payment, *Transaction) {}, FoundPaid},
		{"paid, the payer is not told", func(_ *Payment, t *Transaction) { t.OpenID = sensitive.OpenID{} }, FoundPaid},
		{"not paid, without a currency", func(_ *Payment, t *Transaction) {
			t.State, t.TransactionID, t.PaidAt, t.Currency = NotPay, "", time.Time{}, ""
		}, FoundOpen},
		{"paid, without a currency", func(_ *Payment, t *Transaction) { t.Currency = "" }, FoundUnlikely},
		{"not paid", func(_ *Payment, t *Transaction) { t.State, t.TransactionID, t.PaidAt = NotPay, "", time.Time{} }, FoundOpen},
		{"closed", func(_ *Payment, t *Transaction) { t.State = TradeClosed }, FoundDead},
		{"refunded, not by us", func(_ *Payment, t *Transaction) { t.State = TradeRefunded }, FoundGone},
		{"refunded by us", func(p *Payment, t *Transaction) { p.RefundReserved, t.State = 1, TradeRefunded }, FoundPaid},
		{"the same transaction again", func(p *Payment, _ *Transaction) { p.TransactionID = "4200" }, FoundPaid},
		{"another number", func(_ *Payment, t *Transaction) { t.OutTradeNo = "t2" }, FoundUnlikely},
		{"one fen less", func(_ *Payment, t *Transaction) { t.Total-- }, FoundUnlikely},
		{"one fen more", func(_ *Payment, t *Transaction) { t.Total++ }, FoundUnlikely},
		{"another currency", func(_ *Payment, t *Transaction) { t.Currency = "HKD" }, FoundUnlikely},
		{"another payer", func(_ *Payment, t *Transaction) { t.OpenID = sensitive.NewOpenID("o-2") }, FoundUnlikely},
		{"another transaction", func(p *Payment, _ *Transaction) { p.TransactionID = "4201" }, FoundUnlikely},
		{"paid without a transaction", func(_ *Payment, t *Transaction) { t.TransactionID = "" }, FoundUnlikely},
		{"paid without a time", func(_ *Payment, t *Transaction) { t.PaidAt = time.Time{} }, FoundUnlikely},
		{"a state nobody knows", func(_ *Payment, t *Transaction) { t.State = "USERPAYING" }, FoundUnlikely},
	} {
		p, answer := fresh(), paidAnswer()
		p.State = Open
		tt.change(p, &answer)
		had := p.TransactionID
		if got := p.Judge(answer, payer); got != tt.want || p.State != Open {
			t.Errorf("%s: Judge = %s, and the payment is %s, want %s", tt.name, got, p.State, tt.want)
		}
		kept := tt.want == FoundPaid || tt.want == FoundGone
		if kept && (p.TransactionID != "4200" || !p.PaidAt.Equal(now) || !p.Changed()) || !kept && p.TransactionID != had {
			t.Errorf("%s: transaction %q, paid at %v", tt.name, p.TransactionID, p.PaidAt)
		}
	}
}

func TestDoubtsEnd(t *testing.T) {
	t.Parallel()
	p, wrong := fresh(), paidAnswer()
	wrong.Total++
	for i := 1; i < 4; i++ { // the fourth in a row is too much
		if got := p.Judge(wrong, payer); got != FoundUnlikely || p.Doubts != i {
			t.Fatalf("doubt %d: %s", i, got)
		}
	}
	if got := p.Judge(wrong, payer); got != FoundUnbearable || !p.Changed() {
		t.Errorf("the last doubt: %s", got)
	}
	if got := p.Judge(paidAnswer(), payer); got != FoundPaid || p.Doubts != 0 {
		t.Errorf("a good answer ends the doubts: %s, %d", got, p.Doubts)
	}
	open := paidAnswer()
	open.State, open.TransactionID, open.PaidAt = NotPay, "", time.Time{}
	for _, doubts := range []int{0, 1} {
		p := fresh()
		if p.Doubts = doubts; p.Judge(open, payer) != FoundOpen || p.Doubts != 0 || p.Changed() != (doubts > 0) {
			t.Errorf("after %d doubts: %d, changed %v", doubts, p.Doubts, p.Changed())
		}
	}
}

func refunding(t *testing.T) *Payment {
	t.Helper()
	p := fresh()
	p.State = Paid
	if err := p.AskBack("R1", []byte("refund"), now); err != nil {
		t.Fatal(err)
	}
	p.Stored(2)
	return p
}

func refundAnswer() RefundStatus {
	return RefundStatus{OutRefundNo: "R1", OutTradeNo: "t1", RefundID: "5000", State: RefundSuccess, Refund: 5000, Total: 5000, SucceededAt: now}
}

func TestJudgeRefund(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*RefundStatus)
		want   Finding
	}{
		{"back", func(*RefundStatus) {}, FoundReturned},
		{"back, our cash order is not told", func(r *RefundStatus) { r.OutTradeNo = "" }, FoundReturned},
		{"under way", func(r *RefundStatus) { r.State, r.SucceededAt = RefundProcessing, time.Time{} }, FoundUnderWay},
		{"closed", func(r *RefundStatus) { r.State = RefundClosed }, FoundNoRefund},
		{"abnormal", func(r *RefundStatus) { r.State = RefundAbnormal }, FoundAbnormal},
		{"in the merchant's own account", func(r *RefundStatus) { r.ToMerchant = true }, FoundAtMerchant},
		{"another number", func(r *RefundStatus) { r.OutRefundNo = "R2" }, FoundUnlikely},
		{"another cash order", func(r *RefundStatus) { r.OutTradeNo = "t2" }, FoundUnlikely},
		{"one fen less", func(r *RefundStatus) { r.Refund-- }, FoundUnlikely},
		{"another total", func(r *RefundStatus) { r.Total++ }, FoundUnlikely},
		{"back without a time", func(r *RefundStatus) { r.SucceededAt = time.Time{} }, FoundUnlikely},
		{"back without a number of WeChat's", func(r *RefundStatus) { r.RefundID = "" }, FoundUnlikely},
		{"a state nobody knows", func(r *RefundStatus) { r.State = "FROZEN" }, FoundUnlikely},
	} {
		p, answer := refunding(t), refundAnswer()
		tt.change(&answer)
		if got := p.Back.Judge(answer, p); got != tt.want || p.State != Refunding {
			t.Errorf("%s: Judge = %s, and the payment is %s, want %s", tt.name, got, p.State, tt.want)
		}
		if trusted := tt.want != FoundUnlikely; trusted && p.Back.RefundID != "5000" || (tt.want == FoundReturned) != p.Back.Returned() {
			t.Errorf("%s: refund %q at %v", tt.name, p.Back.RefundID, p.Back.ReturnedAt)
		}
	}
}

func TestAskBack(t *testing.T) {
	t.Parallel()
	p := refunding(t)
	if p.State != Refunding || p.Back.OutRefundNo != "R1" || string(p.Back.Request) != "refund" || p.RefundReserved != p.Amount || p.Back.Amount != p.Amount {
		t.Errorf("AskBack: %+v", p)
	}
	if err := p.AskBack("R2", nil, now); !errors.Is(err, ErrMove) || p.Back.OutRefundNo != "R1" {
		t.Errorf("a second refund while the first is undecided: %v, number %s", err, p.Back.OutRefundNo)
	}
	p.Back.RefundID, p.Back.Asked, p.Back.Doubts = "5000", 3, 2
	p.Back.Dead()
	if want := (MoneyBack{Amount: p.Amount, AskedAt: now, Numbers: 1}); !reflect.DeepEqual(p.Back, want) {
		t.Errorf("a dead number leaves %+v, want %+v", p.Back, want)
	}
	if err := errors.Join(p.Apply(RefundDead), p.AskBack("R2", []byte("new"), now)); err != nil {
		t.Fatal(err)
	}
	if want := (MoneyBack{OutRefundNo: "R2", Amount: p.Amount, Request: []byte("new"), AskedAt: now, Numbers: 2}); !reflect.DeepEqual(p.Back, want) {
		t.Errorf("after a dead number: %+v, want %+v", p.Back, want)
	}
}

// TestRefundKeepsItsNumber: WeChat's number of a refund never changes.
func TestRefundKeepsItsNumber(t *testing.T) {
	t.Parallel()
	p, answer := refunding(t), refundAnswer()
	p.Back.RefundID = answer.RefundID
	if got := p.Back.Judge(answer, p); got != FoundReturned {
		t.Errorf("the same number again: %s", got)
	}
	answer.RefundID = "5001"
	if got := p.Back.Judge(answer, p); got != FoundUnlikely || p.Back.RefundID != "5000" {
		t.Errorf("another number: %s, %s", got, p.Back.RefundID)
	}
}

// TestRefundDoubted: an answer that contradicts us again and again is for a person, and a good one between starts anew.
func TestRefundDoubted(t *testing.T) {
	t.Parallel()
	p, wrong := refunding(t), refundAnswer()
	wrong.Refund++
	for i := range 2 * (maxDoubts - 1) {
		if i == maxDoubts-1 {
			good := refundAnswer()
			good.State = RefundProcessing
			p.Back.Judge(good, p)
		}
		if got := p.Back.Judge(wrong, p); got != FoundUnlikely {
			t.Fatalf("doubt %d: %s", i+1, got)
		}
	}
	if got := p.Back.Judge(wrong, p); got != FoundUnbearable {
		t.Errorf("the last doubt: %s", got)
	}
}

func TestSentAndUnsent(t *testing.T) {
	t.Parallel()
	p := fresh()
	if p.Changed() {
		t.Error("a stored payment is changed")
	}
	p.Sent()
	p.Sent()
	if p.Unsent(); p.Asked != 1 || !p.Changed() {
		t.Errorf("asked %d times, changed %v", p.Asked, p.Changed())
	}
	p.Stored(4)
	if p.Sent(); !p.Changed() || !New(1, 1, "t1", 5000, nil, now).Changed() {
		t.Error("a payment that is sent, or new, is not to be stored")
	}
	p.Stored(5)
	if p.Touch(); !p.Changed() || p.Version != 5 {
		t.Errorf("Touch: %+v", p)
	}
}

// TestReserve: parts are promised back one after the other, never more than was paid.
func TestReserve(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		reserved, amount money.Fen
		ok               bool
	}{
		{"one fen", 0, 1, true},
		{"the whole", 0, 5000, true},
		{"one fen too much", 0, 5001, false},
		{"the rest", 2000, 3000, true},
		{"one fen more than the rest", 2000, 3001, false},
		{"nothing", 0, 0, false},
		{"less than nothing", 2000, -1, false},
	} {
		p := fresh()
		p.RefundReserved = tt.reserved
		if ok := p.Reserve(tt.amount); ok != tt.ok || p.Changed() != tt.ok || (ok && p.RefundReserved != tt.reserved+tt.amount) || (!ok && p.RefundReserved != tt.reserved) {
			t.Errorf("%s: %v, reserved %s, changed %v", tt.name, ok, p.RefundReserved, p.Changed())
		}
	}
}

func TestReceived(t *testing.T) {
	t.Parallel()
	want := ledger.Posting{{Account: ledger.WechatCash, Amount: 5000}, {Account: ledger.Suspense, Amount: -5000}}
	if diff := cmp.Diff(want, fresh().Received(ledger.Suspense)); diff != "" {
		t.Errorf("Received (-want +got):\n%s", diff)
	}
}
