package his

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

type findRequest struct {
	Name   string `json:"name"`
	IDType string `json:"id_type"` // 01 居民身份证
	IDNo   string `json:"id_no"`
}

// findAnswer is §3.1.
type findAnswer struct {
	Count    int `json:"count"`
	Patients []struct {
		PatientID string `json:"patient_id"` // 院内患者号
		CardNo    string `json:"card_no"`    // 就诊卡号
		Name      string `json:"name"`
		IDNo      string `json:"id_no"`
		CreatedAt moment `json:"created_at"`
	} `json:"patients"`
}

// FindPatient lists the archives of exactly this person, newest first. An answer that contains anybody else is unreadable as a whole:
// a hospital that confuses persons once may do it twice.
func (c *Client) FindPatient(ctx context.Context, name sensitive.Name, id sensitive.IDNumber) ([]patient.HISRecord, error) {
	o := operation{name: "patients/find", deadline: c.config.LookupDeadline, codes: codeNone}
	var out findAnswer
	code, rest, err := c.call(ctx, o, findRequest{Name: name.Reveal(), IDType: "01", IDNo: id.Reveal()}, &out)
	switch {
	case err != nil:
		return nil, err
	case code == codeNone:
		return nil, none(o, rest)
	case len(out.Patients) == 0 || out.Count != len(out.Patients):
		return nil, unreadable(o, "%d patients, said to be %d", len(out.Patients), out.Count)
	}
	records := make([]patient.HISRecord, 0, len(out.Patients))
	for i, p := range out.Patients {
		number, err := sensitive.ParseIDNumber(p.IDNo)
		found := patient.HISRecord{HISPatient: p.PatientID, CardNo: maskCard(p.CardNo), Name: sensitive.NewName(p.Name),
			IDNumber: number, CreatedAt: p.CreatedAt.Time}
		if err != nil || !found.Name.Equal(name) || !number.Equal(id) {
			return nil, unreadable(o, "archive %d is another person's", i+1)
		}
		if !Number64(p.PatientID) || p.CreatedAt.IsZero() ||
			slices.ContainsFunc(records, func(r patient.HISRecord) bool { return r.HISPatient == p.PatientID }) {
			return nil, unreadable(o, "archive %d has no number of its own, or no date", i+1)
		}
		records = append(records, found)
	}
	slices.SortStableFunc(records, func(a, b patient.HISRecord) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return records, nil
}

// none accepts "no data" only when there is none.
func none(o operation, data []byte) error {
	var out struct {
		Count    int   `json:"count"`
		Patients []any `json:"patients"`
		Bills    []any `json:"bills"`
	}
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	if err := into(data, &out); err != nil {
		return unreadable(o, "no data: %w", err)
	}
	if out.Count != 0 || len(out.Patients)+len(out.Bills) > 0 {
		return unreadable(o, "no data, but data")
	}
	return nil
}

// maskCard shows the last four characters of a card's number.
func maskCard(s string) string {
	if len(s) < 8 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r > '~' }) {
		return "****"
	}
	return "****" + s[len(s)-4:]
}

