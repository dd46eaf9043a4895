package order

import (
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
)

// hisMargin is how much earlier the payment must be here than the HIS gives the bills back: time to tell it.
const hisMargin = time.Minute

// Kind is what the order's bills ask money for: all of them the same.
func (o *Order) Kind() bill.Kind {
	if len(o.Bills) == 0 {
		return bill.Outpatient
	}
	return o.Bills[0].Bill.Kind
}

// oneKind reports whether all bills ask money for the same.
func oneKind(bills []Bill) bool {
	return !slices.ContainsFunc(bills, func(b Bill) bool { return b.Bill.Kind != bills[0].Bill.Kind })
}

// take makes a new order one of these bills, which are of one visit and one kind and leave the patient time to pay. A deposit is the patient's own
// money: the insurer is not asked, whatever the patient wants.
func (o *Order) take(bills []Bill) error {
	if slices.ContainsFunc(bills, func(b Bill) bool { return b.Bill.Visit.No != bills[0].Bill.Visit.No }) {
		return ErrBillCount
	}
	if !oneKind(bills) {
		return ErrKinds
	}
	o.Bills = bills
	if last := o.lastPayment(leastTime); !last.IsZero() && last.Before(o.CreatedAt) {
		return bill.ErrOver
	}
	if o.Kind() == bill.Deposit {
		o.Insured, o.UseAccount, o.PayAuth, o.AuthUntil = false, false, 0, time.Time{}
	}
	var err error
	o.Total, err = totalOf(bills)
	return err
}

// lastPayment is when the patient must have paid at the latest, by what the HIS says of the bills (pay_by), and so much time before that. Zero: it
// says nothing.
func (o *Order) lastPayment(before time.Duration) time.Time {
	var last time.Time
	for i := range o.Bills {
		if by := o.Bills[i].Bill.PayBy; !by.IsZero() {
			last = earlier(by.Add(-hisMargin-before), last)
		}
	}
	return last
}

// earlier is t, unless the end comes before it; the zero time is no end.
func earlier(t, end time.Time) time.Time {
	if !end.IsZero() && end.Before(t) {
		return end
	}
	return t
}

// PerVisit reports whether several bills of one visit may be paid together at an institution.
func (s *Service) PerVisit(institution string) bool {
	party, ok := s.parties[institution]
	return ok && party.PerVisit
}
