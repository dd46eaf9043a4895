// Package rest speaks to a hospital information system by the interface of docs/his-interface.md: JSON over HTTP POST, every message
// signed by HMAC-SM3 in both directions.
//
// It believes nothing that is not signed, whole and consistent: an answer that it cannot read is bill.ErrUnreadable (Unknown), never
// an empty list and never a zero amount. An empty list is returned only when the hospital said "no data" in so many words.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// What this adapter adds to the faults of package bill.
var (
	// ErrUnreachable is a hospital to which no connection could be made: nothing was sent.
	ErrUnreachable = fault.New(fault.Unavailable, "HIS_UNREACHABLE", "暂时无法连接医院系统，请稍后再试")
	// ErrLockExpired is an order number whose lock ran out or was released. The number is spent: a new order is needed.
	ErrLockExpired = fault.New(fault.Conflict, "HIS_LOCK_EXPIRED", "缴费时限已过，请重新下单")
	// ErrHoldDropped is a refund number whose hold was ended before. The number is spent: a new refund is needed.
	ErrHoldDropped = fault.New(fault.Conflict, "HIS_HOLD_DROPPED", "该退费申请已取消，请重新申请")
	// ErrAmountWrong is a posting or a refund whose amounts the hospital does not accept. Nothing was done.
	ErrAmountWrong = fault.New(fault.Rejected, "HIS_AMOUNT_WRONG", "医院核对金额不符，请联系医院收费处")
	// ErrRequest is a request that the hospital calls malformed, or a number used for two things: our bug, or a wrong configuration.
	ErrRequest = fault.New(fault.Internal, "HIS_REQUEST_REFUSED", "系统繁忙，请稍后再试")
)

// Config is one institution's hospital system. BaseURL is scheme and host, perhaps with a path before /his/v1.
type Config struct {
	BaseURL string
	App     string        // our name at the hospital
	Secret  sensitive.Key // shared with the hospital, at least 16 bytes
	Clock   clock.Clock
	Source  *clock.Source
	// CallbackPath is the path of the address to which the hospital sends its notices, as it sends it ("/callbacks/his/h1"); empty: none is
	// believed.
	CallbackPath string

	LookupDeadline time.Duration // patients, bills; zero: 5 s
	LockDeadline   time.Duration // of locks, and of a refund's hold; zero: 5 s
	PostDeadline   time.Duration // of postings and of a refund's booking; zero: 10 s
	QueryDeadline  time.Duration // of what became of them; zero: 5 s
}

// Client is a hospital as package bill, patient and order see it. Safe for several goroutines.
type Client struct {
	config Config
	base   *url.URL
	wire   http.RoundTripper
}

var (
	_ bill.Source       = (*Client)(nil)
	_ patient.Authority = (*Client)(nil)
	_ order.Hospital    = (*Client)(nil)
	_ order.RefundDesk  = (*Client)(nil)
)

// maxAnswer is the largest answer that is read: 2000 lines and room to spare.
const maxAnswer = 4 << 20

// New checks the configuration. The round tripper carries the requests; redirects are not followed and no cookie is kept.
func New(c Config, wire http.RoundTripper) (*Client, error) {
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("his: base URL must be scheme and host, without query")
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	if c.App == "" || len(c.Secret.Reveal()) < 16 {
		return nil, errors.New("his: no app, or a secret of fewer than 16 bytes")
	}
	if c.CallbackPath != "" && (c.CallbackPath[0] != '/' || strings.ContainsAny(c.CallbackPath, "?# \n")) {
		return nil, errors.New("his: the callback path must be a path, without query")
	}
	if c.Clock == nil || c.Source == nil || wire == nil {
		return nil, errors.New("his: clock, source and round tripper are required")
	}
	for _, d := range []struct {
		set  *time.Duration
		zero time.Duration
	}{{&c.LookupDeadline, 5 * time.Second}, {&c.LockDeadline, 5 * time.Second}, {&c.PostDeadline, 10 * time.Second},
		{&c.QueryDeadline, 5 * time.Second}} {
		if *d.set == 0 {
			*d.set = d.zero
		}
	}
	return &Client{config: c, base: base, wire: wire}, nil
}

// operation is one path of the interface, how long it may take, and the codes that it may be answered with besides done.
type operation struct {
	path     string
	deadline time.Duration
	codes    string // separated by blanks
}

