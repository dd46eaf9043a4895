package order

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

// Party is one institution with its counterparts.
type Party struct {
	Institution string
	Name        string // what the payer sees
	Route       Route
	NeedsAuth   bool               // the insurer wants a living authorisation; false where the ID card serves
	Insurer     settlement.Insurer // nil without
	LinkAuth    bool               // as NeedsAuth, of the line
	Link        settlement.Insurer // the HIS's own line to the insurer, where the HIS settles by itself; nil without
	Centre      settlement.Centre  // the mobile-payment centre, where the route's legs move together; neither it nor Insurer: no insurance here
	Gateway     payment.Gateway
	Mixed       payment.MixedGateway // with Centre
	Hospital    Hospital
	Desk        RefundDesk // nil: this hospital gives back at the window alone
	Bills       bill.Source
	PerVisit    bool          // several bills of one visit may be one order; false: each bill is an order of its own
	PostLimit   time.Duration // how long the HIS may leave a paid order unbooked before everything goes back; 0: it is told for seven days

	UploadTries int                  // at the centre: how many 6201 may get lost before the order is given up; 0: two
	SettledBy   []settlement.OrdStas // at the centre: which codes prove a settlement beside WeChat's success; none: 4, 5 and 6
	CashFirst   bool                 // where the legs move together: a refund gives the cash back before the insurance
	OrderType   string               // WeChat's order_type of outpatient bills; empty: DIAG_PAY
	Location    string               // longitude,latitude of the hospital, where nobody knows the patient's
}

// Config are the engine's limits and waits. The zero value is production's.
type Config struct {
	Owner      string          // this process, as the owner of claims
	Pace       clock.Pace      // divides polls, retries and settling times; 1 in production
	Slots      int             // how many orders of one institution are worked on at once, requests of its patients beside; default 4
	CallLimit  time.Duration   // the longest a call may take; default 60 s, as long as an insurer may think
	QuoteLife  time.Duration   // how long a quote may be confirmed; default 15 min
	PayWindow  time.Duration   // how long the patient may take to pay; default 30 min
	AuthMargin time.Duration   // how much of the authorisation's life must be left when cash is paid; default 2 min
	MayClaim   func() bool     // false while the process's clock is too far off the database's (design.md §4.10); nil: always
	Archives   Archives        // follows the HIS where it merges archives; nil: nobody does
	HISBooks   HISBooks        // what a HIS may ask about; needed where one asks
	Routes     map[Route][]Leg // leg orders beyond, or instead of, the standard ones
}

