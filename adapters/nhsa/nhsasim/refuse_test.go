package nhsasim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// journalTail appends to a journal file as a kill would leave it.
func journalTail(path, text string) (int, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := f.WriteString(text)
	if err != nil {
		return n, err
	}
	return n, f.Close()
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	body, err := json.Marshal(b.head("1101", b.msgID(), data(node{})))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"as it should be", func(*http.Request) {}, http.StatusOK},
		{"other paasid", func(r *http.Request) { r.Header.Set("x-tif-paasid", "other") }, http.StatusUnauthorized},
		{"stale timestamp", func(r *http.Request) { r.Header.Set("x-tif-timestamp", "1700000000") }, http.StatusUnauthorized},
		{"milliseconds", func(r *http.Request) { r.Header.Set("x-tif-timestamp", "1740963600000") }, http.StatusUnauthorized},
		{"no nonce", func(r *http.Request) { r.Header.Del("x-tif-nonce") }, http.StatusUnauthorized},
		{"other nonce", func(r *http.Request) { r.Header.Set("x-tif-nonce", "1") }, http.StatusUnauthorized},
		{"upper-case signature", func(r *http.Request) {
			r.Header.Set("x-tif-signature", strings.ToUpper(r.Header.Get("x-tif-signature")))
		}, http.StatusUnauthorized},
		{"no content type", func(r *http.Request) { r.Header.Del("Content-Type") }, http.StatusMethodNotAllowed},
		{"GET", func(r *http.Request) { r.Method = http.MethodGet }, http.StatusMethodNotAllowed},
	} {
		r := b.request(body, "/")
		tc.change(r)
		if got, err := b.exchange(r); err != nil || got.status != tc.status {
			t.Errorf("%s: status %d, %v, want %d", tc.name, got.status, err, tc.status)
		}
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(0))
	input := data(node{"mdtrt_cert_type": "02", "mdtrt_cert_no": b.ids["P1"]})
	for _, tc := range []struct {
		name, field string
		value       any
		path, want  string
	}{
		{"as it should be", "cainfo", "", "/", ""},
		{"service path", "cainfo", "", "/gateway/fsi/api/fsiPsnInfoService/queryPsnInfo", ""},
		{"number appended", "cainfo", "", "/gateway/1101", ""},
		{"other service", "cainfo", "", "/fsi/api/reverseService/revsMethod", "服务地址"},
		{"other number appended", "cainfo", "", "/gateway/2601", "服务地址"},
		{"no infno", "infno", nil, "/", "[infno]不能为空"},
		{"unknown infno", "infno", "9999", "/", "不存在"},
		{"infno too long", "infno", "1101ABC", "/", "[infno]格式或长度错误"},
		{"infno as a number", "infno", 1101, "/", "[infno]应为字符型"},
		{"short msgid", "msgid", "1", "/", "长度应为30位"},
		{"long msgid", "msgid", strings.Repeat("1", 31), "/", "[msgid]格式或长度错误"},
		{"other area", "mdtrtarea_admvs", "110000", "/", "就医地"},
		{"short area of insurance", "insuplc_admdvs", "3601", "/", "长度应为6位"},
		{"unknown institution", "fixmedins_code", "H99999999999", "/", "未备案"},
		{"no institution name", "fixmedins_name", "", "/", "[fixmedins_name]不能为空"},
		{"operator type", "opter_type", "4", "/", "[opter_type]值域错误"},
		{"time form", "inf_time", "2025/03/03 09:00:00", "/", "[inf_time]格式或长度错误"},
		{"no input", "input", nil, "/", "[input]不能为空"},
		{"input is a list", "input", []any{}, "/", "[input]不能为空"},
	} {
		body, err := json.Marshal(with(b.head("1101", b.msgID(), input), tc.field, tc.value))
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.exchange(b.request(body, tc.path))
		if err != nil || r.ok() != (tc.want == "") || !strings.Contains(r.ErrMsg, tc.want) {
			t.Errorf("%s: %v %s, want %q", tc.name, err, r.raw, tc.want)
		}
	}
	msgID := b.msgID()
	for i, want := range []bool{true, false} {
		if r, err := b.send("1101", msgID, input); err != nil || r.ok() != want {
			t.Errorf("msgid sent %d times: %s", i+1, r.raw)
		}
	}
	if r, err := b.exchange(b.request([]byte("[1"), "/")); err != nil || r.ok() {
		t.Errorf("broken JSON answered %s, %v", r.raw, err)
	}
}

