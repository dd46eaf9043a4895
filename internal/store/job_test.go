package store

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
)

// put inserts a job that nobody holds.
func put(t testing.TB, db *DB, kind, ref string, at time.Time) job.Job {
	t.Helper()
	check(t, db.write(t.Context(), func(tx *gorm.DB) error {
		_, err := db.addJob(tx, hospital, job.New{Kind: kind, Ref: ref, RunAt: at})
		return err
	}))
	j, found, err := db.Jobs().Find(t.Context(), kind, ref)
	if err != nil || !found {
		t.Fatalf("Find(%s %s) = %v, %v", kind, ref, found, err)
	}
	return j
}

func take(t testing.TB, db *DB, j job.Job, owner string, lease time.Duration) job.Claim {
	t.Helper()
	c, err := db.Jobs().Take(t.Context(), j, owner, now(db), now(db).Add(lease))
	check(t, err)
	return c
}

func refs(jobs []job.Job) string {
	var out []string
	for _, j := range jobs {
		out = append(out, j.Ref)
	}
	return strings.Join(out, " ")
}

func due(t testing.TB, db *DB, limit int, kinds ...string) string {
	t.Helper()
	jobs, err := db.Jobs().Due(t.Context(), kinds, nil, now(db), limit)
	check(t, err)
	return refs(jobs)
}

func suiteJobs(t *testing.T, open func(t *testing.T) *DB) {
	t.Run("due in order, of the kinds asked, up to the limit", func(t *testing.T) { dueOrder(t, open(t)) })
	t.Run("a lease keeps others out until it is over", func(t *testing.T) { leases(t, open(t)) })
	t.Run("of many takers one wins", func(t *testing.T) { oneTaker(t, open(t)) })
	t.Run("finished jobs go to history, and may come again", func(t *testing.T) { finishedJobs(t, open(t)) })
	t.Run("a wanted claim is taken by its first write", func(t *testing.T) { wanted(t, open(t)) })
	t.Run("wake", func(t *testing.T) { wakes(t, open(t)) })
	t.Run("refused", func(t *testing.T) { refusedJobs(t, open(t)) })
}

func dueOrder(t *testing.T, db *DB) {
	t.Helper()
	put(t, db, "order", "second", now(db).Add(-time.Minute))
	put(t, db, "order", "first", now(db).Add(-time.Hour))
	put(t, db, "order", "third", now(db))
	put(t, db, "order", "later", now(db).Add(time.Microsecond))
	put(t, db, "refund", "other", now(db).Add(-2*time.Hour))
	for _, c := range []struct {
		name  string
		limit int
		kinds []string
		want  string
	}{
		{"one kind", 9, []string{"order"}, "first second third"}, {"two kinds", 9, []string{"order", "refund"}, "other first second third"},
		{"limit", 2, []string{"order"}, "first second"}, {"no kind", 9, nil, ""}, {"no room", 0, []string{"order"}, ""},
	} {
		if got := due(t, db, c.limit, c.kinds...); got != c.want {
			t.Errorf("%s: Due() = %q, want %q", c.name, got, c.want)
		}
	}
	n, oldest, err := db.Jobs().Backlog(t.Context(), now(db))
	if err != nil || n != 4 || oldest != 2*time.Hour {
		t.Errorf("Backlog() = %d, %s, %v, want 4, 2h", n, oldest, err)
	}
	if n, oldest, err := db.Jobs().Backlog(t.Context(), now(db).Add(-3*time.Hour)); n != 0 || oldest != 0 || err != nil {
		t.Errorf("Backlog(before all) = %d, %s, %v, want nothing", n, oldest, err)
	}
}

