package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
)

// Balance is what one account of one institution took in on one day in China.
type Balance struct {
	Institution string
	Day         string // 2006-01-02
	Account     ledger.Account
	Amount      money.Fen
}

// Balances sums the ledger by institution, day and account, for an institution ("": all) and the days from first to last, both included.
func (db *DB) Balances(ctx context.Context, institution string, first, last time.Time) ([]Balance, error) {
	var rows []struct {
		Institution string
		Midnight    int64 // in China, were it London
		Account     string
		Amount      int64
	}
	const day, ahead = int64(24 * time.Hour / time.Microsecond), int64(8 * time.Hour / time.Microsecond)
	query := `SELECT institution, midnight, account, SUM(amount_fen) AS amount FROM (
			SELECT institution, at_us + ? - (at_us + ?) % ? AS midnight, account, amount_fen FROM ledger_line
			WHERE at_us >= ? AND at_us < ? AND (? = '' OR institution = ?)) AS line
		GROUP BY institution, midnight, account ORDER BY institution, midnight, account`
	begin := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, clock.Shanghai)
	end := time.Date(last.Year(), last.Month(), last.Day()+1, 0, 0, 0, 0, clock.Shanghai)
	err := db.read(ctx).Raw(query, ahead, ahead, day, micros(begin), micros(end), institution, institution).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("balances: %w", translated(err))
	}
	out := make([]Balance, len(rows))
	for i, r := range rows {
		out[i] = Balance{Institution: r.Institution, Day: moment(r.Midnight).Format(time.DateOnly), Account: ledger.Account(r.Account),
			Amount: money.Fen(r.Amount)}
	}
	return out, nil
}

// Each hands over every order of an institution ("": all) with its history, by number, each as of one moment. It ends at the first error. An order
// whose rows were changed behind the program's back goes to broken instead, and the others follow; where broken is nil it ends there, too.
func (s Orders) Each(ctx context.Context, institution string, do func(o *order.Order, history []order.Event) error,
	broken func(id order.ID, err error) error) error {
	for after := order.ID(0); ; {
		page, err := s.numbers(ctx, institution, after)
		if err != nil {
			return fmt.Errorf("orders after %s: %w", after.No(), err)
		}
		for _, id := range page {
			o, history, err := s.whole(ctx, id)
			switch {
			case err == nil:
				err = do(o, history)
			case errors.Is(err, ErrTampered) && broken != nil:
				err = broken(id, err)
			}
			if err != nil {
				return err
			}
			after = id
		}
		if len(page) < mostListed {
			return nil
		}
	}
}

// numbers lists the next orders by number.
func (s Orders) numbers(ctx context.Context, institution string, after order.ID) ([]order.ID, error) {
	var page []order.ID
	err := s.db.read(ctx).Raw("SELECT id FROM orders WHERE id > ? AND (? = '' OR institution = ?) ORDER BY id LIMIT ?", int64(after), institution, institution,
		mostListed).Scan(&page).Error
	return page, translated(err)
}

// whole is an order with its history, both of one version.
func (s Orders) whole(ctx context.Context, id order.ID) (*order.Order, []order.Event, error) {
	for {
		o, err := s.Load(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		history, err := s.History(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		version, err := s.VersionOf(ctx, id)
		if err != nil || version == o.Version {
			return o, history, err
		}
	}
}
