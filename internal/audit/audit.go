// Package audit records who did what to whose data: one append-only row for every act of a person or of the system that an auditor may ask for.
package audit

import (
	"context"
	"time"
)

// Record is one act.
type Record struct {
	At          time.Time
	Institution string
	Actor       string // "account:12", "staff:3", "system", "his:h1"
	Action      string // a verb with its object: "consent.give", "order.confirm"
	Object      string // what it was done to: "order:123"
	Result      string // "ok" or a fault code
	RequestID   string
	Detail      string // facts in short; never personal data
}

// Log keeps records. An act whose record cannot be written must fail (design.md, EL-09).
type Log interface {
	Record(ctx context.Context, r Record) error
}
