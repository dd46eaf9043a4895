package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// A day's list with one payment of 19.17 and the refund of 7.99 of it, as a hospital writes it.
const (
	oneDay = `{"date":"2026-11-23","page":1,"count":2,"payment_fen":1917,"refund_fen":799,"closed":false,"records":[` + dayPayment + `,` + dayRefund + `]}`

	dayPayment = `{"kind":"payment","order_no":"7","posting_no":"JZ1","receipt_no":"SJ1","bill_nos":["B1"],"total_fen":1917,"parts":{"pooled_fund_fen":1000,"other_fund_fen":0,` +
		`"account_fen":200,"family_account_fen":0,"hospital_borne_fen":0,"cash_fen":717,"uninsured_fen":0},"setl_id":"S1","out_trade_no":"T1","at":"2026-11-23T09:30:00+08:00"}`
	dayRefund = `{"kind":"refund","order_no":"7","refund_no":"R1","booking_no":"TF1","bill_nos":["B1"],"total_fen":799,"parts":{"pooled_fund_fen":1118,"other_fund_fen":0,` +
		`"account_fen":0,"family_account_fen":0,"hospital_borne_fen":0,"cash_fen":0,"uninsured_fen":0},"setl_id":"S2","out_refund_no":"TK1","note":false,"at":"2026-11-23T09:31:00+08:00"}`
	noDay = `{"date":"2026-11-23","page":1,"count":0,"payment_fen":0,"refund_fen":0,"closed":false}`
)

// TestDayDistrusts: a list is believed as a whole, or not at all.
func TestDayDistrusts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ code, data, old, fresh string }{
		"a record less":                {"0", oneDay, "," + dayRefund, ""},
		"a record more":                {"0", oneDay, dayRefund, dayRefund + "," + strings.Replace(dayRefund, "TF1", "TF2", 1)},
		"a record twice":               {"0", oneDay, dayRefund, dayPayment},
		"another count":                {"0", oneDay, `"count":2`, `"count":1`},
		"no count":                     {"0", oneDay, `"count":2,`, ""},
		"a count below zero":           {"0", oneDay, `"count":2`, `"count":-2`},
		"a count that nobody has":      {"0", oneDay, `"count":2`, `"count":1000000000`},
		"payments a fen off":           {"0", oneDay, `"payment_fen":1917`, `"payment_fen":1918`},
		"refunds a fen off":            {"0", oneDay, `"refund_fen":799`, `"refund_fen":798`},
		"no sum":                       {"0", oneDay, `"payment_fen":1917,`, ""},
		"closed is not said":           {"0", oneDay, `"closed":false,`, ""},
		"closed before it is over":     {"0", oneDay, `"closed":false`, `"closed":true`},
		"another day":                  {"0", oneDay, `"date":"2026-11-23"`, `"date":"2026-11-22"`},
		"another page":                 {"0", oneDay, `"page":1`, `"page":2`},
		"a record of the day before":   {"0", oneDay, "2026-11-23T09:30:00+08:00", "2026-11-22T23:59:59+08:00"},
		"a record of the day after":    {"0", oneDay, "2026-11-23T09:30:00+08:00", "2026-11-23T16:00:00Z"},
		"a record without its time":    {"0", oneDay, `"at":"2026-11-23T09:30:00+08:00"`, `"where":"?"`},
		"of another kind":              {"0", oneDay, `"kind":"refund"`, `"kind":"reversal"`},
		"parts a fen off":              {"0", oneDay, `"cash_fen":717`, `"cash_fen":716`},
		"a part is missing":            {"0", oneDay, `"account_fen":0,`, ""},
		"a part below zero":            {"0", oneDay, `"pooled_fund_fen":1118`, `"pooled_fund_fen":-1118`},
		"an amount of nothing":         {"0", strings.Replace(oneDay, `"refund_fen":799`, `"refund_fen":0`, 1), `"total_fen":799`, `"total_fen":0`},
		"an amount that is not there":  {"0", oneDay, `"total_fen":799,`, ""},
		"a payment without its number": {"0", oneDay, `"posting_no":"JZ1"`, `"posting_no":""`},
		"a payment with two":           {"0", oneDay, `"posting_no":"JZ1"`, `"posting_no":"JZ1","booking_no":"TF3"`},
		"a payment that is a refund":   {"0", oneDay, `"posting_no":"JZ1"`, `"posting_no":"JZ1","refund_no":"R2"`},
		"a payment by note":            {"0", oneDay, `"posting_no":"JZ1"`, `"posting_no":"JZ1","note":true`},
		"a refund without its number":  {"0", oneDay, `"refund_no":"R1",`, ""},
		"a refund with a receipt":      {"0", oneDay, `"refund_no":"R1"`, `"refund_no":"R1","receipt_no":"SJ2"`},
		"no order":                     {"0", oneDay, `"order_no":"7"`, `"order_no":""`},
		"no bills":                     {"0", oneDay, `"bill_nos":["B1"]`, `"bill_nos":[]`},
		"a bill twice":                 {"0", oneDay, `"bill_nos":["B1"]`, `"bill_nos":["B1","B1"]`},
		"a number with a blank":        {"0", oneDay, `"T1"`, `"T 1"`},
		"done, and nothing":            {"0", noDay, "", ""},
		"nothing, but records":         {"1", oneDay, "", ""},
		"nothing, but a count":         {"1", noDay, `"count":0`, `"count":1`},
		"nothing, but a sum":           {"1", noDay, `"payment_fen":0`, `"payment_fen":1`},
		"nothing, of no day":           {"1", `{}`, "", ""},
		"nothing, of another day":      {"1", noDay, "2026-11-23", "2026-11-24"},
		"nothing at all":               {"1", "null", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := strings.Replace(tt.data, tt.old, tt.fresh, 1)
			if tt.old != "" && data == tt.data {
				t.Fatal("nothing was spoilt")
			}
			w, _ := forged(t, `{"code":"`+tt.code+`","data":`+data+`}`)
			_, err := w.client.Day(t.Context(), w.clock.Now())
			want(t, name, err, bill.ErrUnreadable)
		})
	}
	for body, records := range map[string]int{`{"code":"0","data":` + oneDay + `}`: 2, `{"code":"1","data":` + noDay + `}`: 0} {
		w, _ := forged(t, body)
		if day, err := w.client.Day(t.Context(), w.clock.Now()); err != nil || len(day.Records) != records {
			t.Errorf("Day = %+v, %v", day, err)
		}
	}
}

