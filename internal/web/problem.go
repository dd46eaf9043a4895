package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
)

// Faults of the request itself, for every face.
var (
	// ErrBadRequest is a body or a parameter that cannot be read.
	ErrBadRequest = fault.New(fault.Invalid, "BAD_REQUEST", "请求有误，请核对后重试")
	// ErrBodyTooLarge is a body above the limit; it alone is answered 413.
	ErrBodyTooLarge = fault.New(fault.Invalid, "BODY_TOO_LARGE", "提交的内容过大")
	// ErrNoRoute is an address that nobody serves.
	ErrNoRoute = fault.New(fault.NotFound, "ROUTE_NOT_FOUND", "请求的地址不存在")
	// ErrNoMethod is an address that is served, but not by this method; it alone is answered 405.
	ErrNoMethod = fault.New(fault.Invalid, "METHOD_NOT_ALLOWED", "不支持的请求方式")
	// ErrInternal is what is shown in place of every Internal fault, and of an error without a kind.
	ErrInternal = fault.New(fault.Internal, "INTERNAL", "系统繁忙，请稍后再试")
	// errGone is a caller who left before the answer; nobody reads it.
	errGone = fault.New(fault.Unavailable, "CALLER_GONE", "请求已取消")
)

// answer says how a kind of fault is told over HTTP.
type answer struct {
	status int
	again  time.Duration // Retry-After when the fault does not say; zero: none
}

// answers is the table of style.md §5, by fault.Kind.
var answers = [...]answer{
	fault.Internal:        {status: http.StatusInternalServerError},
	fault.Invalid:         {status: http.StatusBadRequest},
	fault.Unauthenticated: {status: http.StatusUnauthorized},
	fault.Forbidden:       {status: http.StatusForbidden},
	fault.NotFound:        {status: http.StatusNotFound},
	fault.Conflict:        {status: http.StatusConflict},
	fault.Limited:         {status: http.StatusTooManyRequests, again: 10 * time.Second},
	fault.Unavailable:     {status: http.StatusServiceUnavailable, again: 5 * time.Second},
	fault.Pending:         {status: http.StatusAccepted, again: 2 * time.Second},
	fault.Rejected:        {status: http.StatusUnprocessableEntity},
	fault.Unknown:         {status: http.StatusAccepted, again: 2 * time.Second},
}

func answerTo(k fault.Kind) answer {
	if int(k) >= len(answers) {
		k = fault.Internal
	}
	return answers[k]
}

// Problem is RFC 9457's document with our code. Pending and Unknown are told in it too, with status 202: not a failure, ask again.
type Problem struct {
	Type      string `json:"type"`            // about:blank: the code says more than a page could
	Title     string `json:"title"`           // the status in English
	Status    int    `json:"status"`          // as of the answer
	Code      string `json:"code"`            // for programs
	Detail    string `json:"detail"`          // for the patient, Chinese
	Field     string `json:"field,omitempty"` // the request's member at fault
	RequestID string `json:"request_id"`      // to be told on the telephone
}

// problemOf tells an error, and when to come again. What is Internal keeps its words to itself.
func problemOf(err error, requestID string) (Problem, time.Duration) {
	shown := shownOf(err)
	a := answerTo(shown.Kind)
	switch shown {
	case ErrBodyTooLarge:
		a.status = http.StatusRequestEntityTooLarge
	case ErrNoMethod:
		a.status = http.StatusMethodNotAllowed
	}
	if later, ok := errors.AsType[*later](err); ok {
		a.again = later.after
	}
	return Problem{Type: "about:blank", Title: http.StatusText(a.status), Status: a.status, Code: shown.Code, Detail: shown.Msg,
		Field: shown.Field, RequestID: requestID}, a.again
}

func shownOf(err error) *fault.Error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return ErrBodyTooLarge
	}
	for _, own := range []*fault.Error{ErrBodyTooLarge, ErrNoMethod} {
		if errors.Is(err, own) {
			return own
		}
	}
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Kind != fault.Internal {
		return e
	}
	return ErrInternal
}

// later is an error that knows when to come again.
type later struct {
	error
	after time.Duration
}

func (l *later) Unwrap() error { return l.error }

// RetryAfter gives the error a Retry-After of its own, rounded up to whole seconds: a limit that knows when it opens, a request that
// is still running.
func RetryAfter(err error, d time.Duration) error {
	if err == nil || d <= 0 {
		return err
	}
	return &later{err, d}
}

// Answer is a result with another status than 200.
type Answer struct {
	Status int
	Body   any // nil: no body
}

// Rendered is an answer as it goes out, so that it can be kept and given again byte for byte. A handler may return one.
type Rendered struct {
	Status      int
	ContentType string // empty with an empty body
	Body        []byte
	RetryAfter  time.Duration // zero: no header
}

// Render makes the bytes of a handler's result or error: 200 and JSON, 204 for a nil result, Answer's status, or a Problem.
func Render(result any, err error, requestID string) Rendered {
	if err != nil {
		return renderProblem(err, requestID)
	}
	status := http.StatusOK
	switch r := result.(type) {
	case nil:
		return Rendered{Status: http.StatusNoContent}
	case Rendered:
		return r
	case Answer:
		if r.Body == nil {
			return Rendered{Status: r.Status}
		}
		status, result = r.Status, r.Body
	}
	body, err := encode(result)
	if err != nil {
		return renderProblem(err, requestID)
	}
	return Rendered{Status: status, ContentType: "application/json; charset=utf-8", Body: body}
}

func renderProblem(err error, requestID string) Rendered {
	p, again := problemOf(err, requestID)
	body, _ := encode(p) // texts and a number always encode
	return Rendered{Status: p.Status, ContentType: "application/problem+json; charset=utf-8", Body: body, RetryAfter: again}
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the content type and nosniff keep it from being read as a page
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
