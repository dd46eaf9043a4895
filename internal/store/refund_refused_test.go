package store

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
)

// traces is whatever a request could leave behind.
type traces struct{ calls, refunds, events, lines, jobs, finished, version int64 }

func (c *crowd) traces(id order.ID) traces {
	c.t.Helper()
	rows := func(query string) int64 { return count(c.t, c.db, query, int64(id)) }
	return traces{int64(c.far.counted()), rows("SELECT COUNT(*) FROM refund WHERE order_id = ?"), rows("SELECT COUNT(*) FROM order_event WHERE order_id = ?"),
		rows("SELECT COUNT(*) FROM ledger_line WHERE order_id = ?"), rows("SELECT COUNT(*) FROM job WHERE ref = ?"), rows("SELECT COUNT(*) FROM job_history WHERE ref = ?"),
		rows("SELECT version FROM orders WHERE id = ?")}
}

// TestRefundRefused: what cannot go back is refused under its name before anybody is called, and leaves nothing behind.
func TestRefundRefused(t *testing.T) {
	t.Parallel()
	for _, m := range []manner{{name: "one leg after the other", pace: fast}, {name: "both legs together", joint: true, pace: fast}} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			c := openCrowd(t, m)
			s, other := c.sell(1), c.sell(2)
			one := s.items[1] // uninsured: wherever the legs move together, a part of it may go back
			part := func(quantity string) []refund.Want {
				return []refund.Want{{BillNo: one.bill, LineNo: one.line, Quantity: decimal.RequireFromString(quantity)}}
			}
			half := part("0.5")
			worth := one.worth(one.bought) - one.worth(one.bought-5)
			all := decimal.New(one.bought, -1)
			for _, tt := range []struct {
				name    string
				wants   []refund.Want
				total   money.Fen
				account patient.AccountID
				want    error
			}{
				{"negative", part("-1"), 0, 7, refund.ErrQuantity},
				{"negative by the least", part("-0.0001"), 0, 7, refund.ErrQuantity},
				{"zero", part("0"), 0, 7, refund.ErrQuantity},
				{"finer than anything is counted", part("0.00001"), 0, 7, refund.ErrQuantity},
				{"the least more than was bought", part(all.Add(decimal.New(1, -4)).String()), 0, 7, refund.ErrQuantity},
				{"far more than was bought", part("1e9"), 0, 7, refund.ErrQuantity},
				{"a bill by quantity", []refund.Want{{BillNo: one.bill, Quantity: decimal.New(1, 0)}}, 0, 7, refund.ErrQuantity},
				{"a fen more than it is worth", half, worth + 1, 7, refund.ErrAmount},
				{"a fen less than it is worth", half, worth - 1, 7, refund.ErrAmount},
				{"a negative amount", half, -worth, 7, refund.ErrAmount},
				{"more than was paid", half, 1 << 60, 7, refund.ErrAmount},
				{"an unknown line", []refund.Want{{BillNo: one.bill, LineNo: "9", All: true}}, 0, 7, refund.ErrLine},
				{"an unknown bill", []refund.Want{{BillNo: "Z", LineNo: one.line, All: true}}, 0, 7, refund.ErrLine},
				{"a line of another order", []refund.Want{{BillNo: other.items[1].bill, LineNo: one.line, All: true}}, 0, 7, refund.ErrLine},
				{"a line twice", append(part("0.1"), part("0.1")...), 0, 7, refund.ErrLine},
				{"a good one and a bad one", append(part("0.1"), refund.Want{BillNo: "Z", All: true}), 0, 7, refund.ErrLine},
				{"nothing", nil, 0, 7, refund.ErrLine},
				{"another account's order", half, 0, 8, order.ErrNotFound},
			} {
				before := c.traces(s.id)
				_, _, err := c.service.AskRefund(t.Context(), order.RefundAsk{By: refund.ByPatient, Actor: "account:7", Account: tt.account, Order: s.id, Key: tt.name,
					Wants: tt.wants, Total: tt.total, KeptAgain: true})
				if !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
				}
				if diff := cmp.Diff(before, c.traces(s.id), cmp.AllowUnexported(traces{})); diff != "" || before.calls != 0 {
					t.Errorf("%s left something behind (-before +after):\n%s", tt.name, diff)
				}
			}
			c.foreign(s, one)

			// The least right thing is not refused: the table is not about something else.
			if got := c.ask(s, ask{key: "right", wants: []wish{{bill: one.bill, line: one.line, tenths: 5}}}); got.err != nil {
				t.Errorf("half a piece: %v", got.err)
			}
			if c.traces(s.id).calls == 0 {
				t.Error("nobody was called for half a piece")
			}
		})
	}
}

// foreign lets another hospital's HIS ask for a refund of this order.
func (c *crowd) foreign(s *sold, one item) {
	c.t.Helper()
	before := c.traces(s.id)
	body, err := json.Marshal(refund.AskedByHIS{HISNo: "W1", OrderNo: s.id.No(), Total: one.worth(one.bought),
		Lines: []refund.Line{{BillNo: one.bill, LineNo: one.line, Quantity: decimal.New(one.bought, -1), Amount: one.worth(one.bought)}}})
	check(c.t, err)
	for _, source := range []string{"his/h9", "his/", "his"} {
		_, err = c.db.Inbox().Put(c.t.Context(), job.Notice{Source: source, ID: "n", Kind: refund.KindAsked, Number: s.id.No(), Body: body, ReceivedAt: now(c.db)})
		check(c.t, err)
		if handled, err := c.service.StepInbox(c.t.Context()); !handled || err != nil {
			c.t.Errorf("a notice from %s: %v, %v", source, handled, err)
		}
	}
	if diff := cmp.Diff(before, c.traces(s.id), cmp.AllowUnexported(traces{})); diff != "" {
		c.t.Errorf("another hospital's notice left something behind (-before +after):\n%s", diff)
	}
}
