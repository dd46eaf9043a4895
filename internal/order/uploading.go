package order

import (
	"context"
	"errors"
	"fmt"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// uploading finds out at the mobile-payment centre who pays what: 6201 uploads, 6202 foresees. No money moves. Without the answer of 6201
// nothing can be queried or revoked: the next try has new numbers, and the old ones are kept. What that answer names is stored before 6202
// goes out.
func (r *run) uploading(ctx context.Context) (turn, error) {
	o, s := r.order, r.order.Settlement()
	if o.Renew {
		if !r.clock.Now().Before(o.QuotedUntil) {
			return r.abandon(ctx, AuthTooOld)
		}
		return turn{until: o.QuotedUntil, note: "waits for a new authorisation"}, nil
	}
	if s == nil || s.State.Final() {
		return r.upload(ctx)
	}
	switch s.State {
	case settlement.Presettled:
		return r.foreseen(ctx)
	case settlement.Presettling:
		switch {
		case s.Upload.PayOrdID != "":
			lost := s.Serial != ""
			s.AskForesee(r.serial())
			return turn{call: func(ctx context.Context) again { return r.foresee(ctx, lost) }}, nil
		case s.Settles == 0: // it never left
			return r.sendUpload(), nil
		}
		if err := r.dropPresettlement(); err != nil { // loaded as asked: its answer is lost
			return turn{}, err
		}
		if r.lostUploads() >= r.uploadTries() {
			return r.abandon(ctx, InsurerSilent)
		}
		return r.upload(ctx)
	default: // settled by 6202 alone, or a matter for people: closing gives back what there is
		o.Split = s.Foreseen
		o.Split.Uninsured = o.Total - s.Foreseen.Total()
		return r.abandon(ctx, SettleUnproved)
	}
}

func (r *run) uploadTries() int {
	if r.party.UploadTries > 0 {
		return r.party.UploadTries
	}
	return 2
}

func (r *run) lostUploads() int {
	lost := 0
	for _, s := range r.order.Settlements {
		if s.State == settlement.Dropped {
			lost++
		}
	}
	return lost
}

// serial is a fresh orgBizSer.
func (r *run) serial() string { return fmt.Sprintf("S%d", r.source.ID()) }

// upload opens a new attempt, unless the authorisation would end before the patient can pay.
func (r *run) upload(ctx context.Context) (turn, error) {
	if err := r.checkAuth(r.order); err != nil {
		r.needAuth()
		return r.uploading(ctx)
	}
	r.newSettlement()
	return r.sendUpload(), nil
}

// needAuth lets the order wait for a new authorisation, and not for ever.
func (r *run) needAuth() {
	o := r.order
	o.Renew, o.QuotedUntil = true, r.clock.Now().Add(r.config.QuoteLife)
	r.note(Event{Subject: "order", Verb: "authorise", From: string(o.State), To: string(o.State)})
}

func (r *run) sendUpload() turn {
	r.order.Settlement().Asked()
	return turn{call: r.askUpload}
}

// askUpload is 6201.
func (r *run) askUpload(ctx context.Context) again {
	s := r.order.Settlement()
	from := s.State
	may, err := r.mayAsk(ctx)
	if err == nil && !may { // withdrawn since the order was made
		_ = r.dropPresettlement() // presettling has this move
		r.giveUp(ByPatient)
		return again{}
	}
	var claim settlement.Claim
	if err == nil {
		claim, err = r.claimOf(ctx)
	}
	if err != nil { // nothing was sent
		s.Unasked()
		return r.uploadLater("claim unreadable")
	}
	u, err := r.party.Centre.Upload(ctx, claim)
	switch kind := fault.InMoneyStep(err); {
	case err == nil && u.PayOrdID != "" && !u.PayToken.IsZero():
		s.Uploaded(u, r.clock.Now())
		r.leg("settlement", "uploaded", string(from), string(s.State), u.PayOrdID, split.Split{}, nil)
		return again{}
	case errors.Is(err, settlement.ErrAuth):
		_ = s.Decline(wordsOf(err)) // presettling has this move
		r.leg("settlement", "auth refused", string(from), string(s.State), s.Upload.OrderNo, split.Split{}, nil)
		r.needAuth()
		return again{}
	case err != nil && kind == fault.Rejected:
		_ = s.Decline(wordsOf(err))
		r.order.Refusal = wordsOf(err)
		r.leg("settlement", "decline", string(from), string(s.State), s.Upload.OrderNo, split.Split{}, nil)
		return again{}
	case err != nil && kind == fault.Unavailable:
		s.Unasked()
		return r.uploadLater("upload: " + kindOf(err))
	default:
		a := r.uploadLater("upload: lost")
		a.rest = r.arrived() // it may still be on its way
		return a
	}
}

func (r *run) uploadLater(note string) again {
	a := later(&job.Quoting, note)
	a.over = func() { r.giveUp(InsurerSilent) }
	return a
}

// foresee is 6202; after a lost one 6301 comes first.
func (r *run) foresee(ctx context.Context, lost bool) again {
	s := r.order.Settlement()
	if lost {
		if standing, a := r.queryCentre(ctx); standing != settlement.StandsOpen {
			return r.unforeseen(standing, a)
		}
	}
	from := s.State
	claim, err := r.claimOf(ctx)
	if err != nil {
		return r.uploadLater("claim unreadable")
	}
	t, err := r.party.Centre.Foresee(ctx, s.Serial, claim)
	if err == nil {
		err = s.Foreknow(t)
	}
	switch {
	case err == nil:
		r.leg("settlement", "foresee", string(from), string(s.State), s.Upload.PayOrdID, s.Foreseen, nil)
		return again{}
	case errors.Is(err, settlement.ErrAuth):
		_ = r.settle("auth refused", settleOn(settlement.Withdraw)) // presettling has this move
		r.needAuth()
		return again{}
	case fault.InMoneyStep(err) == fault.Rejected:
		_ = r.settle("refused", settleOn(settlement.Withdraw))
		r.order.Refusal = wordsOf(err)
		return again{}
	default:
		return r.uploadLater("foresee: " + kindOf(err))
	}
}

// unforeseen follows a 6301 that does not say "uploaded, not settled" while nobody has handed the upload to WeChat.
func (r *run) unforeseen(standing settlement.Standing, a again) again {
	switch standing {
	case settlement.StandsPaid: // a centre that settles by 6202 alone: closing gives it back
		if r.order.Settlement().State != settlement.Settled {
			r.settlementInReview(CentrePeculiar)() // and does not say how much
		}
		return again{}
	case settlement.StandsReturned, settlement.StandsRevoked, settlement.StandsFailed:
		return again{} // noted by the query; a new upload follows
	case settlement.StandsPeculiar, settlement.StandsCashBack:
		r.settlementInReview(CentrePeculiar)()
		return again{}
	default:
		if a.schedule == nil {
			a = r.uploadLater("centre: " + string(standing))
		}
		a.schedule, a.over = &job.Quoting, func() { r.giveUp(InsurerSilent) }
		return a
	}
}

// Renew takes the patient's newest authorisation for an order that waits for one, or for a quote that is not confirmed yet; who pays what is
// then asked anew, under new numbers. A refund that waits for one to settle the rest goes on, and takes it with its next intent. Errors:
// ErrNotFound, ErrState, ErrAuthUsed without a new authorisation, patient.ErrAuthExpired, patient.ErrNotBound, job.ErrBusy.
func (s *Service) Renew(ctx context.Context, account patient.AccountID, id ID) (*Order, error) {
	var renewed *Order
	err := s.held(ctx, account, id, func(o *Order, claim job.Claim) error {
		renewed = o
		return s.renew(ctx, o, claim)
	})
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	return renewed, nil
}

func (s *Service) renew(ctx context.Context, o *Order, claim job.Claim) error {
	auth, err := s.people.NewestAuth(ctx, o.Patient)
	resettles := o.Refund() != nil && o.Refund().WantsAuth()
	waits := (o.State == Quoting && o.Renew) || resettles
	switch fresh := err == nil && auth.ID != o.PayAuth; {
	case !o.Insured || o.CancelAsked || o.PayAuth == 0 || (!waits && (o.State != Quoted || !o.ConfirmedAt.IsZero())):
		return ErrState
	case errors.Is(err, patient.ErrNotBound) || (err == nil && !fresh):
		return ErrAuthUsed
	case err != nil:
		return err
	}
	before := *o
	o.PayAuth, o.AuthUntil = auth.ID, auth.UsableUntil
	err = s.checkAuth(o)
	if err != nil || resettles {
		o.PayAuth, o.AuthUntil = before.PayAuth, before.AuthUntil
	}
	if err != nil {
		return err
	}
	o.Renew = false
	claim.RunAt, claim.Attempt = s.clock.Now(), 0
	o.Events = append(o.Events, Event{At: s.clock.Now(), Actor: actorOf(o.Account), Subject: "order", Verb: "authorised", From: string(o.State), To: string(o.State)})
	r, err := s.running(o, claim, actorOf(o.Account))
	if err != nil {
		return err
	}
	if o.State == Quoted {
		r.requote("authorised anew")
	}
	return r.loop(ctx)
}
