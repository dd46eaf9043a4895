package his_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/fhir"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/adapters/his/rest"
	"github.com/tuoka/tuoka/adapters/his/soap"
	"github.com/tuoka/tuoka/configs"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/split"
)

// This is the conformance suite: every way to speak to a hospital is played the same stories against the same hospital, and what comes of them must be
// the same to the letter, refusals and lost answers included.

const (
	testApp    = "tuoka"
	testSecret = "a-secret-of-the-front-office-0001"
	testName   = "冯晓棠"
	testID     = "360102198503123042"
)

// ward is a hospital, a client of it, and what came of what was asked.
type ward struct {
	t     *testing.T
	sim   *hissim.Sim
	plan  *sandbox.Plan
	clock *clock.Fake
	*his.Client
	bills []hissim.Bill
	notes []string
	fhir  []string // what was said in FHIR, both ways
	paper *hissim.PaperInsurer
	link  *his.Link
}

// speakers are the ways to speak, rest first: it says what docs/his-interface.md says without a translation.
var speakers = []struct {
	name string
	open func(t *testing.T, w *ward, source *clock.Source) *his.Client
}{
	{"rest", func(t *testing.T, w *ward, source *clock.Source) *his.Client {
		c, err := rest.New(rest.Config{Config: his.Config{Clock: w.clock}, BaseURL: "https://his.example", App: testApp, Secret: sensitive.NewKey(testSecret),
			Source: source}, sandbox.Transport(w.sim.Handler()))
		if err != nil {
			t.Fatal(err)
		}
		return c.Client
	}},
	{"soap", func(t *testing.T, w *ward, source *clock.Source) *his.Client {
		return vendor(t, w, source, w.sim.SOAPHandler())
	}},
	{"fhir R5", func(t *testing.T, w *ward, _ *clock.Source) *his.Client {
		return fhirServer(t, w, "R5")
	}},
	{"fhir R4", func(t *testing.T, w *ward, _ *clock.Source) *his.Client {
		return fhirServer(t, w, "R4")
	}},
}

// fhirServer is a client of the example's FHIR server.
func fhirServer(t *testing.T, w *ward, version string) *his.Client {
	t.Helper()
	text, err := configs.FS.ReadFile("his-fhir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	profile, err := fhir.ParseProfile([]byte(strings.Replace(string(text), "version: R5", "version: "+version, 1)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := fhir.New(fhir.Config{Config: his.Config{Clock: w.clock}, BaseURL: "https://his.example/", Profile: profile, Token: sensitive.NewKey(testSecret)},
		w.overheard(sandbox.Transport(w.sim.FHIRHandler())))
	if err != nil {
		t.Fatal(err)
	}
	return c.Client
}

// vendor is a client of the example's vendor.
func vendor(t *testing.T, w *ward, source *clock.Source, server http.Handler) *his.Client {
	t.Helper()
	text, err := configs.FS.ReadFile("his-soap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := soap.ParseMapping(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := soap.New(soap.Config{Config: his.Config{Clock: w.clock}, BaseURL: "https://his.example", Mapping: mapping, User: testApp,
		Secret: sensitive.NewKey(testSecret), Source: source}, sandbox.Transport(server))
	if err != nil {
		t.Fatal(err)
	}
	return c.Client
}

func (w *ward) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// note writes down what came of something: the value, or the fault's code and kind.
func (w *ward) note(what string, value any, err error) {
	w.t.Helper()
	if err != nil {
		f, ok := fault.Find(err)
		if !ok {
			w.t.Errorf("%s: an error without a fault: %v", what, err)
			return
		}
		w.notes = append(w.notes, fmt.Sprintf("%s: %s (%s)", what, f.Code, f.Kind))
		return
	}
	text, err := json.Marshal(value)
	w.must(err)
	w.notes = append(w.notes, fmt.Sprintf("%s: %s", what, text))
}

func (w *ward) nos() []string { return []string{w.bills[0].No, w.bills[1].No} }

func (w *ward) find() {
	id, err := sensitive.ParseIDNumber(testID)
	w.must(err)
	found, err := w.FindPatient(w.t.Context(), sensitive.NewName(testName), id)
	var shown []string
	for _, r := range found {
		shown = append(shown, fmt.Sprint(r.HISPatient, r.CardNo, r.Name.Equal(sensitive.NewName(testName)), r.IDNumber.Equal(id), r.CreatedAt))
	}
	w.note("find", shown, err)
}

