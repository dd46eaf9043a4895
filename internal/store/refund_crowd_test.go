package store

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// crowded is how many orders TestRefundBounds fills. Fifty are a third of a minute of work for two cores; make long plays the whole thousand.
var crowded = flag.Int("crowded", 50, "how many orders TestRefundBounds crowds")

// askers is how many ask for parts of one order at once.
const askers = 100

// manner is how the hospital of a crowd gives back.
type manner struct {
	name  string
	share int // of the orders, in hundredths
	joint bool
	desk  func(nth int) error
	pace  clock.Pace // so fast that a minute's rest is over soon; 1: nothing is over while people ask
}

const fast clock.Pace = 60_000

var manners = []manner{
	{"one leg after the other", 25, false, nil, fast},
	{"one leg after the other, the desk is silent", 15, false, deskIsSilent, 1},
	{"one leg after the other, the desk refuses some", 15, false, deskRefusesSome, fast},
	{"both legs together", 20, true, nil, fast},
	{"both legs together, the desk is silent", 10, true, deskIsSilent, 1},
	{"both legs together, the desk refuses some", 15, true, deskRefusesSome, fast},
}

// crowd is one hospital on a database file of its own, with the real engine.
type crowd struct {
	t       *testing.T
	manner  manner
	clock   *ticking
	db      *DB
	far     *farSide
	service *order.Service
}

