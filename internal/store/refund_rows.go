package store

import (
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/settlement"
)

type refundRow struct {
	ID                  int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution         string `gorm:"size:64"`
	OrderID             int64
	Seq                 int64
	State               string `gorm:"size:16"`
	Version             int64
	Asker               string  `gorm:"size:16"`
	Actor               string  `gorm:"size:64"`
	RequestKey          string  `gorm:"size:160"`
	HISRefundNo         *string `gorm:"size:64"`
	ReasonSealed        []byte
	Note                bool
	Whole               bool
	LinesSealed         []byte
	InsuredFen          int64
	UninsuredFen        int64
	AskedUS             int64
	Before              splitColumns `gorm:"embedded;embeddedPrefix:before_"`
	Rest                splitColumns `gorm:"embedded;embeddedPrefix:rest_"`
	Desk                string       `gorm:"size:16"`
	HeldUS              int64
	InsuredUS           int64
	CashUS              int64
	TillUS              int64
	TillFen             int64
	ToldUS              int64
	DoneUS              int64
	OutRefundNo         *string `gorm:"size:64"`
	RefundID            *string `gorm:"size:64"`
	RefundRequestSealed []byte
	CashFen             int64
	CashAsked           int64
	CashAskedUS         int64 `gorm:"column:cash_asked_us"`
	CashNumbers         int64
	CashDoubts          int64
	CashReturnedUS      int64
	SettlementID        int64
	Foreseen            bool
	AuthSinceUS         int64 `gorm:"column:auth_since_us"`
	Dropping            bool
	BookingNo           *string `gorm:"size:64"`
	Rebilled            string  `gorm:"size:2000"`
	Cause               string  `gorm:"size:32"`
	MAC                 string  `gorm:"size:80"`
}

// TableName is the table's name.
func (refundRow) TableName() string { return "refund" }

// refundMoves lists what a move may change of a refund: not who asked, not what for.
func refundMoves() []string {
	return []string{"state", "version", "whole", "lines_sealed", "reason_sealed", "before_pooled_fund_fen", "before_other_fund_fen", "before_account_fen", "before_family_account_fen",
		"before_hospital_borne_fen", "before_cash_fen", "before_uninsured_fen", "rest_pooled_fund_fen", "rest_other_fund_fen", "rest_account_fen",
		"rest_family_account_fen", "rest_hospital_borne_fen", "rest_cash_fen", "rest_uninsured_fen", "desk", "held_us", "insured_us", "cash_us",
		"told_us", "done_us", "out_refund_no", "refund_id", "refund_request_sealed", "cash_fen", "cash_asked", "cash_asked_us", "cash_numbers",
		"cash_doubts", "cash_returned_us", "till_us", "till_fen", "settlement_id", "foreseen", "auth_since_us", "dropping", "booking_no", "rebilled", "cause"}
}

// refundRowOf maps a refund as it will be stored: with its next version.
func (db *DB) refundRowOf(o *order.Order, f *refund.Refund) (refundRow, error) {
	c := &f.Cash
	r := refundRow{ID: int64(f.ID), Institution: o.Institution, OrderID: int64(o.ID), Seq: int64(f.Seq), State: string(f.State), Version: f.Version + 1,
		Asker: string(f.By), Actor: f.Actor, RequestKey: f.Key, HISRefundNo: orNull(f.HISNo), Note: f.Note, Whole: f.Whole, TillUS: micros(f.TillAt), TillFen: int64(f.Till),
		InsuredFen: int64(f.Insured()), UninsuredFen: int64(f.Uninsured()), AskedUS: micros(f.AskedAt), Before: columnsOf(f.Before),
		Rest: columnsOf(f.Rest), Desk: string(f.Desk), HeldUS: micros(f.HeldAt), InsuredUS: micros(f.InsuredAt), CashUS: micros(f.CashAt),
		ToldUS: micros(f.ToldAt), DoneUS: micros(f.DoneAt), OutRefundNo: orNull(c.OutRefundNo), RefundID: orNull(c.RefundID), CashFen: int64(c.Amount),
		CashAsked: int64(c.Asked), CashAskedUS: micros(c.AskedAt), CashNumbers: int64(c.Numbers), CashDoubts: int64(c.Doubts),
		CashReturnedUS: micros(c.ReturnedAt), SettlementID: int64(f.Anew), Foreseen: f.Foreseen, AuthSinceUS: micros(f.AuthSince), Dropping: f.Dropping,
		BookingNo: orNull(f.BookingNo), Rebilled: strings.Join(f.Rebilled, "\n"), Cause: f.Cause}
	s := db.sealer(r.TableName(), r.ID)
	r.LinesSealed = s.json("lines_sealed", f.Lines)
	r.ReasonSealed = s.text("reason_sealed", f.Reason)
	r.RefundRequestSealed = s.bytes("refund_request_sealed", c.Request)
	return r, s.err
}

