// Package web is the gin glue that the faces share: how a result or an error becomes an answer, request ids, the access log, limits
// and headers. Faces write handlers of the form func(*gin.Context) (any, error) and wrap them by Reply, which alone writes errors.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/clock"
)

// Config is what an engine needs. Clock, Source and Log are required.
type Config struct {
	Clock  clock.Clock
	Source *clock.Source // makes request ids
	Log    *slog.Logger

	MaxBody        int64    // bytes of a request body; zero: 1 MiB
	TrustedProxies []string // addresses or networks whose X-Forwarded-For is believed; none: the peer's address is the client's
	CSP            string   // Content-Security-Policy; empty: nothing may be loaded, which suits an API
}

const (
	defaultMaxBody = 1 << 20
	strictestCSP   = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

// New makes an engine with everything that every face wants. Routes are added to it by the face.
func New(cfg Config) (*gin.Engine, error) {
	if cfg.Clock == nil || cfg.Source == nil || cfg.Log == nil {
		return nil, errors.New("web: clock, source and log are required")
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = defaultMaxBody
	}
	if cfg.CSP == "" {
		cfg.CSP = strictestCSP
	}
	gin.SetMode(gin.ReleaseMode) // gin's debug mode prints routes and advice to standard output
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false // a redirected POST loses its body, and with it the payment
	e.RedirectFixedPath = false
	e.TrustedPlatform = ""
	e.ForwardedByClientIP = len(cfg.TrustedProxies) > 0
	if err := e.SetTrustedProxies(cfg.TrustedProxies); err != nil {
		return nil, fmt.Errorf("web: trusted proxies: %w", err)
	}
	e.Use(requestID(cfg.Source), accessLog(cfg.Clock, cfg.Log), recovery(cfg.Log), headers(cfg.CSP), bodyLimit(cfg.MaxBody))
	e.NoRoute(Reply(func(*gin.Context) (any, error) { return nil, ErrNoRoute }))
	e.NoMethod(Reply(func(*gin.Context) (any, error) { return nil, ErrNoMethod }))
	return e, nil
}

// Handler reads a request, makes one call and answers: a value for JSON, nil for 204, Answer or Rendered for anything else, or an
// error. One that has written its answer itself (a file, a page) returns nil, nil.
type Handler func(c *gin.Context) (any, error)

// Reply makes a gin handler of h. The error, if any, goes to the access log, which is where errors stop.
func Reply(h Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		result, err := h(c)
		if err != nil {
			Refuse(c, err)
			return
		}
		if c.Writer.Written() {
			return
		}
		write(c, Render(result, nil, RequestID(c.Request.Context())))
	}
}

// Refuse answers with an error and ends the chain; for middleware. When something was written already, the error is only logged.
func Refuse(c *gin.Context, err error) {
	if errors.Is(err, context.Canceled) && c.Request.Context().Err() != nil {
		err = errGone.Because(err)
	}
	c.Abort()
	_ = c.Error(err) // kept for the access log
	if !c.Writer.Written() {
		write(c, Render(nil, err, RequestID(c.Request.Context())))
	}
}

func write(c *gin.Context, r Rendered) {
	h := c.Writer.Header()
	if r.ContentType != "" {
		h.Set("Content-Type", r.ContentType)
	}
	if r.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(r.RetryAfter.Seconds()))))
	}
	c.Writer.WriteHeader(r.Status)
	if len(r.Body) == 0 || c.Request.Method == http.MethodHead {
		c.Writer.WriteHeaderNow()
		return
	}
	_, _ = c.Writer.Write(r.Body) // the caller has left
}
