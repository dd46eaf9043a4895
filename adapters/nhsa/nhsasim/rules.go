package nhsasim

import (
	"math/big"

	"github.com/tuoka/tuoka/internal/money"
)

// Level is a hospital's level (医疗机构等级), which decides ratio and sometimes deductible.
type Level string

// The levels that the city rules distinguish.
const (
	Community Level = "community" // 社区卫生服务机构
	Level1    Level = "1"
	Level2    Level = "2"
	Level3    Level = "3"
)

// index is the column of a level in the rule tables, -1 for an unknown one.
func (l Level) index() int {
	switch l {
	case Community:
		return 0
	case Level1:
		return 1
	case Level2:
		return 2
	case Level3:
		return 3
	}
	return -1
}

// The groups of insured persons, from the first two digits of psn_type (§6.6).
const (
	active   = "active"   // 在职
	retired  = "retired"  // 退休
	resident = "resident" // 居民
)

func groupOf(psnType string) string {
	if len(psnType) < 2 {
		return ""
	}
	switch psnType[:2] {
	case "11":
		return active
	case "12", "13":
		return retired
	case "14", "15", "16":
		return resident
	}
	return ""
}

// benefitOf folds medical types that share a deductible and a cap: 11, 12 and 13 are ordinary outpatient, 14 stands alone.
func benefitOf(medType string) string {
	switch medType {
	case "11", "12", "13":
		return "11"
	case "14":
		return "14"
	}
	return ""
}

// byLevel is one value per level: community, 1, 2, 3.
type byLevel [4]int64

func same(v int64) byLevel { return byLevel{v, v, v, v} }

// rule is one row of a city's benefit rules (§8.2–8.4). Amounts in fen, ratios in basis points, dates inclusive.
type rule struct {
	area, insutype, group, benefit string
	from, to                       string  // civil dates; to empty: still in force
	deductible                     byLevel // 起付线, per year
	perVisit                       byLevel // per-visit deductible; zero: only the yearly one
	perVisitMax                    byLevel // what per-visit deductibles may take in a year at this level
	ratio                          byLevel
	signedRatio                    byLevel   // with a signed family doctor; zero: as ratio
	limit                          money.Fen // 年度支付限额 of the pooled fund; zero: none
	tierAt                         money.Fen // once the fund has paid this in the year, tierRatio holds; zero: no tier
	tierRatio                      int64
	civil                          int64 // civil-servant subsidy on what the pooled fund leaves of the in-scope amount
}

// open is the date from which the published rules reach back as far as this sandbox needs.
const open = "2000-01-01"

