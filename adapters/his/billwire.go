package his

import (
	"cmp"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/bill"
)

// wireBill is §3.3, the bill with everything that 2201, 2203A, 2204 and 6201 of the insurer want to know.
type wireBill struct {
	BillNo    string     `json:"bill_no"`
	PatientID string     `json:"patient_id"`
	State     string     `json:"state"`
	TotalFen  amount     `json:"total_fen"`
	LineCount int        `json:"line_count"`
	CreatedAt moment     `json:"created_at"`
	Visit     wireVisit  `json:"visit"`
	Diagnoses []wireDise `json:"diagnoses"`
	Lines     []wireLine `json:"lines"`
	Kind      string     `json:"kind"` // of 1.3; absent: outpatient
	PayBy     moment     `json:"pay_by"`
}

type wireDept struct {
	named
	Caty string `json:"caty"` // 科别
}

type wireVisit struct {
	VisitNo      string   `json:"visit_no"` // 门诊号 ipt_otp_no
	BeganAt      moment   `json:"began_at"`
	MedType      string   `json:"med_type"` // 医疗类别; absent: that of the bill's kind
	Dept         wireDept `json:"dept"`
	Doctor       named    `json:"doctor"` // code: 医保医师代码
	Complaint    string   `json:"main_complaint"`
	DiseaseCode  string   `json:"disease_code"` // 病种编码
	DiseaseName  string   `json:"disease_name"`
	PsnNo        string   `json:"psn_no"`         // 人员编号
	VisitID      string   `json:"mdtrt_id"`       // 就诊ID
	Insutype     string   `json:"insutype"`       // 险种类型
	CoverageArea string   `json:"insuplc_admdvs"` // 参保地医保区划
}

type wireDise struct {
	Type   string `json:"type"` // 1 西医诊断, 2 中医主病, 3 中医主证
	Seq    int    `json:"seq"`
	Code   string `json:"code"`
	Name   string `json:"name"`
	Dept   string `json:"dept"`
	Doctor named  `json:"doctor"`
	At     moment `json:"at"`
	Valid  bool   `json:"valid"`
}

type wireLine struct {
	LineNo       string `json:"line_no"`
	Insured      *bool  `json:"insured"`
	Class        string `json:"class"` // A 甲, B 乙, C 丙, N 不报医保
	CategoryName string `json:"category_name"`
	Name         string `json:"name"`
	Spec         string `json:"spec"`
	Unit         string `json:"unit"`
	National     string `json:"med_list_codg"`    // 医疗目录编码
	Own          string `json:"medins_list_codg"` // 医药机构目录编码
	Quantity     figure `json:"quantity"`
	Price        figure `json:"price"` // yuan
	TotalFen     amount `json:"total_fen"`
	OccurredAt   moment `json:"occurred_at"`
	RxNo         string `json:"rx_no"`       // 处方号
	External     bool   `json:"external_rx"` // 外配处方
	Dose         string `json:"dose"`
	Frequency    string `json:"frequency"`
	Route        string `json:"route"`
	Days         string `json:"days"`
	Dept         named  `json:"dept"`   // 开单科室
	Doctor       named  `json:"doctor"` // 开单医师
	ExecDept     named  `json:"exec_dept"`
	ExecDoctor   named  `json:"exec_doctor"`
	Approval     string `json:"hosp_appr_flag"` // 医院审批标志
}

