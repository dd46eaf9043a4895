package nhsasim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// The ways in which settlements are told by 6302.
const (
	pushOnce   = "once"   // a second after
	pushBefore = "before" // at once, before anybody else can know
	pushAfter  = "after"  // minutes after
	pushTwice  = "twice"
	pushNever  = "never"
)

// pushDelays is how long after the settlement a notice is due.
var pushDelays = map[string]time.Duration{pushOnce: time.Second, pushBefore: 0, pushAfter: 5 * time.Minute, pushTwice: time.Second}

// pushWaits are the pauses after a push that nobody took; then it is given up.
var pushWaits = []time.Duration{5 * time.Second, 30 * time.Second, 5 * time.Minute}

// pushTimeout is how long the hospital has to answer.
const pushTimeout = 5 * time.Second

// centreNotice is one 6302 (结算结果通知) under way. It tells what was true when it arose.
type centreNotice struct {
	ID       string    `json:"id"`
	PayOrdID string    `json:"pay_ord_id"`
	Stas     int       `json:"ord_stas"`
	Due      time.Time `json:"due"`
	Copies   int       `json:"copies"` // still to be taken
	Tries    int       `json:"tries,omitempty"`
	Over     bool      `json:"over,omitempty"`
}

// SetPushes chooses how settlements to come are told by 6302: once, before, after, twice or never.
func (s *Sim) SetPushes(mode string) error {
	if !slices.Contains([]string{pushOnce, pushBefore, pushAfter, pushTwice, pushNever}, mode) {
		return fmt.Errorf("nhsasim: notices %q: once, before, after, twice, never", mode)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts.pushes = mode
	return nil
}

// newNotice is the notice of a settlement that is about to be recorded; nil where none is pushed.
func (s *Sim) newNotice(u *upload) *centreNotice {
	mode := s.scripts.pushes
	if mode == "" {
		mode = pushOnce
	}
	if app := s.appOf(u); app == nil || app.NotifyURL == "" || mode == pushNever {
		return nil
	}
	n := &centreNotice{ID: s.newID(), PayOrdID: u.PayOrdID, Stas: stasAllDone, Due: s.clock.Now().Add(s.centre.Pace.Wait(pushDelays[mode])), Copies: 1}
	if mode == pushTwice {
		n.Copies = 2
	}
	return n
}

func (s *Sim) appOf(u *upload) *centreApp {
	for _, a := range s.apps {
		if a.OrgCodg == u.Institution {
			return a
		}
	}
	return nil
}

// StepCentre pushes the 6302 that has been due longest, once, and reports whether there was one. What is not acknowledged comes again a few
// times. One Step runs at a time.
func (s *Sim) StepCentre(ctx context.Context) (worked bool) {
	if s.centre.Notify == nil || ctx.Err() != nil {
		return false
	}
	s.mu.Lock()
	n := s.dueNotice()
	s.mu.Unlock()
	if n == nil {
		return false
	}
	taken := s.push(ctx, n.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *n
	switch {
	case taken:
		next.Copies--
		next.Over = next.Copies <= 0
	case next.Tries == len(pushWaits):
		next.Over = true
	default:
		next.Due = s.clock.Now().Add(s.centre.Pace.Wait(pushWaits[next.Tries]))
		next.Tries++
	}
	return s.record(entry{Kind: "pushed", PayOrdID: n.PayOrdID, Notice: &next}) == nil // a push that cannot be noted is made again
}

func (s *Sim) dueNotice() *centreNotice {
	var first *centreNotice
	now := s.clock.Now()
	for _, n := range s.notices {
		if n.Over || n.Due.After(now) || s.appOf(s.uploads[n.PayOrdID]) == nil {
			continue
		}
		if first == nil || n.Due.Before(first.Due) || (n.Due.Equal(first.Due) && n.ID < first.ID) {
			first = n
		}
	}
	return first
}

// push sends one notice through the fault plan and reports whether the hospital acknowledged it.
func (s *Sim) push(ctx context.Context, id string) bool {
	ctx, cancel := s.clock.WithDeadline(ctx, pushTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://centre/"+id, http.NoBody)
	if err != nil {
		return false
	}
	answer, err := s.noticeDoor.RoundTrip(r)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// openNoticeDoor is the way out for notices: an inner handler makes and sends the notice that the path names, and the fault plan stands
// before it, so that what is lost, late or doubled is the message to the hospital.
func (s *Sim) openNoticeDoor() http.RoundTripper {
	send := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.sendNotice(r.Context(), strings.TrimPrefix(r.URL.Path, "/")) {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	return sandbox.TransportAt(s.clock, s.centre.Plan.Wrap(func(r *http.Request, _ []byte) sandbox.Call {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := s.notices[strings.TrimPrefix(r.URL.Path, "/")]
		return sandbox.Call{Op: "6302", Key: s.uploads[n.PayOrdID].OrderNo, Priced: true}
	}, send))
}

// sendNotice makes the body, sealed or plain, and gives it to the hospital. Who wants it sealed says {"success":true}; who takes it plain,
// behind a front-end, says HTTP 200 (§4.6).
func (s *Sim) sendNotice(ctx context.Context, id string) bool {
	s.mu.Lock()
	n := s.notices[id]
	u := s.uploads[n.PayOrdID]
	app := s.appOf(u)
	data := s.result(u, n.Stas, sandbox.Injected(ctx) == sandbox.ChangeAmount)
	body, err := marshalPlain(data)
	if err == nil && !app.Plain {
		body, err = s.sealAnswer(app, data)
	}
	s.mu.Unlock()
	if err != nil {
		return false
	}
	ctx, cancel := s.clock.WithDeadline(ctx, pushTimeout) // the fault plan lets its calls outlive their callers
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, app.NotifyURL, bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/json;charset=utf-8")
	answer, err := s.centre.Notify.RoundTrip(r)
	if err != nil {
		return false
	}
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	_ = answer.Body.Close()
	var ack struct {
		Success bool `json:"success"`
	}
	return err == nil && answer.StatusCode == http.StatusOK && (app.Plain || (json.Unmarshal(said, &ack) == nil && ack.Success))
}
