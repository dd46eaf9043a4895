package nhsasim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

const (
	hospital  = "H36010000001" // level 3, Nanchang
	clinic    = "H36010000002" // level 1, Nanchang
	beijing   = "H11010000001" // level 3, Beijing
	paasID    = "test-paas"
	secret    = "test-secret"
	drugA     = "XA-A"
	drugB     = "XA-B"
	drugB5    = "XA-B5"
	drugC     = "XA-C"
	capped    = "XA-CAP"
	dayOfTest = "2025-03-03T09:00:00+08:00"
)

// idNumber makes a made-up identity number with a right check digit.
func idNumber(t *testing.T, first17 string) sensitive.IDNumber {
	t.Helper()
	for _, x := range "0123456789X" {
		if id, err := sensitive.ParseIDNumber(first17 + string(x)); err == nil {
			return id
		}
	}
	t.Fatalf("no check digit for %s", first17)
	return sensitive.IDNumber{}
}

// tokens is an Authorisations of one map.
type tokens map[string]struct {
	id    string
	until time.Time
}

func (a tokens) Authorisation(token string) (string, time.Time, bool) {
	x, ok := a[token]
	return x.id, x.until, ok
}

// bench is a platform under test and a hand-written caller.
type bench struct {
	t      *testing.T
	sim    *Sim
	clock  *clock.Fake
	plan   *sandbox.Plan
	tokens tokens
	ids    map[string]string // identity numbers by psn_no
	msgs   int
	code   string // calling institution
	area   string
	centre Centre
}

func newBench(t *testing.T, oddities Oddities) *bench { return openBench(t, oddities, "") }

func openBench(t *testing.T, oddities Oddities, journal string) *bench {
	t.Helper()
	b := bareBench(t)
	b.sim = b.open(oddities, journal)
	return b
}

// bareBench is a bench whose platform is not open yet.
func bareBench(t *testing.T) *bench {
	t.Helper()
	start, err := time.Parse(time.RFC3339, dayOfTest)
	if err != nil {
		t.Fatal(err)
	}
	fake := clock.NewFake(start)
	plan, err := sandbox.NewPlan(fake, "")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, clock: fake, plan: plan, tokens: tokens{}, ids: map[string]string{}, code: hospital, area: "360100"}
}

func (b *bench) open(oddities Oddities, journal string) *Sim {
	b.t.Helper()
	sim, err := New(Config{Clock: b.clock, Source: clock.NewSeeded(b.clock, 7, 7), Journal: journal, Plan: b.plan, PaasID: paasID,
		Secret: sensitive.NewKey(secret), Oddities: oddities, Authorisations: b.tokens, Centre: b.centre,
		Institutions: map[string]Institution{hospital: {"南昌市试验医院", Level3, "360100"}, clinic: {"南昌试验卫生院", Level1, "360100"},
			beijing: {"北京试验医院", Level3, "110000"}},
		Catalogue: map[string]Item{drugA: {Class: "01", Kind: "09"}, drugB: {Class: "02"}, drugB5: {Class: "02", SelfPay: 500}, drugC: {Class: "03"},
			capped: {Class: "02", Ceiling: "8.5"}}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = sim.Close() })
	return sim
}

func (b *bench) person(psnNo, first17 string, i Insurance, used ...Used) {
	b.t.Helper()
	id := idNumber(b.t, first17)
	if i.Status == "" {
		i.Status = "1"
	}
	if err := b.sim.AddPerson(Person{PsnNo: psnNo, Name: sensitive.NewName("试验" + psnNo), IDNumber: id, Insurances: []Insurance{i}, Used: used}); err != nil {
		b.t.Fatal(err)
	}
	b.ids[psnNo] = id.Reveal()
}

func nanchang(balance int64) Insurance {
	return Insurance{InsuType: "310", PsnType: "1101", Area: "360100", Balance: fen(balance)}
}

type node = map[string]any

// result is an answer as a caller sees it.
type result struct {
	status  int
	raw     []byte
	Infcode json.RawMessage            `json:"infcode"`
	ErrMsg  string                     `json:"err_msg"`
	Output  json.RawMessage            `json:"output"`
	nodes   map[string]json.RawMessage // of output
}

