package order

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
)

// Store keeps orders.
type Store interface {
	// Create inserts a new order with its bills, first attempts and events, its job, and the record of its request, in one transaction, and
	// returns the claim when the job was born held. ErrBillLive when one of the bills is in a live order; job.ErrBusy when the request's key is
	// there already.
	Create(ctx context.Context, o *Order, j job.New) (job.Claim, error)
	// Load reads an order with all attempts. ErrNotFound.
	Load(ctx context.Context, id ID) (*Order, error)
	// LoadForWork is Load with the order's job as it stood no later; false when the job is done.
	LoadForWork(ctx context.Context, id ID) (*Order, job.Job, bool, error)
	// Save writes what changed of the order and its attempts (each by compare-and-set on its version), its new events, their ledger
	// postings, what becomes of the job, the record of the request and the mark of the notice that it is moved for, in one transaction. A state
	// that is not Live gives up the live marks of the order's bills for good: a late payment is unwound while its bills may already be in another
	// order. Nothing was written with job.ErrLost, when the claim or any row has moved on, and with job.ErrBusy, when the claim was only wanted and
	// somebody was faster, or the request's key is there already. On success versions, the claim and o.Events are brought up to date.
	Save(ctx context.Context, o *Order, claim *job.Claim, next job.Next) error
	// Revive creates the job of an order that has none, due at that time; nothing happens when there is one.
	Revive(ctx context.Context, id ID, at time.Time) error
	// ByNumber finds the order of an out_trade_no, cash or mixed, or of the centre's payOrdId. ErrNotFound.
	ByNumber(ctx context.Context, institution, outTradeNo string) (ID, error)
	// List gives an account's orders, newest first, before the given order (0: from the newest).
	List(ctx context.Context, account patient.AccountID, before ID, limit int) ([]*Order, error)
	// LiveOf gives an account's newest order that is neither final nor completed: the one to resume. ErrNotFound.
	LiveOf(ctx context.Context, account patient.AccountID) (ID, error)
	// History gives an order's events, oldest first.
	History(ctx context.Context, id ID) ([]Event, error)
	// VersionOf is the order's version, for waiting readers. ErrNotFound.
	VersionOf(ctx context.Context, id ID) (int64, error)
	Reviews
}

// Reviews keeps the cases that people have to judge. A vote is stored by Save, with what follows from it.
type Reviews interface {
	// OpenCase gives an order's case, with the votes so far. ErrNoCase.
	OpenCase(ctx context.Context, id ID) (Case, error)
	// Cases lists the open cases of an institution ("": of all), oldest first.
	Cases(ctx context.Context, institution string, limit int) ([]Case, error)
}
