package fhir

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/split"
)

// posted enters so many orders, a minute apart, each of a bill of 19.17.
func (w *ward) posted(t *testing.T, orders ...string) {
	t.Helper()
	for _, no := range orders {
		b, err := w.sim.AddBill("P1", "D360102000211", hissim.Order{Code: "W10231", Quantity: "24"})
		if err != nil {
			t.Fatal(err)
		}
		p := order.Posting{OrderNo: no, HISPatient: "P1", Bills: []order.PostedBill{{No: b.No, Total: 1917}}, Total: 1917, Split: split.AllCash(1917),
			OutTradeNo: "T" + no, TransactionID: "42000", PaidAt: w.clock.Now()}
		if _, err := w.client.Post(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Minute)
	}
}

// TestDayIsCutIntoPages: a FHIR server gives everything, of which the page that was asked for is cut.
func TestDayIsCutIntoPages(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.posted(t, "7", "8", "9")
	for page, want := range map[string]string{"1": "7 8", "2": "9", "3": ""} {
		a, err := w.client.Carry(t.Context(), opDay, []byte(`{"date":"2026-11-23","page":`+page+`,"page_size":2}`))
		if err != nil {
			t.Fatal(err)
		}
		var out struct {
			Page    json.Number `json:"page"`
			Count   int         `json:"count"`
			Records []struct {
				OrderNo string `json:"order_no"`
			} `json:"records"`
		}
		if err := json.Unmarshal(a.Data, &out); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range out.Records {
			got = append(got, r.OrderNo)
		}
		if strings.Join(got, " ") != want || out.Count != 3 || string(out.Page) != page || (a.Code == none) != (want == "") {
			t.Errorf("page %s: code %s, %s", page, a.Code, a.Data)
		}
	}
	if _, err := w.client.Carry(t.Context(), opDay, []byte(`{"date":"2026-11-23","page":0,"page_size":2}`)); err == nil {
		t.Error("page 0 was read")
	}
}

// TestDaysThatProveNothing spoils a day's list: it is believed as a whole, or not at all.
func TestDaysThatProveNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*http.Response, string) string{
		"":                      nil,
		"another total":         swap(`"total":2,`, `"total":3,`),
		"a page of several":     swap(`"total":2,`, `"total":2,"link":[{"relation":"next","url":"x"}],`),
		"an entry undone":       swap(`"status":"active"`, `"status":"cancelled"`),
		"of another kind":       swap(`"code":"payment"`, `"code":"reward"`),
		"no order":              swap("sid/order-no", "sid/other-no"),
		"no number":             swap("sid/posting-no", "sid/other-no"),
		"no bill":               swap("sid/bill-no", "sid/other-no"),
		"three decimals":        swap(`"amount":{"currency":"CNY","value":19.17},"created"`, `"amount":{"currency":"CNY","value":19.170},"created"`),
		"another amount":        swap(`"amount":{"currency":"CNY","value":19.17},"created"`, `"amount":{"currency":"CNY","value":19.18},"created"`),
		"of another day":        swap(`"created":"2026-11-23T`, `"created":"2026-11-22T`),
		"no zone":               swap(`+08:00"`, `"`),
		"the closing of none":   swap(`"code":"day-close"`, `"code":"lock"`),
		"of another day closed": swap(`"value":"2026-11-23"`, `"value":"2026-11-24"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			w.posted(t, "7", "8")
			w.clock.Advance(24 * time.Hour)
			w.spoil = spoil
			day, err := w.client.Day(t.Context(), time.Date(2026, 11, 23, 12, 0, 0, 0, clock.Shanghai))
			switch {
			case strings.HasPrefix(string(w.heard), "nothing to spoil"):
				t.Fatalf("%s", w.heard)
			case spoil == nil && (err != nil || len(day.Records) != 2 || day.Payments != 3834 || !day.Closed):
				t.Errorf("Day = %+v, %v", day, err)
			case spoil != nil && !errors.Is(err, bill.ErrUnreadable):
				t.Errorf("Day = %+v, %v", day, err)
			}
		})
	}
}

// TestDayNotOffered: a profile without the day's list has no shapes of it either.
func TestDayNotOffered(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	delete(w.client.config.Profile.Operations, opDay)
	if _, err := w.client.Day(t.Context(), w.clock.Now()); !errors.Is(err, his.ErrNotOffered) {
		t.Error(err)
	}
	if w.asked != nil {
		t.Errorf("asked %s", w.asked.URL)
	}
}
