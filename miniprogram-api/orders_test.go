package miniprogramapi

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

const orderNo = "251334985728512"

// quotedOrder is an insured order that waits for its confirmation: 19.17 insured, 12.00 not.
func quotedOrder(f *face, person string) *order.Order {
	id, err := order.ParseID(orderNo)
	if err != nil {
		f.t.Fatal(err)
	}
	n, err := patientID(person)
	if err != nil {
		f.t.Fatal(err)
	}
	now := f.clock.Now()
	st := settlement.New(7, 1, settlement.Visit{VisitNo: "T7"}, "B7", 1917, true)
	st.State = settlement.Presettled
	return &order.Order{ID: id, Institution: "h1", Account: f.account(), Patient: n, HISPatient: "P1", Route: order.Core, State: order.Quoted, Version: 3,
		CreatedAt: now, UpdatedAt: now, Bills: []order.Bill{{Bill: *aBill("MZ1", 3117)}}, Total: 3117, Insured: true, UseAccount: true,
		Split: split.Split{PooledFund: 1000, Account: 500, Cash: 417, Uninsured: 1200}, QuotedUntil: now.Add(15 * time.Minute),
		Settlements: []*settlement.Settlement{st}}
}

// pays moves an order to paying, with WeChat's order open.
func pays(o *order.Order, until time.Time) {
	p := payment.New(9, 1, "T9", o.Split.Charge(), nil, until)
	p.State, p.PrepayID = payment.Open, "wx1"
	o.State, o.Payments, o.Version, o.ConfirmedAt = order.Paying, append(o.Payments, p), o.Version+1, until.Add(-30*time.Minute)
}

// ordering is a face with a patient who may pay by insurance.
func ordering(t *testing.T, edit ...func(*Config)) (*face, string) {
	t.Helper()
	f := newFace(t, edit...)
	id := f.addSelf()
	f.agree("insurance")
	f.orders.quote = func(order.QuoteRequest) (*order.Order, error) { return quotedOrder(f, id), nil }
	f.orders.confirm = func(o *order.Order) error {
		if !o.ConfirmedAt.IsZero() {
			return fmt.Errorf("confirm: %w", order.ErrConfirmed)
		}
		pays(o, f.clock.Now().Add(30*time.Minute))
		return nil
	}
	f.orders.cancel = func(o *order.Order) error { o.State = order.Closed; o.Cause = order.ByPatient; return nil }
	f.orders.cashier = payment.Cashier{AppID: "wx", TimeStamp: "1", NonceStr: "n", Package: "prepay_id=wx1", SignType: "RSA", PaySign: "s"}
	return f, id
}

func quoteBody(person string) string {
	return `{"patient_id":"` + person + `","bill_nos":["MZ1"],"insurance":true,"use_account":true}`
}

func (f *face) quote(person, key string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do("POST", "/orders", quoteBody(person), "Idempotency-Key", key)
}

func (f *face) confirm(key string, body string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do("POST", "/orders/"+orderNo+"/confirm", body, "Idempotency-Key", key)
}

