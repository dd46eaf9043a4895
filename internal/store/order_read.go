package store

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
)

// mostListed bounds a page of orders.
const mostListed = 100

// Load reads an order with all attempts, every row verified. order.ErrNotFound; ErrTampered.
func (s Orders) Load(ctx context.Context, id order.ID) (*order.Order, error) {
	orders, err := s.load(ctx, func(tx *gorm.DB) *gorm.DB { return tx.Where("id = ?", int64(id)) })
	if err != nil {
		return nil, fmt.Errorf("load order %s: %w", id.No(), err)
	}
	if len(orders) == 0 {
		return nil, order.ErrNotFound
	}
	return orders[0], nil
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
		var rows []orderRow
		var bills []billRow
		var settlements []settlementRow
		var payments []paymentRow
		var mixed []mixedRow
		var refunds []refundRow
		err := s.db.snapshot(ctx, func(tx *gorm.DB) error {
			var err error
			if rows, err = find[orderRow](s.db, which(tx)); err != nil || len(rows) == 0 {
				return err
			}
			ids := make([]int64, len(rows))
			for i, r := range rows {
				ids[i] = r.ID
			}
			parts := func() *gorm.DB { return tx.Where("order_id IN ?", ids).Order("order_id, seq") }
			if bills, err = find[billRow](s.db, parts()); err != nil {
				return err
			}
			if settlements, err = find[settlementRow](s.db, parts()); err != nil {
				return err
			}
			if payments, err = find[paymentRow](s.db, parts()); err != nil {
				return err
			}
			if mixed, err = find[mixedRow](s.db, parts()); err != nil {
				return err
			}
			refunds, err = find[refundRow](s.db, parts())
			return err
		})
		if err != nil {
			return err
		}
		if orders, err = s.db.assemble(rows, bills, settlements, payments); err != nil {
			return err
		}
		if err := s.db.addMixed(orders, mixed); err != nil {
			return err
		}
		return s.db.addRefunds(orders, refunds)
	})
	return orders, err
}

// assemble opens the rows and puts each order together.
func (db *DB) assemble(rows []orderRow, bills []billRow, settlements []settlementRow, payments []paymentRow) ([]*order.Order, error) {
	orders := make([]*order.Order, len(rows))
	byID := make(map[int64]*order.Order, len(rows))
	for i, r := range rows {
		o, err := db.orderOf(r)
		if err != nil {
			return nil, err
		}
		orders[i], byID[r.ID] = o, o
	}
	for _, r := range bills {
		b, err := db.billOf(r)
		if err != nil {
			return nil, err
		}
		byID[r.OrderID].Bills = append(byID[r.OrderID].Bills, b)
	}
	for _, r := range settlements {
		t, err := db.settlementOf(r)
		if err != nil {
			return nil, err
		}
		byID[r.OrderID].Settlements = append(byID[r.OrderID].Settlements, t)
	}
	for _, r := range payments {
		p, err := db.paymentOf(r)
		if err != nil {
			return nil, err
		}
		byID[r.OrderID].Payments = append(byID[r.OrderID].Payments, p)
	}
	for _, o := range orders {
		var sum money.Fen
		for i := range o.Bills {
			sum += o.Bills[i].Bill.Total
		}
		if sum != o.Total { // a bill's row is not signed together with the order; its absence shows here
			return nil, ErrTampered.Because(refuse("order %s: the bills sum to %s, the total is %s", o.ID.No(), sum, o.Total))
		}
	}
	return orders, nil
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
