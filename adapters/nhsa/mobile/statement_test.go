package mobile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/nhsa/nhsasim"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

var testDay = recon.DayOf(start)

// kept are the files that a fetch brought.
type kept struct {
	of      []recon.Statement
	content []byte
}

func (k *kept) keep(of recon.Statement, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	k.of, k.content = append(k.of, of), b.Bytes()
	return nil
}

// claimsOf hands these claims over.
func claimsOf(list ...recon.Claim) recon.Claims {
	return func(_ context.Context, do func(recon.Claim) error) error {
		for _, c := range list {
			if err := do(c); err != nil {
				return err
			}
		}
		return nil
	}
}

// ledger is a settled upload as our ledger has it.
func (b *bench) ledger() recon.Claim {
	b.t.Helper()
	c, s := b.settled()
	x := settlement.New(7, 1, c.Visit, c.BatchNo, c.Total, true)
	x.State, x.Upload, x.Figures, x.Actual, x.SettledAt = settlement.Settled, c.Upload, s.Figures, s.Split, b.clock.Now()
	return recon.Claim{Settlement: x, Person: c.Person, At: x.SettledAt}
}

// giveBack is 6203 on it.
func (b *bench) giveBack(c recon.Claim) {
	b.t.Helper()
	err := b.client.Refund(b.t.Context(), settlement.GiveBack{Claim: settlement.Claim{Person: c.Person, Upload: c.Settlement.Upload, Total: c.Settlement.Total},
		Number: "F1", At: b.clock.Now(), Figures: c.Settlement.Figures, OutTradeNo: "P1"})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) night() { b.clock.Advance(testDay.End().Sub(b.clock.Now()) + time.Hour) }

func (b *bench) fetch(list ...recon.Claim) (*kept, error) {
	k := &kept{}
	return k, b.client.Statements().Fetch(b.t.Context(), testDay, claimsOf(list...), k.keep)
}

func linesOf(t testing.TB, k *kept) []recon.Line {
	t.Helper()
	out := []recon.Line{}
	err := new(Statements).Read(k.of[0], bytes.NewReader(k.content), func(l recon.Line) error {
		if l.Place.Length == 0 || k.content[l.Place.Offset] != '{' || k.content[l.Place.Offset+int64(l.Place.Length)] != '\n' {
			t.Errorf("place %+v", l.Place)
		}
		l.Place = recon.Place{}
		out = append(out, l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestStatement: an order that is settled, one that went back, and one that did so without our ledger.
func TestStatement(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	c := b.ledger()
	if _, err := b.fetch(c); !errors.Is(err, recon.ErrNotReady) {
		t.Errorf("a day that is not over: %v", err)
	}
	b.night()
	k, err := b.fetch(c, recon.Claim{Settlement: &settlement.Settlement{}, At: start})
	if err != nil {
		t.Fatal(err)
	}
	want := recon.Line{Source: recon.Insurer, Leg: recon.Insurance, Kind: recon.Pay, At: c.At, Amount: 52000,
		Split: split.Split{PooledFund: 5940, Account: 20000, Cash: 26060}, Tells: recon.TellsFund | recon.TellsAccount | recon.TellsCash}
	told := b.sim.Truth().Settlements[0]
	want.Numbers[recon.PayOrdID], want.Numbers[recon.SetlID], want.Numbers[recon.MdtrtID] = c.Settlement.Upload.PayOrdID, told.SetlID, told.MdtrtID
	if diff := cmp.Diff([]recon.Line{want}, linesOf(t, k)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	of := recon.Statement{Source: recon.Insurer, Day: testDay, Name: "centre-2025-03-03.jsonl"}
	if !slices.Equal(k.of, []recon.Statement{of}) {
		t.Errorf("kept %+v, want %+v", k.of, of)
	}
	text := strings.NewReplacer(c.Settlement.Upload.PayOrdID, "ORD1", told.SetlID, "S1", told.MdtrtID, "M1").Replace(string(k.content))
	golden(t, "statement.jsonl", []byte(text))
	for _, secret := range []string{c.Settlement.Upload.PayToken.Reveal(), c.Person.IDNumber.Reveal(), c.Person.Name.Reveal(), personNo, "AUTH-1"} {
		if bytes.Contains(k.content, []byte(secret)) {
			t.Error("the file holds what it must not")
		}
	}

	b.giveBack(c)
	noon, back := testDay.Begin().Add(12*time.Hour).UTC(), want
	back.Kind, back.At = recon.Reversal, noon
	k, err = b.fetch(c) // our ledger has it in force
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]recon.Line{want, back}, linesOf(t, k)); diff != "" {
		t.Errorf("given back without us (-want +got):\n%s", diff)
	}
	undone := c
	undone.Undone, undone.At = true, c.At.Add(time.Hour)
	c.Settlement.State, back.At = settlement.Cancelled, undone.At
	if k, err = b.fetch(c, undone); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]recon.Line{want, back}, linesOf(t, k)); diff != "" {
		t.Errorf("given back (-want +got):\n%s", diff)
	}
}

// TestStatementKinds: what each code means for a settlement that our ledger has, for its end, and for one that it has ended.
func TestStatementKinds(t *testing.T) {
	t.Parallel()
	for code, want := range map[int][3]string{ // standing; undone; ended another day
		0: {}, 1: {}, 2: {}, 3: {}, 12: {}, 13: {}, 14: {}, 15: {}, 16: {}, 17: {}, 99: {}, -1: {},
		4: {"pay", "", "pay"}, 5: {"pay", "", "pay"}, 6: {"pay", "", "pay"}, 9: {"pay", "", "pay"}, 10: {"pay", "", "pay"},
		7: {"pay reversal", "reversal", "pay"}, 8: {"pay reversal", "reversal", "pay"}, 11: {"pay reversal", "reversal", "pay"},
	} {
		for i, a := range []answerLine{{Standing: true}, {Undone: true}, {}} {
			a.OrdStas, a.PayOrdID, a.At = code, "ORD1", start
			kinds := []string{}
			for _, l := range a.lines(testDay, recon.Place{}) {
				kinds = append(kinds, string(l.Kind))
				if l.Amount != 0 || l.Tells != 0 {
					t.Errorf("%d: %+v tells what nobody told", code, l)
				}
			}
			if got := strings.Join(kinds, " "); got != want[i] {
				t.Errorf("ordStas %d, case %d: %q, want %q", code, i, got, want[i])
			}
		}
	}
}

// TestStatementErrors: one answer that is missing is the whole day's.
func TestStatementErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	c := b.ledger()
	b.night()
	if k, err := b.fetch(); err != nil || len(k.of) != 1 || !k.of[0].Nothing || len(k.content) != 0 {
		t.Errorf("nothing: %v, %+v", err, k.of)
	}
	b.plan.Script(sandbox.Script{Op: "6301", Fault: sandbox.Slow}, sandbox.Script{Op: "6301", Fault: sandbox.LoseAfter})
	if k, err := b.fetch(c, c); fault.KindOf(err) != fault.Unknown || len(k.of) > 0 || strings.Contains(fmt.Sprint(err), c.Person.Name.Reveal()) {
		t.Errorf("the second answer is lost: %v, kept %d", err, len(k.of))
	}
	nameless := c
	nameless.Person = settlement.Person{}
	if k, err := b.fetch(nameless); !errors.Is(err, ErrNotSent) || len(k.of) > 0 {
		t.Errorf("nobody knows whose it is: %v", err)
	}
	b.sim.TellStas(nhsasim.StasScript{PayOrdID: c.Settlement.Upload.PayOrdID, OrdStas: 2, Times: 1})
	if k, err := b.fetch(c); err != nil || len(linesOf(t, k)) != 0 {
		t.Errorf("still settling: %v", err)
	}
	broken := errors.New("the ledger is away")
	err := b.client.Statements().Fetch(t.Context(), testDay, func(context.Context, func(recon.Claim) error) error { return broken }, (&kept{}).keep)
	if !errors.Is(err, broken) {
		t.Errorf("a ledger that is away: %v", err)
	}
}

