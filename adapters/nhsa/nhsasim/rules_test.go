package nhsasim

import (
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/money"
)

func fen(n int64) money.Fen { return money.Fen(n) }

// bucketsOf splits rows of one unit each.
func bucketsOf(rows ...struct {
	item  Item
	total money.Fen
}) buckets {
	var sum buckets
	for _, r := range rows {
		b, _ := splitLine(r.item, "1", r.total, decimal.NewFromInt(1))
		sum.add(b)
	}
	return sum
}

type lineOf = struct {
	item  Item
	total money.Fen
}

// The vectors of nhsa-core.md §8.6 and the captured case below them.
func TestVectors(t *testing.T) {
	t.Parallel()
	a, b, b5, c := Item{Class: "01"}, Item{Class: "02"}, Item{Class: "02", SelfPay: 500}, Item{Class: "03"}
	for _, tc := range []struct {
		name                       string
		area, insutype, group, day string
		level                      Level
		lines                      []lineOf
		before                     counters
		civil, signed              bool
		want                       amounts
	}{
		{"N1 Nanchang active, level 3", "360100", "310", active, "2025-03-03", Level3, []lineOf{{a, 30000}, {b, 12000}, {c, 10000}}, counters{Balance: 20000}, false, false,
			amounts{buckets: buckets{52000, 10000, 0, 1200, 40800}, Deductible: 30000, Pooled: 5940, Fund: 5940, Person: 46060, Account: 20000, Cash: 26060}},
		{"N2 next day, level 1", "360100", "310", active, "2025-03-04", Level1, []lineOf{{a, 80000}}, counters{Deductible: 30000, FundPaid: 5940}, false, false,
			amounts{buckets: buckets{80000, 0, 0, 0, 80000}, Pooled: 52000, Fund: 52000, Person: 28000, Cash: 28000}},
		{"N3 Nanchang retired near the cap", "360100", "310", retired, "2025-03-03", Level3, []lineOf{{a, 40000}}, counters{Deductible: 30000, FundPaid: 295000, Balance: 12000}, false, false,
			amounts{buckets: buckets{40000, 0, 0, 0, 40000}, Pooled: 5000, Fund: 5000, Person: 35000, Account: 12000, Cash: 23000}},
		{"N4 Nanchang resident, level 1", "360100", "390", resident, "2025-03-03", Level1, []lineOf{{b, 9000}}, counters{}, false, false,
			amounts{buckets: buckets{9000, 0, 0, 900, 8100}, Pooled: 4860, Fund: 4860, Person: 4140, Cash: 4140}},
		{"N4 with a signed family doctor", "360100", "390", resident, "2025-03-03", Level1, []lineOf{{b, 9000}}, counters{}, false, true,
			amounts{buckets: buckets{9000, 0, 0, 900, 8100}, Pooled: 5265, Fund: 5265, Person: 3735, Cash: 3735}},
		{"B1 Beijing active, hospital", "110000", "310", active, "2025-03-03", Level3, []lineOf{{a, 100000}}, counters{Deductible: 150000}, false, false,
			amounts{buckets: buckets{100000, 0, 0, 0, 100000}, Deductible: 30000, Pooled: 49000, Fund: 49000, Person: 51000, Cash: 51000}},
		{"B2 Beijing across the tier", "110000", "310", active, "2025-03-03", Level3, []lineOf{{a, 100000}}, counters{Deductible: 180000, FundPaid: 1990000}, false, false,
			amounts{buckets: buckets{100000, 0, 0, 0, 100000}, Pooled: 61429, Fund: 61429, Person: 38571, Cash: 38571}},
		{"Beijing beyond the tier", "110000", "310", active, "2025-03-03", Level3, []lineOf{{a, 100000}}, counters{Deductible: 180000, FundPaid: 2000000}, false, false,
			amounts{buckets: buckets{100000, 0, 0, 0, 100000}, Pooled: 60000, Fund: 60000, Person: 40000, Cash: 40000}},
		{"Beijing up to the tier exactly", "110000", "310", active, "2025-03-03", Level3, []lineOf{{a, 100000}}, counters{Deductible: 180000, FundPaid: 1930000}, false, false,
			amounts{buckets: buckets{100000, 0, 0, 0, 100000}, Pooled: 70000, Fund: 70000, Person: 30000, Cash: 30000}},
		{"Beijing resident, level 3", "110000", "390", resident, "2025-03-03", Level3, []lineOf{{a, 100000}}, counters{}, false, false,
			amounts{buckets: buckets{100000, 0, 0, 0, 100000}, Deductible: 55000, Pooled: 22500, Fund: 22500, Person: 77500, Cash: 77500}},
		{"captured 4.52, below the deductible", "360100", "310", active, "2025-03-03", Level3, []lineOf{{b5, 452}}, counters{Balance: 10000}, false, false,
			amounts{buckets: buckets{452, 0, 0, 23, 429}, Deductible: 429, Person: 452, Account: 452}},
		{"before the change of 2023-07-01", "360100", "310", active, "2023-06-30", Level3, []lineOf{{a, 100000}}, counters{}, false, false,
			amounts{buckets: buckets{100000, 0, 0, 0, 100000}, Deductible: 60000, Pooled: 20000, Fund: 20000, Person: 80000, Cash: 80000}},
		{"on the day of the change", "360100", "310", active, "2023-07-01", Level3, []lineOf{{a, 100000}}, counters{}, false, false,
			amounts{buckets: buckets{100000, 0, 0, 0, 100000}, Deductible: 30000, Pooled: 38500, Fund: 38500, Person: 61500, Cash: 61500}},
		{"civil servant", "360100", "310", active, "2025-03-03", Level3, []lineOf{{a, 40000}}, counters{Deductible: 30000}, true, false,
			amounts{buckets: buckets{40000, 0, 0, 0, 40000}, Pooled: 22000, Civil: 3600, Fund: 25600, Person: 14400, Cash: 14400}},
		{"family account after the own", "360100", "310", active, "2025-03-03", Level3, []lineOf{{c, 10000}}, counters{Balance: 3000, Family: 2000}, false, false,
			amounts{buckets: buckets{10000, 10000, 0, 0, 0}, Person: 10000, Account: 3000, Family: 2000, Cash: 5000}},
		{"Hengyang per-visit deductible", "430400", "310", active, "2025-03-03", Level2, []lineOf{{a, 20000}}, counters{Deductible: 18000, AtLevel: 18000}, false, false,
			amounts{buckets: buckets{20000, 0, 0, 0, 20000}, Deductible: 2000, Pooled: 10800, Fund: 10800, Person: 9200, Cash: 9200}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, ok := ruleFor(tc.area, tc.insutype, tc.group, "11", tc.day)
			if !ok {
				t.Fatal("no rule")
			}
			got := claim{rule: r, level: tc.level, civil: tc.civil, signed: tc.signed, useAccount: true, buckets: bucketsOf(tc.lines...), before: tc.before}.settle()
			tc.want.Ratio, tc.want.LimitLeft, tc.want.Balance = got.Ratio, got.LimitLeft, tc.before.Balance-tc.want.Account
			if got != tc.want {
				t.Errorf("settle() = %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// Whatever the rule and the counters, the equations of §5 hold, also for the answer that a fault changes.
func TestEquationsHold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := func(name string) money.Fen { return fen(rapid.Int64Range(0, 5_000_000).Draw(t, name)) }
		var sum buckets
		for range rapid.IntRange(1, 6).Draw(t, "lines") {
			item := Item{Class: rapid.SampledFrom([]string{"01", "02", "03", ""}).Draw(t, "class"), SelfPay: rapid.Int64Range(0, 10000).Draw(t, "selfpay")}
			if rapid.Bool().Draw(t, "ceiling") {
				item.Ceiling = "12.345678"
			}
			total := amount("amount")
			b, _ := splitLine(item, rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "approval"), total, decimal.NewFromInt(3))
			if b.FullySelfPaid+b.OverLimit+b.FirstSelfPaid+b.InScope != total || min(b.FullySelfPaid, b.OverLimit, b.FirstSelfPaid, b.InScope) < 0 {
				t.Fatalf("E1r: %+v", b)
			}
			sum.add(b)
		}
		c := claim{rule: rapid.SampledFrom(rules).Draw(t, "rule"), level: rapid.SampledFrom([]Level{Community, Level1, Level2, Level3}).Draw(t, "level"),
			civil: rapid.Bool().Draw(t, "civil"), signed: rapid.Bool().Draw(t, "signed"), useAccount: rapid.Bool().Draw(t, "account"), buckets: sum,
			hospitalBears: rapid.Int64Range(0, 10000).Draw(t, "hospital"),
			before:        counters{amount("deductible"), amount("at level"), amount("fund"), amount("balance"), amount("family")}}
		a := c.settle()
		checkEquations(t, a, c.before)
		checkEquations(t, a.otherwise(), c.before)
		if sum.Total > 0 && a.Hospital < a.Total && a.otherwise() == a {
			t.Fatalf("otherwise() is the same: %+v", a)
		}
	})
}

func checkEquations(t *rapid.T, a amounts, before counters) {
	switch {
	case a.FullySelfPaid+a.OverLimit+a.FirstSelfPaid+a.InScope != a.Total:
		t.Fatalf("E1: %+v", a)
	case a.Fund+a.Person+a.Hospital != a.Total:
		t.Fatalf("E2: %+v", a)
	case a.Account+a.Family+a.Cash != a.Person:
		t.Fatalf("E3: %+v", a)
	case a.Pooled+a.Civil+a.Other != a.Fund:
		t.Fatalf("E4: %+v", a)
	case a.Deductible < 0 || a.Deductible > a.InScope:
		t.Fatalf("E6: %+v", a)
	case min(a.Pooled, a.Civil, a.Other, a.Account, a.Family, a.Cash, a.Hospital) < 0:
		t.Fatalf("a part is negative: %+v", a)
	case a.Balance != before.Balance-a.Account || a.Family > before.Family:
		t.Fatalf("accounts: %+v of %+v", a, before)
	}
}

// Every rule is well formed, and no two hold at once.
func TestRulesDoNotOverlap(t *testing.T) {
	t.Parallel()
	for i, r := range rules {
		if r.area == "" || r.group == "" || r.from == "" || (r.to != "" && r.to < r.from) {
			t.Errorf("rule %d is malformed: %+v", i, r)
		}
		for j, o := range rules[:i] {
			sameKey := r.area == o.area && r.insutype == o.insutype && r.group == o.group && r.benefit == o.benefit
			if sameKey && (o.to == "" || r.from <= o.to) && (r.to == "" || o.from <= r.to) {
				t.Errorf("rules %d and %d overlap", j, i)
			}
		}
	}
}
