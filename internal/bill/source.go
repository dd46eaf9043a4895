package bill

import "context"

// Source looks bills up in a HIS. Errors are this package's sentinels, so that an empty list always means nothing to pay.
type Source interface {
	// Pending lists the bills of a HIS patient that wait for payment, newest first; empty only when the HIS said so.
	Pending(ctx context.Context, hisPatient string) ([]Summary, error)
	// Detail reads one bill of that patient in full and checked (Bill.Check). ErrNotFound for another patient's bill. A paid or void bill
	// is returned with its state, not as an error.
	Detail(ctx context.Context, hisPatient, billNo string) (*Bill, error)
}
