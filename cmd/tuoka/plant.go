//go:build plant

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// plants are bugs that a simulation must find: known ways to lose money, put between the engine of one process and what it stands on. They exist
// under the build tag plant alone, so that no program that anybody runs can have them.
var plants = map[string]func(*scene, *house, []*order.Party){
	"retry-under-new-number": each(func(p *order.Party) { p.Gateway = forgetful{p.Gateway} }),
	"unknown-read-as-failed": each(func(p *order.Party) { p.Insurer = failing{p.Insurer} }),
	"answer-not-compared":    each(func(p *order.Party) { p.Insurer = trusting{p.Insurer, map[string]split.Split{}} }),
	"reversal-in-flight":     each(func(p *order.Party) { p.Insurer = hasty{p.Insurer} }),
	"missing-bound":          func(_ *scene, h *house, _ []*order.Party) { h.store = boundless{h.store} },
	"lost-lease":             func(s *scene, h *house, _ []*order.Party) { h.store = stubborn{h.store, s} },
}

func each(plant func(*order.Party)) func(*scene, *house, []*order.Party) {
	return func(_ *scene, _ *house, parties []*order.Party) {
		for _, p := range parties {
			plant(p)
		}
	}
}

func plantFlag(cmd *cobra.Command, f *simulateFlags) {
	cmd.Flags().StringVar(&f.plant, "plant", "", "a known bug to find")
}

func planted(s *scene, h *house, parties []*order.Party) error {
	if s.theatre.plant == "" {
		return nil
	}
	plant, ok := plants[s.theatre.plant]
	if !ok {
		return fmt.Errorf("--plant %s: no such bug", s.theatre.plant)
	}
	plant(s, h, parties)
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

type trusting struct {
	settlement.Insurer
	foreseen map[string]split.Split // by visit
}

// Presettle remembers what is foreseen.
func (t trusting) Presettle(ctx context.Context, c settlement.Claim) (settlement.Presettlement, error) {
	p, err := t.Insurer.Presettle(ctx, c)
	t.foreseen[c.Visit.VisitNo] = p.Split
	return p, err
}

// Settle believes that what was foreseen came to pass, whatever the answer says.
func (t trusting) Settle(ctx context.Context, msgID string, c settlement.Claim) (settlement.Outcome, error) {
	out, err := t.Insurer.Settle(ctx, msgID, c)
	if was, ok := t.foreseen[c.Visit.VisitNo]; ok && err == nil {
		out.Split = was
	}
	return out, err
}

type hasty struct{ settlement.Insurer }

// Settle takes a call that had no answer back at once, while it may still be on its way.
func (h hasty) Settle(ctx context.Context, msgID string, c settlement.Claim) (settlement.Outcome, error) {
	out, err := h.Insurer.Settle(ctx, msgID, c)
	if err == nil || fault.InMoneyStep(err) == fault.Rejected {
		return out, err
	}
	ctx = context.WithoutCancel(ctx)
	if h.Reverse(ctx, h.MsgID(), c.Visit, "2207", msgID) == nil {
		return out, errTaken.Because(err)
	}
	return out, err
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

type boundless struct{ order.Store }

// Load forgets what earlier refunds have taken.
func (b boundless) Load(ctx context.Context, id order.ID) (*order.Order, error) {
	o, err := b.Store.Load(ctx, id)
	if err == nil {
		forget(o)
	}
	return o, err
}

// LoadForWork forgets it, too.
func (b boundless) LoadForWork(ctx context.Context, id order.ID) (*order.Order, job.Job, bool, error) {
	o, j, found, err := b.Store.LoadForWork(ctx, id)
	if err == nil {
		forget(o)
	}
	return o, j, found, err
}

func forget(o *order.Order) {
	if o.Refund() != nil {
		return
	}
	for _, f := range o.Refunds {
		f.Lines = nil
	}
	for _, p := range o.Payments {
		p.RefundReserved = 0
	}
	o.RefundInsured, o.RefundUninsured = 0, 0
}

type stubborn struct {
	order.Store
	scene *scene
}

// Save writes although somebody else has taken over.
func (b stubborn) Save(ctx context.Context, o *order.Order, claim *job.Claim, next job.Next) error {
	err := b.Store.Save(ctx, o, claim, next)
	if !errors.Is(err, job.ErrLost) {
		return err
	}
	now, bad := b.Load(ctx, o.ID)
	if bad != nil {
		return err
	}
	if bad := b.scene.theatre.broom.QueryRowContext(ctx, "SELECT version, owner FROM job WHERE ref = ?", claim.Ref).Scan(&claim.Version, &claim.Owner); bad != nil {
		return err
	}
	o.Version = now.Version
	for i, s := range now.Settlements[:min(len(now.Settlements), len(o.Settlements))] {
		o.Settlements[i].Version = s.Version
	}
	for i, p := range now.Payments[:min(len(now.Payments), len(o.Payments))] {
		o.Payments[i].Version = p.Version
	}
	for i, m := range now.Mixed[:min(len(now.Mixed), len(o.Mixed))] {
		o.Mixed[i].Version = m.Version
	}
	for i, f := range now.Refunds[:min(len(now.Refunds), len(o.Refunds))] {
		o.Refunds[i].Version = f.Version
	}
	return b.Store.Save(ctx, o, claim, next)
}
