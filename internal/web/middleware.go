package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
)

// requestIDHeader carries the id in both directions.
const requestIDHeader = "X-Request-Id"

// requestIDKey is the id's place in a context.
type requestIDKey struct{}

// RequestID is the id of the request that ctx belongs to; empty outside of one.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// requestID takes the caller's id if it is harmless, or makes one.
func requestID(source *clock.Source) gin.HandlerFunc {
	return func(c *gin.Context) {
		id := c.GetHeader(requestIDHeader)
		if !harmless(id) {
			id = source.Nonce(20)
		}
		c.Header(requestIDHeader, id)
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), requestIDKey{}, id))
		c.Next()
	}
}

// harmless reports 1 to 64 letters, digits and hyphens.
func harmless(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, b := range []byte(id) {
		if (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && b != '-' {
			return false
		}
	}
	return true
}

// accessLog writes one line per request: the route's pattern and never its path, query or body, all of which may name a patient.
func accessLog(clk clock.Clock, log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := clk.Now()
		defer func() { logRequest(c, log, clk.Now().Sub(start)) }() // also when a panic goes through
		c.Next()
	}
}

func logRequest(c *gin.Context, log *slog.Logger, cost time.Duration) {
	attrs := []slog.Attr{
		slog.String("method", knownMethod(c.Request.Method)),
		slog.String("route", c.FullPath()), // empty: no route
		slog.Int("status", c.Writer.Status()),
		slog.Int64("cost_ms", cost.Milliseconds()),
		slog.String("request_id", RequestID(c.Request.Context())),
	}
	level := slog.LevelInfo
	if last := c.Errors.Last(); last != nil {
		kind := fault.KindOf(last.Err)
		level = levelOf(kind)
		attrs = append(attrs, slog.String("kind", kind.String()), slog.String("code", shownOf(last.Err).Code),
			slog.String("error", last.Err.Error()))
	}
	log.LogAttrs(c.Request.Context(), level, "request", attrs...)
}

func levelOf(k fault.Kind) slog.Level {
	switch k {
	case fault.Internal:
		return slog.LevelError
	case fault.Unavailable, fault.Unknown:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

// knownMethod keeps a caller's inventions out of the log.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "OTHER"
}

// recovery turns a panic into a 500 that shows nothing; the stack goes to the log. When a part of the answer is out already, the
// connection is broken, so that nobody takes the part for the whole.
func recovery(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
				panic(v)
			}
			ctx := c.Request.Context()
			log.ErrorContext(ctx, "panic", "request_id", RequestID(ctx), "route", c.FullPath(), "panic", panicText(v),
				"stack", string(debug.Stack()))
			written := c.Writer.Written()
			Refuse(c, ErrInternal)
			if written {
				panic(http.ErrAbortHandler)
			}
		}()
		c.Next()
	}
}

// panicText names what was thrown: the text of an error or a string, only the type of anything else.
func panicText(v any) string {
	switch v := v.(type) {
	case error:
		return v.Error()
	case string:
		return v
	}
	return fmt.Sprintf("%T", v)
}

// headers are the same for every answer; a handler may set its own later.
func headers(csp string) gin.HandlerFunc {
	return func(c *gin.Context) {
		h := c.Writer.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", csp)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Strict-Transport-Security", "max-age=31536000") // browsers ignore it over plain HTTP
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		c.Next()
	}
}

// bodyLimit refuses a body that says it is too large, and cuts one that does not say so: reading on gives *http.MaxBytesError, which
// Reply tells as ErrBodyTooLarge wherever it is wrapped.
func bodyLimit(limit int64) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.ContentLength > limit {
			c.Header("Connection", "close") // the body is not read
			Refuse(c, ErrBodyTooLarge)
			return
		}
		if c.Request.Body != nil {
			c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, limit)
		}
		c.Next()
	}
}
