package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/callback"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
)

// crashEnv makes this test program a process of the crash matrix: the service on a file, and a patient who uses it, in one thread.
const crashEnv = "TUOKA_CRASH"

// byTheWindow is the journey of a refund that the hospital's window asks for.
const byTheWindow = "refund by the window"

func TestMain(m *testing.M) {
	if text := os.Getenv(crashEnv); text != "" {
		if err := crashing(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// crashPlay is what the parent wants of a process.
type crashPlay struct {
	Dir     string // of the stage, whose simulators the parent runs
	Base    int
	DB      string // its DSN
	Memo    string // file in which the phone keeps what it knows
	Role    role
	Journey string
	Late    time.Duration // how much later it is than by the machine's clock: after a kill nobody waits for a claim to end
	Kill    string        // the point at which the process kills itself; empty: nowhere
}

// crashEnd is what a process prints that was not killed.
type crashEnd struct {
	Points   []string
	Order    orderView
	History  []string
	Findings []string
}

// memo is what the phone keeps over a restart of the service.
type memo struct {
	Account patient.AccountID
	Person  patient.ID
	Order   order.ID
	Asked   *refund.AskedByHIS // what the window has asked for
}

// crasher plays one journey on one bill.
type crasher struct {
	crashPlay
	house  *house
	door   *phoneClient
	memo   memo
	state  string // of the order, as last stored
	points []string

	thought bool // the patient has thought about it before cancelling
}

// crashScale is how much faster than life waits go by.
const crashScale = 300

// later is a clock that is ahead.
type later struct {
	clock.Real
	by time.Duration
}

// Now is the time there.
func (l later) Now() time.Time { return l.Real.Now().Add(l.by) }

func crashing(text string) error {
	c := &crasher{}
	if err := json.Unmarshal([]byte(text), &c.crashPlay); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.open(ctx); err != nil {
		return err
	}
	if err := c.arrive(ctx); err != nil {
		return err
	}
	o, err := c.play(ctx)
	if err != nil {
		return err
	}
	end := crashEnd{Points: c.points, Order: viewOf(o)}
	err = c.house.db.Orders().Each(ctx, "", func(o *order.Order, history []order.Event) error {
		end.Findings = append(end.Findings, order.Verify(o, history)...)
		for i := range history {
			e := &history[i]
			end.History = append(end.History, strings.Join([]string{e.At.Format("15:04:05.000"), e.Subject, e.Verb, e.From, e.To, e.Number, e.Detail}, " "))
		}
		return nil
	}, nil)
	if due, oldest, bad := c.house.db.Jobs().Backlog(ctx, c.house.clock.Now()); due > 0 || bad != nil {
		end.Findings = append(end.Findings, fmt.Sprintf("%d jobs are due, the oldest for %s, %v", due, oldest, bad))
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(end), c.house.db.Close())
}

// open puts the service together as build does, but with a point after every durable write and every outside call.
func (c *crasher) open(ctx context.Context) (err error) {
	st := stage{dir: c.Dir, base: c.Base}
	cfg, err := st.sandboxConfig("")
	if err != nil {
		return err
	}
	cfg.Database.DSN, cfg.TimeScale = c.DB, crashScale
	c.house = &house{config: cfg, world: world{clock: later{by: c.Late}, wire: crashWire{transport(), c}}, log: slog.New(slog.DiscardHandler),
		bills: map[string]bill.Source{}, notices: map[string]callback.Source{}, wake: make(chan struct{}, 1)}
	node := 1
	if c.Late > 0 { // a minute ahead it must not make the numbers that another case makes a minute later
		node = 3
	}
	c.house.source = clock.NewSource(c.house.clock, node)
	parties, institutions, err := c.house.counterparts()
	if err != nil {
		return err
	}
	if c.house.db, c.house.vault, err = openDatabase(ctx, cfg, c.house.clock, c.house.source); err != nil {
		return err
	}
	c.house.storage = storage{crashOrders{c.house.db.Orders(), c}, crashJobs{c.house.db.Jobs(), c}, crashInbox{c.house.db.Inbox(), c}}
	c.door = newPhoneClient(st.url(phonePort))
	if err := c.house.furnish(parties, institutions, fmt.Sprintf("pid %d", os.Getpid())); err != nil {
		return err
	}
	return c.door.findOut(ctx)
}

// at is a point: here the process may die.
func (c *crasher) at(name string) {
	if c.memo.Person == 0 || slices.Contains(c.points, name) { // what was done before in the same state is no other point
		return
	}
	c.points = append(c.points, name)
	if name == c.Kill {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// passing does something and passes the point behind it. What lies before it is the point behind what came before.
func (c *crasher) passing(name string, do func() error) error {
	err := do()
	c.at(name)
	return err
}

type crashOrders struct {
	order.Store
	c *crasher
}

// wording is what a commit says, in the words of its events.
func wording(o *order.Order, next string) string {
	words := []string{"write " + string(o.State) + ":"}
	for i := range o.Events {
		words = append(words, o.Events[i].Subject+" "+o.Events[i].Verb+",")
	}
	return strings.Join(append(words, next), " ")
}

// Create creates.
func (s crashOrders) Create(ctx context.Context, o *order.Order, j job.New) (claim job.Claim, err error) {
	err = s.c.passing(wording(o, "created"), func() error {
		claim, err = s.Store.Create(ctx, o, j)
		return err
	})
	s.c.state = string(o.State)
	return claim, err
}

// Save saves.
func (s crashOrders) Save(ctx context.Context, o *order.Order, claim *job.Claim, next job.Next) error {
	what := "at rest"
	switch {
	case next.Done:
		what = "done"
	case next.Stay || !next.Hold.IsZero():
		what = "a call follows"
	}
	s.c.state = string(o.State)
	if len(o.Events) == 0 && what == "a call follows" { // the claim is made longer, which depends on how fast the machine is
		return s.Store.Save(ctx, o, claim, next)
	}
	return s.c.passing(wording(o, what), func() error { return s.Store.Save(ctx, o, claim, next) })
}

type crashJobs struct {
	job.Queue
	c *crasher
}

// Take takes. The first claim stands for all: in which state a worker claims depends on how fast the machine is. So does when it gives a claim
// back that changed nothing, which is no point.
func (q crashJobs) Take(ctx context.Context, j job.Job, owner string, now, until time.Time) (claim job.Claim, err error) {
	err = q.c.passing("claim", func() error {
		claim, err = q.Queue.Take(ctx, j, owner, now, until)
		return err
	})
	return claim, err
}

type crashInbox struct {
	job.Inbox
	c *crasher
}

// Put stores a notice.
func (i crashInbox) Put(ctx context.Context, n job.Notice) (fresh bool, err error) {
	err = i.c.passing("notice stored", func() error {
		fresh, err = i.Inbox.Put(ctx, n)
		return err
	})
	return fresh, err
}

// Mark notes that a notice is handled.
func (i crashInbox) Mark(ctx context.Context, id int64, at time.Time, refusal string) error {
	return i.c.passing("notice handled", func() error { return i.Inbox.Mark(ctx, id, at, refusal) })
}

type crashWire struct {
	http.RoundTripper
	c *crasher
}

var (
	numbers = regexp.MustCompile(`[A-Za-z]*[0-9]{6,}\w*`)
	infno   = regexp.MustCompile(`"infno"\s*:\s*"(\w+)"`)
)

// RoundTrip sends a request.
func (w crashWire) RoundTrip(r *http.Request) (res *http.Response, err error) {
	if strings.HasPrefix(r.URL.Path, "/sandbox/") { // the patient's own hands
		return w.RoundTripper.RoundTrip(r)
	}
	name := r.Method + " " + numbers.ReplaceAllString(r.URL.Path, "#")
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if m := infno.FindSubmatch(body); m != nil {
			name = string(m[1])
		}
	}
	err = w.c.passing("call in "+w.c.state+": "+name, func() error {
		res, err = w.RoundTripper.RoundTrip(r)
		return err
	})
	return res, err
}

// arrive logs in, enrols and authorises, once; a phone that did remembers it.
func (c *crasher) arrive(ctx context.Context) error {
	text, err := os.ReadFile(c.Memo)
	if err == nil {
		return json.Unmarshal(text, &c.memo)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	v := c.visitor()
	code, err := v.loginCode(ctx)
	if err == nil {
		err = v.enter(ctx, c.house, code)
	}
	if err != nil {
		return err
	}
	c.memo = memo{Account: v.caller.Account, Person: v.person}
	return c.remember()
}

func (c *crasher) visitor() *visitor {
	return &visitor{player: &player{client: c.door, role: c.Role}, person: c.memo.Person,
		caller: patient.Caller{Account: c.memo.Account, Institution: c.Role.Institution, RequestID: "r"}}
}

func (c *crasher) remember() error {
	text, err := json.Marshal(c.memo)
	if err != nil {
		return err
	}
	return os.WriteFile(c.Memo, text, 0o600)
}

// play does what the journey asks, and everything else that is due, until the order is over.
func (c *crasher) play(ctx context.Context) (*order.Order, error) {
	for ctx.Err() == nil {
		for worked := true; worked; {
			var err error
			if worked, err = c.house.orders.Step(ctx); err != nil && !errors.Is(err, job.ErrLost) && !errors.Is(err, job.ErrBusy) {
				return nil, err
			}
		}
		if _, err := c.house.orders.StepInbox(ctx); err != nil {
			return nil, err
		}
		o, err := c.look(ctx)
		if err != nil {
			return nil, err
		}
		if o != nil {
			over, err := c.act(ctx, o)
			if err != nil || over {
				return o, err
			}
		}
		_ = c.house.clock.Sleep(ctx, 5*time.Millisecond)
	}
	return nil, fmt.Errorf("the journey is not over after a minute, the order is %s: %w", c.state, ctx.Err())
}

// look is the phone's look at its order; without one it asks for a quote.
func (c *crasher) look(ctx context.Context) (o *order.Order, err error) {
	if c.memo.Order != 0 {
		o, err = c.house.orders.Get(ctx, c.memo.Account, c.memo.Order)
	} else if o, err = c.house.orders.Live(ctx, c.memo.Account); errors.Is(err, order.ErrNotFound) {
		o, err = c.house.orders.Quote(ctx, order.QuoteRequest{Account: c.memo.Account, Institution: c.Role.Institution, Patient: c.memo.Person, BillNos: c.Role.Bills,
			Insurance: true, UseAccount: true, Request: &job.Request{Key: job.Key{Account: int64(c.memo.Account), Route: "quote", Key: "k"}, BodyDigest: "d"}})
		if errors.Is(err, job.ErrBusy) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	c.state, c.memo.Order = string(o.State), o.ID
	return o, c.remember()
}

// tryAgain are the answers after which a patient looks and tries again.
func tryAgain(err error) bool {
	return errors.Is(err, job.ErrBusy) || errors.Is(err, job.ErrLost) || errors.Is(err, order.ErrState)
}

// act is the patient's next deed. Over: the journey has come to an end.
func (c *crasher) act(ctx context.Context, o *order.Order) (over bool, err error) {
	f := o.Refund()
	switch {
	case o.State == order.Quoted && o.ConfirmedAt.IsZero():
		_, err = c.house.orders.Confirm(ctx, order.Confirmation{Account: c.memo.Account, Order: o.ID, Seen: o.Version})
	case f != nil && f.WantsAuth(), o.State == order.Quoting && o.Renew:
		if err = c.visitor().bind(ctx, c.house); err == nil {
			_, err = c.house.orders.Renew(ctx, c.memo.Account, o.ID)
		}
	case o.Payable(c.house.clock.Now()) != order.NoWay && c.Journey == "cancel" && !c.thought: // so long that somebody looks meanwhile, on any machine
		c.thought = true
		_ = c.house.clock.Sleep(ctx, 50*time.Millisecond)
	case o.Payable(c.house.clock.Now()) != order.NoWay && c.Journey == "cancel":
		_, err = c.house.orders.Cancel(ctx, c.memo.Account, o.ID)
	case o.Payable(c.house.clock.Now()) != order.NoWay:
		err = c.pay(ctx, o)
	case o.State == order.Completed && len(o.Refunds) == 0 && c.Journey == byTheWindow:
		err = c.windowAsks(ctx, o)
	case o.State == order.Completed && len(o.Refunds) == 0 && strings.HasPrefix(c.Journey, "refund"):
		ask := order.RefundAsk{By: refund.ByPatient, Actor: "phone", Account: c.memo.Account, Order: o.ID, Key: "back", KeptAgain: true, Whole: c.Journey == "refund whole"}
		if !ask.Whole {
			left := o.Left()[0]
			i := slices.IndexFunc(left.Lines, func(l bill.Line) bool { return l.Uninsured == (c.Journey == "refund uninsured") })
			ask.Wants = []refund.Want{{BillNo: left.No, LineNo: left.Lines[i].No, All: true}}
		}
		_, _, err = c.house.orders.AskRefund(ctx, ask)
	case f != nil && f.State != refund.InReview:
	case o.State.Final() || o.State == order.InReview:
		return true, nil
	}
	if tryAgain(err) {
		err = nil
	}
	return false, err
}

// windowAsks has the window ask for an uninsured item back, and the HIS tell us so again and again until we have it.
func (c *crasher) windowAsks(ctx context.Context, o *order.Order) error {
	if c.memo.Asked == nil {
		left := o.Left()[0]
		i := slices.IndexFunc(left.Lines, func(l bill.Line) bool { return l.Uninsured })
		line := left.Lines[i]
		var ask struct {
			No string `json:"his_refund_no"`
		}
		body := map[string]any{"reason": "窗口退费", "lines": []map[string]any{{"bill_no": left.No, "line_no": line.No, "quantity": line.Quantity.String()}}}
		if err := c.door.sandbox(ctx, http.MethodPost, "/"+c.Role.Institution+"/his/postings/"+o.ID.No()+"/ask-refund", body, &ask); err != nil {
			return err
		}
		c.memo.Asked = &refund.AskedByHIS{HISNo: ask.No, OrderNo: o.ID.No(), Lines: []refund.Line{{BillNo: left.No, LineNo: line.No, Quantity: line.Quantity, Amount: line.Total}},
			Total: line.Total, Reason: "窗口退费"}
		if err := c.remember(); err != nil {
			return err
		}
	}
	body, err := json.Marshal(c.memo.Asked)
	if err == nil {
		_, err = c.house.storage.inbox.Put(ctx, job.Notice{Source: "his/" + o.Institution, ID: c.memo.Asked.HISNo, Kind: refund.KindAsked, Number: o.ID.No(), Body: body,
			ReceivedAt: c.house.clock.Now()})
	}
	return err
}

// pay types the password at WeChat's cashier; on the way to be unwound the hospital makes the bill void meanwhile.
func (c *crasher) pay(ctx context.Context, o *order.Order) error {
	args, err := cashierArgs(ctx, c.house, c.memo.Account, o.ID)
	if err != nil {
		return err
	}
	_, err = c.door.once(ctx, http.MethodPost, c.visitor().counter(args), "", "", args)
	if err == nil && c.Journey == "unwind" { // a window that does not mind the lock
		his := "/sandbox/" + c.Role.Institution + "/his"
		_, err = c.door.once(ctx, http.MethodPost, his+"/oddities", "", "", hissim.Oddity{Op: "window", Key: c.Role.Bills[0], Kind: hissim.IgnoreLock, Times: 1})
		if err == nil {
			_, err = c.door.once(ctx, http.MethodPost, his+"/bills/"+c.Role.Bills[0]+"/void", "", "", nil)
		}
	}
	if err == nil { // a patient who waits makes us look
		_, err = c.house.orders.Wait(ctx, c.memo.Account, o.ID, o.Version, time.Millisecond)
	}
	return err
}

// crashTemplate makes a database that is migrated and has its keys.
func crashTemplate(ctx context.Context, st stage) (string, error) {
	cfg, err := st.sandboxConfig("")
	if err != nil {
		return "", err
	}
	real := clock.Real{}
	db, _, err := openDatabase(ctx, cfg, real, clock.NewSource(real, 2))
	if err != nil {
		return "", err
	}
	return cfg.Database.DSN, errors.Join(db.Close(), os.MkdirAll(filepath.Join(st.dir, "cases"), 0o700))
}
