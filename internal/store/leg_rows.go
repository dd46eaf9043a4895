package store

import (
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
)

type settlementRow struct {
	ID               int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution      string `gorm:"size:64"`
	OrderID          int64
	Seq              int64
	State            string `gorm:"size:16"`
	Version          int64
	OpenMarker       *int64
	PersonNoSealed   []byte
	MdtrtID          string  `gorm:"size:64"`
	InsuranceType    string  `gorm:"size:16"`
	CoverageArea     string  `gorm:"size:16"`
	VisitNo          string  `gorm:"size:64"`
	VisitOurs        bool    `gorm:"column:visit_ours"`
	BatchNo          *string `gorm:"size:64"`
	TotalFen         int64
	UseAccount       bool
	FullySelfPaidFen int64
	OverLimitFen     int64
	FirstSelfPaidFen int64
	InScopeFen       int64
	Foreseen         splitColumns `gorm:"embedded;embeddedPrefix:foreseen_"`
	BalanceFen       *int64
	MsgID            *string `gorm:"size:64"`
	LostMsgID        *string `gorm:"size:64"`
	Settles          int64
	Restores         int64
	AskedUntilUS     int64
	SetlID           *string      `gorm:"size:64"`
	Actual           splitColumns `gorm:"embedded;embeddedPrefix:actual_"`
	SettledUS        int64
	ClrOptins        string `gorm:"size:32"`
	ClrWay           string `gorm:"size:32"`
	ClrType          string `gorm:"size:32"`
	RefusalSealed    []byte
	MedOrgOrd        *string `gorm:"size:64"`
	PayOrdID         *string `gorm:"size:64"`
	PayTokenSealed   []byte
	ECTokenSealed    []byte `gorm:"column:ec_token_sealed"`
	RevsTokenSealed  []byte
	UploadedUS       int64
	OrgBizSer        *string `gorm:"size:64"`
	FeeSumFen        int64
	FundPayFen       int64
	PsnAcctPayFen    int64
	OthFeeFen        int64
	OwnPayFen        int64
	OrdStas          int64
	AppRefdSn        *string `gorm:"size:64"`
	AppRefdUS        int64   `gorm:"column:app_refd_us"`
	HandedOver       bool
	Doubts           int64
	Anew             bool
	MAC              string `gorm:"size:80"`
}

// TableName is the table's name.
func (settlementRow) TableName() string { return "settlement" }

// settlementMoves lists what a move may change of a settlement.
func settlementMoves() []string {
	return []string{"state", "version", "open_marker", "person_no_sealed", "mdtrt_id", "insurance_type", "coverage_area", "visit_no",
		"visit_ours", "batch_no", "total_fen", "use_account", "fully_self_paid_fen", "over_limit_fen", "first_self_paid_fen", "in_scope_fen",
		"foreseen_pooled_fund_fen", "foreseen_other_fund_fen", "foreseen_account_fen", "foreseen_family_account_fen",
		"foreseen_hospital_borne_fen", "foreseen_cash_fen", "foreseen_uninsured_fen", "balance_fen", "msg_id", "lost_msg_id", "settles",
		"restores", "asked_until_us", "setl_id", "actual_pooled_fund_fen", "actual_other_fund_fen", "actual_account_fen",
		"actual_family_account_fen", "actual_hospital_borne_fen", "actual_cash_fen", "actual_uninsured_fen", "settled_us", "clr_optins",
		"clr_way", "clr_type", "refusal_sealed", "med_org_ord", "pay_ord_id", "pay_token_sealed", "ec_token_sealed", "revs_token_sealed",
		"uploaded_us", "org_biz_ser", "fee_sum_fen", "fund_pay_fen", "psn_acct_pay_fen", "oth_fee_fen", "own_pay_fen", "ord_stas",
		"app_refd_sn", "app_refd_us", "handed_over", "doubts"}
}

