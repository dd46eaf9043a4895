package miniprogramapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/web"
)

// request is one request that moves money, under its Idempotency-Key (design.md §4).
type request struct {
	*job.Request        // its record is stored by act, with what it moves first
	institution  string // the caller's
	done         int    // the status when there is an outcome
	moving       func(*order.Order) bool
	act          func(context.Context, *job.Request) (*order.Order, error)
}

// again is when a client whose request is still running should come back.
const again = 2 * time.Second

// asked is what the client asks, under the key that it gave.
func (s *Server) asked(c *gin.Context, who patient.Caller, key string) *job.Request {
	return &job.Request{Key: job.Key{Account: int64(who.Account), Route: c.Request.Method + " " + c.FullPath(), Key: key}, BodyDigest: digestOf(c),
		At: s.clock.Now()}
}

// once answers a request: the first time by acting, afterwards as the first time. The caller's leaving does not cut it.
func (s *Server) once(c *gin.Context, who patient.Caller, r request) (any, error) {
	ctx := context.WithoutCancel(c.Request.Context())
	r.institution = who.Institution
	rec, found, err := s.replays.FindReplay(ctx, r.Key)
	if err != nil {
		return nil, fmt.Errorf("find the request's record: %w", err)
	}
	if found {
		return s.repeat(ctx, who, r, rec)
	}
	o, err := r.act(ctx, r.Request)
	if err != nil {
		return s.refused(ctx, c, who, r, err)
	}
	return s.outcome(ctx, who, r, o)
}

// outcome keeps and gives the order as it stands, or 202 while it moves, of which nothing is kept.
func (s *Server) outcome(ctx context.Context, who patient.Caller, r request, o *order.Order) (any, error) {
	out := s.rendered(ctx, r.done, o, r.moving(o))
	if out.Status == http.StatusAccepted {
		return out, nil
	}
	return s.keep(ctx, who, r, o.ID.No(), out)
}

// refused keeps and gives a decided refusal; anything else is told and forgotten. So is what went wrong after the request had moved something: its
// order tells the rest.
func (s *Server) refused(ctx context.Context, c *gin.Context, who patient.Caller, r request, refusal error) (any, error) {
	if early, ok := errors.AsType[unkept](refusal); ok {
		return nil, early.error
	}
	if r.Record != 0 || !decided(refusal) {
		return nil, retrying(refusal)
	}
	_ = c.Error(refusal) // for the access log
	return s.keep(ctx, who, r, "", web.Render(nil, refusal, web.RequestID(ctx)))
}

// unkept is a refusal that the same request may yet be spared: what stands in its way can be put right. It is told and forgotten.
type unkept struct{ error }

func (u unkept) Unwrap() error { return u.error }

func notKept(err error) error {
	if err == nil {
		return nil
	}
	return unkept{err}
}

// decided reports a refusal that will not change by asking again: a 4xx that is not about the caller's session, pace or rival.
func decided(err error) bool {
	if errors.Is(err, job.ErrBusy) || errors.Is(err, job.ErrLost) {
		return false
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Forbidden, fault.NotFound, fault.Conflict, fault.Rejected:
		return true
	}
	return false
}

// retrying gives a rival's refusal its Retry-After.
func retrying(err error) error {
	if errors.Is(err, job.ErrBusy) || errors.Is(err, job.ErrLost) {
		return web.RetryAfter(err, again)
	}
	return err
}

// keep stores the final answer and gives it. Where another was first, that one stays, and everybody gets its bytes.
func (s *Server) keep(ctx context.Context, who patient.Caller, r request, ref string, out web.Rendered) (any, error) {
	kept, err := s.replays.KeepAnswer(ctx, r.institution, *r.Request, ref, out.Status, out.Body)
	if err != nil {
		return nil, fmt.Errorf("keep the answer: %w", err)
	}
	if kept {
		return answered(out.Status, out.Body), nil
	}
	rec, found, err := s.replays.FindReplay(ctx, r.Key)
	if err != nil || !found {
		return nil, errors.Join(errors.New("the kept answer is not there"), err)
	}
	return s.repeat(ctx, who, r, rec)
}

// answered is a kept answer as it was.
func answered(status int, body []byte) web.Rendered {
	out := web.Rendered{Status: status, ContentType: "application/json; charset=utf-8", Body: body}
	if status >= http.StatusBadRequest {
		out.ContentType = "application/problem+json; charset=utf-8"
	}
	return out
}

// repeat answers a request whose record is there. Without an answer it is running, or ended with 202, or died: then the order tells.
func (s *Server) repeat(ctx context.Context, who patient.Caller, r request, rec job.Replay) (any, error) {
	if rec.BodyDigest != r.BodyDigest {
		return nil, ErrKeyReused
	}
	if rec.Answer != nil {
		return answered(rec.Status, rec.Answer), nil
	}
	r.Record = rec.Record
	no, _, _ := strings.Cut(rec.Ref, "@") // earlier versions wrote the order's version behind it
	id, err := order.ParseID(no)
	if err != nil {
		return nil, fmt.Errorf("the record of the repeated request: %w", err)
	}
	o, err := s.orders.Get(ctx, who.Account, id)
	if err != nil {
		return nil, fmt.Errorf("the order of the repeated request: %w", err)
	}
	if r.moving(o) {
		return nil, web.RetryAfter(job.ErrBusy, again)
	}
	return s.outcome(ctx, who, r, o)
}

// digestOf tells one request from another under the same key: path and body.
func digestOf(c *gin.Context) string {
	sum := sha256.New()
	_, _ = sum.Write([]byte(c.Request.URL.EscapedPath() + "\n")) // a hash does not fail
	_, _ = sum.Write(bodyOf(c))
	return hex.EncodeToString(sum.Sum(nil))
}
