package order

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
)

// memory is Store, Queue and Inbox with the semantics of a database: nothing is shared with the caller, every write is a compare-and-set,
// and only what is marked as changed is written.
type memory struct {
	w       *world
	orders  map[ID]*Order // rows of orders alone: no legs, no events
	legs    map[ID]legs
	history map[ID][]Event
	books   map[ID]map[ledger.Account]int64
	live    map[string]ID // hospital and bill number
	replays map[job.Key]job.Replay
	jobs    map[string]*jobRow // by ref
	nextJob int64
	notices []noticeRow
	cases   map[ID]*Case
	others  []string // numbers of orders that are not here, such as "posting P1"
	revived func()   // after a job was made for an order that had none
}

type legs struct {
	settlements []*settlement.Settlement
	payments    []*payment.Payment
	mixed       []*payment.Mixed
	refunds     []*refund.Refund
}

type jobRow struct {
	job.Job
	owner string
	due   time.Time // RunAt, or the lease's end
}

type noticeRow struct {
	job.Stored
	marked  bool
	refusal string
}

func newMemory(w *world) *memory {
	return &memory{w: w, orders: map[ID]*Order{}, legs: map[ID]legs{}, history: map[ID][]Event{}, books: map[ID]map[ledger.Account]int64{},
		live: map[string]ID{}, replays: map[job.Key]job.Replay{}, jobs: map[string]*jobRow{}, cases: map[ID]*Case{}}
}

func copyOrder(o *Order) *Order {
	c := *o
	c.Bills = slices.Clone(o.Bills)
	for i := range c.Bills {
		c.Bills[i].Bill.Lines = slices.Clone(c.Bills[i].Bill.Lines)
		c.Bills[i].Bill.Visit.Diagnoses = slices.Clone(c.Bills[i].Bill.Visit.Diagnoses)
	}
	c.Posted.Guide = slices.Clone(o.Posted.Guide)
	c.Settlements, c.Payments, c.Mixed, c.Refunds, c.Events, c.Vote, c.changed = nil, nil, nil, nil, nil, nil, false
	return &c
}

func copySettlement(s *settlement.Settlement) *settlement.Settlement {
	c := *s
	if s.Balance != nil {
		balance := *s.Balance
		c.Balance = &balance
	}
	return &c
}

func copyPayment(p *payment.Payment) *payment.Payment {
	c := *p
	c.Request, c.Back.Request = slices.Clone(p.Request), slices.Clone(p.Back.Request)
	return &c
}

func copyMixed(x *payment.Mixed) *payment.Mixed {
	c := *x
	c.Request, c.Notice = slices.Clone(x.Request), slices.Clone(x.Notice)
	return &c
}

func copyRefund(f *refund.Refund) *refund.Refund {
	c := *f
	c.Lines, c.Rebilled, c.Cash.Request = slices.Clone(f.Lines), slices.Clone(f.Rebilled), slices.Clone(f.Cash.Request)
	return &c
}

func (m *memory) Create(_ context.Context, o *Order, j job.New) (job.Claim, error) {
	m.w.point("create, before")
	if m.keyTaken(o) {
		return job.Claim{}, job.ErrBusy
	}
	for _, no := range o.BillNos() {
		if _, taken := m.live[o.Institution+"/"+no]; taken {
			return job.Claim{}, ErrBillLive
		}
	}
	if err := checkRow(o); err != nil {
		return job.Claim{}, err
	}
	for _, no := range o.BillNos() {
		m.live[o.Institution+"/"+no] = o.ID
	}
	m.nextJob++
	row := &jobRow{Job: job.Job{ID: m.nextJob, Institution: hospitalID, Kind: j.Kind, Ref: j.Ref, RunAt: j.RunAt, Version: 1}, owner: j.Owner, due: j.LeaseUntil}
	m.jobs[j.Ref] = row
	o.Version = 1
	m.write(o)
	m.w.point("create, after")
	return job.Claim{Job: row.Job, Owner: row.owner, LeaseUntil: row.due}, nil
}

