package mobile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/settlement"
)

// The required members of 6201 (费用明细上传, §4.1): of its head, of a diagnosis, and of a line. Config.Required adds to the head.
var (
	requiredHead = []string{"orgCodg", "psnNo", "insutype", "medOrgOrd", "begntime", "idNo", "userName", "idType", "mdtrtCertType", "insuCode",
		"insuplcAdmdvs", "iptOtpNo", "deptCode", "deptName", "caty", "medType", "feeType", "medfeeSumamt", "psnSetlway", "chrgBchno",
		"pubHospRfomFlag", "uldLatlnt"}
	requiredDiagnosis = []string{"diagType", "diagSrtNo", "diagCode", "diagName", "diagDept", "diseDorNo", "diseDorName", "diagTime"}
	requiredLine      = []string{"feedetlSn", "psnNo", "chrgBchno", "rxno", "feeOcurTime", "medListCodg", "medinsListCodg", "detItemFeeSumamt", "cnt",
		"pric", "bilgDeptCodg", "bilgDeptName", "bilgDrCodg", "bilgDrName", "hospApprFlag"}
)

// longest are the lengths that are sourced (§4.8); everything else is unknown and sent as it is.
var longest = map[string]int{"medOrgOrd": 20, "payAuthNo": 40, "uldLatlnt": 40, "chrgBchno": 30, "feedetlSn": 30}

func incomplete(format string, args ...any) error {
	return ErrClaim.Because(fmt.Errorf(format, args...))
}

// Upload is 6201 (费用明细上传), after 1101 where the HIS has not told who the patient is to the insurer.
func (c *Client) Upload(ctx context.Context, claim settlement.Claim) (settlement.Uploaded, error) {
	if err := c.alive(claim.Person); err != nil {
		return settlement.Uploaded{}, fmt.Errorf("upload: %w", err)
	}
	claim, err := c.identified(ctx, claim)
	if err != nil {
		return settlement.Uploaded{}, fmt.Errorf("upload: %w", err)
	}
	data, err := c.uploadData(claim)
	if err != nil {
		return settlement.Uploaded{}, fmt.Errorf("upload: %w", err)
	}
	out, err := c.send(ctx, message{number: "6201", data: data, wait: c.cfg.Timeouts.Upload, free: true, hide: hidden(claim)})
	if err != nil {
		return settlement.Uploaded{}, fmt.Errorf("upload: %w", err)
	}
	u, err := uploaded(out.fields, claim)
	if err != nil {
		return settlement.Uploaded{}, fmt.Errorf("upload: %w", err)
	}
	return u, nil
}

// alive proves that the authorisation may still be used. A spent one would only cost the patient an upload.
func (c *Client) alive(p settlement.Person) error {
	switch {
	case p.Token.IsZero():
		return settlement.ErrAuth.Because(errors.New("without payAuthNo"))
	case !p.UsableUntil.IsZero() && !c.cfg.Clock.Now().Before(p.UsableUntil):
		return settlement.ErrAuth.Because(errors.New("payAuthNo is too old"))
	}
	return nil
}

// identified fills in who the patient is to the insurer. What the HIS told and 1101 contradicts is nobody's to decide here. As long as 6201
// has not left, an answer that does not come is Unavailable, for there is nothing to find out about.
func (c *Client) identified(ctx context.Context, claim settlement.Claim) (settlement.Claim, error) {
	v := &claim.Visit
	byToken := c.cfg.RefundCredential == ecToken && claim.Upload.ECToken.IsZero() // a refund would lack it
	if v.PersonNo != "" && v.InsuranceType != "" && v.CoverageArea != "" && !byToken {
		return claim, nil
	}
	if c.cfg.Persons == nil {
		return claim, incomplete("psnNo, insutype or insuplcAdmdvs: the HIS tells none, and nobody else is asked")
	}
	found, token, err := c.cfg.Persons.Insured(ctx, claim.Person)
	if e, ok := fault.Find(err); ok && e.Kind == fault.Rejected {
		if !errors.Is(err, settlement.ErrAuth) && says(e.Msg, c.cfg.AuthErrors) {
			return claim, settlement.ErrAuth.Saying(e.Msg).Because(err)
		}
		return claim, fmt.Errorf("1101: %w", err)
	}
	if err != nil {
		return claim, ErrNotSent.Because(fmt.Errorf("1101: %w", err))
	}
	for _, m := range []struct {
		name  string
		known *string
		found string
	}{{"psnNo", &v.PersonNo, found.PersonNo}, {"insutype", &v.InsuranceType, found.InsuranceType}, {"insuplcAdmdvs", &v.CoverageArea, found.CoverageArea}} {
		if *m.known != "" && m.found != "" && *m.known != m.found {
			return claim, incomplete("%s: the HIS and 1101 differ", m.name)
		}
		defaults(m.known, m.found)
	}
	if !token.IsZero() {
		claim.Upload.ECToken = token
	}
	return claim, nil
}

// hidden are the texts of a claim that must not be quoted.
func hidden(claim settlement.Claim) []string {
	return []string{claim.Person.Name.Reveal(), claim.Person.IDNumber.Reveal(), claim.Person.Token.Reveal(), claim.Upload.PayToken.Reveal(),
		claim.Upload.ECToken.Reveal(), claim.Location}
}

