package plant

import (
	"fmt"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/recon"
)

// ErrTooFew is a day with too few orders for so many differences.
var ErrTooFew = fault.New(fault.Invalid, "PLANT_TOO_FEW_ORDERS", "订单太少，放不下这么多差异")

// Grow makes a day of orders with so many differences in it, spread evenly over them and over all ways to plant one, and hands over every line of every book, book
// by book in no order. The key says what was planted where. ErrTooFew.
func (w World) Grow(orders, differences int, tolerance time.Duration, emit func(*recon.Line) error) ([]Planted, error) {
	b := bed{world: w, gardener: New(w.Day, tolerance, w.Seed), emit: emit}
	for _, c := range recon.Comparisons() {
		if c.Name != "bank" { // its pairs do not come from orders
			for _, name := range Ways(c.Name) {
				b.plan = append(b.plan, planned{c.Name, name})
			}
		}
	}
	for i := range orders {
		b.due = (i + 1) * differences / orders
		if err := b.order(i); err != nil {
			return nil, err
		}
	}
	if err := b.leave(); err != nil {
		return nil, err
	}
	if b.done < differences {
		return nil, ErrTooFew.Because(fmt.Errorf("%d of %d differences in %d orders", b.done, differences, orders))
	}
	return b.key, nil
}

type planned struct{ comparison, way string }

// bed is a day that is being planted.
type bed struct {
	world    World
	gardener *Gardener
	emit     func(*recon.Line) error
	plan     []planned
	due      int // how many differences there ought to be by now
	done     int
	waiting  []Pair // of an earlier order, for a way that takes two
	key      []Planted
}

// order lets an order grow, with the next difference in one of its pairs when one is due and fits.
func (b *bed) order(i int) error {
	pairs := b.world.Order(i)
	for j := range pairs {
		if pairs[j].Comparison == "cash" {
			pairs = append(pairs, Arrival(&pairs[j].Right[0])...)
		}
	}
	next := b.plan[b.done%len(b.plan)]
	at := slices.IndexFunc(pairs, func(p Pair) bool {
		return p.Comparison == next.comparison && Fits(next.way, append(slices.Clone(b.waiting), p)...)
	})
	if b.done < b.due && at >= 0 {
		chosen := pairs[at]
		pairs = slices.Delete(pairs, at, at+1)
		if next.comparison == "cash" { // what the account shows follows from what the bill shows
			trade := chosen.Right[0].Numbers
			pairs = slices.DeleteFunc(pairs, func(p Pair) bool { return p.Comparison == "arrival" && sameTrade(&p, &trade) })
		}
		if b.waiting = append(b.waiting, chosen); len(b.waiting) == Needs(next.way) {
			changed, put := b.gardener.Plant(next.way, b.waiting)
			b.key, b.waiting, b.done = append(b.key, put...), nil, b.done+1
			pairs = append(pairs, changed...)
			for _, p := range changed {
				if p.Comparison == "cash" {
					for j := range p.Right {
						pairs = append(pairs, Arrival(&p.Right[j])...)
					}
				}
			}
		}
	}
	return b.give(pairs)
}

// leave gives a pair back that waited for a second one.
func (b *bed) leave() error {
	pairs := b.waiting
	for _, p := range pairs {
		if p.Comparison == "cash" {
			pairs = append(pairs, Arrival(&p.Right[0])...)
		}
	}
	return b.give(pairs)
}

// sameTrade reports whether a flow is of that trade: a refund has numbers of its own.
func sameTrade(p *Pair, trade *recon.Numbers) bool {
	n := p.Left[0].Numbers
	return n[recon.TransactionID] == trade[recon.TransactionID] && n[recon.RefundID] == trade[recon.RefundID]
}

// give hands over the lines of pairs. The left side of an arrival stands in the trade bill already.
func (b *bed) give(pairs []Pair) error {
	for i := range pairs {
		for _, lines := range [][]recon.Line{pairs[i].Left, pairs[i].Right} {
			for j := range lines {
				if pairs[i].Comparison == "arrival" && lines[j].Source == recon.WechatTrade {
					continue
				}
				if err := b.emit(&lines[j]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
