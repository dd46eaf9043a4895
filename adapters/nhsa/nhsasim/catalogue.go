package nhsasim

import (
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/money"
)

// Item is one entry of the insurer's catalogue (医疗目录).
type Item struct {
	Class   string `json:"class"`    // chrgitm_lv: 01 甲, 02 乙, 03 丙
	SelfPay int64  `json:"self_pay"` // prior self-pay of class B, basis points; zero there means the usual 10 %
	Ceiling string `json:"ceiling"`  // 限价: ceiling price in yuan, up to six decimals; empty: none
	Kind    string `json:"kind"`     // med_chrgitm_type; empty: 14, other
}

const usualClassB = 1000

func (i Item) check() error {
	if i.Class != "01" && i.Class != "02" && i.Class != "03" {
		return fmt.Errorf("nhsasim: item class %q: 01, 02 or 03", i.Class)
	}
	if i.SelfPay < 0 || i.SelfPay > 10000 {
		return fmt.Errorf("nhsasim: prior self-pay of %d basis points", i.SelfPay)
	}
	if i.Ceiling != "" {
		if d, err := decimal.NewFromString(i.Ceiling); err != nil || !d.IsPositive() {
			return fmt.Errorf("nhsasim: ceiling price %q", i.Ceiling)
		}
	}
	return nil
}

// buckets are the four parts of E1 and their sum.
type buckets struct {
	Total         money.Fen `json:"total"`
	FullySelfPaid money.Fen `json:"fully_self_paid"` // 全自费
	OverLimit     money.Fen `json:"over_limit"`      // 超限价自费
	FirstSelfPaid money.Fen `json:"first_self_paid"` // 先行自付
	InScope       money.Fen `json:"in_scope"`        // 符合政策范围
}

func (b *buckets) add(o buckets) {
	b.Total += o.Total
	b.FullySelfPaid += o.FullySelfPaid
	b.OverLimit += o.OverLimit
	b.FirstSelfPaid += o.FirstSelfPaid
	b.InScope += o.InScope
}

// splitLine divides one fee row (§8.1 point 1, E1r, E7, E8): the excess over the ceiling price first, then prior self-pay on the rest.
// It also gives the ratio that the row was split by, in basis points. An item that is not in the catalogue (class empty), and a
// restricted item that the hospital says does not meet its condition (hosp_appr_flag 2), are wholly self-funded.
func splitLine(item Item, approval string, total money.Fen, count decimal.Decimal) (b buckets, prop int64) {
	b.Total = total
	if item.Class == "" || item.Class == "03" || approval == "2" {
		b.FullySelfPaid = total
		return b, 10000
	}
	if item.Ceiling != "" {
		ceiling, _ := decimal.NewFromString(item.Ceiling) // checked when it was added
		if allowed := inFen(ceiling.Mul(count)); allowed < total {
			b.OverLimit = total - allowed
		}
	}
	if item.Class == "02" {
		prop = item.SelfPay
		if prop == 0 {
			prop = usualClassB
		}
	}
	b.FirstSelfPaid = share(total-b.OverLimit, prop)
	b.InScope = total - b.OverLimit - b.FirstSelfPaid
	return b, prop
}

// inFen rounds yuan half up to fen.
func inFen(yuan decimal.Decimal) money.Fen { return money.Fen(yuan.Shift(2).Round(0).IntPart()) }
