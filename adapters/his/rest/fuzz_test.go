package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// FuzzAnswer reads outside bytes as every operation's answer, rightly signed: no panic, and nothing is believed that does not hold.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"code":"0","data":{"count":1,"patients":[{"patient_id":"P1","name":"冯晓棠","id_no":"360102198503123042","created_at":"2026-11-23T09:30:00+08:00"}]}}`,
		`{"code":"0","data":{"patient_id":"P1","count":0,"total_fen":0,"bills":[]}}`,
		`{"code":"1","message":"无待缴费记录"}`,
		`{"code":"0","data":{"bill":{"bill_no":"B","patient_id":"P1","total_fen":1e3}}}`,
		`{"code":"DUPLICATE","data":{"order_no":"7"}}`,
		`{"code":"0","data":{"order_no":"7","state":"void","void_bill_nos":["B"]}}`,
		"\xef\xbb\xbf{}", `[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]`, `{"code":"0","code":"1"}`,
	} {
		f.Add([]byte(seed))
	}
	w, forge := forged(f, "")
	f.Fuzz(func(t *testing.T, body []byte) {
		forge.body = string(body)
		ctx := t.Context()
		if list, err := w.client.Pending(ctx, "P1"); err == nil {
			var e struct {
				Code string `json:"code"`
			}
			if err := json.Unmarshal(body, &e); err != nil || (len(list) == 0) != (e.Code == "1") {
				t.Errorf("Pending = %+v from %s", list, body)
			}
			for _, b := range list {
				if b.Total <= 0 || b.Total > money.Max {
					t.Errorf("Pending = %+v from %s", list, body)
				}
			}
		}
		if b, err := w.client.Detail(ctx, "P1", "B"); err == nil && (b.Check() != nil || b.HISPatient != "P1") {
			t.Errorf("Detail = %+v", b)
		}
		if records, err := w.client.FindPatient(ctx, sensitive.NewName(testName), idNumber(t, testID)); err == nil {
			for _, r := range records {
				if !r.Name.Equal(sensitive.NewName(testName)) {
					t.Error("another person's archive")
				}
			}
		}
		if until, err := w.lock(t, "7"); err == nil && !until.After(w.clock.Now()) {
			t.Errorf("Lock until %v", until)
		}
		if done, err := w.client.Post(ctx, w.posting("7")); err == nil && done.PostingNo == "" {
			t.Error("posted without a number")
		}
		if st, err := w.client.PostingOf(ctx, "7", w.nos()); err == nil && st.State == order.PostingDone && st.Total <= 0 {
			t.Errorf("PostingOf = %+v", st)
		}
		_ = w.client.Release(ctx, "7")
	})
}

