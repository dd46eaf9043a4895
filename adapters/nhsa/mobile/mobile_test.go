package mobile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/nhsa/nhsasim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// n1 is the split of vector N1.
var n1 = split.Split{PooledFund: 5940, Account: 20000, Cash: 26060}

// TestTheWholeWay: upload, foresee, settle by WeChat, query, notice, refund.
func TestTheWholeWay(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	c, s := b.foreseen()
	want := settlement.Figures{Total: 52000, Fund: 5940, Account: 20000, Cash: 26060}
	if s.State != settlement.Foreseen || !s.Told || s.Figures != want || s.Split != n1 || s.Balance == nil || *s.Balance != 0 || s.OrderNo != c.Upload.OrderNo {
		t.Fatalf("Foresee = %+v", s)
	}
	if c.Visit.PersonNo != personNo || c.Visit.MdtrtID == "" || c.Visit.CoverageArea != area {
		t.Errorf("visit = %+v", c.Visit)
	}
	if why := b.sim.SettleMixed(c.Upload.PayOrdID, "AUTH-1", c.Upload.OrderNo, institution, 5940, 20000, 0, 26060); why != "" {
		t.Fatal(why)
	}
	s, err := b.client.Query(t.Context(), c)
	if err != nil || s.State != settlement.AllDone || s.Figures != want || s.SetlID == "" || s.RevsToken.IsZero() || !s.SettledAt.Equal(start) || s.ClrOptins != "360199" {
		t.Fatalf("Query = %+v, %v", s, err)
	}
	b.clock.Advance(time.Minute)
	if !b.sim.StepCentre(t.Context()) || len(b.notices) != 1 {
		t.Fatalf("%d notices", len(b.notices))
	}
	n, err := b.client.Open(nil, b.notices[0])
	if err != nil || n.Number != c.Upload.PayOrdID || n.Kind != "6302" || n.ID == "" || bytes.Contains(b.notices[0], []byte(c.Upload.PayOrdID)) {
		t.Errorf("notice %+v, %v", n, err)
	}
	back := settlement.GiveBack{Claim: c, Number: "F1", At: start, Figures: want}
	for range 2 { // again with the same number it does nothing new
		if err := b.client.Refund(t.Context(), back); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = b.client.Query(t.Context(), c); err != nil || s.State != settlement.InsuranceRefunded {
		t.Errorf("after 6203: %+v, %v", s, err)
	}
	if own, _, err := b.sim.Balance(personNo, "310"); err != nil || own != 20000 {
		t.Errorf("balance %s, %v", own, err)
	}
	if net := b.sim.Truth().Net; net != (nhsasim.Net{}) {
		t.Errorf("net = %+v, want nothing", net)
	}
	back.Number = "F2"
	if err := b.client.Refund(t.Context(), back); !errors.Is(err, ErrUnproved) {
		t.Errorf("a second refund: %v, want ErrUnproved: only 6301 tells", err)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	c, _ := b.foreseen()
	if err := b.client.Revoke(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if s, err := b.client.Query(t.Context(), c); err != nil || s.State != settlement.Revoked {
		t.Errorf("Query = %+v, %v", s, err)
	}
	if why := b.sim.SettleMixed(c.Upload.PayOrdID, "AUTH-1", c.Upload.OrderNo, institution, 5940, 20000, 0, 26060); why == "" {
		t.Error("a revoked upload was settled")
	}
	if err := b.client.Revoke(t.Context(), c); !errors.Is(err, ErrUnproved) {
		t.Errorf("again: %v", err)
	}
}

// TestSharedCounters: another visit uses the account between 6202 and the password, and then nothing is settled at the old amounts.
func TestSharedCounters(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	first, _ := b.foreseen()
	second := b.claim()
	second.Person.Token, second.Upload.OrderNo, second.BatchNo, second.Visit.VisitNo = sensitive.NewToken("AUTH-2"), "2", "B2", "T2"
	u, err := b.client.Upload(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	second.Visit, second.Upload.PayOrdID, second.Upload.PayToken = u.Visit, u.PayOrdID, u.PayToken
	if _, err := b.client.Foresee(t.Context(), "S2", second); err != nil {
		t.Fatal(err)
	}
	settle := func(c settlement.Claim, auth string) string {
		return b.sim.SettleMixed(c.Upload.PayOrdID, auth, c.Upload.OrderNo, institution, 5940, 20000, 0, 26060)
	}
	if why := settle(second, "AUTH-2"); why != "" {
		t.Fatal(why)
	}
	if why := settle(first, "AUTH-1"); why == "" {
		t.Error("settled by counters that had moved")
	}
	if s, err := b.client.Query(t.Context(), first); err != nil || s.State != settlement.SettleFailed {
		t.Errorf("Query = %+v, %v", s, err)
	}
}

// TestCentreRefuses: what the centre checks, and what we take its refusals for.
func TestCentreRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(b *bench, c *settlement.Claim)
		want   error
	}{
		"an expired authorisation": {func(b *bench, _ *settlement.Claim) { b.clock.Advance(11 * time.Minute) }, settlement.ErrAuth},
		"an unknown authorisation": {func(_ *bench, c *settlement.Claim) { c.Person.Token = sensitive.NewToken("AUTH-9") }, settlement.ErrAuth},
		"another person's name":    {func(_ *bench, c *settlement.Claim) { c.Person.Name = sensitive.NewName("李四") }, ErrRefused},
		"an unknown person number": {func(_ *bench, c *settlement.Claim) {
			c.Visit = settlement.Visit{VisitNo: "T1", PersonNo: "9", InsuranceType: "310", CoverageArea: area}
		}, ErrRefused},
		"an insurance that is not held": {func(_ *bench, c *settlement.Claim) {
			c.Visit = settlement.Visit{VisitNo: "T1", PersonNo: personNo, InsuranceType: "390", CoverageArea: area}
		}, ErrRefused},
		"a price that does not fit": {func(_ *bench, c *settlement.Claim) {
			c.Bills[0].Lines = append([]bill.Line{}, c.Bills[0].Lines...)
			c.Bills[0].Lines[0].Quantity = c.Bills[0].Lines[0].Quantity.Add(c.Bills[0].Lines[0].Quantity)
		}, ErrRefused},
		"the same numbers again": {func(b *bench, c *settlement.Claim) { _ = b.uploaded() }, ErrRefused},
	} {
		b := newBench(t, nil)
		c := b.claim()
		tt.change(b, &c)
		_, err := b.client.Upload(t.Context(), c)
		if !errors.Is(err, tt.want) || fault.KindOf(err) != fault.Rejected {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), b.id.Reveal()) {
			t.Errorf("%s: the error tells who it is about", name)
		}
	}
	b := newBench(t, nil) // one authorisation, one order
	_, _ = b.foreseen()
	c := b.claim()
	c.Upload.OrderNo, c.BatchNo = "2", "B2"
	if _, err := b.client.Upload(t.Context(), c); !errors.Is(err, settlement.ErrAuth) {
		t.Errorf("an authorisation that was used: %v", err)
	}
	b = newBench(t, nil) // a lost 6201: the same authorisation, new numbers
	b.plan.Script(sandbox.Script{Op: "6201", Fault: sandbox.LoseAfter})
	if _, err := b.client.Upload(t.Context(), b.claim()); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("a lost 6201: %v", err)
	}
	c = b.claim()
	c.Upload.OrderNo, c.BatchNo = "2", "B2"
	if _, err := b.client.Upload(t.Context(), c); err != nil {
		t.Errorf("after a lost 6201: %v", err)
	}
}

