package order

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// quoting finds out who pays what. No money moves: the chain of 2201 to 2206 is one intent, and a lost chain begins anew with new
// numbers, its orphans withdrawn or accepted.
func (r *run) quoting(ctx context.Context) (turn, error) {
	o := r.order
	if o.CancelAsked {
		return r.abandon(ctx, ByPatient)
	}
	s := o.Settlement()
	if s != nil && s.State == settlement.Withdrawing { // at the centre: the old upload is proved dead first
		return turn{call: r.revoke}, nil
	}
	if !r.asksInsurer() {
		o.Split = split.AllCash(o.Total)
		return r.quotedNow(ctx)
	}
	if r.atOnce {
		return r.uploading(ctx)
	}
	if s != nil && s.State == settlement.Presettling && !r.opened { // loaded as asked: its answer is lost
		if err := r.dropPresettlement(); err != nil {
			return turn{}, err
		}
	}
	if s != nil && s.State == settlement.Presettled {
		return r.foreseen(ctx)
	}
	if !r.opened {
		r.newSettlement()
	}
	r.opened = false
	return turn{call: r.presettle}, nil
}

// asksInsurer reports whether an insurer has a say in who pays.
func (r *run) asksInsurer() bool {
	o := r.order
	return o.Insured && (r.atOnce || r.insurer != nil) && o.InsuredTotal() != 0 && o.Refusal == ""
}

// presettles reports whether a new order begins with a presettlement at the core platform.
func (r *run) presettles() bool { return r.asksInsurer() && !r.atOnce }

// foreseen takes the presettlement over into the quote.
func (r *run) foreseen(ctx context.Context) (turn, error) {
	o, s := r.order, r.order.Settlement()
	o.Split = s.Foreseen
	o.Split.Uninsured = o.Total - s.Total
	if err := o.Split.Check(o.Total); err != nil {
		return turn{}, err
	}
	return r.quotedNow(ctx)
}

func (r *run) quotedNow(ctx context.Context) (turn, error) {
	o := r.order
	o.QuotedUntil = earlier(r.clock.Now().Add(r.config.QuoteLife), o.lastPayment(leastTime))
	if err := r.move(Quote, ""); err != nil {
		return turn{}, err
	}
	return r.turn(ctx)
}

// newSettlement opens an attempt; its numbers are made here, and stored before anything is sent.
func (r *run) newSettlement() {
	o := r.order
	id := settlement.ID(r.source.ID())
	visit := settlement.Visit{VisitNo: fmt.Sprintf("T%d", id)}
	if last := o.Settlement(); last != nil && last.Visit.MdtrtID != "" && !r.atOnce {
		visit = last.Visit // rows it may have left are withdrawn first
	} else if v := o.Bills[0].Bill.Visit; v.InsurerVisitID != "" {
		visit = settlement.Visit{PersonNo: v.PersonNo, MdtrtID: v.InsurerVisitID, InsuranceType: v.InsuranceType, CoverageArea: v.CoverageArea, VisitNo: v.No}
	} else if v.PersonNo != "" {
		visit.PersonNo, visit.InsuranceType, visit.CoverageArea = v.PersonNo, v.InsuranceType, v.CoverageArea
	}
	s := settlement.New(id, len(o.Settlements)+1, visit, fmt.Sprintf("B%d", r.source.ID()), o.InsuredTotal(), o.UseAccount)
	o.Settlements = append(o.Settlements, s)
	number := s.BatchNo
	if r.atOnce {
		s.Upload.OrderNo = id.No()
		number = s.Upload.OrderNo
	}
	r.leg("settlement", "presettle", "", string(s.State), number, split.Split{}, nil)
}

// leavePresettlement gives a standing presettlement up for a new one: the rows of the core platform are withdrawn by the next attempt, an
// upload to the centre must be revoked first.
func (r *run) leavePresettlement() {
	if !r.atOnce {
		_ = r.dropPresettlement() // presettled has both moves
		return
	}
	_ = r.settle("withdraw", settleOn(settlement.Withdraw))
}

func (r *run) dropPresettlement() error {
	s := r.order.Settlement()
	from := s.State
	if err := s.Apply(settlement.Drop); err != nil {
		return err
	}
	r.leg("settlement", "drop", string(from), string(s.State), s.BatchNo, split.Split{}, nil)
	return nil
}

