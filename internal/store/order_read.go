package store

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
)

// mostListed bounds a page of orders.
const mostListed = 100

// Load reads an order with all attempts, every row verified when it was read. order.ErrNotFound; ErrTampered.
func (s Orders) Load(ctx context.Context, id order.ID) (*order.Order, error) {
	if s.db.recent.of(int64(id)) == nil {
		return s.loadAt(ctx, id, 0, "")
	}
	var now []struct {
		Version int64
		MAC     string
	}
	if err := s.db.read(ctx).Raw("SELECT version, mac FROM orders WHERE id = ?", int64(id)).Scan(&now).Error; err != nil {
		return nil, fmt.Errorf("load order %s: %w", id.No(), translated(err))
	}
	if len(now) == 0 {
		return nil, order.ErrNotFound
	}
	return s.loadAt(ctx, id, now[0].Version, now[0].MAC)
}

// loadAt reads an order of which a moment ago that version was the last, with that signature: what is remembered of it serves.
func (s Orders) loadAt(ctx context.Context, id order.ID, version int64, mac string) (*order.Order, error) {
	if rows := s.db.recent.same(int64(id), version, mac); rows != nil {
		if o, err := s.db.assemble(rows); err == nil {
			return o, nil
		}
		s.db.recent.drop(int64(id)) // sealed by a key that was retired: read again
	}
	orders, err := s.load(ctx, func(tx *gorm.DB) *gorm.DB { return tx.Where("id = ?", int64(id)) })
	if err != nil {
		return nil, fmt.Errorf("load order %s: %w", id.No(), err)
	}
	if len(orders) == 0 {
		return nil, order.ErrNotFound
	}
	return orders[0], nil
}

// LoadForWork is Load with the order's job as it stood no later; false when the job is done.
func (s Orders) LoadForWork(ctx context.Context, id order.ID) (*order.Order, job.Job, bool, error) {
	var found []struct {
		OrderVersion int64
		OrderMAC     string
		Job          jobRow `gorm:"embedded"`
	}
	err := s.db.read(ctx).Raw(`SELECT o.version AS order_version, o.mac AS order_mac, COALESCE(j.id, 0) AS id, o.institution AS institution, COALESCE(j.run_us, 0) AS run_us, COALESCE(j.due_us, 0) AS due_us,
		COALESCE(j.attempt, 0) AS attempt, COALESCE(j.version, 0) AS version, COALESCE(j.owner, '') AS owner, COALESCE(j.note, '') AS note
		FROM orders o LEFT JOIN job j ON j.kind = ? AND j.ref = ? WHERE o.id = ?`, order.JobKind, id.No(), int64(id)).Scan(&found).Error
	if err != nil {
		return nil, job.Job{}, false, fmt.Errorf("order %s and its job: %w", id.No(), translated(err))
	}
	if len(found) == 0 {
		return nil, job.Job{}, false, order.ErrNotFound
	}
	row := found[0].Job
	row.Kind, row.Ref = order.JobKind, id.No()
	o, err := s.loadAt(ctx, id, found[0].OrderVersion, found[0].OrderMAC)
	return o, row.job(), row.ID != 0, err
}

// List gives an account's orders, newest first, before the given order (0: from the newest), at most 100.
func (s Orders) List(ctx context.Context, account patient.AccountID, before order.ID, limit int) ([]*order.Order, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	if limit <= 0 {
		return nil, nil
	}
	orders, err := s.load(ctx, func(tx *gorm.DB) *gorm.DB {
		return tx.Where("account_id = ? AND id < ?", int64(account), int64(before)).Order("id DESC").Limit(min(limit, mostListed))
	})
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return orders, nil
}

// load reads orders in six statements, however many they are.
func (s Orders) load(ctx context.Context, which func(tx *gorm.DB) *gorm.DB) ([]*order.Order, error) {
	var orders []*order.Order
	err := s.db.opened(ctx, func() error {
		all, err := s.rows(ctx, which)
		if err != nil {
			return err
		}
		orders = make([]*order.Order, len(all))
		for i, rows := range all {
			if orders[i], err = s.db.assemble(rows); err != nil {
				return err
			}
			s.db.recent.keep(rows)
		}
		return nil
	})
	return orders, err
}

// rows reads orders with all that belongs to them, verified.
func (s Orders) rows(ctx context.Context, which func(tx *gorm.DB) *gorm.DB) ([]*orderRows, error) {
	var all []*orderRows
	err := s.db.snapshot(ctx, func(tx *gorm.DB) error {
		orders, err := find[orderRow](s.db, which(tx))
		if err != nil || len(orders) == 0 {
			return err
		}
		all = make([]*orderRows, len(orders))
		byID := make(map[int64]*orderRows, len(orders))
		ids := make([]int64, len(orders))
		for i, r := range orders {
			all[i], ids[i] = &orderRows{order: r}, r.ID
			byID[r.ID] = all[i]
		}
		parts := func() *gorm.DB { return tx.Where("order_id IN ?", ids).Order("order_id, seq") }
		return errors.Join(
			share(s.db, parts(), func(r billRow) { o := byID[r.OrderID]; o.bills = append(o.bills, r) }),
			share(s.db, parts(), func(r settlementRow) { o := byID[r.OrderID]; o.settlements = append(o.settlements, r) }),
			share(s.db, parts(), func(r paymentRow) { o := byID[r.OrderID]; o.payments = append(o.payments, r) }),
			share(s.db, parts(), func(r mixedRow) { o := byID[r.OrderID]; o.mixed = append(o.mixed, r) }),
			share(s.db, parts(), func(r refundRow) { o := byID[r.OrderID]; o.refunds = append(o.refunds, r) }))
	})
	return all, err
}

