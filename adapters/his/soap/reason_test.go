package soap

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/split"
)

// TestReasonsInGBK: what a patient says in a refund's reason and the vendor's charset lacks is left out, and keeps no refund from its hold.
func TestReasonsInGBK(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	p := order.Posting{OrderNo: "7", HISPatient: "P1", Bills: []order.PostedBill{{No: w.bill.No, Total: 1917}}, Total: 1917,
		Split: split.AllCash(1917), OutTradeNo: "T1", TransactionID: "42", PaidAt: w.clock.Now()}
	if _, err := w.client.Post(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	r := order.RefundRequest{OrderNo: "7", RefundNo: "R1", HISPatient: "P1", Whole: true, Total: 1917, Reason: "开错了😀，㛃",
		Lines: []refund.Line{{BillNo: w.bill.No, LineNo: w.bill.Lines[0].No, Quantity: decimal.NewFromInt(24), Amount: 1917}}}
	if err := w.client.HoldRefund(t.Context(), r); err != nil {
		t.Fatalf("HoldRefund = %v", err)
	}
	if sent, err := decoded([]byte(w.sent), "GBK"); err != nil || !strings.Contains(string(sent), "开错了，&amp;") {
		t.Errorf("sent %s, %v", sent, err)
	}
}
