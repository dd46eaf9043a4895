package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/nhsa/nhsasim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// n1 is the split of vector N1.
var n1 = split.Split{PooledFund: 5940, Account: 20000, Cash: 26060}

// The whole way of a settlement, byte for byte: what is sent and what comes back stand in testdata.
func TestGoldenWire(t *testing.T) {
	t.Parallel()
	b := newBench(t, nhsasim.Oddities{}, nil)
	ctx := context.Background()
	claim, pre := b.presettled()
	if pre.Split != n1 || pre.Balance == nil || *pre.Balance != 0 || pre.Echo != (settlement.Echo{FullySelfPaid: 10000, FirstSelfPaid: 1200, InScope: 40800}) {
		t.Fatalf("presettlement = %+v", pre)
	}
	lost := b.client.MsgID()
	out, err := b.client.Settle(ctx, lost, claim)
	if err != nil {
		t.Fatal(err)
	}
	want := settlement.Outcome{SetlID: out.SetlID, Split: n1, SettledAt: b.clock.Now(), ClrOptins: "360199", ClrWay: "1", ClrType: "11"}
	if diff := cmp.Diff(want, out); diff != "" || out.SetlID == "" {
		t.Fatalf("Settle (-want +got):\n%s", diff)
	}
	if on, err := b.client.InForce(ctx, claim.Visit, out.SetlID); err != nil || !on {
		t.Fatalf("InForce = %v, %v, want true", on, err)
	}
	if err := b.client.Cancel(ctx, b.client.MsgID(), claim.Visit, out.SetlID); err != nil {
		t.Fatal(err)
	}
	if on, err := b.client.InForce(ctx, claim.Visit, out.SetlID); err != nil || on {
		t.Fatalf("InForce after 2208 = %v, %v, want false", on, err)
	}
	if _, err := b.client.Repeat(ctx, claim); err != nil {
		t.Fatal(err)
	}
	lost = b.client.MsgID()
	if _, err := b.client.Settle(ctx, lost, claim); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Reverse(ctx, b.client.MsgID(), claim.Visit, "2207", lost); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Withdraw(ctx, claim); err != nil {
		t.Fatal(err)
	}
	steps := b.wire.sent()
	if got, want := fmt.Sprint(steps), infnos("1101", "2201", "2203A", "2204", "2206", "2207", "5203", "2208", "5203", "2206", "2207", "2601", "2205", "2202"); got != want {
		t.Fatalf("sent %s, want %s", got, want)
	}
	done := map[string]bool{}
	for i, infno := range steps {
		if !done[infno] {
			golden(t, infno+".request.json", pretty(t, b.wire.bodies[i]))
			golden(t, infno+".answer.json", pretty(t, b.wire.answers[i]))
		}
		done[infno] = true
	}
	if net := b.sim.Truth().Net; net != (nhsasim.Net{}) {
		t.Errorf("net = %+v, want nothing", net)
	}
}

func TestURLStyles(t *testing.T) {
	t.Parallel()
	for style, want := range map[URLStyle]string{OneURL: "http://insurer.test/gateway", Appended: "http://insurer.test/gateway/1101",
		Services: "http://insurer.test/gateway/fsi/api/fsiPsnInfoService/queryPsnInfo"} {
		b := newBench(t, nhsasim.Oddities{}, func(c *Config) { c.URLStyle = style })
		b.settled()
		if b.wire.urls[0] != want {
			t.Errorf("%s: 1101 goes to %s, want %s", style, b.wire.urls[0], want)
		}
	}
}

