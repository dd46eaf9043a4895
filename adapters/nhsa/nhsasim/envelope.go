package nhsasim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// The forms of times on the wire, all in China time.
const (
	dateTime = "2006-01-02 15:04:05"
	date     = "2006-01-02"
	compact  = "20060102150405"
	millis   = "20060102150405.000"
)

// skew is how far a gateway lets x-tif-timestamp be off.
const skew = 5 * time.Minute

// paths are the services of the third URL style (§1.4), misspelt as the platform spells them.
var paths = map[string]string{
	"1101":  "/fsi/api/fsiPsnInfoService/queryPsnInfo",
	"2201":  "/fsi/api/outpatientDocInfoService/outpatientRregistration",
	"2202":  "/fsi/api/outpatientDocInfoService/outpatientRegistrationCancel",
	"2203A": "/fsi/api/outpatientDocInfoService/outpatientMdtrtinfoUpA",
	"2204":  "/fsi/api/outpatientDocInfoService/outpatientFeeListUp",
	"2205":  "/fsi/api/outpatientDocInfoService/outpatientFeeListUpCancel",
	"2206":  "/fsi/api/outpatientSettleService/preSettletment",
	"2207":  "/fsi/api/outpatientSettleService/saveSettletmentV2",
	"2208":  "/fsi/api/outpatientSettleService/cancleSettletment",
	"2601":  "/fsi/api/reverseService/revsMethod",
	"3201":  "/fsi/api/ybSettlementStmtService/stmtTotal",
	"3202":  "/fsi/api/ybSettlementStmtService/stmtDetail",
	"5203":  "/fsi/api/fsiIntegratedQueryService/querySetlInfo",
	"9101":  "/fsi/api/fileupload/upload",
	"9102":  "/fsi/api/fileupload/download",
}

// headFields is the request head (§1.1), by the newer lengths. input is looked at apart.
var headFields = []field{
	{"infno", text, 6, 0, true}, {"msgid", text, 30, 0, true}, {"mdtrtarea_admvs", text, 6, 0, true}, {"insuplc_admdvs", text, 6, 0, false},
	{"recer_sys_code", text, 10, 0, true}, {"dev_no", text, 100, 0, false}, {"dev_safe_info", text, 2000, 0, false},
	{"cainfo", text, 1024, 0, false}, {"signtype", text, 10, 0, false}, {"infver", text, 6, 0, true}, {"opter_type", text, 3, 0, true},
	{"opter", text, 30, 0, true}, {"opter_name", text, 50, 0, true}, {"inf_time", moment, 19, 0, true},
	{"fixmedins_code", text, 30, 0, true}, {"fixmedins_name", text, 200, 0, true}, {"sign_no", text, 30, 0, false},
}

// call is one request whose head was read.
type call struct {
	infno, msgID, area, insuplc, institution string
	input                                    map[string]json.RawMessage
	injected                                 sandbox.Fault
	now                                      time.Time
}

// refused is a business refusal: infcode −1 with this text.
type refused string

func (r refused) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refused(fmt.Sprintf(format, args...)) }

// maxRequest is the largest request the gateway takes.
const maxRequest = 4 << 20

// serve is the gateway: headers and signature first (HTTP 401), then the head (infcode −1), then the transaction.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		http.Error(w, "POST application/json only", http.StatusMethodNotAllowed)
		return
	}
	if err := s.checkHeaders(r.Header); err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"errcode": 401, "errmsg": err.Error()})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "body too large or cut", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	received := s.clock.Now()
	c, err := s.readCall(r.URL.Path, body)
	var out reply
	if err == nil {
		c.injected, c.now = sandbox.Injected(r.Context()), received
		out, err = s.transact(c)
	}
	if _, business := errors.AsType[refused](err); err != nil && !business {
		http.Error(w, "<html>500 Internal Server Error</html>", http.StatusInternalServerError) // the journal failed: nothing is promised
		return
	}
	s.answer(w, c, received, out, err)
}