// ledger answers a day's list of so many payments of a fen, page by page.
type ledger struct {
	*forger
	count  int
	grows  int // how often a payment is entered after a page was read
	missed int // a page that is said to be beyond the end
	asked  []int
}

func (l *ledger) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	var in struct {
		Page     int `json:"page"`
		PageSize int `json:"page_size"`
	}
	if err := json.Unmarshal(sent, &in); err != nil {
		return nil, err
	}
	l.asked = append(l.asked, in.Page)
	var records []string
	for i := (in.Page - 1) * in.PageSize; i < min(in.Page*in.PageSize, l.count) && in.Page != l.missed; i++ {
		records = append(records, strings.NewReplacer("JZ1", fmt.Sprint("JZ", i), "1917", "1", "1000", "1", "200", "0", "717", "0", "SJ1", "").Replace(dayPayment))
	}
	code := map[bool]string{true: "1", false: "0"}[len(records) == 0]
	l.body = fmt.Sprintf(`{"code":%q,"data":{"date":"2026-11-23","page":%d,"count":%d,"payment_fen":%d,"refund_fen":0,"closed":false,"records":[%s]}}`, code, in.Page, l.count, l.count,
		strings.Join(records, ","))
	if l.grows > 0 {
		l.grows--
		l.count++
	}
	return l.forger.RoundTrip(r)
}

// TestDayPages: all pages are read, once; a list that changes meanwhile is read once more, and then given up.
func TestDayPages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ledger ledger
		asked  string
		total  money.Fen
	}{
		"one page":              {ledger{count: 500}, "[1]", 500},
		"three pages":           {ledger{count: 1001}, "[1 2 3]", 1001},
		"one more meanwhile":    {ledger{count: 700, grows: 1}, "[1 2 1 2]", 701},
		"a page more meanwhile": {ledger{count: 1000, grows: 1}, "[1 2 1 2 3]", 1001},
		"and again":             {ledger{count: 700, grows: 3}, "[1 2 1 2]", 0},
		"a page is missing":     {ledger{count: 1200, missed: 2}, "[1 2]", 0},
		"the first is missing":  {ledger{count: 1200, missed: 1}, "[1]", 0},
		"the last is missing":   {ledger{count: 1200, missed: 3}, "[1 2 3]", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, hissim.Config{})
			tt.ledger.forger = &forger{clock: w.clock}
			client, err := New(config(w.clock), &tt.ledger)
			if err != nil {
				t.Fatal(err)
			}
			day, err := client.Day(t.Context(), w.clock.Now())
			if fmt.Sprint(tt.ledger.asked) != tt.asked {
				t.Errorf("asked for pages %v, want %s", tt.ledger.asked, tt.asked)
			}
			if tt.total == 0 {
				want(t, name, err, bill.ErrUnreadable)
				return
			}
			if err != nil || day.Payments != tt.total || len(day.Records) != int(tt.total) {
				t.Errorf("%d records, %s, %v", len(day.Records), day.Payments, err)
			}
		})
	}
}