func (o operation) knows(code string) bool {
	for known := range strings.FieldsSeq(o.codes) {
		if known == code {
			return true
		}
	}
	return false
}

// call sends one message and reads the answer's data into out if the code is done. Any other code that the operation knows comes back
// without an error, with its data in rest; it is for the operation to judge.
func (c *Client) call(ctx context.Context, o operation, in, out any) (code string, rest json.RawMessage, err error) {
	fail := func(kind *fault.Error, cause error) (string, json.RawMessage, error) {
		return "", nil, kind.Because(fmt.Errorf("his %s: %w", o.path, cause))
	}
	ctx, cancel := c.config.Clock.WithDeadline(ctx, o.deadline)
	defer cancel()
	status, body, err := c.exchange(ctx, o.path, in)
	if err != nil {
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return "", nil, f
		}
		return fail(bill.ErrUnreadable, err)
	}
	answer, err := open(body)
	if err != nil {
		return fail(bill.ErrUnreadable, err)
	}
	switch {
	case status == http.StatusBadRequest && answer.Code == codeInvalid:
		return fail(ErrRequest, errors.New("the hospital calls the request malformed"))
	case status != http.StatusOK:
		return fail(bill.ErrNoAnswer, fmt.Errorf("status %d, code %s", status, short(answer.Code)))
	case answer.Code == codeMaintenance:
		return fail(bill.ErrMaintenance, errors.New("maintenance"))
	case answer.Code == codeDone:
		if err := into(answer.Data, out); err != nil {
			return fail(bill.ErrUnreadable, err)
		}
		return codeDone, nil, nil
	case o.knows(answer.Code):
		return answer.Code, answer.Data, nil
	default:
		return fail(bill.ErrUnreadable, fmt.Errorf("code %s is not documented here", short(answer.Code)))
	}
}

// exchange sends the signed request and returns the verified answer. Errors: ErrUnreachable, bill.ErrNoAnswer; any other is an answer
// that proves nothing.
func (c *Client) exchange(ctx context.Context, path string, in any) (int, []byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, nil, ErrRequest.Because(fmt.Errorf("his %s: %w", path, err))
	}
	full := *c.base
	full.Path += path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, full.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, ErrRequest.Because(fmt.Errorf("his %s: %w", path, err))
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Accept", "application/json")
	nonce := c.sign(req, body)
	res, err := c.wire.RoundTrip(req)
	if err != nil {
		return 0, nil, unsent(err).Because(fmt.Errorf("his %s: %w", path, err))
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: answer cut: %w", path, err))
	}
	if res.StatusCode >= http.StatusInternalServerError {
		return 0, nil, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: status %d", path, res.StatusCode))
	}
	if len(answer) > maxAnswer {
		return 0, nil, errors.New("the answer is too large")
	}
	if err := c.verify(res, nonce, answer); err != nil {
		return 0, nil, err
	}
	if err := isJSON(res.Header.Get("Content-Type")); err != nil {
		return 0, nil, err
	}
	return res.StatusCode, answer, nil
}

// unsent tells a connection that never was, which is free to retry, from everything else.
func unsent(err error) *fault.Error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return ErrUnreachable
	}
	return bill.ErrNoAnswer
}

// refusal is what a documented code means to our side.
func refusal(o operation, code string) error {
	kind := map[string]*fault.Error{
		codeNotFound:    bill.ErrNotFound,
		codeAlreadyPaid: bill.ErrPaid,
		codeBillVoid:    bill.ErrVoid,
		codeBillChanged: bill.ErrChanged,
		codeLocked:      bill.ErrLocked,
		codeLockExpired: ErrLockExpired,
		codeAmountWrong: ErrAmountWrong,
		codeDuplicate:   ErrRequest,
	}[code]
	if kind == nil {
		kind = bill.ErrUnreadable
	}
	return kind.Because(fmt.Errorf("his %s: code %s", o.path, short(code)))
}

// unreadable wraps what is wrong with an answer's content.
func unreadable(o operation, format string, args ...any) error {
	return bill.ErrUnreadable.Because(fmt.Errorf("his "+o.path+": "+format, args...))
}

// short keeps a foreign text from filling the log, or from carrying a person into it: only a code's own letters pass.
func short(s string) string {
	if len(s) > 24 || strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_-") != "" {
		return "(unprintable)"
	}
	return s
}
