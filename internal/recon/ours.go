package recon

import (
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

// LinesOf are what our ledger has of an order, of whatever day: the cash that came and went, what the insurer settled and took back, what the HIS booked, and
// what it ought to have booked and has not.
func LinesOf(o *order.Order, history []order.Event) []Line {
	w := writer{o: o, history: history}
	for _, p := range o.Payments {
		w.payment(p)
	}
	w.closed()
	for _, s := range o.Settlements {
		w.settlement(s)
	}
	w.posting()
	w.refunds()
	return w.lines
}

// ClaimsOf are an order's settlements and their ends, for an insurer who compares for himself.
func ClaimsOf(o *order.Order, history []order.Event) []Claim {
	w := writer{o: o, history: history}
	var claims []Claim
	for _, s := range o.Settlements {
		if s.SetlID == "" {
			continue
		}
		claims = append(claims, Claim{Settlement: s, At: s.SettledAt})
		if at := w.undone(s); !at.IsZero() {
			claims = append(claims, Claim{Settlement: s, Undone: true, At: at})
		}
	}
	return claims
}

type writer struct {
	o       *order.Order
	history []order.Event
	lines   []Line
}

// add gives a line the numbers that are there, and keeps it.
func (w *writer) add(l Line, numbers map[Number]string) {
	l.Source = Ledger
	l.Numbers[OrderNo] = w.o.ID.No()
	for n, no := range numbers {
		l.Numbers[n] = no
	}
	w.lines = append(w.lines, l)
}

func (w *writer) payment(p *payment.Payment) {
	if p.TransactionID == "" || p.PaidAt.IsZero() {
		return // WeChat has no money of it: a bill does not show it
	}
	numbers := map[Number]string{OutTradeNo: p.OutTradeNo, TransactionID: p.TransactionID}
	w.add(Line{Leg: Cash, Kind: Pay, At: p.PaidAt, Amount: p.Amount}, numbers)
	w.back(p, &p.Back, p.Amount)
}

// back is money that WeChat has accepted to give back: its bill shows it by the day of the request.
func (w *writer) back(p *payment.Payment, m *payment.MoneyBack, amount money.Fen) {
	if m.OutRefundNo == "" || m.RefundID == "" {
		return
	}
	status := UnderWay
	if m.Returned() {
		status = Done
	}
	w.add(Line{Leg: Cash, Kind: Refund, Status: status, At: m.AskedAt, Amount: amount}, map[Number]string{OutTradeNo: p.OutTradeNo,
		TransactionID: p.TransactionID, OutRefundNo: m.OutRefundNo, RefundID: m.RefundID})
}

// closed are refunds that WeChat accepted and ended without paying them out: the history alone knows their numbers.
func (w *writer) closed() {
	asked := map[string]time.Time{}
	for i := range w.history {
		e := &w.history[i]
		switch e.Subject + " " + e.Verb {
		case "payment refund", "refund cash":
			asked[e.Number] = e.At
		case "payment refund_dead", "refund cash number dead":
			if e.Detail != "" { // WeChat's number of it: otherwise it never took it
				w.add(Line{Leg: Cash, Kind: Refund, Status: Closed, At: asked[e.Number], Amount: e.Split.Cash}, map[Number]string{OutRefundNo: e.Number, RefundID: e.Detail})
			}
		}
	}
}

func (w *writer) settlement(s *settlement.Settlement) {
	if s.SetlID == "" {
		return
	}
	l := Line{Leg: Insurance, Kind: Pay, At: s.SettledAt, Amount: s.Total, Split: s.Actual, Tells: TellsAll &^ TellsUninsured}
	numbers := map[Number]string{SetlID: s.SetlID, MdtrtID: s.Visit.MdtrtID, PayOrdID: s.Upload.PayOrdID}
	w.add(l, numbers)
	if at := w.undone(s); !at.IsZero() {
		l.Kind, l.At = Reversal, at
		w.add(l, numbers)
	}
}

// undone is when a settlement ceased to stand. Zero: it stands. What it moved in the ledger does not tell: one that the patient paid alone moved nothing there.
func (w *writer) undone(s *settlement.Settlement) (at time.Time) {
	for i := range w.history {
		e := &w.history[i]
		if e.Subject != "settlement" || e.Number != s.SetlID {
			continue
		}
		switch settlement.State(e.To) {
		case settlement.Cancelled:
			at = e.At
		case settlement.Settled: // at first, or reinstated
			at = time.Time{}
		}
	}
	return at
}

// posting is what the HIS has booked; or, while we hold money that it has not, what it ought to have.
func (w *writer) posting() {
	o := w.o
	l := Line{Leg: Posting, Kind: Pay, Amount: o.Total, Split: o.Split, Tells: TellsAll}
	numbers := map[Number]string{PostingNo: o.Posted.PostingNo}
	if s := w.posted(); s != nil {
		numbers[SetlID] = s.SetlID
		l.At = s.SettledAt
	}
	for _, p := range o.Payments {
		if p.TransactionID != "" && p.Back.OutRefundNo == "" {
			numbers[OutTradeNo] = p.OutTradeNo
			if p.PaidAt.After(l.At) {
				l.At = p.PaidAt
			}
		}
	}
	switch {
	case o.Post == order.PostDone:
		if l.At = o.Posted.PostedAt; l.At.IsZero() { // people said that it is booked
			l.At = w.at("his", "posted", l.At)
		}
	case (o.State == order.BeingPosted || o.State == order.InReview) && !l.At.IsZero():
		l.Status = Due
	default:
		return
	}
	w.add(l, numbers)
}

// posted is the settlement with which the order was posted, or is to be: the last that no refund has made.
func (w *writer) posted() *settlement.Settlement {
	for _, s := range slices.Backward(w.o.Settlements) {
		if !s.Anew && s.SetlID != "" && (w.o.Post == order.PostDone || s.State == settlement.Settled) {
			return s
		}
	}
	return nil
}

// at is when something last happened, by what the event is called or what it is about; otherwise the time given.
func (w *writer) at(subject, verbOrNumber string, otherwise time.Time) time.Time {
	for i := range slices.Backward(w.history) {
		if e := &w.history[i]; e.Subject == subject && (e.Verb == verbOrNumber || e.Number == verbOrNumber) {
			return e.At
		}
	}
	return otherwise
}

func (w *writer) refunds() {
	for _, f := range w.o.Refunds {
		if p := w.o.Payment(); p != nil {
			w.back(p, &f.Cash, f.Cash.Amount)
		}
		if f.BookingNo == "" {
			continue
		}
		w.add(Line{Leg: Posting, Kind: Refund, At: w.at("refund", f.BookingNo, f.DoneAt), Amount: f.Total(), Split: f.Rest, Tells: TellsAll},
			map[Number]string{RefundNo: f.ID.No(), BookingNo: f.BookingNo})
	}
}
