package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// refundable is what the API says can be asked back.
type refundable struct {
	Lines []struct {
		BillNo   string `json:"bill_no"`
		LineNo   string `json:"line_no"`
		Insured  bool   `json:"insured"`
		Quantity string `json:"quantity"`
	} `json:"lines"`
}

// giveBack asks for the order, or a part of it, and waits until it is back on every side, refused, or a matter for people.
func (p *player) giveBack(ctx context.Context) error {
	var left refundable
	path := "/orders/" + p.order.ID + "/refundable"
	if err := p.persist(ctx, func(ctx context.Context) error { return p.call(ctx, http.MethodGet, path, nil, &left) }); err != nil {
		return err
	}
	if len(left.Lines) == 0 {
		return nil
	}
	body, key := p.wanted(left), p.client.chance.Nonce(24)
	if err := p.persist(ctx, func(ctx context.Context) error { return p.askBack(ctx, key, body) }); err != nil {
		return err
	}
	for !p.order.over() {
		seen := p.order.Version
		for _, r := range p.order.Refunds {
			if r.WaitsForAuthorisation && r.State == "held" {
				if err := p.persist(ctx, p.authorise); err != nil {
					return err
				}
			}
		}
		if err := p.look(ctx); err != nil {
			return err
		}
		if p.order.Version == seen {
			if err := p.client.clock.Sleep(ctx, p.client.chance.Spread(lookAgain)); err != nil {
				return err
			}
		}
	}
	return nil
}

// wanted is the whole for one patient in three; for the others an item, or one piece of several.
func (p *player) wanted(left refundable) map[string]any {
	if p.seed%3 == 0 {
		return map[string]any{"whole": true, "reason": "不需要了"}
	}
	l := left.Lines[int(p.seed/3)%len(left.Lines)] //nolint:gosec // a seed is no secret
	line := map[string]string{"bill_no": l.BillNo, "line_no": l.LineNo}
	if p.seed%3 == 1 && !strings.Contains(l.Quantity, ".") && l.Quantity != "1" {
		line["quantity"] = "1"
	}
	return map[string]any{"whole": false, "lines": []any{line}, "kept_again": true, "reason": "退药"}
}

// askBack asks under one key until there is an answer.
func (p *player) askBack(ctx context.Context, key string, body any) error {
	a, err := p.client.ask(ctx, http.MethodPost, "/api/v1/orders/"+p.order.ID+"/refunds", p.token, key, body)
	if err != nil {
		return err
	}
	switch {
	case a.status == http.StatusCreated:
		return json.Unmarshal(a.body, &p.order)
	case a.status == http.StatusAccepted || (a.status == http.StatusConflict && (a.problem() == "ORDER_BUSY" || a.problem() == "CLAIM_LOST")):
		return errors.Join(errAgain, fmt.Errorf("refund: status %d %s", a.status, a.problem()))
	}
	return fmt.Errorf("refund: status %d %s", a.status, a.problem())
}
