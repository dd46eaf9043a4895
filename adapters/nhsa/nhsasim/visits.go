package nhsasim

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// allBatches is the chrg_bchno that names every unsettled row of a visit (§3.5).
const allBatches = "0000"

// rowsPerCall is how many rows this platform takes in one 2204.
const rowsPerCall = 99

// transact runs one transaction whose head was accepted. The mutex is held.
func (s *Sim) transact(c call) (reply, error) {
	if s.oddities.SystemErrorText != "" {
		return reply{}, refused(s.oddities.SystemErrorText)
	}
	r, ordered := s.ordered(c.infno, s.key(c.infno, c.input))
	if ordered && !r.after {
		return reply{}, refused(r.text)
	}
	out, err := s.dispatch(c)
	if ordered && err == nil {
		return reply{}, refused(r.text)
	}
	return out, err
}

func (s *Sim) dispatch(c call) (reply, error) {
	switch c.infno {
	case "1101":
		return s.personInfo(c)
	case "2201":
		return s.register(c)
	case "2202":
		return s.voidVisit(c)
	case "2203A":
		return s.visitInfo(c)
	case "2204":
		return s.uploadRows(c)
	case "2205":
		return s.withdrawRows(c)
	case "2206", "2207":
		return s.settleCall(c)
	case "2208":
		return s.cancelSettlement(c)
	case "2601":
		return s.reverseCall(c)
	case "3201":
		return s.statementTotal(c)
	case "3202":
		return s.statementDetail(c)
	case "9101":
		return s.takeFile(c)
	case "9102":
		return s.giveFile(c)
	default:
		return s.querySettlement(c)
	}
}

// node reads one object of the input by its table.
func (c call) node(name string, table []field) (values, error) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(c.input[name], &raw) != nil || raw == nil {
		return nil, refuse("交易输入节点[%s]不能为空", name)
	}
	return read(table, raw)
}