func openCrowd(t *testing.T, m manner) *crowd {
	t.Helper()
	c := &crowd{t: t, manner: m, clock: newTicking()}
	source := clock.NewSource(c.clock, 1)
	db, err := Open(t.Context(), Config{DSN: filepath.Join(t.TempDir(), "tuoka.db")}, c.clock, source)
	check(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	_, err = db.Migrate(t.Context())
	check(t, err)
	c.db = db.WithVault(openVault(t, db, gm.GenerateKey()))
	c.far = newFarSide(t, c.clock, m.desk)
	wechat := wechatSide{f: c.far}
	party := &order.Party{Institution: hospital, Route: order.Core, Insurer: insurerSide{f: c.far}, Gateway: wechat, Desk: deskSide{c.far}}
	if m.joint {
		party.Route, party.Insurer, party.Centre, party.Mixed = order.Mixed, nil, centreSide{f: c.far}, wechat
	}
	c.service = order.New(c.db.Orders(), c.db.Jobs(), c.db.Inbox(), onlyPatient{}, []*order.Party{party}, c.clock, source, order.Config{Pace: m.pace})
	return c
}

// sold is a completed order with what was bought and what its crowd wants.
type sold struct {
	id       order.ID
	visit    string
	trade    string
	items    []item
	asks     []ask
	outcomes []outcome
}

// outcome is how a request ended.
type outcome struct {
	state refund.State // of the refund that it made; empty: none
	err   error
	busy  int // how often it had to come again
}

// sell stores an order that the HIS has booked, as an ordinary payment leaves it.
func (c *crowd) sell(n int) *sold {
	c.t.Helper()
	draw := chance(n)
	id := order.ID(c.db.ids.ID())
	s := &sold{id: id, visit: "V" + id.No(), trade: "T" + id.No(), items: draw.basket(fmt.Sprint(n))}
	greedy := draw.below(2) == 0
	for i := range askers {
		s.asks = append(s.asks, draw.ask(fmt.Sprintf("k%d", i), s.items, greedy))
	}
	o := &order.Order{ID: id, Institution: hospital, Account: 7, Patient: 8, HISPatient: "P1", Route: order.Core, State: order.Completed,
		CreatedAt: start, Insured: true, Lock: order.Released, Post: order.PostDone, Posted: order.Posted{PostingNo: "P" + id.No(), PostedAt: start}}
	if c.manner.joint {
		o.Route = order.Mixed
	}
	for i := 0; i < len(s.items); i += 2 {
		b := bill.Bill{No: s.items[i].bill, HISPatient: "P1", State: bill.Paid, Created: start, Visit: bill.Visit{No: s.visit, Begun: start}}
		for _, one := range s.items[i : i+2] {
			b.Lines = append(b.Lines, bill.Line{No: one.line, Uninsured: !one.insured, Name: "项目", HospitalCode: "Y" + one.line,
				Quantity: decimal.New(one.bought, -1), Price: decimal.New(one.price, -4), Total: one.worth(one.bought), OccurredAt: start})
			b.Total += one.worth(one.bought)
		}
		o.Bills, o.Total = append(o.Bills, order.Bill{Bill: b, Digest: "d"}), o.Total+b.Total
	}
	c.paid(s, o)
	claim, err := c.db.Orders().Create(c.t.Context(), o, job.New{Kind: order.JobKind, Ref: id.No(), RunAt: start, Owner: worker, LeaseUntil: now(c.db).Add(time.Hour)})
	check(c.t, err)
	check(c.t, c.db.Orders().Save(c.t.Context(), o, &claim, job.Finish()))
	return s
}

// paid gives an order its legs and the events that posted them, and tells the other sides.
func (c *crowd) paid(s *sold, o *order.Order) {
	c.t.Helper()
	insured, uninsured := newModel(s.items, c.manner.joint).sums()
	st := settlement.New(settlement.ID(c.db.ids.ID()), 1, settlement.Visit{VisitNo: s.visit, MdtrtID: "M" + s.visit, Ours: true}, "B"+s.visit, insured, false)
	st.Foreseen = halves(insured)
	for _, e := range []settlement.Event{settlement.Foresee, settlement.Send, settlement.Accept} {
		check(c.t, st.Apply(e))
	}
	st.SetlID, st.Actual, st.SettledAt = "S"+s.visit, st.Foreseen, start
	o.Split = st.Actual
	o.Split.Uninsured = uninsured
	p := payment.New(payment.ID(c.db.ids.ID()), 1, s.trade, o.Split.Charge(), []byte("{}"), start)
	for _, e := range []payment.Event{payment.Prepared, payment.Pay} {
		check(c.t, p.Apply(e))
	}
	p.TransactionID, p.PaidAt = "42"+s.trade, start
	o.Settlements, o.Payments = []*settlement.Settlement{st}, []*payment.Payment{p}
	if c.manner.joint {
		f := settlement.Figures{Total: insured, Fund: st.Actual.PooledFund, Cash: st.Actual.Cash}
		st.Upload, st.Figures = settlement.Upload{OrderNo: st.ID.No(), PayOrdID: "O" + s.visit, At: start}, f
		m := payment.NewMixed(payment.MixedID(c.db.ids.ID()), 1, payment.MixedOrder{OutTradeNo: s.trade, SerialNo: st.ID.No(), PayOrderID: "O" + s.visit,
			Amounts: payment.MixedAmounts{Total: o.Total, Gov: f.Fund, Cash: f.Cash, Added: uninsured, Wechat: f.Cash + uninsured}}, []byte("{}"), start)
		for _, e := range []payment.MixedEvent{payment.MixedCreate, payment.MixedSucceed} {
			check(c.t, m.Apply(e))
		}
		m.MixTradeNo, m.PaidAt, o.Mixed = "X"+s.trade, start, []*payment.Mixed{m}
	}
	booked := ledger.Against(ledger.Revenue, ledger.Line{Account: ledger.Suspense, Amount: o.Total})
	for _, e := range []order.Event{{Subject: "settlement", Verb: "presettle", To: "presettling"}, {Subject: "payment", Verb: "prepare", To: "preparing"},
		{Subject: "payment", Verb: "pay", Split: split.Split{Cash: p.Amount}, Posting: p.Received(ledger.Suspense)},
		{Subject: "settlement", Verb: "settled", Split: st.Actual, Posting: st.Posting(ledger.Suspense)}, {Subject: "his", Verb: "posted", Split: o.Split, Posting: booked}} {
		e.At, e.Actor = start, "system"
		o.Events = append(o.Events, e)
	}
	if c.manner.joint {
		o.Events = append(o.Events, order.Event{At: start, Actor: "system", Subject: "mixed", Verb: "prepare", To: "preparing"})
	}
	c.far.mu.Lock()
	defer c.far.mu.Unlock()
	c.far.paid[s.trade], c.far.force[s.visit] = p.Amount, map[string]money.Fen{st.SetlID: insured}
}

// retryable is an answer that says: come again.
func retryable(err error) bool { return errors.Is(err, job.ErrBusy) || errors.Is(err, job.ErrLost) }

// ask asks under one key until there is an answer.
func (c *crowd) ask(s *sold, a ask) (o outcome) {
	for o.busy < 150 {
		_, f, err := c.service.AskRefund(c.t.Context(), order.RefundAsk{By: refund.ByPatient, Actor: "account:7", Account: 7, Order: s.id, Key: a.key, Whole: a.whole,
			KeptAgain: a.again, Wants: a.refundWants()})
		if !retryable(err) {
			if o.err = err; err == nil {
				o.state = f.State
			}
			return o
		}
		o.busy++
		_ = clock.Real{}.Sleep(c.t.Context(), 10*time.Millisecond)
	}
	c.t.Errorf("order %s %s: busy for ever", s.id.No(), a.key)
	return o
}

// rush lets all ask at once.
func (c *crowd) rush(s *sold) {
	s.outcomes = make([]outcome, len(s.asks))
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i, a := range s.asks {
		wg.Go(func() {
			<-begin
			s.outcomes[i] = c.ask(s, a)
		})
	}
	close(begin)
	wg.Wait()
}

// settle does what is due until no order has anything to do.
func (c *crowd) settle() {
	c.t.Helper()
	for range 200 {
		worked, err := c.service.Step(c.t.Context())
		check(c.t, err)
		if worked {
			continue
		}
		if count(c.t, c.db, "SELECT COUNT(*) FROM job") == 0 {
			return
		}
		c.clock.advance(2 * time.Minute)
	}
	c.t.Fatal("the work does not end")
}

// silent reports whether what was accepted stays under way.
func (m manner) silent() bool { return m.pace == 1 }

// steady reports whether what was once taken is never given up again.
func (m manner) steady() bool { return m.silent() || m.desk == nil }

// TestRefundBounds: a hundred people ask for parts of one order at once, a thousand orders. What is accepted is what the model says, never more than
// was bought or paid; what is refused could not have been accepted, and leaves nothing behind. With -short, or under the race detector, it is a
// fifth of the orders: each of them is as crowded.
func TestRefundBounds(t *testing.T) {
	t.Parallel()
	for _, m := range manners {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			orders := max(*crowded*m.share/100, 1)
			if testing.Short() || raced {
				orders = max(orders/5, 1)
			}
			c := openCrowd(t, m)
			var total tally
			for n := range orders {
				s := c.sell(n + 1)
				c.rush(s)
				if !m.silent() {
					c.settle()
				}
				done := c.first(s)
				total.add(s)
				c.again(s, done)
				if t.Failed() {
					t.Fatalf("at order %d, %s", n+1, s.id.No())
				}
			}
			t.Logf("%d orders: %+v", orders, total)
			if total.accepted == 0 || total.underWay+total.bound == 0 || (m.joint && orders >= 5 && total.wholeOnly == 0) || (!m.steady() && total.notGiven == 0) {
				t.Errorf("the crowd was no crowd: %+v", total)
			}
		})
	}
}

