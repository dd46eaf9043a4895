package hissim

import (
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/money"
)

// Patient is one archive (档案) of a person. A person may have several, until somebody merges them.
type Patient struct {
	ID        string    `json:"patient_id"`
	CardNo    string    `json:"card_no"`
	Name      string    `json:"name"`
	IDNo      string    `json:"id_no"`
	CreatedAt time.Time `json:"created_at"`
	// What the hospital registered with the insurer itself, if it did; copied into the person's visits.
	PsnNo        string `json:"psn_no,omitempty"`
	Insutype     string `json:"insutype,omitempty"`
	CoverageArea string `json:"insuplc_admdvs,omitempty"`

	MergedInto string `json:"merged_into,omitempty"` // the archive in which it ended
}

// BillState is where a bill stands.
type BillState string

// The states of a bill. A lock is not a state: it stands beside the bill and expires by itself.
const (
	Unpaid BillState = "unpaid" // 待缴费
	Paid   BillState = "paid"   // 已缴费
	Void   BillState = "void"   // 已作废
)

// Where a bill was paid, seen from the platform that asks.
const (
	atPlatform = "platform" // by an order of the platform
	atWindow   = "window"   // at the window
)

// Bill is one bill (门诊费用单, 挂号, 住院预交金) with its visit. Amounts are fen.
type Bill struct {
	No           string      `json:"bill_no"`
	PatientID    string      `json:"patient_id"`
	State        BillState   `json:"state"`
	TotalFen     money.Fen   `json:"total_fen"`
	CreatedAt    time.Time   `json:"created_at"`
	VisitNo      string      `json:"visit_no"`
	VisitTime    time.Time   `json:"visit_time"`
	MedType      string      `json:"med_type,omitempty"` // 医疗类别; a deposit has none
	Complaint    string      `json:"main_complaint,omitempty"`
	DiseaseCode  string      `json:"disease_code,omitempty"`
	DiseaseName  string      `json:"disease_name,omitempty"`
	Dept         Department  `json:"dept"`
	Doctor       Doctor      `json:"doctor"`
	PsnNo        string      `json:"psn_no,omitempty"`
	VisitID      string      `json:"mdtrt_id,omitempty"`
	Insutype     string      `json:"insutype,omitempty"`
	CoverageArea string      `json:"insuplc_admdvs,omitempty"`
	Diagnoses    []Diagnosis `json:"diagnoses"`
	Lines        []Line      `json:"lines"`
	PaidWhere    string      `json:"paid_where,omitempty"`
	PaidBy       string      `json:"paid_by,omitempty"` // order number of the platform, or serial number of the window
	PaidAt       time.Time   `json:"paid_at,omitzero"`
	Kind         string      `json:"kind,omitempty"`  // outpatient where nothing is said
	PayBy        time.Time   `json:"pay_by,omitzero"` // until when the slot, or the amount, is held
}

// The kinds of bills that are told; one without is of outpatient fees (门诊费用).
const (
	Registration = "registration" // 挂号费
	Deposit      = "deposit"      // 住院预交金
)

// at is the bill as it stands at a moment: a registration that is not paid in time is void, and its slot (号源) is somebody else's.
func (b Bill) at(now time.Time) Bill {
	if b.Kind == Registration && b.State == Unpaid && !b.PayBy.IsZero() && !now.Before(b.PayBy) {
		b.State = Void
	}
	return b
}

// Diagnosis is one row of what the insurer calls diseinfo.
type Diagnosis struct {
	Type   string    `json:"type"` // 1 western, 2 TCM main disease, 3 TCM syndrome
	Seq    int       `json:"seq"`
	Code   string    `json:"code"`
	Name   string    `json:"name"`
	Dept   string    `json:"dept"`
	Doctor Doctor    `json:"doctor"`
	At     time.Time `json:"at"`
	Valid  bool      `json:"valid"`
}

