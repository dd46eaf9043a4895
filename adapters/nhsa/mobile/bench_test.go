package mobile

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/nhsa/nhsasim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	institution = "H36010000001"
	area        = "360100"
	appID       = "43AF047BBA47FC8A1AE8EFB232BDBBCB"
	appSecret   = "4117E877F5FA0A0188891283E4B617D5"
	personNo    = "36010000000000000001"
)

var start = time.Date(2025, 3, 3, 1, 0, 0, 0, time.UTC)

var (
	hospitalKey = sync.OnceValue(gm.GenerateKey)
	centreKey   = sync.OnceValue(gm.GenerateKey)
)

// tokens answers the centre's question whose authorisation it is.
type tokens struct {
	id    string
	until time.Time
}

func (a tokens) Authorisation(token string) (string, time.Time, bool) {
	return a.id, a.until, token == "AUTH-1" || token == "AUTH-2"
}

// persons answers 1101.
type persons struct{ err error }

func (p persons) Insured(context.Context, settlement.Person) (settlement.Visit, sensitive.Token, error) {
	return settlement.Visit{PersonNo: personNo, InsuranceType: "310", CoverageArea: area}, sensitive.Token{}, p.err
}

// bench is a client, the centre it talks to, and one insured person with 200.00 on the account.
type bench struct {
	t       *testing.T
	clock   *clock.Fake
	plan    *sandbox.Plan
	sim     *nhsasim.Sim
	client  *Client
	id      sensitive.IDNumber
	notices [][]byte // 6302, as they came
	reply   int      // what our callback answers; 0: taken
}

func testID(t testing.TB) sensitive.IDNumber {
	t.Helper()
	for _, x := range "0123456789X" {
		if id, err := sensitive.ParseIDNumber("36010019900307123" + string(x)); err == nil {
			return id
		}
	}
	t.Fatal("no check digit")
	return sensitive.IDNumber{}
}

func testConfig(c clock.Clock) Config {
	return Config{Clock: c, Source: clock.NewSeeded(c, 5, 5), BaseURL: "http://centre.test/", AppID: appID, AppSecret: sensitive.NewKey(appSecret),
		PrivateKey: hospitalKey(), PlatformKey: centreKey().Public(), OrgCodg: institution, Persons: persons{}}
}

func newBench(t *testing.T, change func(*Config, *nhsasim.CentreApp)) *bench {
	t.Helper()
	b := &bench{t: t, clock: clock.NewFake(start), id: testID(t)}
	plan, err := sandbox.NewPlan(b.clock, "")
	if err != nil {
		t.Fatal(err)
	}
	b.plan = plan
	cfg := testConfig(b.clock)
	app := nhsasim.CentreApp{AppID: appID, Secret: sensitive.NewKey(appSecret), HospitalKey: hospitalKey().Public(), OrgCodg: institution,
		NotifyURL: "http://hospital.test/6302"}
	if change != nil {
		change(&cfg, &app)
	}
	b.sim, err = nhsasim.New(nhsasim.Config{Clock: b.clock, Source: clock.NewSeeded(b.clock, 9, 9), PaasID: "paas", Secret: sensitive.NewKey("secret"),
		Authorisations: tokens{b.id.Reveal(), b.clock.Now().Add(10 * time.Minute)},
		Institutions:   map[string]nhsasim.Institution{institution: {Name: "南昌市试验医院", Level: nhsasim.Level3, Area: area}},
		Catalogue:      map[string]nhsasim.Item{"XA": {Class: "01"}, "XB": {Class: "02"}, "XC": {Class: "03"}},
		Centre:         nhsasim.Centre{Key: centreKey(), Plan: plan, Apps: []nhsasim.CentreApp{app}, Notify: sandbox.Transport(http.HandlerFunc(b.callback))}})
	if err != nil {
		t.Fatal(err)
	}
	err = b.sim.AddPerson(nhsasim.Person{PsnNo: personNo, Name: sensitive.NewName("张试验"), IDNumber: b.id,
		Insurances: []nhsasim.Insurance{{InsuType: "310", PsnType: "1101", Status: "1", Area: area, Balance: 20000}}})
	if err != nil {
		t.Fatal(err)
	}
	if b.client, err = New(cfg, sandbox.Transport(b.sim.CentreHandler())); err != nil {
		t.Fatal(err)
	}
	return b
}

// callback is our face for 6302.
func (b *bench) callback(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.notices = append(b.notices, body)
	if b.reply != 0 {
		w.WriteHeader(b.reply)
		return
	}
	_, err := b.client.Open(r.Header, body)
	b.client.Acknowledge(w, err)
}

