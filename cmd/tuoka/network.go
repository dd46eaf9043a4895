package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// RoundTrip is the network between everybody: messages take their time and overtake each other, go on when their sender is gone, and who is down
// does not answer. What else goes wrong on the way is the simulators' plans' to say.
func (s *scene) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
	}
	var res *http.Response
	var err error
	done := false
	s.virtual.Go("network", r.URL.Path, func() {
		res, err = s.deliver(r, body) //nolint:bodyclose // the caller's
		done = true
	})
	s.fate()
	if gone := s.virtual.Await(ctx, func() bool { return done }); gone != nil {
		return nil, gone
	}
	return res, err
}

// deliver carries a message there and its answer back.
func (s *scene) deliver(r *http.Request, body []byte) (*http.Response, error) {
	always := context.Background()
	_ = s.virtual.Sleep(always, s.latency())
	if old := s.outdated(r); old != nil {
		s.note("-> %s %s is answered as before", r.Method, r.URL.Path)
		return old, nil
	}
	handler, p := s.handler(r.URL.Host)
	if handler == nil {
		return nil, sandbox.ErrBroken
	}
	in := r.Clone(r.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	s.note("-> %s %s", r.Method, r.URL.Path)
	var res *http.Response
	var err error
	if p == nil {
		res, err = sandbox.Direct(handler).RoundTrip(in)
	} else {
		done := false
		s.virtual.Go(p.group, r.URL.Path, func() {
			res, err = sandbox.Direct(handler).RoundTrip(in) //nolint:bodyclose // the caller's
			done = true
		})
		if _ = s.virtual.Await(always, func() bool { return done || p.dead }); !done {
			return nil, sandbox.ErrBroken
		}
	}
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusBadRequest && s.theatre.log != nil {
		said, _ := io.ReadAll(res.Body)
		s.note("<- %s %d %s", r.URL.Path, res.StatusCode, said)
		res.Body = io.NopCloser(bytes.NewReader(said))
	}
	_ = s.virtual.Sleep(always, s.latency())
	res.Request = r
	return s.heard(r, res)
}

// lingers is how long a message may be on its way: less than a claim outlives its call.
const lingers = 25 * time.Second

func (s *scene) latency() time.Duration {
	if s.wild && s.virtual.Chance(200) == 0 {
		s.struck = true
		return time.Duration(s.virtual.Chance(int(lingers/time.Millisecond))) * time.Millisecond
	}
	return time.Duration(1+s.virtual.Chance(40)) * time.Millisecond
}

// answered is an answer that was given.
type answered struct {
	at   time.Time
	res  *http.Response
	body []byte
}

// replicaLag is how old an answer to a question may be.
const replicaLag = 20 * time.Second

// outdated is now and then what WeChat answered to the same question a moment ago: its readings may lag behind its books.
func (s *scene) outdated(r *http.Request) *http.Response {
	old, ok := s.answers[r.URL.String()]
	if !s.wild || !ok || r.Method != http.MethodGet || s.virtual.Now().Sub(old.at) > replicaLag || s.virtual.Chance(4) != 0 {
		return nil
	}
	res := *old.res
	res.Body, res.Request = io.NopCloser(bytes.NewReader(old.body)), r
	return &res
}

// heard remembers what was answered to a question.
func (s *scene) heard(r *http.Request, res *http.Response) (*http.Response, error) {
	if r.Method != http.MethodGet || !s.wild || res.Header.Get("Wechatpay-Signature") == "" {
		return res, nil
	}
	body, err := io.ReadAll(res.Body)
	res.Body = io.NopCloser(bytes.NewReader(body))
	s.answers[r.URL.String()] = answered{s.virtual.Now(), res, body}
	return res, err
}

// handler is who listens at an address, and the process of ours that it is.
func (s *scene) handler(addr string) (http.Handler, *process) {
	if addr != s.theatre.stage.addr(callbackPort) {
		return s.faces[addr], nil
	}
	p := s.nodes[s.virtual.Chance(len(s.nodes))]
	if p == nil || p.dead {
		return nil, nil
	}
	return p.callbacks, p
}
