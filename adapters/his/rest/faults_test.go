package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// TestCodes walks every documented code, and two that no document knows, through every operation.
func TestCodes(t *testing.T) {
	t.Parallel()
	unreadable := bill.ErrUnreadable
	codes := map[string]map[string]*fault.Error{ // code → operation → fault; absent: unreadable
		"NOT_FOUND": {"bills.pending": bill.ErrNotFound, "bills.detail": bill.ErrNotFound, "lock": bill.ErrNotFound,
			"post": bill.ErrNotFound, "refund.hold": bill.ErrNotFound, "refund.book": bill.ErrNotFound},
		"ALREADY_PAID": {"lock": bill.ErrPaid, "post": bill.ErrPaid},
		"BILL_VOID": {"lock": bill.ErrVoid, "post": bill.ErrVoid, "refund.hold": bill.ErrVoid,
			"refund.book": bill.ErrVoid},
		"NOT_REFUNDABLE": {"refund.hold": bill.ErrNotRefundable, "refund.book": bill.ErrNotRefundable},
		"BILL_CHANGED":   {"lock": bill.ErrChanged, "post": bill.ErrChanged},
		"LOCKED":         {"lock": bill.ErrLocked, "post": bill.ErrLocked},
		"LOCK_EXPIRED":   {"lock": his.ErrLockExpired, "post": his.ErrLockExpired},
		"AMOUNT_WRONG":   {"post": his.ErrAmountWrong, "refund.hold": his.ErrAmountWrong, "refund.book": his.ErrAmountWrong},
		"DUPLICATE":      {"lock": his.ErrRequest, "refund.drop": his.ErrRequest},
		"MAINTENANCE": {"patients.find": bill.ErrMaintenance, "bills.pending": bill.ErrMaintenance, "bills.detail": bill.ErrMaintenance,
			"lock": bill.ErrMaintenance, "release": bill.ErrMaintenance, "post": bill.ErrMaintenance, "posting.query": bill.ErrMaintenance,
			"refund.hold": bill.ErrMaintenance, "refund.drop": bill.ErrMaintenance, "refund.book": bill.ErrMaintenance,
			"refund.query": bill.ErrMaintenance, "statements.list": bill.ErrMaintenance},
		"1":          {"patients.find": nil, "bills.pending": nil, "release": nil, "refund.drop": nil},
		"INVALID":    {},
		"-1":         {},
		"E999 冯晓棠":   {},
		"0000":       {},
		"not_found":  {},
		"SIGNATURE":  {},
		"INTERNAL":   {},
		"LOCKED ":    {},
		"MAINTENANC": {},
	}
	for code, faults := range codes {
		w, f := forged(t, `{"code":"`+code+`","message":"冯晓棠 360102198503123042"}`)
		for op, call := range w.calls(t) {
			expected, documented := faults[op]
			if !documented {
				expected = unreadable
			}
			err := call()
			if op == "bills.pending" && code == "1" {
				list, err := w.client.Pending(t.Context(), "P1")
				if err != nil || len(list) != 0 {
					t.Errorf("Pending with code 1 = %v, %v", list, err)
				}
				continue
			}
			want(t, op+" "+code, err, expected)
		}
		f.body = ""
	}
}

// TestStatus walks HTTP statuses: only a signed 400 INVALID is our bug, everything else proves nothing.
func TestStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		body   string
		want   *fault.Error
	}{
		{400, `{"code":"INVALID"}`, his.ErrRequest},
		{400, `{"code":"0","data":{}}`, bill.ErrNoAnswer},
		{401, `{"code":"SIGNATURE"}`, bill.ErrNoAnswer},
		{401, `{"code":"REPLAY"}`, bill.ErrNoAnswer},
		{404, `{"code":"INVALID"}`, bill.ErrNoAnswer},
		{404, `<html>`, bill.ErrUnreadable},
		{301, `{"code":"0","data":{}}`, bill.ErrNoAnswer},
		{500, `{"code":"INTERNAL"}`, bill.ErrNoAnswer},
		{502, `<html>502 Bad Gateway</html>`, bill.ErrNoAnswer},
	}
	for _, tt := range tests {
		w, f := forged(t, tt.body)
		f.status = tt.status
		for op, call := range w.calls(t) {
			want(t, op+" "+http.StatusText(tt.status)+" "+tt.body, call(), tt.want)
		}
	}
}