func (db *DB) refundOf(r refundRow) (*refund.Refund, error) {
	f := &refund.Refund{ID: refund.ID(r.ID), Seq: int(r.Seq), State: refund.State(r.State), By: refund.Asker(r.Asker), Actor: r.Actor, Key: r.RequestKey,
		HISNo: orEmpty(r.HISRefundNo), TillAt: moment(r.TillUS), Till: money.Fen(r.TillFen), Note: r.Note, Whole: r.Whole, AskedAt: moment(r.AskedUS), Before: r.Before.split(),
		Rest: r.Rest.split(), Desk: refund.Desk(r.Desk), HeldAt: moment(r.HeldUS), InsuredAt: moment(r.InsuredUS), CashAt: moment(r.CashUS),
		ToldAt: moment(r.ToldUS), DoneAt: moment(r.DoneUS), Anew: settlement.ID(r.SettlementID), Foreseen: r.Foreseen, AuthSince: moment(r.AuthSinceUS), Dropping: r.Dropping,
		BookingNo: orEmpty(r.BookingNo), Cause: r.Cause}
	if r.Rebilled != "" {
		f.Rebilled = strings.Split(r.Rebilled, "\n")
	}
	s := db.sealer(r.TableName(), r.ID)
	s.openJSON("lines_sealed", r.LinesSealed, &f.Lines)
	f.Reason = s.openText("reason_sealed", r.ReasonSealed)
	f.Cash = payment.MoneyBack{OutRefundNo: orEmpty(r.OutRefundNo), Amount: money.Fen(r.CashFen), Request: s.open("refund_request_sealed", r.RefundRequestSealed),
		RefundID: orEmpty(r.RefundID), Asked: int(r.CashAsked), AskedAt: moment(r.CashAskedUS), Numbers: int(r.CashNumbers), Doubts: int(r.CashDoubts),
		ReturnedAt: moment(r.CashReturnedUS)}
	if s.err == nil && (int64(f.Insured()) != r.InsuredFen || int64(f.Uninsured()) != r.UninsuredFen) {
		s.keep(ErrTampered.Because(refuse("refund %d is not the sum of its sealed lines", r.ID)))
	}
	f.Stored(r.Version)
	return f, s.err
}

// saveRefunds inserts the refunds that are new and moves the others, each by its own version.
func (w *writing) saveRefunds(tx *gorm.DB) error {
	for i := range w.refunds {
		r := &w.refunds[i]
		if err := saveLeg(w.db, tx, r, refundMoves(), r.Version, legOf, r.ID, r.OrderID, r.Version-1); err != nil {
			return fmt.Errorf("refund %d: %w", r.ID, err)
		}
	}
	return nil
}

// checkReserved refuses an order whose reserved amounts are not what its refunds promise, or are more than there was.
func checkReserved(o *order.Order) error {
	var insured, uninsured money.Fen
	for _, f := range o.Refunds {
		if f.State != refund.Refused {
			insured += f.Insured()
			uninsured += f.Uninsured()
		}
	}
	if insured != o.RefundInsured || uninsured != o.RefundUninsured {
		return refuse("order %s: %s and %s are reserved, its refunds promise %s and %s", o.ID.No(), o.RefundInsured, o.RefundUninsured, insured, uninsured)
	}
	if insured < 0 || uninsured < 0 || (len(o.Refunds) > 0 && (insured > o.Total-o.Split.Uninsured || uninsured > o.Split.Uninsured)) {
		return refuse("order %s: %s and %s are promised back of %s and %s", o.ID.No(), insured, uninsured, o.Total-o.Split.Uninsured, o.Split.Uninsured)
	}
	return nil
}

func checkRefund(f *refund.Refund) error {
	if f.ID <= 0 || f.Seq <= 0 || f.By == "" || f.Actor == "" || f.Key == "" || f.AskedAt.IsZero() {
		return refuse("number, asker or time is missing")
	}
	for _, l := range f.Lines {
		if l.BillNo == "" || l.LineNo == "" || l.Amount <= 0 || l.Quantity.Sign() <= 0 {
			return refuse("line %s of bill %s: %s is no part of it", l.LineNo, l.BillNo, l.Amount)
		}
	}
	if f.Total() <= 0 || f.Cash.Amount < 0 {
		return refuse("it gives back %s, %s of it cash", f.Total(), f.Cash.Amount)
	}
	return nil
}