func TestPersonAndCredential(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(12345))
	b.person("P2", "36010019880410456", Insurance{InsuType: "310", PsnType: "1101", Area: "360100", Status: "2"})
	b.person("P3", "36010019880410567", Insurance{InsuType: "310", PsnType: "1101", Area: "360100", Paused: "2025-01-01"})
	for token, x := range map[string]struct {
		psnNo string
		life  time.Duration
	}{"T-1": {"P1", time.Minute}, "T-2": {"P2", time.Minute}, "T-OLD": {"P1", 0}} {
		b.tokens[token] = struct {
			id    string
			until time.Time
		}{b.ids[x.psnNo], b.clock.Now().Add(x.life)}
	}
	ask := func(kind, no string) node { return data(node{"mdtrt_cert_type": kind, "mdtrt_cert_no": no}) }
	r := b.must("1101", ask("01", "T-1"))
	if !strings.Contains(string(r.raw), `"balc":123.45`) || !strings.Contains(string(r.raw), `"psn_no":"P1"`) {
		t.Errorf("1101 = %s", r.raw)
	}
	b.refused("1101", ask("01", "T-OLD"), "已失效")
	b.refused("1101", ask("01", "T-9"), "电子凭证无效")
	b.refused("1101", ask("02", "360100199003071111"), "未查询到人员信息")
	b.refused("1101", ask("03", "C1"), "[card_sn]不能为空")
	b.refused("1101", data(node{"mdtrt_cert_type": "03", "mdtrt_cert_no": "C1", "card_sn": "S"}), "未查询到人员信息")
	b.refused("1101", ask("09", "x"), "值域错误")
	b.refused("1101", data(node{"mdtrt_cert_type": "02", "mdtrt_cert_no": b.ids["P1"], "psn_name": "别人"}), "不一致")
	b.refused("1101", node{"info": node{}}, "[data]不能为空")

	in := b.in2201("P1", "V1")
	for _, tc := range []struct {
		name string
		in   node
		want string
	}{
		{"unknown person", with(in, "psn_no", "P9"), "未查询到人员信息"},
		{"another's token", with(with(in, "mdtrt_cert_type", "01"), "mdtrt_cert_no", "T-2"), "不一致"},
		{"other insurance", with(in, "insutype", "390"), "未参加险种"},
		{"no doctor", with(in, "atddr_no", ""), "[atddr_no]不能为空"},
		{"no specialty", with(in, "caty", nil), "[caty]不能为空"},
		{"visit number too long", with(in, "ipt_otp_no", strings.Repeat("9", 31)), "[ipt_otp_no]格式或长度错误"},
		{"paused insurance", b.in2201("P2", "V2"), "参保状态异常"},
		{"insurance paused by date", b.in2201("P3", "V3"), "参保状态异常"},
	} {
		t.Run(tc.name, func(t *testing.T) { b.refused("2201", data(tc.in), tc.want) })
	}
	b.must("2201", data(with(with(in, "mdtrt_cert_type", "01"), "mdtrt_cert_no", "T-1")))
	b.clock.Advance(2 * time.Minute)
	b.refused("2201", data(with(with(in, "mdtrt_cert_type", "01"), "mdtrt_cert_no", "T-1")), "已失效")
	body, err := json.Marshal(with(b.head("2201", b.msgID(), data(in)), "insuplc_admdvs", ""))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := b.exchange(b.request(body, "/")); err != nil || !strings.Contains(r.ErrMsg, "[insuplc_admdvs]不能为空") {
		t.Errorf("2201 without area of insurance = %s", r.raw)
	}
	b.sim.authorisations = nil
	b.refused("1101", ask("01", "T-1"), "未开通")
}

