// Package bill holds bills (门诊费用单, and what is paid like one: registration fees, inpatients' deposits) and their lines as the HIS shows them.
// The HIS owns them; we keep the copy an order was made of.
package bill

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
)

// What the HIS says about a bill, or about being asked. A proved refusal is Rejected or Conflict; everything unsure is Unknown.
var (
	// ErrNotFound is a bill that does not exist, or is another patient's.
	ErrNotFound = fault.New(fault.NotFound, "BILL_NOT_FOUND", "没有找到该费用单")
	// ErrPaid is a bill that was paid elsewhere: at the window, by another order.
	ErrPaid = fault.New(fault.Conflict, "BILL_PAID", "该费用单已在其他渠道缴费，无需重复支付")
	// ErrVoid is a bill that was withdrawn.
	ErrVoid = fault.New(fault.Conflict, "BILL_VOID", "该费用单已作废，请咨询开单科室")
	// ErrChanged is a bill whose lines or total changed since they were shown.
	ErrChanged = fault.New(fault.Conflict, "BILL_CHANGED", "费用单内容已变更，请重新确认金额")
	// ErrLocked is a bill that is being paid elsewhere at this moment.
	ErrLocked = fault.New(fault.Conflict, "BILL_LOCKED", "该费用单正在其他渠道缴费，请稍后再试")
	// ErrNotRefundable is an item that cannot go back as it is: handed out, done, reported.
	ErrNotRefundable = fault.New(fault.Conflict, "BILL_NOT_REFUNDABLE", "药品已发放或项目已执行，请先到相应科室办理退药、退检后再申请退费")
	// ErrOver is a bill whose time to be paid is over, or too short to pay in.
	ErrOver = fault.New(fault.Conflict, "BILL_OVER", "该费用单的缴费时限已到，请重新挂号，或咨询医院窗口")
	// ErrMaintenance is a HIS that says it takes nothing now; nothing was done.
	ErrMaintenance = fault.New(fault.Unavailable, "HIS_MAINTENANCE", "医院系统维护中，请稍后再试或到窗口缴费")
	// ErrUnreadable is an answer of the HIS that cannot be trusted: wrong form, wrong sums, negative amounts, broken signature.
	ErrUnreadable = fault.New(fault.Unknown, "HIS_UNREADABLE", "医院返回的费用信息有误，暂不能缴费，请到窗口处理")
	// ErrNoAnswer is a HIS that did not answer.
	ErrNoAnswer = fault.New(fault.Unknown, "HIS_NO_ANSWER", "医院系统暂无应答，请稍后再试")
)

// State is what the HIS says of a bill.
type State string

// The states.
const (
	Unpaid State = "unpaid" // 待缴费
	Paid   State = "paid"   // 已缴费
	Void   State = "void"   // 已作废
)

// Summary is one row of the list of pending bills (待缴费列表).
type Summary struct {
	No         string // the HIS's own number of the bill, up to 64 characters; opaque
	HISPatient string
	State      State
	Total      money.Fen
	Created    time.Time
	Department string
	Doctor     string
	Locked     bool      // someone is paying it now
	Kind       Kind      // what it asks money for
	Visit      string    // the visit's number; empty where the list does not tell it
	PayBy      time.Time // until when the HIS holds the slot or the amount; zero: no end of its own
}

// Bill is one bill in full, with everything that 2201, 2203A, 2204 and 6201 want to know.
type Bill struct {
	No         string    `json:"no"`
	HISPatient string    `json:"his_patient"`
	State      State     `json:"state"`
	Total      money.Fen `json:"total_fen"`
	Created    time.Time `json:"created"`
	Visit      Visit     `json:"visit"`
	Lines      []Line    `json:"lines"`
	Kind       Kind      `json:"kind,omitempty"`  // what it asks money for
	PayBy      time.Time `json:"pay_by,omitzero"` // until when the HIS holds the slot or the amount; zero: no end of its own
}

// Visit is the outpatient visit (就诊) the bill belongs to.
type Visit struct {
	No             string      `json:"no"` // hospital's visit number, unique inside the hospital
	Begun          time.Time   `json:"begun"`
	DepartmentCode string      `json:"department_code"`
	DepartmentName string      `json:"department_name"`
	Caty           string      `json:"caty"` // 科别, national code
	DoctorCode     string      `json:"doctor_code"`
	DoctorName     string      `json:"doctor_name"`
	MedType        string      `json:"med_type"` // 医疗类别: 11 ordinary outpatient, 12 registration, 14 chronic …; empty for a deposit
	MainCondition  string      `json:"main_condition,omitempty"`
	DiseaseCode    string      `json:"disease_code,omitempty"` // 病种编码, for chronic and special disease
	DiseaseName    string      `json:"disease_name,omitempty"`
	Diagnoses      []Diagnosis `json:"diagnoses"`
	PersonNo       string      `json:"psn_no,omitempty"`   // 人员编号, if the HIS registered with the insurer itself
	InsurerVisitID string      `json:"mdtrt_id,omitempty"` // 就诊ID; then no 2201 is sent
	InsuranceType  string      `json:"insutype,omitempty"` // 险种类型
	CoverageArea   string      `json:"insuplc,omitempty"`  // 参保地医保区划
}

// Diagnosis is one row of diseinfo of 2203A.
type Diagnosis struct {
	Type       string    `json:"type"` // 1 western, 2 TCM main disease, 3 TCM syndrome
	Order      int       `json:"order"`
	Code       string    `json:"code"`
	Name       string    `json:"name"`
	Department string    `json:"department"`
	DoctorCode string    `json:"doctor_code"`
	DoctorName string    `json:"doctor_name"`
	Time       time.Time `json:"time"`
}

