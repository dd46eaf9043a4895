package wechatpaysim

import (
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// Withdrawal is money on its way to the merchant's bank (提现), for who plays the bank.
type Withdrawal struct {
	Number string    `json:"number"` // 微信支付业务单号, as the bank is told it
	Fen    money.Fen `json:"fen"`
	At     time.Time `json:"at"`
}

// Withdrawals lists all that went to the bank, oldest first.
func (s *Sim) Withdrawals() []Withdrawal {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Withdrawal{}
	for _, w := range s.books.withdrawals {
		if w.Amount > 0 {
			list = append(list, Withdrawal{w.ID, w.Amount, w.At})
		}
	}
	return list
}

// midnight begins the day in China on which that moment lies.
func midnight(t time.Time) time.Time {
	y, m, d := t.In(clock.Shanghai).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, clock.Shanghai)
}

// withdraw sends the whole available balance to the bank, once a day, when the hour has come, and reports whether it did. There is no fee for it.
func (s *Sim) withdraw() bool {
	if s.cfg.WithdrawAt == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	due := midnight(now).Add(s.cfg.WithdrawAt)
	if n := len(s.books.withdrawals); now.Before(due) || n > 0 && !s.books.withdrawals[n-1].At.Before(due) {
		return false
	}
	one := withdrawal{ID: fmt.Sprintf("1000%s%012d", now.In(clock.Shanghai).Format("20060102"), s.cfg.Source.ID()%1e12), At: now, Amount: max(s.books.available(now), 0)}
	return s.commit(entry{Withdrawals: []withdrawal{one}}) == nil
}
