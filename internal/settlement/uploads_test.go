package settlement

import (
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/split"
)

var (
	figures   = Figures{Total: 100, Fund: 60, Account: 19, Other: 1, Cash: 20}
	ofFigures = split.Split{PooledFund: 55, OtherFund: 6, Account: 15, FamilyAccount: 4, Cash: 20}
)

// uploadedOne is an upload of 1.00 yuan that 6201 has answered.
func uploadedOne() *Settlement {
	s := fresh()
	s.Upload.OrderNo = s.ID.No()
	s.Uploaded(Uploaded{Visit: Visit{VisitNo: "T1", PersonNo: "P1"}, PayOrdID: "ORD1", PayToken: sensitive.NewToken("t")}, now)
	s.AskForesee("S1")
	s.Stored(2)
	return s
}

func TestStandings(t *testing.T) {
	t.Parallel()
	want := map[OrdStas]Standing{0: StandsOpen, 1: StandsOpen, 2: StandsMoving, 3: StandsMoving, 4: StandsPaid, 5: StandsPaid, 6: StandsPaid,
		7: StandsReturned, 8: StandsReturned, 9: StandsCashBack, 10: StandsCashBack, 11: StandsReturned, 12: StandsRevoked, 13: StandsFailed,
		14: StandsPeculiar, 15: StandsFailed, 16: StandsPeculiar}
	for code := OrdStas(-1); code <= 30; code++ {
		expected, known := want[code]
		if !known {
			expected = StandsUnknowable
		}
		if got := code.Standing(); got != expected {
			t.Errorf("%d stands %s, want %s", code, got, expected)
		}
	}
}

