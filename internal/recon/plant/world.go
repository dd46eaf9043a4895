package plant

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/split"
)

// World is a hospital's day of made-up orders, in which all books agree. The order number i is always the same, whichever were asked for before.
type World struct {
	Day  recon.Day
	Seed uint64
}

// Order makes an order's pairs: cash, insurance and posting, and of every tenth those of its refund. What moved WeChat's account follows from its trades.
func (w World) Order(i int) []Pair {
	r := rand.New(rand.NewPCG(w.Seed, uint64(i))) //nolint:gosec // repeatable chance
	at := w.Day.Begin().Add(6*time.Hour + time.Duration(r.Int64N(int64(14*time.Hour)))).Truncate(time.Second)
	day, serial := w.Day.Begin().Format("20060102"), fmt.Sprintf("%04d%010d", w.Seed%10_000, i)
	s := split.Split{PooledFund: fen(r, 30_000), OtherFund: fen(r, 2_000), Account: fen(r, 8_000), Cash: fen(r, 12_000), Uninsured: fen(r, 3_000)}
	if s.Charge() == 0 {
		s.Cash = 1
	}
	insured := r.IntN(10) > 0
	if !insured {
		s = split.AllCash(s.Total() + 1)
	}
	var numbers recon.Numbers
	numbers[recon.OrderNo] = "73" + serial + "1"
	numbers[recon.OutTradeNo], numbers[recon.TransactionID] = "74"+serial+"2aZ", "42000"+day+serial
	numbers[recon.PostingNo] = "SF" + day + serial
	if insured && s.Insured() > 0 {
		numbers[recon.SetlID], numbers[recon.MdtrtID], numbers[recon.MsgID] = "36"+day+serial, "37"+serial, "H36010"+day+serial+"01"
	}
	pairs := w.movement(recon.Pay, at, numbers, s, s.Total(), s.Charge())
	if r.IntN(10) == 0 {
		at = at.Add(time.Duration(1+r.IntN(180)) * time.Minute)
		numbers[recon.RefundNo], numbers[recon.BookingNo] = "75"+serial+"3", "TF"+day+serial
		numbers[recon.OutRefundNo], numbers[recon.RefundID] = "R76"+serial, "50300"+day+serial
		pairs = append(pairs, w.movement(recon.Refund, at, numbers, s, s.Total(), s.Charge())...)
	}
	return pairs
}

func fen(r *rand.Rand, most int64) money.Fen { return money.Fen(r.Int64N(most)) }

// movement are the pairs of an order being paid, or wholly given back.
func (w World) movement(kind recon.Kind, at time.Time, numbers recon.Numbers, s split.Split, total, charge money.Fen) []Pair {
	line := func(source recon.Source, leg recon.Leg, kind recon.Kind, after time.Duration, amount money.Fen, tells recon.Parts, has ...recon.Number) recon.Line {
		l := recon.Line{Source: source, Leg: leg, Kind: kind, At: at.Add(after), Amount: amount, Tells: tells}
		if tells != 0 {
			l.Split = s
		}
		for _, n := range has {
			l.Numbers[n] = numbers[n]
		}
		return l
	}
	var pairs []Pair
	cash := []recon.Number{recon.OrderNo, recon.OutTradeNo, recon.TransactionID}
	if kind == recon.Refund {
		cash = append(cash, recon.OutRefundNo, recon.RefundID)
	}
	trade := line(recon.WechatTrade, recon.Cash, kind, 0, charge, 0, cash...)
	trade.Fee = recon.MilliFen(charge) * 6 // 0.6 %
	if kind == recon.Refund {
		trade.Fee = -trade.Fee
	}
	pairs = append(pairs, Pair{"cash", []recon.Line{line(recon.Ledger, recon.Cash, kind, 0, charge, 0, cash...)}, []recon.Line{trade}})
	if numbers[recon.SetlID] != "" {
		k := kind
		if k == recon.Refund {
			k = recon.Reversal
		}
		has := []recon.Number{recon.OrderNo, recon.SetlID, recon.MdtrtID, recon.MsgID}
		ours := line(recon.Ledger, recon.Insurance, k, time.Second, total-s.Uninsured, recon.TellsAll&^recon.TellsUninsured, has...)
		theirs := line(recon.Insurer, recon.Insurance, k, time.Second, total-s.Uninsured, recon.TellsFund|recon.TellsAccount, has[1:]...)
		pairs = append(pairs, Pair{"insurance", []recon.Line{ours}, []recon.Line{theirs}})
	}
	has := []recon.Number{recon.OrderNo, recon.PostingNo, recon.SetlID, recon.OutTradeNo}
	if kind == recon.Refund {
		s = split.Split{} // nothing is left
		has = []recon.Number{recon.OrderNo, recon.RefundNo, recon.BookingNo, recon.OutRefundNo}
	}
	return append(pairs, Pair{"posting", []recon.Line{line(recon.Ledger, recon.Posting, kind, 2*time.Second, total, recon.TellsAll, has...)},
		[]recon.Line{line(recon.HIS, recon.Posting, kind, 2*time.Second, total, recon.TellsAll, has...)}})
}

// Arrival is the pair of a trade that WeChat's account shows as its bill does: what the account shows of it, line by line.
func Arrival(trade *recon.Line) []Pair {
	flow := func(kind recon.Kind, digit string, amount money.Fen) Pair {
		l, r := *trade, *trade
		l.Kind, l.Amount, l.Fee = kind, amount, 0
		r.Kind, r.Amount, r.Fee, r.Source = kind, amount, 0, recon.WechatFund
		r.Numbers[recon.FlowNo] = digit + r.Numbers[recon.TransactionID] + r.Numbers[recon.RefundID]
		return Pair{"arrival", []recon.Line{l}, []recon.Line{r}}
	}
	fee := trade.Fee.Fen()
	if trade.Kind == recon.Refund {
		pairs := []Pair{flow(recon.Refund, "3", trade.Amount)}
		if fee < 0 {
			pairs = append(pairs, flow(recon.FeeBack, "4", -fee))
		}
		return pairs
	}
	pairs := []Pair{flow(recon.Pay, "1", trade.Amount)}
	if fee > 0 {
		pairs = append(pairs, flow(recon.Fee, "2", fee))
	}
	return pairs
}
