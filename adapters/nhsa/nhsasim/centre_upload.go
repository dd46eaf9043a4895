package nhsasim

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// upload is one payment order of the centre (费用明细上传): the rows of one batch in a visit, and how far they have come. The journal needs the
// plain texts.
type upload struct {
	PayOrdID    string    `json:"pay_ord_id"`
	PayToken    string    `json:"pay_token"`
	OrderNo     string    `json:"med_org_ord"`
	Institution string    `json:"org_codg"`
	PsnNo       string    `json:"psn_no"`
	MdtrtID     string    `json:"mdtrt_id"`
	Batch       string    `json:"chrg_bchno"`
	Auth        string    `json:"pay_auth_no,omitempty"` // from 6201, or from the 6202 that follows one with ecToken alone
	ECToken     string    `json:"ec_token,omitempty"`
	MedType     string    `json:"med_type"`
	UseAccount  bool      `json:"use_account,omitempty"` // what 6201 said, in case 6202 says nothing
	Rows        []feeRow  `json:"rows"`
	At          time.Time `json:"at"`

	Stas       int        `json:"-"` // ordStas
	Foreseen   *foreseen  `json:"-"` // by the 6202 that came last
	Asked      *mixedSums `json:"-"` // what WeChat wanted settled
	Reason     string     `json:"-"` // why it was not
	SetlID     string     `json:"-"`
	RevsToken  string     `json:"-"`
	CashBack   money.Fen  `json:"-"` // by 6203
	InsurerGot bool       `json:"-"` // the insurer's part back
}

// foreseen is one 6202 (支付下单).
type foreseen struct {
	Serial     string  `json:"org_biz_ser"`
	Auth       string  `json:"pay_auth_no"`
	UseAccount bool    `json:"use_account"`
	Amounts    amounts `json:"amounts"`
}

// The values of 6201 (§4.7).
var (
	choices6201 = []choice{{"idType", []string{"01"}}, {"mdtrtCertType", []string{"01"}}, {"feeType", []string{"01"}}, {"psnSetlway", []string{"01"}},
		{"rxCircFlag", []string{"0", "1"}}, {"acctUsedFlag", []string{"0", "1"}}, {"pubHospRfomFlag", []string{"0", "1"}}}
	choicesDiagnosis = []choice{{"diagType", []string{"1", "2", "3"}}, {"valiFlag", []string{"0", "1"}}}
	choicesLine      = []choice{{"rxCircFlag", []string{"0", "1"}}, {"hospApprFlag", []string{"0", "1", "2"}}}
)

// takeUpload is 6201: all of it or nothing. It registers the visit unless the hospital names one that is registered.
func (s *Sim) takeUpload(c centreCall) (map[string]any, error) {
	in, rows, err := s.readUpload(c)
	if err != nil {
		return nil, err
	}
	p, row, err := s.payee(c, in)
	if err != nil {
		return nil, err
	}
	v, err := s.visitOfUpload(c, in, p, row)
	if err != nil {
		return nil, err
	}
	if c.injected == sandbox.Refuse {
		return nil, refuse("该人员参保状态异常,暂不享受医保待遇")
	}
	u := &upload{PayOrdID: s.newPayOrdID(row.Area, c.now), PayToken: s.source.Nonce(32), OrderNo: in["medOrgOrd"], Institution: c.app.OrgCodg,
		PsnNo: p.PsnNo, MdtrtID: v.MdtrtID, Batch: in["chrgBchno"], Auth: in["payAuthNo"], ECToken: in["ecToken"], MedType: in["medType"],
		UseAccount: in["acctUsedFlag"] == "1", Rows: rows, At: c.now}
	e := entry{Kind: "upload", Upload: u}
	if s.visits[v.MdtrtID] == nil {
		e.Visit = v
	}
	if err := s.record(e); err != nil {
		return nil, err
	}
	return s.placeVisit(map[string]any{"payOrdId": u.PayOrdID, "payToken": u.PayToken}, u.MdtrtID), nil
}

