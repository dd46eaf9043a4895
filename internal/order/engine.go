package order

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// leaseMargin is how much longer than a call's own deadline its claim is kept, so that a request still on its way when we gave up has
// arrived before anybody asks again (design.md §4.1).
const leaseMargin = 30 * time.Second

// turn is what an order does next. Either it calls somebody, after the intent is stored; or it waits; or its job is done.
type turn struct {
	call  func(ctx context.Context) again // runs outside every transaction and notes the answer in the order
	until time.Time
	note  string
	done  bool
}

// again is how a call ended: the zero value is progress; else the same is due once more by a schedule, not before rest.
type again struct {
	schedule *job.Schedule
	keep     bool // progress, but in a circle: the waits go on where they were
	rest     time.Time
	over     func() // what to do when the schedule is over; nil: a person must look
	note     string
}

func later(s *job.Schedule, note string) again { return again{schedule: s, note: note} }

// run is one claim's work on one order.
type run struct {
	*Service
	order   *Order
	party   *Party
	insurer settlement.Insurer // of the order's route; nil without
	atOnce  bool               // the order's route, which the institution may have left since, moves both legs together
	claim   job.Claim
	actor   string
	attempt int              // the schedule's index: how often the present wait was repeated
	early   bool             // woken before its time: a look out of turn, which uses up nothing of the schedule
	account *patient.Account // read when first needed
	known   acquaintance
	opened  bool // the settlement was opened by this run, and nobody was asked yet
	looked  bool // a closed order's payment was looked up in this run
}

// acquaintance is what the request that began a run has read of the people it acts for.
type acquaintance struct {
	person    *patient.Patient
	auth      *patient.PayAuth
	consented bool // to ask the insurer
}

// restart begins the waits of something new.
func (r *run) restart() { r.attempt, r.early = 0, false }

func (s *Service) work(ctx context.Context, claim job.Claim, actor string) error {
	id, err := ParseID(claim.Ref)
	if err != nil {
		return fmt.Errorf("order job %d: %w", claim.ID, err)
	}
	o, err := s.store.Load(ctx, id)
	if err != nil {
		return fmt.Errorf("order %s: %w", claim.Ref, err)
	}
	r, err := s.running(o, claim, actor)
	if err != nil {
		return err
	}
	return r.loop(ctx)
}

// running is a run that may call the order's counterparts.
func (s *Service) running(o *Order, claim job.Claim, actor string) (*run, error) {
	r, err := s.holding(o, claim, actor)
	if err != nil {
		return nil, err
	}
	if l := o.Settlement(); l != nil && !l.State.Final() && ((r.atOnce && r.party.Centre == nil) || (!r.atOnce && r.insurer == nil)) {
		return nil, fmt.Errorf("order %s: institution %s has no insurer for route %q any more", o.ID.No(), o.Institution, o.Route)
	}
	return r, nil
}

// holding is a claim's work without a call.
func (s *Service) holding(o *Order, claim job.Claim, actor string) (*run, error) {
	party, ok := s.parties[o.Institution]
	if !ok {
		return nil, fmt.Errorf("order %s: institution %s is not configured", o.ID.No(), o.Institution)
	}
	legs, _ := s.legsOf(o.Route)
	return &run{Service: s, order: o, party: party, insurer: party.insurer(o.Route), atOnce: together(legs), claim: claim, actor: actor, attempt: claim.Attempt,
		early: claim.RunAt.After(s.clock.Now())}, nil
}

// loop is intent, call, result, and again, until the order waits or is done. The result of one call and the intent of the next share a
// commit. The caller's going away does not end it.
func (r *run) loop(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if _, working := r.working.LoadOrStore(r.claim.ID, r); working && !r.claim.Held() {
		return job.ErrBusy
	}
	r.working.Store(r.claim.ID, r)
	defer r.working.CompareAndDelete(r.claim.ID, r) // another's mark is not ours
	err := r.turns(ctx)
	if errors.Is(err, ErrNumberTaken) {
		return r.numberTaken(ctx)
	}
	return err
}

