package hissim

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// ward1 is a hospital with one patient.
func ward1(t rapid.TB) (*Sim, *clock.Fake) {
	c := newClock()
	s, err := New(Config{Clock: c, App: testApp, Secret: secret()})
	if err == nil {
		_, err = s.AddPatient(Patient{ID: "P1", Name: "冯晓棠", IDNo: "360102198503123042"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// TestDealtKinds: bills of every kind add up, and the same seed deals the same.
func TestDealtKinds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		deal := func() []Bill {
			s, _ := ward1(rt)
			registration, err1 := s.DealKind("P1", Registration, seed)
			deposit, err2 := s.DealKind("P1", Deposit, seed)
			visit, err3 := s.DealVisit("P1", seed, 3)
			if err := errors.Join(err1, err2, err3); err != nil {
				rt.Fatal(err)
			}
			return append(visit, registration, deposit)
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
		visit, registration, deposit := bills[:3], bills[3], bills[4]
		if visit[0].VisitNo != visit[2].VisitNo || visit[0].No == visit[1].No || visit[1].Dept != visit[0].Dept || len(visit[2].Diagnoses) != len(visit[0].Diagnoses) {
			rt.Errorf("of one visit: %+v", visit)
		}
		if registration.MedType != "12" || registration.PayBy.Sub(registration.CreatedAt) != slotLife || !registration.Lines[0].Insured {
			rt.Errorf("registration %+v", registration)
		}
		if deposit.MedType != "" || !deposit.PayBy.IsZero() || deposit.Lines[0].Insured || deposit.TotalFen%100000 != 0 {
			rt.Errorf("deposit %+v", deposit)
		}
	})
	s, _ := ward1(t)
	if _, err := s.DealKind("P1", "loan", 1); !errors.Is(err, ErrBadBill) {
		t.Errorf("a kind of nobody's: %v", err)
	}
	for _, err := range []error{second(s.DealKind("P9", Deposit, 1)), second(s.DealVisit("P9", 1, 2))} {
		if !errors.Is(err, ErrNoSuch) {
			t.Errorf("bills of a stranger: %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestSlotGoesBack: the slot of a registration that is not paid in time is somebody else's; one that is paid stays paid.
func TestSlotGoesBack(t *testing.T) {
	t.Parallel()
	s, c := ward1(t)
	late, err1 := s.DealKind("P1", Registration, 1)
	kept, err2 := s.DealKind("P1", Registration, 2)
	deposit, err3 := s.DealKind("P1", Deposit, 3)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PayAtWindow(kept.No); err != nil {
		t.Fatal(err)
	}
	states := func() (out []BillState) {
		for _, b := range []Bill{late, kept, deposit} {
			b, _ = s.Bill(b.No)
			out = append(out, b.State)
		}
		return out
	}
	c.Advance(slotLife - time.Second)
	if got := states(); got[0] != Unpaid || got[1] != Paid {
		t.Errorf("a second before the end: %v", got)
	}
	c.Advance(time.Second)
	if got := states(); got[0] != Void || got[1] != Paid || got[2] != Unpaid {
		t.Errorf("at the end: %v", got)
	}
	if _, err := s.PayAtWindow(late.No); !errors.Is(err, ErrState) {
		t.Errorf("the window takes money for a slot that is gone: %v", err)
	}
	var void, sum money.Fen
	for _, b := range s.Truth().Bills {
		if b.State == Void {
			void += b.TotalFen
		}
		sum += b.TotalFen
	}
	if void != late.TotalFen || sum == void {
		t.Errorf("%s of %s are void", void, sum)
	}
}
