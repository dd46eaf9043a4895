package nhsasim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// TestVectorsOnTheWire runs N1, N2 and R1 through the whole chain, with the counters carried by the platform.
func TestVectorsOnTheWire(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(20000))
	visit := b.upload("P1", "V1", line{drugA, "300.00"}, line{drugB, "120"}, line{drugC, "100.0"})
	info, _ := b.settle("P1", visit, "520.00")
	wantAmounts(t, info, map[string]string{"medfee_sumamt": "520.00", "fulamt_ownpay_amt": "100.00", "preselfpay_amt": "12.00", "inscp_scp_amt": "408.00",
		"act_pay_dedc": "300.00", "hifp_pay": "59.40", "fund_pay_sumamt": "59.40", "psn_part_amt": "460.60", "acct_pay": "200.00", "psn_cash_pay": "260.60",
		"balc": "0.00", "clr_optins": "360199", "clr_type": "11", "gend": "1", "age": "34", "setl_time": "2025-03-03 09:00:00"})

	b.clock.Advance(24 * time.Hour)
	b.code = clinic
	second := b.upload("P1", "V2", line{drugA, "800"})
	next, _ := b.settle("P1", second, "800")
	wantAmounts(t, next, map[string]string{"act_pay_dedc": "0.00", "fund_pay_sumamt": "520.00", "acct_pay": "0.00", "psn_cash_pay": "280.00"})

	b.code = hospital
	b.refused("2208", in2208("P1", visit, info["setl_id"]), "请先撤销最近一次结算")
	b.code = clinic
	b.must("2208", in2208("P1", second, next["setl_id"]))
	b.code = hospital
	back := b.must("2208", in2208("P1", visit, info["setl_id"]))
	mirror := back.info(t)
	wantAmounts(t, mirror, map[string]string{"medfee_sumamt": "-520.00", "fulamt_ownpay_amt": "-100.00", "preselfpay_amt": "-12.00", "inscp_scp_amt": "-408.00",
		"act_pay_dedc": "-300.00", "fund_pay_sumamt": "-59.40", "psn_part_amt": "-460.60", "acct_pay": "-200.00", "psn_cash_pay": "-260.60", "balc": "200.00"})
	if mirror["setl_id"] == info["setl_id"] {
		t.Error("the reversing record has the settlement's own number")
	}
	b.refused("2208", in2208("P1", visit, info["setl_id"]), "该结算已撤销,不能重复撤销")
	if truth := b.sim.Truth(); truth.Net != (Net{}) {
		t.Errorf("net after both cancellations = %+v, want nothing", truth.Net)
	}
}

// TestCapturedCase is the message of §8.6: 4.52, 5 %, all from the account.
func TestCapturedCase(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(50000))
	visit := b.upload("P1", "V1", line{drugB5, "4.52"})
	in := b.in2206("P1", visit, "B1", "4.52", "11")
	r := b.must("2206", data(in))
	wantAmounts(t, r.info(t), map[string]string{"preselfpay_amt": "0.23", "inscp_scp_amt": "4.29", "act_pay_dedc": "4.29", "fund_pay_sumamt": "0.00",
		"acct_pay": "4.52", "psn_cash_pay": "0.00", "setl_id": "<nil>", "setl_time": "<nil>", "clr_way": "<nil>", "clr_optins": "<nil>", "balc": "495.48"})
	var rows []struct {
		Kind   string      `json:"fund_pay_type"`
		Amount json.Number `json:"fund_payamt"`
	}
	if err := json.Unmarshal(r.nodes["setldetail"], &rows); err != nil || len(rows) != 1 || rows[0].Kind != "310200" || rows[0].Amount != "4.52" {
		t.Errorf("setldetail = %s, want the account alone", r.nodes["setldetail"])
	}
}