func (r result) ok() bool { return strings.Trim(string(r.Infcode), `"`) == "0" }

// info reads setlinfo.
func (r result) info(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(r.nodes["setlinfo"]))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("setlinfo of %s: %v", r.raw, err)
	}
	return m
}

func (b *bench) msgID() string {
	b.msgs++
	return fmt.Sprintf("%s%s%04d", b.code, b.clock.Now().In(clock.Shanghai).Format(compact), b.msgs)
}

func (b *bench) head(infno, msgID string, input node) node {
	return node{"infno": infno, "msgid": msgID, "mdtrtarea_admvs": b.area, "insuplc_admdvs": b.area, "recer_sys_code": "YBXT", "dev_no": "", "dev_safe_info": "",
		"cainfo": "", "signtype": "", "infver": "V1.0", "opter_type": "3", "opter": "MP01", "opter_name": "小程序", "inf_time": inChina(b.clock.Now()),
		"fixmedins_code": b.code, "fixmedins_name": "试验医院", "sign_no": "", "input": input}
}

func (b *bench) request(body []byte, path string) *http.Request {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://insurer.test"+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	stamp, nonce := strconv.FormatInt(b.clock.Now().Unix(), 10), "424242"
	sum := sha256.Sum256([]byte(stamp + secret + nonce + stamp))
	for k, v := range map[string]string{"Content-Type": "application/json", "x-tif-paasid": paasID, "x-tif-timestamp": stamp, "x-tif-nonce": nonce,
		"x-tif-signature": hex.EncodeToString(sum[:])} {
		r.Header.Set(k, v)
	}
	return r
}

// exchange sends a request as it is; a broken connection comes back as the error.
func (b *bench) exchange(r *http.Request) (result, error) {
	b.t.Helper()
	res, err := sandbox.Transport(b.sim.Handler()).RoundTrip(r)
	if err != nil {
		return result{}, err
	}
	out := result{status: res.StatusCode}
	if out.raw, err = io.ReadAll(res.Body); err != nil {
		b.t.Fatal(err)
	}
	if json.Unmarshal(out.raw, &out) == nil {
		_ = json.Unmarshal(out.Output, &out.nodes)
	}
	return out, nil
}

func (b *bench) send(infno, msgID string, input node) (result, error) {
	b.t.Helper()
	body, err := json.Marshal(b.head(infno, msgID, input))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.exchange(b.request(body, "/"))
}

// call sends one transaction under a fresh msgid.
func (b *bench) call(infno string, input node) result {
	b.t.Helper()
	r, err := b.send(infno, b.msgID(), input)
	if err != nil {
		b.t.Fatalf("%s: %v", infno, err)
	}
	return r
}

// must is call, and the answer must be 0.
func (b *bench) must(infno string, input node) result {
	b.t.Helper()
	r := b.call(infno, input)
	if !r.ok() {
		b.t.Fatalf("%s: %s", infno, r.raw)
	}
	return r
}

// refused is call, and the answer must be a refusal that says want.
func (b *bench) refused(infno string, input node, want string) {
	b.t.Helper()
	if r := b.call(infno, input); r.ok() || r.status != http.StatusOK || !strings.Contains(r.ErrMsg, want) {
		b.t.Errorf("%s answered %d %s, want a refusal with %q", infno, r.status, r.raw, want)
	}
}

func data(n node) node { return node{"data": n} }

func with(n node, k string, v any) node {
	m := maps.Clone(n)
	if v == nil {
		delete(m, k)
	} else {
		m[k] = v
	}
	return m
}

func (b *bench) in2201(psnNo, visitNo string) node {
	return node{"psn_no": psnNo, "insutype": b.insutype(psnNo), "begntime": "2025-03-03 08:30:00", "mdtrt_cert_type": "02", "mdtrt_cert_no": b.ids[psnNo],
		"ipt_otp_no": visitNo, "atddr_no": "D360100001", "dr_name": "医生甲", "dept_code": "0301", "dept_name": "内科", "caty": "A03"}
}

