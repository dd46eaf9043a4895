// Package certify tries a hospital information system before its first patient: it asks it everything that docs/his-interface.md promises, the faults of
// practice included (F1 to F14 of the hospital reference), and reports in Chinese what holds, what does not, by which messages that was seen, and what
// to mend. It speaks through any carrier of package his, and never to a hospital in production.
//
// Begin with checks.go: the table of the checks, in the order in which they are made.
package certify

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Config is what a certification needs.
type Config struct {
	Clock  clock.Clock
	Source *clock.Source
	Wire   http.RoundTripper
	// Open makes a carrier to the hospital. It is called several times: with a clock that is wrong, with a source that repeats itself.
	Open func(c clock.Clock, s *clock.Source, wire http.RoundTripper) (his.Carrier, error)
	// Unsign takes the signature off a request, whose body it is given; nil: that is not tried.
	Unsign func(r *http.Request, body []byte) []byte

	Data     Data
	Hands    Hands     // who plays the hospital's people; nil: nobody
	Notices  *Listener // where the hospital's notices arrive; nil: nowhere
	ReadOnly bool      // nothing is locked, posted or given back
	Refunds  bool      // it speaks version 1.1 of the interface
	Insured  bool      // it presettles and settles by a line of its own to the insurer

	About    About
	Patience time.Duration // how long an answer is waited for; zero: 60 s
	Told     func(Result)  // called after each check; nil: nobody is told
}

// About is what the report says of the run.
type About struct {
	Hospital  string
	Address   string // without a password
	Transport string
	Version   string // of this program
	HandsName string // who arranges situations
}

// Data are the test patient and bills that the hospital offers.
type Data struct {
	Name         sensitive.Name
	ID           sensitive.IDNumber
	Patient      string          // the archive; empty: the newest that is found
	Bills        []string        // unpaid bills that may be locked, posted and given back
	OtherBill    string          // another patient's unpaid bill
	WindowPaid   string          // a bill of the test patient that was paid at the window
	Void         string          // a bill of the test patient that was withdrawn
	IdlePatient  string          // an archive with nothing to pay
	PayAuth      sensitive.Token // the patient's authorisation of payments by insurance; empty: none is sent
	Wait         time.Duration
	NoticeWindow time.Duration // how long a notice, and its repeat, are waited for; zero: 3 minutes
}

// Doing is something that the hospital's own people do.
type Doing string

// What may be asked of them.
const (
	WriteBill   Doing = "write-bill"    // an unpaid bill of two items for Task.Patient; the bill's number comes back
	OpenArchive Doing = "open-archive"  // of another person, without bills; the archive's number comes back
	PayAtWindow Doing = "pay-at-window" // Task.Bill
	ChangeBill  Doing = "change-bill"   // other items on Task.Bill
	VoidBill    Doing = "void-bill"     // Task.Bill
	HandOut     Doing = "hand-out"      // Task.Line of Task.Bill
	AskRefund   Doing = "ask-refund"    // the window asks for what is left of Task.Order
	Maintenance Doing = "maintenance"   // the next posting meets the nightly closing
)

// Task names what is done to what.
type Task struct {
	Do                         Doing
	Patient, Bill, Line, Order string
}

// What hands answer besides.
var (
	// ErrRefused is a hospital that does not let its people do it.
	ErrRefused = errors.New("certify: the hospital refuses")
	// ErrNobody is something that these hands cannot do.
	ErrNobody = errors.New("certify: nobody does this")
)

// Hands play the hospital's people: a simulator's control, or a person at the window who is told what to do.
type Hands interface {
	Do(ctx context.Context, t Task) (number string, err error)
}

// Verdict is what came of a check.
type Verdict string

// The verdicts.
const (
	Passed Verdict = "passed"  // 通过
	Failed Verdict = "failed"  // 不通过
	NotRun Verdict = "not-run" // 未执行
)

// Result is a check and what came of it. Text and Evidence hold no patient data.
type Result struct {
	ID       string     `json:"id"`
	Group    string     `json:"group"`
	Title    string     `json:"title"`
	Proves   string     `json:"proves"`
	Clause   string     `json:"clause"` // of docs/his-interface.md, and the fault of practice
	Verdict  Verdict    `json:"verdict"`
	Text     string     `json:"text"`
	Warning  string     `json:"warning,omitempty"`
	Advice   string     `json:"advice,omitempty"` // of a failure
	Evidence []Exchange `json:"evidence,omitempty"`
}

// Report is everything.
type Report struct {
	About    About         `json:"about"`
	ReadOnly bool          `json:"read_only"`
	Began    time.Time     `json:"began"`
	Took     time.Duration `json:"took_ns"`
	Results  []Result      `json:"results"`
	Timings  []Timing      `json:"timings"`
}

// Count is how many checks ended so.
func (r *Report) Count(v Verdict) (n int) {
	for i := range r.Results {
		if r.Results[i].Verdict == v {
			n++
		}
	}
	return n
}

// OK reports whether nothing failed and something passed.
func (r *Report) OK() bool { return r.Count(Failed) == 0 && r.Count(Passed) > 0 }