func TestReversal(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(20000))
	b.person("P2", "36010019880410456", nanchang(0))
	visit := b.upload("P1", "V1", line{drugA, "500"})
	info, msgID := b.settle("P1", visit, "500")

	b.refused("2601", in2601("P1", "2207", strings.Repeat("0", 30)), "未找到原交易")
	b.refused("2601", in2601("P1", "2206", msgID), "不支持冲正")
	b.refused("2601", in2601("P1", "2208", msgID), "未找到原交易")
	b.refused("2601", in2601("P2", "2207", msgID), "不一致")
	b.refused("2202", data(node{"psn_no": "P1", "mdtrt_id": visit, "ipt_otp_no": "V1"}), "存在已结算费用")

	cancelMsg := b.msgID()
	if r, err := b.send("2208", cancelMsg, in2208("P1", visit, info["setl_id"])); err != nil || !r.ok() {
		t.Fatalf("2208: %v %s", err, r.raw)
	}
	b.refused("2601", in2601("P1", "2207", msgID), "原交易已撤销")
	b.must("2601", in2601("P1", "2208", cancelMsg))
	b.must("2601", in2601("P1", "2208", cancelMsg)) // repeated
	own, _, err := b.sim.Balance("P1", "310")
	if err != nil || own != 0 {
		t.Errorf("balance after the restored settlement = %s, %v, want 0.00", own, err)
	}
	if got := b.sim.Truth(); got.Net.Count != 1 || got.Settlements[0].State != inForce {
		t.Errorf("truth = %+v, want the settlement back in force", got)
	}

	b.must("2601", in2601("P1", "2207", msgID))
	b.must("2601", in2601("P1", "2207", msgID)) // repeated
	b.refused("2208", in2208("P1", visit, info["setl_id"]), "已冲正")
	b.refused("5203", data(node{"psn_no": "P1", "setl_id": info["setl_id"], "mdtrt_id": visit}), "未查询到")
	if own, _, _ := b.sim.Balance("P1", "310"); own != 20000 {
		t.Errorf("balance after the reversal = %s, want 200.00", own)
	}
	again, _ := b.settle("P1", visit, "500") // the deductible is back too
	wantAmounts(t, again, map[string]string{"act_pay_dedc": "300.00", "acct_pay": "200.00"})
}

// A cancelled settlement comes back only as it was.
func TestRestoreRefused(t *testing.T) {
	t.Parallel()
	cancelled := func(t *testing.T) (b *bench, visit, cancelMsg string) {
		b = newBench(t, Oddities{})
		b.person("P1", "36010019900307123", nanchang(20000))
		visit = b.upload("P1", "V1", line{drugA, "500"})
		info, _ := b.settle("P1", visit, "500")
		cancelMsg = b.msgID()
		if r, err := b.send("2208", cancelMsg, in2208("P1", visit, info["setl_id"])); err != nil || !r.ok() {
			t.Fatalf("2208: %v %s", err, r.raw)
		}
		return b, visit, cancelMsg
	}
	t.Run("settled anew", func(t *testing.T) {
		t.Parallel()
		b, visit, msg := cancelled(t)
		b.settle("P1", visit, "500")
		b.refused("2601", in2601("P1", "2208", msg), "已重新结算")
	})
	t.Run("rows withdrawn", func(t *testing.T) {
		t.Parallel()
		b, visit, msg := cancelled(t)
		b.must("2205", data(node{"psn_no": "P1", "mdtrt_id": visit, "chrg_bchno": "0000"}))
		b.refused("2601", in2601("P1", "2208", msg), "原费用明细已撤销")
	})
	t.Run("account spent", func(t *testing.T) {
		t.Parallel()
		b, _, msg := cancelled(t)
		other := b.upload("P1", "V2", line{drugA, "100"})
		b.settle("P1", other, "100")
		b.refused("2601", in2601("P1", "2208", msg), "个人账户余额不足")
	})
}

func TestCleared(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(0))
	visit := b.upload("P1", "V1", line{drugA, "500"})
	info, msgID := b.settle("P1", visit, "500")
	if err := b.sim.Clear(b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	b.refused("2208", in2208("P1", visit, info["setl_id"]), "已清算")
	b.refused("2601", in2601("P1", "2207", msgID), "已清算")
	b.sim.SetOddities(Oddities{CancelAfterClearing: true})
	b.must("2208", in2208("P1", visit, info["setl_id"]))
}

