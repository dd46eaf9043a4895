package payment

import (
	"time"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// Finding is what a verified answer of WeChat means for a payment or its refund.
type Finding string

// The findings.
const (
	FoundOpen       Finding = "open"        // not paid yet, may be paid any moment
	FoundPaid       Finding = "paid"        // the money is here
	FoundDead       Finding = "dead"        // never paid, and never will be
	FoundGone       Finding = "gone"        // paid, and refunded by somebody else
	FoundReturned   Finding = "returned"    // the refund is back with the patient
	FoundUnderWay   Finding = "under_way"   // the refund is accepted
	FoundNoRefund   Finding = "no_refund"   // the refund's number is dead, the money is still here
	FoundAbnormal   Finding = "abnormal"    // the refund needs a person at the merchant's desk
	FoundAtMerchant Finding = "at_merchant" // it ended at the merchant's desk, in the merchant's own account: the patient has nothing yet
	FoundUnlikely   Finding = "unlikely"    // other numbers or amounts than ours, or a state we do not know
	FoundUnbearable Finding = "unbearable"  // the same, said again and again: a person must look
)

// maxDoubts is how many unlikely answers in a row are asked again before a person must look.
const maxDoubts = 4

func (p *Payment) doubt() Finding {
	p.Doubts++
	p.changed = true
	if p.Doubts >= maxDoubts {
		return FoundUnbearable
	}
	return FoundUnlikely
}

func (p *Payment) trust(f Finding) Finding {
	if p.Doubts != 0 {
		p.Doubts, p.changed = 0, true
	}
	return f
}

// Judge compares a verified answer with what was ordered. A payment is ours only when number, total, currency and, where told, payer are
// equal to ours (wechat-pay.md §2.5). It keeps the transaction's number of a paid answer; it moves nothing.
func (p *Payment) Judge(t Transaction, payer sensitive.OpenID) Finding {
	if t.OutTradeNo != p.OutTradeNo || t.Total != p.Amount || (!t.OpenID.IsZero() && !t.OpenID.Equal(payer)) {
		return p.doubt()
	}
	if t.Currency != "CNY" && (t.Currency != "" || t.State == Success || t.State == TradeRefunded) {
		return p.doubt()
	}
	switch t.State {
	case NotPay:
		return p.trust(FoundOpen)
	case TradeClosed:
		return p.trust(FoundDead)
	case Success, TradeRefunded:
		if t.TransactionID == "" || t.PaidAt.IsZero() || (p.TransactionID != "" && p.TransactionID != t.TransactionID) {
			return p.doubt()
		}
		p.TransactionID, p.PaidAt, p.changed = t.TransactionID, t.PaidAt, true
		if t.State == TradeRefunded && p.RefundReserved == 0 {
			return p.trust(FoundGone)
		}
		return p.trust(FoundPaid)
	default:
		return p.doubt()
	}
}

// Judge compares a verified answer about a refund of that payment with what was asked. It keeps the refund's number and the time the money was
// back; it moves nothing.
func (m *MoneyBack) Judge(r RefundStatus, of *Payment) Finding {
	if r.OutRefundNo != m.OutRefundNo || (r.OutTradeNo != "" && r.OutTradeNo != of.OutTradeNo) || r.Refund != m.Amount || r.Total != of.Amount {
		return m.doubt()
	}
	if r.RefundID == "" || (m.RefundID != "" && m.RefundID != r.RefundID) {
		return m.doubt()
	}
	finding := map[RefundState]Finding{RefundProcessing: FoundUnderWay, RefundSuccess: FoundReturned, RefundClosed: FoundNoRefund,
		RefundAbnormal: FoundAbnormal}[r.State]
	if finding == "" || (finding == FoundReturned && r.SucceededAt.IsZero()) {
		return m.doubt()
	}
	if finding == FoundReturned && r.ToMerchant {
		finding = FoundAtMerchant
	}
	m.RefundID, m.Doubts = r.RefundID, 0
	if finding == FoundReturned {
		m.ReturnedAt = r.SucceededAt
	}
	return finding
}

func (m *MoneyBack) doubt() Finding {
	if m.Doubts++; m.Doubts >= maxDoubts {
		return FoundUnbearable
	}
	return FoundUnlikely
}

// AskBack moves the payment to refunding: the whole goes back under a number of its own.
func (p *Payment) AskBack(outRefundNo string, request []byte, at time.Time) error {
	if err := p.Apply(Refund); err != nil {
		return err
	}
	p.Back.Ask(outRefundNo, p.Amount, request, at)
	p.RefundReserved = p.Amount
	return nil
}
