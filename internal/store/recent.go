package store

import (
	"cmp"
	"slices"
	"sync"

	"gorm.io/gorm"
)

// orderRows is an order as it is stored: what a reading finds, in order of seq, and what a write leaves. It is never changed once it is made.
type orderRows struct {
	order       orderRow
	bills       []billRow
	settlements []settlementRow
	payments    []paymentRow
	mixed       []mixedRow
	refunds     []refundRow
	head        *head // nil: not known
}

// head is what a write wants to know beside the rows: the last event's number, and whether a review case is open. All of it changes only together
// with the order's version.
type head struct {
	Seq   int64
	Cases int64
}

// mostRecent bounds the orders that are remembered. Beyond it all are forgotten: they are read again as they are needed.
const mostRecent = 2048

// recent remembers orders as this process last read or wrote them, still sealed. Every part of an order changes together with its version, so that
// whoever finds the version unchanged in the database need not read, verify and open the rest again.
type recent struct {
	mu     sync.Mutex
	orders map[int64]*orderRows
}

// of gives an order as it is remembered; nil when it is not.
func (r *recent) of(id int64) *orderRows {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.orders[id]
}

// same is of, where the database says of its row just that: a database that has lost a commit may come back to the same version by another way.
func (r *recent) same(id, version int64, mac string) *orderRows {
	if rows := r.at(id, version); rows != nil && rows.order.MAC == mac {
		return rows
	}
	return nil
}

// at is of, for that version alone.
func (r *recent) at(id, version int64) *orderRows {
	if rows := r.of(id); rows != nil && rows.order.Version == version {
		return rows
	}
	return nil
}

// keep remembers an order, unless a later version is remembered already.
func (r *recent) keep(rows *orderRows) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.orders[rows.order.ID]; known != nil && known.order.Version > rows.order.Version {
		return
	}
	if r.orders == nil || len(r.orders) >= mostRecent {
		r.orders = map[int64]*orderRows{}
	}
	r.orders[rows.order.ID] = rows
}

// drop forgets an order.
func (r *recent) drop(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.orders, id)
}

// Forget drops what is remembered of orders, for those who change the database behind the program's back.
func (db *DB) Forget() {
	db.recent.mu.Lock()
	defer db.recent.mu.Unlock()
	db.recent.orders = nil
}

// head is that of the version which is about to be moved. Where it must be read, that happens before the conditional update, and it is right
// whenever that succeeds.
func (w *writing) head(tx *gorm.DB) (h head, err error) {
	if w.before != nil && w.before.head != nil {
		return *w.before.head, nil
	}
	id := int64(w.o.ID)
	return h, tx.Raw(`SELECT (SELECT COALESCE(MAX(e.seq), 0) FROM order_event e WHERE e.order_id = ?) AS seq,
		(SELECT COUNT(*) FROM review_case c WHERE c.order_id = ? AND c.open_marker = 1) AS cases`, id, id).Scan(&h).Error
}

// merged is a list of rows, by their seq, after some of them were written.
func merged[T any](before, written []T, seq func(*T) int64) []T {
	if len(written) == 0 {
		return before
	}
	after := slices.Clone(before)
	for i := range written {
		at, found := slices.BinarySearchFunc(after, seq(&written[i]), func(r T, n int64) int { return cmp.Compare(seq(&r), n) })
		if found {
			after[at] = written[i]
		} else {
			after = slices.Insert(after, at, written[i])
		}
	}
	return after
}

// remember notes how the order stands after the commit. What was there before must be known.
func (w *writing) remember() {
	before := w.before
	if before == nil {
		w.db.recent.drop(w.order.ID)
		return
	}
	after := w.after // a copy: a pointer into w would keep the order in the clear, and all its former versions
	w.db.recent.keep(&orderRows{order: w.order, bills: w.bills, head: &after,
		settlements: merged(before.settlements, w.settlements, func(r *settlementRow) int64 { return r.Seq }),
		payments:    merged(before.payments, w.payments, func(r *paymentRow) int64 { return r.Seq }),
		mixed:       merged(before.mixed, w.mixed, func(r *mixedRow) int64 { return r.Seq }),
		refunds:     merged(before.refunds, w.refunds, func(r *refundRow) int64 { return r.Seq })})
}
