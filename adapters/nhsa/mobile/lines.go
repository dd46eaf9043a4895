package mobile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/settlement"
)

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
	defaults(&rx, b.No) // what was not prescribed stands under its bill
	defaults(&approval, c.cfg.HospApprFlag)
	node := map[string]any{"feedetlSn": lineNo(claim.BatchNo, n), "psnNo": claim.Visit.PersonNo, "chrgBchno": claim.BatchNo,
		"mdtrtId": claim.Visit.MdtrtID, "diseCodg": v.DiseaseCode, "rxno": rx, "rxCircFlag": external, "feeOcurTime": inChina(l.OccurredAt),
		"medListCodg": l.CatalogueCode, "medinsListCodg": l.HospitalCode, "medListName": l.Name, "medListSpc": l.Spec,
		"detItemFeeSumamt": l.Total.String(), "cnt": l.Quantity.String(), "pric": price(l.Price), "sinDosDscr": l.Dose,
		"usedFrquDscr": l.Frequency, "prdDays": days(l.Days), "medcWayDscr": l.Route, "bilgDeptCodg": dept, "bilgDeptName": deptName,
		"bilgDrCodg": doctor, "bilgDrName": doctorName, "acordDeptCodg": l.ExecDeptCode, "acordDeptName": l.ExecDeptName,
		"ordersDrCode": l.ExecDoctorCode, "ordersDrName": l.ExecDoctorName, "hospApprFlag": approval}
	return node, ready(node, requiredLine)
}

// price is a unit price in yuan: two decimals, or as many as it has, at most six.
func price(p decimal.Decimal) string {
	if p.Equal(p.Truncate(2)) {
		return p.StringFixed(2)
	}
	return p.Truncate(6).String()
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
