package hissim

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAskRefund(t *testing.T) {
	t.Parallel()
	c, bills, p := told(t, Config{})
	a, err := c.sim.AskRefund("7", Ask{Lines: []RefundLine{{BillNo: bills[0].No, LineNo: bills[0].Lines[0].No, Quantity: "10"}}, Reason: "医生改方"})
	if err != nil || a.TotalFen != 799 || a.Whole || a.State != AskOpen {
		t.Fatalf("AskRefund = %+v, %v", a, err)
	}
	if !c.sim.Step(t.Context()) || c.sim.Step(t.Context()) {
		t.Error("the notice was not sent, or sent again after it was stored")
	}
	want := map[string]any{"kind": "refund_asked", "his_refund_no": a.HISRefundNo, "order_no": "7", "whole": false, "total_fen": 799.0,
		"note": false, "reason": "医生改方", "lines": []any{map[string]any{"bill_no": bills[0].No, "line_no": bills[0].Lines[0].No,
			"quantity": "10", "total_fen": 799.0}}}
	if len(p.bodies) != 1 || !cmp.Equal(p.bodies[0], want) {
		t.Errorf("the platform heard %s", cmp.Diff([]map[string]any{want}, p.bodies))
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R1", tablets(bills, "24", 1917)))); code != "NOT_REFUNDABLE" {
		t.Errorf("hold of what the window asked for, under another number: %s", code)
	}
	in := giveUp("R1", tablets(bills, "10", 799))
	in.HISRefundNo = a.HISRefundNo
	in = anew(in, labTest(bills), tablets(bills, "14", 1118)) // the insurer's business, not the window's
	other := giveUp("R1", labTest(bills))
	other.HISRefundNo = a.HISRefundNo
	for _, tt := range []struct {
		name, path, body, code string
	}{
		{"other items than asked for", holdPath, asJSON(t, other), "NOT_FOUND"},
		{"what was asked for", holdPath, asJSON(t, in), "0"},
		{"booked as the window's money", bookPath, asJSON(t, func() refundBookRequest {
			b := moneyBack(in, 0, 9680)
			b.Note, b.OutRefundNo, b.RefundID = true, "", ""
			return b
		}()), "NOT_FOUND"},
		{"drop", dropPath, `{"order_no":"7","refund_no":"R1"}`, "0"},
		{"asked for still", holdPath, asJSON(t, giveUp("R2", tablets(bills, "24", 1917))), "NOT_REFUNDABLE"},
	} {
		if code := c.code(t, tt.path, tt.body); code != tt.code {
			t.Errorf("%s: %s, want %s", tt.name, code, tt.code)
		}
	}
	in.RefundNo = "R3"
	if code := c.code(t, bookPath, asJSON(t, moneyBack(in, 0, 9680))); code != "0" {
		t.Errorf("book of what was asked for: %s", code)
	}
	if asks := c.sim.Truth().Asks; len(asks) != 1 || asks[0].State != AskBooked {
		t.Errorf("asks = %+v", asks)
	}
	in.RefundNo = "R4"
	if code := c.code(t, holdPath, asJSON(t, in)); code != "NOT_FOUND" {
		t.Errorf("asked for once, held twice: %s", code)
	}
}

// TestForgottenAsk books what a hospital from a backup does not remember to have asked for.
func TestForgottenAsk(t *testing.T) {
	t.Parallel()
	c, bills := bought(t, Config{})
	in := giveUp("R1", tin(bills))
	in.HISRefundNo = "CT20261122000009"
	if code := c.code(t, bookPath, asJSON(t, moneyBack(in, 8517, 0))); code != "0" {
		t.Errorf("book: %s", code)
	}
}

// TestWindowsMoney is a refund whose money the window handed back: the items are gone for everybody else.
func TestWindowsMoney(t *testing.T) {
	t.Parallel()
	c, bills, _ := told(t, Config{})
	a, err := c.sim.AskRefund("7", Ask{Note: true})
	if err != nil || !a.Whole || a.TotalFen != 18197 || len(a.Lines) != 3 {
		t.Fatalf("AskRefund = %+v, %v", a, err)
	}
	if truth := c.sim.Truth(); truth.WindowBack != 18197 || truth.Net != 18197 {
		t.Errorf("truth = %+v", truth)
	}
	if _, err := c.sim.HandOut(bills[0].No, bills[0].Lines[0].No, ""); !errors.Is(err, ErrHeld) {
		t.Errorf("HandOut of what went back at the window: %v", err)
	}
	in := giveUp("R1", a.Lines...)
	in.HISRefundNo, in.Whole = a.HISRefundNo, true
	b := moneyBack(in, 0, 0)
	b.Note, b.OutRefundNo, b.RefundID = true, "", ""
	if code := c.code(t, bookPath, asJSON(t, b)); code != "0" {
		t.Errorf("book without a hold: %s", code)
	}
	if truth := c.sim.Truth(); truth.Net != 0 || truth.WindowBack != 18197 || !truth.Refunds[0].Note {
		t.Errorf("truth = %+v", truth)
	}
	if _, err := c.sim.AskRefund("7", Ask{}); !errors.Is(err, ErrState) {
		t.Errorf("AskRefund of nothing: %v", err)
	}
}

