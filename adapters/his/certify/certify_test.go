package certify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/certify"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/adapters/his/rest"
	"github.com/tuoka/tuoka/adapters/his/soap"
	"github.com/tuoka/tuoka/configs"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

const (
	testApp    = "tuoka"
	testSecret = "a-secret-of-the-front-office-0001"
	testName   = "冯晓棠"
	testID     = "360102198503123042"
	testCard   = "6217000012345678"
	testAuth   = "AUTH360100202611230000000001"
	callback   = "/callbacks/his/h1"
)

// hospital is a simulator behind a true network, with its people at hand, and a clock that moves when the kit waits.
type hospital struct {
	*clock.Fake
	sim   *hissim.Sim
	plan  *sandbox.Plan
	paper *hissim.PaperInsurer // behind its own line; nil: it has none
}

// Sleep lets the hospital do its own work, too.
func (h *hospital) Sleep(ctx context.Context, d time.Duration) error {
	for h.sim.Step(ctx) {
	}
	_ = clock.Real{}.Sleep(ctx, time.Millisecond) // what travels, arrives
	return h.Fake.Sleep(ctx, d)
}

// Do is what the hospital's people do.
func (h *hospital) Do(_ context.Context, t certify.Task) (number string, err error) {
	switch t.Do {
	case certify.WriteBill:
		b, err := h.sim.AddBill(t.Patient, "D360102000211", hissim.Order{Code: "W10231", Quantity: "24"}, hissim.Order{Code: "S80011", Quantity: "1"})
		return b.No, err
	case certify.OpenArchive:
		p, err := h.sim.AddPatient(hissim.Patient{Name: "柳无名", IDNo: "110102197701010013"})
		return p.ID, err
	case certify.PayAtWindow:
		_, err = h.sim.PayAtWindow(t.Bill)
	case certify.ChangeBill:
		_, err = h.sim.ChangeBill(t.Bill, hissim.Order{Code: "W10231", Quantity: "14"})
	case certify.VoidBill:
		_, err = h.sim.VoidBill(t.Bill)
	case certify.HandOut:
		_, err = h.sim.HandOut(t.Bill, t.Line, "")
	case certify.AskRefund:
		_, err = h.sim.AskRefund(t.Order, hissim.Ask{Reason: "窗口退费"})
	case certify.Maintenance:
		h.plan.Script(sandbox.Script{Op: "post", Fault: sandbox.Refuse, Times: 1})
	}
	if errors.Is(err, hissim.ErrHeld) {
		err = certify.ErrRefused
	}
	return "", err
}

// ways are the carriers, and how a signature is taken off.
var ways = map[string]struct {
	face   func(*hissim.Sim) http.Handler
	open   func(t *testing.T, url string) func(clock.Clock, *clock.Source, http.RoundTripper) (his.Carrier, error)
	unsign func(t *testing.T) func(*http.Request, []byte) []byte

	insured bool // the hospital has a line of its own to the insurer
}{
	"rest":         {(*hissim.Sim).Handler, direct, func(*testing.T) func(*http.Request, []byte) []byte { return rest.Unsign }, false},
	"insured":      {(*hissim.Sim).Handler, direct, func(*testing.T) func(*http.Request, []byte) []byte { return rest.Unsign }, true},
	"soap":         {(*hissim.Sim).SOAPHandler, translated, unsignedSOAP, false},
	"soap-insured": {(*hissim.Sim).SOAPHandler, translated, unsignedSOAP, true},
}

// direct speaks the interface as it stands.
func direct(_ *testing.T, url string) func(clock.Clock, *clock.Source, http.RoundTripper) (his.Carrier, error) {
	return func(c clock.Clock, s *clock.Source, wire http.RoundTripper) (his.Carrier, error) {
		return rest.New(rest.Config{Config: his.Config{Clock: c}, BaseURL: url, App: testApp, Secret: sensitive.NewKey(testSecret), Source: s}, wire)
	}
}

// translated speaks the made-up vendor's words.
func translated(t *testing.T, url string) func(clock.Clock, *clock.Source, http.RoundTripper) (his.Carrier, error) {
	return translatedBy(vendor(t), url)
}

func translatedBy(mapping *soap.Mapping, url string) func(clock.Clock, *clock.Source, http.RoundTripper) (his.Carrier, error) {
	return func(c clock.Clock, s *clock.Source, wire http.RoundTripper) (his.Carrier, error) {
		return soap.New(soap.Config{Config: his.Config{Clock: c}, BaseURL: url, Mapping: mapping, User: testApp, Secret: sensitive.NewKey(testSecret), Source: s}, wire)
	}
}

func unsignedSOAP(t *testing.T) func(*http.Request, []byte) []byte {
	service := vendor(t).Service
	return func(_ *http.Request, body []byte) []byte { return service.Unsign(body) }
}

