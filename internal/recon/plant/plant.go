// Package plant puts differences into books that agree, so that a run can show what it would have found: it knows what the books say and what a difference
// is called, and nothing of how lines are matched.
package plant

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

// Pair are lines of two books that belong together and agree.
type Pair struct {
	Comparison string
	Left       []recon.Line
	Right      []recon.Line
}

// clone copies the pair, so that the books it came from stay as they are.
func (p *Pair) clone() Pair {
	return Pair{Comparison: p.Comparison, Left: slices.Clone(p.Left), Right: slices.Clone(p.Right)}
}

// Planted is a difference that was put in: by the kind that it must be given, in that comparison, on a line of that kind with that number.
type Planted struct {
	Way        string               `json:"way"` // how it was put in
	Comparison string               `json:"comparison"`
	Kind       recon.DifferenceKind `json:"kind"`
	Line       recon.Kind           `json:"line"` // of that kind
	Number     string               `json:"number"`
}

// way is one way to put a difference into pairs of a comparison.
type way struct {
	name  string
	pairs int // that it takes
	// fits reports whether the difference can be put into that pair.
	fits func(p *Pair) bool
	// do changes the pairs and says what is now to be found.
	do func(g *Gardener, p []Pair) []Planted
}

// Gardener plants. By one seed always the same.
type Gardener struct {
	rand      *rand.Rand
	day       recon.Day
	tolerance time.Duration
	seed      uint64
	made      int // numbers that no book has
}

// New begins to plant in a day's books, whose comparisons allow that tolerance at midnight.
func New(day recon.Day, tolerance time.Duration, seed uint64) *Gardener {
	return &Gardener{rand: rand.New(rand.NewPCG(seed, seed^0x5851f42d4c957f2d)), day: day, tolerance: tolerance, seed: seed} //nolint:gosec // repeatable chance
}

// Ways lists how differences can be put into a comparison.
func Ways(comparison string) []string {
	var names []string
	for _, w := range ways {
		if w.of(comparison) {
			names = append(names, w.name)
		}
	}
	return names
}

// Needs is how many pairs a way takes.
func Needs(name string) int { return find(name).pairs }

func find(name string) *way {
	i := slices.IndexFunc(ways, func(w way) bool { return w.name == name })
	if i < 0 {
		return nil
	}
	return &ways[i]
}

// Fits reports whether that way can be gone with the pairs, or with pairs that begin so.
func Fits(name string, pairs ...Pair) bool {
	w := find(name)
	for i := range pairs {
		p := &pairs[i]
		if w == nil || !w.of(p.Comparison) || len(p.Left) != 1 || len(p.Right) != 1 || (w.fits != nil && !w.fits(p)) || !apart(p, &pairs[0]) {
			return false
		}
	}
	return true
}

// apart reports whether two pairs are the same one, or of the same kind and with nothing in common by which one could be taken for the other.
func apart(p, first *Pair) bool {
	if p == first {
		return true
	}
	if p.Right[0].Kind != first.Right[0].Kind {
		return false
	}
	for n, no := range p.Right[0].Numbers {
		if no != "" && no == first.Right[0].Numbers[n] {
			return false
		}
	}
	return true
}

// Plant goes that way with copies of as many pairs as it needs, each of which fits, and returns them changed.
func (g *Gardener) Plant(name string, pairs []Pair) ([]Pair, []Planted) {
	w := find(name)
	changed := make([]Pair, len(pairs))
	for i := range pairs {
		changed[i] = pairs[i].clone()
	}
	planted := w.do(g, changed)
	for i := range planted {
		planted[i].Way, planted[i].Comparison = name, pairs[0].Comparison
	}
	return changed, planted
}

// of reports whether the way is one for that comparison.
func (w *way) of(comparison string) bool {
	only, _, found := strings.Cut(w.name, ": ")
	return !found || slices.Contains(strings.Split(only, "|"), comparison)
}

