package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/clock"
)

var start = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

// shop is a simulator with one operation: it counts its effects, and can be asked to refuse or to change the amount.
type shop struct {
	effects atomic.Int64
	done    chan struct{} // told of every effect
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != "order" {
		http.Error(w, "bad body", http.StatusBadRequest)
		return
	}
	switch Injected(r.Context()) {
	case Refuse:
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	case ChangeAmount:
		_, _ = io.WriteString(w, "11")
		return
	}
	s.effects.Add(1)
	w.Header().Set("X-Shop", "open")
	_, _ = io.WriteString(w, "10")
	select {
	case s.done <- struct{}{}:
	default:
	}
}

func nameIt(*http.Request, []byte) Call {
	return Call{Op: "buy", Key: "k", Refusable: true, Priced: true}
}

func newPlan(t *testing.T, c clock.Clock) *Plan {
	t.Helper()
	p, err := NewPlan(c, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEveryFault sends one request through each fault, over a real server and in process, and looks at the effect and the answer.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault   Fault
		broken  bool // no answer
		status  int
		body    string // what the answer holds
		effects int64
	}{
		{"", false, 200, "10", 1},
		{LoseBefore, true, 0, "", 0},
		{LoseAfter, true, 0, "", 1},
		{ErrorBefore, false, 502, "Bad Gateway", 0},
		{ErrorAfter, false, 504, "Gateway Time-out", 1},
		{Garbage, false, 200, "<html>", 1},
		{Slow, false, 200, "10", 1},
		{LateAnswer, true, 0, "", 1},
		{LateEffect, true, 0, "", 1},
		{Repeat, false, 200, "10", 2},
		{Refuse, false, 422, "", 0},
		{ChangeAmount, false, 200, "11", 0},
	} {
		for _, way := range []string{"server", "in process"} {
			t.Run(fmt.Sprintf("%s, %s", orNone(tt.fault), way), func(t *testing.T) {
				t.Parallel()
				c := clock.NewFake(start)
				p := newPlan(t, c)
				if tt.fault != "" {
					p.Script(Script{Op: "buy", Fault: tt.fault})
				}
				s := &shop{done: make(chan struct{}, 2)}
				client, url := wayTo(t, way, p.Wrap(nameIt, s))
				res, err := client.Post(url, "text/plain", strings.NewReader("order"))
				if err != nil {
					if !tt.broken {
						t.Fatalf("no answer: %v", err)
					}
				} else {
					body, _ := io.ReadAll(res.Body)
					_ = res.Body.Close()
					if tt.broken || res.StatusCode != tt.status || !strings.Contains(string(body), tt.body) {
						t.Errorf("answered %d %q", res.StatusCode, body)
					}
					if tt.body == "10" && (res.Header.Get("X-Shop") != "open" || res.ContentLength != 2) {
						t.Errorf("header %v, length %d", res.Header, res.ContentLength)
					}
				}
				if got := s.effects.Load(); got != tt.effects {
					t.Errorf("%d effects, want %d", got, tt.effects)
				}
				if passed := c.Now().Sub(start); (passed > 0) != (tt.fault == Slow || tt.fault == LateAnswer || tt.fault == LateEffect) {
					t.Errorf("%v passed", passed)
				}
				// The next call is as it should be.
				if res, err := client.Post(url, "text/plain", strings.NewReader("order")); err != nil || res.StatusCode != 200 {
					t.Errorf("the call after: %v", err)
				} else {
					_ = res.Body.Close()
				}
			})
		}
	}
}

func orNone(f Fault) Fault {
	if f == "" {
		return "none"
	}
	return f
}

