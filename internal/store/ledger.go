package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

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
		Day         int64 // since 1970, in China
		Account     string
		Amount      int64
	}
	const day, ahead = int64(24 * time.Hour / time.Microsecond), int64(8 * time.Hour / time.Microsecond)
	query := `SELECT institution, (at_us + ?) / ? AS day, account, SUM(amount_fen) AS amount FROM ledger_line
		WHERE at_us >= ? AND at_us < ? AND (? = '' OR institution = ?)
		GROUP BY institution, (at_us + ?) / ?, account ORDER BY institution, day, account`
	begin := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, clock.Shanghai)
	end := time.Date(last.Year(), last.Month(), last.Day()+1, 0, 0, 0, 0, clock.Shanghai)
	err := db.read(ctx).Raw(query, ahead, day, micros(begin), micros(end), institution, institution, ahead, day).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("balances: %w", translated(err))
	}
	out := make([]Balance, len(rows))
	for i, r := range rows {
		out[i] = Balance{Institution: r.Institution, Day: time.Unix(r.Day*24*3600, 0).UTC().Format(time.DateOnly), Account: ledger.Account(r.Account),
			Amount: money.Fen(r.Amount)}
	}
	return out, nil
}

// Each hands over every order of an institution ("": all) with its history, by number, each as of one moment. It ends at the first error.
func (s Orders) Each(ctx context.Context, institution string, do func(o *order.Order, history []order.Event) error) error {
	for after := int64(0); ; {
		page, err := s.load(ctx, func(tx *gorm.DB) *gorm.DB {
			tx = tx.Where("id > ?", after)
			if institution != "" {
				tx = tx.Where("institution = ?", institution)
			}
			return tx.Order("id").Limit(mostListed)
		})
		if err != nil {
			return fmt.Errorf("orders after %d: %w", after, err)
		}
		for _, o := range page {
			history, err := s.History(ctx, o.ID)
			if err != nil {
				return err
			}
			again, err := s.VersionOf(ctx, o.ID)
			if err != nil {
				return err
			}
			if again != o.Version { // it moved between the two looks
				if o, err = s.Load(ctx, o.ID); err != nil {
					return err
				}
				if history, err = s.History(ctx, o.ID); err != nil {
					return err
				}
			}
			if err := do(o, history); err != nil {
				return err
			}
			after = int64(o.ID)
		}
		if len(page) < mostListed {
			return nil
		}
	}
}
