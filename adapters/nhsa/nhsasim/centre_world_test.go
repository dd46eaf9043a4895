package nhsasim

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Two hospitals have access to the centre; the first has the sample credentials of the specification.
const (
	hospitalApp    = "43AF047BBA47FC8A1AE8EFB232BDBBCB"
	hospitalSecret = "4117E877F5FA0A0188891283E4B617D5"
	clinicApp      = "1CLINIC00000000000000000000000AA"
	clinicSecret   = "9F86D081884C7D659A2FEAA0C55AD015"
)

var (
	hospitalPair = sync.OnceValue(gm.GenerateKey)
	clinicPair   = sync.OnceValue(gm.GenerateKey)
	centrePair   = sync.OnceValue(gm.GenerateKey)
)

// hand is a caller that seals by itself, written from the vectors.
type hand struct {
	appID, secret string
	own           *gm.PrivateKey
	centre        *gm.PublicKey
	rawLeaves     bool // how the centre signs
}

func (h hand) sm4() []byte {
	box, err := gm.EncryptECB([]byte(h.appID[:16]), []byte(h.secret))
	if err != nil {
		return nil
	}
	return []byte(fmt.Sprintf("%X", box)[:16])
}

// trim drops what is empty and makes every leaf a text, or leaves it.
func (h hand) trim(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, inner := range x {
			if t := h.trim(inner); t != nil {
				out[k] = t
			}
		}
		if len(out) > 0 {
			return out
		}
		return nil
	case []any:
		var out []any
		for _, inner := range x {
			if t := h.trim(inner); t != nil {
				out = append(out, t)
			}
		}
		if len(out) > 0 {
			return out
		}
		return nil
	case nil:
		return nil
	case string:
		if x == "" {
			return nil
		}
		return x
	}
	if h.rawLeaves {
		return v
	}
	return fmt.Sprint(v)
}

func (h hand) json(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return strings.TrimSpace(b.String())
}

func (h hand) text(envelope map[string]any) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(envelope)) {
		v := h.trim(envelope[k])
		if v == nil || k == "signData" || k == "encData" || k == "extra" {
			continue
		}
		if s, bare := v.(string); bare {
			parts = append(parts, k+"="+s)
		} else {
			parts = append(parts, k+"="+h.json(v))
		}
	}
	return strings.Join(append(parts, "key="+h.secret), "&")
}

func (h hand) encrypt(plain string) string {
	box, err := gm.EncryptECB(h.sm4(), []byte(plain))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%X", box)
}

func (h hand) seal(t testing.TB, envelope map[string]any) map[string]any {
	t.Helper()
	sig, err := gm.SignRaw(h.own, []byte(h.text(envelope)))
	if err != nil {
		t.Fatal(err)
	}
	out := maps.Clone(envelope)
	out["encData"], out["signData"] = h.encrypt(h.json(envelope["data"])), base64.StdEncoding.EncodeToString(sig)
	delete(out, "data")
	return out
}

// open decrypts and verifies what the centre said.
func (h hand) open(body []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var envelope map[string]any
	if err := d.Decode(&envelope); err != nil {
		return nil, err
	}
	box, err := hex.DecodeString(fmt.Sprint(envelope["encData"]))
	if err != nil {
		return nil, err
	}
	plain, err := gm.DecryptECB(h.sm4(), box)
	if err != nil {
		return nil, err
	}
	var data map[string]any
	d = json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	if err := d.Decode(&data); err != nil {
		return nil, err
	}
	sig, err := base64.StdEncoding.DecodeString(fmt.Sprint(envelope["signData"]))
	if err != nil {
		return nil, err
	}
	envelope["data"] = data
	if !gm.VerifyRaw(h.centre, []byte(h.text(envelope)), sig) {
		return nil, fmt.Errorf("the centre's signature over %s is wrong", h.text(envelope))
	}
	return data, nil
}

// centreBench is a platform with a centre, and hospitals that talk to it by hand.
type centreBench struct {
	*bench
	hand
	centrePlan *sandbox.Plan
	serial     int
	pushed     [][]byte
	answer     func(n int) (int, string) // what the hospital answers to the n-th 6302; nil: taken
}

func newCentreBench(t *testing.T, journal string) *centreBench {
	t.Helper()
	b := &centreBench{bench: bareBench(t), hand: hand{appID: hospitalApp, secret: hospitalSecret, own: hospitalPair(), centre: centrePair().Public()}}
	b.reopen(journal)
	b.person("P1", "36010019900307123", nanchang(20000))
	b.person("P2", "36010019880410456", nanchang(0))
	b.authorise("AUTH-1", "P1", 10*time.Minute)
	return b
}