// An original that never came: refused, or taken as done and barred, as the switch says.
func TestMissingOriginal(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{MissingOriginalIsDone: true})
	b.person("P1", "36010019900307123", nanchang(0))
	visit := b.upload("P1", "V1", line{drugA, "500"})
	in := b.in2206("P1", visit, "B1", "500", "11")
	pre := b.must("2206", data(in)).info(t)
	late := b.msgID()
	b.must("2601", in2601("P1", "2207", late))
	b.must("2601", in2601("P1", "2207", late))
	if r, err := b.send("2207", late, data(in2207(in, pre))); err != nil || r.ok() || !strings.Contains(r.ErrMsg, "已冲正") {
		t.Errorf("the late original answered %s, want a refusal", r.raw)
	}
	b.settle("P1", visit, "500")
}

func TestQuery(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(0))
	visit := b.upload("P1", "V1", line{drugA, "500"})
	info, _ := b.settle("P1", visit, "500")
	ask := data(node{"psn_no": "P1", "setl_id": info["setl_id"], "mdtrt_id": visit})
	wantAmounts(t, b.must("5203", ask).info(t), map[string]string{"refd_setl_flag": "0", "medfee_sumamt": "500.00", "psn_pay": "390.00", "year": "2025"})
	back := b.must("2208", in2208("P1", visit, info["setl_id"])).info(t)
	wantAmounts(t, b.must("5203", ask).info(t), map[string]string{"refd_setl_flag": "1", "medfee_sumamt": "500.00"})
	mirror := b.must("5203", data(node{"psn_no": "P1", "setl_id": back["setl_id"]})).info(t)
	wantAmounts(t, mirror, map[string]string{"refd_setl_flag": "1", "medfee_sumamt": "-500.00"})
}

// TestKilled replays the journal of a platform that was never closed, with half a line at its end.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nhsa.journal")
	b := openBench(t, Oddities{}, path)
	b.person("P1", "36010019900307123", nanchang(20000), Used{Year: 2025, InsuType: "310", MedType: "11", Deductible: 10000})
	if err := b.sim.AddItem("XA-NEW", Item{Class: "01"}); err != nil {
		t.Fatal(err)
	}
	visit := b.upload("P1", "V1", line{"XA-NEW", "500"})
	first, firstMsg := b.settle("P1", visit, "500")
	gone := b.upload("P1", "V2", line{drugA, "50"})
	b.must("2205", data(node{"psn_no": "P1", "mdtrt_id": gone, "chrg_bchno": "0000"}))
	b.must("2202", data(node{"psn_no": "P1", "mdtrt_id": gone, "ipt_otp_no": "V2"}))
	second := b.upload("P1", "V3", line{drugA, "60"})
	other, _ := b.settle("P1", second, "60")
	b.must("2208", in2208("P1", second, other["setl_id"]))
	third := b.upload("P1", "V4", line{drugA, "70"})
	_, thirdMsg := b.settle("P1", third, "70")
	b.must("2601", in2601("P1", "2207", thirdMsg))
	if err := b.sim.Clear(b.clock.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	before, old := b.sim.Truth(), b.sim
	// A record cut by the kill.
	if _, err := journalTail(path, `{"kind":"settle","settl`); err != nil {
		t.Fatal(err)
	}
	b.sim = b.open(Oddities{}, path)
	if diff := cmp.Diff(before, b.sim.Truth()); diff != "" {
		t.Errorf("truth after the restart (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(old.years, b.sim.years); diff != "" {
		t.Errorf("counters after the restart (-before +after):\n%s", diff)
	}
	if r, err := b.send("2207", firstMsg, data(node{})); err != nil || !strings.Contains(r.ErrMsg, "重复") {
		t.Errorf("an old msgid answered %s, want a refusal", r.raw)
	}
	b.refused("2206", data(b.in2206("P1", visit, "B1", "500", "11")), "已结算")
	b.must("2208", in2208("P1", visit, first["setl_id"]))
}

// Every fault on 2207 leaves either all of a settlement or nothing of it, and 2601 ends it.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault   sandbox.Fault
		settled bool
	}{{sandbox.LoseBefore, false}, {sandbox.LoseAfter, true}, {sandbox.ErrorBefore, false}, {sandbox.ErrorAfter, true}, {sandbox.Garbage, true},
		{sandbox.Repeat, true}, {sandbox.Slow, true}, {sandbox.LateAnswer, true}, {sandbox.LateEffect, true}, {sandbox.Refuse, false}} {
		t.Run(string(tc.fault), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Oddities{})
			b.person("P1", "36010019900307123", nanchang(20000))
			visit := b.upload("P1", "V1", line{drugA, "500"})
			in := b.in2206("P1", visit, "B1", "500", "11")
			pre := b.must("2206", data(in)).info(t)
			b.plan.Script(sandbox.Script{Op: "2207", Key: "V1", Fault: tc.fault})
			msgID := b.msgID()
			_, _ = b.send("2207", msgID, data(in2207(in, pre)))
			if got := b.plan.Injected(); len(got) != 1 || got[0].Fault != tc.fault {
				t.Fatalf("injected = %+v, want %s on V1", got, tc.fault)
			}
			truth := b.sim.Truth()
			if (truth.Net.Count == 1) != tc.settled {
				t.Fatalf("truth = %+v, want settled %v", truth, tc.settled)
			}
			if tc.settled {
				b.must("2601", in2601("P1", "2207", msgID))
			} else {
				b.refused("2601", in2601("P1", "2207", msgID), "未找到原交易")
			}
			if own, _, _ := b.sim.Balance("P1", "310"); own != 20000 || b.sim.Truth().Net != (Net{}) {
				t.Errorf("balance %s, net %+v after the reversal, want all back", own, b.sim.Truth().Net)
			}
		})
	}
}

