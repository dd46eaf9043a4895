package settlement

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/split"
)

var (
	now      = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	rejected = fault.New(fault.Rejected, "NO", "不在待遇期")
	unsent   = fault.New(fault.Unavailable, "UNSENT", "")
	parts    = split.Split{PooledFund: 50, OtherFund: 10, Account: 15, FamilyAccount: 4, HospitalBorne: 1, Cash: 20}
)

func fresh() *Settlement {
	s := New(1, 1, Visit{VisitNo: "T1"}, "B1", 100, true)
	s.Stored(1)
	return s
}

func at(state State) *Settlement {
	s := fresh()
	s.State = state
	return s
}

func TestNewIsPresettlingAndUnstored(t *testing.T) {
	t.Parallel()
	s := New(7, 2, Visit{VisitNo: "T7"}, "B7", 100, true)
	if s.State != Presettling || !s.Changed() || s.Version != 0 {
		t.Errorf("New = %+v", s)
	}
	if s.Stored(3); s.Changed() || s.Version != 3 {
		t.Errorf("after Stored: %+v", s)
	}
}

func TestForesee(t *testing.T) {
	t.Parallel()
	balance := money.Fen(7)
	p := Presettlement{Visit: Visit{MdtrtID: "M1"}, Split: parts, Echo: Echo{InScope: 100}, Balance: &balance}
	s := fresh()
	if err := s.Foresee(p); err != nil || s.State != Presettled || s.Foreseen != parts || s.Visit.MdtrtID != "M1" || s.Echo != p.Echo || *s.Balance != 7 {
		t.Errorf("Foresee: %v, %+v", err, s)
	}
	wrong := p
	wrong.Split.Cash++
	if s = fresh(); !errors.Is(s.Foresee(wrong), split.ErrSplit) || s.State != Presettling || s.Changed() {
		t.Errorf("a split that does not add up was taken: %+v", s)
	}
	if s = at(Settled); !errors.Is(s.Foresee(p), ErrMove) || s.Foreseen != (split.Split{}) || s.Changed() {
		t.Errorf("foreseen in %s: %+v", s.State, s)
	}
}

func TestDecline(t *testing.T) {
	t.Parallel()
	s := fresh()
	if err := s.Decline("不在待遇期"); err != nil || s.State != Declined || s.Refusal != "不在待遇期" {
		t.Errorf("Decline: %v, %s, %q", err, s.State, s.Refusal)
	}
}

func TestLearnAndMessageAreStored(t *testing.T) {
	t.Parallel()
	s := fresh()
	if s.Learn(Visit{MdtrtID: "M9"}); s.Visit.MdtrtID != "M9" || !s.Changed() {
		t.Errorf("Learn: %+v", s)
	}
	s = fresh()
	if s.Message("m9"); s.MsgID != "m9" || !s.Changed() {
		t.Errorf("Message: %+v", s)
	}
}

// TestForbiddenChangesNothing: every method in every state where the machine forbids it.
func TestForbiddenChangesNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		act     func(*Settlement) error
		allowed []State
	}{
		"Decline":        {func(s *Settlement) error { return s.Decline("no") }, []State{Presettling}},
		"Send":           {func(s *Settlement) error { return s.Send("m2", now) }, []State{Presettled}},
		"accepted":       {func(s *Settlement) error { return s.Answered(Outcome{SetlID: "S1", Split: parts}, nil) }, []State{Settling, Restoring, Checking, InReview}},
		"refused":        {func(s *Settlement) error { return s.Answered(Outcome{}, rejected) }, []State{Settling, Reversing, Cancelling, Restoring}},
		"unsent":         {func(s *Settlement) error { return s.Answered(Outcome{}, unsent) }, []State{Settling, Cancelling}},
		"Lose":           {(*Settlement).Lose, []State{Settling, Cancelling, Checking}},
		"NotSettled":     {(*Settlement).NotSettled, []State{Reversing, Resting}},
		"Rest":           {func(s *Settlement) error { return s.Rest(now) }, []State{Settling, Reversing, Cancelling, Restoring}},
		"AskCancel":      {func(s *Settlement) error { return s.AskCancel("m3", now) }, []State{Settled}},
		"cancelled":      {func(s *Settlement) error { return s.CancelAnswered(nil) }, []State{Cancelling, Checking, Withdrawing, InReview}},
		"cancel refused": {func(s *Settlement) error { return s.CancelAnswered(rejected) }, []State{Settling, Reversing, Cancelling, Restoring}},
		"RestoreRefused": {(*Settlement).RestoreRefused, []State{Settling, Reversing, Cancelling, Restoring}},
	} {
		for _, from := range states {
			s := at(from)
			s.MsgID, s.Settles, s.Refusal = "m1", 1, "old words"
			before := *s
			err := tt.act(s)
			isAllowed := false
			for _, a := range tt.allowed {
				isAllowed = isAllowed || a == from
			}
			if isAllowed != (err == nil) {
				t.Errorf("%s in %s: %v", name, from, err)
			}
			if err != nil && (!errors.Is(err, ErrMove) || *s != before) {
				t.Errorf("%s is forbidden in %s (%v), and changed it:\n%+v\n%+v", name, from, err, before, *s)
			}
		}
	}
}

