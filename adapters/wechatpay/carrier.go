package wechatpay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
)

const (
	maxAnswer = 1 << 20
	maxBill   = 2 << 30 // it is never in memory as a whole
)

// errTooLong ends an answer that is longer than any true one.
var errTooLong = errors.New("wechat pay: answer too long")

// carrier brings a signed request to the configured host and limits the answer. The signature covers path and body, not the host.
type carrier struct {
	base  *url.URL // nil: where the request says
	next  http.RoundTripper
	limit int64
}

// RoundTrip notes that the request leaves, so that a caller can tell what never did.
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	if sent, ok := r.Context().Value(sentKey{}).(*atomic.Bool); ok {
		sent.Store(true)
	}
	out := r
	if c.base != nil {
		out = r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.Host = c.base.Scheme, c.base.Host, c.base.Host
		out.URL.Path = c.base.Path + out.URL.Path
		if out.URL.RawPath != "" {
			out.URL.RawPath = c.base.EscapedPath() + out.URL.RawPath
		}
	}
	answer, err := c.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	answer.Body = &limited{ReadCloser: answer.Body, left: c.limit}
	return answer, nil
}

// stay keeps a signed request from following a redirect to another host.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// limited fails, rather than ends, when the body goes on after the limit.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

type sentKey struct{}

// watched derives the context of one call; sent tells afterwards whether the request reached the transport.
func watched(ctx context.Context) (_ context.Context, sent *atomic.Bool) {
	sent = new(atomic.Bool)
	return context.WithValue(ctx, sentKey{}, sent), sent
}