// TestClaimIsChecked at home, with the field's name, before anything is sent.
func TestClaimIsChecked(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(c *settlement.Claim){
		"medOrgOrd":        func(c *settlement.Claim) { c.Upload.OrderNo = strings.Repeat("1", 21) },
		"chrgBchno":        func(c *settlement.Claim) { c.BatchNo = "" },
		"caty":             func(c *settlement.Claim) { c.Bills[0].Visit.Caty = "" },
		"deptName":         func(c *settlement.Claim) { c.Bills[0].Visit.DepartmentName = "" },
		"begntime":         func(c *settlement.Claim) { c.Bills[0].Visit.Begun = time.Time{} },
		"diseinfoList":     func(c *settlement.Claim) { c.Bills[0].Visit.Diagnoses = nil },
		"medListCodg":      func(c *settlement.Claim) { c.Bills[0].Lines = []bill.Line{testLine("1", "", 52000)} },
		"feeOcurTime":      func(c *settlement.Claim) { c.Bills[0].Lines[0].OccurredAt = time.Time{} },
		"the claim says":   func(c *settlement.Claim) { c.Total++ },
		"without bills":    func(c *settlement.Claim) { c.Bills = nil },
		"rxno of external": func(c *settlement.Claim) { c.Bills[0].Lines[0].External, c.Bills[0].Lines[0].PrescriptionNo = true, "" },
	} {
		b := newBench(t, nil)
		c := b.claim()
		change(&c)
		_, err := b.client.Upload(t.Context(), c)
		if !errors.Is(err, ErrClaim) || !strings.Contains(err.Error(), strings.TrimSuffix(field, " of external")) {
			t.Errorf("%s: %v", field, err)
		}
	}
	c := client(t, answer(200, "{}"), func(cfg *Config) { cfg.Persons = persons{err: errors.New("1101 down")} })
	if _, err := c.Upload(t.Context(), newBench(t, nil).claim()); err == nil || !strings.Contains(err.Error(), "1101 down") {
		t.Errorf("1101 down: %v", err)
	}
	c = client(t, answer(200, "{}"), func(cfg *Config) { cfg.Persons = nil })
	if _, err := c.Upload(t.Context(), newBench(t, nil).claim()); !errors.Is(err, ErrClaim) {
		t.Errorf("nobody to ask: %v", err)
	}
}

