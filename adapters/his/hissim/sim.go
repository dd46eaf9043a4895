// Package hissim is a hospital information system that speaks the interface of docs/his-interface.md: it keeps archives, bills, locks,
// postings, refunds and payments at the window, checks every message as a hospital would, and misbehaves on command.
//
// The control face (Control) plays the doctor, the window, the pharmacy and the clerk; it has no signature and no faults.
package hissim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Config is what a hospital's information department sets.
type Config struct {
	Clock   clock.Clock
	Source  *clock.Source
	Journal string        // path of the journal; empty keeps nothing
	Plan    *sandbox.Plan // nil: no faults
	App     string        // the platform's name at this hospital
	Secret  sensitive.Key // shared with the platform, at least 16 bytes

	Institution string        // name on receipts and guides; empty: a made-up hospital
	LockLife    time.Duration // how long a lock lives; zero: 15 minutes
	// LockChecksTotal makes the hospital refuse a lock whose total is no longer the bills' (BILL_CHANGED); by default it locks, and the
	// platform reads the bills again.
	LockChecksTotal bool
	// PostNeedsLock makes the hospital refuse a posting whose lock has run out (LOCK_EXPIRED), as some do; by default it posts what
	// nobody else has paid or locked.
	PostNeedsLock bool
	// RegistersVisits makes the hospital register insured visits with the insurer itself, so that bills carry mdtrt_id.
	RegistersVisits bool

	// Notify carries what the hospital tells the platform (docs/his-interface.md §5) to NotifyURL; nil: it tells nothing.
	Notify    http.RoundTripper
	NotifyURL string
	Pace      clock.Pace // divides the waits between two tries of a notice
	// Asks makes the hospital ask what became of a refund that the window asked for; TellsBills makes it tell of every bill that a doctor writes.
	Asks       bool
	TellsBills bool
	// NoticeKey signs the notices by SM2, AnswerKey verifies what its questions are answered; nil: both by HMAC-SM3.
	NoticeKey *gm.PrivateKey
	AnswerKey *gm.PublicKey

	// DayClosesAt is how long after midnight a day's list is closed (日结); zero: 30 minutes. NoDayList is a hospital that does not offer it.
	DayClosesAt time.Duration
	NoDayList   bool

	// Link is the hospital's own line to the insurer; nil: it has none, and the platform settles by itself.
	Link Link

	Defect Defect // what the hospital does wrongly; empty: nothing
}

// Sim is one hospital.
type Sim struct {
	config     Config
	gate       *gate
	journal    *sandbox.Journal
	items      []item
	depts      map[string]Department
	notifyPath string     // of NotifyURL, as signed
	sending    sync.Mutex // one notice at a time

	mu        sync.Mutex
	state     state
	oddities  []Oddity
	racing    map[string]int // how many posts of an order are under way; for RacesPostings, as is the order of which there were two
	contended string
}

// maxRequest is the largest request that the interface allows.
const maxRequest = 256 << 10