// checkRow is what the database's own CHECKs say of an order.
func checkRow(o *Order) error {
	sum := o.Split.Total()
	if mayBeEmpty := !slices.Contains([]State{Quoted, Paying, Settling, BeingPosted, Completed}, o.State); sum != o.Total && !(mayBeEmpty && sum == 0) {
		return fmt.Errorf("order in %s: the parts sum to %s, the total is %s", o.State, sum, o.Total)
	}
	open := 0
	for _, s := range o.Settlements {
		if s.Open() {
			open++
		}
	}
	if insured := o.Total - o.Split.Uninsured; o.RefundInsured < 0 || o.RefundUninsured < 0 || o.RefundInsured > insured || o.RefundUninsured > o.Split.Uninsured {
		return fmt.Errorf("%s and %s are promised back of %s and %s", o.RefundInsured, o.RefundUninsured, insured, o.Split.Uninsured)
	}
	openCash := 0
	for _, p := range o.Payments {
		if !p.State.Final() {
			openCash++
		}
		if p.RefundReserved < 0 || p.RefundReserved > p.Amount {
			return fmt.Errorf("refund of %s reserved, paid %s", p.RefundReserved, p.Amount)
		}
	}
	openMixed := 0
	for _, x := range o.Mixed {
		if !x.State.Final() {
			openMixed++
		}
		if err := x.Amounts.Check(); err != nil {
			return err
		}
	}
	if openMixed > 1 {
		return fmt.Errorf("%d mixed orders are open", openMixed)
	}
	if open > 1 || openCash > 1 {
		return fmt.Errorf("%d settlements and %d payments are open", open, openCash)
	}
	for _, e := range o.Events {
		if e.Actor == "" || e.Subject == "" || e.Verb == "" || len(e.Verb) > 32 || len(e.From) > 16 || len(e.To) > 16 {
			return fmt.Errorf("event %+v says not who did what", e)
		}
		if err := e.Posting.Check(); err != nil {
			return err
		}
	}
	return nil
}

// write stores a checked order and brings its versions up to date.
func (m *memory) write(o *Order) {
	o.UpdatedAt = m.w.fake.Now()
	if o.Request != nil {
		m.replays[o.Request.Key] = job.Replay{BodyDigest: o.Request.BodyDigest, Ref: o.ID.No(), CreatedAt: o.Request.At}
		o.Request.Record, o.Request = int64(len(m.replays)), nil
	}
	for i := range m.notices {
		m.notices[i].marked = m.notices[i].marked || m.notices[i].ID == o.Notice
	}
	o.Notice = 0
	m.orders[o.ID] = copyOrder(o)
	var rows legs
	for _, s := range o.Settlements {
		if s.Changed() {
			s.Stored(s.Version + 1)
		}
		rows.settlements = append(rows.settlements, copySettlement(s))
	}
	for _, p := range o.Payments {
		if p.Changed() {
			p.Stored(p.Version + 1)
		}
		rows.payments = append(rows.payments, copyPayment(p))
	}
	for _, x := range o.Mixed {
		if x.Changed() {
			x.Stored(x.Version + 1)
		}
		rows.mixed = append(rows.mixed, copyMixed(x))
	}
	for _, f := range o.Refunds {
		if f.Changed() {
			f.Stored(f.Version + 1)
		}
		rows.refunds = append(rows.refunds, copyRefund(f))
	}
	m.legs[o.ID] = rows
	for _, e := range o.Events {
		e.Seq, e.Posting = len(m.history[o.ID])+1, slices.Clone(e.Posting)
		m.history[o.ID] = append(m.history[o.ID], e)
		for _, l := range e.Posting {
			if m.books[o.ID] == nil {
				m.books[o.ID] = map[ledger.Account]int64{}
			}
			m.books[o.ID][l.Account] += int64(l.Amount)
		}
		m.w.logf("%s %s %s %s>%s %s %s", o.ID.No(), e.Subject, e.Verb, e.From, e.To, e.Number, e.Detail)
	}
	o.Events = nil
	m.review(o)
	if !o.Live() {
		for _, no := range o.BillNos() {
			if m.live[o.Institution+"/"+no] == o.ID {
				delete(m.live, o.Institution+"/"+no)
			}
		}
	}
}