// checkHeaders verifies the gateway's own headers (§1.3). The signature covers no body.
func (s *Sim) checkHeaders(h http.Header) error {
	stamp, nonce := h.Get("x-tif-timestamp"), h.Get("x-tif-nonce")
	if h.Get("x-tif-paasid") != s.paasID {
		return refused("x-tif-paasid unknown")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(stamp) != 10 {
		return refused("x-tif-timestamp is not Unix seconds")
	}
	if off := s.clock.Now().Sub(time.Unix(seconds, 0)); off > skew || off < -skew {
		return refused("x-tif-timestamp expired")
	}
	if nonce == "" || len(nonce) > 64 {
		return refused("x-tif-nonce missing or too long")
	}
	sum := sha256.Sum256([]byte(stamp + s.secret.Reveal() + nonce + stamp))
	if subtle.ConstantTimeCompare([]byte(h.Get("x-tif-signature")), []byte(hex.EncodeToString(sum[:]))) != 1 {
		return refused("x-tif-signature wrong")
	}
	return nil
}

// readCall reads and checks the head. The returned call is usable for answering even on an error.
func (s *Sim) readCall(path string, body []byte) (call, error) {
	var c call
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return c, refuse("报文格式错误:不是JSON对象")
	}
	head, err := read(headFields, all)
	if err != nil {
		return c, err
	}
	c = call{infno: head["infno"], msgID: head["msgid"], area: head["mdtrtarea_admvs"], insuplc: head["insuplc_admdvs"], institution: head["fixmedins_code"]}
	inst, known := s.institutions[c.institution]
	switch {
	case paths[c.infno] == "":
		return c, refuse("交易编号[%s]不存在", c.infno)
	case !pathFits(path, c.infno):
		return c, refuse("服务地址与交易编号[%s]不符", c.infno)
	case len(c.msgID) != 30:
		return c, refuse("发送方报文ID[msgid]长度应为30位")
	case !known:
		return c, refuse("定点医药机构编号[%s]未备案", c.institution)
	case c.area != inst.Area:
		return c, refuse("就医地医保区划[mdtrtarea_admvs]与机构不符")
	case c.insuplc != "" && len(c.insuplc) != 6:
		return c, refuse("参保地医保区划[insuplc_admdvs]长度应为6位")
	case !slices.Contains([]string{"1", "2", "3"}, head["opter_type"]):
		return c, refuse("经办人类别[opter_type]值域错误")
	case json.Unmarshal(all["input"], &c.input) != nil || c.input == nil:
		return c, refuse("交易输入[input]不能为空")
	case s.seen[c.msgID]:
		return c, refuse("发送方报文ID[%s]重复", c.msgID)
	}
	s.seen[c.msgID] = true
	return c, nil
}

// pathFits accepts the three URL styles.
func pathFits(path, infno string) bool {
	if strings.Contains(path, "/fsi/api/") {
		return strings.HasSuffix(path, paths[infno])
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	_, isNumber := paths[last]
	return !isNumber || last == infno
}

// reply is a transaction's output; nil where it has no node. beside is written next to output; file is written for all of it.
type reply struct {
	output map[string]any
	beside map[string]any
	file   []byte
}

// answer writes the response head (§1.2).
func (s *Sim) answer(w http.ResponseWriter, c call, received time.Time, out reply, err error) {
	s.sequence++
	if err == nil && out.file != nil {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(out.file)
		return
	}
	area := c.area
	if len(area) != 6 {
		area = "000000"
	}
	now := s.clock.Now().In(clock.Shanghai)
	head := map[string]any{"infcode": 0, "err_msg": s.oddities.SuccessMessage, "warn_msg": nil, "cainfo": nil, "signtype": nil,
		"inf_refmsgid": fmt.Sprintf("%s%s%010d", area, now.Format(compact), s.sequence%1e10),
		"refmsg_time":  strings.Replace(received.In(clock.Shanghai).Format(millis), ".", "", 1),
		"respond_time": strings.Replace(now.Format(millis), ".", "", 1)}
	for k, v := range out.beside {
		head[k] = v
	}
	switch {
	case err != nil:
		head["infcode"], head["err_msg"], head["output"] = -1, err.Error(), nil
	case out.output != nil:
		head["output"] = out.output
	case !s.oddities.OutputAbsent:
		head["output"] = map[string]any{}
	}
	if s.oddities.InfcodeString {
		head["infcode"] = fmt.Sprint(head["infcode"])
	}
	if o, ok := head["output"].(map[string]any); ok && s.oddities.OutputString {
		packed, _ := json.Marshal(o) // maps of texts and amounts
		head["output"] = string(packed)
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	_ = json.NewEncoder(w).Encode(head)
}
