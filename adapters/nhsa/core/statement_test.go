package core

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/nhsa/nhsasim"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/settlement"
)

var testDay = recon.DayOf(time.Date(2025, 3, 3, 1, 0, 0, 0, time.UTC))

// shelf keeps what a fetch brings.
type shelf struct {
	order []recon.Statement
	files map[string][]byte // by part
}

func (s *shelf) keep(of recon.Statement, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	if s.files == nil {
		s.files = map[string][]byte{}
	}
	s.order, s.files[of.Part] = append(s.order, of), b.Bytes()
	return nil
}

// books is a bench with a ledger.
type books struct {
	*bench
	ledger  []recon.Claim
	settled map[string]settlement.Claim // by setl_id
	n       int
}

func newBooks(t *testing.T, oddities nhsasim.Oddities, change func(*Config)) *books {
	t.Helper()
	oddities.AnyOrderCancel = true
	return &books{bench: newBench(t, oddities, func(c *Config) {
		if change != nil {
			change(c)
		}
		c.Profile.Credential = ByCard // a token settles once
	}), settled: map[string]settlement.Claim{}}
}

// settle has one more visit settled and gives it as the ledger has it; it is not in the ledger yet.
func (b *books) settle() *settlement.Settlement {
	b.t.Helper()
	b.n++
	c := b.claim()
	c.Visit.VisitNo, c.BatchNo = fmt.Sprintf("T700000000000000000%d", b.n), fmt.Sprintf("B700000000000000000%d", b.n)
	p, err := b.client.Presettle(context.Background(), c)
	if err != nil {
		b.t.Fatal(err)
	}
	c.Visit, c.Echo = p.Visit, p.Echo
	msgID := b.client.MsgID()
	out, err := b.client.Settle(context.Background(), msgID, c)
	if err != nil {
		b.t.Fatal(err)
	}
	b.settled[out.SetlID] = c
	x := settlement.New(settlement.ID(b.n), 1, c.Visit, c.BatchNo, c.Total, true)
	x.State, x.SetlID, x.Actual, x.SettledAt, x.MsgID = settlement.Settled, out.SetlID, out.Split, out.SettledAt, msgID
	x.ClrOptins, x.ClrWay, x.ClrType = out.ClrOptins, out.ClrWay, out.ClrType
	b.clock.Advance(time.Second)
	return x
}

// have puts settlements into the ledger.
func (b *books) have(list ...*settlement.Settlement) {
	for _, x := range list {
		b.ledger = append(b.ledger, recon.Claim{Settlement: x, At: x.SettledAt})
	}
}

// cancel is 2208, in the ledger too.
func (b *books) cancel(x *settlement.Settlement) {
	b.t.Helper()
	msgID := b.client.MsgID()
	if err := b.client.Cancel(context.Background(), msgID, x.Visit, x.SetlID); err != nil {
		b.t.Fatal(err)
	}
	x.State, x.MsgID = settlement.Cancelled, msgID
	b.ledger = append(b.ledger, recon.Claim{Settlement: x, Undone: true, At: b.clock.Now()})
	b.clock.Advance(time.Second)
}

func (b *books) claims(_ context.Context, do func(recon.Claim) error) error {
	for _, c := range b.ledger {
		if recon.DayOf(c.At) != testDay {
			continue
		}
		if err := do(c); err != nil {
			return err
		}
	}
	return nil
}

// night is after the day's end.
func (b *books) night() { b.clock.Advance(testDay.End().Sub(b.clock.Now()) + time.Hour) }

func (b *books) fetch() (*shelf, error) {
	s := &shelf{}
	return s, b.client.Statements().Fetch(context.Background(), testDay, b.claims, s.keep)
}