func (r *run) turns(ctx context.Context) error {
	for {
		t, err := r.turn(ctx)
		if err != nil {
			return fmt.Errorf("order %s in %s: %w", r.order.ID.No(), r.order.State, err)
		}
		switch {
		case t.done:
			return r.commit(ctx, job.Finish())
		case t.call == nil:
			return r.commit(ctx, job.At(t.until, r.attempt, t.note))
		}
		if err := r.intend(ctx); err != nil {
			return err
		}
		limit, err := r.callLimit()
		if err != nil {
			return err
		}
		callCtx, cancel := r.clock.WithDeadline(ctx, limit)
		a := t.call(callCtx)
		cancel()
		if a.schedule == nil {
			if !a.keep {
				r.restart()
			}
			continue
		}
		wait, ok := a.schedule.Wait(r.attempt, r.config.Pace)
		if !ok {
			r.restart()
			if a.over == nil {
				r.review(TooLong)
			} else {
				a.over()
			}
			continue
		}
		at := r.claim.RunAt
		if !r.early {
			r.attempt++
			at = r.clock.Now().Add(r.source.Spread(wait))
		}
		if at.Before(a.rest) {
			at = a.rest
		}
		return r.commit(ctx, job.At(at, r.attempt, a.note))
	}
}

// intend makes sure, before a call, that what is asked is stored, that the claim is held, and that it outlives the call.
func (r *run) intend(ctx context.Context) (err error) {
	end := r.leaseEnd()
	fresh := r.claim.Held() && !r.claim.LeaseUntil.Before(end.Add(-r.config.Pace.Wait(leaseMargin/2)))
	switch {
	case !r.dirty() && fresh: // a question only
		return nil
	case !r.dirty() && !r.claim.Held():
		r.claim, err = r.Service.claim(ctx, r.claim.Job)
		return err
	}
	if r.early { // something new is asked, and its time is now
		r.early, r.claim.RunAt = false, r.clock.Now()
	}
	if fresh && r.attempt == r.claim.Attempt {
		return r.commit(ctx, job.Stay())
	}
	return r.commit(ctx, job.Hold(end, r.attempt))
}

// callLimit is how long a call that begins now may take: never so long that its claim could end meanwhile. An error means that the process
// has slept between intent and call: then nothing is sent any more, for by now somebody else may be asking what became of it.
func (r *run) callLimit() (time.Duration, error) {
	left := r.claim.LeaseUntil.Sub(r.clock.Now()) - r.config.Pace.Wait(leaseMargin/2)
	if left <= 0 {
		return 0, fmt.Errorf("order %s: too late to call: %w", r.order.ID.No(), job.ErrLost)
	}
	return min(left, r.config.CallLimit), nil
}

func (r *run) dirty() bool {
	if len(r.order.Events) > 0 || r.order.Vote != nil || r.order.changed {
		return true
	}
	for _, s := range r.order.Settlements {
		if s.Changed() {
			return true
		}
	}
	for _, p := range r.order.Payments {
		if p.Changed() {
			return true
		}
	}
	for _, m := range r.order.Mixed {
		if m.Changed() {
			return true
		}
	}
	for _, f := range r.order.Refunds {
		if f.Changed() {
			return true
		}
	}
	return false
}

// commit stores what changed and what becomes of the job. Where nothing changed, as after most looks, the order keeps its version: who waits
// for news is not woken by none.
func (r *run) commit(ctx context.Context, next job.Next) error {
	if next.Hold.IsZero() && !next.Stay && !r.dirty() {
		if err := r.queue.Give(ctx, r.claim, next); err != nil {
			return fmt.Errorf("give order %s back: %w", r.order.ID.No(), err)
		}
		return nil
	}
	err := r.store.Save(ctx, r.order, &r.claim, next)
	if errors.Is(err, job.ErrLost) && len(r.order.Events) > 0 {
		return errors.Join(err, r.keepLate(ctx))
	}
	if err != nil {
		return fmt.Errorf("save order %s: %w", r.order.ID.No(), err)
	}
	r.order.changed = false
	if next.Hold.IsZero() && !next.Stay { // it rests: whoever waits is not woken for every step on the way
		r.news.tell(r.order.ID)
	}
	return nil
}

// numberTaken hands an order to people of which a counterpart has told a number that another order has already: it cannot be stored, and whoever asks
// again is told the same for ever. What was told is kept in words.
func (r *run) numberTaken(ctx context.Context) error {
	told := r.order.Events
	o, err := r.store.Load(ctx, r.order.ID)
	if err != nil {
		return err
	}
	if len(o.Refunds) < len(r.order.Refunds) { // what was asked just now has the number: it is refused, and nobody else's matter
		return errors.Join(ErrNumberTaken, r.queue.Give(ctx, r.claim, job.At(r.clock.Now(), 0, "a refund was not taken")))
	}
	o.Notice, o.Request = r.order.Notice, r.order.Request
	*r.order = *o // as it is stored; whoever waits for it sees that
	for i := range told {
		e := &told[i]
		r.note(Event{Subject: "order", Verb: "number taken", Detail: fmt.Sprintf("%s %s %s %s %s", e.Subject, e.Verb, e.To, e.Number, e.Detail)})
	}
	if p := o.Payment(); p != nil && !p.State.Final() && p.State != payment.Paid { // the leg in question is for people to say; what stands, stands
		r.pay(payment.Escalate)
	}
	if s := o.Settlement(); s != nil && s.Open() && s.State != settlement.Settled {
		_ = r.settle("escalate", settleOn(settlement.Escalate)) // a state that no call leads to keeps its word
	}
	r.review(NumberTaken)
	return r.commit(ctx, job.At(r.clock.Now(), 0, "a number belongs to another order"))
}

