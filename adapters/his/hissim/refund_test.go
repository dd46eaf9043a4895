package hissim

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

const (
	holdPath  = "/his/v1/refunds/hold"
	dropPath  = "/his/v1/refunds/drop"
	bookPath  = "/his/v1/refunds/book"
	standPath = "/his/v1/refunds/query"
)

// bought is a hospital whose order 7 is posted: 24 tablets (19.17), a test (66.00), and a tin that no insurer pays (96.80).
func bought(t testing.TB, c Config) (*caller, []Bill) {
	t.Helper()
	s, now := hospital(t, c)
	_, bills := sick(t, s)
	out := &caller{sim: s, clock: now}
	if code := out.code(t, "/his/v1/postings/post", asJSON(t, posting("7", bills))); code != "0" {
		t.Fatal(code)
	}
	return out, bills
}

func tablets(bills []Bill, quantity string, total money.Fen) RefundLine {
	return RefundLine{BillNo: bills[0].No, LineNo: bills[0].Lines[0].No, Quantity: quantity, TotalFen: total}
}

func labTest(bills []Bill) RefundLine {
	return RefundLine{bills[1].No, bills[1].Lines[0].No, "1", 6600}
}

func tin(bills []Bill) RefundLine { return RefundLine{bills[1].No, bills[1].Lines[1].No, "1", 9680} }

func giveUp(no string, lines ...RefundLine) refundRequest {
	return refundRequest{OrderNo: "7", RefundNo: no, PatientID: "P1", Lines: lines, TotalFen: sumLines(lines), Reason: "医生改方"}
}

// anew adds what nobody gave up.
func anew(in refundRequest, rebill ...RefundLine) refundRequest {
	in.Rebill, in.TotalFen = rebill, in.TotalFen+sumLines(rebill)
	return in
}

// moneyBack books a refund after which the fund pays what is left of the insured items.
func moneyBack(in refundRequest, insured, uninsured money.Fen) refundBookRequest {
	at := time.Date(2026, 11, 23, 11, 0, 0, 0, clock.Shanghai)
	out := refundBookRequest{refundRequest: in, RestParts: Parts{PooledFund: insured, Uninsured: uninsured}, OutRefundNo: "TK1",
		RefundID: "50000", RefundedAt: &at}
	if insured > 0 {
		out.RestSetlID, out.RestSettledAt = "setl-2", &at
	}
	return out
}

func data(out map[string]any) map[string]any {
	d, _ := out["data"].(map[string]any)
	return d
}

func TestRefund(t *testing.T) {
	t.Parallel()
	c, bills := bought(t, Config{})
	in := giveUp("R1", tablets(bills, "10", 799))
	_, first := c.do(t, c.request(holdPath, asJSON(t, in)))
	c.clock.Advance(time.Hour)
	in.Lines[0].Quantity = "10.0"
	_, again := c.do(t, c.request(holdPath, asJSON(t, in)))
	if first["code"] != "0" || data(first)["held_at"] != "2026-11-23T09:30:00+08:00" || !cmp.Equal(first, again) {
		t.Errorf("hold = %v, again %v", first, again)
	}
	if h, err := c.sim.HandOut(bills[0].No, bills[0].Lines[0].No, ""); err != nil || h.Quantity.String() != "14" {
		t.Errorf("HandOut = %v, %v, want the 14 that stay", h, err)
	}
	if _, err := c.sim.VoidPosting("7"); !errors.Is(err, ErrHeld) {
		t.Errorf("VoidPosting with a refund under way: %v", err)
	}
	_, booked := c.do(t, c.request(bookPath, asJSON(t, moneyBack(in, 7718, 9680))))
	if booked["code"] != "0" || data(booked)["booking_no"] != "TF20261123000008" {
		t.Fatalf("book = %v", booked)
	}
	_, again = c.do(t, c.request(bookPath, asJSON(t, moneyBack(giveUp("R1", labTest(bills)), 1, 1))))
	if again["code"] != "DUPLICATE" || data(again)["state"] != "booked" || !cmp.Equal(data(again)["booking"], booked["data"]) {
		t.Errorf("book again = %v, want the record that stands", again)
	}
	_, standing := c.do(t, c.request(standPath, `{"order_no":"7","refund_no":"R1"}`))
	if !cmp.Equal(standing["data"], again["data"]) {
		t.Errorf("query = %v", standing)
	}
	_, query := c.do(t, c.request("/his/v1/postings/query", asJSON(t, queryRequest{"7", []string{bills[0].No, bills[1].No}})))
	if q := data(query); q["state"] != "posted" || q["refunded_fen"] != 799.0 || !cmp.Equal(q["refund_nos"], []any{"R1"}) ||
		q["posting"].(map[string]any)["total_fen"] != 18197.0 {
		t.Errorf("postings/query = %v", query)
	}
	_, detail := c.do(t, c.request("/his/v1/bills/detail", `{"patient_id":"P1","bill_no":"`+bills[0].No+`"}`))
	b := data(detail)["bill"].(map[string]any)
	if want := []any{map[string]any{"line_no": bills[0].Lines[0].No, "quantity": "10.0", "total_fen": 799.0, "refund_no": "R1",
		"booked_at": "2026-11-23T10:30:00+08:00"}}; !cmp.Equal(b["returned"], want) || b["state"] != "paid" || b["total_fen"] != 1917.0 {
		t.Errorf("bills/detail = %v", b)
	}
	truth := c.sim.Truth()
	if truth.Posted != 18197 || truth.Refunded != 799 || truth.Net != 17398 || len(truth.Refunds) != 1 || truth.Refunds[0].TotalFen != 799 ||
		*truth.Postings[0].Rest != (Parts{PooledFund: 7718, Uninsured: 9680}) {
		t.Errorf("truth = %+v", truth)
	}
	if _, err := c.sim.VoidPosting("7"); err != nil {
		t.Error(err)
	}
	if truth := c.sim.Truth(); truth.Posted != 0 || truth.Net != 0 {
		t.Errorf("truth after the posting was undone = %+v", truth)
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R2", labTest(bills)))); code != "BILL_VOID" {
		t.Errorf("hold of an undone posting: %s", code)
	}
}