// 250 lines are three calls of one batch.
func TestManyRows(t *testing.T) {
	t.Parallel()
	b := newBench(t, nhsasim.Oddities{}, nil)
	claim := b.claim()
	claim.Total = 0
	lines := []bill.Line{}
	for i := range 250 {
		l := testLine(fmt.Sprint(i+1), "XA", 100)
		lines, claim.Total = append(lines, l), claim.Total+l.Total
	}
	claim.Bills[0].Lines = lines
	p, err := b.client.Presettle(context.Background(), claim)
	if err != nil || p.Split.Total() != 25000 {
		t.Fatalf("Presettle = %+v, %v", p.Split, err)
	}
	if got, want := fmt.Sprint(b.wire.sent()), infnos("1101", "2201", "2203A", "2204", "2204", "2204", "2206"); got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

// A visit that the HIS registered: no 1101, no 2201, and only our own batch is ever withdrawn.
func TestVisitOfHIS(t *testing.T) {
	t.Parallel()
	b := newBench(t, nhsasim.Oddities{}, nil)
	id, err := b.sim.AddVisit(institution, "36010000000000000001", "310", area, "GH0001")
	if err != nil {
		t.Fatal(err)
	}
	claim := b.claim()
	v := &claim.Bills[0].Visit
	v.InsurerVisitID, v.PersonNo, v.InsuranceType, v.CoverageArea = id, "36010000000000000001", "310", area
	p, err := b.client.Presettle(context.Background(), claim)
	if err != nil || p.Visit.MdtrtID != id || p.Visit.Ours || p.Split != n1 {
		t.Fatalf("Presettle = %+v, %v", p, err)
	}
	claim.Visit = p.Visit
	if err := b.client.Withdraw(context.Background(), claim); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(b.wire.sent()), infnos("2205", "2203A", "2204", "2206", "2205"); got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	for i, infno := range b.wire.sent() {
		if infno == "2205" && !strings.Contains(string(b.wire.bodies[i]), `"chrg_bchno":"B7000000000000000002"`) {
			t.Errorf("2205 on the HIS's visit: %s", b.wire.bodies[i])
		}
	}
	if err := b.client.Withdraw(context.Background(), claim); fault.KindOf(err) != fault.Rejected {
		t.Errorf("Withdraw of nothing = %v, want Rejected", err)
	}
}

// A second attempt on our visit withdraws what the first may have left, and uploads under numbers of its own.
func TestSecondAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t, nhsasim.Oddities{}, nil)
	claim := b.claim()
	b.plan.Script(sandbox.Script{Op: "2204", Fault: sandbox.LoseAfter})
	p, err := b.client.Presettle(context.Background(), claim)
	if fault.KindOf(err) != fault.Unknown || p.Visit.MdtrtID == "" || !p.Visit.Ours || !strings.Contains(err.Error(), "2204 fees") {
		t.Fatalf("Presettle with a lost 2204 = %+v, %v", p.Visit, err)
	}
	claim.Visit, claim.BatchNo = p.Visit, "B7000000000000000003"
	again, err := b.client.Presettle(context.Background(), claim)
	if err != nil || again.Split != n1 || again.Visit != p.Visit {
		t.Fatalf("second Presettle = %+v, %v", again, err)
	}
	if got, want := fmt.Sprint(b.wire.sent()[4:]), infnos("2205", "2203A", "2204", "2206"); got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	claim.Visit = again.Visit
	b.plan.Script(sandbox.Script{Op: "2205", Fault: sandbox.LoseBefore})
	if _, err := b.client.Presettle(context.Background(), claim); fault.KindOf(err) != fault.Unknown || !strings.Contains(err.Error(), "2205") {
		t.Errorf("Presettle with a lost 2205 = %v, want Unknown at 2205", err)
	}
}

