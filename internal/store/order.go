package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
)

// Orders keeps orders with their bills, attempts, events, ledger lines and review cases.
type Orders struct{ db *DB }

var _ order.Store = Orders{}

// Orders gives the order store.
func (db *DB) Orders() Orders { return Orders{db} }

// Create inserts a new order with its bills, attempts and events, its job, and the record of its request, in one transaction. order.ErrBillLive when
// one of the bills is in a live order; job.ErrBusy when the request's key is there already.
func (s Orders) Create(ctx context.Context, o *order.Order, j job.New) (job.Claim, error) {
	w, err := s.db.writing(o)
	if err == nil && o.Version != 0 {
		err = refuse("it is stored already")
	}
	if err == nil {
		err = checkJob(o, j.Kind, j.Ref)
	}
	if err != nil {
		return job.Claim{}, fmt.Errorf("create order %s: %w", o.ID.No(), err)
	}
	var claim job.Claim
	err = s.db.write(ctx, func(tx *gorm.DB) error {
		if err := w.addRequest(tx); err != nil {
			return err
		}
		if err := s.db.ready(ctx, &w.order); err != nil { // signed here, since it is remembered with its signature
			return err
		}
		if err := insert(s.db, tx, w.order); err != nil {
			return err
		}
		if err := w.addBills(tx); err != nil {
			return err
		}
		if err := w.saveLegs(tx); err != nil {
			return err
		}
		if err := w.addEvents(tx, 0); err != nil {
			return err
		}
		if err := w.reviews(tx, 0); err != nil {
			return err
		}
		var err error
		claim, err = s.db.addJob(tx, o.Institution, j)
		return err
	})
	if err != nil {
		return job.Claim{}, fmt.Errorf("create order %s: %w", o.ID.No(), err)
	}
	w.stored()
	return claim, nil
}

// Save writes what changed of an order, and what becomes of its job, in one transaction. job.ErrLost when the claim or any row has moved on:
// then nothing was written. order.ErrNumberTaken when another order has a number of this one. Only a success touches o and claim.
func (s Orders) Save(ctx context.Context, o *order.Order, claim *job.Claim, next job.Next) error {
	if claim == nil {
		return fmt.Errorf("save order %s: %w", o.ID.No(), job.ErrLost)
	}
	w, err := s.db.writing(o)
	if err == nil {
		err = checkJob(o, claim.Kind, claim.Ref)
	}
	if err != nil {
		return fmt.Errorf("save order %s: %w", o.ID.No(), err)
	}
	var moved job.Claim
	err = s.db.write(ctx, func(tx *gorm.DB) error {
		moved = *claim
		if !next.Stay {
			var err error
			if moved, err = s.db.moveJob(tx, *claim, next); err != nil {
				return err
			}
		}
		if err := w.addRequest(tx); err != nil {
			return err
		}
		if o.Notice != 0 {
			if err := markNotice(tx, o.Notice, w.at); err != nil {
				return err
			}
		}
		was, err := w.head(tx)
		if err != nil {
			return err
		}
		if err := w.moveOrder(tx, *claim, next.Stay); err != nil {
			return err
		}
		if err := w.moveBills(tx); err != nil {
			return err
		}
		if err := w.saveLegs(tx); err != nil {
			return err
		}
		if err := w.addEvents(tx, was.Seq); err != nil {
			return err
		}
		return w.reviews(tx, was.Cases)
	})
	if err != nil { // a request whose key is there has its own answer
		return fmt.Errorf("save order %s: %w", o.ID.No(), instead(err, order.ErrNumberTaken.Because(err)))
	}
	w.stored()
	*claim = moved
	return nil
}

// moveOrder moves the order's own row. What refunds reserve is bounded here, by what the insurer saw of the order and by what it never saw
// (design.md §4.5): a version that stands is not enough. Where the claim stays as it is, that it is held is part of the same condition.
func (w *writing) moveOrder(tx *gorm.DB, claim job.Claim, stays bool) error {
	o := w.o
	where, args := "id = ? AND version = ?", []any{int64(o.ID), o.Version}
	if len(o.Refunds) > 0 {
		insured, uninsured := int64(o.RefundInsured), int64(o.RefundUninsured)
		where += " AND total_fen - ? <= total_fen AND total_fen - ? <= total_fen AND ? <= total_fen - uninsured_fen AND ? <= uninsured_fen"
		args = append(args, insured, uninsured, insured, uninsured)
	}
	if stays {
		held, of := fence(claim)
		where += " AND EXISTS (SELECT 1 FROM job WHERE " + held + ")"
		args = append(args, of...)
	}
	return move(w.db, tx, &w.order, orderMoves(), where, args...)
}

