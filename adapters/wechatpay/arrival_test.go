package wechatpay_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/wechatpay/wechatpaysim"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/recon"
)

// TestTradesArrive: both books of a day, held against each other as reconciliation does it, agree to the last flow.
func TestTradesArrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *wechatpaysim.Config) { c.WithdrawAt = 23 * time.Hour })
	for _, order := range []string{order1, "TK20261123000002", "TK20261123000003"} {
		w.paid(order)
	}
	refund := func(order, number string) {
		body, err := w.BuildRefund(payment.RefundOrder{OutTradeNo: order, OutRefundNo: number, Reason: "医院退费", Refund: 4000, Total: 12345})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Refund(t.Context(), body); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(2 * time.Minute)
	}
	refund(order1, "RF1")
	if err := w.sim.ScriptRefundsAfterBill("RF2", "SUCCESS", 1); err != nil {
		t.Fatal(err)
	}
	refund(order1, "RF2")
	refund("TK20261123000002", "RF3")
	w.clock.Advance(13 * time.Hour)
	for w.sim.Step(t.Context()) {
	}
	w.clock.Advance(12 * time.Hour)
	arrival := recon.Comparisons()[slices.IndexFunc(recon.Comparisons(), func(c recon.Comparison) bool { return c.Name == "arrival" })]
	c := recon.NewComparer(&arrival, t.TempDir())
	defer c.Close()
	var trades shelf
	if err := w.TradeBills().Fetch(t.Context(), today, nil, trades.keep); err != nil {
		t.Fatal(err)
	}
	if err := w.TradeBills().Read(trades.statements[0], strings.NewReader(trades.files[0]), func(l recon.Line) error { return c.AddLeft(&l) }); err != nil {
		t.Fatal(err)
	}
	var funds shelf
	if err := w.FundBills().Fetch(t.Context(), today, nil, funds.keep); err != nil {
		t.Fatal(err)
	}
	transfers := 0
	for i, of := range funds.statements {
		err := w.FundBills().Read(of, strings.NewReader(funds.files[i]), func(l recon.Line) error {
			if l.Leg != arrival.Leg {
				transfers++
				return nil
			}
			return c.AddRight(&l)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	equal := 0
	err := c.Compare(t.Context(), func(m *recon.Match) error {
		if !m.Equal() {
			t.Errorf("%+v\nagainst %+v", m.Left, m.Right)
		}
		equal++
		return nil
	})
	if err != nil || equal != 3*2+3*2 || transfers != 1 {
		t.Errorf("%d matches, %d transfers, %v", equal, transfers, err)
	}
}