// Each oddity of §9 that the Profile need not know changes nothing; those it must know do with it, and are noticed without it.
func TestOddities(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		oddities nhsasim.Oddities
		profile  Profile
		without  error // what Presettle says when the Profile does not know
	}{
		{"infcode as text", nhsasim.Oddities{InfcodeString: true}, Profile{}, nil},
		{"message on success", nhsasim.Oddities{SuccessMessage: "交易成功,系统异常0次"}, Profile{SystemErrors: []string{"系统异常"}}, nil},
		{"output as text", nhsasim.Oddities{OutputString: true}, Profile{}, nil},
		{"output absent", nhsasim.Oddities{OutputAbsent: true}, Profile{}, nil},
		{"nulls and misspelt cash in 2208", nhsasim.Oddities{NullsIn2208: true, PdnCashPay: true}, Profile{}, nil},
		{"exp_content, idetinfo outside", nhsasim.Oddities{ExpContentSnake: true, IdentityBesideOutput: true}, Profile{ExtensionName: "exp_content", Extension: "{}"}, nil},
		{"fund contains account", nhsasim.Oddities{FundContainsAccount: true}, Profile{FundContainsAccount: true}, ErrUnequal},
		{"hospital part inside the fund", nhsasim.Oddities{HospitalBears: 1000, HospitalInsideFund: true}, Profile{HospitalPart: InsideFund}, ErrUnequal},
		{"hospital part apart", nhsasim.Oddities{HospitalBears: 1000}, Profile{}, nil},
		{"all of Guangdong at once", nhsasim.Oddities{FundContainsAccount: true, FamilyInsideAccount: true, HospitalBears: 10, InfcodeString: true},
			Profile{FundContainsAccount: true, FamilyAccount: InsideAccount}, ErrUnequal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tc.oddities, func(c *Config) { c.Profile = tc.profile })
			claim, pre := b.presettled()
			if pre.Split.Check(52000) != nil || pre.Split.PooledFund != 5940 || (tc.oddities.HospitalBears == 0) != (pre.Split == n1) {
				t.Errorf("split = %+v", pre.Split)
			}
			out, err := b.client.Settle(context.Background(), b.client.MsgID(), claim)
			if err != nil || out.Split != pre.Split {
				t.Fatalf("Settle = %+v, %v, want %+v", out.Split, err, pre.Split)
			}
			truth := b.sim.Truth().Settlements[0]
			want := split.Split{PooledFund: 5940, Account: truth.Account, FamilyAccount: truth.Family, HospitalBorne: truth.Hospital, Cash: truth.Cash}
			if out.Split != want || truth.Fund != 5940 {
				t.Errorf("split = %+v, truth %+v", out.Split, truth)
			}
			if err := b.client.Cancel(context.Background(), b.client.MsgID(), claim.Visit, out.SetlID); err != nil {
				t.Error(err)
			}
			if on, err := b.client.InForce(context.Background(), claim.Visit, out.SetlID); on || err != nil {
				t.Errorf("InForce = %v, %v, want false", on, err)
			}
			if tc.without != nil {
				ignorant := newBench(t, tc.oddities, nil)
				if _, err := ignorant.client.Presettle(context.Background(), ignorant.claim()); !errors.Is(err, tc.without) {
					t.Errorf("without the Profile: %v, want %v", err, tc.without)
				}
			}
		})
	}
}

// What a lost, late, doubled or broken answer of each money call is: Unknown, and the truth is found by the means of design.md §3.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	lossy := []sandbox.Fault{sandbox.LoseBefore, sandbox.LoseAfter, sandbox.ErrorBefore, sandbox.ErrorAfter, sandbox.Garbage}
	for _, f := range lossy {
		done := f == sandbox.LoseAfter || f == sandbox.ErrorAfter || f == sandbox.Garbage
		t.Run("2207 "+string(f), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nhsasim.Oddities{}, nil)
			claim, _ := b.presettled()
			b.plan.Script(sandbox.Script{Op: "2207", Key: claim.Visit.VisitNo, Fault: f})
			lost := b.client.MsgID()
			if _, err := b.client.Settle(context.Background(), lost, claim); fault.KindOf(err) != fault.Unknown {
				t.Fatalf("Settle = %v, want Unknown", err)
			}
			_, err := b.client.Repeat(context.Background(), claim)
			if (err != nil) != done || (done && fault.KindOf(err) != fault.Rejected) {
				t.Errorf("2206 after the loss = %v, want refused %v", err, done)
			}
			err = b.client.Reverse(context.Background(), b.client.MsgID(), claim.Visit, "2207", lost)
			if (err == nil) != done || (!done && fault.KindOf(err) != fault.Rejected) {
				t.Errorf("Reverse = %v, want done %v", err, done)
			}
			if _, err := b.client.Settle(context.Background(), b.client.MsgID(), claim); err != nil {
				t.Errorf("the fresh 2207 = %v", err)
			}
			if n := b.sim.Truth().Net.Count; n != 1 {
				t.Errorf("%d settlements in force, want 1", n)
			}
		})
		t.Run("2208 "+string(f), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nhsasim.Oddities{}, nil)
			claim, out := b.settled()
			b.plan.Script(sandbox.Script{Op: "2208", Fault: f})
			lost := b.client.MsgID()
			if err := b.client.Cancel(context.Background(), lost, claim.Visit, out.SetlID); fault.KindOf(err) != fault.Unknown {
				t.Fatalf("Cancel = %v, want Unknown", err)
			}
			if on, err := b.client.InForce(context.Background(), claim.Visit, out.SetlID); err != nil || on == done {
				t.Errorf("InForce = %v, %v, want %v", on, err, !done)
			}
			if err := b.client.Reverse(context.Background(), b.client.MsgID(), claim.Visit, "2208", lost); (err == nil) != done {
				t.Errorf("Reverse = %v, want done %v", err, done)
			}
			if err := b.client.Cancel(context.Background(), b.client.MsgID(), claim.Visit, out.SetlID); err != nil {
				t.Errorf("the fresh 2208 = %v", err)
			}
		})
		t.Run("2601 "+string(f), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nhsasim.Oddities{}, nil)
			claim, _ := b.presettled()
			lost := b.client.MsgID()
			if _, err := b.client.Settle(context.Background(), lost, claim); err != nil {
				t.Fatal(err)
			}
			b.plan.Script(sandbox.Script{Op: "2601", Key: claim.Visit.VisitNo, Fault: f})
			if err := b.client.Reverse(context.Background(), b.client.MsgID(), claim.Visit, "2207", lost); fault.KindOf(err) != fault.Unknown {
				t.Fatalf("Reverse = %v, want Unknown", err)
			}
			if err := b.client.Reverse(context.Background(), b.client.MsgID(), claim.Visit, "2207", lost); err != nil {
				t.Errorf("Reverse again = %v", err)
			}
		})
	}
}