// placeVisit adds mdtrtId where this centre tells it.
func (s *Sim) placeVisit(out map[string]any, mdtrtID string) map[string]any {
	extension, _ := out["extData"].(map[string]any)
	if s.oddities.Centre.VisitInExtension {
		if extension == nil {
			extension = map[string]any{}
		}
		extension["mdtrtId"] = mdtrtID
	} else {
		out["mdtrtId"] = mdtrtID
	}
	if extension == nil && s.oddities.Centre.EmptyExtension {
		extension = map[string]any{}
	}
	if extension != nil {
		out["extData"] = extension
	}
	return out
}

// newPayOrdID has one of the forms in the field: ORD, the city, the time, seven digits (§4.8).
func (s *Sim) newPayOrdID(area string, now time.Time) string {
	for {
		id := fmt.Sprintf("ORD%s%s%07d", area, now.In(clock.Shanghai).Format(compact), s.source.ID()%1e7)
		if s.uploads[id] == nil {
			return id
		}
	}
}

// readUpload reads 6201 by its tables and checks what needs no knowledge of anybody: values, numbers used once, sums.
func (s *Sim) readUpload(c centreCall) (values, []feeRow, error) {
	in, err := readCentre(table6201, c.data)
	if err != nil {
		return nil, nil, err
	}
	diagnoses, err := readCentreList("diseinfoList", table6201Diagnosis, c.data["diseinfoList"])
	if err != nil {
		return nil, nil, err
	}
	lines, err := readCentreList("feedetailList", table6201Line, c.data["feedetailList"])
	if err != nil {
		return nil, nil, err
	}
	if err := in.choose(choices6201...); err != nil {
		return nil, nil, err
	}
	for i, d := range diagnoses {
		if err := d.choose(choicesDiagnosis...); err != nil {
			return nil, nil, refuse("[diseinfoList]第%d行%s", i+1, err)
		}
	}
	org := c.app.OrgCodg
	switch {
	case in["orgCodg"] != org:
		return nil, nil, refuse("机构编码[orgCodg]与应用不符")
	case in["payAuthNo"] == "" && in["ecToken"] == "":
		return nil, nil, refuse("[payAuthNo]与[ecToken]不能同时为空")
	case !place(in["uldLatlnt"]):
		return nil, nil, refuse("[uldLatlnt]应为经度,纬度")
	case s.taken[numberOf(org, "medOrgOrd", in["medOrgOrd"])]:
		return nil, nil, refuse("医疗机构订单号[medOrgOrd]重复")
	case s.taken[numberOf(org, "chrgBchno", in["chrgBchno"])] || in["chrgBchno"] == allBatches:
		return nil, nil, refuse("收费批次号[chrgBchno]重复")
	}
	rows, err := s.rowsOf(in, lines, org)
	if err != nil {
		return nil, nil, err
	}
	return in, rows, sumsFit(in, rows)
}

// numberOf names what may be used once in an institution.
func numberOf(institution, member, value string) string {
	return institution + "|" + member + "|" + value
}

// rowsOf checks and divides the fee lines.
func (s *Sim) rowsOf(head values, lines []values, org string) ([]feeRow, error) {
	rows := make([]feeRow, 0, len(lines))
	taken := map[string]bool{}
	for i, l := range lines {
		err := l.choose(choicesLine...)
		switch {
		case err != nil:
		case l["psnNo"] != head["psnNo"] || l["chrgBchno"] != head["chrgBchno"]:
			err = refuse("人员编号或收费批次号与主单不一致")
		case (l["mdtrtId"] != "" && l["mdtrtId"] != head["mdtrtId"]) || (l["diseCodg"] != "" && l["diseCodg"] != head["diseCodg"]):
			err = refuse("就诊ID或病种编码与主单不一致")
		case taken[l["feedetlSn"]] || s.taken[numberOf(org, "feedetlSn", l["feedetlSn"])]:
			err = refuse("费用明细流水号[%s]重复", l["feedetlSn"])
		case !l.decimal("cnt").IsPositive() || l.decimal("pric").IsNegative():
			err = refuse("数量或单价不能为负数")
		case inFen(l.decimal("cnt").Mul(l.decimal("pric"))) != l.fen("detItemFeeSumamt"):
			err = refuse("明细项目费用总额与数量、单价不符")
		}
		if err != nil {
			return nil, refuse("[feedetailList]第%d行%s", i+1, err)
		}
		taken[l["feedetlSn"]] = true
		b, _ := splitLine(s.items[l["medListCodg"]], l["hospApprFlag"], l.fen("detItemFeeSumamt"), l.decimal("cnt"))
		rows = append(rows, feeRow{No: l["feedetlSn"], Disease: head["diseCodg"], Split: b})
	}
	return rows, nil
}