func wayTo(t *testing.T, way string, h http.Handler) (*http.Client, string) {
	if way == "in process" {
		return &http.Client{Transport: Transport(h)}, "http://shop/buy"
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	// A lost connection must not make Go's own client repeat the request.
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, server.URL + "/buy"
}

// patience is the real clock, and tells when somebody begins to wait.
type patience struct {
	clock.Real
	waits chan struct{}
}

func (p patience) Sleep(ctx context.Context, d time.Duration) error {
	close(p.waits)
	return p.Real.Sleep(ctx, d)
}

// TestLateInRealTime: a caller who gives up gets no answer, and the effect comes all the same.
func TestLateInRealTime(t *testing.T) {
	t.Parallel()
	for fault, before := range map[Fault]int64{LateAnswer: 1, LateEffect: 0} {
		for _, way := range []string{"server", "in process"} {
			t.Run(fmt.Sprintf("%s, %s", fault, way), func(t *testing.T) {
				t.Parallel()
				c := patience{waits: make(chan struct{})}
				p := newPlan(t, c)
				p.Script(Script{Op: "buy", Fault: fault})
				s := &shop{done: make(chan struct{}, 1)}
				client, url := wayTo(t, way, p.Wrap(nameIt, s))
				ctx, giveUp := context.WithCancel(t.Context())
				go func() {
					<-c.waits
					if got := s.effects.Load(); got != before {
						t.Errorf("%d effects while the caller waits, want %d", got, before)
					}
					giveUp()
				}()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("order"))
				if err != nil {
					t.Fatal(err)
				}
				if res, err := client.Do(req); !errors.Is(err, context.Canceled) {
					t.Errorf("answer %v, %v, want none", res, err)
				}
				<-s.done
				if s.effects.Load() != 1 {
					t.Errorf("%d effects, want 1", s.effects.Load())
				}
			})
		}
	}
}

func TestBodyTooLarge(t *testing.T) {
	t.Parallel()
	s := &shop{}
	client, url := wayTo(t, "in process", newPlan(t, clock.NewFake(start)).Wrap(nameIt, s))
	res, err := client.Post(url, "text/plain", strings.NewReader(strings.Repeat("x", maxBody+1)))
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusBadRequest || s.effects.Load() != 0 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// decisions is what a plan decides for some calls.
func decisions(p *Plan, keys, calls int) []Fault {
	var list []Fault
	for i := range calls {
		for k := range keys {
			list = append(list, p.decide(Call{Op: "2207", Key: fmt.Sprint(k), Refusable: true, Priced: i%2 == 0}))
		}
	}
	return list
}

func TestDecisionsFollowFromTheSeed(t *testing.T) {
	t.Parallel()
	c := clock.NewFake(start)
	a, b, other, none := newPlan(t, c), newPlan(t, c), newPlan(t, c), newPlan(t, c)
	for p, seed := range map[*Plan]uint64{a: 7, b: 7, other: 8} {
		if err := p.SetLevel(Harsh, seed); err != nil {
			t.Fatal(err)
		}
	}
	// Whatever else happens in between changes nothing.
	for i := range 50 {
		b.decide(Call{Op: "other", Key: fmt.Sprint(i)})
	}
	first, again := decisions(a, 100, 10), decisions(b, 100, 10)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error("the same seed, operation, key and count give another decision")
	}
	if cmp.Equal(first, decisions(other, 100, 10)) {
		t.Error("another seed gives the same decisions")
	}
	for _, f := range decisions(none, 100, 10) {
		if f != "" {
			t.Fatalf("level none: %s", f)
		}
	}
}

func TestThreeFaultsPerCallAtMost(t *testing.T) {
	t.Parallel()
	p := newPlan(t, clock.NewFake(start))
	if err := p.SetLevel(Harsh, 1); err != nil {
		t.Fatal(err)
	}
	faults := 0
	for range 2000 {
		if p.decide(Call{Op: "2207", Key: "one", Refusable: true, Priced: true}) != "" {
			faults++
		}
	}
	if faults != usualMost {
		t.Errorf("%d faults of one call, want %d", faults, usualMost)
	}
}

func TestOwnBoundOfACall(t *testing.T) {
	t.Parallel()
	p := newPlan(t, clock.NewFake(start))
	if err := p.SetLevel(Harsh, 1); err != nil {
		t.Fatal(err)
	}
	faults := 0
	for range 2000 {
		if p.decide(Call{Op: "2207", Key: "one", Refusable: true, Priced: true, Most: 1}) != "" {
			faults++
		}
	}
	if faults != 1 {
		t.Errorf("%d faults of a call that bears one", faults)
	}
}

func TestMixtures(t *testing.T) {
	t.Parallel()
	for level, want := range perMille {
		p := newPlan(t, clock.NewFake(start))
		if err := p.SetLevel(level, 3); err != nil {
			t.Fatal(err)
		}
		const calls = 40_000
		got := map[Fault]int{}
		for i := range calls {
			got[p.decide(Call{Op: "x", Key: fmt.Sprint(i), Refusable: true, Priced: true})]++
		}
		for _, f := range want {
			expected := calls * int(f.n) / 1000
			if n := got[f.fault]; n < expected*3/4 || n > expected*5/4 {
				t.Errorf("%s: %s came %d times of %d, want about %d", level, f.fault, n, calls, expected)
			}
			delete(got, f.fault)
		}
		delete(got, "")
		if len(got) != 0 {
			t.Errorf("%s: %v came, too", level, got)
		}
	}
}