// TestContentType refuses what does not call itself JSON in UTF-8, though it is signed.
func TestContentType(t *testing.T) {
	t.Parallel()
	for kind, expected := range map[string]*fault.Error{
		"application/json":                bill.ErrMaintenance,
		"application/json; charset=UTF-8": bill.ErrMaintenance,
		"application/json; charset=gbk":   bill.ErrUnreadable,
		"text/html":                       bill.ErrUnreadable,
		"text/plain; charset=utf-8":       bill.ErrUnreadable,
		";":                               bill.ErrUnreadable,
	} {
		w, f := forged(t, `{"code":"MAINTENANCE"}`)
		f.kind = kind
		for op, call := range w.calls(t) {
			want(t, op+" "+kind, call(), expected)
		}
	}
}

// TestSignatures refuses answers whose head is not that of this request's answer, now.
func TestSignatures(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(h http.Header){
		"no signature":    func(h http.Header) { h.Del("X-His-Signature") },
		"half of it":      func(h http.Header) { h.Set("X-His-Signature", h.Get("X-His-Signature")[:32]) },
		"not hex":         func(h http.Header) { h.Set("X-His-Signature", strings.Repeat("g", 64)) },
		"no time":         func(h http.Header) { h.Del("X-His-Timestamp") },
		"another time":    func(h http.Header) { h.Set("X-His-Timestamp", "1795397400") },
		"another nonce":   func(h http.Header) { h.Set("X-His-Nonce", "x") },
		"another app":     func(h http.Header) { h.Set("X-His-App", "other") },
		"another's reply": func(h http.Header) { h.Set("X-His-Nonce", "") },
	} {
		w, f := forged(t, `{"code":"MAINTENANCE"}`)
		f.headers = spoil
		for op, call := range w.calls(t) {
			want(t, op+" "+name, call(), bill.ErrUnreadable)
		}
	}
}

// TestOddities meets every bad habit in every operation: what is distorted is unreadable, never empty and never zero.
func TestOddities(t *testing.T) {
	t.Parallel()
	kinds := []hissim.Kind{hissim.GBK, hissim.BOM, hissim.Exponent, hissim.Grouped, hissim.FullWidth, hissim.Negative, hissim.Yuan,
		hissim.Hundredfold, hissim.LineSum, hissim.WrongPerson, hissim.EmptySuccess, hissim.NullData, hissim.ShortPage,
		hissim.TwiceListed, hissim.TwiceNamed, hissim.UnknownCode, hissim.CutShort, hissim.HTML, hissim.Unsigned, hissim.Forged,
		hissim.Stale, hissim.OtherRequest}
	// What distorts nothing there, or nothing that this operation believes.
	harmless := map[string][]hissim.Kind{
		"patients.find": {hissim.Exponent, hissim.Grouped, hissim.FullWidth, hissim.Negative, hissim.Yuan, hissim.Hundredfold, hissim.LineSum},
		"bills.pending": {hissim.Hundredfold}, // the sums hold; the detail's price × quantity finds it
		"lock":          {hissim.Hundredfold, hissim.LineSum, hissim.WrongPerson},
		"release": {hissim.Exponent, hissim.Grouped, hissim.FullWidth, hissim.Negative, hissim.Yuan, hissim.Hundredfold,
			hissim.LineSum, hissim.WrongPerson, hissim.ShortPage, hissim.TwiceListed},
		"post":        {hissim.WrongPerson},
		"refund.hold": {hissim.WrongPerson},
		"refund.drop": {hissim.Exponent, hissim.Grouped, hissim.FullWidth, hissim.Negative, hissim.Yuan, hissim.Hundredfold,
			hissim.LineSum, hissim.WrongPerson, hissim.ShortPage, hissim.TwiceListed},
		"refund.book":     {hissim.WrongPerson},
		"statements.list": {hissim.WrongPerson, hissim.Hundredfold}, // reconciliation compares the amounts
		"refund.query":    {hissim.WrongPerson, hissim.Hundredfold}, // the sums hold; the order compares with its own books
		"posting.query": {hissim.Exponent, hissim.Grouped, hissim.FullWidth, hissim.Negative, hissim.Yuan, hissim.Hundredfold,
			hissim.LineSum, hissim.WrongPerson, hissim.ShortPage, hissim.TwiceListed},
	}
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			for _, op := range operations() {
				w := newWard(t, hissim.Config{})
				w.prepare(t, op)
				if err := w.sim.Distort(hissim.Oddity{Op: op, Kind: kind}); err != nil {
					t.Fatal(err)
				}
				expected := bill.ErrUnreadable
				for _, k := range harmless[op] {
					if k == kind {
						expected = nil
					}
				}
				if op == "bills.detail" && kind == hissim.WrongPerson {
					expected = bill.ErrNotFound
				}
				want(t, op, w.calls(t)[op](), expected)
			}
		})
	}
}