// FuzzRefundAnswer does so for refunds.
func FuzzRefundAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"code":"0","data":{"order_no":"7","refund_no":"R1","state":"held","hold":{"order_no":"7","refund_no":"R1","lines":[{"bill_no":"B","line_no":"L","quantity":"1","total_fen":1}],"total_fen":1,"held_at":"2026-11-23T09:30:00+08:00"}}}`,
		`{"code":"NOT_REFUNDABLE","data":{"lines":[{"bill_no":"B","line_no":"L","reason":"dispensed"}]}}`,
		`{"code":"DUPLICATE","data":{"order_no":"7","refund_no":"R1","state":"booked","booking":{"booking_no":"TF1"}}}`, `{"code":"1"}`,
	} {
		f.Add([]byte(seed))
	}
	w, forge := forged(f, "")
	f.Fuzz(func(t *testing.T, body []byte) {
		forge.body = string(body)
		ctx := t.Context()
		_ = w.client.DropRefund(ctx, "7", "R1")
		if err := w.client.HoldRefund(ctx, w.refund("R1")); err == nil && !bytes.Contains(body, []byte(w.bills[0].No)) {
			t.Error("held without our items")
		}
		if done, err := w.client.BookRefund(ctx, w.booking("R1")); err == nil && (done.BookingNo == "" || done.BookedAt.IsZero()) {
			t.Error("booked without a number or a date")
		}
		if st, err := w.client.RefundOf(ctx, "7", "R1"); err == nil && (st.State == order.RefundBooked) != (st.Booked.BookingNo != "") {
			t.Errorf("RefundOf = %+v", st)
		}
	})
}

// FuzzInsuranceAnswer does so for a hospital's own line to the insurer.
func FuzzInsuranceAnswer(f *testing.F) {
	const parts = `"parts":{"pooled_fund_fen":1000,"other_fund_fen":0,"account_fen":200,"family_account_fen":0,"hospital_borne_fen":0,"cash_fen":717,"uninsured_fen":0}`
	for _, seed := range []string{
		`{"code":"0","data":{"claim_no":"B1","visit_no":"YB1","mdtrt_id":"M1","psn_no":"36","insutype":"310","insuplc_admdvs":"360100","total_fen":1917,` + parts + `,"balance_fen":5}}`,
		`{"code":"0","data":{"claim_no":"B1","settle_no":"S1","setl_id":"JS1","settled_at":"2026-11-23T09:30:00+08:00","clr_way":"1","total_fen":1917,` + parts + `}}`,
		`{"code":"0","data":{"reverse_no":"R1","state":"not_settled"}}`, `{"code":"0","data":{"setl_id":"JS1","state":"cancelled"}}`,
		`{"code":"0","data":{"claim_no":"B1"}}`, `{"code":"INSURER_REFUSED","data":{"reason":"该人员待遇已冻结"}}`, `{"code":"SETTLED"}`, `{"code":"1"}`,
	} {
		f.Add([]byte(seed))
	}
	w, forge := forged(f, "")
	link, err := w.client.Link(his.LinkConfig{Source: clock.NewSeeded(w.clock, 3, 1)})
	if err != nil {
		f.Fatal(err)
	}
	line := bill.Line{No: "L", Quantity: decimal.NewFromInt(24), Total: 1917}
	c := settlement.Claim{OrderNo: "7", BatchNo: "B1", Total: 1917, Visit: settlement.Visit{VisitNo: "YB1"}, Bills: []bill.Bill{{No: "B", HISPatient: "P1", Lines: []bill.Line{line}}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		forge.body = string(body)
		ctx := t.Context()
		if p, err := link.Presettle(ctx, c); err == nil {
			if p.Split.Check(c.Total) != nil || p.Split.Uninsured != 0 || p.Visit.VisitNo == "" || len(p.Visit.VisitNo) > 30 || (p.Balance != nil && *p.Balance < 0) {
				t.Errorf("Presettle = %+v from %s", p, body)
			}
		} else if said, ok := fault.Find(err); !ok || (said.Kind == fault.Rejected && said.Msg == "") {
			t.Errorf("Presettle: %v from %s", err, body)
		}
		if out, err := link.Settle(ctx, "S1", c); err == nil {
			if out.Split.Check(c.Total) != nil || out.Split.Uninsured != 0 || out.SetlID == "" || len(out.SetlID) > 30 || out.SettledAt.IsZero() {
				t.Errorf("Settle = %+v from %s", out, body)
			}
		}
		if err := link.Reverse(ctx, "R1", c.Visit, "2207", "S1"); err == nil && !bytes.Contains(body, []byte("not_settled")) {
			t.Errorf("Reverse from %s", body)
		}
		if err := link.Cancel(ctx, "C1", c.Visit, "JS1"); err == nil && !bytes.Contains(body, []byte("cancelled")) {
			t.Errorf("Cancel from %s", body)
		}
		if stands, err := link.InForce(ctx, c.Visit, "JS1"); err == nil && !bytes.Contains(body, []byte(map[bool]string{true: "settled", false: "cancelled"}[stands])) {
			t.Errorf("InForce = %t from %s", stands, body)
		}
		_ = link.Withdraw(ctx, c)
	})
}

// FuzzNotice reads outside bytes as a notice, rightly signed: no panic, and what is believed holds together.
func FuzzNotice(f *testing.F) {
	for _, seed := range []string{lookAt7, `{"kind":"bill_void","bill_no":"B"}`,
		`{"kind":"refund_asked","his_refund_no":"CT1","order_no":"7","whole":false,"lines":[{"bill_no":"B","line_no":"L","quantity":"10","total_fen":799}],"total_fen":799,"note":false,"reason":"退"}`,
		`{"kind":"refund_asked","total_fen":1e3}`, `{"kind":"bill_created","bill_no":"B","patient_id":"P","happened_at":"2026-11-01T00:00:00+08:00"}`,
		`{"kind":"patient_merged","patient_id":"P2","merged_patient_id":"P1"}`, `{"kind":"refund_query","his_refund_no":"CT1","order_no":"7"}`,
		`{"kind":"settlement_result","order_no":"7"}`,
		`<!DOCTYPE r [<!ENTITY a "a"><!ENTITY b "&a;&a;">]><r>&b;</r>`, `<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>`, "\xef\xbb\xbf{}", `[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]`} {
		f.Add([]byte(seed))
	}
	now := newClock()
	c := config(now)
	c.CallbackPath = callbackPath
	client, err := New(c, http.DefaultTransport)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := client.Open(signed(now.Now(), string(body)), body)
		if err != nil {
			if !errors.Is(err, his.ErrNotice) {
				t.Error(err)
			}
			return
		}
		if n.ID == "" || len(n.ID) > 64 || len(n.Number) > 32 {
			t.Errorf("notice = %+v", n)
		}
		if n.Once.Text == "" || n.Once.Until.Before(now.Now().Add(skew)) {
			t.Errorf("its nonce may come again: %+v", n.Once)
		}
		if n.Kind == patient.KindMerged {
			if m, err := patient.ReadMerged(n.Body); err != nil || n.Number != "" || len(m.From) > 64 || len(m.To) > 64 {
				t.Errorf("merged = %+v, %v, of order %q", m, err, n.Number)
			}
		}
		if n.Kind == refund.KindQuery && n.Number == "" {
			t.Errorf("question = %+v", n)
		}
		if n.Kind != refund.KindAsked {
			return
		}
		var asked refund.AskedByHIS
		if err := json.Unmarshal(n.Body, &asked); err != nil {
			t.Fatal(err)
		}
		sum := asked.Total
		for _, l := range asked.Lines {
			sum -= l.Amount
			if l.Amount < 0 || l.Quantity.Sign() <= 0 {
				t.Errorf("line %+v", l)
			}
		}
		if asked.OrderNo != n.Number || asked.HISNo != n.ID || asked.Total <= 0 || sum != 0 {
			t.Errorf("asked = %+v", asked)
		}
	})
}
