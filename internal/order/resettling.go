package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// authWait is how long a refund waits for the authorisation that settles the rest.
const authWait = 24 * time.Hour

// resettle gives a part of an insured order back. The insurer takes back a settlement only as a whole (nhsa-core.md §3.7), so what remains is
// prepared first, by 2204 and 2206; then 2208, then 2206 again, since the limits are then as if the first settlement had never been, then 2207.
// What cannot be settled anew after 2208 is put back as it was, by 2601 on the 2208, and a person looks.
func (r *run) resettle(ctx context.Context, f *refund.Refund) (turn, bool, error) {
	old, anew := r.order.Settlement(), r.order.anewOf(f)
	if old == nil {
		return turn{}, false, errors.New("an insured refund of an order without a settlement")
	}
	if anew == nil || anew.State == settlement.Dropped {
		return r.prepareRest(ctx, f)
	}
	switch anew.State {
	case settlement.Presettling: // loaded as asked: its answer is lost, and nothing moved
		if err := r.settleThe(anew, "drop", settleOn(settlement.Drop)); err != nil {
			return turn{}, false, err
		}
		return r.prepareRest(ctx, f)
	case settlement.Declined:
		r.giveUpRefund(f, RestRefused)
		return turn{}, false, nil
	case settlement.Presettled:
		return r.swap(ctx, f, old, anew)
	case settlement.Settled:
		f.InsuredAt, f.Rest = r.clock.Now(), restOf(f, anew.Actual)
		f.Touch()
		return turn{}, false, nil
	case settlement.Refused, settlement.Reversed:
		return r.reinstate(f, old)
	}
	t, err := r.settling(ctx)
	return t, true, err
}

// anewOf is the settlement of what a refund leaves insured.
func (o *Order) anewOf(f *refund.Refund) *settlement.Settlement {
	for _, s := range o.Settlements {
		if s.ID == f.Anew && f.Anew != 0 {
			return s
		}
	}
	return nil
}

// restOf is what stands after a refund, where the insurer settles the rest so.
func restOf(f *refund.Refund, rest split.Split) split.Split {
	rest.Uninsured = f.Before.Uninsured - f.Uninsured()
	return rest
}

// prepareRest asks 2206 for what remains insured, under an authorisation of now. It moves no money. An authorisation taken for an earlier try
// serves this one, too, as long as it lives.
func (r *run) prepareRest(ctx context.Context, f *refund.Refund) (turn, bool, error) {
	o, old := r.order, r.order.Settlement()
	taken := f.Anew != 0 && o.AuthUntil.Sub(r.clock.Now()) >= leastTime
	if r.needsAuth(r.party, o.Route) && !taken {
		auth, err := r.people.NewestAuth(ctx, o.Patient)
		fresh := err == nil && auth.UsableUntil.Sub(r.clock.Now()) >= leastTime
		switch {
		case err != nil && !errors.Is(err, patient.ErrNotBound):
			return turn{}, false, fmt.Errorf("authorisation for the rest: %w", err)
		case !fresh && f.WantsAuth() && !r.clock.Now().Before(f.AuthSince.Add(r.config.Pace.Wait(authWait))):
			r.giveUpRefund(f, AuthTooOld)
			return turn{}, false, nil
		case !fresh:
			if !f.WantsAuth() {
				f.AuthSince = r.clock.Now()
				f.Touch()
			}
			return turn{until: r.clock.Now().Add(r.config.Pace.Wait(time.Minute)), note: "waits for an authorisation to settle the rest"}, true, nil
		}
		o.PayAuth, o.AuthUntil = auth.ID, auth.UsableUntil
	}
	id := settlement.ID(r.source.ID())
	s := settlement.NewOfRest(id, len(o.Settlements)+1, old.Visit, fmt.Sprintf("B%d", r.source.ID()), r.restInsured(f), old.UseAccount)
	o.Settlements = append(o.Settlements, s)
	f.Anew, f.Foreseen, f.AuthSince = id, false, time.Time{}
	f.Touch()
	r.leg("settlement", "presettle rest", "", string(s.State), s.BatchNo, split.Split{}, nil)
	return turn{call: func(ctx context.Context) again { return r.presettleRest(ctx, f, s) }}, true, nil
}

func (r *run) presettleRest(ctx context.Context, f *refund.Refund, s *settlement.Settlement) again {
	from := s.State
	claim, err := r.claimFor(ctx, s)
	var p settlement.Presettlement
	if err == nil {
		if p, err = r.insurer.Presettle(ctx, claim); err == nil {
			err = s.Foresee(p)
		}
	}
	switch {
	case err == nil:
		r.leg("settlement", "foresee rest", string(from), string(s.State), s.BatchNo, s.Foreseen, nil)
		return again{}
	case fault.InMoneyStep(err) == fault.Rejected:
		_ = r.settleThe(s, "decline rest", func(s *settlement.Settlement) error { return s.Decline(wordsOf(err)) }) // presettling has this move
		return again{}
	}
	_ = r.settleThe(s, "drop rest", settleOn(settlement.Drop))
	a := later(&job.Quoting, "presettle rest: "+kindOf(err))
	a.over = func() { r.giveUpRefund(f, InsurerSilent) }
	return a
}

