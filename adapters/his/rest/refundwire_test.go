package rest

import (
	"strings"
	"testing"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
)

const (
	goodHold = `{"order_no":"7","refund_no":"R1","lines":[LINES],"total_fen":7399,"held_at":"2026-11-23T09:30:00+08:00"}`
	goodBook = `{"booking_no":"TF1","order_no":"7","refund_no":"R1","lines":[LINES],"total_fen":7399,"rest_parts":{"pooled_fund_fen":1000,` +
		`"other_fund_fen":0,"account_fen":118,"family_account_fen":0,"hospital_borne_fen":0,"cash_fen":0,"uninsured_fen":9680},` +
		`"booked_at":"2026-11-23T10:30:00+08:00"}`
)

// fill puts the items of the ward's refund into a template.
func (w *ward) fill(template string) string {
	tablets, test := w.bills[0], w.bills[1]
	return strings.ReplaceAll(template, "LINES", `{"bill_no":"`+test.No+`","line_no":"`+test.Lines[0].No+`","quantity":"1.0","total_fen":6600},`+
		`{"bill_no":"`+tablets.No+`","line_no":"`+tablets.Lines[0].No+`","quantity":"10","total_fen":799}`)
}

// TestRefundAnswers spoils one thing of a good answer at a time.
func TestRefundAnswers(t *testing.T) {
	t.Parallel()
	w, f := forged(t, "")
	hold := func() error { return w.client.HoldRefund(t.Context(), w.refund("R1")) }
	book := func() error { _, err := w.client.BookRefund(t.Context(), w.booking("R1")); return err }
	good := map[string]struct {
		body string
		call func() error
	}{
		"hold": {`{"code":"0","data":` + w.fill(goodHold) + `}`, hold},
		"held before": {`{"code":"DUPLICATE","data":{"order_no":"7","refund_no":"R1","state":"held","hold":` + w.fill(goodHold) + `}}`,
			hold},
		"book": {`{"code":"0","data":` + w.fill(goodBook) + `}`, book},
		"booked before": {`{"code":"DUPLICATE","data":{"order_no":"7","refund_no":"R1","state":"booked","booking":` + w.fill(goodBook) + `}}`,
			book},
	}
	for what, g := range good {
		f.body = g.body
		want(t, what, g.call(), nil)
		for name, change := range map[string][2]string{
			"another order":     {`"order_no":"7"`, `"order_no":"8"`},
			"another refund":    {`"refund_no":"R1"`, `"refund_no":"R2"`},
			"another total":     {`"total_fen":7399`, `"total_fen":7398`},
			"no total":          {`"total_fen":7399`, `"sum":7399`},
			"a line's amount":   {`"total_fen":799`, `"total_fen":800`},
			"a line without":    {`"total_fen":799`, `"total":799`},
			"a negative line":   {`"total_fen":799`, `"total_fen":-799`},
			"no date":           {`"2026-11-23T`, `"0001-01-01T`},
			"a quantity's type": {`"quantity":"10"`, `"quantity":10`},
			"no quantity":       {`"quantity":"10"`, `"count":"10"`},
			"no items":          {`"lines":[`, `"rows":[`},
			"a line twice":      {w.bills[1].Lines[0].No, w.bills[0].Lines[0].No},
		} {
			f.body = strings.ReplaceAll(g.body, change[0], change[1])
			if name == "a line twice" {
				f.body = strings.ReplaceAll(f.body, w.bills[1].No, w.bills[0].No)
			}
			if f.body == g.body {
				t.Errorf("%s: nothing to spoil in %s", name, g.body)
			}
			want(t, what+": "+name, g.call(), bill.ErrUnreadable)
		}
		f.body = strings.ReplaceAll(g.body, `"quantity":"10"`, `"quantity":"9"`)
		expected := bill.ErrUnreadable
		if what == "held before" {
			expected = his.ErrRequest
		}
		want(t, what+": another quantity", g.call(), expected)
	}
}

// TestBookingAnswers spoils what only the record of a booking has.
func TestBookingAnswers(t *testing.T) {
	t.Parallel()
	w, f := forged(t, "")
	record := w.fill(goodBook)
	for name, change := range map[string][2]string{
		"no number":          {`"booking_no":"TF1"`, `"booking_no":""`},
		"no rest":            {`"rest_parts"`, `"rest"`},
		"half a rest":        {`"cash_fen"`, `"cash"`},
		"another rest":       {`"cash_fen":0`, `"cash_fen":1`},
		"billed anew, what":  {`"total_fen":7399`, `"rebill":[{"bill_no":"B","line_no":"L","quantity":"1","total_fen":1}],"total_fen":7400`},
		"billed anew, how":   {`"total_fen":7399`, `"rebill":[{"bill_no":"B","line_no":"L","quantity":"0","total_fen":0}],"total_fen":7399`},
		"billed anew, why":   {`"booking_no"`, `"rebilled_bill_nos":["MZ9"],"booking_no"`},
		"a bill twice":       {`"booking_no"`, `"rebilled_bill_nos":["MZ9","MZ9"],"booking_no"`},
		"a bill of no name":  {`"booking_no"`, `"rebilled_bill_nos":[""],"booking_no"`},
		"an endless account": {`"account_fen":118`, `"account_fen":1000000000001`},
	} {
		spoiled := strings.Replace(record, change[0], change[1], 1)
		if spoiled == record {
			t.Errorf("%s: nothing to spoil in %s", name, record)
		}
		for _, body := range []string{`{"code":"0","data":` + spoiled + `}`,
			`{"code":"DUPLICATE","data":{"order_no":"7","refund_no":"R1","state":"booked","booking":` + spoiled + `}}`} {
			f.body = body
			_, err := w.client.BookRefund(t.Context(), w.booking("R1"))
			want(t, name, err, bill.ErrUnreadable)
		}
	}
}