func (r *run) presettle(ctx context.Context) again {
	s := r.order.Settlement()
	from := s.State
	may, err := r.mayAsk(ctx)
	if err != nil {
		return r.presettleLost(err)
	}
	if !may { // withdrawn since the order was made
		_ = r.dropPresettlement() // presettling has this move
		r.giveUp(ByPatient)
		return again{}
	}
	claim, err := r.claimOf(ctx)
	if err != nil {
		return r.presettleLost(err)
	}
	p, err := r.insurer.Presettle(ctx, claim)
	if err == nil {
		err = s.Foresee(p)
	} else {
		s.Learn(p.Visit)
	}
	switch {
	case err == nil:
		r.leg("settlement", "foresee", string(from), string(s.State), s.Visit.MdtrtID, s.Foreseen, nil)
		return again{}
	case fault.InMoneyStep(err) == fault.Rejected:
		words := wordsOf(err)
		if err := s.Decline(words); err != nil {
			return r.presettleLost(err)
		}
		r.order.Refusal = words
		r.leg("settlement", "decline", string(from), string(s.State), s.BatchNo, split.Split{}, nil)
		return again{}
	default:
		return r.presettleLost(err)
	}
}

// wordsOf is what the insurer said, never nothing: a refusal without words is one, too.
func wordsOf(err error) string {
	if e, ok := fault.Find(err); ok && e.Msg != "" {
		return e.Msg
	}
	return "医保未受理，原因未说明"
}

func (r *run) presettleLost(err error) again {
	_ = r.dropPresettlement() // presettling has this move
	a := later(&job.Quoting, "presettle: "+kindOf(err))
	a.over = func() { r.giveUp(InsurerSilent) }
	return a
}

// mayAsk reports whether the consent to ask the insurer stands, once: whoever asks again looks again.
func (r *run) mayAsk(ctx context.Context) (bool, error) {
	if r.known.consented {
		r.known.consented = false
		return true, nil
	}
	return r.consented(ctx, r.order.Account)
}

// person is the order's patient. What the request has read that began the run serves once.
func (r *run) person(ctx context.Context) (patient.Patient, error) {
	if p := r.known.person; p != nil {
		r.known.person = nil
		return *p, nil
	}
	p, err := r.people.Patient(ctx, r.order.Account, r.order.Patient)
	if err != nil {
		return patient.Patient{}, fmt.Errorf("patient of order: %w", err)
	}
	return p, nil
}

// authorisation is the one that the order goes by, likewise.
func (r *run) authorisation(ctx context.Context) (patient.PayAuth, error) {
	if a := r.known.auth; a != nil {
		r.known.auth = nil
		return *a, nil
	}
	a, err := r.people.PayAuth(ctx, r.order.Patient, r.order.PayAuth)
	if err != nil {
		return patient.PayAuth{}, fmt.Errorf("authorisation of order: %w", err)
	}
	return a, nil
}

// claimOf is what the insurer is told; the person and the authorisation are never kept in the order.
func (r *run) claimOf(ctx context.Context) (settlement.Claim, error) {
	return r.claimFor(ctx, r.order.Settlement())
}

func (r *run) claimFor(ctx context.Context, s *settlement.Settlement) (settlement.Claim, error) {
	o := r.order
	p, err := r.person(ctx)
	if err != nil {
		return settlement.Claim{}, err
	}
	c := settlement.Claim{OrderNo: o.ID.No(), Person: settlement.Person{Name: p.Name, IDNumber: p.IDNumber}, Visit: s.Visit, BatchNo: s.BatchNo,
		Total: s.Total, UseAccount: s.UseAccount, Echo: s.Echo, Upload: s.Upload}
	if o.PayAuth != 0 {
		auth, err := r.authorisation(ctx)
		if err != nil {
			return settlement.Claim{}, err
		}
		c.Person.Token, c.Person.UsableUntil, c.Location = auth.Number, auth.UsableUntil, r.place(auth)
	}
	if s.Anew {
		c.Bills = r.restBills(s)
		return c, nil
	}
	for i := range o.Bills {
		c.Bills = append(c.Bills, o.Bills[i].Bill)
	}
	return c, nil
}

// place is where the patient is, or the hospital where nobody knows.
func (r *run) place(auth patient.PayAuth) string {
	if auth.Location != "" {
		return auth.Location
	}
	return r.party.Location
}

// quoted waits for the patient; once confirmed it locks the bills, looks at them again and begins to collect.
func (r *run) quoted(ctx context.Context) (turn, error) {
	o := r.order
	switch {
	case o.CancelAsked:
		return r.abandon(ctx, ByPatient)
	case !o.ConfirmedAt.IsZero() && r.clock.Now().After(o.QuotedUntil.Add(job.Locking.Limit)): // after an outage: asked anew
		r.requote("quote_expired")
		return r.turn(ctx)
	case !o.ConfirmedAt.IsZero() && o.Lock == Locked:
		return r.begin(ctx)
	case !o.ConfirmedAt.IsZero():
		if o.Lock != LockAsked {
			o.Lock = LockAsked
			r.note(Event{Subject: "his", Verb: "lock", To: string(LockAsked), Number: o.ID.No()})
		}
		return turn{call: r.lock}, nil
	case !r.clock.Now().Before(o.QuotedUntil):
		return r.abandon(ctx, QuoteOld)
	default:
		return turn{until: o.QuotedUntil, note: "waits for the patient to confirm"}, nil
	}
}

