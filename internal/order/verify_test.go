package order

import (
	"slices"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/payment"
)

// TestVerifyFinds: whatever is changed of a sound order's ledger, events or legs, by one fen, is found.
func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	id := booked(w)
	w.mustGive(id, item(exam))
	w.settle(time.Hour)
	given := w.order(id)
	sound := w.store.history[id]
	if found := Verify(given, sound); len(found) > 0 {
		t.Fatalf("a sound order: %v", found)
	}
	posted := func(h []Event) (at []int) {
		for i := range h {
			if len(h[i].Posting) > 0 {
				at = append(at, i)
			}
		}
		return at
	}
	if n := len(posted(sound)); n < 7 { // paid, settled, booked; held, cancelled, settled anew, cash returned
		t.Fatalf("only %d events post", n)
	}
	for _, i := range posted(sound) {
		for name, spoil := range map[string]func(e *Event){
			"one fen between two accounts": func(e *Event) { e.Posting[0].Amount++; e.Posting[1].Amount-- },
			"one fen on one side":          func(e *Event) { e.Posting[0].Amount++ },
			"another account":              func(e *Event) { e.Posting[0].Account = ledger.WechatFee },
			"nothing posted":               func(e *Event) { e.Posting = nil },
			"the other way round":          func(e *Event) { e.Posting = e.Posting.Undo() },
			"posted twice":                 func(e *Event) { e.Posting = append(e.Posting, e.Posting...) },
		} {
			h := slices.Clone(sound)
			h[i].Posting = slices.Clone(h[i].Posting)
			spoil(&h[i])
			if len(Verify(given, h)) == 0 {
				t.Errorf("event %d %s %s, %s: nothing found", i+1, h[i].Subject, h[i].Verb, name)
			}
		}
		twice := append(slices.Clone(sound), sound[i])
		if len(Verify(given, twice)) == 0 {
			t.Errorf("event %d %s %s twice: nothing found", i+1, sound[i].Subject, sound[i].Verb)
		}
	}
	for i := range sound { // those that post nothing, too
		if len(Verify(given, slices.Delete(slices.Clone(sound), i, i+1))) == 0 {
			t.Errorf("event %d %s %s is gone: nothing found", i+1, sound[i].Subject, sound[i].Verb)
		}
	}
	for name, spoil := range map[string]func(o *Order){
		"a payment gone":               func(o *Order) { o.Payments = nil },
		"a settlement gone":            func(o *Order) { o.Settlements = o.Settlements[1:] },
		"the settlement of the rest":   func(o *Order) { o.Settlements = o.Settlements[:1] },
		"a refund gone":                func(o *Order) { o.Refunds = nil },
		"a mixed order from nowhere":   func(o *Order) { o.Mixed = []*payment.Mixed{{}} },
		"a payment of one fen more":    func(o *Order) { o.Payments[0].Amount++ },
		"a payment closed":             func(o *Order) { o.Payments[0].State = payment.Closed },
		"a settlement of one fen more": func(o *Order) { o.Settlement().Actual.PooledFund++ },
		"a refund of one fen more":     func(o *Order) { o.Refunds[0].Cash.Amount++ },
		"a refund's lines":             func(o *Order) { o.Refunds[0].Lines[0].Amount++ },
		"what stands":                  func(o *Order) { o.Refunds[0].Rest.Cash++; o.Refunds[0].Rest.PooledFund-- },
		"never booked":                 func(o *Order) { o.Post = PostNone },
	} {
		o := w.order(id)
		spoil(o)
		if len(Verify(o, sound)) == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
}