func TestUploadIsForeseen(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stand Stand
		ok    bool
	}{
		"as it should be":                {Stand{State: Foreseen, Told: true, Figures: figures, Split: ofFigures, MdtrtID: "M1"}, true},
		"without amounts":                {Stand{State: Foreseen}, false},
		"of another total":               {Stand{Told: true, Figures: Figures{Total: 99, Fund: 60, Account: 19, Cash: 20}, Split: ofFigures}, false},
		"figures that differ":            {Stand{Told: true, Figures: Figures{Total: 100, Fund: 60, Account: 19, Cash: 20}, Split: ofFigures}, false},
		"parts of other cash":            {Stand{Told: true, Figures: figures, Split: split.Split{PooledFund: 80, Cash: 20, Uninsured: 0, Account: 0}}, true},
		"parts that differ":              {Stand{Told: true, Figures: figures, Split: split.Split{PooledFund: 81, Cash: 20}}, false},
		"no amounts, and they would fit": {Stand{Figures: figures, Split: ofFigures}, false},
		"parts of wrong money":           {Stand{Told: true, Figures: figures, Split: split.Split{PooledFund: 70, Cash: 30}}, false},
	} {
		s := uploadedOne()
		err := s.Foreknow(tt.stand)
		if (err == nil) != tt.ok || (s.State == Presettled) != tt.ok || s.Changed() != tt.ok {
			t.Errorf("%s: %v, %s", name, err, s.State)
		}
		if tt.ok && (s.Figures != figures || s.Foreseen != tt.stand.Split) {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for told, want := range map[string]string{"": "M0", "M1": "M1"} {
		s := uploadedOne()
		s.Visit.MdtrtID = "M0"
		if err := s.Foreknow(Stand{Told: true, Figures: figures, Split: ofFigures, MdtrtID: told}); err != nil || s.Visit.MdtrtID != want {
			t.Errorf("told visit %q: %v, visit %q, want %q", told, err, s.Visit.MdtrtID, want)
		}
	}
	s := at(Settled)
	if err := s.Foreknow(Stand{Told: true, Figures: Figures{Total: 100, Cash: 100}, Split: split.Split{Cash: 100}}); !errors.Is(err, ErrMove) {
		t.Errorf("foreknown in settled: %v", err)
	}
}

// handed is an upload that WeChat has in hand.
func handed(t *testing.T) *Settlement {
	t.Helper()
	s := uploadedOne()
	if err := s.Foreknow(Stand{State: Foreseen, Told: true, Figures: figures, Split: ofFigures}); err != nil {
		t.Fatal(err)
	}
	if err := s.HandOver(); err != nil || s.State != Settling || !s.HandedOver {
		t.Fatalf("HandOver: %v, %s", err, s.State)
	}
	s.Stored(3)
	return s
}

func TestSawCountsContradictions(t *testing.T) {
	t.Parallel()
	good := Stand{State: AllDone, OrderNo: "1", Told: true, Figures: figures}
	silent := Stand{State: CentreSettling}
	noOther := good
	noOther.Figures.Other = 0
	for name, t2 := range map[string]Stand{"equal": good, "without amounts": silent, "without othFeeAmt": noOther} {
		s := handed(t)
		if !s.Same(t2) || !s.Saw(t2) || s.Doubts != 0 || s.OrdStas != t2.State {
			t.Errorf("%s: doubts %d, ordStas %d", name, s.Doubts, s.OrdStas)
		}
	}
	for name, change := range map[string]func(*Stand){
		"another number": func(t *Stand) { t.OrderNo = "2" },
		"another fund":   func(t *Stand) { t.Figures.Fund, t.Figures.Account = 61, 18 },
		"another total":  func(t *Stand) { t.Figures.Total = 99 },
		"cash for fund":  func(t *Stand) { t.Figures.Other, t.Figures.Cash = 0, 21 },
	} {
		s, bad := handed(t), good
		change(&bad)
		for i := 1; i < 4; i++ { // the fourth in a row is too much
			if s.Same(bad) || !s.Saw(bad) || s.Doubts != i || !s.Changed() {
				t.Errorf("%s, time %d: doubts %d", name, i, s.Doubts)
			}
		}
		if s.Saw(bad) {
			t.Errorf("%s is borne for ever", name)
		}
		if !s.Saw(good) || s.Doubts != 0 {
			t.Errorf("%s, then right: doubts %d", name, s.Doubts)
		}
	}
	for _, tt := range []struct {
		name    string
		doubts  int
		before  OrdStas
		changed bool
	}{{"nothing new", 0, AllDone, false}, {"another code", 0, Foreseen, true}, {"no doubt any more", 1, AllDone, true}} {
		s := handed(t)
		s.Doubts, s.OrdStas = tt.doubts, tt.before
		if !s.Saw(good) || s.Changed() != tt.changed || s.Doubts != 0 || s.OrdStas != AllDone {
			t.Errorf("%s: changed %v, %d doubts, ordStas %d", tt.name, s.Changed(), s.Doubts, s.OrdStas)
		}
	}
}

// TestOtherMayBeLeftOut: 6301 has no member for othFeeAmt everywhere; then the rest must be exactly what is short.
func TestOtherMayBeLeftOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		f    Figures
		want bool
	}{
		{"all of it", Figures{100, 60, 19, 1, 20}, true},
		{"without other", Figures{100, 60, 19, 0, 20}, true},
		{"without other, and one fen more of the fund", Figures{100, 61, 18, 0, 20}, false},
		{"without other, and it adds up", Figures{100, 60, 20, 0, 20}, false},
		{"another other", Figures{100, 60, 18, 2, 20}, false},
		{"another other, and it does not add up", Figures{100, 60, 19, 2, 20}, false},
		{"another total", Figures{99, 60, 19, 0, 20}, false},
	} {
		if got := tt.f.within(figures); got != tt.want {
			t.Errorf("%s: within = %v", tt.name, got)
		}
	}
	if (Figures{100, 60, 20, 0, 20}).within(Figures{100, 60, 20, 1, 20}) {
		t.Error("what adds up without another part lacks none")
	}
	if err := (Figures{Total: 99, Fund: 80, Cash: 20}).Check(100); !errors.Is(err, split.ErrSplit) {
		t.Errorf("parts of the bill's total, and another total beside them: %v", err)
	}
}