// tally is how requests ended.
type tally struct{ accepted, notGiven, bound, underWay, wholeOnly, busy int }

func (n *tally) add(s *sold) {
	for _, o := range s.outcomes {
		n.busy += o.busy
		switch {
		case o.state == refund.Refused:
			n.notGiven++
		case o.err == nil:
			n.accepted++
		case errors.Is(o.err, refund.ErrUnderWay):
			n.underWay++
		case errors.Is(o.err, refund.ErrWholeOnly):
			n.wholeOnly++
		default:
			n.bound++
		}
	}
}

// first checks what the rush has left, and gives the model of it.
func (c *crowd) first(s *sold) *model {
	c.t.Helper()
	m := c.stored(s)
	for i, o := range s.outcomes {
		switch {
		case o.err == nil:
		case errors.Is(o.err, refund.ErrNothing), errors.Is(o.err, refund.ErrLine), errors.Is(o.err, refund.ErrQuantity),
			errors.Is(o.err, refund.ErrUnderWay) && c.manner.silent():
			// What is left only gets less, and what is under way stays so: what could not be had then cannot be had now.
			if took, err := m.choose(s.asks[i]); err == nil && c.manner.steady() {
				c.t.Errorf("%+v was refused with %v, and %v of %v are left", s.asks[i], o.err, took, m.left)
			}
		case errors.Is(o.err, refund.ErrUnderWay), errors.Is(o.err, refund.ErrWholeOnly) && c.manner.joint:
		default:
			c.t.Errorf("%+v was refused with %v", s.asks[i], o.err)
		}
	}
	return m
}

