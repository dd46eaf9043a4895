package certify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/clock"
)

// Exchange is a message and its answer as they travelled, put into UTF-8 and with patient data masked.
type Exchange struct {
	Step      string        `json:"step"`
	Operation string        `json:"operation"`
	Request   string        `json:"request"` // request line, the headers that matter, body
	Answer    string        `json:"answer"`  // status, the headers that matter, body
	Took      time.Duration `json:"took_ns"`
}

// Timing is how long the answers of an operation took.
type Timing struct {
	Operation string        `json:"operation"`
	Count     int           `json:"count"`
	Median    time.Duration `json:"median_ns"`
	Max       time.Duration `json:"max_ns"`
	Deadline  time.Duration `json:"deadline_ns"`
}

// how is what is done to a message on its way.
type how struct {
	cut    bool                                      // the connection is cut as soon as the request is out
	alter  func(r *http.Request, body []byte) []byte // after it was signed
	silent bool                                      // how long it took tells nothing

	status                  int // of the answer; 0: none came
	request, answer         []byte
	requestHead, answerHead http.Header
	method, path, fail      string
}

type howKey struct{}

// cutting makes the next call lose its connection after sending.
func cutting(ctx context.Context) context.Context {
	return context.WithValue(ctx, howKey{}, &how{cut: true, silent: true})
}

var errCut = errors.New("certify: the connection was cut after the request was sent")

// wire notes what travels. Before, if given, is called for every request.
func (k *kit) wire(before func()) http.RoundTripper { return recorder{k.Wire, before} }

type recorder struct {
	next   http.RoundTripper
	before func()
}

// RoundTrip sends the request on, and notes both.
func (w recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.before != nil {
		w.before()
	}
	h, ok := r.Context().Value(howKey{}).(*how)
	if !ok {
		return w.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	if h.alter != nil {
		body = h.alter(out, bytes.Clone(body))
	}
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.GetBody = nil // a request that was lost is not sent again behind our back
	h.request, h.requestHead, h.method, h.path = body, out.Header, out.Method, out.URL.EscapedPath()
	if h.cut {
		ctx, cancel := context.WithCancel(out.Context())
		defer cancel()
		out = out.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }}))
		if res, err := w.next.RoundTrip(out); err == nil {
			_ = res.Body.Close()
		}
		h.fail = "（请求发出后连接即被切断，应答丢失）"
		return nil, errCut
	}
	res, err := w.next.RoundTrip(out)
	if err != nil {
		h.fail = "（没有应答）"
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	h.status, h.answerHead = res.StatusCode, res.Header
	h.answer, err = io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		h.fail = "（应答中断）"
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(h.answer))
	return res, nil
}

// tap is the carrier that package his is given: what it sends is noted like everything else.
type tap struct{ k *kit }

// Carry sends one message and notes it.
func (t tap) Carry(ctx context.Context, operation string, members []byte) (his.Answer, error) {
	h, ok := ctx.Value(howKey{}).(*how)
	if !ok {
		h = &how{}
	}
	return t.k.carry(ctx, t.k.carrier, operation, members, h)
}

// ask sends a message past the client, which is too polite for some.
func (k *kit) ask(ctx context.Context, operation string, in any) (his.Answer, error) {
	members, err := json.Marshal(in)
	if err != nil {
		return his.Answer{}, err
	}
	ctx, cancel := k.Clock.WithDeadline(ctx, k.Patience)
	defer cancel()
	return k.carry(ctx, k.carrier, operation, members, &how{})
}

// spoil asks for a patient through a carrier of its own, with something done to the message on the way, and reports whether an answer came at all.
func (k *kit) spoil(ctx context.Context, c his.Carrier, in find, h *how) (came bool, a his.Answer, err error) {
	members, err := json.Marshal(in)
	if err != nil {
		return false, his.Answer{}, err
	}
	ctx, cancel := k.Clock.WithDeadline(ctx, k.Patience)
	defer cancel()
	h.silent = true
	a, err = k.carry(ctx, c, findPatients, members, h)
	return h.status != 0, a, err
}