// TestFailClosed: only an answer that the centre has signed counts; a failure answer is no evidence.
func TestFailClosed(t *testing.T) {
	t.Parallel()
	claim := ord1(t)
	good := map[string]any{"payOrdId": "ORD1", "ordStas": "6", "feeSumamt": "1.00", "fundPay": "0.60", "psnAcctPay": "0.20", "ownPayAmt": "0.20"}
	text := func(m map[string]any) string { b, _ := json.Marshal(m); return string(b) }
	sealed := func(change func(data map[string]any)) map[string]any {
		data := map[string]any{}
		for k, v := range good {
			data[k] = v
		}
		if change != nil {
			change(data)
		}
		return signedBy(t, centreKey(), nil, data, form{leaves: StringLeaves})
	}
	with := func(m map[string]any, name string, v any) map[string]any { m[name] = v; return m }
	for name, tt := range map[string]struct {
		body string
		want error
	}{
		"right":                         {text(sealed(nil)), nil},
		"right, raw leaves":             {text(signedBy(t, centreKey(), map[string]any{"code": json.Number("0")}, map[string]any{"payOrdId": "ORD1", "ordStas": json.Number("6")}, form{leaves: RawLeaves})), nil},
		"right, wrapped by a relay":     {text(map[string]any{"output": map[string]any{"body": sealed(nil)}}), nil},
		"right, as a text in a relay":   {text(map[string]any{"data": text(sealed(nil))}), nil},
		"ownpayAmt":                     {text(sealed(func(d map[string]any) { d["ownpayAmt"] = d["ownPayAmt"]; delete(d, "ownPayAmt") })), nil},
		"both spellings, equal":         {text(sealed(func(d map[string]any) { d["ownpayAmt"] = d["ownPayAmt"] })), nil},
		"both spellings, different":     {text(sealed(func(d map[string]any) { d["ownpayAmt"] = "0.21" })), ErrUnequal},
		"signed by another":             {text(signedBy(t, hospitalKey(), nil, good, form{leaves: StringLeaves})), ErrUnverified},
		"a member changed":              {text(with(sealed(nil), "timestamp", "20250303090001")), ErrUnverified},
		"a member added":                {text(with(sealed(nil), "extraMember", "x")), ErrUnverified},
		"data changed":                  {text(with(sealed(nil), "encData", sealed(func(d map[string]any) { d["ordStas"] = "1" })["encData"])), ErrUnverified},
		"without signature":             {text(with(sealed(nil), "signData", "")), ErrUnverified},
		"without data":                  {text(with(sealed(nil), "encData", "")), ErrUnverified},
		"plaintext data, unsigned":      {text(map[string]any{"code": "0", "success": true, "data": good}), ErrUnverified},
		"not hex":                       {text(with(sealed(nil), "encData", "xyz")), ErrUnreadable},
		"not our cipher":                {text(with(sealed(nil), "encData", strings.Repeat("00", 32))), ErrUnreadable},
		"about another order":           {text(sealed(func(d map[string]any) { d["payOrdId"] = "ORD2" })), ErrUnreadable},
		"without ordStas":               {text(sealed(func(d map[string]any) { delete(d, "ordStas") })), ErrUnreadable},
		"an amount with three decimals": {text(sealed(func(d map[string]any) { d["fundPay"] = "0.601" })), ErrUnreadable},
		"a failure":                     {`{"code":-1,"success":false,"message":"支付订单不存在"}`, ErrUnproved},
		"success = false with code 0":   {`{"code":0,"success":false,"message":"x"}`, ErrUnproved},
		"a failure about authorisation": {`{"code":-1,"success":false,"message":"授权码已失效"}`, ErrUnproved},
		"not JSON":                      {"<html>", ErrUnreadable},
		"two objects":                   {"{}{}", ErrUnreadable},
		"an array":                      {"[]", ErrUnreadable},
		"wrapped without end":           {`{"data":{"data":{"data":{"data":{"data":{}}}}}}`, ErrUnreadable},
	} {
		s, err := client(t, answer(200, tt.body), nil).Query(t.Context(), claim)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if tt.want != nil && fault.KindOf(err) != fault.Unknown {
			t.Errorf("%s: kind %s", name, fault.KindOf(err))
		}
		if tt.want == nil && s.State != settlement.AllDone {
			t.Errorf("%s: %+v", name, s)
		}
	}
	refusing := client(t, answer(200, `{"code":"1001","success":false,"message":"该人员 张试验 360100199003071238 不享受待遇"}`), nil)
	_, err := refusing.Foresee(t.Context(), "S1", claim)
	if f, ok := fault.Find(err); !ok || !errors.Is(err, ErrRefused) || f.Msg != "该人员 *** *** 不享受待遇" {
		t.Errorf("a refused 6202: %v", err)
	}
	if err := refusing.Revoke(t.Context(), claim); !errors.Is(err, ErrUnproved) {
		t.Errorf("a refused 6401: %v", err)
	}
	if err := refusing.Refund(t.Context(), settlement.GiveBack{Claim: claim, Number: "F1", At: start}); !errors.Is(err, ErrUnproved) {
		t.Errorf("a refused 6203: %v", err)
	}
	sick := client(t, answer(200, `{"code":-1,"success":false,"message":"系统繁忙"}`), func(c *Config) { c.SystemErrors = []string{"系统繁忙"} })
	if _, err := sick.Foresee(t.Context(), "S1", claim); !errors.Is(err, ErrSystem) {
		t.Errorf("a sick platform: %v", err)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	claim := newBench(t, nil).claim()
	claim.Upload.PayOrdID, claim.Upload.PayToken = "ORD1", sensitive.NewToken("t")
	for name, tt := range map[string]struct {
		rt   http.RoundTripper
		want error
	}{
		"no connection": {tripper(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}), ErrNotSent},
		"cut":       {tripper(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }), ErrNoAnswer},
		"502":       {answer(502, "<html>"), ErrNoAnswer},
		"too large": {answer(200, strings.Repeat(" ", maxAnswer+1)), ErrUnreadable},
	} {
		if _, err := client(t, tt.rt, nil).Query(t.Context(), claim); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// TestRefundStatus: SUCC alone is done, FAIL alone is a no.
func TestRefundStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]error{"SUCC": nil, "FAIL": ErrRefused, "EXP": ErrUnproved, "": ErrUnproved, "NEW": ErrUnproved} {
		body, _ := json.Marshal(signedBy(t, centreKey(), nil, map[string]any{"payOrdId": "ORD1", "refStatus": status}, form{leaves: StringLeaves}))
		err := client(t, answer(200, string(body)), nil).Refund(t.Context(), settlement.GiveBack{Number: "F1", At: start, Claim: settlement.Claim{
			Person: settlement.Person{Token: sensitive.NewToken("a")}, Upload: settlement.Upload{PayOrdID: "ORD1"}}})
		if !errors.Is(err, want) {
			t.Errorf("refStatus %q: %v, want %v", status, err, want)
		}
	}
}