// again asks once more, one after the other, for what may be had by now; the model foresees every answer.
func (c *crowd) again(s *sold, m *model) {
	c.t.Helper()
	for i, o := range s.outcomes {
		lifted := errors.Is(o.err, refund.ErrWholeOnly) || (errors.Is(o.err, refund.ErrUnderWay) && !c.manner.silent()) || (o.err != nil && !c.manner.steady())
		if !lifted {
			continue
		}
		took, want := m.choose(s.asks[i])
		now := c.ask(s, s.asks[i])
		if !errors.Is(now.err, want) || (want == nil) != (now.err == nil) {
			c.t.Errorf("%+v with %v of %v left: %v, want %v", s.asks[i], m.left, m.items, now.err, want)
		}
		s.outcomes[i] = now
		if now.err != nil {
			continue
		}
		if !c.manner.silent() {
			c.settle()
		}
		if now.state != refund.Refused {
			m.take(took, c.manner.silent())
		}
	}
	if left := c.stored(s).left; fmt.Sprint(left) != fmt.Sprint(m.left) {
		c.t.Errorf("%v are left by the database, %v by the model", left, m.left)
	}
}

// stored reads an order back and compares it, its legs and the other sides' books with the model of the refunds that were accepted.
func (c *crowd) stored(s *sold) *model {
	c.t.Helper()
	o := load(c.t, c.db, s.id)
	m := newModel(s.items, c.manner.joint)
	for i, r := range o.Refunds {
		if r.Seq != i+1 {
			c.t.Errorf("refund %d of %d has the number %d", i+1, len(o.Refunds), r.Seq)
		}
		c.replay(s, m, r)
	}
	accepted := map[string]bool{}
	for _, r := range o.Refunds {
		accepted[r.Key] = true
	}
	for i, a := range s.asks {
		if got := s.outcomes[i].err == nil; got != accepted[a.key] {
			c.t.Errorf("%s was answered %v, stored %v", a.key, s.outcomes[i].err, accepted[a.key])
		}
	}
	if asks := count(c.t, c.db, "SELECT COUNT(*) FROM order_event WHERE order_id = ? AND subject = 'refund' AND verb = 'ask'", int64(s.id)); asks != int64(len(accepted)) {
		c.t.Errorf("%d requests are in the events, %d refunds are stored", asks, len(accepted))
	}
	c.money(s, o, m)
	return m
}