// TestDayOfTheSimulator: which day a record is of, when it closes, what is refused, and what a hospital without the list says.
func TestDayOfTheSimulator(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{DayClosesAt: time.Hour})
	w.prepare(t, "statements.list")
	midnight := time.Date(2026, 11, 24, 0, 0, 0, 0, clock.Shanghai)
	for _, tt := range []struct {
		at     time.Time
		closed bool
	}{{midnight.Add(-time.Second), false}, {midnight.Add(59 * time.Minute), false}, {midnight.Add(time.Hour), true}} {
		w.clock.Advance(tt.at.Sub(w.clock.Now()))
		day, err := w.client.Day(t.Context(), midnight.Add(-8*time.Hour)) // 16:00 in China is the same day everywhere
		if err != nil || len(day.Records) != 2 || day.Closed != tt.closed || !day.Date.Equal(midnight.AddDate(0, 0, -1)) || day.Payments != 18197 || day.Refunds != 7399 {
			t.Errorf("at %v: %+v, %v", tt.at, day, err)
		}
	}
	if _, err := w.sim.VoidPosting("7"); err != nil {
		t.Fatal(err)
	}
	if day, err := w.client.Day(t.Context(), midnight.Add(-time.Hour)); err != nil || len(day.Records) != 2 {
		t.Errorf("undone after the day was closed: %+v, %v", day, err)
	}
	want(t, "no page size", ask(t, w, `{"date":"2026-11-23","page":1,"page_size":0}`), his.ErrRequest)
	want(t, "a page too large", ask(t, w, `{"date":"2026-11-23","page":1,"page_size":1001}`), his.ErrRequest)
	want(t, "no page", ask(t, w, `{"date":"2026-11-23","page":0,"page_size":1}`), his.ErrRequest)
	want(t, "no date", ask(t, w, `{"date":"20261123","page":1,"page_size":1}`), his.ErrRequest)
	want(t, "tomorrow", ask(t, w, `{"date":"2026-11-25","page":1,"page_size":1}`), his.ErrRequest)
	want(t, "the second page", ask(t, w, `{"date":"2026-11-23","page":2,"page_size":1}`), nil)
	if err := w.sim.Distort(hissim.Oddity{Op: "statements.list", Kind: hissim.DayEmpty}); err != nil {
		t.Fatal(err)
	}
	_, err := w.client.Day(t.Context(), midnight.Add(-time.Hour))
	want(t, "empty, and done", err, bill.ErrUnreadable)
	if err := w.sim.Distort(hissim.Oddity{Op: "post", Kind: hissim.DayEmpty}); !errors.Is(err, hissim.ErrOddity) {
		t.Errorf("an oddity of a day's list for a posting: %v", err)
	}

	without := newWard(t, hissim.Config{NoDayList: true})
	_, err = without.client.Day(t.Context(), midnight)
	if want(t, "a hospital without", err, bill.ErrNoAnswer); !errors.Is(err, his.ErrNotOffered) {
		t.Errorf("a hospital without the list: %v", err)
	}
}

// ask sends a day's request as it stands.
func ask(t *testing.T, w *ward, members string) error {
	t.Helper()
	_, err := w.client.Carry(t.Context(), "statements/list", []byte(members))
	return err
}

// FuzzDayAnswer reads outside bytes as a day's list, rightly signed: no panic, and what is believed adds up, is of that day, and is there once.
func FuzzDayAnswer(f *testing.F) {
	for _, seed := range []string{`{"code":"0","data":` + oneDay + `}`, `{"code":"1","data":` + noDay + `}`, `{"code":"0","data":` + noDay + `}`, `{"code":"1"}`,
		`{"code":"0","data":` + strings.Replace(oneDay, "2026-11-23T09:30:00+08:00", "2026-11-23T23:59:59-12:00", 1) + `}`,
		`{"code":"0","data":` + strings.Replace(oneDay, `"count":2`, `"count":100000`, 1) + `}`, `{"code":"MAINTENANCE"}`} {
		f.Add([]byte(seed))
	}
	w, forge := forged(f, "")
	f.Fuzz(func(t *testing.T, body []byte) {
		forge.body = string(body)
		day, err := w.client.Day(t.Context(), w.clock.Now())
		if err != nil {
			return
		}
		sums, seen := map[his.DayKind]money.Fen{}, map[string]bool{}
		for _, r := range day.Records {
			key := string(r.Kind) + r.Number
			if seen[key] || r.Number == "" || r.OrderNo == "" || r.Total <= 0 || r.At.In(clock.Shanghai).Format(time.DateOnly) != "2026-11-23" {
				t.Errorf("record %+v from %s", r, body)
			}
			if r.Kind == his.DayPayment && r.Split.Check(r.Total) != nil {
				t.Errorf("payment %+v from %s", r, body)
			}
			seen[key] = true
			sums[r.Kind] += r.Total
		}
		if sums[his.DayPayment] != day.Payments || sums[his.DayRefund] != day.Refunds || len(sums) > 2 || day.Closed {
			t.Errorf("Day = %+v from %s", day, body)
		}
	})
}