func TestHoldRefuses(t *testing.T) {
	t.Parallel()
	whole := func(in *refundRequest) { in.Whole = true }
	tests := []struct {
		name  string
		lines func(bills []Bill) []RefundLine
		spoil func(in *refundRequest)
		code  string
	}{
		{"as it should be", func(b []Bill) []RefundLine { return []RefundLine{tablets(b, "10", 799), labTest(b)} }, nil, "0"},
		{"everything", func(b []Bill) []RefundLine { return []RefundLine{tin(b), labTest(b), tablets(b, "24", 1917)} }, whole, "0"},
		{"everything but four tablets", func(b []Bill) []RefundLine { return []RefundLine{tin(b), labTest(b), tablets(b, "20", 1597)} }, whole,
			"AMOUNT_WRONG"},
		{"more than there was", func(b []Bill) []RefundLine { return []RefundLine{tablets(b, "25", 1997)} }, nil, "NOT_FOUND"},
		{"an unknown line", func(b []Bill) []RefundLine { return []RefundLine{{b[0].No, "1", "1", 1}} }, nil, "NOT_FOUND"},
		{"an unknown bill", func(b []Bill) []RefundLine { return []RefundLine{{"MZ0", b[0].Lines[0].No, "1", 80}} }, nil, "NOT_FOUND"},
		{"an order that is not posted", func(b []Bill) []RefundLine { return []RefundLine{labTest(b)} },
			func(in *refundRequest) { in.OrderNo = "8" }, "NOT_FOUND"},
		{"another patient's", func(b []Bill) []RefundLine { return []RefundLine{labTest(b)} },
			func(in *refundRequest) { in.PatientID = "P2" }, "NOT_FOUND"},
		{"a line one fen less", func(b []Bill) []RefundLine { return []RefundLine{tablets(b, "10", 798)} }, nil, "AMOUNT_WRONG"},
		{"a total one fen more", func(b []Bill) []RefundLine { return []RefundLine{tablets(b, "10", 799)} },
			func(in *refundRequest) { in.TotalFen++ }, "AMOUNT_WRONG"},
		{"asked for by nobody", func(b []Bill) []RefundLine { return []RefundLine{labTest(b)} },
			func(in *refundRequest) { in.HISRefundNo = "CT1" }, "NOT_FOUND"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, bills := bought(t, Config{})
			in := giveUp("R1", tt.lines(bills)...)
			if tt.spoil != nil {
				tt.spoil(&in)
			}
			code := c.code(t, holdPath, asJSON(t, in))
			if held := len(c.sim.Truth().Refunds) == 1; code != tt.code || held != (code == "0") {
				t.Errorf("code %s, held %t, want %s", code, held, tt.code)
			}
		})
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	c, bills := bought(t, Config{})
	hold := asJSON(t, giveUp("R1", tablets(bills, "24", 1917)))
	if code := c.code(t, holdPath, hold); code != "0" {
		t.Fatal(code)
	}
	for _, tt := range []struct{ name, path, body, code, state string }{
		{"the number for other items", holdPath, asJSON(t, giveUp("R1", tin(bills))), "DUPLICATE", "held"},
		{"booked for other items", bookPath, asJSON(t, moneyBack(giveUp("R1", tin(bills)), 8517, 0)), "DUPLICATE", "held"},
		{"of another order", dropPath, `{"order_no":"8","refund_no":"R1"}`, "DUPLICATE", "held"},
		{"drop", dropPath, `{"order_no":"7","refund_no":"R1"}`, "0", ""},
		{"drop again", dropPath, `{"order_no":"7","refund_no":"R1"}`, "1", ""},
		{"a spent number", holdPath, hold, "DUPLICATE", "dropped"},
		{"its standing", standPath, `{"order_no":"7","refund_no":"R1"}`, "0", "dropped"},
		{"a number never heard of", standPath, `{"order_no":"7","refund_no":"R2"}`, "0", "none"},
		{"dropped before it came", dropPath, `{"order_no":"7","refund_no":"R2"}`, "1", ""},
		{"and then it comes", holdPath, asJSON(t, giveUp("R2", tin(bills))), "DUPLICATE", "dropped"},
		{"another order's number", standPath, `{"order_no":"8","refund_no":"R1"}`, "0", "none"},
		{"a new number", holdPath, asJSON(t, giveUp("R3", tablets(bills, "24", 1917))), "0", ""},
		{"the money went back after all", bookPath, asJSON(t, moneyBack(giveUp("R2", tin(bills)), 8517, 0)), "0", ""},
		{"too late to drop", dropPath, `{"order_no":"7","refund_no":"R2"}`, "DUPLICATE", "booked"},
		{"too late to hold", holdPath, asJSON(t, giveUp("R2", tin(bills))), "DUPLICATE", "booked"},
	} {
		_, out := c.do(t, c.request(tt.path, tt.body))
		state, _ := data(out)["state"].(string)
		if out["code"] != tt.code || state != tt.state {
			t.Errorf("%s: %v, want %s %s", tt.name, out, tt.code, tt.state)
		}
	}
}

func TestBookRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(in *refundBookRequest, bills []Bill)
		code  string
	}{
		{"as it should be", func(*refundBookRequest, []Bill) {}, "0"},
		{"nothing is left", func(in *refundBookRequest, b []Bill) {
			*in = moneyBack(giveUp("R1", tablets(b, "24", 1917), labTest(b), tin(b)), 0, 0)
			in.Whole = true
		}, "0"},
		{"rest one fen more", func(in *refundBookRequest, _ []Bill) { in.RestParts.Cash++ }, "AMOUNT_WRONG"},
		{"rest one fen less", func(in *refundBookRequest, _ []Bill) { in.RestParts.PooledFund-- }, "AMOUNT_WRONG"},
		{"cash went back by no refund", func(in *refundBookRequest, _ []Bill) { in.OutRefundNo, in.RefundID = "", "" }, "INVALID"},
		{"the window's money", func(in *refundBookRequest, _ []Bill) { in.OutRefundNo, in.RefundID, in.Note = "", "", true }, "0"},
		{"the till's money", func(in *refundBookRequest, _ []Bill) { in.OutRefundNo, in.RefundID, in.ByHand = "", "", true }, "0"},
		{"by hand, and by a refund", func(in *refundBookRequest, _ []Bill) { in.ByHand = true }, "INVALID"},
		{"by hand, and a note", func(in *refundBookRequest, _ []Bill) {
			in.OutRefundNo, in.RefundID, in.ByHand, in.Note = "", "", true, true
		}, "INVALID"},
		{"no cash went back", func(in *refundBookRequest, _ []Bill) {
			in.OutRefundNo, in.RefundID, in.RestParts = "", "", Parts{PooledFund: 6318, Cash: 1400, Uninsured: 9680}
		}, "0"},
		{"another patient's", func(in *refundBookRequest, _ []Bill) { in.PatientID = "P2" }, "NOT_FOUND"},
		{"rebill of what nobody bought", func(in *refundBookRequest, b []Bill) {
			in.refundRequest = anew(in.refundRequest, RefundLine{b[0].No, "x", "1", 1})
		}, "NOT_FOUND"},
		{"rebill of more than is left", func(in *refundBookRequest, b []Bill) {
			in.refundRequest = anew(in.refundRequest, tablets(b, "15", 1198))
		}, "NOT_FOUND"},
		{"rebill of less than is left", func(in *refundBookRequest, b []Bill) {
			in.refundRequest = anew(in.refundRequest, tablets(b, "13", 1038))
		}, "AMOUNT_WRONG"},
		{"rebill one fen more", func(in *refundBookRequest, b []Bill) {
			in.refundRequest = anew(in.refundRequest, tablets(b, "14", 1119))
		}, "AMOUNT_WRONG"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, bills := bought(t, Config{})
			in := moneyBack(giveUp("R1", tablets(bills, "10", 799)), 7718, 9680)
			tt.spoil(&in, bills)
			code := c.code(t, bookPath, asJSON(t, in))
			if booked := c.sim.Truth().Refunded > 0; code != tt.code || booked != (code == "0") {
				t.Errorf("code %s, booked %t, want %s", code, booked, tt.code)
			}
		})
	}
}