// Line is one item of a bill (费用明细). Uninsured lines are never sent to the insurer.
type Line struct {
	No             string          `json:"no"` // unique within the bill
	Uninsured      bool            `json:"uninsured,omitempty"`
	Category       string          `json:"category"` // 费用类别 for the patient: 西药费, 检查费 …
	Name           string          `json:"name"`
	Spec           string          `json:"spec,omitempty"`
	Unit           string          `json:"unit,omitempty"`
	CatalogueCode  string          `json:"med_list_codg,omitempty"` // 医疗目录编码, national
	HospitalCode   string          `json:"medins_list_codg"`        // hospital's own item code
	Quantity       decimal.Decimal `json:"quantity"`                // at most 4 decimals
	Price          decimal.Decimal `json:"price"`                   // yuan, at most 6 decimals
	Total          money.Fen       `json:"total_fen"`
	OccurredAt     time.Time       `json:"occurred_at"`
	PrescriptionNo string          `json:"rxno,omitempty"`
	External       bool            `json:"rx_circ,omitempty"` // external prescription
	Dose           string          `json:"dose,omitempty"`
	Frequency      string          `json:"frequency,omitempty"`
	Route          string          `json:"route,omitempty"`
	Days           string          `json:"days,omitempty"`
	DepartmentCode string          `json:"department_code"` // ordering
	DepartmentName string          `json:"department_name"`
	DoctorCode     string          `json:"doctor_code"`
	DoctorName     string          `json:"doctor_name"`
	ExecDeptCode   string          `json:"exec_dept_code,omitempty"` // executing
	ExecDeptName   string          `json:"exec_dept_name,omitempty"`
	ExecDoctorCode string          `json:"exec_doctor_code,omitempty"`
	ExecDoctorName string          `json:"exec_doctor_name,omitempty"`
	Approval       string          `json:"hosp_appr_flag"` // 0, 1, 2; meaning is local
}

// Insured is the sum of the lines that go to the insurer. Only a checked bill may be asked.
func (b *Bill) Insured() money.Fen {
	var sum money.Fen
	for _, l := range b.Lines {
		if !l.Uninsured {
			sum += l.Total
		}
	}
	return sum
}

// Check returns ErrUnreadable unless the bill can be paid as it stands: a number, lines, amounts above zero that are price × quantity
// to the fen (half up), line numbers that differ, a kind that allows them, and a total that is the sum of the lines.
func (b *Bill) Check() error {
	fail := func(format string, args ...any) error {
		return ErrUnreadable.Because(fmt.Errorf("bill: "+format, args...))
	}
	if b.No == "" || len(b.No) > 64 || strings.TrimSpace(b.No) != b.No || b.HISPatient == "" || b.Visit.No == "" {
		return fail("bill, patient or visit number is missing or malformed")
	}
	if len(b.Lines) == 0 || len(b.Lines) > 2000 {
		return fail("%d lines", len(b.Lines))
	}
	seen := make(map[string]bool, len(b.Lines))
	sum := money.Fen(0)
	for i := range b.Lines {
		l := &b.Lines[i]
		if l.No == "" || seen[l.No] {
			return fail("line %d has no number of its own", i+1)
		}
		seen[l.No] = true
		if err := l.check(); err != nil {
			return fail("line %d: %w", i+1, err)
		}
		var err error
		if sum, err = money.Add(sum, l.Total); err != nil || sum > money.Max {
			return fail("the lines are too much")
		}
	}
	if err := b.checkKind(); err != nil {
		return fail("%w", err)
	}
	if b.Total <= 0 || sum != b.Total {
		return fail("the lines sum to %s, the bill says %s", sum, b.Total)
	}
	return nil
}

func (l *Line) check() error {
	if l.Name == "" || l.HospitalCode == "" || (!l.Uninsured && l.CatalogueCode == "") {
		return errors.New("name or code is missing")
	}
	if l.Quantity.Sign() <= 0 || l.Price.Sign() < 0 || l.Total < 0 || l.Total > money.Max {
		return errors.New("quantity, price or amount is not positive")
	}
	if !within(l.Quantity, 4) || !within(l.Price, 6) {
		return errors.New("too many decimals")
	}
	if !amount(l.Quantity, l.Price).Equal(decimal.NewFromInt(int64(l.Total))) {
		return fmt.Errorf("price × quantity is not %s", l.Total)
	}
	return nil
}

// amount is quantity × price in fen, rounded half up.
func amount(quantity, price decimal.Decimal) decimal.Decimal {
	return quantity.Mul(price).Shift(2).Round(0)
}

// Amount is what a part of a checked line is worth.
func Amount(quantity, price decimal.Decimal) money.Fen {
	return money.Fen(amount(quantity, price).IntPart())
}

// Countable reports whether a number can be a quantity: above zero, at most 4 decimals, and of a size that can be reckoned with.
func Countable(quantity decimal.Decimal) bool { return within(quantity, 4) && quantity.Sign() > 0 }

// within reports whether a number has at most so many decimals; zeros behind them do not count. The size is looked at first: arithmetic on
// 1e1000000000 would fill the memory.
func within(d decimal.Decimal, places int32) bool {
	return d.Exponent() >= -18 && d.Exponent() <= 12 && d.Equal(d.Truncate(places))
}

// Canonical is the bill as bytes for a digest: equal bytes, equal bill.
func (b *Bill) Canonical() ([]byte, error) { return json.Marshal(b) }
