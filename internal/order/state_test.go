package order

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

var states = []State{Quoting, Quoted, Paying, Settling, BeingPosted, Completed, Closing, Closed, Unwinding, Unwound, InReview}

var allMoves = []Move{Quote, Requote, Collect, Settle, PostTo, Complete, Abandon, Shut, Resume, Unwind, Undone, Escalate}

var causes = []Cause{ByPatient, QuoteOld, NotPaid, InsurerSilent, HISSilent, HISMaintenance, PaidElsewhere, BillVoid, BillBusy, BillUnreadable,
	AuthTooOld, CashRefused, SettleRefused, SettleUnproved, AmountsMoved, LatePayment, CashMismatch, CashGone, InsurerUnproved, CancelRefused,
	CancelUnproved, HISMismatch, RefundStuck, TooLong, NumberTaken, AuthRefused, PayerRefused, NoCredential, NoKin, MixedRefused, MixedFailed, MixedMismatch,
	MixedGone, CentreMismatch, CentrePeculiar, SidesDiffer, NotRefundable, OrderUnwound, RestRefused, RestUnsettled, WouldOwe, BegunAtWindow, GivenTwice, PaymentTooOld,
	TooManyRefunds, NoteOfInsured, DeskMismatch}

// wholeMachine is the table of design.md §3, and one move more: closing → quoting, where the patient authorises anew and the order is kept.
const wholeMachine = `
quoting   → quoted | closing (refused, abandoned)
quoted    → paying | settling (core/his, no cash) | quoting (bill changed, quote too old) | closing
paying    → settling (core/his) | posting (mixed success; cash only) | closing | unwinding (mixed FAIL, cash taken) | review
closing   → closed (every counterpart proved dead) | paying (cannot close: password typed) | unwinding (paid) | quoting (authorised anew) | review
closed    → unwinding (a verified late payment; never dropped, never back to paid)
settling  → posting | unwinding (refused; other amounts) | closing (refused, no cash) | review
posting   → completed | unwinding (HIS proved "paid elsewhere" or void) | review
unwinding → unwound | review
review    → posting | settling | unwinding | closed | completed      by two people
`

// designed reads the table: the states that may follow each.
func designed() map[State][]State {
	table := map[State][]State{}
	for line := range strings.Lines(strings.TrimSpace(wholeMachine)) {
		from, to, _ := strings.Cut(line, "→")
		for _, one := range strings.Split(to, "|") {
			table[State(strings.TrimSpace(from))] = append(table[State(strings.TrimSpace(from))], State(strings.Fields(one)[0]))
		}
	}
	return table
}

func TestMachineIsTheDesigned(t *testing.T) {
	got := map[State][]State{}
	for _, m := range moves {
		if !slices.Contains(got[m.from], m.to) {
			got[m.from] = append(got[m.from], m.to)
		}
	}
	want := designed()
	for _, table := range []map[State][]State{got, want} {
		for from := range table {
			slices.Sort(table[from])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the machine is not that of design.md §3 (-want +got):\n%s", diff)
	}
}

func TestEveryStateAndMove(t *testing.T) {
	listed := map[string]State{}
	for _, m := range moves {
		pair := string(m.from) + " " + string(m.on)
		if _, twice := listed[pair]; twice {
			t.Errorf("%s stands twice", pair)
		}
		listed[pair] = m.to
	}
	for _, from := range states {
		for _, on := range allMoves {
			want, allowed := listed[string(from)+" "+string(on)]
			got, err := from.Next(on)
			if !allowed {
				if got != from || !errors.Is(err, ErrState) {
					t.Errorf("%s.Next(%s) = %s, %v, want %s, ErrState", from, on, got, err, from)
				}
				continue
			}
			delete(listed, string(from)+" "+string(on))
			if got != want || err != nil {
				t.Errorf("%s.Next(%s) = %s, %v, want %s", from, on, got, err, want)
			}
		}
	}
	for pair := range listed {
		t.Errorf("move %q has a state or a name that the lists of this test lack", pair)
	}
}

func TestEveryStateIsReachedAndLeft(t *testing.T) {
	reached := map[State]bool{Quoting: true}
	for range states {
		for _, m := range moves {
			reached[m.to] = reached[m.to] || reached[m.from]
		}
	}
	for _, s := range states {
		leaves := slices.ContainsFunc(moves, func(m row) bool { return m.from == s })
		if !reached[s] {
			t.Errorf("%s is never reached", s)
		}
		if s.Final() && s != Closed && leaves || !s.Final() && !leaves {
			t.Errorf("%s: final %v, can be left %v", s, s.Final(), leaves)
		}
	}
}

func TestPictureOfTheMachine(t *testing.T) {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> quoting\n")
	for _, m := range moves {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", m.from, m.to, m.on)
	}
	for _, s := range states {
		if s.Final() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	golden(t, "machine.golden", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestReviewsAreExplained: whoever finds an order in review finds its cause in the guide for staff, with what to do.
func TestReviewsAreExplained(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("state.go")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/review.zh-CN.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range causes {
		line := ""
		for _, l := range strings.Split(string(source), "\n") {
			if strings.Contains(l, fmt.Sprintf("%q", c)) {
				line = l
			}
		}
		if strings.Contains(line, "// review:") && !strings.Contains(string(guide), "`"+string(c)+"`") {
			t.Errorf("docs/review.zh-CN.md does not say what to do about %s", c)
		}
	}
	for _, p := range (&Verdict{}).parts() {
		if flag := "`--" + strings.ReplaceAll(p.name, "_", "-") + "`"; !strings.Contains(string(guide), flag) {
			t.Errorf("docs/review.zh-CN.md does not say what %s means", flag)
		}
	}
}