func TestProved(t *testing.T) {
	t.Parallel()
	s := handed(t)
	at6 := Stand{State: AllDone, SetlID: "SETL1", SettledAt: now, MdtrtID: "M9", ClrOptins: "1", ClrWay: "2", ClrType: "3", RevsToken: sensitive.NewToken("r")}
	if err := s.Proved(at6, now.Add(time.Hour)); err != nil || s.State != Settled || s.Actual != ofFigures || s.SetlID != "SETL1" || !s.SettledAt.Equal(now) ||
		s.Visit.MdtrtID != "M9" || s.RevsToken.IsZero() || s.ClrOptins+s.ClrWay+s.ClrType != "123" || !s.AsForeseen() {
		t.Errorf("Proved: %v, %+v", err, s)
	}
	s = handed(t)
	if err := s.Proved(Stand{State: HospitalSettled}, now); err != nil || s.SetlID != "ORD1" || !s.SettledAt.Equal(now) {
		t.Errorf("an answer without number and time: %v, %+v", err, s)
	}
	s = handed(t)
	s.Visit.MdtrtID = "M0"
	if err := s.Proved(Stand{State: AllDone}, now); err != nil || s.Visit.MdtrtID != "M0" {
		t.Errorf("an answer without the visit: %v, %q", err, s.Visit.MdtrtID)
	}
	s = uploadedOne() // a centre that settles by 6202 alone
	if err := s.Proved(Stand{State: AllDone, Told: true, Figures: figures}, now); err != nil || s.State != Settled || s.Actual.Total() != 100 || s.Figures != figures {
		t.Errorf("nothing was foreseen, and the answer tells: %v, %+v", err, s)
	}
	s = uploadedOne()
	if err := s.Proved(Stand{State: AllDone}, now); !errors.Is(err, split.ErrSplit) || s.State != Presettling {
		t.Errorf("nothing was foreseen, and nothing is told: %v, %s", err, s.State)
	}
	s = at(Cancelled)
	s.Foreseen = ofFigures
	if err := s.Proved(at6, now); !errors.Is(err, ErrMove) || s.SetlID != "" {
		t.Errorf("proved when cancelled: %v, %+v", err, s)
	}
}

func TestGiveBackKeepsItsNumber(t *testing.T) {
	t.Parallel()
	s := at(Settled)
	if err := s.AskGiveBack("F1", now, now.Add(time.Minute)); err != nil || s.State != Cancelling || s.RefundNo != "F1" || !s.AskedUntil.Equal(now.Add(time.Minute)) {
		t.Fatalf("AskGiveBack: %v, %+v", err, s)
	}
	if err := s.GaveBack(fault.New(fault.Unavailable, "U", "")); err != nil || s.State != Settled {
		t.Errorf("never left: %v, %s", err, s.State)
	}
	if err := s.AskGiveBack("F2", now.Add(time.Hour), now); err != nil || s.RefundNo != "F1" || !s.RefundAt.Equal(now) {
		t.Errorf("again: %v, number %s at %v", err, s.RefundNo, s.RefundAt)
	}
	if err := s.GaveBack(fault.New(fault.Rejected, "R", "")); err != nil || s.State != Checking {
		t.Errorf("a refusal is only a claim: %v, %s", err, s.State)
	}
	for _, done := range []error{nil, errors.New("no kind")} {
		s = at(Cancelling)
		if err := s.GaveBack(done); err != nil || (s.State == Cancelled) != (done == nil) || (s.State == Checking) != (done != nil) {
			t.Errorf("%v: %v, %s", done, err, s.State)
		}
	}
	if err := at(Presettled).AskGiveBack("F1", now, now); !errors.Is(err, ErrMove) {
		t.Errorf("giving back what is not settled: %v", err)
	}
	if err := at(Settled).HandOver(); !errors.Is(err, ErrMove) {
		t.Errorf("handing over what is settled: %v", err)
	}
}

func TestUploadsAreCounted(t *testing.T) {
	t.Parallel()
	s := fresh()
	s.Asked()
	s.Asked()
	s.Unasked()
	if s.Settles != 1 || !s.Changed() || ID(1234).No() != "1234" {
		t.Errorf("asked %d times", s.Settles)
	}
	for name, act := range map[string]func(s *Settlement){"Asked": (*Settlement).Asked, "Unasked": (*Settlement).Unasked,
		"AskForesee": func(s *Settlement) { s.AskForesee("S1") }, "Uploaded": func(s *Settlement) { s.Uploaded(Uploaded{}, now) }} {
		s := fresh()
		if act(s); !s.Changed() || (name == "AskForesee") != (s.Serial == "S1") {
			t.Errorf("%s is not to be stored: %+v", name, s)
		}
	}
}