func (w *ward) pending() {
	list, err := w.Pending(w.t.Context(), "P1")
	w.note("pending", list, err)
}

func (w *ward) detail(i int) {
	b, err := w.Detail(w.t.Context(), "P1", w.bills[i].No)
	w.note("detail", b, err)
}

func (w *ward) lock(no string) {
	until, err := w.Lock(w.t.Context(), order.LockRequest{OrderNo: no, HISPatient: "P1", Bills: w.nos(), Total: 18197})
	w.note("lock "+no, until, err)
}

func (w *ward) release(no string) { w.note("release "+no, nil, w.Release(w.t.Context(), no)) }

func (w *ward) posting(no string) order.Posting {
	at := time.Date(2026, 11, 23, 9, 40, 0, 0, clock.Shanghai)
	return order.Posting{OrderNo: no, HISPatient: "P1", Bills: []order.PostedBill{{No: w.bills[0].No, Total: 1917}, {No: w.bills[1].No, Total: 16280}},
		Total: 18197, Split: split.Split{PooledFund: 5000, OtherFund: 100, Account: 2000, FamilyAccount: 17, Cash: 1400, Uninsured: 9680},
		SetlID: "setl-1", MdtrtID: "mdtrt-1", SettledAt: at, OutTradeNo: "T1", TransactionID: "42000", PaidAt: at.Add(time.Minute)}
}

func (w *ward) post(no string) {
	posted, err := w.Post(w.t.Context(), w.posting(no))
	w.note("post "+no, posted, err)
}

func (w *ward) standing(no string) {
	st, err := w.PostingOf(w.t.Context(), no, w.nos())
	w.note("posting of "+no, st, err)
}

// refund gives up ten of the 24 tablets (7.99) and the test (66.00) of order 7.
func (w *ward) refund(no string) order.RefundRequest {
	return order.RefundRequest{OrderNo: "7", RefundNo: no, HISPatient: "P1", Lines: []refund.Line{
		{BillNo: w.bills[0].No, LineNo: w.bills[0].Lines[0].No, Quantity: decimal.NewFromInt(10), Amount: 799},
		{BillNo: w.bills[1].No, LineNo: w.bills[1].Lines[0].No, Quantity: decimal.NewFromInt(1), Amount: 6600}},
		Total: 7399, Reason: "医生改方"}
}

func (w *ward) hold(no string) { w.note("hold "+no, nil, w.HoldRefund(w.t.Context(), w.refund(no))) }
func (w *ward) drop(no string) { w.note("drop "+no, nil, w.DropRefund(w.t.Context(), "7", no)) }

func (w *ward) book(no string) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, clock.Shanghai)
	b := order.RefundBooking{RefundRequest: w.refund(no), Rest: split.Split{PooledFund: 1000, Account: 118, Uninsured: 9680}, RestSetlID: "setl-2",
		RestMdtrtID: "mdtrt-1", RestSettled: at, OutRefundNo: "TK1", RefundID: "50000", RefundedAt: at.Add(time.Minute)}
	done, err := w.BookRefund(w.t.Context(), b)
	w.note("book "+no, done, err)
}

// day notes the list of the day that lies so far from now.
func (w *ward) day(by time.Duration) {
	d, err := w.Day(w.t.Context(), w.clock.Now().Add(by))
	w.note(fmt.Sprintf("day %+.0fh", by.Hours()), d, err)
}

func (w *ward) refundOf(no string) {
	st, err := w.RefundOf(w.t.Context(), "7", no)
	w.note("refund of "+no, st, err)
}