const oneAnswer = `{"pay_ord_id":"ORD1","undone":false,"standing":true,"at":"2025-03-03T01:00:00Z","ord_stas":6,"told":true,"total_fen":5,"fund_fen":3,` +
	`"account_fen":1,"other_fen":0,"cash_fen":1}` + "\n"

// badAnswers are files that are refused.
var badAnswers = []string{"\n", "{}\n", "null\n", oneAnswer[:40], strings.TrimSuffix(oneAnswer, "\n"), oneAnswer + "x\n", strings.Replace(oneAnswer, "ORD1", "", 1),
	strings.Replace(oneAnswer, `"told":true`, `"told":false`, 1), strings.Replace(oneAnswer, `"fund_fen":3`, `"fund_fen":-3`, 1),
	strings.Replace(oneAnswer, `"fund_fen"`, `"psn_no"`, 1), strings.Replace(oneAnswer, `"at":"2025-03-03T01:00:00Z",`, "", 1),
	strings.Replace(oneAnswer, "}\n", "} {}\n", 1), strings.Repeat(" ", maxLine+1), strings.Replace(oneAnswer, `"total_fen":5`, `"total_fen":1000000000001`, 1)}

func TestStatementForm(t *testing.T) {
	t.Parallel()
	for _, text := range append(badAnswers, oneAnswer) {
		err := new(Statements).Read(recon.Statement{Day: testDay}, strings.NewReader(text), func(recon.Line) error { return nil })
		if text == oneAnswer && err != nil || text != oneAnswer && !errors.Is(err, recon.ErrForm) {
			t.Errorf("%.60q: %v", text, err)
		}
	}
	full := errors.New("full")
	if err := new(Statements).Read(recon.Statement{Day: testDay}, strings.NewReader(oneAnswer), func(recon.Line) error { return full }); !errors.Is(err, full) {
		t.Errorf("Read = %v, want what the reader of the lines says", err)
	}
}

// FuzzStatement reads arbitrary bytes as the kept file.
func FuzzStatement(f *testing.F) {
	f.Add([]byte(oneAnswer + oneAnswer))
	for _, text := range badAnswers {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := new(Statements).Read(recon.Statement{Day: testDay}, bytes.NewReader(text), func(l recon.Line) error {
			if min(l.Amount, l.Split.PooledFund, l.Split.Account, l.Split.Cash) < 0 || l.Amount > money.Max || l.Numbers[recon.PayOrdID] == "" {
				t.Errorf("line %+v", l)
			}
			return nil
		})
		if err != nil && !errors.Is(err, recon.ErrForm) {
			t.Errorf("Read = %v", err)
		}
	})
}