func TestQuoteConfirmPay(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	body := f.want(f.quote(id, "quote-0001"), 201, "")
	if body["id"] != orderNo || body["state"] != "quoted" || body["next_action"] != "confirm" || body["charge_fen"] != 1617.0 || body["total_fen"] != 3117.0 {
		t.Errorf("order = %v", body)
	}
	if q := f.orders.asked; q.Account != f.account() || q.Institution != "h1" || !q.Insurance || !q.UseAccount || len(q.BillNos) != 1 || q.Request.Key.Route != "POST /api/v1/orders" || q.Request.Key.Key != "quote-0001" {
		t.Errorf("asked for %+v", q)
	}
	f.want(f.do("GET", "/orders/"+orderNo+"/cashier", ""), 409, "ORDER_STATE")
	body = f.want(f.confirm("confirm-0001", `{"version":3}`), 200, "")
	if body["next_action"] != "pay" || body["state"] != "paying" || body["pay_until"] != "2026-11-23T02:30:00Z" || !strings.Contains(body["state_text"].(string), "10:30") {
		t.Errorf("order = %v", body)
	}
	if body := f.want(f.do("GET", "/orders/"+orderNo+"/cashier", ""), 200, ""); body["package"] != "prepay_id=wx1" {
		t.Errorf("cashier = %v", body)
	}
	f.want(f.do("GET", "/orders/live", ""), 200, "")
	if body := f.want(f.do("GET", "/orders?limit=5", ""), 200, ""); len(body["orders"].([]any)) != 1 || f.orders.limit != 5 {
		t.Errorf("orders = %v, limit %d", body, f.orders.limit)
	}
	if body := f.want(f.do("GET", "/orders?before="+orderNo, ""), 200, ""); len(body["orders"].([]any)) != 0 || f.orders.limit != 20 {
		t.Errorf("orders = %v, limit %d", body, f.orders.limit)
	}
	f.want(f.do("GET", "/orders/"+orderNo, ""), 200, "")
	if f.orders.waited != 0 {
		t.Error("waited without being asked to")
	}
	f.want(f.do("GET", "/orders/"+orderNo+"?wait=25&version=4", ""), 200, "")
	if f.orders.waited != 25*time.Second || f.orders.seen != 4 {
		t.Errorf("waited %v above %d", f.orders.waited, f.orders.seen)
	}
	f.want(f.do("GET", "/orders/"+orderNo+"?wait=1", ""), 200, "")
	body = f.want(f.do("POST", "/orders/"+orderNo+"/cancel", ""), 200, "")
	if body["state"] != "closed" || !strings.Contains(body["state_text"].(string), "未扣款") || body["cause"] != "patient_cancelled" {
		t.Errorf("order = %v", body)
	}
	f.want(f.do("GET", "/orders/live", ""), 404, "ORDER_NOT_FOUND")
}

func TestAStrangerSeesNothing(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.want(f.quote(id, "quote-0001"), 201, "")
	f.login("code-2")
	f.agree("privacy", "insurance")
	for _, no := range []string{orderNo, "1", "9223372036854775808"} {
		for _, r := range []string{"GET ", "POST /cancel", "POST /confirm", "GET /cashier", "GET /receipt", "GET /receipt.pdf"} {
			method, path, _ := strings.Cut(r, " ")
			f.want(f.do(method, "/orders/"+no+path, "", "Idempotency-Key", "stranger-1"), 404, "ORDER_NOT_FOUND")
		}
	}
	f.want(f.quote(id, "quote-0002"), 404, "PATIENT_NOT_FOUND")
	f.want(f.quote("9223372036854775808", "quote-0003"), 404, "PATIENT_NOT_FOUND")
	if f.orders.quotes != 1 {
		t.Errorf("%d quotes, want 1", f.orders.quotes)
	}
	f.want(f.do("GET", "/orders?before=9223372036854775808", ""), 404, "ORDER_NOT_FOUND")
	if body := f.want(f.do("GET", "/orders", ""), 200, ""); len(body["orders"].([]any)) != 0 {
		t.Errorf("orders = %v", body)
	}
	f.want(f.do("GET", "/orders/live", ""), 404, "ORDER_NOT_FOUND")
}