// Line is one item of a bill. Price is yuan with at most four decimals, as is the quantity; the line total is fen.
type Line struct {
	No           string     `json:"line_no"`
	Insured      bool       `json:"insured"`
	Class        string     `json:"class"` // A 甲, B 乙, C 丙, N 不报医保
	Category     string     `json:"category"`
	CategoryName string     `json:"category_name"`
	Name         string     `json:"name"`
	Spec         string     `json:"spec"`
	Unit         string     `json:"unit"`
	National     string     `json:"med_list_codg"`
	Own          string     `json:"medins_list_codg"`
	Quantity     string     `json:"quantity"`
	Price        string     `json:"price"`
	TotalFen     money.Fen  `json:"total_fen"`
	OccurredAt   time.Time  `json:"occurred_at"`
	RxNo         string     `json:"rx_no,omitempty"`
	External     bool       `json:"external_rx"`
	Dose         string     `json:"dose,omitempty"`
	Frequency    string     `json:"frequency,omitempty"`
	Route        string     `json:"route,omitempty"`
	Days         string     `json:"days,omitempty"`
	Dept         Department `json:"dept"`
	Doctor       Doctor     `json:"doctor"`
	ExecDept     Department `json:"exec_dept,omitzero"`
	ExecDoctor   Doctor     `json:"exec_doctor,omitzero"`
	Approval     string     `json:"hosp_appr_flag"`
}