var ways = []way{
	{name: "the right book lacks it", pairs: 1, fits: finished, do: func(g *Gardener, p []Pair) []Planted {
		l := &p[0].Left[0]
		l.At, p[0].Right = g.noon(), nil
		return one(leftAlone(p[0].Comparison, l), l)
	}},
	{name: "cash|insurance|posting: the left book lacks it", pairs: 1, fits: finished, do: func(g *Gardener, p []Pair) []Planted {
		r := &p[0].Right[0]
		r.At, p[0].Left = g.noon(), nil
		switch p[0].Comparison { // it is of a trade, and an order, that no other book knows
		case "cash":
			r.Numbers[recon.OrderNo], r.Numbers[recon.OutTradeNo] = g.number(""), g.number("D")
		case "posting":
			r.Numbers[recon.OutTradeNo] = ""
		}
		return one(rightAlone(p[0].Comparison, r), r)
	}},
	{name: "an amount is a little more", pairs: 1, do: func(g *Gardener, p []Pair) []Planted {
		r := &p[0].Right[0]
		more := money.Fen(1 + g.rand.IntN(5000))
		r.Amount += more
		if r.Tells&recon.TellsUninsured != 0 {
			r.Split.Uninsured += more
		} else {
			r.Split.Cash += more
		}
		return one(both(p[0].Comparison, recon.AmountDiffers), r)
	}},
	{name: "an amount is a hundredfold", pairs: 1, fits: func(p *Pair) bool { return p.Right[0].Amount < money.Max/100 }, do: func(_ *Gardener, p []Pair) []Planted {
		r := &p[0].Right[0]
		r.Amount *= 100
		s := &r.Split
		for _, part := range []*money.Fen{&s.PooledFund, &s.OtherFund, &s.Account, &s.FamilyAccount, &s.HospitalBorne, &s.Cash, &s.Uninsured} {
			*part *= 100
		}
		return one(both(p[0].Comparison, recon.AmountDiffers), r)
	}},
	{name: "insurance|posting: other parts, the same total", pairs: 1, fits: func(p *Pair) bool {
		return p.Right[0].Kind == recon.Pay && p.Right[0].Split.Fund() > 0 && p.Right[0].Tells&recon.TellsAccount != 0
	}, do: func(g *Gardener, p []Pair) []Planted {
		s := &p[0].Right[0].Split
		from := &s.PooledFund
		if *from == 0 {
			from = &s.OtherFund
		}
		moved := 1 + money.Fen(g.rand.Int64N(int64(*from)))
		*from -= moved
		s.Account += moved
		return one(recon.SplitDiffers, &p[0].Right[0])
	}},
	{name: "cash|insurance|posting: the right book has it twice", pairs: 1, do: func(_ *Gardener, p []Pair) []Planted {
		again := p[0].Right[0]
		again.At = again.At.Add(time.Second)
		p[0].Right = append(p[0].Right, again)
		return one(recon.Duplicate, &again)
	}},
	{name: "cash: a second payment of the same order", pairs: 1, fits: func(p *Pair) bool {
		return p.Right[0].Kind == recon.Pay && p.Left[0].Numbers[recon.OrderNo] != ""
	}, do: func(g *Gardener, p []Pair) []Planted {
		again := p[0].Right[0]
		again.At = again.At.Add(time.Minute)
		again.Numbers[recon.TransactionID], again.Numbers[recon.OutTradeNo] = g.number("42"), g.number("D")
		again.Numbers[recon.OrderNo] = p[0].Left[0].Numbers[recon.OrderNo]
		p[0].Right = append(p[0].Right, again)
		return one(recon.Duplicate, &again)
	}},
	{name: "cash|insurance|posting: two numbers are swapped", pairs: 2, fits: func(p *Pair) bool { return len(swappable(p)) > 0 }, do: func(_ *Gardener, p []Pair) []Planted {
		a, b := &p[0].Right[0], &p[1].Right[0]
		n := swappable(&p[0])[0]
		a.Numbers[n], b.Numbers[n] = b.Numbers[n], a.Numbers[n]
		return []Planted{{Kind: recon.NumberDiffers, Line: a.Kind, Number: a.Numbers[n]}, {Kind: recon.NumberDiffers, Line: b.Kind, Number: b.Numbers[n]}}
	}},
	{name: "cash|insurance|posting: only the right book has it, just before midnight", pairs: 1, do: func(g *Gardener, p []Pair) []Planted {
		r := &p[0].Right[0]
		r.At = g.day.End().Add(-1 - time.Duration(g.rand.Int64N(int64(g.tolerance))))
		p[0].Left = nil
		return one(recon.Timing, r)
	}},
	{name: "cash|insurance|posting: only the left book has it, just after midnight", pairs: 1, fits: func(p *Pair) bool { return p.Left[0].Status != recon.UnderWay }, do: func(g *Gardener, p []Pair) []Planted {
		l := &p[0].Left[0]
		l.At = g.day.Begin().Add(time.Duration(g.rand.Int64N(int64(g.tolerance))))
		p[0].Right = nil
		return one(recon.Timing, l)
	}},
	{name: "cash: a refund that only WeChat knows", pairs: 1, fits: func(p *Pair) bool { return p.Right[0].Kind == recon.Pay }, do: func(g *Gardener, p []Pair) []Planted {
		back := p[0].Right[0]
		back.Kind, back.At, back.Fee = recon.Refund, g.noon(), -back.Fee
		back.Numbers[recon.RefundID], back.Numbers[recon.OutRefundNo] = g.number("50"), g.number("W")
		p[0].Right = append(p[0].Right, back)
		return one(recon.StatusDiffers, &back)
	}},
	{name: "posting: a refund that only the HIS knows", pairs: 1, fits: func(p *Pair) bool { return p.Right[0].Kind == recon.Pay }, do: func(g *Gardener, p []Pair) []Planted {
		back := p[0].Right[0]
		back.Kind, back.At = recon.Refund, g.noon()
		back.Numbers[recon.PostingNo], back.Numbers[recon.SetlID], back.Numbers[recon.OutTradeNo] = "", "", ""
		back.Numbers[recon.BookingNo], back.Numbers[recon.RefundNo] = g.number("TF"), g.number("77")
		p[0].Right = append(p[0].Right, back)
		return one(recon.StatusDiffers, &back)
	}},
	{name: "cash: a refund that WeChat accepted and does not show", pairs: 1, fits: func(p *Pair) bool { return p.Left[0].Kind == recon.Refund }, do: func(_ *Gardener, p []Pair) []Planted {
		l := &p[0].Left[0]
		l.Status = recon.UnderWay
		p[0].Right = nil
		return one(recon.RefundUnderWay, l)
	}},
	{name: "arrival: a flow of a trade that no bill has", pairs: 1, do: func(g *Gardener, p []Pair) []Planted {
		r := p[0].Right[0]
		r.At, r.Numbers = g.noon(), recon.Numbers{}
		r.Numbers[recon.TransactionID], r.Numbers[recon.RefundID], r.Numbers[recon.FlowNo] = g.number("42"), g.number("50"), g.number("1")
		p[0].Right = append(p[0].Right, r)
		return one(recon.Arrival, &r)
	}},
	{name: "arrival: another fee", pairs: 1, fits: func(p *Pair) bool { return p.Right[0].Kind == recon.Fee }, do: func(_ *Gardener, p []Pair) []Planted {
		p[0].Right[0].Amount++
		return one(recon.Arrival, &p[0].Right[0])
	}},
}