// review is what a database keeps of the cases.
func (m *memory) review(o *Order) {
	f := o.Refund()
	inReview := o.State == InReview || (o.State == Completed && f != nil && f.State == refund.InReview)
	again := false
	if v := o.Vote; v != nil {
		m.cases[o.ID].Votes = append(m.cases[o.ID].Votes, *v)
		again, o.Vote = v.Verdict.Outcome == ToReject, nil
	}
	if !inReview || again {
		delete(m.cases, o.ID)
	}
	if inReview && m.cases[o.ID] == nil {
		m.nextJob++
		m.cases[o.ID] = &Case{ID: m.nextJob, Institution: o.Institution, Order: o.ID, Cause: o.Cause, OpenedAt: o.UpdatedAt}
	}
}

func (m *memory) OpenCase(_ context.Context, id ID) (Case, error) {
	if c := m.cases[id]; c != nil {
		return *c, nil
	}
	return Case{}, ErrNoCase
}

func (m *memory) Cases(context.Context, string, int) ([]Case, error) {
	var list []Case
	for _, c := range m.cases {
		list = append(list, *c)
	}
	return list, nil
}

func (m *memory) Load(_ context.Context, id ID) (*Order, error) {
	row, ok := m.orders[id]
	if !ok {
		return nil, ErrNotFound
	}
	o := copyOrder(row)
	for _, s := range m.legs[id].settlements {
		o.Settlements = append(o.Settlements, copySettlement(s))
	}
	for _, p := range m.legs[id].payments {
		o.Payments = append(o.Payments, copyPayment(p))
	}
	for _, x := range m.legs[id].mixed {
		o.Mixed = append(o.Mixed, copyMixed(x))
	}
	for _, f := range m.legs[id].refunds {
		o.Refunds = append(o.Refunds, copyRefund(f))
	}
	return o, nil
}

func (m *memory) LoadForWork(ctx context.Context, id ID) (*Order, job.Job, bool, error) {
	j, found, err := m.Find(ctx, JobKind, id.No())
	if err != nil {
		return nil, j, false, err
	}
	o, err := m.Load(ctx, id)
	return o, j, found, err
}

func (m *memory) Save(_ context.Context, o *Order, claim *job.Claim, next job.Next) error {
	m.w.point("save, before")
	row, err := m.fence(*claim)
	if err != nil {
		return err
	}
	if m.orders[o.ID].Version != o.Version {
		return job.ErrLost
	}
	if m.keyTaken(o) {
		return job.ErrBusy
	}
	old := m.legs[o.ID]
	for i, s := range o.Settlements {
		if i >= len(old.settlements) {
			continue
		}
		if s.Version != old.settlements[i].Version {
			return job.ErrLost
		}
		if !s.Changed() && !reflect.DeepEqual(s, old.settlements[i]) {
			m.w.t.Errorf("settlement %d was changed and not marked:\n%+v\n%+v", i+1, *old.settlements[i], *s)
		}
	}
	for i, p := range o.Payments {
		if i >= len(old.payments) {
			continue
		}
		if p.Version != old.payments[i].Version {
			return job.ErrLost
		}
		if !p.Changed() && !reflect.DeepEqual(p, old.payments[i]) {
			m.w.t.Errorf("payment %d was changed and not marked:\n%+v\n%+v", i+1, *old.payments[i], *p)
		}
	}
	for i, x := range o.Mixed {
		if i >= len(old.mixed) {
			continue
		}
		if x.Version != old.mixed[i].Version {
			return job.ErrLost
		}
		if !x.Changed() && !reflect.DeepEqual(x, old.mixed[i]) {
			m.w.t.Errorf("mixed order %d was changed and not marked:\n%+v\n%+v", i+1, *old.mixed[i], *x)
		}
	}
	for i, f := range o.Refunds {
		if i >= len(old.refunds) {
			continue
		}
		if f.Version != old.refunds[i].Version {
			return job.ErrLost
		}
		if !f.Changed() && !reflect.DeepEqual(f, old.refunds[i]) {
			m.w.t.Errorf("refund %d was changed and not marked:\n%+v\n%+v", i+1, *old.refunds[i], *f)
		}
	}
	if err := checkRow(o); err != nil {
		m.w.t.Errorf("the database would refuse: %v", err)
		return err
	}
	if m.taken(o) {
		return ErrNumberTaken
	}
	o.Version++
	m.write(o)
	if !next.Stay {
		m.moveJob(row, claim, next)
	}
	m.w.point("save, after")
	return nil
}