// Revive creates the job of an order that has none, due at that time. order.ErrNotFound without the order.
func (s Orders) Revive(ctx context.Context, id order.ID, at time.Time) error {
	err := s.db.write(ctx, func(tx *gorm.DB) error {
		var institution []string
		if err := tx.Raw("SELECT institution FROM orders WHERE id = ?", int64(id)).Scan(&institution).Error; err != nil {
			return err
		}
		if len(institution) == 0 {
			return order.ErrNotFound
		}
		_, err := s.db.addJob(tx, institution[0], job.New{Kind: order.JobKind, Ref: id.No(), RunAt: at})
		return err
	})
	if duplicate(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("revive order %s: %w", id.No(), err)
	}
	return nil
}

func checkJob(o *order.Order, kind, ref string) error {
	if kind != order.JobKind || ref != o.ID.No() {
		return refuse("the job is %s %s", kind, ref)
	}
	return nil
}

// instead answers better for a number that was there already.
func instead(err, better error) error {
	if duplicate(err) {
		return better
	}
	return err
}

// writing is one Create or Save: the rows, sealed before the transaction begins, and what to note on the order when it has committed.
type writing struct {
	db          *DB
	o           *order.Order
	at          time.Time
	order       orderRow
	settlements []settlementRow // those that changed; what closes comes before what opens, so that one at most is open at any moment
	payments    []paymentRow
	mixed       []mixedRow
	refunds     []refundRow
	before      *orderRows // as it is stored; nil: not known
	bills       []billRow  // all of them, as they will be stored
	after       head       // likewise
	request     replayRow  // the record of the order's request, where it has one
}

func (db *DB) writing(o *order.Order) (*writing, error) {
	if db.vault == nil {
		return nil, ErrNoVault
	}
	if err := checkOrder(o); err != nil {
		return nil, err
	}
	w := &writing{db: db, o: o, at: db.clock.Now(), before: &orderRows{}}
	if o.Version > 0 {
		w.before = db.recent.at(int64(o.ID), o.Version)
	}
	var err error
	if w.order, err = db.rowOf(o); err != nil {
		return nil, err
	}
	w.order.Version, w.order.UpdatedUS = o.Version+1, micros(w.at)
	if w.order.CreatedUS == 0 {
		w.order.CreatedUS = w.order.UpdatedUS
	}
	for _, closed := range []bool{true, false} {
		for _, t := range o.Settlements {
			if (!t.Changed() && t.Version > 0) || t.Open() == closed {
				continue
			}
			r, err := db.settlementRowOf(o, t)
			if err != nil {
				return nil, fmt.Errorf("settlement %d: %w", t.ID, err)
			}
			w.settlements = append(w.settlements, r)
		}
		for _, p := range o.Payments {
			if (!p.Changed() && p.Version > 0) || p.State.Final() != closed {
				continue
			}
			r, err := db.paymentRowOf(o, p)
			if err != nil {
				return nil, fmt.Errorf("payment %d: %w", p.ID, err)
			}
			w.payments = append(w.payments, r)
		}
		for _, m := range o.Mixed {
			if (!m.Changed() && m.Version > 0) || m.State.Final() != closed {
				continue
			}
			r, err := db.mixedRowOf(o, m)
			if err != nil {
				return nil, fmt.Errorf("mixed order %d: %w", m.ID, err)
			}
			w.mixed = append(w.mixed, r)
		}
	}
	for _, f := range o.Refunds {
		if !f.Changed() && f.Version > 0 {
			continue
		}
		r, err := db.refundRowOf(o, f)
		if err != nil {
			return nil, fmt.Errorf("refund %d: %w", f.ID, err)
		}
		w.refunds = append(w.refunds, r)
	}
	return w, nil
}

// saveLegs inserts the attempts that are new and moves the others, each by its own version.
func (w *writing) saveLegs(tx *gorm.DB) error {
	for i := range w.settlements {
		r := &w.settlements[i]
		if err := saveLeg(w.db, tx, r, settlementMoves(), r.Version, legOf, r.ID, r.OrderID, r.Version-1); err != nil {
			return fmt.Errorf("settlement %d: %w", r.ID, err)
		}
	}
	for i := range w.payments {
		r := &w.payments[i]
		bound := legOf + " AND ? BETWEEN 0 AND amount_fen" // never more back than was paid, whatever the version says
		if err := saveLeg(w.db, tx, r, paymentMoves(), r.Version, bound, r.ID, r.OrderID, r.Version-1, r.RefundReservedFen); err != nil {
			return fmt.Errorf("payment %d: %w", r.ID, err)
		}
	}
	for i := range w.mixed {
		r := &w.mixed[i]
		if err := saveLeg(w.db, tx, r, mixedMoves(), r.Version, legOf, r.ID, r.OrderID, r.Version-1); err != nil {
			return fmt.Errorf("mixed order %d: %w", r.ID, err)
		}
	}
	return w.saveRefunds(tx)
}