// TestSplit: the figures count; a detail divides them further only where it agrees.
func TestSplit(t *testing.T) {
	t.Parallel()
	f := settlement.Figures{Total: 100, Fund: 60, Account: 20, Other: 5, Cash: 15}
	for name, tt := range map[string]struct {
		out  fields
		want split.Split
	}{
		"no detail":            {fields{}, split.Split{PooledFund: 60, OtherFund: 5, Account: 20, Cash: 15}},
		"other funds":          {fields{"extData": map[string]any{"preSetl": map[string]any{"hifp_pay": "0.50", "cvlserv_pay": "0.06", "maf_pay": "0.04"}}}, split.Split{PooledFund: 50, OtherFund: 15, Account: 20, Cash: 15}},
		"funds that differ":    {fields{"extData": map[string]any{"preSetl": map[string]any{"hifp_pay": "0.50"}}}, split.Split{PooledFund: 60, OtherFund: 5, Account: 20, Cash: 15}},
		"a negative fund":      {fields{"extData": map[string]any{"preSetl": map[string]any{"hifp_pay": "0.70", "maf_pay": "-0.10"}}}, split.Split{PooledFund: 60, OtherFund: 5, Account: 20, Cash: 15}},
		"family account":       {fields{"acctMulaidPay": "0.08", "selfAcctPay": "0.12"}, split.Split{PooledFund: 60, OtherFund: 5, Account: 12, FamilyAccount: 8, Cash: 15}},
		"family in detail":     {fields{"extData": `{"preSetl":{"acct_mulaid_pay":0.08}}`}, split.Split{PooledFund: 60, OtherFund: 5, Account: 12, FamilyAccount: 8, Cash: 15}},
		"accounts that differ": {fields{"acctMulaidPay": "0.08", "selfAcctPay": "0.20"}, split.Split{PooledFund: 60, OtherFund: 5, Account: 20, Cash: 15}},
	} {
		got := splitOf(tt.out, f)
		if got != tt.want || got.Check(100) != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	data := map[string]any{"payOrdId": "ORD1", "ordStas": "6"}
	body, _ := json.Marshal(signedBy(t, centreKey(), nil, data, form{leaves: StringLeaves}))
	forged, _ := json.Marshal(signedBy(t, hospitalKey(), nil, data, form{leaves: StringLeaves}))
	open, _ := json.Marshal(data)
	sealed := client(t, nil2(), nil)
	first, err := sealed.Open(nil, body)
	if err != nil || first.Source != Source {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := sealed.Open(nil, body); err != nil || again.ID != first.ID {
		t.Errorf("the same notice again is %q, %v", again.ID, err)
	}
	plainOnes := client(t, nil2(), func(c *Config) {
		c.NotifyMode, c.NotifyFrom = PlainNotices, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	})
	for name, tt := range map[string]struct {
		c    *Client
		body []byte
		ok   bool
	}{
		"forged": {sealed, forged, false}, "plain at a sealed door": {sealed, open, false}, "empty": {sealed, nil, false},
		"plain": {plainOnes, open, true}, "plain without number": {plainOnes, []byte(`{"ordStas":"6"}`), false}, "plain, no JSON": {plainOnes, []byte("x"), false},
	} {
		n, err := tt.c.Open(nil, tt.body)
		if (err == nil) != tt.ok || (tt.ok && n.Number != "ORD1") || (err != nil && !errors.Is(err, ErrNotice)) {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	if !sealed.Admits(netip.MustParseAddr("8.8.8.8")) || plainOnes.Admits(netip.MustParseAddr("8.8.8.8")) || !plainOnes.Admits(netip.MustParseAddr("::ffff:10.1.2.3")) {
		t.Error("who may send plain notices")
	}
	for err, status := range map[error]int{nil: 200, ErrNotice: 401, errors.New("disk"): 500} {
		w := httptest.NewRecorder()
		sealed.Acknowledge(w, err)
		if w.Code != status || strings.Contains(w.Body.String(), "disk") || strings.Contains(w.Body.String(), `"success":true`) != (err == nil) {
			t.Errorf("%v: %d %s", err, w.Code, w.Body)
		}
	}
}

// ord1 is a claim whose upload the centre calls ORD1.
func ord1(t testing.TB) settlement.Claim {
	t.Helper()
	return settlement.Claim{Person: settlement.Person{Name: sensitive.NewName("张试验"), IDNumber: testID(t), Token: sensitive.NewToken("AUTH-1")},
		BatchNo: "B1", Total: 100, Upload: settlement.Upload{OrderNo: "1", PayOrdID: "ORD1", PayToken: sensitive.NewToken("t")}}
}

func nil2() http.RoundTripper { return answer(500, "") }

// TestPushes: 6302 comes twice, never, or again after it was not taken.
func TestPushes(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]int{"once": 1, "twice": 2, "never": 0} {
		b := newBench(t, nil)
		if err := b.sim.SetPushes(mode); err != nil {
			t.Fatal(err)
		}
		b.settled()
		for range 20 {
			b.clock.Advance(time.Minute)
			b.sim.StepCentre(t.Context())
		}
		if len(b.notices) != want {
			t.Errorf("%s: %d notices", mode, len(b.notices))
		}
	}
	b := newBench(t, nil)
	b.reply = http.StatusInternalServerError
	b.settled()
	for range 20 {
		b.clock.Advance(time.Minute)
		b.sim.StepCentre(t.Context())
	}
	if len(b.notices) != 4 {
		t.Errorf("a notice that nobody takes came %d times", len(b.notices))
	}
	b = newBench(t, func(c *Config, app *nhsasim.CentreApp) {
		app.Plain, c.NotifyMode, c.NotifyFrom = true, PlainNotices, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	c, _ := b.settled()
	b.clock.Advance(time.Minute)
	if !b.sim.StepCentre(t.Context()) || !bytes.Contains(b.notices[0], []byte(c.Upload.PayOrdID)) {
		t.Error("no plain notice")
	}
}

// TestChoices: every choice of §10 that changes the wire.
func TestChoices(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"usual":         {nil, []string{`"encType":"SM4"`, `"signType":"SM2"`, `"version":"2.0.1"`, `"timestamp":"20250303090000"`, "/org/local/api/hos/query_order_info"}},
		"lower case":    {func(c *Config) { c.LowerCaseTypes = true }, []string{`"encType":"sm4"`, `"signType":"sm2"`}},
		"milliseconds":  {func(c *Config) { c.Timestamp = "millis" }, []string{fmt.Sprintf(`"timestamp":"%d"`, start.UnixMilli())}},
		"older version": {func(c *Config) { c.Version = "1.0.0" }, []string{`"version":"1.0.0"`}},
		"another path":  {func(c *Config) { c.Paths = map[string]string{"6301": "/x/query"} }, []string{"http://centre.test/x/query"}},
		"wrapped":       {func(c *Config) { c.Transport = Wrapped }, []string{`"infno":"6301"`, `"input":{"data":{`, `"payOrdId":"ORD1"`}},
		"extra members": {func(c *Config) { c.Transport, c.Extra = Wrapped, map[string]map[string]string{"6301": {"zz": "1"}} }, []string{`"zz":"1"`}},
	} {
		var sent string
		c := client(t, tripper(func(r *http.Request) (*http.Response, error) {
			b, _ := io.ReadAll(r.Body)
			sent = r.URL.String() + string(b)
			return nil, io.EOF
		}), tt.change)
		_, _ = c.Query(t.Context(), ord1(t))
		for _, want := range tt.want {
			if !strings.Contains(sent, want) {
				t.Errorf("%s: %q is not in %s", name, want, sent)
			}
		}
		if name == "usual" && (strings.Contains(sent, `"data"`) || strings.Contains(sent, "ORD1") || strings.Contains(sent, testID(t).Reveal())) {
			t.Errorf("plain text travels: %s", sent)
		}
	}
	wrapped := func(body string) error {
		_, err := client(t, answer(200, body), func(c *Config) { c.Transport, c.TrustFrontEnd = Wrapped, true }).Query(t.Context(), ord1(t))
		return err
	}
	if err := wrapped(`{"infcode":0,"output":{"payOrdId":"ORD1","ordStas":"1"}}`); err != nil {
		t.Errorf("wrapped answer: %v", err)
	}
	for body, want := range map[string]error{`{"infcode":-1,"err_msg":"x"}`: ErrUnproved, `{"infcode":0}`: ErrUnreadable, `{"output":{}}`: ErrUnreadable} {
		if err := wrapped(body); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
	key := gm.GenerateKey()
	for name, change := range map[string]func(*Config){
		"no clock": func(c *Config) { c.Clock = nil }, "no base": func(c *Config) { c.BaseURL = "x" }, "short app": func(c *Config) { c.AppID = "x" },
		"no secret": func(c *Config) { c.AppSecret = sensitive.Key{} }, "no key": func(c *Config) { c.PrivateKey = nil },
		"our own key": func(c *Config) { c.PrivateKey, c.PlatformKey = key, key.Public() }, "no org": func(c *Config) { c.OrgCodg = "" },
		"leaf": func(c *Config) { c.LeafMode = "x" }, "verify": func(c *Config) { c.VerifyLeafModes = []LeafMode{"x"} },
		"plain notices from anywhere": func(c *Config) { c.NotifyMode = PlainNotices }, "refund": func(c *Config) { c.RefundType = "CASH" },
	} {
		cfg := testConfig(newBench(t, nil).clock)
		change(&cfg)
		if _, err := New(cfg, nil2()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestAmountsTold: with its amounts changed by one fen the centre's answer is verified, and yet found out by comparison.
func TestAmountsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	c, s := b.settled()
	b.plan.Script(sandbox.Script{Op: "6301", Fault: sandbox.ChangeAmount})
	other, err := b.client.Query(t.Context(), c)
	if err != nil || other.Figures == s.Figures || other.Figures.Total != s.Figures.Total {
		t.Errorf("Query = %+v, %v", other.Figures, err)
	}
	var sum money.Fen
	for _, f := range []money.Fen{other.Figures.Fund, other.Figures.Account, other.Figures.Other, other.Figures.Cash} {
		sum += f
	}
	if sum != other.Figures.Total {
		t.Error("the changed amounts do not add up: they would be found without a comparison")
	}
}

func FuzzOpen(f *testing.F) {
	good, _ := json.Marshal(signedBy(f, centreKey(), nil, map[string]any{"payOrdId": "ORD1", "ordStas": "6"}, form{leaves: StringLeaves}))
	f.Add(good)
	f.Add([]byte(`{"code":-1,"message":"x"}`))
	f.Add([]byte(`{"data":"{\"data\":{}}"}`))
	c := client(f, nil2(), nil)
	claim := settlement.Claim{Upload: settlement.Upload{PayOrdID: "ORD1"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		out, err := c.unpack(message{number: "6301"}, body)
		if err == nil {
			_, _ = standOf(out.fields, claim)
		} else if fault.KindOf(err) != fault.Unknown {
			t.Errorf("kind %s of %v", fault.KindOf(err), err)
		}
		_, _ = c.Open(nil, body)
	})
}

// BenchmarkSeal signs and encrypts a 6201 of fifty lines; BenchmarkOpen is the other direction of a small answer.
func BenchmarkSeal(b *testing.B) {
	c := client(b, nil2(), nil)
	claim := settlement.Claim{Person: settlement.Person{Name: sensitive.NewName("张试验"), IDNumber: testID(b), Token: sensitive.NewToken("AUTH-1")},
		Visit: settlement.Visit{PersonNo: personNo, InsuranceType: "310", CoverageArea: area, VisitNo: "T1"}, Location: "115.892151,28.676493", BatchNo: "B1",
		Bills: []bill.Bill{testBill()}, Upload: settlement.Upload{OrderNo: "1"}}
	claim.Bills[0].Lines = nil
	for i := range 50 {
		claim.Bills[0].Lines = append(claim.Bills[0].Lines, testLine(fmt.Sprint(i), "XA", 1000))
		claim.Total += 1000
	}
	for b.Loop() {
		data, err := c.uploadData(claim)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.pack(message{number: "6201", data: data}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	c := client(b, nil2(), nil)
	body, _ := json.Marshal(signedBy(b, centreKey(), nil, map[string]any{"payOrdId": "ORD1", "ordStas": "6"}, form{leaves: StringLeaves}))
	for b.Loop() {
		if _, err := c.unpack(message{number: "6301"}, body); err != nil {
			b.Fatal(err)
		}
	}
}
