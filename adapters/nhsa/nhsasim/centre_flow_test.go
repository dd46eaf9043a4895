package nhsasim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// TestCentreVectors checks both envelopes of this package, the platform's and the test's own, with what was published.
func TestCentreVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/nhsa-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			ID       string                     `json:"id"`
			AppID    string                     `json:"app_id"`
			Secret   string                     `json:"app_secret"`
			SM4Key   string                     `json:"expected_sm4_key_ascii"`
			Envelope map[string]json.RawMessage `json:"envelope"`
			SignText string                     `json:"expected_sign_text"`
			Plain    string                     `json:"sm4_plaintext"`
			EncData  string                     `json:"expected_enc_data"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, v := range file.Vectors {
		if v.AppID == "" {
			continue
		}
		key, err := centreKey(v.AppID, sensitive.NewKey(v.Secret))
		h := hand{appID: v.AppID, secret: v.Secret, rawLeaves: strings.HasSuffix(v.ID, "raw-leaves")}
		if err != nil || string(key) != string(h.sm4()) || (v.SM4Key != "" && string(key) != v.SM4Key) {
			t.Errorf("%s: key %s, %v, want %s", v.ID, key, err, v.SM4Key)
		}
		checked++
		if v.Envelope == nil {
			continue
		}
		if got, ok := centreText(v.Envelope, v.Secret, h.rawLeaves); !ok || got != v.SignText {
			t.Errorf("%s: centreText\n%s\nwant\n%s", v.ID, got, v.SignText)
		}
		var envelope map[string]any
		packed, _ := json.Marshal(v.Envelope)
		if err := json.Unmarshal(packed, &envelope); err != nil || h.text(envelope) != v.SignText {
			t.Errorf("%s: the test's own text %s, %v", v.ID, h.text(envelope), err)
		}
		app := centreApp{sm4: key}
		plain, _, err := app.decrypt(map[string]json.RawMessage{"encData": json.RawMessage(`"` + v.EncData + `"`)})
		if err != nil || string(plain) != v.Plain || h.encrypt(v.Plain) != v.EncData {
			t.Errorf("%s: plain %s, %v", v.ID, plain, err)
		}
	}
	if checked != 3 {
		t.Errorf("%d vectors have credentials, want 3", checked)
	}
}

// A text that begins with a quotation mark, one that looks like JSON, and what Go escapes and Java does not.
func TestCentreTextEdges(t *testing.T) {
	t.Parallel()
	members := map[string]json.RawMessage{"b": json.RawMessage(`"\"x\""`), "a": json.RawMessage(` 1700000000000 `), "Z": json.RawMessage(`true`),
		"data": json.RawMessage(`{"u":"<a>&/","n":1.50,"t":true,"l":[{}, [""], null]}`)}
	if got, ok := centreText(members, "k", false); !ok || got != `Z=true&a=1700000000000&b="x"&data={"n":"1.50","t":"true","u":"<a>&/"}&key=k` {
		t.Errorf("string leaves: %s", got)
	}
	if got, ok := centreText(members, "k", true); !ok || got != `Z=true&a=1700000000000&b="x"&data={"n":1.50,"t":true,"u":"<a>&/"}&key=k` {
		t.Errorf("raw leaves: %s", got)
	}
	for _, bad := range []string{`{"a":}`, `[1,`, `"x`, `{"a":[{"b":]}`} {
		if _, ok := centreText(map[string]json.RawMessage{"data": json.RawMessage(bad)}, "k", false); ok {
			t.Errorf("centreText of %s is ok", bad)
		}
	}
}

