package store

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/job"
)

// Jobs is the job queue on the database.
type Jobs struct{ db *DB }

var _ job.Queue = Jobs{}

// Jobs gives the job queue.
func (db *DB) Jobs() Jobs { return Jobs{db} }

type jobRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	Kind        string `gorm:"size:32"`
	Ref         string `gorm:"size:64"`
	RunUS       int64
	DueUS       int64 // run_us, sooner when woken, or the end of the lease while somebody holds the job
	Attempt     int64
	Version     int64
	Owner       string `gorm:"size:64"` // empty: nobody holds it
	Note        string `gorm:"size:200"`
	CreatedUS   int64
}

// TableName is the table's name.
func (jobRow) TableName() string { return "job" }

func (r jobRow) job() job.Job {
	j := job.Job{ID: r.ID, Institution: r.Institution, Kind: r.Kind, Ref: r.Ref, RunAt: moment(r.RunUS), DueAt: moment(r.DueUS), Attempt: int(r.Attempt), Version: r.Version, Note: r.Note}
	if r.Owner != "" {
		j.HeldUntil = moment(r.DueUS)
	}
	return j
}

type finishedJobRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	Kind        string `gorm:"size:32"`
	Ref         string `gorm:"size:64"`
	Attempt     int64
	Version     int64
	Owner       string `gorm:"size:64"`
	Note        string `gorm:"size:200"`
	CreatedUS   int64
	FinishedUS  int64
}

// TableName is the table's name.
func (finishedJobRow) TableName() string { return "job_history" }

// Due lists jobs of these kinds, but for some institutions, that may be claimed by then, longest due first.
func (q Jobs) Due(ctx context.Context, kinds, except []string, by time.Time, limit int) ([]job.Job, error) {
	if len(kinds) == 0 || limit <= 0 {
		return nil, nil
	}
	rows, err := find[jobRow](q.db, apartFrom(except, q.db.read(ctx).Where("due_us <= ? AND kind IN ?", micros(by), kinds)).Order("due_us, id").Limit(limit))
	if err != nil {
		return nil, fmt.Errorf("due jobs: %w", err)
	}
	jobs := make([]job.Job, len(rows))
	for i, r := range rows {
		jobs[i] = r.job()
	}
	return jobs, nil
}

// apartFrom leaves institutions out.
func apartFrom(institutions []string, query *gorm.DB) *gorm.DB {
	if len(institutions) == 0 {
		return query
	}
	return query.Where("institution NOT IN ?", institutions)
}

// Take claims a job as it was seen. job.ErrBusy when somebody was faster, or holds it and the lease is not over.
func (q Jobs) Take(ctx context.Context, j job.Job, owner string, now, until time.Time) (job.Claim, error) {
	if owner == "" || !until.After(now) {
		return job.Claim{}, refuse("a claim needs an owner and a lease")
	}
	claim := job.Want(j, owner, now, until)
	err := q.db.write(ctx, func(tx *gorm.DB) error {
		var err error
		claim, err = q.db.moveJob(tx, job.Want(j, owner, now, until), job.Hold(until, j.Attempt))
		return err
	})
	if err != nil {
		return job.Claim{}, fmt.Errorf("take %s %s: %w", j.Kind, j.Ref, err)
	}
	return claim, nil
}

// Find reads one job; false when there is none.
func (q Jobs) Find(ctx context.Context, kind, ref string) (job.Job, bool, error) {
	row, found, err := one[jobRow](q.db, q.db.read(ctx).Where("kind = ? AND ref = ?", kind, ref))
	if err != nil {
		return job.Job{}, false, fmt.Errorf("find job %s %s: %w", kind, ref, err)
	}
	return row.job(), found, nil
}

// Give returns a claim without an effect. job.ErrLost when it is no longer held.
func (q Jobs) Give(ctx context.Context, c job.Claim, n job.Next) error {
	err := q.db.write(ctx, func(tx *gorm.DB) error {
		_, err := q.db.moveJob(tx, c, n)
		return err
	})
	if err != nil {
		return fmt.Errorf("give %s %s: %w", c.Kind, c.Ref, err)
	}
	return nil
}