func leases(t *testing.T, db *DB) {
	t.Helper()
	j := put(t, db, "order", "1", now(db))
	c := take(t, db, j, "a", time.Minute)
	if c.Version != j.Version+1 || c.Owner != "a" || !c.LeaseUntil.Equal(now(db).Add(time.Minute)) {
		t.Fatalf("claim = %+v", c)
	}
	_, err := db.Jobs().Take(t.Context(), j, "b", now(db), now(db).Add(time.Minute))
	wantErr(t, "take with the version of before", err, job.ErrBusy)
	seen, _, err := db.Jobs().Find(t.Context(), "order", "1")
	check(t, err)
	_, err = db.Jobs().Take(t.Context(), seen, "b", now(db), now(db).Add(time.Minute))
	wantErr(t, "take while held", err, job.ErrBusy)
	if got := due(t, db, 9, "order"); got != "" {
		t.Fatalf("Due() = %q while held", got)
	}
	advance(t, db, time.Minute)
	if got := due(t, db, 9, "order"); got != "1" {
		t.Fatalf("Due() = %q after the lease", got)
	}
	b := take(t, db, seen, "b", time.Minute)
	if b.Version <= c.Version {
		t.Fatalf("version %d after %d: the fence does not rise", b.Version, c.Version)
	}
	wantErr(t, "give by the one who lost it", db.Jobs().Give(t.Context(), c, job.Finish()), job.ErrLost)
	wantErr(t, "hold by the one who lost it", db.Jobs().Give(t.Context(), c, job.Hold(now(db).Add(time.Hour), 0)), job.ErrLost)
	check(t, db.Jobs().Give(t.Context(), b, job.At(now(db).Add(time.Hour), 3, strings.Repeat("长", 500))))
	back, _, err := db.Jobs().Find(t.Context(), "order", "1")
	check(t, err)
	if back.Attempt != 3 || !back.RunAt.Equal(now(db).Add(time.Hour)) || back.Version != b.Version+1 || len([]rune(back.Note)) != 200 {
		t.Fatalf("given back: %+v", back)
	}
	wantErr(t, "give twice", db.Jobs().Give(t.Context(), b, job.Finish()), job.ErrLost)
}

func oneTaker(t *testing.T, db *DB) {
	t.Helper()
	j := put(t, db, "order", "1", now(db))
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			_, err := db.Jobs().Take(t.Context(), j, "w", now(db), now(db).Add(time.Minute))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, job.ErrBusy) {
				t.Errorf("Take() = %v", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Fatalf("%d takers won", won)
	}
}

func finishedJobs(t *testing.T, db *DB) {
	t.Helper()
	for round := range 2 {
		j := put(t, db, "order", "1", now(db))
		check(t, db.Jobs().Give(t.Context(), take(t, db, j, "a", time.Minute), job.Finish()))
		if _, found, err := db.Jobs().Find(t.Context(), "order", "1"); found || err != nil {
			t.Fatalf("finished job found: %v, %v", found, err)
		}
		if n := count(t, db, "SELECT COUNT(*) FROM job_history WHERE kind = 'order' AND ref = '1' AND owner = 'a'"); n != int64(round+1) {
			t.Fatalf("%d rows of history, want %d", n, round+1)
		}
	}
}

func wanted(t *testing.T, db *DB) {
	t.Helper()
	want := func(owner string) (c job.Claim) {
		j, _, err := db.Jobs().Find(t.Context(), "order", "1")
		check(t, err)
		return job.Want(j, owner, now(db), now(db).Add(time.Minute))
	}
	put(t, db, "order", "1", now(db))
	first, second := want("a"), want("b")
	if !first.Free(now(db)) || first.Held() {
		t.Fatalf("a job that nobody holds: %+v", first)
	}
	check(t, db.Jobs().Give(t.Context(), first, job.Hold(now(db).Add(time.Minute), 2)))
	wantErr(t, "write with a claim that another has taken", db.Jobs().Give(t.Context(), second, job.At(now(db), 0, "")), job.ErrBusy)
	third := want("b")
	if third.Free(now(db)) || !third.Free(now(db).Add(time.Minute)) || third.Attempt != 2 {
		t.Fatalf("a job that a holds: %+v", third)
	}
	wantErr(t, "write with a claim that is held", db.Jobs().Give(t.Context(), third, job.Finish()), job.ErrBusy)
	advance(t, db, time.Minute)
	check(t, db.Jobs().Give(t.Context(), want("b"), job.Finish()))
	if n := count(t, db, "SELECT COUNT(*) FROM job"); n != 0 {
		t.Fatalf("%d jobs, want none", n)
	}
}