// settlementRowOf maps an attempt as it will be stored: with its next version.
func (db *DB) settlementRowOf(o *order.Order, t *settlement.Settlement) (settlementRow, error) {
	r := settlementRow{
		ID: int64(t.ID), Institution: o.Institution, OrderID: int64(o.ID), Seq: int64(t.Seq), State: string(t.State), Version: t.Version + 1,
		OpenMarker: mark(t.Open()), MdtrtID: t.Visit.MdtrtID, InsuranceType: t.Visit.InsuranceType,
		CoverageArea: t.Visit.CoverageArea, VisitNo: t.Visit.VisitNo, VisitOurs: t.Visit.Ours, BatchNo: orNull(t.BatchNo),
		TotalFen: int64(t.Total), UseAccount: t.UseAccount, FullySelfPaidFen: int64(t.Echo.FullySelfPaid),
		OverLimitFen: int64(t.Echo.OverLimit), FirstSelfPaidFen: int64(t.Echo.FirstSelfPaid), InScopeFen: int64(t.Echo.InScope),
		Foreseen: columnsOf(t.Foreseen), MsgID: orNull(t.MsgID), LostMsgID: orNull(t.LostMsgID), Settles: int64(t.Settles),
		Restores: int64(t.Restores), AskedUntilUS: micros(t.AskedUntil), SetlID: orNull(t.SetlID), Actual: columnsOf(t.Actual),
		SettledUS: micros(t.SettledAt), ClrOptins: t.ClrOptins, ClrWay: t.ClrWay, ClrType: t.ClrType,
		MedOrgOrd: orNull(t.Upload.OrderNo), PayOrdID: orNull(t.Upload.PayOrdID), UploadedUS: micros(t.Upload.At), OrgBizSer: orNull(t.Serial),
		FeeSumFen: int64(t.Figures.Total), FundPayFen: int64(t.Figures.Fund), PsnAcctPayFen: int64(t.Figures.Account),
		OthFeeFen: int64(t.Figures.Other), OwnPayFen: int64(t.Figures.Cash), OrdStas: int64(t.OrdStas), AppRefdSn: orNull(t.RefundNo),
		AppRefdUS: micros(t.RefundAt), HandedOver: t.HandedOver, Doubts: int64(t.Doubts), Anew: t.Anew,
	}
	if t.Balance != nil {
		fen := int64(*t.Balance)
		r.BalanceFen = &fen
	}
	s := db.sealer(r.TableName(), r.ID)
	r.PersonNoSealed = s.text("person_no_sealed", t.Visit.PersonNo)
	r.RefusalSealed = s.text("refusal_sealed", t.Refusal)
	r.PayTokenSealed = s.secret("pay_token_sealed", t.Upload.PayToken)
	r.ECTokenSealed = s.secret("ec_token_sealed", t.Upload.ECToken)
	r.RevsTokenSealed = s.secret("revs_token_sealed", t.RevsToken)
	return r, s.err
}

func (db *DB) settlementOf(r settlementRow) (*settlement.Settlement, error) {
	s := db.sealer(r.TableName(), r.ID)
	visit := settlement.Visit{PersonNo: s.openText("person_no_sealed", r.PersonNoSealed), MdtrtID: r.MdtrtID,
		InsuranceType: r.InsuranceType, CoverageArea: r.CoverageArea, VisitNo: r.VisitNo, Ours: r.VisitOurs}
	t := settlement.New(settlement.ID(r.ID), int(r.Seq), visit, orEmpty(r.BatchNo), money.Fen(r.TotalFen), r.UseAccount)
	t.State = settlement.State(r.State)
	t.Echo = settlement.Echo{FullySelfPaid: money.Fen(r.FullySelfPaidFen), OverLimit: money.Fen(r.OverLimitFen),
		FirstSelfPaid: money.Fen(r.FirstSelfPaidFen), InScope: money.Fen(r.InScopeFen)}
	t.Foreseen, t.Actual = r.Foreseen.split(), r.Actual.split()
	if r.BalanceFen != nil {
		balance := money.Fen(*r.BalanceFen)
		t.Balance = &balance
	}
	t.MsgID, t.LostMsgID, t.SetlID = orEmpty(r.MsgID), orEmpty(r.LostMsgID), orEmpty(r.SetlID)
	t.Settles, t.Restores = int(r.Settles), int(r.Restores)
	t.AskedUntil, t.SettledAt = moment(r.AskedUntilUS), moment(r.SettledUS)
	t.ClrOptins, t.ClrWay, t.ClrType = r.ClrOptins, r.ClrWay, r.ClrType
	t.Refusal = s.openText("refusal_sealed", r.RefusalSealed)
	t.Upload = settlement.Upload{OrderNo: orEmpty(r.MedOrgOrd), PayOrdID: orEmpty(r.PayOrdID), At: moment(r.UploadedUS),
		PayToken: s.openToken("pay_token_sealed", r.PayTokenSealed), ECToken: s.openToken("ec_token_sealed", r.ECTokenSealed)}
	t.RevsToken = s.openToken("revs_token_sealed", r.RevsTokenSealed)
	t.Serial, t.RefundNo, t.RefundAt = orEmpty(r.OrgBizSer), orEmpty(r.AppRefdSn), moment(r.AppRefdUS)
	t.Figures = settlement.Figures{Total: money.Fen(r.FeeSumFen), Fund: money.Fen(r.FundPayFen), Account: money.Fen(r.PsnAcctPayFen),
		Other: money.Fen(r.OthFeeFen), Cash: money.Fen(r.OwnPayFen)}
	t.OrdStas, t.HandedOver, t.Doubts, t.Anew = settlement.OrdStas(r.OrdStas), r.HandedOver, int(r.Doubts), r.Anew
	t.Stored(r.Version)
	return t, s.err
}

