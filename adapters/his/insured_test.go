package his_test

import (
	"fmt"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// claim is what is insured of the ward's bills under that number: 24 tablets and a test, 85.17 of 181.97.
func (w *ward) claim(no string) settlement.Claim {
	c := settlement.Claim{OrderNo: "7", BatchNo: no, Total: 8517, UseAccount: true, Visit: settlement.Visit{VisitNo: "T1"},
		Person: settlement.Person{Name: sensitive.NewName(testName), Token: sensitive.NewToken("AUTH360100202611230000000001")}}
	for _, b := range w.bills {
		read, err := w.Detail(w.t.Context(), "P1", b.No)
		w.must(err)
		c.Bills = append(c.Bills, *read)
	}
	return c
}

// left is what is left of a claim when ten tablets go back.
func left(c settlement.Claim, no string) settlement.Claim {
	c.BatchNo, c.Total = no, c.Total-799
	bills := append([]bill.Bill(nil), c.Bills...)
	lines := append([]bill.Line(nil), bills[0].Lines...)
	lines[0].Quantity, lines[0].Total = decimal.NewFromInt(14), lines[0].Total-799
	bills[0].Lines, bills[0].Total = lines, bills[0].Total-799
	c.Bills = bills
	return c
}

func (w *ward) foresee(c *settlement.Claim) {
	p, err := w.link.Presettle(w.t.Context(), *c)
	if err == nil {
		c.Visit = p.Visit
	}
	w.note("presettle "+c.BatchNo, p, err)
}

func (w *ward) settle(no string, c settlement.Claim) settlement.Outcome {
	out, err := w.link.Settle(w.t.Context(), no, c)
	w.note("settle "+no, out, err)
	w.words(err)
	return out
}

func (w *ward) reverse(no, original, of string, c settlement.Claim) {
	w.note(fmt.Sprint("reverse ", original, " ", of), nil, w.link.Reverse(w.t.Context(), no, c.Visit, original, of))
}

func (w *ward) cancel(no, setlID string, c settlement.Claim) {
	w.note("cancel "+no, nil, w.link.Cancel(w.t.Context(), no, c.Visit, setlID))
}

func (w *ward) inForce(setlID string, c settlement.Claim) {
	stands, err := w.link.InForce(w.t.Context(), c.Visit, setlID)
	w.note("in force", stands, err)
}

func (w *ward) withdraw(c settlement.Claim) {
	w.note("withdraw "+c.BatchNo, nil, w.link.Withdraw(w.t.Context(), c))
}

// words notes what a patient is told.
func (w *ward) words(err error) {
	if f, ok := fault.Find(err); ok {
		w.notes = append(w.notes, "  "+f.Msg)
	}
}

// standings notes how many settlements stand at the insurer.
func (w *ward) standings() { w.note("settlements that stand", w.paper.Standing(), nil) }

func (w *ward) postInsured(c settlement.Claim, out settlement.Outcome) {
	p := w.posting("7")
	p.Split, p.SetlID, p.MdtrtID, p.SettledAt = out.Split, out.SetlID, c.Visit.MdtrtID, out.SettledAt
	p.Split.Uninsured = p.Total - c.Total
	posted, err := w.Post(w.t.Context(), p)
	w.note("post", posted, err)
}

// insuredStories are played to a hospital with a line of its own.
var insuredStories = map[string]func(w *ward){
	"presettled, settled, posted, part given back": func(w *ward) {
		c := w.claim("B1")
		w.foresee(&c)
		w.foresee(&c)
		w.lock("7")
		out := w.settle("S1", c)
		w.settle("S1", c)
		w.foresee(&c)
		w.inForce(out.SetlID, c)
		p := w.posting("7")
		_, err := w.Post(w.t.Context(), p)
		w.note("post another settlement", nil, err)
		w.postInsured(c, out)
		w.withdraw(c)
		anew := left(c, "B2")
		w.foresee(&anew)
		w.settle("S2", anew)
		w.cancel("C1", out.SetlID, c)
		w.cancel("C1", out.SetlID, c)
		w.cancel("C2", out.SetlID, c)
		w.inForce(out.SetlID, c)
		w.foresee(&anew)
		w.settle("S3", anew)
		w.standings()
	},
	"lost answers": func(w *ward) {
		c := w.claim("B1")
		w.foresee(&c)
		w.reverse("R0", "2207", "S0", c) // never came
		w.settle("S0", c)                // and comes too late
		out := w.settle("S1", c)
		w.reverse("R1", "2207", "S1", c)
		w.reverse("R2", "2207", "S1", c)
		w.settle("S1", c)
		w.inForce(out.SetlID, c)
		w.foresee(&c)
		out = w.settle("S2", c)
		w.cancel("C1", out.SetlID, c)
		w.reverse("R3", "2208", "C1", c)
		w.inForce(out.SetlID, c)
		w.cancel("C1", out.SetlID, c)
		w.reverse("R4", "2208", "C9", c)
		w.cancel("C9", out.SetlID, c)
		w.standings()
	},
	"refused": func(w *ward) {
		c := w.claim("B1")
		for _, words := range []string{"该人员待遇已冻结", "   "} {
			w.paper.RefuseNext(words)
			p, err := w.link.Presettle(w.t.Context(), c)
			w.note("presettle", p, err)
			w.words(err)
		}
		w.foresee(&c)
		w.paper.RefuseNext("年度限额已用完")
		w.settle("S1", c)
		w.settle("S1", c)
		w.reverse("R1", "2207", "S1", c)
		out := w.settle("S2", c)
		w.paper.RefuseNext("已清算,不能冲正")
		w.reverse("R2", "2207", "S2", c)
		w.paper.RefuseNext("存在后续结算")
		w.cancel("C1", out.SetlID, c)
		w.cancel("C1", out.SetlID, c)
		w.cancel("C2", "JS-none", c)
		w.inForce("JS-none", c)
		w.standings()
	},
	"bills that cannot be claimed": func(w *ward) {
		c := w.claim("B1")
		less := left(c, "B0")
		w.foresee(&less)
		other := c
		other.OrderNo = "8"
		w.lock("7")
		w.foresee(&other)
		w.release("7")
		w.foresee(&c)
		other.BatchNo = "B2"
		w.foresee(&other)
		w.settle("S1", c)
		w.settle("S2", other)
		w.settle("S3", less)
		w.withdraw(other)
		w.withdraw(other)
		w.settle("S2", other)
		w.standings()
		_, err := w.sim.VoidBill(w.bills[0].No)
		w.must(err)
		c.BatchNo, c.OrderNo = "B3", "9"
		w.foresee(&c)
	},
	"paid at the window": func(w *ward) {
		c := w.claim("B1")
		w.foresee(&c)
		_, err := w.sim.PayAtWindow(w.bills[0].No)
		w.must(err)
		w.settle("S1", c)
		w.words(func() error { _, err := w.link.Presettle(w.t.Context(), c); return err }())
		w.standings()
	},
	"no authorisation, no account, another archive": func(w *ward) {
		c := w.claim("B1")
		c.Person.Token, c.UseAccount = sensitive.Token{}, false
		w.foresee(&c)
		strange := c
		strange.BatchNo = "B2"
		strange.Bills = append([]bill.Bill(nil), c.Bills...)
		for i := range strange.Bills {
			strange.Bills[i].HISPatient = "P2"
		}
		w.foresee(&strange)
	},
}

func TestInsuredConformance(t *testing.T) {
	t.Parallel()
	for name, story := range insuredStories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, story, true)
		})
	}
}