// keepLate stores what was learnt after the claim was lost: it is evidence for the next step, never dropped.
func (r *run) keepLate(ctx context.Context) error {
	body, err := json.Marshal(r.order.Events)
	if err != nil {
		return err
	}
	_, err = r.inbox.Put(ctx, job.Notice{Source: lateSource + "/" + r.order.Institution, ID: fmt.Sprintf("%s/%d/%d", r.order.ID.No(), r.claim.ID, r.claim.Version),
		Kind: "late_answer", Number: r.order.ID.No(), Body: body, ReceivedAt: r.clock.Now()})
	return err
}

// turn decides what the order does next, from what is stored alone.
func (r *run) turn(ctx context.Context) (turn, error) {
	switch r.order.State {
	case Quoting:
		return r.quoting(ctx)
	case Quoted:
		return r.quoted(ctx)
	case Paying, Settling:
		return r.advance(ctx)
	case BeingPosted:
		return r.posting()
	case Closing:
		return r.closing(ctx)
	case Unwinding:
		return r.unwinding(ctx)
	case Closed:
		return r.closed(ctx)
	case Completed:
		return r.refunding(ctx)
	default: // unwound, review: nothing happens by itself
		return turn{done: true}, nil
	}
}

// note adds an event; the store numbers it and writes it with the next commit.
func (r *run) note(e Event) {
	e.At, e.Actor = r.clock.Now(), r.actor
	r.order.Events = append(r.order.Events, e)
}

// move moves the order itself. A move that the table does not have is a bug and stops the step before anything is written.
func (r *run) move(m Move, detail string) error {
	from := r.order.State
	to, err := from.Next(m)
	if err != nil {
		return err
	}
	r.order.State = to
	r.note(Event{Subject: "order", Verb: string(m), From: string(from), To: string(to), Detail: detail, Split: r.order.Split})
	return nil
}

// leg notes a move of a leg, with the money it moved.
func (r *run) leg(subject, verb, from, to, number string, s split.Split, p ledger.Posting) {
	r.note(Event{Subject: subject, Verb: verb, From: from, To: to, Number: number, Split: s, Posting: p})
}

// review hands the order to people. The calls that lead here have left the legs as they are.
func (r *run) review(c Cause) {
	if r.order.State == Completed { // it is a refund that cannot go on
		r.reviewRefund(c)
		return
	}
	r.order.Cause = c
	m := Escalate
	switch r.order.State {
	case InReview:
		return
	case Quoting, Quoted: // no money is involved, closing is safe
		m = Abandon
	case Closed: // money came after all, and nobody can tell how it stands
		_ = r.move(Unwind, string(c))
	}
	_ = r.move(m, string(c)) // all other states that call have this move
}

// abandon begins to close an order of which no money was taken.
func (r *run) abandon(ctx context.Context, c Cause) (turn, error) {
	r.giveUp(c)
	return r.turn(ctx)
}

// giveUpForAuth closes what there is for want of an authorisation; with everything proved dead the order waits for a new one.
func (r *run) giveUpForAuth(c Cause) {
	r.giveUp(c)
	r.order.Renew = !r.order.CancelAsked
}

func (r *run) giveUp(c Cause) {
	r.order.Cause, r.order.Renew = c, false
	_ = r.move(Abandon, string(c)) // the callers' states all have this move
}

// unwind begins to give everything back.
func (r *run) unwind(c Cause) {
	r.order.Cause = c
	_ = r.move(Unwind, string(c))
}

func kindOf(err error) string { return fault.InMoneyStep(err).String() }

func (r *run) payer(ctx context.Context) (patient.Account, error) {
	if r.account == nil {
		a, err := r.people.Account(ctx, r.order.Account)
		if err != nil {
			return patient.Account{}, fmt.Errorf("payer: %w", err)
		}
		r.account = &a
	}
	return *r.account, nil
}
