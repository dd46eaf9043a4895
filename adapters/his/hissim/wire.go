package hissim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// The answer codes of docs/his-interface.md §4.
const (
	codeDone          = "0"
	codeNone          = "1"
	codeNotFound      = "NOT_FOUND"
	codeAlreadyPaid   = "ALREADY_PAID"
	codeBillVoid      = "BILL_VOID"
	codeBillChanged   = "BILL_CHANGED"
	codeLocked        = "LOCKED"
	codeLockExpired   = "LOCK_EXPIRED"
	codeAmountWrong   = "AMOUNT_WRONG"
	codeDuplicate     = "DUPLICATE"
	codeNotRefundable = "NOT_REFUNDABLE"
	codeMaintenance   = "MAINTENANCE"
	codeSettled       = "SETTLED"
	codeInsurer       = "INSURER_REFUSED"
	codeInvalid       = "INVALID"
	codeApp           = "APP"
	codeTimestamp     = "TIMESTAMP"
	codeNonce         = "NONCE"
	codeSignature     = "SIGNATURE"
	codeReplay        = "REPLAY"
	codeInternal      = "INTERNAL"
)

// reply is what an operation answers, before it is put into the envelope.
type reply struct {
	code    string
	message string
	data    any
}

// envelope is every answer's body.
type envelope struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

type findRequest struct {
	Name   string `json:"name"`
	IDType string `json:"id_type"` // 01 resident identity card
	IDNo   string `json:"id_no"`
}

type findAnswer struct {
	Count    int           `json:"count"`
	Patients []patientView `json:"patients"`
}

type patientView struct {
	PatientID string `json:"patient_id"`
	CardNo    string `json:"card_no"`
	Name      string `json:"name"`
	IDNo      string `json:"id_no"`
	CreatedAt string `json:"created_at"`
}

type pendingRequest struct {
	PatientID string `json:"patient_id"`
}

type pendingAnswer struct {
	PatientID string        `json:"patient_id"`
	Count     int           `json:"count"`
	TotalFen  money.Fen     `json:"total_fen"`
	Bills     []billSummary `json:"bills"`
}

type billSummary struct {
	BillNo    string     `json:"bill_no"`
	VisitNo   string     `json:"visit_no"`
	State     BillState  `json:"state"`
	TotalFen  money.Fen  `json:"total_fen"`
	CreatedAt string     `json:"created_at"`
	Dept      Department `json:"dept"`
	Doctor    Doctor     `json:"doctor"`
	Locked    bool       `json:"locked"`
	Kind      string     `json:"kind,omitempty"`
	PayBy     string     `json:"pay_by,omitempty"`
}

type detailRequest struct {
	PatientID string `json:"patient_id"`
	BillNo    string `json:"bill_no"`
}

type detailAnswer struct {
	Bill billView `json:"bill"`
}

type billView struct {
	BillNo    string         `json:"bill_no"`
	PatientID string         `json:"patient_id"`
	State     BillState      `json:"state"`
	TotalFen  money.Fen      `json:"total_fen"`
	LineCount int            `json:"line_count"`
	CreatedAt string         `json:"created_at"`
	Visit     visitView      `json:"visit"`
	Diagnoses []diseView     `json:"diagnoses"`
	Lines     []lineView     `json:"lines"`
	Paid      *paidInfo      `json:"paid,omitempty"`
	Lock      *lockedInfo    `json:"lock,omitempty"`
	Returned  []returnedView `json:"returned,omitempty"`
	Kind      string         `json:"kind,omitempty"`
	PayBy     string         `json:"pay_by,omitempty"`
}

type visitView struct {
	VisitNo      string     `json:"visit_no"`
	BeganAt      string     `json:"began_at"`
	MedType      string     `json:"med_type,omitempty"`
	Dept         Department `json:"dept"`
	Doctor       Doctor     `json:"doctor"`
	Complaint    string     `json:"main_complaint,omitempty"`
	DiseaseCode  string     `json:"disease_code,omitempty"`
	DiseaseName  string     `json:"disease_name,omitempty"`
	PsnNo        string     `json:"psn_no,omitempty"`
	VisitID      string     `json:"mdtrt_id,omitempty"`
	Insutype     string     `json:"insutype,omitempty"`
	CoverageArea string     `json:"insuplc_admdvs,omitempty"`
}

