package nhsasim

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const testDay = "2025-03-03"

// day is a bench whose hospital has settled 100.00 twice, one of them cancelled, and whose clinic has settled 800.00. It is the next night.
type dayBench struct {
	*bench
	first, second      map[string]any // setlinfo
	firstMsg, cancelID string
}

func newDay(t *testing.T, o StatementOddities, journal string) *dayBench {
	t.Helper()
	d := &dayBench{bench: openBench(t, Oddities{AnyOrderCancel: true, Statements: o}, journal)}
	d.person("P1", "36010019900307123", nanchang(5000))
	d.person("P2", "36010019880410456", nanchang(0))
	one, two := d.upload("P1", "V1", line{drugA, "100.00"}), d.upload("P2", "V2", line{drugA, "100.00"})
	d.first, d.firstMsg = d.settle("P1", one, "100.00")
	d.second, _ = d.settle("P2", two, "100.00")
	d.cancelID = fmt.Sprint(d.must("2208", in2208("P2", two, d.second["setl_id"])).info(t)["setl_id"])
	d.code = clinic
	d.settle("P1", d.upload("P1", "V3", line{drugA, "800.00"}), "800.00")
	d.code = hospital
	d.clock.Advance(17 * time.Hour)
	return d
}

func in3201(count, total, fund, account string) node {
	return node{"insutype": "310", "clr_type": "11", "setl_optins": "360199", "stmt_begndate": testDay, "stmt_enddate": testDay, "medfee_sumamt": total,
		"fund_pay_sumamt": fund, "acct_pay": account, "fixmedins_setl_cnt": count, "refd_setl_flag": "1"}
}

func in3202(fileNo any, count, total string) node {
	return node{"setl_optins": "360199", "file_qury_no": fileNo, "stmt_begndate": testDay, "stmt_enddate": testDay, "medfee_sumamt": total,
		"fund_pay_sumamt": "0", "cash_payamt": "0", "fixmedins_setl_cnt": count, "clr_type": "11", "refd_setl_flag": "1"}
}

func in9101(content []byte) node {
	return node{"fsUploadIn": node{"in": base64.StdEncoding.EncodeToString(content), "filename": "a.zip", "fixmedins_code": hospital}}
}