// Number64 reports whether it is a number of the hospital's: 1 to 64 printable ASCII characters without blanks.
func Number64(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

type pendingRequest struct {
	PatientID string `json:"patient_id"`
}

// pendingAnswer is §3.2.
type pendingAnswer struct {
	PatientID string `json:"patient_id"`
	Count     int    `json:"count"`
	TotalFen  amount `json:"total_fen"`
	Bills     []struct {
		BillNo    string `json:"bill_no"`
		VisitNo   string `json:"visit_no"`
		State     string `json:"state"`
		TotalFen  amount `json:"total_fen"`
		CreatedAt moment `json:"created_at"`
		Dept      named  `json:"dept"`
		Doctor    named  `json:"doctor"`
		Locked    bool   `json:"locked"`
		Kind      string `json:"kind"` // of 1.3; absent: outpatient
		PayBy     moment `json:"pay_by"`
	} `json:"bills"`
}

// Pending lists the unpaid bills of a HIS patient, newest first.
func (c *Client) Pending(ctx context.Context, hisPatient string) ([]bill.Summary, error) {
	o := operation{name: "bills/pending", deadline: c.config.LookupDeadline, codes: codeNone + " " + codeNotFound}
	var out pendingAnswer
	code, rest, err := c.call(ctx, o, pendingRequest{PatientID: hisPatient}, &out)
	switch {
	case err != nil:
		return nil, err
	case code == codeNone:
		return nil, none(o, rest)
	case code != codeDone:
		return nil, refusal(o, code)
	case out.PatientID != hisPatient:
		return nil, unreadable(o, "the bills are another person's")
	case len(out.Bills) == 0 || out.Count != len(out.Bills) || !out.TotalFen.present:
		return nil, unreadable(o, "%d bills, said to be %d", len(out.Bills), out.Count)
	}
	list := make([]bill.Summary, 0, len(out.Bills))
	sum := money.Fen(0)
	for i, b := range out.Bills {
		if !Number64(b.BillNo) || b.CreatedAt.IsZero() || b.State != string(bill.Unpaid) || b.TotalFen.fen <= 0 ||
			slices.ContainsFunc(list, func(s bill.Summary) bool { return s.No == b.BillNo }) {
			return nil, unreadable(o, "bill %d of the list is not an unpaid bill of its own", i+1)
		}
		if sum, err = money.Add(sum, b.TotalFen.fen); err != nil {
			return nil, unreadable(o, "%w", err)
		}
		kind, err := bill.ParseKind(b.Kind)
		if err != nil || (b.VisitNo != "" && !Number64(b.VisitNo)) {
			return nil, unreadable(o, "bill %d of the list: its kind, or its visit", i+1)
		}
		list = append(list, bill.Summary{No: b.BillNo, HISPatient: hisPatient, State: bill.Unpaid, Total: b.TotalFen.fen,
			Created: b.CreatedAt.Time, Department: b.Dept.Name, Doctor: b.Doctor.Name, Locked: b.Locked,
			Kind: kind, Visit: b.VisitNo, PayBy: b.PayBy.Time})
	}
	if sum != out.TotalFen.fen {
		return nil, unreadable(o, "the bills sum to %s, said to be %s", sum, out.TotalFen.fen)
	}
	slices.SortStableFunc(list, func(a, b bill.Summary) int { return b.Created.Compare(a.Created) })
	return list, nil
}

type detailRequest struct {
	PatientID string `json:"patient_id"`
	BillNo    string `json:"bill_no"`
}

// Detail reads one bill in full, checked. A bill that is in truth another patient's is not found, whatever the hospital sends.
func (c *Client) Detail(ctx context.Context, hisPatient, billNo string) (*bill.Bill, error) {
	o := operation{name: "bills/detail", deadline: c.config.LookupDeadline, codes: codeNotFound}
	var out struct {
		Bill *wireBill `json:"bill"`
	}
	code, _, err := c.call(ctx, o, detailRequest{PatientID: hisPatient, BillNo: billNo}, &out)
	switch {
	case err != nil:
		return nil, err
	case code != codeDone:
		return nil, refusal(o, code)
	case out.Bill == nil || out.Bill.BillNo != billNo:
		return nil, unreadable(o, "not the bill that was asked for")
	case out.Bill.PatientID != hisPatient:
		return nil, bill.ErrNotFound.Because(fmt.Errorf("his %s: the bill is another patient's", o.name))
	}
	b, err := out.Bill.domain()
	if err != nil {
		return nil, unreadable(o, "%w", err)
	}
	if err := b.Check(); err != nil {
		return nil, fmt.Errorf("his %s: %w", o.name, err)
	}
	return b, nil
}
