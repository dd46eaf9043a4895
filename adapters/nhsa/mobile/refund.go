package mobile

import (
	"context"
	"errors"
	"fmt"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// Refund is 6203 (医保退费) for the whole settlement, the same data with every repeat. Only a signed answer decides: SUCC is done, FAIL is a no;
// EXP, and whatever else, is unknown. What lacks something was not sent.
func (c *Client) Refund(ctx context.Context, r settlement.GiveBack) error {
	data, err := c.refundData(r)
	if err != nil {
		return fmt.Errorf("refund: %w", ErrNotSent.Because(err))
	}
	out, err := c.send(ctx, message{number: "6203", data: data, wait: c.cfg.Timeouts.Refund, hide: hidden(r.Claim)})
	if err == nil {
		err = errors.Join(out.same("payOrdId", r.Claim.Upload.PayOrdID), out.same("appRefdSn", r.Number))
	}
	if err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	status, err := out.text("refStatus")
	switch {
	case err != nil:
		return fmt.Errorf("refund: %w", err)
	case !out.signed:
		return fmt.Errorf("refund: %w", ErrUnproved.Because(errors.New("an unsigned answer moves no money")))
	case status == "SUCC":
		return nil
	case status == "FAIL":
		said, _ := out.text("message")
		return fmt.Errorf("refund: %w", saying(ErrRefused, sensitive.Scrub(said, hidden(r.Claim)...)).Because(errors.New("refStatus FAIL")))
	}
	return fmt.Errorf("refund: %w", ErrUnproved.Because(errors.New("refStatus is neither SUCC nor FAIL")))
}

// refundData is the business object of 6203 with exactly one credential. HI gives back the insurance part and carries no cash, ALL repeats
// everything that was paid. othFeeAmt has no member of its own and stands in the total alone.
func (c *Client) refundData(r settlement.GiveBack) (map[string]any, error) {
	f, cash := r.Figures, money.Fen(0)
	if c.cfg.RefundType == "ALL" {
		cash = f.Cash
	}
	total, err := money.Add(f.Fund, f.Account, f.Other, cash)
	if err != nil || total < 0 || r.At.IsZero() {
		return nil, errors.New("amounts or appRefdTime out of range")
	}
	credential := r.Claim.Person.Token
	if c.cfg.RefundCredential == ecToken {
		credential = r.Claim.Upload.ECToken
	}
	data := map[string]any{"payOrdId": r.Claim.Upload.PayOrdID, "appRefdSn": r.Number, "appRefdTime": r.At.In(clock.Shanghai).Format("20060102150405"),
		"totlRefdAmt": total.String(), "cashRefdAmt": cash.String(), "psnAcctRefdAmt": f.Account.String(), "fundRefdAmt": f.Fund.String(),
		"refdType": c.cfg.RefundType, "outTradeNo": r.OutTradeNo, c.cfg.RefundCredential: credential.Reveal()}
	return data, ready(data, []string{"payOrdId", "appRefdSn", "appRefdTime", c.cfg.RefundCredential})
}