type paymentRow struct {
	ID                  int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution         string `gorm:"size:64"`
	OrderID             int64
	Seq                 int64
	State               string `gorm:"size:16"`
	Version             int64
	OpenMarker          *int64
	OutTradeNo          string `gorm:"size:32"`
	AmountFen           int64
	RequestSealed       []byte
	ExpiresUS           int64
	PrepayIDSealed      []byte
	Asked               int64
	Doubts              int64
	TransactionID       *string `gorm:"size:64"`
	PaidUS              int64
	OutRefundNo         *string `gorm:"size:64"`
	RefundRequestSealed []byte
	RefundID            *string `gorm:"size:64"`
	RefundReservedFen   int64
	RefundAsked         int64
	RefundedUS          int64
	RefundAskedUS       int64 `gorm:"column:refund_asked_us"`
	RefundNumbers       int64
	RefundDoubts        int64
	MAC                 string `gorm:"size:80"`
}

// TableName is the table's name.
func (paymentRow) TableName() string { return "payment" }

// paymentMoves lists what a move may change of a payment: not its number, not its amount.
func paymentMoves() []string {
	return []string{"state", "version", "open_marker", "request_sealed", "expires_us", "prepay_id_sealed", "asked", "doubts",
		"transaction_id", "paid_us", "out_refund_no", "refund_request_sealed", "refund_id", "refund_reserved_fen", "refund_asked", "refunded_us",
		"refund_asked_us", "refund_numbers", "refund_doubts"}
}

// paymentRowOf maps an attempt as it will be stored: with its next version.
func (db *DB) paymentRowOf(o *order.Order, p *payment.Payment) (paymentRow, error) {
	r := paymentRow{
		ID: int64(p.ID), Institution: o.Institution, OrderID: int64(o.ID), Seq: int64(p.Seq), State: string(p.State), Version: p.Version + 1,
		OpenMarker: mark(!p.State.Final()), OutTradeNo: p.OutTradeNo, AmountFen: int64(p.Amount), ExpiresUS: micros(p.ExpiresAt),
		Asked: int64(p.Asked), Doubts: int64(p.Doubts), TransactionID: orNull(p.TransactionID), PaidUS: micros(p.PaidAt),
		OutRefundNo: orNull(p.Back.OutRefundNo), RefundID: orNull(p.Back.RefundID), RefundReservedFen: int64(p.RefundReserved),
		RefundAsked: int64(p.Back.Asked), RefundedUS: micros(p.Back.ReturnedAt), RefundAskedUS: micros(p.Back.AskedAt),
		RefundNumbers: int64(p.Back.Numbers), RefundDoubts: int64(p.Back.Doubts),
	}
	s := db.sealer(r.TableName(), r.ID)
	r.RequestSealed = s.bytes("request_sealed", p.Request)
	r.PrepayIDSealed = s.text("prepay_id_sealed", p.PrepayID)
	r.RefundRequestSealed = s.bytes("refund_request_sealed", p.Back.Request)
	return r, s.err
}

func (db *DB) paymentOf(r paymentRow) (*payment.Payment, error) {
	s := db.sealer(r.TableName(), r.ID)
	p := payment.New(payment.ID(r.ID), int(r.Seq), r.OutTradeNo, money.Fen(r.AmountFen), s.open("request_sealed", r.RequestSealed),
		moment(r.ExpiresUS))
	p.State = payment.State(r.State)
	p.PrepayID = s.openText("prepay_id_sealed", r.PrepayIDSealed)
	p.Asked, p.Doubts = int(r.Asked), int(r.Doubts)
	p.TransactionID, p.PaidAt = orEmpty(r.TransactionID), moment(r.PaidUS)
	p.Back.OutRefundNo, p.Back.RefundID = orEmpty(r.OutRefundNo), orEmpty(r.RefundID)
	if p.Back.OutRefundNo != "" {
		p.Back.Amount = p.Amount
	}
	p.Back.Request = s.open("refund_request_sealed", r.RefundRequestSealed)
	p.RefundReserved, p.Back.Asked, p.Back.ReturnedAt = money.Fen(r.RefundReservedFen), int(r.RefundAsked), moment(r.RefundedUS)
	p.Back.AskedAt, p.Back.Numbers, p.Back.Doubts = moment(r.RefundAskedUS), int(r.RefundNumbers), int(r.RefundDoubts)
	p.Stored(r.Version)
	return p, s.err
}