func TestOrderedFaults(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(0))
	b.plan.Script(sandbox.Script{Op: "1101", Key: "P1", Fault: sandbox.Refuse}, sandbox.Script{Op: "2201", Key: "V1", Fault: sandbox.Refuse})
	b.refused("1101", data(node{"mdtrt_cert_type": "02", "mdtrt_cert_no": b.ids["P1"]}), "未查询到参保信息")
	b.refused("2201", data(b.in2201("P1", "V1")), "参保状态异常")
	visit := b.upload("P1", "V1", line{drugA, "500"})
	in := b.in2206("P1", visit, "B1", "500", "11")
	b.plan.Script(sandbox.Script{Op: "2206", Fault: sandbox.ChangeAmount}, sandbox.Script{Op: "2206", Fault: sandbox.Refuse})
	changed := b.must("2206", data(in)).info(t)
	b.refused("2206", data(in), "待遇已变更")
	true2206 := b.must("2206", data(in)).info(t)
	if changed["psn_cash_pay"] == true2206["psn_cash_pay"] || changed["medfee_sumamt"] != true2206["medfee_sumamt"] {
		t.Errorf("changed answer %v, true answer %v", changed["psn_cash_pay"], true2206["psn_cash_pay"])
	}
	b.sim.RefuseNext("2208", "V1", "窗口正在处理")
	info, _ := b.settle("P1", visit, "500")
	b.refused("2208", in2208("P1", visit, info["setl_id"]), "窗口正在处理")
	b.sim.FailAfterNext("2208", "", "系统异常")
	b.refused("2208", in2208("P1", visit, info["setl_id"]), "系统异常")
	if b.sim.Truth().Net.Count != 0 {
		t.Error("the 2208 that failed after its effect had none")
	}
	b.sim.SetOddities(Oddities{SystemErrorText: "数据库连接超时"})
	b.refused("2206", data(in), "数据库连接超时")
}