func TestVisitAndRows(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(0))
	b.person("P2", "36010019880410456", nanchang(0))
	visit := b.upload("P1", "V1", line{drugA, "10"})
	b.refused("2201", data(b.in2201("P2", "V1")), "已被其他人员使用")

	good := in2203("P1", visit, "11", "")
	info := good["mdtrtinfo"].(node)
	diag := good["diseinfo"].([]any)[0].(node)
	for _, tc := range []struct {
		name, infno string
		in          node
		want        string
	}{
		{"no such visit", "2203A", with(good, "mdtrtinfo", with(info, "mdtrt_id", "9")), "未查询到就诊信息"},
		{"another's visit", "2203A", with(good, "mdtrtinfo", with(info, "psn_no", "P2")), "人员编号与就诊信息不符"},
		{"no diagnosis", "2203A", with(good, "diseinfo", []any{}), "[diseinfo]不能为空"},
		{"diagnosis without a doctor", "2203A", with(good, "diseinfo", []any{with(diag, "dise_dor_no", "")}), "第1行[dise_dor_no]不能为空"},
		{"diagnosis class", "2203A", with(good, "diseinfo", []any{with(diag, "diag_type", "7")}), "值域错误"},
		{"chronic without a disease", "2203A", in2203("P1", visit, "14", ""), "[dise_codg]不能为空"},
		{"day form", "2203A", with(good, "mdtrtinfo", with(info, "birctrl_matn_date", "20250303")), "[birctrl_matn_date]格式或长度错误"},
		{"withdrawal of another's visit", "2205", data(node{"psn_no": "P2", "mdtrt_id": visit, "chrg_bchno": "0000"}), "不符"},
		{"withdrawal of nothing", "2205", data(node{"psn_no": "P1", "mdtrt_id": visit, "chrg_bchno": "B7"}), "无可撤销"},
		{"cancelled under another number", "2202", data(node{"psn_no": "P1", "mdtrt_id": visit, "ipt_otp_no": "V7"}), "不符"},
	} {
		t.Run(tc.name, func(t *testing.T) { b.refused(tc.infno, tc.in, tc.want) })
	}

	row := inRow("P1", visit, "B2", "R1", drugA, "10")
	var hundred []any
	for i := range 100 {
		hundred = append(hundred, with(row, "feedetl_sn", fmt.Sprint("H", i)))
	}
	for _, tc := range []struct {
		name string
		rows []any
		want string
	}{
		{"a hundred rows", hundred, "不能超过99条"},
		{"number taken", []any{with(row, "feedetl_sn", "1")}, "重复"},
		{"number twice", []any{row, row}, "第2行费用明细流水号[R1]重复"},
		{"batch 0000", []any{with(row, "chrg_bchno", "0000")}, "不能为0000"},
		{"two batches", []any{row, with(with(row, "feedetl_sn", "R2"), "chrg_bchno", "B3")}, "不一致"},
		{"two diseases", []any{row, with(with(row, "feedetl_sn", "R2"), "dise_codg", "M1")}, "病种编码必须一致"},
		{"price × quantity", []any{with(row, "cnt", 2)}, "不符"},
		{"negative", []any{with(with(row, "pric", -10), "det_item_fee_sumamt", -10)}, "不能为负数"},
		{"no quantity", []any{with(row, "cnt", 0)}, "不能为负数"},
		{"third decimal", []any{with(row, "det_item_fee_sumamt", "10.001")}, "[det_item_fee_sumamt]格式或长度错误"},
		{"seventh decimal", []any{with(row, "pric", "10.0000001")}, "[pric]格式或长度错误"},
		{"exponent", []any{with(row, "cnt", json.RawMessage("1E0"))}, "[cnt]格式或长度错误"},
		{"external without a prescription", []any{with(row, "rx_circ_flag", "1")}, "[rxno]不能为空"},
		{"external flag", []any{with(row, "rx_circ_flag", "x")}, "[rx_circ_flag]值域错误"},
		{"approval flag", []any{with(row, "hosp_appr_flag", "3")}, "[hosp_appr_flag]值域错误"},
		{"no ordering doctor", []any{with(row, "bilg_dr_codg", "")}, "[bilg_dr_codg]不能为空"},
		{"no rows", []any{}, "[feedetail]不能为空"},
	} {
		t.Run(tc.name, func(t *testing.T) { b.refused("2204", node{"feedetail": tc.rows}, tc.want) })
	}
	// Nothing of the refused calls stayed: all numbers but "1" are free.
	b.must("2204", node{"feedetail": []any{row}})
	b.must("2204", node{"feedetail": []any{with(row, "feedetl_sn", "R2")}}) // the same batch in two calls
	b.refused("2204", node{"feedetail": []any{with(with(row, "feedetl_sn", "R3"), "dise_codg", "M1")}}, "病种编码必须一致")
	if r := b.must("2206", data(b.in2206("P1", visit, "B2", "20", "11"))); fmt.Sprint(r.info(t)["medfee_sumamt"]) != "20.00" {
		t.Errorf("2206 = %s", r.raw)
	}

	b.must("2202", data(node{"psn_no": "P1", "mdtrt_id": visit, "ipt_otp_no": "V1"}))
	b.refused("2204", node{"feedetail": []any{with(row, "feedetl_sn", "R3")}}, "已撤销挂号")
}

func TestSettleRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(0))
	b.person("P2", "36010019880410456", nanchang(0))
	visit := b.upload("P1", "V1", line{drugA, "500"}, line{capped, "10"})
	in := b.in2206("P1", visit, "B1", "510", "11")
	pre := b.must("2206", data(in)).info(t)
	// ceiling 8.50: 1.50 above it, 10 % of 8.50 prior self-pay
	wantAmounts(t, pre, map[string]string{"overlmt_selfpay": "1.50", "preselfpay_amt": "0.85", "inscp_scp_amt": "507.65"})
	final := in2207(in, pre)
	for _, tc := range []struct {
		name, infno string
		in          node
		want        string
	}{
		{"total", "2206", with(in, "medfee_sumamt", "509.99"), "与上传明细合计[510.00]不符"},
		{"medical type", "2206", with(in, "med_type", "14"), "医疗类别"},
		{"insurance", "2206", with(in, "insutype", "390"), "险种类型"},
		{"empty batch", "2206", with(in, "chrg_bchno", "B9"), "没有费用明细"},
		{"settlement way", "2206", with(in, "psn_setlway", "02"), "[psn_setlway]值域错误"},
		{"account flag", "2206", with(in, "acct_used_flag", "2"), "[acct_used_flag]值域错误"},
		{"another's credential", "2206", with(in, "mdtrt_cert_no", b.ids["P2"]), "不一致"},
		{"another person", "2206", with(with(in, "psn_no", "P2"), "mdtrt_cert_no", b.ids["P2"]), "人员编号与就诊信息不符"},
		{"echo one fen short", "2207", with(final, "inscp_scp_amt", "507.64"), "预结算返回金额与结算入参不符[inscp_scp_amt]"},
		{"echo missing", "2207", with(final, "preselfpay_amt", nil), "[preselfpay_amt]不能为空"},
		{"echo of another total", "2207", with(final, "medfee_sumamt", "1"), "不符"},
	} {
		t.Run(tc.name, func(t *testing.T) { b.refused(tc.infno, data(tc.in), tc.want) })
	}
	b.sim.SetOddities(Oddities{EchoUnchecked: true})
	r := b.must("2207", data(with(final, "inscp_scp_amt", "0")))
	b.refused("2207", data(final), "不能重复结算")
	b.refused("2205", data(node{"psn_no": "P1", "mdtrt_id": visit, "chrg_bchno": "B1"}), "请先撤销结算")
	b.must("2205", data(node{"psn_no": "P1", "mdtrt_id": visit, "chrg_bchno": "0000"})) // clears unsettled rows only
	b.refused("2204", node{"feedetail": []any{inRow("P1", visit, "B1", "9", drugA, "1")}}, "已结算")
	b.refused("2203A", in2203("P1", visit, "14", "M03900"), "不能变更医疗类别")
	b.refused("2208", in2208("P1", visit, "999"), "未查询到结算信息")
	b.must("2208", in2208("P1", visit, r.info(t)["setl_id"]))
	b.must("2207", data(with(final, "inscp_scp_amt", "0")))

	b.code = clinic
	b.refused("2206", data(in), "未查询到就诊信息")
}

// TestATokenSettlesOneVisit: an authorisation is accepted once. The same visit may be settled again after a reversal, no other may.
func TestATokenSettlesOneVisit(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "nhsa.jsonl")
	b := openBench(t, Oddities{}, journal)
	b.person("P1", "36010019900307123", nanchang(0))
	for _, no := range []string{"AUTH1", "AUTH2"} {
		b.tokens[no] = struct {
			id    string
			until time.Time
		}{b.ids["P1"], b.clock.Now().Add(time.Hour)}
	}
	byToken := func(n node, no string) node { return with(with(n, "mdtrt_cert_type", "01"), "mdtrt_cert_no", no) }
	first, second := b.upload("P1", "V1", line{drugA, "500"}), b.upload("P1", "V2", line{drugA, "30"})
	in := byToken(b.in2206("P1", first, "B1", "500", "11"), "AUTH1")
	other := b.in2206("P1", second, "B1", "30", "11")
	b.must("2206", data(byToken(other, "AUTH1"))) // a presettlement spends nothing
	msgID := b.msgID()
	if r, err := b.send("2207", msgID, data(in2207(in, b.must("2206", data(in)).info(t)))); err != nil || !r.ok() {
		t.Fatalf("2207: %v %s", err, r.raw)
	}
	const want = "医保电子凭证已使用"
	b.refused("2206", data(byToken(other, "AUTH1")), want)
	b.refused("2201", data(byToken(b.in2201("P1", "V3"), "AUTH1")), want)
	b.must("2206", data(byToken(other, "AUTH2")))
	b.must("2206", data(other)) // the card is no token
	b.must("2601", in2601("P1", "2207", msgID))
	b.must("2207", data(in2207(in, b.must("2206", data(in)).info(t))))
	b.sim = b.open(Oddities{}, journal)
	b.refused("2206", data(byToken(other, "AUTH1")), want)
}