func (m *memory) keyTaken(o *Order) bool {
	if o.Request == nil {
		return false
	}
	_, taken := m.replays[o.Request.Key]
	return taken
}

// fence gives the job of a claim that is held, or that was wanted and may be taken.
func (m *memory) fence(c job.Claim) (*jobRow, error) {
	r, ok := m.jobs[c.Ref]
	same := ok && r.ID == c.ID && r.Version == c.Version
	switch {
	case !c.Held() && (!same || (r.owner != "" && r.due.After(c.Wanted))):
		return nil, job.ErrBusy
	case c.Held() && (!same || r.owner != c.Owner):
		return nil, job.ErrLost
	}
	return r, nil
}

// taken is what the database's unique keys say of the numbers that other orders have.
func (m *memory) taken(o *Order) bool {
	return slices.ContainsFunc(numbersOf(o), func(no string) bool { return slices.Contains(m.others, no) })
}

// numbersOf are those that counterparts have given.
func numbersOf(o *Order) []string {
	list := []string{"posting " + o.Posted.PostingNo}
	for _, s := range o.Settlements {
		list = append(list, "settlement "+s.SetlID)
	}
	for _, p := range o.Payments {
		list = append(list, "transaction "+p.TransactionID)
	}
	for _, f := range o.Refunds {
		list = append(list, "booking "+f.BookingNo, "his "+f.HISNo, "refund "+f.Cash.RefundID)
	}
	return list
}

func (m *memory) moveJob(row *jobRow, claim *job.Claim, next job.Next) {
	row.Version++
	row.Attempt = next.Attempt
	switch {
	case next.Done:
		delete(m.jobs, row.Ref)
		*claim = job.Claim{Job: row.Job}
		return
	case !next.Hold.IsZero():
		row.owner, row.RunAt, row.due = claim.Owner, claim.RunAt, next.Hold
	default:
		row.owner, row.RunAt, row.due, row.Note = "", next.RunAt, next.RunAt, next.Note
	}
	*claim = job.Claim{Job: row.Job, Owner: row.owner, LeaseUntil: row.due}
}

func (m *memory) Revive(_ context.Context, id ID, at time.Time) error {
	if _, there := m.jobs[id.No()]; there {
		return nil
	}
	m.nextJob++
	m.jobs[id.No()] = &jobRow{Job: job.Job{ID: m.nextJob, Institution: hospitalID, Kind: JobKind, Ref: id.No(), RunAt: at, Version: 1}, due: at}
	if m.revived != nil {
		m.revived()
	}
	return nil
}

func (m *memory) ByNumber(_ context.Context, institution, outTradeNo string) (ID, error) {
	for id, rows := range m.legs {
		for _, p := range rows.payments {
			if p.OutTradeNo == outTradeNo && m.orders[id].Institution == institution {
				return id, nil
			}
		}
		for _, x := range rows.mixed {
			if x.OutTradeNo == outTradeNo && m.orders[id].Institution == institution {
				return id, nil
			}
		}
		for _, s := range rows.settlements {
			if s.Upload.PayOrdID != "" && s.Upload.PayOrdID == outTradeNo && m.orders[id].Institution == institution {
				return id, nil
			}
		}
	}
	return 0, ErrNotFound
}