func TestNoConsentNoPayment(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.want(f.do("DELETE", "/consents/insurance", ""), 204, "")
	f.wantField(f.quote(id, "quote-0001"), 403, "CONSENT_REQUIRED", "consents.insurance")
	if f.orders.quotes != 0 {
		t.Error("quoted without consent")
	}
	cash := `{"patient_id":"` + id + `","bill_nos":["MZ1"],"insurance":false,"use_account":true}`
	f.want(f.do("POST", "/orders", cash, "Idempotency-Key", "quote-0002"), 201, "")
	if f.orders.asked.UseAccount {
		t.Error("the account is used without insurance")
	}
	f.wantField(f.confirm("confirm-001", ""), 403, "CONSENT_REQUIRED", "consents.insurance")
	f.agree("insurance")
	f.want(f.confirm("confirm-001", ""), 200, "") // not kept: the key is still good
	f.want(f.do("DELETE", "/consents/privacy", ""), 204, "")
	f.want(f.confirm("confirm-001", ""), 200, "") // kept: replayed whatever happened since
	f.want(f.do("POST", "/orders/"+orderNo+"/cancel", ""), 200, "")
}

func TestTheSameKeyGetsTheSameBytes(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	first := f.quote(id, "quote-0001")
	f.want(first, 201, "")
	f.orders.list[251334985728512].Version = 99
	f.clock.Advance(24 * time.Hour)
	f.login("code-1")
	again := f.quote(id, "quote-0001")
	if again.Code != 201 || again.Body.String() != first.Body.String() || again.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
		t.Errorf("again: %d %s, want %s", again.Code, again.Body, first.Body)
	}
	if f.orders.quotes != 1 {
		t.Errorf("%d quotes, want 1", f.orders.quotes)
	}
	other := strings.Replace(quoteBody(id), "MZ1", "MZ2", 1)
	f.want(f.do("POST", "/orders", other, "Idempotency-Key", "quote-0001"), 422, "IDEMPOTENCY_KEY_REUSED")
	f.want(f.quote(id, "QUOTE-0001"), 201, "")

	confirmed := f.confirm("confirm-0001", "")
	f.want(confirmed, 200, "")
	f.want(f.confirm("confirm-0002", ""), 409, "ORDER_CONFIRMED")
	if again := f.confirm("confirm-0001", ""); again.Body.String() != confirmed.Body.String() {
		t.Error("the confirmation was not replayed")
	}
	f.want(f.confirm("confirm-0001", `{"version":3}`), 422, "IDEMPOTENCY_KEY_REUSED")
	refused := f.confirm("confirm-0003", "")
	f.want(refused, 409, "ORDER_CONFIRMED")
	f.orders.list[251334985728512].ConfirmedAt = time.Time{}
	if again := f.confirm("confirm-0003", ""); again.Body.String() != refused.Body.String() {
		t.Errorf("the refusal was not replayed: %s", again.Body)
	}
}

func TestRefusalsAreKeptAndUnknownsAreNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   string
		kept   bool
	}{
		{bill.ErrPaid, 409, "BILL_PAID", true},
		{order.ErrBillLive, 409, "BILL_IN_ORDER", true},
		{patient.ErrAuthExpired, 409, "AUTH_EXPIRED", true},
		{fault.New(fault.Rejected, "INSURER_REFUSED", "医保未受理"), 422, "INSURER_REFUSED", true},
		{bill.ErrNoAnswer, 202, "HIS_NO_ANSWER", false},
		{bill.ErrMaintenance, 503, "HIS_MAINTENANCE", false},
		{job.ErrBusy, 409, "ORDER_BUSY", false},
		{job.ErrLost, 409, "CLAIM_LOST", false},
		{errDatabase, 500, "INTERNAL", false},
		{fault.New(fault.Limited, "WECHAT_LIMITED", "太频繁"), 429, "WECHAT_LIMITED", false},
	} {
		t.Run(c.code, func(t *testing.T) {
			t.Parallel()
			f, id := ordering(t)
			works := f.orders.quote
			f.orders.quote = func(order.QuoteRequest) (*order.Order, error) { return nil, fmt.Errorf("quote: %w", c.err) }
			w := f.quote(id, "quote-0001")
			f.want(w, c.status, c.code)
			if !c.kept && c.code != "INTERNAL" && w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if len(f.replays.records) == 1 != c.kept {
				t.Errorf("%d records, want kept %v", len(f.replays.records), c.kept)
			}
			f.orders.quote = works
			again := f.quote(id, "quote-0001")
			if c.kept && again.Body.String() != w.Body.String() {
				t.Errorf("again: %s, want %s", again.Body, w.Body)
			}
			if !c.kept {
				f.want(again, 201, "")
				confirms := f.orders.confirm
				f.orders.confirm = func(*order.Order) error { return c.err }
				f.want(f.confirm("confirm-0001", ""), c.status, c.code)
				f.orders.confirm = confirms
				f.want(f.confirm("confirm-0001", ""), 200, "")
			}
		})
	}
}

