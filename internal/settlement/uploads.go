package settlement

import (
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/split"
)

// Uploaded takes the answer of 6201: what was uploaded has a name at the centre, and can be queried and revoked from now on.
func (s *Settlement) Uploaded(u Uploaded, at time.Time) {
	s.Visit, s.Upload.PayOrdID, s.Upload.PayToken, s.Upload.ECToken, s.Upload.At, s.changed = u.Visit, u.PayOrdID, u.PayToken, u.ECToken, at, true
}

// Asked counts a 6201 going out.
func (s *Settlement) Asked() { s.Settles, s.changed = s.Settles+1, true }

// Unasked takes a count back: it never left.
func (s *Settlement) Unasked() { s.Settles, s.changed = s.Settles-1, true }

// AskForesee numbers the 6202 that follows.
func (s *Settlement) AskForesee(serial string) { s.Serial, s.changed = serial, true }

// Foreknow takes the answer of 6202. Errors: ErrMove, split.ErrSplit for figures or parts that do not add up, fault.Unknown for an answer
// without them.
func (s *Settlement) Foreknow(t Stand) error {
	if !t.Told {
		return fault.New(fault.Unknown, "CENTRE_UNREADABLE", "医保预结算结果核实中")
	}
	if err := t.Figures.Check(s.Total); err != nil {
		return err
	}
	if t.Split.Charge() != t.Figures.Cash {
		return split.ErrSplit.Because(fmt.Errorf("the patient pays %s, the parts say %s", t.Figures.Cash, t.Split.Charge()))
	}
	visit := s.Visit
	if t.MdtrtID != "" {
		visit.MdtrtID = t.MdtrtID
	}
	if err := s.Foresee(Presettlement{Visit: visit, Split: t.Split, Balance: t.Balance}); err != nil {
		return err
	}
	s.Figures, s.OrdStas = t.Figures, t.State
	return nil
}

// HandOver moves to settling: WeChat is told the upload's number, and has it settled when the patient types the password.
func (s *Settlement) HandOver() error {
	if err := s.Apply(Send); err != nil {
		return err
	}
	s.HandedOver = true
	return nil
}

// Same reports whether an answer of the centre is about this very upload, with the amounts that the patient was told. Where the answer of 6202 is
// lost, nobody was told any.
func (s *Settlement) Same(t Stand) bool {
	return (t.OrderNo == "" || t.OrderNo == s.Upload.OrderNo) && (!t.Told || s.Figures == (Figures{}) || t.Figures.within(s.Figures))
}

// within compares what the answer tells: 6301 has no member for othFeeAmt everywhere, and then nothing is told of it.
func (f Figures) within(of Figures) bool {
	if f.Other == 0 && f.Total == of.Total && f.Fund+f.Account+f.Cash < f.Total {
		f.Other = of.Other
	}
	return f == of
}

// Proved takes a verified answer that the centre has settled the upload: as it was foreseen, or where nothing was foreseen, as the answer says.
// Errors: ErrMove, split.ErrSplit where neither tells the amounts.
func (s *Settlement) Proved(t Stand, now time.Time) error {
	if s.Foreseen == (split.Split{}) {
		f := t.Figures
		if err := f.Check(s.Total); err != nil {
			return err
		}
		s.Figures, s.Foreseen = f, split.Split{PooledFund: f.Fund, OtherFund: f.Other, Account: f.Account, Cash: f.Cash}
	}
	if err := s.Apply(Prove); err != nil {
		return err
	}
	s.Actual, s.SettledAt, s.SetlID = s.Foreseen, t.SettledAt, t.SetlID
	if s.SettledAt.IsZero() {
		s.SettledAt = now // the answer has no time: when we learnt of it
	}
	if s.SetlID == "" {
		s.SetlID = s.Upload.PayOrdID
	}
	s.ClrOptins, s.ClrWay, s.ClrType, s.RevsToken = t.ClrOptins, t.ClrWay, t.ClrType, t.RevsToken
	if t.MdtrtID != "" {
		s.Visit.MdtrtID = t.MdtrtID
	}
	return nil
}

// Saw keeps the code that the centre told last, and whether its verified answers agree with us: false, when so many in a row did not that a
// person must look.
func (s *Settlement) Saw(t Stand) (bearable bool) {
	if s.OrdStas != t.State {
		s.OrdStas, s.changed = t.State, true
	}
	switch {
	case !s.Same(t):
		s.Doubts, s.changed = s.Doubts+1, true
	case s.Doubts != 0:
		s.Doubts, s.changed = 0, true
	}
	return s.Doubts < maxDoubts
}

// AskGiveBack moves to cancelling: 6203 goes out under a number that is made once and kept.
func (s *Settlement) AskGiveBack(number string, at, until time.Time) error {
	if err := s.Apply(Cancel); err != nil {
		return err
	}
	if s.RefundNo == "" {
		s.RefundNo, s.RefundAt = number, at
	}
	s.AskedUntil = until
	return nil
}

// GaveBack takes the answer of 6203. A failure is only a claim until the centre is queried.
func (s *Settlement) GaveBack(err error) error {
	switch {
	case err == nil:
		return s.Apply(Gone)
	case fault.InMoneyStep(err) == fault.Unavailable:
		return s.Apply(Unsent)
	default:
		return s.Apply(NoAnswer)
	}
}