func (m *memory) ids() []ID {
	ids := make([]ID, 0, len(m.orders))
	for id := range m.orders {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (m *memory) List(ctx context.Context, account patient.AccountID, before ID, limit int) ([]*Order, error) {
	var list []*Order
	ids := m.ids()
	slices.Reverse(ids)
	for _, id := range ids {
		if o := m.orders[id]; o.Account == account && (before == 0 || id < before) && len(list) < limit {
			full, _ := m.Load(ctx, id)
			list = append(list, full)
		}
	}
	return list, nil
}

func (m *memory) LiveOf(_ context.Context, account patient.AccountID) (ID, error) {
	ids := m.ids()
	slices.Reverse(ids)
	for _, id := range ids {
		if o := m.orders[id]; o.Account == account && !o.State.Final() {
			return id, nil
		}
	}
	return 0, ErrNotFound
}

func (m *memory) History(_ context.Context, id ID) ([]Event, error) {
	return slices.Clone(m.history[id]), nil
}

func (m *memory) VersionOf(_ context.Context, id ID) (int64, error) {
	if o, ok := m.orders[id]; ok {
		return o.Version, nil
	}
	return 0, ErrNotFound
}

// Due and the rest are job.Queue.
func (m *memory) Due(_ context.Context, _, except []string, by time.Time, limit int) ([]job.Job, error) {
	var rows []*jobRow
	for _, r := range m.jobs {
		if !r.due.After(by) && !slices.Contains(except, r.Institution) {
			rows = append(rows, r)
		}
	}
	sort.Slice(rows, func(i, k int) bool {
		if !rows[i].due.Equal(rows[k].due) {
			return rows[i].due.Before(rows[k].due)
		}
		return rows[i].ID < rows[k].ID
	})
	var due []job.Job
	for _, r := range rows {
		j := r.Job
		j.DueAt = r.due
		due = append(due, j)
	}
	return due[:min(limit, len(due))], nil
}

func (m *memory) Take(_ context.Context, j job.Job, owner string, now, until time.Time) (job.Claim, error) {
	claim := job.Want(j, owner, now, until)
	r, err := m.fence(claim)
	if err != nil {
		return job.Claim{}, err
	}
	m.moveJob(r, &claim, job.Hold(until, j.Attempt))
	return claim, nil
}

func (m *memory) Find(_ context.Context, _, ref string) (job.Job, bool, error) {
	if r, ok := m.jobs[ref]; ok {
		j := r.Job
		if r.owner != "" {
			j.HeldUntil = r.due
		}
		return j, true, nil
	}
	return job.Job{}, false, nil
}

func (m *memory) Give(_ context.Context, c job.Claim, n job.Next) error {
	m.w.point("give, before")
	r, err := m.fence(c)
	if err != nil {
		return err
	}
	m.moveJob(r, &c, n)
	m.w.point("give, after")
	return nil
}

func (m *memory) Wake(_ context.Context, _, ref string, now time.Time) error {
	if r, ok := m.jobs[ref]; ok && r.owner == "" && r.due.After(now) {
		r.due = now
	}
	return nil
}

func (m *memory) Backlog(_ context.Context, now time.Time) (int, time.Duration, error) {
	due, err := m.Due(context.Background(), nil, nil, now, len(m.jobs))
	return len(due), 0, err
}

// Put and the rest are job.Inbox.
func (m *memory) Put(_ context.Context, n job.Notice) (bool, error) {
	for _, r := range m.notices {
		if r.Source == n.Source && r.Notice.ID == n.ID {
			return false, nil
		}
	}
	m.notices = append(m.notices, noticeRow{Stored: job.Stored{ID: int64(len(m.notices) + 1), Notice: n}})
	return true, nil
}

func (m *memory) Spend(context.Context, string, job.Nonce) error { return nil }

func (m *memory) Unread(_ context.Context, except []string, limit int) ([]job.Stored, error) {
	var unread []job.Stored
	for _, r := range m.notices {
		if _, of, _ := strings.Cut(r.Source, "/"); !r.marked && !slices.Contains(except, of) && len(unread) < limit {
			unread = append(unread, r.Stored)
		}
	}
	return unread, nil
}

func (m *memory) Mark(_ context.Context, id int64, _ time.Time, refusal string) error {
	m.w.point("mark, before")
	m.notices[id-1].marked, m.notices[id-1].refusal = true, refusal
	return nil
}