func TestAnswerOfSettle(t *testing.T) {
	t.Parallel()
	out := Outcome{SetlID: "S1", Split: parts, SettledAt: now, ClrOptins: "360100", ClrWay: "01", ClrType: "11"}
	for _, tt := range []struct {
		name    string
		err     error
		want    State
		settles int
	}{
		{"accepted", nil, Settled, 1},
		{"refused", rejected, Refused, 1},
		{"never left", unsent, Presettled, 0},
		{"lost", fault.New(fault.Unknown, "LOST", ""), Reversing, 1},
		{"pending", fault.New(fault.Pending, "WAIT", ""), Reversing, 1},
		{"our own bug", errors.New("no kind"), Reversing, 1},
		{"a kind that no adapter should use", fault.New(fault.Invalid, "X", ""), Reversing, 1},
		{"a conflict proves nothing", fault.New(fault.Conflict, "X", ""), Reversing, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := at(Presettled)
			if err := s.Send("m1", now.Add(time.Minute)); err != nil || s.MsgID != "m1" || !s.AskedUntil.Equal(now.Add(time.Minute)) || s.Settles != 1 {
				t.Fatalf("Send: %v, %+v", err, s)
			}
			if err := s.Answered(out, tt.err); err != nil || s.State != tt.want || s.Settles != tt.settles {
				t.Errorf("Answered: %v, %s, %d sent", err, s.State, s.Settles)
			}
			if (s.SetlID != "") != (tt.want == Settled) || (s.LostMsgID != "") != (tt.want == Reversing) || (s.Refusal != "") != (tt.want == Refused) {
				t.Errorf("setl_id %q, lost %q, refusal %q", s.SetlID, s.LostMsgID, s.Refusal)
			}
			if tt.want == Settled && (s.Actual != parts || !s.SettledAt.Equal(now) || s.ClrOptins+s.ClrWay+s.ClrType != "3601000111") {
				t.Errorf("settled as %+v", s)
			}
		})
	}
}

func TestOneFreshSettleOnly(t *testing.T) {
	t.Parallel()
	for _, by := range []State{Reversing, Resting} {
		s := at(by)
		s.Settles = 1
		if err := s.NotSettled(); err != nil || s.State != Presettled {
			t.Errorf("after the first 2207, %s: %v, %s", by, err, s.State)
		}
		s = at(by)
		s.Settles = 2
		if err := s.NotSettled(); err != nil || s.State != Reversed {
			t.Errorf("after the second 2207, %s: %v, %s", by, err, s.State)
		}
	}
}

func TestAnswerOfCancel(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want State
	}{
		{"done", nil, Cancelled},
		{"refused", rejected, InReview},
		{"never left", unsent, Settled},
		{"lost", errors.New("no kind"), Checking},
	} {
		s := at(Settled)
		if err := s.AskCancel("m5", now); err != nil || s.MsgID != "m5" || !s.AskedUntil.Equal(now) {
			t.Fatalf("AskCancel: %v, %+v", err, s)
		}
		if err := s.CancelAnswered(tt.err); err != nil || s.State != tt.want || (s.LostMsgID == "m5") != (tt.want == Checking) {
			t.Errorf("%s: %v, %s, lost %q", tt.name, err, s.State, s.LostMsgID)
		}
	}
}

