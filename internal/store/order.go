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

// Create inserts a new order with its bills, attempts and events, its job, and the idempotency record (none for a zero key), in one
// transaction. order.ErrBillLive when one of the bills is in a live order; job.ErrBusy when the key is there already.
func (s Orders) Create(ctx context.Context, o *order.Order, j job.New, key job.Key, rec job.Replay) (job.Claim, error) {
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
	if rec.Ref == "" {
		rec.Ref = o.ID.No()
	}
	var claim job.Claim
	err = s.db.write(ctx, func(tx *gorm.DB) error {
		if key != (job.Key{}) {
			if err := s.db.addReplay(tx, o.Institution, key, rec); err != nil {
				return instead(err, job.ErrBusy)
			}
		}
		if err := insert(s.db, tx, w.order); err != nil {
			return err
		}
		if err := s.db.addBills(tx, o); err != nil {
			return err
		}
		if err := w.saveLegs(tx); err != nil {
			return err
		}
		if err := w.addEvents(tx, 0); err != nil {
			return err
		}
		if err := w.reviews(tx, head{}); err != nil {
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
		var err error
		if moved, err = s.db.moveJob(tx, *claim, next); err != nil {
			return err
		}
		was, err := headOf(tx, o)
		if err != nil {
			return err
		}
		if err := w.moveOrder(tx); err != nil {
			return err
		}
		if err := s.db.moveBills(tx, o); err != nil {
			return err
		}
		if err := w.saveLegs(tx); err != nil {
			return err
		}
		if err := w.addEvents(tx, was.Seq); err != nil {
			return err
		}
		return w.reviews(tx, was)
	})
	if err != nil {
		return fmt.Errorf("save order %s: %w", o.ID.No(), instead(err, order.ErrNumberTaken.Because(err)))
	}
	w.stored()
	*claim = moved
	return nil
}

// moveOrder moves the order's own row. What refunds reserve is bounded here, by what the insurer saw of the order and by what it never saw
// (design.md §4.5): a version that stands is not enough.
func (w *writing) moveOrder(tx *gorm.DB) error {
	o := w.o
	if len(o.Refunds) == 0 {
		return move(w.db, tx, &w.order, orderMoves(), "id = ? AND version = ?", int64(o.ID), o.Version)
	}
	insured, uninsured := int64(o.RefundInsured), int64(o.RefundUninsured)
	return move(w.db, tx, &w.order, orderMoves(), `id = ? AND version = ? AND total_fen - ? <= total_fen AND total_fen - ? <= total_fen AND ? <= total_fen - uninsured_fen AND ? <= uninsured_fen`,
		int64(o.ID), o.Version, insured, uninsured, insured, uninsured)
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

// head is what a move wants to know of the order's version that it moves. It is read before the conditional update and is right whenever
// that succeeds: all of it changes only together with the version.
type head struct {
	State string
	Seq   int64 // of the last event
	Cases int64 // open review cases
}

func headOf(tx *gorm.DB, o *order.Order) (head, error) {
	var heads []head
	err := tx.Raw(`SELECT o.state AS state,
		(SELECT COALESCE(MAX(e.seq), 0) FROM order_event e WHERE e.order_id = o.id) AS seq,
		(SELECT COUNT(*) FROM review_case c WHERE c.order_id = o.id AND c.open_marker = 1) AS cases
		FROM orders o WHERE o.id = ? AND o.version = ?`, int64(o.ID), o.Version).Scan(&heads).Error
	if err != nil {
		return head{}, err
	}
	if len(heads) == 0 {
		return head{}, job.ErrLost
	}
	return heads[0], nil
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
}

func (db *DB) writing(o *order.Order) (*writing, error) {
	if db.vault == nil {
		return nil, ErrNoVault
	}
	if err := checkOrder(o); err != nil {
		return nil, err
	}
	w := &writing{db: db, o: o, at: db.clock.Now()}
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
	o.Version, o.UpdatedAt, o.CreatedAt, o.Events = w.order.Version, w.at, moment(w.order.CreatedUS), nil
	o.Vote = nil
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
func (db *DB) addBills(tx *gorm.DB, o *order.Order) error {
	rows := make([]billRow, len(o.Bills))
	for i := range o.Bills {
		var err error
		if rows[i], err = db.billRowOf(o, i, db.ids.ID()); err != nil {
			return err
		}
	}
	return instead(insert(db, tx, rows...), order.ErrBillLive)
}

// moveBills replaces the copies of bills that were read anew, adds and removes bills, and gives them back once the order is not live. A mark
// that was given back stays so: a late payment of a closed order takes no bill from the order that came after it.
func (db *DB) moveBills(tx *gorm.DB, o *order.Order) error {
	var rows []billRow // details stay closed: digest and total tell whether they changed
	if err := tx.Omit("detail_sealed").Where("order_id = ?", int64(o.ID)).Find(&rows).Error; err != nil {
		return err
	}
	stored := make(map[string]billRow, len(rows))
	live := false
	for _, r := range rows {
		stored[r.BillNo] = r
		live = live || r.Live != nil
	}
	for i := range o.Bills {
		b := &o.Bills[i]
		was, found := stored[b.Bill.No]
		delete(stored, b.Bill.No)
		if found && b.Digest != "" && was.Digest == b.Digest && was.TotalFen == int64(b.Bill.Total) && was.Seq == int64(i+1) {
			continue
		}
		if err := db.putBill(tx, o, i, was.ID); err != nil {
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
	}
	return nil
}

// putBill writes the order's bill i over the row with that id, or as a new row without one.
func (db *DB) putBill(tx *gorm.DB, o *order.Order, i int, id int64) error {
	if id == 0 {
		r, err := db.billRowOf(o, i, db.ids.ID())
		if err != nil {
			return err
		}
		return instead(insert(db, tx, r), order.ErrBillLive)
	}
	r, err := db.billRowOf(o, i, id)
	if err != nil {
		return err
	}
	return move(db, tx, &r, []string{"seq", "total_fen", "digest", "detail_sealed"}, "id = ? AND order_id = ?", r.ID, r.OrderID)
}