// lines reads everything that is to be read, in short: kind, number of ours, amount, parts told, msgid.
func (b *books) lines(s *shelf) []string {
	b.t.Helper()
	names := map[string]string{}
	for _, c := range b.ledger {
		names[c.Settlement.SetlID] = c.Settlement.ID.No()
	}
	out := []string{}
	for _, of := range s.order {
		if of.Attached || of.Nothing {
			continue
		}
		err := b.client.Statements().Read(of, bytes.NewReader(s.files[of.Part]), func(l recon.Line) error {
			name := names[l.Numbers[recon.SetlID]]
			if name == "" {
				name = "?"
			}
			if at := l.Place.Offset; !bytes.HasPrefix(s.files[of.Part][at:], []byte(l.Numbers[recon.SetlID]+"\t")) ||
				s.files[of.Part][at+int64(l.Place.Length)] != '\n' || recon.DayOf(l.At) != testDay || l.Source != recon.Insurer || l.Leg != recon.Insurance {
				b.t.Errorf("line %+v stands elsewhere", l)
			}
			text := fmt.Sprintf("%s %s %s", l.Kind, name, l.Amount)
			if l.Tells&recon.TellsFund != 0 {
				text += " fund " + l.Split.Fund().String()
			}
			if l.Tells&recon.TellsAccount != 0 {
				text += " account " + (l.Split.Account + l.Split.FamilyAccount).String()
			}
			if l.Numbers[recon.MsgID] != "" && name == "?" {
				text += " msgid"
			}
			out = append(out, text)
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	return out
}

// unzipped is the one text of a ZIP.
func unzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	in, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestGoldenStatement: every message and every file of a day with one of each difference.
func TestGoldenStatement(t *testing.T) {
	t.Parallel()
	b := newBooks(t, nhsasim.Oddities{}, nil)
	equal, lost, other, back := b.settle(), b.settle(), b.settle(), b.settle()
	invented := *b.settle()
	if err := b.client.Reverse(t.Context(), b.client.MsgID(), invented.Visit, "2207", invented.MsgID); err != nil {
		t.Fatal(err)
	}
	other.Actual.PooledFund, other.Actual.Cash = other.Actual.PooledFund+100, other.Actual.Cash-100
	b.have(equal, other, back, &invented)
	b.cancel(back)
	b.night()
	before := len(b.wire.sent())
	s, err := b.fetch()
	if err != nil {
		t.Fatal(err)
	}
	steps := b.wire.sent()[before:]
	if got, want := fmt.Sprint(steps), infnos("3201", "9101", "3202", "9102"); got != want {
		t.Fatalf("sent %s, want %s", got, want)
	}
	for i, infno := range steps {
		body, answer := b.wire.bodies[before+i], b.wire.answers[before+i]
		switch infno {
		case "9101":
			var all struct {
				Input struct {
					File struct {
						In []byte `json:"in"`
					} `json:"fsUploadIn"`
				} `json:"input"`
			}
			if err := json.Unmarshal(body, &all); err != nil {
				t.Fatal(err)
			}
			list := unzipped(t, all.Input.File.In)
			if !bytes.Equal(list, s.files["310-11-360199.upload"]) {
				t.Error("the file that was kept is not the one that was sent")
			}
			packed, _ := json.Marshal(all.Input.File.In)
			body = bytes.Replace(body, packed, []byte(`"the ZIP of 3202.upload.txt"`), 1) // how deflate packs may change
			golden(t, "3202.upload.txt", list)
		case "9102":
			golden(t, "3202.result.txt", unzipped(t, answer))
			answer = []byte(`{"a ZIP of":"3202.result.txt"}`)
		}
		golden(t, infno+".request.json", pretty(t, body))
		golden(t, infno+".answer.json", pretty(t, answer))
	}
	golden(t, "statement.tsv", s.files["310-11-360199"])
	if !bytes.Equal(s.files["310-11-360199.3201"], b.wire.answers[before]) {
		t.Error("3201 was not kept as it was")
	}
	want := []recon.Statement{
		{Source: recon.Insurer, Day: testDay, Part: "310-11-360199.3201", Name: "insurer-2025-03-03-310-11-360199.3201.json", Attached: true},
		{Source: recon.Insurer, Day: testDay, Part: "310-11-360199.upload", Name: "insurer-2025-03-03-310-11-360199.upload.txt", Attached: true},
		{Source: recon.Insurer, Day: testDay, Part: "310-11-360199.result", Name: "insurer-2025-03-03-310-11-360199.result.txt", Attached: true},
		{Source: recon.Insurer, Day: testDay, Part: "310-11-360199", Name: "insurer-2025-03-03-310-11-360199.tsv"}}
	if diff := cmp.Diff(want, s.order, cmp.AllowUnexported(recon.Day{})); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	for part, content := range s.files {
		if named := bytes.Contains(content, []byte("36010000000000000001")); named != (strings.HasSuffix(part, ".upload") || strings.HasSuffix(part, ".result")) {
			t.Errorf("%s has the person's number: %v", part, named)
		}
	}
	if lost.SetlID == "" || !bytes.Contains(s.files["310-11-360199"], []byte(lost.SetlID)) {
		t.Error("what only the centre has is not in the file")
	}
}

// TestStatementOfNothing: what is asked when there is nothing, and when the day is not over.
func TestStatementOfNothing(t *testing.T) {
	t.Parallel()
	b := newBooks(t, nhsasim.Oddities{}, nil)
	if s, err := b.fetch(); !errors.Is(err, recon.ErrNotReady) || len(s.order) > 0 {
		t.Errorf("Fetch of a day that is not over = %v", err)
	}
	x := b.settle()
	x.Upload.PayOrdID = "ORD1" // the mobile-payment centre's
	b.have(x)
	b.night()
	before := len(b.wire.sent())
	s, err := b.fetch()
	if err != nil || len(b.wire.sent()) != before || len(s.order) != 1 || !s.order[0].Nothing || len(s.files[""]) != 0 {
		t.Errorf("Fetch of nothing = %v, %+v", err, s.order)
	}
	if err := b.client.Statements().Read(s.order[0], strings.NewReader(""), nil); !errors.Is(err, recon.ErrForm) {
		t.Errorf("Read of nothing = %v", err)
	}
	asking := newBooks(t, nhsasim.Oddities{}, func(c *Config) {
		c.Profile.Statement.Groups = []Group{{"310", "11", "360199"}, {"390", "11", "360199"}}
	})
	asking.night()
	before = len(asking.wire.sent())
	if s, err = asking.fetch(); err != nil || len(s.order) != 4 || len(asking.lines(s)) != 0 {
		t.Errorf("Fetch of groups without claims = %v, %+v", err, s.order)
	}
	if body := string(asking.wire.bodies[before]); !strings.Contains(body, `"medfee_sumamt":"0","fund_pay_sumamt":"0","acct_pay":"0","fixmedins_setl_cnt":"0"`) {
		t.Errorf("3201 of nothing = %s", body)
	}
	quiet := newBooks(t, nhsasim.Oddities{}, func(c *Config) { c.Profile.Statement.Groups = []Group{{"310", "11", "360199"}} })
	quiet.settle()
	quiet.night()
	if s, err = quiet.fetch(); err != nil || !slices.Equal(quiet.lines(s), []string{"pay ? 520.00 fund 59.40 msgid"}) {
		t.Errorf("a lost one on a quiet day: %v, %v", err, quiet.lines(s))
	}
}

// TestOtherInsurances: 3202 does not say which insurance it is about, and what it lists of another is not taken twice.
func TestOtherInsurances(t *testing.T) {
	t.Parallel()
	b := newBooks(t, nhsasim.Oddities{Statements: nhsasim.StatementOddities{AllInsurances: true}}, nil)
	x, y, lost := b.settle(), b.settle(), b.settle()
	y.Visit.InsuranceType = "390" // as our ledger has it
	y.Actual.PooledFund, y.Actual.Cash = y.Actual.PooledFund+1, y.Actual.Cash-1
	b.have(x, y)
	b.night()
	s, err := b.fetch()
	if err != nil {
		t.Fatal(err)
	}
	got := b.lines(s)
	if want := []string{firstRow, lostRow, nextRow}; !slices.Equal(got, want) {
		t.Errorf("lines %v, want %v", got, want)
	}
	if n := strings.Count(string(s.files["310-11-360199"])+string(s.files["390-11-360199"]), lost.SetlID); n != 1 {
		t.Errorf("the lost one stands %d times", n)
	}
}

// TestStatementErrors: lost answers, refusals and a ledger that moves.
func TestStatementErrors(t *testing.T) {
	t.Parallel()
	for infno := range map[string]bool{"3201": true, "9101": true, "3202": true, "9102": true} {
		b := newBooks(t, nhsasim.Oddities{}, func(c *Config) { c.Profile.Statement.NotReady = []string{"正在对账"} })
		oneLost(b)
		b.night()
		b.sim.RefuseNext(infno, "", "系统正在对账,请稍后")
		if s, err := b.fetch(); !errors.Is(err, recon.ErrNotReady) || len(s.order) > 0 {
			t.Errorf("%s not ready: %v", infno, err)
		}
		b.sim.RefuseNext(infno, "", "对账日期已清算")
		if s, err := b.fetch(); !errors.Is(err, ErrRefused) || fault.KindOf(err) != fault.Rejected || len(s.order) > 0 || !strings.Contains(err.Error(), infno) {
			t.Errorf("%s refused: %v", infno, err)
		}
		if s, err := b.fetch(); err != nil || len(b.lines(s)) != 2 {
			t.Errorf("afterwards: %v", err)
		}
	}
	late := newBooks(t, nhsasim.Oddities{Statements: nhsasim.StatementOddities{DeadlineMinute: 1}}, nil)
	oneLost(late)
	late.night()
	next := late.wire.next
	late.wire.next = tripper(func(r *http.Request) (*http.Response, error) {
		if sent := late.wire.sent(); sent[len(sent)-1] == "9102" {
			late.clock.Advance(61 * time.Second)
		}
		return next.RoundTrip(r)
	})
	if _, err := late.fetch(); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "9102") {
		t.Errorf("after the deadline: %v", err)
	}
	moved := newBooks(t, nhsasim.Oddities{}, nil)
	twoDays(moved)
	moved.night()
	calls := 0
	err := moved.client.Statements().Fetch(t.Context(), testDay, func(ctx context.Context, do func(recon.Claim) error) error {
		if calls++; calls > 1 {
			moved.ledger = moved.ledger[:1]
		}
		return moved.claims(ctx, do)
	}, (&shelf{}).keep)
	if !errors.Is(err, ErrMoved) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a ledger that moves: %v", err)
	}
	for name, spoil := range map[string]func(*settlement.Settlement){
		"clr_optins": func(x *settlement.Settlement) { x.ClrOptins = "" },
		"setl_id":    func(x *settlement.Settlement) { x.SetlID = "1\t2" },
		"insutype":   func(x *settlement.Settlement) { x.Visit.InsuranceType = "" },
	} {
		b := newBooks(t, nhsasim.Oddities{}, nil)
		twoDays(b)
		spoil(b.ledger[1].Settlement)
		b.night()
		if s, err := b.fetch(); !errors.Is(err, ErrUnnamed) || len(s.order) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("the ledger is away")
	if err := moved.client.Statements().Fetch(t.Context(), testDay, func(context.Context, func(recon.Claim) error) error { return broken }, nil); !errors.Is(err, broken) {
		t.Errorf("a ledger that is away: %v", err)
	}
}
