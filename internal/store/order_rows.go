package store

import (
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/split"
)

// splitColumns are the parts of a split, in fen.
type splitColumns struct {
	PooledFundFen    int64
	OtherFundFen     int64
	AccountFen       int64
	FamilyAccountFen int64
	HospitalBorneFen int64
	CashFen          int64
	UninsuredFen     int64
}

func columnsOf(s split.Split) splitColumns {
	return splitColumns{int64(s.PooledFund), int64(s.OtherFund), int64(s.Account), int64(s.FamilyAccount), int64(s.HospitalBorne),
		int64(s.Cash), int64(s.Uninsured)}
}

func (c splitColumns) split() split.Split {
	return split.Split{PooledFund: money.Fen(c.PooledFundFen), OtherFund: money.Fen(c.OtherFundFen), Account: money.Fen(c.AccountFen),
		FamilyAccount: money.Fen(c.FamilyAccountFen), HospitalBorne: money.Fen(c.HospitalBorneFen), Cash: money.Fen(c.CashFen),
		Uninsured: money.Fen(c.UninsuredFen)}
}

type orderRow struct {
	ID            int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution   string `gorm:"size:64"`
	AccountID     int64
	PatientID     int64
	HISPatient    string `gorm:"size:64"`
	Route         string `gorm:"size:16"`
	State         string `gorm:"size:16"`
	Version       int64
	CreatedUS     int64
	UpdatedUS     int64
	TotalFen      int64
	Parts         splitColumns `gorm:"embedded"`
	Insured       bool
	PayAuthID     int64
	AuthUntilUS   int64
	UseAccount    bool
	QuotedUntilUS int64
	RefusalSealed []byte
	ConfirmedUS   int64
	CancelAsked   bool
	LockState     string `gorm:"size:16"`
	LockedUntilUS int64
	PostState     string `gorm:"size:16"`
	PostReady     bool
	PostingNo     *string `gorm:"size:64"`
	ReceiptNo     string  `gorm:"size:64"`
	GuideSealed   []byte
	PostedUS      int64
	Cause         string `gorm:"size:32"`
	Renew         bool

	RefundInsuredFen   int64
	RefundUninsuredFen int64

	MAC string `gorm:"size:80"`
}

// TableName is the table's name; order is a word of SQL.
func (orderRow) TableName() string { return "orders" }

// orderMoves lists what a move may change of an order. Who it belongs to, and its number, it may not.
func orderMoves() []string {
	return []string{"state", "version", "updated_us", "total_fen", "pooled_fund_fen", "other_fund_fen", "account_fen", "family_account_fen",
		"hospital_borne_fen", "cash_fen", "uninsured_fen", "insured", "pay_auth_id", "auth_until_us", "use_account",
		"quoted_until_us", "refusal_sealed", "confirmed_us", "cancel_asked", "lock_state", "locked_until_us", "post_state", "post_ready",
		"posting_no", "receipt_no", "guide_sealed", "posted_us", "cause", "renew", "his_patient", "route", "refund_insured_fen", "refund_uninsured_fen"}
}

// rowOf maps an order, without its bills, attempts and events.
func (db *DB) rowOf(o *order.Order) (orderRow, error) {
	r := orderRow{
		ID: int64(o.ID), Institution: o.Institution, AccountID: int64(o.Account), PatientID: int64(o.Patient), HISPatient: o.HISPatient,
		Route: string(o.Route), State: string(o.State), Version: o.Version, CreatedUS: micros(o.CreatedAt), UpdatedUS: micros(o.UpdatedAt),
		TotalFen: int64(o.Total), Parts: columnsOf(o.Split), Insured: o.Insured, PayAuthID: o.PayAuth, AuthUntilUS: micros(o.AuthUntil),
		UseAccount: o.UseAccount, QuotedUntilUS: micros(o.QuotedUntil), ConfirmedUS: micros(o.ConfirmedAt),
		CancelAsked: o.CancelAsked, LockState: string(o.Lock), LockedUntilUS: micros(o.LockedUntil), PostState: string(o.Post),
		PostReady: o.PostReady, PostingNo: orNull(o.Posted.PostingNo), ReceiptNo: o.Posted.ReceiptNo, PostedUS: micros(o.Posted.PostedAt),
		Cause: string(o.Cause), Renew: o.Renew, RefundInsuredFen: int64(o.RefundInsured), RefundUninsuredFen: int64(o.RefundUninsured),
	}
	s := db.sealer(r.TableName(), r.ID)
	r.RefusalSealed = s.text("refusal_sealed", o.Refusal)
	if o.Posted.Guide != nil { // says where the patient goes next, and so what for
		r.GuideSealed = s.json("guide_sealed", o.Posted.Guide)
	}
	return r, s.err
}

