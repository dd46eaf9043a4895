package core

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
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
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	institution = "H36010000001"
	area        = "360100"
)

// recorder keeps every request on its way to the platform, and every answer that came back.
type recorder struct {
	next http.RoundTripper

	mu      sync.Mutex
	bodies  [][]byte
	answers [][]byte
	urls    []string
}

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.bodies, r.urls = append(r.bodies, body), append(r.urls, q.URL.String())
	r.mu.Unlock()
	q.Body = io.NopCloser(bytes.NewReader(body))
	res, err := r.next.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.answers = append(r.answers, answer)
	r.mu.Unlock()
	res.Body = io.NopCloser(bytes.NewReader(answer))
	return res, nil
}

// sent lists the transactions in the order in which they were sent.
func (r *recorder) sent() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []string{}
	for _, b := range r.bodies {
		var head struct {
			Infno string `json:"infno"`
		}
		_ = json.Unmarshal(b, &head)
		out = append(out, head.Infno)
	}
	return out
}

// tokens answers the platform's question whose token it is.
type tokens struct {
	id    string
	until time.Time
}

func (a tokens) Authorisation(token string) (string, time.Time, bool) {
	return a.id, a.until, token == "TOKEN-1"
}

// bench is a client, the simulator it talks to, and one insured person with 200.00 on the account.
type bench struct {
	t      *testing.T
	clock  *clock.Fake
	plan   *sandbox.Plan
	sim    *nhsasim.Sim
	wire   *recorder
	client *Client
	id     sensitive.IDNumber
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

func newBench(t *testing.T, oddities nhsasim.Oddities, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, clock: clock.NewFake(time.Date(2025, 3, 3, 1, 0, 0, 0, time.UTC)), id: testID(t)}
	plan, err := sandbox.NewPlan(b.clock, "")
	if err != nil {
		t.Fatal(err)
	}
	b.plan = plan
	b.sim, err = nhsasim.New(nhsasim.Config{Clock: b.clock, Source: clock.NewSeeded(b.clock, 9, 9), Plan: plan, PaasID: "paas",
		Secret: sensitive.NewKey("secret"), Oddities: oddities, Authorisations: tokens{b.id.Reveal(), b.clock.Now().Add(10 * time.Minute)},
		Institutions: map[string]nhsasim.Institution{institution: {Name: "南昌市试验医院", Level: nhsasim.Level3, Area: area}},
		Catalogue:    map[string]nhsasim.Item{"XA": {Class: "01"}, "XB": {Class: "02"}, "XC": {Class: "03"}}})
	if err != nil {
		t.Fatal(err)
	}
	err = b.sim.AddPerson(nhsasim.Person{PsnNo: "36010000000000000001", Name: sensitive.NewName("张试验"), IDNumber: b.id,
		Insurances: []nhsasim.Insurance{{InsuType: "390", PsnType: "1501", Status: "4", Area: "110000"},
			{InsuType: "310", PsnType: "1101", Status: "1", Area: area, Balance: 20000}}})
	if err != nil {
		t.Fatal(err)
	}
	b.wire = &recorder{next: sandbox.Transport(b.sim.Handler())}
	cfg := testConfig(b.clock)
	if change != nil {
		change(&cfg)
	}
	if b.client, err = New(cfg, b.wire); err != nil {
		t.Fatal(err)
	}
	return b
}

func testConfig(c clock.Clock) Config {
	return Config{Clock: c, Source: clock.NewSeeded(c, 5, 5), BaseURL: "http://insurer.test/gateway/", URLStyle: OneURL, PaasID: "paas",
		Secret: sensitive.NewKey("secret"), FixmedinsCode: institution, FixmedinsName: "南昌市试验医院", MdtrtareaAdmvs: area, Opter: "MP0001",
		OpterName: "脱卡支付小程序", Profile: Profile{SystemErrors: []string{"系统异常"}}}
}