func (b *centreBench) reopen(journal string) {
	b.t.Helper()
	plan, err := sandbox.NewPlan(b.clock, "")
	if err != nil {
		b.t.Fatal(err)
	}
	b.centrePlan = plan
	b.bench.centre = Centre{Key: centrePair(), Plan: plan, Notify: sandbox.Transport(http.HandlerFunc(b.callback)), Apps: []CentreApp{
		{AppID: hospitalApp, Secret: sensitive.NewKey(hospitalSecret), HospitalKey: hospitalPair().Public(), OrgCodg: hospital, NotifyURL: "http://hospital.test/6302"},
		{AppID: clinicApp, Secret: sensitive.NewKey(clinicSecret), HospitalKey: clinicPair().Public(), OrgCodg: clinic, Key: clinicPair(),
			NotifyURL: "http://clinic.test/6302", Plain: true}}}
	b.sim = b.open(Oddities{}, journal)
}

// open of the embedded hand is shadowed: the platform's is meant by the tests of the core.
func (b *centreBench) open(o Oddities, journal string) *Sim { return b.bench.open(o, journal) }

func (b *centreBench) callback(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.pushed = append(b.pushed, body)
	status, said := http.StatusOK, `{"success":true,"message":"成功"}`
	if b.answer != nil {
		status, said = b.answer(len(b.pushed))
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, said)
}

func (b *centreBench) authorise(token, psnNo string, life time.Duration) {
	b.tokens[token] = struct {
		id    string
		until time.Time
	}{b.ids[psnNo], b.clock.Now().Add(life)}
}

// said is an answer of the centre as a caller sees it.
type said struct {
	status  int
	raw     []byte
	Code    any    `json:"code"`
	Success bool   `json:"success"`
	Message string `json:"message"`
	data    map[string]any
}