// swappable are numbers of a pair's right line of which it has another one as well, so that a swap can be seen.
func swappable(p *Pair) []recon.Number {
	var out []recon.Number
	for _, n := range []recon.Number{recon.TransactionID, recon.RefundID, recon.SetlID, recon.PostingNo, recon.BookingNo} {
		o := other(n)
		l, r := &p.Left[0].Numbers, &p.Right[0].Numbers
		if r[n] != "" && l[n] == r[n] && l[o] != "" && l[o] == r[o] {
			out = append(out, n)
		}
	}
	return out
}

// other is a second number of the same thing.
func other(n recon.Number) recon.Number {
	switch n {
	case recon.TransactionID:
		return recon.OutTradeNo
	case recon.RefundID:
		return recon.OutRefundNo
	case recon.SetlID:
		return recon.MdtrtID
	case recon.PostingNo:
		return recon.OrderNo
	default:
		return recon.RefundNo
	}
}

// finished reports whether a missing half of a pair cannot be a matter of time.
func finished(p *Pair) bool {
	return p.Left[0].Status == recon.Done && p.Right[0].Status == recon.Done && p.Comparison != "bank"
}

// own are the numbers by which a line is known, the one that is its own before those that it shares with others: a visit has many settlements, a payment many
// refunds.
var own = []recon.Number{recon.RefundID, recon.TransactionID, recon.SetlID, recon.PayOrdID, recon.BookingNo, recon.PostingNo, recon.FlowNo, recon.BankNo}

// one is a difference on a line.
func one(kind recon.DifferenceKind, l *recon.Line) []Planted {
	for _, n := range own {
		if l.Numbers[n] != "" {
			return []Planted{{Kind: kind, Line: l.Kind, Number: l.Numbers[n]}}
		}
	}
	return []Planted{{Kind: kind, Line: l.Kind, Number: l.Numbers[recon.OrderNo]}}
}

// leftAlone is what a line of the left book without a counterpart is called.
func leftAlone(comparison string, l *recon.Line) recon.DifferenceKind {
	switch {
	case comparison == "arrival" || comparison == "bank":
		return recon.Arrival
	case comparison == "insurance":
		return recon.OneSided
	case l.Kind == recon.Refund:
		return recon.StatusDiffers
	case comparison == "posting":
		return recon.ChannelMore
	default:
		return recon.ChannelLess
	}
}

func rightAlone(comparison string, r *recon.Line) recon.DifferenceKind {
	switch kind := leftAlone(comparison, r); kind {
	case recon.ChannelMore:
		return recon.ChannelLess
	case recon.ChannelLess:
		return recon.ChannelMore
	default:
		return kind
	}
}

// both is what two lines that differ are called.
func both(comparison string, kind recon.DifferenceKind) recon.DifferenceKind {
	if comparison == "arrival" || comparison == "bank" {
		return recon.Arrival
	}
	return kind
}

func (g *Gardener) noon() time.Time { return g.day.Begin().Add(12 * time.Hour) }

// number makes one that no book has.
func (g *Gardener) number(prefix string) string {
	g.made++
	return fmt.Sprintf("%s9%012d%07d", prefix, g.seed%1e12, g.made)
}