func (b *bench) person() settlement.Person {
	return settlement.Person{Name: sensitive.NewName("张试验"), IDNumber: b.id, Token: sensitive.NewToken("TOKEN-1"), UsableUntil: b.clock.Now().Add(8 * time.Minute)}
}

func testLine(no, item string, total money.Fen) bill.Line {
	return bill.Line{No: no, Category: "西药费", Name: "试验药品" + no, CatalogueCode: item, HospitalCode: "L-" + item, Quantity: decimal.NewFromInt(2),
		Price: decimal.New(int64(total)*5, -3), Total: total, OccurredAt: time.Date(2025, 3, 3, 0, 45, 0, 0, time.UTC), Days: "7天",
		PrescriptionNo: "RX1", Dose: "0.5g", Frequency: "tid", Route: "口服", DepartmentCode: "0301", DepartmentName: "内科", DoctorCode: "D360100001",
		DoctorName: "医生甲", Approval: "1"}
}

// testBill is N1 of nhsa-core.md §8.6: A 300, B 120, C 100, and 5.00 that never goes to the insurer.
func testBill() bill.Bill {
	at := time.Date(2025, 3, 3, 0, 30, 0, 0, time.UTC)
	uninsured := testLine("4", "", 500)
	uninsured.Uninsured = true
	return bill.Bill{No: "MZ0001", HISPatient: "100", State: bill.Unpaid, Total: 52500, Created: at, Visit: bill.Visit{No: "GH0001", Begun: at,
		DepartmentCode: "0301", DepartmentName: "内科", Caty: "A03", DoctorCode: "D360100001", DoctorName: "医生甲", MedType: "11", MainCondition: "咳嗽三天",
		Diagnoses: []bill.Diagnosis{{Type: "1", Order: 1, Code: "J06.900", Name: "急性上呼吸道感染", Department: "0301", DoctorCode: "D360100001",
			DoctorName: "医生甲", Time: at}}},
		Lines: []bill.Line{testLine("1", "XA", 30000), testLine("2", "XB", 12000), testLine("3", "XC", 10000), uninsured}}
}

func (b *bench) claim() settlement.Claim {
	return settlement.Claim{Person: b.person(), Visit: settlement.Visit{VisitNo: "T7000000000000000001"}, BatchNo: "B7000000000000000002",
		Bills: []bill.Bill{testBill()}, Total: 52000, UseAccount: true}
}

// presettled runs the chain and gives the claim that 2207 takes.
func (b *bench) presettled() (settlement.Claim, settlement.Presettlement) {
	b.t.Helper()
	c := b.claim()
	p, err := b.client.Presettle(context.Background(), c)
	if err != nil {
		b.t.Fatal(err)
	}
	c.Visit, c.Echo = p.Visit, p.Echo
	return c, p
}

// settled runs the chain and 2207.
func (b *bench) settled() (settlement.Claim, settlement.Outcome) {
	b.t.Helper()
	c, _ := b.presettled()
	out, err := b.client.Settle(context.Background(), b.client.MsgID(), c)
	if err != nil {
		b.t.Fatal(err)
	}
	return c, out
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
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

// client is a client on a platform that does whatever the transport does.
func client(t *testing.T, rt http.RoundTripper, change func(*Config)) *Client {
	t.Helper()
	cfg := testConfig(clock.NewFake(time.Date(2025, 3, 3, 1, 0, 0, 0, time.UTC)))
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg, rt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// claimOf is a claim whose visit stands already.
func claimOf(t *testing.T) settlement.Claim {
	t.Helper()
	return settlement.Claim{Person: settlement.Person{Name: sensitive.NewName("张试验"), IDNumber: testID(t), Token: sensitive.NewToken("TOKEN-1")},
		Visit:   settlement.Visit{PersonNo: "P1", MdtrtID: "M1", InsuranceType: "310", CoverageArea: area, VisitNo: "V1", Ours: true},
		BatchNo: "B1", Bills: []bill.Bill{testBill()}, Total: 52000}
}

func pretty(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

func infnos(list ...string) string { return fmt.Sprint(list) }