// legOf names a row of an order at the version that was read.
const legOf = "id = ? AND order_id = ? AND version = ?"

// saveLeg inserts a row whose next version is the first, and moves any other where the condition holds.
func saveLeg[T any](db *DB, tx *gorm.DB, row *T, columns []string, version int64, where string, args ...any) error {
	if version == 1 {
		return insert(db, tx, *row)
	}
	return move(db, tx, row, columns, where, args...)
}

// stored brings the order up to date after the commit.
func (w *writing) stored() {
	o := w.o
	w.remember()
	o.Version, o.UpdatedAt, o.CreatedAt, o.Events = w.order.Version, w.at, moment(w.order.CreatedUS), nil
	o.Vote, o.Notice = nil, 0
	if o.Request != nil {
		o.Request.Record, o.Request = w.request.ID, nil
	}
	for _, t := range o.Settlements {
		if t.Changed() || t.Version == 0 {
			t.Stored(t.Version + 1)
		}
	}
	for _, p := range o.Payments {
		if p.Changed() || p.Version == 0 {
			p.Stored(p.Version + 1)
		}
	}
	for _, m := range o.Mixed {
		if m.Changed() || m.Version == 0 {
			m.Stored(m.Version + 1)
		}
	}
	for _, f := range o.Refunds {
		if f.Changed() || f.Version == 0 {
			f.Stored(f.Version + 1)
		}
	}
}

// addBills inserts the bills of a new order. order.ErrBillLive when one is in a live order.
func (w *writing) addBills(tx *gorm.DB) error {
	w.bills = make([]billRow, len(w.o.Bills))
	for i := range w.o.Bills {
		var err error
		if w.bills[i], err = w.db.billRowOf(w.o, i, w.db.ids.ID()); err != nil {
			return err
		}
	}
	return instead(insert(w.db, tx, w.bills...), order.ErrBillLive)
}

// moveBills replaces the copies of bills that were read anew, adds and removes bills, and gives them back once the order is not live. A mark
// that was given back stays so: a late payment of a closed order takes no bill from the order that came after it.
func (w *writing) moveBills(tx *gorm.DB) error {
	o := w.o
	rows, err := w.storedBills(tx)
	if err != nil {
		return err
	}
	stored := make(map[string]billRow, len(rows))
	live := false
	for _, r := range rows {
		stored[r.BillNo] = r
		live = live || r.Live != nil
	}
	w.bills = make([]billRow, len(o.Bills))
	for i := range o.Bills {
		b := &o.Bills[i]
		was, found := stored[b.Bill.No]
		delete(stored, b.Bill.No)
		if found && b.Digest != "" && was.Digest == b.Digest && was.TotalFen == int64(b.Bill.Total) && was.Seq == int64(i+1) {
			w.bills[i] = was
			continue
		}
		if w.bills[i], err = w.putBill(tx, i, was); err != nil {
			return err
		}
	}
	for _, r := range stored {
		if _, err := change(tx, "DELETE FROM order_bill WHERE id = ? AND order_id = ?", r.ID, int64(o.ID)); err != nil {
			return err
		}
	}
	if live && !o.Live() {
		if _, err := change(tx, "UPDATE order_bill SET live = NULL WHERE order_id = ? AND live = 1", int64(o.ID)); err != nil {
			return err
		}
		for i := range w.bills {
			w.bills[i].Live = nil
		}
	}
	return nil
}

// storedBills are the order's bills as they are stored. Where they must be read, details stay closed: digest and total tell whether they changed.
func (w *writing) storedBills(tx *gorm.DB) (rows []billRow, err error) {
	if w.before != nil {
		return w.before.bills, nil
	}
	return rows, tx.Omit("detail_sealed").Where("order_id = ?", int64(w.o.ID)).Find(&rows).Error
}

// putBill writes the order's bill i over the row that was, or as a new row where there was none, and gives the row.
func (w *writing) putBill(tx *gorm.DB, i int, was billRow) (billRow, error) {
	if was.ID == 0 {
		r, err := w.db.billRowOf(w.o, i, w.db.ids.ID())
		if err != nil {
			return billRow{}, err
		}
		return r, instead(insert(w.db, tx, r), order.ErrBillLive)
	}
	r, err := w.db.billRowOf(w.o, i, was.ID)
	if err != nil {
		return billRow{}, err
	}
	r.Live = was.Live
	return r, move(w.db, tx, &r, []string{"seq", "total_fen", "digest", "detail_sealed"}, "id = ? AND order_id = ?", r.ID, r.OrderID)
}