// TestInsuredConformanceUnderFaults: settled, posted and part given back again, each time with one answer gone wrong.
func TestInsuredConformanceUnderFaults(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"presettle", "settle", "reverse", "cancel", "query", "withdraw"} {
		for _, f := range []sandbox.Fault{sandbox.LoseBefore, sandbox.LoseAfter, sandbox.ErrorBefore, sandbox.ErrorAfter, sandbox.Garbage, sandbox.Repeat, sandbox.Refuse,
			sandbox.ChangeAmount} {
			t.Run(fmt.Sprint(op, " ", f), func(t *testing.T) {
				t.Parallel()
				compare(t, func(w *ward) {
					w.plan.Script(sandbox.Script{Op: "insurance." + op, Fault: f, Times: 1})
					insuredStories["presettled, settled, posted, part given back"](w)
				}, true)
			})
		}
	}
}

// TestInsuredClaimsAreWhole: a claim that does not add up, or is of two archives, never leaves.
func TestInsuredClaimsAreWhole(t *testing.T) {
	t.Parallel()
	w := newWard(t, speakers[0].open, true)
	for name, wrong := range map[string]func(c *settlement.Claim){
		"another total":  func(c *settlement.Claim) { c.Total++ },
		"two archives":   func(c *settlement.Claim) { c.Bills[1].HISPatient = "P2" },
		"nothing at all": func(c *settlement.Claim) { c.Bills = nil },
		"too large":      func(c *settlement.Claim) { c.Bills[0].Lines[0].Total = money.Max },
	} {
		c := w.claim("B1")
		wrong(&c)
		if _, err := w.link.Presettle(t.Context(), c); fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}