func zipped(t *testing.T, name, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// ref reads a file's number and name.
func ref(t *testing.T, raw json.RawMessage) (no, name string) {
	t.Helper()
	var out struct {
		No   string `json:"file_qury_no"`
		Name string `json:"filename"`
	}
	if err := json.Unmarshal(raw, &out); err != nil || out.No == "" || len(out.No) > 30 {
		t.Fatalf("file %s: %v", raw, err)
	}
	return out.No, out.Name
}

func (d *dayBench) verdict(in node) string {
	d.t.Helper()
	var out struct {
		Verdict string `json:"stmt_rslt"`
	}
	if err := json.Unmarshal(d.must("3201", data(in)).nodes["stmtinfo"], &out); err != nil {
		d.t.Fatal(err)
	}
	return out.Verdict
}

// row is a line of an upload.
func (d *dayBench) row(info map[string]any, psnNo, total, account, refund string) string {
	return strings.Join([]string{fmt.Sprint(info["setl_id"]), fmt.Sprint(info["mdtrt_id"]), psnNo, total, "0", account, refund}, "\t") + "\n"
}

// compare uploads a text and has it compared; it gives the result's text.
func (d *dayBench) compare(text, count, total string) string {
	d.t.Helper()
	no, _ := ref(d.t, d.must("9101", in9101(zipped(d.t, "a.txt", text))).Output)
	resultNo, name := ref(d.t, d.must("3202", data(in3202(no, count, total))).nodes["fileinfo"])
	raw := d.call("9102", node{"fsDownloadIn": node{"file_qury_no": resultNo, "filename": name, "fixmedins_code": "plc"}}).raw
	out, err := unpack(raw)
	if err != nil {
		d.t.Fatalf("9102: %v %s", err, raw)
	}
	return string(out)
}

// TestStatementTotals: what is counted is what the centre has, whatever anybody sends.
func TestStatementTotals(t *testing.T) {
	t.Parallel()
	d := newDay(t, StatementOddities{}, "")
	for _, tc := range []struct {
		name string
		in   node
		want string
	}{
		{"balanced: two settlements and a refund", in3201("3", "100.00", "0", "50.00"), "0"},
		{"amounts as numbers", with(with(in3201("3", "0", "0", "50.00"), "medfee_sumamt", json.Number("100.00")), "fixmedins_setl_cnt", 3), "0"},
		{"without refunds", with(in3201("1", "100.00", "0", "50.00"), "refd_setl_flag", "0"), "0"},
		{"a fen too many", in3201("3", "100.01", "0", "50.00"), "3"},
		{"another account", in3201("3", "100.00", "0", "0"), "3"},
		{"the centre has more", in3201("2", "200.00", "0", "50.00"), "1"},
		{"they have more", in3201("4", "200.00", "0", "50.00"), "2"},
		{"another insurance", with(in3201("0", "0", "0", "0"), "insutype", "390"), "0"},
		{"another agency", with(in3201("0", "0", "0", "0"), "setl_optins", "360100"), "0"},
		{"another clearing type", with(in3201("0", "0", "0", "0"), "clr_type", "21"), "0"},
		{"a month", with(with(in3201("3", "100.00", "0", "50.00"), "stmt_begndate", "2025-03-01"), "exp_content", "{}"), "0"},
		{"the day before", with(with(in3201("0", "0", "0", "0"), "stmt_begndate", "2025-03-02"), "stmt_enddate", "2025-03-02"), "0"},
	} {
		if got := d.verdict(tc.in); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	d.must("2601", in2601("P1", "2207", d.firstMsg)) // reversed: it never was
	if got := d.verdict(in3201("2", "0", "0", "0")); got != "0" {
		t.Errorf("after a reversal: %s", got)
	}
	d.sim.SetOddities(Oddities{Statements: StatementOddities{RefundFlag: "absent", CountsSettled: true, SixDigits: true}})
	if got := d.verdict(with(in3201("0", "0", "0", "0"), "refd_setl_flag", nil)); got != "000000" {
		t.Errorf("only what is in force: %s", got)
	}
	if got := d.verdict(in3201("1", "1", "0", "0")); got != "000102" {
		t.Errorf("six digits: %s", got)
	}
}

// TestStatementRefusals: every field is looked at, as in the other transactions.
func TestStatementRefusals(t *testing.T) {
	t.Parallel()
	d := newDay(t, StatementOddities{}, "")
	ok := in3201("3", "100.00", "0", "50.00")
	for _, tc := range []struct {
		field string
		value any
		want  string
	}{
		{"insutype", "", "[insutype]不能为空"}, {"clr_type", nil, "[clr_type]不能为空"}, {"setl_optins", "36", "长度应为6位"},
		{"stmt_begndate", "20250303", "[stmt_begndate]格式"}, {"stmt_begndate", "2025-03-04", "不能晚于"}, {"stmt_begndate", "2025-02-28", "不能跨月"},
		{"stmt_enddate", "2025-03-04", "早于当前日期"}, {"medfee_sumamt", "", "[medfee_sumamt]不能为空"}, {"fund_pay_sumamt", "1.001", "[fund_pay_sumamt]格式"},
		{"acct_pay", nil, "[acct_pay]不能为空"}, {"fixmedins_setl_cnt", "1.5", "[fixmedins_setl_cnt]格式"}, {"refd_setl_flag", nil, "[refd_setl_flag]不能为空"},
		{"refd_setl_flag", "2", "[refd_setl_flag]值域错误"},
	} {
		d.refused("3201", data(with(ok, tc.field, tc.value)), tc.want)
	}
	d.refused("3201", node{}, "[data]不能为空")
	good := zipped(t, "a.txt", d.row(d.first, "P1", "100.00", "50.00", "0"))
	file := func(field string, value any) node {
		in, _ := in9101(good)["fsUploadIn"].(node)
		return node{"fsUploadIn": with(in, field, value)}
	}
	d.refused("9101", file("in", nil), "[in]不能为空")
	d.refused("9101", file("in", "***"), "BASE64")
	d.refused("9101", file("in", []int{1}), "[in]应为字符型")
	d.refused("9101", file("in", base64.StdEncoding.EncodeToString([]byte("PK"))), "ZIP")
	d.refused("9101", file("in", base64.StdEncoding.EncodeToString(zipped(t, "a.csv", ""))), "TXT")
	d.refused("9101", file("filename", "a.txt"), "应为ZIP")
	d.refused("9101", file("filename", ""), "[filename]不能为空")
	d.refused("9101", file("fixmedins_code", clinic), "不一致")
	no, _ := ref(t, d.must("9101", in9101(good)).Output)
	detail := in3202(no, "1", "100.00")
	for _, tc := range []struct {
		field string
		value any
		want  string
	}{
		{"file_qury_no", "fsi/plc/1", "不存在"}, {"file_qury_no", strings.Repeat("1", 31), "[file_qury_no]格式"}, {"clr_type", "", "[clr_type]不能为空"},
		{"cash_payamt", "", "[cash_payamt]不能为空"}, {"fixmedins_setl_cnt", "2", "文件行数[1]"}, {"medfee_sumamt", "100.01", "文件合计[100.00]"},
		{"fund_pay_sumamt", "1", "文件合计[0.00]"}, {"refd_setl_flag", "", "[refd_setl_flag]不能为空"},
	} {
		d.refused("3202", data(with(detail, tc.field, tc.value)), tc.want)
	}
	resultNo, name := ref(t, d.must("3202", data(detail)).nodes["fileinfo"])
	get := node{"file_qury_no": resultNo, "filename": name, "fixmedins_code": "plc"}
	d.refused("9102", node{"fsDownloadIn": with(get, "fixmedins_code", hospital)}, "无权")
	d.refused("9102", node{"fsDownloadIn": with(get, "filename", "b.zip")}, "不存在")
	d.refused("9102", node{"fsDownloadIn": with(get, "file_qury_no", no)}, "不存在")
	d.refused("9102", node{}, "[fsDownloadIn]不能为空")
	d.code = clinic
	d.refused("9102", node{"fsDownloadIn": get}, "不存在")
	d.refused("3202", data(detail), "不存在")
	d.code = hospital
	d.clock.Advance(61 * time.Minute)
	d.refused("9102", node{"fsDownloadIn": get}, "截止时间")
	d.refused("3202", data(detail), "过期")
}

// TestStatementLists: what is wrong with a list is said with its line.
func TestStatementLists(t *testing.T) {
	t.Parallel()
	d := newDay(t, StatementOddities{}, "")
	for _, tc := range []struct{ text, want string }{
		{"S\tM\tP\t1\t0\t0\t0", "最后一行不完整"}, {"\xff\n", "UTF-8"}, {"S\tM\tP\t1\t0\t0\n", "第1行列数[6]应为7"}, {"S\tM\tP\t1\t0\t0\t0\t\n", "列数[8]"},
		{"\tM\tP\t1\t0\t0\t0\n", "[setl_id]"}, {"S\tM\tP\t1.001\t0\t0\t0\n", "[medfee_sumamt]"}, {"S\tM\tP\t-1\t0\t0\t0\n", "[medfee_sumamt]"},
		{"S\tM\tP\t1\t0\t0\t1\n", "[medfee_sumamt]"}, {"S\tM\tP\t1\t0\t0\t2\n", "[refd_setl_flag]"}, {"S\tM\tP\t1\t0\t0\t0\n\n", "第2行"},
	} {
		no, _ := ref(t, d.must("9101", in9101(zipped(t, "a.txt", tc.text))).Output)
		d.refused("3202", data(in3202(no, "1", "1")), tc.want)
	}
}

// TestStatementResult: every verdict, from our own books; and files that survive a kill.
func TestStatementResult(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "journal")
	d := newDay(t, StatementOddities{}, journal)
	mine := func(info map[string]any, psn, msg, said, refund, word, sums string) string {
		return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", psn, info["mdtrt_id"], info["setl_id"], msg, said, refund, word, sums)
	}
	second := fmt.Sprint(d.second["medins_setl_id"])
	cancelMsg := d.sim.cancelIDs[d.cancelID].MsgID
	list := d.row(d.first, "P1", "100.00", "49.99", "0") + d.row(d.second, "P2", "100.00", "0", "0") + "X1\tM1\tP1\t1\t0\t0\t0\n"
	want := mine(d.first, "P1", d.firstMsg, "3", "0", "数据不一致", "100.00\t0.00\t50.00") + mine(d.second, "P2", second, "0", "0", "对平", "100.00\t0.00\t0.00") +
		"P1\tM1\tX1\tnull\t2\t0\t医药机构多\tnull\tnull\tnull\n" +
		mine(map[string]any{"mdtrt_id": d.second["mdtrt_id"], "setl_id": d.cancelID}, "P2", cancelMsg, "1", "1", "中心多", "-100.00\t0.00\t0.00")
	if got := d.compare(list, "3", "201"); got != want {
		t.Errorf("result:\n%s\nwant:\n%s", got, want)
	}
	for _, number := range []any{d.second["setl_id"], d.cancelID} { // a refund under either number
		info := map[string]any{"mdtrt_id": d.second["mdtrt_id"], "setl_id": number}
		got := d.compare(d.row(d.first, "P1", "100.00", "50.00", "0")+d.row(d.second, "P2", "100.00", "0", "0")+d.row(info, "P2", "-100.00", "0", "1"), "3", "100")
		if strings.Count(got, "\t对平\t") != 3 || strings.Count(got, "\n") != 3 || !strings.Contains(got, mine(info, "P2", cancelMsg, "0", "1", "对平", "-100.00\t0.00\t0.00")) {
			t.Errorf("everything balanced:\n%s", got)
		}
	}
	no, _ := ref(t, d.must("9101", in9101(zipped(t, "a.txt", list))).Output)
	if err := d.sim.Close(); err != nil {
		t.Fatal(err)
	}
	d.sim = d.open(Oddities{Statements: StatementOddities{ResultColumns: 11, CRLF: false, FlagFirst: true, Differences: true}}, journal)
	resultNo, name := ref(t, d.must("3202", data(in3202(no, "3", "201"))).nodes["fileinfo"])
	raw := d.call("9102", node{"fsDownloadIn": node{"file_qury_no": resultNo, "filename": name, "fixmedins_code": "plc"}}).raw
	text, err := unpack(raw)
	if err != nil || bytes.Contains(text, []byte("对平")) || !bytes.Contains(text, []byte("\t0\t3\t数据不一致\t100.00\t0.00\t50.00\tnull\n")) {
		t.Errorf("after a kill: %v\n%s", err, text)
	}
}

// TestBomb: it is a true one; its first tenth says so.
func TestBomb(t *testing.T) {
	t.Parallel()
	content, err := bomb()
	if err != nil || len(content) > 1<<20 {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	in, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, in, 30<<20); err != nil || z.File[0].UncompressedSize64 != 300<<20 {
		t.Errorf("%d bytes of %d, %v", n, z.File[0].UncompressedSize64, err)
	}
}