// sumsFit compares the head's amounts with the lines (§4.1).
func sumsFit(in values, rows []feeRow) error {
	parts := make([]money.Fen, 0, len(rows))
	for _, r := range rows {
		parts = append(parts, r.Split.Total)
	}
	sum, err := money.Add(parts...)
	if total := in.fen("medfeeSumamt"); err != nil || total <= 0 || sum != total {
		return refuse("医疗费总额[medfeeSumamt]与明细合计[%s]不符", sum)
	}
	if in["fulamtOwnpayAmt"] != "" && in["preselfpayAmt"] != "" && in["inscpScpAmt"] != "" {
		parts := in.fen("fulamtOwnpayAmt") + in.fen("overlmtSelfpay") + in.fen("preselfpayAmt") + in.fen("inscpScpAmt")
		if parts != in.fen("medfeeSumamt") {
			return refuse("全自费、先行自付与符合范围金额合计与医疗费总额不符")
		}
	}
	return nil
}

// payee is the insured person to be paid for, who must have authorised it, or for whom a relative has.
func (s *Sim) payee(c centreCall, in values) (*person, *Insurance, error) {
	p := s.persons[in["psnNo"]]
	if p == nil || p.IDNumber != in["idNo"] || p.Name != in["userName"] {
		return nil, nil, refuse("人员编号、姓名或证件号码与参保信息不一致")
	}
	row := p.insurance(in["insutype"], in["insuplcAdmdvs"])
	switch {
	case row == nil:
		return nil, nil, refuse("险种类型[insutype]或参保地[insuplcAdmdvs]与参保信息不符")
	case in["insuCode"] != row.Area && in["insuCode"] != s.institutions[c.app.OrgCodg].Area:
		return nil, nil, refuse("统筹区编码[insuCode]与参保信息不符")
	case !row.enjoys(c.now):
		return nil, nil, refuse("该人员参保状态异常,暂不享受医保待遇")
	case in["payAuthNo"] == "" && !s.oddities.Centre.BusinessToken:
		return nil, nil, refuse("[payAuthNo]不能为空")
	case in["payAuthNo"] == "":
		return p, row, nil
	case in["ecToken"] != "" && in["ecToken"] != businessToken(in["payAuthNo"]):
		return nil, nil, refuse("授权令牌[ecToken]与授权码不符,请重新授权")
	}
	return p, row, s.authorised(in["payAuthNo"], p, c.now, "")
}

// authorised checks that an authorisation is the person's, or was given for the person by a relative, and that it may still be used: it ends
// with its time, or with the first 6202 that succeeds, and then it serves the order of that 6202 alone.
func (s *Sim) authorised(payAuthNo string, p *person, now time.Time, payOrdID string) error {
	if s.authorisations == nil {
		return refuse("医保电子凭证服务未开通")
	}
	id, until, ok := s.authorisations.Authorisation(payAuthNo)
	of, used := s.spent[payAuthNo]
	switch {
	case !ok:
		return refuse("授权码[payAuthNo]无效,请重新授权")
	case id != p.IDNumber:
		return refuse("授权码[payAuthNo]与参保人不一致,请重新授权")
	case used && of == payOrdID:
		return nil
	case used:
		return refuse("授权码已使用,请重新授权")
	case !now.Before(until):
		return refuse("授权码已失效,请重新授权")
	}
	return nil
}

// businessToken is the token of the e-credential that goes with an authorisation.
func businessToken(payAuthNo string) string {
	sum := gm.SM3([]byte("business_token|" + payAuthNo))
	return "EC" + hex.EncodeToString(sum[:])
}