func wakes(t *testing.T, db *DB) {
	t.Helper()
	put(t, db, "order", "waits", now(db).Add(time.Hour))
	held := take(t, db, put(t, db, "order", "held", now(db)), "a", time.Hour)
	for _, ref := range []string{"waits", "held", "absent"} {
		check(t, db.Jobs().Wake(t.Context(), "order", ref, now(db)))
	}
	if got := due(t, db, 9, "order"); got != "waits" {
		t.Fatalf("Due() = %q, want the one that waited", got)
	}
	if j, _, err := db.Jobs().Find(t.Context(), "order", "waits"); err != nil || !j.RunAt.Equal(now(db).Add(time.Hour)) {
		t.Fatalf("a woken job forgot its own time: %v, %v", j.RunAt, err)
	}
	check(t, db.Jobs().Give(t.Context(), held, job.Hold(now(db).Add(2*time.Hour), 1)))
}

func refusedJobs(t *testing.T, db *DB) {
	t.Helper()
	j := put(t, db, "order", "1", now(db))
	_, err := db.Jobs().Take(t.Context(), j, "", now(db), now(db).Add(time.Minute))
	wantErr(t, "no owner", err, ErrRow)
	_, err = db.Jobs().Take(t.Context(), j, "a", now(db), now(db))
	wantErr(t, "no lease", err, ErrRow)
	wantErr(t, "a claim without an owner", db.Jobs().Give(t.Context(), job.Claim{Job: j}, job.Finish()), job.ErrLost)
	err = db.write(t.Context(), func(tx *gorm.DB) error {
		_, err := db.addJob(tx, hospital, job.New{Kind: "order", Ref: "1", RunAt: now(db)})
		return err
	})
	wantErr(t, "a second job of one thing", err, ErrDuplicate)
}

func suiteInbox(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	n := job.Notice{Source: "wechatpay/h1", ID: "EV-1", Kind: "TRANSACTION.SUCCESS", Number: "T1", Body: []byte(`{"openid":"SECRET-OPENID"}`), ReceivedAt: now(db)}
	older := job.Notice{Source: "his/h1", ID: "EV-1", Kind: "BILL.VOID", Number: "2", Body: nil, ReceivedAt: now(db).Add(-time.Hour)}
	for _, c := range []struct {
		name string
		n    job.Notice
		want bool
	}{{"first", n, true}, {"again", n, false}, {"another source", older, true}} {
		if fresh, err := db.Inbox().Put(t.Context(), c.n); fresh != c.want || err != nil {
			t.Fatalf("%s: Put() = %v, %v, want %v", c.name, fresh, err, c.want)
		}
	}
	unread := must(db.Inbox().Unread(t.Context(), nil, 9))(t)
	older.Body = []byte{}
	if len(unread) != 2 {
		t.Fatalf("%d unread", len(unread))
	}
	if diff := cmp.Diff([]job.Notice{older, n}, []job.Notice{unread[0].Notice, unread[1].Notice}); diff != "" {
		t.Fatal(diff)
	}
	if got := must(db.Inbox().Unread(t.Context(), nil, 1))(t); len(got) != 1 || got[0].ID != unread[0].ID {
		t.Fatalf("Unread(1) = %v", got)
	}
	check(t, db.Inbox().Mark(t.Context(), unread[0].ID, now(db), "NO_SUCH 没有"))
	check(t, db.Inbox().Mark(t.Context(), unread[0].ID, now(db).Add(time.Hour), ""))
	if got := must(db.Inbox().Unread(t.Context(), nil, 9))(t); len(got) != 1 || got[0].ID != unread[1].ID {
		t.Fatalf("after Mark: %v", got)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM inbox WHERE handled_us = ? AND institution = 'h1'", micros(now(db))); n != 1 {
		t.Fatal("the first mark did not stay")
	}
	for _, c := range []struct {
		source, id, no string
		found, handled bool
		refusal        string
	}{{older.Source, older.ID, older.Number, true, true, "NO_SUCH 没有"}, {n.Source, n.ID, n.Number, true, false, ""}, {n.Source, n.ID, "another's", false, false, ""},
		{"his/h2", "EV-1", n.Number, false, false, ""}} {
		found, handled, refusal, err := db.HISBooks().Told(t.Context(), c.source, c.id, c.no)
		if found != c.found || handled != c.handled || refusal != c.refusal || err != nil {
			t.Errorf("Told(%s) = %v, %v, %q, %v", c.source, found, handled, refusal, err)
		}
	}
	suiteNonces(t, db, n)
	exec(t, db, "UPDATE inbox SET body_sealed = (SELECT o.body_sealed FROM inbox o WHERE o.id <> inbox.id) WHERE handled_us = 0")
	_, err := db.Inbox().Unread(t.Context(), nil, 9)
	wantErr(t, "a body moved from another notice", err, ErrTampered)
}