// TestRebill: the insurer took back the settlement as a whole. What nobody gave up is on new bills of the same visits, and what was handed
// out stays so.
func TestRebill(t *testing.T) {
	t.Parallel()
	c, bills := bought(t, Config{RegistersVisits: true})
	if _, err := c.sim.HandOut(bills[0].No, bills[0].Lines[0].No, "14"); err != nil {
		t.Fatal(err)
	}
	in := moneyBack(anew(giveUp("R1", tablets(bills, "10", 799)), labTest(bills), tablets(bills, "14", 1118)), 0, 9680)
	if code := c.code(t, holdPath, asJSON(t, giveUp("R2", labTest(bills)))); code != "0" {
		t.Fatal(code)
	}
	for path, body := range map[string]string{holdPath: asJSON(t, in.refundRequest), bookPath: asJSON(t, in)} {
		if code := c.code(t, path, body); code != "NOT_REFUNDABLE" {
			t.Errorf("%s: rebill of what another refund keeps: %s", path, code)
		}
	}
	if code := c.code(t, dropPath, `{"order_no":"7","refund_no":"R2"}`); code != "0" {
		t.Fatal(code)
	}
	if code := c.code(t, holdPath, asJSON(t, in.refundRequest)); code != "0" {
		t.Errorf("hold, though fourteen were handed out: %s", code)
	}
	if _, err := c.sim.HandOut(bills[1].No, bills[1].Lines[0].No, ""); !errors.Is(err, ErrHeld) {
		t.Errorf("HandOut of what is to be billed anew: %v", err)
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R1", tablets(bills, "10", 799)))); code != "DUPLICATE" {
		t.Errorf("hold with nothing to bill anew: %s", code)
	}
	_, out := c.do(t, c.request(bookPath, asJSON(t, in)))
	nos, _ := data(out)["rebilled_bill_nos"].([]any)
	if out["code"] != "0" || len(nos) != 2 {
		t.Fatalf("book = %v", out)
	}
	first, _ := c.sim.Bill(nos[0].(string))
	if first.State != Unpaid || first.TotalFen != 1118 || first.VisitNo != bills[0].VisitNo || first.VisitID != bills[0].VisitID ||
		first.PaidBy != "" || first.Lines[0].Quantity != "14" || first.Lines[0].No != first.No+"001" || first.check() != nil {
		t.Errorf("billed anew: %+v", first)
	}
	second, _ := c.sim.Bill(nos[1].(string))
	if second.TotalFen != 6600 || len(second.Lines) != 1 || second.VisitNo != bills[1].VisitNo || second.check() != nil {
		t.Errorf("billed anew: %+v", second)
	}
	if back, err := c.sim.TakeBack(first.No, first.Lines[0].No, ""); err != nil || !back.Quantity.IsZero() {
		t.Errorf("TakeBack of what was handed out before = %v, %v", back, err)
	}
	if truth := c.sim.Truth(); truth.Net != 9680 || truth.Refunds[0].TotalFen != 8517 {
		t.Errorf("truth = %+v", truth)
	}
	_, detail := c.do(t, c.request("/his/v1/bills/detail", `{"patient_id":"P1","bill_no":"`+bills[0].No+`"}`))
	if returned, _ := data(detail)["bill"].(map[string]any)["returned"].([]any); len(returned) != 2 {
		t.Errorf("returned = %v, want what was given up and what was billed anew", returned)
	}
	if code := c.code(t, holdPath, asJSON(t, giveUp("R3", labTest(bills)))); code != "NOT_FOUND" {
		t.Errorf("hold of what is billed anew: %s", code)
	}
}