func TestAskRefundRefuses(t *testing.T) {
	t.Parallel()
	c, bills, _ := told(t, Config{})
	if _, err := c.sim.HandOut(bills[1].No, bills[1].Lines[0].No, ""); err != nil {
		t.Fatal(err)
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R1", tin(bills)))); code != "0" {
		t.Fatal(code)
	}
	tablet := RefundLine{BillNo: bills[0].No, LineNo: bills[0].Lines[0].No, Quantity: "1"}
	for _, tt := range []struct {
		name, order string
		a           Ask
		err         error
	}{
		{"no such order", "8", Ask{}, ErrNoSuch},
		{"no such item", "7", Ask{Lines: []RefundLine{{BillNo: bills[0].No, LineNo: "x", Quantity: "1"}}}, ErrNoSuch},
		{"no number", "7", Ask{Lines: []RefundLine{{BillNo: bills[0].No, LineNo: bills[0].Lines[0].No, Quantity: "x"}}}, ErrBadBill},
		{"executed", "7", Ask{Lines: []RefundLine{labTest(bills)}}, ErrState},
		{"held by the platform", "7", Ask{Lines: []RefundLine{tin(bills)}}, ErrHeld},
		{"twice the same", "7", Ask{Lines: []RefundLine{tablet, tablet}}, ErrBadBill},
		{"a long story", "7", Ask{Lines: []RefundLine{tablet}, Reason: strings.Repeat("退", 81)}, ErrBadBill},
	} {
		if _, err := c.sim.AskRefund(tt.order, tt.a); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
	}
	alone, aloneBills := bought(t, Config{})
	if _, err := alone.sim.AskRefund("7", Ask{Lines: []RefundLine{tin(aloneBills)}}); !errors.Is(err, ErrNobody) {
		t.Errorf("AskRefund without a platform: %v", err)
	}
	if code := c.code(t, dropPath, `{"order_no":"7","refund_no":"R1"}`); code != "0" {
		t.Fatal(code)
	}
	if _, err := c.sim.VoidPosting("7"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.sim.AskRefund("7", Ask{}); !errors.Is(err, ErrState) {
		t.Errorf("AskRefund of an undone posting: %v", err)
	}
}

func TestWithdrawAsk(t *testing.T) {
	t.Parallel()
	c, bills, _ := told(t, Config{})
	a, err := c.sim.AskRefund("7", Ask{Lines: []RefundLine{tin(bills)}})
	if err != nil {
		t.Fatal(err)
	}
	in := giveUp("R1", tin(bills))
	in.HISRefundNo = a.HISRefundNo
	if code := c.code(t, holdPath, asJSON(t, in)); code != "0" {
		t.Fatal(code)
	}
	if _, err := c.sim.WithdrawAsk(a.HISRefundNo); !errors.Is(err, ErrHeld) {
		t.Errorf("WithdrawAsk of what the platform took up: %v", err)
	}
	if code := c.code(t, dropPath, `{"order_no":"7","refund_no":"R1"}`); code != "0" {
		t.Fatal(code)
	}
	if out, err := c.sim.WithdrawAsk(a.HISRefundNo); err != nil || out.State != AskWithdrawn {
		t.Errorf("WithdrawAsk = %+v, %v", out, err)
	}
	if _, err := c.sim.WithdrawAsk(a.HISRefundNo); !errors.Is(err, ErrState) {
		t.Errorf("WithdrawAsk again: %v", err)
	}
	if _, err := c.sim.WithdrawAsk("CT0"); !errors.Is(err, ErrNoSuch) {
		t.Errorf("WithdrawAsk of nothing: %v", err)
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R2", tin(bills)))); code != "0" {
		t.Errorf("hold after the window withdrew: %s", code)
	}
}

func TestRefundControl(t *testing.T) {
	t.Parallel()
	c, bills, _ := told(t, Config{})
	h := c.sim.Control()
	drug := "/bills/" + bills[0].No + "/lines/" + bills[0].Lines[0].No
	for _, step := range []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"hand out four", "POST", drug + "/hand-out?quantity=4", "", 200, `"quantity":"4"`},
		{"hand out too much", "POST", drug + "/hand-out?quantity=24", "", 409, "state"},
		{"take one back", "POST", drug + "/take-back?quantity=1", "", 200, `"quantity":"3"`},
		{"ask for too much", "POST", "/postings/7/ask-refund", `{}`, 409, "state"},
		{"take all back", "POST", drug + "/take-back", "", 200, `"quantity":"0"`},
		{"ask", "POST", "/postings/7/ask-refund", `{"lines":[{"bill_no":"` + bills[0].No + `","line_no":"` + bills[0].Lines[0].No +
			`","quantity":"10"}],"reason":"医生改方"}`, 200, `"total_fen":799`},
		{"ask for nothing known", "POST", "/postings/8/ask-refund", `{"note":true}`, 404, "no such"},
		{"hand out what is asked for", "POST", drug + "/hand-out?quantity=15", "", 409, "holds"},
		{"withdraw", "POST", "/asks/CT20261123000008/withdraw", "", 200, "withdrawn"},
		{"what was told", "GET", "/notices", "", 200, `"kind":"refund_asked"`},
		{"the books", "GET", "/truth", "", 200, `"net_fen":18197`},
	} {
		status, body := press(t, h, step.method, step.path, step.body)
		if status != step.status || !strings.Contains(body, step.says) {
			t.Errorf("%s: %s %s = %d %s, want %d with %s", step.name, step.method, step.path, status, body, step.status, step.says)
		}
	}
}