func (s said) str(name string) string {
	if v, ok := s.data[name]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

func (b *centreBench) envelope(data node) map[string]any {
	return map[string]any{"appId": b.appID, "encType": "SM4", "signType": "SM2", "version": "2.0.1",
		"timestamp": b.clock.Now().In(clock.Shanghai).Format("20060102150405"), "data": data}
}

func pathTo(number string) string {
	for path, n := range centrePaths {
		if n == number {
			return path
		}
	}
	return "/nowhere"
}

// exchangeCentre sends a body as it is; a broken connection comes back as the error.
func (b *centreBench) exchangeCentre(number string, body []byte) (said, error) {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://centre.test"+pathTo(number), bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := sandbox.Transport(b.sim.CentreHandler()).RoundTrip(r)
	if err != nil {
		return said{}, err
	}
	out := said{status: res.StatusCode}
	if out.raw, err = io.ReadAll(res.Body); err != nil {
		b.t.Fatal(err)
	}
	_ = json.Unmarshal(out.raw, &out) // an answer that is no JSON has nothing to say
	if bytes.Contains(out.raw, []byte(`"encData":`)) {
		if out.data, err = b.hand.open(out.raw); err != nil {
			b.t.Fatalf("%s answered what does not open: %v", number, err)
		}
	}
	return out, nil
}

func (b *centreBench) ask(number string, data node) (said, error) {
	b.t.Helper()
	body, err := json.Marshal(b.seal(b.t, b.envelope(data)))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.exchangeCentre(number, body)
}

// done is ask, and the answer must be a success.
func (b *centreBench) done(number string, data node) said {
	b.t.Helper()
	s, err := b.ask(number, data)
	if err != nil || s.status != http.StatusOK || !s.Success || s.data == nil {
		b.t.Fatalf("%s: %v %d %s", number, err, s.status, s.raw)
	}
	return s
}

// denied is ask, and the answer must be an unsealed refusal that says want.
func (b *centreBench) denied(name, number string, data node, want string) {
	b.t.Helper()
	s, err := b.ask(number, data)
	if err != nil || s.Success || s.data != nil || bytes.Contains(s.raw, []byte(`"signData":`)) || fmt.Sprint(s.Code) == "0" || !strings.Contains(s.Message, want) {
		b.t.Errorf("%s: %s answered %v %d %s, want a refusal with %q", name, number, err, s.status, s.raw, want)
	}
}

// unsealed makes a call behind the envelope, where only the content matters: an SM2 signature is slow under the race detector.
func (b *centreBench) unsealed(number string, data node) (map[string]any, error) {
	b.t.Helper()
	packed, err := json.Marshal(data)
	if err != nil {
		b.t.Fatal(err)
	}
	c := centreCall{app: b.sim.apps[b.appID], number: number, now: b.clock.Now()}
	if err := json.Unmarshal(packed, &c.data); err != nil {
		b.t.Fatal(err)
	}
	b.sim.mu.Lock()
	defer b.sim.mu.Unlock()
	return b.sim.transactCentre(c)
}

// inside is denied, unsealed.
func (b *centreBench) inside(name, number string, data node, want string) {
	b.t.Helper()
	out, err := b.unsealed(number, data)
	if _, business := errors.AsType[refused](err); !business || out != nil || !strings.Contains(err.Error(), want) {
		b.t.Errorf("%s: %s answered %v, %v, want a refusal with %q", name, number, out, err, want)
	}
}

// order is an upload of ours.
type order struct {
	no, batch, auth, psnNo string
	id, token, visit       string
}

func (b *centreBench) in6201(o order, lines ...line) node {
	p := b.sim.persons[o.psnNo]
	rows := []any{}
	total := fen(0)
	for i, l := range lines {
		rows = append(rows, node{"feedetlSn": fmt.Sprintf("%s-%d", o.batch, i+1), "psnNo": o.psnNo, "chrgBchno": o.batch, "rxno": "RX1",
			"feeOcurTime": "2025-03-03 08:45:00", "medListCodg": l.item, "medinsListCodg": "L" + l.item, "detItemFeeSumamt": l.amount, "cnt": "1",
			"pric": l.amount, "bilgDeptCodg": "0301", "bilgDeptName": "内科", "bilgDrCodg": "D360100001", "bilgDrName": "医生甲", "hospApprFlag": "1"})
		total += values{"a": l.amount}.fen("a")
	}
	return node{"orgCodg": b.code, "psnNo": o.psnNo, "insutype": "310", "medOrgOrd": o.no, "begntime": "2025-03-03 08:30:00", "idNo": p.IDNumber,
		"userName": p.Name, "idType": "01", "payAuthNo": o.auth, "mdtrtCertType": "01", "insuCode": "360100", "insuplcAdmdvs": "360100",
		"iptOtpNo": "V-" + o.no, "deptCode": "0301", "deptName": "内科", "caty": "A03", "medType": "11", "feeType": "01", "medfeeSumamt": total.String(),
		"acctUsedFlag": "1", "psnSetlway": "01", "chrgBchno": o.batch, "pubHospRfomFlag": "0", "uldLatlnt": "115.892151,28.676493",
		"diseinfoList": []any{node{"diagType": "1", "diagSrtNo": "1", "diagCode": "J06.900", "diagName": "急性上呼吸道感染", "diagDept": "0301",
			"diseDorNo": "D360100001", "diseDorName": "医生甲", "diagTime": "2025-03-03 08:40:00", "valiFlag": "1"}},
		"feedetailList": rows}
}

// bill520 is N1 of nhsa-core.md §8.6: fund 59.40, account 200.00, cash 260.60.
var bill520 = []line{{drugA, "300.00"}, {drugB, "120.00"}, {drugC, "100.00"}}

// putUp uploads N1, or these lines, for P1 under AUTH-1.
func (b *centreBench) putUp(no string, lines ...line) order {
	b.t.Helper()
	return b.putUpFor(order{no: no, batch: "B-" + no, auth: "AUTH-1", psnNo: "P1"}, lines...)
}

func (b *centreBench) putUpFor(o order, lines ...line) order {
	b.t.Helper()
	if len(lines) == 0 {
		lines = bill520
	}
	s := b.done("6201", b.in6201(o, lines...))
	o.id, o.token, o.visit = s.str("payOrdId"), s.str("payToken"), s.str("mdtrtId")
	return o
}

func (b *centreBench) in6202(o order) node {
	b.serial++
	return node{"payAuthNo": o.auth, "payOrdId": o.id, "payToken": o.token, "orgCodg": b.code, "orgBizSer": fmt.Sprintf("S%d", b.serial), "chrgBchno": o.batch,
		"feeType": "01", "mdtrtId": o.visit, "acctUsedFlag": "1"}
}

// in6301 is 6401's input too.
func (b *centreBench) in6301(o order) node {
	p := b.sim.persons[o.psnNo]
	return node{"payOrdId": o.id, "orgCodg": b.code, "payToken": o.token, "idNo": p.IDNumber, "userName": p.Name, "idType": "01"}
}

func (b *centreBench) in6203(o order, no, kind, total, cash, account, fund string) node {
	return node{"payOrdId": o.id, "appRefdSn": no, "appRefdTime": "20250303100000", "totlRefdAmt": total, "cashRefdAmt": cash, "psnAcctRefdAmt": account,
		"fundRefdAmt": fund, "payAuthNo": o.auth, "refdType": kind}
}

// settleN1 has WeChat settle N1.
func (b *centreBench) settleN1(o order) string {
	return b.sim.SettleMixed(o.id, o.auth, o.no, hospital, 5940, 20000, 0, 26060)
}

// paid is an upload of N1 that is settled.
func (b *centreBench) paid(no string) order {
	b.t.Helper()
	o := b.putUp(no)
	b.done("6202", b.in6202(o))
	if why := b.settleN1(o); why != "" {
		b.t.Fatalf("SettleMixed: %s", why)
	}
	return o
}

// stas is the code that 6301 tells.
func (b *centreBench) stas(o order) string {
	b.t.Helper()
	out, err := b.unsealed("6301", b.in6301(o))
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprint(out["ordStas"])
}

func wantMembers(t *testing.T, got map[string]any, want map[string]string) {
	t.Helper()
	for k, w := range want {
		if g, ok := got[k]; (w == "-") == ok || (ok && fmt.Sprint(g) != w) {
			t.Errorf("%s = %v, want %s", k, g, w)
		}
	}
}

// inner walks objects, and the first of lists.
func inner(v any, names ...string) map[string]any {
	for _, n := range names {
		m, _ := v.(map[string]any)
		v = m[n]
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
	}
	m, _ := v.(map[string]any)
	return m
}
