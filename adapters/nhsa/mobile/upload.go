package mobile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
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

// Upload is 6201, after 1101 where the HIS has not told who the patient is to the insurer.
func (c *Client) Upload(ctx context.Context, claim settlement.Claim) (settlement.Uploaded, error) {
	if len(claim.Bills) == 0 {
		return settlement.Uploaded{}, incomplete("a claim without bills")
	}
	visit, ec := claim.Visit, claim.Upload.ECToken
	if visit.PersonNo == "" || visit.InsuranceType == "" || visit.CoverageArea == "" {
		if c.cfg.Persons == nil {
			return settlement.Uploaded{}, incomplete("psnNo, insutype or insuplcAdmdvs: the HIS tells none, and nobody else is asked")
		}
		found, token, err := c.cfg.Persons.Insured(ctx, claim.Person)
		if err != nil {
			return settlement.Uploaded{}, fmt.Errorf("upload, 1101: %w", err)
		}
		visit.PersonNo, visit.InsuranceType, visit.CoverageArea, ec = found.PersonNo, found.InsuranceType, found.CoverageArea, token
	}
	claim.Visit, claim.Upload.ECToken = visit, ec
	data, err := c.uploadData(claim)
	if err != nil {
		return settlement.Uploaded{}, fmt.Errorf("upload: %w", err)
	}
	out, err := c.send(ctx, message{number: "6201", data: data, wait: c.cfg.Timeouts.Upload, free: true, hide: hidden(claim)})
	if err != nil {
		return settlement.Uploaded{}, fmt.Errorf("upload: %w", err)
	}
	return uploaded(out, claim)
}

// hidden are the texts of a claim that must not be quoted.
func hidden(claim settlement.Claim) []string { return []string{claim.Person.Name.Reveal()} }

// uploaded reads the answer of 6201.
func uploaded(out fields, claim settlement.Claim) (settlement.Uploaded, error) {
	id, err1 := out.text("payOrdId")
	token, err2 := out.text("payToken")
	visitID, err3 := out.text("mdtrtId")
	if err := errors.Join(err1, err2, err3); err != nil {
		return settlement.Uploaded{}, fmt.Errorf("upload: %w", err)
	}
	if visitID == "" {
		visitID, _ = out.object("extData").text("mdtrtId")
	}
	if id == "" || len(id) > 64 || token == "" {
		return settlement.Uploaded{}, ErrUnreadable.Because(errors.New("6201: without payOrdId or payToken"))
	}
	visit := claim.Visit
	if visitID != "" {
		visit.MdtrtID = visitID
	}
	return settlement.Uploaded{Visit: visit, PayOrdID: id, PayToken: tokenOf(token), ECToken: claim.Upload.ECToken}, nil
}

