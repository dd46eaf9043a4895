package nhsasim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// TestCentreFaults: every fault on every call leaves all of its effect or nothing of it, and the call can be made again or asked about.
func TestCentreFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault sandbox.Fault
		acted bool
	}{{sandbox.LoseBefore, false}, {sandbox.LoseAfter, true}, {sandbox.ErrorBefore, false}, {sandbox.ErrorAfter, true}, {sandbox.Garbage, true},
		{sandbox.Repeat, true}, {sandbox.Slow, true}, {sandbox.LateAnswer, true}, {sandbox.LateEffect, true}} {
		t.Run(string(tc.fault), func(t *testing.T) {
			t.Parallel()
			b := newCentreBench(t, "")
			codes := map[string]int{"6201": 0, "6202": 1, "6203": 8, "6401": 12}
			for _, number := range []string{"6201", "6202", "6203", "6301", "6401"} {
				auth := "AUTH-" + number
				b.authorise(auth, "P1", time.Hour)
				o := order{no: "M" + number, batch: "B" + number, auth: auth, psnNo: "P1"}
				var in node
				if number == "6201" {
					in = b.in6201(o, bill520...)
				} else {
					o = b.putUpFor(o)
				}
				switch number {
				case "6202":
					in = b.in6202(o)
				case "6203":
					b.done("6202", b.in6202(o))
					if why := b.settleN1(o); why != "" {
						t.Fatal(why)
					}
					in = b.in6203(o, "R1", "HI", "259.40", "0.00", "200.00", "59.40")
				case "6301", "6401":
					in = b.in6301(o)
				}
				before := standOf(b, o.no)
				b.centrePlan.Script(sandbox.Script{Op: number, Key: o.no, Fault: tc.fault})
				_, _ = b.ask(number, in)
				want := before
				if code, moves := codes[number]; moves && tc.acted {
					want = code
				}
				if got := standOf(b, o.no); got != want {
					t.Errorf("%s: ordStas %d, want %d", number, got, want)
				}
			}
			if got := b.centrePlan.Injected(); len(got) != 5 {
				t.Errorf("injected = %+v, want one on each call", got)
			}
			if n := b.sim.Truth().Net.Count; n > 1 || (n == 1) == tc.acted {
				t.Errorf("%d settlements in force", n)
			}
		})
	}
}

// standOf is the true code of an upload; -1 without one.
func standOf(b *centreBench, orderNo string) int {
	for _, u := range b.sim.Truth().Uploads {
		if u.OrderNo == orderNo {
			return u.OrdStas
		}
	}
	return -1
}

// TestCentreChanged: refusals and other amounts by the plan; the changed answer adds up and is signed, and only a comparison finds it.
func TestCentreChanged(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	b.centrePlan.Script(sandbox.Script{Op: "6201", Fault: sandbox.Refuse}, sandbox.Script{Op: "6202", Fault: sandbox.Refuse},
		sandbox.Script{Op: "6202", Fault: sandbox.ChangeAmount}, sandbox.Script{Op: "6301", Fault: sandbox.ChangeAmount, Times: 2},
		sandbox.Script{Op: "6401", Fault: sandbox.Refuse})
	b.denied("6201 by the plan", "6201", b.in6201(order{no: "M0", batch: "B-M0", auth: "AUTH-1", psnNo: "P1"}, bill520...), "参保状态异常")
	o := b.putUp("M1")
	b.denied("6202 by the plan", "6202", b.in6202(o), "待遇已变更")
	for _, s := range []said{b.done("6202", b.in6202(o)), b.done("6301", b.in6301(o))} {
		wantMembers(t, s.data, map[string]string{"feeSumamt": "520.00", "fundPay": "59.39", "psnAcctPay": "200.00", "ownPayAmt": "260.61", "othFeeAmt": "0.00"})
	}
	if why := b.sim.SettleMixed(o.id, o.auth, o.no, hospital, 5939, 20000, 0, 26061); why != reasonOther {
		t.Errorf("the changed amounts are settled: %q", why)
	}
	paid := newCentreBench(t, "")
	o = paid.paid("M1")
	paid.centrePlan.Script(sandbox.Script{Op: "6301", Fault: sandbox.ChangeAmount})
	s := paid.done("6301", paid.in6301(o))
	wantMembers(t, s.data, map[string]string{"fundPay": "59.39", "ownPayAmt": "260.61", "ordStas": "6"})
	wantMembers(t, inner(s.data, "extData", "setlinfo"), map[string]string{"fundPaySumamt": "59.39", "psnCashPay": "260.61"})
	b.sim.SetOddities(Oddities{SystemErrorText: "数据库连接超时"})
	b.denied("a sick centre", "6301", b.in6301(o), "数据库连接超时")
}