// TestOddRecord distorts the record that a query answers after a posting.
func TestOddRecord(t *testing.T) {
	t.Parallel()
	for _, kind := range []hissim.Kind{hissim.Exponent, hissim.Grouped, hissim.Negative, hissim.Yuan, hissim.LineSum, hissim.ShortPage,
		hissim.TwiceListed} {
		w := newWard(t, hissim.Config{})
		if _, err := w.client.Post(t.Context(), w.posting("7")); err != nil {
			t.Fatal(err)
		}
		for _, op := range []string{"posting.query", "post"} {
			if err := w.sim.Distort(hissim.Oddity{Op: op, Key: "7", Kind: kind}); err != nil {
				t.Fatal(err)
			}
			want(t, op+" "+string(kind), w.calls(t)[op](), bill.ErrUnreadable)
			want(t, op+" afterwards", w.calls(t)[op](), nil)
		}
	}
}

// TestLostMessages loses, delays and doubles the messages that bind: the answer is Unknown, the query tells the truth, and the same
// message again ends with one effect.
func TestLostMessages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault sandbox.Fault
		want  *fault.Error
		done  bool
	}{
		{sandbox.LoseBefore, bill.ErrNoAnswer, false},
		{sandbox.LoseAfter, bill.ErrNoAnswer, true},
		{sandbox.ErrorBefore, bill.ErrNoAnswer, false},
		{sandbox.ErrorAfter, bill.ErrNoAnswer, true},
		{sandbox.Garbage, bill.ErrUnreadable, true},
		{sandbox.Slow, nil, true},
		{sandbox.Repeat, nil, true},
		{sandbox.LateAnswer, bill.ErrNoAnswer, true},
		{sandbox.LateEffect, bill.ErrNoAnswer, true},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault), func(t *testing.T) {
			t.Parallel()
			w := newWard(t, hissim.Config{})
			w.plan.Script(sandbox.Script{Op: "lock", Key: "7", Fault: tt.fault}, sandbox.Script{Op: "post", Key: "7", Fault: tt.fault},
				sandbox.Script{Op: "release", Key: "7", Fault: tt.fault})
			_, err := w.lock(t, "7")
			want(t, "Lock", err, tt.want)
			_, err = w.lock(t, "7")
			want(t, "Lock again", err, nil)

			_, err = w.client.Post(t.Context(), w.posting("7"))
			want(t, "Post", err, tt.want)
			st, err := w.client.PostingOf(t.Context(), "7", w.nos())
			if err != nil || (st.State == order.PostingDone) != tt.done || (st.State == order.PostingNone) == tt.done {
				t.Errorf("PostingOf = %+v, %v, want done %t", st, err, tt.done)
			}
			_, err = w.client.Post(t.Context(), w.posting("7"))
			want(t, "Post again", err, nil)
			want(t, "Release", w.client.Release(t.Context(), "7"), tt.want)
			want(t, "Release again", w.client.Release(t.Context(), "7"), nil)
			if truth := w.sim.Truth(); len(truth.Postings) != 1 || truth.Posted != 18197 {
				t.Errorf("the hospital's books: %d postings, %s", len(truth.Postings), truth.Posted)
			}
		})
	}
}

