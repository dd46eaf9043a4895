// Package fault names what can go wrong: a Kind for what the program may do now, a code and a Chinese message for what a patient
// or a clerk is told. The table of kinds is style.md §5 and design.md §4.3.
package fault

import (
	"errors"
	"fmt"
)

// Kind answers one question: what may be done after this error.
type Kind uint8

const (
	// Internal is our own bug; in a money step it counts as Unknown. It is the zero value: an error without a kind is Internal.
	Internal Kind = iota
	// Invalid is a request that can never work as it stands.
	Invalid
	// Unauthenticated is a caller whom we do not know.
	Unauthenticated
	// Forbidden is a caller who may not do this.
	Forbidden
	// NotFound is a thing that does not exist, or that the caller must not know of.
	NotFound
	// Conflict is a thing whose state does not allow this.
	Conflict
	// Limited is too much at a time.
	Limited
	// Unavailable means that nothing was sent; retrying is free.
	Unavailable
	// Pending means that the other side says: not yet. Poll.
	Pending
	// Rejected means that the other side said no, and is to be believed.
	Rejected
	// Unknown means sent, and no trustworthy answer. Query by our number; never send again blindly.
	Unknown
)

var kindNames = [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not_found", "conflict", "limited",
	"unavailable", "pending", "rejected", "unknown"}

// Kinds lists every kind, for tables that must be complete.
func Kinds() []Kind {
	kinds := make([]Kind, len(kindNames))
	for i := range kinds {
		kinds[i] = Kind(i)
	}
	return kinds
}

// String is the kind's name in logs, "internal" for a value out of range.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return kindNames[Internal]
	}
	return kindNames[k]
}

// Error is one named fault. Compare by errors.Is: two Errors are the same fault when their codes are equal.
type Error struct {
	Kind  Kind
	Code  string // stable, upper case, for programs: "BILL_PAID"
	Msg   string // for the patient or the clerk, Chinese, without personal data
	Field string // the request field that is wrong, if one is
	cause error
}

// New makes a fault, usually a package's sentinel.
func New(kind Kind, code, msg string) *Error { return &Error{Kind: kind, Code: code, Msg: msg} }

// Because returns a copy of the fault that carries its cause. The cause is for logs; it is never shown to a patient.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Saying returns a copy with another message for the reader, for example a counterpart's own words.
func (e *Error) Saying(msg string) *Error {
	c := *e
	c.Msg = msg
	return &c
}

// At returns a copy that names the request field at fault.
func (e *Error) At(field string) *Error {
	c := *e
	c.Field = field
	return &c
}

// Error is the text for logs: kind, code, and the cause's text if there is one.
func (e *Error) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("%s %s", e.Kind, e.Code)
	}
	return fmt.Sprintf("%s %s: %v", e.Kind, e.Code, e.cause)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is the same fault by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Find gives the outermost Error in err's chain.
func Find(err error) (*Error, bool) { return errors.AsType[*Error](err) }

// KindOf is the kind of the outermost Error in err's chain; Internal when there is none. A nil error has no kind: do not ask.
func KindOf(err error) Kind {
	if e, ok := Find(err); ok {
		return e.Kind
	}
	return Internal
}

// InMoneyStep is KindOf for a call that may have moved money: an error without a kind is Unknown, never a failure (design.md §4.3).
func InMoneyStep(err error) Kind {
	if k := KindOf(err); k != Internal {
		return k
	}
	return Unknown
}
