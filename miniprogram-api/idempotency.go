package miniprogramapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
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
	key    job.Key
	digest string // of path and body
	done   int    // the status when there is an outcome
	ref    string // the order and its version as the request found it; empty when the request makes the order, and the record with it
	sure   bool   // act knows the key itself: doing it again does nothing new
	moving func(*order.Order) bool
	allow  func(context.Context) error
	act    func(context.Context) (*order.Order, error)
}

// abandoned is how long a record may stand without an answer, and its order untouched, before its request is taken for dead. A living one
// touches the order, or gives up, within a few seconds; and where this were wrong after all, the order's claim and version admit only one.
const abandoned = 10 * time.Second

// again is when a client whose request is still running should come back.
const again = 2 * time.Second

// once answers a request: the first time by acting, afterwards as the first time. The caller's leaving does not cut it.
func (s *Server) once(c *gin.Context, who patient.Caller, r request) (any, error) {
	ctx := context.WithoutCancel(c.Request.Context())
	rec, found, err := s.replays.FindReplay(ctx, r.key)
	if err != nil {
		return nil, fmt.Errorf("find the request's record: %w", err)
	}
	if found {
		return s.repeat(ctx, c, who, r, rec)
	}
	return s.first(ctx, c, who, r)
}

// first acts. What is not an outcome leaves no answer behind: 202 leaves the record, a request that ended undecided leaves nothing.
func (s *Server) first(ctx context.Context, c *gin.Context, who patient.Caller, r request) (any, error) {
	if err := r.allow(ctx); err != nil {
		return nil, err
	}
	if r.ref != "" {
		fresh, err := s.replays.PutReplay(ctx, r.key, job.Replay{BodyDigest: r.digest, Ref: r.ref, CreatedAt: s.clock.Now()})
		if err != nil {
			return nil, fmt.Errorf("record the request: %w", err)
		}
		if !fresh { // somebody was faster
			return s.stored(ctx, c, who, r)
		}
	}
	o, err := r.act(ctx)
	if err != nil {
		return s.refused(ctx, c, who, r, err)
	}
	return s.outcome(ctx, r, o)
}

// outcome keeps and gives the order as it stands, or 202 while it moves.
func (s *Server) outcome(ctx context.Context, r request, o *order.Order) (any, error) {
	out := s.rendered(ctx, r.done, o, r.moving(o))
	if out.Status == http.StatusAccepted {
		return out, nil
	}
	return s.keep(ctx, r, out)
}

// refused keeps and gives a decided refusal; anything else is told and forgotten.
func (s *Server) refused(ctx context.Context, c *gin.Context, who patient.Caller, r request, refusal error) (any, error) {
	if !decided(refusal) {
		if r.ref != "" {
			if err := s.replays.DropReplay(ctx, r.key); err != nil {
				return nil, errors.Join(refusal, fmt.Errorf("forget the request: %w", err))
			}
		}
		return nil, retrying(refusal)
	}
	if r.ref == "" {
		fresh, err := s.replays.PutReplay(ctx, r.key, job.Replay{BodyDigest: r.digest, CreatedAt: s.clock.Now()})
		if err != nil {
			return nil, errors.Join(refusal, fmt.Errorf("record the refusal: %w", err))
		}
		if !fresh { // the same key has made an order meanwhile; that is the answer
			return s.stored(ctx, c, who, r)
		}
	}
	_ = c.Error(refusal) // for the access log
	return s.keep(ctx, r, web.Render(nil, refusal, web.RequestID(ctx)))
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

// keep stores the final answer and gives what is stored: the first one stays, and everybody gets its bytes.
func (s *Server) keep(ctx context.Context, r request, out web.Rendered) (any, error) {
	if err := s.replays.KeepAnswer(ctx, r.key, out.Status, out.Body); err != nil {
		return nil, fmt.Errorf("keep the answer: %w", err)
	}
	rec, found, err := s.replays.FindReplay(ctx, r.key)
	if err != nil || !found || rec.Answer == nil {
		return nil, errors.Join(errors.New("the kept answer is not there"), err)
	}
	return answered(rec), nil
}

// answered is a stored answer as it was.
func answered(rec job.Replay) web.Rendered {
	out := web.Rendered{Status: rec.Status, ContentType: "application/json; charset=utf-8", Body: rec.Answer}
	if rec.Status >= http.StatusBadRequest {
		out.ContentType = "application/problem+json; charset=utf-8"
	}
	return out
}

func (s *Server) stored(ctx context.Context, c *gin.Context, who patient.Caller, r request) (any, error) {
	rec, found, err := s.replays.FindReplay(ctx, r.key)
	if err != nil {
		return nil, fmt.Errorf("find the request's record: %w", err)
	}
	if !found { // the rival ended undecided this moment
		return nil, web.RetryAfter(job.ErrBusy, again)
	}
	return s.repeat(ctx, c, who, r, rec)
}

// repeat answers a request whose record is there. Without an answer it is running, or ended with 202, or died: then the order tells.
func (s *Server) repeat(ctx context.Context, c *gin.Context, who patient.Caller, r request, rec job.Replay) (any, error) {
	if rec.BodyDigest != r.digest {
		return nil, ErrKeyReused
	}
	if rec.Answer != nil {
		return answered(rec), nil
	}
	if r.sure {
		o, err := r.act(ctx)
		if err != nil {
			return s.refused(ctx, c, who, r, err)
		}
		return s.outcome(ctx, r, o)
	}
	id, seen, named := parseRef(rec.Ref)
	untouched := !named
	if named {
		o, err := s.orders.Get(ctx, who.Account, id)
		if err != nil {
			return nil, fmt.Errorf("the order of the repeated request: %w", err)
		}
		untouched = r.ref != "" && o.Version == seen
		if !untouched && !r.moving(o) {
			return s.outcome(ctx, r, o)
		}
	}
	if untouched && s.clock.Now().Sub(rec.CreatedAt) > abandoned {
		if err := s.replays.DropReplay(ctx, r.key); err != nil {
			return nil, fmt.Errorf("forget a dead request: %w", err)
		}
		return s.first(ctx, c, who, r)
	}
	return nil, web.RetryAfter(job.ErrBusy, again)
}

// seenRef names an order at the version that a request found: only while it stands may the request be tried again. A newer version
// may hold other amounts, which the patient has not seen.
func seenRef(o *order.Order) string { return o.ID.No() + "@" + strconv.FormatInt(o.Version, 10) }

// parseRef reads an order number, perhaps with a version; false when the record names no order.
func parseRef(ref string) (order.ID, int64, bool) {
	no, version, _ := strings.Cut(ref, "@")
	id, err := order.ParseID(no)
	if err != nil {
		return 0, 0, false
	}
	seen, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		seen = -1
	}
	return id, seen, true
}

// digestOf tells one request from another under the same key: path and body.
func digestOf(c *gin.Context) string {
	sum := sha256.New()
	_, _ = sum.Write([]byte(c.Request.URL.EscapedPath() + "\n")) // a hash does not fail
	_, _ = sum.Write(bodyOf(c))
	return hex.EncodeToString(sum.Sum(nil))
}
