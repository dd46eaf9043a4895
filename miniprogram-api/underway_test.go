package miniprogramapi

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/order"
)

// TestAConfirmationUnderWay: until the bills are locked the order is quoted and confirmed. That is no outcome, least of all one to keep.
func TestAConfirmationUnderWay(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.want(f.quote(id, "quote-0001"), 201, "")
	o := f.orders.list[251334985728512]
	f.orders.confirm = func(o *order.Order) error { // the hospital does not answer: a worker goes on
		switch {
		case !o.ConfirmedAt.IsZero():
			return order.ErrConfirmed
		case o.State != order.Quoted:
			return order.ErrState
		}
		o.ConfirmedAt, o.Lock, o.Version = f.clock.Now(), order.LockAsked, o.Version+1
		return nil
	}
	w := f.confirm("confirm-0001", `{"version":3}`)
	if body := f.want(w, 202, ""); body["next_action"] != "wait" || w.Header().Get("Retry-After") == "" || !strings.Contains(body["state_text"].(string), "您已确认") {
		t.Errorf("order = %v", body)
	}
	f.want(f.confirm("confirm-0001", `{"version":3}`), 409, "ORDER_BUSY")
	refused := f.confirm("confirm-0002", `{"version":3}`)
	f.want(refused, 409, "ORDER_CONFIRMED") // not ORDER_CHANGED: there is nothing to look at again
	if body := f.want(f.do("GET", "/orders/"+orderNo, ""), 200, ""); body["next_action"] != "wait" {
		t.Errorf("order = %v", body)
	}
	pays(o, f.clock.Now().Add(30*time.Minute))
	if body := f.want(f.confirm("confirm-0001", `{"version":3}`), 200, ""); body["state"] != "paying" || body["next_action"] != "pay" {
		t.Errorf("order = %v", body)
	}
	if again := f.confirm("confirm-0002", `{"version":3}`); again.Body.String() != refused.Body.String() {
		t.Errorf("the refusal was not replayed: %s", again.Body)
	}
	o.State, o.ConfirmedAt = order.Closed, time.Time{}
	f.want(f.confirm("confirm-0003", `{"version":3}`), 409, "ORDER_STATE")
}

// TestLongPollEndsWithTheProcess: a process that is told to stop answers its long polls with the order as it stands.
func TestLongPollEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	f, id := ordering(t, func(c *Config) { c.Stopping = stopping })
	f.want(f.quote(id, "quote-0001"), 201, "")
	f.orders.wait = func(ctx context.Context) error {
		close(stopping)
		<-ctx.Done()
		return ctx.Err()
	}
	if body := f.want(f.do("GET", "/orders/"+orderNo+"?wait=25&version=3", ""), 200, ""); body["state"] != "quoted" {
		t.Errorf("order = %v", body)
	}
}