// uploaded reads the answer of 6201.
func uploaded(out fields, claim settlement.Claim) (settlement.Uploaded, error) {
	id, err1 := out.text("payOrdId")
	token, err2 := out.text("payToken")
	visitID, err3 := out.text("mdtrtId")
	orderNo, err4 := out.text("medOrgOrd")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return settlement.Uploaded{}, err
	}
	switch {
	case id == "" || len(id) > 64 || token == "":
		return settlement.Uploaded{}, ErrUnreadable.Because(errors.New("6201: without payOrdId or payToken"))
	case orderNo != "" && orderNo != claim.Upload.OrderNo:
		return settlement.Uploaded{}, ErrUnreadable.Because(errors.New("6201: the answer is about another medOrgOrd"))
	case visitID == "":
		visitID, _ = out.object("extData").text("mdtrtId")
	}
	visit := claim.Visit
	if visitID != "" {
		visit.MdtrtID = visitID
	}
	return settlement.Uploaded{Visit: visit, PayOrdID: id, PayToken: tokenOf(token), ECToken: claim.Upload.ECToken}, nil
}

// uploadData is the business object of 6201: every leaf a text, amounts in yuan with two decimals, times in China.
func (c *Client) uploadData(claim settlement.Claim) (map[string]any, error) {
	v, err := visitOf(claim.Bills)
	if err != nil {
		return nil, err
	}
	insuCode := c.cfg.InsuCode
	defaults(&insuCode, claim.Visit.CoverageArea)
	data := map[string]any{
		"orgCodg": c.cfg.OrgCodg, "orgId": c.cfg.OrgID, "psnNo": claim.Visit.PersonNo, "insutype": claim.Visit.InsuranceType,
		"medOrgOrd": claim.Upload.OrderNo, "rxCircFlag": prescribed(claim.Bills), "begntime": inChina(v.Begun), "idNo": claim.Person.IDNumber.Reveal(),
		"userName": claim.Person.Name.Reveal(), "idType": "01", "payAuthNo": claim.Person.Token.Reveal(), "ecToken": claim.Upload.ECToken.Reveal(),
		"mdtrtCertType": c.cfg.MdtrtCertType, "insuCode": insuCode, "insuplcAdmdvs": claim.Visit.CoverageArea, "iptOtpNo": claim.Visit.VisitNo,
		"atddrNo": v.DoctorCode, "drName": v.DoctorName, "deptCode": v.DepartmentCode, "deptName": v.DepartmentName, "caty": v.Caty,
		"mdtrtId": claim.Visit.MdtrtID, "medType": v.MedType, "feeType": "01", "medfeeSumamt": claim.Total.String(),
		"acctUsedFlag": c.accountFlag(claim.UseAccount), "mainCondDscr": v.MainCondition, "diseCodg": v.DiseaseCode, "diseName": v.DiseaseName,
		"psnSetlway": c.cfg.PsnSetlway, "chrgBchno": claim.BatchNo, "pubHospRfomFlag": c.cfg.PubHospRfomFlag, "uldLatlnt": claim.Location,
	}
	if v.Begun.IsZero() {
		data["begntime"] = ""
	}
	if err := ready(data, c.required); err != nil {
		return nil, err
	}
	diagnoses, err := diagnosesOf(v)
	if err != nil {
		return nil, err
	}
	lines, err := c.linesOf(claim)
	if err != nil {
		return nil, err
	}
	data["diseinfoList"], data["feedetailList"] = diagnoses, lines
	return data, nil
}

// visitOf is the bills' common visit. Bills of two visits are no single upload.
func visitOf(bills []bill.Bill) (*bill.Visit, error) {
	if len(bills) == 0 {
		return nil, incomplete("a claim without bills")
	}
	for i := range bills {
		if bills[i].Visit.No != bills[0].Visit.No {
			return nil, incomplete("bills of several visits")
		}
	}
	return &bills[0].Visit, nil
}

// prescribed is rxCircFlag of the head: 1 where a prescription is filled outside.
func prescribed(bills []bill.Bill) string {
	for i := range bills {
		if slices.ContainsFunc(bills[i].Lines, func(l bill.Line) bool { return l.External && !l.Uninsured }) {
			return "1"
		}
	}
	return "0"
}

// accountFlag is acctUsedFlag by the area's rule.
func (c *Client) accountFlag(wanted bool) string {
	if c.cfg.AccountUse == "always" || (c.cfg.AccountUse == "patient" && wanted) {
		return "1"
	}
	return "0"
}

// ready cleans the texts of a node, drops the empty ones, and names the first that is missing or too long.
func ready(node map[string]any, required []string) error {
	for name, v := range node {
		s, isText := v.(string)
		if !isText {
			continue
		}
		if s = cleanText(s); s == "" {
			delete(node, name)
			continue
		}
		node[name] = s
		if most := longest[name]; most > 0 && utf8.RuneCountInString(s) > most {
			return incomplete("%s has more than %d characters", name, most)
		}
	}
	for _, name := range required {
		if s, _ := node[name].(string); strings.TrimSpace(s) == "" {
			return incomplete("%s is missing", name)
		}
	}
	return nil
}

// diagnosesOf are the diagnoses in the HIS's order, numbered from 1.
func diagnosesOf(v *bill.Visit) ([]any, error) {
	if len(v.Diagnoses) == 0 {
		return nil, incomplete("diseinfoList is missing")
	}
	ordered := slices.Clone(v.Diagnoses)
	slices.SortStableFunc(ordered, func(a, b bill.Diagnosis) int { return a.Order - b.Order })
	list := make([]any, 0, len(ordered))
	for i, d := range ordered {
		at := d.Time
		if at.IsZero() {
			at = v.Begun
		}
		node := map[string]any{"diagType": d.Type, "diagSrtNo": strconv.Itoa(i + 1), "diagCode": d.Code, "diagName": d.Name, "diagDept": d.Department,
			"diseDorNo": d.DoctorCode, "diseDorName": d.DoctorName, "diagTime": inChina(at), "valiFlag": "1"}
		if err := ready(node, requiredDiagnosis); err != nil {
			return nil, fmt.Errorf("diagnosis %d: %w", i+1, err)
		}
		list = append(list, node)
	}
	return list, nil
}