// uploadData is the business object of 6201: every leaf a text, amounts in yuan with two decimals, times in China.
func (c *Client) uploadData(claim settlement.Claim) (map[string]any, error) {
	v := &claim.Bills[0].Visit
	insuCode := c.cfg.InsuCode
	defaults(&insuCode, claim.Visit.CoverageArea)
	place := claim.Location
	defaults(&place, c.cfg.Location)
	data := map[string]any{
		"orgCodg": c.cfg.OrgCodg, "orgId": c.cfg.OrgID, "psnNo": claim.Visit.PersonNo, "insutype": claim.Visit.InsuranceType,
		"medOrgOrd": claim.Upload.OrderNo, "rxCircFlag": "0", "begntime": inChina(v.Begun), "idNo": claim.Person.IDNumber.Reveal(),
		"userName": claim.Person.Name.Reveal(), "idType": "01", "payAuthNo": claim.Person.Token.Reveal(), "ecToken": claim.Upload.ECToken.Reveal(),
		"mdtrtCertType": c.cfg.MdtrtCertType, "insuCode": insuCode, "insuplcAdmdvs": claim.Visit.CoverageArea, "iptOtpNo": claim.Visit.VisitNo,
		"atddrNo": v.DoctorCode, "drName": v.DoctorName, "deptCode": v.DepartmentCode, "deptName": v.DepartmentName, "caty": v.Caty,
		"mdtrtId": claim.Visit.MdtrtID, "medType": v.MedType, "feeType": "01", "medfeeSumamt": claim.Total.String(),
		"acctUsedFlag": c.accountFlag(claim.UseAccount), "mainCondDscr": v.MainCondition, "diseCodg": v.DiseaseCode, "diseName": v.DiseaseName,
		"psnSetlway": "01", "chrgBchno": claim.BatchNo, "pubHospRfomFlag": c.cfg.PubHospRfomFlag, "uldLatlnt": place,
	}
	if v.Begun.IsZero() {
		data["begntime"] = ""
	}
	if err := ready(data, append(append([]string{}, requiredHead...), c.cfg.Required...)); err != nil {
		return nil, err
	}
	if data["payAuthNo"] == nil && data["ecToken"] == nil {
		return nil, settlement.ErrAuth.Because(errors.New("neither payAuthNo nor ecToken"))
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

func diagnosesOf(v *bill.Visit) ([]any, error) {
	if len(v.Diagnoses) == 0 {
		return nil, incomplete("diseinfoList is missing")
	}
	list := make([]any, 0, len(v.Diagnoses))
	for i, d := range v.Diagnoses {
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

// linesOf are the insured lines of all bills; they sum to the claim's total.
func (c *Client) linesOf(claim settlement.Claim) ([]any, error) {
	var lines []any
	var sum money.Fen
	for i := range claim.Bills {
		b := &claim.Bills[i]
		for j := range b.Lines {
			l := &b.Lines[j]
			if l.Uninsured {
				continue
			}
			node, err := c.line(claim, b, l, len(lines)+1)
			if err != nil {
				return nil, fmt.Errorf("line %s: %w", l.No, err)
			}
			if sum, err = money.Add(sum, l.Total); err != nil {
				return nil, incomplete("the lines are too much")
			}
			lines = append(lines, node)
		}
	}
	if len(lines) == 0 || sum != claim.Total {
		return nil, incomplete("%d insured lines sum to %s, the claim says %s", len(lines), sum, claim.Total)
	}
	return lines, nil
}

func (c *Client) line(claim settlement.Claim, b *bill.Bill, l *bill.Line, n int) (map[string]any, error) {
	if l.OccurredAt.IsZero() {
		return nil, incomplete("feeOcurTime is missing")
	}
	if !l.Quantity.Equal(l.Quantity.Truncate(4)) || !l.Price.Equal(l.Price.Truncate(6)) {
		return nil, incomplete("cnt or pric has too many decimals")
	}
	v := &b.Visit
	dept, deptName, doctor, doctorName := l.DepartmentCode, l.DepartmentName, l.DoctorCode, l.DoctorName
	defaults(&dept, v.DepartmentCode)
	defaults(&deptName, v.DepartmentName)
	defaults(&doctor, v.DoctorCode)
	defaults(&doctorName, v.DoctorName)
	rx, approval, external := l.PrescriptionNo, l.Approval, "0"
	if l.External {
		if external = "1"; rx == "" {
			return nil, incomplete("rxno of an external prescription is missing")
		}
	}
	defaults(&rx, b.No)
	defaults(&approval, c.cfg.HospApprFlag)
	node := map[string]any{"feedetlSn": lineNo(claim.BatchNo, n), "psnNo": claim.Visit.PersonNo, "chrgBchno": claim.BatchNo,
		"mdtrtId": claim.Visit.MdtrtID, "diseCodg": v.DiseaseCode, "rxno": rx, "rxCircFlag": external, "feeOcurTime": inChina(l.OccurredAt),
		"medListCodg": l.CatalogueCode, "medinsListCodg": l.HospitalCode, "medListName": l.Name, "medListSpc": l.Spec,
		"detItemFeeSumamt": l.Total.String(), "cnt": l.Quantity.String(), "pric": l.Price.String(), "sinDosDscr": l.Dose,
		"usedFrquDscr": l.Frequency, "prdDays": days(l.Days), "medcWayDscr": l.Route, "bilgDeptCodg": dept, "bilgDeptName": deptName,
		"bilgDrCodg": doctor, "bilgDrName": doctorName, "acordDeptCodg": l.ExecDeptCode, "acordDeptName": l.ExecDeptName,
		"ordersDrCode": l.ExecDoctorCode, "ordersDrName": l.ExecDoctorName, "hospApprFlag": approval}
	return node, ready(node, requiredLine)
}

// lineNo is unique within a visit, however often its bills are uploaded anew: the batch and a running number; where the batch leaves no room
// for it, a digest.
func lineNo(batch string, n int) string {
	s := fmt.Sprintf("%s-%04d", batch, n)
	if len(s) <= 30 {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:15])
}

// days reads the HIS's free text ("7", "7天"); what is no number of days is left out.
func days(text string) string {
	s := strings.TrimSuffix(strings.TrimSpace(text), "天")
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 1000 {
		return s
	}
	return ""
}
