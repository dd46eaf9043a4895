package rest

import (
	"bytes"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/split"
)

const (
	testApp    = "tuoka"
	testSecret = "a-secret-of-the-front-office-0001"
	testName   = "冯晓棠"
	testID     = "360102198503123042"
)

func newClock() *clock.Fake {
	return clock.NewFake(time.Date(2026, 11, 23, 9, 30, 0, 0, clock.Shanghai))
}

func config(now clock.Clock) Config {
	return Config{Config: his.Config{Clock: now}, BaseURL: "https://his.example", App: testApp, Secret: sensitive.NewKey(testSecret),
		Source: clock.NewSeeded(now, 1, 1)}
}

// ward is a hospital with one patient and two bills, and a client that talks to it.
type ward struct {
	sim    *hissim.Sim
	plan   *sandbox.Plan
	clock  *clock.Fake
	client *Client
	wire   *tap
	bills  []hissim.Bill
}

// tap keeps the last exchange, for golden files.
type tap struct {
	next           http.RoundTripper
	request        *http.Request
	sent, received []byte
	status         int
}

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	var err error
	if p.sent, err = io.ReadAll(r.Body); err != nil {
		return nil, err
	}
	r.Body, p.request = io.NopCloser(bytes.NewReader(p.sent)), r
	res, err := p.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if p.received, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	res.Body, p.status = io.NopCloser(bytes.NewReader(p.received)), res.StatusCode
	return res, nil
}

func newWard(t testing.TB, c hissim.Config) *ward {
	t.Helper()
	now := newClock()
	plan, err := sandbox.NewPlan(now, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Clock, c.Plan, c.App, c.Secret = now, plan, testApp, sensitive.NewKey(testSecret)
	sim, err := hissim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	w := &ward{sim: sim, plan: plan, clock: now, wire: &tap{next: sandbox.Transport(sim.Handler())}}
	if w.client, err = New(config(now), w.wire); err != nil {
		t.Fatal(err)
	}
	if _, err := sim.AddPatient(hissim.Patient{ID: "P1", CardNo: "0000123456780042", Name: testName, IDNo: testID,
		PsnNo: "36010000000000000001", Insutype: "310", CoverageArea: "360100"}); err != nil {
		t.Fatal(err)
	}
	for _, items := range [][]hissim.Order{{{Code: "W10231", Quantity: "24"}},
		{{Code: "L40011", Quantity: "1"}, {Code: "S80011", Quantity: "1"}}} {
		b, err := sim.AddBill("P1", "D360102000211", items...)
		if err != nil {
			t.Fatal(err)
		}
		w.bills = append(w.bills, b)
		now.Advance(time.Minute)
	}
	return w
}

func (w *ward) nos() []string { return []string{w.bills[0].No, w.bills[1].No} }

func (w *ward) find(t testing.TB) error {
	_, err := w.client.FindPatient(t.Context(), sensitive.NewName(testName), idNumber(t, testID))
	return err
}

func idNumber(t testing.TB, s string) sensitive.IDNumber {
	t.Helper()
	id, err := sensitive.ParseIDNumber(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *ward) lock(t testing.TB, no string) (time.Time, error) {
	return w.client.Lock(t.Context(), order.LockRequest{OrderNo: no, HISPatient: "P1", Bills: w.nos(), Total: 18197})
}

// posting pays both bills, 19.17 + 162.80, of which 96.80 are not insured.
func (w *ward) posting(no string) order.Posting {
	at := time.Date(2026, 11, 23, 9, 40, 0, 0, clock.Shanghai)
	return order.Posting{OrderNo: no, HISPatient: "P1", Bills: []order.PostedBill{{No: w.bills[0].No, Total: 1917},
		{No: w.bills[1].No, Total: 16280}}, Total: 18197,
		Split:  split.Split{PooledFund: 5000, OtherFund: 100, Account: 2000, FamilyAccount: 17, Cash: 1400, Uninsured: 9680},
		SetlID: "setl-1", MdtrtID: "mdtrt-1", SettledAt: at, OutTradeNo: "T1", TransactionID: "42000", PaidAt: at.Add(time.Minute)}
}

// calls are all operations on a ward, by their name in fault plans.
func (w *ward) calls(t testing.TB) map[string]func() error {
	return map[string]func() error{
		"patients.find": func() error { return w.find(t) },
		"bills.pending": func() error {
			list, err := w.client.Pending(t.Context(), "P1")
			if err == nil && len(list) == 0 {
				return errors.New("an empty list from a hospital that has bills")
			}
			return err
		},
		"bills.detail":    func() error { _, err := w.client.Detail(t.Context(), "P1", w.bills[1].No); return err },
		"lock":            func() error { _, err := w.lock(t, "7"); return err },
		"release":         func() error { return w.client.Release(t.Context(), "7") },
		"post":            func() error { _, err := w.client.Post(t.Context(), w.posting("7")); return err },
		"posting.query":   func() error { _, err := w.client.PostingOf(t.Context(), "7", w.nos()); return err },
		"refund.hold":     func() error { return w.client.HoldRefund(t.Context(), w.refund("R1")) },
		"refund.drop":     func() error { return w.client.DropRefund(t.Context(), "7", "R2") },
		"refund.book":     func() error { _, err := w.client.BookRefund(t.Context(), w.booking("R1")); return err },
		"refund.query":    func() error { _, err := w.client.RefundOf(t.Context(), "7", "R1"); return err },
		"statements.list": func() error { _, err := w.client.Day(t.Context(), w.clock.Now()); return err },
	}
}

// operations are the names of calls.
func operations() []string {
	return []string{"patients.find", "bills.pending", "bills.detail", "lock", "release", "post", "posting.query", "refund.hold",
		"refund.drop", "refund.book", "refund.query", "statements.list"}
}

// forger answers as it is told, signed as the document says by another library.
type forger struct {
	clock   clock.Clock
	status  int
	kind    string // content type
	body    string
	headers func(h http.Header)
}

func (f *forger) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{}
	kind := f.kind
	if kind == "" {
		kind = "application/json; charset=utf-8"
	}
	status := f.status
	if status == 0 {
		status = http.StatusOK
	}
	stamp := strconv.FormatInt(f.clock.Now().Unix(), 10)
	h.Set("Content-Type", kind)
	h.Set("X-His-App", testApp)
	h.Set("X-His-Timestamp", stamp)
	h.Set("X-His-Nonce", r.Header.Get("X-His-Nonce"))
	h.Set("X-His-Signature", macOf(strconv.Itoa(status)+"\n"+stamp+"\n"+r.Header.Get("X-His-Nonce")+"\n", []byte(f.body)))
	if f.headers != nil {
		f.headers(h)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(f.body)), Request: r}, nil
}