func TestRestoringEndsWithPeople(t *testing.T) {
	t.Parallel()
	s := at(Restoring)
	for round := 1; round < 5; round++ { // five rounds, then people
		if err := s.RestoreRefused(); err != nil || s.State != Checking || s.Restores != round {
			t.Fatalf("round %d: %v, %s", round, err, s.State)
		}
		if err := s.Apply(NoAnswer); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RestoreRefused(); err != nil || s.State != InReview || s.Restores != maxRestores {
		t.Errorf("last round: %v, %s", err, s.State)
	}
}

func TestRestKeepsTheTime(t *testing.T) {
	t.Parallel()
	s := at(Reversing)
	if err := s.Rest(now); err != nil || s.State != Resting || !s.AskedUntil.Equal(now) {
		t.Errorf("Rest: %v, %+v", err, s)
	}
}

func TestAsForeseen(t *testing.T) {
	t.Parallel()
	s := &Settlement{Foreseen: parts, Actual: parts}
	if !s.AsForeseen() {
		t.Error("equal splits are not as foreseen")
	}
	s.Actual.PooledFund--
	s.Actual.Account++
	if s.AsForeseen() {
		t.Error("another split with the same cash is taken for the same")
	}
}

func TestPosting(t *testing.T) {
	t.Parallel()
	s := &Settlement{Actual: parts}
	want := ledger.Posting{{Account: ledger.PooledFund, Amount: 50}, {Account: ledger.OtherFund, Amount: 10}, {Account: ledger.PersonAccount, Amount: 15},
		{Account: ledger.FamilyAccount, Amount: 4}, {Account: ledger.HospitalBorne, Amount: 1}, {Account: ledger.Suspense, Amount: -80}}
	if diff := cmp.Diff(want, s.Posting(ledger.Suspense)); diff != "" || s.Posting(ledger.Suspense).Check() != nil {
		t.Errorf("Posting (-want +got):\n%s", diff)
	}
	if got := (&Settlement{Actual: split.Split{Cash: 100}}).Posting(ledger.Suspense); len(got) != 0 {
		t.Errorf("a settlement of which the insurer pays nothing posts %v", got)
	}
}

func TestWordsOfAnErrorWithoutKind(t *testing.T) {
	t.Parallel()
	if got := words(errors.New("x")); got != "" {
		t.Errorf("words = %q", got)
	}
}

// TestRest: what a refund prepares counts for nothing before the insurer is asked to settle it, is sent once, and what it replaced can be put back.
func TestRest(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	anew := Settlement{State: Presettled, Total: 100}
	if err := anew.Reforesee(Presettlement{Split: split.Split{Cash: 100}}); err != nil || !anew.Changed() || anew.Foreseen.Cash != 100 {
		t.Errorf("foreseen again: %v, %+v", err, anew)
	}
	if err := anew.SendOnce("m1", at); err != nil || anew.Settles != maxSettles {
		t.Errorf("sent once: %v, counted as %d", err, anew.Settles)
	}
	stands := Settlement{State: Settled, MsgID: "m0"}
	if err := stands.AskRestore("m1", at); !errors.Is(err, ErrMove) || stands.MsgID != "m0" || stands.LostMsgID != "" || stands.Changed() {
		t.Errorf("restoring what stands: %v, %+v", err, stands)
	}
	if s := (Settlement{}); func() bool { s.Restore("m1", at); return !s.Changed() }() {
		t.Error("another 2601 is not to be stored")
	}
	rest := NewOfRest(2, 2, Visit{}, "B2", 100, true)
	if rest.Stood() || rest.Open() {
		t.Errorf("a presettlement of a rest: stood %v, open %v", rest.Stood(), rest.Open())
	}
	parts := split.Split{PooledFund: 60, Cash: 40}
	if err := errors.Join(rest.Foresee(Presettlement{Split: parts}), rest.Reforesee(Presettlement{Split: split.Split{Cash: 100}, Echo: Echo{InScope: 100}})); err != nil ||
		rest.Foreseen.Cash != 100 || rest.Echo.InScope != 100 {
		t.Errorf("foreseen again: %+v, %v", rest.Foreseen, err)
	}
	if err := rest.Reforesee(Presettlement{Split: split.Split{Cash: 99}}); !errors.Is(err, split.ErrSplit) || rest.Foreseen.Cash != 100 {
		t.Errorf("one fen short: %v, %+v", err, rest.Foreseen)
	}
	if err := rest.SendOnce("m1", at); err != nil || !rest.Stood() || !rest.Open() {
		t.Errorf("sent: %v, stood %v, open %v", err, rest.Stood(), rest.Open())
	}
	if err := errors.Join(rest.Lose(), rest.NotSettled()); err != nil || rest.State != Reversed || rest.Stood() {
		t.Errorf("lost and reversed: %v, %s: a fresh 2207 must not follow", err, rest.State)
	}
	old := &Settlement{State: Cancelled, MsgID: "m0"}
	if err := old.AskRestore("m2", at); err != nil || old.State != Restoring || old.LostMsgID != "m0" || old.MsgID != "m2" || !old.AskedUntil.Equal(at) {
		t.Errorf("restoring: %v, %+v", err, old)
	}
	old.RestoreLost(at.Add(time.Minute))
	if !old.AskedUntil.Equal(at.Add(time.Minute)) || !old.Changed() {
		t.Errorf("lost: asked until %v", old.AskedUntil)
	}
	old.Restore("m3", at.Add(time.Hour))
	if err := old.RestoreRefused(); err != nil || old.State != Checking || !old.AskedUntil.IsZero() {
		t.Errorf("refused: %v, %s until %v", err, old.State, old.AskedUntil)
	}
}
