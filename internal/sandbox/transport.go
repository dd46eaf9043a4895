package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
)

// ErrBroken is what a caller sees of a lost answer.
var ErrBroken = errors.New("sandbox: connection broken")

// Transport carries requests to a simulator in the same process, with everything a network does to them: a handler that aborts is
// a broken connection, and a caller that gives up leaves while the handler goes on.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ handler http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	in := r.Clone(ctx)
	in.Body = http.NoBody
	if r.Body != nil { // read here: a handler that goes on alone must not read from a caller who has left
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
		in.Body = io.NopCloser(bytes.NewReader(body))
	}
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:0"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	out := make(chan *http.Response, 1)
	go func() {
		rec := httptest.NewRecorder()
		defer func() {
			if v := recover(); v != nil {
				out <- nil
				if v != http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
					panic(v)
				}
			}
		}()
		t.handler.ServeHTTP(rec, in)
		out <- rec.Result()
	}()
	select {
	case res := <-out:
		if res == nil {
			return nil, ErrBroken
		}
		res.Request = r
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, err
		}
		res.ContentLength = int64(len(body))
		res.Body = io.NopCloser(bytes.NewReader(body))
		return res, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}