// stories are what every speaker is played.
var stories = map[string]func(w *ward){
	"a morning": func(w *ward) {
		w.find()
		w.pending()
		w.detail(0)
		w.detail(1)
		w.lock("7")
		w.lock("7")
		w.pending()
		w.standing("7")
		w.post("7")
		w.post("7")
		w.standing("7")
		w.pending()
		w.detail(0)
		w.release("7")
		w.hold("R1")
		w.hold("R1")
		w.refundOf("R1")
		w.book("R1")
		w.book("R1")
		w.refundOf("R1")
		w.hold("R2")
		w.drop("R1")
		w.drop("R3")
		w.hold("R3")
		w.refundOf("R4")
		w.standing("7")
		w.day(0)
		w.day(0)
	},
	"nobody, and nothing to pay": func(w *ward) {
		id, err := sensitive.ParseIDNumber("360102196009072180")
		w.must(err)
		found, err := w.FindPatient(w.t.Context(), sensitive.NewName("无此人"), id)
		w.note("find a stranger", len(found), err)
		for _, b := range w.bills {
			_, err := w.sim.VoidBill(b.No)
			w.must(err)
		}
		w.pending()
		list, err := w.Pending(w.t.Context(), "P9")
		w.note("pending of a stranger", list, err)
		_, err = w.Detail(w.t.Context(), "P1", "MZ-none")
		w.note("no such bill", nil, err)
	},
	"paid at the window": func(w *ward) {
		_, err := w.sim.PayAtWindow(w.bills[0].No)
		w.must(err)
		w.lock("7")
		w.post("7")
		w.standing("7")
		w.pending()
	},
	"withdrawn": func(w *ward) {
		w.lock("7")
		w.release("7")
		_, err := w.sim.VoidBill(w.bills[1].No)
		w.must(err)
		w.lock("7")
		w.lock("8")
		w.post("8")
		w.standing("8")
	},
	"changed": func(w *ward) {
		_, err := w.sim.ChangeBill(w.bills[0].No, hissim.Order{Code: "W10231", Quantity: "14"})
		w.must(err)
		w.lock("7")
		w.detail(0)
		w.post("7")
	},
	"locked by another order, and run out": func(w *ward) {
		w.lock("7")
		w.lock("8")
		w.post("8")
		w.clock.Advance(16 * time.Minute)
		w.lock("7")
		w.lock("8")
		w.post("8")
	},
	"wrong amounts": func(w *ward) {
		p := w.posting("7")
		p.Total, p.Bills[0].Total, p.Split.Cash = 18196, 1916, 1399
		posted, err := w.Post(w.t.Context(), p)
		w.note("post less", posted, err)
		w.standing("7")
		w.post("7")
		_, err = w.sim.VoidPosting("7")
		w.must(err)
		w.standing("7")
		w.hold("R1")
	},
	"handed out": func(w *ward) {
		w.post("7")
		_, err := w.sim.HandOut(w.bills[0].No, w.bills[0].Lines[0].No, "24")
		w.must(err)
		w.hold("R1")
		w.refundOf("R1")
	},
	"billed anew, and numbers used for something else": func(w *ward) {
		w.post("7")
		kept := refund.Line{BillNo: w.bills[0].No, LineNo: w.bills[0].Lines[0].No, Quantity: decimal.NewFromInt(14), Amount: 1118, Kept: true}
		r := w.refund("R1")
		r.Lines, r.Total = append(r.Lines[:1], kept), 1917
		w.note("hold with the rest", nil, w.HoldRefund(w.t.Context(), r))
		w.note("hold again", nil, w.HoldRefund(w.t.Context(), r))
		w.hold("R1")
		w.book("R1")
		w.refundOf("R1")
		at := time.Date(2026, 11, 23, 10, 0, 0, 0, clock.Shanghai)
		b := order.RefundBooking{RefundRequest: r, Rebill: []refund.Line{kept}, Rest: split.Split{PooledFund: 6600, Uninsured: 9680}, RestSetlID: "setl-2", RestSettled: at,
			RefundedAt: at, ByHand: true}
		done, err := w.BookRefund(w.t.Context(), b)
		w.note("book with the rest", done, err)
		w.hold("R1")
		w.refundOf("R1")
		w.pending()
		w.detail(0)
		other := w.refund("R1")
		other.OrderNo = "8"
		w.note("hold of another order", nil, w.HoldRefund(w.t.Context(), other))
		w.note("drop of another order", nil, w.DropRefund(w.t.Context(), "8", "R1"))
		st, err := w.RefundOf(w.t.Context(), "8", "R1")
		w.note("refund of another order", st, err)
		l := order.LockRequest{OrderNo: "9", HISPatient: "P1", Bills: done.Rebilled, Total: 1118}
		until, err := w.Lock(w.t.Context(), l)
		w.note("lock what is billed anew", until, err)
		l.Bills = w.nos()[:1]
		until, err = w.Lock(w.t.Context(), l)
		w.note("lock others under the number", until, err)
		w.drop("R5")
		w.book("R5")
		b = order.RefundBooking{RefundRequest: w.refund("R6"), Rest: split.Split{Uninsured: 9680}, RefundedAt: at, Note: true}
		b.Lines, b.Total = b.Lines[1:], 6600
		done, err = w.BookRefund(w.t.Context(), b)
		w.note("note without a hold", done, err)
		w.refundOf("R6")
		w.standing("7")
	},
	"registration, deposit, and two bills of a visit": func(w *ward) {
		w.bills = nil
		for seed, kind := range []string{hissim.Registration, hissim.Deposit} {
			b, err := w.sim.DealKind("P1", kind, uint64(seed)+5)
			w.must(err)
			w.bills = append(w.bills, b)
		}
		visit, err := w.sim.DealVisit("P1", 7, 2)
		w.must(err)
		w.bills = append(w.bills, visit...)
		w.pending()
		for i := range w.bills {
			w.detail(i)
		}
		lock := func(no string, bills ...hissim.Bill) {
			l := order.LockRequest{OrderNo: no, HISPatient: "P1"}
			for _, b := range bills {
				l.Bills, l.Total = append(l.Bills, b.No), l.Total+b.TotalFen
			}
			until, err := w.Lock(w.t.Context(), l)
			w.note("lock "+no, until, err)
		}
		post := func(no string, b hissim.Bill) {
			p := w.posting(no)
			p.Bills, p.Total, p.Split = []order.PostedBill{{No: b.No, Total: b.TotalFen}}, b.TotalFen, split.AllCash(b.TotalFen)
			p.SetlID, p.MdtrtID, p.SettledAt = "", "", time.Time{}
			posted, err := w.Post(w.t.Context(), p)
			w.note("post "+no, posted, err)
			st, err := w.PostingOf(w.t.Context(), no, []string{b.No})
			w.note("posting of "+no, st, err)
		}
		w.clock.Advance(20 * time.Minute)
		lock("7", w.bills[0]) // for ten minutes: then the slot goes back
		lock("8", w.bills[2], w.bills[3])
		lock("9", w.bills[1])
		post("9", w.bills[1])
		w.clock.Advance(10 * time.Minute)
		w.pending()
		w.detail(0)
		lock("10", w.bills[0])
		post("7", w.bills[0])
	},
	"a day's list": func(w *ward) {
		w.day(0)
		w.post("7")
		w.book("R1")
		kept := refund.Line{BillNo: w.bills[0].No, LineNo: w.bills[0].Lines[0].No, Quantity: decimal.NewFromInt(14), Amount: 1118, Kept: true}
		_, err := w.BookRefund(w.t.Context(), order.RefundBooking{RefundRequest: order.RefundRequest{OrderNo: "7", RefundNo: "R2", HISPatient: "P1", Total: 9680 + 1118,
			Whole: true, Lines: []refund.Line{{BillNo: w.bills[1].No, LineNo: w.bills[1].Lines[1].No, Quantity: decimal.NewFromInt(1), Amount: 9680}, kept}},
			Rebill: []refund.Line{kept}, RefundedAt: w.clock.Now(), Note: true})
		w.must(err)
		w.day(0)
		w.day(-24 * time.Hour)
		w.day(24 * time.Hour)
		w.clock.Advance(14 * time.Hour) // 23:32
		w.day(0)
		b, err := w.sim.AddBill("P1", "D360102000211", hissim.Order{Code: "S80011", Quantity: "1"})
		w.must(err)
		p := w.posting("8")
		p.Bills, p.Total, p.Split, p.SetlID, p.MdtrtID, p.SettledAt = []order.PostedBill{{No: b.No, Total: b.TotalFen}}, b.TotalFen, split.AllCash(b.TotalFen), "", "", time.Time{}
		_, err = w.Post(w.t.Context(), p)
		w.must(err)
		w.clock.Advance(40 * time.Minute) // 0:12 of the next day
		w.day(-time.Hour)
		w.day(0)
		w.clock.Advance(20 * time.Minute)
		w.day(-time.Hour)
		w.day(0)
	},
	"a day's list without what was undone": func(w *ward) {
		w.post("7")
		w.day(0)
		_, err := w.sim.VoidPosting("7")
		w.must(err)
		w.day(0)
	},
	"days in which something is wrong": func(w *ward) {
		w.post("7")
		w.book("R1")
		for _, kind := range []hissim.Kind{hissim.PageMissing, hissim.CountWrong, hissim.NextDay} {
			w.notes = append(w.notes, string(kind))
			w.must(w.sim.Distort(hissim.Oddity{Op: "statements.list", Kind: kind}))
			w.day(0)
			w.day(0)
		}
		w.clock.Advance(24 * time.Hour)
		w.must(w.sim.Distort(hissim.Oddity{Op: "statements.list", Kind: hissim.NextDay, Times: 2}))
		w.day(-24 * time.Hour)
		w.day(0)
	},
	"cash alone": func(w *ward) {
		p := w.posting("7")
		p.Split, p.SetlID, p.MdtrtID, p.SettledAt = split.AllCash(p.Total), "", "", time.Time{}
		posted, err := w.Post(w.t.Context(), p)
		w.note("post", posted, err)
		w.standing("7")
	},
}