// swap exchanges the settlement that stands for the one of the rest. What the patient would pay is known only by the 2206 after the 2208: before
// it, the account and the limits are still used up by what is to be cancelled.
func (r *run) swap(ctx context.Context, f *refund.Refund, old, anew *settlement.Settlement) (turn, bool, error) {
	switch {
	case old.State != settlement.Cancelled:
		return r.undoInsurance(ctx, old)
	case !f.Foreseen:
		return turn{call: func(ctx context.Context) again { return r.foreseeRest(ctx, f, anew) }}, true, nil
	}
	t, err := r.sendSettle(anew, (*settlement.Settlement).SendOnce)
	return t, true, err
}

// foreseeRest is 2206 once more, after the 2208.
func (r *run) foreseeRest(ctx context.Context, f *refund.Refund, s *settlement.Settlement) again {
	giveUp := func() { _ = r.settleThe(s, "rest given up", settleOn(settlement.GiveUp)) } // presettled has this move; the former is reinstated
	claim, err := r.claimFor(ctx, s)
	var p settlement.Presettlement
	if err == nil {
		if p, err = r.insurer.Repeat(ctx, claim); err == nil {
			err = s.Reforesee(p)
		}
	}
	switch {
	case err == nil && f.Before.Charge() < restOf(f, s.Foreseen).Charge():
		f.Cause = string(WouldOwe)
		f.Touch()
		giveUp()
		return again{}
	case err == nil:
		f.Foreseen = true
		f.Touch()
		return again{}
	case fault.InMoneyStep(err) == fault.Rejected:
		giveUp()
		return again{}
	}
	a := later(&job.Quoting, "foresee rest: "+kindOf(err))
	a.over = giveUp
	return a
}

// reinstate puts a settlement back in force whose rest could not be settled; then a person looks.
func (r *run) reinstate(f *refund.Refund, old *settlement.Settlement) (turn, bool, error) {
	why := Cause(cmp.Or(f.Cause, string(RestUnsettled)))
	switch old.State {
	case settlement.Settled:
		r.review(why)
		return turn{}, false, nil
	case settlement.Cancelled:
		if err := r.settleThe(old, "reinstate", func(s *settlement.Settlement) error { return s.AskRestore(r.insurer.MsgID(), r.asked()) }); err != nil {
			return turn{}, false, err
		}
	case settlement.Restoring: // loaded as asked, or without an answer: again, under a number of its own
		if r.clock.Now().Before(old.AskedUntil) {
			return turn{until: old.AskedUntil, note: "a lost reversal rests"}, true, nil
		}
		old.Restore(r.insurer.MsgID(), r.asked())
	default:
		r.review(why)
		return turn{}, false, nil
	}
	return turn{call: func(ctx context.Context) again { return r.askReinstate(ctx, old) }}, true, nil
}

// askReinstate is 2601 on the 2208, and 5203: that a number has no effect does not prove that the settlement, which another may have cancelled, stands.
func (r *run) askReinstate(ctx context.Context, old *settlement.Settlement) again {
	from, stands := old.State, false
	err := r.insurer.Reverse(ctx, old.MsgID, old.Visit, "2208", old.LostMsgID)
	if err == nil || fault.InMoneyStep(err) == fault.Rejected {
		stands, err = r.insurer.InForce(ctx, old.Visit, old.SetlID)
	}
	switch {
	case stands && old.Apply(settlement.Accept) == nil:
		r.leg("settlement", "reinstated", string(from), string(old.State), old.SetlID, old.Actual, old.Posting(r.against()))
		return again{}
	case err == nil, fault.InMoneyStep(err) == fault.Rejected:
		r.settlementInReview(RestUnsettled)()
		return again{}
	}
	return r.restoreLost(old, "reinstate: "+kindOf(err), RestUnsettled)
}

// restBills are the bills without what was given back up to the refund that this settlement belongs to.
func (r *run) restBills(s *settlement.Settlement) []bill.Bill {
	var bills []bill.Bill
	for i := range r.order.Bills {
		bills = append(bills, r.order.Bills[i].Bill)
	}
	var gone []*refund.Refund
	for _, f := range r.order.Refunds {
		gone = append(gone, f)
		if f.Anew == s.ID {
			break
		}
	}
	return refund.Left(bills, gone)
}