// A platform that sends the answer twice, or refuses, or answers with other amounts.
func TestOtherFaults(t *testing.T) {
	t.Parallel()
	b := newBench(t, nhsasim.Oddities{}, nil)
	ctx := context.Background()
	b.plan.Script(sandbox.Script{Op: "2206", Fault: sandbox.ChangeAmount}, sandbox.Script{Op: "2207", Fault: sandbox.Refuse},
		sandbox.Script{Op: "2207", Fault: sandbox.Repeat}, sandbox.Script{Op: "2208", Fault: sandbox.Slow})
	claim, pre := b.presettled()
	if pre.Split == n1 || pre.Split.Check(52000) != nil {
		t.Fatalf("the changed 2206 = %+v, want another split that adds up", pre.Split)
	}
	_, err := b.client.Settle(ctx, b.client.MsgID(), claim)
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Rejected || e.Msg != "该人员待遇已变更,不予结算" || !strings.Contains(err.Error(), "settle, 2207") {
		t.Fatalf("the refused 2207 = %v", err)
	}
	out, err := b.client.Settle(ctx, b.client.MsgID(), claim)
	if err != nil || out.Split != n1 {
		t.Fatalf("the doubled 2207 = %+v, %v", out.Split, err)
	}
	if b.sim.Truth().Net.Count != 1 {
		t.Errorf("net = %+v, want one settlement", b.sim.Truth().Net)
	}
	if err := b.client.Cancel(ctx, b.client.MsgID(), claim.Visit, out.SetlID); err != nil {
		t.Error(err)
	}
	err = b.client.Cancel(ctx, b.client.MsgID(), claim.Visit, out.SetlID)
	if !errors.Is(err, ErrRefused) {
		t.Errorf("the second 2208 = %v, want refused", err)
	}
	// Done, but the answer says that the system failed: Unknown by the Profile's list.
	b.sim.FailAfterNext("2207", "", "核心系统异常，请联系管理员")
	lost := b.client.MsgID()
	if _, err := b.client.Settle(ctx, lost, claim); !errors.Is(err, ErrSystem) || fault.KindOf(err) != fault.Unknown {
		t.Errorf("a system error = %v, want Unknown", err)
	}
	if err := b.client.Reverse(ctx, b.client.MsgID(), claim.Visit, "2207", lost); err != nil {
		t.Error(err)
	}
}

