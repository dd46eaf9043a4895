package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/recon"
)

// reconcileAll has the sandbox reconcile every hospital's days since begun, and counts the differences that no order in people's hands explains.
func (c *phoneClient) reconcileAll(ctx context.Context, r *result, players []*player, begun time.Time) error {
	for _, h := range c.about.Hospitals {
		for day := recon.DayOf(begun); !recon.DayOf(c.clock.Now()).Before(day); day = day.Add(1) {
			end, err := c.reconcileDay(ctx, h.Institution, day)
			if err != nil {
				return fmt.Errorf("reconcile %s of %s: %w", day, h.Institution, err)
			}
			r.dayEnded(h.Institution, day, end, players)
		}
	}
	return nil
}

func (c *phoneClient) reconcileDay(ctx context.Context, institution string, day recon.Day) (*dayEnd, error) {
	body, err := json.Marshal(map[string]string{"institution": institution, "day": day.String()})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.about.Ops+"/reconcile", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var end struct {
		dayEnd
		Error string `json:"error"`
	}
	if err := json.NewDecoder(res.Body).Decode(&end); err != nil {
		return nil, err
	}
	if end.Error != "" {
		return nil, fmt.Errorf("%s", end.Error)
	}
	return &end.dayEnd, nil
}

// dayEnded takes a hospital's day into the result. A book that is missing, a self-proof that is not whole, and a difference of an order that nobody has in hand are
// findings; that every line is matched or in a difference, the run itself sees to.
func (r *result) dayEnded(institution string, day recon.Day, end *dayEnd, players []*player) {
	r.Reconciled += end.Lines
	r.Differences += len(end.Differences)
	find := func(format string, args ...any) {
		r.Unexplained++
		r.findings = append(r.findings, fmt.Sprintf("reconciliation of %s, %s: ", institution, day)+fmt.Sprintf(format, args...))
	}
	for book, why := range end.Missing {
		find("no book of %s: %s", book, why)
	}
	if !end.Proof.Whole() {
		find("of %d planted differences %d were found, %d by name, and %d others: %v", end.Proof.Planted, end.Proof.Found, end.Proof.Named, end.Proof.Extra, end.Proof.Wrong)
	}
	for i := range end.Differences {
		d := &end.Differences[i]
		i := slices.IndexFunc(players, func(p *player) bool { return d.about(&p.order) })
		if i < 0 || !players[i].order.inHand() {
			find("%s in %s of %s: left %+v, right %+v", d.Kind, d.Comparison, d.AmountFen, d.Left, d.Right)
		}
	}
}

// inHand reports whether people have an order, or a refund of it, before them.
func (o *orderView) inHand() bool {
	return o.State == "review" || slices.ContainsFunc(o.Refunds, func(f refundView) bool { return f.State == "in_review" })
}

// about reports whether a difference is about an order.
func (d *dayDifference) about(o *orderView) bool {
	numbers := []string{o.ID}
	for _, p := range o.Payments {
		numbers = append(numbers, p.OutTradeNo)
	}
	for _, s := range o.Settlements {
		numbers = append(numbers, s.SetlID)
	}
	for _, f := range o.Refunds {
		numbers = append(numbers, f.ID)
	}
	for _, l := range slices.Concat(d.Left, d.Right) {
		for _, no := range l.Numbers {
			if no != "" && slices.Contains(numbers, no) {
				return true
			}
		}
	}
	return false
}