// share reads rows and hands each out.
func share[T any](db *DB, query *gorm.DB, to func(T)) error {
	rows, err := find[T](db, query)
	for _, r := range rows {
		to(r)
	}
	return err
}

// assemble opens an order's rows and puts them together.
func (db *DB) assemble(rows *orderRows) (*order.Order, error) {
	o, err := db.orderOf(rows.order)
	if err != nil {
		return nil, err
	}
	var sum money.Fen
	for _, r := range rows.bills {
		b, err := db.billOf(r)
		if err != nil {
			return nil, err
		}
		o.Bills = append(o.Bills, b)
		sum += b.Bill.Total
	}
	if sum != o.Total { // a bill's row is not signed together with the order; its absence shows here
		return nil, ErrTampered.Because(refuse("order %s: the bills sum to %s, the total is %s", o.ID.No(), sum, o.Total))
	}
	for _, r := range rows.settlements {
		t, err := db.settlementOf(r)
		if err != nil {
			return nil, fmt.Errorf("settlement %d: %w", r.ID, err)
		}
		o.Settlements = append(o.Settlements, t)
	}
	for _, r := range rows.payments {
		p, err := db.paymentOf(r)
		if err != nil {
			return nil, fmt.Errorf("payment %d: %w", r.ID, err)
		}
		o.Payments = append(o.Payments, p)
	}
	for _, r := range rows.mixed {
		m, err := db.mixedOf(r)
		if err != nil {
			return nil, fmt.Errorf("mixed order %d: %w", r.ID, err)
		}
		o.Mixed = append(o.Mixed, m)
	}
	for _, r := range rows.refunds {
		f, err := db.refundOf(r)
		if err != nil {
			return nil, fmt.Errorf("refund %d: %w", r.ID, err)
		}
		o.Refunds = append(o.Refunds, f)
	}
	if err := checkReserved(o); err != nil { // what an order has reserved must be what its refunds promise
		return nil, ErrTampered.Because(err)
	}
	return o, nil
}

// ByNumber finds the order of an out_trade_no, cash or mixed, or of the centre's payOrdId. order.ErrNotFound.
func (s Orders) ByNumber(ctx context.Context, institution, number string) (order.ID, error) {
	for _, query := range []string{
		"SELECT order_id FROM payment WHERE institution = ? AND out_trade_no = ?",
		"SELECT order_id FROM mixed_order WHERE institution = ? AND out_trade_no = ?",
		"SELECT order_id FROM settlement WHERE institution = ? AND pay_ord_id = ?",
	} {
		id, err := s.number(ctx, query, institution, number)
		if !errors.Is(err, order.ErrNotFound) {
			return id, err
		}
	}
	return 0, order.ErrNotFound
}

// LiveOf gives an account's newest order that is neither final nor completed. order.ErrNotFound.
func (s Orders) LiveOf(ctx context.Context, account patient.AccountID) (order.ID, error) {
	return s.number(ctx, "SELECT id FROM orders WHERE account_id = ? AND state NOT IN ? ORDER BY id DESC LIMIT 1", int64(account), finalStates())
}

// VersionOf is the order's version, for waiting readers. order.ErrNotFound.
func (s Orders) VersionOf(ctx context.Context, id order.ID) (int64, error) {
	n, err := s.number(ctx, "SELECT version FROM orders WHERE id = ?", int64(id))
	return int64(n), err
}

func finalStates() []string {
	return []string{string(order.Completed), string(order.Closed), string(order.Unwound)}
}

func (s Orders) number(ctx context.Context, query string, args ...any) (order.ID, error) {
	var found []int64
	if err := s.db.read(ctx).Raw(query, args...).Scan(&found).Error; err != nil {
		return 0, fmt.Errorf("find order: %w", translated(err))
	}
	if len(found) == 0 {
		return 0, order.ErrNotFound
	}
	return order.ID(found[0]), nil
}

// History gives an order's events, oldest first, with their ledger lines, every row verified.
func (s Orders) History(ctx context.Context, id order.ID) ([]order.Event, error) {
	var events []order.Event
	err := s.db.opened(ctx, func() error {
		var rows []eventRow
		var lines []lineRow
		err := s.db.snapshot(ctx, func(tx *gorm.DB) error {
			var err error
			if rows, err = find[eventRow](s.db, tx.Where("order_id = ?", int64(id)).Order("seq")); err != nil {
				return err
			}
			lines, err = find[lineRow](s.db, tx.Where("order_id = ?", int64(id)).Order("event_id, line_no"))
			return err
		})
		if err != nil {
			return err
		}
		events, err = eventsOf(rows, lines)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("history of order %s: %w", id.No(), err)
	}
	return events, nil
}