// suiteNonces: a nonce is spent once for each source, with the notice or alone, and forgotten when nobody would believe it any more.
func suiteNonces(t *testing.T, db *DB, n job.Notice) {
	t.Helper()
	in, until := db.Inbox(), now(db).Add(5*time.Minute)
	put := func(name, source, id, nonce string, fresh bool, want error) {
		t.Helper()
		n.Source, n.ID, n.Once = source, id, job.Nonce{Text: nonce, Until: until}
		stored := count(t, db, "SELECT COUNT(*) FROM inbox")
		got, err := in.Put(t.Context(), n)
		if after := count(t, db, "SELECT COUNT(*) FROM inbox"); got != fresh || !errors.Is(err, want) || (err == nil) != (want == nil) || (after > stored) != fresh {
			t.Errorf("%s: Put() = %v, %v, %d rows more", name, got, err, after-stored)
		}
	}
	put("a nonce", "his/h1", "CT1", "nonce-A", true, nil)
	put("the same again", "his/h1", "CT1", "nonce-A", false, job.ErrReplay)
	put("another notice under it", "his/h1", "CT2", "nonce-A", false, job.ErrReplay)
	put("the sender's repeat", "his/h1", "CT1", "nonce-B", false, nil)
	put("a copy of the repeat", "his/h1", "CT1", "nonce-B", false, job.ErrReplay)
	put("small letters are others", "his/h1", "CT3", "NONCE-a", true, nil)
	put("another hospital's", "his/h2", "CT1", "nonce-A", true, nil)
	wantErr(t, "spent alone", in.Spend(t.Context(), "his/h1", job.Nonce{Text: "nonce-B", Until: until}), job.ErrReplay)
	check(t, in.Spend(t.Context(), "his/h1", job.Nonce{Text: "old", Until: now(db).Add(-time.Second)}))
	check(t, in.Spend(t.Context(), "his/h1", job.Nonce{}))
	check(t, in.Sweep(t.Context()))
	if n := count(t, db, "SELECT COUNT(*) FROM inbox_nonce"); n != 4 {
		t.Errorf("%d nonces are remembered, want 4", n)
	}
	exec(t, db, "DELETE FROM inbox WHERE notice_id LIKE 'CT%'")
}

