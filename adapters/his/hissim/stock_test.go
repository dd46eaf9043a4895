package hissim

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// TestNotRefundable: what is handed out, executed or kept for another refund stays, and every such line is named.
func TestNotRefundable(t *testing.T) {
	t.Parallel()
	c, bills := bought(t, Config{})
	for _, l := range []RefundLine{tablets(bills, "20", 0), labTest(bills)} {
		if _, err := c.sim.HandOut(l.BillNo, l.LineNo, l.Quantity); err != nil {
			t.Fatal(err)
		}
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R1", tin(bills)))); code != "0" {
		t.Fatal(code)
	}
	_, out := c.do(t, c.request(holdPath, asJSON(t, giveUp("R2", tablets(bills, "5", 399), labTest(bills), tin(bills)))))
	want := []any{}
	for i, reason := range []string{"dispensed", "executed", "other"} {
		l := []RefundLine{tablets(bills, "5", 399), labTest(bills), tin(bills)}[i]
		want = append(want, map[string]any{"bill_no": l.BillNo, "line_no": l.LineNo, "reason": reason})
	}
	if out["code"] != "NOT_REFUNDABLE" || !cmp.Equal(data(out)["lines"], want) {
		t.Errorf("hold = %v", out)
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R3", tablets(bills, "4", 319)))); code != "0" {
		t.Errorf("hold of the four that are there: %s", code)
	}
	if _, err := c.sim.TakeBack(bills[0].No, bills[0].Lines[0].No, "1"); err != nil {
		t.Error(err)
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R4", tablets(bills, "1", 80)))); code != "0" {
		t.Errorf("hold of the one that was taken back: %s", code)
	}
}

func TestPharmacy(t *testing.T) {
	t.Parallel()
	c, bills := bought(t, Config{})
	unpaid, err := c.sim.AddBill("P1", "", Order{Code: "W10231", Quantity: "7"})
	if err != nil {
		t.Fatal(err)
	}
	atWindow, err := c.sim.AddBill("P1", "", Order{Code: "W10231", Quantity: "7"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.sim.PayAtWindow(atWindow.No); err != nil {
		t.Fatal(err)
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R1", tablets(bills, "10", 799)))); code != "0" {
		t.Fatal(code)
	}
	no, line := bills[0].No, bills[0].Lines[0].No
	for _, tt := range []struct {
		name               string
		do                 func(no, line, quantity string) (HandOut, error)
		no, line, quantity string
		want               string
		err                error
	}{
		{"hand out 4", c.sim.HandOut, no, line, "4", "4", nil},
		{"more than is not kept", c.sim.HandOut, no, line, "11", "", ErrHeld},
		{"the others", c.sim.HandOut, no, line, "", "14", nil},
		{"only what is kept is there", c.sim.HandOut, no, line, "", "", ErrHeld},
		{"back one and a half", c.sim.TakeBack, no, line, "1.5", "12.5", nil},
		{"back more than is out", c.sim.TakeBack, no, line, "13", "", ErrState},
		{"back all", c.sim.TakeBack, no, line, "", "0", nil},
		{"back nothing", c.sim.TakeBack, no, line, "", "", ErrState},
		{"no number", c.sim.HandOut, no, line, "-1", "", ErrBadBill},
		{"no number", c.sim.TakeBack, no, line, "1,5", "", ErrBadBill},
		{"no such line", c.sim.HandOut, no, "x", "", "", ErrNoSuch},
		{"no such bill", c.sim.TakeBack, "x", line, "", "", ErrNoSuch},
		{"not paid", c.sim.HandOut, unpaid.No, unpaid.Lines[0].No, "", "", ErrState},
		{"paid at the window", c.sim.HandOut, atWindow.No, atWindow.Lines[0].No, "", "7", nil},
		{"more than that", c.sim.HandOut, atWindow.No, atWindow.Lines[0].No, "1", "", ErrState},
	} {
		h, err := tt.do(tt.no, tt.line, tt.quantity)
		if !errors.Is(err, tt.err) || (err == nil && h.Quantity.String() != tt.want) {
			t.Errorf("%s: %s, %v, want %s, %v", tt.name, h.Quantity, err, tt.want, tt.err)
		}
	}
}

// TestWorthNothing: an item that is worth less than half a fen does not keep a refund from being one of everything.
func TestWorthNothing(t *testing.T) {
	t.Parallel()
	c, bills := bought(t, Config{})
	swab := Order{Code: "X1", Name: "棉签", Price: "0.0049", Quantity: "1", Class: "N"}
	b, err := c.sim.AddBill("P1", "", Order{Code: "S80011", Quantity: "1"}, swab)
	if err != nil {
		t.Fatal(err)
	}
	p := posting("8", bills)
	p.Bills, p.TotalFen, p.Parts = []billClaim{{b.No, 9680}}, 9680, Parts{Uninsured: 9680}
	if code := c.code(t, "/his/v1/postings/post", asJSON(t, p)); code != "0" {
		t.Fatal(code)
	}
	in := giveUp("R1", RefundLine{b.No, b.Lines[0].No, "1", 9680})
	in.OrderNo, in.Whole = "8", true
	if code := c.code(t, holdPath, asJSON(t, in)); code != "0" {
		t.Errorf("hold of everything but a swab: %s", code)
	}
}

// TestPieces gives items back piece by piece: what stays is always price × quantity, and in the end nothing is left.
func TestPieces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		price := rapid.Int64Range(1, 99_9999).Draw(rt, "price")
		quantity := rapid.Int64Range(1, 99_9999).Draw(rt, "quantity")
		st := stock{Line: Line{Price: decimal.New(price, -4).String()}, left: decimal.New(quantity, -4)}
		paid, back := st.worth(st.left), money.Fen(0)
		for st.left.IsPositive() {
			piece := decimal.New(rapid.Int64Range(1, st.left.Shift(4).IntPart()).Draw(rt, "piece"), -4)
			amount := st.price(piece)
			if amount < 0 {
				rt.Errorf("a piece is worth %s", amount)
			}
			back += amount
			st.left = st.left.Sub(piece)
			if stays := st.worth(st.left); paid-back != stays {
				rt.Errorf("%s are left of %s, worth %s", paid-back, paid, stays)
			}
		}
		if back != paid {
			rt.Errorf("%s went back of %s", back, paid)
		}
	})
}