// line is the network between the kit and the hospital. What is sent is heard: a request whose caller has gone is waited for, so that what comes after it
// comes after it.
type line struct{ sent, heard atomic.Int64 }

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := l.sent.Add(1)
	res, err := http.DefaultTransport.RoundTrip(r)
	for range 2000 {
		if err == nil || l.heard.Load() >= sent {
			break
		}
		_ = clock.Real{}.Sleep(context.WithoutCancel(r.Context()), time.Millisecond)
	}
	return res, err
}

func (l *line) to(server http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer l.heard.Add(1)
		server.ServeHTTP(w, r)
	})
}

func vendor(t *testing.T) *soap.Mapping {
	t.Helper()
	text, err := configs.FS.ReadFile("his-soap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := soap.ParseMapping(text)
	if err != nil {
		t.Fatal(err)
	}
	return mapping
}

// certified runs the kit against a simulator and gives its report. Set may change what is asked for.
func certified(t *testing.T, way string, defect hissim.Defect, set func(*certify.Config)) *certify.Report {
	t.Helper()
	return certifiedUntil(t.Context(), t, way, defect, set)
}

// certifiedUntil is certified until the context ends.
func certifiedUntil(ctx context.Context, t *testing.T, way string, defect hissim.Defect, set func(*certify.Config)) *certify.Report {
	t.Helper()
	return certifiedAt(ctx, t, way, func(c *hissim.Config) { c.Defect = defect }, set)
}

// certifiedAt is certifiedUntil of a hospital that is set up otherwise.
func certifiedAt(ctx context.Context, t *testing.T, way string, build func(*hissim.Config), set func(*certify.Config)) *certify.Report {
	t.Helper()
	h := &hospital{Fake: clock.NewFake(time.Date(2026, 11, 23, 9, 30, 0, 0, clock.Shanghai))}
	var err error
	if h.plan, err = sandbox.NewPlan(h.Fake, ""); err != nil {
		t.Fatal(err)
	}
	source := clock.NewSeeded(h.Fake, 1, 1)
	notices, err := rest.New(rest.Config{Config: his.Config{Clock: h.Fake}, BaseURL: "https://his.example", App: testApp, Secret: sensitive.NewKey(testSecret),
		Source: source, CallbackPath: callback}, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	listener := certify.NewListener(notices, callback)
	platform := httptest.NewServer(listener)
	t.Cleanup(platform.Close)
	hospital := hissim.Config{Clock: h.Fake, Source: source, Plan: h.plan, App: testApp, Secret: sensitive.NewKey(testSecret),
		Notify: http.DefaultTransport, NotifyURL: platform.URL + callback}
	if by, ok := ctx.Value(behind{}).(time.Duration); ok {
		hospital.Clock = late{h.Fake, by}
	}
	build(&hospital)
	if ways[way].insured {
		h.paper = hissim.NewPaperInsurer(h.Fake)
		hospital.Link = h.paper
	}
	if h.sim, err = hissim.New(hospital); err != nil {
		t.Fatal(err)
	}
	if _, err := h.sim.AddPatient(hissim.Patient{ID: "P1", CardNo: testCard, Name: testName, IDNo: testID, Insutype: "310", CoverageArea: "360100"}); err != nil {
		t.Fatal(err)
	}
	var bills []string
	for range 2 {
		no, err := h.Do(t.Context(), certify.Task{Do: certify.WriteBill, Patient: "P1"})
		if err != nil {
			t.Fatal(err)
		}
		bills = append(bills, no)
	}
	var wire line
	server := httptest.NewServer(wire.to(ways[way].face(h.sim)))
	t.Cleanup(server.Close)
	id, err := sensitive.ParseIDNumber(testID)
	if err != nil {
		t.Fatal(err)
	}
	c := certify.Config{Clock: h, Source: source, Wire: &wire, Insured: ways[way].insured, Open: ways[way].open(t, server.URL), Unsign: ways[way].unsign(t),
		Data:  certify.Data{Name: sensitive.NewName(testName), ID: id, Bills: bills, Wait: time.Hour, PayAuth: sensitive.NewToken(testAuth)},
		Hands: h, Notices: listener, Refunds: true, About: certify.About{Hospital: "云岭市人民医院", Transport: way, Address: server.URL}}
	if set != nil {
		set(&c)
	}
	r, err := certify.Run(ctx, c)
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	return r
}

// failures are the checks that failed.
func failures(r *certify.Report) (ids []string) {
	for _, c := range r.Results {
		if c.Verdict == certify.Failed {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// insurance are the checks of a hospital with a line of its own.
const insurance = "医保结算"

// TestHealthy: the simulator passes every check, over every carrier; without a line of its own to the insurer, those of insurance are not run.
func TestHealthy(t *testing.T) {
	t.Parallel()
	for way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			r := certified(t, way, "", nil)
			for _, c := range r.Results {
				if c.Group == insurance && !ways[way].insured {
					if c.Verdict != certify.NotRun || !strings.Contains(c.Text, "his_insurance") {
						t.Errorf("%s %s: %s", c.ID, c.Verdict, c.Text)
					}
					continue
				}
				if c.Verdict != certify.Passed {
					t.Errorf("%s %s: %s", c.ID, c.Verdict, c.Text)
				}
			}
			if !r.OK() {
				t.Error("the report is not OK")
			}
		})
	}
}

// TestReadOnly: nothing is locked, posted or given back.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	for way := range ways {
		r := certified(t, way, "", func(c *certify.Config) { c.ReadOnly = true })
		if ids := failures(r); len(ids) > 0 || r.Count(certify.Passed) < 12 {
			t.Errorf("%s: failed %v, passed %d", way, ids, r.Count(certify.Passed))
		}
		for _, c := range r.Results {
			if day := c.ID == "day" || c.ID == "day-empty"; c.Group == "对账" && (c.Verdict == certify.Passed) != day {
				t.Errorf("%s: %s %s: %s", way, c.ID, c.Verdict, c.Text)
			}
			for _, e := range c.Evidence {
				if slices.Contains([]string{"locks/acquire", "locks/release", "postings/post", "refunds/hold", "refunds/drop", "refunds/book"}, e.Operation) ||
					strings.HasPrefix(e.Operation, "insurance/") {
					t.Errorf("%s: %s asked for %s", way, c.ID, e.Operation)
				}
			}
		}
	}
}