// Wake makes a waiting job due now. It does not touch the version, which belongs to those who claim, nor run_us: whoever claims it sees that
// its time has not come.
func (q Jobs) Wake(ctx context.Context, kind, ref string, now time.Time) error {
	err := q.db.write(ctx, func(tx *gorm.DB) error {
		_, err := change(tx, "UPDATE job SET due_us = ? WHERE kind = ? AND ref = ? AND owner = '' AND due_us > ?",
			micros(now), kind, ref, micros(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("wake %s %s: %w", kind, ref, err)
	}
	return nil
}

// Backlog tells how many jobs are due, those whose lease is over among them, and how long the oldest has been.
func (q Jobs) Backlog(ctx context.Context, now time.Time) (int, time.Duration, error) {
	var due struct{ Jobs, Oldest int64 }
	err := q.db.read(ctx).Raw("SELECT COUNT(*) AS jobs, COALESCE(MIN(due_us), 0) AS oldest FROM job WHERE due_us <= ?", micros(now)).Scan(&due).Error
	if err != nil {
		return 0, 0, fmt.Errorf("backlog: %w", translated(err))
	}
	if due.Jobs == 0 {
		return 0, 0, nil
	}
	return int(due.Jobs), now.Sub(time.UnixMicro(due.Oldest)), nil
}

// addJob inserts a job, held when it has an owner, and gives the claim then.
func (db *DB) addJob(tx *gorm.DB, institution string, n job.New) (job.Claim, error) {
	row := jobRow{ID: db.ids.ID(), Institution: institution, Kind: n.Kind, Ref: n.Ref, RunUS: micros(n.RunAt), DueUS: micros(n.RunAt),
		Version: 1, Owner: n.Owner, CreatedUS: micros(db.clock.Now())}
	if n.Owner != "" {
		row.DueUS = micros(n.LeaseUntil)
	}
	if err := insert(db, tx, row); err != nil || n.Owner == "" {
		return job.Claim{}, err
	}
	return job.Claim{Job: row.job(), Owner: n.Owner, LeaseUntil: n.LeaseUntil}, nil
}

// heldJob is the condition of every write that carries a claim: the fencing version, and who holds it.
const heldJob = "id = ? AND version = ? AND owner = ?"

// fence is that condition; for a claim that is only wanted, that it may be taken.
func fence(c job.Claim) (where string, args []any) {
	if c.Held() {
		return heldJob, []any{c.ID, c.Version, c.Owner}
	}
	return "id = ? AND version = ? AND (owner = '' OR due_us <= ?)", []any{c.ID, c.Version, micros(c.Wanted)}
}

// fenced answers ErrBusy for a claim that could not be taken.
func fenced(c job.Claim, err error) error {
	if !c.Held() && errors.Is(err, job.ErrLost) {
		return job.ErrBusy
	}
	return err
}

// moveJob does with a job what the step decided, and gives the claim as it then stands: with the new version and lease, or without an
// owner when it was given back or finished. job.ErrLost when it is held no longer, job.ErrBusy when it was wanted and is not to be had.
func (db *DB) moveJob(tx *gorm.DB, c job.Claim, n job.Next) (job.Claim, error) {
	if c.Owner == "" {
		return c, job.ErrLost
	}
	if n.Stay {
		return c, refuse("a claim that stays as it is is not written")
	}
	if n.Done {
		return db.finishJob(tx, c)
	}
	next := c
	next.Version, next.Attempt, next.Wanted, next.HeldUntil = c.Version+1, n.Attempt, time.Time{}, n.Hold
	row := jobRow{ID: c.ID, Version: next.Version, Attempt: int64(n.Attempt)}
	columns := []string{"version", "attempt", "owner", "run_us", "due_us", "note"}
	if !n.Hold.IsZero() {
		if n.Note != "" {
			next.Note = n.Note
		}
		next.LeaseUntil = n.Hold
		row.Owner, row.RunUS, row.DueUS = c.Owner, micros(c.RunAt), micros(n.Hold)
	} else {
		next.Owner, next.LeaseUntil, next.RunAt, next.Note = "", time.Time{}, n.RunAt, n.Note
		row.RunUS, row.DueUS = micros(n.RunAt), micros(n.RunAt)
	}
	next.Note = clip(next.Note, 200)
	row.Note = next.Note
	where, args := fence(c)
	return next, fenced(c, move(db, tx, &row, columns, where, args...))
}

// finishJob takes the job away and keeps it in the history.
func (db *DB) finishJob(tx *gorm.DB, c job.Claim) (job.Claim, error) {
	where, args := fence(c)
	// Zero times a number: an engine that asks what type a value has finds it there.
	err := exactlyOne(tx.Exec(`INSERT INTO job_history (id, institution, kind, ref, attempt, version, owner, note, created_us, finished_us)
		SELECT id, institution, kind, ref, attempt, version, owner, note, created_us, created_us * 0 + ? FROM job WHERE `+where,
		append([]any{micros(db.clock.Now())}, args...)...))
	if err == nil {
		err = exactlyOne(tx.Exec("DELETE FROM job WHERE "+where, args...))
	}
	return job.Claim{Job: c.Job}, fenced(c, err)
}

// clip shortens a note, which is for people only, to what its column holds.
func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
