package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/settlement"
)

// Settle is 2207 under msgID, which the caller stored before. A success that cannot be trusted is Unknown: 2601 must follow.
func (c *Client) Settle(ctx context.Context, msgID string, claim settlement.Claim) (settlement.Outcome, error) {
	v, err := visitOf(claim.Bills)
	if err != nil {
		return settlement.Outcome{}, err
	}
	in, err := c.settleInput(claim, v, claim.Visit)
	if err == nil {
		in = in.echo(claim.Echo)
		err = errors.Join(checkMsgID(msgID), check(in))
	}
	if err != nil {
		return settlement.Outcome{}, fmt.Errorf("settle, 2207: %w", err)
	}
	var out settleOutput
	head, err := c.send(ctx, c.about(claim, "2207", msgID, "data", in), &out)
	if err != nil {
		return settlement.Outcome{}, fmt.Errorf("settle, 2207: %w", err)
	}
	a, err := c.read(out, claim, msgID)
	if err == nil && (out.Info.SetlID == "" || len(out.Info.SetlID) > 30) {
		err = ErrUnreadable.Because(errors.New("a settlement without setl_id"))
	}
	if err != nil {
		return settlement.Outcome{}, fmt.Errorf("settle, 2207: %w", err)
	}
	done := settlement.Outcome{SetlID: string(out.Info.SetlID), Split: a.split, SettledAt: c.settledAt(out.Info, head),
		ClrOptins: string(out.Info.ClrOptins), ClrWay: string(out.Info.ClrWay), ClrType: string(out.Info.ClrType)}
	defaults(&done.ClrOptins, c.cfg.Profile.ClrOptins)
	defaults(&done.ClrWay, c.cfg.Profile.ClrWay)
	defaults(&done.ClrType, c.cfg.Profile.ClrType)
	return done, nil
}

// settledAt is the platform's own time, which decides the day of reconciliation: setl_time, else respond_time, else our clock.
func (c *Client) settledAt(i *setlinfo, head reply) time.Time {
	for _, t := range []struct{ layout, text string }{{dateTime, string(i.SettledAt)}, {"20060102150405", string(head.RespondTime[:min(14, len(head.RespondTime))])}} {
		if at, err := time.ParseInLocation(t.layout, t.text, clock.Shanghai); err == nil {
			return at.UTC()
		}
	}
	return c.cfg.Clock.Now()
}

func checkMsgID(msgID string) error {
	if len(msgID) != 30 {
		return incomplete("a msgid of %d characters", len(msgID))
	}
	return nil
}

// move sends a call about a visit that may move money: 2208 or 2601.
func (c *Client) move(ctx context.Context, infno, msgID string, visit settlement.Visit, input, out any) error {
	if err := errors.Join(checkMsgID(msgID), check(input)); err != nil {
		return err
	}
	_, err := c.send(ctx, message{infno: infno, msgID: msgID, coverageArea: visit.CoverageArea, input: map[string]any{"data": input},
		wait: c.cfg.Timeouts.Settle}, out)
	return err
}

// Reverse is 2601 under msgID for the lost 2207 or 2208 whose message was originalMsgID. Only infcode counts; there is no output node.
func (c *Client) Reverse(ctx context.Context, msgID string, visit settlement.Visit, original, originalMsgID string) error {
	if original != "2207" && original != "2208" {
		return incomplete("2601 undoes 2207 and 2208, not %q", original)
	}
	in := reverseInput{PersonNo: visit.PersonNo, MsgID: originalMsgID, Infno: original}
	if err := c.move(ctx, "2601", msgID, visit, in, nil); err != nil {
		return fmt.Errorf("reverse %s, 2601: %w", original, err)
	}
	return nil
}

// Cancel is 2208 under msgID. infcode 0 is believed whatever the mirror image looks like (nulls, pdn_cash_pay, none at all), unless it names
// another visit.
func (c *Client) Cancel(ctx context.Context, msgID string, visit settlement.Visit, setlID string) error {
	var out loosely
	in := cancelInput{SetlID: setlID, MdtrtID: visit.MdtrtID, PersonNo: visit.PersonNo}
	if err := c.move(ctx, "2208", msgID, visit, in, &out); err != nil {
		return fmt.Errorf("cancel, 2208: %w", err)
	}
	if out.Info.MdtrtID != "" && string(out.Info.MdtrtID) != visit.MdtrtID {
		return fmt.Errorf("cancel, 2208: %w", ErrUnreadable.Because(errors.New("the answer is about another visit")))
	}
	return nil
}

// loosely is the little that is looked at in an answer to 2208.
type loosely struct {
	Info struct {
		MdtrtID loose `json:"mdtrt_id"`
	} `json:"setlinfo"`
}

// InForce asks 5203. A settlement that the platform does not know is Rejected; an answer without refd_setl_flag decides nothing and is
// Unknown, unless its amounts are negative, as only those of a cancellation are.
func (c *Client) InForce(ctx context.Context, visit settlement.Visit, setlID string) (bool, error) {
	in := queryInput{PersonNo: visit.PersonNo, SetlID: setlID, MdtrtID: visit.MdtrtID}
	if err := check(in); err != nil {
		return false, fmt.Errorf("query, 5203: %w", err)
	}
	var out settleOutput
	_, err := c.send(ctx, message{infno: "5203", msgID: c.MsgID(), coverageArea: visit.CoverageArea, input: map[string]any{"data": in},
		wait: c.cfg.Timeouts.Query}, &out)
	if err != nil {
		return false, fmt.Errorf("query, 5203: %w", err)
	}
	switch i := out.Info; {
	case i == nil, i.SetlID != "" && string(i.SetlID) != setlID, i.MdtrtID != "" && string(i.MdtrtID) != visit.MdtrtID:
		return false, fmt.Errorf("query, 5203: %w", ErrUnreadable.Because(errors.New("no setlinfo, or of another settlement")))
	case i.Refunded == "1" || (i.Total.Present && i.Total.Fen < 0):
		return false, nil
	case i.Refunded == "0":
		return true, nil
	}
	return false, fmt.Errorf("query, 5203: %w", ErrUnreadable.Because(errors.New("no refd_setl_flag")))
}

// Withdraw is 2205, then 2202 if the visit is ours. A refused 2205 does not keep 2202 from being tried; the refusal of the last call sent is
// what comes back.
func (c *Client) Withdraw(ctx context.Context, claim settlement.Claim) error {
	at := claim.Visit
	if at.MdtrtID == "" {
		return nil
	}
	err := c.withdrawRows(ctx, claim)
	if err != nil && (fault.KindOf(err) != fault.Rejected || !at.Ours) {
		return fmt.Errorf("withdraw, 2205: %w", err)
	}
	if !at.Ours {
		return nil
	}
	in := visitRef{PersonNo: at.PersonNo, MdtrtID: at.MdtrtID, VisitNo: at.VisitNo}
	if err = check(in); err == nil {
		_, err = c.send(ctx, c.about(claim, "2202", c.MsgID(), "data", in), nil)
	}
	if err != nil {
		return fmt.Errorf("withdraw, 2202: %w", err)
	}
	return nil
}