// domain turns the wire's bill into ours. What the insurer requires must be there and fit its columns (nhsa-core §3); the sums are
// checked by bill.Check afterwards.
func (w *wireBill) domain() (*bill.Bill, error) {
	state := bill.State(w.State)
	switch {
	case state != bill.Unpaid && state != bill.Paid && state != bill.Void:
		return nil, errors.New("the bill's state is not documented")
	case !w.TotalFen.present || w.CreatedAt.IsZero():
		return nil, errors.New("the bill has no total or no date")
	case w.LineCount != len(w.Lines):
		return nil, fmt.Errorf("%d lines, said to be %d", len(w.Lines), w.LineCount)
	}
	kind, err := bill.ParseKind(w.Kind)
	if err != nil {
		return nil, err
	}
	visit, err := w.Visit.domain(kind)
	if err != nil {
		return nil, err
	}
	b := &bill.Bill{No: w.BillNo, HISPatient: w.PatientID, State: state, Total: w.TotalFen.fen, Created: w.CreatedAt.Time, Visit: visit,
		Kind: kind, PayBy: w.PayBy.Time}
	for i, d := range w.Diagnoses {
		if d.Type == "" || len(d.Type) > 3 || d.Code == "" || len(d.Code) > 20 || !fits(d.Name, 100) || !fits(d.Dept, 50) ||
			d.Doctor.empty() || d.At.IsZero() || d.Seq < 0 || d.Seq > 99 {
			return nil, fmt.Errorf("diagnosis %d is not complete", i+1)
		}
		if d.Valid {
			b.Visit.Diagnoses = append(b.Visit.Diagnoses, bill.Diagnosis{Type: d.Type, Order: d.Seq, Code: d.Code, Name: d.Name,
				Department: d.Dept, DoctorCode: d.Doctor.Code, DoctorName: d.Doctor.Name, Time: d.At.Time})
		}
	}
	insured := false
	for i := range w.Lines {
		l, err := w.Lines[i].domain()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		insured = insured || !l.Uninsured
		b.Lines = append(b.Lines, l)
	}
	if insured && len(b.Visit.Diagnoses) == 0 {
		return nil, errors.New("insured lines without a diagnosis")
	}
	return b, nil
}

func (w *wireVisit) domain(kind bill.Kind) (bill.Visit, error) {
	if !Number64(w.VisitNo) || len(w.VisitNo) > 30 || w.BeganAt.IsZero() || len(w.MedType) > 6 || w.Dept.empty() ||
		w.Dept.Caty == "" || len(w.Dept.Caty) > 6 || w.Doctor.empty() || len(w.PsnNo) > 30 || len(w.VisitID) > 30 ||
		(w.VisitID != "" && w.PsnNo == "") || len(w.Insutype) > 6 || len(w.CoverageArea) > 6 {
		return bill.Visit{}, errors.New("the visit is not complete")
	}
	return bill.Visit{No: w.VisitNo, Begun: w.BeganAt.Time, DepartmentCode: w.Dept.Code, DepartmentName: w.Dept.Name, Caty: w.Dept.Caty,
		DoctorCode: w.Doctor.Code, DoctorName: w.Doctor.Name, MedType: cmp.Or(w.MedType, kind.MedType()), MainCondition: w.Complaint, DiseaseCode: w.DiseaseCode,
		DiseaseName: w.DiseaseName, PersonNo: w.PsnNo, InsurerVisitID: w.VisitID, InsuranceType: w.Insutype,
		CoverageArea: w.CoverageArea}, nil
}

func (w *wireLine) domain() (bill.Line, error) {
	switch {
	case !w.TotalFen.present || w.OccurredAt.IsZero():
		return bill.Line{}, errors.New("no total or no date")
	case w.Insured == nil || (len(w.Class) != 1) || w.Class < "A" || (w.Class > "C" && w.Class != "N") || *w.Insured == (w.Class == "N"):
		return bill.Line{}, errors.New("class and insured contradict each other")
	case !Number64(w.LineNo) || len(w.LineNo) > 30 || !fits(w.Name, 200) || len(w.National) > 50 || len(w.Own) > 150:
		return bill.Line{}, errors.New("number, name or codes")
	case w.Dept.empty() || w.Doctor.empty() || len(w.Approval) != 1 || w.Approval < "0" || w.Approval > "2":
		return bill.Line{}, errors.New("ordering department, doctor or hosp_appr_flag")
	}
	return bill.Line{No: w.LineNo, Uninsured: !*w.Insured, Category: w.CategoryName, Name: w.Name, Spec: w.Spec, Unit: w.Unit,
		CatalogueCode: w.National, HospitalCode: w.Own, Quantity: w.Quantity.Decimal, Price: w.Price.Decimal, Total: w.TotalFen.fen,
		OccurredAt: w.OccurredAt.Time, PrescriptionNo: w.RxNo, External: w.External, Dose: w.Dose, Frequency: w.Frequency, Route: w.Route,
		Days: w.Days, DepartmentCode: w.Dept.Code, DepartmentName: w.Dept.Name, DoctorCode: w.Doctor.Code, DoctorName: w.Doctor.Name,
		ExecDeptCode: w.ExecDept.Code, ExecDeptName: w.ExecDept.Name, ExecDoctorCode: w.ExecDoctor.Code,
		ExecDoctorName: w.ExecDoctor.Name, Approval: w.Approval}, nil
}

// fits is a text that is there and not longer than the insurer's column.
func fits(s string, runes int) bool { return s != "" && utf8.RuneCountInString(s) <= runes }
