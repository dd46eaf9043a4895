package nhsasim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// TestCentreEnvelope: what is not sealed by the hospital, for this centre, now, is not looked at.
func TestCentreEnvelope(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	plain := b.envelope(b.in6301(o))
	other := b.hand
	other.own = clinicPair()
	resigned := func(name string, v any) map[string]any { return b.seal(t, with(plain, name, v)) }
	for _, tc := range []struct {
		name string
		body map[string]any
		want string
	}{
		{"as it should be", b.seal(t, plain), ""},
		{"lower-case types", b.seal(t, with(with(plain, "encType", "sm4"), "signType", "sm2")), ""},
		{"milliseconds", resigned("timestamp", fmt.Sprint(b.clock.Now().UnixMilli())), ""},
		{"extra is not signed", with(b.seal(t, plain), "extra", "anything"), ""},
		{"a member more, signed", resigned("transType", "x"), ""},
		{"a member more, not signed", with(b.seal(t, plain), "transType", "x"), "验签失败"},
		{"a member changed", with(b.seal(t, plain), "timestamp", "20250303090001"), "验签失败"},
		{"another's key", other.seal(t, plain), "验签失败"},
		{"another content", with(b.seal(t, plain), "encData", b.encrypt(`{"payOrdId":"1"}`)), "验签失败"},
		{"no signature", with(b.seal(t, plain), "signData", nil), "[signData]"},
		{"DER signature", with(b.seal(t, plain), "signData", "MEUCIQ=="), "[signData]"},
		{"no cipher text", with(b.seal(t, plain), "encData", nil), "[encData]"},
		{"lower-case cipher text", with(b.seal(t, plain), "encData", strings.ToLower(b.encrypt("{}"))), "大写"},
		{"cut cipher text", with(b.seal(t, plain), "encData", b.encrypt("{}")[:30]), "解密失败"},
		{"no object inside", with(b.seal(t, plain), "encData", b.encrypt("[1]")), "解密失败"},
		{"null inside", with(b.seal(t, plain), "encData", b.encrypt("null")), "解密失败"},
		{"plain data too", with(b.seal(t, plain), "data", node{}), "不能明文传输"},
		{"unknown application", with(b.seal(t, plain), "appId", "x"), "[appId]"},
		{"other cipher", resigned("encType", "AES"), "[encType]"},
		{"other signature", resigned("signType", "RSA"), "[encType]"},
		{"older version", resigned("version", "1.0.0"), "[version]"},
		{"no timestamp", resigned("timestamp", ""), "[timestamp]"},
		{"stale", resigned("timestamp", "20250303085459"), "[timestamp]"},
		{"early", resigned("timestamp", "20250303090501"), "[timestamp]"},
		{"seconds", resigned("timestamp", fmt.Sprint(b.clock.Now().Unix())), "[timestamp]"},
	} {
		body, err := json.Marshal(tc.body)
		if err != nil {
			t.Fatal(err)
		}
		s, err := b.exchangeCentre("6301", body)
		if err != nil || s.status != http.StatusOK || s.Success != (tc.want == "") || !strings.Contains(s.Message, tc.want) || (s.data == nil) == s.Success {
			t.Errorf("%s: %v %d %s, want %q", tc.name, err, s.status, s.raw, tc.want)
		}
	}
	for _, body := range []string{"", "[]", "null", "x", `{"appId":1}`} {
		if s, err := b.exchangeCentre("6301", []byte(body)); err != nil || s.Success || s.status != http.StatusOK {
			t.Errorf("body %q: %v %d %s", body, err, s.status, s.raw)
		}
	}
	for name, tc := range map[string]struct {
		method, path, kind string
		status             int
	}{
		"GET":          {http.MethodGet, pathTo("6301"), "application/json", http.StatusMethodNotAllowed},
		"a form":       {http.MethodPost, pathTo("6301"), "text/plain", http.StatusMethodNotAllowed},
		"refund_order": {http.MethodPost, "/org/local/api/hos/refund_order", "application/json", http.StatusNotFound},
	} {
		r, err := http.NewRequest(tc.method, "http://centre.test"+tc.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", tc.kind)
		if res, err := sandbox.Transport(b.sim.CentreHandler()).RoundTrip(r); err != nil || res.StatusCode != tc.status {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
}

// deep changes one member of the first row of a list.
func deep(in node, list, name string, v any) node {
	rows, _ := in[list].([]any)
	first, _ := rows[0].(node)
	return with(in, list, append([]any{with(first, name, v)}, rows[1:]...))
}

// TestUploadRefused: every way in which a 6201 can be wrong.
func TestUploadRefused(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	b.person("P3", "36010019880410567", Insurance{InsuType: "310", PsnType: "1101", Area: "360100", Paused: "2025-01-01"})
	b.authorise("AUTH-3", "P3", time.Hour)
	b.authorise("AUTH-2", "P2", time.Hour)
	b.putUp("M0", line{drugA, "1.00"})
	good := b.in6201(order{no: "M1", batch: "B-M1", auth: "AUTH-1", psnNo: "P1"}, bill520...)
	for _, f := range append(append([]field{}, table6201...), field{name: "nothing"}) {
		if !f.required {
			continue
		}
		b.inside("without "+f.name, "6201", with(good, f.name, nil), "["+f.name+"]")
		b.inside("empty "+f.name, "6201", with(good, f.name, ""), "["+f.name+"]")
		b.inside("long "+f.name, "6201", with(good, f.name, strings.Repeat("1", 201)), "["+f.name+"]")
	}
	for list, table := range map[string][]field{"diseinfoList": table6201Diagnosis, "feedetailList": table6201Line} {
		for _, f := range table {
			if f.required {
				b.inside(list+" without "+f.name, "6201", deep(good, list, f.name, nil), "第1行["+f.name+"]")
			}
		}
		b.inside("without "+list, "6201", with(good, list, nil), "["+list+"]不能为空")
		b.inside("empty "+list, "6201", with(good, list, []any{}), "["+list+"]不能为空")
		b.inside("an object as "+list, "6201", with(good, list, node{}), "["+list+"]不能为空")
	}
	for _, tc := range []struct {
		name string
		in   node
		want string
	}{
		{"a number", with(good, "medfeeSumamt", 520), "应为字符型"},
		{"a flag", with(good, "pubHospRfomFlag", true), "应为字符型"},
		{"a number inside", deep(good, "feedetailList", "cnt", 1), "应为字符型"},
		{"a number in the extension", with(good, "extData", node{"a": []any{1}}), "[extData]应为字符型"},
		{"one decimal", with(good, "medfeeSumamt", "520.0"), "[medfeeSumamt]格式"},
		{"negative", deep(good, "feedetailList", "detItemFeeSumamt", "-1.00"), "[detItemFeeSumamt]格式"},
		{"negative count", deep(good, "feedetailList", "cnt", "-1"), "不能为负数"},
		{"no count", deep(good, "feedetailList", "cnt", "0"), "不能为负数"},
		{"fine count", deep(good, "feedetailList", "cnt", "1.00001"), "[cnt]格式"},
		{"price × count", deep(good, "feedetailList", "pric", "299.99"), "与数量、单价不符"},
		{"sum", with(good, "medfeeSumamt", "520.01"), "明细合计[520.00]不符"},
		{"nothing", deep(deep(with(with(good, "medfeeSumamt", "0.00"), "feedetailList", good["feedetailList"].([]any)[:1]), "feedetailList", "pric", "0"),
			"feedetailList", "detItemFeeSumamt", "0.00"), "不符"},
		{"four parts", with(with(with(good, "fulamtOwnpayAmt", "100.00"), "preselfpayAmt", "12.00"), "inscpScpAmt", "408.01"), "合计与医疗费总额不符"},
		{"time", with(good, "begntime", "20250303083000"), "[begntime]格式"},
		{"order number of 21", with(good, "medOrgOrd", strings.Repeat("1", 21)), "[medOrgOrd]"},
		{"authorisation of 41", with(good, "payAuthNo", strings.Repeat("1", 41)), "[payAuthNo]"},
		{"order number again", with(good, "medOrgOrd", "M0"), "[medOrgOrd]重复"},
		{"batch again", with(good, "chrgBchno", "B-M0"), "[chrgBchno]重复"},
		{"all batches", with(good, "chrgBchno", "0000"), "[chrgBchno]"},
		{"line again", deep(good, "feedetailList", "feedetlSn", "B-M0-1"), "[B-M0-1]重复"},
		{"line twice", deep(good, "feedetailList", "feedetlSn", "B-M1-2"), "[B-M1-2]重复"},
		{"another batch in a line", deep(good, "feedetailList", "chrgBchno", "B-M2"), "与主单不一致"},
		{"another person in a line", deep(good, "feedetailList", "psnNo", "P2"), "与主单不一致"},
		{"another visit in a line", deep(good, "feedetailList", "mdtrtId", "1"), "与主单不一致"},
		{"another disease in a line", deep(good, "feedetailList", "diseCodg", "M1"), "与主单不一致"},
		{"approval", deep(good, "feedetailList", "hospApprFlag", "3"), "[hospApprFlag]值域错误"},
		{"external", deep(good, "feedetailList", "rxCircFlag", "2"), "[rxCircFlag]值域错误"},
		{"diagnosis type", deep(good, "diseinfoList", "diagType", "4"), "[diagType]值域错误"},
		{"certificate type", with(good, "idType", "99"), "[idType]值域错误"},
		{"credential type", with(good, "mdtrtCertType", "02"), "[mdtrtCertType]值域错误"},
		{"inpatient", with(good, "feeType", "02"), "[feeType]值域错误"},
		{"account", with(good, "acctUsedFlag", "2"), "[acctUsedFlag]值域错误"},
		{"place", with(good, "uldLatlnt", "28.676493"), "经度,纬度"},
		{"place turned round", with(good, "uldLatlnt", "28.676493,115.892151"), "经度,纬度"},
		{"no authorisation", with(good, "payAuthNo", nil), "不能同时为空"},
		{"token alone", with(with(good, "payAuthNo", nil), "ecToken", "EC"), "[payAuthNo]不能为空"},
		{"another's token", with(good, "ecToken", "EC"), "请重新授权"},
		{"another hospital", with(good, "orgCodg", clinic), "与应用不符"},
		{"another person", with(b.in6201(order{no: "M1", batch: "B-M1", auth: "AUTH-1", psnNo: "P2"}, bill520...), "idNo", b.ids["P1"]), "与参保信息不一致"},
		{"another name", with(good, "userName", "试验"), "与参保信息不一致"},
		{"another's certificate", with(good, "idNo", b.ids["P2"]), "与参保信息不一致"},
		{"another insurance", with(good, "insutype", "390"), "[insutype]"},
		{"another area", with(good, "insuplcAdmdvs", "110000"), "[insutype]"},
		{"another region", with(good, "insuCode", "110000"), "[insuCode]"},
		{"paused", b.in6201(order{no: "M1", batch: "B-M1", auth: "AUTH-3", psnNo: "P3"}, bill520...), "参保状态异常"},
		{"another's visit number", with(b.in6201(order{no: "M1", batch: "B-M1", auth: "AUTH-2", psnNo: "P2"}, bill520...), "iptOtpNo", "V-M0"), "已被其他人员使用"},
		{"chronic without disease", with(good, "medType", "14"), "病种编码"},
	} {
		b.inside(tc.name, "6201", tc.in, tc.want)
	}
	if got := len(b.sim.Truth().Uploads); got != 1 {
		t.Errorf("%d uploads after the refusals, want 1", got)
	}
	b.done("6201", good)
}

// TestForeseeRefused: 6202 is about the very upload.
func TestForeseeRefused(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	good := b.in6202(o)
	for _, f := range table6202 {
		if f.required {
			b.inside("without "+f.name, "6202", with(good, f.name, nil), "["+f.name+"]")
		}
	}
	for _, tc := range []struct {
		name, field string
		v           any
		want        string
	}{
		{"unknown", "payOrdId", "ORD", "不存在"}, {"token", "payToken", "x", "[payToken]"}, {"hospital", "orgCodg", clinic, "[orgCodg]"},
		{"batch", "chrgBchno", "B", "不一致"}, {"visit", "mdtrtId", "1", "不一致"}, {"inpatient", "feeType", "02", "不一致"},
		{"account", "acctUsedFlag", "2", "[acctUsedFlag]"}, {"number", "acctUsedFlag", 1, "应为字符型"}, {"deposit", "deposit", "1.00", "[deposit]"},
		{"authorisation", "payAuthNo", "AUTH-X", "请重新授权"},
	} {
		b.inside(tc.name, "6202", with(good, tc.field, tc.v), tc.want)
	}
	b.done("6202", with(good, "deposit", "0.00"))
	b.inside("serial again", "6202", good, "[orgBizSer]重复")
	wantMembers(t, b.done("6202", with(b.in6202(o), "acctUsedFlag", "0")).data, map[string]string{"psnAcctPay": "0.00", "ownPayAmt": "460.60"})
	if why := b.settleN1(o); why != reasonOther {
		t.Errorf("the 6202 that came last counts: %q", why)
	}
	b.inside("failed", "6202", b.in6202(o), "不允许支付下单")

	b.authorise("AUTH-2", "P1", time.Hour)
	b.authorise("AUTH-3", "P1", time.Hour)
	silent := order{no: "M2", batch: "B-M2", auth: "AUTH-2", psnNo: "P1"}
	s := b.done("6201", b.in6201(silent, bill520...))
	silent.id, silent.token, silent.visit = s.str("payOrdId"), s.str("payToken"), s.str("mdtrtId")
	wantMembers(t, b.done("6202", with(b.in6202(silent), "acctUsedFlag", "")).data, map[string]string{"psnAcctPay": "200.00"}) // as 6201 said
	odd := order{no: "M3", batch: "B-M3", auth: "AUTH-3", psnNo: "P1"}
	s = b.done("6201", with(b.in6201(odd, bill520...), "medType", "51"))
	odd.id, odd.token, odd.visit = s.str("payOrdId"), s.str("payToken"), s.str("mdtrtId")
	b.inside("a type without benefits", "6202", b.in6202(odd), "未享受医保待遇")
}

// TestQueryRefused: 6301 and 6401 want token, hospital and person.
func TestQueryRefused(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.putUp("M1")
	good := b.in6301(o)
	for _, n := range []string{"6301", "6401"} {
		for _, f := range table6301 {
			b.inside("without "+f.name, n, with(good, f.name, nil), "["+f.name+"]")
			b.inside("another "+f.name, n, with(good, f.name, "x"), "")
		}
	}
	if got := b.stas(o); got != "0" {
		t.Errorf("ordStas = %s, want 0", got)
	}
}

// TestRefunds: what each type may carry, where it leads, and that a number counts once.
func TestRefunds(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	n := 0
	fresh := func() order {
		n++
		auth := fmt.Sprintf("AUTH-R%d", n)
		b.authorise(auth, "P1", time.Hour)
		o := b.putUpFor(order{no: fmt.Sprintf("R%d", n), batch: fmt.Sprintf("BR%d", n), auth: auth, psnNo: "P1"})
		b.done("6202", b.in6202(o))
		if why := b.settleN1(o); why != "" {
			t.Fatal(why)
		}
		return o
	}
	o := fresh()
	hi := b.in6203(o, "A", "HI", "259.40", "0.00", "200.00", "59.40")
	for _, f := range table6203 {
		if f.required {
			b.inside("without "+f.name, "6203", with(hi, f.name, nil), "["+f.name+"]")
		}
	}
	for _, tc := range []struct {
		name string
		in   node
		want string
	}{
		{"unknown", with(hi, "payOrdId", "ORD"), "不存在"},
		{"no credential", with(hi, "payAuthNo", ""), "必须且只能填写一个"},
		{"two credentials", with(hi, "ecToken", "x"), "必须且只能填写一个"},
		{"another's authorisation", with(hi, "payAuthNo", "AUTH-1"), "退费凭证"},
		{"another's token", with(with(hi, "payAuthNo", nil), "ecToken", "x"), "退费凭证"},
		{"type", with(hi, "refdType", "PART"), "[refdType]值域错误"},
		{"time", with(hi, "appRefdTime", "20251303100000"), "[appRefdTime]"},
		{"total", with(hi, "totlRefdAmt", "259.41"), "[totlRefdAmt]"},
		{"a part of the fund", with(with(hi, "totlRefdAmt", "259.39"), "fundRefdAmt", "59.39"), "与原结算不符"},
		{"more than the account", with(with(hi, "totlRefdAmt", "259.41"), "psnAcctRefdAmt", "200.01"), "与原结算不符"},
		{"HI with cash", with(with(hi, "totlRefdAmt", "260.40"), "cashRefdAmt", "1.00"), "与原结算不符"},
		{"ALL without cash", with(hi, "refdType", "ALL"), "与原结算不符"},
		{"CASH with a fund", with(hi, "refdType", "CASH"), "与原结算不符"},
		{"no cash", b.in6203(o, "A", "CASH", "0.00", "0.00", "0.00", "0.00"), "与原结算不符"},
		{"too much cash", b.in6203(o, "A", "CASH", "260.61", "260.61", "0.00", "0.00"), "与原结算不符"},
	} {
		b.inside(tc.name, "6203", tc.in, tc.want)
	}
	if b.stas(o) != "6" || b.sim.Truth().Net.Count != 1 {
		t.Fatal("a refused 6203 did something")
	}
	for range 3 {
		wantMembers(t, b.done("6203", hi).data, map[string]string{"refStatus": "SUCC"})
	}
	b.inside("the number for something else", "6203", with(hi, "appRefdTime", "20250303100001"), "内容不一致")
	b.inside("another number for the same", "6203", with(hi, "appRefdSn", "B"), "不允许退费")
	if own, _, _ := b.sim.Balance("P1", "310"); own != 20000 {
		t.Errorf("balance %s after one refund three times, want 200.00", own)
	}

	type ask struct{ kind, total, cash, account, fund, want string }
	whole := ask{"HI", "259.40", "0.00", "200.00", "59.40", "8"}
	for name, asks := range map[string][]ask{
		"everything":               {{"ALL", "520.00", "260.60", "200.00", "59.40", "7"}},
		"insurance then cash":      {whole, {"CASH", "260.60", "260.60", "0.00", "0.00", "7"}},
		"cash in two parts":        {{"CASH", "100.00", "100.00", "0.00", "0.00", "10"}, {"CASH", "160.60", "160.60", "0.00", "0.00", "9"}},
		"all cash, then insurance": {{"CASH", "260.60", "260.60", "0.00", "0.00", "9"}, {"HI", "259.40", "0.00", "200.00", "59.40", "7"}},
		"some cash, insurance, the rest": {{"CASH", "0.60", "0.60", "0.00", "0.00", "10"}, {"HI", "259.40", "0.00", "200.00", "59.40", "11"},
			{"CASH", "260.00", "260.00", "0.00", "0.00", "7"}},
		"insurance, some cash": {whole, {"CASH", "0.60", "0.60", "0.00", "0.00", "11"}, {"CASH", "0.40", "0.40", "0.00", "0.00", "11"}},
	} {
		o := fresh()
		for i, a := range asks {
			b.done("6203", b.in6203(o, fmt.Sprintf("%s-%d", o.no, i), a.kind, a.total, a.cash, a.account, a.fund))
			if got := b.stas(o); got != a.want {
				t.Errorf("%s, step %d: ordStas %s, want %s", name, i, got, a.want)
			}
		}
		if name == "cash in two parts" {
			b.done("6203", b.in6203(o, o.no+"-HI", "HI", "259.40", "0.00", "200.00", "59.40"))
		}
		if truth := b.sim.Truth(); truth.Net != (Net{}) {
			t.Fatalf("%s: net %+v", name, truth.Net)
		}
	}
}

// TestRefundEnds: FAIL stays, EXP is answered by the same number, and what was cleared does not come back.
func TestRefundEnds(t *testing.T) {
	t.Parallel()
	b := newCentreBench(t, "")
	o := b.paid("M1")
	in := func(no string) node { return b.in6203(o, no, "HI", "259.40", "0.00", "200.00", "59.40") }
	status := func(no string) string { return b.done("6203", in(no)).str("refStatus") }
	for _, script := range []RefundScript{{PayOrdID: "other", Status: "EXP"}, {Status: "FAIL"}, {PayOrdID: o.id, Status: "EXP", Times: 2}} {
		if err := b.sim.EndRefund(script); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.sim.EndRefund(RefundScript{Status: "SUCC"}); err == nil {
		t.Error("EndRefund of SUCC gave no error")
	}
	if a, again := status("A"), status("A"); a != "FAIL" || again != "FAIL" || b.stas(o) != "6" {
		t.Errorf("FAIL: %s, %s, ordStas %s", a, again, b.stas(o))
	}
	if a, again := status("B"), status("B"); a != "EXP" || again != "EXP" || b.stas(o) != "6" || b.sim.Truth().Net.Count != 1 {
		t.Errorf("EXP that did nothing: %s, %s", a, again)
	}
	if err := b.sim.Clear(b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if a := status("C"); a != "FAIL" || b.stas(o) != "6" {
		t.Errorf("a cleared settlement: %s", a)
	}
	b.sim.SetOddities(Oddities{CancelAfterClearing: true})
	if err := b.sim.EndRefund(RefundScript{Status: "EXP", Done: true}); err != nil {
		t.Fatal(err)
	}
	if a := status("B"); a != "EXP" || b.stas(o) != "8" {
		t.Errorf("EXP that was done: %s, ordStas %s", a, b.stas(o))
	}
	if a := status("B"); a != "SUCC" || b.sim.Truth().Net != (Net{}) {
		t.Errorf("the same number afterwards: %s", a)
	}
}

// Whatever comes in, sealed or not, the centre answers, and nothing is settled by it.
func FuzzCentre(f *testing.F) {
	f.Add([]byte(`{"payOrdId":"ORD","orgCodg":"H36010000001","payToken":"t","idNo":"1","userName":"x","idType":"01"}`), uint8(3), true)
	f.Add([]byte(`{"medOrgOrd":"1","feedetailList":[{"cnt":"1e9999"}],"diseinfoList":[{}]}`), uint8(0), true)
	f.Add([]byte(`{"appId":"43AF047BBA47FC8A1AE8EFB232BDBBCB","encData":"AA","signData":"AA=="}`), uint8(1), false)
	f.Add([]byte(`[[[[{"a":[]}]]]]`), uint8(2), true)
	f.Fuzz(func(t *testing.T, content []byte, which uint8, sealed bool) {
		b := newCentreBench(t, "")
		n := []string{"6201", "6202", "6203", "6301", "6401"}[which%5]
		body := content
		if sealed {
			envelope := maps.Clone(b.envelope(nil))
			delete(envelope, "data")
			var data map[string]any
			if json.Unmarshal(content, &data) != nil {
				envelope["encData"], envelope["signData"] = b.encrypt(string(content)), strings.Repeat("A", 86)+"=="
			} else {
				envelope["data"] = data
				envelope = b.seal(t, envelope)
			}
			var err error
			if body, err = json.Marshal(envelope); err != nil {
				t.Fatal(err)
			}
		}
		s, err := b.exchangeCentre(n, body)
		if err != nil || s.status != http.StatusOK || !bytes.Contains(s.raw, []byte(`"success":`)) {
			t.Errorf("%s answered %v %d %s", n, err, s.status, s.raw)
		}
		if truth := b.sim.Truth(); len(truth.Uploads) != 0 || truth.Net.Count != 0 {
			t.Errorf("an effect out of nothing: %+v", truth)
		}
	})
}