type diseView struct {
	Diagnosis
	At string `json:"at"`
}

type lineView struct {
	Line
	OccurredAt string `json:"occurred_at"`
}

// paidInfo says where a bill was paid and under which number.
type paidInfo struct {
	BillNo   string `json:"bill_no"`
	Where    string `json:"where"`
	OrderNo  string `json:"order_no,omitempty"`
	SerialNo string `json:"serial_no,omitempty"`
	PaidAt   string `json:"paid_at"`
}

type lockedInfo struct {
	BillNo    string `json:"bill_no"`
	ExpiresAt string `json:"expires_at"`
}

type acquireRequest struct {
	OrderNo   string    `json:"order_no"`
	PatientID string    `json:"patient_id"`
	BillNos   []string  `json:"bill_nos"`
	TotalFen  money.Fen `json:"total_fen"`
}

type billClaim struct {
	BillNo   string    `json:"bill_no"`
	TotalFen money.Fen `json:"total_fen"`
}

type lockView struct {
	OrderNo   string    `json:"order_no"`
	BillNos   []string  `json:"bill_nos"`
	TotalFen  money.Fen `json:"total_fen"`
	LockedAt  string    `json:"locked_at"`
	ExpiresAt string    `json:"expires_at"`
}

type releaseRequest struct {
	OrderNo string `json:"order_no"`
}

type releaseAnswer struct {
	OrderNo  string `json:"order_no"`
	Released bool   `json:"released"`
}

type postRequest struct {
	OrderNo       string      `json:"order_no"`
	PatientID     string      `json:"patient_id"`
	TotalFen      money.Fen   `json:"total_fen"`
	Bills         []billClaim `json:"bills"`
	Parts         Parts       `json:"parts"`
	SetlID        string      `json:"setl_id,omitempty"`
	VisitID       string      `json:"mdtrt_id,omitempty"`
	SettledAt     *time.Time  `json:"settled_at,omitempty"`
	OutTradeNo    string      `json:"out_trade_no,omitempty"`
	TransactionID string      `json:"transaction_id,omitempty"`
	PaidAt        *time.Time  `json:"paid_at,omitempty"`
}

type postingView struct {
	PostingNo string    `json:"posting_no"`
	ReceiptNo string    `json:"receipt_no"`
	OrderNo   string    `json:"order_no"`
	BillNos   []string  `json:"bill_nos"`
	TotalFen  money.Fen `json:"total_fen"`
	Parts     Parts     `json:"parts"`
	PostedAt  string    `json:"posted_at"`
	Guide     []string  `json:"guide"`

	setlID, outTradeNo string // a FHIR server shows everything of an entry
}

type queryRequest struct {
	OrderNo string   `json:"order_no"`
	BillNos []string `json:"bill_nos"`
}

type queryAnswer struct {
	OrderNo   string       `json:"order_no"`
	State     string       `json:"state"` // posted, not_posted, paid_elsewhere, void
	Posting   *postingView `json:"posting,omitempty"`
	Paid      []paidInfo   `json:"paid,omitempty"`
	Void      []string     `json:"void_bill_nos,omitempty"`
	Refunded  money.Fen    `json:"refunded_fen,omitempty"`
	RefundNos []string     `json:"refund_nos,omitempty"`
}

// errRequest is a request that is not what the interface says: refused with INVALID and a reason for the log of its sender.
var errRequest = errors.New("hissim: malformed request")

// read decodes exactly one JSON object without unknown members into v.
func read(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", errRequest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the object", errRequest)
	}
	return nil
}

// text checks the length of a required number or name.
func text(field, value string, longest int) error {
	if value == "" || len(value) > longest {
		return fmt.Errorf("%w: %s is missing or longer than %d bytes", errRequest, field, longest)
	}
	return nil
}