func (db *DB) orderOf(r orderRow) (*order.Order, error) {
	o := &order.Order{
		ID: order.ID(r.ID), Institution: r.Institution, Account: patient.AccountID(r.AccountID), Patient: patient.ID(r.PatientID),
		HISPatient: r.HISPatient, Route: order.Route(r.Route), State: order.State(r.State), Version: r.Version,
		CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS), Total: money.Fen(r.TotalFen), Split: r.Parts.split(),
		Insured: r.Insured, PayAuth: r.PayAuthID, AuthUntil: moment(r.AuthUntilUS), UseAccount: r.UseAccount,
		QuotedUntil: moment(r.QuotedUntilUS), ConfirmedAt: moment(r.ConfirmedUS), CancelAsked: r.CancelAsked,
		Lock: order.LockState(r.LockState), LockedUntil: moment(r.LockedUntilUS), Post: order.PostState(r.PostState), PostReady: r.PostReady,
		Posted: order.Posted{PostingNo: orEmpty(r.PostingNo), ReceiptNo: r.ReceiptNo, PostedAt: moment(r.PostedUS)},
		Cause:  order.Cause(r.Cause), Renew: r.Renew, RefundInsured: money.Fen(r.RefundInsuredFen), RefundUninsured: money.Fen(r.RefundUninsuredFen),
	}
	s := db.sealer(r.TableName(), r.ID)
	o.Refusal = s.openText("refusal_sealed", r.RefusalSealed)
	if r.GuideSealed != nil {
		s.openJSON("guide_sealed", r.GuideSealed, &o.Posted.Guide)
	}
	return o, s.err
}

type billRow struct {
	ID           int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution  string `gorm:"size:64"`
	OrderID      int64
	Seq          int64
	BillNo       string `gorm:"size:64"`
	Live         *int64
	TotalFen     int64
	Digest       string `gorm:"size:128"`
	DetailSealed []byte
}

// TableName is the table's name.
func (billRow) TableName() string { return "order_bill" }

// billDetail is what is sealed of a bill: all of it. The columns beside it are compared with it, so that they need no MAC; only the live
// mark stands for itself, and behind it the HIS's lock.
type billDetail struct {
	Institution string    `json:"institution"`
	Bill        bill.Bill `json:"bill"`
	Digest      string    `json:"digest"`
}

func (db *DB) billRowOf(o *order.Order, i int, id int64) (billRow, error) {
	b := &o.Bills[i]
	r := billRow{ID: id, Institution: o.Institution, OrderID: int64(o.ID), Seq: int64(i + 1), BillNo: b.Bill.No, Live: mark(o.Live()),
		TotalFen: int64(b.Bill.Total), Digest: b.Digest}
	s := db.sealer(r.TableName(), r.ID)
	r.DetailSealed = s.json("detail_sealed", billDetail{o.Institution, b.Bill, b.Digest})
	return r, s.err
}

func (db *DB) billOf(r billRow) (order.Bill, error) {
	var d billDetail
	s := db.sealer(r.TableName(), r.ID)
	s.openJSON("detail_sealed", r.DetailSealed, &d)
	if s.err == nil && (d.Bill.No != r.BillNo || int64(d.Bill.Total) != r.TotalFen || d.Digest != r.Digest || d.Institution != r.Institution) {
		s.keep(ErrTampered.Because(refuse("order_bill %d is not the sealed bill", r.ID)))
	}
	return order.Bill{Bill: d.Bill, Digest: d.Digest}, s.err
}