func TestOddities(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{InfcodeString: true, SuccessMessage: "交易成功", OutputString: true, OutputAbsent: true})
	b.person("P1", "36010019900307123", nanchang(20000))
	r := b.call("1101", data(node{"mdtrt_cert_type": "02", "mdtrt_cert_no": b.ids["P1"]}))
	if string(r.Infcode) != `"0"` || r.ErrMsg != "交易成功" || !bytes.HasPrefix(r.Output, []byte(`"{`)) {
		t.Errorf("answer = %s", r.raw)
	}
	b.sim.SetOddities(Oddities{OutputAbsent: true})
	visit := b.upload("P1", "V1", line{drugA, "500"})
	if r := b.call("2205", data(node{"psn_no": "P1", "mdtrt_id": visit, "chrg_bchno": "B9"})); bytes.Contains(r.raw, []byte(`"output":{}`)) {
		t.Errorf("a refusal with output {}: %s", r.raw)
	}
	if r := b.must("2205", data(node{"psn_no": "P1", "mdtrt_id": visit, "chrg_bchno": "B1"})); len(r.Output) != 0 {
		t.Errorf("answer = %s, want no output member", r.raw)
	}
	b.must("2204", node{"feedetail": []any{inRow("P1", visit, "B1", "1", drugA, "500")}})

	b.sim.SetOddities(Oddities{FundContainsAccount: true, HospitalBears: 5000, HospitalInsideFund: true})
	info, _ := b.settle("P1", visit, "500")
	// pooled (500−300)×55 % = 110; the hospital bears half of the remaining 390 in scope = 195; account 195.
	wantAmounts(t, info, map[string]string{"hifp_pay": "110.00", "hosp_part_amt": "195.00", "acct_pay": "195.00", "fund_pay_sumamt": "500.00", "psn_part_amt": "195.00"})
	b.sim.SetOddities(Oddities{NullsIn2208: true, PdnCashPay: true})
	back := b.must("2208", in2208("P1", visit, info["setl_id"])).info(t)
	wantAmounts(t, back, map[string]string{"psn_part_amt": "<nil>", "hosp_part_amt": "<nil>", "acct_mulaid_pay": "<nil>", "pdn_cash_pay": "0.00"})
	if _, there := back["psn_cash_pay"]; there {
		t.Error("2208 spells the cash field twice")
	}
	b.sim.SetOddities(Oddities{ExpContentSnake: true, IdentityBesideOutput: true})
	r = b.must("1101", data(node{"mdtrt_cert_type": "02", "mdtrt_cert_no": b.ids["P1"]}))
	if !bytes.Contains(r.raw, []byte(`"idetinfo":[]`)) || bytes.Contains(r.Output, []byte("idetinfo")) || !bytes.Contains(r.Output, []byte(`"exp_content"`)) {
		t.Errorf("1101 = %s", r.raw)
	}
}

func TestFamilyInsideAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{FamilyInsideAccount: true})
	err := b.sim.AddPerson(Person{PsnNo: "P1", Name: sensitive.NewName("试验一"), IDNumber: idNumber(t, "36010019900307123"),
		Insurances: []Insurance{{InsuType: "310", PsnType: "1101", Status: "1", Area: "360100", Balance: 3000}}, Family: 2000})
	if err != nil {
		t.Fatal(err)
	}
	b.ids["P1"] = b.sim.persons["P1"].IDNumber
	visit := b.upload("P1", "V1", line{drugC, "100"})
	info, _ := b.settle("P1", visit, "100")
	wantAmounts(t, info, map[string]string{"acct_pay": "50.00", "acct_mulaid_pay": "20.00", "psn_cash_pay": "50.00", "psn_part_amt": "100.00"})
	if own, family, err := b.sim.Balance("P1", "310"); own != 0 || family != 0 || err != nil {
		t.Errorf("balances = %s, %s, %v, want nothing left", own, family, err)
	}
	if _, _, err := b.sim.Balance("P9", "310"); err == nil {
		t.Error("Balance of a stranger gave no error")
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	door := b.sim.Control()
	do := func(method, path, body string) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	id := idNumber(t, "36010019900307123").Reveal()
	person := fmt.Sprintf(`{"psn_no":"P1","name":"试验一","id_number":%q,"insurances":[{"insutype":"310","psn_type":"1101","psn_insu_stas":"1","insuplc_admdvs":"360100"}]}`, id)
	visit := fmt.Sprintf(`{"fixmedins_code":%q,"psn_no":"P1","insutype":"310","insuplc_admdvs":"360100","ipt_otp_no":"HIS-1"}`, hospital)
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/persons", person, 200, `"ok":true`},
		{"POST", "/persons", person, 400, "is known"},
		{"POST", "/persons", `{"psn_no":"P2","id_number":"1"}`, 400, "identity number"},
		{"POST", "/persons", `{"psn_number":"P2"}`, 400, "unknown field"},
		{"POST", "/visits", visit, 200, `"mdtrt_id"`},
		{"POST", "/visits", `{"psn_no":"P9"}`, 400, "unknown institution"},
		{"POST", "/items", `{"med_list_codg":"X1","class":"02","self_pay":500}`, 200, "ok"},
		{"POST", "/items", `{"med_list_codg":"X1","class":"04"}`, 400, "class"},
		{"POST", "/items", `{"med_list_codg":"X1","class":"01","ceiling":"-1"}`, 400, "ceiling"},
		{"POST", "/items", `{"med_list_codg":"X1","class":"01","self_pay":-1}`, 400, "self-pay"},
		{"POST", "/items", `{"class":"01"}`, 400, "med_list_codg"},
		{"POST", "/clear", `{"up_to":"2025-01-01T00:00:00Z"}`, 200, "ok"},
		{"POST", "/refuse", `{"infno":"2208","text":"x"}`, 200, "ok"},
		{"POST", "/refuse", `{"infno":"2208","text":"x","after":true}`, 200, "ok"},
		{"PUT", "/oddities", `{"infcode_string":true}`, 200, "ok"},
		{"PUT", "/faults", `{"level":"mild","seed":3}`, 200, "ok"},
		{"PUT", "/faults", `{"level":"wild"}`, 400, "no fault level"},
		{"POST", "/faults/script", `{"op":"2207","fault":"lose_after","times":1}`, 200, "ok"},
		{"GET", "/faults", "", 200, `"level":"mild"`},
		{"GET", "/truth", "", 200, `"settlements":[]`},
	} {
		if status, body := do(tc.method, tc.path, tc.body); status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s %s = %d %s, want %d with %q", tc.method, tc.path, status, body, tc.status, tc.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Unix(0, 0))
	good := Config{Clock: fake, Source: clock.NewSource(fake, 0), PaasID: "p", Secret: sensitive.NewKey("s"),
		Institutions: map[string]Institution{hospital: {"x", Level3, "360100"}}}
	if _, err := New(good); err != nil {
		t.Fatalf("New(good) = %v", err)
	}
	for name, change := range map[string]func(*Config){
		"no clock":       func(c *Config) { c.Clock = nil },
		"no institution": func(c *Config) { c.Institutions = nil },
		"unknown level":  func(c *Config) { c.Institutions = map[string]Institution{hospital: {"x", "9", "360100"}} },
		"no folder":      func(c *Config) { c.Journal = filepath.Join(t.TempDir(), "none", "x") },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New gave no error", name)
		}
	}
}

func TestBrokenJournal(t *testing.T) {
	t.Parallel()
	for _, tc := range []string{"{\"kind\":\"wonder\"}\n", "no json\n"} {
		path := filepath.Join(t.TempDir(), "nhsa.journal")
		if _, err := journalTail(path, tc); err != nil {
			t.Fatal(err)
		}
		fake := clock.NewFake(time.Unix(0, 0))
		if _, err := New(Config{Clock: fake, Source: clock.NewSource(fake, 0), PaasID: "p", Secret: sensitive.NewKey("s"), Journal: path,
			Institutions: map[string]Institution{hospital: {"x", Level3, "360100"}}}); err == nil {
			t.Errorf("New on journal %q gave no error", tc)
		}
	}
}

// A platform whose disk fails promises nothing: 500, and no effect.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	b := openBench(t, Oddities{}, filepath.Join(t.TempDir(), "nhsa.journal"))
	b.person("P1", "36010019900307123", nanchang(0))
	visit := b.upload("P1", "V1", line{drugA, "500"})
	in := b.in2206("P1", visit, "B1", "500", "11")
	pre := b.must("2206", data(in)).info(t)
	if err := b.sim.Close(); err != nil {
		t.Fatal(err)
	}
	if r := b.call("2207", data(in2207(in, pre))); r.status != http.StatusInternalServerError || b.sim.Truth().Net.Count != 0 {
		t.Errorf("2207 = %d, net %+v, want 500 and nothing done", r.status, b.sim.Truth().Net)
	}
}