func TestRefuseAndAmountsOnlyWhereTheyCan(t *testing.T) {
	t.Parallel()
	p := newPlan(t, clock.NewFake(start))
	p.Script(Script{Op: "a", Fault: Refuse}, Script{Op: "a", Fault: ChangeAmount})
	for _, call := range []Call{{Op: "a", Priced: true}, {Op: "a", Refusable: true}} {
		if f := p.decide(call); f != "" {
			t.Errorf("%+v meets %s", call, f)
		}
	}
	if len(p.Injected()) != 0 {
		t.Errorf("injected %v", p.Injected())
	}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	p := newPlan(t, clock.NewFake(start))
	p.Script(Script{Op: "2207", Key: "b", Fault: LoseAfter}, Script{Op: "2207", Fault: LoseBefore, Times: 2}, Script{Op: "2208", Fault: Slow})
	for i, tt := range []struct {
		op, key string
		want    Fault
	}{
		{"2207", "a", LoseBefore}, {"2207", "b", LoseAfter}, {"2207", "b", LoseBefore}, {"2207", "b", ""}, {"2208", "b", Slow}, {"2208", "b", ""}, {"2601", "b", ""},
	} {
		if got := p.decide(Call{Op: tt.op, Key: tt.key}); got != tt.want {
			t.Errorf("call %d: %s %s meets %q, want %q", i+1, tt.op, tt.key, got, tt.want)
		}
	}
	var met []string
	for _, in := range p.Injected() {
		if !in.At.Equal(start) {
			t.Errorf("at %v", in.At)
		}
		met = append(met, in.Op+in.Key+string(in.Fault))
	}
	if diff := cmp.Diff([]string{"2207alose_before", "2207blose_after", "2207blose_before", "2208bslow"}, met); diff != "" {
		t.Errorf("injected (-want +got):\n%s", diff)
	}
}

func TestScriptsKnowNoBound(t *testing.T) {
	t.Parallel()
	p := newPlan(t, clock.NewFake(start))
	p.Script(Script{Op: "a", Fault: LoseAfter, Times: 9})
	for i := range 9 {
		if f := p.decide(Call{Op: "a"}); f != LoseAfter {
			t.Errorf("call %d meets %q", i+1, f)
		}
	}
}

func TestPlanSurvivesAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plan")
	c := clock.NewFake(start)
	p, err := NewPlan(c, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.SetLevel(Mild, 5), p.SetLevel(Harsh, 9)); err != nil {
		t.Fatal(err)
	}
	p.Script(Script{Op: "a", Key: "k", Fault: LoseAfter, Times: usualMost}, Script{Op: "a", Fault: Slow})
	for range usualMost {
		p.decide(Call{Op: "a", Key: "k"})
	}
	again, err := NewPlan(c, path)
	if err != nil {
		t.Fatal(err)
	}
	if level, seed := again.Level(); level != Harsh || seed != 9 {
		t.Errorf("level %s, seed %d", level, seed)
	}
	if diff := cmp.Diff(p.Injected(), again.Injected()); diff != "" {
		t.Errorf("injected (-before +after):\n%s", diff)
	}
	for range 500 {
		if f := again.decide(Call{Op: "a", Key: "k", Refusable: true, Priced: true}); f != "" {
			t.Fatalf("a call that was disturbed %d times before the kill meets %s", usualMost, f)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	p := newPlan(t, clock.NewFake(start))
	if err := p.SetLevel("stormy", 1); err == nil {
		t.Error("an unknown level was accepted")
	}
	path := filepath.Join(t.TempDir(), "plan")
	j, err := OpenJournal(path, nil)
	if err := errors.Join(err, j.Append("not an entry"), j.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := NewPlan(clock.NewFake(start), path); err == nil {
		t.Error("a journal of something else was replayed")
	}
}

func TestOnlyTransport(t *testing.T) {
	t.Parallel()
	for _, f := range []Fault{LoseBefore, LoseAfter, ErrorBefore, ErrorAfter, Garbage, Slow, LateAnswer, LateEffect, Repeat, Refuse, ChangeAmount} {
		if got, want := f.OnlyTransport(), f != Refuse && f != ChangeAmount; got != want {
			t.Errorf("%s.OnlyTransport() = %v, want %v", f, got, want)
		}
	}
	if f := Injected(t.Context()); f != "" {
		t.Errorf("Injected = %q where nothing was", f)
	}
}
