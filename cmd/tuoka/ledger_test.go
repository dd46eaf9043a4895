package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

// TestLedgerVerify: sound books pass; whatever is changed or taken away in the database behind the program's back is found, by the number of its order and
// with the difference, and the other orders are still verified.
func TestLedgerVerify(t *testing.T) {
	t.Parallel()
	m := playMorning(t)
	verify := func(data string, args ...string) (string, error) {
		return (&desk{t: t, data: data}).tuoka(nil, "ledger", append([]string{"verify"}, args...)...)
	}
	out, err := verify(m.data)
	if err != nil || !strings.Contains(out, "5 个订单，0 处差异") || !regexp.MustCompile(`合计 +0\.00`).MatchString(out) {
		t.Fatalf("sound books: %v\n%s", err, out)
	}
	if out, err := verify(m.data, "--institution", "h2"); err != nil || !strings.Contains(out, "1 个订单，0 处差异") {
		t.Errorf("one hospital's books: %v\n%s", err, out)
	}
	if out, err = (&desk{t: t, data: m.data}).tuoka(nil, "ledger", "balances"); err != nil || !contains(out, "h1", "h2", "wechat_cash", "pooled_fund", "revenue") {
		t.Errorf("balances: %v\n%s", err, out)
	}
	whole, part, mixed := m.sound[0], m.sound[1], m.sound[2]
	const event = "(SELECT id FROM order_event WHERE order_id = ? AND "
	for _, tt := range []struct {
		name  string
		order string
		spoil []string // each with the order's number in every place
		says  string
	}{
		{"a line's amount", whole, []string{"UPDATE ledger_line SET amount_fen = amount_fen + 1 WHERE id = (SELECT MIN(id) FROM ledger_line WHERE order_id = ?)"}, "改动"},
		{"a line's account", whole, []string{"UPDATE ledger_line SET account = 'wechat_fee' WHERE order_id = ? AND account = 'wechat_cash'"}, "改动"},
		{"a line is gone", whole, []string{"DELETE FROM ledger_line WHERE id = (SELECT MAX(id) FROM ledger_line WHERE order_id = ?)"}, "改动"},
		{"all lines of an event are gone", whole, []string{"DELETE FROM ledger_line WHERE event_id = " + event + "verb = 'pay')"}, "moves 0.00 at WeChat"},
		{"all lines of the booking are gone", whole, []string{"DELETE FROM ledger_line WHERE event_id = " + event + "subject = 'his' AND verb = 'posted')"}, "revenue is 0.00"},
		{"an event's amount", whole, []string{"UPDATE order_event SET cash_fen = cash_fen + 1 WHERE order_id = ? AND verb = 'pay'"}, "改动"},
		{"who did it", whole, []string{"UPDATE order_event SET actor = 'staff:1' WHERE order_id = ? AND verb = 'confirm'"}, "改动"},
		{"an event with its lines is gone", whole, []string{"DELETE FROM ledger_line WHERE event_id = " + event + "verb = 'pay')",
			"DELETE FROM order_event WHERE order_id = ? AND verb = 'pay'"}, "is followed by event"},
		{"an event without its lines is gone", whole, []string{"DELETE FROM order_event WHERE order_id = ? AND verb = 'pay'"}, "is followed by event"},
		{"an event that posts nothing is gone", whole, []string{"DELETE FROM order_event WHERE order_id = ? AND verb = 'confirm'"}, "is followed by event"},
		{"the last event is gone", whole, []string{"DELETE FROM order_event WHERE id = (SELECT id FROM order_event WHERE order_id = ? ORDER BY seq DESC LIMIT 1)"},
			"its last event says posting"},
		{"all events are gone", whole, []string{"DELETE FROM ledger_line WHERE order_id = ?", "DELETE FROM order_event WHERE order_id = ?"}, "the events have begun 0"},
		{"who pays the order", whole, []string{"UPDATE orders SET pooled_fund_fen = pooled_fund_fen + 1, cash_fen = cash_fen - 1 WHERE id = ?"}, "改动"},
		{"where the order stands", whole, []string{"UPDATE orders SET state = 'closed' WHERE id = ?"}, "改动"},
		{"a bill is gone", whole, []string{"DELETE FROM order_bill WHERE order_id = ?"}, "改动"},
		{"a bill's amount", whole, []string{"UPDATE order_bill SET total_fen = total_fen + 1 WHERE order_id = ?"}, "改动"},
		{"a payment's amount", whole, []string{"UPDATE payment SET amount_fen = amount_fen + 1 WHERE order_id = ?"}, "改动"},
		{"a payment's state", whole, []string{"UPDATE payment SET state = 'closed' WHERE order_id = ?"}, "改动"},
		{"a payment is gone", whole, []string{"DELETE FROM payment WHERE order_id = ?"}, "at WeChat, the payments 0.00"},
		{"a settlement's amount", whole, []string{"UPDATE settlement SET actual_pooled_fund_fen = actual_pooled_fund_fen + 1, actual_cash_fen = actual_cash_fen - 1 WHERE order_id = ?"}, "改动"},
		{"a settlement is gone", whole, []string{"DELETE FROM settlement WHERE order_id = ?"}, "of subject settlement are there"},
		{"a refund's cash", part, []string{"UPDATE refund SET cash_fen = cash_fen + 1 WHERE order_id = ?"}, "改动"},
		{"a refund is gone", part, []string{"DELETE FROM refund WHERE order_id = ?"}, "改动"},
		{"a refund is gone, and its promise", part, []string{"DELETE FROM refund WHERE order_id = ?", "UPDATE orders SET refund_insured_fen = 0, refund_uninsured_fen = 0 WHERE id = ?"}, "改动"},
		{"a mixed order is gone", mixed, []string{"DELETE FROM mixed_order WHERE order_id = ?"}, "of subject mixed are there"},
		{"a mixed order's number", mixed, []string{"UPDATE mixed_order SET mix_trade_no = 'another' WHERE order_id = ?"}, "改动"},
		{"a line of another order", whole, []string{"UPDATE ledger_line SET order_id = order_id + 1 WHERE event_id = " + event + "verb = 'pay')"}, "moves 0.00 at WeChat"},
		{"the order is gone, its lines are not", "", []string{"DELETE FROM orders WHERE id = " + whole}, "总账共"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := m.copied(t)
			db := openFile(t, data)
			for _, statement := range tt.spoil {
				var args []any
				if strings.Contains(statement, "?") {
					args = []any{tt.order}
				}
				done, err := db.ExecContext(t.Context(), statement, args...)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := done.RowsAffected(); n == 0 || err != nil {
					t.Fatalf("%s changed nothing: %v", statement, err)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			d := &desk{t: t, data: data}
			out, err := d.tuoka(nil, "ledger", "verify")
			if !errors.Is(err, errDiffers) || !contains(out, tt.order, tt.says) {
				t.Errorf("ledger verify: %v, want a difference with %q\n%s", err, tt.says, out)
			}
			if n := strings.Count(out, " 个订单，"); n != 1 {
				t.Errorf("the end is not told:\n%s", out)
			}
			for _, number := range append([]string{m.refund, m.order}, m.sound...) {
				if number != tt.order && strings.Contains(out, "订单 "+number) {
					t.Errorf("order %s is sound and was named:\n%s", number, out)
				}
			}
		})
	}
}
