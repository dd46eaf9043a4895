package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/tuoka/tuoka/internal/clock"
)

// ErrBroken is what a caller sees of a lost answer.
var ErrBroken = errors.New("sandbox: connection broken")

// Transport carries requests to a simulator in the same process, with everything a network does to them: a handler that aborts is
// a broken connection, and a caller that gives up leaves while the handler goes on.
func Transport(h http.Handler) http.RoundTripper { return TransportAt(clock.Real{}, h) }

// TransportAt is Transport where a simulator's own clock may be virtual.
func TransportAt(c clock.Clock, h http.Handler) http.RoundTripper { return transport{c, h} }

type transport struct {
	clock   clock.Clock
	handler http.Handler
}

// RoundTrip asks, and waits no longer than the request's context lives.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	in := r.Clone(ctx)
	if r.Body != nil { // read here: a handler that goes on alone must not read from a caller who has left
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
		in.Body = io.NopCloser(bytes.NewReader(body))
	}
	var res *http.Response
	var broken error
	if err := clock.Alongside(r.Context(), t.clock, func() {
		res, broken = Direct(t.handler).RoundTrip(in) //nolint:bodyclose // it is in memory
	}); err != nil {
		return nil, err
	}
	if broken != nil {
		return nil, broken
	}
	res.Request = r
	return res, nil
}

// Direct carries requests to a handler in the same process with nothing between: the caller runs it.
func Direct(h http.Handler) http.RoundTripper { return direct{h} }

type direct struct{ handler http.Handler }

// RoundTrip asks.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:0"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	rec := httptest.NewRecorder()
	if aborted := serve(d.handler, rec, in); aborted {
		return nil, ErrBroken
	}
	res := rec.Result()
	res.Request = r
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.ContentLength = int64(len(body))
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// serve reports whether the handler broke the connection off.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			aborted = true
		default:
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}