func (c Config) withDefaults() Config {
	if c.Owner == "" {
		c.Owner = "tuoka"
	}
	if c.Slots <= 0 {
		c.Slots = 4
	}
	c.CallLimit = orElse(c.CallLimit, time.Minute)
	c.QuoteLife = orElse(c.QuoteLife, 15*time.Minute)
	c.PayWindow = orElse(c.PayWindow, 30*time.Minute)
	c.AuthMargin = orElse(c.AuthMargin, 2*time.Minute)
	return c
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Service makes, drives and shows orders.
type Service struct {
	store   Store
	queue   job.Queue
	inbox   job.Inbox
	people  patient.Store
	parties map[string]*Party
	clock   clock.Clock
	source  *clock.Source
	config  Config
	working sync.Map // the jobs that this process works on now, by ID
	slots   slots
	looks   atomic.Int64
	news    news
}

// New makes the service for these institutions.
func New(store Store, queue job.Queue, inbox job.Inbox, people patient.Store, parties []*Party, c clock.Clock, source *clock.Source, config Config) *Service {
	s := &Service{store: store, queue: queue, inbox: inbox, people: people, parties: map[string]*Party{}, clock: c, source: source,
		config: config.withDefaults()}
	s.slots = slots{most: s.config.Slots, taken: map[string]int{}, begun: map[string]time.Time{}, short: map[string]bool{}}
	for _, p := range parties {
		s.parties[p.Institution] = p
	}
	return s
}

// QuoteRequest asks for an order of some bills.
type QuoteRequest struct {
	Account     patient.AccountID
	Institution string
	Patient     patient.ID
	BillNos     []string
	Insurance   bool         // ask the insurer; needs consent, binding and a living authorisation
	UseAccount  bool         // let the personal account pay (acct_used_flag)
	Request     *job.Request // stored with the order; nil: none

	// Allowed is the patient as patient.MayPay has let him pay a moment ago, by the insurer where Insurance is set. Nil: it is looked up here.
	Allowed *patient.Patient
}

// maxBills is how many bills one order may hold.
const maxBills = 20

// Quote reads the bills, makes an order of them and asks who pays what; it charges nothing. The order comes back as far as it got:
// quoted, or still quoting when the insurer is slow. Errors: patient.ErrNotFound, ErrNoConsent, ErrNotBound, ErrAuthExpired; the
// sentinels of package bill; ErrNoBills, ErrBillCount, ErrOneBill, ErrKinds, ErrBillLive, ErrRoute; job.ErrBusy when the idempotency key is taken.
func (s *Service) Quote(ctx context.Context, q QuoteRequest) (*Order, error) {
	party, ok := s.parties[q.Institution]
	if !ok {
		return nil, ErrNotFound
	}
	if legs, ok := s.legsOf(party.Route); !ok || (together(legs) && party.Centre == nil) {
		return nil, ErrRoute.Because(fmt.Errorf("route %q of %s", party.Route, party.Institution))
	}
	if err := party.checkNos(q.BillNos); err != nil {
		return nil, err
	}
	o, known, err := s.draft(ctx, q, party)
	if err != nil {
		return nil, fmt.Errorf("quote: %w", err)
	}
	bills, err := readBills(ctx, party.Bills, o.HISPatient, q.BillNos)
	if err != nil {
		return nil, fmt.Errorf("quote: %w", err)
	}
	if err := o.take(bills); err != nil {
		return nil, fmt.Errorf("quote: %w", err)
	}
	o.Request = q.Request
	o.Events = []Event{{At: o.CreatedAt, Actor: actorOf(q.Account), Subject: "order", Verb: "create", To: string(o.State)}}
	r, err := s.running(o, job.Claim{}, actorOf(q.Account))
	if err != nil {
		return nil, fmt.Errorf("quote: %w", err)
	}
	r.known, r.early = known, false
	if r.presettles() { // the intent is stored with the order
		r.newSettlement()
		r.opened = true
	}
	r.claim, err = s.store.Create(ctx, o, job.New{Kind: JobKind, Ref: o.ID.No(), RunAt: o.CreatedAt, Owner: s.config.Owner, LeaseUntil: s.leaseEnd()})
	if err != nil {
		return nil, fmt.Errorf("quote: %w", err)
	}
	if err := r.loop(ctx); err != nil {
		return nil, err
	}
	return o, nil
}

func (p *Party) checkNos(nos []string) error {
	if len(nos) == 0 {
		return ErrNoBills
	}
	sorted := slices.Sorted(slices.Values(nos))
	if len(nos) > maxBills || len(slices.Compact(sorted)) != len(nos) {
		return ErrBillCount
	}
	if len(nos) > 1 && !p.PerVisit {
		return ErrOneBill
	}
	return nil
}

// draft checks who asks for whom, before any counterpart is called, and gives the order to be made with what was read for it.
func (s *Service) draft(ctx context.Context, q QuoteRequest, party *Party) (*Order, acquaintance, error) {
	known := acquaintance{}
	p, err := s.whom(ctx, q)
	if err != nil {
		return nil, known, err
	}
	if p.Institution != q.Institution {
		return nil, known, patient.ErrNotFound
	}
	known.person = &p
	now := s.clock.Now()
	o := &Order{ID: ID(s.source.ID()), Institution: q.Institution, Account: q.Account, Patient: p.ID, HISPatient: p.HISPatient,
		Route: party.Route, State: Quoting, CreatedAt: now, UpdatedAt: now, UseAccount: q.UseAccount}
	if !q.Insurance || !s.insures(party) {
		return o, known, nil
	}
	known.consented = allowed(q)
	if !known.consented {
		if known.consented, err = s.consented(ctx, q.Account); err != nil {
			return nil, known, err
		}
	}
	if !known.consented {
		return nil, known, patient.ErrNoConsent
	}
	o.Insured = true
	if !s.needsAuth(party, o.Route) {
		_, bound, err := s.people.BindingOf(ctx, p.ID)
		if err == nil && !bound {
			err = patient.ErrNotBound
		}
		return o, known, err
	}
	auth, err := s.people.NewestAuth(ctx, p.ID) // whoever has authorised is bound
	if err != nil {
		return nil, known, err
	}
	known.auth = &auth
	o.PayAuth, o.AuthUntil = auth.ID, auth.UsableUntil
	return o, known, s.checkAuth(o)
}

// allowed reports whether package patient has let this very patient pay.
func allowed(q QuoteRequest) bool {
	return q.Allowed != nil && q.Allowed.ID == q.Patient && q.Allowed.Account == q.Account
}

// whom gives the patient of a request, who must be the account's own.
func (s *Service) whom(ctx context.Context, q QuoteRequest) (patient.Patient, error) {
	if allowed(q) {
		return *q.Allowed, nil
	}
	return s.people.Patient(ctx, q.Account, q.Patient)
}

// consented reports whether the account's consent to ask the insurer stands. Withdrawal stops new payments, never refunds (design.md §5).
func (s *Service) consented(ctx context.Context, account patient.AccountID) (bool, error) {
	consents, err := s.people.Consents(ctx, account)
	return slices.ContainsFunc(consents, func(c patient.Consent) bool { return c.Kind == patient.ConsentInsurance }), err
}

// checkAuth refuses an authorisation that would end before the patient has had a minute to pay.
func (s *Service) checkAuth(o *Order) error {
	if o.PayAuth != 0 && o.AuthUntil.Add(-s.config.AuthMargin).Sub(s.clock.Now()) < leastTime {
		return patient.ErrAuthExpired
	}
	return nil
}

func actorOf(a patient.AccountID) string { return fmt.Sprintf("account:%d", a) }

// drive works on a held order in the request that needs the result. Whatever goes wrong here, the job survives and a worker goes on.
func (s *Service) drive(ctx context.Context, o *Order, claim job.Claim, actor string) error {
	r, err := s.running(o, claim, actor)
	if err != nil {
		return err
	}
	return r.loop(ctx)
}

// Confirmation is a patient's consent to a quote.
type Confirmation struct {
	Account patient.AccountID
	Order   ID
	Seen    int64                               // the version that the patient has seen; 0: as it stands
	Allow   func(context.Context, *Order) error // asked before anything is done; nil: nobody is
	Request *job.Request                        // stored with the confirmation; nil: none
}

// Confirm takes the patient's consent: it locks the bills, reads them again and begins to collect. The order comes back as far as it got: paying
// (see Cashier), settling, quoting when a bill changed, or closing. Errors: ErrNotFound, ErrConfirmed, ErrChanged, ErrExpired, ErrState,
// patient.ErrAuthExpired, job.ErrBusy, and what Allow says.
func (s *Service) Confirm(ctx context.Context, c Confirmation) (*Order, error) {
	var confirmed *Order
	if c.Seen == 0 { // what stands as the request comes: nobody has seen what may come while it waits
		o, err := s.Get(ctx, c.Account, c.Order)
		if err != nil {
			return nil, fmt.Errorf("confirm: %w", err)
		}
		c.Seen = o.Version
	}
	err := s.held(ctx, c.Account, c.Order, func(o *Order, claim job.Claim) error {
		if err := s.mayConfirm(o, c.Seen); err != nil {
			return err
		}
		if c.Allow != nil {
			if err := c.Allow(ctx, o); err != nil {
				return err
			}
		}
		o.ConfirmedAt, o.Request = s.clock.Now(), c.Request
		claim.RunAt, claim.Attempt = o.ConfirmedAt, 0
		o.Events = append(o.Events, Event{At: o.ConfirmedAt, Actor: actorOf(c.Account), Subject: "order", Verb: "confirm", From: string(o.State),
			To: string(o.State), Split: o.Split})
		confirmed = o
		return s.drive(ctx, o, claim, actorOf(c.Account))
	})
	if err != nil {
		return nil, fmt.Errorf("confirm: %w", err)
	}
	return confirmed, nil
}

func (s *Service) mayConfirm(o *Order, seen int64) error {
	switch {
	case !o.ConfirmedAt.IsZero():
		return ErrConfirmed
	case o.State != Quoted || o.CancelAsked:
		return ErrState
	case seen != 0 && seen != o.Version:
		return ErrChanged
	case !s.clock.Now().Before(o.QuotedUntil):
		return ErrExpired
	case o.Settlement() != nil && o.Settlement().State == settlement.Presettled:
		return s.checkAuth(o)
	}
	return nil
}

// Cancel gives an order up that is not paid yet. What it answers is the order as far as it got: an order that turns out to be paid already goes
// on, and a payment that arrives while the order is being closed goes back. Errors: ErrNotFound, ErrState, job.ErrBusy.
func (s *Service) Cancel(ctx context.Context, account patient.AccountID, id ID) (*Order, error) {
	var cancelled *Order
	err := s.held(ctx, account, id, func(o *Order, claim job.Claim) error {
		cancelled = o
		switch {
		case o.State == Closing && o.Renew: // it was to be taken up again
			o.Renew = false
		case o.State == Closing || (o.CancelAsked && o.State == Paying): // asked already: it is only looked after
			return s.queue.Wake(ctx, JobKind, id.No(), s.clock.Now())
		case o.State != Quoting && o.State != Quoted && o.State != Paying:
			return ErrState
		}
		o.CancelAsked = true
		claim.RunAt, claim.Attempt = s.clock.Now(), 0
		o.Events = append(o.Events, Event{At: s.clock.Now(), Actor: actorOf(account), Subject: "order", Verb: "cancel", From: string(o.State), To: string(o.State)})
		return s.drive(ctx, o, claim, actorOf(account))
	})
	if err != nil {
		return nil, fmt.Errorf("cancel: %w", err)
	}
	return cancelled, nil
}

// Get reads an order of the account. ErrNotFound for another's.
func (s *Service) Get(ctx context.Context, account patient.AccountID, id ID) (*Order, error) {
	o, err := s.store.Load(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("order %s: %w", id.No(), err)
	}
	if o.Account != account {
		return nil, ErrNotFound
	}
	return o, nil
}

// waitStep is how often a waiting reader looks by himself.
const waitStep = 500 * time.Millisecond

// Wait is Get that returns when the order's version is above the one seen, it is final, or the time is over. A reader who waits for
// money makes us look for it: the page asks right after the cashier closed.
func (s *Service) Wait(ctx context.Context, account patient.AccountID, id ID, seen int64, most time.Duration) (*Order, error) {
	rest, stop := s.news.listen(ctx, id)
	defer func() { stop() }()
	o, err := s.Get(ctx, account, id)
	if err != nil || o.Version > seen || (o.State.Final() && o.Refund() == nil) || o.State == InReview || most <= 0 {
		return o, err
	}
	if o.State == Paying && !o.CancelAsked {
		if err := s.queue.Wake(ctx, JobKind, id.No(), s.clock.Now()); err != nil {
			return nil, fmt.Errorf("order %s: %w", id.No(), err)
		}
	}
	end := s.clock.Now().Add(most)
	for version := o.Version; version <= seen && s.clock.Now().Before(end); {
		_ = s.clock.Sleep(rest, waitStep) // until there is news
		if ctx.Err() != nil {
			return o, nil // the caller has gone; the last answer stands
		}
		stop()
		rest, stop = s.news.listen(ctx, id)
		if version, err = s.store.VersionOf(ctx, id); err != nil {
			return nil, fmt.Errorf("order %s: %w", id.No(), err)
		}
	}
	return s.Get(ctx, account, id)
}

// Cashier signs what the page needs to open WeChat's cashier, whichever Payable says. ErrState unless the order waits for the patient's payment.
func (s *Service) Cashier(ctx context.Context, account patient.AccountID, id ID) (payment.Cashier, error) {
	o, err := s.Get(ctx, account, id)
	if err != nil {
		return payment.Cashier{}, err
	}
	party := s.parties[o.Institution]
	switch how := o.Payable(s.clock.Now()); how {
	case ByCash:
		return party.Gateway.Cashier(o.Payment().PrepayID)
	case ByBoth:
		return party.Mixed.MixedCashier(o.MixedOrder().MixTradeNo, o.Payment().PrepayID)
	case ByInsurance:
		return party.Mixed.MixedCashier(o.MixedOrder().MixTradeNo, "")
	}
	return payment.Cashier{}, ErrState
}

// List gives the account's orders, newest first, before the given one (0: from the newest), at most limit.
func (s *Service) List(ctx context.Context, account patient.AccountID, before ID, limit int) ([]*Order, error) {
	return s.store.List(ctx, account, before, limit)
}

// Live is the account's order that is to be resumed. ErrNotFound when there is none.
func (s *Service) Live(ctx context.Context, account patient.AccountID) (*Order, error) {
	id, err := s.store.LiveOf(ctx, account)
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, account, id)
}

// History gives an order's events, oldest first.
func (s *Service) History(ctx context.Context, account patient.AccountID, id ID) ([]Event, error) {
	if _, err := s.Get(ctx, account, id); err != nil {
		return nil, err
	}
	return s.store.History(ctx, id)
}

// Cases lists what people have to judge, oldest first; of all institutions where none is named.
func (s *Service) Cases(ctx context.Context, institution string, limit int) ([]Case, error) {
	return s.store.Cases(ctx, institution, limit)
}

// Evidence is what people need to judge an order: the order, its time line, and the case with the votes so far. ErrNotFound, ErrNoCase.
func (s *Service) Evidence(ctx context.Context, id ID) (*Order, []Event, Case, error) {
	o, err := s.store.Load(ctx, id)
	if err != nil {
		return nil, nil, Case{}, err
	}
	history, err := s.store.History(ctx, id)
	if err != nil {
		return nil, nil, Case{}, err
	}
	c, err := s.store.OpenCase(ctx, id)
	return o, history, c, err
}