func TestARequestThatStillRuns(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	o := quotedOrder(f, id)
	o.State, o.Split = order.Quoting, split.Split{}
	f.orders.quote = func(order.QuoteRequest) (*order.Order, error) { return o, nil }
	w := f.quote(id, "quote-0001")
	if body := f.want(w, 202, ""); body["next_action"] != "wait" || w.Header().Get("Retry-After") != "1" {
		t.Errorf("order = %v", body)
	}
	w = f.quote(id, "quote-0001")
	f.want(w, 409, "ORDER_BUSY")
	if w.Header().Get("Retry-After") != "2" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
	f.clock.Advance(10 * time.Minute)
	f.want(f.quote(id, "quote-0001"), 409, "ORDER_BUSY") // the order is there: no second one, however long it takes
	*o = *quotedOrder(f, id)
	done := f.quote(id, "quote-0001")
	f.want(done, 201, "")
	o.Version++
	if again := f.quote(id, "quote-0001"); again.Body.String() != done.Body.String() {
		t.Error("the late answer was not kept")
	}
	if f.orders.quotes != 1 {
		t.Errorf("%d quotes, want 1", f.orders.quotes)
	}
	f.orders.err = errDatabase
	rec := f.replays.records[f.orders.asked.Request.Key]
	rec.Answer = nil
	f.replays.records[f.orders.asked.Request.Key] = rec
	f.want(f.quote(id, "quote-0001"), 500, "INTERNAL")
}

func TestAConfirmationThatDied(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.want(f.quote(id, "quote-0001"), 201, "")
	o := f.orders.list[251334985728512]
	key := job.Key{Account: int64(f.account()), Route: "POST /api/v1/orders/:order_id/confirm", Key: "confirm-0001"}
	f.want(f.confirm("confirm-0001", ""), 200, "")
	dead := f.replays.records[key]
	dead.Answer, dead.CreatedAt = nil, f.clock.Now()
	reset := func() {
		*o = *quotedOrder(f, id)
		f.replays.records[key] = dead
	}

	reset() // the amounts were asked anew, and the patient has not seen them
	o.Version, o.Split = 5, split.Split{PooledFund: 1, Cash: 1916, Uninsured: 1200}
	f.orders.confirm = func(*order.Order) error { t.Error("confirmed amounts that nobody has seen"); return nil }
	if body := f.want(f.confirm("confirm-0001", ""), 200, ""); body["state"] != "quoted" || body["next_action"] != "confirm" {
		t.Errorf("order = %v", body)
	}

	reset() // and moves
	o.Version, o.State = 6, order.Settling
	f.want(f.confirm("confirm-0001", ""), 409, "ORDER_BUSY")

	f.want(f.confirm("confirm-0009", `{"version":3}`), 409, "ORDER_CHANGED")
	if _, there := f.replays.records[job.Key{Account: key.Account, Route: key.Route, Key: "confirm-0009"}]; there {
		t.Error("a confirmation of an old version was recorded")
	}
}

