package core

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// credential is what proves the patient now: the token while it lives, or the identity number, as the Profile says.
func (c *Client) credential(p settlement.Person) (kind, no string, err error) {
	prof := &c.cfg.Profile
	alive := !p.Token.IsZero() && (p.UsableUntil.IsZero() || c.cfg.Clock.Now().Before(p.UsableUntil))
	switch {
	case prof.Credential == ByToken && alive:
		return "01", p.Token.Reveal(), nil
	case (prof.Credential == ByCard || prof.CardAfterToken) && !p.IDNumber.IsZero():
		return "02", p.IDNumber.Reveal(), nil
	}
	return "", "", ErrCredential
}

// visitOf is the bills' common visit as the HIS knows it. Bills of two visits are no single claim.
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

func incomplete(format string, args ...any) error {
	return ErrClaim.Because(fmt.Errorf(format, args...))
}

// rows makes feedetail of the insured lines and proves that they sum to the claim's total.
func (c *Client) rows(claim settlement.Claim, at settlement.Visit) ([]feeRow, error) {
	var rows []feeRow
	sum := money.Fen(0)
	for i := range claim.Bills {
		b := &claim.Bills[i]
		for j := range b.Lines {
			l := &b.Lines[j]
			if l.Uninsured {
				continue
			}
			row, err := c.row(l, &b.Visit)
			if err != nil {
				return nil, fmt.Errorf("line %s: %w", l.No, err)
			}
			row.No = rowNo(claim.BatchNo, len(rows)+1, b.No, l.No)
			row.MdtrtID, row.PersonNo, row.Batch = at.MdtrtID, at.PersonNo, claim.BatchNo
			if sum, err = money.Add(sum, l.Total); err != nil {
				return nil, incomplete("the lines are too much")
			}
			if err := check(row); err != nil {
				return nil, fmt.Errorf("line %s: %w", l.No, err)
			}
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 || sum != claim.Total {
		return nil, incomplete("%d insured lines sum to %s, the claim says %s", len(rows), sum, claim.Total)
	}
	return rows, nil
}

// rowNo is unique within a visit, however often its bills are uploaded anew: the batch and a running number; where the batch leaves no
// room for it, a digest.
func rowNo(batch string, n int, billNo, lineNo string) string {
	if s := fmt.Sprintf("%s-%04d", batch, n); len(s) <= 30 {
		return s
	}
	sum := sha256.Sum256([]byte(batch + "\x00" + billNo + "\x00" + lineNo))
	return hex.EncodeToString(sum[:15])
}

func (c *Client) row(l *bill.Line, v *bill.Visit) (feeRow, error) {
	days, err := c.days(l, v)
	if err != nil {
		return feeRow{}, err
	}
	r := feeRow{DiseaseCode: v.DiseaseCode, RxNo: l.PrescriptionNo, External: "0", Occurred: inChina(l.OccurredAt), Catalogue: l.CatalogueCode,
		HospitalCode: l.HospitalCode, Total: money.InYuan(l.Total), Quantity: json.Number(l.Quantity.String()), Price: json.Number(l.Price.String()),
		Dose: cut(l.Dose, 200), Frequency: cut(l.Frequency, 200), Days: days, Route: cut(l.Route, 200),
		DeptCode: l.DepartmentCode, DeptName: cut(l.DepartmentName, 100), DoctorCode: l.DoctorCode, DoctorName: cut(l.DoctorName, 50),
		ExecDeptCode: l.ExecDeptCode, ExecDeptName: cut(l.ExecDeptName, 100), ExecDrCode: l.ExecDoctorCode, ExecDrName: cut(l.ExecDoctorName, 50),
		Approval: l.Approval}
	defaults(&r.DeptCode, v.DepartmentCode)
	defaults(&r.DeptName, cut(v.DepartmentName, 100))
	defaults(&r.DoctorCode, v.DoctorCode)
	defaults(&r.DoctorName, cut(v.DoctorName, 50))
	defaults(&r.Approval, "0")
	if l.External {
		r.External = "1"
		if r.RxNo == "" {
			return feeRow{}, incomplete("an external prescription without its number")
		}
	}
	if l.OccurredAt.IsZero() {
		return feeRow{}, incomplete("a line without its time")
	}
	if !l.Quantity.Equal(l.Quantity.Truncate(4)) || !l.Price.Equal(l.Price.Truncate(6)) {
		return feeRow{}, incomplete("quantity or price with too many decimals")
	}
	return r, nil
}

// maxDays is what N4,2 holds.
var maxDays = decimal.NewFromInt(99)

// days reads the HIS's free text ("7", "7天"); what is no number of days is left out, unless the area demands it.
func (c *Client) days(l *bill.Line, v *bill.Visit) (json.Number, error) {
	d, err := decimal.NewFromString(strings.TrimSuffix(strings.TrimSpace(l.Days), "天"))
	if err == nil && d.IsPositive() && d.LessThanOrEqual(maxDays) && -d.Exponent() <= 2 {
		return json.Number(d.String()), nil
	}
	if c.cfg.Profile.DaysRequired && c.cfg.Profile.chronic(v.MedType) {
		return "", incomplete("a chronic prescription without its days")
	}
	return "", nil
}

// cut shortens names and descriptions to what the wire takes; codes are never cut.
func cut(s string, runes int) string {
	if r := []rune(s); len(r) > runes {
		return string(r[:runes])
	}
	return s
}

// visitNodes are both nodes of 2203A, checked.
func (c *Client) visitNodes(v *bill.Visit, at settlement.Visit) (visitInfo, []diagnosis, error) {
	if c.cfg.Profile.chronic(v.MedType) && v.DiseaseCode == "" {
		return visitInfo{}, nil, incomplete("a chronic visit without its disease code")
	}
	if len(v.Diagnoses) == 0 {
		return visitInfo{}, nil, incomplete("a visit without a diagnosis")
	}
	info := visitInfo{MdtrtID: at.MdtrtID, PersonNo: at.PersonNo, MedType: v.MedType, Begin: inChina(v.Begun), Condition: cut(v.MainCondition, 1000),
		DiseaseCode: v.DiseaseCode, DiseaseName: cut(v.DiseaseName, 500)}
	list := make([]diagnosis, 0, len(v.Diagnoses))
	for i, d := range v.Diagnoses {
		order := d.Order
		defaults(&order, i+1)
		if order < 1 || order > 99 {
			return visitInfo{}, nil, incomplete("diagnosis number %d", order)
		}
		one := diagnosis{Type: d.Type, Order: order, Code: d.Code, Name: cut(d.Name, 100), Dept: cut(d.Department, 50), DoctorCode: d.DoctorCode,
			DoctorName: cut(d.DoctorName, 50), Time: inChina(d.Time), Valid: "1"}
		if d.Time.IsZero() {
			one.Time = info.Begin
		}
		if err := check(one); err != nil {
			return visitInfo{}, nil, fmt.Errorf("diagnosis %d: %w", i+1, err)
		}
		list = append(list, one)
	}
	return info, list, check(info)
}

// settleInput is node data of 2206; echo adds what 2207 wants besides.
func (c *Client) settleInput(claim settlement.Claim, v *bill.Visit, at settlement.Visit) (settleInput, error) {
	kind, no, err := c.credential(claim.Person)
	if err != nil {
		return settleInput{}, err
	}
	in := settleInput{PersonNo: at.PersonNo, CertType: kind, CertNo: no, MedType: v.MedType, Total: money.InYuan(claim.Total), SettleWay: "01",
		MdtrtID: at.MdtrtID, Batch: claim.BatchNo, UseAccount: "0", Insurance: at.InsuranceType}
	if claim.UseAccount {
		in.UseAccount = "1"
	}
	if c.cfg.Profile.ExtensionName == "exp_content" {
		in.ExpSnake = c.cfg.Profile.Extension
	} else {
		in.ExpContent = c.cfg.Profile.Extension
	}
	return in, nil
}

func (in settleInput) echo(e settlement.Echo) settleInput {
	yuan := func(f money.Fen) *money.Yuan { y := money.InYuan(f); return &y }
	none := ""
	in.Invoice = &none
	in.FullySelf, in.OverLimit, in.FirstSelf, in.InScope = yuan(e.FullySelfPaid), yuan(e.OverLimit), yuan(e.FirstSelfPaid), yuan(e.InScope)
	return in
}

// check proves that every text of a node is as long as its tag says, and there when it must be. ErrClaim names the wire field.
func check(nodes ...any) error {
	for _, n := range nodes {
		v := reflect.ValueOf(n)
		for i := range v.NumField() {
			f := v.Type().Field(i)
			tag, ok := f.Tag.Lookup("c")
			if !ok {
				continue
			}
			length, must := strings.CutSuffix(tag, ",must")
			limit, err := strconv.Atoi(length)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			text := v.Field(i).String()
			switch {
			case err != nil:
				return fmt.Errorf("tag of %s: %w", name, err)
			case must && strings.TrimSpace(text) == "":
				return incomplete("%s is missing", name)
			case utf8.RuneCountInString(text) > limit:
				return incomplete("%s has more than %d characters", name, limit)
			}
		}
	}
	return nil
}

// samePerson compares what 1101 says with the patient. Some provinces mask both; what is masked proves nothing either way.
func samePerson(base personOutput, name sensitive.Name, id sensitive.IDNumber) error {
	if no := string(base.Base.IDNumber); no != "" && !strings.Contains(no, "*") {
		got, err := sensitive.ParseIDNumber(no)
		if err != nil || !got.Equal(id) {
			return ErrPerson.Because(errors.New("certno differs"))
		}
	}
	if n := string(base.Base.Name); n != "" && !strings.Contains(n, "*") && !sensitive.NewName(n).Equal(name) {
		return ErrPerson.Because(errors.New("psn_name differs"))
	}
	return nil
}
