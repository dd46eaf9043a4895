package order

import (
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/refund"
)

// TestNumberTaken: a counterpart that tells the number of another order would tell it again for ever; people look, and have a way out.
func TestNumberTaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		taken   string
		play    func(w *world) ID
		of      string // what is in review: order or refund
		verdict string
	}{
		{"posting P1", func(w *world) ID { w.his.repeat = "P1"; return paid(w) }, "order", "complete posting_no=P2"},
		{"settlement S1", paid, "order", "post insurance=settled setl_id=S9"},
		{"transaction 420001", paid, "order", "settle cash=paid transaction_id=429999"},
		{"settlement S2", func(w *world) ID { id := booked(w); w.mustGive(id, item(exam)); return id }, "refund", "resume insurance=settled setl_id=S9"},
		{"booking T1", func(w *world) ID {
			id := booked(w)
			w.his.repeat = "T1"
			w.mustGive(id, item(diapers))
			return id
		}, "refund", "done"},
	} {
		t.Run(tt.taken, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			bigBill(w)
			w.store.others = []string{tt.taken}
			id := tt.play(w)
			w.settle(time.Hour)
			o := w.order(id)
			switch f := o.Refund(); {
			case tt.of == "order" && (o.State != InReview || o.Cause != NumberTaken):
				t.Fatalf("order %s (%s)\n%s", o.State, o.Cause, strings.Join(w.log, "\n"))
			case tt.of == "refund" && (f == nil || f.State != refund.InReview || f.Cause != string(NumberTaken)):
				t.Fatalf("refund %+v\n%s", f, strings.Join(w.log, "\n"))
			}
			w.agree(id, tt.verdict)
			w.settle(tenDays)
			if o = w.wantState(id, Completed, ""); o.Refund() != nil {
				t.Errorf("refund %+v", o.Refund())
			}
			w.tell(t, id)
		})
	}
}