// TestCentreFlow is one order from the upload to its refund.
func TestCentreFlow(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	if len(o.id) != 30 || o.token == "" || o.visit == "" {
		t.Fatalf("6201 = %+v", o)
	}
	saved := b.done("6301", b.in6301(o))
	wantMembers(t, saved.data, map[string]string{"payOrdId": o.id, "ordStas": "0", "medOrgOrd": "M1", "feeSumamt": "-", "ownPayAmt": "-", "callType": "-", "revsToken": "-"})

	pre := b.done("6202", b.in6202(o))
	figures := map[string]string{"payOrdId": o.id, "medOrgOrd": "M1", "feeSumamt": "520.00", "fundPay": "59.40", "psnAcctPay": "200.00", "ownPayAmt": "260.60",
		"othFeeAmt": "0.00", "hospPartAmt": "0.00", "acctMulaidPay": "0.00", "selfAcctPay": "200.00"}
	wantMembers(t, pre.data, figures)
	wantMembers(t, pre.data, map[string]string{"ordStas": "1", "mdtrtId": o.visit, "deposit": "0.00"})
	wantMembers(t, inner(pre.data, "extData", "preSetl"), map[string]string{"medfee_sumamt": "520.00", "fund_pay_sumamt": "59.40", "hifp_pay": "59.40",
		"act_pay_dedc": "300.00", "acct_pay": "200.00", "psn_cash_pay": "260.60", "balc": "0.00", "fulamt_ownpay_amt": "100.00", "preselfpay_amt": "12.00",
		"inscp_scp_amt": "408.00", "psn_no": "P1", "mdtrt_id": o.visit, "pool_prop_selfpay": "0.5500", "setl_id": "-"})
	wantMembers(t, b.done("6301", b.in6301(o)).data, figures)
	if own, _, _ := b.sim.Balance("P1", "310"); own != 20000 || b.sim.Truth().Net != (Net{}) {
		t.Error("a presettlement moved money")
	}

	if why := b.settleN1(o); why != "" {
		t.Fatalf("SettleMixed: %s", why)
	}
	paid := b.done("6301", b.in6301(o))
	wantMembers(t, paid.data, figures)
	wantMembers(t, paid.data, map[string]string{"ordStas": "6", "callType": "02", "setlType": "ALL", "traceTime": "2025-03-03 09:00:00", "orgCode": hospital})
	info := inner(paid.data, "extData", "setlinfo")
	wantMembers(t, info, map[string]string{"mdtrtId": o.visit, "clrOptins": "360199", "clrWay": "1", "clrType": "11", "fundPaySumamt": "59.40", "psnCashPay": "260.60"})
	wantMembers(t, inner(paid.data, "extData", "setldetail"), map[string]string{"fundpaytype": "310100", "fundpayamt": "59.40"})
	if paid.str("revsToken") == "" {
		t.Error("6301 tells no revsToken")
	}
	truth := b.sim.Truth()
	want := TrueSettlement{SetlID: fmt.Sprint(info["setlId"]), MsgID: o.id, MdtrtID: o.visit, VisitNo: "V-M1", Batch: "B-M1", Total: 52000, Fund: 5940, Account: 20000,
		Cash: 26060, State: inForce, At: b.clock.Now(), PayOrdID: o.id, OrderNo: "M1"}
	if diff := cmp.Diff([]TrueSettlement{want}, truth.Settlements); diff != "" {
		t.Errorf("truth (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]TrueUpload{{o.id, "M1", hospital, 6}}, truth.Uploads); diff != "" {
		t.Errorf("uploads (-want +got):\n%s", diff)
	}

	back := b.done("6203", b.in6203(o, "R1", "HI", "259.40", "0.00", "200.00", "59.40"))
	wantMembers(t, back.data, map[string]string{"refStatus": "SUCC", "payOrdId": o.id, "appRefdSn": "R1"})
	gone := b.done("6301", b.in6301(o))
	wantMembers(t, gone.data, figures)
	wantMembers(t, gone.data, map[string]string{"ordStas": "8"})
	if own, _, _ := b.sim.Balance("P1", "310"); own != 20000 || b.sim.Truth().Net != (Net{}) || b.sim.Truth().Settlements[0].State != cancelled {
		t.Errorf("after the refund: balance %s, %+v", own, b.sim.Truth())
	}
	b.authorise("AUTH-2", "P1", time.Minute)
	again := b.putUpFor(order{no: "M2", batch: "B-M2", auth: "AUTH-2", psnNo: "P1"})
	wantMembers(t, b.done("6202", b.in6202(again)).data, map[string]string{"fundPay": "59.40", "psnAcctPay": "200.00"}) // the deductible is back too
}

// TestRevoke: 6401 ends what is not settled, and nothing else.
func TestRevoke(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	b.done("6401", b.in6301(o))
	if got := b.stas(o); got != "12" {
		t.Errorf("ordStas = %s, want 12", got)
	}
	b.denied("revoked twice", "6401", b.in6301(o), "不允许撤销")
	b.denied("6202 of a revoked one", "6202", b.in6202(o), "不允许支付下单")
	b.denied("6203 of a revoked one", "6203", b.in6203(o, "R1", "HI", "259.40", "0.00", "200.00", "59.40"), "不允许退费")

	o = b.putUp("M2") // the authorisation was not used by 6201
	b.done("6202", b.in6202(o))
	b.done("6401", b.in6301(o))
	if why := b.settleN1(o); why != reasonRevoked {
		t.Errorf("SettleMixed of a revoked one: %q", why)
	}
	b.denied("a used authorisation stays used", "6201", b.in6201(order{no: "M3", batch: "B-M3", auth: "AUTH-1", psnNo: "P1"}, bill520...), "授权码已使用,请重新授权")

	b.authorise("AUTH-2", "P1", time.Minute)
	o = b.putUpFor(order{no: "M4", batch: "B-M4", auth: "AUTH-2", psnNo: "P1"})
	b.done("6202", b.in6202(o))
	if why := b.settleN1(o); why != "" {
		t.Fatal(why)
	}
	b.denied("settled", "6401", b.in6301(o), "不允许撤销")
}

// TestSharedCounters: one person, two doors. What the core platform settles changes what the centre foresees, and a presettlement that it
// made stale is not settled.
func TestSharedCounters(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	wantMembers(t, b.done("6202", b.in6202(o)).data, map[string]string{"fundPay": "59.40", "psnAcctPay": "200.00"})
	visit := b.upload("P1", "V1", line{drugA, "500"})
	b.settle("P1", visit, "500") // takes the deductible and the account
	if why := b.settleN1(o); why != reasonMoved {
		t.Errorf("SettleMixed of a stale presettlement: %q", why)
	}
	if got := b.stas(o); got != "15" {
		t.Errorf("ordStas = %s, want 15", got)
	}
	if why := b.settleN1(o); why != reasonMoved {
		t.Errorf("the same again: %q", why)
	}
	if n := b.sim.Truth().Net.Count; n != 1 {
		t.Errorf("%d settlements, want the core's alone", n)
	}
	b.authorise("AUTH-2", "P1", time.Minute)
	o = b.putUpFor(order{no: "M2", batch: "B-M2", auth: "AUTH-2", psnNo: "P1"})
	// 408 in scope, the deductible gone: 55 % of 408 = 224.40; no account left.
	wantMembers(t, b.done("6202", b.in6202(o)).data, map[string]string{"fundPay": "224.40", "psnAcctPay": "0.00", "ownPayAmt": "295.60"})
	if why := b.sim.SettleMixed(o.id, o.auth, "M2", hospital, 22440, 0, 0, 29560); why != "" {
		t.Fatal(why)
	}
	setlID := b.sim.Truth().Settlements[1].SetlID
	next := b.upload("P1", "V2", line{drugA, "100"})
	wantAmounts(t, b.must("2206", data(b.in2206("P1", next, "B1", "100", "11"))).info(t), map[string]string{"hifp_pay": "55.00", "acct_pay": "0.00"})
	wantAmounts(t, b.must("5203", data(node{"psn_no": "P1", "setl_id": setlID})).info(t), map[string]string{"medfee_sumamt": "520.00", "refd_setl_flag": "0"})
}

// TestAccountsChangePlaces: another visit took of the person's own account what the relatives' would now pay: the figures that WeChat repeats
// are the same, and yet it is not what was foreseen.
func TestAccountsChangePlaces(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	b.sim.persons["P1"].Family = 100000
	o := b.putUp("M1")
	wantMembers(t, b.done("6202", b.in6202(o)).data, map[string]string{"psnAcctPay": "460.60", "acctMulaidPay": "260.60", "ownPayAmt": "0.00"})
	b.settle("P1", b.upload("P1", "V1", line{drugC, "50"}), "50") // own account 150.00, relatives' then 310.60
	if why := b.sim.SettleMixed(o.id, o.auth, o.no, hospital, 5940, 46060, 0, 0); why != reasonMoved {
		t.Errorf("SettleMixed() = %q, want %q", why, reasonMoved)
	}
	if n := b.sim.Truth().Net.Count; n != 1 {
		t.Errorf("%d settlements, want the core's alone", n)
	}
}

// TestCoreKeepsOff: what the centre settled cannot be undone or touched through the core platform.
func TestCoreKeepsOff(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.paid("M1")
	setlID := b.sim.Truth().Settlements[0].SetlID
	b.refused("2208", in2208("P1", o.visit, setlID), "移动支付退费")
	b.refused("2601", in2601("P1", "2207", o.id), "移动支付退费")
	b.refused("2202", data(node{"psn_no": "P1", "mdtrt_id": o.visit, "ipt_otp_no": "V-M1"}), "存在已结算费用")
	b.refused("2206", data(b.in2206("P1", o.visit, o.batch, "520.00", "11")), "已结算")
	b.refused("2205", data(node{"psn_no": "P1", "mdtrt_id": o.visit, "chrg_bchno": o.batch}), "已结算")
	b.must("2205", data(node{"psn_no": "P1", "mdtrt_id": o.visit, "chrg_bchno": "0000"})) // nothing of it is the core's
	b.refused("2204", node{"feedetail": []any{inRow("P1", o.visit, o.batch, "9", drugA, "1")}}, "已结算")
	b.done("6203", b.in6203(o, "R1", "HI", "259.40", "0.00", "200.00", "59.40"))
	b.refused("2204", node{"feedetail": []any{inRow("P1", o.visit, o.batch, "9", drugA, "1")}}, "已用于移动支付")
}

// TestVisitOfTheHIS: an upload may name a visit that the hospital registered by its own link.
func TestVisitOfTheHIS(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	id, err := b.sim.AddVisit(hospital, "P1", "310", "360100", "HIS-1")
	if err != nil {
		t.Fatal(err)
	}
	o := order{no: "M1", batch: "B-M1", auth: "AUTH-1", psnNo: "P1"}
	in := with(with(b.in6201(o, bill520...), "mdtrtId", id), "iptOtpNo", "HIS-1")
	b.denied("no such visit", "6201", with(in, "mdtrtId", "1"), "未查询到就诊信息")
	b.denied("another's number", "6201", with(in, "iptOtpNo", "HIS-2"), "未查询到就诊信息")
	s := b.done("6201", in)
	o.id, o.token, o.visit = s.str("payOrdId"), s.str("payToken"), s.str("mdtrtId")
	if o.visit != id {
		t.Errorf("mdtrtId = %s, want %s", o.visit, id)
	}
	b.done("6202", b.in6202(o))
	b.must("2202", data(node{"psn_no": "P1", "mdtrt_id": id, "ipt_otp_no": "HIS-1"})) // the HIS voids the visit meanwhile
	if why := b.settleN1(o); !strings.Contains(why, "已撤销挂号") {
		t.Errorf("SettleMixed of a void visit: %q", why)
	}
	b.authorise("AUTH-2", "P1", time.Minute)
	void := with(with(b.in6201(order{no: "M2", batch: "B-M2", auth: "AUTH-2", psnNo: "P1"}, bill520...), "mdtrtId", id), "iptOtpNo", "HIS-1")
	b.denied("void visit", "6201", void, "已撤销挂号")
}

// TestAuthorisation: whose it is, how long it lives, and that it serves one order.
func TestAuthorisation(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := func(no, auth string) order { return order{no: no, batch: "B-" + no, auth: auth, psnNo: "P1"} }
	b.authorise("AUTH-P2", "P2", time.Minute)
	b.denied("another's", "6201", b.in6201(o("M1", "AUTH-P2"), bill520...), "与参保人不一致")
	b.denied("nobody's", "6201", b.in6201(o("M1", "AUTH-X"), bill520...), "无效")
	lost := b.putUpFor(o("M1", "AUTH-1"))  // its answer is lost, say
	first := b.putUpFor(o("M2", "AUTH-1")) // so once more under new numbers
	b.denied("another authorisation than 6201's", "6202", with(b.in6202(first), "payAuthNo", "AUTH-P2"), "与费用明细上传不一致")
	b.done("6202", b.in6202(first))
	b.denied("spent by another order", "6202", b.in6202(lost), "授权码已使用,请重新授权")
	b.clock.Advance(11 * time.Minute)
	b.done("6202", b.in6202(first)) // it lives on in its order
	if why := b.settleN1(first); why != "" {
		t.Errorf("SettleMixed after the authorisation's time: %s", why)
	}
	b.authorise("AUTH-2", "P1", time.Minute)
	late := b.putUpFor(o("M3", "AUTH-2"))
	b.clock.Advance(time.Minute)
	b.denied("expired between 6201 and 6202", "6202", b.in6202(late), "授权码已失效,请重新授权")
	b.denied("expired", "6201", b.in6201(o("M4", "AUTH-2"), bill520...), "授权码已失效,请重新授权")

	// One authorisation, two doors: neither takes what the other has used.
	credential := func(in node, token string) node {
		return with(with(in, "mdtrt_cert_type", "01"), "mdtrt_cert_no", token)
	}
	b.refused("2201", data(credential(b.in2201("P1", "V1"), "AUTH-1")), "失效")
	b.authorise("AUTH-3", "P1", time.Hour)
	centre := b.putUpFor(o("M5", "AUTH-3"))
	b.done("6202", b.in6202(centre))
	b.refused("2201", data(credential(b.in2201("P1", "V2"), "AUTH-3")), "已使用")
	b.authorise("AUTH-4", "P1", time.Hour)
	visit := b.upload("P1", "V3", line{drugA, "10"})
	in := credential(b.in2206("P1", visit, "B1", "10", "11"), "AUTH-4")
	b.must("2207", data(in2207(in, b.must("2206", data(in)).info(t))))
	b.denied("used on the core platform", "6201", b.in6201(o("M6", "AUTH-4"), bill520...), "授权码已使用,请重新授权")
}

// TestTwoHospitals: each has its application, its keys and its numbers; none sees the other's.
func TestTwoHospitals(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	b.code = clinic
	theirs := b.hand
	b.hand = hand{appID: clinicApp, secret: clinicSecret, own: clinicPair(), centre: clinicPair().Public()}
	b.denied("the other hospital's upload", "6301", b.in6301(o), "不存在")
	b.denied("for the other hospital", "6201", with(b.in6201(order{no: "M1", batch: "B-M1", auth: "AUTH-1", psnNo: "P1"}, bill520...), "orgCodg", hospital), "与应用不符")
	mine := b.putUp("M1") // the number is free here
	b.done("6202", b.in6202(mine))
	b.hand = theirs
	b.denied("the other hospital's key", "6301", b.in6301(mine), "不存在")
}

func TestNoCentre(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	for path := range centrePaths {
		r, err := http.NewRequest(http.MethodPost, "http://centre.test"+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := sandbox.Transport(b.sim.CentreHandler()).RoundTrip(r)
		if err != nil || res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v, %v", path, res, err)
		}
	}
	if b.sim.StepCentre(t.Context()) {
		t.Error("no centre, and yet a notice")
	}
	good := CentreApp{AppID: hospitalApp, Secret: sensitive.NewKey("s"), HospitalKey: hospitalPair().Public(), OrgCodg: hospital}
	for name, c := range map[string]Centre{
		"no key":          {Apps: []CentreApp{good}},
		"short id":        {Key: centrePair(), Apps: []CentreApp{{AppID: "1", Secret: good.Secret, HospitalKey: good.HospitalKey, OrgCodg: hospital}}},
		"no secret":       {Key: centrePair(), Apps: []CentreApp{{AppID: hospitalApp, HospitalKey: good.HospitalKey, OrgCodg: hospital}}},
		"no hospital key": {Key: centrePair(), Apps: []CentreApp{{AppID: hospitalApp, Secret: good.Secret, OrgCodg: hospital}}},
		"strange code":    {Key: centrePair(), Apps: []CentreApp{{AppID: hospitalApp, Secret: good.Secret, HospitalKey: good.HospitalKey, OrgCodg: "H9"}}},
		"twice":           {Key: centrePair(), Apps: []CentreApp{good, good}},
		"one hospital twice": {Key: centrePair(), Apps: []CentreApp{good, {AppID: clinicApp, Secret: good.Secret, HospitalKey: good.HospitalKey,
			OrgCodg: hospital}}},
	} {
		cfg := Config{Clock: b.clock, Source: b.sim.source, PaasID: "p", Secret: sensitive.NewKey("s"), Centre: c,
			Institutions: map[string]Institution{hospital: {"x", Level3, "360100"}}}
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New gave no error", name)
		}
	}
	if gm.SM3([]byte("a")) == gm.SM3([]byte("b")) || businessToken("a") == businessToken("b") {
		t.Error("two authorisations have one token")
	}
}