func (b *bench) insutype(psnNo string) string { return b.sim.persons[psnNo].Insurances[0].InsuType }

func in2203(psnNo, mdtrtID, medType, disease string) node {
	return node{"mdtrtinfo": node{"mdtrt_id": mdtrtID, "psn_no": psnNo, "med_type": medType, "begntime": "2025-03-03 08:30:00", "dise_codg": disease},
		"diseinfo": []any{node{"diag_type": "1", "diag_srt_no": 1, "diag_code": "J06.900", "diag_name": "急性上呼吸道感染", "diag_dept": "0301",
			"dise_dor_no": "D360100001", "dise_dor_name": "医生甲", "diag_time": "2025-03-03 08:40:00", "vali_flag": "1"}}}
}

func inRow(psnNo, mdtrtID, batch, no, item, amount string) node {
	return node{"feedetl_sn": no, "mdtrt_id": mdtrtID, "psn_no": psnNo, "chrg_bchno": batch, "rx_circ_flag": "0", "fee_ocur_time": "2025-03-03 08:45:00",
		"med_list_codg": item, "medins_list_codg": "L" + item, "det_item_fee_sumamt": json.Number(amount), "cnt": 1, "pric": json.Number(amount),
		"bilg_dept_codg": "0301", "bilg_dept_name": "内科", "bilg_dr_codg": "D360100001", "bilg_dr_name": "医生甲", "hosp_appr_flag": "1"}
}

func (b *bench) in2206(psnNo, mdtrtID, batch, total, medType string) node {
	return node{"psn_no": psnNo, "mdtrt_cert_type": "02", "mdtrt_cert_no": b.ids[psnNo], "med_type": medType, "medfee_sumamt": json.Number(total),
		"psn_setlway": "01", "mdtrt_id": mdtrtID, "chrg_bchno": batch, "acct_used_flag": "1", "insutype": b.insutype(psnNo)}
}

// in2207 copies the four amounts of a 2206 answer.
func in2207(in node, info map[string]any) node {
	for _, k := range []string{"fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt"} {
		in = with(in, k, info[k])
	}
	return with(in, "invono", "")
}

// line is one fee row of a test.
type line struct{ item, amount string }

// upload registers a visit with rows; it returns mdtrt_id. The batch is "B1" and the visit number "V-"+psn_no unless given.
func (b *bench) upload(psnNo, visitNo string, lines ...line) string {
	b.t.Helper()
	var visit struct {
		Data struct {
			MdtrtID string `json:"mdtrt_id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(b.must("2201", data(b.in2201(psnNo, visitNo))).Output, &visit); err != nil {
		b.t.Fatal(err)
	}
	id := visit.Data.MdtrtID
	b.must("2203A", in2203(psnNo, id, "11", ""))
	rows := []any{}
	for i, l := range lines {
		rows = append(rows, inRow(psnNo, id, "B1", fmt.Sprint(i+1), l.item, l.amount))
	}
	b.must("2204", node{"feedetail": rows})
	return id
}

// settle presettles and settles batch B1, and returns 2207's setlinfo and msgid.
func (b *bench) settle(psnNo, mdtrtID, total string) (map[string]any, string) {
	b.t.Helper()
	in := b.in2206(psnNo, mdtrtID, "B1", total, "11")
	pre := b.must("2206", data(in)).info(b.t)
	msgID := b.msgID()
	r, err := b.send("2207", msgID, data(in2207(in, pre)))
	if err != nil || !r.ok() {
		b.t.Fatalf("2207: %v %s", err, r.raw)
	}
	return r.info(b.t), msgID
}

func in2208(psnNo, mdtrtID string, setlID any) node {
	return data(node{"setl_id": setlID, "mdtrt_id": mdtrtID, "psn_no": psnNo})
}

func in2601(psnNo, infno, msgID string) node {
	return data(node{"psn_no": psnNo, "omsgid": msgID, "oinfno": infno})
}

func wantAmounts(t *testing.T, info map[string]any, want map[string]string) {
	t.Helper()
	for k, w := range want {
		if got := fmt.Sprint(info[k]); got != w {
			t.Errorf("%s = %s, want %s", k, got, w)
		}
	}
}