// New opens the hospital and replays its journal.
func New(c Config) (*Sim, error) {
	if c.App == "" || len(c.Secret.Reveal()) < 16 {
		return nil, errors.New("hissim: no app, or a secret of fewer than 16 bytes")
	}
	if c.LockLife == 0 {
		c.LockLife = 15 * time.Minute
	}
	if c.DayClosesAt == 0 {
		c.DayClosesAt = 30 * time.Minute
	}
	if c.Institution == "" {
		c.Institution = "云岭市人民医院"
	}
	s := &Sim{config: c, items: catalogue(), depts: departments(), state: newState(), racing: map[string]int{},
		gate: &gate{app: c.App, secret: []byte(c.Secret.Reveal()), seen: map[string]time.Time{}, defect: c.Defect}}
	if c.Notify != nil {
		path, ok := pathOf(c.NotifyURL)
		if !ok || c.Source == nil {
			return nil, errors.New("hissim: notices need an address without a query, and a source of nonces")
		}
		s.notifyPath = path
	}
	journal, err := sandbox.OpenJournal(c.Journal, func(line []byte) error {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		s.state.apply(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.journal = journal
	return s, nil
}

// Close closes the journal.
func (s *Sim) Close() error { return s.journal.Close() }

// commit writes the entry to the disk and then makes it true. The caller holds the mutex.
func (s *Sim) commit(e entry) error {
	e.Seq = s.state.seq
	if err := s.journal.Append(e); err != nil {
		return fmt.Errorf("hissim: journal: %w", err)
	}
	s.state.apply(e)
	return nil
}

// number makes the hospital's next number with that prefix, such as MZ20261123000042. The caller holds the mutex and commits.
func (s *Sim) number(prefix string, now time.Time) string {
	s.state.seq++
	return fmt.Sprintf("%s%s%06d", prefix, now.In(clock.Shanghai).Format("20060102"), s.state.seq)
}

// operation is one path of the interface.
type operation struct {
	op      string // name in fault plans
	handle  func(s *Sim, ctx context.Context, body []byte) (reply, error)
	refuses bool // the plan may refuse it
	priced  bool // the plan may change its amounts
	most    int  // how often the plan disturbs it for one thing; 0: as usual
}

// operations are the paths of docs/his-interface.md §3.
func operations() map[string]operation {
	return map[string]operation{
		"/his/v1/patients/find":  {op: "patients.find", handle: (*Sim).find},
		"/his/v1/bills/pending":  {op: "bills.pending", handle: (*Sim).pending},
		"/his/v1/bills/detail":   {op: "bills.detail", handle: (*Sim).detail, priced: true},
		"/his/v1/locks/acquire":  {op: "lock", handle: (*Sim).acquire, refuses: true},
		"/his/v1/locks/release":  {op: "release", handle: (*Sim).release},
		"/his/v1/postings/post":  {op: "post", handle: (*Sim).post, refuses: true},
		"/his/v1/postings/query": {op: "posting.query", handle: (*Sim).query},
		"/his/v1/refunds/hold":   {op: "refund.hold", handle: (*Sim).holdRefund, refuses: true, priced: true},
		"/his/v1/refunds/drop":   {op: "refund.drop", handle: (*Sim).dropRefund},
		"/his/v1/refunds/book":   {op: "refund.book", handle: (*Sim).bookRefund, refuses: true, priced: true},
		"/his/v1/refunds/query":  {op: "refund.query", handle: (*Sim).queryRefund},
		pathDay:                  {op: opDay, handle: (*Sim).dayList},
	}
}

// offered are the paths that this hospital has, whatever it speaks: those of §3.12 to §3.17 need a line of its own.
func (s *Sim) offered() map[string]operation {
	table := operations()
	if s.config.NoDayList {
		delete(table, pathDay)
	}
	if s.config.Link != nil {
		maps.Copy(table, insuranceOperations())
	}
	return table
}

// Handler serves the interface to the platform, with the plan's faults in front of it.
func (s *Sim) Handler() http.Handler {
	table := s.offered()
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(table, w, r) })
	if s.config.Plan == nil {
		return serve
	}
	return remembering(s.config.Plan.Wrap(func(r *http.Request, body []byte) sandbox.Call {
		o := table[r.URL.Path]
		return sandbox.Call{Op: o.op, Key: keyOf(body), Refusable: o.refuses, Priced: o.priced, Most: o.most}
	}, serve))
}

// keyOf is the number that a request is about: the platform's refund or order number, the bill it wants to see, the visit as the insurer knows it, or a day.
func keyOf(body []byte) string {
	var k struct {
		RefundNo string `json:"refund_no"`
		OrderNo  string `json:"order_no"`
		BillNo   string `json:"bill_no"`
		VisitNo  string `json:"visit_no"`
		Date     string `json:"date"`
	}
	_ = json.Unmarshal(body, &k) // a body that cannot be read is about nothing
	return cmp.Or(k.RefundNo, k.OrderNo, k.BillNo, k.VisitNo, k.Date)
}

func (s *Sim) serve(table map[string]operation, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		s.answer(w, r, http.StatusRequestEntityTooLarge, reply{code: codeInvalid, message: "request too large"}, nil)
		return
	}
	o, ok := table[r.URL.Path]
	switch {
	case !ok:
		s.answer(w, r, http.StatusNotFound, reply{code: codeInvalid, message: "no such operation"}, nil)
		return
	case r.Method != http.MethodPost:
		s.answer(w, r, http.StatusMethodNotAllowed, reply{code: codeInvalid, message: "POST only"}, nil)
		return
	}
	if err := s.gate.open(r, body, s.config.Clock.Now()); err != nil {
		s.answer(w, r, http.StatusUnauthorized, reply{code: gateCode(err), message: "not admitted"}, nil)
		return
	}
	if s.broken(Slow) && o.op == "bills.pending" {
		_ = s.config.Clock.Sleep(r.Context(), 6*time.Second)
	}
	out, err := o.handle(s, r.Context(), body)
	switch {
	case errors.Is(err, errRequest):
		s.answer(w, r, http.StatusBadRequest, reply{code: codeInvalid, message: err.Error()}, nil)
	case err != nil:
		s.answer(w, r, http.StatusInternalServerError, reply{code: codeInternal, message: "internal error"}, nil)
	default:
		s.answer(w, r, http.StatusOK, out, s.odd(o.op, keyOf(body)))
	}
}

func gateCode(err error) string {
	switch {
	case errors.Is(err, errApp):
		return codeApp
	case errors.Is(err, errTimestamp):
		return codeTimestamp
	case errors.Is(err, errNonce):
		return codeNonce
	case errors.Is(err, errReplay):
		return codeReplay
	default:
		return codeSignature
	}
}

// answer writes and signs one answer, distorted if an oddity says so. Without a known app there is no key that the caller could check
// with; the answer is signed all the same and proves nothing to a stranger.
func (s *Sim) answer(w http.ResponseWriter, r *http.Request, status int, out reply, odd *Oddity) {
	body, err := marshal(envelope{Code: out.code, Message: out.message, Data: out.data})
	if err != nil {
		http.Error(w, "answer cannot be written", http.StatusInternalServerError)
		return
	}
	now := s.config.Clock.Now()
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	if odd != nil {
		body = odd.distort(body)
	}
	s.gate.stamp(h, status, r.Header.Get(headerNonce), body, now)
	if odd != nil {
		body = odd.afterSigning(s.gate, h, status, body, now)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// marshal writes JSON without escaping <, > and &, as most writers outside Go do.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// wireTime is how the interface writes a moment: RFC 3339, seconds, China time.
func wireTime(t time.Time) string { return t.In(clock.Shanghai).Format(time.RFC3339) }