// TestARivalUnderTheSameKey lets another request with the same key make the order, or confirm it, while this one is being refused for it.
func TestARivalUnderTheSameKey(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.orders.quote = func(r order.QuoteRequest) (*order.Order, error) {
		o := quotedOrder(f, id)
		f.orders.list[o.ID] = o
		rival := *r.Request
		f.replays.store(&rival, o.ID)
		return nil, order.ErrBillLive // the rival's
	}
	f.want(f.quote(id, "quote-0001"), 201, "")

	inner := f.orders.confirm
	f.orders.confirm = func(o *order.Order) error { return errDatabase }
	f.want(f.confirm("confirm-0001", ""), 500, "INTERNAL")
	f.orders.confirm = func(o *order.Order) error {
		f.replays.store(&job.Request{Key: job.Key{Account: int64(f.account()), Route: "POST /api/v1/orders/:order_id/confirm", Key: "confirm-0002"},
			BodyDigest: "another body's"}, o.ID)
		return order.ErrConfirmed
	}
	f.want(f.confirm("confirm-0002", ""), 422, "IDEMPOTENCY_KEY_REUSED")
	f.orders.confirm = inner
	f.want(f.confirm("confirm-0001", ""), 200, "")
}

// TestARefusalAfterTheMove: what went wrong after the request had moved its order is no outcome; the order tells.
func TestARefusalAfterTheMove(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.want(f.quote(id, "quote-0001"), 201, "")
	moved := false
	inner := f.orders.confirm
	f.orders.confirm = func(o *order.Order) error { moved = true; return inner(o) }
	f.orders.after = order.ErrNumberTaken
	f.want(f.confirm("confirm-0001", ""), 409, "NUMBER_TAKEN")
	if rec := f.replays.records[job.Key{Account: int64(f.account()), Route: "POST /api/v1/orders/:order_id/confirm", Key: "confirm-0001"}]; !moved ||
		rec.Record == 0 || rec.Answer != nil {
		t.Errorf("record = %+v", rec)
	}
	f.orders.after = nil
	if body := f.want(f.confirm("confirm-0001", ""), 200, ""); body["state"] != "paying" {
		t.Errorf("order = %v", body)
	}
}

func TestBrokenReplaysAreNeverASuccess(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"FindReplay", "KeepAnswer"} {
		for _, refusal := range []error{nil, bill.ErrPaid} {
			f, id := ordering(t)
			f.replays.broken = map[string]error{method: errDatabase}
			if refusal != nil {
				f.orders.quote = func(order.QuoteRequest) (*order.Order, error) { return nil, refusal }
			}
			w := f.quote(id, "quote-0001")
			if w.Code < 500 || strings.Contains(w.Body.String(), `"state"`) {
				t.Errorf("%s broken: %d %s", method, w.Code, w.Body)
			}
		}
	}
}

func TestCancelThatIsStillClosing(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.want(f.quote(id, "quote-0001"), 201, "")
	f.orders.cancel = func(o *order.Order) error { o.State, o.CancelAsked = order.Closing, true; return nil }
	if body := f.want(f.do("POST", "/orders/"+orderNo+"/cancel", ""), 202, ""); body["next_action"] != "wait" {
		t.Errorf("order = %v", body)
	}
	f.orders.cancel = func(*order.Order) error { return order.ErrState }
	o := f.orders.list[251334985728512]
	for _, c := range []struct {
		state order.State
		asked bool
		want  int
	}{
		{order.Closed, true, 200}, {order.Closed, false, 200}, {order.Unwinding, true, 202}, {order.Completed, true, 200}, // asked before: it may be asked again
		{order.Completed, false, 409}, {order.Settling, false, 409}, {order.InReview, false, 409},
	} {
		o.State, o.CancelAsked = c.state, c.asked
		code := ""
		if c.want == 409 {
			code = "ORDER_STATE"
		}
		if body := f.want(f.do("POST", "/orders/"+orderNo+"/cancel", ""), c.want, code); code == "" && body["state"] != string(c.state) {
			t.Errorf("cancelled %s: %v", c.state, body)
		}
	}
	f.orders.err = errDatabase
	f.want(f.do("GET", "/orders", ""), 500, "INTERNAL")
}