// TestOrderedAtCentre: refusals before and after the effect, by medOrgOrd.
func TestOrderedAtCentre(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	b.sim.RefuseNext("6401", "M1", "系统繁忙")
	b.denied("before", "6401", b.in6301(o), "系统繁忙")
	b.sim.FailAfterNext("6401", "", "系统超时")
	b.denied("after", "6401", b.in6301(o), "系统超时")
	if got := b.stas(o); got != "12" {
		t.Errorf("ordStas = %s, want 12: the refusal came after the effect", got)
	}
}

// TestCentreCallNames: every call about one order is named by its medOrgOrd, and a charge is lost by a level once at most.
func TestCentreCallNames(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	name := func(number string, in node) sandbox.Call {
		body, err := json.Marshal(b.seal(t, b.envelope(in)))
		if err != nil {
			t.Fatal(err)
		}
		return b.sim.nameCentreCall(httptest.NewRequest(http.MethodPost, pathTo(number), http.NoBody), body)
	}
	first := b.in6201(order{no: "M2", batch: "B-M2", auth: "AUTH-1", psnNo: "P1"}, line{drugA, "7.00"})
	second := b.in6201(order{no: "M3", batch: "B-M3", auth: "AUTH-1", psnNo: "P1"}, line{drugA, "7.00"})
	b.centrePlan.Script(sandbox.Script{Op: "6201", Key: "M2", Fault: sandbox.LoseBefore})
	for _, tc := range []struct {
		number string
		in     node
		want   sandbox.Call
	}{
		{"6201", first, sandbox.Call{Key: "M2", Refusable: true, Most: 1}},
		{"6202", b.in6202(o), sandbox.Call{Key: "M1", Refusable: true, Priced: true, Most: 2}},
		{"6203", b.in6203(o, "R1", "HI", "0.00", "0.00", "0.00", "0.00"), sandbox.Call{Key: "M1"}},
		{"6301", b.in6301(o), sandbox.Call{Key: "M1", Priced: true}},
		{"6401", b.in6301(o), sandbox.Call{Key: "M1"}},
		{"6301", node{"payOrdId": "ORD"}, sandbox.Call{Key: "ORD", Priced: true}},
	} {
		tc.want.Op = tc.number
		if got := name(tc.number, tc.in); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.number, got, tc.want)
		}
	}
	if got := name("6201", second).Most; got != 1 {
		t.Errorf("Most of a second upload while none was disturbed = %d, want 1", got)
	}
	if _, err := b.ask("6201", first); err == nil {
		t.Fatal("the script lost nothing")
	}
	if got := name("6201", second).Most; got != -1 {
		t.Errorf("Most of the upload after a lost one = %d, want -1: never", got)
	}
	other := b.in6201(order{no: "M4", batch: "B-M4", auth: "AUTH-1", psnNo: "P1"}, line{drugA, "8.00"})
	if got := name("6201", other).Most; got != 1 {
		t.Errorf("Most of another charge = %d, want 1", got)
	}
	r := httptest.NewRequest(http.MethodPost, pathTo("6201"), http.NoBody)
	for _, body := range []string{"x", "{}", `{"appId":"` + hospitalApp + `","encData":"00"}`} {
		if got := b.sim.nameCentreCall(r, []byte(body)); got != (sandbox.Call{Op: "6201"}) {
			t.Errorf("nameCentreCall(%s) = %+v", body, got)
		}
	}
}