// replay compares a refund with the model, and takes it there.
func (c *crowd) replay(s *sold, m *model, r *refund.Refund) {
	c.t.Helper()
	var a ask
	for _, one := range s.asks {
		if one.key == r.Key {
			a = one
		}
	}
	took := make([]int64, len(m.items))
	for _, l := range r.Lines {
		for i, one := range m.items {
			if one.bill != l.BillNo || one.line != l.LineNo {
				continue
			}
			tenths := l.Quantity.Shift(1).IntPart() // a kept part of a line stands beside the part that was given up
			took[i] += tenths
			if l.Uninsured == one.insured {
				c.t.Errorf("refund %s: line %+v of item %+v", r.Key, l, one)
			}
		}
	}
	var insured, uninsured money.Fen
	for i, n := range took {
		fen := m.items[i].worth(m.left[i]) - m.items[i].worth(m.left[i]-n)
		if m.items[i].insured {
			insured += fen
		} else {
			uninsured += fen
		}
		if n > m.left[i] {
			c.t.Errorf("refund %s takes %v, of %v are left %v", r.Key, took, m.items, m.left)
		}
	}
	if r.State == refund.Refused { // what it took was free again at some time
		return
	}
	if r.Insured() != insured || r.Uninsured() != uninsured {
		c.t.Errorf("refund %s of %v is worth %s and %s, want %s and %s", r.Key, took, r.Insured(), r.Uninsured(), insured, uninsured)
	}
	if want, err := m.choose(a); c.manner.steady() && (err != nil || fmt.Sprint(want) != fmt.Sprint(took)) {
		c.t.Errorf("refund %s of %+v took %v, want %v, %v", r.Key, a, took, want, err)
	}
	m.take(took, !r.State.Final())
}

// money compares every sum that is stored, and the other sides' books, with what the model says is left.
func (c *crowd) money(s *sold, o *order.Order, m *model) {
	c.t.Helper()
	fen := func(query string) money.Fen { return money.Fen(count(c.t, c.db, query, int64(s.id))) }
	whole := newModel(s.items, c.manner.joint)
	insured, uninsured := whole.sums()
	insuredLeft, uninsuredLeft := m.sums()
	cash, cashLeft := halves(insured).Cash+uninsured, halves(insuredLeft).Cash+uninsuredLeft
	back := cash - cashLeft // once all is over; nothing before the desk has spoken
	if c.manner.silent() {
		back = 0
	}
	for _, sum := range []struct {
		name      string
		got, want money.Fen
		most      money.Fen
	}{
		{"insured, promised", fen("SELECT refund_insured_fen FROM orders WHERE id = ?"), insured - insuredLeft, insured},
		{"uninsured, promised", fen("SELECT refund_uninsured_fen FROM orders WHERE id = ?"), uninsured - uninsuredLeft, uninsured},
		{"insured, of the refunds", fen("SELECT COALESCE(SUM(insured_fen), 0) FROM refund WHERE order_id = ? AND state <> 'refused'"), insured - insuredLeft, insured},
		{"uninsured, of the refunds", fen("SELECT COALESCE(SUM(uninsured_fen), 0) FROM refund WHERE order_id = ? AND state <> 'refused'"), uninsured - uninsuredLeft, uninsured},
		{"cash, promised", fen("SELECT refund_reserved_fen FROM payment WHERE order_id = ?"), back, cash},
		{"cash, of the refunds", fen("SELECT COALESCE(SUM(cash_fen), 0) FROM refund WHERE order_id = ? AND state <> 'refused'"), back, cash},
		{"cash, at WeChat", c.far.back[s.trade], back, c.far.paid[s.trade]},
	} {
		if sum.got != sum.want || sum.got > sum.most || sum.got < 0 {
			c.t.Errorf("%s: %s, want %s, at most %s", sum.name, sum.got, sum.want, sum.most)
		}
	}
	var force money.Fen
	for _, amount := range c.far.force[s.visit] {
		force += amount
	}
	if want := map[bool]money.Fen{true: insured, false: insuredLeft}[c.manner.silent()]; force != want {
		c.t.Errorf("the insurer has settled %s, want %s", force, want)
	}
	stands := halves(insuredLeft)
	stands.Uninsured = uninsuredLeft
	if !c.manner.silent() && o.Standing() != stands {
		c.t.Errorf("of the order stands %+v, want %+v", o.Standing(), stands)
	}
	if findings := order.Verify(o, must(c.db.Orders().History(c.t.Context(), s.id))(c.t)); len(findings) > 0 {
		c.t.Errorf("the ledger differs: %q", findings)
	}
}