func (k *kit) carry(ctx context.Context, c his.Carrier, operation string, members []byte, h *how) (his.Answer, error) {
	began := k.Clock.Now()
	answer, err := c.Carry(context.WithValue(ctx, howKey{}, h), operation, members)
	took := k.Clock.Now().Sub(began)
	k.veil.learn(operation, answer.Data)
	k.mu.Lock()
	defer k.mu.Unlock()
	e := Exchange{Step: k.step, Operation: operation, Took: took}
	e.Request = h.method + " " + h.path + "\n" + heads(h.requestHead) + "\n" + k.veil.shown(operation, h.request)
	e.Answer = h.fail
	if h.status != 0 {
		e.Answer = fmt.Sprintf("HTTP %d\n%s\n%s%s", h.status, heads(h.answerHead), k.veil.shown(operation, h.answer), h.fail)
	}
	e.Request, e.Answer = k.veil.hide(e.Request), k.veil.hide(e.Answer)
	k.record, k.last = append(k.record, e), answer
	k.books.note(operation, members, answer)
	if h.status != 0 && !h.silent {
		k.timings[operation] = append(k.timings[operation], took)
	}
	return answer, err
}

// heads are the headers that say how a message is to be read and who sent it.
func heads(h http.Header) string {
	var lines []string
	for name, values := range h {
		if name == "Content-Type" || name == "Soapaction" || name == "Date" || strings.HasPrefix(name, "X-") {
			lines = append(lines, name+": "+strings.Join(values, ", ")+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// doing says what the next messages are for.
func (k *kit) doing(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.step = fmt.Sprintf(format, args...)
}

// leaning is a clock that is wrong until a request is out: what comes back is judged by the right time.
type leaning struct {
	clock.Clock
	by    time.Duration
	right atomic.Bool
}

// Now is the wrong time, and later the right one.
func (l *leaning) Now() time.Time {
	if l.right.Load() {
		return l.Clock.Now()
	}
	return l.Clock.Now().Add(l.by)
}

// at opens a carrier whose requests are stamped that far off the time.
func (k *kit) at(by time.Duration) (his.Carrier, error) {
	c := &leaning{Clock: k.Clock, by: by}
	return k.Open(c, k.Source, k.wire(func() { c.right.Store(true) }))
}

// twins are two carriers that send the same bytes for the same message: time and chance stand still between them.
func (k *kit) twins() (first, second his.Carrier, err error) {
	still, seed := clock.NewFake(k.Clock.Now().Truncate(time.Second)), uint64(k.Source.ID()) //nolint:gosec // any number does
	if first, err = k.Open(still, clock.NewSeeded(still, 0, seed), k.wire(nil)); err != nil {
		return nil, nil, err
	}
	second, err = k.Open(still, clock.NewSeeded(still, 0, seed), k.wire(nil))
	return first, second, err
}

// deadlines are docs/his-interface.md §3, in its order.
var deadlines = []struct {
	operation string
	deadline  time.Duration
}{
	{"patients/find", 5 * time.Second}, {"bills/pending", 5 * time.Second}, {"bills/detail", 5 * time.Second}, {"locks/acquire", 5 * time.Second},
	{"locks/release", 5 * time.Second}, {"postings/post", 10 * time.Second}, {"postings/query", 5 * time.Second}, {"refunds/hold", 5 * time.Second},
	{"refunds/drop", 5 * time.Second}, {"refunds/book", 10 * time.Second}, {"refunds/query", 5 * time.Second}, {"insurance/presettle", 30 * time.Second},
	{"insurance/settle", time.Minute}, {"insurance/reverse", time.Minute}, {"insurance/cancel", time.Minute}, {"insurance/query", 5 * time.Second},
	{"insurance/withdraw", 30 * time.Second}, {"statements/list", 5 * time.Second},
}

// timed are the times of every operation that was asked.
func (k *kit) timed() (list []Timing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range deadlines {
		times := slices.Sorted(slices.Values(k.timings[d.operation]))
		if n := len(times); n > 0 {
			list = append(list, Timing{Operation: d.operation, Count: n, Median: times[n/2], Max: times[n-1], Deadline: d.deadline})
		}
	}
	return list
}