// Lock keeps bills for one order of the platform until it expires or is released (锁单).
type Lock struct {
	OrderNo   string    `json:"order_no"`
	PatientID string    `json:"patient_id"`
	BillNos   []string  `json:"bill_nos"`
	TotalFen  money.Fen `json:"total_fen"`
	LockedAt  time.Time `json:"locked_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Released  bool      `json:"released"`
}

func (l Lock) live(now time.Time) bool { return !l.Released && now.Before(l.ExpiresAt) }

// Parts says who paid, in fen. Their sum is the posting's total.
type Parts struct {
	PooledFund    money.Fen `json:"pooled_fund_fen"`
	OtherFund     money.Fen `json:"other_fund_fen"`
	Account       money.Fen `json:"account_fen"`
	FamilyAccount money.Fen `json:"family_account_fen"`
	HospitalBorne money.Fen `json:"hospital_borne_fen"`
	Cash          money.Fen `json:"cash_fen"`
	Uninsured     money.Fen `json:"uninsured_fen"`
}

func (p Parts) list() []money.Fen {
	return []money.Fen{p.PooledFund, p.OtherFund, p.Account, p.FamilyAccount, p.HospitalBorne, p.Cash, p.Uninsured}
}

// Posting is one order of the platform in the hospital's books (缴费确认).
type Posting struct {
	PostingNo     string     `json:"posting_no"`
	ReceiptNo     string     `json:"receipt_no"`
	OrderNo       string     `json:"order_no"`
	PatientID     string     `json:"patient_id"`
	BillNos       []string   `json:"bill_nos"`
	TotalFen      money.Fen  `json:"total_fen"`
	Parts         Parts      `json:"parts"`
	SetlID        string     `json:"setl_id,omitempty"`
	VisitID       string     `json:"mdtrt_id,omitempty"`
	SettledAt     *time.Time `json:"settled_at,omitempty"`
	OutTradeNo    string     `json:"out_trade_no,omitempty"`
	TransactionID string     `json:"transaction_id,omitempty"`
	PaidAt        *time.Time `json:"paid_at,omitempty"`
	PostedAt      time.Time  `json:"posted_at"`
	Guide         []string   `json:"guide"`
	State         string     `json:"state"`                  // posted, void
	VoidedAt      time.Time  `json:"voided_at,omitzero"`     // 冲销
	RefundedFen   money.Fen  `json:"refunded_fen,omitempty"` // gone back since
	Rest          *Parts     `json:"rest_parts,omitempty"`   // who paid what is left; nil: as posted
}

// rest is who paid what is left of the posting.
func (p *Posting) rest() Parts {
	if p.Rest == nil {
		return p.Parts
	}
	return *p.Rest
}

// The states of a posting.
const (
	posted = "posted" // 已入账
	voided = "void"   // 已冲销
)

// WindowPayment is a bill paid at the window (窗口缴费).
type WindowPayment struct {
	SerialNo string    `json:"serial_no"`
	BillNo   string    `json:"bill_no"`
	TotalFen money.Fen `json:"total_fen"`
	PaidAt   time.Time `json:"paid_at"`
}

// entry is one line of the journal: everything that one effect changed, as it stands afterwards.
type entry struct {
	Seq     int64          `json:"seq"`
	Patient *Patient       `json:"patient,omitempty"`
	Bills   []Bill         `json:"bills,omitempty"`
	Lock    *Lock          `json:"lock,omitempty"`
	Posting *Posting       `json:"posting,omitempty"`
	Window  *WindowPayment `json:"window,omitempty"`
	Refund  *Refund        `json:"refund,omitempty"`
	Handed  []HandOut      `json:"handed,omitempty"`
	Ask     *Ask           `json:"ask,omitempty"`
	Notice  *Notice        `json:"notice,omitempty"`
	Claims  []Claim        `json:"claims,omitempty"`
	Call    *Call          `json:"call,omitempty"`

	Question *Notice `json:"question,omitempty"` // that follows from the notice
}

// state is the hospital's books.
type state struct {
	seq       int64 // numbers given so far
	patients  map[string]Patient
	bills     map[string]Bill
	billsOf   map[string][]string // by patient, as they came
	locks     map[string]Lock     // by order number
	held      map[string]string   // bill number → the order whose lock was the last to hold it
	postings  map[string]Posting  // by order number
	window    []WindowPayment
	refunds   map[string]Refund           // by refund number
	refundsOf map[string][]string         // by order number, as they came
	handed    map[itemKey]decimal.Decimal // what is handed out or executed
	asks      map[string]Ask              // by the hospital's own number
	asksOf    map[string][]string         // by order number
	notices   []Notice                    // as they came
	claims    map[string]Claim            // by the platform's number
	claimsOf  map[string][]string         // by order number, as they came
	calls     map[string]Call             // by the platform's number
}

func newState() state {
	return state{patients: map[string]Patient{}, bills: map[string]Bill{}, billsOf: map[string][]string{},
		locks: map[string]Lock{}, held: map[string]string{}, postings: map[string]Posting{}, refunds: map[string]Refund{},
		refundsOf: map[string][]string{}, handed: map[itemKey]decimal.Decimal{}, asks: map[string]Ask{}, asksOf: map[string][]string{},
		claims: map[string]Claim{}, claimsOf: map[string][]string{}, calls: map[string]Call{}}
}

// apply makes an entry true. It cannot fail: what is in the journal was checked before.
func (s *state) apply(e entry) {
	s.seq = max(s.seq, e.Seq)
	if e.Patient != nil {
		s.patients[e.Patient.ID] = *e.Patient
	}
	for _, b := range e.Bills {
		old, known := s.bills[b.No]
		if known && old.PatientID != b.PatientID { // its archive was merged
			s.billsOf[old.PatientID] = slices.DeleteFunc(slices.Clone(s.billsOf[old.PatientID]), func(no string) bool { return no == b.No })
		}
		if !known || old.PatientID != b.PatientID {
			s.billsOf[b.PatientID] = append(s.billsOf[b.PatientID], b.No)
		}
		s.bills[b.No] = b
	}
	if e.Lock != nil {
		s.locks[e.Lock.OrderNo] = *e.Lock
		for _, no := range e.Lock.BillNos {
			if !e.Lock.Released { // a release never touches a lock that another order got since
				s.held[no] = e.Lock.OrderNo
			}
		}
	}
	if e.Posting != nil {
		s.postings[e.Posting.OrderNo] = *e.Posting
	}
	if e.Window != nil {
		s.window = append(s.window, *e.Window)
	}
	if r := e.Refund; r != nil {
		if _, known := s.refunds[r.RefundNo]; !known {
			s.refundsOf[r.OrderNo] = append(s.refundsOf[r.OrderNo], r.RefundNo)
		}
		s.refunds[r.RefundNo] = *r
	}
	if a := e.Ask; a != nil {
		if _, known := s.asks[a.HISRefundNo]; !known {
			s.asksOf[a.OrderNo] = append(s.asksOf[a.OrderNo], a.HISRefundNo)
		}
		s.asks[a.HISRefundNo] = *a
	}
	for _, c := range e.Claims {
		if _, known := s.claims[c.ClaimNo]; !known {
			s.claimsOf[c.OrderNo] = append(s.claimsOf[c.OrderNo], c.ClaimNo)
		}
		s.claims[c.ClaimNo] = c
	}
	if e.Call != nil {
		s.calls[e.Call.No] = *e.Call
	}
	for _, n := range []*Notice{e.Notice, e.Question} {
		if n == nil {
			continue
		}
		if i := slices.IndexFunc(s.notices, func(old Notice) bool { return old.No == n.No }); i >= 0 {
			s.notices[i] = *n
		} else {
			s.notices = append(s.notices, *n)
		}
	}
	for _, h := range e.Handed {
		s.handed[itemKey{h.BillNo, h.LineNo}] = h.Quantity
	}
}

// billAt is a bill as it stands at a moment.
func (s *state) billAt(no string, now time.Time) (Bill, bool) {
	b, ok := s.bills[no]
	return b.at(now), ok
}

// holder is the live lock on a bill, if it is another order's.
func (s *state) holder(billNo, orderNo string, now time.Time) (Lock, bool) {
	l, ok := s.locks[s.held[billNo]]
	return l, ok && l.OrderNo != orderNo && l.live(now)
}
