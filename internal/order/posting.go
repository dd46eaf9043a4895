package order

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
)

// posting tells the HIS that the bills are paid, until it has heard. After any doubt it asks first, by our number.
func (r *run) posting() (turn, error) {
	o := r.order
	if limit, ok := r.postUntil(); ok && !r.clock.Now().Before(limit) {
		return turn{call: r.askPosting}, nil // nothing is sent any more
	}
	if o.Post == PostNone || o.PostReady {
		o.Post, o.PostReady, o.changed = PostAsked, false, true
		return turn{call: r.post}, nil
	}
	return turn{call: r.askPosting}, nil
}

// postUntil is when the institution's own limit ends, after which a bill that the HIS has not booked is given back (Party.PostLimit).
func (r *run) postUntil() (time.Time, bool) {
	if r.party.PostLimit <= 0 {
		return time.Time{}, false
	}
	since := r.order.ConfirmedAt // by our clock; a counterpart's may be wrong
	if s := r.order.Settlement(); s != nil && s.SettledAt.After(since) {
		since = s.SettledAt
	}
	if p := r.order.Payment(); p != nil && p.PaidAt.After(since) {
		since = p.PaidAt
	}
	return since.Add(r.party.PostLimit), true
}

// notBooked follows a proof that the HIS has not booked the order: it is told again, or beyond the limit everything goes back. That is
// decided only when the last posting sent before the limit can no longer arrive.
func (r *run) notBooked() again {
	r.order.PostReady, r.order.changed = true, true
	a := later(&job.Posting, "post again")
	if limit, ok := r.postUntil(); ok && !r.clock.Now().Before(limit) {
		a.rest = limit.Add(r.leaseEnd().Sub(r.clock.Now()))
		if !r.clock.Now().Before(a.rest) {
			r.unwind(HISSilent)
			return again{}
		}
	}
	return a
}

func (r *run) postingOf() Posting {
	o := r.order
	p := Posting{OrderNo: o.ID.No(), HISPatient: o.HISPatient, Total: o.Total, Split: o.Split}
	for i := range o.Bills {
		p.Bills = append(p.Bills, PostedBill{No: o.Bills[i].Bill.No, Total: o.Bills[i].Bill.Total})
	}
	if s := o.Settlement(); s != nil && s.SetlID != "" {
		p.SetlID, p.MdtrtID, p.SettledAt = s.SetlID, s.Visit.MdtrtID, s.SettledAt
	}
	if c := o.Payment(); c != nil && c.TransactionID != "" {
		p.OutTradeNo, p.TransactionID, p.PaidAt = c.OutTradeNo, c.TransactionID, c.PaidAt
	}
	return p
}

func (r *run) post(ctx context.Context) again {
	posted, err := r.party.Hospital.Post(ctx, r.postingOf())
	switch {
	case err == nil:
		r.complete(posted)
		return again{}
	case fault.InMoneyStep(err) == fault.Unavailable:
		r.order.PostReady, r.order.changed = true, true
		return later(&job.Posting, "post: not taken")
	case fault.InMoneyStep(err) == fault.Unknown:
		return later(&job.Posting, "post: unknown")
	default: // whatever the refusal says, a query proves it
		return r.askPosting(ctx)
	}
}

// askPosting is the only cure for an unknown posting.
func (r *run) askPosting(ctx context.Context) again {
	o := r.order
	status, err := r.party.Hospital.PostingOf(ctx, o.ID.No(), o.BillNos())
	if err != nil {
		return later(&job.Posting, "query posting: "+kindOf(err))
	}
	switch status.State {
	case PostingDone:
		if status.Total != o.Total || status.Split != o.Split {
			r.review(HISMismatch)
			return again{}
		}
		r.complete(status.Posted)
	case PostingNone:
		return r.notBooked()
	case PostingElsewhere:
		r.unwind(PaidElsewhere)
	case PostingVoid:
		r.unwind(BillVoid)
	default:
		return later(&job.Posting, "query posting: state unknown: "+bill.ErrUnreadable.Code)
	}
	return again{}
}

// complete ends the order: the HIS has booked it, what was held becomes revenue.
func (r *run) complete(p Posted) {
	o := r.order
	r.note(Event{Subject: "his", Verb: "posted", From: string(o.Post), To: string(PostDone), Number: p.PostingNo, Split: o.Split,
		Posting: ledger.Against(ledger.Revenue, ledger.Line{Account: ledger.Suspense, Amount: o.Total})})
	o.Post, o.Posted = PostDone, p
	if o.Lock == Locked || o.Lock == LockAsked {
		o.Lock = Released // the posting consumed it
	}
	_ = r.move(Complete, "") // being posted has this move
}