// visitOfUpload finds the visit that 6201 names, or makes one that is not recorded yet.
func (s *Sim) visitOfUpload(c centreCall, in values, p *person, row *Insurance) (*visit, error) {
	if id := in["mdtrtId"]; id != "" {
		v := s.visits[id]
		switch {
		case v == nil || v.Institution != c.app.OrgCodg || v.PsnNo != p.PsnNo || v.InsuType != row.InsuType || v.Area != row.Area ||
			v.VisitNo != in["iptOtpNo"]:
			return nil, refuse("未查询到就诊信息[%s]", id)
		case v.Void:
			return nil, refuse("该就诊已撤销挂号")
		case v.MedType != "" && v.MedType != in["medType"]:
			return nil, refuse("医疗类别[medType]与就诊信息不符")
		case v.DiseaseCode != "" && v.DiseaseCode != in["diseCodg"]:
			return nil, refuse("病种编码[diseCodg]与就诊信息不符")
		case len(v.Batches[in["chrgBchno"]]) > 0 || v.Settled[in["chrgBchno"]] != "":
			return nil, refuse("收费批次号[chrgBchno]重复")
		}
		return v, nil
	}
	if s.visitNoOfAnother(c.app.OrgCodg, in["iptOtpNo"], p) {
		return nil, refuse("住院/门诊号[%s]已被其他人员使用", in["iptOtpNo"])
	}
	if benefitOf(in["medType"]) == "14" && in["diseCodg"] == "" {
		return nil, refuse("门诊慢特病就诊病种编码[diseCodg]不能为空")
	}
	return &visit{MdtrtID: s.newID(), PsnNo: p.PsnNo, InsuType: row.InsuType, Area: row.Area, Institution: c.app.OrgCodg, VisitNo: in["iptOtpNo"],
		MedType: in["medType"], DiseaseCode: in["diseCodg"]}, nil
}

// uploadOf finds the upload that a call other than 6201 is about.
func (s *Sim) uploadOf(c centreCall, in values) (*upload, error) {
	u := s.uploads[in["payOrdId"]]
	if u == nil || u.Institution != c.app.OrgCodg {
		return nil, refuse("支付订单[payOrdId]不存在")
	}
	return u, nil
}

// ownUpload is uploadOf for 6301 and 6401, which show the token and the person.
func (s *Sim) ownUpload(c centreCall) (*upload, error) {
	in, err := readCentre(table6301, c.data)
	if err != nil {
		return nil, err
	}
	u, err := s.uploadOf(c, in)
	if err != nil {
		return nil, err
	}
	p := s.persons[u.PsnNo]
	switch {
	case in["payToken"] != u.PayToken:
		return nil, refuse("支付令牌[payToken]无效")
	case in["orgCodg"] != c.app.OrgCodg:
		return nil, refuse("机构编码[orgCodg]与应用不符")
	case in["idNo"] != p.IDNumber || in["userName"] != p.Name || in["idType"] != "01":
		return nil, refuse("姓名或证件号码与支付订单不一致")
	}
	return u, nil
}

// revokeUpload is 6401 (费用明细上传撤销): only before anything is being settled.
func (s *Sim) revokeUpload(c centreCall) (map[string]any, error) {
	u, err := s.ownUpload(c)
	if err != nil {
		return nil, err
	}
	if u.Stas != stasSaved && u.Stas != stasForeseen {
		return nil, refuse("支付订单状态[%d]不允许撤销", u.Stas)
	}
	if err := s.record(entry{Kind: "upload_void", PayOrdID: u.PayOrdID}); err != nil {
		return nil, err
	}
	if s.oddities.Centre.BareRevoke {
		return nil, nil
	}
	return map[string]any{"payOrdId": u.PayOrdID}, nil
}

// extensionText is expContent of 1101 as far as this area fills it.
func (s *Sim) extensionText(p *person, certType, certNo string) string {
	local := map[string]string{"acct_mulaid_balc": p.Family.String()}
	if certType == "01" && s.oddities.Centre.BusinessToken {
		local["business_token"] = businessToken(certNo)
	}
	out, _ := json.Marshal(local) // texts only
	return string(out)
}