func testLine(no, item string, total money.Fen) bill.Line {
	return bill.Line{No: no, Category: "西药费", Name: "试验药品" + no, CatalogueCode: item, HospitalCode: "L-" + item, Quantity: decimal.NewFromInt(2),
		Price: decimal.New(int64(total)*5, -3), Total: total, OccurredAt: start, Days: "7天", PrescriptionNo: "RX1", Dose: "0.5g", Frequency: "tid",
		Route: "口服", DepartmentCode: "0301", DepartmentName: "内科", DoctorCode: "D360100001", DoctorName: "医生甲", Approval: "1"}
}

// testBill is N1 of nhsa-core.md §8.6: A 300, B 120, C 100, and 5.00 that never goes to the insurer.
func testBill() bill.Bill {
	uninsured := testLine("4", "", 500)
	uninsured.Uninsured = true
	return bill.Bill{No: "MZ0001", HISPatient: "100", State: bill.Unpaid, Total: 52500, Created: start, Visit: bill.Visit{No: "GH0001", Begun: start,
		DepartmentCode: "0301", DepartmentName: "内科", Caty: "A03", DoctorCode: "D360100001", DoctorName: "医生甲", MedType: "11", MainCondition: "咳嗽三天",
		Diagnoses: []bill.Diagnosis{{Type: "1", Code: "J06.900", Name: "急性上呼吸道感染", Department: "0301", DoctorCode: "D360100001", DoctorName: "医生甲"}}},
		Lines: []bill.Line{testLine("1", "XA", 30000), testLine("2", "XB", 12000), testLine("3", "XC", 10000), uninsured}}
}

func (b *bench) claim() settlement.Claim {
	return settlement.Claim{Person: settlement.Person{Name: sensitive.NewName("张试验"), IDNumber: b.id, Token: sensitive.NewToken("AUTH-1"),
		UsableUntil: start.Add(8 * time.Minute)}, Visit: settlement.Visit{VisitNo: "T7000000000000000001"}, Location: "115.892151,28.676493", BatchNo: "B7000000000000000002",
		Bills: []bill.Bill{testBill()}, Total: 52000, UseAccount: true, Upload: settlement.Upload{OrderNo: "700000000000000003"}}
}

// uploaded is a claim that 6201 has answered.
func (b *bench) uploaded() settlement.Claim {
	b.t.Helper()
	c := b.claim()
	u, err := b.client.Upload(b.t.Context(), c)
	if err != nil {
		b.t.Fatal(err)
	}
	c.Visit, c.Upload.PayOrdID, c.Upload.PayToken = u.Visit, u.PayOrdID, u.PayToken
	return c
}

func (b *bench) foreseen() (settlement.Claim, settlement.Stand) {
	b.t.Helper()
	c := b.uploaded()
	s, err := b.client.Foresee(b.t.Context(), "S1", c)
	if err != nil {
		b.t.Fatal(err)
	}
	return c, s
}

// settled is an upload that WeChat has had settled.
func (b *bench) settled() (settlement.Claim, settlement.Stand) {
	b.t.Helper()
	c, s := b.foreseen()
	f := s.Figures
	if why := b.sim.SettleMixed(c.Upload.PayOrdID, "AUTH-1", c.Upload.OrderNo, institution, f.Fund, f.Account, f.Other, f.Cash); why != "" {
		b.t.Fatal(why)
	}
	return c, s
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// tripper is an http.RoundTripper of one function.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string) tripper {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(body)))}, nil
	}
}

// client is a client on a centre that does whatever the transport does.
func client(t testing.TB, rt http.RoundTripper, change func(*Config)) *Client {
	t.Helper()
	cfg := testConfig(clock.NewFake(start))
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg, rt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signedBy is an answer of the centre with that data, sealed by that key.
func signedBy(t testing.TB, key *gm.PrivateKey, around, data map[string]any, f form) map[string]any {
	t.Helper()
	secret := sensitive.NewKey(appSecret)
	k, err := deriveKey(appID, secret)
	if err != nil {
		t.Fatal(err)
	}
	s := sealer{appID: appID, secret: secret, key: k, private: key, userID: "1234567812345678", leaves: f.leaves}
	envelope := map[string]any{"code": "0", "success": true, "message": "成功", "appId": appID, "timestamp": "20250303090000", "encType": "SM4",
		"signType": "SM2", "version": "2.0.1", "data": data}
	for name, v := range around {
		envelope[name] = v
	}
	out, err := s.seal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
