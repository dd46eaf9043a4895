package hissim

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/money"
)

// TestDealtBills deals many hands: each must be a bill that a price list could make, and the same seed must deal the same.
func TestDealtBills(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		deal := func() []Bill {
			s, err := New(Config{Clock: newClock(), App: testApp, Secret: secret()})
			if err != nil {
				rt.Fatal(err)
			}
			if _, err := s.AddPatient(Patient{ID: "P1", Name: "冯晓棠", IDNo: "360102198503123042"}); err != nil {
				rt.Fatal(err)
			}
			bills, err := s.Deal("P1", seed, 3)
			if err != nil {
				rt.Fatal(err)
			}
			return bills
		}
		bills := deal()
		for i := range bills {
			if err := bills[i].check(); err != nil {
				rt.Error(err)
			}
		}
		if asJSON(t, bills) != asJSON(t, deal()) {
			rt.Error("the same seed dealt other bills")
		}
	})
}

func TestLineTotal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		price, quantity string
		want            money.Fen
		ok              bool
	}{
		{"0.7988", "24", 1917, true},
		{"0.0050", "1", 1, true},
		{"0.0049", "1", 0, true},
		{"0.0965", "150.5", 1452, true},
		{"66.00", "1", 6600, true},
		{"-1", "1", 0, false},
		{"1", "0", 0, false},
		{"1.00001", "1", 0, false},
		{"x", "1", 0, false},
		{"1", "", 0, false},
	}
	for _, tt := range tests {
		if got, err := lineTotal(tt.price, tt.quantity); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("lineTotal(%s, %s) = %d, %v, want %d", tt.price, tt.quantity, got, err, tt.want)
		}
	}
}

func TestCatalogueAddsUp(t *testing.T) {
	t.Parallel()
	depts, seen := departments(), map[string]bool{}
	for _, it := range catalogue() {
		if seen[it.own] || depts[it.exec].Name == "" || (it.class != "N") != (it.national != "") || len(it.usual) == 0 {
			t.Errorf("item %s: code twice, no such department, class without national code, or no usual quantity", it.own)
		}
		seen[it.own] = true
		for _, q := range it.usual {
			if total, err := lineTotal(it.price, q); err != nil || total <= 0 {
				t.Errorf("item %s × %s = %d, %v", it.own, q, total, err)
			}
		}
	}
	for _, d := range doctors() {
		found := false
		for _, c := range diagnosisCodes() {
			found = found || c.dept == d.dept
		}
		if !found || depts[d.dept].Name == "" {
			t.Errorf("doctor %s: no department or no diagnosis", d.Code)
		}
	}
}

func TestOwnItems(t *testing.T) {
	t.Parallel()
	s, _ := hospital(t, Config{})
	sick(t, s)
	tests := []struct {
		name string
		o    Order
		ok   bool
	}{
		{"described", Order{Code: "X1", Name: "挂号费", Price: "4.52", Quantity: "1", Class: "A", National: "001101000010000"}, true},
		{"uninsured", Order{Code: "X1", Name: "陪护床", Price: "4.52", Quantity: "1", Class: "N", Category: "14"}, true},
		{"no class", Order{Code: "X1", Name: "陪护床", Price: "4.52", Quantity: "1"}, false},
		{"insured without a national code", Order{Code: "X1", Name: "陪护床", Price: "4.52", Quantity: "1", Class: "B"}, false},
		{"price that is none", Order{Code: "X1", Name: "陪护床", Price: "4,52", Quantity: "1", Class: "N"}, false},
		{"free of charge", Order{Code: "X1", Name: "陪护床", Price: "0", Quantity: "1", Class: "N"}, false},
	}
	for _, tt := range tests {
		if b, err := s.AddBill("P1", "", tt.o); (err == nil) != tt.ok {
			t.Errorf("%s: AddBill = %v, %v", tt.name, b.TotalFen, err)
		}
	}
	if _, err := s.AddBill("P9", "", tests[0].o); !errors.Is(err, ErrNoSuch) {
		t.Errorf("AddBill for nobody: %v", err)
	}
	if _, err := s.AddBill("P1", ""); !errors.Is(err, ErrBadBill) {
		t.Errorf("AddBill of nothing: %v", err)
	}
	if _, err := s.AddPatient(Patient{ID: "P1", Name: "严子衿", IDNo: "36010219770101001X"}); err == nil {
		t.Error("an archive was given to another person")
	}
}
