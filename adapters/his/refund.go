package his

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/order"
)

// HoldRefund asks the hospital to agree to a refund and to keep its items. A repeat with the same items is a success. Besides the refusals
// of package bill (ErrNotRefundable says why where all items have one reason): ErrAmountWrong, ErrHoldDropped, and ErrRequest for a number
// that holds other items. A number that is booked already is bill.ErrNoAnswer, for RefundOf to tell; every other doubt is Unknown.
func (c *Client) HoldRefund(ctx context.Context, r order.RefundRequest) error {
	o := operation{name: "refunds/hold", deadline: c.config.LockDeadline, codes: strings.Join([]string{codeNotFound, codeBillVoid,
		codeNotRefundable, codeAmountWrong, codeDuplicate}, " ")}
	in, err := refundOf(r)
	if err != nil {
		return ErrRequest.Because(fmt.Errorf("his %s: refund %s: %w", o.name, r.RefundNo, err))
	}
	key := refundKey{r.OrderNo, r.RefundNo}
	var out wireHold
	code, rest, err := c.call(ctx, o, in, &out)
	switch {
	case err != nil:
		return err
	case code == codeDuplicate:
		return heldBefore(o, rest, key, r)
	case code == codeNotRefundable:
		return notRefundable(o, rest)
	case code != codeDone:
		return refusal(o, code)
	}
	held, err := out.record(key)
	if err != nil {
		return unreadable(o, "%w", err)
	}
	if !sameLines(held, r.Lines) {
		return unreadable(o, "other items are held than were asked for")
	}
	return nil
}

// heldBefore is what it means that a number to be held is used already. A hold of just these items is what was asked for.
func heldBefore(o operation, data json.RawMessage, key refundKey, r order.RefundRequest) error {
	s, err := readStanding(data, key)
	switch {
	case err != nil:
		return unreadable(o, "duplicate: %w", err)
	case s.state == order.RefundDropped:
		return ErrHoldDropped.Because(fmt.Errorf("his %s: the number is spent", o.name))
	case s.state == order.RefundBooked:
		return bill.ErrNoAnswer.Because(fmt.Errorf("his %s: booked already: to be queried", o.name))
	case s.state != order.RefundHeld:
		return unreadable(o, "duplicate of nothing")
	case !sameLines(s.lines, r.Lines):
		return ErrRequest.Because(fmt.Errorf("his %s: the number holds other items", o.name))
	}
	return nil
}

func readStanding(data json.RawMessage, key refundKey) (standing, error) {
	var w wireStanding
	if err := into(data, &w); err != nil {
		return standing{}, err
	}
	return w.read(key)
}

// notRefundable says why, where all items have one reason.
func notRefundable(o operation, data json.RawMessage) error {
	refused := bill.ErrNotRefundable.Because(fmt.Errorf("his %s: code %s", o.name, codeNotRefundable))
	var why stuck
	if err := into(data, &why); err != nil || len(why.Lines) == 0 {
		return refused // a refusal is one without its reasons, too
	}
	for _, l := range why.Lines {
		if l.Reason != why.Lines[0].Reason {
			return refused
		}
	}
	text, ok := map[string]string{
		"dispensed": "药品已发放，请先到药房办理退药后再申请退费",
		"executed":  "项目已执行，请先到执行科室办理退检后再申请退费",
		"other":     "所选项目暂不能退费，请咨询医院收费处",
	}[why.Lines[0].Reason]
	if !ok {
		return refused
	}
	return refused.Saying(text)
}

// DropRefund ends a hold; nothing to drop is a success. A number that is booked, or another order's, is ErrRequest.
func (c *Client) DropRefund(ctx context.Context, orderNo, refundNo string) error {
	o := operation{name: "refunds/drop", deadline: c.config.LockDeadline, codes: codeNone + " " + codeDuplicate}
	var out refundKey
	code, _, err := c.call(ctx, o, refundKey{orderNo, refundNo}, &out)
	switch {
	case err != nil:
		return err
	case code == codeDuplicate:
		return refusal(o, code)
	case code == codeDone && out != refundKey{orderNo, refundNo}:
		return unreadable(o, "another refund was dropped")
	}
	return nil
}

// BookRefund enters a refund whose money is back in the hospital's books. A repeat whose record equals ours is a success; a record with
// other items or amounts under our number is unreadable, for a person to see. Refusals: bill.ErrNotFound, ErrVoid, ErrNotRefundable and
// ErrMaintenance, ErrAmountWrong, and ErrRequest for a number that holds other items. Every other doubt is Unknown, for RefundOf to clear.
func (c *Client) BookRefund(ctx context.Context, b order.RefundBooking) (order.BookedRefund, error) {
	o := operation{name: "refunds/book", deadline: c.config.PostDeadline, codes: strings.Join([]string{codeNotFound, codeBillVoid,
		codeNotRefundable, codeAmountWrong, codeDuplicate}, " ")}
	in, err := bookingOf(b)
	if err != nil {
		return order.BookedRefund{}, ErrRequest.Because(fmt.Errorf("his %s: refund %s: %w", o.name, b.RefundNo, err))
	}
	key := refundKey{b.OrderNo, b.RefundNo}
	var out wireBooking
	code, rest, err := c.call(ctx, o, in, &out)
	var booked booking
	switch {
	case err != nil:
		return order.BookedRefund{}, err
	case code == codeDuplicate:
		if booked, err = bookedBefore(o, rest, key); err != nil {
			return order.BookedRefund{}, err
		}
	case code == codeNotRefundable:
		return order.BookedRefund{}, notRefundable(o, rest)
	case code != codeDone:
		return order.BookedRefund{}, refusal(o, code)
	default:
		if booked, err = out.record(key); err != nil {
			return order.BookedRefund{}, unreadable(o, "%w", err)
		}
	}
	if !booked.equals(b) {
		return order.BookedRefund{}, unreadable(o, "refund %s stands in the books with other items or amounts", b.RefundNo)
	}
	return booked.BookedRefund, nil
}

// bookedBefore is the record under a number that is used already.
func bookedBefore(o operation, data json.RawMessage, key refundKey) (booking, error) {
	s, err := readStanding(data, key)
	switch {
	case err != nil:
		return booking{}, unreadable(o, "duplicate: %w", err)
	case s.state == order.RefundHeld:
		return booking{}, ErrRequest.Because(fmt.Errorf("his %s: the number holds other items", o.name))
	case s.state != order.RefundBooked:
		return booking{}, unreadable(o, "duplicate of nothing")
	}
	return s.booking, nil
}

// RefundOf asks what became of our refund number. Each state must come with its evidence: money is given back on it.
func (c *Client) RefundOf(ctx context.Context, orderNo, refundNo string) (order.RefundStanding, error) {
	o := operation{name: "refunds/query", deadline: c.config.QueryDeadline}
	key := refundKey{orderNo, refundNo}
	var out wireStanding
	if _, _, err := c.call(ctx, o, key, &out); err != nil {
		return order.RefundStanding{}, err
	}
	s, err := out.read(key)
	if err != nil {
		return order.RefundStanding{}, unreadable(o, "%w", err)
	}
	return order.RefundStanding{State: s.state, Booked: s.BookedRefund, Total: s.total, Rest: s.rest}, nil
}