// TestWithoutDayList: a hospital that does not offer the day's list is not certified of it, and fails nothing.
func TestWithoutDayList(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"rest", "soap"} {
		r := certifiedAt(t.Context(), t, way, func(c *hissim.Config) { c.NoDayList = true }, func(c *certify.Config) {
			if way == "soap" { // its mapping says so
				mapping := vendor(t)
				delete(mapping.Operations, "statements/list")
				c.Open = translatedBy(mapping, c.About.Address)
			}
		})
		for _, c := range r.Results {
			if c.Group == "对账" && (c.Verdict != certify.NotRun || (c.ID == "day" && !strings.Contains(c.Text, "没有提供"))) {
				t.Errorf("%s: %s %s: %s", way, c.ID, c.Verdict, c.Text)
			}
		}
		if ids := failures(r); len(ids) > 0 {
			t.Errorf("%s: failed %v", way, ids)
		}
	}
}

// TestWithoutHands: what nobody arranges is not run, and never passed.
func TestWithoutHands(t *testing.T) {
	t.Parallel()
	r := certified(t, "rest", "", func(c *certify.Config) { c.Hands, c.Notices = nil, nil })
	if ids := failures(r); len(ids) > 0 {
		t.Errorf("failed: %v", ids)
	}
	for _, c := range r.Results {
		if slices.Contains([]string{"detail-other", "window", "window-locked", "void", "changed", "maintenance", "notice", "notice-again", "pending-empty"}, c.ID) && c.Verdict != certify.NotRun {
			t.Errorf("%s: %s, %s", c.ID, c.Verdict, c.Text)
		}
		if c.Verdict == certify.NotRun && !strings.ContainsAny(c.Text, "：前提") {
			t.Errorf("%s does not say why it was not run: %s", c.ID, c.Text)
		}
	}
}

// TestSettlementsAreTakenBack: what stands at the insurer afterwards belongs to an order in the hospital's books, also when the run is broken off.
func TestSettlementsAreTakenBack(t *testing.T) {
	t.Parallel()
	for _, last := range []string{"speed", "settle", "presettle-settled", "settle-other", "settle-lost", "post"} {
		t.Run(last, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var h *hospital
			r := certifiedUntil(ctx, t, "insured", "", func(c *certify.Config) {
				h, _ = c.Hands.(*hospital)
				c.Told = func(r certify.Result) {
					if r.ID == last {
						stop()
					}
				}
			})
			if ids := failures(r); len(ids) > 0 {
				t.Errorf("failed: %v", ids)
			}
			booked := 0
			for _, p := range h.sim.Truth().Postings {
				if p.RefundedFen < p.TotalFen {
					booked++
				}
			}
			if got := h.paper.Standing(); got != booked {
				t.Errorf("%d settlements stand, %d orders are booked", got, booked)
			}
		})
	}
}

