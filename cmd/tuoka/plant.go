//go:build plant

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

// plants are bugs that a simulation must find: known ways to lose money, put between the engine and its counterparts. They exist under the build
// tag plant alone, so that no program that anybody runs can have them.
var plants = map[string]func(*order.Party){
	"unknown-settle-failed": func(p *order.Party) { p.Insurer = failing{p.Insurer} },
	"refund-new-number":     func(p *order.Party) { p.Gateway = forgetful{p.Gateway} },
}

func plantFlag(cmd *cobra.Command, f *simulateFlags) {
	cmd.Flags().StringVar(&f.plant, "plant", "", "a known bug to find")
}

func planted(name string, p *order.Party) error {
	if name == "" {
		return nil
	}
	plant, ok := plants[name]
	if !ok {
		return fmt.Errorf("--plant %s: no such bug", name)
	}
	plant(p)
	return nil
}

var errTaken = fault.New(fault.Rejected, "PLANTED", "planted")

// taken reads unknown as failed.
func taken(err error) error {
	if err != nil && fault.InMoneyStep(err) != fault.Rejected {
		return errTaken.Because(err)
	}
	return err
}

type failing struct{ settlement.Insurer }

// Settle takes a lost answer for a refusal.
func (f failing) Settle(ctx context.Context, msgID string, c settlement.Claim) (settlement.Outcome, error) {
	out, err := f.Insurer.Settle(ctx, msgID, c)
	return out, taken(err)
}

type forgetful struct{ payment.Gateway }

// Refund repeats under another number what has had no answer.
func (f forgetful) Refund(ctx context.Context, body []byte) (payment.RefundStatus, error) {
	s, err := f.Gateway.Refund(ctx, body)
	if err == nil || fault.InMoneyStep(err) == fault.Rejected {
		return s, err
	}
	var named struct {
		No string `json:"out_refund_no"`
	}
	if bad := json.Unmarshal(body, &named); bad != nil {
		return s, err
	}
	return f.Gateway.Refund(ctx, bytes.Replace(body, []byte(named.No), []byte(named.No+"X"), 1))
}
