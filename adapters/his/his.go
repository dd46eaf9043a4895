// Package his is a hospital information system as the rest of the program sees it: package bill's source, package patient's authority, package order's
// hospital and refund desk. What is asked and answered is docs/his-interface.md; how it travels is a Carrier's matter: JSON over HTTP (his/rest), or
// whatever a vendor's own system speaks, put into these words.
//
// It believes nothing that is not whole and consistent: an answer that it cannot read is bill.ErrUnreadable (Unknown), never an empty list and never a
// zero amount. An empty list is returned only when the hospital said "no data" in so many words.
package his

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
)

// What the hospital's systems add to the faults of package bill.
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

// Address reads a hospital's address as the configuration writes it: scheme and host, perhaps with a path, which ends without a slash.
func Address(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("his: base URL must be scheme and host, without query")
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return base, nil
}

// Unanswered tells a connection that never was, which is free to retry (ErrUnreachable), from everything else that left a request without an answer
// (bill.ErrNoAnswer).
func Unanswered(err error) *fault.Error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return ErrUnreachable
	}
	return bill.ErrNoAnswer
}

// KnownCode reports whether the interface has that code (docs/his-interface.md §4), INVALID included, which carriers judge by themselves.
func KnownCode(code string) bool {
	return slices.Contains([]string{codeDone, codeNone, codeNotFound, codeAlreadyPaid, codeBillVoid, codeBillChanged, codeLocked, codeLockExpired, codeAmountWrong,
		codeDuplicate, codeNotRefundable, codeMaintenance, codeSettled, codeAuthExpired, codeRefused, CodeInvalid}, code)
}

// Carrier takes a message to the hospital and brings the answer back.
type Carrier interface {
	// Carry sends an operation ("bills/pending") with its members as a JSON object, and gives the answer. Errors: ErrUnreachable (nothing was sent),
	// bill.ErrNoAnswer, ErrRequest (the hospital calls it malformed); any other is an answer that proves nothing.
	Carry(ctx context.Context, operation string, members []byte) (Answer, error)
}

// Config is what a client of one institution needs.
type Config struct {
	Clock clock.Clock

	LookupDeadline time.Duration // patients, bills; zero: 5 s
	LockDeadline   time.Duration // of locks, and of a refund's hold; zero: 5 s
	PostDeadline   time.Duration // of postings and of a refund's booking; zero: 10 s
	QueryDeadline  time.Duration // of what became of them; zero: 5 s
}

// Client is a hospital behind a carrier. Safe for several goroutines when the carrier is.
type Client struct {
	config  Config
	carrier Carrier
}

var (
	_ bill.Source       = (*Client)(nil)
	_ patient.Authority = (*Client)(nil)
	_ order.Hospital    = (*Client)(nil)
	_ order.RefundDesk  = (*Client)(nil)
)

// New makes the client.
func New(c Config, carrier Carrier) (*Client, error) {
	if c.Clock == nil || carrier == nil {
		return nil, errors.New("his: clock and carrier are required")
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
	return &Client{config: c, carrier: carrier}, nil
}

// operation is one of the interface, how long it may take, and the codes that it may be answered with besides done.
type operation struct {
	name     string
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
		return "", nil, kind.Because(fmt.Errorf("his %s: %w", o.name, cause))
	}
	members, err := json.Marshal(in)
	if err != nil {
		return fail(ErrRequest, err)
	}
	ctx, cancel := c.config.Clock.WithDeadline(ctx, o.deadline)
	defer cancel()
	answer, err := c.carrier.Carry(ctx, o.name, members)
	if err != nil {
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return "", nil, f
		}
		return fail(bill.ErrUnreadable, err)
	}
	switch {
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
	return kind.Because(fmt.Errorf("his %s: code %s", o.name, short(code)))
}

// unreadable wraps what is wrong with an answer's content.
func unreadable(o operation, format string, args ...any) error {
	return bill.ErrUnreadable.Because(fmt.Errorf("his "+o.name+": "+format, args...))
}

// short keeps a foreign text from filling the log, or from carrying a person into it: only a code's own letters pass.
func short(s string) string {
	if len(s) > 24 || strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_-") != "" {
		return "(unprintable)"
	}
	return s
}
