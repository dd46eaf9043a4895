package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/refund"
)

type caseRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	OrderID     int64
	Cause       string `gorm:"size:32"`
	OpenMarker  *int64
	Version     int64
	OpenedUS    int64
	ClosedUS    int64
	Outcome     string `gorm:"size:16"`
}

// TableName is the table's name.
func (caseRow) TableName() string { return "review_case" }

// toReview reports whether people must look at an order, or at a refund of it, and why.
func toReview(o *order.Order) (cause string, inReview bool) {
	if f := o.Refund(); f != nil && f.State == refund.InReview && o.State == order.Completed {
		return f.Cause, true
	}
	return string(o.Cause), o.State == order.InReview
}

type voteRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	CaseID      int64
	Person      string `gorm:"size:64"`
	Position    string `gorm:"size:16"`
	Decision    string `gorm:"size:32"`
	Verdict     string `gorm:"size:300"`
	Reason      string `gorm:"size:500"`
	AtUS        int64
	MAC         string `gorm:"size:80"`
}

// TableName is the table's name.
func (voteRow) TableName() string { return "review_vote" }

// rejected is the outcome of a case whose checker did not agree: another takes its place.
const rejected = "rejected"

// reviews opens a case when the order, or a refund of it, is in review and has none; takes a vote; and closes the case when the order has left,
// or when the checker did not agree.
func (w *writing) reviews(tx *gorm.DB, open int64) error {
	cause, inReview := toReview(w.o)
	again := false
	if v := w.o.Vote; v != nil {
		if err := w.vote(tx, v); err != nil {
			return err
		}
		again = v.Verdict.Outcome == order.ToReject
	}
	w.after.Cases = 0
	if inReview {
		w.after.Cases = 1
	}
	if open > 0 && (!inReview || again) {
		outcome := string(w.o.State)
		if again {
			outcome = rejected
		}
		if _, err := change(tx, `UPDATE review_case SET open_marker = NULL, closed_us = ?, outcome = ?, version = version + 1
			WHERE order_id = ? AND open_marker = 1`, micros(w.at), outcome, int64(w.o.ID)); err != nil {
			return err
		}
	}
	if inReview && (open == 0 || again) {
		return insert(w.db, tx, caseRow{ID: w.db.ids.ID(), Institution: w.o.Institution, OrderID: int64(w.o.ID), Cause: cause,
			OpenMarker: mark(true), Version: 1, OpenedUS: micros(w.at)})
	}
	return nil
}

// vote adds a person's word to the open case, and to the audit records. That the same person holds no second position, and no position is held twice, are unique keys.
func (w *writing) vote(tx *gorm.DB, v *order.Vote) error {
	var cases []int64
	if err := tx.Raw("SELECT id FROM review_case WHERE order_id = ? AND open_marker = 1", int64(w.o.ID)).Scan(&cases).Error; err != nil {
		return err
	}
	if len(cases) == 0 {
		return order.ErrNoCase
	}
	err := instead(insert(w.db, tx, voteRow{ID: w.db.ids.ID(), Institution: w.o.Institution, CaseID: cases[0], Person: v.Person, Position: string(v.Position),
		Decision: string(v.Verdict.Outcome), Verdict: v.Verdict.String(), Reason: clip(v.Reason, 500), AtUS: micros(v.At)}), order.ErrVoted)
	if err != nil {
		return err
	}
	return w.db.record(tx, audit.Record{At: v.At, Institution: w.o.Institution, Actor: v.Person, Action: "review.vote", Object: "order:" + w.o.ID.No(), Result: "ok",
		Detail: string(v.Position) + " " + v.Verdict.String()})
}

// OpenCase gives the case that people have to judge, with the votes so far, each verified. order.ErrNoCase.
func (s Orders) OpenCase(ctx context.Context, id order.ID) (order.Case, error) {
	cases, err := s.cases(ctx, func(tx *gorm.DB) *gorm.DB { return tx.Where("order_id = ? AND open_marker = 1", int64(id)) })
	if err != nil {
		return order.Case{}, fmt.Errorf("case of order %s: %w", id.No(), err)
	}
	if len(cases) == 0 {
		return order.Case{}, order.ErrNoCase
	}
	return cases[0], nil
}

// Cases lists the open cases of an institution ("": of all), oldest first, at most 100.
func (s Orders) Cases(ctx context.Context, institution string, limit int) ([]order.Case, error) {
	cases, err := s.cases(ctx, func(tx *gorm.DB) *gorm.DB {
		tx = tx.Where("open_marker = 1")
		if institution != "" {
			tx = tx.Where("institution = ?", institution)
		}
		return tx.Order("opened_us, id").Limit(min(limit, mostListed))
	})
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	return cases, nil
}

func (s Orders) cases(ctx context.Context, which func(tx *gorm.DB) *gorm.DB) ([]order.Case, error) {
	var cases []order.Case
	err := s.db.opened(ctx, func() error {
		cases = nil
		return s.db.snapshot(ctx, func(tx *gorm.DB) error {
			rows, err := find[caseRow](s.db, which(tx))
			if err != nil {
				return err
			}
			for _, r := range rows {
				votes, err := find[voteRow](s.db, tx.Where("case_id = ?", r.ID).Order("at_us, id"))
				if err != nil {
					return err
				}
				c := order.Case{ID: r.ID, Institution: r.Institution, Order: order.ID(r.OrderID), Cause: order.Cause(r.Cause), OpenedAt: moment(r.OpenedUS)}
				for _, v := range votes {
					verdict, err := order.ParseVerdict(v.Verdict)
					if err != nil {
						return ErrTampered.Because(fmt.Errorf("vote %d: %w", v.ID, err))
					}
					c.Votes = append(c.Votes, order.Vote{Person: v.Person, Position: order.Position(v.Position), Verdict: verdict, Reason: v.Reason, At: moment(v.AtUS)})
				}
				cases = append(cases, c)
			}
			return nil
		})
	})
	return cases, err
}
