package settlement

import (
	"time"

	"github.com/tuoka/tuoka/internal/fault"
)

// maxSettles is how many 2207 a settlement may send: the first, and one fresh after the first was proved undone (design.md §3).
const maxSettles = 2

// maxRestores is how many rounds of query and reversal a lost 2208 has before a person must look.
const maxRestores = 5

// maxDoubts is how many contradicting answers of the centre in a row are asked again before a person must look.
const maxDoubts = 4

// Foresee takes the answer of the presettlement.
func (s *Settlement) Foresee(p Presettlement) error {
	if err := p.Split.Check(s.Total); err != nil {
		return err
	}
	if err := s.Apply(Foresee); err != nil {
		return err
	}
	s.Visit, s.Foreseen, s.Echo, s.Balance = p.Visit, p.Split, p.Echo, p.Balance
	return nil
}

// Learn keeps how far a presettlement came that did not end well.
func (s *Settlement) Learn(v Visit) { s.Visit, s.changed = v, true }

// Decline notes the refusal of the presettlement, with the insurer's words.
func (s *Settlement) Decline(words string) error {
	if err := s.Apply(Decline); err != nil {
		return err
	}
	s.Refusal = words
	return nil
}

// Send moves to settling under a fresh message number. Nobody asks again before until.
func (s *Settlement) Send(msgID string, until time.Time) error {
	if err := s.Apply(Send); err != nil {
		return err
	}
	s.MsgID, s.AskedUntil = msgID, until
	s.Settles++
	return nil
}

// Answered takes the answer of 2207: accepted, refused, never sent, or nothing trustworthy.
func (s *Settlement) Answered(out Outcome, err error) error {
	if err == nil {
		if err := s.Apply(Accept); err != nil {
			return err
		}
		s.SetlID, s.Actual, s.SettledAt = out.SetlID, out.Split, out.SettledAt
		s.ClrOptins, s.ClrWay, s.ClrType = out.ClrOptins, out.ClrWay, out.ClrType
		return nil
	}
	switch fault.InMoneyStep(err) {
	case fault.Rejected:
		return s.refused(err)
	case fault.Unavailable:
		if err := s.Apply(Unsent); err != nil {
			return err
		}
		s.Settles--
		return nil
	default:
		return s.Lose()
	}
}

// refused notes the insurer's no to a 2207 or 2208, with its words.
func (s *Settlement) refused(err error) error {
	if moved := s.Apply(Refuse); moved != nil {
		return moved
	}
	s.Refusal = words(err)
	return nil
}

// SendOnce is Send of a 2207 that is not sent a second time, whatever becomes of it.
func (s *Settlement) SendOnce(msgID string, until time.Time) error {
	s.Settles = maxSettles - 1
	return s.Send(msgID, until)
}

// Reforesee takes the answer of a 2206 on a batch that was foreseen before: other visits, and what was cancelled, may have moved the limits.
func (s *Settlement) Reforesee(p Presettlement) error {
	if err := p.Split.Check(s.Total); err != nil {
		return err
	}
	s.Foreseen, s.Echo, s.Balance, s.changed = p.Split, p.Echo, p.Balance, true
	return nil
}

// AskRestore moves to restoring: 2601 on the 2208 that had cancelled the settlement.
func (s *Settlement) AskRestore(msgID string, until time.Time) error {
	if err := s.Apply(Restore); err != nil {
		return err
	}
	s.LostMsgID = s.MsgID
	s.Restore(msgID, until)
	return nil
}

// Lose notes that the answer of the 2207 or 2208 asked last is lost.
func (s *Settlement) Lose() error {
	if err := s.Apply(NoAnswer); err != nil {
		return err
	}
	s.LostMsgID = s.MsgID
	return nil
}

// AsForeseen reports whether the settlement is what the patient agreed to.
func (s *Settlement) AsForeseen() bool { return s.Actual == s.Foreseen }

// NotSettled notes the proof that nothing stands: one fresh 2207 may follow, or none.
func (s *Settlement) NotSettled() error {
	if s.Settles < maxSettles {
		return s.Apply(Undone)
	}
	return s.Apply(GiveUp)
}

// Rest notes a refused 2601: 2206 is believed only after until.
func (s *Settlement) Rest(until time.Time) error {
	if err := s.Apply(Refuse); err != nil {
		return err
	}
	s.AskedUntil = until
	return nil
}

// AskCancel moves to cancelling under a fresh message number. Nobody asks again before until.
func (s *Settlement) AskCancel(msgID string, until time.Time) error {
	if err := s.Apply(Cancel); err != nil {
		return err
	}
	s.MsgID, s.AskedUntil = msgID, until
	return nil
}

// CancelAnswered takes the answer of 2208.
func (s *Settlement) CancelAnswered(err error) error {
	if err == nil {
		return s.Apply(Gone)
	}
	switch fault.InMoneyStep(err) {
	case fault.Rejected:
		return s.refused(err)
	case fault.Unavailable:
		return s.Apply(Unsent)
	default:
		return s.Lose()
	}
}

// RestoreRefused notes a refused 2601 of a 2208: it is asked again how the settlement stands, some rounds long.
func (s *Settlement) RestoreRefused() error {
	on := Refuse
	if s.Restores+1 >= maxRestores {
		on = Escalate
	}
	if err := s.Apply(on); err != nil {
		return err
	}
	s.Restores++
	s.MsgID = s.LostMsgID      // the 2208, which a 2601 may have to name again
	s.AskedUntil = time.Time{} // it has answered
	return nil
}

// Restore numbers a 2601 on a 2208. Nobody asks again before until: one that arrived late would put back in force what was cancelled since.
func (s *Settlement) Restore(msgID string, until time.Time) {
	s.MsgID, s.AskedUntil, s.changed = msgID, until, true
}

// RestoreLost notes that the answer is lost; arrived is when the call can arrive no more.
func (s *Settlement) RestoreLost(arrived time.Time) { s.AskedUntil, s.changed = arrived, true }

// Message numbers the next call that is not the lost one.
func (s *Settlement) Message(msgID string) { s.MsgID, s.changed = msgID, true }

func words(err error) string {
	if e, ok := fault.Find(err); ok {
		return e.Msg
	}
	return ""
}