// TestStandings gives states without their evidence: what leads to a refund is not believed.
func TestStandings(t *testing.T) {
	t.Parallel()
	w, f := forged(t, "")
	head := `{"order_no":"7","refund_no":"R1","state":`
	for name, data := range map[string]string{
		"another order":          `{"order_no":"8","refund_no":"R1","state":"none"}`,
		"another refund":         `{"order_no":"7","refund_no":"R2","state":"none"}`,
		"no state":               `{"order_no":"7","refund_no":"R1"}`,
		"unknown state":          head + `"refunded"}`,
		"held, nothing":          head + `"held"}`,
		"held, an empty hold":    head + `"held","hold":{}}`,
		"held, and booked":       head + `"held","hold":` + w.fill(goodHold) + `,"booking":` + w.fill(goodBook) + `}`,
		"booked, nothing":        head + `"booked"}`,
		"booked, a hold":         head + `"booked","hold":` + w.fill(goodHold) + `}`,
		"booked, empty":          head + `"booked","booking":{}}`,
		"none, but a hold":       head + `"none","hold":` + w.fill(goodHold) + `}`,
		"dropped, but a booking": head + `"dropped","booking":` + w.fill(goodBook) + `}`,
	} {
		f.body = `{"code":"0","data":` + data + `}`
		st, err := w.client.RefundOf(t.Context(), "7", "R1")
		if st.State != "" {
			t.Errorf("%s: state %s", name, st.State)
		}
		want(t, name, err, bill.ErrUnreadable)
	}
	for _, state := range []string{"none", "dropped"} { // of a number that is used
		f.body = `{"code":"DUPLICATE","data":` + head + `"` + state + `"}}`
		_, err := w.client.BookRefund(t.Context(), w.booking("R1"))
		want(t, "BookRefund: duplicate of "+state, err, bill.ErrUnreadable)
	}
	f.body = `{"code":"DUPLICATE","data":` + head + `"none"}}`
	want(t, "HoldRefund: duplicate of nothing", w.client.HoldRefund(t.Context(), w.refund("R1")), bill.ErrUnreadable)
	f.body = `{"code":"0","data":{"order_no":"7","refund_no":"R1","dropped":true}}`
	want(t, "another refund dropped", w.client.DropRefund(t.Context(), "7", "R2"), bill.ErrUnreadable)
}

// TestReasons: a refusal is one, whatever the hospital says of its reasons.
func TestReasons(t *testing.T) {
	t.Parallel()
	w, f := forged(t, "")
	for data, says := range map[string]string{
		`null`:                               bill.ErrNotRefundable.Msg,
		`{"lines":[]}`:                       bill.ErrNotRefundable.Msg,
		`{"lines":0}`:                        bill.ErrNotRefundable.Msg,
		`{"lines":[{"reason":"冯晓棠"}]}`:       bill.ErrNotRefundable.Msg,
		`{"lines":[{"reason":"dispensed"}]}`: "药品已发放，请先到药房办理退药后再申请退费",
		`{"lines":[{"reason":"dispensed"},{"reason":"executed"}]}`: bill.ErrNotRefundable.Msg,
	} {
		f.body = `{"code":"NOT_REFUNDABLE","data":` + data + `}`
		err := w.client.HoldRefund(t.Context(), w.refund("R1"))
		want(t, data, err, bill.ErrNotRefundable)
		if found, ok := fault.Find(err); !ok || found.Msg != says {
			t.Errorf("%s: %v, want %s", data, err, says)
		}
	}
}

// TestOddStanding distorts the record that a query and a repeat answer.
func TestOddStanding(t *testing.T) {
	t.Parallel()
	for _, kind := range []hissim.Kind{hissim.Exponent, hissim.Negative, hissim.Yuan, hissim.LineSum, hissim.ShortPage, hissim.TwiceListed} {
		w := newWard(t, hissim.Config{})
		w.prepare(t, "refund.query")
		for _, op := range []string{"refund.query", "refund.book", "refund.hold"} {
			if err := w.sim.Distort(hissim.Oddity{Op: op, Key: "R1", Kind: kind}); err != nil {
				t.Fatal(err)
			}
			want(t, op+" "+string(kind), w.calls(t)[op](), bill.ErrUnreadable)
		}
	}
}