// rules are the published city rules as data. Nanchang §8.2, Beijing §8.3, Guangzhou and Hengyang §8.4 (single source).
var rules = []rule{
	// Nanchang employees: the first half of 2023, then from 2023-07-01.
	{area: "360100", insutype: "310", group: active, benefit: "11", from: open, to: "2023-06-30", deductible: same(60000),
		ratio: byLevel{6000, 6000, 5500, 5000}, limit: 180000, civil: 2000},
	{area: "360100", insutype: "310", group: retired, benefit: "11", from: open, to: "2023-06-30", deductible: same(60000),
		ratio: byLevel{6500, 6500, 6000, 5500}, limit: 200000, civil: 2000},
	{area: "360100", insutype: "310", group: active, benefit: "11", from: "2023-07-01", deductible: same(30000),
		ratio: byLevel{6500, 6500, 6000, 5500}, limit: 200000, civil: 2000},
	{area: "360100", insutype: "310", group: retired, benefit: "11", from: "2023-07-01", deductible: same(30000),
		ratio: byLevel{7000, 7000, 6500, 6000}, limit: 300000, civil: 2000},
	// Nanchang residents, ordinary: no deductible, level 1 and below only, no cap (of two sources, the one that cites the notice).
	{area: "360100", insutype: "390", group: resident, benefit: "11", from: open, ratio: byLevel{6000, 6000, 0, 0},
		signedRatio: byLevel{6500, 6500, 0, 0}},
	// Nanchang chronic and special disease (14): no deductible since 2024-01-01, the inpatient ratios.
	{area: "360100", insutype: "310", group: active, benefit: "14", from: "2024-01-01", ratio: byLevel{9500, 9500, 9000, 8500}},
	{area: "360100", insutype: "310", group: retired, benefit: "14", from: "2024-01-01", ratio: byLevel{9500, 9500, 9000, 8500}},
	{area: "360100", insutype: "390", group: resident, benefit: "14", from: "2024-01-01", ratio: byLevel{9000, 9000, 8000, 6000}},
	// Beijing employees: a lower ratio once the fund has paid 20 000 in the year, no cap.
	{area: "110000", insutype: "310", group: active, benefit: "11", from: "2023-01-01", deductible: same(180000),
		ratio: byLevel{9000, 7000, 7000, 7000}, tierAt: 2000000, tierRatio: 6000},
	{area: "110000", insutype: "310", group: retired, benefit: "11", from: "2023-01-01", deductible: same(130000),
		ratio: byLevel{9000, 8500, 8500, 8500}, tierAt: 2000000, tierRatio: 8000},
	{area: "110000", insutype: "390", group: resident, benefit: "11", from: "2023-01-01", deductible: byLevel{10000, 10000, 55000, 55000},
		ratio: byLevel{5500, 5500, 5000, 5000}, limit: 500000},
	// Guangzhou: chosen primary care stands in the community column.
	{area: "440100", insutype: "310", group: active, benefit: "11", from: open, ratio: byLevel{8000, 6500, 6500, 6500}, limit: 800000},
	{area: "440100", insutype: "310", group: retired, benefit: "11", from: open, ratio: byLevel{8500, 7000, 7000, 7000}, limit: 1000000},
	{area: "440100", insutype: "390", group: resident, benefit: "11", from: open, ratio: byLevel{8000, 0, 0, 0}, limit: 100000},
	// Hengyang: a deductible per visit, bounded per level and per year.
	{area: "430400", insutype: "310", group: active, benefit: "11", from: open, deductible: byLevel{0, 0, 30000, 30000},
		perVisit: byLevel{0, 0, 5000, 10000}, perVisitMax: byLevel{0, 0, 20000, 30000}, ratio: byLevel{7000, 7000, 6000, 6000}, limit: 150000},
	{area: "430400", insutype: "310", group: retired, benefit: "11", from: open, deductible: byLevel{0, 0, 30000, 30000},
		perVisit: byLevel{0, 0, 5000, 10000}, perVisitMax: byLevel{0, 0, 20000, 30000}, ratio: byLevel{7000, 7000, 6000, 6000}, limit: 200000},
}

// ruleFor finds the rule in force on a civil date ("2006-01-02").
func ruleFor(area, insutype, group, benefit, date string) (rule, bool) {
	for _, r := range rules {
		if r.area == area && r.insutype == insutype && r.group == group && r.benefit == benefit && r.from <= date && (r.to == "" || date <= r.to) {
			return r, true
		}
	}
	return rule{}, false
}

// counters are a person's yearly accumulations before this settlement (§8.1 points 3 and 5).
type counters struct {
	Deductible money.Fen `json:"deductible"` // taken so far in the year
	AtLevel    money.Fen `json:"at_level"`   // of it by per-visit deductibles at this level
	FundPaid   money.Fen `json:"fund_paid"`  // pooled fund, in the year, for this benefit
	Balance    money.Fen `json:"balance"`    // personal account
	Family     money.Fen `json:"family"`     // accounts of relatives that may be drawn
}

// claim is one batch to be settled.
type claim struct {
	rule          rule
	level         Level
	civil, signed bool
	useAccount    bool
	buckets       buckets
	before        counters
	hospitalBears int64 // basis points, an oddity
}