// TestCentreOddities: the forms in which centres differ.
func TestCentreOddities(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		odd   Oddities
		check func(t *testing.T, b *centreBench, upload, foresee, asked, paid said)
	}{
		"numbers": {Oddities{Centre: CentreOddities{Numbers: true, CodeString: true}}, func(t *testing.T, _ *centreBench, _, pre, _, paid said) {
			if !bytes.Contains(paid.raw, []byte(`"code":"0"`)) || pre.data["fundPay"] != json.Number("59.40") || paid.data["ordStas"] != json.Number("6") {
				t.Errorf("6202 %v, 6301 %s", pre.data, paid.raw)
			}
		}},
		"ownpayAmt": {Oddities{Centre: CentreOddities{OwnpayAmt: true}}, func(t *testing.T, _ *centreBench, _, pre, asked, _ said) {
			wantMembers(t, pre.data, map[string]string{"ownPayAmt": "260.60", "ownpayAmt": "-"})
			wantMembers(t, asked.data, map[string]string{"ownpayAmt": "260.60", "ownPayAmt": "-"})
		}},
		"amounts late": {Oddities{Centre: CentreOddities{AmountsLate: true}}, func(t *testing.T, _ *centreBench, _, pre, asked, paid said) {
			wantMembers(t, pre.data, map[string]string{"fundPay": "59.40"})
			wantMembers(t, asked.data, map[string]string{"fundPay": "-", "feeSumamt": "-", "ownPayAmt": "-"})
			wantMembers(t, paid.data, map[string]string{"fundPay": "59.40"})
		}},
		"visit in the extension": {Oddities{Centre: CentreOddities{VisitInExtension: true}}, func(t *testing.T, _ *centreBench, up, pre, asked, paid said) {
			for _, s := range []said{up, pre, asked, paid} {
				if s.str("mdtrtId") != "" || inner(s.data, "extData")["mdtrtId"] == nil {
					t.Errorf("answer %v", s.data)
				}
			}
		}},
		"empty extension": {Oddities{Centre: CentreOddities{EmptyExtension: true}}, func(t *testing.T, _ *centreBench, up, _, _, _ said) {
			if ext, ok := up.data["extData"].(map[string]any); !ok || len(ext) != 0 {
				t.Errorf("6201 %v", up.data)
			}
		}},
		"other untold": {Oddities{Centre: CentreOddities{OtherUntold: true}}, func(t *testing.T, _ *centreBench, _, pre, asked, _ said) {
			wantMembers(t, pre.data, map[string]string{"othFeeAmt": "0.00"})
			wantMembers(t, asked.data, map[string]string{"othFeeAmt": "-"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newCentreBench(t, "")
			b.sim.SetOddities(tc.odd)
			o := order{no: "M1", batch: "B-M1", auth: "AUTH-1", psnNo: "P1"}
			up := b.done("6201", b.in6201(o, bill520...))
			o.id, o.token, o.visit = up.str("payOrdId"), up.str("payToken"), b.sim.uploads[up.str("payOrdId")].MdtrtID
			pre := b.done("6202", b.in6202(o))
			asked := b.done("6301", b.in6301(o))
			if why := b.settleN1(o); why != "" {
				t.Fatal(why)
			}
			tc.check(t, b, up, pre, asked, b.done("6301", b.in6301(o)))
		})
	}
}

// TestRawLeaves: the centre signs numbers as they stand.
func TestRawLeaves(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	b.sim.SetOddities(Oddities{Centre: CentreOddities{Numbers: true, RawLeaves: true}})
	o := b.putUp("M1")
	b.hand.rawLeaves = true
	b.done("6202", b.in6202(o))
}

// TestOtherShares: the subsidies split off, what the hospital bears, and what relatives' accounts pay; the four always sum to the total.
func TestOtherShares(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	civil := nanchang(3000)
	civil.CivilServant = true
	b.person("P4", "36010019880410678", civil, Used{Year: 2025, InsuType: "310", MedType: "11", Deductible: 30000})
	b.sim.persons["P4"].Family = 1000
	b.authorise("AUTH-4", "P4", time.Hour)
	o := b.putUpFor(order{no: "M1", batch: "B-M1", auth: "AUTH-4", psnNo: "P4"}, line{drugA, "400.00"})
	// pooled 55 % = 220; the subsidy 20 % of the rest = 36; the account 30, relatives 10, cash 104.
	wantMembers(t, b.done("6202", b.in6202(o)).data, map[string]string{"fundPay": "256.00", "psnAcctPay": "40.00", "othFeeAmt": "0.00", "ownPayAmt": "104.00",
		"acctMulaidPay": "10.00", "selfAcctPay": "30.00"})
	b.sim.SetOddities(Oddities{Centre: CentreOddities{OtherSplitOff: true}})
	wantMembers(t, b.done("6202", b.in6202(o)).data, map[string]string{"fundPay": "220.00", "psnAcctPay": "40.00", "othFeeAmt": "36.00", "ownPayAmt": "104.00"})
	b.sim.SetOddities(Oddities{HospitalBears: 5000})
	// the hospital bears half of 400 − 256 = 72; the person 72: account 30, relatives 10, cash 32.
	wantMembers(t, b.done("6202", b.in6202(o)).data, map[string]string{"fundPay": "256.00", "psnAcctPay": "40.00", "othFeeAmt": "72.00", "ownPayAmt": "32.00",
		"hospPartAmt": "72.00"})
	if why := b.sim.SettleMixed(o.id, o.auth, o.no, hospital, 25600, 4000, 7200, 3200); why != "" {
		t.Fatal(why)
	}
	if own, family, err := b.sim.Balance("P4", "310"); own != 0 || family != 0 || err != nil {
		t.Errorf("balances %s, %s, %v", own, family, err)
	}
	b.done("6203", b.in6203(o, "R1", "HI", "368.00", "0.00", "40.00", "256.00")) // othFeeAmt in the total alone
	if own, family, _ := b.sim.Balance("P4", "310"); own != 3000 || family != 1000 {
		t.Errorf("balances %s, %s after the refund", own, family)
	}
}

// TestBusinessToken: 1101 tells a token of the e-credential; with it 6201 may do without the authorisation, and 6203 too.
func TestBusinessToken(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	b.sim.SetOddities(Oddities{Centre: CentreOddities{BusinessToken: true, BareRevoke: true}})
	r := b.must("1101", data(node{"mdtrt_cert_type": "01", "mdtrt_cert_no": "AUTH-1"}))
	var base struct {
		ExpContent string `json:"expContent"`
	}
	var local struct {
		Token string `json:"business_token"`
	}
	if json.Unmarshal(r.nodes["baseinfo"], &base) != nil || json.Unmarshal([]byte(base.ExpContent), &local) != nil || local.Token == "" {
		t.Fatalf("1101 = %s", r.raw)
	}
	o := order{no: "M1", batch: "B-M1", auth: "AUTH-1", psnNo: "P1"}
	s := b.done("6201", with(with(b.in6201(o, bill520...), "payAuthNo", nil), "ecToken", local.Token))
	o.id, o.token, o.visit = s.str("payOrdId"), s.str("payToken"), s.str("mdtrtId")
	b.authorise("AUTH-2", "P1", time.Hour)
	b.denied("another authorisation", "6202", with(b.in6202(o), "payAuthNo", "AUTH-2"), "不一致")
	b.done("6202", b.in6202(o))
	if why := b.settleN1(o); why != "" {
		t.Fatal(why)
	}
	refund := with(with(b.in6203(o, "R1", "HI", "259.40", "0.00", "200.00", "59.40"), "payAuthNo", ""), "ecToken", local.Token)
	wantMembers(t, b.done("6203", refund).data, map[string]string{"refStatus": "SUCC"})

	both := order{no: "M2", batch: "B-M2", auth: "AUTH-2", psnNo: "P1"}
	b.denied("tokens of two authorisations", "6201", with(b.in6201(both, bill520...), "ecToken", local.Token), "与授权码不符")
	s = b.done("6201", with(b.in6201(both, bill520...), "ecToken", businessToken("AUTH-2")))
	both.id, both.token = s.str("payOrdId"), s.str("payToken")
	bare, err := b.ask("6401", b.in6301(both))
	if err != nil || !bare.Success || bare.data != nil || strings.Contains(string(bare.raw), "signData") {
		t.Errorf("6401 = %s, %v", bare.raw, err)
	}
	if got := b.stas(both); got != "12" {
		t.Errorf("ordStas = %s, want 12", got)
	}
}

func TestCentreControl(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	door := b.sim.Control()
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/centre/stas", `{"pay_ord_id":"","ord_stas":2,"times":1}`, 200, "ok"},
		{"POST", "/centre/stas", `{"code":2}`, 400, "unknown field"},
		{"POST", "/centre/notices", `{"mode":"twice"}`, 200, "ok"},
		{"POST", "/centre/notices", `{"mode":"often"}`, 400, "once, before, after, twice, never"},
		{"POST", "/centre/refunds", `{"ref_status":"EXP","done":true}`, 200, "ok"},
		{"POST", "/centre/refunds", `{"ref_status":"OK"}`, 400, "FAIL, EXP"},
		{"POST", "/centre/refuse", `{"text":"x"}`, 200, "ok"},
		{"POST", "/centre/refuse", `{}`, 400, "text"},
		{"PUT", "/centre/faults", `{"level":"mild","seed":3}`, 200, "ok"},
		{"PUT", "/centre/faults", `{"level":"wild"}`, 400, "no fault level"},
		{"POST", "/centre/faults/script", `{"op":"6301","fault":"lose_after","times":1}`, 200, "ok"},
		{"GET", "/centre/faults", "", 200, `"level":"mild"`},
		{"PUT", "/oddities", `{"centre":{"numbers":true}}`, 200, "ok"},
		{"GET", "/truth", "", 200, `"uploads":[]`},
	} {
		w := httptest.NewRecorder()
		door.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s = %d %s, want %d with %q", tc.method, tc.path, w.Code, w.Body, tc.status, tc.want)
		}
	}
	if level, seed := b.sim.plan.Level(); level != sandbox.None || seed != 0 {
		t.Errorf("the core platform's plan is at %s", level)
	}
}
