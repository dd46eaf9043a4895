package his

import (
	"encoding/json"
	"testing"
)

// TestPaidElsewhere: that a bill was paid by another way is believed with the number of that payment alone: money is given back on it. What the platform
// itself has paid has another order's number; without one it may be this very order.
func TestPaidElsewhere(t *testing.T) {
	t.Parallel()
	for paid, ok := range map[string]bool{
		`{"bill_no":"B1","where":"window","serial_no":"S1"}`:                  true,
		`{"bill_no":"B1","where":"other","serial_no":"S1"}`:                   true,
		`{"bill_no":"B1","where":"platform","order_no":"8"}`:                  true,
		`{"bill_no":"B1","where":"other","order_no":"8"}`:                     true,
		`{"bill_no":"B1","where":"platform","order_no":"7"}`:                  false,
		`{"bill_no":"B1","where":"platform"}`:                                 false,
		`{"bill_no":"B1","where":"platform","serial_no":"S1"}`:                false,
		`{"bill_no":"B1","where":"window"}`:                                   false,
		`{"bill_no":"B2","where":"window","serial_no":"S1"}`:                  false,
		`{"bill_no":"B1","where":"window","serial_no":"S1","order_no":"7"}`:   false,
		`{"bill_no":"B1","where":"elsewhere","serial_no":"S1","order_no":""}`: false,
	} {
		var q queryAnswer
		if err := json.Unmarshal([]byte(`{"order_no":"7","state":"paid_elsewhere","paid":[`+paid+`]}`), &q); err != nil {
			t.Fatal(err)
		}
		if _, err := q.status([]string{"B1"}); (err == nil) != ok {
			t.Errorf("%s: %v", paid, err)
		}
	}
}