// Chronic disease has its own rule, and a resident without a rule at this level has none.
func TestBenefits(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(0))
	b.person("P2", "36010019550410456", Insurance{InsuType: "390", PsnType: "1501", Area: "360100"})
	b.person("P3", "36010019550410567", Insurance{InsuType: "310", PsnType: "1201", Area: "999900"})
	chronic := func(psn string) string {
		var out struct {
			Data struct {
				MdtrtID string `json:"mdtrt_id"`
			} `json:"data"`
		}
		if err := json.Unmarshal(b.must("2201", data(b.in2201(psn, "C-"+psn))).Output, &out); err != nil {
			t.Fatal(err)
		}
		id := out.Data.MdtrtID
		b.refused("2204", node{"feedetail": []any{inRow(psn, id, "B1", "1", drugA, "100")}}, "请先上传门诊就诊信息")
		b.must("2203A", in2203(psn, id, "14", "M03900"))
		b.refused("2204", node{"feedetail": []any{inRow(psn, id, "B1", "1", drugA, "100")}}, "病种编码与就诊信息不符")
		b.must("2204", node{"feedetail": []any{with(inRow(psn, id, "B1", "1", drugA, "100"), "dise_codg", "M03900")}})
		return id
	}
	wantAmounts(t, b.must("2206", data(b.in2206("P1", chronic("P1"), "B1", "100", "14"))).info(t), map[string]string{"hifp_pay": "85.00", "act_pay_dedc": "0.00"})
	r := b.must("2206", data(b.in2206("P2", chronic("P2"), "B1", "100", "14")))
	wantAmounts(t, r.info(t), map[string]string{"hifp_pay": "60.00"})
	if !strings.Contains(string(r.raw), "390100") {
		t.Errorf("a resident's fund is not 390100: %s", r.raw)
	}
	visit := b.upload("P2", "V2", line{drugA, "100"}) // ordinary, level 3: no rule pays anything
	wantAmounts(t, b.must("2206", data(b.in2206("P2", visit, "B1", "100", "11"))).info(t), map[string]string{"fund_pay_sumamt": "0.00", "psn_cash_pay": "100.00"})
	b.refused("2201", data(b.in2201("P3", "V3")), "与参保信息不符")
	b.must("2203A", in2203("P2", visit, "51", ""))
	b.refused("2206", data(b.in2206("P2", visit, "B1", "100", "51")), "未享受医保待遇")
}

// A visit registered by the HIS is named by its mdtrt_id, for that is all the mini program knows.
func TestCallNames(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	b.person("P1", "36010019900307123", nanchang(0))
	fromHIS, err := b.sim.AddVisit(hospital, "P1", "310", "360100", "HIS-1")
	if err != nil {
		t.Fatal(err)
	}
	ours := b.upload("P1", "V1", line{drugA, "500"})
	info, msgID := b.settle("P1", ours, "500")
	cancelMsg := b.msgID()
	if r, err := b.send("2208", cancelMsg, in2208("P1", ours, info["setl_id"])); err != nil || !r.ok() {
		t.Fatalf("2208: %v %s", err, r.raw)
	}
	setlID := fmt.Sprint(info["setl_id"])
	for _, tc := range []struct {
		infno string
		input node
		want  sandbox.Call
	}{
		{"1101", data(node{"mdtrt_cert_type": "02", "mdtrt_cert_no": b.ids["P1"]}), sandbox.Call{Key: "P1", Refusable: true}},
		{"1101", data(node{"mdtrt_cert_type": "02", "mdtrt_cert_no": "360100199003071111"}), sandbox.Call{Refusable: true}},
		{"2201", data(b.in2201("P1", "V9")), sandbox.Call{Key: "V9", Refusable: true}},
		{"2203A", in2203("P1", fromHIS, "11", ""), sandbox.Call{Key: fromHIS}},
		{"2204", node{"feedetail": []any{inRow("P1", ours, "B1", "1", drugA, "1")}}, sandbox.Call{Key: "V1"}},
		{"2206", data(b.in2206("P1", fromHIS, "B1", "1", "11")), sandbox.Call{Key: fromHIS, Refusable: true, Priced: true}},
		{"2207", data(b.in2206("P1", ours, "B1", "1", "11")), sandbox.Call{Key: "V1", Refusable: true, Priced: true, Most: 1}},
		{"2208", in2208("P1", ours, setlID), sandbox.Call{Key: "V1"}},
		{"2601", in2601("P1", "2207", msgID), sandbox.Call{Key: "V1"}},
		{"2601", in2601("P1", "2208", cancelMsg), sandbox.Call{Key: "V1"}},
		{"2601", in2601("P1", "2207", "never seen"), sandbox.Call{Key: "never seen"}},
		{"5203", data(node{"psn_no": "P1", "setl_id": setlID}), sandbox.Call{Key: "V1"}},
	} {
		body, err := json.Marshal(b.head(tc.infno, b.msgID(), tc.input))
		if err != nil {
			t.Fatal(err)
		}
		tc.want.Op = tc.infno
		if got := b.sim.nameCall(nil, body); got != tc.want {
			t.Errorf("nameCall(%s) = %+v, want %+v", tc.infno, got, tc.want)
		}
	}
	if got := b.sim.nameCall(nil, []byte("x")); got != (sandbox.Call{}) {
		t.Errorf("nameCall(garbage) = %+v", got)
	}
}

func TestAddPersonRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, Oddities{})
	good := Person{PsnNo: "P1", Name: sensitive.NewName("试验一"), IDNumber: idNumber(t, "36010019900307123"), Insurances: []Insurance{nanchang(0)}}
	for name, change := range map[string]func(*Person){
		"no number":     func(p *Person) { p.PsnNo = "" },
		"no insurance":  func(p *Person) { p.Insurances = nil },
		"odd area":      func(p *Person) { p.Insurances = []Insurance{{InsuType: "310", PsnType: "1101", Area: "1"}} },
		"odd psn_type":  func(p *Person) { p.Insurances = []Insurance{{InsuType: "310", PsnType: "9", Area: "360100"}} },
		"debts":         func(p *Person) { p.Family = -1 },
		"odd past":      func(p *Person) { p.Used = []Used{{Year: 2025, InsuType: "310", MedType: "99"}} },
		"negative past": func(p *Person) { p.Used = []Used{{Year: 2025, InsuType: "310", MedType: "11", FundPaid: -1}} },
	} {
		p := good
		change(&p)
		if err := b.sim.AddPerson(p); err == nil {
			t.Errorf("%s: AddPerson gave no error", name)
		}
	}
	if err := b.sim.AddPerson(good); err != nil {
		t.Error(err)
	}
	if _, err := b.sim.AddVisit("H0", "P1", "310", "360100", "V"); err == nil {
		t.Error("AddVisit at an unknown institution gave no error")
	}
}

// Whatever comes in, the platform answers, and with an infcode unless the gateway stopped it.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"infno":"1101","input":{"data":{}}}`))
	f.Add([]byte(`{"infno":"2204","input":{"feedetail":[{"mdtrt_id":1}]}}`))
	f.Add([]byte(`{"infno":"2601","input":{"data":{"omsgid":"x"}}}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"infno":"2206","msgid":"H36010000001202503030900000001","mdtrtarea_admvs":"360100","insuplc_admdvs":"360100","recer_sys_code":"YBXT","infver":"V1.0","opter_type":"3","opter":"a","opter_name":"b","inf_time":"2025-03-03 09:00:00","fixmedins_code":"H36010000001","fixmedins_name":"x","input":{"data":{"psn_no":"P1","mdtrt_cert_type":"02","mdtrt_cert_no":"1","med_type":"11","medfee_sumamt":99999999999999.99,"psn_setlway":"01","mdtrt_id":"1","chrg_bchno":"1","acct_used_flag":"1","insutype":"310"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := newBench(t, Oddities{})
		b.person("P1", "36010019900307123", nanchang(0))
		r, err := b.exchange(b.request(body, "/"))
		if err != nil || r.status != http.StatusOK || (string(r.Infcode) != "0" && string(r.Infcode) != "-1") {
			t.Errorf("answer = %d %s, %v", r.status, r.raw, err)
		}
		if truth := b.sim.Truth(); truth.Net.Count != 0 {
			t.Errorf("a settlement out of nothing: %+v", truth)
		}
	})
}
