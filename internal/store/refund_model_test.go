package store

import (
	"strconv"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/refund"
)

// This is what may be given back, reckoned once more with integers alone: nothing of package refund's arithmetic is used.

// item is a line of an order's bills as it was bought. Quantities are tenths, prices ten-thousandths of a yuan.
type item struct {
	bill, line string
	insured    bool
	bought     int64
	price      int64
}

// worth is what so many tenths of the item cost, a half fen rounded up.
func (i item) worth(tenths int64) money.Fen { return money.Fen((tenths*i.price + 500) / 1000) }

// ask is one request for a refund.
type ask struct {
	key   string
	whole bool
	again bool // what is kept may be billed anew
	wants []wish
}

// wish names a bill, or a line of it; tenths of nothing: all that is left.
type wish struct {
	bill, line string
	all        bool
	tenths     int64
}

func (a ask) refundWants() []refund.Want {
	wants := make([]refund.Want, len(a.wants))
	for i, w := range a.wants {
		wants[i] = refund.Want{BillNo: w.bill, LineNo: w.line, All: w.all, Quantity: decimal.New(w.tenths, -1)}
	}
	return wants
}

// model is how far an order was given back.
type model struct {
	items []item
	left  []int64 // of each item, in tenths
	open  []bool  // another refund is under way with a part of it
	joint bool    // the insurer takes the order back only as a whole
}

func newModel(items []item, joint bool) *model {
	m := &model{items: items, left: make([]int64, len(items)), open: make([]bool, len(items)), joint: joint}
	for i, one := range items {
		m.left[i] = one.bought
	}
	return m
}

// choose says which part of each item a request takes, or why it takes nothing.
func (m *model) choose(a ask) ([]int64, error) {
	if m.empty() {
		return nil, refund.ErrNothing
	}
	took := make([]int64, len(m.items))
	if a.whole {
		copy(took, m.left)
	} else if err := m.wanted(a, took); err != nil {
		return nil, err
	}
	if m.underWay(took) {
		return nil, refund.ErrUnderWay
	}
	insured, whole := false, true
	for i, n := range took {
		insured = insured || (n > 0 && m.items[i].insured)
		whole = whole && n == m.left[i]
	}
	if !m.joint || !insured || whole {
		return took, nil
	}
	if !a.again {
		return nil, refund.ErrWholeOnly
	}
	copy(took, m.left)
	if m.underWay(took) {
		return nil, refund.ErrUnderWay
	}
	return took, nil
}

func (m *model) wanted(a ask, took []int64) error {
	if len(a.wants) == 0 {
		return refund.ErrLine
	}
	twice := false
	for _, w := range a.wants {
		found := false
		for i, one := range m.items {
			if m.left[i] == 0 || one.bill != w.bill || (w.line != "" && w.line != one.line) {
				continue
			}
			n := w.tenths
			if w.all {
				n = m.left[i]
			}
			if n <= 0 || n > m.left[i] || (w.line == "" && !w.all) {
				return refund.ErrQuantity
			}
			found, twice = true, twice || took[i] > 0
			took[i] = n
		}
		if !found {
			return refund.ErrLine
		}
	}
	if twice {
		return refund.ErrLine
	}
	return nil
}

func (m *model) underWay(took []int64) bool {
	for i, n := range took {
		if n > 0 && m.open[i] {
			return true
		}
	}
	return false
}

func (m *model) empty() bool {
	for _, n := range m.left {
		if n > 0 {
			return false
		}
	}
	return true
}

// take gives a part of each item back.
func (m *model) take(took []int64, open bool) {
	for i, n := range took {
		m.left[i] -= n
		m.open[i] = m.open[i] || (open && n > 0)
	}
}

// sums is what is left, by whether the insurer sees it.
func (m *model) sums() (insured, uninsured money.Fen) {
	for i, one := range m.items {
		if fen := one.worth(m.left[i]); one.insured {
			insured += fen
		} else {
			uninsured += fen
		}
	}
	return insured, uninsured
}

// chance is a row of numbers that follow from a seed alone (splitmix64).
type chance uint64

func (c *chance) below(n int64) int64 {
	*c += 0x9e3779b97f4a7c15
	z := uint64(*c)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int64((z ^ z>>31) >> 1 % uint64(n))
}

// basket is what an order of these tests is made of: two bills, of an insured and an uninsured line each.
func (c *chance) basket(suffix string) []item {
	var items []item
	for _, b := range []string{"A", "B"} {
		for l, insured := range []bool{true, false} {
			items = append(items, item{bill: b + suffix, line: strconv.Itoa(l + 1), insured: insured, bought: 5 * (1 + c.below(8)), price: 3000 + c.below(200000)})
		}
	}
	return items
}

// ask makes a request: most name a part of a line, so that together they are more than was bought. Only the greedy want all of something: where some
// are, nothing is left at the end, and no refusal could be called in question.
func (c *chance) ask(key string, items []item, greedy bool) ask {
	a := ask{key: key, again: c.below(2) == 0}
	of := func() wish {
		one := items[c.below(int64(len(items)))]
		w := wish{bill: one.bill, line: one.line, tenths: 1 + c.below(one.bought+3)}
		w.all = c.below(5) == 0 && greedy
		return w
	}
	switch n := c.below(40); {
	case n == 0 && greedy:
		a.whole = true
	case n == 1 && greedy:
		a.wants = []wish{{bill: of().bill, all: true}}
	case n < 10:
		a.wants = []wish{of(), of()}
	default:
		a.wants = []wish{of()}
	}
	return a
}