// nodes reads one array of the input.
func (c call) nodes(name string, table []field) ([]values, error) {
	var raw []map[string]json.RawMessage
	if json.Unmarshal(c.input[name], &raw) != nil || len(raw) == 0 {
		return nil, refuse("交易输入节点[%s]不能为空", name)
	}
	out := make([]values, 0, len(raw))
	for i, one := range raw {
		v, err := read(table, one)
		if err != nil {
			return nil, refuse("第%d行%s", i+1, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// insured finds the person and checks that the head names one of the person's areas (§1.1 field 4).
func (s *Sim) insured(c call, psnNo string) (*person, error) {
	p := s.persons[psnNo]
	if p == nil {
		return nil, refuse("未查询到人员信息")
	}
	if c.insuplc == "" {
		return nil, refuse("参保地医保区划[insuplc_admdvs]不能为空")
	}
	for _, i := range p.Insurances {
		if i.Area == c.insuplc {
			return p, nil
		}
	}
	return nil, refuse("参保地医保区划[insuplc_admdvs]与参保信息不符")
}

// credential finds whom a credential stands for.
func (s *Sim) credential(kind, no, cardSN string) (*person, error) {
	var match func(p *person) bool
	switch kind {
	case "01":
		if s.authorisations == nil {
			return nil, refuse("医保电子凭证服务未开通")
		}
		id, until, ok := s.authorisations.Authorisation(no)
		if !ok {
			return nil, refuse("医保电子凭证无效")
		}
		if !s.clock.Now().Before(until) {
			return nil, refuse("医保电子凭证已失效,请重新授权")
		}
		match = func(p *person) bool { return p.IDNumber == id }
	case "02":
		match = func(p *person) bool { return p.IDNumber == no }
	case "03":
		if cardSN == "" {
			return nil, refuse("[card_sn]不能为空")
		}
		match = func(p *person) bool { return p.CardNo != "" && p.CardNo == no }
	default:
		return nil, refuse("就诊凭证类型[mdtrt_cert_type]值域错误")
	}
	for _, p := range s.persons {
		if match(p) {
			return p, nil
		}
	}
	return nil, refuse("未查询到人员信息")
}

// ownCredential checks that the credential is the person's own, and that a token, which settles one visit only, has not settled another
// than this one (empty: a new visit). What was settled by it may be undone; that does not make it new.
func (s *Sim) ownCredential(v values, p *person, mdtrtID string) error {
	holder, err := s.credential(v["mdtrt_cert_type"], v["mdtrt_cert_no"], "-")
	switch at, used := s.spent[v["mdtrt_cert_no"]]; {
	case err != nil:
		return err
	case holder != p:
		return refuse("就诊凭证与人员信息不一致")
	case v["mdtrt_cert_type"] == "01" && used && at != mdtrtID:
		return refuse("医保电子凭证已使用,请重新授权")
	}
	return nil
}

// visitOf finds a living visit that belongs to the person and to the calling institution.
func (s *Sim) visitOf(c call, mdtrtID, psnNo string) (*visit, error) {
	v := s.visits[mdtrtID]
	switch {
	case v == nil || v.Institution != c.institution:
		return nil, refuse("未查询到就诊信息[%s]", mdtrtID)
	case v.PsnNo != psnNo:
		return nil, refuse("人员编号与就诊信息不符")
	case v.Area != c.insuplc:
		return nil, refuse("参保地医保区划[insuplc_admdvs]与就诊信息不符")
	case v.Void:
		return nil, refuse("该就诊已撤销挂号")
	}
	return v, nil
}

// personInfo is 1101 (§2.2).
func (s *Sim) personInfo(c call) (reply, error) {
	in, err := c.node("data", table1101)
	if err != nil {
		return reply{}, err
	}
	if c.injected == sandbox.Refuse {
		return reply{}, refuse("未查询到参保信息")
	}
	p, err := s.credential(in["mdtrt_cert_type"], in["mdtrt_cert_no"], in["card_sn"])
	if err != nil {
		return reply{}, err
	}
	if (in["psn_name"] != "" && in["psn_name"] != p.Name) || (in["certno"] != "" && in["certno"] != p.IDNumber) {
		return reply{}, refuse("姓名或证件号码与参保信息不一致")
	}
	rows := []any{}
	for _, i := range p.Insurances {
		rows = append(rows, map[string]any{"balc": money.InYuan(i.Balance), "insutype": i.InsuType, "psn_type": i.PsnType, "psn_insu_stas": i.Status,
			"psn_insu_date": orNull(i.Since), "paus_insu_date": orNull(i.Paused), "cvlserv_flag": flag(i.CivilServant), "insuplc_admdvs": i.Area,
			"emp_name": orNull(i.Employer)})
	}
	extension := "expContent"
	if s.oddities.ExpContentSnake {
		extension = "exp_content"
	}
	base := personFields(p, c)
	base[extension] = s.extensionText(p, in["mdtrt_cert_type"], in["mdtrt_cert_no"])
	identities := []any{}
	if s.oddities.IdentityBesideOutput {
		return reply{output: map[string]any{"baseinfo": base, "insuinfo": rows}, beside: map[string]any{"idetinfo": identities}}, nil
	}
	return reply{output: map[string]any{"baseinfo": base, "insuinfo": rows, "idetinfo": identities}}, nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// personFields are the members of baseinfo and setlinfo that describe the person.
func personFields(p *person, c call) map[string]any {
	sex, birth, age := "2", "", json.Number("0")
	if len(p.IDNumber) == 18 {
		if (p.IDNumber[16]-'0')%2 == 1 {
			sex = "1"
		}
		birth = p.IDNumber[6:10] + "-" + p.IDNumber[10:12] + "-" + p.IDNumber[12:14]
		born, _ := strconv.Atoi(p.IDNumber[6:10]) // digits, as AddPerson takes only checked identity numbers
		years := c.now.In(clock.Shanghai).Year() - born
		if c.now.In(clock.Shanghai).Format("01-02") < birth[5:] {
			years--
		}
		age = json.Number(strconv.Itoa(years))
	}
	return map[string]any{"psn_no": p.PsnNo, "psn_cert_type": "01", "certno": p.IDNumber, "psn_name": p.Name, "gend": sex, "naty": "01",
		"brdy": birth, "age": age}
}

// register is 2201 (§3.1).
func (s *Sim) register(c call) (reply, error) {
	in, err := c.node("data", table2201)
	if err != nil {
		return reply{}, err
	}
	p, err := s.insured(c, in["psn_no"])
	if err != nil {
		return reply{}, err
	}
	if err := s.ownCredential(in, p, ""); err != nil {
		return reply{}, err
	}
	row := p.insurance(in["insutype"], c.insuplc)
	switch {
	case row == nil:
		return reply{}, refuse("该人员未参加险种[%s]", in["insutype"])
	case !row.enjoys(c.now) || c.injected == sandbox.Refuse:
		return reply{}, refuse("该人员参保状态异常,暂不享受医保待遇")
	case s.visitNoOfAnother(c.institution, in["ipt_otp_no"], p):
		return reply{}, refuse("住院/门诊号[%s]已被其他人员使用", in["ipt_otp_no"])
	}
	v := &visit{MdtrtID: s.newID(), PsnNo: p.PsnNo, InsuType: in["insutype"], Area: c.insuplc, Institution: c.institution, VisitNo: in["ipt_otp_no"]}
	if err := s.record(entry{Kind: "visit", MsgID: c.msgID, Visit: v}); err != nil {
		return reply{}, err
	}
	return reply{output: map[string]any{"data": map[string]any{"mdtrt_id": v.MdtrtID, "psn_no": v.PsnNo, "ipt_otp_no": v.VisitNo}}}, nil
}

// visitNoOfAnother reports whether another person has a living visit under that number.
func (s *Sim) visitNoOfAnother(institution, visitNo string, p *person) bool {
	for _, v := range s.visits {
		if v.Institution == institution && v.VisitNo == visitNo && !v.Void && v.PsnNo != p.PsnNo {
			return true
		}
	}
	return false
}

// newID is an insurer's number for a visit or a settlement.
func (s *Sim) newID() string { return strconv.FormatInt(s.source.ID(), 10) }

// voidVisit is 2202 (§3.2): refused while a settlement stands.
func (s *Sim) voidVisit(c call) (reply, error) {
	in, err := c.node("data", table2202)
	if err != nil {
		return reply{}, err
	}
	v, err := s.visitOf(c, in["mdtrt_id"], in["psn_no"])
	switch {
	case err != nil:
		return reply{}, err
	case v.VisitNo != in["ipt_otp_no"]:
		return reply{}, refuse("住院/门诊号与就诊信息不符")
	case len(v.Settled) > 0:
		return reply{}, refuse("该就诊存在已结算费用,不能撤销挂号")
	}
	return reply{}, s.record(entry{Kind: "visit_void", MsgID: c.msgID, MdtrtID: v.MdtrtID})
}

// visitInfo is 2203A (§3.3).
func (s *Sim) visitInfo(c call) (reply, error) {
	in, err := c.node("mdtrtinfo", table2203)
	if err != nil {
		return reply{}, err
	}
	diagnoses, err := c.nodes("diseinfo", tableDiagnosis)
	if err != nil {
		return reply{}, err
	}
	v, err := s.visitOf(c, in["mdtrt_id"], in["psn_no"])
	if err != nil {
		return reply{}, err
	}
	if benefitOf(in["med_type"]) == "14" && in["dise_codg"] == "" {
		return reply{}, refuse("门诊慢特病就诊病种编码[dise_codg]不能为空")
	}
	if len(v.Settled) > 0 && v.MedType != in["med_type"] {
		return reply{}, refuse("该就诊存在已结算费用,不能变更医疗类别")
	}
	for _, d := range diagnoses {
		if !slices.Contains([]string{"1", "2", "3"}, d["diag_type"]) || !slices.Contains([]string{"0", "1"}, d["vali_flag"]) {
			return reply{}, refuse("诊断类别[diag_type]或有效标志[vali_flag]值域错误")
		}
	}
	return reply{}, s.record(entry{Kind: "visit_info", MsgID: c.msgID, MdtrtID: v.MdtrtID, MedType: in["med_type"], Disease: in["dise_codg"]})
}