// kit is one run.
type kit struct {
	Config
	carrier  his.Carrier
	client   *his.Client
	link     *his.Link // the hospital's own line to the insurer
	veil     *veil
	patient  string       // the archive that is used
	pending  []string     // bill numbers of the list, unchecked
	bills    []*bill.Bill // that may be used up
	main     *booked      // the order whose refunds are tried
	lost     *booked      // and those whose answer was lost, and that were posted twice at once
	together *booked
	locking  locking
	cover    *cover   // the settlement that the insurance checks share
	covers   []*cover // that may stand
	held     order.RefundRequest
	back     order.RefundBooking // the refund of a part
	backNo   string
	notice   arrival
	began    time.Time

	mu      sync.Mutex
	step    string
	record  []Exchange
	timings map[string][]time.Duration
	locks   []string              // order numbers that may hold one
	holds   []order.RefundRequest // that may stand
	warning string
	books   books
	last    his.Answer // the last one, for what the client does not tell
}

// Run makes every check and reports. The context's end ends it.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Clock == nil || c.Source == nil || c.Wire == nil || c.Open == nil {
		return nil, errors.New("certify: clock, source, round tripper and carrier are required")
	}
	if c.Data.Name.IsZero() || c.Data.ID.IsZero() {
		return nil, errors.New("certify: the test patient's name and identity number are required")
	}
	if c.Patience == 0 {
		c.Patience = time.Minute
	}
	if c.Data.NoticeWindow == 0 {
		c.Data.NoticeWindow = 3 * time.Minute
	}
	k := &kit{Config: c, veil: newVeil(c.Data.Name.Reveal(), c.Data.ID.Reveal()), timings: map[string][]time.Duration{}, began: c.Clock.Now(),
		books: books{orders: map[string]bool{}, entries: map[string]*entered{}}}
	k.veil.secret(c.Data.PayAuth.Reveal())
	var err error
	if k.carrier, err = c.Open(c.Clock, c.Source, k.wire(nil)); err != nil {
		return nil, err
	}
	deadlines := his.Config{Clock: c.Clock, LookupDeadline: c.Patience, LockDeadline: c.Patience, PostDeadline: c.Patience, QueryDeadline: c.Patience}
	if k.client, err = his.New(deadlines, tap{k}); err != nil {
		return nil, err
	}
	if k.link, err = k.client.Link(his.LinkConfig{Source: c.Source, PresettleDeadline: c.Patience, SettleDeadline: c.Patience}); err != nil {
		return nil, err
	}
	report := &Report{About: c.About, ReadOnly: c.ReadOnly, Began: k.began}
	ended := map[string]Verdict{}
	for _, ch := range checks() {
		r := k.try(ctx, ch, ended)
		ended[ch.id] = r.Verdict
		report.Results = append(report.Results, r)
		if c.Told != nil {
			c.Told(r)
		}
	}
	k.tidy(ctx)
	report.Timings, report.Took = k.timed(), c.Clock.Now().Sub(report.Began)
	return report, ctx.Err()
}

// try makes one check, unless something that it stands on does not hold.
func (k *kit) try(ctx context.Context, ch check, ended map[string]Verdict) Result {
	r := Result{ID: ch.id, Group: ch.group, Title: ch.title, Proves: ch.proves, Clause: ch.clause}
	out := k.mayTry(ch, ended)
	if ctx.Err() != nil {
		stopped := skipped("认证被中止")
		out = &stopped
	}
	if out == nil {
		k.step, k.record, k.warning = "", nil, ""
		done := ch.run(k, ctx)
		out = &done
		if ctx.Err() != nil { // what it saw is not the hospital's doing
			*out = skipped("认证被中止")
		}
		r.Evidence, r.Warning = k.record, k.warning
	}
	r.Verdict, r.Text = out.verdict, k.veil.hide(out.text)
	if r.Verdict == Failed {
		r.Advice = ch.advice
	}
	return r
}

// mayTry says why a check is not made; nil: it is.
func (k *kit) mayTry(ch check, ended map[string]Verdict) *outcome {
	var out outcome
	switch {
	case ch.writes && k.ReadOnly:
		out = skipped("只读方式：不锁单、不结算、不入账、不退费")
	case ch.insured && !k.Insured:
		out = skipped("配置中没有 his_insurance：该医院的医保由平台直接结算，不经医院系统")
	case ch.refunds && !k.Refunds:
		out = skipped("配置中 refunds 为 false：该医院系统未声明支持接口 1.1 版的退费")
	}
	for _, id := range ch.needs {
		if out.verdict == "" && ended[id] != Passed && (k.Insured || !insuredCheck(id)) {
			out = skipped("前提“%s”未通过，先解决它再认证本项", titleOf(id))
		}
	}
	if out.verdict == "" {
		return nil
	}
	return &out
}

// tidy gives back what is still locked or held by our numbers, as far as the hospital hears it.
func (k *kit) tidy(ctx context.Context) {
	if k.ReadOnly {
		return
	}
	k.doing("收尾")
	ctx = context.WithoutCancel(ctx) // also of a run that was broken off
	for _, no := range k.locks {
		_ = k.client.Release(ctx, no) // the lock ends by itself where it is not heard
	}
	for _, h := range k.holds {
		_ = k.client.DropRefund(ctx, h.OrderNo, h.RefundNo) // what is booked stays booked
	}
	k.unsettle(ctx)
}