// amounts are what a settlement says (§3.6), in fen. Person = Account + Family + Cash; Fund leaves account and hospital out.
type amounts struct {
	buckets
	Deductible money.Fen `json:"deductible"`
	Ratio      int64     `json:"ratio"` // basis points
	Pooled     money.Fen `json:"pooled"`
	Civil      money.Fen `json:"civil"`
	Other      money.Fen `json:"other"`
	Fund       money.Fen `json:"fund"`
	Person     money.Fen `json:"person"`
	Account    money.Fen `json:"account"`
	Family     money.Fen `json:"family"`
	Cash       money.Fen `json:"cash"`
	Hospital   money.Fen `json:"hospital"`
	Balance    money.Fen `json:"balance"` // of the personal account, afterwards
	LimitLeft  money.Fen `json:"limit_left"`
}

// settle is the algorithm of §8.1, points 3 to 7.
func (c claim) settle() amounts {
	a := amounts{buckets: c.buckets}
	i := c.level.index()
	a.Deductible = c.deductible()
	base := a.InScope - a.Deductible
	a.Ratio = c.rule.ratio[i]
	if c.signed && c.rule.signedRatio[i] > 0 {
		a.Ratio = c.rule.signedRatio[i]
	}
	a.Pooled = pooled(base, a.Ratio, c.rule, c.before.FundPaid)
	a.LimitLeft = a.Pooled
	if c.rule.limit > 0 {
		a.LimitLeft = max(0, c.rule.limit-c.before.FundPaid)
		a.Pooled = min(a.Pooled, a.LimitLeft)
	}
	if c.civil {
		a.Civil = share(a.InScope-a.Pooled, c.rule.civil)
	}
	a.Fund = a.Pooled + a.Civil
	a.Hospital = share(a.InScope-a.Fund, c.hospitalBears)
	a.Person = a.Total - a.Fund - a.Hospital
	if c.useAccount {
		a.Account = min(c.before.Balance, a.Person)
		a.Family = min(c.before.Family, a.Person-a.Account)
	}
	a.Cash = a.Person - a.Account - a.Family
	a.Balance = c.before.Balance - a.Account
	return a
}

func (c claim) deductible() money.Fen {
	i := c.level.index()
	left := max(0, money.Fen(c.rule.deductible[i])-c.before.Deductible)
	if visit := money.Fen(c.rule.perVisit[i]); visit > 0 {
		left = min(left, visit, max(0, money.Fen(c.rule.perVisitMax[i])-c.before.AtLevel))
	}
	return min(left, c.buckets.InScope)
}

// pooled is base × ratio, half up to the fen; where a tier begins, the part of the base that brings the fund to the tier is paid by
// ratio and the rest by the tier's ratio, and only the sum is rounded (vector B2).
func pooled(base money.Fen, ratio int64, r rule, paid money.Fen) money.Fen {
	switch {
	case ratio == 0:
		return 0
	case r.tierAt == 0:
		return share(base, ratio)
	case paid >= r.tierAt:
		return share(base, min(ratio, r.tierRatio))
	}
	room := r.tierAt - paid
	if share(base, ratio) <= room {
		return share(base, ratio)
	}
	// room + (base − room/ratio) × tier, with ratios as n/10000: (room·10000·ratio + base·ratio·tier − room·10000·tier) / (10000·ratio)
	product := func(f ...int64) *big.Int {
		out := big.NewInt(1)
		for _, x := range f {
			out.Mul(out, big.NewInt(x))
		}
		return out
	}
	n := product(int64(room), 10000, ratio)
	n.Add(n, product(int64(base), ratio, r.tierRatio))
	n.Sub(n, product(int64(room), 10000, r.tierRatio))
	return halfUp(n, big.NewInt(10000*ratio))
}

// share is amount × basis points, half up. Amounts are not negative.
func share(amount money.Fen, basisPoints int64) money.Fen {
	return halfUp(new(big.Int).Mul(big.NewInt(int64(amount)), big.NewInt(basisPoints)), big.NewInt(10000))
}

func halfUp(n, d *big.Int) money.Fen {
	n = new(big.Int).Mul(n, big.NewInt(2))
	n.Add(n, d)
	return money.Fen(n.Div(n, new(big.Int).Mul(d, big.NewInt(2))).Int64())
}
