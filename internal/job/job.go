// Package job is durable work: jobs that are claimed by lease and fencing version, the inbox of outside messages, and the records that
// make our own API idempotent. It knows no business (design.md §4).
package job

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
)

// ErrLost is a claim that another worker has taken over, or a row that moved meanwhile. What was to be written was not.
var ErrLost = fault.New(fault.Conflict, "CLAIM_LOST", "正在处理中，请稍后查看")

// ErrBusy is a job that somebody else holds now.
var ErrBusy = fault.New(fault.Conflict, "ORDER_BUSY", "正在处理中，请稍后查看")

// Job is one piece of durable work, unique by Kind and Ref. At most one worker holds it.
type Job struct {
	ID   int64
	Kind string // whose work it is: "order"
	Ref  string // what it is about: an order's number

	Institution string // whose order
	RunAt       time.Time
	DueAt       time.Time // when it may be claimed: then, sooner when it was woken, or at the end of somebody's lease
	Attempt     int       // how often the present wait was repeated; the schedule's index
	Version     int64
	Note        string // why it waits, for the console; no personal data

	HeldUntil time.Time // the end of somebody's lease; zero: nobody holds it
}

// Free reports whether the job may be claimed, as far as what was read tells.
func (j *Job) Free(now time.Time) bool { return !j.HeldUntil.After(now) }

// Claim is the right to work on a job until its lease ends. Every write that the work makes carries it; a version that has moved on
// (somebody took over) refuses the write with ErrLost.
type Claim struct {
	Job
	Owner      string
	LeaseUntil time.Time
	Wanted     time.Time // not taken yet, but wanted then: the first write takes it, see Want
}

// Want is a claim that the first write which carries it takes, or refuses with ErrBusy when somebody was faster. Until then nobody outside may be
// called for it; a claim that is not used costs nothing.
func Want(j Job, owner string, now, until time.Time) Claim {
	return Claim{Job: j, Owner: owner, LeaseUntil: until, Wanted: now}
}

// Held reports whether the claim was taken.
func (c *Claim) Held() bool { return c.Wanted.IsZero() }

// Next is what becomes of the job in the transaction that stores a step's effect.
type Next struct {
	Done    bool      // finished: moved to history
	Stay    bool      // the claim is held long enough: the write only makes sure that it is held
	Hold    time.Time // not zero: keep the claim until then (a call follows); the claim's RunAt is stored
	RunAt   time.Time // otherwise: give it back, to run again then
	Attempt int
	Note    string
}

// Finish ends the job.
func Finish() Next { return Next{Done: true} }

// Hold keeps the claim for a call that ends before until.
func Hold(until time.Time, attempt int) Next { return Next{Hold: until, Attempt: attempt} }

// Stay leaves a claim as it is, for a call that ends before its lease.
func Stay() Next { return Next{Stay: true} }

// At gives the job back until that time.
func At(t time.Time, attempt int, note string) Next {
	return Next{RunAt: t, Attempt: attempt, Note: note}
}

// New is a job to be created, by the transaction that causes it. With an Owner it is born held by its creator.
type New struct {
	Kind       string
	Ref        string
	RunAt      time.Time
	Owner      string
	LeaseUntil time.Time
}

// Queue is where jobs are claimed. Finishing and giving back happen in the domain's own store methods, with the effect.
type Queue interface {
	// Due lists jobs of these kinds, but for some institutions, that may be claimed by then, longest due first: ready and due, or leased with the
	// lease over.
	Due(ctx context.Context, kinds, except []string, by time.Time, limit int) ([]Job, error)
	// Take claims by compare-and-set on the version seen. ErrBusy when somebody was faster.
	Take(ctx context.Context, j Job, owner string, now, until time.Time) (Claim, error)
	// Find reads one job; fault NotFound when there is none.
	Find(ctx context.Context, kind, ref string) (Job, bool, error)
	// Give returns a claim without an effect.
	Give(ctx context.Context, c Claim, n Next) error
	// Wake makes a waiting job due now, ahead of its RunAt, which stays; a job that is held, or is not there, is left alone.
	Wake(ctx context.Context, kind, ref string, now time.Time) error
	// Backlog tells how many jobs are due, and how long the oldest has been.
	Backlog(ctx context.Context, now time.Time) (due int, oldest time.Duration, err error)
}

// Notice is an outside message after its signature was verified: stored in the inbox before it is acknowledged, unique by Source and ID.
type Notice struct {
	Source     string // "wechatpay", "his"
	ID         string // the envelope's id
	Kind       string // the sender's event name
	Number     string // the number of ours it is about
	Body       []byte // plain content; sealed at rest
	ReceivedAt time.Time
	Once       Nonce // what the sender may use only once; zero where he sends nothing of the kind. The inbox spends it and does not give it back
}

// Nonce is what a sender uses once. It need not be remembered for longer than a message with it would be believed.
type Nonce struct {
	Text  string
	Until time.Time
}

// ErrReplay is a message whose nonce was used before: not its sender's repeat, which has a new one, but somebody's copy.
var ErrReplay = fault.New(fault.Unauthenticated, "NOTICE_REPLAYED", "通知重复投递")

// Inbox keeps notices.
type Inbox interface {
	// Put stores a notice and spends its nonce; false when the notice was there already. ErrReplay when the nonce was spent before: nothing is stored.
	Put(ctx context.Context, n Notice) (fresh bool, err error)
	// Spend spends the nonce of a message that is not to be stored. ErrReplay.
	Spend(ctx context.Context, source string, once Nonce) error
	// Unread lists stored notices that nobody has marked, but for some institutions, oldest first.
	Unread(ctx context.Context, except []string, limit int) ([]Stored, error)
	// Mark notes that a notice was handled, and why nothing came of it, if so.
	Mark(ctx context.Context, id int64, at time.Time, refusal string) error
}

// Stored is a notice in the inbox.
type Stored struct {
	ID int64
	Notice
}

// Key names one request of our API for idempotency: unique by account, route and key.
type Key struct {
	Account int64
	Route   string // "POST /api/v1/orders"
	Key     string // the client's Idempotency-Key
}

// Request is a request of our API under its Key. Its record is stored with the first thing that it moves.
type Request struct {
	Key        Key
	BodyDigest string
	At         time.Time

	Record int64 // the number of its record; 0: nothing of it is stored
}

// Replay is the record of a request. Answer is nil while it runs.
type Replay struct {
	Record     int64
	BodyDigest string
	Ref        string // what it made: an order's number
	Status     int
	Answer     []byte // exact bytes; sealed at rest
	CreatedAt  time.Time
}

// Replays keeps idempotency records for at least 400 days. The row is inserted by the domain's own store method, together with what the request
// moves first.
type Replays interface {
	// FindReplay reads a record; false when there is none.
	FindReplay(ctx context.Context, k Key) (Replay, bool, error)
	// KeepAnswer adds the final answer to the request's record; where nothing was stored of the request, the record is made. False when another
	// answer, or another record, was first: that one stays.
	KeepAnswer(ctx context.Context, institution string, r Request, ref string, status int, answer []byte) (kept bool, err error)
}