func macOf(head string, body []byte) string {
	digest := sm3.Sum(body)
	mac := hmac.New(sm3.New, []byte(testSecret))
	_, _ = mac.Write([]byte(head + hex.EncodeToString(digest[:]) + "\n"))
	return hex.EncodeToString(mac.Sum(nil))
}

// forged is a ward whose answers come from a forger; its bills are those of the real one.
func forged(t testing.TB, body string) (*ward, *forger) {
	t.Helper()
	w := newWard(t, hissim.Config{})
	f := &forger{clock: w.clock, body: body}
	var err error
	if w.client, err = New(config(w.clock), f); err != nil {
		t.Fatal(err)
	}
	return w, f
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	wire := &forger{}
	for name, spoil := range map[string]func(c *Config){
		"no URL":           func(c *Config) { c.BaseURL = "" },
		"another scheme":   func(c *Config) { c.BaseURL = "ftp://his.example" },
		"query":            func(c *Config) { c.BaseURL = "https://his.example?x=1" },
		"malformed":        func(c *Config) { c.BaseURL = "https://his.example/%zz" },
		"no app":           func(c *Config) { c.App = "" },
		"a short secret":   func(c *Config) { c.Secret = sensitive.NewKey("0123456789abcde") },
		"no clock":         func(c *Config) { c.Clock = nil },
		"no source of ids": func(c *Config) { c.Source = nil },
	} {
		c := config(newClock())
		spoil(&c)
		if _, err := New(c, wire); err == nil || strings.Contains(err.Error(), "0123456789abcde") {
			t.Errorf("New with %s: %v", name, err)
		}
	}
	if _, err := New(config(newClock()), nil); err == nil {
		t.Error("New without a round tripper succeeded")
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	text, err := json.Marshal(w.client.config.Secret)
	if err != nil || strings.Contains(string(text), testSecret) {
		t.Errorf("secret as JSON: %s, %v", text, err)
	}
}

// TestStory is a bill from the first look to the receipt.
func TestStory(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	ctx := t.Context()
	records, err := w.client.FindPatient(ctx, sensitive.NewName(testName), idNumber(t, testID))
	if err != nil || len(records) != 1 || records[0].HISPatient != "P1" || records[0].CardNo != "****0042" {
		t.Fatalf("FindPatient = %v, %v", records, err)
	}
	list, err := w.client.Pending(ctx, "P1")
	if err != nil || len(list) != 2 || list[0].No != w.bills[1].No || list[0].Total != 16280 || list[1].Total != 1917 {
		t.Fatalf("Pending = %+v, %v, want both, the newer first", list, err)
	}
	b, err := w.client.Detail(ctx, "P1", list[0].No)
	if err != nil || b.State != bill.Unpaid || b.Insured() != 6600 {
		t.Fatalf("Detail = %+v, %v", b, err)
	}
	until, err := w.lock(t, "7")
	if want := w.clock.Now().Add(15 * time.Minute); err != nil || !until.Equal(want) {
		t.Fatalf("Lock = %v, %v, want %v", until, err, want)
	}
	if list, err = w.client.Pending(ctx, "P1"); err != nil || !list[0].Locked {
		t.Errorf("Pending of locked bills = %+v, %v", list, err)
	}
	if st, err := w.client.PostingOf(ctx, "7", w.nos()); err != nil || st.State != order.PostingNone {
		t.Errorf("PostingOf before = %+v, %v", st, err)
	}
	done, err := w.client.Post(ctx, w.posting("7"))
	if err != nil || done.PostingNo == "" || done.ReceiptNo == "" || len(done.Guide) == 0 || done.PostedAt.IsZero() {
		t.Fatalf("Post = %+v, %v", done, err)
	}
	st, err := w.client.PostingOf(ctx, "7", w.nos())
	if err != nil || st.State != order.PostingDone || st.Total != 18197 || st.Posted.PostingNo != done.PostingNo {
		t.Errorf("PostingOf after = %+v, %v", st, err)
	}
	if list, err = w.client.Pending(ctx, "P1"); err != nil || len(list) != 0 {
		t.Errorf("Pending after = %+v, %v, want nothing", list, err)
	}
	if err := w.client.Release(ctx, "7"); err != nil {
		t.Errorf("Release after posting: %v", err)
	}
	if paid, err := w.client.Detail(ctx, "P1", w.bills[0].No); err != nil || paid.State != bill.Paid {
		t.Errorf("Detail of a paid bill = %+v, %v", paid, err)
	}
	for _, p := range w.sim.Truth().Postings {
		if p.TotalFen != 18197 || p.OutTradeNo != "T1" || p.SetlID != "setl-1" || p.Parts.Uninsured != 9680 || p.Parts.FamilyAccount != 17 {
			t.Errorf("the hospital's books: %+v", p)
		}
	}
}

func TestNobodyKnown(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	records, err := w.client.FindPatient(t.Context(), sensitive.NewName("严子衿"), idNumber(t, "36010219770101001X"))
	if err != nil || len(records) != 0 {
		t.Errorf("FindPatient of a stranger = %v, %v, want nobody", records, err)
	}
	if _, err := w.client.Pending(t.Context(), "P404"); !errors.Is(err, bill.ErrNotFound) {
		t.Errorf("Pending without an archive: %v", err)
	}
	if _, err := w.client.Detail(t.Context(), "P404", w.bills[0].No); !errors.Is(err, bill.ErrNotFound) {
		t.Errorf("Detail of another's bill: %v", err)
	}
}

func TestSeveralArchives(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	if _, err := w.sim.AddPatient(hissim.Patient{ID: "P2", CardNo: "七号", Name: testName, IDNo: testID}); err != nil {
		t.Fatal(err)
	}
	records, err := w.client.FindPatient(t.Context(), sensitive.NewName(testName), idNumber(t, testID))
	if err != nil || len(records) != 2 || records[0].HISPatient != "P2" || records[0].CardNo != "****" {
		t.Errorf("FindPatient = %v, %v, want both, the newer first", records, err)
	}
}

// want checks an error's code and kind, and that it carries no person.
func want(t *testing.T, what string, err error, f *fault.Error) {
	t.Helper()
	if f == nil {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if !errors.Is(err, f) || fault.KindOf(err) != f.Kind {
		t.Errorf("%s: error %v, want %v", what, err, f)
		return
	}
	for _, secret := range []string{testName, testID, "冯", testSecret, "柳无名"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error carries a person or a secret", what)
		}
	}
}