func suiteReplays(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	p := db.Replays()
	o := newOrder(db, "b1")
	k := keyOf(o)
	if _, found, err := p.FindReplay(t.Context(), k); found || err != nil {
		t.Fatalf("FindReplay(absent) = %v, %v", found, err)
	}
	request := job.Request{Key: k, BodyDigest: "d1", At: now(db)}
	stored := request
	o.Request = &stored
	must(db.Orders().Create(t.Context(), o, jobOf(db, o)))(t)
	got, found, err := p.FindReplay(t.Context(), k)
	want := job.Replay{Record: stored.Record, BodyDigest: "d1", Ref: o.ID.No(), CreatedAt: now(db)}
	if diff := cmp.Diff(want, got); diff != "" || !found || err != nil || stored.Record == 0 || o.Request != nil {
		t.Fatalf("running: %v, %v %s", found, err, diff)
	}
	keep := func(r job.Request, status int, answer string) bool {
		t.Helper()
		kept, err := p.KeepAnswer(t.Context(), hospital, r, "", status, []byte(answer))
		check(t, err)
		return kept
	}
	if keep(request, 409, "of one that was refused for it") {
		t.Fatal("the answer of a request of which nothing was stored took the place of one that runs")
	}
	_, err = p.KeepAnswer(t.Context(), hospital, stored, "", 0, nil)
	wantErr(t, "no status", err, ErrRow)
	if !keep(stored, 201, "SECRET-ANSWER") || keep(stored, 500, "second") {
		t.Fatal("the first answer stays, and no other")
	}
	if got, _, err = p.FindReplay(t.Context(), k); err != nil || got.Status != 201 || !bytes.Equal(got.Answer, []byte("SECRET-ANSWER")) {
		t.Fatalf("answered: %+v, %v", got, err)
	}
	refused := job.Request{Key: job.Key{Account: k.Account, Route: k.Route, Key: "k2"}}
	if !keep(refused, 204, "") || keep(refused, 409, "second") {
		t.Fatal("a refusal is kept once")
	}
	if got, _, err := p.FindReplay(t.Context(), refused.Key); err != nil || got.Answer == nil || len(got.Answer) != 0 || got.CreatedAt.IsZero() || got.Ref != "" {
		t.Fatalf("an empty answer: %+v, %v", got, err)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM idempotency WHERE institution = ?", hospital); n != 2 {
		t.Fatalf("%d rows carry the institution", n)
	}
	t.Run("moved", func(t *testing.T) { replayOfAMove(t, db) })
}

// replayOfAMove: the record of a request that moves an order, and the mark of a notice, are written with the move or not at all.
func replayOfAMove(t *testing.T, db *DB) {
	o := newOrder(db, "b2")
	claim := create(t, db, o)
	fresh := must(db.Inbox().Put(t.Context(), job.Notice{Source: "wechatpay/h1", ID: "EV-9", Number: "T9", ReceivedAt: now(db)}))(t)
	unread := must(db.Inbox().Unread(t.Context(), nil, 9))(t)
	if !fresh || len(unread) != 1 {
		t.Fatalf("Unread() = %v", unread)
	}
	move := func(c *job.Claim) (*job.Request, error) {
		o.Events = []order.Event{{Actor: "account:7", Subject: "order", Verb: "confirm"}}
		request := &job.Request{Key: job.Key{Account: 7, Route: "POST /confirm", Key: "k"}}
		o.Request, o.Notice = request, unread[0].ID
		return request, db.Orders().Save(t.Context(), o, c, job.Hold(now(db).Add(time.Minute), 0))
	}
	stale := claim
	stale.Version--
	_, err := move(&stale)
	wantErr(t, "a claim that was lost", err, job.ErrLost)
	if n := count(t, db, "SELECT (SELECT COUNT(*) FROM idempotency WHERE idem_key = 'k') + (SELECT COUNT(*) FROM inbox WHERE handled_us > 0)"); n != 0 {
		t.Fatalf("%d rows of a move that was not", n)
	}
	request, err := move(&claim)
	check(t, err)
	if request.Record == 0 || o.Request != nil || o.Notice != 0 || len(must(db.Inbox().Unread(t.Context(), nil, 9))(t)) != 0 {
		t.Fatalf("request %+v, order %+v", request, o)
	}
	version := o.Version
	_, err = move(&claim)
	wantErr(t, "the same key again", err, job.ErrBusy)
	if o.Version != version || load(t, db, o.ID).Version != version {
		t.Fatal("a move under a key that is taken was stored")
	}
}