// TestRefundJournal kills the hospital after every step of a refund: what it answered is still true.
func TestRefundJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "his.journal")
	c, bills := bought(t, Config{Journal: path})
	rebilled := moneyBack(anew(giveUp("R1", tablets(bills, "10", 799)), labTest(bills), tablets(bills, "14", 1118)), 0, 9680)
	if _, err := c.sim.HandOut(bills[0].No, bills[0].Lines[0].No, "14"); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct{ path, body string }{
		{holdPath, asJSON(t, rebilled.refundRequest)},
		{holdPath, asJSON(t, giveUp("R2", tin(bills)))},
		{dropPath, `{"order_no":"7","refund_no":"R2"}`},
		{dropPath, `{"order_no":"7","refund_no":"R3"}`},
		{bookPath, asJSON(t, rebilled)},
	} {
		if code := c.code(t, step.path, step.body); code != "0" && code != "1" {
			t.Errorf("step %d: %s", i, code)
		}
		before, number := asJSON(t, c.sim.Truth()), c.sim.state.seq
		again, err := New(Config{Clock: c.clock, App: testApp, Secret: secret(), Journal: path})
		if err != nil {
			t.Fatal(err)
		}
		c.sim = again // the old one is not closed: it was killed
		if after := asJSON(t, c.sim.Truth()); after != before || c.sim.state.seq != number {
			t.Errorf("after step %d the journal gives another hospital: %s", i, cmp.Diff(before, after))
		}
	}
	if code := c.code(t, bookPath, asJSON(t, rebilled)); code != "DUPLICATE" {
		t.Errorf("book again after the kill: %s", code)
	}
	if err := c.sim.Close(); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{
		holdPath: asJSON(t, giveUp("R5", tin(bills))),
		dropPath: `{"order_no":"7","refund_no":"R5"}`,
		bookPath: asJSON(t, moneyBack(giveUp("R5", tin(bills)), 0, 0)),
	} {
		if status, out := c.do(t, c.request(path, body)); status != 500 || out["code"] != "INTERNAL" {
			t.Errorf("%s on a broken disk = %d %v", path, status, out)
		}
	}
}

func TestRefundFaults(t *testing.T) {
	t.Parallel()
	c, bills := bought(t, Config{})
	c.sim.config.Plan.Script(sandbox.Script{Op: "refund.hold", Fault: sandbox.Refuse, Times: 2},
		sandbox.Script{Op: "refund.hold", Key: "R3", Fault: sandbox.ChangeAmount}, sandbox.Script{Op: "refund.book", Fault: sandbox.Refuse},
		sandbox.Script{Op: "refund.book", Key: "R3", Fault: sandbox.Repeat}, sandbox.Script{Op: "refund.book", Key: "R4", Fault: sandbox.ChangeAmount})
	hold := func(no string) (any, any) {
		_, out := c.do(t, c.request(holdPath, asJSON(t, giveUp(no, tin(bills)))))
		return out["code"], data(out)["total_fen"]
	}
	if even, _ := hold("R2"); even != "NOT_REFUNDABLE" {
		t.Errorf("whim: %v", even)
	}
	if odd, _ := hold("R3"); odd != "MAINTENANCE" {
		t.Errorf("whim: %v", odd)
	}
	if code, total := hold("R3"); code != "0" || total != 9681.0 {
		t.Errorf("changed amount: %v, %v", code, total)
	}
	book := asJSON(t, moneyBack(giveUp("R3", tin(bills)), 8517, 0))
	for _, want := range []string{"MAINTENANCE", "0", "DUPLICATE"} {
		if code := c.code(t, bookPath, book); code != want {
			t.Errorf("book: %s, want %s", code, want)
		}
	}
	_, out := c.do(t, c.request(bookPath, asJSON(t, moneyBack(giveUp("R4", labTest(bills)), 1917, 0))))
	if data(out)["total_fen"] != 6601.0 || c.sim.Truth().Refunded != 9680+6600 {
		t.Errorf("changed amount: %v, refunded %s", out, c.sim.Truth().Refunded)
	}
}