// prepare makes that an operation has something to answer.
func (w *ward) prepare(t *testing.T, op string) {
	t.Helper()
	calls, other := w.calls(t), w.refund("R2")
	other.Lines, other.Total = other.Lines[:1], 799
	for _, call := range map[string][]func() error{
		"release":         {calls["lock"]},
		"refund.hold":     {calls["post"]},
		"refund.drop":     {calls["post"], func() error { return w.client.HoldRefund(t.Context(), other) }},
		"refund.book":     {calls["post"]},
		"refund.query":    {calls["post"], calls["refund.book"]},
		"statements.list": {calls["post"], calls["refund.book"]},
	}[op] {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHospitalsWhims(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	w.plan.Script(sandbox.Script{Op: "lock", Fault: sandbox.Refuse, Times: 2}, sandbox.Script{Op: "post", Fault: sandbox.Refuse},
		sandbox.Script{Op: "bills.detail", Fault: sandbox.ChangeAmount})
	_, err := w.lock(t, "12")
	want(t, "Lock", err, bill.ErrLocked)
	_, err = w.lock(t, "13")
	want(t, "Lock", err, bill.ErrMaintenance)
	_, err = w.client.Post(t.Context(), w.posting("7"))
	want(t, "Post", err, bill.ErrMaintenance)
	_, err = w.client.Detail(t.Context(), "P1", w.bills[0].No)
	want(t, "Detail with another total", err, bill.ErrUnreadable)
}

// TestPaidByThisOrder is a hospital that says "already paid" of our own number instead of showing the record: to be queried.
func TestPaidByThisOrder(t *testing.T) {
	t.Parallel()
	w, f := forged(t, `{"code":"ALREADY_PAID","data":{"bill_no":"B","where":"platform","order_no":"7","paid_at":"2026-11-23T09:30:00+08:00"}}`)
	_, err := w.client.Post(t.Context(), w.posting("7"))
	want(t, "Post", err, bill.ErrNoAnswer)
	_, err = w.client.Post(t.Context(), w.posting("8"))
	want(t, "Post of another order", err, bill.ErrPaid)
	f.body = `{"code":"ALREADY_PAID"}`
	_, err = w.client.Post(t.Context(), w.posting("7"))
	want(t, "Post without a place", err, bill.ErrPaid)
}

// TestEvidence gives states without their evidence: what leads to a refund is not believed.
func TestEvidence(t *testing.T) {
	t.Parallel()
	w, f := forged(t, "")
	b := w.bills[0].No
	for name, data := range map[string]string{
		"another order":           `{"order_no":"8","state":"not_posted"}`,
		"no state":                `{"order_no":"7"}`,
		"unknown state":           `{"order_no":"7","state":"refunded"}`,
		"posted without a record": `{"order_no":"7","state":"posted"}`,
		"posted, and void":        `{"order_no":"7","state":"posted","posting":{"order_no":"7"},"void_bill_nos":["` + b + `"]}`,
		"a record that is empty":  `{"order_no":"7","state":"posted","posting":{}}`,
		"void without a bill":     `{"order_no":"7","state":"void"}`,
		"another's bill is void":  `{"order_no":"7","state":"void","void_bill_nos":["X"]}`,
		"void, and paid":          `{"order_no":"7","state":"void","void_bill_nos":["` + b + `"],"paid":[{"bill_no":"` + b + `","where":"window"}]}`,
		"elsewhere, nowhere":      `{"order_no":"7","state":"paid_elsewhere"}`,
		"elsewhere, another bill": `{"order_no":"7","state":"paid_elsewhere","paid":[{"bill_no":"X","where":"window"}]}`,
		"elsewhere by ourselves":  `{"order_no":"7","state":"paid_elsewhere","paid":[{"bill_no":"` + b + `","where":"platform","order_no":"7"}]}`,
		"elsewhere, where":        `{"order_no":"7","state":"paid_elsewhere","paid":[{"bill_no":"` + b + `","where":""}]}`,
		"not posted, but paid":    `{"order_no":"7","state":"not_posted","paid":[{"bill_no":"` + b + `","where":"window"}]}`,
	} {
		f.body = `{"code":"0","data":` + data + `}`
		st, err := w.client.PostingOf(t.Context(), "7", w.nos())
		if st.State != "" {
			t.Errorf("%s: state %s", name, st.State)
		}
		want(t, name, err, bill.ErrUnreadable)
	}
}

func TestLockAnswers(t *testing.T) {
	t.Parallel()
	w, f := forged(t, "")
	bills := `"bill_nos":["` + w.bills[1].No + `","` + w.bills[0].No + `"]`
	for _, tt := range []struct {
		name, data string
		want       *fault.Error
	}{
		{"in another order", `{"order_no":"7",` + bills + `,"total_fen":18197,"expires_at":"2026-11-23T09:45:00+08:00"}`, nil},
		{"over at once", `{"order_no":"7",` + bills + `,"total_fen":18197,"expires_at":"2026-11-23T09:30:00+08:00"}`, his.ErrLockExpired},
		{"for two days", `{"order_no":"7",` + bills + `,"total_fen":18197,"expires_at":"2026-11-25T09:45:00+08:00"}`, bill.ErrUnreadable},
		{"without zone", `{"order_no":"7",` + bills + `,"total_fen":18197,"expires_at":"2026-11-23 09:45:00"}`, bill.ErrUnreadable},
		{"for ever", `{"order_no":"7",` + bills + `,"total_fen":18197}`, bill.ErrUnreadable},
		{"another order", `{"order_no":"8",` + bills + `,"total_fen":18197,"expires_at":"2026-11-23T09:45:00+08:00"}`, bill.ErrUnreadable},
		{"one bill", `{"order_no":"7","bill_nos":["` + w.bills[0].No + `"],"total_fen":1,"expires_at":"2026-11-23T09:45:00+08:00"}`, bill.ErrUnreadable},
		{"no total", `{"order_no":"7",` + bills + `,"expires_at":"2026-11-23T09:45:00+08:00"}`, bill.ErrUnreadable},
	} {
		f.body = `{"code":"0","data":` + tt.data + `}`
		_, err := w.lock(t, "7")
		want(t, tt.name, err, tt.want)
	}
	f.body = `{"code":"0","data":{"order_no":"8","released":true}}`
	want(t, "another order released", w.client.Release(t.Context(), "7"), bill.ErrUnreadable)
}

func TestNothingWithSomethingInIt(t *testing.T) {
	t.Parallel()
	w, f := forged(t, "")
	for _, data := range []string{`{"bills":[{"bill_no":"B"}]}`, `{"count":1}`, `{"patients":[{}]}`, `"none"`, `{"count":"no"}`} {
		f.body = `{"code":"1","data":` + data + `}`
		_, err := w.client.Pending(t.Context(), "P1")
		want(t, "Pending "+data, err, bill.ErrUnreadable)
		want(t, "FindPatient "+data, w.find(t), bill.ErrUnreadable)
	}
	for _, data := range []string{`{}`, `null`, `{"patient_id":"P1","count":0,"total_fen":0,"bills":[]}`} {
		f.body = `{"code":"1","data":` + data + `}`
		list, err := w.client.Pending(t.Context(), "P1")
		if err != nil || len(list) != 0 {
			t.Errorf("Pending %s = %v, %v", data, list, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	w, f := forged(t, `{"code":"MAINTENANCE","message":"`+strings.Repeat("x", maxAnswer)+`"}`)
	want(t, "Lock", func() error { _, err := w.lock(t, "7"); return err }(), bill.ErrUnreadable)
	f.body = `{"message":"no code"}`
	want(t, "Lock", func() error { _, err := w.lock(t, "7"); return err }(), bill.ErrUnreadable)
	f.body = `{"code":7}`
	want(t, "Lock", func() error { _, err := w.lock(t, "7"); return err }(), bill.ErrUnreadable)
}