// newWard opens a hospital; a linked one has a line of its own to the insurer.
func newWard(t *testing.T, open func(t *testing.T, w *ward, source *clock.Source) *his.Client, linked bool) *ward {
	t.Helper()
	w := &ward{t: t, clock: clock.NewFake(time.Date(2026, 11, 23, 9, 30, 0, 0, clock.Shanghai))}
	var err error
	w.plan, err = sandbox.NewPlan(w.clock, "")
	w.must(err)
	cfg := hissim.Config{Clock: w.clock, Source: clock.NewSeeded(w.clock, 2, 1), Plan: w.plan, App: testApp, Secret: sensitive.NewKey(testSecret)}
	if linked {
		w.paper = hissim.NewPaperInsurer(w.clock)
		cfg.Link = w.paper
	}
	w.sim, err = hissim.New(cfg)
	w.must(err)
	_, err = w.sim.AddPatient(hissim.Patient{ID: "P1", CardNo: "0000123456780042", Name: testName, IDNo: testID, PsnNo: "36010000000000000001", Insutype: "310",
		CoverageArea: "360100"})
	w.must(err)
	for _, items := range [][]hissim.Order{{{Code: "W10231", Quantity: "24"}}, {{Code: "L40011", Quantity: "1"}, {Code: "S80011", Quantity: "1"}}} {
		b, err := w.sim.AddBill("P1", "D360102000211", items...)
		w.must(err)
		w.bills = append(w.bills, b)
		w.clock.Advance(time.Minute)
	}
	w.Client = open(t, w, clock.NewSeeded(w.clock, 1, 1))
	w.link, err = w.Link(his.LinkConfig{Source: clock.NewSeeded(w.clock, 3, 1)})
	w.must(err)
	return w
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, story, false)
		})
	}
}