// lock excludes the window, and then makes sure that the bills are still what the patient saw.
func (r *run) lock(ctx context.Context) again {
	o := r.order
	until, err := r.party.Hospital.Lock(ctx, LockRequest{OrderNo: o.ID.No(), HISPatient: o.HISPatient, Bills: o.BillNos(), Total: o.Total})
	refused := errors.Is(err, bill.ErrChanged) // the hospital compares totals itself
	if err != nil && !refused {
		return r.lockFailed("lock", err)
	}
	changed, rereadErr := r.reread(ctx)
	if refused && (rereadErr != nil || !changed) {
		return r.lockFailed("lock", err)
	}
	err = rereadErr
	if err != nil {
		return r.lockFailed("read bills again", err)
	}
	o.Lock, o.LockedUntil = Locked, until
	r.note(Event{Subject: "his", Verb: "locked", From: string(LockAsked), To: string(Locked), Number: o.ID.No()})
	if changed {
		r.requote("bill_changed")
	}
	return again{}
}

// requote starts the quote again with the bills as they are now; the patient must agree anew.
func (r *run) requote(detail string) {
	o := r.order
	o.ConfirmedAt, o.Refusal, o.Split = time.Time{}, "", split.Split{}
	if o.Lock == Locked {
		o.Lock = LockAsked // still held; the next confirmation asks for it, and looks at the bills, once more
	}
	if s := o.Settlement(); s != nil && s.State == settlement.Presettled {
		r.leavePresettlement()
	}
	_ = r.move(Requote, detail) // quoted has this move
}

func (r *run) lockFailed(what string, err error) again {
	a := later(&job.Locking, what+": "+kindOf(err))
	a.over = func() { r.giveUp(HISSilent) }
	switch {
	case errors.Is(err, bill.ErrPaid):
		r.giveUp(PaidElsewhere)
	case errors.Is(err, bill.ErrVoid), errors.Is(err, bill.ErrNotFound):
		r.giveUp(BillVoid)
	case errors.Is(err, bill.ErrLocked):
		r.giveUp(BillBusy)
	case errors.Is(err, bill.ErrMaintenance):
		r.giveUp(HISMaintenance)
	case errors.Is(err, bill.ErrChanged):
		return a // looked at again: what is read then decides
	case fault.InMoneyStep(err) == fault.Conflict: // any other no of the hospital's is final
		r.giveUp(BillBusy)
	case errors.Is(err, bill.ErrUnreadable):
		a.over = func() { r.giveUp(BillUnreadable) }
		return a
	default:
		return a
	}
	return again{}
}

// reread reads every bill again and takes over what changed.
func (r *run) reread(ctx context.Context) (changed bool, err error) {
	o := r.order
	fresh, err := readBills(ctx, r.party.Bills, o.HISPatient, o.BillNos())
	if err != nil {
		return false, err
	}
	if !oneKind(fresh) {
		return false, bill.ErrUnreadable.Because(errors.New("the bills of an order are of several kinds now"))
	}
	for i := range fresh {
		changed = changed || fresh[i].Digest != o.Bills[i].Digest
	}
	if !changed {
		return false, nil
	}
	total, err := totalOf(fresh)
	if err != nil {
		return false, err
	}
	o.Bills, o.Total, o.changed = fresh, total, true
	return true, nil
}

// readBills reads bills in full and refuses those that cannot be paid.
func readBills(ctx context.Context, from bill.Source, hisPatient string, nos []string) ([]Bill, error) {
	bills := make([]Bill, 0, len(nos))
	for _, no := range nos {
		b, err := from.Detail(ctx, hisPatient, no)
		if err != nil {
			return nil, fmt.Errorf("bill %s: %w", no, err)
		}
		switch b.State {
		case bill.Paid:
			return nil, fmt.Errorf("bill %s: %w", no, bill.ErrPaid)
		case bill.Void:
			return nil, fmt.Errorf("bill %s: %w", no, bill.ErrVoid)
		case bill.Unpaid:
		default:
			return nil, fmt.Errorf("bill %s: %w", no, bill.ErrUnreadable)
		}
		if err := b.Check(); err != nil {
			return nil, err
		}
		text, err := b.Canonical()
		if err != nil {
			return nil, fmt.Errorf("bill %s: %w", no, err)
		}
		sum := gm.SM3(text)
		bills = append(bills, Bill{Bill: *b, Digest: hex.EncodeToString(sum[:])})
	}
	return bills, nil
}

func totalOf(bills []Bill) (money.Fen, error) {
	var total money.Fen
	for i := range bills {
		var err error
		if total, err = money.Add(total, bills[i].Bill.Total); err != nil {
			return 0, err
		}
	}
	return total, nil
}