// Every refusal of the chain says at which step.
func TestStepIsNamed(t *testing.T) {
	t.Parallel()
	for infno, want := range map[string]string{"1101": "1101 person", "2201": "2201 registration", "2203A": "2203A visit", "2204": "2204 fees", "2206": "presettle, 2206"} {
		b := newBench(t, nhsasim.Oddities{}, nil)
		b.sim.RefuseNext(infno, "", "张试验"+b.id.Reveal()+"不在待遇享受期")
		_, err := b.client.Presettle(context.Background(), b.claim())
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Kind != fault.Rejected || e.Msg != "***不在待遇享受期" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s refused: %v, want %q", infno, err, want)
		}
		if strings.Contains(fmt.Sprint(err), b.id.Reveal()) || strings.Contains(fmt.Sprint(err), "张试验") {
			t.Errorf("%s: the error names the patient: %v", infno, err)
		}
	}
}

func TestMsgIDs(t *testing.T) {
	t.Parallel()
	for _, layout := range []MsgIDLayout{CodeTimeTail, TimeCodeTail, CodeNumber} {
		fake := clock.NewFake(time.Date(2026, 11, 23, 15, 59, 59, 999_000_000, time.UTC))
		seen := map[string]bool{}
		for _, node := range []int{0, 1, 1023} {
			source := clock.NewSource(fake, node)
			for range 2 { // two clients on one source
				cfg := testConfig(fake)
				cfg.Source, cfg.Profile.MsgIDLayout = source, layout
				c, err := New(cfg, answer(200, ""))
				if err != nil {
					t.Fatal(err)
				}
				for i := range 40 {
					id := c.MsgID()
					if len(id) != 30 || seen[id] || !strings.Contains(id, institution) {
						t.Fatalf("%s: msgid %q at node %d is wrong or taken", layout, id, node)
					}
					seen[id] = true
					if i%20 == 19 {
						fake.Advance(time.Millisecond)
					}
				}
			}
		}
	}
	c := client(t, answer(200, ""), nil)
	if id := c.MsgID(); !strings.HasPrefix(id, institution+"20250303090000") {
		t.Errorf("MsgID() = %s, want the institution and China time in front", id)
	}
	if tail(999, 1023, 13) > "zzzz" || tail(0, 0, 0) != "0000" {
		t.Errorf("tails %s to %s", tail(0, 0, 0), tail(999, 1023, 13))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Unix(0, 0))
	for name, change := range map[string]func(*Config){
		"clock":         func(c *Config) { c.Clock = nil },
		"base URL":      func(c *Config) { c.BaseURL = "insurer" },
		"URL style":     func(c *Config) { c.URLStyle = "soap" },
		"secret":        func(c *Config) { c.Secret = sensitive.Key{} },
		"institution":   func(c *Config) { c.FixmedinsCode = "H1" },
		"area":          func(c *Config) { c.MdtrtareaAdmvs = "36" },
		"operator":      func(c *Config) { c.Opter = "" },
		"credential":    func(c *Config) { c.Profile.Credential = "card in hand" },
		"family":        func(c *Config) { c.Profile.FamilyAccount = InsideFund },
		"hospital part": func(c *Config) { c.Profile.HospitalPart = InsideAccount },
		"extension":     func(c *Config) { c.Profile.ExtensionName = "ext" },
		"msgid layout":  func(c *Config) { c.Profile.MsgIDLayout = "random" },
		"rows per call": func(c *Config) { c.Profile.RowsPerCall = 100 },
		"refunds":       func(c *Config) { c.Profile.Statement.Refunds = "some" },
		"refund flag":   func(c *Config) { c.Profile.Statement.RefundFlag = "title" },
		"result order":  func(c *Config) { c.Profile.Statement.ResultOrder = "random" },
		"result width":  func(c *Config) { c.Profile.Statement.ResultColumns = 8 },
		"not ready":     func(c *Config) { c.Profile.Statement.NotReady = []string{""} },
		"group":         func(c *Config) { c.Profile.Statement.Groups = []Group{{"310", "11", "36"}} },
		"group twice": func(c *Config) {
			c.Profile.Statement.Groups = []Group{{"310", "11", "360199"}, {"310", "11", "360199"}}
		},
		"system error": func(c *Config) { c.Profile.SystemErrors = []string{""} },
	} {
		cfg := testConfig(fake)
		change(&cfg)
		if _, err := New(cfg, answer(200, "")); err == nil {
			t.Errorf("%s: New gave no error", name)
		}
	}
	if c := client(t, answer(200, ""), nil); c.SettleWait() != 2*time.Minute {
		t.Errorf("SettleWait() = %s, want 2 min", c.SettleWait())
	}
}