// compare plays a story to every speaker.
func compare(t *testing.T, story func(w *ward), linked bool) {
	t.Helper()
	var want []string
	for i, s := range speakers {
		w := newWard(t, s.open, linked)
		story(w)
		if i == 0 {
			want = w.notes
			continue
		}
		if diff := cmp.Diff(want, w.notes); diff != "" {
			t.Errorf("%s hears otherwise than rest:\n%s", s.name, diff)
		}
	}
	t.Log(strings.Join(want, "\n"))
}

// TestConformanceUnderFaults: the morning again, each time with one answer gone wrong.
func TestConformanceUnderFaults(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"patients.find", "bills.pending", "bills.detail", "lock", "release", "post", "posting.query", "refund.hold", "refund.drop",
		"refund.book", "refund.query", "statements.list"} {
		for _, f := range []sandbox.Fault{sandbox.LoseBefore, sandbox.LoseAfter, sandbox.ErrorBefore, sandbox.ErrorAfter, sandbox.Garbage, sandbox.Repeat, sandbox.Refuse} {
			t.Run(fmt.Sprint(op, " ", f), func(t *testing.T) {
				t.Parallel()
				compare(t, func(w *ward) {
					w.plan.Script(sandbox.Script{Op: op, Fault: f, Times: 1})
					stories["a morning"](w)
				}, false)
			})
		}
	}
}
