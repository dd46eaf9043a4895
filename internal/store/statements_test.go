package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/recon"
)

// written is a file of that many bytes that do not pack to nothing.
func written(size int, seed byte) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 'a' + byte(i*i/977+i%13)%16 ^ seed&1
	}
	return b
}

func writes(b []byte) func(w io.Writer) error {
	return func(w io.Writer) error {
		for len(b) > 0 { // in odd portions
			n := min(len(b), 70_001)
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	}
}

func suiteStatements(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	s, ctx := db.Statements(), t.Context()
	day := must(recon.ParseDay("2026-11-23"))(t)
	first, second := written(3*pieceSize+4321, 0), written(2*pieceSize, 1)
	of := recon.Statement{Source: recon.WechatTrade, Day: day, Name: "trade.csv"}
	kept := must(s.Keep(ctx, hospital, "system", of, writes(first)))(t)
	hash := recon.NewHash()
	_, _ = hash.Write(first)
	if !kept.Fresh || kept.Size != int64(len(first)) || kept.Hash != hex.EncodeToString(hash.Sum(nil)) {
		t.Fatalf("Keep() = %+v", kept)
	}
	for _, from := range []int64{0, 1, pieceSize - 1, pieceSize, 2*pieceSize + 17, int64(len(first)) - 1, int64(len(first))} {
		r := must(s.Open(ctx, kept.ID, from))(t)
		if got := must(io.ReadAll(r))(t); !bytes.Equal(got, first[from:]) {
			t.Errorf("from %d: %d bytes, not the %d that were written", from, len(got), len(first)-int(from))
		}
	}
	if _, err := s.Open(ctx, kept.ID, int64(len(first))+1); !errors.Is(err, ErrNoStatement) {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := s.Open(ctx, 1, 0); !errors.Is(err, ErrNoStatement) {
		t.Errorf("another file: %v", err)
	}

	advance(t, db, time.Minute)
	other := must(s.Keep(ctx, hospital, "system", of, writes(second)))(t)
	advance(t, db, time.Minute)
	of.Final = true
	again := must(s.Keep(ctx, hospital, "staff:3", of, writes(first)))(t)
	if again.Fresh || again.ID != kept.ID || !again.Final || again.Actor != "system" || other.ID == kept.ID {
		t.Errorf("the same bytes again: %+v", again)
	}
	nothing := must(s.Keep(ctx, hospital, "system", recon.Statement{Source: recon.HIS, Day: day, Nothing: true}, writes(nil)))(t)
	part := must(s.Keep(ctx, hospital, "system", recon.Statement{Source: recon.WechatTrade, Day: day, Part: "second account"}, writes(first)))(t)
	if list := must(s.Statements(ctx, hospital, day))(t); len(list) != 3 || list[0].ID != nothing.ID || !list[0].Nothing || list[1].ID != kept.ID || list[2].ID != part.ID {
		t.Errorf("Statements() = %+v", list)
	}
	if list := must(s.Statements(ctx, "h2", day))(t); len(list) != 0 {
		t.Errorf("of another hospital: %+v", list)
	}

	before := count(t, db, "SELECT COUNT(*) FROM statement_piece")
	broken := errors.New("the line went dead")
	if _, err := s.Keep(ctx, hospital, "system", recon.Statement{Source: recon.Bank, Day: day}, func(w io.Writer) error {
		return errors.Join(writes(second)(w), broken)
	}); !errors.Is(err, broken) {
		t.Errorf("a file that breaks off: %v", err)
	}
	if after := count(t, db, "SELECT COUNT(*) FROM statement_piece"); after != before {
		t.Errorf("%d pieces, %d before a file that broke off", after, before)
	}
	suiteStatementsForged(t, db, kept.ID)
}

// suiteStatementsForged: what somebody changes in a file's rows is seen when it is read.
func suiteStatementsForged(t *testing.T, db *DB, id recon.StatementID) {
	t.Helper()
	s, ctx, file := db.Statements(), t.Context(), order.ID(id).No()
	for _, forgery := range []string{
		"UPDATE statement_piece SET seq = 9 WHERE seq = 1 AND file_id = " + file,
		"UPDATE statement_piece SET seq = 1 WHERE seq = 2 AND file_id = " + file, // another piece in its place
	} {
		exec(t, db, forgery)
		r, err := s.Open(ctx, id, 0)
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %v", forgery, err)
		}
	}
	exec(t, db, "UPDATE statement_file SET size_bytes = size_bytes - 1 WHERE id = "+file)
	if _, err := s.Open(ctx, id, 0); !errors.Is(err, ErrTampered) {
		t.Errorf("a shorter file: %v", err)
	}
}

func suiteRuns(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	s, ctx := db.Statements(), t.Context()
	day := must(recon.ParseDay("2026-11-23"))(t)
	proof := recon.Proof{Planted: 9, Found: 9, Named: 8, Extra: 1}
	want := recon.Record{Institution: hospital, Day: day, BeganAt: now(db), EndedAt: now(db).Add(time.Minute), Files: []recon.StatementID{4, 7}, Digest: "d1",
		Proof: proof, Outcome: recon.Outcome{Lines: 5, Matched: 4, Totals: []recon.Total{{Source: recon.HIS, Leg: recon.Posting, Kind: recon.Pay, Lines: 5, Amount: 12345, Matched: 4}}}}
	for seq := 1; seq <= 2; seq++ {
		id, keep := s.Begin(hospital)
		text := bytes.Repeat([]byte("pay 42000 0:1+2 | 1:3+4\n"), 1000*seq)
		check(t, keep(ctx, recon.Evidence{Comparison: "cash", Key: 1, Pile: 63, Text: text}))
		want.ID = id
		ended := must(s.End(ctx, id, want))(t)
		want.Seq = seq
		if ended.Seq != seq {
			t.Fatalf("End() = %+v", ended)
		}
		if got := must(s.Evidence(ctx, id, "cash", 1, 63))(t); !bytes.Equal(got, text) {
			t.Errorf("evidence: %d bytes, want %d", len(got), len(text))
		}
		if got := must(s.Evidence(ctx, id, "cash", 1, 62))(t); got != nil {
			t.Errorf("evidence of an empty pile: %d bytes", len(got))
		}
	}
	runs := must(s.Runs(ctx, hospital, day))(t)
	if len(runs) != 2 {
		t.Fatalf("%d runs", len(runs))
	}
	if diff := cmp.Diff(want, runs[0], cmp.AllowUnexported(recon.Day{})); diff != "" {
		t.Errorf("the last run (-want +got):\n%s", diff)
	}
	if _, err := s.End(ctx, want.ID, want); err == nil {
		t.Error("a run ended twice")
	}
	exec(t, db, "UPDATE recon_run SET differences = 7 WHERE seq = 1")
	if _, err := s.Runs(ctx, hospital, day); !errors.Is(err, ErrTampered) {
		t.Errorf("a forged run: %v", err)
	}
}

// suiteMoved: an order is found by the days on which something happened to it, and only on those on which it was there.
func suiteMoved(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	paid := func(bill string) order.ID {
		o, claim := paying(t, db, bill)
		o.Events = append(o.Events, order.Event{Actor: "system", Subject: "payment", Verb: "pay", Posting: o.Payment().Received(ledger.Suspense)})
		save(t, db, o, claim, job.Hold(now(db).Add(time.Hour), 0))
		return o.ID
	}
	today, late := recon.DayOf(now(db)), 24*time.Hour
	first := paid("b1")
	advance(t, db, 24*time.Hour)
	second := paid("b2")
	third, _ := paying(t, db, "b3") // no money of it has moved
	for _, tt := range []struct {
		name string
		day  recon.Day
		late time.Duration
		want []order.ID
	}{{"its day", today, late, []order.ID{first}}, {"the day after", today.Add(1), late, []order.ID{second, third.ID}}, {"the day before", today.Add(-1), 3 * late, nil},
		{"two days after", today.Add(2), late, nil}} {
		var got []order.ID
		check(t, db.Statements().Moved(t.Context(), hospital, tt.day, tt.late, func(o *order.Order, history []order.Event) error {
			if len(history) == 0 {
				t.Errorf("order %s without its history", o.ID.No())
			}
			got = append(got, o.ID)
			return nil
		}))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	stop := errors.New("enough")
	if err := db.Statements().Moved(t.Context(), hospital, today, late, func(*order.Order, []order.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the reader: %v", err)
	}
}
