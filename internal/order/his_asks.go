package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
)

// This file is what a HIS may tell and ask besides what makes an order look.

// Archives follows the HIS where it merges the archives of one person. Package patient does it.
type Archives interface {
	// Merge lets the patients of an archive that ended have the one that remains. An error that is no refusal: later.
	Merge(ctx context.Context, institution string, m patient.Merged) error
}

// merged handles a notice of merged archives. Orders and refunds keep the archive that they began with; the HIS takes it until they end. Killed anywhere, it is
// handled again: before it is stored the HIS repeats it; before, between or after the changes of its patients it is unread, and those who followed are
// no longer found.
func (s *Service) merged(ctx context.Context, institution string, n job.Stored) (fate, error) {
	m, err := patient.ReadMerged(n.Body)
	if err != nil || s.config.Archives == nil {
		return handled, err
	}
	if err = s.config.Archives.Merge(ctx, institution, m); err != nil && !decided(err) {
		return unhandled, err
	}
	return handled, err
}

// HISBooks finds what a HIS asked for.
type HISBooks interface {
	// ByHISRefund finds the order of a refund by the HIS's own number. ErrNotFound.
	ByHISRefund(ctx context.Context, institution, no string) (ID, error)
	// Told reports whether a notice about that number is in the inbox, whether it was handled, and why nothing came of it ("CODE words").
	Told(ctx context.Context, source, id, number string) (found, handled bool, refusal string, err error)
}

// RefundForHIS tells a HIS what became of a refund that it asked for, from our own books alone. An order that is not the one it asked for leaves the
// refund unknown.
func (s *Service) RefundForHIS(ctx context.Context, institution, orderNo, no string) (refund.Standing, error) {
	out := refund.Standing{HISNo: no, OrderNo: orderNo, Known: refund.NotKnown}
	fail := func(err error) (refund.Standing, error) {
		return refund.Standing{}, fmt.Errorf("refund asked by the HIS of %s: %w", institution, err)
	}
	found, done, refusal, err := s.config.HISBooks.Told(ctx, "his/"+institution, no, orderNo) // first: a refund that is made in between is found below
	if err != nil {
		return fail(err)
	}
	id, err := s.config.HISBooks.ByHISRefund(ctx, institution, no)
	switch {
	case err == nil:
		o, err := s.store.Load(ctx, id)
		if err != nil {
			return fail(err)
		}
		for _, f := range o.Refunds {
			if f.HISNo == no && o.ID.No() == orderNo {
				return f.Standing(orderNo), nil
			}
		}
	case !errors.Is(err, ErrNotFound):
		return fail(err)
	case found && !done:
		out.Known = refund.KnownAsked
	case found: // no refund came of it; without a reason the order was not known
		out.Known = refund.KnownRefused
		out.Cause, out.Said, _ = strings.Cut(cmp.Or(refusal, refusalOf(ErrNotFound)), " ")
	}
	return out, nil
}

// refusalOf writes down why nothing came of a notice, so that its sender can be told.
func refusalOf(err error) string {
	if f, ok := fault.Find(err); ok {
		return f.Code + " " + f.Msg
	}
	return fault.Internal.String()
}