// TestBrokenOff: a run that is ended in the middle says so, gives back what it locked, and calls nothing failed.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	var h *hospital
	r := certifiedUntil(ctx, t, "rest", "", func(c *certify.Config) {
		h, _ = c.Hands.(*hospital)
		c.Told = func(r certify.Result) {
			if r.ID == "lock" {
				stop()
			}
		}
	})
	if ids := failures(r); len(ids) > 0 || r.Count(certify.NotRun) < 30 {
		t.Errorf("failed %v, not run %d", ids, r.Count(certify.NotRun))
	}
	for _, l := range h.sim.Truth().Locks {
		if l.Live {
			t.Errorf("order %s still holds its bills", l.OrderNo)
		}
	}
}

// ending ends a run at one request of an operation: before it is sent, or once it is answered.
type ending struct {
	http.RoundTripper
	operation string
	left      atomic.Int64 // how many of it go by
	before    bool
	stop      func()
}

// RoundTrip sends a request on.
func (e *ending) RoundTrip(r *http.Request) (*http.Response, error) {
	now := strings.HasSuffix(r.URL.Path, e.operation) && e.left.Add(-1) == 0
	if now && e.before {
		e.stop()
	}
	res, err := e.RoundTripper.RoundTrip(r)
	if now {
		e.stop()
	}
	return res, err
}

// TestNothingIsLeft: a run that is broken off in the middle of a check leaves no bill locked and no item held, and what stands at the insurer is in the
// hospital's books. The numbers are about the bill that is changed, and the refund of a part.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	for operation, numbers := range map[string][]int64{"locks/acquire": {1, 12}, "insurance/settle": {1, 16}, "refunds/book": {1, 2}} {
		for _, nth := range numbers {
			t.Run(fmt.Sprint(operation, " ", nth), func(t *testing.T) {
				t.Parallel()
				for _, before := range []bool{true, false} {
					ctx, stop := context.WithCancel(t.Context())
					defer stop()
					e := &ending{operation: operation, before: before, stop: stop}
					e.left.Store(nth)
					var h *hospital
					r := certifiedUntil(ctx, t, "insured", "", func(c *certify.Config) {
						h, _ = c.Hands.(*hospital)
						e.RoundTripper, c.Wire = c.Wire, e
					})
					if ids := failures(r); len(ids) > 0 {
						t.Errorf("failed: %v", ids)
					}
					if ctx.Err() == nil {
						t.Error("so many there are not")
					}
					h.wantNothingLeft(t)
				}
			})
		}
	}
}

func (h *hospital) wantNothingLeft(t *testing.T) {
	t.Helper()
	truth, booked := h.sim.Truth(), 0
	var numbers []string
	for _, p := range truth.Postings {
		numbers = append(numbers, p.SetlID)
	}
	for _, f := range truth.Refunds {
		numbers = append(numbers, f.RestSetlID)
	}
	for _, no := range numbers {
		if stands, err := h.paper.InForce(hissim.LinkVisit{}, no); err == nil && stands {
			booked++
		}
	}
	if got := h.paper.Standing(); got != booked {
		t.Errorf("%d settlements stand, %d of them in the books", got, booked)
	}
	for _, l := range truth.Locks {
		if l.Live {
			t.Errorf("order %s still holds its bills", l.OrderNo)
		}
	}
	for _, f := range truth.Refunds {
		if f.State == hissim.RefundHeld {
			t.Errorf("refund %s still holds items", f.RefundNo)
		}
	}
}

// behind is how far a context's hospital has its clock behind ours.
type behind struct{}

// late is a clock that is behind.
type late struct {
	clock.Clock
	by time.Duration
}

// Now is what it shows.
func (l late) Now() time.Time { return l.Clock.Now().Add(-l.by) }

// TestClocksApart: a hospital is not blamed for a clock that is as far off as the interface allows and the check of the clocks passes.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{-50 * time.Second, 50 * time.Second} {
		r := certifiedUntil(context.WithValue(t.Context(), behind{}, by), t, "rest", "", nil)
		for _, c := range r.Results {
			if c.Group != insurance && (c.Verdict != certify.Passed || (c.Warning != "") != (c.ID == "lock-expires" && by > 0)) {
				t.Errorf("%v behind: %s %s: %s %s", by, c.ID, c.Verdict, c.Text, c.Warning)
			}
		}
	}
}

// TestStrangersMessage: a message that anybody may have sent to the address of the notices is not held against the hospital, unless it is all that came.
func TestStrangersMessage(t *testing.T) {
	t.Parallel()
	for defect, want := range map[hissim.Defect][]string{"": nil, hissim.NoticeOnce: {"notice-again"}, hissim.NoticeUnsigned: {"notice"}} {
		r := certified(t, "rest", defect, func(c *certify.Config) {
			told := false
			c.Told = func(certify.Result) {
				if !told {
					c.Notices.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, callback, strings.NewReader("hello")))
				}
				told = true
			}
		})
		if got := failures(r); !slices.Equal(got, want) {
			t.Errorf("%q: failed %v, want %v", defect, got, want)
		}
	}
}
